package media

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// wideSine is a tone of 16,000 samples a second.
type wideSine struct{ step, phase float64 }

func newWideSine(hz float64) *wideSine { return &wideSine{step: 2 * math.Pi * hz / WideRate} }

func (s *wideSine) SampleRate() int { return WideRate }

func (s *wideSine) ReadPCM(dst []int16) (int, error) {
	for i := range dst {
		dst[i] = int16(6000 * math.Sin(s.phase))
		s.phase = math.Mod(s.phase+s.step, 2*math.Pi)
	}
	return len(dst), nil
}

// sit brings a phone into a conference, or to another source: by its own offer, or by ours.
func (s *site) sit(id LegID, phone *Stream, source string, ours bool) {
	s.t.Helper()
	o := Order{Treatment: Sourced, Source: source}
	if ours {
		answer, err := phone.Answer(s.make(id, o))
		if err != nil {
			s.t.Fatal(err)
		}
		s.put(id, Answer, answer)
		return
	}
	offer, err := phone.Offer()
	if err != nil {
		s.t.Fatal(err)
	}
	o.Ref = s.put(id, Offer, offer)
	if err := phone.Accept(s.make(id, o)); err != nil {
		s.t.Fatal(err)
	}
}

// room is a conference of phones, every third with wideband, of every security.
func (s *site) room(n int) (phones []*Stream) {
	for i := range n {
		caps := desc.Caps{Security: desc.Security(i % 2 * 2)}
		if i%3 == 0 {
			caps.Codecs = desc.Wideband()
		}
		s.p.AddLeg(LegID(i+1), Profile{Security: caps.Security})
		phones = append(phones, s.open(caps))
		s.sit(LegID(i+1), phones[i], "mix:7", i%4 < 2)
	}
	return phones
}

// TestSixteenInOneRoom: everybody hears the one who talks, who does not hear himself; then he leaves for music, which
// nobody else hears, and another talks.
func TestSixteenInOneRoom(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		phones := s.room(16)
		var keys []sdp.Key
		for i, p := range phones {
			n, _ := p.Negotiated()
			if want := map[bool]string{true: "G722", false: "PCMU"}[i%3 == 0]; n.Send.Name != want || n.Secure() != (i%2 == 0) || n.Direction != sdp.SendRecv {
				t.Errorf("phone %d: %s, secure %v, %v", i, n.Send.Name, n.Secure(), n.Direction)
			}
			if n.Secure() && !slices.ContainsFunc(keys, n.Rx.Key.Equal) {
				keys = append(keys, n.Rx.Key)
			}
		}
		if len(keys) != 8 {
			t.Errorf("%d keys of ours for 8 parties with SRTP", len(keys))
		}
		talk := func(talker int, hz float64, out ...int) {
			t.Helper()
			phones[talker].Start(tone.NewSine(hz, -10))
			for i, p := range phones {
				if i != talker && (len(out) == 0 || i != out[0]) {
					eventually(t, fmt.Sprintf("phone %d hears %v Hz", i, hz), func() bool { return hears(p, hz) })
				}
			}
			eventually(t, "the talker hears nobody", func() bool { return phones[talker].Evidence().LevelDBm < -60 })
			phones[talker].Start(nil)
		}
		talk(0, 1000)
		talk(1, 1200)
		s.sit(1, phones[0], "tone:700", true)
		eventually(t, "the one who left hears music", func() bool { return hears(phones[0], 700) })
		talk(2, 500, 0)
		if hears(phones[5], 700) {
			t.Error("the music of the one who left is not his alone")
		}
		eventually(t, "music goes on for him", func() bool { return hears(phones[0], 700) })
		s.sit(1, phones[0], "mix:7", true)
		talk(3, 900)
		for i := range phones {
			s.p.RemoveLeg(LegID(i + 1))
		}
		if len(s.p.mixes) != 0 || s.ports.InUse() != 0 {
			t.Errorf("%d conferences and %d pairs of ports are left", len(s.p.mixes), s.ports.InUse())
		}
	})
}

// TestWidebandRoom: two who speak G.722 hear 5 kHz of each other, and the third, who cannot, nothing of it.
func TestWidebandRoom(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		phones := s.room(4) // 0 and 3 have wideband
		phones[0].Start(newWideSine(5000))
		eventually(t, "5 kHz heard", func() bool { return hears(phones[3], 5000) })
		if e := phones[1].Evidence(); e.LevelDBm > -40 { // quantization noise of the lower band
			t.Errorf("the narrowband phone hears %.0f dBm0, %v Hz", e.LevelDBm, e.ToneHz)
		}
	})
}

// ear counts the energy of 1,400 Hz and of everything, in the frames a phone heard.
type ear struct {
	mu       sync.Mutex
	beeps    int // frames with the tone
	other    int // frames with something else
	was      bool
	clusters int // beginnings of the tone
}

func (e *ear) WritePCM(x []int16) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var re, im, energy float64
	for i, v := range x {
		w := 2 * math.Pi * 1400 * float64(i) / Rate
		re, im = re+float64(v)*math.Cos(w), im+float64(v)*math.Sin(w)
		energy += float64(v) * float64(v)
	}
	switch share := 2 * (re*re + im*im) / float64(len(x)) / (energy + 1); {
	case energy/float64(len(x)) < 10000:
		e.was = false
	case share > 0.8:
		if e.beeps++; !e.was {
			e.clusters++
		}
		e.was = true
	default:
		e.other++
	}
	return nil
}

func (e *ear) count() (beeps, other, clusters int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.beeps, e.other, e.clusters
}

// TestWarningTone: whoever sits there with a warning hears it once upon entry, and the others do not.
func TestWarningTone(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		var ears [3]ear
		for i, source := range []string{"mix:a:warn", "mix:a", "mix:a:warn"} {
			caps := desc.Caps{}
			if i == 2 {
				caps.Codecs = desc.Wideband()
			}
			phone := s.open(caps)
			phone.Record(&ears[i])
			s.p.AddLeg(LegID(i+1), Profile{})
			s.sit(LegID(i+1), phone, source, false)
		}
		eventually(t, "the warning was heard", func() bool {
			a, _, _ := ears[0].count()
			c, _, _ := ears[2].count()
			return a >= 8 && c >= 8
		})
		time.Sleep(14 * time.Second) // in which nobody must hear any more of it
		for i := range ears {
			beeps, other, clusters := ears[i].count()
			if warned := i != 1; warned && (beeps < 9 || beeps+other > 11 || clusters != 1) || !warned && beeps+other > 0 {
				t.Errorf("phone %d heard %d frames of the tone in %d pieces, %d of something else", i, beeps, clusters, other)
			}
		}
	})
}

// TestHeldPartyIsNotHeard: a phone on hold that plays its own music into the call (RFC 3264, sendonly) does not entertain the
// conference.
func TestHeldPartyIsNotHeard(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		phones := s.room(3)
		phones[1].Start(tone.NewSine(600, -10))
		eventually(t, "it is heard before", func() bool { return hears(phones[0], 600) && hears(phones[2], 600) })
		phones[1].SetDirection(sdp.SendOnly)
		offer, err := phones[1].Offer()
		if err != nil {
			t.Fatal(err)
		}
		s.put(2, Offer, offer)
		answer, err := s.p.AnswerAlone(2)
		if err != nil {
			t.Fatal(err)
		}
		if err := phones[1].Accept(answer); err != nil {
			t.Fatal(err)
		}
		eventually(t, "silence", func() bool { return phones[0].Evidence().LevelDBm < -60 && phones[2].Evidence().LevelDBm < -60 })
		if rx := s.p.legs[2].source.Evidence().Rx; rx.Packets == 0 || time.Since(rx.Last) > time.Second {
			t.Errorf("the phone on hold has stopped sending, so nothing was proved: %+v", rx)
		}
		phones[1].SetDirection(sdp.SendRecv)
		s.sit(2, phones[1], "mix:7", false)
		eventually(t, "it is heard again", func() bool { return hears(phones[0], 600) && hears(phones[2], 600) })
	})
}

// TestConferenceIsBounded: a seat too many is refused before anything is said to the peer, and the room goes on.
func TestConferenceIsBounded(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range LegID(MaxParties) {
		s.p.AddLeg(i+1, Profile{})
		s.p.legs[i+1].out = &outgoing{name: "mix:full"}
	}
	s.p.AddLeg(1000, Profile{})
	if _, _, err := s.p.Make(1000, Order{Treatment: Sourced, Source: "mix:full"}); !errors.Is(err, ErrFull) {
		t.Errorf("seat %d: %v", MaxParties+1, err)
	}
	if _, _, err := s.p.Make(1000, Order{Treatment: Sourced, Source: "mix:other"}); err != nil {
		t.Errorf("another room: %v", err)
	}
	for i := range LegID(MaxParties) {
		s.p.legs[i+1].out = nil
	}
}

// BenchmarkConference is the work of one second of a room of sixteen: decoding, mixing and encoding with SRTP, without the
// packets that come in: the time per operation is the CPU a running conference needs per second.
func BenchmarkConference(b *testing.B) {
	for _, n := range []int{3, 16, 64} {
		b.Run(fmt.Sprint(n, " parties"), func(b *testing.B) {
			s := newSite(b)
			for i := range LegID(n) {
				s.p.AddLeg(i+1, Profile{})
				phone := desc.NewEndpoint(desc.Caps{Conn: sdp.Conn{Type: "IP4", Addr: "127.0.0.1"}, Port: 9}, 1, CryptoKeys{})
				offer, _ := phone.Offer()
				s.make(i+1, Order{Treatment: Sourced, Source: "mix:b", Ref: s.put(i+1, Offer, offer.Bytes())})
			}
			c := s.p.mixes["b"]
			for b.Loop() {
				for range 50 {
					c.frame(time.Now())
				}
			}
		})
	}
}

// TestSomebodyListens: who sits where nobody is heard hears both, and neither of them hears it, however loud it is; when it is given another
// place it is heard.
func TestSomebodyListens(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		phones := s.room(3)
		s.sit(3, phones[2], "mix:7:listen", true)
		phones[2].Start(tone.NewSine(1600, -3))
		eventually(t, "the others hear nothing", func() bool { return phones[0].Evidence().LevelDBm < -60 && phones[1].Evidence().LevelDBm < -60 })
		for talker, hz := range []float64{500, 1000} {
			phones[talker].Start(tone.NewSine(hz, -10))
			for i, p := range phones {
				if i != talker {
					eventually(t, fmt.Sprintf("phone %d hears %v Hz", i, hz), func() bool { return hears(p, hz) })
				}
			}
			eventually(t, "the talker hears nobody", func() bool { return phones[talker].Evidence().LevelDBm < -60 })
			phones[talker].Start(nil)
		}
		s.sit(3, phones[2], "mix:7", true)
		for _, p := range phones[:2] {
			eventually(t, "who may talk is heard", func() bool { return hears(p, 1600) })
		}
	})
}
