package sip

import "testing"

func TestParseURI(t *testing.T) {
	for _, test := range []struct {
		in   string
		want string // "" = refused, "=" = comes back as it was
	}{
		{"sip:alice@atlanta.com", "="},
		{"SIP:alice@AtLanTa.CoM;Transport=tcp", "sip:alice@AtLanTa.CoM;Transport=tcp"},
		{"sips:alice:pw@atlanta.com:5061;transport=tcp;lr?subject=project%20x&priority=urgent", "="},
		{"sip:+1-212-555-1212:1234@gateway.com;user=phone", "="},
		{"sip:alice;day=tuesday@atlanta.com", "="},
		{"sip:%61lice@atlanta.com;transport=TCP", "="},
		{"sip:[2001:db8::1]", "="},
		{"sip:u@[2001:db8::1]:5060;lr", "="},
		{"sip:u@[::ffff:192.0.2.1]", "="},
		{"sip:192.0.2.1", "="},
		{"sip:example.com.", "="},
		{"sip:0a1b2c.lab_1", "="},
		{"sip:host?a=", "="},
		{"tel:+358-555-1234567;phone-context=example.com", "="},
		{"urn:service:sos", "="},
		{"TEL:110", "tel:110"},
		{"sip:", ""}, {"sip:@host", ""}, {"sip:user@", ""}, {"alice@example.com", ""}, {"", ""}, {":", ""}, {"tel:", ""},
		{"sip:a@b@c", ""}, {"sip:host:", ""}, {"sip:host:0", ""}, {"sip:host:65536", ""}, {"sip:host:50a", ""}, {"sip:host:+5", ""},
		{"sip:192.0.2.256", ""}, {"sip:1.2.3", ""}, {"sip:1.2.3.4.5", ""}, {"sip:a..b", ""}, {"sip:.a", ""}, {"sip:-a", ""},
		{"sip:2001:db8::1", ""}, {"sip:[2001:db8::1", ""}, {"sip:[::1]x", ""}, {"sip:[fe80::1%25eth0]", ""}, {"sip:[192.0.2.1]", ""},
		{"sip:a b@c", ""}, {"sip:a@b c", ""}, {"sip:a%4@b", ""}, {"sip:a%zz@b", ""}, {"sip:a<b@c", ""}, {"sip:\"a\"@c", ""},
		{"sip:h;", ""}, {"sip:h;;lr", ""}, {"sip:h;a=", ""}, {"sip:h;=b", ""}, {"sip:h?", ""}, {"sip:h?a", ""}, {"sip:h?a=b&", ""},
		{"sip:h;a=\"b\"", ""}, {"sip://host", ""}, {"sip:h\x00", ""}, {"1sip:h", ""}, {"s!p:h", ""}, {"sip:\xc3\xa4@h", ""},
	} {
		u, err := ParseURI(test.in)
		want := test.want
		if want == "=" {
			want = test.in
		}
		switch {
		case want == "" && err == nil:
			t.Errorf("%q was accepted as %+v", test.in, u)
		case want != "" && err != nil:
			t.Errorf("%q: %v", test.in, err)
		case want != "" && u.String() != want:
			t.Errorf("%q: got %q, want %q", test.in, u, want)
		}
	}
}

// TestURIEqual: RFC 3261, 19.1.4, its own examples first.
func TestURIEqual(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp", true},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5", true},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5", true},
		{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com", true},
		{"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x", true},
		{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp", false},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp", false},
		{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting", false},
		{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4", false},
		{"sip:a@b", "sips:a@b", false},
		{"sip:a;b@c", "sip:a%3bb@c", false},
		{"sip:a%3Bb@c", "sip:a%3bb@c", true},
		{"sip:a@b;security=on", "sip:a@b;security=off", false},
		{"sip:a@b;user=phone", "sip:a@b", false},
		{"tel:110", "tel:110", true},
		{"tel:110", "tel:112", false},
	} {
		a, err := ParseURI(test.a)
		b, err2 := ParseURI(test.b)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		if a.Equal(b) != test.want || b.Equal(a) != test.want {
			t.Errorf("%s = %s: got %v and %v, want %v", test.a, test.b, a.Equal(b), b.Equal(a), test.want)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{`<sip:a@b>`, `<sip:a@b>`},
		{`sip:a@b;tag=1`, `<sip:a@b>;tag=1`},
		{`sip:a@b ; tag = 1 ;x`, `<sip:a@b>;tag=1;x`},
		{`Bob Two <sip:a@b;lr>;tag=1`, `"Bob Two" <sip:a@b;lr>;tag=1`},
		{`"A, \"B\" \\" <sips:a@b>`, `"A, \"B\" \\" <sips:a@b>`},
		{`""<sip:a@b>`, `<sip:a@b>`},
		{`<sip:a@b>;+sip.instance="<urn:uuid:1>";q=0.5`, `<sip:a@b>;+sip.instance="<urn:uuid:1>";q=0.5`},
		{`<tel:+1234>`, `<tel:+1234>`},
		{`*`, `*`},
		{`Jürgen <sip:j@b>`, `"Jürgen" <sip:j@b>`},
		{`"Mr. J <sip:a@b>`, ""}, {`"x" sip:a@b`, ""}, {`<sip:a@b`, ""}, {`a, b <sip:a@b>`, ""}, {`<sip:a@b> x`, ""},
		{`< sip:a@b>`, ""}, {`sip:a@b?x=y`, ""}, {`<sip:a@b>;`, ""}, {`<sip:a@b>;tag=`, ""}, {`<sip:a@b>;tag="x`, ""},
		{``, ""}, {`<>`, ""}, {`* x`, ""}, {"\"a\x01\" <sip:a@b>", ""},
	} {
		a, err := ParseAddress(test.in)
		switch {
		case test.want == "" && err == nil:
			t.Errorf("%q was accepted as %+v", test.in, a)
		case test.want != "" && (err != nil || a.String() != test.want):
			t.Errorf("%q: got %q (%v), want %q", test.in, a, err, test.want)
		}
	}
}

func TestParseVia(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"SIP/2.0/UDP h", "SIP/2.0/UDP h"},
		{"sip / 2.0 / udp  h : 4000 ; ttl=16 ;maddr=224.2.0.1;branch=z9hG4bKa7c6a8dlze.1", "SIP/2.0/UDP h:4000;ttl=16;maddr=224.2.0.1;branch=z9hG4bKa7c6a8dlze.1"},
		{"SIP/2.0/TLS [2001:db8::1]:5061;received=2001:db8::2;rport=4", "SIP/2.0/TLS [2001:db8::1]:5061;received=2001:db8::2;rport=4"},
		{"SIP/2.0/UNKNOWN h;x", "SIP/2.0/UNKNOWN h;x"},
		{"SIP/2.0/UDP", ""}, {"SIP/2.0/UDP ", ""}, {"SIP/2.0 h", ""}, {"HTTP/2.0/UDP h", ""}, {"SIP/7.0/UDP h", ""}, {"SIP/2.0/UDP h;;", ""},
		{"SIP/2.0/UDP h x", ""}, {"SIP/2.0/UDP h:x", ""}, {"SIP/2.0/UDP h:99999", ""}, {"SIP/2.0/UDP 2001:db8::1", ""}, {"", ""},
	} {
		v, err := ParseVia(test.in)
		switch {
		case test.want == "" && err == nil:
			t.Errorf("%q was accepted as %+v", test.in, v)
		case test.want != "" && (err != nil || v.String() != test.want):
			t.Errorf("%q: got %q (%v), want %q", test.in, v, err, test.want)
		}
	}
}

func TestEscapes(t *testing.T) {
	for plain, user := range map[string]string{"alice": "alice", "1#2": "1%232", "a b@c": "a%20b%40c", "": "", "100%": "100%25"} {
		equal(t, plain, EscapeUser(plain), user)
		back, err := Unescape(user)
		if err != nil || back != plain {
			t.Errorf("%q came back as %q (%v)", plain, back, err)
		}
	}
	if _, err := Unescape("%4"); err == nil {
		t.Error("half an escape was accepted")
	}
}
