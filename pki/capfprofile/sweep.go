package capfprofile

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/locktone/locktone/pki"
)

// Swept is what a Sweep did.
type Swept struct {
	Late    []Profile         // operations that ended because their time had passed
	Revoked []Certificate     // certificates that were replaced
	Holders map[pki.Ref]Owner // of those
	Locked  []Owner           // profiles that are locked out now
}

// Sweep ends operations whose time has passed and has replaced certificates revoked: once the newer one has been seen
// in use, at once when the device said it deleted it, else after Grace.
func (b *Book) Sweep(ctx context.Context, revoke func(ctx context.Context, ref pki.Ref, reason string) error) (Swept, error) {
	out := Swept{Holders: map[pki.Ref]Owner{}}
	all, err := b.List(ctx)
	if err != nil {
		return out, err
	}
	var errs []error
	for _, p := range all {
		if p.Locked(b.cfg.Now()) {
			out.Locked = append(out.Locked, p.Owner)
		}
		if p.late(b.cfg.Now()) {
			p, err = b.expire(ctx, p.Owner, b.cfg.Now())
			if err != nil {
				errs = append(errs, err)
				continue
			}
			out.Late = append(out.Late, p)
		}
		if p.abandoned(b.cfg.Now(), b.cfg.Grace) {
			if p, err = b.abandon(ctx, p.Owner); err != nil {
				errs = append(errs, err)
				continue
			}
		}
		due := p.due(b.cfg.Now(), b.cfg.Grace)
		for _, c := range due {
			if err := revoke(ctx, c.Ref, c.Reason); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
				continue
			}
			if err := b.forget(ctx, p.Owner, c.Ref); err != nil {
				errs = append(errs, err)
				continue
			}
			out.Revoked, out.Holders[c.Ref] = append(out.Revoked, c), p.Owner
		}
	}
	return out, errors.Join(errs...)
}

// abandoned reports whether a certificate was sent long ago and neither confirmed nor seen.
func (p *Profile) abandoned(now time.Time, grace time.Duration) bool {
	return p.Unconfirmed != nil && p.Session == "" && now.Sub(p.Unconfirmed.Since) >= grace
}

func (b *Book) abandon(ctx context.Context, o Owner) (Profile, error) {
	now := b.cfg.Now()
	return b.change(ctx, o, func(r *record) error {
		if r.abandoned(now, b.cfg.Grace) {
			gone := *r.Unconfirmed
			gone.Reason = "never confirmed and never seen in use"
			r.Superseded, r.Unconfirmed = append(r.Superseded, gone), nil
		}
		return nil
	})
}

// Unseen are the certificates whose use would change something: pass them to Used when they are seen in a handshake.
func (p *Profile) Unseen() []pki.Ref {
	var out []pki.Ref
	if p.LSC != nil && !p.LSC.Seen && len(p.Superseded) > 0 {
		out = append(out, p.LSC.Ref)
	}
	if p.Unconfirmed != nil {
		out = append(out, p.Unconfirmed.Ref)
	}
	for _, c := range p.Superseded {
		if p.unsure(c.Ref) >= 0 {
			out = append(out, c.Ref)
		}
	}
	return out
}

// due are the superseded certificates to be revoked now.
func (p *Profile) due(now time.Time, grace time.Duration) []Certificate {
	var out []Certificate
	for _, c := range p.Superseded {
		if c.Reason == deletedReason || p.LSC != nil && p.LSC.Seen && !p.LSC.Since.Before(c.Since) || now.Sub(c.Since) >= grace {
			out = append(out, c)
		}
	}
	return out
}

func (b *Book) forget(ctx context.Context, o Owner, ref pki.Ref) error {
	_, err := b.change(ctx, o, func(r *record) error {
		r.Superseded = slices.DeleteFunc(r.Superseded, func(c Certificate) bool { return c.Ref == ref })
		return nil
	})
	return ignoreNotFound(err)
}
