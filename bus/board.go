package bus

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// A Fact is something a node says of itself: it holds as long as its owner says so and lives.
type Fact struct {
	// Owner is the node that says it.
	Owner string `json:"owner"`
	// Kind is what it is about (registration, trunk, call), Key which one of these.
	Kind string `json:"kind"`
	Key  string `json:"key"`
	// Claim is a Lamport clock: of the facts of two owners under one kind and key the one with the higher claim is newer,
	// of equal claims that of the owner whose name is higher. A fact put again gets a new claim.
	Claim uint64 `json:"claim"`
	// Exclusive facts have one owner: see Take.
	Exclusive bool `json:"exclusive,omitempty"`
	// Value is the JSON of what Put or Take was given; Value reads it. It is shared: nobody changes it.
	Value json.RawMessage `json:"value,omitempty"`
}

// Newer reports whether the fact outranks another one under the same kind and key.
func (f Fact) Newer(other Fact) bool { return newestFirst(f, other) < 0 }

func newestFirst(a, b Fact) int {
	return cmp.Or(cmp.Compare(b.Claim, a.Claim), cmp.Compare(b.Owner, a.Owner))
}

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
type Board struct {
	node string

	mu      sync.RWMutex
	clock   uint64
	own     map[string]map[string]Fact // by kind and key
	self    Member
	watches map[*BoardWatch]struct{}
	closed  bool
}

func newBoard(node string) *Board {
	return &Board{node: node, own: map[string]map[string]Fact{}, watches: map[*BoardWatch]struct{}{},
		self: Member{Name: node, Alive: true, Self: true, Since: time.Now(), Incarnation: 1}}
}

// Board is the facts board of the bus.
func (b *Bus) Board() *Board { return b.board }

// Put says a fact of this node, or says it anew with another value. Several nodes may have a fact under one kind and key.
// The claim is higher than any seen. It is 0, and nothing is said, when v cannot be encoded or is larger than MaxFact.
func Put[T any](d *Board, kind, key string, v T) (claim uint64) { return put(d, kind, key, v, false) }

// Take is Put for what only one node can have at a time: as soon as nodes hear of each other the fact with the highest
// claim stays, and its other owners drop theirs: they are told by a Change with Gone and TakenBy.
func Take[T any](d *Board, kind, key string, v T) (claim uint64) { return put(d, kind, key, v, true) }

// MaxFact bounds the encoded value of one fact, in bytes.
const MaxFact = 64 << 10

func put[T any](d *Board, kind, key string, v T, exclusive bool) uint64 {
	data, err := json.Marshal(v)
	if err != nil || len(data) > MaxFact {
		return 0
	}
	return d.put(Fact{Owner: d.node, Kind: kind, Key: key, Exclusive: exclusive, Value: data})
}

func (d *Board) put(f Fact) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return 0
	}
	d.clock++
	f.Claim = d.clock
	if d.own[f.Kind] == nil {
		d.own[f.Kind] = map[string]Fact{}
	}
	d.own[f.Kind][f.Key] = f
	d.tell(Change{Fact: f})
	return f.Claim
}

// Drop ends a fact of this node; without it nothing happens.
func (d *Board) Drop(kind, key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, there := d.own[kind][key]
	if !there || d.closed {
		return
	}
	delete(d.own[kind], key)
	d.tell(Change{Fact: f, Gone: true})
}

// Of returns the facts under a kind and key of all live nodes, the newest claim first.
func (d *Board) Of(kind, key string) []Fact {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if f, there := d.own[kind][key]; there {
		return []Fact{f}
	}
	return nil
}

// All returns the facts of a kind of all live nodes, by key, the newest claim of each first.
func (d *Board) All(kind string) []Fact {
	d.mu.RLock()
	out := slices.Collect(maps.Values(d.own[kind]))
	d.mu.RUnlock()
	slices.SortFunc(out, func(a, b Fact) int { return cmp.Or(cmp.Compare(a.Key, b.Key), newestFirst(a, b)) })
	return out
}

// Nodes returns this node and every other one it has heard of since it started, by name.
func (d *Board) Nodes() []Member {
	d.mu.RLock()
	defer d.mu.RUnlock()
	self := d.self
	for _, facts := range d.own {
		self.Facts += len(facts)
	}
	return []Member{self}
}

// tell queues a change for everybody who watches. The lock is held.
func (d *Board) tell(c Change) {
	for w := range d.watches {
		w.put(c)
	}
}

func (d *Board) close() {
	d.mu.Lock()
	d.closed = true
	watches := slices.Collect(maps.Keys(d.watches))
	d.mu.Unlock()
	for _, w := range watches {
		w.Close()
	}
}
