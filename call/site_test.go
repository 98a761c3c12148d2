package call

import (
	"strconv"
	"testing"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// office is the site of the golden scripts: encrypted phones alice (2001), bob (2002), carol (2003); a line 2100 shared by desk1, desk2
// and desk3; plain (2004) speaks RTP only, mixed (2005) both; two trunks of one list (0...), a plain trunk (7...), one that needs early
// offers (8...), an applet (*1).
func office() Site {
	line := func(number, display string, devices ...string) Line {
		l := Line{ID: LineID{number, "phones"}, Display: display, SearchSpace: "all"}
		for i, d := range devices {
			l.Appearances = append(l.Appearances, Appearance{Device: d, Index: i + 1})
		}
		return l
	}
	s := Site{
		Lines: []Line{line("2001", "Alice", "alice"), line("2002", "Bob", "bob"), line("2003", "Carol", "carol"),
			line("2004", "Plain", "plain"), line("2005", "Mixed", "mixed"), line("2100", "Front Desk", "desk1", "desk2", "desk3")},
		Trunks: []Trunk{
			{Name: "north", Driver: "trunk", SearchSpace: "internal", Media: MediaPolicy{SRTP: SRTPOrRTP}},
			{Name: "south", Driver: "trunk", SearchSpace: "internal", Media: MediaPolicy{SRTP: SRTPOrRTP}, Calling: dialplan.Transform{Prefix: "+4930"}},
			{Name: "copper", Driver: "trunk", SearchSpace: "internal", Media: MediaPolicy{SRTP: RTP}},
			{Name: "eager", Driver: "trunk", SearchSpace: "internal", Media: MediaPolicy{SRTP: SRTP, EarlyOffer: true}},
		},
		RouteLists: []RouteList{{Name: "out", Members: []RouteMember{{Trunk: "north"}, {Trunk: "south", Called: dialplan.Transform{Prefix: "00"}}}}},
		Applets:    []Applet{{Name: "echo", Driver: "applet"}},
		Plan: dialplan.Rules{
			SearchSpaces: []dialplan.SearchSpace{{Name: "internal", Partitions: []string{"phones"}}, {Name: "all", Partitions: []string{"phones", "out"}}},
			Patterns: []dialplan.Pattern{
				{Digits: "0.!", Partition: "out", Kind: dialplan.ToRouteList, To: "out", Called: dialplan.Transform{Discard: "predot"}},
				{Digits: "7.!", Partition: "out", Kind: dialplan.ToTrunk, To: "copper", Called: dialplan.Transform{Discard: "predot"}},
				{Digits: "8.!", Partition: "out", Kind: dialplan.ToTrunk, To: "eager", Called: dialplan.Transform{Discard: "predot"}},
				{Digits: "0900!", Partition: "out", Kind: dialplan.Blocked},
				{Digits: "*1", Partition: "phones", Kind: dialplan.ToApplet, To: "echo"},
				{Digits: "112", Partition: "emergency", Kind: dialplan.ToRouteList, To: "out", Emergency: true},
			},
		},
		Policy: Policy{NoAnswer: 20 * time.Second},
	}
	for _, d := range []string{"alice", "bob", "carol", "plain", "mixed", "desk1", "desk2", "desk3"} {
		s.Devices = append(s.Devices, Device{Name: d, Driver: "sip"})
	}
	s.Devices[3].Media.SRTP = RTP
	s.Devices[4].Media.SRTP = SRTPOrRTP
	for _, l := range s.Lines {
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: l.ID.Number, Partition: "phones", Kind: dialplan.DirectoryNumber})
	}
	return s
}

// withFeatures gives the office a code for every feature: *10 and up, in the order of FeatureNames, each also with an argument.
func withFeatures(s *Site) {
	for i, name := range FeatureNames() {
		code := "*" + strconv.Itoa(10+i)
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: code, Partition: "phones", Kind: dialplan.ToFeature, To: name},
			dialplan.Pattern{Digits: code + ".!", Partition: "phones", Kind: dialplan.ToFeature, To: name})
	}
}

func (s Site) must(t testing.TB) *Config {
	t.Helper()
	c, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// variants are sites that differ from the office in one point; scripts name them.
func variants() map[string]Site {
	out := map[string]Site{"office": office()}
	vary := func(name string, change func(*Site)) {
		s := office()
		change(&s)
		out[name] = s
	}
	vary("conversion", func(s *Site) { s.Policy.Mixed = MixedAnchor })
	vary("anchored", func(s *Site) { s.Devices[1].Media.Anchor = true })
	vary("settings", func(s *Site) {
		s.Devices[1].Music, s.Trunks[0].Music = "music:bells", "music:sea"
		s.Trunks[0].NoAnswer = 90 * time.Second
		s.Lines[0].Appearances[0].MaxCalls = 2
		s.Lines[1].Alerting, s.Lines[1].Appearances[0].BusyTrigger = "Bob, upstairs", 1
		s.Plan.Patterns[1].Presentation = dialplan.PresentationRestricted
	})
	vary("features", func(s *Site) { withFeatures(s) })
	dialVariants(vary)
	vary("limited", func(s *Site) { s.Policy.MaxDuration = time.Hour; s.Trunks[0].MaxCalls = 1 })
	return out
}
