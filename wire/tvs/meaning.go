package tvs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of what elements mean.
const (
	maxDevice = 128  // bytes of a device name
	maxDN     = 4096 // bytes of a distinguished name
	maxSerial = 64   // bytes of a serial number; RFC 5280, 4.1.2.2: at most 20, and there are certificates that break it
)

// DeviceType is the first byte of the device name element. Phones send 1, the same byte that means "phone" in the
// enrolment protocol.
const DeviceType = 1

// Request is a question. With a Certificate it is VERIFY, else QUERY.
type Request struct {
	Session uint32
	// Device is how the phone calls itself, such as CP-8861-SEP001122334455; empty when it did not say. It is a claim.
	Device     string
	DeviceType byte
	// Certificate is the DER of the certificate asked about: VERIFY.
	Certificate []byte
	// Subject, Issuer and Serial name a certificate: QUERY. The names are text as trust lists have it (CN=a;O=b, leaf
	// first), the serial number is big-endian with or without a leading zero. A phone may leave out the Subject.
	Subject, Issuer string
	Serial          []byte
}

// Command is VerifyRequest or QueryRequest.
func (r Request) Command() Command {
	if r.Certificate != nil {
		return VerifyRequest
	}
	return QueryRequest
}

// Message puts the request into a frame, in the order in which phones send the elements.
func (r Request) Message() Message {
	m := Message{Command: r.Command(), Session: r.Session}
	if r.Device != "" {
		m.add(TagDevice, append([]byte{r.DeviceType}, r.Device...))
	}
	if r.Certificate != nil {
		m.add(TagCertificate, r.Certificate)
		return m
	}
	if r.Subject != "" {
		m.add(TagSubject, text(r.Subject))
	}
	m.add(TagIssuer, text(r.Issuer))
	m.add(TagSerial, r.Serial)
	return m
}

// Request reads the frame as a question. Elements it does not know are passed over; errors are *ParseError.
func (m Message) Request() (Request, error) {
	r := Request{Session: m.Session}
	if m.Command.Answer() == 0 {
		return r, wrong(2, "%s is no request", m.Command)
	}
	if err := r.readDevice(m); err != nil {
		return r, err
	}
	if m.Command == VerifyRequest {
		b, at, found, err := m.find(TagCertificate)
		switch {
		case err != nil:
			return r, err
		case !found || len(b) == 0:
			return r, wrong(max(at, headerSize), "%s without a certificate", m.Command)
		}
		r.Certificate = b
		return r, nil
	}
	return r, r.readNames(m)
}

func (r *Request) readDevice(m Message) error {
	b, at, found, err := m.find(TagDevice)
	if err != nil || !found {
		return err
	}
	if len(b) < 2 || len(b) > 1+maxDevice {
		return wrong(at, "a device name has one byte of type and 1 to %d bytes of name, there are %d", maxDevice, len(b))
	}
	if i := bytes.IndexFunc(b[1:], func(c rune) bool { return c < 0x21 || c > 0x7e }); i >= 0 {
		return wrong(at+elementHead+1+i, "a device name is of printable ASCII without spaces")
	}
	r.DeviceType, r.Device = b[0], string(b[1:])
	return nil
}

// readNames reads what a QUERY names the certificate by.
func (r *Request) readNames(m Message) error {
	subject, at, found, err := m.find(TagSubject)
	if err != nil {
		return err
	}
	if found {
		var ok bool
		if r.Subject, ok = name(subject); !ok {
			return wrong(at, "the subject is no distinguished name (type=value, ended by NUL)")
		}
	}
	four, at4, found4, err := m.find(TagIssuer)
	if err != nil {
		return err
	}
	five, at5, found5, err := m.find(TagSerial)
	switch {
	case err != nil:
		return err
	case !found4 || !found5:
		return wrong(headerSize, "%s without issuer and serial number", m.Command)
	}
	issuer, ok := name(four)
	serial, atSerial := five, at5
	if !ok { // the other reading of the two tags
		if issuer, ok = name(five); !ok {
			return wrong(at4, "neither element %d nor %d is a distinguished name (type=value, ended by NUL)", TagIssuer, TagSerial)
		}
		serial, atSerial = four, at4
	}
	if len(serial) == 0 || len(serial) > maxSerial {
		return wrong(atSerial, "a serial number has 1 to %d bytes, there are %d", maxSerial, len(serial))
	}
	r.Issuer, r.Serial = issuer, serial
	return nil
}

// name reads a distinguished name; ok tells whether it looks like one. One end mark is taken off; a NUL or a control
// character elsewhere would let two readers see different names.
func name(b []byte) (s string, ok bool) {
	b = bytes.TrimSuffix(b, []byte{0})
	if len(b) == 0 || len(b) > maxDN || !utf8.Valid(b) {
		return "", false
	}
	s = string(b)
	return s, strings.Contains(s, "=") && strings.IndexFunc(s, unicode.IsControl) < 0
}

func text(s string) []byte { return append([]byte(s), 0) }

func (m *Message) add(t Tag, value []byte) { m.Elements = append(m.Elements, Element{t, value}) }

// Status is the verdict of an answer. The zero value of the type is the protocol's "found"; Response says whether there
// was a status at all.
type Status uint8

// The statuses.
const (
	Found    Status = 0 // the certificate is known and may be trusted for the roles that follow
	NotFound Status = 1 // it is unknown, or not trusted any more
)

// String is the status in words.
func (s Status) String() string {
	switch s {
	case Found:
		return "found"
	case NotFound:
		return "not found"
	}
	return fmt.Sprintf("status %d", uint8(s))
}

// Response is an answer.
type Response struct {
	Query   bool // it answers a QUERY
	Session uint32
	Status  Status
	// Certificate is the one asked for by a QUERY, in DER; nil in the answer to a VERIFY.
	Certificate []byte
	// Roles are what it may be trusted as: the numbers of trust lists, one byte each.
	Roles []byte
	// TTL is for how many seconds the phone may remember the answer; nothing is sent with a status that is not Found.
	TTL uint32
}

// Message puts the answer into a frame. An answer that is not Found has its status alone.
func (r Response) Message() Message {
	m := Message{Command: VerifyResponse, Session: r.Session}
	if r.Query {
		m.Command = QueryResponse
	}
	m.add(TagStatus, []byte{byte(r.Status)})
	if r.Status != Found {
		return m
	}
	if r.Certificate != nil {
		m.add(TagCertificate, r.Certificate)
	}
	m.add(TagRoles, r.Roles)
	m.add(TagTTL, binary.BigEndian.AppendUint32(nil, r.TTL))
	return m
}

// Response reads the frame as an answer. Elements it does not know are passed over; errors are *ParseError.
func (m Message) Response() (Response, error) {
	r := Response{Session: m.Session, Query: m.Command == QueryResponse}
	if m.Command != VerifyResponse && m.Command != QueryResponse {
		return r, wrong(2, "%s is no response", m.Command)
	}
	status, at, found, err := m.find(TagStatus)
	switch {
	case err != nil:
		return r, err
	case !found:
		return r, wrong(headerSize, "%s without a status", m.Command)
	case len(status) != 1:
		return r, wrong(at, "a status has one byte, there are %d", len(status))
	}
	r.Status = Status(status[0])
	if r.Certificate, _, _, err = m.find(TagCertificate); err != nil {
		return r, err
	}
	if r.Roles, _, _, err = m.find(TagRoles); err != nil {
		return r, err
	}
	ttl, at, found, err := m.find(TagTTL)
	switch {
	case err != nil || !found:
		return r, err
	case len(ttl) != 4:
		return r, wrong(at, "a TTL has four bytes, there are %d", len(ttl))
	}
	r.TTL = binary.BigEndian.Uint32(ttl)
	return r, nil
}
