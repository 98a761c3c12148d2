package media

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/rtpport"
	"github.com/locktone/locktone/media/rtpstat"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testPorts is a range that other packages' tests do not use by default.
var testPorts = sync.OnceValue(func() *rtpport.Range {
	r, err := rtpport.New(42000, 43999)
	if err != nil {
		panic(err)
	}
	return r
})

// open is a phone with sockets of the host.
func open(t testing.TB, caps desc.Caps) *Stream {
	t.Helper()
	return openOn(t, testPorts(), caps)
}

func openOn(t testing.TB, ports *rtpport.Range, caps desc.Caps) *Stream {
	t.Helper()
	s, err := OpenStream(StreamConfig{Caps: caps, Ports: ports})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// exchange lets a offer and b answer.
func exchange(t testing.TB, a, b *Stream) {
	t.Helper()
	offer, err := a.Offer()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := b.Answer(offer)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Accept(answer); err != nil {
		t.Fatal(err)
	}
}

// eventually waits for a condition, looking every few milliseconds; media takes real time.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("after 20 s still not: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func hears(s *Stream, hz float64) bool {
	return math.Abs(s.Evidence().ToneHz-hz) < hz/100
}

func TestToneBothWaysInEverySuite(t *testing.T) {
	for _, suite := range append(sdp.Suites(), sdp.NoSuite) {
		t.Run("suite "+suite.String(), func(t *testing.T) {
			t.Parallel()
			caps := desc.Caps{Suites: []sdp.Suite{suite}}
			if suite == sdp.NoSuite {
				caps = desc.Caps{Security: desc.Forbidden}
			}
			a, b := open(t, caps), open(t, caps)
			exchange(t, a, b)
			a.Start(tone.NewSine(1000, -10))
			b.Start(tone.NewSine(440, -10))
			eventually(t, "tones heard", func() bool { return hears(a, 440) && hears(b, 1000) })
			for _, s := range []*Stream{a, b} {
				e := s.Evidence()
				want := e.Rx.Packets
				if suite == sdp.NoSuite {
					want = 0
				}
				if e.Suite != suite || e.Rx.Authenticated != want || e.Rx.Packets < 10 || e.Rx.Failed+e.Rx.Replayed+e.Rx.PlainDropped+e.Rx.WrongSource != 0 {
					t.Errorf("%+v", e)
				}
			}
		})
	}
}

func TestDigitsBothWays(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		exchange(t, a, b)
		for _, way := range []struct{ from, to *Stream }{{a, b}, {b, a}} {
			sent, err := way.from.SendDigits("19*#D")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for len(got) < 5 {
				select {
				case d := <-way.to.Digits():
					got += string(d.Key)
					if d.Duration != 100*time.Millisecond {
						t.Errorf("%c lasted %v", d.Key, d.Duration)
					}
				case <-time.After(5 * time.Second):
					t.Fatalf("received only %q", got)
				}
			}
			<-sent
			if got != "19*#D" {
				t.Errorf("received %q", got)
			}
		}
		if _, err := a.SendDigits("1x"); err == nil {
			t.Error("x is no digit")
		}
	})
}

// TestHoldResumeRekey: the roll-over counter and replay window survive a re-offer with the same keys, and a rekey loses
// nothing that can be heard.
func TestHoldResumeRekey(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		exchange(t, a, b)
		a.Start(tone.NewSine(1000, -10))
		b.Start(tone.NewSine(440, -10))
		eventually(t, "tones heard", func() bool { return hears(a, 440) && hears(b, 1000) })
		before, _ := a.Negotiated()

		a.SetDirection(sdp.SendOnly)
		exchange(t, a, b)
		if n, _ := b.Negotiated(); !n.Held || n.Direction != sdp.RecvOnly {
			t.Errorf("b is not held: %+v", n.Direction)
		}
		eventually(t, "a hears nothing", func() bool { return a.Evidence().ToneHz == 0 && a.Evidence().LevelDBm == tone.NoLevel })
		if !hears(b, 1000) {
			t.Error("b does not hear the holder's sound")
		}
		a.SetDirection(sdp.SendRecv)
		exchange(t, a, b)
		eventually(t, "a hears again", func() bool { return hears(a, 440) })
		if after, _ := a.Negotiated(); after.Tx != before.Tx || after.Rx != before.Rx {
			t.Error("hold and resume changed the keys")
		}

		a.Rekey()
		exchange(t, a, b)
		if after, _ := a.Negotiated(); after.Tx.SameKey(before.Tx) {
			t.Error("rekey did not change the key")
		}
		marker := b.Evidence().Rx.Authenticated
		eventually(t, "a second of packets under the new key", func() bool { return b.Evidence().Rx.Authenticated > marker+50 })
		eventually(t, "tones heard after the rekey", func() bool { return hears(a, 440) && hears(b, 1000) })
		for _, s := range []*Stream{a, b} {
			if e := s.Evidence(); e.Rx.Failed+e.Rx.Replayed+e.Rx.PlainDropped != 0 || e.Rx.Packets != e.Rx.Authenticated {
				t.Errorf("after the rekey: %+v", e)
			}
		}
	})
}

// TestIntruder: what somebody without the key sends is dropped, counted, and changes nothing.
func TestIntruder(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		exchange(t, a, b)
		b.Start(tone.NewSine(440, -10))
		eventually(t, "tone heard", func() bool { return hears(a, 440) })
		conn := s.stranger()
		for i := range 20 {
			h := rtpstat.Header{Seq: uint16(i), SSRC: 77}
			_, _ = conn.WriteToUDPAddrPort(append(h.Append(nil), make([]byte, 160)...), a.Addr())
			_, _ = conn.WriteToUDPAddrPort(append(h.Append(nil), make([]byte, 170)...), a.Addr())
			_, _ = conn.WriteToUDPAddrPort([]byte("rubbish"), a.Addr())
		}
		eventually(t, "all of it counted", func() bool {
			e := a.Evidence()
			return e.Rx.PlainDropped == 20 && e.Rx.Failed == 20 && e.Rx.Malformed == 20
		})
		if e := a.Evidence(); e.Remote != b.Addr().String() || e.Rx.SSRCs != 1 || !hears(a, 440) {
			t.Errorf("the intruder moved the stream: %+v", e)
		}
	})
}

func TestPlainTakesOnlyTheSignalledSource(t *testing.T) {
	t.Parallel()
	a, b := open(t, desc.Caps{Security: desc.Forbidden}), open(t, desc.Caps{Security: desc.Forbidden})
	exchange(t, a, b)
	conn, err := net.Dial("udp", a.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = conn.Write(append(rtpstat.Header{SSRC: 77}.Append(nil), make([]byte, 160)...))
	eventually(t, "counted", func() bool { return a.Evidence().Rx.WrongSource == 1 })
}

func TestReports(t *testing.T) {
	now := time.Unix(1000, 0)
	a, b := testCore(t), testCore(t)
	key := func() sdp.Crypto {
		k, _ := CryptoKeys{}.Key(sdp.AEAD_AES_128_GCM)
		return sdp.Crypto{Tag: 1, Suite: sdp.AEAD_AES_128_GCM, Key: k}
	}
	ka, kb := key(), key()
	connect := func(c *core, tx, rx sdp.Crypto, port uint16) {
		err := c.apply(now, desc.Stream{Send: desc.G711()[0], Recv: desc.G711(), Direction: sdp.SendRecv,
			Remote: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, RTCP: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, RemotePort: port, RTCPPort: port + 1, Tx: tx, Rx: rx})
		if err != nil {
			t.Fatal(err)
		}
	}
	connect(a, ka, kb, 2000)
	connect(b, kb, ka, 1000)
	from := netip.MustParseAddrPort("127.0.0.1:1000")
	for i := range 300 {
		_, p, to := a.tick(now)
		if to != netip.MustParseAddrPort("127.0.0.1:2000") {
			t.Fatal(to)
		}
		if i%10 != 3 { // one of ten is lost
			b.receive(now, p, from)
		}
		b.tick(now)
		if r, to := a.report(now); r != nil {
			if to.Port() != 2001 {
				t.Errorf("report to %v", to)
			}
			b.receiveRTCP(now, r, netip.MustParseAddrPort("127.0.0.1:1001"))
		}
		if r, _ := b.report(now); r != nil {
			a.receiveRTCP(now, r, netip.MustParseAddrPort("127.0.0.1:2001"))
		}
		now = now.Add(FrameTime)
	}
	if a.in.Counters().RTCP != 1 || b.in.Counters().RTCP != 1 || b.srMiddle == 0 {
		t.Errorf("reports received: %d, %d", a.in.Counters().RTCP, b.in.Counters().RTCP)
	}
	if e := b.evidence(); e.Rx.Lost != 30 || e.Rx.Packets != 270 {
		t.Errorf("30 of 300 were lost: %+v", e.Rx)
	}
	r, _ := b.in.Report()
	if block := b.block(now, r); block.LastSenderReport == 0 || block.Delay == 0 {
		t.Errorf("%+v", block)
	}
}

func testCore(t testing.TB) *core {
	t.Helper()
	c, err := newCore(0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type samples struct {
	mu  sync.Mutex
	pcm []int16
	max int
}

func (s *samples) WritePCM(p []int16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pcm = append(s.pcm, p...); len(s.pcm) >= s.max {
		return errors.New("full")
	}
	return nil
}

func TestPlayRecordAndClose(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		exchange(t, a, b)
		rec := &samples{max: 8000}
		b.Record(rec)
		clip := make([]int16, 4000)
		_, _ = tone.NewSine(800, -10).ReadPCM(clip)
		if err := a.Play(context.Background(), tone.NewClip(clip)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := a.Play(ctx, tone.NewSine(100, 0)); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		eventually(t, "recorded", func() bool { rec.mu.Lock(); defer rec.mu.Unlock(); return len(rec.pcm) >= 8000 })
		loud := 0
		for _, v := range rec.pcm {
			if v > 500 || v < -500 {
				loud++
			}
		}
		if loud < 3000 || loud > 3600 {
			t.Errorf("%d loud samples were recorded; 3200 of the 4000 played are loud", loud)
		}
		forever := a.Start(tone.Silence{})
		sent, _ := a.SendDigits("1234567890")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		<-forever
		<-sent
		<-a.Done()
		if _, err := a.Offer(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := a.Play(context.Background(), tone.Silence{}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, more := <-a.Digits(); more {
			t.Error("a digit out of a closed stream")
		}
	})
}

func TestEvidenceShowsNoKeys(t *testing.T) {
	t.Parallel()
	a, b := open(t, desc.Caps{}), open(t, desc.Caps{})
	exchange(t, a, b)
	n, _ := a.Negotiated()
	j, err := json.Marshal(a.Evidence())
	if err != nil {
		t.Fatal(err)
	}
	nj, _ := json.Marshal(n)
	offer, _ := a.Offer()
	_, inline, _ := strings.Cut(string(offer), "inline:")
	inline = inline[:30]
	all := string(j) + string(nj) + fmt.Sprintf("%v %+v %#v", n, a.e, n) + string(sdp.Redact(offer))
	if strings.Contains(all, inline) {
		t.Error("a key is shown")
	}
	if !strings.Contains(string(j), `"suite":"AEAD_AES_256_GCM"`) || !strings.Contains(string(j), `"tone_hz":0`) {
		t.Error(string(j))
	}
}

func FuzzReceive(f *testing.F) {
	f.Add(append(rtpstat.Header{PT: 0, SSRC: 1}.Append(nil), make([]byte, 160)...), uint8(0))
	f.Add(append(rtpstat.Header{PT: 101, SSRC: 1}.Append(nil), 1, 0x80, 0, 160), uint8(0))
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint8(1))
	f.Add([]byte{0x81, 201, 0, 1, 0, 0, 0, 1}, uint8(3))
	from := netip.MustParseAddrPort("127.0.0.1:2000")
	f.Fuzz(func(t *testing.T, b []byte, how uint8) {
		c := testCore(t)
		n := desc.Stream{Send: desc.G711()[0], Recv: desc.G711(), Direction: sdp.SendRecv,
			Remote: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, RTCP: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, RemotePort: 2000, RTCPPort: 2000}
		if how&2 != 0 {
			k, _ := CryptoKeys{}.Key(sdp.AEAD_AES_128_GCM)
			n.Tx = sdp.Crypto{Tag: 1, Suite: sdp.AEAD_AES_128_GCM, Key: k}
			n.Rx = n.Tx
		}
		now := time.Unix(1, 0)
		if err := c.apply(now, n); err != nil {
			t.Fatal(err)
		}
		if how&1 != 0 {
			c.receiveRTCP(now, b, from)
		} else {
			c.receive(now, b, from)
		}
		if n.Secure() && c.in.Counters().Packets+c.in.Counters().RTCP != 0 {
			t.Error("accepted under a fresh key")
		}
		c.tick(now)
		c.evidence()
	})
}
