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

func (f *feed) is(w feed) bool { return f != nil && *f == w }

type feedKind uint8

const (
	feedNone feedKind = iota
	feedPeer
	feedSource
)

// A flight is the one offer of a call that is on its way from one leg to another. A call has at most one: what concerns two legs waits
// its turn, so that no offer is made of a state that is about to change. Offers of our own sources concern one leg alone (Leg.coming):
// any number of them may be open, so that a conference of sixteen comes up in the time of one exchange.
type flight struct {
	from      *Leg // whose offer it is, or who was asked for one (RFC 3725, flow I)
	to        *Leg
	treatment Treatment
}

func (f *flight) idle() bool { return f.to == nil }

// settle brings the media of a call from what is to what should be: first the offers that are owed an answer, then the legs that hear
// something else than they should.
func (e *Engine) settle(c *Call) {
	for {
		for !c.ended && e.settleOne(c) {
		}
		if c.ended || !e.guardRoom(c) && !e.guardGuests(c) {
			break
		}
	}
	if !c.ended {
		e.settled(c)
	}
}

// settled tells observers, and phones, what the settling has changed.
func (e *Engine) settled(c *Call) {
	e.noteSilence(c)
	mix := c.quiet() && e.noteMix(c)
	lock := e.noteProtection(c)
	if mix {
		e.emit(MixChanged, c, nil, nil, CauseNone)
	}
	if lock {
		e.emit(ProtectionChanged, c, nil, nil, CauseNone).Why = c.protection.Why
	}
	e.showLocks(c)
	e.sayDigits(c)
}

// quiet says whether no exchange is under way that is about to change who hears whom. Of a mixed call every state is worth telling.
func (c *Call) quiet() bool {
	if !c.flight.idle() {
		return false
	}
	for _, p := range c.parties {
		if l := p.activeLeg(); l != nil && l.coming.kind != feedNone && !c.mixed {
			return false
		}
	}
	return true
}

// settleOne takes one step; it says whether another one may be possible.
func (e *Engine) settleOne(c *Call) bool {
	e.noteConference(c)
	if e.serveOwed(c, false) || e.serveOwed(c, true) {
		return true
	}
	if c.retry.running() && !c.mixed {
		return false
	}
	for _, p := range c.parties {
		l := p.activeLeg()
		if l == nil || l.oa != stable || l.retry.running() {
			continue
		}
		if w, lacks := e.lacks(l); lacks && e.feed(l, w) {
			return true
		}
	}
	return e.bridge(c)
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
		return l.active() || l.state == LegWaiting && (l.party.stay != nil || l.party.call.room != nil || len(e.heard(l)) > 0)
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
	if l.party.call.focus || l.party.guest() {
		return e.mixFor(l)
	}
	others := e.heard(l)
	for _, o := range others {
		switch {
		case o.party.held:
		case l.party.call.mixed:
			return e.mixFor(l)
		default:
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
	if l.party.call.room != nil {
		return feed{kind: feedSource, source: e.config.site.Policy.music()}
	}
	return feed{}
}

// lacks is what a leg should hear, and whether that is something else than it hears: an exchange will see to it.
func (e *Engine) lacks(l *Leg) (w feed, lacks bool) {
	w = e.want(l)
	return w, w.kind != feedNone && w != l.hears && !l.gaveUp.is(w)
}

// standing says whether no exchange of a leg is under way, and none due, that would change what it hears.
func (e *Engine) standing(l *Leg) bool {
	_, lacks := e.lacks(l)
	return l.oa == stable && !lacks
}

// musicOf is the source heard by a party that a leg holds: who holds decides, the line before the device.
func (e *Engine) musicOf(holder *Leg) string {
	if l := e.config.lines[holder.party.line]; l != nil && l.Music != "" {
		return l.Music
	}
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
	switch f := l.party.call.flight; {
	case !f.idle() && (w.kind == feedPeer || f.from == l || f.to == l):
		return false
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
	case (l.oa == weOwe || l.oa == theyOffered) && peer.oa == theyAsked:
		return e.relay(l, peer)
	case l.oa == weOwe && peer.oa == weOwe:
		// Both were asked by somebody who is gone; one is answered with silence, the other's offer then goes to it.
		e.answerSource(l, feed{kind: feedSource, source: SourceSilence})
		return true
	case l.active() && l.oa != weOwe && (peer.oa == weOwe || peer.oa == theyOffered || l.oa == theyAsked && peer.oa == theyAsked):
		// Both sides have made an offer, or wait for one; the one that can be made again gives way.
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
	if peer == nil || peer.oa != stable || !l.party.call.flight.idle() {
		return false
	}
	if l.party.call.tries%2 == 1 && l.replaces == nil {
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
	if cause == CauseNone && m.Treatment == Source {
		cause = SecurityMismatch // only the mixer could bring them together
	}
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
	switch c := from.party.call; {
	case from.oa == theyOffered && from.active():
		e.reject(from, cause)
	case from.replaces != nil || c.mixed || c.room != nil || from.party.guest():
		e.leave(from.party, cause)
	default:
		e.breakDown(from.party.call, from, cause)
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
	l.coming = w
	e.sendOffer(l, Media{Kind: KindOffer, Treatment: Source, Source: w.source, Dir: sourceDirection(w.source), Security: e.sourceSecurity(l),
		Focus: l.party.call.focus})
	return true
}

// answerSource answers a leg's offer with a stream of ours.
func (e *Engine) answerSource(l *Leg, w feed) {
	if w.kind == feedNone {
		w = feed{kind: feedSource, source: SourceSilence}
	}
	security, cause := offered(l)
	if cause == CauseNone && security == RTP && e.sourceSecurity(l) == SRTP {
		cause = SecurityMismatch
	}
	if cause != CauseNone {
		e.refuse(l, cause)
		return
	}
	if security == SRTPOrRTP {
		security = SRTP
	}
	l.protect(security, false)
	e.sendAnswer(l, Media{Kind: KindAnswer, Treatment: Source, Ref: l.desc.Ref, Source: w.source, Dir: sourceDirection(w.source), Security: security,
		Focus: l.party.call.focus})
	l.hears = w
	if l.replaces != nil { // it has its place, though nobody talks to it: the far end holds, or the mixer does
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
	if isMix(source) {
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
	if l.shown = LockUnknown; l.lock() != LockUnknown {
		l.shown, _ = l.party.call.weakest(l)
	}
	a := Answer{Leg: l.id, Connected: e.connected(l), Media: m}
	if l.tie != nil {
		l.shown, _ = l.party.call.weakestBut(l, nil)
		a.GlobalID = l.party.call.globalID
	}
	a.Lock = l.shown
	e.tell(l, a)
	e.activate(l)
}

// described takes the description that ends or goes on with an exchange of the leg: from Answered of an exchange in flight,
// ReofferAnswered or Confirmed.
func (e *Engine) described(l *Leg, d Desc) {
	c := l.party.call
	f := c.flight
	if l.crossed != nil { // a driver that answers ours has to refuse theirs
		l.crossed = nil
		e.tell(l, RejectReoffer{l.id, RequestPending})
	}
	switch {
	case l.oa == weAsked && d.Kind == KindOffer:
		l.oa, l.desc = weOwe, d
		if f.from == l {
			c.flight = flight{} // the settling passes the offer on, if it is still wanted
		}
	case (l.oa == weOffered || l.oa == awaitConfirm) && d.Kind == KindAnswer:
		l.oa, l.desc = stable, d
		switch {
		case l.coming.kind != feedNone:
			e.landSource(l)
		case f.to == l:
			c.flight = flight{}
			e.land(f)
		default:
			l.hears = feed{} // whose offer it has answered is gone
		}
	case l.oa == awaitConfirm && (c.mixed || l.party.guest()):
		e.leave(l.party, ProtocolError)
	case l.oa == awaitConfirm:
		e.breakDown(c, l, ProtocolError) // RFC 3261, 13.2.1: the ACK must carry the answer
	case l.oa == weOffered || l.oa == weAsked:
		e.rejected(l, ProtocolError)
	}
}

// land ends a flight: its offer was answered.
func (e *Engine) land(f flight) {
	l := f.to
	m, cause := e.passBack(f.from, l, f.treatment)
	switch {
	case cause == CauseNone:
	case l.putUpWith(cause):
		return // the offer is still to be answered, and is passed on in another way
	default:
		e.breakDown(l.party.call, l, cause)
		return
	}
	e.joined(f.from, l, m)
	e.sendAnswer(f.from, m)
	l.party.call.tries = 0
	for _, l := range []*Leg{f.from, f.to} {
		if l.replaces != nil {
			e.replaced(l)
		}
	}
}

// landSource ends an exchange of our own: the leg has answered the offer of a source.
func (e *Engine) landSource(l *Leg) {
	w := l.coming
	l.coming, l.hears = feed{}, w
	e.endRetry(l)
	if l.downgraded() {
		l.why = downgradedWhy
		e.leave(l.party, SecurityMismatch)
		return
	}
	l.protect(l.desc.Security, false)
	if isMix(w.source) && !l.desc.Dir.Receives() {
		e.setHeld(l, true) // a phone that has the call on hold says so again; one that receives does not undo what an application has held meanwhile
	}
	if l.replaces != nil {
		e.replaced(l)
	}
}

// joined notes that two legs hear each other by what was just agreed.
func (e *Engine) joined(a, b *Leg, m Media) {
	a.hears = feed{kind: feedPeer, peer: b.id}
	b.hears = feed{kind: feedPeer, peer: a.id}
	a.gaveUp, b.gaveUp = nil, nil
	anchored := m.Treatment == Anchored
	a.protect(m.Security, anchored)
	b.protect(b.desc.Security, anchored)
	if !anchored { // their packets do not come by here any more
		e.heardPackets(a, ProofNone, "")
		e.heardPackets(b, ProofNone, "")
	}
}

// protect notes what was agreed about the leg's media.
func (l *Leg) protect(s Security, anchored bool) {
	l.took(anchored)
	l.history.security = orDefault(s, l.history.security)
	if l.security != s && (l.proof == ProofPlain) == (s == SRTP) {
		l.proof, l.proofWhy = ProofNone, "" // packets of what was agreed before say nothing of this
	}
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
	if l.coming.kind != feedNone {
		e.sourceRejected(l, cause)
		return
	}
	if f.to != l && f.from != l {
		return
	}
	c.flight = flight{}
	switch {
	case f.from == l && f.to.oa == theyAsked:
		e.refuseAsking(f.to, cause)
	case f.from == l && l.hears.is(e.want(l)):
		e.bridgeRefused(l, cause)
	case f.from == l:
		e.tryAgain(l, e.want(l), cause)
	case f.from.replaces != nil && cause != RequestPending:
		e.leave(f.from.party, cause) // whose place it was to take goes on talking
	case f.from.oa == weOwe:
		e.sendAnswer(f.from, e.silentAnswer(f.from))
		f.from.hears = feed{kind: feedSource, source: SourceSilence}
		if cause != RequestPending {
			f.from.bridged = bridged{l.id, maxTries}
		}
		e.tryAgain(l, e.want(l), cause)
	default:
		e.refuse(f.from, cause)
	}
}

// giveWay serves the offer of a far end that crossed one of ours, which the driver has refused, so that it never left: nothing has collided
// on the wire, and nobody has to wait as RFC 3261, 14.1 has it. What we wanted is offered again by the settling, if it is still wanted.
func (e *Engine) giveWay(l *Leg) {
	d := *l.crossed
	l.crossed, l.oa, l.coming = nil, stable, feed{}
	l.told = Media{} // it was not: the same description once more is no refresh of what we told
	e.ground(l)
	hold{}.reoffered(e, l, d)
}

// refuseAsking turns down a leg that asked for an offer nobody makes.
func (e *Engine) refuseAsking(l *Leg, cause Cause) {
	if l.state == LegWaiting {
		e.refuse(l, cause)
		return
	}
	e.reject(l, cause)
}

func (e *Engine) silentAnswer(l *Leg) Media {
	return Media{Kind: KindAnswer, Treatment: Source, Ref: l.desc.Ref, Source: SourceSilence, Security: e.sourceSecurity(l)}
}

// maxTries is how often an offer of ours is made again before it is given up.
const maxTries = 3

// backOff is how long an offer of ours waits after a collision. RFC 3261, 14.1: who chose the Call-ID waits 2.1 to 4 s, the other
// side up to 2 s, in steps of 10 ms; the leg's id stands in for the dice, so that a replay throws the same.
func (l *Leg) backOff() time.Duration {
	wait := time.Duration(l.id*37%190) * 10 * time.Millisecond
	if !l.incoming {
		wait += 2100 * time.Millisecond
	}
	return wait
}

// sourceRejected: the far end refused a source of ours. Who cannot be mixed has no place in a conference, and the others go on without it.
func (e *Engine) sourceRejected(l *Leg, cause Cause) {
	w := l.coming
	l.coming = feed{}
	if l.retry == nil {
		l.retry = &retry{timer: timer{kind: timerRetry}}
	}
	l.retry.tries++
	if cause == RequestPending && l.retry.tries <= maxTries {
		l.retry.call = l.party.call
		e.start(&l.retry.timer, l.backOff())
		return
	}
	l.retry = nil
	if isMix(w.source) && !l.party.guest() && l.party.call.dismiss(e, NotAcceptable) {
		return // it goes on as it was before somebody joined
	}
	if isMix(w.source) {
		l.why = "this phone refused the media of the conference"
		e.leave(l.party, NotAcceptable)
		return
	}
	l.gaveUp = &w
}

// endRetry: nothing is to be offered again.
func (e *Engine) endRetry(l *Leg) {
	if l.retry != nil {
		e.stop(&l.retry.timer)
		l.retry = nil
	}
}

// tryAgain makes an offer of ours again after a while.
func (e *Engine) tryAgain(l *Leg, w feed, cause Cause) {
	c := l.party.call
	c.tries++
	if cause == RequestPending && c.tries <= maxTries || w.kind == feedPeer && c.tries < maxTries {
		e.again(c, l.backOff())
		return
	}
	c.tries = 0
	if w.kind == feedPeer {
		for _, p := range c.parties {
			if o := p.wire(); o != nil && o.replaces != nil { // who cannot take the place of another one has not come
				e.leave(p, cause)
				return
			}
		}
		e.bereft(c, l, NotAcceptable)
		return
	}
	if !isMix(w.source) {
		l.gaveUp = &w
	}
}

// ground takes a leg that leaves out of the flight it is part of.
func (e *Engine) ground(l *Leg) {
	c := l.party.call
	if c.flight.from == l || c.flight.to == l {
		c.flight = flight{}
	}
}

// noteMix notes who hears whom; it says whether that has changed.
func (e *Engine) noteMix(c *Call) bool {
	n := 0
	same := true
	for _, p := range c.parties {
		if edge, ok := e.edge(p.activeLeg()); ok {
			same = same && n < len(c.mix) && c.mix[n] == edge
			n++
		}
	}
	if same && n == len(c.mix) {
		return false
	}
	mix := make([]Edge, 0, n)
	for _, p := range c.parties {
		if edge, ok := e.edge(p.activeLeg()); ok {
			mix = append(mix, edge)
		}
	}
	c.mix, c.view = mix, nil
	return true
}

// edge is the line of the mix that ends at a leg, if there is one.
func (e *Engine) edge(l *Leg) (Edge, bool) {
	switch {
	case l == nil:
	case l.hears.kind == feedPeer && e.talks(l.hears.peer):
		return Edge{From: l.hears.peer, To: l.id, Mode: MixTalk}, true
	case l.hears.kind == feedSource && l.hears.source != SourceSilence:
		if l.party.listens() {
			return Edge{Source: l.hears.source, To: l.id, Mode: MixListen}, true
		}
		return Edge{Source: l.hears.source, To: l.id, Mode: MixTalk}, true
	}
	return Edge{}, false
}

// talks says whether a leg is there to be heard: active, and not holding.
func (e *Engine) talks(id LegID) bool {
	l := e.legs[id]
	return l != nil && l.active() && !l.party.held
}

// again has an offer that failed made again after a while.
func (e *Engine) again(c *Call, after time.Duration) {
	if c.retry == nil {
		c.retry = &timer{kind: timerRetry, call: c}
	}
	e.start(c.retry, after)
}
