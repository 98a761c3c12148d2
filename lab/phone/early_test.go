package phone_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Early media: what the called phone says before it answers is heard, with plain and with reliable responses.
func TestEarlyMedia(t *testing.T) {
	t.Parallel()
	for _, rel := range []dialog.Reliability{dialog.ReliableOff, dialog.ReliablePreferred} {
		t.Run(map[bool]string{true: "plain", false: "reliable"}[rel == dialog.ReliableOff], func(t *testing.T) {
			t.Parallel()
			s, a, b := two(t, func(_ *call.Site, s *site) {
				for _, p := range s.profiles {
					p.Reliable = rel
				}
			}, func(c *phone.Config) { c.Reliable = rel }, func(c *phone.Config) { c.Reliable, c.EarlyMedia = rel, true })
			ctx := wait(t)
			ca, err := a.Dial(ctx, "1002")
			must(t, err)
			cb := incoming(ctx, t, b)
			cb.Tone(425)
			hears(ctx, t, ca, 425)
			if ca.State() == phone.Talking || ca.Evidence().Suite == "" {
				t.Errorf("%s, %+v", ca.State(), ca.Evidence())
			}
			must(t, cb.Answer(ctx))
			must(t, ca.WaitAnswered(ctx))
			ca.Tone(1000)
			hears(ctx, t, cb, 1000)
			hears(ctx, t, ca, 425)
			proven(t, ca.Evidence())
			must(t, ca.Hangup(ctx))
			s.idle(ctx)
		})
	}
}

// RFC 4916 by P-Asserted-Identity: whoever is transferred learns with whom, by UPDATE or, where that is not known, by re-INVITE.
func TestConnectedIdentityAfterTransfer(t *testing.T) {
	t.Parallel()
	for _, update := range []bool{true, false} {
		t.Run(map[bool]string{true: "UPDATE", false: "re-INVITE"}[update], func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, map[string][]int{"1001": {1}, "1002": {2}, "1003": {3}})
			old := func(c *phone.Config) { c.NoUpdate = !update }
			a, b, c := s.phone(1, "1001", old), s.phone(2, "1002", old), s.phone(3, "1003", old)
			ctx := wait(t)
			ca, cb := connect(ctx, t, a, b)
			must(t, ca.WaitConnected(ctx, "1002"))
			cb2, cc := connect(ctx, t, b, c)
			must(t, cc.WaitConnected(ctx, "1002"))
			status, err := cb.TransferTo(ctx, cb2)
			must(t, err)
			if status != 200 {
				t.Errorf("transfer: %d", status)
			}
			must(t, ca.WaitConnected(ctx, "1003"))
			must(t, cc.WaitConnected(ctx, "1001"))
			must(t, ca.Hangup(ctx))
			ended(ctx, t, cc, 200)
		})
	}
}

// watched collects what the driver tells its observer.
type watched struct {
	mu     sync.Mutex
	opened map[call.LegID][]string // Call-ID, global id, device, trunk
	closed map[call.LegID]string
}

func (w *watched) LegOpened(leg call.LegID, callID, globalID, device, trunk string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened[leg] = append(w.opened[leg], callID, globalID, device, trunk)
}

func (w *watched) LegEnded(call.LegID, media.LegMedia, *transport.Flow) {}

func (w *watched) LegClosed(leg call.LegID, callID string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed[leg] += callID
}

var _ sipleg.Observer = (*watched)(nil)

// The observer hears of each leg once, with what joins its messages to its call, and of its end once.
func TestObserver(t *testing.T) {
	t.Parallel()
	w := &watched{opened: map[call.LegID][]string{}, closed: map[call.LegID]string{}}
	s := newSite(t, nil, map[string][]int{"1001": {1}, "1002": {2}}, func(c *sipleg.Config) {
		c.Observer, c.T1 = w, 50*time.Millisecond // dialogs are kept for repeated 2xx
	})
	a, b := s.phone(1, "1001", nil), s.phone(2, "1002", nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	must(t, ca.Hold(ctx))
	must(t, ca.Resume(ctx))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
	s.noLegs(ctx)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.opened) != 2 || len(w.closed) != 2 {
		t.Fatalf("opened %v, closed %v", w.opened, w.closed)
	}
	devices, globals, ids := "", map[string]bool{}, map[string]bool{}
	for leg, o := range w.opened {
		if len(o) != 4 || o[0] == "" || w.closed[leg] != o[0] || o[3] != "" {
			t.Errorf("leg %v: opened %q, closed %q", leg, o, w.closed[leg])
			continue
		}
		ids[o[0]], globals[o[1]] = true, true
		devices += o[2]
	}
	if len(ids) != 2 || len(globals) != 1 || globals[""] || !strings.Contains(devices, phonetest.Device(1)) || !strings.Contains(devices, phonetest.Device(2)) {
		t.Errorf("Call-IDs %v, global ids %v, devices %s", ids, globals, devices)
	}
}
