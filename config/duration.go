package config

import (
	"fmt"
	"time"
)

// Duration is a length of time, written with its unit: 500ms, 90s, 30m, 1h30m.
// Zero means the field's default.
type Duration time.Duration

// D returns the duration for use with package time.
func (d Duration) D() time.Duration { return time.Duration(d) }

// Or returns the duration, or def when it is zero.
func (d Duration) Or(def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return time.Duration(d)
}

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration with its unit.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a duration with its unit.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration with a unit, such as 500ms, 90s or 30m", b)
	}
	*d = Duration(v)
	return nil
}
