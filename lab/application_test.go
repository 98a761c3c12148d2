package lab_test

import (
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/lab"
)

// TestOwnApplication: an application of the site itself needs nobody's help to log in: its password is made up, its certificate fetched, and
// both serve again after a restart.
func TestOwnApplication(t *testing.T) {
	t.Parallel()
	site := config.Default("node1")
	site.Users = append(site.Users, config.User{Name: "contactcenter", Application: true, PasswordDoesNotExpire: true, Devices: []string{"alice", "bob"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}})
	s, err := lab.Start(t.Context(), lab.Options{Config: site.Canonical()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	login := func() string {
		cfg, err := s.Application(t.Context(), "contactcenter")
		if err != nil {
			t.Fatal(err)
		}
		p, err := cti.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		if got := len(p.Devices()); got != 2 {
			t.Errorf("%d devices that it may control, want 2", got)
		}
		own, err := cfg.TLS(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := own.GetClientCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return c.Leaf.SerialNumber.String()
	}
	first := login()
	if again := login(); again != first {
		t.Errorf("the certificate was fetched again: %s, before %s", again, first)
	}
	if _, err := s.Application(t.Context(), "nobody"); err == nil {
		t.Error("a user that the site does not have is an application of it")
	}
}
