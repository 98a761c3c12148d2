package call

import "strconv"

// A CallID names a call of one engine. Ids come from a counter and are never reused while the engine lives.
type CallID uint64

// A PartyID names a party of one engine. A party keeps its id when a transfer moves it to another call.
type PartyID uint64

// A LegID names a leg of one engine. Legs that come in have odd ids, given by the driver's side (live.Driver.NewLeg) so
// that a driver can send a second signal before the engine has seen the first; legs that the engine makes have even ids.
type LegID uint64

func (id CallID) String() string  { return "c" + strconv.FormatUint(uint64(id), 10) }
func (id PartyID) String() string { return "p" + strconv.FormatUint(uint64(id), 10) }
func (id LegID) String() string   { return "l" + strconv.FormatUint(uint64(id), 10) }

// A LineID names a line: a directory number in a partition.
type LineID struct {
	Number    string `json:"number,omitempty"`
	Partition string `json:"partition,omitempty"`
}

func (l LineID) String() string {
	if l.Partition == "" {
		return l.Number
	}
	return l.Number + "@" + l.Partition
}

// IsZero says whether l names no line.
func (l LineID) IsZero() bool { return l == LineID{} }

// An Identity is a name and number as one party may see it.
type Identity struct {
	Number  string `json:"number,omitempty"`
	Display string `json:"display,omitempty"`
	// Domain is the host part of the peer's own address when it is not ours ("example.com"); empty means our own.
	Domain string `json:"domain,omitempty"`
	// Restricted asks that neither name nor number is shown (RFC 3323, Privacy: id); trusted peers still get them in
	// P-Asserted-Identity.
	Restricted bool `json:"restricted,omitempty"`
}

// A Redirection is one diversion the call has behind it, the newest last (RFC 5806 Diversion, RFC 7044 History-Info).
type Redirection struct {
	From   Identity       `json:"from"`
	Reason RedirectReason `json:"reason,omitempty"`
	// Line is the line of ours that sent the call on, zero for somebody else's.
	Line LineID `json:"line,omitzero"`
	// Reset says that the call counts as having been for whom it was sent to from the beginning: From is only who sent it there last.
	Reset bool `json:"reset,omitempty"`
	// Count is how many diversions the entry stands for (RFC 5806, 4: counter); zero is one.
	Count int `json:"count,omitempty"`
}

// A RedirectReason says why a call was diverted.
type RedirectReason uint8

// The reasons of RFC 5806, 4.
const (
	RedirectUnknown RedirectReason = iota
	RedirectAlways
	RedirectBusy
	RedirectNoAnswer
	RedirectUnavailable
	RedirectDeflected
	RedirectTransferred
)

var redirectNames = [...]string{"unknown", "unconditional", "user-busy", "no-answer", "unavailable", "deflection", "transfer"}

func (r RedirectReason) String() string { return enumName(redirectNames[:], int(r)) }

// MarshalText and UnmarshalText use the words of RFC 5806.
func (r RedirectReason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (r *RedirectReason) UnmarshalText(b []byte) error {
	n, err := enumValue("redirect reason", redirectNames[:], b)
	*r = RedirectReason(n)
	return err
}

// A Target is where a leg goes: exactly one of Device, Trunk, Applet and Ask is set.
type Target struct {
	// Node is the node of the cluster where that is, empty for this one; the leg is a tie then, see ties.
	Node   string `json:"node,omitempty"`
	Device string `json:"device,omitempty"`
	// Line is the appearance that rings, when Device is set.
	Line   LineID `json:"line,omitzero"`
	Trunk  string `json:"trunk,omitempty"`
	Applet string `json:"applet,omitempty"`
	// Called is the number to present to the target, after all transformations.
	Called string `json:"called,omitempty"`
	// Hunt is the name of the hunt pilot for whose group the line is asked, empty for all other calls: who has logged out is not rung.
	Hunt string `json:"hunt,omitempty"`
	// Emergency says that an emergency number was called: no limit and no policy keeps the other node from going out on Trunk.
	Emergency bool `json:"emergency,omitempty"`
	// Ask has the other node do what somebody here wants of a thing that it owns.
	Ask *Ask `json:"ask,omitempty"`
}

// An Ask is what one node asks of another on behalf of a caller of its own. It has decided that the caller may; the other one decides
// whether it can be done.
type Ask struct {
	// Device with its Line, or Trunk: who asks. All are empty for a caller without any.
	Device string `json:"device,omitempty"`
	Line   LineID `json:"line,omitzero"`
	Trunk  string `json:"trunk,omitempty"`
	// Thing is what is asked for: ThingParked, who waits at the park number Called of range Range; ThingRoom, the meet-me conference Called
	// of Range; else the leg Replaces or Join, which must be ThingRinging (pickup), ThingHeld (take over) or ThingActive, on hold or not,
	// when the asking arrives.
	Thing Thing  `json:"thing,omitempty"`
	Range string `json:"range,omitempty"`
	// Park says that the caller is not to fetch but to be left at the park number, parked by Device.
	Park bool `json:"park,omitempty"`
	// Replaces is a leg of the other node to take the place of: one that rings (pickup), or one that is active (take over, Replaces).
	Replaces LegID `json:"replaces,omitempty"`
	// Join is a leg of the other node whose call is to be joined (barge).
	Join LegID `json:"join,omitempty"`
}

func (t Target) String() string {
	if t.Node != "" {
		node := t.Node
		t.Node = ""
		return "node " + node + " " + t.String()
	}
	switch {
	case t.Ask != nil:
		return t.Ask.string(t.Called)
	case t.Device != "":
		return "device " + t.Device + " line " + t.Line.String()
	case t.Trunk != "":
		return "trunk " + t.Trunk + " " + t.Called
	case t.Applet != "":
		return "applet " + t.Applet
	}
	return "nowhere"
}

func (a *Ask) string(called string) string {
	who := orDefault(a.Device, a.Trunk)
	if !a.Line.IsZero() {
		who += " line " + a.Line.String()
	}
	switch {
	case a.Replaces != 0:
		return "ask for " + who + " replaces " + a.Replaces.String()
	case a.Join != 0:
		return "ask for " + who + " join " + a.Join.String()
	case a.Park:
		return "ask for " + who + " park at " + a.Range + " " + called
	}
	return "ask for " + who + " " + a.Thing.String() + " " + a.Range + " " + called
}
