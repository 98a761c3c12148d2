package main

import (
	"testing"
	"time"

	"github.com/locktone/locktone/lab/load"
	"github.com/locktone/locktone/lab/peers"
)

// Packets go both ways through rtpengine in every combination, authenticated where they are protected.
func TestEngineRelays(t *testing.T) {
	peers.Need(t, peers.Program{Name: "rtpengine"})
	ca, err := load.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{dir: t.TempDir(), ca: ca}
	e, err := b.startEngine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer e.end()
	for n, x := range []struct{ from, to bool }{{false, false}, {true, false}, {true, true}} {
		p := load.NewPump()
		legs, err := e.call(p, n, x.from, x.to)
		if err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Second)
		for p.Counts().Received < 20 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if c := p.Counts(); c.Received < 20 || c.Rejected > 0 || x.from && c.Authenticated == 0 {
			t.Errorf("%v to %v: %+v\n%s", x.from, x.to, c, e.tail())
		}
		for _, l := range legs {
			l.Close()
		}
		p.Close()
	}
}
