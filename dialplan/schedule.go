package dialplan

import (
	"fmt"
	"time"
)

// A Schedule says when a partition is searched: while one of its open periods runs and none of its closed ones does. Closed periods
// are holidays and other exceptions; a schedule that has nothing else is open the rest of the time.
//
// Periods go by the clock on the wall of the zone: 08:00 is eight o'clock in summer and in winter. The hour that a clock skips in
// spring is in no period, the hour that it shows twice in autumn counts twice.
type Schedule struct {
	Name    string   `json:"name"`
	Periods []Period `json:"periods"`
}

// A Period is a time of day on certain days.
type Period struct {
	// Days are the days of the week on which the period begins; none of them means every day.
	Days Days `json:"days,omitempty"`
	// From and To are minutes since midnight: From is in the period, To is not. Both zero: the whole day. To at or before From: the
	// period ends on the next day.
	From int `json:"from,omitempty"`
	To   int `json:"to,omitempty"`
	// First and Last are the days between which the period begins, both included; zero leaves that end open.
	First Date `json:"first,omitzero"`
	Last  Date `json:"last,omitzero"`
	// Closed makes it an exception.
	Closed bool `json:"closed,omitempty"`
}

// Days are days of the week, a bit each: 1<<time.Sunday and so on.
type Days uint8

// A Date is a day. Year zero means every year: a range whose Last is then before its First goes over the turn of the year.
type Date struct {
	Year  int `json:"year,omitempty"`
	Month int `json:"month"`
	Day   int `json:"day"`
}

// A Zone is a time zone of the IANA's list. It is written as its name.
type Zone struct{ *time.Location }

// MarshalText writes the name, nothing for no zone.
func (z Zone) MarshalText() ([]byte, error) {
	if z.Location == nil {
		return nil, nil
	}
	return []byte(z.Location.String()), nil
}

// UnmarshalText finds the zone by its name.
func (z *Zone) UnmarshalText(b []byte) (err error) {
	z.Location = nil
	if len(b) > 0 {
		z.Location, err = time.LoadLocation(string(b))
	}
	return err
}

// IsZero says that no zone is meant.
func (z Zone) IsZero() bool { return z.Location == nil }

// or is the first zone there is, UTC without any.
func (z Zone) or(other Zone) *time.Location {
	switch {
	case z.Location != nil:
		return z.Location
	case other.Location != nil:
		return other.Location
	}
	return time.UTC
}

// Open says whether the schedule is open at a time, which is read in its own location.
func (s *Schedule) Open(at time.Time) bool {
	open, only := false, true
	for i := range s.Periods {
		p := &s.Periods[i]
		switch {
		case p.Closed && p.covers(at):
			return false
		case !p.Closed:
			only, open = false, open || p.covers(at)
		}
	}
	return open || only
}

func (p *Period) covers(at time.Time) bool {
	minute := at.Hour()*60 + at.Minute()
	switch {
	case p.From == 0 && p.To == 0:
		return p.begins(at)
	case p.From < p.To:
		return minute >= p.From && minute < p.To && p.begins(at)
	case minute >= p.From:
		return p.begins(at)
	}
	// What is left of a period that began the day before. Noon exists on every day of every zone.
	return minute < p.To && p.begins(time.Date(at.Year(), at.Month(), at.Day()-1, 12, 0, 0, 0, at.Location()))
}

// begins says whether the period begins on the day of a time.
func (p *Period) begins(day time.Time) bool {
	if p.Days != 0 && p.Days&(1<<day.Weekday()) == 0 {
		return false
	}
	year, month, d := day.Date()
	after, before := p.First.compare(year, int(month), d) <= 0, p.Last.compare(year, int(month), d) >= 0
	switch {
	case p.First.zero():
		return p.Last.zero() || before
	case p.Last.zero():
		return after
	case p.First.Year == 0 && p.Last.Year == 0 && p.First.compare(0, p.Last.Month, p.Last.Day) > 0:
		return after || before
	}
	return after && before
}

func (d Date) zero() bool { return d == Date{} }

// compare is negative when the date is before the day, positive when it is after it.
func (d Date) compare(year, month, day int) int {
	if d.Year == 0 {
		year = 0
	}
	return (d.Year-year)*512 + (d.Month-month)*32 + d.Day - day
}

func (p *Period) validate() error {
	const day = 24 * 60
	switch {
	case p.From < 0 || p.From >= day || p.To < 0 || p.To > day:
		return fmt.Errorf("a period from minute %d to %d; expected 0 to %d", p.From, p.To, day)
	case p.Days >= 1<<7:
		return fmt.Errorf("days %#x; expected seven bits", p.Days)
	case !p.First.zero() && !p.Last.zero() && (p.First.Year == 0) != (p.Last.Year == 0):
		return fmt.Errorf("one end of the dates has a year and the other has none; expected both or neither")
	}
	for _, d := range []Date{p.First, p.Last} {
		if !d.zero() && (d.Month < 1 || d.Month > 12 || d.Day < 1 || d.Day > 31) {
			return fmt.Errorf("%d-%d is no day of a year", d.Month, d.Day)
		}
	}
	return nil
}

// A Partition is one that has a schedule; the others need not be listed.
type Partition struct {
	Name     string `json:"name"`
	Schedule string `json:"schedule"`
	// Zone is where the schedule's clock hangs; without one it is the caller's (Query.Zone).
	Zone Zone `json:"zone,omitzero"`
}

// clocked is a partition with its schedule.
type clocked struct {
	schedule *Schedule
	zone     Zone
}

// open says whether a partition is searched at the time of a query.
func (l *layer) open(trie int, q *Query) bool {
	if len(l.clocked) == 0 {
		return true
	}
	c, ok := l.clocked[trie]
	return !ok || c.schedule.Open(q.At.In(c.zone.or(q.Zone)))
}
