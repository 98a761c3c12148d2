package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/lab/load"
	"github.com/locktone/locktone/lab/peers"
	"github.com/locktone/locktone/service/admin"
)

// uas is a call that ends here: on the endpoint alone, and in a whole site (the echo number, engine and media included).
func (b *bench) uas(ctx context.Context) error {
	if err := b.uasEndpoint(ctx); err != nil {
		b.note("UAS benchmark of wire/sip/endpoint: " + err.Error())
	}
	s, err := b.startSite(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	return b.interleaved([]*server{s}, func(round int, s *server) error {
		c := b.config(s, direct, pairsOfPhones)
		c.Target, c.Rate, c.Count = "9196", 300, int(300*b.seconds)
		done := b.profiling(ctx, s, fmt.Sprintf("echo-%d", round))
		out, err := b.measure(ctx, s, c)
		done()
		if err != nil {
			return err
		}
		if err := out.clean(); err != nil {
			return err
		}
		b.table.row("call to the echo number of a site, 300/s: CPU", "us", "").add(s.name, out.each())
		b.table.row("call to the echo number of a site, 300/s: allocations", "objects", "").add(s.name, out.allocs/float64(out.Answered))
		return nil
	})
}

var benchFigure = regexp.MustCompile(`([0-9.e+]+) (cpu-us/call|allocs/call)`)

// uasEndpoint runs the endpoint's own benchmark, whose client is a process of its own.
func (b *bench) uasEndpoint(ctx context.Context) error {
	for range b.rounds {
		out, err := exec.CommandContext(ctx, "go", "test", "-run", "XXX", "-bench", "BenchmarkCall/tls/rate=(300|3000)$", "-benchtime", "6000x", "./wire/sip/endpoint").CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "BenchmarkCall") {
				continue
			}
			_, rate, _ := strings.Cut(strings.Fields(line)[0], "rate=")
			rate, _, _ = strings.Cut(rate, "-")
			for _, m := range benchFigure.FindAllStringSubmatch(line, -1) {
				v, err := strconv.ParseFloat(m[1], 64)
				if err != nil {
					return err
				}
				if m[2] == "cpu-us/call" {
					b.table.row("terminated call over mutual TLS, "+rate+"/s: CPU", "us", "<= 80").add("locktone", v)
				} else {
					b.table.row("terminated call over mutual TLS, "+rate+"/s: allocations", "objects", "<= 200").add("locktone", v)
				}
			}
		}
	}
	return nil
}

// memory is what a phone and a call cost, each in a fresh process: the growth of the resident set, and of what is alive after
// a collection (heap in use and stacks), which does not depend on when the collector last ran.
func (b *bench) memory(ctx context.Context) error {
	for range b.rounds {
		if err := b.memoryOnce(ctx); err != nil {
			return err
		}
	}
	return nil
}

// footprint is the memory of a site at one moment, in kB.
type footprint struct{ resident, alive float64 }

func (b *bench) footprint(ctx context.Context, s *server) footprint {
	b.settle(ctx)
	api := admin.NewClient(s.home)
	defer api.Close()
	_, _ = api.Download(ctx, http.MethodGet, "/debug/pprof/heap?gc=1", io.Discard) // collects
	return footprint{float64(resident(s.pid)), (s.metric(ctx, "go_memstats_heap_alloc_bytes") + s.metric(ctx, "go_memstats_stack_inuse_bytes")) / 1024}
}

func (b *bench) memoryOnce(ctx context.Context) error {
	s, err := b.startSite(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	warm := b.config(s, direct, pairsOfPhones) // what exists once, whoever comes first: caches, trace, and the collector's floor
	warm.Count, warm.Rate = 2500, 300
	if _, err := load.Run(ctx, warm); err != nil {
		return err
	}
	select { // what finished calls leave for retransmissions is gone after timer L, 64*T1 (RFC 6026, 8.7)
	case <-time.After(33 * time.Second):
	case <-ctx.Done():
		return ctx.Err()
	}
	before := b.footprint(ctx, s)
	c := b.config(s, direct, many)
	c.Count, c.Rate = 1000, 100
	var idle footprint
	c.Begin = func() {
		idle = b.footprint(ctx, s)
		b.heap(ctx, s, "phones")
	}
	held := 0
	c.Plateau = func(l load.Live) {
		up := b.footprint(ctx, s)
		b.heap(ctx, s, "calls")
		held = l.Established
		calls := float64(max(1, held))
		b.table.row("memory of an established call (of 1,000): alive", "kB", "<= 50").add(s.name, (up.alive-idle.alive)/calls)
		b.table.row("memory of an established call (of 1,000): resident", "kB", "<= 50").add(s.name, (up.resident-idle.resident)/calls)
		b.table.row("memory of an idle registered TLS phone (of 1,000): alive", "kB", "<= 40").add(s.name, (idle.alive-before.alive)/many)
		b.table.row("memory of an idle registered TLS phone (of 1,000): resident", "kB", "<= 40").add(s.name, (idle.resident-before.resident)/many)
		b.say("memory (resident, alive): %.0f at start, %.0f with %d phones, %.0f with %d calls, kB", before, idle, many, up, held)
	}
	r, err := load.Run(ctx, c)
	if err != nil {
		return err
	}
	if held < 1000 {
		return fmt.Errorf("only %d of 1,000 calls came up: %v", held, r.Failures)
	}
	return nil
}

// heap writes a heap profile when profiles are wanted.
func (b *bench) heap(ctx context.Context, s *server, name string) {
	if b.profile != "" {
		b.download(ctx, s, "/debug/pprof/heap?gc=1", name+".heap")
	}
}

// settle lets timers of the set-up run out and the runtime give memory back.
func (b *bench) settle(ctx context.Context) {
	select {
	case <-time.After(b.rest):
	case <-ctx.Done():
	}
}

// streams is how many calls the relay rows have; each is two streams of 50 packets a second.
const streams = 100

// relay is the cost of a packet that goes through: ours through real calls with mediaAnchor always, rtpengine through its
// control protocol, the same generator sending and checking at both.
func (b *bench) relay(ctx context.Context) error {
	s, err := b.startSite(ctx)
	if err != nil {
		return err
	}
	defer s.stop()
	var e *engine
	if _, err := peers.Find("rtpengine"); err != nil {
		b.note("rtpengine is not installed (apt-get install rtpengine-daemon): its column is empty")
	} else if e, err = b.startEngine(ctx); err != nil {
		b.note("rtpengine did not start: " + err.Error())
	} else {
		defer e.end()
	}
	for round := range b.rounds {
		for _, kind := range []struct {
			name     string
			first    int
			srtp     load.Protection
			from, to bool
		}{{"RTP to RTP", clear_, load.None, false, false}, {"SRTP to RTP and back", mixed, load.Caller, true, false}, {"SRTP to SRTP", secured, load.Both, true, true}} {
			row := b.table.row("relayed packet, "+kind.name+", 100 calls: CPU", "us", "<= 1.00")
			us, err := b.relayOurs(ctx, s, kind.first, kind.srtp, fmt.Sprintf("relay-%s-%d", kind.srtp, round))
			if err != nil {
				return fmt.Errorf("%s: %w", kind.name, err)
			}
			row.add(s.name, us)
			theirs := 0.0
			if e != nil {
				if theirs, err = b.relayTheirs(ctx, e, kind.from, kind.to); err != nil {
					b.note("rtpengine, " + kind.name + ": " + err.Error())
				} else {
					row.add("rtpengine", theirs)
				}
			}
			b.say("relay %s: %.2f us a packet, rtpengine %.2f", kind.name, us, theirs)
		}
	}
	return nil
}

// window measures CPU and packets for the length of a sample.
func (b *bench) window(ctx context.Context, pid int, counts func() load.MediaCounts) (float64, error) {
	select { // first packets, latching
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	cpu, before := spent(pid), counts()
	select {
	case <-time.After(time.Duration(b.seconds * float64(time.Second))):
	case <-ctx.Done():
	}
	cpu, after := spent(pid)-cpu, counts()
	packets, sent := after.Received-before.Received, after.Sent-before.Sent
	switch {
	case packets == 0 || float64(packets) < 0.97*float64(sent):
		return 0, fmt.Errorf("%d packets sent, %d came through", sent, packets)
	case after.Rejected > before.Rejected:
		return 0, fmt.Errorf("%d packets were not authentic", after.Rejected-before.Rejected)
	}
	return float64(cpu.Microseconds()) / float64(packets), nil
}

func (b *bench) relayOurs(ctx context.Context, s *server, first int, srtp load.Protection, name string) (us float64, err error) {
	c := b.config(s, first, group)
	c.Count, c.Rate, c.Media, c.SRTP = streams, 50, true, srtp
	c.Plateau = func(l load.Live) {
		if l.Established < streams {
			err = fmt.Errorf("%d of %d calls came up", l.Established, streams)
			return
		}
		done := b.profiling(ctx, s, name)
		us, err = b.window(ctx, s.pid, l.Media)
		done()
	}
	r, failed := load.Run(ctx, c)
	if failed == nil && r.Failed > 0 {
		failed = fmt.Errorf("calls failed: %v", r.Failures)
	}
	return us, errors.Join(failed, err)
}

func (b *bench) relayTheirs(ctx context.Context, e *engine, from, to bool) (float64, error) {
	p := load.NewPump()
	var legs []*load.Leg
	defer func() {
		for _, l := range legs {
			l.Close()
		}
		p.Close()
	}()
	for range streams {
		e.calls++
		pair, err := e.call(p, e.calls, from, to)
		legs = append(legs, pair...)
		if err != nil {
			return 0, err
		}
	}
	us, err := b.window(ctx, e.pid(), p.Counts)
	for n := e.calls - streams + 1; n <= e.calls; n++ {
		if _, err := e.ask(2*time.Second, map[string]string{"command": "delete", "call-id": fmt.Sprintf("call%d", n), "from-tag": "a"}, nil); err != nil {
			return us, err
		}
	}
	return us, err
}

// order runs the endpoint's test of INVITE and CANCEL in one segment.
func (b *bench) order(ctx context.Context) error {
	for range b.rounds {
		out, err := exec.CommandContext(ctx, "go", "test", "-count=1", "-run", "^TestInviteCancelInOneSegment$", "./wire/sip/endpoint").CombinedOutput()
		wrong := 0.0
		if m := regexp.MustCompile(`(\d+) of 10,000 pairs misordered`).FindSubmatch(out); m != nil {
			wrong, _ = strconv.ParseFloat(string(m[1]), 64)
		} else if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		b.table.row("INVITE and CANCEL in one segment: misordered of 10,000", "pairs", "0").add("locktone", wrong)
	}
	return nil
}
