package media

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// newSource makes a source by its name; nil is silence. A name nobody knows is the built-in music: whoever waits should
// hear that the line is alive.
func (p *Plane) newSource(name string) Source {
	kind, arg, _ := strings.Cut(name, ":")
	switch kind {
	case "":
		return nil
	case "ringback":
		return tone.Ringback()
	case "busy":
		return tone.Busy()
	case "tone":
		if hz, err := strconv.ParseFloat(arg, 64); err == nil && hz >= 50 && hz <= 3800 {
			return tone.NewSine(hz, -10)
		}
	case "music":
		if p.cfg.Music != nil {
			if s := p.cfg.Music(arg); s != nil {
				return s
			}
		}
	}
	return tone.NewMusic()
}

// streamEnd makes a Stream a negotiator.
type streamEnd struct{ *Stream }

func (s streamEnd) Offer() (*sdp.Session, error)                { return s.OfferSession() }
func (s streamEnd) Answer(o *sdp.Session) (*sdp.Session, error) { return s.AnswerSession(o) }

// makeSourced lets the leg hear a source of ours. Silence to a leg that has a description in force needs no stream: it
// keeps address and keys and becomes inactive.
func (p *Plane) makeSourced(l *leg, o Order, g desc.Guard) (*sdp.Session, error) {
	if o.Source == "" && l.local != nil {
		if s, err := p.silence(l); err == nil {
			return s, nil
		}
	}
	if err := p.seatFor(l, o.Source); err != nil {
		return nil, err
	}
	if err := p.openSource(l, g); err != nil {
		return nil, err
	}
	_, conference := mixOf(o.Source)
	dir, codecs := sdp.SendOnly, desc.Narrowband()
	switch {
	case o.Source == "":
		dir = sdp.RecvOnly
	case conference:
		dir, codecs = sdp.SendRecv, desc.Wideband()
	case l.local == nil: // a call that opens with sendonly shows as one on hold, and some phones play nothing of it
		dir = sdp.SendRecv
	}
	l.source.SetDirection(dir & o.Dir)
	l.source.setCodecs(g.Only(codecs))
	s, err := p.negotiate(l, streamEnd{l.source}, waySourced, 0, nil)
	switch {
	case err != nil && l.how != waySourced:
		p.releaseSource(l)
	case err == nil && l.out != nil:
		l.out.name = o.Source
	case err == nil:
		p.begin(l, o.Source)
	}
	return s, err
}

// silence answers or offers what is in force, inactive.
func (p *Plane) silence(l *leg) (*sdp.Session, error) {
	if l.open != nil {
		return p.answerKept(l, sdp.Inactive)
	}
	if l.how != wayDirect {
		return nil, ErrNoOpen
	}
	s := l.local.Clone()
	desc.Limit(s, sdp.Inactive)
	match := make([]int, len(s.Media))
	for i := range match {
		match[i] = i
	}
	l.out = &outgoing{match: match, lines: len(match), how: l.how, peer: l.peer}
	return p.offer(l, s), nil
}

// openSource gives the leg a stream of its own. The security of a stream is that of its leg; when the wish changed,
// the stream does too.
func (p *Plane) openSource(l *leg, g desc.Guard) error {
	if l.source != nil {
		return nil
	}
	s, err := OpenStream(StreamConfig{
		Caps: desc.Caps{Suites: g.Suites, Security: g.Security}, Bind: p.cfg.Bind, Announce: p.cfg.Announce,
		Ports: p.cfg.Ports, Latching: l.prof.Latching, Keys: p.cfg.Keys,
	})
	if err != nil {
		return err
	}
	if digits, id := p.cfg.Digits, l.id; digits != nil {
		s.hearDigits(func(d Digit) { digits(id, d.Key, d.Duration) })
	}
	l.source = s
	return nil
}

func addrPort(c sdp.Conn, port uint16) netip.AddrPort {
	ip, ok := c.IP()
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ip, port)
}
