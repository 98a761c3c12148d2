package address

import (
	"net/netip"
	"sync"
	"testing"
)

// TestTake: many who take addresses at once have one each, though nobody listens on any; one that is given back can be had again, and one on which
// somebody listens without having asked is left alone.
func TestTake(t *testing.T) {
	const n = 40
	var mu sync.Mutex
	var all []Taken
	had := map[netip.Addr]bool{}
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			a, err := Take()
			mu.Lock()
			defer mu.Unlock()
			if err != nil || had[a.Addr] {
				t.Errorf("%s: taken twice, or %v", a.Addr, err)
			}
			had[a.Addr], all = true, append(all, a)
		})
	}
	wg.Wait()
	for _, a := range all {
		if l, err := listen(a.Addr, 5061); err != nil {
			t.Error("a node could not listen: ", err)
		} else {
			defer l.Close()
		}
		if err := a.Release(); err != nil {
			t.Error(err)
		}
	}
	for range last - first + 1 { // all around: the released ones have a listener now
		a, err := Take()
		if err != nil {
			t.Fatal(err)
		}
		if had[a.Addr] {
			t.Errorf("%s was taken from under whoever listens there", a.Addr)
		}
		if err := a.Release(); err != nil {
			t.Error(err)
		}
	}
	if err := (Taken{}).Release(); err != nil {
		t.Error(err)
	}
}
