package callmanager

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transport"
)

func siteOf(t *testing.T, text string) *site {
	t.Helper()
	c, err := config.Parse("site.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return newSite(1, c)
}

// TestProfilesReachTheDriver: SIP and security profiles in the driver's and the engine's words.
func TestProfilesReachTheDriver(t *testing.T) {
	st := siteOf(t, `
nodes: [{name: n}]
callManagerGroups: [{name: g, nodes: [n]}]
devicePools: [{name: d, callManagerGroup: g}]
sipProfiles:
  - {name: all, rel1xx: all, timers: {t1: 100ms, inviteExpires: 30s}, sessionTimer: {expires: 10m, min: 2m, refresher: uas}, mediaAnchor: always}
  - {name: sdp, rel1xx: sdp, sessionTimer: {disabled: true, refresher: uac}}
sipTrunkSecurityProfiles:
  - {name: secure, acceptedSubjects: [a.example], acceptReplaces: true, acceptTransfer: true}
  - {name: open, deviceSecurityMode: non-secure, outgoingTransport: udp, incomingTransport: tcp, incomingPort: 5070}
sipTrunks:
  - {name: a, securityProfile: secure, sipProfile: all, devicePool: d, srtpAllowed: true, maxCalls: 7, destinations: [{address: 192.0.2.1}]}
  - {name: b, securityProfile: open, sipProfile: sdp, devicePool: d, mediaAnchor: always, destinations: [{address: b.example, port: 5090}]}
  - {name: c, securityProfile: secure, devicePool: d, srv: true, destinations: [{address: c.example}]}
`)
	a, b, c := st.trunks["a"], st.trunks["b"], st.trunks["c"]
	if a.Reliable != dialog.ReliablePreferred || b.Reliable != dialog.ReliableSDP || c.Reliable != dialog.ReliableOnDemand {
		t.Errorf("rel1xx: %d %d %d", a.Reliable, b.Reliable, c.Reliable)
	}
	if a.Timers == nil || a.Timers.T1 != 100*time.Millisecond || a.Timers.T2 != 4*time.Second || b.Timers != nil {
		t.Errorf("timers: %+v %+v", a.Timers, b.Timers)
	}
	if want := (dialog.TimerConfig{Interval: 10 * time.Minute, Min: 2 * time.Minute, Prefer: dialog.RefresherUAS}); a.Timer != want {
		t.Errorf("session timer %+v, want %+v", a.Timer, want)
	}
	if !b.Timer.Off || b.Timer.Prefer != dialog.RefresherUAC || c.Timer.Off {
		t.Errorf("session timers %+v %+v", b.Timer, c.Timer)
	}
	if !a.Media.Anchor || !b.Media.Anchor || c.Media.Anchor || !a.Replaces || b.Replaces {
		t.Errorf("anchors %v %v %v, Replaces %v %v", a.Media.Anchor, b.Media.Anchor, c.Media.Anchor, a.Replaces, b.Replaces)
	}
	if !a.Transfer || b.Transfer || !c.Transfer {
		t.Errorf("REFER is obeyed: %v %v %v, want it where the profile says so", a.Transfer, b.Transfer, c.Transfer)
	}
	engine := map[string]time.Duration{}
	for _, x := range compile(st).Trunks {
		engine[x.Name] = x.NoAnswer
		if x.Name == "a" && x.MaxCalls != 7 {
			t.Errorf("maxCalls %d", x.MaxCalls)
		}
	}
	if engine["a"] != 30*time.Second || engine["b"] != 180*time.Second {
		t.Errorf("inviteExpires: %v", engine)
	}
	for name, want := range map[string]string{"a": "192.0.2.1 5061 tls", "b": "b.example 5090 udp", "c": "c.example 0 tls"} {
		tr, _ := st.Trunk(name)
		p := peerOf(tr, st.trunks[name])
		if got := fmt.Sprintf("%s %d %s", p.Destinations[0].Address, p.Destinations[0].Port, p.Network); got != want {
			t.Errorf("trunk %s is reached at %s, want %s", name, got, want)
		}
		if name == "a" != (p.Leg.Timers != nil) {
			t.Errorf("trunk %s: timers %v", name, p.Leg.Timers)
		}
	}
	ports := map[transport.Network][]int{}
	for _, s := range st.sockets() {
		ports[s.Network] = append(ports[s.Network], s.Port)
	}
	for _, tr := range st.Trunks() {
		for p := peerOf(tr, st.trunks[tr.Name]); len(p.From) > 0; p.From = p.From[1:] {
			ports[p.From[0]] = append(ports[p.From[0]], p.Port)
		}
	}
	if len(ports[transport.TCP]) != 1 || ports[transport.TCP][0] != 5070 || len(ports[transport.UDP]) != 0 || ports[transport.TLS][0] != 5061 {
		t.Errorf("listening on %v", ports)
	}
}

// TestRecordings: files are read once and again when they change; what cannot be read is named, and nothing else suffers.
func TestRecordings(t *testing.T) {
	folder := t.TempDir()
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.wav", wav.Append(nil, []int16{1, 2, 3}))
	write("b.wav", []byte("no sound at all"))
	write("e.wav", wav.Append(nil, nil))
	c := &config.Site{MusicOnHold: []config.MusicOnHold{{Name: "a", File: "a.wav"}, {Name: "b", File: "b.wav"}, {Name: "c", File: "c.wav"},
		{Name: "d", File: "."}, {Name: "e", File: "e.wav"}, {Name: "f"}}}
	first := record(c, folder, nil)
	if len(first["a"].pcm) != 3 || first["a"].err != nil {
		t.Errorf("a: %+v", first["a"])
	}
	text := first.trouble(c)
	for _, want := range []string{"musicOnHold[b]", "RIFF", "musicOnHold[c]", "no such file", "musicOnHold[d]", "not a file", "musicOnHold[e]", "no sound"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	if strings.Contains(text, "[a]") || strings.Contains(text, "[f]") || !errors.Is(first["c"].err, os.ErrNotExist) {
		t.Error(text)
	}
	if again := record(c, folder, first); &again["a"].pcm[0] != &first["a"].pcm[0] {
		t.Error("an unchanged file was read again")
	}
	write("a.wav", wav.Append(nil, []int16{4, 5, 6, 7}))
	write("c.wav", wav.Append(nil, []int16{8}))
	if again := record(c, folder, first); len(again["a"].pcm) != 4 || len(again["c"].pcm) != 1 {
		t.Errorf("changed files: %+v", again)
	}
}
