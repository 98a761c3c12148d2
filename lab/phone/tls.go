package phone

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/locktone/locktone/wire/sip/transport"
)

// dialTLS is the phone's side of the handshake. crypto/tls does not verify the server here: verify does, on the same
// chain, before the handshake succeeds; the transport refuses a connection without it.
func (p *Phone) dialTLS(transport.Dest) (*tls.Config, error) {
	p.mu.Lock()
	own := p.cfg.Certificate
	p.mu.Unlock()
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		Certificates:       []tls.Certificate{own},
		InsecureSkipVerify: true, //nolint:gosec // verified by transport.Config.Verify
	}, nil
}

// verify accepts the server only with a chain to our roots and the name or address we expect (RFC 5922, 7).
func (p *Phone) verify(c transport.Check) (transport.PeerIdentity, error) {
	id, err := p.identify(c)
	if err != nil {
		p.mu.Lock()
		p.refused = err
		p.mu.Unlock()
		p.notify()
	}
	return id, err
}

func (p *Phone) identify(c transport.Check) (transport.PeerIdentity, error) {
	certs := c.State.PeerCertificates
	if len(certs) == 0 {
		return transport.PeerIdentity{}, fmt.Errorf("phone %s: the server showed no certificate", p.cfg.Name)
	}
	leaf := certs[0]
	p.mu.Lock()
	roots := p.cfg.Roots
	p.mu.Unlock()
	pool := x509.NewCertPool()
	for _, i := range certs[1:] {
		pool.AddCert(i)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
	if err != nil {
		return transport.PeerIdentity{}, fmt.Errorf("phone %s: server certificate %q is not trusted: %w", p.cfg.Name, leaf.Subject, err)
	}
	if err := leaf.VerifyHostname(c.ServerName); err != nil {
		return transport.PeerIdentity{}, fmt.Errorf("phone %s: server certificate %q is for somebody else: %w", p.cfg.Name, leaf.Subject, err)
	}
	names := append([]string{c.ServerName}, leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return transport.PeerIdentity{
		Key: leaf.Issuer.String() + "/" + leaf.SerialNumber.Text(16), Subject: leaf.Subject.String(), Issuer: leaf.Issuer.String(),
		Serial: leaf.SerialNumber.Text(16), Names: names, Detail: chains[0],
	}, nil
}

// WaitRefused waits until the phone has refused its server's certificate, and returns the reason; nil when ctx ended first.
func (p *Phone) WaitRefused(ctx context.Context) error {
	var why error
	_ = p.wait(ctx, "waiting for a bad certificate", func() (bool, error) { why = p.refused; return why != nil, nil })
	return why
}

// subjects are the subjects of a verified chain, leaf first.
func subjects(detail any) []string {
	chain, _ := detail.([]*x509.Certificate)
	var out []string
	for _, c := range chain {
		out = append(out, c.Subject.String())
	}
	return out
}
