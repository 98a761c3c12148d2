package contact

import (
	"fmt"
	"time"

	"github.com/locktone/locktone/call"
)

// A Join lets a supervisor into a call whose caller talks to somebody. It is no Label: nothing else about the call changes, and it can be done
// at any time. It is answered when the supervisor's phone has answered, or does not.
type Join struct {
	Call CallID `json:"call"`
	// Number of the supervisor's phone, looked up in the call routes of the call server.
	Number string `json:"number"`
	// Calling is the number shown to the supervisor instead of the caller's own.
	Calling string `json:"calling,omitempty"`
	// Mode says whether the supervisor is heard.
	Mode call.JoinMode `json:"mode,omitempty"`
	// NoAnswer is how long Number may ring, up to MaxJoin; zero takes the call server's setting.
	NoAnswer time.Duration `json:"no_answer,omitempty"`
}

// A JoinAnswer answers a Join.
type JoinAnswer struct {
	// Joined says that the supervisor hears the call.
	Joined bool `json:"joined,omitempty"`
	// Cause is why not, and Why a sentence for whoever asked.
	Cause call.Cause `json:"cause,omitempty"`
	Why   string     `json:"why,omitempty"`
}

// Check says what of the Join cannot be done, nil when all can.
func (j *Join) Check() error {
	switch {
	case !isNumber(j.Number):
		return fmt.Errorf("contact: %q is no number of a supervisor; expected digits, *, #, +", j.Number)
	case j.Calling != "" && !isNumber(j.Calling):
		return fmt.Errorf("contact: %q is no calling number; expected digits, *, #, +", j.Calling)
	case j.Mode > call.JoinTalk:
		return fmt.Errorf("contact: the mode %s of a join is not known; expected %s or %s", j.Mode, call.JoinListen, call.JoinTalk)
	case j.NoAnswer < 0 || j.NoAnswer > MaxJoin:
		return fmt.Errorf("contact: a supervisor's phone may ring up to %s, not %s", MaxJoin, j.NoAnswer)
	}
	return nil
}
