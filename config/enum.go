package config

import (
	"fmt"
	"slices"
	"strings"
)

// enumerated is implemented by every enumeration of the package: a small
// integer whose value indexes Values; the zero value is the default and the
// most secure choice.
type enumerated interface{ Values() []string }

func enumString[T ~uint8](v T, names []string) string {
	if int(v) < len(names) {
		return names[v]
	}
	return fmt.Sprintf("invalid(%d)", v)
}

func enumText[T ~uint8](v T, names []string) ([]byte, error) {
	if int(v) < len(names) {
		return []byte(names[v]), nil
	}
	return nil, fmt.Errorf("value %d is not one of %s", v, strings.Join(names, ", "))
}

func enumParse[T ~uint8](v *T, names []string, text []byte) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		return fmt.Errorf("%q is not one of %s", text, strings.Join(names, ", "))
	}
	*v = T(i)
	return nil
}

// SecurityMode is the cluster's security mode.
type SecurityMode uint8

// Values of SecurityMode; the first is the default.
const (
	Mixed SecurityMode = iota
	NonSecureCluster
)

// Values lists the spellings of SecurityMode.
func (SecurityMode) Values() []string { return []string{"mixed", "non-secure"} }

func (s SecurityMode) String() string { return enumString(s, s.Values()) }

// MarshalText writes the value as a site file spells it.
func (s SecurityMode) MarshalText() ([]byte, error) { return enumText(s, s.Values()) }

// UnmarshalText reads one of Values.
func (s *SecurityMode) UnmarshalText(b []byte) error { return enumParse(s, s.Values(), b) }

// DeviceSecurityMode says how signalling and media of a phone or trunk are protected.
type DeviceSecurityMode uint8

// Values of DeviceSecurityMode; the first is the default.
const (
	Encrypted DeviceSecurityMode = iota
	Authenticated
	NonSecure
)

// Values lists the spellings of DeviceSecurityMode.
func (DeviceSecurityMode) Values() []string {
	return []string{"encrypted", "authenticated", "non-secure"}
}

func (d DeviceSecurityMode) String() string { return enumString(d, d.Values()) }

// MarshalText writes the value as a site file spells it.
func (d DeviceSecurityMode) MarshalText() ([]byte, error) { return enumText(d, d.Values()) }

// UnmarshalText reads one of Values.
func (d *DeviceSecurityMode) UnmarshalText(b []byte) error { return enumParse(d, d.Values(), b) }

// Transport is a SIP transport. TransportDefault follows the device security mode.
type Transport uint8

// Values of Transport; the first is the default.
const (
	TransportDefault Transport = iota
	TransportTLS
	TransportTCP
	TransportUDP
	TransportTCPUDP
)

// Values lists the spellings of Transport.
func (Transport) Values() []string { return []string{"default", "tls", "tcp", "udp", "tcp+udp"} }

func (t Transport) String() string { return enumString(t, t.Values()) }

// MarshalText writes the value as a site file spells it.
func (t Transport) MarshalText() ([]byte, error) { return enumText(t, t.Values()) }

// UnmarshalText reads one of Values.
func (t *Transport) UnmarshalText(b []byte) error { return enumParse(t, t.Values(), b) }

// CAPFAuthenticationMode says how a phone proves itself when it asks for a certificate.
type CAPFAuthenticationMode uint8

// Values of CAPFAuthenticationMode; the first is the default.
const (
	CAPFAuthenticationString CAPFAuthenticationMode = iota
	CAPFExistingLSC
	CAPFExistingMIC
	CAPFNullString
)

// Values lists the spellings of CAPFAuthenticationMode.
func (CAPFAuthenticationMode) Values() []string {
	return []string{"authentication-string", "existing-certificate-lsc", "existing-certificate-mic", "null-string"}
}

func (c CAPFAuthenticationMode) String() string { return enumString(c, c.Values()) }

// MarshalText writes the value as a site file spells it.
func (c CAPFAuthenticationMode) MarshalText() ([]byte, error) { return enumText(c, c.Values()) }

// UnmarshalText reads one of Values.
func (c *CAPFAuthenticationMode) UnmarshalText(b []byte) error { return enumParse(c, c.Values(), b) }

// DeviceCertificate says which certificates a device may show.
type DeviceCertificate uint8

// Values of DeviceCertificate; the first is the default.
const (
	CertificateLSC DeviceCertificate = iota
	CertificateLSCOrMIC
)

// Values lists the spellings of DeviceCertificate.
func (DeviceCertificate) Values() []string { return []string{"lsc", "lsc-or-mic"} }

func (d DeviceCertificate) String() string { return enumString(d, d.Values()) }

// MarshalText writes the value as a site file spells it.
func (d DeviceCertificate) MarshalText() ([]byte, error) { return enumText(d, d.Values()) }

// UnmarshalText reads one of Values.
func (d *DeviceCertificate) UnmarshalText(b []byte) error { return enumParse(d, d.Values(), b) }

// KeyOrder says which kind of key pair a phone makes.
type KeyOrder uint8

// Values of KeyOrder; the first is the default.
const (
	ECPreferred KeyOrder = iota
	ECOnly
	RSAOnly
)

// Values lists the spellings of KeyOrder.
func (KeyOrder) Values() []string { return []string{"ec-preferred-rsa-backup", "ec-only", "rsa-only"} }

func (k KeyOrder) String() string { return enumString(k, k.Values()) }

// MarshalText writes the value as a site file spells it.
func (k KeyOrder) MarshalText() ([]byte, error) { return enumText(k, k.Values()) }

// UnmarshalText reads one of Values.
func (k *KeyOrder) UnmarshalText(b []byte) error { return enumParse(k, k.Values(), b) }

// EarlyOffer says whether outgoing INVITEs carry an SDP offer.
type EarlyOffer uint8

// Values of EarlyOffer; the first is the default.
const (
	EarlyOfferDisabled EarlyOffer = iota
	EarlyOfferBestEffort
	EarlyOfferMandatory
)

// Values lists the spellings of EarlyOffer.
func (EarlyOffer) Values() []string { return []string{"disabled", "best-effort", "mandatory"} }

func (e EarlyOffer) String() string { return enumString(e, e.Values()) }

// MarshalText writes the value as a site file spells it.
func (e EarlyOffer) MarshalText() ([]byte, error) { return enumText(e, e.Values()) }

// UnmarshalText reads one of Values.
func (e *EarlyOffer) UnmarshalText(b []byte) error { return enumParse(e, e.Values(), b) }

// Rel1xx says when provisional responses are sent reliably (RFC 3262).
type Rel1xx uint8

// Values of Rel1xx; the first is the default.
const (
	Rel1xxDisabled Rel1xx = iota
	Rel1xxSDP
	Rel1xxAll
)

// Values lists the spellings of Rel1xx.
func (Rel1xx) Values() []string { return []string{"disabled", "sdp", "all"} }

func (r Rel1xx) String() string { return enumString(r, r.Values()) }

// MarshalText writes the value as a site file spells it.
func (r Rel1xx) MarshalText() ([]byte, error) { return enumText(r, r.Values()) }

// UnmarshalText reads one of Values.
func (r *Rel1xx) UnmarshalText(b []byte) error { return enumParse(r, r.Values(), b) }

// MediaAnchor says whether media passes through the node.
type MediaAnchor uint8

// Values of MediaAnchor; the first is the default.
const (
	AnchorAuto MediaAnchor = iota
	AnchorAlways
)

// Values lists the spellings of MediaAnchor.
func (MediaAnchor) Values() []string { return []string{"auto", "always"} }

func (m MediaAnchor) String() string { return enumString(m, m.Values()) }

// MarshalText writes the value as a site file spells it.
func (m MediaAnchor) MarshalText() ([]byte, error) { return enumText(m, m.Values()) }

// UnmarshalText reads one of Values.
func (m *MediaAnchor) UnmarshalText(b []byte) error { return enumParse(m, m.Values(), b) }

// Refresher says who refreshes a session (RFC 4028).
type Refresher uint8

// Values of Refresher; the first is the default.
const (
	RefresherAuto Refresher = iota
	RefresherUAC
	RefresherUAS
)

// Values lists the spellings of Refresher.
func (Refresher) Values() []string { return []string{"auto", "uac", "uas"} }

func (r Refresher) String() string { return enumString(r, r.Values()) }

// MarshalText writes the value as a site file spells it.
func (r Refresher) MarshalText() ([]byte, error) { return enumText(r, r.Values()) }

// UnmarshalText reads one of Values.
func (r *Refresher) UnmarshalText(b []byte) error { return enumParse(r, r.Values(), b) }

// EncryptedConfig says when a phone's configuration file is encrypted to its certificate.
type EncryptedConfig uint8

// Values of EncryptedConfig; the first is the default.
const (
	EncryptWhenPossible EncryptedConfig = iota
	EncryptRequired
	EncryptOff
)

// Values lists the spellings of EncryptedConfig.
func (EncryptedConfig) Values() []string { return []string{"when-possible", "required", "off"} }

func (e EncryptedConfig) String() string { return enumString(e, e.Values()) }

// MarshalText writes the value as a site file spells it.
func (e EncryptedConfig) MarshalText() ([]byte, error) { return enumText(e, e.Values()) }

// UnmarshalText reads one of Values.
func (e *EncryptedConfig) UnmarshalText(b []byte) error { return enumParse(e, e.Values(), b) }

// Protocol is the signalling protocol of a phone.
type Protocol uint8

// Values of Protocol; the first is the default.
const (
	ProtocolSIP Protocol = iota
	ProtocolSCCP
	ProtocolCTIPort
	ProtocolCTIRoutePoint
)

// Values lists the spellings of Protocol.
func (Protocol) Values() []string { return []string{"sip", "sccp", "cti-port", "cti-route-point"} }

// Terminal says whether the device is no phone but belongs to an application, by CTI.
func (p Protocol) Terminal() bool { return p == ProtocolCTIPort || p == ProtocolCTIRoutePoint }

func (p Protocol) String() string { return enumString(p, p.Values()) }

// MarshalText writes the value as a site file spells it.
func (p Protocol) MarshalText() ([]byte, error) { return enumText(p, p.Values()) }

// UnmarshalText reads one of Values.
func (p *Protocol) UnmarshalText(b []byte) error { return enumParse(p, p.Values(), b) }

// Role is what a user may do in administration.
type Role uint8

// Values of Role; the first is the default.
const (
	RoleNone Role = iota
	RoleViewer
	RoleOperator
	RoleAdministrator
)

// Values lists the spellings of Role.
func (Role) Values() []string { return []string{"none", "viewer", "operator", "administrator"} }

func (r Role) String() string { return enumString(r, r.Values()) }

// MarshalText writes the value as a site file spells it.
func (r Role) MarshalText() ([]byte, error) { return enumText(r, r.Values()) }

// UnmarshalText reads one of Values.
func (r *Role) UnmarshalText(b []byte) error { return enumParse(r, r.Values(), b) }

// ServiceName names a service a node can run.
type ServiceName uint8

// Values of ServiceName; the first is the default.
const (
	ServiceNone ServiceName = iota
	ServiceCallManager
	ServiceAdmin
	ServiceCAPF
	ServiceProvisioning
	ServiceTVS
	ServiceCTIManager
	ServiceVoicemail
	ServiceBorder
	ServiceCallServer
	ServiceVoiceBrowser
	ServiceContactCenter
	ServiceBus
)

// Values lists the spellings of ServiceName.
func (ServiceName) Values() []string {
	return []string{"none", "callmanager", "admin", "capf", "provisioning", "tvs", "ctimanager", "voicemail", "border", "callserver", "voicebrowser", "contactcenter", "bus"}
}

func (s ServiceName) String() string { return enumString(s, s.Values()) }

// MarshalText writes the value as a site file spells it.
func (s ServiceName) MarshalText() ([]byte, error) { return enumText(s, s.Values()) }

// UnmarshalText reads one of Values.
func (s *ServiceName) UnmarshalText(b []byte) error { return enumParse(s, s.Values(), b) }

// Discard is a digit discard instruction.
type Discard uint8

// Values of Discard; the first is the default.
const (
	DiscardNone Discard = iota
	DiscardPreDot
	DiscardTrailingPound
	DiscardPreDotTrailingPound
)

// Values lists the spellings of Discard.
func (Discard) Values() []string {
	return []string{"none", "pre-dot", "trailing-pound", "pre-dot-trailing-pound"}
}

func (d Discard) String() string { return enumString(d, d.Values()) }

// MarshalText writes the value as a site file spells it.
func (d Discard) MarshalText() ([]byte, error) { return enumText(d, d.Values()) }

// UnmarshalText reads one of Values.
func (d *Discard) UnmarshalText(b []byte) error { return enumParse(d, d.Values(), b) }

// Presentation says whether the other side may see the caller's number.
type Presentation uint8

// Values of Presentation; the first is the default.
const (
	PresentationDefault Presentation = iota
	PresentationAllowed
	PresentationRestricted
)

// Values lists the spellings of Presentation.
func (Presentation) Values() []string { return []string{"default", "allowed", "restricted"} }

func (p Presentation) String() string { return enumString(p, p.Values()) }

// MarshalText writes the value as a site file spells it.
func (p Presentation) MarshalText() ([]byte, error) { return enumText(p, p.Values()) }

// UnmarshalText reads one of Values.
func (p *Presentation) UnmarshalText(b []byte) error { return enumParse(p, p.Values(), b) }

// Distribution is the order in which a route group's trunks are tried.
type Distribution uint8

// Values of Distribution; the first is the default.
const (
	TopDown Distribution = iota
	Circular
)

// Values lists the spellings of Distribution.
func (Distribution) Values() []string { return []string{"top-down", "circular"} }

func (d Distribution) String() string { return enumString(d, d.Values()) }

// MarshalText writes the value as a site file spells it.
func (d Distribution) MarshalText() ([]byte, error) { return enumText(d, d.Values()) }

// UnmarshalText reads one of Values.
func (d *Distribution) UnmarshalText(b []byte) error { return enumParse(d, d.Values(), b) }

// AppletType is what a built-in test number does.
type AppletType uint8

// Values of AppletType; the first is the default.
const (
	AppletEcho AppletType = iota
	AppletTone
	AppletMusic
)

// Values lists the spellings of AppletType.
func (AppletType) Values() []string { return []string{"echo", "tone", "music"} }

func (a AppletType) String() string { return enumString(a, a.Values()) }

// MarshalText writes the value as a site file spells it.
func (a AppletType) MarshalText() ([]byte, error) { return enumText(a, a.Values()) }

// UnmarshalText reads one of Values.
func (a *AppletType) UnmarshalText(b []byte) error { return enumParse(a, a.Values(), b) }
