package callmanager

import (
	"slices"
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media"
)

func viewWith(id call.CallID, legs ...call.LegID) *call.View {
	v := &call.View{ID: id}
	for _, l := range legs {
		v.Parties = append(v.Parties, &call.PartyView{ID: call.PartyID(l), Legs: []call.LegView{{ID: l, Device: "d"}}})
	}
	return v
}

func event(seq uint64, kind call.EventKind, v *call.View) live.Note {
	return live.Note{Event: call.Event{Seq: seq, Kind: kind, Call: v.ID, View: v}}
}

// TestLegWatch: calls with events and calls of legs that are other are looked at; legs that have gone are named once, those that have moved to
// another call are not.
func TestLegWatch(t *testing.T) {
	x := newLegWatch()
	step := func(calls []call.CallID, left []call.LegID, notes ...live.Note) {
		t.Helper()
		if got := x.apply(notes); !slices.Equal(got, calls) {
			t.Errorf("calls %v, want %v", got, calls)
		}
		slices.Sort(x.left)
		if !slices.Equal(x.left, left) {
			t.Errorf("left %v, want %v", x.left, left)
		}
	}
	step([]call.CallID{1, 2}, nil, live.Note{Snapshot: true, Calls: []*call.View{viewWith(1, 1, 2), viewWith(2, 3, 4)}})
	x.look(3)
	x.look(99)
	step([]call.CallID{2}, nil)
	step(nil, nil)
	step([]call.CallID{1}, []call.LegID{2}, event(1, call.LegDropped, viewWith(1, 1)))
	step([]call.CallID{1, 2}, []call.LegID{4}, event(2, call.PartyMoved, viewWith(1, 1, 3)), event(3, call.CallEnded, viewWith(2)))
	x.look(3)
	step([]call.CallID{1}, nil)
	step([]call.CallID{1, 3}, []call.LegID{1}, live.Note{Snapshot: true, Calls: []*call.View{viewWith(3, 3)}}) // it has lagged
}

// TestNobodyListens: where nobody follows media or keys, an exchange of descriptions costs nothing for it.
func TestNobodyListens(t *testing.T) {
	var w legWatches
	if n := testing.AllocsPerRun(1000, func() { w.agreed(7) }); n != 0 {
		t.Errorf("%v allocations for nobody", n)
	}
	x := newLegWatch()
	w.add(&x)
	w.agreed(7)
	w.remove(&x)
	w.agreed(8)
	if len(x.legs) != 1 || !x.legs[7] || w.some.Load() != 0 {
		t.Errorf("%v", x.legs)
	}
}

// BenchmarkAgreed is what an exchange of descriptions costs for those who want to know of media: an atomic load where nobody does.
func BenchmarkAgreed(b *testing.B) {
	for name, n := range map[string]int{"nobody": 0, "one": 1, "ten": 10} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var w legWatches
			all := make([]legWatch, n)
			for i := range all {
				x := newLegWatch()
				all[i].woken, all[i].legs = x.woken, x.legs
				w.add(&all[i])
			}
			for i := range b.N {
				w.agreed(media.LegID(i % 100))
			}
		})
	}
}
