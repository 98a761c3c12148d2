package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	goldap "github.com/go-ldap/ldap/v3"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
)

// Bytes a server may send in answer to one request, and to one of a synchronisation (a page of entries).
const (
	loginBytes = 1 << 20
	pageBytes  = 32 << 20
)

// endpoint is one server as it is dialled.
type endpoint struct {
	host      string
	port      int
	transport config.LDAPTransport
}

// url is how traces and problems name it: ldaps://dc1.corp.test:636. With StartTLS the scheme is ldap, and the text says so elsewhere.
func (e endpoint) url() string {
	scheme := "ldap"
	if e.transport == config.LDAPS {
		scheme = "ldaps"
	}
	return scheme + "://" + e.address()
}

func (e endpoint) address() string { return net.JoinHostPort(e.host, strconv.Itoa(e.port)) }

// connection is one LDAP connection. It is used by one goroutine at a time.
type connection struct {
	at   endpoint
	conn *goldap.Conn
	raw  *metered
	tls  *tls.ConnectionState // nil in clear
	used bool                 // it served a request before: the server may have closed it since
}

// metered counts what a server sends in answer to one request, and ends a connection that sends more than is taken.
type metered struct {
	net.Conn
	left atomic.Int64
	over atomic.Bool
}

// errTooMuch is what reading fails with when a server sends more than is taken.
var errTooMuch = errors.New("more was sent than is taken in answer to one request")

func (m *metered) Read(b []byte) (int, error) {
	if m.left.Load() <= 0 {
		m.over.Store(true)
		return 0, errTooMuch
	}
	n, err := m.Conn.Read(b)
	m.left.Add(-int64(n))
	return n, err
}

// dialer makes connections to the servers of one directory.
type dialer struct {
	settings config.LDAPDirectory
	identity TLS
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// connect dials, and secures the connection as the transport says. The whole takes the network timeout at most.
func (d *dialer) connect(ctx context.Context, at endpoint) (*connection, *Problem) {
	ctx, cancel := context.WithTimeout(ctx, d.settings.NetworkTimeout.D())
	defer cancel()
	nc, err := d.dial(ctx, "tcp", at.address())
	if err != nil {
		return nil, dialProblem(ctx, at, err)
	}
	c := &connection{at: at, raw: &metered{Conn: nc}}
	c.raw.left.Store(loginBytes)
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()
	if p := d.secure(ctx, c); p != nil {
		nc.Close()
		return nil, p
	}
	return c, nil
}

// secure starts LDAP on the connection, with TLS before or after as the transport says.
func (d *dialer) secure(ctx context.Context, c *connection) *Problem {
	switch c.at.transport {
	case config.LDAPS:
		t := tls.Client(c.raw, d.tls(c.at))
		if err := t.HandshakeContext(ctx); err != nil {
			return tlsProblem(ctx, c, err)
		}
		state := t.ConnectionState()
		c.tls = &state
		c.start(t, true, d.settings.NetworkTimeout.D())
	case config.LDAPStartTLS:
		c.start(c.raw, false, d.settings.NetworkTimeout.D())
		var failed error // of the handshake: the library keeps its text only
		cfg := d.tls(c.at)
		verify := cfg.VerifyConnection
		cfg.VerifyConnection = func(cs tls.ConnectionState) error {
			failed = verify(cs)
			return failed
		}
		if err := c.conn.StartTLS(cfg); err != nil {
			return startTLSProblem(ctx, c, errors.Join(failed, err))
		}
		if state, ok := c.conn.TLSConnectionState(); ok {
			c.tls = &state
		}
	default:
		c.start(c.raw, false, d.settings.NetworkTimeout.D())
	}
	return nil
}

func (c *connection) start(nc net.Conn, isTLS bool, limit time.Duration) {
	c.conn = goldap.NewConn(nc, isTLS)
	c.conn.SetTimeout(limit + time.Second) // ours comes first; this one ends the library's own waiting
	c.conn.Start()
}

func (d *dialer) tls(at endpoint) *tls.Config {
	return d.identity.ClientConfig(pki.ClientPolicy{Peer: pki.PeerPolicy{Peer: at.url(), Kinds: pki.KindsOf(pki.KindPeer, pki.KindService), Names: pki.Names{Host: at.host}}})
}

// do runs one request under the time limit and ctx: when either ends, the connection is closed, which ends the request.
func (c *connection) do(ctx context.Context, limit time.Duration, bytes int64, f func(*goldap.Conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	c.raw.left.Store(bytes)
	stop := context.AfterFunc(ctx, func() { c.raw.Close() })
	c.conn.SetTimeout(limit + time.Second)
	err := f(c.conn)
	if !stop() && err != nil { // we cut it off
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	c.used = c.used || !broken(err)
	return err
}

func (c *connection) close() {
	if c.conn != nil {
		c.conn.Close()
	}
	c.raw.Close()
}

// broken reports whether the connection cannot be used again after an error.
func broken(err error) bool {
	if err == nil {
		return false
	}
	_, answered := resultCode(err)
	return !answered
}

// dialProblem says why no connection came about.
func dialProblem(ctx context.Context, at endpoint, err error) *Problem {
	p := &Problem{Reason: Unreachable, Server: at.url(), What: "cannot be reached (" + reasonOf(err) + ")", Fix: "compare host and port, and see whether the directory server runs"}
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns):
		p.Reason, p.What, p.Fix = NameUnknown, fmt.Sprintf("the name server has no address for %s (%s)", at.host, dns.Err), "correct the host, or the name server"
		if dns.IsTimeout {
			p.What = "the name server does not answer for " + at.host
		}
	case errors.Is(err, syscall.ECONNREFUSED):
		p.What, p.Fix = "refuses the connection: nothing listens there", "compare host and port, and see whether the directory server runs"
	case timedOut(ctx, err):
		p.Reason, p.What, p.Fix = Silent, "does not answer a connection in time", "see whether a firewall drops it, and whether the server runs"
	}
	return cancelled(ctx, p)
}

func reasonOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}

func timedOut(ctx context.Context, err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// cancelled replaces a problem that came from whoever asked having given up.
func cancelled(ctx context.Context, p *Problem) *Problem {
	if errors.Is(ctx.Err(), context.Canceled) {
		return &Problem{Reason: Cancelled, Server: p.Server, What: "who asked no longer waits"}
	}
	return p
}

// tlsProblem says why a handshake failed, with the findings of the verification.
func tlsProblem(ctx context.Context, c *connection, err error) *Problem {
	p := &Problem{Reason: CertificateBad, Server: c.at.url(), Findings: pki.Explain(err, pki.PeerIsServer)}
	if f, ok := p.Findings.First(); ok {
		p.What, p.Fix = f.What, f.Fix
	}
	var header tls.RecordHeaderError
	switch {
	case timedOut(ctx, err):
		p.Reason, p.What, p.Fix = Silent, "accepts the connection and does not answer the TLS handshake in time", "see whether the port speaks TLS (636 and 3269 do; 389 and 3268 need starttls), and how loaded the server is"
	case pki.FindingsOf(err) != nil:
		p.Fix = fixTrust(p)
	case errors.As(err, &header), endedEarly(err):
		p.Reason = NotTLS
		p.What = "does not speak TLS at this port"
		p.Fix = "for LDAPS use 636, or 3269 of a global catalogue; for 389 and 3268 set transport: starttls"
	}
	return cancelled(ctx, p)
}

// endedEarly: OpenLDAP and Active Directory close a connection on which the first octets are not LDAP, without a word.
func endedEarly(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// fixTrust is the advice for a certificate that is not trusted: where trust in directory servers is put.
func fixTrust(p *Problem) string {
	f, _ := p.Findings.First()
	switch f.Rule {
	case pki.RuleUntrustedRoot, pki.RuleIssuerMissing, pki.RuleSelfSigned:
		return "upload the authority of the directory server with locktone cert store upload directory-trust FILE, after comparing its fingerprint"
	case pki.RuleName:
		return "write host as the certificate has it (" + f.Got + "), or have the directory server's certificate issued with this name"
	}
	return f.Fix
}

// startTLSProblem says why StartTLS did not succeed: refused by the server, or the handshake after it.
func startTLSProblem(ctx context.Context, c *connection, err error) *Problem {
	if fs := pki.FindingsOf(err); fs != nil {
		return tlsProblem(ctx, c, err)
	}
	if code, ok := resultCode(err); ok {
		return &Problem{Reason: StartTLSRefused, Server: c.at.url(), Code: code, What: fmt.Sprintf("refuses StartTLS with result %d (%s)", code, said(err)),
			Fix: "give the directory server a certificate, or use transport: ldaps with port 636"}
	}
	p := &Problem{Reason: StartTLSRefused, Server: c.at.url(), What: "StartTLS failed (" + said(err) + ")", Fix: "see the directory server's own log"}
	switch {
	case timedOut(ctx, err):
		p.Reason, p.What, p.Fix = Silent, "accepts the connection and does not answer StartTLS in time", "see whether the port speaks LDAP, and how loaded the server is"
	case !strings.Contains(err.Error(), "handshake"): // nothing that is LDAP came back
		p = notLDAP(c)
	}
	return cancelled(ctx, p)
}

// notLDAP is what a port says that speaks something else, TLS before all.
func notLDAP(c *connection) *Problem {
	p := &Problem{Reason: Closed, Server: c.at.url(), What: "closed the connection without an answer to the first request",
		Fix: "see whether the port speaks TLS from the first octet (636 and 3269 do: set transport: ldaps), and the server's own log"}
	if c.raw.over.Load() {
		return tooMuch(c)
	}
	if !c.used && c.at.transport != config.LDAPS {
		p.Reason = NotLDAP
	}
	return p
}

func tooMuch(c *connection) *Problem {
	return &Problem{Reason: TooMuch, Server: c.at.url(), What: "sent more than is taken in answer to one request", Fix: "narrow base or filter, or lower pageSize"}
}

// failed says why a request got no result: time, or the end of the connection.
func (c *connection) failed(ctx context.Context, doing string, err error) *Problem {
	switch {
	case c.raw.over.Load():
		return tooMuch(c)
	case errors.Is(ctx.Err(), context.Canceled):
		return &Problem{Reason: Cancelled, Server: c.at.url(), What: "who asked no longer waits"}
	case timedOut(ctx, err), strings.Contains(err.Error(), "timed out"):
		return &Problem{Reason: Silent, Server: c.at.url(), What: doing + " got no answer in time", Fix: "see how loaded the directory server is, and whether something on the way drops long connections"}
	case !c.used && c.at.transport != config.LDAPS:
		return notLDAP(c)
	}
	return &Problem{Reason: Closed, Server: c.at.url(), What: doing + " was cut off: the server closed the connection (" + said(err) + ")", Fix: "see the directory server's own log"}
}
