package desc

import (
	"slices"

	"github.com/locktone/locktone/wire/sdp"
)

// ValidateAnswer checks an answer against the offer it answers and a security policy, line by line: number and order of
// m= lines (RFC 3264, 6), transports, codecs, and keys (RFC 4568, 5.1.3). Rejected lines are fine.
func ValidateAnswer(offer, answer *sdp.Session, sec Security) error {
	if len(offer.Media) != len(answer.Media) {
		return refuse(Miscellaneous, "the answer has %d m= lines, the offer %d (RFC 3264, 6)", len(answer.Media), len(offer.Media))
	}
	for i := range offer.Media {
		o, a := &offer.Media[i], &answer.Media[i]
		if o.Type != a.Type {
			return refuse(Miscellaneous, "m= line %d of the answer is %q, of the offer %q (RFC 3264, 6)", i+1, a.Type, o.Type)
		}
		if a.Rejected() {
			continue
		}
		if o.Rejected() {
			return refuse(Miscellaneous, "the answer accepts m= line %d, which the offer has refused", i+1)
		}
		if _, err := Chosen(o, a, sec); err != nil {
			return err
		}
		if len(o.Codecs) > 0 && !shares(o, a) {
			return refuse(IncompatibleFormat, "the answer's codecs (%s) are none of the offer's (%s)", names(a.Codecs), names(o.Codecs))
		}
	}
	return nil
}

func shares(o, a *sdp.Media) bool {
	for _, c := range a.Codecs {
		if (isVoice(c) || o.Type != "audio") && slices.ContainsFunc(o.Codecs, c.SameAs) {
			return true
		}
	}
	return false
}

// Chosen is the crypto an answered line brings, checked against the offered line: its tag and suite must be of the offer
// and its key the answerer's own. The zero Crypto means plain RTP, which only an offer that allowed it may end in.
func Chosen(o, a *sdp.Media, sec Security) (sdp.Crypto, error) {
	if err := sameTransport(o, a); err != nil {
		return sdp.Crypto{}, err
	}
	if len(a.Crypto) == 0 {
		if o.IsSecure() || a.IsSecure() || o.IsPlain() && sec == Required {
			return sdp.Crypto{}, refuse(IncompatibleTransport, "SRTP is required, and the answer has %s", cryptoState(a))
		}
		return sdp.Crypto{}, nil
	}
	if len(o.Crypto) == 0 {
		if a.IsSecure() {
			return sdp.Crypto{}, refuse(IncompatibleTransport, "the answer has a=crypto, the offer had none")
		}
		return sdp.Crypto{}, nil // RTP/AVP: the attribute means nothing
	}
	c := a.Crypto[0]
	for _, ours := range o.Crypto {
		switch {
		case ours.Tag != c.Tag:
		case ours.Suite != c.Suite:
			return sdp.Crypto{}, refuse(IncompatibleTransport, "the answer's crypto %d is %v, the offer's is %v", c.Tag, c.Suite, ours.Suite)
		case ours.Key.Equal(c.Key):
			return sdp.Crypto{}, refuse(IncompatibleTransport, "the answer repeats the offer's key instead of bringing one of its own")
		default:
			return c, nil
		}
	}
	return sdp.Crypto{}, refuse(IncompatibleTransport, "the answer's crypto tag %d was not offered", c.Tag)
}

// sameTransport lets an answer differ from the offer in one way only: RTP/SAVP for an offer of RTP/AVP with keys.
func sameTransport(o, a *sdp.Media) error {
	if o.Proto == a.Proto || o.IsPlain() && len(o.Crypto) > 0 && a.IsSecure() || o.IsRTP() && withoutFeedback(o.Proto) == withoutFeedback(a.Proto) {
		return nil
	}
	return refuse(IncompatibleTransport, "the answer's transport is %q, the offer's %q", a.Proto, o.Proto)
}

func withoutFeedback(proto string) string {
	if n := len(proto) - 1; n > 0 && proto[n] == 'F' {
		return proto[:n]
	}
	return proto
}
