package media

import (
	"crypto/rand"

	"github.com/locktone/locktone/media/rtpstat"
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
	Proof    Proof     `json:"proof"`      // what the last packets showed
	Why      string    `json:"why,omitempty"`
}

// Counters are of one direction of one stream since it was opened.
type Counters = rtpstat.Counters

// CryptoKeys makes keys from the system's randomness.
type CryptoKeys struct{}

// Key reads a fresh key.
func (CryptoKeys) Key(s sdp.Suite) (sdp.Key, error) { return sdp.GenerateKey(rand.Reader, s) }
