package dialplan

import (
	"errors"
	"fmt"
)

// A Transformation rewrites numbers outside of routing: which numbers is said by its pattern, for whom by the search space that a
// trunk or device looks through. So +4930555 can be 0555 on a trunk in Berlin and 030555 on one in Munich, and what a
// provider sends in any national form can be made +E.164.
type Transformation struct {
	Digits    string `json:"digits"`
	Partition string `json:"partition,omitempty"`
	// Change is what becomes of the number.
	Change Transform `json:"change,omitzero"`
	// Presentation says whether the other side may see the number; called numbers have none.
	Presentation Presentation `json:"presentation,omitempty"`
}

// numbers are transformations that compete with each other.
type numbers struct {
	all       []Transformation
	templates []template
	layer     layer
}

func newNumbers(field string, all []Transformation) (numbers, []error) {
	n := numbers{all: all, layer: newLayer()}
	var errs []error
	fault := func(i int, err error) {
		if err != nil {
			errs = append(errs, &RuleError{-1, -1, fmt.Sprintf("%s %d", field, i+1), err})
		}
	}
	for i := range all {
		t, err := parse(all[i].Digits)
		n.templates = append(n.templates, t)
		fault(i, err)
		if err != nil {
			continue
		}
		if len(t.elements) == 0 {
			fault(i, errors.New("no digits"))
		}
		fault(i, all[i].Change.Validate(t.dot >= 0))
		if dup, ok := n.layer.trieOf(all[i].Partition).insert(t.elements, int32(i)); !ok {
			fault(i, fmt.Errorf("number %d is the same: %q in partition %q", dup+1, all[i].Digits, all[i].Partition))
		}
	}
	return n, errs
}

// apply finds the closest transformation in a search space; nil when there is none, and the number stays.
func (n *numbers) apply(space, number string) (string, *Transformation) {
	if space == "" || len(number) > maxLength {
		return number, nil
	}
	f := finder{number: number, best: -1}
	n.layer.search(&f, nil, []string{space})
	if f.best < 0 {
		return number, nil
	}
	return n.all[f.best].Change.apply(number, n.templates[f.best].dot), &n.all[f.best]
}

// CallingNumber is what becomes of a calling number in a transformation search space, and by which transformation: nil when none
// matches, and the number stays as it is.
func (p *Plan) CallingNumber(space, number string) (string, *Transformation) {
	return p.calling.apply(space, number)
}

// CalledNumber is the same for a called number.
func (p *Plan) CalledNumber(space, number string) (string, *Transformation) {
	return p.called.apply(space, number)
}
