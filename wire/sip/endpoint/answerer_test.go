package endpoint

import (
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/wire/sip"
)

// TestMain is also main of the benchmark's client process.
func TestMain(m *testing.M) {
	if spec := os.Getenv(benchClient); spec != "" {
		os.Exit(runBenchClient(spec))
	}
	goleak.VerifyTestMain(m)
}

// answerer is the User of the benchmarks: a UAS with an SDP answer.
type answerer struct{ options, byes, acks atomic.Int64 }

func (a *answerer) Request(tx *ServerTx, m *sip.Message) {
	switch m.Method() {
	case sip.INVITE:
		_ = tx.Reply(180, "")
		ok := sip.NewResponse(m, 200, "")
		ok.Add("Contact", "<sip:bob@127.0.0.1:5061;transport=tls>")
		ok.SetBody("application/sdp", []byte(benchSDP))
		_ = tx.Respond(ok)
	case sip.ACK:
		a.acks.Add(1)
	case sip.BYE:
		a.byes.Add(1)
		_ = tx.Reply(200, "")
	default:
		a.options.Add(1)
		_ = tx.Reply(200, "")
	}
}

func (a *answerer) Cancelled(tx *ServerTx)           { _ = tx.Reply(487, "") }
func (a *answerer) Response(*ClientTx, *sip.Message) {}
func (a *answerer) Failed(*ClientTx, error)          {}
func (a *answerer) Posted(string, any)               {}
