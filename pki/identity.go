package pki

import (
	"crypto/tls"
	"sync/atomic"
	"time"
)

// Certificates are a service's four credentials of one generation.
type Certificates struct {
	Server     []Credential // ECDSA first, then RSA
	Client     []Credential // ECDSA first, then RSA
	Generation int          // 1, 2, ...
}

// Snapshot is what a service uses in handshakes at one moment: its certificates and its trust. Immutable.
type Snapshot struct {
	Certificates Certificates
	Trust        *Trust
}

// Identity is a service's present Snapshot, replaced while running: the next handshake, in or out, uses the new one;
// connections that exist are not touched. Safe for concurrent use; the zero value is not usable.
type Identity struct {
	name string
	now  func() time.Time
	cur  atomic.Pointer[Snapshot]
}

// NewIdentity returns an identity called name (its key in the table of connections). now may be nil for time.Now.
func NewIdentity(name string, s Snapshot, now func() time.Time) (*Identity, error) { panic("soon") }

// Name returns the identity's name.
func (id *Identity) Name() string { return id.name }

// Snapshot returns the present snapshot.
func (id *Identity) Snapshot() Snapshot { return *id.cur.Load() }

// Replace puts a new snapshot in use. It is checked first; on error the old one stays.
func (id *Identity) Replace(s Snapshot) error { panic("soon") }

// TLSPolicy is a listener's or a dialler's TLS settings. The zero value is the default: TLS 1.2 floor, 1.3 offered,
// ECDHE with AEAD, resumption on.
type TLSPolicy struct {
	MinVersion uint16 // zero: TLS 1.2; anything lower is an exception
	MaxVersion uint16 // zero: TLS 1.3
	// CipherSuites for TLS 1.2; empty: ECDHE with AEAD. Anything else is an exception.
	CipherSuites []uint16
	NoResumption bool
	NextProtos   []string // ALPN
	// Verified, when set, hears of every verification in a handshake, good or bad, from the handshake's goroutine.
	Verified func(*Report)
	// KeyLog, when set, receives secrets for lab captures; an exception.
	KeyLog KeyLogWriter
}

// KeyLogWriter receives NSS key log lines.
type KeyLogWriter interface{ Write([]byte) (int, error) }

// ClientAuth says whether a listener asks for a certificate. The zero value requires one.
type ClientAuth uint8

const (
	ClientAuthRequired ClientAuth = iota
	ClientAuthOptional            // verified when sent; an exception
	ClientAuthNone                // for provisioning and administration ports that authenticate otherwise
)

// ServerPolicy configures a listener.
type ServerPolicy struct {
	TLSPolicy
	ClientAuth ClientAuth
	Peers      PeerPolicy
}

// ClientPolicy configures dialling one peer.
type ClientPolicy struct {
	TLSPolicy
	// ServerName is sent as SNI; empty: Peer.Names.Host, else SIPDomain.
	ServerName string
	Peer       PeerPolicy
}

// ServerConfig returns the configuration of a listener. It follows Replace by itself: keep it for the listener's life.
func (id *Identity) ServerConfig(p ServerPolicy) *tls.Config { panic("soon") }

// ClientConfig returns the configuration for dialling a peer. Keep it per peer and reuse it: it follows Replace and
// holds the peer's resumable sessions.
func (id *Identity) ClientConfig(p ClientPolicy) *tls.Config { panic("soon") }

// Inspect returns the verification of a connection's peer, under today's trust: after the handshake, for the
// connection's record, or later to see whether it would still be let in. Paths are remembered, so it is cheap.
func (id *Identity) Inspect(cs tls.ConnectionState, side Side, p PeerPolicy) *Report { panic("soon") }

// Explain turns any error of a handshake into findings: ours, a peer's alert decoded into its likely causes, a missing
// certificate, a protocol that is not TLS. side is the peer's. It returns at least one finding for a non-nil error.
func Explain(err error, side Side) Findings { panic("soon") }
