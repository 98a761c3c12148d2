package expression

import "strings"

// A Template is text with expressions in braces: "You are number {position}." A brace itself is written {{ or }}.
type Template struct {
	source string
	pieces []piece
}

type piece struct {
	text string
	expr *Expression // nil: text alone
}

// ParseTemplate reads a template. The error is an *Error.
func ParseTemplate(source string, known Known) (*Template, error) {
	t := &Template{source: source}
	var plain strings.Builder
	for i := 0; i < len(source); {
		switch rest := source[i:]; {
		case strings.HasPrefix(rest, "{{"), strings.HasPrefix(rest, "}}"):
			plain.WriteByte(rest[0])
			i += 2
		case rest[0] == '}':
			return nil, &Error{Offset: i, Problem: "a } without its {; write }} for the sign itself"}
		case rest[0] == '{':
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return nil, &Error{Offset: i, Problem: "a { without its }; write {{ for the sign itself"}
			}
			e, err := Parse(rest[1:end], known)
			if err != nil {
				x := *err.(*Error)
				x.Offset += i + 1
				return nil, &x
			}
			t.pieces = append(t.pieces, piece{text: plain.String()}, piece{expr: e})
			plain.Reset()
			i += end + 1
		default:
			plain.WriteByte(rest[0])
			i++
		}
	}
	t.pieces = append(t.pieces, piece{text: plain.String()})
	return t, nil
}

// Fill is the text with every expression's value in its place.
func (t *Template) Fill(env Env) string {
	if t == nil {
		return ""
	}
	var b strings.Builder
	for _, p := range t.pieces {
		b.WriteString(p.text)
		if p.expr != nil {
			b.WriteString(p.expr.Value(env).String())
		}
	}
	return b.String()
}

// Expressions are those of the template.
func (t *Template) Expressions() []*Expression {
	var out []*Expression
	for _, p := range t.pieces {
		if p.expr != nil {
			out = append(out, p.expr)
		}
	}
	return out
}

// String is the template as it was written.
func (t *Template) String() string {
	if t == nil {
		return ""
	}
	return t.source
}
