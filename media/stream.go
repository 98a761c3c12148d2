package media

import (
	"net/netip"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/relay"
	"github.com/locktone/locktone/media/rtpport"
)

// Rate is the sampling rate of all PCM here whose source or sink does not say otherwise (Rated), Hz: 16 bit linear, one channel.
const Rate = 8000

// FrameTime is the length of a frame; FrameSize its number of samples at Rate.
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
	// Watch is told within two seconds what the packets received show, whenever that changes; Report.Leg is zero. It must not
	// block nor close the stream. Nil: nobody is told, Evidence has it all the same.
	Watch func(Report)
}
