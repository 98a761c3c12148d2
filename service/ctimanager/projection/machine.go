package projection

import (
	"cmp"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A Machine makes CTI events of the notes of all engines. It is not safe for concurrent use. Equal notes give equal events.
type Machine struct {
	numbers  Numbering
	engines  map[string]*engine // by node
	devices  map[string]*terminal
	forwards map[call.LineID][]call.SetForward // as told last
	seq      uint64
	out      []Event
	merges   uint32 // counts Merge.ID and Conference.ID
	remotes  uint32 // counts the legs of devices that have none, see remoteManager
}

// An engine is what is known of the calls of one node.
type engine struct {
	node  string
	name  string
	fresh bool
	calls map[call.CallID]*call.View
	// legs are what observers have been told, by what they are; members by the call they are in.
	legs    map[seat]*appearance
	members map[call.CallID][]*appearance
	// extras is what is known of a call beside its picture.
	extras  map[call.CallID]*extra
	merging *merging

	// Where ties lead, see gch.go.
	ties     map[call.CallID][]tieEnd
	legCalls map[call.LegID]call.CallID
	fars     map[farLeg]call.CallID
	// going are parties that are about to leave, and count no more.
	going map[call.PartyID]bool
	named map[call.CallID]GCH
}

// An extra is what is known of a call beside its picture.
type extra struct {
	// reason is why what changes now does so; it lasts until something else happens.
	reason ctiqbe.CallReason
	// conference says that it is one, and members who is in it as far as was told. Controller has made it.
	conference bool
	members    []Participant
	controller call.LegID
	parked     []parking
}

// A seat is where an appearance sits in an engine: a leg of a device, or a device that shares the line of a party, without a leg.
type seat struct {
	leg    call.LegID
	party  call.PartyID
	device string
}

// A spot is a line of a device.
type spot struct {
	device string
	line   call.LineID
}

// New makes a Machine that knows of no calls.
func New(n Numbering) *Machine {
	return &Machine{numbers: n, engines: map[string]*engine{}, devices: map[string]*terminal{}, forwards: map[call.LineID][]call.SetForward{}}
}

// Note takes a note in and returns what it makes applications be told. The events are shared: who gets them must not change them.
func (m *Machine) Note(n Input) []Event {
	m.out = nil
	e := m.engine(n.Node)
	switch {
	case n.Lost:
		m.lost(e, n)
	case n.Snapshot:
		m.snapshot(e, n)
	case n.Event.View != nil:
		m.event(e, &n.Event, n.Left)
	case n.Event.Settings != nil:
		m.setting(&n.Event)
	}
	return m.out
}

func (m *Machine) engine(node string) *engine {
	e := m.engines[node]
	if e == nil {
		e = &engine{node: node, legs: map[seat]*appearance{}, members: map[call.CallID][]*appearance{}}
		e.forget()
		m.engines[node] = e
	}
	return e
}

// forget drops all pictures.
func (e *engine) forget() {
	e.calls, e.extras, e.merging = map[call.CallID]*call.View{}, map[call.CallID]*extra{}, nil
	e.ties, e.legCalls, e.fars = map[call.CallID][]tieEnd{}, map[call.LegID]call.CallID{}, map[farLeg]call.CallID{}
	e.named, e.going = map[call.CallID]GCH{}, map[call.PartyID]bool{}
}

// extra is what is known of a call beside its picture.
func (e *engine) extra(id call.CallID) *extra {
	x := e.extras[id]
	if x == nil {
		x = &extra{}
		e.extras[id] = x
	}
	return x
}

func (m *Machine) emit(ev Event) {
	m.seq++
	ev.Seq = m.seq
	m.out = append(m.out, ev)
}

// lost: nothing is told but that there is a gap, until the next snapshot says what is different. A node that is gone has no calls any more.
func (m *Machine) lost(e *engine, n Input) {
	if e.fresh || len(e.calls) > 0 && n.Gone {
		m.emit(Event{Kind: Gap, Node: e.node, Engine: e.name, Why: n.Why})
	}
	e.fresh = false
	m.abandon(e)
	if n.Gone {
		m.clear(e)
	}
}

// clear ends all that is known of an engine that will never tell what became of it.
func (m *Machine) clear(e *engine) {
	m.abandon(e)
	var beyond []limb
	for _, id := range sortedKeys(e.calls) {
		beyond = append(beyond, m.beyond(e, e.calls[id])...)
		m.endCall(e, id, why{cause: ctiqbe.CauseTemporaryFailure, closed: true})
	}
	e.forget()
	m.lookAt(beyond, why{})
}

// snapshot tells the difference between what was known and what there is.
func (m *Machine) snapshot(e *engine, n Input) {
	m.abandon(e)
	if e.name != n.Engine {
		m.clear(e)
		e.name = n.Engine
	}
	e.fresh = true
	clear(e.going)
	there := make(map[call.CallID]bool, len(n.Calls))
	var beyond []limb
	for _, id := range sortedKeys(e.calls) {
		beyond = append(beyond, m.beyond(e, e.calls[id])...)
	}
	for _, v := range n.Calls { // all of them first: a leg may have come to another call
		there[v.ID] = true
		e.store(v)
		e.extra(v.ID).reason = 0
		if seen := e.members[v.ID]; len(seen) == 0 {
			e.extra(v.ID).conference = confers(v)
		}
	}
	for _, id := range sortedKeys(e.calls) {
		if there[id] {
			m.look(e, e.calls[id], why{existing: true})
			m.membership(e, e.calls[id], nil, false)
		}
	}
	for _, id := range sortedKeys(e.calls) {
		if !there[id] {
			m.endCall(e, id, why{cause: ctiqbe.CauseNormalCallClearing})
		}
	}
	for _, v := range n.Calls {
		beyond = append(beyond, m.beyond(e, v)...)
	}
	m.lookAt(beyond, why{})
	for i := range n.Settings {
		m.setting(&n.Settings[i])
	}
}

// event takes an event with a picture in.
func (m *Machine) event(e *engine, ev *call.Event, left bool) {
	beyond := m.beyond(e, e.calls[ev.Call])
	if ev.Kind == call.PartyMoved {
		beyond = append(beyond, m.beyond(e, e.calls[ev.Other])...)
		e.without(ev.Other, ev.Party)
	}
	e.store(ev.View)
	w := m.before(e, ev)
	m.look(e, ev.View, w)
	m.lookAt(append(beyond, m.beyond(e, ev.View)...), why{reason: w.reason})
	m.after(e, ev)
	if left || ev.Kind == call.CallEnded {
		m.endCall(e, ev.Call, w)
		m.merged(e, ev.Call)
	}
}

// without takes a party out of the picture of the call that it has left for another one: that call's own next event comes later.
func (e *engine) without(id call.CallID, party call.PartyID) {
	v := e.calls[id]
	if v == nil {
		return
	}
	w := *v
	w.Parties = slices.DeleteFunc(slices.Clone(v.Parties), func(p *call.PartyView) bool { return p.ID == party })
	e.store(&w)
}

// beyond are the calls, at other nodes, that a call hangs together with.
func (m *Machine) beyond(e *engine, v *call.View) []limb {
	if v == nil || len(e.ties[v.ID]) == 0 {
		return nil
	}
	return slices.DeleteFunc(m.body(e, v), func(l limb) bool { return l.engine == e && l.view.ID == v.ID })
}

// lookAt tells what has changed of calls by what has happened to others that they hang together with.
func (m *Machine) lookAt(list []limb, w why) {
	for i, l := range list {
		v := l.engine.calls[l.view.ID]
		if v != nil && !slices.ContainsFunc(list[:i], func(o limb) bool { return o.engine == l.engine && o.view.ID == v.ID }) {
			m.look(l.engine, v, w)
		}
	}
}

// endCall ends what is left of a call.
func (m *Machine) endCall(e *engine, id call.CallID, w why) {
	for _, a := range e.of(id) {
		m.finish(e, a, w)
	}
	m.unparked(e, id, nil, true)
	e.unstore(id)
	delete(e.extras, id)
	delete(e.named, id)
}

// of are the appearances of a call, in the order of their handles.
func (e *engine) of(id call.CallID) []*appearance { return slices.Clone(e.members[id]) }

// sit has an appearance be one of a call.
func (e *engine) sit(a *appearance, id call.CallID) {
	e.stand(a)
	a.call = id
	list := e.members[id]
	at, _ := slices.BinarySearchFunc(list, a, byHandle)
	e.members[id] = slices.Insert(list, at, a)
}

// stand takes an appearance out of its call.
func (e *engine) stand(a *appearance) {
	list := e.members[a.call]
	if at := slices.Index(list, a); at >= 0 {
		if list = slices.Delete(list, at, at+1); len(list) == 0 {
			delete(e.members, a.call)
			return
		}
		e.members[a.call] = list
	}
}

func byHandle(a, b *appearance) int {
	return cmp.Or(cmp.Compare(a.handle.CallManager, b.handle.CallManager), cmp.Compare(a.handle.Leg, b.handle.Leg))
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	out := make([]K, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
