package vxml

import "strings"

// ReadGrammar reads a grammar in XML form from its <grammar> element: a document of its own, or inline in VoiceXML. A grammar whose rules
// are missing and that has only text (inline ABNF, or a bare "1 2 | 3") is for the caller: see HasRules.
func ReadGrammar(e *Element) (*Grammar, error) {
	if e.Name != "grammar" {
		return nil, errorAt(e.At, "<%s> is no SRGS grammar: it begins with <grammar>", e.Name)
	}
	g := &Grammar{Mode: e.Attr("mode"), Root: e.Attr("root"), TagFormat: e.Attr("tag-format"), Language: e.Attr("xml:lang"), Base: e.Attr("xml:base")}
	switch g.Mode {
	case "":
		g.Mode = "voice" // SRGS 1.0, section 4.6
	case "voice", "dtmf":
	default:
		return nil, errorAt(e.At, "mode %q: voice and dtmf are the modes of a grammar", g.Mode)
	}
	for _, n := range e.Children {
		if n.Element == nil {
			if strings.TrimSpace(n.Text) != "" {
				return nil, errorAt(n.At, "text in <grammar>, outside of any rule")
			}
			continue
		}
		switch child := n.Element; child.Name {
		case "rule":
			r, err := g.readRule(child)
			if err != nil {
				return nil, err
			}
			g.Rules = append(g.Rules, r)
		case "tag":
			g.Tags = append(g.Tags, child.Content())
		case "lexicon", "meta", "metadata":
		default:
			return nil, errorAt(child.At, "<%s> must not stand in <grammar>", child.Name)
		}
	}
	return g.finish(e.At)
}

// HasRules reports whether a <grammar> element holds a grammar in XML form.
func HasRules(e *Element) bool {
	for _, c := range e.Elements() {
		if c.Name == "rule" {
			return true
		}
	}
	return false
}

func (g *Grammar) readRule(e *Element) (Rule, error) {
	name := e.Attr("id")
	if !ruleName(name) {
		return Rule{}, errorAt(e.At, "rule id %q is no name of a rule", name)
	}
	scope := e.Attr("scope")
	if scope != "" && scope != "public" && scope != "private" {
		return Rule{}, errorAt(e.At, "scope %q: public and private are the scopes of a rule", scope)
	}
	body, err := g.readContent(e)
	if err == nil && len(body.Items) == 0 {
		err = errorAt(e.At, "rule %q is empty; to match nothing it must say <ruleref special=\"NULL\"/>", name)
	}
	return Rule{Name: name, Public: scope == "public", Body: body, At: e.At}, err
}

// readContent reads what stands in rule or item as a sequence.
func (g *Grammar) readContent(e *Element) (Expansion, error) {
	out := Expansion{Kind: Sequence, At: e.At}
	for _, n := range e.Children {
		var more []Expansion
		var err error
		if n.Element == nil {
			more, err = tokens(n.Text, g.Mode == "dtmf", n.At)
		} else {
			more, err = g.readElement(n.Element)
		}
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, more...)
	}
	return out, nil
}

func (g *Grammar) readElement(e *Element) ([]Expansion, error) {
	switch e.Name {
	case "token":
		return tokens(e.Content(), g.Mode == "dtmf", e.At)
	case "tag":
		return []Expansion{{Kind: Tag, Text: e.Content(), At: e.At}}, nil
	case "item":
		return g.readItem(e)
	case "one-of":
		out := Expansion{Kind: Alternative, At: e.At}
		for _, c := range e.Elements() {
			if c.Name != "item" {
				return nil, errorAt(c.At, "<%s> must not stand in <one-of>: only <item>", c.Name)
			}
			items, err := g.readItem(c)
			if err != nil {
				return nil, err
			}
			out.Items = append(out.Items, Expansion{Kind: Sequence, Items: items, At: c.At})
		}
		if len(out.Items) == 0 {
			return nil, errorAt(e.At, "<one-of> has no <item>")
		}
		return []Expansion{out}, nil
	case "ruleref":
		return readReference(e)
	case "example":
		return nil, nil
	}
	return nil, errorAt(e.At, "<%s> must not stand in a rule", e.Name)
}

func (g *Grammar) readItem(e *Element) ([]Expansion, error) {
	body, err := g.readContent(e)
	if err != nil {
		return nil, err
	}
	repeat, ok := e.Lookup("repeat")
	if !ok {
		return []Expansion{body}, nil
	}
	lowest, highest, err := parseRepeat(repeat)
	if err != nil {
		return nil, &Error{At: e.At, Err: err}
	}
	return []Expansion{{Kind: Repeat, Items: []Expansion{body}, Min: lowest, Max: highest, At: e.At}}, nil
}

func readReference(e *Element) ([]Expansion, error) {
	uri, has := e.Lookup("uri")
	special, isSpecial := e.Lookup("special")
	if has == isSpecial {
		return nil, errorAt(e.At, "<ruleref> needs either uri or special")
	}
	if !isSpecial {
		if uri == "" || uri == "#" {
			return nil, errorAt(e.At, "<ruleref> refers to nothing")
		}
		return []Expansion{reference(uri, e.At)}, nil
	}
	return specialRule(special, e.At)
}

// specialRule gives the rules every grammar has (SRGS 1.0, section 2.2.3).
func specialRule(name string, at Position) ([]Expansion, error) {
	switch name {
	case "NULL":
		return []Expansion{{Kind: Sequence, At: at}}, nil
	case "VOID":
		return []Expansion{{Kind: Void, At: at}}, nil
	case "GARBAGE":
		return []Expansion{{Kind: Garbage, At: at}}, nil
	}
	return nil, errorAt(at, "%q is no special rule: NULL, VOID and GARBAGE are", name)
}

// ruleName reports whether s may name a rule: an XML name without colon, dot and hyphen, and not one of the special rules
// (SRGS 1.0, section 3.1). The dot and the hyphen pass here: authors use them.
func ruleName(s string) bool {
	if s == "" || s == "NULL" || s == "VOID" || s == "GARBAGE" {
		return false
	}
	for i, r := range s {
		letter := r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80
		if !letter && (i == 0 || (r < '0' || r > '9') && r != '-' && r != '.') {
			return false
		}
	}
	return true
}
