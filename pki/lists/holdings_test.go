package lists

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/trustlist"
)

func fetchOf(device string, version int) Fetch {
	return Fetch{Device: device, Kind: trustlist.CTL, Version: version, Signer: Fingerprint{byte(version)}, Time: start.Add(time.Duration(version) * time.Minute)}
}

// versions are those a holder may hold.
func versions(h Holding) string {
	var ns []int
	for _, c := range h.CTL.May() {
		ns = append(ns, c.Version)
	}
	return fmt.Sprint(ns)
}

// TestHeld: what a device may hold, after each thing that was seen of it.
func TestHeld(t *testing.T) {
	h := OpenHoldings(newMemory(), HoldingsConfig{Delay: time.Hour})
	defer h.Close(t.Context())
	expect := func(what, want string) {
		t.Helper()
		for range 2 { // from memory, then from the store
			x, ok, err := h.Get(t.Context(), "SEP1")
			if got := versions(x); err != nil || !ok || got != want {
				t.Errorf("%s: %s (%v, %v), want %s", what, got, ok, err, want)
			}
			if err := h.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, ok, err := h.Get(t.Context(), "SEP1"); ok || err != nil {
		t.Errorf("before anything: %v, %v", ok, err)
	}
	h.Fetched(fetchOf("SEP1", 1))
	h.Fetched(fetchOf("SEP1", 2))
	expect("two fetched", "[1 2]")
	h.Fetched(fetchOf("SEP1", 1))
	expect("the first again", "[2 1]")
	h.Fetched(fetchOf("SEP1", 3))
	h.Confirmed(fetchOf("SEP1", 1))
	expect("the first confirmed, a third came later", "[1 3]")
	h.Confirmed(fetchOf("SEP1", 3))
	h.Fetched(fetchOf("SEP1", 3))
	expect("all is well", "[3]")
	for v := 4; v < 40; v++ {
		h.Fetched(fetchOf("SEP1", v))
	}
	x, _, _ := h.Get(t.Context(), "SEP1")
	if n := len(x.CTL.Fetched); n != maxCopies || x.CTL.Fetched[0].Version != 4 || x.CTL.Fetched[n-1].Version != 39 || x.CTL.Confirmed.Version != 3 {
		t.Errorf("%d copies: %s", n, versions(x))
	}
	if !x.Seen.Equal(start.Add(39*time.Minute)) || x.ITL.May() != nil {
		t.Errorf("seen %s, ITL %v", x.Seen, x.ITL)
	}
	if err := h.Forget(t.Context(), "SEP1"); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := h.Get(t.Context(), "SEP1"); ok {
		t.Error("not forgotten")
	}
}

// TestHolder: clients without a name, or with one that the site does not have, are told apart by address.
func TestHolder(t *testing.T) {
	known := func(device string) bool { return device == "SEP1" }
	h := OpenHoldings(newMemory(), HoldingsConfig{Delay: time.Hour, Now: func() time.Time { return start }, Known: known})
	defer h.Close(t.Context())
	for _, device := range []string{"", "SEPMADEUP", "../../etc"} {
		h.Fetched(Fetch{Device: device, Address: netip.MustParseAddr("::ffff:127.0.0.7"), Kind: trustlist.CTL, Version: 1})
	}
	h.Fetched(Fetch{Device: "SEP1", Address: netip.MustParseAddr("127.0.0.8"), Kind: trustlist.ITL, Version: 2})
	all := must(h.All(t.Context()))(t)
	if len(all) != 2 || all[0].Holder != "@127.0.0.7" || all[1].Holder != "SEP1" || all[1].ITL.Fetched[0].Version != 2 || !all[0].Seen.Equal(start) {
		t.Errorf("%+v", all)
	}
}

// TestBatches: 1,000 fetches are few writes, and nothing is lost while the store is away.
func TestBatches(t *testing.T) {
	docs := newMemory()
	failures := make(chan error, 100)
	h := OpenHoldings(docs, HoldingsConfig{Delay: time.Millisecond, Failed: func(err error) {
		select {
		case failures <- err:
		default:
		}
	}})
	docs.mu.Lock()
	docs.fail = errors.New("the store is away")
	docs.mu.Unlock()
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 250 {
				h.Fetched(fetchOf(fmt.Sprintf("SEP%d-%d", n, i), 1))
			}
		})
	}
	wg.Wait()
	<-failures
	if x, ok, err := h.Get(t.Context(), "SEP0-0"); !ok || err != nil || versions(x) != "[1]" {
		t.Errorf("not seen while the store is away: %v, %v", ok, err)
	}
	docs.mu.Lock()
	docs.fail = nil
	docs.mu.Unlock()
	if err := h.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := docs.count(holdingPrefix); n != 1000 {
		t.Errorf("%d holders in the store", n)
	}
}

// TestTwoNodes: two nodes note fetches of the same device.
func TestTwoNodes(t *testing.T) {
	docs := newMemory()
	a, b := OpenHoldings(docs, HoldingsConfig{Delay: time.Hour}), OpenHoldings(docs, HoldingsConfig{Delay: time.Hour})
	var wg sync.WaitGroup
	for i, h := range []*Holdings{a, b} {
		wg.Go(func() {
			for v := range 8 {
				h.Fetched(fetchOf("SEP1", 2*v+i+1))
				if err := h.Flush(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	x, _, _ := a.Get(t.Context(), "SEP1")
	if len(x.CTL.Fetched) != 16 {
		t.Errorf("%d copies: %s", len(x.CTL.Fetched), versions(x))
	}
	for _, h := range []*Holdings{a, b} {
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
