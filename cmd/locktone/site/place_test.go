package site

import (
	"net/netip"
	"testing"

	"github.com/locktone/locktone/config"
)

// TestHostOf: the trust list spells a server as the site does.
func TestHostOf(t *testing.T) {
	at := netip.MustParseAddr("192.0.2.10")
	for _, c := range []struct{ node, service, want string }{
		{"", "", "192.0.2.10"},
		{"192.0.2.10", "", "192.0.2.10"},
		{"cucm1.example.com", "", "cucm1.example.com"},
		{"cucm1.example.com", "capf.example.com", "capf.example.com"},
		{"cucm1.example.com", "192.0.2.10", "192.0.2.10"},
		{"2001:DB8:0::10", "", "192.0.2.10"},
	} {
		s := &Site{here: config.Node{Address: c.node, Services: []config.NodeService{{Service: config.ServiceCAPF, Address: c.service}}}}
		if got := s.hostOf(config.ServiceCAPF, at); got != c.want {
			t.Errorf("node %q, service %q: %q, want %q", c.node, c.service, got, c.want)
		}
	}
}
