package dialog

import "testing"

// TestNobodyForgetsWhoIsThere: a connected identity that waits for its turn goes out with the description that overtakes
// it, in either order, and the newest identity counts.
func TestNobodyForgetsWhoIsThere(t *testing.T) {
	tell := func(who string) change {
		return change{refresh: true, headers: []Header{{"P-Asserted-Identity", who}}}
	}
	offer := change{body: []byte("o"), headers: []Header{{"Reason", "r"}}}
	for name, queue := range map[string][]change{
		"identity, then description": {tell("a"), offer},
		"description, then identity": {offer, tell("a")},
		"two identities":             {tell("b"), offer, tell("a")},
	} {
		s := New(&Config{})
		s.phase, s.cli.ackWaits = PhaseUp, true // nothing may go out now
		for _, c := range queue {
			s.change(c)
		}
		if s.pending == nil || string(s.pending.body) != "o" || s.pending.refresh {
			t.Errorf("%s: %+v waits, want the description", name, s.pending)
			continue
		}
		got := map[string]string{}
		for _, h := range s.pending.headers {
			got[h.Name] += h.Value
		}
		if got["P-Asserted-Identity"] != "a" || got["Reason"] != "r" {
			t.Errorf("%s: header fields %v", name, got)
		}
	}
}
