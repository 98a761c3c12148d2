package dialplan

import (
	"encoding/json"
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func compile(t *testing.T, r Rules) *Plan {
	t.Helper()
	p, err := Compile(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// office is a small dial plan as found in the field.
var office = Rules{
	SearchSpaces: []SearchSpace{
		{"internal", []string{"emergency", "phones", "services"}},
		{"national", []string{"emergency", "phones", "services", "national"}},
		{"translated", []string{"phones"}},
	},
	Patterns: []Pattern{
		{Digits: "2001", Partition: "phones", Kind: DirectoryNumber},
		{Digits: "2002", Partition: "phones", Kind: DirectoryNumber},
		{Digits: `\+493055520XX`, Partition: "services", Kind: Translation, SearchSpace: "translated", Called: Transform{Mask: "XXXX"}},
		{Digits: "20[5-9]X", Partition: "services", Kind: ToApplet, To: "echo"},
		{Digits: "112", Partition: "emergency", Kind: ToTrunk, To: "pstn", Urgent: true},
		{Digits: "1120", Partition: "phones", Kind: DirectoryNumber},
		{Digits: "0.!", Partition: "national", Kind: ToRouteList, To: "out", Called: Transform{Discard: "predot", Prefix: "+49"}, Calling: Transform{Mask: "+493055XXXXX"}},
		{Digits: "0.0900!", Partition: "national", Kind: Blocked},
		{Digits: "*1", Partition: "services", Kind: Translation, Called: Transform{Mask: "*2"}},
		{Digits: "*2", Partition: "services", Kind: Translation, Called: Transform{Mask: "*1"}},
		{Digits: "9X", Kind: ToTrunk, To: "anyone"},
	},
}

func TestRoute(t *testing.T) {
	p := compile(t, office)
	for _, c := range []struct {
		space, called    string
		overlap          bool
		outcome          Outcome
		kind             Kind
		to, out, calling string
	}{
		{"internal", "2001", false, Match, DirectoryNumber, "", "2001", "2002"},
		{"internal", "+49305552001", false, Match, DirectoryNumber, "", "2001", "2002"},
		{"internal", "+49305552050", false, NoMatch, 0, "", "2050", "2002"}, // the translation's own search space has no services
		{"internal", "2077", false, Match, ToApplet, "echo", "2077", "2002"},
		{"internal", "112", true, Match, ToTrunk, "pstn", "112", "2002"}, // urgent, though 1120 exists
		{"internal", "11", true, MoreDigits, 0, "", "11", "2002"},
		{"internal", "200", true, MoreDigits, 0, "", "200", "2002"},
		{"internal", "200", false, NoMatch, 0, "", "200", "2002"},
		{"internal", "2001", true, Match, DirectoryNumber, "", "2001", "2002"},
		{"internal", "03012345", false, NoMatch, 0, "", "03012345", "2002"},
		{"national", "03012345", false, Match, ToRouteList, "out", "+493012345", "+4930552002"},
		{"national", "03012345", true, MoreDigits, 0, "", "03012345", "2002"},
		{"national", "009001234", false, Rejected, Blocked, "", "009001234", "2002"},
		{"internal", "*1", false, Loop, Translation, "", "*2", "2002"},
		{"internal", "97", false, Match, ToTrunk, "anyone", "97", "2002"}, // the nameless partition is in every search space
		{"", "97", false, Match, ToTrunk, "anyone", "97", "2002"},
		{"internal", "alice", false, NoMatch, 0, "", "alice", "2002"},
		{"internal", strings.Repeat("9", 500), false, NoMatch, 0, "", strings.Repeat("9", 500), "2002"},
	} {
		got := p.Route(Query{SearchSpaces: []string{c.space}, Called: c.called, Calling: "2002", Complete: !c.overlap})
		if got.Outcome != c.outcome || got.Called != c.out {
			t.Errorf("%s %s: %v %q, want %v %q", c.space, c.called, got.Outcome, got.Called, c.outcome, c.out)
			continue
		}
		if c.outcome == Match && (got.Pattern.Kind != c.kind || got.Pattern.To != c.to || got.Calling != c.calling) {
			t.Errorf("%s %s: %v %q calling %q, want %v %q calling %q", c.space, c.called, got.Pattern.Kind, got.Pattern.To, got.Calling, c.kind, c.to, c.calling)
		}
	}
}

func TestClosestMatch(t *testing.T) {
	p := compile(t, Rules{
		SearchSpaces: []SearchSpace{{"s", []string{"a", "b"}}, {"r", []string{"b", "a"}}},
		Patterns: []Pattern{
			{Digits: "1XXX", Partition: "a", Kind: DirectoryNumber},
			{Digits: "1!", Partition: "a", Kind: DirectoryNumber},
			{Digits: "1[0-4]XX", Partition: "b", Kind: DirectoryNumber},
			{Digits: "1X[0-4]X", Partition: "a", Kind: DirectoryNumber},
			{Digits: "100!", Partition: "b", Kind: DirectoryNumber},
		},
	})
	for _, c := range []struct{ space, called, want string }{
		{"s", "1999", "1XXX"},     // equal count to 1!, which has the loop
		{"s", "1199", "1[0-4]XX"}, // half as many, though the partition comes later
		{"s", "1100", "1X[0-4]X"}, // tie: the first partition
		{"r", "1100", "1[0-4]XX"},
		{"s", "1001", "100!"},
		{"s", "12", "1!"},
	} {
		if got := p.Route(Query{SearchSpaces: []string{c.space}, Called: c.called, Complete: true}); got.Pattern == nil || got.Pattern.Digits != c.want {
			t.Errorf("%s: %+v, want %s", c.called, got, c.want)
		}
	}
}

func TestTransform(t *testing.T) {
	for _, c := range []struct {
		t        Transform
		dot      int
		in, want string
	}{
		{Transform{}, -1, "2001", "2001"},
		{Transform{Discard: "predot"}, 1, "9555", "555"},
		{Transform{Discard: "2"}, -1, "9555", "55"},
		{Transform{Discard: "9"}, -1, "9555", ""},
		{Transform{Discard: "all", Prefix: "100"}, -1, "9555", "100"},
		{Transform{Mask: "+49305XXXX"}, -1, "2001", "+493052001"},
		{Transform{Mask: "+49305XXXX"}, -1, "01", "+4930501"},
		{Transform{Mask: "XXXX"}, -1, "+49302001", "2001"},
		{Transform{Discard: "predot", Mask: "55XX", Prefix: "0"}, 2, "001234", "05534"},
	} {
		if got := c.t.apply(c.in, c.dot); got != c.want {
			t.Errorf("%+v on %s: %s, want %s", c.t, c.in, got, c.want)
		}
	}
}

func TestCompileFaults(t *testing.T) {
	_, err := Compile(Rules{
		SearchSpaces: []SearchSpace{{"s", nil}, {"s", nil}},
		Patterns: []Pattern{
			{Digits: "2[", Kind: DirectoryNumber},
			{Digits: "2z", Kind: DirectoryNumber},
			{Digits: "[9-1]", Kind: DirectoryNumber},
			{Digits: "2!!", Kind: DirectoryNumber},
			{Digits: "2..", Kind: DirectoryNumber},
			{Digits: "!.2", Kind: DirectoryNumber},
			{Digits: "+49", Kind: DirectoryNumber},
			{Digits: "", Kind: DirectoryNumber},
			{Digits: "1X", Kind: DirectoryNumber},
			{Digits: "1[0-9]", Kind: DirectoryNumber},
			{Digits: "3", Kind: ToTrunk},
			{Digits: "4", Kind: Blocked, To: "x"},
			{Digits: "5", Kind: Translation, SearchSpace: "nowhere"},
			{Digits: "6", Kind: Translation, Called: Transform{Discard: "predot"}},
			{Digits: "7", Kind: Translation, Called: Transform{Mask: "abc"}},
			{Digits: "8", Kind: Translation, Calling: Transform{Prefix: "X"}},
		},
	})
	for _, want := range []string{
		"pattern 1, digits: a bracket that is not closed", "pattern 2, digits: 'z' cannot be dialled", "pattern 3, digits", "pattern 4, digits: a second \"!\"",
		"pattern 5, digits: a second dot", "pattern 6, digits: a dot after", "pattern 7, digits: a bare plus", "pattern 8, digits: no digits",
		"pattern 10, digits: pattern 9 is the same", "pattern 11, to:", "pattern 12, to:", "pattern 13, search_space:", "pattern 14, called:", "pattern 15, called:", "pattern 16, calling:",
		"search space 2, name:",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in\n%v", want, err)
		}
	}
	var re *RuleError
	if !errors.As(err, &re) {
		t.Errorf("%T is no RuleError", err)
	}
}

func TestExplain(t *testing.T) {
	p := compile(t, office)
	_, steps := p.Explain(Query{SearchSpaces: []string{"internal"}, Called: "+49305552001", Calling: "2002", Complete: true})
	var got []string
	for _, s := range steps {
		got = append(got, s.Sentence)
	}
	want := []string{
		`search space internal (emergency, phones, services) for "+49305552001"`,
		`\+493055520XX in services (translation) matches: one of 100 numbers of that length; it is the closest match and wins`,
		`called number "+49305552001" becomes "2001" (mask XXXX)`,
		`the search goes on in search space translated`,
		`search space translated (phones) for "2001"`,
		`2001 in phones (directory-number) matches: the number itself; it is the closest match and wins`,
		`match: the call goes to directory-number 2001 in phones as "2001"`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRulesAreJSON(t *testing.T) {
	b, err := json.Marshal(office)
	if err != nil {
		t.Fatal(err)
	}
	var back Rules
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(back)
	if string(again) != string(b) {
		t.Errorf("%s\nbecame\n%s", b, again)
	}
}

// oracle is the rule of the package comment, said a second time without a trie: every pattern is a regular expression,
// and what it matches of the dialled length is counted with big numbers.
func oracle(r Rules, space, number string) (best int, more bool) {
	best = -1
	var count *big.Int
	var loop bool
	for _, part := range partitionsOf(r, space) {
		for i, pat := range r.Patterns {
			if pat.Partition != part {
				continue
			}
			more = more || prefixMatches(pat.Digits, number)
			if !expression(pat.Digits).MatchString(number) {
				continue
			}
			c, l := matchCount(pat.Digits, len(number)), strings.Contains(pat.Digits, "!")
			if best < 0 || c.Cmp(count) < 0 || c.Cmp(count) == 0 && loop && !l {
				best, count, loop = i, c, l
			}
		}
	}
	return best, more
}

func partitionsOf(r Rules, space string) []string {
	for _, s := range r.SearchSpaces {
		if s.Name == space {
			return append(append([]string{}, s.Partitions...), "")
		}
	}
	return []string{""}
}

func expression(pattern string) *regexp.Regexp {
	e := strings.NewReplacer("[^0-1]", "[2-9]", ".", "", "X", "[0-9]", "!", "[0-9]+", "*", `\*`).Replace(pattern)
	return regexp.MustCompile("^(?:" + e + ")$")
}

// prefixMatches says whether some longer number that starts with number matches: tried by brute force over the alphabet
// the test patterns use, up to the longest pattern.
func prefixMatches(pattern, number string) bool {
	e := expression(pattern)
	var try func(s string, left int) bool
	try = func(s string, left int) bool {
		if len(s) > len(number) && e.MatchString(s) {
			return true
		}
		if left == 0 {
			return false
		}
		for _, c := range "0123*" {
			if try(s+string(c), left-1) {
				return true
			}
		}
		return false
	}
	return try(number, 4) // no pattern of the test has more than four places behind any point
}

// matchCount counts the strings of length n that a pattern matches.
func matchCount(pattern string, n int) *big.Int {
	total := big.NewInt(1)
	places := 0
	for _, el := range regexp.MustCompile(`\[[^\]]*\]|.`).FindAllString(pattern, -1) {
		size := 0
		switch {
		case el == ".":
			continue
		case el == "X":
			size = 10
		case el == "!":
			places++
			continue
		case el[0] == '[':
			for c := '0'; c <= '9'; c++ {
				if regexp.MustCompile(el).MatchString(string(c)) {
					size++
				}
			}
		default:
			size = 1
		}
		places++
		total.Mul(total, big.NewInt(int64(size)))
	}
	if strings.Contains(pattern, "!") {
		total.Mul(total, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n-places+1)), nil))
	}
	return total
}

func TestRouteAgainstOracle(t *testing.T) {
	element := rapid.SampledFrom([]string{"0", "1", "2", "3", "*", "X", "[1-2]", "[^0-1]", "[03]"})
	rapid.Check(t, func(t *rapid.T) {
		r := Rules{SearchSpaces: []SearchSpace{{"s", []string{"a", "b"}}, {"r", []string{"b", "a"}}, {"b", []string{"b"}}}}
		seen := map[string]bool{}
		for range rapid.IntRange(1, 12).Draw(t, "patterns") {
			parts := rapid.SliceOfN(element, 1, 4).Draw(t, "pattern")
			if rapid.Bool().Draw(t, "loop") {
				at := rapid.IntRange(0, len(parts)).Draw(t, "at")
				parts = append(parts[:at:at], append([]string{"!"}, parts[at:]...)...)
			}
			p := Pattern{Digits: strings.Join(parts, ""), Partition: rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "partition"), Kind: DirectoryNumber}
			if key := p.Digits + "@" + p.Partition; !seen[key] {
				seen[key] = true
				r.Patterns = append(r.Patterns, p)
			}
		}
		plan, err := Compile(r)
		if err != nil {
			t.Fatal(err)
		}
		number := rapid.StringOfN(rapid.SampledFrom([]rune("0123*")), 1, 5, -1).Draw(t, "number")
		space := rapid.SampledFrom([]string{"s", "r", "b", ""}).Draw(t, "space")
		wantBest, wantMore := oracle(r, space, number)
		best, more := plan.lookup(&Query{}, []string{space}, number, nil)
		if best != wantBest || more != wantMore {
			t.Fatalf("%q in %q: pattern %d more %v, the oracle says %d %v\n%+v", number, space, best, more, wantBest, wantMore, r.Patterns)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, p := range office.Patterns {
		f.Add(p.Digits, "2001")
	}
	f.Fuzz(func(t *testing.T, pattern, number string) {
		p, err := Compile(Rules{Patterns: []Pattern{{Digits: pattern, Kind: Translation}}})
		if err == nil {
			p.Route(Query{Called: number})
			p.Explain(Query{Called: number, Complete: true})
		}
	})
}

func BenchmarkRoute(b *testing.B) {
	r := Rules{SearchSpaces: []SearchSpace{{"s", []string{"phones", "out"}}}}
	for n := range 10000 {
		r.Patterns = append(r.Patterns, Pattern{Digits: big.NewInt(int64(20000 + n)).String(), Partition: "phones", Kind: DirectoryNumber})
	}
	r.Patterns = append(r.Patterns, Pattern{Digits: "0.!", Partition: "out", Kind: ToTrunk, To: "t", Called: Transform{Discard: "predot"}})
	p, err := Compile(r)
	if err != nil {
		b.Fatal(err)
	}
	q := Query{SearchSpaces: []string{"s"}, Called: "25000", Complete: true}
	b.ReportAllocs()
	for b.Loop() {
		if p.Route(q).Outcome != Match {
			b.Fatal("no match")
		}
	}
}

// TestPresentation: the last pattern on the way that says whether the caller may be seen counts.
func TestPresentation(t *testing.T) {
	p, err := Compile(Rules{SearchSpaces: []SearchSpace{{Name: "all", Partitions: []string{"in", "out"}}}, Patterns: []Pattern{
		{Digits: "*31", Partition: "in", Kind: Translation, Called: Transform{Mask: "9123"}, Presentation: PresentationRestricted},
		{Digits: "9123", Partition: "out", Kind: ToTrunk, To: "t"},
		{Digits: "*32", Partition: "in", Kind: Translation, Called: Transform{Mask: "8123"}, Presentation: PresentationRestricted},
		{Digits: "8123", Partition: "out", Kind: ToTrunk, To: "t", Presentation: PresentationAllowed},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for dialled, want := range map[string]Presentation{"*31": PresentationRestricted, "9123": PresentationDefault, "*32": PresentationAllowed, "8123": PresentationAllowed} {
		if r := p.Route(Query{SearchSpaces: []string{"all"}, Called: dialled, Complete: true}); r.Outcome != Match || r.Presentation != want {
			t.Errorf("%s: %s, presentation %d, want %d", dialled, r.Outcome, r.Presentation, want)
		}
	}
}

// TestFeatureCodes: what stands behind the dot is the argument, in global form too; a feature without one has none.
func TestFeatureCodes(t *testing.T) {
	p := compile(t, Rules{Patterns: []Pattern{
		{Digits: "*21.!", Kind: ToFeature, To: "forward-all"},
		{Digits: "#21", Kind: ToFeature, To: "forward-cancel"},
		{Digits: "*8.XX", Kind: ToFeature, To: "pickup", Called: Transform{Discard: "predot"}},
		{Digits: "70X", Kind: ToPark, To: "lobby"},
		{Digits: "6000", Kind: ToHunt, To: "sales"},
		{Digits: "9.!", Kind: ToTrunk, To: "t"},
	}})
	for _, c := range []struct{ dialled, to, called, rest string }{
		{"*212001", "forward-all", "*212001", "2001"},
		{"*21+49305550", "forward-all", "*21+49305550", "+49305550"},
		{"#21", "forward-cancel", "#21", ""},
		{"*812", "pickup", "12", "12"},
		{"703", "lobby", "703", ""},
		{"6000", "sales", "6000", ""},
	} {
		r := p.Route(Query{Called: c.dialled, Complete: true})
		if r.Outcome != Match || r.Pattern.To != c.to || r.Called != c.called || r.Rest != c.rest {
			t.Errorf("%s: %s %+v called %q rest %q, want %s, %q, %q", c.dialled, r.Outcome, r.Pattern, r.Called, r.Rest, c.to, c.called, c.rest)
		}
	}
	if r := p.Route(Query{Called: "9+49", Complete: true}); r.Outcome != NoMatch {
		t.Errorf("a plus inside the ! of a route pattern: %s", r.Outcome)
	}
	if _, err := Compile(Rules{Patterns: []Pattern{{Digits: "6000", Kind: ToHunt}}}); err == nil {
		t.Error("a hunt pattern without a name compiles")
	}
}
