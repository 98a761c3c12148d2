package center

import (
	"strconv"
	"time"

	"github.com/locktone/locktone/contact"
)

// enqueue brings a contact into the queue of a node; the name returned is where the script goes on when it cannot wait there.
func (c *Center) enqueue(w *caller, n *Node) (next string, waits bool) {
	q := c.queues[n.Queue]
	switch {
	case q == nil:
		return n.Else, false
	case n.Nobody != "" && q.loggedIn() == 0:
		return n.Nobody, false
	case q.length() >= q.MaxWaiting:
		if n.Full != "" {
			return n.Full, false
		}
		return n.Else, false
	}
	w.priority = q.Priority
	if n.Priority != nil {
		if p, ok := n.Priority.Value(env{c, w}).Number(); ok {
			w.priority = min(max(int(p), 1), 10)
		}
	}
	w.enter(q, c.now)
	w.until = time.Time{}
	if n.Wait > 0 {
		w.until = c.now.Add(n.Wait)
	}
	q.counts.Offered++
	c.requeue(w)
	return "", true
}

// enter says that a contact has come into a queue.
func (w *caller) enter(q *queue, at time.Time) {
	w.queue, w.since, w.said = q, at, time.Time{}
	if w.record.Queue == "" {
		w.record.Queue, w.record.Queued = q.Name, at
	}
}

// leaveQueue forgets the queue, so that the next one begins anew; what it has waited counts for a callback of the same queue.
func (w *caller) leaveQueue() {
	w.until = time.Time{}
	for _, name := range []string{varQueue, varSince, varPriority} {
		delete(w.vars, name)
	}
}

// requeue offers a contact to an agent, or puts it at its place in its queue: with what it has waited already.
func (c *Center) requeue(w *caller) {
	c.stop(&w.busy)
	if w.queue.removed {
		c.queueRemoved(w)
		return
	}
	waited := c.now.Sub(w.since)
	w.step = 0
	for w.step < len(w.queue.steps)-1 && waited >= w.queue.Steps[w.step].Wait {
		waited -= w.queue.Steps[w.step].Wait
		w.step++
	}
	w.vars[varQueue], w.vars[varSince], w.vars[varPriority] = w.queue.Name, strconv.FormatInt(w.since.UnixMilli(), 10), strconv.Itoa(w.priority)
	if a := c.bestAgent(w); a != nil {
		c.offer(w, a)
		return
	}
	w.phase = Waiting
	w.queue.steps[w.step].addWaiting(w)
	if w.step < len(w.queue.steps)-1 {
		c.start(&w.widen, w.queue.Steps[w.step].Wait-waited)
	}
	if !w.until.IsZero() {
		c.start(&w.wait, w.until.Sub(c.now))
	}
	c.comfort(w)
	c.tell(w)
}

// widen lets a contact that waits have the agents of the next step.
func (c *Center) widen(w *caller) {
	c.stop(&w.widen)
	w.queue.steps[w.step].removeWaiting(w)
	waited := c.now.Sub(w.since)
	w.step = 0
	for w.step < len(w.queue.steps)-1 && waited >= w.queue.Steps[w.step].Wait {
		waited -= w.queue.Steps[w.step].Wait
		w.step++
	}
	if a := c.bestAgent(w); a != nil {
		c.offer(w, a)
		return
	}
	w.queue.steps[w.step].addWaiting(w)
	if w.step < len(w.queue.steps)-1 {
		c.start(&w.widen, w.queue.Steps[w.step].Wait-waited)
	}
}

// offer reserves an agent for a contact that is in no queue any more.
func (c *Center) offer(w *caller, a *agent) {
	c.stop(&w.widen)
	c.stop(&w.wait)
	c.stop(&w.busy)
	c.lastOffer++
	o := &offer{id: c.lastOffer, caller: w, agent: a}
	o.timer = timer{kind: timerOffer, caller: w}
	w.offered, a.offer, w.phase = o, o, Offered
	w.record.Offers++
	w.queue.counts.Offers++
	c.on(a, onReserve, "")
	ring := a.team.RingTime
	if w.callback != nil {
		c.put(Dial{Callback: w.id, Offer: o.id, Agent: a.Name, Device: a.device.name, Number: w.callback.Number})
		ring += callbackTime
	} else {
		c.say(w, contact.Label{Kind: contact.Connect, Number: a.number, NoAnswer: ring})
		o.serial = w.serial
	}
	c.start(&o.timer, ring+offerMargin)
	c.tell(w)
}

// release takes an offer apart; what becomes of the two is the business of whoever calls it.
func (c *Center) release(w *caller) {
	o := w.offered
	c.stop(&o.timer)
	o.agent.offer, w.offered = nil, nil
}

// giveBack takes the contact from an agent who is reserved and cannot have it.
func (c *Center) giveBack(a *agent) {
	w := a.offer.caller
	if w.callback != nil {
		c.put(Dial{Callback: w.id, Offer: a.offer.id, Agent: a.Name, Device: a.device.name, Stop: true})
	}
	c.release(w)
	c.requeue(w)
}

// offerLost handles that nobody has said what became of an offer.
func (c *Center) offerLost(w *caller) {
	a := w.offered.agent
	if w.callback != nil {
		c.put(Dial{Callback: w.id, Offer: w.offered.id, Agent: a.Name, Device: a.device.name, Stop: true})
	}
	c.release(w)
	w.lost++
	c.put(Repaired{"call " + string(w.id) + ": nobody said what became of it at agent " + a.Name})
	w.phase = Resting // until it is known where it goes
	c.on(a, onWithdraw, "")
	switch {
	case w.lost < maxLost:
		c.requeue(w)
	case w.callback != nil:
		w.lost = 0
		c.callbackFailed(w)
	default: // its call server is out of reach: nobody is held up by that for longer
		c.later(w, timerRetry, unreachTime)
		c.tell(w)
	}
}

// waitedOut sends a contact on that has waited for as long as its script lets it.
func (c *Center) waitedOut(w *caller) {
	if w.phase != Waiting {
		return
	}
	c.goOn(w, w.node.Else)
}

// goOn takes a contact out of its queue and lets the script go on.
func (c *Center) goOn(w *caller, next string) {
	c.unqueue(w)
	w.queue.counts.Left++
	w.record.Wait = c.now.Sub(w.since)
	w.phase = Treated
	c.run(w, next)
}

// queueRemoved handles that the site no longer has the queue.
func (c *Center) queueRemoved(w *caller) {
	if w.callback != nil {
		w.phase = Resting
		c.callbackOver(w, Left)
		return
	}
	next := ""
	if w.node != nil {
		next = w.node.Else
	}
	w.phase = Treated
	c.stop(&w.wait)
	c.stop(&w.widen)
	c.run(w, next)
}

// comfort gives a waiting caller something to hear: an announcement when one is due, then music until the next.
func (c *Center) comfort(w *caller) {
	if w.callback != nil || w.phase != Waiting {
		return
	}
	c.stop(&w.busy)
	q := w.queue
	var plays []contact.Play
	next := time.Duration(0)
	if len(q.Announce) > 0 {
		due := w.since.Add(q.AnnounceFirst)
		if !w.said.IsZero() {
			due = w.said.Add(q.AnnounceEvery)
		}
		if next = due.Sub(c.now); next <= 0 {
			w.said, next = c.now, q.AnnounceEvery
			plays = append(plays, contact.Play{Kind: contact.Say, Prompts: c.prompts(w, q.Announce)})
		}
	}
	w.keys = w.node != nil && len(w.node.Choices) > 0 && len(plays) > 0
	if w.keys { // the keys are taken with the announcement; music comes when none was pressed
		p := contact.Play{Kind: contact.Menu, Prompts: plays[0].Prompts, Variable: varChoice, Tries: 1, Timeout: keyTime, Barge: true}
		for _, x := range w.node.Choices {
			p.Choices = append(p.Choices, contact.Choice{Key: x.Key})
		}
		c.say(w, contact.Label{Kind: contact.Treat, Steps: []contact.Play{p}})
		return
	}
	plays = append(plays, contact.Play{Kind: contact.Music, For: next, Source: q.Music})
	c.say(w, contact.Label{Kind: contact.Treat, Steps: plays})
}

// comforted handles that a waiting caller has heard everything.
func (c *Center) comforted(w *caller) {
	if w.keys {
		for _, x := range w.node.Choices {
			if x.Key == w.vars[varChoice] {
				c.goOn(w, x.Next)
				return
			}
		}
	}
	c.comfort(w)
}
