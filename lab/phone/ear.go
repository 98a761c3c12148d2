package phone

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/tone"
)

// ear keeps the newest quarter second that was heard, so that tones that sound together can be told apart.
type ear struct {
	mu    sync.Mutex
	ring  [media.Rate / 4]int16
	at    int
	heard int
}

// WritePCM implements media.Sink.
func (e *ear) WritePCM(src []int16) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range src {
		e.ring[e.at] = v
		e.at = (e.at + 1) % len(e.ring)
	}
	e.heard = min(e.heard+len(src), len(e.ring))
	return nil
}

// newest is what was heard, oldest first; nil until there is enough.
func (e *ear) newest() []int16 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard < len(e.ring) {
		return nil
	}
	return append(append(make([]int16, 0, len(e.ring)), e.ring[e.at:]...), e.ring[:e.at]...)
}

// Levels at which a tone in a mixture is said to be heard, and not to be heard, dBm0. Phones speak at -10; what G.711 adds to
// a mixture is below -45.
const (
	audible   = -32
	inaudible = -42
)

// WaitMix waits until every one of some tones sounds at once in what the call hears, and none of others does: a conference.
func (c *Call) WaitMix(ctx context.Context, tones []float64, not ...float64) error {
	var last []int16
	_, err := c.watch(ctx, func(media.Evidence) bool {
		pcm := c.ear.newest()
		if pcm == nil {
			return false
		}
		last = pcm
		for _, hz := range tones {
			if tone.Level(pcm, hz) < audible {
				return false
			}
		}
		for _, hz := range not {
			if tone.Level(pcm, hz) > inaudible {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("phone %s waits to hear %v and not %v: %w; heard %s", c.p.cfg.Number, tones, not, err, mixture(last, append(tones[:len(tones):len(tones)], not...)))
	}
	return nil
}

// mixture says how loud each tone is.
func mixture(pcm []int16, tones []float64) string {
	var b strings.Builder
	for _, hz := range tones {
		fmt.Fprintf(&b, "%.0f Hz at %.0f dBm0, ", hz, tone.Level(pcm, hz))
	}
	return strings.TrimSuffix(b.String(), ", ")
}
