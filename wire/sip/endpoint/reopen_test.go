package endpoint

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// TestResponseReopens: when the connection of a request has gone, the response opens one to the sent-by port.
// RFC 3261, 18.2.2.
func TestResponseReopens(t *testing.T) {
	user := newRecorder(func(e event) {
		if e.what == "INVITE" {
			_ = e.stx.Reply(180, "")
		}
	})
	_, ls := start(t, Config{User: user}, listenOn(transport.TCP))
	home, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer home.Close()
	c := dialTCP(t, ls[0].Addr())
	c.send(invite("reopen", "z9hG4bKreopen", "TCP "+home.Addr().String()))
	c.expect("180")
	tx := user.next(t, "INVITE").stx
	_ = c.Close()
	for tx.Flow().Alive() {
		time.Sleep(time.Millisecond)
	}
	_ = tx.Reply(486, "")
	conn, err := home.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	again := &wireClient{t, conn, bufio.NewReader(conn)}
	again.expect("486")
}

// TestSuccessStaysOnItsFlow: a 2xx that waits for its ACK is not repeated over a new connection: whoever listens at the address of the Via by
// then may be somebody else.
func TestSuccessStaysOnItsFlow(t *testing.T) {
	user := newRecorder(func(e event) {
		if e.what == "INVITE" {
			_ = e.stx.Reply(200, "")
		}
	})
	_, ls := start(t, Config{User: user, Timers: transaction.Timers{T1: 10 * time.Millisecond, T2: 40 * time.Millisecond}}, listenOn(transport.TCP))
	other, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c := dialTCP(t, ls[0].Addr())
	c.send(invite("stays", "z9hG4bKstays", "TCP "+other.Addr().String()))
	c.expect("200")
	_ = c.Close()
	user.next(t, "INVITE")
	user.next(t, "endpoint.NoAck")
	if err := other.SetDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if conn, err := other.Accept(); err == nil {
		_ = conn.Close()
		t.Error("the 200 was repeated over a new connection")
	}
}

// tap is an Observer that notes first lines and refusals.
type tap struct {
	mu    sync.Mutex
	lines []string
}

func (o *tap) add(s string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines = append(o.lines, s)
}

func (o *tap) Received(_ *transport.Flow, _ time.Time, raw []byte, _ *sip.Message, _ *sip.ParseError) {
	line, _, _ := strings.Cut(string(raw), "\r\n")
	o.add("< " + line)
}

func (o *tap) Sent(_ *transport.Flow, _ time.Time, raw []byte, _ *sip.Message) {
	line, _, _ := strings.Cut(string(raw), "\r\n")
	o.add("> " + line)
}
func (o *tap) Opened(f *transport.Flow, _ time.Time)    { o.add("opened " + f.Network().String()) }
func (o *tap) Closed(*transport.Flow, time.Time, error) { o.add("closed") }
func (o *tap) Refused(h transport.HandshakeFailure)     { o.add("refused " + h.Phase) }

func (o *tap) text() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.lines, ", ")
}

// TestObserver: what an observer of the caller sees of an OPTIONS, and of a peer that refuses our certificate.
func TestObserver(t *testing.T) {
	ca, rogue := newAuthority(t), newAuthority(t)
	server, client := newRecorder(answerCalls), newRecorder(nil)
	_, ls := start(t, Config{User: server, Transport: ca.transportConfig(ca.issue(t, "s.test"))}, ca.listenTLS(ca.issue(t, "s.test")))
	cert := ca.issue(t, "c.test")
	seen := &tap{}
	cfg := ca.transportConfig(cert)
	cfg.Observer = seen
	cfg.DialTLS = func(d transport.Dest) (*tls.Config, error) {
		if d.Policy == "rogue" {
			return &tls.Config{Certificates: []tls.Certificate{rogue.issue(t, "c.test")}}, nil
		}
		return &tls.Config{Certificates: []tls.Certificate{cert}}, nil
	}
	e, _ := start(t, Config{User: client, Transport: cfg})
	to := Target{Hops: []Hop{{transport.TLS, ls[0].Addr()}}, ServerName: "s.test"}
	if _, err := e.Request(request(t, sip.OPTIONS, "seen", 1), to); err != nil {
		t.Fatal(err)
	}
	client.next(t, "200")
	if got, want := seen.text(), "opened tls, > OPTIONS sip:bob@example.com SIP/2.0, < SIP/2.0 200 OK"; got != want {
		t.Errorf("saw %s\nwant %s", got, want)
	}
	to.Policy = "rogue"
	if _, err := e.Request(request(t, sip.OPTIONS, "rogue", 1), to); err != nil {
		t.Fatal(err)
	}
	failed := client.next(t, "failed")
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(seen.text(), "refused alert"); time.Sleep(time.Millisecond) {
		if time.Now().Before(deadline) {
			continue
		}
		t.Fatalf("saw %s, and the failure %v; want the refusal by the peer's alert", seen.text(), failed.err)
	}
}
