package capfprofile

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"io/fs"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/store"
)

// memory is a collection of documents without a store.
type memory struct {
	mu      sync.Mutex
	docs    map[string]store.Document
	next    int64
	before  func() // runs before a write, once: another node that is faster
	changed chan struct{}
}

func newMemory() *memory {
	return &memory{docs: map[string]store.Document{}, changed: make(chan struct{}, 1)}
}

func (m *memory) Get(_ context.Context, key string) (store.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.docs[key]
	if !ok {
		return d, fs.ErrNotExist
	}
	return d, nil
}

func (m *memory) PutAll(_ context.Context, writes []store.Write) ([]int64, error) {
	if f := m.before; f != nil {
		m.before = nil
		f()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range writes {
		if w.IfRevision != store.AnyRevision && m.docs[w.Key].Revision != w.IfRevision {
			return nil, store.ErrConflict
		}
	}
	var revs []int64
	for _, w := range writes {
		b, err := json.Marshal(w.Value)
		if err != nil {
			return nil, err
		}
		m.next++
		m.docs[w.Key] = store.Document{Key: w.Key, Revision: m.next, Value: b}
		revs = append(revs, m.next)
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
	return revs, nil
}

func (m *memory) Delete(_ context.Context, key string, rev int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.docs[key]
	switch {
	case !ok:
		return fs.ErrNotExist
	case rev != store.AnyRevision && rev != d.Revision:
		return store.ErrConflict
	}
	delete(m.docs, key)
	return nil
}

func (m *memory) List(_ context.Context, prefix string) ([]store.Document, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []store.Document
	for k, d := range m.docs {
		if strings.HasPrefix(k, prefix) {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b store.Document) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

func (m *memory) Watch(context.Context) <-chan struct{} { return m.changed }

// text is everything the collection holds.
func (m *memory) text() string {
	var b strings.Builder
	for _, d := range m.docs {
		b.Write(d.Value)
	}
	return b.String()
}

// kit is a book on a clock.
type kit struct {
	*Book
	t    *testing.T
	docs *memory
	now  time.Time
}

func newKit(t *testing.T, cfg Config) *kit {
	k := &kit{t: t, docs: newMemory(), now: time.Date(2026, 11, 21, 12, 30, 0, 0, time.UTC)}
	cfg.Iterations = 100
	cfg.Now = func() time.Time { return k.now }
	k.Book = New(k.docs, cfg)
	return k
}

func (k *kit) create(o Order) Created {
	k.t.Helper()
	c, err := k.Create(k.t.Context(), o)
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

func (k *kit) get(o Owner) Profile {
	k.t.Helper()
	p, err := k.Get(k.t.Context(), o)
	if err != nil {
		k.t.Fatal(err)
	}
	return p
}

func (k *kit) begin(name, s string) (Grant, error) {
	return k.Begin(k.t.Context(), Knock{Name: name, String: String(s), Remote: "10.0.0.7:4711"})
}

func (k *kit) mustBegin(name, s string) Grant {
	k.t.Helper()
	g, err := k.begin(name, s)
	if err != nil {
		k.t.Fatal(err)
	}
	return g
}

// certificate makes one that lasts 900 days from now, one of the clock.
func (k *kit) certificate(cn string) *x509.Certificate {
	k.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: cn}, NotBefore: k.now, NotAfter: k.now.AddDate(0, 0, 900)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		k.t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

func (k *kit) must(_ Profile, err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// enrol does a whole enrolment and returns the certificate.
func (k *kit) enrol(name, s string) *x509.Certificate {
	k.t.Helper()
	g := k.mustBegin(name, s)
	c := k.certificate(g.CommonName())
	k.must(k.Issued(k.t.Context(), g, c, time.Time{}))
	k.must(k.Stored(k.t.Context(), g))
	return c
}
