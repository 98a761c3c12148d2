package voicebrowser

import (
	"context"
	"time"

	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// play does interpreter.Play.
func (s *session) play(a *interpreter.Play) interpreter.Outcome {
	s.halt()
	if len(a.Prompts) > 0 && !a.Prompts[0].Barge {
		s.forget()
	}
	if a.Collect != nil && s.ahead() && !(len(a.Prompts) > 0 && a.Prompts[0].Hotword) {
		key := s.typed[0]
		s.typed = s.typed[1:]
		return digit(key, false, nil)
	}
	if len(a.Prompts) > 0 {
		s.now = s.start(a.Prompts)
	}
	if a.Collect == nil {
		return s.listenOut()
	}
	return s.await(a.Collect.Timeout, true)
}

// ahead says whether a key was typed ahead, and keeps it.
func (s *session) ahead() bool {
	if len(s.typed) > 0 {
		return true
	}
	if key, ok := s.leg.Typed(); ok {
		s.typed = append(s.typed, key)
		return true
	}
	return false
}

// forget throws away what was typed ahead. VoiceXML 2.0, 4.1.5: input during a prompt that may not be barged into is ignored.
func (s *session) forget() {
	s.typed = nil
	for {
		if _, ok := s.leg.Typed(); !ok {
			return
		}
	}
}

// key is the next key; 0 when done was closed or the call is over.
func (s *session) key(done <-chan struct{}) (byte, error) {
	if len(s.typed) > 0 {
		key := s.typed[0]
		s.typed = s.typed[1:]
		return key, nil
	}
	return s.leg.Key(s.call, done)
}

// listenOut waits until what plays has been played; what is typed meanwhile waits for whoever asks, unless a prompt forbids it.
func (s *session) listenOut() interpreter.Outcome {
	if s.now == nil {
		return interpreter.Outcome{}
	}
	var kept []byte
	for {
		key, err := s.key(s.now.done)
		switch {
		case err != nil:
			s.halt()
			return interpreter.Outcome{Hangup: true}
		case key == 0:
			out := interpreter.Outcome{Mark: s.now.f.marked(time.Now())}
			s.halt()
			s.typed = append(kept, s.typed...)
			return out
		}
		if p, ok := s.now.f.heard(); ok && p.Barge && len(kept) < 64 {
			kept = append(kept, key)
		}
	}
}

// await waits for the next key: for wait from the end of what plays with rest, else from now.
func (s *session) await(wait time.Duration, rest bool) interpreter.Outcome {
	ctx, cancel := context.WithCancel(s.call)
	defer cancel()
	over := make(chan struct{})
	var timer *time.Timer
	begin := func() { timer = time.AfterFunc(wait, func() { close(over) }) }
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	var mark *interpreter.Mark
	if s.now == nil || !rest {
		begin()
	}
	for {
		until := over
		if timer == nil {
			until = nil
		}
		key, err := s.key(s.first(ctx, until))
		if s.now != nil {
			mark = s.now.f.marked(time.Now())
		}
		switch {
		case err != nil:
			s.halt()
			return interpreter.Outcome{Hangup: true, Mark: mark}
		case key == 0 && s.now != nil && (until == nil || !isClosed(over)): // the prompts are over
			s.halt()
			if timer == nil {
				begin()
			}
		case key == 0:
			return interpreter.Outcome{Input: &interpreter.Input{Playing: s.now != nil}, Mark: mark}
		default:
			if out, taken := s.pressed(key, mark); taken {
				return out
			}
		}
	}
}

// pressed is what a key does to what plays: nothing (it is thrown away), or it ends it, or it is for the hotword.
func (s *session) pressed(key byte, mark *interpreter.Mark) (interpreter.Outcome, bool) {
	if s.now == nil || isClosed(s.now.done) {
		s.halt()
		return digit(key, false, mark), true
	}
	p, ok := s.now.f.heard()
	switch {
	case ok && !p.Barge:
		return interpreter.Outcome{}, false
	case p.Hotword:
		return digit(key, true, mark), true
	}
	s.halt()
	return digit(key, false, mark), true
}

func digit(key byte, playing bool, mark *interpreter.Mark) interpreter.Outcome {
	return interpreter.Outcome{Input: &interpreter.Input{Digit: string(key), Playing: playing}, Mark: mark}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// first is closed when what plays has ended or until is, or ctx has ended.
func (s *session) first(ctx context.Context, until <-chan struct{}) <-chan struct{} {
	switch {
	case s.now == nil:
		return until
	case until == nil:
		return s.now.done
	}
	both, done := make(chan struct{}), s.now.done
	go func() {
		defer close(both)
		select {
		case <-done:
		case <-until:
		case <-ctx.Done():
		}
	}()
	return both
}

// listen does interpreter.Listen.
func (s *session) listen(a *interpreter.Listen) interpreter.Outcome { return s.await(a.Wait, a.Rest) }

// pass waits, and says whether the call is still there.
func pass(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
