package dialog

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// BenchmarkCall is both ends of INVITE, 180, 200, ACK, BYE, 200 without a wire: what the sessions themselves cost.
func BenchmarkCall(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	cfg := &Config{Random: r.Uint64, Repeats2xx: true}
	now := time.Unix(0, 0)
	call := Call{URI: address("b", "b.example").URI, From: address("a", "a.example"), To: address("b", "b.example"),
		CallID: "bench", Contact: address("a", "192.0.2.1"), Body: []byte("o1")}
	answer := []byte("a1")
	b.ReportAllocs()
	for b.Loop() {
		caller, called := New(cfg), New(cfg)
		invite := caller.Step(now, call)[0].Msg
		called.Step(now, Request{Msg: invite, Contact: address("b", "192.0.2.2"), Tag: "t"})
		caller.Step(now, Response{called.Step(now, Ring{Status: 180})[0].Msg})
		ack := caller.Step(now, Response{called.Step(now, Accept{Body: answer})[0].Msg})[0].Msg
		called.Step(now, Request{Msg: ack})
		bye := caller.Step(now, End{})[0].Msg
		out := caller.Step(now, Response{called.Step(now, Request{Msg: bye})[0].Msg})
		if len(out) != 1 || out[0].Kind != EvEnded {
			b.Fatal(kinds(out))
		}
	}
	b.ReportMetric(float64(unsafe.Sizeof(Session{})), "B/session")
}
