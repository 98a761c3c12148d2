package load

import (
	"bytes"
	"errors"
	"strconv"
)

// message is what the generator needs of a message: slices of the text it came in, valid until the reader goes on.
type message struct {
	raw    []byte // all of it
	status int    // 0: a request
	method []byte // of a request, or of a response's CSeq
	// echo are the lines a response repeats (RFC 3261, 8.2.6.2): Via, From, Call-ID, CSeq and Record-Route; To is apart, because a
	// tag is added to it.
	echo    []byte
	to      []byte
	callID  []byte
	cseq    []byte // the digits
	contact []byte // the URI
	routes  [][]byte
	body    []byte
}

// errFraming: the stream cannot be followed any more.
var errFraming = errors.New("load: what the server sent is no SIP message")

const maxMessage = 64 << 10

// scan reads the first message of buf into m and returns its length; 0: not complete yet. The slices of m are reused.
func (m *message) scan(buf []byte) (int, error) {
	head := bytes.Index(buf, []byte("\r\n\r\n"))
	if head < 0 {
		if len(buf) > maxMessage {
			return 0, errFraming
		}
		return 0, nil
	}
	*m = message{echo: m.echo[:0], routes: m.routes[:0]}
	first := bytes.IndexByte(buf, '\r')
	length, err := m.lines(buf[first+2 : head+2])
	if err != nil {
		return 0, err
	}
	total := head + 4 + length
	if length < 0 || total > maxMessage {
		return 0, errFraming
	}
	if len(buf) < total {
		return 0, nil
	}
	m.raw, m.body = buf[:total], buf[head+4:total]
	return total, m.start(buf[:first])
}

func (m *message) start(line []byte) error {
	if rest, ok := bytes.CutPrefix(line, []byte("SIP/2.0 ")); ok {
		if len(rest) < 3 {
			return errFraming
		}
		m.status = number(rest[:3])
		return nil
	}
	method, _, ok := bytes.Cut(line, []byte(" "))
	if !ok {
		return errFraming
	}
	m.method = method
	return nil
}

// lines reads the header fields and returns the Content-Length.
func (m *message) lines(head []byte) (length int, err error) {
	for len(head) > 0 {
		end := bytes.IndexByte(head, '\n')
		if end < 0 {
			return 0, errFraming
		}
		line := head[:end+1]
		head = head[end+1:]
		colon := bytes.IndexByte(line, ':')
		if colon < 0 {
			continue // a folded line: of nothing we look at
		}
		name, value := bytes.TrimRight(line[:colon], " \t"), bytes.TrimSpace(line[colon+1:])
		switch {
		case is(name, "Via", 'v'), is(name, "From", 'f'):
			m.echo = append(m.echo, line...)
		case is(name, "Record-Route", 0):
			m.echo = append(m.echo, line...)
			m.routes = append(m.routes, value)
		case is(name, "To", 't'):
			m.to = value
		case is(name, "Call-ID", 'i'):
			m.echo, m.callID = append(m.echo, line...), value
		case is(name, "CSeq", 0):
			m.echo = append(m.echo, line...)
			m.cseq, m.method, _ = bytes.Cut(value, []byte(" "))
			m.method = bytes.TrimSpace(m.method)
		case is(name, "Contact", 'm'):
			m.contact = uriOf(value)
		case is(name, "Content-Length", 'l'):
			length = number(value)
		}
	}
	return length, nil
}

// is compares a header field's name with the long and the compact form.
func is(name []byte, long string, compact byte) bool {
	if len(name) == 1 {
		return name[0]|0x20 == compact
	}
	return len(name) == len(long) && bytes.EqualFold(name, []byte(long))
}

// uriOf is the URI of a name-addr or addr-spec.
func uriOf(v []byte) []byte {
	if open := bytes.IndexByte(v, '<'); open >= 0 {
		if end := bytes.IndexByte(v[open:], '>'); end > 0 {
			return v[open+1 : open+end]
		}
	}
	uri, _, _ := bytes.Cut(v, []byte(";"))
	return uri
}

func number(b []byte) int {
	n, err := strconv.Atoi(string(b))
	if err != nil {
		return -1
	}
	return n
}

// field returns the first value of a header field of the whole message; for what is rarely looked at.
func (m *message) field(name string) []byte {
	rest := m.raw
	for {
		line, next, ok := bytes.Cut(rest, []byte("\r\n"))
		if !ok || len(line) == 0 {
			return nil
		}
		if len(line) > len(name) && line[len(name)] == ':' && bytes.EqualFold(line[:len(name)], []byte(name)) {
			return bytes.TrimSpace(line[len(name)+1:])
		}
		rest = next
	}
}
