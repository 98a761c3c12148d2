package load

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// run is one run while it goes on.
type run struct {
	cfg   Config
	mark  string // makes Call-IDs of this run unlike those of others
	upper string // the transport in Via
	stats

	phones, callers, callees []*phone
	readers                  sync.WaitGroup
	waiting                  table[*transaction]
	dialogs                  table[*dialog]
	ours                     table[*call]
	tags                     atomic.Uint64
	pump                     *Pump

	open        atomic.Int64 // what was begun and has not ended
	established atomic.Int64
	moving      atomic.Pointer[moving] // mode failover
	idle        chan struct{}          // capacity 1: open went to zero
	mu          sync.Mutex
	up          []*call // for Plateau
}

func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) }

// Run does one run. An error says that it could not be done; what failed on the way is in the result.
func Run(ctx context.Context, c Config) (*Result, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	r := &run{cfg: c, mark: strconv.FormatUint(rand.Uint64(), 36), upper: strings.ToUpper(c.Network), idle: make(chan struct{}, 1)}
	if c.Mode == Connect {
		return r.connect(ctx)
	}
	if c.Media && c.Mode == Calls {
		r.pump = newPump(&r.stats)
		defer r.pump.Close()
	}
	defer r.stopPhones()
	sweeping, stop := context.WithCancel(ctx)
	defer stop()
	go r.sweeper(sweeping)
	if err := r.startPhones(ctx); err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	cpu, begin := ownCPU(), time.Now()
	var took time.Duration
	if c.Mode == Failover {
		r.registering, r.handshake = histogram{}, histogram{}
		took = r.failover(ctx)
	} else {
		took = r.load(ctx)
	}
	tell(c.End)
	result := r.result(took, time.Since(begin))
	result.OwnCPU = (ownCPU() - cpu).Seconds()
	if !c.NoRegister && c.Mode != Failover {
		r.unregisterAll()
	}
	return result, context.Cause(ctx)
}

// load is what the modes with a rate do.
func (r *run) load(ctx context.Context) time.Duration {
	each := r.place
	if r.cfg.Mode == Register {
		r.registering = histogram{}
		each = r.refresh
	}
	tell(r.cfg.Begin)
	took := r.pace(ctx, each)
	r.drain(ctx)
	return took
}

func tell(f func()) {
	if f != nil {
		f()
	}
}

// tls is a phone's TLS configuration: its certificate, the server's name.
func (r *run) tls(device string, to netip.AddrPort) (*tls.Config, error) {
	cert, err := r.cfg.Certificate(device)
	if err != nil {
		return nil, fmt.Errorf("certificate for %s: %w", device, err)
	}
	server := r.cfg.Name
	if to != r.cfg.Server {
		server = to.Addr().String()
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: r.cfg.Roots, ServerName: server, MinVersion: tls.VersionTLS12}, nil
}

// name fills the number of a phone into its user or device name.
func name(pattern string, n int) string {
	if strings.Contains(pattern, "%") {
		return fmt.Sprintf(pattern, n)
	}
	return pattern
}

// atOnce is how many phones connect or register at the same time.
const atOnce = 16

// startPhones connects all, and registers each as soon as it is connected: servers keep few connections that say nothing.
func (r *run) startPhones(ctx context.Context) error {
	r.phones = make([]*phone, r.cfg.Phones)
	for i := range r.phones {
		r.phones[i] = &phone{r: r, index: i, user: name(r.cfg.User, r.cfg.First+i)}
	}
	r.callers, r.callees = r.phones, nil
	if r.cfg.Mode == Calls && r.cfg.Target == "" {
		half := len(r.phones) / 2
		r.callers, r.callees = r.phones[:half], r.phones[half:]
	}
	return r.all(ctx, "registering", func(i int) error {
		err := r.phones[i].start(ctx, i, name(r.cfg.Device, r.cfg.First+i))
		if err != nil || r.cfg.NoRegister {
			return err
		}
		return r.register(ctx, r.phones[i])
	})
}

// all does something for every phone, a few at the same time; the first error ends it.
func (r *run) all(ctx context.Context, what string, f func(i int) error) error {
	var group sync.WaitGroup
	var first error
	var once sync.Once
	var next, done atomic.Int64
	for range min(atOnce, len(r.phones)) {
		group.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(r.phones) {
					return
				}
				if err := f(i); err != nil {
					once.Do(func() { first = fmt.Errorf("%s phone %s: %w", what, r.phones[i].user, err) })
					next.Store(int64(len(r.phones)))
					return
				}
				if n := done.Add(1); n%50 == 0 {
					r.cfg.Progress(fmt.Sprintf("%s phones: %d of %d", what, n, len(r.phones)))
				}
			}
		})
	}
	group.Wait()
	if first != nil {
		return first
	}
	return context.Cause(ctx)
}

const registerExpires = 3600

// again is how often a phone comes back before a run when a server that has too much to do asks it to come later.
const again = 5

// register registers a phone and waits for the answer.
func (r *run) register(ctx context.Context, p *phone) (err error) {
	for range again {
		var asked *laterError
		if err = r.registerOnce(ctx, p); !errors.As(err, &asked) {
			return err
		}
		select {
		case <-time.After(asked.after):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
}

func (r *run) registerOnce(ctx context.Context, p *phone) error {
	answered := make(chan error, 1)
	p.registration(registerExpires, func(err error) { answered <- err })
	select {
	case err := <-answered:
		if err == nil {
			r.registered.Add(1)
		}
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// unregisterAll takes the registrations back; it does not insist.
func (r *run) unregisterAll() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = r.all(ctx, "unregistering", func(i int) error {
		answered := make(chan error, 1)
		r.phones[i].registration(0, func(err error) { answered <- err })
		select {
		case <-answered:
		case <-ctx.Done():
		}
		return nil
	})
}

// refresh is one REGISTER of mode register.
func (r *run) refresh(n int) {
	r.attempted.Add(1)
	r.open.Add(1)
	r.phones[n%len(r.phones)].registration(registerExpires, func(err error) {
		if err != nil {
			r.fail(err.Error())
		} else {
			r.answered.Add(1)
			r.completed.Add(1)
		}
		r.closed()
	})
}

// closed tells drain when the last thing has ended.
func (r *run) closed() {
	if r.open.Add(-1) == 0 {
		select {
		case r.idle <- struct{}{}:
		default:
		}
	}
}

// pace begins everything at its time and returns how long that took: open loop, at even distances, each moved by up to half of one so
// that nothing beats in step with the server's timers.
func (r *run) pace(ctx context.Context, each func(n int)) time.Duration {
	begin := time.Now()
	step := time.Duration(float64(time.Second) / r.cfg.Rate)
	timer := time.NewTimer(0)
	defer timer.Stop()
	told := begin
	for n := range r.cfg.Count {
		due := begin.Add(time.Duration(float64(n)*float64(step)) + time.Duration((rand.Float64()-0.5)*float64(step)))
		if wait := time.Until(due); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return time.Since(begin)
			}
		}
		if ctx.Err() != nil || r.cfg.Duration > 0 && time.Since(begin) > r.cfg.Duration {
			break
		}
		each(n)
		if now := time.Now(); now.Sub(told) > time.Second/2 {
			told = now
			failed, _ := r.failed()
			r.cfg.Progress(fmt.Sprintf("%s: %d of %d, %d answered, %d failed, %d up", r.cfg.Mode, n+1, r.cfg.Count, r.answered.Load(), failed, r.established.Load()))
		}
	}
	return time.Since(begin)
}

// drain waits for what was begun. With Plateau it waits until all calls are up or failed, calls it, and hangs up.
func (r *run) drain(ctx context.Context) {
	deadline := time.NewTimer(2*r.cfg.Timeout + r.cfg.Hold + r.cfg.Ring)
	defer deadline.Stop()
	if r.cfg.Plateau != nil {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for r.established.Load() < r.open.Load() {
			select {
			case <-tick.C:
			case <-deadline.C:
			case <-ctx.Done():
				return
			}
		}
		r.cfg.Plateau(Live{Established: int(r.established.Load()), Media: r.stats.media})
		r.mu.Lock()
		up := r.up
		r.mu.Unlock()
		for _, c := range up {
			c.end()
			time.Sleep(time.Millisecond) // 1,000 a second: hanging up is not what is measured
		}
	}
	for r.open.Load() > 0 {
		select {
		case <-r.idle:
		case <-deadline.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// parked remembers an established call until the plateau is over.
func (r *run) parked(c *call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.up = append(r.up, c)
}

func (r *run) sweeper(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.sweep(now)
		case <-ctx.Done():
			return
		}
	}
}

func (r *run) stopPhones() {
	for _, p := range r.phones {
		if p != nil && p.flow != nil {
			p.flow.close()
		}
	}
	r.dialogs.each(func(d *dialog) {
		if d.leg != nil {
			d.leg.Close()
		}
	})
	r.ours.each(func(c *call) {
		if c.leg != nil {
			c.leg.Close()
		}
	})
	r.readers.Wait()
}

func (r *run) result(pace, all time.Duration) *Result {
	out := &Result{Mode: r.cfg.Mode, Server: r.cfg.Server.String(), Transport: r.cfg.Network, Phones: r.cfg.Phones, Rate: r.cfg.Rate, Seconds: all.Seconds(),
		Attempted: r.attempted.Load(), Answered: r.answered.Load(), Completed: r.completed.Load(), Resent: r.resent.Load(), Duplicates: r.duplicates.Load(),
		Registered: int(r.registered.Load()), Registering: r.registering.latency(), Handshake: r.handshake.latency(),
		Ringing: r.ringing.latency(), Answer: r.answer.latency(), Ending: r.ending.latency()}
	if pace > 0 {
		out.RateDone = float64(out.Attempted) / max(pace.Seconds(), float64(out.Attempted)/r.cfg.Rate)
	}
	if left := r.open.Load(); left > 0 {
		r.fail("unfinished at the end")
	}
	out.Failed, out.Failures = r.failed()
	out.Moved = r.moved()
	if r.pump != nil {
		counts, delay := r.stats.media(), r.delay.latency()
		out.Media, out.MediaDelay = &counts, &delay
	}
	return out
}

// connect is mode connect: handshakes at a rate, each on a connection of its own.
func (r *run) connect(ctx context.Context) (*Result, error) {
	configs := make([]*tls.Config, r.cfg.Phones)
	for i := range configs {
		c, err := r.tls(name(r.cfg.Device, r.cfg.First+i), r.cfg.Server)
		if err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		c.SessionTicketsDisabled = !r.cfg.Resume
		if r.cfg.Resume {
			c.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		}
		configs[i] = c
	}
	tell(r.cfg.Begin)
	cpu, begin := ownCPU(), time.Now()
	took := r.pace(ctx, func(n int) {
		r.attempted.Add(1)
		r.open.Add(1)
		go func() {
			defer r.closed()
			f, handshake, err := dial(ctx, &r.cfg, r.cfg.Server, n, configs[n%len(configs)])
			if err != nil {
				r.fail(err.Error())
				return
			}
			if err := r.proved(f); err != nil {
				r.fail(err.Error())
				f.close()
				return
			}
			r.handshake.add(handshake)
			r.answered.Add(1)
			r.completed.Add(1)
			f.close()
		}()
	})
	r.drain(ctx)
	tell(r.cfg.End)
	out := r.result(took, time.Since(begin))
	out.OwnCPU = (ownCPU() - cpu).Seconds()
	return out, context.Cause(ctx)
}

// proved waits until the server has accepted our certificate: in TLS 1.3 the client is done before the server has looked
// (RFC 8446, 4.6.1), so it asks for something and reads the answer, a keep-alive or an alert.
func (r *run) proved(f *flow) error {
	if err := f.conn.SetDeadline(time.Now().Add(r.cfg.Timeout)); err != nil {
		return err
	}
	if err := f.send([]byte("\r\n\r\n")); err != nil {
		return err
	}
	var b [64]byte
	_, err := f.conn.Read(b[:])
	return err
}
