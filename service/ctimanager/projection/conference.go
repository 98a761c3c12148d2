package projection

import (
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// confers says whether a call looks like a conference: more than two talk, or it is a meet-me conference with company.
func confers(v *call.View) bool {
	n := 0
	for _, p := range v.Parties {
		if talks(p) != nil {
			n++
		}
	}
	return n > 2 || v.Room != nil && n > 1
}

// talks is the leg by which a party is in a conference. Who only listens is in none: nobody else is told of it.
func talks(p *call.PartyView) *call.LegView {
	if p.Purpose == call.PurposeListen {
		return nil
	}
	for i := range p.Legs {
		if p.Legs[i].State == call.LegIsActive {
			return &p.Legs[i]
		}
	}
	return nil
}

// membership tells who has come into a conference and who has left it; without tell it only notes who is there. Of a merging, what it has
// brought in is told as its own.
func (m *Machine) membership(e *engine, v *call.View, g *merging, tell bool) {
	if v == nil || e.calls[v.ID] != v {
		return
	}
	x := e.extra(v.ID)
	was := x.members
	if !x.conference && g == nil {
		if x.members = nil; len(was) == 0 {
			return
		}
	}
	now := m.participants(e, v)
	if x.members = now; !x.conference && g == nil {
		x.members = nil
	}
	if !tell {
		return
	}
	controller := m.controller(x, now)
	for _, p := range was {
		if !has(now, p) {
			m.changed(e, v, ctiqbe.ConferenceModifyStatusPartyRemoved, p, without(now, p, controller), controller, g)
		}
	}
	for _, p := range added(was, now, controller) {
		m.changed(e, v, ctiqbe.ConferenceModifyStatusPartyAdded, p, without(now, p, controller), controller, g)
	}
}

// added are those who have come. When a conference begins, it is the last who has come to the others.
func added(was, now []Participant, controller Participant) (out []Participant) {
	if len(was) == 0 {
		for i := len(now) - 1; i >= 0; i-- {
			if now[i].Handle != controller.Handle {
				return now[i : i+1]
			}
		}
		return nil
	}
	for _, p := range now {
		if !has(was, p) {
			out = append(out, p)
		}
	}
	return out
}

func has(list []Participant, p Participant) bool {
	return slices.ContainsFunc(list, func(q Participant) bool { return q.Handle == p.Handle })
}

// without are the others of a conference: neither who has changed nor the controller.
func without(list []Participant, p, controller Participant) (out []Participant) {
	for _, q := range list {
		if q.Handle != p.Handle && q.Handle != controller.Handle {
			out = append(out, q)
		}
	}
	return out
}

// participants are who talks in a call, in the order in which they came. Their handles are of legs of the engine that mixes them.
func (m *Machine) participants(e *engine, v *call.View) (out []Participant) {
	for _, p := range v.Parties {
		if l := talks(p); l != nil && p.Parked == nil {
			out = append(out, Participant{Party: m.party(e, p, 0), Handle: Handle{m.numbers.CallManager(e.node), low31(uint64(l.ID))}, State: ctiqbe.CallStateConnected})
		}
	}
	return out
}

// controller is who has made a conference, or the first in it where that is nobody.
func (m *Machine) controller(x *extra, now []Participant) Participant {
	for _, p := range now {
		if x.controller != 0 && p.Handle.Leg == low31(uint64(x.controller)) {
			return p
		}
	}
	if len(now) > 0 {
		return now[0]
	}
	return Participant{}
}

// changed tells every leg of a conference what has become of one participant.
func (m *Machine) changed(e *engine, v *call.View, what ctiqbe.ConferenceModifyStatus, p Participant, others []Participant, controller Participant, g *merging) {
	m.merges++
	id := m.merges
	for _, l := range m.body(e, v) {
		for _, a := range l.engine.of(l.view.ID) {
			if a.remote {
				continue
			}
			c := &Conference{ID: id, Change: what, Changed: p, Others: others, Controller: controller}
			if g != nil {
				c.Idle = g.idle[a.spot]
			}
			m.tell(a, Event{Kind: ConferenceChanged, Conference: c, Reason: ctiqbe.CallReasonConference})
		}
	}
}
