package custody

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"
	"sync"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

// Collection is the collection of the store with the sealed secrets.
const Collection = "custody"

// Documents is where sealed secrets are; *store.Documents is one (Collection).
type Documents interface {
	Get(ctx context.Context, key string) (store.Document, error)
	Put(ctx context.Context, key string, value any, ifRevision int64) (int64, error)
	Delete(ctx context.Context, key string, ifRevision int64) error
	List(ctx context.Context, prefix string) ([]store.Document, error)
}

// Record is a pki.Custody in the record. It is safe for concurrent use, and by several nodes: what another node changed since this one
// loaded it is not written over (store.ErrConflict).
type Record struct {
	docs Documents
	id   string
	aead cipher.AEAD
	mu   sync.Mutex
	seen map[string]int64 // revision of each secret as it was loaded or stored here last
}

var _ pki.Custody = (*Record)(nil)

// box is a sealed secret as it stands in the store.
type box struct {
	Version int    `json:"v"`
	Key     string `json:"key"` // Key.ID
	Sealed  []byte `json:"sealed"`
}

const boxVersion = 1

// NewRecord returns the custody of a cluster.
func NewRecord(docs Documents, key Key) (*Record, error) {
	k, err := key.Derive("custody")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Record{docs: docs, id: key.ID(), aead: aead, seen: make(map[string]int64)}, err
}

// bound is what is authenticated with a secret: a box moved under another name does not open.
func bound(name string) []byte { return []byte("locktone custody 1 " + name) }

func (r *Record) seal(name string, s pki.Secret) box {
	return box{Version: boxVersion, Key: r.id, Sealed: r.aead.Seal(nil, nil, s, bound(name))}
}

func (r *Record) open(name string, value json.RawMessage) (pki.Secret, error) {
	var b box
	switch err := json.Unmarshal(value, &b); {
	case err != nil:
		return nil, fmt.Errorf("custody: %s in the record: %w", name, err)
	case b.Version != boxVersion:
		return nil, fmt.Errorf("custody: %s in the record is sealed in form %d, this program knows %d: use the version that wrote it or a later one", name, b.Version, boxVersion)
	case b.Key != r.id:
		return nil, fmt.Errorf("custody: %s in the record is sealed under the cluster key %s, this node has %s: it is no member of this cluster: "+
			"remove pki/%s.pem from its home folder and join (locktone up --join)", name, b.Key, r.id, KeyName)
	}
	s, err := r.aead.Open(nil, nil, b.Sealed, bound(name))
	if err != nil {
		return nil, fmt.Errorf("custody: %s in the record was changed by somebody without the cluster key: restore it from a backup", name)
	}
	return s, nil
}

// Load implements pki.Custody.
func (r *Record) Load(ctx context.Context, name string) (pki.Secret, error) {
	doc, err := r.docs.Get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("custody: loading %s: %w", name, err)
	}
	s, err := r.open(name, doc.Value)
	if err == nil {
		r.saw(name, doc.Revision)
	}
	return s, err
}

func (r *Record) saw(name string, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[name] = revision
}

func (r *Record) revision(name string) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, known := r.seen[name]; known {
		return at
	}
	return store.AnyRevision
}

// Create implements pki.Custody.
func (r *Record) Create(ctx context.Context, name string, s pki.Secret) error {
	at, err := r.docs.Put(ctx, name, r.seal(name, s), 0)
	if errors.Is(err, store.ErrConflict) {
		return fmt.Errorf("custody: %s is there already: %w", name, fs.ErrExist)
	}
	if err == nil {
		r.saw(name, at)
	}
	return err
}

// Replace implements pki.Custody. What was loaded here is replaced only as it was loaded: what another node stored since is not lost.
func (r *Record) Replace(ctx context.Context, name string, s pki.Secret) error {
	at, err := r.docs.Put(ctx, name, r.seal(name, s), r.revision(name))
	if err == nil {
		r.saw(name, at)
	}
	return err
}

// Delete implements pki.Custody.
func (r *Record) Delete(ctx context.Context, name string) error {
	if err := r.docs.Delete(ctx, name, store.AnyRevision); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, name)
	return nil
}

// List implements pki.Custody.
func (r *Record) List(ctx context.Context, prefix string) ([]string, error) {
	docs, err := r.docs.List(ctx, prefix)
	names := make([]string, len(docs))
	for i, d := range docs {
		names[i] = d.Key
	}
	return names, err
}

// Split keeps what the cluster has in common in one custody and what is a node's own in another.
type Split struct {
	Shared, Own pki.Custody
}

var _ pki.Custody = Split{}

// Common reports whether a secret is the cluster's: the authority's, the signers', and the passwords of its own applications. Everything
// else is the node's own.
func Common(name string) bool {
	return name == "ca" || strings.HasPrefix(name, "signer/") || strings.HasPrefix(name, "application/")
}

func (s Split) of(name string) pki.Custody {
	if Common(name) {
		return s.Shared
	}
	return s.Own
}

// Load implements pki.Custody.
func (s Split) Load(ctx context.Context, name string) (pki.Secret, error) {
	return s.of(name).Load(ctx, name)
}

// Create implements pki.Custody.
func (s Split) Create(ctx context.Context, name string, v pki.Secret) error {
	return s.of(name).Create(ctx, name, v)
}

// Replace implements pki.Custody.
func (s Split) Replace(ctx context.Context, name string, v pki.Secret) error {
	return s.of(name).Replace(ctx, name, v)
}

// Delete implements pki.Custody.
func (s Split) Delete(ctx context.Context, name string) error { return s.of(name).Delete(ctx, name) }

// List implements pki.Custody.
func (s Split) List(ctx context.Context, prefix string) ([]string, error) {
	shared, err := s.Shared.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	own, err := s.Own.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	for _, name := range own {
		if !Common(name) {
			shared = append(shared, name)
		}
	}
	sort.Strings(shared)
	return shared, nil
}

// Adopt moves the common secrets of a node's own custody into the record: those of a site that was on a file before. The names it moved
// are returned. A secret is removed from the node only when the record has it and it can be read back. A node whose own secret is
// another than the record's is refused: it belongs to another site.
func (s Split) Adopt(ctx context.Context) (moved []string, err error) {
	names, err := s.Own.List(ctx, "")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if !Common(name) {
			continue
		}
		if err := s.adopt(ctx, name); err != nil {
			return moved, err
		}
		moved = append(moved, name)
	}
	return moved, nil
}

func (s Split) adopt(ctx context.Context, name string) error {
	secret, err := s.Own.Load(ctx, name)
	if err != nil {
		return err
	}
	err = s.Shared.Create(ctx, name, secret)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("custody: moving %s into the record: %w", name, err)
	}
	back, err := s.Shared.Load(ctx, name)
	if err != nil {
		return err
	}
	if !related(secret, back) { // a move that was cut short leaves the same, or an older state of the same
		return fmt.Errorf("custody: the home folder of this node has a %s of its own, and the record has another: this node is from another site; "+
			"give it an empty home folder and let it join (locktone up --join), or point it at its own database", name)
	}
	return s.Own.Delete(ctx, name)
}

// related reports whether two secrets have a certificate in common.
func related(a, b pki.Secret) bool {
	have := make(map[string]bool)
	as, err := pki.ParseCertificates(a)
	if err != nil {
		return false
	}
	for _, c := range as {
		have[pki.Fingerprint(c)] = true
	}
	bs, err := pki.ParseCertificates(b)
	for _, c := range bs {
		if err == nil && have[pki.Fingerprint(c)] {
			return true
		}
	}
	return false
}
