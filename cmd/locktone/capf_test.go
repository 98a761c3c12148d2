package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// capfNode is an administration with enrolment profiles and one request to the offline authority.
func capfNode(t *testing.T) (home string, book *capfprofile.Book) {
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
	site := config.Default("node1")
	site.Users = append(site.Users, config.User{Name: "tapi"})
	site.PhoneSecurityProfiles = append(site.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "by-null", CAPF: config.CAPFSettings{AuthenticationMode: config.CAPFNullString, KeyOrder: config.RSAOnly, RSAKeySize: 3072}})
	site.Devices = append(site.Devices, config.Device{Name: "SEP001122334455", DevicePool: site.DevicePools[0].Name, PhoneSecurityProfile: "by-null"})
	_, err = s.Apply(ctx, store.ChangeSet{Changes: config.Diff(nil, site)})
	must(err)
	b, err := bus.Open(ctx, bus.Config{})
	must(err)
	t.Cleanup(func() { b.Close() })
	r, err := trace.Open(trace.Config{Dir: filepath.Join(home, "trace")})
	must(err)
	t.Cleanup(func() { r.Close() })
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := func() time.Time { return at }
	book = capfprofile.New(s.Documents(capfprofile.Collection), capfprofile.Config{Iterations: 100, Now: clock})
	queue := capfprofile.NewQueue(s.Documents(capfprofile.RequestCollection), clock)
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), 7))
	must(err)
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	must(err)
	_, _, err = queue.Ask(ctx, capfprofile.Owner{User: "tapi", Instance: "7"}, spki, "10.0.0.9:4711", capfprofile.Registrar{Key: key})
	must(err)
	server, err := admin.Listen(ctx, admin.Config{Home: home, Store: s, Bus: b, Trace: r, Now: clock, Enrolment: admin.Enrolment{Profiles: book, Requests: queue,
		Signers: func(context.Context) ([][32]byte, error) { return [][32]byte{{1, 2, 3}, {4, 5, 6}}, nil }}})
	must(err)
	t.Cleanup(func() { server.Close(ctx) })
	return home, book
}

// TestCAPFOutput: what people read, command by command; what is secret is shown once, where it is made.
func TestCAPFOutput(t *testing.T) {
	t.Setenv("TZ", "UTC")
	home, book := capfNode(t)
	var all strings.Builder
	run := func(line string) {
		text, code := command(t, append([]string{"--home", home}, strings.Fields(line)...)...)
		all.WriteString("$ locktone " + line + "\n" + text + "exit " + string(rune('0'+code)) + "\n\n")
	}
	for _, line := range []string{
		"capf profile list",
		"capf profile create --user tapi --instance 5 --string 8675309 --completes-by 2027:01:31:18",
		"capf profile create --user tapi --instance 5 --string 8675309",
		"capf profile create --user nobody --instance 5",
		"capf profile create --device SEP001122334455 --completes-by 2027:01:31:18",
		"capf profile create --device SEPFFFFFFFFFFFF",
		"capf profile create --device SEP001122334455 --user tapi",
		"capf profile create --device SEP001122334455 --operation delete --mode existing-certificate-lsc --key-order ec-only --ec-key-size 384 --completes-by 2027:01:31:18 --replace",
		"capf profile create --user tapi --instance 6 --end-user --string 246810 --join-token --completes-by 2027:01:31:18",
		"--json capf profile create --user tapi --instance 8 --string 135791 --completes-by 2027:01:31:18",
		"capf profile create --user tapi --instance 9 --completes-by tomorrow",
		"capf profile create --user tapi --instance 9 --string 12 --completes-by 2027:01:31:18",
		"capf profile create --user tapi --instance 9 --operation troubleshoot --completes-by 2027:01:31:18",
		"capf profile list", "capf profile show tapi/5", "capf profile show tapi/6", "capf profile show SEP001122334455", "capf profile show tapi/none", "--json capf profile show tapi/5",
	} {
		run(line)
	}
	for range 5 {
		_, _ = book.Begin(t.Context(), capfprofile.Knock{Name: "CTI-5", String: "0000", Remote: "10.0.0.7:4711"})
	}
	out := filepath.Join(home, "out")
	for _, line := range []string{
		"capf profile show tapi/5", "capf profile reset tapi/5", "capf profile reset tapi/5 --cancel", "capf profile delete tapi/5", "capf profile delete tapi/5", "capf profile delete tapi/6 --revoke",
		"capf requests list", "capf requests export -o " + out, "capf requests export none", "capf requests import " + filepath.Join(home, "s.db"), "capf requests reject 0000",
	} {
		run(line)
	}
	text := strings.ReplaceAll(all.String(), home, "HOME")
	path := filepath.Join("testdata", "capf.txt")
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, text)
	}
	if files, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(files) != 2 {
		t.Errorf("%v %v", files, err)
	}
	noSecrets(t, home, text)
}

// noSecrets: a string that the operator made up is in the answer that confirms it and nowhere else: not in the store, not in
// the audit log, not in the trace.
func noSecrets(t *testing.T, home, text string) {
	t.Helper()
	audit, _ := command(t, "--home", home, "--json", "audit")
	if !strings.Contains(audit, "create-capf-profile") || !strings.Contains(audit, "tapi/5") || !strings.Contains(audit, "reset-capf-profile") {
		t.Errorf("not audited:\n%s", audit)
	}
	for _, secret := range []string{"8675309", "246810", "135791"} {
		if n := strings.Count(text, secret); n == 0 || n > 3 {
			t.Errorf("%s is shown %d times", secret, n)
		}
		if strings.Contains(audit, secret) {
			t.Errorf("%s is in the audit log", secret)
		}
		err := filepath.Walk(home, func(path string, info os.FileInfo, err error) error {
			if err != nil || info.IsDir() || !info.Mode().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(secret)) {
				t.Errorf("%s is in %s", secret, path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
