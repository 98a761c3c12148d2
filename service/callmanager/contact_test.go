package callmanager

import (
	"net/netip"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/leg/sipleg"
)

// TestTrunkContact: an INVITE to a trunk says where we are reached, by port and transport of the trunk's profile.
func TestTrunkContact(t *testing.T) {
	for _, c := range []struct {
		profile config.SIPTrunkSecurityProfile
		want    string
	}{
		{config.SIPTrunkSecurityProfile{}, "sip:10.0.0.5:5061;transport=tls"},
		{config.SIPTrunkSecurityProfile{IncomingPort: 5071}, "sip:10.0.0.5:5071;transport=tls"},
		{config.SIPTrunkSecurityProfile{DeviceSecurityMode: config.NonSecure}, "sip:10.0.0.5:5060;transport=tcp"},
		{config.SIPTrunkSecurityProfile{DeviceSecurityMode: config.NonSecure, OutgoingTransport: config.TransportUDP}, "sip:10.0.0.5:5060"},
		{config.SIPTrunkSecurityProfile{DeviceSecurityMode: config.NonSecure, IncomingTransport: config.TransportUDP}, "sip:10.0.0.5:5060"},
	} {
		p := peerOf(&directory.Trunk{Security: c.profile.WithDefaults()}, &sipleg.Profile{})
		u := p.Contact(netip.MustParseAddr("10.0.0.5"))
		if u.String() != c.want {
			t.Errorf("%+v: %s, want %s", c.profile, u, c.want)
		}
	}
}
