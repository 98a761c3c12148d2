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
		case <-time.After(8 * time.Second):
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
			a, b := open(t, desc.Caps{Codecs: without(codecs)}), open(t, desc.Caps{Codecs: codecs})
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
	}
}

// TestNoToneBesideEvents: where events were agreed nothing is heard in-band: a digit that comes both ways would count twice.
func TestNoToneBesideEvents(t *testing.T) {
	t.Parallel()
	a, b := open(t, desc.Caps{}), open(t, desc.Caps{})
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
}
