package interpreter

import (
	"errors"
	"strings"

	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

// grammar gives the program of a <grammar>, nil when it is one for speech: keys are all that is heard here. Grammars are compiled once for
// a document, unless their address is computed.
func (f *frame) grammar(e *vxml.Element) (*vxml.Program, error) {
	if e.Attr("mode") == "voice" {
		return nil, nil
	}
	p := f.x.pageOf(e)
	if program, known := p.grammars[e]; known {
		return program, nil
	}
	address, external, err := f.oneOf(e, "src", "srcexpr", true)
	if err != nil {
		return nil, err
	}
	var program *vxml.Program
	if external {
		program, err = f.external(e, address)
	} else {
		program, err = f.inline(e)
	}
	if _, computed := e.Lookup("srcexpr"); err == nil && !computed {
		p.grammars[e] = program
	}
	return program, err
}

// pageOf gives the document an element stands in: the one in force, or the root of its application.
func (x *execution) pageOf(e *vxml.Element) *page {
	for e.Parent != nil {
		e = e.Parent
	}
	if x.root != nil && e == x.root.tree {
		return x.root
	}
	return x.leaf
}

// inline reads a grammar that stands in the document: XML form, or ABNF form as text.
func (f *frame) inline(e *vxml.Element) (*vxml.Program, error) {
	text := strings.TrimSpace(e.Content())
	var g *vxml.Grammar
	var err error
	switch kind := e.Attr("type"); {
	case vxml.HasRules(e):
		if e.Attr("mode") == "" {
			return nil, nil // the mode of a grammar is voice unless it says otherwise
		}
		g, err = vxml.ReadGrammar(e)
	case strings.HasPrefix(text, "#ABNF"):
		g, err = vxml.ParseABNF(text)
	case kind != "" && kind != "application/srgs":
		return nil, f.x.leaf.throw(e.At, "error.unsupported.format", "a grammar of type %q cannot be read", kind)
	default:
		g, err = vxml.ParseABNF("#ABNF 1.0; mode dtmf; root $keys; $keys = " + text + ";") // a bare expansion, as in VoiceXML 1.0 and the field
	}
	if err != nil {
		return nil, f.x.leaf.throw(e.At, eventBadFetch, "grammar: %v", err)
	}
	return f.x.compile(f, e, g, "", f.x.pageOf(e).url)
}

// external reads a grammar by its address.
func (f *frame) external(e *vxml.Element, address string) (*vxml.Program, error) {
	if kind, ok := strings.CutPrefix(address, "builtin:"); ok {
		mode, spec, _ := strings.Cut(kind, "/")
		if mode != "dtmf" {
			return nil, nil // builtin:grammar/... is for speech
		}
		return f.x.builtin(e, spec)
	}
	plain, rule, _ := strings.Cut(address, "#")
	if plain == "" {
		return nil, f.x.leaf.throw(e.At, eventBadFetch, "<grammar src=%q> refers to nothing", address)
	}
	g, from, err := f.fetchGrammar(e, f.x.pageOf(e).resolve(plain, e.Attr("xml:base")))
	if err != nil {
		return nil, err
	}
	return f.x.compile(f, e, g, rule, from)
}

func (f *frame) fetchGrammar(e *vxml.Element, address string) (*vxml.Grammar, string, error) {
	r, err := f.request(e, address, "grammar")
	if err != nil {
		return nil, "", err
	}
	got, err := f.x.fetch(UseGrammar, r, f.x.leaf, e.At)
	if err != nil {
		return nil, "", err
	}
	g, err := vxml.ParseGrammar(got.Body)
	if err != nil {
		return nil, "", f.x.leaf.throw(e.At, eventBadFetch, "%s:%v", got.URL, err)
	}
	return g, got.URL, nil
}

// compile makes a program of a grammar that came from an address, with those it refers to.
func (x *execution) compile(f *frame, e *vxml.Element, g *vxml.Grammar, rule, from string) (*vxml.Program, error) {
	if g.Mode != "dtmf" {
		return nil, nil
	}
	origins := map[*vxml.Grammar]string{g: from}
	loaded := map[string]*vxml.Grammar{}
	program, err := vxml.Compile(g, rule, func(by *vxml.Grammar, uri string) (*vxml.Grammar, error) {
		address := newPageBase(origins[by]).resolve(uri, by.Base)
		if other := loaded[address]; other != nil {
			return other, nil
		}
		other, at, err := f.fetchGrammar(e, address)
		if err == nil && other.Mode != "dtmf" {
			err = errors.New("the grammar " + address + " is for speech")
		}
		if err == nil {
			loaded[address], origins[other] = other, at
		}
		return other, err
	})
	var ev *thrown
	var end *toEnd
	switch {
	case err == nil:
		return program, nil
	case errors.As(err, &end):
		return nil, end
	case errors.As(err, &ev):
		return nil, ev
	}
	return nil, x.leaf.throw(e.At, eventBadFetch, "grammar: %v", err)
}

// newPageBase gives a page that only serves to resolve references against an address.
func newPageBase(address string) *page { return newPage(address, &vxml.Element{}) }

func (x *execution) builtin(e *vxml.Element, spec string) (*vxml.Program, error) {
	g, err := vxml.ParseBuiltin(spec)
	var none vxml.ErrNoBuiltin
	if errors.As(err, &none) {
		return nil, x.leaf.throw(e.At, "error.unsupported.builtin", "%v", err)
	}
	if err != nil {
		return nil, x.leaf.throw(e.At, eventBadFetch, "%v", err)
	}
	return vxml.Compile(g, "", nil)
}

// keys gives the program for a sequence of keys: the dtmf attribute.
func (x *execution) keys(e *vxml.Element, keys string) (*vxml.Program, error) {
	p := x.pageOf(e)
	if program := p.grammars[e]; program != nil {
		return program, nil
	}
	g, err := vxml.ParseABNF("#ABNF 1.0; mode dtmf; root $keys; $keys = " + strings.Join(strings.Split(keys, ""), " ") + ";")
	if err != nil {
		return nil, x.leaf.throw(e.At, eventBadFetch, "dtmf %q: %v", keys, err)
	}
	program, err := vxml.Compile(g, "", nil)
	if err != nil {
		return nil, x.leaf.throw(e.At, eventBadFetch, "dtmf %q: %v", keys, err)
	}
	if e.Parent == nil || e.Parent.Attr("dtmf") != "true" { // keys numbered by a menu are no constant of the element
		p.grammars[e] = program
	}
	return program, nil
}

// interpretation gives the semantic result of a parse (SISR 1.0): of a built-in grammar its value; of one without tags the keys; of literal
// tags the literal; else what the tags' scripts compute.
func (x *execution) interpretation(p *vxml.Parsed) (goja.Value, error) {
	vm := x.s.js.vm
	if p.Grammar.Builtin != "" {
		value := p.Grammar.BuiltinValue(p.Digits)
		if strings.HasPrefix(p.Grammar.Builtin, "boolean") {
			return vm.ToValue(value == "true"), nil
		}
		return vm.ToValue(value), nil
	}
	if literal, tagged := p.Literal(); !tagged || strings.HasSuffix(p.Grammar.TagFormat, "-literals") {
		return vm.ToValue(literal), nil
	}
	return x.semantics(p, 0)
}

// semantics runs the tags of one rule in their order. out is the result, rules.NAME and rules.latest() what the rules referred to gave,
// meta.current().text the keys. Under no declared format, as grammars of VoiceXML 2.0 were written before there was one, the value of the
// last tag is the result when no tag touches out; a tag that is no ECMAScript is a literal.
func (x *execution) semantics(p *vxml.Parsed, depth int) (goja.Value, error) {
	js := x.s.js
	vm := js.vm
	in := js.newScope(nil)
	rules, meta := vm.NewObject(), vm.NewObject()
	latest := goja.Value(goja.Undefined())
	current := vm.NewObject()
	err := js.guard(func() error {
		return errors.Join(
			current.Set("text", p.Digits), current.Set("score", 1.0),
			rules.Set("latest", func(goja.FunctionCall) goja.Value { return latest }),
			meta.Set("current", func(goja.FunctionCall) goja.Value { return current }),
			meta.Set("latest", func(goja.FunctionCall) goja.Value { return current }))
	})
	if err != nil {
		return nil, err
	}
	js.setHidden(in.object, "out", vm.NewObject())
	js.setHidden(in.object, "rules", rules)
	js.setHidden(in.object, "meta", meta)
	strict := p.Grammar.TagFormat != ""
	for _, tag := range p.Grammar.Tags {
		if err := js.script(in, tag, "", 0); err != nil && strict {
			return nil, err
		}
	}
	before := in.object.Get("out")
	var value goja.Value
	for _, part := range p.Parts {
		switch {
		case part.Rule != nil:
			if latest, err = x.semantics(part.Rule, depth+1); err != nil {
				return nil, err
			}
			if err := rules.Set(part.Rule.Rule, latest); err != nil {
				return nil, err
			}
		case part.IsTag && strict:
			if err := js.script(in, part.Tag, "", 0); err != nil {
				return nil, err
			}
		case part.IsTag:
			if value, err = x.loosely(in, part.Tag); err != nil {
				return nil, err
			}
		}
	}
	return result(in, p, before, latest, value, vm.ToValue(p.Digits)), nil
}

// result chooses what a rule gives: out when a tag touched it, else the value of its last tag, else what the last rule gave, else the keys.
func result(in *scope, p *vxml.Parsed, before, latest, value, keys goja.Value) goja.Value {
	out := in.object.Get("out")
	if o, ok := out.(*goja.Object); out != nil && (!ok || o != before || len(o.Keys()) > 0) {
		return out
	}
	if defined(value) {
		return value
	}
	if len(in.object.Keys()) > 0 {
		return in.object // variables the tags declared: `var city='x';` of drafts before SISR
	}
	if defined(latest) {
		return latest
	}
	return keys
}

// loosely runs a tag of no declared format.
func (x *execution) loosely(in *scope, tag string) (goja.Value, error) {
	js := x.s.js
	if v, err := js.expression(in, strings.TrimSuffix(strings.TrimSpace(tag), ";")); err == nil {
		return v, nil
	} else if errors.Is(err, errRunaway) {
		return nil, err
	}
	if err := js.script(in, tag, "", 0); err == nil || errors.Is(err, errRunaway) {
		return goja.Undefined(), err
	}
	return js.vm.ToValue(strings.TrimSpace(tag)), nil
}
