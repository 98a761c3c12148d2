package config

import (
	"slices"
	"testing"
)

func TestSchedulePeriod(t *testing.T) {
	for _, c := range []struct {
		p           SchedulePeriod
		days        DaySet
		from, to    int
		first, last Date
	}{
		{SchedulePeriod{}, 0, 0, 0, Date{}, Date{}},
		{SchedulePeriod{Days: "mon-fri", Hours: "08:00-17:30"}, 0b0111110, 480, 1050, Date{}, Date{}},
		{SchedulePeriod{Days: "Fri-Mon, wednesday", Hours: "22:00-06:00"}, 0b1101011, 1320, 360, Date{}, Date{}},
		{SchedulePeriod{Hours: "12:00-24:00", Dates: "12-24..01-02"}, 0, 720, 1440, Date{0, 12, 24}, Date{0, 1, 2}},
		{SchedulePeriod{Dates: "2028-02-29"}, 0, 0, 0, Date{2028, 2, 29}, Date{2028, 2, 29}},
	} {
		days, err1 := c.p.WeekDays()
		from, to, err2 := c.p.Minutes()
		first, last, err3 := c.p.Range()
		if err1 != nil || err2 != nil || err3 != nil || days != c.days || from != c.from || to != c.to || first != c.first || last != c.last {
			t.Errorf("%+v: days %07b, %d to %d, %v to %v; %v %v %v", c.p, days, from, to, first, last, err1, err2, err3)
		}
	}
	if _, _, err := (SchedulePeriod{Dates: "2026-02-29"}).Range(); err == nil {
		t.Error("2026-02-29 was accepted")
	}
}

func TestAlternateDigits(t *testing.T) {
	l := Line{Number: "5001", Partition: "phones", AlternateNumbers: []string{"+49301234XXXX", "9001", "8XX"}}
	if got := l.AlternateDigits(); !slices.Equal(got, []string{`\+493012345001`, "9001", "801"}) {
		t.Errorf("%q", got)
	}
	if l.AlternatesIn() != "phones" {
		t.Error(l.AlternatesIn())
	}
}
