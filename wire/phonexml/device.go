package phonexml

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Protocols of a phone.
const (
	SIPProtocol  = "SIP"
	SCCPProtocol = "SCCP"
)

// Device is the content of <name>.cnf.xml. Fields are in the order in which they are written; an element without a value of
// ours is an empty field and is not written. What depends on a phone's model stands in Settings: see Elements.
type Device struct {
	FullConfig     bool   // false: the short companion of an encrypted file, see Short
	DeviceProtocol string // SIPProtocol or SCCPProtocol
	Family         Family // of the call managers
	Pool           Pool
	TVS            []Server // by priority, at most MaxServers
	// SIP is nil for an SCCP phone.
	SIP *SIP
	// Lines are the buttons of an SCCP phone, which learns the rest when it registers.
	Lines []Line
	// MissedCalls has a 1 or 0 for each line: whether a missed call is logged.
	MissedCalls string
	// Common and Vendor are open sets of leaf elements: which of them a phone knows depends on its model.
	Common, Vendor Settings
	Load           string // firmware without its extension; empty: the phone keeps what it has
	Version        string // a UUID: a phone applies the file again when it changes. See Stamp
	SecurityMode   SecurityMode
	Transport      Transport
	CAPFAuthMode   CAPFAuthMode
	CAPF           []Server // at most MaxServers
	// CertHash tells to which certificate the encrypted file belongs; see the function CertHash.
	CertHash string
	// EncryptedConfig says that <name>.cnf.xml.enc.sgn must be fetched.
	EncryptedConfig bool
	OwnerID         string
	// More are further leaf elements directly below device.
	More Settings
}

// MaxServers is how many call managers, CAPF and TVS servers a phone takes from one list.
const MaxServers = 5

// MaxHost is the longest host name or address a phone takes, in characters.
const MaxHost = 50

// Family is ipAddressMode.
type Family uint8

// Values of Family.
const (
	IPv4 Family = 0
	IPv6 Family = 1
	Both Family = 2
)

// SecurityMode is deviceSecurityMode.
type SecurityMode uint8

// Values of SecurityMode.
const (
	SecurityUnknown SecurityMode = 0
	NonSecure       SecurityMode = 1 // no TLS
	Authenticated   SecurityMode = 2 // TLS, RTP in the clear
	Encrypted       SecurityMode = 3 // TLS and SRTP
)

// Transport is transportLayerProtocol.
type Transport uint8

// Values of Transport.
const (
	TransportUnknown Transport = 0
	TCP              Transport = 1
	UDP              Transport = 2
	TLS              Transport = 3
	TCPAndUDP        Transport = 4 // seen in files for SCCP phones
)

// CAPFAuthMode is capfAuthMode: what the phone shows when it asks for a certificate.
type CAPFAuthMode uint8

// Values of CAPFAuthMode.
const (
	CAPFNone       CAPFAuthMode = 0 // no operation waits
	CAPFString     CAPFAuthMode = 1 // authentication string, keyed in by the user
	CAPFNullString CAPFAuthMode = 2
	CAPFLSC        CAPFAuthMode = 3 // present certificate, LSC first
	CAPFMIC        CAPFAuthMode = 4 // present certificate, MIC first
)

// Server is a host with a port.
type Server struct {
	Host string // name or address
	Port int
}

// Pool is devicePool.
type Pool struct {
	DateTemplate string // D/M/YY
	TimeZone     string // see TimeZone
	NTP          []NTP
	GroupName    string
	Members      []Member // by priority, at most MaxServers
}

// NTP is one time server.
type NTP struct{ Name, Mode string }

// Member is one call manager. Ports that are 0 are not written.
type Member struct {
	Host                     string // processNodeName
	SCCPPort, SecureSCCPPort int
	SIPPort, SecureSIPPort   int
}

// Ports of SCCP, which has no place for them in the configuration of a site.
const (
	SCCPPort       = 2000
	SecureSCCPPort = 2443
)

// SIP is sipProfile.
type SIP struct {
	Proxies, CallFeatures, Stack Settings
	// Settings are the leaf elements that stand directly in sipProfile, but for those below.
	Settings        Settings
	PhoneLabel      string // at most MaxPhoneLabel characters
	VoIPControlPort int
	Lines           []Line
}

// Lengths a phone takes, in characters.
const (
	MaxPhoneLabel = 12
	MaxLineText   = 30 // labels and names of a line
)

// Line is a button.
type Line struct {
	Button, Index int // Index 0: not written
	Feature       int // FeatureLine and the like
	Label         string
	Proxy         string
	Port          int
	Name          string // what the phone registers
	DisplayName   string
	AutoAnswer    Settings
	CallWaiting   string // 0 or 1
	AuthName      string
	Contact       string
	Shared        bool
	ForwardInfo   Settings
	MaxCalls      int
	BusyTrigger   int
	// Settings are the remaining leaf elements of the line.
	Settings Settings
}

// Values of featureID.
const (
	FeatureSpeedDial = 2
	FeatureLine      = 9 // a directory number
	FeatureBusyLamp  = 21
)

// Setting is a leaf element.
type Setting struct{ Name, Value string }

// Settings are leaf elements in order.
type Settings []Setting

// Get returns the value of the first setting of that name.
func (s Settings) Get(name string) (string, bool) {
	for _, x := range s {
		if x.Name == name {
			return x.Value, true
		}
	}
	return "", false
}

// With returns the settings with one value replaced or added.
func (s Settings) With(name, value string) Settings {
	out := append(Settings(nil), s...)
	for i := range out {
		if out[i].Name == name {
			out[i].Value = value
			return out
		}
	}
	return append(out, Setting{name, value})
}

// Short is the companion that stands beside an encrypted file under the plain name: enough for a phone to find CAPF when its
// certificate is not the one the file was encrypted to. certificate is the DER of that one; nil: the phone has none yet and must get it.
func Short(d *Device, certificate []byte) *Device {
	s := &Device{DeviceProtocol: d.DeviceProtocol, Family: d.Family, Load: d.Load, CAPFAuthMode: d.CAPFAuthMode, CAPF: d.CAPF, EncryptedConfig: true}
	if certificate != nil {
		s.CertHash = CertHash(certificate)
	}
	return s
}

// CertHash is the text of certHash: lower-case hexadecimal MD5 of a certificate's DER. It identifies, it does not protect: who
// changed it would have to sign the file.
func CertHash(der []byte) string {
	sum := md5.Sum(der)
	return hex.EncodeToString(sum[:])
}

// Stamp returns the version stamp of a configuration: a UUID made from the rest of its content (RFC 9562, 5.8, a hash of our own
// choice), so that a phone applies a file again exactly when something in it changed, whichever node wrote it.
func Stamp(d *Device) (string, error) {
	bare := *d
	bare.Version = ""
	b, err := Marshal(&bare)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(b)
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80 // RFC 9562, 4.1 and 4.2: version 8, variant 10
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16]), nil
}
