package live

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
)

// terminalNode is a node that takes terminals, and nothing else.
type terminalNode struct {
	b  *bus.Bus
	mu sync.Mutex
	// what it has, by device; refuse is what it says to registrations.
	has    map[string]TerminalRegistration
	refuse *bus.Error
	leave  []string
	asked  int
}

func newTerminalNode(t *testing.T, b *bus.Bus) *terminalNode {
	t.Helper()
	n := &terminalNode{b: b, has: map[string]TerminalRegistration{}}
	answer := func() TerminalAnswer { return TerminalAnswer{TerminalLease, len(n.has), n.leave} }
	serve(t, b, VerbTerminalRegister, func(r TerminalRegistration) (TerminalAnswer, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.asked++; n.refuse != nil {
			return TerminalAnswer{}, n.refuse
		}
		n.has[r.Device] = r
		return answer(), nil
	})
	serve(t, b, VerbTerminalUnregister, func(r TerminalEnd) (TerminalAnswer, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.has, r.Device)
		return answer(), nil
	})
	serve(t, b, VerbTerminalMedia, func(r TerminalAddress) (TerminalAnswer, error) { return TerminalAnswer{}, nil })
	serve(t, b, VerbTerminalKeep, func(TerminalKeep) (TerminalAnswer, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		return answer(), nil
	})
	return n
}

func serve[Q any](t *testing.T, b *bus.Bus, verb string, h func(Q) (TerminalAnswer, error)) {
	t.Helper()
	r, err := bus.Serve(b, b.Subject("callmanager", verb), func(_ context.Context, q Q) (TerminalAnswer, error) { return h(q) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
}

func (n *terminalNode) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *terminalNode) devices() (out []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for d := range n.has {
		out = append(out, d)
	}
	slices.Sort(out)
	return out
}

func noted(t *testing.T, x *Terminals) TerminalNote {
	t.Helper()
	select {
	case n := <-x.Notes():
		return n
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is noted")
	}
	return TerminalNote{}
}

// TestTerminals: a terminal is registered at the first node that takes it, stays so, is moved when its node is lost or wants to be rid of it,
// and comes back where it was forgotten.
func TestTerminals(t *testing.T) {
	_, url := natsServer(t)
	first, second, mine := openBus(t, "n1", url), openBus(t, "n2", url), openBus(t, "n3", url)
	heard(t, mine, "n1")
	heard(t, mine, "n2")
	n1, n2 := newTerminalNode(t, first), newTerminalNode(t, second)
	x := NewRemote(mine, "callmanager").keepTerminals("s", 50*time.Millisecond)
	defer x.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	nodes := []string{"n1", "n2"}
	register := func(device string) (string, error) {
		return x.Register(ctx, nodes, TerminalRegistration{Device: device, Application: "app", Address: netip.MustParseAddrPort("192.0.2.1:4000")})
	}

	if node, err := register("port1"); err != nil || node != "n1" || x.Node("port1", "") != "n1" {
		t.Fatal(node, err)
	}
	n1.set(func() { n1.refuse = &bus.Error{Code: bus.CodeConflict, Message: "somebody has it"} })
	if _, err := register("port2"); err == nil {
		t.Error("who else has it does not count")
	}
	n1.set(func() { n1.refuse = &bus.Error{Code: bus.CodeUnavailable, Message: "drained"} })
	if node, err := register("port2"); err != nil || node != "n2" {
		t.Error(node, err)
	}
	if r := n2.has["port2"]; r.Session != "s" || r.Node != "n3" {
		t.Errorf("%+v", r)
	}

	// n1 has forgotten the port: it started anew.
	n1.set(func() { n1.refuse, n1.has = nil, map[string]TerminalRegistration{} })
	for len(n1.devices()) == 0 && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond) // the next sign of life tells
	}
	// n2 wants to be rid of its own.
	n2.set(func() { n2.leave = []string{"port2"} })
	if n := noted(t, x); n.Device != "port2" || n.Node != "n1" || n.Why == "" {
		t.Errorf("%+v", n)
	}
	n2.set(func() { n2.leave, n2.has = nil, map[string]TerminalRegistration{} }) // the other node has taken it

	// n1 dies.
	first.Close()
	for _, want := range []TerminalNote{{Device: "port1"}, {Device: "port1", Node: "n2"}, {Device: "port2"}, {Device: "port2", Node: "n2"}} {
		if n := noted(t, x); n.Device != want.Device || n.Node != want.Node || (n.Why == "") != (want.Node != "") {
			t.Errorf("%+v, want %+v", n, want)
		}
	}
	if got := n2.devices(); !slices.Equal(got, []string{"port1", "port2"}) {
		t.Error(got)
	}
	if err := x.Unregister(ctx, "port1", ""); err != nil || slices.Contains(n2.devices(), "port1") {
		t.Error(err)
	}
	if err := x.Address(ctx, "port1", "", 0, netip.MustParseAddrPort("192.0.2.1:4002")); err == nil {
		t.Error("an address for what is not registered")
	}
}
