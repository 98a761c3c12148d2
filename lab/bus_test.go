package lab_test

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/cmd/locktone/site"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

// change waits for a change on the board that is meant.
func change(t *testing.T, w *bus.BoardWatch, what string, is func(bus.Change) bool) {
	t.Helper()
	limit := time.After(20 * time.Second)
	for {
		select {
		case c := <-w.C():
			if is(c) {
				return
			}
		case <-limit:
			t.Fatalf("never told: %s", what)
		}
	}
}

func member(name string, alive bool) func(bus.Change) bool {
	return func(c bus.Change) bool { return c.Member != nil && c.Member.Name == name && c.Member.Alive == alive }
}

// TestOwnBus: the embedded servers of the nodes are the bus. Only the buses of nodes are let in: no other service, no phone, no node that
// the site does not have.
func TestOwnBus(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{OwnBus: true})
	n1, n2 := c.Node("n1"), c.Node("n2")
	w := n1.Bus.Board().Watch("weather")
	defer w.Close()
	for _, n := range []*lab.Node{n1, n2} {
		if at := net.JoinHostPort(n.Address.String(), "6222"); n.Bus.RouteAddress() != at {
			t.Errorf("the bus of %s is at %s, want %s", n.Name, n.Bus.RouteAddress(), at)
		}
	}
	bus.Put(n2.Bus.Board(), "weather", "n2", "rain")
	change(t, w, "n2 says it rains", func(c bus.Change) bool { return c.Fact.Owner == "n2" && string(c.Fact.Value) == `"rain"` })
	for name, cfg := range map[string]*tls.Config{
		"no certificate":      {InsecureSkipVerify: true},
		"the call manager":    n2.Identity("callmanager").ClientConfig(pki.ClientPolicy{Peer: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindService)}}),
		"the node's own name": n1.Identity(site.BusName).ClientConfig(pki.ClientPolicy{Peer: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindService)}}),
	} {
		if err := speak(n1.Bus.RouteAddress(), cfg); err == nil {
			t.Errorf("%s was let in", name)
		}
	}
	if err := speak(n1.Bus.RouteAddress(), n2.Identity(site.BusName).ClientConfig(pki.ClientPolicy{Peer: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindService)}})); err != nil {
		t.Errorf("the bus of n2 was not let in: %v", err)
	}
	c.Kill("n2")
	change(t, w, "n2 is lost", member("n2", false))
	change(t, w, "what it said is gone", func(c bus.Change) bool { return c.Gone && c.Fact.Owner == "n2" })
	c.Restart("n2")
	change(t, w, "n2 is back", member("n2", true))
	remove(t, n1, "n2")
	change(t, w, "n2 is taken out", member("n2", false))
	if err := speak(n1.Bus.RouteAddress(), n2.Identity(site.BusName).ClientConfig(pki.ClientPolicy{Peer: pki.PeerPolicy{Kinds: pki.KindsOf(pki.KindService)}})); err == nil {
		t.Error("a node that the site does not have any more was let in")
	}
}

// remove takes a node out of the site.
func remove(t *testing.T, n *lab.Node, name string) {
	t.Helper()
	now, err := n.Store.Site(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := now.Site.Clone()
	next.Nodes = without(next.Nodes, func(x config.Node) bool { return x.Name == name })
	for i := range next.CallManagerGroups {
		g := &next.CallManagerGroups[i]
		g.Nodes = without(g.Nodes, func(x string) bool { return x == name })
	}
	if _, err := n.Store.Apply(t.Context(), store.ChangeSet{Author: "test", Base: now.Revision.Number, Changes: config.Diff(now.Site, next)}); err != nil {
		t.Fatal(err)
	}
}

// without are those that do not match.
func without[T any](all []T, match func(T) bool) (out []T) {
	for _, x := range all {
		if !match(x) {
			out = append(out, x)
		}
	}
	return out
}

// speak comes to the port of routes and waits for the first word of the other end. In TLS 1.3 a client learns with it that it was
// refused.
func speak(at string, c *tls.Config) error {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", at, c)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, err = conn.Read(make([]byte, 16))
	return err
}
