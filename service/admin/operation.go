package admin

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
)

// operation describes one operation of the API.
type operation struct {
	id, method, path string
	role             Role
	summary          string
	action           string // in the audit log; empty for what changes nothing
}

// describe turns it into the framework's form.
func (s *Server) describe(api huma.API, o operation) huma.Operation {
	errorSchema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	return huma.Operation{
		OperationID: o.id, Method: o.method, Path: o.path, Summary: o.summary,
		MaxBodyBytes: s.cfg.MaxBody, BodyReadTimeout: s.cfg.Timeout,
		Extensions: map[string]any{"x-role": o.role.String()},
		Responses: map[string]*huma.Response{"default": {
			Description: "an error, with a stable code",
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: errorSchema}},
		}},
	}
}

// add registers an operation: role, time limit, audit, and errors with codes are the same for all.
func add[I, O any](s *Server, api huma.API, o operation, h func(context.Context, *I) (*O, error)) {
	huma.Register(api, s.describe(api, o), func(ctx context.Context, in *I) (*O, error) {
		ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
		defer cancel()
		if err := s.enter(ctx, o, in); err != nil {
			return nil, err
		}
		out, err := h(ctx, in)
		if p := asProblem(err); p != nil {
			s.leave(ctx, o, in, p)
			return nil, p
		}
		s.leave(ctx, o, in, nil)
		return out, nil
	})
}

// object is what an input says about whom a change concerns, for the audit log.
type object interface{ object() string }

// enter checks the role and, for a change, writes that it begins. A change that cannot be written down does not happen.
func (s *Server) enter(ctx context.Context, o operation, in any) error {
	p := who(ctx)
	refused := allowed(p, o.role)
	if o.action == "" {
		if refused != nil {
			return refused
		}
		return nil
	}
	result := "begun"
	if refused != nil {
		result = string(refused.Code)
	}
	if err := s.audit(ctx, o, in, result, ""); err != nil && refused == nil {
		unwritten := asProblem(err)
		if unwritten.Code == bus.CodeInternal {
			unwritten = problem(bus.CodeUnavailable, err.Error())
		}
		unwritten.Detail = "the audit log cannot be written, so nothing was changed: " + unwritten.Detail
		return unwritten
	}
	if refused != nil {
		return refused
	}
	return nil
}

// leave writes how a change ended.
func (s *Server) leave(ctx context.Context, o operation, in any, p *Problem) {
	if o.action == "" {
		return
	}
	result, detail := "ok", ""
	if p != nil {
		result, detail = string(p.Code), p.Detail
	}
	if err := s.audit(context.WithoutCancel(ctx), o, in, result, detail); err != nil {
		s.cfg.Trace.Record(trace.Record{
			Service: ServiceName, Kind: trace.KindNote, Level: trace.Error, Summary: fmt.Sprintf("the audit log has the begin of %s but not its end (%s): %v", o.action, result, err),
		})
	}
}

func (s *Server) audit(ctx context.Context, o operation, in any, result, detail string) error {
	p := who(ctx)
	name := ""
	if x, ok := in.(object); ok {
		name = x.object()
	}
	s.cfg.Trace.Record(trace.Record{
		Service: ServiceName, Kind: trace.KindAdmin, User: p.name, Summary: o.action + " " + name + " " + result,
		Fields: []trace.Field{{Name: "source", Value: p.source}, {Name: "detail", Value: detail}},
	})
	return s.cfg.Store.AppendAudit(ctx, store.AuditEntry{
		Time: s.cfg.Now(), Actor: p.name, Source: p.source, Action: o.action, Object: name, Result: result, Detail: trace.RedactString(detail),
	})
}

// body is an answer with a JSON body.
type body[T any] struct{ Body T }

func get(id, path string, role Role, summary string) operation {
	return operation{id: id, method: http.MethodGet, path: path, role: role, summary: summary}
}
