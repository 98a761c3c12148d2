package pki

import (
	"crypto/x509"
)

// Anchor is a certificate trusted as the top of a chain, and for whom.
type Anchor struct {
	Certificate *x509.Certificate
	// Kinds says whom certificates under a foreign anchor may authenticate: a manufacturer's root {device}, a
	// carrier's {peer}. Ignored for the cluster's own roots, where the register says it per certificate.
	Kinds Kinds
}

// Trust is an immutable set of anchors, intermediates and revocation lists. A changed one is a new one: With...
// methods return copies. Verified paths are remembered inside it, so a new Trust starts with no memory.
type Trust struct {
	anchors  []Anchor
	own      []*x509.Certificate
	register Register
}

// NewTrust returns a trust set of foreign anchors only. CA.Trust adds the cluster's own.
func NewTrust(anchors ...Anchor) (*Trust, error) { panic("soon") }

// WithAnchors returns a copy with more anchors. An anchor that is no CA, or bears the name of a cluster root, is refused.
func (t *Trust) WithAnchors(as ...Anchor) (*Trust, error) { panic("soon") }

// WithCRL returns a copy that also uses the revocation list (PEM or DER); it replaces an older list of that issuer.
func (t *Trust) WithCRL(b []byte) (*Trust, error) { panic("soon") }

// Anchors returns all anchors, the cluster's own first.
func (t *Trust) Anchors() []Anchor { panic("soon") }
