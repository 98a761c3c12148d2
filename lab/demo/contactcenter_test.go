package demo

import (
	"bytes"
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
)

// playContactCenter plays the scenario with what a change breaks.
func playContactCenter(t *testing.T, change ContactCenterChange) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	r, err := ContactCenter(ctx, change, ContactCenterOptions{Capture: filepath.Join(t.TempDir(), "call.pcapng")}, func(string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestContactCenter: the scenario is proven, every question of the document has an answer, and the ladder shows every element.
func TestContactCenter(t *testing.T) {
	t.Parallel()
	r := playContactCenter(t, ContactCenterChange{})
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !r.Proven {
		t.Fatalf("not proven:\n%s", text.String())
	}
	if len(r.Questions) != 8 {
		t.Errorf("%d questions are answered, want 8", len(r.Questions))
	}
	for _, want := range []string{"border", "callserver", "voicebrowser", "callmanager", ccDesk, "every hop was encrypted"} {
		if !strings.Contains(r.Ladder, want) {
			t.Errorf("the ladder has no %q:\n%s", want, r.Ladder)
		}
	}
}

// TestContactCenterFails: what is broken is not proven, and the report says what.
func TestContactCenterFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change ContactCenterChange
		want   string // in what is missing
	}{
		"nobody takes the contact number": {ContactCenterChange{Site: func(c *config.Site) {
			c.DialPeers = slices.DeleteFunc(c.DialPeers, func(p config.DialPeer) bool { return p.Tag == 6000 })
		}}, "a caller calls"},
		"the agent's phone sends nothing that can be authenticated": {ContactCenterChange{Agent: func(c *phone.Config) { c.Misbehave.WrongKey = true }}, "both hear each other"},
	} {
		t.Run(name, func(t *testing.T) {
			r := playContactCenter(t, c.change)
			if r.Proven || !strings.Contains(strings.Join(r.Missing, "\n"), c.want) {
				t.Errorf("proven: %v; missing: %q", r.Proven, r.Missing)
			}
		})
	}
}
