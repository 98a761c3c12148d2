package call

import (
	"slices"

	"github.com/locktone/locktone/dialplan"
)

// transfer sends the party at the other end of a leg elsewhere (REFER, RFC 3515 and RFC 5589): to a number (blind), or into
// another call the same user has (attended, with Replaces).
type transfer struct {
	abstain
	leaves bool // an application asks, and nobody at the phone waits for the outcome: the leg leaves though somebody rings still
}

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
		return t.answered(e, l, s)
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
	cause, why := NoSuchCall, "Refer-To names a call that is not here"
	if !s.Unresolved {
		cause, why = t.begin(e, l, s.To, s.Replaces)
	}
	if cause != CauseNone {
		e.tell(l, TransferResult{Leg: l.id, Status: cause.SIP(), Final: true, Why: why})
	}
}

// begin transfers the party at the other end of l: into the call of with, if that is a leg, else to a number. Why says in a sentence
// why not; the call is then as it was.
func (t transfer) begin(e *Engine, l *Leg, to string, with LegID) (cause Cause, why string) {
	others := l.party.call.talkers(l.party)
	switch {
	case !l.active() || len(others) == 0:
		return NoSuchCall, "there is nobody at the other end to be transferred"
	case t.busy(l):
		return FacilityRejected, "another transfer of this call is under way"
	case slices.ContainsFunc(others, func(o *Leg) bool { return o.party.inRoom() }):
		return FacilityRejected, "a meet-me conference is not transferred: the others may dial its number"
	case with != 0:
		return t.consulted(e, l, others, e.legs[with])
	case len(others) > 1:
		return FacilityRejected, "a call with several others cannot be transferred"
	}
	cause = t.blind(e, l, others[0], to)
	if why, l.why = l.why, ""; cause == SecurityMismatch && why == "" {
		why = unsuited
	}
	return cause, why
}

// busy says whether a transfer by this leg is under way, or somebody is being reached for the call by an application.
func (t transfer) busy(l *Leg) bool { return l.party.call.delivery != nil || t.under(l) }

// under says whether a transfer by this leg is under way.
func (transfer) under(l *Leg) bool {
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
	d := dialling{caller: other.party, spaces: e.config.SearchSpaces(l.device, l.party.line, l.trunk), called: to,
		calling: other.party.identity, redirecting: []Redirection{l.party.diverts(RedirectTransferred)},
		hops: e.config.site.Policy.maxHops(), transferor: l}
	if l.applet != "" { // a program may reach nothing by itself, and is nobody a call was for
		d.spaces, d.redirecting = e.config.SearchSpaces(other.device, other.party.line, other.trunk), nil
	}
	if other.party.outside() && e.config.site.Policy.BlockOffnetToOffnet && e.leadsOut(d) {
		return e.refused(l, CallRejected, offnet)
	}
	e.tell(l, TransferResult{Leg: l.id, Status: 100})
	return e.route(c, d)
}

// offnet says why a transfer is refused that would connect two outside parties.
const offnet = "a call from outside may not be transferred to the outside"

// leadsOut says whether a number leads to a trunk.
func (e *Engine) leadsOut(d dialling) bool {
	res := e.config.plan.Route(e.query(&d))
	return res.Outcome == dialplan.Match && (res.Pattern.Kind == dialplan.ToTrunk || res.Pattern.Kind == dialplan.ToRouteList)
}

// consulted brings whoever the transferor has consulted in another call into this one: who has answered there, or who rings there still.
func (t transfer) consulted(e *Engine, l *Leg, others []*Leg, second *Leg) (Cause, string) {
	switch {
	case second == nil || !second.onWire() || second.party.call == l.party.call:
		return NoSuchCall, "the call to be transferred to is not there"
	case second.device != l.device || second.trunk != l.trunk:
		return FacilityRejected, "both calls must be the transferor's own"
	case !second.active() && second.state != LegWaiting:
		return NoSuchCall, "the call to be transferred to is not there"
	}
	far := second.party.call.talkers(second.party)
	switch ringing := len(far) == 0 && len(e.calledBy(second.party)) > 0; {
	case ringing && len(others) > 1:
		return FacilityRejected, "a call with several others cannot be transferred"
	case ringing:
		return t.ringing(e, l, others[0], second)
	case len(far) == 0:
		return NoSuchCall, "there is nobody at the other end of the call to be transferred to"
	}
	for _, other := range others {
		for _, f := range far {
			if cause, why := e.connectable(other, f); cause != CauseNone {
				return cause, why
			}
		}
	}
	return t.join(e, l, second, others, far)
}

// connectable says whether a transfer may connect two legs. It is asked before anybody is dropped.
func (e *Engine) connectable(a, b *Leg) (Cause, string) {
	switch {
	case oneCall(a, b):
		return FacilityRejected, circle
	case e.suits(a, b) != CauseNone:
		return SecurityMismatch, unsuited
	case e.config.site.Policy.BlockOffnetToOffnet && a.party.outside() && b.party.outside():
		return CallRejected, offnet
	}
	return CauseNone, ""
}

// join ends an attended transfer: near and far are the other ends of its two calls. The call that stays is the first one, unless the second
// is a conference: then nobody who is in it is moved.
func (transfer) join(e *Engine, l, second *Leg, near, far []*Leg) (Cause, string) {
	c, old := l.party.call, second.party.call
	home, gone, moving, staying := c, old, far, near
	if old.room != nil || old.focus && !c.focus {
		home, gone, moving, staying = old, c, near, far
	}
	if cause, why := e.mayMerge(home, gone, moving, staying); cause != CauseNone {
		return cause, why
	}
	e.transferred(home, l, gone, second)
	for _, f := range moving {
		f.party.came = append(f.party.came[:len(f.party.came):len(f.party.came)], l.party.diverts(RedirectTransferred))
		e.move(f.party, home)
	}
	e.tell(l, TransferResult{Leg: l.id, Status: 200, Final: true})
	e.dropParty(l.party, NormalClearing)
	if home == old {
		e.dropParty(second.party, NormalClearing)
	}
	e.hangUp(gone, NormalClearing)
	if !home.focus && len(near)+len(far) == 2 {
		moving = append(moving, staying...)
	}
	for _, f := range moving {
		if home.focus || home.room != nil || len(near)+len(far) == 2 { // whoever comes to be in a conference is told when it begins
			e.tell(f, Identify{Leg: f.id, Connected: e.connected(f)})
		}
	}
	return CauseNone, ""
}

// ringing sends the other party to who rings in the transferor's second call (semi-attended): from here on it is a transfer like one to a
// number, and the second call of the transferor is over.
func (t transfer) ringing(e *Engine, l, other, second *Leg) (Cause, string) {
	c, old := l.party.call, second.party.call
	called := e.calledBy(second.party)
	for _, p := range called {
		for _, o := range p.legs {
			if !o.ringing() {
				continue
			}
			if cause, why := e.connectable(other, o); cause != CauseNone {
				return cause, why
			}
		}
	}
	cause := PickedUpElsewhere
	if t.leaves {
		cause = NormalClearing
		e.transferred(c, l, old, second)
	} else {
		e.tell(l, TransferResult{Leg: l.id, Status: 180})
	}
	for _, p := range called {
		e.inherit(p, other.party, l)
		e.move(p, c)
	}
	e.hangUp(old, cause)
	if t.leaves {
		e.dropParty(l.party, cause)
	}
	return CauseNone, ""
}

// calledBy are the parties that are being reached for another one, by nobody's transfer.
func (e *Engine) calledBy(p *Party) (called []*Party) {
	for _, q := range p.call.parties {
		if q.offering != nil && q.offering.caller == p && q.offering.transferor == nil && !q.offering.delivers && !q.offering.joins {
			called = append(called, q)
		}
	}
	return called
}

// inherit makes a party that rings ring for another caller, in a transfer by l.
func (e *Engine) inherit(p, caller *Party, l *Leg) {
	p.changed()
	change := func(d *dialling) {
		d.caller, d.transferor, d.inherited = caller, l, true
		d.divert(l.party.diverts(RedirectTransferred))
	}
	change(&p.offering.dialling)
	if h := p.offering.hunt; h != nil && h.caller != caller {
		change(&h.dialling)
	}
}

// diverts is the diversion by a party that sends a call on.
func (p *Party) diverts(why RedirectReason) Redirection {
	return Redirection{From: p.identity, Reason: why, Line: p.line}
}

// move takes a party from its call to another one. Its exchange, if one is in flight, ends by itself.
func (e *Engine) move(p *Party, to *Call) {
	from := p.call
	if p.talked() {
		from.dismiss(e, NormalClearing)
	}
	for i, q := range from.parties {
		if q == p {
			from.parties = append(from.parties[:i:i], from.parties[i+1:]...)
			break
		}
	}
	for _, l := range p.legs {
		e.ground(l)
		if l.tie != nil {
			l.tie.call = l.farCall() // the other node has it in that one still
		}
		if l.retry != nil {
			l.retry.call = to
		}
		if l.silence != nil {
			l.silence.call = to
		}
	}
	e.touch(to)
	if p.stay != nil {
		p.stay.timer.call = to
	}
	if p.guard != nil {
		p.guard.timer.call = to
	}
	if p.offering != nil {
		p.offering.ring.call = to
	}
	from.view = nil
	p.joinedFrom(from)
	if p.tied() && to.globalID == "" {
		to.globalID = from.globalID // the other node knows the call by it
	}
	p.call = to
	to.parties = append(to.parties, p)
	p.changed()
	e.emit(PartyMoved, to, p, nil, CauseNone).Other = from.id
}

// transferred tells of a transfer by l before anybody moves: home is the call that stays, gone the one that does not (nil in a transfer to
// a number), and second the transferor's leg in its second call.
func (e *Engine) transferred(home *Call, l *Leg, gone *Call, second *Leg) {
	ev := e.emit(Transferred, home, l.party, l, CauseNone)
	if gone != nil {
		MarkTransfer.mark(gone, nil, nil)
		ev.Other = gone.id
	}
	if second != nil {
		ev.OtherLeg = second.id
	}
}

// answered: the target of a transfer answers, and the transferor, if it has waited for that, has done its part.
func (t transfer) answered(e *Engine, l *Leg, s Answered) (taken bool) {
	o := l.party.offering
	if o == nil || o.transferor == nil || !l.ringing() || s.Desc.Kind == KindNone && l.oa != stable {
		return false
	}
	w := o.caller.wire()
	if w != nil && !e.wouldSuit(w, l, s.Desc) { // before the transferor is let go
		e.drop(l, SecurityMismatch, true)
		basic{}.legFailed(e, l, SecurityMismatch)
		return true
	}
	if by := transferor(l.party); by != nil {
		e.tell(by, TransferResult{Leg: by.id, Status: 200, Final: true})
		e.transferred(l.party.call, by, nil, nil)
		e.dropParty(by.party, NormalClearing)
	}
	if w != nil {
		e.tell(w, Identify{Leg: w.id, Connected: l.party.identity})
	}
	if o.inherited { // its phone shows who called first
		e.tell(l, Identify{Leg: l.id, Connected: o.caller.identity})
	}
	return false
}

// failed: the target cannot be reached. A transferor that is still there gets the call back; one that has gone is rung once more.
func (transfer) failed(e *Engine, p *Party, cause Cause) bool {
	o := p.offering
	if o.transferor == nil || o.recall {
		return false
	}
	if o.reroutes(cause) && e.reachTrunk(p.call, p) == CauseNone {
		return true
	}
	if by := transferor(p); by != nil {
		e.tell(by, TransferResult{Leg: by.id, Status: cause.SIP(), Final: true})
		e.dropParty(p, cause)
		return true
	}
	return e.recall(p, cause)
}

// recall rings the transferor's line after a transfer that failed behind its back.
func (e *Engine) recall(p *Party, cause Cause) bool {
	o := p.offering
	line := e.config.lines[o.transferor.party.line]
	if line == nil || e.config.site.Policy.NoRecall || !o.caller.alive() || o.caller.line == line.ID {
		return false
	}
	ready, busy := e.readyFor(o.caller, line)
	if busy != CauseNone {
		return false
	}
	c := p.call
	d := dialling{caller: o.caller, called: line.ID.Number, calling: o.caller.identity, hops: e.config.site.Policy.maxHops() - 1, transferor: o.transferor,
		reminder: true, recall: true, redirecting: []Redirection{{From: p.identity, Reason: recallReason(cause)}}}
	back := &Party{called: line.ID.Number, offering: &offering{dialling: d}}
	if e.ringAt(c, back, line, ready, orDefault(line.NoAnswer, e.config.site.Policy.noAnswer())) != CauseNone {
		return false
	}
	e.dropParty(p, cause)
	return true
}

func recallReason(cause Cause) RedirectReason {
	switch cause {
	case UserBusy:
		return RedirectBusy
	case NoAnswer, NoUserResponding:
		return RedirectNoAnswer
	}
	return RedirectUnavailable
}

func (t transfer) request(e *Engine, r Request, reply *Reply) bool {
	x, ok := r.(Transfer)
	if !ok {
		return false
	}
	l := e.legs[x.Leg]
	switch {
	case l == nil:
		reply.Cause, reply.Why = NoSuchCall, "there is no leg "+x.Leg.String()
	case (x.To == "") == (x.With == 0):
		reply.Cause, reply.Why = InvalidNumberFormat, "give the number to transfer to, or the leg of the other call, and not both"
	default:
		c := l.party.call
		if o := e.legs[x.With]; o != nil && len(c.talkers(l.party)) == 0 && o.device == l.device && len(o.party.call.talkers(o.party)) > 0 {
			l, c = o, o.party.call // who consults while it rings may name the two calls the other way round
			x.With = x.Leg
		}
		t.leaves = x.With != 0
		if reply.Cause, reply.Why = t.begin(e, l, x.To, x.With); reply.Cause == CauseNone {
			reply.Call, reply.Leg = c.id, l.id
		}
		e.settle(c)
	}
	return true
}
