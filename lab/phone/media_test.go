package phone_test

import (
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sdp"
)

// Every suite of RFC 4568 and RFC 7714 we speak carries a tone, and the evidence names the one that was in force.
func TestEverySuite(t *testing.T) {
	t.Parallel()
	for _, suite := range sdp.Suites() {
		t.Run(suite.String(), func(t *testing.T) {
			t.Parallel()
			_, a, b := two(t, nil, nil, func(c *phone.Config) { c.Suites = []sdp.Suite{suite} })
			ctx := wait(t)
			ca, cb := connect(ctx, t, a, b)
			ca.Tone(1000)
			cb.Tone(440)
			hears(ctx, t, cb, 1000)
			hears(ctx, t, ca, 440)
			for _, c := range []*phone.Call{ca, cb} {
				e := c.Evidence()
				proven(t, e)
				if e.Suite != suite.String() {
					t.Errorf("suite in force is %s", e.Suite)
				}
			}
		})
	}
}

// Anchored: both phones talk with a relay of ours, and all of it is still authentic.
func TestAnchoredCall(t *testing.T) {
	t.Parallel()
	s, a, b := two(t, func(cs *call.Site, s *site) {
		for i := range cs.Devices {
			cs.Devices[i].Media.Anchor = true
		}
		for _, p := range s.profiles {
			p.Media.Anchor = true
		}
	}, nil, nil)
	ctx := wait(t)
	ca, cb := connect(ctx, t, a, b)
	ca.Tone(1000)
	cb.Tone(440)
	hears(ctx, t, cb, 1000)
	hears(ctx, t, ca, 440)
	proven(t, ca.Evidence())
	proven(t, cb.Evidence())
	if ca.Evidence().Media.Remote == cb.Evidence().Media.Local {
		t.Error("media went direct")
	}
	must(t, ca.Hold(ctx))
	must(t, ca.Resume(ctx))
	hears(ctx, t, cb, 1000)
	must(t, ca.Hangup(ctx))
	s.idle(ctx)
}

// A device that insists on SRTP and one that knows only RTP: refused, unless the policy allows the conversion.
func TestEncryptedAndPlainDevice(t *testing.T) {
	t.Parallel()
	for _, allowed := range []bool{false, true} {
		t.Run(map[bool]string{false: "refused", true: "converted by policy"}[allowed], func(t *testing.T) {
			t.Parallel()
			s, a, b := two(t, func(cs *call.Site, s *site) {
				if allowed {
					cs.Policy.Mixed = call.MixedAnchor
				}
				for i := range cs.Devices {
					if cs.Devices[i].Name == s.profiles[i].Name && s.profiles[i].Name == "SEP000000000002" {
						cs.Devices[i].Media.SRTP = call.RTP
						s.profiles[i].Media.Security = desc.Forbidden
					}
				}
			}, nil, func(c *phone.Config) { c.Security = desc.Forbidden })
			ctx := wait(t)
			if !allowed {
				ca, err := a.Dial(ctx, "1002")
				must(t, err)
				ended(ctx, t, ca, 488)
				s.idle(ctx)
				return
			}
			ca, cb := connect(ctx, t, a, b)
			ca.Tone(1000)
			cb.Tone(440)
			hears(ctx, t, cb, 1000)
			hears(ctx, t, ca, 440)
			proven(t, ca.Evidence())
			if e := cb.Evidence(); e.Suite != "" || e.RxAuth != 0 {
				t.Errorf("the plain device says %+v", e)
			}
			must(t, cb.Hangup(ctx))
			s.idle(ctx)
		})
	}
}

// A phone without telephone events (RFC 4733) and one that has them: their digits go through a relay, whoever of the two calls.
func TestDigitsOfUnlikePhones(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"callee", "caller"} {
		t.Run("the "+who+" has none", func(t *testing.T) {
			t.Parallel()
			s := whole(t, func(*config.Site) {})
			ctx := wait(t)
			none := func(c *phone.Config) { c.Media.Caps.Codecs = desc.G711()[:2] }
			var ca, cb *phone.Call
			tail := s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSignal}}, 100)
			defer tail.Close()
			if who == "callee" {
				ca, cb = connect(ctx, t, at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", none))
			} else {
				ca, cb = connect(ctx, t, at(t, s, "alice", "1001", none), at(t, s, "bob", "1002", nil))
			}
			ca.Tone(1000)
			cb.Tone(440)
			for authentic := 0; authentic < 2; { // the packets of both have been seen by the node
				r, err := tail.Next(ctx)
				must(t, err)
				if strings.HasPrefix(r.Summary, "Heard ") && strings.Contains(string(r.Body), `"authenticated"`) {
					authentic++
				}
			}
			ca.Tone(0)
			cb.Tone(0)
			must(t, ca.SendDigits(ctx, "159*"))
			must(t, cb.WaitDigits(ctx, "159*"))
			must(t, cb.SendDigits(ctx, "#0D"))
			must(t, ca.WaitDigits(ctx, "#0D"))
			must(t, ca.Hangup(ctx))
			ended(ctx, t, cb, 200)
		})
	}
}
