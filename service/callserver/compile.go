package callserver

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/service/callserver/routing"
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/sip/transport"
)

// A site is the operator's configuration as this service needs it, immutable and replaced whole.
type site struct {
	revision int64
	config   config.CallServer
	model    call.Site
	peers    []element.Peer
	settings routing.Settings
	groups   []config.SIPServerGroup
	browsers []string // subjects of who may fetch documents
}

// space is the one search space of every caller.
const space = "callers"

// compile makes what the engine and the element need of a configuration. One without callServers takes calls and can only keep them waiting.
func compile(snapshot store.Snapshot, node string, own netip.Addr) (*site, error) {
	c := snapshot.Site
	out := &site{revision: snapshot.Revision.Number}
	if len(c.CallServers) > 0 {
		out.config = c.CallServers[0]
	}
	out.config = out.config.WithDefaults()
	x := out.config
	out.settings = routing.Settings{Server: node, Documents: "https://" + netip.AddrPortFrom(own, uint16(x.DocumentPort)).String() + documentPath,
		AskTimeout: x.RouterTimeout.D(), AskAgain: x.RouterRetry.D(), NoAnswer: x.NoAnswer.D(), SurvivalNumber: x.SurvivalNumber, SurvivalAfter: x.SurvivalAfter.D()}.WithDefaults()
	if x.SurvivalText != "" {
		out.settings.Default = []contact.Play{{Kind: contact.Say, Prompts: []contact.Prompt{{Text: x.SurvivalText}}}, {Kind: contact.Music}}
	}
	out.model.Policy = call.Policy{MaxDuration: x.MaxDuration.D(), NoAnswer: mostRinging}
	out.model.Applets = []call.Applet{{Name: routing.Applet, Driver: routing.Applet}}
	for _, g := range c.SIPServerGroups {
		g = g.WithDefaults()
		out.groups = append(out.groups, g)
		out.group(g)
		if g.Name == x.VoiceBrowsers {
			for _, m := range g.Members {
				out.browsers = append(out.browsers, g.Subjects(m)...)
			}
		}
	}
	if len(x.DocumentSubjects) > 0 {
		out.browsers = x.DocumentSubjects
	}
	out.plan(c.CallRoutes)
	return out, nil
}

// mostRinging is how long the engine lets anything ring; Labels say less.
const mostRinging = 10 * time.Minute

// listOf is the route list of a group.
func listOf(group string) string { return "group " + group }

// memberName is the name of a member as a peer: its group and its address, with the port where that is its own.
func memberName(g config.SIPServerGroup, m config.ServerGroupMember) string {
	name := g.Name + "/" + m.Address
	port, usual := m.SecurePort, 5061
	if g.Transport != config.TransportTLS {
		port, usual = m.Port, 5060
	}
	if port != usual {
		name += ":" + strconv.Itoa(port)
	}
	return name
}

// group makes each member a peer, and the group a route list: who is dead is known by its own heartbeat.
func (s *site) group(g config.SIPServerGroup) {
	list := call.RouteList{Name: listOf(g.Name)}
	members := slices.Clone(g.Members)
	slices.SortStableFunc(members, func(a, b config.ServerGroupMember) int { return a.Priority - b.Priority })
	for len(members) > 0 {
		n := 1
		for n < len(members) && members[n].Priority == members[0].Priority {
			n++
		}
		for _, m := range shares(members[:n]) {
			member := call.RouteMember{Trunk: memberName(g, m)}
			if n > 1 {
				member.Turns = g.Name + " " + strconv.Itoa(m.Priority)
			}
			list.Members = append(list.Members, member)
		}
		members = members[n:]
	}
	s.model.RouteLists = append(s.model.RouteLists, list)
	for _, m := range g.Members {
		s.peers = append(s.peers, peerOf(g, m))
	}
}

// shares puts members of one priority into an order in which each stands as often as its weight says, spread evenly; the engine lets them
// take turns at being first. There are at most maxShares of them.
func shares(members []config.ServerGroupMember) (out []config.ServerGroupMember) {
	whole, heaviest := 0, 0
	for _, m := range members {
		whole, heaviest = gcd(whole, m.Weight), max(heaviest, m.Weight)
	}
	if len(members) == 1 {
		return members
	}
	parts, total := make([]int, len(members)), 0
	for i, m := range members {
		parts[i] = m.Weight / whole
		total += parts[i]
	}
	for i := range parts {
		if total > maxShares {
			parts[i] = max(1, members[i].Weight*maxShares/(heaviest*len(members)))
		}
	}
	total = 0
	for _, p := range parts {
		total += p
	}
	// Smooth weighted round robin: who has waited for the largest share is next.
	current := make([]int, len(members))
	for range total {
		best := 0
		for i := range current {
			current[i] += parts[i]
			if current[i] > current[best] {
				best = i
			}
		}
		current[best] -= total
		out = append(out, members[best])
	}
	return out
}

// maxShares bounds the entries of one priority.
const maxShares = 64

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

func peerOf(g config.SIPServerGroup, m config.ServerGroupMember) element.Peer {
	p := element.Peer{Name: memberName(g, m), Subjects: g.Subjects(m), Ping: g.Heartbeat,
		Destinations: []element.Destination{{Address: m.Address, Port: m.Port, SecurePort: m.SecurePort}},
		// Elements of one site under mutual TLS believe each other's assertions; REFER is the call manager's business, which does it itself.
		User:  dialog,
		Leg:   sipleg.Profile{Media: media.Profile{Security: desc.Required}, Replaces: true, TrustAsserts: true, SendAsserts: true},
		Trunk: call.Trunk{SearchSpace: space}}
	switch g.Transport {
	case config.TransportTCP:
		p.Network, p.Subjects = transport.TCP, nil
	case config.TransportUDP:
		p.Network, p.Subjects = transport.UDP, nil
	}
	if g.RTPAllowed {
		p.Leg.Media.Security = desc.Optional
	}
	return p
}

// plan leads what is called from outside to the leg of our own, and what that sends on to where it is.
func (s *site) plan(routes []config.CallRoute) {
	add := func(digits string, kind dialplan.Kind, to string, called dialplan.Transform) {
		s.model.Plan.Patterns = append(s.model.Plan.Patterns, dialplan.Pattern{Digits: digits, Partition: space, Kind: kind, To: to, Called: called})
	}
	s.model.Plan.SearchSpaces = []dialplan.SearchSpace{{Name: space, Partitions: []string{space}}}
	for _, digits := range []string{"!", `\+!`, "*!", "#!"} {
		add(digits, dialplan.ToApplet, routing.Applet, dialplan.Transform{})
	}
	add(routing.ToRouter, dialplan.ToApplet, routing.Applet, dialplan.Transform{})
	behind := dialplan.Transform{Discard: "predot"}
	if s.config.VoiceBrowsers != "" {
		add(routing.ToBrowser, dialplan.ToRouteList, listOf(s.config.VoiceBrowsers), dialplan.Transform{Discard: "all"})
	}
	back := "originator"
	s.model.RouteLists = append(s.model.RouteLists, call.RouteList{Name: back, Members: []call.RouteMember{{Originator: true}}})
	for _, digits := range []string{"!", `\+!`} {
		add(routing.ToOriginator+"."+digits, dialplan.ToRouteList, back, behind)
	}
	for _, r := range routes {
		to := listOf(r.Group)
		if r.SendToOriginator {
			to = back
		}
		add(routing.ToNumber+"."+r.Pattern, dialplan.ToRouteList, to, behind)
	}
}

// dialog is the user part of who is called without a number: a voice browser, for a document.
// RFC 5552, 2.1: the user part "dialog" names the service that runs the document of the voicexml parameter.
const dialog = "dialog"

// check says what of the configuration is missing for calls to be treated; empty when nothing is.
func (s *site) check() string {
	switch {
	case s.config.Name == "":
		return "no callServers are configured: callers can be connected, and not be treated"
	case len(s.groups) == 0:
		return fmt.Sprintf("no sipServerGroups are configured (revision %d): nobody can call", s.revision)
	}
	return ""
}
