package projection

import (
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A parking is somebody who waits at a park number, as whoever parked them has been told.
type parking struct {
	party    call.PartyID
	spot     spot // of who parked
	park     Park
	gch      GCH
	reminded bool
}

// park tells who has parked somebody what becomes of that: parked, reminded, retrieved, abandoned.
func (m *Machine) park(e *engine, v *call.View) {
	if e.calls[v.ID] != v {
		return
	}
	for _, p := range v.Parties {
		if p.Parked == nil || p.Parker == nil {
			continue
		}
		x := e.extra(v.ID)
		at := slices.IndexFunc(x.parked, func(k parking) bool { return k.party == p.ID })
		if at < 0 {
			k := parking{party: p.ID, spot: spot{p.Parker.Device, p.Parker.Line}, gch: m.gch(e, v)}
			k.park = Park{At: m.numbered(call.Identity{Number: p.Parked.Number}, call.LineID{}), Parked: m.party(e, p, 0), Status: ctiqbe.ParkStatusParked,
				Transaction: e.node + "-" + p.ID.String() + "-" + p.Parked.Number}
			x.parked = append(x.parked, k)
			m.tellPark(e, v.ID, &k)
			continue
		}
		m.reminder(e, v, p, &x.parked[at])
	}
	m.unparked(e, v.ID, v, false)
}

// reminder tells that somebody is rung because nobody has fetched the call: who parked it, or where its range reverts to.
func (m *Machine) reminder(e *engine, v *call.View, p *call.PartyView, k *parking) {
	var rings *call.PartyView
	for _, q := range v.Parties {
		if q != p && presence(q) == ringing {
			rings = q
		}
	}
	if (rings != nil) == k.reminded {
		return
	}
	if k.reminded = rings != nil; rings == nil {
		return
	}
	k.park.Status = ctiqbe.ParkStatusForwarded
	if rings.Line == k.spot.line {
		k.park.Status = ctiqbe.ParkStatusReminder
	}
	m.tellPark(e, v.ID, k)
}

// unparked tells of those who wait no more: fetched where they are still in their call, gone otherwise.
func (m *Machine) unparked(e *engine, id call.CallID, v *call.View, ended bool) {
	x := e.extras[id]
	if x == nil || len(x.parked) == 0 {
		return
	}
	keep := x.parked[:0:0]
	for _, k := range x.parked {
		var p *call.PartyView
		if v != nil && !ended {
			for _, q := range v.Parties {
				if q.ID == k.party {
					p = q
				}
			}
		}
		switch {
		case p != nil && p.Parked != nil:
			keep = append(keep, k)
			continue
		case p != nil:
			k.park.Status = ctiqbe.ParkStatusRetrieved
		default:
			k.park.Status = ctiqbe.ParkStatusAbandoned
		}
		m.tellPark(e, id, &k)
	}
	x.parked = keep
}

func (m *Machine) tellPark(e *engine, id call.CallID, k *parking) {
	told := k.park
	m.emit(Event{Kind: ParkChanged, Device: k.spot.device, Line: k.spot.line, Node: e.node, Engine: e.name, Call: id, GCH: k.gch, Park: &told,
		Reason: ctiqbe.CallReasonPark})
}
