package applet

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/media"
)

// deck is a stream and port of a test: sources end when told, digits come when pressed.
type deck struct {
	keys      chan media.Digit
	signalled chan string
	playing   chan media.Source
	mu        sync.Mutex
	done      chan struct{}
	sink      media.Sink
	answers   int
}

func newDeck() *deck {
	return &deck{keys: make(chan media.Digit, 8), signalled: make(chan string, 8), playing: make(chan media.Source, 8)}
}

func (d *deck) Start(src media.Source) <-chan struct{} {
	d.end()
	done := make(chan struct{})
	if src != nil {
		d.playing <- src
		d.mu.Lock()
		d.done = done
		d.mu.Unlock()
	}
	return done
}

// end ends what is playing.
func (d *deck) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done != nil {
		close(d.done)
		d.done = nil
	}
}

func (d *deck) Record(s media.Sink) { d.sink = s }
func (d *deck) SendDigits(string) (<-chan struct{}, error) {
	c := make(chan struct{})
	close(c)
	return c, nil
}
func (d *deck) Digits() <-chan media.Digit             { return d.keys }
func (d *deck) Evidence() media.Evidence               { return media.Evidence{} }
func (d *deck) Alert(context.Context) error            { return nil }
func (d *deck) Answer(context.Context) error           { d.answers++; return nil }
func (d *deck) Stream() Stream                         { return d }
func (d *deck) Transfer(context.Context, string) error { return &NotTransferred{Status: 486} }
func (d *deck) Signalled() <-chan string               { return d.signalled }

type silence struct{}

func (silence) ReadPCM(dst []int16) (int, error) { return 0, io.EOF }

func TestDigits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck()
		s := NewSession(Info{}, d)
		d.keys <- media.Digit{Key: '1'}
		d.signalled <- "2"
		if got, err := s.Digits(t.Context(), 4, 3*time.Second, '#'); len(got) != 2 || err != nil {
			t.Errorf("%q %v: two digits, then the time is over", got, err)
		}
		for _, k := range "123#4" {
			d.keys <- media.Digit{Key: byte(k)}
		}
		if got, err := s.Digits(t.Context(), 9, time.Second, '#'); got != "123" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		if got, err := s.Digits(t.Context(), 1, time.Second, '#'); got != "4" || err != nil {
			t.Errorf("%q %v", got, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(ErrHungUp) })
		if _, err := s.Digits(ctx, 1, time.Minute, 0); !errors.Is(err, ErrHungUp) {
			t.Errorf("%v", err)
		}
	})
}

func TestPlayAndRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDeck()
		s := NewSession(Info{}, d)
		for range 2 {
			if err := s.Answer(t.Context()); err != nil || d.answers != 1 {
				t.Errorf("answered %d times, %v", d.answers, err)
			}
		}
		time.AfterFunc(time.Second, d.end)
		if err := s.Play(t.Context(), silence{}); err != nil {
			t.Error(err)
		}
		d.keys <- media.Digit{Key: '1'}
		d.keys <- media.Digit{Key: '*'}
		if key, err := s.PlayUntil(t.Context(), silence{}, "#*"); key != '*' || err != nil {
			t.Errorf("%c %v", key, err)
		}
		began := time.Now()
		if key, err := s.Record(t.Context(), &echo{}, 7*time.Second, "#"); key != 0 || err != nil || time.Since(began) != 7*time.Second || d.sink != nil {
			t.Errorf("%c %v after %v", key, err, time.Since(began))
		}
		d.keys <- media.Digit{Key: '#'}
		if key, err := s.Record(t.Context(), &echo{}, time.Minute, "#"); key != '#' || err != nil {
			t.Errorf("%c %v", key, err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(ErrHungUp) })
		if err := s.Play(ctx, silence{}); !errors.Is(err, ErrHungUp) {
			t.Errorf("%v", err)
		}
	})
}

// The echo gives back what it heard, and never more than 200 ms of it.
func TestEchoQueue(t *testing.T) {
	e := &echo{}
	frame := make([]int16, media.FrameSize)
	for i := range 30 {
		frame[0] = int16(i)
		if err := e.WritePCM(frame); err != nil {
			t.Fatal(err)
		}
	}
	out := make([]int16, media.FrameSize)
	for i := range 12 {
		n, err := e.ReadPCM(out)
		want := int16(20 + i)
		if i >= 10 {
			want = 0
		}
		if n != len(out) || err != nil || out[0] != want {
			t.Errorf("frame %d: %d samples, %v, starts with %d", i, n, err, out[0])
		}
	}
}
