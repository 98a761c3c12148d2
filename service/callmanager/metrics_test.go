package callmanager

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/wire/sip/transport"
	"github.com/prometheus/client_golang/prometheus"
)

// value is the sum of a metric's series; of a histogram, the number of its observations.
func value(t *testing.T, c prometheus.Collector) float64 {
	sum, _ := gathered(t, c)
	return sum
}

// seriesOf is how many series a metric has.
func seriesOf(t *testing.T, c prometheus.Collector) int {
	_, n := gathered(t, c)
	return n
}

func gathered(t *testing.T, c prometheus.Collector) (sum float64, series int) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(c); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			series++
			sum += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum, series
}

// TestMeters counts what the engine does, what became of calls and legs, and handshakes that failed.
func TestMeters(t *testing.T) {
	m := newMeters()
	m.stepped(&live.Record{Output: call.Output{Events: []call.Event{{Kind: call.CallCreated}, {Kind: call.Transferred}, {Kind: call.PartyHeld}}}})
	m.stepped(&live.Record{Input: call.Input{Signal: call.Heard{Leg: 1, Proof: call.ProofSilent}}})
	m.stepped(&live.Record{Input: call.Input{Signal: call.Heard{Leg: 1, Proof: call.ProofAuthenticated}}})
	begin := time.Unix(100, 0)
	m.callEnded(&call.View{Created: begin, Answered: begin.Add(time.Second)}, &call.Event{At: begin.Add(time.Minute), Cause: call.NormalClearing})
	m.callEnded(&call.View{Created: begin}, &call.Event{At: begin, Cause: 77})
	m.callEnded(&call.View{Created: begin}, &call.Event{At: begin, Cause: 78})
	m.legEnded(&call.LegRecord{Outcome: call.OutcomeAnswered, Lock: call.LockEncrypted, Quality: &call.Quality{By: "here", Received: 99, Lost: 1, MOS: 4}})
	m.legEnded(&call.LegRecord{Outcome: call.OutcomeAnswered, Lock: call.LockEncrypted, Quality: &call.Quality{By: "anything a peer says", Received: 99}})
	m.refused(&transport.HandshakeFailure{Err: errors.New("strange"), Inbound: true, Remote: netip.MustParseAddrPort("127.0.0.1:1")})
	for _, c := range []struct {
		name string
		of   prometheus.Collector
		want float64
	}{
		{"events", m.happened, 3}, {"transfers", m.features.WithLabelValues("transfer"), 1}, {"holds", m.features.WithLabelValues("hold"), 1}, {"all features", m.features, 2},
		{"trouble", m.trouble, 1}, {"one-way audio", m.trouble.WithLabelValues("silent"), 1},
		{"calls", m.calls, 3}, {"answered calls", m.calls.WithLabelValues("normal clearing", "yes"), 1}, {"causes without a name", m.calls.WithLabelValues("other", "no"), 2},
		{"durations", m.duration, 1}, {"answers", m.ringing, 1},
		{"legs", m.legs.WithLabelValues("answered", "encrypted"), 2}, {"loss", m.loss, 1}, {"jitter", m.jitter, 1}, {"mos", m.mos, 1},
		{"handshakes", m.handshakes, 1},
	} {
		if got := value(t, c.of); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestMetricsAreSound: every metric is described, gathers without a clash, and its name says what it is.
func TestMetricsAreSound(t *testing.T) {
	if _, n := gathered(t, NoMetrics()); n == 0 {
		t.Error("a service that does not run has no metrics at all")
	}
}
