package element

import (
	"context"
	"fmt"
	"time"

	"github.com/locktone/locktone/bus"
)

// Limits of a drain that an operator asks for.
const (
	drainLimit    = 10 * time.Minute // where none is given
	maxDrainLimit = 24 * time.Hour
)

// DrainBy begins a drain, or ends it, and answers how far it is: what an element answers to bus.VerbDrain. It returns at once; calls go on, and
// who asks again hears how many there still are. That the process ends is not an element's to decide.
func (e *Element) DrainBy(ctx context.Context, r bus.DrainRequest) (bus.DrainState, error) {
	if r.Limit < 0 || r.Limit > maxDrainLimit {
		return bus.DrainState{}, &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("limit %s: want up to %s", r.Limit, maxDrainLimit)}
	}
	if !r.On {
		if e.draining.Swap(false) {
			e.Note("", "the drain was ended by "+r.Actor)
		}
		e.drain.Store(nil)
		return bus.DrainState{Node: e.cfg.Node}, nil
	}
	if r.Limit == 0 {
		r.Limit = drainLimit
	}
	now := e.now()
	st := bus.DrainState{Node: e.cfg.Node, State: bus.StateDraining, Actor: r.Actor, Since: now.UTC(), Until: now.Add(r.Limit).UTC(), Stay: r.Stay}
	if old := e.drain.Load(); old != nil {
		st.Since = old.Since // what is new is the limit
	}
	e.drain.Store(&st)
	if !e.draining.Swap(true) {
		e.Note("", "no new calls are taken: drained by "+r.Actor)
	}
	return e.Draining(ctx), nil
}

// Draining is how far a drain is; the zero value where nobody has asked for one.
func (e *Element) Draining(ctx context.Context) bus.DrainState {
	old := e.drain.Load()
	if old == nil {
		return bus.DrainState{}
	}
	st := *old
	views, err := e.host.Calls(ctx)
	if st.Calls = len(views); err == nil && st.Calls == 0 {
		st.State = bus.StateDrained
	}
	return st
}
