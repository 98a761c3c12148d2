package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/trace"
)

func (s *Server) streamOperations(api huma.API) {
	stream(s, api, get("call-svg", "/v1/calls/{call}/ladder.svg", RoleViewer, "A call as a drawing that stands alone"), "image/svg+xml", s.svg)
	stream(s, api, get("trace-stream", "/v1/trace/stream", RoleOperator, "Records as they happen (server-sent events)"), "text/event-stream", s.follow)
	stream(s, api, get("events", "/v1/events", RoleViewer, "What happens to calls, as it happens (server-sent events)"), "text/event-stream", s.events)
	stream(s, api, operation{
		id: "logs", method: http.MethodPost, path: "/v1/logs", role: RoleOperator, action: "collect-logs",
		summary: "One tar.gz with traces of all nodes, status, configuration without secrets, exceptions and version",
	}, "application/gzip", s.logs)
}

// stream registers an operation that writes its answer itself. What it wants to refuse it returns before the first byte.
func stream[I any](s *Server, api huma.API, o operation, media string, h func(context.Context, *I, http.ResponseWriter) error) {
	op := s.describe(api, o)
	op.Responses["200"] = &huma.Response{Description: o.summary, Content: map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: huma.TypeString}}}}
	huma.Register(api, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		if err := s.enter(ctx, o, in); err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			_, w := humago.Unwrap(hc)
			p := asProblem(h(hc.Context(), in, w))
			if p != nil {
				writeProblem(w, p) // without effect when the answer has begun
			}
			s.leave(ctx, o, in, p)
		}}, nil
	})
}

func (s *Server) svg(ctx context.Context, in *ladderInput, w http.ResponseWriter) error {
	l, err := s.drawn(ctx, in)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "image/svg+xml")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	_, err = w.Write(l.SVG())
	return ignoreBroken(err)
}

// ignoreBroken drops an error of writing to a client that has gone.
func ignoreBroken(error) error { return nil }

func (s *Server) follow(ctx context.Context, in *FilterInput, w http.ResponseWriter) error {
	return s.feed(ctx, in.filter(), w)
}

func (s *Server) events(ctx context.Context, in *FilterInput, w http.ResponseWriter) error {
	f := in.filter()
	f.Kinds = []trace.Kind{trace.KindEvent, trace.KindSignal, trace.KindRequest, trace.KindTLSFailed, trace.KindAdmin}
	return s.feed(ctx, f, hideBodies{w})
}

// hideBodies marks a feed for viewers: it carries no messages.
type hideBodies struct{ http.ResponseWriter }

// Unwrap gives http.ResponseController the writer below.
func (h hideBodies) Unwrap() http.ResponseWriter { return h.ResponseWriter }

const (
	feedRoom  = 1000             // records a feed may be behind
	feedQuiet = 15 * time.Second // a comment keeps a quiet feed alive
	feedWrite = 20 * time.Second // a reader that takes no byte for so long is dropped
)

// feed writes records as server-sent events until the reader goes or the server closes.
func (s *Server) feed(ctx context.Context, f trace.Filter, w http.ResponseWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tail := s.cfg.Trace.Tail(f, feedRoom)
	defer tail.Close()
	s.wg.Go(func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	})
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(text []byte) error {
		_ = control.SetWriteDeadline(time.Now().Add(feedWrite))
		if _, err := w.Write(text); err != nil {
			return err
		}
		return control.Flush()
	}
	_, private := w.(hideBodies)
	err := send([]byte(": listening\n\n"))
	for err == nil {
		err = s.feedOne(ctx, tail, private, send)
	}
	return ignoreBroken(err)
}

// feedOne sends the next record, or a comment when there is none for a while.
func (s *Server) feedOne(ctx context.Context, tail *trace.Tail, private bool, send func([]byte) error) error {
	wait, cancel := context.WithTimeout(ctx, feedQuiet)
	defer cancel()
	rec, err := tail.Next(wait)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return send([]byte(": still here\n\n"))
	case err != nil:
		return err
	}
	if private {
		rec.Body = nil
	}
	if lost := tail.Lost(); lost > 0 {
		if err := send(fmt.Appendf(nil, "event: lagged\ndata: {\"lost\":%d}\n\n", lost)); err != nil {
			return err
		}
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	return send(fmt.Appendf(nil, "id: %d\nevent: record\ndata: %s\n\n", rec.Seq, data))
}

// logs writes the archive.
func (s *Server) logs(ctx context.Context, _ *none, w http.ResponseWriter) error {
	a := trace.NewArchive(deadlineWriter{w, http.NewResponseController(w)}, "locktone-"+s.cfg.Node, s.cfg.Now())
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Disposition", `attachment; filename="locktone-logs.tar.gz"`)
	a.Add("version.txt", []byte(s.cfg.Version+"\n"))
	if st, err := s.status(ctx, nil); err == nil {
		a.AddJSON("status.json", st.Body)
	} else {
		a.Add("status-error.txt", []byte(err.Error()+"\n"))
	}
	if c, err := s.configGet(ctx, nil); err == nil {
		a.Add("config.yaml", trace.Redact(nil, []byte(c.Body.YAML), false))
	} else {
		a.Add("config-error.txt", []byte(err.Error()+"\n"))
	}
	if x, err := s.exceptions(ctx, &byName{}); err == nil {
		a.AddJSON("exceptions.json", x.Body)
	}
	a.AddJSON("registrations.json", gather[bus.Registration](ctx, s, bus.VerbRegistrations, ""))
	a.AddJSON("trunks.json", gather[bus.TrunkState](ctx, s, bus.VerbTrunks, ""))
	a.AddJSON("connections.json", gather[bus.Connection](ctx, s, bus.VerbConnections, ""))
	a.AddJSON("trace-levels.json", s.cfg.Trace.Levels().Rules())
	if err := s.cfg.Trace.Flush(ctx); err != nil {
		a.Add("trace-error.txt", []byte(err.Error()+"\n"))
	}
	var sdl bytes.Buffer
	if err := trace.WriteSDL(&sdl, s.cfg.Trace.Recent(trace.Filter{}, 20_000)); err == nil {
		a.Add("trace/recent.sdl.txt", sdl.Bytes())
	}
	a.AddTraces(ctx, s.cfg.Trace)
	s.archiveOthers(ctx, a)
	return ignoreBroken(a.Close())
}

// deadlineWriter gives every write its own time, so that a large archive may take long and a dead reader may not.
type deadlineWriter struct {
	io.Writer
	control *http.ResponseController
}

// Write writes with a fresh deadline.
func (d deadlineWriter) Write(b []byte) (int, error) {
	_ = d.control.SetWriteDeadline(time.Now().Add(feedWrite))
	return d.Writer.Write(b)
}
