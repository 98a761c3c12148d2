package interpreter

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

// frame is the place executable content runs at: a scope, in a dialog (nil while a document is initialized), at an item (nil at the dialog's
// own level).
type frame struct {
	x     *execution
	d     *dialog
	item  *formItem
	scope *scope
}

// within gives the same place with another scope.
func (f *frame) within(in *scope) *frame {
	inner := *f
	inner.scope = in
	return &inner
}

func (f *frame) reprompt() {
	if f.d != nil {
		f.d.silent = false
	}
}

// evaluate evaluates an expression of e.
func (f *frame) evaluate(e *vxml.Element, src string) (goja.Value, error) {
	v, err := f.x.s.js.expression(f.scope, src)
	if err != nil {
		return nil, f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	return v, nil
}

// evaluateText evaluates an expression of e to a string.
func (f *frame) evaluateText(e *vxml.Element, src string) (string, error) {
	v, err := f.evaluate(e, src)
	if err != nil {
		return "", err
	}
	return f.text(e, v)
}

func (f *frame) text(e *vxml.Element, v goja.Value) (string, error) {
	text, err := f.x.s.js.text(v)
	if err != nil {
		return "", f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	return text, nil
}

func (f *frame) declare(e *vxml.Element, name string, value goja.Value) error {
	if err := f.x.s.js.declare(f.scope, name, value); err != nil {
		return f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	return nil
}

// oneOf gives the value of whichever of a plain attribute and an expression is there. There must be exactly one, else error.badfetch
// (as the specification says of each such pair); optional lets there be none.
func (f *frame) oneOf(e *vxml.Element, plain, expr string, optional bool) (value string, ok bool, err error) {
	p, hasPlain := e.Lookup(plain)
	src, hasExpr := e.Lookup(expr)
	switch {
	case hasPlain && hasExpr:
		return "", false, f.x.leaf.throw(e.At, eventBadFetch, "<%s> has both %s and %s", e.Name, plain, expr)
	case hasExpr:
		value, err = f.evaluateText(e, src)
		return value, err == nil, err
	case !hasPlain && !optional:
		return "", false, f.x.leaf.throw(e.At, eventBadFetch, "<%s> needs %s or %s", e.Name, plain, expr)
	}
	return p, hasPlain, nil
}

// contents runs executable content. Speech that stands free in it is a prompt.
func (f *frame) contents(nodes []vxml.Node) error {
	for i := 0; i < len(nodes); {
		if n := speech(nodes[i:]); n > 0 {
			if !blank(nodes[i : i+n]) {
				if err := f.speak(nil, nodes[i:i+n]); err != nil {
					return err
				}
			}
			i += n
			continue
		}
		if e := nodes[i].Element; e != nil {
			if err := f.element(e); err != nil {
				return err
			}
		}
		i++
	}
	return nil
}

// element runs one element.
func (f *frame) element(e *vxml.Element) error {
	if err := f.x.s.step(f.x.leaf, e.At); err != nil {
		return err
	}
	switch e.Name {
	case "var":
		return f.variable(e)
	case "assign":
		return f.assignment(e)
	case "clear":
		return f.clear(e)
	case "if":
		return f.branch(e)
	case "foreach":
		return f.loop(e, func() error { return f.contents(e.Children) })
	case "script":
		return f.script(e)
	case "data":
		return f.data(e)
	case "prompt":
		return f.promptElement(e)
	case "reprompt":
		f.reprompt()
		return nil
	case "log":
		return f.log(e)
	}
	return f.leave(e)
}

// leave runs an element that ends the content it stands in.
func (f *frame) leave(e *vxml.Element) error {
	switch e.Name {
	case "throw":
		ev, err := f.event(e)
		if err != nil {
			return err
		}
		return ev
	case "goto":
		return f.jump(e)
	case "submit":
		return f.submit(e)
	case "exit":
		return f.exit(e)
	case "return":
		return f.giveBack(e)
	case "disconnect":
		return f.disconnect(e)
	}
	return nil // property, grammar, filled ...: not executable
}

func (f *frame) variable(e *vxml.Element) error {
	value := goja.Undefined()
	src, has := e.Lookup("expr")
	if has {
		var err error
		if value, err = f.evaluate(e, src); err != nil {
			return err
		}
	} else if have := f.scope.object.Get(e.Attr("name")); have != nil {
		return nil // declared again without a value: it keeps what it has
	}
	return f.declare(e, e.Attr("name"), value)
}

func (f *frame) assignment(e *vxml.Element) error {
	value, err := f.evaluate(e, e.Attr("expr"))
	if err != nil {
		return err
	}
	if err := f.x.s.js.assign(f.scope, e.Attr("name"), value); err != nil {
		return f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	return nil
}

// clear sets variables to undefined, and form items back to not yet visited: 5.3.3.
func (f *frame) clear(e *vxml.Element) error {
	names := strings.Fields(e.Attr("namelist"))
	if _, given := e.Lookup("namelist"); !given && f.d != nil {
		for _, item := range f.d.items {
			names = append(names, item.name)
		}
	}
	for _, name := range names {
		if err := f.x.s.js.assign(f.scope, name, goja.Undefined()); err != nil {
			return f.x.s.semantic(f.x.leaf, e.At, 0, err)
		}
		if f.d == nil {
			continue
		}
		for _, item := range f.d.items {
			if item.name == name {
				item.prompts, item.counts = 1, counters{}
			}
		}
	}
	return nil
}

// branch runs <if>: elseif and else stand as empty elements between what belongs to them.
func (f *frame) branch(e *vxml.Element) error {
	start, taken, err := 0, false, error(nil)
	if taken, err = f.holds(e); err != nil {
		return err
	}
	for i, n := range e.Children {
		if n.Element == nil || n.Element.Name != "elseif" && n.Element.Name != "else" {
			continue
		}
		if taken {
			return f.contents(e.Children[start:i])
		}
		start = i + 1
		if taken, err = f.holds(n.Element); err != nil {
			return err
		}
	}
	if taken {
		return f.contents(e.Children[start:])
	}
	return nil
}

// loop runs body for each member of an array (VoiceXML 2.1, section 6), over a shallow copy.
func (f *frame) loop(e *vxml.Element, body func() error) error {
	value, err := f.evaluate(e, e.Attr("array"))
	if err != nil {
		return err
	}
	list, ok := value.(*goja.Object)
	if !ok || list.ClassName() != "Array" {
		return f.x.leaf.throw(e.At, eventSemantic, "<foreach>: array %q is no array", e.Attr("array"))
	}
	var members []goja.Value
	err = f.x.s.js.guard(func() error {
		n := int(list.Get("length").ToInteger())
		if n > f.x.s.limits.Steps {
			return errors.New("the array has more members than may be gone through")
		}
		for i := range n {
			members = append(members, list.Get(itoa(i)))
		}
		return nil
	})
	if err != nil {
		return f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	for _, m := range members {
		if err := f.x.s.step(f.x.leaf, e.At); err != nil {
			return err
		}
		if m == nil {
			m = goja.Undefined()
		}
		if name, ok := e.Lookup("item"); ok {
			if err := f.declare(e, name, m); err != nil {
				return err
			}
		}
		if err := body(); err != nil {
			return err
		}
	}
	return nil
}

func (f *frame) script(e *vxml.Element) error {
	content, origin, line := e.Content(), f.x.leaf.url, e.At.Line
	if len(e.Children) > 0 {
		line = e.Children[0].At.Line
	}
	address, external, err := f.oneOf(e, "src", "srcexpr", true)
	if err != nil {
		return err
	}
	if !external && strings.TrimSpace(content) == "" {
		return nil
	}
	if external {
		r, err := f.request(e, f.x.leaf.resolve(address, ""), "script")
		if err != nil {
			return err
		}
		got, err := f.x.fetch(UseScript, r, f.x.leaf, e.At)
		if err != nil {
			return err
		}
		content, origin, line = string(got.Body), got.URL, 1
	}
	if err := f.x.s.js.script(f.scope, content, origin, line); err != nil {
		return f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	return nil
}

func (f *frame) log(e *vxml.Element) error {
	var text strings.Builder
	if src, ok := e.Lookup("expr"); ok {
		value, err := f.evaluateText(e, src)
		if err != nil {
			return err
		}
		text.WriteString(value)
	}
	pieces, err := f.pieces(e.Children, Say{}, speechContext{})
	if err != nil {
		return err
	}
	for _, p := range pieces {
		text.WriteString(" " + p.Text)
	}
	_, err = f.x.s.do(Action{Log: &Log{Label: e.Attr("label"), Text: strings.TrimSpace(text.String()), At: f.x.leaf.place(e.At)}})
	return err
}

// event reads the event of <throw>, <return>, <choice> and <link>.
func (f *frame) event(e *vxml.Element) (*thrown, error) {
	name, _, err := f.oneOf(e, "event", "eventexpr", false)
	if err != nil {
		return nil, err
	}
	message, _, err := f.oneOf(e, "message", "messageexpr", true)
	if err != nil {
		return nil, err
	}
	return &thrown{name: name, message: message, at: f.x.leaf.place(e.At)}, nil
}

// jump runs <goto>: exactly one of next, expr, nextitem, expritem.
func (f *frame) jump(e *vxml.Element) error {
	var have []string
	for _, name := range []string{"next", "expr", "nextitem", "expritem"} {
		if _, ok := e.Lookup(name); ok {
			have = append(have, name)
		}
	}
	if len(have) != 1 {
		return f.x.leaf.throw(e.At, eventBadFetch, "<goto> needs exactly one of next, expr, nextitem and expritem; it has %d", len(have))
	}
	if strings.HasSuffix(have[0], "item") {
		name, _, err := f.oneOf(e, "nextitem", "expritem", false)
		if err != nil {
			return err
		}
		if f.d == nil || !slices.ContainsFunc(f.d.items, func(o *formItem) bool { return o.name == name && o.elem.Name != "menu" }) {
			return f.x.leaf.throw(e.At, eventBadFetch, "there is no form item %q here", name)
		}
		return &toItem{name}
	}
	address, _, err := f.oneOf(e, "next", "expr", false)
	if err != nil {
		return err
	}
	return f.transit(e, address)
}

// transit goes to a dialog at an address.
func (f *frame) transit(e *vxml.Element, address string) error {
	r, err := f.request(e, address, "document")
	if err != nil {
		return err
	}
	to, err := f.x.find(r, f.x.leaf, e.At)
	if err != nil {
		return err
	}
	return &toDialog{to}
}

// request reads the fetch attributes of e, and the properties behind them (6.1.1). kind is document, script, grammar, data or audio.
func (f *frame) request(e *vxml.Element, address, kind string) (request, error) {
	r := request{url: address, maxAge: -1, maxStale: -1}
	read := func(attribute, property string) (time.Duration, bool, error) {
		text, ok := e.Lookup(attribute)
		if !ok {
			text, ok = f.property(e, property)
		}
		if !ok || text == "" {
			return 0, false, nil
		}
		if strings.HasPrefix(attribute, "max") { // seconds without a unit
			n, err := strconv.ParseUint(strings.TrimSuffix(text, "s"), 10, 31)
			if err != nil {
				return 0, false, f.x.leaf.throw(e.At, eventSemantic, "%s %q is no number of seconds", attribute, text)
			}
			return time.Duration(n) * time.Second, true, nil
		}
		d, err := vxml.ParseDuration(text)
		if err != nil {
			return 0, false, f.x.leaf.throw(e.At, eventSemantic, "%s: %v", attribute, err)
		}
		return d, true, nil
	}
	for _, item := range []struct {
		attribute, property string
		to                  *time.Duration
	}{{"maxage", kind + "maxage", &r.maxAge}, {"maxstale", kind + "maxstale", &r.maxStale}, {"fetchtimeout", "fetchtimeout", &r.timeout},
		{"fetchaudiodelay", "fetchaudiodelay", &r.delay}, {"fetchaudiominimum", "fetchaudiominimum", &r.minimum}} {
		d, ok, err := read(item.attribute, item.property)
		if err != nil {
			return r, err
		}
		if ok {
			*item.to = d
		}
	}
	if kind == "document" || kind == "data" {
		audio, ok := e.Lookup("fetchaudio")
		if !ok {
			audio, _ = f.property(e, "fetchaudio")
		}
		if audio != "" {
			r.audio = f.x.leaf.resolve(audio, "")
		}
	}
	return r, nil
}

// submit runs <submit>.
func (f *frame) submit(e *vxml.Element) error {
	address, _, err := f.oneOf(e, "next", "expr", false)
	if err != nil {
		return err
	}
	names := strings.Fields(e.Attr("namelist"))
	if _, given := e.Lookup("namelist"); !given && f.d != nil { // all named input items
		for _, item := range f.d.items {
			if item.elem.Name != "block" && item.elem.Name != "initial" && item.elem.Attr("name") != "" {
				names = append(names, item.name)
			}
		}
	}
	r, err := f.requestWith(e, address, "document", names)
	if err != nil {
		return err
	}
	if strings.HasPrefix(r.url, "#") {
		r.url = f.x.leaf.url + r.url // a submit always fetches
	}
	to, err := f.x.find(r, f.x.leaf, e.At)
	if err != nil {
		return err
	}
	return &toDialog{to}
}

// requestWith is request with variables that go along: in the query of a GET, as the body of a POST.
func (f *frame) requestWith(e *vxml.Element, address, kind string, names []string) (request, error) {
	r, err := f.request(e, address, kind)
	if err != nil {
		return r, err
	}
	form, err := f.values(e, names, true)
	if err != nil {
		return r, err
	}
	if strings.EqualFold(e.Attr("method"), "post") {
		r.method, r.form, r.encoding = "POST", form, e.Attr("enctype")
		if r.encoding == "" {
			r.encoding = "application/x-www-form-urlencoded"
			if slices.ContainsFunc(form, func(v Variable) bool { return v.Recording != "" }) {
				r.encoding = "multipart/form-data"
			}
		}
		return r, nil
	}
	if len(form) == 0 {
		return r, nil
	}
	plain, fragment, hasFragment := strings.Cut(r.url, "#")
	var query []string
	for _, v := range form {
		query = append(query, url.QueryEscape(v.Name)+"="+url.QueryEscape(v.Value))
	}
	separator := "?"
	if strings.Contains(plain, "?") {
		separator = "&"
	}
	if r.url = plain + separator + strings.Join(query, "&"); hasFragment {
		r.url += "#" + fragment
	}
	return r, nil
}

// values evaluates a namelist. With flat, an object becomes one variable per property, NAME.PROPERTY: what forms can carry.
func (f *frame) values(e *vxml.Element, names []string, flat bool) ([]Variable, error) {
	var out []Variable
	for _, name := range names {
		value, err := f.evaluate(e, name)
		if err != nil {
			return nil, err
		}
		if out, err = f.value(e, out, name, value, flat, 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// maxSubmitted bounds the variables one submit carries, maxNested the objects within objects.
const (
	maxSubmitted = 1_000
	maxNested    = 8
)

func (f *frame) value(e *vxml.Element, out []Variable, name string, value goja.Value, flat bool, depth int) ([]Variable, error) {
	if len(out) >= maxSubmitted || depth > maxNested {
		return nil, f.x.leaf.throw(e.At, eventSemantic, "%s has too many values to be sent", name)
	}
	object, isObject := value.(*goja.Object)
	if isObject {
		if reference, ok := f.x.s.recordings[object]; ok {
			return append(out, Variable{Name: name, Recording: reference}), nil
		}
	}
	if isObject && flat && (object.ClassName() == "Object" || object.ClassName() == "Array") {
		for _, key := range object.Keys() {
			var member goja.Value
			err := f.x.s.js.guard(func() error { member = object.Get(key); return nil })
			if err != nil {
				return nil, f.x.s.semantic(f.x.leaf, e.At, 0, err)
			}
			if out, err = f.value(e, out, name+"."+key, member, flat, depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	if !defined(value) {
		return out, nil
	}
	text, err := f.x.s.js.outward(value)
	if err != nil {
		return nil, f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	return append(out, Variable{Name: name, Value: text}), nil
}

func (f *frame) exit(e *vxml.Element) error {
	src, hasExpr := e.Lookup("expr")
	names, hasNames := e.Lookup("namelist")
	if hasExpr && hasNames {
		return f.x.leaf.throw(e.At, eventBadFetch, "<exit> has both expr and namelist")
	}
	values, err := f.values(e, strings.Fields(names), false)
	if err != nil {
		return err
	}
	if hasExpr {
		value, err := f.evaluate(e, src)
		if err != nil {
			return err
		}
		if values, err = f.value(e, values, "", value, false, 0); err != nil {
			return err
		}
	}
	return f.x.s.exit(values)
}

// giveBack runs <return>.
func (f *frame) giveBack(e *vxml.Element) error {
	if !f.x.isSubdialog {
		return f.x.leaf.throw(e.At, eventSemantic, "<return> outside of a subdialog")
	}
	_, hasEvent := e.Lookup("event")
	_, hasExpr := e.Lookup("eventexpr")
	names, hasNames := e.Lookup("namelist")
	if hasNames && (hasEvent || hasExpr) {
		return f.x.leaf.throw(e.At, eventBadFetch, "<return> has both an event and a namelist")
	}
	if hasEvent || hasExpr {
		ev, err := f.event(e)
		if err != nil {
			return err
		}
		return &toCaller{event: ev}
	}
	out := f.x.s.js.vm.NewObject()
	for _, name := range strings.Fields(names) {
		value, err := f.evaluate(e, name)
		if err != nil {
			return err
		}
		last := name[strings.LastIndexByte(name, '.')+1:]
		if err := out.Set(last, value); err != nil {
			return f.x.s.semantic(f.x.leaf, e.At, 0, err)
		}
	}
	return &toCaller{values: out}
}

// disconnect hangs up; what remains to be done is for the handlers of connection.disconnect.hangup (5.3.11).
func (f *frame) disconnect(e *vxml.Element) error {
	values, err := f.values(e, strings.Fields(e.Attr("namelist")), false)
	if err != nil {
		return err
	}
	s := f.x.s
	if s.gone == "" {
		if _, err := s.do(Action{Disconnect: &Disconnect{Prompts: s.take(), Values: values}}); err != nil {
			return err
		}
		s.gone, s.untold = Disconnected, false
	}
	return &thrown{name: eventHangup, message: f.x.leaf.place(e.At) + ": <disconnect>"}
}
