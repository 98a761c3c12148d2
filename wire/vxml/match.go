package vxml

// Status is where a Matcher stands after the digits it was given.
type Status int

// The states of a Matcher.
const (
	NoMatch  Status = iota // no continuation can match any more
	Partial                // not yet a match, but it may become one
	Complete               // a match, and a longer one is possible
	Final                  // a match that no further digit can extend
)

// A Matcher follows one Program through one input. All ways through the grammar are followed at once, in order of their priority (the first
// alternative first, repeats greedily), so that its cost per digit is bounded by the size of the grammar.
type Matcher struct {
	program *Program
	ways    []way // ways that wait for a digit, by priority
	accept  *trail
	matched bool
	count   int
	frames  map[frameKey]*frame
}

// way is one way through the grammar: where it stands, to where it returns, and how it came there.
type way struct {
	pc    int
	stack *frame
	trail *trail
}

// frame is a return address. Frames are made once for each content, so that two ways with equal stacks share one and can be told equal.
type frame struct {
	back  *frame
	pc    int
	depth int
	id    int
}

type frameKey struct{ back, pc int }

// trail is how a way came where it is, newest first.
type trail struct {
	back *trail
	op   opcode // opDigit, opTag, opCall (rule entered), opReturn
	n    int    // the digit, the tag, the entry of the rule
}

// NewMatcher begins an input.
func NewMatcher(p *Program) *Matcher {
	m := &Matcher{program: p, frames: map[frameKey]*frame{}}
	m.follow([]way{{pc: p.entry, trail: &trail{op: opCall, n: p.entry}}})
	return m
}

// Status tells where the input stands. The empty input is never a match.
func (m *Matcher) Status() Status {
	switch matched := m.matched && m.count > 0; {
	case matched && len(m.ways) > 0:
		return Complete
	case matched:
		return Final
	case len(m.ways) > 0:
		return Partial
	}
	return NoMatch
}

// Push gives the next digit.
func (m *Matcher) Push(digit byte) Status {
	var next []way
	if m.count++; m.count <= maxDigits {
		for _, w := range m.ways {
			if in := m.program.code[w.pc]; in.op == opAny || in.digit == digit {
				next = append(next, way{pc: w.pc + 1, stack: w.stack, trail: &trail{back: w.trail, op: opDigit, n: int(digit)}})
			}
		}
	}
	m.follow(next)
	return m.Status()
}

// follow follows ways as far as they go without a digit.
func (m *Matcher) follow(starts []way) {
	m.ways, m.accept, m.matched = nil, nil, false
	seen := map[frameKey]bool{}
	stack := make([]way, 0, len(starts))
	for i := len(starts) - 1; i >= 0; i-- {
		stack = append(stack, starts[i]) // the last is taken first: priority is kept
	}
	for steps := 0; len(stack) > 0 && steps < maxWays; steps++ {
		w := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		key := frameKey{pc: w.pc}
		if w.stack != nil {
			key.back = w.stack.id
		}
		if seen[key] {
			continue
		}
		seen[key] = true
		stack = m.step(stack, w)
	}
}

// step does one instruction that needs no digit, and puts what follows on the stack.
func (m *Matcher) step(stack []way, w way) []way {
	switch in := m.program.code[w.pc]; in.op {
	case opDigit, opAny:
		m.ways = append(m.ways, w)
	case opSplit:
		return append(stack, way{in.y, w.stack, w.trail}, way{in.x, w.stack, w.trail})
	case opJump:
		return append(stack, way{in.x, w.stack, w.trail})
	case opTag:
		return append(stack, way{w.pc + 1, w.stack, &trail{w.trail, opTag, in.x}})
	case opCall:
		if f := m.frame(w.stack, w.pc+1); f != nil {
			return append(stack, way{in.x, f, &trail{w.trail, opCall, in.x}})
		}
	case opReturn:
		t := &trail{w.trail, opReturn, 0}
		if w.stack != nil {
			return append(stack, way{w.stack.pc, w.stack.back, t})
		}
		if !m.matched {
			m.matched, m.accept = true, t
		}
	}
	return stack
}

// frame gives the frame for a return address, nil when rules are nested too deep (a grammar that refers to itself without a digit between).
func (m *Matcher) frame(back *frame, pc int) *frame {
	key := frameKey{pc: pc}
	depth := 1
	if back != nil {
		key.back, depth = back.id, back.depth+1
	}
	if f := m.frames[key]; f != nil {
		return f
	}
	if depth > maxStack || len(m.frames) >= maxWays {
		return nil
	}
	f := &frame{back: back, pc: pc, depth: depth, id: len(m.frames) + 1}
	m.frames[key] = f
	return f
}

// A Parsed is how one rule matched.
type Parsed struct {
	Grammar *Grammar
	Rule    string
	Digits  string // all that was matched, in it and below
	Parts   []Part
}

// A Part of a Parsed is one of: a digit, a tag, the parse of a rule that was referred to.
type Part struct {
	Digit byte
	Tag   string
	IsTag bool
	Rule  *Parsed
}

// Result gives the parse of the input so far, nil unless Status is Complete or Final.
func (m *Matcher) Result() *Parsed {
	if !m.matched || m.count == 0 {
		return nil
	}
	var way []*trail
	for t := m.accept; t != nil; t = t.back {
		way = append(way, t)
	}
	var open []*Parsed
	for i := len(way) - 1; i >= 0; i-- {
		switch t := way[i]; t.op {
		case opCall:
			open = append(open, m.program.parseOf(t.n))
		case opReturn:
			if len(open) == 1 {
				return open[0]
			}
			done, in := open[len(open)-1], open[len(open)-2]
			open = open[:len(open)-1]
			in.Digits += done.Digits
			in.Parts = append(in.Parts, Part{Rule: done})
		case opTag:
			in := open[len(open)-1]
			in.Parts = append(in.Parts, Part{Tag: m.program.tags[t.n], IsTag: true})
		default:
			in := open[len(open)-1]
			in.Digits += string(rune(t.n))
			in.Parts = append(in.Parts, Part{Digit: byte(t.n)})
		}
	}
	return nil
}

func (p *Program) parseOf(entry int) *Parsed {
	for _, r := range p.rules {
		if r.entry == entry {
			return &Parsed{Grammar: r.grammar, Rule: r.name}
		}
	}
	return &Parsed{Grammar: p.Grammar}
}

// Match runs a whole input through a program: the way of tests and tools.
func (p *Program) Match(input string) (*Parsed, Status) {
	m := NewMatcher(p)
	for i := 0; i < len(input); i++ {
		m.Push(input[i])
	}
	return m.Result(), m.Status()
}

// Literal gives the semantic result of a parse under the tag format semantics/1.0-literals (SISR 1.0, section 3.2.1): the last tag of the root rule's own, or of
// the rules below when it has none; without any tag, the digits. ok tells whether a tag was there.
func (p *Parsed) Literal() (value string, ok bool) {
	value = p.Digits
	for _, part := range p.Parts {
		if part.IsTag {
			value, ok = part.Tag, true
		} else if part.Rule != nil {
			if below, has := part.Rule.Literal(); has {
				value, ok = below, true
			}
		}
	}
	return value, ok
}
