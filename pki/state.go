package pki

import "fmt"

// State is how far a generation of keys has come. The zero value is not used by anybody.
type State uint8

const (
	StateUnknown  State = iota
	StateStaged         // made and announced, not used yet
	StateActive         // in use
	StateRetiring       // no longer used, still announced
)

var stateNames = [...]string{"unknown", "staged", "active", "retiring"}

// String returns "staged", "active", "retiring" or "unknown".
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return stateNames[StateUnknown]
}

// ParseState reads what String wrote.
func ParseState(text string) (State, error) {
	for i, name := range stateNames {
		if name == text {
			return State(i), nil
		}
	}
	return StateUnknown, fmt.Errorf("pki: state %q: want staged, active or retiring", text)
}

// MarshalText renders the state for JSON and stores.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *State) UnmarshalText(b []byte) (err error) {
	*s, err = ParseState(string(b))
	return err
}
