package sipleg_test

import (
	"context"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// answerAll makes a peer answer every call with 180 and 200, and every BYE with 200.
func answerAll(p *peer) {
	text := []byte(answer(20000))
	p.onRequest = func(tx *endpoint.ServerTx, m *sip.Message) {
		switch m.Method() {
		case sip.INVITE:
			_ = tx.Reply(180, "")
			res := sip.NewResponse(m, 200, "")
			res.SetToTag(tx.LocalTag())
			res.SetContact(p.contact())
			res.SetBody("application/sdp", text)
			_ = tx.Respond(res)
		case sip.ACK:
		default:
			_ = tx.Reply(200, "")
		}
	}
}

// callAll makes a peer acknowledge its answered calls, and end them unless they are to be held. up gets a value for each
// answered call, done for each ended one.
func callAll(p *peer, hold bool, up, done chan struct{}) {
	p.onResponse = func(tx *endpoint.ClientTx, m *sip.Message) {
		switch {
		case m.Method() == sip.BYE:
			done <- struct{}{}
		case m.Status() == 200:
			base := dialog.NewUAC(tx.Request())
			d, err := base.Establish(m)
			if err != nil {
				p.t.Error(err)
				return
			}
			_ = p.ep.Send(d.Ack(m.CSeq().Seq), p.to)
			if up <- struct{}{}; !hold {
				p.send(d.Request(sip.BYE))
			}
		case m.Status() >= 300:
			p.t.Errorf("call refused: %s", m.Append(nil))
			up <- struct{}{}
			done <- struct{}{}
		}
	}
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkBridgedCall is INVITE, 180, 200, ACK, BYE, 200 from one mutual TLS connection to another, 16 calls at a time.
// CPU and allocations are of the whole process, so both peers (about half of it) are in the figures.
func BenchmarkBridgedCall(b *testing.B) {
	_, _, caller, called := bridge(b, nil)
	answerAll(called)
	const flight = 16
	done := make(chan struct{}, flight)
	callAll(caller, false, make(chan struct{}, 1<<20), done)
	text := offer(30000)
	b.ReportAllocs()
	b.ResetTimer()
	start := cpu()
	for i := range b.N {
		if i >= flight {
			<-done
		}
		caller.send(caller.invite("1002", text))
	}
	for range min(flight, b.N) {
		<-done
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu()-start)/float64(b.N)/1e3, "cpu-us/call")
}

// TestMemoryOfEstablishedCalls holds calls and looks at what they keep. The budget is 50 kB per call over both legs; here
// the transactions of the last half minute, of both peers too, are in the figure (without them it is about 30 kB).
func TestMemoryOfEstablishedCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	const n = 400
	x, host, caller, called := bridge(t, nil)
	answerAll(called)
	up, done := make(chan struct{}, n), make(chan struct{}, n)
	callAll(caller, true, up, done)
	before := inUse()
	for range n {
		caller.send(caller.invite("1002", offer(30000)))
		select {
		case <-up:
		case <-time.After(10 * time.Second):
			t.Fatal("a call is not answered")
		}
	}
	views, err := host.Calls(context.Background())
	if err != nil || len(views) != n || x.Driver.Legs() != 2*n {
		t.Fatalf("%d calls, %d legs, %v", len(views), x.Driver.Legs(), err)
	}
	views = nil
	after := inUse()
	per := (int64(after) - int64(before)) / n
	t.Logf("%d bytes per established call, transactions of both ends not yet forgotten", per)
	if per > 60_000 {
		t.Errorf("%d bytes per established call, over both legs and both peers", per)
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
