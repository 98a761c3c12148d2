package media

import (
	"math"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// nearWrap makes a stream's sequence numbers roll over after 36 packets, a good half second: from then on the roll-over counter of
// its SRTP is 1, and whoever loses that counter cannot verify a packet any more.
func nearWrap(s *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.core.seq = 65500
}

// rolled waits until a stream has rolled over.
func rolled(t *testing.T, s *Stream) {
	t.Helper()
	eventually(t, "the sequence number rolls over", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.core.seq < 30000
	})
}

// whole checks that nothing that arrived was dropped, with either of two keys.
func whole(t *testing.T, what string, all ...Evidence) {
	t.Helper()
	for i, e := range all {
		if x := e.Rx; x.Failed+x.Replayed+x.PlainDropped+x.Malformed != 0 || x.Packets == 0 || x.Packets != x.Authenticated {
			t.Errorf("%s: end %d: %+v", what, i, x)
		}
	}
}

func (s *site) evidence(ids ...LegID) (all []Evidence) {
	s.t.Helper()
	for _, id := range ids {
		e, ok := s.p.Evidence(id)
		if !ok {
			s.t.Errorf("no evidence of leg %d", id)
		}
		all = append(all, e)
	}
	return all
}

// flows waits for 20 more packets at every stream.
func flows(t *testing.T, what string, all ...*Stream) {
	t.Helper()
	for _, s := range all {
		was := s.Evidence().Rx.Authenticated
		eventually(t, what, func() bool { return s.Evidence().Rx.Authenticated > was+20 })
	}
}

// TestKeysThroughRelay: roll-over, hold with music, resume, new keys of one phone, and a transfer to a third: every packet of every
// party verifies at every end, and all hear each other.
func TestKeysThroughRelay(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		a, b, c := s.open(desc.Caps{}), s.open(desc.Caps{}), s.open(desc.Caps{})
		for id := range LegID(3) {
			s.p.AddLeg(id+1, Profile{})
		}
		nearWrap(a)
		nearWrap(b)
		s.call(a, b, Anchored)
		a.Start(tone.NewSine(1000, -10))
		b.Start(tone.NewSine(440, -10))
		rolled(t, a)
		rolled(t, b)
		flows(t, "after the roll-over", a, b)
		whole(t, "after the roll-over", append(s.evidence(1, 2), a.Evidence(), b.Evidence())...)

		s.sit(2, b, "tone:700", true)
		eventually(t, "music", func() bool { return hears(b, 700) })
		s.call(a, b, Anchored)
		flows(t, "after the resume", a, b)
		whole(t, "after the resume", append(s.evidence(1, 2), a.Evidence(), b.Evidence())...)

		before, _ := a.Negotiated()
		a.Rekey()
		s.call(a, b, Anchored)
		if after, _ := a.Negotiated(); after.Tx.SameKey(before.Tx) {
			t.Fatal("the key did not change")
		}
		flows(t, "after new keys", a, b)
		whole(t, "after new keys", append(s.evidence(1, 2), a.Evidence(), b.Evidence())...)

		// a is released, and b is connected with c: leg 3 in the place of leg 1.
		s.p.RemoveLeg(1)
		offer, err := c.Offer()
		if err != nil {
			t.Fatal(err)
		}
		answer, err := b.Answer(s.make(2, Order{Treatment: Anchored, Ref: s.put(3, Offer, offer)}))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Accept(s.make(3, Order{Treatment: Anchored, Ref: s.put(2, Answer, answer)})); err != nil {
			t.Fatal(err)
		}
		c.Start(tone.NewSine(600, -10))
		eventually(t, "b and c hear each other", func() bool { return hears(b, 600) && hears(c, 440) })
		whole(t, "after the transfer", append(s.evidence(2, 3), b.Evidence(), c.Evidence())...)
	})
}

// TestKeysInConference: roll-over on both sides, hold and resume by the phone, and new keys of it.
func TestKeysInConference(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		phones := []*Stream{s.open(desc.Caps{}), s.open(desc.Caps{Codecs: desc.Wideband()})}
		for i, p := range phones {
			s.p.AddLeg(LegID(i+1), Profile{})
			nearWrap(p)
			offer, err := p.Offer()
			if err != nil {
				t.Fatal(err)
			}
			ref := s.put(LegID(i+1), Offer, offer)
			text := s.make(LegID(i+1), Order{Treatment: Sourced, Source: "mix:1", Ref: ref})
			nearWrap(s.p.legs[LegID(i+1)].source)
			if err := p.Accept(text); err != nil {
				t.Fatal(err)
			}
		}
		phones[0].Start(tone.NewSine(500, -10))
		for i, p := range phones {
			rolled(t, p)
			rolled(t, s.p.legs[LegID(i+1)].source)
		}
		all := func() []Evidence { return append(s.evidence(1, 2), phones[0].Evidence(), phones[1].Evidence()) }
		flows(t, "after the roll-over", phones...)
		for _, dir := range []sdp.Direction{sdp.SendOnly, sdp.SendRecv} {
			phones[0].SetDirection(dir)
			s.sit(1, phones[0], "mix:1", false)
		}
		flows(t, "after hold and resume", phones...)
		phones[0].Rekey()
		s.sit(1, phones[0], "mix:1", false)
		flows(t, "after new keys", phones...)
		whole(t, "in the end", all()...)
		eventually(t, "it is heard again", func() bool { return hears(phones[1], 500) })
	})
}

// tape keeps what is heard.
type tape struct {
	mu  sync.Mutex
	pcm []int16
}

func (r *tape) WritePCM(x []int16) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pcm = append(r.pcm, x...)
	return nil
}

// TestNoClickAroundHold: what the held party hears, from talk to music and back and with new keys in the middle of talk, never jumps by
// more than its tones do.
func TestNoClickAroundHold(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		a, b := s.open(desc.Caps{}), s.open(desc.Caps{})
		s.p.AddLeg(1, Profile{})
		s.p.AddLeg(2, Profile{})
		var heard tape
		s.call(a, b, Anchored)
		a.Start(tone.NewSine(437, -10))
		eventually(t, "talk", func() bool { return hears(b, 437) })
		b.Record(&heard)
		s.sit(2, b, "tone:700", true)
		eventually(t, "music", func() bool { return hears(b, 700) })
		s.call(a, b, Anchored)
		eventually(t, "talk again", func() bool { return hears(b, 437) })
		a.Rekey()
		s.call(a, b, Anchored)
		time.Sleep(time.Second)
		b.Record(nil)
		heard.mu.Lock()
		defer heard.mu.Unlock()
		const bound = 7200*2*math.Pi*700/8000 + 2*7200/40 + 500 // the steeper tone, what is bent, and G.711
		for i := 1; i < len(heard.pcm); i++ {
			if d := math.Abs(float64(heard.pcm[i]) - float64(heard.pcm[i-1])); d > bound {
				t.Errorf("at %d ms: a jump of %.0f, more than %.0f", i/8, d, bound)
			}
		}
		// While talk goes on nothing is missing, new keys or not: the last second has no silence in it.
		quiet := 0
		for _, v := range heard.pcm[max(0, len(heard.pcm)-8000):] {
			if v < 300 && v > -300 {
				quiet++
			} else {
				quiet = 0
			}
			if quiet > 8 { // a tone of 437 Hz is below 300 for less than a sample at a time
				t.Fatal("a drop-out while keys changed")
			}
		}
	})
}
