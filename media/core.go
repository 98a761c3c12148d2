package media

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/dtmf"
	"github.com/locktone/locktone/media/g711"
	"github.com/locktone/locktone/media/jitter"
	"github.com/locktone/locktone/media/latch"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// maxPacket is the largest packet received or sent, octets.
const maxPacket = 1500

// keyGrace is how long packets under the peer's old key are taken after a rekey: those on their way.
const keyGrace = 2 * time.Second

// core is a stream without sockets and clock: packets and ticks go in, packets, samples and digits come out. It is for
// one goroutine at a time.
//
//	received RTP --> unprotect --> account --+--> decode --> jitter buffer --tick--> sink, detector
//	                                         +--> telephone events --> digits
//	source --tick--> encode or telephone event --> protect --> RTP to send
type core struct {
	n      desc.Stream
	active bool

	rxKey, oldKey sdp.Crypto
	rx, old       *srtp.Receiver
	oldUntil      time.Time
	txKey         sdp.Crypto
	tx            *srtp.Sender

	peer, rtcpPeer latch.Peer
	ssrc           uint32
	seq            uint16
	stamp          uint32
	marker         bool // the next audio packet begins a talkspurt

	source  Source
	onEnd   chan struct{} // closed when source ends or is replaced
	digits  dtmf.Sender
	onSent  []chan struct{}
	heard   dtmf.Receiver
	onDigit func(Digit)

	buffer   jitter.Buffer
	detector tone.Detector
	account  rtpstat.Source
	in, out  rtpstat.Counters
	payloads uint32 // octets of payload sent, for SR

	srReceived time.Time // arrival of the last SR
	srMiddle   uint32    // middle 32 bits of its NTP time
	nextReport time.Time

	pcm    [FrameSize]int16
	frame  [maxPacket + srtp.Overhead]byte
	plain  [maxPacket]byte
	sample [maxPacket]int16
}

func newCore(policy latch.Policy) (*core, error) {
	var b [10]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	c := &core{peer: latch.New(policy), rtcpPeer: latch.New(policy), marker: true}
	c.ssrc = binary.BigEndian.Uint32(b[:])
	// RFC 3711, 3.3.1: the first sequence number lies in the lower half, so that a loss at the beginning cannot make
	// receiver and sender differ in the roll-over count.
	c.seq = binary.BigEndian.Uint16(b[4:]) & 0x7fff
	c.stamp = binary.BigEndian.Uint32(b[6:])
	return c, nil
}

// apply takes what an exchange has agreed. Contexts stay while their key stays: roll-over counter and replay window
// belong to the key, not to the exchange.
func (c *core) apply(now time.Time, n desc.Stream) error {
	if err := c.applyKeys(now, n); err != nil {
		return err
	}
	ip, _ := n.Remote.IP()
	rtcpIP, _ := n.RTCP.IP()
	if !ip.IsUnspecified() { // held the old way: keep the address for the answer to come
		c.peer.Signal(netip.AddrPortFrom(ip, n.RemotePort))
		c.rtcpPeer.Signal(netip.AddrPortFrom(rtcpIP, n.RTCPPort))
	}
	if !c.active || n.Direction.Sends() && !c.n.Direction.Sends() {
		c.marker = true
	}
	c.n, c.active = n, true
	if c.nextReport.IsZero() {
		c.nextReport = now.Add(reportInterval / 2)
	}
	return nil
}

func (c *core) applyKeys(now time.Time, n desc.Stream) error {
	rx, tx := c.rx, c.tx
	var err error
	switch {
	case !n.Secure():
		rx, tx = nil, nil
	default:
		if tx == nil || !c.txKey.SameKey(n.Tx) {
			if tx, err = srtp.NewSender(n.Tx); err != nil {
				return err
			}
		}
		if rx == nil || !c.rxKey.SameKey(n.Rx) {
			if rx, err = srtp.NewReceiver(n.Rx); err != nil {
				return err
			}
		}
	}
	if rx != c.rx && c.rx != nil {
		c.old, c.oldUntil = c.rx, now.Add(keyGrace)
	}
	c.rx, c.tx, c.rxKey, c.txKey = rx, tx, n.Rx, n.Tx
	return nil
}

// receive takes one packet from the RTP socket.
func (c *core) receive(now time.Time, b []byte, from netip.AddrPort) {
	if !c.active {
		return
	}
	if rtpstat.IsRTCP(b) {
		c.receiveRTCP(now, b, from)
		return
	}
	h, payload, ok := c.accept(now, b, from)
	if !ok {
		return
	}
	c.in.Packets++
	c.in.Bytes += uint64(len(payload) + 12)
	c.in.Last = now
	if c.account.Packet(h, now, Rate) {
		c.buffer.Reset()
	}
	c.deliver(h, payload)
}

// accept decides whether a packet is what was agreed, and counts it if not.
func (c *core) accept(now time.Time, b []byte, from netip.AddrPort) (h rtpstat.Header, payload []byte, ok bool) {
	if c.rx == nil {
		if h, payload, ok = rtpstat.Parse(b); !ok {
			c.in.Malformed++
			return h, nil, false
		}
		if !c.peer.Plain(from) {
			c.in.WrongSource++
			return h, nil, false
		}
		return h, payload, true
	}
	clear, verdict := c.unprotect(now, b)
	if verdict != srtp.Accepted {
		count(&c.in, verdict, b)
		return h, nil, false
	}
	if h, payload, ok = rtpstat.Parse(clear); !ok {
		c.in.Malformed++
		return h, nil, false
	}
	c.in.Authenticated++
	c.peer.Authenticated(from)
	return h, payload, true
}

// unprotect tries the key in force, and for a while after a rekey the one before.
func (c *core) unprotect(now time.Time, b []byte) ([]byte, srtp.Verdict) {
	clear, v := c.rx.RTP(c.plain[:0], b)
	if v != srtp.Failed || c.old == nil {
		return clear, v
	}
	if now.After(c.oldUntil) {
		c.old = nil
		return nil, v
	}
	if clear, old := c.old.RTP(c.plain[:0], b); old != srtp.Failed {
		return clear, old
	}
	return nil, v
}

// count books a packet that was not accepted where SRTP was agreed.
func count(k *rtpstat.Counters, v srtp.Verdict, b []byte) {
	switch {
	case v == srtp.Replayed:
		k.Replayed++
	case v == srtp.Malformed:
		k.Malformed++
	case rtpstat.LooksPlain(b):
		k.PlainDropped++
	default:
		k.Failed++
	}
}

// deliver hands a packet to where its payload type belongs.
func (c *core) deliver(h rtpstat.Header, payload []byte) {
	for _, codec := range c.n.Recv {
		if codec.PT != h.PT {
			continue
		}
		switch law, ok := lawOf(codec); {
		case codec.IsEvent():
			c.event(h, payload)
		case ok && len(payload) <= len(c.sample):
			pcm := c.sample[:len(payload)]
			law.Decode(pcm, payload)
			c.buffer.Write(h.Stamp, pcm)
			c.endEvent(h.Stamp)
		}
		return
	}
}

func lawOf(c sdp.Codec) (g711.Law, bool) {
	switch {
	case strings.EqualFold(c.Name, "PCMU"):
		return g711.ULaw, true
	case strings.EqualFold(c.Name, "PCMA"):
		return g711.ALaw, true
	}
	return 0, false
}

func (c *core) event(h rtpstat.Header, payload []byte) {
	p, err := dtmf.Parse(payload)
	if err != nil {
		c.in.Malformed++
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
	c.buffer.Read(c.pcm[:])
	_ = c.detector.WritePCM(c.pcm[:])
	packet, to = c.send(now)
	c.stamp += FrameSize
	return c.pcm[:], packet, to
}

// send makes the next packet: a telephone event, or audio, or silence.
func (c *core) send(now time.Time) ([]byte, netip.AddrPort) {
	to := c.peer.To()
	law, ok := lawOf(c.n.Send)
	if !c.active || !c.n.Direction.Sends() || !ok || !to.IsValid() || to.Port() == 0 {
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
		c.audio(law, b[12:])
	}
	return c.protect(now, b), to
}

func (c *core) nextEvent() (dtmf.Packet, bool) {
	if c.n.SendEvent.Name == "" || !c.digits.Busy() {
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

func (c *core) audio(law g711.Law, payload []byte) {
	var pcm [FrameSize]int16
	if c.source != nil {
		n, err := c.source.ReadPCM(pcm[:])
		clear(pcm[min(max(n, 0), FrameSize):])
		if err != nil || n <= 0 {
			c.play(nil, nil)
		}
	}
	law.Encode(payload, pcm[:])
}

// play replaces the source; whoever waited for the one before is told.
func (c *core) play(src Source, done chan struct{}) {
	if c.onEnd != nil {
		close(c.onEnd)
	}
	c.source, c.onEnd = src, done
}

// protect numbers and counts the packet.
func (c *core) protect(now time.Time, b []byte) []byte {
	n := len(b)
	if c.tx != nil {
		wire, err := c.tx.RTP(b[:0], b)
		if err != nil {
			return nil // never in clear
		}
		b = wire
		c.out.Authenticated++
	}
	c.seq++
	c.out.Packets++
	c.out.Bytes += uint64(n)
	c.payloads += uint32(n - 12)
	c.out.Last = now
	return b
}

var errNoEvents = errors.New("media: the peer takes no telephone events (RFC 4733), so digits cannot be sent")

// queue adds digits to send.
func (c *core) queue(digits string, done chan struct{}) error {
	if c.active && c.n.SendEvent.Name == "" {
		return errNoEvents
	}
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

func (c *core) evidence() Evidence {
	e := Evidence{Codec: c.n.Send.Name, Rx: c.in, Tx: c.out}
	c.account.Fill(&e.Rx, Rate)
	if to := c.peer.To(); to.IsValid() {
		e.Remote = to.String()
	}
	if c.rx != nil {
		e.Suite = c.rxKey.Suite
	}
	if e.Tx.Packets > 0 {
		e.Tx.SSRCs = 1
	}
	e.ToneHz, e.LevelDBm = c.detector.Result()
	return e
}
