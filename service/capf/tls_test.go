package capf

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNullCiphers: a phone in authenticated mode offers ciphers that do not encrypt; openssl plays it. It is refused, exception
// or not, and the finding names what it offered.
func TestNullCiphers(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not installed: NULL ciphers are not offered")
	}
	k := start(t, func(c *Config) { c.LegacyRSA = true })
	out, err := exec.CommandContext(t.Context(), "openssl", "s_client", "-connect", k.addr, "-tls1_2", "-cipher", "NULL-SHA:@SECLEVEL=0").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "alert") {
		t.Fatalf("%v\n%s", err, out)
	}
	k.waitFor(func() bool { return len(k.records("do not encrypt")) == 1 }, "a finding about NULL ciphers")
	if r := k.records("do not encrypt")[0]; !strings.Contains(r.Field("offered"), "TLS_RSA_WITH_NULL_SHA") || r.Field("rule") != "protocol" {
		t.Errorf("%+v", r)
	}
}
