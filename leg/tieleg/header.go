package tieleg

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/sipleg"
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
	Life string
	// Device, Line and Trunk are what is to be rung, or on whose behalf something is asked.
	Device string
	Line   call.LineID
	Trunk  string
	// Hunt is the hunt pilot for whose group a device is rung, Emergency that a trunk is to be used for an emergency number.
	Hunt      string
	Emergency bool
	// Thing and Range are what is asked for: who waits at a park number, or a meet-me conference; Park that the caller is to be left there.
	// Replaces and Join are legs of node To. With FormAsk only, and one of the three.
	Thing          call.Thing
	Range          string
	Park           bool
	Replaces, Join call.LegID
	// Call is the global id of the whole call (RFC 7989, 4.1: 32 hexadecimal digits).
	Call string
	// Leg is the leg of node From that the tie begins with, Number the call it is in, and Tag that call's tag: those who watch both ends name
	// the call by them. Zero where it is not said.
	Leg    call.LegID
	Number call.CallID
	Tag    uint64
	// Inside says that whoever calls, or is connected now, is of this site.
	Inside bool
	// Lock is how well the call is protected beyond the tie, as far as its sender knows, and Why the sentence where that is not encrypted.
	// Via is by which calls the word of a lock that is not encrypted has come: without it a ring of ties would never settle (call.Via).
	Lock call.Lock
	Why  string
	Via  call.Via
}

// said is the part of a header that is about the sender's side of the call: all there is inside a call.
func (h Header) said() sipleg.Said {
	return sipleg.Said{Call: h.Call, Inside: h.Inside, Lock: h.Lock, Why: h.Why, Via: h.Via}
}

// target is what the order is for, in the words of the engine; called is the number of the Request-URI.
func (h Header) target(called string) call.Target {
	if h.Form != FormAsk {
		return call.Target{Device: h.Device, Line: h.Line, Trunk: h.Trunk, Called: called, Hunt: h.Hunt, Emergency: h.Emergency}
	}
	return call.Target{Called: called, Ask: &call.Ask{Device: h.Device, Line: h.Line, Trunk: h.Trunk, Thing: h.Thing, Range: h.Range, Park: h.Park,
		Replaces: h.Replaces, Join: h.Join}}
}

// order fills in what is wanted of node To.
func (h *Header) order(t call.Target) {
	a := t.Ask
	if a == nil {
		h.Form, h.Device, h.Line, h.Trunk, h.Hunt, h.Emergency = FormDevice, t.Device, t.Line, t.Trunk, t.Hunt, t.Emergency
		if t.Trunk != "" {
			h.Form = FormTrunk
		}
		return
	}
	h.Form, h.Device, h.Line, h.Trunk = FormAsk, a.Device, a.Line, a.Trunk
	h.Thing, h.Range, h.Park, h.Replaces, h.Join = a.Thing, a.Range, a.Park, a.Replaces, a.Join
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
	text("life", h.Life)
	text("device", h.Device)
	text("line", h.Line.Number)
	text("partition", h.Line.Partition)
	text("trunk", h.Trunk)
	text("hunt", h.Hunt)
	flag("emergency", h.Emergency)
	text("thing", h.Thing.String())
	text("range", h.Range)
	flag("park", h.Park)
	number("replaces", uint64(h.Replaces))
	number("join", uint64(h.Join))
	text("call", h.Call)
	number("leg", uint64(h.Leg))
	number("number", uint64(h.Number))
	number("tag", h.Tag)
	flag("inside", h.Inside)
	if h.Lock != call.LockUnknown {
		text("lock", h.Lock.String())
	}
	text("why", h.Why)
	text("via", string(h.Via))
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
		"trunk": &h.Trunk, "call": &h.Call, "life": &h.Life, "hunt": &h.Hunt, "range": &h.Range, "why": &h.Why, "via": (*string)(&h.Via)}
	flags := map[string]*bool{"inside": &h.Inside, "emergency": &h.Emergency, "park": &h.Park}
	numbers := map[string]*uint64{"replaces": (*uint64)(&h.Replaces), "join": (*uint64)(&h.Join), "leg": (*uint64)(&h.Leg), "number": (*uint64)(&h.Number), "tag": &h.Tag}
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
		*numbers[name] = n
	case name == "form":
		for f := FormDevice; int(f) < len(formNames); f++ {
			if formNames[f] == value {
				h.Form = f
				return ""
			}
		}
		return fmt.Sprintf("form %q; expected one of %q", value, formNames[1:])
	case name == "thing":
		if err := h.Thing.UnmarshalText([]byte(value)); err != nil || h.Thing == call.ThingNone || h.Thing == call.ThingCalling {
			return fmt.Sprintf("thing %q; expected %s or %s, or what a leg is: %s, %s, %s", value, call.ThingParked, call.ThingRoom,
				call.ThingRinging, call.ThingActive, call.ThingHeld)
		}
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
	case h.Form == FormAsk && h.Device != "" && h.Trunk != "":
		return "form ask names a device or a trunk that asks, not both"
	case h.Form == FormAsk && h.asked() != 1:
		return "form ask names one of thing, replaces and join"
	case h.Form != FormAsk && (h.asked() != 0 || h.Thing != call.ThingNone), !h.spot() && (h.Range != "" || h.Park):
		return "thing, range, park, replaces and join belong to form ask, range and park to a thing"
	case (h.Replaces != 0 || h.Join != 0) && h.Life == "":
		return "a leg without the life of the node it belongs to"
	case h.Call != "" && !IsGlobalID(h.Call):
		return "call is no id of 32 hexadecimal digits"
	}
	return ""
}

// spot says whether a park number or a conference is asked for. Other things are what a leg that is asked for must still be.
func (h Header) spot() bool { return h.Thing == call.ThingParked || h.Thing == call.ThingRoom }

// asked counts what is asked for.
func (h Header) asked() (n int) {
	for _, there := range []bool{h.spot(), h.Replaces != 0, h.Join != 0} {
		if there {
			n++
		}
	}
	return n
}

// IsGlobalID says whether a text can be the global id of a call. RFC 7989, 5: sess-uuid is 32 lower-case hexadecimal digits.
func IsGlobalID(s string) bool { return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == "" }

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
