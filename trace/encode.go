package trace

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"math/bits"
	"net/netip"
	"strconv"
	"time"
	"unicode/utf8"
)

func newReader(b []byte) io.Reader { return bytes.NewReader(b) }

// The bounds of one record, so that one line always fits into a memory block.
const (
	maxText   = 1 << 10 // bytes of a summary, a field's value, an id
	maxFields = 32
)

// appendRecord appends the record as one JSON object: the head (sequence number and time), then the rest.
func appendRecord(dst []byte, r *Record, p policy) []byte {
	dst = appendHead(dst, r.Seq, r.Time)
	return appendTail(dst, r, p)
}

// timeFormat is RFC 3339 in UTC to the microsecond, always of one length.
const timeFormat = "2006-01-02T15:04:05.000000Z"

func appendHead(dst []byte, seq uint64, t time.Time) []byte {
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"time":"`...)
	dst = t.UTC().AppendFormat(dst, timeFormat)
	return append(dst, '"')
}

// appendTail appends everything after the head, redacted by p.
func appendTail(dst []byte, r *Record, p policy) []byte {
	dst = appendPlain(dst, `,"node":`, r.Node)
	dst = appendPlain(dst, `,"service":`, r.Service)
	dst = append(dst, `,"kind":"`...)
	dst = append(dst, r.Kind.String()...)
	dst = append(dst, '"')
	if r.Level != Inherit && r.Level != Info {
		dst = append(dst, `,"level":"`...)
		dst = append(dst, r.Level.String()...)
		dst = append(dst, '"')
	}
	dst = appendPlain(dst, `,"call":`, r.Call)
	dst = appendPlain(dst, `,"sip":`, r.SIPCallID)
	dst = appendPlain(dst, `,"leg":`, r.Leg)
	dst = appendPlain(dst, `,"device":`, r.Device)
	dst = appendPlain(dst, `,"user":`, r.User)
	dst = appendPlain(dst, `,"peer":`, r.Peer)
	dst = appendPlain(dst, `,"flow":`, r.Flow)
	dst = appendPlain(dst, `,"net":`, r.Net)
	dst = appendAddr(dst, `,"local":"`, r.Local)
	dst = appendAddr(dst, `,"remote":"`, r.Remote)
	if r.Summary != "" {
		dst = appendPlain(dst, `,"summary":`, p.text(clip(r.Summary)))
	}
	dst = appendFields(dst, r.Fields, p)
	dst = appendBody(dst, r, p)
	return append(dst, '}')
}

// appendPlain appends a member whose value is a short string, or nothing when it is empty.
func appendPlain(dst []byte, key, value string) []byte {
	if value == "" {
		return dst
	}
	dst = append(dst, key...)
	dst = append(dst, '"')
	dst = appendEscaped(dst, clip(value))
	return append(dst, '"')
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return s[:maxText]
}

func appendAddr(dst []byte, key string, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	dst = append(dst, key...)
	dst = a.AppendTo(dst)
	return append(dst, '"')
}

func appendFields(dst []byte, fields []Field, p policy) []byte {
	if len(fields) == 0 {
		return dst
	}
	dst = append(dst, `,"fields":{`...)
	for i, f := range fields[:min(len(fields), maxFields)] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '"')
		dst = appendEscaped(dst, clip(f.Name))
		dst = append(dst, `":"`...)
		if p.secret([]byte(clip(f.Name))) {
			dst = append(dst, redacted...)
		} else {
			dst = appendEscaped(dst, p.text(clip(f.Value)))
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendBody redacts the body into the spare room of dst, then moves it to its place with escapes.
func appendBody(dst []byte, r *Record, p policy) []byte {
	if len(r.Body) == 0 {
		return dst
	}
	var stack [2048]byte
	clean := p.appendRedacted(stack[:0], r.Body[:min(len(r.Body), MaxBody)], r.Kind.SIP())
	if n := len(r.Body) - MaxBody; n > 0 {
		clean = append(clean, "[... "+strconv.Itoa(n)+" bytes more]"...)
	}
	if !utf8.Valid(clean) {
		dst = append(dst, `,"body64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, clean)
		return append(dst, '"')
	}
	dst = append(dst, `,"body":"`...)
	dst = appendEscaped(dst, clean)
	return append(dst, '"')
}

// appendEscaped appends s as the inside of a JSON string. It copies runs of harmless bytes eight at a time, since most
// of what is stored are messages that need an escape only at the ends of their lines.
func appendEscaped[T string | []byte](dst []byte, s T) []byte {
	for len(s) > 0 {
		n := plainRun(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return dst
		}
		c := s[n]
		switch {
		case c >= utf8.RuneSelf:
			size := 1
			size, dst = appendRune(dst, s[n:])
			s = s[n+size:]
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		default:
			const hex = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		s = s[n+1:]
	}
	return dst
}

// appendRune copies one character; what is not UTF-8 becomes U+FFFD.
func appendRune[T string | []byte](dst []byte, s T) (int, []byte) {
	r, size := utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
	return size, utf8.AppendRune(dst, r)
}

// plainRun returns how many bytes at the start of s need no escape: printable ASCII but for the quote and the backslash.
func plainRun[T string | []byte](s T) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	i := 0
	var word [8]byte
	for ; i+8 <= len(s); i += 8 {
		copy(word[:], s[i:i+8])
		w := binary.LittleEndian.Uint64(word[:])
		quote := w ^ ('"' * ones)
		slash := w ^ ('\\' * ones)
		mask := w | (w - 0x20*ones) | (quote - ones) | (slash - ones)
		if mask &= high; mask != 0 {
			// The subtraction borrows upwards only, so the lowest flagged byte is a true hit.
			return i + bits.TrailingZeros64(mask)/8
		}
	}
	for ; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			break
		}
	}
	return i
}
