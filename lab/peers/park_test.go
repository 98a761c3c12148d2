package peers

import (
	"context"
	"testing"

	"github.com/locktone/locktone/config"
)

// parkScenes are calls that wait at a number, and calls that are taken from another phone.
func parkScenes() []scene {
	return []scene{
		{name: "park dialled at baresip and retrieved", cast: "park-a park-b park-c", play: park, setup: func(_ *stage, c *config.Site) {
			c.ParkNumbers = append(c.ParkNumbers, config.ParkNumber{Pattern: "7101", Partition: "features", Directed: true})
		}},
	}
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
