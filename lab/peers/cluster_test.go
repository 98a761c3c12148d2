package peers

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
)

// nodeURI is how a peer lists a node.
func nodeURI(n *lab.Node) string { return "sip:" + n.Server() + ";transport=tls" }

// nimble is a phone that notices within a second that its node is gone.
func nimble(c *phone.Config) { c.KeepAlive, c.PongWait = 200*time.Millisecond, 700*time.Millisecond }

// trunkAt waits until a node's own end of a trunk is in a state.
func trunkAt(t *testing.T, ctx context.Context, n *lab.Node, name, want string) {
	t.Helper()
	var rows []bus.TrunkState
	eventually(t, ctx, fmt.Sprintf("trunk %s at %s is %s", name, n.Name, want), func() bool {
		answers, err := bus.AskAll[bus.Query, []bus.TrunkState](ctx, n.Bus, n.Bus.AllNodes(callmanager.Name, bus.VerbTrunks), bus.Query{Name: name}, n.Name)
		rows = nil
		for _, a := range answers {
			rows = append(rows, a.Value...)
		}
		return err == nil && slices.ContainsFunc(rows, func(r bus.TrunkState) bool { return r.Node == n.Name && r.State == want })
	})
}

// listed waits until a Kamailio has found out that a node answers.
func listed(t *testing.T, ctx context.Context, proxy *Process, n *lab.Node) {
	t.Helper()
	eventually(t, ctx, "kamailio takes "+n.Name+" for active", func() bool {
		out, err := exec.CommandContext(ctx, "kamcmd", "-s", "unix:"+filepath.Join(proxy.Dir, "ctl.sock"), "dispatcher.list").CombinedOutput()
		if err != nil {
			t.Fatalf("kamcmd: %v: %s", err, out)
		}
		_, of, found := strings.Cut(string(out), "URI: "+nodeURI(n))
		_, flags, _ := strings.Cut(of, "FLAGS: ")
		return found && strings.HasPrefix(flags, "A")
	})
}

// reached calls until somebody answers, as a person does who dials again, and says how long that took and how often it failed.
func reached(t *testing.T, ctx context.Context, from *phone.Phone, number string, to *phone.Phone) (a, b *phone.Call) {
	t.Helper()
	began, failed := time.Now(), 0
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 4*time.Second)
		a, err := from.Dial(attempt, number)
		must(t, err)
		answered := make(chan error, 1)
		go func() { answered <- a.WaitAnswered(attempt) }()
		select {
		case b := <-to.Incoming():
			if b.Answer(attempt) == nil && <-answered == nil {
				cancel()
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("it took %v to reach %s", took, number)
				}
				t.Logf("%s reaches %s after %v and %d failed attempts", from.Name(), number, time.Since(began).Round(10*time.Millisecond), failed)
				return a, b
			}
		case err := <-answered:
			t.Logf("%s dials %s: %v", from.Name(), number, err)
			failed++
		}
		cancel()
	}
	t.Fatalf("%s does not reach %s: %v", from.Name(), number, context.Cause(ctx))
	return nil, nil
}

// bothWays: each hears the other.
func bothWays(t *testing.T, ctx context.Context, a, b *phone.Call) {
	t.Helper()
	a.Tone(callerTone)
	b.Tone(calledTone)
	hears(t, ctx, a, []float64{calledTone})
	hears(t, ctx, b, []float64{callerTone})
}

func hungUp(t *testing.T, ctx context.Context, a, b *phone.Call) {
	t.Helper()
	must(t, a.Hangup(ctx))
	over(t, ctx, b, 200)
}

// TestKamailioCluster is a trunk between two nodes and a Kamailio that lists both, over mutual TLS: calls go both ways by whichever node
// lives, when one is drained, when one is killed, and when it is back and the other is killed.
func TestKamailioCluster(t *testing.T) {
	Need(t, kamailio, kamcmd)
	t.Parallel()
	addr, port := freeAddr(t)
	c := lab.StartCluster(t, lab.ClusterOptions{Site: func(s *config.Site) {
		s.SIPProfiles = append(s.SIPProfiles, quickPings("quick"))
		s.SIPTrunkSecurityProfiles = append(s.SIPTrunkSecurityProfiles, config.SIPTrunkSecurityProfile{Name: "kamailio", AcceptedSubjects: []string{"pbx.far.test"}})
		s.SIPTrunks = append(s.SIPTrunks, config.SIPTrunk{Name: "kamailio", Destinations: []config.Destination{{Address: "127.0.0.1", Port: port}}, SRTPAllowed: true,
			CallingSearchSpace: "internal", SecurityProfile: "kamailio", SIPProfile: "quick", DevicePool: "default"})
		s.RoutePatterns = append(s.RoutePatterns, config.RoutePattern{Pattern: "7.XXXX", Partition: "internal", Trunk: "kamailio",
			Transform: config.Transform{Discard: config.DiscardPreDot}})
	}})
	n1, n2 := c.Node("n1"), c.Node("n2")
	ctx := within(t, 60*time.Second)
	s := &testSite{Site: n1.Site, files: map[string]files{}}
	far := s.issue(t, pki.Request{Kind: pki.KindPeer, Name: "pbx.far.test", DNSNames: []string{"pbx.far.test"}})
	proxy, err := StartKamailio(ctx, folder(t, "kam"), KamailioConfig{Listen: addr, Name: "pbx.far.test", Register: true,
		Certificate: far.certificate, Key: far.key, CA: far.ca, Cluster: "10", Nodes: []string{nodeURI(n1), nodeURI(n2)}})
	must(t, err)
	t.Cleanup(proxy.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("kamailio says:\n%s", proxy.Tail(40))
		}
	})
	trunkAt(t, ctx, n1, "kamailio", "in-service")
	trunkAt(t, ctx, n2, "kamailio", "in-service")

	alice := c.Registered("n1 n2", "alice", "1001", nimble)
	zoe := c.Phone("n1", "zoe.far.test", "2001", func(cfg *phone.Config) {
		cfg.Server, cfg.ServerName, cfg.Domain = addr, "pbx.far.test", "pbx.far.test"
	})
	must(t, zoe.WaitRegistered(ctx))
	ways := func(t *testing.T) {
		t.Helper()
		a, b := reached(t, ctx, zoe, "1001", alice)
		bothWays(t, ctx, a, b)
		hungUp(t, ctx, a, b)
		a, b = reached(t, ctx, alice, "72001", zoe)
		bothWays(t, ctx, a, b)
		hungUp(t, ctx, a, b)
	}
	ways(t)

	// Drained: the next call goes to the other node, and none fails.
	_, err = n1.Calls.Drain(ctx, bus.DrainRequest{On: true, Limit: time.Minute, Stay: true, Actor: "test"})
	must(t, err)
	must(t, alice.WaitServer(ctx, n2.Server()))
	ways(t)
	_, err = n1.Calls.Drain(ctx, bus.DrainRequest{Actor: "test"})
	must(t, err)
	must(t, alice.WaitServer(ctx, n1.Server()))
	listed(t, ctx, proxy, n1)
	ways(t)

	// Killed during a call: it talks on.
	a, b := reached(t, ctx, zoe, "1001", alice)
	c.Kill("n1")
	bothWays(t, ctx, a, b)
	must(t, alice.WaitServer(ctx, n2.Server()))
	_ = a.Hangup(ctx) // nobody is there who could pass it on
	_ = b.Hangup(ctx)
	ways(t)

	// The other way round.
	c.Restart("n1")
	trunkAt(t, ctx, n1, "kamailio", "in-service")
	must(t, alice.WaitServer(ctx, n1.Server()))
	listed(t, ctx, proxy, n1)
	c.Kill("n2")
	ways(t)
}

// TestBaresipTwoServers: baresip knows two registrars and registers with both at once (sipnat=outbound; without it, with the first only, for
// ever). One registration counts, the newer; when the node that has it is killed, the phone is at the other after its next refresh at the latest.
func TestBaresipTwoServers(t *testing.T) {
	Need(t, baresip, sox)
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{Site: func(s *config.Site) {
		s.SIPProfiles[0].RegisterMinExpires = config.Duration(5 * time.Second)
	}})
	n1, n2 := c.Node("n1"), c.Node("n2")
	ctx := within(t, 50*time.Second)
	s := &testSite{Site: n1.Site, files: map[string]files{}}
	f := s.certificate(t, pki.KindDevice, "alice")
	soft, err := StartBaresip(ctx, folder(t, "alice"), BaresipConfig{User: "alice", Domain: "locktone.test", Proxy: n1.Server(), Backup: n2.Server(),
		Certificate: f.both, CA: f.ca, Tone: makeTone(t, callerTone, 60), AutoAnswer: true, Expires: 10})
	must(t, err)
	t.Cleanup(soft.Stop)
	must(t, soft.Registered(ctx))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("baresip says:\n%s", soft.Tail(60))
		}
	})
	bob := c.Registered("n2 n1", "bob", "1002", nimble)
	a, _ := answering(t, ctx, bob, "1001")
	hears(t, ctx, a, []float64{callerTone})
	must(t, a.Hangup(ctx))
	at := where(t, ctx, n2, "alice")
	t.Logf("alice's phone is at %s", at)
	other := n1
	if at == n1.Name {
		other = n2
	}
	c.Kill(at)
	must(t, bob.WaitServer(ctx, other.Server()))
	began := time.Now()
	a, failed := answering(t, ctx, bob, "1001")
	t.Logf("reached at %s after %v and %d failed attempts", other.Name, time.Since(began), failed)
	hears(t, ctx, a, []float64{callerTone})
	must(t, a.Hangup(ctx))
}

// where is the node that says a device is registered with it.
func where(t *testing.T, ctx context.Context, n *lab.Node, device string) (node string) {
	t.Helper()
	eventually(t, ctx, device+" is registered at one node", func() bool {
		answers, err := bus.AskAll[bus.Query, []bus.Registration](ctx, n.Bus, n.Bus.AllNodes(callmanager.Name, bus.VerbRegistrations), bus.Query{Name: device}, "n1", "n2")
		found := 0
		for _, a := range answers {
			for _, r := range a.Value {
				if r.State == "registered" {
					node, found = r.Node, found+1
				}
			}
		}
		return err == nil && found == 1
	})
	return node
}

// answering calls a phone that answers by itself until it does.
func answering(t *testing.T, ctx context.Context, from *phone.Phone, number string) (a *phone.Call, failed int) {
	t.Helper()
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, 4*time.Second)
		a, err := from.Dial(attempt, number)
		must(t, err)
		err = a.WaitAnswered(attempt)
		cancel()
		if err == nil {
			return a, failed
		}
		failed++
		select {
		case <-time.After(200 * time.Millisecond): // as a person does who dials again
		case <-ctx.Done():
		}
	}
	t.Fatalf("%s is not reached: %v", number, context.Cause(ctx))
	return nil, failed
}
