package contactcenter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/service/contactcenter/desk"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// Desktops says how agents' desktops are served; without TLS they are not.
type Desktops = desk.Config

// floor is the service as desktops see it. It keeps the last view, since many desktops look at the same picture.
type floor struct {
	s  *Service
	mu sync.Mutex
	of *Picture // of which view is
	*views
}

// views is the last view with what each thing was, so that what is different gets another number.
type views struct {
	rev      uint64
	view     *desk.View
	agents   map[string]desk.Agent
	queues   map[string]desk.Queue
	contacts map[string]desk.Contact
}

var _ desk.Floor = (*floor)(nil)

// serveDesktops opens the agents' API.
func (s *Service) serveDesktops(ctx context.Context) (err error) {
	cfg := s.cfg.Desktops
	cfg.Floor = &floor{s: s, views: &views{}}
	cfg.Phones, cfg.Version, cfg.Now = s.cfg.Phones, s.cfg.Version, s.cfg.Now
	cfg.Sessions = deskSessions{s.cfg.Store.Documents(SessionCollection)}
	s.desk, err = desk.Listen(ctx, cfg)
	return err
}

// whoLeads is the node that leads; empty while none does.
func (s *Service) whoLeads() string {
	for _, f := range s.cfg.Bus.Board().All(contact.FactRouter) {
		return f.Owner
	}
	return ""
}

// LogIn implements desk.Floor.
func (f *floor) LogIn(ctx context.Context, agent, device, number, session string) error {
	return f.refused(f.s.LogIn(ctx, agent, device, number, session))
}

// SetState implements desk.Floor.
func (f *floor) SetState(ctx context.Context, agent, state, reason, by string) error {
	var to center.State
	if err := to.UnmarshalText([]byte(state)); err != nil {
		return &desk.Refused{Why: err.Error()}
	}
	return f.refused(f.s.SetState(ctx, agent, to, reason, by))
}

// Attached implements desk.Floor.
func (f *floor) Attached(agent, session string, there bool) { f.s.Attached(agent, session, there) }

// SetVariables implements desk.Floor.
func (f *floor) SetVariables(ctx context.Context, agent, call string, variables map[string]string) error {
	return f.refused(f.s.SetVariables(ctx, agent, contact.CallID(call), variables))
}

// WrapUp implements desk.Floor.
func (f *floor) WrapUp(ctx context.Context, agent, call string, reasons []string, note string) error {
	return f.refused(f.s.WrapUp(ctx, agent, contact.CallID(call), reasons, note))
}

// joinRinging is how long a supervisor's phone rings, and joinTime how long the call server may take until it has answered or has not.
const (
	joinRinging = 20 * time.Second
	joinTime    = joinRinging + 5*time.Second
)

// Join implements desk.Floor. What is asked of the call server changes nothing for the centre: to it a supervisor is not there.
func (f *floor) Join(ctx context.Context, supervisor, agent, mode string) error {
	s := f.s
	j := contact.Join{NoAnswer: joinRinging}
	switch mode {
	case "listen":
	case "barge":
		j.Mode = call.JoinTalk
	default:
		return &desk.Refused{Why: fmt.Sprintf("%q is no way to join a contact; expected listen or barge", mode)}
	}
	p := s.Look()
	if !p.Leads {
		return &desk.ErrElsewhere{Node: s.whoLeads()}
	}
	if j.Number = numberOf(s.cfg.Store.Known().Site, supervisor); j.Number == "" {
		return &desk.Refused{Why: "no phone is known of " + supervisor + ": the configuration must have an agent of that user, with a number or a device"}
	}
	i := slices.IndexFunc(p.Contacts, func(c center.ContactView) bool {
		return c.Agent == agent && c.Phase == center.Connected && c.Server != ""
	})
	if i < 0 {
		return &desk.Refused{Why: agent + " talks to no caller now"}
	}
	c := p.Contacts[i]
	j.Call, j.Calling = c.Call, workNumber(p.Agents, agent)
	ctx, cancel := context.WithTimeout(ctx, joinTime)
	defer cancel()
	b := s.cfg.Bus
	a, err := bus.Ask[contact.Join, contact.JoinAnswer](ctx, b, b.Subject(contact.ServiceCallServer, contact.VerbJoin).To(c.Server), j)
	switch {
	case err != nil:
		return fmt.Errorf("the call server of %s has let nobody in: %w", c.Server, err)
	case !a.Joined:
		return &desk.Refused{Why: fmt.Sprintf("the phone %s has not joined the contact of %s: %s", j.Number, agent, cmp.Or(a.Why, a.Cause.String()))}
	}
	s.note(trace.Info, fmt.Sprintf("call %s: %s has joined the contact of %s (%s)", c.Call, supervisor, agent, mode))
	return nil
}

// numberOf is the number of a user's phone: that of the agent who logs in as the user. Empty: there is none.
func numberOf(site *config.Site, user string) string {
	if i := slices.IndexFunc(site.Agents, func(a config.Agent) bool { return a.Login() == user }); i >= 0 {
		return site.AgentNumber(site.Agents[i])
	}
	return ""
}

// workNumber is the number at which an agent works: what a supervisor's phone shows of whom it is about to hear.
func workNumber(agents []center.AgentRecord, name string) string {
	if i := slices.IndexFunc(agents, func(a center.AgentRecord) bool { return a.Agent == name }); i >= 0 {
		return agents[i].Number
	}
	return ""
}

// refused is an error in the words of package desk.
func (f *floor) refused(err error) error {
	var no *Refusal
	switch {
	case errors.As(err, &no):
		return &desk.Refused{Why: no.Why}
	case errors.Is(err, ErrNotLeading):
		return &desk.ErrElsewhere{Node: f.s.whoLeads()}
	}
	return err
}

// Look implements desk.Floor.
func (f *floor) Look() (*desk.View, <-chan struct{}) {
	p := f.s.Look()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of != p {
		f.of, f.views = p, f.next(p)
	}
	return f.view, p.Changed
}

// next is the view of a picture. What is as it was keeps its number.
func (f *floor) next(p *Picture) *views {
	was := f.views
	v := &views{rev: was.rev + 1, agents: make(map[string]desk.Agent, len(p.Agents)), queues: map[string]desk.Queue{}, contacts: make(map[string]desk.Contact, len(p.Contacts))}
	agents := make([]desk.Agent, len(p.Agents))
	for i, a := range p.Agents {
		agents[i] = kept(was.agents, v.agents, a.Agent, f.agent(a), v.rev, func(x *desk.Agent) *uint64 { return &x.Rev })
	}
	contacts := make([]desk.Contact, len(p.Contacts))
	for i, c := range p.Contacts {
		contacts[i] = kept(was.contacts, v.contacts, string(c.Call), contactOf(c), v.rev, func(x *desk.Contact) *uint64 { return &x.Rev })
	}
	queues := make([]desk.Queue, len(p.Queues))
	for i, q := range p.Queues {
		queues[i] = kept(was.queues, v.queues, q.Queue, queueOf(q, p.At), v.rev, func(x *desk.Queue) *uint64 { return &x.Rev })
	}
	supervisors := map[string][]string{}
	for _, t := range f.s.cfg.Store.Known().Site.Teams {
		supervisors[t.Name] = t.Supervisors
	}
	v.view = desk.NewView(agents, queues, contacts, supervisors)
	return v
}

// kept is now with the number it had before where it is as it was, else with a new one.
func kept[T any](was, is map[string]T, name string, now T, rev uint64, number func(*T) *uint64) T {
	before, ok := was[name]
	if ok {
		*number(&now) = *number(&before)
	}
	if !ok || !reflect.DeepEqual(before, now) {
		*number(&now) = rev
	}
	is[name] = now
	return now
}

// agent is an agent with the phone.
func (f *floor) agent(a center.AgentRecord) desk.Agent {
	out := desk.Agent{Name: a.Agent, Team: a.Team, State: a.State.String(), Reason: a.Reason, Since: a.Since, Device: a.Device, Number: a.Number}
	switch {
	case len(a.Calls) > 0:
		out.Contact = string(a.Calls[0])
	case len(a.Wraps) > 0: // the newest of those that the agent wraps up
		out.Contact = string(a.Wraps[len(a.Wraps)-1].Call)
	}
	if a.Device != "" && f.s.cfg.Phones != nil {
		if p, ok := f.s.cfg.Phones.Phone(a.Device); ok {
			out.Phone = &p
		}
	}
	return out
}

func contactOf(c center.ContactView) desk.Contact {
	return desk.Contact{ID: string(c.Call), State: c.Phase.String(), Queue: c.Queue, Priority: c.Priority, Agent: c.Agent, Calling: c.Calling, Display: c.Display, Called: c.Called,
		Began: c.Began, Queued: c.Since, Variables: c.Variables}
}

func queueOf(q center.QueueView, at time.Time) desk.Queue {
	out := desk.Queue{Name: q.Queue, Waiting: q.Waiting, Estimate: q.Estimate.Seconds(), Offered: q.Counts.Offered, Answered: q.Counts.Answered, Abandoned: q.Counts.Abandoned, Ready: q.Ready,
		LoggedIn: q.LoggedIn, LongestWaiting: q.Counts.LongestWait.Seconds()}
	if q.Waiting > 0 {
		out.Oldest = at.Add(-q.Oldest).Truncate(time.Second)
	}
	if q.ServiceLevel >= 0 {
		out.ServiceLevel = &q.ServiceLevel
	}
	if n := q.Counts.Answered; n > 0 {
		out.AverageAnswer = q.Counts.AnswerWait.Seconds() / float64(n)
		out.AverageHandle = (q.Counts.Talk + q.Counts.Work).Seconds() / float64(n)
	}
	return out
}

// SessionCollection has the sessions of desktops, by the digest of their token.
const SessionCollection = "contactcenter-sessions"

// deskSessions keeps sessions in the record, so that they outlive the node.
type deskSessions struct{ docs *store.Documents }

// Load implements desk.Sessions.
func (d deskSessions) Load(ctx context.Context) (map[string]desk.Session, error) {
	list, err := d.docs.List(ctx, "")
	out := map[string]desk.Session{}
	for _, doc := range list {
		var s desk.Session
		if err := json.Unmarshal(doc.Value, &s); err != nil {
			return nil, fmt.Errorf("session %s: %w", doc.Key, err)
		}
		out[doc.Key] = s
	}
	return out, err
}

// Keep implements desk.Sessions.
func (d deskSessions) Keep(ctx context.Context, key string, s desk.Session) error {
	_, err := d.docs.Keep(ctx, key, s)
	return err
}

// Forget implements desk.Sessions.
func (d deskSessions) Forget(ctx context.Context, key string) error {
	doc, err := d.docs.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.docs.Delete(ctx, key, doc.Revision)
}
