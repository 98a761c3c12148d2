package border

import (
	"sync/atomic"

	"github.com/locktone/locktone/element"
	"github.com/prometheus/client_golang/prometheus"
)

// Why a call was refused before the engine saw it: the values of the label reason.
const (
	refusedSource = iota
	refusedSender
	refusedNumber
	refusedUnavailable
	refusedCalls
	refusedRate
	refusedKinds
)

var reasons = [refusedKinds]string{"source-rate", "unknown-sender", "no-peer", "unavailable", "calls", "rate"}

// counts are what the hot path counts.
type counts struct {
	accepted atomic.Uint64
	refused  [refusedKinds]atomic.Uint64
}

// Metrics are named locktone_border_..., counters end in _total. No label holds a number or a peer. docs/metrics.md lists them all.
const metricPrefix = "locktone_border_"

var (
	descCalls       = prometheus.NewDesc(metricPrefix+"calls", "Calls now.", nil, nil)
	descAccepted    = prometheus.NewDesc(metricPrefix+"accepted_total", "Calls let in.", nil, nil)
	descRefused     = prometheus.NewDesc(metricPrefix+"refused_total", "Calls refused before the engine saw them: source-rate, unknown-sender, no-peer, unavailable, calls, rate.", []string{"reason"}, nil)
	descPeers       = prometheus.NewDesc(metricPrefix+"dial_peers", "Dial-peers configured.", nil, nil)
	descTargets     = prometheus.NewDesc(metricPrefix+"targets", "Session targets: unknown, in-service, out-of-service.", []string{"state"}, nil)
	descConnections = prometheus.NewDesc(metricPrefix+"connections", "Flows to peers now.", nil, nil)
)

// Metrics collects the border's figures when somebody asks.
func (s *Service) Metrics() prometheus.Collector { return collector{s} }

type collector struct{ s *Service }

// Describe implements prometheus.Collector.
func (collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descCalls, descAccepted, descRefused, descPeers, descTargets, descConnections} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	e := c.s.element.Load()
	gauge(descCalls, float64(e.Host().Stats().Calls))
	counter(descAccepted, c.s.counts.accepted.Load())
	for i, r := range reasons {
		counter(descRefused, c.s.counts.refused[i].Load(), r)
	}
	gauge(descPeers, float64(len(c.s.site.Load().peers)))
	states := e.States()
	for _, st := range []element.State{element.StateUnknown, element.StateInService, element.StateOutOfService} {
		gauge(descTargets, float64(states[st]), st.String())
	}
	gauge(descConnections, float64(len(e.Endpoint().Flows())))
}

// NoMetrics is the collector of a service that does not run: it says which metrics there are.
func NoMetrics() prometheus.Collector { return collector{&Service{}} }
