package ldap_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory/ldap"
	"github.com/locktone/locktone/lab/realldap"
	"github.com/locktone/locktone/wire/secret"
)

// TestFailover: the next server is asked while one is down, and silent; the first again when it is back. Nobody waits twice for a silent one.
func TestFailover(t *testing.T) {
	a := realldap.NewAuthority(t, "Directory Authority")
	one, two := realldap.Slapd(t, realldap.SlapdConfig{Authority: a}), realldap.Slapd(t, realldap.SlapdConfig{Authority: a})
	d := open(t, one, func(c *config.LDAPDirectory) {
		c.Servers = append(c.Servers, config.LDAPServer{Host: "localhost", Port: two.TLSPort})
		c.NetworkTimeout = config.Duration(time.Second)
	})
	at := func() int {
		t.Helper()
		out, stages := login(t, d, "alice", "the word of alice")
		if !out.OK() {
			t.Fatalf("%v\n%s", out.Problem, strings.Join(stages, "\n"))
		}
		for _, s := range stages {
			if s == fmt.Sprintf("localhost %d", two.TLSPort) {
				return 2
			}
		}
		return 1
	}
	if at() != 1 {
		t.Error("the first server was not asked first")
	}
	one.Kill() // the pool has a connection to it
	if at() != 2 {
		t.Error("with the first server dead the second was not asked")
	}
	one.Start(t)
	eventually(t, func() bool { return at() == 1 }, "the first server is asked again")
	one.Hang()
	defer one.Resume()
	began := time.Now()
	if at() != 2 {
		t.Error("with the first server silent the second was not asked")
	}
	slow := time.Since(began)
	began = time.Now()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if out := d.Authenticate(t.Context(), "alice", secret.New("the word of alice"), nil); !out.OK() {
				t.Errorf("a login of many: %v", out.Problem)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > slow+10*time.Second {
		t.Errorf("20 logins beside a silent server took %s, the first one %s", took, slow)
	}
}

// TestSilent: the only server accepts and never answers: logins fail in the time limit, those after it at once, and the reason stays.
func TestSilent(t *testing.T) {
	s := realldap.Slapd(t, realldap.SlapdConfig{})
	d := open(t, s, func(c *config.LDAPDirectory) { c.NetworkTimeout = config.Duration(time.Second) })
	s.Hang()
	defer s.Resume()
	out, _ := login(t, d, "alice", "the word of alice")
	if reason(out.Problem) != ldap.Silent || !out.Problem.Reason.Away() {
		t.Fatalf("problem %v", out.Problem)
	}
	began := time.Now()
	out, _ = login(t, d, "alice", "the word of alice")
	if reason(out.Problem) != ldap.Silent || time.Since(began) > 900*time.Millisecond {
		t.Errorf("the second login took %s: %v", time.Since(began), out.Problem)
	}
	s.Resume()
	eventually(t, func() bool { out, _ := login(t, d, "alice", "the word of alice"); return out.OK() }, "logins succeed again")
}

// TestCancelled: who no longer waits is not kept, and the server is not blamed.
func TestCancelled(t *testing.T) {
	s := realldap.Slapd(t, realldap.SlapdConfig{})
	d := open(t, s, nil)
	s.Hang()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if out := d.Authenticate(ctx, "alice", secret.New("x"), nil); out.OK() || time.Since(began) > 1500*time.Millisecond {
		t.Errorf("%v after %s", out.Problem, time.Since(began))
	}
	s.Resume()
}

// eventually waits for something a server does by itself.
func eventually(t testing.TB, ok func() bool, what string) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not seen: %s", what)
		}
	}
}

// liar is a server of ours that does with a connection what no good one does.
func liar(t testing.TB, serve func(net.Conn)) config.LDAPServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); serve(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	at := l.Addr().(*net.TCPAddr)
	return config.LDAPServer{Host: "127.0.0.1", Port: at.Port}
}

// TestLiars: what a server sends cannot hold a login, nor fill the memory.
func TestLiars(t *testing.T) {
	s := realldap.Slapd(t, realldap.SlapdConfig{})
	endless := func(c net.Conn) { // an answer of 2 GB, as long as anybody reads
		if _, err := c.Write([]byte{0x30, 0x84, 0x7f, 0xff, 0xff, 0xff, 0x04, 0x84, 0x7f, 0xff, 0xff, 0x00}); err != nil {
			return
		}
		for b := make([]byte, 1<<16); ; {
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
	for name, c := range map[string]struct {
		serve func(net.Conn)
		want  ldap.Reason
	}{
		"endless":   {endless, ldap.TooMuch},
		"http":      {func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.0 400 Bad Request\r\n\r\n")) }, ldap.NotLDAP},
		"hangs up":  {func(c net.Conn) {}, ldap.NotLDAP},
		"half word": {func(c net.Conn) { _, _ = c.Write([]byte{0x30, 0x0c, 0x02}) }, ldap.NotLDAP},
		"silent":    {func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<10)); _, _ = c.Read(make([]byte, 1<<10)) }, ldap.Silent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := open(t, s, func(x *config.LDAPDirectory) {
				x.Servers, x.Transport, x.NetworkTimeout = []config.LDAPServer{liar(t, c.serve)}, config.LDAPClear, config.Duration(time.Second)
			})
			began := time.Now()
			out, _ := login(t, d, "alice", "the word of alice")
			if reason(out.Problem) != c.want || time.Since(began) > 10*time.Second {
				t.Errorf("%s after %s (%v), want %s", reason(out.Problem), time.Since(began), out.Problem, c.want)
			}
		})
	}
}

// TestReferrals: a server that refers to a configured one is followed there, with bind and all; one that refers in a circle is named.
func TestReferrals(t *testing.T) {
	a := realldap.NewAuthority(t, "Directory Authority")
	has := realldap.Slapd(t, realldap.SlapdConfig{Authority: a})
	refers := realldap.Slapd(t, realldap.SlapdConfig{Authority: a, LDIF: fmt.Sprintf(`dn: ou=far,dc=corp,dc=test
objectClass: referral
objectClass: extensibleObject
ou: far
ref: ldaps://localhost:%d/ou=people,dc=corp,dc=test

`, has.TLSPort)})
	d := open(t, refers, func(c *config.LDAPDirectory) {
		c.Base = "ou=far," + realldap.Suffix
		c.Servers = append(c.Servers, config.LDAPServer{Host: "localhost", Port: has.TLSPort})
	})
	out, stages := login(t, d, "alice", "the word of alice")
	if !out.OK() || out.Account.DN != "cn=Alice Ali,ou=people,dc=corp,dc=test" {
		t.Errorf("%v\n%s", out.Problem, strings.Join(stages, "\n"))
	}
	circle := realldap.Slapd(t, realldap.SlapdConfig{Authority: a})
	circle.Kill()
	circle.Add(t, fmt.Sprintf(`dn: ou=round,dc=corp,dc=test
objectClass: referral
objectClass: extensibleObject
ou: round
ref: ldaps://localhost:%d/ou=round,dc=corp,dc=test

`, circle.TLSPort))
	circle.Start(t)
	d = open(t, circle, func(c *config.LDAPDirectory) { c.Base = "ou=round," + realldap.Suffix })
	if out, _ := login(t, d, "alice", "the word of alice"); reason(out.Problem) != ldap.ReferralLoop {
		t.Errorf("a circle: %v", out.Problem)
	}
	r := d.Check(t.Context(), ldap.CheckOptions{})
	if first, ok := r.First(); !ok || first.Problem.Reason != ldap.ReferralLoop {
		t.Errorf("a circle is not named:\n%s", text(r))
	}
}

// TestExpiry: the password policy control says for how many days a password is good.
func TestExpiry(t *testing.T) {
	s := realldap.Slapd(t, realldap.SlapdConfig{Policy: true, LDIF: policies + fmt.Sprintf(`
dn: cn=Fresh,ou=people,dc=corp,dc=test
objectClass: user
cn: Fresh
sn: Fresh
sAMAccountName: fresh
userPassword: the word of fresh
pwdChangedTime: %s

`, time.Now().Add(-60*time.Hour).UTC().Format("20060102150405Z"))})
	out, _ := login(t, open(t, s, func(c *config.LDAPDirectory) { c.Filter = "(sAMAccountName={user})" }), "fresh", "the word of fresh")
	if !out.OK() || out.ExpiresInDays != 7 { // 10 days, of which 2.5 are over
		t.Errorf("expires in %d days: %v", out.ExpiresInDays, out.Problem)
	}
}
