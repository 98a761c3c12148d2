package config

import (
	"net/netip"
	"time"
)

// WithContactCenter is the site of Default with everything a contact-centre call needs besides, each at an address of its own in the network of
// the call manager's address, which is one of loopback:
//
//	caller -> border .40 -> call server .20 -> voice browser .30 (greeting, music)
//	                                        -> call manager .10 -> an agent's phone
//
// Callers reach 6000. Alice and Bob are the agents. Callers from outside come to the border over TLS, with a certificate for caller.DOMAIN.
func (s *Site) WithContactCenter(at netip.Addr) *Site {
	s = s.Clone()
	domain := s.Cluster.WithDefaults().Domain
	beside := func(last byte) string {
		b := at.As4()
		b[3] = last
		return netip.AddrFrom4(b).String()
	}
	callServer, voiceBrowser, border := beside(20), beside(30), beside(40)
	s.Nodes[0].Address = at.String()
	s.Nodes[0].Services = nil
	for _, name := range []ServiceName{ServiceCallManager, ServiceAdmin, ServiceCAPF, ServiceProvisioning, ServiceTVS, ServiceCTIManager, ServiceCallServer, ServiceVoiceBrowser, ServiceBorder, ServiceContactCenter} {
		s.Nodes[0].Services = append(s.Nodes[0].Services, NodeService{Service: name})
	}

	// The call manager: trunks to border and call server, known by their certificates.
	for _, t := range []struct{ name, address string }{{"callserver", callServer}, {"border", border}} {
		s.SIPTrunkSecurityProfiles = append(s.SIPTrunkSecurityProfiles, SIPTrunkSecurityProfile{Name: t.name, Description: "mutual TLS, SRTP required", AcceptedSubjects: []string{t.name + "." + domain}})
		s.SIPTrunks = append(s.SIPTrunks, SIPTrunk{Name: t.name, Destinations: []Destination{{Address: t.address, Port: 5061}}, SRTPAllowed: true, CallingSearchSpace: "internal",
			SecurityProfile: t.name, SIPProfile: "standard", DevicePool: "default"})
	}

	s.RoutePatterns = append(s.RoutePatterns, RoutePattern{Pattern: "6000", Partition: "internal", Description: "the contact centre, by the border", Trunk: "border"})

	// The border: whoever calls from outside must show the certificate of a caller; the contact number goes to the call server.
	s.DialPeers = []DialPeer{
		{Tag: 1, Description: "callers from outside", IncomingCalledNumbers: []string{"."}, AcceptedSubjects: []string{"caller." + domain}},
		{Tag: 1000, Description: "phones of the site", DestinationPatterns: []string{"1..."}, SessionTargets: []SessionTarget{{Address: at.String(), Port: 5061}},
			AcceptedSubjects: []string{"cm." + domain}},
		{Tag: 6000, Description: "the contact centre", DestinationPatterns: []string{"6000"}, SessionTargets: []SessionTarget{{Address: callServer, Port: 5061}},
			AcceptedSubjects: []string{"callserver." + domain}, OptionsKeepalive: OptionsPing{Disabled: true}},
	}

	// The call server and the voice browser.
	s.CallServers = []CallServer{{Name: "default", VoiceBrowsers: "vb1", SurvivalText: "Please hold the line."}}
	s.SIPServerGroups = []SIPServerGroup{
		{Name: "cm1", Description: "call managers", Members: []ServerGroupMember{{Address: at.String(), SecurePort: 5061}}, AcceptedSubjects: []string{"cm." + domain}},
		{Name: "vb1", Description: "voice browsers", Members: []ServerGroupMember{{Address: voiceBrowser, SecurePort: 5061}}, AcceptedSubjects: []string{"voicebrowser." + domain}},
		{Name: "border1", Description: "border elements", Members: []ServerGroupMember{{Address: border, SecurePort: 5061}}, AcceptedSubjects: []string{"border." + domain},
			Heartbeat: OptionsPing{Disabled: true}}, // calls only come from there
	}
	s.CallRoutes = []CallRoute{{Pattern: "1XXX", Description: "agents' phones", Group: "cm1"}}
	s.VoiceBrowsers = []VoiceBrowser{{Name: "default", Peers: []VoicePeer{{Name: "callserver", Address: callServer, AcceptedSubjects: []string{"callserver." + domain}}},
		Origins: []VoiceOrigin{{URL: "https://" + callServer + ":8443", AcceptedSubjects: []string{"callserver." + domain}}}}}

	// The contact centre.
	s.Users = append(s.Users, User{Name: "contactcenter", DisplayName: "Contact centre", Application: true, PasswordDoesNotExpire: true, Devices: []string{"alice", "bob"},
		Groups: []Group{GroupCTIEnabled, GroupCTISecureConnection}})
	s.ContactCenters = []ContactCenter{{Name: "default"}}
	s.Skills = []Skill{{Name: "service", Description: "answers callers"}}
	s.Teams = []Team{{Name: "service", Supervisors: []string{"bob"}, WrapUpTime: Duration(30 * time.Second)}}
	for _, who := range []struct{ name, number string }{{"alice", "1001"}, {"bob", "1002"}} {
		s.Agents = append(s.Agents, Agent{Name: who.name, Team: "service", Device: who.name, Number: who.number, Skills: []AgentSkill{{Skill: "service", Level: 5}}})
	}
	s.Queues = []Queue{{Name: "service", Steps: []QueueStep{{Where: "service >= 1"}}}}
	s.ContactNumbers = []ContactNumber{{Number: "6000", Description: "the contact number", Script: "welcome"}}
	s.RoutingScripts = []RoutingScript{{Name: "welcome", Nodes: []FlowNode{
		{Name: "greeting", Do: FlowSay, Prompts: []FlowPrompt{{Text: "Welcome. Please hold the line, an agent will be with you shortly."}}, Next: "wait"},
		{Name: "wait", Do: FlowQueue, Queue: "service"},
	}}}
	return s.Canonical()
}
