package tvs

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/trustlist"
	"github.com/locktone/locktone/wire/tvs"
	"github.com/prometheus/client_golang/prometheus"
)

// serve answers what other services and administration ask on the bus.
func (s *Service) serve() (err error) {
	s.responders, err = s.cfg.Bus.Answer(Name, bus.Answers{Status: s.Status, Levels: s.cfg.Trace,
		Connections: func(context.Context) ([]bus.Connection, error) { return s.table.rows(s.cfg.Node), nil },
		Exceptions:  func(context.Context) ([]bus.Exception, error) { return s.cfg.weaknesses(), nil }})
	return err
}

// Status is how the service is, and where it listens.
func (s *Service) Status(context.Context) bus.ServiceStatus {
	st := bus.ServiceStatus{Node: s.cfg.Node, Service: Name, State: "ready", Addresses: s.Addresses(), Since: s.started.UTC(), PID: os.Getpid(), Version: s.cfg.Version}
	if why := s.trouble.Load(); why != nil {
		st.State, st.Problem = "degraded", "questions of phones cannot be answered: "+*why
	}
	return st
}

// note records a remark.
func (s *Service) note(level trace.Level, device, text string) {
	s.cfg.Trace.Record(trace.Record{Time: s.cfg.Now(), Service: Name, Kind: trace.KindNote, Level: level, Device: device, Summary: text})
}

// record is what every record of a connection has.
func (s *Service) record(x *connection, kind trace.Kind, level trace.Level, summary string) trace.Record {
	return trace.Record{Time: s.cfg.Now(), Service: Name, Kind: kind, Level: level, Flow: x.id, Net: "tls", Local: x.local, Remote: x.remote, Summary: summary}
}

func (s *Service) failed(x *connection, why string) {
	s.table.fail(x.remote, x.local, why, s.cfg.Now())
	s.cfg.Trace.Record(s.record(x, trace.KindTLSFailed, trace.Error, why))
}

func (s *Service) entered(x *connection, class standing, r *pki.Report) {
	subject := "without a certificate"
	var why string
	if r != nil {
		subject = r.Subject()
		if f, ok := r.Findings.First(); ok && class != verified {
			why = f.Sentence(policy().Peer)
		}
	}
	rec := s.record(x, trace.KindTLSOK, trace.Info, class.String()+" client "+subject)
	rec.Fields = []trace.Field{{Name: "version", Value: x.version}, {Name: "cipher", Value: x.cipher}, {Name: "subject", Value: subject}, {Name: "finding", Value: why}}
	s.cfg.Trace.Record(rec)
}

func (s *Service) answered(x *connection, r tvs.Request, v verdict) {
	s.counts.count(r.Command(), v.Status)
	rec := s.record(x, trace.KindNote, trace.Info, fmt.Sprintf("%s %s: %s, %s", r.Command(), v.subject, v.Status, v.why))
	rec.Device = r.Device
	var roles []string
	for _, role := range v.Roles {
		roles = append(roles, trustlist.Role(role).String())
	}
	rec.Fields = []trace.Field{{Name: "session", Value: fmt.Sprintf("%#x", r.Session)}, {Name: "roles", Value: strings.Join(roles, " ")}, {Name: "ttl", Value: fmt.Sprint(v.TTL)}}
	s.cfg.Trace.Record(rec)
}

func (s *Service) noAnswer(x *connection, r tvs.Request, err error) {
	s.counts.unanswered.Add(1)
	text := err.Error()
	s.trouble.Store(&text)
	rec := s.record(x, trace.KindNote, trace.Error, fmt.Sprintf("%s has no answer, so that the phone asks another server: %v", r.Command(), err))
	rec.Device = r.Device
	s.cfg.Trace.Record(rec)
}

// counts are what the metrics show.
type counts struct {
	accepted, refused, handshakes, malformed, unanswered   atomic.Uint64
	verifyFound, verifyNotFound, queryFound, queryNotFound atomic.Uint64
}

func (c *counts) count(cmd tvs.Command, st tvs.Status) {
	switch {
	case cmd == tvs.QueryRequest && st == tvs.Found:
		c.queryFound.Add(1)
	case cmd == tvs.QueryRequest:
		c.queryNotFound.Add(1)
	case st == tvs.Found:
		c.verifyFound.Add(1)
	default:
		c.verifyNotFound.Add(1)
	}
}

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { return collector{s} }

type collector struct{ s *Service }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	open, strangers := c.s.table.count()
	gauge := func(name, help string, kind prometheus.ValueType, v float64, labels ...string) {
		names := []string{"question", "status"}[:len(labels)]
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc("locktone_tvs_"+name, help, names, nil), kind, v, labels...)
	}
	n := &c.s.counts
	gauge("connections", "Connections now.", prometheus.GaugeValue, float64(open))
	gauge("strangers", "Connections now of clients whose certificate does not verify.", prometheus.GaugeValue, float64(strangers))
	for _, x := range []struct {
		name, help string
		v          *atomic.Uint64
		labels     []string
	}{
		{"connections_total", "Connections accepted.", &n.accepted, nil},
		{"connections_refused_total", "Connections closed at once because a limit was reached.", &n.refused, nil},
		{"handshakes_refused_total", "TLS handshakes that failed.", &n.handshakes, nil},
		{"malformed_total", "Questions that could not be read.", &n.malformed, nil},
		{"unanswered_total", "Questions for which somebody who had to be asked was not there.", &n.unanswered, nil},
		{"answers_total", "Answers by question and status.", &n.verifyFound, []string{"verify", "found"}},
		{"answers_total", "Answers by question and status.", &n.verifyNotFound, []string{"verify", "not found"}},
		{"answers_total", "Answers by question and status.", &n.queryFound, []string{"query", "found"}},
		{"answers_total", "Answers by question and status.", &n.queryNotFound, []string{"query", "not found"}},
	} {
		gauge(x.name, x.help, prometheus.CounterValue, float64(x.v.Load()), x.labels...)
	}
}
