package vxml

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDocumentErrors(t *testing.T) {
	const head = `<vxml version="2.1" xmlns="http://www.w3.org/2001/vxml">` + "\n"
	for src, want := range map[string]string{
		"":                                 "has no element",
		"<html/>":                          "1:1: the document element is <html>",
		`<vxml version="1.0"/>`:            `1:1: version "1.0"`,
		head + "<form>":                    "not well-formed",
		head + "<from/></vxml>":            "2:1: <from> is no element",
		head + "<field/></vxml>":           "2:1: <field> must not stand in <vxml>",
		head + "<form idd='x'/></vxml>":    `2:1: <form> has no attribute "idd"; it has id, scope`,
		head + "<var/></vxml>":             `2:1: <var> needs the attribute "name"`,
		head + "<form>hello</form></vxml>": "2:7: text in <form>, where only elements may stand",
		head + `<x:form xmlns:x="urn:other"/></vxml>`:                                     "is no element of VoiceXML",
		head + "<form>&what;</form></vxml>":                                               "not well-formed",
		`<?xml version="1.0" encoding="EBCDIC"?><vxml/>`:                                  "EBCDIC",
		strings.Repeat("<a>", 200):                                                        "nested deeper",
		head + `<form id="a" id="b"/></vxml>`:                                             `attribute "id" twice`,
		head + "</vxml><vxml/>":                                                           "second document element",
		head + "<script src='a' srcexpr='b'/></vxml>":                                     "2:1: <script> has src and srcexpr",
		head + "<script src='a'>b</script></vxml>":                                        "2:1: <script> has src and content",
		head + "<form><grammar/></form></vxml>":                                           "2:7: <grammar> is empty",
		head + "<form><grammar srcexpr='a'><rule id='b'>1</rule></grammar></form></vxml>": "2:7: <grammar> has srcexpr and content",
		`<!DOCTYPE x [<!ENTITY a "b">]><vxml version="2.0">&a;</vxml>`:                    "not well-formed",
	} {
		if _, err := ParseDocument([]byte(src)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.70q: %v; want %q", src, err, want)
		}
	}
}

func TestEncodings(t *testing.T) {
	const text = `<vxml version="2.1"><form><block>Grüße</block></form></vxml>`
	latin := bytes.ReplaceAll([]byte(`<?xml version="1.0" encoding="ISO-8859-1"?>`+text), []byte("ü"), []byte{0xFC})
	latin = bytes.ReplaceAll(latin, []byte("ß"), []byte{0xDF})
	utf16 := []byte{0xFF, 0xFE}
	for _, r := range text {
		utf16 = append(utf16, byte(r), byte(r>>8))
	}
	for name, src := range map[string][]byte{"utf-8": []byte(text), "bom": []byte("\xEF\xBB\xBF" + text), "latin-1": latin, "utf-16": utf16} {
		e, err := ParseDocument(src)
		if err != nil || e.Content() != "Grüße" {
			t.Errorf("%s: %v, %v", name, e, err)
		}
	}
}

// TestWrite writes what a call server needs, and reads it again.
func TestWrite(t *testing.T) {
	doc := New("xml:lang", "en-US")
	doc.Add("property", "name", "timeout", "value", "5s")
	form := doc.Add("form", "id", "menu")
	field := form.Add("field", "name", "choice")
	field.Add("prompt", "bargein", "true", "count", "").Write("For <sales> & \"service\", press 1.")
	grammar := field.Add("grammar", "mode", "dtmf", "root", "r", "version", "1.0")
	grammar.Add("rule", "id", "r").Write("1")
	form.Add("block").Add("submit", "next", "https://callserver:8443/vxml/1/2?a=b&c=d", "namelist", "choice", "method", "post")
	form.Elements()[1].Add("log", "expr", Quote("it's\n<x>"))
	out, err := doc.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<vxml xmlns="http://www.w3.org/2001/vxml" version="2.1" xml:lang="en-US"><property name="timeout" value="5s"/><form id="menu"><field name="choice">` +
		`<prompt bargein="true">For &lt;sales&gt; &amp; &#34;service&#34;, press 1.</prompt><grammar mode="dtmf" root="r" version="1.0"><rule id="r">1</rule></grammar></field>` +
		`<block><submit next="https://callserver:8443/vxml/1/2?a=b&amp;c=d" namelist="choice" method="post"/><log expr="'it\'s\u000a\u003cx>'"/></block></form></vxml>
`
	if got := strings.ReplaceAll(string(out), "&gt;'", ">'"); got != want {
		t.Errorf("wrote\n%s\nwant\n%s", got, want)
	}
	if _, err := ParseDocument(out); err != nil {
		t.Errorf("what was written cannot be read: %v", err)
	}
	doc.Add("block")
	if _, err := doc.Encode(); err == nil {
		t.Error("a <block> in <vxml> was written")
	}
}

// TestVocabulary: the table speaks only of elements it defines, and required attributes are allowed ones.
func TestVocabulary(t *testing.T) {
	for _, d := range Vocabulary() {
		for _, c := range d.Children {
			if definitions[c] == nil {
				t.Errorf("<%s> in <%s> is not defined", c, d.Name)
			}
		}
		for _, r := range d.Required {
			if !slices.Contains(d.Attributes, r) {
				t.Errorf("<%s> requires %q and does not allow it", d.Name, r)
			}
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{"5s": 5 * time.Second, "850ms": 850 * time.Millisecond, "0.7s": 700 * time.Millisecond, "+1.5s": 1500 * time.Millisecond,
		"99999999999999999999s": MaxDuration} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "5", "s", "-5s", "1e9s", "5m", "NaNs", "Infs"} {
		if got, err := ParseDuration(s); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(`<vxml version="2.1" xmlns="http://www.w3.org/2001/vxml"><form><field name="x" type="digits"><prompt>Hi <value expr="a"/></prompt></field></form></vxml>`))
	f.Add([]byte(`<?xml version="1.0" encoding="ISO-8859-1"?><vxml version="2.0"><menu><choice dtmf="1" next="#a">a</choice></menu></vxml>`))
	f.Fuzz(func(t *testing.T, src []byte) {
		e, err := ParseDocument(src)
		if err != nil {
			return
		}
		out, err := e.Encode()
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		again, err := ParseDocument(out)
		if err != nil {
			t.Fatalf("written but not read: %v\n%s", err, out)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(out, twice) {
			t.Fatalf("not stable:\n%s\n%s\n%v", out, twice, err)
		}
	})
}

// TestVocabularyIsDocumented: docs/voicexml.md has one row for each element, which names each of its attributes, and no others.
func TestVocabularyIsDocumented(t *testing.T) {
	src, err := os.ReadFile("../../docs/voicexml.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for line := range strings.Lines(string(src)) {
		cells := strings.Split(line, "|")
		if len(cells) == 5 && strings.HasPrefix(cells[1], " `") {
			rows[strings.Trim(cells[1], " `")] = cells[2] + cells[3]
		}
	}
	for _, d := range Vocabulary() {
		row, ok := rows[d.Name]
		if !ok {
			t.Errorf("docs/voicexml.md has no row for <%s>", d.Name)
		}
		delete(rows, d.Name)
		for _, a := range d.Attributes {
			if !strings.Contains(row, "`"+a+"`") {
				t.Errorf("docs/voicexml.md does not speak of the attribute %s of <%s>", a, d.Name)
			}
		}
	}
	for name := range rows {
		t.Errorf("docs/voicexml.md speaks of <%s>, which is not read", name)
	}
}
