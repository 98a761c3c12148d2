// Package flow is one direction of an RTP stream as every endpoint and relay of ours treats it: what may come in, what
// goes out, and the account of both.
//
// Inbound lets a packet pass when it is what was agreed: where SRTP was agreed it must authenticate and be no replay (RFC
// 3711, 3.3), otherwise it must come from the address the peer signalled (package latch). Everything else is counted
// under its reason and dropped. Outbound protects and counts; where SRTP was agreed nothing ever leaves in clear.
//
// Contexts stay as long as their key, over any number of re-offers: the roll-over counter and the replay window belong
// to the key. After a rekey packets under the old key are taken for two more seconds. A key that comes back (a party on hold
// hears our music under our key, and then the other party again under its own) finds its context as it was: with a new
// one the roll-over counter of a call older than 22 minutes would be wrong for good.
//
// While an offer of ours is open the peer may send under any key it had before: who answers an offer sends at once (RFC
// 3264, 6.1), and its packets go straight to us while the answer takes its way through proxies. Expect says so. Only
// what comes under a key never seen before, ahead of the answer that names it, cannot be told from a forgery.
package flow

import (
	"net/netip"
	"slices"
	"time"

	"github.com/locktone/locktone/media/latch"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// MaxPacket is the largest packet taken or sent, octets, before protection.
const MaxPacket = 1500

// maxFormer is how many keys of the peer are remembered beside the one in force.
const maxFormer = 3

// grace is how long packets under the peer's old key are taken after a rekey: those on their way.
const grace = 2 * time.Second

// Inbound is the receiving direction. It is for one goroutine at a time.
type Inbound struct {
	key     sdp.Crypto
	rx      *srtp.Receiver
	former  []former  // keys the peer had before, newest first
	until   time.Time // the latest of theirs
	expect  time.Time // until then an offer of ours is open
	heard   bool      // a packet under the key in force has come
	scratch []byte    // while several keys are tried, a packet cannot be unprotected in place

	RTP, RTCP latch.Peer
	account   rtpstat.Source
	count     rtpstat.Counters
	rate      int
	stray     netip.AddrPort // of the last packet that was dropped
}

// former is a key the peer had before.
type former struct {
	key   sdp.Crypto
	rx    *srtp.Receiver
	until time.Time // packets under it are taken
}

// NewInbound makes a direction that takes plain packets under a policy until it is given a key.
func NewInbound(p latch.Policy) Inbound {
	return Inbound{RTP: latch.New(p), RTCP: latch.New(p), rate: 8000}
}

// SetRate is the clock rate of the payload, Hz, for jitter.
func (i *Inbound) SetRate(hz int) { i.rate = hz }

// SetKey agrees on the peer's key; the zero Crypto on plain RTP.
func (i *Inbound) SetKey(now time.Time, key sdp.Crypto) error {
	i.expect = time.Time{}
	if key.SameKey(i.key) {
		i.key = key
		i.close(now)
		return nil
	}
	i.heard = false
	if key.IsZero() {
		i.key, i.rx, i.former = key, nil, nil
		return nil
	}
	rx := i.recall(key)
	if rx == nil {
		var err error
		if rx, err = srtp.NewReceiver(key); err != nil {
			return err
		}
	}
	i.close(now)
	if i.rx != nil {
		i.former = slices.Insert(i.former, 0, former{i.key, i.rx, i.until})
		i.former = i.former[:min(len(i.former), maxFormer)]
	}
	i.key, i.rx = key, rx
	return nil
}

// close ends what Expect has opened, but for packets on their way.
func (i *Inbound) close(now time.Time) {
	i.until = now.Add(grace)
	for k := range i.former {
		i.former[k].until = earlier(i.former[k].until, i.until)
	}
}

// recall takes the context of a key out of those the peer had before, nil if it had it never or too long ago.
func (i *Inbound) recall(key sdp.Crypto) *srtp.Receiver {
	at := slices.IndexFunc(i.former, func(f former) bool { return f.key.SameKey(key) })
	if at < 0 {
		return nil
	}
	rx := i.former[at].rx
	i.former = slices.Delete(i.former, at, at+1)
	return rx
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Expect takes packets under any key the peer had before until then, or until two seconds after the next rekey: an offer of
// ours is open, and its answer may come later than the first packets.
func (i *Inbound) Expect(until time.Time) {
	for k := range i.former {
		i.former[k].until = until
	}
	i.until, i.expect = until, until
}

// Key is the key in force.
func (i *Inbound) Key() sdp.Crypto { return i.key }

// Packet takes one RTP packet; ok says that it is what was agreed. clear may share b's memory; both are valid until the
// next call. moved says that another source began to send.
func (i *Inbound) Packet(now time.Time, b []byte, from netip.AddrPort) (clear []byte, h rtpstat.Header, payload []byte, ok, moved bool) {
	clear = b
	present := true
	if i.rx != nil {
		var v srtp.Verdict
		if clear, v, present = i.unprotect(now, b, (*srtp.Receiver).RTP); v != srtp.Accepted {
			i.drop(v, b)
			i.stray = from
			return nil, h, nil, false, false
		}
	}
	if h, payload, ok = rtpstat.Parse(clear); !ok {
		i.count.Malformed++
		return nil, h, nil, false, false
	}
	if i.rx != nil {
		switch {
		case present:
			i.heard = true
			i.RTP.Authenticated(from)
		case i.heard && now.After(i.expect) && !i.account.Follows(h.SSRC):
			// The party before has not heard yet that it is not meant any more: two at a time would be heard in shreds.
			i.count.WrongSource++
			return nil, h, nil, false, false
		}
		i.count.Authenticated++
	} else if !i.RTP.Plain(from) {
		i.count.WrongSource++
		i.stray = from
		return nil, h, nil, false, false
	}
	i.count.Packets++
	i.count.Bytes += uint64(len(clear))
	i.count.Last = now
	return clear, h, payload, true, i.account.Packet(h, now, i.rate)
}

// Control takes one compound RTCP packet; muxed says that it came on the RTP port (RFC 5761).
func (i *Inbound) Control(now time.Time, b []byte, from netip.AddrPort, muxed bool) (clear []byte, ok bool) {
	peer := &i.RTCP
	if muxed {
		peer = &i.RTP
	}
	clear = b
	if i.rx != nil {
		var v srtp.Verdict
		var present bool
		if clear, v, present = i.unprotect(now, b, (*srtp.Receiver).RTCP); v != srtp.Accepted {
			i.drop(v, b)
			return nil, false
		}
		if present {
			peer.Authenticated(from)
		}
	} else if !rtpstat.IsRTCP(b) {
		i.count.Malformed++
		return nil, false
	} else if !peer.Plain(from) {
		i.count.WrongSource++
		return nil, false
	}
	i.count.RTCP++
	return clear, true
}

// unprotect tries the key in force, and for a while after a rekey those before. present says that it was the one in force: who
// sends under another may be the party that was there before, and what is for the new one must not follow it back.
func (i *Inbound) unprotect(now time.Time, b []byte, with func(*srtp.Receiver, []byte, []byte) ([]byte, srtp.Verdict)) (clear []byte, v srtp.Verdict, present bool) {
	if len(i.former) == 0 || now.After(i.until) {
		i.scratch = nil
		clear, v = with(i.rx, b[:0], b)
		return clear, v, true
	}
	if i.scratch == nil {
		i.scratch = make([]byte, 0, MaxPacket+srtp.Overhead)
	}
	clear, v = with(i.rx, i.scratch, b)
	if v != srtp.Failed {
		return clear, v, true
	}
	for _, f := range i.former {
		if now.After(f.until) {
			continue
		}
		if clear, old := with(f.rx, i.scratch, b); old != srtp.Failed {
			return clear, old, false
		}
	}
	return nil, v, false
}

// drop books a packet that was not accepted where SRTP was agreed.
func (i *Inbound) drop(v srtp.Verdict, b []byte) {
	switch {
	case v == srtp.Replayed:
		i.count.Replayed++
	case v == srtp.Malformed:
		i.count.Malformed++
	case rtpstat.LooksPlain(b):
		i.count.PlainDropped++
	default:
		i.count.Failed++
	}
}

// Garbled counts a packet whose payload made no sense.
func (i *Inbound) Garbled() { i.count.Malformed++ }

// Stray is where the last RTP packet that was dropped came from.
func (i *Inbound) Stray() netip.AddrPort { return i.stray }

// Report makes a reception report block (RFC 3550, 6.4.1); ok is false when nothing was received.
func (i *Inbound) Report() (r rtpstat.Report, ok bool) { return i.account.Report() }

// Counters is the account so far.
func (i *Inbound) Counters() rtpstat.Counters {
	c := i.count
	i.account.Fill(&c, i.rate)
	return c
}

// Outbound is the sending direction. It is for one goroutine at a time. The zero value sends plain RTP.
type Outbound struct {
	key   sdp.Crypto
	tx    *srtp.Sender
	count rtpstat.Counters
}

// SetKey agrees on our key; the zero Crypto on plain RTP.
func (o *Outbound) SetKey(key sdp.Crypto) error {
	if key.SameKey(o.key) {
		o.key = key
		return nil
	}
	var tx *srtp.Sender
	if !key.IsZero() {
		var err error
		if tx, err = srtp.NewSender(key); err != nil {
			return err
		}
	}
	o.key, o.tx = key, tx
	return nil
}

// Key is the key in force.
func (o *Outbound) Key() sdp.Crypto { return o.key }

// Packet protects an RTP packet in place; b must have room for srtp.Overhead more octets. ok is false when it must not
// be sent: there is no second use of a keystream, and never a packet in clear where SRTP was agreed.
func (o *Outbound) Packet(now time.Time, b []byte) (wire []byte, ok bool) {
	n := len(b)
	if o.tx != nil {
		var err error
		if b, err = o.tx.RTP(b[:0], b); err != nil {
			o.count.Replayed++
			return nil, false
		}
		o.count.Authenticated++
	}
	o.count.Packets++
	o.count.Bytes += uint64(n)
	o.count.Last = now
	return b, true
}

// Control protects a compound RTCP packet in place.
func (o *Outbound) Control(b []byte) (wire []byte, ok bool) {
	if o.tx != nil {
		var err error
		if b, err = o.tx.RTCP(b[:0], b); err != nil {
			return nil, false
		}
	}
	o.count.RTCP++
	return b, true
}

// Counters is the account so far; Replayed are packets that were not sent because their number had been used.
func (o *Outbound) Counters() rtpstat.Counters { return o.count }
