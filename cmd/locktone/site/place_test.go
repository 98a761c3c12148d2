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

// TestApart: elements beside the call manager have an address each, or say that they need one.
func TestApart(t *testing.T) {
	all := []config.NodeService{{Service: config.ServiceCallManager}, {Service: config.ServiceBorder}}
	for _, c := range []struct {
		at       string
		services []config.NodeService
		service  config.ServiceName
		want     string // empty: refused
	}{
		{"127.0.7.10", all, config.ServiceCallServer, "127.0.7.20"},
		{"127.0.7.10", all, config.ServiceVoiceBrowser, "127.0.7.30"},
		{"127.0.7.10", all, config.ServiceBorder, "127.0.7.40"},
		{"127.0.7.10", all, config.ServiceContactCenter, "127.0.7.50"},
		{"192.0.2.10", all, config.ServiceBorder, ""},
		{"192.0.2.10", all[1:], config.ServiceBorder, "192.0.2.10"},
		{"192.0.2.10", all, config.ServiceContactCenter, "192.0.2.10"},
	} {
		s := &Site{here: config.Node{Name: "n1", Services: c.services}, listen: []netip.Addr{netip.MustParseAddr(c.at)}}
		got, err := s.addressesOf(t.Context(), c.service)
		switch {
		case c.want == "" && err == nil:
			t.Errorf("%s on %s: %v, want it to be refused", c.service, c.at, got)
		case c.want != "" && (err != nil || got[0].String() != c.want):
			t.Errorf("%s on %s: %v, %v, want %s", c.service, c.at, got, err, c.want)
		}
	}
}
