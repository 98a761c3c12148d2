package ctimanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"sync"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// Every instance of an application has a certificate of its own, which CAPF gave it under the profile of its user and instance id. Two that
// come with one certificate at the same time mean that a key has been copied: nobody can say who is the right one, so both are closed. When
// it happens again and again, the certificate is marked as compromised, in the record, until an operator lifts that.

// certificates are those of the providers that are logged in here.
type certificates struct {
	s       *Service
	mu      sync.Mutex
	live    map[pki.Ref]*connection
	history map[pki.Ref]*uses
	put     func(context.Context, Compromise) error // writes a mark down
}

// uses is what happened with one certificate lately.
type uses struct {
	duplicates int
	refusals   int // in a row
	last       time.Time
}

// forgetAfter is how long a certificate must be without trouble for the trouble to be forgotten.
const forgetAfter = time.Hour

// maxHistory bounds the certificates whose troubles are remembered: they were all issued by CAPF.
const maxHistory = 65536

func newCertificates(s *Service) *certificates {
	t := &certificates{s: s, live: map[pki.Ref]*connection{}, history: map[pki.Ref]*uses{}}
	t.put = t.mark
	return t
}

// A Compromise says that a certificate was used by two at the same time, again and again. It stands in the record until it is lifted.
type Compromise struct {
	Issuer   string    `json:"issuer"`
	Serial   string    `json:"serial"`
	User     string    `json:"user"`
	Instance string    `json:"instance"`
	Node     string    `json:"node"`
	At       time.Time `json:"at"`
	Why      string    `json:"why"`
}

const compromisedPrefix = "compromised/"

func compromisedKey(r pki.Ref) string {
	return compromisedPrefix + url.PathEscape(r.Issuer) + "/" + r.Serial
}

// checkCertificate is the errand of finding out whether a client may use its certificate.
type checkCertificate struct{ user string }

func (checkCertificate) queue() string { return "login" }

func (e checkCertificate) do(ctx context.Context, s *Service, c *connection) asked {
	no, err := s.certificates.admit(ctx, c, e.user)
	return asked{Value: no, Err: err}
}

// admit says why a client may not use its certificate, nil if it may; then it is the one who does.
func (t *certificates) admit(ctx context.Context, c *connection, user string) (*refusal, error) {
	entry := c.report.Entry
	if entry == nil {
		return &refusal{result: ctiqbe.ErrInvalidCertificateUsed, why: "the certificate was not given out by this site's CAPF"}, nil
	}
	owner, err := t.s.cfg.Profiles.Holder(ctx, entry.Kind, entry.Name, entry.Ref)
	switch {
	case errors.Is(err, capfprofile.ErrNotFound):
		return &refusal{result: ctiqbe.ErrInvalidCertificateUsed, why: fmt.Sprintf("no CAPF profile knows the certificate of instance %s any more: it was superseded, or the profile was deleted", entry.Name)}, nil
	case err != nil:
		return nil, err
	case owner.User != user:
		return &refusal{result: ctiqbe.ErrInvalidCertificateUsed, why: fmt.Sprintf("the certificate was given to instance %s of %s, not to %s", owner.Instance, owner.User, user)}, nil
	}
	marked, err := t.compromised(ctx, entry.Ref)
	if err != nil {
		return nil, err
	}
	if marked {
		return t.refuse(entry.Ref, ctiqbe.ErrCertificateCompromised, fmt.Sprintf("the certificate of instance %s of %s is marked as compromised: enrol it anew, or lift the mark (locktone cti trust)",
			owner.Instance, user)), nil
	}
	if no, err := t.take(ctx, c, entry.Ref, owner); no != nil || err != nil {
		return no, err
	}
	return nil, t.s.cfg.Profiles.Used(ctx, entry.Kind, entry.Name, entry.Ref)
}

// take makes a connection the one that uses a certificate, unless another does.
func (t *certificates) take(ctx context.Context, c *connection, ref pki.Ref, owner capfprofile.Owner) (*refusal, error) {
	t.mu.Lock()
	other := t.live[ref]
	if other == nil || other == c {
		t.live[ref] = c
		c.instance = owner.Instance
		t.mu.Unlock()
		return nil, nil
	}
	delete(t.live, ref)
	u := t.uses(ref)
	u.duplicates++
	n, retries := u.duplicates, t.s.site().params.Retries
	t.mu.Unlock()
	reason, result := ctiqbe.ProviderCloseReasonDuplicateCertUsed, ctiqbe.ErrDuplicateCertificateUsed
	why := fmt.Sprintf("the certificate of instance %s of %s is used by %s and %s at the same time", owner.Instance, owner.User, other.remote, c.remote)
	if n > retries {
		why = fmt.Sprintf("%s, for the %d. time: it is marked as compromised", why, n)
		if err := t.put(ctx, Compromise{Issuer: ref.Issuer, Serial: ref.Serial, User: owner.User, Instance: owner.Instance, Node: t.s.cfg.Node, At: t.s.cfg.Now().UTC(), Why: why}); err != nil {
			return nil, err
		}
		reason, result = ctiqbe.ProviderCloseReasonCertCompromised, ctiqbe.ErrCertificateCompromised
	}
	t.s.note(trace.Error, why)
	other.box.put(ordered{reason, why})
	return t.refuse(ref, result, why), nil
}

// refuse is a refusal that is held back the longer the more often it was said: clients try again at once.
func (t *certificates) refuse(ref pki.Ref, result ctiqbe.Result, why string) *refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.uses(ref)
	u.refusals++
	return &refusal{result: result, why: why, hold: t.s.cfg.Limits.Hold << min(u.refusals-1, 5)}
}

// uses is what is remembered of a certificate. The lock is held.
func (t *certificates) uses(ref pki.Ref) *uses {
	now := t.s.cfg.Now()
	u := t.history[ref]
	if u == nil || now.Sub(u.last) >= forgetAfter {
		if len(t.history) >= maxHistory {
			clear(t.history)
		}
		u = &uses{}
		t.history[ref] = u
	}
	u.last = now
	return u
}

// instanceOf is the instance of an application that a connection proved to be.
func (t *certificates) instanceOf(c *connection) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return c.instance
}

// leave: the connection does not use its certificate any more.
func (t *certificates) leave(c *connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for ref, x := range t.live {
		if x == c {
			delete(t.live, ref)
		}
	}
}

func (t *certificates) compromised(ctx context.Context, ref pki.Ref) (bool, error) {
	_, err := t.s.docs.Get(ctx, compromisedKey(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (t *certificates) mark(ctx context.Context, c Compromise) error {
	key := compromisedKey(pki.Ref{Issuer: c.Issuer, Serial: c.Serial})
	_, err := t.s.docs.PutAll(ctx, []store.Write{{Key: key, Value: c}})
	if errors.Is(err, store.ErrConflict) { // another node was faster
		return nil
	}
	return err
}

// Compromised lists the certificates that are marked, by whom they were given to.
func (s *Service) Compromised(ctx context.Context) ([]Compromise, error) {
	return Compromised(ctx, s.docs)
}

// Compromised lists the certificates that are marked in the documents of Collection.
func Compromised(ctx context.Context, d *store.Documents) ([]Compromise, error) {
	docs, err := d.List(ctx, compromisedPrefix)
	if err != nil {
		return nil, err
	}
	out := make([]Compromise, 0, len(docs))
	for _, d := range docs {
		var c Compromise
		if err := json.Unmarshal(d.Value, &c); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Recheck closes the providers whose certificate is not good any more: revoked, expired, of an authority that is not trusted now.
func (s *Service) Recheck() {
	for _, c := range s.table.all() {
		if !c.secure || c.shownTLS.Load() == nil {
			continue
		}
		if err := s.cfg.Identity.Inspect(c.tls, pki.PeerIsClient, peers()).Err(); err != nil {
			c.box.put(ordered{ctiqbe.ProviderCloseReasonUnauthorizedForTLS, "the certificate is not good any more: " + err.Error()})
		}
	}
}

// Trust lifts the marks of the certificates of an instance. That they were used twice lately is forgotten, too.
func (s *Service) Trust(ctx context.Context, user, instance string) error {
	all, err := s.Compromised(ctx)
	if err != nil {
		return err
	}
	found := false
	for _, c := range all {
		if c.User != user || c.Instance != instance {
			continue
		}
		found = true
		ref := pki.Ref{Issuer: c.Issuer, Serial: c.Serial}
		if err := s.docs.Delete(ctx, compromisedKey(ref), store.AnyRevision); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.certificates.forget(ref)
	}
	if !found {
		return fmt.Errorf("no certificate of instance %s of %s is marked as compromised: %w", instance, user, fs.ErrNotExist)
	}
	return nil
}

func (t *certificates) forget(ref pki.Ref) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.history, ref)
}
