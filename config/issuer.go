package config

// CertificateIssuer says who issues the certificates of phones and applications.
type CertificateIssuer uint8

// Values of CertificateIssuer; the first is the default.
const (
	IssuerOwn CertificateIssuer = iota
	IssuerOffline
	IssuerOnline
)

// Values lists the spellings of CertificateIssuer.
func (CertificateIssuer) Values() []string { return []string{"own", "offline", "online"} }

func (c CertificateIssuer) String() string { return enumString(c, c.Values()) }

// MarshalText writes the value as a site file spells it.
func (c CertificateIssuer) MarshalText() ([]byte, error) { return enumText(c, c.Values()) }

// UnmarshalText reads one of Values.
func (c *CertificateIssuer) UnmarshalText(b []byte) error { return enumParse(c, c.Values(), b) }
