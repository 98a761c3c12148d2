package element

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip/transport"
)

// TestWhyRefused: the operator reads the finding that refused, not a warning that was found before it.
func TestWhyRefused(t *testing.T) {
	found := pki.Findings{{Severity: pki.Warning, What: "presented a certificate that is valid for 10 years", Fix: "x"},
		{Severity: pki.Refusal, What: "presented a certificate that was revoked", Fix: "y"}}
	got := whyRefused(transport.HandshakeFailure{Inbound: true, Remote: netip.MustParseAddrPort("10.0.0.1:5061"), Err: found.Err("10.0.0.1:5061")})
	if !strings.Contains(got, "10.0.0.1:5061 presented a certificate that was revoked") {
		t.Error(got)
	}
}
