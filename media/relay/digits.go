package relay

import (
	"time"

	"github.com/locktone/locktone/media/dtmf"
	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/rtpstat"
)

// Digits is how a port deals with DTMF where its peer and the other side's do not do the same. The zero value passes everything
// on as it is.
type Digits struct {
	// Types are the payload types the other side knows things by, where they differ from those of this side's peer; 0 where they do
	// not.
	Types [128]uint8
	// Event is the payload type of the telephone events that come from the peer, Send of those it takes; 0: it has none.
	Event, Send uint8
	// ULaw and ALaw are the payload types of G.711 of the peer, -1: not agreed.
	ULaw, ALaw int16
	// Take keeps the peer's events from the other side, which does not know them; they are reported.
	Take bool
	// Listen reports tones in what the peer says: it has no events.
	Listen bool
	// Report is told of digits; it must not block. Nil: nobody is.
	Report func(key byte, duration time.Duration)
}

// heard is the receiving half of a port's digits, guarded by its receiving lock.
type heard struct {
	Digits
	events   dtmf.Receiver
	tones    dtmf.Detector
	pcm      [bufferSize]int16
	finished [2]dtmf.Digit // of the packet at hand
	count    int
}

// said is the sending half, guarded by the sending lock.
type said struct {
	event      uint8 // payload type, 0: tones are sent
	ulaw, alaw int16
	queue      dtmf.Sender
	tones      dtmf.Tones
	pcm        [bufferSize]int16
	payload    [4]byte
}

// SetDigits puts a way to deal with digits in force; nil is the usual one. What is being sent goes on.
func (p *Port) SetDigits(d *Digits) {
	p.rx.Lock()
	defer p.rx.Unlock()
	p.tx.Lock()
	defer p.tx.Unlock()
	if d == nil {
		p.heard = nil
		return
	}
	if p.heard == nil {
		p.heard = &heard{}
	}
	p.heard.Digits = *d
	if p.said == nil {
		p.said = &said{}
	}
	p.said.event, p.said.ulaw, p.said.alaw = d.Send, d.ULaw, d.ALaw
}

// SendDigits sends digits to the peer, in place of what the other side says meanwhile: as events where it has them, as tones
// otherwise, for which it must have G.711. ok is false when it can have neither. A side that sends nothing at all cannot be
// replaced: then digits wait for its next packet.
func (p *Port) SendDigits(digits string) (ok bool) {
	p.tx.Lock()
	defer p.tx.Unlock()
	s := p.said
	if s == nil || p.gone || s.event == 0 && s.ulaw < 0 && s.alaw < 0 {
		return false
	}
	return s.queue.Queue(digits) == nil
}

// lawOf is the law a payload type stands for.
func lawOf(pt uint8, ulaw, alaw int16) (g711.Law, bool) {
	switch int16(pt) {
	case ulaw:
		return g711.ULaw, true
	case alaw:
		return g711.ALaw, true
	}
	return 0, false
}

// packet takes one packet that was accepted; pass says whether it goes to the other side.
func (d *heard) packet(h rtpstat.Header, payload []byte) (pass bool) {
	if d.Event != 0 && h.PT == d.Event {
		if !d.Take {
			return true
		}
		if e, err := dtmf.Parse(payload); err == nil {
			digits, n := d.events.Packet(h.Stamp, e)
			d.count = copy(d.finished[:], digits[:n])
		}
		return false
	}
	if since, ok := d.events.Sounding(); ok && int32(h.Stamp-since) > 4000 { // its end was lost
		if g, ok := d.events.Flush(); ok {
			d.finished[0], d.count = g, 1
		}
	}
	if law, ok := lawOf(h.PT, d.ULaw, d.ALaw); ok && d.Listen {
		pcm := d.pcm[:min(len(payload), len(d.pcm))]
		law.Decode(pcm, payload[:len(pcm)])
		d.tones.Write(pcm, func(g dtmf.Digit) { d.finished[0], d.count = g, 1 })
	}
	return true
}

// rename gives a packet the payload type the other side knows.
func (d *heard) rename(b []byte, pt uint8) {
	if to := d.Types[pt&127]; to != 0 && len(b) > 1 {
		b[1] = b[1]&0x80 | to
	}
}

// replace puts what is due of a digit in the place of a packet of speech.
func (s *said) replace(b []byte) []byte {
	if !s.queue.Busy() {
		return b
	}
	h, payload, ok := rtpstat.Parse(b)
	law, voice := lawOf(h.PT, s.ulaw, s.alaw)
	if !ok || s.event == 0 && !voice || s.event != 0 && h.PT == s.event {
		return b
	}
	p, ok := s.queue.Step(h.Stamp)
	switch {
	case !ok:
	case s.event != 0:
		h.PT, h.Stamp, h.Marker = s.event, p.Timestamp, p.Marker
		return append(h.Append(b[:0]), p.Payload.Append(s.payload[:0])...)
	default:
		pcm := s.pcm[:min(len(payload), len(s.pcm))]
		s.tones.Fill(pcm, p)
		law.Encode(payload[:len(pcm)], pcm)
	}
	return b
}
