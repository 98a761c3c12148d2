package admin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki/rotation"
)

// Rotation is what administration needs to replace certificates and to look ahead. Where Runner is nil, this node does not do
// the one, and where Forecast is nil not the other.
type Rotation struct {
	Runner Rotator
	// Forecast gathers everything that is held or was seen until a day; see rotation.Gather.
	Forecast func(ctx context.Context, now, until time.Time) (rotation.Input, error)
}

// Rotator plans and runs rotations; *rotation.Runner is one. It only writes down what is to be done: the node that runs it
// watches for that.
type Rotator interface {
	Plan(ctx context.Context, target rotation.Target, o rotation.Options) (rotation.Plan, error)
	Begin(ctx context.Context, target rotation.Target, o rotation.Options, by string) (rotation.Status, error)
	Status(ctx context.Context) (rotation.Status, error)
	Accept(ctx context.Context, devices []string) (rotation.Status, error)
	Told(ctx context.Context, peer string, ids []rotation.ID) error
}

// RotationRequest says what to rotate.
type RotationRequest struct {
	Target rotation.Target `json:"target" enum:"callmanager,provisioning,tvs,itl,recovery,capf,ca,all"`
	Order  rotation.Order  `json:"order,omitempty" enum:",at-once,one-by-one,signers-together,signers-with-tvs" doc:"empty: the safe one"`
	Accept []string        `json:"accept,omitempty" maxItems:"1000" doc:"victims, each by its name, whom the operator gives up"`
}

func (r RotationRequest) options() rotation.Options {
	return rotation.Options{Order: r.Order, Accept: r.Accept}
}

// PeerTold says that a peer's operator has installed certificates.
type PeerTold struct {
	Peer         string        `json:"peer" minLength:"1" maxLength:"256"`
	Certificates []rotation.ID `json:"certificates" minItems:"1" maxItems:"32" doc:"as a plan names them: ca-g2"`
}

// Forecast is what breaks until a day.
type Forecast struct {
	From     time.Time        `json:"from"`
	Until    time.Time        `json:"until"`
	Breaking int              `json:"breaking" doc:"how many stop working"`
	Breaks   []rotation.Break `json:"breaks"`
	Looked   int              `json:"looked" doc:"how many certificates and chains were asked about"`
}

type rotationInput struct{ Body RotationRequest }

func (r *rotationInput) object() string {
	words := []string{string(r.Body.Target)}
	if r.Body.Order != rotation.Safe {
		words = append(words, string(r.Body.Order))
	}
	if r.Body.Accept != nil {
		words = append(words, "accepting "+strings.Join(r.Body.Accept, ", "))
	}
	return strings.Join(words, " ")
}

type acceptInput struct {
	Body struct {
		Devices []string `json:"devices" minItems:"1" maxItems:"1000"`
	}
}

func (a *acceptInput) object() string { return strings.Join(a.Body.Devices, ", ") }

type toldInput struct{ Body PeerTold }

func (t *toldInput) object() string { return t.Body.Peer }

type forecastInput struct {
	Until string `query:"until" required:"true" maxLength:"10" doc:"a day, YYYY-MM-DD"`
}

// rotationOperations registers the operations on the trust that devices have in us.
func (s *Server) rotationOperations(api huma.API) {
	add(s, api, operation{
		id: "plan-rotation", method: http.MethodPost, path: "/v1/trust/plan", role: RoleViewer,
		summary: "The steps of replacing certificates, whom each order would strand, and whether it may be done; changes nothing",
	}, s.planRotation)
	add(s, api, get("rotation", "/v1/trust/rotation", RoleViewer, "How far the present or last rotation is, and for whom it waits"), s.rotation)
	add(s, api, operation{
		id: "rotate", method: http.MethodPost, path: "/v1/trust/rotation", role: RoleAdministrator, action: "rotate-certificates",
		summary: "Begin to replace certificates; refused when somebody would be stranded who is not named",
	}, s.rotate)
	add(s, api, operation{
		id: "accept-stranded", method: http.MethodPost, path: "/v1/trust/rotation/accept", role: RoleAdministrator, action: "accept-stranded",
		summary: "Give up devices that the present rotation waits for",
	}, s.acceptStranded)
	add(s, api, operation{
		id: "peer-told", method: http.MethodPost, path: "/v1/trust/peers", role: RoleAdministrator, action: "peer-told",
		summary: "Note that a peer's operator has installed our certificates",
	}, s.peerTold)
	add(s, api, get("forecast", "/v1/trust/forecast", RoleViewer, "What breaks until a day, by the verifier itself on a later clock"), s.forecast)
}

func (s *Server) rotator() (Rotator, error) {
	if s.cfg.Rotation.Runner == nil {
		return nil, problem(CodeNotSupported, "this node does not rotate certificates")
	}
	return s.cfg.Rotation.Runner, nil
}

// rotationProblem finds the code of what a Rotator says.
func rotationProblem(err error) error {
	var refused *rotation.RefusedError
	var input *rotation.InputError
	switch {
	case errors.As(err, &input):
		return problem(bus.CodeInvalid, err.Error())
	case errors.As(err, &refused):
		p := problem(bus.CodeConflict, err.Error())
		p.Advice = "leave out --order for the safe order, help these devices first, or give them up by naming each with --accept"
		for _, v := range refused.Plan.Victims[:min(len(refused.Plan.Victims), 100)] {
			p.Details = append(p.Details, v.Device+" ("+v.Fate.String()+"): "+v.Why)
		}
		return p
	case errors.Is(err, rotation.ErrRunning):
		p := problem(bus.CodeConflict, err.Error())
		p.Advice = "look at it with locktone trust status"
		return p
	}
	return notFoundIfMissing(err)
}

func (s *Server) planRotation(ctx context.Context, in *rotationInput) (*body[rotation.Plan], error) {
	r, err := s.rotator()
	if err != nil {
		return nil, err
	}
	p, err := r.Plan(ctx, in.Body.Target, in.Body.options())
	if err != nil {
		return nil, rotationProblem(err)
	}
	return &body[rotation.Plan]{p}, nil
}

func (s *Server) rotation(ctx context.Context, _ *none) (*body[rotation.Status], error) {
	r, err := s.rotator()
	if err != nil {
		return nil, err
	}
	st, err := r.Status(ctx)
	return &body[rotation.Status]{st}, err
}

func (s *Server) rotate(ctx context.Context, in *rotationInput) (*body[rotation.Status], error) {
	r, err := s.rotator()
	if err != nil {
		return nil, err
	}
	st, err := r.Begin(ctx, in.Body.Target, in.Body.options(), who(ctx).name)
	if err != nil {
		return nil, rotationProblem(err)
	}
	return &body[rotation.Status]{st}, nil
}

func (s *Server) acceptStranded(ctx context.Context, in *acceptInput) (*body[rotation.Status], error) {
	r, err := s.rotator()
	if err != nil {
		return nil, err
	}
	st, err := r.Accept(ctx, in.Body.Devices)
	if err != nil {
		return nil, rotationProblem(err)
	}
	return &body[rotation.Status]{st}, nil
}

func (s *Server) peerTold(ctx context.Context, in *toldInput) (*body[none], error) {
	r, err := s.rotator()
	if err != nil {
		return nil, err
	}
	if err := r.Told(ctx, in.Body.Peer, in.Body.Certificates); err != nil {
		return nil, rotationProblem(err)
	}
	return &body[none]{}, nil
}

func (s *Server) forecast(ctx context.Context, in *forecastInput) (*body[Forecast], error) {
	if s.cfg.Rotation.Forecast == nil {
		return nil, problem(CodeNotSupported, "this node does not forecast")
	}
	until, err := time.Parse(time.DateOnly, in.Until)
	now := s.cfg.Now()
	if err != nil || !until.After(now) {
		return nil, problem(bus.CodeInvalid, "until has to be a day to come, as YYYY-MM-DD")
	}
	input, err := s.cfg.Rotation.Forecast(ctx, now, until)
	if err != nil {
		return nil, err
	}
	breaks := rotation.Forecast(input)
	return &body[Forecast]{Forecast{From: now, Until: until, Breaking: rotation.Breaking(breaks), Breaks: breaks,
		Looked: len(input.Chains) + len(input.Alone) + len(input.Entries)}}, nil
}
