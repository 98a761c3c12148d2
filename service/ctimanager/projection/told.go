package projection

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// An appearance is what the observers of one leg have been told.
type appearance struct {
	engine *engine
	seat   seat
	call   call.CallID
	party  call.PartyID
	leg    call.LegID // zero for a device that has none
	spot   spot
	handle Handle
	calls  bool
	remote bool
	self   Party // whose leg it is

	state    ctiqbe.CallState
	gch      GCH
	data     []byte // what an application says of the call
	parent   GCH
	origin   ctiqbe.CallOrigin
	reason   ctiqbe.CallReason
	parties  parties
	private  bool
	security ctiqbe.CallSecurityStatus
	// met is who was in the call when it was told that it stands: a client takes a new far end for one that rings until it is told so again.
	met parties
	// leaving is why the leg is about to go, where that is more than the end of a call.
	leaving ctiqbe.CallReason
}

// why is what is known of a change beside the pictures.
type why struct {
	existing bool // it was so before, and was not seen
	closed   bool // nobody knows
	cause    ctiqbe.Cause
	reason   ctiqbe.CallReason
}

// remoteManager is what is added to the callManagerID of handles of devices that share a line and have no leg: they are numbered here.
const remoteManager = 0x200

// look tells what a picture says that has not been told.
func (m *Machine) look(e *engine, v *call.View, w why) {
	wants := m.wants(e, v)
	for _, a := range e.of(v.ID) {
		if !wanting(wants, a.seat) && !e.reseat(a, wants) {
			m.finish(e, a, w)
		}
	}
	for i := range wants {
		if a := e.legs[wants[i].seat]; a != nil {
			m.differ(e, a, v, &wants[i], w)
		} else {
			m.appear(e, v, &wants[i], w)
		}
	}
}

// reseat has a device that shares a line see the call by another party of that line, when the one it was seen by has left.
func (e *engine) reseat(a *appearance, wants []wanted) bool {
	for i := range wants {
		x := &wants[i]
		if a.remote && x.remote && a.leg == 0 && x.leg == nil && a.spot == (spot{x.device(), x.line}) && e.legs[x.seat] == nil {
			delete(e.legs, a.seat)
			a.seat, a.calls = x.seat, x.calls
			e.legs[a.seat] = a
			return true
		}
	}
	return false
}

func wanting(wants []wanted, s seat) bool {
	for i := range wants {
		if wants[i].seat == s {
			return true
		}
	}
	return false
}

// appear tells of a new leg.
func (m *Machine) appear(e *engine, v *call.View, x *wanted, w why) {
	a := &appearance{engine: e, seat: x.seat, party: x.party.ID, spot: spot{x.device(), x.line}, calls: x.calls, remote: x.remote, private: x.private,
		gch: m.gch(e, v), data: m.userData(e, v), parties: m.partiesOf(e, v, x.party), self: m.party(e, x.party, 0), security: securityOf(v)}
	a.origin, a.reason = originOf(e, v, x), reasonOf(v, x)
	if x.leg != nil {
		a.leg, a.handle = x.leg.ID, Handle{m.numbers.CallManager(e.node), low31(uint64(x.leg.ID))}
		if first := e.legs[seat{leg: x.leg.Consults}]; first != nil && x.leg.Consults != 0 {
			a.parent = first.gch
		}
	} else {
		m.remotes++
		a.handle = Handle{m.numbers.CallManager(e.node) + remoteManager, low31(uint64(m.remotes))}
	}
	e.legs[a.seat] = a
	e.sit(a, v.ID)
	m.terminal(a.spot.device).legs[a] = struct{}{}
	if w.existing {
		a.state, a.met = x.state, a.parties
		m.tell(a, Event{Kind: ExistingCall})
		m.deviceState(a.spot.device)
		return
	}
	switch {
	case x.remote:
		a.state = x.state
	case x.calls:
		a.state = ctiqbe.CallStateDialTone
		a.parties = parties{calling: a.parties.calling} // nobody is called before it is known who has the number
	default:
		a.state = ctiqbe.CallStateOffering
	}
	m.tell(a, Event{Kind: NewCall})
	m.tell(a, Event{Kind: StateChanged})
	m.deviceState(a.spot.device)
	m.differ(e, a, v, x, w)
}

func (x *wanted) device() string {
	if x.leg != nil {
		return x.leg.Device
	}
	return x.seat.device
}

// differ tells of a leg what is different now: its call, its parties, its state.
func (m *Machine) differ(e *engine, a *appearance, v *call.View, x *wanted, w why) {
	if a.party = x.party.ID; a.call != v.ID {
		e.sit(a, v.ID)
	}
	p := m.partiesOf(e, v, x.party)
	if v.Room == nil && (e.extra(v.ID).conference || e.merging != nil && e.merging.conference) && a.parties.calling != (Party{}) && a.parties.called != (Party{}) {
		p = a.parties // who is in a conference is told otherwise, and what was said of a pair stands until there is one again
	}
	called := e.other(v, x.party)
	if !x.calls {
		called = x.party
	}
	if g := m.gch(e, v); g != a.gch {
		old := a.gch
		a.gch, a.data = g, m.userData(e, v)
		if named(p, a.parties) {
			a.parties = p
		}
		m.tell(a, Event{Kind: GCHChanged, OldGCH: old, Reason: changeReason(a, w, nil)})
		m.tell(a, Event{Kind: PartiesChanged, CallingChanged: true, CalledChanged: true, Reason: changeReason(a, w, nil)})
	}
	switch {
	case !named(p, a.parties):
	case p.like(a.parties):
		a.parties = p
	default:
		m.retold(a, x, p, w, changeReason(a, w, called))
	}
	a.self = m.party(e, x.party, 0)
	a.remote = x.remote
	if x.private != a.private {
		a.private = x.private
		m.tell(a, Event{Kind: PrivacyChanged})
	}
	m.advance(a, x.state, w)
	m.meet(e, a, v, x, w)
	if s := securityOf(v); s != a.security {
		a.security = s
		m.tell(a, Event{Kind: SecurityChanged})
	}
}

// meet says again that a call stands, when somebody new at its other end has it.
func (m *Machine) meet(e *engine, a *appearance, v *call.View, x *wanted, w why) {
	if a.state != ctiqbe.CallStateConnected || a.remote || x.party.Parked != nil || a.parties.calling.is(a.met.calling) && a.parties.called.is(a.met.called) {
		return
	}
	if far := e.other(v, x.party); far != nil && far.Parked == nil && presence(far) == present {
		m.tell(a, Event{Kind: StateChanged, Reason: changeReason(a, w, nil)})
	}
}

// is says whether two have one number.
func (p Party) is(q Party) bool { return p.Number == q.Number && p.Partition == q.Partition }

// named says whether parties are known as well as those told before: who was there last is still the one when nobody is.
func named(p, was parties) bool {
	return (p.called != Party{} || was.called == Party{}) && (p.calling != Party{} || was.calling == Party{})
}

// advance tells the state of a leg, and before it those that the engine left out.
func (m *Machine) advance(a *appearance, to ctiqbe.CallState, w why) {
	if to == a.state || back(a, to) {
		return
	}
	for _, s := range before(a, to) {
		a.state = s
		m.tell(a, Event{Kind: StateChanged, Reason: w.reason})
	}
	a.state = to
	m.tell(a, Event{Kind: StateChanged, Reason: w.reason})
	m.deviceState(a.spot.device)
}

// retold tells of new parties. Who called is dialling as soon as somebody has the number.
func (m *Machine) retold(a *appearance, x *wanted, p parties, w why, reason ctiqbe.CallReason) {
	if x.calls && a.state == ctiqbe.CallStateDialTone && p.called != (Party{}) {
		m.advance(a, ctiqbe.CallStateDialing, w)
	}
	ev := Event{Kind: PartiesChanged, CallingChanged: !p.calling.Same(a.parties.calling), CalledChanged: !p.called.Same(a.parties.called), Reason: reason}
	a.parties = p
	m.tell(a, ev)
}

// finish ends an appearance. What a feature has taken away is idle at once; otherwise it is disconnected first, with the cause.
func (m *Machine) finish(e *engine, a *appearance, w why) {
	delete(e.legs, a.seat)
	e.stand(a)
	delete(m.terminal(a.spot.device).legs, a)
	reason := a.leaving
	if g := e.merging; g != nil && reason != 0 {
		g.idle[a.spot] = append(g.idle[a.spot], a.handle)
	}
	switch {
	case w.closed:
		m.tell(a, Event{Kind: CallClosed, Cause: w.cause})
	case reason == 0 && !a.remote:
		a.state = ctiqbe.CallStateDisconnected
		m.tell(a, Event{Kind: StateChanged, Cause: w.cause})
	}
	a.state = ctiqbe.CallStateIdle
	m.tell(a, Event{Kind: StateChanged, Cause: w.cause, Reason: reason})
	m.deviceState(a.spot.device)
}

// tell completes an event about an appearance with all that its observers know of it.
func (m *Machine) tell(a *appearance, ev Event) {
	ev.Device, ev.Line, ev.Node, ev.Engine, ev.Call, ev.Leg = a.spot.device, a.spot.line, a.engine.node, a.engine.name, a.call, a.leg
	ev.Handle, ev.GCH, ev.Parent, ev.UserData, ev.State, ev.Origin = a.handle, a.gch, a.parent, a.data, a.state, a.origin
	if ev.Kind == StateChanged && a.state == ctiqbe.CallStateConnected {
		a.met = a.parties
	}
	if ev.Reason == 0 {
		ev.Reason = a.reason
	}
	ev.Calling, ev.Called, ev.Original, ev.LastRedirecting = a.parties.calling, a.parties.called, a.parties.original, a.parties.last
	ev.RemoteInUse, ev.Private, ev.Security = a.remote, a.private, a.security
	m.emit(ev)
}

func low31(id uint64) uint32 { return uint32(id & (1<<31 - 1)) }

// securityOf is how well a call is protected, in the same order of levels.
func securityOf(v *call.View) ctiqbe.CallSecurityStatus {
	return ctiqbe.CallSecurityStatus(v.Protection.Lock)
}

// All are the calls that all lines have now, numbered zero like those of Existing.
func (m *Machine) All() (out []Event) {
	for _, device := range sortedKeys(m.devices) {
		lines := map[call.LineID]bool{}
		for _, a := range m.devices[device].sorted() {
			if !lines[a.spot.line] {
				lines[a.spot.line] = true
				out = append(out, m.Existing(device, a.spot.line)...)
			}
		}
	}
	return out
}

// Existing are the calls that a line of a device has now, as who opens it is told them. They are numbered zero: nobody else is told.
func (m *Machine) Existing(device string, line call.LineID) []Event {
	t := m.devices[device]
	if t == nil {
		return nil
	}
	keep, seq := m.out, m.seq
	m.out = nil
	for _, a := range t.sorted() {
		if a.spot.line != line {
			continue
		}
		ev := Event{Kind: ExistingCall}
		if x := a.engine.extras[a.call]; x != nil && len(x.members) > 0 {
			ev.Conference = &Conference{Others: x.members, Controller: m.controller(x, x.members)}
		}
		m.tell(a, ev)
	}
	out := m.out
	m.out, m.seq = keep, seq
	for i := range out {
		out[i].Seq = 0
	}
	return out
}
