package phone_test

import (
	"context"
	"crypto/tls"
	"errors"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// two is a site with two phones, 1001 and 1002, each with its own line.
func two(t testing.TB, edit func(*call.Site, *site), a, b func(*phone.Config)) (*site, *phone.Phone, *phone.Phone) {
	s := newSite(t, edit, map[string][]int{"1001": {1}, "1002": {2}})
	return s, s.phone(1, "1001", a), s.phone(2, "1002", b)
}

// incoming is the call that comes in at p.
func incoming(ctx context.Context, t testing.TB, p *phone.Phone) *phone.Call {
	t.Helper()
	select {
	case c := <-p.Incoming():
		return c
	case <-ctx.Done():
		t.Fatalf("no call arrives at %s", p.Number())
		return nil
	}
}

// connect calls from a to b's number, and b answers.
func connect(ctx context.Context, t testing.TB, a, b *phone.Phone) (*phone.Call, *phone.Call) {
	t.Helper()
	ca, err := a.Dial(ctx, b.Number())
	must(t, err)
	cb := incoming(ctx, t, b)
	must(t, ca.WaitRinging(ctx))
	must(t, cb.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	return ca, cb
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// hears fails unless c hears the tone.
func hears(ctx context.Context, t testing.TB, c *phone.Call, hz float64) {
	t.Helper()
	if got, err := c.WaitTone(ctx, hz); err != nil {
		t.Fatalf("wanted %v Hz, heard %v Hz: %v; %+v", hz, got, err, c.Evidence())
	}
}

func ended(ctx context.Context, t testing.TB, c *phone.Call, want int) {
	t.Helper()
	status, _, err := c.WaitEnded(ctx)
	if err != nil || status != want {
		t.Fatalf("call ended with %d, want %d (%v; %s)", status, want, err, c.Warning())
	}
}

func TestCallWithToneBothWays(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"caller", "callee"} {
		t.Run(who+" hangs up", func(t *testing.T) {
			t.Parallel()
			s, a, b := two(t, nil, nil, nil)
			ctx := wait(t)
			ca, cb := connect(ctx, t, a, b)
			ca.Tone(1000)
			cb.Tone(440)
			hears(ctx, t, cb, 1000)
			hears(ctx, t, ca, 440)
			for _, c := range []*phone.Call{ca, cb} {
				proven(t, c.Evidence())
			}
			if who == "callee" {
				ca, cb = cb, ca
			}
			must(t, ca.Hangup(ctx))
			ended(ctx, t, cb, 200)
			s.idle(ctx)
		})
	}
}

// proven fails unless the evidence shows a protected leg.
func proven(t testing.TB, e phone.Evidence) {
	t.Helper()
	if !e.Verified || e.TLS != tls.VersionName(tls.VersionTLS13) || e.Cipher == "" || e.Peer != "CN=cm-1" || len(e.Chain) != 2 {
		t.Errorf("signalling not proven: %+v", e)
	}
	if e.Suite == "" || e.RxAuth == 0 || e.TxAuth == 0 || e.Failed != 0 {
		t.Errorf("media not proven: %+v", e)
	}
}

// idle waits until the site has forgotten every call and every dialog.
func (s *site) idle(ctx context.Context) {
	s.t.Helper()
	w := s.host.Watch(0)
	defer w.Close()
	for {
		views, err := s.host.Calls(ctx)
		if err != nil {
			s.t.Fatal("calls are left: ", err)
		}
		if len(views) == 0 {
			return
		}
		select {
		case <-w.Notes():
		case <-ctx.Done():
			s.t.Fatalf("%d calls are left", len(views))
		}
	}
}

func TestHoldWithMusicAndResume(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, nil, nil, nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	ca.Tone(1000)
	cb.Tone(440)
	hears(ctx, t, cb, 1000)
	must(t, ca.Hold(ctx))
	// b must hear something that is not a's tone: the music.
	before := cb.Evidence()
	// Half a second of it, so that nothing of the tone is left in what is heard.
	after, err := cb.WaitEvidence(ctx, func(e phone.Evidence) bool {
		return e.RxAuth > before.RxAuth+75 && e.Media.LevelDBm > -50 && (e.ToneHz < 980 || e.ToneHz > 1020)
	})
	// A packet or two of the old source may be under way while the keys change; a source with wrong keys fails always.
	if err != nil || after.Failed > 3 {
		t.Errorf("no music, or not all of it is authentic: %v %+v", err, after)
	}
	hears(ctx, t, ca, 0)
	must(t, ca.Resume(ctx))
	hears(ctx, t, cb, 1000)
	hears(ctx, t, ca, 440)
	must(t, cb.Hangup(ctx))
	ended(ctx, t, ca, 200)
	s.idle(ctx)
}

func TestHoldByEitherSideAndBoth(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, nil, nil, nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	ca.Tone(1000)
	cb.Tone(440)
	must(t, cb.Hold(ctx))
	must(t, ca.Hold(ctx))
	must(t, cb.Resume(ctx))
	must(t, ca.Resume(ctx))
	hears(ctx, t, cb, 1000)
	hears(ctx, t, ca, 440)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
	s.idle(ctx)
}

func TestDigitsBothWays(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, nil, nil, nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	must(t, ca.SendDigits(ctx, "159*"))
	must(t, cb.WaitDigits(ctx, "159*"))
	must(t, cb.SendDigits(ctx, "#0D"))
	must(t, ca.WaitDigits(ctx, "#0D"))
	must(t, ca.Hangup(ctx))
	s.idle(ctx)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, nil, nil, nil)
	ctx := wait(t)
	ca, err := a.Dial(ctx, "1002")
	must(t, err)
	cb := incoming(ctx, t, b)
	must(t, ca.WaitRinging(ctx))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 487)
	s.idle(ctx)
}

func TestBusy(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, nil, nil, nil)
	ctx := wait(t)
	ca, err := a.Dial(ctx, "1002")
	must(t, err)
	incoming(ctx, t, b).Reject(486)
	ended(ctx, t, ca, 486)
	s.idle(ctx)
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, func(cs *call.Site, _ *site) { cs.Policy.NoAnswer = 300 * time.Millisecond }, nil, nil)
	ctx := wait(t)
	ca, err := a.Dial(ctx, "1002")
	must(t, err)
	cb := incoming(ctx, t, b)
	ended(ctx, t, ca, 480)
	ended(ctx, t, cb, 487)
	s.idle(ctx)
}

func TestUnknownNumber(t *testing.T) {
	t.Parallel()
	s, a, _ := two(t, nil, nil, nil)
	ctx := wait(t)
	ca, err := a.Dial(ctx, "9999")
	must(t, err)
	ended(ctx, t, ca, 404)
	s.idle(ctx)
}

func TestLateOffer(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, nil, func(c *phone.Config) { c.LateOffer = true }, nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	ca.Tone(1000)
	cb.Tone(440)
	hears(ctx, t, cb, 1000)
	hears(ctx, t, ca, 440)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
	s.idle(ctx)
}

func TestSharedLineRingsEverywhereAndOneAnswers(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, map[string][]int{"1001": {1}, "2000": {2, 3}})
	a, b, c := s.phone(1, "1001", nil), s.phone(2, "2000", nil), s.phone(3, "2000", nil)
	ctx := wait(t)
	ca, err := a.Dial(ctx, "2000")
	must(t, err)
	cb, cc := incoming(ctx, t, b), incoming(ctx, t, c)
	must(t, cc.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	ended(ctx, t, cb, 487)
	ca.Tone(1000)
	hears(ctx, t, cc, 1000)
	must(t, cc.Hangup(ctx))
	ended(ctx, t, ca, 200)
	s.idle(ctx)
}

// timed gives every device's profile a short session timer: less than RFC 4028 allows on the wire, for the test.
// Of an interval half passes until the refresh, and a sixth more until the call is given up (RFC 4028, 10).
func timed(d time.Duration) func(*call.Site, *site) {
	return func(_ *call.Site, s *site) {
		for _, p := range s.profiles {
			p.Timer = dialog.TimerConfig{Interval: d, Min: time.Second}
		}
	}
}

func TestSessionTimerIsRefreshed(t *testing.T) {
	t.Parallel()
	for _, update := range []bool{true, false} {
		t.Run(map[bool]string{true: "by UPDATE", false: "by re-INVITE"}[update], func(t *testing.T) {
			t.Parallel()
			phones := func(c *phone.Config) { c.NoUpdate, c.Timer.Min = !update, time.Second }
			s, a, b := two(t, timed(6*time.Second), phones, phones)
			ctx := wait(t)
			ca, cb := connect(ctx, t, a, b)
			must(t, ca.WaitRefreshed(ctx, 1))
			must(t, cb.WaitRefreshed(ctx, 1))
			ca.Tone(1000)
			hears(ctx, t, cb, 1000)
			must(t, ca.Hangup(ctx))
			s.idle(ctx)
		})
	}
}

func TestVanishedPhoneIsReleasedWithinItsSessionTimer(t *testing.T) {
	t.Parallel()
	short := func(c *phone.Config) { c.Timer.Min = time.Second }
	s, a, b := two(t, timed(2*time.Second), short, func(c *phone.Config) { short(c); c.Misbehave.Vanish = true })
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	must(t, cb.Hangup(ctx)) // says nothing
	ended(ctx, t, ca, 200)
	s.idle(ctx)
}

// RFC 3261, 13.3.1.4: a caller that never acknowledges the 200 loses its call, and the called party hears the end of it.
func TestCallerThatNeverAcknowledges(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, map[string][]int{"1001": {1}, "1002": {2}}, func(c *sipleg.Config) { c.T1 = 50 * time.Millisecond })
	a := s.phone(1, "1001", func(c *phone.Config) { c.Misbehave.NeverAck = true })
	b := s.phone(2, "1002", nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	ended(ctx, t, cb, 200)
	ended(ctx, t, ca, 200)
	s.idle(ctx)
}

func TestBlindTransfer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, map[string][]int{"1001": {1}, "1002": {2}, "1003": {3}})
	a, b, c := s.phone(1, "1001", nil), s.phone(2, "1002", nil), s.phone(3, "1003", nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	got := make(chan int, 1)
	go func() {
		status, err := cb.Transfer(ctx, "1003")
		if err != nil {
			t.Error(err)
		}
		got <- status
	}()
	cc := incoming(ctx, t, c)
	must(t, cc.Answer(ctx))
	if status := <-got; status != 200 {
		t.Errorf("transfer ended with %d", status)
	}
	ca.Tone(1000)
	cc.Tone(440)
	hears(ctx, t, cc, 1000)
	hears(ctx, t, ca, 440)
	must(t, cb.Hangup(ctx))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cc, 200)
	s.idle(ctx)
}

func TestAttendedTransfer(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, map[string][]int{"1001": {1}, "1002": {2}, "1003": {3}})
	a, b, c := s.phone(1, "1001", nil), s.phone(2, "1002", nil), s.phone(3, "1003", nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	must(t, cb.Hold(ctx))
	cb2, cc := connect(ctx, t, b, c)
	status, err := cb.TransferTo(ctx, cb2)
	must(t, err)
	if status != 200 {
		t.Errorf("transfer ended with %d", status)
	}
	ca.Tone(1000)
	cc.Tone(440)
	hears(ctx, t, cc, 1000)
	hears(ctx, t, ca, 440)
	must(t, cb.Hangup(ctx))
	must(t, cb2.Hangup(ctx))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cc, 200)
	s.idle(ctx)
}

// An encrypted device that offers plain RTP gets 488 with a Warning, and nobody's phone rings.
func TestPlainOfferFromAnEncryptedDevice(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, nil, func(c *phone.Config) { c.Security = desc.Forbidden }, nil)
	ctx := wait(t)
	ca, err := a.Dial(ctx, "1002")
	must(t, err)
	ended(ctx, t, ca, 488)
	if ca.Warning() == "" {
		t.Error("488 without a Warning")
	}
	select {
	case <-b.Incoming():
		t.Error("the called phone rang")
	default:
	}
	s.idle(ctx)
}

// The evidence of a leg whose far end misbehaves does not hold: that is what it is for.
func TestEvidenceShowsMisbehaviour(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		bad  phone.Misbehave
		want func(phone.Evidence) bool
	}{
		{"plain RTP", phone.Misbehave{PlainMedia: true}, func(e phone.Evidence) bool { return e.Failed > 0 }},
		{"silence", phone.Misbehave{Silent: true}, func(e phone.Evidence) bool { return e.RxAuth >= 10 && e.ToneHz == 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, a, b := two(t, nil, nil, func(cfg *phone.Config) { cfg.Misbehave = c.bad })
			ctx := wait(t)
			ca, cb := connect(ctx, t, a, b)
			cb.Tone(1000)
			e, err := ca.WaitEvidence(ctx, c.want)
			if err != nil {
				t.Fatalf("%v: %+v", err, e)
			}
			if e.ToneHz != 0 {
				t.Errorf("a tone is heard: %+v", e)
			}
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil, map[string][]int{"1001": {1}, "1002": {2}})
	a, b := s.phone(1, "1001", nil), s.phone(2, "1002", nil)
	ctx, cancel := context.WithCancel(wait(t))
	ca, err := a.Dial(ctx, "1002")
	must(t, err)
	incoming(ctx, t, b)
	cancel()
	if err := ca.WaitAnswered(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("WaitAnswered: %v", err)
	}
	must(t, ca.Hangup(wait(t)))
}

// 100rel on both legs: provisional responses are acknowledged hop by hop (RFC 3262).
func TestReliableProvisionalResponses(t *testing.T) {
	t.Parallel()
	reliable := func(c *phone.Config) { c.Reliable = dialog.ReliablePreferred }
	s, a, b := two(t, func(_ *call.Site, s *site) {
		for _, p := range s.profiles {
			p.Reliable = dialog.ReliablePreferred
		}
	}, reliable, reliable)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	ca.Tone(1000)
	hears(ctx, t, cb, 1000)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
	s.idle(ctx)
}

// A phone that lost its connection in mid-call and registered again still hears the end of its call, and can end one.
func TestCallSurvivesANewConnection(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"far end", "phone itself"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil, map[string][]int{"1001": {1}, "1002": {2}})
			s.Grant(time.Second)
			a, b := s.phone(1, "1001", nil), s.phone(2, "1002", nil)
			ctx := wait(t)
			ca, cb := connect(ctx, t, a, b)
			name := phonetest.Device(2)
			before := s.Flow(name)
			before.Close(errors.New("cut by the test"))
			for f := before; f == before || !f.Alive(); f = s.Flow(name) {
				must(t, s.WaitRegisters(ctx, 1))
			}
			if who == "phone itself" {
				ca, cb = cb, ca
			}
			must(t, ca.Hangup(ctx))
			ended(ctx, t, cb, 200)
			s.idle(ctx)
		})
	}
}

// Digits in INFO go through the engine to the other phone.
func TestInfoDigits(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, nil, nil, nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	w := s.host.Watch(0)
	defer w.Close()
	ca.SendInfo("7")
	for heard := ""; heard != "7"; {
		select {
		case n := <-w.Notes():
			heard = n.Event.Digit
		case <-ctx.Done():
			t.Fatal("the engine heard no digit")
		}
	}
	must(t, cb.WaitDigits(ctx, "7"))
	must(t, cb.Hangup(ctx))
	s.idle(ctx)
}
