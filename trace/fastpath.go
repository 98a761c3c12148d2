package trace

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// escapeMessage appends a SIP message as the inside of a JSON string in one pass: it copies eight bytes at a time and
// stops only where an escape is due, at an @ (a password may stand before it) and at the start of a line (a secret may
// follow). ok is false when it met something that only the careful way of redact.go can treat; dst is then unchanged.
// It never passes what redact.go would change: FuzzRedact compares the two.
func (p policy) escapeMessage(dst, text []byte) (out []byte, ok bool) {
	if strayInline(text) {
		return dst, false
	}
	w := messageWriter{p: p, text: text, start: len(dst)}
	w.out = slices.Grow(dst, 2*len(text)+64)
	w.out = w.out[:cap(w.out)]
	w.n = w.start
	if !w.run() {
		return dst, false
	}
	return w.out[:w.n], true
}

// strayInline reports whether an inline: key stands elsewhere than in an a=crypto line.
func strayInline(text []byte) bool {
	for rest := text; ; {
		i := bytes.Index(rest, []byte("nline:"))
		if i < 0 {
			return false
		}
		at := len(text) - len(rest) + i
		line := text[bytes.LastIndexByte(text[:at], '\n')+1 : at]
		if !hasFold(line, "a=crypto:") {
			return true
		}
		rest = rest[i+6:]
	}
}

type messageWriter struct {
	p     policy
	text  []byte
	i     int // next byte of text
	out   []byte
	start int
	n     int // bytes of out in use
	body  bool
}

// run reports false when the message needs the careful way.
func (w *messageWriter) run() bool {
	if !w.line() {
		return false
	}
	for w.i < len(w.text) {
		w.plain()
		if w.i >= len(w.text) {
			break
		}
		if !w.special() {
			return false
		}
	}
	return true
}

// plain copies up to the next byte that needs a look. There is always room for what is left of the text and more.
func (w *messageWriter) plain() {
	const (
		ones = 0x0101010101010101
		high = 0x8080808080808080
	)
	text, out, i, n := w.text, w.out, w.i, w.n
	for i+8 <= len(text) {
		v := binary.LittleEndian.Uint64(text[i:])
		binary.LittleEndian.PutUint64(out[n:], v)
		mask := v | (v - 0x20*ones) | ((v ^ '"'*ones) - ones) | ((v ^ '\\'*ones) - ones) | ((v ^ '@'*ones) - ones)
		if mask &= high; mask != 0 {
			k := bits.TrailingZeros64(mask) / 8
			w.i, w.n = i+k, n+k
			return
		}
		i, n = i+8, n+8
	}
	for i < len(text) && !escaped[text[i]] && text[i] != '@' {
		out[n] = text[i]
		i, n = i+1, n+1
	}
	w.i, w.n = i, n
}

// special treats one byte that plain stopped at.
func (w *messageWriter) special() bool {
	// Room for this and for copying the rest: each byte so far took two at most, but for rare control bytes.
	if w.n+len(w.text)-w.i+16 > len(w.out) {
		return false
	}
	switch c := w.text[w.i]; c {
	case '\r':
		w.n += copy(w.out[w.n:], `\r`)
	case '\n':
		w.n += copy(w.out[w.n:], `\n`)
		w.i++
		return w.line()
	case '"', '\\':
		w.out[w.n], w.out[w.n+1] = '\\', c
		w.n += 2
	case '\t':
		w.n += copy(w.out[w.n:], `\t`)
	case '@':
		if uriPassword(w.text[bytes.LastIndexByte(w.text[:w.i], '\n')+1:w.i]) >= 0 {
			return false
		}
		w.out[w.n] = '@'
		w.n++
	default:
		return false // other control bytes, characters beyond ASCII
	}
	w.i++
	return true
}

// line looks at the line that starts here.
func (w *messageWriter) line() bool {
	rest := w.text[w.i:]
	if len(rest) == 0 {
		return true
	}
	if w.body {
		return w.bodyLine(rest)
	}
	switch rest[0] | 0x20 {
	case '\r' | 0x20, '\n' | 0x20:
		return w.enterBody(rest)
	case 'a', 'p', 'x', 's':
		line, _ := cutLine(rest)
		return !secretHeader(line)
	case 'c':
		line, _ := cutLine(rest)
		return !secretHeader(line) && !digitBody(line)
	}
	return true
}

// enterBody recognises the empty line: after it comes nothing, SDP, or something for the careful way.
func (w *messageWriter) enterBody(rest []byte) bool {
	n := 0
	switch {
	case rest[0] == '\n':
		n = 1
	case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
		n = 2
	default:
		return true
	}
	if body := rest[n:]; len(body) > 0 && !bytes.HasPrefix(body, []byte("v=0")) {
		return false
	}
	w.body = true
	return true
}

// bodyLine treats a line of SDP: keys of crypto lines are hidden here, since half of all bodies have them.
func (w *messageWriter) bodyLine(rest []byte) bool {
	if len(rest) < 3 || rest[1] != '=' {
		return true
	}
	switch c := rest[0] | 0x20; {
	case c == 'k':
		return false
	case c != 'a' || !suspectAttribute(rest[2]):
		return true
	}
	line, _ := cutLine(rest)
	line = bytes.TrimRight(line, "\r\n")
	var room [512]byte
	var clean []byte
	switch hide := secretLine(line); {
	case hide == 0:
		return true
	case hide > 0:
		clean = append(append(room[:0], line[:hide]...), redacted...)
	default:
		clean = appendCrypto(room[:0], line)
	}
	for _, c := range clean {
		if escaped[c] {
			return false
		}
	}
	if w.n+len(clean)+8+len(w.text)-w.i+16 > len(w.out) {
		return false
	}
	w.n += copy(w.out[w.n:], clean)
	w.i += len(line)
	return true
}
