package media

import (
	"time"

	"github.com/locktone/locktone/media/mixer"
)

// sit hands the pace of the stream to a mixer, or takes it back: while seated, hear and say are called every 20 ms in place
// of the stream's own ticks.
func (s *Stream) sit(seated bool) {
	s.mu.Lock()
	s.seat = seated
	s.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
	default: // it has not looked yet at the turn before
	}
}

func (s *Stream) seated() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seat
}

// hear puts what the peer says into p.In. A peer that holds us, or is held, is not heard: the others do not want its music.
// Comfort noise is not passed on either: sixteen silent rooms would be a loud one.
func (s *Stream) hear(p *mixer.Party) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.core
	p.Wide = voiceOf(c.n.Send) == wideband
	p.Open = c.active && c.n.Direction.Receives() && !c.n.Held && c.noise.peak == 0
	copy(p.In[:], c.ears.as(p.Wide, c.listen()))
}

// say sends a frame of a mixer.
func (s *Stream) say(now time.Time, frame []int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.core.mixed = frame
	s.speak(now)
	s.core.mixed = nil
}
