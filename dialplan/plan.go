package dialplan

import (
	"errors"
	"fmt"
	"strings"
)

// MaxTranslations is how many translation patterns a number may go through; more than that is a circle.
const MaxTranslations = 10

// A Plan is a compiled dial plan: immutable, safe for concurrent use.
type Plan struct {
	rules     Rules
	templates []template
	tries     []trie
	partition map[string]int   // name -> index into tries
	spaces    map[string][]int // name -> partitions, without the nameless one
	nameless  int              // index of the nameless partition's trie, -1 if it has no pattern
}

// A RuleError is one fault in the rules.
type RuleError struct {
	// Pattern is the index in Rules.Patterns, -1 when the fault is elsewhere; Space likewise for Rules.SearchSpaces.
	Pattern, Space int
	// Field is the field at fault ("digits", "called", "search_space").
	Field string
	Err   error
}

func (e *RuleError) Error() string {
	if e.Pattern >= 0 {
		return fmt.Sprintf("dialplan: pattern %d, %s: %v", e.Pattern+1, e.Field, e.Err)
	}
	return fmt.Sprintf("dialplan: search space %d, %s: %v", e.Space+1, e.Field, e.Err)
}

// Unwrap is the reason.
func (e *RuleError) Unwrap() error { return e.Err }

// Compile checks the rules and builds the plan. The error joins every fault found, each a *RuleError.
func Compile(r Rules) (*Plan, error) {
	p := &Plan{rules: r, partition: map[string]int{}, spaces: map[string][]int{}, nameless: -1}
	var errs []error
	for i := range r.Patterns {
		errs = append(errs, p.addPattern(i)...)
	}
	for i := range r.SearchSpaces {
		errs = append(errs, p.addSpace(i)...)
	}
	for i, pat := range r.Patterns {
		if _, ok := p.spaces[pat.SearchSpace]; pat.SearchSpace != "" && !ok {
			errs = append(errs, &RuleError{i, -1, "search_space", fmt.Errorf("there is no search space %q", pat.SearchSpace)})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Plan) addPattern(i int) (errs []error) {
	pat := &p.rules.Patterns[i]
	t, err := parse(pat.Digits)
	p.templates = append(p.templates, t)
	if err != nil {
		return []error{&RuleError{i, -1, "digits", err}}
	}
	if pat.Kind == ToFeature {
		t.globalArgument()
	}
	if len(t.elements) == 0 && pat.Kind != Translation {
		errs = append(errs, &RuleError{i, -1, "digits", errors.New("no digits; only a translation may match nothing (hotline)")})
	}
	if (pat.Kind >= ToTrunk) != (pat.To != "") {
		errs = append(errs, &RuleError{i, -1, "to", fmt.Errorf("a pattern of kind %s with to=%q; patterns that lead to a line, a translation or nowhere have none, all others need a name", pat.Kind, pat.To)})
	}
	for _, tr := range []struct {
		field string
		t     Transform
		dot   bool
	}{{"called", pat.Called, t.dot >= 0}, {"calling", pat.Calling, false}} {
		if err := tr.t.Validate(tr.dot); err != nil {
			errs = append(errs, &RuleError{i, -1, tr.field, err})
		}
	}
	if dup, ok := p.trieOf(pat.Partition).insert(t.elements, int32(i)); !ok {
		errs = append(errs, &RuleError{i, -1, "digits", fmt.Errorf("pattern %d is the same: %q in partition %q", dup+1, pat.Digits, pat.Partition)})
	}
	return errs
}

// trieOf is the trie of a partition, made when first asked for.
func (p *Plan) trieOf(partition string) *trie {
	n, ok := p.partition[partition]
	if !ok {
		n = len(p.tries)
		p.partition[partition] = n
		p.tries = append(p.tries, newTrie())
		if partition == "" {
			p.nameless = n
		}
	}
	return &p.tries[n]
}

func (p *Plan) addSpace(i int) (errs []error) {
	s := &p.rules.SearchSpaces[i]
	if _, ok := p.spaces[s.Name]; ok || s.Name == "" {
		return []error{&RuleError{-1, i, "name", fmt.Errorf("%q is empty or used twice", s.Name)}}
	}
	parts := make([]int, 0, len(s.Partitions))
	for _, name := range s.Partitions {
		// A partition without patterns is no fault: lines may come later.
		if n, ok := p.partition[name]; ok && name != "" {
			parts = append(parts, n)
		}
	}
	p.spaces[s.Name] = parts
	return nil
}

// Rules are what the plan was compiled from; they must not be changed.
func (p *Plan) Rules() Rules { return p.rules }

// HasSpace says whether the plan has a search space of that name.
func (p *Plan) HasSpace(name string) bool {
	_, ok := p.spaces[name]
	return ok
}

// Line is the directory number of a pattern without escapes: what a line calls itself.
func (pat *Pattern) Line() string { return strings.ReplaceAll(pat.Digits, `\`, "") }

// Route answers a query.
func (p *Plan) Route(q Query) Result { return p.route(q, nil) }

func (p *Plan) route(q Query, why *explainer) Result {
	res := Result{Called: q.Called, Calling: q.Calling}
	spaces := q.SearchSpaces
	var own [1]string
	for hop := 0; hop <= MaxTranslations; hop++ {
		best, more := p.lookup(spaces, res.Called, why)
		switch {
		case best < 0 && more && !q.Complete:
			return Result{Outcome: MoreDigits, Called: res.Called, Calling: res.Calling}
		case best < 0:
			return Result{Outcome: NoMatch, Called: res.Called, Calling: res.Calling}
		}
		pat, t := &p.rules.Patterns[best], &p.templates[best]
		if more && !q.Complete && !pat.Urgent {
			return Result{Outcome: MoreDigits, Called: res.Called, Calling: res.Calling}
		}
		res.Pattern, res.Rest = pat, t.rest(res.Called)
		res.Called = pat.Called.apply(res.Called, t.dot)
		res.Calling = pat.Calling.Apply(res.Calling)
		if pat.Presentation != PresentationDefault {
			res.Presentation = pat.Presentation
		}
		why.taken(pat, res)
		switch pat.Kind {
		case Translation:
			if pat.SearchSpace != "" {
				own[0] = pat.SearchSpace
				spaces = own[:]
			}
		case Blocked:
			res.Outcome = Rejected
			return res
		default:
			res.Outcome = Match
			return res
		}
	}
	res.Outcome = Loop
	return res
}

// lookup finds the closest match in the search spaces; more says whether a longer number could match something.
func (p *Plan) lookup(spaces []string, number string, why *explainer) (best int, more bool) {
	f := finder{number: number, best: -1, why: why}
	if len(number) > maxLength {
		return -1, false
	}
	for _, name := range spaces {
		for _, n := range p.spaces[name] {
			f.search(&p.tries[n])
		}
	}
	if p.nameless >= 0 {
		f.search(&p.tries[p.nameless])
	}
	why.done(p, &f)
	return int(f.best), f.more
}
