package element_test

import (
	"crypto/tls"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/element/elementtest"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// sees is the policy of an element that answers itself, and remembers whether the last INVITE had an offer, and what it said of a timer.
type sees struct {
	offer atomic.Bool
	timer atomic.Pointer[string]
}

func (s *sees) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	s.offer.Store(len(in.Message.Body()) > 0)
	timer := in.Message.Header("Session-Expires")
	s.timer.Store(&timer)
	return element.Arrival{Peer: in.Peer}, in.Refused
}

func (*sees) Program(string) applet.Program { return applet.ToneAt(1000) }

// TestWhatAPeerIsGiven: codecs, early offer, session timer and what becomes of a REFER are settings of the peer.
func TestWhatAPeerIsGiven(t *testing.T) {
	p := &pair{ca: elementtest.NewAuthority(t)}
	seen := &sees{}
	p.front, p.frontAddr = start(t, p.ca, "front", nil)
	p.back, p.backAddr = start(t, p.ca, "back", func(c *element.Config) { c.Policy = seen })
	must(t, p.back.Configure(call.Site{Plan: plan("XXXX", dialplan.ToApplet, "tone"), Applets: []call.Applet{{Name: "tone", Driver: element.DriverApplet}}},
		[]element.Peer{{Name: "front", Subjects: []string{"front.test"}, Destinations: []element.Destination{{Address: p.frontAddr.String()}}, Trunk: call.Trunk{SearchSpace: "all"}}}))
	give := func(outside, back element.Peer) {
		outside.Name, outside.Subjects, outside.Trunk.SearchSpace = "outside", []string{"caller.test"}, "all"
		back.Name, back.Subjects, back.Destinations, back.Ping = "back", []string{"back.test"}, []element.Destination{{Address: p.backAddr.String()}}, config.OptionsPing{Disabled: true}
		must(t, p.front.Configure(call.Site{Plan: plan("XXXX", dialplan.ToTrunk, "back")}, []element.Peer{outside, back}))
	}
	ctx := within(t)
	give(element.Peer{}, element.Peer{Leg: sipleg.Profile{Media: media.Profile{Codecs: []string{"PCMA"}, Anchor: true}, Timer: dialog.TimerConfig{Interval: 10 * time.Minute}}})
	late := startPhone(t, p, "caller.test", func(c *phone.Config) { c.LateOffer = true })
	c, err := late.Dial(ctx, "2000")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	if seen.offer.Load() {
		t.Error("a late offer was made early")
	}
	if timer := *seen.timer.Load(); timer != "600" && timer != "600;refresher=uac" {
		t.Errorf("Session-Expires: %s", timer)
	}
	if _, err := c.WaitTone(ctx, 1000); err != nil || c.Evidence().Media.Codec != "PCMA" {
		t.Errorf("%v: %+v", err, c.Evidence())
	}
	if status, err := c.Transfer(ctx, "3000"); status != 403 {
		t.Errorf("a REFER that the peer may not send ended with %d (%v)", status, err)
	}
	must(t, c.Hangup(ctx))

	give(element.Peer{Leg: sipleg.Profile{Transfer: true}}, element.Peer{EarlyOffer: true})
	c, err = late.Dial(ctx, "2000")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	if !seen.offer.Load() {
		t.Error("the peer is given every INVITE with an offer, and this one had none")
	}
	if status, err := c.Transfer(ctx, "3000"); err != nil || status != 200 {
		t.Errorf("a REFER that the peer may send ended with %d (%v)", status, err)
	}
	await(t, ctx, "the second element talks to itself", func() bool { return p.back.Host().Stats().Calls == 2 })
}

// startPhone starts a system outside that calls.
func startPhone(t testing.TB, p *pair, subject string, edit func(*phone.Config)) *phone.Phone {
	t.Helper()
	cfg := phone.Config{Number: "4711", Server: netip.AddrPortFrom(p.frontAddr, 5061).String(), ServerName: p.frontAddr.String(),
		Certificate: p.ca.Peer(subject), Roots: p.ca.Roots(), NoRegister: true}
	edit(&cfg)
	c, err := phone.Start(within(t), cfg)
	must(t, err)
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	return c
}

// TestVersionsOfTLS: an element that is held to TLS 1.2 speaks it in both directions, and nothing newer.
func TestVersionsOfTLS(t *testing.T) {
	ca := elementtest.NewAuthority(t)
	one, at := start(t, ca, "one", func(c *element.Config) { c.TLSMax = tls.VersionTLS12 })
	two, there := start(t, ca, "two", nil)
	must(t, one.Configure(call.Site{}, []element.Peer{{Name: "two", Subjects: []string{"two.test"}, Destinations: []element.Destination{{Address: there.String()}}}}))
	must(t, two.Configure(call.Site{}, []element.Peer{{Name: "one", Subjects: []string{"one.test"}, Destinations: []element.Destination{{Address: at.String()}}}}))
	await(t, within(t), "both ask each other", func() bool { return state(one, "two") == "in-service" && state(two, "one") == "in-service" })
	for _, r := range append(one.Connections(), two.Connections()...) {
		if r.TLSVersion != tls.VersionName(tls.VersionTLS12) {
			t.Errorf("row %+v", r)
		}
	}
}
