package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"time"
)

// shake is what is known about one handshake while it runs. It is the net.Conn below the tls.Conn, so that the listener's
// one tls.Config (which owns the session tickets) finds it from the ClientHello.
type shake struct {
	net.Conn
	flow     *Flow
	helloed  bool   // a ClientHello was read
	name     string // SNI
	chain    [][]byte
	peer     PeerIdentity
	rejected error // what our verifier said
	// Of an accepted connection, while its handshake runs; its goroutine's.
	turns turns
	has   bool
	over  context.Context
}

// configFor gives the configuration for one handshake of a listener, with our verification bound to this connection.
func (l *Listener) configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	s, ok := hello.Conn.(*shake)
	if !ok {
		return nil, errors.New("a connection the listener did not accept")
	}
	s.helloed, s.name = true, hello.ServerName
	s.flow.waits.helloed.Store(true)
	config, err := l.config(hello)
	if err != nil {
		return nil, err
	}
	if config == nil {
		return nil, errors.New("no TLS configuration for this client")
	}
	config = config.Clone()
	config.GetConfigForClient = nil
	s.verifyWith(config, l.name, "")
	return config, nil
}

// verifyWith makes the handshake ask our verifier, after any check the configuration brought.
func (s *shake) verifyWith(config *tls.Config, listener, policy string) {
	before := config.VerifyConnection
	config.VerifyConnection = func(cs tls.ConnectionState) error {
		for _, c := range cs.PeerCertificates {
			s.chain = append(s.chain, c.Raw)
		}
		if before != nil {
			if s.rejected = before(cs); s.rejected != nil {
				return s.rejected
			}
		}
		s.yield() // it may ask the store, which may be away
		s.peer, s.rejected = s.flow.t.cfg.Verify(Check{
			State: &cs, Inbound: s.flow.inbound, Listener: listener, LocalIdentity: s.flow.identity,
			ServerName: s.name, Policy: policy, Remote: s.flow.remote,
		})
		if s.rejected == nil && s.turns != nil {
			return s.take()
		}
		return s.rejected
	}
}

// failure tells the observer, and says in one error what went wrong.
func (s *shake) failure(err error, timedOut bool) error {
	f := s.flow
	phase := "handshake"
	switch {
	case s.rejected != nil:
		phase, err = "verify", s.rejected
	case timedOut:
		phase, err = "timeout", errors.New("the TLS handshake did not finish in time")
	case f.inbound && !s.helloed:
		phase = "hello"
	}
	f.t.refused(f, phase, s.name, s.chain, err)
	return err
}

func (t *Transport) refused(f *Flow, phase, name string, chain [][]byte, err error) {
	if f.listener != nil {
		f.listener.fail.Add(1)
	}
	o := t.cfg.Observer
	if o == nil {
		return
	}
	h := HandshakeFailure{
		At: time.Now(), Inbound: f.inbound, LocalIdentity: f.identity, Remote: f.remote, ServerName: name,
		Policy: f.dest.Policy, Phase: phase, Chain: chain, Err: err,
	}
	if f.listener != nil {
		h.Listener = f.listener.name
	}
	o.Refused(h)
}

// serveTLS does the handshake of an accepted connection under its deadline; only then the connection is registered. The
// reader runs on a goroutine of its own, because the handshake has grown this one's stack.
func (f *Flow) serveTLS(conn net.Conn) {
	l := f.listener
	s := &shake{Conn: conn, flow: f, turns: f.t.turns}
	tc := tls.Server(s, l.tls)
	ctx, cancel := context.WithTimeout(f.t.base, l.limits.HandshakeTimeout)
	f.mu.Lock()
	f.cancel = cancel // for Close
	displaced := f.shut
	f.mu.Unlock()
	if displaced {
		cancel()
	}
	s.over = ctx
	err := tc.HandshakeContext(ctx)
	s.yield()
	s.turns, s.over = nil, nil
	timedOut := ctx.Err() == context.DeadlineExceeded
	f.mu.Lock()
	f.cancel = nil
	f.mu.Unlock()
	cancel()
	l.shaken(f)
	if err != nil {
		if reason := f.Err(); reason != nil {
			err = reason
		}
		if f.t.base.Err() == nil {
			_ = s.failure(err, timedOut)
		}
		_ = conn.Close()
		l.release(f)
		f.t.wg.Done()
		return
	}
	f.adopt(tc, s)
	f.begin()
}

// wrap puts the outlet around a connection, where it can have one.
func (f *Flow) wrap(conn net.Conn) net.Conn {
	if f.outlet = newOutlet(conn, f.limits().QueueBytes); f.outlet == nil {
		return conn
	}
	return f.outlet
}

// adopt sets what the handshake has shown.
func (f *Flow) adopt(tc *tls.Conn, s *shake) {
	f.conn, f.peer, f.serverName = tc, s.peer, s.name
	s.flow, s.chain = nil, nil
}

func (t *Transport) newDial(d Dest) *Flow {
	f := t.newFlow(d.Network, d.LocalIdentity)
	f.dest, f.remote = d, d.Addr
	f.source = d.Addr.Addr().WithZone("").String()
	f.ready = make(chan struct{})
	return f
}

// dial connects, shakes hands and becomes the reader's starter.
func (f *Flow) dial() {
	ctx, cancel := context.WithTimeout(f.t.base, f.t.cfg.Limits.ConnectTimeout)
	f.mu.Lock()
	f.cancel = cancel
	stopped := f.shut
	f.mu.Unlock()
	if stopped {
		cancel()
	}
	err := f.connect(ctx)
	cancel()
	if err == nil && f.network == TLS {
		err = f.shakeAsClient()
	}
	if err == nil && !f.establish() {
		err = f.Err()
	}
	if err != nil {
		f.finish(err)
		f.t.wg.Done()
		return
	}
	if o := f.t.cfg.Observer; o != nil {
		o.Opened(f, time.Now())
	}
	f.t.handler.Opened(f)
	go f.read()
}

func (f *Flow) connect(ctx context.Context) error {
	dial := f.t.cfg.Dial
	if dial == nil {
		dial = func(ctx context.Context, d Dest) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, "tcp", d.Addr.String())
		}
	}
	conn, err := dial(ctx, f.dest)
	if err != nil {
		f.t.refused(f, "connect", f.dest.ServerName, nil, err)
		return err
	}
	f.conn, f.local = f.wrap(conn), addrPort(conn.LocalAddr())
	return nil
}

func (f *Flow) shakeAsClient() error {
	s := &shake{Conn: f.conn, flow: f, name: f.dest.ServerName}
	config, err := f.clientConfig(s)
	if err != nil {
		return s.failure(err, false)
	}
	tc := tls.Client(s, config)
	ctx, cancel := context.WithTimeout(f.t.base, f.t.cfg.Limits.HandshakeTimeout)
	defer cancel()
	f.mu.Lock()
	f.cancel = cancel
	f.mu.Unlock()
	if err := tc.HandshakeContext(ctx); err != nil {
		return s.failure(err, ctx.Err() == context.DeadlineExceeded)
	}
	if want := f.dest.Peer; want != "" && s.peer.Key != want {
		s.rejected = errors.New("the peer is " + s.peer.Subject + ", not who held the connection before")
		return s.failure(s.rejected, false)
	}
	f.adopt(tc, s)
	return nil
}

// clientConfig is the caller's configuration with our verification. The standard library's own is off because ours
// replaces it; without a verifier nothing is dialled.
func (f *Flow) clientConfig(s *shake) (*tls.Config, error) {
	t := f.t
	if t.cfg.DialTLS == nil || t.cfg.Verify == nil {
		return nil, errors.New("TLS is not configured for outgoing connections")
	}
	config, err := t.cfg.DialTLS(f.dest)
	if err != nil {
		return nil, err
	}
	config = config.Clone()
	config.ServerName = f.dest.ServerName
	if config.ServerName == "" {
		config.ServerName = f.source // RFC 5922, 7.4 does not foresee it: the certificate must name the address
	}
	if _, err := netip.ParseAddr(config.ServerName); err == nil && config.ClientSessionCache != nil {
		config.ClientSessionCache = nil // its key would be the address: identities must not share it
	}
	s.name = config.ServerName
	config.InsecureSkipVerify = true //nolint:gosec // VerifyConnection decides
	s.verifyWith(config, "", f.dest.Policy)
	return config, nil
}
