package provisioning

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
)

// serve answers what operators ask over the bus.
func (s *Service) serve() (err error) {
	s.responders, err = s.cfg.Bus.Answer(Name, bus.Answers{Status: s.Status, Connections: s.showConnections, Exceptions: s.showExceptions, Levels: s.cfg.Trace})
	return err
}

// Status is how the service is, and where it listens.
func (s *Service) Status(ctx context.Context) bus.ServiceStatus {
	st := bus.ServiceStatus{Node: s.cfg.Node, Service: Name, State: "ready", Addresses: s.Addresses(), Since: s.started.UTC(), PID: os.Getpid(), Version: s.cfg.Version,
		Problem: strings.Join(s.fallen, "; ")}
	if _, snapshot, err := s.library.site(ctx); err == nil {
		st.Revision = snapshot.Revision.Number
	}
	if text := s.problems.text(); text != "" {
		st.State, st.Problem = "degraded", text
	}
	return st
}

func (s *Service) showConnections(context.Context) ([]bus.Connection, error) {
	rows := []bus.Connection{}
	open, _ := s.gate.list()
	for _, c := range open {
		rows = append(rows, bus.Connection{Node: s.cfg.Node, Service: Name, Remote: c.remote.String(), Local: c.local.String(), Transport: transportOf(c.protocol), Direction: "inbound",
			State: "established", Since: c.since.UTC()})
	}
	failures, _ := s.gate.troubles()
	for _, f := range failures {
		rows = append(rows, bus.Connection{Node: s.cfg.Node, Service: Name, Remote: f.remote.Addr().String(), Local: f.local.String(), Transport: transportOf(f.protocol), Direction: "inbound",
			State: "failed", Since: f.at.UTC(), Failures: f.count, LastFailure: f.why, LastFailureAt: f.at.UTC()})
	}
	for _, t := range s.tftp.Active() {
		rows = append(rows, bus.Connection{Node: s.cfg.Node, Service: Name, Peer: Resolve(t.Name).Device, Remote: t.Remote.String(), Local: t.Local.String(), Transport: "udp", Direction: "inbound",
			State: "established", Since: t.Began.UTC()})
	}
	slices.SortFunc(rows, func(a, b bus.Connection) int { return cmp.Compare(a.Peer+a.Remote, b.Peer+b.Remote) })
	return rows, nil
}

// transportOf is what a protocol goes over, as tables and traces call it.
func transportOf(p protocol) string { return [...]string{"udp", "tcp", "tls"}[p] }

func (s *Service) showExceptions(ctx context.Context) ([]bus.Exception, error) {
	rows := []bus.Exception{}
	for _, weakness := range s.tlsPolicy().TLSPolicy.Weaknesses() {
		rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: "node", Name: s.cfg.Node, Setting: "tls", Value: weakness, Risk: "whoever has the log can read everything that was recorded of these connections"})
	}
	_, snapshot, err := s.library.site(ctx)
	if err != nil {
		return nil, err
	}
	if c := snapshot.Site.Cluster; c.FileSignature == config.SignSHA1 {
		rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: string(config.KindCluster), Name: c.Name, Setting: "fileSignature", Value: c.FileSignature.String(),
			Default: config.SignSHA256.String(), Risk: "whoever can make two files of the same SHA-1 could have one signed and pass off the other"})
	}
	for _, name := range weakFiles(snapshot.Site) {
		rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: string(config.KindPhoneSecurityProfile), Name: name, Setting: "tftpEncryptedConfig", Value: config.EncryptOff.String(),
			Default: config.EncryptWhenPossible.String(), Risk: "everybody on the network can read the numbers and names of these phones; there are no passwords in the files"})
	}
	return rows, nil
}

// Metrics are the service's figures, read when somebody asks for them.
func (s *Service) Metrics() prometheus.Collector { return collector{s} }

type collector struct{ s *Service }

var (
	requestsDesc    = prometheus.NewDesc("locktone_provisioning_requests_total", "Requests for files by protocol, class of file and result.", []string{"protocol", "class", "result"}, nil)
	bytesDesc       = prometheus.NewDesc("locktone_provisioning_bytes_total", "Bytes of files sent, without repetitions.", []string{"protocol"}, nil)
	activeDesc      = prometheus.NewDesc("locktone_provisioning_active", "TFTP transfers and HTTP connections now.", []string{"protocol"}, nil)
	refusedDesc     = prometheus.NewDesc("locktone_provisioning_refused_total", "Requests and connections turned away by a limit.", []string{"protocol"}, nil)
	evictedDesc     = prometheus.NewDesc("locktone_provisioning_evicted_total", "TFTP transfers given up for others because their client never answered.", nil, nil)
	uselessDesc     = prometheus.NewDesc("locktone_provisioning_connections_without_request_total", "Connections that ended without a request that could be read: broken handshakes, garbage, silence.", []string{"protocol"}, nil)
	malformedDesc   = prometheus.NewDesc("locktone_provisioning_malformed_total", "TFTP packets answered with an error before a file was looked for.", nil, nil)
	descriptionsAll = []*prometheus.Desc{requestsDesc, bytesDesc, activeDesc, refusedDesc, evictedDesc, uselessDesc, malformedDesc}
)

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range descriptionsAll {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	gauge := func(v int, label string) {
		out <- prometheus.MustNewConstMetric(activeDesc, prometheus.GaugeValue, float64(v), label)
	}
	c.s.counters.each(func(p protocol, class Class, r result, n uint64) {
		counter(requestsDesc, n, p.String(), class.String(), r.String())
	})
	for p := overTFTP; p <= overHTTPS; p++ {
		counter(bytesDesc, c.s.counters.bytes[p].Load(), p.String())
	}
	t := c.s.tftp.Counters()
	open, refused := c.s.gate.list()
	gauge(t.Active, "tftp")
	gauge(len(open), "http")
	counter(refusedDesc, t.Refused, "tftp")
	counter(refusedDesc, refused, "http")
	counter(evictedDesc, t.Evicted)
	_, useless := c.s.gate.troubles()
	for p := overHTTP; p <= overHTTPS; p++ {
		counter(uselessDesc, useless[p], p.String())
	}
	counter(malformedDesc, t.Invalid)
}
