package lists

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"regexp"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
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
	active, err := ca.Service(ctx, spec)
	if err != nil {
		return nil, err
	}
	all := certificatesOf(active, pki.StateActive)
	staged, ok, err := ca.Staged(ctx, spec)
	if err != nil {
		return nil, err
	}
	if ok {
		all = append(all, certificatesOf(staged, pki.StateStaged)...)
	}
	retiring, err := ca.Retiring(ctx, spec)
	for _, c := range retiring {
		all = append(all, certificatesOf(c, pki.StateRetiring)...)
	}
	return all, err
}

func certificatesOf(c pki.Certificates, s pki.State) []Certificate {
	var out []Certificate
	for i, side := range [][]pki.Credential{c.Server, c.Client} {
		for _, x := range side {
			if leaf := x.Leaf(); leaf != nil {
				out = append(out, Certificate{DER: leaf.Raw, Client: i == 1, Generation: c.Generation, State: s})
			}
		}
	}
	return out
}

// Members are the announcements of all nodes.
type Members struct{ docs Documents }

// NewMembers returns the members in a collection (store.Documents(Collection)).
func NewMembers(docs Documents) *Members { return &Members{docs} }

const memberPrefix = "member/"

func memberKey(service, node string) string { return memberPrefix + service + "/" + node }

var plain = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// check refuses what could not be listed.
func (m Member) check() error {
	switch {
	case !plain.MatchString(m.Service) || !plain.MatchString(m.Node):
		return fmt.Errorf("lists: a member called %q on node %q: want letters, digits, '.', '-', '_'", m.Service, m.Node)
	case m.Host == "" && len(m.Addresses) == 0:
		return fmt.Errorf("lists: %s on %s has neither a host name nor an address: readers find servers by them", m.Service, m.Node)
	case len(m.Roles) == 0:
		return fmt.Errorf("lists: %s on %s has no role", m.Service, m.Node)
	}
	for _, r := range m.Roles {
		switch r {
		case trustlist.RoleCCM, trustlist.RoleCCMTFTP, trustlist.RoleTFTP, trustlist.RoleCAPF, trustlist.RoleTVS, trustlist.RoleAppServer:
		default:
			return fmt.Errorf("lists: %s on %s has the role %s: want CCM, CCM+TFTP, TFTP, CAPF, TVS or APP-SERVER (signers are not announced)", m.Service, m.Node, r)
		}
	}
	for i, c := range m.Certificates {
		if _, err := c.parse(); err != nil || c.State == pki.StateUnknown {
			return fmt.Errorf("lists: certificate %d of %s on %s, %s: %w", i+1, m.Service, m.Node, c.State, errors.Join(err, errNoState))
		}
	}
	return nil
}

var errNoState = errors.New("want a certificate that is staged, active or retiring")

// Announce writes what a service of this node is; changed is false when it was known. Then Publish.
func (m *Members) Announce(ctx context.Context, member Member) (changed bool, err error) {
	if err := member.check(); err != nil {
		return false, err
	}
	key := memberKey(member.Service, member.Node)
	have, err := m.docs.Get(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return false, err
	default:
		want, err := json.Marshal(member)
		if err != nil || bytes.Equal(normal(have.Value), normal(want)) {
			return false, err
		}
	}
	_, err = m.docs.PutAll(ctx, []store.Write{{Key: key, Value: member, IfRevision: store.AnyRevision}})
	return err == nil, err
}

// normal is JSON as this package writes it: a database may have changed the order and the white space.
func normal(b json.RawMessage) []byte {
	var m Member
	if json.Unmarshal(b, &m) != nil {
		return b
	}
	out, err := json.Marshal(m)
	if err != nil {
		return b
	}
	return out
}

// Withdraw removes a service of a node that is gone for good.
func (m *Members) Withdraw(ctx context.Context, service, node string) error {
	return m.docs.Delete(ctx, memberKey(service, node), store.AnyRevision)
}

// All returns the members by service and node.
func (m *Members) All(ctx context.Context) ([]Member, error) {
	docs, err := m.docs.List(ctx, memberPrefix)
	if err != nil {
		return nil, err
	}
	all := make([]Member, len(docs))
	for i, d := range docs {
		if err := json.Unmarshal(d.Value, &all[i]); err != nil {
			return nil, fmt.Errorf("lists: %s: %w", d.Key, err)
		}
	}
	return all, nil
}
