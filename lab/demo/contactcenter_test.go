package demo

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/border/snippet"
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

// TestPastedTextCarriesTheCall: the text of the procedure, pasted with the addresses of the site onto a border that knows no more than the
// number, makes the peers that carry the scenario's call.
func TestPastedTextCarriesTheCall(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../service/border/snippet/testdata/seed.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(data), "----\n")
	r := playContactCenter(t, ContactCenterChange{Site: func(c *config.Site) {
		at := c.Nodes[0].Address
		text := strings.NewReplacer("127.0.1.10", at, "127.0.1.20", strings.TrimSuffix(at, "10")+"20").Replace(text)
		c.DialPeers = slices.DeleteFunc(c.DialPeers, func(p config.DialPeer) bool { return p.Tag == 6000 })
		c.DialPeers = append(c.DialPeers, config.DialPeer{Tag: 6000, DestinationPatterns: []string{"6000"}, Transport: config.TransportUDP,
			SessionTargets: []config.SessionTarget{{Address: "192.0.2.1"}}, OptionsKeepalive: config.OptionsPing{Disabled: true}})
		read := snippet.Read(text, c)
		if !read.Clean() || read.Count(snippet.Understood) < 11 {
			t.Errorf("%+v", read)
		}
		c.DialPeers, c.Trustpoints, c.Borders = read.Site.DialPeers, read.Site.Trustpoints, read.Site.Borders
	}})
	if !r.Proven {
		t.Errorf("not proven: %q", r.Missing)
	}
}
