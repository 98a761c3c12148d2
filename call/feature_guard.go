package call

import "time"

// guarding keeps a caller whom all others have left: it is not released but sent to a number that its guard names, and hears music until
// somebody answers there. What cannot be reached is tried again, not more often than every guardPause, until the caller gives up. Whatever
// would end a call for want of somebody to talk to asks for a guard first, see bereft.
type guarding struct{}

// A guard is where a party goes when it would be alone. The Party owns it.
type guard struct {
	to    string
	last  time.Time // when it was sent there last
	timer timer     // until it is sent there again
	gone  LegID     // who left it last, or could not be reached
	cause Cause     // and why
}

// guardPause is how long a guarded party waits at least from one time it is sent to its guard's number to the next.
const guardPause = 2 * time.Second

func (guarding) request(e *Engine, r Request, reply *Reply) bool {
	x, ok := r.(SetGuard)
	if !ok {
		return false
	}
	c, l := e.calls[x.Call], e.legs[x.Leg]
	switch {
	case c == nil:
		reply.Cause, reply.Why = NoSuchCall, "there is no call "+x.Call.String()
	case l == nil || l.party.call != c:
		reply.Cause, reply.Why = NoSuchCall, "call "+x.Call.String()+" has no leg "+x.Leg.String()
	case !l.incoming || l.tie != nil:
		reply.Cause, reply.Why = FacilityRejected, "who is guarded has called: leg "+x.Leg.String()+" has not"
	default:
		reply.Call, reply.Leg = c.id, l.id
		e.setGuard(l.party, x.To)
	}
	return true
}

// setGuard gives a party a guard, another one, or none. Who waits alone for its guard is released when that ends.
func (e *Engine) setGuard(p *Party, to string) {
	switch {
	case to == "" && p.guard != nil:
		e.stop(&p.guard.timer)
		p.guard = nil
		e.endStay(p)
		e.ifAlone(p.call, NormalClearing)
		if !p.call.ended {
			e.settle(p.call)
		}
	case p.guard != nil:
		p.guard.to = to
	case to != "":
		p.guard = &guard{to: to, timer: timer{kind: timerGuard, party: p}}
	}
}

// bereft ends a call in which nobody is left to talk to, unless somebody in it has a guard: then everybody else leaves. p is who left last, or
// could not be reached; nil where that is nobody.
func (e *Engine) bereft(c *Call, last *Leg, cause Cause) {
	kept := c.guarded()
	if kept == nil || c.ended {
		e.hangUp(c, cause)
		return
	}
	for i := 0; i < len(c.parties); i++ {
		switch p := c.parties[i]; {
		case p == kept:
			continue
		case p.guard != nil && p.wire() != nil: // two callers who were in a conference
			own := e.newCall("", wish{})
			e.move(p, own)
			e.keep(p, last, cause)
		default:
			e.dropParty(p, cause)
		}
		i = -1
	}
	deliver{}.over(e, c, nil, cause)
	e.keep(kept, last, cause)
}

// guarded is the first party of the call that has a guard and is there.
func (c *Call) guarded() *Party {
	for _, p := range c.parties {
		if p.guard != nil && p.wire() != nil {
			return p
		}
	}
	return nil
}

// ifAlone ends a call, or keeps who has a guard, when nobody is left to talk to.
func (e *Engine) ifAlone(c *Call, cause Cause) {
	if !c.ended && c.alone() {
		e.bereft(c, nil, cause)
	}
}

// release lets a caller go whom nobody takes, unless it has a guard.
func (e *Engine) release(caller *Party, last *Leg, cause Cause) {
	switch {
	case caller.guard == nil || caller.wire() == nil:
		e.leave(caller, cause)
	case len(caller.call.talkers(caller)) == 0:
		e.bereft(caller.call, last, cause)
	}
}

// kept says whether a party is alone, and entertained, for its guard.
func (p *Party) kept() bool {
	return p.guard != nil && p.stay != nil && p.stay.park == nil && !p.stay.timer.running()
}

// keep has a guarded party that is alone go where its guard says, now or when it has waited long enough since it was last.
func (e *Engine) keep(p *Party, last *Leg, cause Cause) {
	g := p.guard
	if g.cause, g.gone = cause, 0; last != nil {
		g.gone = last.id
	}
	if p.stay != nil && p.stay.park != nil {
		e.endStay(p) // nobody has fetched it
	}
	if l := p.activeLeg(); l != nil && p.stay == nil {
		p.stay = &stay{source: e.config.site.Policy.music(), shows: Identity{Number: p.dialled}, timer: timer{kind: timerStay, party: p}}
		l.gaveUp = nil
		p.changed()
	}
	e.touch(p.call)
	if wait := g.wait(e.now); wait > 0 {
		g.timer.call = p.call
		e.start(&g.timer, wait)
		return
	}
	e.sendToGuard(p)
}

// wait is how long it is until a guarded party may be sent on again.
func (g *guard) wait(now time.Time) time.Duration {
	if g.last.IsZero() {
		return 0
	}
	return min(max(0, guardPause-now.Sub(g.last)), guardPause)
}

// sendToGuard sends a guarded party where its guard says.
func (e *Engine) sendToGuard(p *Party) {
	g := p.guard
	g.last = e.now
	ev := e.emit(Guarded, p.call, p, p.wire(), g.cause)
	ev.To, ev.OtherLeg = g.to, g.gone
	w := p.wire()
	cause := e.route(p.call, dialling{caller: p, spaces: e.config.SearchSpaces(w.device, p.line, w.trunk), called: g.to, calling: p.identity,
		redirecting: p.came, hops: e.config.site.Policy.maxHops()})
	if cause == CauseNone {
		return
	}
	w.why = ""
	g.cause, g.gone = cause, 0
	g.timer.call = p.call
	e.start(&g.timer, guardPause)
}

// expired: a guarded party is sent again where its guard says, unless somebody is being reached for it meanwhile.
func (guarding) expired(e *Engine, t *timer) bool {
	if t.kind != timerGuard {
		return false
	}
	if p := t.party; p.call.lonely(p) {
		e.sendToGuard(p)
	}
	return true
}

// lonely says whether a party is kept by its guard and nobody is being reached for it.
func (c *Call) lonely(p *Party) bool {
	if p.guard == nil || p.wire() == nil || len(c.talkers(p)) > 0 {
		return false
	}
	for _, q := range c.parties {
		if q.offering != nil && q.offering.caller == p && !q.offering.joins {
			return false
		}
	}
	return true
}

// keepOn has a guarded party that waits sent on again when somebody who was being reached for it has left: in a while, for the call may be
// about to end, or somebody else about to be reached.
func (e *Engine) keepOn(p *Party, last *Leg, cause Cause) {
	if p == nil || !p.kept() || p.guard.timer.running() || !p.call.lonely(p) {
		return
	}
	g := p.guard
	if g.cause, g.gone = cause, 0; last != nil {
		g.gone = last.id
	}
	g.timer.call = p.call
	e.start(&g.timer, g.wait(e.now))
}

// signal: somebody answers a party that is kept by its guard.
func (guarding) signal(e *Engine, l *Leg, s Signal) bool {
	a, ok := s.(Answered)
	o := l.party.offering
	if !ok || o == nil || o.joins || !l.ringing() || o.caller.guard == nil || a.Desc.Kind == KindNone && l.oa != stable {
		return false
	}
	q := o.caller
	w := q.activeLeg()
	if e.stop(&q.guard.timer); w == nil || !q.kept() {
		return false
	}
	if !e.wouldSuit(w, l, a.Desc) {
		l.why = unsuited
		e.drop(l, SecurityMismatch, true)
		basic{}.legFailed(e, l, SecurityMismatch)
		return true
	}
	e.endStay(q)
	if v := q.call.delivery; v != nil {
		v.instead = l // who is delivered comes instead of who entertains the caller meanwhile
	}
	e.tell(w, Identify{Leg: w.id, Connected: l.party.identity})
	return false
}

// failed: a party that is kept by its guard goes on waiting.
func (guarding) failed(e *Engine, p *Party, cause Cause) bool {
	q := p.offering.caller
	if q == nil || q == p || !q.kept() || p.offering.transferor != nil {
		return false
	}
	if p.offering.reroutes(cause) && e.reachTrunk(p.call, p) == CauseNone {
		return true
	}
	e.dropParty(p, cause) // which has it sent on again
	return true
}
