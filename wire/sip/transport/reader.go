package transport

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// pressing is how fast a read returns that found something waiting: one that had to wait takes longer, if only for the wake-up.
// After pressedMost of them one after the other, or with as many messages nobody has looked at, the reader is pressed.
const (
	pressing    = 15 * time.Microsecond
	pressedMost = 16
)

// idleRead is the buffer an idle connection waits with. What is longer goes on in a shared Framer.
const idleRead = 512

// read is the reader goroutine of a connection: it frames, parses, validates and hands messages on in order.
func (f *Flow) read() {
	defer f.t.wg.Done()
	f.finish(closedByPeer(f.readGuarded()))
}

// readGuarded keeps a fault in the reading of one peer's bytes from ending the process: the connection ends instead. A fault of the
// Handler is none of those: what it holds for other connections would be left half done.
func (f *Flow) readGuarded() (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			if f.handling {
				panic(fault)
			}
			err = fmt.Errorf("fault while reading a message, please report it: %v", fault)
		}
	}()
	return f.readAll()
}

func (f *Flow) readAll() error {
	buf := make([]byte, idleRead)
	half := false
	for {
		begun := time.Now()
		n, err := f.conn.Read(buf)
		f.streak++
		if time.Since(begun) > pressing {
			f.streak = 0
		}
		if n > 0 && !f.keepAlive(buf[:n], &half) {
			if err := f.burst(buf[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// keepAlive answers the CRLFs of an idle connection without a Framer. RFC 5626, 3.5.1: two are a ping, the answer is one.
// half remembers a single CRLF: the second may come in a segment of its own.
func (f *Flow) keepAlive(p []byte, half *bool) bool {
	switch string(p) {
	case "\r\n":
		if f.pinged.CompareAndSwap(true, false) { // the answer to a ping of ours
			f.received(len(p))
			return true
		}
		if *half = !*half; *half {
			f.received(len(p))
			return true
		}
	case "\r\n\r\n":
		*half = false
	default:
		*half = false
		return false
	}
	f.received(len(p))
	_ = f.sendRaw([]byte("\r\n"))
	return true
}

// burst handles what has begun to come until the stream is between two messages again.
func (f *Flow) burst(p []byte) error {
	framer := f.t.framer(f.limits())
	n, _ := framer.Write(p)
	for {
		f.received(n)
		if err := f.frames(framer); err != nil {
			return err
		}
		if framer.Buffered() == 0 {
			f.partialSince.Store(0)
			framer.Reset()
			f.t.framers.Put(framer)
			return nil
		}
		f.partialSince.CompareAndSwap(0, f.age())
		var err error
		if n, err = framer.Fill(f.conn); err != nil && n == 0 {
			return err
		}
	}
}

func (f *Flow) received(n int) {
	f.last.Store(f.age())
	f.bytesIn.Add(uint64(n))
	if f.listener != nil {
		f.listener.bytesIn.Add(uint64(n))
	}
}

func (f *Flow) frames(framer *sip.Framer) error {
	defer f.rest()
	for {
		frame, ok := framer.Next()
		if !ok {
			return nil
		}
		f.partialSince.Store(0)
		switch {
		case frame.Ping:
			_ = f.sendRaw([]byte("\r\n")) // RFC 5626, 3.5.1: the answer is one CRLF
		case frame.Err != nil:
			if err := f.refuse(nil, frame.Raw, frame.Err); err != nil {
				return err
			}
		case frame.Message != nil:
			if err := f.accept(frame.Message, frame.Raw); err != nil {
				return err
			}
		}
	}
}

// accept validates a message and hands it on.
func (f *Flow) accept(m *sip.Message, raw []byte) error {
	if problem := sip.Validate(m); problem != nil {
		return f.refuse(m, raw, problem)
	}
	f.deliver(m, raw)
	return nil
}

func (f *Flow) deliver(m *sip.Message, raw []byte) {
	f.messagesIn.Add(1)
	if l := f.listener; l != nil {
		l.messagesIn.Add(1)
		if !f.proven.Load() {
			l.prove(f)
		}
	}
	if o := f.t.cfg.Observer; o != nil {
		o.Received(f, time.Now(), raw, m, nil)
	}
	if m.IsRequest() {
		stampVia(m, f.source, f.remote.Port())
	}
	f.pending.Add(1)
	f.handling, f.handed = true, true
	f.t.handler.Message(f, m)
	f.handling = false
	f.pace()
}

// rest tells the handler that all that has come is handed on.
func (f *Flow) rest() {
	if f.handed && !f.handling {
		f.handling, f.handed = true, false
		f.t.handler.Rest(f)
		f.handling = false
	}
}

// stampVia notes where a request really came from. RFC 3261, 18.2.1: received when sent-by does not say so;
// RFC 3581, 4: a server that finds rport fills it in and adds received always.
func stampVia(m *sip.Message, source string, port uint16) {
	v := m.TopVia()
	_, asked := v.RPort()
	if !asked && v.Host == source {
		return
	}
	v.Params = v.Params.With("received", source)
	if asked {
		v.Params = v.Params.With("rport", strconv.Itoa(int(port)))
	}
	m.SetTopVia(v)
}

// refuse answers a malformed message; the connection goes on unless its framing is lost or there are too many.
func (f *Flow) refuse(m *sip.Message, raw []byte, problem *sip.ParseError) error {
	f.malformed.Add(1)
	if f.listener != nil {
		f.listener.malformed.Add(1)
	}
	if o := f.t.cfg.Observer; o != nil {
		o.Received(f, time.Now(), raw, m, problem)
	}
	if problem.Reply != nil {
		_ = f.Send(problem.Reply)
	}
	if problem.Fatal {
		return problem
	}
	if f.tooMany() {
		return ErrMalformed
	}
	return nil
}

// tooMany counts malformed messages by the minute.
func (f *Flow) tooMany() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.badSince) > time.Minute {
		f.badSince, f.bad = now, 0
	}
	f.bad++
	return f.bad > f.limits().MalformedPerMinute
}

// age is how old the flow is, in nanoseconds and never 0. It is by the monotonic clock: when the clock of the machine is set, no
// connection looks idle or stuck for it.
func (f *Flow) age() int64 { return max(1, int64(time.Since(f.since))) }

// overdue says why a connection must end now, nil when it may go on. The sweeper asks once a second.
func (f *Flow) overdue(now time.Time) error {
	l := f.limits()
	since := func(age int64) time.Duration { return now.Sub(f.since) - time.Duration(age) }
	if w := f.writeSince.Load(); w != 0 && since(w) > l.WriteTimeout {
		return ErrWriteTimeout
	}
	if p := f.partialSince.Load(); p != 0 && since(p) > l.PartialMessage {
		return ErrPartial
	}
	if f.inbound && !f.proven.Load() && now.Sub(f.since) > l.FirstMessage {
		return ErrSilent
	}
	if since(f.last.Load()) > l.Idle {
		return ErrIdle
	}
	return nil
}

// isClosed says whether err is the use of a closed socket.
func isClosed(err error) bool { return errors.Is(err, net.ErrClosed) }
