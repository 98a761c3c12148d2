package provisioning

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/wire/phonexml"
)

// world is everything a phone's file is made from.
type world struct {
	site    *config.Site
	members []lists.Member
	profile *capfprofile.Profile
	short   bool
}

func newWorld() *world {
	w := &world{site: config.Default("n1")}
	w.site.Nodes = append(w.site.Nodes, config.Node{Name: "n2"}, config.Node{Name: "n3"})
	w.site.CallManagerGroups[0].Nodes = []string{"n1", "n2"}
	w.site.DevicePools = append(w.site.DevicePools, config.DevicePool{Name: "other", CallManagerGroup: "other"})
	w.site.CallManagerGroups = append(w.site.CallManagerGroups, config.CallManagerGroup{Name: "other", Nodes: []string{"n3"}})
	for i, node := range []string{"n1", "n2", "n3"} {
		for _, service := range []string{callManager, capf, tvs} {
			w.members = append(w.members, lists.Member{Service: service, Node: node, Host: node + ".test", Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)})}})
		}
	}
	return w
}

func (w *world) alice() *config.Device                  { return &w.site.Devices[0] }
func (w *world) security() *config.PhoneSecurityProfile { return &w.site.PhoneSecurityProfiles[0] }
func (w *world) sip() *config.SIPProfile                { return &w.site.SIPProfiles[0] }

// paths renders alice's file and returns every leaf and attribute, all values of a repeated one in order.
func (w *world) paths(t *testing.T) map[string]string {
	t.Helper()
	d, ok := directory.Compile(1, w.site).Device("alice")
	if !ok {
		t.Fatal("no alice")
	}
	x, _, err := phoneFile(d, &surroundings{site: w.site, members: w.members, profile: w.profile, now: time.Unix(1.8e9, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if w.short {
		x = phonexml.Short(x, []byte("certificate"))
	}
	b, err := phonexml.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	var at []string
	dec := xml.NewDecoder(bytes.NewReader(b))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			at = append(at, x.Name.Local)
			for _, a := range x.Attr {
				out[strings.Join(at, "/")+"@"+a.Name.Local] += a.Value + " "
			}
		case xml.CharData:
			out[strings.Join(at, "/")] += strings.TrimSpace(string(x)) + " "
		case xml.EndElement:
			at = at[:len(at)-1]
		}
	}
}

// TestConfiguredMeansConfigured: for every leaf the table calls "from configuration" there is something in the site, or in what the
// cluster knows of the phone, that changes it; and nothing the table calls fixed changes with any of these.
func TestConfiguredMeansConfigured(t *testing.T) {
	pending := &capfprofile.Profile{Operation: capfprofile.InstallUpgrade, Mode: capfprofile.ByExistingLSC}
	six := func(w *world) {
		for i := range w.members {
			w.members[i].Addresses = []netip.Addr{netip.MustParseAddr("fd00::1")}
		}
	}
	lampKey := func(w *world) {
		w.alice().Buttons = []config.Button{{Type: config.BusyLamp, Number: "1002", Pickup: true}}
	}
	const at, cm, line = "device/", "device/devicePool/callManagerGroup/members/member/callManager/", "device/sipProfile/sipLines/line"
	changes := map[string]func(*world){
		at + "fullConfig": func(w *world) { w.short = true }, at + "certHash": func(w *world) { w.short = true }, at + "encrConfig": func(w *world) { w.short = true },
		at + "deviceProtocol": func(w *world) { w.alice().Protocol = config.ProtocolSCCP },
		at + "ipAddressMode":  six, at + "ipPreferenceModeControl": six, at + "ipMediaAddressFamilyPreference": six,
		at + "devicePool/dateTimeSetting/timeZone":                 func(w *world) { w.site.DevicePools[0].TimeZone = "Asia/Tokyo" },
		at + "devicePool/callManagerGroup/name":                    func(w *world) { w.alice().DevicePool = "other" },
		at + "devicePool/callManagerGroup/members/member@priority": func(w *world) { w.alice().DevicePool = "other" },
		cm + "ports/sipPort": func(w *world) {
			w.security().DeviceSecurityMode, w.security().IncomingPort = config.NonSecure, 5070
		},
		cm + "ports/securedSipPort": func(w *world) { w.security().IncomingPort = 5071 },
		cm + "processNodeName":      func(w *world) { w.site.CallManagerGroups[0].Nodes = []string{"n2", "n1"} },
		at + "TVS/members/member@priority": func(w *world) {
			w.members = slices.DeleteFunc(w.members, func(m lists.Member) bool { return m.Service == tvs && m.Node == "n3" })
		},
		at + "TVS/members/member/port": func(w *world) {
			w.site.Nodes[0].Services = []config.NodeService{{Service: config.ServiceTVS, Port: 12445}}
		},
		at + "TVS/members/member/address":               func(w *world) { w.site.CallManagerGroups[0].Nodes = []string{"n2", "n1"} },
		at + "sipProfile/sipStack/timerInviteExpires":   func(w *world) { w.sip().Timers.InviteExpires = config.Duration(time.Minute) },
		at + "sipProfile/sipStack/timerRegisterExpires": func(w *world) { w.sip().RegisterExpires = config.Duration(time.Minute) },
		at + "sipProfile/sipStack/timerT1":              func(w *world) { w.sip().Timers.T1 = config.Duration(time.Second) },
		at + "sipProfile/sipStack/timerT2":              func(w *world) { w.sip().Timers.T2 = config.Duration(time.Second) },
		at + "sipProfile/phoneLabel":                    func(w *world) { w.alice().Description = "A description that is long" },
		at + "sipProfile/voipControlPort":               func(w *world) { w.security().DeviceSecurityMode = config.NonSecure },
		line + "@button":                                func(w *world) { w.alice().Lines[0].Index = 3 },
		line + "@lineIndex":                             func(w *world) { w.alice().Lines[0].Index = 3 },
		line + "/featureLabel":                          func(w *world) { w.alice().Lines[0].Label = "Front" },
		line + "/port":                                  func(w *world) { w.security().IncomingPort = 5071 },
		line + "/name":                                  func(w *world) { w.alice().Lines[0].Number = "1002" },
		line + "/contact":                               func(w *world) { w.alice().Lines[0].Number = "1002" },
		line + "/displayName":                           func(w *world) { w.site.Lines[0].Display = "Alicia" },
		line + "/callWaiting":                           func(w *world) { w.alice().Lines[0].BusyTrigger = 1 },
		line + "/sharedLine":                            func(w *world) { w.alice().Lines[0].Number = "1002" },
		line + "/maxNumCalls":                           func(w *world) { w.alice().Lines[0].MaxCalls = 9 },
		line + "/busyTrigger":                           func(w *world) { w.alice().Lines[0].BusyTrigger = 3 },
		line + "/featureID":                             lampKey,
		line + "/speedDialNumber":                       lampKey,
		line + "/featureOptionMask":                     lampKey,
		line + "/messageWaitingLampPolicy":              func(w *world) { w.site.Lines[0].MessageLamp = config.MessageLampNone },
		line + "/authName":                              func(w *world) { w.security().DigestAuthentication, w.alice().DigestUser = true, "bob" },
		at + "lines/line@button":                        func(w *world) { w.alice().Protocol = config.ProtocolSCCP },
		at + "lines/line/featureLabel":                  func(w *world) { w.alice().Protocol = config.ProtocolSCCP },
		at + "lines/line/name":                          func(w *world) { w.alice().Protocol = config.ProtocolSCCP },
		at + "lines/line/displayName":                   func(w *world) { w.alice().Protocol = config.ProtocolSCCP },
		at + "MissedCallLoggingOption": func(w *world) {
			w.alice().Lines = append(w.alice().Lines, config.Appearance{Number: "1002", Partition: "internal"})
		},
		at + "versionStamp":       func(w *world) { w.alice().Owner = "bob" },
		at + "deviceSecurityMode": func(w *world) { w.security().DeviceSecurityMode = config.Authenticated },
		at + "transportLayerProtocol": func(w *world) {
			w.security().DeviceSecurityMode, w.security().Transport = config.NonSecure, config.TransportUDP
		},
		at + "capfAuthMode": func(w *world) { w.profile = pending },
		at + "capfList/capf/phonePort": func(w *world) {
			w.site.Nodes[1].Services = []config.NodeService{{Service: config.ServiceCAPF, Port: 13804}}
		},
		at + "capfList/capf/processNodeName": func(w *world) { w.site.CallManagerGroups[0].Nodes = []string{"n2", "n1"} },
		at + "ownerId":                       func(w *world) { w.alice().Owner = "bob" },
	}
	all := phonexml.Elements()
	parents := map[string]bool{}
	for _, e := range all {
		parents[e.Path[:max(strings.LastIndexByte(e.Path, '/'), 0)]] = true
	}
	before := newWorld().paths(t)
	for _, e := range all {
		change := changes[e.Path]
		switch {
		case e.Source != phonexml.Configured || parents[e.Path]:
			if change != nil {
				t.Errorf("%s is %s", e.Path, e.Source)
			}
			continue
		case change == nil:
			t.Errorf("%s: the table says %s, and no test knows how", e.Path, e.Source)
			continue
		}
		w := newWorld()
		change(w)
		after := w.paths(t)
		if after[e.Path] == before[e.Path] {
			t.Errorf("%s stayed %q", e.Path, before[e.Path])
		}
		for _, f := range all {
			if f.Source == phonexml.Fixed && after[f.Path] != "" && before[f.Path] != "" && !strings.HasPrefix(f.Path, line) && after[f.Path] != before[f.Path] {
				t.Errorf("%s is fixed and changed with %s", f.Path, e.Path)
			}
		}
	}
}

// TestTrouble: what a phone will miss is said.
func TestTrouble(t *testing.T) {
	for want, change := range map[string]func(*world){
		"must be keyed in on the phone": func(w *world) { w.security().DigestAuthentication, w.alice().DigestUser = true, "bob" },
		"no name for the time zone":     func(w *world) { w.site.DevicePools[0].TimeZone = "Asia/Kathmandu" },
		"nowhere to register":           func(w *world) { w.members = nil },
	} {
		w := newWorld()
		change(w)
		d, _ := directory.Compile(1, w.site).Device("alice")
		_, trouble, err := phoneFile(d, &surroundings{site: w.site, members: w.members, now: time.Unix(1.8e9, 0)})
		if err != nil || !strings.Contains(strings.Join(trouble, "; "), want) {
			t.Errorf("%q, %v: want %q", trouble, err, want)
		}
	}
}

// TestFiveServers: a phone takes five of each, those of its group first.
func TestFiveServers(t *testing.T) {
	w := newWorld()
	w.members = nil
	var group []string
	for i := range 9 {
		node := string(rune('a' + i))
		group = append(group, node)
		for _, service := range []string{callManager, capf, tvs} {
			w.members = append(w.members, lists.Member{Service: service, Node: node, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})}})
		}
	}
	slices.Reverse(group)
	s := surroundings{site: w.site, members: w.members}
	if got := s.servers(tvs, group[:2]); len(got) != 5 || got[0].Host != "10.0.0.8" || got[1].Host != "10.0.0.7" || got[2].Host != "10.0.0.0" {
		t.Errorf("%+v", got)
	}
	if got := s.callManagers(group, config.PhoneSecurityProfile{}.WithDefaults(), config.ProtocolSIP); len(got) != 5 || got[0].Host != "10.0.0.8" {
		t.Errorf("%+v", got)
	}
}

// TestWholeGroupInOrder: a phone of a pool is told every call manager of its group in the group's order, and of TVS and CAPF those of the
// group first, then those of every other node.
func TestWholeGroupInOrder(t *testing.T) {
	w := newWorld()
	w.site.CallManagerGroups[0].Nodes = []string{"n2", "n1"}
	w.site.Nodes[1].Services = []config.NodeService{{Service: config.ServiceCallManager}, {Service: config.ServiceTVS, Port: 2446}, {Service: config.ServiceCAPF}}
	d, ok := directory.Compile(1, w.site).Device("alice")
	if !ok {
		t.Fatal("no alice")
	}
	x, trouble, err := phoneFile(d, &surroundings{site: w.site, members: w.members, now: time.Unix(1.8e9, 0)})
	if err != nil || len(trouble) > 0 {
		t.Fatal(trouble, err)
	}
	var managers []string
	for _, m := range x.Pool.Members {
		managers = append(managers, m.Host)
	}
	if want := []string{"10.0.0.2", "10.0.0.1"}; !slices.Equal(managers, want) {
		t.Errorf("call managers %v, want %v", managers, want)
	}
	if want := []phonexml.Server{{Host: "10.0.0.2", Port: 2446}, {Host: "10.0.0.1", Port: 2445}, {Host: "10.0.0.3", Port: 2445}}; !slices.Equal(x.TVS, want) {
		t.Errorf("TVS %v, want %v", x.TVS, want)
	}
	if want := []phonexml.Server{{Host: "10.0.0.2", Port: 3804}, {Host: "10.0.0.1", Port: 3804}, {Host: "10.0.0.3", Port: 3804}}; !slices.Equal(x.CAPF, want) {
		t.Errorf("CAPF %v, want %v", x.CAPF, want)
	}
}
