package pki

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSigners: three identities, each with generations of its own, the same after every restart.
func TestSigners(t *testing.T) {
	p := newPlace(t)
	open := func() *Signers { return must(OpenSigners(t.Context(), p.config()))(t) }
	s := open()
	names := make(map[string]bool)
	for _, x := range s.All() {
		names[x.Certificate.Subject.CommonName] = true
		sum := sha256.Sum256([]byte("list"))
		sig := must(x.Sign(nil, sum[:], crypto.SHA256))(t)
		pub, _ := x.Certificate.PublicKey.(*rsa.PublicKey)
		if err := rsa.VerifyPKCS1v15(pub, crypto.SHA256, sum[:], sig); err != nil || pub.N.BitLen() != 2048 {
			t.Errorf("%s: RSA-%d, %v", x.Name, pub.N.BitLen(), err)
		}
		if x.Certificate.CheckSignature(x.Certificate.SignatureAlgorithm, x.Certificate.RawTBSCertificate, x.Certificate.Signature) != nil || x.Certificate.IsCA {
			t.Errorf("%s is not self-signed, or a CA", x.Name)
		}
		if text := fmt.Sprintf("%v %+v %#v", x.PrivateKey, x.PrivateKey, x.PrivateKey); strings.ContainsAny(text, "0123456789") {
			t.Errorf("the key prints: %s", text)
		}
	}
	if len(names) != 3 {
		t.Errorf("names %v", names)
	}
	recovery := must(s.Active(Recovery))(t)
	if life := recovery.Certificate.NotAfter.Sub(at()); life != 20*year || !strings.HasPrefix(recovery.Certificate.Subject.CommonName, "ITLRECOVERY_lab-") {
		t.Errorf("%s lives %v", recovery.Certificate.Subject, life)
	}
	first := must(s.Active(SAST1))(t)
	staged := must(s.Stage(t.Context(), SAST1))(t)
	if staged.Certificate.Subject.CommonName != first.Certificate.Subject.CommonName+"-g2" || staged.State != StateStaged {
		t.Errorf("staged %s, %s", staged.Certificate.Subject, staged.State)
	}
	if a := must(open().Active(SAST1))(t); a.Generation != 1 {
		t.Error("a staged signer is in use after a restart")
	}
	second := must(s.Activate(t.Context(), SAST1))(t)
	if second.Generation != 2 || !second.Online() {
		t.Errorf("activated %+v", second)
	}
	if all := open().All(); len(all) != 4 || all[0].State != StateRetiring || !all[0].Online() {
		t.Errorf("%d signers, the first %s", len(all), all[0].State)
	}
	must(s.Stage(t.Context(), SAST1))(t)
	if err := s.Discard(t.Context(), SAST1); err != nil {
		t.Fatal(err)
	}
	if x := must(s.Stage(t.Context(), SAST1))(t); x.Generation != 4 || !strings.HasSuffix(x.Certificate.Subject.CommonName, "-g4") || strings.Contains(x.Certificate.Subject.CommonName, "-g2") {
		t.Errorf("after a discarded third: %s", x.Certificate.Subject)
	}
	if err := s.Retire(t.Context(), SAST1, 2); err == nil {
		t.Error("the active generation was retired")
	}
	if err := s.Retire(t.Context(), SAST1, 1); err != nil || len(s.All()) != 4 {
		t.Errorf("retired: %v, %d left", err, len(s.All()))
	}
	if _, err := s.Stage(t.Context(), "sast-3"); err == nil {
		t.Error("a fourth signer")
	}
	if _, err := s.Staged(SAST2); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is staged: %v", err)
	}
}

// TestRecoveryOffline: the recovery key leaves the machine once, and comes back when it is needed.
func TestRecoveryOffline(t *testing.T) {
	p := newPlace(t)
	s := must(OpenSigners(t.Context(), p.config()))(t)
	before := must(s.Active(Recovery))(t)
	away := must(s.TakeOffline(t.Context()))(t)
	for _, x := range []*Signers{s, must(OpenSigners(t.Context(), p.config()))(t)} {
		got := must(x.Active(Recovery))(t)
		if got.Online() || !got.Certificate.Equal(before.Certificate) {
			t.Error("the key is still here, or the certificate is another")
		}
		if _, err := got.Sign(nil, make([]byte, 32), crypto.SHA256); err == nil {
			t.Error("it signs")
		}
	}
	stored := must(p.custody.Load(t.Context(), "signer/"+Recovery))(t)
	if strings.Contains(string(stored), "PRIVATE KEY") {
		t.Error("custody still has the key")
	}
	if _, err := s.TakeOffline(t.Context()); err == nil || !strings.Contains(err.Error(), "taken offline before") {
		t.Errorf("taken twice: %v", err)
	}
	other := must(OpenSigners(t.Context(), newPlace(t).config()))(t)
	if _, err := other.BringBack(t.Context(), away); err == nil || !strings.Contains(err.Error(), "which this cluster does not have") {
		t.Errorf("another cluster's key: %v", err)
	}
	if _, err := s.BringBack(t.Context(), Secret("nothing")); err == nil {
		t.Error("nothing was brought back")
	}
	if back := must(s.BringBack(t.Context(), away))(t); !back.Online() {
		t.Error("it does not sign")
	}
	if got := must(must(OpenSigners(t.Context(), p.config()))(t).Active(Recovery))(t); !got.Online() {
		t.Error("not after a restart")
	}
}

// TestSignersRace: nodes that start at once on one custody have the same signers.
func TestSignersRace(t *testing.T) {
	p := newPlace(t)
	var wg sync.WaitGroup
	got := make([]*Signers, 3)
	for i := range got {
		wg.Go(func() { got[i], _ = OpenSigners(t.Context(), p.config()) })
	}
	wg.Wait()
	for _, s := range got[1:] {
		for i, x := range s.All() {
			if !x.Certificate.Equal(got[0].All()[i].Certificate) {
				t.Errorf("two signers %s", x.Name)
			}
		}
	}
	if changed := must(got[1].Reload(t.Context()))(t); changed {
		t.Error("changed by nobody")
	}
	must(got[0].Stage(t.Context(), SAST2))(t)
	if changed := must(got[1].Reload(t.Context()))(t); !changed || len(got[1].All()) != 4 {
		t.Error("a staged one is not seen")
	}
	p.clock.t = p.clock.t.Add(time.Hour)
}
