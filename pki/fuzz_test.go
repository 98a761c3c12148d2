package pki

import (
	"bytes"
	"net/url"
	"strings"
	"testing"
	"unicode"
)

// The seeds are made anew in every process, so the coverage of the cryptography varies: fuzz these with
// -fuzzminimizetime 10x, or the time goes into minimizing what cannot be reproduced.

func FuzzParseCertificates(f *testing.F) {
	k := newGoKit(f)
	f.Add(k.made["via-ica"].CertificatePEM())
	f.Add(k.root.Leaf().Raw)
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		certs, err := ParseCertificates(b)
		if (err == nil) != (len(certs) > 0) {
			t.Fatalf("%d certificates and %v", len(certs), err)
		}
		if err != nil {
			return
		}
		again, err := ParseCertificates(encodeCertificates(certs))
		if err != nil || len(again) != len(certs) {
			t.Fatalf("written and read again: %d of %d, %v", len(again), len(certs), err)
		}
		for _, c := range certs { // a parsed certificate never breaks the verifier, and never prints control characters
			if strings.ContainsFunc(subject(c), unicode.IsControl) {
				t.Fatalf("subject %q", subject(c))
			}
		}
		trust, err := NewTrust(Anchor{k.root.Leaf(), AllKinds()})
		if err != nil {
			t.Fatal(err)
		}
		r := trust.Verify(certs, PeerIsClient, PeerPolicy{Kinds: AllKinds(), Names: Names{SIPDomain: "good.test"}}, at())
		if text := r.Findings.Text("p"); strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), unicode.IsControl) {
			t.Fatalf("findings %q", text)
		}
		AuthorizeDevice(r, kitDevice)
	})
}

func FuzzLoadCredential(f *testing.F) {
	k := newGoKit(f)
	keyPEM, err := k.made["good"].KeyPEM()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(k.made["good"].CertificatePEM(), keyPEM...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := LoadCredential(b); err == nil && c.check() != nil {
			t.Fatal("a credential that does not hold together")
		}
		openKeyring(b)
		RequestFromCSR(b)
	})
}

func FuzzCRL(f *testing.F) {
	k := newGoKit(f)
	f.Add(k.crl(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCRL(b)
		if (c == nil) != (err != nil) {
			t.Fatal("neither list nor error")
		}
		if v1, err := parseCRLv1(b); err == nil {
			v1.signedBy(k.root.Leaf())
		}
		if err == nil && c.signedBy(k.root.Leaf()) && !bytes.Contains(b, k.root.Leaf().RawSubject) && !bytes.Contains(b, []byte("BEGIN")) {
			t.Fatal("signed by a CA that it does not name")
		}
	})
}

func FuzzNames(f *testing.F) {
	f.Add("SEP001122334455", "SEP001122334455", "sip:example.com")
	f.Add("CP-8841-SEP001122334455", "SEP001122334455", "sip:alice@example.com")
	f.Fuzz(func(t *testing.T, cn, device, uri string) {
		if namesDevice(cn, device) && cn != device {
			if !strings.HasPrefix(cn, "CP-") || len(device) != 15 || !strings.EqualFold(cn[len(cn)-15:], device) {
				t.Fatalf("%q names %q", cn, device)
			}
		}
		if u, err := url.Parse(uri); err == nil {
			if d := sipURIDomain(u); strings.ContainsAny(d, "@:;?") {
				t.Fatalf("%q has the domain %q", uri, d)
			}
		}
		if dnsName(cn) && strings.ContainsAny(cn, "* \x00@/") {
			t.Fatalf("%q is a DNS name", cn)
		}
	})
}
