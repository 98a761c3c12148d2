package sip

import (
	"strconv"
	"strings"
	"time"
)

// maxSeconds is the largest delta-seconds we keep. RFC 3261, 20.19: 2**32-1.
const maxSeconds = 1<<32 - 1

// seconds reads delta-seconds; a number too large counts as the largest (RFC 4475, 3.1.2.4 lets a registrar do so).
func seconds(s string) (time.Duration, bool) {
	if !allIn(s, cdigit) {
		return 0, false
	}
	n, ok := parseDigits(s, maxSeconds)
	if !ok {
		n = maxSeconds
	}
	return time.Duration(n) * time.Second, true
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendInt(b, int64(d/time.Second), 10)
}

// split reads a value of the shape "token *( SEMI generic-param )".
func split(s string) (token string, p Params, ok bool) {
	v := value{s: s}
	v.skip()
	token = v.span(ctoken)
	p, ok = v.parameters()
	return token, p, ok && token != "" && v.end()
}

// SessionExpires is Session-Expires. RFC 4028, 4.
type SessionExpires struct {
	Interval  time.Duration // whole seconds
	Refresher string        // "uac", "uas" or "" when open
}

// SessionExpires is the message's Session-Expires, false when absent or unreadable.
func (m *Message) SessionExpires() (SessionExpires, bool) {
	return parseSessionExpires(m.first(idSessionExpires))
}

func parseSessionExpires(s string) (SessionExpires, bool) {
	token, p, ok := split(s)
	d, digits := seconds(token)
	refresher, given := p.Get("refresher")
	refresher = strings.ToLower(refresher)
	if given && refresher != "uac" && refresher != "uas" {
		return SessionExpires{}, false
	}
	return SessionExpires{d, refresher}, ok && digits
}

// String is the header field value.
func (s SessionExpires) String() string {
	b := appendSeconds(nil, s.Interval)
	if s.Refresher != "" {
		b = append(b, ";refresher="...)
		b = append(b, s.Refresher...)
	}
	return string(b)
}

// MinSE is Min-SE, false when absent (then 90 seconds hold). RFC 4028, 5.
func (m *Message) MinSE() (time.Duration, bool) {
	token, _, ok := split(m.first(idMinSE))
	d, digits := seconds(token)
	return d, ok && digits
}

// RSeq is the number of a reliable provisional response. RFC 3262, 7.1.
func (m *Message) RSeq() (uint32, bool) {
	n, ok := parseDigits(m.first(idRSeq), 1<<32-1)
	return uint32(n), ok && n > 0
}

// RAck names the response a PRACK acknowledges. RFC 3262, 7.2.
type RAck struct {
	RSeq uint32
	CSeq CSeq
}

// RAck is the message's RAck.
func (m *Message) RAck() (RAck, bool) { return parseRAck(m.first(idRAck)) }

func parseRAck(s string) (RAck, bool) {
	i := indexEither(s, ' ', '\t')
	if i < 0 {
		return RAck{}, false
	}
	n, ok := parseDigits(s[:i], 1<<32-1)
	v := value{s: s[i:]}
	c, cok := v.cseq()
	return RAck{uint32(n), c}, ok && cok && n > 0
}

// String is the header field value.
func (r RAck) String() string {
	b := strconv.AppendUint(nil, uint64(r.RSeq), 10)
	return string(r.CSeq.append(append(b, ' ')))
}

// Replaces names a dialog to take over. RFC 3891, 6.1: the tags are as seen by the receiver (to-tag is its local tag).
type Replaces struct {
	CallID, ToTag, FromTag string
	EarlyOnly              bool
}

// Replaces is the message's Replaces header field.
func (m *Message) Replaces() (Replaces, bool) {
	r, err := ParseReplaces(m.first(idReplaces))
	return r, err == nil
}

// Join is the message's Join header field, which names a dialog as Replaces does (RFC 3911, 7.1).
func (m *Message) Join() (Replaces, bool) {
	r, err := ParseReplaces(m.first(idJoin))
	return r, err == nil
}

// ParseReplaces reads a Replaces value; from a URI header, Unescape it first.
func ParseReplaces(s string) (Replaces, error) {
	v := value{s: s}
	v.skip()
	r := Replaces{CallID: v.span(cword)}
	p, ok := v.parameters()
	if r.CallID == "" || !ok || !v.end() {
		v.fail("Replaces is a Call-ID with to-tag and from-tag")
		return Replaces{}, v.err("Replaces")
	}
	r.ToTag, _ = p.Get("to-tag")
	r.FromTag, _ = p.Get("from-tag")
	r.EarlyOnly = p.Has("early-only")
	if count(p, "to-tag") != 1 || count(p, "from-tag") != 1 { // RFC 3891, 6.1: exactly one of each
		v.fail("Replaces needs exactly one to-tag and one from-tag")
		return Replaces{}, v.err("Replaces")
	}
	return r, nil
}

func count(p Params, name string) int {
	n := 0
	for i := range p {
		if strings.EqualFold(p[i].Name, name) {
			n++
		}
	}
	return n
}

// String is the header field value.
func (r Replaces) String() string {
	s := r.CallID + ";to-tag=" + r.ToTag + ";from-tag=" + r.FromTag
	if r.EarlyOnly {
		s += ";early-only"
	}
	return s
}

// ReferTo is Refer-To; the Replaces of its URI, if any, is decoded. RFC 3515, 2.1; RFC 3891, 3.
type ReferTo struct {
	Address  Address
	Method   Method   // the method parameter, INVITE when absent
	Replaces Replaces // CallID "" when the URI asks for none
}

// ReferTo is the message's Refer-To.
func (m *Message) ReferTo() (ReferTo, bool) { return parseReferTo(m.first(idReferTo)) }

func parseReferTo(s string) (ReferTo, bool) {
	a, err := ParseAddress(s)
	if err != nil || a.IsWildcard() {
		return ReferTo{}, false
	}
	r := ReferTo{Address: a, Method: INVITE}
	if method, ok := a.URI.Params.Get("method"); ok {
		r.Method = Method(method)
	}
	if raw, ok := a.URI.Headers.Get("Replaces"); ok {
		text, err := Unescape(raw)
		if err != nil {
			return ReferTo{}, false
		}
		if r.Replaces, err = ParseReplaces(text); err != nil {
			return ReferTo{}, false
		}
	}
	return r, true
}

// String is the header field value, with Replaces in the URI's headers.
func (r ReferTo) String() string {
	a := r.Address
	if r.Method != "" && r.Method != INVITE {
		a.URI.Params = a.URI.Params.With("method", string(r.Method))
	}
	if r.Replaces.CallID != "" {
		a.URI.Headers = append(a.URI.Headers.Without("Replaces"), Param{"Replaces", EscapeHeader(r.Replaces.String())})
	}
	return a.String()
}

// Event is Event. RFC 6665, 8.2.1: package and template compare case-sensitively, id byte by byte.
type Event struct {
	Package string // "presence", "dialog", "refer" ..., templates included: "presence.winfo"
	ID      string
	Params  Params
}

// Event is the message's Event.
func (m *Message) Event() (Event, bool) {
	token, p, ok := split(m.first(idEvent))
	id, _ := p.Get("id")
	return Event{token, id, p}, ok
}

// String is the header field value.
func (e Event) String() string {
	p := e.Params
	if e.ID != "" {
		p = p.With("id", e.ID)
	}
	return string(p.append([]byte(e.Package), ';'))
}

// SubscriptionState is Subscription-State. RFC 6665, 8.2.3.
type SubscriptionState struct {
	State      string        // "active", "pending", "terminated" or an extension
	Reason     string        // "deactivated", "timeout", ...
	Expires    time.Duration // -1 when absent
	RetryAfter time.Duration // -1 when absent
}

// SubscriptionState is the message's Subscription-State.
func (m *Message) SubscriptionState() (SubscriptionState, bool) {
	token, p, ok := split(m.first(idSubscriptionState))
	s := SubscriptionState{State: strings.ToLower(token), Expires: -1, RetryAfter: -1}
	s.Reason, _ = p.Get("reason")
	for _, t := range []struct {
		name string
		to   *time.Duration
	}{{"expires", &s.Expires}, {"retry-after", &s.RetryAfter}} {
		if text, given := p.Get(t.name); given {
			d, digits := seconds(text)
			*t.to, ok = d, ok && digits
		}
	}
	return s, ok
}

// String is the header field value.
func (s SubscriptionState) String() string {
	b := []byte(s.State)
	if s.Reason != "" {
		b = append(b, ";reason="...)
		b = append(b, s.Reason...)
	}
	if s.Expires >= 0 {
		b = appendSeconds(append(b, ";expires="...), s.Expires)
	}
	if s.RetryAfter >= 0 {
		b = appendSeconds(append(b, ";retry-after="...), s.RetryAfter)
	}
	return string(b)
}

// Reason is one value of Reason. RFC 3326, 2.
type Reason struct {
	Protocol string // "SIP", "Q.850", ...
	Cause    int    // 0 when absent
	Text     string
}

// Reasons are the message's Reason values.
func (m *Message) Reasons() []Reason {
	var all []Reason
	for i := range m.fields {
		if m.fields[i].id != idReason {
			continue
		}
		for element := range listElements(m.fields[i].Value) {
			if r, ok := parseReason(element); ok {
				all = append(all, r)
			}
		}
	}
	return all
}

func parseReason(s string) (Reason, bool) {
	token, p, ok := split(s)
	r := Reason{Protocol: token}
	if cause, given := p.Get("cause"); given {
		n, digits := parseDigits(cause, 999)
		r.Cause, ok = int(n), ok && digits
	}
	r.Text, _ = p.Get("text")
	return r, ok
}

// String is the header field value.
func (r Reason) String() string {
	b := []byte(r.Protocol)
	if r.Cause > 0 {
		b = strconv.AppendInt(append(b, ";cause="...), int64(r.Cause), 10)
	}
	if r.Text != "" {
		b = appendQuoted(append(b, ";text="...), r.Text)
	}
	return string(b)
}

// RetryAfter is Retry-After: seconds, comment, and how long the callee stays reachable then (0 = not said). RFC 3261, 20.33.
type RetryAfter struct {
	After    time.Duration
	Comment  string
	Duration time.Duration
}

// RetryAfter is the message's Retry-After.
func (m *Message) RetryAfter() (RetryAfter, bool) { return parseRetryAfter(m.first(idRetryAfter)) }

func parseRetryAfter(s string) (RetryAfter, bool) {
	v := value{s: s}
	v.skip()
	var r RetryAfter
	var ok bool
	if r.After, ok = seconds(v.span(cdigit)); !ok {
		return r, false
	}
	if v.skip(); v.peek() == '(' {
		n := commentEnd(s[v.i:])
		if n == 0 {
			return r, false
		}
		r.Comment = s[v.i+1 : v.i+n-1]
		v.i += n
	}
	p, ok := v.parameters()
	if text, given := p.Get("duration"); given && ok {
		r.Duration, ok = seconds(text)
	}
	return r, ok && v.end()
}

// commentEnd is the length of the comment s begins with, nested ones included; 0 when it does not end.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// String is the header field value.
func (r RetryAfter) String() string {
	b := appendSeconds(nil, r.After)
	if r.Comment != "" {
		b = append(b, " ("...)
		for i := 0; i < len(r.Comment); i++ {
			switch c := r.Comment[i]; {
			case c == '(' || c == ')' || c == '\\' || c < 0x20 || c == 0x7f: // only text; nesting is not worth it
				b = append(b, ' ')
			default:
				b = append(b, c)
			}
		}
		b = append(b, ')')
	}
	if r.Duration > 0 {
		b = appendSeconds(append(b, ";duration="...), r.Duration)
	}
	return string(b)
}

// Warning is one Warning value. RFC 3261, 20.43.
type Warning struct {
	Code  int // 300-399; 399 is "miscellaneous"
	Agent string
	Text  string
}

// Warnings are the message's Warning values.
func (m *Message) Warnings() []Warning {
	var all []Warning
	for i := range m.fields {
		if m.fields[i].id != idWarning {
			continue
		}
		for element := range listElements(m.fields[i].Value) {
			if w, ok := parseWarning(element); ok {
				all = append(all, w)
			}
		}
	}
	return all
}

func parseWarning(s string) (Warning, bool) {
	code, rest, _ := strings.Cut(s, " ")
	agent, text, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	text = trim(text)
	n, ok := parseDigits(code, 999)
	return Warning{int(n), agent, Unquote(text)}, ok && len(code) == 3 && agent != "" && text != "" && quotedEnd(text) == len(text)
}

// String is the header field value.
func (w Warning) String() string {
	b := strconv.AppendInt(nil, int64(w.Code), 10)
	b = append(append(b, ' '), w.Agent...)
	return string(appendQuoted(append(b, ' '), w.Text))
}
