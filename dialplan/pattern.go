package dialplan

import (
	"fmt"
	"strings"
)

// alphabet is every symbol that can be dialled; a symbol's index is its bit in a set.
const alphabet = "0123456789*#ABCD+"

// set is a set of symbols, one bit each.
type set uint32

const digits set = 1<<10 - 1

// symbol is the index of c in the alphabet, -1 for anything that cannot be dialled.
func symbol(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'D':
		return int(c-'A') + 12
	case c == '*':
		return 10
	case c == '#':
		return 11
	case c == '+':
		return 16
	}
	return -1
}

// element is one place of a pattern: a symbol out of a set, once, or (loop) once or more.
type element struct {
	set  set
	loop bool
}

// template is a parsed pattern. dot is the number of elements before the dot, -1 without one.
type template struct {
	elements []element
	dot      int
	loop     bool
}

// globalArgument lets the "!" of a feature code take a plus sign too: a forward to +4930555 is dialled *21+4930555.
func (t *template) globalArgument() {
	for i := range t.elements {
		if t.elements[i].loop {
			t.elements[i].set |= 1 << symbol('+')
		}
	}
}

// rest is what stands behind the dot of a number that matched.
func (t *template) rest(number string) string {
	if t.dot < 0 {
		return ""
	}
	return number[t.dot:]
}

// maxLength bounds patterns and dialled numbers. E.164 numbers have 15 digits; the rest is room for access codes.
const maxLength = 48

// parse reads a pattern's text.
func parse(text string) (template, error) {
	t := template{dot: -1}
	for i := 0; i < len(text); {
		el, n, err := parseElement(text[i:])
		if err != nil {
			return t, fmt.Errorf("%w (at character %d of %q)", err, i+1, text)
		}
		if err := t.add(el, text[i] == '.'); err != nil {
			return t, fmt.Errorf("%w (at character %d of %q)", err, i+1, text)
		}
		i += n
	}
	if len(t.elements) > maxLength {
		return t, fmt.Errorf("the pattern has %d places; at most %d are possible", len(t.elements), maxLength)
	}
	return t, nil
}

func (t *template) add(el element, dot bool) error {
	switch {
	case dot && t.dot >= 0:
		return fmt.Errorf("a second dot; a pattern has at most one")
	case dot && t.loop:
		return fmt.Errorf(`a dot after "!"; put the "!" behind the dot`)
	case dot:
		t.dot = len(t.elements)
		return nil
	case el.loop && t.loop:
		return fmt.Errorf(`a second "!"; a pattern has at most one`)
	}
	t.loop = t.loop || el.loop
	t.elements = append(t.elements, el)
	return nil
}

// parseElement reads one element; n is how many characters it took.
func parseElement(s string) (el element, n int, err error) {
	switch c := s[0]; {
	case c == 'X' || c == 'x':
		return element{set: digits}, 1, nil
	case c == '!':
		return element{set: digits, loop: true}, 1, nil
	case c == '.':
		return element{}, 1, nil
	case c == '[':
		return parseSet(s)
	case c == '\\':
		if len(s) < 2 || s[1] != '+' {
			return el, 0, fmt.Errorf(`a backslash with nothing to escape; only \+ is known`)
		}
		return element{set: 1 << symbol('+')}, 2, nil
	case c == '+':
		return el, 0, fmt.Errorf(`a bare plus sign; write \+ for the plus of a global number`)
	case symbol(c) >= 0:
		return element{set: 1 << symbol(c)}, 1, nil
	}
	return el, 0, fmt.Errorf("%q cannot be dialled and is no wildcard", s[0])
}

// parseSet reads [1-57] or [^1-5].
func parseSet(s string) (el element, n int, err error) {
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return el, 0, fmt.Errorf("a bracket that is not closed")
	}
	body := s[1:end]
	negated := strings.HasPrefix(body, "^")
	body = strings.TrimPrefix(body, "^")
	var found set
	for i := 0; i < len(body); i++ {
		lo := symbol(body[i])
		hi := lo
		if i+2 < len(body) && body[i+1] == '-' {
			hi = symbol(body[i+2])
			i += 2
		}
		if lo < 0 || hi < lo || (hi != lo && hi > 9) {
			return el, 0, fmt.Errorf("%q is no set of digits; expected something like [1-57] or [^0-5]", s[:end+1])
		}
		for v := lo; v <= hi; v++ {
			found |= 1 << v
		}
	}
	if negated {
		found = digits &^ found
	}
	if found == 0 {
		return el, 0, fmt.Errorf("%q matches nothing", s[:end+1])
	}
	return element{set: found}, end + 1, nil
}
