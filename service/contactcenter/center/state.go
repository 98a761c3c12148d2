package center

import "fmt"

// A State is where an agent is. docs/agent-states.md has the table of what leads where.
type State uint8

// The states.
const (
	LoggedOut State = iota
	NotReady        // with a reason; gets no contacts
	Ready           // waits for a contact
	Reserved        // an offer lives: the agent's phone rings, or is about to
	Talking         // with a contact
	Hold            // with a contact that is on hold
	Work            // wraps up after a contact
	states          // how many there are
)

var stateNames = [...]string{"logged-out", "not-ready", "ready", "reserved", "talking", "hold", "work"}

func (s State) String() string { return enumName(stateNames[:], int(s)) }

// MarshalText writes the name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the name.
func (s *State) UnmarshalText(b []byte) error {
	n, err := enumValue("state", stateNames[:], b)
	*s = State(n)
	return err
}

// Reasons of the centre's own for being not ready. Sites have further ones (reasonCodes), which never begin with an asterisk.
const (
	ReasonAgent       = "*not-ready"    // the agent gave none
	ReasonLogIn       = "*logged-in"    // just logged in
	ReasonNoAnswer    = "*no-answer"    // a contact rang and was not answered
	ReasonUnreachable = "*unreachable"  // the phone could not be rung
	ReasonDeviceLost  = "*device-lost"  // the phone is not registered
	ReasonPhoneBusy   = "*phone-busy"   // on another call; ready again when that has ended
	ReasonSessionLost = "*session-lost" // the desktop went away
	ReasonSupervisor  = "*supervisor"   // made so by a supervisor
	ReasonRestoring   = "*restoring"    // the contact centre has just begun to lead and finds out
	ReasonAfterCall   = "*after-call"   // the team's agents are not ready after a contact
)

// enumName is the name of value n, or its number where there is none.
func enumName(names []string, n int) string {
	if n < 0 || n >= len(names) {
		return fmt.Sprintf("%d", n)
	}
	return names[n]
}

// enumValue finds the value of a name; kind is what the error calls it.
func enumValue(kind string, names []string, b []byte) (int, error) {
	for i, n := range names {
		if n == string(b) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("center: %q is no %s; expected one of %q", b, kind, names)
}
