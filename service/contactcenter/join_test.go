package contactcenter

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/service/contactcenter/desk"
)

// TestJoin: a supervisor's wish goes to the call server that has the agent's contact, with the supervisor's own number; what the call server
// says against it is told, and what cannot be asked is refused with what to do.
func TestJoin(t *testing.T) {
	k := newKit(t)
	ctx := within(t)
	asked, say := make(chan contact.Join, 4), make(chan contact.JoinAnswer, 4)
	serve, err := bus.Serve(k.bus, k.bus.Subject(contact.ServiceCallServer, contact.VerbJoin), func(_ context.Context, j contact.Join) (contact.JoinAnswer, error) {
		asked <- j
		return <-say, nil
	})
	must(t, err)
	t.Cleanup(serve.Close)
	f := &floor{s: k.s, views: &views{}}
	refused := func(supervisor, mode, why string) {
		t.Helper()
		var no *desk.Refused
		if err := f.Join(ctx, supervisor, "ann", mode); !errors.As(err, &no) || !strings.Contains(no.Why, why) {
			t.Errorf("%s joins (%s): %v, expected %q", supervisor, mode, err, why)
		}
	}
	refused("bob", "listen", "ann talks to no caller")
	must(t, k.s.LogIn(ctx, "ann", "SEP1", "", "d1"))
	must(t, k.s.SetState(ctx, "ann", center.Ready, "", ""))
	l := k.ask(contact.Query{Call: "c1", Called: "800", Calling: "+49301", Reason: contact.New})
	if l.Kind != contact.Connect { // it settles yet
		l = k.order().Label
	}
	k.state("ann", center.Reserved)
	refused("bob", "listen", "ann talks to no caller") // whom she is to have still waits
	k.note(contact.Note{Call: "c1", Serial: l.Serial, Kind: contact.NoteConnected, Number: "2001"})
	k.state("ann", center.Talking)

	refused("sue", "listen", "must have an agent of that user")
	refused("bob", "whisper", "expected listen or barge")
	for mode, want := range map[string]call.JoinMode{"listen": call.JoinListen, "barge": call.JoinTalk} {
		say <- contact.JoinAnswer{Joined: true}
		must(t, f.Join(ctx, "bob", "ann", mode))
		if j := <-asked; j != (contact.Join{Call: "c1", Number: "2002", Calling: "2001", Mode: want, NoAnswer: 20 * time.Second}) || j.Check() != nil {
			t.Errorf("%s: asked %+v", mode, j)
		}
	}
	say <- contact.JoinAnswer{Cause: call.UserBusy, Why: "it is busy"}
	refused("bob", "listen", "the phone 2002 has not joined the contact of ann: it is busy")
	say <- contact.JoinAnswer{Cause: call.UserBusy}
	refused("bob", "listen", call.UserBusy.String())
	serve.Close()
	if err := f.Join(ctx, "bob", "ann", "listen"); err == nil || !strings.Contains(err.Error(), "the call server of n1") {
		t.Errorf("without a call server: %v", err)
	}
	must(t, k.s.Close(ctx))
	var elsewhere *desk.ErrElsewhere
	if err := f.Join(ctx, "bob", "ann", "listen"); !errors.As(err, &elsewhere) {
		t.Errorf("where nobody leads: %v", err)
	}
}

// TestNumberOf: a user's number is that of the agent who logs in as the user. An agent of that name with another user is somebody else.
func TestNumberOf(t *testing.T) {
	site := &config.Site{
		Devices: []config.Device{{Name: "SEP1", Lines: []config.Appearance{{Number: "2007"}}}},
		Agents:  []config.Agent{{Name: "lead", User: "sue", Number: "2009"}, {Name: "tom", Device: "SEP1"}, {Name: "eve"}},
	}
	for who, want := range map[string]string{"sue": "2009", "lead": "", "tom": "2007", "eve": "", "": ""} {
		if got := numberOf(site, who); got != want {
			t.Errorf("the number of %q is %q, expected %q", who, got, want)
		}
	}
}
