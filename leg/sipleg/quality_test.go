package sipleg_test

import (
	"testing"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/wire/sip"
)

// measures keeps what drivers measure, and which legs are over.
type measures struct{ got chan call.Signal }

func (m measures) Record(r live.Record) {
	switch s := r.Input.Signal.(type) {
	case call.Measured, call.Released:
		m.got <- s
	}
}

// TestPhonesReportQuality: media goes directly, and each phone says in its BYE, or in its answer to ours, what it heard; it is told
// before the leg is over, and once.
func TestPhonesReportQuality(t *testing.T) {
	seen := measures{make(chan call.Signal, 16)}
	_, _, a, b := recorded(t, seen, nil)
	reqs, _ := record(b)
	_, ress := record(a)
	d, _ := established(t, a, b, reqs, ress)
	bye := d.Request(sip.BYE)
	bye.Set("RTP-RxStat", `Dur=2,Pkt=98,Oct=15680,LatePkt=0,LostPkt=2,AvgJit=4,VQMetrics="MLQK=4.1;MLQKav=4.2"`)
	bye.Set("RTP-TxStat", "Dur=2,Pkt=100,Oct=16000")
	a.send(bye)
	end := next(t, reqs)
	if end.m.Method() != sip.BYE {
		t.Fatal(end.m.Method())
	}
	res := sip.NewResponse(end.m, 200, "")
	res.Set("X-RTP-Stat", "PS=99;PR=100;PL=0,1;JI=1.5,0;DE=PCMA")
	_ = end.tx.Respond(res)
	first, ok := next(t, seen.got).(call.Measured)
	if want := (call.Quality{By: "phone", Codec: "PCMU", Sent: 100, Received: 98, Lost: 2, Jitter: 4, MOS: 4.2}); !ok || first.Quality != want {
		t.Errorf("of the phone that hung up: %+v", first)
	}
	if r, ok := next(t, seen.got).(call.Released); !ok || r.Leg != first.Leg {
		t.Errorf("then %+v", r)
	}
	second, ok := next(t, seen.got).(call.Measured)
	q := second.Quality
	if !ok || second.Leg == first.Leg || q.By != "phone" || q.Codec != "PCMA" || q.Sent != 99 || q.Received != 100 || q.Jitter != 1.5 || q.MOS < 4 {
		t.Errorf("of the other: %+v", second)
	}
	if n := len(seen.got); n != 0 {
		t.Errorf("%d more signals, as %+v", n, <-seen.got)
	}
}
