package center

import (
	"fmt"
	"slices"
	"time"
)

// agent is an agent of the site with what is going on.
type agent struct {
	Agent
	team       *Team
	state      State
	reason     string // of NotReady
	since      time.Time
	want       State // where it goes when it is free: Ready, NotReady, LoggedOut
	wantReason string
	device     *device // nil: logged out
	number     string
	session    string // of its desktop, empty: away
	removed    bool   // no longer in the site; forgotten when logged out
	restored   State  // with ReasonRestoring: what it was in before
	members    []membership
	offer      *offer
	with       []*caller // contacts it is connected to
	done       []*caller // contacts that it wraps up, or will: of talking, hold and work
	last       *queue    // whose contact it had last, and for how long
	talked     time.Duration
	readySeq   uint64 // order in which agents have become ready
	wrapUp     timer
	grace      timer
}

// membership is an agent's place in a queue: the first step that has it.
type membership struct {
	queue *queue
	step  int
	level float64
}

// device is a phone as far as it matters here.
type device struct {
	name  string
	down  bool
	busy  bool
	agent *agent // who is logged in at it
}

func (c *Center) deviceOf(name string) *device {
	d := c.devices[name]
	if d == nil {
		d = &device{name: name}
		c.devices[name] = d
	}
	return d
}

// on is the one way in which an agent changes its state: by the table. It returns why a request is refused.
func (c *Center) on(a *agent, s stimulus, reason string) (refused string) {
	t := c.table[a.state][s]
	if c.audit != nil {
		c.audit(a.state, s)
	}
	switch t.do {
	case doRefuse:
		return fmt.Sprintf("an agent who is %s cannot do this: %s", a.state, s)
	case doWantReady:
		a.want, a.wantReason = Ready, ""
	case doWantNotReady:
		a.want, a.wantReason = NotReady, reason
	case doWantLogOut:
		a.want, a.wantReason = LoggedOut, ""
	case doGiveBack:
		c.giveBack(a)
	}
	if t.to == toSame {
		if t.do != doNothing {
			c.tellAgent(a, a.state, 0)
		}
		return ""
	}
	c.enter(a, c.choose(a, t.to, reason))
	return ""
}

// place is a state with its reason.
type place struct {
	state  State
	reason string
}

// choose finds the state a transition leads to.
func (c *Center) choose(a *agent, t target, reason string) place {
	switch t {
	case toRest:
		return a.rest()
	case toAfterCall:
		return a.afterCall()
	case toUnheard:
		if a.want == LoggedOut {
			return place{state: LoggedOut}
		}
		if reason == ReasonUnreachable && a.device.busy {
			return place{NotReady, ReasonPhoneBusy}
		}
		return place{NotReady, reason}
	case toResume:
		if a.reason == ReasonPhoneBusy {
			return a.rest()
		}
		return place{a.state, a.reason}
	case toRestored:
		return a.afterRestore()
	case toNotReady:
		return place{NotReady, reason}
	}
	return place{state: State(t - toLoggedOut)}
}

// rest is where a free agent goes: where it wants to be, as far as its phone and its desktop let it.
func (a *agent) rest() place {
	switch {
	case a.want == LoggedOut:
		return place{state: LoggedOut}
	case a.want == NotReady:
		return place{NotReady, a.wantReason}
	case a.device.down:
		return place{NotReady, ReasonDeviceLost}
	case a.session == "" && !a.grace.running():
		return place{NotReady, ReasonSessionLost}
	case a.device.busy:
		return place{NotReady, ReasonPhoneBusy}
	}
	return place{state: Ready}
}

func (a *agent) afterCall() place {
	if a.want == LoggedOut || a.team.WrapUpMode == WrapUpNone {
		return a.rest()
	}
	return place{state: Work}
}

// afterRestore is what becomes of an agent about whom a new life has been told nothing.
func (a *agent) afterRestore() place {
	if a.reason != ReasonRestoring {
		return place{a.state, a.reason}
	}
	switch a.restored {
	case Talking, Hold:
		return a.afterCall() // the contact has ended meanwhile
	}
	return a.rest()
}

// enter puts an agent into a state, with all that belongs to leaving the old one and being in the new one.
func (c *Center) enter(a *agent, to place) {
	from, held := a.state, c.now.Sub(a.since)
	if from == to.state && a.reason == to.reason {
		return
	}
	switch from {
	case Ready:
		c.unready(a)
	case Work:
		c.stop(&a.wrapUp)
		a.handled(held)
	case LoggedOut:
		held = 0
	}
	if from == Work || to.state != Talking && to.state != Hold && to.state != Work {
		c.wrappedUp(a)
	}
	if to.state == Reserved || to.state == Talking && from != Reserved && from != Hold {
		a.expect()
	}
	a.state, a.reason = to.state, to.reason
	if from != to.state {
		a.since = c.now
	}
	switch to.state {
	case Ready:
		c.ready(a)
	case Work:
		if a.team.WrapUpMode == WrapUpTimed {
			c.start(&a.wrapUp, a.team.WrapUp)
		}
	case LoggedOut:
		a.leave(c)
	}
	c.tellAgent(a, from, held)
	if a.removed && to.state == LoggedOut {
		c.forgetAgent(a)
	}
}

// expect sets what an agent does after a contact that comes now, as long as it says nothing else: what it did before.
func (a *agent) expect() {
	switch {
	case a.state == Work, a.state == NotReady && a.reason == ReasonRestoring: // that is set
	case a.state == NotReady && !slices.Contains([]string{ReasonPhoneBusy, ReasonNoAnswer, ReasonUnreachable}, a.reason): // those are no more
		a.want, a.wantReason = NotReady, a.reason
	case a.team.NotReadyAfter:
		a.want, a.wantReason = NotReady, ReasonAfterCall
	default:
		a.want, a.wantReason = Ready, ""
	}
}

// handled tells the queue of the last contact what it has taken.
func (a *agent) handled(work time.Duration) {
	if a.last != nil {
		a.last.counts.Work += work
		a.last.learn(a.talked + work)
		a.last = nil
	}
}

// leave clears what only somebody logged in has.
func (a *agent) leave(c *Center) {
	c.stop(&a.grace)
	d := a.device
	d.agent = nil
	delete(c.byNumber, a.number)
	a.device, a.session, a.number, a.want, a.wantReason, a.restored = nil, "", "", LoggedOut, "", LoggedOut
	c.forgetDevice(d)
}

// ready makes an agent one to be reserved.
func (c *Center) ready(a *agent) {
	c.readySeq++
	a.readySeq = c.readySeq
	for _, m := range a.members {
		m.queue.steps[m.step].addReady(a, m.level)
	}
	c.fresh = append(c.fresh, a)
}

func (c *Center) unready(a *agent) {
	for _, m := range a.members {
		m.queue.steps[m.step].removeReady(a, m.level)
	}
}

// logIn handles a request to log in.
func (c *Center) logIn(in LogIn) (refused string) {
	a := c.agents[in.Agent]
	if a == nil || a.removed {
		return fmt.Sprintf("there is no agent %q", in.Agent)
	}
	name, number := in.Device, in.Number
	if name == "" {
		name = a.Device
	}
	if number == "" {
		number = a.Number
	}
	if name == "" || number == "" {
		return fmt.Sprintf("agent %s has no phone of their own: say which one", a.Name)
	}
	d := c.deviceOf(name)
	switch {
	case a.state != LoggedOut && a.device != d:
		return fmt.Sprintf("agent %s is logged in at %s: log out there first", a.Name, a.device.name)
	case d.agent != nil && d.agent != a:
		return fmt.Sprintf("agent %s is logged in at %s", d.agent.Name, name)
	case c.byNumber[number] != nil && c.byNumber[number] != a:
		return fmt.Sprintf("agent %s is logged in with the number %s", c.byNumber[number].Name, number)
	}
	fresh := a.state == LoggedOut
	if fresh {
		c.attach(a, d, number)
	}
	a.session = in.Session
	c.stop(&a.grace)
	if in.Session == "" {
		c.start(&a.grace, c.site.SessionGrace)
	}
	return c.on(a, onLogIn, ReasonLogIn)
}

// attach ties an agent to a phone and its number.
func (c *Center) attach(a *agent, d *device, number string) {
	a.device, a.number, d.agent = d, number, a
	a.want, a.wantReason = NotReady, ReasonLogIn
	c.byNumber[number] = a
}

// setState handles what agents and supervisors ask for.
func (c *Center) setState(in SetState) (refused string) {
	a := c.agents[in.Agent]
	if a == nil {
		return fmt.Sprintf("there is no agent %q", in.Agent)
	}
	if in.By != "" && !slices.Contains(a.team.Supervisors, in.By) {
		return fmt.Sprintf("%s is no supervisor of team %s", in.By, a.team.Name)
	}
	if in.State == Ready && a.device != nil && a.device.down {
		return fmt.Sprintf("the phone %s is not registered", a.device.name)
	}
	s, ok := map[State][2]stimulus{LoggedOut: {onLogOut, onForceLogOut}, Ready: {onReady, onForceReady}, NotReady: {onNotReady, onForceNotReady}}[in.State]
	if !ok {
		return fmt.Sprintf("nobody can be made %s; expected logged-out, ready or not-ready", in.State)
	}
	reason := in.Reason
	switch {
	case reason != "" && len(c.site.Reasons) > 0 && !slices.Contains(c.site.Reasons, reason):
		return fmt.Sprintf("%q is no reason of this site", reason)
	case reason == "" && in.By != "":
		reason = ReasonSupervisor
	case reason == "":
		reason = ReasonAgent
	}
	if in.By != "" {
		return c.on(a, s[1], reason)
	}
	return c.on(a, s[0], reason)
}

// sessionMoved handles that a desktop comes or goes.
func (c *Center) sessionMoved(in Session) {
	a := c.agents[in.Agent]
	switch {
	case a == nil || a.state == LoggedOut:
	case in.Up:
		a.session = in.Session
		c.stop(&a.grace)
	case a.session == in.Session && a.session != "": // an older desktop's end says nothing
		a.session = ""
		c.start(&a.grace, c.site.SessionGrace)
	}
}

func (c *Center) deviceMoved(in Device) {
	d := c.deviceOf(in.Device)
	if d.down == !in.Up {
		return
	}
	d.down = !in.Up
	switch {
	case d.agent == nil:
		c.forgetDevice(d)
	case d.down:
		c.on(d.agent, onDeviceLost, ReasonDeviceLost)
	default:
		c.on(d.agent, onDeviceFound, "")
	}
}

func (c *Center) phoneMoved(in Phone) {
	d := c.deviceOf(in.Device)
	if d.busy == in.Busy {
		return
	}
	d.busy = in.Busy
	switch {
	case d.agent == nil:
		c.forgetDevice(d)
	case d.busy:
		c.on(d.agent, onPhoneBusy, ReasonPhoneBusy)
	default:
		c.on(d.agent, onPhoneIdle, "")
	}
}

// forgetDevice drops what is not worth remembering.
func (c *Center) forgetDevice(d *device) {
	if !d.down && !d.busy && d.agent == nil {
		delete(c.devices, d.name)
	}
}

func (c *Center) tellAgent(a *agent, from State, held time.Duration) {
	c.put(AgentChanged{Agent: a.record(), From: from, For: held})
}
