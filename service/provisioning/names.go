package provisioning

import (
	"strconv"
	"strings"
)

// Class is what a requested name means.
type Class uint8

// Classes.
const (
	ClassNone    Class = iota // never served: the answer is "no such file"
	ClassCTL                  // CTLFile.tlv, CTL<device>.tlv
	ClassCTLCAPF              // CTLCAPF<address in hex>.tlv; CTL<device>.tlv should a device be called so
	ClassITL                  // ITLFile.tlv, ITL<device>.tlv
	ClassConfig               // <device>.cnf.xml
	ClassDefault              // XMLDefault.cnf.xml
	ClassStatic               // a file of the folder
)

// String is the class in metrics and traces.
func (c Class) String() string {
	return [...]string{"none", "ctl", "ctl-capf", "itl", "config", "default", "static"}[c]
}

// Form is how the body is wrapped.
type Form uint8

// Forms.
const (
	Plain     Form = iota
	Signed         // .sgn
	Encrypted      // .enc.sgn; configurations only
)

// File is a name, understood.
type File struct {
	Class  Class
	Form   Form
	Device string // of a list or configuration; empty: the one for everybody
	// CAPF is the address in the name of ClassCTLCAPF as a number, without leading zeros.
	CAPF uint32
	// Path is the slash-separated path in the folder, without .sgn for Signed.
	Path string
}

// Bounds of a name.
const (
	maxNameLength = 255
	maxSegments   = 8
)

// Resolve understands a requested name: pure and case-sensitive, and what it does not know is static or nothing. One leading slash
// is forgiven. Generated names are never looked for in the folder.
//
//	CTLFile.tlv                 everybody's CTL           CTLSEP001122334455.tlv      this device's
//	CTLCAPF0A6A63C5.tlv         for clients of the CAPF at 10.106.99.197; also CTLCAPFA6A63C5.tlv
//	ITLFile.tlv, ITLSEP<MAC>.tlv
//	SEP<MAC>.cnf.xml            also .sgn and .enc.sgn; any device name in place of SEP<MAC>
//	XMLDefault.cnf.xml          also .sgn
//	a/b.xml                     a file of the folder; a/b.xml.sgn is the same, signed when there is no such file
func Resolve(name string) File {
	name = strings.TrimPrefix(name, "/")
	if !decent(name) {
		return File{}
	}
	if strings.HasSuffix(name, ".tlv") || strings.HasSuffix(name, ".tlv.sgn") {
		return resolveList(name)
	}
	base, form := strip(name)
	if device, ok := strings.CutSuffix(base, ".cnf.xml"); ok && !strings.Contains(base, "/") {
		if device == "XMLDefault" {
			if form == Encrypted {
				return File{}
			}
			return File{Class: ClassDefault, Form: form}
		}
		return File{Class: ClassConfig, Form: form, Device: device}
	}
	if strings.HasSuffix(base, ".cnf.xml") { // in the folder they could hold what generated ones never do
		return File{}
	}
	if static, signed := strings.CutSuffix(name, ".sgn"); signed {
		return File{Class: ClassStatic, Form: Signed, Path: static}
	}
	return File{Class: ClassStatic, Path: name}
}

// strip takes the ending of a wrapped file off.
func strip(name string) (base string, form Form) {
	if base, ok := strings.CutSuffix(name, ".enc.sgn"); ok {
		return base, Encrypted
	}
	if base, ok := strings.CutSuffix(name, ".sgn"); ok {
		return base, Signed
	}
	return name, Plain
}

func resolveList(name string) File {
	stem, ok := strings.CutSuffix(name, ".tlv")
	switch {
	case !ok || strings.Contains(stem, "/"):
		return File{}
	case stem == "CTLFile":
		return File{Class: ClassCTL}
	case stem == "ITLFile":
		return File{Class: ClassITL}
	case strings.HasPrefix(stem, "CTLCAPF"):
		device := stem[len("CTL"):]
		if addr, ok := capfAddress(stem[len("CTLCAPF"):]); ok {
			return File{Class: ClassCTLCAPF, CAPF: addr, Device: device}
		}
		return File{Class: ClassCTL, Device: device}
	case len(stem) > 3 && strings.HasPrefix(stem, "CTL"):
		return File{Class: ClassCTL, Device: stem[3:]}
	case len(stem) > 3 && strings.HasPrefix(stem, "ITL"):
		return File{Class: ClassITL, Device: stem[3:]}
	}
	return File{}
}

// capfAddress reads an IPv4 address as upper-case hex, with or without leading zeros.
func capfAddress(hex string) (uint32, bool) {
	for _, c := range []byte(hex) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return 0, false
		}
	}
	if len(hex) == 0 || len(hex) > 8 || hex[0] == '0' && len(hex) < 8 { // some zeros, but not all of them: nobody asks so
		return 0, false
	}
	v, err := strconv.ParseUint(hex, 16, 32)
	return uint32(v), err == nil
}

// decent accepts relative slash-separated paths of printable ASCII, none of whose segments is empty, a dot file or the cache list.
func decent(name string) bool {
	if name == "" || len(name) > maxNameLength || strings.Count(name, "/") >= maxSegments {
		return false
	}
	for _, c := range []byte(name) {
		if c < ' ' || c > '~' || c == '\\' || c == ':' || c == '%' {
			return false
		}
	}
	for segment := range strings.SplitSeq(name, "/") {
		// The attack tools of the field begin with the cache list, in any case.
		if segment == "" || segment[0] == '.' || segment[0] == ' ' || strings.HasPrefix(strings.ToLower(segment), "configfilecachelist") {
			return false
		}
	}
	return true
}
