package cti

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
)

const (
	writeTime   = 10 * time.Second // for a manager to take what we write
	requestTime = 15 * time.Second // for its answer
)

// session is one connection to a manager. Reading is one goroutine, which tells everything in its order; any goroutine may
// ask.
type session struct {
	address string // as errors and events name it
	conn    net.Conn
	reader  *ctiqbe.Reader
	number  func() uint32 // the next sequence number; it goes on counting over connections, as the field's clients do
	// hear is told each message in order; request is what it answers, nil for an event.
	hear  func(s *session, request, m ctiqbe.Message)
	trace *Tracer

	opened chan *ctiqbe.ProviderOpenCompletedEvent
	listed chan uint32 // requests whose list of devices is complete

	// writing is not mu: a manager that writes before it reads on must not find our reader waiting for our writer.
	writing sync.Mutex

	mu      sync.Mutex // everything below
	pending map[uint32]*waiting
	last    time.Time     // when something was heard
	news    chan struct{} // closed at the next message, and made anew
	err     error
	done    chan struct{}
}

// change is closed when the next message was taken.
func (s *session) change() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

type waiting struct {
	request ctiqbe.Message
	answer  chan ctiqbe.Message
}

func newSession(conn net.Conn, address string, number func() uint32, hear func(*session, ctiqbe.Message, ctiqbe.Message), trace *Tracer) *session {
	s := &session{address: address, conn: conn, reader: ctiqbe.NewReader(conn, 0), number: number, hear: hear, trace: trace,
		opened: make(chan *ctiqbe.ProviderOpenCompletedEvent, 1), listed: make(chan uint32, 4), news: make(chan struct{}),
		pending: map[uint32]*waiting{}, last: time.Now(), done: make(chan struct{})}
	go s.read()
	return s
}

// end closes the connection, for the first cause that is given.
func (s *session) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.err = err
	_ = s.conn.Close()
	close(s.done)
}

func (s *session) cause() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *session) read() {
	for {
		frame, err := s.reader.Next()
		if err != nil {
			s.end(err)
			return
		}
		m, h, err := ctiqbe.Parse(frame)
		if err != nil {
			s.trace.ctiError(h.PDU, err)
			s.answerBroken(frame, err)
			continue
		}
		s.mu.Lock()
		s.last = time.Now()
		s.mu.Unlock()
		s.trace.message(false, m, len(frame))
		s.take(m)
	}
}

// answerBroken ends the wait for an answer that cannot be read.
func (s *session) answerBroken(frame []byte, err error) {
	if w := s.awaited(ctiqbe.SequenceOf(frame)); w != nil {
		w.answer <- &ctiqbe.FailureResponse{Result: ctiqbe.ErrIllegalMessageFormat, Description: err.Error()}
	}
}

func (s *session) awaited(seq uint32) *waiting {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.pending[seq]
	delete(s.pending, seq)
	return w
}

func (s *session) take(m ctiqbe.Message) {
	var w *waiting
	if seq, ok := ctiqbe.Sequence(m); ok {
		w = s.awaited(seq)
	}
	var request ctiqbe.Message
	if w != nil {
		request = w.request
	}
	s.hear(s, request, m)
	switch e := m.(type) {
	case *ctiqbe.ProviderOpenCompletedEvent:
		select {
		case s.opened <- e:
		default:
		}
	case *ctiqbe.ProviderGetAllDevicesAndLinesCompletedEvent:
		select {
		case s.listed <- e.RequestID:
		default:
		}
	case *ctiqbe.ProviderClosedEvent:
		s.end(&closedError{e.Reason})
	}
	if w != nil {
		w.answer <- m
	}
	s.mu.Lock()
	close(s.news)
	s.news = make(chan struct{})
	s.mu.Unlock()
}

// closedError is a provider that the manager closed.
type closedError struct{ Reason ctiqbe.ProviderCloseReason }

func (e *closedError) Error() string { return "the manager closed the provider: " + e.Reason.String() }

func (s *session) send(m ctiqbe.Message) error {
	frame := ctiqbe.AppendClient(nil, ctiqbe.Newest, m)
	s.trace.message(true, m, len(frame))
	if err := s.cause(); err != nil {
		return err
	}
	s.writing.Lock()
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := s.conn.Write(frame)
	s.writing.Unlock()
	if err != nil {
		s.end(err)
	}
	return err
}

// ask sends a request and waits for its answer. The error is *Error where the manager refused, ctx's, or the connection's.
func (s *session) ask(ctx context.Context, doing string, m ctiqbe.Message) (ctiqbe.Message, error) {
	w := &waiting{m, make(chan ctiqbe.Message, 1)}
	seq := s.number()
	ctiqbe.SetSequence(m, seq)
	s.mu.Lock()
	s.pending[seq] = w
	s.mu.Unlock()
	defer s.awaited(seq)
	if err := s.send(m); err != nil {
		return nil, &Error{Doing: doing, Manager: s.address, Err: err}
	}
	timer := time.NewTimer(requestTime)
	defer timer.Stop()
	select {
	case a := <-w.answer:
		return s.judge(doing, a)
	case <-s.done:
		select {
		case a := <-w.answer: // it came before the end
			return s.judge(doing, a)
		default:
			return nil, &Error{Doing: doing, Manager: s.address, Err: errors.Join(ErrNoLink, s.cause())}
		}
	case <-ctx.Done():
		return nil, &Error{Doing: doing, Manager: s.address, Err: context.Cause(ctx)}
	case <-timer.C:
		return nil, &Error{Doing: doing, Manager: s.address, Result: ctiqbe.ErrTimeout, Text: "no answer in " + requestTime.String()}
	}
}

func (s *session) judge(doing string, a ctiqbe.Message) (ctiqbe.Message, error) {
	r, _ := ctiqbe.ResultOf(a)
	f, failed := a.(*ctiqbe.FailureResponse)
	if r == ctiqbe.OK && !failed {
		return a, nil
	}
	if r == ctiqbe.OK {
		r = ctiqbe.ErrCTIFailure
	}
	e := refused(doing, r, "")
	if failed {
		e.Text = f.Description
	}
	e.Manager = s.address
	return nil, e
}

// pulse sends heartbeats, and ends the session when nothing was heard for window.
func (s *session) pulse(beat, window time.Duration) {
	beats, silence := time.NewTicker(beat), time.NewTimer(window)
	defer beats.Stop()
	defer silence.Stop()
	for {
		select {
		case <-s.done:
			return
		case <-beats.C:
			if s.send(&ctiqbe.Heartbeat{}) != nil {
				return
			}
		case <-silence.C:
			s.mu.Lock()
			idle := time.Since(s.last)
			s.mu.Unlock()
			if idle >= window {
				s.end(ErrSilent)
				return
			}
			silence.Reset(window - idle)
		}
	}
}
