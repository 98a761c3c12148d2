package sip

import (
	"slices"
	"strconv"
	"strings"
)

// Method is a request method. RFC 3261, 7.1: methods are case-sensitive, so "invite" is an unknown method.
type Method string

// The methods this stack knows by name; any other token is legal on the wire and answered by Screen with 501.
const (
	INVITE    Method = "INVITE"    // RFC 3261, 13
	ACK       Method = "ACK"       // RFC 3261, 13
	CANCEL    Method = "CANCEL"    // RFC 3261, 9
	BYE       Method = "BYE"       // RFC 3261, 15
	REGISTER  Method = "REGISTER"  // RFC 3261, 10
	OPTIONS   Method = "OPTIONS"   // RFC 3261, 11
	PRACK     Method = "PRACK"     // RFC 3262, 3
	UPDATE    Method = "UPDATE"    // RFC 3311, 1
	SUBSCRIBE Method = "SUBSCRIBE" // RFC 6665, 3
	NOTIFY    Method = "NOTIFY"    // RFC 6665, 3
	REFER     Method = "REFER"     // RFC 3515, 2
	INFO      Method = "INFO"      // RFC 6086, 1
	MESSAGE   Method = "MESSAGE"   // RFC 3428, 1
	PUBLISH   Method = "PUBLISH"   // RFC 3903, 1
)

// CSeq is the CSeq header field. RFC 3261, 8.1.1.5: Seq is below 2**31.
type CSeq struct {
	Seq    uint32
	Method Method
}

// String is the header field value.
func (c CSeq) String() string { return string(c.append(nil)) }

func (c CSeq) append(b []byte) []byte {
	b = strconv.AppendUint(b, uint64(c.Seq), 10)
	b = append(b, ' ')
	return append(b, c.Method...)
}

// Field is one header field line: canonical long name for a known field, the sender's spelling for an unknown one.
// Value is unfolded and trimmed. Via, Route, Record-Route, Contact and the other address lists hold one element per
// Field (RFC 3261, 7.3.1: a comma list and repeated lines mean the same); other lists stay as they were sent.
type Field struct {
	Name, Value string
	id          fieldID
}

// Message is a SIP request or response. It is owned by one goroutine while it changes; readers may share it afterwards:
// no accessor writes. Content-Length is no stored field: Append computes it.
type Message struct {
	method   Method // request method; for a response, that of CSeq
	uri      URI
	status   int // 0 = request
	reason   string
	version  string // as received, "SIP/2.0" when built
	fields   []Field
	body     []byte
	via      Via // first Via
	from, to Address
	contact  Address // first Contact
	cseq     CSeq
	callID   string
	fault    *ParseError
}

// NewRequest makes a request with its request line and nothing else: the caller adds every header field.
func NewRequest(method Method, uri URI) *Message {
	return &Message{method: method, uri: uri, version: sipVersion, fields: make([]Field, 0, room(method, 0))}
}

// room is how many fields a message of ours will have, so that the last of them (our Via, in a request) does not make the list grow to
// twice its size: an INVITE stays in memory until Timer M, its 200 until the ACK.
func room(method Method, status int) int {
	switch {
	case method != INVITE:
		return 10
	case status == 0:
		return 17
	case status/100 == 2:
		return 15
	}
	return 12
}

// NewResponse answers req. RFC 3261, 8.2.6.2: From, Call-ID, CSeq, To and all Via header fields are copied, in order;
// Record-Route too where the response may create a dialog (RFC 3261, 12.1.1: 101-299 to INVITE, SUBSCRIBE, REFER, NOTIFY).
// An empty reason takes the standard phrase. The To tag is the caller's: SetToTag.
func NewResponse(req *Message, status int, reason string) *Message {
	if reason == "" {
		reason = ReasonPhrase(status)
	}
	reason = oneLine(reason)
	m := &Message{
		method: req.method, status: status, reason: reason, version: sipVersion,
		via: req.via, from: req.from, to: req.to, cseq: req.cseq, callID: req.callID,
		fields: make([]Field, 0, room(req.method, status)),
	}
	dialog := status > 100 && status < 300 && formsDialog(req.method)
	for _, f := range req.fields {
		switch f.id {
		case idVia, idFrom, idTo, idCallID, idCSeq:
			m.fields = append(m.fields, f)
		case idRecordRoute:
			if dialog {
				m.fields = append(m.fields, f)
			}
		case idTimestamp:
			if status == 100 { // RFC 3261, 8.2.6.1: Timestamp is copied into a 100.
				m.fields = append(m.fields, f)
			}
		}
	}
	return m
}

func formsDialog(method Method) bool {
	switch method {
	case INVITE, SUBSCRIBE, REFER, NOTIFY:
		return true
	}
	return false
}

// IsRequest says whether m is a request.
func (m *Message) IsRequest() bool { return m.status == 0 }

// IsResponse says whether m is a response.
func (m *Message) IsResponse() bool { return m.status != 0 }

// Method is the request's method, or the CSeq method of a response.
func (m *Message) Method() Method {
	if m.status != 0 {
		return m.cseq.Method
	}
	return m.method
}

// RequestURI is the Request-URI; zero for a response.
func (m *Message) RequestURI() URI { return m.uri }

// SetRequestURI replaces the Request-URI.
func (m *Message) SetRequestURI(u URI) { m.uri = u }

// Status is the status code of a response, 0 for a request.
func (m *Message) Status() int { return m.status }

// Reason is the reason phrase of a response.
func (m *Message) Reason() string { return m.reason }

// SetStatus changes the status line of a response; an empty reason takes the standard phrase.
func (m *Message) SetStatus(status int, reason string) {
	if reason == "" {
		reason = ReasonPhrase(status)
	}
	m.status, m.reason = status, oneLine(reason)
}

// IsFinal says whether m is a final response (200 and above).
func (m *Message) IsFinal() bool { return m.status >= 200 }

// IsSuccess says whether m is a 2xx response.
func (m *Message) IsSuccess() bool { return m.status >= 200 && m.status < 300 }

// TopVia is the first Via value; zero (Transport "") when there is none.
func (m *Message) TopVia() Via { return m.via }

// Vias are all Via values, topmost first.
func (m *Message) Vias() []Via {
	var vias []Via
	for _, f := range m.fields {
		if f.id != idVia {
			continue
		}
		for element := range listElements(f.Value) {
			if v, err := ParseVia(element); err == nil {
				vias = append(vias, v)
			}
		}
	}
	return vias
}

// PrependVia puts v on top.
func (m *Message) PrependVia(v Via) {
	at := max(m.index(idVia), 0)
	m.fields = slices.Insert(m.fields, at, builtField(idVia, "", v.String()))
	m.via = v
}

// SetTopVia replaces the topmost Via (a server adds received and rport this way); it adds one when there is none.
func (m *Message) SetTopVia(v Via) {
	if i := m.index(idVia); i >= 0 {
		m.fields[i].Value = oneLine(v.String())
		m.via = v
		return
	}
	m.PrependVia(v)
}

// PopVia removes the topmost Via, as a proxy or client does with a response.
func (m *Message) PopVia() {
	if i := m.index(idVia); i >= 0 {
		m.fields = slices.Delete(m.fields, i, i+1)
		m.refresh(idVia)
	}
}

// From is the From header field; zero when it is missing or unreadable (Validate says so).
func (m *Message) From() Address { return m.from }

// To is the To header field.
func (m *Message) To() Address { return m.to }

// FromTag is From's tag parameter, "" when absent.
func (m *Message) FromTag() string { return m.from.Tag() }

// ToTag is To's tag parameter, "" when absent.
func (m *Message) ToTag() string { return m.to.Tag() }

// SetFrom replaces From.
func (m *Message) SetFrom(a Address) {
	m.put(idFrom, a.String())
	m.from = a
}

// SetTo replaces To.
func (m *Message) SetTo(a Address) {
	m.put(idTo, a.String())
	m.to = a
}

// SetToTag adds the tag to To unless it has one already. RFC 3261, 8.2.6.2: a UAS tags every response but 100.
func (m *Message) SetToTag(tag string) {
	if m.to.Tag() != "" {
		return
	}
	i := m.index(idTo)
	if i < 0 {
		return
	}
	if strings.Contains(m.fields[i].Value, "<") {
		m.fields[i].Value += ";tag=" + oneLine(tag)
		m.to.Params = m.to.Params.With("tag", tag)
		return
	}
	m.SetTo(Address{Display: m.to.Display, URI: m.to.URI, Params: m.to.Params.With("tag", tag)})
}

// CallID is the Call-ID; it compares case-sensitively, byte by byte (RFC 3261, 20.8).
func (m *Message) CallID() string { return m.callID }

// SetCallID replaces the Call-ID.
func (m *Message) SetCallID(id string) { m.Set("Call-ID", id) }

// CSeq is the CSeq header field.
func (m *Message) CSeq() CSeq { return m.cseq }

// SetCSeq replaces CSeq.
func (m *Message) SetCSeq(c CSeq) {
	m.put(idCSeq, c.String())
	m.cseq = c
}

// Contacts are all Contact values in order; `*` is an Address whose IsWildcard is true.
func (m *Message) Contacts() []Address { return m.Addresses("Contact") }

// Contact is the first Contact value.
func (m *Message) Contact() (Address, bool) { return m.contact, !m.contact.URI.IsZero() }

// SetContact replaces all Contact values.
func (m *Message) SetContact(a ...Address) {
	if len(a) != 1 {
		m.SetAddresses("Contact", a)
		return
	}
	if i := m.index(idContact); i < 0 || slices.ContainsFunc(m.fields[i+1:], func(f Field) bool { return f.id == idContact }) {
		m.Del("Contact")
	}
	m.put(idContact, a[0].String())
	m.contact = a[0]
}

// Routes are the Route values, next hop first.
func (m *Message) Routes() []Address { return m.Addresses("Route") }

// SetRoutes replaces the Route values.
func (m *Message) SetRoutes(a []Address) { m.SetAddresses("Route", a) }

// RecordRoutes are the Record-Route values in the order of the message.
func (m *Message) RecordRoutes() []Address { return m.Addresses("Record-Route") }

// MaxForwards is Max-Forwards, false when it is absent or unreadable.
func (m *Message) MaxForwards() (int, bool) { return m.number(idMaxForwards, 255) }

// SetMaxForwards replaces Max-Forwards.
func (m *Message) SetMaxForwards(n int) { m.Set("Max-Forwards", strconv.Itoa(n)) }

// Expires is the Expires header field in seconds, false when it is absent or unreadable.
func (m *Message) Expires() (int, bool) { return m.number(idExpires, 1<<32-1) }

// ContentType is the Content-Type value as sent, "" when absent.
func (m *Message) ContentType() string { return m.first(idContentType) }

// MediaType is Content-Type without parameters, in lower case: "application/sdp".
func (m *Message) MediaType() string {
	t, _, _ := strings.Cut(m.ContentType(), ";")
	t = strings.TrimSpace(t)
	if main, sub, ok := strings.Cut(t, "/"); ok { // RFC 3261, 25.1: m-type SLASH m-subtype, SLASH with white space
		main, sub = trimRight(main), strings.TrimLeft(sub, " \t")
		if len(main)+1+len(sub) != len(t) {
			t = main + "/" + sub
		}
	}
	return strings.ToLower(t)
}

// Body is the message body; the caller must not change it.
func (m *Message) Body() []byte { return m.body }

// SetBody replaces body and Content-Type; an empty contentType removes the field.
func (m *Message) SetBody(contentType string, body []byte) {
	m.body = body
	if contentType == "" {
		m.Del("Content-Type")
		return
	}
	m.Set("Content-Type", contentType)
}

// Header is the value of the first field with that name, in any case, long or compact; "" when absent.
func (m *Message) Header(name string) string {
	id := lookupField(name)
	for i := range m.fields {
		if m.fields[i].is(id, name) {
			return m.fields[i].Value
		}
	}
	return ""
}

// Headers are the values of all fields with that name, one per line sent (per element for address lists).
func (m *Message) Headers(name string) []string {
	id := lookupField(name)
	var values []string
	for i := range m.fields {
		if m.fields[i].is(id, name) {
			values = append(values, m.fields[i].Value)
		}
	}
	return values
}

// Has says whether there is a field with that name.
func (m *Message) Has(name string) bool {
	id := lookupField(name)
	for i := range m.fields {
		if m.fields[i].is(id, name) {
			return true
		}
	}
	return false
}

// Fields are all header fields in order; the caller must not change them. Content-Length is not among them.
func (m *Message) Fields() []Field { return m.fields }

// Set replaces the first field with that name in its place and removes the others; it appends when there is none.
// Setting Content-Length does nothing: it follows the body.
func (m *Message) Set(name, value string) {
	id := lookupField(name)
	if id == idContentLength {
		return
	}
	at := -1
	for i := 0; i < len(m.fields); i++ {
		if !m.fields[i].is(id, name) {
			continue
		}
		if at < 0 {
			at = i
			m.fields[i].Value = oneLine(value)
			continue
		}
		m.fields = slices.Delete(m.fields, i, i+1)
		i--
	}
	if at < 0 {
		m.fields = append(m.fields, builtField(id, name, value))
	}
	m.refresh(id)
}

// Add appends a field after the others; values that are present stay.
func (m *Message) Add(name, value string) {
	id := lookupField(name)
	if id == idContentLength {
		return
	}
	m.fields = append(m.fields, builtField(id, name, value))
	m.refresh(id)
}

// Prepend puts a field before all others of its name, and before the whole header when there is none.
func (m *Message) Prepend(name, value string) {
	id := lookupField(name)
	if id == idContentLength {
		return
	}
	at := 0
	for i := range m.fields {
		if m.fields[i].is(id, name) {
			at = i
			break
		}
	}
	m.fields = slices.Insert(m.fields, at, builtField(id, name, value))
	m.refresh(id)
}

// Del removes all fields with that name.
func (m *Message) Del(name string) {
	id := lookupField(name)
	m.fields = slices.DeleteFunc(m.fields, func(f Field) bool { return f.is(id, name) })
	m.refresh(id)
}

// Tokens is the comma list in all fields of that name, as tokens with white space removed: Supported, Require, Allow ...
func (m *Message) Tokens(name string) []string {
	id := lookupField(name)
	var tokens []string
	for i := range m.fields {
		if !m.fields[i].is(id, name) {
			continue
		}
		for element := range listElements(m.fields[i].Value) {
			if element != "" {
				tokens = append(tokens, element)
			}
		}
	}
	return tokens
}

// HasToken says whether the comma list of that name holds the token, in any case: HasToken("Supported", "100rel").
func (m *Message) HasToken(name, token string) bool {
	id := lookupField(name)
	for i := range m.fields {
		if !m.fields[i].is(id, name) {
			continue
		}
		for element := range listElements(m.fields[i].Value) {
			if strings.EqualFold(element, token) {
				return true
			}
		}
	}
	return false
}

// Address is the first value of an address header field (Refer-To, P-Asserted-Identity, Contact ...).
func (m *Message) Address(name string) (Address, bool) {
	id := lookupField(name)
	for i := range m.fields {
		if m.fields[i].is(id, name) {
			for element := range listElements(m.fields[i].Value) {
				a, err := ParseAddress(element)
				return a, err == nil
			}
		}
	}
	return Address{}, false
}

// Addresses are all values of an address header field, unreadable ones left out (Validate has refused them).
func (m *Message) Addresses(name string) []Address {
	id := lookupField(name)
	var all []Address
	for i := range m.fields {
		if !m.fields[i].is(id, name) {
			continue
		}
		for element := range listElements(m.fields[i].Value) {
			if a, err := ParseAddress(element); err == nil {
				all = append(all, a)
			}
		}
	}
	return all
}

// SetAddresses replaces an address list, one field per element.
func (m *Message) SetAddresses(name string, list []Address) {
	m.Del(name)
	for _, a := range list {
		m.Add(name, a.String())
	}
}

// Clone is a deep enough copy: fields may be changed in either without the other; the body is shared and never written.
func (m *Message) Clone() *Message {
	c := *m
	c.fields = slices.Clone(m.fields)
	return &c
}
