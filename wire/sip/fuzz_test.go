package sip

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// seeds are ours: short messages that reach the corners of the parser.
func seeds() []string {
	return []string{
		invite, goodOptions, "\r\n\r\n" + goodOptions + "\r\n",
		strings.Replace(invite, "From: \"Alice\"", "f :\r\n \"A\\\"l,ice\"", 1),
		strings.Replace(invite, "Record-Route:", "v: SIP / 2.0 / UDP [::1]:5 ; rport ;received=::2,\r\n SIP/2.0/TCP h\r\nRoute:", 1),
		"SIP/2.0 183 \r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nf:<sip:a@b>;tag=1\r\nt:<sip:b@c>;tag=2\r\ni:x\r\nCSeq:1 INVITE\r\nRSeq: 9\r\nl:0\r\n\r\n",
		"REGISTER sips:example.com SIP/2.0\r\nm: *\r\nExpires: 0\r\n\r\n",
		"OPTIONS tel:110 SIP/2.0\r\nContent-Length: 5\r\n\r\nhello", "SIP/2.0", "\r", "INVITE sip:a SIP/7.0\r\nVia: SIP/7.0/UDP h\r\n\r\n",
	}
}

// FuzzParse: nothing panics, and what passes Validate is stable: written and read again it is the same message, still valid.
func FuzzParse(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			checkReply(t, err.(*ParseError))
			return
		}
		if bad := Validate(m); bad != nil {
			checkReply(t, bad)
			return
		}
		text := m.String()
		again, err := Parse([]byte(text))
		if err != nil {
			t.Fatalf("written, it cannot be read: %v\n%q", err, text)
		}
		if bad := Validate(again); bad != nil {
			t.Fatalf("written, it is not valid: %v\n%q", bad, text)
		}
		if again.String() != text {
			t.Fatalf("written twice, it differs:\n%q\n%q", text, again.String())
		}
		if m.IsRequest() {
			if r := Screen(m, tortureServer); r != nil {
				checkReply(t, &ParseError{Status: r.Status, Reply: r.Response(m)})
			}
		}
		_, _, _, _ = m.Contacts(), m.Routes(), m.Vias(), m.Clone()
	})
}

func checkReply(t *testing.T, e *ParseError) {
	if e.What == "" && e.Reply == nil {
		t.Fatal("an error without a sentence")
	}
	if e.Reply == nil {
		return
	}
	e.Reply.SetToTag("tag")
	if n := strings.Count(e.Reply.String(), "\r\n\r\n"); n != 1 {
		t.Fatalf("the reply is not one message: %q", e.Reply)
	}
	if v, err := ParseVia(e.Reply.Header("Via")); err != nil || v.Host == "" {
		t.Fatalf("the reply has no readable Via: %q", e.Reply)
	}
}

// FuzzFramer: a stream gives the same messages however it is cut.
func FuzzFramer(f *testing.F) {
	for i, s := range seeds() {
		f.Add([]byte(s+goodOptions), i*7+1)
	}
	f.Fuzz(func(t *testing.T, data []byte, n int) {
		n = max(1, n&0xff)
		whole, parts := framed(data, len(data)+1), framed(data, n)
		if whole != parts {
			t.Fatalf("in one piece %q, in pieces of %d %q", whole, n, parts)
		}
	})
}

func framed(data []byte, n int) string {
	f := Framer{Limits: Limits{Message: 4096, Header: 2048, Fields: 32}}
	var b strings.Builder
	for piece := range pieces(data, n) {
		f.Write(piece)
		for frame, ok := f.Next(); ok; frame, ok = f.Next() {
			switch {
			case frame.Message != nil:
				fmt.Fprintf(&b, "%q,", frame.Message.String())
			case frame.Err != nil && frame.Err.Fatal:
				return b.String() + "fatal"
			case frame.Err != nil:
				b.WriteString("bad,")
			}
		}
	}
	return b.String()
}

// FuzzURI: what is accepted comes back from its text, equal to itself.
func FuzzURI(f *testing.F) {
	for _, s := range []string{"sip:a@b", "sips:a:b@[::1]:5061;lr;x=%41?h=%20&i=", "tel:+1;phone-context=x", "sip:a;b?c@d", "urn:x:y", "sip:[::1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURI(s)
		if err != nil {
			return
		}
		again, err := ParseURI(u.String())
		if err != nil || again.String() != u.String() || !again.Equal(u) && count(u.Params, "x") < 2 && !repeats(u.Params) && !repeats(u.Headers) {
			t.Fatalf("%q became %q (%v)", s, u, err)
		}
		_, _ = Unescape(u.User)
	})
}

func repeats(p Params) bool {
	for i := range p {
		if count(p, p[i].Name) > 1 {
			return true
		}
	}
	return false
}

// FuzzAddress: what is accepted comes back from its text.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{`"a \" b" <sip:a@b;lr>;tag=1;x="y;z"`, "sip:a@b ; tag = 1", "*", "a b<tel:1>", `""<sip:a>;+sip.instance="<urn:uuid:1>"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err != nil {
			return
		}
		again, err := ParseAddress(a.String())
		if err != nil || again.String() != a.String() || again.Display != a.Display {
			t.Fatalf("%q became %q (%v)", s, a, err)
		}
		_ = a.Binding()
	})
}

// FuzzVia: what is accepted comes back from its text.
func FuzzVia(f *testing.F) {
	for _, s := range []string{"SIP/2.0/UDP h:5060;branch=z9hG4bK1;rport", "sip / 2.0 / tls [::1] : 1 ; received=::2", "SIP/2.0/X a;b=\"c\""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVia(s)
		if err != nil {
			return
		}
		again, err := ParseVia(v.String())
		if err != nil || again.String() != v.String() {
			t.Fatalf("%q became %q (%v)", s, v, err)
		}
		_, _ = v.RPort()
		_ = v.Received()
	})
}

// FuzzHeaders gives one text to the parser of every typed header field: none panics, and what has a canonical form is stable.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"1800;refresher=uac", "1 2 INVITE", "a@b;to-tag=1;from-tag=2;early-only", "dialog;id=1", "active;expires=3;reason=x",
		`Q.850;cause=16;text="a, b", SIP;cause=200`, "18000 (a (b)) ;duration=5", `399 h "t"`, "<sip:a@b?Reason=SIP%3Bcause%3D1>;index=1;rc=1",
		`<sip:a@b>;reason=unknown;counter=3`, "id;user", "Sat, 13 Nov 2010 23:29:00 GMT", "<sip:a@b?Replaces=1%3Bto-tag%3D1%3Bfrom-tag%3D2>;x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m := NewRequest(INVITE, URI{Scheme: "sip", Host: "a"})
		for id := idVia; id < idCount; id++ {
			m.Set(id.canonical(), s)
		}
		if v, ok := m.SessionExpires(); ok {
			stable(t, m, "Session-Expires", v.String(), func() (any, bool) { return m.SessionExpires() })
		}
		if v, ok := m.RAck(); ok {
			stable(t, m, "RAck", v.String(), func() (any, bool) { return m.RAck() })
		}
		if v, ok := m.Replaces(); ok && IsToken(v.ToTag) && IsToken(v.FromTag) {
			stable(t, m, "Replaces", v.String(), func() (any, bool) { return m.Replaces() })
		}
		if v, ok := m.RetryAfter(); ok {
			stable(t, m, "Retry-After", v.String(), func() (any, bool) { return m.RetryAfter() })
		}
		for _, r := range m.Reasons() {
			stable(t, m, "Reason", r.String(), func() (any, bool) { return m.Reasons()[0], true })
		}
		m.ReferTo()
		m.Event()
		m.SubscriptionState()
		m.MinSE()
		m.RSeq()
		m.Warnings()
		m.Diversions()
		m.HistoryInfo()
		m.Privacy()
		m.Date()
		m.Infos("Alert-Info")
		m.Tokens("Supported")
		m.MediaType()
		Validate(m)
	})
}

func stable(t *testing.T, m *Message, name, text string, read func() (any, bool)) {
	t.Helper()
	m.Set(name, text)
	v, ok := read()
	if s, isText := v.(fmt.Stringer); !ok || !isText || s.String() != text {
		t.Fatalf("%s: %q was read as %v", name, text, v)
	}
}

// FuzzDigest: challenges and credentials of any shape; none panics, none is accepted.
func FuzzDigest(f *testing.F) {
	server := NewDigestServer(DigestConfig{Realm: "r"})
	now := time.Unix(1_800_000_000, 0)
	f.Add(server.Challenge(now, true)[0])
	f.Add(`Digest username="a", realm="r", nonce="n", uri="sip:a", response="0", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c"`)
	f.Add(`Digest realm="a\"b",nonce=x,algorithm=MD5-sess,qop="auth-int, auth"`)
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseChallenge(s); err == nil {
			again, err := ParseChallenge(c.String())
			if err != nil || again.Nonce != c.Nonce || again.Realm != c.Realm || again.Algorithm != c.Algorithm {
				t.Fatalf("%q became %q (%v)", s, c, err)
			}
		}
		req := NewRequest(INVITE, URI{Scheme: "sip", Host: "a"})
		req.Set("Authorization", s)
		if _, r := server.Verify(now, req, func(_ string, a Algorithm) (Secret, bool) { return HA1(a, "u", "r", NewSecret("p")), true }); r == AuthOK {
			t.Fatalf("accepted %q", s)
		}
		res := NewResponse(req, 401, "")
		res.Add("WWW-Authenticate", s)
		client := NewDigestClient(Credentials{User: "u", Password: NewSecret("p"), AllowMD5: true})
		if client.Challenged(req, res) == nil {
			client.Authorize(req)
		}
	})
}
