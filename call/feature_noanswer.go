package call

// noAnswer ends the ringing of a line after its time.
type noAnswer struct{ abstain }

func (noAnswer) expired(e *Engine, t *timer) bool {
	if t.kind != timerNoAnswer {
		return false
	}
	for _, l := range t.party.legs {
		if l.onWire() {
			e.drop(l, NoAnswer, true)
		}
	}
	t.party.offering.timedOut = true
	e.fail(t.party, telling(t.party.offering.cause, NoAnswer))
	return true
}
