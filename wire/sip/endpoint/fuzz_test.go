package endpoint

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// pipes is an in-memory net.Listener.
type pipes struct {
	conns chan net.Conn
	quit  chan struct{}
}

type pipeEnd struct{ net.Conn }

func (pipeEnd) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.1:40000"))
}
func (pipeEnd) LocalAddr() net.Addr { return pipes{}.Addr() }

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.quit:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error { close(p.quit); return nil }
func (pipes) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.9:5060"))
}

// FuzzStream writes bytes to an endpoint that answers everything: no panic, and after the timers nothing is left.
func FuzzStream(f *testing.F) {
	via := "TCP 192.0.2.1:5060"
	call := invite("f", "z9hG4bKf", via)
	seeds := []string{
		call, call + follow("CANCEL", "f", "z9hG4bKf", via, "", 1), call + follow("ACK", "f", "z9hG4bKa", via, "x", 1),
		follow("BYE", "f", "z9hG4bKb", via, "x", 2), follow("REGISTER", "f", "1", via, "", 1), "\r\n\r\n" + call + "\r\n",
		raw("SIP/2.0 200 OK", "Via: SIP/2.0/TCP h;branch=z9hG4bKx", "From: <sip:a@b>;tag=1", "To: <sip:c@d>;tag=2", "Call-ID: f", "CSeq: 1 INVITE"),
	}
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { feed(t, data) })
}

// TestMutatedStreams is a short walk over damaged messages in every test run.
func TestMutatedStreams(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	via := "TCP 192.0.2.1:5060"
	for range 300 {
		data := []byte(invite("m", "z9hG4bKm", via) + follow("CANCEL", "m", "z9hG4bKm", via, "", 1) + follow("OPTIONS", "o", "z9hG4bKo", via, "", 1))
		for range r.IntN(6) {
			i := r.IntN(len(data))
			switch r.IntN(3) {
			case 0:
				data[i] = byte(r.Uint32())
			case 1:
				data = append(data[:i], data[min(len(data), i+r.IntN(40)):]...)
			default:
				data = append(data[:i:i], append([]byte("\r\n"), data[i:]...)...)
			}
			if len(data) == 0 {
				break
			}
		}
		feed(t, data)
	}
}

func feed(t *testing.T, data []byte) {
	synctest.Test(t, func(t *testing.T) {
		user := &fuzzUser{}
		e, err := New(Config{User: user, Shards: 1})
		if err != nil {
			t.Fatal(err)
		}
		ln := pipes{make(chan net.Conn), make(chan struct{})}
		if _, err := e.Transport().Serve(ln, transport.ListenConfig{Network: transport.TCP}); err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		ln.conns <- pipeEnd{theirs}
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		_, _ = ours.Write(data)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		st := e.Stats()
		if st.ServerTransactions+st.ClientTransactions+st.Mailbox != 0 {
			t.Errorf("left behind: %+v", st)
		}
		for _, s := range e.shards {
			if len(s.servers)+len(s.merges)+len(s.accepted)+len(s.clients)+len(s.byFlow)+len(s.alarms.heap) != 0 {
				t.Errorf("tables not empty: %d %d %d %d %d %d", len(s.servers), len(s.merges), len(s.accepted), len(s.clients), len(s.byFlow), len(s.alarms.heap))
			}
		}
		_ = ours.Close()
		_ = e.Close(context.Background())
	})
}

// fuzzUser answers everything, by turns in different ways.
type fuzzUser struct{ n int }

func (u *fuzzUser) Request(tx *ServerTx, m *sip.Message) {
	u.n++
	if tx.Stateless() {
		return
	}
	_ = tx.Reply([]int{200, 486, 302}[u.n%3], "")
}
func (u *fuzzUser) Cancelled(tx *ServerTx)           { _ = tx.Reply(487, "") }
func (u *fuzzUser) Response(*ClientTx, *sip.Message) {}
func (u *fuzzUser) Failed(*ClientTx, error)          {}
func (u *fuzzUser) Posted(string, any)               {}
