package ctiqbe

import (
	"fmt"
	"slices"
)

//go:generate go run ./gen . ../../docs/wire/ctiqbe.md

// PDU is the number of a message.
type PDU uint32

// Direction tells who sends a PDU.
type Direction uint8

// The directions.
const (
	FromNobody Direction = iota // the number is not known
	FromClient
	FromServer
	FromBoth
)

// shape is what the schema tells of a PDU besides its fields.
type shape struct {
	name      string
	direction Direction
	fixed     uint16 // bytes of the fixed area, in the newest protocol version
	fixed10   uint16 // the same in Version11
	make      func() Message
	answer    PDU
	unseen    bool
}

func (p PDU) shape() shape {
	if int64(p) < int64(len(shapes)) {
		return shapes[p]
	}
	return shape{}
}

// String is the name of the message, such as ProviderOpenRequest.
func (p PDU) String() string {
	if s := p.shape(); s.name != "" {
		return s.name
	}
	return fmt.Sprintf("PDU(%d)", uint32(p))
}

// MarshalText is String, for JSON.
func (p PDU) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// Direction tells who sends it.
func (p PDU) Direction() Direction { return p.shape().direction }

// Answer is the number of the response to a request; false for what is no request.
func (p PDU) Answer() (PDU, bool) {
	s := p.shape()
	return s.answer, s.answer != 0
}

// Unseen tells of a number that the field has reserved and whose fields nobody has seen.
func (p PDU) Unseen() bool { return p.shape().unseen }

// All lists every known PDU by its number.
func All() []PDU {
	var all []PDU
	for n := range shapes {
		if shapes[n].name != "" {
			all = append(all, PDU(n))
		}
	}
	return all
}

// Message is a pointer to one of the structs of this package, or *Unknown.
type Message interface {
	PDU() PDU
	code(*coder)
}

// New makes an empty message of that number.
func New(p PDU) (Message, bool) {
	s := p.shape()
	if s.make == nil {
		return nil, false
	}
	return s.make(), true
}

// Unknown is a message whose number this package does not know. It is no error: a newer peer may send it, and a server
// answers it by SequenceNumber, the first field of every request.
type Unknown struct {
	Number         PDU
	SequenceNumber uint32 // the first four bytes of the fixed area; 0 where there are none
	Raw            []byte // everything behind the head
}

// PDU is the number of the frame.
func (u *Unknown) PDU() PDU { return u.Number }

func (u *Unknown) code(*coder)       {}
func (u *Unknown) sequence() *uint32 { return &u.SequenceNumber }

// Sequence is the number that ties a response to its request; false for events, which carry none, and for a heartbeat.
func Sequence(m Message) (uint32, bool) {
	if s, ok := m.(interface{ sequence() *uint32 }); ok {
		return *s.sequence(), true
	}
	return 0, false
}

// SetSequence gives a request or response its number; false for what has none.
func SetSequence(m Message, n uint32) bool {
	s, ok := m.(interface{ sequence() *uint32 })
	if ok {
		*s.sequence() = n
	}
	return ok
}

// ResultOf is the result of a response; false for what is no response.
func ResultOf(m Message) (Result, bool) {
	if r, ok := m.(interface{ result() *Result }); ok {
		return *r.result(), true
	}
	return 0, false
}

// Respond makes the response to a request, with its sequence number and the result; false where the request has none.
func Respond(request Message, r Result) (Message, bool) {
	p, ok := request.PDU().Answer()
	if !ok {
		return nil, false
	}
	m, _ := New(p)
	n, _ := Sequence(request)
	SetSequence(m, n)
	if to, ok := m.(interface{ result() *Result }); ok {
		*to.result() = r
	}
	return m, true
}

// Result is the outcome of a request: 0 is success, all else an error value of the field. It is an error itself.
type Result uint32

// OK is success.
const OK Result = 0

// String is the field's name of the value, such as CTIERR_CONNECTION_ON_INVALID_PORT.
func (r Result) String() string {
	if r == OK {
		return "OK"
	}
	return namesResult.of("Result", uint32(r))
}

// Error is the name with the number, which is what the field's documents index.
func (r Result) Error() string { return fmt.Sprintf("%s (0x%08X)", r.String(), uint32(r)) }

// MarshalText is String, for JSON.
func (r Result) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Results lists every error value by its number.
func Results() []Result {
	var all []Result
	for _, n := range namesResult {
		all = append(all, Result(n.value))
	}
	return all
}

// names are the names of an enumeration's values, sorted by value.
type names []struct {
	value uint32
	name  string
}

func (n names) of(kind string, value uint32) string {
	at, found := slices.BinarySearchFunc(n, value, func(e struct {
		value uint32
		name  string
	}, v uint32) int {
		switch {
		case e.value < v:
			return -1
		case e.value > v:
			return 1
		}
		return 0
	})
	if found {
		return n[at].name
	}
	return fmt.Sprintf("%s(%d)", kind, value)
}
