package media

import (
	"math"
	"testing"
	"time"

	"github.com/locktone/locktone/media/desc"
)

// TestMOS: values of the E-model as its calculators give them for G.711 with concealment, within rounding: 80 ms of delay, no
// loss: R = 91.3; 1 %: 87.6; 5 %: 75.5; 10 %: 64.2.
func TestMOS(t *testing.T) {
	for _, x := range []struct{ loss, mos float64 }{{0, 4.38}, {0.01, 4.28}, {0.05, 3.85}, {0.1, 3.32}, {1, 1.13}} {
		if got := MOS("PCMA", x.loss, 0); math.Abs(got-x.mos) > 0.02 {
			t.Errorf("loss %v: %.3f, not %.2f", x.loss, got, x.mos)
		}
	}
	if a, b := MOS("PCMU", 0, 0), MOS("PCMU", 0, 100*time.Millisecond); b >= a-0.3 {
		t.Errorf("100 ms of jitter cost %.2f only", a-b)
	}
	if MOS("opus", 0, 0) >= MOS("PCMU", 0, 0) || MOS("PCMU", 7, time.Hour) != 1 || MOS("", -1, 0) < 4.3 {
		t.Error("outside of its bounds")
	}
}

// TestQualityOfALeg: what a leg's media was like, over all that carried it: a conference, a relay, music, in this order. Of
// direct media nothing is known.
func TestQualityOfALeg(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		s.p.AddLeg(1, Profile{})
		s.p.AddLeg(2, Profile{})
		s.call(a, b, Direct)
		if q, ok := s.p.Quality(1); ok {
			t.Errorf("of direct media: %+v", q)
		}
		packets := func() uint64 { q, _ := s.p.Quality(1); return min(q.Received, q.Sent) }
		s.sit(1, a, "mix:1", true)
		eventually(t, "packets in the conference", func() bool { return packets() > 10 })
		s.call(a, b, Anchored)
		after := packets()
		if after < 10 {
			t.Errorf("%d packets are left of the conference's", after)
		}
		eventually(t, "packets through the relay", func() bool { return packets() > after+10 })
		after = packets()
		s.call(a, b, Direct)
		time.Sleep(5 * FrameTime) // what is on its way
		q, ok := s.p.Quality(1)
		if !ok || min(q.Received, q.Sent) < after || q.Codec != "PCMU" || q.Lost > 0 || q.MOS < 4 || q.MOS > 4.5 || q.Duration < 300*time.Millisecond || q.ReceivedOctets != q.Received*172 {
			t.Errorf("%v %+v", ok, q)
		}
		s.p.RemoveLeg(1)
		if _, ok := s.p.Quality(1); ok {
			t.Error("a leg that is gone has quality")
		}
	})
}
