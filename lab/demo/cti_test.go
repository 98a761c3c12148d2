package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/ldapserver"
	"github.com/locktone/locktone/lab/phone"
)

// TestCTI plays the whole scenario.
func TestCTI(t *testing.T) {
	start := time.Now()
	r, err := CTI(t.Context(), CTIChange{}, func(text string) { t.Logf("%6.2f %s", time.Since(start).Seconds(), text) })
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Missing {
		t.Error(m)
	}
	if !r.Proven || len(r.Stages) != len(ctiStages) || len(r.Legs) != 2 {
		t.Errorf("%+v", r)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || strings.Contains(text.String(), ctiPassword) {
		t.Errorf("%v\n%s", err, text.String())
	}
	t.Log("\n" + text.String())
}

// TestCTICanFail: what is broken on purpose is seen, at the step it is broken at.
func TestCTICanFail(t *testing.T) {
	for name, c := range map[string]struct {
		change CTIChange
		says   string
	}{
		"a wrong password":             {CTIChange{Password: "pinkman"}, "it logs in on 2749"},
		"a disabled account":           {CTIChange{Entry: func(e *ldapserver.Entry) { e.Attributes["userAccountControl"] = []string{"514"} }}, "it logs in on 2749"},
		"a user who may not":           {CTIChange{Site: func(c *config.Site) { c.Users[len(c.Users)-1].Groups = nil }}, "it logs in on 2749"},
		"a device that takes no CTI":   {CTIChange{Site: func(c *config.Site) { c.Devices[len(c.Devices)-1].AllowControlFromCTI = config.CTIControlRefused }}, "it opens the desk phone"},
		"a phone that does not answer": {CTIChange{Phone: func(c *phone.Config) { c.Intercom = false }}, "it makes a call from it"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := CTI(t.Context(), c.change, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(r.Missing, "\n"); r.Proven || !strings.Contains(all, c.says) {
				t.Errorf("proven %v, missing:\n%s", r.Proven, all)
			}
		})
	}
}
