package trace

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares text with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (-update writes it anew):\n%s", path, got)
	}
}

// storedSample is the sample call as a recorder hands it back.
func storedSample(t *testing.T) []Record {
	t.Helper()
	var out []Record
	for _, r := range sampleCall() {
		b, err := appendRecord(nil, &r, policy{}), error(nil)
		var back Record
		if err = back.UnmarshalJSON(b); err != nil {
			t.Fatal(err)
		}
		out = append(out, back)
	}
	return out
}

func TestLadderText(t *testing.T) {
	l := NewLadder(storedSample(t), LadderOptions{})
	golden(t, "call.txt", []byte(l.Text(0)))
	narrow := l.Text(120)
	golden(t, "call-120.txt", []byte(narrow))
	for _, line := range strings.Split(narrow, "\n") {
		if n := utf8.RuneCountInString(line); n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	golden(t, "call-engine.txt", []byte(NewLadder(storedSample(t), LadderOptions{Engine: true}).Text(120)))
	b, _ := json.MarshalIndent(l, "", " ")
	golden(t, "call.json", append(b, '\n'))
}

func TestLadderSVG(t *testing.T) {
	svg := NewLadder(storedSample(t), LadderOptions{}).SVG()
	golden(t, "call.svg", svg)
	wellFormed(t, svg)
	for _, no := range []string{"<script", "http://www.w3.org/1999/xlink", "@import", "url("} {
		if bytes.Contains(svg, []byte(no)) {
			t.Errorf("the drawing holds %q: it must stand alone", no)
		}
	}
}

func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not XML: %v", err)
		}
	}
}

// TestLadderOfOneHop: between two services a message is one arrow, with the time it took, and a hop in clear is not
// drawn as protected.
func TestLadderOfOneHop(t *testing.T) {
	recs := storedSample(t)
	l := NewLadder(recs, LadderOptions{})
	invites, took := 0, 0
	for _, r := range l.Rows {
		if strings.HasPrefix(r.Label, "INVITE") {
			invites++
		}
		if r.Took > 0 {
			took++
		}
	}
	if invites != 3 || took != 7 {
		t.Errorf("%d INVITE arrows and %d measured hops, want 3 and 7", invites, took)
	}
	if got := len(l.Columns); got != 4 {
		t.Errorf("%d columns: %+v", got, l.Columns)
	}
	for i := range recs {
		if recs[i].Device != "" {
			recs[i].Net = "udp"
		}
	}
	text := NewLadder(recs, LadderOptions{}).Text(0)
	if !strings.Contains(text, "in clear: 1") || strings.Contains(text, "every hop was encrypted") {
		t.Errorf("a hop in clear is not shown as such:\n%s", text)
	}
}

// TestLadderOfGarbage: whatever a body holds, there is a drawing, and it is XML.
func TestLadderOfGarbage(t *testing.T) {
	for _, body := range []string{"", "\x00\xff<&\"'>\r\n\r\n", "INVITE", "SIP/2.0 abc", strings.Repeat("A", 70000), "]]>\n:\n", "INVITE <script>x</script> SIP/2.0\r\n\r\n"} {
		recs := []Record{{Kind: KindSIPIn, Body: []byte(body), Service: "a<b>&\x01"}, {Kind: KindTLSFailed, Summary: body}}
		l := NewLadder(recs, LadderOptions{})
		if l.Text(80) == "" || l.Text(10) == "" {
			t.Error("no text")
		}
		wellFormed(t, l.SVG())
	}
	wellFormed(t, NewLadder(nil, LadderOptions{}).SVG())
	if got := NewLadder(nil, LadderOptions{}).Text(80); got != "no messages\n" {
		t.Errorf("empty ladder: %q", got)
	}
}

func FuzzLadder(f *testing.F) {
	for _, r := range sampleCall() {
		f.Add(r.Body, r.Summary)
	}
	f.Fuzz(func(t *testing.T, body []byte, summary string) {
		recs := []Record{
			{Kind: KindSIPOut, Service: "a", Local: ap("127.0.0.1:1"), Remote: ap("127.0.0.1:2"), Body: body},
			{Kind: KindNote, Service: summary, Summary: summary},
			{Kind: KindSIPIn, Service: "b", Local: ap("127.0.0.1:2"), Remote: ap("127.0.0.1:1"), Body: body},
		}
		l := NewLadder(recs, LadderOptions{Engine: true})
		l.Text(60)
		wellFormed(t, l.SVG())
		var sdl bytes.Buffer
		if err := WriteSDL(&sdl, recs); err != nil {
			t.Error(err)
		}
	})
}

func TestSDL(t *testing.T) {
	t.Setenv("TZ", "UTC")
	var b bytes.Buffer
	if err := WriteSDL(&b, storedSample(t)); err != nil {
		t.Fatal(err)
	}
	golden(t, "call.sdl", b.Bytes())
}
