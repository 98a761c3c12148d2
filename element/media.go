package element

import (
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/trace"
)

// heard tells the engine what the packets of a leg show, and the trace: there trouble stands beside the messages of the call, with
// its reason. It is media.PlaneConfig's hook.
func (e *Element) heard(r media.Report) {
	leg := call.LegID(r.Leg)
	_ = e.driver.Signal(call.Heard{Leg: leg, Proof: call.Proof(r.Proof), Why: r.Why}) // a driver that is gone has no legs either
	rec := trace.Record{Service: e.cfg.Service, Kind: trace.KindMedia, Level: trace.Detail, Summary: leg.String() + ": media is " + r.Proof.String(), SIPCallID: e.sip.CallID(leg)}
	if r.Why != "" {
		rec.Level, rec.Summary = trace.Error, leg.String()+": "+r.Why
	}
	e.cfg.Trace.Record(rec)
}

// digit tells the engine of a DTMF digit in media that goes through the node, where nobody else passes it on.
func (e *Element) digit(id media.LegID, key byte, duration time.Duration) {
	_ = e.driver.Signal(call.Digit{Leg: call.LegID(id), Digit: string(key), Millis: int(duration.Milliseconds())})
}

// The numbers of proofs are the same on both sides: this does not compile otherwise.
var _ = [1]struct{}{}[(call.ProofSilent^call.Proof(media.ProofSilent))|(call.ProofFailed^call.Proof(media.ProofFailed))|
	(call.ProofPlain^call.Proof(media.ProofPlain))|(call.ProofAuthenticated^call.Proof(media.ProofAuthenticated))]
