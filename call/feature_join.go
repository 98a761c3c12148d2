package call

import (
	"slices"
	"strconv"

	"github.com/locktone/locktone/dialplan"
)

// guests are let into a call by an application (Join): who hears it and is not heard (silent monitoring), or who talks with those in it.
// A guest belongs to the conversation of others. It is nobody's other end, so that transfers, holds, deliveries and parks go as if it was not
// there; it keeps no call alive; and it goes when any of those leaves whom it was let in to. So nobody hears a conversation for which
// nobody has let it in, and a call that a guest has left is as it was, with direct media where that was direct.
//
// Who only listens is not mixed: its seat in the mixer is deaf to it. Nothing about it is told to the legs of the others, neither an identity
// nor a tone nor a lock: it is refused when it would make the call weaker.
type guests struct{ abstain }

// guest says whether a party has been let in by a Join, or is being reached for one.
func (p *Party) guest() bool { return p.listens() || p.purpose() == PurposeJoin }

// listens says whether a party is, or will be, a guest whom nobody hears.
func (p *Party) listens() bool { return p.purpose() == PurposeListen }

// talked says whether a party has come into its call, and is one of those whom a guest hears.
func (p *Party) talked() bool {
	return !p.guest() && slices.ContainsFunc(p.legs, func(l *Leg) bool { return l.history.answered != 0 && l.replaces == nil })
}

// dismiss releases the guests of a call; it says whether there were any.
func (c *Call) dismiss(e *Engine, cause Cause) bool {
	some := false
	for {
		i := slices.IndexFunc(c.parties, (*Party).guest)
		if i < 0 {
			return some
		}
		some = true
		e.dropParty(c.parties[i], cause)
	}
}

// dropped: a party has left a call. A guest that was still being reached has not come; the others go with whom they heard.
func (guests) dropped(e *Engine, c *Call, p *Party, cause Cause) {
	switch last := p.lastLeg(); {
	case p.guest() && p.offering != nil && last != nil:
		e.emit(JoinFailed, c, p, last, cause).Why = last.why
	case p.talked():
		c.dismiss(e, NormalClearing)
	}
}

func (f guests) request(e *Engine, r Request, reply *Reply) bool {
	switch r := r.(type) {
	case Join:
		reply.Cause, reply.Why = f.begin(e, r, reply)
		return true
	case Transfer:
		return f.stays(e, reply, r.Leg, r.With)
	case Conference:
		return f.stays(e, reply, append([]LegID{r.Leg}, r.With...)...)
	case Park:
		return f.stays(e, reply, r.Leg)
	case Redirect:
		return f.stays(e, reply, r.Leg)
	}
	return false
}

// guestStays is why a guest can neither be sent elsewhere nor take others with it.
const guestStays = "that leg is a guest of its call: it can be held and dropped, and nothing else"

// stays refuses a request that names a guest.
func (guests) stays(e *Engine, reply *Reply, ids ...LegID) bool {
	for _, id := range ids {
		if l := e.legs[id]; l != nil && l.party.guest() {
			reply.Cause, reply.Why = FacilityRejected, guestStays
			return true
		}
	}
	return false
}

// begin checks a Join and does it. Why says in a sentence why not; the call is then as it was.
func (f guests) begin(e *Engine, x Join, reply *Reply) (Cause, string) {
	c := e.calls[x.Call]
	host, cause, why := f.host(e, c, x)
	if cause != CauseNone {
		return cause, why
	}
	w := host.wire()
	d := dialling{caller: host, spaces: e.config.SearchSpaces(w.device, host.line, w.trunk), called: x.To, calling: host.identity,
		hops: e.config.site.Policy.maxHops(), parameters: x.Parameters, purpose: PurposeListen, longest: max(x.NoAnswer, 0)}
	if x.Mode == JoinTalk {
		d.purpose = PurposeJoin
	}
	if x.Calling != "" {
		d.calling = Identity{Number: x.Calling}
	}
	nowhere := x.To + " cannot be reached: the call is as it was"
	if res := e.config.plan.Route(e.query(&d)); res.Outcome != dialplan.Match {
		return routeCause(res), nowhere
	} else if k := res.Pattern.Kind; res.Pattern.Emergency || k != dialplan.DirectoryNumber && k != dialplan.ToApplet && k != dialplan.ToTrunk && k != dialplan.ToRouteList {
		return FacilityRejected, "who joins a call is a line, a trunk or a program: " + x.To + " is none"
	}
	if cause = e.route(c, d); cause != CauseNone {
		if why, w.why = orDefault(w.why, nowhere), ""; cause == SecurityMismatch {
			why = unsuited
		}
		return cause, why
	}
	p := c.parties[len(c.parties)-1]
	reply.Call, reply.Party, reply.Leg = c.id, p.id, p.legs[0].id
	e.settle(c)
	return CauseNone, ""
}

// host is the first of those who talk in a call that somebody is to join.
func (guests) host(e *Engine, c *Call, x Join) (*Party, Cause, string) {
	switch {
	case x.To == "":
		return nil, InvalidNumberFormat, "say who is to join the call"
	case len(x.Parameters) > MaxParameters:
		return nil, InvalidNumberFormat, tooMany(x.Parameters)
	case c == nil:
		return nil, NoSuchCall, "there is no call " + x.Call.String()
	case c.meets() || c.emergency:
		return nil, FacilityRejected, "neither a meet-me conference nor an emergency call is joined by an application"
	case c.delivery != nil && c.delivery.by != nil:
		return nil, WrongCallState, c.delivery.connecting()
	}
	all := c.talkers(nil)
	switch most := e.config.site.Policy.maxParties(); {
	case len(all) < 2:
		return nil, WrongCallState, "there is nobody in the call who talks to somebody else"
	case slices.ContainsFunc(all, func(l *Leg) bool { return l.party.stay != nil || l.replaces != nil }):
		return nil, WrongCallState, "somebody in the call is about to come or to go"
	case len(c.parties) >= most:
		return nil, ResourceUnavailable, "the call has " + strconv.Itoa(most) + " parties already"
	}
	return all[0].party, CauseNone, ""
}

func (f guests) signal(e *Engine, l *Leg, s Signal) bool {
	switch s := s.(type) {
	case Setup:
		return f.setup(e, l, s)
	case TransferAsked:
		o := e.legs[s.Replaces]
		if !l.party.guest() && (o == nil || !o.party.guest()) {
			return false
		}
		e.tell(l, TransferResult{Leg: l.id, Status: FacilityRejected.SIP(), Final: true, Why: guestStays})
		return true
	case Answered:
		return l.party.guest() && l.ringing() && (s.Desc.Kind != KindNone || l.oa == stable) && f.answered(e, l, s.Desc)
	}
	return false
}

// setup is an INVITE that wants the place of a guest, or to join its call by it.
func (guests) setup(e *Engine, l *Leg, s Setup) bool {
	for _, id := range []LegID{s.Replaces, s.Join} {
		if o := e.legs[id]; o != nil && o.party.guest() && s.Owner == "" {
			e.refused(l, CallRejected, guestStays)
			e.leave(l.party, CallRejected)
			return true
		}
	}
	return false
}

// answered: a guest may come in, unless its leg does not suit one of those it would hear, or is less protected than theirs.
func (guests) answered(e *Engine, l *Leg, d Desc) bool {
	c := l.party.call
	for _, o := range c.talkers(nil) {
		if !e.wouldSuit(o, l, d) {
			l.why = mismatch(o, l)
		}
	}
	if as := *l; l.why == "" && l.party.listens() {
		if as.desc = d; d.Kind == KindAnswer {
			as.oa = stable
		}
		as.noteCan()
		if k, _ := c.weakest(nil); as.potential() < k {
			l.why = weaker(k, as.couldBe(as.potential()))
		}
	}
	if l.why != "" {
		e.drop(l, SecurityMismatch, true)
		basic{}.legFailed(e, l, SecurityMismatch)
		return true
	}
	kind := Attended
	if l.party.listens() {
		kind = Monitored
	}
	e.emit(kind, c, l.party, l, CauseNone)
	return false
}

func weaker(k Lock, why string) string {
	return "the call is " + k.String() + ", and who listens to it must be: " + why
}

// guardGuests releases who listens by a leg that has turned out, or has become, less protected than the call; it says whether there was one.
func (e *Engine) guardGuests(c *Call) bool {
	for _, p := range c.parties {
		l := p.activeLeg()
		if l == nil || !p.listens() || l.lock() == LockUnknown {
			continue
		}
		if k, _ := c.weakest(nil); l.lock() < k {
			l.why = weaker(k, l.lockWhy())
			e.leave(p, SecurityMismatch)
			return true
		}
	}
	return false
}

// failed: who was to join cannot be reached, and the call goes on without it.
func (guests) failed(e *Engine, p *Party, cause Cause) bool {
	if !p.guest() {
		return false
	}
	if !p.offering.reroutes(cause) || e.reachTrunk(p.call, p) != CauseNone {
		e.leave(p, cause)
	}
	return true
}
