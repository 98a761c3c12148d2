package site

import "testing"

func TestCollectorGoal(t *testing.T) {
	for _, x := range []struct {
		live uint64
		want int
	}{{0, 3100}, {32 << 20, 300}, {64 << 20, 100}, {1 << 30, 100}} {
		if got := goal(x.live); got != x.want {
			t.Errorf("%d alive: %d %%, want %d", x.live, got, x.want)
		}
	}
}
