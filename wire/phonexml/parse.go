package phonexml

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Parse reads a configuration file, leniently: elements in any order, numbers and truth in several spellings, absent ones empty,
// more servers than a phone takes cut off. Leaf elements without a field of their own are kept in the Settings of their place;
// other containers are dropped. A file whose root is not <device> is refused.
func Parse(b []byte) (*Device, error) {
	n, err := tree(b)
	if err != nil {
		return nil, err
	}
	if n.name != "device" {
		return nil, &SyntaxError{0, fmt.Sprintf("the root is <%s>, want <device>", n.name)}
	}
	d := &Device{FullConfig: n.kid("fullConfig") == nil || n.bool("fullConfig"), DeviceProtocol: n.str("deviceProtocol"), Family: Family(n.enum(2, "ipAddressMode")),
		TVS: parseServers(n.kid("TVS", "members"), "member", "port", "address"), Lines: parseLines(n.kid("lines")), MissedCalls: n.str("MissedCallLoggingOption"),
		Common: n.kid("commonProfile").settings(), Vendor: n.kid("vendorConfig").settings(), Load: n.str("loadInformation"),
		Version: n.str("versionStamp"), SecurityMode: SecurityMode(n.enum(3, "deviceSecurityMode")), Transport: Transport(n.enum(4, "transportLayerProtocol")),
		CAPFAuthMode: CAPFAuthMode(n.enum(4, "capfAuthMode")), CAPF: parseServers(n.kid("capfList"), "capf", "phonePort", "processNodeName"),
		CertHash: n.str("certHash"), EncryptedConfig: n.bool("encrConfig"), OwnerID: n.str("ownerId")}
	p := n.kid("devicePool")
	d.Pool = Pool{DateTemplate: p.str("dateTimeSetting", "dateTemplate"), TimeZone: p.str("dateTimeSetting", "timeZone"),
		GroupName: p.str("callManagerGroup", "name"), Members: parseMembers(p.kid("callManagerGroup"))}
	for _, t := range p.kid("dateTimeSetting", "ntps").all("ntp") {
		d.Pool.NTP = append(d.Pool.NTP, NTP{t.str("name"), t.str("ntpMode")})
	}
	if s := n.kid("sipProfile"); s != nil {
		d.SIP = parseSIP(s)
	}
	d.More = n.settings("fullConfig", "deviceProtocol", "ipAddressMode", "ipPreferenceModeControl", "ipMediaAddressFamilyPreference", "devicePool", "TVS", "sipProfile",
		"lines", "MissedCallLoggingOption", "commonProfile", "vendorConfig", "loadInformation", "versionStamp", "deviceSecurityMode",
		"transportLayerProtocol", "capfAuthMode", "capfList", "certHash", "encrConfig", "ownerId")
	return d, nil
}

func parseMembers(group *node) []Member {
	list := group.kid("members").all("member")
	byPriority(list)
	var out []Member
	for _, m := range list {
		cm := m.kid("callManager")
		if host := cm.str("processNodeName"); len(host) <= MaxHost && len(out) < MaxServers {
			out = append(out, Member{Host: host, SCCPPort: cm.num("ports", "ethernetPhonePort"), SecureSCCPPort: cm.num("ports", "securedEthernetPhonePort"),
				SIPPort: cm.num("ports", "sipPort"), SecureSIPPort: cm.num("ports", "securedSipPort")})
		}
	}
	return out
}

func byPriority(list []*node) {
	slices.SortStableFunc(list, func(a, b *node) int { return cmp.Compare(a.attr("priority"), b.attr("priority")) })
}

func parseServers(list *node, name, port, address string) []Server {
	all := list.all(name)
	byPriority(all)
	var out []Server
	for _, s := range all {
		if host := s.str(address); len(host) <= MaxHost && len(out) < MaxServers {
			out = append(out, Server{host, s.num(port)})
		}
	}
	return out
}

func parseSIP(n *node) *SIP {
	return &SIP{Proxies: n.kid("sipProxies").settings(), CallFeatures: n.kid("sipCallFeatures").settings(), Stack: n.kid("sipStack").settings(),
		PhoneLabel: n.str("phoneLabel"), VoIPControlPort: n.num("voipControlPort"), Lines: parseLines(n.kid("sipLines")),
		Settings: n.settings("sipProxies", "sipCallFeatures", "sipStack", "phoneLabel", "voipControlPort", "sipLines")}
}

// maxLines is more than a phone with three key modules has.
const maxLines = 256

func parseLines(n *node) []Line {
	var out []Line
	for _, l := range n.all("line") {
		if len(out) == maxLines {
			break
		}
		out = append(out, Line{Button: l.attr("button"), Index: l.attr("lineIndex"), Feature: l.num("featureID"), Label: l.str("featureLabel"), Proxy: l.str("proxy"),
			Port: l.num("port"), Name: l.str("name"), DisplayName: l.str("displayName"), AutoAnswer: l.kid("autoAnswer").settings(), CallWaiting: l.str("callWaiting"),
			AuthName: l.str("authName"), Contact: l.str("contact"), Shared: l.bool("sharedLine"), ForwardInfo: l.kid("forwardCallInfoDisplay").settings(),
			MaxCalls: l.num("maxNumCalls"), BusyTrigger: l.num("busyTrigger"),
			Settings: l.settings("featureID", "featureLabel", "proxy", "port", "name", "displayName", "autoAnswer", "callWaiting", "authName", "contact",
				"sharedLine", "forwardCallInfoDisplay", "maxNumCalls", "busyTrigger")})
	}
	return out
}

// ParseDefault reads XMLDefault.cnf.xml.
func ParseDefault(b []byte) (*Default, error) {
	n, err := tree(b)
	if err != nil {
		return nil, err
	}
	if n.name != "Default" {
		return nil, &SyntaxError{0, fmt.Sprintf("the root is <%s>, want <Default>", n.name)}
	}
	d := &Default{GroupName: n.str("callManagerGroup", "name"), Members: parseMembers(n.kid("callManagerGroup"))}
	for _, k := range n.kids {
		digits, ok := strings.CutPrefix(k.name, "loadInformation")
		if t, err := strconv.ParseUint(digits, 10, 31); ok && err == nil {
			l := ModelLoad{Type: int(t), Load: k.text}
			for _, a := range k.attrs {
				if a.Name.Local == "model" {
					l.Model = strings.TrimSpace(a.Value)
				}
			}
			d.Loads = append(d.Loads, l)
		}
	}
	return d, nil
}
