package call

// redirection sends a call that rings elsewhere: because the device said so (3xx), or an application did.
type redirection struct{ abstain }

func (redirection) signal(e *Engine, l *Leg, s Signal) bool {
	r, ok := s.(Released)
	if !ok || r.ToNumber == "" || !l.ringing() || l.party.dial != "" {
		return false
	}
	e.redirected(l, r.ToNumber, RedirectDeflected)
	e.drop(l, r.Cause, false)
	e.redirect(l.party, r.ToNumber)
	return true
}

func (redirection) request(e *Engine, r Request, reply *Reply) bool {
	d, ok := r.(Redirect)
	if !ok {
		return false
	}
	l := e.legs[d.Leg]
	if l == nil || !l.ringing() || l.party.dial != "" {
		reply.Cause, reply.Why = NoSuchCall, "there is no ringing leg "+d.Leg.String()
		return true
	}
	c := l.party.call
	reply.Call, reply.Leg = c.id, l.id
	e.redirected(l, d.To, RedirectDeflected)
	reply.Cause = e.redirect(l.party, d.To)
	e.settle(c)
	return true
}

// redirected tells that a leg sends its call elsewhere.
func (e *Engine) redirected(l *Leg, to string, reason RedirectReason) {
	ev := e.emit(Redirected, l.party.call, l.party, l, CauseNone)
	ev.To, ev.Reason = to, reason
}

// redirect gives up a called party and calls the number in its place, with what the called line may reach.
func (e *Engine) redirect(p *Party, to string) Cause {
	c, d := p.call, p.offering.dialling
	if p.offering.exact {
		e.handBack(p, to)
		return CauseNone
	}
	if !p.line.IsZero() {
		d.spaces = e.config.SearchSpaces("", p.line, "")
	}
	d.called = to
	d.redirecting = append(d.redirecting[:len(d.redirecting):len(d.redirecting)], Redirection{From: p.identity, Reason: RedirectDeflected, Line: p.line})
	e.endHunt(p)
	e.dropParty(p, NormalClearing)
	cause := e.route(c, d)
	switch {
	case cause == CauseNone:
	case d.transferor != nil && d.transferor.onWire():
		e.tell(d.transferor, TransferResult{Leg: d.transferor.id, Status: cause.SIP(), Final: true})
	case d.caller.alive() && d.caller.stay == nil:
		e.leave(d.caller, cause)
	}
	return cause
}
