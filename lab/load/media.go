package load

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

// A Pump sends for many legs: 50 packets a second each, spread over the 20 ms so that no burst of all legs arises. What comes
// back is authenticated, counted, and its time on the way taken from the payload, both ends being here.
type Pump struct {
	stats *stats
	stop  chan struct{}
	done  sync.WaitGroup
	begin time.Time

	mu    sync.Mutex
	slots [20][]*Leg // one for each millisecond
	next  int
}

// NewPump starts a pump. Close ends it.
func NewPump() *Pump { return newPump(&stats{}) }

func newPump(s *stats) *Pump {
	p := &Pump{stats: s, stop: make(chan struct{}), begin: time.Now()}
	p.done.Go(p.run)
	return p
}

// Counts are the packets so far.
func (p *Pump) Counts() MediaCounts { return p.stats.media() }

// Close ends the pump; legs are closed one by one.
func (p *Pump) Close() {
	close(p.stop)
	p.done.Wait()
}

// run sends what is due at every millisecond; after a late wake-up it catches up.
func (p *Pump) run() {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	at := int64(0)
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
		for now := time.Since(p.begin).Milliseconds(); at <= now; at++ {
			p.mu.Lock()
			due := p.slots[at%int64(len(p.slots))]
			p.mu.Unlock()
			for _, l := range due {
				l.send()
			}
		}
	}
}

// A Leg is one end of one stream: a socket, our key, the other end's key.
type Leg struct {
	p     *Pump
	slot  int
	sock  *net.UDPConn
	own   *srtp.Sender
	to    atomic.Pointer[netip.AddrPort]
	peer  atomic.Pointer[srtp.Receiver]
	plain atomic.Bool // the other end sends RTP in clear

	packet []byte // of the pump's goroutine
	seq    uint16
	stamp  uint32

	closing sync.Once
	high    uint16 // of the reader
	seen    bool
}

// payload is 20 ms of G.711.
const payload = 160

// Leg opens a socket on ip. own is the key we send with; nil: RTP in clear.
func (p *Pump) Leg(ip netip.Addr, own *sdp.Crypto) (*Leg, error) {
	sock, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil, err
	}
	l := &Leg{p: p, sock: sock, packet: make([]byte, 12+payload, 12+payload+64)}
	if own != nil {
		if l.own, err = srtp.NewSender(*own); err != nil {
			sock.Close()
			return nil, err
		}
	}
	l.packet[0] = 0x80 // version 2, PCMU
	l.seq, l.stamp = uint16(rand.Uint32()), rand.Uint32()
	binary.BigEndian.PutUint32(l.packet[8:], rand.Uint32())
	for i := range payload {
		l.packet[12+i] = 0xff // silence
	}
	p.done.Go(l.read)
	return l, nil
}

// Addr is the leg's socket.
func (l *Leg) Addr() netip.AddrPort { return l.sock.LocalAddr().(*net.UDPAddr).AddrPort() }

// Answer takes the other end's SDP and begins to send.
func (l *Leg) Answer(body []byte) error {
	to, err := mediaAt(body)
	if err != nil {
		return err
	}
	crypto, _ := cryptoOffered(body)
	return l.Start(to, crypto)
}

// Start sends to an address from now on, and expects what comes under the key; the zero key: RTP in clear.
func (l *Leg) Start(to netip.AddrPort, peer sdp.Crypto) error {
	if peer.IsZero() {
		l.plain.Store(true)
	} else {
		r, err := srtp.NewReceiver(peer)
		if err != nil {
			return err
		}
		l.peer.Store(r)
	}
	if l.to.Swap(&to) != nil {
		return fmt.Errorf("load: a leg was started twice")
	}
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.slot = l.p.next % len(l.p.slots)
	l.p.next++
	l.p.slots[l.slot] = append(append([]*Leg(nil), l.p.slots[l.slot]...), l)
	return nil
}

// send sends the next packet.
func (l *Leg) send() {
	b := l.packet
	l.seq++
	l.stamp += payload
	binary.BigEndian.PutUint16(b[2:], l.seq)
	binary.BigEndian.PutUint32(b[4:], l.stamp)
	binary.BigEndian.PutUint64(b[12:], uint64(time.Since(l.p.begin)))
	if l.own != nil {
		var err error
		var room [12 + payload + 64]byte
		if b, err = l.own.RTP(room[:0], b); err != nil {
			return
		}
	}
	if _, err := l.sock.WriteToUDPAddrPort(b, *l.to.Load()); err == nil {
		l.p.stats.sent.Add(1)
	}
}

// read counts what arrives until the leg is closed.
func (l *Leg) read() {
	buf := make([]byte, 2048)
	s := l.p.stats
	for {
		n, _, err := l.sock.ReadFromUDPAddrPort(buf)
		if err != nil {
			if l.to.Load() == nil || !isClosed(err) {
				if isClosed(err) {
					return
				}
				continue // an ICMP answer to what we sent
			}
			return
		}
		b := buf[:n]
		if n < 12 || b[1]&0x7f >= 64 && b[1]&0x7f < 96 { // RTCP
			continue
		}
		r := l.peer.Load()
		if r == nil && !l.plain.Load() { // before the other end's SDP: nothing to check it with
			s.early.Add(1)
			continue
		}
		s.received.Add(1)
		if r != nil {
			out, verdict := r.RTP(b[:0], b)
			if verdict != srtp.Accepted {
				s.rejected.Add(1)
				continue
			}
			s.authenticated.Add(1)
			b = out
		}
		l.measure(b)
	}
}

// measure notes gaps and the time on the way.
func (l *Leg) measure(b []byte) {
	seq := binary.BigEndian.Uint16(b[2:])
	if gap := seq - l.high; l.seen && gap > 1 && gap < 1000 {
		l.p.stats.lostPackets.Add(uint64(gap - 1))
	}
	if !l.seen || seq-l.high < 0x8000 {
		l.high, l.seen = seq, true
	}
	if len(b) == 12+payload {
		if d := time.Since(l.p.begin) - time.Duration(binary.BigEndian.Uint64(b[12:])); d >= 0 && d < time.Minute {
			l.p.stats.delay.add(d)
		}
	}
}

// Close ends the leg.
func (l *Leg) Close() {
	l.closing.Do(func() {
		l.p.mu.Lock()
		kept := make([]*Leg, 0, len(l.p.slots[l.slot]))
		for _, other := range l.p.slots[l.slot] {
			if other != l {
				kept = append(kept, other)
			}
		}
		l.p.slots[l.slot] = kept
		l.p.mu.Unlock()
		l.sock.Close()
	})
}
