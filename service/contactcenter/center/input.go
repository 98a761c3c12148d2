package center

import (
	"time"

	"github.com/locktone/locktone/contact"
)

// An Input is one thing for the Center to digest; nil is a tick. Each type below is one.
type Input interface{ input() }

// Inputs from the site and of the centre's own life.
type (
	// Configure brings a site, at first and whenever it has changed. Contacts go on in the script they are in.
	Configure struct{ Site *Site }
	// Restore begins a life: what the last one knew of agents and callbacks. Until Site.Settle is over nobody is reserved.
	Restore struct {
		Agents    []AgentRecord
		Callbacks []CallbackRecord
	}
)

// Inputs from call servers.
type (
	// Asked is a Query; it is answered by one Answer with the same ID.
	Asked struct {
		ID    uint64
		Query contact.Query
	}
	// Noted is a Note.
	Noted struct{ Note contact.Note }
	// Ordered is what became of an Order; Lost says that no answer came.
	Ordered struct {
		Call   contact.CallID
		Serial uint64
		Taken  contact.Taken
		Lost   bool
	}
	// Gone says that a call is no more: its fact has gone from the board.
	Gone struct{ Call contact.CallID }
)

// Inputs of agents and supervisors, answered by one Reply with the same ID.
type (
	// LogIn of an agent at a phone, with the desktop's session. An agent who is logged in at the same phone is attached again;
	// Device and Number empty are the agent's own.
	LogIn struct {
		ID                             uint64
		Agent, Device, Number, Session string
	}
	// SetState asks for LoggedOut, Ready or NotReady. By names the supervisor who does so, empty the agent.
	SetState struct {
		ID         uint64
		Agent      string
		State      State
		Reason, By string
	}
	// SetVariables adds variables to a contact that the agent talks to or wraps up; one with an empty value is forgotten.
	SetVariables struct {
		ID        uint64
		Agent     string
		Call      contact.CallID
		Variables map[string]string
	}
	// WrapUp notes why such a contact was there.
	WrapUp struct {
		ID      uint64
		Agent   string
		Call    contact.CallID
		Reasons []string
		Note    string
	}
)

// Inputs from desktops and phones.
type (
	// Session says that an agent's desktop is there, or has gone away.
	Session struct {
		Agent, Session string
		Up             bool
	}
	// Device says that a phone is registered or not.
	Device struct {
		Device string
		Up     bool
	}
	// Phone says that a phone has a call that is no contact, or has none any more.
	Phone struct {
		Device string
		Busy   bool
	}
	// Held and retrieved: an agent has put the contact on hold, or taken it back.
	Held struct {
		Agent string
		Held  bool
	}
	// Joined says that a contact is on an agent's phone that was not offered there: it was transferred.
	Joined struct {
		Agent string
		Call  contact.CallID
	}
	// Dropped says that a contact is no longer on the agent's phone, while its caller may be with somebody else.
	Dropped struct {
		Agent string
		Call  contact.CallID
	}
)

// Inputs that answer Outputs.
type (
	// Found answers a Lookup: variables, or that it failed.
	Found struct {
		Lookup    uint64
		Failed    bool
		Variables map[string]string
	}
	// Dialled answers a Dial step by step. Offer zero is the one that lives.
	Dialled struct {
		Callback contact.CallID
		Offer    uint64
		Result   DialResult
	}
)

// DialResult is what has become of a call for a callback.
type DialResult uint8

// The results.
const (
	DialConnected DialResult = iota // agent and customer talk
	DialUnheard                     // the agent did not take it
	DialFailed                      // the customer could not be reached
	DialEnded                       // they have talked
)

func (Configure) input()    {}
func (Restore) input()      {}
func (Asked) input()        {}
func (Noted) input()        {}
func (Ordered) input()      {}
func (Gone) input()         {}
func (LogIn) input()        {}
func (SetState) input()     {}
func (SetVariables) input() {}
func (WrapUp) input()       {}
func (Session) input()      {}
func (Device) input()       {}
func (Phone) input()        {}
func (Held) input()         {}
func (Joined) input()       {}
func (Dropped) input()      {}
func (Found) input()        {}
func (Dialled) input()      {}

// An Output is one thing for whoever owns the Center to carry. Each type below is one.
type Output interface{ output() }

type (
	// Answer answers the Query of an Asked.
	Answer struct {
		ID    uint64
		Call  contact.CallID
		Label contact.Label
	}
	// Send is an Order for a call server; its answer is an Ordered.
	Send struct {
		Server string
		Order  contact.Order
	}
	// Reply answers a request: refused with a sentence, or done.
	Reply struct {
		ID      uint64
		Refused string
	}
	// Lookup asks an HTTP server; its answer is a Found.
	Lookup struct {
		ID      uint64
		Call    contact.CallID
		Script  string
		Node    string
		URL     string
		Results []Result
		Timeout time.Duration
	}
	// Dial has an agent's phone call a customer; its answers are Dialled. Stop ends that.
	Dial struct {
		Callback              contact.CallID
		Offer                 uint64
		Agent, Device, Number string
		Stop                  bool
	}
	// AgentChanged tells of an agent's new state, for desktops, records and the next life.
	AgentChanged struct {
		Agent AgentRecord
		// From is the state before, which lasted For.
		From State
		For  time.Duration
	}
	// ContactChanged tells where a contact is now.
	ContactChanged struct{ Contact ContactView }
	// ContactEnded is the record of a contact, its last word. It comes when the agents who had it have wrapped up.
	ContactEnded struct{ Record ContactRecord }
	// CallbackChanged tells of a callback, for the next life; Done that it is over.
	CallbackChanged struct {
		Callback CallbackRecord
		Done     bool
	}
	// Repaired tells of something that should not have been and was put right: what, for the log and a counter.
	Repaired struct{ What string }
)

func (Answer) output()          {}
func (Send) output()            {}
func (Reply) output()           {}
func (Lookup) output()          {}
func (Dial) output()            {}
func (AgentChanged) output()    {}
func (ContactChanged) output()  {}
func (ContactEnded) output()    {}
func (CallbackChanged) output() {}
func (Repaired) output()        {}

var dialNames = [...]string{"connected", "unheard", "failed", "ended"}

func (r DialResult) String() string { return enumName(dialNames[:], int(r)) }

// MarshalText writes the name.
func (r DialResult) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name.
func (r *DialResult) UnmarshalText(b []byte) error {
	n, err := enumValue("result of dialling", dialNames[:], b)
	*r = DialResult(n)
	return err
}
