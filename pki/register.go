package pki

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"time"
)

// Ref names a certificate for good: RFC 5280, 4.1.2.2: issuer name and serial number identify a unique certificate.
type Ref struct {
	Issuer string `json:"issuer"` // RFC 4514 text of the issuer's name
	Serial string `json:"serial"` // lower-case hex, no leading zeros
}

// RefOf returns the certificate's reference.
func RefOf(c *x509.Certificate) Ref {
	return Ref{Issuer: c.Issuer.String(), Serial: c.SerialNumber.Text(16)}
}

// Fingerprint is the SHA-256 of the certificate's DER, lower-case hex.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// Entry is the register's line about one certificate we issued. All of it is public.
type Entry struct {
	Ref
	Kind Kind   `json:"kind"`
	Name string `json:"name"` // device name, service name, application instance, or peer name
	// Node is the node that a service runs on; empty for every other kind, and for a service's certificate from the time before
	// clusters until its node has bound it (Register.Place).
	Node        string    `json:"node,omitempty"`
	Subject     string    `json:"subject"`
	Algorithm   string    `json:"algorithm"` // "ECDSA-P256" or "RSA-2048"
	Usage       Usage     `json:"usage"`
	Fingerprint string    `json:"fingerprint"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Revoked     time.Time `json:"revoked,omitzero"` // zero: not revoked
	Reason      string    `json:"reason,omitempty"` // why it was revoked
}

// Register remembers every certificate the cluster issued and to which kind of holder. Lookup is called in every
// handshake, so an implementation answers it from memory. Implementations are safe for concurrent use.
type Register interface {
	// Add records an entry; it fails with fs.ErrExist when issuer and serial are taken.
	Add(ctx context.Context, e Entry) error
	// Lookup returns fs.ErrNotExist when the certificate was never issued here; any other error refuses the handshake.
	Lookup(ctx context.Context, r Ref) (Entry, error)
	// Revoke marks an entry; revoking twice keeps the first date. fs.ErrNotExist when there is no such entry.
	Revoke(ctx context.Context, r Ref, at time.Time, reason string) error
	// Place says on which node the service runs that a certificate was issued to; doing it twice keeps the first node. It fails with
	// fs.ErrNotExist when there is no such entry.
	Place(ctx context.Context, r Ref, node string) error
	// Entries returns all entries, oldest first.
	Entries(ctx context.Context) ([]Entry, error)
}
