package callmanager

import (
	"cmp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/wire/dialoginfo"
	"github.com/locktone/locktone/wire/sip/dialog"
)

// spot is something that can be watched: a line, or a park number (slot).
type spot struct {
	line call.LineID
	slot string
}

// number is what people dial to get there.
func (p spot) number() string { return cmp.Or(p.slot, p.line.Number) }

// lamps is what lines and park numbers do now, made of the engine's events: for those who watch them. Guarded by its lock.
type lamps struct {
	mu    sync.Mutex
	calls map[call.CallID]*call.View
	at    map[spot][]call.CallID // calls at a place, in the order in which they began
	// devices are the settings that users have changed, by device.
	devices map[string]call.Settings
	started bool // somebody has watched, so that calls are followed
	// elsewhere is what goes on at other nodes; it has a lock of its own.
	elsewhere farLamps
}

// begin says that calls must be followed from now on; first, that they were not yet.
func (l *lamps) begin() (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, l.started = !l.started, true
	return first
}

// take takes what happened and lists the places where something may have changed. The cost is that of the change, however many lines
// there are.
func (l *lamps) take(n live.Note) (changed []spot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.Snapshot {
		for p := range l.at {
			changed = append(changed, p)
		}
		l.calls, l.at = map[call.CallID]*call.View{}, map[spot][]call.CallID{}
		for _, v := range n.Calls {
			changed = append(changed, l.put(v)...)
		}
		return changed
	}
	if n.Event.Kind == call.PartyMoved {
		changed = l.without(n.Event.Other, n.Event.Party)
	}
	if v := n.Event.View; v != nil {
		changed = append(changed, l.put(v)...)
	}
	return changed
}

// put takes the newest picture of a call and lists the places it is at, or was.
func (l *lamps) put(v *call.View) (changed []spot) {
	if l.calls == nil {
		l.calls, l.at = map[call.CallID]*call.View{}, map[spot][]call.CallID{}
	}
	now := places(v)
	if old := l.calls[v.ID]; old != nil {
		for _, p := range places(old) {
			if !slices.Contains(now, p) {
				l.leave(p, v.ID)
				changed = append(changed, p)
			}
		}
	}
	for _, p := range now {
		if at, there := slices.BinarySearch(l.at[p], v.ID); !there {
			l.at[p] = slices.Insert(l.at[p], at, v.ID)
		}
	}
	if l.calls[v.ID] = v; v.Ended {
		delete(l.calls, v.ID)
	}
	return append(changed, now...)
}

// without takes a party out of the picture of the call it has left.
func (l *lamps) without(id call.CallID, party call.PartyID) []spot {
	old := l.calls[id]
	if old == nil {
		return nil
	}
	next := *old
	next.Parties = slices.DeleteFunc(slices.Clone(old.Parties), func(p *call.PartyView) bool { return p.ID == party })
	return l.put(&next)
}

func (l *lamps) leave(p spot, id call.CallID) {
	l.at[p] = slices.DeleteFunc(l.at[p], func(c call.CallID) bool { return c == id })
	if len(l.at[p]) == 0 {
		delete(l.at, p)
	}
}

// places are the lines and park numbers of a call; none once it has ended.
func places(v *call.View) (out []spot) {
	if v.Ended {
		return nil
	}
	add := func(p spot) {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	for _, p := range v.Parties {
		if !p.Line.IsZero() {
			add(spot{line: p.Line})
		}
		if p.Parked != nil {
			add(spot{slot: p.Slot()})
		}
	}
	return out
}

// settings takes what a user has changed on a device.
func (l *lamps) settings(device string, s call.Settings) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.devices == nil {
		l.devices = map[string]call.Settings{}
	}
	l.devices[device] = s
}

// setting is what the user of a device has changed; known is false while that is nothing.
func (l *lamps) setting(device string) (s call.Settings, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, known = l.devices[device]
	return s, known
}

// lit lists what goes on at a place, here and at other nodes.
func (l *lamps) lit(p spot) []lamp {
	out := l.own(p)
	far := l.elsewhere.lit(p)
	if len(far) == 0 {
		return out
	}
	return once(append(out, far...))
}

// own lists what goes on at a place in calls of this node.
func (l *lamps) own(p spot) (out []lamp) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range l.at[p] {
		out = append(out, lampsOf(p, l.calls[id])...)
	}
	return out
}

// lamp is one party's part in a call, as seen at its place: what a watcher may be told of it.
type lamp struct {
	id        string // unique, and the same as long as it lasts
	state     dialoginfo.State
	direction dialoginfo.Direction
	held      bool       // its user has put the others on hold
	leg       call.LegID // by which the party is spoken to or rung
	device    string     // of the leg
	remote    call.Identity
	external  bool // the remote end is behind a trunk

	global string    // id of the call on all nodes
	tie    bool      // the leg leads to another node
	node   string    // that has the call; "" is this one
	dialog dialog.ID // of the leg, where another node has it
}

// lampsOf are the parties of a call that are at a place.
func lampsOf(at spot, v *call.View) (out []lamp) {
	for i, p := range v.Parties {
		if at.slot != "" && p.Slot() != at.slot || at.slot == "" && p.Line != at.line {
			continue
		}
		l := lamp{id: v.ID.String() + "-" + strconv.FormatUint(uint64(p.ID), 10), held: p.Held, global: v.GlobalID}
		leg, live := speaking(p)
		if !live {
			continue
		}
		l.leg, l.device, l.tie = leg.ID, leg.Device, leg.Node != ""
		if l.direction = dialoginfo.Recipient; leg.Incoming {
			l.direction = dialoginfo.Initiator
		}
		far := farEnd(v.Parties, i)
		if far != nil {
			l.remote, l.external = far.Identity, far.Trunk != ""
		}
		l.state = stateOf(leg, far)
		if at.slot != "" { // who waits there, not whom it talks to
			l.state, l.direction, l.held, l.remote, l.external, l.leg = dialoginfo.Confirmed, dialoginfo.Recipient, false, p.Identity, p.Trunk != "", 0
		}
		out = append(out, l)
	}
	return out
}

// speaking is the leg a party is spoken to by, or rung: the active one, else one that waits or rings.
func speaking(p *call.PartyView) (best call.LegView, ok bool) {
	rank := func(s call.LegState) int {
		switch s {
		case call.LegIsActive:
			return 4
		case call.LegWaiting:
			return 3
		case call.LegIsRinging:
			return 2
		case call.LegOffering:
			return 1
		}
		return 0
	}
	for _, l := range p.Legs {
		better := rank(l.State) > rank(best.State) || rank(l.State) == rank(best.State) && best.Node != "" && l.Node == ""
		if rank(l.State) > 0 && (!ok || better) {
			best, ok = l, true
		}
	}
	return best, ok
}

// farEnd is the party somebody talks to: the first other one that talks, else the first other one. Nil when nobody else is there.
func farEnd(all []*call.PartyView, me int) (far *call.PartyView) {
	for i, p := range all {
		if i == me {
			continue
		}
		if l, ok := speaking(p); ok && l.State == call.LegIsActive {
			return p
		}
		if far == nil {
			far = p
		}
	}
	return far
}

// stateOf is the state of a party's dialog. RFC 4235, 3.7.1: trying until the far end says something, early while it rings.
func stateOf(l call.LegView, far *call.PartyView) dialoginfo.State {
	switch l.State {
	case call.LegIsActive:
		return dialoginfo.Confirmed
	case call.LegWaiting:
		if far != nil {
			if f, ok := speaking(far); ok && (f.State == call.LegIsRinging || f.State == call.LegIsActive) {
				return dialoginfo.Early
			}
		}
		return dialoginfo.Trying
	case call.LegIsRinging:
		return dialoginfo.Early
	}
	return dialoginfo.Trying
}

// lampPace is the least time between two looks at what has changed: whoever watches is told the newest state, ten times a second at
// most. RFC 6446, 3 calls that a maximum rate.
const lampPace = 100 * time.Millisecond

// lampBacklog bounds the events that are kept between two looks; more than that, and the picture is taken anew.
const lampBacklog = 1 << 14

// followSettings keeps what users change on their devices.
func (s *Service) followSettings() {
	w := s.host.Collect(lampBacklog, call.DeviceChanged)
	defer w.Close()
	for {
		select {
		case <-w.Ready():
			for _, n := range w.Take() {
				for _, ev := range append(n.Settings, n.Event) {
					if ev.Kind == call.DeviceChanged && ev.Settings != nil {
						s.lamps.settings(ev.Device, *ev.Settings)
						s.deviceChanged(ev.Device)
					}
				}
			}
		case <-w.Done():
			return
		case <-s.ctx.Done():
			return
		}
	}
}

// followCalls keeps the lamps and tells those who watch what changes, until the service ends. It is not started before somebody watches.
func (s *Service) followCalls() {
	w := s.host.Collect(lampBacklog)
	defer w.Close()
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		select {
		case <-w.Ready():
		case <-w.Done():
			return
		case <-s.ctx.Done():
			return
		}
		changed := map[spot]bool{}
		for _, n := range w.Take() {
			for _, p := range s.lamps.take(n) {
				changed[p] = true
			}
		}
		for p := range changed {
			s.subscriptions.changed(s.ep, p)
		}
		pace.Reset(lampPace)
		select {
		case <-pace.C:
		case <-s.ctx.Done():
			return
		}
	}
}

// deviceChanged tells those who watch the lines of a device that something about it is another: whether it is registered, whether its
// user wants no calls.
func (s *Service) deviceChanged(name string) {
	if d := s.site.Load().device(name); d != nil {
		for _, a := range d.Appearances {
			s.subscriptions.changed(s.ep, spot{line: lineID(a.Line)})
		}
	}
}
