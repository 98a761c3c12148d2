package rotation

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// shown is how many names a line shows.
const shown = 5

// WriteText prints the plan for a terminal.
func (p Plan) WriteText(w io.Writer) error {
	out := &printer{w: w}
	out.f("Rotating %s: %s", p.Target, devices(p.Devices))
	if p.Asleep > 0 {
		out.f(", %s of them asleep", grouped(p.Asleep))
	}
	if p.Order != Safe {
		out.f("; order %s", p.Order)
	}
	out.f("\n\n")
	WriteSteps(out, p.Steps)
	out.f("\n")
	if p.Note != "" {
		out.f("%s\n\n", lines(p.Note))
	}
	out.victims("Nobody is stranded.", "Victims", p.Victims)
	if p.Already != nil {
		out.victims("", "Already, before anything is done", p.Already)
	}
	if len(p.Others) > 0 {
		out.f("\nOther orders\n")
	}
	for _, o := range p.Others {
		out.f("  %-16s  %s: ", o.Order, o.What)
		if len(o.Victims) == 0 {
			out.f("strands nobody\n")
			continue
		}
		out.f("refused, %s\n", toll(o.Victims))
		for _, v := range distinct(o.Victims) {
			out.f("  %16s  %s (%s): %s\n", "", v.Device, v.Fate, v.Why)
		}
	}
	if p.Refused != "" {
		out.f("\nREFUSED: %s\n", p.Refused)
	}
	return out.err
}

// WriteSteps prints steps, one line each.
func WriteSteps(w io.Writer, steps []Step) {
	for _, s := range steps {
		fmt.Fprintf(w, "%3d  %-8s  %-34s  %s\n", s.Number, s.Action, s.what(), s.Why)
		if s.Gate != nil && s.Gate.String() != "" {
			fmt.Fprintf(w, "%50s %s\n", "", s.Gate)
		}
		if len(s.Victims) > 0 {
			fmt.Fprintf(w, "%50s VICTIMS: it %s\n", "", toll(s.Victims))
		}
	}
}

// what names what a step is about.
func (s Step) what() string {
	if s.Action == Publish {
		return "lists"
	}
	if s.Action == Wait && s.Gate != nil && s.Gate.LSCs {
		return "LSCs by " + join(s.IDs)
	}
	if s.Action == Wait {
		return join(s.IDs) + " known"
	}
	return join(s.IDs)
}

// String says whom a gate is about.
func (g *Gate) String() string {
	var parts []string
	if own := g.own(); own != nil {
		must := "must confirm: "
		if g.LSCs {
			must = "must renew: "
		}
		parts = append(parts, must+devices(len(own))+" ("+someOf(own, shown)+")")
	}
	if len(g.Peers) > 0 {
		parts = append(parts, "must be given it: "+someOf(g.Peers, shown))
	}
	if g.Hoped > 0 {
		parts = append(parts, "awake: "+devices(g.Hoped))
	}
	if g.Asleep > 0 {
		parts = append(parts, "asleep, recover on waking: "+devices(g.Asleep))
	}
	return strings.Join(parts, "; ")
}

// lines puts each sentence on a line of its own.
func lines(text string) string { return strings.ReplaceAll(text, ". ", ".\n") }

// own are the needed devices that are no peers.
func (g *Gate) own() (names []string) {
	for _, name := range g.Needed {
		if _, peer := slices.BinarySearch(g.Peers, name); !peer {
			names = append(names, name)
		}
	}
	return names
}

func names(vs []Victim) []string {
	out := make([]string, len(vs))
	for i, v := range vs {
		out[i] = v.Device
	}
	return out
}

// distinct is the first victim of each reason, at most three.
func distinct(vs []Victim) (out []Victim) {
	seen := make(map[string]bool)
	for _, v := range vs {
		if !seen[v.Why] && len(out) < 3 {
			seen[v.Why] = true
			out = append(out, v)
		}
	}
	return out
}

// printer remembers the first error.
type printer struct {
	w   io.Writer
	err error
}

// Write implements io.Writer.
func (p *printer) Write(b []byte) (n int, err error) {
	if p.err != nil {
		return 0, p.err
	}
	n, p.err = p.w.Write(b)
	return n, p.err
}

func (p *printer) f(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// toll says what becomes of how many.
func toll(vs []Victim) string {
	var parts []string
	for _, f := range []Fate{Stranded, Deaf} {
		var of []string
		for _, v := range vs {
			if v.Fate == f {
				of = append(of, v.Device)
			}
		}
		switch {
		case of == nil:
		case f == Stranded:
			parts = append(parts, "strands "+devices(len(of))+": "+someOf(of, shown))
		default:
			parts = append(parts, "makes "+devices(len(of))+" deaf to every later list: "+someOf(of, shown))
		}
	}
	return strings.Join(parts, "; ")
}

// victims prints a list of victims, or the sentence for none.
func (p *printer) victims(none, some string, vs []Victim) {
	if len(vs) == 0 {
		p.f("%s\n", none)
		return
	}
	p.f("%s: %s: %s\n", some, devices(len(vs)), someOf(names(vs), shown))
	for _, v := range distinct(vs) {
		p.f("  %s (%s): %s\n", v.Device, v.Fate, v.Why)
	}
}
