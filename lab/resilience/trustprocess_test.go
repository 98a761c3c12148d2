package resilience

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab/desk"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/wire/trustlist"
)

// deskFile writes a site with desk phones, its services at addr, and returns its path.
func deskFile(t testing.TB, addr netip.Addr, desks int) string {
	t.Helper()
	c := config.Default("node1")
	c.Nodes[0].Services = []config.NodeService{{Service: config.ServiceCallManager, Address: addr.String()}, {Service: config.ServiceAdmin}, {Service: config.ServiceCAPF},
		{Service: config.ServiceProvisioning}, {Service: config.ServiceTVS}}
	c.SIPProfiles[0].RegisterExpires, c.SIPProfiles[0].RegisterMinExpires = config.Duration(10*time.Second), config.Duration(time.Second)
	addDesks(c, desks)
	path := filepath.Join(t.TempDir(), "desks.yaml")
	ok(t, os.WriteFile(path, config.Format(c.Canonical(), false), 0o600))
	return path
}

// listensAt is where a protocol of provisioning is served at an address.
func listensAt(t testing.TB, home string, addr netip.Addr, protocol string) string {
	t.Helper()
	var all []string
	for _, row := range status(t, home).Services {
		for _, a := range row.Addresses {
			if rest, is := strings.CutPrefix(a, protocol+" "+addr.String()+":"); is {
				return addr.String() + ":" + rest
			}
		}
		all = append(all, row.Addresses...)
	}
	t.Fatalf("nobody serves %s at %s: %v", protocol, addr, all)
	return ""
}

// listsFor fetches the lists as a phone and holds them against what it has, as a phone does. It does so under the phone's name,
// so that the site answers as it answers the phone.
func listsFor(t testing.TB, p *desk.Phone, name, tftp string) {
	t.Helper()
	memory := must(enroll.OpenStore(filepath.Dir(p.Files()), false))(t)
	ctl, itl := must(memory.List(trustlist.CTL))(t), must(memory.List(trustlist.ITL))(t)
	for _, kind := range []trustlist.Kind{trustlist.CTL, trustlist.ITL} {
		b := must(enroll.HTTP{Server: tftp}.Fetch(within(t, step), kind.DeviceFilename(name)))(t)
		if _, err := trustlist.AcceptPhone(must(trustlist.Parse(b))(t), ctl, itl); err != nil {
			t.Errorf("%s: the %s that is served does not verify by what it holds: %v", name, kind, err)
		}
	}
}

// TestKilledWhileRotating kills the node with -9 in the middle of rotating everything, again and again. It comes back, the
// rotation goes on to its end, what is served verifies for the phones, and they come back with new certificates by themselves.
func TestKilledWhileRotating(t *testing.T) {
	t.Parallel()
	dir, addr := home(t), freeAddress(t)
	n := built.Up(t, dir, "--site", deskFile(t, addr, 2))
	tftp, files := listensAt(t, dir, addr, "tftp"), listensAt(t, dir, addr, "http")
	var desks []*desk.Phone
	for i := range 2 {
		desks = append(desks, startDesk(t, dir, tftp, "locktone.test", i, nil))
	}
	before := []string{desks[0].LSC(), desks[1].LSC()}
	moments := []int{5, 26}
	if all() {
		moments = []int{0, 1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, 35, 37, 39, 41, 43, 45}
	}
	var st rotation.Status
	begin := time.Now()
	api(t, dir, http.MethodPost, "/v1/trust/rotation", admin.RotationRequest{Target: rotation.All, Accept: []string{"alice", "bob"}}, &st) // those two have files, and no way to enrol
	kills := 0
	for _, at := range moments {
		for st.Running() && st.Done < at {
			if time.Since(begin) > 3*time.Minute {
				t.Fatalf("at step %d of %d (%s), waiting for %v; %s", st.Done+1, len(st.Steps), st.Steps[st.Done].Action, st.Waits, st.Problem)
			}
			time.Sleep(5 * time.Millisecond)
			api(t, dir, http.MethodGet, "/v1/trust/rotation", nil, &st)
		}
		if !st.Running() {
			break
		}
		time.Sleep(time.Duration(at*7%30) * time.Millisecond) // into the step
		n.Kill()
		kills++
		n = built.Up(t, dir)
		for i, p := range desks {
			listsFor(t, p, deskName(i), files)
		}
		api(t, dir, http.MethodGet, "/v1/trust/rotation", nil, &st)
	}
	st = goesOn(t, dir, 2*time.Minute, func(rotation.Status) {})
	t.Logf("%d steps in %v with %d kills", len(st.Steps), st.Ended.Sub(st.Started), kills)
	if kills < len(moments)-1 {
		t.Errorf("killed %d times, want %d", kills, len(moments))
	}
	for i, p := range desks {
		eventually(t, 2*step, func() error { return backWith(p, before[i]) })
		listsFor(t, p, deskName(i), files)
		eventually(t, step, func() error { return registeredOr(t, dir, deskName(i)) })
	}
	goodCall(t, desks[0].Phone, desks[1].Phone)
}

// backWith says whether a phone's last look went well and brought another certificate than it had.
func backWith(p *desk.Phone, before string) error {
	rounds, err := p.Rounds()
	if err != nil {
		return fmt.Errorf("look %d: %w", rounds, err)
	}
	if p.LSC() == before {
		return fmt.Errorf("after %d looks it still has its first certificate", rounds)
	}
	return nil
}

func registeredOr(t testing.TB, home, device string) error {
	if !registeredAt(t, home, device) {
		return fmt.Errorf("%s is not registered", device)
	}
	return nil
}
