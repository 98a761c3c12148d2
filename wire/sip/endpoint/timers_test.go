package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// packets is an in-memory UDP socket for a synctest bubble: what the endpoint sends is noted with its time, and the test
// puts in what it should receive.
type packets struct {
	in     chan []byte
	once   sync.Once
	closed chan struct{}
	begin  time.Time
	mu     sync.Mutex
	sent   []string // "time first-line"
	last   string
}

var peerAddr = netip.MustParseAddrPort("192.0.2.1:5060")

func newPackets() *packets {
	return &packets{in: make(chan []byte, 100), closed: make(chan struct{}), begin: time.Now()}
}

func (p *packets) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	select {
	case d := <-p.in:
		return copy(b, d), peerAddr, nil
	case <-p.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	}
}

func (p *packets) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	line, _, _ := strings.Cut(string(b), "\r\n")
	words := strings.Fields(line)
	what := words[0]
	if what == "SIP/2.0" {
		what = words[1]
	}
	p.sent = append(p.sent, time.Since(p.begin).String()+" "+what)
	p.last = strings.ReplaceAll(string(b), "\r\n", "\n")
	return len(b), nil
}

func (p *packets) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.9:5060"))
}
func (p *packets) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *packets) lastSent() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.ReplaceAll(p.last, "\n", "\r\n")
}

func (p *packets) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := strings.Join(p.sent, ", ")
	p.sent = nil
	return s
}

// bubble runs f with an endpoint on an in-memory socket, in fake time.
func bubble(t *testing.T, user *recorder, f func(t *testing.T, e *Endpoint, p *packets)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPackets()
		e, err := New(Config{User: user, Shards: 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Transport().ServePackets(p, transport.ListenConfig{}); err != nil {
			t.Fatal(err)
		}
		f(t, e, p)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.Close(ctx)
	})
}

func wantSent(t *testing.T, p *packets, want string) {
	t.Helper()
	synctest.Wait()
	if got := p.take(); got != want {
		t.Errorf("sent %s\nwant %s", got, want)
	}
}

var toPeer = Target{Hops: []Hop{{transport.UDP, peerAddr}}}

// TestTimersAB: an INVITE without answer.
func TestTimersAB(t *testing.T) {
	user := newRecorder(nil)
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		_, _ = e.Request(request(t, sip.INVITE, "ab", 1), toPeer)
		time.Sleep(33 * time.Second)
		wantSent(t, p, "0s INVITE, 500ms INVITE, 1.5s INVITE, 3.5s INVITE, 7.5s INVITE, 15.5s INVITE, 31.5s INVITE")
		if ev := <-user.events; ev.what != "failed" || !errors.Is(ev.err, ErrTimeout) {
			t.Errorf("got %+v, want ErrTimeout", ev)
		}
		wantGone(t, e)
	})
}

// TestTimersOfTarget: a target's own timers replace the endpoint's, for both kinds of request.
func TestTimersOfTarget(t *testing.T) {
	user := newRecorder(nil)
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		to := toPeer
		to.Timers = &transaction.Timers{T1: 100 * time.Millisecond, T2: 400 * time.Millisecond}
		_, _ = e.Request(request(t, sip.INVITE, "own", 1), to)
		time.Sleep(6500 * time.Millisecond)
		wantSent(t, p, "0s INVITE, 100ms INVITE, 300ms INVITE, 700ms INVITE, 1.5s INVITE, 3.1s INVITE, 6.3s INVITE")
		if ev := <-user.events; ev.what != "failed" || !errors.Is(ev.err, ErrTimeout) {
			t.Errorf("got %+v, want ErrTimeout", ev)
		}
		_, _ = e.Request(request(t, sip.OPTIONS, "own", 1), to)
		time.Sleep(1600 * time.Millisecond)
		wantSent(t, p, "6.5s OPTIONS, 6.6s OPTIONS, 6.8s OPTIONS, 7.2s OPTIONS, 7.6s OPTIONS, 8s OPTIONS")
	})
}

// TestTimersEFK: a non-INVITE request, in Trying and in Proceeding, and its absorbing.
func TestTimersEFK(t *testing.T) {
	user := newRecorder(nil)
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		_, _ = e.Request(request(t, sip.OPTIONS, "ef", 1), toPeer)
		time.Sleep(33 * time.Second)
		wantSent(t, p, "0s OPTIONS, 500ms OPTIONS, 1.5s OPTIONS, 3.5s OPTIONS, 7.5s OPTIONS, 11.5s OPTIONS, 15.5s OPTIONS, "+
			"19.5s OPTIONS, 23.5s OPTIONS, 27.5s OPTIONS, 31.5s OPTIONS")
		if ev := <-user.events; ev.what != "failed" {
			t.Errorf("got %+v, want a failure", ev)
		}
		_, _ = e.Request(request(t, sip.OPTIONS, "k", 1), toPeer)
		synctest.Wait()
		p.in <- reply(p, "100 Trying")
		p.in <- reply(p, "200 OK")
		p.in <- reply(p, "200 OK")
		time.Sleep(time.Second)
		if n := e.Stats().ClientTransactions; n != 1 {
			t.Errorf("%d transactions before Timer K, want 1", n)
		}
		time.Sleep(5 * time.Second)
		if len(user.events) != 2 {
			t.Errorf("%d responses delivered, want 100 and 200", len(user.events))
		}
		wantGone(t, e)
	})
}

// TestTimersDM: ACK for every copy of a 486 until Timer D; every 2xx is delivered until Timer M.
func TestTimersDM(t *testing.T) {
	user := newRecorder(nil)
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		_, _ = e.Request(request(t, sip.INVITE, "d", 1), toPeer)
		synctest.Wait()
		busy := reply(p, "486 Busy Here")
		p.in <- busy
		synctest.Wait()
		time.Sleep(31 * time.Second)
		p.in <- busy
		wantSent(t, p, "0s INVITE, 0s ACK, 31s ACK")
		time.Sleep(2 * time.Second)
		p.in <- busy
		wantSent(t, p, "")
		wantGone(t, e)
		_, _ = e.Request(request(t, sip.INVITE, "m", 1), toPeer)
		synctest.Wait()
		ok := reply(p, "200 OK")
		for range 3 {
			p.in <- ok
			time.Sleep(10 * time.Second)
		}
		if len(user.events) != 4 {
			t.Errorf("%d events, want the 486 and three 200", len(user.events))
		}
		time.Sleep(3 * time.Second)
		wantGone(t, e)
	})
}

// TestTimersGHI: a 486 is repeated until its ACK, which is absorbed until Timer I; without ACK Timer H ends it.
func TestTimersGHI(t *testing.T) {
	user := newRecorder(func(e event) {
		if e.what == "INVITE" {
			_ = e.stx.Reply(486, "")
		}
	})
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		p.in <- []byte(invite("gh", "z9hG4bKgh", "UDP 192.0.2.1:5060"))
		time.Sleep(4 * time.Second)
		wantSent(t, p, "0s 486, 500ms 486, 1.5s 486, 3.5s 486")
		ack := []byte(follow("ACK", "gh", "z9hG4bKgh", "UDP 192.0.2.1:5060", tagOf(p.last), 1))
		p.in <- ack
		time.Sleep(4900 * time.Millisecond)
		p.in <- ack
		wantSent(t, p, "")
		time.Sleep(200 * time.Millisecond)
		wantGone(t, e)
		if len(user.events) != 1 {
			t.Errorf("%d events, want only the INVITE: the ACKs are absorbed", len(user.events))
		}
		p.in <- []byte(invite("h", "z9hG4bKh", "UDP 192.0.2.1:5060"))
		time.Sleep(33 * time.Second)
		synctest.Wait()
		<-user.events
		<-user.events
		if ev := <-user.events; ev.what != "endpoint.ServerFailed" {
			t.Errorf("got %+v, want ServerFailed", ev)
		}
		wantGone(t, e)
	})
}

// TestTimerL: a 2xx is repeated at T1 doubling to T2, for 64*T1; then NoAck.
func TestTimerL(t *testing.T) {
	user := newRecorder(func(e event) {
		if e.what == "INVITE" {
			_ = e.stx.Reply(200, "")
		}
	})
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		p.in <- []byte(invite("l", "z9hG4bKl", "UDP 192.0.2.1:5060"))
		time.Sleep(33 * time.Second)
		wantSent(t, p, "0s 200, 500ms 200, 1.5s 200, 3.5s 200, 7.5s 200, 11.5s 200, 15.5s 200, 19.5s 200, 23.5s 200, 27.5s 200, 31.5s 200")
		<-user.events
		if ev := <-user.events; ev.what != "endpoint.NoAck" {
			t.Errorf("got %+v, want NoAck", ev)
		}
		wantGone(t, e)
	})
}

// TestSuccessEndsWithDialog: nobody waits for the ACK of a 2xx once a BYE, the peer's or ours, has ended the dialog (RFC 3261, 15); a BYE of
// another dialog of the same Call-ID changes nothing.
func TestSuccessEndsWithDialog(t *testing.T) {
	for _, by := range []string{"peer", "us"} {
		user := newRecorder(func(e event) {
			if e.stx != nil {
				_ = e.stx.Reply(200, "")
			}
		})
		bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
			user.events = make(chan event, 100)
			p.in <- []byte(invite("end", "z9hG4bKend", "UDP 192.0.2.1:5060"))
			tx := (<-user.events).stx
			time.Sleep(time.Second)
			p.in <- []byte(follow("BYE", "end", "z9hG4bKstray", "UDP 192.0.2.1:5060", "another", 2))
			time.Sleep(time.Second)
			wantSent(t, p, "0s 200, 500ms 200, 1s 200, 1.5s 200")
			if by == "peer" {
				p.in <- []byte(follow("BYE", "end", "z9hG4bKbye", "UDP 192.0.2.1:5060", tx.LocalTag(), 3))
				time.Sleep(30 * time.Second)
				wantSent(t, p, "2s 200")
			} else {
				bye := request(t, sip.BYE, "end", 1)
				bye.SetFrom(sip.Address{URI: bye.RequestURI(), Params: sip.Params{{Name: "tag", Value: tx.LocalTag()}}})
				bye.SetToTag("a1")
				_, _ = e.Request(bye, toPeer)
				synctest.Wait()
				p.in <- []byte(strings.Replace(p.lastSent(), "BYE sip:bob@example.com SIP/2.0", "SIP/2.0 200 OK", 1))
				time.Sleep(30 * time.Second)
				wantSent(t, p, "2s BYE")
			}
			for len(user.events) > 0 {
				if ev := <-user.events; ev.what == "endpoint.NoAck" {
					t.Errorf("ended by %s: NoAck for a dialog that is over", by)
				}
			}
			time.Sleep(33 * time.Second)
			wantGone(t, e)
		})
	}
}

// TestTimerJ: the final response of a non-INVITE request is repeated for its copies until Timer J; 100 after 3.5 s.
func TestTimerJ(t *testing.T) {
	var held *ServerTx
	user := newRecorder(func(e event) { held = e.stx })
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		options := []byte(follow("OPTIONS", "j", "z9hG4bKj", "UDP 192.0.2.1:5060", "", 1))
		p.in <- options
		time.Sleep(4 * time.Second)
		wantSent(t, p, "3.5s 100")
		_ = held.Reply(200, "")
		synctest.Wait()
		time.Sleep(31 * time.Second)
		p.in <- options
		wantSent(t, p, "4s 200, 35s 200")
		time.Sleep(2 * time.Second)
		wantGone(t, e)
	})
}

// TestTimerC: an INVITE that only rings is cancelled, and ends 64*T1 later.
func TestTimerC(t *testing.T) {
	user := newRecorder(nil)
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		_, _ = e.Request(request(t, sip.INVITE, "c", 1), toPeer)
		synctest.Wait()
		p.in <- reply(p, "180 Ringing")
		time.Sleep(182 * time.Second)
		if got := p.take(); !strings.HasPrefix(got, "0s INVITE, 3m1s CANCEL") {
			t.Errorf("sent %s, want INVITE and at 3m1s CANCEL", got)
		}
		time.Sleep(33 * time.Second)
		<-user.events
		if ev := <-user.events; !errors.Is(ev.err, ErrTimeout) {
			t.Errorf("got %+v, want ErrTimeout", ev)
		}
		wantGone(t, e)
	})
}

// TestAfter: a value comes back in time, and not at all after Stop.
func TestAfter(t *testing.T) {
	user := newRecorder(nil)
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		e.After("id", time.Minute, 1)
		stopped := e.After("id", time.Minute, 2)
		time.Sleep(59 * time.Second)
		stopped.Stop()
		if len(user.events) != 0 {
			t.Error("posted too early")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if len(user.events) != 1 || (<-user.events).v != 1 {
			t.Error("want the one value that was not stopped")
		}
	})
}

// TestTransportTimers: the 100 of an INVITE nobody answers comes after 200 ms.
func TestTryingAfter200ms(t *testing.T) {
	user := newRecorder(nil)
	bubble(t, user, func(t *testing.T, e *Endpoint, p *packets) {
		user.events = make(chan event, 100)
		p.in <- []byte(invite("t", "z9hG4bKt", "UDP 192.0.2.1:5060"))
		time.Sleep(time.Second)
		wantSent(t, p, "200ms 100")
		_ = (<-user.events).stx.Reply(603, "")
		time.Sleep(40 * time.Second)
		wantGone(t, e)
	})
}

// reply answers the last request that was sent.
func reply(p *packets, status string) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return []byte(raw("SIP/2.0 "+status, "Via: "+field(p.last, "Via"), "From: "+field(p.last, "From"),
		"To: "+field(p.last, "To")+";tag=b", "Call-ID: "+field(p.last, "Call-ID"), "CSeq: "+field(p.last, "CSeq"),
		"Contact: <sip:b@192.0.2.1>"))
}

func wantGone(t *testing.T, e *Endpoint) {
	t.Helper()
	synctest.Wait()
	if st := e.Stats(); st.ServerTransactions+st.ClientTransactions != 0 {
		t.Errorf("transactions left: %+v", st)
	}
}
