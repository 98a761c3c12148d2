package rights

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"flag"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/login"
	"github.com/locktone/locktone/wire/ctiqbe"
)

var update = flag.Bool("update", false, "write what the test gets into testdata")

const siteText = `
nodes: [{name: n1}, {name: n2}]
callManagerGroups: [{name: g, nodes: [n2]}]
devicePools: [{name: p, callManagerGroup: g}]
phoneSecurityProfiles: [{name: plain, deviceSecurityMode: non-secure}]
lines: [{number: 1001}, {number: 1002}, {number: 1003}]
devices:
  - {name: alice, devicePool: p, lines: [{number: 1001}, {number: 1002, allowControlFromCTI: no}]}
  - {name: bob, devicePool: p, phoneSecurityProfile: plain, allowControlFromCTI: no, lines: [{number: 1003}]}
  - {name: bare, devicePool: p}
  - {name: port, devicePool: p, protocol: cti-port, lines: [{number: 1003}]}
  - {name: SEP001122334455, devicePool: p, protocol: sccp, lines: [{number: 1003}]}
users:
  - {name: dialer, password: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", devices: [alice, bob, bare, port, SEP001122334455],
     groups: [standard-cti-enabled, standard-cti-secure-connection]}
  - {name: plain, password: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", devices: [alice], groups: [standard-cti-enabled]}
  - {name: nothing, devices: [alice]}
  - {name: gone, disabled: true, password: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}
  - {name: must, mustChangePassword: true, password: "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", groups: [standard-cti-enabled]}
  - {name: corp, authentication: ldap, groups: [standard-cti-enabled, standard-cti-secure-connection, standard-cti-allow-control-of-all-devices, standard-cti-allow-reception-of-srtp-key-material]}
ldapDirectories: [{name: corp, servers: [{host: dc1.corp.test}], base: 'DC=corp,DC=test'}]
`

var now = time.Date(2030, 5, 6, 7, 8, 9, 0, time.UTC)

// good is everything as it should be for dialer and alice's first line.
func good(t *testing.T) *Facts {
	t.Helper()
	s, err := config.Parse("site.yaml", []byte(siteText), nil)
	if err != nil {
		t.Fatal(err)
	}
	return &Facts{Now: now, Site: directory.Compile(1, s), Nodes: s.Nodes, User: "dialer", Device: "alice", Line: "1001",
		Managers:     []Service{{Node: "n1", State: "ready", Addresses: []string{"tls 127.0.1.10:2749"}}},
		CallManagers: []Service{{Node: "n2", State: "ready"}},
		CTL:          &CTL{Version: 3}, Account: &login.Account{User: "dialer"},
		Enrolment:    &Enrolment{[]Instance{{ID: "1", Status: "Upgrade Success", Issued: true, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}}},
		Registration: &Registration{Registered: true, Node: "n2"}}
}

func TestEverythingIsWell(t *testing.T) {
	for _, v := range Walk(good(t), State) {
		if v.Finding == Failed || v.Finding == Unknown || v.Fix != "" || v.Result != ctiqbe.OK {
			t.Errorf("%+v", v)
		}
	}
	if all := Walk(good(t), Keys); len(all) != len(conditions) {
		t.Error("not all were looked at")
	}
}

// TestNothingKnown: with the site alone nobody is refused for what is not known.
func TestNothingKnown(t *testing.T) {
	f := good(t)
	f.Managers, f.CallManagers, f.CTL, f.Account, f.Enrolment, f.Registration = nil, nil, nil, nil, nil, nil
	if v, failed := First(Walk(f, State)); failed {
		t.Errorf("%+v", v)
	}
}

// TestFirst makes one thing wrong at a time; testdata/first.txt has what is said of it.
func TestFirst(t *testing.T) {
	instance := func(change func(*Instance)) func(*Facts) {
		return func(f *Facts) { change(&f.Enrolment.Instances[0]) }
	}
	user := func(name string) func(*Facts) { return func(f *Facts) { f.User = name } }
	device := func(name, line string) func(*Facts) { return func(f *Facts) { f.Device, f.Line = name, line } }
	source := func(name string, r login.Reason) func(*Facts) {
		return func(f *Facts) { f.User, f.Source = "corp", &Source{name, r, "what it says", "what to do"} }
	}
	cases := []struct {
		name   string
		change func(*Facts)
	}{
		{"no manager configured", func(f *Facts) {
			f.Nodes = []config.Node{{Name: "n1", Services: []config.NodeService{{Service: config.ServiceCallManager}}}}
		}},
		{"no manager answers", func(f *Facts) { f.Managers = []Service{{Node: "n1"}} }},
		{"no manager there", func(f *Facts) { f.Managers = []Service{} }},
		{"a manager failed", func(f *Facts) { f.Managers[0].State, f.Managers[0].Problem = "failed", "port 2749 is in use" }},
		{"no TLS port", func(f *Facts) { f.Managers[0].Addresses = []string{"tcp 127.0.1.10:2748"} }},
		{"no clear port", func(f *Facts) { f.User, f.Port = "plain", ClearPort }},
		{"non-secure cluster", func(f *Facts) {
			f.Site = directory.Compile(1, &config.Site{Cluster: config.Cluster{SecurityMode: config.NonSecureCluster}})
		}},
		{"no list", func(f *Facts) { f.CTL = &CTL{} }},
		{"not in the list", func(f *Facts) { f.CTL.Missing = []string{"n1"} }},
		{"manager's certificate over", func(f *Facts) { f.CTL.Expired = []string{"n1"} }},
		{"unknown user", user("nobody")},
		{"user by another case", user("Dialer")},
		{"locked", func(f *Facts) { f.Account.Lock, f.Account.LockedUntil = login.LockedFailedLogins, now.Add(time.Minute) }},
		{"locked until unlocked", func(f *Facts) { f.Account.Lock = login.LockedFailedLogins }},
		{"no password", user("nothing")},
		{"no directory", source("", login.DirectoryRefused)},
		{"directory away", source("corp", login.DirectoryAway)},
		{"directory silent", source("corp", login.DirectorySilent)},
		{"directory does not have the user", source("corp", login.WrongCredentials)},
		{"locked in the directory", source("corp", login.AccountLocked)},
		{"disabled", user("gone")},
		{"must change", user("must")},
		{"not in the group", func(f *Facts) {
			s, _ := config.Parse("site.yaml", []byte(strings.Replace(siteText, "[standard-cti-enabled, standard-cti-secure-connection]", "[standard-cti-secure-connection]", 1)), nil)
			f.Site = directory.Compile(1, s)
		}},
		{"secure user on the clear port", func(f *Facts) { f.Port, f.Managers[0].Addresses = ClearPort, []string{"tcp 127.0.1.10:2748"} }},
		{"clear user on the secure port", user("plain")},
		{"no profile", func(f *Facts) { f.Enrolment = &Enrolment{} }},
		{"no profile of that instance", func(f *Facts) { f.Instance = "7" }},
		{"pending", instance(func(i *Instance) { *i = Instance{ID: "1", Status: "Operation Pending"} })},
		{"enrolment locked", instance(func(i *Instance) { *i = Instance{ID: "1", Status: "Operation Pending", Locked: true} })},
		{"never enrolled", instance(func(i *Instance) { *i = Instance{ID: "1"} })},
		{"expired", instance(func(i *Instance) { i.NotAfter = now.Add(-time.Second) })},
		{"not yet", instance(func(i *Instance) { i.NotBefore = now.Add(time.Second) })},
		{"revoked", instance(func(i *Instance) { i.Revoked = "lost" })},
		{"unverified", instance(func(i *Instance) { i.Unverified = "untrusted-root" })},
		{"compromised", instance(func(i *Instance) { i.Compromised = "used by two" })},
		{"two, neither good", func(f *Facts) {
			f.Enrolment.Instances[0].Revoked = "lost"
			f.Enrolment.Instances = append(f.Enrolment.Instances, Instance{ID: "2", Status: "Operation Pending"})
		}},
		{"unknown device", device("carol", "")},
		{"device by another case", device("Alice", "")},
		{"not associated", func(f *Facts) {
			s, _ := config.Parse("site.yaml", []byte(strings.Replace(siteText, "devices: [alice, bob, ", "devices: [bob, ", 1)), nil)
			f.Site = directory.Compile(1, s)
		}},
		{"device refuses", device("bob", "")},
		{"no line", device("bare", "")},
		{"not that line", device("alice", "9999")},
		{"line refuses", device("alice", "1002")},
		{"any line refuses", device("alice", "")},
		{"sccp", device("SEP001122334455", "")},
		{"no call manager", func(f *Facts) { f.CallManagers[0].Node = "n1" }},
		{"not registered", func(f *Facts) { f.Registration = &Registration{} }},
		{"refused", func(f *Facts) { f.Registration = &Registration{Failure: "certificate expired"} }},
		{"port not open", func(f *Facts) { f.Device, f.Line, f.Registration = "port", "", &Registration{} }},
	}
	var b strings.Builder
	named := map[string]bool{}
	for _, c := range cases {
		f := good(t)
		c.change(f)
		v, failed := First(Walk(f, State))
		if !failed {
			t.Errorf("%s: nothing is wrong", c.name)
			continue
		}
		named[v.Condition] = true
		fmt.Fprintf(&b, "%s\n    %s, %s: %s\n    %s\n    %v\n", c.name, v.Step, v.Condition, v.Found, v.Fix, v.Result)
		if v.Fix == "" {
			t.Errorf("%s: nothing to do", c.name)
		}
	}
	for _, c := range conditions {
		if c.step < Keys && !named[c.name] {
			t.Errorf("no case in which %s fails first", c.name)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/first.txt", []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, _ := os.ReadFile("testdata/first.txt"); string(want) != b.String() {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestOneGoodInstance: one instance that works is enough, whatever is wrong with the others.
func TestOneGoodInstance(t *testing.T) {
	f := good(t)
	f.Enrolment.Instances = append([]Instance{{ID: "0", Issued: true, NotAfter: now.Add(-time.Hour)}}, f.Enrolment.Instances...)
	if v, failed := First(Walk(f, State)); failed {
		t.Errorf("%+v", v)
	}
	f.Instance = "0"
	if v, _ := First(Walk(f, State)); v.Condition != "certificate-in-time" {
		t.Errorf("%+v", v)
	}
}

func TestKeys(t *testing.T) {
	f := good(t)
	if v, failed := First(Walk(f, Keys)); !failed || v.Condition != "keys-allowed" {
		t.Errorf("%+v", v)
	}
	f = good(t)
	f.User, f.Source = "corp", &Source{Name: "corp", Reason: login.Success}
	if v, failed := First(Walk(f, Keys)); failed {
		t.Errorf("%+v", v)
	}
	f.Device, f.Line = "bob", ""
	if i := slices.IndexFunc(Walk(f, Keys), func(v Verdict) bool { return v.Condition == "keys-there" && v.Failed() }); i < 0 {
		t.Error("keys of a phone without encryption")
	}
}

func TestSettings(t *testing.T) {
	f := good(t)
	u, _ := f.Site.User("corp")
	want := "SuperProvider = Enabled CallParkRetrievalAllowed = Disabled ModifyCallingNumber = Disabled CTI Enabled = Enabled CallMonitor=Disabled CallRecord=Disabled"
	if got := SettingsOf(u).String(); got != want || !SettingsOf(u).SRTPKeys {
		t.Error(got)
	}
}

// TestResults: every reason has a value, and those the field has a value for have that.
func TestResults(t *testing.T) {
	for r := login.Success; r <= login.Failed; r++ {
		if (ResultOf(r) == ctiqbe.OK) != (r == login.Success) || Told(r) == "" {
			t.Errorf("%v: %v %q", r, ResultOf(r), Told(r))
		}
	}
	for r, want := range map[login.Reason]uint32{login.WrongCredentials: 0x8ccc0060, login.AccountLocked: 0x8ccc011f, login.AccountDisabled: 0x8ccc0145,
		login.PasswordExpired: 0x8ccc011d, login.PasswordExpiredHard: 0x8ccc011e, login.Timeout: 0x8ccc0075, login.DirectoryAway: 0x8ccc005e} {
		if got := uint32(ResultOf(r)); got != want {
			t.Errorf("%v: %#x, want %#x", r, got, want)
		}
	}
}
