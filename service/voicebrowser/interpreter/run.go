package interpreter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

// Run runs one session from its first document to its end. It returns when the session has ended; it never panics. What the documents left in
// the prompt queue has been played by then. Cancelling ctx ends the session at once, without handlers (a caller who hangs up is no reason
// for that: Outcome.Hangup).
func Run(ctx context.Context, start Start, platform Platform) (result Result) {
	s := &session{ctx: ctx, platform: platform, start: start, limits: start.Limits.orDefaults(), recordings: map[*goja.Object]string{}}
	defer func() {
		if r := recover(); r != nil { // a fault of ours: the call is to end, not the process
			result = Result{End: Failed, Event: "error.internal", Error: fmt.Sprintf("the interpreter failed: %v", r), Steps: s.total}
		}
	}()
	s.js = newECMA(ctx, s.limits)
	result = s.run()
	result.Steps = s.total
	return result
}

func (l Limits) orDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Document, 1 << 20}, {&l.Steps, 20_000}, {&l.Session, 5_000_000}, {&l.Variables, 4_096}, {&l.Value, 256 << 10}, {&l.Nesting, 32}, {&l.Catches, 32}, {&l.CallStack, 512},
		{&l.Prompts, 256}, {&l.Pages, 64}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	if l.Script <= 0 {
		l.Script = 5 * time.Second
	}
	return l
}

// session is what is one for the whole call.
type session struct {
	ctx      context.Context
	platform Platform
	start    Start
	limits   Limits
	js       *ecma
	scope    *scope // session scope

	queue      []Prompt
	timeout    time.Duration // of the last queued prompt that has one; negative: none has
	gone       End           // HungUp, Disconnected, Departed: nobody is there any more
	untold     bool          // the caller hung up and no event was thrown yet
	steps      int           // since the caller was last waited for
	total      int
	depth      int // subdialogs within subdialogs
	recordings map[*goja.Object]string
}

func (s *session) run() Result {
	s.timeout = -1
	if err := s.openScope(); err != nil {
		return Result{End: Failed, Event: "error.internal", Error: err.Error()}
	}
	x := &execution{s: s}
	first := request{url: s.start.URL, method: s.start.Method, form: s.start.Form, maxAge: s.start.MaxAge, maxStale: s.start.MaxStale, timeout: -1}
	to, err := x.find(first, nil, vxml.Position{})
	if err == nil {
		err = x.run(to)
	}
	var end *toEnd
	var ev *thrown
	switch {
	case errors.As(err, &end):
		_ = s.flush()
		return end.result
	case errors.As(err, &ev):
		return Result{End: Failed, Event: ev.name, Error: ev.Error()}
	case err == nil:
		return Result{End: Exited}
	}
	return Result{End: Failed, Event: "error.internal", Error: err.Error()}
}

// do asks the platform. A hang-up that comes with the outcome is remembered; step and the waiting actions throw it.
func (s *session) do(a Action) (Outcome, error) {
	if err := s.ctx.Err(); err != nil {
		return Outcome{}, &toEnd{Result{End: Failed, Event: "cancelled", Error: context.Cause(s.ctx).Error()}}
	}
	out, err := s.platform.Do(s.ctx, a)
	if err != nil {
		return out, &toEnd{Result{End: Failed, Event: "error.platform", Error: "the platform failed: " + err.Error()}}
	}
	if out.Hangup && s.gone == "" {
		s.gone, s.untold = HungUp, true
	}
	return out, nil
}

// wait is do for an action that waits for the caller: the limits on what runs without waiting begin anew.
func (s *session) wait(a Action) (Outcome, error) {
	if s.gone != "" {
		return Outcome{}, s.departed()
	}
	s.steps, s.js.used = 0, 0
	out, err := s.do(a)
	return out, err
}

// departed is what becomes of waiting for a caller who is not there: the event if it was not thrown yet, else the end.
func (s *session) departed() error {
	if s.untold {
		s.untold = false
		return &thrown{name: eventHangup, message: "the caller hung up"}
	}
	return s.exit(nil)
}

// exit ends the session in order.
func (s *session) exit(values []Variable) error {
	end := Exited
	if s.gone != "" {
		end = s.gone
	}
	return &toEnd{Result{End: end, Values: values}}
}

// step counts one element that is interpreted, and throws what happened meanwhile.
func (s *session) step(p *page, at vxml.Position) error {
	s.steps++
	s.total++
	if s.steps > s.limits.Steps || s.total > s.limits.Session {
		return s.runaway(fmt.Sprintf("%s: %d elements were interpreted without waiting for the caller (%d in all)", p.place(at), s.steps, s.total))
	}
	if s.untold {
		return s.departed()
	}
	return nil
}

// enqueue puts a prompt at the end of the queue (VoiceXML 2.0, section 4.1.8); what cannot be heard is dropped.
func (s *session) enqueue(p Prompt) {
	if len(p.Pieces) > 0 && s.gone == "" && len(s.queue) < s.limits.Prompts {
		s.queue = append(s.queue, p)
	}
}

// take empties the queue into an action that plays it.
func (s *session) take() []Prompt {
	out := s.queue
	s.queue, s.timeout = nil, -1
	return out
}

// flush plays what is queued to its end.
func (s *session) flush() error {
	if prompts := s.take(); len(prompts) > 0 && s.gone == "" {
		_, err := s.do(Action{Play: &Play{Prompts: prompts}})
		return err
	}
	return nil
}

// warn logs a word about a document.
func (s *session) warn(p *page, at vxml.Position, format string, args ...any) error {
	_, err := s.do(Action{Log: &Log{Text: fmt.Sprintf(format, args...), At: p.place(at), Warning: true}})
	return err
}

// openScope fills the session scope: session.connection and the strings given, all of it unchangeable.
func (s *session) openScope() error {
	s.scope = s.js.newScope(nil, "session")
	values, err := json.Marshal(s.start.Session)
	if err != nil {
		return err
	}
	connection, err := json.Marshal(s.start.Connection.object())
	if err != nil {
		return err
	}
	const fill = `function(o, values, connection) {
		function freeze(v) { if (v && typeof v === 'object') { Object.keys(v).forEach(function(k) { freeze(v[k]) }); Object.freeze(v) } return v }
		values = JSON.parse(values) || {};
		Object.keys(values).forEach(function(k) { o[k] = values[k] });
		var c = JSON.parse(connection);
		c.originator = c[c.originator];
		o.connection = freeze(c);
		Object.freeze(o) }`
	f, err := s.js.vm.RunString("(" + fill + ")")
	if err != nil {
		return err
	}
	call, _ := goja.AssertFunction(f)
	_, err = call(goja.Undefined(), s.scope.object, s.js.vm.ToValue(string(values)), s.js.vm.ToValue(string(connection))) // ours: no limit needed
	return err
}

// object gives session.connection as documents see it (VoiceXML 2.0, section 5.1.4; RFC 5552, 2.4).
func (c Connection) object() map[string]any {
	redirect := []any{}
	for _, r := range c.Redirect {
		redirect = append(redirect, map[string]any{"uri": r.URI, "reason": r.Reason})
	}
	headers := map[string]string{}
	for _, h := range c.Headers {
		if have, ok := headers[h.Name]; ok {
			headers[h.Name] = have + ", " + h.Value
		} else {
			headers[h.Name] = h.Value
		}
	}
	local, remote := map[string]any{"uri": c.Local}, map[string]any{"uri": c.Remote}
	originator := "remote" // a name here: documents see the object itself
	if c.Originator == "local" {
		originator = "local"
	}
	protocol := map[string]any{"name": c.ProtocolName, "version": c.ProtocolVersion, "sip": map[string]any{"headers": headers, "requesturi": c.RequestURI}}
	return map[string]any{"local": local, "remote": remote, "originator": originator, "redirect": redirect, "aai": c.AAI, "protocol": protocol}
}
