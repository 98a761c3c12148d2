package call

import (
	"slices"
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

// withConferences adds feature codes and two meet-me conferences: 80XX for three at most, 81XX for encrypted calls only.
func withConferences(s *Site) {
	withFeatures(s)
	s.MeetMes = []MeetMe{{Name: "team", Display: "Team room", Most: 3}, {Name: "board", Display: "Board room", Least: LockEncrypted}}
	s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: "80XX", Partition: "phones", Kind: dialplan.ToMeetMe, To: "team"},
		dialplan.Pattern{Digits: "81XX", Partition: "phones", Kind: dialplan.ToMeetMe, To: "board"})
}

// everything is the office with all features, forwards and hunts; the front desk has music of its own.
func everything(s *Site) {
	withConferences(s)
	withParks(s)
	hunts(s)
	forwards(s)
	s.Lines[5].Music = "music:lobby"
	s.Policy.BlockOffnetToOffnet = true
}

// withFeatures gives the office a code for every feature: *10 and up, in the order of FeatureNames, each also with an argument.
func withFeatures(s *Site) {
	for i, name := range FeatureNames() {
		code := "*" + strconv.Itoa(10+i) // *11 park, *12 pickup, *13 group-pickup, *15 take-over
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: code, Partition: "phones", Kind: dialplan.ToFeature, To: name},
			dialplan.Pattern{Digits: code + ".!", Partition: "phones", Kind: dialplan.ToFeature, To: name})
	}
}

// withParks gives the office park numbers: 7001 and 7002, 7050 for directed parking, 7090 that reverts to Carol; groups to pick up:
// sales with Alice, Bob and the front desk, and staff with Carol, who may answer for sales.
func withParks(s *Site) {
	for _, r := range []ParkRange{{Name: "some", Slots: []string{"7001", "7002"}}, {Name: "directed", Slots: []string{"7050"}, Directed: true},
		{Name: "reverting", Slots: []string{"7090"}, Directed: true, Reminder: 30 * time.Second, Reversion: Forward{To: "2003"}}} {
		s.Parks = append(s.Parks, r)
		for _, n := range r.Slots {
			s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: n, Partition: "phones", Kind: dialplan.ToPark, To: r.Name})
		}
	}
	s.PickupGroups = []PickupGroup{{Name: "sales", Number: "1"}, {Name: "staff", Associated: []string{"sales"}}}
	s.Devices[4].Pickups = []string{"2001"} // a busy lamp of mixed's
	for i, group := range []string{"sales", "sales", "staff", "", "", "sales"} {
		s.Lines[i].PickupGroup = group
	}
	for i := range s.Devices {
		s.Lines[min(i, len(s.Lines)-1)].Appearances[0].BusyTrigger = 4
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
	vary("loose_anchored", func(s *Site) { s.Devices[4].Media.Anchor = true })
	vary("features", func(s *Site) { withFeatures(s); withParks(s) })
	vary("inside", func(s *Site) {
		withFeatures(s)
		withParks(s)
		s.Policy.BlockOffnetToOffnet, s.Policy.NoRecall = true, true
	})
	vary("everything", everything)
	dialVariants(vary)
	vary("conferences", withConferences)
	vary("loose_desk", func(s *Site) { withConferences(s); s.Devices[6].Media.SRTP = SRTPOrRTP })
	vary("warn", func(s *Site) { withConferences(s); s.Policy.Mixed = MixedWarn })
	vary("controller", func(s *Site) { withConferences(s); s.Policy.ConferenceEnds, s.Policy.MaxParties = EndWithController, 4 })
	vary("limited", func(s *Site) { s.Policy.MaxDuration = time.Hour; s.Trunks[0].MaxCalls = 1 })
	vary("forwards", forwards)
	out["center"] = center()
	border := center()
	border.Policy.MediaInactivity = 20 * time.Second
	for i := range border.Trunks {
		border.Trunks[i].Media.Anchor = true
	}
	out["border"] = border
	vary("terminals", terminals)
	vary("forwards_lost", func(s *Site) { s.Lines[2].Forwards = Forwards{ForwardAll: {To: "2999"}} })
	vary("forwards_emergency", func(s *Site) {
		forwards(s)
		withFeatures(s)
		s.Lines[1].Forwards[ForwardAll].To = "112"
	})
	vary("forward_codes", func(s *Site) { forwards(s); withFeatures(s) })
	vary("smaller", func(s *Site) { // without Mixed
		s.Devices = slices.DeleteFunc(s.Devices, func(d Device) bool { return d.Name == "mixed" })
		s.Lines = slices.DeleteFunc(s.Lines, func(l Line) bool { return l.ID.Number == "2005" })
		s.Plan.Patterns = slices.DeleteFunc(s.Plan.Patterns, func(p dialplan.Pattern) bool { return p.Digits == "2005" })
	})
	vary("hunts", hunts)
	return out
}

// forwards: everybody has a mailbox at 7999, Carol's under the number 93. Bob's calls go to Carol when he is busy, to
// his mailbox when he does not answer, to Mixed when he has no phone. The front desk's go to Bob when it does not answer.
func forwards(s *Site) {
	for i := range s.Lines {
		s.Lines[i].Voicemail = "7999"
	}
	s.Lines[1].Forwards = Forwards{ForwardBusy: {To: "2003"}, ForwardNoAnswer: {Voicemail: true, SearchSpace: "all"}, ForwardUnregistered: {To: "2005"}}
	s.Lines[2].Mailbox = "93"
	s.Lines[5].Forwards = Forwards{ForwardNoAnswer: {To: "2002"}}
	s.Lines[1].Appearances[0].BusyTrigger = 1
	s.Lines[4].AutoAnswer = true
	s.Devices[4].DoNotDisturb = DNDSilence
	mailboxes(s)
}

// terminals: Bob and Carol are no phones but terminals of an application. Bob's calls go to the mailbox while nobody has registered the
// terminal, and to Alice when the application fails; Carol has the forward of failures alone.
func terminals(s *Site) {
	forwards(s)
	for i := 1; i < 3; i++ {
		s.Devices[i].Terminal, s.Devices[i].Media.SRTP = true, SRTPOrRTP
	}
	s.Lines[1].Forwards[ForwardUnregistered] = Forward{To: "2001"}
	s.Lines[2].Forwards = Forwards{ForwardUnregistered: {To: "2001"}}
}

// hunts: pilots 2500 (Bob, Carol, then the desks), 2501 (in turn: Alice, Bob, Carol), 2502 (who was idle longest), 2503 (all at once, the
// shared desk line among them), 2504 (Bob alone, then the mailbox of the pilot). Bob's own calls are forwarded, which must not matter.
func hunts(s *Site) {
	id := func(numbers ...string) (out []LineID) {
		for _, n := range numbers {
			out = append(out, LineID{n, "phones"})
		}
		return out
	}
	s.Hunts = []Hunt{
		{Name: "sales", Display: "Sales", Longest: 45 * time.Second, Groups: []HuntGroup{{Name: "first", Lines: id("2002", "2003")},
			{Name: "second", Lines: id("2100"), NoAnswer: 30 * time.Second}}},
		{Name: "turns", Groups: []HuntGroup{{Name: "turns", Order: HuntCircular, Lines: id("2001", "2002", "2003")}}},
		{Name: "idle", Groups: []HuntGroup{{Name: "idle", Order: HuntLongestIdle, Lines: id("2001", "2002", "2003")}}},
		{Name: "all", Display: "Everybody", Groups: []HuntGroup{{Name: "all", Order: HuntBroadcast, Lines: id("2002", "2003", "2100")}}},
		{Name: "night", Groups: []HuntGroup{{Name: "night", Lines: id("2002")}}, Final: Forward{To: "7999", Voicemail: true, SearchSpace: "all"}},
	}
	for i, h := range s.Hunts {
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: "250" + strconv.Itoa(i), Partition: "phones", Kind: dialplan.ToHunt, To: h.Name})
	}
	s.Lines[1].Forwards = Forwards{ForwardAll: {To: "2001"}, ForwardBusy: {To: "2001"}, ForwardNoAnswer: {To: "2001"}}
	s.Lines[1].Appearances[0].BusyTrigger = 1
	mailboxes(s)
}

// mailboxes are reached by the number 7999, over the trunk south.
func mailboxes(s *Site) {
	is := func(p dialplan.Pattern) bool { return p.Digits == "7999" }
	if !slices.ContainsFunc(s.Plan.Patterns, is) {
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: "7999", Partition: "out", Kind: dialplan.ToTrunk, To: "south"})
	}
}
