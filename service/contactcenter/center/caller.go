package center

import (
	"slices"
	"time"

	"github.com/locktone/locktone/contact"
)

// A Phase is where a contact is.
type Phase uint8

// The phases.
const (
	Treated   Phase = iota // hears or is asked something; its call server will ask
	LookingUp              // an HTTP server is asked
	Waiting                // in a queue
	Offered                // an agent is reserved for it
	Connected              // with an agent
	Away                   // rung or connected somewhere that is no agent here
	Leaving                // is being ended
	Resting                // will be tried again: a callback, or a caller whose call server is out of reach
)

var phaseNames = [...]string{"treated", "looking-up", "waiting", "offered", "connected", "away", "leaving", "resting"}

func (p Phase) String() string { return enumName(phaseNames[:], int(p)) }

// MarshalText writes the name.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name.
func (p *Phase) UnmarshalText(b []byte) error {
	n, err := enumValue("phase", phaseNames[:], b)
	*p = Phase(n)
	return err
}

// How long things may take.
const (
	offerMargin = 5 * time.Second  // beyond the time an agent's phone rings, for the news of it
	answerTime  = time.Second      // a Query is answered by then, with music while a lookup goes on
	treatAgain  = 10 * time.Second // after no voice browser could be had
	endTime     = 30 * time.Second // for a call server to say that a call it was told to end has ended
	maxLost     = 3                // offers in a row of which nobody said what became of them
	unreachTime = 30 * time.Second // before the next one is tried then
)

// caller is a contact: a caller that a call server has, or somebody who is called back.
type caller struct {
	id       contact.CallID
	number   uint64 // counts contacts in the order in which they came
	query    contact.Query
	vars     map[string]string // of the call
	told     map[string]string // those that its call server has
	open     []uint64          // Asked that wait for their Answer
	serial   uint64            // of the last label
	label    contact.Label
	resent   int
	phase    Phase
	script   *Script
	node     *Node
	language string
	says     []contact.Play // to be said before anything else
	lookup   uint64
	treats   int // treatments in a row that failed

	queue    *queue // the last one it was in
	since    time.Time
	priority int
	step     int
	keys     bool // the label that the caller hears takes keys
	until    time.Time
	said     time.Time // the announcement
	offered  *offer
	lost     int

	agent     *agent
	connected time.Time
	record    ContactRecord
	wrapping  []*agent // for whom the record waits
	over      bool     // it has ended
	callback  *CallbackRecord

	wait, widen, busy timer // busy: lookup, treat, retry, end, by phase
	answer            timer
}

// offer reserves an agent for a contact.
type offer struct {
	id     uint64
	caller *caller
	agent  *agent
	serial uint64 // of the label
	timer  timer
}

func (c *Center) newCaller(id contact.CallID) *caller {
	c.lastCaller++
	w := &caller{id: id, number: c.lastCaller, vars: map[string]string{}, told: map[string]string{}}
	w.wait, w.widen = timer{kind: timerWait, caller: w}, timer{kind: timerWiden, caller: w}
	w.answer, w.busy = timer{kind: timerAnswer, caller: w}, timer{caller: w}
	c.callers[id] = w
	return w
}

// later starts the timer of a phase.
func (c *Center) later(w *caller, kind timerKind, after time.Duration) {
	c.stop(&w.busy)
	w.busy.kind = kind
	c.start(&w.busy, after)
}

// asked handles a Query. It is answered in this Step, or within answerTime.
func (c *Center) asked(in Asked) {
	q := in.Query
	w := c.callers[q.Call]
	fresh := w == nil
	if fresh {
		w = c.newCaller(q.Call)
		w.record = ContactRecord{Call: q.Call, GlobalID: q.GlobalID, Called: q.Called, Calling: q.Calling, Began: q.Began}
	}
	w.query, w.open, w.serial = q, append(w.open, in.ID), max(w.serial, q.Label)
	w.take(q.Variables, fresh && q.Reason != contact.New)
	switch {
	case fresh && q.Reason == contact.New:
		c.begin(w)
	case fresh:
		c.again(w)
	case w.phase == Resting && q.State != contact.Connected:
		w.lost = 0
		c.requeue(w)
	case q.Reason == contact.Again && q.State == contact.Connected:
		c.connectedTo(w, q.With)
	case q.Reason == contact.Left:
		c.left(w)
	case q.Reason == contact.New || q.Reason == contact.Again || q.Label < w.label.Serial: // asked twice, or answered by an Order that crossed it
	case q.Reason == contact.Step:
		c.treated(w)
	case q.Reason == contact.TreatmentFailed:
		c.treatmentFailed(w)
	default:
		c.notConnected(w)
	}
	switch {
	case len(w.open) == 0:
	case w.phase != LookingUp:
		c.repeat(w)
	case !w.answer.running():
		c.start(&w.answer, answerTime)
	}
}

// repeat answers with the label that holds: a call server that has taken it stays as it is.
func (c *Center) repeat(w *caller) {
	if w.label.Serial == 0 || w.label.Serial < w.query.Label {
		c.say(w, contact.Label{})
		return
	}
	for _, id := range w.open {
		c.put(Answer{id, w.id, w.label})
	}
	w.open = nil
	c.stop(&w.answer)
}

// say gives a call its next label: as the answer to what was asked, or as an order.
func (c *Center) say(w *caller, l contact.Label) {
	if w.callback != nil {
		return
	}
	w.serial++
	l.Serial, l.Variables = w.serial, w.news()
	if l.Kind == contact.Treat {
		l.Language = w.language
	}
	w.label, w.resent = l, 0
	if len(w.open) > 0 {
		c.repeat(w)
		return
	}
	c.put(Send{w.query.Server, contact.Order{Call: w.id, Label: l}})
}

// noted handles what a call server tells of a label.
func (c *Center) noted(n contact.Note) {
	w := c.callers[n.Call]
	if w == nil || w.callback != nil {
		return
	}
	switch n.Kind {
	case contact.NoteRinging: // so there is news of it
		if w.offered != nil && n.Serial == w.offered.serial {
			w.lost = 0
		}
	case contact.NoteConnected:
		c.connectedTo(w, n.Number)
		if w.label.Serial > n.Serial && w.label.Kind != contact.Stay { // it was told something else meanwhile, which no longer holds
			c.say(w, contact.Label{})
		}
	case contact.NoteEnded:
		w.record.Cause, w.record.By = n.Cause, n.By
		c.ended(w, Abandoned)
	}
}

// ordered handles the answer to an Order.
func (c *Center) ordered(in Ordered) {
	w := c.callers[in.Call]
	if w == nil || in.Serial != w.label.Serial {
		return
	}
	switch {
	case in.Lost || in.Taken == contact.OldLabel && w.resent == 0:
		if w.resent++; w.resent > 2 {
			return // the offer's timer, or the end of the call's fact, ends this
		}
		if !in.Lost { // the call server has heard more of an earlier life than we have
			w.serial += 100
			w.label.Serial = w.serial
			if w.offered != nil {
				w.offered.serial = w.serial
			}
		}
		c.put(Send{w.query.Server, contact.Order{Call: w.id, Label: w.label}})
	case in.Taken == contact.UnknownCall:
		c.ended(w, Lost)
	case in.Taken == contact.BadLabel:
		c.put(Repaired{"call " + string(w.id) + ": its call server cannot do what script " + w.record.Script + " says"})
		c.ungiven(w)
	}
}

// ungiven handles a label that could not be carried out at all.
func (c *Center) ungiven(w *caller) {
	switch {
	case w.offered != nil:
		a := w.offered.agent
		c.release(w)
		c.on(a, onRefuse, ReasonUnreachable)
		c.requeue(w)
	case w.phase == Treated || w.phase == Away:
		c.otherwise(w)
	}
}

// connectedTo takes it as it is: the caller is connected to a number.
func (c *Center) connectedTo(w *caller, number string) {
	a := c.byNumber[number]
	switch {
	case w.phase == Leaving:
	case w.offered != nil && w.offered.agent == a:
		c.release(w)
		c.link(w, a, onConnect)
	case a != nil:
		c.adopt(w, a)
	default:
		c.unqueue(w)
		if w.agent != nil {
			c.unlink(w)
		}
		w.phase = Away
		c.tell(w)
	}
}

// adopt gives a contact to the agent with whom it is found.
func (c *Center) adopt(w *caller, a *agent) {
	if w.agent == a {
		return
	}
	if w.agent != nil {
		c.unlink(w)
	}
	c.unqueue(w)
	c.link(w, a, onAdopt)
}

// unqueue takes a contact out of where it waits and gives back the agent that was reserved for it.
func (c *Center) unqueue(w *caller) {
	c.stop(&w.wait)
	c.stop(&w.widen)
	c.stop(&w.busy)
	if w.phase == Waiting {
		w.queue.steps[w.step].removeWaiting(w)
	}
	if w.offered != nil {
		a := w.offered.agent
		c.release(w)
		c.on(a, onWithdraw, "")
	}
}

// link connects a contact with an agent.
func (c *Center) link(w *caller, a *agent, s stimulus) {
	c.stop(&w.wait)
	w.phase, w.agent, w.connected = Connected, a, c.now
	if w.record.Agent == "" {
		w.record.Agent, w.record.Team, w.record.Answered = a.Name, a.Team, c.now
		if w.queue != nil && !w.queue.removed && !w.since.IsZero() {
			w.record.Wait = c.now.Sub(w.since)
			w.queue.answered(w.record.Wait, w.callback != nil)
		}
	}
	if slices.Contains(a.done, w) { // it is back
		c.letGo(a, w)
	}
	a.with = append(a.with, w)
	c.on(a, s, "")
	c.tell(w)
}

// unlink parts a contact from its agent.
func (c *Center) unlink(w *caller) {
	a, talked := w.agent, c.now.Sub(w.connected)
	w.agent = nil
	w.record.Talk += talked
	if w.queue != nil {
		w.queue.counts.Talk += talked
		a.last, a.talked = w.queue, talked
	}
	c.keep(a, w)
	if a.with = slices.DeleteFunc(a.with, func(x *caller) bool { return x == w }); len(a.with) == 0 {
		c.on(a, onCallEnd, "")
		if a.state != Work {
			a.handled(0)
		}
	}
}

// left handles that whoever the caller talked to has hung up: the script goes on.
func (c *Center) left(w *caller) {
	if w.agent != nil {
		c.unlink(w)
	}
	if w.phase != Connected && w.phase != Away { // an offer that nobody took, or news that came too late
		return
	}
	w.leaveQueue()
	c.run(w, w.node.then())
}

// notConnected handles that a number could not be had.
func (c *Center) notConnected(w *caller) {
	switch {
	case w.offered != nil:
		a := w.offered.agent
		c.release(w)
		if w.query.Reason == contact.NoAnswer {
			w.queue.counts.NoAnswer++
			c.on(a, onNoAnswer, ReasonNoAnswer)
		} else {
			c.on(a, onRefuse, ReasonUnreachable)
		}
		c.requeue(w)
	case w.phase == Away:
		c.otherwise(w)
	}
}

// treatmentFailed handles that no voice browser could be had.
func (c *Center) treatmentFailed(w *caller) {
	w.treats++
	switch w.phase {
	case Waiting:
		c.say(w, contact.Label{})
		c.later(w, timerTreat, treatAgain)
	case Treated:
		c.otherwise(w)
	}
}

// ended forgets a contact, and frees whoever was reserved for it or talks to it.
func (c *Center) ended(w *caller, how Disposition) {
	wasQueued := w.phase == Waiting || w.phase == Offered
	c.unqueue(w)
	c.stop(&w.answer)
	if w.agent != nil {
		c.unlink(w)
	}
	delete(c.lookups, w.lookup)
	delete(c.callers, w.id)
	for _, id := range w.open { // whoever still asks is told so
		c.put(Answer{id, w.id, contact.Label{Serial: w.serial + 1, Kind: contact.End}})
	}
	w.open = nil
	if wasQueued && w.queue != nil {
		w.record.Wait = c.now.Sub(w.since)
		if how == Abandoned {
			w.queue.abandoned(w.record.Wait)
		} else {
			w.queue.counts.Left++
		}
	}
	w.close(how, wasQueued, c.now)
	c.recorded(w)
}

// close fills in the record.
func (w *caller) close(how Disposition, queued bool, now time.Time) {
	r := &w.record
	r.Ended, r.Disposition, r.Variables = now, how, w.own()
	switch {
	case r.Agent != "" && !queued:
		r.Disposition = Handled
	case how == Lost:
	case w.phase == Leaving:
		r.Disposition = Finished
	case w.phase == Away:
		r.Disposition = Transferred
	case queued && w.queue != nil && r.Wait < w.queue.ShortAbandon:
		r.Disposition = Short
	}
}

// endLost repeats the end that a call server has not reported. The call is forgotten when it is proved to be gone: by a Note, an
// Ordered, or because its fact is gone.
func (c *Center) endLost(w *caller) {
	if w.treats++; w.treats == 3 {
		c.put(Repaired{"call " + string(w.id) + ": its call server does not say that it has ended"})
	}
	c.say(w, contact.Label{Kind: contact.End, Cause: w.label.Cause})
	c.later(w, timerEnd, endTime<<min(w.treats, 6)) // up to half an hour
}

func (c *Center) tell(w *caller) { c.put(ContactChanged{w.view()}) }
