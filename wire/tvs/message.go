package tvs

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// Port is the TCP port on which phones look for the service.
const Port = 2445

// The sizes of frames.
const (
	headerSize  = 10
	elementHead = 3
	// MaxBody is the most that the elements of one message may take: what two bytes of length can say.
	MaxBody = 0xffff
	// MaxElements bounds the elements of one message. The protocol knows nine; each element costs at least three bytes,
	// so without the bound a body could ask for 21,000 of them.
	MaxElements = 64
)

// The first two bytes of every message.
const (
	Magic   = 0x57
	Version = 1
)

// Command says what a message is. The zero value is none.
type Command uint8

// The commands.
const (
	VerifyRequest  Command = 1
	VerifyResponse Command = 2
	QueryRequest   Command = 3
	QueryResponse  Command = 4
)

// String names the command as the field's traces do; others by number.
func (c Command) String() string {
	switch c {
	case VerifyRequest:
		return "CERT_VERIFICATION_REQ"
	case VerifyResponse:
		return "CERT_VERIFICATION_RES"
	case QueryRequest:
		return "QUERY_CERT_REQ"
	case QueryResponse:
		return "QUERY_CERT_RES"
	}
	return fmt.Sprintf("command %d", uint8(c))
}

// Answer is the command that answers a request; 0 when c is no request.
func (c Command) Answer() Command {
	if c == VerifyRequest || c == QueryRequest {
		return c + 1
	}
	return 0
}

// Tag names an element.
type Tag uint8

// The elements. TagIssuer and TagSerial may stand for each other on the wire: see Request.
const (
	TagDevice      Tag = 1 // one byte of device type, then the name without an end mark
	TagCertificate Tag = 2 // X.509 in DER
	TagSubject     Tag = 3 // distinguished name, ended by NUL
	TagIssuer      Tag = 4 // distinguished name, ended by NUL
	TagSerial      Tag = 5 // serial number, big-endian
	TagStatus      Tag = 7 // one byte
	TagRoles       Tag = 8 // one byte a role
	TagTTL         Tag = 9 // seconds, four bytes
)

// String names the element; others by number.
func (t Tag) String() string {
	names := [...]string{"", "device name", "certificate", "subject", "issuer", "serial", "", "status", "roles", "TTL"}
	if int(t) < len(names) && names[t] != "" {
		return names[t]
	}
	return fmt.Sprintf("element %d", uint8(t))
}

// Element is one tag with its value.
type Element struct {
	Tag   Tag
	Value []byte
}

// Message is a frame: the header's fields and the elements in the order in which they were sent.
type Message struct {
	Command  Command
	Reserved byte // kept as it came, without a meaning
	Session  uint32
	Elements []Element
}

// ParseError says where a message is wrong.
type ParseError struct {
	Offset int    // in bytes from the begin of the message
	What   string // what was expected and found
}

// Error is the place and what is wrong there.
func (e *ParseError) Error() string { return fmt.Sprintf("tvs: at byte %d: %s", e.Offset, e.What) }

func wrong(offset int, format string, args ...any) *ParseError {
	return &ParseError{offset, fmt.Sprintf(format, args...)}
}

// header is the first ten bytes.
type header struct {
	command  Command
	reserved byte
	session  uint32
	length   int
}

func parseHeader(b []byte) (h header, err error) {
	switch {
	case len(b) < headerSize:
		return h, wrong(len(b), "a header has %d bytes, there are %d", headerSize, len(b))
	case b[0] != Magic:
		return h, wrong(0, "the first byte is %#02x, want %#02x: this is not the Trust Verification Service's protocol", b[0], Magic)
	case b[1] != Version:
		return h, wrong(1, "version %d, want %d", b[1], Version)
	}
	return header{Command(b[2]), b[3], binary.BigEndian.Uint32(b[4:]), int(binary.BigEndian.Uint16(b[8:]))}, nil
}

// Parse reads one whole message; bytes after its end are an error. The values of its elements are parts of b. Errors
// are *ParseError.
func Parse(b []byte) (Message, error) {
	h, err := parseHeader(b)
	if err != nil {
		return Message{}, err
	}
	if got := len(b) - headerSize; got != h.length {
		return Message{}, wrong(8, "the header says %d bytes of elements, there are %d", h.length, got)
	}
	m := Message{Command: h.command, Reserved: h.reserved, Session: h.session}
	m.Elements, err = parseElements(b)
	return m, err
}

func parseElements(b []byte) (out []Element, err error) {
	for at := headerSize; at < len(b); {
		if len(b)-at < elementHead {
			return nil, wrong(at, "an element begins with %d bytes of tag and length, there are %d", elementHead, len(b)-at)
		}
		n := int(binary.BigEndian.Uint16(b[at+1:]))
		value := at + elementHead
		switch {
		case n > len(b)-value:
			return nil, wrong(at+1, "%s says %d bytes, the message has %d more", Tag(b[at]), n, len(b)-value)
		case len(out) >= MaxElements:
			return nil, wrong(at, "more than %d elements", MaxElements)
		}
		out = append(out, Element{Tag(b[at]), b[value : value+n : value+n]})
		at = value + n
	}
	return out, nil
}

// Append appends the message as it is on the wire. It fails when the elements are longer than a message can say.
func (m Message) Append(dst []byte) ([]byte, error) {
	n := 0
	for _, e := range m.Elements {
		if len(e.Value) > MaxBody {
			return dst, fmt.Errorf("tvs: %s has %d bytes, a message carries at most %d", e.Tag, len(e.Value), MaxBody)
		}
		n += elementHead + len(e.Value)
	}
	switch {
	case n > MaxBody:
		return dst, fmt.Errorf("tvs: the elements have %d bytes, a message carries at most %d", n, MaxBody)
	case len(m.Elements) > MaxElements:
		return dst, fmt.Errorf("tvs: %d elements, a message has at most %d", len(m.Elements), MaxElements)
	}
	dst = append(slices.Grow(dst, headerSize+n), Magic, Version, byte(m.Command), m.Reserved)
	dst = binary.BigEndian.AppendUint32(dst, m.Session)
	dst = binary.BigEndian.AppendUint16(dst, uint16(n))
	for _, e := range m.Elements {
		dst = append(dst, byte(e.Tag))
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(e.Value)))
		dst = append(dst, e.Value...)
	}
	return dst, nil
}

// Read reads one message from a stream, whose elements may take at most max bytes (0: MaxBody). io.EOF means that the
// stream ended before a message began; a message cut short is io.ErrUnexpectedEOF. Memory is taken for what the header
// announces, once it was found good, hence at most max.
func Read(r io.Reader, max int) (Message, error) {
	if max <= 0 || max > MaxBody {
		max = MaxBody
	}
	b := make([]byte, headerSize)
	if _, err := io.ReadFull(r, b); err != nil {
		return Message{}, err
	}
	h, err := parseHeader(b)
	if err != nil {
		return Message{}, err
	}
	if h.length > max {
		return Message{}, wrong(8, "the header says %d bytes of elements, at most %d are accepted here", h.length, max)
	}
	b = append(b, make([]byte, h.length)...)
	if _, err := io.ReadFull(r, b[headerSize:]); err == io.EOF {
		return Message{}, io.ErrUnexpectedEOF
	} else if err != nil {
		return Message{}, err
	}
	return Parse(b)
}

// find returns the value of the one element with the tag, and its offset for errors. Two of one tag are an error:
// readers that take the first and readers that take the last would see different messages.
func (m Message) find(tag Tag) (value []byte, offset int, found bool, err error) {
	at := headerSize
	for _, e := range m.Elements {
		if e.Tag == tag {
			if found {
				return nil, at, true, wrong(at, "a second %s", tag)
			}
			value, offset, found = e.Value, at, true
		}
		at += elementHead + len(e.Value)
	}
	return value, offset, found, nil
}
