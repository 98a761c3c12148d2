package center

import (
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/contact"
)

// checker sees every Step of a Center and holds it against the invariants of the package comment:
//
//	1 an agent is reserved exactly as long as an offer lives; the offer, its agent and its contact know each other, its timer runs
//	2 a contact that waits is in exactly one queue, at its step, in order; others are in none
//	3 who talks talks with contacts that are there and say so
//	4 no agent is ready while a contact waits that it could take
//	5 who is ready stands in the lists of its queues, has a registered phone without another call, and a desktop or its grace
//	6 what only time ends has a timer, and timers belong to something that is there
//	7 each Query is answered once, and those that are open wait for a lookup with a timer
//	8 the labels of a call have rising serials, can be done as they stand, and none follows the end of its call
//	9 a phone has one agent and an agent one phone; nobody who is logged out has anything
//	10 every contact that is over gives out its record exactly once, as soon as no agent wraps it up any more
type checker struct {
	c       *Center
	now     time.Time
	faults  []string
	open    map[uint64]contact.CallID
	serials map[contact.CallID]uint64
	repairs []string
	owed    map[contact.CallID]bool // contacts whose records are to come
	seldom  bool                    // look at everything only when asked to: check
}

func newChecker(at time.Time) *checker {
	return &checker{c: New(), now: at, open: map[uint64]contact.CallID{}, serials: map[contact.CallID]uint64{}, owed: map[contact.CallID]bool{}}
}

func (k *checker) fault(format string, args ...any) {
	if len(k.faults) < 20 {
		k.faults = append(k.faults, fmt.Sprintf(format, args...))
	}
}

// step runs one Step and all checks.
func (k *checker) step(in Input) []Output {
	if a, ok := in.(Asked); ok {
		k.open[a.ID] = a.Query.Call
		k.serials[a.Query.Call] = max(k.serials[a.Query.Call], a.Query.Label)
	}
	out := k.c.Step(k.now, in)
	for _, o := range out {
		k.output(o)
	}
	if !k.seldom {
		k.check()
		k.records(out)
	}
	return out
}

// owe has the records that an earlier life has left be given out.
func (k *checker) owe(r Restore) {
	for _, a := range r.Agents {
		for _, x := range a.Wraps {
			k.owed[x.Call] = true
		}
	}
}

func (k *checker) records(out []Output) {
	owes := map[contact.CallID]bool{}
	for id := range k.c.callers {
		owes[id] = true
	}
	for _, a := range k.c.roster {
		if len(a.done) > 0 && a.state != Talking && a.state != Hold && a.state != Work {
			k.fault("10: %s is %s and wraps up %s", a.Name, a.state, a.done[0].id)
		}
		for _, w := range a.done {
			if owes[w.id] = true; !slices.Contains(w.wrapping, a) || w.over == (k.c.callers[w.id] == w) {
				k.fault("10: %s and the contact %s that it wraps up do not know each other", a.Name, w.id)
			}
		}
	}
	for _, o := range out {
		if e, ok := o.(ContactEnded); ok {
			if id := e.Record.Call; owes[id] && k.c.callers[id] == nil {
				k.fault("10: the record of %s was given out and still waits", id)
			} else if _, was := k.owed[id]; was && !k.owed[id] {
				k.fault("10: the record of %s was given out twice", id)
			} else {
				k.owed[id] = false
			}
		}
	}
	for id, to := range k.owed {
		if to && !owes[id] {
			k.fault("10: %s has gone without its record", id)
		}
	}
	k.owed = owes
}

// wait lets time pass, with a Step at every deadline.
func (k *checker) wait(d time.Duration) (out []Output) {
	end := k.now.Add(d)
	for next := k.c.Deadline(); !next.IsZero() && !next.After(end); next = k.c.Deadline() {
		k.now = next
		out = append(out, k.step(nil)...)
	}
	k.now = end
	return out
}

func (k *checker) output(o Output) {
	switch o := o.(type) {
	case Answer:
		if id, ok := k.open[o.ID]; !ok || id != o.Call {
			k.fault("7: query %d of %s was answered for %s, or twice", o.ID, id, o.Call)
		}
		delete(k.open, o.ID)
		k.label(o.Call, o.Label, true)
	case Send:
		k.label(o.Order.Call, o.Order.Label, false)
	case Repaired:
		k.repairs = append(k.repairs, o.What)
	}
}

func (k *checker) label(id contact.CallID, l contact.Label, repeated bool) {
	if err := l.Check(); err != nil {
		k.fault("8: %s: %v", id, err)
	}
	if last := k.serials[id]; l.Serial < last || l.Serial == last && !repeated && k.c.callers[id] != nil && k.c.callers[id].resent == 0 {
		k.fault("8: %s: label %d after %d", id, l.Serial, last)
	}
	k.serials[id] = l.Serial
}

func (k *checker) check() {
	c := k.c
	for _, a := range c.roster {
		k.agent(a)
	}
	waiting := map[*caller]int{}
	for _, q := range c.line {
		k.queue(q, waiting)
	}
	for _, w := range c.callers {
		k.caller(w, waiting[w])
		delete(waiting, w)
	}
	for w := range waiting {
		k.fault("2: %s waits and is not there", w.id)
	}
	k.timers()
	for id, of := range k.open {
		if w := c.callers[of]; w == nil || !slices.Contains(w.open, id) || !w.answer.running() {
			k.fault("7: query %d of %s is not going to be answered", id, of)
		}
	}
}

func (k *checker) agent(a *agent) {
	c := k.c
	if (a.state == Reserved) != (a.offer != nil) {
		k.fault("1: %s is %s, its offer: %v", a.Name, a.state, a.offer)
	}
	if o := a.offer; o != nil && (o.agent != a || o.caller.offered != o || !o.timer.running() || c.callers[o.caller.id] != o.caller) {
		k.fault("1: %s: the offer's agent, contact and timer do not fit", a.Name)
	}
	if (a.state == Talking || a.state == Hold) != (len(a.with) > 0) {
		k.fault("3: %s is %s with %d contacts", a.Name, a.state, len(a.with))
	}
	for _, w := range a.with {
		if w.agent != a || w.phase != Connected || c.callers[w.id] != w {
			k.fault("3: %s talks with %s, which is %s", a.Name, w.id, w.phase)
		}
	}
	if (a.state == LoggedOut) != (a.device == nil) || a.state == LoggedOut && (a.session != "" || a.number != "" || a.grace.running()) {
		k.fault("9: %s is %s, its phone: %v", a.Name, a.state, a.device)
	}
	if a.device != nil && (a.device.agent != a || c.devices[a.device.name] != a.device || c.byNumber[a.number] != a) {
		k.fault("9: the phone of %s is somebody else's", a.Name)
	}
	if (a.state == Work && a.team.WrapUpMode == WrapUpTimed) != a.wrapUp.running() {
		k.fault("6: %s is %s, its wrap-up timer runs: %v", a.Name, a.state, a.wrapUp.running())
	}
	if a.reason == ReasonRestoring && !c.settling() {
		k.fault("6: %s is restored for ever", a.Name)
	}
	if (a.reason != "") != (a.state == NotReady) {
		k.fault("5: %s is %s with the reason %q", a.Name, a.state, a.reason)
	}
	if a.state == NotReady && a.reason == ReasonPhoneBusy && !a.device.busy {
		k.fault("6: %s waits for a call to end that has ended", a.Name)
	}
	k.ready(a)
}

func (k *checker) ready(a *agent) {
	for _, m := range a.members {
		found := 0
		for i, s := range m.queue.steps {
			for _, r := range s.ready {
				if r.agent == a && i == m.step {
					found++
				}
			}
		}
		if (found == 1) != (a.state == Ready) || found > 1 {
			k.fault("5: %s is %s and stands %d times in queue %s", a.Name, a.state, found, m.queue.Name)
		}
	}
	if a.state != Ready {
		return
	}
	if a.device.down || a.device.busy || a.session == "" && !a.grace.running() {
		k.fault("5: %s is ready with phone %+v, session %q", a.Name, *a.device, a.session)
	}
	if w := k.c.bestCaller(a); w != nil {
		k.fault("4: %s is ready while %s waits", a.Name, w.id)
	}
}

func (k *checker) queue(q *queue, waiting map[*caller]int) {
	for i, s := range q.steps {
		for j, w := range s.waiting {
			if waiting[w]++; w.queue != q || w.step != i || w.phase != Waiting {
				k.fault("2: %s stands in queue %s at step %d and is %s", w.id, q.Name, i, w.phase)
			}
			if j > 0 && sooner(s.waiting[j-1], w) >= 0 {
				k.fault("2: queue %s is out of order at %s", q.Name, w.id)
			}
		}
		if !slices.IsSortedFunc(s.ready, readyAgent.compare) {
			k.fault("5: the agents of queue %s are out of order", q.Name)
		}
	}
}

func (k *checker) caller(w *caller, stands int) {
	if (w.phase == Waiting) != (stands == 1) || stands > 1 {
		k.fault("2: %s is %s and stands %d times in a queue", w.id, w.phase, stands)
	}
	if (w.phase == Offered) != (w.offered != nil) || w.offered != nil && w.offered.caller != w {
		k.fault("1: %s is %s, its offer: %v", w.id, w.phase, w.offered)
	}
	if (w.phase == Connected) != (w.agent != nil) || w.agent != nil && !slices.Contains(w.agent.with, w) {
		k.fault("3: %s is %s and its agent does not know", w.id, w.phase)
	}
	timed := w.phase == LookingUp || w.phase == Leaving || w.phase == Resting
	if timed && !w.busy.running() {
		k.fault("6: %s is %s without a timer", w.id, w.phase)
	}
	if w.phase == Waiting && (!w.until.IsZero() && !w.wait.running() || w.step < len(w.queue.steps)-1 && !w.widen.running()) {
		k.fault("6: %s waits without a timer", w.id)
	}
	if w.phase == Treated && w.callback == nil && len(w.open) > 0 {
		k.fault("7: %s is treated and not told so", w.id)
	}
}

func (k *checker) timers() {
	for i, t := range k.c.timers {
		switch {
		case t.index != i+1:
			k.fault("6: the heap of timers is broken")
		case t.agent != nil && k.c.agents[t.agent.Name] != t.agent || t.caller != nil && k.c.callers[t.caller.id] != t.caller:
			k.fault("6: a timer (%s) of something that is gone", timerNames[t.kind])
		}
	}
}
