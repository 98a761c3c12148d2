package call

import "time"

// An Event says what has happened, in the past tense. View is the call as it is right after the event; it is shared and
// must not be changed.
type Event struct {
	// Seq counts the events of one engine, from 1, without gaps.
	Seq    uint64         `json:"seq"`
	At     time.Time      `json:"at"`
	Kind   EventKind      `json:"kind"`
	Cause  Cause          `json:"cause,omitempty"`
	Reason RedirectReason `json:"reason,omitempty"` // for which a call was sent to To
	Call   CallID         `json:"call"`
	Party  PartyID        `json:"party,omitempty"`
	Leg    LegID          `json:"leg,omitempty"`
	// Other is the other call of PartyMoved, Transferred and Joined, OtherLeg its user's leg in it that ends.
	Other    CallID `json:"other,omitempty"`
	OtherLeg LegID  `json:"other_leg,omitempty"`
	// To is the number that a call was sent to (Forwarded, Redirected).
	To string `json:"to,omitempty"`
	// Digit is set for DigitHeard; it may be part of a PIN, so traces show it only to those who may see it.
	Digit string `json:"digit,omitempty"`
	// Slot is the park number of Parked and Retrieved.
	Slot string `json:"slot,omitempty"`
	// Device and Line are what LineChanged and DeviceChanged are about; Settings is what they have now. Call is zero there.
	Device   string    `json:"device,omitempty"`
	Line     LineID    `json:"line,omitzero"`
	Settings *Settings `json:"settings,omitempty"`
	// Why says in a sentence what MediaTrouble, ProtectionChanged and JoinFailed mean.
	Why  string `json:"why,omitempty"`
	View *View  `json:"view,omitempty"`
	// Record is set for LegDropped: what a record of the leg is made of.
	Record *LegRecord `json:"record,omitempty"`
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
	Transferred // Party has transferred by Leg, and leaves; Call stays, Other (of OtherLeg) ends. It comes before anybody moves
	CallEnded
	Parked            // Party waits at Slot
	Retrieved         // Party was fetched from Slot
	PickedUp          // Leg took a call that rang elsewhere
	Barged            // Leg joined a call of the line it shares
	ConferenceStarted // from here on the call is mixed
	ConferenceEnded   // at most two are left
	ProtectionChanged // View.Protection is another
	MediaTrouble      // what arrives on Leg cannot be authenticated, or nothing arrives; Why names it
	MediaGood         // the trouble of Leg is over
	LineChanged       // forwards of Line; Settings
	DeviceChanged     // do not disturb, privacy, hunt login of Device; Settings
	Forwarded         // Party's called line sent the call elsewhere; Why says by which rule
	EmergencyCallMade // Party is calling an emergency number
	Redirected        // Party sends the call to To by Leg, and leaves
	Joined            // the user of Leg has joined call Other, of OtherLeg, into Call. It comes before anybody moves
	PartyChanged      // at the other end of Leg, a tie, is somebody else now: Party has another identity
	Delivered         // Party has answered by Leg what Deliver had rung; whoever OtherLeg is leaves for it
	DeliverFailed     // Party, of a Deliver, could not be reached, or is not wanted any more: the call is as it was
	Guarded           // Party would be alone, since OtherLeg has left: it is kept and sent To
	Monitored         // Party has answered by Leg what Join had rung, and hears the call from here on
	Attended          // likewise, and talks with those of the call
	JoinFailed        // Party, of a Join, could not be reached, or may not hear the call; Why says it where the cause does not
)

// Settings are what users change by themselves and what overrides the configuration: of a line (LineChanged) its forwards, of a device
// (DeviceChanged) the rest. They are durable: whoever runs the engine keeps them and gives them back by requests after a restart.
type Settings struct {
	// Forwards are those that were set; a kind that is not there is as configured.
	Forwards     []SetForward `json:"forwards,omitempty"`
	DoNotDisturb bool         `json:"do_not_disturb,omitempty"`
	Privacy      bool         `json:"privacy,omitempty"`
	HuntOut      bool         `json:"hunt_out,omitempty"`
}

var eventNames = [...]string{"none", "CallCreated", "PartyAdded", "PartyMoved", "PartyHeld", "PartyResumed", "PartyDropped",
	"LegArrived", "LegRinging", "LegAlerted", "LegActive", "LegPassive", "LegDropped", "MixChanged", "DigitHeard",
	"Transferred", "CallEnded", "Parked", "Retrieved", "PickedUp", "Barged", "ConferenceStarted", "ConferenceEnded", "ProtectionChanged",
	"MediaTrouble", "MediaGood", "LineChanged", "DeviceChanged", "Forwarded", "EmergencyCallMade",
	"Redirected", "Joined", "PartyChanged", "Delivered", "DeliverFailed", "Guarded", "Monitored", "Attended", "JoinFailed"}

func (k EventKind) String() string { return enumName(eventNames[:], int(k)) }

// Known says whether k is one of the events above; they are numbered from one without gaps.
func (k EventKind) Known() bool { return int(k) < len(eventNames) }

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
	ID       CallID `json:"id"`
	GlobalID string `json:"global_id,omitempty"`
	// Named is what the application that asked for the call calls it and says of it; nil for all others.
	Named    *Named       `json:"named,omitempty"`
	Created  time.Time    `json:"created"`
	Answered time.Time    `json:"answered,omitzero"`
	Parties  []*PartyView `json:"parties,omitempty"`
	Mix      []Edge       `json:"mix,omitempty"`
	// Emergency says that an emergency number was called.
	Emergency bool `json:"emergency,omitempty"`
	Ended     bool `json:"ended,omitempty"`
	// Upstream is the call at another node of which this one is a part: it came over a tie, to ring exactly one device or trunk here. It stays
	// when the tie has gone.
	Upstream *Upstream `json:"upstream,omitempty"`
	// Room is the meet-me conference that the call is; nil for all others.
	Room *Spot `json:"room,omitempty"`
	// Protection is how well the whole call is protected, and if not, where and why.
	Protection Protection `json:"protection,omitzero"`
	// Left are, in the view of a call that has ended, the parties it had, each as it was when it left, by id: what a record
	// of the call is made of. The first maxLeft that left.
	Left []*PartyView `json:"left,omitempty"`
}

// maxLeft bounds Left, for calls that people join and leave all day.
const maxLeft = 32

// A PartyView is an immutable picture of one party.
type PartyView struct {
	ID       PartyID  `json:"id"`
	Line     LineID   `json:"line,omitzero"`
	Trunk    string   `json:"trunk,omitempty"`
	Identity Identity `json:"identity,omitzero"`
	Called   string   `json:"called,omitempty"`
	// Dialled is what the party has dialled, or an application for it: it is who calls. Empty for who was called.
	Dialled string `json:"dialled,omitempty"`
	// Redirections are the diversions by which the call came to the party, the newest last: the first is from whom it was for originally.
	Redirections []Redirection `json:"redirections,omitempty"`
	Held         bool          `json:"held,omitempty"`
	// Purpose says for what an application has had the party's phone rung; none for everybody else.
	Purpose Purpose `json:"purpose,omitempty"`
	// Parked is where the party waits; nil for who is not parked.
	Parked *Spot `json:"parked,omitempty"`
	// Parker is the line and device that parked it, where it was one of ours.
	Parker *Parker   `json:"parker,omitempty"`
	Legs   []LegView `json:"legs,omitempty"`
}

// Slot is the park number at which the party waits, empty if it is not parked.
func (p *PartyView) Slot() string {
	if p.Parked == nil {
		return ""
	}
	return p.Parked.Number
}

// Original is who the call was for before it was first sent on: the party itself where it never was. Line is zero for who has none here.
func (p *PartyView) Original() (who Identity, line LineID) {
	if len(p.Redirections) == 0 || p.Redirections[0].Reset {
		return p.Identity, p.Line
	}
	return p.Redirections[0].From, p.Redirections[0].Line
}

// Named is what an application calls a call that it has asked for (MakeCall), and says of it. The engine makes nothing of either: they stand in every
// picture of the call, also after a transfer that it outlives. Nobody may change it.
type Named struct {
	Tag      uint64 `json:"tag,omitempty"`
	UserData []byte `json:"user_data,omitempty"`
}

// Tag is the name that an application has given the call; zero where none has.
func (v *View) Tag() uint64 { return v.Named.tag() }

func (n *Named) tag() uint64 {
	if n == nil {
		return 0
	}
	return n.Tag
}

// An Upstream names the call at Node that rings something at another node: Call is zero where it was not said, Tag where it has none.
type Upstream struct {
	Node string `json:"node"`
	Call CallID `json:"call,omitempty"`
	Tag  uint64 `json:"tag,omitempty"`
}

// A Purpose is for what a phone was rung in the name of its user, by an application.
type Purpose uint8

// The purposes.
const (
	PurposeNone       Purpose = iota
	PurposeCall               // to make a call
	PurposeRetrieve           // to fetch who is parked
	PurposePickup             // to answer what rings elsewhere
	PurposeTakeOver           // to go on with what another phone of the line holds
	PurposeBarge              // to come into the call of another phone of the line
	PurposeConference         // to call somebody who is to come into a conference
	PurposeListen             // to hear a call, see Join
	PurposeJoin               // to talk with those of a call, see Join
)

var purposeNames = [...]string{"none", "call", "retrieve", "pickup", "take-over", "barge", "conference", "listen", "join"}

func (p Purpose) String() string { return enumName(purposeNames[:], int(p)) }

// MarshalText writes the name.
func (p Purpose) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name.
func (p *Purpose) UnmarshalText(b []byte) error {
	n, err := enumValue("purpose", purposeNames[:], b)
	*p = Purpose(n)
	return err
}

// A Parker is who has parked somebody.
type Parker struct {
	Device string `json:"device"`
	Line   LineID `json:"line,omitzero"`
}

// A Spot is where a call waits or meets: a park number with its range, or the number of a meet-me conference with the conference's name.
type Spot struct {
	Range  string `json:"range"`
	Number string `json:"number"`
}

// A LegView is an immutable picture of one leg.
type LegView struct {
	ID       LegID    `json:"id"`
	State    LegState `json:"state"`
	Incoming bool     `json:"incoming,omitempty"`
	Security Security `json:"security,omitempty"`
	Anchored bool     `json:"anchored,omitempty"`
	Trust    Trust    `json:"trust,omitempty"`
	Proof    Proof    `json:"proof,omitempty"`
	// Lock is how well this leg alone is protected.
	Lock   Lock   `json:"lock,omitempty"`
	Device string `json:"device,omitempty"`
	Trunk  string `json:"trunk,omitempty"`
	Applet string `json:"applet,omitempty"`
	// Node is where Device or Trunk is, or what else the leg leads to: the leg is a tie to another node.
	Node string `json:"node,omitempty"`
	// Consults is the leg of the same device that was put on hold for this one, by an application (MakeCall.From).
	Consults LegID `json:"consults,omitempty"`
	// Far is, of a tie that came in, the leg at Node that is its other end; zero where that is not known.
	Far LegID `json:"far,omitempty"`
	// Quality is nil until it was measured.
	Quality *Quality `json:"quality,omitempty"`
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
