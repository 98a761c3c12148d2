package center

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/contact"
)

// world is everything around a Center: call servers that keep to the words of package contact, agents, phones, desktops. What it can do
// next is a list, so that a walk picks one at random and an exploration tries each.
type world struct {
	k     *checker
	calls []*worldCall
	ids   uint64
	born  int
	names []string // agents
	known map[uint64]Lookup
	dials map[uint64]Dial // under way, by offer
	limit worldLimit
	log   []string
	keep  bool // keep the log
	seen  map[string]bool
	down  bool         // nobody leads the contact centre: nothing reaches it
	heard func(Output) // is told everything that the centre has said, after the world has done it; nil: nobody
}

// worldLimit is what happens in a world.
type worldLimit struct {
	calls     int
	numbers   []string
	agents    []string // what agents do: see moves
	failures  bool     // orders get lost, nodes die, browsers fail
	late      bool     // orders arrive later
	rebirth   bool     // the contact centre begins a new life
	callbacks bool
}

// worldCall is a call as its call server has it.
type worldCall struct {
	id     contact.CallID
	query  contact.Query
	live   bool
	taken  contact.Label // the newest label that was taken; serial zero for none
	orders []contact.Label
	with   string // connected to
	at     contact.State
	done   bool // the label has ended, and the Query for it was sent
	vars   map[string]string
	asked  bool
}

func newWorld(site *Site, limit worldLimit) *world {
	w := &world{k: newChecker(start), known: map[uint64]Lookup{}, dials: map[uint64]Dial{}, limit: limit, seen: map[string]bool{}}
	for _, a := range site.Agents {
		w.names = append(w.names, a.Name)
	}
	w.step(Configure{site})
	return w
}

func (w *world) id() uint64 { w.ids++; return w.ids }

func (w *world) step(in Input) {
	if w.down {
		return
	}
	if w.keep {
		w.log = append(w.log, fmt.Sprintf("%s %s", w.k.now.Format("15:04:05.000"), Describe(in)))
	}
	for _, o := range w.k.step(in) {
		w.output(o)
	}
}

// output carries what the Center says.
func (w *world) output(o Output) {
	if w.keep {
		w.log = append(w.log, "    "+Describe(o))
	}
	switch o := o.(type) {
	case Answer:
		if c := w.call(o.Call); c != nil && c.live {
			c.take(o.Label)
			c.asked = false
		}
	case Send:
		if c := w.call(o.Order.Call); c != nil {
			c.orders = append(c.orders, o.Order.Label)
		}
	case Lookup:
		w.known[o.ID] = o
	case Dial:
		if o.Stop {
			delete(w.dials, o.Offer)
		} else {
			w.dials[o.Offer] = o
		}
	}
	if w.heard != nil {
		w.heard(o)
	}
}

func (w *world) call(id contact.CallID) *worldCall {
	for _, c := range w.calls {
		if c.id == id {
			return c
		}
	}
	return nil
}

// take takes a label, as package contact says: the highest serial counts.
func (c *worldCall) take(l contact.Label) bool {
	for name, value := range l.Variables {
		if c.vars[name] = value; value == "" {
			delete(c.vars, name)
		}
	}
	if l.Serial <= c.taken.Serial {
		return false
	}
	c.taken, c.done = l, false
	switch l.Kind {
	case contact.Treat:
		c.at, c.with = contact.Treated, ""
	case contact.Stay:
		c.done = true
	}
	return true
}

// move is one thing that can happen next.
type move struct {
	name string
	do   func()
}

// moves are all things that can happen next.
func (w *world) moves() (out []move) {
	add := func(name string, do func()) { out = append(out, move{name, do}) }
	if len(w.calls) < w.limit.calls {
		for _, number := range w.limit.numbers {
			add("new "+number, func() { w.arrive(number) })
		}
	}
	for _, c := range w.calls {
		if c.live || len(c.orders) > 0 {
			out = append(out, w.callMoves(c)...)
		}
	}
	for _, name := range w.names {
		for _, what := range w.limit.agents {
			add(name+" "+what, func() { w.agentDoes(name, what) })
		}
	}
	for _, id := range sortedKeys(w.known) {
		add(fmt.Sprintf("lookup %d", id), func() { delete(w.known, id); w.step(Found{Lookup: id, Variables: map[string]string{"tier": "gold"}}) })
		add(fmt.Sprintf("lookup %d fails", id), func() { delete(w.known, id); w.step(Found{Lookup: id, Failed: true}) })
	}
	for _, id := range sortedKeys(w.dials) {
		for _, r := range []DialResult{DialConnected, DialUnheard, DialFailed, DialEnded} {
			add(fmt.Sprintf("dial %d %s", id, r), func() { w.dialled(id, r) })
		}
	}
	if w.limit.rebirth {
		add("rebirth", w.rebirth)
	}
	if next := w.k.c.Deadline(); !next.IsZero() {
		add("time", func() { w.k.now = next; w.step(nil) })
	}
	return out
}

func sortedKeys[V any](m map[uint64]V) []uint64 {
	var out []uint64
	for k := range m {
		i := len(out)
		for out = append(out, k); i > 0 && out[i-1] > out[i]; i-- {
			out[i-1], out[i] = out[i], out[i-1]
		}
	}
	return out
}

func (w *world) arrive(number string) {
	w.born++
	c := &worldCall{id: contact.CallID(fmt.Sprintf("c%d", w.born)), live: true, vars: map[string]string{}}
	c.query = contact.Query{Call: c.id, Server: "cs1", Called: number, Calling: "+4930123", Began: w.k.now}
	w.calls = append(w.calls, c)
	w.ask(c, contact.New)
}

// ask sends a Query of a call.
func (w *world) ask(c *worldCall, r contact.Reason) {
	q := c.query
	q.Reason, q.Label, q.With, q.State, q.Variables = r, c.taken.Serial, c.with, c.at, c.variables()
	c.done, c.asked = true, true
	w.step(Asked{ID: w.id(), Query: q})
}

func (c *worldCall) variables() map[string]string {
	v := map[string]string{}
	for name, value := range c.vars {
		v[name] = value
	}
	return v
}

// callMoves are what a call and its call server can do next.
func (w *world) callMoves(c *worldCall) (out []move) {
	add := func(name string, do func()) { out = append(out, move{string(c.id) + " " + name, do}) }
	if len(c.orders) > 0 {
		add("gets order", func() { w.deliver(c) })
		if w.limit.failures {
			add("loses order", func() {
				l := c.orders[0]
				c.orders = c.orders[1:]
				w.step(Ordered{Call: c.id, Serial: l.Serial, Lost: true})
			})
		}
		if !w.limit.late {
			return out
		}
	}
	if !c.live {
		return out
	}
	add("hangs up", func() { w.end(c, contact.ByCaller) })
	if w.limit.failures {
		add("is gone", func() { c.live, c.orders = false, nil; w.step(Gone{c.id}) })
	}
	if c.at == contact.Connected {
		add("far hangs up", func() { w.leftBy(c) })
	}
	if c.done {
		return out
	}
	switch c.taken.Kind {
	case contact.Treat:
		w.treatMoves(c, add)
	case contact.Connect:
		number, serial := c.taken.Number, c.taken.Serial
		add("answered", func() {
			c.done, c.at, c.with = true, contact.Connected, number
			w.step(Noted{contact.Note{Server: c.query.Server, Call: c.id, Serial: serial, Kind: contact.NoteConnected, Number: number}})
		})
		add("not answered", func() { w.failed(c, contact.NoAnswer) })
		add("busy", func() { w.failed(c, contact.Busy) })
	case contact.End:
		add("ends", func() { w.end(c, contact.ByServer) })
	}
	return out
}

func (w *world) treatMoves(c *worldCall, add func(string, func())) {
	last := c.taken.Steps[len(c.taken.Steps)-1]
	switch {
	case last.Kind == contact.Menu:
		for _, x := range append(last.Choices, contact.Choice{}) {
			add("presses "+x.Key, func() { c.vars[last.Variable] = x.Key; w.ask(c, contact.Step) })
		}
	case last.Kind == contact.Digits:
		add("enters digits", func() { c.vars[last.Variable] = "4711"; w.ask(c, contact.Step) })
		add("enters nothing", func() { c.vars[last.Variable] = ""; w.ask(c, contact.Step) })
	case last.Kind != contact.Music || last.For > 0:
		add("has heard it", func() { w.ask(c, contact.Step) })
	}
	if w.limit.failures {
		add("has no browser", func() { w.ask(c, contact.TreatmentFailed) })
	}
}

// deliver brings the oldest order that is under way to its call server.
func (w *world) deliver(c *worldCall) {
	l := c.orders[0]
	c.orders = c.orders[1:]
	taken := contact.UnknownCall
	if c.live {
		if taken = contact.OldLabel; c.take(l) {
			taken = contact.OrderTaken
		}
	}
	w.step(Ordered{Call: c.id, Serial: l.Serial, Taken: taken})
}

func (w *world) end(c *worldCall, by contact.Side) {
	c.live = false
	w.step(Noted{contact.Note{Server: c.query.Server, Call: c.id, Serial: c.taken.Serial, Kind: contact.NoteEnded, By: by}})
}

func (w *world) leftBy(c *worldCall) {
	with := c.with
	c.at = contact.Waiting
	w.ask(c, contact.Left)
	if c.with == with {
		c.with = ""
	}
}

func (w *world) failed(c *worldCall, r contact.Reason) {
	q := c.query
	q.Reason, q.Label, q.With, q.State, q.Variables = r, c.taken.Serial, c.taken.Number, c.at, c.variables()
	c.done, c.asked = true, true
	w.step(Asked{ID: w.id(), Query: q})
}

func (w *world) dialled(id uint64, r DialResult) {
	d := w.dials[id]
	if r != DialConnected {
		delete(w.dials, id)
	}
	w.step(Dialled{Callback: d.Callback, Offer: id, Result: r})
}

// agentDoes is one move of an agent, its phone or its desktop.
//
//house:flat
func (w *world) agentDoes(name, what string) {
	a := w.k.c.agents[name]
	if a == nil {
		return
	}
	device := a.Device
	switch what {
	case "log in":
		w.step(LogIn{ID: w.id(), Agent: name, Session: "d-" + name})
	case "log out":
		w.step(SetState{ID: w.id(), Agent: name, State: LoggedOut})
	case "ready":
		w.step(SetState{ID: w.id(), Agent: name, State: Ready})
	case "not ready":
		w.step(SetState{ID: w.id(), Agent: name, State: NotReady, Reason: "lunch"})
	case "forced ready":
		w.step(SetState{ID: w.id(), Agent: name, State: Ready, By: "sue"})
	case "forced not ready":
		w.step(SetState{ID: w.id(), Agent: name, State: NotReady, By: "sue"})
	case "forced out":
		w.step(SetState{ID: w.id(), Agent: name, State: LoggedOut, By: "sue"})
	case "device lost":
		w.step(Device{Device: device})
	case "device found":
		w.step(Device{Device: device, Up: true})
	case "phone busy":
		w.step(Phone{Device: device, Busy: true})
	case "phone idle":
		w.step(Phone{Device: device})
	case "desktop away":
		w.step(Session{Agent: name, Session: a.session})
	case "desktop back":
		w.step(Session{Agent: name, Session: "d-" + name, Up: true})
	case "holds":
		w.step(Held{Agent: name, Held: true})
	case "retrieves":
		w.step(Held{Agent: name})
	case "notes variables":
		w.step(SetVariables{ID: w.id(), Agent: name, Call: w.noted(a), Variables: map[string]string{"customer": "17"}})
	case "wraps up":
		w.step(WrapUp{ID: w.id(), Agent: name, Call: w.noted(a), Reasons: []string{"sale"}, Note: "by " + name})
	case "gives away":
		if len(a.with) > 0 {
			w.step(Dropped{Agent: name, Call: a.with[0].id})
		}
	case "takes over":
		for _, c := range w.calls {
			if c.live && c.at == contact.Connected {
				w.step(Joined{Agent: name, Call: c.id})
				return
			}
		}
	}
}

// noted is a contact of which an agent notes something: one that it wraps up, or has, or any, which is refused.
func (w *world) noted(a *agent) contact.CallID {
	switch {
	case len(a.done) > 0:
		return a.done[0].id
	case len(a.with) > 0:
		return a.with[0].id
	case len(w.calls) > 0:
		return w.calls[0].id
	}
	return "c0"
}

// rebirth begins a new life of the contact centre: the agents' last states, callbacks, and all calls told again. Orders under way are those
// of the old life; their answers go nowhere.
func (w *world) rebirth() { w.begin(w.last()) }

// last is what a life leaves to the next.
func (w *world) last() Restore {
	old := w.k.c
	r := Restore{Agents: old.Agents()}
	for _, v := range old.Contacts() {
		if v.Callback {
			r.Callbacks = append(r.Callbacks, *old.callers[v.Call].callback)
		}
	}
	return r
}

func (w *world) begin(r Restore) {
	old := w.k.c
	audit := old.audit
	w.k.c, w.k.open, w.k.serials = New(), map[uint64]contact.CallID{}, map[contact.CallID]uint64{}
	w.k.owed = map[contact.CallID]bool{}
	w.known, w.dials = map[uint64]Lookup{}, map[uint64]Dial{}
	w.k.c.audit = audit
	w.step(Configure{old.site})
	for _, d := range sortedDevices(old) {
		w.step(Device{Device: d.name, Up: !d.down})
		w.step(Phone{Device: d.name, Busy: d.busy})
	}
	w.k.owe(r)
	w.step(r)
	for _, c := range w.calls {
		if c.live {
			w.ask(c, contact.Again)
		}
	}
}

func sortedDevices(c *Center) (out []*device) {
	for _, name := range slices.Sorted(maps.Keys(c.devices)) {
		out = append(out, c.devices[name])
	}
	return out
}

// print is the state of everything without what only counts: ids, serials, absolute times. Two worlds with the same print behave the same.
func (w *world) print() string {
	var b strings.Builder
	c := w.k.c
	ago := func(t time.Time) int64 {
		if t.IsZero() {
			return -1
		}
		return int64(w.k.now.Sub(t) / time.Second)
	}
	rank := func(a *agent) (n int) {
		for _, x := range c.roster {
			if x.state == Ready && x.readySeq < a.readySeq {
				n++
			}
		}
		return n
	}
	for _, a := range c.roster {
		fmt.Fprintf(&b, "%s %d %s %d %s %v %d|", a.Name, a.state, a.reason, a.want, a.wantReason, a.session != "", len(a.with))
		for _, x := range a.done {
			fmt.Fprintf(&b, "%s %v %v|", x.id, x.over, x.record.WrapUps)
		}
		if a.device != nil {
			fmt.Fprintf(&b, "%v %v|", a.device.down, a.device.busy)
		}
		if a.state == Ready {
			fmt.Fprintf(&b, "r%d", rank(a))
		}
	}
	for _, d := range sortedDevices(c) {
		fmt.Fprintf(&b, "%s %v %v|", d.name, d.down, d.busy)
	}
	for _, x := range w.calls {
		v := c.callers[x.id]
		fmt.Fprintf(&b, "\n%v %d %d %v %s %v %v", x.live, x.taken.Kind, x.at, x.done, x.with, x.asked, x.taken.Number)
		for _, l := range x.orders {
			fmt.Fprintf(&b, " o%d %s %d", l.Kind, l.Number, int64(l.Serial)-int64(x.taken.Serial))
		}
		if v == nil {
			continue
		}
		fmt.Fprintf(&b, " %d %d %d %d %d %v", v.phase, int64(v.serial)-int64(x.taken.Serial), v.step, v.resent, v.lost*10+v.treats, v.keys)
		if v.node != nil {
			b.WriteString(v.node.Name)
		}
		if v.queue != nil {
			fmt.Fprintf(&b, " since %d said %d", min(ago(v.since), 100), ago(v.said))
		}
		if v.agent != nil {
			b.WriteString(" with " + v.agent.Name)
		}
		if v.offered != nil {
			fmt.Fprintf(&b, " offered %s %d", v.offered.agent.Name, int64(v.serial)-int64(v.offered.serial))
		}
	}
	b.WriteString("\n")
	for _, t := range timersInOrder(c) {
		fmt.Fprintf(&b, "%d in %d", t.kind, t.at.Sub(w.k.now)/time.Second)
		if t.agent != nil {
			b.WriteString(t.agent.Name)
		}
		if t.caller != nil {
			b.WriteString(string(t.caller.id))
		}
	}
	return b.String()
}

func timersInOrder(c *Center) timers {
	out := append(timers(nil), c.timers...)
	for i := range out {
		for j := i; j > 0 && out.less(j, j-1); j-- {
			out[j], out[j-1] = out[j-1], out[j]
		}
	}
	return out
}
