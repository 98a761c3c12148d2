package capf

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"fmt"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
)

// Offline is an authority that people carry files to: requests are queued, exported, answered and imported (locktone
// capf requests). Until the answer is there Issue returns ErrQueued.
//
// What reaches whom: a client that keeps its key while it waits (a phone sent away with RETRY_LATER, our own enrolment
// client) gets its certificate at its next contact. An application of the field makes a new key at every attempt and
// takes RETRY_LATER for a failure, so the session that asked is held open, with REQUEST_IN_PROGRESS every 20 s, until the
// answer is imported; when nobody answers in time it is told that nothing is pending, its string stays good, and its
// next attempt waits again.
func Offline(q *capfprofile.Queue, id *pki.Identity, ca CA) Authority { return offline{q, id, ca} }

type offline struct {
	queue    *capfprofile.Queue
	identity *pki.Identity
	ca       CA
}

func (offline) Name() string { return "offline" }

// registrar is the key of the service's RSA certificate: every CA can verify RSA.
func registrar(id *pki.Identity) (capfprofile.Registrar, error) {
	for _, c := range id.Snapshot().Certificates.Server {
		if _, ok := c.Leaf().PublicKey.(*rsa.PublicKey); ok {
			return capfprofile.Registrar{Key: c.Key}, nil
		}
	}
	return capfprofile.Registrar{}, fmt.Errorf("the identity %s has no RSA certificate: CAPF needs one, also for clients that know nothing else", id.Name())
}

// Issue enters the request, or returns its answer.
func (o offline) Issue(ctx context.Context, a Ask) (*x509.Certificate, error) {
	by, err := registrar(o.identity)
	if err != nil {
		return nil, err
	}
	r, over, err := o.queue.Ask(ctx, a.Owner, a.SPKI, a.Remote, by)
	for _, old := range over {
		if c, perr := x509.ParseCertificate(old.Answer); perr == nil {
			if rerr := o.ca.Revoke(ctx, pki.RefOf(c), "its owner has made another key"); rerr != nil && err == nil {
				err = rerr
			}
		}
	}
	switch {
	case err != nil:
		return nil, err
	case r.State == capfprofile.RequestRejected:
		return nil, fmt.Errorf("%w: %s", ErrRejected, r.Reason)
	case r.State != capfprofile.RequestAnswered:
		return nil, ErrQueued
	}
	return x509.ParseCertificate(r.Answer)
}

// Done ends the request whose certificate the client has stored.
func (o offline) Done(ctx context.Context, a Ask) error {
	return o.queue.Done(ctx, capfprofile.RequestID(a.Owner, a.SPKI))
}
