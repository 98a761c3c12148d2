package call

// makeCall: an application dials for a device. The device rings first; when it answers, the number is called on its behalf
// while it hears ringing.
type makeCall struct{ abstain }

func (makeCall) request(e *Engine, r Request, reply *Reply) bool {
	m, ok := r.(MakeCall)
	if !ok {
		return false
	}
	d, line := e.config.devices[m.Device], e.config.lineOf(m.Device, m.Line)
	switch {
	case d == nil || line == nil:
		reply.Cause, reply.Why = InvalidNumberFormat, "device "+m.Device+" does not exist or does not have that line"
		return true
	case !e.device(m.Device).up:
		reply.Cause, reply.Why = SubscriberAbsent, "device "+m.Device+" is not registered"
		return true
	}
	c := e.newCall("")
	p := &Party{line: line.ID, identity: Identity{Number: line.ID.Number, Display: line.Display}, dial: m.Called}
	p.offering = &offering{dialling: dialling{caller: p, calling: Identity{Number: m.Called}, called: line.ID.Number, hops: e.config.site.Policy.maxHops()}}
	p.offering.ring = timer{kind: timerNoAnswer, call: c, party: p}
	e.addParty(c, p)
	l := &Leg{driver: d.Driver, device: d.Name, policy: d.Media, state: LegOffering, oa: weOffered}
	e.addLeg(p, l)
	l.told = Media{Kind: KindOffer, Treatment: Source, Source: SourceRingback, Dir: SendRecv, Security: l.sourceSecurity()}
	e.tell(l, Ring{Leg: l.id, Call: c.id, Target: Target{Device: d.Name, Line: line.ID, Called: line.ID.Number},
		Calling: Identity{Number: m.Called}, Called: p.identity, Hops: p.offering.hops, Media: l.told})
	e.emit(LegRinging, c, p, l, CauseNone)
	e.start(&p.offering.ring, orDefault(line.NoAnswer, e.config.site.Policy.noAnswer()))
	reply.Call, reply.Leg = c.id, l.id
	return true
}

func (makeCall) signal(e *Engine, l *Leg, s Signal) bool {
	a, ok := s.(Answered)
	p := l.party
	if !ok || p.dial == "" || !l.ringing() || a.Desc.Kind != KindAnswer {
		return false
	}
	basic{}.answered(e, l, a)
	called := p.dial
	p.dial = ""
	cause := e.route(p.call, dialling{caller: p, spaces: e.config.SearchSpaces(l.device, p.line, ""), called: called,
		calling: p.identity, hops: e.config.site.Policy.maxHops()})
	if cause != CauseNone {
		e.leave(p, cause)
	}
	return true
}

// failed: the device that was to make the call does not answer.
func (makeCall) failed(e *Engine, p *Party, cause Cause) bool {
	if p.dial == "" {
		return false
	}
	e.hangUp(p.call, cause)
	return true
}

// dropping ends a leg, party or call for an application.
type dropping struct{ abstain }

func (dropping) request(e *Engine, r Request, reply *Reply) bool {
	d, ok := r.(Drop)
	if !ok {
		return false
	}
	cause := orDefault(d.Cause, NormalClearing)
	l, p, c := e.find(d)
	switch {
	case l != nil:
		reply.Call, reply.Leg = l.party.call.id, l.id
		e.tell(l, Release{Leg: l.id, Cause: cause})
		e.dispatch(l, Released{Leg: l.id, Cause: cause})
	case p != nil:
		reply.Call = p.call.id
		c = p.call
		e.leave(p, cause)
		e.settle(c)
	case c != nil:
		reply.Call = c.id
		e.hangUp(c, cause)
	default:
		reply.Cause, reply.Why = NoSuchCall, "nothing with that id is there to be dropped"
	}
	return true
}

// find is what a Drop is about: the most specific id counts.
func (e *Engine) find(d Drop) (*Leg, *Party, *Call) {
	switch {
	case d.Leg != 0:
		return e.legs[d.Leg], nil, nil
	case d.Party != 0:
		for _, l := range e.legs { // order does not matter: at most one party has the id
			if l.party.id == d.Party {
				return nil, l.party, nil
			}
		}
		return nil, nil, nil
	}
	return nil, nil, e.calls[d.Call]
}
