package voicebrowser

import (
	"github.com/locktone/locktone/service/voicebrowser/fetch"
	"github.com/locktone/locktone/service/voicebrowser/speech"
	"github.com/locktone/locktone/service/voicebrowser/worker"
	"github.com/prometheus/client_golang/prometheus"
)

// kinds are the ways a session's process fails, in the order they are shown.
var kinds = [...]worker.Kind{worker.Died, worker.Hung, worker.Lied, worker.Flood, worker.Absent}

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { return collector{s} }

// NoMetrics is the collector of a service that does not run: it says which metrics there are.
func NoMetrics() prometheus.Collector { return collector{&Service{}} }

type collector struct{ s *Service }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.s
	var pool worker.Stats
	var said speech.Stats
	var kept fetch.Stats
	if s.pool != nil {
		pool = s.pool.Stats()
	}
	if s.speaker != nil {
		said = s.speaker.Stats()
	}
	if x := s.site.Load(); x != nil {
		kept = x.client.Stats()
	}
	put := func(name, help string, kind prometheus.ValueType, v float64, label ...string) {
		var names []string
		if len(label) > 0 {
			names = []string{"kind"}
		}
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("locktone_voicebrowser_"+name, help, names, nil), kind, v, label...)
	}
	put("sessions", "VoiceXML sessions now.", prometheus.GaugeValue, float64(pool.Sessions))
	put("spares", "Processes that wait for calls.", prometheus.GaugeValue, float64(pool.Spares))
	put("sound_kept_bytes", "Speech kept in memory.", prometheus.GaugeValue, float64(said.Octets))
	put("cache_bytes", "Documents and files in the cache.", prometheus.GaugeValue, float64(kept.Octets))
	for _, k := range kinds {
		put("process_failures_total", "Sessions ended because their process died, hung, lied, flooded, or none could be had.", prometheus.CounterValue, float64(pool.Failures[k]), string(k))
	}
	for _, x := range []struct {
		name, help string
		v          uint64
	}{
		{"sessions_total", "Sessions begun.", s.counts.sessions.Load()},
		{"sessions_waited_total", "Sessions for which no spare process was ready.", pool.Waited},
		{"processes_total", "Processes started.", pool.Started},
		{"calls_refused_total", "Calls refused: of nobody known, or to no document.", s.counts.refused.Load()},
		{"documents_failed_total", "Sessions that ended with an error no document handled.", s.counts.documents.Load()},
		{"troubles_total", "Sounds that could not be had and texts that nobody could say.", s.counts.troubles.Load()},
		{"fetches_total", "Fetches that brought an answer.", s.counts.fetches.Load()},
		{"fetches_failed_total", "Fetches that brought none.", s.counts.fetchesFailed.Load()},
		{"cache_hits_total", "Fetches that found something in the cache.", kept.Hits},
		{"cache_misses_total", "Fetches that found nothing in the cache.", kept.Misses},
		{"texts_spoken_total", "Texts that a speech engine has said.", said.Said},
		{"texts_kept_total", "Texts that had been said before.", said.Kept},
		{"texts_ready_total", "Texts said by ready-made prompts.", said.Ready},
		{"recordings_total", "Recordings of callers.", s.counts.recordings.Load()},
		{"transfers_total", "Transfers begun.", s.counts.transfers.Load()},
	} {
		put(x.name, x.help, prometheus.CounterValue, float64(x.v))
	}
}
