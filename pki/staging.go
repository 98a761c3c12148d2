package pki

import (
	"context"
	"crypto/x509"
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
func (ca *CA) Due(ctx context.Context, spec ServiceSpec) (Renewal, error) { panic("pki: not yet") }

// Stage makes the next generation of a service's certificates, issued by the active roots, without its becoming what
// Service and Refresh load. When one is staged and still usable it is returned.
func (ca *CA) Stage(ctx context.Context, spec ServiceSpec) (Certificates, error) {
	panic("pki: not yet")
}

// Staged returns the staged generation; ok is false when there is none.
func (ca *CA) Staged(ctx context.Context, spec ServiceSpec) (c Certificates, ok bool, err error) {
	panic("pki: not yet")
}

// Activate makes the staged generation the one that Service loads (Refresh then puts it in use); the former one is
// among Retiring. Without a staged one it returns the active one: it may be repeated.
func (ca *CA) Activate(ctx context.Context, spec ServiceSpec) (Certificates, error) {
	panic("pki: not yet")
}

// Discard forgets the staged generation. Its number, hence its common names, are not used again.
func (ca *CA) Discard(ctx context.Context, spec ServiceSpec) error { panic("pki: not yet") }

// Retiring returns the certificates of former generations that lists still have to name, newest first; their keys are
// gone.
func (ca *CA) Retiring(ctx context.Context, spec ServiceSpec) ([]Certificates, error) {
	panic("pki: not yet")
}

// Retire forgets retiring generations up to and including the number.
func (ca *CA) Retire(ctx context.Context, spec ServiceSpec, generation int) error {
	panic("pki: not yet")
}

// Roots of one generation of the CA.
type RootGeneration struct {
	Number int
	State  State
	ECDSA  *x509.Certificate
	RSA    *x509.Certificate
}

// Generations returns the generations of roots that are trusted, oldest first.
func (ca *CA) Generations() []RootGeneration { panic("pki: not yet") }

// StageRoots makes new roots. From the next Trust on they are trusted, and nothing is issued under them yet. When
// some are staged already they are returned.
func (ca *CA) StageRoots(ctx context.Context) (RootGeneration, error) { panic("pki: not yet") }

// ActivateRoots lets the staged roots issue from now on; the former ones stay trusted and keep signing their
// revocation list. Without staged ones nothing changes.
func (ca *CA) ActivateRoots(ctx context.Context) (RootGeneration, error) { panic("pki: not yet") }

// DiscardRoots forgets the staged roots.
func (ca *CA) DiscardRoots(ctx context.Context) error { panic("pki: not yet") }

// RetireRoots forgets a retiring generation of roots and erases their keys: what they issued is refused by the next
// Trust. Outstanding tells first what that is.
func (ca *CA) RetireRoots(ctx context.Context, number int) error { panic("pki: not yet") }

// Outstanding returns the certificates that a generation of roots issued and that are neither revoked nor expired.
func (ca *CA) Outstanding(ctx context.Context, number int) ([]Entry, error) { panic("pki: not yet") }

// Reload reads the roots from custody again (another process or node may have changed them) and reports whether they
// changed; then make Trust anew.
func (ca *CA) Reload(ctx context.Context) (changed bool, err error) { panic("pki: not yet") }

// Adopt binds a certificate of a foreign issuer to one holder: under an anchor that is trusted at all it then
// authenticates exactly this kind, and Revoke works on it as on one of our own. This is how a certificate signed by a
// corporate CA becomes a device's LSC. A *VerifyError tells what does not fit. Adopting it again for the same holder
// changes nothing; for another one it is an error.
func (ca *CA) Adopt(ctx context.Context, c *x509.Certificate, kind Kind, name string) (Entry, error) {
	panic("pki: not yet")
}
