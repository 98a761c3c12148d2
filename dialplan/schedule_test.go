package dialplan

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

const weekdays Days = 1<<time.Monday | 1<<time.Tuesday | 1<<time.Wednesday | 1<<time.Thursday | 1<<time.Friday

func zone(t *testing.T, name string) Zone {
	t.Helper()
	var z Zone
	if err := z.UnmarshalText([]byte(name)); err != nil {
		t.Fatal(err)
	}
	return z
}

func TestScheduleOpen(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	office := Schedule{Name: "office", Periods: []Period{
		{Days: weekdays, From: 8 * 60, To: 17*60 + 30},
		{Days: 1 << time.Saturday, From: 9 * 60, To: 12 * 60},
		{First: Date{0, 12, 24}, Last: Date{0, 12, 26}, Closed: true},
		{First: Date{2026, 5, 14}, Last: Date{2026, 5, 14}, From: 12 * 60, To: 24 * 60, Closed: true},
	}}
	night := Schedule{Name: "night", Periods: []Period{{Days: 1 << time.Friday, From: 22 * 60, To: 6 * 60}}}
	holidays := Schedule{Name: "holidays", Periods: []Period{{First: Date{0, 12, 30}, Last: Date{0, 1, 2}, Closed: true}}}
	early := Schedule{Name: "early", Periods: []Period{{From: 2 * 60, To: 3 * 60}}}
	since := Schedule{Name: "since", Periods: []Period{{First: Date{2026, 7, 1}}}}
	until := Schedule{Name: "until", Periods: []Period{{Last: Date{2026, 6, 30}}}}
	for _, c := range []struct {
		s    *Schedule
		utc  string
		open bool
	}{
		{&office, "2026-11-20T07:00:00Z", true},  // Friday, 08:00 in winter
		{&office, "2026-11-20T06:59:59Z", false}, // 07:59
		{&office, "2026-07-17T06:00:00Z", true},  // Friday, 08:00 in summer
		{&office, "2026-07-17T15:29:59Z", true},
		{&office, "2026-07-17T15:30:00Z", false}, // 17:30 is not in the period any more
		{&office, "2026-11-21T10:00:00Z", true},  // Saturday, 11:00
		{&office, "2026-11-22T10:00:00Z", false}, // Sunday
		{&office, "2025-12-24T10:00:00Z", false}, // Wednesday, but a holiday of every year
		{&office, "2026-05-14T09:59:00Z", true},  // Thursday, 11:59
		{&office, "2026-05-14T10:00:00Z", false}, // closed from noon on
		// The last Sunday of March: 01:59 CET is followed by 03:00 CEST. The Friday before is winter time, the Monday after summer time.
		{&office, "2026-03-27T06:30:00Z", false}, // 07:30
		{&office, "2026-03-30T06:30:00Z", true},  // 08:30
		// Midnight is in the middle: the period begins on Friday and ends on Saturday.
		{&night, "2026-11-20T20:59:00Z", false},
		{&night, "2026-11-20T21:00:00Z", true},
		{&night, "2026-11-21T04:59:59Z", true}, // Saturday 05:59
		{&night, "2026-11-21T05:00:00Z", false},
		{&night, "2026-11-20T04:00:00Z", false}, // Friday 05:00 belongs to Thursday's night, which has none
		{&night, "2026-11-21T22:00:00Z", false}, // Saturday evening
		// Only exceptions: open otherwise, and the turn of the year is in the range.
		{&holidays, "2026-12-29T22:59:00Z", true},
		{&holidays, "2026-12-29T23:00:00Z", false}, // 30 December 00:00
		{&holidays, "2027-01-02T12:00:00Z", false},
		{&holidays, "2027-01-02T23:00:00Z", true},
		// 02:00 to 03:00 does not exist on 29 March 2026, and comes twice on 25 October.
		{&early, "2026-03-29T00:59:59Z", false}, // 01:59 CET
		{&early, "2026-03-29T01:00:00Z", false}, // 03:00 CEST
		{&early, "2026-10-25T00:00:00Z", true},  // 02:00 CEST
		{&early, "2026-10-25T01:30:00Z", true},  // 02:30 CET
		{&early, "2026-10-25T02:00:00Z", false}, // 03:00 CET
		{&since, "2026-06-30T21:59:00Z", false},
		{&since, "2026-06-30T22:00:00Z", true},
		{&until, "2026-06-30T21:59:00Z", true},
		{&until, "2026-06-30T22:00:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, c.utc)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.s.Open(at.In(berlin.Location)); got != c.open {
			t.Errorf("%s at %s (%s): open %v, want %v", c.s.Name, c.utc, at.In(berlin.Location).Format("Mon 15:04 MST"), got, c.open)
		}
	}
}

// clockedOffice: the front desk answers 100 in office hours, the applet at other times; both partitions are in everybody's space.
var clockedOffice = Rules{
	SearchSpaces: []SearchSpace{{"all", []string{"day", "night", "berlin"}}},
	Schedules: []Schedule{
		{Name: "hours", Periods: []Period{{Days: weekdays, From: 8 * 60, To: 17 * 60}}},
		{Name: "evenings", Periods: []Period{{From: 20 * 60, To: 22 * 60}}},
	},
	Partitions: []Partition{{Name: "day", Schedule: "hours"}},
	Patterns: []Pattern{
		{Digits: "100", Partition: "day", Kind: DirectoryNumber},
		{Digits: "100", Partition: "night", Kind: ToApplet, To: "closed"},
		{Digits: "200", Partition: "berlin", Kind: DirectoryNumber},
	},
}

func TestClosedPartition(t *testing.T) {
	berlin, tokyo := zone(t, "Europe/Berlin"), zone(t, "Asia/Tokyo")
	rules := clockedOffice
	rules.Partitions = append([]Partition{{Name: "berlin", Schedule: "evenings", Zone: berlin}}, rules.Partitions...)
	p := compile(t, rules)
	ask := func(called, at string, z Zone) Result {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		return p.Route(Query{SearchSpaces: []string{"all"}, Called: called, Complete: true, At: when, Zone: z})
	}
	for _, c := range []struct {
		called, at string
		zone       Zone
		want       Kind
		outcome    Outcome
	}{
		{"100", "2026-11-20T09:00:00Z", Zone{}, DirectoryNumber, Match}, // without a zone it is UTC
		{"100", "2026-11-20T17:00:00Z", Zone{}, ToApplet, Match},
		{"100", "2026-11-20T07:30:00Z", berlin, DirectoryNumber, Match}, // the caller's zone counts
		{"100", "2026-11-20T07:30:00Z", Zone{}, ToApplet, Match},
		{"100", "2026-11-20T07:30:00Z", tokyo, DirectoryNumber, Match}, // 16:30
		{"200", "2026-11-20T19:30:00Z", tokyo, DirectoryNumber, Match}, // the partition's own zone beats the caller's
		{"200", "2026-11-20T11:30:00Z", tokyo, 0, NoMatch},
	} {
		r := ask(c.called, c.at, c.zone)
		if r.Outcome != c.outcome || r.Outcome == Match && r.Pattern.Kind != c.want {
			t.Errorf("%s at %s in %v: %s %+v, want %s %s", c.called, c.at, c.zone.Location, r.Outcome, r.Pattern, c.outcome, c.want)
		}
	}
	at, _ := time.Parse(time.RFC3339, "2026-11-21T09:00:00Z")
	_, steps := p.Explain(Query{SearchSpaces: []string{"all"}, Called: "100", Complete: true, At: at, Zone: berlin})
	var text []string
	for _, s := range steps {
		text = append(text, s.Sentence)
	}
	if want := "a partition of all is closed by schedule hours (it is Saturday 2026-11-21 10:00 Europe/Berlin); 100 in day would match otherwise"; !strings.Contains(strings.Join(text, "\n"), want) {
		t.Errorf("no %q in\n%s", want, strings.Join(text, "\n"))
	}
}

func TestScheduleFaults(t *testing.T) {
	_, err := Compile(Rules{
		Schedules: []Schedule{
			{Name: "a", Periods: []Period{{From: 1440}}}, {Name: "b", Periods: []Period{{First: Date{0, 13, 1}}}}, {Name: "c"}, {Name: "c"},
			{Name: "d", Periods: []Period{{First: Date{2026, 1, 1}, Last: Date{0, 2, 1}}}}, {Name: "e", Periods: []Period{{Days: 1 << 7}}},
		},
		Partitions: []Partition{{Name: "p", Schedule: "nowhere"}},
	})
	for _, want := range []string{"schedule a: a period from minute 1440", "schedule b: 13-1 is no day", "schedule c: the name is empty or used twice", "schedule d: one end",
		"schedule e: days", `partition p: there is no schedule "nowhere"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no fault %q in\n%v", want, err)
		}
	}
}

func TestZoneIsItsName(t *testing.T) {
	rules := Rules{Partitions: []Partition{{Name: "p", Schedule: "s", Zone: zone(t, "Europe/Berlin")}, {Name: "q", Schedule: "s"}}}
	b, err := json.Marshal(rules)
	if err != nil || !strings.Contains(string(b), `"zone":"Europe/Berlin"`) || strings.Count(string(b), "zone") != 1 {
		t.Fatalf("%s, %v", b, err)
	}
	var back Rules
	if err := json.Unmarshal(b, &back); err != nil || back.Partitions[0].Zone.String() != "Europe/Berlin" || !back.Partitions[1].Zone.IsZero() {
		t.Errorf("%+v, %v", back, err)
	}
}
