package pki

import (
	"errors"
	"fmt"
	"strings"
)

// Severity says what a Finding means for the connection. The zero value is a remark.
type Severity uint8

const (
	// Note is worth knowing and changes nothing.
	Note Severity = iota
	// Warning lets the connection through: it is weaker than it should be, or will stop working.
	Warning
	// Refusal ends the handshake, or the registration.
	Refusal
)

// String returns "note", "warning" or "refusal".
func (s Severity) String() string {
	switch s {
	case Warning:
		return "warning"
	case Refusal:
		return "refusal"
	}
	return "note"
}

// MarshalText renders the severity for JSON.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote; an unknown word is an error.
func (s *Severity) UnmarshalText(b []byte) error {
	for v := Note; v <= Refusal; v++ {
		if v.String() == string(b) {
			*s = v
			return nil
		}
	}
	return fmt.Errorf("pki: severity %q: want note, warning or refusal", b)
}

// Rule is the stable code of one check. Codes are part of the API: tests, alarms and documentation name them.
type Rule string

// The rules, in the order in which a chain is looked at. Each is explained, with its standard, where it is checked.
const (
	RuleNoCertificate   Rule = "no-certificate"       // the peer sent none
	RuleMalformed       Rule = "malformed"            // not a certificate that can be parsed
	RuleChainTooLong    Rule = "chain-too-long"       // more certificates than MaxChain
	RuleExpired         Rule = "expired"              // RFC 5280, 4.1.2.5
	RuleNotYetValid     Rule = "not-yet-valid"        // RFC 5280, 4.1.2.5
	RuleExpiresSoon     Rule = "expires-soon"         // warning
	RuleValidityLong    Rule = "validity-long"        // warning
	RuleCriticalExt     Rule = "critical-extension"   // RFC 5280, 4.2
	RuleDigest          Rule = "digest-weak"          // MD2, MD5, SHA-1
	RuleKeyWeak         Rule = "key-weak"             // RSA under 2048 bits, curves under 256, DSA
	RuleCAAsEndEntity   Rule = "ca-as-end-entity"     // RFC 5280, 4.2.1.9
	RuleKeyUsage        Rule = "key-usage"            // RFC 5280, 4.2.1.3
	RuleEKUMissing      Rule = "eku-missing"          // RFC 5280, 4.2.1.12
	RuleEKU             Rule = "eku"                  // RFC 5280, 4.2.1.12
	RuleSelfSigned      Rule = "self-signed"          // and not a trust anchor
	RuleIssuerMissing   Rule = "issuer-missing"       // neither sent nor trusted
	RuleUntrustedRoot   Rule = "untrusted-root"       // the chain is complete and ends at a stranger
	RuleSignature       Rule = "signature"            // RFC 5280, 6.1.3 (a)(1)
	RuleIssuerKey       Rule = "issuer-key"           // same issuer name, other key
	RuleIssuerNotCA     Rule = "issuer-not-ca"        // RFC 5280, 6.1.4 (k)
	RuleIssuerKeyUsage  Rule = "issuer-key-usage"     // RFC 5280, 6.1.4 (n)
	RulePathLength      Rule = "path-length"          // RFC 5280, 6.1.4 (l), (m)
	RuleNameConstraints Rule = "name-constraints"     // RFC 5280, 6.1.3 (b), (c)
	RulePath            Rule = "path"                 // refused by the path builder for a reason not listed here
	RuleRevoked         Rule = "revoked"              // register or CRL
	RuleCRLStale        Rule = "crl-stale"            // warning
	RuleCRLUnusable     Rule = "crl-unusable"         // warning: its signature does not verify
	RuleUnregistered    Rule = "unregistered"         // our CA's signature, but never issued by us
	RuleRegister        Rule = "register-unavailable" // the register could not be read
	RuleKind            Rule = "kind"                 // issued to another kind of holder
	RuleName            Rule = "name"                 // RFC 5922, 7.1; RFC 6125, 6
	RuleNameWildcard    Rule = "name-wildcard"        // RFC 5922, 7.2
	RuleDeviceName      Rule = "device-name"          // the certificate names another device
	RulePolicyValidity  Rule = "policy-validity"      // lint: validity outside the profile
	RulePolicySerial    Rule = "policy-serial"        // lint: RFC 5280, 4.1.2.2
	RulePolicyName      Rule = "policy-name"          // lint: names outside the profile
	RulePolicyProfile   Rule = "policy-profile"       // lint: other fields outside the profile
	RuleProtocol        Rule = "protocol"             // the TLS handshake itself
	RuleAlert           Rule = "alert"                // the peer ended the handshake
)

// Finding is one verdict of a check, with its fix. It is plain data: it crosses the bus and the admin API as JSON.
type Finding struct {
	Rule     Rule     `json:"rule"`
	Severity Severity `json:"severity"`
	// Index is the position in the chain as presented, 0 being the peer's own certificate; -1 when the finding is
	// not about a certificate. A certificate the peer did not send (its trust anchor) follows those it sent.
	Index    int    `json:"index"`
	Subject  string `json:"subject,omitempty"` // of that certificate, RFC 4514 text
	What     string `json:"what"`              // predicate of the sentence: "presented a certificate that ..."
	Expected string `json:"expected,omitempty"`
	Got      string `json:"got,omitempty"`
	Fix      string `json:"fix,omitempty"` // imperative, no full stop
}

// Sentence renders the finding as one sentence about the named peer ("" = "the peer"):
// `CUC-2 presented a certificate that expired 3 days ago (2026-11-18): renew it`.
func (f Finding) Sentence(peer string) string {
	if peer == "" {
		peer = "the peer"
	}
	s := peer + " " + f.What
	if f.Fix != "" {
		s += ": " + f.Fix
	}
	return s
}

// String is the sentence about an unnamed peer.
func (f Finding) String() string { return f.Sentence("") }

// Findings is the outcome of one verification, in the order in which the rules are applied: leaf before issuers.
type Findings []Finding

// OK reports whether nothing among the findings refuses.
func (fs Findings) OK() bool {
	for _, f := range fs {
		if f.Severity == Refusal {
			return false
		}
	}
	return true
}

// First returns the finding that decides: the first refusal, or the first of all. ok is false when there is none.
func (fs Findings) First() (f Finding, ok bool) {
	for _, f := range fs {
		if f.Severity == Refusal {
			return f, true
		}
	}
	if len(fs) == 0 {
		return Finding{}, false
	}
	return fs[0], true
}

// Has reports whether a finding with the rule is present, at whatever severity.
func (fs Findings) Has(r Rule) bool {
	for _, f := range fs {
		if f.Rule == r {
			return true
		}
	}
	return false
}

// Err returns nil when nothing refuses, else a *VerifyError about the named peer.
func (fs Findings) Err(peer string) error {
	if fs.OK() {
		return nil
	}
	return &VerifyError{Peer: peer, Findings: fs}
}

// VerifyError carries findings through crypto/tls: errors.As finds it in what Handshake returns.
type VerifyError struct {
	Peer     string // how we call the peer; may be empty
	Findings Findings
}

// Error is the sentence of the first refusal, and how many more there are.
func (e *VerifyError) Error() string {
	f, _ := e.Findings.First()
	more := -1
	for _, g := range e.Findings {
		if g.Severity == Refusal {
			more++
		}
	}
	s := "pki: " + f.Sentence(e.Peer) + " [" + string(f.Rule) + "]"
	if more > 0 {
		s += fmt.Sprintf(" (and %d more)", more)
	}
	return s
}

// FindingsOf returns the findings an error carries, nil when it carries none. See Explain for any handshake error.
func FindingsOf(err error) Findings {
	var v *VerifyError
	if errors.As(err, &v) {
		return v.Findings
	}
	return nil
}

// Text renders the findings for a terminal, one indented block each; "" when there is none.
func (fs Findings) Text(peer string) string {
	var b strings.Builder
	for _, f := range fs {
		fmt.Fprintf(&b, "%-8s %s\n", f.Severity, f.Sentence(peer))
		field := func(name, value string) {
			if value != "" {
				fmt.Fprintf(&b, "         %-9s %s\n", name+":", value)
			}
		}
		field("rule", string(f.Rule))
		if f.Subject != "" {
			field("on", fmt.Sprintf("certificate %d, %s", f.Index, f.Subject))
		}
		field("expected", f.Expected)
		field("got", f.Got)
	}
	return b.String()
}
