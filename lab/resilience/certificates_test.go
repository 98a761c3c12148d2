package resilience

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/peers"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/trace"
)

// badChains are the chains of the kit in shared/peers/badclient, with part of the sentence an operator must read. Without
// one the chain is let in, and then registers the device or not (403).
var badChains = []struct {
	name, says string
	registers  bool
}{
	{"good", "", true}, {"via-ica", "", true}, {"ed25519", "", true},
	{"other-device", "", false}, {"cn-nul", "", false},
	{"revoked", "was revoked on", false},
	{"expired", "expired", false},
	{"notyet", "becomes valid only in", false},
	{"serverauth-only", "does not include clientAuth", false},
	{"codesign-only", "does not include clientAuth", false},
	{"unknown-critical-ext", "critical extension 1.2.3.4.5.6", false},
	{"no-digitalsignature", "does not include digitalSignature", false},
	{"sha1", "signed with ECDSA-SHA1", false},
	{"rsa1024", "weak key (RSA-1024)", false},
	{"rogue-same-issuer-name", "another CA", false},
	{"bad-signature", "signature does not verify", false},
	{"issuer-not-ca", "without being a CA", false},
	{"pathlen-violated", "CN=Phones ICA,O=Lab, which allows 0", false},
	{"name-constraint-violated", "outside what CN=Constrained ICA,O=Lab may certify", false},
	{"missing-intermediate", "a CA that it did not send", false},
	{"selfsigned", "self-signed", false},
	{"ica", "a CA's certificate as its own", false}, {"ncica", "a CA's certificate as its own", false},
	{"fakeca", "without any extended key usage", false},
	{"ica2", "a CA that it did not send", false},
}

// badKit makes the kit with openssl and returns its folder.
func badKit(t *testing.T) string {
	t.Helper()
	script := must(os.ReadFile(peers.Shared(t, "peers", "badclient", "make.sh")))(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("LOCKTONE_REQUIRE_PEERS") == "1" {
			t.Fatal("openssl is not installed and LOCKTONE_REQUIRE_PEERS=1: apt-get install openssl")
		}
		t.Skip("needs openssl to make the certificates: apt-get install openssl")
	}
	dir := t.TempDir()
	// The script's cleaning up ("ser*") takes the files of serverauth-only with it; the copy cleans what it means to.
	ok(t, os.WriteFile(filepath.Join(dir, "make.sh"), []byte(strings.ReplaceAll(string(script), "ser* d.cnf", "ser ser.old d.cnf")), 0o600))
	cmd := exec.CommandContext(t.Context(), "sh", "make.sh")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make.sh: %v\n%s", err, out)
	}
	return dir
}

// TestBadCertificates sends 25 chains, 1,000 handshakes in all, at a running 5061: every refusal is counted and explained in
// `show connections`, and whoever is let in registers only as who it is.
func TestBadCertificates(t *testing.T) {
	kit := badKit(t)
	read := func(name string) []byte { return must(os.ReadFile(filepath.Join(kit, name)))(t) }
	dir := filepath.Join(t.TempDir(), "home")
	ok(t, os.MkdirAll(filepath.Join(dir, "trust", "devices"), 0o700))
	ok(t, os.WriteFile(filepath.Join(dir, "trust", "devices", "lab.pem"), read("ca.crt"), 0o600))
	ok(t, os.WriteFile(filepath.Join(dir, "trust", "devices", "lab.crl"), read("ca.crl"), 0o600))
	c := modes()
	for i := range c.PhoneSecurityProfiles {
		c.PhoneSecurityProfiles[i].Certificate = config.CertificateLSCOrMIC // the kit's authority is a foreign one
	}
	s := start(t, lab.Options{Home: dir, Config: c})
	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	up := connect(t, alice, bob)
	before := measure()
	was := figure(t, s, "handshakes_refused_total")
	const each = 40
	outcomes := make([][]outcome, len(badChains))
	var mu sync.Mutex
	var workers sync.WaitGroup
	work := make(chan int)
	for range 8 {
		workers.Go(func() {
			for i := range work {
				c := must(pki.LoadCredential(append(read(badChains[i].name+".chain"), read(badChains[i].name+".key")...)))(t)
				got := try(t.Context(), s, sourceOf(i), c)
				mu.Lock()
				outcomes[i] = append(outcomes[i], got)
				mu.Unlock()
			}
		})
	}
	begin := time.Now()
	for range each {
		for i := range badChains {
			work <- i
		}
	}
	close(work)
	workers.Wait()
	t.Logf("%d handshakes in %v", each*len(badChains), time.Since(begin))
	rows := show[bus.Connection](t, s, bus.VerbConnections)
	refusals := 0
	for i, c := range badChains {
		row := slices.IndexFunc(rows, func(r bus.Connection) bool { return r.State == "failed" && r.Remote == sourceOf(i) })
		switch {
		case c.says == "" && row >= 0:
			t.Errorf("%s was refused: %s", c.name, rows[row].LastFailure)
		case c.says == "":
			want := outcome{true, 403}
			if c.registers {
				want.status = 200
			}
			for _, got := range outcomes[i] {
				if got != want {
					t.Errorf("%s: %+v, want %+v", c.name, got, want)
					break
				}
			}
		case row < 0:
			t.Errorf("%s: show connections does not list the refusal", c.name)
		default:
			refusals += each
			if r := rows[row]; r.Failures != each || !strings.Contains(r.LastFailure, c.says) || r.Subject == "" {
				t.Errorf("%s: %d failures of %q, %q; want %d and %q", c.name, r.Failures, r.Subject, r.LastFailure, each, c.says)
			}
			if slices.ContainsFunc(outcomes[i], func(o outcome) bool { return o.status != 0 }) {
				t.Errorf("%s: a request was answered", c.name)
			}
		}
	}
	if now := figure(t, s, "handshakes_refused_total"); now != was+float64(refusals) {
		t.Errorf("the metric counts %v refused handshakes, want %d", now-was, refusals)
	}
	up.hear(t)
	up.end(t)
	before.returned(t, usual)
}

func sourceOf(i int) string { return fmt.Sprintf("127.88.0.%d", i+1) }

// outcome is what became of one handshake: let in, and how a REGISTER of SEP001122334455 was answered.
type outcome struct {
	in     bool
	status int
}

func try(ctx context.Context, s *lab.Site, from string, c pki.Credential) (o outcome) {
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	conn, err := dialFrom(ctx, from, addrOf(s, 5061))
	if err != nil {
		return o
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(step))
	shown := c.TLS() // whatever the server says it accepts
	tc := tls.Client(conn, &tls.Config{RootCAs: s.Roots(), ServerName: s.CallManager().String(),
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }})
	if tc.HandshakeContext(ctx) != nil {
		return o
	}
	if _, err := io.WriteString(tc, request("REGISTER", "SEP001122334455", "TLS", "Expires: 0")); err != nil {
		return o
	}
	if o.status, _, err = answer(bufio.NewReader(tc)); err == nil {
		o.in = true // with TLS 1.3 the refusal comes after the client's side of the handshake
	}
	return o
}

// neighbours are two sites with a trunk to each other over mutual TLS, each with an authority of its own.
type neighbours struct {
	a, b               *lab.Site
	alice, bob         *phone.Phone // a, 1001 and 1002
	anna, bert         *phone.Phone // b, 2001 and 2002
	domainA, domainB   string
	trustOfA, trustOfB string
}

func startNeighbours(t *testing.T) *neighbours {
	t.Helper()
	n := &neighbours{domainA: "a.test", domainB: "b.test"}
	named := func(name, domain string, first string) *config.Site {
		c := config.Default("node1")
		c.Cluster.Name, c.Cluster.Domain = name, domain
		for i := range c.Lines {
			c.Lines[i].Number = first + c.Lines[i].Number[1:]
			c.Devices[i].Lines[0].Number = c.Lines[i].Number
		}
		for i, m := range c.LineGroups[0].Members {
			c.LineGroups[0].Members[i].Number = first + m.Number[1:]
		}
		return c
	}
	n.a = start(t, lab.Options{Config: named("north", n.domainA, "1"), Tune: impatient})
	n.b = start(t, lab.Options{Config: named("south", n.domainB, "2"), Tune: impatient})
	n.trustOfA, n.trustOfB = filepath.Join(n.a.Home(), "trust", "peers"), filepath.Join(n.b.Home(), "trust", "peers")
	for dir, pem := range map[string][]byte{n.trustOfA: n.b.CA.RootsPEM(), n.trustOfB: n.a.CA.RootsPEM()} {
		ok(t, os.MkdirAll(dir, 0o700))
		ok(t, os.WriteFile(filepath.Join(dir, "neighbour.pem"), pem, 0o600))
	}
	ok(t, n.a.Renew(within(t, step)))
	ok(t, n.b.Renew(within(t, step)))
	towards := func(to *lab.Site, domain, pattern string) func(*config.Site) {
		return func(c *config.Site) {
			c.SIPProfiles[0].OptionsPing = config.OptionsPing{IntervalInService: config.Duration(time.Second), IntervalOutOfService: config.Duration(time.Second),
				Retries: 3, RetryInterval: config.Duration(100 * time.Millisecond)}
			c.SIPTrunkSecurityProfiles = append(c.SIPTrunkSecurityProfiles, config.SIPTrunkSecurityProfile{Name: "neighbour", AcceptedSubjects: []string{"cm." + domain}})
			c.SIPTrunks = append(c.SIPTrunks, config.SIPTrunk{Name: "neighbour", Destinations: []config.Destination{{Address: to.CallManager().String()}}, SRTPAllowed: true,
				SecurityProfile: "neighbour", SIPProfile: "standard", DevicePool: "default", CallingSearchSpace: "internal"})
			c.RoutePatterns = append(c.RoutePatterns, config.RoutePattern{Pattern: pattern, Partition: "internal", Trunk: "neighbour"})
		}
	}
	apply(t, n.a, towards(n.b, n.domainB, "2XXX"))
	apply(t, n.b, towards(n.a, n.domainA, "1XXX"))
	at := func(domain string) func(*phone.Config) { return func(c *phone.Config) { c.Domain = domain } }
	n.alice, n.bob = telephone(t, n.a, "alice", "1001", at(n.domainA)), telephone(t, n.a, "bob", "1002", at(n.domainA))
	n.anna, n.bert = telephone(t, n.b, "alice", "2001", at(n.domainB)), telephone(t, n.b, "bob", "2002", at(n.domainB))
	return n
}

// trunkState waits until the trunk is in a state for a reason, and returns its row.
func trunkState(t *testing.T, s *lab.Site, want, reason string) (row bus.TrunkState) {
	t.Helper()
	eventually(t, step, func() error {
		rows := show[bus.TrunkState](t, s, bus.VerbTrunks)
		if len(rows) != 1 || rows[0].State != want || !strings.Contains(rows[0].Reason, reason) {
			return fmt.Errorf("show trunks: %+v; want %s, %q", rows, want, reason)
		}
		row = rows[0]
		return nil
	})
	return row
}

// connections are those with another site.
func connections(t *testing.T, s *lab.Site, direction string, peer *lab.Site) []bus.Connection {
	t.Helper()
	issuers := map[string]bool{}
	for _, root := range peer.CA.Roots() {
		issuers[root.Subject.String()] = true
	}
	return slices.DeleteFunc(show[bus.Connection](t, s, bus.VerbConnections), func(c bus.Connection) bool {
		return !issuers[c.Issuer] || c.State != "established" || c.Direction != direction
	})
}

// resetTrunk closes the trunk's connections, so that the next request needs a new handshake.
func resetTrunk(t *testing.T, s *lab.Site) {
	t.Helper()
	must(bus.Ask[bus.ResetRequest, bus.ResetResult](within(t, step), s.Bus, s.Bus.Subject(callmanager.Name, bus.VerbReset),
		bus.ResetRequest{Object: bus.ObjectTrunk, Name: "neighbour", Action: bus.ActionReset, Actor: "test"}))(t)
}

// TestTwoSites: a call across a mutual TLS trunk is on both sites' ladders; certificates are renewed under calls, and a
// revoked one is refused at the next handshake.
func TestTwoSites(t *testing.T) {
	t.Parallel()
	n := startNeighbours(t)
	trunkState(t, n.a, "in-service", "")
	trunkState(t, n.b, "in-service", "")
	local := connect(t, n.alice, n.bob)
	across := connect(t, n.anna, n.alice) // b to a
	across.hear(t)
	if e := across.caller.Evidence(); e.Suite == "" || e.RxAuth == 0 {
		t.Errorf("media across the trunk: %+v", e)
	}
	other := connect(t, n.bob, n.bert) // a to b
	other.hear(t)
	for _, s := range []*lab.Site{n.a, n.b} {
		ladders(t, s)
	}

	old := map[*lab.Site]pki.Certificates{}
	for _, s := range []*lab.Site{n.a, n.b} { // all are issued anew when one was revoked
		old[s] = s.Identity(callmanager.Name).Snapshot().Certificates
		ok(t, s.CA.Revoke(within(t, step), pki.RefOf(old[s].Server[0].Leaf()), "test"))
		ok(t, s.Renew(within(t, step)))
	}
	for _, p := range []pair{local, across, other} {
		p.hear(t)
	}
	for s, peer := range map[*lab.Site]*lab.Site{n.a: n.b, n.b: n.a} {
		now := peer.Identity(callmanager.Name).Snapshot().Certificates
		if now.Generation != old[peer].Generation+1 {
			t.Fatalf("generation %d after %d", now.Generation, old[peer].Generation)
		}
		if shown := serverSerial(t, s); shown == old[s].Server[0].Leaf().SerialNumber.Text(16) {
			t.Error("a new connection still sees the old server certificate")
		}
		for _, c := range append(connections(t, s, "inbound", peer), connections(t, s, "outbound", peer)...) {
			if slices.Contains(serials(now), c.Serial) {
				t.Errorf("a connection made before shows the new certificate: %+v", c)
			}
		}
	}
	for _, p := range []pair{local, across, other} {
		p.end(t)
	}
	resetTrunk(t, n.a)
	resetTrunk(t, n.b)
	for s, peer := range map[*lab.Site]*lab.Site{n.a: n.b, n.b: n.a} {
		now := serials(peer.Identity(callmanager.Name).Snapshot().Certificates)
		for _, direction := range []string{"inbound", "outbound"} {
			eventually(t, step, func() error { // OPTIONS opens them
				conns := connections(t, s, direction, peer)
				if len(conns) == 0 {
					return fmt.Errorf("no %s connection of the trunk", direction)
				}
				for _, c := range conns {
					if !slices.Contains(now, c.Serial) || !c.Verified {
						return fmt.Errorf("%s connection after the renewal shows serial %s, want one of %v", direction, c.Serial, now)
					}
				}
				return nil
			})
		}
		trunkState(t, s, "in-service", "")
	}
	fresh := connect(t, n.alice, n.anna)
	fresh.hear(t)
	back := connect(t, n.bert, n.bob)
	back.hear(t)
	fresh.end(t)
	back.end(t)

	// b's certificates are revoked, and a learns it from b's list: the next handshake is refused, in both directions.
	for _, c := range all4(n.b.Identity(callmanager.Name).Snapshot().Certificates) {
		ok(t, n.b.CA.Revoke(within(t, step), pki.RefOf(c.Leaf()), "stolen"))
	}
	for i, der := range must(n.b.CA.CRLs(within(t, step)))(t) {
		ok(t, os.WriteFile(filepath.Join(n.trustOfA, fmt.Sprintf("neighbour%d.crl", i)), der, 0o600))
	}
	ok(t, n.a.Renew(within(t, step)))
	resetTrunk(t, n.a)
	resetTrunk(t, n.b)
	t.Log("a:", trunkState(t, n.a, "out-of-service", "revoked").Reason)
	t.Log("b:", trunkState(t, n.b, "out-of-service", "bad certificate").Reason)
	eventually(t, step, func() error {
		if !slices.ContainsFunc(show[bus.Connection](t, n.a, bus.VerbConnections), func(c bus.Connection) bool {
			return c.Direction == "inbound" && strings.Contains(c.LastFailure, "revoked")
		}) {
			return errors.New("show connections of a does not tell of the revoked client certificate")
		}
		return nil
	})
	c, err := n.alice.Dial(within(t, step), "2001")
	ok(t, err)
	if status, byPeer, err := c.WaitEnded(within(t, step)); err != nil || !byPeer || status < 480 {
		t.Errorf("a call over a refused trunk: %d, %v", status, err)
	}
	goodCall(t, n.alice, n.bob)
}

func all4(c pki.Certificates) []pki.Credential {
	return append(slices.Clone(c.Server[:]), c.Client[:]...)
}

func serials(c pki.Certificates) (out []string) {
	for _, x := range all4(c) {
		out = append(out, x.Leaf().SerialNumber.Text(16))
	}
	return out
}

// serverSerial is the serial of the certificate that a new connection is shown.
func serverSerial(t *testing.T, s *lab.Site) string {
	t.Helper()
	conn := dialTLS(t, s, must(s.Issue(t.Context(), pki.KindDevice, "alice"))(t))
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Text(16)
}

// ladders looks for a call on the site's trace that shows the phone's leg and the trunk's.
func ladders(t *testing.T, s *lab.Site) {
	t.Helper()
	for _, c := range s.Trace.Calls(10) {
		text := trace.NewLadder(must(s.Trace.Call(t.Context(), c.Call))(t), trace.LadderOptions{}).Text(200)
		if strings.Contains(text, "neighbour") && strings.Count(text, "INVITE") >= 2 {
			return
		}
	}
	t.Error("no ladder shows a call with the neighbour")
}
