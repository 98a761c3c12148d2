package transport

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestHandshakesAreFinished: a handshake that waits for its turn here keeps its place however long it takes; those who come meanwhile are
// turned away, and what was begun comes to its end.
func TestHandshakesAreFinished(t *testing.T) {
	const places = 4
	ca := newAuthority(t)
	client := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "phone.test")}, InsecureSkipVerify: true}
	cfg := ca.transportConfig(ca.issue(t, "server.test"))
	cfg.Limits = Limits{Handshakes: places}
	tr, l := serve(t, cfg, newEcho(), ca.listenTLS(ca.issue(t, "server.test")))
	for range cap(tr.turns) { // the server is busy
		tr.turns <- struct{}{}
	}
	answered := make(chan error, places)
	for range places {
		conn := tls.Client(dial(t, l), client)
		t.Cleanup(func() { conn.Close() })
		go func() {
			_, err := io.WriteString(conn, options("early"))
			if err == nil {
				_, err = conn.Read(make([]byte, 1))
			}
			answered <- err
		}()
	}
	waitUntil(t, func() bool { return l.Info().Handshaking == places })
	time.Sleep(patience + patienceToProve) // more than anybody may keep us waiting
	if conn := dial(t, l); !ends(conn) {
		t.Error("a newcomer took the place of a phone that waits for us")
	}
	for range cap(tr.turns) {
		<-tr.turns
	}
	for range places {
		if err := <-answered; err != nil {
			t.Errorf("what was begun is not finished: %v", err)
		}
	}
	if i := l.Info(); i.Handshaking != 0 || i.Refused != 1 || i.Failed != 0 {
		t.Errorf("%+v", i)
	}
	if len(tr.turns) != 0 {
		t.Errorf("%d turns are not given back", len(tr.turns))
	}
}

// TestHelloIsNotEnough: who says hello and then nothing loses its place to a newcomer, and holds no turn.
func TestHelloIsNotEnough(t *testing.T) {
	ca := newAuthority(t)
	cfg := ca.transportConfig(ca.issue(t, "server.test"))
	cfg.Limits = Limits{Handshakes: 1}
	tr, l := serve(t, cfg, newEcho(), ca.listenTLS(ca.issue(t, "server.test")))
	silent := dial(t, l)
	stuck := tls.Client(deaf{silent, t.Context().Done()}, &tls.Config{InsecureSkipVerify: true})
	go func() { _ = stuck.Handshake() }() // says hello, and never hears the answer
	waitUntil(t, func() bool { return l.Info().Handshaking == 1 })
	time.Sleep(patience + patience/2)
	if conn := dial(t, l); !ends(conn) {
		t.Error("it had no time to prove who it is")
	}
	time.Sleep(patienceToProve)
	conn := tls.Client(dial(t, l), &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "phone.test")}, InsecureSkipVerify: true})
	_, _ = io.WriteString(conn, options("late"))
	expectLine(t, conn, "SIP/2.0 200")
	_ = silent.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.Copy(io.Discard, silent); errors.Is(err, os.ErrDeadlineExceeded) { // what we had to say to it comes first
		t.Error("who said hello and nothing more is still there")
	}
	conn.Close()
	waitUntil(t, func() bool { i := l.Info(); return i.Open == 0 && i.Handshaking == 0 })
	if len(tr.turns) != 0 {
		t.Errorf("%d turns are not given back", len(tr.turns))
	}
}

// deaf never hears anything.
type deaf struct {
	net.Conn
	end <-chan struct{}
}

func (d deaf) Read([]byte) (int, error) {
	<-d.end
	return 0, net.ErrClosed
}
