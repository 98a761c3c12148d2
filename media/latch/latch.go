// Package latch decides from which address a stream's packets are taken and to which its own are sent: the address of
// the session description, or, because of address translation, the one packets really come from (RFC 4961, symmetric RTP).
//
// Where SRTP was agreed a stream follows packets that authenticate, whatever the policy: only the holder of the key can
// move it. The policy decides for plain RTP, where anybody could.
package latch

import "net/netip"

// Policy is what plain RTP may come from. The zero value is the strict one; the others are named exceptions.
type Policy uint8

// The policies.
const (
	Signalled Policy = iota // address and port of the description, nothing else
	SameHost                // the description's address, and the first port seen from it
	FirstSeen               // the first source seen, for peers behind address translation
)

// String is the word configuration uses.
func (p Policy) String() string {
	return [...]string{"signalled", "same-host", "first-seen"}[min(p, FirstSeen)]
}

// Peer is the far end of one socket. It is for one goroutine at a time.
type Peer struct {
	policy    Policy
	signalled netip.AddrPort
	seen      netip.AddrPort // where packets come from, once latched
}

// New makes a peer under a policy, without an address.
func New(p Policy) Peer { return Peer{policy: p} }

// Signal sets the address of a description. The latch is opened again only when the address has changed: a re-offer
// that says the same must not send media back to an address that address translation made useless.
func (p *Peer) Signal(ap netip.AddrPort) {
	ap = unmap(ap)
	if ap != p.signalled {
		p.signalled, p.seen = ap, netip.AddrPort{}
	}
}

// Plain reports whether a packet without authentication may be taken from an address, and latches on to it.
func (p *Peer) Plain(from netip.AddrPort) bool {
	from = unmap(from)
	if from == p.seen || from == p.signalled && !p.seen.IsValid() {
		return true
	}
	if p.seen.IsValid() || !p.signalled.IsValid() {
		return false
	}
	if p.policy == FirstSeen || p.policy == SameHost && from.Addr() == p.signalled.Addr() {
		p.seen = from
		return true
	}
	return false
}

// Authenticated follows a packet that authenticated.
func (p *Peer) Authenticated(from netip.AddrPort) {
	if from != p.seen {
		p.seen = unmap(from)
	}
}

// To is where to send; it is not valid before an address is known.
func (p *Peer) To() netip.AddrPort {
	if p.seen.IsValid() {
		return p.seen
	}
	return p.signalled
}

func unmap(ap netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
