package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/store"
)

// The collections of documents.
const (
	// Collection has the accounts, and under "last/" the last login of each.
	Collection = "login"
	// VerifierCollection has salted verifiers: of earlier passwords, and of those a directory confirmed. No operation shows it.
	VerifierCollection = "login-verifiers"
)

// Documents is what is needed of the store; *store.Documents of a collection is one.
type Documents interface {
	Get(ctx context.Context, key string) (store.Document, error)
	List(ctx context.Context, prefix string) ([]store.Document, error)
	PutAll(ctx context.Context, writes []store.Write) ([]int64, error)
	Keep(ctx context.Context, key string, value any) (int64, error)
	Delete(ctx context.Context, key string, ifRevision int64) error
}

// LockReason says why an account is locked.
type LockReason string

// The reasons for a lock.
const (
	NotLocked          LockReason = ""
	LockedFailedLogins LockReason = "failed-logins"
	LockedInactive     LockReason = "inactive"
)

// Account is what is remembered of a user's logins. It holds no secret.
type Account struct {
	User string `json:"user"`
	// Failures are the failed logins in a row, LastFailure the newest.
	Failures    int        `json:"failures,omitempty"`
	LastFailure time.Time  `json:"lastFailure,omitzero"`
	FailureFrom string     `json:"failureFrom,omitempty"`
	Lock        LockReason `json:"lock,omitempty"`
	LockedAt    time.Time  `json:"lockedAt,omitzero"`
	// LockedUntil is the end of a lock; zero: until an administrator unlocks the account.
	LockedUntil time.Time `json:"lockedUntil,omitzero"`
	// Credential identifies the verifier that ChangedAt is the age of.
	Credential string    `json:"credential,omitempty"`
	ChangedAt  time.Time `json:"changedAt,omitzero"`
	// LastLogin is exact to the hour; Active is when the days of inactivity began to count.
	LastLogin time.Time `json:"lastLogin,omitzero"`
	Active    time.Time `json:"active,omitzero"`
	// Directory is what the LDAP directory said of the account last, other than that the password is wrong.
	Directory   Reason    `json:"directory,omitempty"`
	DirectoryAt time.Time `json:"directoryAt,omitzero"`

	revision int64
}

// Last is the last login of a user.
type Last struct {
	User    string    `json:"user"`
	At      time.Time `json:"at"`
	From    string    `json:"from,omitempty"`
	Service string    `json:"service,omitempty"`
	Node    string    `json:"node,omitempty"`
	Reason  Reason    `json:"reason"`
	Why     string    `json:"why,omitempty"`
	Grace   bool      `json:"grace,omitempty"`
	// ExpiresInDays as in Result.
	ExpiresInDays uint32  `json:"expiresInDays,omitempty"`
	Stages        []Stage `json:"stages,omitempty"`
}

const lastPrefix = "last/"

func accountKey(user string) string { return "account/" + url.PathEscape(user) }
func lastKey(user string) string    { return lastPrefix + url.PathEscape(user) }

// Accounts are the documents of a site. Any node may write.
type Accounts struct {
	docs Documents
	now  func() time.Time
}

// NewAccounts opens them on store.Documents(Collection). now nil is time.Now.
func NewAccounts(docs Documents, now func() time.Time) *Accounts {
	if now == nil {
		now = time.Now
	}
	return &Accounts{docs: docs, now: now}
}

// Get is what is remembered of a user; of one who never tried to log in that is nothing.
func (a *Accounts) Get(ctx context.Context, user string) (Account, error) {
	out := Account{User: user}
	doc, err := a.docs.Get(ctx, accountKey(user))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return out, fmt.Errorf("login: read what is known of %s: %w", user, err)
	}
	if err := json.Unmarshal(doc.Value, &out); err != nil {
		return out, fmt.Errorf("login: what is known of %s: %w", user, err)
	}
	out.revision = doc.Revision
	return out, nil
}

// Last is the last login of a user; the zero value: none is known.
func (a *Accounts) Last(ctx context.Context, user string) (out Last, err error) {
	doc, err := a.docs.Get(ctx, lastKey(user))
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err == nil {
		err = json.Unmarshal(doc.Value, &out)
	}
	return out, err
}

// maxConflicts bounds how often a change is made again because another node was faster.
const maxConflicts = 20

// change lets f change an account and writes it if f says so. When another node was faster it is read and changed again. While the
// database is away the change waits in the node's outbox.
func (a *Accounts) change(ctx context.Context, user string, f func(*Account) bool) (Account, error) {
	for range maxConflicts {
		got, err := a.Get(ctx, user)
		if err != nil {
			return got, err
		}
		if !f(&got) {
			return got, nil
		}
		rev, err := a.docs.PutAll(ctx, []store.Write{{Key: accountKey(user), Value: got, IfRevision: got.revision}})
		switch {
		case err == nil:
			got.revision = rev[0]
			return got, nil
		case errors.Is(err, store.ErrConflict):
		case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrNoSpace):
			got.revision, err = a.docs.Keep(ctx, accountKey(user), got)
			return got, err
		default:
			return got, err
		}
	}
	return Account{}, fmt.Errorf("login: %s: other nodes change the account all the time", user)
}

// ErrNotLocked is the answer to the wish to unlock an account that is not locked.
var ErrNotLocked = errors.New("the account is not locked, and has no failed logins")

// Unlock lifts a lock and forgets failed logins; the days of inactivity begin anew.
func (a *Accounts) Unlock(ctx context.Context, user string, p config.CredentialPolicy) (Account, error) {
	locked := false
	got, err := a.change(ctx, user, func(x *Account) bool {
		now := a.now()
		locked = x.Failures > 0 || x.lock(p, now).locked()
		x.unlock(now)
		return locked
	})
	if err == nil && !locked {
		err = fmt.Errorf("login: %s: %w", user, ErrNotLocked)
	}
	return got, err
}

// fingerprint identifies a verifier without being one.
func fingerprint(v config.Verifier) string {
	if v.IsZero() {
		return ""
	}
	sum := sha256.Sum256([]byte(v.Reveal()))
	return hex.EncodeToString(sum[:12])
}
