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

// hopsLeft takes one hop off a dialling.
func (e *Engine) hopsLeft(d *dialling) Cause {
	if len(d.redirecting) > e.config.site.Policy.maxRedirections() {
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
