package call

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden scripts with what the engine does now")

// start is when every script begins.
var start = time.Date(2026, 1, 1, 9, 0, 0, 0, time.UTC)

// script runs one golden script. A block is input lines, "----", output lines, an empty line. Inputs:
//
//	site NAME                 a configuration (see variants)
//	up NAME...                devices register
//	explain key=value         what would happen (device, trunk, calling, called, at)
//	wait DURATION             time passes; timers go off when they are due
//	DRIVER Signal key=value   what a driver says; desc=kind:ref:direction:security[:no-events], others are the JSON fields; peers are proven (trust=mutual)
//	                          unless trust= says otherwise
//	app Request key=value     what an application asks
type script struct {
	t       *testing.T
	k       *checker
	now     time.Time
	out     strings.Builder
	records []Recorded
	pending []string // output of the block so far
}

func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { runScript(t, f) })
	}
}

func runScript(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, k: newChecker(true), now: start}
	got := s.run(string(b))
	for _, f := range s.k.faults {
		t.Error("invariant", f)
	}
	if _, err := Replay(s.records); err != nil {
		t.Error(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(b) {
		t.Errorf("the script gives something else now (go test -update writes it):\n%s", difference(string(b), got))
	}
}

// difference shows the first lines that differ, with the block they are in.
func difference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	i := 0
	for i < len(w) && i < len(g) && w[i] == g[i] {
		i++
	}
	cut := func(l []string) string { return strings.Join(l[max(0, min(i-6, len(l))):min(i+8, len(l))], "\n") }
	return fmt.Sprintf("line %d\nwant\n%s\n\ngot\n%s", i+1, cut(w), cut(g))
}

func (s *script) run(text string) string {
	inOutput := false
	for _, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		switch {
		case line == "":
			inOutput = false
			fmt.Fprintln(&s.out)
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&s.out, line)
		case inOutput:
		case line == "----":
			inOutput = true
			fmt.Fprintln(&s.out, line)
			s.flush()
		default:
			fmt.Fprintln(&s.out, line)
			s.input(line)
		}
	}
	return s.out.String()
}

func (s *script) input(line string) {
	f := strings.Fields(line)
	switch f[0] {
	case "site":
		site, ok := variants()[f[1]]
		if !ok {
			s.t.Fatalf("no site %q", f[1])
		}
		s.step(Input{Config: site.must(s.t)})
	case "up":
		for _, d := range f[1:] {
			s.step(Input{Driver: "sip", Signal: DeviceState{Device: d, Up: true}})
		}
	case "explain":
		s.explain(f[1:])
	case "wait":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			s.t.Fatal(err)
		}
		s.wait(d)
	default:
		s.step(s.parse(f))
	}
}

func (s *script) wait(d time.Duration) {
	end := s.now.Add(d)
	for next := s.k.e.Deadline(); !next.IsZero() && !next.After(end); next = s.k.e.Deadline() {
		s.now = next
		s.step(Input{})
	}
	s.now = end
}

// parse reads "DRIVER Kind key=value ...".
func (s *script) parse(f []string) Input {
	body := map[string]any{}
	for _, kv := range f[2:] {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			s.t.Fatalf("%q is no key=value", kv)
		}
		switch {
		case f[1] == "Conference" && key == "with":
			body[key] = scriptValue("legs", value)
			continue
		case (f[1] == "Redirect" || f[1] == "Deliver" || f[1] == "Join") && key == "calling":
			body[key] = value
			continue
		}
		body[key] = scriptValue(key, value)
	}
	w := map[string]any{"at": s.now, "signal": f[1], "driver": f[0], "body": body}
	if f[0] == "app" {
		w = map[string]any{"at": s.now, "request": f[1], "by": "app", "id": "r1", "body": body}
	}
	if (f[1] == "Setup" || f[1] == "Answered") && body["trust"] == nil {
		body["trust"] = TrustMutual
	}
	b, _ := json.Marshal(w)
	_, in, err := UnmarshalInput(b)
	if err != nil {
		s.t.Fatalf("%s: %v", strings.Join(f, " "), err)
	}
	return in
}

func scriptValue(key, value string) any {
	switch key {
	case "leg", "replaces", "join", "with", "from", "hops", "millis", "party", "call", "tag":
		n, _ := strconv.Atoi(strings.TrimLeft(value, "lpct"))
		return n
	case "no_hops", "up", "plain", "unresolved", "on", "voicemail", "kept", "auto", "confer", "caller_space", "transfer", "unsaid":
		return value == "true"
	case "legs":
		var ids []int
		for _, id := range strings.Split(value, ",") {
			n, _ := strconv.Atoi(strings.TrimLeft(id, "l"))
			ids = append(ids, n)
		}
		return ids
	case "cause":
		return strings.ReplaceAll(value, "-", " ")
	case "calling", "connected":
		return map[string]any{"number": value}
	case "redirecting": // number/reason or number/reasonxCOUNT, the newest last
		var list []any
		for _, r := range strings.Split(value, ",") {
			number, reason, _ := strings.Cut(r, "/")
			reason, times, _ := strings.Cut(reason, "x")
			count, _ := strconv.Atoi(times)
			list = append(list, map[string]any{"from": map[string]any{"number": number}, "reason": reason, "count": count})
		}
		return list
	case "route_causes":
		return []string{strings.ReplaceAll(value, "-", " ")}
	case "route": // trunks; "originator"; a number behind a slash is what is called there
		var list []any
		for _, r := range strings.Split(value, ",") {
			name, called, _ := strings.Cut(r, "/")
			m := map[string]any{"trunk": name}
			if name == "originator" {
				m = map[string]any{"originator": true}
			}
			if called != "" {
				m["called"] = map[string]any{"mask": called}
			}
			list = append(list, m)
		}
		return list
	case "no_answer":
		d, _ := time.ParseDuration(value)
		return d
	case "instead":
		n, _ := strconv.Atoi(strings.TrimLeft(value, "l"))
		return n
	case "line":
		return map[string]any{"number": value, "partition": "phones"}
	case "desc":
		p := strings.Split(value, ":")
		ref, _ := strconv.Atoi(p[1])
		return map[string]any{"kind": p[0], "ref": ref, "dir": p[2], "security": p[3], "no_events": len(p) > 4 && p[4] == "no-events"}
	}
	return value
}

// step runs one input and keeps its output until the block's "----" has been written.
func (s *script) step(in Input) {
	at := s.now
	line, err := MarshalInput(at, in)
	if err != nil {
		s.t.Fatal(err)
	}
	out := s.k.step(at, in)
	rec, err := MarshalOutput(out)
	if err != nil {
		s.t.Fatal(err)
	}
	s.records = append(s.records, Recorded{line, rec, AppendOutput(nil, out)})
	s.lines(out)
}

func (s *script) lines(out Output) {
	for _, ev := range out.Events {
		s.pending = append(s.pending, "* "+ev.String())
	}
	for _, o := range out.Commands {
		s.pending = append(s.pending, o.Driver+" <- "+Describe(o.Command))
	}
	if out.Reply != nil {
		s.pending = append(s.pending, "app <- "+Describe(out.Reply))
	}
}

func (s *script) flush() {
	for _, l := range s.pending {
		fmt.Fprintln(&s.out, l)
	}
	s.pending = nil
}
