// Command testreport reads `go test -json` from standard input and prints what a person wants to know: a line per
// package as go test prints it, the whole output of every test that failed, every skipped test with its reason, and a
// closing count. It exits 1 when anything failed, so that the pipe it ends cannot hide a failure.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// event is one line of `go test -json` (see `go doc test2json`).
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

type report struct {
	out                     io.Writer
	start                   time.Time
	output                  map[string][]string
	passed, failed, skipped int
	skips                   []string
}

func main() {
	r := &report{out: os.Stdout, start: time.Now(), output: map[string][]string{}}
	if err := r.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	if r.close() > 0 {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(r.out, lines.Text()) // not an event: a build error of an old tool, or a panic before the stream began
			continue
		}
		r.take(e)
	}
	return lines.Err()
}

func (r *report) take(e event) {
	key := e.Package + " " + e.Test
	switch e.Action {
	case "output":
		r.output[key] = append(r.output[key], e.Output)
		return
	case "build-output":
		fmt.Fprint(r.out, e.Output)
		return
	case "build-fail":
		r.failed++
		return
	case "pass":
		if e.Test != "" {
			r.passed++
		}
	case "fail":
		r.fail(e, key)
	case "skip":
		if e.Test != "" {
			r.skipped++
			r.skips = append(r.skips, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(r.output[key])))
		}
	default:
		return
	}
	if e.Test == "" {
		r.packageLine(e, key)
	}
	delete(r.output, key)
}

func (r *report) fail(e event, key string) {
	r.failed++
	for _, line := range r.output[key] {
		if e.Test != "" || !strings.HasPrefix(line, "FAIL") {
			fmt.Fprint(r.out, line)
		}
	}
}

func (r *report) packageLine(e event, key string) {
	switch {
	case e.Action == "fail":
		fmt.Fprintf(r.out, "FAIL\t%s\t%.3fs\n", e.Package, e.Elapsed)
	case e.Action == "pass":
		for _, line := range r.output[key] {
			if strings.HasPrefix(line, "ok ") {
				fmt.Fprint(r.out, line)
			}
		}
	}
}

// reason is what t.Skip said: the output without the frame lines go test puts around it.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
			continue
		}
		if _, text, found := strings.Cut(line, ".go:"); found {
			_, line, _ = strings.Cut(text, ": ")
		}
		said = append(said, line)
	}
	return strings.Join(said, " ")
}

func (r *report) close() int {
	if len(r.skips) > 0 {
		fmt.Fprintf(r.out, "\nskipped, and why:\n")
	}
	for _, s := range r.skips {
		fmt.Fprintln(r.out, "  "+s)
	}
	fmt.Fprintf(r.out, "\n%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed
}
