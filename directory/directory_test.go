package directory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
)

const siteText = `
cluster: {name: lab, domain: lab.example}
nodes: [{name: n1}, {name: n2}]
callManagerGroups: [{name: g, nodes: [n2, n1]}]
devicePools: [{name: p, callManagerGroup: g}]
phoneSecurityProfiles:
  - {name: legacy, deviceSecurityMode: non-secure}
sipProfiles: [{name: fast, timers: {t1: 100ms}}]
sipTrunkSecurityProfiles:
  - {name: peer, acceptedSubjects: [SBC.example.com, other.example.com]}
  - {name: open, deviceSecurityMode: non-secure}
sipTrunks:
  - {name: t2, securityProfile: peer, devicePool: p, destinations: [{address: 10.0.0.2}], srtpAllowed: true, mediaAnchor: always, callingSearchSpace: in}
  - {name: t1, securityProfile: peer, devicePool: p, destinations: [{address: 10.0.0.1, port: 5071}]}
  - {name: plain, securityProfile: open, devicePool: p, destinations: [{address: 10.0.0.3}]}
partitions: [{name: a}, {name: b}, {name: c}]
callingSearchSpaces: [{name: in, partitions: [a]}, {name: local, partitions: [b, a]}, {name: wide, partitions: [c, b]}]
lines:
  - {number: 2000, partition: a, callingSearchSpace: local}
  - {number: 1000, noAnswerTimeout: 20s}
devices:
  - {name: zoe, devicePool: p, callingSearchSpace: wide, owner: ann, lines: [{number: 2000, partition: a, index: 2}, {number: 1000, index: 1, label: main}]}
  - {name: SEP00112233AABB, model: "7960", devicePool: p, phoneSecurityProfile: legacy, sipProfile: fast, lines: [{number: 2000, partition: a, maxCalls: 1}]}
users:
  - {name: ann, roles: [operator], devices: [zoe, SEP00112233AABB]}
  - {name: gone, roles: [administrator], disabled: true}
`

func compiled(t *testing.T) *Directory {
	t.Helper()
	s, err := config.Parse("site.yaml", []byte(siteText), nil)
	if err != nil {
		t.Fatal(err)
	}
	return Compile(7, s)
}

// TestResolved prints the directory and compares it with what a reader of the
// site expects.
func TestResolved(t *testing.T) {
	want := strings.TrimLeft(`
revision 7, cluster lab lab.example mixed
device SEP00112233AABB 7960 non-secure tcp+udp 5060 T1 100ms nodes [n2 n1]
  1 2000/a label 2000 max 1 busy 1 reaches [b a ]
device zoe softphone encrypted tls 5061 T1 500ms nodes [n2 n1] owner ann
  1 1000/ label main max 4 busy 2 reaches [c b ]
  2 2000/a label 2000 max 4 busy 2 reaches [b a c ]
line 1000/ 20s shared false on [zoe]
line 2000/a 1m0s shared true on [SEP00112233AABB zoe]
trunk plain non-secure tcp [{10.0.0.3 5060}] anchor auto reaches []
trunk t1 encrypted tls [{10.0.0.1 5071}] anchor auto reaches []
trunk t2 encrypted tls [{10.0.0.2 5061}] anchor always reaches [a ]
user ann controls [SEP00112233AABB zoe] owns [zoe]
user gone controls [] owns []
`, "\n")
	if got := dump(compiled(t)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func dump(d *Directory) string {
	var b strings.Builder
	names := func(all []*Device) (out []string) {
		for _, x := range all {
			out = append(out, x.Name)
		}
		return out
	}
	c := d.Cluster()
	fmt.Fprintf(&b, "revision %d, cluster %s %s %s\n", d.Revision(), c.Name, c.Domain, c.SecurityMode)
	for _, x := range d.Devices() {
		fmt.Fprintf(&b, "device %s %s %s %s %d T1 %s nodes %v", x.Name, x.Model, x.Security.DeviceSecurityMode, x.Security.Transport, x.Security.IncomingPort, x.SIP.Timers.T1, x.Nodes)
		if x.Owner != nil {
			fmt.Fprintf(&b, " owner %s", x.Owner.Name)
		}
		for _, a := range x.Appearances {
			fmt.Fprintf(&b, "\n  %d %s label %s max %d busy %d reaches %v", a.Index, a.Line.Key(), a.Label, a.MaxCalls, a.BusyTrigger, a.SearchSpace)
		}
		b.WriteByte('\n')
	}
	for _, l := range d.Lines() {
		var on []*Device
		for _, a := range l.Appearances {
			on = append(on, a.Device)
		}
		fmt.Fprintf(&b, "line %s %s shared %v on %v\n", l.Key(), l.NoAnswerTimeout, l.Shared(), names(on))
	}
	for _, t := range d.Trunks() {
		fmt.Fprintf(&b, "trunk %s %s %s %v anchor %s reaches %v\n", t.Name, t.Security.DeviceSecurityMode, t.Security.OutgoingTransport, t.Destinations, t.SIP.MediaAnchor, t.SearchSpace)
	}
	for _, u := range d.Users() {
		fmt.Fprintf(&b, "user %s controls %v owns %v\n", u.Name, names(u.Controls), names(u.Owns))
	}
	return b.String()
}

func TestLookups(t *testing.T) {
	d := compiled(t)
	if _, ok := d.Device("Zoe"); ok {
		t.Error("a device answers to another spelling")
	}
	if _, ok := d.Line("2000", ""); ok {
		t.Error("a line answers in another partition")
	}
	for _, c := range []struct {
		names []string
		port  int
		want  string
	}{
		{[]string{"sbc.EXAMPLE.com"}, 5061, "t1 t2"},
		{[]string{"x", "other.example.com", "sbc.example.com"}, 5061, "t1 t2"},
		{[]string{"sbc.example.com"}, 5060, ""},
		{[]string{"example.com"}, 5061, ""},
		{[]string{""}, 5061, ""},
		{nil, 5060, ""},
	} {
		var got []string
		for _, x := range d.TrunksBySubject(c.names, c.port) {
			got = append(got, x.Name)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v on %d: %v, want %s", c.names, c.port, got, c.want)
		}
	}
	ann, _ := d.User("ann")
	gone, _ := d.User("gone")
	for role, want := range map[config.Role]bool{config.RoleNone: false, config.RoleViewer: true, config.RoleOperator: true, config.RoleAdministrator: false} {
		if ann.May(role) != want || gone.May(role) {
			t.Errorf("%s: ann %v, gone %v", role, ann.May(role), gone.May(role))
		}
	}
}

// TestOrderOfFileDoesNotMatter: any order of the same entities compiles to the same directory.
func TestOrderOfFileDoesNotMatter(t *testing.T) {
	s, err := config.Parse("site.yaml", []byte(siteText), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := dump(Compile(7, s))
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		x := s.Clone()
		r.Shuffle(len(x.Devices), func(i, j int) { x.Devices[i], x.Devices[j] = x.Devices[j], x.Devices[i] })
		r.Shuffle(len(x.Lines), func(i, j int) { x.Lines[i], x.Lines[j] = x.Lines[j], x.Lines[i] })
		r.Shuffle(len(x.SIPTrunks), func(i, j int) { x.SIPTrunks[i], x.SIPTrunks[j] = x.SIPTrunks[j], x.SIPTrunks[i] })
		r.Shuffle(len(x.Users), func(i, j int) { x.Users[i], x.Users[j] = x.Users[j], x.Users[i] })
		first := x.Devices[0].Name
		if got := dump(Compile(7, x)); got != want {
			t.Fatalf("got\n%s", got)
		}
		if x.Devices[0].Name != first || x.Devices[0].Model == "softphone" {
			t.Fatal("Compile changed the site")
		}
	}
}

func TestDefaultSite(t *testing.T) {
	d := Compile(1, config.Default("node1"))
	for _, name := range []string{"alice", "bob"} {
		x, ok := d.Device(name)
		if !ok || x.Security.DeviceSecurityMode != config.Encrypted || x.Security.Transport != config.TransportTLS || len(x.Appearances) != 1 ||
			!slices.Equal(x.Appearances[0].SearchSpace, []string{"internal", "test", "features", ""}) {
			t.Errorf("%s: %+v", name, x)
		}
	}
}

// TestLargeSite: every phone of a large site is found; with -v it says how long compiling takes.
func TestLargeSite(t *testing.T) {
	s := config.Default("node1")
	for i := range 20000 {
		n := fmt.Sprintf("%06d", i)
		s.Lines = append(s.Lines, config.Line{Number: n, Partition: "internal", CallingSearchSpace: "internal"})
		s.Devices = append(s.Devices, config.Device{Name: "p" + n, DevicePool: "default", Lines: []config.Appearance{{Number: n, Partition: "internal"}}})
	}
	start := time.Now()
	d := Compile(1, s)
	t.Logf("compiled in %s", time.Since(start))
	if x, ok := d.Device("p019999"); !ok || x.Appearances[0].Line.Number != "019999" {
		t.Error("the last device is missing")
	}
}

// TestNonSecureCluster: no phone is offered device security, whatever its profile says; trunks keep theirs.
func TestNonSecureCluster(t *testing.T) {
	s, err := config.Parse("site.yaml", []byte(strings.Replace(siteText, "{name: lab,", "{name: lab, securityMode: non-secure,", 1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	d := Compile(1, s)
	for _, x := range d.Devices() {
		if p := x.Security; p.DeviceSecurityMode != config.NonSecure || p.Transport != config.TransportTCPUDP || p.IncomingPort != 5060 {
			t.Errorf("%s: %s over %s on port %d", x.Name, p.DeviceSecurityMode, p.Transport, p.IncomingPort)
		}
	}
	if tr, _ := d.Trunk("t1"); tr.Security.DeviceSecurityMode != config.Encrypted {
		t.Errorf("trunk t1 is %s", tr.Security.DeviceSecurityMode)
	}
}
