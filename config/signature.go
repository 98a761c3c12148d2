package config

// FileSignature is the digest of the signatures on what phones and applications fetch.
type FileSignature uint8

// Values of FileSignature; the first is the default.
const (
	SignSHA256 FileSignature = iota
	SignSHA1
)

// Values lists the spellings of FileSignature.
func (FileSignature) Values() []string { return []string{"sha-256", "sha-1"} }

func (f FileSignature) String() string { return enumString(f, f.Values()) }

// MarshalText writes the value as a site file spells it.
func (f FileSignature) MarshalText() ([]byte, error) { return enumText(f, f.Values()) }

// UnmarshalText reads one of Values.
func (f *FileSignature) UnmarshalText(b []byte) error { return enumParse(f, f.Values(), b) }
