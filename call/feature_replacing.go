package call

// replacing takes an INVITE with Replaces (RFC 3891): the new leg takes the place of an active one, and the party at the other
// end is re-offered. The old leg is released once the new one is answered. Naming a leg that rings is a pickup (RFC 3891, 3: the key of a
// busy lamp), naming a held one of the own line takes it over from another appearance.
type replacing struct{ abstain }

func (replacing) signal(e *Engine, l *Leg, s Signal) bool {
	setup, ok := s.(Setup)
	if !ok || setup.Replaces == 0 {
		return false
	}
	if setup.Owner != "" {
		e.askOwner(l, setup, Ask{Thing: ThingActive, Replaces: setup.Replaces})
		return true
	}
	old := e.legs[setup.Replaces]
	if old != nil && l.tie != nil && !old.is(setup.At.Ask.Thing) {
		old = nil // it was, when the other node heard of it
	}
	if old != nil && old.ringing() {
		done, cause := e.pickupLeg(l, old)
		if e.refused(l, cause, done.Why) != CauseNone {
			e.leave(l.party, cause)
		}
		return true
	}
	if old != nil && e.hidden(l, old) {
		e.refused(l, CallRejected, "that call is private")
		e.leave(l.party, CallRejected)
		return true
	}
	if old == nil || !old.active() || old.party.call != l.party.call || len(old.party.call.talkers(old.party)) == 0 {
		e.leave(l.party, NoSuchCall) // RFC 3891, 3: 481 when the dialog is not there
		return true
	}
	for _, o := range old.party.call.talkers(old.party) {
		if o != l && e.suits(l, o) != CauseNone {
			e.refused(l, SecurityMismatch, unsuited)
			e.leave(l.party, SecurityMismatch)
			return true
		}
	}
	l.replaces = old
	return true
}

// askOwner asks the node that has the leg of a Replaces or Join. Whether a ringing call may be answered is decided here, where it is known who
// the phone's user is; the rest is the owner's to decide.
func (e *Engine) askOwner(l *Leg, s Setup, a Ask) {
	x := e.afarOwned(s.Owner, s.Replaces+s.Join)
	cause, why := CauseNone, ""
	if x != nil && x.Thing == ThingRinging {
		a.Thing = ThingRinging
	}
	switch {
	case x == nil || x.Device == l.device:
		cause, why = NoSuchCall, "node "+s.Owner+" has no such call"
	case x.Thing == ThingRinging && !e.mayAnswer(l, x.Line, x.Number):
		cause, why = UserNotInGroup, "this phone may not answer for "+x.Line.Number
	default:
		var done Done
		done, cause = e.askFor(l, x, a)
		why = done.Why
	}
	if e.refused(l, cause, why) != CauseNone {
		e.leave(l.party, cause)
	}
}

// hidden says whether the user of a leg keeps it from those who share the line, of whom l is one.
func (e *Engine) hidden(l, old *Leg) bool {
	return !old.party.line.IsZero() && l.party.line == old.party.line && l.device != old.device && e.isPrivate(old.device)
}

// unsuited says why a connection is refused that policy does not allow to be converted.
const unsuited = "the two ends cannot agree on how media is protected"

// replaced: the new leg has been answered.
func (e *Engine) replaced(l *Leg) {
	old, c := l.replaces, l.party.call
	l.replaces = nil
	if v := c.delivery; v != nil && v.by == l {
		e.makeRoom(c, l)
		e.replacedBy(l)
		return
	}
	if !old.onWire() {
		return
	}
	e.transferred(c, old, nil, nil)
	if g := old.party.guard; g != nil && l.party.guard == nil { // who takes the place of a caller is guarded in it
		l.party.guard = &guard{to: g.to, last: g.last, timer: timer{kind: timerGuard, party: l.party}}
	}
	e.leave(old.party, NormalClearing) // who was to be taken over may have gone in the meantime
	e.replacedBy(l)
}

// replacedBy tells the others who is there now.
func (e *Engine) replacedBy(l *Leg) {
	c := l.party.call
	if c.focus {
		return // a conference is who they talk to
	}
	for _, o := range c.talkers(l.party) {
		e.tell(o, Identify{Leg: o.id, Connected: l.party.identity})
	}
}
