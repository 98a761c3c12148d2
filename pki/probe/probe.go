// Package probe looks at the TLS of any host and port from the dialling side: version, cipher, chain, and the findings
// our own verifier has about it. It is `locktone verify HOST:PORT`.
package probe

import (
	"context"
	"time"

	"github.com/locktone/locktone/pki"
)

// Options say how to look. The zero value dials as a stranger without a certificate and verifies against nothing.
type Options struct {
	Identity *pki.Identity // our certificate and trust; nil: none
	Trust    *pki.Trust    // when Identity is nil
	Policy   pki.ClientPolicy
	At       time.Time     // forecast: verify at this time; zero: now
	Timeout  time.Duration // for all of it; zero: 5 s
}

// Certificate is one certificate of the chain, as text and JSON show it.
type Certificate struct {
	Subject     string    `json:"subject"`
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`
	Names       []string  `json:"names,omitempty"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Key         string    `json:"key"`
	Signature   string    `json:"signature"`
	Usage       []string  `json:"usage,omitempty"`
	Fingerprint string    `json:"fingerprint"`
}

// Result is what was seen.
type Result struct {
	Address           string        `json:"address"`
	Connected         bool          `json:"connected"` // TCP
	Handshake         bool          `json:"handshake"` // TLS completed, and the peer did not end it at once
	Version           string        `json:"version,omitempty"`
	Cipher            string        `json:"cipher,omitempty"`
	Group             string        `json:"group,omitempty"`
	ClientCertificate string        `json:"client_certificate,omitempty"` // "not asked for", "asked for, sent CN=...", "asked for, none sent"
	Chain             []Certificate `json:"chain,omitempty"`
	Anchor            string        `json:"anchor,omitempty"`
	Findings          pki.Findings  `json:"findings"`
	Accepted          bool          `json:"accepted"` // nothing refuses
	At                time.Time     `json:"at"`
	Took              time.Duration `json:"took_ns"`
	Error             string        `json:"error,omitempty"`
}

// Dial probes HOST:PORT. The error is for a call that makes no sense (a bad address); what goes wrong with the peer is in the Result.
func Dial(ctx context.Context, address string, o Options) (*Result, error) { panic("soon") }

// Text renders the result for a terminal.
func (r *Result) Text() string { panic("soon") }
