package call

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/locktone/locktone/dialplan"
)

// town is a site of n phones, each with its line: phone i has line 100000+i.
func town(n int) Site {
	s := Site{Plan: dialplan.Rules{SearchSpaces: []dialplan.SearchSpace{{Name: "all", Partitions: []string{"phones"}}}}}
	for i := range n {
		name, id := "phone"+strconv.Itoa(i), LineID{strconv.Itoa(100000 + i), "phones"}
		s.Devices = append(s.Devices, Device{Name: name, Driver: "sip"})
		s.Lines = append(s.Lines, Line{ID: id, SearchSpace: "all", Appearances: []Appearance{{Device: name, Index: 1}}})
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: id.Number, Partition: "phones", Kind: dialplan.DirectoryNumber})
	}
	return s
}

func townEngine(t testing.TB, n int) *Engine {
	e := New()
	e.Step(start, Input{Config: town(n).must(t)})
	for i := range n {
		e.Step(start, Input{Signal: DeviceState{Device: "phone" + strconv.Itoa(i), Up: true}})
	}
	return e
}

// talk runs a call from phone a to phone b up to its answer.
func talk(e *Engine, in LegID, a, b int) {
	e.Step(start, Input{Driver: "sip", Signal: Setup{Leg: in, Device: "phone" + strconv.Itoa(a), Called: strconv.Itoa(100000 + b), Desc: Desc{Ref: 1, Kind: KindOffer, Dir: SendRecv, Security: SRTP}, Hops: 70, Trust: TrustMutual}})
	e.Step(start, Input{Driver: "sip", Signal: Alerting{Leg: e.lastLeg}})
	e.Step(start, Input{Driver: "sip", Signal: Answered{Leg: e.lastLeg, Desc: Desc{Ref: 2, Kind: KindAnswer, Dir: SendRecv, Security: SRTP}, Trust: TrustMutual}})
}

// BenchmarkBasicCall is what the engine costs per call: Setup, Alerting, Answered, Released with all commands and events.
func BenchmarkBasicCall(b *testing.B) { benchCall(b, 0) }

// BenchmarkBasicCallAmong1000 is the same with 1,000 calls standing.
func BenchmarkBasicCallAmong1000(b *testing.B) { benchCall(b, 1000) }

func benchCall(b *testing.B, standing int) {
	e := townEngine(b, 2*standing+2)
	for i := range standing {
		talk(e, LegID(2*i+1), 2*i, 2*i+1)
	}
	id := LegID(1<<20 + 1)
	b.ReportAllocs()
	for b.Loop() {
		talk(e, id, 2*standing, 2*standing+1)
		e.Step(start, Input{Driver: "sip", Signal: Released{Leg: id, Cause: NormalClearing}})
		id += 2
	}
	if calls, _ := e.Load(); calls != standing {
		b.Fatalf("%d calls are left", calls)
	}
}

// TestMemoryPerCall keeps an established call under 3 kB of heap.
func TestMemoryPerCall(t *testing.T) {
	const n = 2000
	e := townEngine(t, 2*n)
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for i := range n {
		talk(e, LegID(2*i+1), 2*i, 2*i+1)
	}
	per := int64(heap()-before) / n
	if calls, legs := e.Load(); calls != n || legs != 2*n {
		t.Fatalf("%d calls, %d legs stand", calls, legs)
	}
	t.Logf("%d bytes per established call", per)
	if per > 3000 {
		t.Errorf("an established call takes %d bytes; at most 3000 are allowed", per)
	}
	runtime.KeepAlive(e)
}

// BenchmarkTraceOfCall is what writing the trace of a basic call costs: its inputs as JSON and as text.
func BenchmarkTraceOfCall(b *testing.B) {
	setup := Setup{Leg: 1, Device: "alice", Called: "2002", Desc: Desc{Ref: 1, Kind: KindOffer, Dir: SendRecv, Security: SRTP}, Hops: 70, Trust: TrustMutual}
	inputs := []Signal{setup, Alerting{Leg: 2}, Answered{Leg: 2, Desc: setup.Desc}, Released{Leg: 1, Cause: NormalClearing}}
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, s := range inputs {
				if _, err := MarshalInput(start, Input{Driver: "sip", Signal: s}); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("text", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 1024)
		for b.Loop() {
			for _, s := range inputs {
				buf = AppendText(buf[:0], s)
			}
		}
	})
	b.Run("outputs as text", func(b *testing.B) { benchOutputs(b, func(buf []byte, o Output) []byte { return AppendOutput(buf, o) }) })
	b.Run("outputs as JSON", func(b *testing.B) {
		benchOutputs(b, func(buf []byte, o Output) []byte {
			out, err := MarshalOutput(o)
			if err != nil {
				b.Fatal(err)
			}
			return append(buf, out...)
		})
	})
}

func benchOutputs(b *testing.B, write func([]byte, Output) []byte) {
	offer := Desc{Ref: 1, Kind: KindOffer, Dir: SendRecv, Security: SRTP}
	e := townEngine(b, 2)
	outs := []Output{e.Step(start, Input{Driver: "sip", Signal: Setup{Leg: 1, Device: "phone0", Called: "100001", Desc: offer}}),
		e.Step(start, Input{Signal: Answered{Leg: 2, Desc: Desc{Ref: 2, Kind: KindAnswer, Dir: SendRecv, Security: SRTP}}}), e.Step(start, Input{Signal: Released{Leg: 1}})}
	b.ReportAllocs()
	buf := make([]byte, 0, 8192)
	for b.Loop() {
		buf = buf[:0]
		for _, o := range outs {
			buf = write(buf, o)
		}
	}
}

// BenchmarkMeetMe16 is a conference of sixteen that come, are mixed, and go.
func BenchmarkMeetMe16(b *testing.B) {
	s := town(16)
	s.MeetMes = []MeetMe{{Name: "room"}}
	s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: "8001", Partition: "phones", Kind: dialplan.ToMeetMe, To: "room"})
	e := New()
	e.Step(start, Input{Config: s.must(b)})
	id := LegID(1)
	b.ReportAllocs()
	for b.Loop() {
		first := id
		for i := range 16 {
			e.Step(start, Input{Driver: "sip", Signal: Setup{Leg: id, Device: "phone" + strconv.Itoa(i), Called: "8001", Trust: TrustMutual,
				Desc: Desc{Ref: 1, Kind: KindOffer, Dir: SendRecv, Security: SRTP}}})
			if i == 1 { // who came first is fed from the mixer now
				e.Step(start, Input{Driver: "sip", Signal: ReofferAnswered{Leg: first, Desc: Desc{Ref: 2, Kind: KindAnswer, Dir: SendRecv, Security: SRTP}}})
			}
			id += 2
		}
		if calls, legs := e.Load(); calls != 1 || legs != 16 {
			b.Fatalf("%d calls with %d legs", calls, legs)
		}
		for l := first; l < id; l += 2 {
			e.Step(start, Input{Driver: "sip", Signal: Released{Leg: l, Cause: NormalClearing}})
		}
	}
}
