package phone_test

import (
	"context"
	"slices"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
)

// An application controls the phones of a site as a CTI manager does: by requests to the engine and what its events tell.
type application struct {
	t       *testing.T
	engine  live.RemoteEngine
	notes   <-chan live.RemoteNote
	picture live.Picture
	events  []call.Event
}

func controlled(t *testing.T, s *lab.Site) *application {
	remote := live.NewRemote(s.Bus, callmanager.Name)
	f := remote.Follow(live.Filter{}, s.Bus.Node())
	t.Cleanup(f.Close)
	return &application{t: t, engine: remote.At(s.Bus.Node()), notes: f.Notes()}
}

// ask makes a request that must be taken.
func (a *application) ask(ctx context.Context, r call.Request) call.Reply {
	a.t.Helper()
	reply, err := a.engine.Request(ctx, "app", r)
	if err != nil || reply.Cause != call.CauseNone {
		a.t.Fatalf("%s: %+v, %v", call.Describe(r), reply, err)
	}
	return reply
}

// leg waits until a device has a leg in a state other than those given, and is its id.
func (a *application) leg(ctx context.Context, device string, state call.LegState, but ...call.LegID) (found call.LegID) {
	a.t.Helper()
	a.until(ctx, "no leg of "+device+" is "+state.String(), func() bool {
		for _, v := range a.picture.Calls() {
			for _, p := range v.Parties {
				for _, l := range p.Legs {
					if l.Device == device && l.State == state && !slices.Contains(but, l.ID) {
						found = l.ID
						return true
					}
				}
			}
		}
		return false
	})
	return found
}

func (a *application) until(ctx context.Context, not string, done func() bool) {
	a.t.Helper()
	for !a.picture.Fresh || !done() {
		select {
		case n := <-a.notes:
			a.picture.Apply(n)
			if n.Event.Kind != call.EventNone {
				a.events = append(a.events, n.Event)
			}
		case <-ctx.Done():
			a.t.Fatal(not)
		}
	}
}

// told is the first event of a kind.
func (a *application) told(ctx context.Context, kind call.EventKind) (ev call.Event) {
	a.t.Helper()
	a.until(ctx, "no "+kind.String(), func() bool {
		i := slices.IndexFunc(a.events, func(x call.Event) bool { return x.Kind == kind })
		if i >= 0 {
			ev = a.events[i]
		}
		return i >= 0
	})
	return ev
}

// desks are three phones that answer by themselves only what asks for it.
func desks(t *testing.T) (s *lab.Site, app *application, alice, bob, carol *phone.Phone) {
	s = lampSite(t, func(c *config.Site) {})
	asked := func(c *phone.Config) { c.Intercom = true }
	return s, controlled(t, s), at(t, s, "alice", "1001", asked), at(t, s, "bob", "1002", asked), at(t, s, "carol", "1003", asked)
}

// TestApplicationAnswers: a phone that rings is rung once more so that it answers, and the call that comes of it is like any other.
func TestApplicationAnswers(t *testing.T) {
	t.Parallel()
	_, app, alice, bob, _ := desks(t)
	ctx := wait(t)
	ca, err := alice.Dial(ctx, "1002")
	must(t, err)
	first := incoming(ctx, t, bob)
	leg := app.leg(ctx, "bob", call.LegIsRinging)
	app.ask(ctx, call.AnswerCall{Leg: leg})
	cb := incoming(ctx, t, bob)
	must(t, ca.WaitAnswered(ctx))
	both(ctx, t, ca, cb)
	if _, _, err := first.WaitEnded(ctx); err != nil || first.Reason() == "" {
		t.Errorf("the first INVITE: %v, reason %q", err, first.Reason())
	}
	if app.leg(ctx, "bob", call.LegIsActive) != leg {
		t.Error("for the engine it is another leg")
	}
	must(t, ca.Hangup(ctx))
	_, _, err = cb.WaitEnded(ctx)
	must(t, err)
}

// TestApplicationConsults: a phone's desk call, a consultation, digits, and a transfer, none of it by hand.
func TestApplicationConsults(t *testing.T) {
	t.Parallel()
	_, app, alice, bob, carol := desks(t)
	ctx := wait(t)
	app.ask(ctx, call.MakeCall{Device: "bob", Called: "1001", Auto: true, Tag: 77})
	cb := incoming(ctx, t, bob)
	must(t, cb.WaitAnswered(ctx))
	ca := incoming(ctx, t, alice)
	must(t, ca.Answer(ctx))
	both(ctx, t, cb, ca)
	first := app.leg(ctx, "bob", call.LegIsActive)
	app.ask(ctx, call.SendDigits{Leg: first, Digits: "12#"})
	must(t, ca.WaitDigits(ctx, "12#"))

	app.ask(ctx, call.MakeCall{Device: "bob", Called: "1003", Auto: true, From: first})
	must(t, ca.WaitHeld(ctx, true))
	second := incoming(ctx, t, bob)
	must(t, second.WaitAnswered(ctx))
	cc := incoming(ctx, t, carol)
	must(t, cc.Answer(ctx))
	both(ctx, t, second, cc)
	leg := app.leg(ctx, "bob", call.LegIsActive, first)
	app.ask(ctx, call.Transfer{Leg: first, With: leg})
	both(ctx, t, ca, cc)
	for _, c := range []*phone.Call{cb, second} {
		if _, _, err := c.WaitEnded(ctx); err != nil {
			t.Error(err)
		}
	}
	if ev := app.told(ctx, call.Transferred); ev.Leg != first || ev.OtherLeg != leg || ev.View.Tag() != 77 {
		t.Errorf("told %s, tag %d", ev, ev.View.Tag())
	}
	// Carol's leg is redirected to Bob; first to nobody, which leaves them talking.
	mine := app.leg(ctx, "carol", call.LegIsActive)
	reply, err := app.engine.Request(ctx, "app", call.Redirect{Leg: mine, To: "4711"})
	if err != nil || reply.Cause == call.CauseNone {
		t.Errorf("redirected to nobody: %+v, %v", reply, err)
	}
	both(ctx, t, ca, cc)
	app.ask(ctx, call.Redirect{Leg: mine, To: "1002"})
	cb = incoming(ctx, t, bob)
	must(t, cb.Answer(ctx))
	both(ctx, t, ca, cb)
	_, _, err = cc.WaitEnded(ctx)
	must(t, err)
	must(t, ca.Hangup(ctx))
}
