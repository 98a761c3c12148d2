package media

import (
	"testing"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// without is a list of codecs without telephone events.
func without(cs []sdp.Codec) (out []sdp.Codec) {
	for _, c := range cs {
		if !c.IsEvent() {
			out = append(out, c)
		}
	}
	return out
}

// typed collects what a stream hears until it has n digits.
func typed(t *testing.T, s *Stream, n int) (got string) {
	t.Helper()
	for len(got) < n {
		select {
		case d := <-s.Digits():
			got += string(d.Key)
		case <-time.After(20 * time.Second):
			t.Fatalf("heard %q and no more", got)
		}
	}
	return got
}

// TestDigitsInBand: where one side takes no telephone events, digits go as tones both ways, in either codec, beside music.
func TestDigitsInBand(t *testing.T) {
	for _, codecs := range [][]sdp.Codec{desc.G711(), desc.Wideband(), desc.G711()[1:]} {
		t.Run(codecs[0].Name, func(t *testing.T) {
			t.Parallel()
			onClock(t, func(t *testing.T, s *site) {
				a, b := s.open(desc.Caps{Codecs: without(codecs)}), s.open(desc.Caps{Codecs: codecs})
				exchange(t, a, b)
				a.Start(tone.NewMusic())
				b.Start(tone.NewMusic())
				for _, way := range []struct{ from, to *Stream }{{a, b}, {b, a}} {
					sent, err := way.from.SendDigits("159#D")
					if err != nil {
						t.Fatal(err)
					}
					if got := typed(t, way.to, 5); got != "159#D" {
						t.Errorf("heard %q", got)
					}
					<-sent
				}
				time.Sleep(300 * time.Millisecond)
				if n := len(a.Digits()) + len(b.Digits()); n != 0 {
					t.Errorf("%d more digits than were sent", n)
				}
			})
		})
	}
}

// TestNoToneBesideEvents: where events were agreed nothing is heard in-band: a digit that comes both ways would count twice.
func TestNoToneBesideEvents(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		exchange(t, a, b)
		pcm := make([]int16, 2*Rate)
		x, y := tone.NewSine(770, -10), tone.NewSine(1336, -10)
		other := make([]int16, len(pcm))
		_, _ = x.ReadPCM(pcm)
		_, _ = y.ReadPCM(other)
		for i := range pcm {
			pcm[i] += other[i]
		}
		<-a.Start(tone.NewClip(pcm[:Rate/2]))
		sent, err := a.SendDigits("1")
		if err != nil {
			t.Fatal(err)
		}
		<-sent
		if got := typed(t, b, 1); got != "1" {
			t.Errorf("heard %q", got)
		}
	})
}

// interwork does with digits what the call engine does: what a leg says goes to the other one.
func (s *site) interwork() {
	type digit struct {
		leg LegID
		key byte
	}
	heard := make(chan digit, 100)
	s.restart(PlaneConfig{Digits: func(id LegID, key byte, d time.Duration) {
		if d < 60*time.Millisecond || d > 300*time.Millisecond {
			s.t.Errorf("%c lasted %v", key, d)
		}
		heard <- digit{id, key}
	}})
	done := make(chan struct{})
	go func() {
		for {
			select {
			case d := <-heard:
				s.p.SendDigit(3-d.leg, d.key, true)
			case <-done:
				return
			}
		}
	}()
	s.t.Cleanup(func() { close(done) })
}

// TestDigitsThroughRelay: one side has telephone events, the other none or another payload type for them; each hears what the
// other types, once.
func TestDigitsThroughRelay(t *testing.T) {
	type phone struct {
		name string
		caps desc.Caps
	}
	events := phone{name: "events", caps: desc.Caps{}}
	none := phone{name: "none", caps: desc.Caps{Codecs: without(desc.G711()), Security: desc.Forbidden}}
	alaw := phone{name: "A-law, none", caps: desc.Caps{Codecs: without(desc.G711())[1:]}}
	for _, x := range [][2]phone{{events, none}, {none, events}, {events, alaw}, {events, events}, {none, none}} {
		t.Run(x[0].name+" calls "+x[1].name, func(t *testing.T) {
			t.Parallel()
			onClock(t, func(t *testing.T, s *site) {
				s.interwork()
				a, b := s.open(x[0].caps), s.open(x[1].caps)
				s.p.AddLeg(1, Profile{Security: x[0].caps.Security})
				s.p.AddLeg(2, Profile{Security: x[1].caps.Security})
				s.call(a, b, Anchored)
				a.Start(tone.NewMusic())
				b.Start(tone.NewMusic())
				for _, way := range []struct{ from, to *Stream }{{a, b}, {b, a}} {
					for _, key := range []string{"1", "5", "#"} { // one at a time: each direction takes twice its length
						if _, err := way.from.SendDigits(key); err != nil {
							t.Fatal(err)
						}
						if got := typed(t, way.to, 1); got != key {
							t.Errorf("heard %q, not %q", got, key)
						}
					}
				}
				time.Sleep(400 * time.Millisecond)
				if n := len(a.Digits()) + len(b.Digits()); n != 0 {
					t.Errorf("%d more digits than were typed", n)
				}
			})
		})
	}
}

// TestEventsOfAnotherType: the called phone knows events by another payload type than the offer said; the relay translates.
func TestEventsOfAnotherType(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		s.interwork()
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		s.p.AddLeg(1, Profile{})
		s.p.AddLeg(2, Profile{})
		offer, err := a.Offer()
		if err != nil {
			t.Fatal(err)
		}
		answer, err := b.Answer(s.make(2, Order{Treatment: Anchored, Ref: s.put(1, Offer, offer)}))
		if err != nil {
			t.Fatal(err)
		}
		d, err := sdp.Parse(answer)
		if err != nil {
			t.Fatal(err)
		}
		cs := d.Media[0].Codecs
		for i := range cs {
			if cs[i].IsEvent() {
				cs[i].PT = 96
			}
		}
		d.Media[0].SetCodecs(cs)
		b.mu.Lock()
		b.core.n.Recv = cs
		b.mu.Unlock()
		if err := a.Accept(s.make(1, Order{Treatment: Anchored, Ref: s.put(2, Answer, d.Bytes())})); err != nil {
			t.Fatal(err)
		}
		for _, way := range []struct{ from, to *Stream }{{a, b}, {b, a}} {
			if _, err := way.from.SendDigits("42"); err != nil {
				t.Fatal(err)
			}
			if got := typed(t, way.to, 2); got != "42" {
				t.Errorf("heard %q", got)
			}
		}
	})
}

// TestDigitsOfAConference are told, and to the leg alone that a digit is for.
func TestDigitsOfAConference(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		heard := make(chan string, 10)
		s.restart(PlaneConfig{Digits: func(id LegID, key byte, _ time.Duration) { heard <- string('0'+byte(id)) + string(key) }})
		phones := s.room(3)
		if _, err := phones[1].SendDigits("7"); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != "27" {
			t.Errorf("heard %q", got)
		}
		if !s.p.SendDigit(1, '9', false) || s.p.SendDigit(99, '9', true) {
			t.Error("SendDigit")
		}
		if got := typed(t, phones[0], 1); got != "9" || len(phones[1].Digits())+len(phones[2].Digits()) != 0 {
			t.Errorf("heard %q", got)
		}
	})
}
