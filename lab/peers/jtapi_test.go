package peers

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/trustlist"
)

// A jtapi is Cisco's JTAPI client, driven by testdata/jtapi/Enrol.java: TFTP, trust list and CAPF of a CTI application.
type jtapi struct {
	*Process
	folder string // where it keeps lists, key and certificate
	owner  capfprofile.Owner
}

const (
	jtapiUser       = "cti"
	jtapiInstance   = "inst1"
	jtapiPassphrase = "of-its-key-store"
)

// startJTAPI compiles the driver and starts it. The client is in the public repository CiscoDevNet/jtapi-samples; 12.5 needs
// nothing beside it, later ones need another provider of cryptography.
func startJTAPI(t *testing.T, ctx context.Context, s *testSite) *jtapi {
	t.Helper()
	jar := os.Getenv("LOCKTONE_JTAPI_JAR")
	dir := folder(t, "jtapi")
	source, err := os.ReadFile(filepath.Join("testdata", "jtapi", "Enrol.java"))
	if err != nil {
		t.Fatal(err)
	}
	j := &jtapi{folder: filepath.Join(dir, "certificates"), owner: capfprofile.Owner{User: jtapiUser, Instance: jtapiInstance}}
	if err := os.Mkdir(j.folder, 0o700); err != nil { // it does not make it
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Enrol.java"), source, 0o600); err != nil {
		t.Fatal(err)
	}
	compile, err := run(dir, "javac", "-cp", jar, "Enrol.java")
	if err != nil {
		t.Fatal(err)
	}
	if err := compile.Exit(ctx); err != nil {
		t.Fatalf("javac: %v\n%s", err, compile.Tail(20))
	}
	port := strconv.Itoa(int(s.Provisioning.TFTP().Port()))
	j.Process, err = run(dir, "java", "-cp", ".:"+jar, "Enrol", s.CallManager().String(), port, "3804", jtapiUser, jtapiInstance, j.folder, jtapiPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Stop)
	if _, err := j.Wait(ctx, 0, "ready"); err != nil {
		t.Fatal(err)
	}
	return j
}

// do gives it a line and returns its answer.
func (j *jtapi) do(t *testing.T, ctx context.Context, line string) string {
	t.Helper()
	mark := j.Mark()
	if err := j.Say(line); err != nil {
		t.Fatal(err)
	}
	what, _, _ := strings.Cut(line, " ")
	said, err := j.Wait(ctx, mark, "did "+what, "failed "+what)
	if err != nil {
		t.Fatal(err)
	}
	return said
}

// list is what it has of the trust list: the file as fetched.
func (j *jtapi) list(t *testing.T) *trustlist.List {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(j.folder, "CTLFile.tlv.sgn"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := trustlist.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// trusted are the SHA-256 fingerprints, lower-case hex, of the certificates in its key store of servers, and own of the one in
// its own. The JDK's keytool reads them.
func (j *jtapi) trusted(t *testing.T, ctx context.Context, store string) map[string]bool {
	t.Helper()
	p, err := run(folder(t, "keytool"), "keytool", "-list", "-v", "-keystore", filepath.Join(j.folder, store+"-"+jtapiUser+"-"+jtapiInstance), "-storepass", jtapiPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Exit(ctx); err != nil {
		t.Fatalf("keytool: %v\n%s", err, p.Tail(20))
	}
	out := map[string]bool{}
	for _, line := range p.Output() {
		if f, ok := strings.CutPrefix(strings.TrimSpace(line), "SHA256: "); ok {
			out[strings.ToLower(strings.ReplaceAll(f, ":", ""))] = true
		}
	}
	return out
}

// order makes the next operation of the application, with a string.
func (j *jtapi) order(t *testing.T, ctx context.Context, s *testSite) string {
	t.Helper()
	made, err := s.Profiles.Create(ctx, capfprofile.Order{Owner: j.owner, Operation: capfprofile.InstallUpgrade, Mode: capfprofile.ByAuthenticationString, Order: capfprofile.RSAOnly})
	if err != nil {
		t.Fatal(err)
	}
	return made.String.Reveal()
}

func (j *jtapi) profile(t *testing.T, ctx context.Context, s *testSite) capfprofile.Profile {
	t.Helper()
	p, err := s.Profiles.Get(ctx, j.owner)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// presented is the fingerprint of the RSA certificate that the call manager presents.
func presented(t *testing.T, s *testSite) string {
	t.Helper()
	for _, c := range s.Identity(callmanager.Name).Snapshot().Certificates.Server {
		if leaf := c.Leaf(); strings.HasPrefix(pki.KeyName(leaf), "RSA") {
			return pki.Fingerprint(leaf)
		}
	}
	t.Fatal("the call manager has no RSA certificate")
	return ""
}

// TestJTAPI: Cisco's client fetches the list for the CAPF it was told of, enrols with a string, takes the list that is signed after
// the call manager's certificate was replaced, and is refused with a wrong string, which is counted.
func TestJTAPI(t *testing.T) {
	if os.Getenv("LOCKTONE_JTAPI_JAR") == "" {
		t.Skip("LOCKTONE_JTAPI_JAR is not set: Cisco's JTAPI client (jtapi-12.5.jar of the public repository CiscoDevNet/jtapi-samples) is not tried")
	}
	Need(t, javac, java)
	ctx := within(t, 90*time.Second)
	s := startSite(t, func(c *config.Site) {
		withCAPF(c, config.NodeService{LegacyRSA: true}) // it knows no ECDHE
	}, lab.Options{})
	j := startJTAPI(t, ctx, s)

	if said := j.do(t, ctx, "enrol "+j.order(t, ctx, s)); !strings.Contains(said, "updated=true") {
		t.Fatalf("%s\n%s", said, j.Tail(40))
	}
	enrolled := j.profile(t, ctx, s)
	if enrolled.Status != "Upgrade Success" || enrolled.LSC == nil || !enrolled.Unpinned {
		t.Fatalf("the profile: %+v", enrolled)
	}
	if own := j.trusted(t, ctx, "JtapiClientKeyStore"); !own[enrolled.LSC.Fingerprint] {
		t.Errorf("it holds %v, issued was %s", own, enrolled.LSC.Fingerprint)
	}
	before, first := presented(t, s), j.list(t)
	if servers := j.trusted(t, ctx, "JtapiServerKeyStore"); !servers[before] {
		t.Errorf("it trusts %v, the call manager presents %s", servers, before)
	}

	waiting := rotate(t, ctx, s, rotation.CallManager)
	if len(waiting.Waits) != 1 || waiting.Needed != 0 { // it has no name that its fetching would tell
		t.Errorf("the rotation waits for %+v", waiting.Waits)
	}
	if said := j.do(t, ctx, "lists"); strings.HasPrefix(said, "failed") {
		t.Fatalf("the list with both certificates: %s\n%s", said, j.Tail(40))
	}
	second := j.list(t)
	if string(second.Bytes()) == string(first.Bytes()) {
		t.Fatal("the list is the same as before")
	}
	for _, r := range second.ByRole(trustlist.RoleCCMTFTP) {
		c, err := r.X509()
		if err != nil {
			t.Fatal(err)
		}
		if servers := j.trusted(t, ctx, "JtapiServerKeyStore"); !servers[pki.Fingerprint(c)] && strings.HasPrefix(pki.KeyName(c), "RSA") {
			t.Errorf("while both are listed it does not trust %s %s", c.Subject, pki.Fingerprint(c))
		}
	}
	rotated(t, ctx, s)
	after := presented(t, s)
	if said := j.do(t, ctx, "lists"); strings.HasPrefix(said, "failed") {
		t.Fatalf("the list after the rotation: %s\n%s", said, j.Tail(40))
	}
	if servers := j.trusted(t, ctx, "JtapiServerKeyStore"); after == before || !servers[after] || servers[before] {
		t.Errorf("the call manager presented %s and presents %s; it trusts %v", before, after, servers)
	}

	right := j.order(t, ctx, s)
	wrong := "0000" + right[4:]
	if wrong == right {
		wrong = "1111" + right[4:]
	}
	mark := j.Mark()
	said := j.do(t, ctx, "enrol "+wrong)
	if p := j.profile(t, ctx, s); strings.Contains(said, "updated=true") || p.Failures != 1 || p.LSC == nil || p.LSC.Ref != enrolled.LSC.Ref {
		t.Errorf("a wrong string: %s, %+v\n%s", said, p, strings.Join(j.Output()[mark:], "\n"))
	}
	if said := j.do(t, ctx, "enrol "+right); !strings.Contains(said, "updated=true") {
		t.Errorf("and then the right one: %s\n%s", said, j.Tail(40))
	}
	if p := j.profile(t, ctx, s); p.Status != "Upgrade Success" || p.Failures != 0 || p.LSC.Ref == enrolled.LSC.Ref {
		t.Errorf("enrolled again: %+v", p)
	}
}

// rotate begins to replace what the target names, and returns when that waits for somebody or is over.
func rotate(t *testing.T, ctx context.Context, s *testSite, target rotation.Target) (st rotation.Status) {
	t.Helper()
	st, err := s.Rotation.Begin(ctx, target, rotation.Options{}, "the test")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, ctx, "the rotation of "+string(target)+" waits", func() bool {
		if st, err = s.Rotation.Status(ctx); err != nil {
			t.Fatal(err)
		}
		return st.Waiting > 0 || !st.Running()
	})
	return st
}

// rotated waits until the rotation is over.
func rotated(t *testing.T, ctx context.Context, s *testSite) {
	t.Helper()
	eventually(t, ctx, "the end of the rotation", func() bool {
		st, err := s.Rotation.Status(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return !st.Running()
	})
}
