package call

import (
	"strconv"

	"github.com/locktone/locktone/dialplan"
)

// redirection sends a call elsewhere: one that rings, because the device said so (3xx) or an application did, and one that talks, because an
// application did. What an application asks is done when it is known to lead somewhere, and not before: until then the call stays as it is.
type redirection struct{ abstain }

func (redirection) signal(e *Engine, l *Leg, s Signal) bool {
	r, ok := s.(Released)
	if !ok || r.ToNumber == "" || !l.ringing() || l.party.dial() != "" || l.party.guest() {
		return false
	}
	x, p := Redirect{Leg: l.id, To: r.ToNumber}, l.party
	d := e.onwards(p.offering.dialling, p, x)
	e.redirected(l, x)
	e.drop(l, r.Cause, false)
	if p.offering.exact {
		e.handBack(p, x.To)
		return true
	}
	e.endHunt(p)
	e.dropParty(p, NormalClearing)
	if cause := e.route(p.call, d); cause != CauseNone {
		e.stranded(&d, cause)
	}
	return true
}

func (redirection) request(e *Engine, r Request, reply *Reply) bool {
	x, ok := r.(Redirect)
	if !ok {
		return false
	}
	l := e.legs[x.Leg]
	switch {
	case len(x.Parameters) > MaxParameters:
		reply.Cause, reply.Why = InvalidNumberFormat, tooMany(x.Parameters)
	case l == nil:
		reply.Cause, reply.Why = NoSuchCall, "there is no leg "+x.Leg.String()
	case l.ringing() && l.party.dial() == "":
		reply.Call, reply.Leg = l.party.call.id, l.id
		reply.Cause, reply.Why = e.redirectRinging(l, x)
	case l.active():
		reply.Call, reply.Leg = l.party.call.id, l.id
		reply.Cause, reply.Why = e.redirectActive(l, x)
	default:
		reply.Cause, reply.Why = WrongCallState, "leg "+x.Leg.String()+" is "+l.state.String()+", and has nobody to be sent elsewhere"
	}
	return true
}

// redirectRinging calls the number in the place of the party that rings.
func (e *Engine) redirectRinging(l *Leg, x Redirect) (cause Cause, why string) {
	p, c := l.party, l.party.call
	d := e.onwards(p.offering.dialling, p, x)
	if p.offering.exact { // the node that rings here does it; that it can be done is seen before
		q := e.query(&d)
		if res := e.config.plan.Route(q); res.Outcome != dialplan.Match {
			return routeCause(res), x.nowhere()
		}
		e.redirected(l, x)
		e.handBack(p, x.To)
		return CauseNone, ""
	}
	if cause = e.route(c, d); cause != CauseNone {
		return cause, x.nowhere()
	}
	if l.onWire() { // a conference has taken the caller, and ended the call, by itself
		e.redirected(l, x)
		e.endHunt(p)
		e.dropParty(p, NormalClearing)
	}
	e.settle(c)
	return CauseNone, ""
}

// redirectActive calls the number for the other party of an active leg, which leaves. If that fails after it has gone, its phone is rung again
// as after a transfer (recall).
func (e *Engine) redirectActive(l *Leg, x Redirect) (cause Cause, why string) {
	p, c := l.party, l.party.call
	others := c.talkers(p)
	switch {
	case len(others) == 0:
		return WrongCallState, "there is nobody at the other end to be sent elsewhere"
	case len(others) > 1 || c.meets():
		return FacilityRejected, "a conference is not redirected"
	case transfer{}.busy(l):
		return FacilityRejected, "a transfer of this call is under way"
	}
	o := others[0].party
	d := dialling{caller: o, calling: o.identity, redirecting: p.came, hops: e.config.site.Policy.maxHops(), transferor: l}
	d = e.onwards(d, p, x)
	if o.outside() && e.config.site.Policy.BlockOffnetToOffnet && e.leadsOut(d) {
		return CallRejected, offnet
	}
	if cause = e.route(c, d); cause != CauseNone {
		why, l.why = orDefault(l.why, x.nowhere()), ""
		return cause, why
	}
	if l.onWire() { // a park number or a conference has let it go by itself
		e.redirected(l, x)
		e.dropParty(p, NormalClearing)
	}
	if !c.ended && c.alone() {
		e.bereft(c, l, NormalClearing)
	}
	e.settle(c)
	return CauseNone, ""
}

func (x Redirect) nowhere() string { return x.To + " cannot be reached: the call is as it was" }

// tooMany is why parameters are refused.
func tooMany(parameters string) string {
	return "the parameters have " + strconv.Itoa(len(parameters)) + " octets: at most " + strconv.Itoa(MaxParameters) + " are taken"
}

// reason is what a diversion says about it.
func (x Redirect) reason() RedirectReason {
	if x.Transfer {
		return RedirectTransferred
	}
	return RedirectDeflected
}

// onwards is the dialling of a call that a party sends elsewhere.
func (e *Engine) onwards(d dialling, by *Party, x Redirect) dialling {
	d.called = x.To
	switch from := by.wire(); {
	case x.CallerSpace || from != nil && from.applet != "": // a program may reach nothing by itself
		w := d.caller.wire()
		d.spaces = e.config.SearchSpaces(w.deviceName(), d.caller.line, d.caller.trunk)
	case from != nil:
		d.spaces = e.config.SearchSpaces(from.device, by.line, by.trunk)
	case !by.line.IsZero():
		d.spaces = e.config.SearchSpaces("", by.line, "")
	}
	if x.Calling != "" {
		d.calling = Identity{Number: x.Calling}
	}
	if d.parameters = x.Parameters; x.Unsaid {
		return d
	}
	own := by.diverts(x.reason())
	switch x.Original {
	case OriginalReset:
		own.Reset = true
		d.redirecting = []Redirection{own}
	case OriginalPreferred:
		d.redirecting = []Redirection{{From: Identity{Number: x.Preferred}, Reason: x.reason()}, own}
	default:
		d.divert(own)
	}
	return d
}

// deviceName is the device of a leg, empty where there is none.
func (l *Leg) deviceName() string {
	if l == nil {
		return ""
	}
	return l.device
}

// redirected tells that a leg sends its call elsewhere.
func (e *Engine) redirected(l *Leg, x Redirect) {
	ev := e.emit(Redirected, l.party.call, l.party, l, CauseNone)
	ev.To, ev.Reason = x.To, x.reason()
}

// stranded: a device has sent its call to where nothing is.
func (e *Engine) stranded(d *dialling, cause Cause) {
	switch {
	case d.delivers:
		deliver{}.over(e, d.caller.call, nil, cause)
		e.ifAlone(d.caller.call, cause)
	case d.transferor != nil && d.transferor.onWire():
		e.tell(d.transferor, TransferResult{Leg: d.transferor.id, Status: cause.SIP(), Final: true})
	case d.caller.alive() && d.caller.stay == nil:
		e.release(d.caller, nil, cause)
	}
}
