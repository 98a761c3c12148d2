package lab_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// caller is a voice browser's platform with a caller who presses keys: each entry of keys is what is pressed while one input is waited for, a
// blank is silence. It stops when a document was submitted, or when the caller has heard enough.
type caller struct {
	document []byte
	keys     []string
	heard    []string
	form     []string
	most     int // plays until the caller hangs up; zero: never
}

var errEnough = errors.New("the test has seen enough")

func (c *caller) Do(_ context.Context, a interpreter.Action) (interpreter.Outcome, error) {
	switch {
	case a.Fetch != nil && a.Fetch.Method == "POST":
		for _, v := range a.Fetch.Form {
			c.form = append(c.form, v.Name+"="+v.Value+v.Recording)
		}
		return interpreter.Outcome{}, errEnough
	case a.Fetch != nil:
		return interpreter.Outcome{Fetched: &interpreter.Fetched{Status: 200, URL: a.Fetch.URL, Type: "application/voicexml+xml", Body: c.document}}, nil
	case a.Play != nil:
		for _, p := range a.Play.Prompts {
			for _, piece := range p.Pieces {
				if piece.Audio != nil {
					c.heard = append(c.heard, fmt.Sprint(piece.Audio.URL))
				} else if text := strings.TrimSpace(piece.Text); text != "" {
					c.heard = append(c.heard, text)
				}
			}
		}
		if c.most--; c.most == 0 {
			return interpreter.Outcome{}, errEnough
		}
		if a.Play.Collect == nil {
			return interpreter.Outcome{}, nil
		}
		return c.key(), nil
	case a.Listen != nil:
		return c.key(), nil
	case a.Record != nil:
		return interpreter.Outcome{Recorded: &interpreter.Recorded{Reference: "rec1", Duration: time.Second, Size: 16000, Type: "audio/x-wav"}}, nil
	}
	return interpreter.Outcome{}, nil
}

func (c *caller) key() interpreter.Outcome {
	if len(c.keys) == 0 || c.keys[0] == "" {
		return interpreter.Outcome{Input: &interpreter.Input{}}
	}
	key := c.keys[0][:1]
	if c.keys[0] = c.keys[0][1:]; key == " " {
		key = ""
	}
	return interpreter.Outcome{Input: &interpreter.Input{Digit: key}}
}

// TestCallServerDocuments: what the call server writes for its steps does in our voice browser what the steps say: prompts are played before
// the submit, choices and digits come back under the names the call server knows, tries are counted, music goes on.
func TestCallServerDocuments(t *testing.T) {
	rows := []struct {
		document, keys string
		most           int
		heard, form    string
	}{
		{document: "say", heard: `Hello & "welcome" <to> us`, form: "done=yes"},
		{document: "menu", keys: "1", heard: "welcome", form: "r0=1 w0= done=yes"},
		{document: "menu", keys: "923", heard: "welcome", form: "r0=23 w0= done=yes"},
		{document: "menu", keys: "  ", heard: "welcome", form: "r0= w0=noinput done=yes"},
		{document: "menu", keys: "99", heard: "welcome", form: "r0= w0=nomatch done=yes"},
		{document: "digits", keys: "1234#7" + "8*", heard: "welcome", form: "r0=1234 w0= r1=7 w1= r2=8 w2= done=yes"},
		{document: "digits", keys: "   ", heard: "welcome", form: "r0= w0=noinput r1= w1= r2= w2= done=yes"},
		{document: "music", most: 5, heard: "music.wav"},
		{document: "record", heard: "", form: "r0=rec1 w0= done=yes"},
	}
	for _, r := range rows {
		text, err := os.ReadFile(filepath.Join("..", "service", "callserver", "testdata", r.document+".vxml"))
		if err != nil {
			t.Fatal(err)
		}
		c := &caller{document: text, keys: []string{r.keys}, most: r.most}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		result := interpreter.Run(ctx, interpreter.Start{URL: "https://127.0.1.20:8443/vxml/cs-1-1/7"}, c)
		cancel()
		if !strings.Contains(result.Error, errEnough.Error()) {
			t.Errorf("%s, keys %q: ended with %+v", r.document, r.keys, result)
		}
		if heard := strings.Join(c.heard, "|"); !strings.Contains(heard, r.heard) {
			t.Errorf("%s, keys %q: heard %q, expected %q", r.document, r.keys, heard, r.heard)
		}
		same := map[string]bool{}
		for _, f := range c.form {
			same[f] = true
		}
		want := strings.Fields(r.form)
		for _, f := range want {
			if !same[f] {
				t.Errorf("%s, keys %q: submitted %q, expected %s", r.document, r.keys, c.form, f)
			}
		}
		if len(want) != len(c.form) {
			t.Errorf("%s, keys %q: submitted %q, expected %q", r.document, r.keys, c.form, want)
		}
	}
}
