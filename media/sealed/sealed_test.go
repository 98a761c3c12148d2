package sealed

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/locktone/locktone/wire/sdp"
)

func someKeys(t testing.TB) Keys {
	t.Helper()
	tx, err1 := sdp.GenerateKey(rand.Reader, sdp.AEAD_AES_256_GCM)
	rx, err2 := sdp.GenerateKey(rand.Reader, sdp.AES_CM_128_HMAC_SHA1_80)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return Keys{Transmit: sdp.Crypto{Tag: 1, Suite: sdp.AEAD_AES_256_GCM, Key: tx}, Receive: sdp.Crypto{Tag: 2, Suite: sdp.AES_CM_128_HMAC_SHA1_80, Key: rx, MKI: 7, MKILen: 2}}
}

func TestSeal(t *testing.T) {
	r, err := NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewReceiver()
	if err != nil {
		t.Fatal(err)
	}
	b := Binding{Cluster: "locktone", Node: "n1", Service: "callmanager", Call: 3, Leg: 4, Receiver: "ctimanager@n2 recorder", Session: "s", N: 1}
	k := someKeys(t)
	text, err := Seal(r.Public(), b, k)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*sdp.Crypto{&k.Transmit, &k.Receive} {
		key, salt, _ := c.Key.Reveal(c.Suite)
		for _, secret := range [][]byte{key, salt} {
			if bytes.Contains(text, secret) || bytes.Contains(text, []byte(hex.EncodeToString(secret))) || bytes.Contains(text, []byte(base64.StdEncoding.EncodeToString(secret))) {
				t.Error("the message shows a key")
			}
		}
	}
	got, err := r.Open(b, text)
	if err != nil || !got.Same(k) || got.Receive.MKI != 7 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := other.Open(b, text); err == nil {
		t.Error("another receiver has opened it")
	}
	for i, change := range []func(*Binding){func(b *Binding) { b.Cluster = "x" }, func(b *Binding) { b.Node = "n2" }, func(b *Binding) { b.Service = "border" }, func(b *Binding) { b.Call++ }, func(b *Binding) { b.Leg++ },
		func(b *Binding) { b.Receiver = "x" }, func(b *Binding) { b.Session = "t" }, func(b *Binding) { b.N++ }, func(b *Binding) { b.Cluster, b.Node = "locktonen", "1" }} {
		x := b
		change(&x)
		if _, err := r.Open(x, text); err == nil {
			t.Errorf("change %d: it opens elsewhere", i)
		}
	}
	for i := range text {
		bad := bytes.Clone(text)
		bad[i] ^= 1
		if _, err := r.Open(b, bad); err == nil {
			t.Fatalf("octet %d changed, and it opens", i)
		}
	}
	if shown := fmt.Sprintf("%v %+v %#v %s", r, r, r, r); strings.TrimSpace(strings.ReplaceAll(shown, "[redacted]", "")) != "" {
		t.Errorf("the receiver prints as %s", shown)
	}
	if none, err := Seal(r.Public(), b, Keys{}); err != nil {
		t.Error(err)
	} else if got, err := r.Open(b, none); err != nil || !got.IsZero() {
		t.Errorf("%+v %v", got, err)
	}
	for _, bad := range [][]byte{nil, make([]byte, 31), make([]byte, 32)} { // the last is the point of low order
		if _, err := Seal(bad, b, k); err == nil {
			t.Errorf("sealed to %d zero octets", len(bad))
		}
	}
}

func FuzzOpen(f *testing.F) {
	r, err := NewReceiver()
	if err != nil {
		f.Fatal(err)
	}
	text, err := Seal(r.Public(), Binding{}, someKeys(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text[:10])
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := r.Open(Binding{}, b); err == nil {
			t.Error("it opens")
		}
	})
}
