package call

import (
	"strings"
	"testing"

	"github.com/locktone/locktone/dialplan"
)

// Every fault of a site is named, all at once.
func TestCompileFaults(t *testing.T) {
	s := office()
	s.Devices = append(s.Devices, Device{Name: "alice"}, Device{})
	s.Lines = append(s.Lines, Line{ID: LineID{"2001", "phones"}}, Line{ID: LineID{"3000", "phones"}, SearchSpace: "moon", Appearances: []Appearance{{Device: "ghost"}}})
	s.Trunks = append(s.Trunks, Trunk{Name: "north"}, Trunk{Name: "odd", SearchSpace: "mars", Called: dialplan.Transform{Discard: "predot"}})
	s.RouteLists = append(s.RouteLists, RouteList{Name: "bad", Members: []RouteMember{{Trunk: "nowhere", Calling: dialplan.Transform{Mask: "abc"}}}})
	s.Plan.Patterns = append(s.Plan.Patterns,
		dialplan.Pattern{Digits: "4000", Partition: "phones", Kind: dialplan.DirectoryNumber},
		dialplan.Pattern{Digits: "4001", Kind: dialplan.ToTrunk, To: "lost"},
		dialplan.Pattern{Digits: "4002", Kind: dialplan.ToRouteList, To: "lost"},
		dialplan.Pattern{Digits: "4003", Kind: dialplan.ToApplet, To: "lost"})
	_, err := s.Compile()
	for _, want := range []string{
		`device 9: the name alice`, `device 10: the name`, `line 7: the name 2001@phones`, `line 3000@phones: there is no search space "moon"`,
		`line 3000@phones appears on device "ghost"`, `trunk 5: the name north`, `trunk odd: there is no search space "mars"`, `trunk odd: discard "predot"`,
		`route list bad names trunk "nowhere"`, `route list bad: mask "abc"`,
		`"4000" in partition "phones" leads to directory-number`, `"4001"`, `"4002"`, `"4003"`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in\n%v", want, err)
		}
	}
	s = office()
	s.Plan.Patterns[0].Digits = "0["
	if _, err := s.Compile(); err == nil || !strings.Contains(err.Error(), "a bracket that is not closed") {
		t.Errorf("%v", err)
	}
}

func TestSearchSpaces(t *testing.T) {
	s := office()
	s.Devices[0].SearchSpace = "internal"
	c := s.must(t)
	if got := c.SearchSpaces("alice", LineID{"2001", "phones"}, ""); strings.Join(got, " ") != "all internal" {
		t.Errorf("%v: the line's comes before the device's", got)
	}
	if got := c.SearchSpaces("", LineID{}, "north"); strings.Join(got, " ") != "internal" {
		t.Errorf("%v", got)
	}
	if c.lineOf("alice", LineID{"2002", "phones"}) != nil || c.lineOf("alice", LineID{}).ID.Number != "2001" || c.lineOf("ghost", LineID{}) != nil {
		t.Error("lineOf")
	}
}

// Step must not panic, whatever is in a recorded input.
func FuzzInput(f *testing.F) {
	add := func(in Input) {
		if b, err := MarshalInput(start, in); err == nil {
			f.Add(b)
		}
	}
	w := newWalker(f, 7, true)
	w.walk(60)
	for _, r := range w.records[1:] {
		f.Add(r.Input)
	}
	add(Input{Request: Drop{Call: 1}})
	add(Input{Signal: DriverLost{"sip"}})
	f.Fuzz(func(t *testing.T, line []byte) {
		at, in, err := UnmarshalInput(line)
		if err != nil {
			return
		}
		k := newChecker(false)
		k.step(start, Input{Config: office().must(t)})
		for _, p := range phones {
			k.step(start, Input{Signal: DeviceState{Device: p, Up: true}})
		}
		k.step(start, Input{Driver: "sip", Signal: Setup{Leg: 1, Device: "alice", Called: "2100", Desc: Desc{Ref: 1, Kind: KindOffer, Dir: SendRecv}}})
		k.step(start, Input{Driver: "sip", Signal: Answered{Leg: 2, Desc: Desc{Ref: 2, Kind: KindAnswer, Dir: SendRecv}}})
		k.step(at, in)
		if len(k.faults) > 0 {
			t.Fatal(k.faults)
		}
		again, err := MarshalInput(at, in)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := UnmarshalInput(again); err != nil {
			t.Fatalf("%s cannot be read back: %v", again, err)
		}
	})
}
