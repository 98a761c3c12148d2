package trace

import (
	"bytes"
	"strconv"
	"strings"
)

// message is what a ladder needs of a SIP message. It is read without a parser, so that what is malformed still shows.
type message struct {
	request  bool
	method   string // of a response: from CSeq
	status   int
	reason   string
	uri      string
	cseq     string // "1 INVITE"
	callID   string
	branch   string // of the topmost Via
	from, to string // the user part, or the host
	toTag    bool
	event    string // of Event or Refer-To
	sdp      string // summary; empty without SDP
	first    string // the start line
}

// readMessage reads the text of a record.
func readMessage(text []byte) message {
	head, body := splitMessage(text)
	line, rest := cutLine(head)
	m := message{first: strings.TrimRight(string(line), "\r\n")}
	m.startLine()
	for len(rest) > 0 {
		line, rest = cutLine(rest)
		name, value, ok := bytes.Cut(line, []byte(":"))
		if ok {
			m.header(strings.ToLower(string(bytes.TrimSpace(name))), strings.TrimSpace(string(value)))
		}
	}
	if bytes.Contains(body, []byte("m=")) && bytes.Contains(body, []byte("v=0")) {
		m.sdp = describeSDP(body)
	}
	return m
}

// Label is a SIP message on one line: "INVITE sdp SAVP CM_128_80", "180 Ringing".
func Label(text []byte) string {
	m := readMessage(text)
	return m.label()
}

func (m *message) startLine() {
	a, rest, _ := strings.Cut(m.first, " ")
	b, c, _ := strings.Cut(rest, " ")
	if strings.HasPrefix(a, "SIP/") {
		m.status, _ = strconv.Atoi(b)
		m.reason = c
		return
	}
	m.request, m.method, m.uri = true, a, b
}

func (m *message) header(name, value string) {
	switch name {
	case "cseq":
		m.cseq = value
		if _, method, ok := strings.Cut(value, " "); ok && !m.request {
			m.method = strings.TrimSpace(method)
		}
	case "call-id", "i":
		m.callID = value
	case "via", "v":
		if m.branch == "" {
			m.branch = param(value, "branch")
		}
	case "from", "f":
		m.from = userOf(value)
	case "to", "t":
		m.to = userOf(value)
		m.toTag = param(value, "tag") != ""
	case "event", "o":
		m.event, _, _ = strings.Cut(value, ";")
	case "refer-to", "r":
		m.event = userOf(value)
	}
}

// param returns a header parameter's value.
func param(value, name string) string {
	i := strings.Index(strings.ToLower(value), ";"+name+"=")
	if i < 0 {
		return ""
	}
	v := value[i+len(name)+2:]
	if end := strings.IndexAny(v, ";,> \t"); end >= 0 {
		v = v[:end]
	}
	return v
}

// userOf returns the user part of a name-addr or addr-spec, or the host when there is none.
func userOf(value string) string {
	if i := strings.IndexByte(value, '<'); i >= 0 {
		value = value[i+1:]
	}
	for _, scheme := range [...]string{"sips:", "sip:", "tel:"} {
		if len(value) >= len(scheme) && strings.EqualFold(value[:len(scheme)], scheme) {
			value = value[len(scheme):]
			break
		}
	}
	if end := strings.IndexAny(value, ">;?"); end >= 0 {
		value = value[:end]
	}
	if user, _, ok := strings.Cut(value, "@"); ok {
		value, _, _ = strings.Cut(user, ":")
	}
	return value
}

// label is the message on one line: "INVITE sdp SAVP CM_128_80", "180 Ringing", "200 OK sdp SAVP CM_128_80".
func (m *message) label() string {
	if !m.request && m.status == 0 {
		return shorten("? "+strings.Map(printable, m.first), 40)
	}
	var s string
	switch {
	case !m.request:
		s = strconv.Itoa(m.status) + " " + shorten(strings.Map(printable, m.reason), 28)
		if m.method != "INVITE" && m.method != "" {
			s += " (" + m.method + ")"
		}
	case m.method == "INVITE" && m.toTag:
		s = "re-INVITE"
	default:
		s = shorten(strings.Map(printable, m.method), 20)
	}
	if m.request && m.event != "" {
		s += " " + shorten(strings.Map(printable, m.event), 20)
	}
	if m.sdp != "" {
		s += " sdp " + m.sdp
	}
	return s
}

// short is the label with less of the session description: the direction when there is one, else the profile.
func (m *message) short() string {
	long := m.label()
	head, _, ok := strings.Cut(long, " sdp ")
	if !ok {
		return long
	}
	words := strings.Fields(m.sdp)
	if last := words[len(words)-1]; direction(last) {
		return head + " " + last
	}
	return head + " " + words[0]
}

func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return '·'
	}
	return r
}

// shorten cuts a text to n characters.
func shorten(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:max(0, n-1)]) + "…"
}

// describeSDP summarises a session description: profile, crypto suite and, when it is not sendrecv, the direction, for
// every media line; a kind other than audio is named.
func describeSDP(body []byte) string {
	var out []string
	var cur *mediaLine
	session := ""
	flush := func() {
		if cur != nil {
			out = append(out, cur.String())
		}
	}
	for len(body) > 0 {
		line, rest := cutLine(body)
		body = rest
		text := strings.TrimSpace(string(line))
		switch {
		case strings.HasPrefix(text, "m="):
			flush()
			cur = newMediaLine(text[2:], session)
		case strings.HasPrefix(text, "a=") && cur != nil:
			cur.attribute(text[2:])
		case strings.HasPrefix(text, "a=") && direction(text[2:]):
			session = text[2:]
		}
	}
	flush()
	return shorten(strings.Join(out, ", "), 60)
}

// mediaLine is one m= line and its attributes.
type mediaLine struct {
	kind, port, proto string
	suites            []string
	dtls              bool
	dir               string
}

func newMediaLine(s, dir string) *mediaLine {
	f := strings.Fields(s)
	for len(f) < 3 {
		f = append(f, "?")
	}
	return &mediaLine{kind: f[0], port: f[1], proto: strings.TrimPrefix(f[2], "RTP/"), dir: dir}
}

func (m *mediaLine) attribute(a string) {
	switch {
	case strings.HasPrefix(a, "crypto:"):
		if f := strings.Fields(a); len(f) > 1 {
			m.suites = append(m.suites, suiteName(f[1]))
		}
	case strings.HasPrefix(a, "fingerprint:"):
		m.dtls = true
	case direction(a):
		m.dir = a
	}
}

func direction(a string) bool {
	return a == "sendrecv" || a == "sendonly" || a == "recvonly" || a == "inactive"
}

// suiteName shortens a crypto suite: CM_128_80 for AES_CM_128_HMAC_SHA1_80, GCM_256 for AEAD_AES_256_GCM.
func suiteName(s string) string {
	switch s {
	case "AEAD_AES_128_GCM":
		return "GCM_128"
	case "AEAD_AES_256_GCM":
		return "GCM_256"
	}
	s = strings.TrimPrefix(s, "AES_")
	return shorten(strings.Replace(s, "_HMAC_SHA1_", "_", 1), 16)
}

func (m *mediaLine) String() string {
	var s string
	if m.kind != "audio" {
		s = m.kind + " "
	}
	s += m.proto
	switch {
	case m.port == "0":
		return s + " refused"
	case len(m.suites) > 1:
		s += " " + m.suites[0] + "+" + strconv.Itoa(len(m.suites)-1)
	case len(m.suites) == 1:
		s += " " + m.suites[0]
	case m.dtls:
		s += " DTLS"
	}
	if m.dir != "" && m.dir != "sendrecv" {
		s += " " + m.dir
	}
	return s
}
