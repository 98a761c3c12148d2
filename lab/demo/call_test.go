package demo

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
)

func play(t *testing.T, change Change) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	r, err := Call(ctx, change, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + text.String())
	return r
}

func TestCallIsProven(t *testing.T) {
	r := play(t, Change{})
	if !r.Proven || len(r.Legs) != 2 {
		t.Fatalf("not proven: %q", r.Missing)
	}
}

// TestClaimsBreak breaks one claim after the other and sees that the demo says so.
func TestClaimsBreak(t *testing.T) {
	for name, c := range map[string]struct {
		change Change
		says   string
	}{
		"plain RTP":   {Change{Alice: func(c *phone.Config) { c.Misbehave.PlainMedia = true }}, "bob did not hear"},
		"silence":     {Change{Bob: func(c *phone.Config) { c.Misbehave.Silent = true }}, "alice did not hear"},
		"wrong chain": {Change{Bob: strangerCertificate(t)}, "bob registers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := play(t, c.change)
			if r.Proven {
				t.Fatal("proven, although it was broken on purpose")
			}
			if all := strings.Join(r.Missing, "\n"); !strings.Contains(all, c.says) {
				t.Errorf("the report does not say %q:\n%s", c.says, all)
			}
		})
	}
}

// strangerCertificate gives a phone a certificate with the right name from an authority nobody knows.
func strangerCertificate(t *testing.T) func(*phone.Config) {
	t.Helper()
	keys, err := pki.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	register, err := pki.OpenRegister(t.TempDir() + "/register")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.Open(t.Context(), pki.Config{Cluster: "locktone", Custody: keys, Register: register})
	if err != nil {
		t.Fatal(err)
	}
	issued, err := ca.Issue(t.Context(), pki.Request{Kind: pki.KindDevice, Name: "bob"})
	if err != nil {
		t.Fatal(err)
	}
	return func(c *phone.Config) { c.Certificate = issued.Credential.TLS() }
}
