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
// the same.
func (m *Machine) partiesOf(v *call.View, p *call.PartyView) parties {
	own := m.party(v, p)
	if p.Parked != nil {
		spot := m.numbered(call.Identity{Number: p.Parked.Number}, call.LineID{})
		return pair(own, spot, calls(p))
	}
	far := other(v, p)
	if far == nil {
		if v.Room != nil {
			return parties{calling: own, called: m.numbered(call.Identity{Number: v.Room.Number, Display: "Conference"}, call.LineID{})}
		}
		return pair(own, Party{}, calls(p))
	}
	first := calls(p)
	if calls(p) == calls(far) {
		first = p.ID < far.ID
	}
	out := pair(own, m.party(v, far), first)
	called := far
	if !first {
		called = p
	}
	out.original, out.last = m.redirections(called, out.called)
	return out
}

func pair(own, far Party, first bool) parties {
	if first {
		return parties{calling: own, called: far, original: far}
	}
	return parties{calling: far, called: own, original: own}
}

// other is who a party talks to, or is going to: who talks already before who rings, and nobody in particular in a conference.
func other(v *call.View, p *call.PartyView) *call.PartyView {
	var talks, rings *call.PartyView
	n := 0
	for _, q := range v.Parties {
		if q == p {
			continue
		}
		switch presence(q) {
		case present:
			n++
			if talks == nil {
				talks = q
			}
		case ringing:
			if rings == nil {
				rings = q
			}
		}
	}
	switch {
	case n > 0:
		return talks
	case rings != nil:
		return rings
	}
	return nil
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

// party is a party of a call with its number, the partition of its line, and its device once it has one.
func (m *Machine) party(_ *call.View, p *call.PartyView) Party {
	out := m.numbered(p.Identity, p.Line)
	out.External = p.Trunk != ""
	var devices []string
	for i := range p.Legs {
		switch l := &p.Legs[i]; l.State {
		case call.LegIsActive, call.LegWaiting:
			out.Device = l.Device
			return out
		case call.LegOffering, call.LegIsRinging:
			devices = append(devices, l.Device)
		}
	}
	if len(devices) == 1 {
		out.Device = devices[0]
	}
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
