package call

// hopLimit keeps a call from going round in circles: Max-Forwards counts the systems it went through (RFC 3261, 8.1.1.6), the
// list of redirections the diversions and transfers behind it.
type hopLimit struct{ abstain }

func (hopLimit) signal(e *Engine, l *Leg, s Signal) bool {
	setup, ok := s.(Setup)
	if !ok || !setup.NoHops {
		return false
	}
	e.leave(l.party, ExchangeRoutingError)
	return true
}

// callLimit turns away a call that comes in where there are as many as there may be: on a trunk, or on the button of a device.
type callLimit struct{ abstain }

func (callLimit) signal(e *Engine, l *Leg, s Signal) bool {
	setup, ok := s.(Setup)
	if !ok || setup.Replaces != 0 { // whoever takes a call over adds none
		return false
	}
	cause := CauseNone
	if t := e.config.trunks[l.trunk]; t != nil && t.MaxCalls > 0 && e.trunkOf(l.trunk).legs > t.MaxCalls {
		cause = NoCircuit
	}
	if most := e.config.maxCalls(l.device, l.party.line); most > 0 && e.carries(l.device, l.party.line) > most {
		cause = CallRejected
	}
	if cause == CauseNone || e.config.emergency(e.clock(), setup) {
		return false
	}
	e.say("limit", "the caller has as many calls as its button, or its trunk, may carry")
	e.leave(l.party, cause)
	return true
}

// hopsLeft takes one hop off a dialling.
func (e *Engine) hopsLeft(d *dialling) Cause {
	if redirections(d.redirecting) > e.config.site.Policy.maxRedirections() {
		return LoopDetected
	}
	if d.hops = min(d.hops, e.config.site.Policy.maxHops()) - 1; d.hops < 0 {
		return ExchangeRoutingError
	}
	return CauseNone
}

// durationLimit ends calls that have lasted as long as the policy allows.
type durationLimit struct{ abstain }

func (durationLimit) expired(e *Engine, t *timer) bool {
	if t.kind != timerDuration {
		return false
	}
	e.hangUp(t.call, RecoveryOnTimerExpiry)
	return true
}
