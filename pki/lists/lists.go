package lists

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// The collections of the store that this package keeps its documents in.
const (
	Collection         = "trust-list"    // members, versions and their files
	HoldingsCollection = "trust-holding" // who fetched what
)

// Documents is what the package needs of a collection; *store.Documents is one.
type Documents interface {
	Get(ctx context.Context, key string) (store.Document, error)
	PutAll(ctx context.Context, writes []store.Write) ([]int64, error)
	Delete(ctx context.Context, key string, ifRevision int64) error
	List(ctx context.Context, prefix string) ([]store.Document, error)
	Watch(ctx context.Context) <-chan struct{}
}

// Fingerprint is the SHA-256 of a certificate's DER: how this package names certificates and signers. Its text is hex.
type Fingerprint [32]byte

// String is lower-case hex, as pki.Fingerprint writes it.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// MarshalText writes hex.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText reads hex.
func (f *Fingerprint) UnmarshalText(b []byte) error {
	if len(b) != 64 {
		return fmt.Errorf("fingerprint %q: want 64 hex digits", b)
	}
	_, err := hex.Decode(f[:], b)
	return err
}

// Record is what a version says about one certificate at one host: a summary of a trustlist.Record.
type Record struct {
	Role        trustlist.Role `json:"role"`
	Name        string         `json:"name"` // DNS NAME of the record
	Address     netip.Addr     `json:"address,omitzero"`
	CommonName  string         `json:"common_name,omitempty"`
	Fingerprint Fingerprint    `json:"fingerprint,omitzero"` // zero in a reduced record, which has no certificate
	NotAfter    time.Time      `json:"not_after,omitzero"`
	Service     string         `json:"service"` // the member's service, or the signer's name
	Node        string         `json:"node,omitempty"`
	Client      bool           `json:"client,omitempty"`
	Generation  int            `json:"generation"`
	State       pki.State      `json:"state"`
}

// Variant is a version as one signer signed it.
type Variant struct {
	Signer Fingerprint `json:"signer"`
	// SAST are the signers whom a reader of this variant knows from then on, in file order; phones may know the first two
	// only.
	SAST []Fingerprint `json:"sast"`
	Size int           `json:"size"` // bytes
	// Digests of the file in hex, as `show ctl` prints them and phones report them.
	MD5    string `json:"md5"`
	SHA1   string `json:"sha1"`
	SHA256 string `json:"sha256"`
}

// Version is one state of a list. Only Variants may grow after it was published (a signer's key was brought back).
type Version struct {
	Kind   trustlist.Kind      `json:"kind"`
	Number int                 `json:"number"` // from 1, never reused
	Time   time.Time           `json:"time"`
	Mode   config.SecurityMode `json:"mode"`
	// Records without SAST ones, in file order; the same in every variant.
	Records []Record `json:"records"`
	// Signers are the SAST records: active and staged ones, which every variant lists, in the order of the default one,
	// then retiring ones, which only their own variant lists.
	Signers  []Record    `json:"signers"`
	Default  Fingerprint `json:"default"` // the signer of the variant for those of whom nothing is known
	Variants []Variant   `json:"variants"`
	Warnings []string    `json:"warnings,omitempty"` // legal, but some reader stumbles over it
	Content  string      `json:"content"`            // hash of everything but time and signature: equal content is not published again
}

// Variant returns the variant of a signer.
func (v Version) Variant(signer Fingerprint) (Variant, bool) {
	for _, x := range v.Variants {
		if x.Signer == signer {
			return x, true
		}
	}
	return Variant{}, false
}

// File is a list as it is served.
type File struct {
	Kind    trustlist.Kind
	Version int
	Signer  Fingerprint
	Time    time.Time
	Bytes   []byte
	// Doubt says, when not empty, why the device may not be able to verify the file: no signer that is still here is in
	// every list it may hold. It is served what is likeliest; TVS may help it, or the recovery signer.
	Doubt string
}

// Copy is a list that a device has or may have.
type Copy struct {
	Version int         `json:"version"`
	Signer  Fingerprint `json:"signer"`
	Time    time.Time   `json:"time"` // when it was last fetched or confirmed
}

// Held is what is known of a device's list of one kind.
type Held struct {
	Confirmed Copy   `json:"confirmed,omitzero"` // zero: nothing was ever confirmed
	Fetched   []Copy `json:"fetched,omitempty"`  // since then, oldest first, each version and signer once
}

// May returns every copy the device may be holding: the confirmed one and those fetched since, oldest first.
func (h Held) May() []Copy {
	if h.Confirmed == (Copy{}) {
		return slices.Clone(h.Fetched)
	}
	return append([]Copy{h.Confirmed}, h.Fetched...)
}

// Holding is what is known of one device or client.
type Holding struct {
	// Holder is the device's name, or "@" and the address of a client that did not give one.
	Holder  string     `json:"holder"`
	Address netip.Addr `json:"address,omitzero"` // of the last fetch
	CTL     Held       `json:"ctl,omitzero"`
	ITL     Held       `json:"itl,omitzero"`
	Seen    time.Time  `json:"seen"` // last fetch or confirmation: asleep since then
}

// Of returns what it holds of a kind.
func (h Holding) Of(kind trustlist.Kind) Held { return *h.of(kind) }

func (h *Holding) of(kind trustlist.Kind) *Held {
	if kind == trustlist.ITL {
		return &h.ITL
	}
	return &h.CTL
}

// Holder is the key of a device, or of a client without a name at an address.
func Holder(device string, addr netip.Addr) string {
	if device != "" {
		return device
	}
	return "@" + addr.Unmap().String()
}
