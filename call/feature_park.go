package call

import (
	"slices"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// parks let a call wait at a park number: the party that was parked hears music, alone in its call, until somebody dials the
// number. If nobody does, whoever parked it is rung again (or the range's reversion), as often as the policy allows.
type parks struct{ abstain }

// A slot is a park number of a range.
type slot struct{ park, number string }

// A parking is where a party waits and who is reminded of it.
type parking struct {
	slot      slot
	line      LineID // of whoever parked it; zero for a trunk
	device    string
	reminders int
}

// park leaves the party at the other end of l at the wanted number, or at a free one, and takes l out of the call. Why says in a
// sentence why not.
func (e *Engine) park(l *Leg, wanted string) (at slot, cause Cause, why string) {
	q, cause, why := e.parkable(l)
	if cause != CauseNone {
		return slot{}, cause, why
	}
	if at, cause, why = e.freeSlot(l, wanted); cause != CauseNone {
		return slot{}, cause, why
	}
	e.explainFeature("park", "the call with %s is parked at %s (range %s)", e.explainTalkers(l), at.number, at.park)
	if node := e.config.slotOwner(at); node != e.config.site.Node {
		cause, why = e.parkAway(q, at, l, node)
		return at, cause, why
	}
	e.parkAt(q, at, l)
	e.dropParty(l.party, NormalClearing)
	return at, CauseNone, ""
}

// parkAway has the node that keeps a park number leave a party there; whoever parks it is released when that is done.
func (e *Engine) parkAway(q *Party, at slot, by *Leg, node string) (Cause, string) {
	if (transfer{}).busy(by) {
		return FacilityRejected, "another transfer of this call is under way"
	}
	d := dialling{caller: q, called: at.number, calling: q.identity, transferor: by}
	cause := e.askNode(d, node, Identity{Number: at.number, Display: "Parked"}, Ask{Device: by.device, Line: by.party.line, Thing: ThingParked, Range: at.park, Park: true})
	why := ""
	if w := q.wire(); cause != CauseNone && w != nil {
		why, w.why = w.why, ""
	}
	return cause, why
}

// parkAsked leaves a party that another node sends here at a park number.
func (e *Engine) parkAsked(l *Leg, a *Ask, at slot) Cause {
	switch {
	case !e.config.hasSlot(at) || e.config.slotOwner(at) != e.config.site.Node:
		return e.refused(l, UnallocatedNumber, "this node does not keep park number "+at.number)
	case e.slots[at] != nil:
		return e.refused(l, UserBusy, "a call is parked at "+at.number+" already")
	}
	e.parkAt(l.party, at, &Leg{device: a.Device, party: &Party{line: a.Line}})
	return CauseNone
}

// parkedText is what the display of a phone says that has parked a call.
func (e *Engine) parkedText(at slot) string {
	if e.config.slotOwner(at) != e.config.site.Node {
		return "Parking at " + at.number // its node has been asked
	}
	return "Parked at " + at.number
}

// parkable is the one party that l talks to.
func (e *Engine) parkable(l *Leg) (*Party, Cause, string) {
	c := l.party.call
	others := c.talkers(l.party)
	switch {
	case !l.active() || len(others) == 0:
		return nil, NoSuchCall, "there is nobody at the other end to be parked"
	case len(c.parties) > 2 || c.meets():
		return nil, FacilityRejected, "a call can be parked when it has one other party and nobody else is being called"
	case c.emergency:
		return nil, FacilityRejected, "an emergency call cannot be parked"
	}
	return others[0].party, CauseNone, ""
}

// parkAt has a party wait at a slot; by is the leg that parks it.
func (e *Engine) parkAt(q *Party, at slot, by *Leg) {
	shows := Identity{Number: at.number, Display: "Parked"}
	e.stayAlone(q, &stay{source: e.musicOf(by), shows: shows, park: &parking{slot: at, line: by.party.line, device: by.device}}, e.config.reminder(at))
	e.slots[at] = q
	e.touch(q.call)
	e.emit(Parked, q.call, q, nil, CauseNone).Slot = at.number
	if l := q.activeLeg(); l != nil && !q.outside() { // park numbers mean nothing to the outside
		e.tell(l, Identify{Leg: l.id, Connected: shows})
	}
}

// reminder is how long a call waits at a slot before somebody is reminded.
func (c *Config) reminder(at slot) time.Duration {
	if r := c.parks[at.park]; r != nil {
		return orDefault(r.Reminder, time.Minute)
	}
	return time.Minute // the range was taken out of the configuration
}

// freeSlot is the wanted park number, or the first free one, that the device or trunk of l may dial.
func (e *Engine) freeSlot(l *Leg, wanted string) (at slot, cause Cause, why string) {
	if wanted != "" {
		at, ok := e.reaches(l, wanted)
		switch {
		case !ok:
			return slot{}, UnallocatedNumber, wanted + " is no park number that can be dialled here"
		case e.taken(at):
			return slot{}, UserBusy, "a call is parked at " + wanted + " already"
		}
		return at, CauseNone, ""
	}
	reached := false
	for i := range e.config.site.Parks {
		r := &e.config.site.Parks[i]
		if r.Directed {
			continue
		}
		for i, n := range r.Slots {
			if reached && e.taken(slot{r.Name, n}) || e.config.owner(i) != e.config.site.Node {
				continue
			}
			if at, ok := e.reaches(l, n); ok && at.park == r.Name {
				if reached = true; !e.taken(at) {
					return at, CauseNone, ""
				}
			}
		}
	}
	if reached {
		return slot{}, UserBusy, "every park number is taken"
	}
	return slot{}, UnallocatedNumber, "there is no park number that can be dialled here"
}

// taken says whether somebody is parked at a number.
func (e *Engine) taken(at slot) bool {
	return e.slots[at] != nil || e.afarSpot(ThingParked, Spot{at.park, at.number}) != nil
}

// reaches looks a park number up for a leg.
func (e *Engine) reaches(l *Leg, number string) (slot, bool) {
	d := dialling{caller: l.party, spaces: e.config.SearchSpaces(l.device, l.party.line, l.trunk), called: number, calling: l.party.identity}
	res := e.config.plan.Route(e.query(&d))
	if res.Outcome != dialplan.Match || res.Pattern.Kind != dialplan.ToPark || !e.config.hasSlot(slot{res.Pattern.To, res.Called}) {
		return slot{}, false
	}
	return slot{res.Pattern.To, res.Called}, true
}

func (c *Config) hasSlot(at slot) bool {
	r := c.parks[at.park]
	return r != nil && slices.Contains(r.Slots, at.number)
}

// parkCode parks what the device has on hold; the argument is the park number.
func parkCode(e *Engine, l *Leg, arg string) (Done, Cause) {
	held := e.heldBy(l)
	if held == nil {
		return Done{Why: "this phone has no call on hold that could be parked"}, NoSuchCall
	}
	at, cause, why := e.park(held, arg)
	return Done{Display: e.parkedText(at), Why: why}, cause
}

// heldBy is the newest call the device of l has besides l: one on hold before one that is not.
func (e *Engine) heldBy(l *Leg) *Leg {
	var found *Leg
	for _, o := range e.device(l.device).legs {
		if o != l && o.active() && o.party.call != l.party.call && len(o.party.call.talkers(o.party)) > 0 &&
			(found == nil || o.party.held || !found.party.held) {
			found = o
		}
	}
	return found
}

// parkTransferred parks the party that is being transferred to the park code or to a park number; wanted may be empty.
func (e *Engine) parkTransferred(d dialling, wanted string) Cause {
	by := d.transferor
	if len(d.redirecting) > 1 {
		return e.refused(by, CallRejected, "calls cannot be forwarded to a park number")
	}
	if _, cause, why := e.parkable(by); cause != CauseNone {
		return e.refused(by, cause, why)
	}
	at, cause, why := e.freeSlot(by, wanted)
	if cause != CauseNone {
		return e.refused(by, cause, why)
	}
	if node := e.config.slotOwner(at); node != e.config.site.Node {
		if cause, why = e.parkAway(d.caller, at, by, node); cause != CauseNone {
			return e.refused(by, cause, why)
		}
		return CauseNone
	}
	e.tell(by, TransferResult{Leg: by.id, Status: 200, Final: true, Why: "Parked at " + at.number})
	e.transferred(d.caller.call, by, nil, nil)
	e.parkAt(d.caller, at, by)
	e.dropParty(by.party, NormalClearing)
	return CauseNone
}

// dialledPark is a call to a park number: it fetches who waits there. A transfer parks there, and so does a device that dials a free
// number of a directed range while it has a call on hold.
func (e *Engine) dialledPark(d dialling, at slot) Cause {
	l := d.caller.wire()
	switch {
	case d.transferor != nil:
		return e.parkTransferred(d, d.called)
	case l == nil || l.device == "":
		return e.refused(l, CallRejected, "parked calls are fetched by the phones of this site")
	case len(d.redirecting) > 0:
		return e.refused(l, CallRejected, "calls cannot be forwarded to a park number")
	case e.slots[at] != nil:
		return e.retrieve(l, e.slots[at])
	}
	r := e.config.parks[at.park]
	held := e.heldBy(l)
	node := e.config.slotOwner(at)
	if node != e.config.site.Node && (held == nil || !r.Directed || e.taken(at)) {
		e.explainFeature("park", "park number %s is kept at node %s, which is asked for who waits there", at.number, node)
		return e.askNode(dialling{caller: d.caller, calling: d.calling, called: at.number, hops: d.hops}, node, Identity{Number: at.number, Display: "Parked"},
			Ask{Thing: ThingParked, Range: at.park})
	}
	if r == nil || !r.Directed || held == nil {
		return e.refused(l, UnallocatedNumber, "nobody is parked at "+at.number)
	}
	if _, cause, why := e.park(held, d.called); cause != CauseNone {
		return e.refused(l, cause, why)
	}
	e.confirm(l, Identity{Number: d.called, Display: e.parkedText(at)})
	return CauseNone
}

// retrieve connects a leg with the party that is parked; its own call is over.
func (e *Engine) retrieve(l *Leg, q *Party) Cause {
	w := q.activeLeg()
	switch {
	case w == nil || w.device == l.device:
		return e.refused(l, NoSuchCall, "nobody else is parked there")
	case e.suits(l, w) != CauseNone:
		return e.refused(l, SecurityMismatch, "the parked call and this phone cannot agree on how media is protected")
	}
	e.explainFeature("park", "%s is parked at %s, and is connected with the caller", w.end(), q.stay.park.slot.number)
	e.unpark(q)
	e.callOff(q)
	if n := l.party.call.named; n.tag() != 0 { // the application that fetches knows the call by this name, and waits for it
		var said []byte
		if q.call.named != nil {
			said = q.call.named.UserData
		}
		q.call.named, q.call.view = named(n.Tag, said), nil
	}
	e.joinCall(l, q.call)
	e.tell(w, Identify{Leg: w.id, Connected: l.party.identity})
	return CauseNone
}

// unpark ends the waiting of a party.
func (e *Engine) unpark(q *Party) {
	at := q.stay.park.slot
	e.endStay(q)
	e.emit(Retrieved, q.call, q, nil, CauseNone).Slot = at.number
}

// callOff ends the ringing of everybody who is being called for a party.
func (e *Engine) callOff(q *Party) { e.callOffBut(q, nil) }

// callOffBut ends it for all but one.
func (e *Engine) callOffBut(q, but *Party) {
	for i := 0; i < len(q.call.parties); i++ {
		if o := q.call.parties[i].offering; o != nil && o.caller == q && q.call.parties[i] != but {
			e.dropParty(q.call.parties[i], PickedUpElsewhere)
			i = -1
		}
	}
}

// joinCall moves the party of a leg that waits for its answer, or is alone, into another call; its own call is over.
func (e *Engine) joinCall(l *Leg, to *Call) {
	own := l.party.call
	e.move(l.party, to)
	e.hangUp(own, NormalClearing)
	if l.active() {
		e.tell(l, Identify{Leg: l.id, Connected: e.connected(l)})
	}
}

// expired: a party has waited long enough for somebody to be reminded, or for good.
func (parks) expired(e *Engine, t *timer) bool {
	if t.kind != timerStay || t.party.stay == nil || t.party.stay.park == nil {
		return false
	}
	q, k := t.party, t.party.stay.park
	if k.reminders++; k.reminders > e.config.site.Policy.maxReminders() {
		if w := q.activeLeg(); w != nil {
			w.why = "nobody has fetched the call from " + k.slot.number
		}
		e.release(q, nil, NoAnswer)
		return true
	}
	if e.remind(q, k) != CauseNone {
		e.remindLater(q)
	}
	return true
}

// remind rings whoever parked the party, or where the range reverts to. Forwards of the parker's line do not count: it is the
// parker who is reminded, not whoever answers for them.
func (e *Engine) remind(q *Party, k *parking) Cause {
	d := dialling{caller: q, called: k.line.Number, calling: q.identity, hops: e.config.site.Policy.maxHops() - 1,
		redirecting: []Redirection{{From: Identity{Number: k.slot.number, Display: "Parked call"}, Reason: RedirectNoAnswer}}}
	if r := e.config.parks[k.slot.park]; r != nil && r.Reversion.To != "" {
		d.called = r.Reversion.To
		if d.spaces = e.config.SearchSpaces(k.device, k.line, ""); r.Reversion.SearchSpace != "" {
			d.spaces = []string{r.Reversion.SearchSpace}
		}
		return e.route(q.call, d)
	}
	d.reminder = true
	line := e.config.lines[k.line]
	if line == nil {
		return SubscriberAbsent // parked from outside: there is nobody to be reminded
	}
	ready, cause := e.readyFor(q, line)
	if cause != CauseNone {
		return cause
	}
	p := &Party{called: k.line.Number, offering: &offering{dialling: d}}
	return e.ringAt(q.call, p, line, ready, orDefault(line.NoAnswer, e.config.site.Policy.noAnswer()))
}

// remindLater starts the time until the next reminder, for a party that is still parked while nobody rings for it.
func (e *Engine) remindLater(q *Party) {
	if q.stay == nil || q.stay.park == nil || q.stay.timer.running() {
		return
	}
	for _, p := range q.call.parties {
		if p.offering != nil && p.offering.caller == q {
			return
		}
	}
	e.start(&q.stay.timer, e.config.reminder(q.stay.park.slot))
}

// signal: whoever was reminded answers.
func (parks) signal(e *Engine, l *Leg, s Signal) bool {
	a, ok := s.(Answered)
	if !ok || !l.ringing() || l.party.offering == nil || a.Desc.Kind == KindNone && l.oa != stable {
		return false
	}
	q := l.party.offering.caller
	if q.stay == nil || q.stay.park == nil {
		return false
	}
	w := q.activeLeg()
	if w != nil && !e.wouldSuit(w, l, a.Desc) { // before the waiting is over
		l.why = unsuited
		e.drop(l, SecurityMismatch, true)
		basic{}.legFailed(e, l, SecurityMismatch)
		return true
	}
	e.unpark(q)
	if w != nil {
		e.tell(w, Identify{Leg: w.id, Connected: l.party.identity})
	}
	return false
}

// reminders come last of those that deal with failure: nobody takes the reminder, and the party goes on waiting.
type reminders struct{ abstain }

func (reminders) failed(e *Engine, p *Party, cause Cause) bool {
	if q := p.offering.caller; q == nil || q.stay == nil || q.stay.park == nil {
		return false
	}
	e.dropParty(p, cause)
	return true
}

func (parks) request(e *Engine, r Request, reply *Reply) bool {
	if r, ok := r.(Retrieve); ok {
		e.ringFirst(r.Device, r.Line, wish{called: r.Slot, auto: true, named: named(r.Tag, nil), purpose: PurposeRetrieve}, reply)
		return true
	}
	k, ok := r.(Park)
	if !ok {
		return false
	}
	l := e.legs[k.Leg]
	if l == nil {
		reply.Cause, reply.Why = NoSuchCall, "there is no leg "+k.Leg.String()
		return true
	}
	c := l.party.call
	at, cause, why := e.park(l, k.Slot)
	reply.Cause, reply.Why = cause, why
	if cause == CauseNone {
		reply.Call, reply.Leg, reply.Slot = c.id, k.Leg, at.number
	}
	e.settle(c)
	return true
}
