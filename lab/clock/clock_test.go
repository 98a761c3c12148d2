package clock

import (
	"testing"
	"time"
)

// TestJumped: the wall jumps, what has passed does not.
func TestJumped(t *testing.T) {
	for _, by := range []time.Duration{time.Hour, -time.Hour, 10 * 365 * 24 * time.Hour} {
		now := time.Now()
		then := Jumped(now, by)
		if d := then.Sub(now); d != 0 {
			t.Errorf("%s: monotonic time moved by %s", by, d)
		}
		if d := then.Round(0).Sub(now.Round(0)); d != by {
			t.Errorf("%s: the wall moved by %s", by, d)
		}
		if then.Nanosecond() != now.Nanosecond() || !then.Add(time.Second).After(then) {
			t.Errorf("%s: %s is no time", by, then)
		}
	}
	if wall := time.Unix(1000, 5); !Jumped(wall, time.Hour).Equal(wall.Add(time.Hour)) {
		t.Error("a time of the wall alone")
	}
}
