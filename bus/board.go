package bus

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/bus/board"
)

// A Fact is something a node says of itself: it holds as long as its owner says so and lives.
type Fact = board.Fact

// Value is the value of a fact.
func Value[T any](f Fact) (T, error) {
	var v T
	if err := json.Unmarshal(f.Value, &v); err != nil {
		return v, fmt.Errorf("bus: fact %s %s of %s: %w", f.Kind, f.Key, f.Owner, err)
	}
	return v, nil
}

// A Member is a node of the cluster as this node sees it.
type Member struct {
	Name string `json:"name"`
	// Alive is whether its facts hold: it is heard, and what it says is known here.
	Alive bool `json:"alive"`
	Self  bool `json:"self,omitempty"`
	// Since is when Alive became what it is, for people.
	Since time.Time `json:"since"`
	// Incarnation rises whenever the node lives anew: with its start, and when it wakes after it had been given up.
	Incarnation uint64 `json:"incarnation"`
	Facts       int    `json:"facts"`
	// Stale: this node has no connection to the bus now. What is known of the other one is what it said last; it is believed for
	// Config.Hold, since its silence says nothing.
	Stale bool `json:"stale,omitempty"`
}

// A Change is one thing that has become different on the board. Exactly one of Fact.Kind, Member and Lagged is set.
type Change struct {
	// Fact is new or has a new value or claim; with Gone it does not hold any more. Every fact of a lost node goes this way.
	Fact Fact
	Gone bool
	// TakenBy is the node a fact of this node was taken by (Take), with Gone.
	TakenBy string
	// Member has come to life, or with Alive false was lost. It stands before the facts of a node that comes, and before
	// the facts that go with a node that is lost. This node itself is lost and alive again when it was stopped for longer
	// than its lease: others have counted it as dead meanwhile.
	Member *Member
	// Lagged: the reader was too slow and changes were dropped. All and Nodes tell what holds now; what follows is newer.
	Lagged bool
}

// Board is what the nodes of the cluster say of themselves: soft state with an owner and a lease. Each Bus has one. Reads
// answer from memory, never from the network. It is safe for concurrent use; what it returns are copies.
//
// One goroutine of its own speaks and listens; the machine (package board) belongs to whoever holds the lock.
type Board struct {
	node  string
	start time.Time // its monotonic reading is the board's only clock
	carry func(to string, data []byte) error
	up    func() bool // whether there is a connection; nil: always
	heard chan []byte
	due   chan struct{} // something waits to be sent
	stop  chan struct{}
	ended chan struct{} // the goroutine is gone

	mu      sync.RWMutex
	m       *board.Machine
	outbox  []board.Send
	watches map[*BoardWatch]struct{}
	closed  bool
	counts  BoardStats // what the machine does not count
}

// BoardStats is how the board does.
type BoardStats struct {
	board.Stats
	Lagged    uint64 // times a reader was too slow
	Malformed uint64 // messages that could not be read
	Unsent    uint64 // messages the bus did not take
}

// maxHeard bounds the messages that wait to be heard. What is dropped beyond shows as a gap, and is asked for.
const maxHeard = 2048

// newBoard is a board that says what it says to carry; begin starts it.
func newBoard(c board.Config, carry func(to string, data []byte) error) *Board {
	return &Board{node: c.Self, start: time.Now(), carry: carry, heard: make(chan []byte, maxHeard), due: make(chan struct{}, 1),
		stop: make(chan struct{}), ended: make(chan struct{}), m: board.New(c), watches: map[*BoardWatch]struct{}{}}
}

// process is the random mark of this process.
func process() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return binary.BigEndian.Uint64(b[:])
}

// Board is the facts board of the bus.
func (b *Bus) Board() *Board { return b.board }

// Put says a fact of this node, or says it anew with another value. Several nodes may have a fact under one kind and key.
// The claim is higher than any seen. It is 0, and nothing is said, when v cannot be encoded or is larger than MaxFact, or
// the node says a million facts. A claim made before this node has heard of any other is raised when it does: it is newer
// than what they have kept.
func Put[T any](d *Board, kind, key string, v T) (claim uint64) { return put(d, kind, key, v, false) }

// Take is Put for what only one node can have at a time: as soon as nodes hear of each other the fact with the highest
// claim stays, and its other owners drop theirs: they are told by a Change with Gone and TakenBy.
func Take[T any](d *Board, kind, key string, v T) (claim uint64) { return put(d, kind, key, v, true) }

// MaxFact bounds the encoded value of one fact, in bytes.
const MaxFact = 64 << 10

func put[T any](d *Board, kind, key string, v T, exclusive bool) uint64 {
	data, err := json.Marshal(v)
	if err != nil || len(data) > MaxFact {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.counts.Refused++
		return 0
	}
	return d.step(board.Put{Kind: kind, Key: key, Value: data, Exclusive: exclusive})
}

// Drop ends a fact of this node; without it nothing happens.
func (d *Board) Drop(kind, key string) { d.step(board.Drop{Kind: kind, Key: key}) }

// step gives the machine one input; what it wants sent is left to the goroutine.
func (d *Board) step(in board.Input) (claim uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0
	}
	return d.stepLocked(in)
}

func (d *Board) stepLocked(in board.Input) uint64 {
	out := d.m.Step(d.now(), in)
	d.outbox = append(d.outbox, out.Send...)
	for _, c := range out.Changes {
		d.tell(d.change(c))
	}
	if len(d.outbox) > 0 || d.m.Deadline() == 0 {
		select {
		case d.due <- struct{}{}:
		default: // it knows
		}
	}
	return out.Claim
}

// now is the time since the start on the monotonic clock: steps of the wall clock do not show.
func (d *Board) now() time.Duration { return time.Since(d.start) }

func (d *Board) change(c board.Change) Change {
	if c.IsMember {
		m := d.member(c.Member)
		return Change{Member: &m}
	}
	return Change{Fact: c.Fact, Gone: c.Gone, TakenBy: c.TakenBy}
}

func (d *Board) member(m board.Member) Member {
	return Member{Name: m.Name, Alive: m.Alive, Self: m.Self, Since: d.start.Add(m.Since), Incarnation: m.Incarnation, Facts: m.Facts, Stale: m.Stale}
}

// Of returns the facts under a kind and key of all live nodes, the newest claim first.
func (d *Board) Of(kind, key string) []Fact {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.m.Of(kind, key)
}

// All returns the facts of a kind of all live nodes, by key, the newest claim of each first.
func (d *Board) All(kind string) []Fact {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.m.All(kind)
}

// Nodes returns this node and every other one it has heard of since it started, by name.
func (d *Board) Nodes() []Member {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []Member
	for _, m := range d.m.Nodes() {
		out = append(out, d.member(m))
	}
	return out
}

// Alive reports whether the facts of a node hold.
func (d *Board) Alive(node string) bool {
	return slices.ContainsFunc(d.Nodes(), func(m Member) bool { return m.Name == node && m.Alive })
}

// lives are the lives in which this node and another know themselves here: what a question to it carries.
func (d *Board) lives(other string) (mine, its board.Life) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.m.LifeOf(d.node), d.m.LifeOf(other)
}

// late reports whether a question must not be done any more. Whether this node was stopped meanwhile is found out first.
func (d *Board) late(asker string, its, mine board.Life) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	d.stepLocked(board.Pass{})
	return d.m.Late(asker, its, mine)
}

// InStep reports whether this node has all that the others it hears have said, and has heard of others or waited for them.
func (d *Board) InStep() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.m.InStep()
}

// Count is the number of facts known by kind.
func (d *Board) Count() map[string]int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.m.Count()
}

// Stats are the counters.
func (d *Board) Stats() BoardStats {
	d.mu.RLock()
	defer d.mu.RUnlock()
	s := d.counts
	refused := s.Refused
	s.Stats = d.m.Stats(d.now())
	s.Refused += refused
	return s
}

// tell queues a change for everybody who watches. The lock is held.
func (d *Board) tell(c Change) {
	for w := range d.watches {
		if w.put(c) {
			d.counts.Lagged++
		}
	}
}

// run speaks and listens until close.
func (d *Board) run() {
	defer close(d.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		wait := d.speak()
		timer.Reset(wait)
		select {
		case <-d.due:
		case <-timer.C:
		case data := <-d.heard:
			d.listen(data)
			for n := len(d.heard); n > 0; n-- { // what has come together is answered together
				d.listen(<-d.heard)
			}
		case <-d.stop:
			return
		}
	}
}

// listen takes one message.
func (d *Board) listen(data []byte) {
	m, err := board.Parse(data)
	if err != nil {
		d.mu.Lock()
		d.counts.Malformed++
		d.mu.Unlock()
		return
	}
	d.step(board.Heard{Message: m})
}

// speak does what is due, sends what there is to send and returns how long nothing is due.
func (d *Board) speak() time.Duration {
	d.mu.Lock()
	if !d.closed {
		if d.up != nil {
			d.stepLocked(board.Link{Up: d.up()})
		}
		d.stepLocked(board.Pass{})
	}
	wait, out := max(d.m.Deadline()-d.now(), 0), d.outbox
	d.outbox = nil
	d.mu.Unlock()
	failed := uint64(0)
	for _, s := range out {
		if d.carry(s.To, s.Message.Append(nil)) != nil { // who misses it sees a gap, and asks
			failed++
		}
	}
	if failed > 0 {
		d.mu.Lock()
		d.counts.Unsent += failed
		d.mu.Unlock()
	}
	return wait
}

// close says goodbye and ends the watches.
func (d *Board) close() {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return
	}
	d.stepLocked(board.End{})
	d.closed = true
	watches := slices.Collect(maps.Keys(d.watches))
	d.mu.Unlock()
	close(d.stop)
	<-d.ended
	d.speak()
	for _, w := range watches {
		w.Close()
	}
}
