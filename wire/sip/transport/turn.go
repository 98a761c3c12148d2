package transport

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Handshakes take turns. When thousands of phones come at once, after the loss of the node they were on, as many handshakes as
// there may be are in flight. If all of them were worked on together each would take seconds, and every call's messages would wait
// behind them; so only a few are worked on at a time, first come first served, and the others wait without cost. While a peer's certificate is
// verified, which may have to ask the store, a handshake gives its turn to another. What was begun is
// finished: a handshake loses its place to a newcomer only for time in which it waited for the peer, never for time in which it
// waited for us. A server that gives up handshakes because it is slow has nothing to show for its work, is slower still by the
// repetitions, and never recovers.

const turnsPerProcessor = 2

// turns is a place for each handshake that is worked on.
type turns chan struct{}

func newTurns() turns { return make(turns, max(2, turnsPerProcessor*runtime.GOMAXPROCS(0))) }

// Patience with a peer that makes a handshake wait, when others want its place: many times what a computer takes. A desk phone takes
// hundreds of milliseconds to sign, but says hello at once.
const (
	patience        = 250 * time.Millisecond
	patienceToProve = time.Second // after its hello
)

// waiting is how long a handshake has waited for its peer. Times are since the flow began, plus one.
type waiting struct {
	since   atomic.Int64 // zero: it does not wait for the peer
	before  atomic.Int64 // all earlier waiting together: a peer that says a little now and then gains nothing
	helloed atomic.Bool
}

func (w *waiting) begin(at time.Duration) { w.since.Store(int64(at) + 1) }

func (w *waiting) end(at time.Duration) { w.before.Add(int64(at) + 1 - w.since.Swap(0)) }

// tried says whether the peer has used up our patience, and it is still its turn.
func (w *waiting) tried(at time.Duration) bool {
	since := w.since.Load()
	if since == 0 {
		return false
	}
	most := patience
	if w.helloed.Load() {
		most = patienceToProve
	}
	return time.Duration(w.before.Load()+int64(at)+1-since) >= most
}

// Read implements net.Conn below a handshake: it gives the turn back while it waits for the peer, and returns with a turn. Between two reads a
// handshake computes, and writes what fits into the buffers of a new connection.
func (s *shake) Read(b []byte) (int, error) {
	if s.turns == nil {
		return s.Conn.Read(b)
	}
	s.yield()
	f := s.flow
	f.waits.begin(time.Since(f.since))
	n, err := s.Conn.Read(b)
	f.waits.end(time.Since(f.since))
	if err != nil {
		return n, err
	}
	if err := s.take(); err != nil {
		return 0, err
	}
	return n, nil
}

// take waits for a turn.
func (s *shake) take() error {
	select {
	case s.turns <- struct{}{}:
		s.has = true
		return nil
	case <-s.over.Done():
		return s.over.Err()
	}
}

// yield gives the turn back.
func (s *shake) yield() {
	if s.has {
		s.has = false
		<-s.turns
	}
}
