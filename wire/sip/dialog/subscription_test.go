package dialog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// pair joins a subscriber and a notifier.
type pair struct {
	t   *testing.T
	now time.Time
	sub *Subscriber
	not *Notifier
	log []string
	// first is the state the notifier begins with; drop loses everything from that side.
	first        Notify
	dropS, dropN bool
}

func newPair(t *testing.T, edit func(s, n *SubConfig)) *pair {
	r := rand.New(rand.NewPCG(5, 5))
	s, n := &SubConfig{Random: r.Uint64}, &SubConfig{Random: r.Uint64}
	if edit != nil {
		edit(s, n)
	}
	return &pair{t: t, now: time.Unix(0, 0), sub: NewSubscriber(s), not: NewNotifier(n),
		first: Notify{State: SubActive, ContentType: "text/plain", Body: []byte("state 1")}}
}

func (p *pair) note(format string, args ...any) { p.log = append(p.log, fmt.Sprintf(format, args...)) }

func (p *pair) start() {
	p.subscriber(Subscribe{URI: address("mailbox", "n.example").URI, From: address("phone", "s.example"), To: address("mailbox", "n.example"),
		CallID: "sub-1", Contact: address("phone", "192.0.2.1"), Event: "message-summary"})
}

func (p *pair) subscriber(in Input) {
	var later []func()
	for _, o := range p.sub.Step(p.now, in) {
		switch o.Kind {
		case OutRequest:
			p.note("SUBSCRIBE %s", o.Msg.Header("Expires"))
			m := p.wire(o.Msg)
			later = append(later, func() {
				if !p.dropS {
					p.notifier(Request{Tx: 1, Msg: m, Contact: address("mailbox", "192.0.2.2")})
				}
			})
		case OutResponse:
			m := p.wire(o.Msg)
			if m.Status() != 200 {
				p.note("-> %d", m.Status())
			}
			later = append(later, func() {
				if !p.dropS {
					p.notifier(Response{m})
				}
			})
		case EvRequest:
			p.note("told %q, %s", o.Body, p.sub.State())
		case EvEnded:
			p.note("subscriber ended %d", o.Status)
		}
	}
	for _, f := range later {
		f()
	}
}

func (p *pair) notifier(in Input) {
	var later []func()
	out := []Output(nil)
	if r, ok := in.(Request); ok && p.not.State() == SubInit {
		out = p.not.Begin(p.now, r, p.first)
	} else {
		out = p.not.Step(p.now, in)
	}
	for _, o := range out {
		switch o.Kind {
		case OutRequest:
			p.note("NOTIFY %s", o.Msg.Header("Subscription-State"))
			m := p.wire(o.Msg)
			later = append(later, func() {
				if !p.dropN {
					p.subscriber(Request{Tx: 1, Msg: m})
				}
			})
		case OutResponse:
			m := p.wire(o.Msg)
			p.note("<- %d Expires=%s%s", m.Status(), m.Header("Expires"), m.Header("Min-Expires"))
			later = append(later, func() {
				if !p.dropN {
					p.subscriber(Response{m})
				}
			})
		case EvEnded:
			p.note("notifier ended %d", o.Status)
		}
	}
	for _, f := range later {
		f()
	}
}

func (p *pair) wire(m *sip.Message) *sip.Message {
	p.t.Helper()
	c := m.Clone()
	if c.IsRequest() {
		c.PrependVia(sip.Via{Transport: "TLS", Host: "192.0.2.1", Params: sip.Params{{Name: "branch", Value: "z9hG4bK1"}}})
	}
	r, err := sip.Parse(c.Append(nil))
	if err != nil {
		p.t.Fatalf("%v\n%s", err, c.Append(nil))
	}
	return r
}

// pass lets time pass on both sides.
func (p *pair) pass(d time.Duration) {
	end := p.now.Add(d)
	for {
		s, n := p.sub.Deadline(), p.not.Deadline()
		at := earliest(s, n)
		if at.IsZero() || at.After(end) {
			p.now = end
			return
		}
		p.now = at
		p.note("%s", at.Sub(time.Unix(0, 0)))
		if at.Equal(s) {
			p.subscriber(Tick{})
		} else {
			p.notifier(Tick{})
		}
	}
}

func (p *pair) want(lines ...string) {
	p.t.Helper()
	if got := strings.Join(p.log, "\n"); got != strings.Join(lines, "\n") {
		p.t.Errorf("got:\n%s\n\nwant:\n%s", got, strings.Join(lines, "\n"))
	}
	p.log = nil
}

func TestSubscriptionLife(t *testing.T) {
	p := newPair(t, nil)
	p.start()
	p.want("SUBSCRIBE 3600", "<- 200 Expires=3600", "NOTIFY active;expires=3600", `told "state 1", active`)
	p.notifier(Notify{ContentType: "text/plain", Body: []byte("state 2")})
	p.want("NOTIFY active;expires=3600", `told "state 2", active`)
	p.pass(3600 * time.Second) // refreshed a minute before the end
	p.want("59m0s", "SUBSCRIBE 3600", "<- 200 Expires=3600", "NOTIFY active;expires=3600", `told "state 2", active`)
	p.subscriber(Unsubscribe{})
	p.want("SUBSCRIBE 0", "<- 200 Expires=0", "NOTIFY terminated;reason=timeout", "notifier ended 200", `told "state 2", terminated`, "subscriber ended 200")
}

// RFC 6665, 4.2.2: a pending subscriber is told the state only after the decision.
func TestSubscriptionPendingThenActive(t *testing.T) {
	p := newPair(t, nil)
	p.first.State = SubPending
	p.start()
	p.want("SUBSCRIBE 3600", "<- 200 Expires=3600", "NOTIFY pending;expires=3600", `told "", pending`)
	p.notifier(Notify{State: SubActive, ContentType: "text/plain", Body: []byte("now")})
	p.want("NOTIFY active;expires=3600", `told "now", active`)
	p.notifier(Notify{State: SubTerminated, Reason: "rejected"})
	p.want("NOTIFY terminated;reason=rejected", "notifier ended 200", `told "", terminated`, "subscriber ended 200")
}

// RFC 6665, 4.1.2.4: Timer N ends a subscription whose NOTIFY never comes.
func TestSubscriberWithoutNotify(t *testing.T) {
	p := newPair(t, nil)
	p.dropN = true
	p.start()
	p.log = nil
	p.pass(33 * time.Second)
	p.want("32s", "subscriber ended 408")
}

// A subscriber that vanished: the subscription ends with its time, and the notifier says so.
func TestNotifierExpires(t *testing.T) {
	p := newPair(t, func(_, n *SubConfig) { n.Expires = 90 * time.Second })
	p.start()
	p.want("SUBSCRIBE 3600", "<- 200 Expires=90", "NOTIFY active;expires=90", `told "state 1", active`)
	p.dropS = true
	p.sub = NewSubscriber(p.sub.cfg)
	p.pass(2 * time.Minute)
	p.want("1m30s", "NOTIFY terminated;reason=timeout", "notifier ended 200", "-> 481")
}

// RFC 6665, 4.2.1.1: 423 and the second try.
func TestSubscriptionTooBrief(t *testing.T) {
	p := newPair(t, func(s, n *SubConfig) { s.Expires, n.Min = 30*time.Second, 2*time.Minute })
	p.start()
	p.want("SUBSCRIBE 30", "<- 423 Expires=120", "SUBSCRIBE 120", "<- 200 Expires=120", "NOTIFY active;expires=120", `told "state 1", active`)
}

// Changes that come while a NOTIFY is on its way are told once, as the last of them.
func TestNotifierCoalesces(t *testing.T) {
	p := newPair(t, nil)
	p.start()
	p.log = nil
	p.dropN = true
	p.notifier(Notify{Body: []byte("2"), ContentType: "text/plain"})
	p.notifier(Notify{Body: []byte("3"), ContentType: "text/plain"})
	p.notifier(Notify{Body: []byte("4"), ContentType: "text/plain"})
	p.want("NOTIFY active;expires=3600")
	p.dropN = false
	p.notifier(Failed{Method: sip.NOTIFY, Seq: p.not.flight, Status: 500})
	p.want("NOTIFY active;expires=3600", `told "4", active`)
}

// A subscriber that lost its connection is told again what it may have missed.
func TestNotifierRepeats(t *testing.T) {
	p := newPair(t, nil)
	p.notifier(Repeat{})
	p.want()
	p.start()
	p.log = nil
	p.dropN = true
	p.notifier(Notify{Body: []byte("2"), ContentType: "text/plain"})
	p.notifier(Failed{Method: sip.NOTIFY, Seq: p.not.flight, Status: 500})
	p.dropN = false
	p.notifier(Repeat{})
	p.want("NOTIFY active;expires=3600", "NOTIFY active;expires=3600", `told "2", active`)
	p.subscriber(Unsubscribe{})
	p.log = nil
	p.notifier(Repeat{})
	p.want()
}

// RFC 6665, 4.2.2: 481 to a NOTIFY ends the subscription.
func TestNotifierEndsOn481(t *testing.T) {
	p := newPair(t, nil)
	p.start()
	p.log = nil
	p.sub = NewSubscriber(p.sub.cfg) // the subscriber restarted
	p.notifier(Notify{Body: []byte("2"), ContentType: "text/plain"})
	p.want("NOTIFY active;expires=3600", "-> 481", "notifier ended 481")
}

func TestSipfrag(t *testing.T) {
	for _, status := range []int{100, 180, 200, 486, 603} {
		got, ok := ParseSipfrag(Sipfrag(status, "Parked at 7001"))
		if !ok || got != status {
			t.Errorf("%d came back as %d, %v", status, got, ok)
		}
	}
	for _, bad := range []string{"", "SIP/2.0 ", "SIP/2.0 9", "SIP/2.0 999 x", "HTTP/1.1 200 OK", "SIP/2.0 2x0"} {
		if n, ok := ParseSipfrag([]byte(bad)); ok {
			t.Errorf("%q gave %d", bad, n)
		}
	}
}

// RFC 3891, 3: the tags of a Replaces header are seen from its receiver.
func TestReplacesNamesTheDialogAtBothEnds(t *testing.T) {
	s, invite := caller(t, nil)
	s.Step(time.Unix(1, 0), Response{reply(invite, 200, "x", "ax")})
	d, err := NewUAS(func() *sip.Message { m := invite.Clone(); return m }(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if !d.MatchesReplaces(s.ReplacesFor()) {
		t.Errorf("%v does not name the dialog at the peer", s.ReplacesFor())
	}
	if s.MatchesReplaces(s.ReplacesFor()) {
		t.Error("it names the dialog at its own end too")
	}
}
