package config

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Schedule says when the partitions that name it are searched: while one of
// its open periods runs and none of its closed ones does. Without an open
// period it is open whenever it is not closed.
type Schedule struct {
	// Name of the schedule.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Office hours, holidays. Times are those on the clock on the wall, in summer and winter.
	Periods []SchedulePeriod `yaml:"periods" json:"periods"`
}

// SchedulePeriod is a time of day on certain days.
type SchedulePeriod struct {
	// Days of the week on which the period begins: mon-fri, or sat, sun. Left out: every day.
	Days string `yaml:"days" json:"days,omitempty"`
	// Times of day: 08:00-17:30. The end is not part of the period; an end at or before the beginning is on the next day: 22:00-06:00. Left out: the whole day.
	Hours string `yaml:"hours" json:"hours,omitempty"`
	// A date or the first and last of several, with the year or for every year: 2026-12-24, 12-24..12-26. Left out: always.
	Dates string `yaml:"dates" json:"dates,omitempty"`
	// An exception: the schedule is closed then, whatever its other periods say.
	Closed bool `yaml:"closed" json:"closed,omitempty"`
}

// DaySet are days of the week, a bit each: 1<<time.Sunday and so on. None of
// them means every day.
type DaySet uint8

var dayNames = [...]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// WeekDays reads Days.
func (p SchedulePeriod) WeekDays() (set DaySet, err error) {
	for _, part := range strings.FieldsFunc(strings.ToLower(p.Days), func(r rune) bool { return r == ',' || r == ' ' }) {
		first, last, span := strings.Cut(part, "-")
		from, to := dayOf(first), dayOf(last)
		if !span {
			to = from
		}
		if from < 0 || to < 0 {
			return 0, fmt.Errorf("%q is no day of the week", part)
		}
		for d := from; ; d = (d + 1) % 7 {
			set |= 1 << d
			if d == to {
				break
			}
		}
	}
	return set, nil
}

func dayOf(name string) int {
	for i, n := range dayNames {
		if name == n || len(name) > 3 && name == strings.ToLower(time.Weekday(i).String()) {
			return i
		}
	}
	return -1
}

var hoursShape = regexp.MustCompile(`^(\d\d):(\d\d)-(\d\d):(\d\d)$`)

// Minutes reads Hours: minutes since midnight, both zero for the whole day.
func (p SchedulePeriod) Minutes() (from, to int, err error) {
	if p.Hours == "" {
		return 0, 0, nil
	}
	m := hoursShape.FindStringSubmatch(p.Hours)
	if m == nil {
		return 0, 0, fmt.Errorf("%q is not two times of day", p.Hours)
	}
	n := make([]int, 4)
	for i := range n {
		n[i], _ = strconv.Atoi(m[i+1]) // digits, says the shape
	}
	from, to = n[0]*60+n[1], n[2]*60+n[3]
	if n[1] > 59 || n[3] > 59 || from >= 24*60 || to > 24*60 {
		return 0, 0, fmt.Errorf("%q is not two times of day", p.Hours)
	}
	return from, to, nil
}

// Date is a day of a year, or with Year zero of every year. The zero value is no date.
type Date struct{ Year, Month, Day int }

var dateShape = regexp.MustCompile(`^(?:(\d{4})-)?(\d\d)-(\d\d)$`)

func parseDate(s string) (d Date, err error) {
	m := dateShape.FindStringSubmatch(s)
	if m == nil {
		return d, fmt.Errorf("%q is not a date", s)
	}
	d.Year, _ = strconv.Atoi(cmp.Or(m[1], "0"))
	d.Month, _ = strconv.Atoi(m[2])
	d.Day, _ = strconv.Atoi(m[3])
	year := cmp.Or(d.Year, 2024) // a leap year: 02-29 is a day of some years
	if t := time.Date(year, time.Month(d.Month), d.Day, 0, 0, 0, 0, time.UTC); t.Day() != d.Day || int(t.Month()) != d.Month {
		return d, fmt.Errorf("there is no %s", s)
	}
	return d, nil
}

// Range reads Dates.
func (p SchedulePeriod) Range() (first, last Date, err error) {
	if p.Dates == "" {
		return first, last, nil
	}
	a, b, span := strings.Cut(p.Dates, "..")
	if !span {
		b = a
	}
	if first, err = parseDate(strings.TrimSpace(a)); err != nil {
		return first, last, err
	}
	if last, err = parseDate(strings.TrimSpace(b)); err != nil {
		return first, last, err
	}
	switch {
	case (first.Year == 0) != (last.Year == 0):
		return first, last, fmt.Errorf("%q has a year at one end only", p.Dates)
	case first.Year > 0 && (first.Year*10000+first.Month*100+first.Day) > (last.Year*10000+last.Month*100+last.Day):
		return first, last, fmt.Errorf("%q ends before it begins", p.Dates)
	}
	return first, last, nil
}

func (c *checker) schedules() {
	eachOf(c, "schedules", c.site.Schedules, func(s Schedule) string { return s.Name }, func(path string, s Schedule) {
		if len(s.Periods) == 0 {
			c.at(path+".periods", "is empty", "expected at least one period")
		}
		for i, p := range s.Periods {
			sub := fmt.Sprintf("%s.periods[%d]", path, i)
			if _, err := p.WeekDays(); err != nil {
				c.at(sub+".days", err.Error(), "expected mon, tue, wed, thu, fri, sat, sun, or spans of them: mon-fri")
			}
			if _, _, err := p.Minutes(); err != nil {
				c.at(sub+".hours", err.Error(), "expected for instance 08:00-17:30 or 22:00-06:00")
			}
			if _, _, err := p.Range(); err != nil {
				c.at(sub+".dates", err.Error(), "expected for instance 2026-12-24, or 12-24..12-26 for every year")
			}
		}
	})
}
