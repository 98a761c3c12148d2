package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoSecretIsStored records a call that carries every kind of secret at the most verbose level, and looks for them
// in every place a record can be found again.
func TestNoSecretIsStored(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(Config{Dir: dir, Level: Debug})
	if err != nil {
		t.Fatal(err)
	}
	tail := r.Tail(Filter{}, 1000)
	recs := sampleCall()
	for _, rec := range recs {
		r.Record(rec)
	}
	if err := r.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	places := map[string][]byte{}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, f := range files {
		places["file "+f], _ = os.ReadFile(f)
	}
	r.mu.Lock()
	for _, b := range r.ring.blocks {
		places["memory"] = append(places["memory"], b.data...)
	}
	r.mu.Unlock()
	stored, err := r.Call(context.Background(), "c7")
	if err != nil {
		t.Fatal(err)
	}
	places["json"], _ = json.Marshal(stored)
	ladder := NewLadder(stored, LadderOptions{Engine: true})
	places["text"] = []byte(ladder.Text(0))
	places["svg"] = ladder.SVG()
	places["ladder json"], _ = json.Marshal(ladder)
	var sdl bytes.Buffer
	if err := WriteSDL(&sdl, stored); err != nil {
		t.Fatal(err)
	}
	places["sdl"] = sdl.Bytes()
	for range recs {
		rec, err := tail.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		b, _ := json.Marshal(rec)
		places["tail"] = append(places["tail"], b...)
		places["tail"] = append(places["tail"], rec.Body...)
	}
	r.Close()
	for place, content := range places {
		if len(content) < 1000 {
			t.Errorf("%s holds only %d bytes: the scan proves nothing", place, len(content))
		}
		for _, secret := range seeded {
			if i := bytes.Index(content, []byte(secret)); i >= 0 {
				t.Errorf("%s holds the secret %q: ...%s", place, secret, content[max(0, i-120):min(len(content), i+60)])
			}
		}
	}
	found := 0 // the scanner itself must be able to find something
	for _, rec := range recs {
		for _, secret := range seeded {
			found += bytes.Count(rec.Body, []byte(secret))
		}
	}
	if found < 20 {
		t.Errorf("the sample call carries only %d secrets", found)
	}
}

// TestRedact: what goes, and what a reader needs and must stay.
func TestRedact(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"json", `{"password":"a\"b","x":1}`, `{"password":"[redacted]","x":1}`},
		{"json number", `{"pin":1234,"x":1}`, `{"pin":"[redacted]","x":1}`},
		{"json spaced", "{\n \"token\": \"t\",\n \"x\": 1\n}", "{\n \"token\": \"[redacted]\",\n \"x\": 1\n}"},
		{"nested", `{"b":"{\"pin\":\"12\",\"y\":2}"}`, `{"b":"{\"pin\":\"[redacted]\",\"y\":2}"}`},
		{"yaml", "user: al\npassword: two words\nx: 1", "user: al\npassword: [redacted]\nx: 1"},
		{"heading", "password:\n  minLength: 8", "password:\n  minLength: 8"},
		{"pair", "a=1 password=x b=2", "a=1 password=[redacted] b=2"},
		{"xml", "<pin>12</pin><a>1</a>", "<pin>[redacted]</pin><a>1</a>"},
		{"suffix", `{"userPassword":"x","auth_string":"y"}`, `{"userPassword":"[redacted]","auth_string":"[redacted]"}`},
		{"not a secret", `{"ping":"5","tokens_left":"3","keyframe":"1","tonekey":"z"}`, `{"ping":"5","tokens_left":"3","keyframe":"1","tonekey":"z"}`},
		{"uri", "to sip:al:pw@h and sip:bob@h:5061", "to sip:al:[redacted]@h and sip:bob@h:5061"},
		{"summary", "Offered from=2001 to=2002", "Offered from=2001 to=2002"},
		{"crypto", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA|2^20|1:4;inline:BBBB KDR=1", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:[redacted]|2^20|1:4;inline:[redacted] KDR=1"},
		{"crypto odd", "A=CRYPTO:1 X INLINE:AAAA", "A=CRYPTO:1 X INLINE:[redacted]"},
	} {
		if got := string(Redact(nil, []byte(c.in), false)); c.name != "crypto odd" && got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
	sip := msg("INVITE sip:al:pw@h SIP/2.0", "id@h", "1 INVITE", "", credentials+"X-Api-Key: k1\r\nContact: <sip:al@h:5061>\r\n", sdpBody)
	got := string(Redact(nil, []byte(sip), true))
	for _, want := range []string{
		"INVITE sip:al:[redacted]@h SIP/2.0\r\n", "Authorization: Digest [redacted]\r\nX-Api-Key: [redacted]\r\n",
		"Contact: <sip:al@h:5061>\r\n", "Call-ID: id@h\r\n",
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:[redacted]|2^31|1:4 FEC_ORDER=FEC_SRTP\r\n", "a=ice-pwd:[redacted]\r\n", "a=sendrecv\r\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("redacted message lacks %q:\n%s", want, got)
		}
	}
}

// TestShowDigits: the operator's named exception, and that it says so.
func TestShowDigits(t *testing.T) {
	r, err := Open(Config{ShowDigits: true})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, rec := range sampleCall() {
		r.Record(rec)
	}
	stored, _ := r.Call(context.Background(), "c7")
	all, _ := json.Marshal(stored)
	if !bytes.Contains(all, []byte("Signal=73950012")) {
		t.Error("digits are not stored although the operator asked for them")
	}
	if x := r.Status().Exceptions(); len(x) != 1 || !strings.Contains(x[0], "DTMF") {
		t.Errorf("exceptions: %q", x)
	}
}

func FuzzRedact(f *testing.F) {
	for _, r := range sampleCall() {
		f.Add(r.Body, r.Kind.SIP())
	}
	f.Add([]byte("password=\\\\\"x"), false)
	f.Fuzz(func(t *testing.T, text []byte, sip bool) {
		out := Redact(nil, text, sip)
		for _, key := range []string{"inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"} {
			if bytes.Contains(out, []byte(key)) {
				t.Errorf("a key survived: %q", out)
			}
		}
		if !bytes.Equal(out, text) && !(policy{}).suspect(text, sip) {
			t.Errorf("the quick look let %q pass, which becomes %q", text, out)
		}
		if fast, ok := (policy{}).escapeMessage([]byte(`"`), text); sip && ok {
			var plain string
			if err := json.Unmarshal(append(fast, '"'), &plain); err != nil || plain != string(out) {
				t.Errorf("the fast way makes %q of %q, the careful way %q (%v)", plain, text, out, err)
			}
		}
		prefix := Redact([]byte("kept"), text, sip)
		if !bytes.Equal(prefix[:4], []byte("kept")) || !bytes.Equal(prefix[4:], out) {
			t.Error("the result depends on what was in the buffer before")
		}
	})
}

// TestSuspectAgrees: the quick look never lets a text pass that the careful way would change.
func TestSuspectAgrees(t *testing.T) {
	quick := 0
	for _, r := range sampleCall() {
		changed := !bytes.Equal(Redact(nil, r.Body, r.Kind.SIP()), r.Body)
		suspect := policy{}.suspect(r.Body, r.Kind.SIP())
		if changed && !suspect {
			t.Errorf("let pass: %s", r.Body)
		}
		if !suspect {
			quick++
		}
	}
	fast := 0
	for _, r := range sampleCall() {
		if out, ok := (policy{}).escapeMessage(nil, r.Body); ok && r.Kind.SIP() {
			fast++
			var plain string
			if err := json.Unmarshal([]byte(`"`+string(out)+`"`), &plain); err != nil || plain != string(Redact(nil, r.Body, true)) {
				t.Errorf("%v: the fast way gives\n%s\nthe careful way\n%s", err, plain, Redact(nil, r.Body, true))
			}
		}
	}
	if fast < 20 {
		t.Errorf("only %d messages go the fast way", fast)
	}
	if quick < 20 {
		t.Errorf("only %d records are known to be harmless at once", quick)
	}
}
