package media

import (
	"time"

	"github.com/locktone/locktone/wire/sdp"
)

// Evidence is what one end can prove of one audio stream, from its own counters. Nothing in it comes from configuration
// or from what the other end says, except the suite, which both ends had to know for a packet to authenticate.
type Evidence struct {
	Local    string    `json:"local"`            // our address and port
	Remote   string    `json:"remote,omitempty"` // where packets came from last
	Codec    string    `json:"codec,omitempty"`
	Suite    sdp.Suite `json:"suite"` // in force; "" is plain RTP
	Rx       Counters  `json:"rx"`
	Tx       Counters  `json:"tx"`
	ToneHz   float64   `json:"tone_hz"`    // frequency heard over the last second, 0: none
	LevelDBm float64   `json:"level_dbm0"` // level heard over the last second, -99: silence
}

// Counters are of one direction of one stream since it was opened. Packets of other keys before a rekey count too.
type Counters struct {
	Packets       uint64    `json:"packets"`       // RTP packets accepted (rx) or sent (tx)
	Bytes         uint64    `json:"bytes"`         // of payload and header, without SRTP's additions
	Authenticated uint64    `json:"authenticated"` // of Packets, those protected by SRTP and verified (rx) or protected (tx)
	Failed        uint64    `json:"failed"`        // SRTP or SRTCP whose authentication failed: dropped
	Replayed      uint64    `json:"replayed"`      // SRTP or SRTCP seen before or too old: dropped
	PlainDropped  uint64    `json:"plain_dropped"` // plain RTP where SRTP was agreed: dropped
	WrongSource   uint64    `json:"wrong_source"`  // plain RTP from an address nobody signalled: dropped
	Malformed     uint64    `json:"malformed"`     // neither RTP nor RTCP: dropped
	Lost          int64     `json:"lost"`          // expected minus received, RFC 3550, 6.4.1
	OutOfOrder    uint64    `json:"out_of_order"`
	JitterMS      float64   `json:"jitter_ms"`
	SSRCs         int       `json:"ssrcs"` // different sources seen
	RTCP          uint64    `json:"rtcp"`  // RTCP packets accepted or sent
	Last          time.Time `json:"last"`  // of the last packet accepted or sent
}
