package bus

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Message is a value received.
type Message[T any] struct {
	Subject string
	Value   T
	// Lagged is set on the first value after a gap: take a new snapshot.
	Lagged bool
}

// Publish sends a value to whoever subscribes. It does not wait.
func Publish[T any](b *Bus, s Subject, v T) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("bus: encode %T for %s: %w", v, s, err)
	}
	if err := b.conn.Publish(s.String(), data); err != nil {
		return fmt.Errorf("bus: publish %s: %w", s, err)
	}
	return nil
}

// Flush waits until the server has taken everything published before.
func (b *Bus) Flush() error { return b.conn.FlushTimeout(defaultConnectTimeout) }

// Subscription is a bounded queue of values. It owns one goroutine until Close.
type Subscription[T any] struct {
	c       chan Message[T]
	sub     *nats.Subscription
	in      chan *nats.Msg
	stop    chan struct{}
	done    chan struct{}
	once    sync.Once
	dropped atomic.Int64
}

// Subscribe queues up to pending values (0: 256) of a subject. When the reader
// is slower, new values are dropped and counted, and the next one that fits is
// marked Lagged.
func Subscribe[T any](b *Bus, s Subject, pending int) (*Subscription[T], error) {
	if pending <= 0 {
		pending = 256
	}
	u := &Subscription[T]{c: make(chan Message[T], pending), in: make(chan *nats.Msg, 64),
		stop: make(chan struct{}), done: make(chan struct{})}
	sub, err := b.conn.ChanSubscribe(s.String(), u.in)
	if err != nil {
		return nil, fmt.Errorf("bus: subscribe %s: %w", s, err)
	}
	u.sub = sub
	go u.run()
	if err := b.conn.FlushTimeout(defaultConnectTimeout); err != nil { // the server knows of it when we return
		u.Close()
		return nil, fmt.Errorf("bus: subscribe %s: %w", s, err)
	}
	return u, nil
}

// C carries the values; it is closed by Close.
func (u *Subscription[T]) C() <-chan Message[T] { return u.c }

// Dropped is the number of values that did not fit or were not of type T.
func (u *Subscription[T]) Dropped() int64 { return u.dropped.Load() + u.lost() }

// lost counts what the client dropped in front of us.
func (u *Subscription[T]) lost() int64 {
	n, err := u.sub.Dropped()
	if err != nil {
		return 0
	}
	return int64(n)
}

// Close ends the subscription and closes C; values still queued can be read.
func (u *Subscription[T]) Close() {
	u.once.Do(func() {
		_ = u.sub.Unsubscribe() // fails only when the connection is closed, which ends it as well
		close(u.stop)
	})
	<-u.done
}

func (u *Subscription[T]) run() {
	defer close(u.done)
	defer close(u.c)
	var seen int64
	lagged := false
	for {
		select {
		case <-u.stop:
			return
		case m := <-u.in:
			if n := u.lost(); n > seen {
				seen, lagged = n, true
			}
			lagged = !u.put(m, lagged)
		}
	}
}

// put queues one message and reports whether it fitted.
func (u *Subscription[T]) put(m *nats.Msg, lagged bool) bool {
	v := Message[T]{Subject: m.Subject, Lagged: lagged}
	if json.Unmarshal(m.Data, &v.Value) == nil {
		select {
		case u.c <- v:
			return true
		default:
		}
	}
	u.dropped.Add(1)
	return false
}
