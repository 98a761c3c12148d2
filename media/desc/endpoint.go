package desc

import (
	"errors"
	"slices"

	"github.com/locktone/locktone/wire/sdp"
)

// ErrPending says that an offer is open in the other direction: RFC 3264, 4 allows one exchange at a time.
var ErrPending = errors.New("desc: an offer of ours waits for its answer")

// ErrNoOffer says that an answer came without an offer.
var ErrNoOffer = errors.New("desc: there is no offer this could answer")

// Offer makes an offer: the first, or one that repeats what is in force with the direction and keys now wanted. RFC
// 3264, 8: number and order of m= lines stay, and so do the payload types.
func (e *Endpoint) Offer() (*sdp.Session, error) {
	m := sdp.Media{Type: "audio", HasDir: true, Direction: e.want, Ptime: e.ptime(), Proto: "RTP/AVP"}
	if e.caps.Security == Required {
		m.Proto = "RTP/SAVP"
	}
	m.SetCodecs(e.caps.codecs())
	suites := e.caps.suites()
	if e.caps.Security == Forbidden {
		suites = nil
	}
	s := &sdp.Session{Conn: e.caps.Conn, Media: []sdp.Media{m}}
	if e.local != nil {
		s, suites = e.again(suites)
	}
	audio := &s.Media[e.stream.Index]
	e.address(audio)
	if err := e.offerKeys(audio, suites); err != nil {
		return nil, err
	}
	e.finish(s)
	e.offered = s
	return s, nil
}

// again is the description in force as a new offer, and the suites it offers: those it had.
func (e *Endpoint) again(suites []sdp.Suite) (*sdp.Session, []sdp.Suite) {
	s := e.local.Clone()
	m := &s.Media[e.stream.Index]
	if m.Rejected() && !e.active {
		m.Type, m.Proto, m.Ptime = "audio", "RTP/AVP", e.ptime()
		if e.caps.Security == Required {
			m.Proto = "RTP/SAVP"
		}
		m.SetCodecs(e.caps.codecs())
	} else {
		suites = nil
		for _, c := range m.Crypto {
			suites = append(suites, c.Suite)
		}
	}
	if e.recode {
		m.SetCodecs(e.caps.codecs())
		m.Ptime = e.ptime()
	}
	m.Direction, m.HasDir = e.want, true
	return s, suites
}

func (e *Endpoint) ptime() int {
	if e.caps.Ptime == 0 {
		return 20
	}
	return e.caps.Ptime
}

func (e *Endpoint) address(m *sdp.Media) {
	m.Port = e.caps.Port
	m.Conn = sdp.Conn{}
	m.RTCP = sdp.RTCP{}
	if e.caps.RTCPPort != 0 && e.caps.RTCPPort != e.caps.Port+1 {
		m.RTCP.Port = e.caps.RTCPPort
	}
}

// offerKeys gives every suite its tag and key. RFC 4568, 5.1.1: the offerer lists by preference.
func (e *Endpoint) offerKeys(m *sdp.Media, suites []sdp.Suite) error {
	m.Crypto = nil
	for i, suite := range suites {
		c, err := e.key(suite)
		if err != nil {
			return err
		}
		c.Tag = i + 1
		m.Crypto = append(m.Crypto, c)
	}
	return nil
}

// key is our key for a suite; it stays until Rekey.
func (e *Endpoint) key(suite sdp.Suite) (sdp.Crypto, error) {
	if c, ok := e.own[suite]; ok {
		return c, nil
	}
	k, err := e.keys.Key(suite)
	if err != nil {
		return sdp.Crypto{}, err
	}
	c := sdp.Crypto{Suite: suite, Key: k}
	e.own[suite] = c
	return c, nil
}

// finish writes the o= line: the version grows exactly when the description differs from the one sent last. RFC 3264, 8.
func (e *Endpoint) finish(s *sdp.Session) {
	s.Origin = e.origin
	Version(s, e.sent)
	e.origin = s.Origin
	e.sent = s
}

// Version sets s's origin version so that it equals the one of last when both say the same, and is one higher otherwise.
func Version(s, last *sdp.Session) {
	if last == nil {
		return
	}
	s.Origin.Version = last.Origin.Version
	if string(s.Bytes()) != string(last.Bytes()) {
		s.Origin.Version++
	}
}

// Answer answers an offer, or refuses it with a *Refusal, after which everything is as before.
func (e *Endpoint) Answer(offer *sdp.Session) (*sdp.Session, error) {
	if e.offered != nil {
		return nil, ErrPending
	}
	if e.local != nil && len(offer.Media) < len(e.local.Media) {
		return nil, refuse(Miscellaneous, "the offer has %d m= lines, the session has %d: lines are never removed (RFC 3264, 8)", len(offer.Media), len(e.local.Media))
	}
	i, got, err := e.choose(offer)
	if err != nil {
		return nil, err
	}
	s := &sdp.Session{Conn: e.caps.Conn, Media: make([]sdp.Media, len(offer.Media))}
	for k := range offer.Media {
		s.Media[k] = offer.Media[k].Refused()
	}
	e.answered = nil
	if err := e.answerLine(&s.Media[i], offer, &offer.Media[i], got); err != nil {
		return nil, err
	}
	e.finish(s)
	e.local, e.remote = s, offer
	e.stream, e.active = agree(i, s, offer, s.Media[i].Crypto, got.crypto), true
	return s, nil
}

// choose finds the audio line to accept: the one in use, or among several the first that can be protected.
func (e *Endpoint) choose(offer *sdp.Session) (i int, a acceptable, err error) {
	var first error
	best := -1
	for k := range offer.Media {
		m := &offer.Media[k]
		if m.Type != "audio" || m.Rejected() {
			continue
		}
		got, err := e.caps.accept(offer, m)
		switch {
		case err != nil:
			if first == nil {
				first = err
			}
		case best < 0, got.secure() && !a.secure():
			best, a = k, got
		}
		if best == k && e.active && k == e.stream.Index {
			return k, got, nil
		}
	}
	if best >= 0 {
		return best, a, nil
	}
	if first == nil {
		first = refuse(MediaNotAvailable, "the offer has no audio")
	}
	return 0, a, first
}

// acceptable is what of an offered line can be accepted.
type acceptable struct {
	codecs []sdp.Codec
	crypto sdp.Crypto // the peer's; zero for plain RTP
}

func (a acceptable) secure() bool { return !a.crypto.IsZero() }

// accept applies capabilities and policy to one offered line.
func (c Caps) accept(s *sdp.Session, m *sdp.Media) (a acceptable, err error) {
	if a.crypto, err = Select(m, c.Security, c.suites()); err != nil {
		return a, err
	}
	if conn := s.ConnOf(m); conn.Type != c.Conn.Type {
		return a, refuse(IncompatibleAddress, "the offer's address is of type %q, ours is %q", conn.Type, c.Conn.Type)
	} else if _, ok := conn.IP(); !ok {
		return a, refuse(IncompatibleAddress, "the offer names a host instead of an address")
	}
	a.codecs = common(m.Codecs, c.codecs())
	if !hasVoice(a.codecs) {
		return a, refuse(IncompatibleFormat, "no codec in common: offered %s, ours are %s", names(m.Codecs), names(c.codecs()))
	}
	return a, nil
}

// Select applies a security policy to an offered line and takes the offerer's first crypto that we can use. The zero
// Crypto means plain RTP.
func Select(m *sdp.Media, sec Security, suites []sdp.Suite) (sdp.Crypto, error) {
	if !m.IsSecure() && !m.IsPlain() {
		return sdp.Crypto{}, refuse(IncompatibleTransport, "the transport %q is not supported", m.Proto)
	}
	if sec == Forbidden {
		if m.IsSecure() {
			return sdp.Crypto{}, refuse(IncompatibleTransport, "SRTP is offered, and the security profile allows RTP only")
		}
		return sdp.Crypto{}, nil
	}
	for _, c := range m.Crypto {
		if slices.Contains(suites, c.Suite) {
			return c, nil
		}
	}
	if m.IsSecure() || sec == Required {
		return sdp.Crypto{}, refuse(IncompatibleTransport, "SRTP is required, and the offer has %s", cryptoState(m))
	}
	return sdp.Crypto{}, nil
}

// cryptoState says in words why no crypto attribute could be used.
func cryptoState(m *sdp.Media) string {
	switch {
	case len(m.BadCrypto) > 0:
		return "only a=crypto that cannot be used: " + slices.Max(m.BadCrypto).String()
	case len(m.Crypto) > 0:
		return "only crypto suites that are not allowed"
	}
	return "no a=crypto"
}

// common is what of an offer we speak, with the offer's payload types and order. RFC 3264, 6.1.
func common(offered, ours []sdp.Codec) (both []sdp.Codec) {
	for _, o := range offered {
		i := slices.IndexFunc(ours, o.SameAs)
		if i < 0 || slices.ContainsFunc(both, o.SameAs) {
			continue
		}
		c := ours[i]
		c.PT = o.PT
		both = append(both, c)
	}
	return both
}

// hasVoice reports whether any codec carries speech: telephone-event and comfort noise alone do not.
func hasVoice(cs []sdp.Codec) bool {
	return slices.ContainsFunc(cs, isVoice)
}

func isVoice(c sdp.Codec) bool { return !c.IsEvent() && c.Name != ComfortNoise }

func names(cs []sdp.Codec) string {
	if len(cs) == 0 {
		return "none that we know"
	}
	s := ""
	for i, c := range cs {
		if i > 0 {
			s += " "
		}
		s += c.Name
	}
	return s
}

func (e *Endpoint) answerLine(m *sdp.Media, offer *sdp.Session, o *sdp.Media, got acceptable) error {
	m.SetCodecs(got.codecs)
	e.address(m)
	m.Ptime = e.ptime()
	m.HasDir, m.Direction = true, e.want&Wanted(offer, o).Reverse()
	if !got.secure() {
		return nil
	}
	c, err := e.key(got.crypto.Suite)
	if err != nil {
		return err
	}
	c.Tag = got.crypto.Tag // RFC 4568, 5.1.2: the answer repeats the tag it accepts
	m.Crypto = []sdp.Crypto{c}
	return nil
}

// Wanted is the direction a description asks for, the old way to hold included: with an unspecified address its writer
// receives nothing. RFC 3264, 8.4.
func Wanted(s *sdp.Session, m *sdp.Media) sdp.Direction {
	if s.ConnOf(m).Unspecified() {
		return m.Direction & sdp.SendOnly
	}
	return m.Direction
}

// agree is the stream two descriptions of one line make. own holds our crypto with the tag of theirs, if any.
func agree(i int, local, remote *sdp.Session, own []sdp.Crypto, theirs sdp.Crypto) Stream {
	l, r := &local.Media[i], &remote.Media[i]
	s := Stream{Index: i, Recv: l.Codecs, Ptime: r.Ptime, Remote: remote.ConnOf(r), RemotePort: r.Port}
	s.RTCP, s.RTCPPort = s.Remote, r.Port+1
	if r.RTCP.Port != 0 {
		s.RTCPPort = r.RTCP.Port
		if !r.RTCP.Conn.IsZero() {
			s.RTCP = r.RTCP.Conn
		}
	}
	if s.Ptime == 0 {
		s.Ptime = 20
	}
	wanted := Wanted(remote, r)
	s.Direction = l.Direction & wanted.Reverse()
	s.Held = !wanted.Receives()
	for _, c := range r.Codecs {
		switch {
		case !slices.ContainsFunc(l.Codecs, c.SameAs):
		case c.IsEvent() && s.SendEvent.Name == "":
			s.SendEvent = c
		case isVoice(c) && s.Send.Name == "":
			s.Send = c
		}
	}
	for _, c := range own {
		if !theirs.IsZero() && c.Tag == theirs.Tag {
			s.Tx, s.Rx = c, theirs
		}
	}
	return s
}

// Accept takes the answer to our offer, or refuses it with a *Refusal; then the session is as it was before the offer.
func (e *Endpoint) Accept(answer *sdp.Session) error {
	if e.offered == nil {
		return ErrNoOffer
	}
	offer := e.offered
	e.offered, e.answered = nil, offer
	if err := ValidateAnswer(offer, answer, e.caps.Security); err != nil {
		return err
	}
	i := e.stream.Index
	m := &answer.Media[i]
	if m.Rejected() {
		return refuse(MediaNotAvailable, "the answer refuses the audio stream")
	}
	if conn := answer.ConnOf(m); conn.Type != e.caps.Conn.Type {
		return refuse(IncompatibleAddress, "the answer's address is of type %q, ours is %q", conn.Type, e.caps.Conn.Type)
	} else if _, ok := conn.IP(); !ok {
		return refuse(IncompatibleAddress, "the answer names a host instead of an address")
	}
	theirs, err := Chosen(&offer.Media[i], m, e.caps.Security)
	if err != nil {
		return err
	}
	e.local, e.remote = offer, answer
	e.stream, e.active = agree(i, offer, answer, offer.Media[i].Crypto, theirs), true
	return nil
}

// Reopen lets the last offer be answered once more: RFC 3261, 13.2.2.4: an INVITE that forks has an answer from every
// branch, and the last one counts. It does nothing once another exchange has begun.
func (e *Endpoint) Reopen() {
	if e.offered == nil {
		e.offered, e.answered = e.answered, nil
	}
}

// Rollback forgets the offer that is open: it was refused (RFC 3261, 14.1: the session goes on as if nothing had been
// asked). The next description still gets a higher version.
func (e *Endpoint) Rollback() { e.offered = nil }
