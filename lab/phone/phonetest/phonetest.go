// Package phonetest is a minimal call manager for tests of phones and drivers: a certificate authority, an endpoint over
// mutual TLS, a registrar that believes the name in a verified device certificate, and sipleg in front of any engine. It is
// no product: no policy, no store, one address.
package phonetest

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
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Authority is a certificate authority for one test.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

func NewAuthority(t testing.TB, name string) *Authority {
	t.Helper()
	a := &Authority{}
	a.key = newKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.next = 2
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (a *Authority) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *Authority) Issue(t testing.TB, name string, addrs ...string) tls.Certificate {
	t.Helper()
	key := newKey(t)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.next++
	for _, s := range addrs {
		if ip := net.ParseIP(s); ip != nil {
			tmpl.IPAddresses = append(tmpl.IPAddresses, ip)
		} else {
			tmpl.DNSNames = append(tmpl.DNSNames, s)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key}
}

// Exchange is the call manager. Its directory takes everybody whose certificate the authority signed.
type Exchange struct {
	CA     *Authority
	Addr   string // where phones register
	Driver *sipleg.Driver
	Plane  *media.Plane
	EP     *endpoint.Endpoint
	t      testing.TB
	engine sipleg.Engine

	mu        sync.Mutex
	bindings  map[string]binding // device
	profiles  map[string]*sipleg.Profile
	lines     map[string]call.LineID // device -> its line
	grant     time.Duration
	refuse    int
	warning   string
	challenge string        // of INVITEs; "" = none
	count     int           // REGISTERs answered with 200
	news      chan struct{} // closed and replaced with each
	before    []sipleg.Way  // tried before the registered contact
}

type binding struct {
	contact sip.URI
	flow    *transport.Flow
}

// Device is the name of the n-th test device.
func Device(n int) string { return fmt.Sprintf("SEP%012d", n) }

// Open starts an exchange in front of an engine; it ends with the test. The caller adds devices before phones register.
func Open(t testing.TB, engine sipleg.Engine, plane *media.Plane, edit ...func(*sipleg.Config)) *Exchange {
	t.Helper()
	x := &Exchange{t: t, CA: NewAuthority(t, "Test CA"), Plane: plane, engine: engine, bindings: map[string]binding{},
		profiles: map[string]*sipleg.Profile{}, lines: map[string]call.LineID{}, grant: time.Hour, news: make(chan struct{})}
	var err error
	cfg := sipleg.Config{Directory: x, Engine: engine, Plane: plane, Outside: outside{x}, Domain: "locktone.test", Agent: "test"}
	for _, f := range edit {
		f(&cfg)
	}
	x.Driver, err = sipleg.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	x.EP, err = endpoint.New(endpoint.Config{User: x.Driver, Limits: Patient(), Transport: transport.Config{Verify: x.verify}})
	if err != nil {
		t.Fatal(err)
	}
	x.Driver.Use(x.EP)
	x.listen()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = x.Driver.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
		end, stop := context.WithTimeout(context.Background(), time.Second)
		defer stop()
		_ = x.EP.Close(end)
	})
	return x
}

func (x *Exchange) listen() {
	cert := x.CA.Issue(x.t, "cm-1", "127.0.0.1", "localhost")
	l, err := x.EP.Listen(transport.ListenConfig{
		Network: transport.TLS, Addr: netip.MustParseAddrPort("127.0.0.1:0"), LocalIdentity: "cm",
		TLS: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}, nil
		},
	})
	if err != nil {
		x.t.Fatal(err)
	}
	x.Addr = l.Addr().String()
}

// AddDevice makes a device known with its line, and returns its profile to be changed before the first call.
func (x *Exchange) AddDevice(name string, line call.LineID) *sipleg.Profile {
	p := &sipleg.Profile{Name: name, Transfer: true, Replaces: true, SendAsserts: true}
	x.mu.Lock()
	x.lines[name], x.profiles[name] = line, p
	x.mu.Unlock()
	return p
}

func (x *Exchange) verify(c transport.Check) (transport.PeerIdentity, error) {
	if len(c.State.PeerCertificates) == 0 {
		return transport.PeerIdentity{}, errors.New("no certificate")
	}
	leaf := c.State.PeerCertificates[0]
	_, err := leaf.Verify(x509.VerifyOptions{Roots: x.CA.Pool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return transport.PeerIdentity{}, err
	}
	return transport.PeerIdentity{Key: leaf.SerialNumber.String(), Subject: leaf.Subject.String(), Names: []string{leaf.Subject.CommonName}}, nil
}

// Arrival implements sipleg.Directory.
func (x *Exchange) Arrival(f *transport.Flow, m *sip.Message) (sipleg.Origin, *sipleg.Refusal) {
	x.mu.Lock()
	challenge := x.challenge
	x.mu.Unlock()
	if challenge != "" && !m.Has("Authorization") {
		return sipleg.Origin{}, &sipleg.Refusal{Status: 401, Header: []sip.Field{{Name: "WWW-Authenticate", Value: challenge}}}
	}
	return x.known(f)
}

// Challenge has every INVITE that opens a call and carries no credentials answered with 401.
func (x *Exchange) Challenge(value string) {
	x.mu.Lock()
	x.challenge = value
	x.mu.Unlock()
}

func (x *Exchange) known(f *transport.Flow) (sipleg.Origin, *sipleg.Refusal) {
	name := f.Peer().Names[0]
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.profiles[name]
	if p == nil {
		return sipleg.Origin{}, &sipleg.Refusal{Status: 403, Warning: "the certificate names no device here"}
	}
	return sipleg.Origin{Device: name, Line: x.lines[name], Profile: p}, nil
}

// Elsewhere implements sipleg.Directory.
func (x *Exchange) Elsewhere(sip.Replaces) (string, call.LegID, bool) { return "", 0, false }

// Sender implements sipleg.Directory.
func (x *Exchange) Sender(f *transport.Flow, m *sip.Message) (sipleg.Origin, *sipleg.Refusal) {
	return x.known(f)
}

// Ways implements sipleg.Directory.
func (x *Exchange) Ways(t call.Target) ([]sipleg.Way, *sipleg.Refusal) {
	x.mu.Lock()
	defer x.mu.Unlock()
	name := t.Device + t.Trunk // a trunk whose peer registers like a phone
	b, ok := x.bindings[name]
	if !ok {
		return nil, &sipleg.Refusal{Status: 480, Cause: call.SubscriberAbsent}
	}
	return append(slices.Clone(x.before), sipleg.Way{URI: b.contact, To: endpoint.Target{Flow: b.flow, LocalIdentity: "cm"}, Profile: x.profiles[name]}), nil
}

// outside is a registrar, and nothing else.
type outside struct{ x *Exchange }

func (o outside) Request(tx *endpoint.ServerTx, m *sip.Message) {
	if m.Method() != sip.REGISTER {
		_ = tx.Reply(405, "")
		return
	}
	c, ok := m.Contact()
	if !ok {
		_ = tx.Reply(400, "")
		return
	}
	res := sip.NewResponse(m, o.x.register(tx.Flow(), m, c), "")
	res.SetToTag(tx.LocalTag())
	if res.Status() == 200 {
		if e, _ := m.Expires(); e > 0 {
			c.Params = c.Params.With("expires", strconv.Itoa(int(o.x.grant.Seconds())))
			res.SetContact(c)
		}
	} else {
		res.Set("Warning", o.x.warning)
	}
	_ = tx.Respond(res)
}

// register takes a binding and says how it is answered.
func (x *Exchange) register(f *transport.Flow, m *sip.Message, c sip.Address) int {
	name := f.Peer().Names[0]
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.refuse != 0 {
		return x.refuse
	}
	e, _ := m.Expires()
	if x.bindings[name] = (binding{c.URI, f}); e == 0 {
		delete(x.bindings, name)
	}
	x.count++
	close(x.news)
	x.news = make(chan struct{})
	_ = x.engine.Signal(call.DeviceState{Device: name, Up: e > 0})
	return 200
}

// Before puts ways in front of every registered contact.
func (x *Exchange) Before(w ...sipleg.Way) {
	x.mu.Lock()
	x.before = w
	x.mu.Unlock()
}

// Grant sets how long registrations last.
func (x *Exchange) Grant(d time.Duration) {
	x.mu.Lock()
	x.grant = d
	x.mu.Unlock()
}

// Refuse has every REGISTER refused.
func (x *Exchange) Refuse(status int, warning string) {
	x.mu.Lock()
	x.refuse, x.warning = status, warning
	x.mu.Unlock()
}

// Flow is the connection a device registered on last.
func (x *Exchange) Flow(name string) *transport.Flow {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bindings[name].flow
}

// WaitRegisters waits until n more REGISTERs were accepted.
func (x *Exchange) WaitRegisters(ctx context.Context, n int) error {
	x.mu.Lock()
	want := x.count + n
	for x.count < want {
		news := x.news
		x.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
		x.mu.Lock()
	}
	x.mu.Unlock()
	return nil
}

func (o outside) Cancelled(*endpoint.ServerTx)              {}
func (o outside) Response(*endpoint.ClientTx, *sip.Message) {}
func (o outside) Failed(*endpoint.ClientTx, error)          {}
func (o outside) Posted(string, any)                        {}

// Config is the configuration of the phone of device n.
func (x *Exchange) Config(n int, number string) phone.Config {
	return phone.Config{
		Name: Device(n), Number: number, Server: x.Addr, ServerName: "localhost", Domain: "locktone.test",
		Certificate: x.CA.Issue(x.t, Device(n)), Roots: x.CA.Pool(), Timer: dialog.TimerConfig{Off: true},
	}
}

// Phone starts the phone of device n with that number and waits until it is registered.
func (x *Exchange) Phone(n int, number string, edit func(*phone.Config)) *phone.Phone {
	x.t.Helper()
	cfg := x.Config(n, number)
	if edit != nil {
		edit(&cfg)
	}
	ctx := Wait(x.t)
	p, err := phone.Start(ctx, cfg)
	if err != nil {
		x.t.Fatal(err)
	}
	x.t.Cleanup(func() {
		c, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = p.Close(c)
	})
	if err := p.WaitRegistered(ctx); err != nil {
		x.t.Fatal(err)
	}
	return p
}

// Wait is a context of a minute, far more than anything takes on a busy machine: what does not happen by then does not happen.
func Wait(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// Patient are limits for machines that are busy with other tests: overload is not what is tested.
func Patient() endpoint.Limits {
	return endpoint.Limits{ShedAbove: 5 * time.Second, ShedBelow: time.Second, RequestRate: -1, RegisterRate: -1}
}
