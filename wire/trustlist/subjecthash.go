package trustlist

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"encoding/asn1"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// SubjectHash is the name OpenSSL gives a certificate in a folder of trusted ones (`openssl x509 -subject_hash`): 8 hex digits
// of its RawSubject. The file is <hash>.0, and .1, .2 for others of the same hash.
//
// OpenSSL takes SHA-1 over a canonical form of the name: the relative distinguished names without the head of the outer
// sequence, texts as UTF-8 in lower case (ASCII letters only) without white space at the ends and with one space inside.
func SubjectHash(raw []byte) (string, error) {
	name, err := parseName(raw)
	if err != nil {
		return "", err
	}
	var b []byte
	for _, r := range name {
		set, err := r.canonical()
		if err != nil {
			return "", err
		}
		b = append(b, set...)
	}
	sum := sha1.Sum(b)
	return hash32(sum[:]), nil
}

// SubjectHashOld is what OpenSSL before 1.0 gave, and what old products still look for (`openssl x509 -subject_hash_old`): MD5 over the DER
// Name.
func SubjectHashOld(raw []byte) string {
	sum := md5.Sum(raw)
	return hash32(sum[:])
}

func hash32(sum []byte) string { return fmt.Sprintf("%08x", binary.LittleEndian.Uint32(sum)) }

// canonical is the SET OF of a relative distinguished name in canonical form.
func (r rdn) canonical() ([]byte, error) {
	pairs := make([][]byte, 0, len(r))
	for _, a := range r {
		value := a.value
		if s, ok := decodeString(value); ok && value.Tag != asn1.TagNumericString {
			value = asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagUTF8String, Bytes: []byte(canonicalText(s))}
		}
		der, err := asn1.Marshal(struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}{a.oid, value})
		if err != nil {
			return nil, fmt.Errorf("attribute %s of a name: %w", a.oid, err)
		}
		pairs = append(pairs, der)
	}
	slices.SortFunc(pairs, bytes.Compare) // DER orders a SET OF
	return asn1.Marshal(asn1.RawValue{Class: asn1.ClassUniversal, Tag: asn1.TagSet, IsCompound: true, Bytes: bytes.Join(pairs, nil)})
}

// asciiSpace is what OpenSSL takes for white space, in the C locale.
const asciiSpace = " \t\n\v\f\r"

func canonicalText(s string) string {
	words := strings.FieldsFunc(s, func(r rune) bool { return r < 0x80 && strings.ContainsRune(asciiSpace, r) })
	lower := []byte(strings.Join(words, " "))
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	return string(lower)
}
