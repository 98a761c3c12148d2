package srtp

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/locktone/locktone/wire/sdp"
)

func crypto(t testing.TB, s sdp.Suite) sdp.Crypto {
	t.Helper()
	k, err := sdp.GenerateKey(rand.Reader, s)
	if err != nil {
		t.Fatal(err)
	}
	return sdp.Crypto{Tag: 1, Suite: s, Key: k}
}

func packet(seq uint16, ssrc uint32, payload string) []byte {
	b := make([]byte, 12, 12+len(payload)+Overhead)
	b[0], b[1] = 0x80, 0
	binary.BigEndian.PutUint16(b[2:], seq)
	binary.BigEndian.PutUint32(b[4:], uint32(seq)*160)
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return append(b, payload...)
}

func pair(t testing.TB, c sdp.Crypto) (*Sender, *Receiver) {
	t.Helper()
	s, err := NewSender(c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReceiver(c)
	if err != nil {
		t.Fatal(err)
	}
	return s, r
}

func TestEverySuiteBothWays(t *testing.T) {
	for _, suite := range sdp.Suites() {
		for _, mkiLen := range []int{0, 1, 4} {
			c := crypto(t, suite)
			c.MKILen, c.MKI = mkiLen, uint64(mkiLen)
			s, r := pair(t, c)
			plain := packet(7, 99, "hello, this is a voice")
			wire, err := s.RTP(nil, plain)
			if err != nil || bytes.Contains(wire, plain[12:]) {
				t.Fatalf("%v: err %v, or the payload can be read", suite, err)
			}
			if len(wire) > len(plain)+Overhead {
				t.Errorf("%v: %d octets added, Overhead says %d", suite, len(wire)-len(plain), Overhead)
			}
			again := bytes.Clone(wire)
			if got, v := r.RTP(wire[:0], wire); v != Accepted || !bytes.Equal(got, plain) {
				t.Errorf("%v mki %d: in place: %v %x", suite, mkiLen, v, got)
			}
			if _, v := r.RTP(nil, again); v != Replayed {
				t.Errorf("%v mki %d: the same packet again is %v", suite, mkiLen, v)
			}
			report := []byte{0x80, 201, 0, 1, 0, 0, 0, 99}
			rtcp, err := s.RTCP(nil, report)
			if err != nil {
				t.Fatal(err)
			}
			if got, v := r.RTCP(nil, rtcp); v != Accepted || !bytes.Equal(got, report) {
				t.Errorf("%v: RTCP %v %x", suite, v, got)
			}
			if _, v := r.RTCP(nil, rtcp); v != Replayed {
				t.Errorf("%v: RTCP again is %v", suite, v)
			}
		}
	}
}

func TestVerdicts(t *testing.T) {
	for _, suite := range sdp.Suites() {
		s, r := pair(t, crypto(t, suite))
		wire, _ := s.RTP(nil, packet(1, 5, "payload"))
		flipped := bytes.Clone(wire)
		flipped[13] ^= 1
		other, _ := pair(t, crypto(t, suite))
		foreign, _ := other.RTP(nil, packet(2, 5, "payload"))
		for what, x := range map[string]struct {
			in   []byte
			want Verdict
		}{
			"one bit": {flipped, Failed}, "another key": {foreign, Failed}, "plain": {packet(3, 5, "payload"), Failed},
			"short": {wire[:11], Malformed}, "version": {append([]byte{0}, wire[1:]...), Malformed}, "empty": {nil, Malformed},
			"cut tag": {wire[:len(wire)-1], Failed},
		} {
			if out, v := r.RTP(nil, x.in); v != x.want || out != nil {
				t.Errorf("%v: %s is %v, want %v", suite, what, v, x.want)
			}
		}
		if _, v := r.RTP(nil, wire); v != Accepted {
			t.Errorf("%v: the good packet after all those is %v", suite, v)
		}
	}
}

// TestRollover goes twice around the sequence numbers with loss and disorder: the roll-over counters must stay together.
func TestRollover(t *testing.T) {
	s, r := pair(t, crypto(t, sdp.AEAD_AES_128_GCM))
	late := []byte(nil)
	for i := 65000; i < 65000+140000; i++ {
		wire, err := s.RTP(nil, packet(uint16(i), 1, "x"))
		if err != nil {
			t.Fatal(i, err)
		}
		switch i % 97 {
		case 3: // lost
		case 5:
			late = wire
		default:
			if _, v := r.RTP(nil, wire); v != Accepted {
				t.Fatalf("packet %d: %v", i, v)
			}
		}
		if late != nil && i%97 == 60 {
			if _, v := r.RTP(nil, late); v != Accepted {
				t.Fatalf("packet %d, late: %v", i-55, v)
			}
			late = nil
		}
	}
}

// TestSenderNeverReuses: whatever order numbers come in, no number is encrypted twice.
func TestSenderNeverReuses(t *testing.T) {
	s, r := pair(t, crypto(t, sdp.AEAD_AES_256_GCM))
	send := func(seq uint16, payload string) error {
		wire, err := s.RTP(nil, packet(seq, 1, payload))
		if err == nil {
			if _, v := r.RTP(nil, wire); v != Accepted {
				t.Errorf("sequence number %d: sent, and %v", seq, v)
			}
		}
		return err
	}
	for _, x := range []struct {
		seq  uint16
		want error
	}{{1000, nil}, {1000, ErrReuse}, {1002, nil}, {1001, nil}, {1001, ErrReuse}, {1200, nil}, {1010, ErrReuse}, {1100, nil}, {1100, ErrReuse}} {
		if err := send(x.seq, "a"); !errors.Is(err, x.want) {
			t.Errorf("%d: %v, want %v", x.seq, err, x.want)
		}
	}
	fresh, _ := pair(t, crypto(t, sdp.AEAD_AES_256_GCM))
	if _, err := fresh.RTP(nil, packet(3, 1, "")); err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.RTP(nil, packet(65530, 1, "")); !errors.Is(err, ErrReuse) {
		t.Errorf("a number before the first: %v", err)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	s, r := pair(t, crypto(t, sdp.AES_CM_128_HMAC_SHA1_80))
	for i := range uint32(MaxSources) {
		wire, err := s.RTP(nil, packet(1, i, "x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, v := r.RTP(nil, wire); v != Accepted {
			t.Fatal(i, v)
		}
	}
	if _, err := s.RTP(nil, packet(1, 1<<20, "x")); !errors.Is(err, ErrTooMany) {
		t.Errorf("one source too many to send: %v", err)
	}
	if _, v := r.RTP(nil, packet(1, 1<<20, "xxxxxxxxxxxxxxxxx")); v != TooMany {
		t.Errorf("one source too many to receive: %v", v)
	}
}

func TestKeysStayInside(t *testing.T) {
	c := crypto(t, sdp.AES_CM_128_HMAC_SHA1_80)
	key, salt, _ := c.Key.Reveal(c.Suite)
	c.Suite = sdp.AEAD_AES_256_GCM // now the length is wrong
	_, err := NewSender(c)
	if err == nil {
		t.Fatal("a key of the wrong length was taken")
	}
	for _, part := range [][]byte{key, salt} {
		for _, form := range []string{hex.EncodeToString(part), string(part), fmt.Sprint(part)} {
			if strings.Contains(err.Error(), form) {
				t.Errorf("the error shows the key: %v", err)
			}
		}
	}
}

func TestNoAllocation(t *testing.T) {
	for _, suite := range sdp.Suites() {
		s, r := pair(t, crypto(t, suite))
		buf, seq := make([]byte, 0, 300), uint16(0)
		plain := packet(0, 9, strings.Repeat("v", 160))
		n := testing.AllocsPerRun(500, func() {
			seq++
			binary.BigEndian.PutUint16(plain[2:], seq)
			wire, err := s.RTP(buf[:0], plain)
			if err != nil {
				t.Fatal(err)
			}
			if _, v := r.RTP(wire[:0], wire); v != Accepted {
				t.Fatal(v)
			}
		})
		if n > 0 {
			t.Errorf("%v: %.0f allocations for a packet there and back", suite, n)
		}
	}
}

func BenchmarkThereAndBack(b *testing.B) {
	for _, suite := range sdp.Suites() {
		b.Run(suite.String(), func(b *testing.B) {
			s, r := pair(b, crypto(b, suite))
			buf, seq := make([]byte, 0, 300), uint16(0)
			plain := packet(0, 9, strings.Repeat("v", 160))
			b.ReportAllocs()
			for b.Loop() {
				seq++
				binary.BigEndian.PutUint16(plain[2:], seq)
				wire, _ := s.RTP(buf[:0], plain)
				if _, v := r.RTP(wire[:0], wire); v != Accepted {
					b.Fatal(v)
				}
			}
		})
	}
}

func FuzzReceive(f *testing.F) {
	for _, suite := range sdp.Suites() {
		s, _ := pair(f, crypto(f, suite))
		wire, _ := s.RTP(nil, packet(1, 2, "seed"))
		f.Add(wire)
		rtcp, _ := s.RTCP(nil, []byte{0x80, 201, 0, 1, 0, 0, 0, 99})
		f.Add(rtcp)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, suite := range sdp.Suites() {
			_, r := pair(t, crypto(t, suite))
			if out, v := r.RTP(nil, b); v == Accepted || out != nil {
				t.Errorf("%v: accepted under a fresh key", suite)
			}
			if out, v := r.RTCP(nil, b); v == Accepted || out != nil {
				t.Errorf("%v: RTCP accepted under a fresh key", suite)
			}
		}
	})
}
