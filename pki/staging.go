package pki

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"time"
)

// Renewal says whether a service's certificates should be renewed, and why.
type Renewal struct {
	Due    bool   // past two thirds of their life, or issued by roots that are no longer the active ones
	Urgent bool   // what custody has cannot be used: missing, other names, revoked, expired, not from a trusted root
	Reason string // for a person; "" when neither
	// At is when they become due by age; the zero time when there are none.
	At time.Time
}

// Due looks at a service's certificates and changes nothing.
func (ca *CA) Due(ctx context.Context, spec ServiceSpec) (Renewal, error) {
	ring, err := ca.loadService(ctx, spec)
	if err != nil {
		return Renewal{}, err
	}
	return ca.assess(ctx, spec, ring, StateActive)
}

// Stage makes the next generation of a service's certificates, issued by the active roots, without its becoming what
// Service and Refresh load. When one is staged and would still do, it is returned.
func (ca *CA) Stage(ctx context.Context, spec ServiceSpec) (Certificates, error) {
	have, err := ca.loadService(ctx, spec)
	if err != nil {
		return Certificates{}, err
	}
	r, err := ca.assess(ctx, spec, have, StateStaged)
	if err != nil {
		return Certificates{}, err
	}
	if !r.Urgent && !r.Due {
		return have.certificates(have.in(StateStaged)), nil
	}
	made, err := ca.issueService(ctx, spec, have.highest+1)
	if err != nil {
		return Certificates{}, err
	}
	ring, err := ca.changeService(ctx, spec, func(k *keyring) bool {
		if k.highest != have.highest { // somebody else was faster: theirs is the next generation
			return false
		}
		k.drop(k.in(StateStaged))
		k.add(made...)
		return true
	})
	if err != nil {
		return Certificates{}, err
	}
	if ring.in(StateStaged) == 0 {
		return Certificates{}, fmt.Errorf("pki: the certificates of service %s were changed meanwhile: stage again", spec.Name)
	}
	return ring.certificates(ring.in(StateStaged)), nil
}

// Staged returns the staged generation; ok is false when there is none.
func (ca *CA) Staged(ctx context.Context, spec ServiceSpec) (c Certificates, ok bool, err error) {
	ring, err := ca.loadService(ctx, spec)
	if err != nil || ring.in(StateStaged) == 0 {
		return Certificates{}, false, err
	}
	return ring.certificates(ring.in(StateStaged)), true, nil
}

// Activate makes the staged generation the one that Service loads (Refresh then puts it in use); the former one is
// among Retiring. Without a staged one it returns the active one: it may be repeated.
func (ca *CA) Activate(ctx context.Context, spec ServiceSpec) (Certificates, error) {
	ring, err := ca.changeService(ctx, spec, (*keyring).promote)
	if err != nil {
		return Certificates{}, err
	}
	if ring.in(StateActive) == 0 {
		return Certificates{}, fmt.Errorf("pki: service %s has no certificates yet: %w", spec.Name, fs.ErrNotExist)
	}
	return ring.certificates(ring.in(StateActive)), nil
}

// Discard forgets the staged generation. Its number, hence its common names, are not used again.
func (ca *CA) Discard(ctx context.Context, spec ServiceSpec) error {
	_, err := ca.changeService(ctx, spec, func(k *keyring) bool {
		staged := k.in(StateStaged)
		k.drop(staged)
		return staged != 0
	})
	return err
}

// Retiring returns the certificates of former generations that lists still have to name, newest first; their keys are
// gone. Only services whose spec says Listed have any.
func (ca *CA) Retiring(ctx context.Context, spec ServiceSpec) ([]Certificates, error) {
	ring, err := ca.loadService(ctx, spec)
	if err != nil {
		return nil, err
	}
	var all []Certificates
	for _, e := range slices.Backward(ring.entries) {
		if e.state == StateRetiring && (len(all) == 0 || all[len(all)-1].Generation != e.generation) {
			all = append(all, ring.certificates(e.generation))
		}
	}
	return all, nil
}

// Retire forgets retiring generations up to and including the number.
func (ca *CA) Retire(ctx context.Context, spec ServiceSpec, generation int) error {
	_, err := ca.changeService(ctx, spec, func(k *keyring) bool {
		had := len(k.entries)
		k.entries = slices.DeleteFunc(k.entries, func(e ringEntry) bool {
			return e.state == StateRetiring && e.generation <= generation
		})
		return len(k.entries) != had
	})
	return err
}
