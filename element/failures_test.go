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

// TestFailuresAreCountedAndKept: by address, the newest with what was found, and no more than there is room for.
func TestFailuresAreCountedAndKept(t *testing.T) {
	found := pki.Findings{{Severity: pki.Refusal, Rule: pki.RuleExpired, What: "presented a certificate that has expired", Fix: "renew it"}}
	e := &Element{}
	for i := range maxNewest + 10 {
		e.failures.add(transport.HandshakeFailure{Inbound: i%2 == 0, Phase: "verify", Remote: netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), uint16(i+1)), Err: found.Err("x")})
	}
	all := e.HandshakeFailures()
	if len(all) != maxNewest || all[0].Remote != "10.0.0.1:11" || all[0].Direction != "inbound" || len(all[0].Findings) != 1 || !strings.Contains(all[0].Why, "has expired") {
		t.Errorf("%d kept, the oldest %+v", len(all), all[0])
	}
	if by := e.failures.byRemote(); by["10.0.0.1"].count != maxNewest+10 || e.failures.count() != maxNewest+10 {
		t.Errorf("counted %+v", by)
	}
}
