package ctimanager

import (
	"context"
	"crypto/tls"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/trace"
)

// answer answers what other services and administration ask on the bus.
func (s *Service) answer() (err error) {
	s.responders, err = s.cfg.Bus.Answer(Name, bus.Answers{Status: s.Status, Levels: s.cfg.Trace,
		Connections: s.Rows,
		Providers:   s.providers,
		Exceptions:  func(context.Context) ([]bus.Exception, error) { return s.cfg.weaknesses(), nil }})
	return err
}

// Status is how the service is, and where it listens.
func (s *Service) Status(context.Context) bus.ServiceStatus {
	st := bus.ServiceStatus{Node: s.cfg.Node, Service: Name, State: "ready", Addresses: s.Addresses(), Since: s.started.UTC(), PID: os.Getpid(), Version: s.cfg.Version}
	if v := s.current.Load(); v != nil {
		st.Revision = v.Revision()
	}
	return st
}

// shown is what is kept of a provider for whoever looks at all of them at once.
type shown struct {
	state          state
	user           string
	devices, lines int
}

func (p *provider) shown() shown {
	return shown{p.state, p.user, len(p.open), len(p.lines)}
}

// look asks a provider for the whole picture of it, by its mailbox.
type look struct{ answer chan<- bus.ProviderState }

func (look) input() {}

// picture is the provider as operators see it.
func (p *provider) picture() bus.ProviderState {
	out := bus.ProviderState{Node: p.who.node, Provider: p.id(), User: p.user, Application: p.application.ID, Client: p.application.ClientVersion, Remote: p.who.remote.String(),
		Port: portOf(p.who.secure), State: p.state.String(), Heard: p.heard.UTC(), Heartbeat: int(p.clientBeat / time.Second), Lines: len(p.lines), Devices: []bus.ProviderDevice{}}
	for _, o := range p.open {
		d := bus.ProviderDevice{Name: o.name, InService: o.in}
		for _, l := range o.lines {
			d.Lines = append(d.Lines, l.line.String())
			out.Calls += len(l.calls)
		}
		out.Devices = append(out.Devices, d)
	}
	slices.SortFunc(out.Devices, func(a, b bus.ProviderDevice) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func portOf(secure bool) int {
	if secure {
		return Port
	}
	return ClearPort
}

// lookWait is how long is waited for the picture of a provider.
const lookWait = time.Second

// providers are those that are logged in, or on the way.
func (s *Service) providers(ctx context.Context) ([]bus.ProviderState, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWait)
	defer cancel()
	all := s.table.all()
	answers := make([]chan bus.ProviderState, len(all))
	for i, c := range all {
		answers[i] = make(chan bus.ProviderState, 1)
		c.box.put(look{answers[i]})
	}
	out := []bus.ProviderState{}
	for i, c := range all {
		select {
		case row := <-answers[i]:
			row.Since, row.Waiting = c.since.UTC(), c.out.waiting()
			if c.secure {
				row.Instance = s.certificates.instanceOf(c)
			}
			out = append(out, row)
		case <-c.gone:
		case <-ctx.Done(): // one that is in its handshake, or ends
		}
	}
	return out, nil
}

// Rows are the connections, and the addresses whose last attempt failed.
func (s *Service) Rows(context.Context) ([]bus.Connection, error) {
	out := []bus.Connection{}
	for _, c := range s.table.all() {
		out = append(out, c.row(s.cfg.Node))
	}
	return append(out, s.failures.rows(s.cfg.Node)...), nil
}

func (c *connection) row(node string) bus.Connection {
	row := bus.Connection{Node: node, Service: Name, ID: c.id, Remote: c.remote.String(), Local: c.local.String(), Transport: "tcp", Direction: "inbound", State: "handshake",
		Since: c.since.UTC(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(), MessagesIn: c.framesIn.Load(), MessagesOut: c.framesOut.Load()}
	if c.secure {
		row.Transport = "tls"
	}
	if p := c.shown.Load(); p != nil {
		row.State, row.Peer = "established", p.user
	}
	if t := c.shownTLS.Load(); t != nil {
		row.TLSVersion, row.Cipher, row.Verified = t.version, t.cipher, t.verified
		row.Subject, row.Issuer, row.Serial, row.NotAfter = t.subject, t.ref.Issuer, t.ref.Serial, t.notAfter
	}
	return row
}

// shownTLS is what is shown of a TLS connection.
type shownTLS struct {
	version, cipher, subject string
	ref                      pki.Ref
	notAfter                 time.Time
	verified                 bool
}

// showTLS keeps what is shown of the connection's TLS.
func (c *connection) showTLS() {
	t := &shownTLS{version: tls.VersionName(c.tls.Version), cipher: tls.CipherSuiteName(c.tls.CipherSuite), subject: c.report.Subject(), verified: c.report.OK()}
	if leaf := c.report.Leaf(); leaf != nil {
		t.ref, t.notAfter = pki.RefOf(leaf), leaf.NotAfter.UTC()
	}
	c.shownTLS.Store(t)
}

// failures counts what went wrong with addresses that never got to a connection.
type failures struct {
	mu   sync.Mutex
	seen map[netip.Addr]failure
}

type failure struct {
	count         int64
	at            time.Time
	last          string
	remote, local netip.AddrPort
}

// maxFailures bounds the table of failures; when it is full it begins anew.
const maxFailures = 4096

func (f *failures) add(remote, local netip.AddrPort, why string, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.seen == nil || len(f.seen) >= maxFailures {
		f.seen = map[netip.Addr]failure{}
	}
	x := f.seen[remote.Addr()]
	f.seen[remote.Addr()] = failure{x.count + 1, now, why, remote, local}
}

func (f *failures) rows(node string) (out []bus.Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range f.seen {
		out = append(out, bus.Connection{Node: node, Service: Name, Remote: x.remote.Addr().String(), Local: x.local.String(), Transport: "tls", Direction: "inbound", State: "failed",
			Since: x.at.UTC(), Failures: x.count, LastFailure: x.last, LastFailureAt: x.at.UTC()})
	}
	slices.SortFunc(out, func(a, b bus.Connection) int { return strings.Compare(a.Remote, b.Remote) })
	return out
}

// note records a remark of the service.
func (s *Service) note(l trace.Level, text string) {
	s.cfg.Trace.Record(trace.Record{Time: s.cfg.Now(), Service: Name, Kind: trace.KindNote, Level: l, Summary: text})
}

// noteAt records a remark about a client that has no connection.
func (s *Service) noteAt(l trace.Level, remote, local netip.AddrPort, text string) {
	s.cfg.Trace.Record(trace.Record{Time: s.cfg.Now(), Service: Name, Kind: trace.KindNote, Level: l, Net: "tcp", Local: local, Remote: remote, Summary: text})
}

// record records a remark about a connection.
func (s *Service) record(c *connection, l trace.Level, text string, fields ...trace.Field) {
	r := trace.Record{Time: s.cfg.Now(), Service: Name, Kind: trace.KindNote, Level: l, Flow: c.id, Net: "tcp", Local: c.local, Remote: c.remote, Summary: text, Fields: fields}
	if c.secure {
		r.Net = "tls"
	}
	if p := c.shown.Load(); p != nil {
		r.User = p.user
	}
	s.cfg.Trace.Record(r)
}

// counts are what the metrics show.
type counts struct {
	accepted, refused, probes, handshakes, malformed, cut, logins, opened, events, gaps atomic.Uint64
}
