// Package desk is what agents' desktops talk to: a REST API and a WebSocket with everything an agent or a supervisor does and sees.
//
// A desktop logs its agent in with name and password (POST /v1/session), gets a token, and shows it as a bearer token from then on. It asks for
// states and presses the phone's keys by REST; what becomes of that it hears on the WebSocket (GET /v1/events), which begins with the whole
// picture and goes on with whatever in it has changed. An agent sees itself, its contact, its team's states and the queues; a supervisor also
// the contacts of the teams it supervises, and may put their agents into another state, listen to them and join them.
//
// Who has the agents is injected (Floor, Phones, Login): the package owns sessions and connections, and nothing else. docs/agents-api.md is its
// specification.
package desk

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/wire/secret"
)

// Config says where desktops are served and by whom. All but Port, Now and the limits are needed.
type Config struct {
	Addresses []netip.Addr
	Port      int // default 8445
	Version   string
	TLS       *tls.Config
	Floor     Floor
	Phones    Phones
	Login     func(ctx context.Context, user string, password secret.Text, from string) (name string, why error)
	Sessions  Sessions
	Now       func() time.Time
	// MaxSessions bounds desktops and MaxEvents WebSockets; zero is 20000 each.
	MaxSessions, MaxEvents int
}

// Floor is who has the agents. What it refuses is a *Refused.
type Floor interface {
	// LogIn puts an agent to work at a phone; empty device and number are the agent's own.
	LogIn(ctx context.Context, agent, device, number, session string) error
	// SetState asks for ready, not-ready or logged-out; by is the supervisor who does, empty the agent.
	SetState(ctx context.Context, agent, state, reason, by string) error
	// Attached says that an agent's desktop is there, or has gone.
	Attached(agent, session string, there bool)
	// Look is the whole picture, Changed is closed when there is another one.
	Look() (now *View, changed <-chan struct{})
	Contacts
}

// Contacts is what is done to a contact beside what the phone does.
type Contacts interface {
	// SetVariables adds variables to a contact of the agent.
	SetVariables(ctx context.Context, agent, contact string, variables map[string]string) error
	// WrapUp notes why a contact was there.
	WrapUp(ctx context.Context, agent, contact string, reasons []string, note string) error
	// Join has a supervisor's phone listen to an agent's contact (mode listen), or take part (mode barge).
	Join(ctx context.Context, supervisor, agent, mode string) error
}

// Phones are the agents' phones; *phones.Phones is one.
type Phones interface {
	Do(ctx context.Context, c phones.Command) error
}

// Sessions keeps who is logged in beyond the life of the process. Keys are digests of tokens.
type Sessions interface {
	Load(ctx context.Context) (map[string]Session, error)
	Keep(ctx context.Context, key string, s Session) error
	Forget(ctx context.Context, key string) error
}

// A Session is one login of a desktop.
type Session struct {
	Agent string    `json:"agent"`
	Until time.Time `json:"until"`
}

// A Refused is a wish that cannot be fulfilled now, with a sentence for the agent.
type Refused struct{ Why string }

func (e *Refused) Error() string { return e.Why }

// ErrElsewhere says that another node leads; desktops go there.
type ErrElsewhere struct{ Node string }

func (e *ErrElsewhere) Error() string {
	if e.Node == "" {
		return "no contact centre leads at the moment: try again in a few seconds"
	}
	return "the contact centre leads at node " + e.Node + ": use its address"
}

// Server serves desktops.
type Server struct {
	cfg       Config
	now       func() time.Time
	sessions  sessions
	http      *http.Server
	listeners []net.Listener
	ctx       context.Context
	cancel    context.CancelFunc
	serving   sync.WaitGroup
	events    chan struct{} // a place for each WebSocket
}

// maxBody bounds a request; the largest is a set of variables.
const maxBody = 64 << 10

// Listen opens the API.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	s, err := newServer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	for _, at := range cfg.Addresses {
		addr := netip.AddrPortFrom(at, uint16(s.cfg.Port))
		l, err := tls.Listen("tcp", addr.String(), cfg.TLS)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("agents' API on %s: %w: end the program that has the port, or give the service another", addr, err), s.Close(ctx))
		}
		s.listeners = append(s.listeners, l)
		s.serving.Go(func() { _ = s.http.Serve(l) }) // ends with Close
	}
	return s, nil
}

func newServer(ctx context.Context, cfg Config) (*Server, error) {
	if cfg.Port == 0 {
		cfg.Port = 8445
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = 20000
	}
	if cfg.MaxEvents == 0 {
		cfg.MaxEvents = 20000
	}
	s := &Server{cfg: cfg, now: cfg.Now, events: make(chan struct{}, cfg.MaxEvents)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.sessions.load(ctx, cfg.Sessions, s.now()); err != nil {
		return nil, fmt.Errorf("sessions of desktops: %w", err)
	}
	s.sessions.most = cfg.MaxSessions
	s.http = &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return s.ctx }}
	return s, nil
}

// Addresses are where it listens: "https 127.0.1.50:8445".
func (s *Server) Addresses() (out []string) {
	for _, l := range s.listeners {
		out = append(out, "https "+l.Addr().String())
	}
	return out
}

// Close ends it; desktops hear that their WebSocket is closed.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	err := s.http.Shutdown(ctx)
	s.serving.Wait()
	return err
}

// Handler is the API as a handler.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	c := huma.DefaultConfig("Locktone contact centre: agents", s.cfg.Version)
	c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", nil
	c.OpenAPIPath = "/openapi"
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{"session": {Type: "http", Scheme: "bearer"}}
	c.Security = []map[string][]string{{"session": {}}}
	c.Info.Description = "What agents and supervisors do. POST /v1/session gives the token; GET /v1/events is a WebSocket with what happens."
	s.operations(humago.New(mux, c))
	mux.HandleFunc("GET /v1/events", s.serveEvents)
	return mux
}
