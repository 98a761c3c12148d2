package media

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/relay"
	"github.com/locktone/locktone/wire/sdp"
)

// Make makes the description to send to the peer of leg `to`: an answer if the leg has an offer open, otherwise an offer.
// Every description for one leg has the same session id, and a version that grows exactly when something changed. Errors
// are *NeedsAnchor (only with Direct) and *desc.Refusal; then nothing has changed. An offer made while another is open takes its place.
func (p *Plane) Make(to LegID, o Order) (text []byte, kind Kind, err error) {
	defer p.closeStreams()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[to]
	if l == nil {
		return nil, None, fmt.Errorf("%w: %d", ErrNoLeg, to)
	}
	if o.Kind == Answer && l.open == nil && l.out == nil && l.done != nil {
		l.open = l.done // another answer in place of the one given before, as in a 200 after a 183
		defer func() { l.open = nil }()
	}
	if kind = l.due(); o.Kind != None && o.Kind != kind {
		if o.Kind == Answer {
			return nil, None, ErrNoOpen
		}
		return nil, None, ErrGlare
	}
	if out := l.out; out != nil {
		l.out = nil
		p.abandon(l, out)
	}
	s, err := p.make(l, o)
	if err != nil {
		return nil, None, err
	}
	return s.Bytes(), kind, nil
}

// due is what the leg's state asks for.
func (l *leg) due() Kind {
	if l.open != nil {
		return Answer
	}
	return Offer
}

func (p *Plane) make(l *leg, o Order) (*sdp.Session, error) {
	g, err := l.prof.guard().Wish(o.Security == WantRTP, o.Security == WantSRTP)
	if err != nil {
		return nil, err
	}
	if o.Treatment == Sourced {
		return p.makeSourced(l, o, g)
	}
	e := p.refs[o.Ref]
	if e == nil && !(o.Ref == 0 && o.Treatment == Anchored) {
		return nil, fmt.Errorf("%w: %d", ErrNoRef, o.Ref)
	}
	if o.Treatment == Anchored || e != nil && (l.prof.Anchor || e.leg.prof.Anchor) {
		return p.makeAnchored(l, e, o, g)
	}
	s, err := p.makeDirect(l, e, o, g)
	var anchor *NeedsAnchor
	if o.Treatment == Auto && errors.As(err, &anchor) {
		return p.makeAnchored(l, e, o, g)
	}
	return s, err
}

func (p *Plane) makeDirect(l *leg, e *entry, o Order, g desc.Guard) (*sdp.Session, error) {
	if l.open != nil {
		return p.answerDirect(l, e, o, g)
	}
	s, why := desc.Pass(e.s, e.leg.prof.guard(), g)
	if why != "" {
		return nil, &NeedsAnchor{why}
	}
	desc.Limit(s, o.Dir)
	s, match := desc.Arrange(s, l.sent)
	l.out = &outgoing{match: match, lines: len(e.s.Media), from: e.ref, how: wayDirect, peer: e.leg.id}
	return p.offer(l, s), nil
}

// offer finishes l.out.
func (p *Plane) offer(l *leg, s *sdp.Session) *sdp.Session {
	l.finish(s)
	l.out.s, l.done, l.was = s, nil, nil
	return s
}

// finish writes the o= line of the leg. RFC 3264, 8: the version grows by one exactly when something changed.
func (l *leg) finish(s *sdp.Session) {
	s.Origin, s.Name = l.origin, ""
	desc.Version(s, l.sent)
	l.origin.Version = s.Origin.Version
	l.sent = s
}

func (p *Plane) answerDirect(l *leg, e *entry, o Order, g desc.Guard) (*sdp.Session, error) {
	match := desc.ByType(l.open.s, e.s)
	if e.offer == l.open.ref && e.match != nil {
		match = invert(e.match, len(l.open.s.Media))
	}
	s, why, err := desc.AnswerFrom(l.open.s, e.s, match, g)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, &NeedsAnchor{why}
	}
	desc.Limit(s, o.Dir)
	p.answered(l, s, wayDirect, e.leg.id)
	return s, nil
}

func invert(match []int, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = -1
	}
	for slot, i := range match {
		if i >= 0 && i < n {
			out[i] = slot
		}
	}
	return out
}

// answered puts our answer in force.
func (p *Plane) answered(l *leg, s *sdp.Session, how way, peer LegID) {
	l.finish(s)
	open := l.open
	l.open, l.done, l.was = nil, open, nil
	p.agreed(l, s, open, how, peer)
}

// makeAnchored puts a port of ours in the place of the party that sent e; without e it speaks for nobody yet.
func (p *Plane) makeAnchored(l *leg, e *entry, o Order, g desc.Guard) (*sdp.Session, error) {
	if err := p.openPort(l); err != nil {
		return nil, err
	}
	peer, want := o.Peer, sdp.SendRecv
	if e != nil {
		peer = e.leg.id
		if m := desc.Audio(e.s); m != nil {
			want = desc.Wanted(e.s, m)
			allowed := g.Only(m.Codecs)
			if len(m.Codecs) > 0 && len(allowed) == 0 {
				return nil, &desc.Refusal{Code: desc.IncompatibleFormat, Text: fmt.Sprintf("the other side speaks none of %s, which are the codecs of this one", strings.Join(g.Codecs, ", "))}
			}
			l.portE.SetCodecs(withEvents(allowed), m.Ptime)
		}
	}
	l.portE.SetSecurity(g.Security)
	l.portE.SetDirection(want & o.Dir)
	s, err := p.negotiate(l, l.portE, wayAnchored, peer, e)
	if err != nil && l.how != wayAnchored && !l.portWaits() {
		p.releasePort(l)
	}
	return s, err
}

// negotiator is an end of ours: a relay port's or a source's.
type negotiator interface {
	Offer() (*sdp.Session, error)
	Answer(*sdp.Session) (*sdp.Session, error)
}

// negotiate has an end of ours answer the open offer, or make one.
func (p *Plane) negotiate(l *leg, n negotiator, how way, peer LegID, e *entry) (*sdp.Session, error) {
	if l.open != nil {
		s, err := n.Answer(l.open.s)
		if err != nil {
			return nil, err
		}
		s = s.Clone()
		if how == wayAnchored {
			if err := p.setPort(l); err != nil {
				return nil, err
			}
		}
		p.answered(l, s, how, peer)
		return s, nil
	}
	own, err := n.Offer()
	if err != nil {
		return nil, err
	}
	s, match := desc.Arrange(own, l.sent)
	l.out = &outgoing{match: match, lines: len(own.Media), how: how, peer: peer}
	if e != nil && how == wayAnchored {
		l.out.from = e.ref
	}
	if how == wayAnchored {
		l.peer = peer
	}
	return p.offer(l, s), nil
}

func (p *Plane) openPort(l *leg) error {
	if l.port != nil {
		return nil
	}
	if p.engine == nil {
		threads := 0
		if p.cfg.Ports.Network() != nil {
			threads = -1
		}
		engine, err := relay.Start(relay.Config{Threads: threads})
		if err != nil {
			return err
		}
		p.engine, p.own = engine, true
	}
	port, err := p.engine.Open(p.cfg.Bind, p.cfg.Ports, l.prof.Latching)
	if err != nil {
		return fmt.Errorf("media: no port to anchor leg %d: %w", l.id, err)
	}
	caps := desc.Caps{Suites: l.prof.Suites, Security: l.prof.Security, Conn: sdp.ConnOf(p.cfg.Announce), Port: port.Number()}
	l.port, l.portE = port, desc.NewEndpoint(caps, l.origin.ID, p.cfg.Keys)
	return nil
}

// setPort puts what the port's end has agreed in force.
func (p *Plane) setPort(l *leg) error {
	n, ok := l.portE.Stream()
	if !ok {
		return nil
	}
	now := time.Now()
	l.watch.restart(now)
	return l.port.Set(now, side(n))
}

func side(n desc.Stream) relay.Side {
	s := relay.Side{Rx: n.Rx, Tx: n.Tx, Rate: n.Send.Rate, Mute: !n.Direction.Sends()}
	s.Remote, s.RemoteRTCP = addrPort(n.Remote, n.RemotePort), addrPort(n.RTCP, n.RTCPPort)
	return s
}

// connect joins two anchored legs that are to hear each other.
func (p *Plane) connect(l *leg) {
	other := p.legs[l.peer]
	if other != nil && other.port != nil && l.port != nil && other.peer == l.id {
		p.interwork(l, other)
		p.interwork(other, l)
		relay.Connect(l.port, other.port)
	}
}

// AnswerLocal answers the leg's open offer without asking anybody: with what the leg was sent last, the direction turned
// to suit the offer. hold makes it inactive: right when the party at the other end is given music meanwhile. For session
// refreshes (RFC 4028) and for holding.
func (p *Plane) AnswerLocal(to LegID, hold bool) ([]byte, error) {
	defer p.closeStreams()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[to]
	if l == nil {
		return nil, fmt.Errorf("%w: %d", ErrNoLeg, to)
	}
	if l.open == nil {
		return nil, ErrNoOpen
	}
	dir := sdp.SendRecv
	if hold {
		dir = sdp.Inactive
	}
	return p.answerLocal(l, dir)
}

// ErrOtherEnd says that an offer changes something the party at the other end must know.
var ErrOtherEnd = errors.New("media: the offer changes address, keys or codecs of media that go directly to the other end, which must be asked")

// AnswerAlone is AnswerLocal where the party at the other end need not know of the offer: a port or source of ours stands
// between, or address, keys and codecs stay as they are. Otherwise the error is ErrOtherEnd.
func (p *Plane) AnswerAlone(to LegID) ([]byte, error) {
	defer p.closeStreams()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[to]
	switch {
	case l == nil:
		return nil, fmt.Errorf("%w: %d", ErrNoLeg, to)
	case l.open == nil:
		return nil, ErrNoOpen
	case l.how == wayDirect && (l.in == nil || !sameMedia(l.open.s, l.in.s)):
		return nil, ErrOtherEnd
	}
	return p.answerLocal(l, sdp.SendRecv)
}

// sameMedia tells whether two descriptions differ in nothing but direction and version.
func sameMedia(a, b *sdp.Session) bool {
	a, b = a.Clone(), b.Clone()
	a.Origin = b.Origin
	for _, s := range []*sdp.Session{a, b} {
		for i := range s.Media {
			s.Media[i].HasDir, s.Media[i].Direction = true, sdp.SendRecv
		}
	}
	return string(a.Bytes()) == string(b.Bytes())
}

func (p *Plane) answerLocal(l *leg, dir sdp.Direction) ([]byte, error) {
	if l.local == nil {
		return nil, fmt.Errorf("media: leg %d was never sent a description, so there is none to repeat", l.id)
	}
	s, err := p.answerKept(l, dir)
	if err != nil {
		return nil, err
	}
	return s.Bytes(), nil
}

// answerKept answers with the description in force.
func (p *Plane) answerKept(l *leg, dir sdp.Direction) (*sdp.Session, error) {
	switch {
	case l.how == wayAnchored && l.portE != nil:
		l.portE.SetDirection(dir)
		return p.negotiate(l, l.portE, wayAnchored, l.peer, nil)
	case l.how == waySourced && l.source != nil:
		l.source.SetDirection(dir)
		return p.negotiate(l, streamEnd{l.source}, waySourced, 0, nil)
	}
	kept := l.local.Clone()
	for i := range kept.Media {
		kept.Media[i].Direction = sdp.SendRecv // what was limited by an earlier hold
	}
	s, why, err := desc.AnswerFrom(l.open.s, kept, desc.ByType(l.open.s, kept), l.prof.guard())
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, &NeedsAnchor{why}
	}
	desc.Limit(s, dir)
	p.answered(l, s, l.how, l.peer)
	return s, nil
}

// OfferAgain is the description in force as a new offer: for session refreshes we send, and for a re-INVITE that came
// without one. The version stays when the text is the same.
func (p *Plane) OfferAgain(to LegID) ([]byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.legs[to]
	switch {
	case l == nil:
		return nil, fmt.Errorf("%w: %d", ErrNoLeg, to)
	case l.open != nil || l.out != nil:
		return nil, ErrGlare
	case l.local == nil:
		return nil, fmt.Errorf("media: leg %d was never sent a description, so there is none to repeat", to)
	}
	var s *sdp.Session
	var err error
	switch {
	case l.how == wayAnchored && l.portE != nil:
		s, err = p.negotiate(l, l.portE, wayAnchored, l.peer, nil)
	case l.how == waySourced && l.source != nil:
		if s, err = p.negotiate(l, streamEnd{l.source}, waySourced, 0, nil); err == nil {
			l.out.name = l.name
		}
	default:
		s = l.local.Clone()
		match := make([]int, len(s.Media))
		for i := range match {
			match[i] = i
		}
		l.out = &outgoing{match: match, lines: len(match), how: l.how, peer: l.peer}
		s = p.offer(l, s)
	}
	if err != nil {
		return nil, err
	}
	return s.Bytes(), nil
}

// Last is the description the leg was sent last; ok is false when there was none. For the 200 after a 183 that had it.
func (p *Plane) Last(to LegID) (text []byte, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.legs[to]; l != nil && l.sent != nil {
		return l.sent.Bytes(), true
	}
	return nil, false
}
