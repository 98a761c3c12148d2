package store

import "github.com/prometheus/client_golang/prometheus"

// meters are what the store tells of itself when it is asked; their names are in docs/metrics.md.
var meters = [...]struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(s *Store) float64
}{
	{meter("available", "1 while the record can be asked, 0 while PostgreSQL is away."), prometheus.GaugeValue, func(s *Store) float64 {
		if _, why := s.presence(); why != nil {
			return 0
		}
		return 1
	}},
	{meter("revision", "Revision of the configuration that this node knows."), prometheus.GaugeValue, func(s *Store) float64 { return float64(s.Known().Revision.Number) }},
	{meter("copy_behind", "1 while the node's copy of the record could not be brought up to date although PostgreSQL is there."), prometheus.GaugeValue, func(s *Store) float64 {
		if s.copyTrouble() != nil {
			return 1
		}
		return 0
	}},
	{meter("outbox_bytes", "What waits in the outbox for PostgreSQL, in bytes."), prometheus.GaugeValue, func(s *Store) float64 { return float64(s.waiting().bytes) }},
	{meter("outbox_records", "Batches of call records that wait in the outbox."), prometheus.GaugeValue, func(s *Store) float64 { return float64(s.waiting().records) }},
	{meter("outbox_documents", "Settings of users that wait in the outbox."), prometheus.GaugeValue, func(s *Store) float64 { return float64(s.waiting().documents) }},
	{meter("outbox_refused", "What PostgreSQL will not take: it is put aside in the outbox."), prometheus.GaugeValue, func(s *Store) float64 { return float64(s.waiting().refused) }},
	{meter("outbox_delivered_total", "Batches and settings that waited in the outbox and were written."), prometheus.CounterValue, func(s *Store) float64 { return float64(s.waiting().delivered) }},
	{meter("outbox_overtaken_total", "Settings that waited in the outbox and yielded to a newer change on another node."), prometheus.CounterValue, func(s *Store) float64 { return float64(s.waiting().overtake) }},
}

func meter(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("locktone_store_"+name, help, nil, nil)
}

// Describe implements prometheus.Collector.
func (s *Store) Describe(c chan<- *prometheus.Desc) {
	for _, m := range meters {
		c <- m.desc
	}
}

// Collect implements prometheus.Collector. It asks nobody.
func (s *Store) Collect(c chan<- prometheus.Metric) {
	for _, m := range meters {
		c <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value(s))
	}
}
