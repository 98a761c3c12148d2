package board

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
)

// What the walks do to the bus between the nodes.
const (
	maxDelay = 200 * time.Millisecond // more than the grace for what is out of order
	lease    = 3 * time.Second
)

// world is some nodes and a bus that delays, turns around, repeats and loses, under a seed.
type world struct {
	t     *testing.T
	rng   *rand.Rand
	now   time.Duration
	nodes []*walker
	mail  []letter
	cut   map[[2]string]bool
	loss  float64
	marks uint64 // of processes
	kinds map[string]int
}

type letter struct {
	at   time.Duration
	to   string
	data []byte
}

// walker is one node with what the test knows of it.
type walker struct {
	name    string
	m       *Machine
	gen     int // which process of this name
	running bool
	asleep  bool
	silent  time.Duration // since when nobody can hear it
	inbox   []letter
	own     map[string]string          // by kind and key: the value it says
	picture map[string]map[string]Fact // as its changes told, by owner
	alive   map[string]bool
	newest  map[string]int // the newest process heard of, by owner
	seen    map[string]uint64
	life    uint64
}

type said struct{ Gen, N int }

func newWorld(t *testing.T, seed uint64, n int) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), cut: map[[2]string]bool{}, kinds: map[string]int{}}
	for i := range n {
		x := &walker{name: fmt.Sprintf("n%d", i+1)}
		w.nodes = append(w.nodes, x)
		w.start(x)
	}
	return w
}

func (w *world) start(x *walker) {
	w.marks++
	x.gen++
	x.m = New(Config{Self: x.name, Process: w.rng.Uint64() | 1, PartBytes: 300})
	x.running, x.asleep, x.inbox, x.life = true, false, nil, 0
	x.own, x.picture, x.alive, x.newest, x.seen = map[string]string{}, map[string]map[string]Fact{}, map[string]bool{}, map[string]int{}, map[string]uint64{}
	w.step(x, Pass{})
}

// step steps a node, posts what it sends and checks what it tells.
func (w *world) step(x *walker, in Input) Output {
	out := x.m.Step(w.now, in)
	for _, s := range out.Send {
		w.kinds[s.Message.Kind.String()]++
		data := s.Message.Append(nil)
		for _, y := range w.nodes {
			if y != x && (s.To == "" || s.To == y.name) {
				w.post(x, y, data)
			}
		}
	}
	for _, c := range out.Changes {
		w.told(x, c)
	}
	return out
}

func (w *world) post(from, to *walker, data []byte) {
	if w.cut[[2]string{from.name, to.name}] || w.rng.Float64() < w.loss {
		return
	}
	for again := true; again; again = w.rng.IntN(30) == 0 {
		w.mail = append(w.mail, letter{w.now + time.Duration(w.rng.Int64N(int64(maxDelay))), to.name, data})
	}
}

// told follows a change as a reader would, and checks that nothing older comes after something newer.
func (w *world) told(x *walker, c Change) {
	if c.IsMember {
		w.kinds[fmt.Sprintf("member %v self %v", c.Member.Alive, c.Member.Self)]++
		if c.Member.Self {
			if c.Member.Alive && c.Member.Incarnation <= x.life {
				w.t.Fatalf("%s: %s woke in life %d, before it was %d", w.now, x.name, c.Member.Incarnation, x.life)
			}
			x.life = c.Member.Incarnation
		} else {
			x.alive[c.Member.Name] = c.Member.Alive
			if !c.Member.Alive {
				for id := range x.seen {
					if id[:2] == c.Member.Name {
						delete(x.seen, id)
					}
				}
			}
		}
		return
	}
	f := c.Fact
	id := f.Owner + " " + f.Kind + " " + f.Key
	if x.picture[f.Owner] == nil {
		x.picture[f.Owner] = map[string]Fact{}
	}
	if c.TakenBy != "" {
		w.kinds["taken"]++
		delete(x.own, f.Kind+" "+f.Key)
	}
	if c.Gone {
		delete(x.picture[f.Owner], id)
		return
	}
	var v said
	if err := json.Unmarshal(f.Value, &v); err != nil {
		w.t.Fatal(err)
	}
	if v.Gen < x.newest[f.Owner] {
		w.t.Fatalf("%s: %s heard %+v of an older life after one of process %d", w.now, x.name, f, x.newest[f.Owner])
	}
	if f.Claim < x.seen[id] {
		w.t.Fatalf("%s: %s heard %+v after claim %d", w.now, x.name, f, x.seen[id])
	}
	if f.Owner != x.name && !x.alive[f.Owner] {
		w.t.Fatalf("%s: %s heard a fact of %s, which is not alive", w.now, x.name, f.Owner)
	}
	x.newest[f.Owner], x.seen[id] = v.Gen, f.Claim
	x.picture[f.Owner][id] = f
}

// run lets time pass up to the end.
func (w *world) run(until time.Duration) {
	for {
		at, do := until, func() {}
		for _, x := range w.nodes {
			if x.running && !x.asleep && x.m.Deadline() < at {
				at, do = max(x.m.Deadline(), w.now), func() { w.step(x, Pass{}) }
			}
		}
		for i, l := range w.mail {
			if l.at < at {
				at, do = max(l.at, w.now), func() { w.mail = slices.Delete(w.mail, i, i+1); w.deliver(l) }
			}
		}
		w.now = at
		do()
		w.checkGone()
		if at >= until {
			return
		}
	}
}

func (w *world) deliver(l letter) {
	x := w.find(l.to)
	switch {
	case !x.running:
	case x.asleep:
		x.inbox = append(x.inbox, l)
	default:
		m, err := Parse(l.data)
		if err != nil {
			w.t.Fatal(err)
		}
		w.step(x, Heard{m})
	}
}

func (w *world) find(name string) *walker {
	return w.nodes[slices.IndexFunc(w.nodes, func(x *walker) bool { return x.name == name })]
}

// checkGone: nobody who is awake believes a node that has been silent for a lease.
func (w *world) checkGone() {
	for _, x := range w.nodes {
		for _, y := range w.nodes {
			silent := !y.running || y.asleep
			if x == y || !x.running || x.asleep || !silent || w.now < max(y.silent, x.silent)+lease+maxDelay {
				continue
			}
			if x.alive[y.name] || len(x.picture[y.name]) > 0 {
				w.t.Fatalf("%s: %s still believes %s, silent since %s", w.now, x.name, y.name, y.silent)
			}
		}
	}
}

// act does one thing to the world.
func (w *world) act() {
	x := w.nodes[w.rng.IntN(len(w.nodes))]
	switch n := w.rng.IntN(100); {
	case n < 70 && x.running && !x.asleep:
		w.say(x)
	case n < 78 && x.running && !x.asleep: // kill -9, or an orderly end
		if w.rng.IntN(3) == 0 {
			w.step(x, End{})
		}
		x.running, x.silent = false, w.now
	case n < 84 && x.running && !x.asleep: // SIGSTOP
		x.asleep, x.silent = true, w.now
	case n < 92:
		w.raise(x)
	case n < 96:
		y := w.nodes[w.rng.IntN(len(w.nodes))]
		w.cut[[2]string{x.name, y.name}], w.cut[[2]string{y.name, x.name}] = true, w.rng.IntN(4) > 0
	default:
		clear(w.cut)
		w.loss = []float64{0, 0.05, 0.3}[w.rng.IntN(3)]
	}
}

// raise starts what is down and wakes what sleeps; then what came meanwhile is read.
func (w *world) raise(x *walker) {
	switch {
	case !x.running:
		w.start(x)
	case x.asleep:
		x.asleep, x.silent = false, w.now
		inbox := x.inbox
		x.inbox = nil
		if w.rng.IntN(2) == 0 {
			w.step(x, Pass{})
		}
		for _, l := range inbox {
			w.deliver(l)
		}
	}
}

func (w *world) say(x *walker) {
	for range 1 + w.rng.IntN(6) {
		kind, key := "line", strconv.Itoa(w.rng.IntN(12))
		exclusive := w.rng.IntN(2) == 0
		if exclusive {
			kind = "registration"
		}
		if w.rng.IntN(4) == 0 {
			w.step(x, Drop{kind, key})
			delete(x.own, kind+" "+key)
			continue
		}
		value, _ := json.Marshal(said{x.gen, w.rng.IntN(1000)})
		best := uint64(0)
		for _, f := range x.m.Of(kind, key) {
			best = max(best, f.Claim)
		}
		x.own[kind+" "+key] = string(value)
		if out := w.step(x, Put{kind, key, value, exclusive}); out.Claim <= best {
			w.t.Fatalf("claim %d, seen %d", out.Claim, best)
		}
	}
}

// settled: everybody holds exactly what live owners say, as it was put, and readers know the same.
func (w *world) settled() {
	w.t.Helper()
	owners := map[string]string{}
	for _, y := range w.nodes {
		own := y.m.own.ops()
		if len(own) != len(y.own) {
			w.t.Fatalf("%s says %d facts, was told %d", y.name, len(own), len(y.own))
		}
		for _, o := range own {
			if y.own[o.Fact.Kind+" "+o.Fact.Key] != string(o.Fact.Value) {
				w.t.Fatalf("%s says %+v", y.name, o.Fact)
			}
			if o.Fact.Exclusive && owners[o.Fact.Key] != "" {
				w.t.Fatalf("%s is owned by %s and %s", o.Fact.Key, owners[o.Fact.Key], y.name)
			}
			if o.Fact.Exclusive {
				owners[o.Fact.Key] = y.name
			}
		}
		for _, x := range w.nodes {
			w.agree(x, y.name, own)
		}
	}
	for _, x := range w.nodes {
		if !x.m.InStep() {
			w.t.Fatalf("%s is not in step", x.name)
		}
	}
}

func (w *world) agree(x *walker, owner string, own []Op) {
	w.t.Helper()
	held := &x.m.own
	if x.name != owner {
		held = &x.m.find(owner).facts
	}
	if held.len() != len(own) || len(x.picture[owner]) != len(own) {
		w.t.Fatalf("%s holds %d facts of %s and was told %d of %d", x.name, held.len(), owner, len(x.picture[owner]), len(own))
	}
	for _, o := range own {
		f, _ := held.get(o.Fact.Kind, o.Fact.Key)
		told := x.picture[owner][owner+" "+f.Kind+" "+f.Key]
		if f.Claim != o.Fact.Claim || string(f.Value) != string(o.Fact.Value) || told.Claim != f.Claim {
			w.t.Fatalf("%s holds %+v and was told %+v, %s says %+v", x.name, f, told, owner, o.Fact)
		}
	}
}

// TestWalk: whatever is done to nodes and bus, after healing everybody holds exactly what the owners say.
func TestWalk(t *testing.T) {
	walks := 300
	if n, err := strconv.Atoi(os.Getenv("LOCKTONE_WALKS")); err == nil {
		walks = n
	}
	reached := map[string]int{}
	for seed := range walks {
		w := newWorld(t, uint64(seed), 2+seed%4)
		if !t.Run(strconv.Itoa(seed), func(t *testing.T) { w.t = t; w.walk() }) {
			break
		}
		for k, n := range w.kinds {
			reached[k] += n
		}
		for _, x := range w.nodes {
			s := x.m.Stats(w.now)
			for k, n := range map[string]uint64{"gap": s.Gaps, "lapsed": s.Lapsed, "old life": s.Old, "lost": s.Lost} {
				reached[k] += int(n)
			}
		}
	}
	for _, k := range []string{"beat", "leave", "delta", "ask", "part", "stale", "taken", "gap", "lapsed", "old life", "lost", "member false self true", "member true self false"} {
		if reached[k] == 0 {
			t.Errorf("no walk reached %q: %v", k, reached)
		}
	}
}

func (w *world) walk() {
	for range 120 {
		w.run(w.now + time.Duration(w.rng.Int64N(int64(400*time.Millisecond))))
		w.act()
	}
	clear(w.cut)
	w.loss = 0
	for _, x := range w.nodes {
		w.raise(x)
	}
	w.run(w.now + 3*lease)
	w.settled()
}
