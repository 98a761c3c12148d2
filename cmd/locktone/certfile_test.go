package main

import (
	"context"
	"encoding/json"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/peers"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// certNode starts an administration with an authority, a service's certificates and a trust store whose clock stands.
func certNode(t *testing.T) string {
	t.Helper()
	ctx, home := context.Background(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := store.Open(ctx, filepath.Join(home, "s.db"), store.Options{})
	must(err)
	t.Cleanup(func() { s.Close() })
	_, err = s.Apply(ctx, store.ChangeSet{Changes: config.Diff(nil, config.Default("node1"))})
	must(err)
	b, err := bus.Open(ctx, bus.Config{})
	must(err)
	t.Cleanup(func() { b.Close() })
	r, err := trace.Open(trace.Config{})
	must(err)
	t.Cleanup(func() { r.Close() })
	keys, err := pki.OpenDir(filepath.Join(home, "pki"))
	must(err)
	ca, err := pki.Open(ctx, pki.Config{Cluster: "lab", Custody: keys, Register: s.Certificates()})
	must(err)
	own, err := ca.Service(ctx, pki.ServiceSpec{Name: "callmanager", Host: "cm.lab.test", IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	must(err)
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	server, err := admin.Listen(ctx, admin.Config{Home: home, Store: s, Bus: b, Trace: r, CA: ca, Issued: s.Certificates(), TrustStores: admin.TrustStores{
		Store:       truststore.Open(truststore.Config{Documents: s.Documents(truststore.Collection), Own: ca.Roots, Now: func() time.Time { return at }}),
		Credentials: func(name string) (pki.Certificates, bool) { return own, name == "callmanager" },
	}})
	must(err)
	t.Cleanup(func() { server.Close(ctx) })
	return home
}

// TestCertificateFiles: what people read of import and of the trust stores.
func TestCertificateFiles(t *testing.T) {
	t.Setenv("TZ", "UTC")
	home, out := certNode(t), t.TempDir()
	dir := filepath.Join("testdata", "certfile")
	here, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, line := range []string{
		"cert import DIR/root.0", "cert import DIR/leaf.txt", "cert import DIR/bundle.p7b", "cert import DIR/root.htm", "cert import DIR/request.csr",
		"cert import DIR/voicemail.p12 --password-file DIR/root.htm", "cert import DIR/voicemail.p12 --password-file DIR/password --out OUT",
		"cert import DIR/voicemail.p12 --password-file DIR/password --out OUT",
		"cert store list", "cert store upload callmanager-trust DIR/root.0", "cert store upload CallManager-trust DIR/leaf.txt", "cert store upload capf-trust DIR/leaf.txt",
		"cert store upload phone-sast-trust DIR/bundle.p7b", "cert store upload capf-trust DIR/expired.pem", "cert store upload capf-trust DIR/withkey.pem",
		"cert store upload capf-trust DIR/voicemail.p12", "cert store upload shoe-trust DIR/root.0", "cert store upload capf-trust DIR/root.cer --for peer",
		"cert store upload callmanager-trust DIR/root.cer --for peer,device --role CCM+TFTP", "cert import DIR/voicemail.p12 --password-file DIR/password --trust capf-trust",
		"cert store list", "--json cert store list phone-sast-trust", "cert store remove capf-trust ROOT", "cert store remove capf-trust 0000000000", "cert store remove capf-trust 12",
		"cert store list capf-trust", "cert store list capf-trust --all", "cert store remove callmanager-trust ROOT --revoked --reason copied", "cert store upload capf-trust DIR/root.0",
		"cert store list --all", "cert export SEP001122334455 --out OUT",
	} {
		args := strings.Fields(strings.NewReplacer("DIR", dir, "OUT", out, "ROOT", rootFingerprint).Replace(line))
		text, code := command(t, append([]string{"--home", home}, args...)...)
		text = strings.NewReplacer(out, "OUT", here, "DIR").Replace(whoever.ReplaceAllString(text, `"by": "ann"`))
		all.WriteString("$ locktone " + line + "\n" + text + "exit " + string(rune('0'+code)) + "\n\n")
	}
	path := filepath.Join("testdata", "certfile.txt")
	if *update {
		if err := os.WriteFile(path, []byte(all.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if all.String() != string(want) {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, all.String())
	}
	text, _ := command(t, "--home", home, "--json", "audit")
	for _, want := range []string{`"upload-trust"`, `"remove-trust"`, `"revoke-trust"`, `"object": "callmanager-trust root.0"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the audit log lacks %s", want)
		}
	}
}

// whoever is the user that runs the test.
var whoever = regexp.MustCompile(`"by": "[^"]*"`)

// rootFingerprint begins the fingerprint of testdata/certfile/root.0.
const rootFingerprint = "26:C9:AB:66:5F:84:6F:A2"

// TestExport: openssl reads what was exported: PEM, DER, hashed names that it finds by itself, and PKCS #12 with the key
// under a password.
func TestExport(t *testing.T) {
	peers.Need(t, peers.Program{Name: "openssl", Package: "openssl"})
	home, dir := certNode(t), t.TempDir()
	export := func(args ...string) (files []string) {
		t.Helper()
		text, code := command(t, append([]string{"--home", home, "--json", "cert", "export", "--out", dir}, args...)...)
		var answer struct{ Files []string }
		if err := json.Unmarshal([]byte(text), &answer); err != nil || code != 0 {
			t.Fatalf("%v: %v %s", args, err, text)
		}
		return answer.Files
	}
	openssl := func(args ...string) string {
		t.Helper()
		out, err := exec.Command("openssl", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl %s: %v %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if files := export("roots", "--format", "0"); len(files) != 4 {
		t.Errorf("%v", files)
	}
	for _, f := range export("callmanager") {
		openssl("verify", "-no-CAfile", "-CApath", dir, f)
	}
	for _, f := range export("callmanager", "--format", "der") {
		if out := openssl("x509", "-inform", "DER", "-in", f, "-noout", "-subject"); !strings.Contains(out, "cm.lab.test") {
			t.Error(out)
		}
	}
	password := filepath.Join("testdata", "certfile", "password")
	for _, extra := range [][]string{nil, {"--legacy"}} {
		files := export(append([]string{"callmanager", "--format", "p12", "--password-file", password}, extra...)...)
		if len(files) != 4 {
			t.Fatalf("%v", files)
		}
		for _, f := range files {
			if out := openssl("pkcs12", "-in", f, "-passin", "file:"+password, "-nodes"); strings.Count(out, "BEGIN CERTIFICATE") != 2 || !strings.Contains(out, "BEGIN PRIVATE KEY") {
				t.Errorf("%s: %s", f, out)
			}
			if st, err := os.Stat(f); err != nil || st.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", st.Mode(), err)
			}
		}
		if text, code := command(t, "--home", home, "cert", "export", "callmanager", "--format", "p12", "--password-file", password, "--out", dir); code != exitFailed || !strings.Contains(text, "would be lost") {
			t.Errorf("overwritten: %s", text)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	files := export("roots", "--format", "p12", "--password-file", password)
	if out := openssl("pkcs12", "-in", files[0], "-passin", "file:"+password, "-nokeys"); strings.Count(out, "BEGIN CERTIFICATE") != 2 {
		t.Error(out)
	}
	if text, code := command(t, "--home", home, "cert", "export", "callmanager", "--format", "p12", "--password-file", short(t)); code != exitFailed || !strings.Contains(text, "at least 8") {
		t.Error(text)
	}
}

// short is a file with a password that is too short.
func short(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "p")
	if err := os.WriteFile(path, []byte("seven77\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
