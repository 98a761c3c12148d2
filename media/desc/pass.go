package desc

import (
	"slices"
	"strings"

	"github.com/locktone/locktone/wire/sdp"
)

// Guard is what may be said to and by one leg's peer.
type Guard struct {
	Security Security
	Suites   []sdp.Suite // allowed crypto suites, nil: all
	Codecs   []string    // allowed encodings, nil: all; telephone-event always is
}

func (g Guard) suites() []sdp.Suite {
	if len(g.Suites) == 0 {
		return sdp.Suites()
	}
	return g.Suites
}

// allow keeps the codecs the guard lets pass.
func (g Guard) allow(m *sdp.Media) {
	if len(g.Codecs) == 0 || len(m.Codecs) == 0 {
		return
	}
	m.SetCodecs(g.Only(m.Codecs))
}

// Only is a list of codecs without those the guard does not let pass, in the guard's order: RFC 3264, 5.1 has the first be the one preferred.
func (g Guard) Only(cs []sdp.Codec) []sdp.Codec {
	if len(g.Codecs) == 0 {
		return slices.Clone(cs)
	}
	place := func(c sdp.Codec) int {
		i := slices.IndexFunc(g.Codecs, func(n string) bool { return strings.EqualFold(n, c.Name) })
		if i < 0 && c.IsEvent() {
			return len(g.Codecs)
		}
		return i
	}
	out := slices.DeleteFunc(slices.Clone(cs), func(c sdp.Codec) bool { return place(c) < 0 })
	slices.SortStableFunc(out, func(a, b sdp.Codec) int { return place(a) - place(b) })
	return out
}

// allowKeys keeps the crypto attributes the guard lets pass.
func (g Guard) allowKeys(m *sdp.Media) {
	if g.Security == Forbidden {
		m.Crypto = nil
	}
	suites := g.suites()
	m.Crypto = slices.DeleteFunc(slices.Clone(m.Crypto), func(c sdp.Crypto) bool { return !slices.Contains(suites, c.Suite) })
	m.BadCrypto = nil
}

// Screen applies a guard to an offer that was received: the copy returned has every line that is not allowed refused. It
// is a *Refusal when the offer had lines and no audio is left.
func (g Guard) Screen(offer *sdp.Session) (*sdp.Session, error) {
	s := offer.Clone()
	var why error
	live, audio := false, false
	for i := range s.Media {
		m := &s.Media[i]
		if m.Rejected() {
			continue
		}
		live = true
		if err := g.line(m); err != nil {
			if why == nil || m.Type == "audio" {
				why = err
			}
			*m = m.Refused()
			continue
		}
		audio = audio || m.Type == "audio"
	}
	if live && !audio {
		if why == nil {
			why = refuse(MediaNotAvailable, "the offer has no audio")
		}
		return nil, why
	}
	return s, nil
}

func (g Guard) line(m *sdp.Media) error {
	if !m.IsRTP() {
		if g.Security == Required {
			return refuse(IncompatibleTransport, "SRTP is required, and %q cannot be protected", m.Proto)
		}
		return nil
	}
	if _, err := Select(m, g.Security, g.suites()); err != nil {
		return err
	}
	g.allowKeys(m)
	if g.allow(m); m.Type == "audio" && !hasVoice(m.Codecs) {
		return refuse(IncompatibleFormat, "none of the offered codecs is allowed")
	}
	return nil
}

// Wish narrows a guard for one description: RTP only, SRTP only.
func (g Guard) Wish(plain, secure bool) (Guard, error) {
	switch {
	case plain && g.Security == Required:
		return g, refuse(IncompatibleTransport, "plain RTP is asked for, and the leg's security profile requires SRTP")
	case secure && g.Security == Forbidden:
		return g, refuse(IncompatibleTransport, "SRTP is asked for, and the leg's security profile allows RTP only")
	case plain:
		g.Security = Forbidden
	case secure:
		g.Security = Required
	}
	return g, nil
}

// Pass makes out of a screened description of one leg an offer to another that goes direct: keys inside, transport
// turned to suit the other leg's guard. why is not empty when that cannot be, and says why a relay is needed.
func Pass(s *sdp.Session, from, to Guard) (offer *sdp.Session, why string) {
	offer = s.Clone()
	for i := range offer.Media {
		m := &offer.Media[i]
		if m.Rejected() || !m.IsRTP() {
			if !m.IsRTP() && to.Security == Required {
				*m = m.Refused()
			}
			continue
		}
		reason := passLine(m, from, to)
		switch {
		case reason == "":
		case m.Type == "audio":
			return nil, reason
		default:
			*m = m.Refused()
		}
	}
	return offer, ""
}

func passLine(m *sdp.Media, from, to Guard) (why string) {
	had := len(m.Crypto) > 0
	mustStay := m.IsSecure() || had && from.Security == Required
	to.allowKeys(m)
	switch {
	case to.Security == Required && !had:
		return "one side has RTP only, the other requires SRTP"
	case mustStay && to.Security == Forbidden:
		return "one side has SRTP only, the other RTP only"
	case (mustStay || to.Security == Required) && len(m.Crypto) == 0:
		return "the two sides have no crypto suite in common"
	case to.Security == Required:
		secureProto(m)
	}
	if to.allow(m); m.Type == "audio" && !hasVoice(m.Codecs) {
		return "the two sides have no codec in common"
	}
	return ""
}

func secureProto(m *sdp.Media) {
	switch m.Proto {
	case "RTP/AVP":
		m.Proto = "RTP/SAVP"
	case "RTP/AVPF":
		m.Proto = "RTP/SAVPF"
	}
}

// AnswerFrom answers an offer with the description another party gave, media going direct between the two. match says for
// each line of the offer which line of the party's description belongs to it, -1 for none. The party's description may
// be an answer, which has one key, or an offer of its own; then the suite is chosen by our order, so that both sides of
// two crossing offers come to the same. why is not empty when only a relay could connect the two.
func AnswerFrom(offer, party *sdp.Session, match []int, g Guard) (answer *sdp.Session, why string, err error) {
	answer = party.Clone()
	answer.Media = make([]sdp.Media, len(offer.Media))
	audio := false
	for i := range offer.Media {
		o := &offer.Media[i]
		answer.Media[i] = o.Refused()
		if o.Rejected() || match[i] < 0 || party.Media[match[i]].Rejected() {
			continue
		}
		m := party.Media[match[i]].Clone()
		reason := answerLine(o, &m, g)
		m.HasDir, m.Direction = true, Wanted(party, &m)&Wanted(offer, o).Reverse()
		switch {
		case reason == "":
			answer.Media[i] = m
			audio = audio || m.Type == "audio"
		case m.Type == "audio":
			return nil, reason, nil
		}
	}
	if !audio {
		return nil, "", refuse(MediaNotAvailable, "the other party accepts none of the offered streams")
	}
	return answer, "", nil
}

func answerLine(o, m *sdp.Media, g Guard) (why string) {
	if !o.IsRTP() || !m.IsRTP() {
		if o.Proto != m.Proto {
			return "the two sides have different transports"
		}
		return ""
	}
	wasSecure := m.IsSecure() || len(m.Crypto) > 0
	m.Proto, m.RTCPMux = o.Proto, m.RTCPMux && o.RTCPMux
	if m.Crypto = pickKey(o, m); len(m.Crypto) == 0 && (o.IsSecure() || wasSecure || g.Security == Required) {
		return "one side has SRTP, the other RTP, or they have no crypto suite in common"
	}
	m.SetCodecs(slices.DeleteFunc(slices.Clone(m.Codecs), func(c sdp.Codec) bool { return !slices.ContainsFunc(o.Codecs, c.SameAs) }))
	if m.Type == "audio" && !hasVoice(m.Codecs) {
		return "the two sides have no codec in common"
	}
	return ""
}

// pickKey is the party's key under the tag the offer has for its suite.
func pickKey(o, m *sdp.Media) []sdp.Crypto {
	for _, suite := range sdp.Suites() {
		i := slices.IndexFunc(m.Crypto, func(c sdp.Crypto) bool { return c.Suite == suite })
		if i < 0 {
			continue
		}
		c := m.Crypto[i]
		k := slices.IndexFunc(o.Crypto, func(x sdp.Crypto) bool { return x.Suite == suite && x.Tag == c.Tag })
		if k < 0 {
			k = slices.IndexFunc(o.Crypto, func(x sdp.Crypto) bool { return x.Suite == suite })
		}
		if k >= 0 {
			c.Tag = o.Crypto[k].Tag
			return []sdp.Crypto{c}
		}
	}
	return nil
}

// Arrange fits a description into the m= lines a dialog already has: RFC 3264, 8: lines are never removed and never change
// their place; a slot is used again for the same medium only. match says for each line of the result which line of s it is,
// -1 for none.
func Arrange(s, last *sdp.Session) (out *sdp.Session, match []int) {
	out = s.Clone()
	if last == nil {
		match = make([]int, len(s.Media))
		for i := range match {
			match[i] = i
		}
		return out, match
	}
	out.Media = nil
	used := make([]bool, len(s.Media))
	for k := range last.Media {
		slot := last.Media[k].Refused()
		n := -1
		for i := range s.Media {
			if !used[i] && s.Media[i].Type == slot.Type && !s.Media[i].Rejected() {
				used[i], n, slot = true, i, s.Media[i].Clone()
				break
			}
		}
		out.Media, match = append(out.Media, slot), append(match, n)
	}
	for i := range s.Media {
		if !used[i] && !s.Media[i].Rejected() {
			out.Media, match = append(out.Media, s.Media[i].Clone()), append(match, i)
		}
	}
	return out, match
}

// ByType matches the lines of an offer with those of another description: first audio with first audio, and so on.
func ByType(offer, party *sdp.Session) []int {
	match := make([]int, len(offer.Media))
	used := make([]bool, len(party.Media))
	for i := range offer.Media {
		match[i] = -1
		for k := range party.Media {
			if !used[k] && !party.Media[k].Rejected() && !offer.Media[i].Rejected() && party.Media[k].Type == offer.Media[i].Type {
				match[i], used[k] = k, true
				break
			}
		}
	}
	return match
}

// Limit turns every live line's direction down to at most dir.
func Limit(s *sdp.Session, dir sdp.Direction) {
	if dir == sdp.SendRecv {
		return
	}
	for i := range s.Media {
		if m := &s.Media[i]; !m.Rejected() {
			m.HasDir, m.Direction = true, m.Direction&dir
		}
	}
}

// Audio is the first live audio line, or else the first.
func Audio(s *sdp.Session) *sdp.Media {
	var first *sdp.Media
	for i := range s.Media {
		m := &s.Media[i]
		if m.Type != "audio" {
			continue
		}
		if !m.Rejected() {
			return m
		}
		if first == nil {
			first = m
		}
	}
	return first
}

// SetSecurity changes the policy for what follows.
func (e *Endpoint) SetSecurity(s Security) { e.caps.Security = s }

// SetCodecs changes the codecs for what follows, in the next offer too, with these payload types: for a relay, whose
// codecs are those of the party behind it.
func (e *Endpoint) SetCodecs(cs []sdp.Codec, ptime int) {
	e.caps.Codecs, e.caps.Ptime, e.recode = cs, ptime, true
}
