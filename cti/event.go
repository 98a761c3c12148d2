package cti

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// LineID names a line of a device: what stays the same at any manager.
type LineID struct {
	Device    string // such as SEP001122334455
	Number    string
	Partition string // "" where the numbers of the devices are without
}

// String is NUMBER@DEVICE.
func (l LineID) String() string { return l.Number + "@" + l.Device }

// CallID names a call on a line: a leg. It is the same at every manager of a site.
type CallID struct {
	Node uint32 // callManagerID
	Leg  uint32
}

// GlobalCallID names a call whichever line it is looked at from. It changes when calls are merged.
type GlobalCallID struct {
	Node uint32
	Call uint32
}

// Party is somebody in a call.
type Party struct {
	Number    string
	Name      string
	Partition string
}

// String is the number, with the name where there is one.
func (p Party) String() string {
	if p.Name == "" {
		return p.Number
	}
	return p.Number + " (" + p.Name + ")"
}

// Call is a picture of a call on a line at one moment.
type Call struct {
	ID       CallID
	Global   GlobalCallID
	Line     LineID
	State    ctiqbe.CallState
	Origin   ctiqbe.CallOrigin
	Reason   ctiqbe.CallReason // why it came to be as it is
	Cause    ctiqbe.Cause      // with State Disconnected and Idle
	Security ctiqbe.CallSecurityStatus
	// Remote: a shared line's call that another device holds. It can be seen, and not be controlled.
	Remote                                    bool
	Calling, Called, Original, LastRedirected Party
	UserData                                  []byte
}

// Outgoing tells whether this line made the call.
func (c Call) Outgoing() bool {
	return c.Origin >= ctiqbe.CallOriginOutbound && c.Origin <= ctiqbe.CallOriginOutboundPark
}

// Peer is the other side as a person would name it.
func (c Call) Peer() Party {
	if c.Outgoing() {
		return c.Called
	}
	return c.Calling
}

// Event is one of the types below. A switch over them is how an application hears.
type Event interface{ isEvent() }

// LinkLost says that the manager in use is gone. What an application knows stays as it was until the Gap.
type LinkLost struct {
	At      time.Time
	Manager string // its address
	Err     error
}

// Gap says that there was a time in which nothing was heard: events between From and To are missing. It comes once, when
// there is a connection again and everything was opened again; behind it come, marked Snapshot, the differences between
// what was known and what is.
type Gap struct {
	From, To time.Time
	Before   string // the manager's address
	Manager  string // the manager's address now
	Cause    error  // why; ErrLagged where the application itself did not read
	// Lost are lines that could not be opened again, each with its error. They are closed.
	Lost []LostLine
}

// LostLine is a line that could not be opened again.
type LostLine struct {
	Line LineID
	Err  error
}

// Closed is the last event: the provider has ended. Err is nil where the application closed it.
type Closed struct{ Err error }

// NewCall is a call that appeared on a line.
type NewCall struct {
	Call     Call
	Snapshot bool // it was there before: on opening the line, or after a Gap
}

// CallChanged is a call in another state.
type CallChanged struct {
	Call     Call
	Before   ctiqbe.CallState
	Snapshot bool
}

// PartiesChanged is a call with other parties.
type PartiesChanged struct {
	Call     Call
	Snapshot bool
}

// GlobalChanged is a call that became part of another: a transfer or a conference.
type GlobalChanged struct {
	Call   Call
	Before GlobalCallID
}

// CallEnded is a call that is over on its line.
type CallEnded struct {
	Call     Call
	Snapshot bool
}

// Transfer is the begin and the end of a transfer on a line.
type Transfer struct {
	Line             LineID
	Ended            bool
	Success          bool         // with Ended
	Surviving, Other GlobalCallID // at the begin
}

// Conference is the begin and the end of a conference being made on a line.
type Conference struct {
	Line      LineID
	Ended     bool
	Success   bool         // with Ended
	Surviving GlobalCallID // at the begin
}

// Participant is one of a conference.
type Participant struct {
	Party Party
	Call  CallID // what DropParty takes
}

// ConferenceChanged is who is in a conference.
type ConferenceChanged struct {
	Call         Call
	Status       ctiqbe.ConferenceModifyStatus
	Changed      Participant
	Participants []Participant
}

// Digit is a DTMF digit that the line heard.
type Digit struct {
	Call  Call
	Digit byte // '0' to '9', 'A' to 'D', '*', '#'
}

// MediaWanted asks where the media of a call of a port is to come to; SetMedia answers.
type MediaWanted struct {
	Device  string
	Call    CallID
	Payload ctiqbe.MediaPayload
	Packet  time.Duration // speech in one packet
}

// Media is speech that starts or stops. The address is where the stream goes to.
type Media struct {
	Device  string
	Call    CallID
	Start   bool
	Receive bool // towards the device
	Address netip.AddrPort
	Payload ctiqbe.MediaPayload
	Packet  time.Duration // speech in one packet
}

// Key is a key of a stream, for users with the right to it on the secure port.
type Key struct {
	Device    string
	Call      CallID
	Receive   bool
	Indicator ctiqbe.SecurityIndicator
	Algorithm ctiqbe.MediaEncryption
	Material  KeyMaterial
}

// KeyMaterial is key and salt. It does not print.
type KeyMaterial struct{ key, salt []byte }

// Reveal is the key and the salt.
func (k KeyMaterial) Reveal() (key, salt []byte) { return k.key, k.salt }

// String hides the key.
func (KeyMaterial) String() string { return "[redacted]" }

// GoString hides the key from %#v.
func (KeyMaterial) GoString() string { return "[redacted]" }

// Format hides the key from every other verb.
func (KeyMaterial) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// ServiceChanged is a device, or one of its lines, that came into service or left it.
type ServiceChanged struct {
	Device    string
	Line      LineID // the zero LineID where it is the whole device
	InService bool
	Why       string // out of service: the reason in the field's words
}

// DeviceChanged is a device of the user that registered or unregistered, came or went.
type DeviceChanged struct {
	Device  string
	Removed bool
}

// Parked is what became of a parked call, for lines that asked.
type Parked struct {
	Line   LineID
	Global GlobalCallID
	Status ctiqbe.ParkStatus
	Number string
	Party  Party
}

// ForwardChanged is a forward of all calls that was set or cleared; "" is cleared.
type ForwardChanged struct {
	Line LineID
	To   string
}

// DoNotDisturb is a change of do not disturb.
type DoNotDisturb struct {
	Device string
	On     bool
}

// Other is a message that has no type here.
type Other struct{ Message ctiqbe.Message }

func (LinkLost) isEvent()          {}
func (Gap) isEvent()               {}
func (Closed) isEvent()            {}
func (NewCall) isEvent()           {}
func (CallChanged) isEvent()       {}
func (PartiesChanged) isEvent()    {}
func (GlobalChanged) isEvent()     {}
func (CallEnded) isEvent()         {}
func (Transfer) isEvent()          {}
func (Conference) isEvent()        {}
func (ConferenceChanged) isEvent() {}
func (Digit) isEvent()             {}
func (MediaWanted) isEvent()       {}
func (Media) isEvent()             {}
func (Key) isEvent()               {}
func (ServiceChanged) isEvent()    {}
func (DeviceChanged) isEvent()     {}
func (Parked) isEvent()            {}
func (ForwardChanged) isEvent()    {}
func (DoNotDisturb) isEvent()      {}
func (Other) isEvent()             {}
