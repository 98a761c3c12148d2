package tie

import (
	"context"
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// TestRefused: what another node refuses, in whatever state it is asked, leaves nothing behind at either.
func TestRefused(t *testing.T) {
	s := start(t, lab.ClusterOptions{Site: func(c *config.Site) {
		for i := range c.MeetMeNumbers {
			c.MeetMeNumbers[i].Most = 2
		}
	}})
	for _, c := range []struct {
		name string
		run  func(context.Context, *testing.T, *stage)
	}{
		{"barge with privacy", refusedBarge},
		{"a leg that is over", overLeg},
		{"nobody is parked", nobodyParked},
		{"a full conference", fullConference},
		{"busy, declined and moved", refusedRing},
		{"cancelled at once", cancelledAtOnce},
		{"hung up at once", hungUpAtOnce},
		{"transfer that is refused", refusedTransfer},
	} {
		if !t.Run(c.name, func(t *testing.T) { s.told(t); c.run(within(t), t, s); s.idle(t) }) {
			s.clear(t)
		}
	}
}

// refused sees that a call is turned away.
func refused(ctx context.Context, t *testing.T, p *phone.Phone, number string, o phone.DialOptions) *phone.Call {
	t.Helper()
	c, err := p.DialWith(ctx, number, o)
	must(t, err)
	status, _, err := c.WaitEnded(ctx)
	must(t, err)
	if status < 400 {
		t.Fatalf("%s at %s ended with %d", number, p.Name(), status)
	}
	return c
}

// Frank's phone keeps its call to itself; Erin's node asks for it, and is refused by the code and by Join.
func refusedBarge(ctx context.Context, t *testing.T, s *stage) {
	ca := dial(ctx, t, s.alice, "1005")
	ce, cf := incoming(ctx, t, s.erin), incoming(ctx, t, s.frank)
	must(t, cf.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	ended(ctx, t, ce, 487)
	private := dialled(ctx, t, s.frank, "*34")
	ended(ctx, t, private, 200)
	s.hears(ctx, t, "n1", call.ThingActive, "frank")
	c := refused(ctx, t, s.erin, "*31", phone.DialOptions{})
	if !strings.Contains(c.Warning(), "priva") {
		t.Errorf("refused with %q", c.Warning())
	}
	name := cf.Dialog()
	refused(ctx, t, s.erin, "1005", phone.DialOptions{Headers: []dialog.Header{{Name: "Join", Value: name.String()}, {Name: "Require", Value: "join"}}})
	both(ctx, t, ca, cf)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cf, 200)
	ended(ctx, t, dialled(ctx, t, s.frank, "*34"), 200)
}

// What was there when the phone learned of it is not any more.
func overLeg(ctx context.Context, t *testing.T, s *stage) {
	ca, cb := connect(ctx, t, s.alice, s.bob)
	s.hears(ctx, t, "n1", call.ThingActive, "bob")
	name := cb.Dialog()
	must(t, cb.Hangup(ctx))
	ended(ctx, t, ca, 200)
	for _, o := range []phone.DialOptions{{Replaces: &name}, {Headers: []dialog.Header{{Name: "Join", Value: name.String()}}}} {
		refused(ctx, t, s.carol, "1002", o)
	}
	for _, code := range []string{"*37", "*371002", "*36", "*31"} {
		refused(ctx, t, s.erin, code, phone.DialOptions{})
	}
}

func nobodyParked(ctx context.Context, t *testing.T, s *stage) {
	for _, number := range []string{"7000", "7001"} {
		for _, p := range []*phone.Phone{s.alice, s.bob} {
			refused(ctx, t, p, number, phone.DialOptions{})
		}
	}
}

func fullConference(ctx context.Context, t *testing.T, s *stage) {
	for _, number := range []string{"8000", "8001"} {
		ca, cb := dialled(ctx, t, s.alice, number), dialled(ctx, t, s.bob, number)
		for _, p := range []*phone.Phone{s.carol, s.dave} {
			refused(ctx, t, p, number, phone.DialOptions{})
		}
		must(t, ca.Hangup(ctx))
		must(t, cb.Hangup(ctx))
	}
}

func refusedRing(ctx context.Context, t *testing.T, s *stage) {
	for _, status := range []int{486, 603, 480, 500, 488} {
		ca := dial(ctx, t, s.alice, "1002")
		incoming(ctx, t, s.bob).Reject(status)
		_, _, err := ca.WaitEnded(ctx)
		must(t, err)
	}
}

func cancelledAtOnce(ctx context.Context, t *testing.T, s *stage) {
	for range 5 {
		for _, number := range []string{"1002", "1005", "8000", "8001", "7000", "7001", "*37"} {
			c := dial(ctx, t, s.alice, number)
			_ = c.Hangup(ctx) // it may be over
			_, _, err := c.WaitEnded(ctx)
			must(t, err)
		}
	}
	s.idle(t)
	for _, p := range []*phone.Phone{s.bob, s.erin, s.frank} { // what came in and was cancelled
		for len(p.Incoming()) > 0 {
			<-p.Incoming()
		}
	}
}

// Who answers hangs up in the moment when the other side hears of it; and both do.
func hungUpAtOnce(ctx context.Context, t *testing.T, s *stage) {
	for i := range 6 {
		ca := dial(ctx, t, s.alice, "1002")
		cb := incoming(ctx, t, s.bob)
		cb.StartAnswer()
		if i%2 == 0 {
			go func() { _ = ca.Hangup(ctx) }()
		}
		if i%3 == 0 {
			_ = cb.Hangup(ctx)
		} else {
			_ = ca.Hangup(ctx)
		}
		for _, c := range []*phone.Call{ca, cb} {
			_, _, err := c.WaitEnded(ctx)
			must(t, err)
		}
	}
}

// Bob sends Alice where nobody is, or where she is not wanted, and has her back.
func refusedTransfer(ctx context.Context, t *testing.T, s *stage) {
	for _, to := range []*phone.Phone{nil, s.dave, s.carol} {
		ca, cb := connect(ctx, t, s.alice, s.bob)
		number := "1999"
		if to != nil {
			number = to.Number()
			go func() {
				select {
				case c := <-to.Incoming():
					c.Reject(486)
				case <-ctx.Done():
				}
			}()
		}
		if status, err := cb.Transfer(ctx, number); err == nil && status < 300 {
			t.Errorf("the transfer to %s ended with %d", number, status)
		}
		both(ctx, t, ca, cb)
		must(t, ca.Hangup(ctx))
		ended(ctx, t, cb, 200)
	}
}
