package phone_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/lab/phone/phonetest"
	"github.com/locktone/locktone/leg/drivertest"
	"github.com/locktone/locktone/media"
)

// registrar is an exchange that takes no calls.
func registrar(t *testing.T) *phonetest.Exchange {
	x := phonetest.Open(t, drivertest.NewEngine(), &media.Plane{})
	x.AddDevice(phonetest.Device(1), call.LineID{Number: "1001"})
	return x
}

func TestRegisterAndUnregister(t *testing.T) {
	t.Parallel()
	x := registrar(t)
	p := x.Phone(1, "1001", nil)
	if !p.Registered() {
		t.Error("not registered")
	}
	ctx := wait(t)
	must(t, p.Unregister(ctx))
	if p.Registered() {
		t.Error("still registered")
	}
}

func TestRegistrationIsRefreshed(t *testing.T) {
	t.Parallel()
	x := registrar(t)
	x.Grant(time.Second)
	p := x.Phone(1, "1001", nil)
	must(t, x.WaitRegisters(wait(t), 1))
	if !p.Registered() {
		t.Error("not registered any more")
	}
}

// A phone whose connection is cut registers again on a new one.
func TestPhoneComesBackAfterItsConnectionIsCut(t *testing.T) {
	t.Parallel()
	x := registrar(t)
	x.Grant(time.Second)
	x.Phone(1, "1001", nil)
	ctx := wait(t)
	before := x.Flow(phonetest.Device(1))
	before.Close(errors.New("cut by the test"))
	for {
		must(t, x.WaitRegisters(ctx, 1))
		if f := x.Flow(phonetest.Device(1)); f != before && f.Alive() {
			return
		}
		must(t, ctx.Err())
	}
}

func TestRegistrationRefused(t *testing.T) {
	t.Parallel()
	x := registrar(t)
	x.Refuse(403, `399 test "no such device"`)
	ctx := wait(t)
	p, err := phone.Start(ctx, x.Config(1, "1001"))
	must(t, err)
	t.Cleanup(func() { _ = p.Close(ctx) })
	err = p.WaitRegistered(ctx)
	var r *phone.Refused
	if !errors.As(err, &r) || r.Status != 403 || r.Warning == "" {
		t.Errorf("WaitRegistered: %v", err)
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	x := registrar(t)
	cfg := x.Config(1, "1001")
	cfg.Server = "127.0.0.1:1"
	if _, err := phone.Start(wait(t), cfg); err == nil {
		t.Error("Start found a server where none is")
	}
}

// RFC 5922: a phone accepts its server by chain and name only.
func TestWrongServerIsRefused(t *testing.T) {
	t.Parallel()
	x := registrar(t)
	for _, c := range []struct {
		name string
		edit func(*phone.Config)
	}{
		{"name", func(c *phone.Config) { c.ServerName = "elsewhere.test" }},
		{"address", func(c *phone.Config) { c.ServerName = "127.0.0.2" }},
		{"authority", func(c *phone.Config) { c.Roots = phonetest.NewAuthority(t, "Other CA").Pool() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := wait(t)
			cfg := x.Config(1, "1001")
			c.edit(&cfg)
			p, err := phone.Start(ctx, cfg)
			must(t, err)
			if err := p.WaitRefused(ctx); err == nil {
				t.Error("no refusal")
			}
			if p.Registered() {
				t.Error("registered")
			}
			_ = p.Close(ctx)
		})
	}
}

// The server refuses a phone whose certificate is of another authority; the phone is told by the handshake.
func TestRoguePhoneIsRefused(t *testing.T) {
	t.Parallel()
	x := registrar(t)
	cfg := x.Config(1, "1001")
	cfg.Certificate = phonetest.NewAuthority(t, "Rogue CA").Issue(t, phonetest.Device(1))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	p, err := phone.Start(wait(t), cfg)
	must(t, err)
	defer p.Close(ctx)
	if err := p.WaitRegistered(ctx); err == nil {
		t.Error("a phone with a certificate of another authority registered")
	}
}
