package callserver

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/lab/phone"
)

// joining is a Join under way.
type joining chan contact.JoinAnswer

// join asks the call server to let somebody in.
func (c *centre) join(ctx context.Context, server string, j contact.Join) joining {
	out := make(joining, 1)
	go func() {
		a, err := bus.Ask[contact.Join, contact.JoinAnswer](ctx, c.b, c.b.Subject(Name, contact.VerbJoin).To(server), j)
		if err != nil {
			a = contact.JoinAnswer{Why: "not answered: " + err.Error()}
		}
		out <- a
	}()
	return out
}

// refused waits for the answer that nobody has joined, and why.
func (j joining) refused(t *testing.T, cause call.Cause, why string) {
	t.Helper()
	if a := <-j; a.Joined || a.Cause != cause || !strings.Contains(a.Why, why) {
		t.Errorf("the answer is %+v, expected %s: %q", a, cause, why)
	}
}

// still waits for a second of sound, so that whatever could be heard is.
func still(ctx context.Context, t *testing.T, c *phone.Call) {
	t.Helper()
	must(t, c.WaitPackets(ctx, c.Evidence().RxAuth+50))
}

// TestJoin: a supervisor listens to a contact and hears both, and neither hears the supervisor; the contact centre is told of nothing. When
// the supervisor has hung up, and comes back to take part, all hear each other. The end of the call is the end for the supervisor.
func TestJoin(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "800")
	c.Tone(600)
	q := s.centre.query(ctx, contact.New)
	j := contact.Join{Call: q.Call, Number: supervisor, Calling: "800"}
	q.answer <- greeting(1, "Good morning")
	s.vb.session(ctx)
	must(t, c.WaitAnswered(ctx))
	hears(ctx, t, c, 700)
	s.centre.join(ctx, q.Server, j).refused(t, call.WrongCallState, "talks to nobody")
	s.centre.order(ctx, q.Query, connect(2, "2001"))
	a := s.agent(ctx)
	s.centre.note(ctx, contact.NoteRinging)
	a.answer <- call.CauseNone
	s.centre.note(ctx, contact.NoteSuperseded)
	s.centre.note(ctx, contact.NoteConnected)
	a.hears(ctx, t, []float64{600})
	hears(ctx, t, c, 440)

	joined := s.centre.join(ctx, q.Server, j)
	x := s.agent(ctx)
	if x.info.Called != supervisor || x.info.Calling.Number != "800" {
		t.Errorf("the supervisor is shown %+v for %s", x.info.Calling, x.info.Called)
	}
	x.answer <- call.CauseNone
	if a := <-joined; !a.Joined {
		t.Fatalf("%+v", a)
	}
	x.hears(ctx, t, []float64{440, 600})
	still(ctx, t, c)
	must(t, c.WaitMix(ctx, []float64{440}, 1000))
	a.hears(ctx, t, []float64{600}, 1000)
	x.hangup()
	<-x.gone
	a.hears(ctx, t, []float64{600}, 1000)

	j.Mode = call.JoinTalk
	joined = s.centre.join(ctx, q.Server, j)
	x = s.agent(ctx)
	x.answer <- call.CauseNone
	if a := <-joined; !a.Joined {
		t.Fatalf("%+v", a)
	}
	x.hears(ctx, t, []float64{440, 600})
	must(t, c.WaitMix(ctx, []float64{440, 1000}))
	a.hears(ctx, t, []float64{600, 1000})
	if ev := c.Evidence(); ev.Suite == "" || ev.Failed != 0 {
		t.Errorf("media is not protected: %+v", ev)
	}
	must(t, c.Hangup(ctx))
	for _, p := range []*agent{x, a} {
		select {
		case <-p.gone:
		case <-ctx.Done():
			t.Fatalf("the phone of %s has a call without a caller", p.info.Called)
		}
	}
	if n := s.centre.note(ctx, contact.NoteEnded); n.By != contact.ByCaller || n.Serial != 2 {
		t.Errorf("%+v", n)
	}
	s.centre.join(ctx, q.Server, j).refused(t, call.NoSuchCall, "has ended")
}

// TestJoinFails: a supervisor's number that is none, that no call route leads to, that is busy, or that does not answer leaves the call as it
// was; and when the agent hangs up first, the supervisor goes too, and the caller is kept.
func TestJoinFails(t *testing.T) {
	s := newStand(t, nil)
	ctx := within(t)
	c := s.call(ctx, "800")
	q := s.centre.query(ctx, contact.New)
	q.answer <- connect(1, "2001")
	a := s.agent(ctx)
	s.centre.note(ctx, contact.NoteRinging)
	a.answer <- call.CauseNone
	s.centre.note(ctx, contact.NoteConnected)
	must(t, c.WaitAnswered(ctx))
	j := contact.Join{Call: q.Call, Number: supervisor}
	none, nowhere, short := j, j, j
	none.Number, nowhere.Number, short.NoAnswer = "x", "3009", time.Second
	s.centre.join(ctx, q.Server, none).refused(t, call.InvalidNumberFormat, "is no number")
	s.centre.join(ctx, q.Server, nowhere).refused(t, call.UnallocatedNumber, "no call route leads to 3009")
	busy := s.centre.join(ctx, q.Server, j)
	s.agent(ctx).answer <- call.UserBusy
	busy.refused(t, call.UserBusy, "could not be reached")
	silent := s.centre.join(ctx, q.Server, short)
	x := s.agent(ctx)
	silent.refused(t, call.NoAnswer, "")
	<-x.gone
	hears(ctx, t, c, 440)

	joined := s.centre.join(ctx, q.Server, j)
	x = s.agent(ctx)
	x.answer <- call.CauseNone
	if a := <-joined; !a.Joined {
		t.Fatalf("%+v", a)
	}
	a.hangup()
	<-x.gone
	left := s.centre.query(ctx, contact.Left)
	if left.With != "2001" {
		t.Errorf("asked %+v", left.Query)
	}
	left.answer <- contact.Label{Serial: 2, Kind: contact.End}
	s.centre.note(ctx, contact.NoteEnded)
}
