package rotation

import (
	"strings"
	"testing"
)

// TestFate goes through the definition, one clause a line.
func TestFate(t *testing.T) {
	without := func(s State, ids ...ID) State { // members whose generation was replaced by one that nobody knows
		for i, m := range s.Members {
			for _, id := range ids {
				if m.Generations[0].ID == id {
					s.Members[i].Generations = []Generation{{ID: NewID(m.Name, 9), Number: 9, Phase: Active, Issuer: m.Generations[0].Issuer}}
				}
			}
		}
		return s
	}
	listed := func(s State) State { s.Published = s.listing(); return s }
	for _, x := range []struct {
		name   string
		device string
		state  State
		fate   Fate
		why    string
	}{
		{"nothing changed", "SEP01", newSite(), Fine, ""},
		{"the list is fetched", "SEP01", listed(without(newSite(), "callmanager-g1")), Fine, ""},
		{"nobody published", "SEP01", without(newSite(), "callmanager-g1"), Stranded, "does not name callmanager-g9"},
		{"one signer left", "SEP01 no-tvs", listed(without(newSite(), "sast-1-g1", RecoveryName+"-g1")), Fine, ""},
		{"TVS vouches", "SEP01", listed(without(newSite(), "sast-1-g1", "sast-2-g1", RecoveryName+"-g1")), Fine, ""},
		{"no TVS", "SEP01 no-tvs", listed(without(newSite(), "sast-1-g1", "sast-2-g1", RecoveryName+"-g1")), Deaf, "it cannot ask a TVS"},
		{"TVS went too", "SEP01", listed(without(newSite(), "sast-1-g1", "sast-2-g1", RecoveryName+"-g1", "tvs-g1")), Deaf, "TVS presents a certificate"},
		{"and something that matters", "SEP01", listed(without(newSite(), "sast-1-g1", "sast-2-g1", RecoveryName+"-g1", "tvs-g1", "provisioning-g1")), Stranded, "provisioning-g9 is in use"},
		{"recovery is beyond two", "SEP01 no-tvs two-signers", listed(without(newSite(), "sast-1-g1", "sast-2-g1")), Deaf, "of the signers it knows (sast-1-g1, sast-2-g1)"},
		{"never held a list", "SEP01 nothing", listed(without(newSite(), "sast-1-g1", "sast-2-g1", RecoveryName+"-g1", "tvs-g1", "callmanager-g1")), Fine, ""},
		{"LSC of a retired root", "SEP01", without(newSite(), "ca-g1"), Stranded, "issued by ca-g1, which is retired, and it has nothing else"},
		{"a MIC helps", "SEP01 mic", without(newSite(), "ca-g1"), Fine, ""},
		{"a MIC and a new CAPF, listed", "SEP01 mic", listed(without(newSite(), "ca-g1", "capf-g1")), Fine, ""},
		{"a MIC and a CAPF it cannot verify", "SEP01 mic no-tvs", listed(without(newSite(), "ca-g1", "capf-g1", "sast-1-g1", "sast-2-g1", RecoveryName+"-g1")), Stranded, "cannot verify CAPF"},
		{"a peer by its root", "vm peer", without(newSite(), "callmanager-g1"), Fine, ""},
		{"a peer by the certificate", "vm peer knows=callmanager-g1", without(newSite(), "callmanager-g1"), Stranded, "its operator was not given it"},
		{"may hold a list of long ago", "SEP01 no-tvs or=callmanager-g1,provisioning-g1,sast-1-g0", newSite(), Deaf, "any of 2 lists"},
		{"may hold one of two with no signer in common", "SEP01 no-tvs knows=callmanager-g1,provisioning-g1,sast-1-g1 or=callmanager-g1,provisioning-g1,sast-2-g1", newSite(), Deaf, "any of 2 lists"},
		{"may hold one of two with a signer in common", "SEP01 no-tvs or=callmanager-g1,provisioning-g1,sast-2-g1", newSite(), Fine, ""},
	} {
		words := strings.Fields(x.device)
		d := newPhone(newSite(), words[0])
		for _, w := range words[1:] {
			d = d.with(newSite(), w)
		}
		if f, why := x.state.Fate(d); f != x.fate || !strings.Contains(why, x.why) {
			t.Errorf("%s: %s is %s (%s), want %s (%s)", x.name, x.device, f, why, x.fate, x.why)
		}
	}
	offline := newSite()
	for i := range offline.Members {
		offline.Members[i].Generations[0].Offline = offline.Members[i].Kind == Signer
	}
	if f, _ := offline.Fate(newPhone(newSite(), "SEP01").with(newSite(), "no-tvs")); f != Deaf {
		t.Errorf("every signer's key is elsewhere, and a device is %s", f)
	}
}
