package tie

import (
	"context"
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// TestFeatures: every feature, with its parties at two nodes. A test of the table leaves the cluster as it found it.
func TestFeatures(t *testing.T) {
	s := start(t, lab.ClusterOptions{})
	for _, c := range []struct {
		name string
		run  func(context.Context, *testing.T, *stage)
	}{
		{"a call each way", plainCalls},
		{"cancelled and refused", noCalls},
		{"hold", holds},
		{"a shared line", sharedLine},
		{"blind transfer", blindTransfer},
		{"attended transfer", attendedTransfer},
		{"park", park},
		{"pickup", pickup},
		{"take over", takeOver},
		{"hunt", hunt},
		{"conference", conference},
		{"meet-me", meetMe},
		{"barge", barge},
		{"replaces", replaces},
		{"digits", digits},
		{"a call without an offer", lateOffer},
	} {
		if !t.Run(c.name, func(t *testing.T) { s.told(t); c.run(within(t), t, s); s.idle(t) }) {
			s.clear(t)
		}
	}
}

// clear ends what a failed test has left: phones that close say nothing, and calls go on without them until their session timers.
func (s *stage) clear(t *testing.T) {
	ctx := within(t)
	for _, n := range s.Nodes() {
		remote := live.NewRemote(n.Bus, callmanager.Name)
		w := remote.Follow(live.Filter{}, n.Name)
		for snapshot := false; !snapshot; {
			select {
			case note := <-w.Notes():
				snapshot = note.Snapshot
				for _, v := range note.Calls {
					_, err := remote.At(n.Name).Request(ctx, "test", call.Drop{Call: v.ID}) // it may end with one before
					must(t, err)
				}
			case <-ctx.Done():
				t.Fatal("nobody says what calls there are")
			}
		}
		w.Close()
	}
	for _, p := range []*phone.Phone{s.alice, s.bob, s.carol, s.dave, s.erin, s.frank} {
		_ = p.Close(ctx)
	}
	s.phones()
	s.idle(t)
	s.known(t)
}

// Media goes directly from phone to phone, over SRTP with the keys that travelled over the tie; both ways round.
func plainCalls(ctx context.Context, t *testing.T, s *stage) {
	for _, p := range [][2]*phone.Phone{{s.alice, s.bob}, {s.bob, s.alice}} {
		ca, cb := connect(ctx, t, p[0], p[1])
		if from := cb.From().URI.User; from != p[0].Number() {
			t.Errorf("the call is from %s", from)
		}
		must(t, ca.WaitConnected(ctx, p[1].Number()))
		both(ctx, t, ca, cb)
		for _, c := range []*phone.Call{ca, cb} {
			for _, n := range s.Nodes() {
				if remote := c.Evidence().Media.Remote; strings.HasPrefix(remote, n.Address.String()+":") {
					t.Errorf("media goes to %s, a node", remote)
				}
			}
			must(t, c.WaitLock(ctx, phone.LockEncrypted))
		}
		must(t, cb.Hangup(ctx))
		ended(ctx, t, ca, 200)
	}
}

func noCalls(ctx context.Context, t *testing.T, s *stage) {
	ca := dial(ctx, t, s.alice, "1002")
	cb := incoming(ctx, t, s.bob)
	must(t, ca.WaitRinging(ctx))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 487)
	ca = dial(ctx, t, s.alice, "1002")
	incoming(ctx, t, s.bob).Reject(486)
	ended(ctx, t, ca, 486)
}

func holds(ctx context.Context, t *testing.T, s *stage) {
	ca, cb := connect(ctx, t, s.alice, s.bob)
	for _, c := range [][2]*phone.Call{{ca, cb}, {cb, ca}} {
		must(t, c[0].Hold(ctx))
		must(t, c[1].WaitHeld(ctx, true))
		must(t, c[1].WaitSound(ctx))
		must(t, c[0].Resume(ctx))
		must(t, c[1].WaitHeld(ctx, false))
		both(ctx, t, ca, cb)
	}
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
}

// Both phones ring, at their two nodes; one answers, and the other has missed nothing. What one holds the other resumes.
func sharedLine(ctx context.Context, t *testing.T, s *stage) {
	for _, p := range [][2]*phone.Phone{{s.erin, s.frank}, {s.frank, s.erin}} {
		ca := dial(ctx, t, s.alice, "1005")
		taken, left := incoming(ctx, t, p[0]), incoming(ctx, t, p[1])
		must(t, ca.WaitRinging(ctx))
		must(t, taken.Answer(ctx))
		must(t, ca.WaitAnswered(ctx))
		ended(ctx, t, left, 487)
		if r := left.Reason(); !strings.Contains(r, "elsewhere") {
			t.Errorf("the phone that did not answer is told %q", r)
		}
		both(ctx, t, ca, taken)
		must(t, ca.Hangup(ctx))
		ended(ctx, t, taken, 200)
	}
}

func blindTransfer(ctx context.Context, t *testing.T, s *stage) {
	for _, to := range []*phone.Phone{s.dave, s.carol} {
		ca, cb := connect(ctx, t, s.alice, s.bob)
		go func() { _, _ = cb.Transfer(ctx, to.Number()) }()
		cc := incoming(ctx, t, to)
		must(t, cc.Answer(ctx))
		must(t, ca.WaitConnected(ctx, to.Number()))
		must(t, cc.WaitConnected(ctx, "1001"))
		both(ctx, t, ca, cc)
		must(t, ca.Hangup(ctx))
		ended(ctx, t, cc, 200)
		_, _, err := cb.WaitEnded(ctx)
		must(t, err)
	}
}

func attendedTransfer(ctx context.Context, t *testing.T, s *stage) {
	for _, to := range []*phone.Phone{s.dave, s.carol} {
		ca, cb := connect(ctx, t, s.alice, s.bob)
		must(t, cb.Hold(ctx))
		must(t, ca.WaitHeld(ctx, true))
		consult, cc := connect(ctx, t, s.bob, to)
		status, err := cb.TransferTo(ctx, consult)
		if err != nil || status != 200 {
			t.Fatalf("the transfer ended with %d, %v", status, err)
		}
		must(t, ca.WaitConnected(ctx, to.Number()))
		must(t, cc.WaitConnected(ctx, "1001"))
		both(ctx, t, ca, cc)
		must(t, cc.Hangup(ctx))
		ended(ctx, t, ca, 200)
	}
}

// Parked at one node, fetched from the other, both ways round.
func park(ctx context.Context, t *testing.T, s *stage) {
	for _, p := range []struct{ caller, parks, fetches *phone.Phone }{{s.alice, s.bob, s.carol}, {s.bob, s.alice, s.dave}, {s.alice, s.carol, s.dave}} {
		ca, cb := connect(ctx, t, p.caller, p.parks)
		must(t, cb.Hold(ctx))
		must(t, ca.WaitHeld(ctx, true))
		code := dialled(ctx, t, p.parks, "*35")
		slot := strings.TrimPrefix(code.Connected().Display, "Parked at ")
		ended(ctx, t, code, 200)
		ended(ctx, t, cb, 200)
		must(t, ca.WaitSound(ctx))
		s.hears(ctx, t, s.at[p.fetches.Name()], call.ThingParked, "")
		cc := s.takes(ctx, t, p.fetches, slot, phone.DialOptions{})
		both(ctx, t, ca, cc)
		must(t, ca.Hangup(ctx))
		ended(ctx, t, cc, 200)
	}
}

// A phone at one node takes what rings at the other: by the code of the group, by the number, by the name of the dialog.
func pickup(ctx context.Context, t *testing.T, s *stage) {
	for _, how := range []string{"*37", "*371002", "replaces"} {
		cd := dial(ctx, t, s.dave, "1002")
		cb := incoming(ctx, t, s.bob)
		must(t, cd.WaitRinging(ctx))
		s.hears(ctx, t, "n1", call.ThingRinging, "bob")
		var options phone.DialOptions
		number := how
		if how == "replaces" {
			name := cb.Dialog()
			number, options.Replaces = "1002", &name
		}
		ca := s.takes(ctx, t, s.alice, number, options)
		must(t, cd.WaitAnswered(ctx))
		must(t, cd.WaitConnected(ctx, "1001"))
		ended(ctx, t, cb, 487)
		both(ctx, t, cd, ca)
		must(t, ca.Hangup(ctx))
		ended(ctx, t, cd, 200)
	}
}

// takes has a phone take a call of the other node, once its own has heard of that.
func (s *stage) takes(ctx context.Context, t *testing.T, p *phone.Phone, number string, o phone.DialOptions) *phone.Call {
	t.Helper()
	for {
		c, err := p.DialWith(ctx, number, o)
		must(t, err)
		err = c.WaitAnswered(ctx)
		if err == nil {
			return c
		}
		if status, _, _ := c.WaitEnded(ctx); status != 404 && status != 481 || ctx.Err() != nil {
			t.Fatalf("%s at %s: %v", number, p.Name(), err)
		}
	}
}

func takeOver(ctx context.Context, t *testing.T, s *stage) {
	ca := dial(ctx, t, s.alice, "1005")
	ce, cf := incoming(ctx, t, s.erin), incoming(ctx, t, s.frank)
	must(t, cf.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	ended(ctx, t, ce, 487)
	must(t, cf.Hold(ctx))
	must(t, ca.WaitHeld(ctx, true))
	s.hears(ctx, t, "n1", call.ThingHeld, "frank")
	taken := s.takes(ctx, t, s.erin, "*36", phone.DialOptions{})
	ended(ctx, t, cf, 200)
	both(ctx, t, ca, taken)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, taken, 200)
}

func hunt(ctx context.Context, t *testing.T, s *stage) {
	for _, p := range [][2]*phone.Phone{{s.alice, s.bob}, {s.bob, s.alice}} {
		cc := dial(ctx, t, s.carol, "1000")
		taken, left := incoming(ctx, t, p[0]), incoming(ctx, t, p[1])
		must(t, taken.Answer(ctx))
		must(t, cc.WaitAnswered(ctx))
		ended(ctx, t, left, 487)
		both(ctx, t, cc, taken)
		must(t, taken.Hangup(ctx))
		ended(ctx, t, cc, 200)
	}
}

// hearing lets the calls of a conference hear each other: each its own tone not.
func hearing(ctx context.Context, t *testing.T, tones []float64, calls ...*phone.Call) {
	t.Helper()
	for i, c := range calls {
		c.Tone(tones[i])
	}
	for i, c := range calls {
		var others []float64
		for j, hz := range tones {
			if i != j {
				others = append(others, hz)
			}
		}
		if err := c.WaitMix(ctx, others, tones[i]); err != nil {
			t.Fatalf("call %d does not hear %v: %v", i, others, err)
		}
	}
}

func conference(ctx context.Context, t *testing.T, s *stage) {
	toBob, atBob := connect(ctx, t, s.alice, s.bob)
	must(t, toBob.Hold(ctx))
	must(t, atBob.WaitHeld(ctx, true))
	toDave, atDave := connect(ctx, t, s.alice, s.dave)
	must(t, toDave.Hold(ctx))
	must(t, atDave.WaitHeld(ctx, true))
	conf := dialled(ctx, t, s.alice, "*30")
	hearing(ctx, t, []float64{440, 1000, 1700}, conf, atBob, atDave)
	must(t, conf.Hangup(ctx))
	both(ctx, t, atBob, atDave)
	must(t, atBob.Hangup(ctx))
	ended(ctx, t, atDave, 200)
}

func meetMe(ctx context.Context, t *testing.T, s *stage) {
	for _, number := range []string{"8000", "8001"} {
		ca, cb, cc := dialled(ctx, t, s.alice, number), dialled(ctx, t, s.bob, number), dialled(ctx, t, s.carol, number)
		hearing(ctx, t, []float64{440, 1000, 1700}, ca, cb, cc)
		for _, c := range []*phone.Call{ca, cb, cc} {
			must(t, c.Hangup(ctx))
		}
	}
}

func barge(ctx context.Context, t *testing.T, s *stage) {
	ca := dial(ctx, t, s.alice, "1005")
	ce, cf := incoming(ctx, t, s.erin), incoming(ctx, t, s.frank)
	must(t, cf.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	ended(ctx, t, ce, 487)
	s.hears(ctx, t, "n1", call.ThingActive, "frank")
	joined := s.takes(ctx, t, s.erin, "*31", phone.DialOptions{})
	hearing(ctx, t, []float64{440, 1000, 1700}, ca, cf, joined)
	must(t, joined.Hangup(ctx))
	both(ctx, t, ca, cf)
	name := cf.Dialog()
	joined, err := s.erin.DialWith(ctx, "1005", phone.DialOptions{Headers: []dialog.Header{{Name: "Join", Value: name.String()}, {Name: "Require", Value: "join"}}})
	must(t, err)
	if err := joined.WaitAnswered(ctx); err != nil {
		t.Fatalf("%v: %s, %s", err, joined.Reason(), joined.Warning())
	}
	hearing(ctx, t, []float64{440, 1000, 1700}, ca, cf, joined)
	must(t, joined.Hangup(ctx))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cf, 200)
}

// RFC 3891: a phone takes the place of another one in a call, by the name of a dialog that the other node has.
func replaces(ctx context.Context, t *testing.T, s *stage) {
	ca, cb := connect(ctx, t, s.alice, s.bob)
	s.hears(ctx, t, "n1", call.ThingActive, "bob")
	name := cb.Dialog()
	cc, err := s.carol.DialWith(ctx, "1002", phone.DialOptions{Replaces: &name})
	must(t, err)
	must(t, cc.WaitAnswered(ctx))
	ended(ctx, t, cb, 200)
	both(ctx, t, ca, cc)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cc, 200)
}

func digits(ctx context.Context, t *testing.T, s *stage) {
	ca, cb := connect(ctx, t, s.alice, s.bob)
	must(t, ca.SendDigits(ctx, "12#"))
	must(t, cb.WaitDigits(ctx, "12#"))
	must(t, cb.SendDigits(ctx, "*9"))
	must(t, ca.WaitDigits(ctx, "*9"))
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
}

// RFC 3261, 13.2.1: an INVITE without a description asks for one; the phone's answer travels in its ACK, and over the tie in that of the tie.
func lateOffer(ctx context.Context, t *testing.T, s *stage) {
	must(t, s.carol.Close(ctx)) // a device is at one place at a time: two phones would take it from each other
	late := s.Registered("n1", "carol", "1003", func(c *phone.Config) { c.LateOffer, c.Observer = true, s.heard })
	ca, cb := connect(ctx, t, late, s.bob)
	both(ctx, t, ca, cb)
	must(t, cb.Hangup(ctx))
	ended(ctx, t, ca, 200)
	must(t, late.Close(ctx))
	s.carol = s.phone("carol", "1003")
}
