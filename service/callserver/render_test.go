package callserver

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/wire/vxml"
)

var update = flag.Bool("update", false, "write the golden files")

// TestRender: the documents of steps of every kind are as the golden files say, and are VoiceXML to who reads it.
func TestRender(t *testing.T) {
	hello := []contact.Prompt{{Text: `Hello & "welcome" <to> us`}, {Audio: "jingle one.wav"}, {Audio: "https://media.example/a.wav?x=1&y=2"}}
	cases := map[string][]contact.Play{
		"end":   nil,
		"say":   {{Kind: contact.Say, Prompts: hello}, {Kind: contact.Say, Prompts: hello[:1], Barge: true}},
		"music": {{Kind: contact.Music, For: 8 * time.Second}, {Kind: contact.Music, Source: "slow.wav"}},
		"menu": {{Kind: contact.Menu, Prompts: hello[:1], Variable: "choice", Barge: true, Tries: 2,
			Choices: []contact.Choice{{Key: "1", Value: "sales"}, {Key: "23"}, {Key: "*#", Value: "it's <odd>"}}}},
		"digits": {{Kind: contact.Digits, Prompts: hello[:1], Variable: "account", Min: 4, Max: 8, Timeout: 4 * time.Second, Inter: time.Second},
			{Kind: contact.Digits, Variable: "pin", End: contact.NoEnd}, {Kind: contact.Digits, Variable: "x", End: "*"}},
		"record": {{Kind: contact.Record, Prompts: hello[:1], Variable: "message", For: 30 * time.Second}},
	}
	for name, steps := range cases {
		l := contact.Label{Serial: 1, Kind: contact.Treat, Steps: steps}
		if err := l.Check(); len(steps) > 0 && err != nil {
			t.Fatal(err)
		}
		got, err := render(steps, "en-GB", "/vxml/cs-1-1/7", 17*time.Second)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := vxml.ParseDocument(got); err != nil {
			t.Errorf("%s: %v\n%s", name, err, got)
		}
		shown := strings.ReplaceAll(string(got), "><", ">\n<")
		file := filepath.Join("testdata", name+".vxml")
		if *update {
			if err := os.WriteFile(file, []byte(shown), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || string(want) != shown {
			t.Errorf("%s: %v; got\n%s\nwant\n%s", name, err, shown, want)
		}
	}
}
