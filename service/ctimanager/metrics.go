package ctimanager

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { return collector{s} }

// NoMetrics is the collector of a service that does not run: it says which metrics there are.
func NoMetrics() prometheus.Collector { return collector{&Service{table: newConnections()}} }

type collector struct{ s *Service }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	put := func(name, help string, kind prometheus.ValueType, v float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("locktone_cti_"+name, help, nil, nil), kind, v)
	}
	s := c.s
	open, half := s.table.count()
	devices, lines := 0, 0
	for _, x := range s.table.all() {
		if p := x.shown.Load(); p != nil {
			devices, lines = devices+p.devices, lines+p.lines
		}
	}
	put("connections", "Connections now.", prometheus.GaugeValue, float64(open))
	put("connections_waiting", "Connections now that have not logged in.", prometheus.GaugeValue, float64(half))
	put("devices_open", "Devices that providers have open.", prometheus.GaugeValue, float64(devices))
	put("lines_open", "Lines that providers have open.", prometheus.GaugeValue, float64(lines))
	put("connections_crowded_out_total", "Connections that had not logged in and were closed for others, because a limit was reached.", prometheus.CounterValue, float64(s.table.madeRoom()))
	n := &s.counts
	for _, x := range []struct {
		name, help string
		v          *atomic.Uint64
	}{
		{"connections_total", "Connections accepted.", &n.accepted},
		{"connections_refused_total", "Connections closed at once because a limit was reached.", &n.refused},
		{"probes_total", "Connections that ended before a byte was sent.", &n.probes},
		{"handshakes_refused_total", "TLS handshakes that failed.", &n.handshakes},
		{"malformed_total", "Frames that could not be read.", &n.malformed},
		{"cut_off_total", "Connections ended because the client did not read.", &n.cut},
		{"logins_refused_total", "Logins that failed.", &n.logins},
		{"providers_opened_total", "Logins that succeeded.", &n.opened},
		{"events_total", "CTI events made from what call engines told.", &n.events},
		{"engine_losses_total", "Times that events of a call engine were lost, and a snapshot took their place.", &n.gaps},
	} {
		put(x.name, x.help, prometheus.CounterValue, float64(x.v.Load()))
	}
}
