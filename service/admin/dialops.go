package admin

import (
	"context"
	"strings"
	"time"

	"github.com/locktone/locktone/bus"
)

// The services that know what a number leads to.
const (
	callManager = "callmanager"
	border      = "border"
)

// dialInput is what somebody would dial.
type dialInput struct {
	From    string    `query:"from" required:"true" minLength:"1" maxLength:"128" doc:"a device, the number of a line (NUMBER@PARTITION), or trunk:NAME"`
	Number  string    `query:"number" required:"true" minLength:"1" maxLength:"64" doc:"what is dialled"`
	Calling string    `query:"calling" maxLength:"64" doc:"the number that calls, on a trunk"`
	At      time.Time `query:"at" doc:"the time at which the dial plan is asked; left out: now"`
}

// dial asks the call manager of every node: what is registered there, and what its calls are, may differ.
func (s *Server) dial(ctx context.Context, in *dialInput) (*body[Rows[bus.DialAnswer]], error) {
	return s.askDial(ctx, callManager, in)
}

// borderExplain asks the border of every node: which peers are in service there may differ. From is a tag, an address or a subject.
func (s *Server) borderExplain(ctx context.Context, in *dialInput) (*body[Rows[bus.DialAnswer]], error) {
	return s.askDial(ctx, border, in)
}

func (s *Server) askDial(ctx context.Context, service string, in *dialInput) (*body[Rows[bus.DialAnswer]], error) {
	ctx, cancel := context.WithTimeout(ctx, busWait)
	defer cancel()
	out := Rows[bus.DialAnswer]{Rows: []bus.DialAnswer{}}
	ask := bus.DialRequest{From: in.From, Number: in.Number, Calling: in.Calling, At: in.At}
	_, on := s.services()
	answers, err := bus.AskAll[bus.DialRequest, bus.DialAnswer](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(service, bus.VerbDial), ask, on[service]...)
	if err != nil {
		return nil, err
	}
	var failed *bus.Error
	for _, a := range answers {
		switch {
		case a.Err == nil:
			out.Rows = append(out.Rows, a.Value)
		default:
			failed = a.Err
			out.Problems = append(out.Problems, strings.TrimSpace(a.Node+": "+a.Err.Message))
		}
	}
	if len(out.Rows) == 0 && failed != nil {
		return nil, failed
	}
	return &body[Rows[bus.DialAnswer]]{out}, nil
}
