package contactcenter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/service/contactcenter/center"
	"github.com/locktone/locktone/service/contactcenter/desk"
	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// Name is the service's name on the bus, in traces and in the register of certificates.
const Name = contact.ServiceContactCenter

// Collection has the last states of agents (agent/NAME) and the callbacks (callback/ID): what a node that takes over begins with.
const Collection = "contactcenter"

// Duty is what one node at a time has the lead of.
const Duty = "contact-center"

// Config says what the service stands on. Node, Store and Bus must be set.
type Config struct {
	Node    string // this node's name
	Version string // of the program
	Store   *store.Store
	Bus     *bus.Bus
	Trace   *trace.Recorder
	// Desktops says how agents' desktops are served; without TLS they are not.
	Desktops Desktops
	// Phones are the agents' phones; nil: what agents do at them is not seen, and callbacks cannot be made.
	Phones Phones
	// Ended is also told the record of every contact that has ended, from the goroutine that owns the centre: it must not wait. nil: nobody.
	Ended func(center.ContactRecord)
	// HTTP makes the lookups of routing scripts; nil: a client of its own that follows no redirections.
	HTTP *http.Client
	Now  func() time.Time // nil: time.Now
}

// Phones are the agents' phones, as far as the centre goes; *phones.Phones is one.
type Phones interface {
	// Follow has a phone seen, Leave ends that.
	Follow(device, number string)
	Leave(device string)
	// Phone is the picture of a phone that is followed.
	Phone(device string) (phones.Phone, bool)
	// Next is a phone that is doing something else than before.
	Next(ctx context.Context) (phones.Phone, error)
	// Do presses a key.
	Do(ctx context.Context, c phones.Command) error
}

// Service is a contact centre that runs. One node leads; the others wait for their turn.
type Service struct {
	cfg     Config
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	docs    *store.Documents
	workers sync.WaitGroup
	desk    *desk.Server // nil: there is none
	counts  counts
	records *recorder
	since   time.Time // when it was started
	// responders answer operators.
	responders bus.Responders
	picture    atomic.Pointer[Picture]

	mu     sync.Mutex
	leader *leader // nil while another node leads
}

// A Picture is everything there is to see, at one moment. Nobody changes it.
type Picture struct {
	At       time.Time
	Leads    bool // this node does; else there is nothing to see
	Agents   []center.AgentRecord
	Queues   []center.QueueView
	Contacts []center.ContactView
	// Changed is closed when there is another Picture.
	Changed chan struct{}
}

// Start begins to compete for the lead.
func Start(ctx context.Context, cfg Config) (*Service, error) {
	if cfg.Store == nil || cfg.Bus == nil || cfg.Node == "" {
		return nil, errors.New("contactcenter: node, store and bus must be given")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	s := &Service{cfg: cfg, docs: cfg.Store.Documents(Collection)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.picture.Store(&Picture{Changed: make(chan struct{})})
	if cfg.Desktops.TLS != nil {
		if err := s.serveDesktops(ctx); err != nil {
			s.cancel()
			return nil, err
		}
	}
	s.records, s.since = startRecorder(s), cfg.Now()
	if err := s.serve(); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	terms := cfg.Store.Lead(s.ctx, Duty)
	s.workers.Go(func() {
		for term := range terms {
			if err := s.lead(term); err != nil {
				s.note(trace.Error, err.Error())
			}
			<-term.Done() // nobody else can lead as long as the term lasts
		}
	})
	return s, nil
}

// Close gives up the lead. ctx bounds how long it waits.
func (s *Service) Close(ctx context.Context) error {
	s.cancel()
	s.responders.Close()
	if s.desk != nil {
		if err := s.desk.Close(ctx); err != nil {
			return fmt.Errorf("contactcenter: desktops: %w", err)
		}
	}
	done := make(chan struct{})
	go func() { s.workers.Wait(); s.records.finish(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("contactcenter: it does not end: %w", ctx.Err())
	}
}

var _ Phones = (*phones.Phones)(nil)

// Look is the newest Picture.
func (s *Service) Look() *Picture { return s.picture.Load() }

// show publishes a Picture in the place of the last.
func (s *Service) show(p *Picture) {
	p.Changed = make(chan struct{})
	close(s.picture.Swap(p).Changed)
}

// ErrNotLeading says that another node leads, or none yet; its text says what to do.
var ErrNotLeading = errors.New("this node does not lead the contact centre: ask the one that does, where the metric locktone_contact_leads is 1")

// A Refusal is why the centre does not do what was asked.
type Refusal struct{ Why string }

func (e *Refusal) Error() string { return e.Why }

// LogIn logs an agent in at a phone; device and number empty are the agent's own. session is its desktop. What is refused is a *Refusal.
func (s *Service) LogIn(ctx context.Context, agent, device, number, session string) error {
	return s.request(ctx, func(id uint64) center.Input {
		return center.LogIn{ID: id, Agent: agent, Device: device, Number: number, Session: session}
	})
}

// SetState asks for center.Ready, NotReady or LoggedOut; by is the supervisor who does, empty the agent. What is refused is a *Refusal.
func (s *Service) SetState(ctx context.Context, agent string, state center.State, reason, by string) error {
	return s.request(ctx, func(id uint64) center.Input {
		return center.SetState{ID: id, Agent: agent, State: state, Reason: reason, By: by}
	})
}

// SetVariables adds variables to a contact that the agent talks to or wraps up; empty values are forgotten. What is refused is a *Refusal.
func (s *Service) SetVariables(ctx context.Context, agent string, call contact.CallID, variables map[string]string) error {
	return s.request(ctx, func(id uint64) center.Input {
		return center.SetVariables{ID: id, Agent: agent, Call: call, Variables: variables}
	})
}

// WrapUp notes why such a contact was there. What is refused is a *Refusal.
func (s *Service) WrapUp(ctx context.Context, agent string, call contact.CallID, reasons []string, note string) error {
	return s.request(ctx, func(id uint64) center.Input {
		return center.WrapUp{ID: id, Agent: agent, Call: call, Reasons: reasons, Note: note}
	})
}

// Attached says that an agent's desktop is there, or has gone.
func (s *Service) Attached(agent, session string, there bool) {
	s.tell(center.Session{Agent: agent, Session: session, Up: there})
}

// tell gives the leader an input that nobody waits for; without a leader it is dropped.
func (s *Service) tell(in center.Input) {
	s.mu.Lock()
	l := s.leader
	s.mu.Unlock()
	if l != nil {
		l.put(message{in: in})
	}
}

// request gives the leader a request and waits for its Reply.
func (s *Service) request(ctx context.Context, make func(id uint64) center.Input) error {
	s.mu.Lock()
	l := s.leader
	s.mu.Unlock()
	if l == nil {
		return ErrNotLeading
	}
	reply := newReply()
	l.put(message{make: make, reply: reply})
	select {
	case r := <-reply:
		if r.refused != "" {
			return &Refusal{r.refused}
		}
		return r.err
	case <-l.term.Done():
		return ErrNotLeading
	case <-ctx.Done():
		return fmt.Errorf("the contact centre did not answer: %w", ctx.Err())
	}
}

func (s *Service) note(l trace.Level, text string) {
	s.cfg.Trace.Record(trace.Record{Time: s.cfg.Now(), Service: Name, Kind: trace.KindNote, Level: l, Summary: text})
}

// site is the site in force, compiled; one that the brain cannot have is none.
func (s *Service) site(site *config.Site) *center.Site {
	c, err := Compile(site)
	if err != nil {
		s.note(trace.Error, "the configuration cannot be taken into use, the last one stays: "+err.Error())
		return nil
	}
	return c
}
