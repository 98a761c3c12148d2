package callmanager

import (
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
)

// TestMixedCalls: calls between SRTP and RTP are refused unless the cluster says otherwise, and then that is shown.
func TestMixedCalls(t *testing.T) {
	for _, c := range []struct {
		setting config.MixedCalls
		policy  call.MixedPolicy
		rows    int
	}{{config.MixedRefuse, call.MixedRefuse, 0}, {config.MixedWarn, call.MixedWarn, 1}, {config.MixedAnchor, call.MixedAnchor, 1}} {
		site := config.Default("n1")
		site.Cluster.MixedCalls = c.setting
		st := newSite(1, site)
		if got := compile(st).Policy.Mixed; got != c.policy {
			t.Errorf("%s: the engine's policy says %v", c.setting, got)
		}
		rows := exceptions("n1", st)
		if len(rows) != c.rows {
			t.Fatalf("%s: exceptions %+v", c.setting, rows)
		}
		if c.rows == 1 && (rows[0].Kind != "cluster" || rows[0].Setting != "mixedCalls" || rows[0].Value != c.setting.String() || rows[0].Default != "refuse" || rows[0].Risk == "") {
			t.Errorf("row %+v", rows[0])
		}
	}
}

// TestConferences: what the site says about conferences reaches the engine, and compiles there.
func TestConferences(t *testing.T) {
	site := config.Default("n1")
	site.Cluster.ConferenceEndsWith, site.Cluster.ConferenceParties = config.EndNobody, 20
	site.Devices[0].Private = true
	st := newSite(1, site)
	got := compile(st)
	if _, err := got.Compile(); err != nil {
		t.Fatal(err)
	}
	if p := got.Policy; p.MaxParties != 20 || p.ConferenceEnds != call.EndWithNobody {
		t.Errorf("policy %+v", p)
	}
	want := []call.MeetMe{{Name: "800X/features"}, {Name: "810X/features", Display: "Encrypted only", Least: call.LockEncrypted}}
	if len(got.MeetMes) != 2 || got.MeetMes[0] != want[0] || got.MeetMes[1] != want[1] {
		t.Errorf("meet-me conferences %+v", got.MeetMes)
	}
	if !got.Devices[0].Private || got.Devices[1].Private {
		t.Errorf("devices %+v", got.Devices)
	}
	rows := exceptions("n1", st)
	if len(rows) != 1 || rows[0].Setting != "conferenceEndsWith" {
		t.Errorf("exceptions %+v", rows)
	}
}
