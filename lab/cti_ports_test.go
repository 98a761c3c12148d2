package lab_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// ctiBoth is a site with a user of either port; clear says whether 2748 is open.
func ctiBoth(t *testing.T, ctx context.Context, clear bool) *lab.Site {
	c := config.Default("n1")
	tspUser(c)
	c.Users = append(c.Users, config.User{Name: "plain", Application: true, Password: config.NewVerifier(tspPassword), Devices: []string{"alice"}, Groups: []config.Group{config.GroupCTIEnabled}})
	c.Nodes[0].Services = []config.NodeService{{Service: config.ServiceCallManager}, {Service: config.ServiceCAPF}, {Service: config.ServiceProvisioning},
		{Service: config.ServiceTVS}, {Service: config.ServiceCTIManager, Clear: clear}}
	s := must(lab.Start(ctx, lab.Options{Config: c}))(t)
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

// TestCTIEllipticKey: an application whose client makes EC keys is given an ECDSA certificate by CAPF, and logs in with it at 2749 over TLS
// 1.3; what a client says there is as good as over TLS 1.2.
func TestCTIEllipticKey(t *testing.T) {
	t.Parallel()
	ctx := within(t, 60*time.Second)
	s := ctiBoth(t, ctx, false)
	made := must(s.Profiles.Create(ctx, capfprofile.Order{Owner: capfprofile.Owner{User: "tapi", Instance: "ec"}, Operation: capfprofile.InstallUpgrade,
		Mode: capfprofile.ByAuthenticationString, Order: capfprofile.ECPreferredRSABackup}))(t)
	authorization := must(enroll.ParseAuthorization(made.String.Reveal()))(t)
	tftp := s.Provisioning.TFTP().String()
	client := must(enroll.New(enroll.Config{Instance: "ec", Authorization: authorization, Dir: t.TempDir(), CAPF: netip.AddrPortFrom(s.CallManager(), capf.Port).String(), TFTP: tftp,
		Source: enroll.TFTP{Server: tftp}, Version: capf.VersionPhone}))(t)
	if _, err := client.Enroll(ctx); err != nil {
		t.Fatal(err)
	}
	if have := must(client.Store().Credential())(t); have.Leaf == nil {
		t.Fatal("no certificate")
	} else if _, ok := have.PrivateKey.(*ecdsa.PrivateKey); !ok {
		t.Fatalf("a key of %T, want an elliptic one", have.PrivateKey)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		var seen tls.ConnectionState
		p := must(cti.Open(ctx, cti.Config{User: "tapi", Password: secret.New(tspPassword), Primary: cti.Manager{IPv4: s.CallManager().String()},
			TLS: func(context.Context) (*tls.Config, error) {
				c := client.Store().ServerTLS(nil)
				c.MinVersion, c.MaxVersion = version, version
				check := c.VerifyConnection
				c.VerifyConnection = func(cs tls.ConnectionState) error { seen = cs; return check(cs) }
				return c, nil
			}}))(t)
		if _, err := p.Find("alice", "1001"); err != nil {
			t.Error(err)
		}
		rows := must(bus.Ask[bus.Query, []bus.ProviderState](ctx, s.Bus, s.Bus.Subject(ctimanager.Name, bus.VerbProviders), bus.Query{Name: "tapi"}))(t)
		if len(rows) != 1 || rows[0].Instance != "ec" || rows[0].State != "ready" || seen.Version != version {
			t.Errorf("%s: %+v over %s", tls.VersionName(version), rows, tls.VersionName(seen.Version))
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		eventually(t, "the provider has gone", func(ctx context.Context) bool { // or the next is a second one with the same certificate
			rows, err := bus.Ask[bus.Query, []bus.ProviderState](ctx, s.Bus, s.Bus.Subject(ctimanager.Name, bus.VerbProviders), bus.Query{Name: "tapi"})
			return err == nil && len(rows) == 0
		})
	}
}

// TestCTIClearPort: 2748 is closed; the exception opens it, for those who need not come by TLS, and is listed.
func TestCTIClearPort(t *testing.T) {
	t.Parallel()
	ctx := within(t, 60*time.Second)
	login := func(s *lab.Site, user, password string) (*cti.Provider, error) {
		return cti.Open(ctx, cti.Config{User: user, Password: secret.New(password), Primary: cti.Manager{IPv4: s.CallManager().String()}, Clear: true})
	}
	closed := ctiBoth(t, ctx, false)
	p, err := login(closed, "plain", tspPassword)
	if p != nil || err == nil || !strings.Contains(err.Error(), "2748") {
		t.Fatalf("without the exception: %v %v", p, err)
	}
	s := ctiBoth(t, ctx, true)
	p = must(login(s, "plain", tspPassword))(t)
	defer p.Close()
	if err := p.OpenLine(ctx, must(p.Find("alice", "1001"))(t)); err != nil {
		t.Error(err)
	}
	if _, err := p.Find("bob", "1002"); err == nil {
		t.Error("it sees a phone that is not its own")
	}
	for _, x := range []struct {
		user, password string
		want           ctiqbe.Result
	}{{"plain", "wrong", ctiqbe.ErrDirectoryLoginFailed}, {"tapi", tspPassword, ctiqbe.ErrConnectionOnInvalidPort}} {
		if p, err := login(s, x.user, x.password); p != nil || !errors.Is(err, x.want) {
			t.Errorf("%s: %v, want %v", x.user, err, x.want)
		}
	}
	if _, err := cti.Open(ctx, tspConfig(t, ctx, s, "tsp1")); err != nil {
		t.Errorf("the TLS port beside it: %v", err)
	}
	wrong := tspConfig(t, ctx, s, "tsp2")
	wrong.User = "plain"
	if p, err := cti.Open(ctx, wrong); p != nil || !errors.Is(err, ctiqbe.ErrUserNotAuthForSecurity) {
		t.Errorf("a user of the clear port on the TLS one: %v", err)
	}
	rows := must(bus.Ask[bus.Query, []bus.Exception](ctx, s.Bus, s.Bus.Subject(ctimanager.Name, bus.VerbExceptions), bus.Query{}))(t)
	if len(rows) != 1 || rows[0].Setting != ctimanager.Exception {
		t.Errorf("exceptions: %+v", rows)
	}
}
