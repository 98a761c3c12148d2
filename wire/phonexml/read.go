package phonexml

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of what is read.
const (
	MaxFile     = 1 << 20 // bytes
	maxDepth    = 24      // nested elements; files have 9
	maxElements = 20_000
	maxAttrs    = 16 // of one element
)

// A SyntaxError says where a file could not be read.
type SyntaxError struct {
	Offset int64 // in bytes
	What   string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("at byte %d: %s", e.Offset, e.What) }

// node is an element as it stands in the file.
type node struct {
	name  string
	attrs []xml.Attr
	text  string // trimmed; of a leaf
	kids  []*node
}

// reader builds the tree of a file within bounds.
type reader struct {
	dec   *xml.Decoder
	stack []*node
	text  strings.Builder
	count int
	root  *node
}

// tree reads a file. There are no entities but XML's own five: a document type declaration is refused, and a reference to
// anything else stays text. Prefixes need no declaration: files of the reference product use xsi: without one.
func tree(b []byte) (*node, error) {
	if len(b) > MaxFile {
		return nil, &SyntaxError{MaxFile, fmt.Sprintf("the file has %d bytes, at most %d are read", len(b), MaxFile)}
	}
	r := &reader{dec: xml.NewDecoder(bytes.NewReader(b))}
	r.dec.Strict = false // lets & and undeclared prefixes pass
	r.dec.CharsetReader = charset
	for {
		t, err := r.dec.RawToken()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, r.fail(err.Error())
		}
		if err := r.token(t); err != nil {
			return nil, err
		}
	}
	switch {
	case r.root == nil:
		return nil, r.fail("there is no element")
	case len(r.stack) > 0:
		return nil, r.fail("the file ends inside <" + r.stack[len(r.stack)-1].name + ">")
	}
	return r.root, nil
}

func (r *reader) fail(what string) error { return &SyntaxError{r.dec.InputOffset(), what} }

func (r *reader) token(t xml.Token) error {
	switch t := t.(type) {
	case xml.StartElement:
		return r.open(t)
	case xml.EndElement:
		return r.close(t.Name.Local)
	case xml.CharData:
		r.text.Write(t)
	case xml.Directive:
		return r.fail("a document type declaration: phones' files have none")
	}
	return nil
}

func (r *reader) open(t xml.StartElement) error {
	r.count++
	switch {
	case r.count > maxElements:
		return r.fail(fmt.Sprintf("more than %d elements", maxElements))
	case len(r.stack) >= maxDepth:
		return r.fail(fmt.Sprintf("elements nested deeper than %d", maxDepth))
	case len(t.Attr) > maxAttrs:
		return r.fail(fmt.Sprintf("more than %d attributes on one element", maxAttrs))
	case len(r.stack) == 0 && r.root != nil:
		return r.fail("a second element after the end of the first")
	}
	n := &node{name: t.Name.Local, attrs: append([]xml.Attr(nil), t.Attr...)}
	if len(r.stack) == 0 {
		r.root = n
	} else {
		parent := r.stack[len(r.stack)-1]
		parent.kids = append(parent.kids, n)
	}
	r.stack = append(r.stack, n)
	r.text.Reset()
	return nil
}

func (r *reader) close(name string) error {
	if len(r.stack) == 0 {
		return r.fail("</" + name + "> without its beginning")
	}
	n := r.stack[len(r.stack)-1]
	if n.name != name {
		return r.fail("</" + name + "> where </" + n.name + "> must stand")
	}
	if len(n.kids) == 0 {
		n.text = strings.TrimSpace(r.text.String())
	}
	r.text.Reset()
	r.stack = r.stack[:len(r.stack)-1]
	return nil
}

// charset reads the two encodings besides UTF-8 that such files are written in.
func charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "iso-8859-1", "latin1", "us-ascii", "windows-1252":
		b, err := io.ReadAll(io.LimitReader(in, MaxFile))
		if err != nil {
			return nil, err
		}
		out := make([]rune, len(b))
		for i, c := range b {
			out[i] = rune(c)
		}
		return strings.NewReader(string(out)), nil
	}
	return nil, fmt.Errorf("encoding %q: UTF-8 and ISO-8859-1 are read", label)
}

// kid is the first child of that name; nil when there is none, and kid of nil is nil.
func (n *node) kid(path ...string) *node {
	for _, name := range path {
		var next *node
		if n != nil {
			for _, k := range n.kids {
				if k.name == name {
					next = k
					break
				}
			}
		}
		n = next
	}
	return n
}

func (n *node) all(name string) (out []*node) {
	if n == nil {
		return nil
	}
	for _, k := range n.kids {
		if k.name == name {
			out = append(out, k)
		}
	}
	return out
}

func (n *node) str(path ...string) string {
	if k := n.kid(path...); k != nil {
		return k.text
	}
	return ""
}

// num reads a number; what is none, or outside 0 to 65535, counts as absent.
func (n *node) num(path ...string) int {
	v, err := strconv.ParseUint(n.str(path...), 10, 16)
	if err != nil {
		return 0
	}
	return int(v)
}

// enum reads a small number up to a largest value; others count as absent.
func (n *node) enum(largest int, path ...string) uint8 {
	if v := n.num(path...); v <= largest {
		return uint8(v)
	}
	return 0
}

// bool takes the spellings seen: true, 1, Yes.
func (n *node) bool(path ...string) bool {
	switch strings.ToLower(n.str(path...)) {
	case "true", "1", "yes", "enabled":
		return true
	}
	return false
}

func (n *node) attr(name string) int {
	for _, a := range n.attrs {
		if a.Name.Local == name {
			if v, err := strconv.ParseUint(a.Value, 10, 16); err == nil {
				return int(v)
			}
		}
	}
	return 0
}

// settings are the leaves of n that are not named otherwise.
func (n *node) settings(but ...string) (out Settings) {
	if n == nil {
		return nil
	}
next:
	for _, k := range n.kids {
		for _, name := range but {
			if k.name == name {
				continue next
			}
		}
		if len(k.kids) == 0 && validName(k.name) {
			out = append(out, Setting{k.name, k.text})
		}
	}
	return out
}
