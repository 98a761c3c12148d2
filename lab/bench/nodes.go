package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/load"
)

// between is a run whose callers are at one node and whose callees are at another, or the same.
func (b *bench) between(c *cluster, callees netip.AddrPort, phones int) load.Config {
	conf := b.config(c.n1, direct, phones)
	conf.Callees = callees
	return conf
}

// crossRate is the rate of the rows of calls between nodes.
const crossRate = 100

// cross is a call between phones of two nodes, against the same call between phones of one: interleaved, the CPU of both nodes in
// both cases.
func (b *bench) cross(ctx context.Context) error {
	c, err := b.startCluster(ctx, many)
	if err != nil {
		return err
	}
	defer c.stop()
	places := []struct {
		system  string
		callees netip.AddrPort
	}{{"locktone", c.n2.addr}, {"one node", c.n1.addr}}
	for _, p := range places { // tables, caches and heap as after some minutes of work
		if _, err := b.crossSample(ctx, c, p.callees, crossRate, 3); err != nil {
			return err
		}
	}
	rate := float64(crossRate)
	if b.rate > 0 {
		rate = b.rate
	}
	for round := range b.rounds {
		for i := range places {
			p := places[(i+round)%len(places)]
			if err := b.crossRows(ctx, c, p.system, p.callees, rate); err != nil {
				return err
			}
		}
	}
	b.note("calls between nodes: the peer is the same call between two phones of one node of the same cluster; CPU and allocations are those of both nodes together, PostgreSQL not included")
	return nil
}

func (b *bench) crossRows(ctx context.Context, c *cluster, system string, callees netip.AddrPort, rate float64) error {
	done := b.profiling(ctx, c.n2, "cross-"+system)
	s, err := b.crossSample(ctx, c, callees, rate, b.seconds)
	done()
	if err != nil {
		return fmt.Errorf("%s: %w", system, err)
	}
	name := fmt.Sprintf("call between two nodes, %.0f/s: ", rate)
	b.table.row(name+"CPU of both", "us", "").add(system, s.each())
	b.table.row(name+"INVITE to 180 p50", "ms", "").add(system, float64(s.Ringing.P50US)/1000)
	b.table.row(name+"INVITE to 200 p50", "ms", "").add(system, float64(s.Answer.P50US)/1000)
	b.table.row(name+"INVITE to 200 p99", "ms", "").add(system, float64(s.Answer.P99US)/1000)
	b.table.row(name+"allocations of both", "objects", "").add(system, s.allocs/float64(s.Answered))
	b.say("%s %s: %.0f us, 200 p50 %.2f p99 %.2f ms, %.0f allocations", name, system, s.each(), float64(s.Answer.P50US)/1000, float64(s.Answer.P99US)/1000, s.allocs/float64(s.Answered))
	return nil
}

// crossSample is calls for some seconds, and what both nodes spent on them.
func (b *bench) crossSample(ctx context.Context, c *cluster, callees netip.AddrPort, rate, seconds float64) (*cost, error) {
	conf := b.between(c, callees, pairsOfPhones)
	conf.Rate, conf.Count = rate, int(rate*seconds)
	out := &cost{}
	cpu := func() time.Duration { return spent(c.n1.pid) + spent(c.n2.pid) }
	allocs := func() float64 { return b.allocs(ctx, c.n1) + b.allocs(ctx, c.n2) }
	var before time.Duration
	var had float64
	conf.Begin = func() { had, before = allocs(), cpu() }
	conf.End = func() { out.cpu, out.allocs = cpu()-before, allocs()-had }
	var err error
	if out.Result, err = load.Run(ctx, conf); err != nil {
		return nil, err
	}
	return out, out.clean()
}

// nodes is the memory of the nodes of a cluster: idle, with phones that are registered at the other one, and with calls that go
// through both.
func (b *bench) nodes(ctx context.Context) error {
	for range b.rounds {
		if err := b.nodesPhones(ctx); err != nil {
			return err
		}
		if err := b.nodesCalls(ctx); err != nil {
			return err
		}
	}
	return nil
}

// both are the footprints of the two nodes.
func (b *bench) both(ctx context.Context, c *cluster) [2]footprint {
	return [2]footprint{b.footprint(ctx, c.n1), b.footprint(ctx, c.n2)}
}

// share is what each of n things added, in kB.
func (f footprint) share(before footprint, n int) footprint {
	return footprint{(f.resident - before.resident) / float64(n), (f.alive - before.alive) / float64(n)}
}

// grown puts what a thing adds to a node into the table.
func (b *bench) grown(name, unit string, f footprint) {
	b.table.row(name+": alive", unit, "").add("locktone", f.alive)
	b.table.row(name+": resident", unit, "").add("locktone", f.resident)
}

// nodesPhones registers all phones at one node and looks at both. The clusters of both runs are new: what a call leaves behind for
// retransmissions is not in these figures.
func (b *bench) nodesPhones(ctx context.Context) error {
	c, err := b.startCluster(ctx, b.phones)
	if err != nil {
		return err
	}
	defer c.stop()
	if err := b.idleCPU(ctx, c); err != nil {
		return err
	}
	before := b.both(ctx, c)
	b.grown(fmt.Sprintf("idle node of a cluster of two, %d devices configured", b.phones), "MB", footprint{before[1].resident / 1024, before[1].alive / 1024})
	conf := b.config(c.n1, direct, b.phones)
	conf.Mode, conf.Count, conf.Rate = load.Register, 1, 10
	conf.Begin = func() {
		with := b.both(ctx, c)
		b.grown(fmt.Sprintf("memory of a registration (of %d) at the node that has it", b.phones), "kB", with[0].share(before[0], b.phones))
		b.grown(fmt.Sprintf("memory of a registration (of %d) at a node that has heard of it", b.phones), "kB", with[1].share(before[1], b.phones))
		b.say("nodes: %.0f and %.0f kB at start, %.0f and %.0f with %d phones at the first", before[0], before[1], with[0], with[1], b.phones)
		b.heap(ctx, c.n2, "nodes-facts")
	}
	r, err := load.Run(ctx, conf)
	if err != nil {
		return err
	}
	if r.Registered < b.phones {
		return fmt.Errorf("%d of %d phones registered: %v", r.Registered, b.phones, r.Failures)
	}
	return nil
}

// idleCPU is what a node of a cluster spends where nothing happens.
func (b *bench) idleCPU(ctx context.Context, c *cluster) error {
	before, begun := spent(c.n2.pid), time.Now()
	select {
	case <-time.After(10 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	b.table.row("idle node of a cluster of two: CPU a second", "ms", "").add("locktone", float64((spent(c.n2.pid)-before).Milliseconds())/time.Since(begun).Seconds())
	return nil
}

// tied is how many calls are up between the nodes.
const tied = 1000

// nodesCalls holds calls between phones of two nodes.
func (b *bench) nodesCalls(ctx context.Context) error {
	c, err := b.startCluster(ctx, many)
	if err != nil {
		return err
	}
	defer c.stop()
	warm := b.between(c, c.n2.addr, pairsOfPhones) // what exists once, whoever comes first; a call that is turned away does no harm
	warm.Rate, warm.Count = 100, 1500
	if _, err := load.Run(ctx, warm); err != nil {
		return err
	}
	select { // what finished calls leave for retransmissions is gone after timer L, 64*T1 (RFC 6026, 8.7)
	case <-time.After(33 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	conf := b.between(c, c.n2.addr, pairsOfPhones)
	conf.Count, conf.Rate = tied, 50
	var idle [2]footprint
	held := 0
	conf.Begin = func() { idle = b.both(ctx, c) }
	conf.Plateau = func(l load.Live) {
		held = l.Established
		up := b.both(ctx, c)
		b.grown(fmt.Sprintf("memory of a call between two nodes (of %d) at the caller's", tied), "kB", up[0].share(idle[0], max(1, held)))
		b.grown(fmt.Sprintf("memory of a call between two nodes (of %d) at the called one's", tied), "kB", up[1].share(idle[1], max(1, held)))
		b.say("nodes: %.0f and %.0f kB without calls, %.0f and %.0f with %d", idle[0], idle[1], up[0], up[1], held)
	}
	r, err := load.Run(ctx, conf)
	if err != nil {
		return err
	}
	if held < tied {
		return fmt.Errorf("only %d of %d calls came up: %v", held, tied, r.Failures)
	}
	return nil
}

// devices is how many a large site has.
const devices = 100_000

// size is what a large configuration costs: reading it, the start of a node with it, the change of one device, memory.
func (b *bench) size(ctx context.Context) error {
	text := config.Format(load.Site(devices), true)
	name := fmt.Sprintf("site of %d devices: ", devices)
	add := func(what, unit string, v float64) {
		b.table.row(name+what, unit, "").add("locktone", v)
		b.say("%s%s %.1f %s", name, what, v, unit)
	}
	begun := time.Now()
	conf, err := config.Parse("site.yaml", text, nil)
	if err != nil {
		return err
	}
	add("its file is parsed and checked in", "s", time.Since(begun).Seconds())
	add("its file", "MB", float64(len(text))/1e6)
	begun = time.Now()
	s, err := b.startChanged(ctx, "locktone", b.bin, func(c *config.Site) {
		node := c.Nodes
		*c = *conf
		c.Nodes = node
	})
	if err != nil {
		return err
	}
	defer s.stop()
	add("a new node is ready after", "s", time.Since(begun).Seconds())
	f := b.footprint(ctx, s)
	add("memory of a node, alive", "MB", f.alive/1024)
	add("memory of a node, resident", "MB", f.resident/1024)
	conf.Devices[len(conf.Devices)/2].Description = "changed"
	conf.Nodes = []config.Node{{Name: "node1", Services: []config.NodeService{{Service: config.ServiceCallManager, Address: s.addr.Addr().String()}}}}
	file := filepath.Join(b.dir, "large.yaml")
	if err := os.WriteFile(file, config.Format(conf, true), 0o600); err != nil {
		return err
	}
	before := spent(s.pid)
	begun = time.Now()
	if out, err := exec.CommandContext(ctx, b.bin, "apply", file, "--home", s.home).CombinedOutput(); err != nil {
		return fmt.Errorf("apply: %w: %s", err, out)
	}
	add("one device is changed by apply in", "s", time.Since(begun).Seconds())
	add("CPU of the node for that", "s", (spent(s.pid) - before).Seconds())
	return nil
}
