package pki

import (
	"context"
	"crypto/x509"
)

// The names of the identities that sign lists.
const (
	SAST1    = "sast-1"       // signs, as long as nothing else is decided
	SAST2    = "sast-2"       // in every list as well: may sign as soon as the first one is lost
	Recovery = "itl-recovery" // in every list, signs nothing in normal times; its key can be kept elsewhere
)

// SignerNames are the three, in the order in which lists name them.
func SignerNames() []string { return []string{SAST1, SAST2, Recovery} }

// State is how far a generation of keys has come. The zero value is not used by anybody.
type State uint8

const (
	StateUnknown  State = iota
	StateStaged         // made and announced, not used yet
	StateActive         // in use
	StateRetiring       // no longer used, still announced
)

// Signer is one generation of an identity that signs lists: a self-signed RSA-2048 certificate with its key. RSA since
// trust lists know nothing else, 2048 bits since phones verify nothing longer. Its common name is SAST1_<cluster>,
// SAST2_<cluster> or ITLRECOVERY_<cluster>, later generations with -g2, -g3, ... behind. It is a crypto.Signer.
type Signer struct {
	Name        string
	Generation  int
	State       State
	Certificate *x509.Certificate
	PrivateKey  // zero when the key is not on this machine
}

// Online reports whether the key is here, so that it can sign.
func (s Signer) Online() bool { return !s.PrivateKey.IsZero() }

// Signers are the identities that sign trust lists, kept in Custody. They are not under the CA: a list has to be
// verifiable by somebody who has only an older list. It is safe for concurrent use.
type Signers struct{ cfg Config }

// OpenSigners loads the signers from custody, or makes those that are missing. Config.Register is not used.
func OpenSigners(ctx context.Context, cfg Config) (*Signers, error) { panic("pki: not yet") }

// Active returns the signer of that name that is in use. Its key may be elsewhere (Online).
func (s *Signers) Active(name string) (Signer, error) { panic("pki: not yet") }

// All returns every generation still known, by name in the order of SignerNames and by generation.
func (s *Signers) All() []Signer { panic("pki: not yet") }

// Stage makes the next generation of a signer without using it; when one is staged already it is returned.
func (s *Signers) Stage(ctx context.Context, name string) (Signer, error) { panic("pki: not yet") }

// Activate puts the staged generation in use; the former one is retiring and keeps its key, since devices that know
// no other signer may have to be served. Without a staged one nothing changes.
func (s *Signers) Activate(ctx context.Context, name string) (Signer, error) { panic("pki: not yet") }

// Discard forgets the staged generation. Its number and name are not used again.
func (s *Signers) Discard(ctx context.Context, name string) error { panic("pki: not yet") }

// Retire forgets a retiring generation and its key.
func (s *Signers) Retire(ctx context.Context, name string, generation int) error {
	panic("pki: not yet")
}

// TakeOffline hands out the recovery signer, certificate and key as PEM, and removes the key from this machine: keep
// it in two places. It works once; a second call says that the key is not here.
func (s *Signers) TakeOffline(ctx context.Context) (Secret, error) { panic("pki: not yet") }

// BringBack puts the recovery key that TakeOffline handed out back, so that it can sign.
func (s *Signers) BringBack(ctx context.Context, pem Secret) (Signer, error) { panic("pki: not yet") }

// Reload reads custody again (another process or node may have changed it) and reports whether something changed.
func (s *Signers) Reload(ctx context.Context) (changed bool, err error) { panic("pki: not yet") }
