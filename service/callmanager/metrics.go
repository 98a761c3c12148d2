package callmanager

import (
	"github.com/prometheus/client_golang/prometheus"
)

// A gauge is one figure that is read when somebody asks for it: the hot path counts in its own structures.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*figures) float64
}

// figures are one reading of everything the gauges show.
type figures struct {
	registrations, devices                                  int
	calls, legs                                             int
	connections                                             int
	malformed, refusedHandshakes, requests, responses, shed uint64
	refusedConnections                                      uint64
	transactions, mailbox                                   int
	retransmitted, timeouts, merged, engineRefused          uint64
}

func newGauge(name, help string, kind prometheus.ValueType, read func(*figures) float64) gauge {
	return gauge{prometheus.NewDesc("locktone_callmanager_"+name, help, nil, nil), kind, read}
}

var gauges = []gauge{
	newGauge("registrations", "Contacts registered now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.registrations) }),
	newGauge("devices", "Devices configured.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.devices) }),
	newGauge("calls", "Calls now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.calls) }),
	newGauge("legs", "Legs of calls now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.legs) }),
	newGauge("connections", "Flows to peers now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.connections) }),
	newGauge("transactions", "SIP transactions now, both sides.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.transactions) }),
	newGauge("mailbox", "Messages that wait in shards.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.mailbox) }),
	newGauge("malformed_total", "Messages refused by parser or validator.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.malformed) }),
	newGauge("handshakes_refused_total", "TLS handshakes that failed.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.refusedHandshakes) }),
	newGauge("connections_refused_total", "Connections closed at once because a limit was reached.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.refusedConnections) }),
	newGauge("requests_total", "SIP requests received.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.requests) }),
	newGauge("responses_total", "SIP responses received.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.responses) }),
	newGauge("overload_refused_total", "Requests answered 503 by a limit.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.shed) }),
	newGauge("retransmitted_total", "Messages sent again by a timer.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.retransmitted) }),
	newGauge("timeouts_total", "Requests without an answer in time.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.timeouts) }),
	newGauge("merged_total", "Merged requests answered 482.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.merged) }),
	newGauge("engine_refused_total", "New calls refused because the engine was late.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.engineRefused) }),
}

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { return collector{s} }

type collector struct{ s *Service }

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges {
		ch <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	f := c.s.figures()
	for _, g := range gauges {
		ch <- prometheus.MustNewConstMetric(g.desc, g.kind, g.read(f))
	}
}

func (s *Service) figures() *figures {
	f := &figures{registrations: len(s.bindings.all()), devices: len(s.site.Load().Devices())}
	e, h := s.ep.Stats(), s.host.Stats()
	f.transactions, f.mailbox = e.ServerTransactions+e.ClientTransactions, e.Mailbox
	f.requests, f.responses, f.shed, f.merged, f.retransmitted, f.timeouts = e.Requests, e.Responses, e.Refused, e.Merged, e.Retransmitted, e.Timeouts
	f.calls, f.legs, f.engineRefused = h.Calls, h.Legs, h.Refused
	f.connections = len(s.ep.Flows())
	for _, l := range s.ep.Transport().Listeners() {
		info := l.Info()
		f.malformed += info.Malformed
		f.refusedHandshakes += info.Failed
		f.refusedConnections += info.Refused
	}
	return f
}
