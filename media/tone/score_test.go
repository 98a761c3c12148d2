package tone

import "testing"

// TestScoreIsComputedAsHeard: whoever waits first waits for one beat to be computed, not for the piece; and what was computed is kept.
func TestScoreIsComputedAsHeard(t *testing.T) {
	made := 0
	s := newScore(func(pos int) int16 { made++; return int16(pos / beat) })
	pos, dst := 0, make([]int16, Rate/50)
	if pos = s.read(dst, pos); made != beat || pos != len(dst) {
		t.Fatalf("%d samples were made for the first 20 ms, want a beat, %d", made, beat)
	}
	whole := len(s) * beat
	for range 2 * whole / len(dst) {
		before := pos
		pos = s.read(dst, pos)
		if got, want := dst[0], int16(before/beat); got != want {
			t.Fatalf("at %d: beat %d, want %d", before, got, want)
		}
	}
	if made != whole {
		t.Errorf("%d samples were made in two rounds of %d", made, whole)
	}
}
