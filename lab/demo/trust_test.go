package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/wire/capf"
)

// TestTrust plays the whole scenario.
func TestTrust(t *testing.T) {
	start := time.Now()
	r, err := Trust(t.Context(), TrustChange{}, func(text string) { t.Logf("%6.2f %s", time.Since(start).Seconds(), text) })
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Missing {
		t.Error(m)
	}
	if !r.Proven || len(r.Serials) < 11 || len(r.Legs) != 2 {
		t.Errorf("%+v", r)
	}
}

// TestTrustCanFail: a token that names other signers, and a rotation that leaves something out, are seen.
func TestTrustCanFail(t *testing.T) {
	for name, c := range map[string]struct {
		change TrustChange
		says   string
	}{
		"a token of another cluster": {TrustChange{Token: func(_ string, t capf.JoinToken) capf.JoinToken { t.Signers = [][32]byte{{1}}; return t }}, "the phones fetch lists and files, and enrol"},
		"only TVS is rotated":        {TrustChange{Rotate: rotation.TVS}, "not replaced: "},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Trust(t.Context(), c.change, func(string) {})
			if err != nil {
				t.Fatal(err)
			}
			if all := strings.Join(r.Missing, "\n"); r.Proven || !strings.Contains(all, c.says) {
				t.Errorf("proven %v, missing:\n%s", r.Proven, all)
			}
		})
	}
}
