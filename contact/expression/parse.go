package expression

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Parse reads an expression. The error is an *Error.
func Parse(source string, known Known) (*Expression, error) {
	p := &parser{src: source, known: known, out: &Expression{source: source}}
	if len(source) > MaxLength {
		return nil, &Error{Offset: MaxLength, Problem: fmt.Sprintf("it is longer than %d characters", MaxLength)}
	}
	p.next()
	root := p.or()
	if p.err == nil && p.tok != "" {
		p.fail("%q is too much here", p.tok)
	}
	if p.err != nil {
		return nil, p.err
	}
	p.out.root = root
	return p.out, nil
}

type parser struct {
	src   string
	pos   int    // behind tok
	at    int    // of tok
	tok   string // empty at the end
	quote bool   // tok is a text
	known Known
	depth int
	out   *Expression
	err   *Error
}

func (p *parser) fail(format string, args ...any) *node {
	if p.err == nil {
		p.err = &Error{Offset: p.at, Problem: fmt.Sprintf(format, args...)}
	}
	p.tok, p.quote, p.pos = "", false, len(p.src)
	return &node{}
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c >= 0x80
}

// next reads a token.
func (p *parser) next() {
	for p.pos < len(p.src) && strings.IndexByte(" \t\r\n", p.src[p.pos]) >= 0 {
		p.pos++
	}
	p.at, p.tok, p.quote = p.pos, "", false
	if p.pos == len(p.src) {
		return
	}
	c := p.src[p.pos]
	switch end := p.pos + 1; {
	case c == '"' || c == '\'':
		n := strings.IndexByte(p.src[end:], c)
		if n < 0 {
			p.fail("the text that begins here has no end")
			return
		}
		p.tok, p.quote, p.pos = p.src[end:end+n], true, end+n+1
	case isWord(c):
		for end < len(p.src) && (isWord(p.src[end]) || p.src[end] == '-' && letter(c) && end+1 < len(p.src) && letter(p.src[end+1])) {
			end++
		}
		p.tok, p.pos = p.src[p.pos:end], end
	case strings.IndexByte("=!<>", c) >= 0 && end < len(p.src) && p.src[end] == '=':
		p.tok, p.pos = p.src[p.pos:end+1], end+1
	case strings.IndexByte("<>+-*/()[],", c) >= 0:
		p.tok, p.pos = p.src[p.pos:end], end
	default:
		p.fail("%q does not belong here; expected and, or, not, ==, !=, <, <=, >, >=, in, +, -, *, / or brackets", c)
	}
}

// letter tells a hyphen inside a name (wrap-up) from a minus sign.
func letter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// take goes on when the token is one of words.
func (p *parser) take(words ...string) (string, bool) {
	if p.quote || p.tok == "" || !slices.Contains(words, p.tok) {
		return "", false
	}
	w := p.tok
	p.next()
	return w, true
}

func (p *parser) or() *node {
	if p.depth++; p.depth > maxDepth {
		return p.fail("brackets are nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	n := p.and()
	for {
		at := p.at
		if _, ok := p.take("or"); !ok {
			return n
		}
		n = &node{op: opOr, at: at, inner: []*node{n, p.and()}}
	}
}

func (p *parser) and() *node {
	n := p.not()
	for {
		at := p.at
		if _, ok := p.take("and"); !ok {
			return n
		}
		n = &node{op: opAnd, at: at, inner: []*node{n, p.not()}}
	}
}

func (p *parser) not() *node {
	at, turns := p.at, 0
	for {
		if _, ok := p.take("not"); !ok {
			break
		}
		turns++
	}
	n := p.compare()
	if turns == 0 {
		return n
	}
	n = &node{op: opNot, at: at, inner: []*node{n}}
	if turns%2 == 0 {
		n = &node{op: opNot, at: at, inner: []*node{n}}
	}
	return n
}

func comparisons(word string) op {
	switch word {
	case "==":
		return opEqual
	case "!=":
		return opUnequal
	case "<":
		return opLess
	case "<=":
		return opLessEqual
	case ">":
		return opGreater
	case ">=":
		return opGreaterEqual
	case "in":
		return opIn
	case "contains":
		return opContains
	}
	return opBegins
}

func (p *parser) compare() *node {
	left, at := p.sum(false), p.at
	word, ok := p.take("==", "!=", "<", "<=", ">", ">=", "in", "contains", "begins")
	if !ok {
		return left
	}
	n := &node{op: comparisons(word), at: at, inner: []*node{left, nil}}
	if n.op == opIn && p.tok != "[" {
		return p.fail("expected a list behind in: [a, b]")
	}
	n.inner[1] = p.sum(true)
	if (n.inner[1].op == opList) != (n.op == opIn) || left.op == opList {
		p.at = n.inner[1].at
		return p.fail("a list stands behind in, and nowhere else")
	}
	return n
}

func (p *parser) sum(right bool) *node {
	n := p.product(right)
	for {
		at := p.at
		w, ok := p.take("+", "-")
		if !ok {
			return n
		}
		o := opAdd
		if w == "-" {
			o = opSubtract
		}
		n = &node{op: o, at: at, inner: []*node{n, p.product(right)}}
	}
}

func (p *parser) product(right bool) *node {
	n := p.unary(right)
	for {
		at := p.at
		w, ok := p.take("*", "/")
		if !ok {
			return n
		}
		o := opMultiply
		if w == "/" {
			o = opDivide
		}
		n = &node{op: o, at: at, inner: []*node{n, p.unary(right)}}
	}
}

func (p *parser) unary(right bool) *node {
	at := p.at
	if _, ok := p.take("-"); ok {
		return &node{op: opNegate, at: at, inner: []*node{p.primary(right)}}
	}
	return p.primary(right)
}

// primary reads a value; right says that it is what something is compared with, where an unknown word is text.
func (p *parser) primary(right bool) *node {
	at, tok := p.at, p.tok
	switch {
	case p.quote:
		p.next()
		return &node{op: opValue, at: at, is: Text(tok)}
	case tok == "":
		return p.fail("the expression ends where a value is expected")
	case tok == "(":
		p.next()
		n := p.or()
		p.close(")")
		return n
	case tok == "[":
		return p.list()
	case !isWord(tok[0]):
		return p.fail("%q stands where a value is expected", tok)
	case tok[0] >= '0' && tok[0] <= '9' || tok[0] == '.':
		f, err := strconv.ParseFloat(tok, 64)
		if err != nil || strings.Trim(tok, "0123456789.") != "" {
			return p.fail("%q is no number", tok)
		}
		p.next()
		return &node{op: opValue, at: at, is: Number(f)}
	}
	p.next()
	return p.word(at, tok, right)
}

func (p *parser) word(at int, word string, right bool) *node {
	switch {
	case word == "true" || word == "false":
		return &node{op: opValue, at: at, is: Bool(word == "true")}
	case slices.Contains([]string{"and", "or", "not", "in", "contains", "begins"}, word):
		p.at = at
		return p.fail("%q stands where a value is expected", word)
	case p.tok == "(" && !p.quote:
		return p.function(at, word)
	case p.knows(word):
		if !slices.Contains(p.out.names, word) {
			p.out.names = append(p.out.names, word)
		}
		return &node{op: opName, at: at, name: word}
	case right:
		return &node{op: opValue, at: at, is: Text(word)}
	}
	p.at = at
	n := p.fail("there is no %q", word)
	p.err.Word = word
	return n
}

func (p *parser) knows(word string) bool {
	return slices.Contains(p.known.Names, word) ||
		slices.ContainsFunc(p.known.AnyBelow, func(prefix string) bool { return strings.HasPrefix(word, prefix) && len(word) > len(prefix) })
}

func (p *parser) function(at int, name string) *node {
	if !slices.Contains(p.known.Functions, name) {
		p.at = at
		n := p.fail("there is no function %q", name)
		p.err.Word = name
		return n
	}
	p.next()
	c := Call{Function: name}
	if p.tok != ")" || p.quote {
		if !p.quote {
			return p.fail("expected a text in quotes in %s(...)", name)
		}
		c.Argument = p.tok
		p.next()
	}
	p.close(")")
	if !slices.Contains(p.out.calls, c) {
		p.out.calls = append(p.out.calls, c)
	}
	return &node{op: opCall, at: at, call: c}
}

func (p *parser) list() *node {
	n := &node{op: opList, at: p.at}
	p.next()
	for {
		n.inner = append(n.inner, p.sum(true))
		if _, more := p.take(","); !more {
			break
		}
	}
	p.close("]")
	if slices.ContainsFunc(n.inner, func(x *node) bool { return x.op == opList }) {
		p.fail("a list stands in a list")
	}
	return n
}

func (p *parser) close(bracket string) {
	if _, ok := p.take(bracket); !ok && p.err == nil {
		p.fail("expected %q", bracket)
	}
}
