package trace

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"io"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
	"unicode/utf8"
	"unsafe"
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
		if p.secret(bytesOf(clip(f.Name))) {
			dst = append(dst, redacted...)
		} else {
			dst = appendEscaped(dst, p.text(clip(f.Value)))
		}
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

// appendBody appends the body, redacted. A body without secrets is escaped from where it lies.
func appendBody(dst []byte, r *Record, p policy) []byte {
	most := MaxBody
	if r.Kind.Engine() {
		most, p.patterns = MaxEngineBody, true
	}
	body := r.Body[:min(len(r.Body), most)]
	if len(body) == 0 {
		return dst
	}
	if r.Kind.SIP() && len(r.Body) <= MaxBody {
		key := len(dst)
		if out, ok := p.escapeMessage(append(dst, `,"body":"`...), body); ok {
			return append(out, '"')
		}
		dst = dst[:key]
	}
	if p.suspect(body, r.Kind.SIP()) {
		room := scratch.Get().(*[]byte)
		defer func() { release(room, body) }()
		body = p.appendRedacted((*room)[:0], body, r.Kind.SIP())
	}
	if n := len(r.Body) - most; n > 0 {
		body = append(slices.Clip(body), "[... "+strconv.Itoa(n)+" bytes more]"...)
	}
	if !utf8.Valid(body) {
		dst = append(dst, `,"body64":"`...)
		dst = base64.StdEncoding.AppendEncode(dst, body)
		return append(dst, '"')
	}
	dst = append(dst, `,"body":"`...)
	dst = appendEscapedBytes(dst, body)
	return append(dst, '"')
}

// appendEscaped appends a short text as the inside of a JSON string.
func appendEscaped(dst []byte, s string) []byte {
	for i := range len(s) {
		if escaped[s[i]] {
			return appendEscapedBytes(dst, bytesOf(s))
		}
	}
	return append(dst, s...)
}

// bytesOf looks at a string as bytes that nobody writes.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// scratch holds buffers between two records, so that encoding needs neither the mutex nor the garbage collector.
var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 4096); return &b }}

// release gives a buffer back, grown as it is, unless it has become large.
func release(room *[]byte, b []byte) {
	if cap(b) <= 64<<10 {
		*room = b[:0]
		scratch.Put(room)
	}
}

// escaped marks the bytes that cannot stand in a JSON string as they are, or need a look as a part of a character.
var escaped = func() (t [256]bool) {
	for c := range t {
		t[c] = c < 0x20 || c >= utf8.RuneSelf || c == '"' || c == '\\'
	}
	return t
}()

// appendEscapedBytes appends s as the inside of a JSON string. It copies runs of harmless bytes found eight at a time,
// since most of what is stored are messages that need an escape only at the ends of their lines.
func appendEscapedBytes(dst, s []byte) []byte {
	for len(s) > 0 {
		n := plainRun(s)
		dst = append(dst, s[:n]...)
		if n == len(s) {
			return dst
		}
		c := s[n]
		switch {
		case c == '\r' && n+1 < len(s) && s[n+1] == '\n':
			dst = append(dst, `\r\n`...)
			n++
		case c >= utf8.RuneSelf:
			var size int
			size, dst = appendRune(dst, s[n:])
			n += size - 1
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
func appendRune(dst, s []byte) (int, []byte) {
	r, size := utf8.DecodeRune(s)
	return size, utf8.AppendRune(dst, r)
}

// plainRun returns how many bytes at the start of s need no escape: printable ASCII but for the quote and the backslash.
func plainRun(s []byte) int {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	i := 0
	for ; i+8 <= len(s); i += 8 {
		w := binary.LittleEndian.Uint64(s[i:])
		mask := w | (w - 0x20*ones) | ((w ^ '"'*ones) - ones) | ((w ^ '\\'*ones) - ones)
		if mask &= high; mask != 0 {
			// A subtraction borrows upwards only, so the lowest flagged byte is a true hit.
			return i + bits.TrailingZeros64(mask)/8
		}
	}
	for i < len(s) && !escaped[s[i]] {
		i++
	}
	return i
}
