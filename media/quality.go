package media

import (
	"math"
	"time"

	"github.com/locktone/locktone/media/rtpstat"
)

// Quality is what a leg's media was like as far as it came by here: relayed, mixed, or with a source of ours.
type Quality struct {
	Codec          string        // of the last exchange
	Sent, Received uint64        // packets to and from the leg's peer
	SentOctets     uint64        // of header and payload
	ReceivedOctets uint64        // of header and payload
	Lost           uint64        // packets of the peer that did not arrive
	Jitter         float64       // of what arrived, milliseconds (RFC 3550, 6.4.1), mean by packets
	Duration       time.Duration // from the first exchange on
	MOS            float64       // estimate of what was heard of the peer, 1 to 4.5; 0: nothing arrived
}

// add takes one port's or stream's account into the sum.
func (q *Quality) add(in, out rtpstat.Counters) {
	q.Jitter = (q.Jitter*float64(q.Received) + in.JitterMS*float64(in.Packets)) / math.Max(1, float64(q.Received+in.Packets))
	q.Received += in.Packets
	q.ReceivedOctets += in.Bytes
	q.Sent += out.Packets
	q.SentOctets += out.Bytes
	q.Lost += uint64(max(in.Lost, 0))
}

// estimate fills in MOS.
func (q *Quality) estimate() {
	if q.Received == 0 {
		q.MOS = 0
		return
	}
	q.MOS = MOS(q.Codec, float64(q.Lost)/float64(q.Lost+q.Received), time.Duration(q.Jitter*float64(time.Millisecond)))
}

// bufferDelay is what is assumed of the listener's jitter buffer beside the jitter itself, and of the packet's length.
const bufferDelay = 60*time.Millisecond + FrameTime

// MOS estimates a mean opinion score by the E-model of ITU-T G.107 with all its defaults (R0 - Is = 93.2), so that three things
// remain: loss, taken to be random; delay, which is that of packet and buffer since the network's is not known to one end; and
// the codec. G.107, 7.4: Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl + Bpl), for G.711 with concealment Ie = 0 and Bpl = 25.1
// (G.113, appendix I); G.722 is counted as G.711, since the scale of G.107 ends where narrowband is perfect. Delay is the line
// of Cole and Rosenbluth (2001): Id = 0.024 d + 0.11 (d - 177.3) above 177.3 ms. G.107, annex B turns R into the score.
func MOS(codec string, loss float64, jitter time.Duration) float64 {
	ie, bpl := 0.0, 25.1
	if voice := codec == "PCMU" || codec == "PCMA" || codec == "G722" || codec == ""; !voice {
		ie, bpl = 11, 19 // as G.729A: what a codec we do not speak is taken for
	}
	ppl := 100 * min(max(loss, 0), 1)
	d := float64(bufferDelay+2*jitter) / float64(time.Millisecond)
	r := 93.2 - 0.024*d - 0.11*math.Max(0, d-177.3) - (ie + (95-ie)*ppl/(ppl+bpl))
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	}
	return math.Max(1, math.Round(100*(1+0.035*r+r*(r-60)*(100-r)*7e-6))/100)
}

// Quality is the account of a leg up to now; ok is false when none of its media came by here.
func (p *Plane) Quality(id LegID) (q Quality, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[id]
	if l == nil {
		return q, false
	}
	q = l.past
	if l.port != nil {
		q.add(l.port.Counters())
	}
	if l.source != nil {
		q.add(l.source.counters())
	}
	if l.agreedAt.IsZero() || q.Sent+q.Received == 0 {
		return q, false
	}
	q.Codec, q.Duration = l.codec(), time.Since(l.agreedAt)
	q.estimate()
	return q, true
}
