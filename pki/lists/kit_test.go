package lists

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// memory is a collection for tests.
type memory struct {
	mu   sync.Mutex
	m    map[string]store.Document
	next int64
	fail error // of every write
}

func newMemory() *memory { return &memory{m: make(map[string]store.Document)} }

func (d *memory) Get(_ context.Context, key string) (store.Document, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if doc, ok := d.m[key]; ok {
		return doc, nil
	}
	return store.Document{}, fs.ErrNotExist
}

func (d *memory) PutAll(_ context.Context, writes []store.Write) (revisions []int64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail != nil {
		return nil, d.fail
	}
	for _, w := range writes {
		if have := d.m[w.Key].Revision; w.IfRevision != store.AnyRevision && w.IfRevision != have {
			return nil, fmt.Errorf("%s: %w", w.Key, store.ErrConflict)
		}
	}
	for _, w := range writes {
		b, err := json.Marshal(w.Value)
		if err != nil || len(b) > 256<<10 {
			return nil, fmt.Errorf("%s: %d bytes, %w", w.Key, len(b), err)
		}
		d.next++
		d.m[w.Key] = store.Document{Key: w.Key, Revision: d.next, Value: b}
		revisions = append(revisions, d.next)
	}
	return revisions, nil
}

func (d *memory) Delete(_ context.Context, key string, _ int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.m, key)
	return nil
}

func (d *memory) List(_ context.Context, prefix string) (docs []store.Document, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, doc := range d.m {
		if strings.HasPrefix(k, prefix) {
			docs = append(docs, doc)
		}
	}
	slices.SortFunc(docs, func(a, b store.Document) int { return cmp.Compare(a.Key, b.Key) })
	return docs, nil
}

func (d *memory) Watch(context.Context) <-chan struct{} { return nil }

func (d *memory) count(prefix string) int {
	docs, _ := d.List(context.Background(), prefix)
	return len(docs)
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// keys are made once: these tests are not about keys.
var keys = sync.OnceValue(func() map[pki.Algorithm][]crypto.Signer {
	m := make(map[pki.Algorithm][]crypto.Signer)
	for range 3 {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		m[pki.RSA2048] = append(m[pki.RSA2048], k)
	}
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	m[pki.ECDSAP256] = []crypto.Signer{k}
	return m
})

var made sync.Map // certificates by name, over all walks

// selfSigned is a certificate of the name; the same for the same name.
func selfSigned(t testing.TB, cn string, a pki.Algorithm) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	of := keys()[a]
	k := of[len(cn)%len(of)]
	if c, ok := made.Load(cn); ok {
		return c.(*x509.Certificate), k
	}
	serial := must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)))(t)
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: cn}, NotBefore: start, NotAfter: start.AddDate(5, 0, 0)}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k))(t)
	c := must(x509.ParseCertificate(der))(t)
	made.Store(cn, c)
	return c, k
}

// another is a certificate of a name that another one may have.
func another(t testing.TB, cn string) *x509.Certificate {
	k := keys()[pki.RSA2048][0]
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: cn}, NotBefore: start, NotAfter: start.AddDate(5, 0, 0)}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, k.Public(), k))(t)))(t)
}

// readyKey is a pki.Config.Keys.
func readyKey(a pki.Algorithm) (pki.PrivateKey, error) {
	if of := keys()[a]; len(of) > 0 {
		return pki.NewPrivateKey(of[0]), nil
	}
	return pki.GenerateKey(a)
}

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// signers is a SignerSource that tests change.
type signers struct {
	t   testing.TB
	all []pki.Signer
}

func newSigners(t testing.TB) *signers {
	s := &signers{t: t}
	for _, name := range pki.SignerNames() {
		s.add(name, 1, pki.StateActive)
	}
	return s
}

func (s *signers) All() []pki.Signer { return slices.Clone(s.all) }

func (s *signers) add(name string, generation int, state pki.State) *pki.Signer {
	cn := fmt.Sprintf("%s-g%d", name, generation)
	c, k := selfSigned(s.t, cn, pki.RSA2048)
	s.all = append(s.all, pki.Signer{Name: name, Generation: generation, State: state, Certificate: c, PrivateKey: pki.NewPrivateKey(k)})
	return &s.all[len(s.all)-1]
}

func (s *signers) in(name string, state pki.State) *pki.Signer {
	for i := range s.all {
		if s.all[i].Name == name && s.all[i].State == state {
			return &s.all[i]
		}
	}
	return nil
}

func (s *signers) activate(name string) {
	s.in(name, pki.StateActive).State = pki.StateRetiring
	s.in(name, pki.StateStaged).State = pki.StateActive
}

func (s *signers) remove(f Fingerprint) {
	s.all = slices.DeleteFunc(s.all, func(x pki.Signer) bool { return printOf(x) == f })
}

// lose takes a key away.
func (s *signers) lose(f Fingerprint) {
	for i := range s.all {
		if printOf(s.all[i]) == f {
			s.all[i].PrivateKey = pki.PrivateKey{}
		}
	}
}

// site is a publisher with what it needs.
type site struct {
	t        testing.TB
	docs     *memory
	holdDocs *memory
	signers  *signers
	members  *Members
	holdings *Holdings
	reader   *Reader
	pub      *Publisher
	mode     config.SecurityMode
	now      time.Time
}

func newSite(t testing.TB) *site {
	s := &site{t: t, docs: newMemory(), holdDocs: newMemory(), signers: newSigners(t), now: start}
	s.open()
	t.Cleanup(func() { s.holdings.Close(context.Background()) })
	return s
}

// open is a start of the process on what the store has.
func (s *site) open() {
	if s.holdings != nil {
		if err := s.holdings.Close(context.Background()); err != nil {
			s.t.Fatal(err)
		}
	}
	clock := func() time.Time { return s.now }
	s.holdings = OpenHoldings(s.holdDocs, HoldingsConfig{Delay: time.Hour, Now: clock})
	s.members, s.reader = NewMembers(s.docs), NewReader(s.docs, s.holdings)
	s.pub = must(NewPublisher(PublisherConfig{Lists: s.docs, Signers: s.signers, Holdings: s.holdings, Now: clock,
		Mode: func(context.Context) (config.SecurityMode, error) { return s.mode, nil }}))(s.t)
}

// certificates of a service on a node; the states by generation.
func certificates(t testing.TB, host string, states map[int]pki.State) []Certificate {
	var cs []Certificate
	for g := range 1000 {
		st, ok := states[g]
		if !ok {
			continue
		}
		for _, x := range []struct {
			suffix string
			client bool
			alg    pki.Algorithm
		}{{"-EC", false, pki.ECDSAP256}, {"", false, pki.RSA2048}, {"-client-EC", true, pki.ECDSAP256}, {"-client", true, pki.RSA2048}} {
			c, _ := selfSigned(t, fmt.Sprintf("%s%s-g%d", host, x.suffix, g), x.alg)
			cs = append(cs, Certificate{DER: c.Raw, Client: x.client, Generation: g, State: st})
		}
	}
	return cs
}

var roles = map[string]trustlist.Role{"callmanager": trustlist.RoleCCMTFTP, "provisioning": trustlist.RoleTFTP, "capf": trustlist.RoleCAPF, "tvs": trustlist.RoleTVS}

// member is a service of node n ("node1", 127.0.1.10).
func member(t testing.TB, service string, n int, states map[int]pki.State) Member {
	host := fmt.Sprintf("%s%d.lab.test", service, n)
	return Member{Service: service, Node: fmt.Sprintf("node%d", n), Host: host, Addresses: []netip.Addr{netip.AddrFrom4([4]byte{127, 0, byte(n), 10})},
		Roles: []trustlist.Role{roles[service]}, Certificates: certificates(t, host, states)}
}

func (s *site) announce(m Member) bool { return must(s.members.Announce(s.t.Context(), m))(s.t) }

// all announces every service of a node in its first generation.
func (s *site) all(n int) {
	for service := range roles {
		s.announce(member(s.t, service, n, map[int]pki.State{1: pki.StateActive}))
	}
}

func (s *site) publish() []Version {
	s.t.Helper()
	s.now = s.now.Add(time.Minute)
	return must(s.pub.Publish(s.t.Context()))(s.t)
}

func (s *site) list(holder string, kind trustlist.Kind) (*trustlist.List, File) {
	s.t.Helper()
	f := must(s.reader.For(s.t.Context(), holder, kind))(s.t)
	return must(trustlist.Parse(f.Bytes))(s.t), f
}
