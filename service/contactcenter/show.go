package contactcenter

import (
	"context"
	"os"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
)

// serve answers operators on the bus. A node that does not lead has no rows.
func (s *Service) serve() (err error) {
	s.responders, err = s.cfg.Bus.Answer(Name, bus.Answers{
		Status:        func(context.Context) bus.ServiceStatus { return s.status() },
		Levels:        s.cfg.Trace,
		Agents:        func(context.Context) ([]bus.AgentState, error) { return s.agentRows(), nil },
		ContactQueues: func(context.Context) ([]bus.ContactQueueState, error) { return s.queueRows(), nil },
		Contacts:      func(context.Context) ([]bus.ContactState, error) { return s.contactRows(), nil },
	})
	return err
}

func (s *Service) status() bus.ServiceStatus {
	st := bus.ServiceStatus{Node: s.cfg.Node, Service: Name, State: "ready", Since: s.since, PID: os.Getpid(), Version: s.cfg.Version, Revision: s.cfg.Store.Known().Revision.Number}
	switch {
	case len(s.cfg.Bus.Board().Of(contact.FactRouter, contact.RouterKey)) == 0:
		st.State, st.Problem = "starting", "no contact centre leads yet"
	case s.records.failing():
		st.State, st.Problem = "degraded", "records of contacts are not being written, contacts go on; the trace says why"
	}
	return st
}

func (s *Service) agentRows() []bus.AgentState {
	out := []bus.AgentState{}
	for _, a := range s.Look().Agents {
		r := bus.AgentState{Node: s.cfg.Node, Agent: a.Agent, Team: a.Team, State: a.State.String(), Reason: a.Reason, Since: a.Since, Device: a.Device, Number: a.Number,
			Desktop: a.Session != "", Down: a.DeviceDown}
		if a.State == center.Reserved || a.State == center.Talking || a.State == center.Hold || a.State == center.Work {
			r.Next = a.Next.String()
		}
		for _, id := range a.Calls {
			r.Contacts = append(r.Contacts, string(id))
		}
		for _, w := range a.Wraps {
			r.Contacts = append(r.Contacts, string(w.Call))
		}
		out = append(out, r)
	}
	return out
}

func (s *Service) queueRows() []bus.ContactQueueState {
	out := []bus.ContactQueueState{}
	p := s.Look()
	for _, q := range p.Queues {
		r := bus.ContactQueueState{Node: s.cfg.Node, Queue: q.Queue, Waiting: q.Waiting, Oldest: q.Oldest, Estimate: q.Estimate, LoggedIn: q.LoggedIn, Serving: q.Serving, Ready: q.Ready,
			Offered: q.Counts.Offered, Answered: q.Counts.Answered, Abandoned: q.Counts.Abandoned, NoAnswer: q.Counts.NoAnswer, Level: q.ServiceLevel, Target: q.Target}
		if q.Waiting > 0 { // the picture may be older than its first one in the queue is patient
			r.Oldest += max(0, s.cfg.Now().Sub(p.At))
		}
		out = append(out, r)
	}
	return out
}

func (s *Service) contactRows() []bus.ContactState {
	out := []bus.ContactState{}
	for _, c := range s.Look().Contacts {
		out = append(out, bus.ContactState{Node: s.cfg.Node, Contact: string(c.Call), GlobalID: c.GlobalID, Phase: c.Phase.String(), Called: c.Called, Calling: c.Calling, Callback: c.Callback,
			Began: c.Began, Queue: c.Queue, Queued: c.Since, Priority: c.Priority, Agent: c.Agent, Server: c.Server})
	}
	return out
}
