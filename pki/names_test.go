package pki

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"net/url"
	"strings"
	"testing"
)

func uris(t testing.TB, ss ...string) []*url.URL {
	var us []*url.URL
	for _, s := range ss {
		us = append(us, must(url.Parse(s))(t))
	}
	return us
}

// TestNames: RFC 5922, 7.1 and 7.2; RFC 6125; a trunk's list of subjects.
func TestNames(t *testing.T) {
	root := sign(t, caTemplate("Good Root"), ecKey(t), nil)
	cert := func(cn string, dns []string, ip string, us ...string) *x509.Certificate {
		c := clientTemplate(cn)
		c.DNSNames, c.URIs = dns, uris(t, us...)
		if ip != "" {
			c.IPAddresses = []net.IP{net.ParseIP(ip)}
		}
		return sign(t, c, ecKey(t), &root).Leaf()
	}
	plain := cert("cuc1.lab", nil, "")
	host := cert("cuc1.lab", []string{"cuc1.example.com"}, "10.0.0.1")
	wild := cert("wild", []string{"*.example.com"}, "")
	domain := cert("sbc", []string{"sbc.example.net"}, "", "sip:example.com")
	person := cert("alice", nil, "", "sip:alice@example.com")
	port := cert("p", nil, "", "sip:example.com:5061", "sips:example.com")
	nul := cert("example.com\x00.evil.test", nil, "")
	for _, c := range []struct {
		name string
		cert *x509.Certificate
		n    Names
		rule Rule
	}{
		{"nothing asked", plain, Names{}, ""},
		{"subject by CN", plain, Names{Subjects: []string{"CUC1.lab"}}, ""},
		{"subject by DNS name", host, Names{Subjects: []string{"other", " cuc1.example.com "}}, ""},
		{"subject by address", host, Names{Subjects: []string{"10.0.0.1"}}, ""},
		{"subject by sip domain", domain, Names{Subjects: []string{"example.com"}}, ""},
		{"subject no prefix", plain, Names{Subjects: []string{"cuc1.lab.evil", "cuc1", "uc1.lab"}}, RuleName},
		{"subject does not expand wildcards", wild, Names{Subjects: []string{"a.example.com"}}, RuleName},
		{"subjects decide alone", host, Names{Subjects: []string{"x"}, Host: "cuc1.example.com"}, RuleName},
		{"subject with NUL", nul, Names{Subjects: []string{"example.com"}}, RuleName},
		{"domain by sip URI", domain, Names{SIPDomain: "EXAMPLE.com"}, ""},
		{"domain by DNS name", domain, Names{SIPDomain: "sbc.example.net"}, ""},
		{"domain with final dot", domain, Names{SIPDomain: "example.com."}, ""},
		{"domain by CN without SAN", plain, Names{SIPDomain: "cuc1.lab"}, ""},
		{"domain not by CN beside a SAN", host, Names{SIPDomain: "cuc1.lab"}, RuleName},
		{"domain not by wildcard", wild, Names{SIPDomain: "a.example.com"}, RuleNameWildcard},
		{"domain not by the wildcard itself", wild, Names{SIPDomain: "*.example.com"}, RuleNameWildcard},
		{"domain not by a person", person, Names{SIPDomain: "example.com"}, RuleName},
		{"domain not with port, nor sips", port, Names{SIPDomain: "example.com"}, RuleName},
		{"domain not by suffix", domain, Names{SIPDomain: "sub.example.com"}, RuleName},
		{"domain with NUL", nul, Names{SIPDomain: "example.com"}, RuleName},
		{"domain as address", host, Names{SIPDomain: "10.0.0.1"}, ""},
		{"host", host, Names{Host: "cuc1.example.com"}, ""},
		{"host by wildcard", wild, Names{Host: "a.example.com"}, ""},
		{"host not by CN", plain, Names{Host: "cuc1.lab"}, RuleName},
		{"host as address", host, Names{Host: "10.0.0.1"}, ""},
		{"host as other address", host, Names{Host: "10.0.0.2"}, RuleName},
		{"host as IPv6", host, Names{Host: "[::1]"}, RuleName},
		{"either", domain, Names{SIPDomain: "example.com", Host: "10.9.9.9"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, ok := matchNames(c.cert, c.n)
			if ok != (c.rule == "") || f.Rule != c.rule {
				t.Errorf("ok %v, %v", ok, f)
			}
			if !ok && (f.Got == "" || f.Expected == "" || f.Fix == "" || strings.ContainsRune(f.String(), 0)) {
				t.Errorf("incomplete or unprintable: %#v", f)
			}
		})
	}
}

func TestNamesDevice(t *testing.T) {
	for _, c := range []struct {
		cn, device string
		want       bool
	}{
		{"SEP001122334455", "SEP001122334455", true},
		{"CP-8841-SEP001122334455", "SEP001122334455", true},
		{"CP-7921G-SEP00112233AABB", "SEP00112233AABB", true},
		{"CP-8832-W-SEP001122334455", "SEP001122334455", true},
		{"baresip1", "baresip1", true},
		{"SEP001122334455 evil", "SEP001122334455", false},
		{"SEP001122334455\x00evil", "SEP001122334455", false},
		{"SEP0011223344556", "SEP001122334455", false},
		{"CP-8841-SEP0011223344556", "SEP001122334455", false},
		{"CP-8841-SEP00112233445G", "SEP00112233445G", false},
		{"CP-SEP001122334455-SEPAABBCCDDEEFF", "SEP001122334455", false},
		{"CP-SEP001122334455-SEPAABBCCDDEEFF", "SEPAABBCCDDEEFF", false},
		{"XCP-8841-SEP001122334455", "SEP001122334455", false},
		{"CP--SEP001122334455", "SEP001122334455", false},
		{"CP-8841-SEP001122334455", "SEPAABBCCDDEEFF", false},
		{"CP-8841-baresip1", "baresip1", false},
		{"sep001122334455", "SEP001122334455", false},
	} {
		if got := namesDevice(c.cn, c.device); got != c.want {
			t.Errorf("%q for %q: %v", c.cn, c.device, got)
		}
	}
}

// TestAuthorizeTwoCommonNames: with two common names it is anyone's guess which one counts.
func TestAuthorizeTwoCommonNames(t *testing.T) {
	root := sign(t, caTemplate("Good Root"), ecKey(t), nil)
	c := clientTemplate("")
	cn := asn1.ObjectIdentifier{2, 5, 4, 3}
	c.Subject = pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: cn, Value: "SEPAABBCCDDEEFF"}, {Type: cn, Value: kitDevice}}}
	trust := must(NewTrust(Anchor{Certificate: root.Leaf(), Kinds: KindsOf(KindDevice)}))(t)
	r := trust.Verify(sign(t, c, ecKey(t), &root).Chain, PeerIsClient, PeerPolicy{Kinds: KindsOf(KindDevice)}, at())
	if !r.OK() {
		t.Fatal(r.Findings)
	}
	for _, device := range []string{kitDevice, "SEPAABBCCDDEEFF", ""} {
		if f, ok := AuthorizeDevice(r, device); ok || f.Rule != RuleDeviceName {
			t.Errorf("%q: %v %v", device, ok, f)
		}
	}
}

// TestKindsAreBound: our CA's signature and the right name are not enough; the register says whose certificate it is.
func TestKindsAreBound(t *testing.T) {
	ca := testCA(t)
	trust := must(ca.Trust())(t)
	now := ca.cfg.Now()
	verify := func(i Issued, kinds Kinds) *Report {
		return trust.Verify(i.Credential.Chain, PeerIsClient, PeerPolicy{Kinds: kinds}, now)
	}
	device := issue(t, ca, Request{Kind: KindDevice, Name: "SEP00000000AAAA"})
	cti := issue(t, ca, Request{Kind: KindCTI, Name: "SEP00000000AAAA"})
	peer := issue(t, ca, Request{Kind: KindPeer, Name: "SEP00000000AAAA"})
	for _, c := range []struct {
		who         string
		i           Issued
		device, cti bool
	}{{"device", device, true, false}, {"cti", cti, false, true}, {"peer", peer, false, false}} {
		r := verify(c.i, AllKinds())
		fd, okDevice := AuthorizeDevice(r, "SEP00000000AAAA")
		fc, okCTI := AuthorizeCTI(r, "SEP00000000AAAA")
		if okDevice != c.device || okCTI != c.cti {
			t.Errorf("%s: device %v (%v), cti %v (%v)", c.who, okDevice, fd, okCTI, fc)
		}
		if !okDevice && fd.Rule != RuleKind {
			t.Errorf("%s: refused as a device by %v", c.who, fd.Rule)
		}
	}
	if r := verify(cti, KindsOf(KindDevice)); r.OK() || !r.Findings.Has(RuleKind) {
		t.Error("a CTI certificate passes a listener for devices")
	}
	if _, ok := AuthorizeDevice(&Report{Presented: device.Credential.Chain, Kinds: AllKinds()}, "SEP00000000AAAA"); ok {
		t.Error("a report that verified nothing authorises")
	}
	// Signed with our key behind the register's back, and one that took a registered serial.
	tmpl := Request{Kind: KindDevice, Name: "SEP00000000AAAA", Usage: UsageClient, Validity: year}.template(nil, now)
	k := ecKey(t)
	for _, serial := range []bool{false, true} {
		if serial {
			tmpl.SerialNumber = device.Credential.Leaf().SerialNumber
		}
		forged := must(create(tmpl, ca.roots.Load().active().ec.cert, k.Public(), ca.roots.Load().active().ec.key))(t)
		r := trust.Verify([]*x509.Certificate{forged}, PeerIsClient, PeerPolicy{Kinds: AllKinds()}, now)
		if f, _ := r.Findings.First(); f.Rule != RuleUnregistered {
			t.Errorf("known serial %v: %v", serial, r.Findings)
		}
	}
	if err := ca.Revoke(t.Context(), device.Entry.Ref, "phone lost"); err != nil {
		t.Fatal(err)
	}
	if f, ok := AuthorizeDevice(verify(device, AllKinds()), "SEP00000000AAAA"); ok || f.Rule != RuleRevoked || !strings.Contains(f.What, "(phone lost)") {
		t.Errorf("revoked: %v %v", ok, f)
	}
}

// TestAcceptedNamesSentence: an operator who reads the refusal sees what came and what was expected.
func TestAcceptedNamesSentence(t *testing.T) {
	c := &x509.Certificate{DNSNames: []string{"other.far.test"}}
	f, ok := matchNames(c, Names{Subjects: []string{"pbx.far.test"}})
	if s := f.Sentence("trunk far"); ok || !strings.Contains(s, "names other.far.test") || !strings.Contains(s, "(pbx.far.test)") {
		t.Errorf("%v, %q", ok, s)
	}
}
