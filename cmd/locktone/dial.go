package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/service/admin"
)

// dialCmd is `locktone dial FROM NUMBER`.
type dialCmd struct {
	From    string `arg:"" help:"Who dials: a device, the number of a line (NUMBER@PARTITION where it is in several), or trunk:NAME."`
	Number  string `arg:"" help:"What is dialled."`
	At      string `help:"As if it were then: 2026-12-24 09:00, mon 09:00 (the next Monday), 09:00 (today), or RFC 3339." placeholder:"TIME"`
	Calling string `help:"Number that calls, on a trunk." placeholder:"NUMBER"`
}

// Run explains.
func (c *dialCmd) Run(a *app) error {
	q := url.Values{"from": {c.From}, "number": {c.Number}}
	if c.Calling != "" {
		q.Set("calling", c.Calling)
	}
	if c.At != "" {
		at, err := parseAt(c.At, time.Now())
		if err != nil {
			return err
		}
		q.Set("at", at.Format(time.RFC3339))
	}
	var list admin.Rows[bus.DialAnswer]
	if err := a.api.Do(a.ctx, http.MethodGet, "/v1/dial?"+q.Encode(), nil, &list); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	for _, r := range list.Rows {
		if len(list.Rows) > 1 {
			fmt.Fprintf(a.out, "node %s:\n", r.Node)
		}
		fmt.Fprint(a.out, r.Text)
	}
	a.problems(list.Problems)
	return nil
}

// parseAt reads a time as people say it, on the clock of this machine.
func parseAt(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02 15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	word, clock, two := strings.Cut(strings.ToLower(text), " ")
	if !two {
		word, clock = "", word
	}
	hour, err := time.Parse("15:04", strings.TrimSpace(clock))
	for days := 0; err == nil && days <= 7; days++ {
		day := time.Date(now.Year(), now.Month(), now.Day()+days, hour.Hour(), hour.Minute(), 0, 0, now.Location())
		name := strings.ToLower(day.Weekday().String())
		if word == "" || len(word) >= 3 && strings.HasPrefix(name, word) && !day.Before(now) {
			return day, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: expected for instance 2026-12-24 09:00, mon 09:00, 09:00 or 2026-12-24T09:00:00+01:00", text)
}
