package desk

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/wire/secret"
)

// Signed is what every request but the login carries.
type Signed struct {
	Authorization string `header:"Authorization" doc:"Bearer and the token of the session"`
}

// who is the agent that asks.
func (s *Server) who(in Signed) (agent, session string, err error) {
	agent, session, ok := s.sessions.of(in.Authorization, s.now())
	if !ok {
		return "", "", huma.Error401Unauthorized("nobody is logged in with this token: POST /v1/session gives one")
	}
	return agent, session, nil
}

// answer is an answer with a JSON body.
type answer[T any] struct{ Body T }

// problem is what an error becomes.
func problem(err error) error {
	var refused *Refused
	var elsewhere *ErrElsewhere
	var wrong *phones.WrongMoment
	var known huma.StatusError
	var qbe *cti.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &refused), errors.As(err, &wrong):
		return huma.Error409Conflict(err.Error())
	case errors.Is(err, phones.ErrNumber):
		return huma.Error422UnprocessableEntity(err.Error())
	case errors.As(err, &elsewhere), errors.Is(err, phones.ErrAway), errors.Is(err, errFull):
		return huma.Error503ServiceUnavailable(err.Error())
	case errors.As(err, &qbe):
		return huma.Error409Conflict("the call manager refuses: " + err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return huma.NewError(http.StatusGatewayTimeout, "no answer in time: "+err.Error())
	}
	return huma.Error409Conflict(err.Error())
}

// register adds an operation of somebody who is logged in.
func register[I, O any](s *Server, api huma.API, id, method, path, summary string, of func(*I) Signed, do func(ctx context.Context, agent string, in *I) (*O, error)) {
	huma.Register(api, huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, MaxBodyBytes: maxBody},
		func(ctx context.Context, in *I) (*O, error) {
			agent, _, err := s.who(of(in))
			if err != nil {
				return nil, err
			}
			out, err := do(ctx, agent, in)
			return out, problem(err)
		})
}

// loginBody is who logs in, and at which phone.
type loginBody struct {
	User     string `json:"user" minLength:"1" maxLength:"128"`
	Password string `json:"password" minLength:"1" maxLength:"512"`
	Device   string `json:"device,omitempty" maxLength:"128" doc:"the phone; empty: the agent's own"`
	Number   string `json:"number,omitempty" maxLength:"64" doc:"its line; empty: the agent's own"`
}

// loginAnswer is a session.
type loginAnswer struct {
	Token string `json:"token" doc:"to be shown as Authorization: Bearer"`
	Agent Agent  `json:"agent"`
}

// operations are all of them.
func (s *Server) operations(api huma.API) {
	huma.Register(api, huma.Operation{OperationID: "log-in", Method: http.MethodPost, Path: "/v1/session", Summary: "Log in and begin to work, not ready", MaxBodyBytes: maxBody,
		Security: []map[string][]string{}}, s.logIn)
	self := func(in *Signed) Signed { return *in }
	register(s, api, "log-out", http.MethodDelete, "/v1/session", "Log out, and end every session of the agent", self, s.logOut)
	register(s, api, "me", http.MethodGet, "/v1/agents/me", "The agent that is logged in", self, s.me)
	register(s, api, "view", http.MethodGet, "/v1/view", "What the agent sees: agents, queues, contacts", self, s.view)
	register(s, api, "queues", http.MethodGet, "/v1/queues", "The queues with their live figures", self, s.queues)
	register(s, api, "set-own-state", http.MethodPut, "/v1/agents/me/state", "Ask for a state", func(in *stateInput) Signed { return in.Signed }, s.setOwn)
	register(s, api, "set-state", http.MethodPut, "/v1/agents/{name}/state", "Put an agent of one's team into a state (supervisors)", func(in *forcedInput) Signed { return in.Signed }, s.setOther)
	register(s, api, "join", http.MethodPost, "/v1/agents/{name}/join", "Listen to an agent's contact, or take part in it (supervisors)", func(in *joinInput) Signed { return in.Signed }, s.join)
	register(s, api, "press", http.MethodPost, "/v1/agents/me/phone", "Press a key of the agent's phone", func(in *keyInput) Signed { return in.Signed }, s.press)
	register(s, api, "set-variables", http.MethodPut, "/v1/contacts/{id}/variables", "Add variables to the agent's contact", func(in *variablesInput) Signed { return in.Signed }, s.setVariables)
	register(s, api, "wrap-up", http.MethodPut, "/v1/contacts/{id}/wrap-up", "Note why the contact was there", func(in *wrapUpInput) Signed { return in.Signed }, s.wrapUp)
}

// logIn checks who it is before it says anything about agents.
func (s *Server) logIn(ctx context.Context, in *struct{ Body loginBody }) (*answer[loginAnswer], error) {
	name, err := s.cfg.Login(ctx, in.Body.User, secret.New(in.Body.Password), "agents' API")
	if err != nil {
		return nil, huma.Error401Unauthorized(err.Error())
	}
	if v, _ := s.cfg.Floor.Look(); !v.knows(name) {
		return nil, huma.Error403Forbidden(name + " is neither an agent nor a supervisor of this contact centre")
	}
	token, err := s.sessions.open(ctx, name, s.now())
	if err != nil {
		return nil, problem(err)
	}
	v, _ := s.cfg.Floor.Look()
	if _, agent := v.agent(name); agent {
		if err := s.cfg.Floor.LogIn(ctx, name, in.Body.Device, in.Body.Number, digest(token)); err != nil {
			return nil, problem(errors.Join(err, s.sessions.closeToken(ctx, token)))
		}
	}
	v, _ = s.cfg.Floor.Look()
	a, _ := v.agent(name)
	a.Name = name
	return &answer[loginAnswer]{loginAnswer{Token: token, Agent: a}}, nil
}

func (s *Server) logOut(ctx context.Context, agent string, _ *Signed) (*struct{}, error) {
	v, _ := s.cfg.Floor.Look()
	if _, ok := v.agent(agent); ok {
		if err := s.cfg.Floor.SetState(ctx, agent, "logged-out", "", ""); err != nil {
			return nil, err
		}
	}
	return nil, s.sessions.closeAll(ctx, agent)
}

func (s *Server) me(_ context.Context, agent string, _ *Signed) (*answer[Agent], error) {
	v, _ := s.cfg.Floor.Look()
	a, ok := v.agent(agent)
	if !ok {
		return nil, huma.Error404NotFound(agent + " is no agent")
	}
	return &answer[Agent]{a}, nil
}

func (s *Server) view(_ context.Context, agent string, _ *Signed) (*answer[View], error) {
	v, _ := s.cfg.Floor.Look()
	return &answer[View]{v.seenBy(agent)}, nil
}

func (s *Server) queues(_ context.Context, _ string, _ *Signed) (*answer[[]Queue], error) {
	v, _ := s.cfg.Floor.Look()
	return &answer[[]Queue]{v.Queues}, nil
}

// stateBody is a state asked for.
type stateBody struct {
	State  string `json:"state" enum:"ready,not-ready,logged-out"`
	Reason string `json:"reason,omitempty" maxLength:"64" doc:"code of the site, for not-ready and logged-out"`
}

type stateInput struct {
	Signed
	Body stateBody
}

func (s *Server) setOwn(ctx context.Context, agent string, in *stateInput) (*struct{}, error) {
	return nil, s.cfg.Floor.SetState(ctx, agent, in.Body.State, in.Body.Reason, "")
}

type forcedInput struct {
	Signed
	Name string `path:"name" maxLength:"128"`
	Body stateBody
}

// subordinate is an agent that somebody supervises.
func (s *Server) subordinate(who, name string) error {
	v, _ := s.cfg.Floor.Look()
	a, ok := v.agent(name)
	if !ok || !v.supervises(who, a) {
		return huma.Error403Forbidden(who + " supervises no agent " + name)
	}
	return nil
}

func (s *Server) setOther(ctx context.Context, who string, in *forcedInput) (*struct{}, error) {
	if err := s.subordinate(who, in.Name); err != nil {
		return nil, err
	}
	return nil, s.cfg.Floor.SetState(ctx, in.Name, in.Body.State, in.Body.Reason, who)
}

type joinInput struct {
	Signed
	Name string `path:"name" maxLength:"128"`
	Body struct {
		Mode string `json:"mode" enum:"listen,barge"`
	}
}

func (s *Server) join(ctx context.Context, who string, in *joinInput) (*struct{}, error) {
	if err := s.subordinate(who, in.Name); err != nil {
		return nil, err
	}
	return nil, s.cfg.Floor.Join(ctx, who, in.Name, in.Body.Mode)
}

// keyBody is a key pressed.
type keyBody struct {
	Action string      `json:"action" enum:"answer,hold,resume,release,transfer,consult,complete,conference,reconnect,dial,digits"`
	Number string      `json:"number,omitempty" maxLength:"128" doc:"to transfer to, consult, dial; or the digits"`
	Call   *cti.CallID `json:"call,omitempty" doc:"one of the phone's calls; absent: the one that the action is about by itself"`
}

type keyInput struct {
	Signed
	Body keyBody
}

func (s *Server) press(ctx context.Context, agent string, in *keyInput) (*struct{}, error) {
	v, _ := s.cfg.Floor.Look()
	a, ok := v.agent(agent)
	if !ok || a.Device == "" {
		return nil, &Refused{agent + " is not logged in at a phone"}
	}
	key, err := phones.ParseKey(in.Body.Action)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	c := phones.Command{Device: a.Device, Key: key, Number: strings.TrimSpace(in.Body.Number)}
	if in.Body.Call != nil {
		c.Call = *in.Body.Call
	}
	return nil, s.cfg.Phones.Do(ctx, c)
}

type variablesInput struct {
	Signed
	ID   string `path:"id" maxLength:"128"`
	Body struct {
		Variables map[string]string `json:"variables" maxProperties:"50"`
	}
}

func (s *Server) setVariables(ctx context.Context, agent string, in *variablesInput) (*struct{}, error) {
	return nil, s.cfg.Floor.SetVariables(ctx, agent, in.ID, in.Body.Variables)
}

type wrapUpInput struct {
	Signed
	ID   string `path:"id" maxLength:"128"`
	Body struct {
		Reasons []string `json:"reasons,omitempty" maxItems:"10"`
		Note    string   `json:"note,omitempty" maxLength:"2000"`
	}
}

func (s *Server) wrapUp(ctx context.Context, agent string, in *wrapUpInput) (*struct{}, error) {
	return nil, s.cfg.Floor.WrapUp(ctx, agent, in.ID, in.Body.Reasons, in.Body.Note)
}
