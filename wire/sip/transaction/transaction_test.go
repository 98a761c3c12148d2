package transaction

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// machine is what the scripts drive.
type machine interface {
	Step(now Instant, in Input) Action
	Deadline() Instant
	State() State
}

type responder interface {
	Respond(now Instant, status int) Action
}

// TestGolden runs testdata/*.txt: a script, a line "----", and what the machine did. The first line of a script names the
// machine and the transport; "run 40s" lets the timers fire until then; "T 1xx" and the like are inputs at T;
// "T respond 200" is the user's response.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, section := range strings.Split(string(data), "\n\n\n") {
		script, _, _ := strings.Cut(section, "----\n")
		if out.Len() > 0 {
			out.WriteString("\n\n\n")
		}
		script = strings.TrimSpace(script) + "\n"
		out.WriteString(script + "----\n" + strings.TrimSuffix(play(t, script), "\n"))
	}
	out.WriteString("\n")
	if *update {
		if err := os.WriteFile(file, out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if out.String() != string(data) {
		t.Errorf("got\n%s\nwant\n%s", out.String(), data)
	}
}

func play(t *testing.T, script string) string {
	t.Helper()
	var b strings.Builder
	var m machine
	var now Instant
	timers := Timers{}.WithDefaults()
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case m == nil:
			m = begin(&b, words, &timers)
		case words[0] == "run":
			now = run(&b, m, at(t, words[1]))
		default:
			now = at(t, words[0])
			do := input(t, m, now, words[1:])
			report(&b, m, now, strings.Join(words[1:], " "), do)
		}
	}
	return b.String()
}

func begin(b *strings.Builder, words []string, timers *Timers) machine {
	reliable := words[1] != "udp"
	for _, w := range words[2:] {
		if w == "no-timer-c" {
			timers.C = -1
		}
	}
	var do Action
	var m machine
	switch words[0] {
	case "client-invite":
		c := &ClientInvite{}
		do, m = c.Start(1, timers, reliable), c
	case "client-request":
		c := &ClientRequest{}
		do, m = c.Start(1, timers, reliable), c
	case "server-invite":
		s := &ServerInvite{}
		s.Start(1, timers, reliable)
		m = s
	case "server-request":
		s := &ServerRequest{}
		s.Start(1, timers, reliable)
		m = s
	case "success":
		s := &SuccessSender{}
		s.Start(1, timers)
		m = s
	}
	report(b, m, 1, "start", do)
	return m
}

func at(t *testing.T, s string) Instant {
	t.Helper()
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return Instant(d) + 1
}

func input(t *testing.T, m machine, now Instant, words []string) Action {
	t.Helper()
	if words[0] == "respond" {
		status, err := strconv.Atoi(words[1])
		if err != nil {
			t.Fatal(err)
		}
		return m.(responder).Respond(now, status)
	}
	for i, name := range inputNames {
		if name == words[0] {
			return m.Step(now, Input(i))
		}
	}
	t.Fatalf("no input %q", words[0])
	return 0
}

func run(b *strings.Builder, m machine, until Instant) Instant {
	for now := m.Deadline(); now != 0 && now <= until; now = m.Deadline() {
		report(b, m, now, "timer", m.Step(now, Timer))
	}
	return until
}

func report(b *strings.Builder, m machine, now Instant, what string, do Action) {
	next := "never"
	if d := m.Deadline(); d != 0 {
		next = time.Duration(d - 1).String()
	}
	fmt.Fprintf(b, "%-7s %-12s %-22s %-11s next %s\n", time.Duration(now-1), what, do, m.State(), next)
}

// TestEveryInputInEveryState gives every input to every state: no panic, a terminated machine does nothing, Done comes
// exactly with Terminated, and a machine that was left alone ends.
func TestEveryInputInEveryState(t *testing.T) {
	timers := Timers{}.WithDefaults()
	for _, reliable := range []bool{false, true} {
		for first := range len(inputNames) + 3 {
			for second := range len(inputNames) + 3 {
				for third := range len(inputNames) + 3 {
					walk(t, &timers, reliable, []int{first, second, third})
				}
			}
		}
	}
}

func walk(t *testing.T, timers *Timers, reliable bool, inputs []int) {
	t.Helper()
	ci, cr, si, sr, ss := &ClientInvite{}, &ClientRequest{}, &ServerInvite{}, &ServerRequest{}, &SuccessSender{}
	ci.Start(1, timers, reliable)
	cr.Start(1, timers, reliable)
	si.Start(1, timers, reliable)
	sr.Start(1, timers, reliable)
	ss.Start(1, timers)
	for _, m := range []machine{ci, cr, si, sr, ss} {
		now := Instant(1)
		for _, in := range inputs {
			was := m.State()
			do := Action(0)
			if r, ok := m.(responder); in >= len(inputNames) && ok {
				do = r.Respond(now, []int{100, 200, 486}[in-len(inputNames)])
			} else if in < len(inputNames) {
				do = m.Step(now, Input(in))
			}
			check(t, m, was, do, inputs)
			now = now.Add(time.Second)
		}
		if m == machine(si) && si.State() == Proceeding {
			continue // lasts as long as the user lets it
		}
		for i := 0; m.State() != Terminated; i++ {
			d := m.Deadline()
			if d == 0 || i > 200 {
				t.Fatalf("%T after %v is stuck in %v", m, inputs, m.State())
			}
			was := m.State()
			check(t, m, was, m.Step(max(d, now), Timer), inputs)
		}
	}
}

func check(t *testing.T, m machine, was State, do Action, inputs []int) {
	t.Helper()
	if was == Terminated && do != 0 {
		t.Fatalf("%T after %v: terminated, and yet does %v", m, inputs, do)
	}
	if do.Has(Done) != (was != Terminated && m.State() == Terminated) {
		t.Fatalf("%T after %v: %v -> %v with %v", m, inputs, was, m.State(), do)
	}
}

// TestStepDoesNotAllocate keeps the hot path free of garbage.
func TestStepDoesNotAllocate(t *testing.T) {
	timers := Timers{}.WithDefaults()
	var c ClientInvite
	var s ServerInvite
	if n := testing.AllocsPerRun(100, func() {
		c.Start(1, &timers, false)
		c.Step(2, Provisional)
		c.Step(3, Success)
		s.Start(1, &timers, false)
		s.Respond(2, 180)
		s.Respond(3, 200)
	}); n != 0 {
		t.Errorf("%v allocations per call, want 0", n)
	}
}
