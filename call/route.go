package call

import (
	"slices"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// A dialling is a wish to reach a number on behalf of a party of the call.
type dialling struct {
	caller      *Party
	spaces      []string
	called      string
	calling     Identity
	redirecting []Redirection
	hops        int
	transferor  *Leg     // the leg whose transfer this is
	emergency   bool     // nothing but the called party itself may keep the call from being made
	through     []LineID // lines and hunt pilots that have sent the call on
	mailbox     bool     // it goes to a mailbox, which is told the diversions as it knows them
	reminder    bool     // whoever parked or transferred the caller is rung again: forwards do not count
	recall      bool     // a transfer has failed, and its transferor is rung again
	inherited   bool     // it rang for somebody else before
	parameters  string   // told to whoever is reached, see MaxParameters

	delivers bool          // it is of a Deliver
	purpose  Purpose       // for which a Join has it rung; none for all others
	longest  time.Duration // for which each phone or trunk may ring; zero is what counts for it
}

// divert adds a diversion. The list is the dialling's own afterwards: others share what it was.
func (d *dialling) divert(r Redirection) {
	d.redirecting = append(d.redirecting[:len(d.redirecting):len(d.redirecting)], r)
}

// An offering is how a party is being reached: kept from the first Ring to the answer.
type offering struct {
	dialling
	choices  []RouteMember // route list members not tried yet
	causes   []Cause       // of the route list: these lead to the next choice; empty: those of the network
	cause    Cause         // the most telling failure so far
	ring     timer
	outside  []Redirection // redirecting as the trunk's peer is told
	choice   RouteMember   // the one being tried
	plain    bool          // it is tried again with plain RTP, for an emergency
	hunt     *hunt         // the hunt that the party is a member of
	rang     bool          // a phone has said that it rings
	timedOut bool          // it has rung long enough
	joins    bool          // it is to join the call, not to be called by somebody
	exact    bool          // another node has it rung, and decides what comes next if that fails
	hunter   string        // the hunt pilot of another node for whose group it is rung
}

// route looks the number up and starts to ring what it leads to. The cause is CauseNone when a party was added that is being
// reached; otherwise nothing was added.
func (e *Engine) route(c *Call, d dialling) Cause {
	if cause := e.hopsLeft(&d); cause != CauseNone {
		return cause
	}
	q := e.query(&d)
	res := e.lookUp(q)
	if res.Outcome != dialplan.Match {
		return routeCause(res)
	}
	switch res.Pattern.Kind {
	case dialplan.ToFeature:
		return e.dialledCode(d, res)
	case dialplan.ToMeetMe:
		return e.enterRoom(d, res)
	}
	if res.Pattern.Kind == dialplan.ToPark {
		return e.dialledPark(d, slot{res.Pattern.To, res.Called})
	}
	if res.Pattern.Emergency {
		return e.callEmergency(c, d, q)
	}
	d.calling.Number = res.Calling
	if res.Presentation != dialplan.PresentationDefault {
		d.calling.Restricted = res.Presentation == dialplan.PresentationRestricted
	}
	p := &Party{called: res.Called, offering: &offering{dialling: d}}
	if d.purpose != PurposeNone {
		p.errand, p.offering.joins = &errand{purpose: d.purpose}, true
	}
	p.offering.ring = timer{call: c, party: p}
	switch res.Pattern.Kind {
	case dialplan.DirectoryNumber:
		return e.reachLine(c, p, e.config.lines[lineID(res.Pattern)])
	case dialplan.ToApplet:
		return e.reachApplet(c, p, e.config.applets[res.Pattern.To])
	case dialplan.ToTrunk:
		p.offering.choices = []RouteMember{{Trunk: res.Pattern.To}}
	case dialplan.ToRouteList:
		list := e.config.lists[res.Pattern.To]
		p.offering.choices, p.offering.causes = e.inTurn(list.Members), list.Causes
	case dialplan.ToHunt:
		return e.reachHunt(c, d, res)
	}
	cause := e.reachTrunk(c, p)
	if cause != CauseNone && p.call != nil {
		e.dropParty(p, cause)
	}
	return cause
}

// choose goes where the driver of the caller says, without asking the dial plan.
func (e *Engine) choose(c *Call, d dialling, s Setup) Cause {
	if cause := e.hopsLeft(&d); cause != CauseNone {
		return cause
	}
	e.explainFeature("route", "the element that took the call has chosen where it goes: %d choices, and the dial plan is not asked", len(s.Route))
	p := &Party{called: d.called, offering: &offering{dialling: d, choices: e.inTurn(s.Route), causes: s.RouteCauses}}
	p.offering.ring = timer{call: c, party: p}
	cause := e.reachTrunk(c, p)
	if cause != CauseNone && p.call != nil {
		e.dropParty(p, cause)
	}
	return cause
}

// query is what the dial plan is asked for a dialling.
func (e *Engine) query(d *dialling) dialplan.Query {
	device, trunk := d.from()
	q := dialplan.Query{SearchSpaces: d.spaces, Called: d.called, Calling: d.calling.Number, Complete: true, ExternalMask: e.externalMask(d.caller),
		Emergency: device != "", At: e.clock()}
	q.Zone = e.config.place(device, trunk).Zone
	return q
}

// from is the device or trunk on whose behalf a number is dialled: that of the transferor, else the caller's.
func (d *dialling) from() (device, trunk string) {
	l := d.transferor
	if l == nil {
		l = d.caller.wire()
	}
	if l == nil {
		return "", d.caller.trunk
	}
	return l.device, l.trunk
}

// inTurn is the order in which the members are tried by this call: each group that takes turns begins one further than
// for the call before.
func (e *Engine) inTurn(members []RouteMember) []RouteMember {
	out := members
	for from := 0; from < len(members); {
		to := from + 1
		for to < len(members) && members[to].Turns == members[from].Turns {
			to++
		}
		if group := members[from].Turns; group != "" {
			if &out[0] == &members[0] {
				out = slices.Clone(members) // the configuration's own list stays as it is
			}
			first := e.turns[group] % (to - from)
			e.turns[group]++
			copy(out[from:to], members[from+first:to])
			copy(out[to-first:to], members[from:from+first])
		}
		from = to
	}
	return out
}

// reroutes says whether a failure with this cause leads to the next choice.
func (o *offering) reroutes(cause Cause) bool {
	if len(o.choices) == 0 {
		return false
	}
	if o.emergency {
		return cause != UserBusy && cause != CallerCancelled
	}
	if len(o.causes) > 0 {
		return slices.Contains(o.causes, cause)
	}
	return cause.Reroutes()
}

func routeCause(res dialplan.Result) Cause {
	switch res.Outcome {
	case dialplan.Rejected:
		return CallRejected
	case dialplan.Loop:
		return LoopDetected
	}
	return UnallocatedNumber
}

// reachLine rings every appearance of a line that can be rung, or goes where the line's forwards say.
func (e *Engine) reachLine(c *Call, p *Party, line *Line) Cause {
	p.line, p.identity = line.ID, line.identity()
	d := p.offering.dialling
	if f := e.forwardOf(line, ForwardAll); e.follows(d, line, ForwardAll, f) {
		return e.forward(c, p, line, ForwardAll, f)
	}
	ready, cause := e.readyFor(d.caller, line)
	if cause == CauseNone {
		return e.ringLine(c, p, line, ready, orDefault(line.NoAnswer, e.config.site.Policy.noAnswer()))
	}
	kind := ForwardUnregistered
	switch {
	case cause == UserBusy:
		kind = ForwardBusy
	case e.applications(line) && e.forwardOf(line, ForwardNoAnswer).To != "":
		kind = ForwardNoAnswer
	}
	if f := e.forwardOf(line, kind); e.follows(d, line, kind, f) && e.forward(c, p, line, kind, f) == CauseNone {
		return CauseNone
	}
	return cause
}

// ringAt has a new party that is offered a call be a line, and rings its phones.
func (e *Engine) ringAt(c *Call, p *Party, line *Line, ready []readiness, longest time.Duration) Cause {
	p.line, p.identity = line.ID, line.identity()
	p.offering.ring = timer{call: c, party: p}
	return e.ringLine(c, p, line, ready, longest)
}

// ringLine rings phones of a line, for so long.
func (e *Engine) ringLine(c *Call, p *Party, line *Line, ready []readiness, longest time.Duration) Cause {
	e.addParty(c, p)
	p.offering.ring.kind = timerNoAnswer
	e.start(&p.offering.ring, orDefault(p.offering.longest, longest))
	for _, r := range ready {
		l, to := &Leg{driver: r.device.Driver, device: r.device.Name, policy: e.mediaOf(r.device), quiet: r.quiet, auto: r.auto},
			Target{Device: r.device.Name, Line: line.ID, Called: p.called}
		if r.node != "" {
			to.Hunt = p.offering.pilot()
			e.tieTo(l, r.node, &to)
		}
		e.ring(p, l, to)
	}
	return e.rung(p)
}

// rung says what came of ringing a party: if no leg could be rung (the offer suits none) the party is taken back.
func (e *Engine) rung(p *Party) Cause {
	if p.alive() {
		return CauseNone
	}
	cause := p.offering.cause
	e.dropParty(p, cause)
	return cause
}

// carries is how many calls a device that is here has on a line.
func (e *Engine) carries(device string, line LineID) (n int) {
	for _, l := range e.device(device).legs {
		if l.party.line == line && l.tie == nil {
			n++
		}
	}
	return n
}

func (e *Engine) reachApplet(c *Call, p *Party, a *Applet) Cause {
	p.identity = Identity{Number: p.called, Display: a.Name}
	e.addParty(c, p)
	// An applet takes what it is offered, protected or not: it is part of this program.
	e.ring(p, &Leg{driver: a.Driver, applet: a.Name, policy: MediaPolicy{SRTP: SRTPOrRTP}}, Target{Applet: a.Name, Called: p.called})
	return e.rung(p)
}

// reachTrunk rings the next trunk of the party's choices that is in service. When none takes the call the cause says why, and the
// party, if it was added before, is as it was.
func (e *Engine) reachTrunk(c *Call, p *Party) Cause {
	o := p.offering
	cause := orDefault(o.cause, NoCircuit)
	for len(o.choices) > 0 {
		m := o.choices[0]
		o.choices = o.choices[1:]
		if m.Originator {
			m.Trunk = o.caller.trunk
		}
		t := e.config.trunks[m.Trunk]
		if t == nil || !o.emergency && !e.inService(t) {
			e.explainSkipped(t, m)
			continue
		}
		o.choice, o.plain = m, false
		e.ringTrunk(c, p, t, m)
		if p.alive() {
			return CauseNone
		}
		cause = p.offering.cause
	}
	return cause
}

func (e *Engine) ringTrunk(c *Call, p *Party, t *Trunk, m RouteMember) {
	o := p.offering
	called, _ := e.config.plan.CalledNumber(t.CalledSpace, t.Called.Apply(m.Called.Apply(p.called)))
	p.trunk, p.identity = t.Name, Identity{Number: p.called}
	if p.call == nil {
		e.addParty(c, p)
	}
	p.changed()
	calling := e.config.outgoing(t, m, o.calling)
	calling.Restricted = calling.Restricted && !o.emergency
	e.diversionsOutside(o, t, m)
	if e.teller != nil {
		e.explainTrunk(t, p.called, called, o.calling.Number, calling)
		e.explainDiversions(o)
	}
	o.ring.kind = timerRoute
	e.start(&o.ring, e.config.site.Policy.routeTimeout())
	policy := t.Media
	if o.plain {
		policy.SRTP = RTP
	}
	l, to := &Leg{driver: t.Driver, trunk: t.Name, policy: policy}, Target{Trunk: t.Name, Called: called}
	if node := e.trunkNode(t); node != "" {
		to.Emergency = o.emergency
		e.tieTo(l, node, &to)
	}
	e.ringAs(p, l, to, calling)
}

// diversionsOutside has the trunk's peer told who sent the call on as it is told the caller: our lines by the numbers they have outside,
// and all as the trunk transforms numbers. A mailbox system is told them as it knows them.
func (e *Engine) diversionsOutside(o *offering, t *Trunk, m RouteMember) {
	o.outside = o.redirecting
	for i, r := range o.redirecting {
		if o.mailbox || r.From.Number == "" {
			continue
		}
		if &o.outside[0] == &o.redirecting[0] {
			o.outside = slices.Clone(o.redirecting)
		}
		from := r.From
		if line := e.config.lines[r.Line]; line != nil && line.ExternalMask != "" {
			from.Number = dialplan.Transform{Mask: line.ExternalMask}.Apply(from.Number)
		}
		o.outside[i].From = e.config.outgoing(t, m, from)
	}
}

// externalMask is the mask the calling line shows to the outside.
func (e *Engine) externalMask(p *Party) string {
	if l := e.config.lines[p.line]; l != nil {
		return l.ExternalMask
	}
	return ""
}

// ring starts a leg with the calling number as its device is shown it.
func (e *Engine) ring(p *Party, l *Leg, to Target) {
	e.ringAs(p, l, to, e.config.shown(e.config.callingSpace(l), p.offering.calling))
}

// full says whether a trunk carries as many calls as it may.
func (e *Engine) full(t *Trunk) bool { return t.MaxCalls > 0 && e.trunkOf(t.Name).legs >= t.MaxCalls }

// ringAs starts a leg. When the caller's offer does not suit it, the leg is not started and the offering remembers why.
func (e *Engine) ringAs(p *Party, l *Leg, to Target, calling Identity) {
	o := p.offering
	m, cause := e.firstOffer(o.caller, l)
	if from := o.caller.wire(); cause == CauseNone && from != nil && from.active() {
		cause = e.suits(from, l)
	}
	if cause != CauseNone {
		o.cause = telling(o.cause, cause)
		e.explainUnsuited(o.caller, l, cause)
		return
	}
	e.addLeg(p, l)
	l.state, l.told, l.oa = LegOffering, m, weOffered
	if m.Kind == KindNone {
		l.oa = weAsked
	}
	p.changed()
	switch {
	case l.trunk != "" && l.tie == nil && e.config.site.Incarnation != "":
		e.makeGlobal(p.call) // the next element has the call by the same id
	case l.tie != nil:
		e.makeGlobal(p.call)
		l.shown = behind(o.caller.wire())
	case l.device != "":
		l.shown = e.promise(o.caller.wire(), m)
	}
	redirecting := o.redirecting
	if l.trunk != "" {
		redirecting = o.outside
	}
	e.tell(l, Ring{Leg: l.id, Call: p.call.id, Target: to, Calling: calling, Called: Identity{Number: to.Called, Display: o.display(p)}, Lock: l.shown,
		Redirecting: redirecting, Hops: o.hops, Media: m, GlobalID: p.call.globalID, AutoAnswer: l.auto, Quiet: l.quiet,
		Inside: l.tie != nil && !o.caller.outside(), Tag: l.tagOut(), Parameters: o.tells(l)})
	e.emit(LegRinging, p.call, p, l, CauseNone)
}

// tells is what a leg that is rung is told in parameters: what the dialling says, behind it what the route says; an applet, where that is
// nothing, what came with the caller.
func (o *offering) tells(l *Leg) string {
	switch from := o.caller.wire(); {
	case l.tie != nil:
		return "" // within a cluster
	case l.trunk != "":
		return o.parameters + o.choice.Parameters
	case l.applet != "" && o.parameters != "":
		return o.parameters
	case l.applet != "" && from != nil:
		return from.few().parameters
	}
	return ""
}

// firstOffer is the offer a new leg gets: the caller's where the caller waits with one, else none, unless the far end needs one.
func (e *Engine) firstOffer(caller *Party, l *Leg) (Media, Cause) {
	from := caller.wire()
	if from != nil && from.state == LegWaiting && from.oa == theyOffered {
		return e.passOn(from, l)
	}
	if from != nil && e.suits(from, l) != CauseNone {
		return Media{}, SecurityMismatch // nothing is begun that could not be finished
	}
	if l.policy.EarlyOffer {
		return Media{Kind: KindOffer, Treatment: Source, Dir: SendRecv, Security: l.policy.security()}, CauseNone
	}
	return Media{}, CauseNone
}

// telling is the cause that says more about why a party could not be reached: what a user did before what the network did.
func telling(a, b Cause) Cause {
	rank := func(c Cause) int {
		switch c {
		case CauseNone:
			return 0
		case UserBusy, CallRejected:
			return 3
		case NoAnswer:
			return 2
		}
		return 1
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}
