package phone_test

import (
	"testing"

	"github.com/locktone/locktone/lab/phone"
)

// RFC 3891: a third phone takes the place of the second one in a call, by the name of its dialog.
func TestDialWithReplaces(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, map[string][]int{"1001": {1}, "1002": {2}, "1003": {3}})
	for _, p := range s.profiles {
		p.Replaces = true
	}
	a, b, c := s.phone(1, "1001", nil), s.phone(2, "1002", nil), s.phone(3, "1003", nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	ca.Tone(1000)
	name := cb.Dialog()
	cc, err := c.DialWith(ctx, "1002", phone.DialOptions{Replaces: &name})
	must(t, err)
	must(t, cc.WaitAnswered(ctx))
	cc.Tone(600)
	hears(ctx, t, cc, 1000)
	hears(ctx, t, ca, 600)
	ended(ctx, t, cb, 200)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cc, 200)
	s.idle(ctx)
}
