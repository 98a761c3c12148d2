package callserver

import (
	"context"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/callserver/routing"
)

// maxInputs bounds what waits for a caller's goroutine. Who finds it full waits: it does nothing that takes long.
const maxInputs = 64

// A caller is a call with its goroutine, which owns the machine and the pages.
type caller struct {
	s       *Service
	id      contact.CallID
	call    call.CallID
	inputs  chan input
	done    chan struct{} // closed when the goroutine has ended
	machine *routing.Machine
	pages   map[uint64]chan<- routing.Page // who waits for a page, by token
	token   uint64
}

// input is what is put to a caller, with where its answer goes.
type input struct {
	in    routing.Input
	taken chan<- contact.TakenAnswer // of Ordered
	page  chan<- routing.Page        // of Fetched and Submitted; capacity 1
	gone  chan<- routing.Page        // who waited for a page there has gone
	show  chan<- contact.Standing
}

// put hands the caller an input; false when the call is over.
func (c *caller) put(in input) bool {
	select {
	case c.inputs <- in:
		return true
	case <-c.done:
		return false
	}
}

// run is the caller's goroutine.
func (c *caller) run(a routing.Arrival) {
	defer close(c.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var out []routing.Output
	c.machine, out = routing.New(c.s.now(), c.s.site.Load().settings, a)
	c.do(out, nil)
	for !c.machine.Over() {
		var due <-chan time.Time
		if d := c.machine.Deadline(); !d.IsZero() {
			timer.Reset(max(0, d.Sub(c.s.now())))
			due = timer.C
		}
		select {
		case in := <-c.inputs:
			c.take(in)
		case <-due:
			c.do(c.machine.Step(c.s.now(), nil), nil)
		}
	}
	c.leave()
}

// take steps the machine with one input.
func (c *caller) take(in input) {
	if in.show != nil {
		in.show <- c.machine.Standing()
		return
	}
	if in.gone != nil {
		for token, page := range c.pages {
			if page == in.gone {
				delete(c.pages, token)
				in.in = routing.Gone{Token: token}
			}
		}
		if in.in == nil {
			return // it had its answer
		}
	}
	switch x := in.in.(type) {
	case routing.Fetched:
		x.Token = c.expect(in.page)
		in.in = x
	case routing.Submitted:
		x.Token = c.expect(in.page)
		in.in = x
	}
	c.do(c.machine.Step(c.s.now(), in.in), in.taken)
}

// expect notes who waits for a page.
func (c *caller) expect(page chan<- routing.Page) uint64 {
	c.token++
	c.pages[c.token] = page
	return c.token
}

// do does what the machine wants, and what it wants then.
func (c *caller) do(out []routing.Output, taken chan<- contact.TakenAnswer) {
	for len(out) > 0 {
		o := out[0]
		out = out[1:]
		switch o := o.(type) {
		case routing.Do:
			out = append(out, c.machine.Step(c.s.now(), routing.Replied{Request: o.Request, Reply: c.request(o.Request)})...)
		case routing.Ask:
			c.s.run(func() { c.ask(o) })
		case routing.Publish:
			c.s.publish(o.Note)
		case routing.Took:
			if taken != nil {
				taken <- o.Answer
			}
		case routing.Page:
			if w := c.pages[o.Token]; w != nil {
				delete(c.pages, o.Token)
				w <- o
			}
		case routing.Keep:
			bus.Put(c.s.cfg.Bus.Board(), contact.FactCall, string(c.id), o.Standing)
		case routing.Free:
			_ = c.s.driver.Signal(call.Released{Leg: o.Leg, Cause: call.NormalClearing}) // an engine that has stopped has no legs
		case routing.Over:
			c.s.forget(c)
		}
	}
}

// request asks the engine. One that has stopped says so.
func (c *caller) request(r call.Request) call.Reply {
	reply, err := c.s.el.Host().Request(c.s.ctx, Name, r)
	if err != nil {
		return call.Reply{Cause: call.TemporaryFailure, Why: err.Error()}
	}
	return reply
}

// leave answers whoever still waits when the call is over.
func (c *caller) leave() {
	for {
		select {
		case in := <-c.inputs:
			c.take(in)
		default:
			return
		}
	}
}

// forget takes a call that has ended out of the tables.
func (s *Service) forget(c *caller) {
	s.mu.Lock()
	delete(s.calls, c.id)
	delete(s.byCall, c.call)
	s.mu.Unlock()
	s.cfg.Bus.Board().Drop(contact.FactCall, string(c.id))
}

// ask asks the contact centre and puts its answer to the call.
func (c *caller) ask(a routing.Ask) {
	s := c.s
	s.counts.asked.Add(1)
	s.mu.Lock()
	to := s.router.Node
	s.mu.Unlock()
	// A late answer is better than none: it is waited for until the question is asked again.
	set := s.site.Load().settings
	ctx, cancel := context.WithTimeout(s.ctx, set.AskTimeout+set.AskAgain)
	defer cancel()
	label, err := bus.Ask[contact.Query, contact.Label](ctx, s.cfg.Bus, s.cfg.Bus.Subject(contact.ServiceContactCenter, contact.VerbQuery).To(to), a.Query)
	in := routing.Answered{Seq: a.Seq, Label: label}
	if err == nil {
		err = label.Check()
	}
	if err != nil {
		s.counts.unanswered.Add(1)
		s.el.Note(string(c.id), "the contact centre has not said where the call goes: "+err.Error())
		in.Why, in.Label = err.Error(), contact.Label{}
	}
	c.put(input{in: in})
}
