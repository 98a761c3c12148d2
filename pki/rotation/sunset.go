package rotation

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"github.com/locktone/locktone/pki"
)

// Topic is what a sunset is about. The zero value is about nothing.
type Topic uint8

// The topics.
const (
	NoTopic    Topic = iota
	RSABits          // RSA keys of fewer bits than Bits, anywhere in the chain
	Classical        // RSA and elliptic curves altogether
	ClientAuth       // clientAuth beside serverAuth in certificates of public CAs
	Lifetime         // certificates of public CAs that are valid for more than Days
)

// Sunset is a day from which something is no longer good, by somebody's published decision. Our verifier goes on accepting it,
// so what a sunset says is a warning; what it refuses already (SHA-1, RSA under 2048 bits) is in no sunset.
type Sunset struct {
	Topic  Topic
	At     time.Time
	Bits   int // of RSABits
	Days   int // of Lifetime
	Source string
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// Sunsets returns the table in force. Each line has its source; a decision that is changed is changed here.
func Sunsets() []Sunset {
	return []Sunset{
		{Topic: ClientAuth, At: day(2027, time.March, 15), Source: "Chrome Root Program Policy, dedicated TLS server hierarchies (first 2026-06-15, moved to 2027-03-15); Cisco FN74345, FN74350, FN74362"},
		{Topic: Lifetime, At: day(2026, time.March, 15), Days: 200, Source: "CA/Browser Forum ballot SC-081v3"},
		{Topic: Lifetime, At: day(2027, time.March, 15), Days: 100, Source: "CA/Browser Forum ballot SC-081v3"},
		{Topic: Lifetime, At: day(2029, time.March, 15), Days: 47, Source: "CA/Browser Forum ballot SC-081v3"},
		{Topic: RSABits, Bits: 3072, At: day(2031, time.January, 1), Source: "NIST SP 800-57 part 1 rev. 5, table 4 (112 bits of security until 2030); BSI TR-02102-1"},
		{Topic: Classical, At: day(2036, time.January, 1), Source: "NIST IR 8547 (initial public draft): RSA and ECDSA disallowed after 2035"},
	}
}

// on says what a sunset means for a chain; ok is false when it means nothing.
func (s Sunset) on(c Chain) (b Break, ok bool) {
	leaf := c.Chain[0]
	b = Break{At: s.At, Name: c.Name, Holder: c.Holder, Severity: pki.Warning, Subject: leaf.Subject.String(), Source: s.Source}
	switch s.Topic {
	case RSABits:
		return s.onKeys(c, b, pki.RuleKeyWeak, func(x *x509.Certificate) bool {
			key, isRSA := x.PublicKey.(*rsa.PublicKey)
			return isRSA && key.N.BitLen() < s.Bits
		}, fmt.Sprintf("RSA below %d bits is no longer considered secure", s.Bits), "renew with ECDSA P-256 or a longer key, where every reader can use it")
	case Classical:
		return s.onKeys(c, b, pki.RuleKeyWeak, func(x *x509.Certificate) bool {
			_, isRSA := x.PublicKey.(*rsa.PublicKey)
			_, isEC := x.PublicKey.(*ecdsa.PublicKey)
			return isRSA || isEC
		}, "RSA and elliptic curves are no longer considered secure", "plan for signatures that withstand quantum computers")
	case ClientAuth:
		return s.onClientAuth(c, b)
	case Lifetime:
		return s.onLifetime(c, b)
	}
	return b, false
}

// onKeys is for a key that must not be used any more: from the day on, if the certificate is still valid by then.
func (s Sunset) onKeys(c Chain, b Break, rule pki.Rule, is func(*x509.Certificate) bool, what, fix string) (Break, bool) {
	for _, x := range c.Chain {
		if x.NotAfter.After(s.At) && is(x) {
			b.Rule, b.What, b.Fix, b.Subject = rule, "has the key "+pki.KeyName(x)+": "+what, fix, x.Subject.String()
			return b, true
		}
	}
	return b, false
}

// onClientAuth is for a peer that dials us with a certificate for both ends: the one that follows it will be for servers only,
// and a server's certificate is refused from a client (RFC 5280, 4.2.1.12).
func (s Sunset) onClientAuth(c Chain, b Break) (Break, bool) {
	leaf := c.Chain[0]
	both := slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) && slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	if !c.Foreign || c.Side != pki.PeerIsClient || !both {
		return b, false
	}
	if leaf.NotAfter.After(b.At) {
		b.At = leaf.NotAfter
	}
	b.Rule, b.What = pki.RuleEKU, "presents a server's certificate as a client: if a public CA issued it, the next one will not include clientAuth"
	b.Fix = "let the peer have a client certificate of its own: locktone cert issue --kind peer"
	return b, true
}

// onLifetime is for the next certificate of a server under a public CA.
func (s Sunset) onLifetime(c Chain, b Break) (Break, bool) {
	leaf := c.Chain[0]
	if !c.Foreign || c.Side != pki.PeerIsServer || !leaf.NotAfter.After(s.At) || leaf.NotAfter.Sub(leaf.NotBefore) <= time.Duration(s.Days)*24*time.Hour {
		return b, false
	}
	b.At, b.Severity, b.Rule = leaf.NotAfter, pki.Note, pki.RuleValidityLong
	b.What, b.Fix = fmt.Sprintf("has a certificate that is valid for longer than the next one may be: if a public CA issued it, %d days", s.Days), "renew it by a program and not by hand"
	return b, true
}
