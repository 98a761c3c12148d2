package media

import (
	"math"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/latch"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// TestWidebandCall: two streams that know G.722 take it and carry 5 kHz; with one that does not they fall back to what both
// know; a source and a sink of 8,000 samples a second go with both.
func TestWidebandCall(t *testing.T) {
	for _, x := range []struct {
		name   string
		ours   []sdp.Codec
		theirs []sdp.Codec
		codec  string
		source Source
		hz     float64
	}{
		{"wide to wide", desc.Wideband(), desc.Wideband(), "G722", newWideSine(5000), 5000},
		{"wide prefers, the other has less", desc.Wideband(), desc.G711(), "PCMU", newWideSine(2000), 2000},
		{"the offer's order counts", desc.Narrowband(), desc.Wideband(), "PCMU", newWideSine(2000), 2000},
		{"narrow source in a wide call", desc.Wideband(), desc.Wideband(), "G722", tone.NewSine(1000, -10), 1000},
		{"A-law alone", desc.G711()[1:], desc.Wideband(), "PCMA", tone.NewSine(1000, -10), 1000},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			onClock(t, func(t *testing.T, s *site) {
				a, b := s.open(desc.Caps{Codecs: x.ours}), s.open(desc.Caps{Codecs: x.theirs})
				exchange(t, a, b)
				var heard sharedDetector
				b.Record(&heard) // a sink of 8,000 samples a second
				a.Start(x.source)
				eventually(t, "the tone is heard", func() bool { return hears(b, x.hz) })
				if e := b.Evidence(); e.Codec != x.codec {
					t.Errorf("codec %s", e.Codec)
				}
				eventually(t, "the narrow sink hears what it can", func() bool {
					hz, level := heard.result()
					return x.hz < 4000 && math.Abs(hz-x.hz) < x.hz/100 || x.hz > 4000 && level < -40
				})
			})
		})
	}
}

// sharedDetector is a sink that is asked while it is written.
type sharedDetector struct {
	mu sync.Mutex
	d  tone.Detector
}

func (s *sharedDetector) WritePCM(x []int16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d.WritePCM(x)
}

func (s *sharedDetector) result() (hz, level float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.d.Result()
}

// TestComfortNoise: what is heard after a packet of comfort noise is noise of its level, until speech comes again.
func TestComfortNoise(t *testing.T) {
	c, err := newCore(latch.Signalled)
	if err != nil {
		t.Fatal(err)
	}
	now, peer := time.Now(), netip.MustParseAddrPort("192.0.2.1:4000")
	n := desc.Stream{Recv: desc.Wideband(), Remote: sdp.ConnOf(peer.Addr()), RemotePort: peer.Port(), Direction: sdp.SendRecv}
	if err := c.apply(now, n); err != nil {
		t.Fatal(err)
	}
	h := rtpstat.Header{SSRC: 1}
	voice := make([]byte, FrameSize) // mu-law's loudest negative value: certainly not silence
	packet := func(pt uint8, payload []byte) {
		h.PT = pt
		c.receive(now, append(h.Append(nil), payload...), peer)
		h.Seq++
		h.Stamp += FrameSize
		now = now.Add(FrameTime)
	}
	level := func(frames int) float64 {
		energy := 0.0
		for range frames {
			for _, v := range c.listen() {
				energy += float64(v) * float64(v)
			}
		}
		return 20 * math.Log10(math.Sqrt(energy/float64(frames*FrameSize))/32768+1e-9)
	}
	for range 5 {
		packet(0, voice)
		level(1)
	}
	packet(13, []byte{60})
	level(8) // what is in the jitter buffer, and its end
	if got := level(50); math.Abs(got+60) > 1 {
		t.Errorf("noise of %.1f dBov, not -60", got)
	}
	packet(13, []byte{45, 1, 2, 3}) // with coefficients of a spectrum
	if got := level(50); math.Abs(got+45) > 1 {
		t.Errorf("noise of %.1f dBov, not -45", got)
	}
	h.Stamp += 100 * FrameSize
	for range 6 {
		packet(0, voice)
	}
	level(3)
	if got := level(3); got < -6 {
		t.Errorf("speech after noise comes at %.1f dBov", got)
	}
	level(20)
	if got := level(10); got > -150 {
		t.Errorf("noise of %.1f dBov without comfort noise", got)
	}
	packet(13, nil) // a packet that says nothing changes nothing
	level(1)
}
