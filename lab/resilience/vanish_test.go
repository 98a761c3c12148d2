package resilience

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transaction"
)

// interval is the session timer of these tests. RFC 4028, 5 asks for 90 s on the wire; a site made in Go may go below.
const interval = 4 * time.Second

// shortSessions has short session timers, and media through the node so that there is something to leak.
func shortSessions() *config.Site {
	c := config.Default("node1")
	c.SIPProfiles[0].SessionTimer = config.SessionTimer{Min: config.Duration(2 * time.Second), Expires: config.Duration(interval)}
	c.SIPProfiles[0].MediaAnchor = config.AnchorAlways
	return c
}

// impatient shortens T1, so that Timer B, Timer H and the wait for an ACK take 1.9 s.
func impatient(c *callmanager.Config) { c.Timers = transaction.Timers{T1: 30 * time.Millisecond} }

func shortly(c *phone.Config) {
	c.Timer = dialog.TimerConfig{Interval: interval, Min: 2 * time.Second}
}

// nothingLeft waits until the site has no call, no leg and no transaction.
func nothingLeft(t *testing.T, s *lab.Site) {
	t.Helper()
	eventually(t, step, func() error {
		for _, name := range []string{"calls", "legs", "transactions"} {
			if n := figure(t, s, name); n != 0 {
				return fmt.Errorf("%v %s are left", n, name)
			}
		}
		return nil
	})
}

// TestPhonesThatVanish: a phone that is gone in mid-call costs the other end no more than the session timer, and the
// site nothing.
func TestPhonesThatVanish(t *testing.T) {
	s := start(t, lab.Options{Config: shortSessions(), Tune: impatient})
	vanish := func(c *phone.Config) { shortly(c); c.Misbehave.Vanish = true }
	alice, bob := telephone(t, s, "alice", "1001", shortly), telephone(t, s, "bob", "1002", shortly)
	goodCall(t, alice, bob)
	hangUp(alice)
	hangUp(bob)
	nothingLeft(t, s)
	before := measure()
	for _, c := range []struct {
		name   string
		caller func(*phone.Config)
		called func(*phone.Config)
		gone   func(*testing.T, pair, *phone.Phone, *phone.Phone) *phone.Call // returns the end that is left
	}{
		{"the caller says nothing any more", vanish, shortly, func(t *testing.T, p pair, _, _ *phone.Phone) *phone.Call {
			ok(t, p.caller.Hangup(within(t, step)))
			return p.called
		}},
		{"the called phone says nothing any more", shortly, vanish, func(t *testing.T, p pair, _, _ *phone.Phone) *phone.Call {
			ok(t, p.called.Hangup(within(t, step)))
			return p.caller
		}},
		{"the caller's connection is gone", shortly, shortly, func(t *testing.T, p pair, caller, _ *phone.Phone) *phone.Call {
			hangUp(caller)
			return p.called
		}},
		{"the called phone's connection is gone", shortly, shortly, func(t *testing.T, p pair, _, called *phone.Phone) *phone.Call {
			hangUp(called)
			return p.caller
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			alice, bob := telephone(t, s, "alice", "1001", c.caller), telephone(t, s, "bob", "1002", c.called)
			p, err := tryConnect(within(t, step), alice, bob)
			ok(t, err)
			begin := time.Now()
			left := c.gone(t, p, alice, bob)
			status, byPeer, err := left.WaitEnded(within(t, step))
			took := time.Since(begin)
			t.Logf("the other end was released after %v: %d, %s", took.Round(time.Millisecond), status, left.Reason())
			if err != nil || !byPeer {
				t.Errorf("released by the network: %v, %v", byPeer, err)
			}
			if took > interval+time.Second {
				t.Errorf("released after %v, the session timer is %v", took, interval)
			}
			hangUp(alice)
			hangUp(bob)
			nothingLeft(t, s)
		})
	}
	before.returned(t, usual)
}

// TestKeptBySessionTimer: a call whose ends are both there outlives the session timer several times over.
func TestKeptBySessionTimer(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{Config: shortSessions(), Tune: impatient})
	alice, bob := telephone(t, s, "alice", "1001", shortly), telephone(t, s, "bob", "1002", shortly)
	p := connect(t, alice, bob)
	n := 2
	if all() {
		n = 10
	}
	ok(t, p.called.WaitRefreshed(within(t, time.Minute), n))
	p.hear(t)
	p.end(t)
	nothingLeft(t, s)
}

// TestNeverComplete: a caller that never acknowledges, one that never says where its media is, a called phone that never
// answers, and one that answers without a description. The calls end, with everything they held, long before any session
// timer: theirs is half an hour.
func TestNeverComplete(t *testing.T) {
	c := config.Default("node1")
	c.SIPProfiles[0].MediaAnchor = config.AnchorAlways
	for i := range c.Lines {
		c.Lines[i].NoAnswerTimeout = config.Duration(2 * time.Second)
	}
	s := start(t, lab.Options{Config: c, Tune: impatient})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", func(c *phone.Config) { c.AutoAnswer = true })
	goodAuto(t, alice, bob)
	nothingLeft(t, s)
	before := measure()

	t.Run("no ACK", func(t *testing.T) {
		rude, err := s.Phone(within(t, step), "alice", "1001", func(c *phone.Config) { c.Misbehave.NeverAck, c.NoRegister = true, true })
		ok(t, err)
		defer hangUp(rude)
		_, err = rude.Dial(within(t, step), "1002")
		ok(t, err)
		called := <-bob.Incoming()
		if status, byPeer, err := called.WaitEnded(within(t, step)); err != nil || !byPeer {
			t.Errorf("the called phone is not released: %d, %v", status, err)
		}
		nothingLeft(t, s)
	})
	t.Run("ACK without the answer", func(t *testing.T) {
		raw := dialTLS(t, s, must(s.Issue(t.Context(), pki.KindDevice, "alice"))(t))
		defer raw.Close()
		ok(t, raw.SetDeadline(time.Now().Add(step)))
		r := bufio.NewReader(raw)
		invite := strings.Replace(request("INVITE", "alice", "TLS"), "INVITE sip:alice", "INVITE sip:1002", 1)
		must(io.WriteString(raw, invite))(t)
		status, header := final(t, r)
		if status != 200 {
			t.Fatalf("INVITE without an offer: %d %v", status, header)
		}
		ack := strings.NewReplacer("INVITE sip:1002@locktone.test", "ACK "+strings.Trim(field(header, "Contact"), "<>"), "1 INVITE", "1 ACK", "branch=z9hG4bK-r", "branch=z9hG4bK-ack",
			"To: <sip:alice@locktone.test>", "To: "+field(header, "To")).Replace(invite)
		must(io.WriteString(raw, ack))(t)
		c := <-bob.Incoming()
		if _, _, err := c.WaitEnded(within(t, step)); err != nil { // the phone itself has no use for such a call either
			t.Errorf("the called phone is not released: %v", err)
		}
		nothingLeft(t, s)
	})
	t.Run("nobody answers", func(t *testing.T) {
		hangUp(bob)
		bob := telephone(t, s, "bob", "1002", nil)
		call, err := alice.Dial(within(t, step), "1002")
		ok(t, err)
		ringing := <-bob.Incoming()
		status, byPeer, err := call.WaitEnded(within(t, step))
		if err != nil || !byPeer || status != 480 {
			t.Errorf("the caller: %d, by the network %v, %v", status, byPeer, err)
		}
		if _, byPeer, err := ringing.WaitEnded(within(t, step)); err != nil || !byPeer {
			t.Errorf("the called phone rings on: %v", err)
		}
		hangUp(bob)
		nothingLeft(t, s)
	})
	t.Run("200 without a description", func(t *testing.T) {
		raw := dialTLS(t, s, must(s.Issue(t.Context(), pki.KindDevice, "bob"))(t))
		defer raw.Close()
		ok(t, raw.SetDeadline(time.Now().Add(step)))
		r := bufio.NewReader(raw)
		must(io.WriteString(raw, request("REGISTER", "bob", "TLS", "Expires: 600")))(t)
		if status, header := final(t, r); status != 200 {
			t.Fatalf("REGISTER: %d %v", status, header)
		}
		call, err := alice.Dial(within(t, step), "1002")
		ok(t, err)
		go answerWithoutSDP(raw, r)
		status, byPeer, err := call.WaitEnded(within(t, step))
		if err != nil || !byPeer || status < 400 {
			t.Errorf("the caller: %d, by the network %v, %v", status, byPeer, err)
		}
		t.Logf("the caller was told %d %s %s", status, call.Reason(), call.Warning())
		nothingLeft(t, s)
	})
	hangUp(alice)
	before.returned(t, usual)
}

// goodAuto is a call to a phone that answers by itself.
func goodAuto(t *testing.T, from, to *phone.Phone) {
	t.Helper()
	c, err := from.Dial(within(t, step), to.Number())
	ok(t, err)
	ok(t, c.WaitAnswered(within(t, step)))
	called := <-to.Incoming()
	ok(t, c.Hangup(within(t, step)))
	_, _, err = called.WaitEnded(within(t, step))
	ok(t, err)
}

// final reads responses up to the first final one.
func final(t *testing.T, r *bufio.Reader) (int, []string) {
	t.Helper()
	for {
		status, header, err := answer(r)
		ok(t, err)
		if status >= 200 {
			return status, header
		}
	}
}

// answerWithoutSDP is a phone that takes every request with a 200 that has no body.
func answerWithoutSDP(w io.Writer, r *bufio.Reader) {
	for {
		first, header, body, err := readRequest(r)
		if err != nil {
			return
		}
		_ = body
		if strings.HasPrefix(first, "ACK") || !strings.HasSuffix(first, "SIP/2.0") {
			continue
		}
		out := []string{"SIP/2.0 200 OK"}
		for _, h := range header {
			switch name, _, _ := strings.Cut(h, ":"); name {
			case "To":
				if !strings.Contains(h, "tag=") {
					h += ";tag=raw"
				}
				out = append(out, h)
			case "Via", "From", "Call-ID", "CSeq", "Record-Route":
				out = append(out, h)
			}
		}
		out = append(out, "Contact: <sip:bob@127.0.0.1:9;transport=tls>", "Content-Length: 0", "", "")
		if _, err := io.WriteString(w, strings.Join(out, "\r\n")); err != nil {
			return
		}
	}
}

func readRequest(r *bufio.Reader) (first string, header []string, body []byte, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", nil, nil, err
		}
		switch line = strings.TrimRight(line, "\r\n"); {
		case line == "" && first == "":
		case line == "":
			return first, header, nil, skipBody(r, header)
		case first == "":
			first = line
		default:
			header = append(header, line)
		}
	}
}

// TestPhoneThatComesBack: a phone that starts over in mid-call and registers again has lost its call, and the other end is told at once; one
// that has lost its connection only goes on with its call, by the new connection.
func TestPhoneThatComesBack(t *testing.T) {
	s := start(t, lab.Options{Tune: impatient})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	p := connect(t, alice, bob)
	n := bob.Registrations()
	bob.Cut()
	ok(t, bob.WaitRegistrations(within(t, step), n+1))
	ok(t, p.caller.Hold(within(t, step)))
	ok(t, p.called.WaitHeld(within(t, step), true))
	ok(t, p.caller.Resume(within(t, step)))
	hangUp(bob)
	bob = telephone(t, s, "bob", "1002", nil)
	if _, byPeer, err := p.caller.WaitEnded(within(t, step)); err != nil || !byPeer {
		t.Errorf("bob's phone has started over, and alice's call goes on: %v", err)
	}
	goodCall(t, alice, bob)
	nothingLeft(t, s)
}
