package call

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
)

// ties are legs to other nodes. A call between devices at two nodes is two ordinary calls, one in each engine, and a tie: a SIP dialog over
// mutual TLS whose two ends are an ordinary leg in either call. No engine knows of the other's calls, so none has to be told when one changes:
// what a call needs of the other node it asks for over the tie, in one of three forms (Target):
//
//	ring this appearance there     the device is registered there
//	go out on this trunk there     the trunk is in service there
//	do there what is wanted here   another node owns what a caller wants: a park number, a conference, a call to be taken or joined
//
// In the first two the call is decided here, where the caller is: who is rung, for how long, what comes next. The other node rings exactly
// that (exact), and decides alone what is the device's own: whether it is busy, how it rings. In the third the asked node knows whether it
// can be done, and never asks a third one: a call does not bounce between nodes that believe different things of each other.
//
// What changes behind a tie is told by it: who is there now (Identify, Identified) and how well it is protected (ShowLock, LockShown). What
// each side says of that is about its own part of the call without the tie, so that neither hears its own words again; where ties form a
// ring, as three people make one who all have conferences with each other, by the calls that a word has come through: see Via.
type ties struct{ abstain }

// A tie is what a leg to another node has besides. Leg.device or Leg.trunk is what the leg leads to there, where that is known.
type tie struct {
	node string
	call string // the global id of the call in which the other node has it, as far as that has said so
	// behind is how well what lies behind it is protected as far as the other node has said, and why.
	behind Lock
	why    string
	via    Via    // the calls by which that has come
	told   Via    // the calls by which what it was told last has come to this one; empty: it is of this call's own legs
	home   string // this node and its life, for Via
	left   bool   // whom it led to is there no more: somebody else was connected there
	asks   bool   // it asks for something of the other node: a refusal is said in that node's words
	room   bool   // it leads into a meet-me conference of the other node
	sendTo string // for its Release: where the phone that rang here wants the call to go
	far    LegID  // its other end, where that is known
}

// tieDriver is the driver of all ties.
const tieDriver = "sip"

// node is the node that the leg leads to, empty when it leads to a device, trunk or applet here.
func (l *Leg) node() string {
	if l.tie == nil {
		return ""
	}
	return l.tie.node
}

// tagOut is the tag of the call that a tie tells the other node.
func (l *Leg) tagOut() uint64 {
	if l.tie == nil {
		return 0
	}
	return l.party.call.named.tag()
}

// farEnd is the leg at the other end of a tie that came in, zero where it is not known.
func (l *Leg) farEnd() LegID {
	if l.tie == nil {
		return 0
	}
	return l.tie.far
}

// left says whether a tie does not lead to its device any more.
func (l *Leg) left() bool { return l.tie != nil && l.tie.left }

// sendTo is where the other node is to send a call whose tie is released.
func (l *Leg) sendTo() string {
	if l.tie == nil {
		return ""
	}
	return l.tie.sendTo
}

// tieTo makes a leg that has not begun one to another node. What media needs here is that node's to do: a relay, an offer made early.
func (e *Engine) tieTo(l *Leg, node string, to *Target) {
	l.driver, l.tie, to.Node = tieDriver, &tie{node: node, home: e.home()}, node
	l.policy.Anchor, l.policy.EarlyOffer = false, false
}

// tied says whether a party is, or may be, behind a tie.
func (p *Party) tied() bool {
	return slices.ContainsFunc(p.legs, func(l *Leg) bool { return l.tie != nil && l.onWire() })
}

// outside says whether a party is not of this site: on a trunk, here or behind a tie.
func (p *Party) outside() bool { return p.trunk != "" || p.far }

// insideFor says whether those whom a leg talks to are of this site.
func (e *Engine) insideFor(l *Leg) bool {
	for _, p := range l.party.call.parties {
		if p != l.party && p.outside() && p.alive() && !p.listens() {
			return false
		}
	}
	return true
}

// oneCall says whether two legs of different calls are both ends of ties of one call at another node: connected, they would be a ring of ties
// with nobody in it, which nobody could end.
func oneCall(a, b *Leg) bool {
	return a.tie != nil && b.tie != nil && a.node() == b.node() && a.party.call != b.party.call && a.farCall() == b.farCall()
}

// farCall is the global id of the call in which the other node has the far end of a tie.
func (l *Leg) farCall() string { return orDefault(l.tie.call, l.party.call.globalID) }

// circle says why.
const circle = "both calls are one at the other node: it would talk to itself"

// meets says whether a call is, or leads into, a meet-me conference: nobody is sent elsewhere with all who are in it.
func (c *Call) meets() bool {
	return c.room != nil || slices.ContainsFunc(c.parties, (*Party).inRoom)
}

// inRoom says whether a party is a meet-me conference of another node.
func (p *Party) inRoom() bool {
	return slices.ContainsFunc(p.legs, func(l *Leg) bool { return l.tie != nil && l.tie.room })
}

// meant makes a Setup over a tie one of whom it is for: what was asked is as if that device had asked here.
func (s *Setup) meant() {
	s.Device, s.Line, s.Trunk, s.Replaces, s.Join, s.Owner = "", LineID{}, "", 0, 0, ""
	if s.At == nil {
		return
	}
	s.Called = s.At.Called
	if a := s.At.Ask; a != nil && !a.Park { // who parks somebody is not the one who waits
		s.Device, s.Line, s.Trunk, s.Replaces, s.Join = a.Device, a.Line, a.Trunk, a.Replaces, a.Join
	}
}

// tied completes what comes in over a tie. The caller's node has seen to it that its media suits, by what it offers: that is its policy.
func (e *Engine) tied(p *Party, l *Leg, s Setup) {
	l.policy = MediaPolicy{SRTP: orDefault(l.policy.SRTP, SRTPOrRTP)}
	if e.config.devices[l.device] == nil && e.config.trunks[l.trunk] == nil {
		l.policy.SRTP = SRTPOrRTP
	}
	p.far = !s.Inside
	if p.line.IsZero() {
		p.identity = s.Calling
	}
}

// sameCall notes the id under which the other node knows the call, where the leg has come into one that has another.
func (l *Leg) sameCall(id string) {
	switch c := l.party.call; {
	case id == "" || id == c.globalID:
	case c.globalID == "":
		c.globalID, c.view = id, nil
	default:
		l.seldom().joined = append(l.seldom().joined, CallRef{GlobalID: id})
	}
}

// makeGlobal gives a call that gets a tie an id that is the same on all nodes. RFC 7989, 5: 32 hexadecimal digits that no other call has: the
// engine throws no dice, so they are the node, its life, and the number of the call.
func (e *Engine) makeGlobal(c *Call) {
	if c.globalID != "" {
		return
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(e.config.site.Node + "\x00" + e.config.site.Incarnation))
	c.globalID, c.view = fmt.Sprintf("%016x%016x", h.Sum64(), uint64(c.id)), nil
}

// tieAsks does what another node wants of this one.
func (e *Engine) tieAsks(l *Leg, s Setup) Cause {
	switch {
	case s.At == nil:
		return e.refused(l, ProtocolError, "node "+s.Node+" does not say what it wants")
	case s.At.Ask == nil:
		return e.ringExactly(l, s)
	}
	a, at := s.At.Ask, slot{s.At.Ask.Range, s.At.Called}
	switch {
	case a.Thing == ThingRoom:
		m := e.config.meets[a.Range]
		if x := e.afarSpot(ThingRoom, Spot{a.Range, s.Called}); m == nil || x != nil && e.rooms[roomKey(m, s.Called)] == nil {
			return e.refused(l, TemporaryFailure, "conference "+s.Called+" is not kept at this node")
		}
		return e.enter(dialling{caller: l.party}, m, s.Called)
	case a.Park:
		return e.parkAsked(l, a, at)
	case a.Thing == ThingParked && e.slots[at] != nil:
		return e.retrieve(l, e.slots[at])
	}
	return e.refused(l, UnallocatedNumber, "nobody is parked at "+s.Called)
}

// ringExactly rings one appearance, or one trunk, and nothing else.
func (e *Engine) ringExactly(l *Leg, s Setup) Cause {
	c, at := l.party.call, s.At
	c.upstream, c.view = &Upstream{Node: s.Node, Call: s.FarCall, Tag: s.Tag}, nil
	d := dialling{caller: l.party, called: at.Called, calling: s.Calling, redirecting: s.Redirecting, hops: e.hopsOf(s), emergency: at.Emergency}
	if cause := e.hopsLeft(&d); cause != CauseNone {
		return cause
	}
	p := &Party{called: at.Called, offering: &offering{dialling: d, exact: true, hunter: at.Hunt, outside: s.Redirecting}}
	p.offering.ring = timer{call: c, party: p}
	if at.Trunk != "" {
		return e.trunkExactly(c, p, e.config.trunks[at.Trunk], *at)
	}
	state, line := e.device(at.Device), e.config.lineOf(at.Device, at.Line)
	if line == nil || !state.here() {
		return SubscriberAbsent
	}
	r, ok := e.readyAt(l.party, line, line.appearance(at.Device))
	if !ok || at.Hunt != "" && (state.huntOut || state.dnd) {
		return UserBusy
	}
	p.line, p.identity = line.ID, line.identity()
	e.addParty(c, p)
	e.ring(p, &Leg{driver: r.device.Driver, device: at.Device, policy: e.mediaOf(r.device), quiet: r.quiet, auto: r.auto},
		Target{Device: at.Device, Line: line.ID, Called: at.Called})
	return e.rung(p)
}

// trunkExactly goes out on a trunk that is in service here, with the numbers that the other node has made for it.
func (e *Engine) trunkExactly(c *Call, p *Party, t *Trunk, to Target) Cause {
	switch {
	case t == nil:
		return NoRouteToDestination
	case to.Emergency:
		c.emergency, c.view = true, nil
	case e.trunkOf(t.Name).down || e.full(t):
		return NoCircuit
	}
	p.trunk, p.identity = t.Name, Identity{Number: to.Called}
	e.addParty(c, p)
	e.ringAs(p, &Leg{driver: t.Driver, trunk: t.Name, policy: t.Media}, Target{Trunk: t.Name, Called: to.Called}, p.offering.calling)
	return e.rung(p)
}

// handBack sends a call that another node has rung here elsewhere: that node does it, which decides where the call goes.
func (e *Engine) handBack(p *Party, to string) {
	caller := p.offering.caller
	if w := caller.wire(); w != nil && w.tie != nil {
		w.tie.sendTo = to
	}
	e.leave(caller, NormalClearing)
}

// askNode has another node do what the caller of a dialling wants of a thing that it owns. The caller waits for its answer as for anybody's.
func (e *Engine) askNode(d dialling, node string, called Identity, a Ask) Cause {
	from := d.caller.wire()
	switch {
	case from == nil:
		return CallRejected
	case from.tie != nil && from.incoming && from.state == LegWaiting:
		return e.refused(from, ExchangeRoutingError, "this node was asked for what node "+node+" has")
	case !e.nodes[node]:
		return e.refused(from, NetworkOutOfOrder, "node "+node+", which keeps that, cannot be reached")
	}
	c := d.caller.call
	if d.hops == 0 {
		d.hops = e.config.site.Policy.maxHops()
	}
	p := &Party{called: called.Number, identity: called, offering: &offering{dialling: d}}
	p.offering.ring = timer{kind: timerRoute, call: c, party: p}
	if !a.Park {
		a.Device, a.Line, a.Trunk = from.device, d.caller.line, from.trunk
	}
	to := Target{Called: called.Number, Ask: &a}
	l := &Leg{policy: MediaPolicy{SRTP: SRTPOrRTP}}
	e.tieTo(l, node, &to)
	l.tie.asks, l.tie.room = true, a.Thing == ThingRoom
	e.addParty(c, p)
	e.start(&p.offering.ring, e.config.site.Policy.routeTimeout())
	e.ringAs(p, l, to, d.calling)
	return e.rung(p)
}

// askFor takes, or joins, a call of another node with a leg that waits for its answer or is alone in its call.
func (e *Engine) askFor(l *Leg, x *heard, a Ask) (Done, Cause) {
	called := Identity{Number: orDefault(x.Number, x.Line.Number)}
	if line := e.config.lines[x.Line]; line != nil {
		called.Display = line.Display
	}
	e.explainFeature("node", "the call is one of node %s, which is asked for it", x.Node)
	cause := e.askNode(dialling{caller: l.party, calling: l.party.identity, called: called.Number}, x.Node, called, a)
	return Done{Taken: true, Why: l.why}, cause
}

func (ties) signal(e *Engine, l *Leg, s Signal) bool {
	switch s := s.(type) {
	case Identified:
		if l.tie != nil && l.onWire() {
			e.identified(l, s)
		}
		return true
	case LockShown:
		if l.tie != nil && l.onWire() {
			l.tie.behind, l.tie.why, l.tie.via = s.Lock, s.Why, s.Via
			l.party.changed()
			l.party.call.weakness.stale = true
		}
		return true
	case Answered:
		if l.tie != nil && l.ringing() {
			l.tie.behind, l.tie.call, l.tie.why, l.tie.via = s.Lock, s.GlobalID, "", ""
		}
	case Released:
		if l.tie != nil && l.tie.asks && s.Why != "" && l.ringing() && l.party.offering != nil {
			e.refused(l.asker(), s.Cause, s.Why)
		}
	}
	return false
}

// is says whether a leg still is what another node asks for.
func (l *Leg) is(t Thing) bool {
	switch t {
	case ThingNone:
		return true
	case ThingRinging:
		return l.ringing()
	case ThingHeld:
		return l.active() && l.party.held
	}
	return l.active()
}

// asker is the leg that wants what the tie asks for.
func (l *Leg) asker() *Leg {
	if by := transferor(l.party); by != nil {
		return by
	}
	return l.party.offering.caller.wire()
}

// identified: somebody else is at the far end of a tie.
func (e *Engine) identified(l *Leg, s Identified) {
	p, c := l.party, l.party.call
	l.tie.call = s.GlobalID
	if p.identity == s.Connected && p.far == !s.Inside {
		return
	}
	p.identity, p.far = s.Connected, !s.Inside
	if left := !p.line.IsZero() && s.Connected.Number != "" && s.Connected.Number != p.line.Number; left != l.tie.left {
		l.tie.left, l.policy = left, MediaPolicy{SRTP: SRTPOrRTP} // who is there now shows what it can by what it offers
	}
	p.changed()
	e.emit(PartyChanged, c, p, l, CauseNone)
	if !l.active() || c.focus {
		return
	}
	for _, o := range c.talkers(p) {
		if o.party.stay == nil && o.replaces == nil {
			e.tell(o, Identify{Leg: o.id, Connected: e.connected(o)})
		}
	}
}

// here says whether a device is registered at this node.
func (d *deviceState) here() bool { return d.up && d.node == "" }

// moved notes where a device is.
func (d *deviceState) moved(s DeviceState) {
	if s.Up || s.Node == d.node {
		d.up, d.node, d.plain = s.Up, s.Node, s.Plain
	}
	if !d.up {
		d.node = ""
	}
}

// moved notes where a trunk is in service.
func (t *trunkState) moved(s TrunkState) {
	if s.Node == "" {
		t.down = !s.Up
		return
	}
	t.at = slices.DeleteFunc(slices.Clone(t.at), func(n string) bool { return n == s.Node })
	if s.Up {
		t.at = append(t.at, s.Node)
	}
}

// inService says whether a call may go out on a trunk: here, where it is in service and has room, or by another node.
func (e *Engine) inService(t *Trunk) bool {
	state := e.trunkOf(t.Name)
	return !state.down && !e.full(t) || len(state.at) > 0
}

// trunkNode is the node by which a call goes out on a trunk; empty is here.
func (e *Engine) trunkNode(t *Trunk) string {
	state := e.trunkOf(t.Name)
	if !state.down && !e.full(t) || len(state.at) == 0 {
		return ""
	}
	return state.at[0]
}

// nodeState notes that a node lives or is lost. What a lost one had is gone, and legs to it that wait for something have failed.
func (e *Engine) nodeState(s NodeState) {
	if e.nodes[s.Node] = s.Up; s.Up {
		return
	}
	delete(e.nodes, s.Node)
	for _, d := range e.devices {
		d.moved(DeviceState{Node: s.Node})
	}
	for _, t := range e.trunks {
		t.moved(TrunkState{Node: s.Node})
	}
	e.forgetNode(s.Node)
	for _, id := range slices.Sorted(maps.Keys(e.legs)) {
		if l := e.legs[id]; l != nil && l.node() == s.Node && !l.active() {
			e.trigger = trigger{ReleasedByDriver, id}
			e.tell(l, Release{Leg: id, Cause: NetworkOutOfOrder})
			e.dispatch(l, Released{Leg: id, Cause: NetworkOutOfOrder})
		}
	}
}
