package call

import "time"

// An Event says what has happened, in the past tense. View is the call as it is right after the event; it is shared and
// must not be changed.
type Event struct {
	// Seq counts the events of one engine, from 1, without gaps.
	Seq   uint64    `json:"seq"`
	At    time.Time `json:"at"`
	Kind  EventKind `json:"kind"`
	Call  CallID    `json:"call"`
	Party PartyID   `json:"party,omitempty"`
	Leg   LegID     `json:"leg,omitempty"`
	Cause Cause     `json:"cause,omitempty"`
	// Other is the other call of PartyMoved and Transferred.
	Other CallID `json:"other,omitempty"`
	// Digit is set for DigitHeard; it may be part of a PIN, so traces show it only to those who may see it.
	Digit string `json:"digit,omitempty"`
	View  *View  `json:"view,omitempty"`
}

// An EventKind is the name of an event.
type EventKind uint8

// The events. CallEnded is the last one of every call.
const (
	EventNone EventKind = iota
	CallCreated
	PartyAdded
	PartyMoved // to Call, from Other
	PartyHeld  // its user has put the far side on hold
	PartyResumed
	PartyDropped
	LegArrived // a leg came in and waits for its answer
	LegRinging // a leg is being offered to a device or trunk
	LegAlerted // the far end of a ringing leg says that it rings
	LegActive
	LegPassive // another device of the line has the call
	LegDropped
	MixChanged
	DigitHeard
	Transferred // Party is the one that left, Other the call it came from or went to
	CallEnded
)

var eventNames = [...]string{"none", "CallCreated", "PartyAdded", "PartyMoved", "PartyHeld", "PartyResumed", "PartyDropped",
	"LegArrived", "LegRinging", "LegAlerted", "LegActive", "LegPassive", "LegDropped", "MixChanged", "DigitHeard",
	"Transferred", "CallEnded"}

func (k EventKind) String() string { return enumName(eventNames[:], int(k)) }

// MarshalText writes the name.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *EventKind) UnmarshalText(b []byte) error {
	n, err := enumValue("event", eventNames[:], b)
	*k = EventKind(n)
	return err
}

// A View is an immutable picture of one call.
type View struct {
	ID       CallID       `json:"id"`
	GlobalID string       `json:"global_id,omitempty"`
	Created  time.Time    `json:"created"`
	Answered time.Time    `json:"answered,omitzero"`
	Parties  []*PartyView `json:"parties,omitempty"`
	Mix      []Edge       `json:"mix,omitempty"`
	Ended    bool         `json:"ended,omitempty"`
	// Left are, in the view of a call that has ended, the parties it had, each as it was when it left, by id: what a record
	// of the call is made of. The first maxLeft that left.
	Left []*PartyView `json:"left,omitempty"`
}

// maxLeft bounds Left, for calls that people join and leave all day.
const maxLeft = 32

// A PartyView is an immutable picture of one party.
type PartyView struct {
	ID       PartyID   `json:"id"`
	Line     LineID    `json:"line,omitzero"`
	Trunk    string    `json:"trunk,omitempty"`
	Identity Identity  `json:"identity,omitzero"`
	Called   string    `json:"called,omitempty"`
	Held     bool      `json:"held,omitempty"`
	Legs     []LegView `json:"legs,omitempty"`
}

// A LegView is an immutable picture of one leg.
type LegView struct {
	ID       LegID    `json:"id"`
	State    LegState `json:"state"`
	Incoming bool     `json:"incoming,omitempty"`
	Device   string   `json:"device,omitempty"`
	Trunk    string   `json:"trunk,omitempty"`
	Applet   string   `json:"applet,omitempty"`
	Security Security `json:"security,omitempty"`
	Anchored bool     `json:"anchored,omitempty"`
}

// A LegState is where a leg stands.
type LegState uint8

// The states. Every leg that rang ends in exactly one of active, passive, dropped; a passive leg has no dialog on the wire.
const (
	LegNew       LegState = iota
	LegWaiting            // came in, not answered by us yet
	LegOffering           // sent out, the far end has not said that it rings
	LegIsRinging          // the far end rings
	LegIsActive
	LegIsPassive
	LegIsDropped
)

var legStateNames = [...]string{"new", "waiting", "offering", "ringing", "active", "passive", "dropped"}

func (s LegState) String() string { return enumName(legStateNames[:], int(s)) }

// MarshalText writes the name.
func (s LegState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *LegState) UnmarshalText(b []byte) error {
	n, err := enumValue("leg state", legStateNames[:], b)
	*s = LegState(n)
	return err
}
