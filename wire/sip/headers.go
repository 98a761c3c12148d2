package sip

import "time"

// SessionExpires is Session-Expires. RFC 4028, 4.
type SessionExpires struct {
	Interval  time.Duration // whole seconds
	Refresher string        // "uac", "uas" or "" when open
}

// SessionExpires is the message's Session-Expires, false when absent or unreadable.
func (m *Message) SessionExpires() (SessionExpires, bool) { panic("todo") }

// String is the header field value.
func (s SessionExpires) String() string { panic("todo") }

// MinSE is Min-SE, false when absent (then 90 seconds hold). RFC 4028, 5.
func (m *Message) MinSE() (time.Duration, bool) { panic("todo") }

// RSeq is the number of a reliable provisional response. RFC 3262, 7.1.
func (m *Message) RSeq() (uint32, bool) { panic("todo") }

// RAck names the response a PRACK acknowledges. RFC 3262, 7.2.
type RAck struct {
	RSeq uint32
	CSeq CSeq
}

// RAck is the message's RAck.
func (m *Message) RAck() (RAck, bool) { panic("todo") }

// String is the header field value.
func (r RAck) String() string { panic("todo") }

// Replaces names a dialog to take over. RFC 3891, 6.1: the tags are as seen by the receiver (to-tag is its local tag).
type Replaces struct {
	CallID, ToTag, FromTag string
	EarlyOnly              bool
}

// Replaces is the message's Replaces header field.
func (m *Message) Replaces() (Replaces, bool) { panic("todo") }

// ParseReplaces reads a Replaces value; from a URI header, Unescape it first.
func ParseReplaces(s string) (Replaces, error) { panic("todo") }

// String is the header field value.
func (r Replaces) String() string { panic("todo") }

// ReferTo is Refer-To; the Replaces of its URI, if any, is decoded. RFC 3515, 2.1; RFC 3891, 3.
type ReferTo struct {
	Address  Address
	Method   Method   // the method parameter, INVITE when absent
	Replaces Replaces // CallID "" when the URI asks for none
}

// ReferTo is the message's Refer-To.
func (m *Message) ReferTo() (ReferTo, bool) { panic("todo") }

// Event is Event. RFC 6665, 8.2.1: package and template compare case-sensitively, id byte by byte.
type Event struct {
	Package string // "presence", "dialog", "refer" ..., templates included: "presence.winfo"
	ID      string
	Params  Params
}

// Event is the message's Event.
func (m *Message) Event() (Event, bool) { panic("todo") }

// SubscriptionState is Subscription-State. RFC 6665, 8.2.3.
type SubscriptionState struct {
	State      string        // "active", "pending", "terminated" or an extension
	Reason     string        // "deactivated", "timeout", ...
	Expires    time.Duration // -1 when absent
	RetryAfter time.Duration // -1 when absent
}

// SubscriptionState is the message's Subscription-State.
func (m *Message) SubscriptionState() (SubscriptionState, bool) { panic("todo") }

// String is the header field value.
func (s SubscriptionState) String() string { panic("todo") }

// Reason is one value of Reason. RFC 3326, 2.
type Reason struct {
	Protocol string // "SIP", "Q.850", ...
	Cause    int    // 0 when absent
	Text     string
}

// Reasons are the message's Reason values.
func (m *Message) Reasons() []Reason { panic("todo") }

// String is the header field value.
func (r Reason) String() string { panic("todo") }

// RetryAfter is Retry-After: seconds, comment, and how long the callee stays reachable then (0 = not said). RFC 3261, 20.33.
type RetryAfter struct {
	After    time.Duration
	Comment  string
	Duration time.Duration
}

// RetryAfter is the message's Retry-After.
func (m *Message) RetryAfter() (RetryAfter, bool) { panic("todo") }

// String is the header field value.
func (r RetryAfter) String() string { panic("todo") }

// Warning is one Warning value. RFC 3261, 20.43.
type Warning struct {
	Code  int // 300-399; 399 is "miscellaneous"
	Agent string
	Text  string
}

// Warnings are the message's Warning values.
func (m *Message) Warnings() []Warning { panic("todo") }

// String is the header field value.
func (w Warning) String() string { panic("todo") }

// Diversion is one Diversion value, most recent diversion first in the message. RFC 5806, 5.
type Diversion struct {
	Address Address
	Reason  string // "unknown", "user-busy", "no-answer", "unconditional", "deflection", ...
	Counter int    // 1 when absent
	Limit   int    // 0 when absent
	Privacy string // "full", "name", "uri", "off" or ""
	Screen  string // "yes", "no" or ""
}

// Diversions are the message's Diversion values.
func (m *Message) Diversions() []Diversion { panic("todo") }

// String is the header field value.
func (d Diversion) String() string { panic("todo") }

// HistoryEntry is one History-Info value. RFC 7044, 5.
type HistoryEntry struct {
	Address Address
	Index   string // "1.1"
	Reason  Reason // from the Reason header inside the URI, zero when absent
	Privacy string // from the Privacy header inside the URI
	RC      string // index of the entry whose target was replaced, by "rc", "mp" or "np"
	Kind    string // "rc", "mp", "np" or ""
}

// HistoryInfo are the message's History-Info values in order.
func (m *Message) HistoryInfo() []HistoryEntry { panic("todo") }

// Binding is what a Contact of a registration says about itself.
type Binding struct {
	Expires  int    // seconds; -1 when absent
	Q        int    // thousandths, 1000 when absent. RFC 3261, 20.10
	Instance string // +sip.instance without angle brackets: "urn:uuid:..."; RFC 5626, 4.1
	RegID    int    // reg-id, 0 when absent. RFC 5626, 4.2
	Outbound bool   // the URI carries ob. RFC 5626, 4.3
}

// Binding reads the registration parameters of a Contact.
func (a Address) Binding() Binding { panic("todo") }

// Privacy are the priv-values of the Privacy header field: "id", "header", "session", "user", "none", "critical". RFC 3323, 4.2.
func (m *Message) Privacy() []string { return nil }
