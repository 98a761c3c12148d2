package config

// PhoneSecurityProfile says how a phone proves who it is and how its
// signalling and its media are protected.
type PhoneSecurityProfile struct {
	// Name of the profile.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Name of a profile whose values this one starts from; the fields given here replace them.
	CopyOf string `yaml:"copyOf" json:"copyOf,omitempty"`
	// Encrypted: TLS and SRTP. Authenticated: TLS with an encrypting cipher and
	// plain RTP. Non-secure: no TLS, plain RTP. The last two are listed by `show exceptions`.
	DeviceSecurityMode DeviceSecurityMode `yaml:"deviceSecurityMode" json:"deviceSecurityMode,omitempty"`
	// Transport the phone must use. Default: tls, or tcp+udp for a non-secure profile.
	Transport Transport `yaml:"transport" json:"transport,omitempty"`
	// Port the phone registers to. Default: 5061 with TLS, 5060 without.
	IncomingPort int `yaml:"incomingPort" json:"incomingPort,omitempty"`
	// Which certificate the phone may register with. LSC: one this cluster issued to it, or had a corporate authority issue. MIC: the
	// one its maker, or another authority trusted for devices, put there; lsc-or-mic is listed by `show exceptions`.
	Certificate DeviceCertificate `yaml:"certificate" json:"certificate,omitempty"`
	// Challenge requests for the digest credentials of the device's digest user, besides the certificate.
	DigestAuthentication bool `yaml:"digestAuthentication" json:"digestAuthentication,omitempty"`
	// Offer MD5 next to SHA-256 in digest challenges, for phones that know nothing else. Listed by `show exceptions`.
	DigestMD5 bool `yaml:"digestMD5" json:"digestMD5,omitempty"`
	// How long a digest nonce is good. Default: 10m.
	NonceValidity Duration `yaml:"nonceValidity" json:"nonceValidity,omitempty"`
	// Encrypt the phone's configuration file to its LSC ("TFTP Encrypted Config" in the field; what is said here goes for HTTP too).
	// When-possible: where the phone has an LSC with an RSA key, else the file is signed only. Required: a phone without one gets
	// only what it needs to enrol. Off, listed by `show exceptions`: for phones that are often reset to factory settings, which
	// lose their LSC and cannot read the file before they have enrolled again. Passwords are in none of these files. A cluster
	// that is non-secure encrypts nothing.
	TFTPEncryptedConfig EncryptedConfig `yaml:"tftpEncryptedConfig" json:"tftpEncryptedConfig,omitempty"`
	// How the phone proves itself when it asks for a certificate, and which key it makes: what a new enrolment profile of the device starts with.
	CAPF CAPFSettings `yaml:"capf" json:"capf,omitzero"`
}

// CAPFSettings are the certificate authority proxy function's settings of a profile.
type CAPFSettings struct {
	// What the phone shows: a one-time authentication string, its present
	// certificate (precedence to LSC or to MIC), or nothing (null-string).
	AuthenticationMode CAPFAuthenticationMode `yaml:"authenticationMode" json:"authenticationMode,omitempty"`
	// Which kind of key pair to make.
	KeyOrder KeyOrder `yaml:"keyOrder" json:"keyOrder,omitempty"`
	// RSA key size in bits: 2048, 3072 or 4096. Default: 2048.
	RSAKeySize int `yaml:"rsaKeySize" json:"rsaKeySize,omitempty"`
	// EC key size in bits: 256, 384 or 521. Default: 256.
	ECKeySize int `yaml:"ecKeySize" json:"ecKeySize,omitempty"`
}

// SIPProfile holds the SIP behaviour of phones and trunks.
type SIPProfile struct {
	// Name of the profile.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// How trunks find out whether their destinations answer.
	OptionsPing OptionsPing `yaml:"optionsPing" json:"optionsPing,omitzero"`
	// Transaction timers.
	Timers SIPTimers `yaml:"timers" json:"timers,omitzero"`
	// Session timer of calls.
	SessionTimer SessionTimer `yaml:"sessionTimer" json:"sessionTimer,omitzero"`
	// Put an SDP offer into outgoing INVITEs. The caller's offer is always passed on when there is one; mandatory makes one of
	// ours when there is none, best-effort (the field's word for it) and disabled do not.
	EarlyOffer EarlyOffer `yaml:"earlyOffer" json:"earlyOffer,omitempty"`
	// Reliable provisional responses (RFC 3262) to the other side where it supports them: for those that carry SDP, or for all.
	// Disabled: only where the other side demands them.
	Rel1xx Rel1xx `yaml:"rel1xx" json:"rel1xx,omitempty"`
	// Where media goes: auto is direct unless a feature or policy needs it here, always is through this node.
	MediaAnchor MediaAnchor `yaml:"mediaAnchor" json:"mediaAnchor,omitempty"`
	// How a trunk's peer is told which way a call came: by Diversion (RFC 5806), History-Info (RFC 7044), both or not at all. Phones are
	// told by Diversion, whatever stands here.
	RedirectingNumbers RedirectingNumbers `yaml:"redirectingNumbers" json:"redirectingNumbers,omitempty"`
	// Which phones are told of waiting messages (RFC 3842). All: every phone that shows the line, by its subscription or without one.
	// Subscribed: only those that have subscribed.
	MessageWaiting MessageWaiting `yaml:"messageWaiting" json:"messageWaiting,omitempty"`
	// Registration lifetime granted to a phone that asks for more. Default: 1h.
	RegisterExpires Duration `yaml:"registerExpires" json:"registerExpires,omitempty"`
	// Shortest registration lifetime accepted, else 423 Interval Too Brief. Default: 1m.
	RegisterMinExpires Duration `yaml:"registerMinExpires" json:"registerMinExpires,omitempty"`
}

// OptionsPing says how OPTIONS requests drive the state of a trunk.
type OptionsPing struct {
	// No OPTIONS: the trunk is taken to be in service.
	Disabled bool `yaml:"disabled" json:"disabled,omitempty"`
	// Time between two pings while the destination is in service. Default: 60s.
	IntervalInService Duration `yaml:"intervalInService" json:"intervalInService,omitempty"`
	// Time between two pings while it is out of service. Default: 120s.
	IntervalOutOfService Duration `yaml:"intervalOutOfService" json:"intervalOutOfService,omitempty"`
	// Pings without an answer before the destination is out of service. Default: 6.
	Retries int `yaml:"retries" json:"retries,omitempty"`
	// Time to wait before a ping is repeated. Default: 500ms.
	RetryInterval Duration `yaml:"retryInterval" json:"retryInterval,omitempty"`
}

// SIPTimers are the timers of requests to the other side (RFC 3261, 17.1.1.1).
type SIPTimers struct {
	// Round-trip estimate. Default: 500ms.
	T1 Duration `yaml:"t1" json:"t1,omitempty"`
	// Longest retransmission interval. Default: 4s.
	T2 Duration `yaml:"t2" json:"t2,omitempty"`
	// How long an INVITE to a trunk may ring before it is cancelled; a phone rings as long as its line says. Default: 180s.
	InviteExpires Duration `yaml:"inviteExpires" json:"inviteExpires,omitempty"`
}

// SessionTimer is the session timer of RFC 4028: a call whose peer vanished is
// released when nobody refreshes it.
type SessionTimer struct {
	// No session timer is asked for; one the peer asks for is honoured.
	Disabled bool `yaml:"disabled" json:"disabled,omitempty"`
	// Shortest interval accepted (Min-SE). Default: 90s, the RFC's minimum.
	Min Duration `yaml:"min" json:"min,omitempty"`
	// Interval asked for (Session-Expires). Default: 30m.
	Expires Duration `yaml:"expires" json:"expires,omitempty"`
	// Who refreshes: auto (the peer where it can, else we), uac or uas.
	Refresher Refresher `yaml:"refresher" json:"refresher,omitempty"`
}

// SIPTrunkSecurityProfile says who may be at the other end of a trunk and what
// it may ask.
type SIPTrunkSecurityProfile struct {
	// Name of the profile.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Encrypted: TLS, and SRTP where the trunk allows it. Authenticated: TLS,
	// plain RTP. Non-secure: no TLS. The last two are listed by `show exceptions`.
	DeviceSecurityMode DeviceSecurityMode `yaml:"deviceSecurityMode" json:"deviceSecurityMode,omitempty"`
	// Transport accepted from the peer. Default: tls, or tcp+udp for a non-secure profile.
	IncomingTransport Transport `yaml:"incomingTransport" json:"incomingTransport,omitempty"`
	// Transport used towards the peer. Default: tls, or tcp for a non-secure profile.
	OutgoingTransport Transport `yaml:"outgoingTransport" json:"outgoingTransport,omitempty"`
	// Port the peer connects to. Default: 5061 with TLS, 5060 without.
	IncomingPort int `yaml:"incomingPort" json:"incomingPort,omitempty"`
	// X.509 subject common names or subject alternative names, one of which the
	// peer's certificate must carry. Compared whole and without regard to case;
	// no wildcards. Needed with TLS: without a name nobody is let in.
	AcceptedSubjects []string `yaml:"acceptedSubjects" json:"acceptedSubjects,omitempty"`
	// Accept REFER inside a call: the peer may send whoever it talks to elsewhere, as far as the trunk's calling search space reaches.
	AcceptTransfer bool `yaml:"acceptTransfer" json:"acceptTransfer,omitempty"`
	// Accept REFER outside a dialog.
	AcceptOutOfDialogRefer bool `yaml:"acceptOutOfDialogRefer" json:"acceptOutOfDialogRefer,omitempty"`
	// Accept NOTIFY without a subscription (message waiting from voicemail).
	AcceptUnsolicitedNotify bool `yaml:"acceptUnsolicitedNotify" json:"acceptUnsolicitedNotify,omitempty"`
	// Accept the Replaces header (attended transfer by the peer).
	AcceptReplaces bool `yaml:"acceptReplaces" json:"acceptReplaces,omitempty"`
	// Challenge the peer's requests for digest credentials, besides the certificate.
	DigestAuthentication bool `yaml:"digestAuthentication" json:"digestAuthentication,omitempty"`
	// User whose digest credentials the peer must show.
	DigestUser string `yaml:"digestUser" json:"digestUser,omitempty"`
	// Offer MD5 next to SHA-256 in digest challenges, and answer a peer that offers nothing better. Listed by `show exceptions`.
	DigestMD5 bool `yaml:"digestMD5" json:"digestMD5,omitempty"`
	// How long a digest nonce is good. Default: 10m.
	NonceValidity Duration `yaml:"nonceValidity" json:"nonceValidity,omitempty"`
}

// SIPTrunk is a connection to other call control.
type SIPTrunk struct {
	// Name of the trunk.
	Name string `yaml:"name" json:"name"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Where to send requests, tried in order. With SRV exactly one, a domain without a port.
	Destinations []Destination `yaml:"destinations" json:"destinations"`
	// The destination is a domain to be looked up by RFC 3263 (NAPTR and SRV).
	SRV bool `yaml:"srv" json:"srv,omitempty"`
	// Send and accept keys in SDP. Only with an encrypted security profile; without it the trunk's media is plain RTP.
	SRTPAllowed bool `yaml:"srtpAllowed" json:"srtpAllowed,omitempty"`
	// Always takes media through this node, whatever the SIP profile says; auto leaves it to the profile.
	MediaAnchor MediaAnchor `yaml:"mediaAnchor" json:"mediaAnchor,omitempty"`
	// Calling search space of calls that come in.
	CallingSearchSpace string `yaml:"callingSearchSpace" json:"callingSearchSpace,omitempty"`
	// What becomes of the numbers of calls that come in, before anything else: by rule they are made +E.164. The calling part is
	// also applied to the number of who answers a call that goes out.
	Incoming TrunkNumbers `yaml:"incoming" json:"incoming,omitzero"`
	// What becomes of the numbers of calls that go out, after everything else: the form the peer wants.
	Outgoing TrunkNumbers `yaml:"outgoing" json:"outgoing,omitzero"`
	// SIP trunk security profile.
	SecurityProfile string `yaml:"securityProfile" json:"securityProfile"`
	// SIP profile: timers, OPTIONS ping, early offer. Left out: the defaults.
	SIPProfile string `yaml:"sipProfile" json:"sipProfile,omitempty"`
	// Device pool: music on hold, and with a second node which nodes carry the trunk.
	DevicePool string `yaml:"devicePool" json:"devicePool"`
	// Name presented to the peer as the host of our addresses. Default: the cluster's domain.
	LocalDomain string `yaml:"localDomain" json:"localDomain,omitempty"`
	// Believe the peer which way its calls came (Diversion, History-Info). A mailbox system opens the mailbox that is named there, so only
	// peers that are trusted with that should be believed.
	AcceptRedirectingNumbers bool `yaml:"acceptRedirectingNumbers" json:"acceptRedirectingNumbers,omitempty"`
	// Which of several redirecting numbers the peer is told: all, the first (whom the caller dialled) or the last.
	RedirectingParty RedirectingParty `yaml:"redirectingParty" json:"redirectingParty,omitempty"`
	// Most calls on the trunk at the same time, in both directions together. Default: no limit.
	MaxCalls int `yaml:"maxCalls" json:"maxCalls,omitempty"`
	// User name by which we answer the peer's digest challenges within calls. With TLS only a peer that has proven its name gets an answer.
	DigestUser string `yaml:"digestUser" json:"digestUser,omitempty"`
	// Realm of the peer the credentials are for: the challenges of another one are not answered.
	DigestRealm string `yaml:"digestRealm" json:"digestRealm,omitempty"`
	// Password for it, or what `locktone hash --digest` made of it for this user and realm. Only the hash is kept.
	DigestPassword DigestVerifier `yaml:"digestPassword" json:"digestPassword,omitzero"`
}

// Destination is an address of a peer.
type Destination struct {
	// IP address or host name. With TLS a host name must be one the peer's certificate carries.
	Address string `yaml:"address" json:"address"`
	// Port. Default: 5061 with TLS, 5060 without.
	Port int `yaml:"port" json:"port,omitempty"`
}
