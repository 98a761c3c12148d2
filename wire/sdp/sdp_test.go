package sdp

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	pion "github.com/pion/sdp/v3"
)

const key30 = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj" // RFC 4568, 4: the example key

var phone = strings.ReplaceAll(`v=0
o=alice 2890844526 2890844527 IN IP4 192.0.2.1
s=call
c=IN IP4 192.0.2.1
b=AS:80
t=0 0
a=sendrecv
a=X-vendor:1
m=audio 49170 RTP/SAVP 0 8 18 101
c=IN IP6 2001:db8::1
b=X-YZ:128
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:`+key30+`|2^20|1:4
a=crypto:2 F8_128_HMAC_SHA1_80 inline:`+key30+`
a=ptime:20
a=rtcp:49180 IN IP4 192.0.2.9
a=rtcp-mux
a=sendonly
a=label:7
m=image 4000 udptl t38
a=T38FaxVersion:0
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
`, "\n", "\r\n")

func parse(t testing.TB, text string) *Session {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestParse(t *testing.T) {
	s := parse(t, phone)
	if s.Origin != (Origin{"alice", 2890844526, 2890844527, Conn{"IP4", "192.0.2.1"}}) || len(s.Media) != 3 {
		t.Fatalf("%+v", s.Origin)
	}
	m := &s.Media[0]
	if len(m.Codecs) != 4 || m.Codecs[2].Fmtp != "annexb=no" || !m.Codecs[3].IsEvent() || m.Codecs[3].Fmtp != "0-15" {
		t.Errorf("%+v", m.Codecs)
	}
	if m.Direction != SendOnly || s.Media[1].Direction != SendRecv || m.Ptime != 20 || !m.RTCPMux {
		t.Errorf("%+v", m)
	}
	if len(m.Crypto) != 1 || m.Crypto[0].Lifetime != 1<<20 || m.Crypto[0].MKI != 1 || m.Crypto[0].MKILen != 4 || len(m.BadCrypto) != 1 || m.BadCrypto[0] != CryptoUnknownSuite {
		t.Errorf("%+v %v", m.Crypto, m.BadCrypto)
	}
	if ap, ok := s.AddrPort(m); !ok || ap.String() != "[2001:db8::1]:49170" {
		t.Error(ap)
	}
	if ap, ok := s.AddrPort(&s.Media[1]); !ok || ap.String() != "192.0.2.1:4000" {
		t.Error(ap)
	}
	m.RTCPMux = false
	if ap, ok := s.RTCPAddrPort(m); !ok || ap.String() != "192.0.2.9:49180" {
		t.Error(ap)
	}
	if v, ok := m.Attr("label"); v != "7" || !ok || !s.Media[2].Rejected() {
		t.Error(v)
	}
}

// TestRoundTrip: what was understood, and what was not, comes back.
func TestRoundTrip(t *testing.T) {
	s := parse(t, phone)
	again := parse(t, string(s.Bytes()))
	s.Media[0].BadCrypto = nil
	if !reflect.DeepEqual(s, again) {
		t.Errorf("came back as\n%s", again.Bytes())
	}
	if c := s.Clone(); !reflect.DeepEqual(s, c) {
		t.Error("the clone differs")
	}
}

// TestTolerant: what phones send and pion/sdp, or a strict reading, refuses.
func TestTolerant(t *testing.T) {
	for what, text := range map[string]string{
		"bare LF, no s= and t=":  "v=0\no=- 1 1 IN IP4 192.0.2.1\nc=IN IP4 192.0.2.1\nm=audio 4000 RTP/AVP 0\n",
		"attribute before t=":    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\na=x\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
		"a session id too long":  "v=0\no=- 99999999999999999999999999 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 0\n",
		"static types unmapped":  "v=0\no=- 1 1 IN IP4 h.example.com\ns=\nt=0 0\nm=audio 4000 RTP/AVP 0 8 9 18\n",
		"no final end of line":   "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 0",
		"empty lines, nonsense ": "v=0\n\no=- 1 1 IN IP4 192.0.2.1\ns=-\nt=0 0\nm=audio 4000 RTP/AVP 0\na=\na=ptime:x\n\n",
	} {
		s, err := Parse([]byte(text))
		if err != nil || len(s.Media) != 1 || len(s.Media[0].Codecs) == 0 {
			t.Errorf("%s: %v %+v", what, err, s)
		}
	}
}

func TestErrors(t *testing.T) {
	head := "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\n"
	for text, want := range map[string]string{
		"":                                  "at octet 0: no o= line",
		"o=- 1 1 IN IP4 192.0.2.1":          "at octet 0: a description must begin with v=0",
		"v=1\r\n":                           "at octet 0: v= must be 0",
		head + "x":                          "at octet 36: a line must have the form x=value",
		head + "y=1":                        "at octet 36: unknown type letter 'y'",
		head + "m=audio 70000 RTP/AVP 0":    "at octet 36: the port of m= must be a number from 0 to 65535",
		head + "m=audio 1 RTP/AVP":          "at octet 36: m= must have medium, port, transport and a format",
		head + "c=IN IP5 1.2.3.4":           "at octet 36: c= must be IN IP4 or IN IP6 and an address",
		"v=0\r\no=- 1 x IN IP4 192.0.2.1":   "at octet 5: session id and version of o= must be numbers",
		head + strings.Repeat("a=x\n", 3e3): "at octet 8024: too many lines",
		strings.Repeat("v", MaxSize+1):      "at octet 65536: the description is longer than 65536 octets",
	} {
		var p *ParseError
		if _, err := Parse([]byte(text)); !errors.As(err, &p) || err.Error() != "sdp: "+want {
			t.Errorf("%.40q: %v", text, err)
		}
	}
}

func TestCrypto(t *testing.T) {
	gcm := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 28))
	gcm256 := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 44))
	for value, want := range map[string]error{
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30:                               nil,
		"1 AES_CM_128_HMAC_SHA1_32 inline:" + key30 + "|2^31":                     nil,
		"1 AEAD_AES_128_GCM inline:" + gcm:                                        nil,
		"1 AEAD_AES_256_GCM inline:" + gcm256 + "|2^48|1:1 WSH=64":                nil,
		"1 AEAD_AES_256_GCM inline:" + strings.TrimRight(gcm256, "="):             nil,
		"1 aes_cm_128_hmac_sha1_80 INLINE:" + key30 + "|1:4 -x":                   nil,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " UNENCRYPTED_SRTP":         CryptoUnencrypted,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " UNENCRYPTED_SRTCP":        CryptoUnencrypted,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " UNAUTHENTICATED_SRTP":     CryptoUnencrypted,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " FEC_ORDER=FEC_SRTP":       CryptoUnknownParam,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + " KDR=3":                    CryptoUnknownParam,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "|2^20|1:4;inline:" + key30: CryptoBadKey,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "|1:300":                    CryptoBadKey,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "|2^64":                     CryptoBadKey,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "|999:1":                    CryptoBadKey,
		"1 AES_CM_128_HMAC_SHA1_80 inline:short":                                  CryptoBadKey,
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + gcm:                                 CryptoBadKey,
		"1 AES_CM_128_HMAC_SHA1_80 uri:" + key30:                                  CryptoBadKey,
		"1 NULL_HMAC_SHA1_80 inline:" + key30:                                     CryptoUnknownSuite,
		"x AES_CM_128_HMAC_SHA1_80 inline:" + key30:                               CryptoSyntax,
		"1234567890 AES_CM_128_HMAC_SHA1_80 inline:" + key30:                      CryptoSyntax,
		"1 AES_CM_128_HMAC_SHA1_80":                                               CryptoSyntax,
	} {
		c, err := ParseCrypto(value)
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", value, err, want)
		}
		if err != nil {
			continue
		}
		if again, err := ParseCrypto(string(c.Append(nil))); err != nil || again != c {
			t.Errorf("%s comes back as %+v, %v", value, again, err)
		}
	}
}

// TestKeysNeverPrint: a key, and everything it is part of, shows nothing in any form Go prints.
func TestKeysNeverPrint(t *testing.T) {
	s := parse(t, phone)
	c := s.Media[0].Crypto[0]
	raw, _, _ := c.Key.Reveal(c.Suite)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", c.Key, "crypto", c, "session", s)
	j, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	shown := log.String() + string(j)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		shown += fmt.Sprintf(verb, c.Key) + fmt.Sprintf(verb, c) + fmt.Sprintf(verb, &c) + fmt.Sprintf(verb, *s)
	}
	for _, form := range []string{key30[:8], string(raw[:5]), fmt.Sprintf("%x", raw[:5]), fmt.Sprint(raw[:4])[1:12]} {
		if strings.Contains(shown, form) {
			t.Errorf("the key shows as %q", form)
		}
	}
	if !strings.Contains(shown, redacted) {
		t.Error("nothing says that something was left out")
	}
}

func TestRedact(t *testing.T) {
	got := string(Redact([]byte("INVITE sip:x SIP/2.0\r\n\r\n" + phone + "k=clear:secret\r\na=key-mgmt:mikey AAAA\r\na=Crypto:9 odd INLINE:" + key30 + "\n  a=crypto:1 AEAD_AES_128_GCM   inline:" + key30)))
	for _, secret := range []string{key30, "secret", "AAAA", "2^20"} {
		if strings.Contains(got, secret) {
			t.Errorf("%q is still there", secret)
		}
	}
	for _, kept := range []string{"INVITE sip:x", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:[redacted]\r\n", "m=audio 49170", "a=label:7\r\n"} {
		if !strings.Contains(got, kept) {
			t.Errorf("%q is gone:\n%s", kept, got)
		}
	}
	if plain := []byte("no keys\r\n\r\n"); !bytes.Equal(Redact(plain), plain) {
		t.Error("text without keys was changed")
	}
}

func TestGenerate(t *testing.T) {
	for _, s := range Suites() {
		a, err := GenerateKey(rand.Reader, s)
		b, err2 := GenerateKey(rand.Reader, s)
		if err != nil || err2 != nil || a.Equal(b) || a.IsZero() || !a.Equal(a) {
			t.Errorf("%v: %v %v", s, err, err2)
		}
		var back Suite
		text, _ := s.MarshalText()
		if back.UnmarshalText(text) != nil || back != s {
			t.Errorf("%v comes back as %v", s, back)
		}
	}
	if _, err := GenerateKey(rand.Reader, NoSuite); err == nil {
		t.Error("a key for no suite")
	}
	if _, err := GenerateKey(bytes.NewReader(nil), AEAD_AES_128_GCM); err == nil {
		t.Error("a key without randomness")
	}
}

func TestDirections(t *testing.T) {
	for d, want := range map[Direction]Direction{SendRecv: SendRecv, SendOnly: RecvOnly, RecvOnly: SendOnly, Inactive: Inactive} {
		if d.Reverse() != want || SendRecv&d != d {
			t.Errorf("%v reversed is %v", d, d.Reverse())
		}
	}
}

// secondOpinion compares with pion/sdp whatever pion accepts.
func secondOpinion(t *testing.T, text []byte) {
	var p pion.SessionDescription
	if len(text) == 0 || len(text) > MaxSize || p.UnmarshalString(string(text)) != nil {
		return
	}
	s, err := Parse(text)
	if err != nil {
		return // we are stricter in places: o= and addresses; see the tests above for where we must not be
	}
	if len(s.Media) != len(p.MediaDescriptions) || s.Origin.ID != p.Origin.SessionID || s.Origin.Version != p.Origin.SessionVersion {
		t.Errorf("pion reads %d media, o= %v; we %d, %v", len(p.MediaDescriptions), p.Origin, len(s.Media), s.Origin)
		return
	}
	for i, m := range p.MediaDescriptions {
		if m.MediaName.Media != s.Media[i].Type || m.MediaName.Port.Value != int(s.Media[i].Port) || strings.Join(m.MediaName.Protos, "/") != s.Media[i].Proto ||
			!reflect.DeepEqual(m.MediaName.Formats, s.Media[i].Formats) {
			t.Errorf("pion reads %v, we %+v", m.MediaName, s.Media[i])
		}
	}
}

func TestSecondOpinion(t *testing.T) {
	for _, text := range []string{phone[:strings.Index(phone, "m=image")], strings.Replace(phone, "b=X-YZ:128\r\n", "", 1)[:len(phone)-200]} {
		var p pion.SessionDescription
		if err := p.UnmarshalString(text); err != nil {
			t.Log("pion:", err)
		}
		secondOpinion(t, []byte(text))
	}
	// What made us write our own parser; when this fails, pion/sdp may do after all.
	var p pion.SessionDescription
	if p.UnmarshalString("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\nm=image 4000 udptl t38\r\n") == nil {
		t.Error("pion/sdp takes T.38 now: see the package comment")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(phone))
	f.Add([]byte("v=0\no=- 1 1 IN IP6 ::1\ns=-\nc=IN IP4 224.2.1.1/127/3\nt=0 0\nm=audio 49170/2 RTP/AVP 0 97\na=rtpmap:97 L16/8000/2\n"))
	flows, _ := filepath.Glob("../../media/testdata/plane/*.txt")
	for _, name := range flows {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, block := range strings.Split(string(b), "\n\n") {
			if i := strings.Index(block, "v=0\n"); i >= 0 {
				f.Add([]byte(block[i:]))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		Redact(text)
		s, err := Parse(text)
		if err != nil {
			var p *ParseError
			if !errors.As(err, &p) || p.Offset < 0 || p.Offset > len(text) {
				t.Fatalf("%v", err)
			}
			return
		}
		secondOpinion(t, text)
		out := s.Bytes()
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("what we write we cannot read: %v\n%q", err, out)
		}
		if second := again.Bytes(); !bytes.Equal(out, second) {
			t.Fatalf("written twice:\n%q\n%q", out, second)
		}
		for i := range s.Media {
			s.AddrPort(&s.Media[i])
			s.RTCPAddrPort(&s.Media[i])
			for _, c := range s.Media[i].Crypto {
				if k := base64.StdEncoding.EncodeToString(c.Key.octets[:c.Key.n]); bytes.Contains(Redact(out), []byte(k)) {
					t.Fatal("a key survives Redact")
				}
			}
		}
	})
}

func FuzzCrypto(f *testing.F) {
	f.Add("1 AES_CM_128_HMAC_SHA1_80 inline:" + key30 + "|2^20|1:4 WSH=64")
	f.Add("2 AEAD_AES_128_GCM inline:" + key30)
	f.Fuzz(func(t *testing.T, v string) {
		c, err := ParseCrypto(v)
		if err != nil {
			if _, ok := IsCryptoProblem(err); !ok {
				t.Fatalf("%v", err)
			}
			return
		}
		if again, err := ParseCrypto(string(c.Append(nil))); err != nil || again != c {
			t.Fatalf("%q: %v", v, err)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := []byte(phone)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPion(b *testing.B) {
	text := phone[:strings.Index(phone, "m=image")]
	b.ReportAllocs()
	for b.Loop() {
		var p pion.SessionDescription
		_ = p.UnmarshalString(text)
	}
}

func BenchmarkAppend(b *testing.B) {
	s := parse(b, phone)
	b.ReportAllocs()
	for b.Loop() {
		s.Bytes()
	}
}
