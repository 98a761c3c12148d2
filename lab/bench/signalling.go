package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/locktone/locktone/lab/load"
	"github.com/locktone/locktone/lab/peers"
	"github.com/locktone/locktone/service/admin"
)

// benchmarks in the order of the table.
var benchmarks = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"bridge", (*bench).bridge},
	{"ladder", (*bench).ladder},
	{"uas", (*bench).uas},
	{"register", (*bench).register},
	{"handshake", (*bench).handshake},
	{"memory", (*bench).memory},
	{"relay", (*bench).relay},
	{"order", (*bench).order},
	{"enrol", (*bench).enrol},
	{"transfer", (*bench).transfer},
	{"conference", (*bench).conference},
	{"storm", (*bench).storm},
	{"cross-node", (*bench).cross},
	{"nodes", (*bench).nodes},
	{"bus", (*bench).bus},
	{"size", (*bench).size},
	{"cti", (*bench).cti},
	{"queue", (*bench).queueing},
}

func names() string {
	var out []string
	for _, x := range benchmarks {
		out = append(out, x.name)
	}
	return strings.Join(out, ", ")
}

// pair starts our site and Kamailio; without Kamailio it is our site alone. With --before there is a third, of that build of ours.
func (b *bench) pair(ctx context.Context) (systems []*server, stop func(), err error) {
	b.say("starting a site")
	ours, err := b.startSite(ctx)
	if err != nil {
		return nil, nil, err
	}
	systems = []*server{ours}
	if b.before != "" {
		earlier, err := b.startBuild(ctx, before, b.before)
		if err != nil {
			ours.stop()
			return nil, nil, err
		}
		systems = append(systems, earlier)
	}
	if _, err := peers.Find("kamailio"); err != nil {
		b.note("kamailio is not installed (apt-get install kamailio kamailio-tls-modules): its column is empty")
	} else if theirs, err := b.startKamailio(ctx); err != nil {
		b.note("kamailio did not start: " + err.Error())
	} else {
		systems = append(systems, theirs)
	}
	return systems, func() {
		for _, s := range systems {
			s.stop()
		}
	}, nil
}

func (b *bench) note(text string) {
	for _, n := range b.table.Notes {
		if n == text {
			return
		}
	}
	b.table.Notes = append(b.table.Notes, text)
}

// interleaved runs f for every system in every round, the order changing.
func (b *bench) interleaved(systems []*server, f func(round int, s *server) error) error {
	for round := range b.rounds {
		for i := range systems {
			s := systems[(i+round)%len(systems)]
			if err := f(round, s); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	return nil
}

// config is a run against a server with phones of a group.
func (b *bench) config(s *server, first, phones int) load.Config {
	return load.Config{Server: s.addr, Domain: domain, Phones: phones, User: "%d", First: first, Device: "load%d", Roots: s.roots,
		Certificate: b.ca.Phones(), From: netip.AddrFrom4([4]byte{127, 100, 0, 1}), Spread: max(phones, 100), Timeout: 10 * time.Second}
}

// cost is a run with what the server spent on it.
type cost struct {
	*load.Result
	cpu    time.Duration
	allocs float64
}

// measure does a run and takes the server's CPU around it.
func (b *bench) measure(ctx context.Context, s *server, c load.Config) (*cost, error) {
	out := &cost{}
	var before time.Duration
	var allocs float64
	begin := c.Begin
	c.Begin = func() {
		before, allocs = spent(s.pid), b.allocs(ctx, s)
		if begin != nil {
			begin()
		}
	}
	c.End = func() { out.cpu, out.allocs = spent(s.pid)-before, b.allocs(ctx, s)-allocs }
	var err error
	out.Result, err = load.Run(ctx, c)
	return out, err
}

func (b *bench) allocs(ctx context.Context, s *server) float64 {
	if s.home == "" {
		return 0
	}
	return s.metric(ctx, "go_memstats_mallocs_total")
}

// each is the server's cost of one thing, in us.
func (c *cost) each() float64 { return float64(c.cpu.Microseconds()) / float64(max(1, c.Answered)) }

// clean refuses a sample in which something failed.
func (c *cost) clean() error {
	if c.Failed > 0 {
		return fmt.Errorf("%d of %d failed: %v", c.Failed, c.Attempted, c.Failures)
	}
	return nil
}

// pairsOfPhones is how many phones call in the CPU rows: 8 callers, 8 callees, a TLS connection each.
const pairsOfPhones = 16

// bridge is a call between two phones over mutual TLS with SDES keys, at rates a site has.
func (b *bench) bridge(ctx context.Context) error {
	systems, stop, err := b.pair(ctx)
	if err != nil {
		return err
	}
	defer stop()
	for _, s := range systems { // tables, caches and heap as after some minutes of work
		if _, err := b.calls(ctx, s, 200, 3); err != nil {
			return err
		}
	}
	rates := []float64{100, 300}
	if b.rate > 0 {
		rates = []float64{b.rate}
	}
	for _, rate := range rates {
		err := b.interleaved(systems, func(round int, s *server) error {
			done := b.profiling(ctx, s, fmt.Sprintf("bridge-%.0f-%d", rate, round))
			c, err := b.calls(ctx, s, rate, b.seconds)
			done()
			if err != nil {
				return err
			}
			name := fmt.Sprintf("bridged call, %.0f/s", rate)
			b.table.row(name+": CPU", "us", "<= 0.80").add(s.name, c.each())
			b.table.row(name+": INVITE to 180 p50", "ms", "").add(s.name, float64(c.Ringing.P50US)/1000)
			b.table.row(name+": INVITE to 200 p50", "ms", "").add(s.name, float64(c.Answer.P50US)/1000)
			b.table.row(name+": INVITE to 200 p99", "ms", "<= 1 at 100/s").add(s.name, float64(c.Answer.P99US)/1000)
			if s.home != "" {
				b.table.row(name+": allocations", "objects", "").add(s.name, c.allocs/float64(c.Answered))
			}
			b.say("%s %s: %.0f us a call, 200 p50 %.2f p99 %.2f ms, %.0f allocations", name, s.name, c.each(), float64(c.Answer.P50US)/1000, float64(c.Answer.P99US)/1000, c.allocs/float64(c.Answered))
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) calls(ctx context.Context, s *server, rate, seconds float64) (*cost, error) {
	c := b.config(s, direct, pairsOfPhones)
	c.Rate, c.Count = rate, int(rate*seconds)
	out, err := b.measure(ctx, s, c)
	if err != nil {
		return nil, err
	}
	return out, out.clean()
}

// ladder finds the highest rate at which all calls go through in time and nothing is sent twice, and the CPU of a call there.
func (b *bench) ladder(ctx context.Context) error {
	systems, stop, err := b.pair(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return b.interleaved(systems, func(_ int, s *server) error {
		var best *cost
		for rate := 400.0; rate < 10_000; rate *= 1.25 {
			c, err := b.calls(ctx, s, rate, min(b.seconds, 4))
			if ctx.Err() != nil {
				return ctx.Err()
			}
			clean := err == nil && c.Clean() && c.Answer.P99US < 500_000 && c.RateDone > 0.95*rate
			if c != nil {
				b.say("ladder %s %.0f/s: clean %v, reached %.0f/s, %.0f us a call, p99 %.0f ms", s.name, rate, clean, c.RateDone, c.each(), float64(c.Answer.P99US)/1000)
			}
			if !clean {
				break
			}
			best = c
		}
		if best == nil {
			return errors.New("not even 400 calls/s were clean")
		}
		b.table.row("highest clean calls/s", "1/s", "").add(s.name, best.RateDone)
		b.table.row("bridged call at its own maximum: CPU", "us", "<= 0.50").add(s.name, best.each())
		return nil
	})
}

// register is REGISTER refreshed over mutual TLS, without digest at both.
func (b *bench) register(ctx context.Context) error {
	systems, stop, err := b.pair(ctx)
	if err != nil {
		return err
	}
	defer stop()
	return b.interleaved(systems, func(round int, s *server) error {
		c := b.config(s, direct, 100)
		c.Mode, c.Rate, c.Count = load.Register, 500, int(500*b.seconds)
		done := b.profiling(ctx, s, fmt.Sprintf("register-%d", round))
		out, err := b.measure(ctx, s, c)
		done()
		if err != nil {
			return err
		}
		if err := out.clean(); err != nil {
			return err
		}
		b.table.row("REGISTER, 500/s over 100 TLS connections: CPU", "us", "<= 1.50").add(s.name, out.each())
		b.table.row("REGISTER p99", "ms", "").add(s.name, float64(out.Registering.P99US)/1000)
		b.say("register %s: %.0f us, %.0f allocations", s.name, out.each(), out.allocs/float64(max(1, out.Answered)))
		return nil
	})
}

// handshake is a full mutual handshake, against crypto/tls alone.
func (b *bench) handshake(ctx context.Context) error {
	ours, err := b.startSite(ctx)
	if err != nil {
		return err
	}
	defer ours.stop()
	bare, err := b.startBare(ctx)
	if err != nil {
		return err
	}
	defer bare.stop()
	return b.interleaved([]*server{ours, bare}, func(round int, s *server) error {
		c := b.config(s, direct, 20)
		c.Mode, c.Rate, c.Count = load.Connect, 100, int(100*b.seconds)
		done := b.profiling(ctx, s, fmt.Sprintf("handshake-%d", round))
		out, err := b.measure(ctx, s, c)
		done()
		if err != nil {
			return err
		}
		if err := out.clean(); err != nil {
			return err
		}
		b.table.row("full mutual handshake (P-256), 100/s: CPU", "us", "<= 1.15").add(s.name, out.each())
		b.say("handshake %s: %.0f us", s.name, out.each())
		return nil
	})
}

// profiling starts a CPU profile of our site, as long as one sample; the returned function waits for it.
func (b *bench) profiling(ctx context.Context, s *server, name string) func() {
	if b.profile == "" || s.home == "" {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.download(ctx, s, fmt.Sprintf("/debug/pprof/profile?seconds=%d", max(1, int(b.seconds))), name+".cpu")
	}()
	return func() {
		<-done
		b.download(ctx, s, "/debug/pprof/allocs", name+".allocs")
		b.download(ctx, s, "/debug/pprof/heap?gc=1", name+".heap")
	}
}

// download saves a profile.
func (b *bench) download(ctx context.Context, s *server, path, file string) {
	f, err := os.Create(filepath.Join(b.profile, file))
	if err != nil {
		b.say("profile: %v", err)
		return
	}
	defer f.Close()
	api := admin.NewClient(s.home)
	defer api.Close()
	if _, err := api.Download(ctx, http.MethodGet, path, f); err != nil {
		b.say("profile: %v", err)
	}
}
