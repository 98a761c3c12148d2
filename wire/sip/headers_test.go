package sip

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"testing"
	"time"
)

// TestTypedHeaders reads a field of each kind and writes it back: the second column is what it reads as, in canonical form.
func TestTypedHeaders(t *testing.T) {
	show := func(v any, ok bool) string {
		if !ok {
			return "-"
		}
		return fmt.Sprint(v)
	}
	for _, test := range []struct {
		field, value, want string
		read               func(m *Message) string
	}{
		{"Session-Expires", "1800 ; Refresher=UAS;x", "1800;refresher=uas", func(m *Message) string { return show(m.SessionExpires()) }},
		{"x", "90", "90", func(m *Message) string { return show(m.SessionExpires()) }},
		{"Session-Expires", "1800;refresher=both", "-", func(m *Message) string { return show(m.SessionExpires()) }},
		{"Session-Expires", "-1", "-", func(m *Message) string { return show(m.SessionExpires()) }},
		{"Min-SE", "90;x=y", "1m30s", func(m *Message) string { return show(m.MinSE()) }},
		{"RSeq", "988789", "988789", func(m *Message) string { return show(m.RSeq()) }},
		{"RSeq", "0", "-", func(m *Message) string { return show(m.RSeq()) }},
		{"RSeq", "4294967296", "-", func(m *Message) string { return show(m.RSeq()) }},
		{"RAck", "776656  1 INVITE", "776656 1 INVITE", func(m *Message) string { return show(m.RAck()) }},
		{"RAck", "776656 1", "-", func(m *Message) string { return show(m.RAck()) }},
		{"Replaces", "98732@s.example.com ;from-tag=r33th4x0r;to-tag=ff87ff;early-only", "98732@s.example.com;to-tag=ff87ff;from-tag=r33th4x0r;early-only", func(m *Message) string { return show(m.Replaces()) }},
		{"Replaces", "a;to-tag=1", "-", func(m *Message) string { return show(m.Replaces()) }},
		{"Refer-To", "<sip:dave@d.example?Replaces=12%40a%3Bto-tag%3D1%3Bfrom-tag%3D2>", "<sip:dave@d.example?Replaces=12%40a%3Bto-tag%3D1%3Bfrom-tag%3D2>", func(m *Message) string { return show(m.ReferTo()) }},
		{"r", "<sip:dave@d.example;method=BYE>", "<sip:dave@d.example;method=BYE>", func(m *Message) string { return show(m.ReferTo()) }},
		{"Refer-To", "<sip:dave@d.example?Replaces=12>", "-", func(m *Message) string { return show(m.ReferTo()) }},
		{"Event", "dialog;id=7;sla", "dialog;id=7;sla", func(m *Message) string { return show(m.Event()) }},
		{"o", "", "-", func(m *Message) string { return show(m.Event()) }},
		{"Subscription-State", "Terminated;reason=timeout;retry-after=5", "terminated;reason=timeout;retry-after=5", func(m *Message) string { return show(m.SubscriptionState()) }},
		{"Subscription-State", "active;expires=60", "active;expires=60", func(m *Message) string { return show(m.SubscriptionState()) }},
		{"Subscription-State", "active;expires=x", "-", func(m *Message) string { return show(m.SubscriptionState()) }},
		{"Reason", `Q.850 ;cause=16;text="Normal, clear", SIP;cause=200, ,;`, `[Q.850;cause=16;text="Normal, clear" SIP;cause=200]`, func(m *Message) string { return show(m.Reasons(), true) }},
		{"Retry-After", "18000;duration=3600", "18000;duration=3600", func(m *Message) string { return show(m.RetryAfter()) }},
		{"Retry-After", "120 (I'm in a (long) meeting)", "120 (I'm in a  long  meeting)", func(m *Message) string { return show(m.RetryAfter()) }},
		{"Retry-After", "120 (open", "-", func(m *Message) string { return show(m.RetryAfter()) }},
		{"Retry-After", "949302838503028349304023988", "4294967295", func(m *Message) string { return show(m.RetryAfter()) }},
		{"Warning", `370 devnull "Choose a bigger pipe", 307 isi.edu "Session ""x"`, `[370 devnull "Choose a bigger pipe"]`, func(m *Message) string { return show(m.Warnings(), true) }},
		{"Warning", `399 a:5060 "a \"b\", c"`, `[399 a:5060 "a \"b\", c"]`, func(m *Message) string { return show(m.Warnings(), true) }},
		{"Diversion", `"Bob" <sip:bob@b>;reason=user-busy;counter=2;privacy=off, <tel:+1>;reason=x`, `["Bob" <sip:bob@b>;reason=user-busy;privacy=off;counter=2 <tel:+1>;reason=x]`, func(m *Message) string { return show(m.Diversions(), true) }},
		{"Privacy", "id;critical, User", "[id critical user]", func(m *Message) string { return show(m.Privacy(), true) }},
		{"Privacy", "none", "false", func(m *Message) string { return show(m.HidesIdentity(), true) }},
		{"Privacy", "id", "true", func(m *Message) string { return show(m.HidesIdentity(), true) }},
		{"P-Asserted-Identity", `"C" <sip:c@c>, tel:+14085264000`, `["C" <sip:c@c> <tel:+14085264000>]`, func(m *Message) string { return show(m.AssertedIdentities(), true) }},
		{"Alert-Info", "<http://a/b.wav>;info=alert-autoanswer", "alert-autoanswer", func(m *Message) string {
			v, _ := m.Infos("Alert-Info")[0].Params.Get("info")
			return v
		}},
		{"Date", "Sat, 13 Nov 2010 23:29:00 GMT", "2010-11-13 23:29:00 +0000 UTC", func(m *Message) string { return show(m.Date()) }},
	} {
		m := NewRequest(INVITE, URI{Scheme: "sip", Host: "a"})
		m.Add(test.field, test.value)
		equal(t, test.field+": "+test.value, test.read(m), test.want)
	}
}

// TestHistoryInfo: RFC 7044, 5.1, with Reason and Privacy inside the URI.
func TestHistoryInfo(t *testing.T) {
	m := NewRequest(INVITE, URI{Scheme: "sip", Host: "a"})
	m.Add("History-Info", "<sip:bob@example.com?Privacy=history>;index=1;foo=bar, <sip:office@example.com?Reason=SIP%3Bcause%3D486>;index=1.2;mp=1")
	h := m.HistoryInfo()
	if len(h) != 2 {
		t.Fatalf("got %d entries, want 2", len(h))
	}
	equal(t, "first", h[0].Index+" "+h[0].Privacy+" "+h[0].Kind, "1 history ")
	equal(t, "second", h[1].Index+" "+h[1].Kind+" "+h[1].RC+" "+h[1].Reason.String(), "1.2 mp 1 SIP;cause=486")
}

func TestHistoryInfoWritten(t *testing.T) {
	at := func(user string) Address { return Address{URI: URI{Scheme: "sip", User: user, Host: "a"}} }
	list := []HistoryEntry{{Address: at("1"), Index: "1", Reason: Reason{Protocol: "SIP", Cause: 486, Text: "a;b?"}, Privacy: "history"},
		{Address: at("2"), Index: "1.1", Kind: "mp", RC: "1"}}
	m := NewRequest(INVITE, URI{Scheme: "sip", Host: "a"})
	for _, e := range list {
		m.Add("History-Info", e.String())
	}
	h := m.HistoryInfo()
	if len(h) != 2 || h[0].Reason != list[0].Reason || h[0].Privacy != "history" || h[0].Index != "1" || h[1].Kind != "mp" || h[1].RC != "1" || h[1].Index != "1.1" {
		t.Fatalf("%q came back as %+v", m.Headers("History-Info"), h)
	}
}

func TestBinding(t *testing.T) {
	a, err := ParseAddress(`<sip:1@192.0.2.1;ob>;expires=99999999999;q=0.7;+sip.instance="<urn:uuid:1>";reg-id=1`)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "binding", a.Binding(), Binding{Expires: maxSeconds * time.Second, Q: 700, Instance: "urn:uuid:1", RegID: 1, Outbound: true})
	equal(t, "defaults", Address{}.Binding(), Binding{Expires: -1, Q: 1000})
	for text, want := range map[string]int{"1": 1000, "1.000": 1000, "0": 0, "0.5": 500, "0.": 0, "1.001": -1, "2": -1, ".5": -1, "0.1234": -1, "-1": -1, "0.a": -1, "": -1} {
		q, ok := parseQ(text)
		if !ok {
			q = -1
		}
		equal(t, "q="+text, q, want)
	}
}

func TestParams(t *testing.T) {
	p := Params{}.With("a", "1").With("lr", "").With("Q", `x "y"`)
	equal(t, "text", string(p.append(nil, ';')), `;a=1;lr;Q="x \"y\""`)
	v, ok := p.Get("q")
	equal(t, "quoted value", v, `x "y"`)
	_, flag := p.Get("LR")
	equal(t, "flag", ok && flag, true)
	old := p
	q := p.With("a", "2").Without("lr")
	equal(t, "copy", string(q.append(nil, ';')), `;a=2;Q="x \"y\""`)
	equal(t, "original", string(old.append(nil, ';')), `;a=1;lr;Q="x \"y\""`)
}

// TestIdentities: RFC 5922, 7.1 and 7.2.
func TestIdentities(t *testing.T) {
	uri := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	cert := &x509.Certificate{
		URIs:     []*url.URL{uri("sip:Example.com"), uri("sip:alice@example.org"), uri("sips:sips.example"), uri("https://web.example")},
		DNSNames: []string{"dns.example"},
	}
	ids := Identities(cert)
	equal(t, "domains", fmt.Sprint(ids.Domains), "[example.com]")
	equal(t, "user", ids.AssertsUser(URI{Scheme: "sip", User: "alice", Host: "EXAMPLE.org"}), true)
	equal(t, "other user", ids.AssertsUser(URI{Scheme: "sip", User: "Alice", Host: "example.org"}), false)
	equal(t, "a user is no domain", ids.AssertsDomain("example.org"), false)
	equal(t, "case", ids.AssertsDomain("EXAMPLE.COM."), true)
	equal(t, "DNS name beside a sip URI", ids.AssertsDomain("dns.example"), false)
	ids = Identities(&x509.Certificate{DNSNames: []string{"Dns.example", "*.wild.example"}})
	equal(t, "DNS name", ids.AssertsDomain("dns.example"), true)
	equal(t, "wildcard", ids.AssertsDomain("a.wild.example"), false)
	equal(t, "literal wildcard", ids.AssertsDomain("*.wild.example"), false)
	equal(t, "nothing", Identities(&x509.Certificate{}).AssertsDomain(""), false)
}
