package call

import "slices"

// drop takes a leg off the wire for good; release says whether its driver must be told.
func (e *Engine) drop(l *Leg, cause Cause, release bool) {
	if l.state == LegIsDropped {
		return
	}
	was := l.view()
	if l.active() {
		l.locked()
	}
	if l.onWire() {
		if release {
			e.tell(l, Release{Leg: l.id, Cause: cause, Why: l.why, ToNumber: l.sendTo()})
		}
		e.ground(l)
		e.forget(l)
	}
	e.over(l, cause)
	e.endRetry(l)
	if l.silence != nil {
		e.stop(l.silence)
	}
	l.coming = feed{}
	l.state, l.cause = LegIsDropped, cause
	l.party.changed()
	e.emit(LegDropped, l.party.call, l.party, l, cause).Record = l.record(was)
}

// setAside makes a leg passive: another device of the line has the call.
func (e *Engine) setAside(l *Leg) {
	e.tell(l, Release{Leg: l.id, Cause: PickedUpElsewhere})
	e.ground(l)
	e.forget(l)
	e.over(l, PickedUpElsewhere)
	l.state = LegIsPassive
	l.party.changed()
	e.emit(LegPassive, l.party.call, l.party, l, PickedUpElsewhere)
}

// dropParty takes a party with all its legs out of its call, and with it the parties it was calling.
func (e *Engine) dropParty(p *Party, cause Cause) {
	c := p.call
	if len(c.left) < maxLeft && slices.Contains(c.parties, p) {
		c.left = append(c.left, p.picture())
	}
	for _, l := range p.legs {
		e.drop(l, cause, true)
	}
	if p.offering != nil {
		e.stop(&p.offering.ring)
	}
	e.endStay(p)
	if p.guard != nil {
		e.stop(&p.guard.timer)
		p.guard = nil
	}
	at := slices.Index(c.parties, p)
	if at < 0 {
		return
	}
	c.parties = slices.Delete(c.parties, at, at+1)
	p.changed()
	e.emit(PartyDropped, c, p, nil, cause)
	guests{}.dropped(e, c, p, cause)
	if v := c.delivery; v != nil && v.by != nil && v.by.party == p {
		deliver{}.over(e, c, v.by, cause)
	}
	if p.offering != nil {
		e.remindLater(p.offering.caller)
		e.keepOn(p.offering.caller, p.lastLeg(), cause)
	}
	for i := 0; i < len(c.parties); i++ {
		if q := c.parties[i]; q.offering != nil && q.offering.caller == p {
			why := CallerCancelled
			if q.offering.exact {
				why = cause // the other node knows: no answer, answered elsewhere
			}
			delivers := q.offering.delivers
			if e.dropParty(q, why); delivers {
				deliver{}.over(e, c, q.lastLeg(), why)
			}
			i = -1
		}
	}
}

// leave takes a party out of its call and ends the call if nobody is left to talk to, and nobody is guarded.
func (e *Engine) leave(p *Party, cause Cause) {
	c := p.call
	e.dropParty(p, cause)
	if c.alone() || e.ends(c, p) {
		e.bereft(c, p.lastLeg(), cause)
	}
}

// breakDown ends a call in which media cannot be agreed on, because of a leg. Who is guarded is kept, unless the leg is its own.
func (e *Engine) breakDown(c *Call, because *Leg, cause Cause) {
	if kept := c.guarded(); kept != nil && kept != because.party {
		e.bereft(c, because, cause)
		return
	}
	e.hangUp(c, cause)
}

// hangUp ends a call with all its parties.
func (e *Engine) hangUp(c *Call, cause Cause) {
	if c.ended {
		return
	}
	for len(c.parties) > 0 {
		e.dropParty(c.parties[0], cause)
	}
	e.stop(c.retry)
	e.stop(&c.duration)
	e.stop(c.silent)
	delete(e.calls, c.id)
	if c.room != nil {
		delete(e.rooms, c.room.key)
	}
	c.ended, c.mix, c.view, c.delivery = true, nil, nil, nil
	e.emit(CallEnded, c, nil, nil, cause)
}

// fail deals with a called party that could not be reached: the features say what comes next.
func (e *Engine) fail(p *Party, cause Cause) {
	for _, f := range features {
		if f.failed(e, p, cause) {
			return
		}
	}
}
