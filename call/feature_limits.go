package call

// hopLimit keeps a call from going round in circles: Max-Forwards counts the systems it went through (RFC 3261, 8.1.1.6), the
// list of redirections the diversions and transfers behind it. An emergency call is refused for neither a phone's nor a gateway's wrong
// count: it goes on with Max-Forwards 0, which whoever ends a call does not look at, unless it is seen to come round again.
type hopLimit struct{ abstain }

func (hopLimit) signal(e *Engine, l *Leg, s Signal) bool {
	setup, ok := s.(Setup)
	if !ok || !setup.NoHops {
		return false
	}
	cause := ExchangeRoutingError
	if e.config.emergency(e.clock(), setup) {
		if !e.cameRound(l.party.call) {
			e.say("emergency", "Max-Forwards is used up, which keeps no emergency call from being made")
			return false
		}
		cause = LoopDetected
	}
	e.say("limit", "Max-Forwards is used up: the call has gone through too many systems")
	e.leave(l.party, cause)
	return true
}

// cameRound says whether another emergency call here has the session id of this one (RFC 7989): it has left, and is back.
func (e *Engine) cameRound(c *Call) bool {
	for _, o := range e.calls {
		if o != c && o.emergency && c.globalID != "" && o.globalID == c.globalID {
			return true
		}
	}
	return false
}

// callLimit turns away a call that comes in where there are as many as there may be: on a trunk, or on the button of a device.
type callLimit struct{ abstain }

func (callLimit) signal(e *Engine, l *Leg, s Signal) bool {
	setup, ok := s.(Setup)
	if !ok || setup.Replaces != 0 || l.tie != nil { // whoever takes a call over adds none; a tie's limits are those of what it leads to
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

// noteSilence watches for calls whose peers are gone without a word: nothing comes from any of their legs, though all their media goes by here.
func (e *Engine) noteSilence(c *Call) {
	longest := e.config.site.Policy.MediaInactivity
	switch silent := longest > 0 && c.unheard(); {
	case !silent:
		e.stop(c.silent)
	case c.silent == nil:
		c.silent = &timer{kind: timerSilent, call: c}
		e.start(c.silent, longest)
	case !c.silent.running():
		e.start(c.silent, longest)
	}
}

// unheard says whether every leg of the call that talks should be heard, and none is.
func (c *Call) unheard() bool {
	talk := 0
	for _, p := range c.parties {
		if l := p.activeLeg(); l != nil && !p.guest() {
			if talk++; l.proof != ProofSilent {
				return false
			}
		}
	}
	return talk > 1
}

// durationLimit ends calls that have lasted as long as the policy allows, and those of which nothing has been heard as long.
type durationLimit struct{ abstain }

func (durationLimit) expired(e *Engine, t *timer) bool {
	if t.kind != timerDuration && t.kind != timerSilent {
		return false
	}
	if t.kind == timerSilent {
		for _, p := range t.call.parties {
			if l := p.activeLeg(); l != nil {
				l.why = "no media was heard of either side for " + e.config.site.Policy.MediaInactivity.String()
			}
		}
	}
	e.hangUp(t.call, RecoveryOnTimerExpiry)
	return true
}
