package capfprofile

import (
	"context"
	"testing"
	"time"

	"github.com/locktone/locktone/pki"
)

// sweep returns the references that were revoked.
func (k *kit) sweep() map[pki.Ref]bool {
	k.t.Helper()
	out := map[pki.Ref]bool{}
	if _, err := k.Sweep(k.t.Context(), func(_ context.Context, r pki.Ref, _ string) error { out[r] = true; return nil }); err != nil {
		k.t.Fatal(err)
	}
	return out
}

func (k *kit) renewed() (first, second pki.Ref) {
	for _, to := range []*pki.Ref{&first, &second} {
		k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
		*to = pki.RefOf(k.enrol(phone.Device, "4711"))
		k.now = k.now.Add(time.Minute)
	}
	return first, second
}

// TestReplacedCertificates: the former LSC is revoked when the new one is seen, or after the grace; never before.
func TestReplacedCertificates(t *testing.T) {
	k := newKit(t, Config{})
	first, second := k.renewed()
	if got := k.sweep(); len(got) != 0 {
		t.Fatal(got)
	}
	must(t, k.Used(t.Context(), pki.KindDevice, phone.Device, first)) // it is still used: that says nothing of the new one
	if got := k.sweep(); len(got) != 0 {
		t.Fatal(got)
	}
	must(t, k.Used(t.Context(), pki.KindDevice, phone.Device, second))
	if got := k.sweep(); len(got) != 1 || !got[first] {
		t.Fatal(got)
	}
	k = newKit(t, Config{})
	first, _ = k.renewed()
	k.now = k.now.Add(7 * 24 * time.Hour)
	if got := k.sweep(); len(got) != 1 || !got[first] {
		t.Fatal(got)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestLostAnswer: the phone stored the certificate, and its answer was lost. It is seen with it: that confirms it.
func TestLostAnswer(t *testing.T) {
	k := newKit(t, Config{MaxAttempts: 1})
	first, _ := k.renewed()
	_ = first
	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
	g := k.mustBegin(phone.Device, "4711")
	c := k.certificate(phone.Device)
	k.must(k.Issued(t.Context(), g, c, time.Time{}))
	k.must(k.Failed(t.Context(), g, CauseCommunication))
	p := k.get(phone)
	if p.Unconfirmed == nil || p.LSC == nil {
		t.Fatalf("%+v", p)
	}
	was := p.LSC.Ref
	must(t, k.Used(t.Context(), pki.KindDevice, phone.Device, pki.RefOf(c)))
	if p = k.get(phone); p.LSC.Ref != pki.RefOf(c) || p.Unconfirmed != nil {
		t.Fatalf("%+v", p)
	}
	if got := k.sweep(); !got[was] {
		t.Errorf("%v", got)
	}
}

// TestTwoLostAnswers: two certificates were sent, none confirmed; the phone turns out to hold the first of them.
func TestTwoLostAnswers(t *testing.T) {
	k := newKit(t, Config{})
	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
	var refs []pki.Ref
	for range 2 {
		g := k.mustBegin(phone.Device, "4711")
		c := k.certificate(phone.Device)
		k.must(k.Issued(t.Context(), g, c, time.Time{}))
		k.must(k.Failed(t.Context(), g, CauseCommunication))
		refs = append(refs, pki.RefOf(c))
		k.now = k.now.Add(time.Minute)
	}
	must(t, k.Used(t.Context(), pki.KindDevice, phone.Device, refs[0]))
	p := k.get(phone)
	if p.LSC == nil || p.LSC.Ref != refs[0] || len(p.LSC.DER) == 0 {
		t.Fatalf("%+v", p)
	}
	if got := k.sweep(); len(got) != 1 || !got[refs[1]] {
		t.Errorf("%v", got)
	}
}

// TestAbandoned: a certificate that nobody confirmed and nobody showed is revoked after the grace.
func TestAbandoned(t *testing.T) {
	k := newKit(t, Config{MaxAttempts: 1})
	k.create(Order{Owner: phone, Operation: InstallUpgrade, String: "4711"})
	g := k.mustBegin(phone.Device, "4711")
	c := k.certificate(phone.Device)
	k.must(k.Issued(t.Context(), g, c, time.Time{}))
	k.must(k.Failed(t.Context(), g, CauseCommunication))
	if got := k.sweep(); len(got) != 0 {
		t.Fatal(got)
	}
	k.now = k.now.Add(8 * 24 * time.Hour)
	if got := k.sweep(); !got[pki.RefOf(c)] {
		t.Fatal(got)
	}
	if p := k.get(phone); p.Unconfirmed != nil || len(p.Superseded) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestDeleted(t *testing.T) {
	k := newKit(t, Config{})
	_, second := k.renewed()
	k.create(Order{Owner: phone, Operation: Delete, Mode: ByExistingLSC})
	g, err := k.Begin(t.Context(), Knock{Name: phone.Device, Proof: ProofLSC})
	must(t, err)
	k.must(k.Deleted(t.Context(), g))
	if p := k.get(phone); p.Status != "Delete Success" || p.LSC != nil {
		t.Fatalf("%+v", p)
	}
	if got := k.sweep(); !got[second] {
		t.Errorf("%v", got)
	}
}

// TestRenewal: in the last third of its life an LSC renews itself, by a proof that is good for this session only.
func TestRenewal(t *testing.T) {
	k := newKit(t, Config{})
	k.create(Order{Owner: app, Operation: InstallUpgrade, String: "4711"})
	ref := pki.RefOf(k.enrol("CTI-5", "4711"))
	knock := Knock{Name: "CTI-5", Proof: ProofLSC, Proven: ref, Fresh: true}
	if _, err := k.Begin(t.Context(), knock); why(err) != RefusedNothing {
		t.Fatal("too early: ", err)
	}
	k.now = k.now.AddDate(0, 0, 601)
	for name, bad := range map[string]Knock{
		"a proof that can be replayed": {Name: "CTI-5", Proof: ProofLSC, Proven: ref},
		"another certificate":          {Name: "CTI-5", Proof: ProofLSC, Proven: pki.Ref{Issuer: "CN=x", Serial: "1"}, Fresh: true},
		"a MIC":                        {Name: "CTI-5", Proof: ProofMIC, Proven: ref, Fresh: true},
		"a string":                     {Name: "CTI-5", String: "4711"},
	} {
		if _, err := k.Begin(t.Context(), bad); why(err) != RefusedNothing {
			t.Errorf("%s: %v", name, err)
		}
	}
	g, err := k.Begin(t.Context(), knock)
	must(t, err)
	k.must(k.Failed(t.Context(), g, CauseCommunication)) // it tries again
	if _, err := k.begin("CTI-5", "4711"); why(err) != RefusedNothing {
		t.Error(err)
	}
	if g, err = k.Begin(t.Context(), knock); err != nil {
		t.Fatal(err)
	}
	c := k.certificate("5")
	k.must(k.Issued(t.Context(), g, c, time.Time{}))
	k.must(k.Stored(t.Context(), g))
	if p := k.get(app); p.LSC.Ref != pki.RefOf(c) || !p.Unpinned || p.Renewal {
		t.Errorf("%+v", p)
	}
	k.cfg.NoRenewal = true
	k.now = k.now.AddDate(0, 0, 601)
	knock.Proven = pki.RefOf(c)
	if _, err := k.Begin(t.Context(), knock); why(err) != RefusedNothing {
		t.Error(err)
	}
}
