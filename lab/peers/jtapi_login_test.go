package peers

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
)

const jtapiUserPassword = "correct horse battery"

// withCTI runs every service, CAPF as Cisco's client needs it, and makes its user, who controls both phones.
func withCTI(c *config.Site) {
	withCAPF(c, config.NodeService{LegacyRSA: true}) // it knows no ECDHE there
	c.Nodes[0].Services = append(c.Nodes[0].Services, config.NodeService{Service: config.ServiceCTIManager})
	c.Users = append(c.Users, config.User{Name: jtapiUser, Application: true, Password: config.NewVerifier(jtapiUserPassword), Devices: []string{"alice", "bob"},
		Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}})
}

// openString is how the client is told to open its provider.
func (j *jtapi) openString(s *testSite, password string) string {
	return fmt.Sprintf("open %s;login=%s;passwd=%s;InstanceID=%s;CertStorePassphrase=%s", s.CallManager(), jtapiUser, strings.ReplaceAll(password, " ", "_"), jtapiInstance, jtapiPassphrase)
}

// TestJTAPILogin: Cisco's client enrols, opens its provider on port 2749 with the certificate it was given, and lists the phones that its
// user controls, with their lines.
func TestJTAPILogin(t *testing.T) {
	needJTAPI(t, "12.5")
	ctx := within(t, 90*time.Second)
	s := startSite(t, func(c *config.Site) {
		withCTI(c)
		c.Users[len(c.Users)-1].Password = config.NewVerifier("correct_horse_battery")
	}, lab.Options{})
	j := startJTAPI(t, ctx, s, "12.5")
	if said := j.do(t, ctx, "enrol "+j.order(t, ctx, s)+" "+j.at); !strings.Contains(said, "updated=true") {
		t.Fatalf("%s\n%s", said, j.Tail(40))
	}
	if said := j.must(t, ctx, j.openString(s, jtapiUserPassword)); said != "state=in-service" {
		t.Fatalf("%s\n%s", said, j.Tail(80))
	}
	if said := j.must(t, ctx, "terminals"); said != "alice:1001@internal bob:1002@internal" {
		t.Errorf("terminals: %q\n%s", said, j.Tail(80))
	}
	mark := j.Mark()
	j.must(t, ctx, "observe alice bob")
	alice, err := s.Registered(ctx, "alice", "1001")
	if err != nil {
		t.Fatal(err)
	}
	j.heard(t, ctx, mark, "CiscoTermInServiceEv", "alice")
	j.heard(t, ctx, mark, "CiscoAddrInServiceEv", "1001")
	mark = j.Mark()
	if err := alice.Close(ctx); err != nil {
		t.Fatal(err)
	}
	j.heard(t, ctx, mark, "CiscoTermOutOfServiceEv", "alice")
	rows, err := s.CTI.Rows(ctx)
	if err != nil || len(rows) != 1 || rows[0].Peer != jtapiUser || !rows[0].Verified || rows[0].Transport != "tls" {
		t.Errorf("%+v %v", rows, err)
	}
	p := j.profile(t, ctx, s)
	if e, err := s.Store.Certificates().Lookup(ctx, p.LSC.Ref); err != nil || e.Kind != pki.KindCTI || rows[0].Serial != e.Serial {
		t.Errorf("%+v %v", e, err)
	}
}
