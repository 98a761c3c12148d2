package vxml

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// Namespaces of the vocabularies read here.
const (
	Namespace        = "http://www.w3.org/2001/vxml"
	NamespaceGrammar = "http://www.w3.org/2001/06/grammar"
	NamespaceSSML    = "http://www.w3.org/2001/10/synthesis"
	namespaceXML     = "http://www.w3.org/XML/1998/namespace"
)

// Limits of what is parsed at all: beyond them lies no document that a person wrote.
const (
	MaxBytes    = 4 << 20 // of a document; callers bound what they fetch lower than this
	MaxDepth    = 128     // elements within elements
	MaxElements = 100_000
)

// A Position is where something stands in its document: line and column from 1 (column in bytes), offset from 0.
type Position struct{ Offset, Line, Column int }

// String gives LINE:COLUMN.
func (p Position) String() string { return fmt.Sprintf("%d:%d", p.Line, p.Column) }

// An Error is what is wrong with a document or a grammar, and where.
type Error struct {
	At  Position
	Err error
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.At, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func errorAt(at Position, format string, args ...any) *Error {
	return &Error{At: at, Err: fmt.Errorf(format, args...)}
}

// An Attribute as it stood in the document. Names of the XML namespace are "xml:lang" and "xml:base"; attributes of other namespaces are
// dropped.
type Attribute struct{ Name, Value string }

// An Element with all that is in it.
type Element struct {
	Name       string
	Space      string // namespace, as it was written
	Attributes []Attribute
	Children   []Node
	Parent     *Element
	At         Position
}

// A Node is an element, or text (Element nil).
type Node struct {
	Element *Element
	Text    string
	At      Position
}

// Lookup gives the value of an attribute, and whether it was there.
func (e *Element) Lookup(name string) (string, bool) {
	for _, a := range e.Attributes {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// Attr gives the value of an attribute, "" when it was not there.
func (e *Element) Attr(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Elements gives the children that are elements.
func (e *Element) Elements() []*Element {
	var out []*Element
	for _, n := range e.Children {
		if n.Element != nil {
			out = append(out, n.Element)
		}
	}
	return out
}

// Content gives all text in e and below, as it was written.
func (e *Element) Content() string {
	var b strings.Builder
	e.content(&b)
	return b.String()
}

func (e *Element) content(b *strings.Builder) {
	for _, n := range e.Children {
		if n.Element != nil {
			n.Element.content(b)
		} else {
			b.WriteString(n.Text)
		}
	}
}

// Parse reads any well-formed XML document within the limits, without judging what it says. External entities are not fetched and a
// document type is skipped; an entity that XML itself does not define is an error.
func Parse(src []byte) (*Element, error) {
	if len(src) > MaxBytes {
		return nil, errorAt(Position{Line: 1, Column: 1}, "the document has %d bytes; at most %d are read", len(src), MaxBytes)
	}
	src = fromUTF16(src)
	p := treeReader{in: xml.NewDecoder(bytes.NewReader(src))}
	p.in.CharsetReader = charset
	for {
		at := p.position()
		token, err := p.in.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &Error{At: p.position(), Err: fmt.Errorf("not well-formed XML: %w", err)}
		}
		if err := p.take(token, at); err != nil {
			return nil, err
		}
	}
	if p.root == nil {
		return nil, errorAt(p.position(), "the document has no element")
	}
	return p.root, nil
}

// treeReader builds the tree from tokens.
type treeReader struct {
	in    *xml.Decoder
	root  *Element
	open  []*Element
	count int
}

func (p *treeReader) position() Position {
	line, column := p.in.InputPos()
	return Position{Offset: int(p.in.InputOffset()), Line: line, Column: column}
}

func (p *treeReader) take(token xml.Token, at Position) error {
	switch token := token.(type) {
	case xml.StartElement:
		return p.start(token, at)
	case xml.EndElement:
		p.open = p.open[:len(p.open)-1]
	case xml.CharData:
		if len(p.open) == 0 {
			break // white space around the document element: the decoder lets nothing else pass, or it does not matter
		}
		in := p.open[len(p.open)-1]
		if n := len(in.Children); n > 0 && in.Children[n-1].Element == nil {
			in.Children[n-1].Text += string(token) // around a comment or CDATA section
		} else {
			in.Children = append(in.Children, Node{Text: string(token), At: at})
		}
	}
	return nil
}

func (p *treeReader) start(token xml.StartElement, at Position) error {
	e := &Element{Name: token.Name.Local, Space: token.Name.Space, At: at}
	for _, a := range token.Attr {
		switch a.Name.Space {
		case "":
			if a.Name.Local != "xmlns" {
				e.Attributes = append(e.Attributes, Attribute{a.Name.Local, a.Value})
			}
		case namespaceXML, "xml":
			e.Attributes = append(e.Attributes, Attribute{"xml:" + a.Name.Local, a.Value})
		}
	}
	if p.count++; p.count > MaxElements {
		return errorAt(at, "more than %d elements", MaxElements)
	}
	if len(p.open) >= MaxDepth {
		return errorAt(at, "elements are nested deeper than %d", MaxDepth)
	}
	switch {
	case len(p.open) > 0:
		e.Parent = p.open[len(p.open)-1]
		e.Parent.Children = append(e.Parent.Children, Node{Element: e, At: at})
	case p.root != nil:
		return errorAt(at, "a second document element <%s>", e.Name)
	default:
		p.root = e
	}
	p.open = append(p.open, e)
	return nil
}

// fromUTF16 turns a document with the byte order mark of UTF-16 into UTF-8, and drops that of UTF-8.
func fromUTF16(src []byte) []byte {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(src, []byte{0xEF, 0xBB, 0xBF}):
		return src[3:]
	case bytes.HasPrefix(src, []byte{0xFE, 0xFF}):
		order = binary.BigEndian
	case bytes.HasPrefix(src, []byte{0xFF, 0xFE}):
		order = binary.LittleEndian
	default:
		return src
	}
	units := make([]uint16, 0, len(src)/2)
	for rest := src[2:]; len(rest) >= 2; rest = rest[2:] {
		units = append(units, order.Uint16(rest))
	}
	return []byte(string(utf16.Decode(units)))
}

// charset decodes the encodings a document may declare beside UTF-8.
func charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "us-ascii", "ascii", "utf-16": // UTF-16 was turned into UTF-8 by its byte order mark
		return in, nil
	case "iso-8859-1", "latin1", "iso-8859-15", "windows-1252":
		return &latin1{in: in}, nil
	}
	return nil, fmt.Errorf("encoding %q is not known; UTF-8, UTF-16 and ISO-8859-1 are", label)
}

// latin1 gives ISO-8859-1 as UTF-8.
type latin1 struct {
	in   io.Reader
	rest []byte
}

func (l *latin1) Read(out []byte) (int, error) {
	for len(l.rest) == 0 {
		var raw [512]byte
		n, err := l.in.Read(raw[:])
		for _, c := range raw[:n] {
			l.rest = append(l.rest, string(rune(c))...)
		}
		if n == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(out, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}
