package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Certificates are a service's credentials of one generation. Each list is in the order of preference, ECDSA first.
type Certificates struct {
	Server     []Credential // presented when the peer dialled us
	Client     []Credential // presented when we dial
	Generation int          // 1, 2, ...
}

// Snapshot is what a service uses in handshakes at one moment: its certificates and its trust. Immutable.
type Snapshot struct {
	Certificates Certificates
	Trust        *Trust
}

// Identity is a service's present Snapshot, replaced while running: the next handshake, in or out, uses the new one;
// connections that exist are not touched. It is safe for concurrent use; make it with NewIdentity.
type Identity struct {
	name     string
	now      func() time.Time
	cur      atomic.Pointer[state]
	observer atomic.Pointer[chan<- Observation]
	dropped  atomic.Uint64
	changing sync.Mutex // held while a snapshot is replaced by one made from it
}

// state is a snapshot made ready for crypto/tls.
type state struct {
	Snapshot
	server, client []tls.Certificate
	cas            *x509.CertPool // names sent in a CertificateRequest
	tickets        *tls.Config    // keys of session tickets; crypto/tls rotates them daily
}

// NewIdentity returns an identity called name (its key in the table of connections). now may be nil for time.Now.
func NewIdentity(name string, s Snapshot, now func() time.Time) (*Identity, error) {
	if now == nil {
		now = time.Now
	}
	id := &Identity{name: name, now: now}
	return id, id.Replace(s)
}

// Name returns the identity's name.
func (id *Identity) Name() string { return id.name }

// Snapshot returns the present snapshot.
func (id *Identity) Snapshot() Snapshot { return id.cur.Load().Snapshot }

// Replace puts a new snapshot in use. It is checked first; on error the old one stays. A ticket is good for the
// certificates it was issued under: after a change of certificates the next handshake is a full one and shows the new
// serial. A change of trust alone keeps tickets, since a resumed peer is verified like any other.
func (id *Identity) Replace(s Snapshot) error {
	id.changing.Lock()
	defer id.changing.Unlock()
	return id.replace(s)
}

// SetTrust replaces the trust and nothing else: certificates that are renewed at the same moment stay in use.
func (id *Identity) SetTrust(t *Trust) error {
	id.changing.Lock()
	defer id.changing.Unlock()
	s := id.Snapshot()
	s.Trust = t
	return id.replace(s)
}

// renew takes certificates into use unless they or newer ones are, and leaves the trust as it is.
func (id *Identity) renew(c Certificates) (changed bool, err error) {
	id.changing.Lock()
	defer id.changing.Unlock()
	s := id.Snapshot()
	if s.Certificates.Generation > c.Generation || s.Certificates.Generation == c.Generation && s.Certificates.Server[0].Leaf().Equal(c.Server[0].Leaf()) {
		return false, nil
	}
	s.Certificates = c
	return true, id.replace(s)
}

// replace is Replace under the lock.
func (id *Identity) replace(s Snapshot) error {
	if s.Trust == nil {
		return fmt.Errorf("pki: identity %s: a snapshot without trust", id.name)
	}
	st := &state{Snapshot: s, cas: x509.NewCertPool(), tickets: &tls.Config{Time: id.now}}
	for _, c := range slices.Concat(s.Certificates.Server, s.Certificates.Client) {
		if err := c.check(); err != nil {
			return fmt.Errorf("pki: identity %s: %w", id.name, err)
		}
	}
	for _, c := range s.Certificates.Server {
		st.server = append(st.server, c.TLS())
	}
	for _, c := range s.Certificates.Client {
		st.client = append(st.client, c.TLS())
	}
	for _, a := range s.Trust.anchors {
		st.cas.AddCert(a.Certificate)
	}
	if old := id.cur.Load(); old != nil && sameLeaves(old.server, st.server) {
		st.tickets = old.tickets
	}
	id.cur.Store(st)
	return nil
}

func sameLeaves(a, b []tls.Certificate) bool {
	return slices.EqualFunc(a, b, func(x, y tls.Certificate) bool { return x.Leaf.Equal(y.Leaf) })
}

// TLSPolicy is a listener's or a dialler's TLS settings. The zero value is the default: TLS 1.2 floor, 1.3 offered,
// ECDHE with AEAD only (RFC 9325, 4.2).
type TLSPolicy struct {
	MinVersion uint16 // zero: TLS 1.2; anything lower is an exception
	MaxVersion uint16 // zero: TLS 1.3
	// CipherSuites for TLS 1.2; empty: ECDHE with AEAD. Anything else is an exception.
	CipherSuites []uint16
	NextProtos   []string // ALPN
	// Verified, when set, hears of every verification in a handshake, good or bad, from the handshake's goroutine. A
	// good one is not yet the end: the peer has still to prove that it has the key. Use Inspect after the handshake.
	Verified func(*Report)
	// KeyLog, when set, receives the session secrets, for captures in a lab; an exception.
	KeyLog KeyLogWriter
}

// KeyLogWriter receives NSS key log lines.
type KeyLogWriter interface{ Write([]byte) (int, error) }

// ClientAuth says whether a listener asks for a certificate. The zero value requires one.
type ClientAuth uint8

const (
	ClientAuthRequired ClientAuth = iota
	ClientAuthOptional            // verified when sent; an exception
	ClientAuthNone                // for provisioning and administration ports that authenticate otherwise
)

// ServerPolicy configures a listener.
type ServerPolicy struct {
	TLSPolicy
	ClientAuth   ClientAuth
	NoResumption bool // no session tickets
	Peers        PeerPolicy
}

// ClientPolicy configures dialling one peer.
type ClientPolicy struct {
	TLSPolicy
	// ServerName is sent as SNI; empty: Peer.Names.Host, else SIPDomain.
	ServerName string
	Peer       PeerPolicy
}

// Weaknesses lists in words what is weaker than the default, for `show exceptions`; nil when nothing is.
func (p TLSPolicy) Weaknesses() []string {
	var w []string
	if p.MinVersion != 0 && p.MinVersion < tls.VersionTLS12 {
		w = append(w, "accepts "+tls.VersionName(p.MinVersion))
	}
	for _, c := range p.CipherSuites {
		if !slices.Contains(defaultSuites(), c) {
			w = append(w, "accepts "+tls.CipherSuiteName(c))
		}
	}
	if p.KeyLog != nil {
		w = append(w, "logs session secrets")
	}
	return w
}

// Weaknesses adds the listener's own.
func (p ServerPolicy) Weaknesses() []string {
	w := p.TLSPolicy.Weaknesses()
	switch p.ClientAuth {
	case ClientAuthOptional:
		w = append(w, "lets clients in without a certificate")
	case ClientAuthNone:
		w = append(w, "asks for no client certificate")
	}
	return append(w, p.Peers.Weaknesses()...)
}

// Weaknesses adds the dialler's own.
func (p ClientPolicy) Weaknesses() []string {
	return append(p.TLSPolicy.Weaknesses(), p.Peer.Weaknesses()...)
}

// Weaknesses lists the rules excused.
func (p PeerPolicy) Weaknesses() []string {
	var w []string
	for _, r := range p.Exceptions {
		if Excusable(r) {
			w = append(w, "excuses "+string(r))
		}
	}
	return w
}

// defaultSuites are the TLS 1.2 suites with forward secrecy and authenticated encryption. RFC 9325, 4.2.
func defaultSuites() []uint16 {
	return []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
}

// config returns what both directions share.
func (p TLSPolicy) config(now func() time.Time) *tls.Config {
	c := &tls.Config{Time: now, MinVersion: p.MinVersion, MaxVersion: p.MaxVersion, CipherSuites: p.CipherSuites,
		NextProtos: p.NextProtos}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	if len(c.CipherSuites) == 0 {
		c.CipherSuites = defaultSuites()
	}
	if p.KeyLog != nil {
		c.KeyLogWriter = p.KeyLog
	}
	return c
}

// ServerConfig returns the configuration of a listener. It follows Replace by itself: keep it for the listener's life.
// A listener with a GetConfigForClient of its own returns what this one's returns: then each handshake uses one
// snapshot throughout, and names that snapshot's CAs to the client.
func (id *Identity) ServerConfig(p ServerPolicy) *tls.Config {
	type made struct {
		st  *state
		cfg *tls.Config
	}
	var last atomic.Pointer[made]
	base := id.serverConfig(id.cur.Load, p)
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		st := id.cur.Load()
		m := last.Load()
		if m == nil || m.st != st {
			m = &made{st: st, cfg: id.serverConfig(func() *state { return st }, p)}
			last.Store(m)
		}
		return m.cfg, nil
	}
	return base
}

// serverConfig is the configuration of one snapshot, or of whichever is the present one. crypto/tls is told to take any client certificate, since the
// verification is ours, in VerifyConnection, which runs for resumed sessions too.
func (id *Identity) serverConfig(st func() *state, p ServerPolicy) *tls.Config {
	c := p.config(id.now)
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		return chooseServer(st().server, hello)
	}
	c.SessionTicketsDisabled = p.NoResumption
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		return st().tickets.EncryptTicket(cs, ss)
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		return st().tickets.DecryptTicket(ticket, cs)
	}
	switch p.ClientAuth {
	case ClientAuthNone:
		return c
	case ClientAuthOptional:
		c.ClientAuth = tls.RequestClientCert
	default:
		c.ClientAuth = tls.RequireAnyClientCert
	}
	c.ClientCAs = st().cas
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 && p.ClientAuth == ClientAuthOptional {
			return nil
		}
		r := st().Trust.Verify(cs.PeerCertificates, PeerIsClient, p.Peers, id.now())
		id.observed(PeerIsClient, p.Peers, r, cs.DidResume)
		return p.judge(r)
	}
	return c
}

func (p TLSPolicy) judge(r *Report) error {
	if p.Verified != nil {
		p.Verified(r)
	}
	return r.Err()
}

// chooseServer picks the first certificate whose key the client can use. The server name is left out of the question:
// phones dial addresses and old names, and verifying the name is the client's part.
func chooseServer(certs []tls.Certificate, hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	h := *hello
	h.ServerName = ""
	for i := range certs {
		if h.SupportsCertificate(&certs[i]) == nil {
			return &certs[i], nil
		}
	}
	if len(certs) == 0 {
		return nil, errors.New("pki: this identity has no server certificate")
	}
	return &certs[len(certs)-1], nil // RSA: crypto/tls says best itself what is missing
}

// chooseClient picks the first certificate that the server can use: first by key and by the CAs it names (RFC 8446,
// 4.2.4), then by key alone, since many servers name CAs that they do not insist on. Without one the handshake goes on
// with none, and the server decides.
func chooseClient(certs []tls.Certificate, req *tls.CertificateRequestInfo) (*tls.Certificate, error) {
	anyCA := *req
	anyCA.AcceptableCAs = nil
	for _, r := range []*tls.CertificateRequestInfo{req, &anyCA} {
		for i := range certs {
			if r.SupportsCertificate(&certs[i]) == nil {
				return &certs[i], nil
			}
		}
	}
	return &tls.Certificate{}, nil
}

// ClientConfig returns the configuration for dialling a peer. It follows Replace by itself. Sessions are not resumed
// when dialling: our own connections live long, and a resumed one would show the peer a certificate of yesterday.
func (id *Identity) ClientConfig(p ClientPolicy) *tls.Config {
	c := p.config(id.now)
	c.ServerName = p.ServerName
	for _, n := range []string{p.Peer.Names.Host, p.Peer.Names.SIPDomain} {
		if c.ServerName == "" {
			c.ServerName = n
		}
	}
	c.GetClientCertificate = func(req *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return chooseClient(id.cur.Load().client, req)
	}
	c.InsecureSkipVerify = true // crypto/tls's verification; ours is next, and has no way around it
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		r := id.cur.Load().Trust.Verify(cs.PeerCertificates, PeerIsServer, p.Peer, id.now())
		id.observed(PeerIsServer, p.Peer, r, cs.DidResume)
		return p.judge(r)
	}
	return c
}

// Inspect returns the verification of a connection's peer, under today's trust: after the handshake, for the
// connection's record, or later to see whether it would still be let in. Paths are remembered, so it is cheap.
func (id *Identity) Inspect(cs tls.ConnectionState, side Side, p PeerPolicy) *Report {
	return id.cur.Load().Trust.Verify(cs.PeerCertificates, side, p, id.now())
}
