package config

import (
	"net/netip"
	"testing"
)

// TestWithContactCenter: the built-in contact centre is a site without a mistake, and reads as it was written.
func TestWithContactCenter(t *testing.T) {
	s := Default("node1").WithContactCenter(netip.MustParseAddr("127.0.7.10"))
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	again, err := Parse("site.yaml", Format(s, true), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := Diff(s, again); len(d) > 0 {
		t.Errorf("read again it differs: %v", d)
	}
	if n := len(Default("node1").DialPeers); n != 0 {
		t.Errorf("the default site has %d dial-peers of it", n)
	}
}
