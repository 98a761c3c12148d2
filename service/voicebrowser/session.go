package voicebrowser

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
	"github.com/locktone/locktone/service/voicebrowser/worker"
	"github.com/locktone/locktone/trace"
)

// session is the platform of one call: what its documents ask of the world. Everything but renders belongs to the goroutine of its program.
type session struct {
	s    *Service
	site *site
	leg  *applet.Session
	call context.Context // ends when the caller is gone
	run  context.Context // ends when the session must: some seconds later, for the documents' last words

	answered   bool
	now        *playing // what plays; nil: nothing
	typed      []byte   // keys typed ahead, before those that the leg still has
	recordings recordings
	renders    sync.WaitGroup
	troubles   int
	gone       bool // transferred: the leg is not ours any more
}

// lastWords is how long documents may go on after the caller has hung up.
const lastWords = 5 * time.Second

// program runs a session on a leg.
func (s *Service) program(ctx context.Context, leg *applet.Session) error {
	site := s.site.Load()
	begin, err := site.begin(leg.Info(), s.cfg.Addresses[0].String())
	if err != nil {
		s.note(trace.Error, leg.Info(), err.Error())
		return &applet.Refused{Cause: call.UnallocatedNumber}
	}
	x := &session{s: s, site: site, leg: leg}
	var endCall, endRun context.CancelFunc
	x.call, endCall = context.WithTimeout(ctx, site.MaxDuration.D())
	defer endCall()
	x.run, endRun = context.WithCancel(context.WithoutCancel(ctx))
	defer endRun()
	defer context.AfterFunc(x.call, func() { time.AfterFunc(lastWords, endRun) })()
	s.counts.sessions.Add(1)
	s.live.add(leg.Info(), begin.URL, s.now())
	defer s.live.remove(leg.Info().Leg)
	res, err := s.pool.Run(x.run, begin, x)
	x.halt()
	endCall()
	x.renders.Wait()
	return x.ended(ctx, leg, begin.URL, res, err)
}

// ended says how the leg is released, and what is said to a caller whose session has failed.
func (x *session) ended(ctx context.Context, leg *applet.Session, url string, res interpreter.Result, err error) error {
	s := x.s
	var failure *worker.Failure
	switch {
	case errors.As(err, &failure):
		s.counts.failed.Add(1)
		s.note(trace.Error, leg.Info(), fmt.Sprintf("%s: %v", url, err))
	case err != nil && ctx.Err() == nil:
		s.counts.failed.Add(1)
		s.note(trace.Error, leg.Info(), fmt.Sprintf("%s: %v", url, err))
	case err == nil && res.End == interpreter.Failed:
		s.counts.documents.Add(1)
		s.note(trace.Error, leg.Info(), fmt.Sprintf("%s: %s %s", url, res.Event, res.Error))
	default:
		s.note(trace.Detail, leg.Info(), fmt.Sprintf("session %s: %s, %d elements", url, res.End, res.Steps))
		return nil
	}
	if failure != nil && failure.Kind == worker.Absent {
		return &applet.Refused{Cause: call.ResourceUnavailable}
	}
	if x.answered && ctx.Err() == nil {
		x.apologise(ctx)
	}
	return &applet.Refused{Cause: call.TemporaryFailure}
}

// apologise tells the caller that an error has occurred, before the call server finds another way.
func (x *session) apologise(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	f := &feed{}
	f.add(piece{pcm: x.s.sorry})
	f.end()
	_ = x.leg.Play(ctx, f) // whoever does not hear it has hung up
}

// Do implements interpreter.Platform.
func (x *session) Do(_ context.Context, a interpreter.Action) (interpreter.Outcome, error) {
	if err := x.run.Err(); err != nil {
		return interpreter.Outcome{}, err
	}
	out, err := x.do(a)
	out.Hangup = out.Hangup || x.call.Err() != nil && !(x.gone && a.Transfer != nil)
	return out, err
}

func (x *session) do(a interpreter.Action) (interpreter.Outcome, error) {
	switch {
	case a.Log != nil:
		x.log(a.Log)
		return interpreter.Outcome{}, nil
	case a.Fetch != nil:
		return x.fetch(a.Fetch)
	case a.Stop != nil:
		x.halt()
		return interpreter.Outcome{}, nil
	}
	if x.call.Err() != nil {
		return interpreter.Outcome{Hangup: true}, nil
	}
	if err := x.answer(); err != nil {
		return interpreter.Outcome{}, err
	}
	switch {
	case a.Play != nil:
		return x.play(a.Play), nil
	case a.Listen != nil:
		return x.listen(a.Listen), nil
	case a.Record != nil:
		return x.record(a.Record), nil
	case a.Transfer != nil:
		return x.transfer(a.Transfer), nil
	}
	x.play(&interpreter.Play{Prompts: a.Disconnect.Prompts})
	return interpreter.Outcome{}, nil
}

// answer answers the call, once.
func (x *session) answer() error {
	if x.answered {
		return nil
	}
	if err := x.leg.Answer(x.call); err != nil {
		if x.call.Err() != nil {
			return nil // the next outcome says that the caller is gone
		}
		return fmt.Errorf("the call cannot be answered: %w", err)
	}
	x.answered = true
	return nil
}

// maxTroubles bounds what one session writes into the trace about itself.
const maxTroubles = 100

func (x *session) log(l *interpreter.Log) {
	if x.troubles++; x.troubles > maxTroubles {
		return
	}
	level := trace.Detail
	if l.Warning {
		level = trace.Error
	}
	x.s.note(level, x.leg.Info(), strings.TrimSpace(fmt.Sprintf("document log %s: %.500s %s", l.Label, l.Text, l.At)))
}

// trouble notes what went wrong without ending the session. It may be called beside the program's goroutine.
func (x *session) trouble(what string, err error) {
	x.s.counts.troubles.Add(1)
	x.s.note(trace.Error, x.leg.Info(), what+": "+err.Error())
}
