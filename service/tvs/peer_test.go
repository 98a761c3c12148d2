package tvs

import (
	"context"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/truststore"
)

// TestTvsc: the client of usecallmanager.nz asks us about one of ours, an upload of each role, and a stranger.
// LOCKTONE_USECALLMANAGER is a folder with a clone of usecallmanagernz/daemons in daemons; it needs the Debian package
// python3-cryptography. The client presents no certificate and knows VERIFY only.
func TestTvsc(t *testing.T) {
	folder := os.Getenv("LOCKTONE_USECALLMANAGER")
	if folder == "" {
		t.Skip("needs LOCKTONE_USECALLMANAGER, a folder with a clone of github.com/usecallmanagernz/daemons in daemons")
	}
	s := start(t, func(c *Config) { c.AllowAnonymous, c.TTL = true, 2*time.Hour })
	dir := t.TempDir()
	write := func(name string, der []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots := filepath.Join(dir, "roots.pem")
	if err := os.WriteFile(roots, s.ca.RootsPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := func(file string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, "/usr/bin/python3", filepath.Join(folder, "daemons", "tvsc"), "-T", roots, "-h", s.address(), "-d", device, file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	expect := func(file string, words ...string) {
		t.Helper()
		out := strings.Join(strings.Fields(ask(file)), " ")
		for _, w := range words {
			if !strings.Contains(out, w) {
				t.Errorf("%s: %s, want %q", filepath.Base(file), out, w)
			}
		}
	}
	expect(write("cm.pem", s.cm.Server[1].Leaf().Raw), "Status: Valid", "Role: CCM+TFTP", "TTL: 7200 seconds")
	expect(write("tvs.pem", s.tvs.Server[1].Leaf().Raw), "Status: Valid", "Role: TVS")
	for p, role := range map[truststore.Purpose]string{truststore.PhoneSASTTrust: "SAST", truststore.TomcatTrust: "APP-SERVER"} {
		x := made(t, string(p), nil, nil).Leaf
		file := write(string(p)+".pem", x.Raw)
		expect(file, "Status: Invalid")
		if _, err := s.uploads.Upload(t.Context(), truststore.Upload{Purpose: p, Certificate: x}); err != nil {
			t.Fatal(err)
		}
		expect(file, "Status: Valid", role)
		if _, err := s.uploads.Remove(t.Context(), p, pki.Fingerprint(x), "ann", ""); err != nil {
			t.Fatal(err)
		}
		expect(file, "Status: Invalid")
	}
}
