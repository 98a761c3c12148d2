package config

// Site is the whole configuration of a cluster. Lists are unordered sets:
// entities are identified by their name (lines and patterns by number and
// partition), and Canonical sorts them.
type Site struct {
	// Name, domain and security mode of the cluster.
	Cluster Cluster `yaml:"cluster" kind:"cluster"`
	// Machines of the cluster and the services that run on them.
	Nodes []Node `yaml:"nodes" kind:"node"`
	// Ordered lists of call-manager nodes that devices register to.
	CallManagerGroups []CallManagerGroup `yaml:"callManagerGroups" kind:"call-manager-group"`
	// What devices of one place have in common.
	DevicePools []DevicePool `yaml:"devicePools" kind:"device-pool"`
	// How a phone proves who it is and how its signalling and media are protected.
	PhoneSecurityProfiles []PhoneSecurityProfile `yaml:"phoneSecurityProfiles" kind:"phone-security-profile"`
	// SIP behaviour of phones and trunks: timers, OPTIONS ping, offers.
	SIPProfiles []SIPProfile `yaml:"sipProfiles" kind:"sip-profile"`
	// Who may be at the other end of a trunk and what it may ask.
	SIPTrunkSecurityProfiles []SIPTrunkSecurityProfile `yaml:"sipTrunkSecurityProfiles" kind:"sip-trunk-security-profile"`
	// Connections to other call control: providers, voicemail, border elements.
	SIPTrunks []SIPTrunk `yaml:"sipTrunks" kind:"sip-trunk"`
	// Sets of numbers that can be reached together.
	Partitions []Partition `yaml:"partitions" kind:"partition"`
	// Ordered lists of partitions a caller may reach.
	CallingSearchSpaces []CallingSearchSpace `yaml:"callingSearchSpaces" kind:"calling-search-space"`
	// When partitions are searched: time-of-day routing.
	Schedules []Schedule `yaml:"schedules" kind:"schedule"`
	// Directory numbers.
	Lines []Line `yaml:"lines" kind:"line"`
	// Phones.
	Devices []Device `yaml:"devices" kind:"device"`
	// People and applications.
	Users []User `yaml:"users" kind:"user"`
	// How passwords of users are protected: lock-out, expiry, shape.
	CredentialPolicies []CredentialPolicy `yaml:"credentialPolicies" kind:"credential-policy"`
	// LDAP directories that know users and their passwords.
	LDAPDirectories []LDAPDirectory `yaml:"ldapDirectories" kind:"ldap-directory"`
	// Dialled patterns that leave towards a trunk, a route list or an applet, or are blocked.
	RoutePatterns []RoutePattern `yaml:"routePatterns" kind:"route-pattern"`
	// Dialled patterns that become another number and are looked up again.
	TranslationPatterns []TranslationPattern `yaml:"translationPatterns" kind:"translation-pattern"`
	// What becomes of calling numbers where a trunk or phone looks for it.
	CallingTransformations []CallingTransformation `yaml:"callingTransformations" kind:"calling-transformation"`
	// What becomes of called numbers where a trunk looks for it.
	CalledTransformations []CalledTransformation `yaml:"calledTransformations" kind:"called-transformation"`
	// Sets of trunks tried in order or in turn.
	RouteGroups []RouteGroup `yaml:"routeGroups" kind:"route-group"`
	// Ordered lists of route groups, with failover.
	RouteLists []RouteList `yaml:"routeLists" kind:"route-list"`
	// Built-in test numbers: echo, tone, music.
	Applets []Applet `yaml:"applets" kind:"applet"`
	// Numbers that phones dial to use a feature: park, pickup, forwards.
	FeatureCodes []FeatureCode `yaml:"featureCodes" kind:"feature-code"`
	// Numbers at which calls can be parked.
	ParkNumbers []ParkNumber `yaml:"parkNumbers" kind:"park-number"`
	// Numbers that look for somebody in the line groups of a hunt list.
	HuntPilots []HuntPilot `yaml:"huntPilots" kind:"hunt-pilot"`
	// Ordered lists of line groups.
	HuntLists []HuntList `yaml:"huntLists" kind:"hunt-list"`
	// Sets of lines that hunt pilots ring.
	LineGroups []LineGroup `yaml:"lineGroups" kind:"line-group"`
	// Where the mailboxes of lines are.
	VoicemailProfiles []VoicemailProfile `yaml:"voicemailProfiles" kind:"voicemail-profile"`
	// Numbers that people dial to meet in a conference.
	MeetMeNumbers []MeetMeNumber `yaml:"meetMeNumbers" kind:"meet-me-number"`
	// Sets of lines that answer each other's calls.
	PickupGroups []PickupGroup `yaml:"pickupGroups" kind:"pickup-group"`
	// Sources of music on hold.
	MusicOnHold []MusicOnHold `yaml:"musicOnHold" kind:"music-on-hold"`
	// What is the same for all dial-peers of a border element.
	Borders []Border `yaml:"borders" kind:"border"`
	// Neighbours of border elements: which calls come in by them and go out by them.
	DialPeers []DialPeer `yaml:"dialPeers" kind:"dial-peer"`
	// Whom border elements believe at which addresses.
	Trustpoints []Trustpoint `yaml:"trustpoints" kind:"trustpoint"`
	// Ordered lists of codecs.
	CodecLists []CodecList `yaml:"codecLists" kind:"codec-list"`
	// What becomes of numbers at dial-peers, by regular expressions.
	NumberTranslations []NumberTranslation `yaml:"numberTranslations" kind:"number-translation"`
	// What becomes of header fields at dial-peers.
	HeaderRules []HeaderRules `yaml:"headerRules" kind:"header-rules"`
	// SIP elements that call servers send calls to and take calls from.
	SIPServerGroups []SIPServerGroup `yaml:"sipServerGroups" kind:"sip-server-group"`
	// Where numbers are that the contact centre connects callers to.
	CallRoutes []CallRoute `yaml:"callRoutes" kind:"call-route"`
	// How call servers deal with callers.
	CallServers []CallServer `yaml:"callServers" kind:"call-server"`
	// How the voice browsers run VoiceXML.
	VoiceBrowsers []VoiceBrowser `yaml:"voiceBrowsers" kind:"voice-browser"`
	// How the contact centre works.
	ContactCenters []ContactCenter `yaml:"contactCenters" kind:"contact-center"`
	// What agents can do, on levels.
	Skills []Skill `yaml:"skills" kind:"skill"`
	// What agents are or have: languages, sites, licences.
	AgentAttributes []AgentAttribute `yaml:"agentAttributes" kind:"agent-attribute"`
	// Why agents are not ready.
	ReasonCodes []ReasonCode `yaml:"reasonCodes" kind:"reason-code"`
	// Agents with their supervisors.
	Teams []Team `yaml:"teams" kind:"team"`
	// Users who take contacts.
	Agents []Agent `yaml:"agents" kind:"agent"`
	// Where contacts wait for agents.
	Queues []Queue `yaml:"queues" kind:"queue"`
	// How callers are treated.
	RoutingScripts []RoutingScript `yaml:"routingScripts" kind:"routing-script"`
	// Numbers that callers call, with their scripts.
	ContactNumbers []ContactNumber `yaml:"contactNumbers" kind:"contact-number"`
}

// Kind names a sort of entity, in the singular: "device", "sip-trunk".
type Kind string

// The kinds of entities, in the order they appear in a Site.
const (
	KindCluster                 Kind = "cluster"
	KindNode                    Kind = "node"
	KindCallManagerGroup        Kind = "call-manager-group"
	KindDevicePool              Kind = "device-pool"
	KindPhoneSecurityProfile    Kind = "phone-security-profile"
	KindSIPProfile              Kind = "sip-profile"
	KindSIPTrunkSecurityProfile Kind = "sip-trunk-security-profile"
	KindSIPTrunk                Kind = "sip-trunk"
	KindPartition               Kind = "partition"
	KindCallingSearchSpace      Kind = "calling-search-space"
	KindSchedule                Kind = "schedule"
	KindLine                    Kind = "line"
	KindDevice                  Kind = "device"
	KindUser                    Kind = "user"
	KindCredentialPolicy        Kind = "credential-policy"
	KindLDAPDirectory           Kind = "ldap-directory"
	KindRoutePattern            Kind = "route-pattern"
	KindTranslationPattern      Kind = "translation-pattern"
	KindCallingTransformation   Kind = "calling-transformation"
	KindCalledTransformation    Kind = "called-transformation"
	KindRouteGroup              Kind = "route-group"
	KindRouteList               Kind = "route-list"
	KindApplet                  Kind = "applet"
	KindFeatureCode             Kind = "feature-code"
	KindParkNumber              Kind = "park-number"
	KindHuntPilot               Kind = "hunt-pilot"
	KindHuntList                Kind = "hunt-list"
	KindLineGroup               Kind = "line-group"
	KindVoicemailProfile        Kind = "voicemail-profile"
	KindMeetMeNumber            Kind = "meet-me-number"
	KindPickupGroup             Kind = "pickup-group"
	KindMusicOnHold             Kind = "music-on-hold"
	KindBorder                  Kind = "border"
	KindDialPeer                Kind = "dial-peer"
	KindTrustpoint              Kind = "trustpoint"
	KindCodecList               Kind = "codec-list"
	KindNumberTranslation       Kind = "number-translation"
	KindHeaderRules             Kind = "header-rules"
	KindSIPServerGroup          Kind = "sip-server-group"
	KindCallRoute               Kind = "call-route"
	KindCallServer              Kind = "call-server"
	KindVoiceBrowser            Kind = "voice-browser"
	KindContactCenter           Kind = "contact-center"
	KindSkill                   Kind = "skill"
	KindAgentAttribute          Kind = "agent-attribute"
	KindReasonCode              Kind = "reason-code"
	KindTeam                    Kind = "team"
	KindAgent                   Kind = "agent"
	KindQueue                   Kind = "queue"
	KindRoutingScript           Kind = "routing-script"
	KindContactNumber           Kind = "contact-number"
)

// Entity is one item of a Site. Its key is unique among its kind.
type Entity interface {
	Kind() Kind
	// Key is the name, or "number/partition" for lines and patterns.
	Key() string
}

// Cluster names the cluster.
type Cluster struct {
	// Name of the cluster, part of bus subjects and certificate subjects; a change takes effect when the nodes start again. Default: locktone.
	Name string `yaml:"name" json:"name,omitempty"`
	// DNS domain of the cluster: the host part of its SIP addresses and the digest realm; a change takes effect when the nodes start again. Default: locktone.test.
	Domain string `yaml:"domain" json:"domain,omitempty"`
	// Mixed: secure and non-secure devices as their profiles say. Non-secure: phones are configured to come without TLS to port
	// 5060, whatever their profiles say; one that still comes as its profile says is let in. Trunks keep their profiles. Listed by
	// `show exceptions`.
	SecurityMode SecurityMode `yaml:"securityMode" json:"securityMode,omitempty"`
	// What becomes of a call between an end that must have SRTP and one that has none. Refuse: it gets 488, and no transfer or conference
	// brings such two together. Warn: they meet in a mixer of ours, and who is protected hears a tone every few seconds. Anchor: a relay
	// of ours converts without a tone, the lock icon alone tells. Anything but refuse is listed by `show exceptions`.
	MixedCalls MixedCalls `yaml:"mixedCalls" json:"mixedCalls,omitempty"`
	// Most parties of a conference, 3 to 256. Default: 64.
	ConferenceParties int `yaml:"conferenceParties" json:"conferenceParties,omitempty"`
	// Whose leaving ends a conference. Last-internal: when all who are left are behind trunks, so that nobody outside talks to somebody
	// outside at this site's cost. Nobody: it ends with the last but one. Controller: when who made it leaves, or the last internal one.
	ConferenceEndsWith ConferenceEnd `yaml:"conferenceEndsWith" json:"conferenceEndsWith,omitempty"`
	// Refuse transfers that would connect one trunk with another: nobody outside talks to somebody outside at this site's cost.
	BlockOffnetToOffnet bool `yaml:"blockOffnetToOffnet" json:"blockOffnetToOffnet,omitempty"`
	// End a call whose transfer has failed after the transferor has hung up. Left out: the transferor is rung once more.
	NoTransferRecall bool `yaml:"noTransferRecall" json:"noTransferRecall,omitempty"`
	// CTI New Call Accept Timer: how long a call at a CTI port or route point waits for its application to accept, answer or redirect it
	// before it goes where the line's unregistered forward says. Default: 4s.
	CTINewCallAcceptTimer Duration `yaml:"ctiNewCallAcceptTimer" json:"ctiNewCallAcceptTimer,omitempty"`
	// Application Heartbeat Minimum Interval: an application that asks for less gets this. Whole seconds, 1s to 1h; logins from now on. Default: 5s.
	CTIHeartbeatMinimumInterval Duration `yaml:"ctiApplicationHeartbeatMinimumInterval" json:"ctiApplicationHeartbeatMinimumInterval,omitempty"`
	// Application Heartbeat Maximum Interval: an application that asks for more gets this. Who is not heard for two intervals is cut off. Whole
	// seconds, 1s to 24h; logins from now on. Default: 3600s.
	CTIHeartbeatMaximumInterval Duration `yaml:"ctiApplicationHeartbeatMaximumInterval" json:"ctiApplicationHeartbeatMaximumInterval,omitempty"`
	// Maximum Devices Per Provider: an application with more of them open raises the alarm MaxDevicesPerProviderExceeded and goes on. 1 to
	// 100000. Default: 2000.
	CTIMaximumDevicesPerProvider int `yaml:"ctiMaximumDevicesPerProvider" json:"ctiMaximumDevicesPerProvider,omitempty"`
	// Maximum CTI Connections: how many applications may be logged in at the CTI Manager of one node; the next is refused. 1 to 20000. Default: 2500.
	CTIMaximumConnections int `yaml:"ctiMaximumConnections" json:"ctiMaximumConnections,omitempty"`
	// CTI InstanceId Retry Count: how often one certificate may be used by two applications at the same time; both are closed each time. The
	// next time it is marked as compromised. 1 to 100. Default: 3.
	CTIInstanceIDRetryCount int `yaml:"ctiInstanceIdRetryCount" json:"ctiInstanceIdRetryCount,omitempty"`
	// How long an application has from its connection to the end of its login, an LDAP directory's checks included. 1s to 10m. Default: 60s.
	CTILoginTimeLimit Duration `yaml:"ctiLoginTimeLimit" json:"ctiLoginTimeLimit,omitempty"`
	// How long a request of an application waits for the call manager that has the device, before it is refused. 1s to 2m. Default: 10s.
	CTIRequestTimeLimit Duration `yaml:"ctiRequestTimeLimit" json:"ctiRequestTimeLimit,omitempty"`
	// How often somebody is reminded of a parked call before it is released, 1 to 1000. Default: 10.
	ParkReminders int `yaml:"parkReminders" json:"parkReminders,omitempty"`
	// Whose numbers those may see who share a line or have a busy lamp with pickup on it; other watchers see no numbers at all. All:
	// everybody the line talks to. Internal: not who comes in or is reached by a trunk. None: nobody.
	LampIdentities LampIdentities `yaml:"lampIdentities" json:"lampIdentities,omitempty"`
	// Digest of the signatures on trust lists and configuration files. SHA-1 is for phones and tools that read nothing
	// better; listed by `show exceptions`. A change publishes new lists.
	FileSignature FileSignature `yaml:"fileSignature" json:"fileSignature,omitempty"`
	// Days for which records of calls are kept; older ones are removed, a few at a time. Records say who talked to whom and when: keep
	// them no longer than the purpose they are kept for allows. Default: 400, a year and a month.
	CallRecordRetention int `yaml:"callRecordRetention" json:"callRecordRetention,omitempty"`
}

// Node is a machine of the cluster.
type Node struct {
	// Name of the node, as the node's own configuration spells it.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// IP address or host name devices and other nodes use; services listen there unless they have an address of their own.
	// Left out: the first of 127.0.1.10, 127.0.2.10 and so on that is free. A change takes effect when the node starts again.
	Address string `yaml:"address" json:"address,omitempty"`
	// Services this node runs; administration always runs. Left out: every service but border, callserver, voicebrowser and contactcenter,
	// which run where they are listed. A change takes effect when the node starts again.
	Services []NodeService `yaml:"services" json:"services,omitempty"`
}

// NodeService is one service enabled on a node.
type NodeService struct {
	// Which service: callmanager, admin, capf, provisioning, tvs, ctimanager, voicemail, border, callserver, voicebrowser, contactcenter or bus.
	// The bus always runs; voicemail takes effect with the version that brings it.
	Service ServiceName `yaml:"service" json:"service"`
	// Address the service binds, when it differs from the node's: services may have an address each. Left out: the node's, and
	// loopback for admin, whose port is 8443 either way. Border, callserver and voicebrowser speak SIP on port 5061 as the call manager does, so
	// beside it they need an address each; on loopback they have one: where the call manager is 127.0.1.10, callserver is 127.0.1.20,
	// voicebrowser 127.0.1.30, border 127.0.1.40 and contactcenter 127.0.1.50.
	Address string `yaml:"address" json:"address,omitempty"`
	// Further addresses the call manager answers on as well.
	AlsoAddresses []string `yaml:"alsoAddresses" json:"alsoAddresses,omitempty"`
	// Port of capf, tvs, ctimanager, the bus (for the buses of other nodes) or, over TFTP, provisioning. Default: 3804, 2445, 2749, 6222, 69. Where port 69 may not be bound or is taken, and none
	// is given here, provisioning takes a free one and the status says which.
	Port int `yaml:"port" json:"port,omitempty"`
	// Port on which provisioning serves the same files over HTTP. Default: 6970.
	HTTPPort int `yaml:"httpPort" json:"httpPort,omitempty"`
	// Port on which provisioning serves them over HTTPS. Default: 6971.
	HTTPSPort int `yaml:"httpsPort" json:"httpsPort,omitempty"`
	// Let capf speak TLS 1.2 with TLS_RSA_WITH_AES_128_CBC_SHA, for clients that know nothing better: the exception
	// capf-legacy-rsa of `show exceptions`. What such a client sends can be read later by who gets hold of capf's key.
	LegacyRSA bool `yaml:"legacyRSA" json:"legacyRSA,omitempty"`
	// Let ctimanager listen on port 2748 as well, in the clear: the exception cti-clear of `show exceptions`. Whoever is on the way reads and
	// changes what applications say, and can learn their passwords. A change takes effect when the node starts again.
	Clear bool `yaml:"clear" json:"clear,omitempty"`
	// Who issues what capf hands out. Own: the cluster's authority. Offline: an authority that files are carried to and from
	// (locktone capf requests). Online: one that is asked by CMP (RFC 4210) over HTTP at issuerURL. A change takes effect when the node starts again.
	Issuer CertificateIssuer `yaml:"issuer" json:"issuer,omitempty"`
	// Address of the online authority: https://ca.example/pkix.
	IssuerURL string `yaml:"issuerURL" json:"issuerURL,omitempty"`
	// PEM file with the certificates of the online authority, under which its answers and what it issues must verify; a relative
	// path begins at the home folder.
	IssuerCertificates string `yaml:"issuerCertificates" json:"issuerCertificates,omitempty"`
}

// CallManagerGroup is an ordered list of call-manager nodes: the first that
// works is the one a device registers to.
type CallManagerGroup struct {
	// Name of the group.
	Name string `yaml:"name" json:"name"`
	// Names of nodes: primary, backup, further backups. A change takes effect at once.
	Nodes []string `yaml:"nodes" json:"nodes"`
}

// DevicePool holds what devices of one place have in common.
type DevicePool struct {
	// Name of the pool.
	Name string `yaml:"name" json:"name"`
	// Call-manager group the pool's devices register to.
	CallManagerGroup string `yaml:"callManagerGroup" json:"callManagerGroup"`
	// Source that a party held by one of the pool's devices or trunks hears. Left out: the one named default, else a built-in melody.
	MusicOnHold string `yaml:"musicOnHold" json:"musicOnHold,omitempty"`
	// Zone of the pool's clocks, as the IANA names them: Europe/Berlin. Shown by desk phones; schedules of partitions without a zone
	// of their own go by the caller's. Default: UTC.
	TimeZone string `yaml:"timeZone" json:"timeZone,omitempty"`
	// Calling number of emergency calls from the pool's phones and trunks: one that the emergency service can call back and knows the
	// address of. It goes through the transformations of the trunk, and is never withheld. Left out: the caller's own.
	EmergencyCallerNumber string `yaml:"emergencyCallerNumber" json:"emergencyCallerNumber,omitempty"`
	// Calling search space of the calling transformations that decide how the pool's phones are shown numbers. Left out: as they are.
	CallingTransformationSearchSpace string `yaml:"callingTransformationSearchSpace" json:"callingTransformationSearchSpace,omitempty"`
}

// Partition is a set of numbers that can be reached together.
type Partition struct {
	// Name of the partition.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Schedule: the partition is searched while it is open. Emergency patterns are found at any time. Left out: always.
	Schedule string `yaml:"schedule" json:"schedule,omitempty"`
	// Zone of the schedule's clock, as the IANA names it. Left out: that of the caller's device pool.
	TimeZone string `yaml:"timeZone" json:"timeZone,omitempty"`
}

// CallingSearchSpace lists the partitions a caller may reach. Numbers without
// a partition can be reached by everyone.
type CallingSearchSpace struct {
	// Name of the calling search space.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Names of partitions; of two equally good matches the earlier partition wins.
	Partitions []string `yaml:"partitions" json:"partitions"`
}

// MusicOnHold is a source of music.
type MusicOnHold struct {
	// Name of the source. The one named default serves every device pool that names none.
	Name string `yaml:"name" json:"name"`
	// File to play in a loop: WAV, 8 kHz mono, 16-bit linear, A-law or mu-law, an hour at most; a relative path begins at the
	// home folder. It is read when the configuration comes into force. A file that cannot be read degrades the service, and
	// the built-in melody is played. Left out: the built-in melody.
	File string `yaml:"file" json:"file,omitempty"`
}
