package sip

import (
	"bytes"
	"slices"
	"strings"
)

// Limits bound what a peer can make us hold. The zero value means the defaults in the comments.
type Limits struct {
	Message int // whole message, bytes; 65,535
	Header  int // start line and header fields, bytes; 16,384
	Fields  int // header field values after comma lists are split; 256
}

func (l Limits) withDefaults() Limits {
	if l.Message <= 0 {
		l.Message = 65535
	}
	if l.Header <= 0 {
		l.Header = 16384
	}
	if l.Fields <= 0 {
		l.Fields = 256
	}
	return l
}

// Parse reads one datagram. The message does not refer to data afterwards. An error is a *ParseError: the message cannot be
// framed or read at all; Reply is the answer, if there is one. What Parse accepts still has to pass Validate.
// RFC 3261, 18.3: without Content-Length the body reaches to the end, bytes beyond Content-Length are dropped.
func Parse(data []byte) (*Message, error) { return Limits{}.Parse(data) }

// Parse is Parse within these limits.
func (l Limits) Parse(data []byte) (*Message, error) {
	l = l.withDefaults()
	data = data[leadingCRLF(data):]
	if len(data) > l.Message {
		data = data[:l.Message]
		h := l.head(data[:min(len(data), l.Header)])
		return nil, h.refuse(513, l.Message, "", "the message exceeds the limit")
	}
	n := headEnd(data, 0)
	if n < 0 {
		h := l.head(data[:min(len(data), l.Header)])
		return nil, h.refuse(400, len(data), "", "the empty line after the header fields is missing")
	}
	if n > l.Header {
		h := l.head(data[:l.Header])
		return nil, h.refuse(513, l.Header, "", "the header fields exceed the limit")
	}
	h := l.head(data[:n])
	body := data[n:]
	if h.length > int64(len(body)) { // RFC 3261, 18.3
		return nil, h.refuse(400, n, "Content-Length", "the body is shorter than Content-Length says")
	}
	if h.fault != nil {
		return nil, h.finish()
	}
	if h.length >= 0 {
		body = body[:h.length]
	}
	if len(body) > 0 {
		h.m.body = bytes.Clone(body)
	}
	return h.m, nil
}

// leadingCRLF is the number of bytes of empty lines before the start line. RFC 3261, 7.5.
func leadingCRLF(data []byte) int {
	n := 0
	for n+1 < len(data) && data[n] == '\r' && data[n+1] == '\n' {
		n += 2
	}
	return n
}

// headEnd is the length of start line and header fields with the empty line, searched from byte from on; -1 = not there yet.
func headEnd(data []byte, from int) int {
	i := bytes.Index(data[from:], []byte("\r\n\r\n"))
	if i < 0 {
		return -1
	}
	return from + i + 4
}

// head is what one pass over start line and header fields found. It goes on after a fault, so that there is something to
// build a reply from; the first fault is kept.
type head struct {
	m       *Message
	length  int64 // Content-Length, -1 when absent
	lengths int   // how many Content-Lengths there were
	sip     bool  // the start line looks like SIP at all
	fault   *ParseError
	limit   int
	params  []Param // room for the parameters of what is read
}

// storage is one allocation for a message with the usual number of fields and parameters.
type storage struct {
	Message
	fieldRoom [18]Field
	paramRoom [12]Param
}

func (l Limits) head(data []byte) head {
	room := new(storage)
	h := head{m: &room.Message, length: -1, limit: l.Fields, params: room.paramRoom[:0]}
	h.m.fields = room.fieldRoom[:0]
	text := string(data)
	at := h.startLine(text)
	for at < len(text) {
		at = h.line(text, at)
	}
	h.typed()
	return h
}

func (h *head) fail(at int, header, what string) {
	if h.fault == nil {
		h.fault = &ParseError{Offset: at, Header: header, What: what, Status: 400}
	}
}

// finish gives the fault its reply.
func (h *head) finish() *ParseError {
	h.fault.Reply = replyTo(h.m, h.fault.Status)
	if h.fault.Reply == nil {
		h.fault.Status = 0
	}
	return h.fault
}

func (h *head) refuse(status, at int, header, what string) *ParseError {
	h.fault = &ParseError{Offset: at, Header: header, What: what, Status: status}
	return h.finish()
}

// startLine reads Request-Line or Status-Line and returns where the header fields begin. RFC 3261, 7.1 and 7.2.
func (h *head) startLine(text string) int {
	end := strings.Index(text, "\r\n")
	next := end + 2
	if end < 0 {
		end, next = len(text), len(text)
	}
	line := text[:end]
	if len(line) > 4 && strings.EqualFold(line[:4], "SIP/") {
		h.statusLine(line)
		return next
	}
	h.requestLine(line)
	return next
}

// statusLine is SIP-Version SP Status-Code SP Reason-Phrase; the phrase may be empty, the space before it not.
func (h *head) statusLine(line string) {
	h.sip = true
	version, rest, _ := strings.Cut(line, " ")
	code, reason, sp := strings.Cut(rest, " ")
	n, ok := parseDigits(code, 699)
	h.m.version, h.m.status, h.m.reason = version, 1, reason
	if !ok || n < 100 || len(code) != 3 || !sp {
		h.fail(len(version)+1, "", "a status line is SIP/2.0, a code from 100 to 699 and a reason phrase")
		return
	}
	h.m.status = int(n)
	if i := strings.IndexFunc(reason, isControl); i >= 0 {
		h.fail(len(line)-len(reason)+i, "", "control character in the reason phrase")
	}
	h.version(0)
}

// requestLine is Method SP Request-URI SP SIP-Version, one space each.
func (h *head) requestLine(line string) {
	first, last := strings.IndexByte(line, ' '), strings.LastIndexByte(line, ' ')
	if first < 0 {
		h.m.method = Method(line)
		h.fail(0, "", "neither a request line nor a status line of SIP")
		return
	}
	h.m.method = Method(line[:first])
	trimmed := trimRight(line)
	if i := strings.LastIndexByte(trimmed, ' '); i > first && len(trimmed) > i+4 && strings.EqualFold(trimmed[i+1:i+5], "SIP/") {
		h.sip = true
	}
	if !IsToken(line[:first]) {
		h.fail(0, "", "a method is a token")
	}
	if first == last {
		h.fail(len(line), "", "the request line ends without SIP version")
		return
	}
	h.m.version = line[last+1:]
	u := value{s: line[first+1 : last], params: h.params}
	if len(trimmed) != len(line) || strings.ContainsAny(u.s, " \t") || u.s == "" {
		h.fail(first, "", "a request line is method, URI and version with one space between them and none at the end")
	} else if !u.uri(&h.m.uri, 0, len(u.s)) {
		h.fail(first+1+u.at, "Request-URI", u.what)
	} else {
		h.version(last + 1)
	}
	h.params = u.params
}

// version checks SIP-Version: another version than ours is well-formed and left to Validate, which answers 505.
func (h *head) version(at int) {
	if h.m.version == sipVersion {
		return
	}
	major, minor, dot := strings.Cut(h.m.version[min(4, len(h.m.version)):], ".")
	if len(h.m.version) < 4 || !strings.EqualFold(h.m.version[:4], "SIP/") || !dot || !allIn(major, cdigit) || !allIn(minor, cdigit) {
		h.fail(at, "", "the SIP version must read SIP/2.0")
	}
}

func isControl(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }

// line reads the header field at text[at:] with its continuation lines and returns where the next one begins.
func (h *head) line(text string, at int) int {
	end, next, folded := lineEnd(text, at)
	line := text[at:end]
	if line == "" {
		return next
	}
	colon := strings.IndexByte(line, ':')
	if colon < 0 {
		h.fail(at, "", "a header field without \":\"")
		return next
	}
	name := trimRight(line[:colon])
	if !IsToken(name) {
		h.fail(at, "", "a header field name must be a token")
		return next
	}
	val := line[colon+1:]
	if folded {
		val = unfold(val)
	}
	val = trim(val)
	id := lookupField(name)
	if bad := controlAt(val); bad >= 0 {
		h.fail(at+colon+1+bad, name, "control character outside a quoted pair; lines end with CR LF")
	}
	h.store(at, id, name, val)
	return next
}

// lineEnd finds the end of a header field: the first CR LF that no white space follows.
func lineEnd(text string, at int) (end, next int, folded bool) {
	for i := at; ; {
		n := strings.Index(text[i:], "\r\n")
		if n < 0 {
			return len(text), len(text), folded
		}
		end, next = i+n, i+n+2
		if n == 0 && i == at || next >= len(text) || text[next] != ' ' && text[next] != '\t' {
			return end, next, folded
		}
		folded, i = true, next
	}
}

// unfold replaces each line fold with one space. RFC 3261, 7.3.1.
func unfold(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\r' || i+1 >= len(s) || s[i+1] != '\n' {
			b = append(b, s[i])
			continue
		}
		for i+1 < len(s) && (s[i+1] == '\n' || s[i+1] == ' ' || s[i+1] == '\t') {
			i++
		}
		b = append(b, ' ')
	}
	return string(b)
}

// controlAt is the offset of the first control character that no quoted pair excuses, or -1.
func controlAt(s string) int {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != 0x7f || c == '\t' {
			continue
		}
		if i > 0 && s[i-1] == '\\' && c != '\r' && c != '\n' && strings.IndexByte(s[:i], '"') >= 0 {
			continue
		}
		return i
	}
	return -1
}

// store keeps one header field, split into its elements where it is a list of addresses or Vias.
func (h *head) store(at int, id fieldID, name, val string) {
	if id == idContentLength {
		h.contentLength(at, val)
		return
	}
	for splitsElements(id) {
		n := elementEnd(val)
		if n == len(val) {
			break
		}
		h.add(at, id, name, trimRight(val[:n]))
		val = strings.TrimLeft(val[n+1:], " \t")
	}
	h.add(at, id, name, val)
}

func (h *head) add(at int, id fieldID, name, val string) {
	if len(h.m.fields) >= h.limit {
		if h.fault == nil {
			h.fault = &ParseError{Offset: at, Header: name, What: "too many header fields", Status: 513}
		}
		return
	}
	h.m.fields = append(h.m.fields, newField(id, name, val))
}

// contentLength reads Content-Length: one, digits only, and not beyond what an int32 counts (RFC 4475, 3.1.2.3).
func (h *head) contentLength(at int, val string) {
	h.lengths++
	n, ok := parseDigits(val, 1<<31-1)
	switch {
	case !ok:
		h.fail(at, "Content-Length", "Content-Length must be a number of bytes")
		h.lengths++
	case h.lengths > 1:
		h.fail(at, "Content-Length", "more than one Content-Length")
	default:
		h.length = int64(n)
	}
}

// typed fills the typed copies. What cannot be read is remembered for Validate: the message can still be traced.
func (h *head) typed() {
	m := h.m
	v := value{params: h.params}
	var seen uint32
	for i := range m.fields {
		f := &m.fields[i]
		if f.id == idOther || f.id > idCSeq && f.id != idContact || seen&(1<<f.id) != 0 {
			continue
		}
		seen |= 1 << f.id
		v.s, v.i = f.Value, 0
		ok := true
		switch f.id {
		case idVia:
			m.via, ok = v.via()
		case idFrom:
			m.from, ok = v.address()
		case idTo:
			m.to, ok = v.address()
		case idCSeq:
			m.cseq, ok = v.cseq()
		case idContact:
			m.contact, ok = v.address()
		case idCallID:
			m.callID, v.i = f.Value, len(v.s)
		}
		if (!ok || !v.end()) && m.fault == nil {
			m.fault = &ParseError{Offset: v.at, Header: f.Name, What: v.what, Status: 400}
		}
		v.what = ""
	}
}

// replyTo builds the answer to a bad request, nil when there must be none: a response, an ACK (RFC 3261, 17.1.1.3), or nothing
// to send it back by (no readable Via). Vias that cannot be read are not repeated, the topmost is cut to what was read of it.
func replyTo(m *Message, status int) *Message {
	if m.status != 0 || m.method == ACK || m.via.Host == "" {
		return nil
	}
	res := NewResponse(m, status, "")
	top := true
	res.fields = slices.DeleteFunc(res.fields, func(f Field) bool {
		if f.id != idVia || top {
			top = top && f.id != idVia
			return false
		}
		_, err := ParseVia(f.Value)
		return err != nil
	})
	if _, err := ParseVia(res.first(idVia)); err != nil {
		res.SetTopVia(m.via)
	}
	return res
}
