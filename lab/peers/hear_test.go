package peers

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
)

// A recording is what a phone heard, while it is still being written.
type recording func() (path string, err error)

// samples reads what is there so far.
func (r recording) samples() []int16 {
	path, err := r()
	if err != nil {
		return nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	pcm, err := wav.Read(b)
	if err != nil {
		return nil
	}
	return pcm
}

// A sound is what one stretch of a recording is: a tone (0 Hz: none) and its level.
type sound struct {
	hz, level float64
}

func (s sound) String() string { return fmt.Sprintf("%.0f Hz at %.0f dBm0", s.hz, s.level) }

// listen judges samples.
func listen(pcm []int16) sound {
	var d tone.Detector
	d.WritePCM(pcm)
	hz, level := d.Result()
	return sound{hz, level}
}

// window is how much of the end of a recording is judged.
const window = tone.Rate / 2

// waitTone waits until the newest half second is a tone of that frequency, within 3 %.
func waitTone(t *testing.T, ctx context.Context, who string, r recording, hz float64) sound {
	t.Helper()
	return waitSound(t, ctx, fmt.Sprintf("%s hears %.0f Hz", who, hz), r, func(s sound) bool {
		return math.Abs(s.hz-hz) < 0.03*hz && s.level > -40
	})
}

// waitMusic waits until the newest half second is something that is heard and is not the tone.
func waitMusic(t *testing.T, ctx context.Context, who string, r recording, hz float64) sound {
	t.Helper()
	return waitSound(t, ctx, who+" hears music on hold", r, func(s sound) bool {
		return math.Abs(s.hz-hz) > 0.03*hz && s.level > -45
	})
}

// waitMix waits until the newest half second has every one of some tones, and none of others.
func waitMix(t *testing.T, ctx context.Context, who string, r recording, tones []float64, not ...float64) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last []int16
	mixed := func(pcm []int16) bool {
		loud := func(hz float64) bool { return tone.Level(pcm, hz) > -35 }
		return !slices.ContainsFunc(not, loud) && !slices.ContainsFunc(tones, func(hz float64) bool { return !loud(hz) })
	}
	for {
		if pcm := r.samples(); len(pcm) >= window {
			if last = pcm[len(pcm)-window:]; mixed(last) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			var levels []string
			for _, hz := range slices.Concat(tones, not) {
				levels = append(levels, fmt.Sprintf("%.0f Hz at %.0f dBm0", hz, tone.Level(last, hz)))
			}
			path, err := r()
			t.Fatalf("%s should hear %v together and not %v: %v; %d samples in %s (%v), the last had %v", who, tones, not, context.Cause(ctx), len(r.samples()), path, err, levels)
		}
	}
}

func waitSound(t *testing.T, ctx context.Context, what string, r recording, want func(sound) bool) sound {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last, grown := sound{}, 0
	for {
		if pcm := r.samples(); len(pcm) >= window && len(pcm) != grown {
			grown = len(pcm)
			if last = listen(pcm[len(pcm)-window:]); want(last) {
				return last
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			path, err := r()
			t.Fatalf("%s: %v; %d samples in %s (%v), the last sound was %v", what, context.Cause(ctx), len(r.samples()), path, err, last)
		}
	}
}
