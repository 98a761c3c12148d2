package lists

import (
	"bytes"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/locktone/locktone/wire/trustlist"
)

// TestOpenSSL: a program that nobody here wrote verifies every variant of what was published, and no longer after one
// flipped bit.
func TestOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("LOCKTONE_REQUIRE_PEERS") == "1" {
			t.Fatal(err)
		}
		t.Skipf("no openssl to verify published lists with: %v", err)
	}
	s := newSite(t)
	s.all(1)
	s.publish()
	dir := t.TempDir()
	file := func(name string, b []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	openssl := func(args ...string) ([]byte, error) {
		return exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
	}
	for _, kind := range Kinds() {
		v := must(s.reader.Current(t.Context(), kind))(t)
		for _, x := range v.Variants {
			b := must(s.reader.File(t.Context(), kind, v.Number, x.Signer))(t)
			l := must(trustlist.Parse(b))(t)
			at, n := l.Header.SignatureOffset, len(l.Header.Signature)
			cert := file("signer.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.Records[0].Certificate}))
			key := file("key.pem", must(openssl("x509", "-in", cert, "-noout", "-pubkey"))(t))
			sig := file("sig", l.Header.Signature)
			data := append(bytes.Clone(b[:at]), b[at+3+n:]...)
			if out, err := openssl("dgst", "-sha256", "-verify", key, "-signature", sig, file("data", data)); err != nil {
				t.Errorf("%s signed by %s: %s", kind, l.Header.Signer.Subject, out)
			}
			data[len(data)/2] ^= 1
			if out, err := openssl("dgst", "-sha256", "-verify", key, "-signature", sig, file("data", data)); err == nil {
				t.Errorf("%s signed by %s with a flipped bit: %s", kind, l.Header.Signer.Subject, out)
			}
		}
	}
}
