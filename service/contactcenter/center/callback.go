package center

import (
	"time"

	"github.com/locktone/locktone/contact"
)

// callbackTime is how much longer than to ring the agent a call for a callback may take: the customer's phone rings as well.
const callbackTime = 60 * time.Second

// A CallbackRecord is somebody who is called back: what the next life needs of it.
type CallbackRecord struct {
	ID       contact.CallID    `json:"id"`
	Number   string            `json:"number"`
	Queue    string            `json:"queue"`
	Priority int               `json:"priority"`
	Since    time.Time         `json:"since"` // from when its place counts
	Tries    int               `json:"tries,omitempty"`
	Next     time.Time         `json:"next,omitzero"` // not before then
	Called   string            `json:"called,omitempty"`
	Calling  string            `json:"calling,omitempty"`
	GlobalID string            `json:"global_id,omitempty"`
	Vars     map[string]string `json:"variables,omitempty"`
}

// register makes a callback of a caller, who keeps the place in the queue; it returns where the script goes on.
func (c *Center) register(w *caller, n *Node) string {
	number := w.query.Calling
	if n.Number != nil {
		number = n.Number.Fill(env{c, w})
	}
	l := contact.Label{Serial: 1, Kind: contact.Connect, Number: number}
	id := w.id + "-cb"
	q := c.queues[n.Queue]
	if l.Check() != nil || q == nil || c.callers[id] != nil || q.length() >= q.MaxWaiting {
		return n.Else
	}
	r := CallbackRecord{ID: id, Number: number, Queue: q.Name, Priority: q.Priority, Since: c.now, Called: w.query.Called, Calling: w.query.Calling, GlobalID: w.query.GlobalID, Vars: w.own()}
	if w.queue == q { // it has waited there already
		r.Since, r.Priority = w.since, w.priority
	}
	if n.Priority != nil {
		if p, ok := n.Priority.Value(env{c, w}).Number(); ok {
			r.Priority = min(max(int(p), 1), 10)
		}
	}
	q.counts.Offered++
	q.counts.Callbacks++
	c.put(CallbackChanged{Callback: r})
	c.callBack(r)
	return n.Next
}

// callBack queues a callback.
func (c *Center) callBack(r CallbackRecord) {
	b := c.newCaller(r.ID)
	b.callback, b.priority = &r, r.Priority
	for name, value := range r.Vars {
		b.vars[name] = value
	}
	b.query = contact.Query{Call: r.ID, Called: r.Called, Calling: r.Calling, GlobalID: r.GlobalID}
	b.record = ContactRecord{Call: r.ID, GlobalID: r.GlobalID, Called: r.Called, Calling: r.Calling, Began: r.Since, Callback: true}
	b.enter(c.queues[r.Queue], r.Since)
	if wait := r.Next.Sub(c.now); !r.Next.IsZero() && wait > 0 {
		b.phase = Resting
		c.later(b, timerRetry, wait)
		return
	}
	c.requeue(b)
}

// dialled handles what becomes of the call for a callback.
func (c *Center) dialled(in Dialled) {
	b := c.callers[in.Callback]
	if b == nil || b.callback == nil {
		return
	}
	offered := b.offered != nil && (in.Offer == 0 || b.offered.id == in.Offer)
	switch {
	case in.Result == DialEnded && b.phase == Connected:
		c.callbackOver(b, Handled)
	case !offered:
	case in.Result == DialConnected:
		a := b.offered.agent
		c.release(b)
		c.link(b, a, onConnect)
	case in.Result == DialUnheard:
		a := b.offered.agent
		c.release(b)
		b.queue.counts.NoAnswer++
		c.on(a, onNoAnswer, ReasonNoAnswer)
		c.requeue(b)
	default:
		a := b.offered.agent
		c.release(b)
		b.phase = Resting
		c.on(a, onWithdraw, "")
		c.callbackFailed(b)
	}
}

// callbackFailed tries a customer who could not be reached again, later.
func (c *Center) callbackFailed(b *caller) {
	if b.callback.Tries++; b.callback.Tries > c.site.CallbackTries {
		c.callbackOver(b, Unreached)
		return
	}
	b.callback.Next = c.now.Add(c.site.CallbackRetry)
	c.put(CallbackChanged{Callback: *b.callback})
	c.later(b, timerRetry, c.site.CallbackRetry)
	c.tell(b)
}

// callbackOver forgets a callback.
func (c *Center) callbackOver(b *caller, how Disposition) {
	c.unqueue(b)
	if b.agent != nil {
		c.unlink(b)
	}
	if how != Handled {
		b.queue.counts.Left++
	}
	delete(c.callers, b.id)
	b.record.Ended, b.record.Disposition, b.record.Variables = c.now, how, b.own()
	c.put(CallbackChanged{Callback: *b.callback, Done: true})
	c.recorded(b)
}
