package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// table collects samples by what was measured and on which system.
type table struct {
	Command, Date string
	order         []*row
	Notes         []string
}

// row is one measure: samples of ours and of a peer.
type row struct {
	Name    string    `json:"name"`
	Unit    string    `json:"unit"`
	Target  string    `json:"target,omitempty"`
	Peer    string    `json:"peer,omitempty"`
	Ours    float64   `json:"ours"`
	Theirs  float64   `json:"theirs,omitempty"`
	Ratio   float64   `json:"ratio,omitempty"`
	Before  float64   `json:"before,omitempty"` // the other build of ours
	OurRuns []float64 `json:"our_samples"`
	Earlier []float64 `json:"before_samples,omitempty"`
	Samples []float64 `json:"their_samples,omitempty"`
}

func (t *table) row(name, unit, target string) *row {
	for _, r := range t.order {
		if r.Name == name {
			return r
		}
	}
	r := &row{Name: name, Unit: unit, Target: target}
	t.order = append(t.order, r)
	return r
}

// before is the name of the build given with --before.
const before = "before"

// ours and theirs add a sample.
func (r *row) add(system string, v float64) {
	switch system {
	case "locktone":
		r.OurRuns = append(r.OurRuns, v)
		return
	case before:
		r.Earlier = append(r.Earlier, v)
		return
	}
	r.Peer = system
	r.Samples = append(r.Samples, v)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func (t *table) rows() []*row {
	for _, r := range t.order {
		r.Ours, r.Theirs, r.Before, r.Ratio = median(r.OurRuns), median(r.Samples), median(r.Earlier), 0
		if r.Theirs > 0 {
			r.Ratio = r.Ours / r.Theirs
		}
	}
	return t.order
}

func (t *table) print(w io.Writer) {
	tw := tabwriter.NewWriter(w, 2, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "MEASURE\tUNIT\tLOCKTONE\tPEER\tRATIO\tTARGET\tSAMPLES")
	for _, r := range t.rows() {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Unit, figure(r.Ours, len(r.OurRuns)), peer(r), ratio(r), r.Target, samples(r))
	}
	_ = tw.Flush()
	for _, n := range t.Notes {
		fmt.Fprintln(w, "note:", n)
	}
	fmt.Fprintln(w, "command:", t.Command)
}

func figure(v float64, n int) string {
	switch {
	case n == 0:
		return "-"
	case v >= 100 || v == float64(int(v)):
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func peer(r *row) string {
	if r.Peer == "" {
		return "-"
	}
	return figure(r.Theirs, len(r.Samples)) + " (" + r.Peer + ")"
}

func ratio(r *row) string {
	if r.Ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.Ratio)
}

func samples(r *row) string {
	list := func(v []float64) string {
		var out []string
		for _, x := range v {
			out = append(out, figure(x, 1))
		}
		return strings.Join(out, " ")
	}
	text := list(r.OurRuns)
	if len(r.Samples) > 0 {
		text += " / " + list(r.Samples)
	}
	if len(r.Earlier) > 0 {
		text += " before: " + figure(r.Before, 1) + " (" + list(r.Earlier) + ")"
	}
	return text
}

// Markers in docs/benchmarks.md between which the table stands.
const begin, end = "<!-- figures -->", "<!-- end of figures -->"

// earlier are the tables of a page without the rows that are written anew: a run of some rows leaves the others as they were measured.
func (t *table) earlier(page string) string {
	var b strings.Builder
	for i, block := range strings.Split(page, "Measured on ") {
		var kept []string
		rows := 0
		for line := range strings.Lines(block) {
			name, isRow := strings.CutPrefix(line, "| ")
			name, _, _ = strings.Cut(name, " | ")
			isRow = isRow && name != "measure"
			if isRow && slices.ContainsFunc(t.order, func(r *row) bool { return r.Name == name }) {
				continue
			}
			if isRow {
				rows++
			}
			kept = append(kept, line)
		}
		if i > 0 && rows > 0 {
			fmt.Fprintf(&b, "Measured on %s\n\n", strings.TrimSpace(strings.Join(kept, "")))
		}
	}
	return b.String()
}

// write puts the table into a page, in the place of the rows it measures again.
func (t *table) write(path string) error {
	page, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := bytes.Cut(page, []byte(begin))
	old, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return fmt.Errorf("%s has no %s ... %s", path, begin, end)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s%s\n\n%sMeasured on %s with `%s`.\n\n| measure | unit | Locktone | peer | ratio | target |\n|---|---|---|---|---|---|\n", head, begin, t.earlier(string(old)), t.Date, t.Command)
	for _, r := range t.rows() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", r.Name, r.Unit, figure(r.Ours, len(r.OurRuns)), peer(r), ratio(r), r.Target)
	}
	for _, n := range t.Notes {
		fmt.Fprintf(&b, "\nNote: %s\n", n)
	}
	fmt.Fprintf(&b, "\n%s%s", end, tail)
	return os.WriteFile(path, b.Bytes(), 0o644)
}
