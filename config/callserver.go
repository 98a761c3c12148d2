package config

import (
	"cmp"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// SIPServerGroup is a set of SIP elements of one sort that a call server sends calls to and takes calls from: the call managers, the voice
// browsers, the border elements.
type SIPServerGroup struct {
	// Name of the group.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Its elements. Those of the lowest priority are tried first, and among them each is first as often as its weight says.
	Members []ServerGroupMember `yaml:"members" json:"members"`
	// How members are reached and come. Default: tls, to securePort. Tcp and udp are listed by `show exceptions`.
	Transport Transport `yaml:"transport" json:"transport,omitempty"`
	// X.509 subject common names or subject alternative names, one of which a member's certificate must carry. Left out: the address of
	// the member.
	AcceptedSubjects []string `yaml:"acceptedSubjects" json:"acceptedSubjects,omitempty"`
	// Let media with the members be plain RTP where they offer nothing better; listed by `show exceptions`. Left out: SRTP or no call.
	RTPAllowed bool `yaml:"rtpAllowed" json:"rtpAllowed,omitempty"`
	// Heartbeat: OPTIONS to each member. A member that does not answer gets no calls until it does, and callers at a voice browser that does not
	// are brought to another one. Defaults here: every 10s in service, 5s out of service, 2 retries.
	Heartbeat OptionsPing `yaml:"heartbeat" json:"heartbeat,omitzero"`
}

// ServerGroupMember is one element of a group.
type ServerGroupMember struct {
	// IP address or host name.
	Address string `yaml:"address" json:"address"`
	// Port without TLS. Default: 5060.
	Port int `yaml:"port" json:"port,omitempty"`
	// Port with TLS. Default: 5061.
	SecurePort int `yaml:"securePort" json:"securePort,omitempty"`
	// Order, 0 (first) to 65535.
	Priority int `yaml:"priority" json:"priority,omitempty"`
	// Share of the calls among members of the same priority, 1 to 100. Default: 10.
	Weight int `yaml:"weight" json:"weight,omitempty"`
}

// CallRoute says where numbers are that the contact centre connects callers to.
type CallRoute struct {
	// Pattern of the number: 0-9, A-D, *, #, X for any digit, [2-5], ! for one or more of any.
	Pattern string `yaml:"pattern" json:"pattern"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// SIP server group that has the number.
	Group string `yaml:"group" json:"group,omitempty"`
	// Send the call back to where it came from, which knows the number (send to originator). Instead of a group.
	SendToOriginator bool `yaml:"sendToOriginator" json:"sendToOriginator,omitempty"`
}

// CallServer is how the call servers of the cluster deal with callers.
type CallServer struct {
	// Name of the settings. There is one entry at most.
	Name string `yaml:"name" json:"name"`
	// SIP server group of the voice browsers that callers are treated at.
	VoiceBrowsers string `yaml:"voiceBrowsers" json:"voiceBrowsers"`
	// How long the contact centre may take to answer before it counts as silent, 100ms to 30s. Default: 2s.
	RouterTimeout Duration `yaml:"routerTimeout" json:"routerTimeout,omitempty"`
	// How long after that it is asked again, 1s to 10m. Default: 5s.
	RouterRetry Duration `yaml:"routerRetry" json:"routerRetry,omitempty"`
	// How long a number rings for which the contact centre names no time, 1s to 10m. Default: 15s.
	NoAnswer Duration `yaml:"noAnswer" json:"noAnswer,omitempty"`
	// Text that callers hear while the contact centre is silent, before music. Left out: music alone.
	SurvivalText string `yaml:"survivalText" json:"survivalText,omitempty"`
	// Number that callers are connected to when the contact centre has been silent for survivalAfter. Left out: they are kept with music.
	SurvivalNumber string `yaml:"survivalNumber" json:"survivalNumber,omitempty"`
	// When that is, 5s to 24h. Default: 1m.
	SurvivalAfter Duration `yaml:"survivalAfter" json:"survivalAfter,omitempty"`
	// Port on which documents are served to voice browsers, by HTTPS with certificates of both sides. Default: 8443.
	DocumentPort int `yaml:"documentPort" json:"documentPort,omitempty"`
	// X.509 subjects of who may fetch documents. Left out: those of the voice browsers' group.
	DocumentSubjects []string `yaml:"documentSubjects" json:"documentSubjects,omitempty"`
	// Longest call, 1m to 48h. Default: 24h.
	MaxDuration Duration `yaml:"maxDuration" json:"maxDuration,omitempty"`
	// Most callers of one call server at the same time; further ones hear that all lines are busy. 1 to 100000. Default: 10000.
	MaxCalls int `yaml:"maxCalls" json:"maxCalls,omitempty"`
}

// Kind implements Entity.
func (SIPServerGroup) Kind() Kind { return KindSIPServerGroup }

// Key is the name.
func (g SIPServerGroup) Key() string { return g.Name }

// WithDefaults returns the group with every default filled in.
func (g SIPServerGroup) WithDefaults() SIPServerGroup {
	g.Members = slices.Clone(g.Members)
	for i := range g.Members {
		m := &g.Members[i]
		m.Port, m.SecurePort, m.Weight = cmp.Or(m.Port, 5060), cmp.Or(m.SecurePort, 5061), cmp.Or(m.Weight, 10)
	}
	if g.Transport == TransportDefault {
		g.Transport = TransportTLS
	}
	h := &g.Heartbeat
	h.IntervalInService, h.IntervalOutOfService = cmp.Or(h.IntervalInService, Duration(10*time.Second)), cmp.Or(h.IntervalOutOfService, Duration(5*time.Second))
	h.Retries, h.RetryInterval = cmp.Or(h.Retries, 2), cmp.Or(h.RetryInterval, Duration(500*time.Millisecond))
	return g
}

// Subjects are those that a member's certificate may carry.
func (g SIPServerGroup) Subjects(m ServerGroupMember) []string {
	if len(g.AcceptedSubjects) > 0 {
		return g.AcceptedSubjects
	}
	return []string{m.Address}
}

// Kind implements Entity.
func (CallRoute) Kind() Kind { return KindCallRoute }

// Key is the pattern.
func (r CallRoute) Key() string { return r.Pattern }

// Kind implements Entity.
func (CallServer) Kind() Kind { return KindCallServer }

// Key is the name.
func (s CallServer) Key() string { return s.Name }

// WithDefaults returns the settings with every default filled in.
func (s CallServer) WithDefaults() CallServer {
	s.RouterTimeout, s.RouterRetry = cmp.Or(s.RouterTimeout, Duration(2*time.Second)), cmp.Or(s.RouterRetry, Duration(5*time.Second))
	s.NoAnswer, s.SurvivalAfter = cmp.Or(s.NoAnswer, Duration(15*time.Second)), cmp.Or(s.SurvivalAfter, Duration(time.Minute))
	s.DocumentPort, s.MaxDuration, s.MaxCalls = cmp.Or(s.DocumentPort, 8443), cmp.Or(s.MaxDuration, Duration(24*time.Hour)), cmp.Or(s.MaxCalls, 10000)
	return s
}

func (c *checker) callServers() {
	eachOf(c, "sipServerGroups", c.site.SIPServerGroups, SIPServerGroup.Key, c.serverGroup)
	first := map[string]string{}
	for i, r := range c.site.CallRoutes {
		path := fmt.Sprintf("callRoutes[%d]", i)
		c.unique(first, path, r)
		c.callRoute(path, r)
	}
	eachOf(c, "callServers", c.site.CallServers, CallServer.Key, c.callServer)
	if n := len(c.site.CallServers); n > 1 {
		c.at("callServers[1]", fmt.Sprintf("%d entries", n), "expected one: every call server of the cluster goes by it")
	}
}

func (c *checker) serverGroup(path string, g SIPServerGroup) {
	if n := len(g.Members); n == 0 || n > 32 {
		c.at(path+".members", fmt.Sprintf("%d members", n), "expected 1 to 32")
	}
	seen := map[string]bool{}
	for i, m := range g.WithDefaults().Members {
		sub := fmt.Sprintf("%s.members[%d]", path, i)
		c.address(sub+".address", m.Address, true)
		c.port(sub+".port", m.Port)
		c.port(sub+".securePort", m.SecurePort)
		c.within(sub+".priority", m.Priority, 0, 65535)
		c.within(sub+".weight", m.Weight, 1, 100)
		key := fmt.Sprintf("%s:%d:%d", strings.ToLower(m.Address), m.Port, m.SecurePort)
		if seen[key] {
			c.at(sub, m.Address+" stands twice in the group", "remove one, or give another port")
		}
		seen[key] = true
	}
	if g.Transport == TransportTCPUDP {
		c.at(path+".transport", "tcp+udp is no one transport", "expected tls, tcp or udp")
	}
	if g.Transport == TransportTCP || g.Transport == TransportUDP {
		if len(g.AcceptedSubjects) > 0 {
			c.at(path+".acceptedSubjects", "without TLS nobody shows a certificate", "expected transport: tls, or no subjects")
		}
		for i, m := range g.Members {
			if _, err := netip.ParseAddr(m.Address); err != nil {
				c.at(fmt.Sprintf("%s.members[%d].address", path, i), "without TLS a member is known by its IP address alone", "expected an IP address")
			}
		}
	}
	c.between(path+".heartbeat.intervalInService", g.Heartbeat.IntervalInService, time.Second, 10*time.Minute)
	c.between(path+".heartbeat.intervalOutOfService", g.Heartbeat.IntervalOutOfService, time.Second, 10*time.Minute)
	c.between(path+".heartbeat.retryInterval", g.Heartbeat.RetryInterval, 100*time.Millisecond, time.Minute)
	c.within(path+".heartbeat.retries", g.Heartbeat.Retries, 1, 20)
}

// routeShape is a pattern of call routes; a number that begins with a letter would be one of the call server's own.
var (
	routeShape  = regexp.MustCompile(`^(\\\+)?([0-9*#X]|\[[0-9]+(-[0-9])?\])*!?$`)
	routedShape = regexp.MustCompile(`^\+?[0-9*#]{1,24}$`)
)

func (c *checker) callRoute(path string, r CallRoute) {
	if r.Pattern == "" || !routeShape.MatchString(r.Pattern) {
		c.at(path+".pattern", fmt.Sprintf("%q is no pattern of numbers", r.Pattern), `expected for instance 2XXX, 9[1-5]!, \+49!`)
	}
	switch {
	case r.SendToOriginator && r.Group != "":
		c.at(path+".group", "has no effect with sendToOriginator", "remove one of the two")
	case !r.SendToOriginator:
		c.ref(path+".group", KindSIPServerGroup, r.Group, true)
	}
}

func (c *checker) callServer(path string, s CallServer) {
	c.ref(path+".voiceBrowsers", KindSIPServerGroup, s.VoiceBrowsers, true)
	c.between(path+".routerTimeout", s.RouterTimeout, 100*time.Millisecond, 30*time.Second)
	c.between(path+".routerRetry", s.RouterRetry, time.Second, 10*time.Minute)
	c.between(path+".noAnswer", s.NoAnswer, time.Second, 10*time.Minute)
	c.between(path+".survivalAfter", s.SurvivalAfter, 5*time.Second, 24*time.Hour)
	c.between(path+".maxDuration", s.MaxDuration, time.Minute, 48*time.Hour)
	c.within(path+".maxCalls", s.MaxCalls, 1, 100000)
	c.port(path+".documentPort", s.WithDefaults().DocumentPort)
	if len(s.SurvivalText) > 4096 {
		c.at(path+".survivalText", fmt.Sprintf("%d octets", len(s.SurvivalText)), "expected up to 4096")
	}
	if s.SurvivalNumber != "" && !routedShape.MatchString(s.SurvivalNumber) {
		c.at(path+".survivalNumber", fmt.Sprintf("%q is no number", s.SurvivalNumber), "expected digits, which a call route has")
	}
}
