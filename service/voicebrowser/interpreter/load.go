package interpreter

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/locktone/locktone/wire/vxml"
)

// A page is one document that was loaded.
type page struct {
	url      string // without fragment
	base     *url.URL
	tree     *vxml.Element
	rootURL  string // application, resolved; "" for a document that is its own root
	grammars map[*vxml.Element]*vxml.Program
}

// destination is a dialog of a page, and the root of its application when that had to be loaded. dialog is nil in a document without dialogs.
type destination struct {
	page   *page
	root   *page // nil: the page is its own root, or the root in force stays
	dialog *vxml.Element
	same   bool   // a fragment alone: the document stays as it is
	input  *heard // input that is for the dialog: a grammar of it was active elsewhere
}

// request is a fetch of a document as an element asks for it.
type request struct {
	url              string
	method, encoding string
	form             []Variable
	maxAge, maxStale time.Duration
	timeout          time.Duration // 0: the platform's own
	audio            string
	delay, minimum   time.Duration
}

// dialogs lists forms and menus in their order.
func (p *page) dialogs() []*vxml.Element {
	var out []*vxml.Element
	for _, e := range p.tree.Elements() {
		if e.Name == "form" || e.Name == "menu" {
			out = append(out, e)
		}
	}
	return out
}

// dialog finds one by its id; "" is the first. found is false when there is none of this id.
func (p *page) dialog(id string) (e *vxml.Element, found bool) {
	all := p.dialogs()
	if id == "" {
		if len(all) > 0 {
			return all[0], true
		}
		return nil, true
	}
	for _, e := range all {
		if e.Attr("id") == id {
			return e, true
		}
	}
	return nil, false
}

// resolve makes a reference absolute. What is no URI stays as it is: the platform will say what it thinks of it.
func (p *page) resolve(reference string, base string) string {
	if p == nil {
		return reference
	}
	from := p.base
	if base != "" && from != nil {
		if b, err := from.Parse(base); err == nil {
			from = b
		}
	}
	if from == nil {
		return reference
	}
	u, err := from.Parse(strings.TrimSpace(reference))
	if err != nil {
		return reference
	}
	return u.String()
}

// find finds the dialog a transition leads to, and loads its document unless it is a fragment of the one in force. What fails is thrown where
// the transition stands (VoiceXML 2.0, section 5.3.7): the documents in force stay.
func (x *execution) find(r request, from *page, at vxml.Position) (destination, error) {
	reference, fragment, _ := strings.Cut(r.url, "#")
	to := destination{page: from, same: true}
	if reference != "" || from == nil {
		r.url = from.resolve(reference, "")
		p, err := x.load(r, from, at)
		if err != nil {
			return to, err
		}
		to = destination{page: p}
		if p.rootURL != "" && (x.root == nil || x.root.url != p.rootURL) {
			if to.root, err = x.load(x.rootRequest(p.rootURL), from, at); err != nil {
				return to, err
			}
			if to.root.rootURL != "" {
				return to, x.throwAt(from, at, eventSemantic, "%s is the root of an application and names an application itself", to.root.url)
			}
		}
	}
	dialog, found := to.page.dialog(fragment)
	if !found {
		return to, x.throwAt(from, at, eventBadFetch, "%s has no dialog %q", to.page.url, fragment)
	}
	to.dialog = dialog
	return to, nil
}

func (x *execution) rootRequest(url string) request {
	return request{url: url, maxAge: -1, maxStale: -1}
}

// load fetches and reads a document.
func (x *execution) load(r request, from *page, at vxml.Position) (*page, error) {
	if x.s.steps += x.s.limits.Steps / x.s.limits.Pages; x.s.steps > x.s.limits.Steps {
		return nil, x.s.runaway("documents lead to documents without waiting for the caller: " + r.url)
	}
	got, err := x.fetch(UseDocument, r, from, at)
	if err != nil {
		return nil, err
	}
	tree, err := vxml.ParseDocument(got.Body)
	if err != nil {
		return nil, x.throwAt(from, at, eventBadFetch, "%s:%v", got.URL, err)
	}
	p := newPage(got.URL, tree)
	seen := map[string]bool{}
	for _, e := range p.dialogs() {
		if id := e.Attr("id"); id != "" && seen[id] {
			return nil, x.throwAt(from, at, eventBadFetch, "%s: two dialogs are called %q", p.place(e.At), id)
		}
		seen[e.Attr("id")] = true
	}
	return p, nil
}

func newPage(address string, tree *vxml.Element) *page {
	p := &page{tree: tree, grammars: map[*vxml.Element]*vxml.Program{}}
	p.url, _, _ = strings.Cut(address, "#")
	p.base, _ = url.Parse(p.url)
	if base := tree.Attr("xml:base"); base != "" && p.base != nil {
		if b, err := p.base.Parse(base); err == nil {
			p.base = b
		}
	}
	if root := tree.Attr("application"); root != "" {
		p.rootURL, _, _ = strings.Cut(p.resolve(root, ""), "#")
	}
	return p
}

// throwAt is page.throw where there may be no page yet.
func (x *execution) throwAt(p *page, at vxml.Position, name, format string, args ...any) error {
	if p == nil { // before there is a document
		return &thrown{name: name, message: fmt.Sprintf(format, args...)}
	}
	return p.throw(at, name, format, args...)
}

// fetch fetches anything. What went wrong is an event (5.2.6): error.noauthorization, error.badfetch.http.NNN or error.badfetch.
func (x *execution) fetch(use Use, r request, from *page, at vxml.Position) (*Fetched, error) {
	if r.audio != "" {
		if err := x.s.flush(); err != nil {
			return nil, err
		}
	}
	out, err := x.s.do(Action{Fetch: &Fetch{Use: use, URL: r.url, Method: r.method, Encoding: r.encoding, Form: r.form, Timeout: max(r.timeout, 0), MaxAge: r.maxAge, MaxStale: r.maxStale,
		Audio: r.audio, Delay: r.delay, Minimum: r.minimum}})
	if err != nil {
		return nil, err
	}
	got := out.Fetched
	switch {
	case got == nil:
		return nil, x.throwAt(from, at, eventBadFetch, "%s: nothing was fetched", r.url)
	case got.Denied:
		return nil, x.throwAt(from, at, "error.noauthorization", "%s may not be fetched: %s", r.url, got.Failure)
	case got.Status == 0:
		return nil, x.throwAt(from, at, eventBadFetch, "%s: %s", r.url, got.Failure)
	case got.Status < 200 || got.Status > 299:
		return nil, x.throwAt(from, at, eventBadFetch+".http."+itoa(got.Status), "%s: status %d %s", r.url, got.Status, got.Failure)
	case len(got.Body) > x.s.limits.Document:
		return nil, x.throwAt(from, at, eventBadFetch, "%s has %d bytes; at most %d are read", r.url, len(got.Body), x.s.limits.Document)
	}
	if got.URL == "" {
		got.URL = r.url
	}
	return got, nil
}
