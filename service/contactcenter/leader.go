package contactcenter

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// showEvery bounds how often a Picture is made: one of 5,000 agents takes a millisecond.
const showEvery = 100 * time.Millisecond

// message is one input for the goroutine that owns the centre; make is given the number under which the reply is awaited.
type message struct {
	in    center.Input
	make  func(id uint64) center.Input
	reply chan reply
}

// reply answers a Query or a request.
type reply struct {
	label   contact.Label
	refused string
	err     error
}

func newReply() chan reply { return make(chan reply, 1) }

// leader is one term of office: the centre and all that moves it. The goroutine in run owns center, waiting and seen.
type leader struct {
	s       *Service
	term    context.Context
	center  *center.Center
	inbox   chan message
	waiting map[uint64]chan reply
	lastID  uint64
	life    uint64
	notes   map[string]numbered // the last Note of each call server
	seats   map[string]string   // phones that are followed, by agent
	write   *writer
	tally   *intervals
	orders  chan struct{} // a place for each order under way
	work    sync.WaitGroup
	changed bool // the Picture is old
	shown   time.Time
}

// numbered is how far the Notes of a call server are known.
type numbered struct{ life, seq uint64 }

// lead leads for one term. It returns when the term is over and everything it did is done.
func (s *Service) lead(term context.Context) error {
	l := &leader{s: s, term: term, center: center.New(), inbox: make(chan message, 4096), waiting: map[uint64]chan reply{}, life: uint64(s.cfg.Now().UnixNano()), notes: map[string]numbered{},
		seats: map[string]string{}, orders: make(chan struct{}, 512)}
	l.write, l.tally = newWriter(s, term), newIntervals(s.cfg.Node, s.cfg.Now(), s.records.interval)
	defer l.work.Wait()
	changes := s.cfg.Store.Watch(term)
	now, err := s.cfg.Store.Site(term)
	if err != nil {
		return fmt.Errorf("contactcenter: the site cannot be read: %w", err)
	}
	restore, err := l.load()
	if err != nil {
		return err
	}
	notes, err := bus.Subscribe[contact.Note](s.cfg.Bus, s.cfg.Bus.AllNodes(contact.ServiceCallServer, contact.VerbNote), 8192)
	if err != nil {
		return err
	}
	defer notes.Close()
	facts := s.cfg.Bus.Board().Watch(contact.FactCall)
	defer facts.Close()
	serve, err := bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, contact.VerbQuery), l.query)
	if err != nil {
		return err
	}
	defer serve.Close()
	l.configure(now.Site)
	l.step(restore)
	s.mu.Lock()
	s.leader = l
	s.mu.Unlock()
	defer l.leave()
	bus.Take(s.cfg.Bus.Board(), contact.FactRouter, contact.RouterKey, contact.Router{Node: s.cfg.Node, Life: l.life})
	s.note(trace.Info, fmt.Sprintf("leads the contact centre, with %d agents of before", len(restore.Agents)))
	if s.cfg.Phones != nil {
		l.work.Go(l.followPhones)
	}
	l.work.Go(l.write.run)
	l.work.Go(l.prune)
	l.run(changes, notes, facts)
	return nil
}

// leave ends the term: call servers see that nobody leads here.
func (l *leader) leave() {
	s := l.s
	s.cfg.Bus.Board().Drop(contact.FactRouter, contact.RouterKey)
	l.tally.roll(s.cfg.Now(), l.center)
	l.tally.end(s.cfg.Now(), l.center)
	s.mu.Lock()
	s.leader = nil
	s.mu.Unlock()
	for _, r := range l.waiting {
		r <- reply{err: ErrNotLeading}
	}
	s.show(&Picture{At: s.cfg.Now()})
	s.note(trace.Info, "does not lead the contact centre any more")
}

// load reads what the last life has left.
func (l *leader) load() (out center.Restore, err error) {
	docs, err := l.s.docs.List(l.term, "")
	if err != nil {
		return out, fmt.Errorf("contactcenter: the states of agents cannot be read: %w", err)
	}
	for _, d := range docs {
		switch kind := kindOf(d.Key); kind {
		case "agent":
			var r center.AgentRecord
			if err = json.Unmarshal(d.Value, &r); err == nil {
				out.Agents = append(out.Agents, r)
			}
		case "callback":
			var r center.CallbackRecord
			if err = json.Unmarshal(d.Value, &r); err == nil {
				out.Callbacks = append(out.Callbacks, r)
			}
		}
		if err != nil {
			l.s.note(trace.Error, "document "+d.Key+" is not what it should be, and is left out: "+err.Error())
		}
	}
	return out, nil
}

// put gives the owner a message; when the owner is behind by thousands, whoever brings one waits.
func (l *leader) put(m message) {
	select {
	case l.inbox <- m:
	case <-l.term.Done():
		if m.reply != nil {
			m.reply <- reply{err: ErrNotLeading}
		}
	}
}

// query answers a call server.
func (l *leader) query(ctx context.Context, q contact.Query) (contact.Label, error) {
	r := newReply()
	l.put(message{make: func(id uint64) center.Input { return center.Asked{ID: id, Query: q} }, reply: r})
	select {
	case a := <-r:
		return a.label, a.err
	case <-l.term.Done():
		return contact.Label{}, &bus.Error{Code: bus.CodeUnavailable, Message: "this node does not lead the contact centre any more"}
	case <-ctx.Done():
		return contact.Label{}, ctx.Err()
	}
}

// configure takes a site into use.
func (l *leader) configure(site *config.Site) {
	c := l.s.site(site)
	if c == nil {
		return
	}
	l.tally.roll(l.s.cfg.Now(), l.center)
	l.tally.count(l.center)
	l.tally.configured(site.Contact().Interval.D())
	l.step(center.Configure{Site: c})
}

// run owns the centre until the term is over.
func (l *leader) run(changes <-chan store.Snapshot, notes *bus.Subscription[contact.Note], facts *bus.BoardWatch) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	l.changed = true // it leads now
	for l.term.Err() == nil {
		timer.Reset(l.pause())
		select {
		case m := <-l.inbox:
			l.message(m)
		case n := <-notes.C():
			l.noted(n)
		case f := <-facts.C():
			l.fact(f)
		case now, ok := <-changes:
			if !ok {
				return
			}
			l.configure(now.Site)
		case <-timer.C:
			l.tick()
		case <-l.term.Done():
		}
	}
}

// pause is how long nothing is due.
func (l *leader) pause() time.Duration {
	now := l.s.cfg.Now()
	wait := l.tally.next.Sub(now)
	if at := l.center.Deadline(); !at.IsZero() {
		wait = at.Sub(now)
	}
	if l.changed {
		wait = min(wait, l.shown.Add(showEvery).Sub(now))
	}
	return max(wait, 0)
}

// tick does what is due.
func (l *leader) tick() {
	now := l.s.cfg.Now()
	l.tally.roll(now, l.center)
	if at := l.center.Deadline(); !at.IsZero() && !at.After(now) {
		l.step(nil)
	}
	if l.changed && !now.Before(l.shown.Add(showEvery)) {
		l.changed, l.shown = false, now
		l.s.show(&Picture{At: now, Leads: true, Agents: l.center.Agents(), Queues: l.center.Queues(now), Contacts: l.center.Contacts()})
	}
}

func (l *leader) message(m message) {
	in := m.in
	if m.make != nil {
		l.lastID++
		l.waiting[l.lastID] = m.reply
		in = m.make(l.lastID)
	}
	l.changed = true // desktops and phones are behind it: the picture shows them too
	l.step(in)
}

// noted takes a Note; where one is missing the call server is asked for all its calls.
func (l *leader) noted(m bus.Message[contact.Note]) {
	n := m.Value
	was := l.notes[n.Server]
	l.notes[n.Server] = numbered{n.Life, n.Seq}
	l.step(center.Noted{Note: n})
	if m.Lagged || was.life == n.Life && n.Seq != was.seq+1 {
		l.resync(n.Server)
	}
}

// fact hears that a call is gone, and with it whatever was planned for it.
func (l *leader) fact(c bus.Change) {
	switch {
	case c.Lagged:
		l.resyncFacts()
	case c.Gone && c.TakenBy == "":
		l.step(center.Gone{Call: contact.CallID(c.Fact.Key)})
	}
}

// resyncFacts compares the calls that are on the board with those the centre has.
func (l *leader) resyncFacts() {
	there := map[string]bool{}
	for _, f := range l.s.cfg.Bus.Board().All(contact.FactCall) {
		there[f.Key] = true
	}
	for _, v := range l.center.Contacts() {
		if !v.Callback && !there[string(v.Call)] && l.s.cfg.Now().Sub(v.Began) > 10*time.Second { // the fact of a new call may be on its way
			l.step(center.Gone{Call: v.Call})
		}
	}
}

// step gives the centre an input and carries what it says.
func (l *leader) step(in center.Input) {
	now := l.s.cfg.Now()
	l.tally.roll(now, l.center)
	outputs := l.center.Step(now, in)
	if in != nil && l.s.cfg.Trace != nil {
		l.trace(in, outputs)
	}
	for _, o := range outputs {
		l.tally.happened(now, o)
		l.carry(o)
	}
}

// trace records what came in and went out; what has a call is found by it.
func (l *leader) trace(in center.Input, outputs []center.Output) {
	if len(outputs) == 0 {
		return
	}
	l.s.note(trace.Detail, center.Describe(in))
	for _, o := range outputs {
		l.s.note(trace.Detail, center.Describe(o))
	}
}
