package vxml

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// New begins a document to be written: <vxml version="2.1">, with further attributes as name, value pairs.
func New(attributes ...string) *Element {
	return NewElement("vxml", append([]string{"version", "2.1"}, attributes...)...)
}

// NewElement makes an element. Attributes are name, value pairs; a pair with an empty value is left out, so that an attribute that is not
// wanted needs no if.
func NewElement(name string, attributes ...string) *Element {
	e := &Element{Name: name}
	for i := 0; i+1 < len(attributes); i += 2 {
		if attributes[i+1] != "" {
			e.Attributes = append(e.Attributes, Attribute{attributes[i], attributes[i+1]})
		}
	}
	return e
}

// Add appends a new element to e and gives it back, to be filled in turn.
func (e *Element) Add(name string, attributes ...string) *Element {
	child := NewElement(name, attributes...)
	e.Append(child)
	return child
}

// Append appends an element that was made before, and gives back e.
func (e *Element) Append(child *Element) *Element {
	child.Parent = e
	e.Children = append(e.Children, Node{Element: child})
	return e
}

// Write appends text, which is escaped when the document is encoded, and gives back e.
func (e *Element) Write(text string) *Element {
	e.Children = append(e.Children, Node{Text: text})
	return e
}

// Encode gives the document as UTF-8, judged by Vocabulary first: what is written can be read. Characters that XML cannot carry become U+FFFD.
func (e *Element) Encode() ([]byte, error) {
	if err := judge(e); err != nil {
		return nil, err
	}
	return e.XML(), nil
}

// XML gives the element as a document of its own, unjudged.
func (e *Element) XML() []byte {
	var b bytes.Buffer
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	e.encode(&b, e.Name == "vxml")
	b.WriteByte('\n')
	return b.Bytes()
}

func (e *Element) encode(b *bytes.Buffer, root bool) {
	b.WriteByte('<')
	b.WriteString(e.Name)
	if root {
		b.WriteString(` xmlns="` + Namespace + `"`)
	}
	for _, a := range e.Attributes {
		b.WriteString(" " + a.Name + `="` + escape(a.Value, true) + `"`)
	}
	if len(e.Children) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteByte('>')
	for _, n := range e.Children {
		if n.Element != nil {
			n.Element.encode(b, false)
		} else {
			b.WriteString(escape(n.Text, false))
		}
	}
	b.WriteString("</" + e.Name + ">")
}

// escape makes text fit for an attribute in double quotes, or for content, where line ends may stand as they are.
func escape(s string, attribute bool) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '&':
			b.WriteString("&amp;")
		case r == '"':
			b.WriteString("&#34;")
		case (r == '\n' || r == '\t') && !attribute:
			b.WriteRune(r)
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteString(map[rune]string{'\n': "&#10;", '\t': "&#9;", '\r': "&#13;"}[r])
		case r < 0x20 || r == 0xFFFE || r == 0xFFFF:
			b.WriteRune(utf8.RuneError)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Quote gives s as an ECMAScript string literal in single quotes: for attributes that take an expression (expr, cond).
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x2028 || r == 0x2029 || r == '<':
			const hex = "0123456789abcdef"
			b.WriteString(`\u`)
			for shift := 12; shift >= 0; shift -= 4 {
				b.WriteByte(hex[r>>shift&15])
			}
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}
