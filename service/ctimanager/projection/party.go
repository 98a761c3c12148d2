package projection

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// parties are who a leg's observers are told is in the call.
type parties struct {
	calling, called, original, last Party
}

// partiesOf are the parties of a call as one of them sees it. The one that called is calling, the other one called; where a transfer or a
// pickup has brought two together who both called, or were both called, the one that was there first counts as calling. Both ends are told
// the same. Who is parked is at the park number, for who has parked as well.
func (m *Machine) partiesOf(e *engine, v *call.View, p *call.PartyView) parties {
	own := m.party(e, p, 0)
	if p.Parked != nil {
		return pair(own, m.numbered(call.Identity{Number: p.Parked.Number}, call.LineID{}), true)
	}
	far := e.other(v, p)
	switch {
	case v.Room != nil:
		return pair(own, m.numbered(call.Identity{Number: v.Room.Number, Display: "Conference"}, call.LineID{}), true)
	case far == nil:
		return pair(own, Party{}, calls(p))
	case far.Parked != nil && presence(p) == present:
		out := pair(m.party(e, far, 0), m.numbered(call.Identity{Number: far.Parked.Number}, call.LineID{}), true)
		out.last = own
		return out
	}
	first := calls(p)
	switch {
	case p.Purpose == call.PurposeRetrieve || far.Purpose == call.PurposeRetrieve: // who fetches a parked call counts as calling
		first = p.Purpose == call.PurposeRetrieve
	case calls(p) == calls(far):
		first = p.ID < far.ID
	}
	out, called := pair(own, m.party(e, far, 0), first), far
	if !first {
		called = p
	}
	out.original, out.last = m.redirections(called, out.called)
	return out
}

// like says whether two tell the same of everybody, but for the devices they are on.
func (p parties) like(q parties) bool {
	return p.calling.like(q.calling) && p.called.like(q.called) && p.original.like(q.original) && p.last.like(q.last)
}

func (p Party) like(q Party) bool {
	p.Device, q.Device = "", ""
	return p == q
}

func pair(own, far Party, first bool) parties {
	if first {
		return parties{calling: own, called: far, original: far}
	}
	return parties{calling: far, called: own, original: own}
}

// other is who a party talks to, or is going to: who talks already before who rings.
func (e *engine) other(v *call.View, p *call.PartyView) *call.PartyView {
	var rings *call.PartyView
	for _, q := range v.Parties {
		if q == p || e.going[q.ID] || q.Purpose == call.PurposeListen {
			continue
		}
		switch presence(q) {
		case present:
			return q
		case ringing:
			if rings == nil {
				rings = q
			}
		}
	}
	return rings
}

// How a party is in its call.
type attendance uint8

const (
	absent attendance = iota
	ringing
	present
)

func presence(p *call.PartyView) attendance {
	best := absent
	for i := range p.Legs {
		switch p.Legs[i].State {
		case call.LegIsActive, call.LegWaiting:
			return present
		case call.LegOffering, call.LegIsRinging:
			best = ringing
			if calls(p) {
				return present // its phone is rung for a call that an application has asked for
			}
		}
	}
	return best
}

// mostTies bounds how many nodes further somebody is looked for.
const mostTies = 3

// party is a party of a call with its number, the partition of its line, and its device once it has one. Who is behind a tie is told as the
// engine at the tie's other end knows them, where exactly one party is there.
func (m *Machine) party(e *engine, p *call.PartyView, hops int) Party {
	if far, at := m.behind(e, p); far != nil && hops < mostTies && far.Parked == nil {
		return m.party(at.engine, far, hops+1)
	}
	line, tied := p.Line, false
	var devices []string
	out := Party{}
	for i := range p.Legs {
		l := &p.Legs[i]
		tied = tied || l.Node != ""
		switch l.State {
		case call.LegIsActive, call.LegWaiting:
			devices, out.Device = nil, l.Device
		case call.LegOffering, call.LegIsRinging:
			devices = append(devices, l.Device)
		}
	}
	if len(devices) == 1 && out.Device == "" {
		out.Device = devices[0]
	}
	if tied && p.Identity.Number != "" && p.Identity.Number != line.Number {
		line, out.Device = call.LineID{}, "" // somebody else is there now than was rung
	}
	device := out.Device
	out = m.numbered(p.Identity, line)
	out.Device, out.External = device, p.Trunk != ""
	return out
}

// numbered is somebody by number. The partition is that of the line, or of the one line of the site that has the number.
func (m *Machine) numbered(id call.Identity, line call.LineID) Party {
	out := Party{Number: id.Number, Name: id.Display, Restricted: id.Restricted}
	if line.IsZero() && id.Number != "" {
		line, _ = m.numbers.Line(id.Number)
	}
	if !line.IsZero() {
		out.Number, out.Partition = line.Number, line.Partition
	}
	return out
}

// causeOf is a cause of the engine in the numbers of CTI, which are those of ITU-T Q.850.
func causeOf(c call.Cause) ctiqbe.Cause {
	if c == call.CauseNone {
		return ctiqbe.CauseNoError
	}
	return ctiqbe.Cause(c.Q850())
}
