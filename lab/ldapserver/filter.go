package ldapserver

import (
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
)

// maxDepth bounds how deep filters may be nested.
const maxDepth = 32

// bitAnd is the matching rule that holds where all bits of the value are set (LDAP_MATCHING_RULE_BIT_AND of Active Directory).
const bitAnd = "1.2.840.113556.1.4.803"

func (e *entry) matches(filter *ber.Packet) bool { return e.holds(filter, 0) }

// holds is RFC 4511, 4.5.1.7. What it does not know is false, as an undefined match is.
func (e *entry) holds(f *ber.Packet, depth int) bool {
	if depth > maxDepth {
		return false
	}
	switch f.Tag {
	case ldap.FilterAnd:
		for _, c := range f.Children {
			if !e.holds(c, depth+1) {
				return false
			}
		}
		return true
	case ldap.FilterOr:
		for _, c := range f.Children {
			if e.holds(c, depth+1) {
				return true
			}
		}
		return false
	case ldap.FilterNot:
		return len(f.Children) == 1 && !e.holds(f.Children[0], depth+1)
	case ldap.FilterPresent:
		return len(e.values(f.Data.String())) > 0
	case ldap.FilterEqualityMatch:
		return len(f.Children) == 2 && e.equals(f.Children[0].Data.String(), f.Children[1].Data.String())
	case ldap.FilterSubstrings:
		return e.contains(f)
	case ldap.FilterExtensibleMatch:
		return e.extensible(f)
	}
	return false
}

// values are those of an attribute, whose name is of no case.
func (e *entry) values(name string) []string {
	for have, values := range e.Attributes {
		if strings.EqualFold(have, name) {
			return values
		}
	}
	return nil
}

func (e *entry) equals(name, want string) bool {
	for _, v := range e.values(name) {
		if strings.EqualFold(v, want) {
			return true
		}
	}
	return false
}

// contains is a substrings filter: an attribute and pieces in their order, the first (tag 0) at the beginning, the last (tag 2) at the end.
func (e *entry) contains(f *ber.Packet) bool {
	if len(f.Children) != 2 {
		return false
	}
	for _, v := range e.values(f.Children[0].Data.String()) {
		if pieces(strings.ToLower(v), f.Children[1].Children) {
			return true
		}
	}
	return false
}

func pieces(v string, want []*ber.Packet) bool {
	for _, p := range want {
		s := strings.ToLower(p.Data.String())
		switch i := strings.Index(v, s); {
		case i < 0, p.Tag == ldap.FilterSubstringsInitial && i > 0, p.Tag == ldap.FilterSubstringsFinal && !strings.HasSuffix(v, s):
			return false
		default:
			v = v[i+len(s):]
		}
	}
	return true
}

// extensible knows the rule of bits: (userAccountControl:1.2.840.113556.1.4.803:=2) holds where an account is disabled.
func (e *entry) extensible(f *ber.Packet) bool {
	var rule, name, value string
	for _, c := range f.Children {
		switch c.Tag {
		case ldap.MatchingRuleAssertionMatchingRule:
			rule = c.Data.String()
		case ldap.MatchingRuleAssertionType:
			name = c.Data.String()
		case ldap.MatchingRuleAssertionMatchValue:
			value = c.Data.String()
		}
	}
	bits, err := strconv.ParseInt(value, 10, 64)
	if rule != bitAnd || err != nil {
		return false
	}
	for _, v := range e.values(name) {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n&bits == bits {
			return true
		}
	}
	return false
}
