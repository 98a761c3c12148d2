package contactcenter

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/locktone/locktone/service/contactcenter/center"
)

// counts are what has happened since the start.
type counts struct {
	orders, ended, repaired, resyncs, lookups, lookupFailures, recordsWritten, recordsLost atomic.Int64
}

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { return collector{s} }

// NoMetrics is the collector of a service that does not run: it says which metrics there are.
func NoMetrics() prometheus.Collector {
	s := &Service{}
	s.picture.Store(&Picture{Queues: []center.QueueView{{}}, Agents: []center.AgentRecord{{}}})
	return collector{s}
}

type collector struct{ s *Service }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	all := make(chan *prometheus.Desc)
	go func() { prometheus.DescribeByCollect(c, all); close(all) }()
	seen := map[string]bool{}
	for d := range all {
		if !seen[d.String()] {
			ch <- d
		}
		seen[d.String()] = true
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	put := func(name, help string, kind prometheus.ValueType, v float64, labels ...string) {
		var names []string
		switch {
		case len(labels) > 0 && name == "agents":
			names = []string{"state"}
		case len(labels) > 0 && name == "contacts":
			names = []string{"phase"}
		case len(labels) > 0:
			names = []string{"queue"}
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("locktone_contact_"+name, help, names, nil), kind, v, labels...)
	}
	p, n := c.s.picture.Load(), &c.s.counts
	leads := 0.0
	if p.Leads {
		leads = 1
	}
	put("leads", "1 on the node that leads the contact centre.", prometheus.GaugeValue, leads)
	phases := map[center.Phase]int{}
	for _, x := range p.Contacts {
		phases[x.Phase]++
	}
	for x := center.Treated; x <= center.Resting; x++ {
		put("contacts", "Contacts now, by phase.", prometheus.GaugeValue, float64(phases[x]), x.String())
	}
	states := map[center.State]int{}
	for _, a := range p.Agents {
		states[a.State]++
	}
	for s := center.LoggedOut; s <= center.Work; s++ {
		put("agents", "Agents now, by state.", prometheus.GaugeValue, float64(states[s]), s.String())
	}
	for _, q := range p.Queues {
		put("waiting", "Contacts that wait, by queue.", prometheus.GaugeValue, float64(q.Waiting), q.Queue)
		put("oldest_seconds", "How long the one has waited who has for longest.", prometheus.GaugeValue, q.Oldest.Seconds(), q.Queue)
		put("estimate_seconds", "How long one who came now would wait.", prometheus.GaugeValue, q.Estimate.Seconds(), q.Queue)
		put("ready", "Agents of the queue who are ready.", prometheus.GaugeValue, float64(q.Ready), q.Queue)
		if q.ServiceLevel >= 0 {
			put("service_level_ratio", "Contacts answered within the target of those that count, by the queue's rule, since the node began to lead; absent while there was none.", prometheus.GaugeValue, q.ServiceLevel/100, q.Queue)
		}
		put("offered_total", "Contacts that came into the queue.", prometheus.CounterValue, float64(q.Counts.Offered), q.Queue)
		put("answered_total", "Contacts that got an agent.", prometheus.CounterValue, float64(q.Counts.Answered), q.Queue)
		put("answered_within_total", "Contacts that got an agent within the target of the service level.", prometheus.CounterValue, float64(q.Counts.Within), q.Queue)
		put("abandoned_total", "Contacts that hung up while they waited.", prometheus.CounterValue, float64(q.Counts.Abandoned), q.Queue)
		put("abandoned_short_total", "Contacts that hung up before they count.", prometheus.CounterValue, float64(q.Counts.Short), q.Queue)
		put("left_total", "Contacts that went elsewhere.", prometheus.CounterValue, float64(q.Counts.Left), q.Queue)
		put("offers_total", "Times an agent was reserved for a contact.", prometheus.CounterValue, float64(q.Counts.Offers), q.Queue)
		put("no_answer_total", "Times an agent did not answer.", prometheus.CounterValue, float64(q.Counts.NoAnswer), q.Queue)
	}
	rows := 0
	if c.s.records != nil {
		rows = c.s.records.waiting()
	}
	put("records_waiting", "Rows of contacts and intervals that are not in the store yet.", prometheus.GaugeValue, float64(rows))
	for _, x := range []struct {
		name, help string
		v          *atomic.Int64
	}{
		{"orders_total", "Orders given to call servers.", &n.orders}, {"ended_total", "Contacts that have ended.", &n.ended},
		{"repaired_total", "Things that should not have been and were put right; the trace says which.", &n.repaired},
		{"resyncs_total", "Times a call server was asked for all its calls, because a note was missed.", &n.resyncs},
		{"lookups_total", "Lookups of routing scripts.", &n.lookups}, {"lookup_failures_total", "Lookups that failed.", &n.lookupFailures},
		{"records_written_total", "Rows of contacts and intervals written to the store.", &n.recordsWritten},
		{"records_lost_total", "Rows of contacts and intervals given up because the store was away too long.", &n.recordsLost},
	} {
		put(x.name, x.help, prometheus.CounterValue, float64(x.v.Load()))
	}
}
