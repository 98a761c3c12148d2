package applet

import (
	"context"
	"sync"

	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/tone"
)

// Tests are the test numbers every exchange has, so that a single phone can test its own audio. Names are those of the dial
// plan's applets.
func Tests() map[string]Program {
	return map[string]Program{
		"echo":  Echo,
		"tone":  Tone,
		"music": Music,
	}
}

// Echo sends back what it hears until # is pressed.
func Echo(ctx context.Context, s *Session) error {
	e := &echo{}
	if err := s.Answer(ctx); err != nil {
		return err
	}
	s.port.Stream().Record(e)
	defer s.port.Stream().Record(nil)
	_, err := s.PlayUntil(ctx, e, "#")
	return err
}

// Tone plays the 1004 Hz test tone at -10 dBm0 (the milliwatt lines of ITU-T O.6 and ANSI T1.506 avoid 1000 Hz, a
// submultiple of the sampling rate) until # is pressed.
func Tone(ctx context.Context, s *Session) error { return ToneAt(1004)(ctx, s) }

// ToneAt is Tone at another frequency, in hertz.
func ToneAt(hz float64) Program {
	return func(ctx context.Context, s *Session) error { return playUntilHash(ctx, s, tone.NewSine(hz, -10)) }
}

// Music plays the built-in music until # is pressed.
func Music(ctx context.Context, s *Session) error {
	return playUntilHash(ctx, s, tone.NewMusic())
}

// Playing plays a source, made anew for each caller, until # is pressed or it ends.
func Playing(source func() media.Source) Program {
	return func(ctx context.Context, s *Session) error { return playUntilHash(ctx, s, source()) }
}

func playUntilHash(ctx context.Context, s *Session, src media.Source) error {
	if err := s.Answer(ctx); err != nil {
		return err
	}
	_, err := s.PlayUntil(ctx, src, "#")
	return err
}

// echo is a Sink and a Source joined: a short queue of what was heard. It owns its samples.
type echo struct {
	mu    sync.Mutex
	queue []int16
}

// maxEcho bounds the delay of the echo: 10 frames of 20 ms.
const maxEcho = 10 * media.FrameSize

// WritePCM takes what was heard; when the queue is full, the oldest goes.
func (e *echo) WritePCM(src []int16) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, src...)
	if over := len(e.queue) - maxEcho; over > 0 {
		e.queue = append(e.queue[:0], e.queue[over:]...)
	}
	return nil
}

// ReadPCM gives it back, silence where there is none.
func (e *echo) ReadPCM(dst []int16) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := copy(dst, e.queue)
	e.queue = append(e.queue[:0], e.queue[n:]...)
	clear(dst[n:])
	return len(dst), nil
}
