package callserver

import (
	"context"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/contact"
)

// serve answers on the bus.
func (s *Service) serve() error {
	a := s.el.Answers()
	a.Status = func(context.Context) bus.ServiceStatus { return s.status() }
	a.Exceptions = func(context.Context) ([]bus.Exception, error) { return s.el.Exceptions(), nil }
	a.ServerGroups = func(ctx context.Context) ([]bus.ServerGroupState, error) { return s.groups(ctx), nil }
	a.Callers = s.callers
	var err error
	if s.responders, err = s.cfg.Bus.Answer(Name, a); err != nil {
		return err
	}
	orders, err := bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, contact.VerbOrder), s.order)
	if err != nil {
		return err
	}
	s.responders = append(s.responders, orders)
	calls, err := bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, contact.VerbCalls), s.list)
	if err != nil {
		return err
	}
	s.responders = append(s.responders, calls)
	joins, err := bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, contact.VerbJoin), s.join)
	if err != nil {
		return err
	}
	s.responders = append(s.responders, joins)
	return nil
}

func (s *Service) status() bus.ServiceStatus {
	st := s.el.Status()
	x := s.site.Load()
	st.Revision = x.revision
	if s.documents != nil {
		st.Addresses = append(st.Addresses, "https "+s.documents.Addr().String())
	}
	switch p := s.problem.Load(); {
	case p != nil:
		st.State, st.Problem = "degraded", *p
	case x.check() != "":
		st.State, st.Problem = "degraded", x.check()
	default:
		s.mu.Lock()
		alone := s.router.Node == ""
		s.mu.Unlock()
		if alone {
			st.State, st.Problem = "degraded", "no contact centre leads: callers get the default treatment; look at `locktone show status` of contactcenter"
		}
	}
	return st
}

// groups are the members of the server groups with what their heartbeats say, in the order of the configuration.
func (s *Service) groups(ctx context.Context) (out []bus.ServerGroupState) {
	states := map[string]bus.TrunkState{}
	for _, t := range s.el.Peers(ctx) {
		states[t.Trunk] = t
	}
	for _, g := range s.site.Load().groups {
		for _, m := range g.Members {
			row := bus.ServerGroupState{Group: g.Name, Priority: m.Priority, Weight: m.Weight, TrunkState: states[memberName(g, m)]}
			out = append(out, row)
		}
	}
	return out
}

// callers are the rows of `show callserver`.
func (s *Service) callers(ctx context.Context) ([]bus.CallerState, error) {
	out := []bus.CallerState{}
	for _, x := range s.show(ctx) {
		q := x.Query
		out = append(out, bus.CallerState{Node: s.cfg.Node, Call: string(q.Call), GlobalID: q.GlobalID, Called: q.Called, Calling: q.Calling, Display: q.Display, Since: q.Began.UTC(),
			State: q.State.String(), With: q.With, Ringing: x.Ringing, Label: q.Label})
	}
	return out, ctx.Err()
}
