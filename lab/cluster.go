package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/cmd/locktone/site"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/address"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/custody"
	"github.com/locktone/locktone/service/callmanager"
)

// ClusterOptions say what a cluster of the lab is like. The zero value is two nodes, n1 and n2, that run everything; alice and bob
// are in device pool default, whose group is n1, n2; pools n1, n2 ... have groups that begin with that node.
type ClusterOptions struct {
	Nodes int // how many; 0: 2
	// Postgres are the servers of the record, the primary first, which the test may stop; they outlive the cluster. nil: the one that all
	// tests share.
	Postgres []*postgres.Server
	// OwnBus leaves out the NATS server beside the nodes: their embedded servers are the bus. Cut and Isolate do not touch it.
	OwnBus bool
	// Site changes the configuration of the first start.
	Site func(*config.Site)
	// Tune changes the call manager's configuration of a node, at every start.
	Tune func(node string, c *callmanager.Config)
}

// Cluster is a cluster in one process, on one PostgreSQL and one bus. Its nodes are sites of the same code as `locktone up`.
//
//	c := lab.StartCluster(t, lab.ClusterOptions{})
//	alice := c.Registered("n1 n2", "alice", "1001", nil) // a phone that knows n1 and n2 as its servers
//	c.Kill("n1")                               // no goodbyes
//	c.Restart("n1")
//	c.Cut("n1", "n2")                          // nothing passes between them; Heal
//	c.Isolate("n1")                            // nothing passes between it and anybody, phones, PostgreSQL and bus included; Return
//	c.Record("n1", false)                      // PostgreSQL is away for it
//	c.Bus("n1", false)                         // the bus is away for it
type Cluster struct {
	Postgres *postgres.Server
	t        testing.TB
	opt      ClusterOptions
	keys     *keys
	key      custody.Key
	dir      string
	database string
	network  *network
	nats     *server.Server
	nodes    []*Node
}

// Node is a node of a Cluster. Site is nil while it is down.
type Node struct {
	*Site
	Name    string
	Address netip.Addr
	Home    string
	place   address.Taken // Address, also while the node is down
	records []*relay      // to each server of the record
	away    bool          // Record said so
	bus     *relay
}

// StartCluster starts a cluster that ends with the test. Where PostgreSQL is not installed the test is skipped.
func StartCluster(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	if o.Nodes == 0 {
		o.Nodes = 2
	}
	if o.Postgres == nil {
		o.Postgres = []*postgres.Server{postgres.Need(t)}
	}
	c := &Cluster{t: t, opt: o, Postgres: o.Postgres[0], keys: &keys{used: map[pki.Algorithm]int{}}, key: custody.NewKey(), network: newNetwork()}
	t.Cleanup(c.close)
	if err := c.open(t.Context()); err != nil {
		t.Fatalf("cluster: %v", err)
	}
	for _, n := range c.nodes {
		c.Restart(n.Name)
	}
	return c
}

// open starts what the nodes share and gives each its place.
func (c *Cluster) open(ctx context.Context) (err error) {
	if c.dir, err = os.MkdirTemp("", "lt-lab-"); err != nil { // short: the path of a unix socket has 107 bytes
		return err
	}
	if c.database, err = c.Postgres.Create(ctx); err != nil {
		return err
	}
	if c.nats, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, MaxPayload: 8 << 20, MaxPending: 64 << 20}); err != nil {
		return err
	}
	c.nats.Start()
	if !c.nats.ReadyForConnections(30 * time.Second) {
		return errors.New("the bus is not ready")
	}
	for i := range c.opt.Nodes {
		n := &Node{Name: fmt.Sprintf("n%d", i+1)}
		n.Home = filepath.Join(c.dir, n.Name)
		c.nodes = append(c.nodes, n)
		if err := os.MkdirAll(n.Home, 0o700); err != nil {
			return err
		}
		if err = n.meet(c.opt.Postgres); err != nil {
			return err
		}
		if n.bus, err = newRelay("tcp", "127.0.0.1:0", "tcp", c.nats.Addr().String()); err != nil {
			return err
		}
		if n.place, err = address.Take(); err != nil {
			return err
		}
		n.Address = n.place.Addr
		c.network.owner[n.Address] = n.Name
	}
	return nil
}

// meet gives a node its way to each server of the record.
func (n *Node) meet(servers []*postgres.Server) error {
	for i, s := range servers {
		if err := os.Mkdir(n.door(i), 0o700); err != nil {
			return err
		}
		r, err := newRelay("unix", filepath.Join(n.door(i), filepath.Base(s.Socket())), "unix", s.Socket())
		if err != nil {
			return err
		}
		n.records = append(n.records, r)
	}
	return nil
}

// door is the folder of the socket by which a node reaches a server of the record.
func (n *Node) door(i int) string { return filepath.Join(n.Home, fmt.Sprint("pg", i)) }

// reach lets the node reach the record, or not.
func (n *Node) reach(reachable bool) {
	for _, r := range n.records {
		r.broke(!reachable)
	}
}

// site is the configuration of the first start.
func (c *Cluster) site() *config.Site {
	s := config.Default("n1")
	s.Nodes, s.CallManagerGroups, s.DevicePools = nil, nil, nil
	var names []string
	for _, n := range c.nodes {
		names = append(names, n.Name)
		s.Nodes = append(s.Nodes, config.Node{Name: n.Name, Address: n.Address.String()})
	}
	s.CallManagerGroups = append(s.CallManagerGroups, config.CallManagerGroup{Name: "default", Nodes: names})
	s.DevicePools = append(s.DevicePools, config.DevicePool{Name: "default", CallManagerGroup: "default"})
	for i, name := range names {
		s.CallManagerGroups = append(s.CallManagerGroups, config.CallManagerGroup{Name: name, Nodes: append(slices.Clone(names[i:]), names[:i]...)})
		s.DevicePools = append(s.DevicePools, config.DevicePool{Name: name, CallManagerGroup: name})
	}
	if c.opt.Site != nil {
		c.opt.Site(s)
	}
	return s.Canonical()
}

// Node is a node by name.
func (c *Cluster) Node(name string) *Node {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.Name == name {
			return n
		}
	}
	c.t.Fatalf("the cluster has no node %q", name)
	return nil
}

// Nodes are all of them, in the order of the site.
func (c *Cluster) Nodes() []*Node { return slices.Clone(c.nodes) }

// Restart starts a node that is down.
func (c *Cluster) Restart(name string) {
	c.t.Helper()
	n := c.Node(name)
	if n.Site != nil {
		c.t.Fatalf("node %s runs already", name)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	n.reach(!n.away)
	n.bus.broke(false)
	s, err := site.Start(ctx, c.options(n))
	if err != nil {
		c.t.Fatalf("node %s: %v", name, err)
	}
	n.Site = &Site{Site: s}
}

func (c *Cluster) options(n *Node) site.Options {
	var doors []string
	for i := range n.records {
		doors = append(doors, n.door(i))
	}
	dsn := url.URL{Scheme: "postgres", Path: "/" + c.database, RawQuery: url.Values{"host": {strings.Join(doors, ",")}, "user": {"locktone"}}.Encode()}
	o := site.Options{Home: n.Home, Site: c.site(), Version: "lab", NoPhones: true, Keys: c.keys.make, ClusterKey: c.key}
	o.Node.Node = n.Name
	o.Node.Admin.Address = "127.0.0.1:0"
	o.Node.Store.DSN = dsn.String()
	if !c.opt.OwnBus {
		o.Node.Bus.URLs = []string{"nats://" + n.bus.door.Addr().String()}
	}
	o.Tune = func(cm *callmanager.Config) {
		cm.Network = c.network.of(n.Name, n.Address)
		if c.opt.Tune != nil {
			c.opt.Tune(n.Name, cm)
		}
	}
	return o
}

// Kill ends a node as kill -9 does: its connections are reset, nobody is told anything.
func (c *Cluster) Kill(name string) {
	c.t.Helper()
	n := c.running(name)
	n.reach(false)
	n.bus.broke(true)
	c.network.kill(name)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = n.Abandon(ctx) // what it could not say is what is meant
	n.Site = nil
}

// Stop stops a node in order, as SIGTERM does.
func (c *Cluster) Stop(name string) {
	c.t.Helper()
	n := c.running(name)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		c.t.Errorf("node %s: %v", name, err)
	}
	n.Site = nil
}

func (c *Cluster) running(name string) *Node {
	c.t.Helper()
	n := c.Node(name)
	if n.Site == nil {
		c.t.Fatalf("node %s is down", name)
	}
	return n
}

// Cut lets nothing pass between two nodes, until Heal.
func (c *Cluster) Cut(a, b string) { c.network.set(func() { c.network.cut[pair(a, b)] = true }) }

// Heal ends a Cut.
func (c *Cluster) Heal(a, b string) { c.network.set(func() { delete(c.network.cut, pair(a, b)) }) }

// Isolate lets nothing pass between a node and anybody, as of a machine whose cable was pulled: nodes, phones, PostgreSQL, bus.
func (c *Cluster) Isolate(name string) {
	c.network.set(func() { c.network.alone[name] = true })
	c.Node(name).reach(false)
	c.Node(name).bus.broke(true)
}

// Return ends an Isolate.
func (c *Cluster) Return(name string) {
	c.network.set(func() { delete(c.network.alone, name) })
	c.Node(name).reach(true)
	c.Node(name).bus.broke(false)
}

// Record lets a node reach PostgreSQL, or not, also when it starts again.
func (c *Cluster) Record(name string, reachable bool) {
	n := c.Node(name)
	n.away = !reachable
	n.reach(!n.away)
}

// Bus lets a node reach the bus, or not. Of no effect with OwnBus.
func (c *Cluster) Bus(name string, reachable bool) { c.Node(name).bus.broke(!reachable) }

func (c *Cluster) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c.network.set(func() { clear(c.network.cut); clear(c.network.alone) })
	for _, n := range slices.Backward(c.nodes) {
		if n.Site != nil {
			if err := n.Abandon(ctx); err != nil && !c.t.Failed() {
				c.t.Logf("closing node %s: %v", n.Name, err)
			}
		}
		for _, r := range append(n.records, n.bus) {
			if r != nil {
				r.close()
			}
		}
		if err := n.place.Release(); err != nil {
			c.t.Error(err)
		}
	}
	if c.nats != nil {
		c.nats.Shutdown()
		c.nats.WaitForShutdown()
	}
	if err := os.RemoveAll(c.dir); err != nil {
		c.t.Error(err)
	}
}

// Up is the first node that runs.
func (c *Cluster) Up() *Node {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.Site != nil {
			return n
		}
	}
	c.t.Fatal("every node is down")
	return nil
}

// Phone starts a phone that knows the nodes named as its servers, in that order; nodes is one name or several with spaces between.
// change, where not nil, alters its configuration first. It ends with the test.
func (c *Cluster) Phone(nodes, device, number string, change func(*phone.Config)) *phone.Phone {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	p, err := c.Up().Phone(ctx, device, number, func(cfg *phone.Config) {
		var servers []string
		for _, name := range strings.Fields(nodes) {
			servers = append(servers, c.Node(name).Server())
		}
		cfg.Server, cfg.Backups = servers[0], servers[1:]
		if change != nil {
			change(cfg)
		}
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// Registered starts a phone and waits until it is registered.
func (c *Cluster) Registered(nodes, device, number string, change func(*phone.Config)) *phone.Phone {
	c.t.Helper()
	p := c.Phone(nodes, device, number, change)
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	if err := p.WaitRegistered(ctx); err != nil {
		c.t.Fatal(err)
	}
	return p
}

// Server is where its phones register.
func (n *Node) Server() string { return netip.AddrPortFrom(n.Address, 5061).String() }

// Drain drains a node and stops it when it says that it ends.
func (c *Cluster) Drain(name string, limit time.Duration) {
	c.t.Helper()
	n := c.running(name)
	ctx, cancel := context.WithTimeout(context.Background(), limit+time.Minute)
	defer cancel()
	if _, err := n.Calls.Drain(ctx, bus.DrainRequest{On: true, Limit: limit, Actor: "test"}); err != nil {
		c.t.Fatal(err)
	}
	select {
	case <-n.Calls.Ended():
	case <-ctx.Done():
		c.t.Fatalf("node %s does not end: %+v", name, n.Calls.Draining())
	}
	c.Stop(name)
}
