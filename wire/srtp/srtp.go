// Package srtp protects and unprotects RTP and RTCP packets (RFC 3711; RFC 7714 for AES-GCM) with keys from the
// signalling. It is a facade over pion/srtp that adds what a receiver owes its evidence and a sender its keys:
//
//   - Replay protection is always on, for RTP and RTCP; there is no way to make a Receiver without it.
//   - A verdict for every packet, so that the caller can count: accepted, failed, replayed, malformed.
//   - A Sender never encrypts two different packets with the same SSRC and index. RFC 3711, 9.1: reuse of a keystream
//     gives plaintext away, and with GCM the authentication key (RFC 7714, 8.1). A relay from plain RTP needs this,
//     because there anybody on the path chooses SSRC and sequence number.
//   - The number of sources per key is bounded.
//   - No error and no value of this package shows key material.
//   - Nothing is allocated per packet.
//
// Roll-over counter and replay window live in the Receiver and the Sender: keep them as long as the key stays the same,
// over every re-offer (RFC 3264, 8), and make new ones when it changes.
package srtp

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtp"
	pion "github.com/pion/srtp/v3"

	"github.com/locktone/locktone/wire/sdp"
)

// Overhead is the most a Sender adds to a packet: authentication tag, SRTCP index and MKI.
const Overhead = 16 + 4 + 8

// MaxSources is how many SSRCs one key protects or admits; a call has one or two.
const MaxSources = 64

// Verdict is what became of a received packet.
type Verdict uint8

// The verdicts. Only Accepted packets may be used.
const (
	Malformed Verdict = iota // not RTP, or too short for the tag
	Failed                   // does not authenticate, or carries an unknown MKI
	Replayed                 // seen before, or older than the window
	TooMany                  // authenticates, but comes from one source too many
	Accepted
)

// String is the word.
func (v Verdict) String() string {
	return [...]string{"malformed", "failed", "replayed", "too many sources", "accepted"}[min(v, Accepted)]
}

var profiles = [...]pion.ProtectionProfile{
	sdp.AES_CM_128_HMAC_SHA1_80: pion.ProtectionProfileAes128CmHmacSha1_80,
	sdp.AES_CM_128_HMAC_SHA1_32: pion.ProtectionProfileAes128CmHmacSha1_32,
	sdp.AEAD_AES_128_GCM:        pion.ProtectionProfileAeadAes128Gcm,
	sdp.AEAD_AES_256_GCM:        pion.ProtectionProfileAeadAes256Gcm,
}

// newContext checks lengths itself: pion quotes the key in its error when they do not fit.
func newContext(c sdp.Crypto, opts ...pion.ContextOption) (*pion.Context, error) {
	if c.Suite == sdp.NoSuite || int(c.Suite) >= len(profiles) {
		return nil, fmt.Errorf("srtp: %q is no suite; use one of %v", c.Suite, sdp.Suites())
	}
	key, salt, ok := c.Key.Reveal(c.Suite)
	if !ok {
		return nil, fmt.Errorf("srtp: the key does not have the %d+%d octets %v needs", c.Suite.KeyLen(), c.Suite.SaltLen(), c.Suite)
	}
	if c.MKILen > 0 {
		opts = append(opts, pion.MasterKeyIndicator(mki(c)))
	}
	ctx, err := pion.CreateContext(key, salt, profiles[c.Suite], opts...)
	if err != nil {
		return nil, fmt.Errorf("srtp: no context for %v", c.Suite)
	}
	return ctx, nil
}

func mki(c sdp.Crypto) []byte {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], c.MKI)
	n := min(c.MKILen, 8)
	return b[8-n:]
}

// Receiver unprotects the packets of one key. It is for one goroutine at a time.
type Receiver struct {
	ctx      *pion.Context
	header   rtp.Header
	replayed bool // set by a window while a packet is looked at
	rtp      sources
	rtcp     sources
}

// NewReceiver makes a receiver for the peer's key.
func NewReceiver(c sdp.Crypto) (*Receiver, error) {
	r := &Receiver{}
	ctx, err := newContext(c, detector(pion.SRTPReplayDetectorFactory, r), detector(pion.SRTCPReplayDetectorFactory, r))
	if err != nil {
		return nil, err
	}
	r.ctx = ctx
	return r, nil
}

// RTP unprotects one packet into dst's memory, which may be the packet's own: packet[:0].
func (r *Receiver) RTP(dst, packet []byte) ([]byte, Verdict) {
	if len(packet) < 12 || packet[0]>>6 != 2 {
		return nil, Malformed
	}
	ssrc := binary.BigEndian.Uint32(packet[8:])
	if r.rtp.full(ssrc) {
		return nil, TooMany
	}
	r.replayed = false
	out, err := r.ctx.DecryptRTP(dst, packet, &r.header)
	if err != nil {
		return nil, r.verdict(err)
	}
	r.rtp.add(ssrc)
	return out, Accepted
}

// RTCP unprotects one compound packet.
func (r *Receiver) RTCP(dst, packet []byte) ([]byte, Verdict) {
	if len(packet) < 8 || packet[0]>>6 != 2 {
		return nil, Malformed
	}
	ssrc := binary.BigEndian.Uint32(packet[4:])
	if r.rtcp.full(ssrc) {
		return nil, TooMany
	}
	r.replayed = false
	out, err := r.ctx.DecryptRTCP(dst, packet, nil)
	if err != nil {
		return nil, r.verdict(err)
	}
	r.rtcp.add(ssrc)
	return out, Accepted
}

func (r *Receiver) verdict(err error) Verdict {
	switch {
	case r.replayed:
		return Replayed
	case errors.Is(err, pion.ErrFailedToVerifyAuthTag), errors.Is(err, pion.ErrMKINotFound):
		return Failed
	}
	return Failed // GCM reports its own error, and a packet too short for its tag has not authenticated either
}

// Sources is how many SSRCs have sent RTP that authenticated.
func (r *Receiver) Sources() int { return len(r.rtp.list) }

// sources is the set of SSRCs of one context, kept small.
type sources struct{ list []uint32 }

func (s *sources) has(ssrc uint32) bool {
	for _, x := range s.list {
		if x == ssrc {
			return true
		}
	}
	return false
}

func (s *sources) full(ssrc uint32) bool { return len(s.list) >= MaxSources && !s.has(ssrc) }

func (s *sources) add(ssrc uint32) {
	if !s.has(ssrc) {
		s.list = append(s.list, ssrc)
	}
}

// windowBits is the size of the replay window. RFC 3711, 3.3.2: at least 64.
const windowBits = 128

// window is a sliding replay window over indices. pion's own makes a closure per packet; this one makes it once.
type window struct {
	any     bool
	latest  uint64
	seen    [windowBits / 64]uint64 // bit n: latest-n was accepted
	checked uint64
	accept  func() bool
	refuse  func() bool
	owner   *Receiver
}

func newWindow(owner *Receiver) *window {
	w := &window{owner: owner}
	w.accept = func() bool { return w.mark(w.checked) }
	w.refuse = func() bool { return false }
	return w
}

// Check says whether an index is new; accept marks it once the packet has authenticated.
func (w *window) Check(index uint64) (accept func() bool, ok bool) {
	w.checked = index
	if w.any && index <= w.latest {
		d := w.latest - index
		if d >= windowBits || w.seen[d/64]>>(d%64)&1 != 0 {
			if w.owner != nil {
				w.owner.replayed = true
			}
			return w.refuse, false
		}
	}
	return w.accept, true
}

func (w *window) mark(index uint64) (latest bool) {
	if !w.any || index > w.latest {
		w.shift(index)
		return true
	}
	d := w.latest - index
	w.seen[d/64] |= 1 << (d % 64)
	return false
}

func (w *window) shift(index uint64) {
	d := index - w.latest
	switch {
	case !w.any || d >= windowBits:
		w.seen = [2]uint64{}
	case d >= 64:
		w.seen[1], w.seen[0] = w.seen[0]<<(d-64), 0
	default:
		w.seen[1] = w.seen[1]<<d | w.seen[0]>>(64-d)
		w.seen[0] <<= d
	}
	w.any, w.latest = true, index
	w.seen[0] |= 1
}

// detector hands pion our windows. D is pion's detector interface, which lives in a module of its own; inference keeps
// that module out of our imports.
func detector[D any](option func(func() D) pion.ContextOption, r *Receiver) pion.ContextOption {
	return option(func() D {
		d, _ := any(newWindow(r)).(D)
		return d
	})
}

// ErrReuse says that a packet was not sent because its SSRC and sequence number were used with this key before, or lie
// too far back to know.
var ErrReuse = errors.New("srtp: sequence number was used before with this key")

// ErrTooMany says that a packet was not sent because the key protects MaxSources sources already.
var ErrTooMany = errors.New("srtp: too many sources for one key")

// ErrPacket says that what was to be sent is no RTP or RTCP packet.
var ErrPacket = errors.New("srtp: not an RTP or RTCP packet")

// Sender protects packets with one key. It is for one goroutine at a time.
type Sender struct {
	ctx    *pion.Context
	header rtp.Header
	out    []outgoing
	rtcp   sources
}

// outgoing is what was sent with one SSRC, by extended sequence number.
type outgoing struct {
	ssrc uint32
	used window
}

// NewSender makes a sender for our own key.
func NewSender(c sdp.Crypto) (*Sender, error) {
	ctx, err := newContext(c)
	if err != nil {
		return nil, err
	}
	return &Sender{ctx: ctx}, nil
}

// RTP protects one packet into dst's memory, which may be the packet's own when it has room for Overhead more octets.
func (s *Sender) RTP(dst, packet []byte) ([]byte, error) {
	if len(packet) < 12 || packet[0]>>6 != 2 {
		return nil, ErrPacket
	}
	o := s.source(binary.BigEndian.Uint32(packet[8:]))
	if o == nil {
		return nil, ErrTooMany
	}
	index, ok := o.index(binary.BigEndian.Uint16(packet[2:]))
	if !ok {
		return nil, ErrReuse
	}
	out, err := s.ctx.EncryptRTP(dst, packet, &s.header)
	if err != nil {
		return nil, ErrPacket
	}
	o.used.mark(index)
	return out, nil
}

// RTCP protects one compound packet.
func (s *Sender) RTCP(dst, packet []byte) ([]byte, error) {
	if len(packet) < 8 || packet[0]>>6 != 2 {
		return nil, ErrPacket
	}
	ssrc := binary.BigEndian.Uint32(packet[4:])
	if s.rtcp.full(ssrc) {
		return nil, ErrTooMany
	}
	s.rtcp.add(ssrc)
	out, err := s.ctx.EncryptRTCP(dst, packet, nil)
	if err != nil {
		return nil, ErrPacket
	}
	return out, nil
}

func (s *Sender) source(ssrc uint32) *outgoing {
	for i := range s.out {
		if s.out[i].ssrc == ssrc {
			return &s.out[i]
		}
	}
	if len(s.out) >= MaxSources {
		return nil
	}
	s.out = append(s.out, outgoing{ssrc: ssrc})
	return &s.out[len(s.out)-1]
}

// index extends a sequence number to the index nearest to the last. RFC 3711, 3.3.1. What would lie before the first
// packet is refused: our count and the cipher's could differ there.
func (o *outgoing) index(seq uint16) (uint64, bool) {
	if !o.used.any {
		return uint64(seq), true
	}
	d := int64(int16(seq - uint16(o.used.latest)))
	if d < 0 && uint64(-d) > o.used.latest {
		return 0, false
	}
	index := uint64(int64(o.used.latest) + d)
	if d > 0 {
		return index, true
	}
	back := uint64(-d)
	return index, back < windowBits && o.used.seen[back/64]>>(back%64)&1 == 0
}
