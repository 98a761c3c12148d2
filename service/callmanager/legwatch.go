package callmanager

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media"
)

// legRoom is how many events a watch may be behind the engine.
const legRoom = 4096

// legWatches are those who want to know when a leg's media is other than before. Without any nobody is told of anything: it costs an atomic
// load for each exchange of descriptions.
type legWatches struct {
	some atomic.Int32
	mu   sync.Mutex
	all  map[*legWatch]struct{}
}

func (w *legWatches) add(x *legWatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = map[*legWatch]struct{}{}
	}
	w.all[x] = struct{}{}
	w.some.Store(int32(len(w.all)))
}

func (w *legWatches) remove(x *legWatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.all, x)
	w.some.Store(int32(len(w.all)))
}

// agreed is the media plane saying that a leg has other descriptions: it only notes that. It implements media.PlaneConfig.Agreed.
func (w *legWatches) agreed(id media.LegID) {
	if w.some.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for x := range w.all {
		x.look(call.LegID(id))
	}
}

// A legWatch follows the engine and says which calls are to be looked at: those with events, and those of legs with other descriptions. It is
// what sessions that tell of legs are made of; the session's goroutine owns what has no lock.
type legWatch struct {
	woken chan struct{} // capacity 1: there are legs to look at
	kept  chan struct{} // capacity 1
	over  chan string   // capacity 1: why it ends

	mu   sync.Mutex
	legs map[call.LegID]bool // that have other descriptions

	picture live.Picture
	at      map[call.LegID]call.CallID   // where the legs of the picture are
	of      map[call.CallID][]call.LegID // the same, by call
	left    []call.LegID                 // that were in the picture before this turn, and are not any more
}

func newLegWatch() legWatch {
	return legWatch{woken: make(chan struct{}, 1), kept: make(chan struct{}, 1), over: make(chan string, 1), legs: map[call.LegID]bool{},
		at: map[call.LegID]call.CallID{}, of: map[call.CallID][]call.LegID{}}
}

// maxLooked bounds the legs that wait to be looked at; beyond it all are.
const maxLooked = 4096

// look notes that a leg has to be looked at.
func (x *legWatch) look(leg call.LegID) {
	x.mu.Lock()
	if len(x.legs) < maxLooked {
		x.legs[leg] = true
	}
	x.mu.Unlock()
	signal(x.woken)
}

// signal wakes who waits, once.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (x *legWatch) end(why string) {
	select {
	case x.over <- why:
	default:
	}
}

func (x *legWatch) keep() { signal(x.kept) }

// run has the session take turns until it is over; it returns why, empty when whoever has it has ended it.
func (x *legWatch) run(s *Service, lease time.Duration, turn func(calls []call.CallID) (over string)) string {
	w := s.host.Collect(legRoom)
	defer w.Close()
	timer := time.NewTimer(lease)
	defer timer.Stop()
	for {
		select {
		case <-w.Ready():
		case <-x.woken:
		case <-x.kept:
			timer.Reset(lease)
		case <-timer.C:
			return "it was not kept alive"
		case why := <-x.over:
			return why
		case <-w.Done():
			return "the engine has stopped"
		}
		if why := turn(x.apply(w.Take())); why != "" {
			return why
		}
	}
}

// apply takes events in and says which calls are to be looked at. A leg that is in no call yet will be: its event comes.
func (x *legWatch) apply(notes []live.Note) (calls []call.CallID) {
	changed := map[call.CallID]bool{}
	for i := range notes {
		n := &notes[i]
		x.picture.Apply(live.RemoteNote{Snapshot: n.Snapshot, AsOf: n.AsOf, Calls: n.Calls, Settings: n.Settings, Event: n.Event})
		if !n.Snapshot {
			changed[n.Event.Call] = true
			continue
		}
		for _, v := range n.Calls {
			changed[v.ID] = true
		}
		for id := range x.of {
			changed[id] = true
		}
	}
	var before []call.LegID
	for id := range changed {
		before = x.place(id, before)
	}
	x.left = slices.DeleteFunc(before, func(leg call.LegID) bool { _, still := x.at[leg]; return still })
	x.mu.Lock()
	legs := x.legs
	x.legs = map[call.LegID]bool{}
	x.mu.Unlock()
	if len(legs) >= maxLooked {
		for _, v := range x.picture.Calls() {
			changed[v.ID] = true
		}
	}
	for leg := range legs {
		if id, known := x.at[leg]; known {
			changed[id] = true
		}
	}
	for id := range changed {
		calls = append(calls, id)
	}
	slices.Sort(calls)
	return calls
}

// place notes where the legs of a call are, or that they are gone; it adds those that were there to the list.
func (x *legWatch) place(id call.CallID, before []call.LegID) []call.LegID {
	for _, leg := range x.of[id] {
		if before = append(before, leg); x.at[leg] == id {
			delete(x.at, leg)
		}
	}
	delete(x.of, id)
	v := x.picture.Call(id)
	if v == nil {
		return before
	}
	for _, p := range v.Parties {
		for i := range p.Legs {
			x.at[p.Legs[i].ID] = id
			x.of[id] = append(x.of[id], p.Legs[i].ID)
		}
	}
	return before
}
