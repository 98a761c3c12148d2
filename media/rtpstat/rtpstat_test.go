package rtpstat

import (
	"bytes"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	h := Header{PT: 101, Marker: true, Seq: 7, Stamp: 1 << 31, SSRC: 9}
	got, payload, ok := Parse(append(h.Append(nil), "voice"...))
	if !ok || got != h || string(payload) != "voice" {
		t.Errorf("%+v %q %v", got, payload, ok)
	}
	full := append([]byte{0xb1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 'c', 's', 'r', 'c', 0xbe, 0xde, 0, 1, 1, 2, 3, 4}, "voice\x00\x00\x03"...)
	if _, payload, ok = Parse(full); !ok || string(payload) != "voice" {
		t.Errorf("CSRC, extension and padding: %q %v", payload, ok)
	}
	for _, bad := range [][]byte{nil, full[:11], full[:14], {0x40}, append(h.Append(nil)[:0:0], 0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200)} {
		if _, _, ok := Parse(bad); ok {
			t.Errorf("%x is RTP", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Header{}.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, payload, ok := Parse(b)
		if !ok {
			return
		}
		if !bytes.Contains(b, payload) {
			t.Error("the payload is not of the packet")
		}
		var s Source
		s.Packet(h, time.Unix(0, 0), 8000)
		if s.Lost() != 0 {
			t.Errorf("one packet, %d lost", s.Lost())
		}
	})
}

// stream feeds packets of 20 ms; each entry is a sequence number and how late it comes in ms.
func stream(s *Source, ssrc uint32, packets ...[2]int) {
	start := time.Unix(1000, 0)
	for _, p := range packets {
		at := start.Add(time.Duration(p[0]*20+p[1]) * time.Millisecond)
		s.Packet(Header{Seq: uint16(p[0]), Stamp: uint32(p[0] * 160), SSRC: ssrc}, at, 8000)
	}
}

func TestLossOrderJitter(t *testing.T) {
	for _, x := range []struct {
		name    string
		packets [][2]int
		lost    int64
		ooo     uint64
		jitter  bool
	}{
		{"clean", [][2]int{{1, 0}, {2, 0}, {3, 0}}, 0, 0, false},
		{"one lost", [][2]int{{1, 0}, {3, 0}}, 1, 0, false},
		{"late", [][2]int{{1, 0}, {3, 0}, {2, 30}}, 0, 1, true},
		{"over the wrap", [][2]int{{65535, 0}, {65536, 0}, {65538, 0}}, 1, 0, false},
		{"doubled", [][2]int{{1, 0}, {1, 0}}, -1, 0, false},
		{"restarted", [][2]int{{1, 0}, {30000, 0}, {30001, 0}}, 0, 0, false},
	} {
		var s Source
		stream(&s, 1, x.packets...)
		var c Counters
		s.Fill(&c, 8000)
		if c.Lost != x.lost || c.OutOfOrder != x.ooo || x.jitter != (c.JitterMS > 0.5) {
			t.Errorf("%s: %+v", x.name, c)
		}
	}
}

func TestReport(t *testing.T) {
	var s Source
	if _, ok := s.Report(); ok {
		t.Error("a report about nothing")
	}
	stream(&s, 5, [2]int{10, 0}, [2]int{11, 0}, [2]int{13, 0}, [2]int{14, 0})
	r, ok := s.Report()
	if !ok || r.Fraction != 256/5 || r.Lost != 1 || r.MaxSeq != 14 || r.SSRC != 5 {
		t.Errorf("%+v", r)
	}
	stream(&s, 5, [2]int{15, 0})
	if r, _ = s.Report(); r.Fraction != 0 || r.Lost != 1 {
		t.Errorf("after a clean interval: %+v", r)
	}
	stream(&s, 6, [2]int{900, 0}, [2]int{902, 0})
	var c Counters
	s.Fill(&c, 8000)
	if c.SSRCs != 2 || c.Lost != 2 {
		t.Errorf("two sources, one packet lost of each: %+v", c)
	}
}
