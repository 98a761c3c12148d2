package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/phonexml"
	"github.com/locktone/locktone/wire/trustlist"
)

// TestPhoneEnrollRefusals: what is wrong is said with an advice, in words and in JSON, before anything is sent.
func TestPhoneEnrollRefusals(t *testing.T) {
	token := capf.JoinToken{Password: capf.NewSecret("4711471147"), Signers: [][32]byte{{1}}}.Text()
	common := []string{"phone", "enroll", "--tftp", "127.0.0.1:99999", "--dir", t.TempDir()}
	for _, c := range []struct {
		args  []string
		code  int
		words string
	}{
		{nil, exitUsage, "--name"},
		{[]string{"--instance", "5", "--name", "SEP1"}, exitUsage, "--name and --instance"},
		{[]string{"--instance", "5", "--string", "1234", "--token", token}, exitUsage, "--string and --token"},
		{[]string{"--instance", "5", "--token", "4711471147"}, exitFailed, "begins with LT1-"},
		{[]string{"--instance", "5", "--token", token[:len(token)-1]}, exitFailed, "copy it again"},
		{[]string{"--instance", "../5", "--string", "4711471147"}, exitFailed, "a name has letters"},
		{[]string{"--instance", "5", "--string", "4711471147"}, exitFailed, "What to do:"},
	} {
		text, code := command(t, append(common, c.args...)...)
		if code != c.code || !strings.Contains(text, c.words) || strings.Contains(text, "4711471147") {
			t.Errorf("%v: exit %d\n%s", c.args, code, text)
		}
	}
	text, code := command(t, append([]string{"--json"}, append(common, "--instance", "5")...)...)
	var p admin.Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || code != exitFailed || p.Code != "enroll-download" || p.Advice == "" {
		t.Errorf("%d %s %v", code, text, err)
	}
}

// TestPhoneEnroll: an application by the command line and a phone by the library, against a whole site: TFTP, lists, CAPF.
func TestPhoneEnroll(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a whole site")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	s, err := lab.Start(ctx, lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	order := func(owner capfprofile.Owner, mode capfprofile.AuthMode) capf.Secret {
		t.Helper()
		made, err := s.Profiles.Create(ctx, capfprofile.Order{Owner: owner, Operation: capfprofile.InstallUpgrade, Mode: mode, Order: capfprofile.RSAOnly, Author: "test"})
		if err != nil {
			t.Fatal(err)
		}
		return capf.NewSecret(made.String.Reveal())
	}
	list := enrollApplication(ctx, t, s, order)
	enrollPhone(ctx, t, s, list, order)
}

// enrollApplication takes the string from standard input and returns the list that came.
func enrollApplication(ctx context.Context, t *testing.T, s *lab.Site, order func(capfprofile.Owner, capfprofile.AuthMode) capf.Secret) *trustlist.List {
	owner, dir := capfprofile.Owner{User: "tapi", Instance: "5"}, t.TempDir()
	secret := order(owner, capfprofile.ByAuthenticationString)
	run := func(args ...string) (string, int) {
		var out bytes.Buffer
		a := &app{ctx: ctx, in: strings.NewReader(secret.Reveal() + "\n"), out: &out, err: &out}
		code := a.run(append(args, "phone", "enroll", "--tftp", s.Provisioning.TFTP().String(), "--capf", s.CAPF.Addresses()[0].String(), "--instance", "5", "--string", "-", "--dir", dir))
		return out.String(), code
	}
	text, code := run("--json")
	var r enroll.Result
	if err := json.Unmarshal([]byte(text), &r); err != nil || code != exitOK || r.Name != "CTI-5" || r.Done != "Install/Upgrade" || r.Pinned || r.NotAfter.IsZero() || !strings.HasPrefix(r.List, "CTLCAPF") {
		t.Fatalf("%d %s %v", code, text, err)
	}
	if p, err := s.Profiles.Get(ctx, owner); err != nil || p.Status != "Upgrade Success" || !p.Unpinned {
		t.Errorf("the profile says %+v, %v", p, err)
	}
	if text, code = run(); code != exitFailed || !strings.Contains(text, "What to do:") {
		t.Errorf("the same string again: %d %s", code, text)
	}
	store, err := enroll.OpenStore(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	list, err := store.List(trustlist.CTL)
	if err != nil || list == nil {
		t.Fatal(err)
	}
	return list
}

// enrollPhone pins the signers of the list.
func enrollPhone(ctx context.Context, t *testing.T, s *lab.Site, list *trustlist.List, order func(capfprofile.Owner, capfprofile.AuthMode) capf.Secret) {
	device := capfprofile.Owner{Device: "alice"}
	cfg := enroll.PhoneConfig{Name: device.Device, Dir: t.TempDir(), Source: enroll.TFTP{Server: s.Provisioning.TFTP().String(), BlockSize: 1428}, CAPF: s.CAPF.Addresses()[0].String()}
	cfg.Authorization.Password = order(device, capfprofile.ByAuthenticationString)
	for _, rec := range list.ByRole(trustlist.RoleSAST) {
		cfg.Authorization.Signers = append(cfg.Authorization.Signers, sha256.Sum256(rec.Certificate))
	}
	open := func() *enroll.Phone {
		p, err := enroll.NewPhone(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	if l, err := p.Update(ctx); err != nil || !l.Pinned || l.CTL == nil || l.ITL == nil {
		t.Fatalf("%+v, %v", l, err)
	}
	if c, err := p.Config(ctx); err != nil || !c.Signed {
		t.Errorf("%+v, %v", c, err)
	}
	first, err := p.Enroll(ctx)
	if err != nil || first.Certificate == nil || !first.Pinned {
		t.Fatalf("%+v, %v", first, err)
	}
	order(device, capfprofile.ByExistingLSC) // a renewal without a string
	if c, err := p.Config(ctx); err != nil || c.Device == nil || c.Device.CAPFAuthMode != phonexml.CAPFLSC {
		t.Errorf("%+v, %v", c, err)
	}
	if renewed, err := p.Enroll(ctx); err != nil || renewed.Serial == first.Serial {
		t.Errorf("by the certificate held: %+v, %v", renewed, err)
	}
	cfg.Dir, cfg.Source, cfg.Authorization.Signers = t.TempDir(), enroll.HTTP{Server: s.Provisioning.HTTP().String()}, [][32]byte{{1}}
	if l, err := open().Update(ctx); err == nil || l.CTL != nil {
		t.Errorf("another site's token: %+v, %v", l, err)
	}
}
