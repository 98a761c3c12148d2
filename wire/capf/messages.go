package capf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
)

// AuthRequest opens the session: the server's first message.
type AuthRequest struct {
	Version uint8    // highest version the server speaks; real servers send 3
	Auth    AuthType // how the device is to authenticate
	NoAuth  bool     // AUTH_TYPE is left out, as real servers do towards soft clients
}

// Message encodes the request.
func (r AuthRequest) Message(session uint32) Message {
	m := Message{Command: CommandAuthRequest, Session: session}
	m.addByte(TagVersion, r.Version)
	if !r.NoAuth {
		m.addByte(TagAuthType, byte(r.Auth))
	}
	return m
}

// ParseAuthRequest decodes an AUTH_REQ. Both elements may be missing.
func ParseAuthRequest(m Message) (AuthRequest, error) {
	f := m.fields(CommandAuthRequest)
	r := AuthRequest{Version: f.byte(TagVersion), Auth: AuthType(f.byte(TagAuthType)), NoAuth: !f.has(TagAuthType)}
	return r, f.err()
}

// SignedData is a proof of possession: a signature over device name, NUL and certificate (SignProof, VerifyProof).
type SignedData struct {
	Digest    Digest
	Signature []byte
}

// SUDI is the proof by a secure unique device identity (SignSUDI, VerifySUDI).
type SUDI struct {
	Certificate []byte // DER
	SHA1        []byte // signature, may be missing
	SHA512      []byte // signature, may be missing
}

// Version numbers and the clients that send them.
const (
	VersionJTAPI  = 1 // CTI applications; knows KEY_SIZE alone
	VersionJabber = 2 // soft clients
	VersionPhone  = 3 // phones; knows EC keys
)

// AuthResponse is who the client is and what proves it.
type AuthResponse struct {
	Reason   Reason
	Info     string
	Version  uint8
	Device   string // SEP..., CSF..., CTI-<instance id>
	Password Secret
	// Existing certificates with their proofs; empty without authentication by certificate.
	Certificates []Certificate
	SHA1         []byte     // SIGNED_DATA
	SHA2         SignedData // SHA2_SIGNED_DATA
	SUDI         *SUDI
	// NoPassword leaves PASSWORD out, as soft clients do; an empty password is sent as an empty text otherwise.
	NoPassword bool
}

// Message encodes the response as clients of its version do: 1 and 2 put VERSION first, phones sort the elements by their
// tags; 1 has texts without NUL.
func (r AuthResponse) Message(session uint32) Message {
	m := Message{Command: CommandAuthResponse, Session: session}
	end := withNUL
	if r.Version == VersionJTAPI {
		end = func(s string) []byte { return []byte(s) }
	}
	m.addByte(TagVersion, r.Version)
	if r.Version == VersionJTAPI {
		m.addResult(r.Reason, r.Info)
	}
	m.add(TagDeviceName, end(r.Device))
	if !r.NoPassword {
		m.add(TagPassword, end(r.Password.Reveal()))
	}
	if r.Version != VersionJTAPI {
		m.addResult(r.Reason, r.Info)
	}
	r.addCertificates(&m)
	if r.Version != VersionJTAPI && r.Version != VersionJabber {
		slices.SortStableFunc(m.Elements, func(a, b Element) int { return cmp.Compare(a.Tag, b.Tag) })
	}
	return m
}

func (r AuthResponse) addCertificates(m *Message) {
	if len(r.Certificates) > 0 {
		m.add(TagCertificate, appendCertificates(nil, r.Certificates))
	}
	if len(r.SHA1) > 0 {
		m.add(TagSignedData, r.SHA1)
	}
	if len(r.SHA2.Signature) > 0 {
		m.add(TagSHA2SignedData, appendNested(nil, byte(r.SHA2.Digest), r.SHA2.Signature))
	}
	if r.SUDI != nil {
		v := appendNested(nil, 0, r.SUDI.Certificate)
		if len(r.SUDI.SHA1) > 0 {
			v = appendNested(v, byte(DigestSHA1), r.SUDI.SHA1)
		}
		if len(r.SUDI.SHA512) > 0 {
			v = appendNested(v, byte(DigestSHA512), r.SUDI.SHA512)
		}
		m.add(TagSUDI, v)
	}
}

// ParseAuthResponse decodes an AUTH_RES. Everything but DEVICE_NAME may be missing; REASON then counts as ReasonOK.
func ParseAuthResponse(m Message) (AuthResponse, error) {
	f := m.fields(CommandAuthResponse)
	r := AuthResponse{Version: f.byte(TagVersion), Info: f.text(TagReasonInfo), Device: f.text(TagDeviceName), Password: NewSecret(f.text(TagPassword)),
		NoPassword: !f.has(TagPassword), Reason: f.reason(ReasonOK), Certificates: f.certificates(), SHA1: f.value(TagSignedData)}
	if f.has(TagSHA2SignedData) {
		r.SHA2 = f.signed()
	}
	if f.has(TagSUDI) {
		r.SUDI = f.sudi()
	}
	if r.Device == "" {
		f.fail(0, "DEVICE_NAME is missing")
	}
	return r, f.err()
}

// KeygenRequest orders a key.
type KeygenRequest struct {
	Type  KeyType
	Size  int   // bits, RSA
	Curve Curve // EC
	// Version is the client's. KEY_TYPE goes out for EC, and for RSA to clients of version 3: a JTAPI client closes the
	// connection when it is there.
	Version uint8
	Digest  Digest // DIGEST_TYPE, left out when zero
}

// Message encodes the request.
func (r KeygenRequest) Message(session uint32) Message {
	m := Message{Command: CommandKeygenRequest, Session: session}
	if r.Type == KeyRSA {
		m.add(TagKeySize, binary.BigEndian.AppendUint16(nil, uint16(r.Size)))
	}
	if r.Type != KeyRSA || r.Version >= VersionPhone {
		m.addByte(TagKeyType, byte(r.Type))
	}
	if r.Type == KeyEC {
		m.addByte(TagCurve, byte(r.Curve))
	}
	if r.Digest != DigestNone {
		m.addByte(TagDigestType, byte(r.Digest))
	}
	return m
}

// ParseKeygenRequest decodes a KEYGEN_REQ. An RSA order needs KEY_SIZE; an EC order CURVE. Version is not on the wire.
func ParseKeygenRequest(m Message) (KeygenRequest, error) {
	f := m.fields(CommandKeygenRequest)
	r := KeygenRequest{Type: KeyType(f.byte(TagKeyType)), Size: f.uint(TagKeySize, 2), Curve: Curve(f.byte(TagCurve)), Digest: Digest(f.byte(TagDigestType))}
	switch {
	case r.Type > KeyEC:
		f.fail(0, "KEY_TYPE %d is neither RSA (0) nor EC (1)", uint8(r.Type))
	case r.Type == KeyRSA && !f.has(TagKeySize):
		f.fail(0, "KEY_SIZE is missing")
	case r.Type == KeyEC && !f.has(TagCurve):
		f.fail(0, "CURVE is missing")
	case r.Type == KeyEC && r.Curve.Bits() == 0:
		f.fail(0, "CURVE %d is none of P-256 (0), P-384 (1), P-521 (2)", uint8(r.Curve))
	}
	return r, f.err()
}

// KeygenResponse brings the public key. Nothing proves that the device holds the private one.
type KeygenResponse struct {
	Reason    Reason // ReasonOK when left out on the wire
	Info      string
	PublicKey []byte // SubjectPublicKeyInfo, DER; empty when Reason is not ReasonOK
}

// Message encodes the response; ReasonOK without a text is left out of the wire, as phones do.
func (r KeygenResponse) Message(session uint32) Message {
	m := Message{Command: CommandKeygenResponse, Session: session}
	if r.Reason != ReasonOK || r.Info != "" {
		m.addResult(r.Reason, r.Info)
	}
	if len(r.PublicKey) > 0 {
		m.add(TagPublicKey, r.PublicKey)
	}
	return m
}

// ParseKeygenResponse decodes a KEYGEN_RES.
func ParseKeygenResponse(m Message) (KeygenResponse, error) {
	f := m.fields(CommandKeygenResponse)
	r := KeygenResponse{Reason: f.reason(ReasonOK), Info: f.text(TagReasonInfo), PublicKey: f.value(TagPublicKey)}
	if r.Reason == ReasonOK && len(r.PublicKey) == 0 {
		f.fail(0, "PUBLIC_KEY is missing")
	}
	return r, f.err()
}

// StoreRequest hands over the certificate. A JTAPI client breaks on more than one, so there is one.
type StoreRequest struct {
	Type        CertType    // CERT_TYPE; CertNone leaves it out
	Certificate Certificate // CERTIFICATE with a count of 1
}

// Message encodes the request.
func (r StoreRequest) Message(session uint32) Message {
	m := Message{Command: CommandStoreRequest, Session: session}
	if r.Type != CertNone {
		m.addByte(TagCertType, byte(r.Type))
	}
	m.add(TagCertificate, appendCertificates(nil, []Certificate{r.Certificate}))
	return m
}

// ParseStoreRequest decodes a STORE_CERT_REQ: its first certificate is the device's.
func ParseStoreRequest(m Message) (StoreRequest, error) {
	f := m.fields(CommandStoreRequest)
	r := StoreRequest{Type: CertType(f.byte(TagCertType))}
	if list := f.certificates(); len(list) > 0 {
		r.Certificate = list[0]
	} else {
		f.fail(0, "CERTIFICATE is missing")
	}
	return r, f.err()
}

// StoreResponse says whether the certificate is stored.
type StoreResponse struct {
	Reason Reason
	Info   string
}

// Message encodes the response.
func (r StoreResponse) Message(session uint32) Message {
	m := Message{Command: CommandStoreResponse, Session: session}
	m.addResult(r.Reason, r.Info)
	return m
}

// ParseStoreResponse decodes a STORE_CERT_RES; REASON must be there.
func ParseStoreResponse(m Message) (StoreResponse, error) {
	f := m.fields(CommandStoreResponse)
	r := StoreResponse{Reason: f.mustReason(), Info: f.text(TagReasonInfo)}
	return r, f.err()
}

// FetchRequest asks for the certificate the device holds. It has no elements; never send it to a client of version 1, which
// hangs.
type FetchRequest struct{}

// Message encodes the request.
func (FetchRequest) Message(session uint32) Message {
	return Message{Command: CommandFetchRequest, Session: session}
}

// FetchResponse brings the certificates the device holds.
type FetchResponse struct {
	Reason       Reason
	Info         string
	Certificates []Certificate
}

// Message encodes the response.
func (r FetchResponse) Message(session uint32) Message {
	m := Message{Command: CommandFetchResponse, Session: session}
	m.addResult(r.Reason, r.Info)
	if len(r.Certificates) > 0 {
		m.add(TagCertificate, appendCertificates(nil, r.Certificates))
	}
	return m
}

// ParseFetchResponse decodes a FETCH_CERT_RES.
func ParseFetchResponse(m Message) (FetchResponse, error) {
	f := m.fields(CommandFetchResponse)
	r := FetchResponse{Reason: f.reason(ReasonOK), Info: f.text(TagReasonInfo), Certificates: f.certificates()}
	return r, f.err()
}

// DeleteRequest asks the device to delete its LSC. It has no elements.
type DeleteRequest struct{}

// Message encodes the request.
func (DeleteRequest) Message(session uint32) Message {
	return Message{Command: CommandDeleteRequest, Session: session}
}

// DeleteResponse says whether the LSC is gone.
type DeleteResponse struct {
	CertID []byte // sent by JTAPI clients, three zero octets
	Reason Reason
	Info   string
}

// Message encodes the response.
func (r DeleteResponse) Message(session uint32) Message {
	m := Message{Command: CommandDeleteResponse, Session: session}
	if len(r.CertID) > 0 {
		m.add(TagCertID, r.CertID)
	}
	m.addResult(r.Reason, r.Info)
	return m
}

// ParseDeleteResponse decodes a DELETE_CERT_RES; REASON must be there.
func ParseDeleteResponse(m Message) (DeleteResponse, error) {
	f := m.fields(CommandDeleteResponse)
	r := DeleteResponse{CertID: f.value(TagCertID), Reason: f.mustReason(), Info: f.text(TagReasonInfo)}
	return r, f.err()
}

// EndSession ends the session; the client closes the connection after it.
type EndSession struct {
	Reason Reason
	Info   string // no client observed shows it
}

// Message encodes the message.
func (r EndSession) Message(session uint32) Message {
	m := Message{Command: CommandEndSession, Session: session}
	m.addResult(r.Reason, r.Info)
	return m
}

// ParseEndSession decodes an END_SESSION; REASON must be there.
func ParseEndSession(m Message) (EndSession, error) {
	f := m.fields(CommandEndSession)
	r := EndSession{Reason: f.mustReason(), Info: f.text(TagReasonInfo)}
	return r, f.err()
}

// RetryLater sends the client away for a while. JTAPI clients take it as a failure.
type RetryLater struct {
	Seconds int // RETRY_DELAY; 0 when it is missing. The unit is inferred.
}

// Message encodes the message.
func (r RetryLater) Message(session uint32) Message {
	m := Message{Command: CommandRetryLater, Session: session}
	m.add(TagRetryDelay, binary.BigEndian.AppendUint32(nil, uint32(max(r.Seconds, 0))))
	return m
}

// ParseRetryLater decodes a RETRY_LATER; the delay may have one, two or four octets.
func ParseRetryLater(m Message) (RetryLater, error) {
	f := m.fields(CommandRetryLater)
	r := RetryLater{Seconds: f.uint(TagRetryDelay, 1, 2, 4)}
	return r, f.err()
}

// InProgress says that the request takes its time: phones send it before they make a key.
type InProgress struct{}

// Message encodes the message.
func (InProgress) Message(session uint32) Message {
	return Message{Command: CommandInProgress, Session: session}
}

func (m *Message) add(t Tag, v []byte) { m.Elements = append(m.Elements, Element{t, v}) }

func (m *Message) addByte(t Tag, v byte) { m.add(t, []byte{v}) }

func (m *Message) addResult(r Reason, info string) {
	m.addByte(TagReason, byte(r))
	if info != "" {
		m.add(TagReasonInfo, []byte(info))
	}
}

func withNUL(s string) []byte { return append([]byte(s), 0) }

func trimNUL(v []byte) []byte {
	if n := len(v); n > 0 && v[n-1] == 0 {
		return v[:n-1]
	}
	return v
}

func appendNested(b []byte, tag byte, v []byte) []byte {
	b = append(b, tag)
	b = binary.BigEndian.AppendUint16(b, uint16(len(v)))
	return append(b, v...)
}

// fields reads the elements of one message and keeps the first thing that is wrong.
type fields struct {
	m     Message
	at    map[Tag]int // offset of the value in the message
	known map[Tag][]byte
	first *ParseError
}

func (m Message) fields(want Command) *fields {
	f := &fields{m: m, at: map[Tag]int{}, known: map[Tag][]byte{}}
	if m.Command != want {
		f.fail(1, "%s where %s was expected", m.Command, want)
		return f
	}
	offset := headLen
	for _, e := range m.Elements {
		if _, twice := f.known[e.Tag]; twice && e.Tag.known() {
			f.fail(offset, "%s is there twice", e.Tag) // the reader's choice between two names must not decide who it is
		}
		f.known[e.Tag], f.at[e.Tag] = e.Value, offset+3
		offset += 3 + len(e.Value)
	}
	return f
}

func (f *fields) fail(offset int, format string, args ...any) {
	if f.first == nil {
		f.first = bad(offset, f.m.Command.String()+": "+format, args...)
	}
}

func (f *fields) err() error {
	if f.first == nil {
		return nil
	}
	return f.first
}

func (f *fields) has(t Tag) bool { _, ok := f.known[t]; return ok }

func (f *fields) value(t Tag) []byte { return f.known[t] }

func (f *fields) byte(t Tag) byte { return byte(f.uint(t, 1)) }

// uint is an unsigned integer of one of the sizes given; 0 when the element is missing.
func (f *fields) uint(t Tag, sizes ...int) int {
	v, ok := f.known[t]
	if !ok {
		return 0
	}
	for _, n := range sizes {
		if len(v) == n {
			out := 0
			for _, b := range v {
				out = out<<8 | int(b)
			}
			return out
		}
	}
	f.fail(f.at[t], "%s has %d octets, not %s", t, len(v), fmt.Sprint(sizes))
	return 0
}

func (f *fields) reason(missing Reason) Reason {
	if !f.has(TagReason) {
		return missing
	}
	return Reason(f.byte(TagReason))
}

func (f *fields) mustReason() Reason {
	if !f.has(TagReason) {
		f.fail(headLen, "REASON is missing")
	}
	return Reason(f.byte(TagReason))
}

// text is a text with or without its NUL. A NUL or another control character inside is refused.
func (f *fields) text(t Tag) string {
	v := trimNUL(f.known[t])
	for i, c := range v {
		if c < 0x20 || c == 0x7F {
			f.fail(f.at[t]+i, "%s holds the control character 0x%02x", t, c)
			return ""
		}
	}
	return string(v)
}

func (f *fields) certificates() []Certificate {
	v, ok := f.known[TagCertificate]
	if !ok {
		return nil
	}
	list, err := parseCertificates(v)
	if err != nil {
		f.fail(f.at[TagCertificate]+err.Offset, "%s", err.What)
	}
	return list
}

// nested splits tag u8, length u16, value inside the element t.
func (f *fields) nested(t Tag, each func(tag byte, v []byte)) {
	v, at := f.known[t], 0
	for at < len(v) {
		if len(v)-at < 3 || int(binary.BigEndian.Uint16(v[at+1:])) > len(v)-at-3 {
			f.fail(f.at[t]+at, "%s ends inside an entry", t)
			return
		}
		n := int(binary.BigEndian.Uint16(v[at+1:]))
		each(v[at], v[at+3:at+3+n])
		at += 3 + n
	}
}

func (f *fields) signed() (s SignedData) {
	count := 0
	f.nested(TagSHA2SignedData, func(tag byte, v []byte) { s = SignedData{Digest(tag), v}; count++ })
	if count != 1 {
		f.fail(f.at[TagSHA2SignedData], "SHA2_SIGNED_DATA holds %d signatures, not one", count)
	}
	return s
}

func (f *fields) sudi() *SUDI {
	s, seen := &SUDI{}, map[byte]bool{}
	f.nested(TagSUDI, func(tag byte, v []byte) {
		if seen[tag] {
			f.fail(f.at[TagSUDI], "SUDI_DATA has entry %d twice", tag)
		}
		seen[tag] = true
		switch tag {
		case 0:
			s.Certificate = v
		case byte(DigestSHA1):
			s.SHA1 = v
		case byte(DigestSHA512):
			s.SHA512 = v
		}
	})
	if len(s.Certificate) == 0 {
		f.fail(f.at[TagSUDI], "SUDI_DATA has no certificate")
	}
	return s
}
