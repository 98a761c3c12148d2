package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// Config configures a Pool. The zero value starts this program.
type Config struct {
	Command  []string // of a child; none: this program with the argument Name
	Spares   int      // children that wait for calls; zero: 4
	Sessions int      // at the same time; zero: 200
	// Memory is the address space of a child beyond that of its start, octets; zero: 96 MiB. The runtime grows its heap by arenas of 64 MiB and
	// begins at a random place in the first: under 66 MiB one session in twelve could not allocate a few megabytes (measured); with 66 to 127
	// MiB a heap may have 67 to 130.
	Memory  uint64
	CPU     time.Duration // processor time of a session; zero: a minute
	Think   time.Duration // how long a child may take from an outcome to its next action; zero: 5s
	Actions int           // actions a second a session may ask for in the long run; zero: 100
	Trouble func(string)  // told what an operator should know; nil: nobody
}

func (c Config) withDefaults() Config {
	if len(c.Command) == 0 {
		c.Command = []string{"/proc/self/exe", Name}
	}
	c.Spares, c.Sessions = cmp.Or(c.Spares, 4), cmp.Or(c.Sessions, 200)
	c.Memory, c.CPU = cmp.Or(c.Memory, 96<<20), cmp.Or(c.CPU, time.Minute)
	c.Think, c.Actions = cmp.Or(c.Think, 5*time.Second), cmp.Or(c.Actions, 100)
	if c.Trouble == nil {
		c.Trouble = func(string) {}
	}
	return c
}

// Kind is what became of a child that did not end its session.
type Kind string

// The kinds of failure.
const (
	Died   Kind = "died"    // it ended: out of memory or processor time, or killed
	Hung   Kind = "hung"    // it asked for nothing and was not done
	Lied   Kind = "lied"    // what it wrote is no frame, or not one it may write
	Flood  Kind = "flooded" // it asked for more than may be asked
	Absent Kind = "absent"  // none could be started, or all places are taken
)

// Failure says that a session has ended because its child did not end it.
type Failure struct {
	Kind Kind
	Why  string
}

func (f *Failure) Error() string { return "the VoiceXML process " + string(f.Kind) + ": " + f.Why }

// Stats are counters of a Pool.
type Stats struct {
	Spares, Sessions int
	Started          uint64          // children, since the beginning
	Waited           uint64          // sessions for which no spare was ready
	Failures         map[Kind]uint64 // by kind
	StartTime        time.Duration   // of the last child: from its start until it was ready
	StartSpace       uint64          // address space of the last child when it was ready, octets
}

// Pool runs sessions and keeps spares for those to come. Its methods are safe for concurrent use.
type Pool struct {
	cfg     Config
	spawner *spawner
	ctx     context.Context
	cancel  context.CancelFunc
	work    sync.WaitGroup

	spares chan *child   // ready ones; capacity Config.Spares
	want   chan struct{} // capacity 1: look whether spares are missing

	mu      sync.Mutex
	over    bool
	running int
	stats   Stats
}

// Open starts the spares; it does not wait for them.
func Open(cfg Config) *Pool {
	cfg = cfg.withDefaults()
	p := &Pool{cfg: cfg, spawner: newSpawner(), spares: make(chan *child, cfg.Spares), want: make(chan struct{}, 1), stats: Stats{Failures: map[Kind]uint64{}}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.work.Go(p.fill)
	return p
}

// Close ends all sessions and all children, and returns when none is left.
func (p *Pool) Close() {
	p.mu.Lock()
	was := p.over
	p.over = true
	p.mu.Unlock()
	if was {
		return
	}
	p.cancel()
	p.work.Wait()
	for len(p.spares) > 0 {
		(<-p.spares).end()
	}
	p.spawner.close()
}

// Stats is a snapshot.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Failures = map[Kind]uint64{}
	for k, n := range p.stats.Failures {
		s.Failures[k] = n
	}
	s.Sessions, s.Spares = p.running, len(p.spares)
	return s
}

// longestPause is how long after a child that could not be started the next is tried at the latest.
const longestPause = 5 * time.Second

// fill keeps the spares, one start after the other: calls that exist need the processors more.
func (p *Pool) fill() {
	pause := 50 * time.Millisecond
	for {
		p.sweep()
		for p.missing() {
			c, err := p.ready()
			if err != nil {
				p.cfg.Trouble(fmt.Sprintf("no process for VoiceXML sessions: %v; tried again in %v", err, pause))
				if !p.rest(pause) {
					return
				}
				pause = min(2*pause, longestPause)
				continue
			}
			pause = 50 * time.Millisecond
			p.work.Go(func() { p.watch(c) })
			p.spares <- c // never full: only this goroutine puts
		}
		select {
		case <-p.want:
		case <-p.ctx.Done():
			return
		}
	}
}

func (p *Pool) missing() bool { return p.ctx.Err() == nil && len(p.spares) < p.cfg.Spares }

func (p *Pool) rest(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-p.ctx.Done():
		return false
	}
}

// sweep throws out spares that have ended before their time. Only fill's goroutine puts spares back, so there is room.
func (p *Pool) sweep() {
	for range len(p.spares) {
		select {
		case c := <-p.spares:
			if c.over() {
				c.end()
				continue
			}
			p.spares <- c
		default:
		}
	}
}

// watch has fill look when a child ends, which may have been a spare.
func (p *Pool) watch(c *child) {
	select {
	case <-c.gone:
		p.look()
	case <-p.ctx.Done():
	}
}

func (p *Pool) look() {
	select {
	case p.want <- struct{}{}:
	default:
	}
}

// ready starts a child and waits until it has set its limits.
func (p *Pool) ready() (*child, error) {
	began := time.Now()
	c, err := p.spawner.start(p.cfg.Command)
	if err != nil {
		return nil, err
	}
	if err = c.send(frame{Begin: &begin{Memory: p.cfg.Memory, CPU: p.cfg.CPU}}, startTime); err == nil {
		err = p.hello(c, began)
	}
	if err != nil {
		c.end()
		return nil, fmt.Errorf("%w%s", err, c.why())
	}
	return c, nil
}

// startTime is how long a child may take to be ready.
const startTime = 30 * time.Second

func (p *Pool) hello(c *child, began time.Time) error {
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case f, ok := <-c.frames:
		if !ok || f.Ready == nil {
			return errors.New("it does not say that it is ready")
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.stats.Started++
		p.stats.StartTime, p.stats.StartSpace = time.Since(began), f.Ready.Space
		return nil
	case <-late.C:
		return fmt.Errorf("it is not ready after %v", startTime)
	case <-p.ctx.Done():
		return errors.New("the voice browser is stopping")
	}
}

// why is what the process said about its end, as the end of a sentence.
func (c *child) why() string {
	line, _, _ := strings.Cut(strings.TrimSpace(c.words.String()), "\n")
	var parts []string
	select {
	case <-c.gone:
		if c.fate != nil {
			parts = append(parts, c.fate.Error())
		}
	default:
	}
	if line != "" {
		parts = append(parts, line)
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ": ") + ")"
}

// take is a child for a session: a spare, or a new one where there is none.
func (p *Pool) take() (*child, error) {
	for {
		select {
		case c := <-p.spares:
			p.look()
			if c.over() { // it was killed while it waited
				c.end()
				continue
			}
			return c, nil
		default:
			p.mu.Lock()
			p.stats.Waited++
			p.mu.Unlock()
			return p.ready()
		}
	}
}

// enter takes a place; false: there is none.
func (p *Pool) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.running >= p.cfg.Sessions {
		return false
	}
	p.running++
	p.work.Add(1)
	return true
}

func (p *Pool) leave(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running--
	var f *Failure
	if errors.As(err, &f) {
		p.stats.Failures[f.Kind]++
	}
	p.work.Done()
}

// Run runs a session. It returns a *Failure where the child did not end it, the error of the platform where that had one, and the cause of
// ctx where ctx ended. The child is gone when it returns.
func (p *Pool) Run(ctx context.Context, start interpreter.Start, platform interpreter.Platform) (res interpreter.Result, err error) {
	if !p.enter() {
		return res, &Failure{Absent, fmt.Sprintf("%d sessions are the limit", p.cfg.Sessions)}
	}
	defer func() { p.leave(err) }()
	c, err := p.take()
	if err != nil {
		return res, &Failure{Absent, err.Error()}
	}
	defer c.end()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(p.ctx, func() { cancel(os.ErrClosed) })()
	s := session{p: p, c: c, platform: platform, tokens: float64(burst), filled: time.Now()}
	if err := s.send(frame{Start: &start}); err != nil {
		return res, err
	}
	return s.run(ctx)
}

// burst is how many actions a session may ask for at once, over its rate.
const burst = 500

// session is one conversation with a child.
type session struct {
	p        *Pool
	c        *child
	platform interpreter.Platform
	tokens   float64
	filled   time.Time
}

func (s *session) run(ctx context.Context) (res interpreter.Result, err error) {
	think := time.NewTimer(s.p.cfg.Think)
	defer think.Stop()
	for {
		select {
		case f, ok := <-s.c.frames:
			switch {
			case !ok:
				return res, s.ended()
			case f.Result != nil:
				return *f.Result, nil
			case f.Action == nil:
				return res, &Failure{Lied, "it wrote a frame that only we write"}
			}
			if err := s.act(ctx, *f.Action); err != nil {
				return res, err
			}
			think.Reset(s.p.cfg.Think)
		case <-think.C:
			return res, &Failure{Hung, fmt.Sprintf("it has computed for %v", s.p.cfg.Think)}
		case <-ctx.Done():
			return res, context.Cause(ctx)
		}
	}
}

// ended says why there are no more frames.
func (s *session) ended() error {
	err := s.c.broken
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return &Failure{Lied, err.Error()}
	}
	return s.dead()
}

// dead says how the process ended, which it does at once where it has not closed its output and lives on.
func (s *session) dead() error {
	select {
	case <-s.c.gone:
		return &Failure{Died, "it has ended" + s.c.why()}
	case <-time.After(time.Second):
		return &Failure{Lied, "it closed its pipes and lives on"}
	}
}

func (s *session) act(ctx context.Context, a interpreter.Action) error {
	if err := whole(&a); err != nil {
		return &Failure{Lied, err.Error()}
	}
	if !s.allowed() {
		return &Failure{Flood, fmt.Sprintf("it asks for more than %d things a second", s.p.cfg.Actions)}
	}
	o, err := s.platform.Do(ctx, a)
	if err != nil {
		return err
	}
	return s.send(frame{Outcome: &o})
}

func (s *session) send(f frame) error {
	err := s.c.send(f, s.p.cfg.Think)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errFrameSize):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &Failure{Hung, "it does not read"}
	}
	return s.dead()
}

// allowed takes a token: Config.Actions a second come in, burst is kept.
func (s *session) allowed() bool {
	now := time.Now()
	s.tokens = min(burst, s.tokens+now.Sub(s.filled).Seconds()*float64(s.p.cfg.Actions))
	s.filled = now
	s.tokens--
	return s.tokens >= 0
}
