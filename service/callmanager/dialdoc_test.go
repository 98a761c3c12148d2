package callmanager

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// TestDialplanPage: the examples of docs/dialplan.md are site files that are accepted, and do what the page says.
func TestDialplanPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/dialplan.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```yaml\n")[1:]
	if len(blocks) != 3 {
		t.Fatalf("%d examples, want 3", len(blocks))
	}
	plans := make([]*dialplan.Plan, len(blocks))
	for i, b := range blocks {
		text, _, _ := strings.Cut(b, "```")
		c, err := compile(siteOf(t, "nodes: [{name: n}]\ncallManagerGroups: [{name: g, nodes: [n]}]\nsipTrunkSecurityProfiles: [{name: s, acceptedSubjects: [a.example]}]\n"+text)).Compile()
		if err != nil {
			t.Fatalf("example %d: %v", i+1, err)
		}
		plans[i] = c.Plan()
	}
	friday := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		example       int
		space, called string
		at            time.Time
		outcome       dialplan.Outcome
		to, becomes   string
	}{
		{0, "lobby", "112", friday, dialplan.Match, "out", "112"},
		{0, "lobby", "0112", friday, dialplan.Match, "out", "112"},
		{0, "lobby", "0555123", friday, dialplan.NoMatch, "", "0555123"},
		{0, "staff", "0555123", friday, dialplan.Match, "out", "+4930555123"},
		{0, "staff", "00891234567", friday, dialplan.Match, "out", "+49891234567"},
		{0, "staff", "009001234", friday, dialplan.Rejected, "", "009001234"},
		{1, "staff", "0089123", friday, dialplan.Match, "provider", "+4989123"},
		{1, "staff", "00033155", friday, dialplan.Match, "provider", "+33155"},
		{1, "incoming", "+493012345001", friday, dialplan.Match, "5001", "+493012345001"},
		{2, "all", "100", friday, dialplan.Match, "", "100"},
		{2, "all", "100", friday.AddDate(0, 0, 1), dialplan.Match, "closed", "100"},
		{2, "all", "100", time.Date(2026, 12, 31, 12, 0, 0, 0, time.UTC), dialplan.Match, "closed", "100"},
	} {
		r := plans[c.example].Route(dialplan.Query{SearchSpaces: []string{c.space}, Called: c.called, Complete: true, Emergency: true, At: c.at})
		if r.Outcome != c.outcome || r.Called != c.becomes || r.Outcome == dialplan.Match && r.Pattern.To != c.to {
			t.Errorf("example %d, %s dials %s: %s, becomes %q, %+v", c.example+1, c.space, c.called, r.Outcome, r.Called, r.Pattern)
		}
	}
	for _, c := range []struct{ space, number, want string }{
		{"make global", "089123", "+4989123"}, {"make national", "+493012345001", "03012345001"}, {"shown on phones", "+4989123", "0089123"}, {"shown on phones", "+33155", "00033155"},
	} {
		if got, _ := plans[1].CallingNumber(c.space, c.number); got != c.want {
			t.Errorf("%s: %s becomes %s, want %s", c.space, c.number, got, c.want)
		}
	}
}
