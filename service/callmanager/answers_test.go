package callmanager

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/wire/sip"
)

// oneTrunk is a site with one trunk, whose security profile and own fields are given.
const oneTrunk = `
nodes: [{name: n}]
callManagerGroups: [{name: g, nodes: [n]}]
devicePools: [{name: d, callManagerGroup: g}]
sipTrunkSecurityProfiles: [{name: s%s}]
sipTrunks: [{name: a, securityProfile: s, devicePool: d, destinations: [{address: 192.0.2.1}]%s}]
`

const ownCredentials = ", digestUser: site, digestRealm: provider.example, digestPassword: correct horse"

// TestTrunkAnswersChallenges: what the configuration has for a trunk is good for the realm it names, once, by SHA-256 where it can be had.
func TestTrunkAnswersChallenges(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	const secure, md5 = ", acceptedSubjects: [a.example]", ", acceptedSubjects: [a.example], digestMD5: true"
	for _, c := range []struct {
		name, profile, realm string
		algorithms           []sip.Algorithm
		want                 sip.Algorithm // empty: not answered
	}{
		{"SHA-256", secure, "provider.example", []sip.Algorithm{sip.SHA256}, sip.SHA256},
		{"the better of two", md5, "provider.example", []sip.Algorithm{sip.MD5, sip.SHA256}, sip.SHA256},
		{"MD5 by exception", md5, "provider.example", []sip.Algorithm{sip.MD5}, sip.MD5},
		{"MD5", secure, "provider.example", []sip.Algorithm{sip.MD5}, ""},
		{"another realm", md5, "elsewhere.example", []sip.Algorithm{sip.MD5, sip.SHA256}, ""},
	} {
		leg := siteOf(t, fmt.Sprintf(oneTrunk, c.profile, ownCredentials)).trunks["a"]
		server := sip.NewDigestServer(sip.DigestConfig{Realm: c.realm, Algorithms: c.algorithms})
		uri, err := sip.ParseURI("sip:+49301234@provider.example")
		if err != nil {
			t.Fatal(err)
		}
		req := sip.NewRequest(sip.INVITE, uri)
		if got := leg.Authorize(server.Unauthorized(now, req, false), req); got != (c.want != "") {
			t.Errorf("%s: answered %v", c.name, got)
		}
		if c.want == "" {
			if req.Has("Authorization") {
				t.Errorf("%s: the peer is told %s", c.name, req.Header("Authorization"))
			}
			continue
		}
		user, result := server.Verify(now, req, func(user string, a sip.Algorithm) (sip.Secret, bool) {
			return sip.HA1(a, user, c.realm, sip.NewSecret("correct horse")), user == "site" && a == c.want
		})
		if user != "site" || result != sip.AuthOK {
			t.Errorf("%s: the peer finds %q %s in %s", c.name, user, result, req.Header("Authorization"))
		}
		if leg.Authorize(server.Unauthorized(now, req, false), req) {
			t.Errorf("%s: credentials that were refused are shown once more", c.name)
		}
		if leg.AuthorizeInClear {
			t.Errorf("%s: and without TLS", c.name)
		}
	}
	if leg := siteOf(t, fmt.Sprintf(oneTrunk, ", acceptedSubjects: [a.example]", "")).trunks["a"]; leg.Authorize != nil {
		t.Error("a trunk without credentials answers")
	}
	if leg := siteOf(t, fmt.Sprintf(oneTrunk, ", deviceSecurityMode: non-secure", ownCredentials)).trunks["a"]; !leg.AuthorizeInClear {
		t.Error("a trunk that is non-secure by exception does not answer in clear")
	}
}

// TestTrunkCredentialsAreKept: no document shows them, a redacted one keeps them, and they are of no use for another user or realm.
func TestTrunkCredentialsAreKept(t *testing.T) {
	parse := func(own string, current *config.Site) (*config.Site, error) {
		return config.Parse("site.yaml", fmt.Appendf(nil, oneTrunk, ", acceptedSubjects: [a.example]", own), current)
	}
	first, err := parse(ownCredentials, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := string(config.Format(first, false))
	if user, _, sha, md := first.SIPTrunks[0].DigestPassword.HA1(); user != "site" || strings.Contains(text, sha) || strings.Contains(text, md) ||
		strings.Contains(text, "correct horse") || !strings.Contains(text, config.Redacted) {
		t.Errorf("the export has\n%s", text)
	}
	kept, err := config.Parse("site.yaml", []byte(text), first)
	if err != nil || kept.SIPTrunks[0].DigestPassword != first.SIPTrunks[0].DigestPassword {
		t.Errorf("a redacted file has lost the password: %v", err)
	}
	for own, want := range map[string]string{
		", digestUser: site, digestRealm: other.example, digestPassword: '[redacted]'": "is kept for user",
		", digestUser: site, digestPassword: correct horse":                            "digestRealm",
		", digestRealm: provider.example, digestPassword: correct horse":               "digestUser",
		", digestUser: site, digestRealm: provider.example":                            "digestPassword",
		`, digestUser: "a:b", digestRealm: 'x"y', digestPassword: correct horse`:       "has a character",
	} {
		if _, err := parse(own, first); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", own, err, want)
		}
	}
}
