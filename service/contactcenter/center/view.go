package center

import (
	"cmp"
	"slices"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
)

// A Disposition is how a contact ended.
type Disposition uint8

// The dispositions.
const (
	Finished    Disposition = iota // its script ended it
	Handled                        // it had an agent
	Abandoned                      // the caller hung up
	Short                          // the caller hung up before it counted
	Transferred                    // it went to a number that is no agent's
	Left                           // the queue of a callback is gone
	Unreached                      // a callback could not be reached
	Lost                           // its call server is gone, or does not know it
)

var dispositionNames = [...]string{"finished", "handled", "abandoned", "short", "transferred", "left", "unreached", "lost"}

func (d Disposition) String() string { return enumName(dispositionNames[:], int(d)) }

// MarshalText writes the name.
func (d Disposition) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads the name.
func (d *Disposition) UnmarshalText(b []byte) error {
	n, err := enumValue("disposition", dispositionNames[:], b)
	*d = Disposition(n)
	return err
}

// A ContactRecord is what became of a contact.
type ContactRecord struct {
	Call        contact.CallID    `json:"call"`
	GlobalID    string            `json:"global_id,omitempty"`
	Called      string            `json:"called"`
	Calling     string            `json:"calling,omitempty"`
	Callback    bool              `json:"callback,omitempty"`
	Again       bool              `json:"again,omitempty"` // it came over from an earlier life of the contact centre
	Script      string            `json:"script,omitempty"`
	Began       time.Time         `json:"began"`
	Queue       string            `json:"queue,omitempty"` // the first
	Queued      time.Time         `json:"queued,omitzero"`
	Wait        time.Duration     `json:"wait,omitempty"` // in the last
	Offers      int               `json:"offers,omitempty"`
	Agent       string            `json:"agent,omitempty"` // the first
	Team        string            `json:"team,omitempty"`
	Answered    time.Time         `json:"answered,omitzero"`
	Talk        time.Duration     `json:"talk,omitempty"` // with agents, on hold included
	Ended       time.Time         `json:"ended"`
	Disposition Disposition       `json:"disposition"`
	By          contact.Side      `json:"by,omitempty"`
	Cause       call.Cause        `json:"cause,omitempty"`
	Variables   map[string]string `json:"variables,omitempty"`
	WrapUps     []WrapUpRecord    `json:"wrap_ups,omitempty"`
}

// A ContactView is a contact now.
type ContactView struct {
	Call      contact.CallID    `json:"call"`
	Callback  bool              `json:"callback,omitempty"`
	Phase     Phase             `json:"phase"`
	Called    string            `json:"called"`
	Calling   string            `json:"calling,omitempty"`
	Display   string            `json:"display,omitempty"`
	Began     time.Time         `json:"began"`
	Queue     string            `json:"queue,omitempty"`
	Since     time.Time         `json:"since,omitzero"` // in the queue
	Priority  int               `json:"priority,omitempty"`
	Agent     string            `json:"agent,omitempty"` // reserved or connected
	Server    string            `json:"server,omitempty"`
	GlobalID  string            `json:"global_id,omitempty"`
	Variables map[string]string `json:"variables,omitempty"`
}

func (w *caller) view() ContactView {
	v := ContactView{Call: w.id, Callback: w.callback != nil, Phase: w.phase, Called: w.query.Called, Calling: w.query.Calling, Display: w.query.Display, Began: w.record.Began,
		Server: w.query.Server, GlobalID: w.query.GlobalID, Variables: w.own()}
	if w.queue != nil && (w.phase == Waiting || w.phase == Offered || w.phase == Connected || w.phase == Resting) {
		v.Queue, v.Since, v.Priority = w.queue.Name, w.since, w.priority
	}
	switch {
	case w.agent != nil:
		v.Agent = w.agent.Name
	case w.offered != nil:
		v.Agent = w.offered.agent.Name
	}
	return v
}

// A QueueView is a queue now.
type QueueView struct {
	Queue    string        `json:"queue"`
	Waiting  int           `json:"waiting"`
	Oldest   time.Duration `json:"oldest"`
	Estimate time.Duration `json:"estimate"` // for one who comes now
	LoggedIn int           `json:"logged_in"`
	Serving  int           `json:"serving"` // ready or at work
	Ready    int           `json:"ready"`
	Counts   Counts        `json:"counts"`
	// ServiceLevel of all Counts in percent, by the queue's rule; -1 where there is none yet. Target is what it should be.
	ServiceLevel float64 `json:"service_level"`
	Target       int     `json:"target"`
	// Rule is the queue's for abandoned contacts, Within the time of its target.
	Rule   AbandonRule   `json:"rule"`
	Within time.Duration `json:"within"`
}

// Queues are all queues, by name.
func (c *Center) Queues(now time.Time) []QueueView {
	out := make([]QueueView, 0, len(c.line))
	for _, q := range c.line {
		v := QueueView{Queue: q.Name, LoggedIn: q.loggedIn(), Counts: q.counts, Target: q.ServicePercent, Rule: q.Abandoned, Within: q.ServiceTarget, ServiceLevel: -1}
		v.Waiting, v.Oldest = q.waiting(now)
		v.Serving, v.Ready = q.serving()
		v.Estimate = q.estimate(v.Waiting + 1)
		if v.Ready > 0 {
			v.Estimate = 0
		}
		if sl, ok := q.counts.ServiceLevel(q.Abandoned); ok {
			v.ServiceLevel = sl
		}
		out = append(out, v)
	}
	return out
}

// Agents are all agents of the site, by name.
func (c *Center) Agents() []AgentRecord {
	out := make([]AgentRecord, 0, len(c.roster))
	for _, a := range c.roster {
		out = append(out, a.record())
	}
	return out
}

// Contacts are all contacts, in the order in which they came.
func (c *Center) Contacts() []ContactView {
	all := make([]*caller, 0, len(c.callers))
	for _, w := range c.callers {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b *caller) int { return cmp.Compare(a.number, b.number) })
	out := make([]ContactView, len(all))
	for i, w := range all {
		out[i] = w.view()
	}
	return out
}

// Contact is one contact.
func (c *Center) Contact(id contact.CallID) (ContactView, bool) {
	if w := c.callers[id]; w != nil {
		return w.view(), true
	}
	return ContactView{}, false
}

// byReadiness sorts agents by when they came into their state.
func byReadiness(all []*agent) []*agent {
	slices.SortStableFunc(all, func(a, b *agent) int { return a.since.Compare(b.since) })
	return all
}
