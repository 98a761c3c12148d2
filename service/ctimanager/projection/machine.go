package projection

import (
	"cmp"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A Machine makes CTI events of the notes of all engines. It is not safe for concurrent use. Equal notes give equal events.
type Machine struct {
	numbers Numbering
	engines map[string]*engine // by node
	spots   map[spot]*terminal
	seq     uint64
	out     []Event
	merges  uint32 // counts Merge.ID and Conference.ID
	remotes uint32 // counts the legs of devices that have none, see remoteManager
}

// An engine is what is known of the calls of one node.
type engine struct {
	node  string
	name  string
	fresh bool
	calls map[call.CallID]*call.View
	// legs are what observers have been told, by what they are.
	legs map[seat]*appearance
	// features is what is going on in a call beside its picture.
	features map[call.CallID]*feature
	settings map[setting]call.Event
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

type setting struct {
	line   call.LineID
	device string
}

// New makes a Machine that knows of no calls.
func New(n Numbering) *Machine {
	return &Machine{numbers: n, engines: map[string]*engine{}, spots: map[spot]*terminal{}}
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
	case n.Event.Settings != nil:
		m.setting(e, n.Event)
	case n.Event.View != nil:
		m.event(e, &n.Event, n.Left)
	}
	return m.out
}

// Seq is the number of the last event.
func (m *Machine) Seq() uint64 { return m.seq }

func (m *Machine) engine(node string) *engine {
	e := m.engines[node]
	if e == nil {
		e = &engine{node: node, calls: map[call.CallID]*call.View{}, legs: map[seat]*appearance{}, features: map[call.CallID]*feature{}, settings: map[setting]call.Event{}}
		m.engines[node] = e
	}
	return e
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
	if n.Gone {
		m.clear(e)
	}
}

// clear ends all that is known of an engine that will never tell what became of it.
func (m *Machine) clear(e *engine) {
	for _, id := range sortedKeys(e.calls) {
		m.endCall(e, id, ctiqbe.CauseTemporaryFailure, true)
	}
	e.features = map[call.CallID]*feature{}
}

// snapshot tells the difference between what was known and what there is.
func (m *Machine) snapshot(e *engine, n Input) {
	if e.name != n.Engine {
		m.clear(e)
		e.name = n.Engine
	}
	e.fresh = true
	there := make(map[call.CallID]bool, len(n.Calls))
	for _, v := range n.Calls {
		there[v.ID] = true
	}
	for _, v := range n.Calls { // all of them first: a leg may have come to another call
		e.calls[v.ID] = v
		delete(e.features, v.ID)
	}
	for _, id := range sortedKeys(e.calls) {
		if there[id] {
			m.look(e, e.calls[id], why{existing: true})
		}
	}
	for _, id := range sortedKeys(e.calls) {
		if !there[id] {
			m.endCall(e, id, ctiqbe.CauseNormalCallClearing, false)
		}
	}
	m.settingsOf(e, n.Settings)
}

// event takes an event with a picture in.
func (m *Machine) event(e *engine, ev *call.Event, left bool) {
	e.calls[ev.Call] = ev.View
	w := m.before(e, ev)
	m.look(e, ev.View, w)
	m.after(e, ev)
	if left || ev.Kind == call.CallEnded {
		m.endCall(e, ev.Call, causeOf(ev.Cause), false)
	}
}

// endCall ends what is left of a call.
func (m *Machine) endCall(e *engine, id call.CallID, cause ctiqbe.Cause, closed bool) {
	for _, a := range e.of(id) {
		m.finish(e, a, why{cause: cause, closed: closed})
	}
	delete(e.calls, id)
	delete(e.features, id)
}

// of are the appearances of a call, in the order in which they came.
func (e *engine) of(id call.CallID) []*appearance {
	var out []*appearance
	for _, a := range e.legs {
		if a.call == id {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, byHandle)
	return out
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
