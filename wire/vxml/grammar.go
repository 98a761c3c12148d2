package vxml

import (
	"fmt"
	"strconv"
	"strings"
)

// A Grammar is one SRGS grammar: a set of rules. Only grammars of mode dtmf can be compiled.
type Grammar struct {
	Mode      string // "dtmf" or "voice"
	Root      string // name of the root rule, "" when there is none
	TagFormat string // semantics/1.0, semantics/1.0-literals, or what the author wrote; "" when nothing was
	Language  string
	Base      string   // xml:base
	Tags      []string // tags before the first rule (SISR 1.0, section 5): run once before all others
	Rules     []Rule   // in the order they stand
	Builtin   string   // of a built-in grammar, its name: see BuiltinValue
}

// A Rule of a grammar.
type Rule struct {
	Name   string
	Public bool
	Body   Expansion
	At     Position
}

// ExpansionKind says what an Expansion is.
type ExpansionKind int

// The kinds of expansion (SRGS 1.0, section 2).
const (
	Sequence    ExpansionKind = iota // Items one after the other; empty: matches nothing spoken, always
	Token                            // one digit
	Alternative                      // one of Items
	Repeat                           // Items[0], Min to Max times (Max < 0: no limit)
	Reference                        // a rule: Name in this grammar, or in the grammar URI (Name empty: its root)
	Void                             // never matches
	Garbage                          // any digits
	Tag                              // a tag: Text
)

// An Expansion is what may be said at a place.
type Expansion struct {
	Kind     ExpansionKind
	Digit    byte
	Items    []Expansion
	Min, Max int
	Name     string
	URI      string
	Text     string
	At       Position
}

// Rule finds a rule by its name.
func (g *Grammar) Rule(name string) *Rule {
	for i := range g.Rules {
		if g.Rules[i].Name == name {
			return &g.Rules[i]
		}
	}
	return nil
}

// References lists the URIs of other grammars that g refers to, without fragments, each once.
func (g *Grammar) References() []string {
	var out []string
	seen := map[string]bool{}
	var walk func(e *Expansion)
	walk = func(e *Expansion) {
		if e.Kind == Reference && e.URI != "" && !seen[e.URI] {
			seen[e.URI] = true
			out = append(out, e.URI)
		}
		for i := range e.Items {
			walk(&e.Items[i])
		}
	}
	for i := range g.Rules {
		walk(&g.Rules[i].Body)
	}
	return out
}

// ParseGrammar reads a grammar in whichever form it has: XML when the first character says so, else ABNF.
func ParseGrammar(src []byte) (*Grammar, error) {
	text := strings.TrimLeft(string(fromUTF16(src)), " \t\r\n\uFEFF")
	if strings.HasPrefix(text, "<") {
		root, err := Parse(src)
		if err != nil {
			return nil, err
		}
		return ReadGrammar(root)
	}
	return ParseABNF(text)
}

// digits turns a token into the keys it stands for: SRGS 1.0, appendix E allows 0 to 9, *, #, A to D and the words star and pound; a token of
// several keys written without spaces is what authors mean by it.
func digits(token string) (string, bool) {
	switch strings.ToLower(token) {
	case "star":
		return "*", true
	case "pound", "hash":
		return "#", true
	}
	out := strings.ToUpper(token)
	for i := 0; i < len(out); i++ {
		if !strings.ContainsRune("0123456789*#ABCD", rune(out[i])) {
			return "", false
		}
	}
	return out, out != ""
}

// tokens gives the expansion for text that holds tokens.
func tokens(text string, dtmf bool, at Position) ([]Expansion, error) {
	var out []Expansion
	for _, field := range strings.Fields(text) {
		keys, ok := digits(strings.Trim(field, `"`))
		if !ok {
			if dtmf {
				return nil, errorAt(at, "%q is no DTMF key: 0 to 9, *, # and A to D are", field)
			}
			out = append(out, Expansion{Kind: Void, At: at}) // a spoken word: nobody types it
			continue
		}
		for i := 0; i < len(keys); i++ {
			out = append(out, Expansion{Kind: Token, Digit: keys[i], At: at})
		}
	}
	return out, nil
}

// parseRepeat reads "n", "n-m" or "n-".
func parseRepeat(s string) (lowest, highest int, err error) {
	from, to, ranged := strings.Cut(strings.TrimSpace(s), "-")
	if lowest, err = repeatCount(from); err != nil {
		return 0, 0, err
	}
	switch to = strings.TrimSpace(to); {
	case !ranged:
		highest = lowest
	case to == "":
		highest = -1
	default:
		if highest, err = repeatCount(to); err != nil {
			return 0, 0, err
		}
		if highest < lowest {
			return 0, 0, fmt.Errorf("repeat %q ends below its beginning", s)
		}
	}
	return lowest, highest, nil
}

func repeatCount(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 || n > maxRepeat {
		return 0, fmt.Errorf("repeat %q: n, n-m or n- with numbers up to %d is understood", s, maxRepeat)
	}
	return n, nil
}

// reference reads what a ruleref refers to: #rule, URI or URI#rule.
func reference(uri string, at Position) Expansion {
	base, fragment, _ := strings.Cut(uri, "#")
	return Expansion{Kind: Reference, URI: base, Name: fragment, At: at}
}

// finish checks what both forms have in common.
func (g *Grammar) finish(at Position) (*Grammar, error) {
	seen := map[string]bool{}
	for _, r := range g.Rules {
		if seen[r.Name] {
			return nil, errorAt(r.At, "rule %q is defined twice", r.Name)
		}
		seen[r.Name] = true
	}
	if g.Root != "" && !seen[g.Root] {
		return nil, errorAt(at, "the root rule %q is not in the grammar", g.Root)
	}
	for i := range g.Rules {
		if missing := g.missing(&g.Rules[i].Body, seen); missing != nil {
			return nil, errorAt(missing.At, "rule %q is not in the grammar", missing.Name)
		}
	}
	return g, nil
}

func (g *Grammar) missing(e *Expansion, have map[string]bool) *Expansion {
	if e.Kind == Reference && e.URI == "" && !have[e.Name] {
		return e
	}
	for i := range e.Items {
		if m := g.missing(&e.Items[i], have); m != nil {
			return m
		}
	}
	return nil
}
