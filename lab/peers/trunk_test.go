package peers

import (
	"context"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
)

// freeAddr is an address of 127.0.0.1 that was free a moment ago.
func freeAddr(t *testing.T) (addr string, port int) {
	t.Helper()
	ports, err := freePorts(1)
	must(t, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), ports[0]
}

// quickPings is a SIP profile whose OPTIONS find out within a second.
func quickPings(name string) config.SIPProfile {
	return config.SIPProfile{Name: name, OptionsPing: config.OptionsPing{IntervalInService: config.Duration(time.Second),
		IntervalOutOfService: config.Duration(time.Second), Retries: 2, RetryInterval: config.Duration(100 * time.Millisecond)}}
}

// TestKamailioTrunk is a trunk over mutual TLS in both directions: alice calls a phone that is registered at a Kamailio,
// that phone calls alice, OPTIONS follow Kamailio's stop and start, and a certificate with another name is refused on
// either side.
func TestKamailioTrunk(t *testing.T) {
	Need(t, kamailio, baresip, sox)
	t.Parallel()
	addr, port := freeAddr(t)
	strangerAddr, strangerPort := freeAddr(t)
	s := startSite(t, func(c *config.Site) {
		c.SIPProfiles = append(c.SIPProfiles, quickPings("quick"))
		c.SIPTrunkSecurityProfiles = append(c.SIPTrunkSecurityProfiles,
			config.SIPTrunkSecurityProfile{Name: "kamailio", AcceptedSubjects: []string{"pbx.far.test"}},
			config.SIPTrunkSecurityProfile{Name: "stranger", AcceptedSubjects: []string{"expected.far.test"}})
		trunk := func(name, profile string, port int) config.SIPTrunk {
			return config.SIPTrunk{Name: name, Destinations: []config.Destination{{Address: "127.0.0.1", Port: port}}, SRTPAllowed: true,
				CallingSearchSpace: "internal", SecurityProfile: profile, SIPProfile: "quick", DevicePool: "default"}
		}
		c.SIPTrunks = append(c.SIPTrunks, trunk("kamailio", "kamailio", port), trunk("stranger", "stranger", strangerPort))
		c.RoutePatterns = append(c.RoutePatterns, config.RoutePattern{Pattern: "7.XXXX", Partition: "internal", Trunk: "kamailio",
			Transform: config.Transform{Discard: config.DiscardPreDot}})
	}, lab.Options{})
	far := s.issue(t, pki.Request{Kind: pki.KindPeer, Name: "pbx.far.test", DNSNames: []string{"pbx.far.test"}})
	start := func(t *testing.T, addr, cm string, f files) *Process {
		p, err := StartKamailio(within(t, 20*time.Second), folder(t, "kam"), KamailioConfig{Listen: addr, Name: "pbx.far.test", Register: true,
			Certificate: f.certificate, Key: f.key, CA: f.ca, Routes: []KamailioRoute{{Prefix: "10", Next: "sip:" + cm + ";transport=tls"}}})
		must(t, err)
		t.Cleanup(p.Stop)
		return p
	}
	ctx := within(t, 40*time.Second)
	proxy := start(t, addr, s.addr, far)
	s.trunkState(t, ctx, "kamailio", "in-service")

	alice := s.baresip(t, ctx, "alice", makeTone(t, callerTone, 50), false)
	zoeCert := s.issue(t, pki.Request{Kind: pki.KindPeer, Name: "zoe.far.test", DNSNames: []string{"zoe.far.test"}})
	zoe, err := StartBaresip(ctx, folder(t, "zoe"), BaresipConfig{User: "2001", Domain: addr, Certificate: zoeCert.both, CA: zoeCert.ca, Tone: makeTone(t, calledTone, 50), AutoAnswer: true})
	must(t, err)
	t.Cleanup(zoe.Stop)
	must(t, zoe.Registered(ctx))

	p := &pair{s: s, ctx: ctx, a: alice, b: zoe, numberA: "1001", numberB: "72001"}
	t.Run("out", func(t *testing.T) {
		p.callAndDigits(t)
		p.hold(t)
		p.hangUp(t, alice)
	})
	t.Run("in", func(t *testing.T) {
		p.mark()
		must(t, zoe.Command("dial", "sip:1001@"+addr+";transport=tls"))
		event(t, ctx, alice, p.sinceA, "CALL_INCOMING")
		must(t, alice.Command("accept", ""))
		p.up(t)
		p.hangUp(t, zoe)
	})
	t.Run("the wrong subject comes in", func(t *testing.T) {
		other := s.issue(t, pki.Request{Kind: pki.KindPeer, Name: "other.far.test", DNSNames: []string{"other.far.test"}})
		second, _ := freeAddr(t)
		start(t, second, s.addr, other)
		yves, err := StartBaresip(ctx, folder(t, "yves"), BaresipConfig{User: "2002", Domain: second, Certificate: other.both, CA: other.ca, Tone: makeTone(t, 400, 1)})
		must(t, err)
		t.Cleanup(yves.Stop)
		must(t, yves.Registered(ctx))
		mark := yves.EventMark()
		must(t, yves.Command("dial", "sip:1001@"+second+";transport=tls"))
		e := event(t, ctx, yves, mark, "CALL_CLOSED")
		warning := s.warning(t, "403")
		t.Logf("%s; %s", e.Param, warning)
		if !strings.Contains(e.Param, "403") || !strings.Contains(warning, "pbx.far.test") || !strings.Contains(warning, "other.far.test") {
			t.Errorf("the refusal does not say which subject was expected and which came: %q, %q", e.Param, warning)
		}
	})
	t.Run("the wrong subject is dialled", func(t *testing.T) {
		start(t, strangerAddr, s.addr, far)
		var row bus.TrunkState
		eventually(t, ctx, "a refused handshake with the stranger", func() bool {
			row = show[bus.TrunkState](t, s, bus.VerbTrunks, "stranger")[0]
			return row.State == "out-of-service" && !strings.Contains(row.Reason, "refused")
		})
		for _, name := range []string{"expected.far.test", "pbx.far.test"} {
			if !strings.Contains(row.Reason, name) {
				t.Errorf("the reason does not name %s: %s", name, row.Reason)
			}
		}
		t.Log(row.Reason)
	})
	t.Run("OPTIONS drive the state", func(t *testing.T) {
		proxy.Stop()
		row := s.trunkState(t, ctx, "kamailio", "out-of-service")
		t.Log(row.Reason)
		mark := alice.EventMark()
		must(t, alice.Command("dial", "72001"))
		t.Logf("a call meanwhile: %s", event(t, ctx, alice, mark, "CALL_CLOSED").Param)
		start(t, addr, s.addr, far)
		s.trunkState(t, ctx, "kamailio", "in-service")
	})
	s.noneLeft(t, ctx)
}

// trunkState waits until `show trunks` says so.
func (s *testSite) trunkState(t *testing.T, ctx context.Context, name, want string) (row bus.TrunkState) {
	t.Helper()
	eventually(t, ctx, "trunk "+name+" is "+want, func() bool {
		rows := show[bus.TrunkState](t, s, bus.VerbTrunks, name)
		if len(rows) != 1 {
			t.Fatalf("show trunks %s: %v", name, rows)
		}
		row = rows[0]
		return row.State == want
	})
	return row
}
