package bus

import "time"

// Registration is one device's registration with a call manager: a row of
// `show registrations`.
type Registration struct {
	Node     string    `json:"node"`
	Device   string    `json:"device"`
	Model    string    `json:"model,omitempty"`
	Lines    []string  `json:"lines,omitempty"` // numbers
	Contact  string    `json:"contact"`         // SIP URI
	Remote   string    `json:"remote"`          // address:port
	Local    string    `json:"local,omitempty"` // address:port
	Protocol string    `json:"protocol"`        // SIP
	Mode     string    `json:"mode"`            // encrypted, authenticated, non-secure
	State    string    `json:"state"`           // registered, unregistered, rejected
	Since    time.Time `json:"since"`
	// Group is the call-manager group of the device's pool; Rank what the node is in it: primary, "backup of n1", or nothing where it has one node.
	Group   string    `json:"group,omitempty"`
	Rank    string    `json:"rank,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
	Agent   string    `json:"agent,omitempty"` // User-Agent
	// Flow is the id of the connection, as in Connection.ID.
	Flow string `json:"flow,omitempty"`
	// Certificate the device showed.
	Subject         string    `json:"subject,omitempty"`
	Issuer          string    `json:"issuer,omitempty"`
	Serial          string    `json:"serial,omitempty"`
	CertificateEnds time.Time `json:"certificateEnds,omitzero"`
	Certificate     string    `json:"certificate,omitempty"` // LSC: entered in our register for the device; MIC: its maker's
	// Trust lists the device fetched last, by number of the version; 0: none that we know of.
	CTL       int64     `json:"ctl,omitempty"`
	ITL       int64     `json:"itl,omitempty"`
	FetchedAt time.Time `json:"fetchedAt,omitzero"`
	// Reason is one sentence when the state is not registered.
	Reason string `json:"reason,omitempty"`
}

// TrunkState is one destination of a trunk as a node sees it: a row of `show trunks`.
type TrunkState struct {
	Node        string    `json:"node"`
	Trunk       string    `json:"trunk"`
	Destination string    `json:"destination"` // host:port
	Remote      string    `json:"remote,omitempty"`
	State       string    `json:"state"` // unknown, in-service, out-of-service
	Since       time.Time `json:"since"`
	Mode        string    `json:"mode"` // encrypted, authenticated, non-secure
	SRTP        bool      `json:"srtpAllowed"`
	Calls       int       `json:"calls"`
	// OPTIONS ping: the last answer (status code, 0 none), round trip in
	// milliseconds, pings without an answer in a row.
	LastStatus  int       `json:"lastStatus,omitempty"`
	RoundTripMS float64   `json:"roundTripMs,omitempty"`
	Missed      int       `json:"missed,omitempty"`
	LastPing    time.Time `json:"lastPing,omitzero"`
	// Reason is one sentence when the destination is out of service.
	Reason string `json:"reason,omitempty"`
}

// ServerGroupState is one member of a SIP server group as a call server sees it: a row of `show server-groups`.
type ServerGroupState struct {
	Group    string `json:"group"`
	Priority int    `json:"priority"`
	Weight   int    `json:"weight"`
	TrunkState
}

// CallerState is one caller that a call server has: a row of `show callserver`.
type CallerState struct {
	Node     string    `json:"node"`
	Call     string    `json:"call"`               // the contact's id
	GlobalID string    `json:"globalId,omitempty"` // for `trace`
	Called   string    `json:"called"`
	Calling  string    `json:"calling,omitempty"` // empty where the caller withholds it
	Display  string    `json:"display,omitempty"`
	Since    time.Time `json:"since"`
	State    string    `json:"state"`             // waiting, treated, connected
	With     string    `json:"with,omitempty"`    // the number the caller is connected to
	Ringing  string    `json:"ringing,omitempty"` // the number that is rung for the caller
	Label    uint64    `json:"label,omitempty"`   // the last that was taken, by its serial
}

// VoiceBrowserState is how a voice browser is: a row of `show voicebrowser`.
type VoiceBrowserState struct {
	Node     string         `json:"node"`
	Facts    []NamedValue   `json:"facts"`
	Sessions []VoiceSession `json:"sessions,omitempty"`
}

// NamedValue is one fact as an operator reads it.
type NamedValue struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// VoiceSession is one caller who is listening to a document.
type VoiceSession struct {
	GlobalID string    `json:"globalId,omitempty"` // for `trace`
	Calling  string    `json:"calling,omitempty"`
	Called   string    `json:"called,omitempty"`
	Document string    `json:"document"` // where it began
	Since    time.Time `json:"since"`
}

// Connection is one transport connection, or a peer whose handshakes failed: a
// row of `show connections`, which tells what `show sip-ua connections tcp tls
// detail` tells in the field.
type Connection struct {
	Node      string    `json:"node"`
	Service   string    `json:"service"`
	ID        string    `json:"id,omitempty"`   // of the flow; empty for a peer without a connection
	Peer      string    `json:"peer,omitempty"` // device or trunk it belongs to
	Remote    string    `json:"remote"`         // address:port
	Local     string    `json:"local"`          // address:port
	Transport string    `json:"transport"`      // tls, tcp, udp
	Direction string    `json:"direction"`      // inbound, outbound
	State     string    `json:"state"`          // connecting, handshake, established, closing, failed
	Since     time.Time `json:"since"`
	// TLS.
	TLSVersion string `json:"tlsVersion,omitempty"` // TLS 1.3
	Cipher     string `json:"cipher,omitempty"`     // TLS_AES_128_GCM_SHA256
	Curve      string `json:"curve,omitempty"`
	ServerName string `json:"serverName,omitempty"`
	LocalCert  string `json:"localCertificate,omitempty"` // subject of the certificate we showed
	// Certificate of the peer.
	Subject  string    `json:"subject,omitempty"`
	SANs     []string  `json:"subjectAltNames,omitempty"`
	Issuer   string    `json:"issuer,omitempty"`
	Serial   string    `json:"serial,omitempty"`
	NotAfter time.Time `json:"notAfter,omitzero"`
	Verified bool      `json:"verified"`
	// Failures counts failed handshakes and broken connections of this peer;
	// LastFailure is the newest, in one sentence.
	Failures      int64     `json:"failures"`
	LastFailure   string    `json:"lastFailure,omitempty"`
	LastFailureAt time.Time `json:"lastFailureAt,omitzero"`
	BytesIn       int64     `json:"bytesIn"`
	BytesOut      int64     `json:"bytesOut"`
	MessagesIn    int64     `json:"messagesIn"`
	MessagesOut   int64     `json:"messagesOut"`
}

// Exception is one setting weaker than the default: a row of `show exceptions`.
type Exception struct {
	Node    string `json:"node,omitempty"`
	Kind    string `json:"kind"`    // device, sip-trunk, node, cluster
	Name    string `json:"name"`    // of the device or trunk
	Setting string `json:"setting"` // deviceSecurityMode
	Value   string `json:"value"`
	Default string `json:"default"`
	From    string `json:"from,omitempty"` // phone-security-profile legacy
	Risk    string `json:"risk"`           // one sentence
}

// ServiceStatus is the state of one service on one node: a row of `locktone status`.
type ServiceStatus struct {
	Node      string    `json:"node"`
	Service   string    `json:"service"`
	State     string    `json:"state"` // starting, ready, degraded, draining, drained, stopping, failed
	Addresses []string  `json:"addresses"`
	Since     time.Time `json:"since"`
	PID       int       `json:"pid"`
	Version   string    `json:"version,omitempty"`
	Revision  int64     `json:"revision"`          // of the configuration in use
	Problem   string    `json:"problem,omitempty"` // one sentence with what to do
}

// LineState is what becomes of a line's calls: a row of `show lines`.
type LineState struct {
	Node      string `json:"node"`
	Line      string `json:"line"`
	Partition string `json:"partition,omitempty"`
	Display   string `json:"display,omitempty"`
	// Forwards are those that act, and those that users have ended.
	Forwards   []ForwardState `json:"forwards,omitempty"`
	Voicemail  string         `json:"voicemail,omitempty"` // number that reaches the mailbox system
	Mailbox    string         `json:"mailbox,omitempty"`   // number by which that knows the line
	AutoAnswer string         `json:"autoAnswer,omitempty"`
	Devices    []string       `json:"devices,omitempty"` // that show the line
	// Devices whose users want no calls, those that hide their calls from others of the line, and those that have logged out of hunting.
	DoNotDisturb []string `json:"doNotDisturb,omitempty"`
	Private      []string `json:"private,omitempty"`
	HuntOut      []string `json:"huntOut,omitempty"`
}

// ForwardState is one forward of a line.
type ForwardState struct {
	Kind               string `json:"kind"`         // all, busy, no-answer, unregistered
	To                 string `json:"to,omitempty"` // empty: a user has ended the one that is configured
	Voicemail          bool   `json:"voicemail,omitempty"`
	CallingSearchSpace string `json:"callingSearchSpace,omitempty"`
	SetByUser          bool   `json:"setByUser,omitempty"` // else it is configured
}

// MessageState is what is known of a line's mailbox, and which phones have heard of it: a row of `show mwi`.
type MessageState struct {
	Node      string    `json:"node"`
	Line      string    `json:"line"`
	Partition string    `json:"partition,omitempty"`
	Waiting   bool      `json:"waiting"`
	New       uint32    `json:"new"` // voice messages
	Old       uint32    `json:"old"`
	UrgentNew uint32    `json:"urgentNew,omitempty"`
	UrgentOld uint32    `json:"urgentOld,omitempty"`
	Since     time.Time `json:"since"`   // of Waiting
	Changed   time.Time `json:"changed"` // of the numbers
	Source    string    `json:"source"`  // who said so: trunk vm
	Version   int64     `json:"version"`
	Lamp      string    `json:"lamp"` // light, none
	// Devices that show the line and have acknowledged this state, and those that have not: away, or with the status they answered.
	Acknowledged []string `json:"acknowledged,omitempty"`
	Waits        []string `json:"waits,omitempty"`
}

// WatchState is what a device watches: a row of `show subscriptions`.
type WatchState struct {
	Node       string    `json:"node"`
	Device     string    `json:"device"`
	Event      string    `json:"event"` // dialog, message-summary, presence
	Number     string    `json:"number"`
	Partition  string    `json:"partition,omitempty"`
	Since      time.Time `json:"since"`
	Expires    time.Time `json:"expires"`
	Notifies   int       `json:"notifies"`
	LastNotify time.Time `json:"lastNotify,omitzero"`
	LastStatus int       `json:"lastStatus,omitempty"` // of the last answer to a NOTIFY
}

// ProviderState is one application that is logged in at a CTI manager: a row of `show cti`.
type ProviderState struct {
	Node        string    `json:"node"`
	Provider    uint32    `json:"provider"` // as the application was told it
	User        string    `json:"user,omitempty"`
	Instance    string    `json:"instance,omitempty"` // of the application, by its certificate
	Application string    `json:"application,omitempty"`
	Client      string    `json:"client,omitempty"` // version of its library
	Remote      string    `json:"remote"`
	Port        int       `json:"port"`  // 2749 with TLS, 2748 without
	State       string    `json:"state"` // ready, authenticating, verifying ...
	Since       time.Time `json:"since"`
	Heard       time.Time `json:"heard"` // the last time it said something
	Heartbeat   int       `json:"heartbeatSeconds"`
	Lines       int       `json:"lines"`   // open
	Calls       int       `json:"calls"`   // on these
	Waiting     int       `json:"waiting"` // bytes it has not read
	// Devices are those it has open, by name; Lines of each, and whether it is in service.
	Devices []ProviderDevice `json:"devices"`
}

// ProviderDevice is a device that an application has open.
type ProviderDevice struct {
	Name      string   `json:"name"`
	InService bool     `json:"inService"`
	Lines     []string `json:"lines,omitempty"` // number/partition
}
