package center

import (
	"fmt"
	"hash/fnv"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/contact/expression"
)

// small is a site for explorations: so many agents for one queue, whose waiting contacts get nothing but music.
func small(t testing.TB, agents int) *Site {
	e, err := expression.Parse("sales > 0", expression.Known{Names: []string{"sales"}})
	if err != nil {
		t.Fatal(err)
	}
	s := &Site{Teams: []Team{{Name: "blue", Supervisors: []string{"sue"}, WrapUp: 10 * time.Second}},
		Queues:  []Queue{{Name: "sales", Steps: []QueueStep{{Where: e}}, Ageing: time.Minute}},
		Scripts: []Script{{Name: "sales", Start: "q", Nodes: []Node{{Name: "q", Kind: NodeQueue, Queue: "sales"}}}},
		Numbers: []Number{{Number: "800", Script: "sales"}}}
	for i := range agents {
		s.Agents = append(s.Agents, Agent{Name: string(rune('a' + i)), Number: fmt.Sprint(2001 + i), Device: fmt.Sprint("SEP", 1+i), Team: "blue",
			Attributes: []Attribute{{"sales", expression.Number(1)}}})
	}
	return s
}

// explore tries every interleaving of everything that can happen, breadth first, until no new state is found or there are
// more than may be. It returns how many states there are and whether these are all.
func explore(t *testing.T, site *Site, limit worldLimit, begin []string, most int) (int, bool) {
	type path []int16
	replay := func(p path) *world {
		w := newWorld(site, limit)
		for _, what := range begin {
			name, does, _ := strings.Cut(what, " ")
			w.agentDoes(name, does)
		}
		for _, i := range p {
			w.moves()[i].do()
		}
		return w
	}
	key := func(w *world) uint64 {
		h := fnv.New64a()
		h.Write([]byte(w.print()))
		return h.Sum64()
	}
	seen := map[uint64]bool{key(replay(nil)): true}
	front := []path{nil}
	for len(front) > 0 {
		var next []path
		for _, p := range front {
			for i := range replay(p).moves() {
				q := append(slices.Clone(p), int16(i))
				w := replay(q)
				if len(w.k.faults) > 0 {
					fail(t, func() *world { return newWorld(site, limit) }, begin, q)
					return len(seen), false
				}
				k := key(w)
				if seen[k] {
					continue
				}
				if seen[k] = true; len(seen) >= most {
					return len(seen), false
				}
				next = append(next, q)
			}
		}
		front = next
	}
	return len(seen), true
}

// fail prints the shortest way to a fault.
func fail[P ~[]int16](t *testing.T, again func() *world, begin []string, p P) {
	w := again()
	w.keep = true
	for _, what := range begin {
		name, does, _ := strings.Cut(what, " ")
		w.agentDoes(name, does)
	}
	for _, i := range p {
		m := w.moves()[i]
		w.log = append(w.log, "> "+m.name)
		m.do()
	}
	t.Errorf("%s\n%s", strings.Join(w.k.faults, "\n"), strings.Join(w.log, "\n"))
}

// TestExplore: every interleaving of small sites keeps the invariants. By default the larger ones are cut off after so many states;
// LOCKTONE_ALL=1 raises the bound a hundredfold. No run has come to the end of the larger ones yet.
func TestExplore(t *testing.T) {
	everyday := []string{"ready", "not ready"}
	everything := []string{"log in", "log out", "ready", "not ready", "forced ready", "forced not ready", "forced out", "device lost", "device found", "phone busy", "phone idle",
		"desktop away", "desktop back", "holds", "retrieves", "gives away", "takes over", "wraps up"}
	two := []string{"a log in", "b log in", "a ready", "b ready"}
	for _, c := range []struct {
		name   string
		agents int
		limit  worldLimit
		begin  []string
		most   int // without LOCKTONE_ALL
	}{
		{"one agent, one call, everything", 1, worldLimit{calls: 1, numbers: []string{"800"}, agents: everything, failures: true, late: true}, nil, 2500},
		{"two agents, two calls, everyday", 2, worldLimit{calls: 2, numbers: []string{"800"}, agents: everyday}, two, 2500},
		{"two agents, two calls, failures", 2, worldLimit{calls: 2, numbers: []string{"800"}, agents: []string{"ready"}, failures: true, late: true}, two, 2500},
		{"two agents, one call, phones and desktops", 2, worldLimit{calls: 1, numbers: []string{"800"}, agents: []string{"ready", "device lost", "device found", "phone busy", "phone idle"}}, two, 2500},
		{"one agent, two calls, new lives", 1, worldLimit{calls: 2, numbers: []string{"800"}, agents: everyday, rebirth: true}, two[:1], 2000},
		{"two agents, one call, wrapping up in new lives", 2, worldLimit{calls: 1, numbers: []string{"800"}, agents: []string{"ready", "takes over", "wraps up", "notes variables"}, rebirth: true}, two, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			most := c.most
			if os.Getenv("LOCKTONE_ALL") != "" {
				most = 200000
			}
			n, all := explore(t, small(t, c.agents), c.limit, c.begin, most)
			t.Logf("%d states, all of them: %v", n, all)
		})
	}
}

// walks is how many seeds are walked.
func walks(def int) int {
	if n, err := strconv.Atoi(os.Getenv("LOCKTONE_WALKS")); err == nil {
		return n
	}
	return def
}

// TestWalks: random ways through the whole office, with agents, phones, desktops, nodes and the contact centre itself failing, keep the
// invariants; and when everything is mended at the end, nobody is stuck: every call can end and every agent becomes ready.
func TestWalks(t *testing.T) {
	for seed := range int64(walks(45)) {
		if !walk(t, seed, 400, nil) {
			return
		}
	}
}

// TestWalksReachEverything: on their way the walks meet every cell of the table of transitions that does something.
func TestWalksReachEverything(t *testing.T) {
	met := map[[2]int]bool{}
	for seed := range int64(45) {
		walk(t, seed, 400, func(st State, s stimulus) { met[[2]int{int(st), int(s)}] = true })
	}
	for st, row := range transitions() {
		for s, cell := range row {
			if cell != (transition{}) && !met[[2]int{st, s}] {
				t.Errorf("no walk meets an agent who is %s by %q", State(st), stimulus(s))
			}
		}
	}
}

func walk(t *testing.T, seed int64, steps int, audit func(State, stimulus)) bool {
	t.Helper()
	site := office(t)
	w := newWorld(site, worldLimit{calls: 1 << 30, numbers: []string{"800", "801", "802", "809", "899"}, failures: seed%3 > 0, late: seed%2 > 0, callbacks: true, rebirth: seed%5 == 0,
		agents: []string{"log in", "ready", "ready", "log in", "ready", "not ready", "log out", "forced ready", "forced not ready", "device lost", "device found", "device found", "phone busy", "phone idle",
			"phone idle", "desktop away", "desktop back", "desktop back", "holds", "retrieves", "gives away", "takes over", "forced out",
			"notes variables", "wraps up"}})
	w.keep, w.k.c.audit = true, audit
	rnd := rand.New(rand.NewSource(seed))
	for i := 0; i < steps && len(w.k.faults) == 0; i++ {
		m := pick(rnd, w.moves())
		if len(w.calls) > 12 && strings.HasPrefix(m.name, "new") {
			continue
		}
		if rnd.Intn(60) == 0 {
			without := [][]string{{"ann"}, {"queue:help"}, nil, nil}[rnd.Intn(4)]
			w.step(Configure{(&script{t: t}).site(without)})
		}
		w.k.now = w.k.now.Add(time.Duration(rnd.Intn(3000)) * time.Millisecond)
		if next := w.k.c.Deadline(); !next.IsZero() && next.Before(w.k.now) {
			w.k.now = next
		}
		w.log = append(w.log, "> "+m.name)
		m.do()
		w.forget()
	}
	if len(w.k.faults) == 0 {
		w.mend()
	}
	if len(w.k.faults) > 0 {
		t.Errorf("seed %d:\n%s\n%s", seed, strings.Join(w.k.faults, "\n"), strings.Join(w.log[max(0, len(w.log)-60):], "\n"))
		return false
	}
	return true
}

// pick takes one of the moves: those that bring calls to agents more often than those that end everything.
func pick(rnd *rand.Rand, all []move) move {
	weights := []struct {
		name string
		n    int
	}{{"new", 6}, {"gets order", 40}, {" answered", 40}, {"holds", 8}, {"forced not ready", 3}, {"not ready", 1}, {"forced ready", 1}, {" ready", 6}, {"log in", 4}, {"desktop back", 4}, {"device found", 4},
		{"phone idle", 4}, {"time", 3}, {"rebirth", 1}, {"has heard it", 8}, {"connected", 40}, {"takes over", 6}}
	weight := func(m move) int {
		for _, w := range weights {
			if strings.HasSuffix(m.name, w.name) || strings.HasPrefix(m.name, w.name) {
				return w.n
			}
		}
		return 1
	}
	sum := 0
	for _, m := range all {
		sum += weight(m)
	}
	n := rnd.Intn(sum)
	for _, m := range all {
		if n -= weight(m); n < 0 {
			return m
		}
	}
	return all[0]
}

// forget drops calls that are over, so that long walks stay quick.
func (w *world) forget() {
	w.calls = slices.DeleteFunc(w.calls, func(c *worldCall) bool { return !c.live && len(c.orders) == 0 && w.k.c.callers[c.id] == nil })
}

// mend ends every call and puts everybody back to work, and looks whether that works.
func (w *world) mend() {
	w.step(Configure{w.k.c.site})
	for _, c := range w.calls {
		c.orders = nil
		if c.live {
			w.end(c, 1)
		}
	}
	for id, d := range w.dials {
		w.step(Dialled{Callback: d.Callback, Offer: id, Result: DialConnected})
		w.step(Dialled{Callback: d.Callback, Offer: id, Result: DialEnded})
	}
	for _, v := range w.k.c.Contacts() {
		if v.Callback && v.Phase == Connected {
			w.step(Dialled{Callback: v.Call, Result: DialEnded})
		}
	}
	for _, name := range w.names {
		for _, what := range []string{"device found", "phone idle", "log in", "desktop back"} {
			w.agentDoes(name, what)
		}
	}
	for _, o := range w.k.wait(time.Minute) {
		w.output(o)
	}
	for _, v := range w.k.c.Contacts() {
		if !v.Callback {
			w.k.fault("a ghost: %s is still %s", v.Call, v.Phase)
		}
	}
	for _, name := range w.names {
		if a := w.k.c.agents[name]; a != nil {
			w.agentDoes(name, "log in")
			w.agentDoes(name, "ready")
			if a.state != Ready && a.state != Reserved {
				w.k.fault("stuck: %s is %s (%s) after everything was mended", name, a.state, a.reason)
			}
		}
	}
}
