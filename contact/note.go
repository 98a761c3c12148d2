package contact

import (
	"time"

	"github.com/locktone/locktone/call"
)

// An Order is a Label that was not asked for.
type Order struct {
	Call  CallID `json:"call"`
	Label Label  `json:"label"`
}

// A Taken answers an Order.
type Taken uint8

// The answers.
const (
	UnknownCall Taken = iota // the call has ended, or was never there
	OldLabel                 // a Label with this Serial or a higher one was taken before
	OrderTaken               // it is under way: Notes say what becomes of it
	BadLabel                 // what the Label asks cannot be done as it stands (Label.Check)
)

var takenNames = [...]string{"unknown-call", "old-label", "taken", "bad-label"}

func (t Taken) String() string { return name(takenNames[:], int(t)) }

// MarshalText writes the name.
func (t Taken) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the name.
func (t *Taken) UnmarshalText(b []byte) error {
	n, err := value("answer to an order", takenNames[:], b)
	*t = Taken(n)
	return err
}

// A TakenAnswer is a Taken as the bus carries it, with a sentence for people where it was not taken.
type TakenAnswer struct {
	Taken Taken  `json:"taken"`
	Why   string `json:"why,omitempty"`
}

// A NoteKind says what has become of a Label.
type NoteKind uint8

// The kinds. All but NoteRinging end their Label.
const (
	NoteRinging    NoteKind = iota // the number of a Connect rings
	NoteTreated                    // the Steps are done: a Query with Step follows
	NoteConnected                  // the caller is connected to the number
	NoteFailed                     // it could not be done: Cause. A Query follows that says so
	NoteSuperseded                 // another Label has taken its place
	NoteEnded                      // the call has ended: By, Cause. No other Note of the call follows
)

var noteNames = [...]string{"ringing", "treated", "connected", "failed", "superseded", "ended"}

func (k NoteKind) String() string { return name(noteNames[:], int(k)) }

// MarshalText writes the name.
func (k NoteKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *NoteKind) UnmarshalText(b []byte) error {
	n, err := value("kind of note", noteNames[:], b)
	*k = NoteKind(n)
	return err
}

// A Side says who did something.
type Side uint8

// The sides.
const (
	ByServer Side = iota // the call server, or a Label
	ByCaller             // the caller
	ByFar                // whoever the caller was connected to
)

var sideNames = [...]string{"server", "caller", "far"}

func (s Side) String() string { return name(sideNames[:], int(s)) }

// MarshalText writes the name.
func (s Side) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *Side) UnmarshalText(b []byte) error {
	n, err := value("side", sideNames[:], b)
	*s = Side(n)
	return err
}

// A Note tells what has become of a Label of a call, or that a call has ended.
type Note struct {
	// Server and Life are the call server that publishes it; Seq counts its Notes from 1 without a gap.
	Server string `json:"server"`
	Life   uint64 `json:"life"`
	Seq    uint64 `json:"seq"`
	Call   CallID `json:"call"`
	// Serial is the Label; of NoteEnded the last one taken, zero where there was none.
	Serial uint64   `json:"serial,omitempty"`
	Kind   NoteKind `json:"kind"`
	// Number is that of the Label's Connect.
	Number string     `json:"number,omitempty"`
	Cause  call.Cause `json:"cause,omitempty"`
	By     Side       `json:"by,omitempty"`
	At     time.Time  `json:"at"`
}

// A CallsRequest asks a call server for all its calls.
type CallsRequest struct{}

// Calls are all live calls of a call server. Seq is the last Note that was published before they were written down.
type Calls struct {
	Server string     `json:"server"`
	Life   uint64     `json:"life"`
	Seq    uint64     `json:"seq"`
	Calls  []Standing `json:"calls,omitempty"`
}
