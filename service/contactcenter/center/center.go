package center

import (
	"cmp"
	"slices"
	"time"

	"github.com/locktone/locktone/contact"
)

// A Center is one contact centre. One goroutine owns it; it has no lock.
type Center struct {
	site     *Site
	table    [states][stimuli]transition
	agents   map[string]*agent
	roster   []*agent // by name
	queues   map[string]*queue
	line     []*queue // by name
	numbers  map[string]Number
	scripts  map[string]*Script
	hours    map[string]Schedule
	devices  map[string]*device
	byNumber map[string]*agent // who is logged in with a number
	callers  map[contact.CallID]*caller
	lookups  map[uint64]*caller

	lastCaller, lastOffer, lastLookup, readySeq, timerSeq uint64

	timers timers
	settle timer // runs while calls of an earlier life are told

	// now, out and fresh belong to the Step that runs.
	now   time.Time
	out   []Output
	fresh []*agent // have become ready

	audit func(State, stimulus) // tests look at every stimulus here
}

// New makes a Center without a site: it ends every call until it is configured.
func New() *Center {
	return &Center{site: (&Site{}).withDefaults(), table: transitions(), agents: map[string]*agent{}, queues: map[string]*queue{}, numbers: map[string]Number{}, scripts: map[string]*Script{},
		hours: map[string]Schedule{}, devices: map[string]*device{}, byNumber: map[string]*agent{}, callers: map[contact.CallID]*caller{}, lookups: map[uint64]*caller{},
		settle: timer{kind: timerSettle}}
}

// Step digests one input, after the timers that have expired by now. The Outputs are the caller's to keep.
func (c *Center) Step(now time.Time, in Input) []Output {
	c.now = now
	for t := c.due(); t != nil; t = c.due() {
		c.expire(t)
		c.assign()
	}
	if in != nil {
		c.digest(in)
	}
	c.assign()
	out := c.out
	c.out = nil
	return out
}

// Deadline is when the Center wants a Step at the latest; the zero time means never.
func (c *Center) Deadline() time.Time {
	if len(c.timers) == 0 {
		return time.Time{}
	}
	return c.timers[0].at
}

func (c *Center) put(o Output) { c.out = append(c.out, o) }

// settling says that calls of an earlier life are still being told.
func (c *Center) settling() bool { return c.settle.running() }

//house:flat
func (c *Center) digest(in Input) {
	switch in := in.(type) {
	case Configure:
		c.configure(in.Site)
	case Restore:
		c.restore(in)
	case Asked:
		c.asked(in)
	case Noted:
		c.noted(in.Note)
	case Ordered:
		c.ordered(in)
	case Gone:
		if w := c.callers[in.Call]; w != nil && w.callback == nil {
			c.ended(w, Lost)
		}
	case LogIn:
		c.put(Reply{in.ID, c.logIn(in)})
	case SetState:
		c.put(Reply{in.ID, c.setState(in)})
	case SetVariables:
		c.put(Reply{in.ID, c.setVariables(in)})
	case WrapUp:
		c.put(Reply{in.ID, c.wrapUp(in)})
	case Session:
		c.sessionMoved(in)
	case Device:
		c.deviceMoved(in)
	case Phone:
		c.phoneMoved(in)
	case Held:
		if a := c.agents[in.Agent]; a != nil && in.Held {
			c.on(a, onHold, "")
		} else if a != nil {
			c.on(a, onRetrieve, "")
		}
	case Joined:
		if a, w := c.agents[in.Agent], c.callers[in.Call]; a != nil && w != nil && w.callback == nil && a.state != LoggedOut {
			c.adopt(w, a)
		}
	case Dropped:
		if a, w := c.agents[in.Agent], c.callers[in.Call]; a != nil && w != nil && w.agent == a && w.callback == nil {
			c.unlink(w)
			w.phase = Away
			c.tell(w)
		}
	case Found:
		c.found(in)
	case Dialled:
		c.dialled(in)
	}
}

func (c *Center) expire(t *timer) {
	switch t.kind {
	case timerOffer:
		c.offerLost(t.caller)
	case timerWrapUp:
		c.on(t.agent, onWrapUpOver, "")
	case timerSession:
		c.on(t.agent, onSessionLost, ReasonSessionLost)
	case timerWiden:
		c.widen(t.caller)
	case timerWait:
		c.waitedOut(t.caller)
	case timerLookup:
		c.found(Found{Lookup: t.caller.lookup, Failed: true})
	case timerAnswer:
		c.patience(t.caller)
	case timerTreat:
		c.comfort(t.caller)
	case timerRetry:
		c.requeue(t.caller)
	case timerEnd:
		c.endLost(t.caller)
	case timerSettle:
		c.settled()
	}
}

// assign gives agents who have become ready the contacts that wait for them.
func (c *Center) assign() {
	if c.settling() {
		return
	}
	for i := 0; i < len(c.fresh); i++ {
		a := c.fresh[i]
		if a.state != Ready {
			continue
		}
		if w := c.bestCaller(a); w != nil {
			w.queue.steps[w.step].removeWaiting(w)
			c.offer(w, a)
		}
	}
	clear(c.fresh)
	c.fresh = c.fresh[:0]
}

// configure takes over a site. Agents, queues and contacts that are in both go on.
func (c *Center) configure(s *Site) {
	s = s.withDefaults()
	if err := s.check(); err != nil {
		c.put(Repaired{What: "a configuration was refused: " + err.Error()})
		return
	}
	c.site = s
	c.scripts, c.numbers, c.hours = map[string]*Script{}, map[string]Number{}, map[string]Schedule{}
	for i := range s.Scripts {
		c.scripts[s.Scripts[i].Name] = &s.Scripts[i]
	}
	for _, n := range s.Numbers {
		c.numbers[n.Number] = n
	}
	for _, h := range s.Schedules {
		c.hours[h.Name] = h
	}
	waiting := c.emptyQueues()
	c.configureAgents(s)
	c.configureQueues(s)
	c.fillQueues(waiting)
	for _, a := range slices.Clone(c.roster) {
		switch {
		case a.removed && a.state == LoggedOut:
			c.forgetAgent(a)
		case a.removed:
			c.on(a, onForceLogOut, "")
		}
	}
}

// emptyQueues takes everybody out of the queues and their lists of ready agents.
func (c *Center) emptyQueues() (waiting []*caller) {
	for _, q := range c.line {
		for _, st := range q.steps {
			waiting = append(waiting, st.waiting...)
		}
		q.steps, q.staff, q.removed = nil, nil, true
	}
	for _, a := range c.roster {
		a.members = nil
	}
	return waiting
}

func (c *Center) configureAgents(s *Site) {
	teams := map[string]*Team{}
	for i := range s.Teams {
		teams[s.Teams[i].Name] = &s.Teams[i]
	}
	for _, a := range c.roster {
		a.removed = true
	}
	for _, x := range s.Agents {
		a := c.agents[x.Name]
		if a == nil {
			a = &agent{since: c.now}
			a.wrapUp, a.grace = timer{kind: timerWrapUp, agent: a}, timer{kind: timerSession, agent: a}
			c.agents[x.Name] = a
		}
		a.Agent, a.removed = x, false
		if a.team = teams[x.Team]; a.team == nil {
			a.team = (&Team{}).withDefaults(s)
		}
	}
	c.roster = c.roster[:0:0]
	for _, a := range c.agents {
		c.roster = append(c.roster, a)
	}
	slices.SortFunc(c.roster, func(a, b *agent) int { return cmp.Compare(a.Name, b.Name) })
}

func (c *Center) forgetAgent(a *agent) {
	delete(c.agents, a.Name)
	c.roster = slices.DeleteFunc(c.roster, func(x *agent) bool { return x == a })
}

func (c *Center) configureQueues(s *Site) {
	for _, x := range s.Queues {
		q := c.queues[x.Name]
		if q == nil {
			q = &queue{handled: x.HandleTime}
			c.queues[x.Name] = q
		}
		q.Queue, q.removed = x, false
		for range x.Steps {
			q.steps = append(q.steps, &queueStep{})
		}
	}
	c.line = c.line[:0:0]
	for _, q := range c.queues {
		c.line = append(c.line, q)
	}
	slices.SortFunc(c.line, func(a, b *queue) int { return cmp.Compare(a.Name, b.Name) })
	for _, q := range slices.Clone(c.line) {
		if q.removed {
			delete(c.queues, q.Name)
			c.line = slices.DeleteFunc(c.line, func(x *queue) bool { return x == q })
			continue
		}
		c.enlist(q)
	}
}

// enlist finds out which agents a queue has, each in its first step.
func (c *Center) enlist(q *queue) {
	for _, a := range c.roster {
		if a.removed {
			continue
		}
		for i, st := range q.Steps {
			if !st.Where.True(a) {
				continue
			}
			m := membership{queue: q, step: i}
			if q.Order == MostSkilled {
				m.level, _ = a.Variable(q.By).Number()
			}
			a.members, q.staff = append(a.members, m), append(q.staff, a)
			break
		}
	}
}

// fillQueues puts everybody back, where the queue is gone to where the script says.
func (c *Center) fillQueues(waiting []*caller) {
	for _, a := range c.roster {
		if a.state == Ready {
			for _, m := range a.members {
				m.queue.steps[m.step].addReady(a, m.level)
			}
			c.fresh = append(c.fresh, a)
		}
	}
	slices.SortFunc(c.fresh, func(a, b *agent) int { return cmp.Compare(a.readySeq, b.readySeq) })
	for _, w := range waiting {
		if !w.queue.removed {
			w.step = min(w.step, len(w.queue.steps)-1)
			w.queue.steps[w.step].addWaiting(w)
		}
	}
	for _, w := range waiting {
		switch {
		case w.queue.removed:
			c.queueRemoved(w)
		case w.phase == Waiting:
			c.widen(w)
		}
	}
}

func (s *Site) withDefaults() *Site {
	t := *s
	t.SessionGrace, t.Settle = cmp.Or(t.SessionGrace, 30*time.Second), cmp.Or(t.Settle, 5*time.Second)
	t.RingTime = cmp.Or(t.RingTime, 12*time.Second)
	t.CallbackTries, t.CallbackRetry = cmp.Or(t.CallbackTries, 2), cmp.Or(t.CallbackRetry, 15*time.Minute)
	t.Teams, t.Queues, t.Scripts = slices.Clone(t.Teams), slices.Clone(t.Queues), slices.Clone(t.Scripts)
	for i := range t.Teams {
		t.Teams[i] = *t.Teams[i].withDefaults(&t)
	}
	for i := range t.Queues {
		q := &t.Queues[i]
		q.Priority, q.MaxWaiting = cmp.Or(q.Priority, 5), cmp.Or(q.MaxWaiting, 1000)
		q.ServiceTarget, q.ServicePercent = cmp.Or(q.ServiceTarget, 20*time.Second), cmp.Or(q.ServicePercent, 80)
		q.HandleTime, q.AnnounceEvery = cmp.Or(q.HandleTime, 3*time.Minute), cmp.Or(q.AnnounceEvery, 30*time.Second)
	}
	return &t
}

func (t *Team) withDefaults(s *Site) *Team {
	u := *t
	u.WrapUp, u.RingTime = cmp.Or(u.WrapUp, 30*time.Second), cmp.Or(u.RingTime, s.RingTime)
	return &u
}

// Check says what of a site cannot work.
func (s *Site) Check() error { return s.withDefaults().check() }
