package resilience

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip/transport"
)

// TestSecurityModeUnderCalls takes the cluster out of mixed mode and back while calls are up: none drops, phones are told to
// look at their configuration, those that have not heard are let in as they were, and afterwards 5060 is closed again.
func TestSecurityModeUnderCalls(t *testing.T) {
	t.Parallel()
	s := start(t, lab.Options{Tune: impatient})
	told := make(chan string, 64)
	hears := func(name string, more ...func(*phone.Config)) func(*phone.Config) {
		return func(c *phone.Config) {
			c.Resync = func(event string) { told <- name + " " + event }
			for _, change := range more {
				change(c)
			}
		}
	}
	alice, bob := telephone(t, s, "alice", "1001", hears("alice")), telephone(t, s, "bob", "1002", hears("bob"))
	secure := connect(t, alice, bob)
	secure.hear(t)

	mode := func(m config.SecurityMode) {
		t.Helper()
		apply(t, s, func(c *config.Site) { c.Cluster.SecurityMode = m })
	}
	wantTold := func(want ...string) {
		t.Helper()
		ctx := within(t, step)
		for range want {
			select {
			case got := <-told:
				if !strings.Contains(strings.Join(want, "; "), got) {
					t.Errorf("told %q, want %q", got, want)
				}
			case <-ctx.Done():
				t.Fatalf("nobody was told; want %q", want)
			}
		}
	}
	mode(config.NonSecureCluster)
	wantTold("alice check-sync;reboot=false", "bob check-sync;reboot=false")
	wantExceptions(t, s, "alice deviceSecurityMode non-secure", "bob deviceSecurityMode non-secure", "locktone securityMode non-secure")
	secure.hear(t)
	for _, name := range []string{"alice", "bob"} {
		if _, there := registration(t, s, name, "registered"); !there {
			t.Errorf("%s, which has not heard of the change, lost its registration", name)
		}
	}
	secure.end(t)

	// Phones that have heard come without TLS, over UDP: their call outlives the way back.
	hangUp(alice)
	hangUp(bob)
	alice, bob = telephone(t, s, "alice", "1001", hears("alice", plainly(transport.UDP))), telephone(t, s, "bob", "1002", hears("bob", plainly(transport.UDP)))
	plain := connect(t, alice, bob)
	plain.hear(t)
	mode(config.Mixed)
	wantTold("alice check-sync;reboot=false", "bob check-sync;reboot=false")
	plain.hear(t)
	if status, says := unaccepted(t, s, "alice", "1001", plainly(transport.UDP)); status != 403 || !strings.Contains(says, "must use tls") {
		t.Errorf("a phone without TLS in a mixed cluster: %d %s", status, says)
	}
	plain.end(t)
	wantExceptions(t, s)
	eventually(t, step, func() error {
		if open := strings.Join(s.Calls.Status(t.Context()).Addresses, ", "); strings.Contains(open, ":5060") {
			return errors.New("the last call through 5060 has ended, and it is open: " + open)
		}
		return nil
	})
	hangUp(alice)
	hangUp(bob)
	nothingLeft(t, s)
}

// TestRevokedStopsAtOnce revokes a phone's certificate under its connection, and takes away the authority of another's: both
// connections are closed at once and neither comes back, while everybody else's call goes on.
func TestRevokedStopsAtOnce(t *testing.T) {
	t.Parallel()
	kit := badKit(t)
	read := func(name string) []byte { return must(os.ReadFile(filepath.Join(kit, name)))(t) }
	home := filepath.Join(t.TempDir(), "home")
	anchor := filepath.Join(home, "trust", "devices", "lab.pem")
	ok(t, os.MkdirAll(filepath.Dir(anchor), 0o700))
	ok(t, os.WriteFile(anchor, read("ca.crt"), 0o600))
	s := start(t, lab.Options{Home: home, Config: modes()})
	const desk = "SEP001122334455" // whom the kit's certificate names
	maker := must(pki.LoadCredential(append(read("good.chain"), read("good.key")...)))(t)
	foreign := func(c *phone.Config) { c.Certificate = maker.TLS() }

	alice, bob := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil)
	up := connect(t, alice, bob)
	if status, says := unaccepted(t, s, desk, "1007", foreign); status != 403 || !strings.Contains(says, "showed the certificate of its maker") {
		t.Errorf("a maker's certificate where the profile wants one of the cluster: %d %s", status, says)
	}
	apply(t, s, func(c *config.Site) {
		for i := range c.PhoneSecurityProfiles {
			c.PhoneSecurityProfiles[i].Certificate = config.CertificateLSCOrMIC
		}
	})
	gone := func(device string) func() error {
		return func() error {
			if _, there := registration(t, s, device, "registered"); there {
				return errors.New(device + " is still registered")
			}
			return nil
		}
	}
	made := telephone(t, s, desk, "1007", foreign)
	if row, _ := registration(t, s, desk, "registered"); row.Certificate != "MIC" {
		t.Errorf("row of the desk phone: %+v", row)
	}
	ok(t, os.Remove(anchor))
	ok(t, s.Renew(t.Context()))
	eventually(t, step, gone(desk))
	hangUp(made)
	if got := try(within(t, step), s, "127.0.0.1", maker); got.in {
		t.Errorf("let in under an authority that was removed: %+v", got)
	}

	lost := must(s.Issue(t.Context(), pki.KindDevice, desk))(t)
	shows := func(c *phone.Config) { c.Certificate = lost.TLS() }
	made = telephone(t, s, desk, "1007", shows)
	if row, _ := registration(t, s, desk, "registered"); row.Certificate != "LSC" || row.Serial == "" || row.CertificateEnds.IsZero() || row.Mode != "encrypted" {
		t.Errorf("row of the desk phone: %+v", row)
	}
	ok(t, s.CA.Revoke(t.Context(), pki.RefOf(lost.Leaf()), "lost"))
	eventually(t, step, gone(desk))
	hangUp(made)
	if got := try(within(t, step), s, "127.0.0.1", lost); got.in {
		t.Errorf("let in with a revoked certificate: %+v", got)
	}
	up.hear(t)
	up.end(t)
}
