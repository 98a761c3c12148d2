package call

import (
	"bytes"
	"strings"
	"testing"
)

// TestUserData: what an application says of a call it makes stands in every picture of it; too much is refused before a phone rings.
func TestUserData(t *testing.T) {
	k := tiedEngine(t)
	k.step(start, Input{Signal: DeviceState{Device: "alice", Up: true}, Driver: "sip"})
	said := []byte("ticket \x00\xff 17")
	out := k.step(start, Input{Request: MakeCall{Device: "alice", Called: "2002", UserData: said}, RequestID: "1"})
	if out.Reply == nil || out.Reply.Cause != CauseNone || len(out.Events) == 0 {
		t.Fatal(string(AppendOutput(nil, out)))
	}
	for _, ev := range out.Events {
		if ev.View == nil || ev.View.Named == nil || !bytes.Equal(ev.View.Named.UserData, said) {
			t.Errorf("%v: %+v", ev.Kind, ev.View)
		}
	}
	out = k.step(start, Input{Request: MakeCall{Device: "alice", Called: "2002", UserData: make([]byte, MaxUserData+1)}, RequestID: "2"})
	if out.Reply.Cause == CauseNone || !strings.Contains(out.Reply.Why, "at most 256") || len(out.Commands) != 0 {
		t.Error(string(AppendOutput(nil, out)))
	}
}
