package capf

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestMessagesBothWays: what is encoded decodes to the same values.
func TestMessagesBothWays(t *testing.T) {
	cert := Certificate{CertLSC, []byte{0x30, 1, 2}}
	for _, v := range []interface{ Message(uint32) Message }{
		AuthRequest{Version: 3, Auth: AuthLSC}, AuthRequest{Version: 3, NoAuth: true},
		AuthResponse{Reason: ReasonOK, Version: 3, Device: "SEP001122334455", Password: NewSecret("1234")},
		AuthResponse{Reason: ReasonOK, Version: 1, Device: "CTI-5", Info: "x"},
		AuthResponse{Reason: ReasonOK, Version: 2, Device: "CSFJDOE", NoPassword: true},
		AuthResponse{Reason: ReasonOK, Version: 3, Device: "d", Certificates: []Certificate{cert, {CertMIC, []byte{4}}}, SHA1: []byte{5},
			SHA2: SignedData{DigestSHA512, []byte{6}}, SUDI: &SUDI{[]byte{7}, []byte{8}, []byte{9}}},
		KeygenResponse{Reason: ReasonOK, PublicKey: []byte{1}}, KeygenResponse{Reason: ReasonRefused, Info: "no"},
		StoreRequest{Type: CertLSC, Certificate: cert}, StoreResponse{Reason: ReasonOK}, StoreResponse{Reason: ReasonRefused, Info: "disk"},
		FetchResponse{Reason: ReasonOK, Certificates: []Certificate{cert}}, FetchResponse{Reason: ReasonOK},
		DeleteResponse{CertID: []byte{0, 0, 0}, Reason: ReasonOK, Info: "gone"}, EndSession{Reason: ReasonUnknown}, RetryLater{Seconds: 90},
	} {
		b, err := v.Message(0x01020304).Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(b)
		if err != nil || m.Session != 0x01020304 {
			t.Fatalf("%+v: %v, %v", v, m, err)
		}
		got, err := typed(m)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%#v\ndecodes to\n%#v, %v", v, got, err)
		}
	}
}

// TestKeygenRequestOnTheWire: KEY_TYPE goes to clients that bear it, and DIGEST_TYPE only when asked for.
func TestKeygenRequestOnTheWire(t *testing.T) {
	for want, r := range map[string]KeygenRequest{
		"0a00020800":             {Size: 2048, Version: VersionJTAPI},
		"0a00020c00":             {Size: 3072, Version: VersionJabber},
		"0a0002080011000100":     {Size: 2048, Version: VersionPhone},
		"1100010112000101":       {Type: KeyEC, Curve: CurveP384, Version: VersionPhone},
		"0a00020800110001001300": {Size: 2048, Version: VersionPhone, Digest: DigestSHA256},
	} {
		b, err := r.Message(1).Append(nil)
		if got := fmt.Sprintf("%x", b[headLen:]); err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("%+v: %s, %v, want %s", r, got, err, want)
		}
	}
}

// TestLenience: real peers leave elements out, order them otherwise, and end texts with NUL or not.
func TestLenience(t *testing.T) {
	for _, c := range []struct {
		name string
		m    Message
		want any
	}{
		{"no AUTH_TYPE", Message{Command: CommandAuthRequest, Elements: []Element{{TagVersion, []byte{3}}}}, AuthRequest{Version: 3, NoAuth: true}},
		{"empty AUTH_REQ", Message{Command: CommandAuthRequest}, AuthRequest{NoAuth: true}},
		{"unknown element", Message{Command: CommandAuthRequest, Elements: []Element{{200, []byte{3}}, {200, nil}, {TagVersion, []byte{9}}}}, AuthRequest{Version: 9, NoAuth: true}},
		{"name alone, no NUL", Message{Command: CommandAuthResponse, Elements: []Element{{TagDeviceName, []byte("CTI-5")}}}, AuthResponse{Reason: ReasonOK, Device: "CTI-5", NoPassword: true}},
		{"reversed, NUL", Message{Command: CommandAuthResponse, Elements: []Element{{TagDeviceName, []byte("SEP1\x00")}, {TagPassword, []byte{0}}, {TagVersion, []byte{2}}, {TagReason, []byte{1}}}},
			AuthResponse{Reason: ReasonOK, Version: 2, Device: "SEP1"}},
		{"password of length 0", Message{Command: CommandAuthResponse, Elements: []Element{{TagDeviceName, []byte("a")}, {TagPassword, nil}}}, AuthResponse{Reason: ReasonOK, Device: "a"}},
		{"key without a reason", Message{Command: CommandKeygenResponse, Elements: []Element{{TagPublicKey, []byte{1}}}}, KeygenResponse{Reason: ReasonOK, PublicKey: []byte{1}}},
		{"order without KEY_TYPE", Message{Command: CommandKeygenRequest, Elements: []Element{{TagKeySize, []byte{8, 0}}}}, KeygenRequest{Size: 2048}},
		{"no CERT_TYPE, two certificates", Message{Command: CommandStoreRequest, Elements: []Element{{TagCertificate, appendCertificates(nil, []Certificate{{CertLSC, []byte{1}}, {CertMIC, []byte{2}}})}}},
			StoreRequest{Certificate: Certificate{CertLSC, []byte{1}}}},
		{"short delay", Message{Command: CommandRetryLater, Elements: []Element{{TagRetryDelay, []byte{0, 30}}}}, RetryLater{Seconds: 30}},
	} {
		if got, err := typed(c.m); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %#v, %v\nwant %#v", c.name, got, err, c.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	name := Element{TagDeviceName, []byte("SEP1")}
	for _, c := range []struct {
		name   string
		m      Message
		offset int
		words  string
	}{
		{"another command", Message{Command: CommandStoreRequest, Elements: []Element{{TagVersion, []byte{1}}}}, 0, "CERTIFICATE is missing"},
		{"no name", Message{Command: CommandAuthResponse}, 0, "DEVICE_NAME is missing"},
		{"name twice", Message{Command: CommandAuthResponse, Elements: []Element{name, {TagDeviceName, []byte("SEP2")}}}, 15, "twice"},
		{"NUL inside", Message{Command: CommandAuthResponse, Elements: []Element{{TagDeviceName, []byte("SEP1\x00../x\x00")}}}, 15, "control character 0x00"},
		{"line end inside", Message{Command: CommandAuthResponse, Elements: []Element{name, {TagPassword, []byte("1\n2")}}}, 19, "0x0a"},
		{"VERSION of two octets", Message{Command: CommandAuthResponse, Elements: []Element{name, {TagVersion, []byte{0, 3}}}}, 18, "2 octets"},
		{"REASON empty", Message{Command: CommandEndSession, Elements: []Element{{TagReason, nil}}}, 11, "0 octets"},
		{"no REASON", Message{Command: CommandStoreResponse}, 8, "REASON is missing"},
		{"curve unknown", Message{Command: CommandKeygenRequest, Elements: []Element{{TagKeyType, []byte{1}}, {TagCurve, []byte{7}}}}, 0, "CURVE 7"},
		{"certificates: empty", Message{Command: CommandFetchResponse, Elements: []Element{{TagCertificate, nil}}}, 11, "count"},
		{"certificates: count too high", Message{Command: CommandFetchResponse, Elements: []Element{{TagCertificate, []byte{255, 0, 3, 0, 1, 9}}}}, 17, "255 certificates"},
		{"certificates: length past the end", Message{Command: CommandFetchResponse, Elements: []Element{{TagCertificate, []byte{1, 0, 9, 0, 1, 9}}}}, 12, "claims 9"},
		{"certificates: length under its own type", Message{Command: CommandFetchResponse, Elements: []Element{{TagCertificate, []byte{1, 0, 1, 0, 1}}}}, 12, "claims 1"},
		{"certificates: octets behind", Message{Command: CommandFetchResponse, Elements: []Element{{TagCertificate, []byte{1, 0, 3, 0, 1, 9, 9}}}}, 17, "follow"},
		{"signed data cut", Message{Command: CommandAuthResponse, Elements: []Element{name, {TagSHA2SignedData, []byte{3, 0, 9, 1}}}}, 18, "inside"},
		{"two signatures", Message{Command: CommandAuthResponse, Elements: []Element{name, {TagSHA2SignedData, []byte{3, 0, 1, 1, 2, 0, 1, 1}}}}, 18, "2 signatures"},
		{"SUDI without a certificate", Message{Command: CommandAuthResponse, Elements: []Element{name, {TagSUDI, []byte{1, 0, 1, 1}}}}, 18, "no certificate"},
		{"SUDI with two", Message{Command: CommandAuthResponse, Elements: []Element{name, {TagSUDI, []byte{0, 0, 1, 1, 0, 0, 1, 2}}}}, 18, "twice"},
	} {
		_, err := typed(c.m)
		p, ok := err.(*ParseError)
		if !ok || p.Offset != c.offset || !strings.Contains(p.What, c.words) {
			t.Errorf("%s: %v; want offset %d and %q", c.name, err, c.offset, c.words)
		}
	}
	if _, err := ParseAuthRequest(EndSession{}.Message(1)); err == nil || !strings.Contains(err.Error(), "END_SESSION where AUTH_REQ") {
		t.Errorf("another command: %v", err)
	}
}

func TestSecretsPrintNothing(t *testing.T) {
	s := NewSecret("1234567890")
	token := JoinToken{Password: s, Signers: [][32]byte{{1}}}
	encoded, err := json.Marshal(map[string]any{"s": s, "r": AuthResponse{Password: s}, "t": token})
	if err != nil {
		t.Fatal(err)
	}
	text := string(encoded) + fmt.Sprint(s, token, AuthResponse{Password: s}) + fmt.Sprintf("%#v %+v %q %#v %+v", s, s, s, token, AuthResponse{Password: s}) + s.LogValue().String()
	if strings.Contains(text, "1234567890") {
		t.Errorf("the secret shows: %s", text)
	}
}

func TestJoinToken(t *testing.T) {
	token := JoinToken{Password: NewSecret("0123456789"), Signers: [][32]byte{{1, 2, 3}, {31: 0xff}}}
	text := token.Text()
	if !IsJoinToken(text) || !strings.HasPrefix(text, "LT1-0123456789-") {
		t.Fatal(text)
	}
	for _, same := range []string{text, strings.ToLower(text), " " + text[:40] + "\n  " + text[40:] + "\n"} {
		if got, err := ParseJoinToken(same); err != nil || !reflect.DeepEqual(got, token) {
			t.Errorf("%q: %#v, %v", same, got, err)
		}
	}
	for i := range text { // one slip anywhere is noticed
		c := byte('A')
		if text[i] == 'A' {
			c = 'B'
		}
		wrong := text[:i] + string(c) + text[i+1:]
		if got, err := ParseJoinToken(wrong); err == nil {
			t.Errorf("%q is taken: %v", wrong, got)
		} else if strings.Contains(err.Error(), "0123456789") {
			t.Errorf("the error tells the string: %v", err)
		}
		if _, err := ParseJoinToken(text[:i]); err == nil {
			t.Errorf("cut to %d characters it is taken", i)
		}
	}
	for _, wrong := range []string{"", "1234567890", "LT1-", "LT1-1234", "LT1-1234-AAAA", "LT1-12/4-AAAA-BBBB", "LT2-" + text[4:]} {
		if _, err := ParseJoinToken(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
	many := token
	many.Signers = make([][32]byte, MaxTokenSigners+1)
	if _, err := ParseJoinToken(many.Text()); err == nil {
		t.Error("a token of too many signers is taken")
	}
}

func FuzzJoinToken(f *testing.F) {
	f.Add(JoinToken{Password: NewSecret("1234"), Signers: [][32]byte{{1}}}.Text())
	f.Fuzz(func(t *testing.T, text string) {
		token, err := ParseJoinToken(text)
		if err != nil {
			return
		}
		if again, err := ParseJoinToken(token.Text()); err != nil || !reflect.DeepEqual(again, token) {
			t.Fatalf("%q: %v, %v", text, again, err)
		}
	})
}
