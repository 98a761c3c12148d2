package callmanager

import (
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
)

// TestCallRecord makes a record of a finished call: its parties are those that have left.
func TestCallRecord(t *testing.T) {
	s := &Service{cfg: Config{Node: "n1"}}
	leg := func(device string, sec call.Security) []call.LegView {
		return []call.LegView{{Device: device, State: call.LegIsActive, Security: sec}}
	}
	party := func(id call.PartyID, number, called string, legs []call.LegView) *call.PartyView {
		return &call.PartyView{ID: id, Identity: call.Identity{Number: number}, Called: called, Legs: legs}
	}
	for _, test := range []struct {
		caller, called call.Security
		want           string
	}{{call.SRTP, call.SRTP, "encrypted"}, {call.SRTP, call.RTP, "non-secure"}, {call.SecurityUnknown, call.SecurityUnknown, ""}} {
		v := &call.View{ID: 1, GlobalID: "g", Created: time.Unix(1, 0), Answered: time.Unix(2, 0), Ended: true, Left: []*call.PartyView{
			party(1, "1001", "", leg("alice", test.caller)), party(2, "1002", "1002", leg("bob", test.called))}}
		r, ok := s.callRecord(live.Note{Event: call.Event{Kind: call.CallEnded, At: time.Unix(3, 0), Cause: call.NormalClearing, View: v}})
		if !ok || r.Calling != "1001" || r.Called != "1002" || r.Dialled != "1002" || r.FromDevice != "alice" || r.ToDevice != "bob" || r.Security != test.want {
			t.Errorf("%v, want security %q: %+v", ok, test.want, r)
		}
	}
}
