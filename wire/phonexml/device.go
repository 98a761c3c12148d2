package phonexml

// Device is the content of <name>.cnf.xml. Fields are in the order in which they are written; an absent element is an empty
// field. Values that phones read as numbers or words stay text where we always write the same one: see Elements.
type Device struct {
	FullConfig     bool   // false: the short companion file, see Short
	DeviceProtocol string // SIP or SCCP
	// AddressMode is 0 (IPv4), 1 (IPv6) or 2 (both).
	AddressMode string
	Pool        Pool
	// TVS servers by priority, at most MaxServers.
	TVS []Server
	// SIP is nil for an SCCP phone.
	SIP *SIP
	// Lines are the buttons of an SCCP phone, which learns everything else about them when it registers.
	Lines []Line
	// Common and Vendor are open sets of leaf elements: which of them a phone knows depends on its model.
	Common, Vendor Settings
	// Load is the firmware without its extension; empty: the phone keeps what it has.
	Load string
	// Version is a UUID; a phone applies the file again when it changes. See Stamp.
	Version         string
	UserLocale      string
	NetworkLocale   string
	SecurityMode    SecurityMode
	Transport       Transport
	ResumptionTimer int // seconds a TLS session may be resumed
	// More are further leaf elements below device.
	More Settings
	// CAPFAuthMode is 0 when no operation waits.
	CAPFAuthMode CAPFAuthMode
	CAPF         []Server // at most MaxServers
	// CertHash is the lower-case hexadecimal MD5 of the DER of the certificate the large file is encrypted to; see CertHash.
	CertHash string
	// EncryptedConfig says that <name>.cnf.xml.enc.sgn must be fetched.
	EncryptedConfig bool
	OwnerID         string
}

// MaxServers is how many call managers, CAPF and TVS servers a phone takes from one list.
const MaxServers = 5

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
	Host string // name or address, at most 50 characters
	Port int
}

// Pool is devicePool.
type Pool struct {
	DateTemplate string // M/D/Y
	TimeZone     string // see TimeZone
	NTP          []NTP
	GroupName    string
	// Members of the call-manager group by priority, at most MaxServers.
	Members []Member
}

// NTP is one time server.
type NTP struct{ Name, Mode string }

// Member is one call manager. Ports are 0 where they are not written.
type Member struct {
	Host                              string // processNodeName
	SIPPort, SecureSIPPort            int
	EthernetPhonePort, SecureSCCPPort int
}

// SIP is sipProfile.
type SIP struct {
	Proxies, CallFeatures, Stack Settings
	// Settings are the leaf elements that stand directly in sipProfile, but for those below.
	Settings        Settings
	PhoneLabel      string
	VoIPControlPort int
	Lines           []Line
}

// Line is a button.
type Line struct {
	Button, Index int
	Feature       int // FeatureLine
	Label         string
	Proxy         string
	Port          int
	Name          string // what the phone registers
	DisplayName   string
	AuthName      string
	Contact       string
	Shared        bool
	MaxCalls      int
	BusyTrigger   int
	// Settings are the remaining leaf elements of the line.
	Settings Settings
}

// FeatureLine is the featureID of a directory number.
const FeatureLine = 9

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
