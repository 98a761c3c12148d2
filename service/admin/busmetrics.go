package admin

import (
	"github.com/locktone/locktone/bus"
	"github.com/prometheus/client_golang/prometheus"
)

// What /metrics tells of the bus and of the facts on its board.
var (
	busConnectedDesc = busDesc("connected", "Whether the bus can be used now: 1, else 0.")
	busNodesDesc     = busDesc("nodes", "Other nodes heard since the start, by whether they live.", "state")
	busFactsDesc     = busDesc("facts", "Facts known of all live nodes, by kind.", "kind")
	busSaidDesc      = busDesc("facts_said_total", "Changes of its own facts that this node has said.")
	busAppliedDesc   = busDesc("facts_heard_total", "Changes of facts heard from other nodes.")
	busTakenDesc     = busDesc("facts_taken_total", "Exclusive facts of this node that another node took.")
	busRefusedDesc   = busDesc("facts_refused_total", "Facts of this node that were too large, too many or could not be encoded.")
	busGapsDesc      = busDesc("gaps_total", "Holes in what was heard of a node, each mended by a snapshot.")
	busLostDesc      = busDesc("nodes_lost_total", "Times a node was given up: silent for its lease, ended, or started anew.")
	busLapsedDesc    = busDesc("lapses_total", "Times this node was stopped for longer than its lease.")
	busLaggedDesc    = busDesc("watchers_lagged_total", "Times a reader of changes in this process was too slow and had to start over.")
	busUnsentDesc    = busDesc("unsent_total", "Messages about facts that the bus did not take.")
	busMalformedDesc = busDesc("malformed_total", "Messages about facts that could not be read.")
)

func busDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("locktone_bus_"+name, help, labels, nil)
}

func describeBus(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{busConnectedDesc, busNodesDesc, busFactsDesc, busSaidDesc, busAppliedDesc, busTakenDesc, busRefusedDesc, busGapsDesc,
		busLostDesc, busLapsedDesc, busLaggedDesc, busUnsentDesc, busMalformedDesc} {
		ch <- d
	}
}

func collectBus(b *bus.Bus, ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	s := b.Board().Stats()
	connected := 0
	if b.Connected() {
		connected = 1
	}
	gauge(busConnectedDesc, connected)
	gauge(busNodesDesc, s.Alive, "alive")
	gauge(busNodesDesc, s.Members-s.Alive, "lost")
	for kind, n := range b.Board().Count() {
		gauge(busFactsDesc, n, kind)
	}
	for _, c := range []struct {
		d *prometheus.Desc
		v uint64
	}{{busSaidDesc, s.Said}, {busAppliedDesc, s.Applied}, {busTakenDesc, s.Taken}, {busRefusedDesc, s.Refused}, {busGapsDesc, s.Gaps}, {busLostDesc, s.Lost},
		{busLapsedDesc, s.Lapsed}, {busLaggedDesc, s.Lagged}, {busUnsentDesc, s.Unsent}, {busMalformedDesc, s.Malformed}} {
		ch <- prometheus.MustNewConstMetric(c.d, prometheus.CounterValue, float64(c.v))
	}
}
