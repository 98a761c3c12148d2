package lab_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/clock"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/store"
)

// until waits for what no event tells.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// TestClockIsSet: the wall clock of a node is set by an hour in both directions and by ten years, with calls and registrations up. Nothing
// ends by it, timers run as long as they should, and no record has a call that lasted an hour.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	ctx := within(t, 2*time.Minute)
	var machine clock.Clock
	cfg := config.Default("n1")
	for i := range cfg.SIPProfiles {
		cfg.SIPProfiles[i].RegisterExpires, cfg.SIPProfiles[i].RegisterMinExpires = config.Duration(time.Hour), config.Duration(time.Second)
	}
	site := must(lab.Start(ctx, lab.Options{Config: cfg, Tune: func(c *callmanager.Config) { c.Now = machine.Now }}))(t)
	defer site.Close(context.Background())
	alice := must(site.Registered(ctx, "alice", "1001"))(t)
	defer alice.Close(context.Background())
	bob := must(site.Registered(ctx, "bob", "1002"))(t)
	defer bob.Close(context.Background())
	a, b := talk(t, alice, bob)
	before, hz := alice.Registrations()+bob.Registrations(), 1000.0
	for _, by := range []time.Duration{time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour, 0} {
		machine.Set(by)
		alice.Reregister() // the sweeper of registrations looks at the clock
		if err := alice.WaitRegistered(ctx); err != nil {
			t.Fatal(err)
		}
		if hz += 200; a.State() != phone.Talking || b.State() != phone.Talking {
			t.Fatalf("clock set by %s: the call is %s, %s", by, a.State(), b.State())
		}
		hears(t, a, b, hz)
		second := must(alice.Dial(ctx, "9197"))(t)
		if err := second.WaitAnswered(ctx); err != nil {
			t.Fatalf("clock set by %s: no new call: %v", by, err)
		}
		if err := second.Hangup(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if !alice.Registered() || !bob.Registered() {
		t.Error("a registration was dropped")
	}
	t.Logf("registrations of both: %d, then %d (four were asked for)", before, alice.Registrations()+bob.Registrations())
	machine.Set(time.Hour)
	if err := a.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	legs := legsOf(t, site, 6)
	for _, l := range legs {
		if l.End.Sub(l.Setup) > 2*time.Minute || l.End.Before(l.Setup) || l.Answer.Before(l.Setup) {
			t.Errorf("%s: set up at %s, answered at %s, ended at %s", l.Device, l.Setup, l.Answer, l.End)
		}
	}
}

func legsOf(t *testing.T, site *lab.Site, n int) (legs []store.LegRecord) {
	t.Helper()
	until(t, fmt.Sprintf("%d legs are recorded", n), func() bool {
		legs = must(site.Store.Legs(t.Context(), store.CallQuery{Oldest: true}))(t)
		return len(legs) >= n
	})
	return legs
}

// owner is where a device is registered as a node knows it; empty: nowhere.
func owner(n *lab.Node, device string) string {
	if f := n.Bus.Board().Of(live.FactRegistration, device); len(f) > 0 {
		return f[0].Owner
	}
	return ""
}

// TestBusAway: an operator's NATS servers are away for all nodes, longer than a lease. Calls between nodes go on being set up: each node
// believes what it heard last, and ties do not need the bus. What changed meanwhile is known soon after the bus is back.
func TestBusAway(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{})
	n1, n2 := c.Node("n1"), c.Node("n2")
	alice, bob := c.Registered("n1", "alice", "1001", soon), c.Registered("n2 n1", "bob", "1002", soon)
	until(t, "each knows of the other's phone", func() bool { return owner(n1, "bob") == "n2" && owner(n2, "alice") == "n1" })
	a, b := talk(t, alice, bob)
	away := time.Now()
	c.Bus("n1", false)
	c.Bus("n2", false)
	until(t, "both notice", func() bool { return stale(n1, "n2") && stale(n2, "n1") })
	t.Logf("noticed %s after the bus was lost", time.Since(away))
	hears(t, a, b, 1200)
	if err := a.Hangup(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	dialled := time.Now()
	x, y := talk(t, alice, bob)
	t.Logf("a new call between the nodes without a bus took %s", time.Since(dialled))
	time.Sleep(time.Until(away.Add(4 * time.Second))) // longer than a lease: its passing is what is tested
	if !stale(n1, "n2") || !stale(n2, "n1") || owner(n1, "bob") != "n2" || owner(n2, "alice") != "n1" {
		t.Fatalf("what was known is gone: %+v", n1.Bus.Board().Nodes())
	}
	if row, _ := n1.Bus.Status("n1", "n2"); row.State != "degraded" {
		t.Errorf("the status hides it: %+v", row)
	}
	if err := y.Hangup(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	_ = x
	again, _ := talk(t, bob, alice)
	if err := again.Hangup(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	c.Bus("n1", true)
	c.Bus("n2", true)
	back := time.Now()
	until(t, "both are in step", func() bool {
		return heard(n1, "n2") && heard(n2, "n1") && owner(n1, "bob") == "n2" && owner(n2, "alice") == "n1"
	})
	t.Logf("in step %s after the bus was back", time.Since(back))
}

func stale(n *lab.Node, other string) bool {
	for _, m := range n.Bus.Board().Nodes() {
		if m.Name == other {
			return m.Alive && m.Stale
		}
	}
	return false
}

func heard(n *lab.Node, other string) bool {
	return n.Bus.Board().Alive(other) && !stale(n, other) && n.Bus.Board().InStep()
}
