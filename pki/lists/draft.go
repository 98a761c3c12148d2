package lists

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
)

// draft is what a version will say, before anybody signed it.
type draft struct {
	kind    trustlist.Kind
	mode    config.SecurityMode
	digest  trustlist.Digest
	signer  trustlist.Version
	servers []row
	signers signerSet
}

// row is one record with what the summary says about it.
type row struct {
	Record
	cert *x509.Certificate // nil in a reduced record
}

func (r row) entry() trustlist.Entry {
	e := trustlist.Entry{Role: r.Role, Name: r.Name, Address: r.Address, Certificate: r.cert}
	if r.cert == nil {
		e.Form = trustlist.ReducedForm
	}
	return e
}

func (c Certificate) parse() (*x509.Certificate, error) { return x509.ParseCertificate(c.DER) }

// serverRows lays out the records of the members. The order of roles is the reference product's: call manager, TFTP, CAPF in
// the CTL; TFTP, TVS, CAPF in the ITL. What is in use comes first in each, RSA before EC, since some readers take the first
// record of a server.
func serverRows(kind trustlist.Kind, mode config.SecurityMode, members []Member) ([]row, error) {
	var rows []row
	for _, roles := range rolesOf(kind, members) {
		for _, m := range byNode(members) {
			for _, role := range m.Roles {
				role = writtenRole(role, m.Node, members)
				if !slices.Contains(roles, role) {
					continue
				}
				of, err := memberRows(kind, mode, m, role)
				if err != nil {
					return nil, err
				}
				rows = append(rows, of...)
			}
		}
	}
	return rows, nil
}

// rolesOf are the groups of roles a list names, in order. An ITL is about configurations and TVS: the call manager is in it
// only where it is the one that signs configurations.
func rolesOf(kind trustlist.Kind, members []Member) [][]trustlist.Role {
	if kind == trustlist.CTL {
		return [][]trustlist.Role{{trustlist.RoleCCMTFTP, trustlist.RoleCCM}, {trustlist.RoleTFTP}, {trustlist.RoleCAPF}, {trustlist.RoleAppServer}}
	}
	signs := trustlist.RoleTFTP
	if !anyRole(members, "", trustlist.RoleTFTP) {
		signs = trustlist.RoleCCMTFTP
	}
	return [][]trustlist.Role{{signs}, {trustlist.RoleTVS}, {trustlist.RoleCAPF}, {trustlist.RoleAppServer}}
}

// anyRole reports whether a member has the role, on the node or (empty) on any.
func anyRole(members []Member, node string, role trustlist.Role) bool {
	return slices.ContainsFunc(members, func(m Member) bool {
		return (node == "" || m.Node == node) && slices.Contains(m.Roles, role)
	})
}

// writtenRole: CCM+TFTP tells readers that there is a TFTP server at the address, so it is CCM alone where there is none,
// unless the site has no provisioning at all: then it is the call manager that devices expect signed files from.
func writtenRole(role trustlist.Role, node string, members []Member) trustlist.Role {
	if role == trustlist.RoleCCMTFTP && !anyRole(members, node, trustlist.RoleTFTP) && anyRole(members, "", trustlist.RoleTFTP) {
		return trustlist.RoleCCM
	}
	return role
}

func byNode(members []Member) []Member {
	return slices.SortedFunc(slices.Values(members), func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Service, b.Service))
	})
}

// host is a name and an address of one record.
type host struct {
	name string
	addr netip.Addr
}

// hosts are the records a server gets so that readers find it: one with its host name, and one with each address in the
// place of the name, since voicemail servers look for the text that they were configured with.
func (m Member) hosts() []host {
	var hs []host
	add := func(h host) {
		if !slices.Contains(hs, h) {
			hs = append(hs, h)
		}
	}
	var first netip.Addr
	if len(m.Addresses) > 0 {
		first = m.Addresses[0].Unmap()
	}
	if ip, err := netip.ParseAddr(m.Host); err == nil {
		add(host{m.Host, ip.Unmap()})
	} else if m.Host != "" {
		add(host{m.Host, first})
	}
	for _, a := range m.Addresses {
		add(host{a.Unmap().String(), a.Unmap()})
	}
	return hs
}

// memberRows are the records of one member in one role.
func memberRows(kind trustlist.Kind, mode config.SecurityMode, m Member, role trustlist.Role) ([]row, error) {
	hosts := m.hosts()
	base := Record{Role: role, Service: m.Service, Node: m.Node}
	if kind == trustlist.CTL && mode == config.NonSecureCluster && (role == trustlist.RoleCCM || role == trustlist.RoleCCMTFTP) {
		return reducedRows(base, hosts), nil
	}
	var rows []row
	for _, c := range listed(m, role) {
		r := base
		cert, err := c.parse()
		if err != nil {
			return nil, fmt.Errorf("lists: a certificate of %s on %s: %w", m.Service, m.Node, err)
		}
		r.CommonName, r.NotAfter = cert.Subject.CommonName, cert.NotAfter
		r.Fingerprint = sha256.Sum256(cert.Raw)
		r.Client, r.Generation, r.State = c.Client, c.Generation, c.State
		for i, h := range hosts {
			if i > 0 && (kind != trustlist.CTL || c.Client || c.State == pki.StateRetiring || cert.PublicKeyAlgorithm != x509.RSA) {
				break // nobody looks these up by host
			}
			r.Name, r.Address = h.name, h.addr
			rows = append(rows, row{r, cert})
		}
	}
	return rows, nil
}

// reducedRows say where the call manager of a cluster that is not secure is, and nothing more.
func reducedRows(base Record, hosts []host) []row {
	var rows []row
	for _, h := range hosts {
		r := base
		r.Name, r.Address, r.State = h.name, h.addr, pki.StateActive
		rows = append(rows, row{Record: r})
	}
	return rows
}

// listed are the certificates that a role lists, in order. Client certificates are those of the call manager: it dials
// voicemail servers and trunks, which compare what it presents.
func listed(m Member, role trustlist.Role) []Certificate {
	dials := role == trustlist.RoleCCM || role == trustlist.RoleCCMTFTP
	var cs []Certificate
	for _, c := range m.Certificates {
		if !c.Client || dials {
			cs = append(cs, c)
		}
	}
	slices.SortStableFunc(cs, func(a, b Certificate) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), cmp.Compare(btoi(a.Client), btoi(b.Client)),
			-cmp.Compare(a.Generation, b.Generation), cmp.Compare(btoi(!isRSA(a)), btoi(!isRSA(b))))
	})
	return cs
}

func rank(s pki.State) int {
	return slices.Index([]pki.State{pki.StateActive, pki.StateStaged, pki.StateRetiring}, s)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func isRSA(c Certificate) bool {
	x, err := c.parse()
	return err == nil && x.PublicKeyAlgorithm == x509.RSA
}

// signerSet are the signers of a version.
type signerSet struct {
	preferred []pki.Signer // whose keys are here and who may sign, the default first
	common    []row        // active and staged: in every variant
	retiring  []row        // in their own variant only
}

// newSignerSet sorts the signers out. preferred is the name of the one who is to sign, empty for the first that can.
func newSignerSet(all []pki.Signer, preferred string) (signerSet, error) {
	var s signerSet
	for _, x := range all {
		r := row{Record{Role: trustlist.RoleSAST, CommonName: x.Certificate.Subject.CommonName, Fingerprint: sha256.Sum256(x.Certificate.Raw),
			NotAfter: x.Certificate.NotAfter, Service: x.Name, Generation: x.Generation, State: x.State}, x.Certificate}
		if x.State == pki.StateRetiring {
			s.retiring = append(s.retiring, r)
		} else {
			s.common = append(s.common, r)
		}
		if x.Online() && x.State != pki.StateStaged {
			s.preferred = append(s.preferred, x)
		}
	}
	if len(s.preferred) == 0 {
		return s, errors.New("lists: no signer's key is on this machine: bring back the recovery key, or restore the key folder from a backup")
	}
	slices.SortStableFunc(s.preferred, func(a, b pki.Signer) int {
		return cmp.Or(cmp.Compare(reluctance(a, preferred), reluctance(b, preferred)), -cmp.Compare(a.Generation, b.Generation))
	})
	return s, nil
}

// reluctance orders signers: the one asked for, the other active ones, retiring ones, the recovery signer.
func reluctance(s pki.Signer, preferred string) int {
	n := 2 * slices.Index(pki.SignerNames(), s.Name)
	switch {
	case s.State == pki.StateRetiring:
		n += 20
	case s.Name == preferred:
		n = -1
	}
	return n
}

func printOf(s pki.Signer) Fingerprint { return sha256.Sum256(s.Certificate.Raw) }

// order returns the SAST records of the variant that a signer signs. It comes first, and whoever else can sign comes
// next: a reader who knows two entries only then knows two that can sign the next list. What is staged cannot sign yet;
// what is lost cannot sign any more.
func (s signerSet) order(signer Fingerprint) []row {
	rows := slices.Clone(s.common)
	for _, r := range s.retiring {
		if r.Fingerprint == signer {
			rows = append(rows, r)
		}
	}
	place := func(r row) int {
		canSign := slices.ContainsFunc(s.preferred, func(x pki.Signer) bool { return printOf(x) == r.Fingerprint })
		switch {
		case r.Fingerprint == signer:
			return 0
		case r.Fingerprint == printOf(s.preferred[0]):
			return 1
		case r.Service == pki.Recovery:
			return 4
		case r.State == pki.StateStaged:
			return 3
		case canSign:
			return 2
		}
		return 5
	}
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(place(a), place(b)) })
	return rows
}

// content is a hash of what the version says, whenever it is said and whoever signs it.
func (d draft) content() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	mode := d.mode
	if d.kind == trustlist.ITL {
		mode = 0 // an ITL says the same in every mode, and no phone has to fetch it again
	}
	for _, v := range []any{d.kind, mode, d.digest.Code(), d.signer, records(d.servers), records(d.signers.order(printOf(d.signers.preferred[0])))} {
		_ = enc.Encode(v) // into a hash
	}
	return hex.EncodeToString(h.Sum(nil))
}

func records(rows []row) []Record {
	out := make([]Record, len(rows))
	for i, r := range rows {
		out[i] = r.Record
	}
	return out
}

// entries of the variant a signer signs.
func (d draft) entries(signer Fingerprint) []trustlist.Entry {
	var es []trustlist.Entry
	for _, r := range slices.Concat(d.signers.order(signer), d.servers) {
		es = append(es, r.entry())
	}
	return es
}

// A TooLargeError refuses a list that phones would not read.
type TooLargeError struct {
	Kind          trustlist.Kind
	Size, Records int
	Overlap       int // bytes of staged and retiring certificates
	Addresses     int // bytes of records beyond the first of a certificate
	Clients       int // bytes of client certificates
}

// Error says the numbers and what to do.
func (e *TooLargeError) Error() string {
	var do []string
	if e.Overlap > 0 {
		do = append(do, fmt.Sprintf("renew one service at a time (%d bytes are certificates staged or retiring: retire them)", e.Overlap))
	}
	if e.Addresses > 0 {
		do = append(do, fmt.Sprintf("give the servers fewer addresses (%d bytes are the same certificates under further addresses)", e.Addresses))
	}
	if len(do) == 0 {
		do = append(do, "run fewer services that phones verify, or fewer nodes of them")
	}
	return fmt.Sprintf("lists: the %s would have %d bytes in %d records, phones read at most %d: the old one stays in use; %s",
		e.Kind, e.Size, e.Records, MaxFile, strings.Join(do, "; or "))
}

// tooLarge counts what could be left out.
func (d draft) tooLarge(size int) error {
	e := &TooLargeError{Kind: d.kind, Size: size, Records: len(d.servers) + len(d.signers.common)}
	seen := make(map[Fingerprint]bool)
	for _, r := range d.servers {
		if r.cert == nil {
			continue
		}
		n := len(r.cert.Raw) + 700 // the other elements of a record repeat key, signature and names
		switch {
		case seen[r.Fingerprint]:
			e.Addresses += n
		case r.State != pki.StateActive:
			e.Overlap += n
		case r.Client:
			e.Clients += n
		}
		seen[r.Fingerprint] = true
	}
	return e
}
