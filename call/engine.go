package call

import (
	"slices"
	"time"
)

// An Input is one thing for the engine to digest: at most one of Signal, Request and Config is set; none of them is a Tick.
type Input struct {
	Signal Signal
	// Driver is the driver that sent the Signal; commands for a leg that comes in go there.
	Driver string
	// Request with its ID, which comes back in the Reply.
	Request   Request
	RequestID string
	// By says who asked (user or application), for traces.
	By     string
	Config *Config
}

// An Output is what one Step produced, in order.
type Output struct {
	Commands []Order
	Events   []Event
	// Reply answers the input's Request, nil for other inputs.
	Reply *Reply
}

// An Order is a Command with the name of the driver it is for.
type Order struct {
	Driver  string
	Command Command
}

// An Engine holds the calls of one node and service. One goroutine owns it; it has no lock.
type Engine struct {
	config  *Config
	calls   map[CallID]*Call
	legs    map[LegID]*Leg // legs on the wire
	devices map[string]*deviceState
	lines   map[LineID]*lineState // those with something set, and members of hunt groups
	hunted  map[string]LineID     // by hunt group: who had its last call
	trunks  map[string]*trunkState
	slots   map[slot]*Party
	turns   map[string]int // calls a group of a route list has had, by its name
	rooms   map[string]*Call
	nodes   map[string]bool // other nodes that live
	afar    afar

	lastCall  CallID
	lastParty PartyID
	lastLeg   LegID // even
	lastEvent uint64
	timerSeq  uint64
	timers    timers

	touched []*Call // other calls that the input under way has changed, to be settled at its end

	// now and out belong to the Step that runs; out's slices are scratch space.
	now     time.Time
	out     Output
	trigger trigger

	teller *teller       // collects reasons in a copy that explains, see Explain
	ahead  time.Duration // how far the dial plan's clock is ahead of now: "what if it were Monday"

	audit func(*Call, Event) // tests look at every event here, right after it happened
}

// deviceState is what the engine knows of a device that changes by itself.
type deviceState struct {
	up   bool
	node string // where it is registered; empty: here
	legs []*Leg
	// What its user has set; privateSet says that private counts, else the configuration does.
	dnd, huntOut, privateSet, private bool

	plain bool // who has registered it takes plain RTP only
}

type trunkState struct {
	down bool     // here
	at   []string // other nodes where it is in service
	legs int      // here
	// noEvents: its last answer had no telephone events.
	noEvents bool
}

// New makes an engine without calls and without configuration: it refuses every Setup until the first Config.
func New() *Engine {
	empty, _ := Site{}.Compile()
	return &Engine{
		config:  empty,
		calls:   map[CallID]*Call{},
		legs:    map[LegID]*Leg{},
		devices: map[string]*deviceState{},
		lines:   map[LineID]*lineState{},
		hunted:  map[string]LineID{},
		trunks:  map[string]*trunkState{},
		slots:   map[slot]*Party{},
		turns:   map[string]int{},
		rooms:   map[string]*Call{},
		nodes:   map[string]bool{},
		afar:    afar{lines: map[LineID][]heard{}, spots: map[Spot][]heard{}},
	}
}

// Step digests one input, after the timers that have expired by now. The Output is the caller's to keep.
func (e *Engine) Step(now time.Time, in Input) Output {
	e.now, e.trigger = now, trigger{}
	for t := e.due(); t != nil; t = e.due() {
		e.expire(t)
	}
	switch {
	case in.Config != nil:
		e.configure(in.Config)
	case in.Signal != nil:
		e.signal(in.Driver, in.Signal)
	case in.Request != nil:
		e.out.Reply, e.trigger.by = &Reply{ID: in.RequestID}, ReleasedByApplication
		e.request(in.Request, e.out.Reply)
	}
	for i := 0; i < len(e.touched); i++ {
		e.settle(e.touched[i])
	}
	clear(e.touched)
	e.touched = e.touched[:0]
	return e.deliver()
}

// touch has the media of a call settled when the input under way is done: for features that change another call than the one
// the input is about.
func (e *Engine) touch(c *Call) { e.touched = append(e.touched, c) }

// deliver copies what the Step has gathered out of the engine's scratch space.
func (e *Engine) deliver() Output {
	out := Output{Reply: e.out.Reply}
	if len(e.out.Commands) > 0 {
		out.Commands = append(out.Commands, e.out.Commands...)
	}
	if len(e.out.Events) > 0 {
		out.Events = append(out.Events, e.out.Events...)
	}
	clear(e.out.Commands)
	clear(e.out.Events)
	e.out = Output{Commands: e.out.Commands[:0], Events: e.out.Events[:0]}
	return out
}

// Deadline is when the engine wants a Step with an empty Input (a Tick) at the latest; the zero time means never.
func (e *Engine) Deadline() time.Time {
	if len(e.timers) == 0 {
		return time.Time{}
	}
	return e.timers[0].at
}

// Calls are pictures of all calls, in the order of their ids.
func (e *Engine) Calls() []*View {
	views := make([]*View, 0, len(e.calls))
	for _, c := range e.calls {
		views = append(views, c.picture())
	}
	slices.SortFunc(views, func(a, b *View) int { return int(a.ID) - int(b.ID) })
	return views
}

// Load is how many calls there are, and how many of their legs are on the wire.
func (e *Engine) Load() (calls, legs int) { return len(e.calls), len(e.legs) }

// LastEvent is the sequence number of the newest event.
func (e *Engine) LastEvent() uint64 { return e.lastEvent }

// signal sorts a signal: what is about no leg is dealt with here, a new leg is made, signals of legs that are gone are dropped
// (they crossed a Release), the rest goes to the features.
func (e *Engine) signal(driver string, s Signal) {
	switch s := s.(type) {
	case DeviceState:
		e.device(s.Device).moved(s)
		return
	case TrunkState:
		e.trunkOf(s.Trunk).moved(s)
		return
	case NodeState:
		e.nodeState(s)
		return
	case Elsewhere:
		e.hear(s)
		return
	case DriverLost:
		e.driverLost(s.Driver)
		return
	case Setup:
		if s.Node != "" {
			s.meant()
		} else {
			e.config.globalise(&s)
		}
		if l := e.arrive(driver, s); l != nil {
			e.dispatch(l, s)
		}
		return
	}
	if l := e.legs[s.SignalLeg()]; l != nil {
		if _, over := s.(Released); over {
			e.trigger = trigger{ReleasedByLeg, l.id}
		}
		e.dispatch(l, s)
	}
}

// dispatch shows a signal to the features in their order, and then settles the media of the call.
func (e *Engine) dispatch(l *Leg, s Signal) {
	for _, f := range features {
		if f.signal(e, l, s) {
			break
		}
	}
	e.settle(l.party.call)
}

func (e *Engine) request(r Request, reply *Reply) {
	for _, f := range features {
		if f.request(e, r, reply) {
			return
		}
	}
	reply.Cause, reply.Why = ServiceNotImplemented, "this engine does not know that request"
}

func (e *Engine) expire(t *timer) {
	for _, f := range features {
		if f.expired(e, t) {
			break
		}
	}
	e.settle(t.call)
}

// driverLost ends all legs of a driver, in the order of their ids.
func (e *Engine) driverLost(driver string) {
	var ids []LegID
	for id, l := range e.legs {
		if l.driver == driver {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if l := e.legs[id]; l != nil {
			e.trigger = trigger{ReleasedByDriver, id}
			e.dispatch(l, Released{Leg: id, Cause: DriverGone})
		}
	}
}

func (e *Engine) device(name string) *deviceState {
	d := e.devices[name]
	if d == nil {
		d = &deviceState{}
		e.devices[name] = d
	}
	return d
}

func (e *Engine) trunkOf(name string) *trunkState {
	t := e.trunks[name]
	if t == nil {
		t = &trunkState{}
		e.trunks[name] = t
	}
	return t
}

// tell gives a command to the leg's driver. Whoever it names is shown in the form that the device or trunk dials.
func (e *Engine) tell(l *Leg, c Command) {
	if space := e.config.callingSpace(l); space != "" {
		c = e.config.retold(space, c)
	}
	if i, ok := c.(Identify); ok && l.tie != nil {
		i.Inside, i.GlobalID = e.insideFor(l), l.party.call.globalID
		c = i
	}
	l.noted(c)
	e.out.Commands = append(e.out.Commands, Order{l.driver, c})
}

// emit reports an event about a call; p and l may be nil. The event is the caller's to complete until the next one.
func (e *Engine) emit(kind EventKind, c *Call, p *Party, l *Leg, cause Cause) *Event {
	MarkOf(kind).mark(c, p, l)
	e.lastEvent++
	ev := Event{Seq: e.lastEvent, At: e.now, Kind: kind, Call: c.id, Cause: cause, View: c.picture()}
	if p != nil {
		ev.Party = p.id
	}
	if l != nil {
		ev.Leg = l.id
	}
	e.out.Events = append(e.out.Events, ev)
	if e.audit != nil {
		e.audit(c, ev)
	}
	return &e.out.Events[len(e.out.Events)-1]
}

// newCall makes a call without parties.
func (e *Engine) newCall(globalID string, w wish) *Call {
	e.lastCall++
	c := &Call{id: e.lastCall, globalID: globalID, named: w.named, created: e.now}
	c.duration = timer{kind: timerDuration, call: c}
	e.calls[c.id] = c
	e.emit(CallCreated, c, nil, nil, CauseNone)
	return c
}

// addParty adds p to c.
func (e *Engine) addParty(c *Call, p *Party) {
	e.lastParty++
	p.id, p.call = e.lastParty, c
	c.parties = append(c.parties, p)
	p.changed()
	e.emit(PartyAdded, c, p, nil, CauseNone)
}

// addLeg adds a leg to a party and enters it in the engine's books.
func (e *Engine) addLeg(p *Party, l *Leg) {
	if l.id == 0 {
		e.lastLeg += 2
		l.id = e.lastLeg
	}
	l.party = p
	if p.call.emergency {
		l.history.marks |= MarkEmergency
	}
	p.legs = append(p.legs, l)
	e.legs[l.id] = l
	e.begin(l)
	if l.device != "" {
		d := e.device(l.device)
		d.legs = append(d.legs, l)
	}
	if l.trunk != "" && l.tie == nil {
		e.trunkOf(l.trunk).legs++
	}
	p.changed()
}

// forget takes a leg that leaves the wire out of the engine's books.
func (e *Engine) forget(l *Leg) {
	delete(e.legs, l.id)
	e.noteIdle(l)
	if l.device != "" {
		d := e.device(l.device)
		d.legs = slices.DeleteFunc(d.legs, func(x *Leg) bool { return x == l })
	}
	if l.trunk != "" && l.tie == nil {
		e.trunkOf(l.trunk).legs--
	}
}
