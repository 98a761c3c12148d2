package peers

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
)

// forwardScenes are the settings that a person dials: forwards and do not disturb.
func forwardScenes() []scene {
	return []scene{
		{name: "forwards dialled at baresip", cast: "fwd-a fwd-b fwd-c fwd-d", play: forwards, setup: func(st *stage, c *config.Site) {
			st.device(c, "fwd-b").Lines[0].BusyTrigger = 1
			st.line(c, "fwd-b").NoAnswerTimeout = config.Duration(time.Second)
		}},
		{name: "do not disturb dialled at baresip", cast: "dnd-a dnd-b", play: doNotDisturb},
	}
}

// confirmationHz is the tone with which the call manager says that what was dialled is done.
const confirmationHz = 480

// code dials a feature code at a baresip, which hears that it was done and is released.
func code(t *testing.T, ctx context.Context, b *Baresip, digits string) {
	t.Helper()
	mark := b.EventMark()
	must(t, b.Dial(digits))
	event(t, ctx, b, mark, "CALL_ESTABLISHED")
	waitTone(t, ctx, "the confirmation of "+digits, b.LastHeard, confirmationHz)
	event(t, ctx, b, mark, "CALL_CLOSED")
}

// forwards: every kind is set by dialling, acts, and tells the target why the call comes.
func forwards(t *testing.T, ctx context.Context, st *stage) {
	b := st.soft(t, ctx, "fwd-b", 600, false)
	p := st.phones(t, ctx, "fwd-a", "fwd-c", "fwd-d")
	a, c, d := p[0], p[1], p[2]

	code(t, ctx, b, "*72"+c.Number())
	st.forwarded(t, ctx, a, c, "unconditional")
	code(t, ctx, b, "*71")
	mark := b.EventMark()
	again, err := a.Dial(ctx, st.number("fwd-b"))
	must(t, err)
	event(t, ctx, b, mark, "CALL_INCOMING")
	must(t, again.Hangup(ctx))
	event(t, ctx, b, mark, "CALL_CLOSED")

	code(t, ctx, b, "*73"+c.Number())
	mark = b.EventMark()
	first, err := d.Dial(ctx, st.number("fwd-b"))
	must(t, err)
	event(t, ctx, b, mark, "CALL_INCOMING")
	must(t, b.Command("accept", ""))
	must(t, first.WaitAnswered(ctx))
	hears(t, ctx, first, []float64{600})
	st.forwarded(t, ctx, a, c, "user-busy")
	must(t, first.Hangup(ctx))
	event(t, ctx, b, mark, "CALL_CLOSED")
	code(t, ctx, b, "*71")

	code(t, ctx, b, "*74"+c.Number())
	mark = b.EventMark()
	st.forwarded(t, ctx, a, c, "no-answer")
	event(t, ctx, b, mark, "CALL_INCOMING")
	event(t, ctx, b, mark, "CALL_CLOSED")
	code(t, ctx, b, "*71")

	code(t, ctx, b, "*75"+c.Number())
	b.Stop()
	eventually(t, ctx, "fwd-b is not registered any more", func() bool {
		for _, r := range show[bus.Registration](t, st.testSite, bus.VerbRegistrations, "fwd-b") {
			if r.State == "registered" {
				return false
			}
		}
		return true
	})
	st.forwarded(t, ctx, a, c, "unavailable")
}

// forwarded calls fwd-b and sees the call arrive at c, with the reason, and both hear each other.
func (st *stage) forwarded(t *testing.T, ctx context.Context, a, c *phone.Phone, reason string) {
	t.Helper()
	out, err := a.Dial(ctx, st.number("fwd-b"))
	must(t, err)
	in := rings(t, ctx, c)
	div := in.Diversions()
	if len(div) != 1 || div[0].Address.URI.User != st.number("fwd-b") || div[0].Reason != reason {
		t.Errorf("the call comes with the diversions %+v, want one of %s with %s", div, st.number("fwd-b"), reason)
	}
	must(t, in.Answer(ctx))
	must(t, out.WaitAnswered(ctx))
	out.Tone(440)
	in.Tone(1000)
	hears(t, ctx, out, []float64{1000})
	hears(t, ctx, in, []float64{440})
	must(t, out.Hangup(ctx))
	over(t, ctx, in, 200)
}

// doNotDisturb: the code of it is dialled once for rest, and once more to be called again.
func doNotDisturb(t *testing.T, ctx context.Context, st *stage) {
	b := st.soft(t, ctx, "dnd-b", 600, false)
	a := st.phone(t, ctx, "dnd-a", nil)
	code(t, ctx, b, "*78")
	refused, err := a.Dial(ctx, st.number("dnd-b"))
	must(t, err)
	over(t, ctx, refused, 486)
	code(t, ctx, b, "*78")
	if log := b.Tail(200); strings.Contains(log, "Incoming call from") {
		t.Errorf("the phone rang although its user wants no calls:\n%s", log)
	}
	mark := b.EventMark()
	again, err := a.Dial(ctx, st.number("dnd-b"))
	must(t, err)
	event(t, ctx, b, mark, "CALL_INCOMING")
	must(t, b.Command("accept", ""))
	must(t, again.WaitAnswered(ctx))
	hears(t, ctx, again, []float64{600})
	must(t, again.Hangup(ctx))
}
