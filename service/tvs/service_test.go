package tvs

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/trustlist"
	"github.com/locktone/locktone/wire/tvs"
	"github.com/prometheus/client_golang/prometheus"
)

var errMissing, errThere = fs.ErrNotExist, fs.ErrExist

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestMembers: VERIFY and QUERY of the cluster's own, of strangers, and of one that is revoked between two questions on
// one connection.
func TestMembers(t *testing.T) {
	s := start(t, nil)
	c, cm := s.phone(t), s.cm.Server[1].Leaf()
	check := func(what string, r tvs.Request, want tvs.Response) {
		t.Helper()
		want.Session, want.Query = r.Session, r.Certificate == nil
		if got, err := ask(c, r); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v %s", what, err, cmp.Diff(want, got))
		}
	}
	found := tvs.Response{Roles: []byte{byte(trustlist.RoleCCMTFTP)}, TTL: 86400}
	full := found
	full.Certificate = cm.Raw
	missing := tvs.Response{Status: tvs.NotFound}
	check("VERIFY", verify(cm), found)
	q := query(t, cm)
	check("QUERY", q, full)
	q.Subject = ""
	check("QUERY without subject", q, full)
	q.Serial = append([]byte{0, 0}, q.Serial...)
	check("QUERY with leading zeros", q, full)
	q.Issuer = strings.ReplaceAll(strings.ToUpper(q.Issuer), ";", ", ")
	check("QUERY with commas and capitals", q, full)
	q.Serial[3] ^= 1
	check("QUERY of another serial", q, missing)
	q = query(t, cm)
	q.Subject = "CN=somebody else"
	check("QUERY with another subject", q, missing)
	check("VERIFY of a stranger", verify(made(t, "x", nil, nil).Leaf), missing)
	check("VERIFY of one of ours that is in no list", verify(s.cm.Client[1].Leaf()), missing)
	junk := verify(cm)
	junk.Certificate = []byte("no certificate")
	check("VERIFY of junk", junk, missing)
	extra := must(s.ca.Issue(t.Context(), pki.Request{Kind: pki.KindPeer, Name: "sast.lab.test", DNSNames: []string{"sast.lab.test"}}))(t).Credential.Leaf()
	s.lists.set(nil, lists.Known{Certificate: extra, Roles: []trustlist.Role{trustlist.RoleTFTP, trustlist.RoleSAST}})
	check("a new member, at once", query(t, extra), tvs.Response{Certificate: extra.Raw, Roles: []byte{0, 3}, TTL: 86400})
	if err := s.ca.Revoke(t.Context(), pki.RefOf(extra), "copied"); err != nil {
		t.Fatal(err)
	}
	check("revoked, at once", query(t, extra), missing)
	check("revoked, at once", verify(extra), missing)
}

// TestUploads: what was uploaded counts from the next question on, with the purpose's roles, and what was removed or
// revoked does not.
func TestUploads(t *testing.T) {
	s := start(t, func(c *Config) { c.TTL = time.Hour })
	c, ctx := s.phone(t), t.Context()
	upload := func(p truststore.Purpose, x *x509.Certificate, roles ...trustlist.Role) {
		t.Helper()
		if _, err := s.uploads.Upload(ctx, truststore.Upload{Purpose: p, Certificate: x, Roles: roles}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what string, x *x509.Certificate, roles ...byte) {
		t.Helper()
		for _, r := range []tvs.Request{verify(x), query(t, x)} {
			got, err := ask(c, r)
			if err != nil || (got.Status == tvs.Found) != (roles != nil) || !bytes.Equal(got.Roles, roles) || roles != nil && (got.TTL != 3600 || got.Query != (got.Certificate != nil)) {
				t.Errorf("%s, %s: %v %+v", what, r.Command(), err, got)
			}
		}
	}
	signer, carrier, moved, web := made(t, "their signer", nil, nil).Leaf, made(t, "carrier", nil, nil).Leaf, made(t, "their call manager", nil, nil).Leaf, made(t, "web", nil, nil).Leaf
	check("before", signer)
	upload(truststore.PhoneSASTTrust, signer)
	check("a signer", signer, 0, 3)
	upload(truststore.CallManagerTrust, carrier)
	check("a carrier is nothing to phones", carrier)
	upload(truststore.CallManagerTrust, moved, trustlist.RoleCCMTFTP)
	check("another cluster's call manager", moved, 2)
	upload(truststore.TomcatTrust, web)
	upload(truststore.TVSTrust, web)
	check("two purposes", web, 7, 21)
	upload(truststore.CAPFTrust, made(t, "maker", nil, root).Leaf)
	if _, err := s.uploads.Remove(ctx, truststore.TomcatTrust, pki.Fingerprint(web), "ann", ""); err != nil {
		t.Fatal(err)
	}
	check("one purpose less", web, 21)
	if _, err := s.uploads.Revoke(ctx, pki.Fingerprint(signer), "ann", "copied"); err != nil {
		t.Fatal(err)
	}
	check("revoked", signer)
	short := made(t, "short", nil, func(x *x509.Certificate) { x.NotAfter = time.Now().Add(100 * time.Second) }).Leaf
	upload(truststore.PhoneSASTTrust, short)
	if got, err := ask(c, verify(short)); err != nil || got.TTL > 100 || got.TTL < 60 {
		t.Errorf("remembered longer than it is valid: %v %+v", err, got)
	}
}

// TestIssued: a CA uploaded for HTTPS servers speaks for what it issued, and for nothing else.
func TestIssued(t *testing.T) {
	s := start(t, nil)
	ca, other := made(t, "web root", nil, root), made(t, "web root", nil, root)
	for p, x := range map[truststore.Purpose]tls.Certificate{truststore.TomcatTrust: ca, truststore.CallManagerTrust: made(t, "carrier", nil, root)} {
		if _, err := s.uploads.Upload(t.Context(), truststore.Upload{Purpose: p, Certificate: x.Leaf}); err != nil {
			t.Fatal(err)
		}
	}
	signer := made(t, "list signer root", nil, root)
	if _, err := s.uploads.Upload(t.Context(), truststore.Upload{Purpose: truststore.PhoneSASTTrust, Certificate: signer.Leaf}); err != nil {
		t.Fatal(err)
	}
	c := s.phone(t)
	for _, x := range []struct {
		name string
		leaf tls.Certificate
		ok   bool
	}{
		{"a server", made(t, "web", &ca, nil), true},
		{"one of a CA of the same name", made(t, "web", &other, nil), false},
		{"an expired one", made(t, "web", &ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }), false},
		{"a client's", made(t, "web", &ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }), false},
		{"one under a CA for lists", made(t, "web", &signer, nil), false},
	} {
		got, err := ask(c, verify(x.leaf.Leaf))
		if err != nil || (got.Status == tvs.Found) != x.ok || x.ok && !bytes.Equal(got.Roles, []byte{7}) {
			t.Errorf("%s: %v %+v", x.name, err, got)
		}
		if got, err := ask(c, query(t, x.leaf.Leaf)); err != nil || got.Status != tvs.NotFound {
			t.Errorf("%s by name: %v %+v", x.name, err, got)
		}
	}
}

// TestExpired: by our clock, which the phone may not have.
func TestExpired(t *testing.T) {
	now := time.Now()
	s := start(t, func(c *Config) { c.Now = func() time.Time { return now.Add(2 * 365 * 24 * time.Hour) } })
	if got, err := ask(s.phone(t), verify(s.cm.Server[1].Leaf())); err != nil || got.Status != tvs.NotFound {
		t.Errorf("%v %+v", err, got)
	}
}

// TestSourceAway: no answer is better than a wrong one; the status says so until it works again.
func TestSourceAway(t *testing.T) {
	s := start(t, nil)
	cm := s.cm.Server[1].Leaf()
	before := s.lists.list
	s.lists.set(errors.New("the store is away"))
	if got, err := ask(s.phone(t), verify(cm)); !errors.Is(err, io.EOF) {
		t.Errorf("%v %+v", err, got)
	}
	if st := s.Status(t.Context()); st.State != "degraded" || !strings.Contains(st.Problem, "the store is away") {
		t.Errorf("%+v", st)
	}
	s.lists.set(nil, before...)
	if got, err := ask(s.phone(t), verify(cm)); err != nil || got.Status != tvs.Found {
		t.Errorf("%v %+v", err, got)
	}
	if st := s.Status(t.Context()); st.State != "ready" || st.Problem != "" {
		t.Errorf("%+v", st)
	}
}

// TestWhoMayAsk: what every kind of client certificate leads to, under the three settings.
func TestWhoMayAsk(t *testing.T) {
	c := shared(t)
	gone := lsc(t, c, "SEP00AA00AA00AA", 0)
	if err := c.ca.Revoke(t.Context(), pki.RefOf(gone.Leaf), "stolen"); err != nil {
		t.Fatal(err)
	}
	ours := c.ca.Roots()[0]
	forger := made(t, "x", nil, func(x *x509.Certificate) {
		root(x)
		x.Subject, x.RawSubject = ours.Subject, ours.RawSubject
	})
	good := lsc(t, c, "SEP00BB00BB00BB", 0)
	later := time.Now().Add(4 * 365 * 24 * time.Hour) // the LSC has expired, the roots have not
	for _, x := range []struct {
		name                          string
		cert                          *tls.Certificate
		now                           time.Time
		normal, verified, anonymously bool
	}{
		{"an LSC", &good, time.Now(), true, true, true},
		{"an LSC that expired", &good, later, true, true, true},
		{"a MIC of a maker we do not know", ref(made(t, "CP-8861-SEP001122334455", ref(made(t, "maker", nil, root)), nil)), time.Now(), true, false, true},
		{"a self-signed one", ref(made(t, "SEP001122334455", nil, nil)), time.Now(), true, false, true},
		{"none", nil, time.Now(), false, false, true},
		{"a revoked LSC", &gone, time.Now(), false, false, false},
		{"a revoked LSC that expired", &gone, later, false, false, false},
		{"a forged LSC", ref(made(t, "SEP001122334455", &forger, nil)), time.Now(), false, false, false},
	} {
		for setting, want := range map[string]bool{"normal": x.normal, "verified only": x.verified, "anonymous": x.anonymously} {
			s := start(t, func(c *Config) {
				c.VerifiedOnly, c.AllowAnonymous = setting == "verified only", setting == "anonymous"
				c.Now = func() time.Time { return x.now }
				trust := must(shared(t).ca.Trust())(t)
				c.Identity = must(pki.NewIdentity(Name, pki.Snapshot{Certificates: shared(t).tvs, Trust: trust}, c.Now))(t)
			})
			long := made(t, "long", nil, func(c *x509.Certificate) { c.NotAfter = later.AddDate(1, 0, 0) }).Leaf
			s.lists.set(nil, lists.Known{Certificate: long, Roles: []trustlist.Role{trustlist.RoleSAST}})
			var certs []tls.Certificate
			if x.cert != nil {
				certs = []tls.Certificate{*x.cert}
			}
			conn, err := s.dial(t, certs...)
			var got tvs.Response
			if err == nil {
				got, err = ask(conn, verify(long))
			}
			if (err == nil) != want || want && got.Status != tvs.Found {
				t.Errorf("%s, %s: %v %+v", x.name, setting, err, got)
			}
			if err := s.Close(t.Context()); err != nil { // the server's end of it is over too
				t.Error(err)
			}
			if want == (s.counts.handshakes.Load() > 0) {
				t.Errorf("%s, %s: %d handshakes failed", x.name, setting, s.counts.handshakes.Load())
			}
		}
	}
}

func ref[T any](v T) *T { return &v }

// TestSilentClients: whoever connects and says nothing costs its own slot for its own time; others are served meanwhile,
// and the limits hold.
func TestSilentClients(t *testing.T) {
	s := start(t, func(c *Config) {
		c.Limits = Limits{Connections: 6, PerAddress: 6, Handshake: 300 * time.Millisecond, Idle: 300 * time.Millisecond}
	})
	var silent []net.Conn
	for range 5 {
		c := must(net.Dial("tcp", s.address()))(t)
		defer c.Close()
		silent = append(silent, c)
	}
	if got, err := ask(s.phone(t), verify(s.cm.Server[1].Leaf())); err != nil || got.Status != tvs.Found {
		t.Errorf("beside silent clients: %v %+v", err, got)
	}
	for _, c := range silent {
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(fmt.Sprint(err), "reset") {
			t.Errorf("a silent client was kept: %v", err)
		}
	}
	slow := s.phone(t)
	b := must(verify(s.cm.Server[1].Leaf()).Message().Append(nil))(t)
	for i := range b { // a byte now and then earns no more time
		if _, err := slow.Write(b[i : i+1]); err != nil {
			break
		}
		if _, open := s.open(slow.LocalAddr().String()); !open {
			break
		}
		time.Sleep(20 * time.Millisecond)
		if i > 100 {
			t.Fatal("a slow client was kept for two seconds")
		}
	}
}

// open finds the row of a client's connection.
func (s *site) open(remote string) (bus.Connection, bool) {
	for _, row := range s.table.rows("n1") {
		if row.Remote == remote && row.State != "failed" {
			return row, true
		}
	}
	return bus.Connection{}, false
}

// TestLimits: connections in all, of one address, of strangers; questions; bytes.
func TestLimits(t *testing.T) {
	cm := shared(t).cm.Server[1].Leaf()
	refused := func(t *testing.T, s *site, cert tls.Certificate) {
		t.Helper()
		c, err := s.dial(t, cert)
		if err == nil {
			_, err = ask(c, verify(cm))
		}
		if err == nil {
			t.Error("one more was let in")
		}
		if n := s.counts.refused.Load(); n != 1 {
			t.Errorf("%d refused", n)
		}
	}
	for name, l := range map[string]Limits{"in all": {Connections: 2}, "of one address": {PerAddress: 2}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(c *Config) { c.Limits = l })
			for range 2 {
				if _, err := ask(s.phone(t), verify(cm)); err != nil {
					t.Fatal(err)
				}
			}
			refused(t, s, lsc(t, s.cluster, "SEP001122334455", 0))
		})
	}
	t.Run("of strangers", func(t *testing.T) {
		s := start(t, func(c *Config) { c.Limits = Limits{Strangers: 1} })
		if _, err := ask(must(s.dial(t, made(t, "a", nil, nil)))(t), verify(cm)); err != nil {
			t.Fatal(err)
		}
		refused(t, s, made(t, "b", nil, nil))
		if _, err := ask(s.phone(t), verify(cm)); err != nil {
			t.Errorf("a phone of ours beside strangers: %v", err)
		}
	})
	t.Run("questions", func(t *testing.T) {
		s := start(t, func(c *Config) { c.Limits = Limits{Questions: 3} })
		c := s.phone(t)
		for i := range 4 {
			if _, err := ask(c, verify(cm)); (err == nil) != (i < 3) {
				t.Errorf("question %d: %v", i, err)
			}
		}
	})
	t.Run("bytes", func(t *testing.T) {
		s := start(t, func(c *Config) { c.Limits = Limits{Message: 2000} })
		long := verify(cm)
		long.Certificate = make([]byte, 2000)
		if got, err := ask(s.phone(t), long); err == nil {
			t.Errorf("%+v", got)
		}
		if n := s.counts.malformed.Load(); n != 1 {
			t.Errorf("%d malformed", n)
		}
	})
}

// TestMalformed: what is no question ends the connection, and the trace says where it is wrong.
func TestMalformed(t *testing.T) {
	s := start(t, nil)
	for _, b := range []string{"GET / HTTP/1.0\r\n\r\n", "\x57\x01\x09\x00\x00\x00\x00\x01\x00\x00", "\x57\x01\x03\x00\x00\x00\x00\x01\x00\x03\x05\xff\xff"} {
		c := s.phone(t)
		if _, err := c.Write([]byte(b)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("%q: %v", b, err)
		}
	}
	recs := s.trace.Recent(trace.Filter{Service: Name, Kinds: []trace.Kind{trace.KindTLSFailed}}, 100)
	var all []string
	for _, r := range recs {
		all = append(all, r.Summary)
	}
	for i, want := range []string{"at byte 0", "at byte 2", "at byte 11"} {
		if len(all) != 3 || !strings.Contains(all[i], want) {
			t.Errorf("%q: want %s", all, want)
		}
	}
}

// TestShown: status, connections, exceptions and the trace level over the bus; figures; what the trace has of a question.
func TestShown(t *testing.T) {
	s := start(t, func(c *Config) { c.AllowAnonymous = true })
	c, ctx := s.phone(t), t.Context()
	if _, err := ask(c, query(t, s.cm.Server[1].Leaf())); err != nil {
		t.Fatal(err)
	}
	st := must(bus.Ask[bus.StatusRequest, bus.ServiceStatus](ctx, s.bus, s.bus.Subject(Name, bus.VerbStatus), bus.StatusRequest{}))(t)
	if st.State != "ready" || st.Service != Name || st.Node != "n1" || len(st.Addresses) != 1 || !strings.HasPrefix(st.Addresses[0], "tls 127.0.0.1:") {
		t.Errorf("%+v", st)
	}
	rows := must(bus.Ask[bus.Query, []bus.Connection](ctx, s.bus, s.bus.Subject(Name, bus.VerbConnections), bus.Query{Name: device}))(t)
	if len(rows) != 1 || !rows[0].Verified || rows[0].Subject != "CN=SEP001122334455" || rows[0].State != "established" || rows[0].MessagesIn != 1 || rows[0].TLSVersion != "TLS 1.3" || rows[0].NotAfter.IsZero() {
		t.Errorf("%+v", rows)
	}
	weak := must(bus.Ask[bus.Query, []bus.Exception](ctx, s.bus, s.bus.Subject(Name, bus.VerbExceptions), bus.Query{}))(t)
	if len(weak) != 1 || weak[0].Setting != "tvs anonymous" {
		t.Errorf("%+v", weak)
	}
	if _, err := bus.Ask[bus.TraceLevelRequest, bus.TraceLevelResult](ctx, s.bus, s.bus.Subject(Name, bus.VerbTraceLevel), bus.TraceLevelRequest{Level: "debug"}); err != nil {
		t.Error(err)
	}
	recs := s.trace.Recent(trace.Filter{Service: Name, Device: device}, 100)
	if len(recs) != 1 || !strings.Contains(recs[0].Summary, "QUERY_CERT_REQ CN=cm.lab.test") || !strings.Contains(recs[0].Summary, "found, known from the trust lists") || recs[0].Field("roles") == "" {
		t.Errorf("%+v", recs)
	}
	reg := prometheus.NewPedanticRegistry()
	if err := reg.Register(s.Metrics()); err != nil {
		t.Fatal(err)
	}
	figures := map[string]float64{}
	for _, f := range must(reg.Gather())(t) {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			figures[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{"locktone_tvs_connections": 1, "locktone_tvs_answers_total query found": 1, "locktone_tvs_answers_total verify found": 0, "locktone_tvs_connections_total": 1} {
		if got, ok := figures[name]; !ok || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
		}
	}
}

// TestNewCertificates: the next handshake shows the new serial, and a connection that is open goes on.
func TestNewCertificates(t *testing.T) {
	s := start(t, nil)
	c, cm := s.phone(t), s.cm.Server[1].Leaf()
	next := must(s.ca.Renew(t.Context(), pki.ServiceSpec{Name: Name, Host: "tvs.lab.test"}))(t)
	snap := s.cfg.Identity.Snapshot()
	snap.Certificates = next
	if err := s.cfg.Identity.Replace(snap); err != nil {
		t.Fatal(err)
	}
	if _, err := ask(c, verify(cm)); err != nil {
		t.Errorf("the open connection: %v", err)
	}
	s.tvs = next // what the phone's new ITL lists
	if _, err := ask(s.phone(t), verify(cm)); err != nil {
		t.Errorf("a new connection: %v", err)
	}
}

// TestCloseWhileBusy: Close ends clients that wait, in every state, at once.
func TestCloseWhileBusy(t *testing.T) {
	s := start(t, nil)
	idle := s.phone(t)
	if _, err := ask(idle, verify(s.cm.Server[1].Leaf())); err != nil {
		t.Fatal(err)
	}
	silent := must(net.Dial("tcp", s.address()))(t)
	defer silent.Close()
	for n := 0; n < 2; n, _ = s.table.count() { // both are in
	}
	began := time.Now()
	if err := s.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("it took %v", d)
	}
	if _, err := net.Dial("tcp", s.address()); err == nil {
		t.Error("it still listens")
	}
}

// TestConfig: what cannot work is refused before anything listens.
func TestConfig(t *testing.T) {
	good := start(t, nil).cfg
	for name, change := range map[string]func(*Config){
		"no sources": func(c *Config) { c.Sources = nil }, "no identity": func(c *Config) { c.Identity = nil }, "a long time to live": func(c *Config) { c.TTL = 31 * 24 * time.Hour },
		"a short time to live": func(c *Config) { c.TTL = time.Millisecond }, "a port": func(c *Config) { c.Port = 70000 }, "no addresses": func(c *Config) { c.Addresses = nil },
	} {
		c := good
		change(&c)
		if s, err := Start(t.Context(), c); err == nil {
			s.Close(t.Context())
			t.Errorf("%s: it started", name)
		}
	}
}
