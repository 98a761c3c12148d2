package main

import (
	"testing"
	"time"
)

// TestClock: what is near is told by its time of day, what is not by its date too, in the past and to come.
func TestClock(t *testing.T) {
	for ahead, layout := range map[time.Duration]string{-time.Hour: "15:04:05", time.Hour: "15:04:05", -20 * time.Hour: "2006-01-02 15:04", 20 * time.Hour: "2006-01-02 15:04"} {
		at := time.Now().Add(ahead)
		if got, want := clock(at), at.Local().Format(layout); got != want {
			t.Errorf("%v from now: %q, want %q", ahead, got, want)
		}
	}
	if clock(time.Time{}) != "" {
		t.Error("no time has no text")
	}
}
