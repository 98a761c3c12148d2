// Package probe looks at the TLS of any host and port from the dialling side: version, cipher, chain, and the findings
// that the verifier of package pki has about it. It is `locktone verify HOST:PORT`.
//
// A probe never stops at the first objection: it completes the handshake with whatever the peer shows, without sending
// any application data, and only then applies the verifier. A peer may refuse us in turn. In TLS 1.2 it does so within
// the handshake; in TLS 1.3 (RFC 8446, 4.4.2.4) the client is done before the server has looked at the client's
// certificate, so the probe listens for a moment whether an alert follows. A peer that our TLS policy has nothing in
// common with is dialled once more with everything crypto/tls still knows, to tell what it does speak.
package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/locktone/locktone/pki"
)

// Options say how to look. The zero value dials as a stranger without a certificate and trusts nobody, so that the
// findings say what a newcomer would have to trust.
type Options struct {
	Identity *pki.Identity // our certificate and trust; nil: none
	Trust    *pki.Trust    // when Identity is nil
	// Policy is what the peer has to be. Kinds empty means any; Names empty means the host dialled.
	Policy  pki.ClientPolicy
	At      time.Time     // forecast: verify at this time; zero: now
	Timeout time.Duration // for each of at most two connections; zero: 5 s
}

// alertWait is how long a probe waits after the handshake for a TLS 1.3 server to object to our certificate.
const alertWait = 700 * time.Millisecond

// Certificate is one certificate of the chain, as text and JSON show it.
type Certificate struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`
	Names       []string  `json:"names,omitempty"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Key         string    `json:"key"`
	Signature   string    `json:"signature"`
	Fingerprint string    `json:"fingerprint"`
}

// Result is what was seen.
type Result struct {
	Address           string        `json:"address"`
	Connected         bool          `json:"connected"` // TCP
	Handshake         bool          `json:"handshake"` // TLS completed, and the peer did not end it at once
	Version           string        `json:"version,omitempty"`
	Cipher            string        `json:"cipher,omitempty"`
	Group             string        `json:"group,omitempty"`
	ClientCertificate string        `json:"client_certificate,omitempty"` // what became of ours
	Chain             []Certificate `json:"chain,omitempty"`              // as sent
	Anchor            string        `json:"anchor,omitempty"`             // the trusted root the chain leads to
	Findings          pki.Findings  `json:"findings"`
	Accepted          bool          `json:"accepted"` // neither end refuses
	At                time.Time     `json:"at"`
	Took              time.Duration `json:"took_ns"`
	Error             string        `json:"error,omitempty"` // of the network or crypto/tls, behind the finding
}

// Dial probes HOST:PORT. The error is for a call that makes no sense (a bad address); what goes wrong with the peer is
// in the Result.
func Dial(ctx context.Context, address string, o Options) (*Result, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" || port == "" {
		return nil, fmt.Errorf("probe: %q: want HOST:PORT, such as cucm.example.com:5061", address)
	}
	if o.At.IsZero() {
		o.At = time.Now()
	}
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	o.Policy = withDefaults(o.Policy, host, address)
	if o.Trust, err = trust(o); err != nil {
		return nil, err
	}
	p := &probe{Options: o, result: &Result{Address: address, At: o.At, Findings: pki.Findings{}}}
	start := time.Now()
	p.run(ctx)
	p.result.Took = time.Since(start)
	p.result.Accepted = p.result.Handshake && p.result.Findings.OK()
	return p.result, nil
}

// Chain applies the verifier to a chain from a file, leaf first, as if the named peer had presented it on that side.
// Unlike Dial it asks for no name unless the policy does.
func Chain(peer string, chain []*x509.Certificate, side pki.Side, o Options) (*Result, error) {
	if o.At.IsZero() {
		o.At = time.Now()
	}
	names := o.Policy.Peer.Names
	o.Policy = withDefaults(o.Policy, "", peer)
	o.Policy.Peer.Names = names
	t, err := trust(o)
	if err != nil {
		return nil, err
	}
	o.Trust = t
	p := &probe{Options: o, result: &Result{Address: peer, At: o.At, Findings: pki.Findings{}}}
	p.verify(chain, side)
	p.result.Accepted = p.result.Findings.OK()
	return p.result, nil
}

func withDefaults(p pki.ClientPolicy, host, address string) pki.ClientPolicy {
	n := p.Peer.Names
	if len(n.Subjects) == 0 && n.SIPDomain == "" && n.Host == "" {
		p.Peer.Names.Host = host
	}
	if p.Peer.Kinds == 0 {
		p.Peer.Kinds = pki.AllKinds()
	}
	if p.Peer.Peer == "" {
		p.Peer.Peer = address
	}
	if p.ServerName == "" {
		p.ServerName = host
	}
	return p
}

func trust(o Options) (*pki.Trust, error) {
	switch {
	case o.Identity != nil:
		return o.Identity.Snapshot().Trust, nil
	case o.Trust != nil:
		return o.Trust, nil
	}
	return pki.NewTrust()
}

type probe struct {
	Options
	result *Result
	asked  bool   // the server asked for a certificate
	sent   string // subject of the one we sent
}

func (p *probe) run(ctx context.Context) {
	cs, err := p.connect(ctx, p.config())
	if err != nil && p.result.Connected && mismatch(err) {
		if weak, weakErr := p.connect(ctx, everything(p.config())); weakErr == nil {
			cs, err = weak, nil
			p.result.Findings = append(p.result.Findings, tooWeak(weak))
		}
	}
	if cs != nil {
		p.describe(cs)
	}
	if err != nil {
		p.result.Error = err.Error()
		p.result.Findings = append(p.result.Findings, p.explain(err)...)
		return
	}
	p.result.Handshake = true
}

// config completes any handshake: the verifier is applied to what was seen afterwards.
func (p *probe) config() *tls.Config {
	c := &tls.Config{}
	if p.Identity != nil {
		c = p.Identity.ClientConfig(p.Policy)
	}
	c.ServerName, c.NextProtos, c.InsecureSkipVerify, c.VerifyConnection = p.Policy.ServerName, p.Policy.NextProtos, true, nil
	choose := c.GetClientCertificate
	c.GetClientCertificate = func(r *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		p.asked = true
		if choose == nil {
			return &tls.Certificate{}, nil
		}
		cert, err := choose(r)
		if err == nil && cert.Leaf != nil {
			p.sent = cert.Leaf.Subject.String()
		}
		return cert, err
	}
	return c
}

// everything offers all that crypto/tls knows, to find out what the peer knows.
func everything(c *tls.Config) *tls.Config {
	c.MinVersion, c.MaxVersion, c.CipherSuites = tls.VersionTLS10, 0, nil
	for _, s := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		c.CipherSuites = append(c.CipherSuites, s.ID)
	}
	return c
}

// mismatch reports whether an error can come from having no version or cipher in common.
func mismatch(err error) bool {
	if a, ok := pki.PeerAlert(err); ok {
		return a == 40 || a == 70 || a == 71
	}
	return pki.Explain(err, pki.PeerIsServer).Has(pki.RuleProtocol) && strings.Contains(err.Error(), "tls: ")
}

func tooWeak(cs *tls.ConnectionState) pki.Finding {
	got := tls.VersionName(cs.Version) + ", " + tls.CipherSuiteName(cs.CipherSuite)
	return pki.Finding{Rule: pki.RuleProtocol, Severity: pki.Refusal, Index: -1,
		What: "speaks nothing better than " + got, Expected: "TLS 1.2 or 1.3 with ECDHE and authenticated encryption", Got: got,
		Fix: "update it, or name an exception for it"}
}

// connect makes one connection. It returns the state of a completed handshake also when the peer ended it afterwards.
func (p *probe) connect(ctx context.Context, cfg *tls.Config) (*tls.ConnectionState, error) {
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.result.Address)
	if err != nil {
		return nil, err
	}
	p.result.Connected = true
	conn := tls.Client(raw, cfg)
	defer conn.Close()
	err = conn.HandshakeContext(ctx)
	cs := conn.ConnectionState()
	if err != nil {
		if len(cs.PeerCertificates) == 0 {
			return nil, err
		}
		return &cs, err
	}
	return &cs, afterwards(conn)
}

// afterwards waits whether the peer objects. Silence, or data of a protocol in which the server speaks first, is
// consent; so is an orderly close, since we say nothing.
func afterwards(conn *tls.Conn) error {
	conn.SetReadDeadline(time.Now().Add(alertWait))
	_, err := conn.Read(make([]byte, 1))
	if _, alert := pki.PeerAlert(err); alert {
		return err
	}
	return nil
}

func (p *probe) explain(err error) pki.Findings {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return pki.Findings{{Rule: pki.RuleProtocol, Severity: pki.Refusal, Index: -1,
			What: "cannot be found by its name", Expected: "an address", Got: err.Error(), Fix: "check the name and the resolver"}}
	}
	fs := pki.Explain(err, pki.PeerIsServer)
	if p.asked && p.sent == "" && len(fs) > 0 && fs[0].Rule == pki.RuleAlert {
		fs[0].Expected = "a client certificate: it asked for one, and we had none that suits it"
	}
	return append(fs, p.own()...)
}

// own looks at our own client certificate with our own verifier: a peer's alert is most often about that.
func (p *probe) own() pki.Findings {
	if p.Identity == nil || p.sent == "" {
		return nil
	}
	var fs pki.Findings
	for _, c := range p.Identity.Snapshot().Certificates.Client {
		if c.Leaf().Subject.String() != p.sent {
			continue
		}
		r := p.Trust.Verify(c.Chain, pki.PeerIsClient, pki.PeerPolicy{Kinds: pki.AllKinds()}, p.At)
		for _, f := range r.Findings {
			f.Severity = min(f.Severity, pki.Warning)
			f.What = "was shown our own certificate, about which we find ourselves: we " + f.What
			fs = append(fs, f)
		}
	}
	return fs
}

// describe fills in what the handshake showed and verifies it.
func (p *probe) describe(cs *tls.ConnectionState) {
	r := p.result
	r.Version, r.Cipher = tls.VersionName(cs.Version), tls.CipherSuiteName(cs.CipherSuite)
	if cs.CurveID != 0 {
		r.Group = cs.CurveID.String()
	}
	r.ClientCertificate = "not asked for"
	switch {
	case p.sent != "":
		r.ClientCertificate = "asked for, sent " + p.sent
	case p.asked:
		r.ClientCertificate = "asked for, none sent"
	}
	p.verify(cs.PeerCertificates, pki.PeerIsServer)
}

func (p *probe) verify(chain []*x509.Certificate, side pki.Side) {
	r := p.result
	report := p.Trust.Verify(chain, side, p.Policy.Peer, p.At)
	r.Findings = append(r.Findings, report.Findings...)
	for _, c := range chain {
		r.Chain = append(r.Chain, Describe(c))
	}
	if n := len(report.Chain); n > 0 {
		r.Anchor = report.Chain[n-1].Subject.String()
	}
}

// Describe renders a certificate.
func Describe(c *x509.Certificate) Certificate {
	d := Certificate{Subject: c.Subject.String(), Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16),
		NotBefore: c.NotBefore, NotAfter: c.NotAfter, Key: pki.KeyName(c), Signature: c.SignatureAlgorithm.String(),
		Fingerprint: pki.Fingerprint(c), Names: c.DNSNames}
	for _, ip := range c.IPAddresses {
		d.Names = append(d.Names, ip.String())
	}
	for _, u := range c.URIs {
		d.Names = append(d.Names, u.String())
	}
	return d
}

// Text renders the result for a terminal.
func (r *Result) Text() string {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("address", "%s", r.Address)
	if r.Version != "" {
		row("tls", "%s, %s %s", r.Version, r.Cipher, r.Group)
		row("our cert", "%s", r.ClientCertificate)
	}
	for i, c := range r.Chain {
		row(fmt.Sprintf("chain %d", i), "%q, %s, %s, serial %s", c.Subject, c.Key, c.Signature, c.Serial)
		row("", "issued by %q, valid %s to %s", c.Issuer, c.NotBefore.Format(time.DateOnly), c.NotAfter.Format(time.DateOnly))
		if len(c.Names) > 0 {
			row("", "for %q", c.Names)
		}
	}
	if r.Anchor != "" {
		row("anchor", "%q", r.Anchor)
	}
	verdict := "accepted"
	if !r.Accepted {
		verdict = "refused"
	}
	row("verdict", "%s, as of %s", verdict, r.At.UTC().Format(time.RFC3339))
	b.WriteString(r.Findings.Text(r.Address))
	return b.String()
}
