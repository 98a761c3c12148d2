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
	calls     layer // all patterns but
	emergency layer // the emergency patterns
	calling   numbers
	called    numbers
}

// A RuleError is one fault in the rules.
type RuleError struct {
	// Pattern is the index in Rules.Patterns, -1 when the fault is elsewhere; Space likewise for Rules.SearchSpaces.
	Pattern, Space int
	// Field is the field at fault ("digits", "called", "search_space"); with neither index set it says what is meant ("schedule night").
	Field string
	Err   error
}

func (e *RuleError) Error() string {
	switch {
	case e.Pattern >= 0:
		return fmt.Sprintf("dialplan: pattern %d, %s: %v", e.Pattern+1, e.Field, e.Err)
	case e.Space < 0:
		return fmt.Sprintf("dialplan: %s: %v", e.Field, e.Err)
	}
	return fmt.Sprintf("dialplan: search space %d, %s: %v", e.Space+1, e.Field, e.Err)
}

// Unwrap is the reason.
func (e *RuleError) Unwrap() error { return e.Err }

// Compile checks the rules and builds the plan. The error joins every fault found, each a *RuleError.
func Compile(r Rules) (*Plan, error) {
	p := &Plan{rules: r, calls: newLayer(), emergency: newLayer()}
	var errs, faults []error
	p.calling, errs = newNumbers("calling number", r.CallingNumbers)
	p.called, faults = newNumbers("called number", r.CalledNumbers)
	errs = append(errs, faults...)
	for i := range r.Patterns {
		errs = append(errs, p.addPattern(i)...)
	}
	for i := range r.SearchSpaces {
		errs = append(errs, p.addSpace(i)...)
	}
	for i, pat := range r.Patterns {
		if pat.SearchSpace != "" && !p.HasSpace(pat.SearchSpace) {
			errs = append(errs, &RuleError{i, -1, "search_space", fmt.Errorf("there is no search space %q", pat.SearchSpace)})
		}
	}
	errs = append(errs, p.addSchedules()...)
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
	if (pat.Kind >= ToTrunk) != (pat.To != "") && (pat.Kind != DirectoryNumber || len(t.elements) == 0) {
		errs = append(errs, &RuleError{i, -1, "to", fmt.Errorf("a pattern of kind %s with to=%q; patterns that lead to a line, a translation or nowhere have none, all others need a name", pat.Kind, pat.To)})
	}
	if pat.Emergency && pat.Kind != ToTrunk && pat.Kind != ToRouteList {
		errs = append(errs, &RuleError{i, -1, "emergency", fmt.Errorf("a pattern of kind %s; emergency calls leave by a trunk or route list", pat.Kind)})
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
	competing := &p.calls
	if pat.Emergency {
		competing = &p.emergency
	}
	if dup, ok := competing.trieOf(pat.Partition).insert(t.elements, int32(i)); !ok {
		errs = append(errs, &RuleError{i, -1, "digits", fmt.Errorf("pattern %d is the same: %q in partition %q", dup+1, pat.Digits, pat.Partition)})
	}
	return errs
}

func (p *Plan) addSpace(i int) (errs []error) {
	s := &p.rules.SearchSpaces[i]
	if p.HasSpace(s.Name) || s.Name == "" {
		return []error{&RuleError{-1, i, "name", fmt.Errorf("%q is empty or used twice", s.Name)}}
	}
	for _, l := range []*layer{&p.calls, &p.emergency, &p.calling.layer, &p.called.layer} {
		l.addSpace(s)
	}
	return nil
}

func (p *Plan) addSchedules() (errs []error) {
	fault := func(what string, err error) { errs = append(errs, &RuleError{-1, -1, what, err}) }
	schedules := map[string]*Schedule{}
	for i := range p.rules.Schedules {
		s := &p.rules.Schedules[i]
		if schedules[s.Name] != nil || s.Name == "" {
			fault("schedule "+s.Name, errors.New("the name is empty or used twice"))
		}
		schedules[s.Name] = s
		for j := range s.Periods {
			if err := s.Periods[j].validate(); err != nil {
				fault("schedule "+s.Name, err)
			}
		}
	}
	for _, part := range p.rules.Partitions {
		s := schedules[part.Schedule]
		if s == nil {
			fault("partition "+part.Name, fmt.Errorf("there is no schedule %q", part.Schedule))
			continue
		}
		if n, ok := p.calls.partition[part.Name]; ok {
			p.calls.clocked[n] = clocked{s, part.Zone}
		}
	}
	return errs
}

// Rules are what the plan was compiled from; they must not be changed.
func (p *Plan) Rules() Rules { return p.rules }

// HasSpace says whether the plan has a search space of that name.
func (p *Plan) HasSpace(name string) bool {
	_, ok := p.calls.spaces[name]
	return ok
}

// Line is the line that a directory number leads to: its number, without escapes, and partition.
func (pat *Pattern) Line() (number, partition string) {
	number, partition = pat.Digits, pat.Partition
	if pat.To != "" {
		number, partition = pat.To, pat.ToPartition
	}
	return strings.ReplaceAll(number, `\`, ""), partition
}

// Route answers a query.
func (p *Plan) Route(q Query) Result { return p.route(q, nil) }

func (p *Plan) route(q Query, why *explainer) Result {
	res := Result{Called: q.Called, Calling: q.Calling}
	spaces := q.SearchSpaces
	var own [1]string
	for hop := 0; hop <= MaxTranslations; hop++ {
		best, more := p.lookup(&q, spaces, res.Called, why)
		switch {
		case best < 0 && more && !q.Complete:
			return Result{Outcome: MoreDigits, Called: res.Called, Calling: res.Calling}
		case best < 0:
			return Result{Outcome: NoMatch, Called: res.Called, Calling: res.Calling}
		}
		pat, t := &p.rules.Patterns[best], &p.templates[best]
		if more && !q.Complete && !pat.Urgent && !pat.Emergency {
			return Result{Outcome: MoreDigits, Called: res.Called, Calling: res.Calling}
		}
		before := res
		res.Pattern, res.Rest = pat, t.rest(res.Called)
		res.Called = pat.Called.apply(res.Called, t.dot)
		res.Calling = pat.Calling.Apply(pat.masked(res.Calling, q.ExternalMask))
		if pat.Presentation != PresentationDefault {
			res.Presentation = pat.Presentation
		}
		why.taken(pat, before, res)
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

// masked is the calling number that a pattern's own transformation begins with.
func (pat *Pattern) masked(calling, mask string) string {
	if mask == "" || pat.KeepNumber || pat.Kind != ToTrunk && pat.Kind != ToRouteList {
		return calling
	}
	return Transform{Mask: mask}.Apply(calling)
}

// lookup finds the closest match in the search spaces; more says whether a longer number could match something.
func (p *Plan) lookup(q *Query, spaces []string, number string, why *explainer) (best int, more bool) {
	if len(number) > maxLength {
		return -1, false
	}
	f := finder{number: number, best: -1, why: why}
	if len(p.emergency.tries) > 0 {
		p.emergency.search(&f, q, spaces)
		if f.best < 0 && q.Emergency {
			p.emergency.searchAll(&f)
		}
		if f.best >= 0 {
			why.emergency(p, &f)
			return int(f.best), f.more
		}
	}
	p.calls.search(&f, q, spaces)
	why.done(p, &f, spaces)
	return int(f.best), f.more
}
