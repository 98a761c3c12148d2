package callserver

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { return collector{s} }

// NoMetrics is the collector of a service that does not run: it says which metrics there are.
func NoMetrics() prometheus.Collector { return collector{&Service{}} }

type collector struct{ s *Service }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	put := func(name, help string, kind prometheus.ValueType, v float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("locktone_callserver_"+name, help, nil, nil), kind, v)
	}
	s := c.s
	s.mu.Lock()
	calls, alone := len(s.calls), s.router.Node == ""
	s.mu.Unlock()
	put("calls", "Callers now.", prometheus.GaugeValue, float64(calls))
	router := 1.0
	if alone {
		router = 0
	}
	put("contact_center_up", "Whether a contact centre leads, as this call server sees it.", prometheus.GaugeValue, router)
	n := &s.counts
	for _, x := range []struct {
		name, help string
		v          *atomic.Uint64
	}{
		{"calls_total", "Callers taken.", &n.calls},
		{"calls_refused_total", "Calls turned away: no contact number, or too many callers.", &n.refused},
		{"queries_total", "Questions to the contact centre.", &n.asked},
		{"queries_unanswered_total", "Questions that were not answered, or not by a label that can be carried out.", &n.unanswered},
		{"orders_total", "Labels that the contact centre ordered out of turn.", &n.orders},
		{"joins_total", "Supervisors who were to be let into a call.", &n.joins},
		{"notes_total", "Notes published.", &n.notes},
		{"documents_total", "Documents given to voice browsers.", &n.documents},
		{"documents_refused_total", "Requests for documents that were refused.", &n.refusedDocuments},
	} {
		put(x.name, x.help, prometheus.CounterValue, float64(x.v.Load()))
	}
}
