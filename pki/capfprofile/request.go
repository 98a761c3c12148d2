package capfprofile

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

// RequestCollection is the name of the queue's collection of documents.
const RequestCollection = "capf-request"

// Request is a certificate that an offline authority is asked for.
//
// What the client sent is a public key; nobody but the client can sign a PKCS #10 request for it. So the export has two
// parts, vouched for by the registration key (that of the service's own certificate):
//
//   - Key: the public key to be certified.
//   - CSR: a PKCS #10 request with the subject and the extensions wanted, but with the registration key inside and
//     signed by it, so that it verifies. Its subjectKeyIdentifier is that of Key, which ties the two together.
//
// An authority takes subject and extensions from the one and the key from the other:
//
//	openssl x509 -req -in ID.csr -force_pubkey ID.pub -copy_extensions copyall -CA ...
//
// When the client did sign a request of its own, CSR is that, Signed says so, and Key is not needed.
type Request struct {
	ID         string `json:"id"`
	Owner      Owner  `json:"owner"`
	CommonName string `json:"commonName"`
	SPKI       []byte `json:"publicKey"` // DER
	Key        string `json:"keyPem"`
	CSR        string `json:"csrPem"`
	Signed     bool   `json:"signed,omitempty"` // CSR is signed by the client's own key

	Asked    time.Time `json:"asked"`
	Exported time.Time `json:"exported,omitzero"`
	Remote   string    `json:"remote,omitempty"`
	State    string    `json:"state"`            // RequestWaiting, RequestAnswered, RequestRejected
	Reason   string    `json:"reason,omitempty"` // of a rejection
	Answer   []byte    `json:"answer,omitempty"` // the certificate, DER
	Revision int64     `json:"-"`
}

// The states of a request.
const (
	RequestWaiting  = "waiting"
	RequestAnswered = "answered"
	RequestRejected = "rejected"
)

// RequestID is the id of the request of an owner for a key: asking again finds the same request.
func RequestID(o Owner, spki []byte) string {
	sum := sha256.Sum256(append([]byte(o.key()+"\x00"), spki...))
	return hex.EncodeToString(sum[:8])
}

// Registrar is the registration authority's key.
type Registrar struct{ Key crypto.Signer }

// Queue keeps the requests. It is safe for concurrent use.
type Queue struct {
	docs Documents
	now  func() time.Time
}

// NewQueue opens the queue; now nil means time.Now.
func NewQueue(docs Documents, now func() time.Time) *Queue {
	if now == nil {
		now = time.Now
	}
	return &Queue{docs, now}
}

// ErrRequestGone: the owner has made a new request since, or has its certificate.
var ErrRequestGone error = absent("capfprofile: there is no such request")

// Watch tells when some request changed.
func (q *Queue) Watch(ctx context.Context) <-chan struct{} { return q.docs.Watch(ctx) }

// Get returns a request, ErrRequestGone when there is none.
func (q *Queue) Get(ctx context.Context, id string) (Request, error) {
	d, err := q.docs.Get(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return Request{}, ErrRequestGone
	}
	if err != nil {
		return Request{}, err
	}
	return decodeRequest(d)
}

func decodeRequest(d store.Document) (Request, error) {
	var r Request
	if err := json.Unmarshal(d.Value, &r); err != nil {
		return r, fmt.Errorf("capfprofile: the request %s: %w", d.Key, err)
	}
	r.Revision = d.Revision
	return r, nil
}

// List returns all requests by id.
func (q *Queue) List(ctx context.Context) ([]Request, error) {
	docs, err := q.docs.List(ctx, "")
	if err != nil {
		return nil, err
	}
	var out []Request
	for _, d := range docs {
		r, err := decodeRequest(d)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Ask returns the request of the owner for the key, as it is now; it is entered when it is new. Requests of the same
// owner for other keys are over: the owner has another key now. Those already answered are returned, so that their
// certificates can be revoked.
func (q *Queue) Ask(ctx context.Context, o Owner, spki []byte, remote string, by Registrar) (r Request, over []Request, err error) {
	id := RequestID(o, spki)
	r, err = q.Get(ctx, id)
	if err == nil || !errors.Is(err, ErrRequestGone) {
		return r, nil, err
	}
	r = Request{ID: id, Owner: o, CommonName: o.CommonName(), SPKI: spki, Asked: q.now().UTC(), Remote: remote, State: RequestWaiting}
	if err := r.sign(by); err != nil {
		return r, nil, err
	}
	if over, err = q.drop(ctx, o); err != nil {
		return r, over, err
	}
	revs, err := q.docs.PutAll(ctx, []store.Write{{Key: id, Value: r}})
	if errors.Is(err, store.ErrConflict) { // asked twice at the same time
		r, err = q.Get(ctx, id)
		return r, over, err
	}
	if err == nil {
		r.Revision = revs[0]
	}
	return r, over, err
}

// drop ends all requests of an owner.
func (q *Queue) drop(ctx context.Context, o Owner) (answered []Request, err error) {
	all, err := q.List(ctx)
	for _, r := range all {
		if r.Owner.key() != o.key() {
			continue
		}
		if err := q.Done(ctx, r.ID); err != nil {
			return answered, err
		}
		if r.State == RequestAnswered {
			answered = append(answered, r)
		}
	}
	return answered, err
}

// Done ends a request. One that is gone is no error.
func (q *Queue) Done(ctx context.Context, id string) error {
	err := q.docs.Delete(ctx, id, store.AnyRevision)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Export returns the requests that wait, and notes that they were exported.
func (q *Queue) Export(ctx context.Context, ids ...string) ([]Request, error) {
	all, err := q.List(ctx)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	var out []Request
	for _, r := range all {
		if r.State != RequestWaiting || len(ids) > 0 && !wanted[r.ID] {
			continue
		}
		delete(wanted, r.ID)
		r.Exported = q.now().UTC()
		if _, err := q.docs.PutAll(ctx, []store.Write{{Key: r.ID, Value: r, IfRevision: r.Revision}}); err != nil && !errors.Is(err, store.ErrConflict) {
			return out, err
		}
		out = append(out, r)
	}
	for id := range wanted {
		return out, fmt.Errorf("request %s: %w", id, ErrRequestGone)
	}
	return out, nil
}

// ErrNoRequest: nobody asked for a certificate with this key.
var ErrNoRequest = errors.New("capfprofile: nobody waits for a certificate with this key: the owner has made another key since, or has its certificate already")

// Match finds the request that a certificate answers, by its key, and checks what can be checked without an issuer: that
// it is for the name asked for, valid now, and no CA's.
func (q *Queue) Match(ctx context.Context, c *x509.Certificate) (Request, error) {
	all, err := q.List(ctx)
	if err != nil {
		return Request{}, err
	}
	for _, r := range all {
		if string(r.SPKI) == string(c.RawSubjectPublicKeyInfo) && r.State != RequestRejected {
			return r, r.fits(c, q.now())
		}
	}
	return Request{}, fmt.Errorf("the certificate %s of %s: %w", pki.RefOf(c).Serial, c.Subject, ErrNoRequest)
}

func (r *Request) fits(c *x509.Certificate, now time.Time) error {
	switch {
	case c.Subject.CommonName != r.CommonName:
		return fmt.Errorf("capfprofile: the certificate names %q, the request %q: have it issued again with the subject of the request", c.Subject.CommonName, r.CommonName)
	case c.IsCA:
		return fmt.Errorf("capfprofile: the certificate of %s is a CA's: have it issued again with basicConstraints CA:FALSE", r.CommonName)
	case now.Before(c.NotBefore) || now.After(c.NotAfter):
		return fmt.Errorf("capfprofile: the certificate of %s is valid from %s to %s, which is not now", r.CommonName, c.NotBefore.UTC().Format(time.DateOnly), c.NotAfter.UTC().Format(time.DateOnly))
	}
	return nil
}

// Answer enters the certificate for a request. The caller has verified it (Match, the issuer) and bound it to its holder.
// A session that waits is told by Watch; a client that comes later with the same key gets it then.
func (q *Queue) Answer(ctx context.Context, r Request, c *x509.Certificate) error {
	r.State, r.Answer = RequestAnswered, c.Raw
	_, err := q.docs.PutAll(ctx, []store.Write{{Key: r.ID, Value: r, IfRevision: r.Revision}})
	return err
}

// Reject enters that the authority said no.
func (q *Queue) Reject(ctx context.Context, id, reason string) (Request, error) {
	r, err := q.Get(ctx, id)
	if err != nil {
		return r, err
	}
	r.State, r.Reason = RequestRejected, reason
	_, err = q.docs.PutAll(ctx, []store.Write{{Key: id, Value: r, IfRevision: r.Revision}})
	return r, err
}

var (
	oidKeyUsage  = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidExtKeyUse = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidSKI       = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidClient    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 3, 2}
)

// sign makes the two parts of the export.
func (r *Request) sign(by Registrar) error {
	r.Key = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: r.SPKI}))
	extensions, err := wantedExtensions(r.SPKI)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: r.CommonName}, ExtraExtensions: extensions}, by.Key)
	if err != nil {
		return fmt.Errorf("capfprofile: making the request of %s: %w", r.Owner, err)
	}
	r.CSR = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: csr}))
	return nil
}

// wantedExtensions are key usage digitalSignature and keyEncipherment, extended key usage clientAuth, and the key
// identifier of the client's key. RFC 5280, 4.2.1.2: the SHA-1 of the bit string of the public key.
func wantedExtensions(spki []byte) ([]pkix.Extension, error) {
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(spki, &info); err != nil {
		return nil, fmt.Errorf("capfprofile: the public key: %w", err)
	}
	sum := sha1.Sum(info.Key.Bytes)
	var out []pkix.Extension
	for _, e := range []struct {
		id       asn1.ObjectIdentifier
		critical bool
		value    any
	}{{oidKeyUsage, true, asn1.BitString{Bytes: []byte{0xA0}, BitLength: 3}}, {oidExtKeyUse, false, []asn1.ObjectIdentifier{oidClient}}, {oidSKI, false, sum[:]}} {
		der, err := asn1.Marshal(e.value)
		if err != nil {
			return nil, err
		}
		out = append(out, pkix.Extension{Id: e.id, Critical: e.critical, Value: der})
	}
	return out, nil
}
