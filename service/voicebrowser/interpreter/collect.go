package interpreter

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

// active is a grammar that listens, and what it listens for: owner is the <field>, <choice>, <option>, <link>, <form>, <menu>, <initial>,
// <record> or <transfer> it belongs to.
type active struct {
	program *vxml.Program
	owner   *vxml.Element
}

// heard is what was typed, and the grammar that understood it.
type heard struct {
	active
	keys   string
	parse  *vxml.Parsed
	value  goja.Value // interpretation
	marked *Mark
}

// collect waits for input by the grammars that are active at an item.
func (d *dialog) collect(item *formItem) (*heard, error) {
	grammars, err := d.grammars(item)
	if err != nil {
		return nil, err
	}
	t, err := d.frame.timings(item.elem)
	if err != nil {
		return nil, err
	}
	if d.x.s.timeout >= 0 {
		t.timeout = d.x.s.timeout
	}
	s := d.x.s
	prompts := s.take()
	deaf := !d.hears(item)
	for i := range prompts {
		prompts[i].Barge = prompts[i].Barge && !deaf
	}
	if len(grammars) == 0 && !deaf && item.prompts <= 2 {
		if err := s.warn(d.x.leaf, item.elem.At, "no grammar for keys is active here: whatever the caller types is no match"); err != nil {
			return nil, err
		}
	}
	out, err := s.wait(Action{Play: &Play{Prompts: prompts, Collect: &Collect{Timeout: t.timeout}}})
	for {
		if err != nil {
			return nil, err
		}
		if out.Hangup {
			return nil, s.departed()
		}
		if out.Input == nil || out.Input.Digit == "" {
			return nil, &thrown{name: eventNoInput, message: d.x.leaf.place(item.elem.At) + ": the caller typed nothing"}
		}
		if deaf {
			out, err = s.wait(Action{Listen: &Listen{Wait: t.timeout, Rest: true}})
			continue
		}
		hotword := out.Input.Playing
		input, err2 := d.listen(grammars, out, t)
		if err2 == nil {
			return input, d.understood(input)
		}
		var ev *thrown
		if !hotword || !errors.As(err2, &ev) || ev.name != eventNoMatch {
			return nil, err2
		}
		out, err = s.wait(Action{Listen: &Listen{Wait: t.timeout, Rest: true}}) // a hotword prompt plays on: what is no match was not said
	}
}

// timings are the properties of appendix D.
type timings struct {
	timeout, interdigit, term time.Duration
	termchar                  string
}

func (f *frame) timings(e *vxml.Element) (t timings, err error) {
	if t.timeout, err = f.duration(e, "timeout"); err != nil {
		return t, err
	}
	if t.interdigit, err = f.duration(e, "interdigittimeout"); err != nil {
		return t, err
	}
	t.term, err = f.duration(e, "termtimeout")
	t.termchar, _ = f.property(e, "termchar")
	return t, err
}

// listen takes digits until the grammars have their match or can have none: appendix D, "Timing properties for DTMF grammars".
func (d *dialog) listen(grammars []active, out Outcome, t timings) (*heard, error) {
	s, matchers, playing := d.x.s, make([]*vxml.Matcher, len(grammars)), false
	for i, g := range grammars {
		matchers[i] = vxml.NewMatcher(g.program)
	}
	keys, marked := "", out.Mark
	for {
		key := out.Input.Digit
		playing = playing || out.Input.Playing
		alive, winner := push(matchers, key)
		if !alive && winner < 0 {
			if before := match(grammars, keys); key == t.termchar && before != nil { // the terminator is no part of the input
				return d.accept(before, marked, playing)
			}
			return nil, d.noMatch(keys + key)
		}
		keys += key
		wait := t.interdigit
		if !alive {
			if wait = t.term; wait == 0 || t.termchar == "" {
				return d.accept(match(grammars, keys), marked, playing)
			}
		}
		var err error
		if out, err = s.wait(Action{Listen: &Listen{Wait: wait}}); err != nil {
			return nil, err
		}
		switch {
		case out.Hangup:
			return nil, s.departed()
		case out.Input == nil || out.Input.Digit == "":
			if winner < 0 {
				return nil, d.noMatch(keys)
			}
			return d.accept(match(grammars, keys), marked, playing)
		case !alive && out.Input.Digit == t.termchar:
			return d.accept(match(grammars, keys), marked, playing)
		}
	}
}

// push gives a digit to all matchers. alive: some can take more; winner is the first that matches, -1 when none does.
func push(matchers []*vxml.Matcher, key string) (alive bool, winner int) {
	winner = -1
	for i, m := range matchers {
		status := m.Push(key[0])
		alive = alive || status == vxml.Partial || status == vxml.Complete
		if winner < 0 && (status == vxml.Complete || status == vxml.Final) {
			winner = i
		}
	}
	return alive, winner
}

// match finds the first grammar that understands the whole input.
func match(grammars []active, keys string) *heard {
	for _, g := range grammars {
		if keys == "" {
			break
		}
		if parse, _ := g.program.Match(keys); parse != nil {
			return &heard{active: g, keys: keys, parse: parse}
		}
	}
	return nil
}

func (d *dialog) accept(h *heard, marked *Mark, playing bool) (*heard, error) {
	h.marked = marked
	if playing {
		if _, err := d.x.s.do(Action{Stop: &Stop{}}); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (d *dialog) noMatch(keys string) error {
	return &thrown{name: eventNoMatch, message: "the keys " + keys + " match no grammar"}
}

// understood interprets an input and sets application.lastresult$ (5.1.5).
func (d *dialog) understood(h *heard) error {
	value, err := d.x.interpretation(h.parse)
	if err != nil {
		return d.x.s.semantic(d.x.leaf, h.owner.At, 0, err)
	}
	h.value = value
	js := d.x.s.js
	return d.x.set(h, func(o *goja.Object) error {
		for name, v := range map[string]any{"confidence": 1.0, "utterance": h.keys, "inputmode": "dtmf", "interpretation": value} {
			if err := o.Set(name, v); err != nil {
				return err
			}
		}
		if h.marked != nil {
			return errors.Join(o.Set("markname", js.vm.ToValue(h.marked.Name)), o.Set("marktime", js.vm.ToValue(h.marked.Time.Milliseconds())))
		}
		return nil
	})
}

// set makes lastresult$: an array of one result, which carries the result's properties itself as well.
func (x *execution) set(h *heard, fill func(*goja.Object) error) error {
	js := x.s.js
	err := js.guard(func() error {
		result := js.vm.NewObject()
		list := js.vm.NewArray(result)
		if err := errors.Join(fill(result), fill(list)); err != nil {
			return err
		}
		return x.rootIn.object.Set("lastresult$", list)
	})
	if err != nil {
		return x.s.semantic(x.leaf, h.owner.At, 0, err)
	}
	return nil
}

// hears reports whether keys are listened to at an item: property inputmodes.
func (d *dialog) hears(item *formItem) bool {
	modes, _ := d.frame.property(item.elem, "inputmodes")
	return slices.Contains(strings.Fields(modes), "dtmf")
}

// grammars lists what is active at an item (3.1.4), in order of precedence: the item's own, the form's, the document's, the application's.
func (d *dialog) grammars(item *formItem) ([]active, error) {
	if !d.hears(item) {
		return nil, nil
	}
	c := collector{d: d}
	if item.elem.Name != "initial" {
		c.item(item.elem)
	}
	if item.elem.Attr("modal") == "true" || item.elem.Name == "record" && item.elem.Attr("modal") != "false" {
		return c.out, c.err
	}
	if d.elem.Name == "form" {
		c.owned(d.elem)
		c.links(d.elem)
	}
	c.document(d.x.leaf, d.elem)
	if d.x.root != d.x.leaf {
		c.document(d.x.root, d.elem)
	}
	return c.out, c.err
}

// collector gathers active grammars; the first error ends it.
type collector struct {
	d   *dialog
	out []active
	err error
}

func (c *collector) add(program *vxml.Program, owner *vxml.Element, err error) {
	if c.err == nil {
		c.err = err
	}
	if program != nil {
		c.out = append(c.out, active{program, owner})
	}
}

// item adds the grammars of a form item: type, <grammar>, options, choices, links.
func (c *collector) item(e *vxml.Element) {
	if kind := e.Attr("type"); kind != "" && e.Name == "field" {
		program, err := c.d.x.builtin(e, kind)
		c.add(program, e, err)
	}
	c.owned(e)
	choices, err := c.d.frame.choices(e)
	c.add(nil, e, err)
	for _, choice := range choices {
		if choice.dtmf != "" {
			program, err := c.d.x.keys(choice.elem, choice.dtmf)
			c.add(program, choice.elem, err)
		}
		c.owned(choice.elem)
	}
	c.links(e)
}

// owned adds the <grammar> children.
func (c *collector) owned(e *vxml.Element) {
	for _, g := range e.Elements() {
		if g.Name == "grammar" && c.err == nil {
			program, err := c.d.frame.grammar(g)
			c.add(program, e, err)
		}
	}
}

func (c *collector) links(e *vxml.Element) {
	for _, l := range e.Elements() {
		if l.Name != "link" {
			continue
		}
		if keys := strings.Join(strings.Fields(l.Attr("dtmf")), ""); keys != "" {
			program, err := c.d.x.keys(l, keys)
			c.add(program, l, err)
		}
		c.owned(l)
	}
}

// document adds links of a document, and forms and menus of it that listen beyond themselves (scope="document").
func (c *collector) document(p *page, current *vxml.Element) {
	c.links(p.tree)
	for _, e := range p.dialogs() {
		if e == current {
			continue
		}
		wide := e.Attr("scope") == "document"
		if e.Name == "menu" && wide {
			c.item(e)
		}
		if e.Name != "form" {
			continue
		}
		for _, g := range e.Elements() {
			if g.Name == "grammar" && (wide || g.Attr("scope") == "document") && c.err == nil {
				program, err := c.d.frame.grammar(g)
				c.add(program, e, err)
			}
		}
	}
}

// process does with an input what its owner says (appendix C, process phase).
func (d *dialog) process(item *formItem, h *heard) error {
	switch h.owner.Name {
	case "link", "choice":
		return d.follow(h.owner)
	case "option":
		return d.chosen(item, h)
	case "form", "menu":
		if h.owner != d.elem {
			return d.elsewhere(h)
		}
		return d.mixed(h)
	}
	if item == nil {
		return nil
	}
	value := h.value
	if o, ok := value.(*goja.Object); ok { // the slot of the field, if the result has one; else all of it (3.1.6)
		slot := item.elem.Attr("slot")
		if slot == "" {
			slot = item.name
		}
		if v := property(o, slot); v != nil {
			value = v
		}
	}
	if err := errors.Join(d.fill(item, value), d.shadow(item, h), d.begun()); err != nil {
		return err
	}
	return d.filled()
}

// begun sets all <initial> items: an input item was filled by an utterance (appendix C).
func (d *dialog) begun() error {
	for _, item := range d.items {
		if item.elem.Name == "initial" {
			if err := d.fill(item, d.x.s.js.vm.ToValue(true)); err != nil {
				return err
			}
		}
	}
	return nil
}

// property reads a property by a path of names; nil when there is none.
func property(o *goja.Object, path string) goja.Value {
	for {
		name, rest, more := strings.Cut(path, ".")
		v := o.Get(name)
		if !more || v == nil {
			return v
		}
		next, ok := v.(*goja.Object)
		if !ok {
			return nil
		}
		o, path = next, rest
	}
}

// shadow sets NAME$ of a field (2.3.1).
func (d *dialog) shadow(item *formItem, h *heard) error {
	js := d.x.s.js
	o := js.vm.NewObject()
	for name, v := range map[string]any{"utterance": h.keys, "inputmode": "dtmf", "confidence": 1.0, "interpretation": h.value} {
		if err := o.Set(name, v); err != nil {
			return err
		}
	}
	return d.frame.declare(item.elem, item.name+"$", o)
}

// follow goes where a link or a choice leads: exactly one of next, expr, event, eventexpr.
func (d *dialog) follow(e *vxml.Element) error {
	_, next := e.Lookup("next")
	_, expr := e.Lookup("expr")
	if next || expr {
		address, _, err := d.frame.oneOf(e, "next", "expr", false)
		if err != nil {
			return err
		}
		if _, ok := e.Lookup("event"); ok {
			return d.x.leaf.throw(e.At, eventBadFetch, "<%s> has both a place to go to and an event", e.Name)
		}
		if p := d.x.pageOf(e); p != d.x.leaf {
			address = p.resolve(address, "") // a link of the application root means what it meant there
		}
		return d.frame.transit(e, address)
	}
	ev, err := d.frame.event(e)
	if err != nil {
		return err
	}
	return ev
}

// chosen fills a field with the value of an option: its value attribute, else its text, else its keys (2.3.1.3).
func (d *dialog) chosen(item *formItem, h *heard) error {
	text := strings.Join(strings.Fields(h.owner.Content()), " ")
	if v, ok := h.owner.Lookup("value"); ok {
		text = v
	} else if text == "" {
		text = h.keys
	}
	h.value = d.x.s.js.vm.ToValue(text)
	if err := errors.Join(d.fill(item, h.value), d.shadow(item, h), d.begun()); err != nil {
		return err
	}
	return d.filled()
}

// elsewhere goes to the form whose grammar was matched, and takes the input along.
func (d *dialog) elsewhere(h *heard) error {
	to := destination{page: d.x.leaf, dialog: h.owner, same: true, input: h}
	for e := h.owner; e != nil; e = e.Parent {
		if e == d.x.root.tree && d.x.root != d.x.leaf {
			to.page, to.same = d.x.root, false // a form of the application root: the root becomes the document
		}
	}
	return &toDialog{to}
}

// mixed fills the items of a form by an input that matched a grammar of the form: each by its slot (3.1.6).
func (d *dialog) mixed(h *heard) error {
	any := false
	for _, item := range d.items {
		item.just = false
	}
	if o, ok := h.value.(*goja.Object); ok {
		for _, item := range d.items {
			if item.elem.Name != "field" {
				continue
			}
			slot := item.elem.Attr("slot")
			if slot == "" {
				slot = item.name
			}
			if v := property(o, slot); defined(v) {
				if err := errors.Join(d.fill(item, v), d.shadow(item, h)); err != nil {
					return err
				}
				any = true
			}
		}
	}
	if any {
		if err := d.begun(); err != nil {
			return err
		}
	}
	return d.filled()
}
