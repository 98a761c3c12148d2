// Package applet lets a program of ours take part in a call as one leg: answer, play, record, hear digits, hang up.
//
// A program is a function, run on a goroutine of its own and written top to bottom; every call on the Session blocks until it
// is done, until its context ends, or until the far end has hung up, which ends the program's context with ErrHungUp as
// the cause. When the program returns, the leg is released.
//
//	func greet(ctx context.Context, s *applet.Session) error {
//		if err := s.Answer(ctx); err != nil {
//			return err
//		}
//		return s.Play(ctx, greeting)
//	}
//
// The driver leg/appleg runs programs for the legs that the dial plan sends to applets.
package applet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
)

// A Program is what runs on a leg. An error that is a *Refused before the answer gives the cause of the release; any other
// error releases the leg with call.TemporaryFailure, except that of a context that has ended.
type Program func(ctx context.Context, s *Session) error

// ErrHungUp is the cause of a program's context when the leg was released from outside.
var ErrHungUp = errors.New("applet: the far end has hung up")

// A Refused error releases the leg with its cause.
type Refused struct{ Cause call.Cause }

func (r *Refused) Error() string { return "applet: the call is refused: " + r.Cause.String() }

// A NotTransferred error says why whoever a session talks to could not be sent elsewhere; they talk on.
type NotTransferred struct {
	Status int    // of SIP: 486 busy, 480 no answer ...
	Why    string // a sentence, where there is one
}

func (n *NotTransferred) Error() string {
	text := "applet: the call is not transferred: " + strconv.Itoa(n.Status)
	if n.Why != "" {
		text += ", " + n.Why
	}
	return text
}

// Info says what the call is about.
type Info struct {
	Leg         call.LegID
	Call        call.CallID
	Applet      string
	Called      string
	Calling     call.Identity
	Redirecting []call.Redirection
	GlobalID    string
	// Parameters are those of the SIP URI by which the program was reached, as they are written there, escaped (RFC 5552, 2.1): see
	// call.MaxParameters.
	Parameters string
}

// A Port is the driver's side of a session.
type Port interface {
	// Alert tells the caller that it rings.
	Alert(ctx context.Context) error
	// Answer answers and returns when media can flow.
	Answer(ctx context.Context) error
	// Stream is the leg's media.
	Stream() Stream
	// Signalled delivers digits that came by signalling.
	Signalled() <-chan string
	// Transfer has whoever the leg talks to sent to a number, and returns what became of it.
	Transfer(ctx context.Context, number string) error
}

// A Stream is the part of *media.Stream a session needs.
type Stream interface {
	Start(src media.Source) (done <-chan struct{})
	Record(sink media.Sink)
	SendDigits(digits string) (done <-chan struct{}, err error)
	Digits() <-chan media.Digit
	Evidence() media.Evidence
}

// A Session is one leg in the hands of a program. Its methods are for the program's goroutine; Play and Record may run beside
// each other on two.
type Session struct {
	info     Info
	port     Port
	answered bool
}

// NewSession is for drivers.
func NewSession(info Info, port Port) *Session { return &Session{info: info, port: port} }

// Info says what the call is about.
func (s *Session) Info() Info { return s.info }

// Ring tells the caller that it rings.
func (s *Session) Ring(ctx context.Context) error { return s.port.Alert(ctx) }

// Answer answers the call and returns when media can flow. A call that is answered already stays so.
func (s *Session) Answer(ctx context.Context) error {
	if s.answered {
		return nil
	}
	if err := s.port.Answer(ctx); err != nil {
		return err
	}
	s.answered = true
	return nil
}

// Transfer sends whoever the session talks to elsewhere: to a number that they may reach themselves. It returns nil when somebody has answered
// there, and the session's leg is being released: its context ends with ErrHungUp. A *NotTransferred error says that nobody has, and that the
// call is as it was. Until then the session goes on: it may play music.
func (s *Session) Transfer(ctx context.Context, number string) error {
	return s.port.Transfer(ctx, number)
}

// Evidence are the counters of the leg's media.
func (s *Session) Evidence() media.Evidence { return s.port.Stream().Evidence() }

// Play plays src to its end.
func (s *Session) Play(ctx context.Context, src media.Source) error {
	stream := s.port.Stream()
	select {
	case <-stream.Start(src):
		return context.Cause(ctx)
	case <-ctx.Done():
		stream.Start(nil)
		return context.Cause(ctx)
	}
}

// Start plays src from now on in place of what was playing, and returns at once; done is closed when it has ended or was replaced. A nil
// src is silence. It is for programs that listen for keys in their own way (Key) while something plays.
func (s *Session) Start(src media.Source) (done <-chan struct{}) { return s.port.Stream().Start(src) }

// Hear writes what is heard into sink from now on; nil ends that.
func (s *Session) Hear(sink media.Sink) { s.port.Stream().Record(sink) }

// Key is the next key pressed, 0 when done was closed first. Keys that were pressed before anybody asked are kept.
func (s *Session) Key(ctx context.Context, done <-chan struct{}) (byte, error) {
	return s.key(ctx, done)
}

// Typed is a key that has been pressed already; ok is false where none waits.
func (s *Session) Typed() (key byte, ok bool) {
	select {
	case d, open := <-s.port.Stream().Digits():
		return d.Key, open
	case d := <-s.port.Signalled():
		if d != "" {
			return d[0], true
		}
	default:
	}
	return 0, false
}

// PlayUntil plays src until it ends or one of the keys is pressed, which it returns; 0 when src ended first.
func (s *Session) PlayUntil(ctx context.Context, src media.Source, keys string) (byte, error) {
	stream := s.port.Stream()
	done := stream.Start(src)
	defer stream.Start(nil)
	for {
		key, err := s.key(ctx, done)
		if err != nil || key == 0 || contains(keys, key) {
			return key, err
		}
	}
}

// Record writes what is heard into sink until one of the keys is pressed (returned), the time is over (0), or ctx ends.
func (s *Session) Record(ctx context.Context, sink media.Sink, longest time.Duration, keys string) (byte, error) {
	stream := s.port.Stream()
	stream.Record(sink)
	defer stream.Record(nil)
	over := make(chan struct{})
	timer := time.AfterFunc(longest, func() { close(over) })
	defer timer.Stop()
	for {
		key, err := s.key(ctx, over)
		if err != nil || key == 0 || contains(keys, key) {
			return key, err
		}
	}
}

// Digits collects up to most digits. It ends early at the key end ('#' by custom, 0 for none), which is not part of the result, or
// when wait passes without a digit.
func (s *Session) Digits(ctx context.Context, most int, wait time.Duration, end byte) (string, error) {
	var got []byte
	for len(got) < most {
		key, err := s.keyWithin(ctx, wait)
		if err != nil {
			return string(got), err
		}
		if key == 0 || key == end {
			break
		}
		got = append(got, key)
	}
	return string(got), nil
}

// keyWithin is the next key, 0 when none came in time.
func (s *Session) keyWithin(ctx context.Context, wait time.Duration) (byte, error) {
	t, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	key, err := s.key(t, nil)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return 0, nil
	}
	return key, err
}

// key is the next key pressed, 0 when done was closed first.
func (s *Session) key(ctx context.Context, done <-chan struct{}) (byte, error) {
	select {
	case d, ok := <-s.port.Stream().Digits():
		if !ok {
			return 0, ErrHungUp
		}
		return d.Key, nil
	case d := <-s.port.Signalled():
		if d == "" {
			return 0, ErrHungUp
		}
		return d[0], nil
	case <-done:
		return 0, nil
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// SendDigits sends DTMF into the call.
func (s *Session) SendDigits(ctx context.Context, digits string) error {
	done, err := s.port.Stream().SendDigits(digits)
	if err != nil {
		return fmt.Errorf("applet: send digits: %w", err)
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func contains(keys string, key byte) bool {
	for i := range len(keys) {
		if keys[i] == key {
			return true
		}
	}
	return false
}
