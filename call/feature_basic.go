package call

// basic is the plain call: somebody calls, somebody rings, answers, talks, hangs up.
type basic struct{ abstain }

// arrive makes the leg, party and call of a Setup. Nil if the signal cannot be taken: the id is in use.
func (e *Engine) arrive(driver string, s Setup) *Leg {
	if e.legs[s.Leg] != nil || s.Leg == 0 {
		return nil
	}
	l := &Leg{id: s.Leg, driver: driver, device: s.Device, trunk: s.Trunk, incoming: true, state: LegWaiting, desc: s.Desc, oa: theyOffered, trust: s.Trust}
	if s.Node != "" {
		l.tie = &tie{node: s.Node, behind: s.Lock, far: s.Far, home: e.home()}
	}
	if s.Desc.Kind != KindOffer {
		l.oa, l.desc = theyAsked, Desc{}
	}
	p := &Party{trunk: s.Trunk, identity: s.Calling, dialled: s.Called}
	if d := e.config.devices[s.Device]; d != nil {
		l.policy = e.mediaOf(d)
	}
	if t := e.config.trunks[s.Trunk]; t != nil {
		l.policy = t.Media
	}
	if line := e.config.lineOf(s.Device, s.Line); line != nil {
		p.line, p.identity = line.ID, Identity{Number: line.ID.Number, Display: line.Display, Restricted: s.Calling.Restricted}
	}
	if l.tie != nil {
		e.tied(p, l, s)
	}
	c := e.callFor(s)
	e.addParty(c, p)
	e.addLeg(p, l)
	if l.tie != nil {
		l.sameCall(s.GlobalID)
	}
	l.history.called, l.history.dialled = s.Called, s.Called
	if n := len(s.Redirecting); n > 0 {
		l.seldom().redirecting = &s.Redirecting[n-1]
	}
	if s.Parameters != "" && len(s.Parameters) <= MaxParameters {
		l.seldom().parameters = s.Parameters
	}
	e.emit(LegArrived, c, p, l, CauseNone)
	return l
}

// callFor is the call a Setup belongs to: a new one, or that of the leg it replaces.
func (e *Engine) callFor(s Setup) *Call {
	if old := e.legs[s.Replaces]; old != nil && old.active() && s.Owner == "" {
		return old.party.call
	}
	return e.newCall(s.GlobalID, wish{})
}

func (b basic) signal(e *Engine, l *Leg, s Signal) bool {
	switch s := s.(type) {
	case Setup:
		b.setup(e, l, s)
	case Alerting:
		b.alerting(e, l, s)
	case Progressing:
		b.progressing(e, l, s.Desc)
	case Answered:
		b.answered(e, l, s)
	case Confirmed:
		b.described(e, l, s.Desc)
	case ReofferAnswered:
		b.described(e, l, s.Desc)
	case ReofferRejected:
		switch {
		case !l.active() || l.oa != weOffered && l.oa != weAsked:
		case l.crossed != nil:
			e.giveWay(l)
		default:
			e.rejected(l, s.Cause)
		}
	case Released:
		b.released(e, l, s.Cause)
	}
	return true
}

// described goes on with an exchange within the established session.
func (basic) described(e *Engine, l *Leg, d Desc) {
	if l.active() {
		e.described(l, d)
	}
}

// setup routes a call that came in.
func (basic) setup(e *Engine, l *Leg, s Setup) {
	if l.tie != nil {
		if cause := e.tieAsks(l, s); cause != CauseNone {
			e.leave(l.party, cause)
		}
		return
	}
	if l.party.line.IsZero() && e.config.trunks[l.trunk] == nil && !e.config.emergency(e.clock(), s) {
		e.leave(l.party, CallRejected) // a device may only call from a line it has, and a trunk must be known
		return
	}
	d := dialling{caller: l.party, spaces: e.config.SearchSpaces(l.device, l.party.line, l.trunk),
		called: s.Called, calling: l.party.identity, redirecting: s.Redirecting, hops: e.hopsOf(s)}
	cause := CauseNone
	if len(s.Route) > 0 && l.trunk != "" {
		cause = e.choose(l.party.call, d, s)
	} else {
		cause = e.route(l.party.call, d)
	}
	if cause != CauseNone {
		e.leave(l.party, cause)
	}
}

// hopsOf is how many systems a call that came in may still go through.
func (e *Engine) hopsOf(s Setup) int {
	switch {
	case s.NoHops:
		return 1 // an emergency call, see hopLimit: it goes out with none left
	case s.Hops == 0:
		return e.config.site.Policy.maxHops()
	}
	return s.Hops
}

func (basic) alerting(e *Engine, l *Leg, s Alerting) {
	if l.state != LegOffering {
		return
	}
	l.state, l.history.alerted = LegIsRinging, e.lapse(l)
	if l.party.line.IsZero() {
		e.learn(l, s.Connected)
	}
	l.party.changed()
	e.emit(LegAlerted, l.party.call, l.party, l, CauseNone)
	if from := waitingCaller(l); from != nil && !from.alerted {
		from.alerted = true
		e.tell(from, Alert{from.id, e.alertingIdentity(l.party)})
	}
}

// alertingIdentity is who a caller is told that it rings at.
func (e *Engine) alertingIdentity(p *Party) Identity {
	if p.offering != nil && p.offering.hunt != nil {
		return p.offering.hunt.identity // who of the group it is shows when somebody has answered
	}
	id := p.identity
	if line := e.config.lines[p.line]; line != nil {
		id.Display = orDefault(line.Alerting, id.Display)
	}
	return id
}

// learn takes over what a trunk, or another node, says about who is there.
func (e *Engine) learn(l *Leg, id Identity) {
	p := l.party
	switch {
	case id == Identity{}:
	case l.tie != nil: // in numbers of this site
		p.identity = id
	case p.trunk != "":
		if t := e.config.trunks[p.trunk]; t != nil {
			id.Number = e.config.incomingCalling(t, id.Number)
		}
		p.identity = id
	}
}

// waitingCaller is the leg of the party that calls l's party, if it waits for our answer.
func waitingCaller(l *Leg) *Leg {
	if l.party.offering == nil {
		return nil
	}
	if from := l.party.offering.caller.wire(); from != nil && from.state == LegWaiting {
		return from
	}
	return nil
}

// progressing passes early media on, if it is plain whose: with several legs ringing the caller hears ringing.
func (basic) progressing(e *Engine, l *Leg, d Desc) {
	from := waitingCaller(l)
	if from == nil || !l.ringing() {
		return
	}
	if from.early == l.id && d.Kind == KindAnswer && d.Ref != l.desc.Ref {
		// Another announcement, or a gateway that found the phone: the caller has an answer and ignores others (RFC 3261,
		// 13.2.1), so that the settling after the 200 makes it good.
		l.desc, from.hears = d, feed{}
		return
	}
	others := 0
	for _, p := range from.party.call.parties {
		if p.offering == nil || p.offering.caller != from.party {
			continue
		}
		for _, o := range p.legs {
			if o != l && o.onWire() {
				others++
			}
		}
	}
	if d.Kind != KindAnswer || from.oa != theyOffered || from.early != 0 || l.oa != weOffered || others > 0 {
		if l.oa != stable {
			e.tell(from, Progress{Leg: from.id})
		}
		return
	}
	l.desc, l.oa = d, stable
	if l.told.Treatment == Source {
		e.mixEarly(from, l)
		return
	}
	m, cause := e.passBack(from, l, l.told.Treatment)
	switch {
	case cause == CauseNone:
	case l.putUpWith(cause):
		e.tell(from, Progress{Leg: from.id})
		return
	default:
		e.drop(l, cause, true)
		e.fail(l.party, cause)
		return
	}
	from.early, from.told = l.id, m
	e.tell(from, Progress{from.id, m})
	e.joined(from, l, m)
}

// answered: the first leg of a party answers. The offering is over.
func (b basic) answered(e *Engine, l *Leg, s Answered) {
	if !l.ringing() {
		return
	}
	if s.Desc.Kind == KindNone && l.oa != stable {
		e.drop(l, ProtocolError, true) // RFC 3261, 13.2.2.4: a 2xx to an INVITE without SDP offer or answer is unusable
		b.legFailed(e, l, ProtocolError)
		return
	}
	from := waitingCaller(l)
	e.learn(l, s.Connected)
	if l.trunk != "" && s.Desc.Kind == KindAnswer {
		e.trunkOf(l.trunk).noEvents = s.Desc.NoEvents
	}
	e.stop(&l.party.offering.ring)
	l.party.came, l.party.offering = l.party.offering.redirecting, nil
	early := l.oa == stable
	switch {
	case early:
		if s.Desc.Kind == KindAnswer && s.Desc.Ref != l.desc.Ref {
			l.desc = s.Desc
			if from != nil && from.early == l.id {
				from.hears = feed{} // it has the early answer: the settling makes a new offer
			}
		}
	case s.Desc.Kind == KindOffer && l.oa == weAsked:
		l.desc, l.oa = s.Desc, weOwe
	default:
		l.desc, l.oa = s.Desc, stable
	}
	e.activate(l)
	if l.told.Kind == KindOffer && l.told.Treatment == Source {
		if l.downgraded() {
			l.why = downgradedWhy
			e.leave(l.party, SecurityMismatch)
			return
		}
		l.hears = feed{kind: feedSource, source: l.told.Source}
		l.protect(l.desc.Security, false)
	}
	if from != nil && from.oa == theyOffered {
		b.answerWaiting(e, from, l)
	}
}

// answerWaiting lets a caller that waits with its offer have the answer of the leg that took it. An answer that went out early cannot
// be taken back (RFC 3261, 13.2.1): if it was another leg's, the settling that follows makes a new offer.
func (basic) answerWaiting(e *Engine, from, l *Leg) {
	if from.early != 0 {
		e.sendAnswer(from, Media{})
		if from.early != l.id && l.told.Treatment != Source {
			l.hears = feed{kind: feedPeer, peer: from.id}
			l.protect(l.desc.Security, l.told.Treatment == Anchored)
		}
		return
	}
	if l.told.Treatment == Source {
		return // they meet in the mixer: the settling answers
	}
	m, cause := e.passBack(from, l, l.told.Treatment)
	switch {
	case cause == CauseNone:
		e.joined(from, l, m)
		e.sendAnswer(from, m)
	case !l.putUpWith(cause):
		e.breakDown(l.party.call, l, cause)
	}
}

// activate makes a leg active. The call counts as answered when a second party is.
func (e *Engine) activate(l *Leg) {
	c := l.party.call
	l.state, l.history.answered = LegIsActive, e.lapse(l)
	if !l.incoming {
		l.history.connected = e.connected(l).Number
	}
	l.party.changed()
	e.expectPackets(l)
	if c.answered.IsZero() && len(c.talkers(l.party)) > 0 {
		c.answered = e.now
		if d := e.config.site.Policy.MaxDuration; d > 0 && !c.emergency {
			e.start(&c.duration, d)
		}
	}
	e.emit(LegActive, c, l.party, l, CauseNone)
}

// connected is who a leg talks to.
func (e *Engine) connected(l *Leg) Identity {
	if s := l.party.stay; s != nil {
		return s.shows
	}
	if c := l.party.call; c.focus || c.room != nil {
		return c.conferenceIdentity()
	}
	for _, p := range l.party.call.parties {
		if p != l.party && p.alive() && !p.guest() && (l.replaces == nil || l.replaces.party != p) {
			return p.identity
		}
	}
	return Identity{}
}

// released: a leg is over by itself.
func (b basic) released(e *Engine, l *Leg, cause Cause) {
	reached := !l.ringing()
	e.drop(l, cause, false)
	if !reached {
		b.legFailed(e, l, cause)
		return
	}
	if l.state == LegIsDropped && l.incoming && l.party.call.answered.IsZero() && cause == NormalClearing {
		cause = CallerCancelled
	}
	e.leave(l.party, cause)
}

// legFailed: a leg that rang is over; the party has failed when it was the last one.
func (basic) legFailed(e *Engine, l *Leg, cause Cause) {
	p := l.party
	if p.offering == nil || p.ringing() {
		if p.offering != nil {
			p.offering.cause = telling(p.offering.cause, cause)
		}
		return
	}
	e.fail(p, telling(p.offering.cause, cause))
}

// failed: nobody had a better idea, so the caller hears why.
func (basic) failed(e *Engine, p *Party, cause Cause) bool {
	caller := p.offering.caller
	e.dropParty(p, cause)
	if caller.call == p.call && caller.alive() {
		e.release(caller, p.lastLeg(), cause)
	}
	return true
}
