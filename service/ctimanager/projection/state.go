package projection

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A wanted appearance is what a picture says of one: what its observers should know by now.
type wanted struct {
	seat    seat
	line    call.LineID
	party   *call.PartyView
	leg     *call.LegView // nil for a device without one
	state   ctiqbe.CallState
	calls   bool // the party is one that calls
	remote  bool
	private bool
}

// wants are the appearances that a picture has, parties and legs in their order. A tie is none: its device's own node has the leg.
func (m *Machine) wants(e *engine, v *call.View) []wanted {
	var out []wanted
	for _, p := range v.Parties {
		if p.Line.IsZero() || e.going[p.ID] {
			continue
		}
		user := userOf(p)
		for i := range p.Legs {
			l := &p.Legs[i]
			if l.Device == "" || l.State == call.LegNew || l.State == call.LegIsDropped {
				continue
			}
			if l.Node == "" && (l.State != call.LegIsPassive || user == nil || v.Upstream != nil) {
				out = append(out, wanted{seat: seat{leg: l.ID}, line: p.Line, party: p, leg: l, state: stateOf(v, p, l), calls: calls(p), remote: l.State == call.LegIsPassive})
			}
		}
		if user != nil && (v.Upstream == nil || calls(p)) { // the node that rings the line knows all its devices
			out = append(out, m.sharers(v, p, user)...)
		}
	}
	return out
}

// userOf is the leg of the device that has the call of a line, here or at another node that was asked to ring it; nil while they all ring.
func userOf(p *call.PartyView) (user *call.LegView) {
	for i := range p.Legs {
		l := &p.Legs[i]
		here := l.Node == "" && (l.State == call.LegWaiting || calls(p) && l.State != call.LegIsDropped)
		if l.Device != "" && (here || l.State == call.LegIsActive && (l.Node == "" || !l.Incoming)) {
			user = l
		}
	}
	return user
}

// sharers are the appearances at the other devices of a line: passive legs, and devices that were never rung because their line calls. Where
// several parties of a call are of one line, the first is the one that the others see.
func (m *Machine) sharers(v *call.View, p *call.PartyView, user *call.LegView) []wanted {
	var out []wanted
	private := m.private(user.Device)
	for _, device := range m.numbers.Appearances(p.Line) {
		if device == user.Device || sits(v, p, device) {
			continue
		}
		w := wanted{seat: seat{party: p.ID, device: device}, line: p.Line, party: p, state: ctiqbe.CallStateRemoteInUse, calls: calls(p), remote: true, private: private}
		if p.Held { // whoever shares the line may take it back
			w.state = ctiqbe.CallStateOnHold
		}
		rings := false
		for i := range p.Legs {
			switch l := &p.Legs[i]; {
			case l.Device != device:
			case l.State == call.LegIsPassive:
				w.seat, w.leg = seat{leg: l.ID}, l
			case l.State != call.LegIsDropped:
				rings = true
			}
		}
		if !rings {
			out = append(out, w)
		}
	}
	return out
}

// sits says whether a device has a call of a party's line by another party of the call, or sees it there already.
func sits(v *call.View, p *call.PartyView, device string) bool {
	before := true
	for _, q := range v.Parties {
		if q == p {
			before = false
			continue
		}
		if q.Line != p.Line {
			continue
		}
		if before && userOf(q) != nil {
			return true
		}
		for i := range q.Legs {
			if l := &q.Legs[i]; l.Device == device && l.Node == "" && l.State != call.LegIsDropped && l.State != call.LegIsPassive {
				return true
			}
		}
	}
	return false
}

// calls says whether a party came into its call by calling. Who has picked up what rang elsewhere was called, whoever else was.
func calls(p *call.PartyView) bool { return p.Called == "" && p.Purpose != call.PurposePickup }

// stateOf is the state of a leg in a picture.
func stateOf(v *call.View, p *call.PartyView, l *call.LegView) ctiqbe.CallState {
	switch l.State {
	case call.LegOffering, call.LegIsRinging:
		switch {
		case calls(p): // an application has asked for the call, and the phone is being rung for it
			return ctiqbe.CallStateDialTone
		case l.State == call.LegIsRinging:
			return ctiqbe.CallStateAccepted
		}
		return ctiqbe.CallStateOffering
	case call.LegWaiting:
		return progress(v, p)
	case call.LegIsActive:
		switch {
		case calls(p) && v.Answered.IsZero() && v.Room == nil && p.Parked == nil:
			return progress(v, p) // even while its user holds: there is nobody yet
		case p.Held:
			return ctiqbe.CallStateOnHold
		}
		return ctiqbe.CallStateConnected
	}
	return ctiqbe.CallStateRemoteInUse
}

// progress is how far a party that calls has come.
func progress(v *call.View, p *call.PartyView) ctiqbe.CallState {
	state := ctiqbe.CallStateDialing
	for _, q := range v.Parties {
		if q == p {
			continue
		}
		for i := range q.Legs {
			switch q.Legs[i].State {
			case call.LegIsActive, call.LegIsRinging:
				return ctiqbe.CallStateRingback
			case call.LegOffering:
				state = ctiqbe.CallStateProceeding
			}
		}
	}
	return state
}

// before are the states that are told before a state, whatever the engine left out: a client makes the connection of the far end of the
// state 9 and 6, and the ringing of its own of state 3.
func before(a *appearance, to ctiqbe.CallState) []ctiqbe.CallState {
	if a.remote {
		if to == ctiqbe.CallStateOnHold && a.state != ctiqbe.CallStateRemoteInUse {
			return []ctiqbe.CallState{ctiqbe.CallStateRemoteInUse}
		}
		return nil
	}
	way := []ctiqbe.CallState{ctiqbe.CallStateOffering, ctiqbe.CallStateAccepted}
	if a.calls {
		way = []ctiqbe.CallState{ctiqbe.CallStateDialTone, ctiqbe.CallStateDialing, ctiqbe.CallStateProceeding, ctiqbe.CallStateRingback}
	}
	at := -1
	for i, s := range way {
		if s == a.state {
			at = i
		}
	}
	if at < 0 {
		return nil
	}
	rest := way[at+1:]
	switch to {
	case ctiqbe.CallStateConnected:
		return rest
	case ctiqbe.CallStateOnHold:
		return append(rest, ctiqbe.CallStateConnected)
	}
	for i, s := range rest {
		if s == to {
			return rest[:i]
		}
	}
	return nil
}

// back says whether a leg would go back on its way: a caller whose call is forwarded hears ringing all the time.
func back(a *appearance, to ctiqbe.CallState) bool {
	order := func(s ctiqbe.CallState) int {
		switch s {
		case ctiqbe.CallStateDialTone:
			return 1
		case ctiqbe.CallStateDialing:
			return 2
		case ctiqbe.CallStateProceeding:
			return 3
		case ctiqbe.CallStateRingback:
			return 4
		case ctiqbe.CallStateConnected, ctiqbe.CallStateOnHold:
			return 5
		}
		return 0
	}
	from, dest := order(a.state), order(to)
	return from > 0 && dest > 0 && dest < from && dest < 5
}
