package transaction

import "time"

// Instant is a point in time as a monotonic duration since an origin the runner chose. Zero means "never" as a deadline.
type Instant time.Duration

// Add is the instant d later.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d) }
