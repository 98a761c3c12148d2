package trustlist

import (
	"crypto"
	"fmt"
	"strings"
)

// The tags of a header, of trust lists and of signed files alike. Containers (SignerID, SignatureInfo,
// SignatureAlgorithmInfo, Encryption, IVInfo, KeyInfo) hold their children inline.
const (
	TagVersion                uint8 = 1  // u8 major, u8 minor
	TagHeaderLength           uint8 = 2  // u16: bytes from the start of the file to the end of the padding
	TagSignerID               uint8 = 3  // container of 4, 5 and 6
	TagSignerName             uint8 = 4  // subject of the signer, NUL
	TagSerialNumber           uint8 = 5  // serial of the signer, big-endian, no sign byte
	TagCAName                 uint8 = 6  // issuer of the signer, NUL
	TagSignatureInfo          uint8 = 7  // container of 8 and 9
	TagDigestAlgorithm        uint8 = 8  // u8, a Digest
	TagSignatureAlgorithmInfo uint8 = 9  // container of 10 and 11
	TagSignatureAlgorithm     uint8 = 10 // u8: 0 is RSA PKCS #1 v1.5
	TagSignatureModulus       uint8 = 11 // u8, a Modulus
	TagSignature              uint8 = 12 // the signature; the only element that is not signed
	TagPadding                uint8 = 13 // one bare byte, no length and no value
	TagFilename               uint8 = 14 // NUL
	TagTimestamp              uint8 = 15 // u32, seconds since 1970
	TagEncryptionInfo         uint8 = 16 // container of 17 to 25
	TagIVInfo                 uint8 = 17 // container of 18, 19 and 20
	TagIVAlgorithm            uint8 = 18 // u8: 0
	TagIV                     uint8 = 19 // 16 bytes
	TagPaddingLength          uint8 = 20 // u16: pad bytes behind the plaintext, 1 to 16
	TagKeyInfo                uint8 = 21 // container of 22 to 25
	TagKeyForm                uint8 = 22 // u8: 0
	TagKeySize                uint8 = 23 // u16: bits of the device's RSA key
	TagKeyAlgorithm           uint8 = 24 // u8: 1
	TagKey                    uint8 = 25 // the AES-128 key, RSA PKCS #1 v1.5 for the device
	TagHashAlgorithm          uint8 = 26 // u8: 1 is SHA-1
	TagHash                   uint8 = 27 // of the plaintext without its padding
	TagSignerVersion          uint8 = 28 // u8 major, u8 minor
)

// The tags of a record.
const (
	TagRecordLength        uint8 = 1  // u16: the whole record, these five bytes included
	TagDNSName             uint8 = 2  // host name or dotted address, NUL
	TagSubjectName         uint8 = 3  // NUL
	TagFunction            uint8 = 4  // u16, a Role
	TagIssuerName          uint8 = 5  // NUL
	TagRecordSerial        uint8 = 6  // big-endian, no sign byte
	TagPublicKey           uint8 = 7  // RSA: RSAPublicKey DER; EC: 04 X Y
	TagRecordSignature     uint8 = 8  // the signature value of the certificate
	TagCertificate         uint8 = 9  // DER
	TagIPAddress           uint8 = 10 // 4 bytes; 16 for IPv6
	TagCertificateHash     uint8 = 11 // SHA-1 of the certificate, in place of 9
	TagCertificateHashAlgo uint8 = 12 // u8: 1 is SHA-1
)

// A Version is a major and a minor number.
type Version struct{ Major, Minor uint8 }

// Versions seen in the field.
var (
	VersionList      = Version{1, 2} // CTL and ITL
	VersionFirmware  = Version{1, 1} // firmware images
	VersionSigned    = Version{1, 0} // .sgn
	VersionEncrypted = Version{2, 0} // .enc.sgn
	SignerVersion10  = Version{1, 0}
	SignerVersion11  = Version{1, 1} // in an ITL: newer phones use HTTPS on 6971 and EC keys with CAPF
)

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// A Role is what a record vouches for. The zero value is on the wire the strongest role, SAST; a Record always has the
// role it was read with, so a zero Role is never "not set".
type Role uint16

// Roles. 5, 6 and 8 to 15 are inferred from the order of an enumeration in a public interface and are never written.
const (
	RoleSAST      Role = 0  // System Administrator Security Token: may sign lists
	RoleCCM       Role = 1  // call manager
	RoleCCMTFTP   Role = 2  // call manager and TFTP server: may sign configurations
	RoleTFTP      Role = 3  // TFTP server: may sign configurations
	RoleCAPF      Role = 4  // certificate authority proxy function
	RoleSRST      Role = 5  // inferred
	RoleFirewall  Role = 6  // inferred
	RoleAppServer Role = 7  // HTTPS services, VPN
	RoleTVS       Role = 21 // trust verification service
)

var roleNames = map[Role]string{
	RoleSAST: "System Administrator Security Token", RoleCCM: "CCM", RoleCCMTFTP: "CCM+TFTP", RoleTFTP: "TFTP",
	RoleCAPF: "CAPF", RoleSRST: "SRST", RoleFirewall: "FIREWALL", RoleAppServer: "APP-SERVER", RoleTVS: "TVS",
}

// String is the role as `show ctl` prints it.
func (r Role) String() string {
	if s, ok := roleNames[r]; ok {
		return s
	}
	return fmt.Sprintf("role %d", uint16(r))
}

// SignsLists reports whether phones take a new list from a signer that they hold in this role: SAST, CCM+TFTP or TFTP.
func (r Role) SignsLists() bool { return r == RoleSAST || r.SignsConfigs() }

// SignsConfigs reports whether phones take signed configurations from this role: CCM+TFTP or TFTP.
func (r Role) SignsConfigs() bool { return r == RoleCCMTFTP || r == RoleTFTP }

// ParseRole reads a role as String writes it, its short name ("SAST") or its number; letter case does not matter.
func ParseRole(s string) (Role, error) {
	for r, name := range roleNames {
		if strings.EqualFold(s, name) {
			return r, nil
		}
	}
	if strings.EqualFold(s, "SAST") {
		return RoleSAST, nil
	}
	var n uint16
	if _, err := fmt.Sscanf(s, "%d", &n); err == nil && fmt.Sprint(n) == s {
		return Role(n), nil
	}
	return 0, fmt.Errorf("role %q: expected SAST, CCM, CCM+TFTP, TFTP, CAPF, APP-SERVER, TVS or a number", s)
}

// A Digest is the digest algorithm of a signature together with the reading of its code: code 3 means SHA-512 to phones
// and SHA-384 to JTAPI clients, which have code 4 for SHA-512. The zero value is what everybody reads alike and is secure.
type Digest uint8

// Digests to sign with.
const (
	SHA256      Digest = iota // code 2, the default
	SHA1                      // code 1: the oldest phones
	SHA512                    // code 3 as phones (8800 and 7800 class) read it; JTAPI clients refuse it
	SHA384                    // code 3 as JTAPI clients read it; phones refuse it
	SHA512Code4               // code 4 as JTAPI clients read it
)

type digest struct {
	code uint8
	hash crypto.Hash
	name string
}

var digests = [...]digest{SHA256: {2, crypto.SHA256, "SHA-256"}, SHA1: {1, crypto.SHA1, "SHA-1"}, SHA512: {3, crypto.SHA512, "SHA-512"},
	SHA384: {3, crypto.SHA384, "SHA-384"}, SHA512Code4: {4, crypto.SHA512, "SHA-512 (code 4)"}}

// Code is the digest's number on the wire.
func (d Digest) Code() uint8 { return d.entry().code }

// Hash is the hash function.
func (d Digest) Hash() crypto.Hash { return d.entry().hash }

func (d Digest) String() string { return d.entry().name }

func (d Digest) entry() digest {
	if int(d) < len(digests) {
		return digests[d]
	}
	return digests[SHA256]
}

// A Reading says whose table of digest codes a verifier uses.
type Reading uint8

// Readings.
const (
	AnyReading   Reading = iota // 1, 2, 3 as SHA-512 or SHA-384, 4 as SHA-512: what at least one known reader accepts
	PhoneReading                // 1 SHA-1, 2 SHA-256, 3 SHA-512
	JTAPIReading                // 1 SHA-1, 2 SHA-256, 3 SHA-384, 4 SHA-512
)

// Hashes lists what a digest code may mean to this reader, none for a code it does not know.
func (r Reading) Hashes(code uint8) []crypto.Hash {
	switch {
	case code == 1:
		return []crypto.Hash{crypto.SHA1}
	case code == 2:
		return []crypto.Hash{crypto.SHA256}
	case code == 3 && r == PhoneReading:
		return []crypto.Hash{crypto.SHA512}
	case code == 3 && r == JTAPIReading:
		return []crypto.Hash{crypto.SHA384}
	case code == 3:
		return []crypto.Hash{crypto.SHA512, crypto.SHA384}
	case code == 4 && r != PhoneReading:
		return []crypto.Hash{crypto.SHA512}
	}
	return nil
}

// modulusCodes are the sizes of an RSA signer that the header can express. 3072 bits have no code.
var modulusCodes = []int{0: 512, 1: 1024, 2: 2048, 3: 4096}
