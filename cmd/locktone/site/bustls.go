package site

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"

	"github.com/locktone/locktone/pki"
)

// busTLS is the TLS configuration for a NATS cluster: the cluster's authority and the node's identity where the node's
// configuration names no files. Nil for one on this machine that is reached in clear.
func (s *Site) busTLS() (*tls.Config, error) {
	c := s.node.Bus
	if !slices.ContainsFunc(c.URLs, overTLS) {
		return nil, nil
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: x509.NewCertPool(),
		GetClientCertificate: s.identities[0].identity.ClientConfig(pki.ClientPolicy{}).GetClientCertificate}
	for _, root := range s.CA.Roots() {
		out.RootCAs.AddCert(root)
	}
	if c.CAFile != "" {
		b, err := os.ReadFile(within(s.opt.Home, c.CAFile))
		if err != nil {
			return nil, fmt.Errorf("bus.caFile: %w", err)
		}
		if out.RootCAs = x509.NewCertPool(); !out.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("bus.caFile %s holds no certificate in PEM form", c.CAFile)
		}
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(within(s.opt.Home, c.CertFile), within(s.opt.Home, c.KeyFile))
		if err != nil {
			return nil, fmt.Errorf("bus.certFile: %w", err)
		}
		out.Certificates, out.GetClientCertificate = []tls.Certificate{pair}, nil
	}
	return out, nil
}
