package desc

import (
	"fmt"

	"github.com/locktone/locktone/wire/sdp"
)

// Security is an endpoint's or a leg's policy for media.
type Security uint8

// The policies. The zero value is the strictest.
const (
	Required  Security = iota // SRTP or no call
	Optional                  // SRTP when the other side can: offered as RTP/AVP with a=crypto, answered as offered
	Forbidden                 // plain RTP only: the device's profile has no encryption
)

// String is the word configuration uses.
func (s Security) String() string {
	return [...]string{"required", "optional", "forbidden"}[min(s, Forbidden)]
}

// KeySource makes fresh keys. media.CryptoKeys is the one of the product; tests count.
type KeySource interface {
	Key(s sdp.Suite) (sdp.Key, error)
}

// Caps is what an endpoint can and wants. The zero value, with an address, is a good value: G.711 both laws, telephone
// events, every suite, SRTP required, 20 ms.
type Caps struct {
	Codecs   []sdp.Codec // in order of preference
	Suites   []sdp.Suite // in order of preference
	Security Security
	Ptime    int // milliseconds
	Conn     sdp.Conn
	Port     uint16 // RTP
	RTCPPort uint16 // 0: Port + 1
}

// G711 is the default list of codecs: PCMU, PCMA and telephone-event with the DTMF events.
func G711() []sdp.Codec {
	return []sdp.Codec{
		{PT: 0, Name: "PCMU", Rate: 8000}, {PT: 8, Name: "PCMA", Rate: 8000},
		{PT: 101, Name: sdp.TelephoneEvent, Rate: 8000, Fmtp: "0-16"},
	}
}

// Names of codecs beside those of G.711.
const (
	G722         = "G722"
	ComfortNoise = "CN"
)

// Wideband is the list of everything that streams of ours speak, the best sound first: G.722, then G.711, telephone-event
// and comfort noise. RFC 3551, 6: static payload types 9 and 13; the clock rate of G.722 is written 8,000 (4.5.2).
func Wideband() []sdp.Codec {
	return append(append([]sdp.Codec{{PT: 9, Name: G722, Rate: 8000}}, G711()...), sdp.Codec{PT: 13, Name: ComfortNoise, Rate: 8000})
}

// Narrowband is Wideband with G.711 first and without comfort noise: for music and tones of 3.4 kHz, which gain nothing by
// more, and where the peer has nothing to say.
func Narrowband() []sdp.Codec {
	g711 := G711()
	return append(g711[:2:2], sdp.Codec{PT: 9, Name: G722, Rate: 8000}, g711[2])
}

func (c Caps) codecs() []sdp.Codec {
	if len(c.Codecs) == 0 {
		return G711()
	}
	return c.Codecs
}

func (c Caps) suites() []sdp.Suite {
	if len(c.Suites) == 0 {
		return sdp.Suites()
	}
	return c.Suites
}

// Stream is what an offer and its answer agreed on for one m= line, seen from one side.
type Stream struct {
	Index      int           // of the m= line
	Send       sdp.Codec     // encoding and payload type we send with; Name is "" when there is none
	SendEvent  sdp.Codec     // telephone-event towards the peer; Name is "" when the peer takes none
	Recv       []sdp.Codec   // what we said we understand
	Direction  sdp.Direction // ours: after the peer's wish
	Held       bool          // the peer put us on hold
	Ptime      int           // milliseconds, what the peer wants to receive
	Remote     sdp.Conn
	RemotePort uint16
	RTCP       sdp.Conn // where the peer takes RTCP
	RTCPPort   uint16
	Tx, Rx     sdp.Crypto // our key and the peer's; the zero values mean plain RTP
}

// Secure reports whether the stream is SRTP.
func (s Stream) Secure() bool { return !s.Tx.IsZero() && !s.Rx.IsZero() }

// Code says which rule refused a description, as the warn-code of a SIP Warning header. RFC 3261, 20.43.
type Code int

// The codes.
const (
	IncompatibleAddress   Code = 301 // network address formats
	IncompatibleTransport Code = 302 // RTP against SRTP, or an unknown transport
	MediaNotAvailable     Code = 304 // none of the media types
	IncompatibleFormat    Code = 305 // no codec in common
	Miscellaneous         Code = 399
)

// Refusal is why a description is not acceptable. A driver answers an INVITE with Status and Warning.
type Refusal struct {
	Code Code
	Text string // one sentence for the person who reads the trace; no key material
}

// Error is Text.
func (r *Refusal) Error() string { return r.Text }

// Status is the SIP response code: 488 Not Acceptable Here.
func (r *Refusal) Status() int { return 488 }

func refuse(code Code, format string, args ...any) *Refusal {
	return &Refusal{code, fmt.Sprintf(format, args...)}
}

// Endpoint is one party's side of the offer/answer exchanges of a dialog with one audio stream. It owns what was sent
// and received last; it is not safe for use by several goroutines.
type Endpoint struct {
	caps   Caps
	keys   KeySource
	origin sdp.Origin
	want   sdp.Direction

	own      map[sdp.Suite]sdp.Crypto // our key for every suite we ever offered or answered, by suite
	local    *sdp.Session             // in force, ours
	remote   *sdp.Session             // in force, the peer's
	offered  *sdp.Session             // our offer that has no answer yet
	answered *sdp.Session             // our last offer, answered, while no other exchange has begun
	sent     *sdp.Session             // the last description sent, whatever became of it
	stream   Stream
	active   bool
	recode   bool // the codecs were set anew: the next offer does not repeat those in force
}

// NewEndpoint makes an endpoint whose descriptions carry the session id.
func NewEndpoint(caps Caps, id uint64, keys KeySource) *Endpoint {
	return &Endpoint{caps: caps, keys: keys, want: sdp.SendRecv, own: map[sdp.Suite]sdp.Crypto{},
		origin: sdp.Origin{Username: "-", ID: id, Version: id, Conn: caps.Conn}}
}

// Stream is what flows now; ok is false before the first answer and when the stream was refused.
func (e *Endpoint) Stream() (s Stream, ok bool) { return e.stream, e.active }

// Local is our description in force, nil before the first answer.
func (e *Endpoint) Local() *sdp.Session { return e.local }

// Pending reports whether an offer of ours waits for its answer.
func (e *Endpoint) Pending() bool { return e.offered != nil }

// SetDirection says what we want from the next offer or answer on: SendOnly or Inactive to hold, SendRecv to resume.
func (e *Endpoint) SetDirection(d sdp.Direction) { e.want = d }

// Rekey throws our keys away: the next offer or answer brings new ones.
func (e *Endpoint) Rekey() { clear(e.own) }
