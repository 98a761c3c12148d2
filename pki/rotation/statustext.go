package rotation

import (
	"io"
	"strings"
)

// WriteText prints how far a run is.
func (s Status) WriteText(w io.Writer) error {
	out := &printer{w: w}
	if s.Started.IsZero() {
		out.f("Nothing was rotated yet.\n")
		return out.err
	}
	out.f("Rotating %s", s.Target)
	if s.Order != Safe {
		out.f(", order %s", s.Order)
	}
	out.f(": begun %s by %s", s.Started.UTC().Format("2006-01-02 15:04:05"), s.By)
	if s.Running() {
		out.f(", %d of %d steps done\n\n", s.Done, len(s.Steps))
	} else {
		out.f(", ended %s\n\n", s.Ended.UTC().Format("2006-01-02 15:04:05"))
	}
	for i, step := range s.Steps {
		mark := "     "
		switch {
		case i < s.Done:
			mark = "done "
		case i == s.Done && s.Running():
			mark = " ->  "
		}
		out.f("%s", mark+step.Line())
	}
	if s.Accepted != nil {
		out.f("\nGiven up: %s\n", someOf(s.Accepted, waitsShown))
	}
	if s.Problem != "" {
		out.f("\nThe step failed and is tried again: %s\n", s.Problem)
	}
	if s.Waiting > 0 {
		out.f("\n%s\n", s.Sentence())
		for _, v := range s.Waits {
			out.f("  %s: %s\n", v.Device, v.reason())
		}
		if more := s.Waiting - len(s.Waits); more > 0 {
			out.f("  and %s more\n", grouped(more))
		}
	}
	if s.Needed > 0 {
		out.f("\n")
		if s.Note != "" {
			out.f("%s\n", lines(s.Note))
		}
		out.f("locktone trust accept DEVICE gives one up.\n")
	}
	return out.err
}

// reason says why a device is waited for.
func (v Victim) reason() string {
	if v.Fate == Fine {
		return v.Why
	}
	return "would be " + v.Fate.String() + ": " + v.Why
}

// Line is a step as one line.
func (s Step) Line() string {
	var b strings.Builder
	WriteSteps(&b, []Step{{Number: s.Number, Action: s.Action, Members: s.Members, IDs: s.IDs, Why: s.Why, Gate: s.Gate.bare()}})
	return b.String()
}

// bare is a gate without its counts, which were true when it was planned.
func (g *Gate) bare() *Gate {
	if g == nil {
		return nil
	}
	return &Gate{For: g.For, LSCs: g.LSCs}
}

// Sentence says in one sentence for how many the run waits, and until when.
func (s Status) Sentence() string {
	switch {
	case s.Waiting == 0:
		return ""
	case s.Needed == s.Waiting:
		return "Waits for " + devices(s.Needed) + " that would be stranded; nothing else can go on before:"
	case s.Needed == 0:
		return "Gives " + devices(s.Waiting) + " time until " + s.GoesOn.UTC().Format("15:04:05") + " UTC:"
	}
	return "Waits for " + devices(s.Needed) + " that would be stranded, and gives " + grouped(s.Waiting-s.Needed) + " more time until " + s.GoesOn.UTC().Format("15:04:05") + " UTC:"
}
