package center

import (
	"strconv"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
)

// An AgentRecord is an agent as others see it, and as the next life finds it.
type AgentRecord struct {
	Agent  string    `json:"agent"`
	Team   string    `json:"team,omitempty"`
	State  State     `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Device string    `json:"device,omitempty"`
	Number string    `json:"number,omitempty"`
	// Session is the desktop, empty while it is away.
	Session string `json:"session,omitempty"`
	// Next is where the agent goes after the contact: ready, not-ready or logged-out.
	Next       State  `json:"next"`
	NextReason string `json:"next_reason,omitempty"`
	// Calls are the contacts the agent has, or the one that is offered.
	Calls []contact.CallID `json:"calls,omitempty"`
	// Wraps are the records that wait for the agent to wrap up, of contacts that are over.
	Wraps []ContactRecord `json:"wraps,omitempty"`
	// DeviceDown and PhoneBusy say what keeps the agent from becoming ready.
	DeviceDown bool `json:"device_down,omitempty"`
	PhoneBusy  bool `json:"phone_busy,omitempty"`
}

func (a *agent) record() AgentRecord {
	r := AgentRecord{Agent: a.Name, Team: a.Team, State: a.state, Reason: a.reason, Since: a.since, Number: a.number, Session: a.session, Next: a.want, NextReason: a.wantReason}
	if a.device != nil {
		r.Device, r.DeviceDown, r.PhoneBusy = a.device.name, a.device.down, a.device.busy
	}
	for _, w := range a.with {
		r.Calls = append(r.Calls, w.id)
	}
	for _, w := range a.done {
		if w.over {
			r.Wraps = append(r.Wraps, w.record)
		}
	}
	if a.offer != nil {
		r.Calls = append(r.Calls, a.offer.caller.id)
	}
	return r
}

// restore begins a life with what the last one knew.
func (c *Center) restore(in Restore) {
	wraps := map[contact.CallID]*caller{}
	for _, r := range in.Agents {
		c.restoreAgent(r, wraps)
	}
	c.restoreRecords(in, wraps)
	c.start(&c.settle, c.site.Settle)
	for _, r := range in.Callbacks {
		if c.queues[r.Queue] == nil || c.callers[r.ID] != nil {
			c.put(CallbackChanged{Callback: r, Done: true})
			continue
		}
		c.callBack(r)
	}
}

// restoreAgent logs an agent in again where it was. Who was with a contact is not ready until the call is told again, or all have been.
func (c *Center) restoreAgent(r AgentRecord, wraps map[contact.CallID]*caller) {
	a := c.agents[r.Agent]
	if a == nil || a.state != LoggedOut || r.State == LoggedOut || r.Device == "" || c.byNumber[r.Number] != nil {
		return
	}
	d := c.deviceOf(r.Device)
	if d.agent != nil {
		return
	}
	c.attach(a, d, r.Number)
	a.want, a.wantReason, a.session = r.Next, r.NextReason, r.Session
	if a.session == "" {
		c.start(&a.grace, c.site.SessionGrace)
	}
	switch r.State {
	case NotReady:
		c.enter(a, place{NotReady, r.Reason})
	case Work:
		c.restoreWraps(a, r.Wraps, wraps)
		c.enter(a, place{state: Work})
	default:
		a.restored = r.State
		c.enter(a, place{NotReady, ReasonRestoring})
	}
	if r.State == NotReady || r.State == Ready { // who was ready first is so again
		a.since = r.Since
	}
}

// settled ends the time in which calls are told again.
func (c *Center) settled() {
	order := append([]*agent(nil), c.roster...)
	for _, a := range byReadiness(order) {
		if a.state == NotReady && a.reason == ReasonRestoring {
			c.on(a, onSettle, "")
		}
	}
}

// again takes over a call of an earlier life.
func (c *Center) again(w *caller) {
	q := w.query
	w.record.Again = true
	w.script = c.scripts[w.vars[varScript]]
	if w.script == nil {
		w.script = c.scripts[c.numbers[q.Called].Script]
	}
	w.language = c.numbers[q.Called].Language
	if w.script != nil {
		w.record.Script = w.script.Name
		w.node = w.script.index[w.vars[varNode]]
	}
	queue := c.queues[w.vars[varQueue]]
	switch {
	case q.State == contact.Connected || q.Reason == contact.Left:
		c.againConnected(w, queue)
	case queue != nil && w.node != nil:
		w.againQueued(queue, c.now)
		c.requeue(w)
	case w.node != nil:
		c.run(w, w.node.Name)
	case w.script != nil:
		c.run(w, w.script.Start)
	default:
		c.end(w, call.TemporaryFailure)
	}
}

// againQueued gives a caller the place it had.
func (w *caller) againQueued(q *queue, now time.Time) {
	at := now
	if ms, err := strconv.ParseInt(w.vars[varSince], 10, 64); err == nil {
		at = time.UnixMilli(ms).UTC()
	}
	w.priority = q.Priority
	if p, err := strconv.Atoi(w.vars[varPriority]); err == nil {
		w.priority = min(max(p, 1), 10)
	}
	w.enter(q, at)
	if w.node.Kind == NodeQueue && w.node.Wait > 0 {
		w.until = at.Add(w.node.Wait)
	}
	q.counts.Offered++
}

// againConnected finds the agent that a caller talks to.
func (c *Center) againConnected(w *caller, q *queue) {
	w.phase = Away
	if a := c.byNumber[w.query.With]; a != nil && w.query.Reason != contact.Left {
		w.queue = q // for the time that the agent spends; the answer was counted in the earlier life
		w.record.Agent, w.record.Team = a.Name, a.Team
		c.adopt(w, a)
	}
	if w.query.Reason == contact.Left {
		c.left(w)
		return
	}
	c.say(w, contact.Label{})
}
