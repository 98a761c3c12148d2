package lab_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/desk"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/wire/phonexml"
)

const deskSpread = "SEP0A1B2C3D4E5F"

// spread is a site whose services are spread over nodes: calls at n1, all that phones meet before they register at n2.
func spread(s *config.Site) {
	s.Nodes[0].Services = []config.NodeService{{Service: config.ServiceCallManager}}
	s.Nodes[1].Services = []config.NodeService{{Service: config.ServiceCAPF}, {Service: config.ServiceTVS}, {Service: config.ServiceProvisioning}}
	s.CallManagerGroups = []config.CallManagerGroup{{Name: "default", Nodes: []string{"n1"}}}
	s.DevicePools = []config.DevicePool{{Name: "default", CallManagerGroup: "default"}}
	s.Lines = append(s.Lines, config.Line{Number: "1050", Partition: "internal", CallingSearchSpace: "internal", Display: "Desk"})
	s.Devices = append(s.Devices, config.Device{Name: deskSpread, Model: "8845", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
		Lines: []config.Appearance{{Number: "1050", Partition: "internal"}}})
}

// TestServicesSpread: n1 runs the call manager only, n2 CAPF, TVS and provisioning. A desk phone that knows n2 alone enrols there, is
// sent to n1 by its file, registers there with what n2 issued, and hears n1's echo; what is changed at n1 is in the file that n2 serves.
func TestServicesSpread(t *testing.T) {
	t.Parallel()
	c := lab.StartCluster(t, lab.ClusterOptions{Site: spread})
	n1, n2 := c.Node("n1"), c.Node("n2")
	if n1.CAPF != nil || n1.TVS != nil || n1.Provisioning != nil || n2.Calls != nil {
		t.Fatalf("services that are not configured run: n1 %v, n2 %v", n1.Site.Site, n2.Site.Site)
	}
	for _, elsewhere := range []string{net.JoinHostPort(n1.Address.String(), "3804"), net.JoinHostPort(n1.Address.String(), "2445"), net.JoinHostPort(n1.Address.String(), "6971"),
		net.JoinHostPort(n2.Address.String(), "5061")} {
		if conn, err := net.DialTimeout("tcp", elsewhere, time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%s: connected %v, %v; nothing should listen there", elsewhere, conn != nil, err)
		}
	}

	cfg := enroll.PhoneConfig{Name: deskSpread, Dir: t.TempDir(), Source: enroll.TFTP{Server: n2.Provisioning.TFTP().String(), BlockSize: 1400}, Retries: 3, Every: time.Second}
	var created admin.CAPFCreated
	ask(t, n1.Home, http.MethodPost, "/v1/capf/profiles", admin.CAPFOrder{Device: deskSpread, JoinToken: true}, &created)
	cfg.Authorization = must(enroll.ParseAuthorization(created.JoinToken))(t)
	file, result, err := must(enroll.NewPhone(cfg))(t).Provision(within(t, 30*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if !result.Pinned || result.Serial == "" || !strings.HasPrefix(result.Server, n2.Address.String()) {
		t.Errorf("enrolled %+v; expected at n2, pinned by the token", result)
	}
	if got := file.Device.Pool.Members; len(got) != 1 || got[0].Host != n1.Address.String() {
		t.Errorf("call managers of the file: %+v", got)
	}
	at := []phonexml.Server{{Host: n2.Address.String(), Port: 2445}}
	if !slices.Equal(file.Device.TVS, at) {
		t.Errorf("TVS of the file: %+v, expected %+v", file.Device.TVS, at)
	}

	p := must(desk.Start(within(t, 30*time.Second), desk.Config{Name: deskSpread, Dir: cfg.Dir, Source: cfg.Source, Domain: "locktone.test"}))(t)
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	}()
	rows := must(bus.Ask[bus.Query, []bus.Registration](within(t, 10*time.Second), n1.Bus, n1.Bus.Subject(callmanager.Name, bus.VerbRegistrations), bus.Query{Name: deskSpread}))(t)
	if len(rows) != 1 || rows[0].Node != "n1" || rows[0].Mode != "encrypted" || rows[0].Certificate != "LSC" || !strings.EqualFold(rows[0].Serial, result.Serial) {
		t.Errorf("registered as %+v; n2 issued %s", rows, result.Serial)
	}
	echo := must(p.Dial(within(t, 10*time.Second), "9196"))(t)
	if err := echo.WaitAnswered(within(t, 10*time.Second)); err != nil {
		t.Fatal(err)
	}
	echo.Tone(1000)
	if _, err := echo.WaitTone(within(t, 10*time.Second), 1000); err != nil {
		t.Errorf("no echo from n1: %v", err)
	}
	if err := echo.Hangup(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
}

// ask asks the administration of a node over its socket.
func ask(t testing.TB, home, method, path string, in, out any) {
	t.Helper()
	c := admin.NewClient(home)
	defer c.Close()
	if err := c.Do(within(t, 10*time.Second), method, path, in, out); err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
}
