package contact

import (
	"fmt"
	"time"

	"github.com/locktone/locktone/call"
)

// Services between which the words pass, as subjects of the bus have them.
const (
	ServiceCallServer    = "callserver"
	ServiceContactCenter = "contactcenter"
)

// Verbs of the bus subjects and kinds of the board's facts; the package says what is said with each.
const (
	VerbQuery = "contact.query"
	VerbOrder = "contact.order"
	VerbCalls = "contact.calls"
	VerbJoin  = "contact.join"
	VerbNote  = "contact.note"

	FactRouter = "contact.router"
	FactCall   = "contact.call"

	// RouterKey is the key of the one fact of kind FactRouter.
	RouterKey = "leader"
)

// A CallID names a contact for ever: SERVER-LIFE-NUMBER, made by the call server that took it. It has nothing but letters, digits, dots,
// underscores and hyphens, so it can stand in a URI.
type CallID string

// NewCallID is the id of the n-th call of a call server in one of its lives. What a URI does not take in the server's name becomes an underscore.
func NewCallID(server string, life, n uint64) CallID {
	b := make([]byte, 0, len(server)+24)
	for i := range len(server) {
		c := server[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			b = append(b, c)
		} else {
			b = append(b, '_')
		}
	}
	return CallID(fmt.Appendf(b, "-%x-%d", life, n))
}

// A Reason says why a call server asks.
type Reason uint8

// The reasons.
const (
	New             Reason = iota // a caller has come in
	Step                          // the Steps of Query.Label are done: Variables holds what the caller entered
	NoAnswer                      // the number of Query.Label did not answer in time
	Busy                          // the number of Query.Label was busy
	Failed                        // the number of Query.Label could not be reached: Cause
	TreatmentFailed               // no voice browser could do the Steps of Query.Label, or it died over them: Cause
	Left                          // whoever the caller talked to has hung up first: the caller is still there
	Again                         // nothing has happened: a contact centre that does not know the call yet is told of it
)

var reasonNames = [...]string{"new", "step", "no-answer", "busy", "failed", "treatment-failed", "left", "again"}

func (r Reason) String() string { return name(reasonNames[:], int(r)) }

// MarshalText writes the name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name.
func (r *Reason) UnmarshalText(b []byte) error {
	n, err := value("reason", reasonNames[:], b)
	*r = Reason(n)
	return err
}

// A Query asks where a call goes now. The answer is a Label.
type Query struct {
	Call CallID `json:"call"`
	// Server is the node whose call server has the call: Orders for it go there.
	Server string `json:"server"`
	// GlobalID follows the call through all elements (RFC 7989 Session-ID), for records.
	GlobalID string `json:"global_id,omitempty"`
	// Called is the number that was called, Calling and Display who calls; Calling is empty where the caller withholds it.
	Called  string    `json:"called"`
	Calling string    `json:"calling,omitempty"`
	Display string    `json:"display,omitempty"`
	Began   time.Time `json:"began"`
	Reason  Reason    `json:"reason"`
	// Cause says more of NoAnswer, Busy, Failed, TreatmentFailed and Left.
	Cause call.Cause `json:"cause,omitempty"`
	// Label is the Serial that the Query is about; of New and Again the last one taken, zero for none. Answers have a higher one.
	Label uint64 `json:"label,omitempty"`
	// With is the number to which the caller is connected, or was (Left), or should have been (NoAnswer, Busy, Failed).
	With string `json:"with,omitempty"`
	// State says of Again where the caller is.
	State State `json:"state,omitempty"`
	// Variables are those of the call: what Labels have set and what callers have entered, the newest value of each.
	Variables map[string]string `json:"variables,omitempty"`
}

// A State says where a caller is.
type State uint8

// The states.
const (
	Waiting   State = iota // nowhere yet, or kept with music between two places
	Treated                // at a voice browser
	Connected              // with somebody: Query.With
)

var stateNames = [...]string{"waiting", "treated", "connected"}

func (s State) String() string { return name(stateNames[:], int(s)) }

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *State) UnmarshalText(b []byte) error {
	n, err := value("state", stateNames[:], b)
	*s = State(n)
	return err
}

// A Router is the contact centre that leads, as its fact on the board says.
type Router struct {
	Node string `json:"node"`
	// Life is another one each time a contact centre begins to lead, or begins anew with empty hands.
	Life uint64 `json:"life"`
}

// A Standing is a live call as its call server has it: the fact of kind FactCall, which leaves the variables out, and an entry of Calls.
type Standing struct {
	// Query has the reason Again.
	Query Query `json:"query"`
	// Ringing is the number that is being rung for the caller, empty for none.
	Ringing string `json:"ringing,omitempty"`
}

// name is the name of value n, or its number where there is none.
func name(names []string, n int) string {
	if n < 0 || n >= len(names) {
		return fmt.Sprintf("%d", n)
	}
	return names[n]
}

// value finds the value of a name; kind is what the error calls it.
func value(kind string, names []string, b []byte) (int, error) {
	for i, n := range names {
		if n == string(b) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("contact: %q is no %s; expected one of %q", b, kind, names)
}
