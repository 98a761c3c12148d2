package sip

import (
	"strings"
	"testing"
)

const invite = "INVITE sip:bob@biloxi.example.com;user=phone SIP/2.0\r\n" +
	"Via: SIP/2.0/TLS pc33.atlanta.example.com:5061;branch=z9hG4bKnashds8;rport\r\n" +
	"Max-Forwards: 70\r\n" +
	"To: Bob <sip:bob@biloxi.example.com>\r\n" +
	"From: \"Alice\" <sip:alice@atlanta.example.com>;tag=1928301774\r\n" +
	"Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n" +
	"CSeq: 314159 INVITE\r\n" +
	"Contact: <sip:alice@pc33.atlanta.example.com;transport=tls>;+sip.instance=\"<urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6>\"\r\n" +
	"Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\r\n" +
	"Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY\r\n" +
	"Supported: replaces, timer, 100rel\r\n" +
	"X-Custom: kept, as; it is\r\n" +
	"Session-Expires: 1800;refresher=uac\r\n" +
	"Content-Type: application/sdp\r\n" +
	"Content-Length: 31\r\n\r\n" +
	"v=0\r\no=alice 1 1 IN IP4 0.0.0.0"

func mustParse(t testing.TB, text string) *Message {
	t.Helper()
	m, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return m
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestParseInvite(t *testing.T) {
	m := mustParse(t, invite)
	if bad := Validate(m); bad != nil {
		t.Fatal(bad)
	}
	equal(t, "method", m.Method(), INVITE)
	equal(t, "URI", m.RequestURI().String(), "sip:bob@biloxi.example.com;user=phone")
	equal(t, "top Via", m.TopVia().String(), "SIP/2.0/TLS pc33.atlanta.example.com:5061;branch=z9hG4bKnashds8;rport")
	if port, asked := m.TopVia().RPort(); port != 0 || !asked {
		t.Errorf("rport: got %d %v, want asked without a value", port, asked)
	}
	equal(t, "From", m.From().String(), `"Alice" <sip:alice@atlanta.example.com>;tag=1928301774`)
	equal(t, "To", m.To().Display, "Bob")
	equal(t, "CSeq", m.CSeq(), CSeq{314159, INVITE})
	equal(t, "Record-Routes", len(m.RecordRoutes()), 2)
	equal(t, "second Record-Route", m.RecordRoutes()[1].URI.Host, "p1.example.com")
	equal(t, "unknown field", m.Header("x-custom"), "kept, as; it is")
	equal(t, "supported", m.HasToken("k", "TIMER"), true)
	equal(t, "media type", m.MediaType(), "application/sdp")
	equal(t, "body", len(m.Body()), 31)
	contact, _ := m.Contact()
	equal(t, "instance", contact.Binding().Instance, "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6")
}

// TestAppendKeepsEverything: what was read and written again reads the same, field by field.
func TestAppendKeepsEverything(t *testing.T) {
	m := mustParse(t, invite)
	again := mustParse(t, m.String())
	if len(m.Fields()) != len(again.Fields()) {
		t.Fatalf("%d fields became %d", len(m.Fields()), len(again.Fields()))
	}
	for i, f := range m.Fields() {
		equal(t, "field", again.Fields()[i], f)
	}
	equal(t, "text", again.String(), m.String())
	if !strings.HasSuffix(m.String(), "\r\nContent-Length: 31\r\n\r\n"+string(m.Body())) {
		t.Errorf("Content-Length is not the last field, or wrong:\n%s", m)
	}
}

func TestNewResponse(t *testing.T) {
	req := mustParse(t, invite)
	res := NewResponse(req, 180, "")
	res.SetToTag("8321234356")
	want := "SIP/2.0 180 Ringing\r\n" +
		"Via: SIP/2.0/TLS pc33.atlanta.example.com:5061;branch=z9hG4bKnashds8;rport\r\n" +
		"To: Bob <sip:bob@biloxi.example.com>;tag=8321234356\r\n" +
		"From: \"Alice\" <sip:alice@atlanta.example.com>;tag=1928301774\r\n" +
		"Call-ID: a84b4c76e66710@pc33.atlanta.example.com\r\n" +
		"CSeq: 314159 INVITE\r\n" +
		"Record-Route: <sip:p2.example.com;lr>\r\n" +
		"Record-Route: <sip:p1.example.com;lr>\r\n" +
		"Content-Length: 0\r\n\r\n"
	equal(t, "response", res.String(), want)
	equal(t, "To tag", res.ToTag(), "8321234356")
	equal(t, "request unchanged", req.ToTag(), "")
	equal(t, "method of a response", res.Method(), INVITE)
	equal(t, "no Record-Route in 404", NewResponse(req, 404, "").Has("Record-Route"), false)
	equal(t, "own phrase", NewResponse(req, 404, "No such line").Reason(), "No such line")
}

func TestSetToTagWithoutBrackets(t *testing.T) {
	req := mustParse(t, strings.Replace(invite, "To: Bob <sip:bob@biloxi.example.com>", "To: sip:bob@biloxi.example.com", 1))
	res := NewResponse(req, 200, "")
	res.SetToTag("t1")
	equal(t, "To", res.Header("To"), "<sip:bob@biloxi.example.com>;tag=t1")
	res.SetToTag("t2")
	equal(t, "tag stays", res.ToTag(), "t1")
}

func TestEditing(t *testing.T) {
	m := NewRequest(OPTIONS, URI{Scheme: "sips", Host: "2001:db8::1", Port: 5061})
	m.PrependVia(Via{Transport: "TLS", Host: "a.example.com", Params: Params{{"branch", "z9hG4bK1"}}})
	m.PrependVia(Via{Transport: "TLS", Host: "2001:db8::9", Params: Params{{"branch", "z9hG4bK2"}}})
	m.SetFrom(Address{Display: `A "quoted" name`, URI: URI{Scheme: "sips", User: EscapeUser("1#2"), Host: "x"}, Params: Params{{"tag", "f"}}})
	m.SetTo(Address{URI: URI{Scheme: "sip", User: "b", Host: "y"}})
	m.SetCallID("c1")
	m.SetCSeq(CSeq{7, OPTIONS})
	m.SetMaxForwards(70)
	m.Add("Supported", "timer")
	m.Add("k", "path")
	m.Set("x-Odd", "1")
	m.Add("X-Odd", "2")
	m.Set("X-ODD", "3")
	m.Add("Content-Length", "99")
	want := "OPTIONS sips:[2001:db8::1]:5061 SIP/2.0\r\n" +
		"Via: SIP/2.0/TLS [2001:db8::9];branch=z9hG4bK2\r\n" +
		"Via: SIP/2.0/TLS a.example.com;branch=z9hG4bK1\r\n" +
		"From: \"A \\\"quoted\\\" name\" <sips:1%232@x>;tag=f\r\n" +
		"To: <sip:b@y>\r\nCall-ID: c1\r\nCSeq: 7 OPTIONS\r\nMax-Forwards: 70\r\n" +
		"Supported: timer\r\nSupported: path\r\nx-Odd: 3\r\nContent-Length: 0\r\n\r\n"
	equal(t, "built", m.String(), want)
	if bad := Validate(mustParse(t, m.String())); bad != nil {
		t.Error(bad)
	}
	equal(t, "tokens", strings.Join(m.Tokens("Supported"), "+"), "timer+path")

	c := m.Clone()
	c.PopVia()
	c.Del("supported")
	equal(t, "clone's Via", c.TopVia().Branch(), "z9hG4bK1")
	equal(t, "original's Via", m.TopVia().Branch(), "z9hG4bK2")
	equal(t, "original's Supported", len(m.Headers("Supported")), 2)
	c.SetTopVia(Via{Transport: "UDP", Host: "h", Params: c.TopVia().Params.With("received", "192.0.2.1")})
	equal(t, "received", c.Header("v"), "SIP/2.0/UDP h;branch=z9hG4bK1;received=192.0.2.1")
	c.SetContact(Address{URI: URI{Scheme: "sip", Host: "a"}}, Address{URI: URI{Scheme: "sip", Host: "b"}})
	equal(t, "contacts", len(c.Contacts()), 2)
	c.SetContact(Address{URI: URI{Scheme: "sips", Host: "c"}})
	first, _ := c.Contact()
	equal(t, "one contact", len(c.Contacts()), 1)
	equal(t, "the contact", first.URI.String()+" "+c.Header("m"), "sips:c <sips:c>")
	c.SetContact()
	_, has := c.Contact()
	equal(t, "no contact", has || c.Has("Contact"), false)
	c.SetBody("text/plain", []byte("hi"))
	equal(t, "with body", strings.HasSuffix(c.String(), "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"), true)
}

// TestBuiltValuesCannotInject: text from users never ends a line.
func TestBuiltValuesCannotInject(t *testing.T) {
	evil := "x\r\nVia: SIP/2.0/UDP evil"
	for _, s := range []string{
		Address{Display: evil, URI: URI{Scheme: "sip", Host: "a"}}.String(),
		Reason{Protocol: "SIP", Text: evil}.String(),
		Warning{399, "a", evil}.String(),
		RetryAfter{Comment: evil}.String(),
		Params{}.With("a", evil).Without("b")[0].Value,
		EscapeUser(evil), EscapeHeader(evil),
		Challenge{Realm: evil}.String(), Authorization{User: evil}.String(),
	} {
		if strings.ContainsAny(s, "\r\n") {
			t.Errorf("a line end came through: %q", s)
		}
	}
	req := mustParse(t, invite)
	req.Set("Subject", evil)
	req.Add("X-Evil", evil)
	if n := len(mustParse(t, req.String()).Vias()); n != 1 {
		t.Errorf("a header field value made %d Vias of one", n)
	}
	req.SetRequestURI(URI{Scheme: "sip", User: "a\r\nX: y", Host: "h"})
	if text := req.String(); strings.Contains(text, "\nX: y") {
		t.Errorf("a Request-URI made a header field:\n%s", text)
	}
	res := NewResponse(req, 400, "bad "+evil)
	if n := len(mustParse(t, res.String()).Vias()); n != 1 {
		t.Errorf("a reason phrase made %d Vias of one", n)
	}
}

func TestDatagramFraming(t *testing.T) {
	body := func(length, body string) string {
		return strings.Replace(goodOptions, "Content-Length: 0\r\n\r\n", "Content-Type: a/b\r\n"+length+"\r\n"+body, 1)
	}
	equal(t, "no Content-Length", string(mustParse(t, body("", "abc")).Body()), "abc")
	equal(t, "extra bytes dropped", string(mustParse(t, body("l: 2\r\n", "abc")).Body()), "ab")
	equal(t, "leading CRLF", mustParse(t, "\r\n\r\n"+goodOptions).Method(), OPTIONS)
	if _, err := Parse([]byte(body("l: 4\r\n", "abc"))); err == nil {
		t.Error("a body shorter than Content-Length was accepted")
	}
	for _, bare := range []string{strings.ReplaceAll(goodOptions, "\r\n", "\n"), "\r\n", "", "x", "\x00\x01\x02", "SIP/2.0", "SIP/2.0 200", "INVITE"} {
		if m, err := Parse([]byte(bare)); err == nil {
			t.Errorf("accepted %q as %v", bare, m)
		}
	}
}

func TestLimits(t *testing.T) {
	big := strings.Replace(goodOptions, "Max-Forwards", "X-Big: "+strings.Repeat("x", 20000)+"\r\nMax-Forwards", 1)
	many := strings.Replace(goodOptions, "Max-Forwards", strings.Repeat("Y: 1\r\n", 300)+"Max-Forwards", 1)
	routes := strings.Replace(goodOptions, "Max-Forwards", "Route: <sip:a>"+strings.Repeat(",<sip:a>", 300)+"\r\nMax-Forwards", 1)
	for name, text := range map[string]string{"header bytes": big, "fields": many, "elements": routes} {
		_, err := Parse([]byte(text))
		bad, _ := err.(*ParseError)
		if bad == nil || bad.Status != 513 || bad.Reply == nil {
			t.Errorf("%s: got %v, want 513 with a reply", name, err)
		}
		l := Limits{Header: 30000, Fields: 500}
		if _, err := l.Parse([]byte(text)); err != nil {
			t.Errorf("%s: raised limits: %v", name, err)
		}
	}
	if _, err := (Limits{Message: 100}).Parse([]byte(goodOptions)); err == nil {
		t.Error("a message beyond the limit was accepted")
	}
}

func TestFieldNames(t *testing.T) {
	for id := idVia; id < idCount; id++ {
		name := id.canonical()
		if got := lookupField(strings.ToUpper(name)); got != id {
			t.Errorf("%s: looked up as %d, want %d", name, got, id)
		}
	}
	compact := map[string]string{"a": "Accept-Contact", "b": "Referred-By", "c": "Content-Type", "d": "Request-Disposition",
		"e": "Content-Encoding", "f": "From", "i": "Call-ID", "j": "Reject-Contact", "k": "Supported", "l": "Content-Length",
		"m": "Contact", "o": "Event", "r": "Refer-To", "s": "Subject", "t": "To", "u": "Allow-Events", "v": "Via",
		"x": "Session-Expires", "y": "Identity"}
	for short, long := range compact {
		equal(t, short, lookupField(short).canonical(), long)
		equal(t, strings.ToUpper(short), lookupField(strings.ToUpper(short)).canonical(), long)
	}
	for _, unknown := range []string{"", "z", "@", "Vio", "X-Via", "Content-Lengthy", "\x16"} {
		equal(t, unknown, lookupField(unknown), idOther)
	}
}
