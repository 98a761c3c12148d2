package dialpeer

import (
	"fmt"
	"strings"
)

// Bounds of what is read: nothing that people dial or configure comes near.
const (
	MaxPattern = 128
	MaxNumber  = 64
	maxDepth   = 8
)

// digits is every digit there is, in the order of the bits of a set.
const digits = "0123456789ABCD*#"

// A PatternError says what is wrong with a pattern, and where.
type PatternError struct {
	Pattern string
	Offset  int // in bytes
	Problem string
}

func (e *PatternError) Error() string {
	return fmt.Sprintf("%q is not a pattern: %s at %d", e.Pattern, e.Problem, e.Offset)
}

// A Pattern is a destination-pattern, compiled. It is immutable. The zero value matches nothing.
type Pattern struct {
	text string
	plus bool // begins with the plus sign
	prog []inst
}

// inst is one step of the compiled pattern (Thompson's construction): a set takes a digit, a split goes both ways without one.
type inst struct {
	op   op
	set  uint16 // bits index digits
	spec bool   // spelt out: counts for the longest match
	x, y int
}

type op uint8

const (
	opSet op = iota
	opSplit
	opMatch
)

// ParsePattern compiles a pattern; the error is a *PatternError.
func ParsePattern(text string) (Pattern, error) {
	p := &parser{text: text}
	if len(text) > MaxPattern {
		return Pattern{}, p.fail("too long (at most %d)", MaxPattern)
	}
	rest := strings.TrimPrefix(text, "^")
	p.at = len(text) - len(rest)
	plus := strings.HasPrefix(rest, "+") || strings.HasPrefix(rest, `\+`)
	if plus {
		p.at += strings.Index(rest, "+") + 1
	}
	n, err := p.sequence(0)
	if err != nil {
		return Pattern{}, err
	}
	if p.at < len(text) {
		return Pattern{}, p.fail("a closing parenthesis has no opening one")
	}
	if n == nil && !p.end && !plus {
		return Pattern{}, p.fail("nothing to match")
	}
	c := compiler{}
	c.node(n)
	if !p.end { // T, and what the field does without it: the number may go on
		c.loop(func() { c.set(1<<len(digits)-1, false) })
	}
	if text == "T" {
		c.prog = nil
		c.set(1<<len(digits)-1, false)
		c.loop(func() { c.set(1<<len(digits)-1, false) })
	}
	c.prog = append(c.prog, inst{op: opMatch})
	return Pattern{text: text, plus: plus, prog: c.prog}, nil
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Match tells whether the number matches, and how many of its digits the pattern spells out: the measure of the longest match.
func (p Pattern) Match(number string) (spelt int, ok bool) {
	number, global := strings.CutPrefix(number, "+")
	if p.plus && !global || len(p.prog) == 0 || len(number) > MaxNumber {
		return 0, false
	}
	now := p.follow(make([]int, len(p.prog)), 0, 1)
	for i := 0; i < len(number); i++ {
		bit := digitBit(number[i])
		if bit == 0 {
			return 0, false
		}
		next := make([]int, len(p.prog))
		for pc, n := range now {
			if in := p.prog[pc]; n > 0 && in.op == opSet && in.set&bit != 0 {
				if in.spec {
					n++
				}
				next = p.follow(next, in.x, n)
			}
		}
		now = next
	}
	n := now[len(now)-1]
	return max(n-1, 0), n > 0
}

// follow marks what can be reached from pc without a digit, with the best count so far plus one; zero is unreached.
func (p Pattern) follow(reach []int, pc, n int) []int {
	if reach[pc] >= n {
		return reach
	}
	reach[pc] = n
	if in := p.prog[pc]; in.op == opSplit {
		reach = p.follow(p.follow(reach, in.x, n), in.y, n)
	}
	return reach
}

func digitBit(c byte) uint16 {
	if c >= 'a' && c <= 'd' {
		c -= 'a' - 'A'
	}
	if i := strings.IndexByte(digits, c); i >= 0 {
		return 1 << i
	}
	return 0
}

// node is a piece of a pattern: a set, or a sequence; with how often it stands.
type node struct {
	set  uint16
	spec bool
	kids []*node
	rep  byte // 0, %, +, ?
}

type parser struct {
	text string
	at   int
	end  bool // $ was there
}

func (p *parser) fail(format string, args ...any) error {
	return &PatternError{p.text, p.at, fmt.Sprintf(format, args...)}
}

// sequence reads up to the end or a closing parenthesis, which it leaves.
func (p *parser) sequence(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, p.fail("groups are nested more than %d deep", maxDepth)
	}
	seq := &node{}
	for p.at < len(p.text) {
		c := p.text[p.at]
		if c == ')' {
			break
		}
		if p.end {
			return nil, p.fail("something follows $ or T")
		}
		if err := p.piece(c, seq, depth); err != nil {
			return nil, err
		}
	}
	if len(seq.kids) == 0 {
		return nil, nil
	}
	return seq, nil
}

// piece reads one piece and puts it into the sequence.
func (p *parser) piece(c byte, seq *node, depth int) error {
	switch {
	case digitBit(c) != 0:
		seq.kids = append(seq.kids, &node{set: digitBit(c), spec: true})
	case c == '.':
		seq.kids = append(seq.kids, &node{set: 1<<len(digits) - 1})
	case c == ',':
	case c == '%' || c == '?' || c == '+':
		return p.repeat(c, seq)
	case c == 'T' || c == 't':
		if p.at != len(p.text)-1 {
			return p.fail("T stands before the end")
		}
		seq.kids = append(seq.kids, &node{set: 1<<len(digits) - 1, rep: '%'})
	case c == '$':
		if depth > 0 {
			return p.fail("$ stands in a group")
		}
		p.end = true
	case c == '\\':
		p.at++
		if p.at >= len(p.text) || digitBit(p.text[p.at]) == 0 {
			return p.fail(`\ has no digit behind it`)
		}
		seq.kids = append(seq.kids, &node{set: digitBit(p.text[p.at]), spec: true})
	case c == '[':
		return p.bracket(seq)
	case c == '(':
		return p.group(seq, depth)
	default:
		return p.fail("%q means nothing here", c)
	}
	p.at++
	return nil
}

func (p *parser) repeat(c byte, seq *node) error {
	if len(seq.kids) == 0 {
		return p.fail("%q has nothing in front of it to repeat", c)
	}
	last := seq.kids[len(seq.kids)-1]
	if last.rep != 0 {
		return p.fail("%q stands behind another repetition", c)
	}
	last.rep = c
	p.at++
	return nil
}

func (p *parser) group(seq *node, depth int) error {
	p.at++
	sub, err := p.sequence(depth + 1)
	if err != nil {
		return err
	}
	if p.at >= len(p.text) {
		return p.fail("a group is not closed")
	}
	if sub == nil {
		return p.fail("a group is empty")
	}
	p.at++
	seq.kids = append(seq.kids, sub)
	return nil
}

// bracket reads [1-57] and [^1-5].
func (p *parser) bracket(seq *node) error {
	end := strings.IndexByte(p.text[p.at:], ']')
	if end < 0 {
		return p.fail("a set is not closed")
	}
	body, not := strings.CutPrefix(p.text[p.at+1:p.at+end], "^")
	var set uint16
	for i := 0; i < len(body); i++ {
		low := digitBit(body[i])
		if body[i] == ',' { // the field writes [2,5] as well
			continue
		}
		if low == 0 {
			return p.fail("%q cannot stand in a set", body[i])
		}
		high := low
		if i+2 < len(body) && body[i+1] == '-' {
			if high = digitBit(body[i+2]); high < low {
				return p.fail("the range %s goes backwards", body[i:i+3])
			}
			i += 2
		}
		set |= high | (high-1)&^(low-1)
	}
	if not {
		set = ^set & (1<<len(digits) - 1)
	}
	if set == 0 {
		return p.fail("a set is empty")
	}
	p.at += end + 1
	seq.kids = append(seq.kids, &node{set: set, spec: true})
	return nil
}

type compiler struct{ prog []inst }

func (c *compiler) set(set uint16, spec bool) {
	c.prog = append(c.prog, inst{op: opSet, set: set, spec: spec, x: len(c.prog) + 1})
}

// loop is body zero times or more.
func (c *compiler) loop(body func()) {
	at := len(c.prog)
	c.prog = append(c.prog, inst{op: opSplit, x: at + 1})
	body()
	c.prog = append(c.prog, inst{op: opSplit, x: at, y: at})
	c.prog[at].y = len(c.prog)
}

func (c *compiler) node(n *node) {
	if n == nil {
		return
	}
	body := func() {
		if n.kids == nil {
			c.set(n.set, n.spec)
		}
		for _, k := range n.kids {
			c.node(k)
		}
	}
	switch n.rep {
	case '%':
		c.loop(body)
	case '+':
		body()
		c.loop(body)
	case '?':
		at := len(c.prog)
		c.prog = append(c.prog, inst{op: opSplit, x: at + 1})
		body()
		c.prog[at].y = len(c.prog)
	default:
		body()
	}
}
