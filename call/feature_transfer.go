package call

// transfer sends the party at the other end of a leg elsewhere (REFER, RFC 3515 and RFC 5589): to a number (blind), or into
// another call the same user has (attended, with Replaces).
type transfer struct{ abstain }

func (t transfer) signal(e *Engine, l *Leg, s Signal) bool {
	switch s := s.(type) {
	case TransferAsked:
		t.asked(e, l, s)
		return true
	case Alerting:
		if by := transferor(l.party); by != nil && l.state == LegOffering {
			e.tell(by, TransferResult{Leg: by.id, Status: 180})
		}
	case Answered:
		t.answered(e, l, s)
	}
	return false
}

// transferor is the leg whose transfer a called party is the target of, if it is still there.
func transferor(p *Party) *Leg {
	if p.offering == nil || p.offering.transferor == nil || !p.offering.transferor.onWire() {
		return nil
	}
	return p.offering.transferor
}

// asked checks a transfer and begins it.
func (t transfer) asked(e *Engine, l *Leg, s TransferAsked) {
	others := l.party.call.talkers(l.party)
	cause := CauseNone
	switch {
	case !l.active() || len(others) == 0 || s.Unresolved:
		cause = NoSuchCall
	case len(others) > 1 || t.busy(l):
		cause = FacilityRejected // whom, if several talk?
	case s.Replaces != 0:
		cause = t.attended(e, l, others[0], s.Replaces)
	default:
		cause = t.blind(e, l, others[0], s.To)
	}
	if cause != CauseNone {
		e.tell(l, TransferResult{Leg: l.id, Status: cause.SIP(), Final: true, Why: l.why})
		l.why = ""
	}
}

// busy says whether a transfer by this leg is under way.
func (transfer) busy(l *Leg) bool {
	for _, p := range l.party.call.parties {
		if transferor(p) == l {
			return true
		}
	}
	return false
}

// blind calls the number on behalf of the other party, with what the transferor may reach.
func (transfer) blind(e *Engine, l, other *Leg, to string) Cause {
	c := l.party.call
	e.tell(l, TransferResult{Leg: l.id, Status: 100})
	return e.route(c, dialling{caller: other.party, spaces: e.config.SearchSpaces(l.device, l.party.line, l.trunk), called: to,
		calling: other.party.identity, redirecting: []Redirection{{From: l.party.identity, Reason: RedirectTransferred}},
		hops: e.config.site.Policy.maxHops(), transferor: l})
}

// attended brings the party at the far end of the transferor's other call into this one.
func (transfer) attended(e *Engine, l, other *Leg, replaces LegID) Cause {
	c, second := l.party.call, e.legs[replaces]
	if second == nil || !second.active() || second.party.call == c {
		return NoSuchCall
	}
	old := second.party.call
	far := old.talkers(second.party)
	if len(far) == 0 {
		return NoSuchCall
	}
	for _, f := range far {
		e.move(f.party, c)
	}
	e.tell(l, TransferResult{Leg: l.id, Status: 200, Final: true})
	e.transferred(c, l.party, old)
	e.dropParty(l.party, NormalClearing)
	e.hangUp(old, NormalClearing)
	for _, f := range append(far, other) {
		e.tell(f, Identify{f.id, e.connected(f)})
	}
	return CauseNone
}

// move takes a party from its call to another one. Its exchange, if one is in flight, ends by itself.
func (e *Engine) move(p *Party, to *Call) {
	from := p.call
	for i, q := range from.parties {
		if q == p {
			from.parties = append(from.parties[:i:i], from.parties[i+1:]...)
			break
		}
	}
	for _, l := range p.legs {
		e.ground(l)
	}
	if p.stay != nil {
		p.stay.timer.call = to
	}
	from.view = nil
	p.joinedFrom(from)
	p.call = to
	to.parties = append(to.parties, p)
	p.changed()
	e.emit(PartyMoved, to, p, nil, CauseNone)
	e.out.Events[len(e.out.Events)-1].Other = from.id
}

func (e *Engine) transferred(c *Call, by *Party, other *Call) {
	e.emit(Transferred, c, by, nil, CauseNone)
	if other != nil {
		MarkTransfer.mark(other, nil, nil)
		e.out.Events[len(e.out.Events)-1].Other = other.id
	}
}

// answered: the target of a blind transfer answers, the transferor has done its part.
func (transfer) answered(e *Engine, l *Leg, s Answered) {
	by := transferor(l.party)
	if by == nil || !l.ringing() || s.Desc.Kind == KindNone && l.oa != stable {
		return
	}
	caller := l.party.offering.caller
	e.tell(by, TransferResult{Leg: by.id, Status: 200, Final: true})
	e.transferred(l.party.call, by.party, nil)
	e.dropParty(by.party, NormalClearing)
	if w := caller.wire(); w != nil {
		e.tell(w, Identify{w.id, l.party.identity})
	}
}

// failed: the target cannot be reached. A transferor that is still there gets the call back.
func (transfer) failed(e *Engine, p *Party, cause Cause) bool {
	by := transferor(p)
	if by == nil || p.offering.reroutes(cause) && e.reachTrunk(p.call, p) == CauseNone {
		return by != nil
	}
	e.tell(by, TransferResult{Leg: by.id, Status: cause.SIP(), Final: true})
	e.dropParty(p, cause)
	return true
}
