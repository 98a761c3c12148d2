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
}

func (x *explainer) remark(format string, args ...any) {
	x.steps = append(x.steps, Step{Sentence: fmt.Sprintf(format, args...)})
}

// candidate notes that a pattern matches the number.
func (x *explainer) candidate(pattern int32, w weight) {
	if x == nil {
		return
	}
	for i := range x.candidates {
		if x.candidates[i].pattern == pattern {
			return
		}
	}
	x.candidates = append(x.candidates, candidate{pattern, w})
}

// done tells what the lookup of one number found.
func (x *explainer) done(p *Plan, f *finder) {
	if x == nil {
		return
	}
	for _, c := range x.candidates {
		pat := &p.rules.Patterns[c.pattern]
		verdict := "loses to a closer or earlier match"
		if c.pattern == f.best {
			verdict = "is the closest match"
		}
		x.steps = append(x.steps, Step{pat, fmt.Sprintf("%s (%s) matches %s and %s%s",
			patternName(pat), pat.Kind, f.number, strength(c.weight), verdict)})
	}
	if len(x.candidates) == 0 {
		x.remark("nothing in %s matches %q", x.searched(), f.number)
	}
	if f.more && !x.query.Complete {
		x.remark("a longer number than %q could match", f.number)
	}
	x.candidates = x.candidates[:0]
}

func (x *explainer) searched() string {
	if len(x.query.SearchSpaces) == 0 {
		return "the nameless partition"
	}
	return "search space " + strings.Join(x.query.SearchSpaces, " + ")
}

func strength(w weight) string {
	if w.hi != 0 {
		return "very many numbers of that length; "
	}
	return fmt.Sprintf("%d of that length; ", w.lo)
}

// taken tells what the winning pattern made of the numbers.
func (x *explainer) taken(pat *Pattern, res Result) {
	if x == nil {
		return
	}
	s := fmt.Sprintf("called is now %q, calling %q", res.Called, res.Calling)
	if pat.Kind == Translation && pat.SearchSpace != "" {
		s += "; the search goes on in search space " + pat.SearchSpace
		x.query.SearchSpaces = []string{pat.SearchSpace}
	}
	x.steps = append(x.steps, Step{pat, s})
}

func patternName(pat *Pattern) string {
	if pat.Partition == "" {
		return pat.Digits
	}
	return pat.Digits + " in " + pat.Partition
}

func ending(res Result) string {
	switch res.Outcome {
	case Match:
		to := res.Pattern.To
		if res.Pattern.Kind == DirectoryNumber {
			to = patternName(res.Pattern)
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
