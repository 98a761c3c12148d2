package element

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics of an element are named locktone_element_..., with the service as their one label of a fixed set of values (and the state of
// destinations); docs/metrics.md lists them.
const metricPrefix = "locktone_element_"

// figures are one reading of everything the gauges show.
type figures struct {
	calls, legs, connections, transactions        int
	requests, responses, refused, timeouts        uint64
	handshakes, connectionsRefused, engineRefused uint64
}

// A gauge is one figure that is read when somebody asks for it: the hot path counts in its own structures.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*figures) float64
}

func newGauge(name, help string, kind prometheus.ValueType, read func(*figures) float64) gauge {
	return gauge{prometheus.NewDesc(metricPrefix+name, help, []string{"service"}, nil), kind, read}
}

var gauges = []gauge{
	newGauge("calls", "Calls of a SIP service now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.calls) }),
	newGauge("legs", "Legs of calls of a SIP service now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.legs) }),
	newGauge("connections", "Connections of a SIP service now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.connections) }),
	newGauge("transactions", "SIP transactions now, both sides.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.transactions) }),
	newGauge("requests_total", "SIP requests received.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.requests) }),
	newGauge("responses_total", "SIP responses received.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.responses) }),
	newGauge("overload_refused_total", "SIP requests answered 503 by a limit.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.refused) }),
	newGauge("timeouts_total", "SIP requests without an answer in time.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.timeouts) }),
	newGauge("handshakes_refused_total", "TLS handshakes that failed, in both directions.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.handshakes) }),
	newGauge("connections_refused_total", "Connections closed at once because a limit was reached.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.connectionsRefused) }),
	newGauge("engine_refused_total", "New calls refused because the engine was late.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.engineRefused) }),
}

var destinationsDesc = prometheus.NewDesc(metricPrefix+"destinations", "Destinations of the peers of a SIP service, by state.", []string{"service", "state"}, nil)

// Metrics is the element's collector for Prometheus. Those of several elements may be registered side by side.
func (e *Element) Metrics() prometheus.Collector { return collector{e} }

// NoMetrics is the collector of an element that does not run: it says which metrics there are.
func NoMetrics() prometheus.Collector { return collector{} }

type collector struct{ e *Element }

// Describe implements prometheus.Collector. Elements side by side have the same descriptions, which a registry takes from one collector only:
// a running one describes nothing, which is allowed, and NoMetrics describes them all.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	if c.e != nil {
		return
	}
	for _, g := range gauges {
		ch <- g.desc
	}
	ch <- destinationsDesc
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	if c.e == nil {
		return
	}
	f := c.e.figures()
	for _, g := range gauges {
		ch <- prometheus.MustNewConstMetric(g.desc, g.kind, g.read(f), c.e.cfg.Service)
	}
	for state, n := range c.e.States() {
		ch <- prometheus.MustNewConstMetric(destinationsDesc, prometheus.GaugeValue, float64(n), c.e.cfg.Service, state.String())
	}
}

func (e *Element) figures() *figures {
	wire, engine := e.ep.Stats(), e.host.Stats()
	f := &figures{calls: engine.Calls, legs: engine.Legs, connections: len(e.ep.Flows()), transactions: wire.ServerTransactions + wire.ClientTransactions,
		requests: wire.Requests, responses: wire.Responses, refused: wire.Refused, timeouts: wire.Timeouts, engineRefused: engine.Refused, handshakes: e.failures.count()}
	for _, l := range e.ep.Transport().Listeners() {
		f.connectionsRefused += l.Info().Refused
	}
	return f
}

func (t *failures) count() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}
