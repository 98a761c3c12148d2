package interpreter

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

// Executable content leaves the place where it stands, other than by reaching its end, with one of these. They travel as errors; every
// function hands on what it does not know.
type (
	// thrown is an event (VoiceXML 2.0, section 5.2).
	thrown struct{ name, message, at string } // at: where it was thrown, for people, unless the message says it
	// toItem is <goto nextitem>.
	toItem struct{ name string }
	// toDialog is a transition to a dialog, of the same or another document.
	toDialog struct{ to destination }
	// toCaller is <return>: an event, or values.
	toCaller struct {
		event  *thrown
		values *goja.Object
	}
	// toEnd ends the session.
	toEnd struct{ result Result }
)

func (t *thrown) Error() string {
	out := t.name
	if t.at != "" {
		out = t.at + ": " + out
	}
	if t.message != "" {
		out += ": " + t.message
	}
	return out
}
func (t *toItem) Error() string   { return "goto item " + t.name }
func (t *toDialog) Error() string { return "goto " + t.to.page.url }
func (t *toCaller) Error() string { return "return" }
func (t *toEnd) Error() string    { return "end: " + string(t.result.End) }

// Events of the platform that others are told apart by.
const (
	eventHangup      = "connection.disconnect.hangup"
	eventTransferred = "connection.disconnect.transfer"
	eventSemantic    = "error.semantic"
	eventBadFetch    = "error.badfetch"
	eventNoInput     = "noinput"
	eventNoMatch     = "nomatch"
)

// place names a position in a document for people.
func (p *page) place(at vxml.Position) string { return p.url + ":" + at.String() }

// throw makes an event whose message says where.
func (p *page) throw(at vxml.Position, name, format string, args ...any) *thrown {
	return &thrown{name: name, message: p.place(at) + ": " + fmt.Sprintf(format, args...)}
}

// semantic makes error.semantic of a script's error; what ends the session stays what it is. line is where the source began, 0 when the
// source is an attribute.
func (s *session) semantic(p *page, at vxml.Position, line int, err error) error {
	if errors.Is(err, errRunaway) {
		return s.runaway(p.place(at) + ": " + err.Error())
	}
	if s.ctx.Err() != nil {
		return &toEnd{Result{End: Failed, Event: "cancelled", Error: context.Cause(s.ctx).Error()}}
	}
	file, in := lineOf(err)
	switch {
	case file != "": // in a script, perhaps of elsewhere, that what stands here has called
		return &thrown{name: eventSemantic, message: file + ": " + brief(err)}
	case line > 0 && in > 0:
		at = vxml.Position{Line: line + in - 1, Column: 1}
	}
	return p.throw(at, eventSemantic, "%s", brief(err))
}

func (s *session) runaway(message string) error {
	return &toEnd{Result{End: Failed, Event: "runaway", Error: message}}
}

// counters count the events that occur while a dialog or a form item is visited: the full name and every prefix (5.2.4).
type counters map[string]int

func (c counters) count(event string) {
	c[""]++
	for i := range len(event) {
		if event[i] == '.' {
			c[event[:i]]++
		}
	}
	c[event]++
}

// catcher is one <catch> that may handle an event.
type catcher struct {
	elem  *vxml.Element
	count int
}

// handles gives the names a handler handles; "" is every event.
func handles(e *vxml.Element) []string {
	switch e.Name {
	case "catch":
		if names := strings.Fields(e.Attr("event")); len(names) > 0 {
			return names
		}
		return []string{""}
	case "error", "help", "noinput", "nomatch":
		return []string{e.Name}
	}
	return nil
}

// matches reports whether a handler's name fits an event: equal, or a prefix that ends at a dot.
func matches(name, event string) bool {
	return name == "" || name == "." || name == event || strings.HasPrefix(event, strings.TrimSuffix(name, ".")+".")
}

// handle lets the handlers of elem (a form item, a dialog or the document element), of what is around it and of the application root handle
// an event. It gives what the handler left with; reprompt tells whether <reprompt/> was among what it did.
func (f *frame) handle(elem *vxml.Element, counts counters, ev *thrown) error {
	for depth := 0; ; depth++ {
		if depth >= f.x.s.limits.Catches {
			return f.x.s.runaway(fmt.Sprintf("%s: handlers threw %d events one after the other, the last %s", f.x.leaf.place(elem.At), depth, ev.name))
		}
		counts.count(ev.name)
		err := f.handleOnce(elem, counts, ev)
		var again *thrown
		if !errors.As(err, &again) {
			return err
		}
		ev = again
	}
}

func (f *frame) handleOnce(elem *vxml.Element, counts counters, ev *thrown) error {
	chosen, err := f.choose(elem, counts, ev)
	if err != nil {
		return err
	}
	inner := f.within(f.x.s.js.newScope(f.scope))
	vm := f.x.s.js.vm
	for name, text := range map[string]string{"_event": ev.name, "_message": ev.message} {
		value := goja.Value(vm.ToValue(text))
		if name == "_message" && text == "" {
			value = goja.Undefined()
		}
		if err := f.x.s.js.declare(inner.scope, name, value); err != nil {
			return f.x.s.semantic(f.x.leaf, elem.At, 0, err)
		}
	}
	if chosen == nil {
		return f.handleByDefault(ev)
	}
	return inner.contents(chosen.elem.Children)
}

// choose selects the handler (5.2.4): of those whose name fits and whose condition holds, with a count not above the counter, those with the
// highest count; of these the first in the order of scopes, then of the document.
func (f *frame) choose(elem *vxml.Element, counts counters, ev *thrown) (*catcher, error) {
	var best *catcher
	consider := func(e *vxml.Element) error {
		for _, name := range handles(e) {
			if !matches(name, ev.name) {
				continue
			}
			c := catcher{elem: e, count: count(e)}
			if c.count > counts[strings.TrimSuffix(name, ".")] || best != nil && c.count <= best.count {
				continue
			}
			ok, err := f.holds(e)
			if err != nil {
				return err
			}
			if ok {
				best = &c
			}
		}
		return nil
	}
	walk := func(from *vxml.Element) error {
		for e := from; e != nil; e = e.Parent {
			for _, child := range e.Elements() {
				if err := consider(child); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk(elem); err != nil {
		return nil, err
	}
	if f.x.root != f.x.leaf {
		if err := walk(f.x.root.tree); err != nil {
			return nil, err
		}
	}
	return best, nil
}

// handleByDefault does what VoiceXML 2.0, section 5.2.5 says of events that no handler was written for.
func (f *frame) handleByDefault(ev *thrown) error {
	s := f.x.s
	say := func(name, text string) {
		s.enqueue(Prompt{Barge: true, Pieces: []Piece{{Audio: &Audio{URL: "builtin:" + name, MaxAge: -1, MaxStale: -1, Else: []Piece{{Text: text}}}}}})
	}
	switch {
	case matches("cancel", ev.name):
		return nil
	case matches("exit", ev.name):
		return s.exit(nil)
	case matches("help", ev.name):
		say("help", "No help is available.")
		f.reprompt()
		return nil
	case matches("noinput", ev.name):
		f.reprompt()
		return nil
	case matches("nomatch", ev.name), matches("maxspeechtimeout", ev.name):
		say("nomatch", "That was not understood.")
		f.reprompt()
		return nil
	case matches("connection.disconnect", ev.name):
		return s.exit(nil)
	}
	say("error", "We are sorry, something went wrong.")
	return &toEnd{Result{End: Failed, Event: ev.name, Error: ev.Error()}}
}
