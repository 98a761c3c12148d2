package projection

import (
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A merging is calls of one engine on their way into one. It begins with the event that announces it (Transferred, Joined), before anybody
// has moved, and is over when the last of the calls that end has ended. Every line that has a leg in one of the calls is told both, however
// many nodes the calls cross, and everything between them carries the reason.
type merging struct {
	merge      Merge
	conference bool
	told       bool // that it began
	departed   bool // the controller's legs that end are told
	home       call.CallID
	others     []call.CallID // still to end
	final      call.LegID    // the controller's leg in home
	spots      []*appearance // one of each line that is told
	idle       map[spot][]Handle
}

func (g *merging) reason() ctiqbe.CallReason {
	if g.conference {
		return ctiqbe.CallReasonConference
	}
	return ctiqbe.CallReasonConsultTransfer
}

// announce begins a merging, or adds a call to the one that has just been announced: a conference may be made of several calls.
func (m *Machine) announce(e *engine, ev *call.Event) {
	g := e.merging
	if g == nil || g.told || !g.conference || ev.Kind != call.Joined || g.home != ev.Call {
		m.abandon(e)
		m.merges++
		g = &merging{conference: ev.Kind == call.Joined, home: ev.Call, final: ev.Leg, idle: map[spot][]Handle{}}
		g.merge.ID = m.merges
		g.merge.Surviving = m.gch(e, ev.View)
		e.merging = g
	}
	final, other := e.legs[seat{leg: ev.Leg}], e.legs[seat{leg: ev.OtherLeg}]
	if final != nil && final.call != ev.Call { // the second call is the one that stays
		final, other = other, final
	}
	if final != nil {
		g.merge.Final, g.merge.Controller, g.final = final.handle, final.self, final.leg
	}
	if other != nil {
		g.merge.Other = other.handle
		if g.merge.Controller == (Party{}) {
			g.merge.Controller = other.self
		}
	}
	if v := e.calls[ev.Other]; v != nil {
		g.merge.Others = append(g.merge.Others, m.gch(e, v))
	}
	g.others = append(g.others, ev.Other)
	if !g.conference {
		m.begin(e, g)
	}
}

// depart tells at once of the controller's legs that end: the engine has decided.
func (m *Machine) depart(e *engine, g *merging) {
	for _, id := range append(slices.Clone(g.others), g.home) {
		for _, a := range e.of(id) {
			if e.going[a.party] {
				m.finish(e, a, why{cause: ctiqbe.CauseNormalCallClearing})
			}
		}
	}
}

// begin tells that a merging has begun.
func (m *Machine) begin(e *engine, g *merging) {
	if g.told {
		return
	}
	g.told = true
	for _, id := range append([]call.CallID{g.home}, g.others...) {
		if v := e.calls[id]; v != nil {
			for _, l := range m.body(e, v) {
				g.watch(l.engine.of(l.view.ID))
			}
		}
	}
	kind := TransferStarted
	if g.conference {
		kind = ConferenceStarted
	}
	for _, a := range g.spots {
		copied := g.merge
		m.tellLine(a, Event{Kind: kind, Merge: &copied, Reason: g.reason(), GCH: g.merge.Surviving})
	}
}

// watch adds the lines of appearances to those that are told.
func (g *merging) watch(list []*appearance) {
	for _, a := range list {
		if !slices.ContainsFunc(g.spots, func(b *appearance) bool { return b.spot == a.spot }) {
			g.spots = append(g.spots, a)
		}
	}
}

// tellLine tells something about a line, not about one of its legs.
func (m *Machine) tellLine(a *appearance, ev Event) {
	ev.Device, ev.Line, ev.Node, ev.Engine, ev.RemoteInUse = a.spot.device, a.spot.line, a.engine.node, a.engine.name, a.remote
	m.emit(ev)
}

// merged notes that a call has ended, and ends the merging with the last one.
func (m *Machine) merged(e *engine, id call.CallID) {
	g := e.merging
	if g == nil {
		return
	}
	if g.others = slices.DeleteFunc(g.others, func(o call.CallID) bool { return o == id }); len(g.others) > 0 {
		return
	}
	m.begin(e, g)
	if g.conference {
		m.resumeFinal(e, g)
		if v := e.calls[g.home]; v != nil && confers(v) {
			e.extra(g.home).conference = true
		}
		m.membership(e, e.calls[g.home], g, true)
	}
	e.merging = nil
	m.over(g, true)
}

// resumeFinal: who makes a conference talks in it. The engine says so with its next event; clients want it before they are told the members.
func (m *Machine) resumeFinal(e *engine, g *merging) {
	if a := e.legs[seat{leg: g.final}]; a != nil && a.state == ctiqbe.CallStateOnHold {
		a.state = ctiqbe.CallStateConnected
		m.tell(a, Event{Kind: StateChanged, Reason: g.reason()})
		m.deviceState(a.spot.device)
	}
}

// abandon ends a merging whose end was not seen.
func (m *Machine) abandon(e *engine) {
	if g := e.merging; g != nil {
		e.merging = nil
		if g.told {
			m.over(g, false)
		}
	}
}

func (m *Machine) over(g *merging, success bool) {
	kind := TransferEnded
	if g.conference {
		kind = ConferenceEnded
	}
	for _, a := range g.spots {
		copied := g.merge
		copied.Idle = g.idle[a.spot]
		m.tellLine(a, Event{Kind: kind, Merge: &copied, Success: success, Reason: g.reason(), GCH: g.merge.Surviving})
	}
}
