package vxml

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func compile(t *testing.T, src string) *Program {
	t.Helper()
	g, err := ParseGrammar([]byte(src))
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	p, err := Compile(g, "", nil)
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	return p
}

// notation writes a parse on one line: RULE(1 {tag} SUB(2)).
func (p *Parsed) notation() string {
	if p == nil {
		return "-"
	}
	var parts []string
	for _, part := range p.Parts {
		switch {
		case part.IsTag:
			parts = append(parts, "{"+part.Tag+"}")
		case part.Rule != nil:
			parts = append(parts, part.Rule.notation())
		default:
			parts = append(parts, string(rune(part.Digit)))
		}
	}
	return p.Rule + "(" + strings.Join(parts, " ") + ")"
}

func TestMatch(t *testing.T) {
	const pin = "#ABNF 1.0; mode dtmf; root $r; $r = $d<4>; $d = 0|1|2|3|4|5|6|7|8|9;"
	const menu = "#ABNF 1.0 ISO-8859-1;\nmode dtmf; // keys\nlanguage en-US; root $r;\npublic $r = /2/ 1 {sales} | /1/ 2 [3] {!{ {x} }!} | \"*\" /* star */ pound;"
	const self = "#ABNF 1.0; mode dtmf; root $r; $r = 1 $r | 2;"
	const left = "#ABNF 1.0; mode dtmf; root $r; $r = $r 1 | 1;"
	const void = "#ABNF 1.0; mode dtmf; root $r; $r = $VOID 1 | $NULL 2 | $GARBAGE 9;"
	for _, c := range []struct {
		grammar, input string
		status         Status
		parse          string
	}{
		{pin, "", Partial, "-"},
		{pin, "123", Partial, "-"},
		{pin, "1234", Final, "r(d(1) d(2) d(3) d(4))"},
		{pin, "12*", NoMatch, "-"},
		{pin, "12345", NoMatch, "-"},
		{menu, "1", Final, "r(1 {sales})"},
		{menu, "2", Complete, "r(2 { {x} })"},
		{menu, "23", Final, "r(2 3 { {x} })"},
		{menu, "*", Partial, "-"},
		{menu, "*#", Final, "r(* #)"},
		{self, "112", Final, "r(1 r(1 r(2)))"},
		{left, "111", Complete, "r(r(r(1) 1) 1)"},
		{void, "1", Partial, "-"},
		{void, "2", Complete, "r(2)"},
		{void, "4449", Complete, "r(4 4 4 9)"},
		{`<grammar mode="dtmf" root="a"><rule id="a"><item repeat="1-3"><one-of><item>1<tag>one</tag></item><item>2</item></one-of></item></rule></grammar>`, "12",
			Complete, "a(1 {one} 2)"},
		{`<grammar mode="dtmf" root="a"><rule id="a"><item repeat="0-">5</item><ruleref uri="#b"/></rule><rule id="b"><token>12</token></rule></grammar>`, "5512", Final, "a(5 5 b(1 2))"},
		{`<grammar mode="dtmf"><rule id="a">7</rule></grammar>`, "7", Final, "a(7)"},
	} {
		p := compile(t, c.grammar)
		parse, status := p.Match(c.input)
		if status != c.status || parse.notation() != c.parse {
			t.Errorf("%s\n%q: status %d %s; want %d %s", c.grammar, c.input, status, parse.notation(), c.status, c.parse)
		}
	}
}

func TestGrammarErrors(t *testing.T) {
	for src, want := range map[string]string{
		"":                                                                            "#ABNF 1.0",
		"#ABNF 1.0; mode dtmf;\n$a = 1":                                               `2:7: ";" is expected here`,
		"#ABNF 1.0; mode dtmf;\n $a = x;":                                             `2:7: "x" is no DTMF key`,
		"#ABNF 1.0; mode dtmf; $a = $b;":                                              `rule "b" is not in the grammar`,
		"#ABNF 1.0; mode dtmf; $a = 1; $a = 2;":                                       `rule "a" is defined twice`,
		"#ABNF 1.0; mode dtmf; root $z; $a = 1;":                                      `the root rule "z" is not in the grammar`,
		"#ABNF 1.0; mode dtmf; $a = 1<2-1>;":                                          "ends below its beginning",
		"#ABNF 1.0; mode dtmf; $a = ;":                                                "is empty",
		"#ABNF 1.0; mode dtmf; $a = " + strings.Repeat("(", 200):                      "nested deeper",
		`<grammar mode="tones"/>`:                                                     "1:1: mode \"tones\"",
		`<grammar mode="dtmf"><rule id="a"><one-of/></rule></grammar>`:                "1:35: <one-of> has no <item>",
		`<grammar mode="dtmf"><rule id="NULL">1</rule></grammar>`:                     "is no name of a rule",
		`<grammar mode="dtmf"><rule id="a"><ruleref/></rule></grammar>`:               "either uri or special",
		`<grammar mode="dtmf"><rule id="a"><ruleref special="ALL"/></rule></grammar>`: "NULL, VOID and GARBAGE",
		`<grammar mode="dtmf"><rule id="a">1</grammar>`:                               "not well-formed",
	} {
		if _, err := ParseGrammar([]byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v; want %q", src, err, want)
		}
	}
	for src, want := range map[string]string{
		"#ABNF 1.0; mode dtmf; root $a; $a = (((1<1000>)<1000>)<1000>);":  "too large",
		"#ABNF 1.0; mode dtmf; root $a; $a = ((($NULL<1000>)<1000>)<5>);": "too large",
		"#ABNF 1.0; mode dtmf; $a = 1; $b = 2;":                           "no root rule",
		"#ABNF 1.0; mode voice; root $a; $a = yes;":                       "for speech",
		"#ABNF 1.0; mode dtmf; root $a; $a = $<http://x/y>;":              "cannot be referred to",
	} {
		g, err := ParseGrammar([]byte(src))
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if _, err := Compile(g, "", nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", src, err, want)
		}
	}
}

func TestReferToOtherGrammars(t *testing.T) {
	parse := func(s string) *Grammar {
		g, err := ParseGrammar([]byte(s))
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	other := parse("#ABNF 1.0; mode dtmf; root $x; public $x = 1 {one}; public $y = 2;")
	g := parse(`#ABNF 1.0; mode dtmf; root $r; $r = $<http://h/o.gram> $<http://h/o.gram#y>~<application/srgs>;`)
	if got := g.References(); len(got) != 1 || got[0] != "http://h/o.gram" {
		t.Fatalf("references %q", got)
	}
	p, err := Compile(g, "", func(from *Grammar, uri string) (*Grammar, error) { return other, nil })
	if err != nil {
		t.Fatal(err)
	}
	if got, status := p.Match("12"); status != Final || got.notation() != "r(x(1 {one}) y(2))" {
		t.Errorf("status %d %s", status, got.notation())
	}
}

func TestBuiltin(t *testing.T) {
	for _, c := range []struct {
		spec, input string
		status      Status
		value       string
	}{
		{"digits", "12345", Complete, "12345"},
		{"digits?length=4", "1234", Final, "1234"},
		{"digits?minlength=3;maxlength=5", "12", Partial, ""},
		{"digits?minlength=3;maxlength=5", "12345", Final, "12345"},
		{"boolean", "1", Final, "true"},
		{"boolean?y=7;n=9", "9", Final, "false"},
		{"boolean?y=7;n=9", "1", NoMatch, ""},
		{"date", "20261122", Final, "20261122"},
		{"date", "202613", NoMatch, ""},
		{"time", "0930", Final, "0930?"},
		{"time", "2359", Final, "2359h"},
		{"time", "24", NoMatch, ""},
		{"number", "3*14", Complete, "3.14"},
		{"number", "*5", Complete, "0.5"},
		{"currency", "12*5", Complete, "12.50"},
		{"currency", "12", Complete, "12.00"},
		{"phone", "8005551212*789", Complete, "8005551212x789"},
	} {
		g, err := ParseBuiltin(c.spec)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Compile(g, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		parse, status := p.Match(c.input)
		value := ""
		if parse != nil {
			value = g.BuiltinValue(parse.Digits)
		}
		if status != c.status || value != c.value {
			t.Errorf("%s %q: status %d value %q; want %d %q", c.spec, c.input, status, value, c.status, c.value)
		}
	}
	for _, spec := range []string{"digits?length=0", "digits?length=4;minlength=2", "digits?size=4", "boolean?y=1;n=1", "digits?minlength=5;maxlength=3", "digits?length"} {
		if _, err := ParseBuiltin(spec); err == nil {
			t.Errorf("%s passes", spec)
		}
	}
	var none ErrNoBuiltin
	if _, err := ParseBuiltin("colour"); !errors.As(err, &none) {
		t.Errorf("colour: %v", err)
	}
}

// shared finds a file of the vectors that lie beside the repository.
func shared(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("LOCKTONE_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(dir, "vectors", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("not run: %s is not here (set LOCKTONE_SHARED to the folder of shared vectors)", name)
	}
	return path
}

// TestSRGSReport runs W3C's DTMF grammars: each says in its meta elements what goes in and what comes out.
func TestSRGSReport(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(shared(t, "voicexml/srgs-dtmf"), "*.grxml"))
	if len(files) != 6 {
		t.Fatalf("%d grammars; 6 are known", len(files))
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		root, err := Parse(src)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		meta := map[string]string{}
		for _, e := range root.Elements() {
			if e.Name == "meta" {
				meta[e.Attr("name")] = e.Attr("content")
			}
		}
		parse, status := compile(t, string(src)).Match(strings.ReplaceAll(meta["in.1"], " ", ""))
		if parse == nil || status != Final {
			t.Errorf("%s: %q: status %d", filepath.Base(file), meta["in.1"], status)
			continue
		}
		var keys []string
		for _, c := range parse.Digits {
			keys = append(keys, `"`+string(c)+`"`)
		}
		if got := "$" + parse.Rule + "[" + strings.Join(keys, ",") + "]"; got != meta["out.1"] {
			t.Errorf("%s: %s; want %s", filepath.Base(file), got, meta["out.1"])
		}
	}
}

func FuzzGrammar(f *testing.F) {
	f.Add("#ABNF 1.0; mode dtmf; root $r; public $r = /2/ 1 {sales} | 2 [3]<0-> {!{ {x} }!} | (\"*\" pound)<2>;", "1239*#")
	f.Add(`<grammar mode="dtmf" root="a"><rule id="a"><item repeat="1-3"><one-of><item>1<tag>t</tag></item><item><ruleref uri="#a"/></item></one-of></item></rule></grammar>`, "12")
	f.Fuzz(func(t *testing.T, src, input string) {
		if len(src) > 4096 {
			return
		}
		g, err := ParseGrammar([]byte(src))
		if err != nil {
			return
		}
		g.References()
		p, err := Compile(g, "", nil)
		if err != nil {
			return
		}
		m := NewMatcher(p)
		for i := 0; i < len(input) && i < 16; i++ {
			status := m.Push(input[i])
			result := m.Result()
			if (status == Complete || status == Final) != (result != nil) {
				t.Fatalf("status %d, result %v", status, result)
			}
			if result != nil && result.Digits != input[:i+1] {
				t.Fatalf("%q matched as %q", input[:i+1], result.Digits)
			}
		}
	})
}
