package endpoint

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// wireClient is a hand-made peer on one connection.
type wireClient struct {
	t testing.TB
	net.Conn
	r *bufio.Reader
}

func dialTCP(t testing.TB, addr netip.AddrPort) *wireClient {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &wireClient{t, conn, bufio.NewReader(conn)}
}

func (c *wireClient) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

// read is the next message, its body left out (none here has one).
func (c *wireClient) read() string {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	var lines []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading: %v, have %q", err, lines)
		}
		if line = strings.TrimRight(line, "\r\n"); line != "" {
			lines = append(lines, line)
		} else if len(lines) > 0 {
			return strings.Join(lines, "\n") + "\n"
		}
	}
}

func (c *wireClient) expect(status string) string {
	c.t.Helper()
	m := c.read()
	if !strings.HasPrefix(m, "SIP/2.0 "+status) {
		c.t.Fatalf("got\n%swant %s", m, status)
	}
	return m
}

const via = "TCP 127.0.0.1:5070"

// TestServerAnswers has what the endpoint answers itself.
func TestServerAnswers(t *testing.T) {
	user := newRecorder(func(e event) {
		if e.what == "INVITE" {
			_ = e.stx.Reply(180, "")
		} else {
			answerCalls(e)
		}
	})
	_, ls := start(t, Config{User: user}, listenOn(transport.TCP))
	c := dialTCP(t, ls[0].Addr())

	t.Run("CANCEL of nothing", func(t *testing.T) {
		c.send(follow("CANCEL", "none", "z9hG4bKnone", via, "", 1))
		c.expect("481")
	})
	t.Run("CANCEL of a ringing call", func(t *testing.T) {
		c.send(invite("ringing", "z9hG4bKr1", via))
		ringing := c.expect("180")
		c.send(follow("CANCEL", "ringing", "z9hG4bKr1", via, "", 1))
		ok := c.expect("200")
		if field(ok, "To") != field(ringing, "To") {
			t.Errorf("200 to CANCEL has To %q, the 180 had %q", field(ok, "To"), field(ringing, "To"))
		}
		final := c.expect("487")
		c.send(follow("ACK", "ringing", "z9hG4bKr1", via, tagOf(final), 1))
		c.send(follow("CANCEL", "ringing", "z9hG4bKr1", via, "", 1)) // Timer I is 0 over TCP: nothing is left
		c.expect("481")
	})
	t.Run("merged request", func(t *testing.T) {
		c.send(invite("merged", "z9hG4bKm1", via))
		c.expect("180")
		c.send(invite("merged", "z9hG4bKm2", via))
		c.expect("482")
	})
	t.Run("retransmission", func(t *testing.T) {
		c.send(invite("merged", "z9hG4bKm1", via))
		c.expect("180")
	})
	t.Run("RFC 2543 branch", func(t *testing.T) {
		c.send(invite("old", "1", via))
		c.expect("180")
		c.send(follow("CANCEL", "old", "1", via, "", 1))
		c.expect("200")
		c.expect("487")
	})
	t.Run("malformed message keeps the connection", func(t *testing.T) {
		c.send(strings.Replace(follow("OPTIONS", "bad", "z9hG4bKbad", via, "", 1), "CSeq: 1 OPTIONS", "CSeq: 1 INVITE", 1))
		c.expect("400")
		c.send(follow("OPTIONS", "good", "z9hG4bKgood", via, "", 1))
		c.expect("200")
	})
	t.Run("received and rport", func(t *testing.T) {
		c.send(follow("OPTIONS", "nat", "z9hG4bKnat", "TCP phone.invalid:5070", "", 1))
		got := field(c.expect("200"), "Via")
		want := fmt.Sprintf("rport=%d", c.LocalAddr().(*net.TCPAddr).Port)
		if !strings.Contains(got, "received=127.0.0.1") || !strings.Contains(got, want) {
			t.Errorf("Via %q: want received=127.0.0.1 and %s", got, want)
		}
	})
}

func field(m, name string) string {
	for line := range strings.Lines(m) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func tagOf(m string) string {
	_, tag, _ := strings.Cut(field(m, "To"), ";tag=")
	return tag
}

// TestFloodOfRegisters: one source gets its share and 503 with Retry-After for the rest, calls go on, nothing stays.
func TestFloodOfRegisters(t *testing.T) {
	user := newRecorder(answerCalls)
	e, ls := start(t, Config{User: user, Limits: Limits{RegisterRate: 1, RegisterBurst: 50, ShedAbove: time.Hour}}, listenOn(transport.TCP))
	c := dialTCP(t, ls[0].Addr())
	go func() {
		for i := range 1000 {
			_, _ = io.WriteString(c.Conn, follow("REGISTER", fmt.Sprintf("r%d", i), fmt.Sprintf("z9hG4bKr%d", i), via, "", 1))
		}
	}()
	served := 0
	for range 1000 {
		m := c.read()
		switch {
		case strings.HasPrefix(m, "SIP/2.0 200"):
			served++
		case !strings.HasPrefix(m, "SIP/2.0 503") || field(m, "Retry-After") == "":
			t.Fatalf("got\n%swant 503 with Retry-After", m)
		}
	}
	if served < 50 || served > 70 {
		t.Errorf("%d REGISTERs served, want the burst of 50 and a few", served)
	}
	c.send(invite("during-flood", "z9hG4bKflood", via))
	c.expect("180")
	c.expect("200")
	if st := e.Stats(); st.ServerTransactions != 1 || st.Refused != uint64(1000-served) {
		t.Errorf("stats %+v: want the one INVITE transaction and %d refused", st, 1000-served)
	}
}

// TestTransactionLimit: past the limit new requests get 503, and what exists goes on.
func TestTransactionLimit(t *testing.T) {
	user := newRecorder(func(e event) {
		if e.what == "INVITE" {
			_ = e.stx.Reply(180, "")
		} else {
			answerCalls(e)
		}
	})
	_, ls := start(t, Config{User: user, Limits: Limits{Transactions: 2}}, listenOn(transport.TCP))
	c := dialTCP(t, ls[0].Addr())
	for i := range 2 {
		c.send(invite(fmt.Sprint("held", i), fmt.Sprint("z9hG4bKheld", i), via))
		c.expect("180")
	}
	c.send(invite("more", "z9hG4bKmore", via))
	refused := c.expect("503")
	c.send(follow("ACK", "more", "z9hG4bKmore", via, tagOf(refused), 1))
	c.send(follow("BYE", "held0", "z9hG4bKbye", via, "x", 2))
	c.expect("200")
	c.send(follow("CANCEL", "held1", "z9hG4bKheld1", via, "", 1))
	c.expect("200")
	c.expect("487")
	select {
	case ev := <-user.events:
		for ; ev.what != "BYE"; ev = user.next(t, "ACK", "BYE", "INVITE") {
			if ev.what == "ACK" {
				t.Error("the ACK for the stateless 503 reached the user")
			}
		}
	case <-time.After(time.Second):
		t.Fatal("no event")
	}
}

// TestFailover tries hops in order: a closed port, a 503, and then the one that answers.
func TestFailover(t *testing.T) {
	busy := newRecorder(func(e event) {
		if e.stx != nil && !e.stx.Stateless() {
			_ = e.stx.Reply(503, "")
		}
	})
	good := newRecorder(answerCalls)
	_, busyLs := start(t, Config{User: busy}, listenOn(transport.UDP))
	_, goodLs := start(t, Config{User: good}, listenOn(transport.TCP))
	client := newRecorder(nil)
	e, _ := start(t, Config{User: client}, listenOn(transport.UDP))
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	deadAddr := dead.Addr().(*net.TCPAddr).AddrPort()
	_ = dead.Close()
	to := Target{Hops: []Hop{{transport.TCP, deadAddr}, {transport.UDP, busyLs[0].Addr()}, {transport.TCP, goodLs[0].Addr()}}}
	if _, err := e.Request(request(t, sip.INVITE, "failover", 1), to); err != nil {
		t.Fatal(err)
	}
	client.next(t, "180")
	client.next(t, "200")
	busy.next(t, "INVITE")

	if _, err := e.Request(request(t, sip.OPTIONS, "nowhere", 1), Target{Hops: to.Hops[:1]}); err != nil {
		t.Fatal(err)
	}
	failed := client.next(t, "failed")
	var te *TransportError
	if !errors.As(failed.err, &te) || te.Hop.Addr != deadAddr {
		t.Errorf("failed with %v, want a TransportError for %v", failed.err, deadAddr)
	}
}

// TestFlowGone: a request to a phone's flow that has closed fails at once, and with nothing tried elsewhere.
func TestFlowGone(t *testing.T) {
	user := newRecorder(answerCalls)
	e, ls := start(t, Config{User: user}, listenOn(transport.TCP))
	c := dialTCP(t, ls[0].Addr())
	c.send(follow("REGISTER", "phone", "z9hG4bKphone", via, "", 1))
	c.expect("200")
	flow := user.next(t, "REGISTER").stx.Flow()

	if _, err := e.Request(request(t, sip.INVITE, "to-phone", 1), Target{Flow: flow}); err != nil {
		t.Fatal(err)
	}
	if got := c.read(); !strings.HasPrefix(got, "INVITE ") {
		t.Fatalf("the phone got\n%s", got)
	}
	_ = c.Close() // the phone vanishes while it should ring
	if failed := user.next(t, "failed"); !errors.Is(failed.err, ErrFlowGone) {
		t.Errorf("INVITE in progress failed with %v, want ErrFlowGone", failed.err)
	}
	if _, err := e.Request(request(t, sip.OPTIONS, "again", 1), Target{Flow: flow}); err != nil {
		t.Fatal(err)
	}
	if failed := user.next(t, "failed"); !errors.Is(failed.err, ErrFlowGone) {
		t.Errorf("later request failed with %v, want ErrFlowGone", failed.err)
	}
}

// TestClientCancel: CANCEL waits for the provisional response, has the branch of the INVITE, and the 487 ends the call.
func TestClientCancel(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	user := newRecorder(nil)
	e, _ := start(t, Config{User: user})
	tx, err := e.Request(request(t, sip.INVITE, "cancel", 1), Target{Hops: []Hop{{transport.TCP, ln.Addr().(*net.TCPAddr).AddrPort()}}})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &wireClient{t, conn, bufio.NewReader(conn)}
	got := c.read()
	tx.Cancel(sip.Field{Name: "Reason", Value: "SIP;cause=200;text=\"Call completed elsewhere\""})
	reply := func(status, request, tag string) string {
		return raw("SIP/2.0 "+status, "Via: "+field(request, "Via"), "From: "+field(request, "From"), "To: "+field(request, "To")+tag,
			"Call-ID: cancel", "CSeq: "+field(request, "CSeq"))
	}
	c.send(reply("180 Ringing", got, ";tag=b"))
	cancel := c.read()
	if !strings.HasPrefix(cancel, "CANCEL ") || field(cancel, "Via") != field(got, "Via") || field(cancel, "Reason") == "" {
		t.Fatalf("got\n%swant CANCEL with the Via of\n%sand the Reason", cancel, got)
	}
	c.send(reply("200 OK", cancel, ";tag=b") + reply("487 Request Terminated", got, ";tag=b"))
	if ack := c.read(); !strings.HasPrefix(ack, "ACK ") || field(ack, "Via") != field(got, "Via") {
		t.Fatalf("got\n%swant ACK with the Via of the INVITE", ack)
	}
	user.next(t, "180")
	user.next(t, "487")
}

// TestForkedSuccess: every 2xx reaches the user, also with another To tag.
func TestForkedSuccess(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	user := newRecorder(nil)
	e, _ := start(t, Config{User: user})
	if _, err := e.Request(request(t, sip.INVITE, "fork", 1), Target{Hops: []Hop{{transport.TCP, ln.Addr().(*net.TCPAddr).AddrPort()}}}); err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &wireClient{t, conn, bufio.NewReader(conn)}
	got := c.read()
	for _, tag := range []string{"one", "two", "one"} {
		c.send(raw("SIP/2.0 200 OK", "Via: "+field(got, "Via"), "From: "+field(got, "From"), "To: "+field(got, "To")+";tag="+tag,
			"Call-ID: fork", "CSeq: 1 INVITE", "Contact: <sip:b@127.0.0.1>"))
	}
	for _, tag := range []string{"one", "two", "one"} {
		if m := user.next(t, "200").m; m.ToTag() != tag {
			t.Errorf("2xx with tag %s, want %s", m.ToTag(), tag)
		}
	}
}

// TestNoReuseForAnotherName: a connection that proved one name is not used for another.
func TestNoReuseForAnotherName(t *testing.T) {
	ca := newAuthority(t)
	server, client := newRecorder(answerCalls), newRecorder(nil)
	_, ls := start(t, Config{User: server, Transport: ca.transportConfig(ca.issue(t, "one.test"))}, ca.listenTLS(ca.issue(t, "one.test")))
	e, _ := start(t, Config{User: client, Transport: ca.transportConfig(ca.issue(t, "client.test"))})
	hops := []Hop{{transport.TLS, ls[0].Addr()}}
	ask := func(callID, name string) {
		if _, err := e.Request(request(t, sip.OPTIONS, callID, 1), Target{Hops: hops, ServerName: name}); err != nil {
			t.Fatal(err)
		}
	}
	ask("a", "one.test")
	client.next(t, "200")
	ask("b", "two.test")
	failed := client.next(t, "failed")
	if failed.err == nil || !strings.Contains(failed.err.Error(), "two.test") {
		t.Errorf("failed with %v, want an error that says two.test is not proven", failed.err)
	}
	ask("c", "one.test")
	client.next(t, "200")
	if flows := e.Flows(); len(flows) != 1 {
		t.Errorf("%d flows, want the one for one.test", len(flows))
	}
}

// TestAlias: requests to a peer's listener go over the connection it opened, when it said so and is who we want.
func TestAlias(t *testing.T) {
	ca := newAuthority(t)
	a, b := newRecorder(answerCalls), newRecorder(answerCalls)
	ea, la := start(t, Config{User: a, Transport: ca.transportConfig(ca.issue(t, "a.test"))}, ca.listenTLS(ca.issue(t, "a.test")))
	eb, lb := start(t, Config{User: b, Transport: ca.transportConfig(ca.issue(t, "b.test"))}, ca.listenTLS(ca.issue(t, "b.test")))
	if _, err := ea.Request(request(t, sip.OPTIONS, "there", 1), Target{Hops: []Hop{{transport.TLS, lb[0].Addr()}}, ServerName: "b.test"}); err != nil {
		t.Fatal(err)
	}
	a.next(t, "200")
	if _, err := eb.Request(request(t, sip.OPTIONS, "back", 1), Target{Hops: []Hop{{transport.TLS, la[0].Addr()}}, ServerName: "a.test"}); err != nil {
		t.Fatal(err)
	}
	b.next(t, "200")
	if n := len(eb.Flows()); n != 1 {
		t.Errorf("%d flows at b, want 1: the request back uses the connection of a", n)
	}
	if _, err := eb.Request(request(t, sip.OPTIONS, "other", 1), Target{Hops: []Hop{{transport.TLS, la[0].Addr()}}, ServerName: "c.test"}); err != nil {
		t.Fatal(err)
	}
	b.next(t, "failed")
}

// TestLargeRequestPrefersStream: over 1300 bytes UDP gives way to a stream hop. RFC 3261, 18.1.1.
func TestLargeRequestPrefersStream(t *testing.T) {
	server, client := newRecorder(answerCalls), newRecorder(nil)
	_, ls := start(t, Config{User: server}, listenOn(transport.UDP), listenOn(transport.TCP))
	e, _ := start(t, Config{User: client}, listenOn(transport.UDP))
	to := Target{Hops: []Hop{{transport.UDP, ls[0].Addr()}, {transport.TCP, ls[1].Addr()}}}
	for _, size := range []int{10, 2000} {
		m := request(t, sip.MESSAGE, fmt.Sprint("size", size), 1)
		m.SetBody("text/plain", []byte(strings.Repeat("x", size)))
		if _, err := e.Request(m, to); err != nil {
			t.Fatal(err)
		}
		want := transport.UDP
		if size > 1300 {
			want = transport.TCP
		}
		if got := server.next(t, "MESSAGE").stx.Flow().Network(); got != want {
			t.Errorf("%d bytes came over %v, want %v", size, got, want)
		}
		client.next(t, "200")
	}
}

// TestHotCertificate: the next handshake shows the new certificate, and the connection that exists stays.
func TestHotCertificate(t *testing.T) {
	ca := newAuthority(t)
	current := make(chan tls.Certificate, 1)
	current <- ca.issue(t, "old.test")
	lc := ca.listenTLS(tls.Certificate{})
	lc.TLS = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		cert := <-current
		current <- cert
		return &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert}, nil
	}
	user := newRecorder(answerCalls)
	e, ls := start(t, Config{User: user, Transport: ca.transportConfig(ca.issue(t, "x.test"))}, lc)
	clientCert := ca.issue(t, "phone.test")
	dial := func() *wireClient {
		conn, err := tls.Dial("tcp", ls[0].Addr().String(), &tls.Config{Certificates: []tls.Certificate{clientCert}, InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return &wireClient{t, conn, bufio.NewReader(conn)}
	}
	options := func(c *wireClient, id string) {
		c.send(follow("OPTIONS", id, "z9hG4bK"+id, "TLS 127.0.0.1:5071", "", 1))
		c.expect("200")
	}
	subject := func(c *wireClient) string {
		return c.Conn.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	first := dial()
	options(first, "h1")
	<-current
	current <- ca.issue(t, "new.test")
	second := dial()
	options(second, "h2")
	options(first, "h3")
	if subject(first) != "old.test" || subject(second) != "new.test" {
		t.Errorf("certificates %s and %s, want old.test and new.test", subject(first), subject(second))
	}
	for _, f := range e.Flows() {
		if f.Peer.Subject != "CN=phone.test" || !f.Inbound {
			t.Errorf("flow %+v, want the peer CN=phone.test", f)
		}
	}
}
