package call

import "slices"

// pickups let a phone answer a call that rings elsewhere: the one that has rung longest in its pickup group or an associated one, in a
// group it names, or at a number. Whoever picks up takes the place of the called party; what rang falls silent, with the note that the
// call was answered elsewhere.
type pickups struct{ abstain }

// pickup has a leg, which waits for its answer or is active, take a ringing call.
func (e *Engine) pickup(l *Leg, r Pickup) (Done, Cause) {
	f, cause, why := e.findRinging(l, r)
	switch {
	case cause != CauseNone:
		return Done{Why: why}, cause
	case f.afar != nil:
		return e.askFor(l, f.afar, Ask{Thing: ThingRinging, Replaces: f.afar.Leg})
	}
	return e.takeRinging(l, f.party)
}

// A found call rings here, or at another node.
type found struct {
	party *Party
	afar  *heard
}

// findRinging is what a leg answers that picks up; a cause and a sentence say that there is nothing.
func (e *Engine) findRinging(l *Leg, r Pickup) (found, Cause, string) {
	groups, cause, why := e.pickupGroups(l, r)
	if cause != CauseNone {
		return found{}, cause, why
	}
	for i, g := range groups {
		f, ok := e.longest(l, func(line LineID, called string) bool {
			return e.groupOf(line) == g && (r.Ringing == "" || line.Number == r.Ringing || called == r.Ringing)
		})
		if ok {
			e.explainFeature("pickup", "of what rings in pickup group %s the call that has rung longest is answered", g)
			return f, CauseNone, ""
		}
		if i+1 < len(groups) {
			e.explainFeature("pickup", "nothing rings in pickup group %s: %s is next", g, groups[i+1])
		}
	}
	switch {
	case r.Ringing != "":
		known := func(line LineID, called string) bool {
			return r.Group == "" && (line.Number == r.Ringing || called == r.Ringing) && e.mayAnswer(l, line, called)
		}
		if f, ok := e.longest(l, known); ok {
			return f, CauseNone, ""
		}
		return found{}, UnallocatedNumber, "nothing rings at " + r.Ringing + " that this phone may answer"
	case len(groups) == 0:
		return found{}, UserNotInGroup, "line " + l.party.line.Number + " is in no pickup group"
	}
	return found{}, UnallocatedNumber, "nothing rings in pickup group " + groups[0]
}

// longest is the call that has rung longest, here or at another node, of those that fit by the line that rings and the number it was
// called by.
func (e *Engine) longest(l *Leg, fits func(line LineID, called string) bool) (found, bool) {
	p := e.longestRinging(l, func(p *Party) bool { return fits(p.line, p.called) })
	x := e.afarRinging(l, fits)
	if p == nil || x != nil && x.at.Before(p.legs[0].history.setup) {
		return found{afar: x}, x != nil
	}
	return found{party: p}, true
}

// groupPickupCode answers a call of the group whose number is the argument.
func groupPickupCode(e *Engine, l *Leg, arg string) (Done, Cause) {
	if arg == "" {
		return Done{Why: "dial the number of the pickup group behind the code"}, InvalidNumberFormat
	}
	return e.pickup(l, Pickup{Group: arg})
}

// pickupGroups are the groups whose calls are asked for: the one named, or that of the line and those associated with it.
func (e *Engine) pickupGroups(l *Leg, r Pickup) (groups []string, cause Cause, why string) {
	own := e.ownGroups(l)
	if r.Group == "" {
		return own, CauseNone, ""
	}
	for i := range e.config.site.PickupGroups {
		g := &e.config.site.PickupGroups[i]
		if g.Number != "" && g.Number == r.Group || g.Name == r.Group && (g.Number != "" || slices.Contains(own, g.Name)) {
			return []string{g.Name}, CauseNone, ""
		}
	}
	return nil, UserNotInGroup, "there is no pickup group " + r.Group + " that this phone may answer for"
}

// ownGroups are the group of the leg's line and those associated with it.
func (e *Engine) ownGroups(l *Leg) []string {
	g := e.config.pickups[e.groupOf(l.party.line)]
	if g == nil {
		return nil
	}
	return append([]string{g.Name}, g.Associated...)
}

func (e *Engine) groupOf(id LineID) string {
	if line := e.config.lines[id]; line != nil {
		return line.PickupGroup
	}
	return ""
}

// longestRinging is the party that has rung longest of those that l could answer. Parties are numbered as they begin to ring, so that the
// order of the calls does not matter.
func (e *Engine) longestRinging(l *Leg, fits func(*Party) bool) (found *Party) {
	for _, c := range e.calls {
		for _, p := range c.parties {
			if e.canPick(l, p) && fits(p) && (found == nil || p.id < found.id) {
				found = p
			}
		}
	}
	return found
}

// canPick says whether a party rings for somebody else than the user of l.
func (e *Engine) canPick(l *Leg, p *Party) bool {
	return !p.line.IsZero() && p.dial() == "" && p.offering != nil && !p.offering.joins && p.ringing() && p.offering.caller.wire() != nil && !calls(p.offering.caller, l.device)
}

// pickupLeg answers the call of a leg that rings, for somebody who may: a member of its pickup group, or who shares the line.
func (e *Engine) pickupLeg(l, ringing *Leg) (Done, Cause) {
	p := ringing.party
	switch {
	case !e.canPick(l, p):
		return Done{Why: "that call cannot be picked up"}, NoSuchCall
	case l.tie == nil && !e.mayAnswer(l, p.line, p.called): // another node has decided that for its own phones
		return Done{Why: "this phone may not answer for " + p.line.Number}, UserNotInGroup
	}
	return e.takeRinging(l, p)
}

// mayAnswer says whether a leg may answer for a line that was called by a number: one of its groups, its own line, or one that a busy lamp of
// its device is for.
func (e *Engine) mayAnswer(l *Leg, line LineID, called string) bool {
	if g := e.groupOf(line); g != "" && slices.Contains(e.ownGroups(l), g) || e.config.lineOf(l.device, line) != nil {
		return true
	}
	d := e.config.devices[l.device]
	return d != nil && slices.ContainsFunc(d.Pickups, func(n string) bool { return n == line.Number || n == called })
}

// takeRinging puts a leg in the place of a party that rings.
func (e *Engine) takeRinging(l *Leg, p *Party) (Done, Cause) {
	q, c, by := p.offering.caller, p.call, transferor(p)
	caller := q.wire()
	if _, cause := offered(l); cause != CauseNone && l.oa == theyOffered {
		return Done{Why: unsuited}, cause
	}
	if e.suits(l, caller) != CauseNone {
		return Done{Why: unsuited}, SecurityMismatch
	}
	e.explainFeature("pickup", "the caller answers the call from %s that rings at %s", caller.end(), p.line)
	switch {
	case q.stay != nil && q.stay.park != nil:
		e.unpark(q)
	case q.kept():
		e.endStay(q)
	}
	delivers := p.offering.delivers
	e.callOff(q)
	e.joinCall(l, c)
	e.emit(PickedUp, c, l.party, l, CauseNone)
	if delivers {
		e.makeRoom(c, l)
	}
	if by != nil {
		e.tell(by, TransferResult{Leg: by.id, Status: 200, Final: true})
		e.transferred(c, by, nil, nil)
		e.dropParty(by.party, NormalClearing)
	}
	if caller.state == LegWaiting {
		e.connectWaiting(caller, l)
	} else {
		e.tell(caller, Identify{Leg: caller.id, Connected: l.party.identity})
	}
	e.touch(c)
	return Done{Taken: true}, CauseNone
}

// connectWaiting lets a caller that waits for its answer talk to a leg that was not rung for it. Where both have made an offer, the
// second leg is answered by us first: the offer of the caller then goes to it like any other.
func (e *Engine) connectWaiting(caller, l *Leg) {
	quiet := feed{kind: feedSource, source: SourceSilence}
	switch {
	case caller.early != 0: // it has an answer already, and takes no other (RFC 3261, 13.2.1)
		caller.hears = feed{}
		e.sendAnswer(caller, Media{})
	case l.state != LegWaiting:
	case l.oa == theyAsked && caller.oa == theyOffered:
		e.relay(caller, l)
	case l.oa == theyAsked:
		e.offerSource(l, quiet)
	case caller.oa == theyAsked:
		e.relay(l, caller)
	default:
		e.answerSource(l, quiet)
	}
}

func (pickups) request(e *Engine, r Request, reply *Reply) bool {
	p, ok := r.(Pickup)
	if !ok {
		return false
	}
	if d, line := e.config.devices[p.Device], e.config.lineOf(p.Device, p.Line); d != nil && line != nil && e.device(d.Name).here() { // else ringFirst says what is wrong
		who := &Leg{driver: d.Driver, device: d.Name, party: &Party{line: line.ID}}
		if _, cause, why := e.findRinging(who, p); cause != CauseNone { // the phone is not rung for nothing
			reply.Cause, reply.Why = cause, why
			return true
		}
	}
	e.ringFirst(p.Device, p.Line, wish{called: orDefault(p.Ringing, orDefault(p.Group, "pickup")), then: p, auto: true, purpose: PurposePickup}, reply)
	return true
}
