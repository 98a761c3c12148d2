package enroll_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/trustlist"
)

// TestWholeSite: the client against our own services in a whole site: TFTP, lists, CAPF.
func TestWholeSite(t *testing.T) {
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
	files := enroll.TFTP{Server: s.Provisioning.TFTP().String(), BlockSize: 1428}
	address := s.CAPF.Addresses()[0].String()
	order := func(owner capfprofile.Owner, mode capfprofile.AuthMode) string {
		t.Helper()
		made, err := s.Profiles.Create(ctx, capfprofile.Order{Owner: owner, Operation: capfprofile.InstallUpgrade, Mode: mode, Order: capfprofile.RSAOnly, Author: "test"})
		if err != nil {
			t.Fatal(err)
		}
		return made.String.Reveal()
	}
	app := capfprofile.Owner{User: "tapi", Instance: "5"}
	cfg := enroll.Config{Instance: "5", Dir: t.TempDir(), Source: files, CAPF: address}
	cfg.Authorization.Password = capf.NewSecret(order(app, capfprofile.ByAuthenticationString))
	client, err := enroll.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r, err := client.Enroll(ctx)
	if err != nil || !strings.HasPrefix(r.List, "CTLCAPF") || r.Pinned || r.Certificate == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if p, err := s.Profiles.Get(ctx, app); err != nil || p.Status != "Upgrade Success" || !p.Unpinned {
		t.Errorf("the profile says %+v, %v", p, err)
	}
	if _, err := client.Enroll(ctx); !errors.Is(err, enroll.ErrNothingPending) && !errors.Is(err, capf.ErrRefused) {
		t.Errorf("again: %v", err)
	}

	list, err := client.Store().List(trustlist.CTL)
	if err != nil {
		t.Fatal(err)
	}
	device := capfprofile.Owner{Device: "alice"}
	phone := enroll.PhoneConfig{Name: device.Device, Dir: t.TempDir(), Source: files, CAPF: address}
	phone.Authorization.Password = capf.NewSecret(order(device, capfprofile.ByAuthenticationString))
	for _, rec := range list.ByRole(trustlist.RoleSAST) {
		phone.Authorization.Signers = append(phone.Authorization.Signers, sha256.Sum256(rec.Certificate))
	}
	p, err := enroll.NewPhone(phone)
	if err != nil {
		t.Fatal(err)
	}
	l, err := p.Update(ctx)
	if err != nil || !l.Pinned || l.CTL == nil || l.ITL == nil {
		t.Fatalf("%+v, %v", l, err)
	}
	c, err := p.Config(ctx)
	if err != nil || !c.Signed {
		t.Errorf("%+v, %v", c, err)
	}
	if r, err = p.Enroll(ctx); err != nil || r.Certificate == nil || !r.Pinned {
		t.Errorf("%+v, %v", r, err)
	}
	order(device, capfprofile.ByExistingLSC) // a renewal without a string
	phone.Authorization.Password = capf.Secret{}
	if p, err = enroll.NewPhone(phone); err != nil {
		t.Fatal(err)
	}
	renewed, err := p.Enroll(ctx)
	if err != nil || renewed.Serial == r.Serial {
		t.Errorf("by the certificate held: %+v, %v", renewed, err)
	}

	phone.Dir, phone.Source = t.TempDir(), enroll.HTTP{Server: s.Provisioning.HTTP().String()}
	phone.Authorization.Signers = [][32]byte{{1}}
	if p, err = enroll.NewPhone(phone); err != nil {
		t.Fatal(err)
	}
	if l, err = p.Update(ctx); err == nil || l.CTL != nil {
		t.Errorf("another site's token: %+v, %v", l, err)
	}
}
