package admin

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/store"
)

// Code is a stable error code. Programs compare it; it never changes its meaning.
type Code = bus.Code

// The codes that only the API has; the others are package bus's.
const (
	CodeUnauthorized Code = "unauthorized"
	CodeTooMany      Code = "too-many-attempts"
	CodeTooLarge     Code = "too-large"
	CodeNotSupported Code = "not-supported"
)

// codeRow is one line of the table of codes.
type codeRow struct {
	status int
	title  string
	advice string
}

// codes is the one table of error codes.
var codes = map[Code]codeRow{
	bus.CodeInvalid:     {http.StatusUnprocessableEntity, "The request is not right", "correct what the detail names and send it again"},
	CodeUnauthorized:    {http.StatusUnauthorized, "Nobody is known by this token", "send Authorization: Bearer with a token from admin.tokens, or use the unix socket as the user that runs the node"},
	bus.CodeForbidden:   {http.StatusForbidden, "The role does not allow this", "ask somebody with the role the detail names"},
	bus.CodeNotFound:    {http.StatusNotFound, "There is no such thing", "check the name: the show, list and config commands say what there is"},
	bus.CodeConflict:    {http.StatusConflict, "Somebody else was faster", "look at the configuration as it is now, make the plan again and apply it"},
	CodeTooLarge:        {http.StatusRequestEntityTooLarge, "The request is too large", "send less at a time"},
	CodeTooMany:         {http.StatusTooManyRequests, "Too many attempts with a wrong token", "wait a minute, or use the unix socket"},
	bus.CodeNoSpace:     {http.StatusInsufficientStorage, "The disk of the store is full", "free space in the home folder and try again; nothing was changed"},
	bus.CodeUnavailable: {http.StatusServiceUnavailable, "Something this needs is not available now", "look at the status, then try again; nothing was changed"},
	bus.CodeNoResponder: {http.StatusServiceUnavailable, "The service does not run there", "look at the status"},
	bus.CodeTimeout:     {http.StatusGatewayTimeout, "The service did not answer in time", "look at the status, then try again"},
	CodeNotSupported:    {http.StatusNotImplemented, "This node does not do that", "ask the node that does"},
	bus.CodeInternal:    {http.StatusInternalServerError, "This should not have happened", "collect the logs (locktone logs collect) and report it"},
}

// Problem is an error answer (RFC 9457, 3: members of a problem details object) with a stable code and an advice.
type Problem struct {
	Status  int      `json:"status" doc:"HTTP status"`
	Code    Code     `json:"code" doc:"stable code"`
	Title   string   `json:"title" doc:"what the code means"`
	Detail  string   `json:"detail,omitempty" doc:"what happened this time"`
	Advice  string   `json:"advice,omitempty" doc:"what to do"`
	Details []string `json:"errors,omitempty" doc:"each mistake on its own"`
}

// Error is the detail, or the title where there is none.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// problem makes an error answer from the table.
func problem(code Code, detail string, details ...string) *Problem {
	row, ok := codes[code]
	if !ok {
		code, row = bus.CodeInternal, codes[bus.CodeInternal]
	}
	return &Problem{Status: row.status, Code: code, Title: row.title, Detail: detail, Advice: row.advice, Details: details}
}

// asProblem finds the code for any error of the packages below.
func asProblem(err error) *Problem {
	var p *Problem
	var b *bus.Error
	var c config.Errors
	switch {
	case err == nil:
		return nil
	case errors.As(err, &p):
		return p
	case errors.As(err, &b):
		return problem(b.Code, b.Message)
	case errors.As(err, &c):
		lines := make([]string, len(c))
		for i := range c {
			lines[i] = c[i].Error()
		}
		return problem(bus.CodeInvalid, "the file has mistakes; nothing was changed", lines...)
	case errors.Is(err, store.ErrConflict):
		return problem(bus.CodeConflict, err.Error())
	case errors.Is(err, store.ErrNoSpace):
		return problem(bus.CodeNoSpace, err.Error())
	case errors.Is(err, store.ErrUnavailable):
		return problem(bus.CodeUnavailable, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return problem(bus.CodeTimeout, err.Error())
	}
	return problem(bus.CodeInternal, err.Error())
}

// fromHuma gives errors of the framework (validation, unreadable bodies) their code.
func fromHuma(_ huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code := bus.CodeInvalid
	switch {
	case e.Status == http.StatusRequestEntityTooLarge:
		code = CodeTooLarge
	case e.Status >= 500:
		code = bus.CodeInternal
	}
	p := problem(code, e.Detail)
	p.Status = e.Status
	for _, d := range e.Errors {
		if d.Location != "" {
			p.Details = append(p.Details, d.Location+": "+d.Message)
		} else {
			p.Details = append(p.Details, d.Message)
		}
	}
	return p, nil
}
