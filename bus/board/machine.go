package board

import (
	"cmp"
	"slices"
	"time"
)

// Config of a Machine. Self and Process must be set.
type Config struct {
	Self    string        // this node
	Process uint64        // random mark of this process
	Beat    time.Duration // between beats. Default: 1 s.
	Lease   time.Duration // a node not heard for so long is lost. Default: 3 s.
	// Hold is how long what others have said is kept while this node itself has no connection to the bus (Link): their silence says
	// nothing about them then. Default: 5 min.
	Hold time.Duration
	// MaxFacts bounds the facts of one node. Default: 1,000,000.
	MaxFacts int
	// MaxMembers bounds the other nodes known; of more, the lost ones are forgotten. Default: 256.
	MaxMembers int
	// PartBytes is about the size of one part of a snapshot and of one delta. Default: 256 KiB.
	PartBytes int
}

// How long a hole in the order of what was heard may be filled by what is still on its way, and how long an answer is waited for.
const (
	gapGrace = 50 * time.Millisecond
	askAgain = time.Second
)

// Machine is one node's part in the board. It is pure: not safe for concurrent use, without a clock. Times are durations on
// one monotonic clock.
type Machine struct {
	cfg      Config
	life     Life
	seq      uint64 // of the last operation of this node
	clock    uint64 // Lamport
	own      table
	waiting  []Op // said, not yet sent; the last one has number seq
	started  bool
	begun    time.Duration // the first step
	away     bool          // this node has no connection to the bus
	waking   uint64        // number of the life it woke to last; 0: it was never stopped
	lastBeat time.Duration
	beatNow  bool
	joined   bool // claims stand: others were heard, or nobody was there
	left     bool
	lapsed   time.Duration // self has been alive since
	twin     time.Duration // last heard of another process with this node's name
	twins    bool
	members  []*member // by name
	serving  []*serving
	asks     uint64
	stats    Stats
}

// Stats count what has happened since the start.
type Stats struct {
	Said, Applied             uint64 // operations of this node; of others
	Asked, Served             uint64 // snapshots
	Gaps                      uint64 // holes in what was heard
	Lost                      uint64 // nodes
	Lapsed                    uint64 // times this node was stopped for longer than its lease
	Taken                     uint64 // exclusive facts of this node that another one took
	Refused                   uint64 // facts over the bounds
	Old                       uint64 // messages of lives that are over
	Twin                      bool   // another process with this node's name is on the bus now
	Members, Alive, Behind    int
	OwnFacts, FactsOfAllNodes int
}

// Input is what a machine is told: Put, Drop, Heard, Link, Pass, End.
type Input interface{ input() }

// Put says a fact of this node.
type Put struct {
	Kind, Key string
	Value     []byte // JSON, kept
	Exclusive bool
}

// Drop ends a fact of this node.
type Drop struct{ Kind, Key string }

// Heard is a message of another node.
type Heard struct{ Message Message }

// Link says whether this node has a connection to the bus. A machine that is not told has one.
type Link struct{ Up bool }

// Pass lets time pass: what is due is done, what waits is sent.
type Pass struct{}

// End is the orderly end: others are told.
type End struct{}

func (Put) input()   {}
func (Drop) input()  {}
func (Heard) input() {}
func (Link) input()  {}
func (Pass) input()  {}
func (End) input()   {}

// Output is what comes of a step.
type Output struct {
	Send    []Send
	Changes []Change
	Claim   uint64 // of a Put; 0: refused
}

// Member is a node as this node sees it. Since is on this node's clock.
type Member struct {
	Name        string
	Alive, Self bool
	Since       time.Duration
	Incarnation uint64
	Facts       int
	// Stale: this node has no connection to the bus, and what is known of the other one is what it said last.
	Stale bool
}

// Change is one thing that has become different: a fact, or with IsMember a node.
type Change struct {
	Fact     Fact
	Gone     bool
	TakenBy  string // the node that took an exclusive fact of this node, with Gone
	Member   Member
	IsMember bool
}

// New is the machine of a node that starts.
func New(c Config) *Machine {
	c.Beat = cmp.Or(c.Beat, time.Second)
	c.Lease = cmp.Or(c.Lease, 3*time.Second)
	c.Hold = cmp.Or(c.Hold, 5*time.Minute)
	c.MaxFacts = cmp.Or(c.MaxFacts, 1_000_000)
	c.MaxMembers = cmp.Or(c.MaxMembers, 256)
	c.PartBytes = cmp.Or(c.PartBytes, 256<<10)
	return &Machine{cfg: c, life: Life{1, c.Process}, beatNow: true}
}

// Step takes one input. now never goes back.
func (m *Machine) Step(now time.Duration, in Input) (out Output) {
	if m.left {
		return out
	}
	m.wake(now, &out)
	switch in := in.(type) {
	case Put:
		out.Claim = m.put(Fact{Owner: m.cfg.Self, Kind: in.Kind, Key: in.Key, Exclusive: in.Exclusive, Value: in.Value}, &out)
	case Drop:
		m.drop(in.Kind, in.Key, "", &out)
	case Heard:
		m.hear(now, in.Message, &out)
	case Link:
		m.link(now, in.Up)
	case Pass:
		m.pass(now, &out)
	case End:
		m.flush(&out)
		m.left = true
		out.send("", m.message(Leave))
	}
	return out
}

func (o *Output) send(to string, x Message) { o.Send = append(o.Send, Send{to, x}) }

func (m *Machine) message(k MessageKind) Message {
	return Message{Kind: k, From: m.cfg.Self, Life: m.life, Seq: m.seq, Clock: m.clock}
}

// wake notices that this node was stopped for longer than its lease. Alone, nobody can have missed it.
func (m *Machine) wake(now time.Duration, out *Output) {
	if !m.started {
		m.started, m.begun, m.lastBeat, m.lapsed = true, now, now, now
		return
	}
	if now-m.lastBeat < m.cfg.Lease {
		return
	}
	m.lastBeat, m.beatNow = now, true
	m.hearAnew(now) // their silence was our sleep
	if len(m.members) == 0 {
		return
	}
	m.stats.Lapsed++
	out.tell(m.self(false))
	m.life.Number++
	m.lapsed, m.waking, m.serving = now, m.life.Number, nil
	out.tell(m.self(true))
}

// hearAnew gives every member a whole lease from now on.
func (m *Machine) hearAnew(now time.Duration) {
	for _, x := range m.members {
		x.heard = now
	}
}

// link takes that the connection to the bus is lost or back. Without it the silence of the others is not theirs.
func (m *Machine) link(now time.Duration, up bool) {
	if m.away == !up {
		return
	}
	if m.away = !up; up {
		m.hearAnew(now)
		m.beatNow = true
	}
}

// leaseOf is how long a member may be silent.
func (m *Machine) leaseOf() time.Duration {
	if m.away {
		return m.cfg.Hold
	}
	return m.cfg.Lease
}

func (o *Output) tell(x Member) { o.Changes = append(o.Changes, Change{Member: x, IsMember: true}) }

func (m *Machine) self(alive bool) Member {
	return Member{Name: m.cfg.Self, Alive: alive, Self: true, Since: m.lapsed, Incarnation: m.life.Number, Facts: m.own.len()}
}

func (m *Machine) put(f Fact, out *Output) uint64 {
	if _, there := m.own.get(f.Kind, f.Key); !there && m.own.len() >= m.cfg.MaxFacts {
		m.stats.Refused++
		return 0
	}
	m.clock++
	f.Claim = m.clock
	m.own.set(f)
	m.say(Op{Fact: f})
	out.Changes = append(out.Changes, Change{Fact: f})
	return f.Claim
}

func (m *Machine) drop(kind, key, takenBy string, out *Output) {
	f, there := m.own.drop(kind, key)
	if !there {
		return
	}
	m.say(Op{Fact: Fact{Owner: f.Owner, Kind: kind, Key: key, Claim: f.Claim}, Gone: true})
	out.Changes = append(out.Changes, Change{Fact: f, Gone: true, TakenBy: takenBy})
}

func (m *Machine) say(o Op) {
	m.seq++
	m.stats.Said++
	m.waiting = append(m.waiting, o)
}

// yield drops a fact of this node that is exclusive and older than another node's.
func (m *Machine) yield(other Fact, out *Output) {
	if mine, there := m.own.get(other.Kind, other.Key); there && mine.Exclusive && other.Exclusive && other.Newer(mine) {
		m.stats.Taken++
		m.drop(mine.Kind, mine.Key, other.Owner, out)
	}
}

// flush sends what waits, in pieces.
func (m *Machine) flush(out *Output) {
	first := m.seq - uint64(len(m.waiting)) + 1
	for ops := m.waiting; len(ops) > 0; {
		n := piece(ops, m.cfg.PartBytes)
		x := m.message(Delta)
		x.Seq, x.Ops = first, ops[:n:n]
		out.send("", x)
		first, ops = first+uint64(n), ops[n:]
	}
	m.waiting = nil
}

// piece is how many of the operations make up one message: at least one.
func piece(ops []Op, bytes int) int {
	size := 0
	for i, o := range ops {
		if size += o.size(); size > bytes && i > 0 || i >= maxOps {
			return i
		}
	}
	return len(ops)
}

// pass does what is due.
func (m *Machine) pass(now time.Duration, out *Output) {
	m.flush(out)
	if m.beatNow || now-m.lastBeat >= m.cfg.Beat {
		m.beatNow, m.lastBeat = false, now
		out.send("", m.message(Beat))
	}
	for _, x := range m.members {
		m.watch(now, x, out)
	}
	m.serving = slices.DeleteFunc(m.serving, func(s *serving) bool { return now >= s.until })
	if !m.joined && now-m.begun >= 2*m.cfg.Lease {
		m.joined = true // nobody is there
	}
}

// Deadline is when Pass is due next; Begin is at once.
func (m *Machine) Deadline() time.Duration {
	if !m.started || m.beatNow || len(m.waiting) > 0 {
		return 0
	}
	next := m.lastBeat + m.cfg.Beat
	for _, x := range m.members {
		if at, due := x.deadline(m.leaseOf()); due {
			next = min(next, at)
		}
	}
	return next
}

// Of returns the facts under a kind and key of all live nodes, the newest claim first.
func (m *Machine) Of(kind, key string) (out []Fact) {
	if f, there := m.own.get(kind, key); there {
		out = append(out, f)
	}
	for _, x := range m.members {
		if f, there := x.facts.get(kind, key); there {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, NewestFirst)
	return out
}

// All returns the facts of a kind of all live nodes, by key, the newest claim of each first.
func (m *Machine) All(kind string) []Fact {
	out := m.own.of(kind, nil)
	for _, x := range m.members {
		out = x.facts.of(kind, out)
	}
	slices.SortFunc(out, func(a, b Fact) int { return cmp.Or(cmp.Compare(a.Key, b.Key), NewestFirst(a, b)) })
	return out
}

// Count is the number of facts by kind.
func (m *Machine) Count() map[string]int {
	out := map[string]int{}
	m.own.count(out)
	for _, x := range m.members {
		x.facts.count(out)
	}
	return out
}

// Nodes are this node and all others it has heard of, by name.
func (m *Machine) Nodes() []Member {
	out := []Member{m.self(true)}
	for _, x := range m.members {
		y := x.member()
		y.Stale = y.Alive && m.away
		out = append(out, y)
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Stats are the counters.
func (m *Machine) Stats(now time.Duration) Stats {
	s := m.stats
	s.Twin = m.twins && now-m.twin < m.cfg.Lease
	s.OwnFacts, s.FactsOfAllNodes = m.own.len(), m.own.len()
	for _, x := range m.members {
		s.Members++
		s.FactsOfAllNodes += x.facts.len()
		switch {
		case x.alive && x.asking != nil, !x.alive && !x.lost:
			s.Behind++
		}
		if x.alive {
			s.Alive++
		}
	}
	return s
}

// InStep reports whether this node knows all that the others it hears have said, and whether its own claims stand.
func (m *Machine) InStep() bool {
	for _, x := range m.members {
		if x.asking != nil || !x.alive && !x.lost {
			return false
		}
	}
	return m.joined
}
