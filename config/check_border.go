package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// maxTag is the field's largest dial-peer tag.
const maxTag = 1<<31 - 1

// borders checks what a border element is made of.
func (c *checker) borders() {
	c.dialPeers()
	c.trustpoints()
	eachOf(c, "borders", c.site.Borders, func(b Border) string { return b.Name }, c.border)
	eachOf(c, "codecLists", c.site.CodecLists, func(l CodecList) string { return l.Name }, c.codecs)
	eachOf(c, "numberTranslations", c.site.NumberTranslations, func(t NumberTranslation) string { return t.Name }, func(path string, t NumberTranslation) {
		if len(t.Called)+len(t.Calling) == 0 {
			c.at(path, "has no rules", "expected called or calling")
		}
		c.translationRules(path+".called", t.Called)
		c.translationRules(path+".calling", t.Calling)
	})
	eachOf(c, "headerRules", c.site.HeaderRules, func(h HeaderRules) string { return h.Name }, func(path string, h HeaderRules) {
		if len(h.Rules) == 0 || len(h.Rules) > 100 {
			c.at(path+".rules", fmt.Sprintf("%d rules", len(h.Rules)), "expected 1 to 100")
		}
		for i, r := range h.Rules {
			c.headerRule(fmt.Sprintf("%s.rules[%d]", path, i), r)
		}
	})
}

func (c *checker) border(path string, b Border) {
	if b.Name != "default" && b.Name != "" && !c.has[KindNode][b.Name] {
		c.at(path+".name", fmt.Sprintf("there is no node %q", b.Name), "expected default, or the name of a node"+c.known(KindNode))
	}
	p := SIPProfile{Timers: b.SIPUA.Timers, SessionTimer: b.SIPUA.SessionTimer}
	c.sipTimers(path+".sipUA", "", p)
	c.domain(path+".sipUA.localDomain", b.SIPUA.LocalDomain)
	c.within(path+".admission.maxCalls", b.Admission.MaxCalls, 1, 100000)
	c.within(path+".admission.callsPerSecond", b.Admission.CallsPerSecond, 1, 10000)
	c.within(path+".admission.burst", b.Admission.Burst, 1, 10000)
	c.within(path+".admission.callsPerSecondPerSource", b.Admission.CallsPerSecondPerSource, 1, 10000)
	if b.Admission.Burst != 0 && b.Admission.CallsPerSecond == 0 {
		c.at(path+".admission.burst", "has no effect without callsPerSecond", "set callsPerSecond as well, or remove it")
	}
	for i, a := range b.TrustedAddresses {
		c.network(fmt.Sprintf("%s.trustedAddresses[%d]", path, i), a)
	}
	c.between(path+".mediaInactivity", b.MediaInactivity, minMediaInactivity, maxMediaInactivity)
}

// network checks an address or a network.
func (c *checker) network(path, v string) {
	if _, err := Network(v); err != nil {
		c.at(path, fmt.Sprintf("%q is neither an IP address nor a network", v), "expected for instance 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32, without bits behind the prefix")
	}
}

// Network reads an address or a network: 192.0.2.7 is 192.0.2.7/32.
func Network(v string) (netip.Prefix, error) {
	if ip, err := netip.ParseAddr(v); err == nil {
		return netip.PrefixFrom(ip, ip.BitLen()), nil
	}
	p, err := netip.ParsePrefix(v)
	if err == nil && p != p.Masked() {
		return p, fmt.Errorf("%s has bits behind the prefix", v)
	}
	return p, err
}

func (c *checker) trustpoints() {
	first, owner := "", map[string]string{}
	eachOf(c, "trustpoints", c.site.Trustpoints, func(t Trustpoint) string { return t.Name }, func(path string, t Trustpoint) {
		if t.Default && first != "" {
			c.at(path+".default", fmt.Sprintf("trustpoint %q is the default already", first), "expected at most one")
		}
		if t.Default {
			first = t.Name
		}
		c.names509(path+".acceptedSubjects", t.AcceptedSubjects)
		c.names509(path+".authorities", t.Authorities)
		for i, a := range t.RemoteAddresses {
			sub := fmt.Sprintf("%s.remoteAddresses[%d]", path, i)
			c.network(sub, a)
			n, _ := Network(a)
			if other, dup := owner[n.String()]; dup {
				c.at(sub, fmt.Sprintf("%s belongs to trustpoint %q already", a, other), "expected each network once")
			}
			owner[n.String()] = t.Name
		}
	})
}

// names509 checks a list of names of certificates.
func (c *checker) names509(path string, all []string) {
	for i, s := range all {
		sub := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case strings.Contains(s, "*"):
			c.at(sub, fmt.Sprintf("%q has a wildcard", s), "expected the whole name the certificate carries")
		case strings.TrimSpace(s) == "":
			c.at(sub, "is empty", "expected a name")
		}
	}
}

func (c *checker) dialPeers() {
	first := map[string]string{}
	for i, p := range c.site.DialPeers {
		path := fmt.Sprintf("dialPeers[%d]", i)
		if p.Tag < 1 || p.Tag > maxTag {
			c.at(path+".tag", fmt.Sprintf("%d is no tag", p.Tag), fmt.Sprintf("expected 1 to %d", maxTag))
		}
		c.unique(first, path, p)
		c.peerMatches(path, p)
		c.peerTargets(path, p)
		c.peerSecurity(path, p)
		c.within(path+".preference", p.Preference, 0, 10)
		c.within(path+".maxConnections", p.MaxConnections, 1, 100000)
		c.within(path+".callsPerSecond", p.CallsPerSecond, 1, 10000)
		c.sipTimers(path, "optionsKeepalive", SIPProfile{OptionsPing: p.OptionsKeepalive, SessionTimer: p.SessionTimer})
		c.ref(path+".trustpoint", KindTrustpoint, p.Trustpoint, false)
		c.ref(path+".codecList", KindCodecList, p.CodecList, false)
		c.ref(path+".incomingTranslation", KindNumberTranslation, p.IncomingTranslation, false)
		c.ref(path+".outgoingTranslation", KindNumberTranslation, p.OutgoingTranslation, false)
		c.ref(path+".incomingHeaders", KindHeaderRules, p.IncomingHeaders, false)
		c.ref(path+".outgoingHeaders", KindHeaderRules, p.OutgoingHeaders, false)
	}
}

func (c *checker) peerMatches(path string, p DialPeer) {
	c.peerPatterns(path+".incomingCalledNumbers", p.IncomingCalledNumbers)
	c.peerPatterns(path+".answerAddresses", p.AnswerAddresses)
	c.peerPatterns(path+".destinationPatterns", p.DestinationPatterns)
	c.uriMatches(path+".incomingURI.via", p.IncomingURI.Via)
	c.uriMatches(path+".incomingURI.request", p.IncomingURI.Request)
	c.uriMatches(path+".incomingURI.to", p.IncomingURI.To)
	c.uriMatches(path+".incomingURI.from", p.IncomingURI.From)
	c.uriMatches(path+".destinationURIs", p.DestinationURIs)
	for i, d := range p.DestinationPeers {
		sub := fmt.Sprintf("%s.destinationPeers[%d]", path, i)
		c.within(sub+".preference", d.Preference, 0, 10)
		at := slices.IndexFunc(c.site.DialPeers, func(o DialPeer) bool { return o.Tag == d.Tag })
		switch {
		case at < 0:
			c.at(sub+".tag", fmt.Sprintf("there is no dial peer %d", d.Tag), "expected the tag of a dial peer"+c.known(KindDialPeer))
		case len(c.site.DialPeers[at].SessionTargets) == 0:
			c.at(sub+".tag", fmt.Sprintf("dial peer %d has no sessionTargets", d.Tag), "expected a peer that calls can leave by")
		}
	}
}

// peerPatternShape: what it accepts, package service/border/dialpeer compiles (a test there holds it to that).
var peerPatternShape = regexp.MustCompile(`^\^?(\\?\+)?((([0-9A-D*#.]|\\[0-9A-D*#]|\[\^?[0-9A-D*#,-]+\]|\(([0-9A-D*#.]|\[\^?[0-9A-D*#,-]+\])+\))[%?+]?)|,)*T?\$?$`)

var setShape = regexp.MustCompile(`\[\^?([^\]]*)\]`)

func (c *checker) peerPatterns(path string, all []string) {
	for i, v := range all {
		sub := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case v == "":
			c.at(sub, "is empty", "expected a pattern such as 6..., +49T or . for every number")
		case strings.ContainsAny(v, "X!"):
			c.at(sub, fmt.Sprintf("%q is written as route patterns are", v), "expected a dot for one digit and T at the end for any further ones")
		case len(v) > 128 || !peerPatternShape.MatchString(v) || strings.HasSuffix(v, "T$") || strings.Trim(v, "^,$") == "":
			c.at(sub, fmt.Sprintf("%q is not a pattern", v), "expected 0-9, A-D, *, #, dots, sets as [2-9] or [^2-9], groups, %, ? and + behind one of these, + in front, T or $ at the end")
		default:
			c.patternSets(sub, v)
		}
	}
}

// patternSets refuses sets that hold nothing: a range that goes backwards, or has an end missing, or the contrary of every digit.
func (c *checker) patternSets(path, v string) {
	for _, m := range setShape.FindAllStringSubmatch(v, -1) {
		body, held := strings.ReplaceAll(m[1], ",", ""), map[int]bool{}
		for i := 0; i < len(body); i++ {
			low, high := rank(body[i]), rank(body[i])
			if i+2 < len(body) && body[i+1] == '-' {
				high = rank(body[i+2])
				i += 2
			}
			if low < 0 || high < low {
				c.at(path, fmt.Sprintf("the set [%s] has no good range", m[1]), "expected for instance [2-9] or [13-5]")
				return
			}
			for ; low <= high; low++ {
				held[low] = true
			}
		}
		if len(held) == 0 || len(held) == len(allDigits) && strings.HasPrefix(m[0], "[^") {
			c.at(path, "a set is empty", "expected for instance [2-9]")
			return
		}
	}
}

// allDigits are the digits of patterns, in the order of ranges.
const allDigits = "0123456789ABCD*#"

// rank is a digit's place in the order 0-9, A-D, *, #.
func rank(b byte) int { return strings.IndexByte(allDigits, b) }

func (c *checker) uriMatches(path string, all []URIMatch) {
	for i, m := range all {
		sub := fmt.Sprintf("%s[%d]", path, i)
		if len(m.Hosts) == 0 && m.User == "" && m.Pattern == "" {
			c.at(sub, "says nothing", "expected hosts, user or pattern")
		}
		for j, h := range m.Hosts {
			c.address(fmt.Sprintf("%s.hosts[%d]", sub, j), h, true)
		}
		c.expression(sub+".user", m.User)
		c.expression(sub+".pattern", m.Pattern)
	}
}

// expression checks a regular expression.
func (c *checker) expression(path, v string) {
	_, err := regexp.Compile(v)
	switch {
	case err != nil:
		c.at(path, fmt.Sprintf("%q is not an expression: %s", v, strings.TrimPrefix(err.Error(), "error parsing regexp: ")), "expected one of RE2: github.com/google/re2/wiki/Syntax")
	case len(v) > 512:
		c.at(path, fmt.Sprintf("is %d bytes long", len(v)), "expected at most 512")
	}
}

func (c *checker) peerTargets(path string, p DialPeer) {
	if len(p.SessionTargets) > 16 {
		c.at(path+".sessionTargets", fmt.Sprintf("%d targets", len(p.SessionTargets)), "expected at most 16")
	}
	if len(p.SessionTargets) == 0 && len(p.DestinationURIs) > 0 {
		c.at(path+".sessionTargets", "is empty", "expected where calls to destinationURIs are sent")
	}
	for i, t := range p.SessionTargets {
		sub := fmt.Sprintf("%s.sessionTargets[%d]", path, i)
		c.address(sub+".address", t.Address, true)
		c.port(sub+".port", t.Port)
		c.within(sub+".preference", t.Preference, 0, 10)
		c.within(sub+".weight", t.Weight, 1, 1000)
	}
}

func (c *checker) peerSecurity(path string, p DialPeer) {
	d := p.WithDefaults()
	if d.Transport == TransportTCPUDP && len(p.SessionTargets) > 0 {
		c.at(path+".transport", "tcp+udp leaves open what to use", "expected tls, tcp or udp; tcp+udp is for peers without targets")
	}
	if d.Transport != TransportTLS && d.SRTP != PeerSRTPNever {
		c.at(path+".srtp", fmt.Sprintf("keys would travel readable over %s", d.Transport), "expected transport: tls, or srtp: never")
	}
	if d.Transport != TransportTLS && (p.Trustpoint != "" || len(p.AcceptedSubjects) > 0) {
		c.at(path+".trustpoint", "has no effect without TLS", "remove trustpoint and acceptedSubjects, or choose transport: tls")
	}
	c.names509(path+".acceptedSubjects", p.AcceptedSubjects)
}

// CodecNames are the codecs that a list can name, as SDP spells them.
func CodecNames() []string {
	return []string{"opus", "G722", "PCMA", "PCMU", "G729", "iLBC", "AMR", "AMR-WB", "G726-32", "G723", "G728", "GSM", "speex", "L16"}
}

func (c *checker) codecs(path string, l CodecList) {
	if len(l.Codecs) == 0 {
		c.at(path+".codecs", "is empty", "expected at least one of "+listOf(CodecNames()))
	}
	for i, n := range l.Codecs {
		sub := fmt.Sprintf("%s.codecs[%d]", path, i)
		if !slices.Contains(CodecNames(), n) {
			c.at(sub, fmt.Sprintf("%q is no codec we know", n), suggest(n, CodecNames(), "expected one of"))
		}
		if slices.Contains(l.Codecs[:i], n) {
			c.at(sub, fmt.Sprintf("%q stands twice in the list", n), "remove one")
		}
	}
}

func (c *checker) translationRules(path string, all []TranslationRule) {
	for i, r := range all {
		sub := fmt.Sprintf("%s[%d]", path, i)
		if r.Match == "" {
			c.at(sub+".match", "is missing", "expected an expression such as ^9(.*)$")
		}
		c.expression(sub+".match", r.Match)
		c.replacement(sub+".replace", r.Match, r.Replace)
	}
}

// replacement refuses a reference to a group that is not there, and characters that break a line.
func (c *checker) replacement(path, match, v string) {
	re, err := regexp.Compile(match)
	if err != nil {
		return
	}
	for i := 0; i+1 < len(v); i++ {
		if v[i] != '\\' {
			continue
		}
		if d := v[i+1]; d >= '1' && d <= '9' && int(d-'0') > re.NumSubexp() {
			c.at(path, fmt.Sprintf(`\%c has no group in %q`, d, match), "expected as many groups in parentheses")
		}
		i++
	}
	if len(v) > 512 || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		c.at(path, "is too long or has a control character", "expected at most 512 printable characters")
	}
}

// keptHeaders belong to transaction, dialog, body or authentication: a rule that changed them would break calls.
var keptHeaders = []string{"via", "v", "from", "f", "to", "t", "call-id", "i", "cseq", "contact", "m", "route", "record-route", "max-forwards", "content-type", "c",
	"content-length", "l", "content-encoding", "e", "require", "proxy-require", "supported", "k", "rseq", "rack", "session-expires", "x", "min-se", "replaces", "join", "refer-to", "r",
	"referred-by", "b", "event", "o", "subscription-state", "expires", "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate", "authentication-info"}

var tokenShape = regexp.MustCompile("^[A-Za-z0-9.!%*_+`'~-]{1,64}$")

func (c *checker) headerRule(path string, r HeaderRule) {
	switch {
	case !tokenShape.MatchString(r.Header):
		c.at(path+".header", fmt.Sprintf("%q is no header field name", r.Header), "expected for instance X-Site or User-Agent")
	case slices.Contains(keptHeaders, strings.ToLower(r.Header)):
		c.at(path+".header", fmt.Sprintf("%s belongs to the transaction, the dialog or the body", r.Header), "expected another one; numbers are changed by numberTranslations, our host by sipUA.localDomain")
	}
	if r.Method != "" && !tokenShape.MatchString(r.Method) {
		c.at(path+".method", fmt.Sprintf("%q is no method", r.Method), "expected for instance INVITE")
	}
	if r.Status != 0 && r.On == OnRequests {
		c.at(path+".status", "requests have none", "expected on: responses, or remove it")
	}
	c.within(path+".status", r.Status, 100, 699)
	c.expression(path+".match", r.Match)
	c.replacement(path+".value", r.Match, r.Value)
	switch {
	case r.Action == HeaderModify && r.Match == "":
		c.at(path+".match", "is missing", "expected which part of the value to replace")
	case r.Action == HeaderAdd && r.Value == "":
		c.at(path+".value", "is missing", "expected the value of the field to add")
	case r.Action == HeaderAdd && r.Match != "":
		c.at(path+".match", "has no effect with action add", "remove it, or say action: modify")
	case r.Action == HeaderRemove && r.Value != "":
		c.at(path+".value", "has no effect with action remove", "remove it, or say action: modify")
	}
}
