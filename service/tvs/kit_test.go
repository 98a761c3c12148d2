package tvs

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/trustlist"
	"github.com/locktone/locktone/wire/tvs"
)

var loopback = netip.MustParseAddr("127.0.0.1")

// cluster is what all tests share: a CA and its services' certificates take a moment to make.
type cluster struct {
	ca       *pki.CA
	register *pki.FileRegister
	tvs      pki.Certificates
	cm       pki.Certificates
}

var sharedCluster = sync.OnceValues(func() (c cluster, err error) {
	if c.register, err = pki.OpenRegister(""); err != nil {
		return c, err
	}
	ctx := context.Background()
	if c.ca, err = pki.Open(ctx, pki.Config{Cluster: "lab", Custody: &memory{}, Register: c.register}); err != nil {
		return c, err
	}
	all, err := c.ca.Services(ctx, []pki.ServiceSpec{{Name: Name, Host: "tvs.lab.test", IPs: []netip.Addr{loopback}}, {Name: "callmanager", Host: "cm.lab.test"}})
	if err != nil {
		return c, err
	}
	c.tvs, c.cm = all[0], all[1]
	return c, nil
})

func shared(t testing.TB) cluster {
	t.Helper()
	c, err := sharedCluster()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// memory is a custody that is gone with the process.
type memory struct{ all sync.Map }

func (m *memory) Load(_ context.Context, name string) (pki.Secret, error) {
	if v, ok := m.all.Load(name); ok {
		return v.(pki.Secret), nil
	}
	return nil, errMissing
}

func (m *memory) Create(_ context.Context, name string, s pki.Secret) error {
	if _, there := m.all.LoadOrStore(name, s); there {
		return errThere
	}
	return nil
}

func (m *memory) Replace(_ context.Context, name string, s pki.Secret) error {
	m.all.Store(name, s)
	return nil
}

func (m *memory) Delete(_ context.Context, name string) error {
	m.all.Delete(name)
	return nil
}

func (m *memory) List(_ context.Context, prefix string) (out []string, err error) {
	m.all.Range(func(k, _ any) bool {
		if strings.HasPrefix(k.(string), prefix) {
			out = append(out, k.(string))
		}
		return true
	})
	return out, nil
}

// published is what the lists say; a test may take it away.
type published struct {
	mu   sync.Mutex
	list []lists.Known
	err  error
}

func (p *published) Known(context.Context) ([]lists.Known, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.list, p.err
}

func (p *published) set(err error, list ...lists.Known) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list, p.err = list, err
}

// site is a running service with what stands around it.
type site struct {
	cluster
	*Service
	bus     *bus.Bus
	trace   *trace.Recorder
	uploads *truststore.Store
	lists   *published
}

// start starts a service that knows the call manager's RSA certificate.
func start(t testing.TB, tune func(*Config)) *site {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &site{cluster: shared(t), lists: &published{}}
	s.lists.set(nil, lists.Known{Certificate: s.cm.Server[1].Leaf(), Roles: []trustlist.Role{trustlist.RoleCCMTFTP}},
		lists.Known{Certificate: s.tvs.Server[1].Leaf(), Roles: []trustlist.Role{trustlist.RoleTVS}})
	st, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "s.db"), store.Options{})
	must(err)
	t.Cleanup(func() { st.Close() })
	s.uploads = truststore.Open(truststore.Config{Documents: st.Documents(truststore.Collection)})
	s.bus, err = bus.Open(t.Context(), bus.Config{})
	must(err)
	t.Cleanup(func() { s.bus.Close() })
	s.trace, err = trace.Open(trace.Config{})
	must(err)
	t.Cleanup(func() { s.trace.Close() })
	trust, err := s.ca.Trust()
	must(err)
	id, err := pki.NewIdentity(Name, pki.Snapshot{Certificates: s.tvs, Trust: trust}, nil)
	must(err)
	cfg := Config{Node: "n1", Version: "test", Addresses: []netip.Addr{loopback}, Port: Free, Sources: []Source{FromLists(s.lists), FromTrustStore(s.uploads)},
		Bus: s.bus, Trace: s.trace, Identity: id, Register: s.register}
	if tune != nil {
		tune(&cfg)
	}
	s.Service, err = Start(t.Context(), cfg)
	must(err)
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// address is where it listens.
func (s *site) address() string { return strings.TrimPrefix(s.Addresses()[0], "tls ") }

// lsc is a phone's certificate from our CA.
func lsc(t testing.TB, c cluster, name string, validity time.Duration) tls.Certificate {
	t.Helper()
	issued, err := c.ca.Issue(t.Context(), pki.Request{Kind: pki.KindDevice, Name: name, Validity: validity})
	if err != nil {
		t.Fatal(err)
	}
	return issued.Credential.TLS()
}

// made is a certificate of somebody else: under the parent, or self-signed.
func made(t testing.TB, name string, parent *tls.Certificate, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name, Organization: []string{"Else"}}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}}
	if change != nil {
		change(c)
	}
	up, signer := c, any(key)
	if parent != nil {
		up, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, c, up, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func root(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
}

// dial connects as a phone does: its server certificate has to be the one of the ITL.
func (s *site) dial(t testing.TB, certs ...tls.Certificate) (*tls.Conn, error) {
	t.Helper()
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", s.address(), &tls.Config{Certificates: certs, InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			for _, mine := range s.tvs.Server {
				if mine.Leaf().Equal(cs.PeerCertificates[0]) {
					return nil
				}
			}
			return fmt.Errorf("the server is %s", cs.PeerCertificates[0].Subject)
		}})
	if err == nil {
		t.Cleanup(func() { c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return c, err
}

// ask sends a question and reads the answer.
func ask(c net.Conn, r tvs.Request) (tvs.Response, error) {
	b, err := r.Message().Append(nil)
	if err != nil {
		return tvs.Response{}, err
	}
	if _, err := c.Write(b); err != nil {
		return tvs.Response{}, err
	}
	m, err := tvs.Read(c, 0)
	if err != nil {
		return tvs.Response{}, err
	}
	return m.Response()
}

// phone connects with a good LSC.
func (s *site) phone(t testing.TB) *tls.Conn {
	t.Helper()
	c, err := s.dial(t, lsc(t, s.cluster, "SEP001122334455", 0))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const device = "CP-8861-SEP001122334455"

func verify(c *x509.Certificate) tvs.Request {
	return tvs.Request{Session: 0x3e9, Device: device, DeviceType: tvs.DeviceType, Certificate: c.Raw}
}

func query(t testing.TB, c *x509.Certificate) tvs.Request {
	t.Helper()
	subject, err := trustlist.DN(c.RawSubject)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := trustlist.DN(c.RawIssuer)
	if err != nil {
		t.Fatal(err)
	}
	return tvs.Request{Session: 0x3ea, Device: device, DeviceType: tvs.DeviceType, Subject: subject, Issuer: issuer, Serial: c.SerialNumber.Bytes()}
}
