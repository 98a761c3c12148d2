package interpreter

import (
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

// speech counts how many nodes at the beginning are speech: text and what stands in text.
func speech(nodes []vxml.Node) int {
	for i, n := range nodes {
		if n.Element == nil {
			continue
		}
		switch n.Element.Name {
		case "audio", "value", "enumerate", "break", "emphasis", "mark", "p", "paragraph", "s", "sentence", "phoneme", "prosody", "say-as", "sub", "voice":
		default:
			return i
		}
	}
	return len(nodes)
}

// blank reports whether there is nothing but white space.
func blank(nodes []vxml.Node) bool {
	for _, n := range nodes {
		if n.Element != nil || strings.TrimSpace(n.Text) != "" {
			return false
		}
	}
	return true
}

// speechContext is what pieces inherit beside the manner of speaking.
type speechContext struct{ base string }

// promptElement queues a <prompt>, if its condition holds.
func (f *frame) promptElement(e *vxml.Element) error {
	ok, err := f.holds(e)
	if err != nil || !ok {
		return err
	}
	return f.speak(e, e.Children)
}

// speak queues a prompt: e is its <prompt>, nil for speech that stands free.
func (f *frame) speak(e *vxml.Element, nodes []vxml.Node) error {
	at := e
	if at == nil {
		at = f.x.leaf.tree
		if f.item != nil {
			at = f.item.elem
		}
	}
	attribute := func(name, property string) string {
		if e != nil {
			if v, ok := e.Lookup(name); ok {
				return v
			}
		}
		v, _ := f.property(at, property)
		return v
	}
	p := Prompt{Barge: attribute("bargein", "bargein") != "false", Language: f.language(at)}
	p.Hotword = p.Barge && attribute("bargeintype", "bargeintype") == "hotword"
	context := speechContext{}
	if e != nil {
		context.base = e.Attr("xml:base")
	}
	var err error
	if p.Pieces, err = f.pieces(nodes, Say{}, context); err != nil {
		return err
	}
	if e != nil && e.Attr("timeout") != "" {
		d, err := vxml.ParseDuration(e.Attr("timeout"))
		if err != nil {
			return f.x.leaf.throw(e.At, eventSemantic, "timeout: %v", err)
		}
		f.x.s.timeout = d
	}
	f.x.s.enqueue(p)
	return nil
}

// language gives xml:lang in force at e.
func (f *frame) language(e *vxml.Element) string {
	for ; e != nil; e = e.Parent {
		if v, ok := e.Lookup("xml:lang"); ok {
			return v
		}
	}
	return ""
}

// pieces renders speech: values evaluated, addresses absolute, SSML turned into the manner of speaking each text.
func (f *frame) pieces(nodes []vxml.Node, say Say, in speechContext) ([]Piece, error) {
	var out []Piece
	size := 0
	for _, n := range nodes {
		var more []Piece
		if n.Element == nil {
			more = spoken(n.Text, say)
		} else {
			var err error
			if more, err = f.piecesOf(n.Element, say, in); err != nil {
				return nil, err
			}
		}
		for _, p := range more {
			size += len(p.Text)
		}
		if out = append(out, more...); size > f.x.s.limits.Value || len(out) > f.x.s.limits.Variables {
			return nil, f.x.leaf.throw(n.At, eventSemantic, "the prompt is longer than the limit of %d bytes", f.x.s.limits.Value)
		}
	}
	return out, nil
}

// spoken gives text as a piece, white space as one space.
func spoken(text string, say Say) []Piece {
	words := strings.Join(strings.Fields(text), " ")
	if words == "" {
		return nil
	}
	p := Piece{Text: words}
	if say != (Say{}) {
		p.Say = &say
	}
	return []Piece{p}
}

func (f *frame) piecesOf(e *vxml.Element, say Say, in speechContext) ([]Piece, error) {
	if err := f.x.s.step(f.x.leaf, e.At); err != nil {
		return nil, err
	}
	switch e.Name {
	case "value":
		return f.valuePiece(e, say)
	case "audio":
		return f.audio(e, say, in)
	case "enumerate":
		return f.enumerate(e, say, in)
	case "foreach":
		var out []Piece
		err := f.loop(e, func() error {
			more, err := f.pieces(e.Children, say, in)
			if out = append(out, more...); err == nil && len(out) > f.x.s.limits.Variables {
				err = f.x.leaf.throw(e.At, eventSemantic, "the prompt has more than %d pieces", f.x.s.limits.Variables)
			}
			return err
		})
		return out, err
	case "mark":
		name, _, err := f.oneOf(e, "name", "nameexpr", false)
		return []Piece{{Mark: name}}, err
	case "break":
		return []Piece{{Break: pause(e)}}, nil
	case "sub":
		return spoken(e.Attr("alias"), say), nil
	case "desc", "lexicon", "meta", "metadata":
		return nil, nil
	}
	return f.pieces(e.Children, manner(e, say), in)
}

// manner adds what an element of SSML says of how to speak.
func manner(e *vxml.Element, say Say) Say {
	set := func(to *string, attribute string) {
		if v, ok := e.Lookup(attribute); ok {
			*to = v
		}
	}
	set(&say.Language, "xml:lang")
	switch e.Name {
	case "say-as":
		set(&say.As, "type") // of working drafts, still in the field
		set(&say.As, "interpret-as")
		set(&say.Format, "format")
		set(&say.Detail, "detail")
	case "voice":
		set(&say.Voice, "name")
		set(&say.Gender, "gender")
	case "prosody":
		set(&say.Rate, "rate")
		set(&say.Pitch, "pitch")
		set(&say.Volume, "volume")
	case "emphasis":
		say.Emphasis = "moderate"
		set(&say.Emphasis, "level")
	case "phoneme":
		set(&say.Phoneme, "ph")
		set(&say.Alphabet, "alphabet")
	}
	return say
}

// pause gives the length of a <break>: SSML 1.0, section 3.2.3 names strengths and leaves their length to the processor.
func pause(e *vxml.Element) time.Duration {
	if d, err := vxml.ParseDuration(e.Attr("time")); err == nil {
		return d
	}
	strength := e.Attr("strength")
	if strength == "" {
		strength = e.Attr("size") // of working drafts
	}
	switch strength {
	case "none":
		return 0
	case "x-weak":
		return 100 * time.Millisecond
	case "weak", "small":
		return 250 * time.Millisecond
	case "strong", "large":
		return time.Second
	case "x-strong":
		return 2 * time.Second
	}
	return 500 * time.Millisecond
}

func (f *frame) valuePiece(e *vxml.Element, say Say) ([]Piece, error) {
	v, err := f.evaluate(e, e.Attr("expr"))
	if err != nil {
		return nil, err
	}
	if o, ok := v.(*goja.Object); ok {
		if reference, ok := f.x.s.recordings[o]; ok {
			return []Piece{{Audio: &Audio{Recording: reference, MaxAge: -1, MaxStale: -1}}}, nil
		}
	}
	text, err := f.text(e, v)
	if err != nil {
		return nil, err
	}
	return spoken(text, say), nil
}

// audio renders <audio>: an expression that gives undefined makes the whole element nothing (VoiceXML 2.0, section 4.1.3).
func (f *frame) audio(e *vxml.Element, say Say, in speechContext) ([]Piece, error) {
	address, plain := e.Lookup("src")
	src, computed := e.Lookup("expr")
	if plain == computed {
		return nil, f.x.leaf.throw(e.At, eventBadFetch, "<audio> needs either src or expr")
	}
	a := Audio{MaxAge: -1, MaxStale: -1}
	if computed {
		v, err := f.evaluate(e, src)
		if err != nil {
			return nil, err
		}
		if !defined(v) {
			return nil, nil
		}
		if o, ok := v.(*goja.Object); ok {
			a.Recording = f.x.s.recordings[o]
		}
		if a.Recording == "" {
			if address, err = f.text(e, v); err != nil {
				return nil, err
			}
		}
	}
	if a.Recording == "" {
		a.URL = f.x.leaf.resolve(address, in.base)
	}
	r, err := f.request(e, a.URL, "audio")
	if err != nil {
		return nil, err
	}
	a.Timeout, a.MaxAge, a.MaxStale = r.timeout, r.maxAge, r.maxStale
	if a.Else, err = f.pieces(e.Children, say, in); err != nil {
		return nil, err
	}
	return []Piece{{Audio: &a}}, nil
}

// enumerate speaks the choices of a menu or the options of a field (2.2.4): with its content for each, _prompt and _dtmf being variables, or
// in our own words.
func (f *frame) enumerate(e *vxml.Element, say Say, in speechContext) ([]Piece, error) {
	if f.item == nil {
		return nil, f.x.leaf.throw(e.At, eventSemantic, "<enumerate> where there are no choices")
	}
	choices, err := f.choices(f.item.elem)
	if err != nil {
		return nil, err
	}
	var out []Piece
	for _, c := range choices {
		text := strings.Join(strings.Fields(c.elem.Content()), " ")
		if len(e.Children) == 0 {
			if c.dtmf != "" {
				text += ", press " + c.dtmf + "."
			}
			out = append(out, spoken(text, say)...)
			continue
		}
		inner := f.within(f.x.s.js.newScope(f.scope))
		vm := f.x.s.js.vm
		if err := inner.declare(e, "_prompt", vm.ToValue(text)); err != nil {
			return nil, err
		}
		if err := inner.declare(e, "_dtmf", vm.ToValue(c.dtmf)); err != nil {
			return nil, err
		}
		more, err := inner.pieces(e.Children, say, in)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// choice is one <choice> or <option> with its keys.
type choice struct {
	elem *vxml.Element
	dtmf string
}

// choices lists them. In a menu with dtmf="true" those without keys of their own get 1 to 9 in their order, and the others may only have
// *, # and 0 (2.2.1).
func (f *frame) choices(e *vxml.Element) ([]choice, error) {
	var out []choice
	next := 1
	for _, c := range e.Elements() {
		if c.Name != "choice" && c.Name != "option" {
			continue
		}
		keys := strings.Join(strings.Fields(c.Attr("dtmf")), "")
		if e.Name == "menu" && e.Attr("dtmf") == "true" {
			if keys != "" && keys != "*" && keys != "#" && keys != "0" {
				return nil, f.x.leaf.throw(c.At, eventBadFetch, "a menu with dtmf=\"true\" numbers its choices itself: only *, # and 0 may be given, not %q", keys)
			}
			if keys == "" && next <= 9 {
				keys = itoa(next)
				next++
			}
		}
		out = append(out, choice{elem: c, dtmf: keys})
	}
	return out, nil
}

// defaults are the values of properties that nobody has set (6.3).
func defaults(name string) (string, bool) {
	switch name {
	case "timeout":
		return "5s", true
	case "interdigittimeout":
		return "3s", true
	case "termtimeout":
		return "0s", true
	case "termchar":
		return "#", true
	case "bargein":
		return "true", true
	case "bargeintype":
		return "speech", true
	case "inputmodes":
		return "dtmf voice", true
	case "universals":
		return "none", true
	}
	return "", false
}

// property finds the value of a property at e: the nearest around it, then in the application root, then the platform's.
func (f *frame) property(e *vxml.Element, name string) (string, bool) {
	find := func(e *vxml.Element) (string, bool) {
		for ; e != nil; e = e.Parent {
			value, found := "", false
			for _, n := range e.Children {
				if n.Element != nil && n.Element.Name == "property" && n.Element.Attr("name") == name {
					value, found = n.Element.Attr("value"), true
				}
			}
			if found {
				return value, true
			}
		}
		return "", false
	}
	if v, ok := find(e); ok {
		return v, true
	}
	if f.x.root != nil && f.x.root != f.x.leaf {
		if v, ok := find(f.x.root.tree); ok {
			return v, true
		}
	}
	if v, ok := f.x.s.start.Properties[name]; ok {
		return v, true
	}
	return defaults(name)
}

// duration reads a property that is a time.
func (f *frame) duration(e *vxml.Element, name string) (time.Duration, error) {
	text, ok := f.property(e, name)
	if !ok {
		return 0, nil
	}
	d, err := vxml.ParseDuration(text)
	if err != nil {
		return 0, f.x.leaf.throw(e.At, eventSemantic, "property %s: %v", name, err)
	}
	return d, nil
}
