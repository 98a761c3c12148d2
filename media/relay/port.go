package relay

import "github.com/locktone/locktone/media/latch"

// Latching is the policy for sources of plain RTP.
type Latching = latch.Policy

// The policies for plain RTP; the zero value is the strict one.
const (
	Signalled = latch.Signalled
	SameHost  = latch.SameHost
	FirstSeen = latch.FirstSeen
)

// Engine owns the threads that forward.
type Engine struct{}
