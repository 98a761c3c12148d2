package trustlist

import (
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
)

// rdn is one relative distinguished name of a Name: one attribute nearly always, several in theory.
type rdn []attribute

type attribute struct {
	oid   asn1.ObjectIdentifier
	value asn1.RawValue
}

// parseName reads a DER Name.
//
// RFC 5280, 4.1.2.4: Name ::= SEQUENCE OF SET OF SEQUENCE { type, value }.
func parseName(raw []byte) ([]rdn, error) {
	var sets []asn1.RawValue
	if rest, err := asn1.Unmarshal(raw, &sets); err != nil || len(rest) > 0 {
		return nil, fmt.Errorf("a name in DER: %w", orTrailing(err))
	}
	name := make([]rdn, 0, len(sets))
	for _, set := range sets {
		var pairs []struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		if rest, err := asn1.UnmarshalWithParams(set.FullBytes, &pairs, "set"); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("a relative distinguished name in DER: %w", orTrailing(err))
		}
		var r rdn
		for _, p := range pairs {
			r = append(r, attribute{p.Type, p.Value})
		}
		name = append(name, r)
	}
	return name, nil
}

func orTrailing(err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("bytes behind it")
}

// ASN.1 string types that the standard library has no name for.
const (
	tagUniversalString = 28
	tagVisibleString   = 26
)

// decodeString reads an ASN.1 string as Unicode; false for a type that is not text.
func decodeString(v asn1.RawValue) (string, bool) {
	if v.Class != asn1.ClassUniversal || v.IsCompound {
		return "", false
	}
	switch v.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String, tagVisibleString, asn1.TagNumericString:
		return string(v.Bytes), true
	case asn1.TagT61String: // read as Latin-1, as everybody does
		r := make([]rune, len(v.Bytes))
		for i, b := range v.Bytes {
			r[i] = rune(b)
		}
		return string(r), true
	case asn1.TagBMPString:
		if len(v.Bytes)%2 != 0 {
			return "", false
		}
		u := make([]uint16, len(v.Bytes)/2)
		for i := range u {
			u[i] = uint16(v.Bytes[2*i])<<8 | uint16(v.Bytes[2*i+1])
		}
		return string(utf16.Decode(u)), true
	case tagUniversalString:
		if len(v.Bytes)%4 != 0 {
			return "", false
		}
		r := make([]rune, len(v.Bytes)/4)
		for i := range r {
			b := v.Bytes[4*i:]
			r[i] = rune(b[0])<<24 | rune(b[1])<<16 | rune(b[2])<<8 | rune(b[3])
		}
		return string(r), true
	}
	return "", false
}

// attributeNames are the types with a short name; first the ranked ones, in the order in which the reference product writes
// them, CN;OU;O;L;ST;C, whatever the order in the certificate. Of the others no place in that order is known.
var attributeNames = []struct {
	oid, name string
	ranked    bool
}{
	{"2.5.4.3", "CN", true}, {"2.5.4.11", "OU", true}, {"2.5.4.10", "O", true}, {"2.5.4.7", "L", true}, {"2.5.4.8", "ST", true}, {"2.5.4.6", "C", true},
	{"2.5.4.5", "serialNumber", false}, {"2.5.4.9", "STREET", false}, {"2.5.4.4", "SN", false}, {"2.5.4.42", "GN", false}, {"2.5.4.12", "title", false},
	{"2.5.4.17", "postalCode", false}, {"0.9.2342.19200300.100.1.25", "DC", false}, {"0.9.2342.19200300.100.1.1", "UID", false},
	{"1.2.840.113549.1.9.1", "emailAddress", false},
}

// rank is the place of a relative distinguished name in the reference product's order; false when it has none.
func (r rdn) rank() (int, bool) {
	if len(r) != 1 {
		return 0, false
	}
	oid := r[0].oid.String()
	for i, a := range attributeNames {
		if a.oid == oid {
			return i, a.ranked
		}
	}
	return 0, false
}

// DN is the text of a DER Name (x509.Certificate.RawSubject, RawIssuer) as the reference product writes it in trust lists: leaf
// first, separated by semicolons: "CN=ucm1;OU=Voice;O=Lab;L=Graz;ST=Styria;C=AT". A name with other attributes than these
// six is written from its end that holds the CN to the other. Special characters are escaped by a backslash.
//
// RFC 4514, 2.4: escaping.
func DN(raw []byte) (string, error) {
	name, err := parseName(raw)
	if err != nil {
		return "", err
	}
	leafFirst(name)
	var b strings.Builder
	for i, r := range name {
		if i > 0 {
			b.WriteByte(';')
		}
		for j, a := range r {
			if j > 0 {
				b.WriteByte('+')
			}
			b.WriteString(a.text())
		}
	}
	return b.String(), nil
}

// leafFirst brings a name into the order in which it is written.
func leafFirst(name []rdn) {
	ranked, cn := true, -1
	for i, r := range name {
		n, ok := r.rank()
		ranked = ranked && ok
		if ok && n == 0 && cn < 0 {
			cn = i
		}
	}
	if cn < 0 || 2*cn >= len(name)-1 {
		slices.Reverse(name)
	}
	if ranked {
		slices.SortStableFunc(name, func(a, b rdn) int {
			i, _ := a.rank()
			j, _ := b.rank()
			return i - j
		})
	}
}

func (a attribute) text() string {
	key := a.oid.String()
	for _, n := range attributeNames {
		if n.oid == key {
			key = n.name
		}
	}
	s, ok := decodeString(a.value)
	if !ok {
		return key + "=#" + hex.EncodeToString(a.value.FullBytes)
	}
	return key + "=" + escape(s)
}

// escape protects what separates. A NUL would end the string for readers in C.
func escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case strings.ContainsRune(`,;+"\<>`, r), r == '#' && i == 0, r == ' ' && (i == 0 || i == len(s)-1):
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, "\\%02X", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// splitDN cuts a DN text at separators that are neither escaped nor quoted and returns "type=value" pieces in a form that
// compares byte by byte: type in upper case, value unescaped, in lower case, white space squeezed. A quotation mark that
// is never closed, as in the names of cut eToken records, quotes to the end.
func splitDN(s string) []string {
	var pieces []string
	var piece []byte
	quoted := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			n, b := unescape(s[i+1:])
			piece = append(piece, b)
			i += n
		case c == '"':
			quoted = !quoted
		case (c == ';' || c == ',') && !quoted:
			pieces, piece = append(pieces, foldPiece(piece)), nil
		default:
			piece = append(piece, c)
		}
	}
	if len(piece) > 0 || len(pieces) > 0 {
		pieces = append(pieces, foldPiece(piece))
	}
	return pieces
}

// unescape reads what stands behind a backslash: two hex digits or one byte.
func unescape(s string) (int, byte) {
	if len(s) >= 2 {
		if b, err := hex.DecodeString(s[:2]); err == nil {
			return 2, b[0]
		}
	}
	return 1, s[0]
}

func foldPiece(b []byte) string {
	key, value, _ := strings.Cut(string(b), "=")
	value = strings.Join(strings.FieldsFunc(value, unicode.IsSpace), " ")
	return strings.ToUpper(strings.TrimSpace(key)) + "=" + strings.ToLower(value)
}

// EqualDN compares two DN texts: either separator, either order (files in the field hold names leaf first, root first, and by
// type), types and values without letter case, white space squeezed.
func EqualDN(a, b string) bool {
	if a == b {
		return true
	}
	x, y := splitDN(a), splitDN(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

// CommonName is the CN in a DN text, the first when there are several; empty when there is none.
func CommonName(dn string) string {
	for rest := dn; rest != ""; {
		piece := rest
		rest = ""
		if i := separator(piece); i >= 0 {
			piece, rest = piece[:i], piece[i+1:]
		}
		if key, value, ok := strings.Cut(piece, "="); ok && strings.EqualFold(strings.TrimSpace(key), "CN") {
			return unquote(value)
		}
	}
	return ""
}

// separator is the index of the first semicolon or comma that is neither escaped nor quoted, -1 without.
func separator(s string) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ';', ',':
			if !quoted {
				return i
			}
		}
	}
	return -1
}

func unquote(s string) string {
	var b []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			n, c := unescape(s[i+1:])
			b = append(b, c)
			i += n
		case s[i] != '"':
			b = append(b, s[i])
		}
	}
	return strings.TrimSpace(string(b))
}
