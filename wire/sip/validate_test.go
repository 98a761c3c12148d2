package sip

import (
	"strings"
	"testing"
)

// TestValidate changes one thing in a good INVITE (or another base) and names the status the change must get; 0 with a header
// is a refusal without answer, because no Via is left to answer by.
func TestValidate(t *testing.T) {
	register := strings.NewReplacer("INVITE sip:bob@biloxi.example.com;user=phone", "REGISTER sip:example.com", "314159 INVITE", "1 REGISTER").Replace(invite)
	for _, test := range []struct {
		base, old, new string
		want           int
		header         string
	}{
		{invite, "SIP/2.0\r\nVia", "SIP/7.0\r\nVia", 505, ""},
		{invite, "SIP/2.0\r\nVia", "SIP/2\r\nVia", 400, ""},
		{invite, "SIP/2.0\r\nVia", "sip/2.0\r\nVia", 0, ""},
		{invite, "INVITE sip:", "invite sip:", 400, "CSeq"},
		{invite, "INVITE sip:", "INV(TE sip:", 400, ""},
		{invite, "314159 INVITE", "314159 BYE", 400, "CSeq"},
		{invite, "314159 INVITE", "314159 invite", 400, "CSeq"},
		{invite, "314159 INVITE", "2147483648 INVITE", 400, "CSeq"},
		{invite, "314159 INVITE", "2147483647 INVITE", 0, ""},
		{invite, "314159 INVITE", "-1 INVITE", 400, "CSeq"},
		{invite, "314159 INVITE", "314159INVITE", 400, "CSeq"},
		{invite, "314159 INVITE", "314159 INVITE x", 400, "CSeq"},
		{invite, "CSeq: 314159 INVITE\r\n", "", 400, "CSeq"},
		{invite, "Max-Forwards: 70\r\n", "", 0, ""},
		{invite, "Max-Forwards: 70", "Max-Forwards: 256", 400, "Max-Forwards"},
		{invite, "Max-Forwards: 70", "Max-Forwards: -1", 400, "Max-Forwards"},
		{invite, "Max-Forwards: 70", "Max-Forwards: 70\r\nMax-Forwards: 70", 400, "Max-Forwards"},
		{invite, "Content-Length: 31", "Content-Length: 31\r\nContent-Length: 31", 400, "Content-Length"},
		{invite, "Content-Length: 31", "Content-Length: 31\r\nl: 30", 400, "Content-Length"},
		{invite, "Content-Length: 31", "Content-Length: 31, 31", 400, "Content-Length"},
		{invite, "Content-Length: 31", "Content-Length: -31", 400, "Content-Length"},
		{invite, "Content-Length: 31", "Content-Length: +31", 400, "Content-Length"},
		{invite, "Content-Length: 31", "Content-Length: 0x1f", 400, "Content-Length"},
		{invite, "Content-Length: 31", "Content-Length: 99999999999999999999", 400, "Content-Length"},
		{invite, "Content-Length: 31", "Content-Length: 32", 400, "Content-Length"},
		{invite, "Content-Length: 31", "Content-Length:", 400, "Content-Length"},
		{invite, "INVITE sip:bob@biloxi.example.com;user=phone", "INVITE <sip:bob@biloxi.example.com>", 400, "Request-URI"},
		{invite, ";user=phone SIP", "?a=b SIP", 400, "Request-URI"},
		{invite, ";user=phone SIP", "  SIP", 400, ""},
		{invite, ";user=phone SIP", "\tSIP", 400, ""},
		{invite, "Call-ID: a84b", "Call-ID: a84b c", 400, "Call-ID"},
		{invite, "Call-ID: a84b4c76e66710@pc33.atlanta.example.com", "Call-ID:", 400, "Call-ID"},
		{invite, "Call-ID: a84b", "Call-ID: x\r\nCall-ID: a84b", 400, "Call-ID"},
		{invite, "To: Bob <", "To: \"Bob <", 400, "To"},
		{invite, "To: Bob <sip:bob@biloxi.example.com>", "To: <sip:a@b>, <sip:c@d>", 400, "To"},
		{invite, "To: Bob <sip:bob@biloxi.example.com>", "To: *", 400, "From"},
		{invite, "To: Bob <sip:bob@biloxi.example.com>\r\n", "", 400, "To"},
		{invite, ";tag=1928301774", "", 400, "From"},
		{invite, "From: \"Alice\"", "From: <sip:x@y>;tag=1\r\nFrom: \"Alice\"", 400, "From"},
		{invite, "SIP/2.0/TLS", "SIP/2.1/TLS", 400, "Via"},
		{invite, "SIP/2.0/TLS", "XIP/2.0/TLS", 0, "Via"},
		{invite, "SIP/2.0/TLS pc33", "SIP/2.0/TLS, pc33", 0, "Via"},
		{invite, ";rport", ";rport=x", 400, "Via"},
		{invite, ";rport", ";received=host", 400, "Via"},
		{invite, ";rport", ";received=[2001:db8::1]", 0, ""},
		{invite, ";rport", ";ttl=256", 400, "Via"},
		{invite, ";rport", ", SIP/2.0/UDP", 400, "Via"},
		{invite, "Record-Route: <sip:p2.example.com;lr>", "Record-Route: sip:p2.example.com;lr", 400, "Record-Route"},
		{invite, "Record-Route: <sip:p2.example.com;lr>", "Record-Route: <tel:1>", 400, "Record-Route"},
		{invite, "Record-Route: ", "Record-Route: ,", 400, "Record-Route"},
		{invite, "Contact: <sip:alice@pc33.atlanta.example.com;transport=tls>", "Rest: <a>", 400, "Contact"},
		{invite, "Contact: ", "Contact: <sip:a@b>, ", 400, "Contact"},
		{invite, "Contact: ", "Contact: *\r\nRest: ", 400, "Contact"},
		{invite, ";+sip.instance", ";q=1.1;+sip.instance", 400, "Contact"},
		{invite, ";+sip.instance", ";q=0.1234;+sip.instance", 400, "Contact"},
		{invite, ";+sip.instance", ";q=0.5;+sip.instance", 0, ""},
		{invite, "Supported: replaces, timer", "Supported: replaces,, timer", 400, "Supported"},
		{invite, "Supported: replaces, timer, 100rel", "Supported:", 0, ""},
		{invite, "Supported: replaces, timer, 100rel", "Require:", 400, "Require"},
		{invite, "Supported: replaces", "Require: a b, replaces", 400, "Require"},
		{invite, "Session-Expires: 1800;refresher=uac", "Session-Expires: soon", 400, "Session-Expires"},
		{invite, "Session-Expires: 1800;refresher=uac", "x: 1800;refresher=me", 400, "Session-Expires"},
		{invite, "Session-Expires: 1800", "Min-SE: x\r\nSession-Expires: 1800", 400, "Min-SE"},
		{invite, "Content-Type: application/sdp\r\n", "", 400, "Content-Type"},
		{invite, "Content-Type: application/sdp", "Content-Type: application", 400, "Content-Type"},
		{invite, "Content-Type: application/sdp", "Content-Type: multipart/mixed ; boundary=\"a b\"", 0, ""},
		{invite, "X-Custom: kept", "Date: Sat, 13 Nov 2010 23:29:00 GMT\r\nX-Custom: kept", 0, ""},
		{invite, "X-Custom: kept", "Date: Sat, 13 Nov 2010 23:29:00 EST\r\nX-Custom: kept", 400, "Date"},
		{invite, "X-Custom: kept", "Date: 2010-11-13T23:29:00Z\r\nX-Custom: kept", 400, "Date"},
		{invite, "X-Custom: kept", "Expires: x\r\nX-Custom: kept", 400, "Expires"},
		{invite, "X-Custom: kept", "Expires: 99999999999\r\nX-Custom: kept", 0, ""},
		{invite, "X-Custom: kept", "Replaces: a;to-tag=1\r\nX-Custom: kept", 400, "Replaces"},
		{invite, "X-Custom: kept", "Replaces: a;to-tag=1;from-tag=2;to-tag=3\r\nX-Custom: kept", 400, "Replaces"},
		{invite, "X-Custom: kept", "P-Asserted-Identity: <sip:a@b\r\nX-Custom: kept", 400, "P-Asserted-Identity"},
		{invite, "X-Custom: kept", "Diversion: nobody\r\nX-Custom: kept", 400, "Diversion"},
		{invite, "X-Custom: kept", "X Custom: kept", 400, ""},
		{invite, "X-Custom: kept", "X-Custom kept", 400, ""},
		{invite, "X-Custom: kept", "X-Custom: a\x00b", 400, "X-Custom"},
		{invite, "X-Custom: kept", "X-Custom: a\rb", 400, "X-Custom"},
		{invite, "X-Custom: kept", "X-Custom: a\nVia: x", 400, "X-Custom"},
		{invite, "X-Custom: kept", "X-Custom: \"a\\\x01\"", 0, ""},
		{invite, "X-Custom: kept", ": kept", 400, ""},
		{register, "X-Custom: kept", "X-Custom: kept", 0, ""},
		{register, "Contact: <sip:alice@pc33.atlanta.example.com;transport=tls>", "Expires: 0\r\nContact: *\r\nRest: ", 0, ""},
		{register, "Contact: <sip:alice@pc33.atlanta.example.com;transport=tls>", "Expires: 1\r\nContact: *\r\nRest: ", 400, "Contact"},
		{register, "Contact: <sip:alice@pc33.atlanta.example.com;transport=tls>", "Contact: *\r\nRest: ", 400, "Contact"},
		{register, "Contact: ", "Expires: 0\r\nContact: *, ", 400, "Contact"},
		{register, ";+sip.instance", ";expires=soon;+sip.instance", 400, "Contact"},
		{register, "REGISTER", "REFER", 400, "Refer-To"},
		{register, "REGISTER", "PRACK", 400, "RAck"},
		{register, "REGISTER", "NOTIFY", 400, "Subscription-State"},
	} {
		if !strings.Contains(test.base, test.old) {
			t.Fatalf("nothing to change: %q", test.old)
		}
		n := 1
		if test.old == "REGISTER" {
			n = -1
		}
		m, err := Parse([]byte(strings.Replace(test.base, test.old, test.new, n)))
		bad, _ := err.(*ParseError)
		if bad == nil {
			bad = Validate(m)
		}
		got, header := 0, ""
		if bad != nil {
			got, header = bad.Status, bad.Header
			if bad.What == "" || got != 0 && (bad.Reply == nil || bad.Reply.Status() != got) {
				t.Errorf("%q: no sentence or no reply: %+v", test.new, bad)
			}
		}
		if got != test.want || header != test.header {
			t.Errorf("%q: got %d in %q (%v), want %d in %q", test.new, got, header, bad, test.want, test.header)
		}
	}
}

// TestNoAnswer: RFC 3261, 17.1.1.3: nothing answers an ACK, and nothing answers a response.
func TestNoAnswer(t *testing.T) {
	ack := strings.ReplaceAll(invite, "INVITE", "ACK")
	for name, text := range map[string]string{
		"ACK":                strings.Replace(ack, "314159 ACK", "314159 BYE", 1),
		"ACK of SIP/7.0":     strings.Replace(ack, "SIP/2.0\r\nVia", "SIP/7.0\r\nVia", 1),
		"response":           strings.Replace(NewResponse(mustParse(t, invite), 200, "").String(), "314159", "x", 1),
		"response code":      strings.Replace(NewResponse(mustParse(t, invite), 200, "").String(), " 200 ", " 99 ", 1),
		"no Via to go by":    strings.Replace(invite, "Via: ", "Vio: ", 1),
		"Via nobody can use": strings.Replace(invite, "Via: SIP/2.0/TLS pc33", "Via: SIP/2.0/TLS (", 1),
	} {
		m, err := Parse([]byte(text))
		bad, _ := err.(*ParseError)
		if bad == nil {
			bad = Validate(m)
		}
		if bad == nil || bad.Reply != nil || bad.Status != 0 {
			t.Errorf("%s: got %+v, want a silent refusal", name, bad)
		}
	}
}

func TestScreen(t *testing.T) {
	caps := Capabilities{Methods: []Method{INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER}, Denied: []Method{REGISTER},
		Extensions: []string{"100rel", "timer"}}
	with := func(old, new string) string { return strings.Replace(invite, old, new, 1) }
	as := func(method string) string { return strings.ReplaceAll(invite, "INVITE", method) }
	for _, test := range []struct {
		name, text  string
		want        int
		field, says string
	}{
		{"good", invite, 0, "", ""},
		{"unknown method", as("FOO"), 501, "Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS"},
		{"case matters", as("Invite"), 501, "Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS"},
		{"denied method", as("REGISTER"), 405, "Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS"},
		{"scheme", with("sip:bob@biloxi.example.com;user=phone", "tel:110"), 416, "", ""},
		{"require known", with("Supported", "Require"), 420, "Unsupported", "replaces"},
		{"require two fields", with("X-Custom: kept", "Require: a\r\nRequire: TIMER, b\r\nRest: "), 420, "Unsupported", "a, b"},
		{"CANCEL ignores Require", strings.Replace(as("CANCEL"), "Supported", "Require", 1), 0, "", ""},
		{"ACK ignores all", strings.Replace(as("ACK"), "Supported", "Require", 1), 0, "", ""},
		{"body type", with("application/sdp", "text/plain"), 415, "Accept", "application/sdp"},
		{"body type case", with("application/sdp", "Application/SDP ;x=y"), 0, "", ""},
		{"optional body", with("application/sdp", "text/plain\r\nContent-Disposition: render;handling=optional"), 0, "", ""},
		{"encoding", with("X-Custom: kept", "Content-Encoding: gzip\r\nRest: "), 415, "Accept-Encoding", "identity"},
		{"accept", with("X-Custom: kept", "Accept: text/plain\r\nRest: "), 406, "Accept", "application/sdp"},
		{"accept range", with("X-Custom: kept", "Accept: text/plain, application/*;q=0.5\r\nRest: "), 0, "", ""},
		{"accept nothing", with("X-Custom: kept", "Accept:\r\nRest: "), 406, "Accept", "application/sdp"},
	} {
		req := mustParse(t, test.text)
		r := Screen(req, caps)
		got := 0
		if r != nil {
			got = r.Status
		}
		if got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
			continue
		}
		if test.field != "" {
			equal(t, test.name, r.Response(req).Header(test.field), test.says)
		}
	}
	if r := ScreenForward(mustParse(t, with("Max-Forwards: 70", "Max-Forwards: 0")), caps); r == nil || r.Status != 483 {
		t.Errorf("Max-Forwards 0 passed on: got %v, want 483", r)
	}
	if r := ScreenForward(mustParse(t, with("Supported", "Proxy-Require")), caps); r == nil || r.Status != 420 {
		t.Errorf("Proxy-Require passed on: got %v, want 420", r)
	}
}

func TestSecureRules(t *testing.T) {
	sips := strings.Replace(invite, "INVITE sip:bob", "INVITE sips:bob", 1)
	full := strings.Replace(sips, "Contact: <sip:", "Contact: <sips:", 1)
	for _, test := range []struct {
		name, text string
		tls        bool
		policy     SecurityPolicy
		want       int
		warning    int
	}{
		{"sip", invite, false, SecureWhenAsked, 0, 0},
		{"sip where sips is required", invite, true, SecureAlways, 480, 381},
		{"sips over TLS", full, true, SecureAlways, 0, 0},
		{"sips in clear", full, false, SecureWhenAsked, 403, 399},
		{"sips with a sip Contact", sips, true, SecureWhenAsked, 400, 399},
		{"sips not possible", full, true, SecureNever, 480, 380},
		{"ACK is never answered", strings.ReplaceAll(sips, "INVITE", "ACK"), false, SecureWhenAsked, 0, 0},
	} {
		req := mustParse(t, test.text)
		r := ScreenSecure(req, test.tls, test.policy, "cm.example.com")
		status, code := 0, 0
		if r != nil {
			status = r.Status
			if w := r.Response(req).Warnings(); len(w) == 1 {
				code = w[0].Code
			}
		}
		if status != test.want || code != test.warning {
			t.Errorf("%s: got %d with warning %d, want %d with %d", test.name, status, code, test.want, test.warning)
		}
	}
	equal(t, "secure Contact for sips", NeedsSecureContact(mustParse(t, sips)), true)
	equal(t, "secure Contact for a sips Route", NeedsSecureContact(mustParse(t, strings.Replace(invite, "Record-Route: <sip:", "Route: <sips:", 1))), true)
	equal(t, "no secure Contact for sip", NeedsSecureContact(mustParse(t, invite)), false)
	equal(t, "secure answer by Record-Route", NeedsSecureAnswer(mustParse(t, strings.Replace(invite, "Record-Route: <sip:", "Record-Route: <sips:", 1))), true)
	equal(t, "secure answer not by Contact when there is Record-Route", NeedsSecureAnswer(mustParse(t, strings.Replace(invite, "Contact: <sip:", "Contact: <sips:", 1))), false)
}
