package callserver

import (
	"context"
	"slices"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/callserver/routing"
)

// followRouter keeps who leads the contact centre, and tells every call of a new one.
func (s *Service) followRouter(w *bus.BoardWatch) {
	defer w.Close()
	s.routerIs()
	for {
		select {
		case _, open := <-w.C():
			if !open {
				return
			}
			s.routerIs()
		case <-s.ctx.Done():
			return
		}
	}
}

// routerIs looks who leads: of several who say so, the one that said it last.
func (s *Service) routerIs() {
	var r contact.Router
	if facts := s.cfg.Bus.Board().Of(contact.FactRouter, contact.RouterKey); len(facts) > 0 {
		v, err := bus.Value[contact.Router](facts[0])
		if err == nil {
			v.Node = facts[0].Owner
			r = v
		}
	}
	s.mu.Lock()
	same := r == s.router
	s.router = r
	s.mu.Unlock()
	if same {
		return
	}
	if r.Node == "" {
		s.el.Warn("no contact centre leads: callers get the default treatment")
	} else {
		s.el.Note("", "the contact centre of "+r.Node+" leads")
	}
	for _, c := range s.all() {
		c.put(input{in: routing.RouterIs{Router: r}})
	}
}

// publish tells what has become of a Label. Notes leave in the order of their numbers.
func (s *Service) publish(n contact.Note) {
	s.notes.Lock()
	defer s.notes.Unlock()
	s.notes.seq++
	n.Server, n.Life, n.Seq = s.cfg.Node, s.life, s.notes.seq
	s.counts.notes.Add(1)
	// Without a bus nobody hears it; whoever does later sees the gap and asks for all calls.
	_ = bus.Publish(s.cfg.Bus, s.cfg.Bus.Subject(Name, contact.VerbNote), n)
}

// order carries out a Label out of turn.
func (s *Service) order(ctx context.Context, o contact.Order) (contact.TakenAnswer, error) {
	s.counts.orders.Add(1)
	over := contact.TakenAnswer{Taken: contact.UnknownCall, Why: "the call has ended, or was never here"}
	c := s.find(o.Call)
	if c == nil {
		return over, nil
	}
	taken := make(chan contact.TakenAnswer, 1)
	if !c.put(input{in: routing.Ordered{Label: o.Label}, taken: taken}) {
		return over, nil
	}
	select {
	case t := <-taken:
		return t, nil
	case <-c.done:
		select {
		case t := <-taken:
			return t, nil
		default:
			return over, nil
		}
	case <-ctx.Done():
		return contact.TakenAnswer{}, ctx.Err()
	}
}

// list answers with all calls. The number of the last Note is read first: what happens meanwhile is told twice rather than not at all.
func (s *Service) list(ctx context.Context, _ contact.CallsRequest) (contact.Calls, error) {
	s.notes.Lock()
	out := contact.Calls{Server: s.cfg.Node, Life: s.life, Seq: s.notes.seq}
	s.notes.Unlock()
	out.Calls = s.show(ctx)
	return out, ctx.Err()
}

// show asks every caller how it is, the oldest first.
func (s *Service) show(ctx context.Context) (out []contact.Standing) {
	for _, c := range s.all() {
		answer := make(chan contact.Standing, 1)
		if !c.put(input{show: answer}) {
			continue
		}
		select {
		case x := <-answer:
			out = append(out, x)
		case <-c.done:
		case <-ctx.Done():
			return out
		}
	}
	slices.SortFunc(out, func(a, b contact.Standing) int {
		if n := a.Query.Began.Compare(b.Query.Began); n != 0 {
			return n
		}
		return strings.Compare(string(a.Query.Call), string(b.Query.Call))
	})
	return out
}
