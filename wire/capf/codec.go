package capf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/locktone/locktone/wire/secret"
)

// Port is where CAPF listens.
const Port = 3804

const (
	magic   = 0x55
	headLen = 8
	// MaxBody is the longest body Read accepts unless told otherwise: three certificates with their proofs need about 8 KiB.
	MaxBody = 32 << 10
	// MaxElements bounds the elements of a message; the longest one known has ten.
	MaxElements = 64
)

// Command is what a message asks or answers.
type Command uint8

// The commands. The direction is of the ones observed: S>C from the server, C>S from the client.
const (
	CommandAuthRequest    Command = 1  // S>C
	CommandAuthResponse   Command = 2  // C>S
	CommandKeygenRequest  Command = 3  // S>C
	CommandKeygenResponse Command = 4  // C>S
	CommandEncryptRes     Command = 5  // never observed
	CommandEncryptReq     Command = 6  // never observed
	CommandDecryptRes     Command = 7  // never observed
	CommandDecryptReq     Command = 8  // never observed
	CommandStoreRequest   Command = 9  // S>C
	CommandStoreResponse  Command = 10 // C>S
	CommandFetchRequest   Command = 11 // S>C
	CommandFetchResponse  Command = 12 // C>S
	CommandDeleteRequest  Command = 13 // S>C
	CommandDeleteResponse Command = 14 // C>S
	CommandEndSession     Command = 15 // S>C
	CommandRetryLater     Command = 16 // S>C
	CommandInProgress     Command = 17 // C>S, empty body
	CommandStatusRequest  Command = 18 // never observed from a server that a client answered
	CommandStatusResponse Command = 19 // C>S, a JTAPI client's answer to 17
	CommandAbortRequest   Command = 20 // never observed
	CommandAbortResponse  Command = 21 // never observed
	CommandSignRequest    Command = 22 // never observed
	CommandSignResponse   Command = 23 // never observed
)

var commandNames = [...]string{
	CommandAuthRequest: "AUTH_REQ", CommandAuthResponse: "AUTH_RES", CommandKeygenRequest: "KEYGEN_REQ", CommandKeygenResponse: "KEYGEN_RES",
	CommandEncryptRes: "ENCRYPT_RES", CommandEncryptReq: "ENCRYPT_REQ", CommandDecryptRes: "DECRYPT_RES", CommandDecryptReq: "DECRYPT_REQ",
	CommandStoreRequest: "STORE_CERT_REQ", CommandStoreResponse: "STORE_CERT_RES", CommandFetchRequest: "FETCH_CERT_REQ", CommandFetchResponse: "FETCH_CERT_RES",
	CommandDeleteRequest: "DELETE_CERT_REQ", CommandDeleteResponse: "DELETE_CERT_RES", CommandEndSession: "END_SESSION", CommandRetryLater: "RETRY_LATER",
	CommandInProgress: "REQUEST_IN_PROGRESS", CommandStatusRequest: "STATUS_REQ", CommandStatusResponse: "STATUS_RES",
	CommandAbortRequest: "ABORT_REQ", CommandAbortResponse: "ABORT_RES", CommandSignRequest: "SIGN_CERT_REQ", CommandSignResponse: "SIGN_CERT_RES",
}

// String is the field's name of the command, or its number.
func (c Command) String() string {
	if int(c) < len(commandNames) && commandNames[c] != "" {
		return commandNames[c]
	}
	return fmt.Sprintf("COMMAND_%d", uint8(c))
}

// Tag says what an element is.
type Tag uint8

// The elements.
const (
	TagReason         Tag = 1  // u8, Reason
	TagReasonInfo     Tag = 2  // text
	TagCertType       Tag = 3  // u8, CertType
	TagCertificate    Tag = 4  // list of certificates
	TagCertID         Tag = 5  // three octets observed, all zero
	TagSignedData     Tag = 6  // proof of possession, SHA-1
	TagVersion        Tag = 7  // u8
	TagAuthType       Tag = 8  // u8, AuthType
	TagPublicKey      Tag = 9  // SubjectPublicKeyInfo, DER
	TagKeySize        Tag = 10 // u16, bits
	TagPassword       Tag = 11 // text
	TagRetryDelay     Tag = 12 // integer, seconds (unit inferred)
	TagDeviceName     Tag = 13 // text
	TagSUDI           Tag = 16 // certificate and signatures of the secure unique device identity
	TagKeyType        Tag = 17 // u8, KeyType
	TagCurve          Tag = 18 // u8, Curve
	TagDigestType     Tag = 19 // u8, Digest
	TagSHA2SignedData Tag = 20 // proof of possession: Digest u8, length u16, signature
)

var tagNames = [...]string{
	TagReason: "REASON", TagReasonInfo: "REASON_INFO", TagCertType: "CERT_TYPE", TagCertificate: "CERTIFICATE", TagCertID: "CERT_ID", TagSignedData: "SIGNED_DATA",
	TagVersion: "VERSION", TagAuthType: "AUTH_TYPE", TagPublicKey: "PUBLIC_KEY", TagKeySize: "KEY_SIZE", TagPassword: "PASSWORD", TagRetryDelay: "RETRY_DELAY",
	TagDeviceName: "DEVICE_NAME", TagSUDI: "SUDI_DATA", TagKeyType: "KEY_TYPE", TagCurve: "CURVE", TagDigestType: "DIGEST_TYPE", TagSHA2SignedData: "SHA2_SIGNED_DATA",
}

// String is the field's name of the element, or its number.
func (t Tag) String() string {
	if t.known() {
		return tagNames[t]
	}
	return fmt.Sprintf("ELEMENT_%d", uint8(t))
}

func (t Tag) known() bool { return int(t) < len(tagNames) && tagNames[t] != "" }

// An Element is one tagged value. Value is as on the wire.
type Element struct {
	Tag   Tag
	Value []byte
}

// A Message is one frame: a command and its elements in the order of the wire.
type Message struct {
	Command  Command
	Session  uint32 // chosen by the server, echoed by the client
	Elements []Element
}

// ParseError says where a message is wrong.
type ParseError struct {
	Offset int    // from the message's first octet
	What   string // what was found and what was expected
}

// Error is one sentence.
func (e *ParseError) Error() string {
	return fmt.Sprintf("capf: octet %d: %s", e.Offset, e.What)
}

func bad(offset int, format string, args ...any) *ParseError {
	return &ParseError{Offset: offset, What: fmt.Sprintf(format, args...)}
}

// Decode decodes exactly one message; what follows it is an error. The elements' values are copies.
func Decode(b []byte) (Message, error) {
	m, length, err := decodeHead(b, 0xFFFF)
	if err != nil {
		return Message{}, err
	}
	switch have := len(b) - headLen; {
	case have < length:
		return Message{}, bad(len(b), "the message ends after %d of %d octets of its body", have, length)
	case have > length:
		return Message{}, bad(headLen+length, "%d octets follow the message's end", have-length)
	}
	return m, decodeBody(&m, b[headLen:])
}

// decodeHead reads the eight octets in front and returns the length of the body.
func decodeHead(b []byte, limit int) (m Message, length int, err error) {
	if len(b) < headLen {
		return m, 0, bad(len(b), "a message has a head of %d octets; there are %d", headLen, len(b))
	}
	if b[0] != magic {
		return m, 0, bad(0, "a message begins with 0x55; got 0x%02x: is the peer speaking CAPF?", b[0])
	}
	length = int(binary.BigEndian.Uint16(b[6:]))
	if length > limit {
		return m, 0, bad(6, "a body of %d octets is longer than the %d allowed", length, limit)
	}
	return Message{Command: Command(b[1]), Session: binary.BigEndian.Uint32(b[2:])}, length, nil
}

func decodeBody(m *Message, body []byte) error {
	for at := 0; at < len(body); {
		rest := body[at:]
		if len(rest) < 3 {
			return bad(headLen+at, "an element has a head of 3 octets; there are %d", len(rest))
		}
		n := int(binary.BigEndian.Uint16(rest[1:]))
		if n > len(rest)-3 {
			return bad(headLen+at+1, "%s claims %d octets; the body holds %d more", Tag(rest[0]), n, len(rest)-3)
		}
		if len(m.Elements) == MaxElements {
			return bad(headLen+at, "more than %d elements", MaxElements)
		}
		m.Elements = append(m.Elements, Element{Tag: Tag(rest[0]), Value: append([]byte{}, rest[3:3+n]...)})
		at += 3 + n
	}
	return nil
}

// ErrTooLong says that a message does not fit its own length field.
var ErrTooLong = errors.New("capf: a message's body and each of its elements hold at most 65535 octets")

// Append appends the message's octets to b.
func (m Message) Append(b []byte) ([]byte, error) {
	length := 0
	for _, e := range m.Elements {
		if len(e.Value) > 0xFFFF {
			return b, ErrTooLong
		}
		length += 3 + len(e.Value)
	}
	if length > 0xFFFF || len(m.Elements) > MaxElements {
		return b, ErrTooLong
	}
	b = append(b, magic, byte(m.Command))
	b = binary.BigEndian.AppendUint32(b, m.Session)
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	for _, e := range m.Elements {
		b = append(b, byte(e.Tag))
		b = binary.BigEndian.AppendUint16(b, uint16(len(e.Value)))
		b = append(b, e.Value...)
	}
	return b, nil
}

// Read reads one message of at most maxBody octets after its head (0: MaxBody). io.EOF means that the stream ended between
// messages; io.ErrUnexpectedEOF wraps inside one. It reads not one octet beyond the message.
func Read(r io.Reader, maxBody int) (Message, error) {
	if maxBody <= 0 {
		maxBody = MaxBody
	}
	var head [headLen]byte
	if n, err := io.ReadFull(r, head[:]); err != nil {
		if err == io.ErrUnexpectedEOF {
			return Message{}, fmt.Errorf("capf: the connection ended after %d octets of a message's head: %w", n, err)
		}
		return Message{}, err
	}
	m, length, err := decodeHead(head[:], maxBody)
	if err != nil {
		return Message{}, err
	}
	body := make([]byte, length)
	if n, err := io.ReadFull(r, body); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Message{}, fmt.Errorf("capf: the connection ended after %d of %d octets of the body of %s: %w", n, length, m.Command, err)
	}
	return m, decodeBody(&m, body)
}

// Write writes the message in one piece: over TLS that is one record, without which phones stall.
func Write(w io.Writer, m Message) error {
	b, err := m.Append(nil)
	if err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// Find is the value of the first element with the tag.
func (m Message) Find(t Tag) ([]byte, bool) {
	for _, e := range m.Elements {
		if e.Tag == t {
			return e.Value, true
		}
	}
	return nil, false
}

// String is one line for a trace: the command, the session, and the elements, the authorization string left out.
func (m Message) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s session=%d", m.Command, m.Session)
	for _, e := range m.Elements {
		s.WriteByte(' ')
		s.WriteString(e.Tag.String())
		s.WriteByte('=')
		s.WriteString(e.text())
	}
	return s.String()
}

// text is an element's value for people.
func (e Element) text() string {
	switch e.Tag {
	case TagPassword:
		return secret.Redacted
	case TagReasonInfo, TagDeviceName:
		return fmt.Sprintf("%q", trimNUL(e.Value))
	case TagCertificate, TagPublicKey, TagSignedData, TagSHA2SignedData, TagSUDI:
		return fmt.Sprintf("(%d octets)", len(e.Value))
	}
	if len(e.Value) <= 8 {
		return fmt.Sprintf("%x", e.Value)
	}
	return fmt.Sprintf("(%d octets)", len(e.Value))
}

// Redacted is a copy for keeping: the authorization string is replaced.
func (m Message) Redacted() Message {
	c := m
	c.Elements = append([]Element{}, m.Elements...)
	for i, e := range c.Elements {
		if e.Tag == TagPassword && len(trimNUL(e.Value)) > 0 {
			c.Elements[i].Value = []byte(secret.Redacted)
		}
	}
	return c
}
