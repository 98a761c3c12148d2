package tieleg

import (
	"errors"
	"strings"
	"testing"

	"github.com/locktone/locktone/call"
)

const anID = "0123456789abcdef0123456789abcdef"

var headers = []struct {
	text string
	h    Header
}{
	{"1", Header{}},
	{"1;lock=encrypted", Header{Lock: call.LockEncrypted}},
	{"1;form=device;from=n1;to=n2;device=d2;line=7001;partition=in%20side;call=" + anID + ";inside;lock=non-secure;why=no%20TLS",
		Header{Form: FormDevice, From: "n1", To: "n2", Device: "d2", Line: call.LineID{Number: "7001", Partition: "in side"}, Call: anID, Inside: true,
			Lock: call.LockNonSecure, Why: "no TLS"}},
	{"1;form=trunk;from=n1;to=n2;trunk=p%C3%B6st;emergency", Header{Form: FormTrunk, From: "n1", To: "n2", Trunk: "pöst", Emergency: true}},
	{"1;form=device;from=n1;to=n2;device=d2;hunt=all", Header{Form: FormDevice, From: "n1", To: "n2", Device: "d2", Hunt: "all"}},
	{"1;form=ask;from=n1;to=n2;device=d;thing=parked;range=p%201;park",
		Header{Form: FormAsk, From: "n1", To: "n2", Device: "d", Thing: call.ThingParked, Range: "p 1", Park: true}},
	{"1;form=ask;from=n1;to=n2;thing=room;range=r", Header{Form: FormAsk, From: "n1", To: "n2", Thing: call.ThingRoom, Range: "r"}},
	{"1;form=ask;from=n2;to=n1;life=x.1;device=bob;line=*%3B%3D;replaces=17",
		Header{Form: FormAsk, From: "n2", To: "n1", Life: "x.1", Device: "bob", Line: call.LineID{Number: "*;="}, Replaces: 17}},
	{"1;form=ask;from=n2;to=n1;life=3;device=bob;thing=ringing;replaces=17",
		Header{Form: FormAsk, From: "n2", To: "n1", Life: "3", Device: "bob", Thing: call.ThingRinging, Replaces: 17}},
	{"1;form=ask;from=n2;to=n1;life=3;trunk=pstn;join=4", Header{Form: FormAsk, From: "n2", To: "n1", Life: "3", Trunk: "pstn", Join: 4}},
}

func TestHeader(t *testing.T) {
	for _, c := range headers {
		if got := c.h.String(); got != c.text {
			t.Errorf("written %s\nwant    %s", got, c.text)
		}
		if got, err := Parse(c.text); err != nil || got != c.h {
			t.Errorf("%s\nread %+v, %v\nwant %+v", c.text, got, err, c.h)
		}
	}
}

func TestHeaderErrors(t *testing.T) {
	for _, c := range []struct {
		text string
		at   int
		says string
	}{
		{"", 0, "version"},
		{"2;form=device", 0, `version "2"`},
		{"1;", -1, ""},
		{"1;new=thing;newer", -1, ""},
		{"1;;", 2, "name of a field"},
		{"1;Form=ask", 2, "name of a field"},
		{"1;inside;inside", 9, "twice"},
		{"1;call=%4", 7, "hexadecimal"},
		{"1;call=a%zz", 8, "hexadecimal"},
		{"1;call=a b", 8, "escaped"},
		{"1;from=", 2, "empty"},
		{"1;join=0", 2, "empty"},
		{"1;join=-1", 2, "number"},
		{"1;join=018", 2, "number"},
		{"1;join=18446744073709551616", 2, "number"},
		{"1;thing=calling", 2, "expected parked or room"},
		{"1;thing=active", 14, "belong to form ask"},
		{"1;form=ask;from=a;to=b;thing=ringing", 36, "one of thing"},
		{"1;form=ask;from=a;to=b;thing=room;replaces=1;life=2", 51, "one of thing"},
		{"1;form=ask;from=a;to=b;thing=held;range=r;replaces=1;life=2", 59, "range and park to a thing"},
		{"1;range=x", 9, "belong to"},
		{"1;call=0123", 11, "32 hexadecimal"},
		{"1;inside=1", 2, "no value"},
		{"1;form=none", 2, "expected one of"},
		{"1;lock=unknown", 2, "lock state"},
		{"1;form=ask;device=d", 19, "comes from"},
		{"1;form=device;from=a;to=b", 25, "names a device"},
		{"1;form=trunk;from=a;to=b;trunk=x;device=y", 41, "no device"},
		{"1;form=ask;from=a;to=b", 22, "one of thing"},
		{"1;form=ask;from=a;to=b;replaces=1;join=1;life=2", 47, "one of thing"},
		{"1;form=ask;from=a;to=b;device=d;trunk=t;join=1;life=2", 53, "not both"},
		{"1;form=device;from=a;to=b;device=d;replaces=1;life=2", 52, "belong to form ask"},
		{"1;form=ask;from=a;to=b;device=d;replaces=1", 42, "life"},
		{"1;partition=x", 13, "without a line"},
		{"1;call=" + strings.Repeat("a", maxLength), maxLength, "longer"},
	} {
		_, err := Parse(c.text)
		var p *ParseError
		if c.at < 0 {
			if err != nil {
				t.Errorf("%s: %v", c.text, err)
			}
			continue
		}
		if !errors.As(err, &p) || p.Offset != c.at || !strings.Contains(p.Error(), c.says) {
			t.Errorf("%.60s: %v, want offset %d and %q", c.text, err, c.at, c.says)
		}
	}
}

// FuzzParse: any text can be read, and what was read is written so that it reads the same.
func FuzzParse(f *testing.F) {
	for _, c := range headers {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := Parse(s)
		if err != nil {
			var p *ParseError
			if !errors.As(err, &p) || p.Offset < 0 || p.Offset > len(s) {
				t.Fatalf("%q: %#v", s, err)
			}
			return
		}
		text := h.String()
		again, err := Parse(text)
		if err != nil && len(text) <= maxLength || err == nil && again != h {
			t.Fatalf("%q is read as %+v, and %q as %+v, %v", s, h, text, again, err)
		}
		if strings.ContainsAny(text, "\r\n\", ") {
			t.Fatalf("%q does not fit into a header field", text)
		}
	})
}
