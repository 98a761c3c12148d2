package dialpeer

import (
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, number string
		spelt           int
		ok              bool
	}{
		{"555....", "5550124", 3, true},
		{"555....", "555012", 0, false},
		{"555", "5550124", 3, true}, // goes on, as in the field
		{"555$", "5550124", 0, false},
		{"555$", "555", 3, true},
		{"555T", "5550124", 3, true},
		{"555T", "555", 3, true},
		{".T", "5", 0, true},
		{".T", "", 0, false},
		{"T", "1234567", 0, true},
		{"T", "", 0, false},
		{".", "+4930123", 0, true}, // looks behind the plus
		{"+49T", "+4930123", 2, true},
		{"+49T", "4930123", 0, false},
		{`\+49T`, "+4930123", 2, true},
		{"[1-3]22$", "322", 3, true},
		{"[1-3]22$", "422", 0, false},
		{"[^1-3]22$", "422", 3, true},
		{"[^1-3]22$", "*22", 3, true},
		{"[2,5]", "5", 1, true},
		{"[2,5]", "4", 0, false},
		{"5+23$", "55523", 5, true},
		{"5+23$", "23", 0, false},
		{"5%23$", "23", 2, true},
		{"5?23$", "5523", 0, false},
		{"408(555)?1$", "4081", 4, true},
		{"408(555)?1$", "4085551", 7, true},
		{"(12)%3$", "12123", 5, true},
		{"(12)%3$", "1213", 0, false},
		{"9,011T", "901149", 4, true},
		{`\*69$`, "*69", 3, true},
		{"*#", "*#1", 2, true},
		{"^91[2-9]..[2-9]......$", "918005550199", 4, true},
		{"^91[2-9]..[2-9]......$", "91800555", 0, false},
		{"^9[2-9]..[2-9]......$", "98005550199", 3, true},
		{"A.D", "a5d", 2, true},
		{".", "x", 0, false},
		{"+", "+1", 0, true},
	} {
		p, err := ParsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
			continue
		}
		if n, ok := p.Match(c.number); n != c.spelt || ok != c.ok {
			t.Errorf("%s on %q: %d %v, want %d %v", c.pattern, c.number, n, ok, c.spelt, c.ok)
		}
	}
}

func TestPatternErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "nothing to match at 0", "%5": "nothing in front of it", "5%%": "behind another repetition", "(5": "not closed", "5)": "no opening",
		"()5": "group is empty", "[5": "not closed", "[5-1]": "goes backwards", "[]": "a set is empty", "T5": "T stands before the end", "5$5": "follows $",
		"5x": `'x' means nothing here at 1`, `5\`: "no digit behind", "(5$)": "in a group", "[5x]": "cannot stand in a set", "[^0-9A-D*#]": "a set is empty",
		strings.Repeat("(", 20) + "5": "nested", strings.Repeat("5", 200): "too long",
	} {
		if p, err := ParsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", pattern, p, err, want)
		}
	}
}

// FuzzPattern: parsing is total, and what parses matches without end and counts no more digits than there are.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"555....", "+49T", "[^1-3]22$", "408(555)?1", "((1%)%)%5", "9,011T", `\*69`, "(.%)+(.%)+$"} {
		f.Add(s, "5550124")
	}
	f.Fuzz(func(t *testing.T, pattern, number string) {
		p, err := ParsePattern(pattern)
		if err != nil {
			if at := err.(*PatternError).Offset; at < 0 || at > len(pattern) {
				t.Fatalf("offset %d of %q", at, pattern)
			}
			return
		}
		n, ok := p.Match(number)
		if n < 0 || n > len(number) || !ok && n != 0 {
			t.Fatalf("%q on %q: %d %v", pattern, number, n, ok)
		}
		if p.String() != pattern {
			t.Fatalf("%q reads back as %q", pattern, p)
		}
		if longer := number + "1"; ok && !strings.Contains(pattern, "$") && len(longer) <= MaxNumber {
			if _, still := p.Match(longer); !still {
				t.Fatalf("%q matches %q and not %q", pattern, number, longer)
			}
		}
	})
}

func TestTranslate(t *testing.T) {
	for _, c := range []struct{ match, replace, in, want string }{
		{`^9(.*)$`, `\1`, "9555", "555"}, {`^0`, `+49`, "030", "+4930"}, {`5`, `[&]`, "4555", "4[5]55"}, {`^(..)(..)$`, `\2\1`, "1234", "3412"}, {`x`, ``, "12", "12"},
	} {
		r, err := NewRule(c.match, c.replace)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := r.Apply(c.in); got != c.want {
			t.Errorf("%s -> %s on %s: %s, want %s", c.match, c.replace, c.in, got, c.want)
		}
	}
	for _, c := range [][2]string{{`(`, ``}, {`a`, `\1`}, {strings.Repeat("a", 600), ``}} {
		if _, err := NewRule(c[0], c[1]); err == nil {
			t.Errorf("%q %q is accepted", c[0], c[1])
		}
	}
}
