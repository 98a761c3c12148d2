package transport

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/wire/sip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every request with 200 and notes what else happens.
type echo struct {
	mu       sync.Mutex
	messages []string
	closed   chan error
	refused  chan HandshakeFailure
	last     *Flow
}

func newEcho() *echo {
	return &echo{closed: make(chan error, 8192), refused: make(chan HandshakeFailure, 8192)}
}

func (h *echo) Message(f *Flow, m *sip.Message) {
	defer f.Processed()
	h.mu.Lock()
	h.messages = append(h.messages, m.CallID())
	h.last = f
	h.mu.Unlock()
	if m.IsRequest() && m.Method() != sip.ACK {
		_ = f.Send(sip.NewResponse(m, 200, ""))
	}
}
func (h *echo) Rest(*Flow)                {}
func (h *echo) Opened(*Flow)              {}
func (h *echo) Closed(_ *Flow, err error) { h.closed <- err }

// observer passes refusals to an echo.
type observer struct{ h *echo }

func (observer) Received(*Flow, time.Time, []byte, *sip.Message, *sip.ParseError) {}
func (observer) Sent(*Flow, time.Time, []byte, *sip.Message)                      {}
func (observer) Opened(*Flow, time.Time)                                          {}
func (observer) Closed(*Flow, time.Time, error)                                   {}
func (o observer) Refused(f HandshakeFailure)                                     { o.h.refused <- f }

func options(id string, extra ...string) string {
	head := append([]string{"OPTIONS sip:x@127.0.0.1 SIP/2.0", "Via: SIP/2.0/TCP 127.0.0.1:5070;branch=z9hG4bK" + id, "Max-Forwards: 70",
		"From: <sip:a@127.0.0.1>;tag=1", "To: <sip:x@127.0.0.1>", "Call-ID: " + id, "CSeq: 1 OPTIONS"}, extra...)
	return strings.Join(head, "\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

func serve(t testing.TB, cfg Config, h Handler, lc ListenConfig) (*Transport, *Listener) {
	t.Helper()
	tr := New(cfg, h)
	t.Cleanup(func() { _ = tr.Close() })
	l, err := tr.Listen(lc)
	if err != nil {
		t.Fatal(err)
	}
	return tr, l
}

func dial(t testing.TB, l *Listener) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func expectLine(t testing.TB, conn net.Conn, want string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil || !strings.HasPrefix(line, want) {
		t.Fatalf("got %q, %v, want %q", line, err, want)
	}
	for strings.TrimSpace(line) != "" {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
}

func expectClosed(t testing.TB, h *echo, want error) {
	t.Helper()
	select {
	case err := <-h.closed:
		if err != want {
			t.Errorf("closed with %v, want %v", err, want)
		}
	case <-time.After(8 * time.Second):
		t.Fatalf("not closed, want %v", want)
	}
}

// TestDeadlines: silence, half a message and idleness each end a connection, and the reason says which.
func TestDeadlines(t *testing.T) {
	for _, c := range []struct {
		name, text string
		limits     Limits
		want       error
	}{
		{"silent", "", Limits{FirstMessage: 100 * time.Millisecond}, ErrSilent},
		{"keep-alives only", "\r\n\r\n", Limits{FirstMessage: 100 * time.Millisecond}, ErrSilent},
		{"half a message", options("half")[:60], Limits{PartialMessage: 100 * time.Millisecond}, ErrPartial},
		{"half after a whole", options("whole") + "OPTIONS sip:x", Limits{PartialMessage: 100 * time.Millisecond}, ErrPartial},
		{"idle", options("idle"), Limits{Idle: 100 * time.Millisecond}, ErrIdle},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newEcho()
			_, l := serve(t, Config{Limits: c.limits}, h, listenOn(TCP))
			conn := dial(t, l)
			if _, err := io.WriteString(conn, c.text); err != nil {
				t.Fatal(err)
			}
			expectClosed(t, h, c.want)
			if i := l.Info(); i.Open != 0 || i.Unproven != 0 {
				t.Errorf("counters after the end: %+v", i)
			}
		})
	}
}

// TestKeepAlive: a double CRLF gets a CRLF, in one segment or two, and between messages. RFC 5626, 3.5.1.
func TestKeepAlive(t *testing.T) {
	_, l := serve(t, Config{}, newEcho(), listenOn(TCP))
	conn := dial(t, l)
	pong := func(text string) {
		t.Helper()
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		buf := make([]byte, 2)
		if _, err := io.ReadFull(conn, buf); err != nil || string(buf) != "\r\n" {
			t.Fatalf("got %q, %v, want CRLF", buf, err)
		}
	}
	pong("\r\n\r\n")
	pong("\r\n\r\n")
	_, _ = io.WriteString(conn, options("k1"))
	expectLine(t, conn, "SIP/2.0 200")
	pong("\r\n\r\n")
}

// TestSegments: messages cut anywhere, and many in one segment, arrive in order.
func TestSegments(t *testing.T) {
	h := newEcho()
	_, l := serve(t, Config{}, h, listenOn(TCP))
	conn := dial(t, l)
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	var all bytes.Buffer
	for i := range 50 {
		all.WriteString(options(fmt.Sprint("s", i), "Subject: "+strings.Repeat("x", i*20)))
	}
	for cut := 1; all.Len() > 0; cut = cut*3%997 + 1 {
		if _, err := conn.Write(all.Next(cut)); err != nil {
			t.Fatal(err)
		}
		if cut%5 == 0 {
			runtime.Gosched()
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		h.mu.Lock()
		n := len(h.messages)
		h.mu.Unlock()
		if n == 50 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d messages, want 50", n)
		}
		time.Sleep(time.Millisecond)
	}
	for i, id := range h.messages {
		if id != fmt.Sprint("s", i) {
			t.Fatalf("message %d is %s", i, id)
		}
	}
}

// TestPeerThatDoesNotRead loses its connection and nobody else's time.
func TestPeerThatDoesNotRead(t *testing.T) {
	h := newEcho()
	_, l := serve(t, Config{Limits: Limits{QueueBytes: 64 << 10}}, h, listenOn(TCP))
	deaf, good := dial(t, l), dial(t, l)
	_, _ = io.WriteString(deaf, options("deaf"))
	expectLine(t, deaf, "SIP/2.0 200")
	h.mu.Lock()
	f := h.last
	h.mu.Unlock()
	m, err := sip.Parse([]byte(options("to-deaf", "Subject: "+strings.Repeat("x", 8000))))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; f.Send(m) == nil; i++ {
		if i > 100_000 {
			t.Fatal("the queue has no end")
		}
	}
	expectClosed(t, h, ErrQueueFull)
	_, _ = io.WriteString(good, options("good"))
	expectLine(t, good, "SIP/2.0 200")
}

// TestWriteTimeout: a write that makes no progress ends the connection.
func TestWriteTimeout(t *testing.T) {
	h := newEcho()
	_, l := serve(t, Config{Limits: Limits{QueueBytes: 64 << 20, WriteTimeout: 100 * time.Millisecond}}, h, listenOn(TCP))
	deaf := dial(t, l)
	_, _ = io.WriteString(deaf, options("deaf"))
	expectLine(t, deaf, "SIP/2.0 200")
	m, err := sip.Parse([]byte(options("to-deaf", "Subject: "+strings.Repeat("x", 8000))))
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		_ = h.last.Send(m)
	}
	expectClosed(t, h, ErrWriteTimeout)
}

// TestHandshakeFailures: each is reported with its phase and reason, and leaves nothing behind.
func TestHandshakeFailures(t *testing.T) {
	ca, rogue := newAuthority(t), newAuthority(t)
	h := newEcho()
	cfg := ca.transportConfig(ca.issue(t, "server.test"))
	cfg.Observer = observer{h}
	cfg.Limits = Limits{HandshakeTimeout: 300 * time.Millisecond}
	_, l := serve(t, cfg, h, ca.listenTLS(ca.issue(t, "server.test")))
	try := func(c *tls.Config) {
		c.InsecureSkipVerify, c.ServerName = true, "sni.test"
		if conn, err := tls.Dial("tcp", l.Addr().String(), c); err == nil {
			_, _ = conn.Read(make([]byte, 1)) // TLS 1.3: the refusal comes after the client's last flight
			_ = conn.Close()
		}
	}
	expect := func(phase, reason, sni string, chain int) {
		t.Helper()
		select {
		case f := <-h.refused:
			if f.Phase != phase || !strings.Contains(f.Err.Error(), reason) || f.ServerName != sni || len(f.Chain) != chain {
				t.Errorf("%s: %v, sni %q, %d certificates; want %s: %q, %q, %d", f.Phase, f.Err, f.ServerName, len(f.Chain), phase, reason, sni, chain)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("no failure reported, want %s", phase)
		}
	}
	try(&tls.Config{Certificates: []tls.Certificate{rogue.issue(t, "rogue.test")}})
	expect("verify", "unknown authority", "sni.test", 1)
	try(&tls.Config{})
	expect("handshake", "certificate", "sni.test", 0)
	try(&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	expect("handshake", "version", "sni.test", 0)
	_, _ = io.WriteString(dial(t, l), "GET / HTTP/1.0\r\n\r\n")
	expect("hello", "", "", 0)
	dial(t, l) // says nothing
	expect("timeout", "in time", "", 0)
	if i := l.Info(); i.Open != 0 || i.Handshaking != 0 || i.Failed != 5 {
		t.Errorf("counters %+v: want nothing open and 5 failed", i)
	}
}

// TestSilentConnections: 4,000 silent connections and half-handshakes stay within the limits, and memory and goroutines
// return to where they were.
func TestSilentConnections(t *testing.T) {
	ca := newAuthority(t)
	for _, network := range []Network{TCP, TLS} {
		t.Run(network.String(), func(t *testing.T) {
			h := newEcho()
			cfg := ca.transportConfig(ca.issue(t, "server.test"))
			cfg.Limits = Limits{FirstMessage: time.Second, HandshakeTimeout: time.Second, UnprovenPerIP: 200, AcceptRate: 1 << 20}
			lc, half := listenOn(TCP), "OPTIONS sip:"
			if network == TLS {
				half = "\x16\x03\x01"
				lc = ca.listenTLS(ca.issue(t, "server.test"))
			}
			_, l := serve(t, cfg, h, lc)
			goroutines, memory := runtime.NumGoroutine(), heap()
			most := 0
			for range 40 {
				var batch []net.Conn
				for range 100 {
					conn, err := net.Dial("tcp", l.Addr().String())
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.WriteString(conn, half)
					batch = append(batch, conn)
				}
				most = max(most, l.Info().Open)
				for _, conn := range batch {
					defer conn.Close()
				}
			}
			if most > 200 {
				t.Errorf("%d open at once from one source, want at most 200", most)
			}
			waitUntil(t, func() bool { return l.Info().Open == 0 && runtime.NumGoroutine() <= goroutines+2 })
			if after := heap(); after > memory+4<<20 {
				t.Errorf("heap %d kB before, %d kB after", memory>>10, after>>10)
			}
			if i := l.Info(); i.Refused == 0 || i.Accepted+i.Refused != 4000 {
				t.Errorf("counters %+v: want 4,000 accepted or refused", i)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func waitUntil(t testing.TB, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("did not come to pass within 10 s")
		}
	}
}

// TestDatagrams: garbage and keep-alives leave nothing, a malformed request gets its 400, a good one its answer.
func TestDatagrams(t *testing.T) {
	h := newEcho()
	tr, l := serve(t, Config{}, h, listenOn(UDP))
	conn, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stun := append([]byte{0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42}, make([]byte, 12)...)
	for _, p := range [][]byte{[]byte("\r\n\r\n"), {0, 0, 0, 0}, stun, []byte("garbage"), bytes.Repeat([]byte{0xff}, 1400)} {
		_, _ = conn.Write(p)
	}
	waitUntil(t, func() bool { return l.Info().Dropped >= 5 })
	if n := len(tr.Flows()); n != 0 {
		t.Errorf("%d flows after garbage, want none", n)
	}
	_, _ = io.WriteString(conn, strings.NewReplacer("CSeq: 1 OPTIONS", "CSeq: 1 INVITE", "branch", "rport;branch").Replace(options("bad")))
	expectLine(t, conn, "SIP/2.0 400")
	_, _ = io.WriteString(conn, strings.Replace(options("good"), "branch", "rport;branch", 1))
	expectLine(t, conn, "SIP/2.0 200")
	waitUntil(t, func() bool { // the count follows the datagram
		flows := tr.Flows()
		return len(flows) == 1 && flows[0].MessagesIn == 1 && flows[0].MessagesOut == 1
	})
}

// TestIdlePhone measures what an idle mutual TLS connection costs, both ends' TLS state of the server only.
func TestIdlePhone(t *testing.T) {
	const phones = 200
	ca := newAuthority(t)
	h := newEcho()
	cfg := ca.transportConfig(ca.issue(t, "server.test"))
	cfg.Limits = Limits{UnprovenPerIP: phones, HandshakesPerIP: phones}
	_, l := serve(t, cfg, h, ca.listenTLS(ca.issue(t, "server.test")))
	client := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "phone.test")}, InsecureSkipVerify: true}
	before := total()
	for i := range phones {
		conn, err := tls.Dial("tcp", l.Addr().String(), client)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, options(fmt.Sprint("p", i)))
		expectLine(t, conn, "SIP/2.0 200")
	}
	// This process holds the clients too: a connection's two ends cost about the same, the client's has no goroutine.
	each := (total() - before) / phones
	t.Logf("%d bytes for both ends of an idle connection", each)
	if each > 2*40<<10 {
		t.Errorf("%d bytes for both ends, want at most 80 kB", each)
	}
}

// total is heap and stacks in use.
func total() uint64 {
	heap()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// TestNewcomerFindsRoom: whoever holds all places of newcomers and says nothing keeps nobody out, whether the places are
// the listener's or those of one source address.
func TestNewcomerFindsRoom(t *testing.T) {
	const places = 8
	ca := newAuthority(t)
	client := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "phone.test")}, InsecureSkipVerify: true}
	for _, c := range []struct {
		name   string
		tls    bool
		limits Limits
	}{
		{"handshakes", true, Limits{Handshakes: places}},
		{"handshakes of one source", true, Limits{HandshakesPerIP: places}},
		{"unproven", false, Limits{Unproven: places}},
		{"unproven of one source", false, Limits{UnprovenPerIP: places}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := ca.transportConfig(ca.issue(t, "server.test"))
			cfg.Limits = c.limits
			lc := listenOn(TCP)
			if c.tls {
				lc = ca.listenTLS(ca.issue(t, "server.test"))
			}
			_, l := serve(t, cfg, newEcho(), lc)
			var silent []net.Conn
			for range places {
				silent = append(silent, dial(t, l))
			}
			waitUntil(t, func() bool { return l.Info().Open == places })
			if conn := dial(t, l); !ends(conn) {
				t.Error("a newcomer took a place from one that had no time to say anything")
			}
			time.Sleep(patience)
			conn := dial(t, l)
			if c.tls {
				conn = tls.Client(conn, client)
			}
			_, _ = io.WriteString(conn, options("late"))
			expectLine(t, conn, "SIP/2.0 200")
			if !ends(silent[0]) {
				t.Error("the oldest is still there")
			}
			waitUntil(t, func() bool { i := l.Info(); return i.Open == places && i.Unproven == places-1 })
			for _, s := range append(silent, conn) {
				s.Close()
			}
			waitUntil(t, func() bool { i := l.Info(); return i.Open == 0 && i.Unproven == 0 && i.Handshaking == 0 })
		})
	}
}

// ends says whether the other end closes the connection now.
func ends(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, err := conn.Read(make([]byte, 1))
	n, is := err.(net.Error)
	return err != nil && !(is && n.Timeout())
}

// TestClosedIsNotReused: what is sent right after a connection was told to close goes by another one, also while the closing goes on.
func TestClosedIsNotReused(t *testing.T) {
	h := newEcho()
	tr, l := serve(t, Config{}, h, listenOn(TCP))
	d := Dest{Network: TCP, Addr: l.Addr()}
	for range 20 {
		f, err := tr.Flow(d)
		if err != nil {
			t.Fatal(err)
		}
		<-f.ready
		f.Close(nil)
		if f.Alive() {
			t.Fatal("a connection that was told to close is alive")
		}
		if next, err := tr.Flow(d); err != nil || next == f {
			t.Fatalf("the connection that is being closed is used again (%v)", err)
		}
	}
}
