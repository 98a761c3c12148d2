package vxml

import "fmt"

// Limits of a compiled grammar: none is near what keys on a telephone need.
const (
	maxRepeat  = 1_000  // of one repeat
	maxProgram = 50_000 // instructions
	maxStack   = 48     // rules within rules while matching; deeper ways are given up
	maxWays    = 20_000 // ways followed through the grammar for one digit
	maxDigits  = 1_000  // of one input
	maxGrammar = 64     // grammars referred to from one
)

// opcode is what an instruction does.
type opcode uint8

const (
	opDigit  opcode = iota // match one digit
	opAny                  // match any digit
	opSplit                // go on at x, and with less priority at y
	opJump                 // go on at x
	opCall                 // run the rule at x, then go on behind this
	opReturn               // end of a rule
	opTag                  // tag number x
	opFail                 // this way is no way
)

type instruction struct {
	op    opcode
	digit byte
	x, y  int
}

// A Program is a grammar made ready to match, with all grammars it refers to. It does not change and may be shared.
type Program struct {
	Grammar *Grammar
	code    []instruction
	entry   int
	rules   []programRule // by entry
	tags    []string
}

type programRule struct {
	grammar *Grammar
	name    string
	entry   int
}

// Compile makes a program of rule ("" is the root) of g. Other grammars come from resolve, by the URI as it is written in the grammar that
// refers to them; nil resolve: there are none.
func Compile(g *Grammar, rule string, resolve func(from *Grammar, uri string) (*Grammar, error)) (*Program, error) {
	if g.Mode != "dtmf" {
		return nil, fmt.Errorf("the grammar is for speech (mode %q), and keys are all that is understood", g.Mode)
	}
	c := compiler{program: &Program{Grammar: g}, resolve: resolve, entries: map[ruleKey]int{}}
	entry, err := c.rule(g, rule, Position{Line: 1, Column: 1})
	if err != nil {
		return nil, err
	}
	for len(c.waiting) > 0 { // rules referred to, each once
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		if err := c.body(next); err != nil {
			return nil, err
		}
	}
	for i := range c.program.code {
		if in := &c.program.code[i]; in.op == opCall {
			in.x = c.program.rules[in.x].entry
		}
	}
	c.program.entry = c.program.rules[entry].entry
	return c.program, nil
}

type ruleKey struct {
	grammar *Grammar
	name    string
}

type compiler struct {
	program *Program
	resolve func(*Grammar, string) (*Grammar, error)
	entries map[ruleKey]int // index into program.rules
	waiting []int
	others  int
	steps   int // expansions visited: repeats of nothing emit nothing, and must end all the same
}

// rule gives the number of a rule, which is compiled later when it is new.
func (c *compiler) rule(g *Grammar, name string, at Position) (int, error) {
	if name == "" {
		if name = g.Root; name == "" && len(g.Rules) == 1 {
			name = g.Rules[0].Name
		}
		if name == "" {
			return 0, errorAt(at, "the grammar has no root rule")
		}
	}
	key := ruleKey{g, name}
	if i, ok := c.entries[key]; ok {
		return i, nil
	}
	if g.Rule(name) == nil {
		return 0, errorAt(at, "rule %q is not in the grammar", name)
	}
	i := len(c.program.rules)
	c.entries[key] = i
	c.program.rules = append(c.program.rules, programRule{grammar: g, name: name})
	c.waiting = append(c.waiting, i)
	return i, nil
}

func (c *compiler) body(i int) error {
	r := &c.program.rules[i]
	r.entry = len(c.program.code)
	g := r.grammar
	if err := c.expansion(g, &g.Rule(r.name).Body); err != nil {
		return err
	}
	return c.emit(instruction{op: opReturn}, Position{})
}

func (c *compiler) emit(in instruction, at Position) error {
	if len(c.program.code) >= maxProgram {
		return errorAt(at, "the grammar is too large: its repeats multiply to more than %d steps", maxProgram)
	}
	c.program.code = append(c.program.code, in)
	return nil
}

func (c *compiler) expansion(g *Grammar, e *Expansion) error {
	if c.steps++; c.steps > 4*maxProgram {
		return errorAt(e.At, "the grammar is too large: its repeats multiply to more than %d steps", maxProgram)
	}
	switch e.Kind {
	case Sequence:
		for i := range e.Items {
			if err := c.expansion(g, &e.Items[i]); err != nil {
				return err
			}
		}
		return nil
	case Token:
		return c.emit(instruction{op: opDigit, digit: e.Digit}, e.At)
	case Alternative:
		return c.alternative(g, e)
	case Repeat:
		return c.repeat(g, e)
	case Reference:
		return c.reference(g, e)
	case Garbage: // out first, one more digit else
		start := len(c.program.code)
		if err := c.emit(instruction{op: opSplit, x: start + 3, y: start + 1}, e.At); err != nil {
			return err
		}
		if err := c.emit(instruction{op: opAny}, e.At); err != nil {
			return err
		}
		return c.emit(instruction{op: opJump, x: start}, e.At)
	case Tag:
		c.program.tags = append(c.program.tags, e.Text)
		return c.emit(instruction{op: opTag, x: len(c.program.tags) - 1}, e.At)
	}
	return c.emit(instruction{op: opFail}, e.At)
}

func (c *compiler) alternative(g *Grammar, e *Expansion) error {
	var jumps []int
	for i := range e.Items {
		split := len(c.program.code)
		last := i == len(e.Items)-1
		if !last {
			if err := c.emit(instruction{op: opSplit, x: split + 1}, e.At); err != nil {
				return err
			}
		}
		if err := c.expansion(g, &e.Items[i]); err != nil {
			return err
		}
		if !last {
			jumps = append(jumps, len(c.program.code))
			if err := c.emit(instruction{op: opJump}, e.At); err != nil {
				return err
			}
			c.program.code[split].y = len(c.program.code)
		}
	}
	for _, j := range jumps {
		c.program.code[j].x = len(c.program.code)
	}
	return nil
}

// repeat writes the body once for each time it must be there, and once for each time it may, greedily.
func (c *compiler) repeat(g *Grammar, e *Expansion) error {
	for range e.Min {
		if err := c.expansion(g, &e.Items[0]); err != nil {
			return err
		}
	}
	if e.Max < 0 {
		start := len(c.program.code)
		if err := c.emit(instruction{op: opSplit, x: start + 1}, e.At); err != nil {
			return err
		}
		if err := c.expansion(g, &e.Items[0]); err != nil {
			return err
		}
		err := c.emit(instruction{op: opJump, x: start}, e.At)
		c.program.code[start].y = len(c.program.code)
		return err
	}
	var splits []int
	for range e.Max - e.Min {
		splits = append(splits, len(c.program.code))
		if err := c.emit(instruction{op: opSplit, x: len(c.program.code) + 1}, e.At); err != nil {
			return err
		}
		if err := c.expansion(g, &e.Items[0]); err != nil {
			return err
		}
	}
	for _, s := range splits {
		c.program.code[s].y = len(c.program.code)
	}
	return nil
}

func (c *compiler) reference(g *Grammar, e *Expansion) error {
	other := g
	if e.URI != "" {
		if c.others++; c.resolve == nil || c.others > maxGrammar {
			return errorAt(e.At, "the grammar %q cannot be referred to from here", e.URI)
		}
		var err error
		if other, err = c.resolve(g, e.URI); err != nil {
			return &Error{At: e.At, Err: err}
		}
	}
	i, err := c.rule(other, e.Name, e.At)
	if err != nil {
		return err
	}
	return c.emit(instruction{op: opCall, x: i}, e.At)
}
