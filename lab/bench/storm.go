package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/lab/load"
	"github.com/locktone/locktone/lab/phone"
)

// stagger is the time within which phones notice that their server is gone, in the gentler of the two storms. Where a process dies
// all notice at once, because the kernel resets their connections; where a machine dies each finds out with its next keep-alive, which is
// up to two minutes away.
const stagger = 30 * time.Second

// storm is what happens when a node dies that has all phones: they come to the other one, with a full mutual handshake and a
// REGISTER each.
func (b *bench) storm(ctx context.Context) error {
	for range b.rounds {
		for _, within := range []time.Duration{0, stagger} {
			if err := b.stormOnce(ctx, within); err != nil {
				return err
			}
		}
	}
	b.note(fmt.Sprintf("storm: phones and nodes share the machine; the CPU is that of the node the phones come to alone. A phone that is turned away comes again "+
		"when the answer says, or after a random half to whole of 1, 2, 4 ... 16 s. The call that is held and resumed was up at that node before, and its two phones are of %s", "this process too"))
	return nil
}

func (b *bench) stormOnce(ctx context.Context, within time.Duration) error {
	c, err := b.startCluster(ctx, b.phones+2)
	if err != nil {
		return err
	}
	defer c.stop()
	talkers, end, err := b.cast(ctx, c.n2, direct+b.phones, 2)
	defer end()
	if err != nil {
		return err
	}
	call, _, err := connect(ctx, talkers[0], talkers[1])
	if err != nil {
		return err
	}
	conf := b.config(c.n1, direct, b.phones)
	conf.Mode, conf.Backup, conf.Stagger, conf.Timeout = load.Failover, c.n2.addr, within, 20*time.Second
	conf.Spread = max(100, b.phones/4)
	if !b.quiet {
		conf.Progress = every(10*time.Second, func(text string) { b.say("storm: %s", text) })
	}
	var before, cpu time.Duration
	probe := &probe{call: call}
	var done func()
	conf.Begin = func() {
		probe.start(ctx)
		before = spent(c.n2.pid)
		done = b.profiling(ctx, c.n2, "storm")
		c.n1.kill()
	}
	var after footprint
	conf.End = func() {
		cpu = spent(c.n2.pid) - before
		probe.stop()
		done()
		after = b.footprint(ctx, c.n2)
	}
	r, err := load.Run(ctx, conf)
	if err != nil {
		return err
	}
	return b.stormRows(within, r, probe, cpu, after)
}

// stormRows puts a storm into the table.
func (b *bench) stormRows(within time.Duration, r *load.Result, p *probe, cpu time.Duration, after footprint) error {
	m := r.Moved
	refused := int64(0)
	for _, n := range m.Refused {
		refused += n
	}
	last := float64(m.After.MaxUS) / 1e6
	b.say("storm within %s: %d of %d at the other node, half after %.1f s, last after %.1f s, CPU %.1f s (phones %.1f), refused %v, failed %v, held and resumed %d times p50 %.0f p99 %.0f ms, %d failed %v, handshake p50 %d p99 %d ms",
		within, m.Phones, r.Phones, float64(m.After.P50US)/1e6, last, cpu.Seconds(), r.OwnCPU, m.Refused, r.Failures, len(p.took), p.at(0.5), p.at(0.99), p.failed, p.why,
		r.Handshake.P50US/1000, r.Handshake.P99US/1000)
	if m.Phones < r.Phones {
		return fmt.Errorf("%d of %d phones found no place: %v %v", r.Phones-m.Phones, r.Phones, m.Refused, r.Failures)
	}
	if p.failed > 0 || len(p.took) == 0 {
		return fmt.Errorf("the call that was up: %d of %d holds failed: %v", p.failed, len(p.took)+p.failed, p.why)
	}
	how := ", all at once"
	if within > 0 {
		how = fmt.Sprintf(", within %.0f s", within.Seconds())
	}
	name := fmt.Sprintf("%d phones come to the other node%s: ", r.Phones, how)
	add := func(what, unit string, v float64) { b.table.row(name+what, unit, "").add("locktone", v) }
	add("the last is registered after", "s", last)
	add("half of them after", "s", float64(m.After.P50US)/1e6)
	add("CPU of that node", "s", cpu.Seconds())
	add("CPU of that node for a phone", "us", float64(cpu.Microseconds())/float64(r.Phones))
	add("handshakes and registrations", "1/s", float64(r.Phones)/last)
	add("turned away and come again", "times", float64(refused))
	add("a call there is held or resumed, p50", "ms", p.at(0.5))
	add("a call there is held or resumed, p99", "ms", p.at(0.99))
	add("that node's memory then, alive", "MB", after.alive/1024)
	add("that node's memory then, resident", "MB", after.resident/1024)
	return nil
}

// probe holds and resumes an established call again and again: each is a re-INVITE through the node and its answer.
type probe struct {
	call *phone.Call
	end  chan struct{}
	over sync.WaitGroup

	took   []time.Duration
	failed int
	why    error
}

// probeEvery is the pause between two.
const probeEvery = 50 * time.Millisecond

func (p *probe) start(ctx context.Context) {
	p.end = make(chan struct{})
	p.over.Go(func() {
		for held := false; ; held = !held {
			select {
			case <-p.end:
				return
			case <-ctx.Done():
				return
			case <-time.After(probeEvery):
			}
			one, cancel := context.WithTimeout(ctx, 32*time.Second) // RFC 3261, timer B
			begun := time.Now()
			do := p.call.Hold
			if held {
				do = p.call.Resume
			}
			err := do(one)
			cancel()
			if err != nil {
				p.failed, p.why = p.failed+1, errors.Join(p.why, err)
				return
			}
			p.took = append(p.took, time.Since(begun))
		}
	})
}

// stop ends it; after that its figures may be read.
func (p *probe) stop() {
	close(p.end)
	p.over.Wait()
	slices.Sort(p.took)
}

// at is a percentile, in ms.
func (p *probe) at(share float64) float64 { return percentile(p.took, share) }

// percentile is the smallest of the sorted times that a share of all does not exceed, in ms.
func percentile(sorted []time.Duration, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, int(share*float64(len(sorted))))].Microseconds()) / 1000
}

// every passes on a text from time to time.
func every(d time.Duration, f func(string)) func(string) {
	var mu sync.Mutex
	var last time.Time
	return func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(last) > d {
			last = now
			f(text)
		}
	}
}
