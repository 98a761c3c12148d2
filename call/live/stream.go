package live

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/locktone/locktone/bus"
)

// A stream receives what a node publishes for one session: numbered messages, so that a loss is seen. The session is begun, kept alive, and
// when it is lost begun anew, from its beginning.
type stream[M any] struct {
	engine RemoteEngine
	verb   string
	ctx    context.Context
	begin  func(session string) error
	// keep keeps the session alive, or ends it; sent is the number of the newest message.
	keep   func(ctx context.Context, session string, end bool) (sent uint64, err error)
	number func(*M) (n uint64, over string)
	tell   func(session string, m M) bool
	lost   func(why string)

	last string // the loss that was told
}

// once is one session, and the pause behind it.
func (s *stream[M]) once() {
	err := s.session()
	if s.ctx.Err() != nil {
		return
	}
	if why := err.Error(); why != s.last { // once, however often it is tried
		s.last = why
		s.lost(why)
	}
	select {
	case <-s.ctx.Done():
	case <-time.After(retryFirst * 4):
	}
}

// session is one session, until it is lost: the error says why.
func (s *stream[M]) session() error {
	b, name := s.engine.remote.bus, rand.Text()
	sub, err := bus.Subscribe[M](b, b.Subject(s.engine.remote.service, s.verb+"."+name).To(s.engine.node), framesRoom)
	if err != nil {
		return err
	}
	defer sub.Close()
	if err := s.begin(name); err != nil {
		return err
	}
	s.last = ""
	defer func() { // though the follower may have ended
		ctx, cancel := context.WithTimeout(context.Background(), tryWait)
		defer cancel()
		_, _ = s.keep(ctx, name, true)
	}()
	keep := time.NewTicker(followLease / 3)
	defer keep.Stop()
	for n, sent := uint64(1), uint64(0); ; {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-keep.C:
			if n <= sent { // what was the newest the last time has not come by now
				return fmt.Errorf("live: messages %d to %d of %s were lost", n, sent, s.engine.node)
			}
			if sent, err = s.keep(s.ctx, name, false); err != nil {
				return err
			}
		case m := <-sub.C():
			switch got, over := s.number(&m.Value); {
			case over != "":
				return errors.New(over)
			case got != n:
				return fmt.Errorf("live: messages %d to %d of %s were lost", n, got-1, s.engine.node)
			}
			n++
			if !s.tell(name, m.Value) {
				return s.ctx.Err()
			}
		}
	}
}
