package relay

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/wire/sdp"
	"github.com/locktone/locktone/wire/srtp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for a packet that must come, however busy the machine is.
const patience = 20 * time.Second

var loopback = netip.MustParseAddr("127.0.0.1")

var ports = sync.OnceValue(func() *rtpport.Range {
	r, err := rtpport.New(46000, 47999)
	if err != nil {
		panic(err)
	}
	return r
})

func key(t testing.TB, s sdp.Suite) sdp.Crypto {
	t.Helper()
	if s == sdp.NoSuite {
		return sdp.Crypto{}
	}
	k, err := sdp.GenerateKey(rand.Reader, s)
	if err != nil {
		t.Fatal(err)
	}
	return sdp.Crypto{Tag: 1, Suite: s, Key: k}
}

// phone is a peer of one port: sockets and contexts of its own.
type phone struct {
	t         testing.TB
	rtp, rtcp *net.UDPConn
	rx        *srtp.Receiver
	tx        *srtp.Sender
	port      *Port
	seq       uint16
	buf       [2000]byte
	side      Side
}

func listenUDP(t testing.TB) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func local(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

func newPhone(t testing.TB, e *Engine, suite sdp.Suite, policy Latching) *phone {
	t.Helper()
	p := &phone{t: t, rtp: listenUDP(t), rtcp: listenUDP(t)}
	var err error
	if p.port, err = e.Open(loopback, ports(), policy); err != nil {
		t.Fatal(err)
	}
	p.side = Side{Remote: local(p.rtp), RemoteRTCP: local(p.rtcp), Rx: key(t, suite), Tx: key(t, suite)}
	p.agree()
	return p
}

// agree puts p.side in force at both ends.
func (p *phone) agree() {
	p.t.Helper()
	var err error
	if p.side.Tx.Suite != sdp.NoSuite {
		if p.rx, err = srtp.NewReceiver(p.side.Tx); err != nil {
			p.t.Fatal(err)
		}
		if p.tx, err = srtp.NewSender(p.side.Rx); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := p.port.Set(time.Now(), p.side); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) packet(payload string) []byte {
	p.seq++
	b := append(rtpstat.Header{PT: 0, Seq: p.seq, Stamp: uint32(p.seq) * 160, SSRC: 42}.Append(nil), payload...)
	if p.tx != nil {
		var err error
		if b, err = p.tx.RTP(nil, b); err != nil {
			p.t.Fatal(err)
		}
	}
	return b
}

func (p *phone) sendFrom(c *net.UDPConn, b []byte, control bool) {
	p.t.Helper()
	n := p.port.Number()
	if control {
		n++
	}
	if _, err := c.WriteToUDPAddrPort(b, netip.AddrPortFrom(loopback, n)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *phone) send(payload string) { p.sendFrom(p.rtp, p.packet(payload), false) }

// hearOn receives one packet and unprotects it; "" is nothing within wait.
func (p *phone) hearOn(c *net.UDPConn, wait time.Duration) string {
	p.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(wait))
	n, _, err := c.ReadFromUDPAddrPort(p.buf[:])
	if err != nil {
		return ""
	}
	b := p.buf[:n]
	if p.rx != nil {
		var v srtp.Verdict
		if b, v = p.rx.RTP(nil, b); v != srtp.Accepted {
			return "packet that is " + v.String()
		}
	}
	_, payload, ok := rtpstat.Parse(b)
	if !ok {
		return "no RTP"
	}
	return string(payload)
}

func (p *phone) hears(want string) {
	p.t.Helper()
	if got := p.hearOn(p.rtp, patience); got != want {
		p.t.Errorf("heard %q, want %q", got, want)
	}
}

func start(t testing.TB) *Engine {
	t.Helper()
	e, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestEveryCombination(t *testing.T) {
	e := start(t)
	all := append(sdp.Suites(), sdp.NoSuite)
	for _, sa := range all {
		for _, sb := range all {
			t.Run(fmt.Sprintf("%v to %v", sa, sb), func(t *testing.T) {
				a, b := newPhone(t, e, sa, Signalled), newPhone(t, e, sb, Signalled)
				Connect(a.port, b.port)
				for i := range 3 {
					a.send(fmt.Sprint("from a ", i))
					b.hears(fmt.Sprint("from a ", i))
					b.send(fmt.Sprint("from b ", i))
					a.hears(fmt.Sprint("from b ", i))
				}
				in, out := a.port.Counters()
				want := uint64(3)
				if sa == sdp.NoSuite {
					want = 0
				}
				if in.Packets != 3 || out.Packets != 3 || in.Authenticated != want || out.Authenticated != want {
					t.Errorf("in %+v out %+v", in, out)
				}
				a.port.Close()
				b.port.Close()
			})
		}
	}
	if n := ports().InUse(); n != 0 || e.Ports() != 0 {
		t.Errorf("%d pairs and %d ports are still open", n, e.Ports())
	}
}

func TestRTCPBothOnItsPortAndMuxed(t *testing.T) {
	e := start(t)
	a, b := newPhone(t, e, sdp.AEAD_AES_128_GCM, Signalled), newPhone(t, e, sdp.NoSuite, Signalled)
	Connect(a.port, b.port)
	report := []byte{0x80, 201, 0, 1, 0, 0, 0, 42}
	for i, from := range []*net.UDPConn{a.rtcp, a.rtp} {
		wire, err := a.tx.RTCP(nil, report)
		if err != nil {
			t.Fatal(err)
		}
		a.sendFrom(from, wire, i == 0)
		_ = b.rtcp.SetReadDeadline(time.Now().Add(patience))
		n, err := b.rtcp.Read(b.buf[:])
		if err != nil || !bytes.Equal(b.buf[:n], report) {
			t.Errorf("report %d arrived as %x, %v", i, b.buf[:n], err)
		}
	}
	b.sendFrom(b.rtcp, report, true)
	_ = a.rtcp.SetReadDeadline(time.Now().Add(patience))
	n, err := a.rtcp.Read(a.buf[:])
	if err != nil {
		t.Fatal(err)
	}
	if got, v := a.rx.RTCP(nil, a.buf[:n]); v != srtp.Accepted || !bytes.Equal(got, report) {
		t.Errorf("%v %x", v, got)
	}
}

// TestNothingWrongPasses: each kind of packet that was not agreed is dropped and counted under its name.
func TestNothingWrongPasses(t *testing.T) {
	e := start(t)
	secure, plain := newPhone(t, e, sdp.AES_CM_128_HMAC_SHA1_80, Signalled), newPhone(t, e, sdp.NoSuite, Signalled)
	Connect(secure.port, plain.port)
	stranger := listenUDP(t)
	clear := append(rtpstat.Header{SSRC: 9}.Append(nil), make([]byte, 160)...)
	good := secure.packet("once")
	secure.sendFrom(secure.rtp, clear, false)
	secure.sendFrom(secure.rtp, append(clear, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10), false)
	secure.sendFrom(secure.rtp, []byte("x"), false)
	secure.sendFrom(secure.rtp, good, false)
	plain.hears("once")
	secure.sendFrom(secure.rtp, good, false)
	plain.sendFrom(stranger, clear, false)
	plain.sendFrom(plain.rtp, []byte{1}, false)
	secure.send("after all that")
	plain.hears("after all that")
	plain.send("too")
	secure.hears("too")
	in, _ := secure.port.Counters()
	if in.PlainDropped != 1 || in.Failed != 1 || in.Malformed != 1 || in.Replayed != 1 || in.Packets != 2 {
		t.Errorf("secure side: %+v", in)
	}
	if in, _ = plain.port.Counters(); in.WrongSource != 1 || in.Malformed != 1 || in.Packets != 1 {
		t.Errorf("plain side: %+v", in)
	}
}

// TestNoKeystreamTwice: a plain sender that repeats its numbers must not make us encrypt twice with one keystream.
func TestNoKeystreamTwice(t *testing.T) {
	e := start(t)
	plain, secure := newPhone(t, e, sdp.NoSuite, Signalled), newPhone(t, e, sdp.AEAD_AES_256_GCM, Signalled)
	Connect(plain.port, secure.port)
	plain.send("first")
	secure.hears("first")
	plain.seq--
	plain.send("another text under the same number")
	plain.send("next")
	secure.hears("next")
	if _, out := secure.port.Counters(); out.Packets != 2 || out.Replayed != 1 {
		t.Errorf("%+v", out)
	}
}

func TestFollowsTheKeyHolder(t *testing.T) {
	e := start(t)
	a, b := newPhone(t, e, sdp.AEAD_AES_128_GCM, Signalled), newPhone(t, e, sdp.NoSuite, Signalled)
	Connect(a.port, b.port)
	moved := listenUDP(t)
	a.sendFrom(moved, a.packet("from elsewhere"), false)
	b.hears("from elsewhere")
	b.send("there you are")
	if got := a.hearOn(moved, patience); got != "there you are" {
		t.Errorf("heard %q", got)
	}
}

func TestReofferKeepsContextAndRekeyChangesIt(t *testing.T) {
	e := start(t)
	a, b := newPhone(t, e, sdp.AEAD_AES_128_GCM, Signalled), newPhone(t, e, sdp.NoSuite, Signalled)
	Connect(a.port, b.port)
	a.seq = 65000
	for range 700 { // over the roll-over
		a.send("x")
		b.hears("x")
	}
	if err := a.port.Set(time.Now(), a.side); err != nil {
		t.Fatal(err)
	}
	a.send("same key")
	b.hears("same key")
	late := a.packet("on its way while the key changed")
	a.side.Rx, a.side.Tx = key(t, sdp.AES_CM_128_HMAC_SHA1_80), key(t, sdp.AES_CM_128_HMAC_SHA1_80)
	a.agree()
	a.sendFrom(a.rtp, late, false)
	b.hears("on its way while the key changed")
	a.send("new key")
	b.hears("new key")
	b.send("and back")
	a.hears("and back")
	if in, _ := a.port.Counters(); in.Failed+in.Replayed != 0 {
		t.Errorf("%+v", in)
	}
}

func TestMuteDisconnectReconnectClose(t *testing.T) {
	e := start(t)
	a, b, c := newPhone(t, e, sdp.NoSuite, Signalled), newPhone(t, e, sdp.NoSuite, Signalled), newPhone(t, e, sdp.NoSuite, Signalled)
	Connect(a.port, b.port)
	b.side.Mute = true
	b.agree()
	a.send("nobody wants to hear this")
	b.send("but I talk")
	a.hears("but I talk")
	Connect(a.port, c.port)
	b.send("to nobody")
	c.send("me now")
	a.hears("me now")
	c.port.Close()
	c.port.Close()
	if err := c.port.Set(time.Now(), c.side); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	a.send("into the void")
	for _, p := range []*phone{b, c} {
		if got := p.hearOn(p.rtp, 20*time.Millisecond); got != "" {
			t.Errorf("heard %q", got)
		}
	}
}

func TestIPv6(t *testing.T) {
	six := netip.MustParseAddr("::1")
	c, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(six, 0)))
	if err != nil {
		t.Skip("no IPv6 loopback on this machine")
	}
	defer c.Close()
	e := start(t)
	p, err := e.Open(six, ports(), Signalled)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Set(time.Now(), Side{Remote: local(c), RemoteRTCP: local(c)}); err != nil {
		t.Fatal(err)
	}
	b := newPhone(t, e, sdp.NoSuite, Signalled)
	Connect(p, b.port)
	packet := append(rtpstat.Header{Seq: 1}.Append(nil), "six"...)
	if _, err := c.WriteToUDPAddrPort(packet, netip.AddrPortFrom(six, p.Number())); err != nil {
		t.Fatal(err)
	}
	b.hears("six")
	b.send("four")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	var buf [100]byte
	if n, err := c.Read(buf[:]); err != nil || string(buf[12:n]) != "four" {
		t.Errorf("%q %v", buf[:n], err)
	}
}

// TestPortsComeAndGo opens and closes under traffic, so that the race detector and a reused descriptor have their chance.
func TestPortsComeAndGo(t *testing.T) {
	e := start(t)
	a := newPhone(t, e, sdp.NoSuite, Signalled)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		packet := append(rtpstat.Header{}.Append(nil), make([]byte, 160)...)
		for n := uint16(0); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(200 * time.Microsecond):
				binary.BigEndian.PutUint16(packet[2:], n)
				a.sendFrom(a.rtp, packet, false)
			}
		}
	})
	for range 150 {
		b := newPhone(t, e, sdp.AEAD_AES_128_GCM, Signalled)
		Connect(a.port, b.port)
		b.send("x")
		b.port.Close()
	}
	close(stop)
	wg.Wait()
	if n := e.Ports(); n != 1 {
		t.Errorf("%d ports are open", n)
	}
}

func TestNoAllocationPerPacket(t *testing.T) {
	e := start(t)
	a, b := newPhone(t, e, sdp.AES_CM_128_HMAC_SHA1_80, Signalled), newPhone(t, e, sdp.AEAD_AES_128_GCM, Signalled)
	Connect(a.port, b.port)
	var wires [1200][]byte
	for i := range wires {
		wires[i] = append(make([]byte, 0, bufferSize), a.packet("a frame of twenty milliseconds")...)
	}
	now, from, i := time.Now(), local(a.rtp), 0
	n := testing.AllocsPerRun(1000, func() {
		if !a.port.packet(now, wires[i], from, false) {
			t.Fatal("not passed on")
		}
		i++
	})
	if n > 0 {
		t.Errorf("%.1f allocations per packet", n)
	}
}

// BenchmarkForward is one packet through Port.packet: checks, crypto and the sendto system call; the receiving system
// call and epoll_wait come on top.
func BenchmarkForward(b *testing.B) {
	for _, x := range []struct {
		name   string
		sa, sb sdp.Suite
	}{{"RTP-RTP", 0, 0}, {"SRTP80-RTP", sdp.AES_CM_128_HMAC_SHA1_80, 0}, {"GCM-RTP", sdp.AEAD_AES_128_GCM, 0},
		{"SRTP80-SRTP80", sdp.AES_CM_128_HMAC_SHA1_80, sdp.AES_CM_128_HMAC_SHA1_80}, {"GCM-GCM", sdp.AEAD_AES_256_GCM, sdp.AEAD_AES_256_GCM}} {
		b.Run(x.name, func(b *testing.B) {
			e := start(b)
			p, q := newPhone(b, e, x.sa, Signalled), newPhone(b, e, x.sb, Signalled)
			Connect(p.port, q.port)
			wires := make([][]byte, b.N)
			for i := range wires {
				wires[i] = append(make([]byte, 0, 300), p.packet(string(make([]byte, 160)))...)
			}
			now, from := time.Now(), local(p.rtp)
			b.ReportAllocs()
			b.ResetTimer()
			for _, w := range wires {
				p.port.packet(now, w, from, false)
			}
		})
	}
}
