package relay

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/media/dtmf"
	"github.com/locktone/locktone/media/flow"
	"github.com/locktone/locktone/media/latch"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// Latching is the policy for sources of plain RTP.
type Latching = latch.Policy

// The policies for plain RTP; the zero value is the strict one.
const (
	Signalled = latch.Signalled
	SameHost  = latch.SameHost
	FirstSeen = latch.FirstSeen
)

// ErrClosed says that the port or its engine is closed.
var ErrClosed = errors.New("relay: closed")

// bufferSize holds the largest packet taken, with protection before and after.
const bufferSize = flow.MaxPacket + 2*srtp.Overhead

// Port is one leg's pair of sockets in a relay. It owns both sockets and the keys of its side. All methods are safe for
// concurrent use. Receiving and sending have a lock each; a thread that holds a receiving lock takes a sending lock, never
// the reverse.
type Port struct {
	engine *Engine
	worker *worker
	ports  *rtpport.Range
	number uint16
	rtp    *socket
	rtcp   *socket

	turn sync.Mutex // of the goroutines of sockets that no thread watches

	other      atomic.Pointer[Port] // to whom packets are passed on
	to, rtcpTo atomic.Pointer[target]

	rx     sync.Mutex
	in     flow.Inbound
	open   bool // an exchange is complete: packets are taken
	closed bool
	heard  *heard // nil: digits are passed on as they are

	tx     sync.Mutex
	out    flow.Outbound
	gone   bool // sending side of closed
	refuse bool // direction: nothing is sent to this side
	said   *said
}

// Side is what an exchange agreed on for one side of a relay.
type Side struct {
	Remote     netip.AddrPort // where the peer takes RTP; invalid sends nothing until a packet shows where
	RemoteRTCP netip.AddrPort
	Rx, Tx     sdp.Crypto // the peer's key and ours; the zero values mean plain RTP
	Rate       int        // clock rate of the payload, Hz; 0 means 8,000
	Mute       bool       // the peer receives nothing: sendonly or inactive
}

// Set puts an exchange in force. Contexts of keys that stay the same go on.
func (p *Port) Set(now time.Time, s Side) error {
	p.rx.Lock()
	defer p.rx.Unlock()
	p.tx.Lock()
	defer p.tx.Unlock()
	if p.closed {
		return ErrClosed
	}
	if err := p.out.SetKey(s.Tx); err != nil {
		return err
	}
	if err := p.in.SetKey(now, s.Rx); err != nil {
		return err
	}
	if s.Rate > 0 {
		p.in.SetRate(s.Rate)
	}
	if s.Remote.IsValid() && !s.Remote.Addr().IsUnspecified() {
		p.in.RTP.Signal(s.Remote)
		p.in.RTCP.Signal(s.RemoteRTCP)
	}
	p.open, p.refuse = true, s.Mute
	p.aim()
	return nil
}

// aim publishes where to send, when that has changed.
func (p *Port) aim() {
	retarget(&p.to, p.in.RTP.To())
	retarget(&p.rtcpTo, p.in.RTCP.To())
}

func retarget(t *atomic.Pointer[target], to netip.AddrPort) {
	if old := t.Load(); to.IsValid() && to.Port() != 0 && (old == nil || old.addr != to) {
		t.Store(newTarget(to))
	}
}

// Connect makes two ports pass on to each other; either may have been connected with another before, which then hears
// nothing more.
func Connect(a, b *Port) {
	for _, x := range [][2]*Port{{a, b}, {b, a}} {
		if old := x[0].other.Swap(x[1]); old != nil && old != x[1] {
			old.other.CompareAndSwap(x[0], nil)
		}
	}
}

// Disconnect makes the port pass on to nobody, and nobody to it.
func (p *Port) Disconnect() {
	if old := p.other.Swap(nil); old != nil {
		old.other.CompareAndSwap(p, nil)
	}
}

// Number is the RTP port; RTCP is on the next.
func (p *Port) Number() uint16 { return p.number }

// Counters is the account of both directions.
func (p *Port) Counters() (in, out rtpstat.Counters) {
	p.rx.Lock()
	in = p.in.Counters()
	p.rx.Unlock()
	p.tx.Lock()
	out = p.out.Counters()
	p.tx.Unlock()
	return in, out
}

// Heard is the account of what came from the peer, and where the last packet that was dropped came from.
func (p *Port) Heard() (in rtpstat.Counters, stray netip.AddrPort) {
	p.rx.Lock()
	defer p.rx.Unlock()
	return p.in.Counters(), p.in.Stray()
}

// Remote is where packets go now.
func (p *Port) Remote() netip.AddrPort {
	if t := p.to.Load(); t != nil {
		return t.addr
	}
	return netip.AddrPort{}
}

// Suite is what protects the peer's packets; NoSuite is plain RTP.
func (p *Port) Suite() sdp.Suite {
	p.rx.Lock()
	defer p.rx.Unlock()
	return p.in.Key().Suite
}

// packet is one datagram of one of the port's sockets: it is checked here, and passed on there. It reports whether the
// packet was passed on.
func (p *Port) packet(now time.Time, b []byte, from netip.AddrPort, control bool) bool {
	ok, digits, report := p.take(now, &b, from, &control)
	for _, d := range digits {
		report(d.Key, time.Duration(d.Duration)*time.Second/8000)
	}
	if ok {
		if other := p.other.Load(); other != nil {
			return other.send(now, b, control)
		}
	}
	return false
}

// take checks a packet under the receiving lock. RTCP on the RTP port (RFC 5761) is passed on to the RTCP port.
func (p *Port) take(now time.Time, b *[]byte, from netip.AddrPort, control *bool) (ok bool, digits []dtmf.Digit, report func(byte, time.Duration)) {
	p.rx.Lock()
	defer p.rx.Unlock()
	if p.closed || !p.open {
		return false, nil, nil
	}
	muxed := !*control && rtpstat.IsRTCP(*b)
	if *control || muxed {
		*control = true
		*b, ok = p.in.Control(now, *b, from, muxed)
	} else {
		var h rtpstat.Header
		var payload []byte
		*b, h, payload, ok, _ = p.in.Packet(now, *b, from)
		if ok && p.heard != nil {
			p.aim()
			return p.digits(*b, h, payload)
		}
	}
	if ok {
		p.aim()
	}
	return ok, nil, nil
}

// digits looks for digits in a packet. What it gives is of the goroutine that receives, until the next packet.
func (p *Port) digits(b []byte, h rtpstat.Header, payload []byte) (pass bool, done []dtmf.Digit, report func(byte, time.Duration)) {
	d := p.heard
	d.count = 0
	if pass = d.packet(h, payload); pass {
		d.rename(b, h.PT)
	}
	if d.Report == nil {
		return pass, nil, nil
	}
	return pass, d.finished[:d.count], d.Report
}

// send protects a packet and sends it to this port's peer.
func (p *Port) send(now time.Time, b []byte, control bool) bool {
	p.tx.Lock()
	defer p.tx.Unlock()
	if p.gone || p.refuse && !control {
		return false
	}
	to, sock := p.to.Load(), p.rtp
	if control {
		to, sock = p.rtcpTo.Load(), p.rtcp
	}
	if to == nil {
		return false
	}
	var ok bool
	if control {
		b, ok = p.out.Control(b)
	} else {
		if p.said != nil {
			b = p.said.replace(b)
		}
		b, ok = p.out.Packet(now, b)
	}
	return ok && sock.send(b, to)
}

// Close gives the sockets and the port number back. What was connected with the port is disconnected.
func (p *Port) Close() {
	p.Disconnect()
	p.engine.forget(p)
	if p.worker != nil {
		p.worker.remove(p)
	}
	p.rx.Lock()
	p.tx.Lock()
	was := p.closed
	p.closed, p.gone = true, true
	if !was {
		p.rtp.close()
		p.rtcp.close()
	}
	p.tx.Unlock()
	p.rx.Unlock()
	if !was {
		p.ports.Release(p.number)
	}
}
