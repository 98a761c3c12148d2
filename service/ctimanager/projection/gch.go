package projection

import (
	"cmp"
	"slices"

	"github.com/locktone/locktone/call"
)

// A call that crosses nodes is a call in each of several engines, joined by ties. An application that watches both ends must see one call:
// one GCH. The Machine knows all engines, so it follows the ties: a leg that came in over one names its other end (LegView.Far). All calls
// that hang together so are one, named by its root: of those that are no part of another call (View.Upstream) the one that was made first.
// While the root is not known, because that engine's notes are on their way, the name is what the tie has said it is; that is the same one,
// unless calls were joined in between.
//
// The name of a root is the pair that an application has given the call (call.Named), else the number of its node and its own.

// A limb is a call of an engine.
type limb struct {
	engine *engine
	view   *call.View
}

// root is the name of a call.
func (m *Machine) gch(e *engine, v *call.View) GCH {
	if len(e.ties[v.ID]) == 0 {
		if v.Upstream == nil {
			return m.own(e, v)
		}
		return m.fallback(e, v)
	}
	body := m.body(e, v)
	best := body[0]
	if best.view.Upstream == nil {
		g := m.own(best.engine, best.view)
		e.named[v.ID] = g
		return g
	}
	return m.fallback(e, v)
}

// fallback names a call whose root is not known: as it was named last, or as the tie said that it came by.
func (m *Machine) fallback(e *engine, v *call.View) GCH {
	g, ok := e.named[v.ID]
	if !ok {
		switch u := v.Upstream; {
		case u.Tag != 0:
			g = tagged(u.Tag)
		case u.Call != 0:
			g = GCH{m.numbers.CallManager(u.Node), low31(uint64(u.Call))}
		default:
			g = m.own(e, v)
		}
		e.named[v.ID] = g
	}
	return g
}

// own is the name that a call has by itself.
func (m *Machine) own(e *engine, v *call.View) GCH {
	if tag := v.Tag(); tag != 0 {
		return tagged(tag)
	}
	return GCH{m.numbers.CallManager(e.node), low31(uint64(v.ID))}
}

// userData is what an application says of a call, at whatever node it has made it.
func (m *Machine) userData(e *engine, v *call.View) []byte {
	body := []limb{{e, v}}
	if len(e.ties[v.ID]) > 0 {
		body = m.body(e, v)
	}
	for _, l := range body {
		if n := l.view.Named; n != nil && len(n.UserData) > 0 {
			return n.UserData
		}
	}
	return nil
}

func tagged(tag uint64) GCH { return GCH{uint32(tag >> 32), uint32(tag)} }

// body are all calls that hang together with one, the root first.
func (m *Machine) body(e *engine, v *call.View) []limb {
	out := []limb{{e, v}}
	for i := 0; i < len(out); i++ {
		for _, end := range out[i].engine.ties[out[i].view.ID] {
			far, ok := m.otherEnd(out[i].engine, end)
			if ok && !slices.ContainsFunc(out, func(l limb) bool { return l.engine == far.engine && l.view.ID == far.view.ID }) {
				out = append(out, far)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b limb) int {
		part := func(l limb) int {
			if l.view.Upstream != nil {
				return 1
			}
			return 0
		}
		return cmp.Or(part(a)-part(b), a.view.Created.Compare(b.view.Created),
			cmp.Compare(m.numbers.CallManager(a.engine.node), m.numbers.CallManager(b.engine.node)), cmp.Compare(a.view.ID, b.view.ID))
	})
	return out
}

// A tieEnd is one end of a tie: the leg here, and the leg at the other node where that is known.
type tieEnd struct {
	leg  call.LegID
	node string
	far  call.LegID
}

// farLeg names a leg by its node.
type farLeg struct {
	node string
	leg  call.LegID
}

// otherEnd is the call at the other end of a tie.
func (m *Machine) otherEnd(e *engine, end tieEnd) (limb, bool) {
	o := m.engines[end.node]
	if o == nil {
		return limb{}, false
	}
	id, ok := call.CallID(0), false
	if end.far != 0 {
		id, ok = o.legCalls[end.far]
		ok = ok && slices.ContainsFunc(o.ties[id], func(t tieEnd) bool { return t.leg == end.far && t.node == e.node })
	} else {
		id, ok = o.fars[farLeg{e.node, end.leg}]
	}
	v := o.calls[id]
	return limb{o, v}, ok && v != nil
}

// store keeps a picture, and where its ties lead.
func (e *engine) store(v *call.View) {
	e.unstore(v.ID)
	e.calls[v.ID] = v
	for _, p := range v.Parties {
		for i := range p.Legs {
			l := &p.Legs[i]
			if l.Node == "" || l.State == call.LegIsDropped || l.State == call.LegIsPassive {
				continue
			}
			end := tieEnd{leg: l.ID, node: l.Node}
			if l.Incoming {
				if end.far = l.Far; end.far == 0 {
					continue
				}
				e.fars[farLeg{l.Node, l.Far}] = v.ID
			}
			e.legCalls[l.ID] = v.ID
			e.ties[v.ID] = append(e.ties[v.ID], end)
		}
	}
}

// unstore forgets a picture. What has come into another call is that call's.
func (e *engine) unstore(id call.CallID) {
	for _, t := range e.ties[id] {
		if e.legCalls[t.leg] == id {
			delete(e.legCalls, t.leg)
		}
		if k := (farLeg{t.node, t.far}); t.far != 0 && e.fars[k] == id {
			delete(e.fars, k)
		}
	}
	delete(e.ties, id)
	delete(e.calls, id)
}

// behind is who is at the other end of a tie, where it is one party: told by the engine that knows its line.
func (m *Machine) behind(e *engine, p *call.PartyView) (*call.PartyView, limb) {
	for i := range p.Legs {
		l := &p.Legs[i]
		if l.Node == "" || l.State == call.LegIsDropped || l.State == call.LegIsPassive {
			continue
		}
		end := tieEnd{leg: l.ID, node: l.Node}
		if l.Incoming {
			if end.far = l.Far; end.far == 0 {
				return nil, limb{}
			}
		}
		far, ok := m.otherEnd(e, end)
		if !ok {
			return nil, limb{}
		}
		return alone(far, end), far
	}
	return nil, limb{}
}

// alone is the one party of a call that is neither the tie itself nor absent.
func alone(at limb, end tieEnd) (found *call.PartyView) {
	for _, q := range at.view.Parties {
		mine := false
		for i := range q.Legs {
			l := &q.Legs[i]
			mine = mine || end.far != 0 && l.ID == end.far || end.far == 0 && l.Incoming && l.Far == end.leg
		}
		if mine || presence(q) == absent {
			continue
		}
		if found != nil {
			return nil
		}
		found = q
	}
	return found
}
