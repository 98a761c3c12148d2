package dialplan

import (
	"fmt"
	"strings"
)

// A Step is one line of an explanation.
type Step struct {
	// Pattern is the pattern the step is about, nil for remarks.
	Pattern *Pattern
	// Sentence says what happened.
	Sentence string
}

// Explain answers a query and tells, step by step, why.
func (p *Plan) Explain(q Query) (Result, []Step) {
	why := &explainer{plan: p, query: q}
	res := p.route(q, why)
	why.remark("%s", ending(res))
	return res, why.steps
}

// explainer collects steps; a nil one collects nothing.
type explainer struct {
	plan       *Plan
	query      Query
	steps      []Step
	candidates []candidate
}

type candidate struct {
	pattern int32
	weight  weight
	loop    bool
}

func (x *explainer) remark(format string, args ...any) {
	x.steps = append(x.steps, Step{Sentence: fmt.Sprintf(format, args...)})
}

func (x *explainer) about(pat *Pattern, format string, args ...any) {
	x.steps = append(x.steps, Step{pat, fmt.Sprintf(format, args...)})
}

// candidate notes that a pattern matches the number.
func (x *explainer) candidate(pattern int32, w weight, loop bool) {
	if x == nil {
		return
	}
	for i := range x.candidates {
		if x.candidates[i].pattern == pattern {
			return
		}
	}
	x.candidates = append(x.candidates, candidate{pattern, w, loop})
}

// emergency tells that an emergency pattern won.
func (x *explainer) emergency(p *Plan, f *finder) {
	if x == nil {
		return
	}
	pat := &p.rules.Patterns[f.best]
	x.about(pat, "%s is an emergency number: it wins over every other pattern, whatever search spaces and schedules say", patternName(pat))
	x.candidates = x.candidates[:0]
}

// done tells what the lookup of one number found.
func (x *explainer) done(p *Plan, f *finder, spaces []string) {
	if x == nil {
		return
	}
	x.remark("%s for %q", searched(p, spaces), f.number)
	for _, c := range x.candidates {
		pat := &p.rules.Patterns[c.pattern]
		x.about(pat, "%s (%s) matches: %s; %s", patternName(pat), pat.Kind, strength(c.weight), verdict(f, &c))
	}
	if len(x.candidates) == 0 {
		x.remark("no pattern there matches %q", f.number)
	}
	x.candidates = x.candidates[:0]
	x.closed(p, f.number, spaces)
	if f.more && !x.query.Complete {
		x.remark("a longer number than %q could match", f.number)
	}
}

// verdict says why a pattern that matches won or lost.
func verdict(f *finder, c *candidate) string {
	switch {
	case c.pattern == f.best:
		return "it is the closest match and wins"
	case f.weight.less(c.weight):
		return "it loses to a closer match"
	case c.loop && !f.loop:
		return `it loses a tie to a pattern without "!"`
	}
	return "it loses a tie to a pattern of an earlier partition or place"
}

// closed tells of partitions that their schedule keeps out, and what would have matched there.
func (x *explainer) closed(p *Plan, number string, spaces []string) {
	for _, space := range spaces {
		for _, n := range p.calls.spaces[space] {
			if p.calls.open(n, &x.query) {
				continue
			}
			c := p.calls.clocked[n]
			at := x.query.At.In(c.zone.or(x.query.Zone))
			would := &finder{number: number, best: -1}
			would.search(&p.calls.tries[n])
			text := "nothing there would match"
			if would.best >= 0 {
				text = patternName(&p.rules.Patterns[would.best]) + " would match otherwise"
			}
			x.remark("a partition of %s is closed by schedule %s (it is %s %s); %s", space, c.schedule.Name, at.Format("Monday 2006-01-02 15:04"), at.Location(), text)
		}
	}
}

// searched says where a lookup looked.
func searched(p *Plan, spaces []string) string {
	var parts []string
	for _, name := range spaces {
		for i := range p.rules.SearchSpaces {
			if s := &p.rules.SearchSpaces[i]; s.Name == name {
				parts = append(parts, fmt.Sprintf("search space %s (%s)", name, strings.Join(s.Partitions, ", ")))
			}
		}
	}
	if len(parts) == 0 {
		return "what everyone can reach (no search space)"
	}
	return strings.Join(parts, ", then ")
}

func strength(w weight) string {
	switch {
	case w.hi != 0:
		return "one of very many numbers of that length"
	case w.lo == 1:
		return "the number itself"
	}
	return fmt.Sprintf("one of %d numbers of that length", w.lo)
}

// taken tells what the winning pattern made of the numbers.
func (x *explainer) taken(pat *Pattern, before, after Result) {
	if x == nil {
		return
	}
	x.change(pat, "called", before.Called, after.Called, pat.Called)
	calling := pat.masked(before.Calling, x.query.ExternalMask)
	x.change(pat, "calling", before.Calling, calling, Transform{Mask: x.query.ExternalMask})
	x.change(pat, "calling", calling, after.Calling, pat.Calling)
	if pat.Presentation == PresentationRestricted {
		x.about(pat, "the calling number is withheld from the other side")
	}
	if pat.Kind == Translation && pat.SearchSpace != "" {
		x.about(pat, "the search goes on in search space %s", pat.SearchSpace)
	} else if pat.Kind == Translation {
		x.about(pat, "the search goes on in the same search space")
	}
}

func (x *explainer) change(pat *Pattern, which, before, after string, t Transform) {
	if before != after {
		x.about(pat, "%s number %q becomes %q (%s)", which, before, after, t)
	}
}

// String says what a transform does, in its order.
func (t Transform) String() string {
	var parts []string
	if t.Discard != "" {
		parts = append(parts, "discard "+t.Discard)
	}
	if t.Mask != "" {
		parts = append(parts, "mask "+t.Mask)
	}
	if t.Prefix != "" {
		parts = append(parts, "prefix "+t.Prefix)
	}
	return strings.Join(parts, ", ")
}

func patternName(pat *Pattern) string {
	if pat.Partition == "" {
		return pat.Digits
	}
	return pat.Digits + " in " + pat.Partition
}

// String is the pattern's digits and partition.
func (pat *Pattern) String() string { return patternName(pat) }

func ending(res Result) string {
	switch res.Outcome {
	case Match:
		to := res.Pattern.To
		if res.Pattern.Kind == DirectoryNumber {
			number, partition := res.Pattern.Line()
			to = patternName(&Pattern{Digits: number, Partition: partition})
		}
		return fmt.Sprintf("match: the call goes to %s %s as %q", res.Pattern.Kind, to, res.Called)
	case Rejected:
		return "rejected: the pattern blocks the call"
	case Loop:
		return fmt.Sprintf("loop: more than %d translations, the call is refused", MaxTranslations)
	case MoreDigits:
		return "more digits are needed before it is decided"
	}
	return "no match: the call is refused as an unallocated number"
}
