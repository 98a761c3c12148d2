package border

import (
	"regexp"
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip/transport"
)

// TestCallFromOutside: a caller outside over UDP with plain RTP reaches the call server inside over mutual TLS with SRTP; media goes
// through the border; neither side sees anything of the other.
func TestCallFromOutside(t *testing.T) {
	w := newWorld(t, nil)
	ctx := within(t)
	see := &watcher{}
	c, err := w.caller(func(c *phone.Config) { c.Observer = see }).Dial(ctx, "6001")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	if got, err := c.WaitTone(ctx, 1000); err != nil {
		t.Fatalf("wanted 1000 Hz, heard %v Hz: %v; %+v", got, err, c.Evidence())
	}
	if ev := c.Evidence(); ev.Suite != "" {
		t.Errorf("the caller has SRTP: %+v", ev)
	}
	in := w.inside.invites()
	if len(in) != 1 || !strings.Contains(in[0], "RTP/SAVP") || !strings.Contains(in[0], "INVITE sip:6001@"+w.inside.addr.String()) {
		t.Fatalf("inside was sent %q", in)
	}
	must(t, c.Hangup(ctx))
	must(t, w.border.Drain(ctx))
	hidden(t, "outside", see.heard(), w.inside.addr.String(), "inside.test", "inside-product", "Locktone/inside", callIDs(in[0]))
	hidden(t, "inside", w.inside.heard(), "lab phone", "outside.test", callIDs(see.heard()), "127.0.0.1:", "IP4 127.0.0.1\r\n")
}

// hidden checks that nothing of the other side is seen.
func hidden(t *testing.T, side, seen string, secrets ...string) {
	t.Helper()
	if seen == "" {
		t.Fatalf("%s saw nothing", side)
	}
	for _, s := range secrets {
		if s == "" || strings.Contains(seen, s) {
			t.Errorf("%s sees %q in\n%s", side, s, seen)
		}
	}
}

var callID = regexp.MustCompile(`(?im)^(?:Call-ID|i): *(\S+)`)

// callIDs is the Call-ID of the first message.
func callIDs(text string) string {
	if m := callID.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// TestStrangers: who is no peer is refused with nothing of the inside in the answer, and so is a number that leads nowhere.
func TestStrangers(t *testing.T) {
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		s.Borders[0].TrustedAddresses = []string{"192.0.2.1"}
		s.DialPeers = append(s.DialPeers, config.DialPeer{Tag: 300, Transport: config.TransportTCP, SessionTargets: []config.SessionTarget{{Address: "192.0.2.7"}}})
	})
	ctx := within(t)
	see := &watcher{}
	c, err := w.caller(func(c *phone.Config) { c.Observer = see }).Dial(ctx, "6001")
	must(t, err)
	if status, _, err := c.WaitEnded(ctx); err != nil || status != 403 {
		t.Errorf("a stranger gets %d, %v", status, err)
	}
	if strings.Contains(see.heard(), "dial-peer") || strings.Contains(see.heard(), "6000") || strings.Contains(see.heard(), "inside") {
		t.Errorf("a stranger learns %s", see.heard())
	}
	trusting := w.site()
	w.store.apply(t, trusting)
	await(t, ctx, "the configuration is in force", func() bool { return w.border.site.Load().revision == 2 })
	c, err = w.caller(nil).Dial(ctx, "9999")
	must(t, err)
	if status, _, err := c.WaitEnded(ctx); err != nil || status != 404 {
		t.Errorf("a number that leads nowhere gets %d, %v", status, err)
	}
	if n := len(w.inside.invites()); n != 0 {
		t.Errorf("inside was sent %d calls", n)
	}
	if w.border.counts.refused[refusedSender].Load() != 1 || w.border.counts.refused[refusedNumber].Load() != 1 {
		t.Error("the refusals are not counted")
	}
}

// TestHunt: a peer that is not there is left for the next, before and after OPTIONS have found out.
func TestHunt(t *testing.T) {
	var second *neighbour
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		second = w.neighbour("second", transport.TLS, 1500)
		s.DialPeers[1].SessionTargets[0].Port = 5999 // nobody there
		s.DialPeers[1].OptionsKeepalive.Retries = 1
		s.DialPeers = append(s.DialPeers, config.DialPeer{Tag: 6001, Preference: 1, DestinationPatterns: []string{"6..."}, AcceptedSubjects: []string{"second.test"},
			OutgoingTranslation: "long", SessionTargets: []config.SessionTarget{{Address: second.addr.String()}}})
		s.NumberTranslations = []config.NumberTranslation{{Name: "long", Called: []config.TranslationRule{{Match: "^6", Replace: "+4986"}}, Calling: []config.TranslationRule{{Match: `^\+49`, Replace: "0"}}}}
	})
	ctx := within(t)
	dial := func() {
		c, err := w.caller(nil).Dial(ctx, "6001")
		must(t, err)
		must(t, c.WaitAnswered(ctx))
		if got, err := c.WaitTone(ctx, 1500); err != nil {
			t.Fatalf("wanted 1500 Hz, heard %v Hz: %v", got, err)
		}
		must(t, c.Hangup(ctx))
	}
	dial()
	await(t, ctx, "6000 is busied out", func() bool { return !w.border.Element().InService("6000") })
	dial()
	in := second.invites()
	if len(in) != 2 || !strings.Contains(in[0], "INVITE sip:+4986001@") || !strings.Contains(in[0], "<sip:030555@") {
		t.Errorf("the second was sent %q", in)
	}
	a, err := w.border.explain("127.0.0.1", "6001", "+4930555")
	must(t, err)
	if text := a.Text(); !strings.Contains(text, "dial-peer 6000 by destination-pattern 6... (1 digits spelt out), preference 0: left out, it is busied out: ") || len(a.Out) != 1 || a.Out[0].Tag != 6001 {
		t.Errorf("explained as %s", text)
	}
}

// TestTLSOutside: a peer outside over TLS is known by its certificate, and its media is SRTP; the wrong certificate gets nowhere.
func TestTLSOutside(t *testing.T) {
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		s.DialPeers = append(s.DialPeers, config.DialPeer{Tag: 200, AcceptedSubjects: []string{"carrier.test"}, Trustpoint: "carriers"})
		s.Trustpoints = []config.Trustpoint{{Name: "carriers"}}
	})
	ctx := within(t)
	tls := func(subject string) *phone.Phone {
		return w.caller(func(c *phone.Config) {
			c.Network, c.Security, c.Server, c.ServerName = transport.TLS, desc.Required, w.addr.String()+":5061", w.addr.String()
			c.Certificate, c.Roots = w.ca.Peer(subject), w.ca.Roots()
		})
	}
	c, err := tls("carrier.test").Dial(ctx, "6001")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	if got, err := c.WaitTone(ctx, 1000); err != nil {
		t.Fatalf("wanted 1000 Hz, heard %v Hz: %v", got, err)
	}
	if ev := c.Evidence(); ev.Suite == "" || ev.RxAuth == 0 {
		t.Errorf("media not proven: %+v", ev)
	}
	must(t, c.Hangup(ctx))
	if c, err = tls("stranger.test").Dial(ctx, "6001"); err != nil {
		t.Fatal(err)
	}
	if status, _, err := c.WaitEnded(ctx); err != nil || status != 403 {
		t.Errorf("a stranger gets %d, %v", status, err)
	}
	other := w.site()
	other.DialPeers = append(other.DialPeers, config.DialPeer{Tag: 200, AcceptedSubjects: []string{"carrier.test"}, Trustpoint: "carriers"})
	other.Trustpoints = []config.Trustpoint{{Name: "carriers", Authorities: []string{"Somebody Else CA"}}}
	w.store.apply(t, other)
	await(t, ctx, "the configuration is in force", func() bool { return w.border.site.Load().revision == 2 })
	if c, err = tls("carrier.test").Dial(ctx, "6001"); err != nil {
		t.Fatal(err)
	}
	if status, _, err := c.WaitEnded(ctx); err != nil || status != 403 {
		t.Errorf("a peer under another authority than its trustpoint's gets %d, %v", status, err)
	}
}

// TestHeaderRules: rules change what peers are sent and what they send, in requests and responses.
func TestHeaderRules(t *testing.T) {
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		s.DialPeers[1].OutgoingHeaders, s.DialPeers[0].OutgoingHeaders = "in", "out"
		s.HeaderRules = []config.HeaderRules{
			{Name: "in", Rules: []config.HeaderRule{{Method: "INVITE", Header: "X-Site", Action: config.HeaderAdd, Value: "berlin"}, {Header: "User-Agent", Action: config.HeaderModify, Match: "^.*$", Value: "edge"},
				{Method: "INVITE", Header: "X-Site", Action: config.HeaderModify, Match: "(ber)(lin)", Value: `\2-\1`}}},
			{Name: "out", Rules: []config.HeaderRule{{On: config.OnResponses, Header: "Server"}, {On: config.OnResponses, Status: 200, Method: "INVITE", Header: "X-Answered", Action: config.HeaderAdd, Value: "yes"}}}}
	})
	ctx := within(t)
	see := &watcher{}
	c, err := w.caller(func(c *phone.Config) { c.Observer = see }).Dial(ctx, "6001")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	must(t, c.Hangup(ctx))
	if in := w.inside.invites(); len(in) != 1 || !strings.Contains(in[0], "X-Site: lin-ber\r\n") || !strings.Contains(in[0], "User-Agent: edge\r\n") {
		t.Errorf("inside was sent %q", in)
	}
	if seen := see.heard(); strings.Count(seen, "X-Answered: yes") != 1 {
		t.Errorf("outside was sent %s", seen)
	}
}

// TestAdmission: calls at the same time, calls in a second and INVITEs of an address are limited on the injected clock.
func TestAdmission(t *testing.T) {
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) { s.Borders[0].Admission.MaxCalls = 1 })
	ctx := within(t)
	p := w.caller(nil)
	first, err := p.Dial(ctx, "6001")
	must(t, err)
	must(t, first.WaitAnswered(ctx))
	c, err := p.Dial(ctx, "6002")
	must(t, err)
	if status, _, err := c.WaitEnded(ctx); err != nil || status != 503 {
		t.Errorf("the second call gets %d, %v", status, err)
	}
	must(t, first.Hangup(ctx))
	must(t, w.border.Drain(ctx))
	if w.border.counts.refused[refusedCalls].Load() != 1 {
		t.Error("the refusal is not counted")
	}
}
