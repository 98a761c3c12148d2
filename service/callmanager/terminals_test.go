package callmanager

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/leg/ctileg"
)

func terminalDevice(p config.Protocol) *directory.Device {
	return &directory.Device{Device: config.Device{Name: "t", Protocol: p}}
}

// TestTerminalHolders: a port has one holder, which may come anew from elsewhere; a route point has as many as agree on its media. Leases run out.
func TestTerminalHolders(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	reg := func(session, app, holder string) live.TerminalRegistration {
		return live.TerminalRegistration{Session: session, Application: app, Holder: holder}
	}
	for _, c := range []struct {
		what    string
		p       config.Protocol
		media   [2]ctileg.Media
		second  live.TerminalRegistration
		refused string
	}{
		{"the same again", config.ProtocolCTIPort, [2]ctileg.Media{ctileg.Static, ctileg.Dynamic}, reg("s", "app", "1"), ""},
		{"the same application from another manager", config.ProtocolCTIPort, [2]ctileg.Media{ctileg.Static, ctileg.Static}, reg("other", "app", "7"), ""},
		{"another connection of the application", config.ProtocolCTIPort, [2]ctileg.Media{ctileg.Static, ctileg.Static}, reg("s", "app", "2"), "registered by app"},
		{"another application", config.ProtocolCTIPort, [2]ctileg.Media{ctileg.Static, ctileg.Static}, reg("s", "other", "1"), "registered by app"},
		{"two at a route point", config.ProtocolCTIRoutePoint, [2]ctileg.Media{ctileg.NoMedia, ctileg.NoMedia}, reg("s", "other", "1"), ""},
		{"two at a route point, dynamic", config.ProtocolCTIRoutePoint, [2]ctileg.Media{ctileg.Dynamic, ctileg.Dynamic}, reg("s", "other", "1"), ""},
		{"other media at a route point", config.ProtocolCTIRoutePoint, [2]ctileg.Media{ctileg.NoMedia, ctileg.Dynamic}, reg("s", "other", "1"), "no media"},
		{"two addresses at a route point", config.ProtocolCTIRoutePoint, [2]ctileg.Media{ctileg.Static, ctileg.Static}, reg("s", "other", "1"), "without an address"},
	} {
		t.Run(c.what, func(t *testing.T) {
			var x terminals
			d := terminalDevice(c.p)
			if was, err := x.register(now, d, reg("s", "app", "1"), ctileg.Terminal{Media: c.media[0]}); was || err != nil {
				t.Fatal(was, err)
			}
			_, err := x.register(now, d, c.second, ctileg.Terminal{Media: c.media[1]})
			if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%v", err)
			}
			if _, n := x.keep(now.Add(10*time.Second), c.second.Session); err == nil && n == 0 {
				t.Error("the second is not there to be kept")
			}
			late := func(at time.Time) []string {
				return x.end(func(_ string, h *terminalHolder) bool { return at.After(h.until) })
			}
			if gone := late(now.Add(16 * time.Second)); len(gone) != 0 && c.second.Session == "s" {
				t.Errorf("%v are gone, and were kept", gone)
			}
			if gone := late(now.Add(time.Minute)); len(gone) != 1 {
				t.Errorf("%v are gone after their lease", gone)
			}
		})
	}
}

// TestTerminalOf: what a registration says of media is taken, or refused with a sentence.
func TestTerminalOf(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.1:4000")
	codec := []live.TerminalCodec{{Payload: 4, Packet: 20}}
	for _, c := range []struct {
		what    string
		p       config.Protocol
		r       live.TerminalRegistration
		refused string
		suites  int
	}{
		{"static", config.ProtocolCTIPort, live.TerminalRegistration{Media: live.TerminalStatic, Address: at, Codecs: codec, SRTP: []uint32{1, 2, 3, 5, 6}}, "", 4},
		{"plain", config.ProtocolCTIPort, live.TerminalRegistration{Media: live.TerminalStatic, Address: at, Codecs: codec}, "", 0},
		{"dynamic", config.ProtocolCTIRoutePoint, live.TerminalRegistration{Media: live.TerminalDynamic, Codecs: codec}, "", 0},
		{"none", config.ProtocolCTIRoutePoint, live.TerminalRegistration{}, "", 0},
		{"a port without media", config.ProtocolCTIPort, live.TerminalRegistration{}, "needs media", 0},
		{"no address", config.ProtocolCTIPort, live.TerminalRegistration{Media: live.TerminalStatic, Codecs: codec}, "needs the address", 0},
		{"no port", config.ProtocolCTIPort, live.TerminalRegistration{Media: live.TerminalStatic, Address: netip.AddrPortFrom(at.Addr(), 0), Codecs: codec}, "needs the address", 0},
		{"everybody", config.ProtocolCTIPort, live.TerminalRegistration{Media: live.TerminalStatic, Address: netip.MustParseAddrPort("224.0.0.1:4000"), Codecs: codec}, "needs the address", 0},
		{"no codec", config.ProtocolCTIPort, live.TerminalRegistration{Media: live.TerminalDynamic}, "none of the codecs", 0},
		{"codecs nobody has", config.ProtocolCTIPort, live.TerminalRegistration{Media: live.TerminalDynamic, Codecs: []live.TerminalCodec{{Payload: 32}, {Payload: 7777}}}, "none of the codecs", 0},
		{"F8 alone", config.ProtocolCTIPort, live.TerminalRegistration{Media: live.TerminalDynamic, Codecs: codec, SRTP: []uint32{3, 4}}, "F8 is not offered", 0},
		{"other media", config.ProtocolCTIPort, live.TerminalRegistration{Media: "video", Codecs: codec}, `"video" is not known`, 0},
	} {
		got, err := terminalOf(terminalDevice(c.p), c.r)
		if (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) || len(got.Suites) != c.suites {
			t.Errorf("%s: %+v, %v", c.what, got, err)
		}
	}
}
