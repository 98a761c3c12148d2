package main

import (
	"testing"
	"time"
)

func TestParseAt(t *testing.T) {
	now := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC) // a Friday
	for text, want := range map[string]string{
		"2026-12-24 09:00":          "2026-12-24T09:00:00Z",
		"2026-12-24T09:00:00+01:00": "2026-12-24T09:00:00+01:00",
		"mon 09:00":                 "2026-11-23T09:00:00Z",
		"Friday 11:00":              "2026-11-20T11:00:00Z",
		"fri 09:00":                 "2026-11-27T09:00:00Z", // today's is over
		"09:00":                     "2026-11-20T09:00:00Z",
		"":                          "",
		"someday 09:00":             "",
		"mo 09:00":                  "",
		"25:00":                     "",
	} {
		got, err := parseAt(text, now)
		if (err == nil) != (want != "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %s, %v; want %q", text, got.Format(time.RFC3339), err, want)
		}
	}
}
