package backup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/locktone/locktone/wire/secret"
)

var words = secret.New("correct horse battery staple")

// recipient is one key pair for all tests: closing for it is cheap, trying a passphrase is not.
var recipient = sync.OnceValue(func() *PrivateKey {
	k, err := NewPrivateKey()
	if err != nil {
		panic(err)
	}
	return k
})

func seal(t testing.TB, l Lock, plain []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := Seal(&out, l)
	if err != nil {
		t.Fatal(err)
	}
	for rest := plain; len(rest) > 0; { // in pieces of odd sizes
		n := min(len(rest), 1+len(rest)*2/3)
		if _, err := w.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unseal(sealed []byte, k Key) ([]byte, error) {
	r, err := Unseal(bytes.NewReader(sealed), k)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func toRecipient() Lock    { return Lock{Recipient: recipient().Public()} }
func fromRecipient() Key   { return Key{Private: recipient()} }
func pattern(n int) []byte { return bytes.Repeat([]byte("0123456789abcdef!"), n/17+1)[:n] }

func TestSealSizes(t *testing.T) {
	for _, n := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 5*chunkSize + 77} {
		plain := pattern(n)
		if got, err := unseal(seal(t, toRecipient(), plain), fromRecipient()); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: %d came back, %v", n, len(got), err)
		}
	}
}

func TestPassphrase(t *testing.T) {
	sealed := seal(t, Lock{Passphrase: words}, []byte("hello"))
	if got, err := unseal(sealed, Key{Passphrase: words}); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := unseal(sealed, Key{Passphrase: secret.New("correct horse battery stapl")}); err != ErrKey {
		t.Errorf("wrong passphrase: %v", err)
	}
	if _, err := unseal(sealed, fromRecipient()); err == nil || !strings.Contains(err.Error(), "closed with a passphrase") {
		t.Errorf("a key for a passphrase: %v", err)
	}
	if _, err := unseal(seal(t, toRecipient(), nil), Key{Passphrase: words}); err == nil || !strings.Contains(err.Error(), "--key") {
		t.Errorf("a passphrase for a key: %v", err)
	}
	other, err := NewPrivateKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unseal(seal(t, toRecipient(), nil), Key{Private: other}); err != ErrKey {
		t.Errorf("wrong key: %v", err)
	}
	if _, err := Seal(io.Discard, Lock{Passphrase: secret.New("eleven char")}); err == nil || !strings.Contains(err.Error(), "at least 12") {
		t.Errorf("short passphrase: %v", err)
	}
	if bytes.Equal(seal(t, toRecipient(), pattern(100))[100:], seal(t, toRecipient(), pattern(100))[100:]) {
		t.Error("two files of one content are alike")
	}
}

func TestKeyFiles(t *testing.T) {
	text, err := recipient().Text()
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParsePrivateKey(text.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParsePublicKey(k.Public().String() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := unseal(seal(t, Lock{Recipient: public}, []byte("x")), Key{Private: k}); err != nil || string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
	if shown := fmt.Sprintf("%v %+v %s", k, *text2(k), text); strings.Contains(shown, strings.Fields(text.Reveal())[1]) {
		t.Error("a private key prints")
	}
	for _, bad := range []string{"", "x", k.Public().String(), text.Reveal()[:40], privateWord + " !!"} {
		if _, err := ParsePrivateKey(bad); err == nil {
			t.Errorf("%.30q was read as a private key", bad)
		}
	}
	if _, err := ParsePublicKey(text.Reveal()); err == nil {
		t.Error("a private key was read as a public one")
	}
}

func text2(k *PrivateKey) *struct{ K *PrivateKey } { return &struct{ K *PrivateKey }{k} }

// TestTampering changes every part of a file: each bit of the header and around the borders of chunks, chunks moved, left out, doubled,
// taken from another file, the end cut off at every border and one byte beside it.
func TestTampering(t *testing.T) {
	plain := pattern(3*chunkSize + 100)
	sealed := seal(t, toRecipient(), plain)
	head := len(sealed) - (len(plain) + 4*tagSize)
	const whole = chunkSize + tagSize
	refused := func(what string, changed []byte) {
		t.Helper()
		got, err := unseal(changed, fromRecipient())
		if err == nil {
			t.Errorf("%s: nothing was found", what)
		} else if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrKey) && !errors.Is(err, ErrNotBackup) && !strings.Contains(err.Error(), "format") && !strings.Contains(err.Error(), "passphrase") {
			t.Errorf("%s: %v", what, err)
		}
		if !bytes.HasPrefix(plain, got) {
			t.Errorf("%s: bytes that were not written were handed on", what)
		}
	}
	flips := []int{}
	for at := range head {
		flips = append(flips, at)
	}
	for n := range 4 {
		for _, d := range []int{0, 1, chunkSize / 2, chunkSize, whole - 1} {
			flips = append(flips, min(head+n*whole+d, len(sealed)-1))
		}
	}
	for _, at := range flips {
		if at == len(Magic)+1 && sealed[at]^1 == byPassphrase {
			continue // asks for another kind of key, which is told in other words
		}
		changed := bytes.Clone(sealed)
		changed[at] ^= 1 << (at % 8)
		refused(fmt.Sprintf("a bit of byte %d", at), changed)
	}
	chunk := func(n int) []byte { return sealed[head+n*whole : min(head+(n+1)*whole, len(sealed))] }
	join := func(parts ...[]byte) []byte { return bytes.Join(append([][]byte{sealed[:head]}, parts...), nil) }
	refused("two chunks changed places", join(chunk(1), chunk(0), chunk(2), chunk(3)))
	refused("a chunk left out", join(chunk(0), chunk(2), chunk(3)))
	refused("a chunk twice", join(chunk(0), chunk(1), chunk(1), chunk(2), chunk(3)))
	refused("something behind the end", append(bytes.Clone(sealed), 0))
	refused("another file's chunk", join(seal(t, toRecipient(), plain)[head:head+whole], chunk(1), chunk(2), chunk(3)))
	for n := range 4 {
		for _, d := range []int{-1, 0, 1} {
			refused(fmt.Sprintf("cut at chunk %d%+d", n, d), sealed[:head+n*whole+d])
		}
	}
	for n := range head {
		refused(fmt.Sprintf("cut in the header at %d", n), sealed[:n])
	}
}

// TestHostileHeader: a header cannot make reading cost much.
func TestHostileHeader(t *testing.T) {
	for _, x := range []struct {
		t, p   byte
		memory uint32
	}{{1, 1, 1<<32 - 1}, {255, 1, 64}, {1, 255, 64 << 10}, {0, 1, 64}, {1, 0, 64}, {1, 4, 8}} {
		b := append([]byte(Magic), sealVersion, byPassphrase, x.t)
		b = append(binary.BigEndian.AppendUint32(b, x.memory), x.p)
		b = append(b, make([]byte, 200)...)
		if _, err := Unseal(bytes.NewReader(b), Key{Passphrase: words}); !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", x, err)
		}
	}
	newer := append([]byte(Magic), sealVersion+1)
	if _, err := Unseal(bytes.NewReader(newer), Key{}); err == nil || !strings.Contains(err.Error(), "use the version that wrote it") {
		t.Errorf("a newer file: %v", err)
	}
	if _, err := Unseal(strings.NewReader("PK\x03\x04 something else"), Key{}); err != ErrNotBackup {
		t.Errorf("another file: %v", err)
	}
}

func FuzzUnseal(f *testing.F) {
	f.Add(seal(f, toRecipient(), []byte("hello")))
	f.Add([]byte(Magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > len(Magic)+1 && b[len(Magic)+1] == byPassphrase {
			return // costs a passphrase each time
		}
		_, _ = unseal(b, fromRecipient())
	})
}
