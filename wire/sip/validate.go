package sip

import (
	"strings"
	"time"
)

// Validate applies the strict rules in front of the core: everything about one message that is wrong whatever the server is
// for. nil means the typed accessors can be trusted. Reply is nil for ACK and for responses (drop those).
// What depends on the server (methods, schemes, extensions, body types, hops) is Screen.
//
// A message in the style of RFC 2543 (no magic cookie in its branch) may lack what that RFC did not ask for: the From tag
// and Contact (RFC 4475, 3.4.1).
func Validate(m *Message) *ParseError {
	c := check{m: m}
	c.all()
	if c.fault == nil {
		return nil
	}
	h := head{m: m, fault: c.fault}
	return h.finish()
}

// check walks one message; the first fault stays.
type check struct {
	m              *Message
	fault          *ParseError
	vias, contacts int // seen so far
}

func (c *check) fail(header, what string) {
	if c.fault == nil {
		c.fault = &ParseError{Header: header, What: what, Status: 400}
	}
}

func (c *check) all() {
	m := c.m
	if m.version != sipVersion && !strings.EqualFold(m.version, sipVersion) {
		c.fault = &ParseError{What: "the SIP version is " + m.version + ", this server speaks SIP/2.0", Status: 505}
		return // RFC 4475, 3.1.2.16: nothing else of another version can be judged
	}
	if m.fault != nil {
		f := *m.fault
		c.fault = &f
		return
	}
	c.occurrences()
	if m.status == 0 {
		c.request()
	}
	if c.fault != nil {
		return
	}
	for i := range m.fields {
		if f := &m.fields[i]; f.id != idOther && c.fault == nil {
			c.field(f)
		}
	}
	if len(m.body) > 0 && m.index(idContentType) < 0 { // RFC 3261, 20.15
		c.fail("Content-Type", "a body needs Content-Type")
	}
}

// single says which header fields may occur once only. RFC 3261, 7.3.1: repeating a field that is no list is an error.
func single(id fieldID) bool {
	switch id {
	case idFrom, idTo, idCallID, idCSeq, idMaxForwards, idContentType, idExpires, idDate, idTimestamp, idEvent,
		idSubscriptionState, idReferTo, idReferredBy, idReplaces, idJoin, idSessionExpires, idMinSE, idRSeq, idRAck,
		idRetryAfter, idSubject, idUserAgent, idServer, idMIMEVersion, idMinExpires, idPriority, idOrganization,
		idReplyTo, idContentDisposition, idFlowTimer, idSIPETag, idSIPIfMatch, idInfoPackage:
		return true
	}
	return false
}

// occurrences checks what must be there and what must not be there twice. RFC 3261, 8.1.1.
func (c *check) occurrences() {
	var seen [2]uint64
	for i := range c.m.fields {
		f := &c.m.fields[i]
		if f.id == idOther {
			continue
		}
		bit := uint64(1) << (f.id & 63)
		if seen[f.id>>6]&bit != 0 && single(f.id) {
			c.fail(f.Name, "this header field may occur only once")
		}
		seen[f.id>>6] |= bit
	}
	for _, id := range [...]fieldID{idVia, idFrom, idTo, idCallID, idCSeq} {
		if seen[0]&(1<<id) == 0 {
			c.fail(id.canonical(), "this header field is mandatory")
		}
	}
}

// request checks the rules that hold between parts of a request.
func (c *check) request() {
	m := c.m
	if m.cseq.Method != m.method && c.fault == nil {
		c.fail("CSeq", "the CSeq method is not the method of the request") // RFC 3261, 8.1.1.5
	}
	if len(m.uri.Headers) > 0 {
		c.fail("Request-URI", "a Request-URI must not have headers") // RFC 3261, 19.1.1
	}
	if m.to.IsWildcard() || m.from.IsWildcard() {
		c.fail("From", "* is no address of From or To")
	}
	if m.via.HasCookie() {
		if m.from.Tag() == "" {
			c.fail("From", "From needs a tag") // RFC 3261, 8.1.1.3
		}
		c.dialogContact()
	}
	c.mandatory()
	c.registerContacts()
}

// dialogContact: RFC 3261, 8.1.1.8: exactly one Contact in a request that may establish a dialog.
func (c *check) dialogContact() {
	switch c.m.method {
	case INVITE, SUBSCRIBE, REFER:
	default:
		return
	}
	n := 0
	for i := range c.m.fields {
		if c.m.fields[i].id == idContact {
			n++
		}
	}
	if n != 1 {
		c.fail("Contact", "a request that may establish a dialog needs exactly one Contact")
	}
}

// mandatory checks what a method asks for in addition.
func (c *check) mandatory() {
	var id fieldID
	switch c.m.method {
	case REFER: // RFC 3515, 2.4.1
		id = idReferTo
	case PRACK: // RFC 3262, 3
		id = idRAck
	case NOTIFY: // RFC 6665, 8.2.3
		id = idSubscriptionState
	default:
		return
	}
	if c.m.index(id) < 0 {
		c.fail(id.canonical(), "this header field is mandatory in "+string(c.m.method))
	}
}

// registerContacts: RFC 3261, 10.2.2 and 10.3: `*` stands alone, in a REGISTER, with Expires: 0.
func (c *check) registerContacts() {
	star, n := false, 0
	for i := range c.m.fields {
		if f := &c.m.fields[i]; f.id == idContact {
			star = star || f.Value == "*"
			n++
		}
	}
	if !star {
		return
	}
	if expires, ok := c.m.Expires(); c.m.method != REGISTER || n != 1 || !ok || expires != 0 {
		c.fail("Contact", "* must be the only Contact of a REGISTER with Expires: 0")
	}
}

// field checks the syntax of one header field. Of a response only what routes it is checked: a strange Retry-After is no
// reason to lose the answer.
func (c *check) field(f *Field) {
	if fault := c.routing(f); fault != "" {
		c.fail(f.Name, fault)
		return
	}
	if c.m.status != 0 {
		return
	}
	if fault := c.content(f); fault != "" {
		c.fail(f.Name, fault)
	}
}

// routing checks the fields that say where a message goes.
func (c *check) routing(f *Field) string {
	v := value{s: f.Value, discard: true}
	switch f.id {
	case idVia:
		return c.via(f)
	case idFrom, idTo:
		return "" // read by Parse
	case idCallID:
		if !allIn(f.Value, cword) {
			return "a Call-ID is one word, or two joined by \"@\""
		}
	case idContact:
		return c.contact(f)
	case idRoute, idRecordRoute, idPath, idServiceRoute:
		a, ok := v.address()
		if !ok || !v.end() {
			return v.what
		}
		if !a.URI.IsSIP() || !strings.Contains(f.Value, "<") {
			return "a route is a sip or sips URI in angle brackets"
		}
	}
	return ""
}

// via checks one Via and the values of its parameters. RFC 3261, 20.42; RFC 3581, 3.
func (c *check) via(f *Field) string {
	via := c.m.via // the topmost was read by Parse
	if c.vias++; c.vias > 1 {
		v := value{s: f.Value}
		var ok bool
		if via, ok = v.via(); !ok || !v.end() {
			return v.what
		}
	}
	for _, p := range via.Params {
		var good = true
		switch {
		case strings.EqualFold(p.Name, "received"):
			host := trimBrackets(p.Value)
			_, v6 := parseIPv6(host)
			good = v6 || isIPv4(host)
		case strings.EqualFold(p.Name, "rport"):
			good = p.Value == "" || parsePort(p.Value) != 0
		case strings.EqualFold(p.Name, "ttl"):
			_, good = parseDigits(p.Value, 255)
		case strings.EqualFold(p.Name, "maddr"):
			_, good = parseHost(p.Value)
		case strings.EqualFold(p.Name, "branch"):
			good = p.Value != "" && p.Value[0] != '"'
		}
		if !good {
			return "the value of " + p.Name + " is not what it must be"
		}
	}
	return ""
}

func (c *check) contact(f *Field) string {
	a := c.m.contact // the first was read by Parse
	if c.contacts++; c.contacts > 1 {
		v := value{s: f.Value}
		var ok bool
		if a, ok = v.address(); !ok || !v.end() {
			return v.what
		}
	}
	if q, ok := a.Params.Get("q"); ok {
		if _, ok := parseQ(q); !ok {
			return "q is a number from 0 to 1 with at most three decimals"
		}
	}
	if e, ok := a.Params.Get("expires"); ok && c.m.method == REGISTER && !allIn(e, cdigit) {
		return "expires is a number of seconds"
	}
	return ""
}

const notSeconds = "this must be a number of seconds"

// content checks the other fields this stack acts on.
func (c *check) content(f *Field) string {
	ok, what := true, "this value does not follow the grammar of its header field"
	switch f.id {
	case idMaxForwards:
		_, ok = parseDigits(f.Value, 255)
		what = "Max-Forwards is a number from 0 to 255" // RFC 3261, 20.22
	case idExpires, idMinExpires, idFlowTimer:
		_, ok = seconds(f.Value)
		what = notSeconds
	case idDate:
		_, ok = parseDate(f.Value)
		what = "Date must read like Sat, 13 Nov 2010 23:29:00 GMT, in GMT" // RFC 3261, 20.17
	case idContentType:
		ok = isMediaType(f.Value)
		what = "Content-Type is type/subtype with parameters"
	case idRequire, idProxyRequire, idSupported, idUnsupported, idAllow, idAllowEvents, idContentEncoding:
		ok = isTokenList(f.Value, f.id == idSupported || f.id == idAllow)
		what = "this header field is a comma list of tokens"
	default:
		return c.extension(f)
	}
	if ok {
		return ""
	}
	return what
}

// extension checks the fields that came with later RFCs.
func (c *check) extension(f *Field) string {
	ok := true
	switch f.id {
	case idSessionExpires:
		_, ok = parseSessionExpires(f.Value)
	case idMinSE:
		_, ok = c.m.MinSE()
	case idRSeq:
		_, ok = c.m.RSeq()
	case idRAck:
		_, ok = parseRAck(f.Value)
	case idReplaces, idJoin:
		_, err := ParseReplaces(f.Value)
		ok = err == nil
	case idReferTo:
		_, ok = parseReferTo(f.Value)
	case idEvent:
		_, ok = c.m.Event()
	case idSubscriptionState:
		_, ok = c.m.SubscriptionState()
	case idReferredBy, idReplyTo, idPAssertedIdentity, idPPreferredIdentity, idDiversion, idHistoryInfo:
		v := value{s: f.Value, discard: true}
		if _, ok := v.address(); !ok || !v.end() {
			return v.what
		}
	}
	if ok {
		return ""
	}
	return "this value does not follow the grammar of its header field"
}

// parseDate reads SIP-date: the date of HTTP with a two digit day and GMT, nothing else. RFC 3261, 20.17.
func parseDate(s string) (time.Time, bool) {
	t, err := time.Parse("Mon, 02 Jan 2006 15:04:05 GMT", s)
	return t, err == nil
}

// Date is the Date header field in UTC, false when absent or unreadable.
func (m *Message) Date() (time.Time, bool) { return parseDate(m.first(idDate)) }

// SetDate replaces Date.
func (m *Message) SetDate(t time.Time) {
	m.Set("Date", t.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"))
}

// isMediaType checks m-type SLASH m-subtype *( SEMI m-parameter ). RFC 3261, 20.15.
func isMediaType(s string) bool {
	v := value{s: s, discard: true}
	if v.skip(); v.span(ctoken) == "" || !v.literal('/') || v.span(ctoken) == "" {
		return false
	}
	_, ok := v.parameters()
	return ok && v.end()
}

func isTokenList(s string, mayBeEmpty bool) bool {
	if s == "" {
		return mayBeEmpty
	}
	for element := range listElements(s) {
		if !IsToken(element) {
			return false
		}
	}
	return true
}
