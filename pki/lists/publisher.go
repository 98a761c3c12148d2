package lists

import (
	"context"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
)

// MaxFile is the size above which phones do not read a list.
const MaxFile = 64 << 10

// SignerSource is where the publisher gets its signers; *pki.Signers is one.
type SignerSource interface{ All() []pki.Signer }

// PublisherConfig says what is published. Lists, Signers and Mode must be set.
type PublisherConfig struct {
	Lists   Documents
	Signers SignerSource
	Mode    func(context.Context) (config.SecurityMode, error)
	// Holdings decides which old versions are kept; nil: all are.
	Holdings *Holdings
	// Digest of the signatures: SHA256 or SHA1, which every reader takes alike; others are refused.
	Digest trustlist.Digest
	// SignerVersion of the ITL. Zero: 1.1, with which newer phones use HTTPS 6971 and EC keys.
	SignerVersion trustlist.Version
	Now           func() time.Time // nil: time.Now
}

// Publisher makes the lists. One at a time publishes; a second one on another node with the same signers does no harm.
type Publisher struct{ cfg PublisherConfig }

// NewPublisher returns a publisher; nothing is published yet.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) { panic("lists: not yet") }

// Publish makes and signs new versions of CTL and ITL where members, signers or mode changed, and returns those that
// changed (none: everything was published already). A version is complete in the store or not there at all. When a list
// cannot be made (*TooLargeError, no signer, no members) the old version stays in use.
func (p *Publisher) Publish(ctx context.Context) ([]Version, error) { panic("lists: not yet") }

// Preview returns what Publish would publish of a kind, as its default signer would sign it, without storing anything.
func (p *Publisher) Preview(ctx context.Context, kind trustlist.Kind) (Version, []byte, error) {
	panic("lists: not yet")
}

// SignWith makes a signer ("sast-2") the one that signs for those of whom nothing is known. Without it, or while its key
// is not here, it is the first of pki.SignerNames whose key is. Then Publish.
func (p *Publisher) SignWith(ctx context.Context, name string) error { panic("lists: not yet") }

// A TooLargeError refuses a list that phones would not read.
type TooLargeError struct {
	Kind             trustlist.Kind
	Size             int
	Records          int
	Servers, Signers int // bytes of their records
	Overlap          int // bytes of staged and retiring certificates
	Addresses        int // bytes of records beyond the first of a certificate
}

// Error says the numbers and what to do.
func (e *TooLargeError) Error() string { panic("lists: not yet") }
