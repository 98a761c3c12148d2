package border

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/element/elementtest"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transport"
)

// callee is a telephone outside that can be called: dial-peer 7000 over UDP leads to it.
func (w *world) callee(s *config.Site, edit func(*phone.Config), peer func(*config.DialPeer)) *phone.Phone {
	at := elementtest.Address(w.t)
	p := w.caller(func(c *phone.Config) {
		c.Number, c.AutoAnswer, c.Local = "7001", true, at
		if edit != nil {
			edit(c)
		}
	})
	d := config.DialPeer{Tag: 7000, Transport: config.TransportUDP, SRTP: config.PeerSRTPNever, DestinationPatterns: []string{"7..."}, OptionsKeepalive: config.OptionsPing{Disabled: true},
		SessionTargets: []config.SessionTarget{{Address: at.String(), Port: int(p.Address().Port())}}}
	if peer != nil {
		peer(&d)
	}
	s.DialPeers = append(s.DialPeers, d)
	return p
}

// up is a call that is answered.
func up(t *testing.T, from *phone.Phone, number string) *phone.Call {
	t.Helper()
	ctx := within(t)
	c, err := from.Dial(ctx, number)
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	return c
}

var audioLine = regexp.MustCompile(`(?m)^m=audio \d+ (\S+ [\d ]+)`)

// TestCodecOrder: a peer's list of codecs orders what it is offered, whatever the caller preferred.
func TestCodecOrder(t *testing.T) {
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		s.CodecLists = []config.CodecList{{Name: "a", Codecs: []string{"PCMA", "PCMU"}}, {Name: "u", Codecs: []string{"PCMU", "PCMA"}}, {Name: "one", Codecs: []string{"PCMA"}}}
		for i, list := range []string{"a", "u", "one"} {
			p := s.DialPeers[1]
			p.Tag, p.CodecList, p.DestinationPatterns = 6100+i, list, []string{"610" + string(rune('0'+i))}
			s.DialPeers = append(s.DialPeers, p)
		}
	})
	p := w.caller(nil)
	for i, want := range []string{"8 0 ", "0 8 ", "8 "} {
		c := up(t, p, "610"+string(rune('0'+i)))
		in := w.inside.invites()
		m := audioLine.FindStringSubmatch(in[len(in)-1])
		if m == nil || !strings.HasPrefix(m[1], "RTP/SAVP "+want) || strings.Contains(m[1], " 0 ") != strings.Contains(want, "0 ") {
			t.Errorf("peer %d is offered %q, want %q first", 6100+i, m, want)
		}
		must(t, c.Hangup(within(t)))
	}
}

// dialled is 4 and 2: on a machine that is late a tone can have a gap, and counts twice.
var dialled = regexp.MustCompile(`^4+2+$`)

// TestDigits: digits reach a peer that has another way of hearing them, in both directions: tones and INFO become telephone events inside, events
// become tones or INFO outside.
func TestDigits(t *testing.T) {
	noEvents := func(c *phone.Config) { c.Media.Caps.Codecs = desc.G711()[:2] }
	var tones, info *phone.Phone
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		tones = w.callee(s, noEvents, func(d *config.DialPeer) { d.DTMFRelay = config.DTMFInBand })
		info = w.callee(s, noEvents, func(d *config.DialPeer) { d.Tag, d.DestinationPatterns = 8000, []string{"8..."} })
	})
	ctx := within(t)
	// The far end inside has telephone events alone, and hangs up when it hears #.
	for name, press := range map[string]func(*phone.Call) error{
		"tones": func(c *phone.Call) error { return c.SendDigits(ctx, "#") },
		"INFO":  func(c *phone.Call) error { c.SendInfo("#"); return nil },
	} {
		c := up(t, w.caller(noEvents), "6001")
		must(t, c.WaitSound(ctx))
		must(t, press(c))
		if _, byPeer, err := c.WaitEnded(ctx); err != nil || !byPeer {
			t.Errorf("%s do not arrive inside: ended by the far end %v, %v", name, byPeer, err)
		}
	}
	for name, callee := range map[string]*phone.Phone{"7001": tones, "8001": info} {
		c := up(t, w.caller(nil), name)
		var far *phone.Call
		select {
		case far = <-callee.Incoming():
		case <-ctx.Done():
			t.Fatal("it does not ring")
		}
		c.Tone(440)
		must(t, far.WaitSound(ctx))
		c.Tone(0) // who dials does not talk
		must(t, c.SendDigits(ctx, "42"))
		await(t, ctx, name+" hears 4 and 2", func() bool { return dialled.MatchString(far.Digits()) })
		must(t, c.Hangup(ctx))
	}
}

// TestMediaInactivity: a call of which no packet comes from either side is ended by the border.
func TestMediaInactivity(t *testing.T) {
	mute := func(c *phone.Config) { c.Misbehave.Mute = true }
	var site *config.Site
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		w.callee(s, mute, nil)
		site = s
	})
	ctx := within(t)
	hasty := site.Clone()
	hasty.Borders[0].MediaInactivity = config.Duration(time.Second) // less than a site file may say: a test does not wait for 10 s
	w.store.changes <- store.Snapshot{Revision: store.Revision{Number: 2}, Site: hasty}
	await(t, ctx, "the configuration is in force", func() bool { return w.border.site.Load().revision == 2 })
	heard := up(t, w.caller(nil), "7001")
	c := up(t, w.caller(mute), "7001")
	if _, byPeer, err := c.WaitEnded(ctx); err != nil || !byPeer {
		t.Errorf("a silent call is ended by the border: %v, %v", byPeer, err)
	}
	if s := heard.State(); s != phone.Talking {
		t.Errorf("a call of which one side is heard is %v", s)
	}
	must(t, heard.Hangup(ctx))
}

// TestSessionTimers: each side has the session timer of its peer (RFC 4028): a caller that asks for less than the least is told, and inside has
// its own.
func TestSessionTimers(t *testing.T) {
	w := newWorld(t, func(_ *world, s *config.Site, _ *Config) {
		s.DialPeers[0].SessionTimer = config.SessionTimer{Expires: config.Duration(20 * time.Minute), Min: config.Duration(10 * time.Minute)}
		s.DialPeers[1].SessionTimer = config.SessionTimer{Expires: config.Duration(15 * time.Minute), Min: config.Duration(5 * time.Minute)}
	})
	see := &watcher{}
	c := up(t, w.caller(func(c *phone.Config) {
		c.Observer, c.Timer = see, dialog.TimerConfig{Interval: 2 * time.Minute, Min: 90 * time.Second}
	}), "6001")
	seen := see.heard()
	if !strings.Contains(seen, "SIP/2.0 422 ") || !strings.Contains(seen, "Min-SE: 600") || !strings.Contains(seen, "Session-Expires: 600") {
		t.Errorf("outside was sent %s", seen)
	}
	in := w.inside.invites()
	if len(in) != 1 || !strings.Contains(in[0], "Session-Expires: 900") || !strings.Contains(in[0], "Min-SE: 300") {
		t.Errorf("inside was sent %q", in)
	}
	must(t, c.Hangup(within(t)))
}

// TestPeerLimits: a peer that carries as many calls as it may is passed for the next, and the call is refused when there is none; a peer that
// calls too often is told to wait.
func TestPeerLimits(t *testing.T) {
	var second *neighbour
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		second = w.neighbour("second", transport.TLS, 1500)
		s.DialPeers[0].CallsPerSecond = 1000
		s.DialPeers[1].MaxConnections = 1
		s.DialPeers = append(s.DialPeers, config.DialPeer{Tag: 6001, Preference: 1, DestinationPatterns: []string{"6..."}, AcceptedSubjects: []string{"second.test"}, MaxConnections: 1,
			SessionTargets: []config.SessionTarget{{Address: second.addr.String()}}})
	})
	ctx := within(t)
	p := w.caller(nil)
	first, next := up(t, p, "6001"), up(t, p, "6001")
	for c, hz := range map[*phone.Call]float64{first: 1000, next: 1500} {
		if got, err := c.WaitTone(ctx, hz); err != nil {
			t.Errorf("wanted %v Hz, heard %v Hz: %v", hz, got, err)
		}
	}
	c, err := p.Dial(ctx, "6001")
	must(t, err)
	if status, _, err := c.WaitEnded(ctx); err != nil || status < 480 || status == 487 {
		t.Errorf("when every peer is full the call gets %d, %v", status, err)
	}
	must(t, first.Hangup(ctx))
	rate := w.border.site.Load().byTag[100].rate
	for later := time.Now().Add(time.Hour); ; { // takes every token, of a clock that is ahead: none comes back
		if ok, _ := rate.allow(later); !ok {
			break
		}
	}
	see := &watcher{}
	c, err = w.caller(func(c *phone.Config) { c.Observer = see }).Dial(ctx, "6001")
	must(t, err)
	if status, _, err := c.WaitEnded(ctx); err != nil || status != 503 || !strings.Contains(see.heard(), "Retry-After: 1\r\n") || !strings.Contains(see.heard(), "too many calls from this peer") {
		t.Errorf("a peer that calls too often gets %d, %v: %s", status, err, see.heard())
	}
	must(t, next.Hangup(ctx))
}

// TestExceptions: an operator is told of every peer without TLS or SRTP, and of every address that is trusted.
func TestExceptions(t *testing.T) {
	w := newWorld(t, func(w *world, s *config.Site, _ *Config) {
		s.DialPeers = append(s.DialPeers, config.DialPeer{Tag: 300, Transport: config.TransportTCP, SRTP: config.PeerSRTPNever, SessionTargets: []config.SessionTarget{{Address: "192.0.2.7"}},
			OptionsKeepalive: config.OptionsPing{Disabled: true}})
	})
	rows, err := w.border.answers().Exceptions(within(t))
	must(t, err)
	got := map[string]bool{}
	for _, r := range rows {
		got[r.Name+" "+r.Setting+" "+r.Value] = r.Risk != ""
	}
	for _, want := range []string{"default trustedAddresses 127.0.0.1/32", "100 plain transport udp", "100 plain transport tcp", "100 plain srtp never", "300 transport tcp", "300 srtp never"} {
		if !got[want] {
			t.Errorf("%q is not told: %v", want, got)
		}
	}
	if len(got) != 6 {
		t.Errorf("told besides: %v", got)
	}
}

// TestRefer: a peer's REFER is refused, or the border makes the new call by its dial-peers.
func TestRefer(t *testing.T) {
	w := newWorld(t, nil)
	ctx := within(t)
	c := up(t, w.caller(nil), "6001")
	if status, err := c.Transfer(ctx, "6002"); err != nil || status != 403 {
		t.Errorf("a peer that may not transfer gets %d, %v", status, err)
	}
	if s := c.State(); s != phone.Talking {
		t.Errorf("after that the call is %v", s)
	}
	must(t, c.Hangup(ctx))
	obeying := w.site()
	obeying.DialPeers[0].Refer = config.ReferConsume
	w.store.apply(t, obeying)
	await(t, ctx, "the configuration is in force", func() bool { return w.border.site.Load().revision == 2 })
	c = up(t, w.caller(nil), "6001")
	if status, err := c.Transfer(ctx, "6002"); err != nil || status != 200 {
		t.Errorf("a peer that may transfer gets %d, %v", status, err)
	}
	var called []string
	for _, m := range w.inside.invites() {
		line, _, _ := strings.Cut(m, "@")
		called = append(called, strings.TrimPrefix(line, "INVITE sip:"))
	}
	if n := len(called); n < 3 || called[2] != "6002" {
		t.Errorf("inside was called as %v", called)
	}
	if strings.Contains(w.inside.heard(), "\r\nRefer-To") || strings.Contains(w.inside.heard(), "REFER sip:") {
		t.Error("inside was told of the transfer")
	}
}
