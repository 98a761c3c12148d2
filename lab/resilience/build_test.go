package resilience

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/program"
)

// built is the real program, made once for the tests that kill it.
var built program.Program

// command runs the program and returns its exit code with what it wrote.
func command(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return built.Run(t, args...)
}

// metric reads one figure of a site through its Prometheus collector.
func metric(s *lab.Site, name string) (float64, error) {
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(s.Calls.Metrics()); err != nil {
		return 0, err
	}
	families, err := r.Gather()
	if err != nil {
		return 0, err
	}
	for _, f := range families {
		if f.GetName() == name {
			sum := 0.0
			for _, m := range f.GetMetric() { // of all its labels
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
			return sum, nil
		}
	}
	return 0, errors.New("no metric " + name)
}
