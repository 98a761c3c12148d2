package capfprofile

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/pki"
)

// Knock is who comes and what it shows.
type Knock struct {
	Name   string // DEVICE_NAME as sent, without NUL
	String String // PASSWORD as sent; empty: the null string
	// Proof is the existing certificate's kind of proof, already verified: the key's possession, the chain, the name
	// and that it is not revoked. ProofNone when none was shown or it did not hold.
	Proof Proof
	// Proven is the certificate of the proof. Fresh says that the proof is good for this session only (SUDI_DATA): the
	// other form can be recorded by a false server and shown again, so that it is good for ordered operations only.
	Proven pki.Ref
	Fresh  bool
	Remote string // for the listing
}

// Proof is what an existing certificate proved. The zero value is nothing.
type Proof uint8

// The proofs.
const (
	ProofNone Proof = iota
	ProofLSC
	ProofMIC
)

// Grant lets one session work on a profile. It holds until another session begins.
type Grant struct {
	Profile
	session string
}

// Refused says why a session is not let in.
type Refused struct {
	Owner Owner // zero: nobody is known by the name
	Why   Refusal
	Cause Cause // what the profile's status says, empty when it says nothing
	// Locked is set when this very attempt locked the profile: raise the alarm.
	Locked bool
	Until  time.Time // of a lock-out
}

// Refusal is the sort of a refusal.
type Refusal uint8

// The refusals.
const (
	RefusedUnknown     Refusal = iota // no profile by this name
	RefusedNothing                    // nothing pends
	RefusedLate                       // what pended has just expired
	RefusedCredentials                // wrong string or certificate
	RefusedLocked                     // too many wrong strings
)

// Error is one sentence.
func (r *Refused) Error() string {
	who := r.Owner.String()
	switch r.Why {
	case RefusedUnknown:
		return "no enrolment profile has this name"
	case RefusedNothing:
		return who + " has no pending operation"
	case RefusedLate:
		return who + " came after the time by which its operation had to be done"
	case RefusedLocked:
		return fmt.Sprintf("%s is locked until %s after too many wrong authorization strings; locktone capf profile reset lifts it", who, r.Until.UTC().Format(time.RFC3339))
	}
	return who + ": " + string(r.Cause)
}

// candidates are the profiles that a name may mean: "CTI-" and an instance id is an application, in whatever user's
// name; another name is a device, and where there is none an instance id.
func (b *Book) candidates(ctx context.Context, name string) ([]record, error) {
	if instance, ok := strings.CutPrefix(name, ApplicationPrefix); ok {
		return b.list(ctx, instanceKeys(instance))
	}
	r, err := b.load(ctx, Owner{Device: name}.key())
	if err == nil {
		return []record{r}, nil
	}
	if !errors.Is(err, ErrNotFound) || !instanceName.MatchString(name) {
		return nil, ignoreNotFound(err)
	}
	return b.list(ctx, instanceKeys(name))
}

func ignoreNotFound(err error) error {
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Begin lets a session in, or returns a *Refused. A later session of the same owner takes over from an earlier one:
// a phone that lost its connection must not wait for a time limit.
func (b *Book) Begin(ctx context.Context, k Knock) (Grant, error) {
	defer b.names.lock(strings.TrimPrefix(k.Name, ApplicationPrefix))() // one guess at a time, or the count would mean nothing
	now := b.cfg.Now()
	all, err := b.candidates(ctx, k.Name)
	if err != nil {
		return Grant{}, err
	}
	if len(all) == 0 {
		return Grant{}, &Refused{Why: RefusedUnknown}
	}
	pending, refused, err := b.pending(ctx, all, k, now)
	if err != nil || refused != nil {
		return Grant{}, asError(refused, err)
	}
	for _, r := range pending {
		if k.proves(&r, now) {
			return b.grant(ctx, r.Owner, k, now)
		}
	}
	return Grant{}, asError(b.wrong(ctx, pending, k, now))
}

func asError(r *Refused, err error) error {
	if err != nil {
		return err
	}
	return r
}

// pending sorts out the profiles that have something to do, and ends what is late.
func (b *Book) pending(ctx context.Context, all []record, k Knock, now time.Time) (out []record, refused *Refused, err error) {
	refused = &Refused{Owner: all[0].Owner, Why: RefusedNothing}
	for _, r := range all {
		switch {
		case r.Pending(now), !b.cfg.NoRenewal && k.renews(&r, now):
			out = append(out, r)
		case r.late(now):
			if _, err := b.expire(ctx, r.Owner, now); err != nil {
				return nil, nil, err
			}
			refused = &Refused{Owner: r.Owner, Why: RefusedLate, Cause: CauseLate}
		}
	}
	if out != nil {
		refused = nil
	}
	return out, refused, nil
}

func (b *Book) expire(ctx context.Context, o Owner, now time.Time) (Profile, error) {
	return b.change(ctx, o, func(r *record) error {
		if r.late(now) { // what was sent may have been stored: it is left to Used and Sweep
			r.finish(Failure(r.Operation, CauseLate), now)
		}
		return nil
	})
}

// proves decides by the profile's mode. In the two modes with a certificate the phone chooses which it shows: its
// precedence is the phone's business, both prove the same.
func (k Knock) proves(r *record, now time.Time) bool {
	if r.Renewal || r.Operation == NoPendingOperation {
		return k.renews(r, now)
	}
	switch r.Mode {
	case ByNullString:
		return k.String == ""
	case ByExistingLSC, ByExistingMIC:
		return k.Proof != ProofNone
	}
	return !r.Locked(now) && k.String != "" && r.Hash.matches(k.String)
}

// renews: an owner may renew its LSC unasked in the last third of its life, when it proves in this very session that it
// holds it.
func (k Knock) renews(r *record, now time.Time) bool {
	return (r.Renewal || r.Operation == NoPendingOperation) && k.Proof == ProofLSC && k.Fresh && r.RenewalDue(now) && k.Proven == r.LSC.Ref
}

// renewalTime is how long a renewal that has begun may take.
const renewalTime = 2 * time.Hour

// grant notes the session. The string stays good until the certificate is stored, or no retry could succeed.
func (b *Book) grant(ctx context.Context, o Owner, k Knock, now time.Time) (Grant, error) {
	token := make([]byte, 12)
	_, _ = rand.Read(token) // never fails, crypto/rand says
	g := Grant{session: hex.EncodeToString(token)}
	var err error
	g.Profile, err = b.change(ctx, o, func(r *record) error {
		switch renew := !b.cfg.NoRenewal && k.renews(r, now); {
		case renew:
			r.Operation, r.Renewal, r.CompletesBy = InstallUpgrade, true, now.Add(renewalTime).UTC()
			r.setStatus(StatusPending, now)
		case !r.Pending(now) || !k.proves(r, now): // another node was faster
			return &Refused{Owner: o, Why: RefusedNothing}
		}
		r.Session, r.Failures, r.LastRemote, r.LastContact = g.session, 0, k.Remote, now.UTC()
		return nil
	})
	return g, err
}

// wrong counts a wrong string with every profile it was tried on, and locks them.
func (b *Book) wrong(ctx context.Context, tried []record, k Knock, now time.Time) (*Refused, error) {
	out := &Refused{Owner: tried[0].Owner, Why: RefusedCredentials, Cause: cause(tried[0].Mode)}
	for _, t := range tried {
		if _, err := b.change(ctx, t.Owner, func(r *record) error {
			r.LastRemote, r.LastContact = k.Remote, now.UTC()
			if r.Renewal {
				out = &Refused{Owner: r.Owner, Why: RefusedNothing}
				return nil // nobody ordered it, so it says nothing
			}
			if r.Locked(now) {
				if !out.Locked { // an alarm is raised all the same
					out = &Refused{Owner: r.Owner, Why: RefusedLocked, Cause: CauseInvalidString, Until: r.LockedUntil}
				}
				return nil
			}
			r.setStatus(Failure(r.Operation, cause(r.Mode)), now)
			if r.Mode != ByAuthenticationString {
				return nil // nothing that could be guessed
			}
			if r.Failures++; r.Failures >= b.cfg.MaxFailures {
				r.LockedUntil = now.Add(b.lockFor(r.Lockouts)).UTC()
				r.Failures, r.Lockouts = 0, r.Lockouts+1
				out = &Refused{Owner: r.Owner, Why: RefusedLocked, Cause: CauseInvalidString, Locked: true, Until: r.LockedUntil}
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (b *Book) lockFor(before int) time.Duration {
	d := b.cfg.LockFor
	for range before {
		if d = 2 * d; d >= b.cfg.MaxLock {
			return b.cfg.MaxLock
		}
	}
	return d
}

func cause(m AuthMode) Cause {
	switch m {
	case ByNullString:
		return CauseCredentials
	case ByExistingLSC:
		return CauseInvalidLSC
	case ByExistingMIC:
		return CauseInvalidMIC
	}
	return CauseInvalidString
}

// during changes the profile of a grant that still holds.
func (b *Book) during(ctx context.Context, g Grant, f func(*record, time.Time)) (Profile, error) {
	now := b.cfg.Now()
	return b.change(ctx, g.Owner, func(r *record) error {
		if r.Session != g.session || r.Operation != g.Operation {
			return ErrSuperseded
		}
		f(r, now)
		return nil
	})
}

// Issued notes a certificate before it is sent. On an error the certificate must be revoked: nobody will ever know it.
func (b *Book) Issued(ctx context.Context, g Grant, c *x509.Certificate, issuerEnds time.Time) (Profile, error) {
	return b.during(ctx, g, func(r *record, now time.Time) {
		if r.Unconfirmed != nil && r.Unconfirmed.Ref != pki.RefOf(c) {
			r.supersede(r.Unconfirmed, unsureReason, now)
		}
		made := certificateOf(c, issuerEnds, now)
		r.Unconfirmed, r.Waiting = &made, ""
	})
}

// Stored notes that the owner has stored the certificate: it is the LSC now, the former one is superseded, the string
// is used up.
func (b *Book) Stored(ctx context.Context, g Grant) (Profile, error) {
	return b.during(ctx, g, func(r *record, now time.Time) {
		if r.Mode == ByAuthenticationString && !r.Renewal {
			r.Unpinned = !r.Pins
		}
		r.promote("replaced by a newer certificate", now)
		r.Enrolled, r.Failures, r.Lockouts, r.LockedUntil = now.UTC(), 0, 0, time.Time{}
		r.finish(Success(InstallUpgrade), now)
	})
}

// promote makes the unconfirmed certificate the LSC.
func (p *Profile) promote(why string, now time.Time) {
	if p.Unconfirmed == nil {
		return
	}
	p.supersede(p.LSC, why, now)
	p.LSC, p.Unconfirmed = p.Unconfirmed, nil
	p.LSC.Since = now.UTC()
}

// supersede puts a certificate among those to be revoked.
func (p *Profile) supersede(c *Certificate, why string, now time.Time) {
	if c == nil {
		return
	}
	old := *c
	if old.Since, old.Reason = now.UTC(), why; why != unsureReason { // that may come back
		old.DER = nil
	}
	p.Superseded = append(p.Superseded, old)
}

// Deleted notes that the owner has deleted its LSC, which is now to be revoked.
func (b *Book) Deleted(ctx context.Context, g Grant) (Profile, error) {
	return b.during(ctx, g, func(r *record, now time.Time) {
		r.supersede(r.LSC, deletedReason, now)
		r.supersede(r.Unconfirmed, deletedReason, now)
		r.LSC, r.Unconfirmed, r.Unpinned = nil, nil, false
		r.finish(Success(Delete), now)
	})
}

// unsureReason marks what may have been stored by a device whose answer was lost, and was followed by another.
const unsureReason = "another was issued before it was confirmed"

// deletedReason marks what is revoked without waiting: its holder has said that it is gone.
const deletedReason = "deleted by the device"

// Fetched notes what a Troubleshoot brought.
func (b *Book) Fetched(ctx context.Context, g Grant, list []*x509.Certificate) (Profile, error) {
	return b.during(ctx, g, func(r *record, now time.Time) {
		r.Fetched = nil
		for _, c := range list {
			r.Fetched = append(r.Fetched, certificateOf(c, time.Time{}, now))
		}
		r.finish(Success(Troubleshoot), now)
	})
}

// Failed notes that a session ended without success. A broken connection leaves the operation pending, with its string,
// until MaxAttempts sessions have broken; every other cause ends it.
func (b *Book) Failed(ctx context.Context, g Grant, c Cause) (Profile, error) {
	return b.during(ctx, g, func(r *record, now time.Time) {
		status := Failure(r.Operation, c)
		r.Attempts++
		if (c == CauseCommunication || c == CauseKeyTimeout) && r.Attempts < b.cfg.MaxAttempts {
			r.Session = ""
			r.setStatus(status, now)
			return
		}
		r.finish(status, now)
	})
}

// Queued notes that the offline authority has the request, under its id: the operation stays pending.
func (b *Book) Queued(ctx context.Context, g Grant, id string) (Profile, error) {
	return b.during(ctx, g, func(r *record, now time.Time) {
		r.Waiting = id
		r.setStatus(StatusPending, now)
	})
}

// Used tells that a certificate was seen in a handshake. It confirms one that its owner could not confirm, and lets
// the superseded ones be revoked at the next Sweep. Call it when a device registers or an application connects; it
// writes only when it changes something.
func (b *Book) Used(ctx context.Context, kind pki.Kind, commonName string, ref pki.Ref) error {
	rs, err := b.holders(ctx, kind, commonName)
	if err != nil {
		return ignoreNotFound(err)
	}
	for _, have := range rs {
		if !have.wantsUse(ref) {
			continue
		}
		_, err := b.change(ctx, have.Owner, func(r *record) error {
			r.settle(ref)
			if r.Unconfirmed != nil && r.Unconfirmed.Ref == ref {
				r.promote("replaced by a newer certificate", b.cfg.Now())
			}
			if r.LSC != nil && r.LSC.Ref == ref {
				r.LSC.Seen = true
			}
			return nil
		})
		return err
	}
	return nil
}

func (p *Profile) wantsUse(ref pki.Ref) bool {
	return p.Unconfirmed != nil && p.Unconfirmed.Ref == ref || p.LSC != nil && p.LSC.Ref == ref && !p.LSC.Seen || p.unsure(ref) >= 0
}

// unsure is the place of a superseded certificate that its owner may hold after all; -1 when it is none, or when a later
// one has been confirmed.
func (p *Profile) unsure(ref pki.Ref) int {
	i := slices.IndexFunc(p.Superseded, func(c Certificate) bool { return c.Ref == ref && c.Reason == unsureReason })
	if i >= 0 && p.LSC != nil && p.LSC.Since.After(p.Superseded[i].Since) {
		return -1
	}
	return i
}

// settle makes a superseded certificate that turned out to be in use the unconfirmed one.
func (p *Profile) settle(ref pki.Ref) {
	i := p.unsure(ref)
	if i < 0 {
		return
	}
	c, other := p.Superseded[i], p.Unconfirmed
	p.Superseded = slices.Delete(p.Superseded, i, i+1)
	c.Reason = ""
	if p.Unconfirmed = &c; other != nil {
		other.Reason = unsureReason
		p.Superseded = append(p.Superseded, *other)
	}
}
