package media

import (
	"testing"

	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/wire/sdp"
)

// TestNamedMusic: a held leg hears the source that was named, the default one where none was, and the built-in melody where
// the site has none of that name.
func TestNamedMusic(t *testing.T) {
	t.Parallel()
	onClock(t, func(t *testing.T, s *site) {
		pcm := make([]int16, Rate) // a second of 880 Hz, so that it has to be looped
		_, _ = tone.NewSine(880, -10).ReadPCM(pcm)
		asked := make(chan string, 8)
		s.restart(PlaneConfig{Music: func(name string) Source {
			asked <- name
			if name == "sea" {
				return nil
			}
			return tone.NewLoop(pcm)
		}})
		for _, c := range []struct {
			source, name string
			hz           float64
		}{{"music:bells", "bells", 880}, {"music", "", 880}, {"music:sea", "sea", 0}} {
			s.p.AddLeg(1, Profile{})
			phone := s.open(desc.Caps{})
			offer, err := phone.Offer()
			if err != nil {
				t.Fatal(err)
			}
			ref, _, err := s.p.Put(1, Offer, offer)
			if err != nil {
				t.Fatal(err)
			}
			answer, _, err := s.p.Make(1, Order{Treatment: Sourced, Source: c.source, Ref: ref, Dir: sdp.SendRecv})
			if err != nil {
				t.Fatal(err)
			}
			if err := phone.Accept(answer); err != nil {
				t.Fatal(err)
			}
			if got := <-asked; got != c.name {
				t.Errorf("%s: the site was asked for %q", c.source, got)
			}
			eventually(t, c.source+" is heard", func() bool {
				if c.hz > 0 {
					return hears(phone, c.hz)
				}
				return phone.Evidence().LevelDBm > -40 && !hears(phone, 880)
			})
			s.p.RemoveLeg(1)
		}
	})
}
