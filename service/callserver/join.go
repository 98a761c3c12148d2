package callserver

import (
	"cmp"
	"context"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/callserver/routing"
)

// lateJoin is how much later than the engine we give up a supervisor whose phone does not answer.
const lateJoin = 2 * time.Second

// join lets a supervisor into a call whose caller talks to somebody. It answers when the supervisor's phone has answered, or does not.
// Nothing of it goes by the caller's machine, for which a guest is not there.
func (s *Service) join(ctx context.Context, j contact.Join) (contact.JoinAnswer, error) {
	s.counts.joins.Add(1)
	if err := j.Check(); err != nil {
		return contact.JoinAnswer{Cause: call.InvalidNumberFormat, Why: err.Error()}, nil
	}
	c := s.find(j.Call)
	if c == nil {
		return contact.JoinAnswer{Cause: call.NoSuchCall, Why: "the call has ended, or was never here"}, nil
	}
	ring := cmp.Or(j.NoAnswer, s.site.Load().settings.NoAnswer)
	ctx, cancel := context.WithTimeout(ctx, ring+lateJoin)
	defer cancel()
	// At a voice browser, too, two legs talk: nobody listens to what a caller enters there.
	if c.state(ctx) != contact.Connected {
		return contact.JoinAnswer{Cause: call.WrongCallState, Why: "the caller talks to nobody now"}, nil
	}
	watch := s.el.Host().Watch(0, call.Monitored, call.Attended, call.JoinFailed)
	defer watch.Close()
	reply := c.request(call.Join{Call: c.call, To: routing.ToNumber + j.Number, Calling: j.Calling, Mode: j.Mode, NoAnswer: ring})
	switch reply.Cause {
	case call.CauseNone:
	case call.UnallocatedNumber, call.NoRouteToDestination:
		return contact.JoinAnswer{Cause: reply.Cause, Why: "no call route leads to " + j.Number + ": the call is as it was"}, nil
	default:
		return contact.JoinAnswer{Cause: reply.Cause, Why: cmp.Or(reply.Why, reply.Cause.String())}, nil
	}
	a := c.awaitGuest(ctx, watch, reply.Party)
	if a.Joined {
		s.el.Note(string(c.id), j.Number+" has joined the call ("+j.Mode.String()+")")
	}
	return a, nil
}

// state says where the caller is.
func (c *caller) state(ctx context.Context) contact.State {
	answer := make(chan contact.Standing, 1)
	if !c.put(input{show: answer}) {
		return contact.Waiting
	}
	select {
	case x := <-answer:
		return x.Query.State
	case <-c.done:
	case <-ctx.Done():
	}
	return contact.Waiting
}

// awaitGuest waits until a guest has come in, or has not. One whose phone still rings when ctx ends is rung no more: whoever asked is told
// that it has not come.
func (c *caller) awaitGuest(ctx context.Context, watch *live.Watcher, guest call.PartyID) contact.JoinAnswer {
	for {
		select {
		case n, open := <-watch.Notes():
			switch {
			case !open:
				return contact.JoinAnswer{Cause: call.TemporaryFailure, Why: "the call server stops"}
			case n.Event.Call != c.call || n.Event.Party != guest:
			case n.Event.Kind == call.JoinFailed:
				return contact.JoinAnswer{Cause: n.Event.Cause, Why: cmp.Or(n.Event.Why, "the phone could not be reached: "+n.Event.Cause.String())}
			default:
				return contact.JoinAnswer{Joined: true}
			}
		case <-ctx.Done():
			c.request(call.Drop{Party: guest, Cause: call.NoAnswer})
			return contact.JoinAnswer{Cause: call.NoAnswer, Why: "the phone has not answered in time"}
		}
	}
}
