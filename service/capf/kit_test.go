package capf

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	wire "github.com/locktone/locktone/wire/capf"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "capf")
	if err != nil {
		panic(err)
	}
	authorityDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var authorityDir string

// authority is one CA with the identity "capf" for all tests: its RSA keys take their time.
var authority = sync.OnceValues(func() (*made, error) {
	ctx := context.Background()
	keys, err := pki.OpenDir(filepath.Join(authorityDir, "pki"))
	if err != nil {
		return nil, err
	}
	register, err := pki.OpenRegister(filepath.Join(authorityDir, "register"))
	if err != nil {
		return nil, err
	}
	ca, err := pki.Open(ctx, pki.Config{Cluster: "test", Custody: keys, Register: register})
	if err != nil {
		return nil, err
	}
	certs, err := ca.Service(ctx, pki.ServiceSpec{Name: Name, Host: "capf.test", IPs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	return &made{ca, register, certs}, err
})

type made struct {
	ca       *pki.CA
	register pki.Register
	certs    pki.Certificates
}

// kit is a running service on loopback with everything real below it.
type kit struct {
	*Service
	t     *testing.T
	ca    *pki.CA
	reg   pki.Register
	store *store.Store
	rec   *trace.Recorder
	addr  string
	id    *pki.Identity
}

func start(t *testing.T, change func(*Config)) *kit {
	t.Helper()
	a, err := authority()
	if err != nil {
		t.Fatal(err)
	}
	k := &kit{t: t, ca: a.ca, reg: a.register}
	dir := t.TempDir()
	k.store = check(store.Open(t.Context(), filepath.Join(dir, "s.db"), store.Options{}))(t)
	site := config.Default("node1")
	site.Devices = append(site.Devices, config.Device{Name: "SEP0000000000AA", DevicePool: site.DevicePools[0].Name})
	check(k.store.Apply(t.Context(), store.ChangeSet{Author: "test", Changes: config.Diff(nil, site)}))(t)
	b := check(bus.Open(t.Context(), bus.Config{Node: "node1"}))(t)
	k.rec = check(trace.Open(trace.Config{Dir: filepath.Join(dir, "trace")}))(t)
	k.id = check(pki.NewIdentity(Name, pki.Snapshot{Certificates: a.certs, Trust: check(a.ca.Trust())(t)}, nil))(t)
	cfg := Config{Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Free: true, Store: k.store, Bus: b, Trace: k.rec, Identity: k.id, CA: a.ca, Node: "node1",
		Pace: Pace{Share: 1, Workers: 2}, Profiles: capfprofile.Config{Iterations: 100}, Limits: Limits{Accepts: 10000}}
	if change != nil {
		change(&cfg)
	}
	k.Service = check(Start(t.Context(), cfg))(t)
	k.addr = k.Addresses()[0].String()
	t.Cleanup(func() {
		if err := k.Close(context.Background()); err != nil {
			t.Error(err)
		}
		b.Close()
		k.rec.Close()
		k.store.Close()
	})
	return k
}

func check[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (k *kit) create(o capfprofile.Order) string {
	k.t.Helper()
	return check(k.Book().Create(k.t.Context(), o))(k.t).String.Reveal()
}

func (k *kit) profile(o capfprofile.Owner) capfprofile.Profile {
	k.t.Helper()
	return check(k.Book().Get(k.t.Context(), o))(k.t)
}

// until waits for a profile to look right: what a closed connection leaves behind is written a moment later.
func (k *kit) until(o capfprofile.Owner, what string, ok func(capfprofile.Profile) bool) capfprofile.Profile {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(k.t.Context(), 10*time.Second)
	defer cancel()
	changes := k.Book().Watch(ctx)
	for {
		p := k.profile(o)
		if ok(p) {
			return p
		}
		select {
		case <-changes:
		case <-ctx.Done():
			k.t.Fatalf("%s: never %s: %+v", o, what, p)
		}
	}
}

// records are those of the trace whose summary has the text.
func (k *kit) records(text string) (out []trace.Record) {
	k.t.Helper()
	for _, r := range k.rec.Recent(trace.Filter{Service: Name}, 10000) {
		if strings.Contains(r.Summary, text) {
			out = append(out, r)
		}
	}
	return out
}

func (k *kit) roots() *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range k.ca.Roots() {
		p.AddCert(c)
	}
	return p
}

func (k *kit) dial(change func(*tls.Config)) (*tls.Conn, error) {
	c := &tls.Config{RootCAs: k.roots(), ServerName: "capf.test"}
	if change != nil {
		change(c)
	}
	return tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", k.addr, c)
}

func (k *kit) mustDial() *tls.Conn {
	k.t.Helper()
	c := check(k.dial(nil))(k.t)
	k.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// device is a client with a store of its own.
type device struct {
	name     string
	password string
	version  uint8
	existing *held // authenticates with it
	sudi     bool  // proves by SUDI_DATA too
	key      crypto.Signer
	keep     bool // the key stays over sessions
	stored   *x509.Certificate
	dial     func(*tls.Config)
	storeErr error
}

type held struct {
	cert *x509.Certificate
	kind wire.CertType
	key  crypto.Signer
}

// enrol runs the client's machine over a connection.
func (k *kit) enrol(d *device) wire.Result {
	k.t.Helper()
	conn, err := k.dial(d.dial)
	if err != nil {
		k.t.Fatal(err)
	}
	defer conn.Close()
	return d.run(conn)
}

func (d *device) run(conn net.Conn) wire.Result {
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	cfg := wire.ClientConfig{Device: d.name, Password: wire.NewSecret(d.password), Version: d.version}
	if d.existing != nil {
		cfg.Existing = []wire.Certificate{{Type: d.existing.kind, DER: d.existing.cert.Raw}}
	}
	c := wire.NewClient(cfg, time.Now())
	var todo []wire.Input
	for {
		var in wire.Input
		if len(todo) > 0 {
			in, todo = todo[0], todo[1:]
		} else if m, err := wire.Read(conn, 0); err != nil {
			in = wire.Closed{Err: err}
		} else {
			in = wire.Received{Message: m}
		}
		for _, o := range c.Step(time.Now(), in) {
			switch o := o.(type) {
			case wire.Send:
				if err := wire.Write(conn, o.Message); err != nil {
					todo = append(todo, wire.Closed{Err: err})
				}
			case wire.Generate:
				todo = append(todo, d.generate(o.Order))
			case wire.Prove:
				todo = append(todo, d.prove(o))
			case wire.Store:
				cert, err := x509.ParseCertificate(o.Certificate.DER)
				if err == nil {
					err = d.storeErr
				}
				d.stored = cert
				todo = append(todo, wire.Stored{Err: err})
			case wire.Delete:
				d.stored = nil
				todo = append(todo, wire.Deleted{})
			case wire.Done:
				return o.Result
			}
		}
	}
}

func (d *device) generate(o wire.KeygenRequest) wire.Input {
	if d.key == nil || !d.keep {
		var err error
		if o.Type == wire.KeyRSA {
			d.key, err = rsaKey(o.Size)
		} else {
			d.key, err = ecdsa.GenerateKey(map[wire.Curve]elliptic.Curve{wire.CurveP256: elliptic.P256(), wire.CurveP384: elliptic.P384(), wire.CurveP521: elliptic.P521()}[o.Curve], rand.Reader)
		}
		if err != nil {
			return wire.Generated{Err: err}
		}
	}
	der, err := x509.MarshalPKIXPublicKey(d.key.Public())
	return wire.Generated{PublicKey: der, Err: err}
}

// rsaKeys are a few keys, made once and handed out in turn.
var rsaKeys struct {
	sync.Mutex
	made []*rsa.PrivateKey
	next int
}

func rsaKey(bits int) (*rsa.PrivateKey, error) {
	if bits != 2048 {
		return rsa.GenerateKey(rand.Reader, bits)
	}
	rsaKeys.Lock()
	defer rsaKeys.Unlock()
	if rsaKeys.next++; len(rsaKeys.made) < 4 {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return nil, err
		}
		rsaKeys.made = append(rsaKeys.made, k)
	}
	return rsaKeys.made[(rsaKeys.next-1)%len(rsaKeys.made)], nil
}

func (d *device) prove(p wire.Prove) wire.Input {
	var out wire.Proved
	out.SHA1, out.SHA2, out.Err = wire.SignProof(d.existing.key, d.name, d.existing.cert.Raw)
	if d.sudi && out.Err == nil {
		var s wire.SUDI
		s, out.Err = wire.SignSUDI(d.existing.key, p.Session, d.existing.cert.Raw)
		out.SUDI = &s
	}
	return out
}

var phone = capfprofile.Owner{Device: "SEP001122334455"}
