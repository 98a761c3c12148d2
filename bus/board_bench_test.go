package bus

import (
	"encoding/json"
	"fmt"
	"runtime"
	"testing"

	"github.com/locktone/locktone/bus/board"
)

// BenchmarkPut is what saying a fact costs with 100,000 said.
func BenchmarkPut(b *testing.B) {
	d := newBoard(board.Config{Self: "n1", Process: 1}, func(string, []byte) error { return nil })
	go d.run()
	defer d.close()
	value := json.RawMessage(`{"contact":"sip:alice@192.0.2.1:5061;transport=tls","agent":"phone"}`)
	n := 0
	for b.Loop() {
		Put(d, "registration", fmt.Sprintf("SEP%012d", n%100000), value)
		n++
	}
}

// BenchmarkSnapshot is a newcomer that takes 100,000 facts of another node: time, and memory it holds afterwards.
func BenchmarkSnapshot(b *testing.B) {
	const facts = 100_000
	owner := board.New(board.Config{Self: "n1", Process: 1})
	value := []byte(`{"contact":"sip:alice@192.0.2.1:5061;transport=tls","agent":"phone"}`)
	for i := range facts {
		owner.Step(0, board.Put{Kind: "registration", Key: fmt.Sprintf("SEP%012d", i), Value: value})
	}
	beat := owner.Step(0, board.Pass{}).Send
	held := uint64(0)
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		comer := board.New(board.Config{Self: "n2", Process: 2})
		to, back := beat[len(beat)-1:], []board.Send(nil)
		for len(to) > 0 {
			back = deliver(b, comer, to)
			to = deliver(b, owner, back)
		}
		if n := len(comer.All("registration")); n != facts {
			b.Fatalf("%d facts", n)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		held = after.HeapAlloc - before.HeapAlloc
		runtime.KeepAlive(comer)
	}
	b.ReportMetric(float64(held)/facts, "B/fact")
}

// deliver hands over messages as they are on the wire and returns what is answered.
func deliver(b *testing.B, to *board.Machine, all []board.Send) (out []board.Send) {
	for _, s := range all {
		m, err := board.Parse(s.Message.Append(nil))
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, to.Step(0, board.Heard{Message: m}).Send...)
	}
	return out
}
