package media

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/media/mixer"
	"github.com/locktone/locktone/media/resample"
	"github.com/locktone/locktone/media/tone"
)

// Bounds of conferences: parties of one, and how many there are at a time.
const (
	MaxParties     = 128
	maxConferences = 1024
)

// ErrFull says that a conference, or the plane, has no seat left.
var ErrFull = errors.New("media: the conference has no seat left")

// A place is where a seat is in a conference, and what it is like.
type place struct {
	id     string
	warn   bool // with a warning tone
	listen bool // heard by nobody
}

// mixOf reads the name of a source: "mix:ID" is a conference, "mix:ID:warn" a seat in it with a warning tone, "mix:ID:listen" one from which
// nobody is heard.
func mixOf(source string) (at place, ok bool) {
	at.id, ok = strings.CutPrefix(source, "mix:")
	at.id, at.warn = strings.CutSuffix(at.id, ":warn")
	at.id, at.listen = strings.CutSuffix(at.id, ":listen")
	return at, ok
}

// conference is a mixer at work: one goroutine for all its parties. Of locks, the plane's is taken before the conference's,
// and that before a stream's.
type conference struct {
	mu    sync.Mutex
	mix   mixer.Mixer
	seats []*seat
	done  chan struct{} // closed when the last has left
}

// seat is a stream's place in a conference.
type seat struct {
	stream *Stream
	party  mixer.Party
	warn   *tone.Cadence // what only it hears, nil: nothing
	listen bool          // it is heard by nobody
	up     resample.Up
	beep   [2 * FrameSize]int16
	narrow [FrameSize]int16
}

// warning is what is heard by a party of a call that is not protected everywhere: 200 ms at once, and every 15 s. ITU-T E.180
// leaves frequency and cadence of warning tones to administrations; 1,400 Hz every 15 s is North America's tone of recorded
// calls.
func warning() *tone.Cadence {
	return tone.NewCadence(-16, tone.Part{Hz: []float64{1400}, For: 200 * time.Millisecond}, tone.Part{For: 14800 * time.Millisecond})
}

// seatFor says whether there is room for a leg that is to sit at a source's conference, counting those on their way to it.
func (p *Plane) seatFor(l *leg, source string) error {
	at, ok := mixOf(source)
	id := at.id
	if !ok || l.at == id && l.seat != nil {
		return nil
	}
	if p.mixes[id] == nil && len(p.mixes) >= maxConferences {
		return ErrFull
	}
	n := 0
	for _, other := range p.legs {
		coming := place{}
		if other.out != nil {
			coming, _ = mixOf(other.out.name)
		}
		if other.seat != nil && other.at == id || other != l && other.out != nil && coming.id == id {
			n++
		}
	}
	if n >= MaxParties {
		return ErrFull
	}
	return nil
}

// begin lets the leg hear a source by its name, and leave what it heard before. A name it hears already goes on.
func (p *Plane) begin(l *leg, name string) {
	at, ok := mixOf(name)
	l.name = name
	if !ok {
		p.leave(l)
		l.source.Start(p.newSource(name))
		return
	}
	if l.seat == nil || l.at != at.id {
		p.leave(l)
		p.join(l, at)
	}
	p.mixes[at.id].seat(l.seat, at)
}

func (p *Plane) join(l *leg, at place) {
	id := at.id
	c := p.mixes[id]
	if c == nil {
		c = &conference{done: make(chan struct{})}
		p.mixes[id] = c
		p.wg.Go(c.run)
	}
	l.source.Start(nil)
	l.at, l.seat = id, &seat{stream: l.source, listen: at.listen}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seats = append(c.seats, l.seat)
	c.mix.Add(&l.seat.party)
	l.source.sit(true)
}

// leave takes the leg out of its conference, if it is in one; the last one ends it.
func (p *Plane) leave(l *leg) {
	if l.seat == nil {
		return
	}
	c := p.mixes[l.at]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seats = slices.DeleteFunc(c.seats, func(s *seat) bool { return s == l.seat })
	c.mix.Remove(&l.seat.party)
	l.seat.stream.sit(false)
	if len(c.seats) == 0 {
		close(c.done)
		delete(p.mixes, l.at)
	}
	l.at, l.seat = "", nil
}

// seat has a seat be as its place says.
func (c *conference) seat(s *seat, at place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.listen = at.listen
	switch {
	case !at.warn:
		s.warn, s.party.Also = nil, nil
	case s.warn == nil:
		s.warn = warning()
	}
}

// run is the goroutine.
func (c *conference) run() {
	ticker := time.NewTicker(FrameTime)
	defer ticker.Stop()
	next := time.Now()
	for {
		select {
		case <-c.done:
			return
		case now := <-ticker.C:
			if now.Sub(next) > maxBehind*FrameTime {
				next = now
			}
			for ; !next.After(now); next = next.Add(FrameTime) {
				c.frame(now)
			}
		}
	}
}

// frame is 20 ms: all are heard, then all are told.
func (c *conference) frame(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.seats {
		s.stream.hear(&s.party)
		s.party.Open = s.party.Open && !s.listen
		if s.warn != nil {
			s.party.Also = s.warned()
		}
	}
	c.mix.Mix()
	for _, s := range c.seats {
		s.stream.say(now, s.party.Out[:frameSize(s.party.Wide)])
	}
}

// warned is the warning tone's next frame.
func (s *seat) warned() []int16 {
	if !s.party.Wide {
		_, _ = s.warn.ReadPCM(s.beep[:FrameSize])
		return s.beep[:FrameSize]
	}
	_, _ = s.warn.ReadPCM(s.narrow[:])
	s.up.Int16(s.beep[:], s.narrow[:])
	return s.beep[:]
}
