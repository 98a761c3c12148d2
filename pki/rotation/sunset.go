package rotation

import "time"

// Sunset is a day from which something is no longer accepted, by somebody's published decision.
type Sunset struct {
	Name   string
	At     time.Time
	Source string
}

// Sunsets returns the table in force.
func Sunsets() []Sunset { return nil }
