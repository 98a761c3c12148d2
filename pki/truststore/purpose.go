package truststore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/trustlist"
)

// Purpose is what a certificate is trusted for, named as the field names its trust stores. The zero value is none.
type Purpose string

// The purposes. What follows from each is in the table of the package's comment.
const (
	CallManagerTrust Purpose = "callmanager-trust" // roots of the far ends of trunks
	CAPFTrust        Purpose = "capf-trust"        // manufacturers' roots
	PhoneSASTTrust   Purpose = "phone-sast-trust"  // list signers of other clusters
	TVSTrust         Purpose = "tvs-trust"         // verification services of other clusters
	TomcatTrust      Purpose = "tomcat-trust"      // HTTPS servers of phone services, or their roots
	PhoneVPNTrust    Purpose = "phone-vpn-trust"   // VPN gateways of phones, or their roots
	DirectoryTrust   Purpose = "directory-trust"   // roots of LDAP directory servers
)

// Rule says what an upload for a purpose means.
type Rule struct {
	Purpose Purpose
	Summary string // what belongs there, for lists and help
	// Kinds are whom certificates under an anchor of the purpose authenticate in handshakes; empty: it is no anchor.
	Kinds pki.Kinds
	// MayKinds are the kinds an upload may ask for in place of Kinds.
	MayKinds pki.Kinds
	// Roles are what the verification service tells phones of the certificate; nil: it does not.
	Roles []trustlist.Role
	// MayRoles are the roles an upload may ask for in place of Roles.
	MayRoles []trustlist.Role
	// Issues: a CA here also stands for the certificates it issued when the verification service is asked.
	Issues bool
}

// Anchor reports whether certificates of the purpose are anchors in handshakes.
func (r Rule) Anchor() bool { return r.Kinds != 0 }

// Rules is the table of purposes, in the order of lists.
func Rules() []Rule {
	return []Rule{
		{Purpose: CallManagerTrust, Summary: "roots of voicemail servers, gateways, carriers and other clusters",
			Kinds: pki.KindsOf(pki.KindPeer), MayKinds: pki.KindsOf(pki.KindPeer, pki.KindDevice),
			MayRoles: []trustlist.Role{trustlist.RoleCCM, trustlist.RoleCCMTFTP, trustlist.RoleTFTP}},
		{Purpose: CAPFTrust, Summary: "manufacturers' roots: the certificates phones are made with",
			Kinds: pki.KindsOf(pki.KindDevice), MayKinds: pki.KindsOf(pki.KindDevice)},
		{Purpose: PhoneSASTTrust, Summary: "list and configuration signers of other clusters, for phones that move",
			Roles:    []trustlist.Role{trustlist.RoleSAST, trustlist.RoleTFTP},
			MayRoles: []trustlist.Role{trustlist.RoleSAST, trustlist.RoleCCMTFTP, trustlist.RoleTFTP}},
		{Purpose: TVSTrust, Summary: "verification services of other clusters",
			Roles: []trustlist.Role{trustlist.RoleTVS}, MayRoles: []trustlist.Role{trustlist.RoleTVS}},
		{Purpose: TomcatTrust, Summary: "HTTPS servers of phone services, or their roots", Issues: true,
			Roles: []trustlist.Role{trustlist.RoleAppServer}, MayRoles: []trustlist.Role{trustlist.RoleAppServer}},
		{Purpose: PhoneVPNTrust, Summary: "VPN gateways of phones, or their roots", Issues: true,
			Roles: []trustlist.Role{trustlist.RoleAppServer}, MayRoles: []trustlist.Role{trustlist.RoleAppServer}},
		{Purpose: DirectoryTrust, Summary: "LDAP directory servers, or their roots", Kinds: pki.KindsOf(pki.KindPeer), MayKinds: pki.KindsOf(pki.KindPeer)},
	}
}

// RuleOf is the row of a purpose; ok is false for an unknown one.
func RuleOf(p Purpose) (r Rule, ok bool) {
	all := Rules()
	i := slices.IndexFunc(all, func(r Rule) bool { return r.Purpose == p })
	if i < 0 {
		return Rule{}, false
	}
	return all[i], true
}

// ParsePurpose reads the name of a purpose without regard to case, as people copy it from other products'
// (CallManager-trust, Phone-SAST-trust).
func ParsePurpose(s string) (Purpose, error) {
	if r, ok := RuleOf(Purpose(strings.ToLower(s))); ok {
		return r.Purpose, nil
	}
	var names []string
	for _, r := range Rules() {
		names = append(names, string(r.Purpose))
	}
	return "", fmt.Errorf("truststore: no purpose is called %q; there are %s", s, strings.Join(names, ", "))
}
