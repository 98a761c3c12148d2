package pki

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestOpenSSLAgrees: what we issue passes another implementation's strict verification, for its purpose and no other.
func TestOpenSSLAgrees(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skipf("no openssl: %v", err)
	}
	ca, dir := testCA(t), t.TempDir()
	write := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := write("roots.pem", ca.RootsPEM())
	verify := func(leaf, purpose string) (string, bool) {
		out, err := exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose, "-CAfile", roots, leaf).CombinedOutput()
		return string(out), err == nil
	}
	c := must(ca.Service(t.Context(), spec("alpha")))(t)
	device := issue(t, ca, Request{Kind: KindDevice, Name: "SEP00000000ABCD", Algorithm: RSA2048}).Credential
	for purpose, creds := range map[string][]Credential{"sslserver": c.Server, "sslclient": append([]Credential{device}, c.Client...)} {
		other := map[string]string{"sslserver": "sslclient", "sslclient": "sslserver"}[purpose]
		for _, cr := range creds {
			path := write("leaf.pem", cr.CertificatePEM())
			if out, ok := verify(path, purpose); !ok {
				t.Errorf("%s as %s: %s", subject(cr.Leaf()), purpose, out)
			}
			if out, ok := verify(path, other); ok || !strings.Contains(out, "purpose") {
				t.Errorf("%s as %s passes: %s", subject(cr.Leaf()), other, out)
			}
		}
	}
}
