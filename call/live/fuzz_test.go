package live

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
)

// FuzzFrames: whatever arrives on the subject of a session, the tracker tells a snapshot or a loss first, and a picture bears what it tells.
func FuzzFrames(f *testing.F) {
	view := &call.View{ID: 1}
	note := func(n BusNote) []byte {
		b, err := json.Marshal(n)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	frame := func(x Frame) []byte {
		b, err := json.Marshal(x)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	whole := note(BusNote{Snapshot: true, Engine: "e", AsOf: 3, Calls: []*call.View{view}})
	event := note(BusNote{Event: &call.Event{Seq: 4, Call: 1, View: view}})
	f.Add(frame(Frame{N: 1, Notes: []json.RawMessage{whole, event}}), frame(Frame{N: 2, Over: true}))
	f.Add(frame(Frame{N: 1, Part: whole[:20]}), frame(Frame{N: 2, Part: whole[20:], Last: true}))
	f.Add(frame(Frame{N: 1, Notes: []json.RawMessage{whole}}), frame(Frame{N: 3, Notes: []json.RawMessage{event}}))
	f.Add([]byte(`{"n":1,"notes":[{"snapshot":true,"calls":[null]}]}`), []byte(`{"n":2,"notes":[{"event":{"seq":1}}]}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		now := time.Unix(1700000000, 0)
		k := &tracker{node: "n1", name: func() string { return "s" }}
		k.tick(now)
		k.take()
		var p Picture
		lost := true
		for _, b := range [][]byte{first, second} {
			var x Frame
			if json.Unmarshal(b, &x) != nil {
				continue
			}
			k.frame(now, "s", x)
			notes, _ := k.take()
			for _, n := range notes {
				if lost && n.Lost == LossNone && !n.Snapshot {
					t.Errorf("an event after a loss: %+v", n)
				}
				lost = n.Lost != LossNone
				p.Apply(n)
			}
		}
	})
}

// FuzzBusRequest: whatever arrives as a request is a request, which can be sent on, or an error.
func FuzzBusRequest(f *testing.F) {
	for _, r := range []call.Request{call.Drop{Call: 1}, call.MakeCall{}, call.Park{}} {
		b, err := NewBusRequest("u", r)
		if err != nil {
			f.Fatal(err)
		}
		text, _ := json.Marshal(b)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var b BusRequest
		if json.Unmarshal(text, &b) != nil {
			return
		}
		r, err := b.unpack()
		if err != nil {
			return
		}
		again, err := NewBusRequest(b.By, r)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if _, err := again.unpack(); err != nil {
			t.Errorf("%s was read, and became what is not: %v", text, err)
		}
	})
}
