package call

import (
	"reflect"
	"slices"
	"testing"
)

// What nodes tell each other is written and read again unchanged, as JSON and in a trace's text.
func TestWordsOfNodes(t *testing.T) {
	line := LineID{"2100", "phones"}
	ask := &Ask{Device: "desk2", Line: line, Trunk: "north", Thing: ThingParked, Range: "some", Park: true, Replaces: 4, Join: 6}
	at := &Target{Device: "desk1", Line: line, Called: "2100", Hunt: "Service", Emergency: true, Ask: ask}
	for want, s := range map[string]Signal{
		"Setup leg=l3 global_id=g node=n2 at=ask/for/desk2/line/2100@phones/replaces/l4 hunt=Service emergency=true inside=true lock=authenticated owner=n3": Setup{Leg: 3, Node: "n2", At: at,
			Inside: true, Lock: LockAuthenticated, Owner: "n3", GlobalID: "g"},
		"NodeState node=n2 up=true": NodeState{"n2", true},
		"Elsewhere node=n2 thing=held range=some number=7001 line=2100@phones device=desk1 leg=l8 gone=true": Elsewhere{"n2", ThingHeld, "7001", "some", line, "desk1", 8, true},
		"Identified leg=l3 connected=2003(Carol) inside=true":                                                Identified{3, Identity{Number: "2003", Display: "Carol"}, true, ""},
		"LockShown leg=l3 lock=non-secure why=cut via=n2/1/c7":                                               LockShown{3, LockNonSecure, "cut", "n2/1/c7"},
		"DeviceState device=bob up=true node=n2":                                                             DeviceState{Device: "bob", Up: true, Node: "n2"},
		"DeviceState device=bob up=true plain=true":                                                          DeviceState{Device: "bob", Up: true, Plain: true},
		"TrunkState trunk=north up=true node=n2":                                                             TrunkState{"north", true, "n2"},
		"Answered leg=l3 lock=encrypted":                                                                     Answered{Leg: 3, Lock: LockEncrypted},
		"Released leg=l3 cause=user-busy to_number=2003 why=later":                                           Released{3, UserBusy, "2003", "later"},
	} {
		b, err := MarshalInput(start, Input{Driver: "sip", Signal: s})
		if err != nil {
			t.Fatal(err)
		}
		_, in, err := UnmarshalInput(b)
		if err != nil || !reflect.DeepEqual(in.Signal, s) {
			t.Errorf("%s came back as %#v: %v", b, in.Signal, err)
		}
		if got := Describe(s); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	for want, to := range map[string]Target{
		"node n2 device desk1 line 2100@phones": {Node: "n2", Device: "desk1", Line: line},
		"node n2 trunk north 0301":              {Node: "n2", Trunk: "north", Called: "0301"},
		"node n2 ask for bob parked some 7001":  {Node: "n2", Called: "7001", Ask: &Ask{Device: "bob", Thing: ThingParked, Range: "some"}},
		"node n2 ask for bob park at some 7001": {Node: "n2", Called: "7001", Ask: &Ask{Device: "bob", Thing: ThingParked, Range: "some", Park: true}},
		"node n2 ask for bob join l4":           {Node: "n2", Ask: &Ask{Device: "bob", Join: 4}},
	} {
		if got := to.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Facts are what others may ask for, and nothing of other nodes.
func TestFacts(t *testing.T) {
	line := LineID{"2100", "phones"}
	leg := func(id LegID, state LegState, device, node string) LegView {
		return LegView{ID: id, State: state, Device: device, Node: node}
	}
	v := &View{ID: 1, Room: &Spot{"team", "8001"}, Parties: []*PartyView{
		{Line: line, Called: "2100", Legs: []LegView{leg(2, LegIsRinging, "desk1", ""), leg(4, LegIsRinging, "desk2", "n2")}},
		{Line: line, Held: true, Legs: []LegView{leg(1, LegIsActive, "desk3", "")}},
		{Line: line, Legs: []LegView{leg(3, LegIsActive, "desk3", ""), leg(5, LegIsPassive, "desk1", "")}},
		{Line: line, Legs: []LegView{leg(7, LegWaiting, "desk3", "")}},
		{Trunk: "north", Legs: []LegView{{ID: 9, State: LegIsActive, Trunk: "north"}}},
		{Line: line, Parked: &Spot{"some", "7001"}, Legs: []LegView{leg(11, LegIsActive, "desk2", "")}},
	}}
	want := []Elsewhere{
		{Thing: ThingRoom, Range: "team", Number: "8001"},
		{Thing: ThingRinging, Number: "2100", Line: line, Device: "desk1", Leg: 2},
		{Thing: ThingHeld, Line: line, Device: "desk3", Leg: 1},
		{Thing: ThingActive, Line: line, Device: "desk3", Leg: 3},
		{Thing: ThingCalling, Line: line, Device: "desk3", Leg: 7},
		{Thing: ThingParked, Range: "some", Number: "7001"},
	}
	got := Facts(v)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	keys := map[string]bool{}
	for _, x := range got {
		keys[x.Key()] = true
	}
	if len(keys) != len(want) {
		t.Errorf("keys are not one for each fact: %v", keys)
	}
	if got := Facts(&View{Ended: true, Room: v.Room}); got != nil {
		t.Errorf("a call that is over offers %v", got)
	}
}

// TestOffers: what has gone from one call to another was never gone, whichever picture comes first; what nobody has any more is.
func TestOffers(t *testing.T) {
	party := func(id LegID, held bool) *PartyView {
		return &PartyView{Line: LineID{"2100", "phones"}, Held: held, Legs: []LegView{{ID: id, State: LegIsActive, Device: "desk1"}}}
	}
	a, b := &View{ID: 1, Parties: []*PartyView{party(2, false), party(4, false)}}, &View{ID: 2, Parties: []*PartyView{party(6, false)}}
	var o Offers
	say := func(changes []Elsewhere) (out []string) {
		for _, x := range changes {
			x.Line, x.Device = LineID{}, ""
			out = append(out, Describe(x))
		}
		return out
	}
	check := func(what string, got []Elsewhere, want ...string) {
		t.Helper()
		if !slices.Equal(say(got), want) {
			t.Errorf("%s: got %q, want %q", what, say(got), want)
		}
	}
	check("two calls", o.Take(a, b), "Elsewhere thing=active leg=l2", "Elsewhere thing=active leg=l4", "Elsewhere thing=active leg=l6")
	check("the same again", o.Take(a, b))
	a2, b2 := &View{ID: 1, Parties: a.Parties[:1]}, &View{ID: 2, Parties: []*PartyView{party(6, true), a.Parties[1]}}
	check("moved, and held", o.Take(a2, b2), "Elsewhere thing=held leg=l6")
	check("back", o.Take(a, b), "Elsewhere thing=active leg=l6")
	check("moved and its call ended", o.Take(&View{ID: 1, Ended: true}, b2), "Elsewhere thing=held leg=l6", "Elsewhere thing=active leg=l2 gone=true")
	check("a snapshot without it", o.Only([]*View{{ID: 3, Parties: []*PartyView{party(8, false)}}}),
		"Elsewhere thing=active leg=l8", "Elsewhere thing=held leg=l6 gone=true", "Elsewhere thing=active leg=l4 gone=true")
	if all := say(o.All()); !slices.Equal(all, []string{"Elsewhere thing=active leg=l8"}) {
		t.Errorf("left: %q", all)
	}
	if n := testing.AllocsPerRun(100, func() { o.Take(b2); o.Take(b2) }); n > 6 {
		t.Errorf("a picture that changes nothing costs %.0f allocations", n/2)
	}
}
