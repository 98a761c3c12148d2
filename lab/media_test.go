package lab_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/trace"
)

// TestTroubleOfMediaIsNamed: in a whole site whose media goes through it, a phone that makes its packets with another key than
// it says, sends no SRTP, or sends nothing is named, with the reason, in the trace of the call. (That it is within two seconds is for
// package media to prove, whose clock does not depend on the machine.)
func TestTroubleOfMediaIsNamed(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name string
		bad  phone.Misbehave
		why  string
	}{
		{"wrong key", phone.Misbehave{WrongKey: true}, "none with a valid tag"},
		{"plain RTP", phone.Misbehave{PlainMedia: true}, "plain RTP though SRTP was agreed"},
		{"one way", phone.Misbehave{Mute: true}, "nothing arrives from 127.0.0.1:"},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			cfg := config.Default("n1")
			for i := range cfg.SIPProfiles {
				cfg.SIPProfiles[i].MediaAnchor = config.AnchorAlways
			}
			s := must(lab.Start(within(t, time.Minute), lab.Options{Config: cfg}))(t)
			t.Cleanup(func() { _ = s.Close(within(t, time.Minute)) })
			ctx := within(t, time.Minute)
			bob := must(s.Registered(ctx, "bob", "1002"))(t)
			alice := must(s.Phone(ctx, "alice", "1001", func(c *phone.Config) { c.Misbehave = x.bad }))(t)
			for _, p := range []*phone.Phone{alice, bob} {
				t.Cleanup(func() { _ = p.Close(within(t, time.Minute)) })
			}
			if err := alice.WaitRegistered(ctx); err != nil {
				t.Fatal(err)
			}
			tail := s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindMedia}}, 100)
			defer tail.Close()
			ca := must(alice.Dial(ctx, "1002"))(t)
			cb := <-bob.Incoming()
			if err := cb.Answer(ctx); err != nil {
				t.Fatal(err)
			}
			if err := ca.WaitAnswered(ctx); err != nil {
				t.Fatal(err)
			}
			ca.Tone(440)
			cb.Tone(1000)
			r := trouble(ctx, t, tail)
			if !strings.Contains(r.Summary, x.why) || r.SIPCallID == "" {
				t.Errorf("%q, not %q", r.Summary, x.why)
			}
		})
	}
}

// trouble is the first record of media that names one.
func trouble(ctx context.Context, t *testing.T, tail *trace.Tail) trace.Record {
	t.Helper()
	for {
		r, err := tail.Next(ctx)
		if err != nil {
			t.Fatal("no trouble was named:", err)
		}
		if r.Level == trace.Error {
			return r
		}
	}
}

// TestQualityIsRecorded: after a call through the node there is a row for either leg that says how its media was.
func TestQualityIsRecorded(t *testing.T) {
	t.Parallel()
	cfg := config.Default("n1")
	for i := range cfg.SIPProfiles {
		cfg.SIPProfiles[i].MediaAnchor = config.AnchorAlways
	}
	s := must(lab.Start(within(t, time.Minute), lab.Options{Config: cfg}))(t)
	t.Cleanup(func() { _ = s.Close(within(t, time.Minute)) })
	ctx := within(t, time.Minute)
	alice, bob := must(s.Registered(ctx, "alice", "1001"))(t), must(s.Registered(ctx, "bob", "1002"))(t)
	for _, p := range []*phone.Phone{alice, bob} {
		t.Cleanup(func() { _ = p.Close(within(t, time.Minute)) })
	}
	tail := s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSignal}}, 1000)
	defer tail.Close()
	ca := must(alice.Dial(ctx, "1002"))(t)
	cb := <-bob.Incoming()
	if err := cb.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := ca.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	ca.Tone(440)
	if err := cb.WaitPackets(ctx, 50); err != nil {
		t.Fatal(err)
	}
	if err := ca.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	legs := map[string]bool{}
	for len(legs) < 2 {
		r, err := tail.Next(ctx)
		if err != nil {
			t.Fatalf("measured: %v, then %v", legs, err)
		}
		if strings.HasPrefix(r.Summary, "Measured ") {
			if body := string(r.Body); !strings.Contains(body, `"by":"here"`) || !strings.Contains(body, `"mos":4`) || !strings.Contains(body, `"codec":"PCMU"`) {
				t.Errorf("measured %s", body)
			}
			legs[r.Leg] = true
		}
	}
}
