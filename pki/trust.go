package pki

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Anchor is a certificate trusted as the top of a chain, and for whom. One that is not a CA is a pin: it stands for
// itself only, as when a trunk's far end has a self-signed certificate.
type Anchor struct {
	Certificate *x509.Certificate
	// Kinds says whom certificates under a foreign anchor may authenticate: a manufacturer's root {device}, a
	// carrier's {peer}. Ignored for the cluster's own roots, where the register says it per certificate.
	Kinds Kinds
}

// Trust is an immutable set of anchors and revocation lists. A changed one is a new one: the With methods return
// copies. Paths whose signatures were verified are remembered inside it, so a new Trust starts with no memory, and
// whatever is remembered was verified against exactly these anchors.
type Trust struct {
	anchors  []Anchor // the first len(own) are the cluster's roots
	own      int
	register Register // for the cluster's roots
	names    []string // of the cluster's roots, as in a Ref
	pool     *x509.CertPool
	crls     map[string]*crl // by raw issuer name
	paths    *pathCache
}

// NewTrust returns a trust set of foreign anchors only. CA.Trust adds the cluster's own.
func NewTrust(anchors ...Anchor) (*Trust, error) {
	return (&Trust{}).WithAnchors(anchors...)
}

// newOwnTrust returns the trust set of a cluster's roots.
func newOwnTrust(roots []*x509.Certificate, reg Register) *Trust {
	t := &Trust{own: len(roots), register: reg}
	for _, r := range roots {
		t.anchors = append(t.anchors, Anchor{Certificate: r})
	}
	t.index()
	return t
}

func (t *Trust) index() {
	t.names = nil
	for _, a := range t.anchors[:t.own] {
		t.names = append(t.names, a.Certificate.Subject.String())
	}
	t.pool = x509.NewCertPool()
	for _, a := range t.anchors {
		t.pool.AddCert(a.Certificate)
	}
	t.paths = newPathCache()
}

// WithAnchors returns a copy with more anchors. An anchor that bears the name of a cluster root, or is trusted for
// nobody, is refused; one that is there already has its kinds replaced.
func (t *Trust) WithAnchors(as ...Anchor) (*Trust, error) {
	n := &Trust{anchors: slices.Clone(t.anchors), own: t.own, register: t.register, crls: t.crls}
	for _, a := range as {
		if err := n.add(a); err != nil {
			return nil, err
		}
	}
	n.index()
	return n, nil
}

func (t *Trust) add(a Anchor) error {
	if a.Certificate == nil {
		return fmt.Errorf("pki: a trust anchor without a certificate")
	}
	if a.Kinds&AllKinds() == 0 {
		return fmt.Errorf("pki: trust anchor %s is trusted for no kind of holder: say for whom (device, peer, ...)", subject(a.Certificate))
	}
	for i, b := range t.anchors {
		switch {
		case i < t.own && bytes.Equal(a.Certificate.RawSubject, b.Certificate.RawSubject):
			return fmt.Errorf("pki: trust anchor %s bears the name of the cluster's own root: a foreign CA needs a name of its own", subject(a.Certificate))
		case a.Certificate.Equal(b.Certificate):
			t.anchors[i].Kinds = a.Kinds
			return nil
		}
	}
	t.anchors = append(t.anchors, a)
	return nil
}

// Without returns a copy that no longer trusts the certificate. The cluster's own roots stay.
func (t *Trust) Without(c *x509.Certificate) *Trust {
	n := &Trust{anchors: slices.Clone(t.anchors), own: t.own, register: t.register, crls: t.crls}
	for i := t.own; i < len(n.anchors); i++ {
		if n.anchors[i].Certificate.Equal(c) {
			n.anchors = slices.Delete(n.anchors, i, i+1)
			break
		}
	}
	n.index()
	return n
}

// Anchors returns all anchors, the cluster's own first.
func (t *Trust) Anchors() []Anchor { return slices.Clone(t.anchors) }

// anchorOf returns the anchor that is this very certificate.
func (t *Trust) anchorOf(c *x509.Certificate) (a Anchor, own, ok bool) {
	for i, a := range t.anchors {
		if a.Certificate.Equal(c) {
			return a, i < t.own, true
		}
	}
	return Anchor{}, false, false
}

// ownName returns the name of a cluster root as references to what it issued have it.
func (t *Trust) ownName(c *x509.Certificate) (string, bool) {
	for i, name := range t.names {
		if t.anchors[i].Certificate.Equal(c) {
			return name, true
		}
	}
	return "", false
}

// pathCache remembers chains whose signatures, constraints and anchors were verified, by the certificates presented.
// Nothing else about a chain is taken from it: validity, revocation, kind and names are looked at every time.
type pathCache struct {
	mu    sync.RWMutex
	paths map[[32]byte][][]*x509.Certificate
}

// maxPaths bounds the memory: some 3 kB a path.
const maxPaths = 8192

func newPathCache() *pathCache {
	return &pathCache{paths: make(map[[32]byte][][]*x509.Certificate)}
}

func pathKey(chain []*x509.Certificate) [32]byte {
	h := sha256.New()
	for _, c := range chain {
		h.Write(c.Raw) // DER is self-delimiting, so the concatenation is unambiguous
	}
	return [32]byte(h.Sum(nil))
}

// get returns the remembered paths, if every certificate of each is valid at the time: then the outcome of building
// them anew would be the same.
func (pc *pathCache) get(key [32]byte, now time.Time) ([][]*x509.Certificate, bool) {
	pc.mu.RLock()
	paths, ok := pc.paths[key]
	pc.mu.RUnlock()
	if !ok {
		return nil, false
	}
	for _, path := range paths {
		for _, c := range path {
			if now.Before(c.NotBefore) || now.After(c.NotAfter) {
				return nil, false
			}
		}
	}
	return paths, true
}

func (pc *pathCache) put(key [32]byte, paths [][]*x509.Certificate) {
	pc.mu.Lock()
	defer pc.mu.Unlock()
	if len(pc.paths) >= maxPaths {
		for k := range pc.paths { // any one: to fill it takes as many certificates of our issuers
			delete(pc.paths, k)
			break
		}
	}
	pc.paths[key] = paths
}
