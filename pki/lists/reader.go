package lists

import (
	"context"
	"crypto/x509"

	"github.com/locktone/locktone/wire/trustlist"
)

// Reader reads what was published, from the store alone. It is safe for concurrent use.
type Reader struct {
	docs     Documents
	holdings *Holdings
}

// NewReader returns a reader of a collection (store.Documents(Collection)). holdings may be nil: then For knows nothing
// of any device.
func NewReader(docs Documents, holdings *Holdings) *Reader {
	return &Reader{docs: docs, holdings: holdings}
}

// Current returns the version in force; fs.ErrNotExist before the first one.
func (r *Reader) Current(ctx context.Context, kind trustlist.Kind) (Version, error) {
	panic("lists: not yet")
}

// Version returns a version that is still kept.
func (r *Reader) Version(ctx context.Context, kind trustlist.Kind, number int) (Version, error) {
	panic("lists: not yet")
}

// Versions returns all versions still kept, oldest first.
func (r *Reader) Versions(ctx context.Context, kind trustlist.Kind) ([]Version, error) {
	panic("lists: not yet")
}

// File returns the bytes of a variant; fs.ErrNotExist when the signer did not sign that version.
func (r *Reader) File(ctx context.Context, kind trustlist.Kind, number int, signer Fingerprint) ([]byte, error) {
	panic("lists: not yet")
}

// For returns the variant of the current version that the holder (see Holder) can verify with whatever it may hold.
func (r *Reader) For(ctx context.Context, holder string, kind trustlist.Kind) (File, error) {
	panic("lists: not yet")
}

// Known is a certificate of the current lists with every role it has in them.
type Known struct {
	Certificate *x509.Certificate
	Roles       []trustlist.Role // ascending
	Records     []Record
}

// Known returns the certificates of the current CTL and ITL: what TVS answers for. Certificates of the retiring signers
// are among them.
func (r *Reader) Known(ctx context.Context) ([]Known, error) { panic("lists: not yet") }

// Signers returns the signers of the current CTL whose certificates a join token pins: active ones, the default signer
// first.
func (r *Reader) Signers(ctx context.Context) ([]Record, error) { panic("lists: not yet") }

// Identify finds the version and the variant whose file has the digest (MD5, SHA-1 or SHA-256, in hex): what a phone
// says of its lists in an alarm. ok is false when no version kept has it.
func (r *Reader) Identify(ctx context.Context, kind trustlist.Kind, digest string) (c Copy, ok bool, err error) {
	panic("lists: not yet")
}

// Changed gets a value after something was published or announced; closed with ctx.
func (r *Reader) Changed(ctx context.Context) <-chan struct{} { return r.docs.Watch(ctx) }
