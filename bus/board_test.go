package bus

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func openBus(t *testing.T, c Config) *Bus {
	t.Helper()
	b, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, b) })
	return b
}

func change(t *testing.T, w *BoardWatch) Change {
	t.Helper()
	select {
	case c, ok := <-w.C():
		if !ok {
			t.Fatal("the watch ended")
		}
		return c
	case <-time.After(10 * time.Second):
		t.Fatal("nothing changed")
	}
	return Change{}
}

// TestBoardOfOneNode: what a node says it reads, and whoever watches is told.
func TestBoardOfOneNode(t *testing.T) {
	d := openBus(t, Config{Node: "n1"}).Board()
	all, trunks := d.Watch(), d.Watch("trunk")
	type reach struct{ Contact string }
	first := Put(d, "registration", "alice", reach{"sip:alice@192.0.2.1"})
	second := Put(d, "registration", "alice", reach{"sip:alice@192.0.2.2"})
	third := Take(d, "trunk", "pstn", true)
	if first == 0 || second <= first || third == 0 {
		t.Errorf("claims %d, %d, %d", first, second, third)
	}
	got := d.Of("registration", "alice")
	if len(got) != 1 || got[0].Claim != second || got[0].Owner != "n1" || got[0].Exclusive {
		t.Fatalf("%+v", got)
	}
	if v, err := Value[reach](got[0]); err != nil || v.Contact != "sip:alice@192.0.2.2" {
		t.Errorf("%+v, %v", v, err)
	}
	if _, err := Value[int](got[0]); err == nil {
		t.Error("an object is no number")
	}
	d.Drop("registration", "alice")
	d.Drop("registration", "alice") // is not there any more
	if len(d.Of("registration", "alice")) != 0 || len(d.All("registration")) != 0 || len(d.All("trunk")) != 1 {
		t.Error("the fact stayed")
	}
	for i, want := range []struct {
		claim uint64
		gone  bool
	}{{first, false}, {second, false}, {third, false}, {second, true}} {
		if c := change(t, all); c.Fact.Claim != want.claim || c.Gone != want.gone || c.Member != nil || c.Lagged {
			t.Errorf("change %d: %+v", i, c)
		}
	}
	if c := change(t, trunks); c.Fact.Claim != third || !c.Fact.Exclusive {
		t.Errorf("%+v", c)
	}
	if n := d.Nodes(); len(n) != 1 || n[0].Name != "n1" || !n[0].Alive || !n[0].Self || n[0].Facts != 1 || n[0].Since.IsZero() {
		t.Errorf("%+v", n)
	}
}

// TestBoardRefuses: what cannot be said is not said.
func TestBoardRefuses(t *testing.T) {
	d := openBus(t, Config{}).Board()
	if Put(d, "x", "y", make(chan int)) != 0 || Put(d, "x", "y", make([]byte, MaxFact)) != 0 || len(d.All("x")) != 0 {
		t.Error("it was taken")
	}
}

func TestBoardOrder(t *testing.T) {
	d := openBus(t, Config{}).Board()
	for _, key := range []string{"c", "a", "b"} {
		Put(d, "line", key, key)
	}
	var keys []string
	for _, f := range d.All("line") {
		keys = append(keys, f.Key)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, keys); diff != "" {
		t.Error(diff)
	}
	a, b := Fact{Owner: "n1", Claim: 5}, Fact{Owner: "n2", Claim: 5}
	if !b.Newer(a) || a.Newer(b) || a.Newer(a) || !(Fact{Owner: "n1", Claim: 6}).Newer(b) {
		t.Error("the order of claims")
	}
}

// TestBoardSlowReader: a reader that does not read holds nobody up, and learns that it has missed something although
// nothing changes any more.
func TestBoardSlowReader(t *testing.T) {
	d := openBus(t, Config{}).Board()
	w := d.Watch()
	for i := range 2 * maxWatched {
		Put(d, "registration", fmt.Sprint(i), i)
	}
	for n := 0; ; n++ {
		if c := change(t, w); c.Lagged {
			break
		}
		if n > maxWatched {
			t.Fatal("never told")
		}
	}
	if n := len(d.All("registration")); n != 2*maxWatched {
		t.Errorf("%d facts", n)
	}
}

// TestBoardEnds: closing a watch and closing the bus end the channels, in any order, and no goroutine stays.
func TestBoardEnds(t *testing.T) {
	before := goleak.IgnoreCurrent()
	b, err := Open(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	w, v := b.Board().Watch(), b.Board().Watch()
	w.Close()
	w.Close()
	if _, open := <-w.C(); open {
		t.Error("closed, and still open")
	}
	Put(b.Board(), "a", "b", 1)
	closed(t, b)
	for range v.C() { // ends
	}
	v.Close()
	if _, open := <-b.Board().Watch().C(); open {
		t.Error("a watch of a closed bus")
	}
	if Put(b.Board(), "a", "b", 1) != 0 {
		t.Error("put after Close")
	}
	goleak.VerifyNone(t, before)
}
