package projection

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A Handle names a leg as an application sees it, for as long as it lasts: callManagerID and callLegID of CTIQBE.
type Handle struct {
	CallManager uint32 `json:"call_manager"`
	Leg         uint32 `json:"leg"`
}

// A GCH is a global call handle: the name of a call, the same at all its ends. It changes when calls are joined.
type GCH struct {
	CallManager uint32 `json:"call_manager"`
	Call        uint32 `json:"call"`
}

// A Party is somebody in a call. Equal parties are equal values everywhere: a client takes a number with a partition and the same number
// without for two parties.
type Party struct {
	Number    string `json:"number,omitempty"`
	Partition string `json:"partition,omitempty"`
	Name      string `json:"name,omitempty"`
	// Restricted says that neither name nor number is to be shown to the user.
	Restricted bool `json:"restricted,omitempty"`
	// Device is the device it is on; empty where there is none, or none yet.
	Device string `json:"device,omitempty"`
	// External says that it is outside of this site.
	External bool `json:"external,omitempty"`
}

// Same says whether two are the same party, whatever it is called or on which device it is.
func (p Party) Same(q Party) bool { return p.Number == q.Number && p.Partition == q.Partition }

// A Kind says what an Event is about.
type Kind uint8

// The kinds.
const (
	KindNone          Kind = iota
	NewCall                // a leg is there: state, origin, parties
	ExistingCall           // a leg was there before somebody looked
	StateChanged           // State; after CallIdle nothing more comes of the leg
	PartiesChanged         // Calling, Called, Original, LastRedirecting
	GCHChanged             // GCH is the new one, OldGCH the one before
	TransferStarted        // Merge
	TransferEnded          // Merge, Success
	ConferenceStarted      // Merge
	ConferenceEnded        // Merge, Success
	ConferenceChanged      // Conference
	ParkChanged            // Park
	SecurityChanged        // Security
	DigitHeard             // Digit
	PrivacyChanged         // Private
	BargeStarted           // somebody who shares the line joins the call: Merge
	BargeEnded
	CallClosed         // the engine that had the call is gone: nobody knows what became of it
	DeviceStateChanged // DeviceState
	DNDChanged         // On
	ForwardChanged     // Forwards
	HuntLoginChanged   // On
	Gap                // what happened at Node for a while is not known; Why. What follows are the differences
)

var kindNames = [...]string{"none", "new-call", "existing-call", "state", "parties", "gch", "transfer-started", "transfer-ended", "conference-started",
	"conference-ended", "conference-changed", "park", "security", "digit", "privacy", "barge-started", "barge-ended", "call-closed", "device-state",
	"do-not-disturb", "forward", "hunt-login", "gap"}

func (k Kind) String() string { return kindNames[min(int(k), len(kindNames)-1)] }

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// An Event is one thing that an application which has opened the line, or the device, is told. What a kind does not use is zero.
type Event struct {
	// Seq numbers the events of a Machine, from 1, without gaps.
	Seq  uint64 `json:"seq"`
	Kind Kind   `json:"kind"`
	// Device and Line are where it is seen: both for what is about a leg, Line alone for forwards, Device alone for its own settings.
	Device string      `json:"device,omitempty"`
	Line   call.LineID `json:"line,omitzero"`
	// Node and Engine are whose calls these are; with them Call and Leg name the engine's own. Leg is zero for a device that shares the line
	// and has no leg.
	Node   string      `json:"node,omitempty"`
	Engine string      `json:"engine,omitempty"`
	Call   call.CallID `json:"call,omitempty"`
	Leg    call.LegID  `json:"leg,omitempty"`

	Handle Handle `json:"handle,omitzero"`
	GCH    GCH    `json:"gch,omitzero"`
	OldGCH GCH    `json:"old_gch,omitzero"`
	// Parent is the call for which this one is a consultation.
	Parent GCH `json:"parent,omitzero"`
	// UserData is what the application that made the call says of it.
	UserData []byte `json:"userData,omitempty"`

	State  ctiqbe.CallState  `json:"state,omitempty"`
	Cause  ctiqbe.Cause      `json:"cause,omitempty"`
	Reason ctiqbe.CallReason `json:"reason,omitempty"`
	Origin ctiqbe.CallOrigin `json:"origin,omitempty"`

	Calling         Party `json:"calling,omitzero"`
	Called          Party `json:"called,omitzero"`
	Original        Party `json:"original,omitzero"`
	LastRedirecting Party `json:"last_redirecting,omitzero"`
	// CallingChanged and CalledChanged say which of the two PartiesChanged is about.
	CallingChanged bool `json:"calling_changed,omitempty"`
	CalledChanged  bool `json:"called_changed,omitempty"`

	// RemoteInUse says that another device which shares the line has the call, Private that its user does not let others see or join it.
	RemoteInUse bool                      `json:"remote_in_use,omitempty"`
	Private     bool                      `json:"private,omitempty"`
	Security    ctiqbe.CallSecurityStatus `json:"security,omitempty"`

	Digit       string             `json:"digit,omitempty"`
	On          bool               `json:"on,omitempty"`
	DeviceState ctiqbe.DeviceState `json:"device_state,omitempty"`
	Why         string             `json:"why,omitempty"`

	// Merge is shared and must not be changed, like all that follows.
	Merge      *Merge            `json:"merge,omitempty"`
	Success    bool              `json:"success,omitempty"`
	Conference *Conference       `json:"conference,omitempty"`
	Park       *Park             `json:"park,omitempty"`
	Forwards   []call.SetForward `json:"forwards,omitempty"`
}

// A Merge is what joins two calls into one: a transfer, a conference, a barge. All observed lines of both calls are told.
type Merge struct {
	// ID names it in its start and its end.
	ID         uint32 `json:"id"`
	Controller Party  `json:"controller"`
	// Surviving is the call that stays, Others are those that end in it.
	Surviving GCH   `json:"surviving"`
	Others    []GCH `json:"others,omitempty"`
	// Final is the controller's leg in the surviving call, Other its leg in the call that ends; zero where there is none.
	Final Handle `json:"final,omitzero"`
	Other Handle `json:"other,omitzero"`
	// Idle are legs of the line told that are over with it.
	Idle []Handle `json:"idle,omitempty"`
}

// A Conference is who is in one.
type Conference struct {
	ID uint32 `json:"id"`
	// Change says what has become of Changed: added, removed, or told otherwise than before.
	Change     ctiqbe.ConferenceModifyStatus `json:"change"`
	Changed    Participant                   `json:"changed"`
	Others     []Participant                 `json:"others,omitempty"`
	Controller Participant                   `json:"controller,omitzero"`
	Idle       []Handle                      `json:"idle,omitempty"`
}

// A Participant is one party of a conference. Handle is by what it can be dropped.
type Participant struct {
	Party  Party            `json:"party"`
	Handle Handle           `json:"handle"`
	State  ctiqbe.CallState `json:"state,omitempty"`
}

// A Park is where somebody waits, or has waited, to be fetched.
type Park struct {
	// At is the park number.
	At Party `json:"at"`
	// Parked is who waits. Line and Device of the event are those of whoever parked.
	Parked Party             `json:"parked"`
	Status ctiqbe.ParkStatus `json:"status"`
	// Transaction names this parking.
	Transaction string `json:"transaction"`
}
