package pki

import (
	"crypto/x509"
	"testing"
)

// TestVerifyAgain: a device that comes back is who it was. Each handshake parses the chain anew, while the path of the
// first one is remembered.
func TestVerifyAgain(t *testing.T) {
	ca := testCA(t)
	trust := must(ca.Trust())(t)
	issued := must(ca.Issue(t.Context(), Request{Kind: KindDevice, Name: "SEP001122334455"}))(t)
	for n := range 3 {
		var chain []*x509.Certificate
		for _, c := range issued.Credential.Chain {
			chain = append(chain, must(x509.ParseCertificate(c.Raw))(t))
		}
		r := trust.Verify(chain, PeerIsClient, PeerPolicy{Kinds: KindsOf(KindDevice)}, ca.cfg.Now())
		if f, ok := AuthorizeDevice(r, "SEP001122334455"); !ok || r.Entry == nil {
			t.Errorf("connection %d: %v, entry %v, kinds %v", n+1, f, r.Entry, r.Kinds)
		}
	}
}
