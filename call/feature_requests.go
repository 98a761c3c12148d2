package call

import "fmt"

// makeCall: an application dials for a device. The device rings first; when it answers, the number is called on its behalf
// while it hears ringing.
type makeCall struct{ abstain }

func (makeCall) request(e *Engine, r Request, reply *Reply) bool {
	m, ok := r.(MakeCall)
	if !ok {
		return false
	}
	if len(m.UserData) > MaxUserData {
		reply.Cause, reply.Why = InvalidNumberFormat, fmt.Sprintf("what is said of the call has %d octets: at most %d are taken", len(m.UserData), MaxUserData)
		return true
	}
	w := wish{called: m.Called, auto: m.Auto, named: named(m.Tag, m.UserData), from: m.From, purpose: PurposeCall}
	if m.Confer {
		w.purpose = PurposeConference
	}
	if m.From != 0 {
		if l := e.activeHere(m.From, reply); l == nil {
			return true
		} else if l.device != m.Device || l.tie != nil {
			reply.Call, reply.Leg = 0, 0
			reply.Cause, reply.Why = WrongCallState, "leg "+m.From.String()+" is not one of device "+m.Device
			return true
		}
	}
	e.ringFirst(m.Device, m.Line, w, reply)
	return true
}

// A wish is what is to be done once a device that was rung for it has answered: a number to be called, or a request.
type wish struct {
	called string
	then   Request // TakeOver, Pickup or Barge; nil calls the number
	auto   bool    // the device is asked to answer by itself
	named  *Named  // what the application calls the call and says of it
	from   LegID   // the leg of the device that it consults somebody for
	// purpose is what observers are told.
	purpose Purpose
}

// named is nil where an application says nothing.
func named(tag uint64, data []byte) *Named {
	if tag == 0 && len(data) == 0 {
		return nil
	}
	return &Named{tag, data}
}

// ringFirst rings a device so that it can have a call of its own.
func (e *Engine) ringFirst(device string, id LineID, w wish, reply *Reply) {
	d, line := e.config.devices[device], e.config.lineOf(device, id)
	switch {
	case d == nil || line == nil:
		reply.Cause, reply.Why = InvalidNumberFormat, "device "+device+" does not exist or does not have that line"
		return
	case !e.device(device).here():
		reply.Cause, reply.Why = SubscriberAbsent, e.whyAbsent(device)
		return
	}
	e.holdOthers(device, nil)
	c := e.newCall("", w)
	p := &Party{line: line.ID, identity: line.identity(),
		errand: &errand{dial: w.called, then: w.then, purpose: w.purpose}}
	if w.then == nil {
		p.dialled = w.called
	}
	p.offering = &offering{dialling: dialling{caller: p, calling: Identity{Number: w.called}, called: line.ID.Number, hops: e.config.site.Policy.maxHops()}}
	p.offering.ring = timer{kind: timerNoAnswer, call: c, party: p}
	e.addParty(c, p)
	l := &Leg{driver: d.Driver, device: d.Name, policy: e.mediaOf(d), state: LegOffering, oa: weOffered, auto: w.auto}
	if w.from != 0 {
		l.seldom().consults = w.from
	}
	e.addLeg(p, l)
	l.told = Media{Kind: KindOffer, Treatment: Source, Source: SourceRingback, Dir: SendRecv, Security: e.sourceSecurity(l)}
	e.tell(l, Ring{Leg: l.id, Call: c.id, Target: Target{Device: d.Name, Line: line.ID, Called: line.ID.Number},
		Calling: Identity{Number: w.called}, Called: p.identity, Hops: p.offering.hops, Media: l.told, AutoAnswer: w.auto})
	e.emit(LegRinging, c, p, l, CauseNone)
	e.start(&p.offering.ring, orDefault(line.NoAnswer, e.config.site.Policy.noAnswer()))
	reply.Call, reply.Leg = c.id, l.id
}

// whyAbsent says why nothing can be asked of a device here.
func (e *Engine) whyAbsent(device string) string {
	if node := e.device(device).node; node != "" {
		return "device " + device + " is registered at node " + node + ", which is to be asked"
	}
	return "device " + device + " is not registered"
}

func (makeCall) signal(e *Engine, l *Leg, s Signal) bool {
	a, ok := s.(Answered)
	p := l.party
	if !ok || p.dial() == "" || !l.ringing() || a.Desc.Kind != KindAnswer {
		return false
	}
	basic{}.answered(e, l, a)
	if !l.active() {
		return true // its answer was not acceptable
	}
	w := wish{called: p.errand.dial, then: p.errand.then}
	p.errand.dial, p.errand.then = "", nil
	if cause := e.fulfil(l, w); cause != CauseNone {
		e.leave(p, cause)
	}
	return true
}

// fulfil does what a device was rung for.
func (e *Engine) fulfil(l *Leg, w wish) Cause {
	switch r := w.then.(type) {
	case Pickup:
		done, cause := e.pickup(l, r)
		return e.refused(l, cause, done.Why)
	case TakeOver:
		done, cause := e.takeOver(l)
		return e.refused(l, cause, done.Why)
	case Barge:
		done, cause := bargeCode(e, l, "")
		return e.refused(l, cause, done.Why)
	}
	return e.route(l.party.call, dialling{caller: l.party, spaces: e.config.SearchSpaces(l.device, l.party.line, ""), called: w.called,
		calling: l.party.identity, hops: e.config.site.Policy.maxHops()})
}

// failed: the device that was to make the call does not answer.
func (makeCall) failed(e *Engine, p *Party, cause Cause) bool {
	if p.dial() == "" {
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
