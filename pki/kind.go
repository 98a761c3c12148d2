package pki

import (
	"fmt"
	"strings"
)

// Kind says to whom a certificate was issued. It is bound by issuer and serial in the Register when the certificate is
// issued; nothing in the certificate itself can change it.
type Kind uint8

const (
	KindUnknown Kind = iota // nobody we know: authenticates nothing
	KindDevice              // a phone or soft phone; the subject CN is the device name
	KindService             // a service of this cluster
	KindCTI                 // one instance of a CTI application
	KindPeer                // a foreign system at the other end of a trunk
	kindEnd
)

// String returns "device", "service", "cti-instance", "peer" or "unknown".
func (k Kind) String() string {
	switch k {
	case KindDevice:
		return "device"
	case KindService:
		return "service"
	case KindCTI:
		return "cti-instance"
	case KindPeer:
		return "peer"
	}
	return "unknown"
}

// ParseKind reads what String wrote, and "cti" for short.
func ParseKind(s string) (Kind, error) {
	if s == "cti" {
		return KindCTI, nil
	}
	for k := KindUnknown; k < kindEnd; k++ {
		if k.String() == s {
			return k, nil
		}
	}
	return KindUnknown, fmt.Errorf("pki: kind %q: want device, service, cti-instance or peer", s)
}

// MarshalText renders the kind for JSON and stores.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *Kind) UnmarshalText(b []byte) (err error) {
	*k, err = ParseKind(string(b))
	return err
}

// Kinds is a set of kinds. The empty set authenticates nobody.
type Kinds uint8

// KindsOf returns the set of the kinds given; KindUnknown is never a member.
func KindsOf(ks ...Kind) Kinds {
	var s Kinds
	for _, k := range ks {
		if k > KindUnknown && k < kindEnd {
			s |= 1 << k
		}
	}
	return s
}

// AllKinds is every kind that authenticates.
func AllKinds() Kinds { return KindsOf(KindDevice, KindService, KindCTI, KindPeer) }

// Has reports whether k is in the set.
func (s Kinds) Has(k Kind) bool { return k > KindUnknown && s&(1<<k) != 0 }

// String lists the members, "none" for the empty set.
func (s Kinds) String() string {
	var names []string
	for k := KindUnknown; k < kindEnd; k++ {
		if s.Has(k) {
			names = append(names, k.String())
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}
