package peers

import (
	"context"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/service/callmanager"
)

// TestApplications: requests of an application to phones that nobody here wrote. Neither Debian's baresip 1.0.0 nor linphonec 5.1 obeys a
// call's wish to be answered (baresip learned Call-Info answer-after in 1.1, with sip_autoanswer=yes in the account; liblinphone reads it and
// leaves it to its user interface, which linphonec has none for), and neither says Allow-Events: talk. Such a phone is rung once more in vain,
// and its user answers that. An account with answermode=auto answers what an application dials for it.
func TestApplications(t *testing.T) {
	enact(t, []scene{
		{name: "answer at baresip", cast: "ans-a ans-b", play: answerBaresip},
		{name: "answer at linphonec", cast: "ansl-a ansl-b", play: answerLinphone},
		{name: "dial and consult for baresip", cast: "desk-a desk-b desk-c", play: deskBaresip},
	})
}

// asks makes a request that must be taken.
func (st *stage) asks(t *testing.T, ctx context.Context, r call.Request) call.Reply {
	t.Helper()
	reply, err := live.NewRemote(st.Bus, callmanager.Name).At(st.Bus.Node()).Request(ctx, "app", r)
	if err != nil || reply.Cause != call.CauseNone {
		t.Fatalf("%s: %+v, %v", call.Describe(r), reply, err)
	}
	return reply
}

// legOf waits until a device has a leg in a state, other than those given.
func (st *stage) legOf(t *testing.T, ctx context.Context, device string, state call.LegState, but call.LegID) (found call.LegID) {
	t.Helper()
	f := live.NewRemote(st.Bus, callmanager.Name).Follow(live.Filter{}, st.Bus.Node())
	defer f.Close()
	var picture live.Picture
	for {
		select {
		case n := <-f.Notes():
			picture.Apply(n)
		case <-ctx.Done():
			t.Fatalf("no leg of %s is %s", device, state)
		}
		for _, v := range picture.Calls() {
			for _, p := range v.Parties {
				for _, l := range p.Legs {
					if l.Device == device && l.State == state && l.ID != but {
						return l.ID
					}
				}
			}
		}
	}
}

func answerBaresip(t *testing.T, ctx context.Context, st *stage) {
	b := st.soft(t, ctx, "ans-b", 600, false)
	a := st.phone(t, ctx, "ans-a", nil)
	mark := b.EventMark()
	out, err := a.Dial(ctx, st.number("ans-b"))
	must(t, err)
	event(t, ctx, b, mark, "CALL_INCOMING")
	leg := st.legOf(t, ctx, "ans-b", call.LegIsRinging, 0)
	mark = b.EventMark()
	st.asks(t, ctx, call.AnswerCall{Leg: leg})
	event(t, ctx, b, mark, "CALL_CLOSED")
	event(t, ctx, b, mark, "CALL_INCOMING")
	must(t, b.Command("accept", "")) // nobody does it for her: see above
	must(t, out.WaitAnswered(ctx))
	hears(t, ctx, out, []float64{600})
	if st.legOf(t, ctx, "ans-b", call.LegIsActive, 0) != leg {
		t.Error("for the engine it is another leg")
	}
	must(t, out.Hangup(ctx))
}

func answerLinphone(t *testing.T, ctx context.Context, st *stage) {
	b := st.lin(t, ctx, "ansl-b", 600)
	a := st.phone(t, ctx, "ansl-a", nil)
	out, err := a.Dial(ctx, st.number("ansl-b"))
	must(t, err)
	leg := st.legOf(t, ctx, "ansl-b", call.LegIsRinging, 0)
	mark := b.Mark()
	st.asks(t, ctx, call.AnswerCall{Leg: leg})
	said(t, ctx, b, mark, "answer-after=0")
	said(t, ctx, b, mark, "SIP/2.0 180 Ringing")
	must(t, b.Answer(2))
	must(t, out.WaitAnswered(ctx))
	must(t, b.Speak())
	hears(t, ctx, out, []float64{600})
	must(t, out.Hangup(ctx))
}

func deskBaresip(t *testing.T, ctx context.Context, st *stage) {
	b := st.soft(t, ctx, "desk-b", 600, true)
	p := st.phones(t, ctx, "desk-a", "desk-c")
	st.asks(t, ctx, call.MakeCall{Device: "desk-b", Called: p[0].Number(), Auto: true})
	ca := takes(t, ctx, p[0], 1000)
	hears(t, ctx, ca, []float64{600})
	first := st.legOf(t, ctx, "desk-b", call.LegIsActive, 0)
	st.asks(t, ctx, call.MakeCall{Device: "desk-b", Called: p[1].Number(), Auto: true, From: first})
	must(t, ca.WaitNoTone(ctx, 600))
	cc := takes(t, ctx, p[1], 440)
	hears(t, ctx, cc, []float64{600})
	second := st.legOf(t, ctx, "desk-b", call.LegIsActive, first)
	mark := b.EventMark()
	st.asks(t, ctx, call.Transfer{Leg: first, With: second})
	hears(t, ctx, ca, []float64{440})
	hears(t, ctx, cc, []float64{1000})
	event(t, ctx, b, mark, "CALL_CLOSED")
	must(t, ca.Hangup(ctx))
	_, _, err := cc.WaitEnded(ctx)
	must(t, err)
}
