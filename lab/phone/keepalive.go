package phone

import (
	"crypto/x509"
	"errors"
	"time"

	"crypto/tls"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// The connection a phone is reached by is its own business (RFC 5626): nobody can open it from the other side. So the phone
// asks whether it still works, and registers again at once when it does not; calls go on by the new one.
//
//	phone             server
//	  | CRLF CRLF      |   every KeepAlive (RFC 5626, 4.4.1)
//	  |--------------->|
//	  |           CRLF |   within PongWait, or the connection is given up
//	  |<---------------|

// The ends of a connection that the phone itself makes.
var (
	errNoPong = errors.New("no answer to the keep-alive")
	errCut    = errors.New("cut")
	errLeft   = errors.New("registered with another server")
)

type (
	// flowLost is a connection that is gone.
	flowLost struct {
		flow *transport.Flow
		why  error
	}
	// pingDue is the next keep-alive of a connection, pongDue the end of the wait for its answer.
	pingDue struct{ flow *transport.Flow }
	pongDue struct {
		flow *transport.Flow
		sent time.Time
	}
)

// keep begins to ask whether the connection of the registration still works.
func (p *Phone) keep(f *transport.Flow) {
	if f == nil || f == p.kept {
		return
	}
	if p.kept = f; p.cfg.KeepAlive > 0 && f.Network() != transport.UDP {
		p.ep.After(p.reg.callID, p.cfg.KeepAlive, pingDue{f})
	}
}

func (p *Phone) ping(f *transport.Flow) {
	if f != p.kept || !f.Alive() {
		return
	}
	sent := time.Now()
	if f.Ping() == nil {
		p.ep.After(p.reg.callID, p.cfg.PongWait, pongDue{f, sent})
	}
}

// pong: anything heard since the ping shows that the connection works.
func (p *Phone) pong(v pongDue) {
	switch {
	case v.flow != p.kept || !v.flow.Alive():
	case v.flow.Info().Last.Before(v.sent):
		v.flow.Close(errNoPong)
	default:
		p.ep.After(p.reg.callID, p.cfg.KeepAlive, pingDue{v.flow})
	}
}

// lost registers again when the connection of the registration is gone: at once, unless it was not there for even a second; at the
// next server when this one was silent.
func (p *Phone) lost(f *transport.Flow, why error) {
	p.mu.Lock()
	mine := f == p.kept && !p.reg.gone && !p.closed
	if mine {
		p.reg.up = false
	}
	p.mu.Unlock()
	if !mine {
		return
	}
	p.kept = nil
	p.notify()
	if errors.Is(why, errNoPong) && len(p.servers) > 1 {
		p.failOver()
		return
	}
	if time.Since(f.Since()) < time.Second {
		p.reg.failures++
		p.again(p.backoff())
		return
	}
	p.register(p.cfg.Expires)
}

// watcher tells the phone of connections that are gone, and the configured observer of everything.
type watcher struct {
	p    *Phone
	next transport.Observer // may be nil
}

// Received implements transport.Observer.
func (w watcher) Received(f *transport.Flow, at time.Time, raw []byte, m *sip.Message, problem *sip.ParseError) {
	if w.next != nil {
		w.next.Received(f, at, raw, m, problem)
	}
}

// Sent implements transport.Observer.
func (w watcher) Sent(f *transport.Flow, at time.Time, raw []byte, m *sip.Message) {
	if w.next != nil {
		w.next.Sent(f, at, raw, m)
	}
}

// Opened implements transport.Observer.
func (w watcher) Opened(f *transport.Flow, at time.Time) {
	if w.next != nil {
		w.next.Opened(f, at)
	}
}

// Closed implements transport.Observer.
func (w watcher) Closed(f *transport.Flow, at time.Time, err error) {
	w.p.mu.Lock()
	closed := w.p.closed
	w.p.mu.Unlock()
	if !closed {
		w.p.ep.Post(w.p.reg.callID, flowLost{f, err})
	}
	if w.next != nil {
		w.next.Closed(f, at, err)
	}
}

// Refused implements transport.Observer.
func (w watcher) Refused(h transport.HandshakeFailure) {
	if w.next != nil {
		w.next.Refused(h)
	}
}

// Cut closes the phone's connection, as a network does that loses it. The phone comes back on a new one.
func (p *Phone) Cut() {
	if f := p.lastFlow(); f != nil {
		f.Close(errCut)
	}
}

// Trust gives the phone new roots; its next connection verifies the server by them.
func (p *Phone) Trust(roots *x509.CertPool) {
	p.mu.Lock()
	p.cfg.Roots = roots
	p.mu.Unlock()
}

// Renew gives the phone a new certificate; its next connection shows it.
func (p *Phone) Renew(c tls.Certificate) {
	p.mu.Lock()
	p.cfg.Certificate = c
	p.mu.Unlock()
}
