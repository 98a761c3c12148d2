package ctimanager

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A connection is one client: the only place with its socket and its goroutines. The fields behind in are guarded by the table's lock.
type connection struct {
	conn   net.Conn
	number uint32 // of the table, from 1
	id     string // of the flow, in traces
	secure bool   // it came to the TLS port
	full   bool   // all places of providers were taken when it came
	remote netip.AddrPort
	local  netip.AddrPort
	since  time.Time
	box    *mailbox
	out    *outbox
	room   chan struct{} // capacity 1: the outbox is nearly empty

	stream   net.Conn // conn, or the TLS on it
	tls      tls.ConnectionState
	report   *pki.Report // of its certificate
	shown    atomic.Pointer[shown]
	gone     chan struct{} // closed when nothing reads the mailbox any more
	shownTLS atomic.Pointer[shownTLS]

	bytesIn, bytesOut, framesIn, framesOut atomic.Int64

	cut      atomic.Bool // it is counted among those that were cut off
	in       bool        // it has logged in
	instance string      // of the application, by its certificate; guarded by certificates
}

func newConnection(conn net.Conn, secure bool, l Limits, now time.Time) *connection {
	return &connection{conn: conn, stream: conn, secure: secure, remote: addrPort(conn.RemoteAddr()), local: addrPort(conn.LocalAddr()), since: now,
		box: newMailbox(l.Inputs), out: newOutbox(l.Queue), room: make(chan struct{}, 1), gone: make(chan struct{})}
}

// serve does the handshake and runs the provider.
func (s *Service) serve(c *connection) {
	if c.secure && !s.handshake(c) {
		return
	}
	if s.ctx.Err() != nil {
		return
	}
	if c.secure && c.tls.NegotiatedProtocol == streamHTTP {
		s.serveHTTP(c)
		return
	}
	s.run(c)
}

// run steps the provider until the connection is over: inputs in their order, time when it is due.
func (s *Service) run(c *connection) {
	var workers sync.WaitGroup
	ctx, cancel := context.WithCancel(s.ctx)
	defer workers.Wait()
	defer c.conn.Close()
	defer cancel()
	p := newProvider(s, s.callerOf(c), s.answers, s.cfg.Now())
	x := &stepper{s: s, c: c, p: p, ctx: ctx, workers: &workers, queues: map[string][]job{}}
	defer x.leave()
	slots := make(chan struct{}, s.cfg.Limits.Requests)
	workers.Go(func() { s.read(ctx, c, slots) })
	written := make(chan struct{})
	workers.Go(func() {
		defer close(written)
		s.write(c)
	})
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !x.over {
		select {
		case <-c.box.signal:
			x.take(slots)
		case <-c.room:
			x.step(drained{})
		case <-timer.C:
			x.step(tick{})
		case <-s.ctx.Done():
			c.out.close()
			return
		}
		if x.over {
			break
		}
		if at := p.deadline(); !at.IsZero() {
			timer.Reset(max(0, at.Sub(s.cfg.Now())))
		}
	}
	c.out.close() // what was said last is still written, for as long as a write may take
	select {
	case <-written:
	case <-time.After(s.cfg.Limits.Write):
	case <-s.ctx.Done():
	}
}

// read hands every frame to the provider. A client that asks faster than it is answered is read more slowly.
func (s *Service) read(ctx context.Context, c *connection, slots chan struct{}) {
	r := ctiqbe.NewReader(counted{c.stream, &c.bytesIn}, s.cfg.Limits.Frame)
	for {
		frame, err := r.Next()
		if err != nil {
			c.box.put(ended{err: err, quiet: c.framesIn.Load() == 0 && errors.Is(err, io.EOF)})
			return
		}
		c.framesIn.Add(1)
		m, h, err := ctiqbe.Parse(frame)
		in := received{message: m, header: h, err: err}
		if err != nil {
			s.counts.malformed.Add(1)
			in.sequence = ctiqbe.SequenceOf(frame)
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		c.box.put(in)
	}
}

// lowWater is what may wait for a client while more of a long answer is made.
const lowWater = 64 << 10

// write writes what waits, until the outbox is closed and empty. A client that takes nothing for as long as a write may take is cut off.
func (s *Service) write(c *connection) {
	for {
		frames, last := c.out.take()
		if len(frames) == 0 {
			if last {
				return
			}
			<-c.out.ready
			continue
		}
		n := 0
		for _, f := range frames {
			n += len(f)
		}
		_ = c.stream.SetWriteDeadline(time.Now().Add(s.cfg.Limits.Write)) // fails when the connection is gone, which the write says too
		if _, err := join(c.stream, frames); err != nil {
			s.cutOff(c)
			c.box.put(ended{err: err})
			c.out.close()
			c.conn.Close()
			return
		}
		c.bytesOut.Add(int64(n))
		c.framesOut.Add(int64(len(frames)))
		if c.out.wrote(n) < lowWater {
			select {
			case c.room <- struct{}{}:
			default:
			}
		}
	}
}

// cutOff counts a client that was cut off, once: that it does not read shows in several places.
func (s *Service) cutOff(c *connection) {
	if c.cut.CompareAndSwap(false, true) {
		s.counts.cut.Add(1)
	}
}

// maxWrite bounds the bytes of one write: each gets the whole time.
const maxWrite = 64 << 10

// join writes frames with few writes: over TLS each is at least one record.
func join(w io.Writer, frames [][]byte) (n int, err error) {
	var buf []byte
	flush := func() error {
		if len(buf) == 0 {
			return nil
		}
		k, err := w.Write(buf)
		n += k
		buf = buf[:0]
		return err
	}
	for _, f := range frames {
		if len(buf)+len(f) > maxWrite {
			if err := flush(); err != nil {
				return n, err
			}
		}
		buf = append(buf, f...)
	}
	return n, flush()
}

// counted counts what is read.
type counted struct {
	io.Reader
	n *atomic.Int64
}

// Read implements io.Reader.
func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// A stepper does what a provider wants done. Its connection's goroutine owns it.
type stepper struct {
	s       *Service
	c       *connection
	p       *provider
	ctx     context.Context
	workers *sync.WaitGroup
	queues  map[string][]job // by queue: the job under way, and those behind it
	over    bool
	keys    *keyFeed // nil: it is given no keys
	last    shown
}

// A job is an errand under way for a provider.
type job struct {
	id     uint64
	errand errand
}

// take steps the provider with all that waits.
func (x *stepper) take(slots chan struct{}) {
	in, full := x.c.box.take()
	for _, i := range in {
		x.step(i)
		if _, ok := i.(received); ok {
			<-slots
		}
	}
	if full && !x.over {
		x.s.cutOff(x.c)
		x.step(ended{err: errFlood})
	}
}

// errFlood says that more happened than a provider could take in.
var errFlood = errors.New("more events wait for the provider than are allowed")

func (x *stepper) step(in input) {
	if x.over {
		return
	}
	switch in := in.(type) {
	case asked:
		x.done(in.queue)
	case look:
		in.answer <- x.p.picture()
		return
	}
	for _, o := range x.p.Step(x.s.cfg.Now(), in) {
		x.do(o)
	}
	if row := x.p.shown(); x.last != row {
		x.last = row
		x.c.shown.Store(&row)
	}
}

func (x *stepper) do(o output) {
	switch o := o.(type) {
	case frame:
		if err := x.c.out.put(ctiqbe.Append(nil, o.version, o.message)); err != nil && !x.over {
			x.s.cutOff(x.c)
			x.s.record(x.c, trace.Error, err.Error())
			x.over = true
			x.c.conn.Close()
		}
	case run:
		x.run(job(o))
	case watch:
		x.s.hub.watch(x.c, o.device)
	case watchGroup:
		x.s.hub.watchGroup(x.c, o.group)
	case unwatchGroup:
		x.s.hub.unwatchGroup(x.c, o.group)
	case listen:
		x.listen(o)
	case unwatch:
		x.s.hub.unwatch(x.c, o.device)
	case snapshot:
		x.s.hub.snapshot(x.c, o.device, o.line)
	case opened:
		x.s.counts.opened.Add(1)
		x.s.table.ready(x.c)
	case remark:
		x.s.record(x.c, o.level, o.text, o.fields...)
	case finish:
		x.over = true
	}
}

// run starts a job, or puts it behind those of its queue: requests about one device are done in the order they came.
func (x *stepper) run(j job) {
	q := j.errand.queue()
	x.queues[q] = append(x.queues[q], j)
	if len(x.queues[q]) == 1 {
		x.start(q, j)
	}
}

func (x *stepper) start(q string, j job) {
	x.workers.Go(func() {
		a := j.errand.do(x.ctx, x.s, x.c)
		a.id, a.queue = j.id, q
		x.c.box.put(a)
	})
}

// done takes the job that is over from its queue and starts the next.
func (x *stepper) done(q string) {
	rest := x.queues[q][1:]
	if len(rest) == 0 {
		delete(x.queues, q)
		return
	}
	x.queues[q] = rest
	x.start(q, rest[0])
}

// leave forgets the connection everywhere.
func (x *stepper) leave() {
	names := make([]string, 0, len(x.p.open))
	for _, o := range x.p.open {
		names = append(names, o.name)
	}
	x.s.hub.listen(x.c, false)
	x.keys.close()
	x.s.hub.drop(x.c, names)
	x.s.release(x.p)
	x.s.certificates.leave(x.c)
}
