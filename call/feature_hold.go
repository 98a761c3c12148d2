package call

// hold: a device that stops receiving (sendonly or inactive, RFC 3264, 8.4) has put the call on hold, and the far side
// hears music; a device that receives again has resumed. An offer without change is a session refresh (RFC 4028) and gets
// the answer it got before. Everything else about a new offer is left to the settling.
type hold struct{ abstain }

func (h hold) signal(e *Engine, l *Leg, s Signal) bool {
	switch s := s.(type) {
	case Reoffered:
		h.reoffered(e, l, s.Desc)
		return true
	case Confirmed:
		// What another node answers with is no wish of a user: it says by an offer who holds.
		if l.active() && l.oa == awaitConfirm && s.Desc.Kind == KindAnswer && l.tie == nil {
			e.setHeld(l, !s.Desc.Dir.Receives() && l.told.Dir.Sends())
		}
	}
	return false
}

func (hold) reoffered(e *Engine, l *Leg, d Desc) {
	switch {
	case l.active() && (l.oa == weOffered || l.oa == weAsked) && l.crossed == nil:
		l.crossed = &d // our offer has not left, and will be refused: see giveWay
	case !l.active() || l.oa != stable:
		e.tell(l, RejectReoffer{l.id, RequestPending})
	case d.Kind == KindOffer && d.Ref == l.desc.Ref && l.told.Kind != KindNone:
		again := l.told
		if again.Kind == KindOffer && again.Treatment == Source {
			again.Ref = d.Ref
		}
		again.Kind = KindAnswer
		e.tell(l, AnswerReoffer{l.id, again})
	case d.Kind == KindOffer:
		l.desc, l.oa = d, theyOffered
		e.setHeld(l, !d.Dir.Receives())
	default:
		l.oa = theyAsked
		e.setHeld(l, false) // the answer says whether it stays on hold
	}
}

// setHeld notes whether the user of a leg has the call on hold.
func (e *Engine) setHeld(l *Leg, held bool) {
	p := l.party
	if p.held == held {
		return
	}
	p.held = held
	p.changed()
	kind := PartyResumed
	if held {
		kind = PartyHeld
	}
	e.emit(kind, p.call, p, l, CauseNone)
}

func (hold) request(e *Engine, r Request, reply *Reply) bool {
	var id LegID
	held := false
	switch r := r.(type) {
	case Hold:
		id, held = r.Leg, true
	case Resume:
		id = r.Leg
	default:
		return false
	}
	l := e.activeHere(id, reply)
	switch {
	case l == nil:
	case l.party.held == held && held:
		reply.Cause, reply.Why = WrongCallState, "leg "+id.String()+" has its call on hold already"
	case l.party.held == held:
		reply.Cause, reply.Why = WrongCallState, "leg "+id.String()+" does not hold its call"
	default:
		if !held && l.device != "" {
			e.holdOthers(l.device, l)
		}
		e.setHeld(l, held)
		e.settle(l.party.call)
	}
	return true
}
