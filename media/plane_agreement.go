package media

import (
	"cmp"
	"net/netip"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/wire/sdp"
)

// An Agreement is what the descriptions in force of a leg say of its audio, from its device's point of view.
type Agreement struct {
	Receive, Transmit Way
	// Keys tells keys apart: it is higher for each pair that Agreement has seen; zero: the media is plain RTP.
	Keys uint64
}

// A Way is one direction of a leg's audio. The zero value: nothing goes that way.
type Way struct {
	Addr   netip.AddrPort // where packets go: the device's own address, or where it sends
	Codec  string         // encoding name
	Rate   int            // of its clock, Hz
	Packet int            // milliseconds of speech in a packet
	Suite  sdp.Suite      // NoSuite: plain RTP
}

// IsZero says that nothing goes that way.
func (w Way) IsZero() bool { return w == Way{} }

// Agreement is what a leg's descriptions in force say, and the keys that go with it, as Keys gives them; ok is false when the leg is unknown
// or nothing is agreed.
func (p *Plane) Agreement(id LegID) (a Agreement, k sealed.Keys, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[id]
	if l == nil || l.local == nil || l.in == nil {
		return a, k, false
	}
	ours, theirs := desc.Audio(l.local), desc.Audio(l.in.s)
	if ours == nil || theirs == nil || ours.Rejected() || theirs.Rejected() {
		return a, k, true
	}
	k.Receive, k.Transmit = agreedKeys(ours, theirs)
	if !k.IsZero() {
		if !k.Same(l.keysAt) {
			l.keyed, l.keysAt = l.keyed+1, k
		}
		a.Keys = l.keyed
	}
	codec := commonCodec(ours, theirs)
	our, their := desc.Wanted(l.local, ours), desc.Wanted(l.in.s, theirs)
	if at, known := l.in.s.AddrPort(theirs); known && their.Receives() && our.Sends() {
		a.Receive = Way{at, codec.Name, codec.Rate, cmp.Or(theirs.Ptime, 20), k.Receive.Suite}
	}
	if at, known := l.local.AddrPort(ours); known && their.Sends() && our.Receives() {
		a.Transmit = Way{at, codec.Name, codec.Rate, cmp.Or(ours.Ptime, 20), k.Transmit.Suite}
	}
	return a, k, true
}
