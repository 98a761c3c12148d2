package lab_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
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

// splitSite has carol and dave beside alice and bob.
func splitSite(c *config.Site) {
	for name, number := range map[string]string{"carol": "1003", "dave": "1004"} {
		c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal"})
		c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
	}
}

// parks has a phone park its call, and says where.
func parks(t *testing.T, p *phone.Phone, held *phone.Call) (slot string) {
	t.Helper()
	if err := held.Hold(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	code := must(p.Dial(within(t, 20*time.Second), "*35"))(t)
	if err := code.WaitAnswered(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	slot = strings.TrimPrefix(code.Connected().Display, "Parked at ")
	if _, _, err := code.WaitEnded(within(t, 20*time.Second)); err != nil {
		t.Fatal(err)
	}
	return slot
}

// TestSplit: two nodes are cut from each other, and one of them from the bus and PostgreSQL as well. Both sides work on: no slot is taken
// twice, what users set is kept. A call to the other side fails with a cause. After the cut both know one truth, with all that was said.
func TestSplit(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{Site: splitSite})
	n1, n2 := c.Node("n1"), c.Node("n2")
	alice, carol := c.Registered("n1", "alice", "1001", soon), c.Registered("n1", "carol", "1003", soon)
	bob, dave := c.Registered("n2", "bob", "1002", soon), c.Registered("n2", "dave", "1004", soon)
	until(t, "each knows of the other's phones", func() bool { return owner(n1, "dave") == "n2" && owner(n2, "carol") == "n1" })
	heldAlice, _ := talk(t, carol, alice)
	heldBob, _ := talk(t, dave, bob)
	cut := time.Now()
	c.Cut("n1", "n2")
	c.Bus("n1", false)
	c.Record("n1", false)
	until(t, "each side knows", func() bool { return stale(n1, "n2") && !n2.Bus.Board().Alive("n1") })
	t.Logf("both sides know %s after the cut", time.Since(cut))

	slots := make(chan string, 1)
	go func() { slots <- parks(t, carol, heldAlice) }()
	there := parks(t, dave, heldBob)
	here := <-slots
	if here == there || here == "" || there == "" {
		t.Fatalf("parked at %q and at %q", here, there)
	}
	tried := time.Now()
	x := must(carol.Dial(within(t, 60*time.Second), "1004"))(t)
	status, _, err := x.WaitEnded(within(t, 60*time.Second))
	if err != nil || status < 400 || x.Warning() == "" && x.Reason() == "" {
		t.Errorf("a call to the other side: %d %q %q, %v", status, x.Warning(), x.Reason(), err)
	}
	t.Logf("a call to the other side fails after %s: %d %s %s", time.Since(tried), status, x.Warning(), x.Reason())
	forwards := map[*phone.Phone]string{carol: "*721001", dave: "*721002"}
	for p, number := range forwards {
		f := must(p.Dial(within(t, 20*time.Second), number))(t)
		if err := f.WaitAnswered(within(t, 20*time.Second)); err != nil {
			t.Fatalf("%s sets a forward: %v; %s %s", p.Name(), err, f.Warning(), f.Reason())
		}
		if _, _, err := f.WaitEnded(within(t, 20*time.Second)); err != nil {
			t.Fatal(err)
		}
	}

	healed := time.Now()
	c.Heal("n1", "n2")
	c.Bus("n1", true)
	c.Record("n1", true)
	until(t, "each hears the other", func() bool {
		return heard(n1, "n2") && heard(n2, "n1") && owner(n1, "dave") == "n2" && owner(n2, "carol") == "n1"
	})
	t.Logf("in step %s after the cut", time.Since(healed))
	until(t, "both forwards are known", func() bool { return sets(t, n1, "1003", "1001") && sets(t, n1, "1004", "1002") })
	for _, x := range []struct {
		caller, rings *phone.Phone
		dialled       string
	}{{bob, alice, "1003"}, {alice, bob, "1004"}} { // each side acts on what was set at the other
		until(t, x.caller.Name()+" is forwarded from "+x.dialled, func() bool { return forwarded(t, x.caller, x.rings, x.dialled) })
	}
	t.Logf("both forwards act at the other node %s after the cut", time.Since(healed))
	for p, slot := range map[*phone.Phone]string{bob: here, alice: there} { // each fetches what the other side parked
		f := must(p.Dial(within(t, 20*time.Second), slot))(t)
		if err := f.WaitAnswered(within(t, 20*time.Second)); err != nil {
			t.Fatalf("%s fetches %s: %v; %s %s", p.Name(), slot, err, f.Warning(), f.Reason())
		}
	}
	t.Logf("what was parked on each side is fetched from the other %s after the cut", time.Since(healed))
}

// forwarded says whether a call to a number rings the phone it is forwarded to.
func forwarded(t *testing.T, caller, rings *phone.Phone, number string) bool {
	t.Helper()
	x := must(caller.Dial(within(t, 20*time.Second), number))(t)
	defer x.Hangup(within(t, 20*time.Second))
	select {
	case <-rings.Incoming():
		return true
	case <-time.After(3 * time.Second):
		return false
	}
}

// sets says whether a node forwards all calls of a line to a number.
func sets(t *testing.T, n *lab.Node, line, to string) bool {
	t.Helper()
	rows, err := bus.Ask[bus.Query, []bus.LineState](within(t, 5*time.Second), n.Bus, n.Bus.Subject("callmanager", bus.VerbLines), bus.Query{})
	if err != nil {
		return false
	}
	for _, row := range rows {
		for _, f := range row.Forwards {
			if row.Line == line && f.Kind == "all" && f.To == to {
				return true
			}
		}
	}
	return false
}
