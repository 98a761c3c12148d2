package rights

import (
	"fmt"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// Step is where in its way an application meets a condition.
type Step uint8

// The steps, in order.
const (
	Reach       Step = iota // finding a CTI manager
	Login                   // user and password
	Provider                // what the user's groups allow
	Certificate             // of the instance, on the secure port
	Device                  // opening the device
	Line                    // opening a line of it
	State                   // being in service
	Keys                    // being given SRTP keys; looked at when it is asked for
)

var stepNames = [...]string{"reach", "login", "provider", "certificate", "device", "line", "state", "keys"}

// String is the step in one word.
func (s Step) String() string {
	if int(s) < len(stepNames) {
		return stepNames[s]
	}
	return fmt.Sprintf("step-%d", uint8(s))
}

// MarshalText writes the word.
func (s Step) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the word.
func (s *Step) UnmarshalText(b []byte) error {
	for i, name := range stepNames {
		if name == string(b) {
			*s = Step(i)
			return nil
		}
	}
	return fmt.Errorf("rights: there is no step %q", b)
}

// Finding is what became of a condition.
type Finding uint8

// The findings. The zero value decides nothing.
const (
	Unknown    Finding = iota // what it needs is not known
	Met                       // as it should be
	Irrelevant                // it does not matter here
	Failed
)

var findingNames = [...]string{"unknown", "ok", "not-needed", "failed"}

// String is the finding in one word.
func (f Finding) String() string {
	if int(f) < len(findingNames) {
		return findingNames[f]
	}
	return fmt.Sprintf("finding-%d", uint8(f))
}

// MarshalText writes the word.
func (f Finding) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads the word.
func (f *Finding) UnmarshalText(b []byte) error {
	for i, name := range findingNames {
		if name == string(b) {
			*f = Finding(i)
			return nil
		}
	}
	return fmt.Errorf("rights: there is no finding %q", b)
}

// Verdict is what became of one condition.
type Verdict struct {
	Condition string  `json:"condition"`
	Step      Step    `json:"step"`
	Finding   Finding `json:"finding"`
	// Found is what is, Fix what to do where that is not as it should be: a command, or a field of the configuration.
	Found string `json:"found"`
	Fix   string `json:"fix,omitempty"`
	// Result is the value with which a CTI manager refuses; OK where it refuses nothing.
	Result ctiqbe.Result `json:"result,omitempty"`
}

// Failed says whether the condition is not met.
func (v Verdict) Failed() bool { return v.Finding == Failed }

// found is a verdict that a condition gives; Walk completes it.
type found struct {
	finding Finding
	text    string
	fix     string
	result  ctiqbe.Result // instead of the condition's own
}

func met(format string, args ...any) found {
	return found{finding: Met, text: fmt.Sprintf(format, args...)}
}
func unknown(text string) found    { return found{finding: Unknown, text: text} }
func irrelevant(text string) found { return found{finding: Irrelevant, text: text} }
func failed(fix, format string, args ...any) found {
	return found{finding: Failed, text: fmt.Sprintf(format, args...), fix: fix}
}

// as gives a failure another value than its condition's.
func (f found) as(r ctiqbe.Result) found {
	f.result = r
	return f
}

// condition is one of the list.
type condition struct {
	name   string
	step   Step
	result ctiqbe.Result
	look   func(*Facts) found
}

// Walk looks at all conditions of the steps up to the last one, in order. Those behind the first failure of a step that everything after
// depends on are looked at too, as far as they can be: a person sees the whole.
func Walk(f *Facts, last Step) (out []Verdict) {
	for _, c := range conditions {
		if c.step <= last {
			out = append(out, c.verdict(f))
		}
	}
	return out
}

// At is the first condition of one step that is not met; false: all are, as far as is known.
func At(f *Facts, step Step) (Verdict, bool) {
	for _, c := range conditions {
		if c.step != step {
			continue
		}
		if v := c.verdict(f); v.Failed() {
			return v, true
		}
	}
	return Verdict{}, false
}

// First is the first verdict that is a failure; false: there is none.
func First(all []Verdict) (Verdict, bool) {
	for _, v := range all {
		if v.Failed() {
			return v, true
		}
	}
	return Verdict{}, false
}

func (c condition) verdict(f *Facts) Verdict {
	got := c.look(f)
	v := Verdict{Condition: c.name, Step: c.step, Finding: got.finding, Found: got.text, Fix: got.fix}
	if v.Failed() {
		v.Result = c.result
		if got.result != ctiqbe.OK {
			v.Result = got.result
		}
	}
	return v
}
