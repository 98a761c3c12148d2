package media

import (
	"slices"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/relay"
	"github.com/locktone/locktone/wire/sdp"
)

// withEvents adds telephone events to the codecs of a party that has none: a port of ours takes the digits of its peer all the
// same, and says them to the other side another way.
func withEvents(cs []sdp.Codec) []sdp.Codec {
	if slices.ContainsFunc(cs, sdp.Codec.IsEvent) {
		return cs
	}
	for pt := uint8(101); pt != 100; pt++ { // 101 by custom, otherwise any that is free: RFC 3551, 3
		if pt == 128 {
			pt = 96
		}
		if !slices.ContainsFunc(cs, func(c sdp.Codec) bool { return c.PT == pt }) {
			return append(slices.Clone(cs), sdp.Codec{PT: pt, Name: sdp.TelephoneEvent, Rate: 8000, Fmtp: "0-16"})
		}
	}
	return cs
}

// interwork tells the port of a leg what to do with digits that go to another: payload types are translated; where one peer has
// telephone events and the other has none, they are taken, and tones of the other are listened to.
func (p *Plane) interwork(from, to *leg) {
	n, ok := from.portE.Stream()
	if !ok || from.in == nil || to.in == nil {
		return
	}
	theirs, others := desc.Audio(from.in.s), desc.Audio(to.in.s)
	if theirs == nil || others == nil {
		return
	}
	d := &relay.Digits{Send: n.SendEvent.PT, ULaw: -1, ALaw: -1}
	for _, c := range n.Recv {
		if i := slices.IndexFunc(others.Codecs, c.SameAs); i >= 0 && others.Codecs[i].PT != c.PT {
			d.Types[c.PT&127] = others.Codecs[i].PT
		}
		switch v := voiceOf(c); {
		case c.IsEvent():
			d.Event = c.PT
		case v == ulaw:
			d.ULaw = int16(c.PT)
		case v == alaw:
			d.ALaw = int16(c.PT)
		}
	}
	has, has2 := slices.ContainsFunc(theirs.Codecs, sdp.Codec.IsEvent), slices.ContainsFunc(others.Codecs, sdp.Codec.IsEvent)
	d.Take, d.Listen = has && !has2, !has && has2
	if digits, id := p.cfg.Digits, from.id; digits != nil && (d.Take || d.Listen) {
		d.Report = func(key byte, duration time.Duration) { digits(id, key, duration) }
	}
	from.port.SetDigits(d)
}

// SendDigit sends a DTMF digit to the leg's peer, where its media comes by here: as a telephone event when the peer takes them, as
// a tone when it does not and tones are allowed. sent is false when the signalling must do it: by INFO, or not at all.
func (p *Plane) SendDigit(id LegID, key byte, tones bool) (sent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[id]
	switch {
	case l == nil:
		return false
	case l.how == wayAnchored && l.port != nil:
		n, ok := l.portE.Stream()
		return ok && (tones || n.SendEvent.Name != "") && l.port.SendDigits(string(key))
	case l.how == waySourced && l.source != nil:
		n, ok := l.source.Negotiated()
		if !ok || !n.Direction.Sends() || !tones && n.SendEvent.Name == "" {
			return false
		}
		_, err := l.source.SendDigits(string(key))
		return err == nil
	}
	return false
}
