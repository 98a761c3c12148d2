package callmanager

import (
	"slices"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
)

// The configuration's features are the engine's, and the codes of a new site compile to what a phone can dial.
func TestFeatureCodes(t *testing.T) {
	if want := append([]string{"none"}, call.FeatureNames()...); !slices.Equal(config.FeatureNone.Values(), want) {
		t.Errorf("the configuration knows the features %v, the engine %v", config.FeatureNone.Values(), want)
	}
	p, err := dialplan.Compile(plan(config.Default("node1")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dialled, to, rest string }{
		{"*72", "forward-all", ""}, {"*721002", "forward-all", "1002"}, {"*35", "park", ""}, {"*357003", "park", "7003"}, {"7003", "700X/features", ""},
	} {
		res := p.Route(dialplan.Query{SearchSpaces: []string{"internal"}, Called: c.dialled, Complete: true})
		if res.Outcome != dialplan.Match || res.Pattern.To != c.to || res.Rest != c.rest {
			t.Errorf("%s leads to %+v %q, want %s %q", c.dialled, res.Pattern, res.Rest, c.to, c.rest)
		}
	}
}

func TestParkRanges(t *testing.T) {
	got := parks(&config.Site{ParkNumbers: []config.ParkNumber{{Pattern: "70[3-57]X"}, {Pattern: "71[^0-8]", Partition: "p", Directed: true, Reversion: "1001"}}})
	if len(got) != 2 || len(got[0].Slots) != 40 || got[0].Slots[0] != "7030" || got[0].Slots[39] != "7079" || !slices.Equal(got[1].Slots, []string{"719"}) ||
		got[1].Name != "71[^0-8]/p" || !got[1].Directed || got[1].Reversion.To != "1001" || got[0].Reminder.Seconds() != 60 {
		t.Errorf("%+v", got)
	}
}

// What the cluster says about transfers and parked calls, and a phone about its lamps, reaches the engine.
func TestTransferAndParkPolicy(t *testing.T) {
	c := config.Default("node1")
	c.Cluster.BlockOffnetToOffnet, c.Cluster.NoTransferRecall, c.Cluster.ParkReminders = true, true, 3
	c.Devices[0].Buttons = []config.Button{{Type: config.BusyLamp, Number: "1002", Pickup: true}, {Type: config.BusyLamp, Number: "1001"}}
	c.Lines[1].MusicOnHold = "default"
	got := compile(newSite(1, c))
	if p := got.Policy; !p.BlockOffnetToOffnet || !p.NoRecall || p.MaxReminders != 3 {
		t.Errorf("policy %+v", p)
	}
	if p := got.Devices[0].Pickups; !slices.Equal(p, []string{"1002"}) {
		t.Errorf("lamps that pick up: %v", p)
	}
	if l := got.Lines[1]; l.Music != "music:default" || l.PickupGroup != "everybody" || len(got.PickupGroups) != 1 {
		t.Errorf("line %+v", l)
	}
}
