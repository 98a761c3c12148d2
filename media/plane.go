package media

import (
	"net/netip"
	"sync"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/relay"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/wire/sdp"
)

// LegID names a leg to the plane. It is the call engine's own number for the leg, unique within the node and service.
type LegID uint64

// Ref stands for one received session description in the plane's table. The zero value is "no description".
type Ref uint64

// Kind is the part a description plays in an offer/answer exchange.
type Kind uint8

// The kinds.
const (
	None Kind = iota
	Offer
	Answer
)

// String is the word.
func (k Kind) String() string { return [...]string{"none", "offer", "answer"}[min(k, Answer)] }

// Treatment says how media goes between two legs. The numbers are those of the call engine's treatments.
type Treatment uint8

// The treatments.
const (
	Direct   Treatment = iota // endpoint to endpoint: the description is passed through, keys included
	Anchored                  // through ports of ours
	Sourced                   // the leg talks with a source of ours: music, tone, silence
	Auto                      // Direct where policies and security of both legs allow it, otherwise Anchored
)

// String is the word.
func (t Treatment) String() string {
	return [...]string{"direct", "anchored", "source", "auto"}[min(t, Auto)]
}

// Wish is what a description must be; the numbers are those of the call engine's securities.
type Wish uint8

// The wishes. A leg's Profile is in force whatever the wish.
const (
	AsIs     Wish = iota
	WantRTP       // keys taken out
	WantSRTP      // with keys, or refused
	WantAny       // SRTP where possible
)

// Order says which description Make is to make. The call engine's Media value has the same fields with the same numbers.
type Order struct {
	Kind      Kind // Offer or Answer; None takes what the leg's state asks for
	Treatment Treatment
	Ref       Ref           // the description passed on; zero with Anchored: an offer of our own (early offer)
	Peer      LegID         // the leg on the far side (Anchored; also where Ref is zero)
	Source    string        // with Sourced: "" (silence), "music", "ringback", "busy", "tone:1000" (Hz)
	Dir       sdp.Direction // at most this, from our point of view; SendRecv leaves the direction as it is
	Security  Wish
}

// Profile is what the plane must know of a leg's device or trunk. The zero value: SRTP required, direct media, every
// codec.
type Profile struct {
	Security desc.Security  // of the device or trunk security profile
	Suites   []sdp.Suite    // allowed crypto suites, nil: all
	Codecs   []string       // allowed encodings by name, nil: all. telephone-event is always allowed
	Anchor   bool           // media of this leg always goes through us
	Latching relay.Latching // how the media source is found when anchored; the zero value is the strict one
}

// Summary is what the call engine and the trace may know of a description: no keys, no text.
type Summary struct {
	Kind      Kind           `json:"-"`
	Direction sdp.Direction  `json:"direction"`      // of the audio stream, as its sender wrote it
	Hold      bool           `json:"hold,omitempty"` // the sender wants to hear nothing: sendonly, inactive or 0.0.0.0
	Security  Protection     `json:"security"`       // what the description offers or agrees to
	Suites    []sdp.Suite    `json:"suites,omitempty"`
	Codecs    []string       `json:"codecs,omitempty"` // of the audio stream, in order
	Addr      netip.AddrPort `json:"addr"`             // where its sender wants audio; invalid for a name
	Media     []string       `json:"media"`            // types of the accepted m= lines
}

// Protection says how media is, or would be, protected.
type Protection uint8

// The protections.
const (
	Plain         Protection = iota // RTP
	Opportunistic                   // RTP/AVP with a=crypto: SRTP if the other side takes it
	Protected                       // SRTP
)

// String is the word.
func (p Protection) String() string {
	return [...]string{"rtp", "optional", "srtp"}[min(p, Protected)]
}

// MarshalText is String, for JSON.
func (p Protection) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// NeedsAnchor is the error of Make with Direct when the two legs cannot meet: the text says why.
type NeedsAnchor struct{ Why string }

// Error says why.
func (e *NeedsAnchor) Error() string { return "media: cannot go direct: " + e.Why }

// PlaneConfig is where the plane's own ports are. The zero value listens on loopback.
type PlaneConfig struct {
	Bind     netip.Addr     // address of our media sockets; zero: 127.0.0.1
	Announce netip.Addr     // address written into descriptions; zero: Bind
	Ports    *rtpport.Range // zero: rtpport.Default()
	Relay    *relay.Engine  // shared forwarding engine; nil: the plane starts its own when first needed
	Keys     desc.KeySource // nil: crypto/rand
}

// Plane is a node's table of session descriptions and what hangs on them. It is safe for concurrent use; legs are
// independent of each other except through Render. It owns every relay port and source it makes and releases them with
// the leg.
type Plane struct {
	cfg  PlaneConfig
	mu   sync.Mutex
	legs map[LegID]*leg
	refs map[Ref]*entry
	next Ref
}
