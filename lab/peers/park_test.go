package peers

import (
	"context"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
)

// parkScenes are calls that wait at a number, and calls that are taken from another phone.
func parkScenes() []scene {
	return []scene{
		{name: "park dialled at baresip and retrieved", cast: "park-a park-b park-c", play: park, setup: func(_ *stage, c *config.Site) {
			c.ParkNumbers = append(c.ParkNumbers, config.ParkNumber{Pattern: "7101", Partition: "features", Directed: true})
		}},
		{name: "pickup and group pickup dialled at linphonec", cast: "pick-a pick-b pick-c pick-d", play: pickup, setup: func(st *stage, c *config.Site) {
			c.PickupGroups = append(c.PickupGroups, config.PickupGroup{Name: "sales", Number: "22"})
			st.line(c, "pick-b").PickupGroup, st.line(c, "pick-c").PickupGroup = "sales", "sales"
			st.line(c, "pick-d").PickupGroup = ""
		}},
		{name: "shared line: ringing, barge, privacy, resume at the other phone", cast: "share-a share-b share-c", play: sharedLine,
			setup: func(st *stage, c *config.Site) { st.share(c, "share-b", "share-c") }},
	}
}

// pickup: a call that rings at one phone is answered at another one, of the same group and from outside of it. Whoever picks up is
// given the caller's keys after the first answer, which baresip does not follow (see pair.hold): linphonec does.
func pickup(t *testing.T, ctx context.Context, st *stage) {
	p := st.phones(t, ctx, "pick-a", "pick-b")
	for _, by := range []struct {
		name, dials string
		tone        int
	}{{"pick-c", "*37", 600}, {"pick-d", "*3822", 800}} {
		l := st.lin(t, ctx, by.name, by.tone)
		out, err := p[0].Dial(ctx, st.number("pick-b"))
		must(t, err)
		in := rings(t, ctx, p[1])
		must(t, l.Call(st.uri(by.dials)))
		must(t, out.WaitAnswered(ctx))
		out.Tone(440)
		if _, _, err := in.WaitEnded(ctx); err != nil {
			t.Fatal(err)
		}
		said(t, ctx, l, 0, streaming)
		must(t, l.Speak())
		hears(t, ctx, out, []float64{float64(by.tone)})
		waitTone(t, ctx, by.name, carolHears(t, ctx, l, "picked"), 440)
		must(t, out.WaitConnected(ctx, st.number(by.name)))
		must(t, out.Hangup(ctx))
		said(t, ctx, l, 0, "to LinphoneCallReleased")
	}
}

// sharedLine: two baresips with one line. The call of one can be joined from the other one unless its user wants privacy, and goes on
// there when it is held.
func sharedLine(t *testing.T, ctx context.Context, st *stage) {
	b, c := st.soft(t, ctx, "share-b", 600, false), st.soft(t, ctx, "share-c", 800, false)
	a := st.phone(t, ctx, "share-a", nil)
	markB, markC := b.EventMark(), c.EventMark()
	out, err := a.Dial(ctx, st.number("share-b"))
	must(t, err)
	event(t, ctx, b, markB, "CALL_INCOMING")
	event(t, ctx, c, markC, "CALL_INCOMING")
	must(t, b.Command("accept", ""))
	must(t, out.WaitAnswered(ctx))
	out.Tone(440)
	event(t, ctx, c, markC, "CALL_CLOSED")
	hears(t, ctx, out, []float64{600})

	markC = c.EventMark()
	must(t, c.NextSecond(ctx))
	must(t, c.Dial("*31"))
	event(t, ctx, c, markC, "CALL_ESTABLISHED")
	hears(t, ctx, out, []float64{600, 800})
	waitMix(t, ctx, "share-c", c.LastHeard, []float64{440, 600})
	must(t, c.Command("hangup", ""))
	event(t, ctx, c, markC, "CALL_CLOSED")
	hears(t, ctx, out, []float64{600}, 800)

	for !out.OnHold() { // baresip does not repeat a hold that collides with the offer that ends the conference (491)
		must(t, ctx.Err())
		must(t, b.Command("hold", ""))
		short, cancel := context.WithTimeout(ctx, time.Second)
		_ = out.WaitHeld(short, true)
		cancel()
	}
	hears(t, ctx, out, nil, 600)
	markC = c.EventMark()
	must(t, c.Dial("*36"))
	event(t, ctx, c, markC, "CALL_ESTABLISHED")
	event(t, ctx, b, markB, "CALL_CLOSED")
	hears(t, ctx, out, []float64{800}, 600)

	markB = b.EventMark()
	must(t, c.NextSecond(ctx))
	code(t, ctx, c, "*34") // a second call of c: the first goes on
	must(t, b.Dial("*31"))
	if e := event(t, ctx, b, markB, "CALL_ESTABLISHED", "CALL_CLOSED"); e.Type != "CALL_CLOSED" {
		t.Error("baresip got into a call whose user wants privacy")
	}
	must(t, out.Hangup(ctx))
}

// park: baresip holds its caller and dials the park code; somebody else dials the number that the caller's display shows. Then the
// same by a transfer to a number of directed park.
func park(t *testing.T, ctx context.Context, st *stage) {
	b := st.soft(t, ctx, "park-b", 600, true)
	p := st.phones(t, ctx, "park-a", "park-c")
	a, c := p[0], p[1]
	first := calls(t, ctx, a, st.number("park-b"), 440)
	hears(t, ctx, first, []float64{600})
	must(t, b.Command("hold", ""))
	must(t, first.WaitNoTone(ctx, 600))
	mark := b.EventMark()
	must(t, b.Dial("*35"))
	waitTone(t, ctx, "the confirmation of *35", b.Heard, confirmationHz)
	event(t, ctx, b, mark, "CALL_CLOSED")
	must(t, first.WaitSound(ctx))
	slot := first.Connected().URI.User
	if len(slot) != 4 || slot[:3] != "700" {
		t.Fatalf("the parked phone shows %q, want a park number", slot)
	}
	taken := calls(t, ctx, c, slot, 1000)
	hears(t, ctx, first, []float64{1000}, 600)
	hears(t, ctx, taken, []float64{440})
	must(t, first.WaitConnected(ctx, c.Number()))
	must(t, taken.Hangup(ctx))
	over(t, ctx, first, 200)

	mark = b.EventMark()
	second := calls(t, ctx, a, st.number("park-b"), 440)
	event(t, ctx, b, mark, "CALL_ESTABLISHED")
	must(t, b.Transfer("7101"))
	event(t, ctx, b, mark, "CALL_CLOSED")
	must(t, second.WaitConnected(ctx, "7101"))
	must(t, second.WaitSound(ctx))
	taken = calls(t, ctx, c, "7101", 1000)
	hears(t, ctx, second, []float64{1000}, 600)
	hears(t, ctx, taken, []float64{440})
	must(t, second.Hangup(ctx))
	over(t, ctx, taken, 200)
}
