package interpreter

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/dop251/goja"

	"github.com/locktone/locktone/wire/vxml"
)

func itoa(n int) string { return strconv.Itoa(n) }

// execution is one execution context (VoiceXML 2.0, section 2.3.4): the documents in force with their scopes. A subdialog has one of its own.
type execution struct {
	s           *session
	leaf, root  *page
	leafIn      *scope // document scope
	rootIn      *scope // application scope; of a document that is its own root, the document scope
	isSubdialog bool
	params      map[string]goja.Value // of the subdialog that waits for its first form
}

// run visits dialog after dialog until something else than a transition is wanted.
func (x *execution) run(to destination) error {
	for {
		err := x.visit(to)
		var next *toDialog
		if !errors.As(err, &next) {
			return err
		}
		to = next.to
	}
}

// visit enters the document if it is a new one, and runs one dialog.
func (x *execution) visit(to destination) error {
	if !to.same {
		if err := x.enter(to); err != nil {
			return err
		}
	}
	if to.dialog == nil {
		return x.s.exit(nil)
	}
	d := &dialog{x: x, elem: to.dialog, counts: counters{}}
	d.frame = &frame{x: x, d: d, scope: x.s.js.newScope(x.leafIn, "dialog")}
	err := d.open()
	if err == nil && to.input != nil {
		err = d.settle(nil, d.process(nil, to.input), d.elem)
	}
	if err != nil {
		if err = d.settle(nil, err, d.elem); err != nil {
			return err
		}
	}
	return d.interpret()
}

// enter makes a document the one in force. The application root stays when it is the same (1.5.2); a root that is entered as a document of
// its own begins anew unless one comes from a leaf of it.
func (x *execution) enter(to destination) error {
	comesFromLeaf := x.leaf != nil && x.leaf != x.root
	p := to.page
	if p.rootURL == "" {
		if comesFromLeaf && x.root.url == p.url {
			x.leaf, x.root, x.leafIn = p, p, x.rootIn
			return nil
		}
		in := x.s.js.newScope(x.s.scope, "application", "document")
		x.leaf, x.root, x.leafIn, x.rootIn = p, p, in, in
		return x.initialize(p, in)
	}
	if to.root != nil {
		x.leaf, x.root = to.root, to.root
		x.rootIn = x.s.js.newScope(x.s.scope, "application")
		x.leafIn = x.rootIn
		if err := x.initialize(to.root, x.rootIn); err != nil {
			return err
		}
	}
	x.leaf, x.leafIn = p, x.s.js.newScope(x.rootIn, "document")
	return x.initialize(p, x.leafIn)
}

// initialize runs what stands at the top of a document, in its order. Events in it are for the document's own handlers.
func (x *execution) initialize(p *page, in *scope) error {
	f := &frame{x: x, scope: in}
	for _, e := range p.tree.Elements() {
		if e.Name != "var" && e.Name != "script" && e.Name != "data" {
			continue
		}
		if err := f.element(e); err != nil {
			var ev *thrown
			if !errors.As(err, &ev) {
				return err
			}
			if err := f.handle(p.tree, counters{}, ev); err != nil {
				return err
			}
		}
	}
	return nil
}

// dialog is a form or a menu that is being visited.
type dialog struct {
	x      *execution
	elem   *vxml.Element
	frame  *frame // in the dialog scope
	items  []*formItem
	counts counters // form-level
	next   string   // of <goto nextitem>
	silent bool     // the last iteration ended in a handler without <reprompt/>
}

// formItem is an item of the form with what the form interpretation algorithm keeps of it. A menu is a form of one item.
type formItem struct {
	elem    *vxml.Element
	name    string
	prompts int // prompt counter
	counts  counters
	just    bool // filled by the last input
}

// open initializes the dialog (appendix C, initialization phase): form item variables, <var>, <script> in document order.
func (d *dialog) open() error {
	if d.elem.Name == "menu" {
		d.items = []*formItem{{elem: d.elem, name: "menu$", prompts: 1, counts: counters{}}}
		return d.frame.declare(d.elem, "menu$", goja.Undefined())
	}
	params := d.x.params
	d.x.params = nil
	for _, e := range d.elem.Elements() {
		switch e.Name {
		case "var":
			if value, given := params[e.Attr("name")]; given {
				delete(params, e.Attr("name"))
				if err := d.frame.declare(e, e.Attr("name"), value); err != nil {
					return err
				}
				continue
			}
			if err := d.frame.element(e); err != nil {
				return err
			}
		case "script", "data":
			if err := d.frame.element(e); err != nil {
				return err
			}
		case "block", "field", "initial", "object", "record", "subdialog", "transfer":
			if err := d.openItem(e); err != nil {
				return err
			}
		}
	}
	for name := range params {
		return d.x.leaf.throw(d.elem.At, eventSemantic, "the subdialog has no <var> for the parameter %q", name)
	}
	return nil
}

func (d *dialog) openItem(e *vxml.Element) error {
	item := &formItem{elem: e, name: e.Attr("name"), prompts: 1, counts: counters{}}
	if item.name == "" {
		item.name = "item" + itoa(len(d.items)) + "$"
	}
	if slices.ContainsFunc(d.items, func(o *formItem) bool { return o.name == item.name }) {
		return d.x.leaf.throw(e.At, eventBadFetch, "two form items are called %q", item.name)
	}
	d.items = append(d.items, item)
	value := goja.Undefined()
	if src, ok := e.Lookup("expr"); ok {
		var err error
		if value, err = d.frame.evaluate(e, src); err != nil {
			return err
		}
	}
	return d.frame.declare(e, item.name, value)
}

// interpret is the main loop of appendix C.
func (d *dialog) interpret() error {
	for {
		item, err := d.choose()
		if err == nil && item == nil {
			return d.x.s.exit(nil)
		}
		if err == nil {
			err = d.visitItem(item)
		}
		at := d.elem
		if item != nil {
			at = item.elem
		}
		if err = d.settle(item, err, at); err != nil {
			return err
		}
	}
}

// settle lets handlers handle what an iteration ended with. nil: the loop goes on.
func (d *dialog) settle(item *formItem, err error, at *vxml.Element) error {
	if err == nil {
		return nil
	}
	counts := d.counts
	var level *atForm
	if errors.As(err, &level) {
		err, item, at = level.err, nil, d.elem
	}
	if item != nil {
		counts = item.counts
	}
	var ev *thrown
	if errors.As(err, &ev) {
		d.silent = true
		d.frame.item = item
		err = d.frame.handle(at, counts, ev)
	}
	var jump *toItem
	if errors.As(err, &jump) {
		d.next = jump.name
		return nil
	}
	return err
}

// atForm marks an event of a form-level <filled>: it is counted and caught at the form.
type atForm struct{ err error }

func (a *atForm) Error() string { return a.err.Error() }

// choose is the select phase.
func (d *dialog) choose() (*formItem, error) {
	if err := d.x.s.step(d.x.leaf, d.elem.At); err != nil {
		return nil, err
	}
	if d.next != "" {
		name := d.next
		d.next = ""
		for _, item := range d.items {
			if item.name == name {
				return item, nil
			}
		}
	}
	for _, item := range d.items {
		if defined(d.value(item)) {
			continue
		}
		ok, err := d.frame.holds(item.elem)
		if err != nil {
			return item, err
		}
		if ok {
			return item, nil
		}
	}
	return nil, nil
}

func (d *dialog) value(item *formItem) goja.Value { return d.frame.scope.object.Get(item.name) }

func (d *dialog) fill(item *formItem, value goja.Value) error {
	item.just = true
	if err := d.x.s.js.assign(d.frame.scope, item.name, value); err != nil {
		return d.x.s.semantic(d.x.leaf, item.elem.At, 0, err)
	}
	return nil
}

// visitItem is the collect and process phase for one item.
func (d *dialog) visitItem(item *formItem) error {
	for _, other := range d.items {
		other.just = false
	}
	silent := d.silent
	d.silent, d.frame.item = false, item
	if !silent && item.elem.Name != "block" {
		if err := d.prompt(item); err != nil {
			return err
		}
	}
	switch item.elem.Name {
	case "block":
		if err := d.fill(item, d.x.s.js.vm.ToValue(true)); err != nil {
			return err
		}
		item.just = false
		return d.frame.within(d.x.s.js.newScope(d.frame.scope)).contents(item.elem.Children)
	case "record":
		return d.record(item)
	case "transfer":
		return d.transfer(item)
	case "subdialog":
		return d.subdialog(item)
	case "object":
		return d.x.leaf.throw(item.elem.At, "error.unsupported.object", "objects of the platform are not supported (classid %q)", item.elem.Attr("classid"))
	}
	input, err := d.collect(item)
	if err != nil {
		return err
	}
	return d.process(item, input)
}

// prompt selects and queues the prompts of an item (4.1.6), and counts.
func (d *dialog) prompt(item *formItem) error {
	type candidate struct {
		nodes []vxml.Node
		count int
	}
	var all []candidate
	best := 0
	f := d.frame.within(d.x.s.js.newScope(d.frame.scope))
	children := item.elem.Children
	for i := 0; i < len(children); {
		n := speech(children[i:])
		nodes := children[i : i+max(n, 1)]
		i += len(nodes)
		c := candidate{nodes: nodes, count: 1}
		if n == 0 {
			e := nodes[0].Element
			if e == nil || e.Name != "prompt" {
				continue
			}
			if c.count = count(e); c.count > item.prompts {
				continue
			}
			ok, err := f.holds(e)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
		} else if blank(nodes) {
			continue
		}
		all = append(all, c)
		best = max(best, c.count)
	}
	item.prompts++
	for _, c := range all {
		if c.count == best {
			if err := f.contents(c.nodes); err != nil {
				return err
			}
		}
	}
	return nil
}

// filled runs the <filled> actions after an input, in document order (appendix C, process phase).
func (d *dialog) filled() error {
	for _, e := range d.elem.Elements() {
		if e.Name == "filled" {
			if d.wanted(e) {
				if err := d.frame.within(d.x.s.js.newScope(d.frame.scope)).contents(e.Children); err != nil {
					return &atForm{err}
				}
			}
			continue
		}
		i := slices.IndexFunc(d.items, func(o *formItem) bool { return o.elem == e && o.just })
		if i < 0 {
			continue
		}
		for _, c := range e.Elements() {
			if c.Name == "filled" {
				d.frame.item = d.items[i]
				if err := d.frame.within(d.x.s.js.newScope(d.frame.scope)).contents(c.Children); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// wanted reports whether a form-level <filled> is to run: any or all of its items, at least one by this input.
func (d *dialog) wanted(e *vxml.Element) bool {
	names := strings.Fields(e.Attr("namelist"))
	just, all, any := false, true, false
	for _, item := range d.items {
		if item.elem.Name == "block" || item.elem.Name == "initial" || len(names) > 0 && !slices.Contains(names, item.name) {
			continue
		}
		just = just || item.just
		all = all && defined(d.value(item))
		any = true
	}
	return any && just && (all || e.Attr("mode") == "any")
}

// count reads the count attribute of a prompt or handler.
func count(e *vxml.Element) int {
	if n, err := strconv.Atoi(strings.TrimSpace(e.Attr("count"))); err == nil && n > 1 {
		return n
	}
	return 1
}

// holds evaluates the cond attribute.
func (f *frame) holds(e *vxml.Element) (bool, error) {
	src, ok := e.Lookup("cond")
	if !ok {
		return true, nil
	}
	yes, err := f.x.s.js.truth(f.scope, src)
	if err != nil {
		return false, f.x.s.semantic(f.x.leaf, e.At, 0, err)
	}
	return yes, nil
}
