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

	state    ctiqbe.CallState
	gch      GCH
	origin   ctiqbe.CallOrigin
	reason   ctiqbe.CallReason
	parties  parties
	private  bool
	security ctiqbe.CallSecurityStatus
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
	there := make(map[seat]bool, len(wants))
	for i := range wants {
		there[wants[i].seat] = true
	}
	for _, a := range e.of(v.ID) {
		if !there[a.seat] {
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

// appear tells of a new leg.
func (m *Machine) appear(e *engine, v *call.View, x *wanted, w why) {
	a := &appearance{engine: e, seat: x.seat, call: v.ID, party: x.party.ID, spot: spot{x.device(), x.line}, calls: x.calls, remote: x.remote, private: x.private,
		gch: m.gch(e, v), parties: m.partiesOf(v, x.party), security: securityOf(v)}
	if x.leg != nil {
		a.leg, a.handle = x.leg.ID, Handle{m.numbers.CallManager(e.node), low31(uint64(x.leg.ID))}
	} else {
		m.remotes++
		a.handle = Handle{m.numbers.CallManager(e.node) + remoteManager, low31(uint64(m.remotes))}
	}
	a.origin, a.reason = m.originOf(e, v, x), m.reasonOf(e, v, x)
	e.legs[a.seat] = a
	if w.existing {
		a.state = x.state
		m.tell(a, Event{Kind: ExistingCall})
		m.deviceState(a.spot.device)
		return
	}
	first := x.state
	switch {
	case x.remote:
	case x.calls:
		first = ctiqbe.CallStateDialTone
		a.parties = parties{calling: a.parties.calling} // nobody is called before it is known who has the number
	default:
		first = ctiqbe.CallStateOffering
	}
	a.state = first
	m.tell(a, Event{Kind: NewCall})
	m.tell(a, Event{Kind: StateChanged})
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
	a.call, a.party = v.ID, x.party.ID
	if g := m.gch(e, v); g != a.gch {
		old := a.gch
		a.gch, a.parties = g, m.partiesOf(v, x.party)
		m.tell(a, Event{Kind: GCHChanged, OldGCH: old, Reason: m.changeReason(e, v, a, w)})
	}
	if p := m.partiesOf(v, x.party); p.calling != a.parties.calling || p.called != a.parties.called || p.original != a.parties.original || p.last != a.parties.last {
		m.retold(e, a, v, x, p, w)
	}
	if x.remote != a.remote {
		a.remote = x.remote
	}
	if x.state != a.state && !back(a, x.state) {
		for _, s := range before(a, x.state) {
			a.state = s
			m.tell(a, Event{Kind: StateChanged, Reason: w.reason})
		}
		a.state = x.state
		m.tell(a, Event{Kind: StateChanged, Reason: w.reason})
		m.deviceState(a.spot.device)
	}
	if x.private != a.private {
		a.private = x.private
		m.tell(a, Event{Kind: PrivacyChanged})
	}
	if s := securityOf(v); s != a.security {
		a.security = s
		m.tell(a, Event{Kind: SecurityChanged})
	}
}

// retold tells of new parties. Who called is told whom, once somebody has the number: before that it is dialling.
func (m *Machine) retold(e *engine, a *appearance, v *call.View, x *wanted, p parties, w why) {
	if p.called == (Party{}) && a.parties.called != (Party{}) || p.calling == (Party{}) && a.parties.calling != (Party{}) {
		return // nobody is there now; who was there last is still the one that was told
	}
	if a.calls && a.state == ctiqbe.CallStateDialTone {
		a.state = ctiqbe.CallStateDialing
		m.tell(a, Event{Kind: StateChanged})
	}
	ev := Event{Kind: PartiesChanged, CallingChanged: !p.calling.Same(a.parties.calling), CalledChanged: !p.called.Same(a.parties.called)}
	a.parties = p
	ev.Reason = m.changeReason(e, v, a, w)
	m.tell(a, ev)
}

// finish ends an appearance. What a feature has taken away is idle at once; otherwise it is disconnected first, with the cause.
func (m *Machine) finish(e *engine, a *appearance, w why) {
	delete(e.legs, a.seat)
	if w.closed {
		m.tell(a, Event{Kind: CallClosed, Cause: w.cause})
	} else if a.leaving == 0 && a.state != ctiqbe.CallStateRemoteInUse {
		a.state = ctiqbe.CallStateDisconnected
		m.tell(a, Event{Kind: StateChanged, Cause: w.cause})
	}
	a.state = ctiqbe.CallStateIdle
	m.tell(a, Event{Kind: StateChanged, Cause: w.cause, Reason: a.leaving})
	m.deviceState(a.spot.device)
}

// tell completes an event about an appearance with all that its observers know of it.
func (m *Machine) tell(a *appearance, ev Event) {
	ev.Device, ev.Line, ev.Node, ev.Engine, ev.Call, ev.Leg = a.spot.device, a.spot.line, a.engine.node, a.engine.name, a.call, a.leg
	ev.Handle, ev.GCH, ev.State, ev.Origin = a.handle, a.gch, a.state, a.origin
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

// Existing are the calls that a line of a device has now, as who opens it is told them. They are numbered zero: nobody else is told.
func (m *Machine) Existing(device string, line call.LineID) []Event {
	keep, seq := m.out, m.seq
	m.out = nil
	for _, node := range sortedKeys(m.engines) {
		e := m.engines[node]
		for _, id := range sortedKeys(e.calls) {
			for _, a := range e.of(id) {
				if a.spot == (spot{device, line}) {
					m.tell(a, Event{Kind: ExistingCall})
				}
			}
		}
	}
	out := m.out
	m.out, m.seq = keep, seq
	for i := range out {
		out[i].Seq = 0
	}
	return out
}
