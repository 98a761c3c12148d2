package interpreter

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the traces of testdata/scripts")

// TestScripts runs the sessions of testdata/scripts: sections "-- NAME --" are what can be fetched from http://t/NAME (main.vxml is where a
// session begins), "-- caller --" is what the caller and the world do, one word for each action that waits, and "-- trace --" is what the
// interpreter asked of its platform. `go test ./service/voicebrowser/interpreter -run TestScripts -update` writes the traces.
//
// Words: a key; "-" nothing; "hangup"; "~1" a key while a hotword prompt plays on; "rec" a recording, "rec#" one ended by #, "rec!" one ended
// by hanging up; any other word is the result of a transfer.
func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/scripts/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := readWorld(string(src))
			start := Start{URL: "http://t/main.vxml", MaxAge: -1, MaxStale: -1, Connection: Connection{Local: "sip:ivr@t", Remote: "sip:joe@t", AAI: "x=1", ProtocolName: "sip",
				Headers: []Variable{{Name: "subject", Value: "hi"}}, Redirect: []Redirection{{URI: "sip:first@t", Reason: "no answer"}}}, Session: map[string]string{"callid": "c1"}}
			r := Run(t.Context(), start, w)
			fmt.Fprintf(&w.trace, "end: %s", r.End)
			for _, v := range r.Values {
				fmt.Fprintf(&w.trace, " %s=%s%s", v.Name, v.Value, v.Recording)
			}
			if r.Error != "" {
				fmt.Fprintf(&w.trace, "\n  %s: %s", r.Event, r.Error)
			}
			w.trace.WriteString("\n")
			if len(w.caller) > 0 {
				fmt.Fprintf(&w.trace, "left over: %s\n", strings.Join(w.caller, " "))
			}
			head, want, _ := strings.Cut(string(src), "-- trace --\n")
			if *update {
				if err := os.WriteFile(file, []byte(head+"-- trace --\n"+w.trace.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got := w.trace.String(); got != want {
				t.Errorf("the trace is\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// world is the platform of a script.
type world struct {
	files  map[string]string
	caller []string
	trace  strings.Builder
	marked string
}

func readWorld(src string) *world {
	w := &world{files: map[string]string{}}
	name := ""
	for line := range strings.Lines(src) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok && strings.HasSuffix(n, " --") {
			name = strings.TrimSuffix(n, " --")
			continue
		}
		w.files[name] += line
	}
	w.caller = strings.Fields(w.files["caller"])
	return w
}

func (w *world) next() string {
	if len(w.caller) == 0 {
		return "hangup"
	}
	word := w.caller[0]
	w.caller = w.caller[1:]
	return word
}

func (w *world) Do(ctx context.Context, a Action) (Outcome, error) {
	switch {
	case a.Fetch != nil:
		return w.fetch(a.Fetch), nil
	case a.Log != nil:
		level := "log"
		if a.Log.Warning {
			level = "warning"
		}
		fmt.Fprintf(&w.trace, "%s: %s\n", strings.TrimSpace(level+" "+a.Log.Label), a.Log.Text)
		return Outcome{}, nil
	case a.Play != nil:
		w.prompts(a.Play.Prompts)
		if a.Play.Collect == nil {
			return Outcome{}, nil
		}
		return w.input(fmt.Sprintf("collect %s", a.Play.Collect.Timeout)), nil
	case a.Listen != nil:
		what := fmt.Sprintf("listen %s", a.Listen.Wait)
		if a.Listen.Rest {
			what += " (rest of the prompts)"
		}
		return w.input(what), nil
	case a.Stop != nil:
		w.trace.WriteString("stop\n")
		return Outcome{}, nil
	case a.Record != nil:
		return w.record(a.Record), nil
	case a.Transfer != nil:
		return w.transfer(a.Transfer), nil
	case a.Disconnect != nil:
		w.prompts(a.Disconnect.Prompts)
		fmt.Fprintf(&w.trace, "disconnect %v\n", a.Disconnect.Values)
		return Outcome{}, nil
	}
	return Outcome{}, errors.New("an action without a member")
}

func (w *world) fetch(f *Fetch) Outcome {
	fmt.Fprintf(&w.trace, "fetch %s %s %s", f.Use, f.Method, f.URL)
	for _, v := range f.Form {
		fmt.Fprintf(&w.trace, " %s=%s%s", v.Name, v.Value, v.Recording)
	}
	if f.Encoding != "" {
		fmt.Fprintf(&w.trace, " (%s)", f.Encoding)
	}
	if f.Timeout > 0 {
		fmt.Fprintf(&w.trace, " timeout=%s", f.Timeout)
	}
	if f.MaxAge >= 0 {
		fmt.Fprintf(&w.trace, " maxage=%s", f.MaxAge)
	}
	if f.Audio != "" {
		fmt.Fprintf(&w.trace, " audio=%s", f.Audio)
	}
	w.trace.WriteString("\n")
	plain, _, _ := strings.Cut(strings.TrimPrefix(f.URL, "http://t/"), "?")
	body, ok := w.files[plain]
	switch {
	case strings.HasPrefix(f.URL, "http://forbidden"):
		return Outcome{Fetched: &Fetched{Denied: true, Failure: "no origin of this application"}}
	case !ok:
		return Outcome{Fetched: &Fetched{Status: 404, Failure: "Not Found"}}
	}
	if strings.HasSuffix(plain, ".vxml") && !strings.Contains(body, "<vxml") {
		body = `<vxml version="2.1" xmlns="http://www.w3.org/2001/vxml">` + body + `</vxml>`
	}
	return Outcome{Fetched: &Fetched{Status: 200, URL: f.URL, Body: []byte(body)}}
}

func (w *world) prompts(prompts []Prompt) {
	for _, p := range prompts {
		w.trace.WriteString("say")
		if !p.Barge {
			w.trace.WriteString(" !barge")
		}
		if p.Hotword {
			w.trace.WriteString(" hotword")
		}
		if p.Language != "" {
			w.trace.WriteString(" " + p.Language)
		}
		w.trace.WriteString(":" + w.pieces(p.Pieces) + "\n")
	}
}

func (w *world) pieces(pieces []Piece) string {
	var b strings.Builder
	for _, p := range pieces {
		switch {
		case p.Audio != nil:
			fmt.Fprintf(&b, " <%s%s", p.Audio.URL, p.Audio.Recording)
			if len(p.Audio.Else) > 0 {
				b.WriteString(" else" + w.pieces(p.Audio.Else))
			}
			b.WriteString(">")
		case p.Mark != "":
			b.WriteString(" [mark " + p.Mark + "]")
			w.marked = p.Mark
		case p.Text == "":
			fmt.Fprintf(&b, " [%s]", p.Break)
		case p.Say != nil:
			fmt.Fprintf(&b, " %s%+v", p.Text, strings.Join(strings.Fields(strings.Trim(fmt.Sprintf("%v", *p.Say), "{}")), ","))
		default:
			b.WriteString(" " + p.Text)
		}
	}
	return b.String()
}

func (w *world) input(what string) Outcome {
	word := w.next()
	fmt.Fprintf(&w.trace, "%s: %s\n", what, word)
	out := Outcome{Input: &Input{Digit: word}}
	if w.marked != "" {
		out.Mark = &Mark{Name: w.marked, Time: time.Second}
	}
	switch {
	case word == "hangup":
		return Outcome{Hangup: true}
	case word == "-":
		out.Input.Digit = ""
	case word[0] == '~':
		out.Input.Digit, out.Input.Playing = word[1:], true
	}
	return out
}

func (w *world) record(r *Record) Outcome {
	w.prompts(r.Prompts)
	word := w.next()
	fmt.Fprintf(&w.trace, "record beep=%v timeout=%s max=%s silence=%s term=%v %s: %s\n", r.Beep, r.Timeout, r.MaxTime, r.FinalSilence, r.Term, r.Type, word)
	out := Outcome{Recorded: &Recorded{Reference: "recording:1", Duration: 3 * time.Second, Size: 24000}}
	switch word {
	case "-":
		return Outcome{Recorded: &Recorded{}}
	case "rec#":
		out.Recorded.TermChar = "#"
	case "rec!", "hangup":
		out.Hangup = true
	}
	return out
}

func (w *world) transfer(a *Transfer) Outcome {
	w.prompts(a.Prompts)
	word := w.next()
	fmt.Fprintf(&w.trace, "transfer %s %s connect=%s max=%s", a.Kind, a.Dest, a.ConnectTimeout, a.MaxTime)
	for _, flag := range []struct {
		name string
		on   bool
	}{{"digits", a.Digits && !a.Resume && !a.End}, {"resume", a.Resume}, {"end", a.End}, {"aai=" + a.AAI, a.AAI != ""}, {"audio=" + a.Audio, a.Audio != ""}} {
		if flag.on {
			w.trace.WriteString(" " + flag.name)
		}
	}
	fmt.Fprintf(&w.trace, ": %s\n", word)
	switch {
	case word == "hangup":
		return Outcome{Hangup: true}
	case len(word) == 1:
		return Outcome{Input: &Input{Digit: word}}
	case strings.HasPrefix(word, "error."):
		return Outcome{Transferred: &Transferred{Failure: word}}
	}
	return Outcome{Transferred: &Transferred{Result: word, Duration: 42 * time.Second}}
}
