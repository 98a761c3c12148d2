package call

import "time"

// An oaState is where the offer/answer exchange of one leg stands (RFC 3264; RFC 3261, 13 and 14).
//
//	           Setup, Reoffered with offer            AnswerReoffer / Answer with answer
//	stable ------------------------------> theyOffered ---------------------------------> stable
//	       Setup, Reoffered without             Answer.. with offer            Confirmed
//	       ------------------------------> theyAsked --------------> awaitConfirm -------> stable
//	       Ring, Reoffer with offer                   Answered, ReofferAnswered
//	       ------------------------------> weOffered -----------------------------------> stable
//	       Ring, Reoffer without              Answered.. with offer         Confirm
//	       ------------------------------> weAsked -----------------> weOwe ------------> stable
type oaState uint8

const (
	stable oaState = iota
	theyOffered
	theyAsked
	awaitConfirm
	weOffered
	weAsked
	weOwe
)

// A feed is what a leg hears: another leg, a source of ours, or nothing negotiated yet.
type feed struct {
	kind   feedKind
	peer   LegID
	source string
}

type feedKind uint8

const (
	feedNone feedKind = iota
	feedPeer
	feedSource
)

// A flight is the one offer of a call that is on its way from one leg to another (or from a source of ours to a leg). A call
// has at most one: everything else waits its turn, so that no offer is made of a state that is about to change.
type flight struct {
	from      *Leg // whose offer it is, or who was asked for one (RFC 3725, flow I); nil for an offer of a source of ours
	to        *Leg
	want      feed // what to will hear, when from is nil
	treatment Treatment
}

func (f *flight) idle() bool { return f.to == nil }

// settle brings the media of a call from what is to what should be, one exchange at a time: first the offers that are owed an
// answer, then the legs that hear something else than they should.
func (e *Engine) settle(c *Call) {
	for !c.ended && c.flight.idle() && e.settleOne(c) {
	}
	if !c.ended && c.flight.idle() {
		e.noteMix(c)
	}
}

// settleOne takes one step; it says whether another one may be possible.
func (e *Engine) settleOne(c *Call) bool {
	if e.serveOwed(c, false) || e.serveOwed(c, true) {
		return true
	}
	if c.retry.running() {
		return false
	}
	for _, p := range c.parties {
		l := p.activeLeg()
		if l == nil || l.oa != stable {
			continue
		}
		if w := e.want(l); w.kind != feedNone && w != l.hears && w != l.gaveUp && e.feed(l, w) {
			return true
		}
	}
	return false
}

// serveOwed gives the first leg that can have it the description it is owed. Who asked comes before who was asked: an offer that was
// asked for is for somebody.
func (e *Engine) serveOwed(c *Call, weAskedFor bool) bool {
	for _, p := range c.parties {
		for _, l := range p.legs {
			if (l.oa == weOwe) == weAskedFor && e.owed(l) && e.serve(l) {
				return true
			}
		}
	}
	return false
}

// owed says whether the far end of a leg waits for a description that can be made now.
func (e *Engine) owed(l *Leg) bool {
	switch l.oa {
	case theyOffered, theyAsked, weOwe:
		return l.active() || l.state == LegWaiting && (l.party.stay != nil || len(e.heard(l)) > 0)
	}
	return false
}

// heard are the active legs of the parties a leg is in conversation with.
func (e *Engine) heard(l *Leg) []*Leg {
	all := l.party.call.talkers(l.party)
	if l.replaces == nil {
		return all
	}
	out := all[:0]
	for _, o := range all {
		if o != l.replaces {
			out = append(out, o)
		}
	}
	return out
}

// want is what a leg should hear.
func (e *Engine) want(l *Leg) feed {
	if l.party.held {
		return feed{kind: feedSource, source: SourceSilence}
	}
	if s := l.party.stay; s != nil {
		return feed{kind: feedSource, source: s.source}
	}
	others := e.heard(l)
	for _, o := range others {
		if !o.party.held {
			return feed{kind: feedPeer, peer: o.id}
		}
	}
	if len(others) > 0 {
		return feed{kind: feedSource, source: e.musicOf(others[0])}
	}
	for _, p := range l.party.call.parties {
		if p != l.party && p.ringing() {
			return feed{kind: feedSource, source: SourceRingback}
		}
	}
	return feed{}
}

// musicOf is the source heard by a party that a leg holds: who holds decides.
func (e *Engine) musicOf(holder *Leg) string {
	own := ""
	if d := e.config.devices[holder.device]; d != nil {
		own = d.Music
	}
	if t := e.config.trunks[holder.trunk]; t != nil {
		own = t.Music
	}
	return orDefault(own, e.config.site.Policy.music())
}

// serve gives a leg the description it is owed; false means that it has to wait.
func (e *Engine) serve(l *Leg) bool {
	w := e.want(l)
	peer := e.legs[w.peer]
	switch {
	case w.kind != feedPeer && l.oa == theyAsked:
		return e.offerSource(l, w)
	case w.kind != feedPeer:
		e.answerSource(l, w)
		return true
	case l.oa == theyAsked && peer.oa == weOwe:
		return e.relay(peer, l)
	case l.oa == theyAsked && peer.oa == stable:
		return e.ask(peer, l)
	case l.oa != theyAsked && peer.oa == stable:
		return e.relay(l, peer)
	case l.oa == weOwe && peer.oa == theyAsked:
		return e.relay(l, peer)
	case l.oa == weOwe && peer.oa == weOwe:
		// Both were asked by somebody who is gone; one is answered with silence, the other's offer then goes to it.
		e.answerSource(l, feed{kind: feedSource, source: SourceSilence})
		return true
	case l.active() && l.oa != weOwe && (peer.oa == weOwe || peer.oa == theyOffered):
		// Both sides have made an offer; the one that can be made again gives way.
		e.reject(l, RequestPending)
		return true
	}
	return false
}

// feed begins an exchange of our own that lets a leg hear what it should.
func (e *Engine) feed(l *Leg, w feed) bool {
	if w.kind == feedSource {
		return e.offerSource(l, w)
	}
	peer := e.legs[w.peer]
	if peer == nil || peer.oa != stable {
		return false
	}
	if l.party.call.tries%2 == 1 {
		return e.ask(peer, l) // the other way round may go through
	}
	return e.ask(l, peer)
}

// ask asks from for an offer, to be passed on to to. RFC 3725, 4.1.
func (e *Engine) ask(from, to *Leg) bool {
	from.party.call.flight = flight{from: from, to: to}
	from.oa = weAsked
	e.tell(from, Reoffer{Leg: from.id})
	return true
}

// relay passes from's offer on to to.
func (e *Engine) relay(from, to *Leg) bool {
	c := from.party.call
	m, cause := e.passOn(from, to)
	if cause != CauseNone {
		c.flight = flight{}
		e.refuse(from, cause)
		return true
	}
	c.flight = flight{from: from, to: to, treatment: m.Treatment}
	e.sendOffer(to, m)
	return true
}

// refuse turns down an offer that can go nowhere.
func (e *Engine) refuse(from *Leg, cause Cause) {
	switch {
	case from.oa == theyOffered && from.active():
		e.reject(from, cause)
	case from.replaces != nil:
		e.leave(from.party, cause)
	default:
		e.hangUp(from.party.call, cause)
	}
}

// reject turns down a Reoffered; the session stays as it was, so a resume has not happened.
func (e *Engine) reject(l *Leg, cause Cause) {
	l.oa = stable
	e.tell(l, RejectReoffer{l.id, cause})
	if l.hears == (feed{kind: feedSource, source: SourceSilence}) && !l.party.held {
		e.setHeld(l, true)
	}
}

// offerSource offers a stream of ours to a leg.
func (e *Engine) offerSource(l *Leg, w feed) bool {
	l.party.call.flight = flight{to: l, want: w}
	e.sendOffer(l, Media{Kind: KindOffer, Treatment: Source, Source: w.source, Dir: sourceDirection(w.source), Security: l.sourceSecurity()})
	return true
}

// answerSource answers a leg's offer with a stream of ours.
func (e *Engine) answerSource(l *Leg, w feed) {
	if w.kind == feedNone {
		w = feed{kind: feedSource, source: SourceSilence}
	}
	security, cause := offered(l)
	if cause != CauseNone {
		e.refuse(l, cause)
		return
	}
	if security == SRTPOrRTP {
		security = SRTP
	}
	e.sendAnswer(l, Media{Kind: KindAnswer, Treatment: Source, Ref: l.desc.Ref, Source: w.source, Dir: sourceDirection(w.source), Security: security})
	l.hears = w
	l.protect(security, false)
	if l.replaces != nil { // it has its place, though nobody talks to it: the far end holds
		e.replaced(l)
	}
}

func sourceDirection(source string) Direction {
	switch source {
	case SourceSilence:
		return Inactive
	case SourceRingback, SourceConfirmation:
		return SendRecv
	}
	return SendOnly // music: RFC 3264, 8.4, the held party is told that it is
}

// sendOffer puts an offer into the message that is due on the leg.
func (e *Engine) sendOffer(l *Leg, m Media) {
	switch {
	case l.oa == theyAsked && l.state == LegWaiting:
		l.oa = awaitConfirm
		e.answerCaller(l, m)
	case l.oa == theyAsked:
		l.oa = awaitConfirm
		e.tell(l, AnswerReoffer{l.id, m})
	default:
		l.oa = weOffered
		e.tell(l, Reoffer{l.id, m})
	}
	l.told = m
}

// sendAnswer puts an answer into the message that is due on the leg.
func (e *Engine) sendAnswer(l *Leg, m Media) {
	owe := l.oa
	l.oa = stable
	switch {
	case owe == weOwe:
		e.tell(l, Confirm{l.id, m})
	case l.state == LegWaiting:
		e.answerCaller(l, m)
	default:
		e.tell(l, AnswerReoffer{l.id, m})
	}
	if m.Kind != KindNone {
		l.told = m
	}
}

// answerCaller answers a leg that came in.
func (e *Engine) answerCaller(l *Leg, m Media) {
	e.tell(l, Answer{Leg: l.id, Connected: e.connected(l), Media: m})
	e.activate(l)
}

// described takes the description that ends or goes on with an exchange of the leg: from Answered of an exchange in flight,
// ReofferAnswered or Confirmed.
func (e *Engine) described(l *Leg, d Desc) {
	c := l.party.call
	f := c.flight
	switch {
	case l.oa == weAsked && d.Kind == KindOffer:
		l.oa, l.desc = weOwe, d
		if f.from == l {
			c.flight = flight{} // the settling passes the offer on, if it is still wanted
		}
	case (l.oa == weOffered || l.oa == awaitConfirm) && d.Kind == KindAnswer:
		l.oa, l.desc = stable, d
		if f.to == l {
			c.flight = flight{}
			e.land(f)
		}
	case l.oa == awaitConfirm:
		e.hangUp(c, ProtocolError) // RFC 3261, 13.2.1: the ACK must carry the answer
	case l.oa == weOffered || l.oa == weAsked:
		e.rejected(l, ProtocolError)
	}
}

// land ends a flight: its offer was answered.
func (e *Engine) land(f flight) {
	l := f.to
	if f.from == nil {
		l.hears = f.want
		l.protect(l.desc.Security, false)
		l.party.call.tries = 0
		if l.replaces != nil {
			e.replaced(l)
		}
		return
	}
	m, cause := e.passBack(f.from, l, f.treatment)
	if cause != CauseNone {
		e.hangUp(l.party.call, cause)
		return
	}
	e.sendAnswer(f.from, m)
	e.joined(f.from, l, m)
	l.party.call.tries = 0
	for _, l := range []*Leg{f.from, f.to} {
		if l.replaces != nil {
			e.replaced(l)
		}
	}
}

// joined notes that two legs hear each other by what was just agreed.
func (e *Engine) joined(a, b *Leg, m Media) {
	a.hears = feed{kind: feedPeer, peer: b.id}
	b.hears = feed{kind: feedPeer, peer: a.id}
	a.gaveUp, b.gaveUp = feed{}, feed{}
	anchored := m.Treatment == Anchored
	a.protect(m.Security, anchored)
	b.protect(b.desc.Security, anchored)
}

// protect notes what was agreed about the leg's media.
func (l *Leg) protect(s Security, anchored bool) {
	l.took(anchored)
	if l.security != s || l.anchored != anchored {
		l.security, l.anchored = s, anchored
		l.party.changed()
	}
}

// rejected: the far end refused our offer or our asking.
func (e *Engine) rejected(l *Leg, cause Cause) {
	c := l.party.call
	f := c.flight
	l.oa = stable
	if f.to != l && f.from != l {
		return
	}
	c.flight = flight{}
	switch {
	case f.from == nil:
		e.tryAgain(l, f.want, cause)
	case f.from == l && f.to.oa == theyAsked:
		e.refuseAsking(f.to, cause)
	case f.from == l:
		e.tryAgain(l, e.want(l), cause)
	case f.from.oa == weOwe:
		e.sendAnswer(f.from, silentAnswer(f.from))
		f.from.hears = feed{kind: feedSource, source: SourceSilence}
		e.tryAgain(l, e.want(l), cause)
	default:
		e.refuse(f.from, cause)
	}
}

// refuseAsking turns down a leg that asked for an offer nobody makes.
func (e *Engine) refuseAsking(l *Leg, cause Cause) {
	if l.state == LegWaiting {
		e.refuse(l, cause)
		return
	}
	e.reject(l, cause)
}

func silentAnswer(l *Leg) Media {
	return Media{Kind: KindAnswer, Treatment: Source, Ref: l.desc.Ref, Source: SourceSilence, Security: l.sourceSecurity()}
}

// maxTries is how often an offer of ours is made again before it is given up.
const maxTries = 3

// tryAgain makes an offer of ours again after a while. RFC 3261, 14.1: who chose the Call-ID waits 2.1 to 4 s, the other
// side up to 2 s, in steps of 10 ms; the leg's id stands in for the dice, so that a replay throws the same.
func (e *Engine) tryAgain(l *Leg, w feed, cause Cause) {
	c := l.party.call
	c.tries++
	if cause == RequestPending && c.tries <= maxTries || w.kind == feedPeer && c.tries < maxTries {
		wait := time.Duration(l.id*37%190) * 10 * time.Millisecond
		if !l.incoming {
			wait += 2100 * time.Millisecond
		}
		e.start(&c.retry, wait)
		return
	}
	c.tries = 0
	if w.kind == feedPeer {
		e.hangUp(c, NotAcceptable)
		return
	}
	l.gaveUp = w
}

// ground takes a leg that leaves out of the flight it is part of.
func (e *Engine) ground(l *Leg) {
	c := l.party.call
	if c.flight.from == l || c.flight.to == l {
		c.flight = flight{}
	}
}

// noteMix reports who hears whom, when it has changed.
func (e *Engine) noteMix(c *Call) {
	n := 0
	same := true
	for _, p := range c.parties {
		if edge, ok := e.edge(p.activeLeg()); ok {
			same = same && n < len(c.mix) && c.mix[n] == edge
			n++
		}
	}
	if same && n == len(c.mix) {
		return
	}
	mix := make([]Edge, 0, n)
	for _, p := range c.parties {
		if edge, ok := e.edge(p.activeLeg()); ok {
			mix = append(mix, edge)
		}
	}
	c.mix, c.view = mix, nil
	e.emit(MixChanged, c, nil, nil, CauseNone)
}

// edge is the line of the mix that ends at a leg, if there is one.
func (e *Engine) edge(l *Leg) (Edge, bool) {
	switch {
	case l == nil:
	case l.hears.kind == feedPeer && e.talks(l.hears.peer):
		return Edge{From: l.hears.peer, To: l.id, Mode: MixTalk}, true
	case l.hears.kind == feedSource && l.hears.source != SourceSilence:
		return Edge{Source: l.hears.source, To: l.id, Mode: MixTalk}, true
	}
	return Edge{}, false
}

// talks says whether a leg is there to be heard: active, and not holding.
func (e *Engine) talks(id LegID) bool {
	l := e.legs[id]
	return l != nil && l.active() && !l.party.held
}
