package contactcenter

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/store"
)

// intervals sums up what happens in queues and what agents do with their time, from one whole multiple of the interval to the next. The
// leader's goroutine owns it.
type intervals struct {
	node        string
	every       time.Duration
	begin, next time.Time // of the interval that runs
	queues      map[string]*queueTally
	agents      map[string]*agentTally
	with        map[contact.CallID]string // the agent that a contact is with
	given       func([]store.QueueInterval, []store.AgentInterval)
}

type queueTally struct {
	counts center.Counts
	rule   center.AbandonRule
	there  bool // the site has it
}

type agentTally struct {
	team              string
	state             center.State
	since             time.Time
	spent             [center.Work + 1]time.Duration
	handled, noAnswer int
}

// maxBehind bounds the intervals that are made up for after the clock has jumped.
const maxBehind = 1000

func newIntervals(node string, now time.Time, given func([]store.QueueInterval, []store.AgentInterval)) *intervals {
	v := &intervals{node: node, begin: now, queues: map[string]*queueTally{}, agents: map[string]*agentTally{}, with: map[contact.CallID]string{}, given: given}
	v.last(15 * time.Minute)
	return v
}

// last says how long intervals are. The one that runs ends at the next multiple.
func (v *intervals) last(every time.Duration) {
	v.every = every
	v.next = v.begin.Truncate(every).Add(every)
}

// roll ends the intervals that are over. It comes before whatever happens at now.
func (v *intervals) roll(now time.Time, c *center.Center) {
	for n := 0; !now.Before(v.next); n++ {
		if n == maxBehind {
			v.begin = now
			v.last(v.every)
			return
		}
		v.end(v.next, c)
	}
}

// count takes over what has happened in the queues; it comes before queues are taken away.
func (v *intervals) count(c *center.Center) {
	for _, q := range v.queues {
		q.there = false
	}
	for _, n := range c.Take() {
		q := v.queues[n.Queue]
		if q == nil {
			q = &queueTally{}
			v.queues[n.Queue] = q
		}
		q.counts, q.rule, q.there = q.counts.Plus(n.Counts), n.Rule, true
	}
}

// happened takes what the centre says.
func (v *intervals) happened(now time.Time, o center.Output) {
	switch o := o.(type) {
	case center.AgentChanged:
		a := v.agents[o.Agent.Agent]
		if a == nil {
			a = &agentTally{state: o.From, since: now}
			v.agents[o.Agent.Agent] = a
		}
		a.spend(now)
		a.team, a.state = o.Agent.Team, o.Agent.State
		if o.From == center.Reserved && o.Agent.Reason == center.ReasonNoAnswer {
			a.noAnswer++
		}
	case center.ContactChanged:
		x := o.Contact
		if x.Phase != center.Connected {
			delete(v.with, x.Call)
			return
		}
		if a := v.agents[x.Agent]; a != nil && v.with[x.Call] != x.Agent {
			a.handled++
		}
		v.with[x.Call] = x.Agent
	case center.ContactEnded:
		delete(v.with, o.Record.Call)
	}
}

// spend counts the time in the state up to now.
func (a *agentTally) spend(now time.Time) {
	if d := now.Sub(a.since); d > 0 {
		a.spent[a.state] += d
	}
	a.since = now
}

// end ends the interval that runs, at the given time.
func (v *intervals) end(at time.Time, c *center.Center) {
	v.count(c)
	v.given(v.queueRows(at), v.agentRows(at))
	v.begin = at
	v.last(v.every)
}

func (v *intervals) queueRows(at time.Time) (rows []store.QueueInterval) {
	for _, name := range slices.Sorted(maps.Keys(v.queues)) {
		q := v.queues[name]
		n := q.counts
		row := store.QueueInterval{Begin: v.begin, End: at, Node: v.node, Queue: name, Offered: n.Offered, Answered: n.Answered, Within: n.Within, Abandoned: n.Abandoned, InTime: n.InTime,
			Short: n.Short, Left: n.Left, NoAnswer: n.NoAnswer, Callbacks: n.Callbacks, Done: n.Done, AnswerWaitMS: n.AnswerWait.Milliseconds(), AbandonWaitMS: n.AbandonWait.Milliseconds(),
			LongestWaitMS: n.LongestWait.Milliseconds(), TalkMS: n.Talk.Milliseconds(), WorkMS: n.Work.Milliseconds(), ServiceLevel: -1}
		if level, ok := n.ServiceLevel(q.rule); ok {
			row.ServiceLevel = level
		}
		rows = append(rows, row)
		if q.counts = (center.Counts{}); !q.there {
			delete(v.queues, name)
		}
	}
	return rows
}

func (v *intervals) agentRows(at time.Time) (rows []store.AgentInterval) {
	for _, name := range slices.Sorted(maps.Keys(v.agents)) {
		a := v.agents[name]
		a.spend(at)
		ms := func(s center.State) int64 { return a.spent[s].Milliseconds() }
		row := store.AgentInterval{Begin: v.begin, End: at, Node: v.node, Agent: name, Team: a.team, Handled: a.handled, NoAnswer: a.noAnswer, NotReadyMS: ms(center.NotReady),
			ReadyMS: ms(center.Ready), ReservedMS: ms(center.Reserved), TalkingMS: ms(center.Talking), HoldMS: ms(center.Hold), WorkMS: ms(center.Work)}
		row.LoggedInMS = row.NotReadyMS + row.ReadyMS + row.ReservedMS + row.TalkingMS + row.HoldMS + row.WorkMS
		if row.LoggedInMS > 0 || row.Handled > 0 || row.NoAnswer > 0 {
			rows = append(rows, row)
		}
		if *a = (agentTally{team: a.team, state: a.state, since: at}); a.state == center.LoggedOut {
			delete(v.agents, name)
		}
	}
	return rows
}

// configured takes over what the site says of intervals.
func (v *intervals) configured(every time.Duration) {
	if every = cmp.Or(every, 15*time.Minute); every != v.every {
		v.last(every)
	}
}
