package bus

import (
	"encoding/json"
	"fmt"
	"sync"

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

// Subscription is a bounded queue of values. It is filled by one goroutine of
// the client, which never waits for the reader.
type Subscription[T any] struct {
	sub     *nats.Subscription
	decode  func(data []byte, v *T) error
	mu      sync.Mutex // guards c against being closed while it is filled
	c       chan Message[T]
	closed  bool
	lagged  bool
	dropped int64
}

// Subscribe queues up to pending values (0: 256) of a subject. When the reader
// is slower, new values are dropped and counted, and the next one that fits is
// marked Lagged.
func Subscribe[T any](b *Bus, s Subject, pending int) (*Subscription[T], error) {
	return subscribeAs(b, s, pending, func(data []byte, v *T) error { return json.Unmarshal(data, v) })
}

func subscribeAs[T any](b *Bus, s Subject, pending int, decode func([]byte, *T) error) (*Subscription[T], error) {
	if pending <= 0 {
		pending = 256
	}
	u := &Subscription[T]{c: make(chan Message[T], pending), decode: decode}
	sub, err := b.conn.Subscribe(s.String(), u.put)
	if err == nil {
		u.sub = sub
		err = b.conn.FlushTimeout(defaultConnectTimeout) // the server knows of it when we return
	}
	if err != nil {
		u.Close()
		return nil, fmt.Errorf("bus: subscribe %s: %w", s, err)
	}
	return u, nil
}

// C carries the values; it is closed by Close.
func (u *Subscription[T]) C() <-chan Message[T] { return u.c }

// Dropped is the number of values that did not fit or were not of type T.
func (u *Subscription[T]) Dropped() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.dropped
}

// Close ends the subscription and closes C; values still queued can be read.
func (u *Subscription[T]) Close() {
	if u.sub != nil {
		_ = u.sub.Unsubscribe() // fails only when the connection is closed, which ends it as well
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.closed {
		u.closed = true
		close(u.c)
	}
}

// put queues one message.
func (u *Subscription[T]) put(m *nats.Msg) {
	v := Message[T]{Subject: m.Subject}
	err := u.decode(m.Data, &v.Value)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return
	}
	v.Lagged = u.lagged
	if err == nil {
		select {
		case u.c <- v:
			u.lagged = false
			return
		default:
		}
	}
	u.lagged = true
	u.dropped++
}
