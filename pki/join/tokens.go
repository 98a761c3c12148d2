package join

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

// Collection is the collection of the store with the tokens that are out.
const Collection = "node-token"

// Bounds of tokens.
const (
	DefaultLife = time.Hour
	MaxLife     = 7 * 24 * time.Hour
	maxTokens   = 100 // out at a time
	maxWrong    = 5   // wrong secrets until a token is gone
	keepExpired = 24 * time.Hour
)

// What becomes of a redemption. The text says what to do.
var (
	ErrUnknown = errors.New("the token is not known here, or its secret is wrong: make one on a node of this cluster (locktone node token)")
	ErrExpired = errors.New("the token has expired: make another one (locktone node token)")
	ErrUsed    = errors.New("the token was used: each is good for one node; make another one (locktone node token)")
	ErrName    = errors.New("the token is for another name")
	errClaim   = errors.New("the claim of the new node is too short")
)

// Documents is where tokens are; *store.Documents is one (Collection).
type Documents interface {
	Get(ctx context.Context, key string) (store.Document, error)
	Put(ctx context.Context, key string, value any, ifRevision int64) (int64, error)
	Delete(ctx context.Context, key string, ifRevision int64) error
	List(ctx context.Context, prefix string) ([]store.Document, error)
}

// Info is what the record knows of a token. The secret and the claim are there as hashes.
type Info struct {
	ID      string    `json:"id"`
	Node    string    `json:"node,omitempty"` // the only name it is good for; empty: any that is new
	By      string    `json:"by"`
	Made    time.Time `json:"made"`
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero"`
	As      string    `json:"as,omitempty"` // the name it was used for
	Wrong   int       `json:"wrong,omitempty"`

	Hash  []byte `json:"hash"`
	Claim []byte `json:"claim,omitempty"`
}

// Tokens are the tokens that are out. It owns nothing: they are in the record, where every node finds them.
type Tokens struct {
	docs Documents
	now  func() time.Time
}

// NewTokens returns the tokens in a collection; now nil is time.Now.
func NewTokens(docs Documents, now func() time.Time) *Tokens {
	if now == nil {
		now = time.Now
	}
	return &Tokens{docs, now}
}

var nodeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$`)

// CheckName refuses what cannot be the name of a node: it stands in host names. RFC 1123, 2.1: letters, digits and hyphens, at most 63.
func CheckName(name string) error {
	if !nodeName.MatchString(name) {
		return fmt.Errorf("%q cannot be the name of a node: want at most 63 letters, digits and hyphens, since it stands in host names", name)
	}
	return nil
}

// Create makes a token for one node, of that name when it is given, and removes those that expired long ago.
func (t *Tokens) Create(ctx context.Context, by, node string, life time.Duration, pin [pinSize]byte) (Token, Info, error) {
	if life == 0 {
		life = DefaultLife
	}
	if life < time.Minute || life > MaxLife {
		return Token{}, Info{}, fmt.Errorf("a token that is good for %v: want one minute to %v", life, MaxLife)
	}
	if node != "" {
		if err := CheckName(node); err != nil {
			return Token{}, Info{}, err
		}
	}
	if err := t.prune(ctx); err != nil {
		return Token{}, Info{}, err
	}
	made, now := newToken(pin), t.now().UTC()
	info := Info{ID: made.ID, Node: node, By: by, Made: now, Expires: now.Add(life), Hash: hash(made.Secret)}
	_, err := t.docs.Put(ctx, made.ID, info, 0)
	return made, info, err
}

func hash(s pki.Secret) []byte {
	sum := sha256.Sum256(s)
	return sum[:]
}

// prune removes tokens that are of no use, and refuses more than there may be.
func (t *Tokens) prune(ctx context.Context) error {
	docs, err := t.docs.List(ctx, "")
	if err != nil {
		return err
	}
	left := 0
	for _, d := range docs {
		var i Info
		if json.Unmarshal(d.Value, &i) == nil && t.now().Before(i.Expires.Add(keepExpired)) {
			left++
			continue
		}
		if err := t.docs.Delete(ctx, d.Key, d.Revision); err != nil && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	if left >= maxTokens {
		return fmt.Errorf("%d tokens are out; no more than that until some expire", left)
	}
	return nil
}

// Redeem takes a token for a node, or says why not. Repeating it with the same claim and name gives the same answer until the token
// expires. Info.As is the name it got. name, when set, may refuse the name before anything is taken. Of two that redeem a token at once one wins.
func (t *Tokens) Redeem(ctx context.Context, r Request, name func(i Info, name string) error) (Info, error) {
	doc, err := t.docs.Get(ctx, r.ID)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, ErrUnknown
	}
	if err != nil {
		return Info{}, err
	}
	var i Info
	if err := json.Unmarshal(doc.Value, &i); err != nil {
		return Info{}, fmt.Errorf("token %s in the record: %w", doc.Key, err)
	}
	if subtle.ConstantTimeCompare(i.Hash, hash(r.Secret)) != 1 {
		return Info{}, errors.Join(ErrUnknown, t.wrong(ctx, doc, i))
	}
	if r.Node == "" {
		r.Node = cmp.Or(i.Node, r.Host)
	}
	if err := CheckName(r.Node); err != nil {
		return i, fmt.Errorf("%w: %w: give it one with --name", ErrName, err)
	}
	again := len(i.Claim) > 0 && subtle.ConstantTimeCompare(i.Claim, hash(r.Claim)) == 1 && i.As == r.Node
	switch {
	case !t.now().Before(i.Expires):
		return i, ErrExpired
	case i.Node != "" && i.Node != r.Node:
		return i, fmt.Errorf("%w: it is for %s, and this node is %s", ErrName, i.Node, r.Node)
	case again:
		return i, nil
	case len(i.Claim) > 0:
		return i, ErrUsed
	case len(r.Claim) < secretSize:
		return i, errClaim
	}
	if name != nil {
		if err := name(i, r.Node); err != nil {
			return i, err
		}
	}
	i.Used, i.As, i.Claim = t.now().UTC(), r.Node, hash(r.Claim)
	_, err = t.docs.Put(ctx, r.ID, i, doc.Revision)
	if errors.Is(err, store.ErrConflict) {
		return i, ErrUsed
	}
	return i, err
}

// wrong counts a wrong secret; a token that is guessed at is gone.
func (t *Tokens) wrong(ctx context.Context, doc store.Document, i Info) error {
	i.Wrong++
	var err error
	if i.Wrong >= maxWrong {
		err = t.docs.Delete(ctx, doc.Key, doc.Revision)
	} else {
		_, err = t.docs.Put(ctx, doc.Key, i, doc.Revision)
	}
	if errors.Is(err, store.ErrConflict) {
		return nil // somebody else guessed at the same moment; the limit per address holds both up
	}
	return err
}
