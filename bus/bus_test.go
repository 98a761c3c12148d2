package bus

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"
)

// contract is what every bus does, embedded or a cluster.
var contract = []struct {
	name string
	run  func(t *testing.T, ends func(node string) *Bus)
}{
	{"PublishInOrder", testPublish},
	{"NamesAreTokens", testNames},
	{"SlowReaderLags", testLag},
	{"NotTheRightType", testType},
	{"Ask", testAsk},
	{"AskMany", testAskAll},
	{"Overload", testOverload},
	{"LargeAnswer", testLarge},
	{"CloseWaitsForHandlers", testClose},
}

// TestEmbedded: one process, so all ends are the same bus.
func TestEmbedded(t *testing.T) {
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			b, err := Open(t.Context(), Config{Node: "node1"})
			if err != nil {
				t.Fatal(err)
			}
			defer closed(t, b)
			c.run(t, func(string) *Bus { return b })
		})
	}
}

// TestCluster: each node has its own connection to a server over mutual TLS.
func TestCluster(t *testing.T) {
	s := startServer(t, freePort)
	for _, c := range contract {
		t.Run(c.name, func(t *testing.T) {
			all := map[string]*Bus{}
			c.run(t, func(node string) *Bus {
				if all[node] == nil {
					b, err := Open(t.Context(), s.config(t.Name(), node))
					if err != nil {
						t.Fatal(err)
					}
					all[node] = b
					t.Cleanup(func() { closed(t, b) })
				}
				return all[node]
			})
		})
	}
}

func closed(t *testing.T, b *Bus) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func receive[T any](t *testing.T, u *Subscription[T]) Message[T] {
	t.Helper()
	select {
	case m, ok := <-u.C():
		if !ok {
			t.Fatal("the subscription ended")
		}
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
	}
	return Message[T]{}
}

func subscribe[T any](t *testing.T, b *Bus, s Subject, pending int) *Subscription[T] {
	t.Helper()
	u, err := Subscribe[T](b, s, pending)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(u.Close)
	return u
}

func publish[T any](t *testing.T, b *Bus, s Subject, v T) {
	t.Helper()
	if err := Publish(b, s, v); err != nil {
		t.Fatal(err)
	}
}

// settle waits until one end knows what the others serve and subscribe to: between servers that takes a moment, and comes
// before anything said later.
func settle(t *testing.T, a *Bus, others ...*Bus) {
	t.Helper()
	for _, b := range others {
		claim := Put(b.Board(), "settled", b.Node(), 1)
		eventually(t, b.Node()+" is heard", func() bool {
			return slices.ContainsFunc(a.Board().Of("settled", b.Node()), func(f Fact) bool { return f.Owner == b.Node() && f.Claim >= claim })
		})
	}
}

func testPublish(t *testing.T, ends func(string) *Bus) {
	a, b := ends("node1"), ends("node2")
	one, all := subscribe[Registration](t, b, a.Subject("callmanager", "registered"), 0), subscribe[Registration](t, a, a.AllNodes("callmanager", ">"), 0)
	other := subscribe[Registration](t, a, a.Subject("voicemail", "registered"), 0)
	settle(t, a, b)
	for i := range 100 {
		publish(t, a, a.Subject("callmanager", "registered"), Registration{Device: fmt.Sprint(i), Since: time.Unix(int64(i), 0).UTC()})
	}
	for _, u := range []*Subscription[Registration]{one, all} {
		for i := range 100 {
			m := receive(t, u)
			if m.Value.Device != fmt.Sprint(i) || m.Lagged || !m.Value.Since.Equal(time.Unix(int64(i), 0)) || m.Subject != a.Subject("callmanager", "registered").String() {
				t.Fatalf("message %d is %+v", i, m)
			}
		}
	}
	if len(other.C()) != 0 || one.Dropped() != 0 {
		t.Error("a message went astray")
	}
}

func testNames(t *testing.T, ends func(string) *Bus) {
	a := ends("node1")
	odd := Subject{Cluster: "my cluster", Node: "n.1", Service: "call*manager>", Verb: "x"}
	u := subscribe[int](t, a, odd, 0)
	near := subscribe[int](t, a, Subject{Cluster: "my cluster", Node: "n", Service: "1", Verb: "x"}, 0)
	publish(t, a, odd, 7)
	m := receive(t, u)
	back, err := ParseSubject(m.Subject)
	if m.Value != 7 || err != nil || back != odd || len(near.C()) != 0 {
		t.Errorf("%+v, %+v, %v", m, back, err)
	}
}

func testLag(t *testing.T, ends func(string) *Bus) {
	a := ends("node1")
	s := a.Subject("callmanager", "event")
	u := subscribe[int](t, a, s, 4)
	end := subscribe[int](t, a, s, 4096) // same order, so it tells when all have come
	const sent = 1000
	for i := range sent {
		publish(t, a, s, i)
	}
	for range sent {
		receive(t, end)
	}
	deadline := time.Now().Add(10 * time.Second)
	for u.Dropped() < sent-4 && time.Now().Before(deadline) { // the count has no event to wait for
		time.Sleep(time.Millisecond)
	}
	for i := range 4 {
		if m := receive(t, u); m.Value != i || m.Lagged {
			t.Errorf("kept %+v, want %d", m, i)
		}
	}
	publish(t, a, s, sent)
	if m := receive(t, u); m.Value != sent || !m.Lagged {
		t.Errorf("after the gap came %+v, want %d marked as lagged", m, sent)
	}
	publish(t, a, s, sent+1)
	if m := receive(t, u); m.Value != sent+1 || m.Lagged {
		t.Errorf("then came %+v", m)
	}
	if u.Dropped() != sent-4 {
		t.Errorf("%d dropped, want %d", u.Dropped(), sent-4)
	}
}

func testType(t *testing.T, ends func(string) *Bus) {
	a := ends("node1")
	s := a.Subject("callmanager", "event")
	u := subscribe[int](t, a, s, 0)
	publish(t, a, s, "text")
	publish(t, a, s, 5)
	if m := receive(t, u); m.Value != 5 || !m.Lagged || u.Dropped() != 1 {
		t.Errorf("%+v, %d dropped", m, u.Dropped())
	}
}

func serve[Req, Res any](t *testing.T, b *Bus, s Subject, h Handler[Req, Res]) *Responder {
	t.Helper()
	r, err := Serve(b, s, h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func testAsk(t *testing.T, ends func(string) *Bus) {
	a, b := ends("node1"), ends("node2")
	s := b.Subject("callmanager", VerbReset)
	serve(t, b, s, func(_ context.Context, r ResetRequest) (ResetResult, error) {
		switch r.Name {
		case "alice":
			return ResetResult{Registrations: 1, Note: string(r.Action)}, nil
		case "broken":
			return ResetResult{}, errors.New("a bug")
		}
		return ResetResult{}, fmt.Errorf("wrapped: %w", &Error{CodeNotFound, "no device " + r.Name})
	})
	settle(t, a, b)
	got, err := Ask[ResetRequest, ResetResult](t.Context(), a, s, ResetRequest{Object: ObjectDevice, Name: "alice", Action: ActionApply})
	if err != nil || got != (ResetResult{Registrations: 1, Note: "apply"}) {
		t.Errorf("%+v, %v", got, err)
	}
	wantCode := func(want Code, err error) {
		t.Helper()
		var e *Error
		if !errors.As(err, &e) || e.Code != want || e.Message == "" {
			t.Errorf("got %v, want code %s", err, want)
		}
	}
	_, err = Ask[ResetRequest, ResetResult](t.Context(), a, s, ResetRequest{Name: "nobody"})
	wantCode(CodeNotFound, err)
	_, err = Ask[ResetRequest, ResetResult](t.Context(), a, s, ResetRequest{Name: "broken"})
	wantCode(CodeInternal, err)
	_, err = Ask[string, ResetResult](t.Context(), a, s, "not an object")
	wantCode(CodeInvalid, err)
	_, err = Ask[ResetRequest, ResetResult](t.Context(), a, s.To("node9"), ResetRequest{})
	wantCode(CodeNoResponder, err)
	_, err = Ask[ResetRequest, ResetResult](t.Context(), a, s.To(Any), ResetRequest{})
	wantCode(CodeInvalid, err)
}

func testAskAll(t *testing.T, ends func(string) *Bus) {
	a := ends("node1")
	for _, node := range []string{"node2", "node1"} {
		b := ends(node)
		serve(t, b, b.Subject("callmanager", VerbRegistrations).To(node), func(context.Context, Query) ([]Registration, error) {
			return []Registration{{Node: node, Device: "alice"}}, nil
		})
	}
	hung := ends("node3")
	serve(t, hung, hung.Subject("callmanager", VerbRegistrations).To("node3"), func(ctx context.Context, _ Query) ([]Registration, error) {
		<-ctx.Done() // until the responder closes
		return nil, ctx.Err()
	})
	settle(t, a, ends("node2"), hung)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	got, err := AskAll[Query, []Registration](ctx, a, a.AllNodes("callmanager", VerbRegistrations), Query{}, "node4", "node3", "node2", "node1", "node1")
	if err != nil {
		t.Fatal(err)
	}
	want := []Answer[[]Registration]{
		{Node: "node1", Value: []Registration{{Node: "node1", Device: "alice"}}},
		{Node: "node2", Value: []Registration{{Node: "node2", Device: "alice"}}},
		{Node: "node3", Err: &Error{CodeTimeout, "node3 did not answer callmanager registrations in time"}},
		{Node: "node4", Err: &Error{CodeNoResponder, "nobody on node4 serves callmanager registrations; is the service running there?"}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func testOverload(t *testing.T, ends func(string) *Bus) {
	a := ends("node1")
	s := a.Subject("callmanager", "slow")
	release, entered := make(chan struct{}), make(chan struct{}, maxInFlight)
	serve(t, a, s, func(context.Context, int) (int, error) {
		entered <- struct{}{}
		<-release
		return 1, nil
	})
	results := make(chan error, maxInFlight)
	for range maxInFlight {
		go func() { _, err := Ask[int, int](t.Context(), a, s, 0); results <- err }()
	}
	for range maxInFlight {
		<-entered
	}
	_, err := Ask[int, int](t.Context(), a, s, 0)
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeUnavailable {
		t.Errorf("request %d: %v, want %s", maxInFlight+1, err, CodeUnavailable)
	}
	close(release)
	for range maxInFlight {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func testLarge(t *testing.T, ends func(string) *Bus) {
	a := ends("node1")
	s := a.Subject("callmanager", "large")
	serve(t, a, s, func(_ context.Context, n int) (string, error) { return strings.Repeat("x", n), nil })
	if got, err := Ask[int, string](t.Context(), a, s, 900<<10); err != nil || len(got) != 900<<10 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	_, err := Ask[int, string](t.Context(), a, s, 16<<20)
	var e *Error
	if !errors.As(err, &e) || e.Code != CodeInternal || !strings.Contains(e.Message, "larger than the bus carries") {
		t.Errorf("16 MiB: %v", err)
	}
}

func testClose(t *testing.T, ends func(string) *Bus) {
	a := ends("node1")
	s := a.Subject("callmanager", "slow")
	entered := make(chan struct{})
	var finished atomic.Bool
	r := serve(t, a, s, func(ctx context.Context, _ int) (int, error) {
		close(entered)
		<-ctx.Done()
		finished.Store(true)
		return 1, nil
	})
	answer := make(chan error, 1)
	go func() { _, err := Ask[int, int](t.Context(), a, s, 0); answer <- err }()
	<-entered
	r.Close()
	if !finished.Load() {
		t.Error("Close did not wait for the handler")
	}
	if err := <-answer; err != nil {
		t.Errorf("the last answer was lost: %v", err)
	}
}

// natsServer is a server with mutual TLS on a loopback port.
type natsServer struct {
	*server.Server
	client *tls.Config
}

const freePort = -1 // as package server spells it

func startServer(t *testing.T, port int) natsServer {
	t.Helper()
	cert, pool := certificate(t)
	mutual := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	return natsServer{startNATS(t, port, mutual), &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, RootCAs: pool}}
}

func startNATS(t *testing.T, port int, mutual *tls.Config) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoLog: true, NoSigs: true, TLS: true, TLSVerify: true, TLSConfig: mutual, TLSTimeout: 5})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s
}

func (s natsServer) config(cluster, node string) Config {
	return Config{URLs: []string{"tls://" + s.Addr().String()}, TLS: s.client, Cluster: cluster, Node: node}
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bus"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

// TestClusterRefuses: without the right certificate nobody gets on the bus.
func TestClusterRefuses(t *testing.T) {
	s := startServer(t, freePort)
	_, strangers := certificate(t)
	for name, c := range map[string]*tls.Config{
		"no client certificate": {RootCAs: s.client.RootCAs},
		"server of another CA":  {RootCAs: strangers, Certificates: s.client.Certificates},
	} {
		cfg := s.config("x", "node1")
		cfg.TLS = c
		b, err := Open(t.Context(), cfg)
		if err == nil {
			closed(t, b)
			t.Errorf("%s: connected", name)
		} else if !strings.Contains(err.Error(), s.Addr().String()) || !strings.Contains(err.Error(), "check that the servers run") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), Config{URLs: []string{"tls://127.0.0.1:1"}, ConnectTimeout: time.Second}); err == nil {
		t.Error("connected to nobody")
	}
}

// TestClusterReturns: a server that goes away and comes back finds its clients
// again, with their subscriptions.
func TestClusterReturns(t *testing.T) {
	cert, pool := certificate(t)
	mutual := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	first := startNATS(t, freePort, mutual)
	notices := make(chan error, 16)
	s := natsServer{first, &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}}
	cfg := s.config("x", "node1")
	cfg.Notice = func(err error) { notices <- err }
	b, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, b)
	u := subscribe[int](t, b, b.Subject("callmanager", "event"), 0)
	serve(t, b, b.Subject("callmanager", VerbStatus), func(context.Context, StatusRequest) (ServiceStatus, error) { return ServiceStatus{State: "ready"}, nil })

	port := first.Addr().(*net.TCPAddr).Port
	first.Shutdown()
	first.WaitForShutdown()
	if err := <-notices; err == nil {
		t.Error("the loss was not told")
	}
	if row, has := b.Status("node1"); !has || row.State != "degraded" || !strings.Contains(row.Problem, "the bus is away") || !strings.Contains(row.Problem, "Calls and registrations on this node go on") {
		t.Errorf("%+v", row)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Ask[StatusRequest, ServiceStatus](ctx, b, b.Subject("callmanager", VerbStatus), StatusRequest{}); err == nil || b.Connected() {
		t.Error("an answer without a server")
	}
	startNATS(t, port, mutual)
	if err := <-notices; err != nil {
		t.Errorf("the return was told as %v", err)
	}
	publish(t, b, b.Subject("callmanager", "event"), 42)
	if m := receive(t, u); m.Value != 42 {
		t.Errorf("%+v", m)
	}
	if got, err := Ask[StatusRequest, ServiceStatus](t.Context(), b, b.Subject("callmanager", VerbStatus), StatusRequest{}); err != nil || got.State != "ready" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestEmbeddedHasNoPort: the embedded server listens nowhere.
func TestEmbeddedHasNoPort(t *testing.T) {
	b, err := Open(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, b)
	if row, has := b.Status("node1"); has {
		t.Errorf("a node alone has no bus to speak of: %+v", row)
	}
	if a := b.server.Addr(); a != nil {
		t.Errorf("it listens on %v", a)
	}
	if b.Node() != "node1" || b.Subject("admin", "x").String() != "locktone.locktone.node1.admin.x" {
		t.Errorf("%s %s", b.Node(), b.Subject("admin", "x"))
	}
}

func TestNoGoroutineStays(t *testing.T) {
	before := goleak.IgnoreCurrent()
	for range 3 {
		b, err := Open(t.Context(), Config{})
		if err != nil {
			t.Fatal(err)
		}
		u, err := Subscribe[int](b, b.Subject("a", "b"), 0)
		if err != nil {
			t.Fatal(err)
		}
		r, err := Serve(b, b.Subject("a", "c"), func(context.Context, int) (int, error) { return 1, nil })
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		u.Close()
		closed(t, b)
		if err := Publish(b, b.Subject("a", "b"), 1); err == nil {
			t.Error("published after Close")
		}
	}
	goleak.VerifyNone(t, before)
}

// TestCloseInAnyOrder: closing the bus first is no trap.
func TestCloseInAnyOrder(t *testing.T) {
	b, err := Open(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	u := subscribe[int](t, b, b.Subject("a", "b"), 0)
	r := serve(t, b, b.Subject("a", "c"), func(context.Context, int) (int, error) { return 1, nil })
	closed(t, b)
	start := time.Now()
	r.Close()
	u.Close()
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %s", took)
	}
	closed(t, b)
}

func FuzzSubject(f *testing.F) {
	f.Add("locktone", "n.1", "call manager", "x")
	f.Add("", "*", ">", "a.b")
	f.Add("=", "=2", "\xff\x00", "x")
	f.Fuzz(func(t *testing.T, cluster, node, service, verb string) {
		if verb == "" || cluster == Any || node == Any || service == Any {
			return
		}
		s := Subject{cluster, node, service, verb}
		back, err := ParseSubject(s.String())
		if err != nil || back != s {
			t.Fatalf("%q: %q, %v", s, back, err)
		}
		_, _ = ParseToken(node) // total
		_, _ = ParseSubject(node)
	})
}

func BenchmarkAsk(b *testing.B) {
	x, err := Open(b.Context(), Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	s := x.Subject("callmanager", VerbStatus)
	r, err := Serve(x, s, func(context.Context, StatusRequest) (ServiceStatus, error) { return ServiceStatus{State: "ready"}, nil })
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for b.Loop() {
		if _, err := Ask[StatusRequest, ServiceStatus](b.Context(), x, s, StatusRequest{}); err != nil {
			b.Fatal(err)
		}
	}
}
