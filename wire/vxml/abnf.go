package vxml

import (
	"strings"
)

// ParseABNF reads a grammar in ABNF form (SRGS 1.0, appendix D): "#ABNF 1.0;", declarations (mode, root, language, tag-format, base, meta,
// http-equiv, lexicon), tags, and rules "public $name = expansion;".
func ParseABNF(text string) (*Grammar, error) {
	p := &abnf{text: text, at: Position{Line: 1, Column: 1}, grammar: &Grammar{Mode: "voice"}}
	if len(text) > MaxBytes {
		return nil, errorAt(p.at, "the grammar has %d bytes; at most %d are read", len(text), MaxBytes)
	}
	head, _, found := strings.Cut(text, ";")
	if fields := strings.Fields(head); !found || len(fields) < 2 || fields[0] != "#ABNF" || fields[1] != "1.0" {
		return nil, errorAt(p.at, "a grammar in ABNF form begins with \"#ABNF 1.0;\"")
	}
	p.advance(len(head) + 1)
	for {
		if err := p.space(); err != nil {
			return nil, err
		}
		if p.done() {
			return p.grammar.finish(Position{Line: 1, Column: 1})
		}
		if err := p.statement(); err != nil {
			return nil, err
		}
	}
}

// abnf reads one grammar; at is where text[at.Offset:] begins.
type abnf struct {
	text    string
	at      Position
	grammar *Grammar
	depth   int
}

func (p *abnf) done() bool   { return p.at.Offset >= len(p.text) }
func (p *abnf) rest() string { return p.text[p.at.Offset:] }
func (p *abnf) peek() byte {
	if p.done() {
		return 0
	}
	return p.text[p.at.Offset]
}

func (p *abnf) advance(n int) {
	for _, c := range []byte(p.rest()[:n]) {
		if c == '\n' {
			p.at.Line, p.at.Column = p.at.Line+1, 0
		}
		p.at.Column++
	}
	p.at.Offset += n
}

// space skips white space and comments.
func (p *abnf) space() error {
	for !p.done() {
		switch rest := p.rest(); {
		case strings.IndexByte(" \t\r\n", rest[0]) >= 0:
			p.advance(1)
		case strings.HasPrefix(rest, "//"):
			end := strings.IndexByte(rest, '\n')
			if end < 0 {
				end = len(rest) - 1
			}
			p.advance(end + 1)
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return errorAt(p.at, "a comment that does not end")
			}
			p.advance(end + 4)
		default:
			return nil
		}
	}
	return nil
}

// word reads a run of characters that are none of the language's own.
func (p *abnf) word() string {
	rest := p.rest()
	n := strings.IndexAny(rest, " \t\r\n;=|()[]{}<>/$\"!")
	if n < 0 {
		n = len(rest)
	}
	p.advance(n)
	return rest[:n]
}

// until reads up to and past an end mark.
func (p *abnf) until(end, what string) (string, error) {
	n := strings.Index(p.rest(), end)
	if n < 0 {
		return "", errorAt(p.at, "%s that does not end with %s", what, end)
	}
	text := p.rest()[:n]
	p.advance(n + len(end))
	return text, nil
}

// statement reads one declaration, tag or rule.
func (p *abnf) statement() error {
	at := p.at
	if p.peek() == '{' {
		tag, err := p.tag()
		p.grammar.Tags = append(p.grammar.Tags, tag)
		if err != nil {
			return err
		}
		return p.expect(";")
	}
	if p.peek() == '$' {
		return p.rule(false, at)
	}
	switch word := p.word(); word {
	case "public", "private":
		if err := p.space(); err != nil {
			return err
		}
		return p.rule(word == "public", at)
	case "mode", "root", "language", "tag-format", "base", "lexicon", "meta", "http-equiv":
		return p.declaration(word, at)
	case "":
		return errorAt(at, "%q begins neither a declaration nor a rule", p.peek())
	default:
		return errorAt(at, "%q begins neither a declaration nor a rule", word)
	}
}

func (p *abnf) declaration(word string, at Position) error {
	value, err := p.until(";", "a declaration")
	if err != nil {
		return err
	}
	value = strings.TrimSpace(value)
	bare := strings.TrimSuffix(strings.TrimPrefix(value, "<"), ">")
	switch word {
	case "mode":
		if value != "dtmf" && value != "voice" {
			return errorAt(at, "mode %q: voice and dtmf are the modes of a grammar", value)
		}
		p.grammar.Mode = value
	case "root":
		if !strings.HasPrefix(value, "$") {
			return errorAt(at, "root %q: a rule ($name) is expected", value)
		}
		p.grammar.Root = value[1:]
	case "language":
		p.grammar.Language = value
	case "tag-format":
		p.grammar.TagFormat = bare
	case "base":
		p.grammar.Base = bare
	}
	return nil
}

func (p *abnf) expect(mark string) error {
	if err := p.space(); err != nil {
		return err
	}
	if !strings.HasPrefix(p.rest(), mark) {
		return errorAt(p.at, "%q is expected here", mark)
	}
	p.advance(len(mark))
	return nil
}

func (p *abnf) rule(public bool, at Position) error {
	if err := p.expect("$"); err != nil {
		return err
	}
	name := p.word()
	if !ruleName(name) {
		return errorAt(at, "%q is no name of a rule", name)
	}
	if err := p.expect("="); err != nil {
		return err
	}
	body, err := p.alternatives()
	if err != nil {
		return err
	}
	if body.Kind == Sequence && len(body.Items) == 0 {
		return errorAt(at, "rule %q is empty; to match nothing it must say $NULL", name)
	}
	p.grammar.Rules = append(p.grammar.Rules, Rule{Name: name, Public: public, Body: body, At: at})
	return p.expect(";")
}

// alternatives reads sequences with | between them.
func (p *abnf) alternatives() (Expansion, error) {
	if p.depth++; p.depth > MaxDepth {
		return Expansion{}, errorAt(p.at, "groups are nested deeper than %d", MaxDepth)
	}
	defer func() { p.depth-- }()
	out := Expansion{Kind: Alternative, At: p.at}
	for {
		seq, err := p.sequence()
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, seq)
		if p.peek() != '|' {
			break
		}
		p.advance(1)
	}
	if len(out.Items) == 1 {
		return out.Items[0], nil
	}
	return out, nil
}

func (p *abnf) sequence() (Expansion, error) {
	out := Expansion{Kind: Sequence, At: p.at}
	if err := p.weight(); err != nil {
		return out, err
	}
	for {
		if err := p.space(); err != nil {
			return out, err
		}
		if p.done() || strings.IndexByte("|;)]", p.peek()) >= 0 {
			return out, nil
		}
		item, err := p.item()
		if err != nil {
			return out, err
		}
		if n := len(item); n > 0 && item[n-1].Kind != Tag { // a repeat belongs to the last of them
			if item[n-1], err = p.repeated(item[n-1]); err != nil {
				return out, err
			}
		}
		out.Items = append(out.Items, item...)
	}
}

// weight skips the weight of an alternative: keys leave no doubt that it could help to decide.
func (p *abnf) weight() error {
	if err := p.space(); err != nil {
		return err
	}
	if p.peek() != '/' {
		return nil
	}
	p.advance(1)
	_, err := p.until("/", "a weight")
	return err
}

// repeated reads <n-m>, and a language, behind an expansion.
func (p *abnf) repeated(e Expansion) (Expansion, error) {
	if p.peek() == '!' {
		p.advance(1)
		p.word()
	}
	if err := p.space(); err != nil {
		return e, err
	}
	if p.peek() != '<' {
		return e, nil
	}
	at := p.at
	p.advance(1)
	text, err := p.until(">", "a repeat")
	if err != nil {
		return e, err
	}
	count, _, _ := strings.Cut(text, "/") // the rest is a probability
	lowest, highest, err := parseRepeat(count)
	if err != nil {
		return e, &Error{At: at, Err: err}
	}
	return Expansion{Kind: Repeat, Items: []Expansion{e}, Min: lowest, Max: highest, At: at}, nil
}

func (p *abnf) item() ([]Expansion, error) {
	at := p.at
	switch p.peek() {
	case '(', '[':
		return p.group(at)
	case '{':
		text, err := p.tag()
		return []Expansion{{Kind: Tag, Text: text, At: at}}, err
	case '$':
		return p.reference(at)
	case '"':
		p.advance(1)
		text, err := p.until(`"`, "a token")
		if err != nil {
			return nil, err
		}
		return tokens(text, p.grammar.Mode == "dtmf", at)
	}
	word := p.word()
	if word == "" {
		return nil, errorAt(at, "%q is not expected here", p.peek())
	}
	return tokens(word, p.grammar.Mode == "dtmf", at)
}

func (p *abnf) group(at Position) ([]Expansion, error) {
	optional := p.peek() == '['
	p.advance(1)
	body, err := p.alternatives()
	if err != nil {
		return nil, err
	}
	if !optional {
		return []Expansion{body}, p.expect(")")
	}
	return []Expansion{{Kind: Repeat, Items: []Expansion{body}, Min: 0, Max: 1, At: at}}, p.expect("]")
}

func (p *abnf) reference(at Position) ([]Expansion, error) {
	p.advance(1)
	if p.peek() == '<' {
		p.advance(1)
		uri, err := p.until(">", "a reference")
		if err != nil {
			return nil, err
		}
		if uri == "" || uri == "#" {
			return nil, errorAt(at, "the reference refers to nothing")
		}
		if strings.HasPrefix(p.rest(), "~") { // a media type
			p.advance(1)
			if p.peek() == '<' {
				_, err = p.until(">", "a media type")
			}
		}
		return []Expansion{reference(uri, at)}, err
	}
	name := p.word()
	if name == "NULL" || name == "VOID" || name == "GARBAGE" {
		return specialRule(name, at)
	}
	if !ruleName(name) {
		return nil, errorAt(at, "%q is no name of a rule", name)
	}
	return []Expansion{{Kind: Reference, Name: name, At: at}}, nil
}

// tag reads {text} or {!{text}!}.
func (p *abnf) tag() (string, error) {
	if strings.HasPrefix(p.rest(), "{!{") {
		p.advance(3)
		return p.until("}!}", "a tag")
	}
	p.advance(1)
	text, err := p.until("}", "a tag")
	return strings.TrimSpace(text), err
}
