package call

import (
	"slices"

	"github.com/locktone/locktone/dialplan"
)

// deliver rings somebody for a caller who meanwhile goes on hearing whom it hears, and connects them when there is an answer: the caller gets a
// new offer, and when that is agreed, the one who entertained it is released. So the caller hears music until it hears the agent, and a caller
// who cannot be connected has lost nothing. The leg that answers takes the place of the other one as with Replaces, and nobody is mixed.
// It is the transfer of a program: nobody is told how it goes but observers, and nobody waits at a phone for the outcome.
//
// A call has at most one. Whoever rings for it says so in its dialling, which goes with it through forwards, hunts, route lists and redirections.
type deliver struct{ abstain }

// A delivery is what a Deliver has begun and what is not over yet. The Call owns it.
type delivery struct {
	party   PartyID // who was rung first
	instead *Leg    // who is released for the one who answers; nil for nobody
	by      *Leg    // who has answered, and is being connected
}

func (f deliver) request(e *Engine, r Request, reply *Reply) bool {
	switch r := r.(type) {
	case Deliver:
		reply.Cause, reply.Why = f.begin(e, r, reply)
	case CancelDeliver:
		c := e.calls[r.Call]
		switch {
		case c == nil:
			reply.Cause, reply.Why = NoSuchCall, "there is no call "+r.Call.String()
		case c.delivery == nil:
			reply.Cause, reply.Why = WrongCallState, "nobody is being reached for call "+r.Call.String()
		default:
			if reply.Call = c.id; c.delivery.by != nil {
				reply.Cause, reply.Why = WrongCallState, c.delivery.connecting()
				return true
			}
			f.cancel(e, c)
			e.ifAlone(c, CallerCancelled)
			e.settle(c)
		}
	default:
		return false
	}
	return true
}

// begin checks a Deliver and does it. Why says in a sentence why not; the call is then as it was.
func (f deliver) begin(e *Engine, x Deliver, reply *Reply) (Cause, string) {
	c, instead := e.calls[x.Call], e.legs[x.Instead]
	caller, cause, why := f.caller(e, c, instead, x)
	if cause != CauseNone {
		return cause, why
	}
	w := caller.wire()
	d := dialling{caller: caller, spaces: e.config.SearchSpaces(w.device, caller.line, caller.trunk), called: x.To, calling: caller.identity,
		redirecting: caller.came, hops: e.config.site.Policy.maxHops(), parameters: x.Parameters, delivers: true, longest: max(x.NoAnswer, 0)}
	if x.Calling != "" {
		d.calling = Identity{Number: x.Calling}
	}
	nowhere := x.To + " cannot be reached: the call is as it was"
	if res := e.config.plan.Route(e.query(&d)); res.Outcome != dialplan.Match {
		return routeCause(res), nowhere
	} else if res.Pattern.Emergency || res.Pattern.Kind == dialplan.ToFeature || res.Pattern.Kind == dialplan.ToPark || res.Pattern.Kind == dialplan.ToMeetMe {
		return FacilityRejected, "calls are delivered to lines, trunks, programs and hunt pilots: " + x.To + " is none"
	}
	f.cancel(e, c)
	c.delivery = &delivery{instead: instead}
	if cause = e.route(c, d); cause != CauseNone {
		c.delivery = nil
		if why, w.why = orDefault(w.why, nowhere), ""; cause == SecurityMismatch {
			why = unsuited
		}
		e.ifAlone(c, cause)
		return cause, why
	}
	for _, p := range c.parties {
		if p.offering != nil && p.offering.delivers {
			c.delivery.party, reply.Call, reply.Party, reply.Leg = p.id, c.id, p.id, p.legs[0].id
		}
	}
	e.settle(c)
	return CauseNone, ""
}

// caller is the party that somebody is to be reached for: the only one that talks, but for the one it is to leave.
func (deliver) caller(e *Engine, c *Call, instead *Leg, x Deliver) (*Party, Cause, string) {
	switch {
	case x.To == "":
		return nil, InvalidNumberFormat, "say where the call is to be delivered"
	case len(x.Parameters) > MaxParameters:
		return nil, InvalidNumberFormat, tooMany(x.Parameters)
	case c == nil:
		return nil, NoSuchCall, "there is no call " + x.Call.String()
	case x.Instead != 0 && (instead == nil || instead.party.call != c):
		return nil, NoSuchCall, "call " + x.Call.String() + " has no leg " + x.Instead.String()
	case instead != nil && !instead.active():
		return nil, WrongCallState, "leg " + x.Instead.String() + " is not active, it is " + instead.state.String() + ": what rings is redirected"
	case c.delivery != nil && c.delivery.by != nil:
		return nil, WrongCallState, c.delivery.connecting()
	case c.meets() || c.emergency:
		return nil, FacilityRejected, "neither a meet-me conference nor an emergency call is delivered elsewhere"
	}
	var from *Party
	if instead != nil {
		from = instead.party
	}
	others := c.talkers(from)
	switch {
	case len(others) == 0:
		return nil, WrongCallState, "there is nobody in the call who could talk to whom it would be delivered to"
	case len(others) > 1:
		return nil, FacilityRejected, "a call with several others is not delivered: say instead of whom"
	case instead != nil && transfer{}.under(instead), transfer{}.under(others[0]):
		return nil, FacilityRejected, "a transfer of this call is under way"
	case others[0].party.stay != nil && !others[0].party.kept():
		return nil, WrongCallState, "the caller is parked, or hears that a feature was done"
	}
	return others[0].party, CauseNone, ""
}

// connecting is why it is too late.
func (v *delivery) connecting() string {
	return "leg " + v.by.id.String() + " has answered, and is being connected"
}

// cancel ends the delivery of a call, if it has one.
func (f deliver) cancel(e *Engine, c *Call) {
	if c.delivery == nil {
		return
	}
	for f.drop(e, c, nil) {
	}
	f.over(e, c, nil, CallerCancelled)
}

// drop takes the first party that rings for the delivery out of the call, but for one; it says whether there was any.
func (deliver) drop(e *Engine, c *Call, but *Party) bool {
	i := slices.IndexFunc(c.parties, func(p *Party) bool { return p != but && p.offering != nil && p.offering.delivers })
	if i < 0 {
		return false
	}
	e.dropParty(c.parties[i], CallerCancelled)
	return true
}

// over tells that a delivery has come to nothing, by what became of the last leg.
func (deliver) over(e *Engine, c *Call, last *Leg, cause Cause) {
	v := c.delivery
	if v == nil {
		return
	}
	c.delivery = nil
	ev := e.emit(DeliverFailed, c, nil, nil, cause)
	if ev.Party = v.party; last != nil {
		ev.Leg = last.id
	}
}

func (f deliver) signal(e *Engine, l *Leg, s Signal) bool {
	a, ok := s.(Answered)
	o := l.party.offering
	if !ok || o == nil || !o.delivers || !l.ringing() || a.Desc.Kind == KindNone && l.oa != stable {
		return false
	}
	c, w := l.party.call, o.caller.wire()
	if c.delivery == nil || w == nil {
		return false
	}
	if !e.wouldSuit(w, l, a.Desc) { // before anybody is let go
		l.why = unsuited
		e.drop(l, SecurityMismatch, true)
		basic{}.legFailed(e, l, SecurityMismatch)
		return true
	}
	e.callOffBut(o.caller, l.party)
	if o.caller.kept() {
		e.endStay(o.caller)
	}
	v := c.delivery
	if in := v.instead; in != nil && in.active() && in.party.call == c && !e.mustMix(w, l) {
		v.by, l.replaces = l, in
		return false
	}
	e.makeRoom(c, l)
	e.tell(w, Identify{Leg: w.id, Connected: l.party.identity})
	return false
}

// mustMix says whether two legs can hear each other by the mixer alone.
func (e *Engine) mustMix(a, b *Leg) bool {
	return e.config.site.Policy.Mixed == MixedWarn && converts(a.takes(), b.takes())
}

// makeRoom ends a delivery that l has answered: whoever l comes instead of leaves.
func (e *Engine) makeRoom(c *Call, l *Leg) {
	instead := c.delivery.instead
	ev := e.emit(Delivered, c, l.party, l, CauseNone)
	if c.delivery = nil; instead == nil {
		return
	}
	if ev.OtherLeg = instead.id; instead.onWire() && instead.party.call == c {
		e.dropParty(instead.party, NormalClearing)
	}
}

// failed: nobody answers. The call is as it was, if there still is one.
func (f deliver) failed(e *Engine, p *Party, cause Cause) bool {
	o, c := p.offering, p.call
	if !o.delivers || c.delivery == nil {
		return false
	}
	if o.reroutes(cause) && e.reachTrunk(c, p) == CauseNone {
		return true
	}
	last := p.lastLeg()
	e.dropParty(p, cause)
	f.over(e, c, last, cause)
	if c.alone() {
		e.bereft(c, last, cause)
	}
	return true
}
