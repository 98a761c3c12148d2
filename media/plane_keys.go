package media

import (
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/wire/sdp"
)

// Keys are the SRTP keys that are in force on a leg, as its device uses them; ok is false when the leg is unknown or nothing is agreed,
// and keys are zero when its media is plain RTP. They are for sealing to who is entitled to them, and for nothing else.
func (p *Plane) Keys(id LegID) (k sealed.Keys, ok bool) {
	_, k, ok = p.Agreement(id)
	return k, ok
}

// agreedKeys are the keys of the suite that an offer and its answer agree on. RFC 4568, 5.1.2: the answer has the tag of the line it takes.
func agreedKeys(a, b *sdp.Media) (ofA, ofB sdp.Crypto) {
	if len(a.Crypto) != 1 && len(b.Crypto) != 1 {
		return ofA, ofB
	}
	for _, sameTag := range [...]bool{true, false} {
		for _, x := range a.Crypto {
			for _, y := range b.Crypto {
				if x.Suite == y.Suite && (!sameTag || x.Tag == y.Tag) {
					return x, y
				}
			}
		}
	}
	return ofA, ofB
}
