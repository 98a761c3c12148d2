package call

import (
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/locktone/locktone/dialplan"
)

// dialVariants are the sites of the scripts about numbers: emergency and its relatives, global.
func dialVariants(vary func(name string, change func(*Site))) {
	vary("emergency", func(s *Site) {
		// Whatever can be in the way of a call is in the way of this one.
		s.Devices = append(s.Devices, Device{Name: "bare", Driver: "sip"})
		s.Policy.MaxDuration = time.Minute
		s.Lines[0].Appearances[0].MaxCalls = 1
		s.Lines[0].SearchSpace = "internal"
		s.Devices[0].Place.EmergencyNumber = "55599"
		s.Trunks[0].MaxCalls = 1
		s.RouteLists = append(s.RouteLists, RouteList{Name: "help", Members: []RouteMember{{Trunk: "copper"}, {Trunk: "north"}, {Trunk: "south"}},
			Causes: []Cause{NoCircuit}})
		for i := range s.Plan.Patterns {
			if p := &s.Plan.Patterns[i]; p.Emergency {
				p.To, p.Presentation = "help", dialplan.PresentationRestricted
			}
		}
		s.Plan.Patterns = append(s.Plan.Patterns,
			dialplan.Pattern{Digits: "112", Partition: "phones", Kind: dialplan.Blocked},
			dialplan.Pattern{Digits: "0112", Partition: "phones", Kind: dialplan.Translation, Called: dialplan.Transform{Mask: "XXX"}})
	})
	vary("explained", func(s *Site) {
		withFeatures(s)
		withParks(s)
		s.Lines[1].Forwards[ForwardNoAnswer] = Forward{To: "2003"} // bob, to carol
		s.Lines[1].Forwards[ForwardBusy] = Forward{To: "6000"}
		s.Lines[2].Forwards[ForwardAll] = Forward{To: "2002"} // carol, to bob
		s.Lines[4].Forwards[ForwardAll] = Forward{To: "112"}
		s.Hunts = []Hunt{{Name: "sales", Groups: []HuntGroup{{Name: "first", Order: HuntCircular, Lines: []LineID{{"2003", "phones"}, {"2001", "phones"}}}}, Final: Forward{To: "0301"}}}
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: "6000", Partition: "phones", Kind: dialplan.ToHunt, To: "sales"})
	})
	vary("strict", func(s *Site) { // 112 leaves by a trunk that must have SRTP and early offers
		s.RouteLists[0].Members = []RouteMember{{Trunk: "eager"}}
	})
	vary("emergency_transit", func(s *Site) { // copper may reach 112
		s.Plan.SearchSpaces = append(s.Plan.SearchSpaces, dialplan.SearchSpace{Name: "transit", Partitions: []string{"emergency"}})
		s.Trunks[2].SearchSpace = "transit"
	})
	vary("global", func(s *Site) {
		// E.164 at the core: lines have short numbers inside and global ones outside.
		s.Plan.SearchSpaces = append(s.Plan.SearchSpaces,
			dialplan.SearchSpace{Name: "from-germany", Partitions: []string{"in-national"}}, dialplan.SearchSpace{Name: "to-berlin", Partitions: []string{"out-berlin"}},
			dialplan.SearchSpace{Name: "shown", Partitions: []string{"display"}}, dialplan.SearchSpace{Name: "did", Partitions: []string{"global"}})
		s.Plan.CallingNumbers = []dialplan.Transformation{
			{Digits: "0.[1-9]!", Partition: "in-national", Change: dialplan.Transform{Discard: "predot", Prefix: "+49"}},
			{Digits: "00.!", Partition: "in-national", Change: dialplan.Transform{Discard: "predot", Prefix: "+"}},
			{Digits: `\+4930.!`, Partition: "out-berlin", Change: dialplan.Transform{Discard: "predot"}},
			{Digits: `\+.!`, Partition: "display", Change: dialplan.Transform{Discard: "predot", Prefix: "000"}},
			{Digits: `\+49.!`, Partition: "display", Change: dialplan.Transform{Discard: "predot", Prefix: "00"}},
		}
		s.Plan.CalledNumbers = []dialplan.Transformation{
			{Digits: `\+49.!`, Partition: "out-berlin", Change: dialplan.Transform{Discard: "predot", Prefix: "0"}},
			{Digits: "55500.XX", Partition: "in-national", Change: dialplan.Transform{Discard: "predot", Prefix: "+493055520"}},
		}
		t := &s.Trunks[0]
		t.SearchSpace, t.CallingSpace, t.CalledSpace = "did", "to-berlin", "to-berlin"
		t.Incoming = IncomingNumbers{CallingSpace: "from-germany", CalledSpace: "from-germany"}
		s.Devices[0].CallingSpace = "shown"
		for i := range s.Lines {
			s.Lines[i].ExternalMask = "+49305552XXX"
		}
		s.Plan.Patterns = append(s.Plan.Patterns,
			dialplan.Pattern{Digits: `\+49305552001`, Partition: "global", Kind: dialplan.DirectoryNumber, To: "2001", ToPartition: "phones"},
			dialplan.Pattern{Digits: `\+!`, Partition: "out", Kind: dialplan.ToTrunk, To: "north"},
			dialplan.Pattern{Digits: "00.[1-9]!", Partition: "out", Kind: dialplan.Translation, Called: dialplan.Transform{Discard: "predot", Prefix: "+49"}},
			dialplan.Pattern{Digits: "000.[1-9]!", Partition: "out", Kind: dialplan.Translation, Called: dialplan.Transform{Discard: "predot", Prefix: "+"}})
	})
}

// TestEngineAsksAtTheTimeOfTheCall: the engine's own time and the place of the caller decide what a schedule keeps out.
func TestEngineAsksAtTheTimeOfTheCall(t *testing.T) {
	var zone dialplan.Zone
	if err := zone.UnmarshalText([]byte("Europe/Berlin")); err != nil {
		t.Fatal(err)
	}
	s := office()
	s.Plan.Schedules = []dialplan.Schedule{{Name: "evening", Periods: []dialplan.Period{{From: 18 * 60, To: 2 * 60}}}}
	s.Plan.Partitions = []dialplan.Partition{{Name: "out", Schedule: "evening"}}
	s.Devices[0].Place.Zone = zone
	for _, c := range []struct {
		device string
		at     time.Time
		rings  bool
	}{
		{"alice", time.Date(2026, 1, 2, 16, 59, 0, 0, time.UTC), false},
		{"alice", time.Date(2026, 1, 2, 17, 0, 0, 0, time.UTC), true}, // 18:00 in Berlin
		{"bob", time.Date(2026, 1, 2, 17, 0, 0, 0, time.UTC), false},  // bob's place has no zone: UTC
		{"alice", time.Date(2026, 7, 2, 16, 0, 0, 0, time.UTC), true}, // summer
		{"alice", time.Date(2026, 7, 2, 23, 59, 0, 0, time.UTC), true},
		{"alice", time.Date(2026, 7, 3, 0, 0, 0, 0, time.UTC), false},
	} {
		e := New()
		e.Step(c.at, Input{Config: s.must(t)})
		out := e.Step(c.at, Input{Driver: "sip", Signal: Setup{Leg: 1, Device: c.device, Called: "0301"}})
		rings := false
		for _, o := range out.Commands {
			_, ring := o.Command.(Ring)
			rings = rings || ring
		}
		if rings != c.rings {
			t.Errorf("%s at %s: rings %v, want %v", c.device, c.at, rings, c.rings)
		}
	}
}
