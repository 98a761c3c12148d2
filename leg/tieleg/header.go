package tieleg

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/locktone/locktone/call"
)

// Name is the header field's name.
const Name = "Locktone-Tie"

// version of the header field. A number that is not known is not read: what an order means must be known whole. Within a version,
// fields may be added whose meaning can be missed: unknown ones are passed over.
const version = "1"

// maxLength bounds what is read of a value, octets: names of the site and numbers, all of them short.
const maxLength = 4096

// A Form says what an INVITE over a tie is for.
type Form uint8

// The forms. FormNone is that of a message inside a call, which asks for nothing.
const (
	FormNone   Form = iota
	FormDevice      // ring one appearance of a device that is registered where the INVITE goes
	FormTrunk       // go out on a trunk that runs there
	FormAsk         // do there what a caller has dialled or meant here
)

var formNames = [...]string{"none", "device", "trunk", "ask"}

func (f Form) String() string { return formNames[min(int(f), len(formNames)-1)] }

// Header is the value of the header field. Names and numbers are any text; what is empty or zero is not written.
type Header struct {
	Form Form
	// From is the node that speaks, and To the one that is meant: an INVITE that reaches another one is refused.
	From, To string
	// Life is which life of node To the leg ids below belong to: ids begin anew with each.
	Life uint64
	// Device, Line and Trunk are what is to be rung, or on whose behalf something is asked.
	Device string
	Line   call.LineID
	Trunk  string
	// Replaces and Join are legs of node To. With FormAsk only.
	Replaces, Join call.LegID
	// Call is the global id of the whole call (RFC 7989, 4.1: 32 hexadecimal digits).
	Call string
	// Inside says that the caller is of this site.
	Inside bool
	// Lock is how well the call is protected beyond the tie, as far as its sender knows.
	Lock call.Lock
	// Quiet and Auto are how the device is to ring, beside what Alert-Info says to phones.
	Quiet, Auto bool
}

// A ParseError says what cannot be read of a value, and where.
type ParseError struct {
	Offset  int // octets from the beginning of the value
	Problem string
}

// Error says both.
func (e *ParseError) Error() string {
	return fmt.Sprintf("%s, octet %d: %s", Name, e.Offset, e.Problem)
}

// String is the value as it is written on the wire.
func (h Header) String() string { return string(h.Append(nil)) }

// Append appends the value: the version, and fields that are text with everything but letters, digits and a few marks escaped.
func (h Header) Append(b []byte) []byte {
	b = append(b, version...)
	text := func(name, value string) {
		if value != "" {
			b = appendEscaped(append(append(append(b, ';'), name...), '='), value)
		}
	}
	number := func(name string, n uint64) {
		if n != 0 {
			text(name, strconv.FormatUint(n, 10))
		}
	}
	flag := func(name string, on bool) {
		if on {
			b = append(append(b, ';'), name...)
		}
	}
	if h.Form != FormNone {
		text("form", h.Form.String())
	}
	text("from", h.From)
	text("to", h.To)
	number("life", h.Life)
	text("device", h.Device)
	text("line", h.Line.Number)
	text("partition", h.Line.Partition)
	text("trunk", h.Trunk)
	number("replaces", uint64(h.Replaces))
	number("join", uint64(h.Join))
	text("call", h.Call)
	flag("inside", h.Inside)
	if h.Lock != call.LockUnknown {
		text("lock", h.Lock.String())
	}
	flag("quiet", h.Quiet)
	flag("auto", h.Auto)
	return b
}

// Parse reads a value. The error is a *ParseError.
func Parse(s string) (Header, error) {
	var h Header
	if len(s) > maxLength {
		return h, &ParseError{maxLength, fmt.Sprintf("longer than %d octets", maxLength)}
	}
	first, rest, _ := strings.Cut(s, ";")
	if first != version {
		return h, &ParseError{0, fmt.Sprintf("version %q; this node speaks %s", first, version)}
	}
	seen := map[string]bool{}
	for at := len(first) + 1; rest != ""; {
		var field string
		field, rest, _ = strings.Cut(rest, ";")
		name, value, _ := strings.Cut(field, "=")
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return Header{}, &ParseError{at, fmt.Sprintf("%q is no name of a field", name)}
		}
		if seen[name] {
			return Header{}, &ParseError{at, name + " comes twice"}
		}
		seen[name] = true
		plain, bad := unescape(value)
		if bad >= 0 {
			return Header{}, &ParseError{at + len(name) + 1 + bad, "% without two hexadecimal digits, or a character that must be escaped"}
		}
		if problem := h.set(name, plain); problem != "" {
			return Header{}, &ParseError{at, problem}
		}
		at += len(field) + 1
	}
	if problem := h.check(); problem != "" {
		return Header{}, &ParseError{len(s), problem}
	}
	return h, nil
}

// set takes one field; an unknown one means nothing.
func (h *Header) set(name, value string) (problem string) {
	texts := map[string]*string{"from": &h.From, "to": &h.To, "device": &h.Device, "line": &h.Line.Number, "partition": &h.Line.Partition,
		"trunk": &h.Trunk, "call": &h.Call}
	flags := map[string]*bool{"inside": &h.Inside, "quiet": &h.Quiet, "auto": &h.Auto}
	numbers := map[string]func(uint64){"life": func(n uint64) { h.Life = n }, "replaces": func(n uint64) { h.Replaces = call.LegID(n) },
		"join": func(n uint64) { h.Join = call.LegID(n) }}
	switch {
	case texts[name] != nil && value == "", numbers[name] != nil && value == "0":
		return name + " is empty"
	case texts[name] != nil:
		*texts[name] = value
	case flags[name] != nil && value != "":
		return name + " takes no value"
	case flags[name] != nil:
		*flags[name] = true
	case numbers[name] != nil:
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != value {
			return fmt.Sprintf("%s is %q; expected a number", name, value)
		}
		numbers[name](n)
	case name == "form":
		for f := FormDevice; int(f) < len(formNames); f++ {
			if formNames[f] == value {
				h.Form = f
				return ""
			}
		}
		return fmt.Sprintf("form %q; expected one of %q", value, formNames[1:])
	case name == "lock":
		if err := h.Lock.UnmarshalText([]byte(value)); err != nil || h.Lock == call.LockUnknown {
			return fmt.Sprintf("lock %q is no lock state that can be told", value)
		}
	}
	return ""
}

// check says what of an order is missing, or does not go with its form.
func (h Header) check() string {
	switch {
	case h.Line.Number == "" && h.Line.Partition != "":
		return "a partition without a line"
	case h.Form != FormNone && (h.From == "" || h.To == ""):
		return "an order names the node it comes from and the one it is for"
	case h.Form == FormDevice && (h.Device == "" || h.Trunk != ""):
		return "form device names a device and no trunk"
	case h.Form == FormTrunk && (h.Trunk == "" || h.Device != ""):
		return "form trunk names a trunk and no device"
	case h.Form == FormAsk && (h.Device == "") == (h.Trunk == ""):
		return "form ask names the device or the trunk that asks"
	case h.Form != FormAsk && (h.Replaces != 0 || h.Join != 0):
		return "replaces and join belong to form ask"
	case (h.Replaces != 0 || h.Join != 0) && h.Life == 0:
		return "a leg without the life of the node it belongs to"
	}
	return ""
}

// plainly says whether an octet stands for itself.
func plainly(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~*#+@/:!", c) >= 0
}

func appendEscaped(b []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if c := s[i]; plainly(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// unescape undoes it; bad is the offset of what cannot be read, below zero where everything can.
func unescape(s string) (plain string, bad int) {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case plainly(c):
			out = append(out, c)
		case c == '%' && i+2 < len(s):
			n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
			if err != nil {
				return "", i
			}
			out = append(out, byte(n))
			i += 2
		default:
			return "", i
		}
	}
	return string(out), -1
}
