package board

import (
	"cmp"
	"encoding/json"
	"strconv"
	"strings"
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
	// Exclusive facts have one owner: the others drop theirs when they hear of a newer one.
	Exclusive bool `json:"exclusive,omitempty"`
	// Value is JSON. It is shared: nobody changes it.
	Value json.RawMessage `json:"value,omitempty"`
}

// Newer reports whether the fact outranks another one under the same kind and key.
func (f Fact) Newer(other Fact) bool { return NewestFirst(f, other) < 0 }

// NewestFirst compares facts under one kind and key.
func NewestFirst(a, b Fact) int {
	return cmp.Or(cmp.Compare(b.Claim, a.Claim), cmp.Compare(b.Owner, a.Owner))
}

// Life is one stretch of time in which a node speaks.
type Life struct {
	Number  uint64 // rises with every life of the node
	Process uint64 // random mark of the process
}

func (l Life) String() string {
	return strconv.FormatUint(l.Number, 10) + "/" + strconv.FormatUint(l.Process, 16)
}

// ParseLife reads what String wrote.
func ParseLife(s string) (l Life, err error) {
	number, process, _ := strings.Cut(s, "/")
	if l.Number, err = strconv.ParseUint(number, 10, 64); err == nil {
		l.Process, err = strconv.ParseUint(process, 16, 64)
	}
	return l, err
}

// MessageKind says what a message is.
type MessageKind uint8

// The kinds of messages: see the package comment.
const (
	Beat MessageKind = iota + 1
	Leave
	Delta
	Ask
	Part
	Stale
)

func (k MessageKind) String() string {
	switch k {
	case Beat:
		return "beat"
	case Leave:
		return "leave"
	case Delta:
		return "delta"
	case Ask:
		return "ask"
	case Part:
		return "part"
	case Stale:
		return "stale"
	}
	return "kind " + strconv.Itoa(int(k))
}

// Message is what nodes say to each other.
type Message struct {
	Kind MessageKind
	From string
	Life Life // of From
	// Seq is the number of the owner's last operation (Beat), of the first one in Ops (Delta), of the last one the facts
	// contain (Part).
	Seq   uint64
	Clock uint64 // of From
	// To is the life the message is about: of the owner (Ask, Stale) or of the asker (Part).
	To Life
	// Asking is the number of the question: the asker's (Ask), repeated by the owner (Part).
	Asking uint64
	// Part is the first part wanted (Ask) or which one this is (Part), of Parts.
	Part, Parts uint32
	Ops         []Op
}

// An Op is one thing an owner says: a fact, or that it does not hold any more.
type Op struct {
	Fact Fact
	Gone bool
}

// size is about what the operation takes on the wire.
func (o Op) size() int { return len(o.Fact.Kind) + len(o.Fact.Key) + len(o.Fact.Value) + 24 }

// Send is a message on its way.
type Send struct {
	To      string // a node; empty: all others
	Message Message
}
