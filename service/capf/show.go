package capf

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/prometheus/client_golang/prometheus"
)

// serve answers what operators ask over the bus.
func (s *Service) serve() (err error) {
	a := bus.Answers{Status: s.Status, Connections: s.connections, Exceptions: s.exceptions}
	if s.cfg.Trace != nil {
		a.Levels = s.cfg.Trace
	}
	s.responders, err = s.cfg.Bus.Answer(Name, a)
	return err
}

// Status is how the service is, and where it listens.
func (s *Service) Status(ctx context.Context) bus.ServiceStatus {
	st := bus.ServiceStatus{Node: s.cfg.Node, Service: Name, State: "ready", Since: s.started.UTC(), PID: os.Getpid(), Version: s.cfg.Version,
		Revision: s.site.Load().Revision.Number}
	for _, a := range s.Addresses() {
		st.Addresses = append(st.Addresses, "tls "+a.String())
	}
	st.Problem = s.lockouts.sentence(ctx, s.book, s.cfg.Now())
	if n := s.counts.sweepsThatFail.Load(); n > 0 && st.Problem == "" {
		st.Problem = fmt.Sprintf("profiles could not be looked through %d times: see the trace of service capf", n)
	}
	return st
}

func (s *Service) connections(context.Context) ([]bus.Connection, error) {
	rows := []bus.Connection{}
	s.mu.Lock()
	for _, x := range s.sessions {
		rows = append(rows, x.row(s.cfg.Node))
	}
	s.mu.Unlock()
	for _, f := range s.failures.all() {
		rows = append(rows, bus.Connection{Node: s.cfg.Node, Service: Name, Remote: f.remote.String(), Local: f.local.String(), Transport: "tls", Direction: "inbound",
			State: "failed", Since: f.first.UTC(), Failures: f.count, LastFailure: f.finding.Sentence(""), LastFailureAt: f.last.UTC()})
	}
	slices.SortStableFunc(rows, func(a, b bus.Connection) int { return strings.Compare(a.Remote+a.ID, b.Remote+b.ID) })
	return rows, nil
}

func flowName(id uint32) string { return fmt.Sprintf("c%d", id) }

func (x *session) row(node string) bus.Connection {
	x.shown.mu.Lock()
	defer x.shown.mu.Unlock()
	cs := x.shown.tls
	return bus.Connection{Node: node, Service: Name, ID: flowName(x.id), Peer: x.shown.device, Remote: x.remote.String(), Local: x.local.String(), Transport: "tls",
		Direction: "inbound", State: "established", Since: x.shown.since.UTC(), TLSVersion: tls.VersionName(cs.Version), Cipher: tls.CipherSuiteName(cs.CipherSuite),
		ServerName: cs.ServerName, BytesIn: x.shown.in.Load(), BytesOut: x.shown.out.Load(), MessagesIn: x.shown.messages[0].Load(), MessagesOut: x.shown.messages[1].Load()}
}

func (s *Service) exceptions(context.Context) ([]bus.Exception, error) {
	rows := []bus.Exception{}
	if s.legacy() {
		rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: "node", Name: s.cfg.Node, Setting: Exception, Value: "TLS_RSA_WITH_AES_128_CBC_SHA", Default: "refused",
			From: "service capf", Risk: "who gets hold of the key of CAPF can read recorded enrolments, authorization strings included"})
	}
	return rows, nil
}

// A gauge is one figure that is read when somebody asks for it.
type gauge struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*Service) float64
}

func newGauge(name, help string, kind prometheus.ValueType, read func(*Service) float64) gauge {
	return gauge{prometheus.NewDesc("locktone_capf_"+name, help, nil, nil), kind, read}
}

// gauges are all figures of the service.
func gauges() []gauge {
	counter := func(name, help string, of func(*counts) uint64) gauge {
		return newGauge(name+"_total", help, prometheus.CounterValue, func(s *Service) float64 { return float64(of(&s.counts)) })
	}
	return []gauge{
		newGauge("sessions", "Sessions now.", prometheus.GaugeValue, func(s *Service) float64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return float64(len(s.sessions))
		}),
		newGauge("queue", "Jobs that wait for a worker.", prometheus.GaugeValue, func(s *Service) float64 { return float64(s.pool.length()) }),
		counter("connections", "Connections let in.", func(c *counts) uint64 { return c.accepted.Load() }),
		counter("connections_refused", "Connections closed at once because a limit was reached.", func(c *counts) uint64 { return c.refusedConnections.Load() }),
		counter("handshakes_refused", "TLS handshakes that failed.", func(c *counts) uint64 { return c.failedHandshakes.Load() }),
		counter("operations_begun", "Operations whose device proved itself.", func(c *counts) uint64 { return c.begun.Load() }),
		counter("operations_succeeded", "Operations done.", func(c *counts) uint64 { return c.succeeded.Load() }),
		counter("operations_failed", "Operations that failed after they began.", func(c *counts) uint64 { return c.failed.Load() }),
		counter("operations_late", "Operations that nobody came for in time.", func(c *counts) uint64 { return c.late.Load() }),
		counter("refused", "Clients not let in.", func(c *counts) uint64 { return c.refused.Load() }),
		counter("lockouts", "Profiles locked after wrong authorization strings.", func(c *counts) uint64 { return c.lockouts.Load() }),
		counter("certificates_issued", "Certificates issued.", func(c *counts) uint64 { return c.issued.Load() }),
		counter("certificates_revoked", "Replaced certificates revoked.", func(c *counts) uint64 { return c.revoked.Load() }),
		counter("malformed", "Messages that could not be read.", func(c *counts) uint64 { return c.malformed.Load() }),
	}
}

// Metrics is the service's collector for Prometheus.
func (s *Service) Metrics() prometheus.Collector { return collector{s, gauges()} }

type collector struct {
	s      *Service
	gauges []gauge
}

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range c.gauges {
		ch <- g.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, g := range c.gauges {
		ch <- prometheus.MustNewConstMetric(g.desc, g.kind, g.read(c.s))
	}
}
