package call

// failover tries the next trunk of a route list when the network failed, and gives up a trunk that stays silent.
type failover struct{ abstain }

func (failover) signal(e *Engine, l *Leg, s Signal) bool {
	switch s.(type) {
	case Alerting, Progressing:
		if o := l.party.offering; o != nil && o.ring.kind == timerRoute {
			// It lives; from now on it may ring as long as a line.
			o.ring.kind = timerNoAnswer
			longest := e.config.site.Policy.noAnswer()
			if t := e.config.trunks[l.trunk]; t != nil {
				longest = orDefault(t.NoAnswer, longest)
			}
			e.start(&o.ring, orDefault(o.longest, longest))
		}
	}
	return false
}

func (failover) expired(e *Engine, t *timer) bool {
	if t.kind != timerRoute {
		return false
	}
	for _, l := range t.party.legs {
		if l.onWire() {
			e.drop(l, RecoveryOnTimerExpiry, true)
		}
	}
	e.fail(t.party, RecoveryOnTimerExpiry)
	return true
}

func (failover) failed(e *Engine, p *Party, cause Cause) bool {
	o := p.offering
	if e.againPlain(p) {
		return true
	}
	if !o.reroutes(cause) {
		return false
	}
	o.cause = CauseNone
	return e.reachTrunk(p.call, p) == CauseNone
}
