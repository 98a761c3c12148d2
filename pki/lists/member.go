package lists

import (
	"context"
	"net/netip"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
)

// Certificate is one of a member's certificates.
type Certificate struct {
	DER        []byte    `json:"der"`
	Client     bool      `json:"client,omitempty"` // presented when the member dials
	Generation int       `json:"generation"`
	State      pki.State `json:"state"` // staged, active or retiring: all are listed
}

// Member is an identity that phones, peers and applications must know: one service on one node. The node that runs the
// service announces it.
type Member struct {
	Service   string       `json:"service"` // "callmanager"
	Node      string       `json:"node"`
	Host      string       `json:"host"`      // the node's host name or address as devices are configured with; first in the list
	Addresses []netip.Addr `json:"addresses"` // all at which it is reached; readers look servers up by name or by address
	// Roles in the lists: CCM+TFTP for the call manager (CCM is written where provisioning does not run on the node), TFTP
	// for provisioning, CAPF, TVS.
	Roles        []trustlist.Role `json:"roles"`
	Certificates []Certificate    `json:"certificates"`
}

// Authority is what Certificates needs of a CA; *pki.CA is one.
type Authority interface {
	Service(ctx context.Context, spec pki.ServiceSpec) (pki.Certificates, error)
	Staged(ctx context.Context, spec pki.ServiceSpec) (pki.Certificates, bool, error)
	Retiring(ctx context.Context, spec pki.ServiceSpec) ([]pki.Certificates, error)
}

// Certificates collects what a member announces of itself: the certificates in use, staged ones and those that are
// retiring.
func Certificates(ctx context.Context, ca Authority, spec pki.ServiceSpec) ([]Certificate, error) {
	panic("lists: not yet")
}

// Members are the announcements of all nodes.
type Members struct{ docs Documents }

// NewMembers returns the members in a collection (store.Documents(Collection)).
func NewMembers(docs Documents) *Members { return &Members{docs} }

// Announce writes what a service of this node is; changed is false when it was known. Then Publish.
func (m *Members) Announce(ctx context.Context, member Member) (changed bool, err error) {
	panic("lists: not yet")
}

// Withdraw removes a service of a node that is gone for good.
func (m *Members) Withdraw(ctx context.Context, service, node string) error { panic("lists: not yet") }

// All returns the members by service and node.
func (m *Members) All(ctx context.Context) ([]Member, error) { panic("lists: not yet") }
