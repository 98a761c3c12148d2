package call

// takeOvers let a call that one appearance of a line holds go on at another one (resume elsewhere): the new leg takes the place of the
// old one, as with Replaces, and the far end hears music until then.
type takeOvers struct{ abstain }

// takeOver has a leg take the place of the newest call that another appearance of its line holds.
func (e *Engine) takeOver(l *Leg) (Done, Cause) {
	old, private := e.heldElsewhere(l)
	if x := e.afarLeg(l.party.line, l.device, ThingHeld); old == nil && x != nil {
		return e.askFor(l, x, Ask{Thing: ThingHeld, Replaces: x.Leg})
	}
	switch {
	case old == nil && private:
		return Done{Why: "the call that is on hold is private"}, CallRejected
	case old == nil:
		return Done{Why: "no other phone holds a call of line " + l.party.line.Number}, NoSuchCall
	}
	for _, o := range old.party.call.talkers(old.party) {
		if e.suits(l, o) != CauseNone {
			return Done{Why: unsuited}, SecurityMismatch
		}
	}
	e.explainFeature("take over", "the caller takes the place of %s, which holds its call with %s", old.end(), e.explainTalkers(old))
	c := old.party.call
	l.replaces = old
	e.joinCall(l, c)
	e.touch(c)
	return Done{Taken: true}, CauseNone
}

// heldElsewhere is the newest leg of the line on another device that holds its call; private says that there is one that must not be seen.
func (e *Engine) heldElsewhere(l *Leg) (found *Leg, private bool) {
	line := e.config.lines[l.party.line]
	if line == nil {
		return nil, false
	}
	for _, a := range line.Appearances {
		if a.Device == l.device {
			continue
		}
		for _, o := range e.device(a.Device).legs {
			switch {
			case o.party.line != line.ID || !o.active() || !o.party.held || o.party.guest() || o.left() || len(o.party.call.talkers(o.party)) == 0 || e.beingReplaced(o):
			case e.isPrivate(a.Device):
				private = true
			case found == nil || o.party.id > found.party.id:
				found = o
			}
		}
	}
	return found, private
}

// beingReplaced says whether somebody is about to take the place of a leg.
func (e *Engine) beingReplaced(l *Leg) bool {
	for _, p := range l.party.call.parties {
		for _, o := range p.legs {
			if o.replaces == l {
				return true
			}
		}
	}
	return false
}

func (takeOvers) request(e *Engine, r Request, reply *Reply) bool {
	t, ok := r.(TakeOver)
	if !ok {
		return false
	}
	e.ringFirst(t.Device, t.Line, wish{called: "resume", then: t, auto: true, purpose: PurposeTakeOver}, reply)
	return true
}
