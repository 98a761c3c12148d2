package interpreter

import (
	"encoding/xml"
	"errors"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

// times reads time attributes of an item, each into its place.
func (f *frame) times(e *vxml.Element, into map[string]*time.Duration) error {
	for name, to := range into {
		text, ok := e.Lookup(name)
		if !ok {
			continue
		}
		d, err := vxml.ParseDuration(text)
		if err != nil {
			return f.x.leaf.throw(e.At, eventSemantic, "%s: %v", name, err)
		}
		*to = d
	}
	return nil
}

// record runs <record> (2.3.6).
func (d *dialog) record(item *formItem) error {
	e, s := item.elem, d.x.s
	r := Record{Beep: e.Attr("beep") == "true", Term: e.Attr("dtmfterm") != "false", Type: e.Attr("type")}
	timeout, err := d.frame.duration(e, "timeout")
	if err != nil {
		return err
	}
	if r.Timeout = timeout; s.timeout >= 0 {
		r.Timeout = s.timeout
	}
	if err := d.frame.times(e, map[string]*time.Duration{"maxtime": &r.MaxTime, "finalsilence": &r.FinalSilence}); err != nil {
		return err
	}
	r.Prompts = s.take()
	out, err := s.wait(Action{Record: &r})
	if err != nil {
		return err
	}
	got := out.Recorded
	if got == nil || got.Reference == "" {
		if out.Hangup {
			return s.departed()
		}
		return &thrown{name: eventNoInput, message: d.x.leaf.place(e.At) + ": nothing was recorded"}
	}
	vm := s.js.vm
	recording, shadow := vm.NewObject(), vm.NewObject()
	s.recordings[recording] = got.Reference
	err = errors.Join(
		recording.Set("toString", func(goja.FunctionCall) goja.Value { return vm.ToValue("[recording]") }),
		shadow.Set("duration", got.Duration.Milliseconds()), shadow.Set("size", got.Size), shadow.Set("maxtime", got.MaxTime), shadow.Set("type", got.Type))
	if got.TermChar != "" {
		err = errors.Join(err, shadow.Set("termchar", got.TermChar))
	}
	if err = errors.Join(err, d.fill(item, recording), d.frame.declare(e, item.name+"$", shadow)); err != nil {
		return err
	}
	if out.Hangup {
		return s.departed()
	}
	return d.filled()
}

// kind reads the type of a transfer: type of 2.1, or bridge of 2.0.
func (d *dialog) kind(e *vxml.Element) (TransferKind, error) {
	name, hasType := e.Lookup("type")
	bridge, hasBridge := e.Lookup("bridge")
	switch {
	case hasType && hasBridge:
		return "", d.x.leaf.throw(e.At, eventBadFetch, "<transfer> has both type and bridge")
	case name == "bridge" || bridge == "true":
		return Bridge, nil
	case name == "consultation":
		return Consultation, nil
	case !hasType || name == "blind":
		return Blind, nil
	}
	return "", d.x.leaf.throw(e.At, eventBadFetch, "type %q of a transfer: blind, bridge and consultation are known", name)
}

// transfer runs <transfer> (2.3.7; 2.1, section 7).
func (d *dialog) transfer(item *formItem) error {
	e, f, s := item.elem, d.frame, d.x.s
	kind, err := d.kind(e)
	if err != nil {
		return err
	}
	t := Transfer{Kind: kind}
	if t.Dest, _, err = f.oneOf(e, "dest", "destexpr", false); err != nil {
		return err
	}
	if t.AAI, _, err = f.oneOf(e, "aai", "aaiexpr", true); err != nil {
		return err
	}
	if err := f.times(e, map[string]*time.Duration{"connecttimeout": &t.ConnectTimeout, "maxtime": &t.MaxTime}); err != nil {
		return err
	}
	if audio := e.Attr("transferaudio"); audio != "" {
		t.Audio = d.x.leaf.resolve(audio, "")
	}
	var grammars []active
	if kind == Bridge {
		if grammars, err = d.grammars(item); err != nil {
			return err
		}
		t.Digits = len(grammars) > 0
	}
	t.Prompts = s.take()
	out, err := s.wait(Action{Transfer: &t})
	if err != nil {
		return err
	}
	out, input, err := d.bridged(t, grammars, out)
	if err != nil {
		return err
	}
	return d.transferred(item, out, input)
}

// bridged listens while a bridge stands: until it is over, or the caller types what one of the grammars understands.
func (d *dialog) bridged(t Transfer, grammars []active, out Outcome) (Outcome, *heard, error) {
	keys := ""
	for {
		if out.Transferred != nil || out.Hangup || out.Input == nil || out.Input.Digit == "" {
			return out, nil, nil
		}
		t.Prompts, t.Resume, t.End = nil, true, false
		keys += out.Input.Digit
		possible := false
		for _, g := range grammars {
			parse, status := g.program.Match(keys)
			possible = possible || status != vxml.NoMatch
			if parse != nil {
				t.Resume, t.End = false, true
				h := &heard{active: g, keys: keys, parse: parse}
				if err := d.understood(h); err != nil {
					return out, nil, err
				}
				out, err := d.x.s.wait(Action{Transfer: &t})
				return out, h, err
			}
		}
		if !possible {
			keys = ""
		}
		var err error
		if out, err = d.x.s.wait(Action{Transfer: &t}); err != nil {
			return out, nil, err
		}
	}
}

func (d *dialog) transferred(item *formItem, out Outcome, input *heard) error {
	s, got := d.x.s, out.Transferred
	if out.Hangup && (got == nil || got.Result != "transferred") {
		return s.departed()
	}
	if got == nil {
		got = &Transferred{Result: "unknown"}
	}
	at := d.x.leaf.place(item.elem.At)
	switch {
	case got.Failure != "":
		return &thrown{name: got.Failure, message: at + ": " + got.Message}
	case got.Result == "transferred":
		s.gone, s.untold = Departed, false
		return &thrown{name: eventTransferred, message: at + ": the caller was transferred"}
	}
	vm := s.js.vm
	shadow := vm.NewObject()
	err := shadow.Set("duration", int64(got.Duration/time.Second))
	result := got.Result
	if input != nil {
		result = "near_end_disconnect"
		err = errors.Join(err, shadow.Set("utterance", input.keys), shadow.Set("inputmode", "dtmf"))
	}
	if err = errors.Join(err, d.fill(item, vm.ToValue(result)), d.frame.declare(item.elem, item.name+"$", shadow)); err != nil {
		return err
	}
	if input != nil && (input.owner.Name == "link" || input.owner.Name == "form" && input.owner != d.elem) {
		return d.process(item, input)
	}
	return d.filled()
}

// subdialog runs <subdialog> (2.3.4) in an execution context of its own.
func (d *dialog) subdialog(item *formItem) error {
	e, s := item.elem, d.x.s
	if s.depth >= s.limits.Nesting {
		return s.runaway(d.x.leaf.place(e.At) + ": subdialogs call subdialogs deeper than the limit")
	}
	address, _, err := d.frame.oneOf(e, "src", "srcexpr", false)
	if err != nil {
		return err
	}
	r, err := d.frame.requestWith(e, address, "document", strings.Fields(e.Attr("namelist")))
	if err != nil {
		return err
	}
	inner := &execution{s: s, isSubdialog: true}
	if inner.params, err = d.params(e); err != nil {
		return err
	}
	to, err := d.subdialogTarget(inner, r, e)
	if err != nil {
		return err
	}
	s.depth++
	err = inner.run(to)
	s.depth--
	var back *toCaller
	if !errors.As(err, &back) {
		return err
	}
	if back.event != nil {
		return back.event
	}
	if err := d.fill(item, back.values); err != nil {
		return err
	}
	return d.filled()
}

// subdialogTarget finds the dialog to be called: of this document, whose tree is used again with new variables, or of another.
func (d *dialog) subdialogTarget(inner *execution, r request, e *vxml.Element) (destination, error) {
	to, err := inner.find(r, d.x.leaf, e.At)
	if err != nil || !to.same {
		return to, err
	}
	to.same = false
	if to.page.rootURL != "" {
		to.root = d.x.root
	}
	return to, nil
}

// params evaluates the <param> elements of a subdialog.
func (d *dialog) params(e *vxml.Element) (map[string]goja.Value, error) {
	out := map[string]goja.Value{}
	for _, p := range e.Elements() {
		if p.Name != "param" {
			continue
		}
		value, hasValue := p.Lookup("value")
		src, hasExpr := p.Lookup("expr")
		if hasValue == hasExpr {
			return nil, d.x.leaf.throw(p.At, eventBadFetch, "<param> needs either expr or value")
		}
		v := goja.Value(d.x.s.js.vm.ToValue(value))
		if hasExpr {
			var err error
			if v, err = d.frame.evaluate(p, src); err != nil {
				return nil, err
			}
		}
		out[p.Attr("name")] = v
	}
	return out, nil
}

// data runs <data> (2.1, section 5): the XML that is fetched becomes a read-only DOM in the variable.
func (f *frame) data(e *vxml.Element) error {
	address, _, err := f.oneOf(e, "src", "srcexpr", false)
	if err != nil {
		return err
	}
	r, err := f.requestWith(e, f.x.leaf.resolve(address, ""), "data", strings.Fields(e.Attr("namelist")))
	if err != nil {
		return err
	}
	got, err := f.x.fetch(UseData, r, f.x.leaf, e.At)
	if err != nil {
		return err
	}
	name, named := e.Lookup("name")
	if !named {
		return nil // data that is only sent
	}
	root, err := vxml.Parse(got.Body)
	if err != nil {
		var syntax *xml.SyntaxError
		if errors.As(err, &syntax) {
			err = syntax
		}
		return f.x.leaf.throw(e.At, eventBadFetch, "%s: %v", got.URL, err)
	}
	document, err := f.x.s.js.document(root)
	if err != nil {
		return f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	return f.declare(e, name, document)
}
