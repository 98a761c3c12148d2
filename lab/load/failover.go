package load

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Mode failover: all phones are registered at Server, which Begin takes away. A phone whose connection is lost goes to Backup as
// phones do that know two servers: at once, or at a random moment within Stagger; one that is turned away comes again when
// the answer says (Retry-After), or after a random half to whole of 1, 2, 4 ... 16 s (the scheme of RFC 5626, 4.5, with times of
// phones on a desk).

const (
	againBase = time.Second
	againMost = 16 * time.Second
	// maxMove ends a failover in which phones stay outside; Config.Duration is another limit.
	maxMove = 5 * time.Minute
)

// Moved is what mode failover found.
type Moved struct {
	Phones   int              `json:"phones"`   // registered at the backup
	After    Latency          `json:"after"`    // from the first lost connection to the registration of each
	Attempts uint64           `json:"attempts"` // connections begun at the backup
	Refused  map[string]int64 `json:"refused,omitempty"`
}

// moving is the state of a failover.
type moving struct {
	ctx      context.Context
	group    sync.WaitGroup // phones that look for their place
	left     atomic.Int64   // phones that have not found it
	done     chan struct{}  // closed when none is left
	attempts atomic.Uint64
	after    histogram
	refused  stats // its failures only

	mu    sync.Mutex
	over  bool
	first time.Time // when the first connection was lost
}

// failover waits until all phones have moved, or the time is over.
func (r *run) failover(ctx context.Context) time.Duration {
	limit := r.cfg.Duration
	if limit == 0 {
		limit = maxMove
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m := &moving{ctx: ctx, done: make(chan struct{})}
	m.left.Store(int64(len(r.phones)))
	r.moving.Store(m)
	begin := time.Now()
	tell(r.cfg.Begin)
	select {
	case <-m.done:
	case <-ctx.Done():
	}
	m.mu.Lock()
	m.over = true
	m.mu.Unlock()
	cancel()
	m.group.Wait()
	for range m.left.Load() {
		r.fail("not registered at the backup")
	}
	return time.Since(begin)
}

// moved is the result of a failover; nil in other modes.
func (r *run) moved() *Moved {
	m := r.moving.Load()
	if m == nil {
		return nil
	}
	_, by := m.refused.failed()
	return &Moved{Phones: len(r.phones) - int(m.left.Load()), After: m.after.latency(), Attempts: m.attempts.Load(), Refused: by}
}

// begin counts a phone in that has lost its server, and says when the first one did.
func (m *moving) begin() (first time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.over {
		return m.first, false
	}
	if m.first.IsZero() {
		m.first = time.Now()
	}
	m.group.Add(1)
	return m.first, true
}

// move looks for a place at the backup until it has one. It runs in the goroutine that read the lost connection.
func (p *phone) move(m *moving) {
	first, ok := m.begin()
	if !ok {
		return
	}
	defer m.group.Done()
	wait := time.Duration(rand.Float64() * float64(p.r.cfg.Stagger))
	for upper := againBase; ; upper = min(2*upper, againMost) {
		select {
		case <-time.After(wait):
		case <-m.ctx.Done():
			return
		}
		m.attempts.Add(1)
		err := p.come(m.ctx)
		if err == nil {
			break
		}
		if m.ctx.Err() != nil {
			return
		}
		m.refused.fail(plainly(err))
		wait = upper/2 + rand.N(upper/2)
		var asked *laterError
		if errors.As(err, &asked) {
			wait = asked.after
		}
	}
	m.after.add(time.Since(first))
	if m.left.Add(-1) == 0 {
		close(m.done)
	}
}

// come is one try: a connection to the backup, and a REGISTER over it.
func (p *phone) come(ctx context.Context) error {
	r := p.r
	t, err := r.tls(name(r.cfg.Device, r.cfg.First+p.index), r.cfg.Backup)
	if err != nil {
		return err
	}
	f, handshake, err := dial(ctx, &r.cfg, r.cfg.Backup, p.index, t)
	if err != nil {
		return err
	}
	r.handshake.add(handshake)
	p.flow = f
	ended, answered := make(chan error, 1), make(chan error, 1)
	r.readers.Go(func() { ended <- f.read(p.message) })
	p.registration(registerExpires, func(err error) { answered <- err })
	select {
	case err = <-answered:
	case err = <-ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		f.close()
	}
	return err
}

// laterError is a refusal that says when to come again.
type laterError struct {
	text  string
	after time.Duration
}

func (e *laterError) Error() string { return e.text }

// refusal is what became of a request that was not answered with 200.
func refusal(what string, m *message) error {
	text := what + " " + reason(m)
	if n, err := strconv.Atoi(string(m.field("Retry-After"))); err == nil && n > 0 {
		return &laterError{text, time.Duration(n) * time.Second}
	}
	return errors.New(text)
}

// plainly is an error without addresses, so that many of them can be counted.
func plainly(err error) string {
	var number syscall.Errno
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "connection closed"
	case errors.As(err, &number):
		return number.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, errTimeout):
		return "timeout"
	}
	return err.Error()
}
