package dialplan

import (
	"slices"
	"strings"
	"testing"
)

// trap is a plan in which everything there is tries to keep 112 from being reached.
var trap = Rules{
	SearchSpaces: []SearchSpace{{"lobby", []string{"phones"}}, {"blocked", []string{"block", "phones"}}, {"munich", []string{"munich"}},
		{"tollbypass", []string{"translate"}}, {"provider", []string{"phones"}}, {"branch", []string{"berlin"}}},
	Schedules:  []Schedule{{Name: "never", Periods: []Period{{First: Date{1999, 1, 1}, Last: Date{1999, 1, 1}}}}},
	Partitions: []Partition{{Name: "berlin", Schedule: "never"}},
	Patterns: []Pattern{
		{Digits: "112", Partition: "berlin", Kind: ToRouteList, To: "berlin", Emergency: true},
		{Digits: "112", Partition: "munich", Kind: ToTrunk, To: "munich", Emergency: true},
		{Digits: "9.112", Partition: "berlin", Kind: ToTrunk, To: "berlin9", Emergency: true, Called: Transform{Discard: "predot"}},
		{Digits: "112", Partition: "phones", Kind: DirectoryNumber},
		{Digits: "1125", Partition: "phones", Kind: DirectoryNumber},
		{Digits: "112", Partition: "block", Kind: Blocked},
		{Digits: "112", Partition: "translate", Kind: Translation, Called: Transform{Mask: "5555"}},
		{Digits: "0.112", Partition: "translate", Kind: Translation, Called: Transform{Discard: "predot"}},
	},
}

func TestEmergencyWins(t *testing.T) {
	p := compile(t, trap)
	for _, c := range []struct {
		why, space, called string
		ours, overlap      bool
		want               string // name of the trunk or route list, else the outcome or kind
	}{
		{"a line of the same number in its own space", "lobby", "112", true, false, "berlin"},
		{"its partition is in no space of the caller", "nospace", "112", true, false, "berlin"},
		{"its partition is closed by a schedule", "branch", "112", false, false, "berlin"},
		{"a blocked pattern", "blocked", "112", true, false, "berlin"},
		{"a translation pattern", "tollbypass", "112", true, false, "berlin"},
		{"the caller's own space says which of two", "munich", "112", true, false, "munich"},
		{"what a translation makes of other digits", "tollbypass", "0112", true, false, "berlin"},
		{"with an access code, which is cut", "lobby", "9112", true, false, "berlin9"},
		{"digit by digit, though 1125 exists", "lobby", "112", true, true, "berlin"},
		{"digit by digit, one is missing", "nospace", "11", true, true, "more digits"},
		{"en bloc a longer number is another number", "lobby", "1125", true, false, "directory-number"},
		{"who comes in on a trunk gets what its space has", "provider", "112", false, false, "directory-number"},
	} {
		r := p.Route(Query{SearchSpaces: []string{c.space}, Called: c.called, Complete: !c.overlap, Emergency: c.ours})
		got := r.Outcome.String()
		if r.Outcome == Match {
			if got = r.Pattern.Kind.String(); r.Pattern.Emergency {
				got = r.Pattern.To
			}
		}
		if got != c.want || r.Outcome == Match && r.Pattern.Emergency && r.Called != "112" {
			t.Errorf("%s: %s as %q, want %s", c.why, got, r.Called, c.want)
		}
	}
	_, steps := p.Explain(Query{SearchSpaces: []string{"blocked"}, Called: "112", Complete: true, Emergency: true})
	if !slices.ContainsFunc(steps, func(s Step) bool {
		return strings.Contains(s.Sentence, "112 in berlin is an emergency number: it wins")
	}) {
		t.Errorf("the explanation does not say so: %+v", steps)
	}
	for _, kind := range []Kind{Blocked, DirectoryNumber, Translation, ToApplet} {
		if _, err := Compile(Rules{Patterns: []Pattern{{Digits: "112", Kind: kind, To: strings.Repeat("x", int(kind/ToApplet)), Emergency: true}}}); err == nil {
			t.Errorf("an emergency pattern of kind %s compiles", kind)
		}
	}
}

// TestNumbers: E.164 at the core, the local form where a trunk or device wants it.
func TestNumbers(t *testing.T) {
	p := compile(t, Rules{
		SearchSpaces: []SearchSpace{{"berlin trunk", []string{"to-berlin", "to-germany"}}, {"from provider", []string{"in"}}, {"elsewhere", nil}},
		CallingNumbers: []Transformation{
			{Digits: `\+4930.!`, Partition: "to-berlin", Change: Transform{Discard: "predot"}},
			{Digits: `\+49.!`, Partition: "to-germany", Change: Transform{Discard: "predot", Prefix: "0"}},
			{Digits: `0.[1-9]!`, Partition: "in", Change: Transform{Discard: "predot", Prefix: "+49"}},
			{Digits: `00.!`, Partition: "in", Change: Transform{Discard: "predot", Prefix: "+"}},
			{Digits: `\+49800!`, Partition: "to-germany", Presentation: PresentationRestricted},
		},
		CalledNumbers: []Transformation{{Digits: `\+49.!`, Partition: "to-germany", Change: Transform{Discard: "predot", Prefix: "0"}}},
	})
	for _, c := range []struct{ space, in, want string }{
		{"berlin trunk", "+4930555", "555"},
		{"berlin trunk", "+4989555", "089555"},
		{"berlin trunk", "+33155", "+33155"}, // nothing says what becomes of it
		{"from provider", "030555", "+4930555"},
		{"from provider", "0033155", "+33155"},
		{"from provider", "", ""},
		{"elsewhere", "+4930555", "+4930555"},
		{"", "+4930555", "+4930555"},
		{"berlin trunk", strings.Repeat("1", 500), strings.Repeat("1", 500)},
	} {
		if got, _ := p.CallingNumber(c.space, c.in); got != c.want {
			t.Errorf("%s: %q becomes %q, want %q", c.space, c.in, got, c.want)
		}
	}
	if got, _ := p.CalledNumber("berlin trunk", "+4930555"); got != "030555" {
		t.Errorf("called: %q", got)
	}
	if _, by := p.CallingNumber("berlin trunk", "+49800555"); by == nil || by.Presentation != PresentationRestricted {
		t.Errorf("%+v", by)
	}
	_, err := Compile(Rules{CallingNumbers: []Transformation{{Digits: "1["}, {Digits: "", Partition: "a"}, {Digits: "12", Change: Transform{Discard: "predot"}}, {Digits: "12"}}})
	for _, want := range []string{"calling number 1: a bracket", "calling number 2: no digits", "calling number 3: discard", "calling number 4: number 3 is the same"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in\n%v", want, err)
		}
	}
}

// TestAlternateNumber: +493012345001 reaches line 5001, and the other way round line 5001 calls as +493012345001.
func TestAlternateNumber(t *testing.T) {
	p := compile(t, Rules{SearchSpaces: []SearchSpace{{"in", []string{"dids"}}}, Patterns: []Pattern{
		{Digits: "5001", Partition: "phones", Kind: DirectoryNumber},
		{Digits: `\+493012345001`, Partition: "dids", Kind: DirectoryNumber, To: "5001", ToPartition: "phones"},
		{Digits: `\+!`, Kind: ToTrunk, To: "pstn", Calling: Transform{Prefix: "9"}},
		{Digits: `*31.\+!`, Kind: ToTrunk, To: "pstn", KeepNumber: true, Called: Transform{Discard: "predot"}},
	}})
	r := p.Route(Query{SearchSpaces: []string{"in"}, Called: "+493012345001", Complete: true})
	if number, partition := r.Pattern.Line(); r.Outcome != Match || number != "5001" || partition != "phones" {
		t.Errorf("%s: line %s in %s", r.Outcome, number, partition)
	}
	for dialled, want := range map[string]string{"+33155": "9+493012345001", "*31+33155": "5001"} {
		r = p.Route(Query{Called: dialled, Calling: "5001", ExternalMask: "+49301234XXXX", Complete: true})
		if r.Outcome != Match || r.Calling != want || r.Called != "+33155" {
			t.Errorf("%s: %s calling %q called %q, want calling %q", dialled, r.Outcome, r.Calling, r.Called, want)
		}
	}
}
