package tftp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// Opcode is the first two bytes of a packet.
type Opcode uint16

// RFC 1350, 5: the opcodes; RFC 2347: OACK.
const (
	OpRead  Opcode = 1
	OpWrite Opcode = 2
	OpData  Opcode = 3
	OpACK   Opcode = 4
	OpError Opcode = 5
	OpOACK  Opcode = 6
)

// Code is the number of an error.
type Code uint16

// RFC 1350, 5 (error codes); RFC 2347: the last.
const (
	CodeUndefined     Code = 0 // see the message
	CodeNotFound      Code = 1
	CodeAccess        Code = 2
	CodeDiskFull      Code = 3
	CodeIllegal       Code = 4
	CodeUnknownTID    Code = 5
	CodeExists        Code = 6
	CodeNoUser        Code = 7
	CodeOptionRefused Code = 8
)

// An Error is an ERROR packet: sent to a client, or received from one.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("TFTP error %d: %s", e.Code, e.Message) }

// Bounds of a request: RFC 2347: "the maximum size of a request packet is 512 octets".
const (
	MaxRequest = 512
	maxOptions = 8
)

// Option is one option of a request, its name in lower case.
type Option struct{ Name, Value string }

// Request is a read or write request.
type Request struct {
	Op      Opcode // OpRead or OpWrite
	Name    string // as sent, not empty
	Mode    string // in lower case: octet, netascii, mail
	Options []Option
}

// Option returns the value of an option.
func (r *Request) Option(name string) (string, bool) {
	for _, o := range r.Options {
		if o.Name == name {
			return o.Value, true
		}
	}
	return "", false
}

// ParseRequest reads a packet that came to the port of the server. The error is the packet to answer with, or nil with a nil
// request for a packet that gets no answer: RFC 1350, 4 has error packets for errors, and none for errors themselves.
func ParseRequest(b []byte) (*Request, *Error) {
	if len(b) < 2 {
		return nil, nil
	}
	op := Opcode(binary.BigEndian.Uint16(b))
	switch {
	case op == OpError:
		return nil, nil
	case op != OpRead && op != OpWrite:
		return nil, &Error{CodeIllegal, fmt.Sprintf("opcode %d where a transfer begins: expected a read request", op)}
	case len(b) > MaxRequest:
		return nil, &Error{CodeIllegal, fmt.Sprintf("request of %d bytes: at most %d are read", len(b), MaxRequest)}
	}
	fields, whole := split(b[2:])
	if len(fields) < 2 || !whole && len(fields)%2 == 1 {
		return nil, &Error{CodeIllegal, "request without a name and a mode, each ended by a zero byte"}
	}
	r := &Request{Op: op, Name: fields[0], Mode: strings.ToLower(fields[1])}
	if r.Name == "" {
		return nil, &Error{CodeIllegal, "request without a name"}
	}
	for opts := fields[2:]; len(opts) >= 2; opts = opts[2:] {
		name := strings.ToLower(opts[0])
		if _, twice := r.Option(name); twice || len(r.Options) == maxOptions {
			continue // RFC 2347: an option may only be specified once
		}
		r.Options = append(r.Options, Option{name, opts[1]})
	}
	return r, nil
}

// split cuts at zero bytes; whole says that the last field had one too.
func split(b []byte) (fields []string, whole bool) {
	for len(b) > 0 {
		at := bytes.IndexByte(b, 0)
		if at < 0 {
			return append(fields, string(b)), false
		}
		fields = append(fields, string(b[:at]))
		b = b[at+1:]
	}
	return fields, true
}

// Append writes the request.
func (r *Request) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(r.Op))
	b = append(append(append(append(b, r.Name...), 0), r.Mode...), 0)
	return appendOptions(b, r.Options)
}

func appendOptions(b []byte, options []Option) []byte {
	for _, o := range options {
		b = append(append(append(append(b, o.Name...), 0), o.Value...), 0)
	}
	return b
}

// AppendError writes an ERROR packet.
func AppendError(b []byte, e *Error) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(OpError))
	b = binary.BigEndian.AppendUint16(b, uint16(e.Code))
	return append(append(b, strings.ReplaceAll(e.Message, "\x00", " ")...), 0)
}

// parseError reads an ERROR packet; the message of a stranger is cut and made printable.
func parseError(b []byte) *Error {
	e := &Error{Code: Code(binary.BigEndian.Uint16(b[2:]))}
	text, _, _ := strings.Cut(string(b[4:min(len(b), 132)]), "\x00")
	e.Message = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
	return e
}
