package peers

import (
	"context"
	"os"
	"path/filepath"
	"slices"
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

// A jtapi is Cisco's JTAPI client, driven by testdata/jtapi/Drive.java: an application by its public interface.
type jtapi struct {
	*Process
	version string
	folder  string // where it keeps lists, key and certificate
	owner   capfprofile.Owner
	at      string // HOST TFTPPORT CAPFPORT USER INSTANCE FOLDER PASSPHRASE, as its commands take them
}

const (
	jtapiUser       = "cti"
	jtapiInstance   = "inst1"
	jtapiPassphrase = "of-its-key-store"
)

// jtapiJars are the versions of the client there are, by version: the files that LOCKTONE_JTAPI_JAR lists. The client is in the public
// repository CiscoDevNet/jtapi-samples (lib/com/cisco/jtapi/jtapi).
func jtapiJars() map[string]string {
	out := map[string]string{}
	for _, path := range filepath.SplitList(os.Getenv("LOCKTONE_JTAPI_JAR")) {
		version := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "jtapi-"), ".jar")
		out[version] = path
	}
	return out
}

// needJTAPI skips a test without that version of the client.
func needJTAPI(t *testing.T, version string) {
	t.Helper()
	if jtapiJars()[version] == "" {
		t.Skipf("LOCKTONE_JTAPI_JAR does not list jtapi-%s.jar (public repository CiscoDevNet/jtapi-samples): Cisco's JTAPI client %s is not tried", version, version)
	}
	Need(t, javac, java)
}

// startJTAPI compiles the driver and starts it. 12.5 needs nothing beside it, later ones need another provider of cryptography for TLS.
func startJTAPI(t *testing.T, ctx context.Context, s *testSite, version string) *jtapi {
	t.Helper()
	jar, dir := jtapiJars()[version], folder(t, "jtapi")
	source, err := os.ReadFile(filepath.Join("testdata", "jtapi", "Drive.java"))
	must(t, err)
	j := &jtapi{version: version, folder: filepath.Join(dir, "certificates"), owner: capfprofile.Owner{User: jtapiUser, Instance: jtapiInstance}}
	must(t, os.Mkdir(j.folder, 0o700)) // it does not make it
	must(t, os.WriteFile(filepath.Join(dir, "Drive.java"), source, 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "jtapi.ini"), []byte(jtapiSettings), 0o600))
	compile, err := run(dir, "javac", "-cp", jar, "Drive.java")
	must(t, err)
	if err := compile.Exit(ctx); err != nil {
		t.Fatalf("javac: %v\n%s", err, compile.Tail(20))
	}
	j.at = strings.Join([]string{s.CallManager().String(), strconv.Itoa(int(s.Provisioning.TFTP().Port())), "3804", jtapiUser, jtapiInstance, j.folder, jtapiPassphrase}, " ")
	j.Process, err = run(dir, "java", "-cp", ".:"+jar, "Drive")
	must(t, err)
	t.Cleanup(func() {
		j.Stop()
		if t.Failed() { // its folder stays then, and what it has said and heard by field name with it
			must(t, os.WriteFile(filepath.Join(dir, "output.txt"), []byte(strings.Join(j.Output(), "\n")), 0o600))
		}
	})
	if _, err := j.Wait(ctx, 0, "ready"); err != nil {
		t.Fatal(err)
	}
	return j
}

// jtapiSettings is the client's jtapi.ini: what it writes of itself goes to its output, messages by field name included. What is left out
// is nought, not a default: without a connect timeout it does not enrol.
const jtapiSettings = `UseSystemDotOut=1
UseTraceFile=0
UseSyslog=0
UseAlarmService=0
Traces=WARNING;INFORMATIONAL;DEBUG
WARNING=1
INFORMATIONAL=1
DEBUG=1
Debugging=JTAPI_DEBUGGING;JTAPIIMPL_DEBUGGING;CTI_DEBUGGING;CTIIMPL_DEBUGGING;PROTOCOL_DEBUGGING;MISC_DEBUGGING
PROTOCOL_DEBUGGING=1
JTAPI_DEBUGGING=1
JTAPIIMPL_DEBUGGING=0
CTI_DEBUGGING=0
CTIIMPL_DEBUGGING=0
MISC_DEBUGGING=0
ApplicationPriority=2
HuntListEnabled=1
DropAnyPartyEnabled=1
PeriodicWakeupEnabled=1
PeriodicWakeupInterval=50
QueueSizeThreshold=25
JavaSocketConnectTimeout=15
ProviderOpenRequestTimeout=200
CtiRequestTimeout=30
CtiRedirectRequestTimeout=120
JtapiPostConditionTimeout=15
RouteSelectTimeout=5000
DesiredServerHeartbeatInterval=30
ProviderRetryInterval=3
JTAPINotificationPort=2789
`

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

// must gives it a line and returns what it says, which must not be a failure.
func (j *jtapi) must(t *testing.T, ctx context.Context, line string) string {
	t.Helper()
	what, _, _ := strings.Cut(line, " ")
	said := j.do(t, ctx, line)
	if strings.HasPrefix(said, "failed") {
		t.Fatalf("%s: %s\n%s", line, said, j.Tail(60))
	}
	return strings.TrimSpace(strings.TrimPrefix(said, "did "+what))
}

// heard waits, from a mark on, for a line of an event in which all words stand.
func (j *jtapi) heard(t *testing.T, ctx context.Context, mark int, words ...string) {
	t.Helper()
	for {
		said, err := j.Wait(ctx, mark, "event ")
		if err != nil {
			t.Fatalf("waiting for the event %q: %v\n%s", words, err, strings.Join(j.eventsSince(0), "\n"))
		}
		for i, line := range j.Output()[mark:] {
			if line == said {
				mark += i + 1
				break
			}
		}
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(said+" ", w) }) {
			return
		}
	}
}

// eventsSince are the lines of events from a mark on.
func (j *jtapi) eventsSince(mark int) (out []string) {
	for _, line := range j.Output()[mark:] {
		if strings.HasPrefix(line, "event ") {
			out = append(out, strings.TrimPrefix(line, "event "))
		}
	}
	return out
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
	needJTAPI(t, "12.5")
	ctx := within(t, 90*time.Second)
	s := startSite(t, func(c *config.Site) {
		withCAPF(c, config.NodeService{LegacyRSA: true}) // it knows no ECDHE
	}, lab.Options{})
	j := startJTAPI(t, ctx, s, "12.5")

	if said := j.do(t, ctx, "enrol "+j.order(t, ctx, s)+" "+j.at); !strings.Contains(said, "updated=true") {
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
	if said := j.do(t, ctx, "lists - "+j.at); strings.HasPrefix(said, "failed") {
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
	if said := j.do(t, ctx, "lists - "+j.at); strings.HasPrefix(said, "failed") {
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
	said := j.do(t, ctx, "enrol "+wrong+" "+j.at)
	if p := j.profile(t, ctx, s); strings.Contains(said, "updated=true") || p.Failures != 1 || p.LSC == nil || p.LSC.Ref != enrolled.LSC.Ref {
		t.Errorf("a wrong string: %s, %+v\n%s", said, p, strings.Join(j.Output()[mark:], "\n"))
	}
	if said := j.do(t, ctx, "enrol "+right+" "+j.at); !strings.Contains(said, "updated=true") {
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
