package callmanager

import (
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip/transport"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are named locktone_callmanager_..., in base units (seconds, ratios), counters end in _total. No label holds a number, a
// device, a peer or anything else that the outside chooses: every label has a fixed set of values. docs/metrics.md lists them all, and
// a test holds it against the code.
const metricPrefix = "locktone_callmanager_"

// A gauge is one figure that is read when somebody asks for it: the hot path counts in its own structures.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*figures) float64
}

// figures are one reading of everything the gauges show.
type figures struct {
	devices                                                 int
	calls, legs                                             int
	connections, subscriptions, followers, keyReceivers     int
	malformed, refusedHandshakes, requests, responses, shed uint64
	refusedConnections                                      uint64
	transactions, mailbox                                   int
	retransmitted, timeouts, merged                         uint64
	engine                                                  live.Stats
	registrations                                           map[string]int // by protection
	trunks                                                  map[string]int // destinations by state
	ties                                                    map[string]int // legs by node
	peers                                                   map[string]bool
	backups                                                 int // devices that are here although another node is their primary
	drain                                                   bus.DrainState
}

func newGauge(name, help string, kind prometheus.ValueType, read func(*figures) float64) gauge {
	return gauge{prometheus.NewDesc(metricPrefix+name, help, nil, nil), kind, read}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

var gauges = []gauge{
	newGauge("devices", "Devices configured.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.devices) }),
	newGauge("calls", "Calls now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.calls) }),
	newGauge("legs", "Legs of calls now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.legs) }),
	newGauge("devices_at_backup", "Devices registered at this node now although the primary of their call-manager group is another.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.backups) }),
	newGauge("draining", "1 while this node is being drained, and when it is.", prometheus.GaugeValue, func(f *figures) float64 { return truth(f.drain.State != "") }),
	newGauge("drain_calls", "Calls the drain of this node waits for; 0 when there is none.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.drain.Calls) }),
	newGauge("drain_devices", "Devices the drain of this node has yet to hand over; 0 when there is none.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.drain.Devices) }),
	newGauge("connections", "Flows to peers now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.connections) }),
	newGauge("subscriptions", "Event subscriptions now: busy lamps, presence, message waiting.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.subscriptions) }),
	newGauge("followers", "Sessions of programs that follow the engine's events now, on any node.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.followers) }),
	newGauge("key_receivers", "Sessions of entitled applications that are given SRTP keys now.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.keyReceivers) }),
	newGauge("transactions", "SIP transactions now, both sides.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.transactions) }),
	newGauge("mailbox", "Messages that wait in shards.", prometheus.GaugeValue, func(f *figures) float64 { return float64(f.mailbox) }),
	newGauge("malformed_total", "Messages refused by parser or validator.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.malformed) }),
	newGauge("handshakes_refused_total", "TLS handshakes with our listeners that failed.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.refusedHandshakes) }),
	newGauge("connections_refused_total", "Connections closed at once because a limit was reached.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.refusedConnections) }),
	newGauge("requests_total", "SIP requests received.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.requests) }),
	newGauge("responses_total", "SIP responses received.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.responses) }),
	newGauge("overload_refused_total", "Requests answered 503 by a limit.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.shed) }),
	newGauge("retransmitted_total", "Messages sent again by a timer.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.retransmitted) }),
	newGauge("timeouts_total", "Requests without an answer in time.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.timeouts) }),
	newGauge("merged_total", "Merged requests answered 482.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.merged) }),
	newGauge("engine_refused_total", "New calls refused because the engine was late.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.engine.Refused) }),
	newGauge("engine_refusing", "1 while new calls are refused because the engine is late.", prometheus.GaugeValue, func(f *figures) float64 { return truth(f.engine.Refusing) }),
	newGauge("engine_wait_seconds", "How long the engine's last input waited in its mailbox.", prometheus.GaugeValue, func(f *figures) float64 { return f.engine.Wait.Seconds() }),
	newGauge("engine_busy_seconds_total", "Time the engine has worked.", prometheus.CounterValue, func(f *figures) float64 { return f.engine.Busy.Seconds() }),
	newGauge("engine_inputs_total", "Inputs the engine has digested.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.engine.Inputs) }),
	newGauge("drivers_disconnected_total", "Drivers disconnected because they did not take their commands.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.engine.Disconnected) }),
	newGauge("watchers_lagged_total", "Times an observer of calls was so slow that it lost events and was given a new picture.", prometheus.CounterValue, func(f *figures) float64 { return float64(f.engine.Lagged) }),
}

var (
	registrationsDesc = prometheus.NewDesc(metricPrefix+"registrations", "Contacts registered now, by the protection of the device's profile.", []string{"protection"}, nil)
	tiesDesc          = prometheus.NewDesc(metricPrefix+"tie_legs", "Legs of calls to the call managers of other nodes now, by node.", []string{"node"}, nil)
	peersDesc         = prometheus.NewDesc(metricPrefix+"peers", "1 while the call manager of another node lives, as this one sees it, by node.", []string{"node"}, nil)
	trunksDesc        = prometheus.NewDesc(metricPrefix+"trunk_destinations", "Destinations of trunks, by state.", []string{"state"}, nil)
)

// meters are what is counted as it happens. They are safe for use from many goroutines.
type meters struct {
	events     []prometheus.Counter // by call.EventKind: found without a look-up, since the engine's goroutine counts them
	marks      []prometheus.Counter // the same for the feature an event is the sign of, nil for none
	happened   *prometheus.CounterVec
	features   *prometheus.CounterVec
	calls      *prometheus.CounterVec
	legs       *prometheus.CounterVec
	duration   prometheus.Histogram
	ringing    prometheus.Histogram
	loss       *prometheus.HistogramVec
	jitter     *prometheus.HistogramVec
	mos        *prometheus.HistogramVec
	trouble    *prometheus.CounterVec
	handshakes *prometheus.CounterVec
	waiting    *prometheus.GaugeVec
	written    *prometheus.CounterVec
	lost       prometheus.Counter
	removed    prometheus.Counter
}

func newMeters() *meters {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricPrefix + name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets ...float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: metricPrefix + name, Help: help, Buckets: buckets}, []string{"by"})
	}
	m := &meters{
		happened: counter("events_total", "What happened to calls, by kind of event.", "event"),
		features: counter("features_used_total", "Features used: hold, forward, transfer, conference, park, pickup, barge, emergency; hunt: members of hunt groups that were rung.", "feature"),
		calls:    counter("calls_ended_total", "Calls that ended, by cause, and whether they were answered.", "cause", "answered"),
		legs:     counter("legs_ended_total", "Legs that ended, by what became of them and how well they were protected.", "outcome", "lock"),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Name: metricPrefix + "call_duration_seconds", Help: "How long answered calls lasted.",
			Buckets: []float64{1, 10, 30, 60, 180, 600, 1800, 3600, 14400}}),
		ringing: prometheus.NewHistogram(prometheus.HistogramOpts{Name: metricPrefix + "answer_delay_seconds", Help: "From the beginning of a call to its answer.",
			Buckets: []float64{0.1, 0.5, 1, 2, 5, 10, 20, 30, 60}}),
		loss:   histogram("media_loss_ratio", "Share of media packets that did not arrive, one observation a leg, by who measured.", 0, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25),
		jitter: histogram("media_jitter_seconds", "Mean jitter of media, one observation a leg, by who measured.", 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
		mos:    histogram("media_mos", "Estimated mean opinion score of media (1 to 4.5), one observation a leg, by who measured.", 1.5, 2, 2.5, 3, 3.3, 3.6, 3.8, 4, 4.2, 4.4),
		trouble: counter("media_trouble_total", "Times media was found to be in trouble: failed (packets cannot be authenticated), silent (nothing arrives), plain (not protected).",
			"kind"),
		handshakes: counter("handshake_failures_total", "TLS handshakes that failed, by the rule of our verifier that refused, or what the protocol said.", "rule", "direction"),
		waiting:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metricPrefix + "records_waiting", Help: "Records of calls and legs that are not in the store yet."}, []string{"kind"}),
		written:    counter("records_written_total", "Records of calls and legs written to the store.", "kind"),
		lost: prometheus.NewCounter(prometheus.CounterOpts{Name: metricPrefix + "records_lost_total",
			Help: "Records of calls and legs given up because the store was away too long, and times the recorder could not follow."}),
		removed: prometheus.NewCounter(prometheus.CounterOpts{Name: metricPrefix + "records_removed_total", Help: "Records removed because they were older than callRecordRetention."}),
	}
	m.start()
	return m
}

// start makes every series that is known beforehand, so that a rate over it is right from the first event on.
func (m *meters) start() {
	for k := call.EventNone; k.Known(); k++ {
		var event, feature prometheus.Counter
		if k != call.EventNone {
			event = m.happened.WithLabelValues(k.String())
		}
		if mark := call.MarkOf(k); mark != 0 {
			feature = m.features.WithLabelValues(mark.String())
		}
		m.events, m.marks = append(m.events, event), append(m.marks, feature)
	}
	m.features.WithLabelValues(call.MarkHunt.String())
	for _, p := range []call.Proof{call.ProofFailed, call.ProofSilent, call.ProofPlain} {
		m.trouble.WithLabelValues(p.String())
	}
	for _, kind := range []string{recordsOfCalls, recordsOfLegs} {
		m.waiting.WithLabelValues(kind)
		m.written.WithLabelValues(kind)
	}
}

// collectors are all of them.
func (m *meters) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.happened, m.features, m.calls, m.legs, m.duration, m.ringing, m.loss, m.jitter, m.mos, m.trouble, m.handshakes,
		m.waiting, m.written, m.lost, m.removed}
}

// stepped counts what a step of the engine brought. It runs where the engine runs.
func (m *meters) stepped(r *live.Record) {
	for i := range r.Output.Events {
		k := r.Output.Events[i].Kind
		m.events[k].Inc()
		if m.marks[k] != nil {
			m.marks[k].Inc()
		}
	}
	if h, ok := r.Input.Signal.(call.Heard); ok && h.Proof >= call.ProofPlain {
		m.trouble.WithLabelValues(h.Proof.String()).Inc()
	}
}

// callEnded counts a call that is over.
func (m *meters) callEnded(v *call.View, ev *call.Event) {
	answered := "no"
	if !v.Answered.IsZero() {
		answered = "yes"
		m.duration.Observe(ev.At.Sub(v.Answered).Seconds())
		m.ringing.Observe(v.Answered.Sub(v.Created).Seconds())
	}
	m.calls.WithLabelValues(causeLabel(ev.Cause), answered).Inc()
}

// causeLabel is the cause's name; a peer can say any number of Q.850, so that those without a name are one.
func causeLabel(c call.Cause) string {
	if !c.Named() {
		return "other"
	}
	return c.String()
}

// legEnded counts a leg that is over, with what was measured of its media.
func (m *meters) legEnded(r *call.LegRecord) {
	m.legs.WithLabelValues(r.Outcome.String(), r.Lock.String()).Inc()
	if r.Features&call.MarkHunt != 0 {
		m.features.WithLabelValues(call.MarkHunt.String()).Inc()
	}
	q := r.Quality
	if q == nil || q.By != "here" && q.By != "phone" {
		return
	}
	if all := q.Received + q.Lost; all > 0 {
		m.loss.WithLabelValues(q.By).Observe(float64(q.Lost) / float64(all))
		m.jitter.WithLabelValues(q.By).Observe(q.Jitter / 1000)
	}
	if q.MOS > 0 {
		m.mos.WithLabelValues(q.By).Observe(q.MOS)
	}
}

// refused counts a handshake that failed.
func (m *meters) refused(h *transport.HandshakeFailure) {
	side, direction := pki.PeerIsServer, "outbound"
	if h.Inbound {
		side, direction = pki.PeerIsClient, "inbound"
	}
	rule := "other"
	if f, found := pki.Explain(h.Err, side).First(); found {
		rule = string(f.Rule)
	}
	m.handshakes.WithLabelValues(rule, direction).Inc()
}

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { return collector{s, s.meters.collectors()} }

// NoMetrics is the collector of a service that does not run: it says which metrics there are.
func NoMetrics() prometheus.Collector { return collector{nil, newMeters().collectors()} }

type collector struct {
	s      *Service
	meters []prometheus.Collector
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges {
		ch <- g.desc
	}
	ch <- registrationsDesc
	ch <- trunksDesc
	ch <- tiesDesc
	ch <- peersDesc
	for _, m := range c.meters {
		m.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c.meters {
		m.Collect(ch)
	}
	if c.s == nil {
		return
	}
	f := c.s.figures()
	for _, g := range gauges {
		ch <- prometheus.MustNewConstMetric(g.desc, g.kind, g.read(f))
	}
	for protection, n := range f.registrations {
		ch <- prometheus.MustNewConstMetric(registrationsDesc, prometheus.GaugeValue, float64(n), protection)
	}
	for node, alive := range f.peers {
		ch <- prometheus.MustNewConstMetric(tiesDesc, prometheus.GaugeValue, float64(f.ties[node]), node)
		ch <- prometheus.MustNewConstMetric(peersDesc, prometheus.GaugeValue, truth(alive), node)
	}
	for state, n := range f.trunks {
		ch <- prometheus.MustNewConstMetric(trunksDesc, prometheus.GaugeValue, float64(n), state)
	}
}

func (s *Service) figures() *figures {
	st := s.site.Load()
	f := &figures{devices: len(st.Devices()), registrations: map[string]int{}, trunks: map[string]int{}}
	for _, mode := range []string{"encrypted", "authenticated", "non-secure"} {
		f.registrations[mode] = 0
	}
	f.drain = s.drain.get()
	away := map[string]bool{}
	for _, b := range s.bindings.all() {
		if d := st.device(b.device); d != nil {
			f.registrations[d.Security.DeviceSecurityMode.String()]++
			if st.clustered() && len(d.Nodes) > 0 && d.Nodes[0] != s.cfg.Node {
				away[b.device] = true
			}
		}
	}
	f.backups = len(away)
	for state, n := range s.el.States() {
		f.trunks[state.String()] = n
	}
	f.ties, f.peers = s.sip.Ties(), map[string]bool{}
	for _, node := range callManagers(st.config) {
		if p, _ := s.peers.get(node); node != s.cfg.Node {
			f.peers[node] = p.alive
		}
	}
	e := s.ep.Stats()
	f.engine = s.host.Stats()
	f.transactions, f.mailbox = e.ServerTransactions+e.ClientTransactions, e.Mailbox
	f.requests, f.responses, f.shed, f.merged, f.retransmitted, f.timeouts = e.Requests, e.Responses, e.Refused, e.Merged, e.Retransmitted, e.Timeouts
	f.calls, f.legs = f.engine.Calls, f.engine.Legs
	f.connections, f.subscriptions = len(s.ep.Flows()), len(s.subscriptions.of(""))
	f.followers, f.keyReceivers = s.remote.Followers(), int(s.keys.some.Load())
	for _, l := range s.ep.Transport().Listeners() {
		info := l.Info()
		f.malformed += info.Malformed
		f.refusedHandshakes += info.Failed
		f.refusedConnections += info.Refused
	}
	return f
}

// Kinds of records, as labels.
const (
	recordsOfCalls = "call"
	recordsOfLegs  = "leg"
)
