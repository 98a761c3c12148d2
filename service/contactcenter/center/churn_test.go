package center

import (
	"container/heap"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/contact/expression"
)

// floor is a large site: so many agents of four skills, two each, and a queue for each skill that takes good agents first.
func floor(t testing.TB, agents int) *Site {
	t.Helper()
	skills := []string{"s0", "s1", "s2", "s3"}
	x := func(s string) *expression.Expression {
		e, err := expression.Parse(s, expression.Known{Names: skills})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	text := func(s string) []Prompt {
		m, err := expression.ParseTemplate(s, expression.Known{Names: expression.CallNames(), Functions: expression.QueueFunctions()})
		if err != nil {
			t.Fatal(err)
		}
		return []Prompt{{Text: m}}
	}
	s := &Site{Teams: []Team{{Name: "timed", Supervisors: []string{"sue"}, WrapUp: 20 * time.Second}, {Name: "open", Supervisors: []string{"sue"}, WrapUpMode: WrapUpOpen},
		{Name: "none", Supervisors: []string{"sue"}, WrapUpMode: WrapUpNone}}}
	for i, skill := range skills {
		s.Queues = append(s.Queues, Queue{Name: skill, Steps: []QueueStep{{Where: x(skill + " >= 5"), Wait: 15 * time.Second}, {Where: x(skill + " > 0")}}, Order: Order(i % 2), By: skill,
			Ageing: time.Minute, Announce: text("You are number {position}."), AnnounceFirst: 20 * time.Second})
		s.Scripts = append(s.Scripts, Script{Name: skill, Start: "hello", Nodes: []Node{{Name: "hello", Kind: NodeSay, Prompts: text("Hello {calling}."), Next: "q"}, {Name: "q", Kind: NodeQueue, Queue: skill}}})
		s.Numbers = append(s.Numbers, Number{Number: fmt.Sprint(800 + i), Script: skill})
	}
	for i := range agents {
		level := func(n int, l float64) Attribute { return Attribute{skills[n%len(skills)], expression.Number(l)} }
		s.Agents = append(s.Agents, Agent{Name: fmt.Sprintf("a%04d", i), Number: fmt.Sprint(20001 + i), Device: fmt.Sprint("SEP", 10001+i), Team: s.Teams[i%3].Name,
			Attributes: []Attribute{level(i, float64(1+i/4%10)), level(i+1, 3)}})
	}
	return s
}

// happening is something that is going to happen at a time.
type happening struct {
	at  time.Time
	seq int
	do  func()
}

type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)   { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// churn is a day's busy hour on a clock of its own: callers come, wait, give up or talk; agents answer or do not, have their lunch, log out
// and in; phones, desktops, call servers and the life of the contact centre end at random and come back. Everything is drawn from one seed.
type churn struct {
	*world
	rnd    *rand.Rand
	next   happenings
	seq    int
	over   bool // no further caller, and nothing else breaks
	agents map[string]*seat
	dead   map[string]time.Time // call servers, until when
	left   Restore              // by the life that has ended
	began  time.Time            // this life
	count  churnCount
}

// seat is what is true of an agent's place, whatever the contact centre knows of it.
type seat struct {
	name, device    string
	lost, busy      bool // its phone
	away, elsewhere bool // the desktop; the agent does not want to be ready
}

type churnCount struct {
	calls, answered, noAnswer, gaveUp, unseen, killedCalls, lives, servers, samples, orders, lost int
	mishaps                                                                                       map[string]int
	waiting, held                                                                                 int // at most, at one time: in queues; of call servers alone
	records                                                                                       map[contact.CallID]int
}

const (
	churnServers = 4
	churnTalk    = 120 * time.Second
	churnMishap  = 4 * time.Minute // between two of one agent
)

func newChurn(t testing.TB, agents int, seed int64) *churn {
	site := floor(t, agents)
	c := &churn{world: newWorld(site, worldLimit{}), rnd: rand.New(rand.NewSource(seed)), agents: map[string]*seat{}, dead: map[string]time.Time{},
		count: churnCount{mishaps: map[string]int{}, records: map[contact.CallID]int{}}}
	c.k.seldom, c.heard = true, c.said
	for _, a := range site.Agents {
		s := &seat{name: a.Name, device: a.Device}
		c.agents[a.Name] = s
		c.step(Device{Device: a.Device, Up: true})
		c.after(c.between(0, 20*time.Second), func() { c.attend(s) })
		c.after(c.exp(churnMishap), func() { c.mishap(s) })
	}
	c.after(0, c.caller)
	c.after(c.exp(5*time.Minute), c.killServer)
	c.after(c.exp(6*time.Minute), c.killRouter)
	c.after(time.Second, c.sample)
	return c
}

func (c *churn) after(d time.Duration, do func()) {
	c.seq++
	heap.Push(&c.next, happening{c.k.now.Add(d), c.seq, do})
}

func (c *churn) between(from, to time.Duration) time.Duration {
	return from + time.Duration(c.rnd.Int63n(int64(to-from)))
}

func (c *churn) exp(mean time.Duration) time.Duration {
	return time.Duration(c.rnd.ExpFloat64() * float64(mean))
}

// run lets time pass: what happens in the world and what is due in the centre, in order.
func (c *churn) run(until time.Time) {
	for len(c.k.faults) == 0 {
		at := c.next[0].at // the sample is always there
		if due := c.k.c.Deadline(); !c.down && !due.IsZero() && due.Before(at) {
			if due.After(until) {
				break
			}
			if due.After(c.k.now) {
				c.k.now = due
			}
			c.step(nil)
			continue
		}
		if at.After(until) {
			break
		}
		x := heap.Pop(&c.next).(happening)
		c.k.now = x.at
		x.do()
	}
}

// caller is a new call: as many as keep the agents busy for most of the time.
func (c *churn) caller() {
	if c.over {
		return
	}
	every := (churnTalk + 30*time.Second) * 4 / 3 / time.Duration(len(c.names))
	c.after(c.exp(every), c.caller)
	server := fmt.Sprintf("cs%d", 1+c.rnd.Intn(churnServers))
	if c.dead[server].After(c.k.now) {
		return // its border has gone to another one: no call here
	}
	c.count.calls++
	c.born++
	x := &worldCall{id: contact.CallID(fmt.Sprintf("c%d", c.born)), live: true, vars: map[string]string{}}
	x.query = contact.Query{Call: x.id, Server: server, Called: fmt.Sprint(800 + c.rnd.Intn(4)), Calling: "+4930123", Began: c.k.now}
	c.calls = append(c.calls, x)
	c.ask(x, contact.New)
	c.after(c.exp(3*time.Minute), func() {
		if x.live && x.at != contact.Connected {
			c.count.gaveUp++
			c.hangUp(x, contact.ByCaller)
		}
	})
}

func (c *churn) hangUp(x *worldCall, by contact.Side) {
	if c.down {
		c.count.unseen++
	}
	c.end(x, by)
}

// said is what the centre says: an answer is followed, an order is under way.
func (c *churn) said(o Output) {
	switch o := o.(type) {
	case Answer:
		if x := c.call(o.Call); x != nil && x.live {
			c.follow(x)
		}
	case Send:
		c.count.orders++
		x, l := c.call(o.Order.Call), o.Order.Label
		c.after(c.between(2*time.Millisecond, 60*time.Millisecond), func() { c.arrives(x, o.Order.Call, l) })
	case ContactEnded:
		if c.count.records[o.Record.Call]++; c.count.records[o.Record.Call] > 1 {
			c.k.fault("10: the record of %s was given out twice", o.Record.Call)
		}
	}
}

// arrives is an order at its call server; one in 200 gets lost, and so does the answer to one in 200.
func (c *churn) arrives(x *worldCall, id contact.CallID, l contact.Label) {
	unheard := func() {
		c.count.lost++
		c.after(2*time.Second, func() { c.step(Ordered{Call: id, Serial: l.Serial, Lost: true}) })
	}
	if x == nil || len(x.orders) == 0 {
		unheard() // its call server is dead
		return
	}
	serial := x.taken.Serial
	switch c.rnd.Intn(200) {
	case 0:
		x.orders = x.orders[1:]
		unheard()
	case 1:
		first := x.orders[0]
		if x.orders = x.orders[1:]; x.live {
			x.take(first)
		}
		unheard()
	default:
		c.deliver(x)
	}
	if x.live && x.taken.Serial > serial {
		c.follow(x)
	}
}

// follow is what a call does with the label it has taken.
func (c *churn) follow(x *worldCall) {
	l := x.taken
	still := func(do func()) func() {
		return func() {
			if x.live && x.taken.Serial == l.Serial && !x.done {
				do()
			}
		}
	}
	switch l.Kind {
	case contact.Treat:
		if last := l.Steps[len(l.Steps)-1]; last.Kind == contact.Music && last.For == 0 {
			return
		}
		reason := contact.Step
		if c.rnd.Intn(300) == 0 {
			reason = contact.TreatmentFailed
		}
		c.after(c.between(time.Second, 6*time.Second), still(func() { c.ask(x, reason) }))
	case contact.Connect:
		c.rings(x, l, still)
	case contact.End:
		c.after(500*time.Millisecond, still(func() { c.hangUp(x, contact.ByServer) }))
	}
}

func (c *churn) rings(x *worldCall, l contact.Label, still func(func()) func()) {
	switch n := c.rnd.Intn(100); {
	case n < 88:
		c.after(c.between(time.Second, 7*time.Second), still(func() { c.connected(x, l) }))
	case n < 95:
		c.after(l.NoAnswer, still(func() { c.count.noAnswer++; c.failed(x, contact.NoAnswer) }))
	default:
		c.after(c.between(50*time.Millisecond, time.Second), still(func() { c.failed(x, contact.Busy) }))
	}
}

func (c *churn) connected(x *worldCall, l contact.Label) {
	c.count.answered++
	x.done, x.at, x.with = true, contact.Connected, l.Number
	c.step(Noted{contact.Note{Server: x.query.Server, Call: x.id, Serial: l.Serial, Kind: contact.NoteConnected, Number: l.Number}})
	far := c.rnd.Intn(2) == 0
	c.after(c.exp(churnTalk), func() {
		switch {
		case !x.live || x.at != contact.Connected || x.with != l.Number:
		case far:
			c.leftBy(x)
		default:
			c.hangUp(x, contact.ByCaller)
		}
	})
}

// attend is an agent who looks at the desktop now and then: who wants to work presses what has to be pressed for it.
func (c *churn) attend(s *seat) {
	c.after(c.between(5*time.Second, 25*time.Second), func() { c.attend(s) })
	if s.elsewhere || s.away || c.down {
		return
	}
	switch a := c.k.c.agents[s.name]; {
	case a.state == LoggedOut:
		c.agentDoes(s.name, "log in")
	case a.state == NotReady && a.reason != ReasonPhoneBusy && !s.lost, a.state == Work && a.team.WrapUpMode == WrapUpOpen:
		c.agentDoes(s.name, "ready")
	}
}

// mishap is something that goes wrong at an agent's place, or something the agent does; it is over some time later.
func (c *churn) mishap(s *seat) {
	if c.over {
		return
	}
	c.after(c.exp(churnMishap), func() { c.mishap(s) })
	if s.lost || s.busy || s.away || s.elsewhere {
		return
	}
	type pair struct {
		begins, ends string
		flag         *bool
		most         time.Duration
	}
	all := []pair{{"device lost", "device found", &s.lost, time.Minute}, {"desktop away", "desktop back", &s.away, 90 * time.Second}, {"phone busy", "phone idle", &s.busy, time.Minute},
		{"not ready", "ready", &s.elsewhere, 4 * time.Minute}, {"log out", "log in", &s.elsewhere, 3 * time.Minute}, {"forced out", "log in", &s.elsewhere, time.Minute},
		{"holds", "retrieves", nil, 30 * time.Second}, {"gives away", "", nil, time.Second}}
	m := all[c.rnd.Intn(len(all))]
	c.count.mishaps[m.begins]++
	if m.flag != nil {
		*m.flag = true
	}
	c.agentDoes(s.name, m.begins)
	c.after(c.between(time.Millisecond, m.most), func() {
		if m.flag != nil {
			*m.flag = false
		}
		c.agentDoes(s.name, m.ends)
	})
}

// killServer ends a call server with all its calls; another takes its place some seconds later.
func (c *churn) killServer() {
	if c.over {
		return
	}
	c.after(c.exp(5*time.Minute), c.killServer)
	server := fmt.Sprintf("cs%d", 1+c.rnd.Intn(churnServers))
	c.dead[server] = c.k.now.Add(c.between(5*time.Second, 20*time.Second))
	c.count.servers++
	for _, x := range slices.Clone(c.calls) {
		if x.live && x.query.Server == server {
			c.count.killedCalls++
			if c.down {
				c.count.unseen++
			}
			x.live, x.orders = false, nil
			c.step(Gone{x.id})
		}
	}
}

// killRouter ends the life of the contact centre. Until the next begins, calls are with their call servers, and what agents and phones do
// is not seen; then phones and desktops come back and all calls are told again.
func (c *churn) killRouter() {
	if c.over {
		return
	}
	c.after(c.exp(6*time.Minute)+20*time.Second, c.killRouter)
	c.look()
	c.count.lives++
	c.left, c.down = c.last(), true
	c.after(c.between(time.Second, 15*time.Second), func() {
		waits := 0
		for _, x := range c.calls {
			if x.live && x.at != contact.Connected {
				waits++
			}
		}
		c.count.held = max(c.count.held, waits)
		c.down, c.began = false, c.k.now
		c.begin(c.left)
		for _, name := range c.names {
			s := c.agents[name]
			c.step(Device{Device: s.device, Up: !s.lost})
			c.step(Phone{Device: s.device, Busy: s.busy})
			if !s.away && c.k.c.agents[name].state != LoggedOut {
				c.agentDoes(name, "desktop back")
			}
		}
		c.look()
	})
}

// sample looks at everything once a second; of more than 500 agents more seldom, since a look costs the square of them.
func (c *churn) sample() {
	c.after(time.Second*time.Duration(max(1, len(c.names)/500)), c.sample)
	c.calls = slices.DeleteFunc(c.calls, func(x *worldCall) bool { return !x.live && len(x.orders) == 0 })
	if !c.down {
		c.look()
	}
}

// look holds the centre against its invariants and against the world: no agent is stuck, no contact is a ghost, each call that waits has an owner.
func (c *churn) look() {
	c.count.samples++
	c.k.check()
	live := map[contact.CallID]*worldCall{}
	for _, x := range c.calls {
		if x.live {
			live[x.id] = x
		}
	}
	waiting := 0
	for id, w := range c.k.c.callers {
		if live[id] == nil {
			c.k.fault("a ghost: %s is %s, and there is no such call", id, w.phase)
		}
		if w.phase == Waiting {
			waiting++
		}
	}
	c.count.waiting = max(c.count.waiting, waiting)
	for id, x := range live {
		if x.at != contact.Connected && c.k.c.callers[id] == nil {
			c.k.fault("nobody owns %s: it is %s, with label %d %s", id, x.at, x.taken.Serial, x.taken.Kind)
		}
	}
	for _, a := range c.k.c.roster {
		if lasts := c.k.now.Sub(a.since); a.state == Reserved && lasts > 30*time.Second || a.reason == ReasonRestoring && c.k.now.Sub(c.began) > 6*time.Second {
			c.k.fault("stuck: %s is %s %s for %s", a.Name, a.state, a.reason, lasts)
		}
	}
}

// close ends the hour: nothing breaks any more, nobody calls, and when all who are there have been served everybody can be ready.
func (c *churn) close() {
	c.over = true
	c.run(c.k.now.Add(20 * time.Minute))
	for _, x := range c.calls {
		if x.live && x.at == contact.Connected {
			c.hangUp(x, contact.ByCaller)
		}
	}
	c.run(c.k.now.Add(time.Minute))
	c.look()
	for _, x := range c.calls {
		if x.live {
			c.k.fault("%s was never served: it is %s with label %d %s", x.id, x.at, x.taken.Serial, x.taken.Kind)
		}
	}
	if n := len(c.k.c.callers); n > 0 {
		c.k.fault("%d contacts are left", n)
	}
	for _, name := range c.names {
		c.agentDoes(name, "log in")
		c.agentDoes(name, "ready")
		if a := c.k.c.agents[name]; a.state != Ready {
			c.k.fault("stuck: %s is %s (%s) after everything was mended", name, a.state, a.reason)
		}
	}
	c.k.check()
}

// TestChurn is an hour of an office of 500 agents (LOCKTONE_ALL=1: 5,000) with everything breaking and coming back. The invariants are looked
// at once a simulated second (ten with 5,000) and at both ends of each life of the contact centre.
func TestChurn(t *testing.T) {
	agents := 500
	if os.Getenv("LOCKTONE_ALL") != "" {
		agents = 5000
	}
	c := newChurn(t, agents, 1)
	begun := time.Now()
	c.run(start.Add(time.Hour))
	c.close()
	n := c.count
	mishaps := 0
	for _, m := range n.mishaps {
		mishaps += m
	}
	t.Logf("%d agents, 1 h: %d calls, %d answered, %d rang in vain, %d gave up, at most %d in queues; %d mishaps of agents, phones and desktops (%v); %d kills of call servers with %d calls; "+
		"%d lives of the router ended, at most %d calls were held without one, %d ended unseen; %d orders, %d lost; looked at everything %d times: %d faults; it took %s",
		agents, n.calls, n.answered, n.noAnswer, n.gaveUp, n.waiting, mishaps, n.mishaps, n.servers, n.killedCalls, n.lives, n.held, n.unseen, n.orders, n.lost, n.samples, len(c.k.faults), time.Since(begun).Round(time.Millisecond))
	if len(c.k.faults) > 0 {
		t.Fatalf("%s: %s", c.k.now, strings.Join(c.k.faults, "\n"))
	}
	if n.calls < 10*agents || n.answered < n.calls/2 || n.lives < 3 || n.servers < 5 || n.killedCalls < agents/2 || n.lost == 0 || n.samples < 3600*500/agents || len(n.mishaps) < 8 || n.waiting == 0 {
		t.Errorf("this was no churn: %+v", n)
	}
	if none := n.calls - len(n.records); none > n.unseen {
		t.Errorf("%d calls have no record, and only %d ended while nobody led", none, n.unseen)
	}
}
