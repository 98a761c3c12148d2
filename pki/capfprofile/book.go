package capfprofile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

// Collection is the name of the profiles' collection of documents.
const Collection = "capf-profile"

// Documents is what a Book needs of the store; *store.Documents of the collection is one.
type Documents interface {
	Get(ctx context.Context, key string) (store.Document, error)
	PutAll(ctx context.Context, writes []store.Write) ([]int64, error)
	Delete(ctx context.Context, key string, ifRevision int64) error
	List(ctx context.Context, prefix string) ([]store.Document, error)
	Watch(ctx context.Context) <-chan struct{}
}

// Config says how long and how often. The zero value is a good one.
type Config struct {
	// MaxFailures is how many wrong strings in a row lock a profile. Default: 5.
	MaxFailures int
	// LockFor is the length of the first lock-out; each further one is twice as long, up to MaxLock. Default: 15m, 24h.
	LockFor, MaxLock time.Duration
	// MaxAttempts is how many sessions may break off before the operation ends: 1 is the reference product's
	// behaviour. Default: 3.
	MaxAttempts int
	// Expires is how long an operation pends when nobody says until when. Default: 10 days.
	Expires time.Duration
	// NoRenewal refuses renewals that no operator ordered; see RenewalDue.
	NoRenewal bool
	// Grace is how long a replaced certificate stays valid when the new one is not seen in use. Default: 7 days.
	Grace time.Duration
	// Iterations is the cost of a string's hash. Default: 30,000, some milliseconds.
	Iterations int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() Config {
	set(&c.MaxFailures, 5)
	set(&c.LockFor, 15*time.Minute)
	set(&c.MaxLock, 24*time.Hour)
	set(&c.MaxAttempts, 3)
	set(&c.Iterations, 30_000)
	set(&c.Expires, 10*24*time.Hour)
	set(&c.Grace, 7*24*time.Hour)
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func set[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// Errors of a Book. They are wrapped; compare with errors.Is.
var (
	// ErrNotFound: no such profile. It is fs.ErrNotExist too.
	ErrNotFound error = absent("capfprofile: there is no such enrolment profile")
	// ErrPending: an operation pends already.
	ErrPending = errors.New("capfprofile: an operation is pending already; reset the profile first, or replace it")
	// ErrTaken: another pending profile with this instance id has this string.
	ErrTaken = errors.New("capfprofile: another user has a pending profile with this instance id and this authorization string, and the protocol carries no user: choose another string, or have one generated")
	// ErrInvalid is wrapped by what is wrong with an order.
	ErrInvalid = errors.New("capfprofile: not a valid profile")
	// ErrSuperseded: another session works on the profile now, or somebody changed it.
	ErrSuperseded = errors.New("capfprofile: another session or an operator has taken over this profile")
)

// absent is an error that is fs.ErrNotExist too.
type absent string

func (a absent) Error() string { return string(a) }

// Is implements errors.Is.
func (a absent) Is(target error) bool { return target == fs.ErrNotExist }

// Book keeps the profiles. All state is in the documents, so that any node may write; within one process, what
// concerns one name happens one after the other. It is safe for concurrent use.
type Book struct {
	docs  Documents
	cfg   Config
	names keyed
}

// New opens the book.
func New(docs Documents, cfg Config) *Book { return &Book{docs: docs, cfg: cfg.withDefaults()} }

// Settings returns the settings in force.
func (b *Book) Settings() Config { return b.cfg }

// record is a profile as the document has it: with the hash.
type record struct {
	Profile
	Hash verifier `json:"hash,omitempty"`
}

func decode(d store.Document) (record, error) {
	var r record
	if err := json.Unmarshal(d.Value, &r); err != nil {
		return r, fmt.Errorf("capfprofile: the document %s: %w", d.Key, err)
	}
	r.Revision, r.HasString = d.Revision, r.Hash != ""
	return r, nil
}

func (b *Book) load(ctx context.Context, key string) (record, error) {
	d, err := b.docs.Get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return record{}, ErrNotFound
	}
	if err != nil {
		return record{}, err
	}
	return decode(d)
}

// save writes the record over the revision it was read at.
func (b *Book) save(ctx context.Context, r *record, more ...store.Write) error {
	if !r.HasString {
		r.Hash = ""
	}
	revs, err := b.docs.PutAll(ctx, append([]store.Write{{Key: r.key(), Value: r, IfRevision: r.Revision}}, more...))
	if err != nil {
		return err
	}
	r.Revision = revs[0]
	return nil
}

// maxConflicts bounds how often a change is made again because another node was faster.
const maxConflicts = 8

// change loads a profile, lets f change it and saves it, again when another node was faster. When f returns an error
// nothing is written.
func (b *Book) change(ctx context.Context, o Owner, f func(*record) error) (Profile, error) {
	for try := 0; ; try++ {
		r, err := b.load(ctx, o.key())
		if err != nil {
			return Profile{}, err
		}
		if err := f(&r); err != nil {
			return r.Profile, err
		}
		err = b.save(ctx, &r)
		if err == nil || !errors.Is(err, store.ErrConflict) || try == maxConflicts {
			return r.Profile, err
		}
	}
}

// Get returns a profile, ErrNotFound when there is none.
func (b *Book) Get(ctx context.Context, o Owner) (Profile, error) {
	r, err := b.load(ctx, o.key())
	return r.Profile, err
}

// List returns all profiles: devices by name, then applications by instance id and user.
func (b *Book) List(ctx context.Context) ([]Profile, error) {
	var out []Profile
	for _, prefix := range []string{devicePrefix, instancePrefix} {
		rs, err := b.list(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			out = append(out, r.Profile)
		}
	}
	return out, nil
}

func (b *Book) list(ctx context.Context, prefix string) ([]record, error) {
	docs, err := b.docs.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	var out []record
	for _, d := range docs {
		r, err := decode(d)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// Watch tells when some profile changed; see store.Documents.
func (b *Book) Watch(ctx context.Context) <-chan struct{} { return b.docs.Watch(ctx) }

// Order is what an operator asks for.
type Order struct {
	Owner
	Operation   Operation
	Mode        AuthMode
	String      String // by authentication string: what the operator made up; empty: generate one
	Order       KeyOrder
	RSAKeySize  int       // 0: 2048
	ECKeySize   int       // 0: 256
	CompletesBy time.Time // zero: Config.Expires from now
	Pins        bool      // the string is handed out inside a join token only
	Replace     bool      // an operation that pends is given up
	Author      string
}

// Created is a profile with its string, the only time that it can be read.
type Created struct {
	Profile
	String String
}

// Create makes the profile, or gives an existing one its next operation. What the profile knows of certificates
// stays.
func (b *Book) Create(ctx context.Context, o Order) (Created, error) {
	now := b.cfg.Now()
	if err := o.complete(now, b.cfg.Expires); err != nil {
		return Created{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer b.names.lock(o.lockName())()
	for try := 0; ; try++ {
		c, err := b.create(ctx, o, now)
		if err == nil || !errors.Is(err, store.ErrConflict) || try == maxConflicts {
			return c, err
		}
	}
}

// complete fills in defaults and says what is wrong.
func (o *Order) complete(now time.Time, expires time.Duration) error {
	if err := o.Check(); err != nil {
		return err
	}
	set(&o.RSAKeySize, 2048)
	set(&o.ECKeySize, 256)
	if o.CompletesBy.IsZero() {
		o.CompletesBy = now.Add(expires + time.Hour - time.Nanosecond).UTC().Truncate(time.Hour)
	}
	switch {
	case o.Device == "" && o.Operation > InstallUpgrade:
		return fmt.Errorf("an application's operation is %s or %s, not %s", NoPendingOperation, InstallUpgrade, o.Operation)
	case o.Device == "" && o.Mode != ByAuthenticationString:
		return fmt.Errorf("an application proves itself %s, not %s", ByAuthenticationString, o.Mode)
	case o.Device == "" && o.Order == ECOnly:
		return errors.New("applications make RSA keys only: their key order cannot be EC Only")
	case o.Mode != ByAuthenticationString && o.String != "":
		return fmt.Errorf("an authorization string is of no use %s", o.Mode)
	case o.Pins && o.Mode != ByAuthenticationString:
		return fmt.Errorf("a join token carries an authorization string: the mode cannot be %s", o.Mode)
	case !slices.Contains([]int{2048, 3072, 4096}, o.RSAKeySize):
		return fmt.Errorf("RSA key size %d: want 2048, 3072 or 4096; 512 and 1024 bits can be broken", o.RSAKeySize)
	case !slices.Contains([]int{256, 384, 521}, o.ECKeySize):
		return fmt.Errorf("EC key size %d: want 256, 384 or 521", o.ECKeySize)
	case !now.Before(o.CompletesBy):
		return fmt.Errorf("completes by %s has passed", FormatCompletesBy(o.CompletesBy))
	}
	if o.String != "" {
		return o.String.Check()
	}
	return nil
}

// lockName is what serializes changes within this process: everything that one DEVICE_NAME may mean, with its prefix or
// without.
func (o Owner) lockName() string { return o.Device + o.Instance }

func (b *Book) create(ctx context.Context, o Order, now time.Time) (Created, error) {
	r, err := b.load(ctx, o.key())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Created{}, err
	}
	if r.Pending(now) && !r.Renewal && !o.Replace {
		return Created{Profile: r.Profile}, ErrPending
	}
	if err != nil {
		r = record{Profile: Profile{Owner: o.Owner, Status: StatusNone, Created: now.UTC()}}
	}
	r.Owner = o.Owner // the heading may change
	r.Mode, r.Order, r.RSAKeySize, r.ECKeySize, r.Author = o.Mode, o.Order, o.RSAKeySize, o.ECKeySize, o.Author
	r.Operation, r.Session, r.Attempts, r.Waiting = o.Operation, "", 0, ""
	r.Failures, r.Lockouts, r.LockedUntil = 0, 0, time.Time{}
	r.HasString, r.Pins, r.Renewal, r.CompletesBy = false, false, false, time.Time{}
	out := Created{}
	var guard []store.Write
	if o.Operation != NoPendingOperation {
		r.CompletesBy = o.CompletesBy.UTC()
		r.setStatus(StatusPending, now)
		if o.Mode == ByAuthenticationString {
			if out.String, guard, err = b.newString(ctx, o, &r, now); err != nil {
				return Created{}, err
			}
		}
	}
	if err := b.save(ctx, &r, guard...); err != nil {
		return Created{}, err
	}
	out.Profile = r.Profile
	return out, nil
}

// newString sets the string of a record and checks that it is unique among those of its instance id. The guard is a
// document that every creation for an instance id writes: of two at the same time one sees a conflict and looks again.
func (b *Book) newString(ctx context.Context, o Order, r *record, now time.Time) (String, []store.Write, error) {
	s, err := o.String, error(nil)
	if s == "" {
		s = Generate()
	}
	var guard []store.Write
	if o.Device == "" {
		w := store.Write{Key: guardKey(o.Instance), Value: struct{}{}}
		if d, err := b.docs.Get(ctx, w.Key); err == nil {
			w.IfRevision = d.Revision
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
		guard = append(guard, w)
		others, err := b.list(ctx, instanceKeys(o.Instance))
		if err != nil {
			return "", nil, err
		}
		for _, other := range others {
			if other.key() != r.key() && other.Pending(now) && other.Hash.matches(s) {
				return "", nil, ErrTaken
			}
		}
	}
	r.Hash, err = newVerifier(s, b.cfg.Iterations)
	r.HasString, r.Pins = true, o.Pins
	return s, guard, err
}

// Reset lifts a lock-out and forgets wrong strings; with cancel it also gives up a pending operation and its string.
func (b *Book) Reset(ctx context.Context, o Owner, cancel bool) (Profile, error) {
	defer b.names.lock(o.lockName())()
	return b.change(ctx, o, func(r *record) error {
		r.Failures, r.Lockouts, r.LockedUntil, r.Attempts = 0, 0, time.Time{}, 0
		if cancel && r.Operation != NoPendingOperation {
			r.finish(StatusNone, b.cfg.Now())
		}
		return nil
	})
}

// Delete forgets a profile. Its certificates stay valid: the profile returned names them, so that the caller can
// revoke them.
func (b *Book) Delete(ctx context.Context, o Owner) (Profile, error) {
	defer b.names.lock(o.lockName())()
	for try := 0; ; try++ {
		r, err := b.load(ctx, o.key())
		if err != nil {
			return Profile{}, err
		}
		err = b.docs.Delete(ctx, r.key(), r.Revision)
		if err == nil || !errors.Is(err, store.ErrConflict) || try == maxConflicts {
			return r.Profile, err
		}
	}
}

// Holder returns the owner of a certificate that the register has under the kind and common name, ErrNotFound when no
// profile knows it. Two users may have the same instance id: this, not the name, tells them apart.
func (b *Book) Holder(ctx context.Context, kind pki.Kind, commonName string, ref pki.Ref) (Owner, error) {
	rs, err := b.holders(ctx, kind, commonName)
	if err != nil {
		return Owner{}, err
	}
	for _, r := range rs {
		if r.knows(ref) {
			return r.Owner, nil
		}
	}
	return Owner{}, ErrNotFound
}

// holders are the profiles whose certificates may have the common name.
func (b *Book) holders(ctx context.Context, kind pki.Kind, commonName string) ([]record, error) {
	if kind == pki.KindDevice {
		r, err := b.load(ctx, Owner{Device: commonName}.key())
		if err != nil {
			return nil, err
		}
		return []record{r}, nil
	}
	if len(commonName) < maxCommonName || !strings.Contains(commonName, "-") {
		return b.list(ctx, instanceKeys(commonName))
	}
	return b.list(ctx, instancePrefix) // a cut name
}

func (p *Profile) knows(ref pki.Ref) bool {
	for _, c := range p.certificates() {
		if c.Ref == ref {
			return true
		}
	}
	return false
}

// Refs are the references of all certificates of the profile that may still be valid.
func (p *Profile) Refs() []pki.Ref {
	var out []pki.Ref
	for _, c := range p.certificates() {
		out = append(out, c.Ref)
	}
	return out
}

// certificates are all that may still be valid.
func (p *Profile) certificates() []Certificate {
	out := slices.Clone(p.Superseded)
	for _, c := range []*Certificate{p.LSC, p.Unconfirmed} {
		if c != nil {
			out = append(out, *c)
		}
	}
	return out
}

// keyed is a set of locks by name.
type keyed struct {
	mu sync.Mutex
	m  map[string]*keyedLock
}

type keyedLock struct {
	mu    sync.Mutex
	users int
}

// lock takes the lock of a name and returns what releases it.
func (k *keyed) lock(name string) (unlock func()) {
	k.mu.Lock()
	if k.m == nil {
		k.m = map[string]*keyedLock{}
	}
	l := k.m[name]
	if l == nil {
		l = &keyedLock{}
		k.m[name] = l
	}
	l.users++
	k.mu.Unlock()
	l.mu.Lock()
	return func() {
		l.mu.Unlock()
		k.mu.Lock()
		if l.users--; l.users == 0 {
			delete(k.m, name)
		}
		k.mu.Unlock()
	}
}
