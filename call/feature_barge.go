package call

import "strconv"

// barge lets a device join the call that another appearance of a line it shares has: by an application (Barge), by the code its user
// dials, or by SIP's own way, an INVITE with Join (RFC 3911). The call is a conference from then on. A device whose user wants privacy
// does not let anybody in.
type barge struct{ abstain }

// bargeCode joins the call that another phone has on the line that was dialled from.
func bargeCode(e *Engine, l *Leg, _ string) (Done, Cause) {
	target, cause, why := e.bargeTarget(l.device, l.party.line)
	if x := e.afarLeg(l.party.line, l.device, ThingActive, ThingHeld); cause == NoSuchCall && x != nil {
		return e.askFor(l, x, Ask{Thing: ThingActive, Join: x.Leg})
	}
	if cause == CauseNone {
		cause, why = e.mayBarge(l, target.party.call)
	}
	if cause != CauseNone {
		return Done{Why: why}, cause
	}
	e.explainFeature("barge", "the caller comes into the call that %s has with %s; all of them are in a conference then", target.end(), e.explainTalkers(target))
	old := l.party.call
	e.move(l.party, target.party.call)
	e.hangUp(old, NormalClearing)
	e.barged(l)
	return Done{Taken: true}, CauseNone
}

// bargeTarget is the leg whose call a device joins: of those that other devices have on the line, the first that is not private.
func (e *Engine) bargeTarget(device string, id LineID) (*Leg, Cause, string) {
	line := e.config.lines[id]
	if line == nil {
		return nil, NoSuchCall, "there is no line " + id.String()
	}
	private := ""
	for _, a := range line.Appearances {
		if a.Device == device {
			continue
		}
		for _, o := range e.device(a.Device).legs {
			switch {
			case o.party.line != id || !o.active() || o.party.stay != nil || o.party.guest() || o.replaces != nil || o.left():
			case e.isPrivate(a.Device):
				private = a.Device
			default:
				return o, CauseNone, ""
			}
		}
	}
	if private != "" {
		return nil, CallRejected, "the call on " + private + " is private"
	}
	return nil, NoSuchCall, "no other phone has a call on line " + id.Number
}

// mayBarge says whether a leg may come into a call, and if not, why.
func (e *Engine) mayBarge(l *Leg, c *Call) (Cause, string) {
	if c.meets() {
		return FacilityRejected, "a meet-me conference is entered by its number"
	}
	if most := e.config.site.Policy.maxParties(); len(c.parties) >= most {
		return ResourceUnavailable, "the call has " + strconv.Itoa(most) + " parties already"
	}
	return e.mayMeet(l, c)
}

// barged reports that a leg has joined the call of a line it shares.
func (e *Engine) barged(l *Leg) { e.emit(Barged, l.party.call, l.party, l, CauseNone) }

// joins is the leg whose call a leg that comes in may join. RFC 3911, 4: only who is authorized to; here that is a device that shares the
// line, while the call is not private.
func (e *Engine) joins(s Setup, line LineID) (*Leg, Cause, string) {
	o := e.legs[s.Join]
	switch {
	case o == nil || !o.active() || o.party.stay != nil || o.party.guest():
		return nil, NoSuchCall, "Join names no call that is there" // RFC 3911, 4: 481
	case s.Device == "" || line.IsZero() || o.party.line != line || o.device == s.Device:
		return nil, CallRejected, "only a phone that shares the line may join its calls"
	case e.isPrivate(o.device):
		return nil, CallRejected, "the call on " + o.device + " is private"
	}
	return o, CauseNone, ""
}

func (b barge) signal(e *Engine, l *Leg, s Signal) bool {
	switch s := s.(type) {
	case Setup:
		return s.Join != 0 && s.Replaces == 0 && b.setup(e, l, s) // RFC 3911, 4: Join and Replaces in one request contradict each other
	case Answered:
		if l.joining() && !l.party.guest() && (s.Desc.Kind != KindNone || l.oa == stable) {
			e.barged(l)
		}
	case Released:
		if l.joining() && !l.party.guest() {
			e.drop(l, s.Cause, false)
			e.leave(l.party, s.Cause)
			return true
		}
	}
	return false
}

// joining says whether a leg was rung to join a call, and has not answered yet.
func (l *Leg) joining() bool { return l.ringing() && l.party.offering != nil && l.party.offering.joins }

// setup is an INVITE with Join.
func (barge) setup(e *Engine, l *Leg, setup Setup) bool {
	if setup.Owner != "" {
		e.askOwner(l, setup, Ask{Thing: ThingActive, Join: setup.Join})
		return true
	}
	o, cause, why := e.joins(setup, l.party.line)
	if cause == CauseNone {
		cause, why = e.mayBarge(l, o.party.call)
	}
	if cause != CauseNone {
		l.why = why
		e.leave(l.party, cause)
		return true
	}
	old := l.party.call
	e.move(l.party, o.party.call)
	e.hangUp(old, NormalClearing)
	e.barged(l)
	return true
}

func (barge) request(e *Engine, r Request, reply *Reply) bool {
	if d, ok := r.(Redirect); ok && e.legs[d.Leg] != nil && e.legs[d.Leg].joining() {
		reply.Cause, reply.Why = FacilityRejected, "leg "+d.Leg.String()+" is being asked to join a call: it may be dropped, not sent elsewhere"
		return true
	}
	b, ok := r.(Barge)
	if !ok {
		return false
	}
	d, line := e.config.devices[b.Device], e.config.lineOf(b.Device, b.Line)
	switch {
	case d == nil || line == nil:
		reply.Cause, reply.Why = InvalidNumberFormat, "device "+b.Device+" does not exist or does not have that line"
		return true
	case !e.device(b.Device).here():
		reply.Cause, reply.Why = SubscriberAbsent, e.whyAbsent(b.Device)
		return true
	}
	target, cause, why := e.bargeTarget(b.Device, line.ID)
	if cause == NoSuchCall && e.afarLeg(line.ID, d.Name, ThingActive, ThingHeld) != nil {
		e.ringFirst(d.Name, line.ID, wish{called: "barge", then: b, auto: true, purpose: PurposeBarge}, reply) // it asks for the call when it has answered
		return true
	}
	l := &Leg{driver: d.Driver, device: d.Name, policy: e.mediaOf(d)}
	if cause == CauseNone {
		cause, why = e.mayBarge(l, target.party.call)
	}
	if cause != CauseNone {
		reply.Cause, reply.Why = cause, why
		return true
	}
	e.ringIn(target, line, l)
	reply.Call, reply.Leg = l.party.call.id, l.id
	return true
}

// ringIn rings a device that is to join a call; it is asked to answer by itself, since its user wants to be in.
func (e *Engine) ringIn(target *Leg, line *Line, l *Leg) {
	c := target.party.call
	p := &Party{line: line.ID, identity: line.identity(), called: line.ID.Number, errand: &errand{purpose: PurposeBarge}}
	p.offering = &offering{joins: true, dialling: dialling{caller: target.party, calling: c.conferenceIdentity(), called: line.ID.Number,
		hops: e.config.site.Policy.maxHops()}}
	p.offering.ring = timer{kind: timerNoAnswer, call: c, party: p}
	e.addParty(c, p)
	l.state, l.oa = LegOffering, weOffered
	e.addLeg(p, l)
	security := e.sourceSecurity(l)
	if e.mustMatch(l, c) {
		security = SRTP
	}
	l.told = Media{Kind: KindOffer, Treatment: Source, Source: c.mixName(false), Dir: SendRecv, Security: security, Focus: true}
	e.tell(l, Ring{Leg: l.id, Call: c.id, Target: Target{Device: l.device, Line: line.ID, Called: line.ID.Number},
		Calling: p.offering.calling, Called: p.identity, Hops: p.offering.hops, Media: l.told, GlobalID: c.globalID, AutoAnswer: true})
	e.emit(LegRinging, c, p, l, CauseNone)
	e.start(&p.offering.ring, orDefault(line.NoAnswer, e.config.site.Policy.noAnswer()))
}

// failed: a device that was to join does not answer; the call goes on without it.
func (barge) failed(e *Engine, p *Party, cause Cause) bool {
	if !p.offering.joins {
		return false
	}
	e.leave(p, cause)
	return true
}
