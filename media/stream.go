package media

import (
	"context"
	"net/netip"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/relay"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/wire/sdp"
)

// Rate is the sampling rate of all PCM here, Hz: 16 bit linear, one channel.
const Rate = 8000

// FrameTime is the length of a frame; FrameSize its number of samples.
const (
	FrameTime = 20 * time.Millisecond
	FrameSize = 160
)

// Source gives PCM to be sent. ReadPCM fills dst and returns the number of samples; io.EOF after the last. It is called
// once per frame and must not block.
type Source interface {
	ReadPCM(dst []int16) (int, error)
}

// Sink takes PCM that was received, once per frame, with lost packets concealed. It must not block for long; an error
// ends the recording.
type Sink interface {
	WritePCM(src []int16) error
}

// Digit is one DTMF digit received as a telephone event.
type Digit struct {
	Key      byte          // '0' to '9', '*', '#', 'A' to 'D'
	Duration time.Duration // as the sender reported it
}

// StreamConfig is what a stream is opened with. The zero value listens on loopback, requires SRTP and speaks G.711.
type StreamConfig struct {
	Caps     desc.Caps      // its address and ports are filled in by the stream
	Bind     netip.Addr     // zero: 127.0.0.1
	Announce netip.Addr     // written into descriptions; zero: Bind
	Ports    *rtpport.Range // zero: rtpport.Default()
	Latching relay.Latching // for plain RTP
	Keys     desc.KeySource // nil: crypto/rand
}

// Stream is an RTP endpoint of ours: the media of an applet's leg or of a laboratory phone. It negotiates (Offer,
// Answer, Accept), sends what its source gives every 20 ms, receives into its sink, and counts. All methods are safe for
// concurrent use.
type Stream struct {
	*streamRunner
}

// OpenStream binds the ports and starts the stream; it sends nothing until an exchange is complete.
func OpenStream(cfg StreamConfig) (*Stream, error) { panic("not yet") }

// Offer is the description to send as an offer: the first, or a new one over what SetDirection and Rekey changed.
func (s *Stream) Offer() ([]byte, error) { panic("not yet") }

// Answer takes a received offer and gives the answer; the error is a *desc.Refusal when it cannot be accepted.
func (s *Stream) Answer(offer []byte) ([]byte, error) { panic("not yet") }

// Accept takes the answer to the last Offer; the error is a *desc.Refusal when it breaks a rule or the policy.
func (s *Stream) Accept(answer []byte) error { panic("not yet") }

// Rollback forgets an Offer that was refused: what was agreed before stays in force.
func (s *Stream) Rollback() { panic("not yet") }

// SetDirection is what the next Offer or Answer asks for: SendOnly or Inactive to hold, SendRecv to resume.
func (s *Stream) SetDirection(d sdp.Direction) { panic("not yet") }

// Rekey makes the next Offer or Answer bring new keys.
func (s *Stream) Rekey() { panic("not yet") }

// Negotiated is what flows now; ok is false before the first exchange is complete.
func (s *Stream) Negotiated() (n desc.Stream, ok bool) { panic("not yet") }

// Start plays src from the next frame on, in place of what was playing, and returns at once. done is closed when src has
// ended or was replaced. A nil src is silence.
func (s *Stream) Start(src Source) (done <-chan struct{}) { panic("not yet") }

// Play plays src to its end, or until ctx is done, whose error it returns.
func (s *Stream) Play(ctx context.Context, src Source) error { panic("not yet") }

// Record writes what is received into sink from the next frame on; nil stops. The sink is not closed.
func (s *Stream) Record(sink Sink) { panic("not yet") }

// SendDigits queues DTMF: '0'-'9', '*', '#', 'A'-'D', and ',' for a pause of half a second; 100 ms each with 100 ms between.
// done is closed when all are sent.
func (s *Stream) SendDigits(digits string) (done <-chan struct{}, err error) { panic("not yet") }

// Digits delivers what was received. A reader that falls behind by 64 loses digits.
func (s *Stream) Digits() <-chan Digit { panic("not yet") }

// Evidence is a snapshot of the counters and of what is heard.
func (s *Stream) Evidence() Evidence { panic("not yet") }

// Addr is our RTP address and port as announced.
func (s *Stream) Addr() netip.AddrPort { panic("not yet") }

// Done is closed when the stream is closed.
func (s *Stream) Done() <-chan struct{} { panic("not yet") }

// Close releases ports and goroutines; channels returned by Start and SendDigits are closed.
func (s *Stream) Close() error { panic("not yet") }

type streamRunner struct{}
