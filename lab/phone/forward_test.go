package phone_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Forwards, do not disturb, hunting and auto-answer, as a phone meets them on the wire.

// diverted sees that a call shows the way it came: who sent it on, and why.
func diverted(t *testing.T, c *phone.Call, number, reason string) {
	t.Helper()
	d := c.Diversions()
	if len(d) == 0 || d[0].Address.URI.User != number || d[0].Reason != reason {
		t.Errorf("Diversion %+v, want %s %s", d, number, reason)
	}
}

func TestForwards(t *testing.T) {
	t.Parallel()
	_, alice, bob, carol := three(t, func(c *config.Site) {
		c.VoicemailProfiles = append(c.VoicemailProfiles, config.VoicemailProfile{Name: "default", Pilot: "1003", MailboxMask: "5XXXX"})
		for i := range c.Lines {
			if c.Lines[i].Number == "1002" {
				c.Lines[i].NoAnswerTimeout = config.Duration(time.Second)
				c.Lines[i].Forwards.NoAnswer.Voicemail = true
			}
		}
	})
	ctx := wait(t)
	// Nobody answers: the mailbox, which is told whose it is by the number it knows.
	ca, err := alice.Dial(ctx, "1002")
	must(t, err)
	cb := incoming(ctx, t, bob)
	box := incoming(ctx, t, carol)
	diverted(t, box, "51002", "no-answer")
	if got := box.From().URI.User; got != "1001" {
		t.Errorf("the mailbox is shown the caller %q", got)
	}
	must(t, box.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	must(t, ca.WaitConnected(ctx, "1003"))
	both(ctx, t, ca, box)
	if _, _, err := cb.WaitEnded(ctx); err != nil {
		t.Error(err)
	}
	must(t, ca.Hangup(ctx))

	// By the code, and off again; a number that cannot be reached is refused and says so.
	confirmed(ctx, t, bob, "*721003", "Forwarded to 1003")
	ca, err = alice.Dial(ctx, "1002")
	must(t, err)
	cc := incoming(ctx, t, carol)
	diverted(t, cc, "51002", "unconditional") // 1003 is the mailbox system's number
	must(t, ca.Hangup(ctx))
	refused(ctx, t, bob, "*725555", 404, "cannot reach 5555")
	confirmed(ctx, t, bob, "*71", "Forward off")
	ca, err = alice.Dial(ctx, "1002")
	must(t, err)
	incoming(ctx, t, bob)
	must(t, ca.Hangup(ctx))

	// Do not disturb.
	confirmed(ctx, t, carol, "*78", "Do not disturb on")
	busy, err := alice.Dial(ctx, "1003")
	must(t, err)
	ended(ctx, t, busy, 486)
	confirmed(ctx, t, carol, "*78", "Do not disturb off")
}

// cancelled notes why a phone's call was cancelled (RFC 3326, 2).
type cancelled struct{ reason atomic.Pointer[string] }

func (c *cancelled) Received(_ *transport.Flow, _ time.Time, _ []byte, m *sip.Message, _ *sip.ParseError) {
	if m != nil && m.IsRequest() && m.Method() == sip.CANCEL {
		text := strings.Clone(m.Header("Reason"))
		c.reason.Store(&text)
	}
}
func (*cancelled) Sent(*transport.Flow, time.Time, []byte, *sip.Message) {}
func (*cancelled) Opened(*transport.Flow, time.Time)                     {}
func (*cancelled) Closed(*transport.Flow, time.Time, error)              {}
func (*cancelled) Refused(transport.HandshakeFailure)                    {}

// TestHunt: the pilot rings both phones; the one that is too late is told that the call was taken.
func TestHunt(t *testing.T) {
	t.Parallel()
	s := lampSite(t, nil)
	said := &cancelled{}
	alice, bob, carol := at(t, s, "alice", "1001", func(c *phone.Config) { c.Observer = said }), at(t, s, "bob", "1002", nil), at(t, s, "carol", "1003", nil)
	ctx := wait(t)
	cc, err := carol.Dial(ctx, "1000")
	must(t, err)
	ca, cb := incoming(ctx, t, alice), incoming(ctx, t, bob)
	must(t, cc.WaitRinging(ctx))
	must(t, cc.WaitConnected(ctx, "1000"))
	must(t, cb.Answer(ctx))
	must(t, cc.WaitAnswered(ctx))
	must(t, cc.WaitConnected(ctx, "1002"))
	both(ctx, t, cc, cb)
	if _, _, err := ca.WaitEnded(ctx); err != nil {
		t.Error(err)
	}
	if reason := said.reason.Load(); reason == nil || !strings.Contains(*reason, "Call completed elsewhere") {
		t.Errorf("Alice's phone is told %v", reason)
	}
	must(t, cc.Hangup(ctx))
	ended(ctx, t, cb, 200)

	confirmed(ctx, t, bob, "*79", "Logged out of hunting")
	cc, err = carol.Dial(ctx, "1000")
	must(t, err)
	ca = incoming(ctx, t, alice)
	must(t, ca.Answer(ctx))
	must(t, cc.WaitAnswered(ctx))
	select {
	case <-bob.Incoming():
		t.Error("a phone that has logged out of hunting rings")
	default:
	}
}

func TestAutoAnswer(t *testing.T) {
	t.Parallel()
	s := lampSite(t, func(c *config.Site) {
		for i := range c.Lines {
			if c.Lines[i].Number == "1002" {
				c.Lines[i].AutoAnswer = config.AutoAnswerInternal
			}
		}
	})
	alice, bob := at(t, s, "alice", "1001", nil), at(t, s, "bob", "1002", func(c *phone.Config) { c.Intercom = true })
	ctx := wait(t)
	ca, err := alice.Dial(ctx, "1002")
	must(t, err)
	must(t, ca.WaitAnswered(ctx))
	both(ctx, t, ca, incoming(ctx, t, bob))
}

// TestSettingsAreKept: what was set at a phone is in force again after a restart.
func TestSettingsAreKept(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	start := func() *lab.Site {
		ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
		defer cancel()
		cfg := config.Default("node1")
		for i := range cfg.Devices { // private, until their users say otherwise
			cfg.Devices[i].Private = true
		}
		s, err := lab.Start(ctx, lab.Options{Home: home, Config: cfg})
		must(t, err)
		return s
	}
	closed := func(s *lab.Site) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		must(t, s.Close(ctx))
	}
	ctx := wait(t)
	s := start()
	confirmed(ctx, t, at(t, s, "bob", "1002", nil), "*729196", "Forwarded to 9196")
	_, err := bus.Ask[bus.DeviceSettingRequest, bus.SettingResult](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbSetDevice),
		bus.DeviceSettingRequest{Device: "bob", Setting: bus.SettingHuntLogin, Actor: "test"})
	must(t, err)
	_, err = bus.Ask[bus.DeviceSettingRequest, bus.SettingResult](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbSetDevice),
		bus.DeviceSettingRequest{Device: "alice", Setting: bus.SettingPrivacy, Actor: "test"})
	must(t, err)
	closed(s)

	s = start()
	defer closed(s)
	lines, err := bus.Ask[bus.Query, []bus.LineState](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbLines), bus.Query{Name: "1002"})
	must(t, err)
	if len(lines) != 1 || len(lines[0].Forwards) != 1 || lines[0].Forwards[0] != (bus.ForwardState{Kind: "all", To: "9196", SetByUser: true}) || len(lines[0].HuntOut) != 1 {
		t.Errorf("after the restart: %+v", lines)
	}
	if len(lines) != 1 || len(lines[0].Private) != 1 {
		t.Errorf("after the restart bob is as configured no longer: %+v", lines)
	}
	lines, err = bus.Ask[bus.Query, []bus.LineState](ctx, s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbLines), bus.Query{Name: "1001"})
	must(t, err)
	if len(lines) != 1 || len(lines[0].Private) != 0 {
		t.Errorf("after the restart alice, who shows her calls, is private again: %+v", lines)
	}
	ca, err := at(t, s, "alice", "1001", nil).Dial(ctx, "1002") // the echo answers for Bob
	must(t, err)
	must(t, ca.WaitAnswered(ctx))
	ca.Tone(700)
	hears(ctx, t, ca, 700)
}
