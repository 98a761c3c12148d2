package media

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/dtmf"
	"github.com/locktone/locktone/media/flow"
	"github.com/locktone/locktone/media/g722"
	"github.com/locktone/locktone/media/jitter"
	"github.com/locktone/locktone/media/latch"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/srtp"
)

// core is a stream without sockets and clock: packets and ticks go in, packets, samples and digits come out. It is for
// one goroutine at a time.
//
//	received RTP --> unprotect --> account --+--> decode --> jitter buffer --tick--> sink, detector
//	                                         +--> telephone events --> digits
//	source --tick--> encode or telephone event --> protect --> RTP to send
type core struct {
	n      desc.Stream
	active bool

	in     flow.Inbound
	out    flow.Outbound
	ssrc   uint32
	cname  string
	seq    uint16
	stamp  uint32
	marker bool // the next audio packet begins a talkspurt

	source  Source
	onEnd   chan struct{} // closed when source ends or is replaced
	digits  dtmf.Sender
	onSent  []chan struct{}
	heard   dtmf.Receiver
	tones   dtmf.Tones    // in place of events where the peer takes none
	inband  dtmf.Detector // of the peer's tones, where it sends no events
	pair    [FrameSize]int16
	onDigit func(Digit)

	buffer   jitter.Buffer
	detector tone.Detector
	payloads uint32 // octets of payload sent, for SR

	srReceived time.Time // arrival of the last SR
	srMiddle   uint32    // middle 32 bits of its NTP time
	nextReport time.Time

	watch    watch
	nextLook time.Time

	ears   ears
	mouth  mouth
	noise  noise
	mixed  []int16 // in place of the source: what a mixer gives to be sent in this frame
	pcm    [2 * FrameSize]int16
	frame  [flow.MaxPacket + srtp.Overhead]byte
	sample [2 * flow.MaxPacket]int16
}

func newCore(policy latch.Policy) (*core, error) {
	var b [22]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	c := &core{in: flow.NewInbound(policy), marker: true}
	c.ssrc = binary.BigEndian.Uint32(b[:])
	// RFC 3711, 3.3.1: the first sequence number lies in the lower half, so that a loss at the beginning cannot make
	// receiver and sender differ in the roll-over count.
	c.seq = binary.BigEndian.Uint16(b[4:]) & 0x7fff
	c.stamp = binary.BigEndian.Uint32(b[6:])
	// RFC 7022, 4.2: a short-term persistent name of 96 random bits tells nothing of who or where we are.
	c.cname = base64.StdEncoding.EncodeToString(b[10:])
	return c, nil
}

// apply takes what an exchange has agreed. Contexts stay while their key stays: roll-over counter and replay window
// belong to the key, not to the exchange.
func (c *core) apply(now time.Time, n desc.Stream) error {
	if err := c.out.SetKey(n.Tx); err != nil {
		return err
	}
	if err := c.in.SetKey(now, n.Rx); err != nil {
		return err
	}
	ip, _ := n.Remote.IP()
	rtcpIP, _ := n.RTCP.IP()
	if !ip.IsUnspecified() { // held the old way: keep the address for the answer to come
		c.in.RTP.Signal(netip.AddrPortFrom(ip, n.RemotePort))
		c.in.RTCP.Signal(netip.AddrPortFrom(rtcpIP, n.RTCPPort))
	}
	if !c.active || n.Direction.Sends() && !c.n.Direction.Sends() {
		c.marker = true
	}
	c.n, c.active = n, true
	c.watch.restart(now)
	if c.nextReport.IsZero() {
		c.nextReport = now.Add(reportInterval / 2)
	}
	return nil
}

// receive takes one packet from the RTP socket.
func (c *core) receive(now time.Time, b []byte, from netip.AddrPort) {
	if !c.active {
		return
	}
	if rtpstat.IsRTCP(b) {
		c.control(now, b, from, true)
		return
	}
	_, h, payload, ok, moved := c.in.Packet(now, b, from)
	if !ok {
		return
	}
	if moved {
		c.buffer.Reset()
		c.ears.dec, c.noise.peak = g722.Decoder{}, 0
	}
	c.deliver(h, payload)
}

// deliver hands a packet to where its payload type belongs.
func (c *core) deliver(h rtpstat.Header, payload []byte) {
	for _, codec := range c.n.Recv {
		if codec.PT != h.PT {
			continue
		}
		switch v := voiceOf(codec); {
		case codec.IsEvent():
			c.event(h, payload)
		case codec.Name == desc.ComfortNoise && len(payload) > 0:
			c.noise.hear(payload)
		case v != noVoice && 2*len(payload) <= len(c.sample):
			c.noise.peak = 0
			c.buffer.SetWide(v == wideband)
			c.buffer.Write(h.Stamp, c.ears.decode(v, c.sample[:], payload))
			c.endEvent(h.Stamp)
		}
		return
	}
}

func (c *core) event(h rtpstat.Header, payload []byte) {
	p, err := dtmf.Parse(payload)
	if err != nil {
		c.in.Garbled()
		return
	}
	ds, n := c.heard.Packet(h.Stamp, p)
	for _, d := range ds[:n] {
		c.digit(d)
	}
}

// endEvent reports a digit whose end packets were lost, once audio of well after its beginning follows.
func (c *core) endEvent(stamp uint32) {
	if since, ok := c.heard.Sounding(); ok && int32(stamp-since) > Rate/2 {
		if d, ok := c.heard.Flush(); ok {
			c.digit(d)
		}
	}
}

func (c *core) digit(d dtmf.Digit) {
	if c.onDigit != nil {
		c.onDigit(Digit{d.Key, time.Duration(d.Duration) * time.Second / Rate})
	}
}

// tick is called every 20 ms: it plays a frame out of the jitter buffer, and makes the packet to send, if any. The
// results are valid until the next call.
func (c *core) tick(now time.Time) (heard []int16, packet []byte, to netip.AddrPort) {
	heard = c.listen()
	packet, to = c.speak(now)
	return heard, packet, to
}

// listen is the receiving half of tick: a frame at the rate of the peer's codec.
func (c *core) listen() []int16 {
	wide := c.buffer.Wide()
	heard := c.pcm[:frameSize(wide)]
	if !c.buffer.Read(heard) && c.noise.peak > 0 {
		c.noise.fill(heard)
	}
	c.detector.SetWide(wide)
	_ = c.detector.WritePCM(heard)
	if c.active && c.n.SendEvent.Name == "" && c.onDigit != nil {
		c.inband.Write(c.ears.narrowed(heard), c.digit)
	}
	return heard
}

// speak is the sending half.
func (c *core) speak(now time.Time) (packet []byte, to netip.AddrPort) {
	packet, to = c.send(now)
	c.stamp += FrameSize
	if c.active && !now.Before(c.nextLook) {
		c.look(now)
	}
	return packet, to
}

// look brings the proof up to now.
func (c *core) look(now time.Time) {
	c.nextLook = now.Add(lookEvery)
	c.watch.look(now, view{n: c.n, in: c.in.Counters(), stray: c.in.Stray()})
}

// send makes the next packet: a telephone event, or audio, or silence.
func (c *core) send(now time.Time) ([]byte, netip.AddrPort) {
	to := c.in.RTP.To()
	v := voiceOf(c.n.Send)
	if !c.active || !c.n.Direction.Sends() || v == noVoice || !to.IsValid() || to.Port() == 0 {
		return nil, to
	}
	h := rtpstat.Header{PT: c.n.Send.PT, Seq: c.seq, Stamp: c.stamp, SSRC: c.ssrc}
	b := c.frame[:0]
	if event, ok := c.nextEvent(); ok {
		h.PT, h.Stamp, h.Marker = c.n.SendEvent.PT, event.Timestamp, event.Marker
		b = event.Payload.Append(h.Append(b))
		c.marker = true
	} else {
		h.Marker, c.marker = c.marker, false
		b = h.Append(b)[:12+FrameSize]
		c.audio(v, b[12:])
	}
	return c.protect(now, b), to
}

// nextEvent is the packet of a digit that is due now, if any, for a peer that takes events.
func (c *core) nextEvent() (dtmf.Packet, bool) {
	if c.n.SendEvent.Name == "" {
		return dtmf.Packet{}, false
	}
	return c.nextDigit()
}

func (c *core) nextDigit() (dtmf.Packet, bool) {
	if !c.digits.Busy() {
		return dtmf.Packet{}, false
	}
	p, ok := c.digits.Step(c.stamp)
	if !c.digits.Busy() {
		c.digitsSent()
	}
	return p, ok
}

func (c *core) digitsSent() {
	for _, done := range c.onSent {
		close(done)
	}
	c.onSent = nil
}

func (c *core) audio(v voice, payload []byte) {
	frame, wide := c.mixed, v == wideband
	event, tone := dtmf.Packet{}, false
	if c.n.SendEvent.Name == "" {
		event, tone = c.nextDigit()
	}
	switch {
	case tone:
		c.tones.Fill(c.pair[:], event)
		frame = c.mouth.as(wide, c.pair[:])
	case frame != nil && len(frame) == frameSize(wide):
	case c.source != nil:
		var over bool
		if frame, over = c.mouth.read(c.source, wide); over {
			c.play(nil, nil)
		}
	default:
		frame = c.mouth.silence(wide)
	}
	c.mouth.encode(v, payload, frame)
}

// play replaces the source; whoever waited for the one before is told.
func (c *core) play(src Source, done chan struct{}) {
	if c.onEnd != nil {
		close(c.onEnd)
	}
	c.source, c.onEnd = src, done
}

// protect numbers the packet.
func (c *core) protect(now time.Time, b []byte) []byte {
	payload := len(b) - 12
	wire, ok := c.out.Packet(now, b)
	if !ok {
		return nil
	}
	c.seq++
	c.payloads += uint32(payload)
	return wire
}

// queue adds digits to send: as events (RFC 4733), or as tones where the peer takes none.
func (c *core) queue(digits string, done chan struct{}) error {
	if err := c.digits.Queue(digits); err != nil {
		return err
	}
	if digits == "" {
		close(done)
		return nil
	}
	c.onSent = append(c.onSent, done)
	return nil
}

// end releases whoever waits.
func (c *core) end() {
	c.play(nil, nil)
	c.digitsSent()
	c.active = false
}

// evidence is everything but what is heard, which takes a millisecond to find out: the caller asks a copy of the detector.
func (c *core) evidence() Evidence {
	proof, why := c.watch.proof()
	e := Evidence{Proof: proof, Why: why, Codec: c.n.Send.Name, Suite: c.in.Key().Suite, Rx: c.in.Counters(), Tx: c.out.Counters()}
	if to := c.in.RTP.To(); to.IsValid() {
		e.Remote = to.String()
	}
	if e.Tx.Packets > 0 {
		e.Tx.SSRCs = 1
	}
	return e
}
