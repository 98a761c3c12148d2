package rotation

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ID names one generation of one member: "callmanager-g2", "sast-1-g1", "ca-g1". It stands for all certificates of that
// generation (server and client, ECDSA and RSA), which are listed and presented together.
type ID string

// NewID returns the ID of a member's generation.
func NewID(member string, generation int) ID { return ID(fmt.Sprintf("%s-g%d", member, generation)) }

// Generation returns the number in the ID, 0 when there is none.
func (id ID) Generation() (n int) {
	at := strings.LastIndex(string(id), "-g")
	if at < 0 {
		return 0
	}
	n, err := strconv.Atoi(string(id[at+2:]))
	if err != nil {
		return 0
	}
	return n
}

// Kind is what a member is for. The zero value is a service.
type Kind uint8

const (
	Service Kind = iota // presents a certificate, or signs configurations with it
	Signer              // signs lists (SAST)
	Root                // issues
)

// Phase is where a generation stands. The zero value is a generation that is listed and not yet presented.
type Phase uint8

const (
	Staged   Phase = iota // made and listed; presents, signs and issues nothing yet
	Active                // what the service presents, the signer signs with, the CA issues from
	Retiring              // no longer presented; a signer's key still signs its variant, a root still verifies LSCs
)

// Generation is one issue of a member's certificates.
type Generation struct {
	ID        ID        `json:"id"`
	Number    int       `json:"number"`
	Phase     Phase     `json:"phase"`
	Issuer    ID        `json:"issuer,omitempty"` // the root generation it was issued by; empty: self-signed or foreign
	NotBefore time.Time `json:"not_before,omitzero"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	// Offline: the key of a signer is kept elsewhere, so that no variant of a list is signed with it.
	Offline bool `json:"offline,omitempty"`
}

// Member is one holder of certificates that others trust. Signers are named as pki.SignerNames has them, the roots "ca".
type Member struct {
	Name    string `json:"name"`              // unique: "callmanager@node1", "sast-1", "ca"
	Service string `json:"service,omitempty"` // of a service: "callmanager", "provisioning", "capf", "tvs"; empty: Name
	Kind    Kind   `json:"kind"`
	// Generations that exist, oldest first; one that was retired is not there any more.
	Generations []Generation `json:"generations"`
	// Next is the number of the next generation; 0: the newest one's and 1. Numbers once given are not used again.
	Next int `json:"next,omitempty"`
}

// service is the member's service name.
func (m Member) service() string {
	if m.Service != "" {
		return m.Service
	}
	return m.Name
}

// Active returns the generation in use; ok is false when there is none.
func (m Member) Active() (g Generation, ok bool) { return m.in(Active) }

// next returns the number of the next generation.
func (m Member) next() int {
	n := m.Next
	for _, g := range m.Generations {
		n = max(n, g.Number+1)
	}
	return max(n, 1)
}

// in returns the newest generation in a phase.
func (m Member) in(p Phase) (g Generation, ok bool) {
	for _, x := range slices.Backward(m.Generations) {
		if x.Phase == p {
			return x, true
		}
	}
	return Generation{}, false
}

// List is what a published trust list names. CTL and ITL are one here: a phone uses both, and a new one of either is
// accepted on the strength of the two it holds.
type List struct {
	Version int  `json:"version"`
	Signers []ID `json:"signers"` // in the order of the file; a variant names its own signer first
	Others  []ID `json:"others"`  // services, TVS, CAPF
	// Variants are the signers of whose hand there is a file; nil: all whose keys are here.
	Variants []ID `json:"variants"`
}

// variant is what a device learns from the list as signed by one signer: limit is Device.SignerLimit.
func (l List) variant(signer ID, limit int) Held {
	signers := []ID{signer}
	for _, s := range l.Signers {
		if s != signer {
			signers = append(signers, s)
		}
	}
	if limit > 0 && len(signers) > limit {
		signers = signers[:limit]
	}
	return Held{Version: l.Version, Knows: normal(append(signers, l.Others...))}
}

// State is a site at one moment.
type State struct {
	Time    time.Time `json:"time"` // only compared with the LSCs' ends
	Members []Member  `json:"members"`
	// Published is the list that provisioning serves now. It may lag behind Members: that is what a publish step ends.
	Published List `json:"published"`
}

// Member returns the member of that name.
func (s State) Member(name string) (Member, bool) {
	i := slices.IndexFunc(s.Members, func(m Member) bool { return m.Name == name })
	if i < 0 {
		return Member{}, false
	}
	return s.Members[i], true
}

// Held is what a device knows: the IDs of the certificates in the lists it holds, sorted; for a trunk peer those its
// operator was told of. The zero value holds nothing.
type Held struct {
	Version int  `json:"version"` // of the list; 0: none, or not known which
	Knows   []ID `json:"knows"`
}

// Has reports whether the device knows the certificate.
func (h Held) Has(id ID) bool {
	_, ok := slices.BinarySearch(h.Knows, id)
	return ok
}

// normal is a sorted copy without repetitions.
func normal[T cmp.Ordered](list []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// LSC is the certificate a device authenticates itself with.
type LSC struct {
	Issuer   ID        `json:"issuer,omitempty"` // a generation of a Root member; empty: none, or by a CA that is not ours
	NotAfter time.Time `json:"not_after,omitzero"`
}

// Device is one party that verifies us: a phone, a CTI application, a trunk's far end.
type Device struct {
	Name string `json:"name"`
	// Peer marks a trunk's far end or an application that fetches no list: it verifies by the roots and pins its operator
	// was given, and learns of a new one only when told.
	Peer bool `json:"peer,omitempty"`
	Held Held `json:"held"`
	// Or is what it may hold instead: lists that it fetched and has not been seen to use. What is said of the device holds
	// whichever it is.
	Or []Held `json:"or,omitempty"`
	// Uses are the services (Member.Service) the device has to be able to verify; nil: callmanager and provisioning, of a
	// peer callmanager.
	Uses []string `json:"uses,omitempty"`
	// NoTVS: it cannot ask a TVS (JTAPI, TSP, phones before 8.0).
	NoTVS bool `json:"no_tvs,omitempty"`
	// SignerLimit is how many signers of a list it remembers; 0: all. Many phones keep two.
	SignerLimit int `json:"signer_limit,omitempty"`
	LSC         LSC `json:"lsc,omitzero"`
	// Reenrol: it gets a new LSC without its present one (a MIC we accept, a pending operation by authentication string).
	Reenrol  bool      `json:"reenrol,omitempty"`
	LastSeen time.Time `json:"last_seen,omitzero"`
}

// uses are the services the device verifies.
func (d Device) uses() []string {
	switch {
	case d.Uses != nil:
		return d.Uses
	case d.Peer:
		return []string{"callmanager"}
	}
	return []string{"callmanager", "provisioning"}
}
