package callmanager

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/wire/dialoginfo"
	"github.com/locktone/locktone/wire/sip"
)

func lineAt(number string) spot { return spot{line: call.LineID{Number: number}} }

// party is a party with one leg: "1001 in waiting", "1002 out ringing held".
func party(id int, words string) *call.PartyView {
	f := strings.Fields(words)
	p := &call.PartyView{ID: call.PartyID(id), Line: call.LineID{Number: f[0]}, Identity: call.Identity{Number: f[0]}}
	if strings.HasPrefix(f[0], "trunk") {
		p.Line, p.Trunk = call.LineID{}, f[0]
	}
	l := call.LegView{ID: call.LegID(10 * id), Incoming: f[1] == "in", Device: "d" + f[0]}
	if err := l.State.UnmarshalText([]byte(f[2])); err != nil {
		panic(err)
	}
	p.Legs = []call.LegView{{ID: call.LegID(10*id + 1), State: call.LegIsPassive}, l}
	for _, w := range f[3:] {
		if w == "held" {
			p.Held = true
		} else {
			p.Parked = &call.Spot{Number: w}
		}
	}
	return p
}

func view(id int, parties ...string) *call.View {
	v := &call.View{ID: call.CallID(id)}
	for i, w := range parties {
		v.Parties = append(v.Parties, party(i+1, w))
	}
	return v
}

// TestLampsOf: what a line's part in a call looks like to a watcher.
func TestLampsOf(t *testing.T) {
	for _, c := range []struct {
		parties []string
		at      spot
		want    string
	}{
		{[]string{"1001 in waiting"}, lineAt("1001"), "trying initiator"},
		{[]string{"1001 in waiting", "1002 out offering"}, lineAt("1001"), "trying initiator to 1002"},
		{[]string{"1001 in waiting", "1002 out offering"}, lineAt("1002"), "trying recipient to 1001"},
		{[]string{"1001 in waiting", "1002 out ringing"}, lineAt("1001"), "early initiator to 1002"},
		{[]string{"1001 in waiting", "1002 out ringing"}, lineAt("1002"), "early recipient to 1001"},
		{[]string{"1001 in active", "1002 out active held"}, lineAt("1001"), "confirmed initiator to 1002"},
		{[]string{"1001 in active", "1002 out active held"}, lineAt("1002"), "confirmed recipient to 1001 held"},
		{[]string{"1001 in active", "1003 out ringing", "1002 out active"}, lineAt("1001"), "confirmed initiator to 1002"}, // who talks, before who rings
		{[]string{"trunk1 in active", "1002 out active"}, lineAt("1002"), "confirmed recipient to trunk1 external"},
		{[]string{"1001 in active", "1002 out dropped"}, lineAt("1002"), ""},
		{[]string{"1001 in active 7001"}, lineAt("1001"), "confirmed initiator"},
		{[]string{"1001 in active 7001"}, spot{slot: "7001"}, "confirmed recipient to 1001"},
		{[]string{"1001 in active 7001"}, spot{slot: "7002"}, ""},
	} {
		got := ""
		for _, l := range lampsOf(c.at, view(1, c.parties...)) {
			got += l.state.String() + " " + l.direction.String()
			if l.remote.Number != "" {
				got += " to " + l.remote.Number
			}
			if l.external {
				got += " external"
			}
			if l.held {
				got += " held"
			}
			if c.at.slot == "" && l.leg%10 != 0 {
				t.Errorf("%v: leg %d is the passive one", c.parties, l.leg)
			}
		}
		if got != c.want {
			t.Errorf("%v at %+v: %q, want %q", c.parties, c.at, got, c.want)
		}
	}
}

// TestLampsTake: the picture follows the events; only what they touch is looked at, and nothing is left when calls are over.
func TestLampsTake(t *testing.T) {
	var l lamps
	names := func(spots []spot) string {
		var out []string
		for _, p := range spots {
			out = append(out, p.number())
		}
		slices.Sort(out)
		return strings.Join(slices.Compact(out), " ")
	}
	end := view(1)
	end.Ended = true
	for i, c := range []struct {
		note live.Note
		want string
		lit  string // calls at 1001, 1002, 1003, 7001
	}{
		{live.Note{Snapshot: true, Calls: []*call.View{view(1, "1001 in active", "1002 out active")}}, "1001 1002", "1 1 0 0"},
		{live.Note{Event: call.Event{Kind: call.CallCreated, View: view(2, "1001 in waiting")}}, "1001", "2 1 0 0"},
		{live.Note{Event: call.Event{Kind: call.LegRinging, View: view(2, "1001 in waiting", "1003 out offering")}}, "1001 1003", "2 1 1 0"},
		// 1002 is moved from call 1 into call 2, and 1001 leaves that: call 1 has nobody of 1002 before its own event says so.
		{live.Note{Event: call.Event{Kind: call.PartyMoved, Party: 2, Other: 1, View: view(2, "1002 out active", "1003 out active")}}, "1001 1002 1003", "1 1 1 0"},
		{live.Note{Event: call.Event{Kind: call.CallEnded, View: end}}, "1001", "0 1 1 0"},
		{live.Note{Event: call.Event{Kind: call.Parked, View: view(2, "1003 out active 7001")}}, "1002 1003 7001", "0 0 1 1"},
		{live.Note{Event: call.Event{Kind: call.DigitHeard}}, "", "0 0 1 1"},
		{live.Note{Snapshot: true, Lagged: true}, "1003 7001", "0 0 0 0"},
	} {
		got := names(l.take(c.note))
		lit := fmt.Sprint(len(l.lit(lineAt("1001"))), len(l.lit(lineAt("1002"))), len(l.lit(lineAt("1003"))), len(l.lit(spot{slot: "7001"})))
		if got != c.want || lit != c.lit {
			t.Errorf("note %d: changed %q lit %q, want %q %q", i, got, lit, c.want, c.lit)
		}
	}
	if len(l.calls) != 0 || len(l.at) != 0 {
		t.Errorf("left over: %v %v", l.calls, l.at)
	}
}

// A dialog that has ended is told once, as such.
func TestEndIsToldOnce(t *testing.T) {
	d := dialogs{dialoginfo.Document{Entity: "sip:1001@x", Dialogs: []dialoginfo.Dialog{{ID: "b", State: dialoginfo.Confirmed}}}}
	got, err := dialoginfo.Parse(d.write(nil, 7, []string{"a", "b"}))
	if err != nil {
		t.Fatal(err)
	}
	want := []dialoginfo.Dialog{{ID: "b", State: dialoginfo.Confirmed}, {ID: "a", State: dialoginfo.Terminated}}
	if got.Version != 7 || !reflect.DeepEqual(got.Dialogs, want) {
		t.Errorf("%+v", got)
	}
	if len(d.Dialogs) != 1 {
		t.Error("writing changed the document")
	}
}

func TestAcceptable(t *testing.T) {
	types := []string{"application/pidf+xml", "application/cpim-pidf+xml"}
	for _, c := range []struct {
		accept []string
		want   string
		ok     bool
	}{
		{nil, types[0], true},
		{[]string{"application/cpim-pidf+xml"}, types[1], true},
		{[]string{"text/plain, Application/CPIM-PIDF+XML;q=0.5"}, types[1], true},
		{[]string{"text/plain", "*/*"}, types[0], true},
		{[]string{"application/xpidf+xml, text/plain"}, types[0], false},
	} {
		m := sip.NewRequest(sip.SUBSCRIBE, sip.URI{Scheme: "sip", Host: "x"})
		for _, a := range c.accept {
			m.Add("Accept", a)
		}
		if got, ok := acceptable(m, types); got != c.want || ok != c.ok {
			t.Errorf("%v: %s %v", c.accept, got, ok)
		}
	}
}
