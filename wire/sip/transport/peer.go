package transport

import (
	"strings"
	"time"

	"crypto/tls"
	"net/netip"
)

// PeerIdentity is who a VerifyFunc says the TLS peer is. The zero value is nobody: the peer is not authenticated.
type PeerIdentity struct {
	Key      string   // stable key of this identity, for example issuer and serial; "" = not authenticated
	Subject  string   // subject of the peer's certificate, RFC 2253 text
	Issuer   string   // issuer of the peer's certificate
	Serial   string   // serial number in hex
	Names    []string // names this peer is verified for: DNS names and SIP domains (RFC 5922, 7.1), device names
	Findings []string // remarks that did not stop the connection, one sentence each
	Detail   any      // the verifier's own result, for whoever knows its type
}

// Verified says whether the peer is authenticated at all.
func (p *PeerIdentity) Verified() bool { return p != nil && p.Key != "" }

// Covers says whether the peer has proven name. RFC 5922, 7.2: names compare without case, and no wildcard matches.
func (p *PeerIdentity) Covers(name string) bool {
	if !p.Verified() || name == "" {
		return false
	}
	for _, n := range p.Names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// FlowID numbers the flows of a process, from 1; ids are never reused.
type FlowID uint64

// FlowInfo is a snapshot of a flow, for `show connections`.
type FlowInfo struct {
	ID            FlowID
	Network       Network
	Inbound       bool
	State         string // "connecting", "established", "closed"
	Listener      string
	Local, Remote netip.AddrPort
	LocalIdentity string
	ServerName    string
	Policy        string
	Peer          PeerIdentity
	TLSVersion    string // "TLS 1.3", "" without TLS
	Cipher        string // IANA name of the cipher suite
	Resumed       bool   // TLS session was resumed
	Since         time.Time
	Last          time.Time // last byte from the peer
	BytesIn       uint64
	BytesOut      uint64
	MessagesIn    uint64
	MessagesOut   uint64
	Malformed     uint64 // messages refused by the parser or the validator
	Queued        int    // bytes waiting to be written
}

// ListenerInfo is a snapshot of a listener's counters.
type ListenerInfo struct {
	Name          string
	Network       Network
	Addr          netip.AddrPort
	LocalIdentity string
	Open          int    // connections open now
	Unproven      int    // of these, without a valid message yet
	Handshaking   int    // TLS handshakes in flight
	Accepted      uint64 // connections accepted
	Refused       uint64 // connections closed at once by a limit
	Failed        uint64 // handshakes that failed
	BytesIn       uint64
	BytesOut      uint64
	MessagesIn    uint64
	MessagesOut   uint64
	Malformed     uint64
	Dropped       uint64 // UDP datagrams ignored: keep-alives, garbage
}

func versionName(s *tls.ConnectionState) string {
	if s == nil {
		return ""
	}
	return tls.VersionName(s.Version)
}
