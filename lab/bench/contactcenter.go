package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/store"
)

// Sizes of the rows of queue and agents.
const (
	ccRate    = 200 // calls a second
	ccBacklog = 400 // calls that wait before it begins, so that every agent who becomes ready has one
	ccRing    = time.Second
	ccPools   = 10 // skills and queues
	askAgain  = time.Second
)

// queueing is the contact centre's service with agents and calls, and without media: a real bus of two nodes joined by mutual TLS, a real
// store, the goroutine that leads, a fact on the board for each call. What is played, in the same process, are call servers (at the other
// node of the bus) and agents' phones (at the seam of package phones).
func (b *bench) queueing(ctx context.Context) error {
	for range b.rounds {
		if err := b.queueingOnce(ctx); err != nil {
			return err
		}
	}
	b.note(fmt.Sprintf("queue: %d calls wait at the start, an agent becomes ready every %s and has its contact until its turn comes again (%d s less a second of ringing and one of rest); "+
		"bus of both nodes, store, call servers and phones are in the bench's process, and in the CPU", ccBacklog, time.Second/ccRate, b.agents/ccRate))
	return nil
}

// ccSite has so many agents, spread over skills of one queue each.
func ccSite(agents int) *config.Site {
	s := &config.Site{Nodes: []config.Node{{Name: "n1"}}, ContactCenters: []config.ContactCenter{{Name: "bench"}},
		Teams: []config.Team{{Name: "team", WrapUp: config.WrapUpNone, NotReadyAfterContact: true}}}
	for i := range ccPools {
		name := "skill" + strconv.Itoa(i)
		s.Skills = append(s.Skills, config.Skill{Name: name})
		s.Queues = append(s.Queues, config.Queue{Name: name, Steps: []config.QueueStep{{Where: name + " >= 5"}}})
		s.RoutingScripts = append(s.RoutingScripts, config.RoutingScript{Name: name, Nodes: []config.FlowNode{{Name: "wait", Do: config.FlowQueue, Queue: name}}})
		s.ContactNumbers = append(s.ContactNumbers, config.ContactNumber{Number: strconv.Itoa(8000 + i), Script: name})
	}
	for i := range agents {
		a := agentName(i)
		s.Users = append(s.Users, config.User{Name: a})
		s.Agents = append(s.Agents, config.Agent{Name: a, Team: "team", Device: "SEP" + a, Number: strconv.Itoa(20000 + i), Skills: []config.AgentSkill{{Skill: "skill" + strconv.Itoa(i%ccPools), Level: 7}}})
	}
	return s.Canonical()
}

func agentName(i int) string { return fmt.Sprintf("agent%05d", i) }

// queueRig is a contact centre that is measured, and all that is around it.
type queueRig struct {
	b       *bench
	s       *contactcenter.Service
	servers *bus.Bus // of the call servers
	router  bus.Subject
	phones  *playedPhones

	mu      sync.Mutex
	seq     uint64 // of Notes
	calls   map[contact.CallID]*playedCall
	turn    []int            // agents that are free, the longest first
	pressed map[string]press // agents that have become ready and have nothing yet, by number
	matched []time.Duration  // from ready to the order
	asked   []time.Duration  // from a Query to its Label
	faults  map[string]int
	serial  int
}

type press struct {
	agent int
	at    time.Time
}

// playedCall is a call as its call server has it.
type playedCall struct {
	query contact.Query
	agent int       // that it is connected to, or -1
	sent  time.Time // its Query, the last time: from then on it waits
	over  *time.Timer
}

func (b *bench) queueingOnce(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp(b.dir, "queue")
	if err != nil {
		return err
	}
	one, other, err := b.twoBuses(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, other.Close(), one.Close()) }()
	st, err := store.Open(ctx, filepath.Join(dir, "s.db"), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if _, err := st.Apply(ctx, store.ChangeSet{Changes: config.Diff(nil, ccSite(b.agents))}); err != nil {
		return err
	}
	empty := alive()
	r := &queueRig{b: b, servers: other, router: one.Subject(contact.ServiceContactCenter, contact.VerbQuery), phones: newPlayedPhones(), calls: map[contact.CallID]*playedCall{}, pressed: map[string]press{}, faults: map[string]int{}}
	serve, err := bus.Serve(other, other.Subject(contact.ServiceCallServer, contact.VerbOrder), func(_ context.Context, o contact.Order) (contact.TakenAnswer, error) { return r.ordered(o), nil })
	if err != nil {
		return err
	}
	defer serve.Close()
	tell, err := bus.Serve(other, other.Subject(contact.ServiceCallServer, contact.VerbCalls), func(context.Context, contact.CallsRequest) (contact.Calls, error) { return r.standing(), nil })
	if err != nil {
		return err
	}
	defer tell.Close()
	if r.s, err = contactcenter.Start(ctx, contactcenter.Config{Node: "n1", Store: st, Bus: one, Phones: r.phones}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.s.Close(context.WithoutCancel(ctx))) }()
	if err := r.see(ctx, "it leads", func(p *contactcenter.Picture) bool { return p.Leads }); err != nil {
		return err
	}
	begun := time.Now()
	for i := range b.agents {
		if err := r.s.LogIn(ctx, agentName(i), "", "", "desktop"); err != nil {
			return err
		}
		r.turn = append(r.turn, i)
	}
	b.say("queue: %d agents are logged in after %s", b.agents, time.Since(begun))
	b.table.row(fmt.Sprintf("queue: memory of an agent who is logged in (of %d): alive", b.agents), "kB", "").add("locktone", (alive()-empty)/1024/float64(b.agents))
	return r.measure(ctx)
}

// ownProfile writes a CPU profile of this process, where profiles are wanted, until it is done.
func (b *bench) ownProfile(name string) (done func(), err error) {
	if b.profile == "" {
		return func() {}, nil
	}
	f, err := os.Create(filepath.Join(b.profile, name+".cpu.pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { pprof.StopCPUProfile(); _ = f.Close() }, nil
}

// alive is what a collection leaves of the heap, octets.
func alive() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// measure has calls come and agents become ready for five times as long as other rows, so that with 6 seconds each agent has its turn.
func (r *queueRig) measure(ctx context.Context) error {
	b := r.b
	for range ccBacklog {
		r.caller(ctx)
	}
	r.asked = nil
	done, err := b.ownProfile("queue")
	if err != nil {
		return err
	}
	defer done()
	seconds := 5 * b.seconds
	n := int(seconds * ccRate)
	before, begun := spent(os.Getpid()), time.Now()
	var pending sync.WaitGroup
	for i := range n {
		select {
		case <-time.After(time.Until(begun.Add(time.Duration(i) * time.Second / ccRate))):
		case <-ctx.Done():
			return ctx.Err()
		}
		pending.Go(func() { r.caller(ctx) })
		pending.Go(func() { r.ready(ctx) })
	}
	pending.Wait()
	took, cpu := time.Since(begun), spent(os.Getpid())-before
	picture := *r.s.Look()
	if err := r.end(ctx); err != nil {
		r.faults[err.Error()]++
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	left, reserved := 0, 0
	for _, a := range r.s.Look().Agents {
		if a.State == center.Reserved {
			reserved++
		}
	}
	left = len(r.s.Look().Contacts)
	slices.Sort(r.matched)
	slices.Sort(r.asked)
	name := fmt.Sprintf("queue: %d agents, %d calls/s: ", b.agents, ccRate)
	ms := func(what, target string, v []time.Duration, share float64) {
		b.table.row(name+what, "ms", target).add("locktone", percentile(v, share))
	}
	ms("agent ready and a call waits, to the order at the call server, p50", "", r.matched, 0.5)
	ms("agent ready and a call waits, to the order at the call server, p99", "", r.matched, 0.99)
	ms("a new call's query to its label, p50", "", r.asked, 0.5)
	ms("a new call's query to its label, p99", "", r.asked, 0.99)
	b.table.row(name+"calls reached", "1/s", strconv.Itoa(ccRate)).add("locktone", float64(len(r.matched))/took.Seconds())
	b.table.row(name+"CPU of a call, with bus, store and what is played", "us", "").add("locktone", float64(cpu.Microseconds())/float64(max(1, len(r.matched))))
	b.table.row(name+"reserved agents and contacts that are left at the end", "", "0").add("locktone", float64(left+reserved))
	b.table.row(name+"faults (queries asked again, orders that fit no agent, requests refused)", "", "0").add("locktone", float64(sum(r.faults)))
	b.say("%s%d matched in %s, p50 %.2f p99 %.2f ms; query p99 %.2f ms; CPU %.0f us; at the end %d contacts at work, then %d left, %d reserved; faults %v", name, len(r.matched), took,
		percentile(r.matched, 0.5), percentile(r.matched, 0.99), percentile(r.asked, 0.99), float64(cpu.Microseconds())/float64(max(1, len(r.matched))), len(picture.Contacts), left, reserved, r.faults)
	return nil
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// see waits for a picture.
func (r *queueRig) see(ctx context.Context, what string, ok func(*contactcenter.Picture) bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		p := r.s.Look()
		if ok(p) {
			return nil
		}
		select {
		case <-p.Changed:
		case <-ctx.Done():
			return fmt.Errorf("waited a minute for: %s", what)
		}
	}
}

func (r *queueRig) fault(what string) {
	r.mu.Lock()
	r.faults[what]++
	r.mu.Unlock()
}

// caller is a new call: its fact, its Query, and what its label says.
func (r *queueRig) caller(ctx context.Context) {
	r.mu.Lock()
	r.serial++
	id := contact.CallID("call" + strconv.Itoa(r.serial))
	c := &playedCall{agent: -1, sent: time.Now(), query: contact.Query{Call: id, Server: r.servers.Node(), Called: strconv.Itoa(8000 + r.serial%ccPools), Calling: "+4930123456", Began: time.Now(), Reason: contact.New}}
	r.calls[id] = c
	query := c.query
	r.mu.Unlock()
	bus.Put(r.servers.Board(), contact.FactCall, string(id), contact.Standing{Query: query})
	begun := time.Now()
	l, err := bus.Ask[contact.Query, contact.Label](ctx, r.servers, r.router, query)
	for ; err != nil; l, err = r.again(ctx, c, query) {
		r.fault("query asked again: " + err.Error()) // the call server keeps the caller meanwhile
		if ctx.Err() != nil {
			return
		}
	}
	took := time.Since(begun)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, took)
	if c.query.Label < l.Serial {
		c.query.Label = l.Serial
	}
	if l.Kind == contact.Connect { // nobody waited: an agent was ready before
		r.connect(c, l, false)
	}
}

// again asks a query again, some time later.
func (r *queueRig) again(ctx context.Context, c *playedCall, query contact.Query) (contact.Label, error) {
	select {
	case <-time.After(askAgain):
	case <-ctx.Done():
		return contact.Label{}, ctx.Err()
	}
	r.mu.Lock()
	c.sent = time.Now()
	r.mu.Unlock()
	return bus.Ask[contact.Query, contact.Label](ctx, r.servers, r.router, query)
}

// ready has the agent whose turn it is press ready.
func (r *queueRig) ready(ctx context.Context) {
	r.mu.Lock()
	if len(r.turn) == 0 {
		r.faults["no agent is free to become ready"]++
		r.mu.Unlock()
		return
	}
	i := r.turn[0]
	r.turn = r.turn[1:]
	r.pressed[strconv.Itoa(20000+i)] = press{i, time.Now()}
	r.mu.Unlock()
	if err := r.s.SetState(ctx, agentName(i), center.Ready, "", ""); err != nil {
		r.fault("ready: " + err.Error())
	}
}

// ordered is the call server's side of an Order.
func (r *queueRig) ordered(o contact.Order) contact.TakenAnswer {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.calls[o.Call]
	if c == nil {
		return contact.TakenAnswer{Taken: contact.UnknownCall}
	}
	if o.Label.Serial <= c.query.Label {
		return contact.TakenAnswer{Taken: contact.OldLabel}
	}
	c.query.Label = o.Label.Serial
	if o.Label.Kind == contact.Connect {
		r.connect(c, o.Label, true)
	}
	return contact.TakenAnswer{Taken: contact.OrderTaken}
}

// connect rings an agent's phone, and the agent answers.
func (r *queueRig) connect(c *playedCall, l contact.Label, waited bool) {
	p, ok := r.pressed[l.Number]
	if !ok {
		r.faults["order for an agent who is not ready"]++
		return
	}
	delete(r.pressed, l.Number)
	if waited {
		r.matched = append(r.matched, min(time.Since(p.at), time.Since(c.sent))) // both are there since the later of the two
	}
	c.agent = p.agent
	r.phones.shows(p.agent, phones.Call{State: phones.Ringing, Number: c.query.Calling})
	c.over = time.AfterFunc(ccRing, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.calls[c.query.Call] != c {
			return
		}
		c.query.State, c.query.With = contact.Connected, l.Number
		r.note(contact.Note{Call: c.query.Call, Serial: l.Serial, Kind: contact.NoteConnected, Number: l.Number})
		r.phones.shows(p.agent, phones.Call{State: phones.Talking, Number: c.query.Calling})
		c.over = time.AfterFunc(time.Duration(r.b.agents/ccRate)*time.Second-2*ccRing, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.hangUp(c)
		})
	})
}

// hangUp ends a call; its agent is the last of those who wait for their turn.
func (r *queueRig) hangUp(c *playedCall) {
	if r.calls[c.query.Call] != c {
		return
	}
	delete(r.calls, c.query.Call)
	r.note(contact.Note{Call: c.query.Call, Serial: c.query.Label, Kind: contact.NoteEnded, By: contact.ByCaller})
	if c.agent >= 0 {
		r.phones.shows(c.agent)
		r.turn = append(r.turn, c.agent)
	}
	r.servers.Board().Drop(contact.FactCall, string(c.query.Call))
}

// note publishes a Note; the caller holds the lock, so that their numbers rise.
func (r *queueRig) note(n contact.Note) {
	r.seq++
	n.Server, n.Life, n.Seq, n.At = r.servers.Node(), 1, r.seq, time.Now()
	if err := bus.Publish(r.servers, r.servers.Subject(contact.ServiceCallServer, contact.VerbNote), n); err != nil {
		r.faults["note: "+err.Error()]++
	}
}

// standing are all calls, for a contact centre that has missed a Note.
func (r *queueRig) standing() contact.Calls {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults["a note was missed, and all calls were asked for"]++
	out := contact.Calls{Server: r.servers.Node(), Life: 1, Seq: r.seq}
	for _, c := range r.calls {
		out.Calls = append(out.Calls, contact.Standing{Query: c.query})
	}
	return out
}

// end hangs up all calls and waits until the contact centre has nothing left.
func (r *queueRig) end(ctx context.Context) error {
	r.mu.Lock()
	for _, c := range r.calls {
		if c.over != nil {
			c.over.Stop()
		}
		r.hangUp(c)
	}
	r.mu.Unlock()
	return r.see(ctx, "no contact, nobody reserved", func(p *contactcenter.Picture) bool {
		return len(p.Contacts) == 0 && !slices.ContainsFunc(p.Agents, func(a center.AgentRecord) bool { return a.State == center.Reserved })
	})
}

// playedPhones are agents' phones that show what they are told to.
type playedPhones struct {
	mu    sync.Mutex
	known map[string]phones.Phone // devices that are followed, as they are
	queue []phones.Phone
	wake  chan struct{}
}

func newPlayedPhones() *playedPhones {
	return &playedPhones{known: map[string]phones.Phone{}, wake: make(chan struct{}, 1)}
}

func (p *playedPhones) put(x phones.Phone) {
	p.known[x.Device] = x
	p.queue = append(p.queue, x)
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// shows has an agent's phone show these calls.
func (p *playedPhones) shows(agent int, calls ...phones.Call) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x, followed := p.known["SEP"+agentName(agent)]; followed {
		x.Calls = calls
		p.put(x)
	}
}

// Follow, Leave, Phone, Next and Do are what a contact centre wants of phones.
func (p *playedPhones) Follow(device, number string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(phones.Phone{Device: device, Number: number, InService: true})
}

func (p *playedPhones) Leave(device string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, device)
}

func (p *playedPhones) Phone(device string) (phones.Phone, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x, ok := p.known[device]
	return x, ok
}

func (p *playedPhones) Next(ctx context.Context) (phones.Phone, error) {
	for {
		p.mu.Lock()
		if len(p.queue) > 0 {
			x := p.queue[0]
			p.queue = p.queue[1:]
			p.mu.Unlock()
			return x, nil
		}
		p.mu.Unlock()
		select {
		case <-p.wake:
		case <-ctx.Done():
			return phones.Phone{}, ctx.Err()
		}
	}
}

func (p *playedPhones) Do(context.Context, phones.Command) error { return nil }
