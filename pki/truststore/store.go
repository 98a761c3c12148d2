package truststore

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// Collection is the name of the documents in the system of record.
const Collection = "trust-store"

// Documents is where the certificates are kept: store.Store.Documents(Collection).
type Documents interface {
	Put(ctx context.Context, key string, value any, ifRevision int64) (int64, error)
	List(ctx context.Context, prefix string) ([]store.Document, error)
	Watch(ctx context.Context) <-chan struct{}
}

// State says whether an entry counts. The zero value does not.
type State string

// The states.
const (
	Trusted State = "trusted"
	Removed State = "removed" // taken out for this purpose
	Revoked State = "revoked" // its key is not to be trusted: taken out for every purpose, and refused at an upload
)

// Entry is one certificate for one purpose. All of it is public.
type Entry struct {
	Purpose     Purpose          `json:"purpose"`
	Fingerprint string           `json:"fingerprint"` // SHA-256 of the DER, lower-case hex
	Subject     string           `json:"subject"`     // RFC 4514 text
	Issuer      string           `json:"issuer"`
	Serial      string           `json:"serial"` // lower-case hex, no leading zeros
	NotBefore   time.Time        `json:"not_before"`
	NotAfter    time.Time        `json:"not_after"`
	CA          bool             `json:"ca"`
	Key         string           `json:"key"`             // "RSA-2048"
	Kinds       []pki.Kind       `json:"kinds,omitempty"` // whom it authenticates as an anchor
	Roles       []trustlist.Role `json:"roles,omitempty"` // what the verification service tells of it
	DER         []byte           `json:"der"`
	State       State            `json:"state"`
	Added       time.Time        `json:"added"`
	By          string           `json:"by"`             // who uploaded it
	From        string           `json:"from,omitempty"` // the file or system it came from
	Findings    pki.Findings     `json:"findings,omitempty"`
	Ended       time.Time        `json:"ended,omitzero"` // when it was removed or revoked
	EndedBy     string           `json:"ended_by,omitempty"`
	Reason      string           `json:"reason,omitempty"`

	certificate *x509.Certificate
	revision    int64 // of its document; 0: not written yet
}

// Certificate is the certificate parsed.
func (e *Entry) Certificate() *x509.Certificate { return e.certificate }

// Upload is a certificate to be trusted.
type Upload struct {
	Purpose     Purpose
	Certificate *x509.Certificate
	Kinds       pki.Kinds        // empty: what the purpose has
	Roles       []trustlist.Role // nil: what the purpose has
	By, From    string
}

// Config opens a Store. Documents must be set.
type Config struct {
	Documents Documents
	// Own are the cluster's roots: nothing may be uploaded that bears the name of one. nil: not checked.
	Own func() []*x509.Certificate
	Now func() time.Time // nil: time.Now
}

// Store is the trust store of the cluster. It is safe for concurrent use. What it returns is what the system of record
// has at that moment; only the parsing of certificates is remembered.
type Store struct {
	docs Documents
	own  func() []*x509.Certificate
	now  func() time.Time

	mu     sync.Mutex
	parsed map[string]Entry // by key
}

// Open returns the store over the documents.
func Open(c Config) *Store {
	s := &Store{docs: c.Documents, own: c.Own, now: c.Now, parsed: map[string]Entry{}}
	if s.now == nil {
		s.now = time.Now
	}
	if s.own == nil {
		s.own = func() []*x509.Certificate { return nil }
	}
	return s
}

// Limits of the store: what a list of it and a lookup must go through.
const (
	maxEntries = 2000 // in all purposes, removed ones included
	maxText    = 256  // bytes of By, From and Reason
)

func key(p Purpose, fingerprint string) string { return string(p) + "/" + fingerprint }

// List returns the entries of a purpose ("" for all), removed and revoked ones included, by purpose and fingerprint.
func (s *Store) List(ctx context.Context, p Purpose) ([]Entry, error) {
	prefix := ""
	if p != "" {
		prefix = key(p, "")
	}
	docs, err := s.docs.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("truststore: %w", err)
	}
	out := make([]Entry, 0, len(docs))
	for _, d := range docs {
		e, err := s.read(d)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

// Trusted returns the entries of the purposes (none: all) that count at this moment.
func (s *Store) Trusted(ctx context.Context, purposes ...Purpose) ([]Entry, error) {
	all, err := s.List(ctx, "")
	if err != nil {
		return nil, err
	}
	out := all[:0]
	for _, e := range all {
		if e.State == Trusted && (len(purposes) == 0 || contains(purposes, e.Purpose)) {
			out = append(out, e)
		}
	}
	return out, nil
}

func contains(list []Purpose, p Purpose) bool {
	for _, x := range list {
		if x == p {
			return true
		}
	}
	return false
}

// read is the entry of a document; the same revision is parsed once.
func (s *Store) read(d store.Document) (Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.parsed[d.Key]; ok && e.revision == d.Revision {
		return e, nil
	}
	var e Entry
	if err := json.Unmarshal(d.Value, &e); err != nil {
		return e, fmt.Errorf("truststore: document %s is damaged: %w", d.Key, err)
	}
	var err error
	if e.certificate, err = x509.ParseCertificate(e.DER); err != nil {
		return e, fmt.Errorf("truststore: the certificate of document %s is damaged: %w", d.Key, err)
	}
	e.revision = d.Revision
	s.parsed[d.Key] = e
	return e, nil
}

// ErrGrant means that an upload asks for more than its purpose gives; ErrFingerprint that a fingerprint does not name one
// certificate.
var (
	ErrGrant       = errors.New("truststore: this purpose does not give that")
	ErrFingerprint = errors.New("truststore: not a fingerprint of one certificate")
)

// Upload checks a certificate and trusts it for the purpose. Findings that do not refuse are in the entry; a refusal is
// a *pki.VerifyError with all of them. A certificate that is there already is trusted anew, with what this upload says.
func (s *Store) Upload(ctx context.Context, u Upload) (Entry, error) {
	e, err := s.Check(ctx, u)
	if err == nil {
		err = s.write(ctx, &e)
	}
	return e, err
}

// Check is Upload without the upload: the entry there would be, or the refusal.
func (s *Store) Check(ctx context.Context, u Upload) (Entry, error) {
	rule, ok := RuleOf(u.Purpose)
	if !ok {
		_, err := ParsePurpose(string(u.Purpose))
		return Entry{}, err
	}
	e, err := s.entry(rule, u)
	if err != nil {
		return Entry{}, err
	}
	all, err := s.List(ctx, "")
	if err != nil {
		return Entry{}, err
	}
	for _, x := range all {
		if x.Fingerprint != e.Fingerprint {
			continue
		}
		if x.Purpose == e.Purpose {
			e.revision = x.revision
		}
		if x.State == Revoked && !e.Findings.Has(pki.RuleRevoked) {
			e.Findings = append(e.Findings, revokedFinding(&x))
		}
	}
	if err := e.Findings.Err("the upload"); err != nil {
		return e, err
	}
	if len(all) >= maxEntries {
		return e, fmt.Errorf("truststore: there are %d certificates already, the most that are kept", len(all))
	}
	return e, nil
}

// entry is the document of an upload, with its findings.
func (s *Store) entry(rule Rule, u Upload) (Entry, error) {
	c := u.Certificate
	if c == nil {
		return Entry{}, errors.New("truststore: an upload without a certificate")
	}
	kinds, roles, err := rule.grants(u)
	if err != nil {
		return Entry{}, err
	}
	ref := pki.RefOf(c)
	return Entry{Purpose: u.Purpose, Fingerprint: pki.Fingerprint(c), Subject: c.Subject.String(), Issuer: ref.Issuer, Serial: ref.Serial,
		NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(), CA: c.IsCA, Key: pki.KeyName(c), Kinds: kinds, Roles: roles, DER: c.Raw,
		State: Trusted, Added: s.now().UTC(), By: cut(u.By), From: cut(u.From), Findings: lint(c, rule, s.own(), s.now()), certificate: c}, nil
}

// grants is whom the certificate will authenticate, and what phones are told of it.
func (r Rule) grants(u Upload) (kinds []pki.Kind, roles []trustlist.Role, err error) {
	set := u.Kinds
	if set == 0 {
		set = r.Kinds
	}
	if set&^r.MayKinds != 0 {
		return nil, nil, fmt.Errorf("%w: %s cannot be trusted for %s; it may be for %s", ErrGrant, r.Purpose, set, r.MayKinds)
	}
	for _, k := range []pki.Kind{pki.KindDevice, pki.KindService, pki.KindCTI, pki.KindPeer} {
		if set.Has(k) {
			kinds = append(kinds, k)
		}
	}
	if roles = u.Roles; roles == nil {
		roles = r.Roles
	}
	for _, role := range roles {
		if !containsRole(r.MayRoles, role) {
			return nil, nil, fmt.Errorf("%w: %s cannot have the role %s", ErrGrant, r.Purpose, role)
		}
	}
	return kinds, roles, nil
}

func containsRole(list []trustlist.Role, r trustlist.Role) bool {
	for _, x := range list {
		if x == r {
			return true
		}
	}
	return false
}

// cut bounds a remark.
func cut(s string) string { return strings.ToValidUTF8(s[:min(len(s), maxText)], "") }

// write puts the entry in place of the one it was made from. When somebody else was faster (a revocation, perhaps) it is
// store.ErrConflict, and nothing is written.
func (s *Store) write(ctx context.Context, e *Entry) error {
	revision, err := s.docs.Put(ctx, key(e.Purpose, e.Fingerprint), *e, e.revision)
	if err != nil {
		return fmt.Errorf("truststore: %w", err)
	}
	e.revision = revision
	return nil
}

// Remove takes a certificate out for one purpose. The fingerprint may be cut to its first eight digits or more, as long
// as one entry fits. fs.ErrNotExist when none does.
func (s *Store) Remove(ctx context.Context, p Purpose, fingerprint, by, reason string) (Entry, error) {
	e, err := s.Find(ctx, p, fingerprint)
	if err == nil {
		err = s.end(ctx, &e, Removed, by, reason)
	}
	return e, err
}

// Revoke takes a certificate out for every purpose and refuses it at uploads from now on: its key is not in the hands it
// should be in. It returns the entries it changed; fs.ErrNotExist when the certificate is in no purpose.
func (s *Store) Revoke(ctx context.Context, fingerprint, by, reason string) ([]Entry, error) {
	one, err := s.Find(ctx, "", fingerprint)
	if err != nil {
		return nil, err
	}
	all, err := s.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, e := range all {
		if e.Fingerprint != one.Fingerprint || e.State == Revoked {
			continue
		}
		if err := s.end(ctx, &e, Revoked, by, reason); err != nil {
			return out, err
		}
		out = append(out, e)
	}
	return out, nil
}

func (s *Store) end(ctx context.Context, e *Entry, state State, by, reason string) error {
	if e.State == state || e.State == Revoked {
		return nil
	}
	e.State, e.Ended, e.EndedBy, e.Reason = state, s.now().UTC(), cut(by), cut(reason)
	return s.write(ctx, e)
}

// minFingerprint is how few digits of a fingerprint name a certificate.
const minFingerprint = 8

// Find returns the entry of a purpose ("" for any) whose fingerprint begins with the digits, colons and case ignored;
// fs.ErrNotExist when there is none.
func (s *Store) Find(ctx context.Context, p Purpose, fingerprint string) (Entry, error) {
	digits := strings.ToLower(strings.ReplaceAll(fingerprint, ":", ""))
	if len(digits) < minFingerprint {
		return Entry{}, fmt.Errorf("%w: %q: give at least %d digits of the SHA-256 fingerprint", ErrFingerprint, fingerprint, minFingerprint)
	}
	all, err := s.List(ctx, p)
	if err != nil {
		return Entry{}, err
	}
	var found *Entry
	for i := range all {
		if !strings.HasPrefix(all[i].Fingerprint, digits) {
			continue
		}
		if found != nil && found.Fingerprint != all[i].Fingerprint {
			return Entry{}, fmt.Errorf("%w: more than one begins with %s: give more digits", ErrFingerprint, digits)
		}
		found = &all[i]
	}
	if found == nil {
		where := "the trust store"
		if p != "" {
			where = string(p)
		}
		return Entry{}, missing(fmt.Sprintf("truststore: %s has no certificate with fingerprint %s", where, digits))
	}
	return *found, nil
}

// missing is fs.ErrNotExist in words that speak of no file.
type missing string

func (m missing) Error() string { return string(m) }

// Is reports that it means fs.ErrNotExist.
func (missing) Is(target error) bool { return target == fs.ErrNotExist }

// Anchors returns what handshakes trust at this moment: the certificates of the purposes (none: all) that are anchors,
// each once, with the kinds of all its purposes.
func (s *Store) Anchors(ctx context.Context, purposes ...Purpose) ([]pki.Anchor, error) {
	entries, err := s.Trusted(ctx, purposes...)
	if err != nil {
		return nil, err
	}
	var out []pki.Anchor
	at := map[string]int{}
	for i := range entries {
		e := &entries[i]
		if len(e.Kinds) == 0 {
			continue
		}
		n, ok := at[e.Fingerprint]
		if !ok {
			n = len(out)
			at[e.Fingerprint] = n
			out = append(out, pki.Anchor{Certificate: e.certificate})
		}
		out[n].Kinds |= pki.KindsOf(e.Kinds...)
	}
	return out, nil
}

// Watch returns a channel that gets a value when something changed; it is closed when ctx ends.
func (s *Store) Watch(ctx context.Context) <-chan struct{} { return s.docs.Watch(ctx) }
