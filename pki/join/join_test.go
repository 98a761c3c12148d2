package join

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/locktone/locktone/lab/postgres"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/store"
)

func openStore(t *testing.T, dsn string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dsn, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func tokens(t *testing.T) (*Tokens, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	return NewTokens(openStore(t, filepath.Join(t.TempDir(), "record.db")).Documents(Collection), c.now), c
}

func request(k Token, node string, claim byte) Request {
	return Request{ID: k.ID, Secret: k.Secret, Claim: bytes.Repeat([]byte{claim}, 32), Node: node, Host: "host"}
}

func TestTokenText(t *testing.T) {
	k := newToken([32]byte{1, 2, 3})
	text := k.Text()
	back, err := ParseToken("  " + strings.ToLower(text[:20]) + "\n" + text[20:] + "\n")
	if err != nil || back.ID != k.ID || !bytes.Equal(back.Secret, k.Secret) || back.Pin != k.Pin {
		t.Fatalf("%v: %v", err, back)
	}
	for _, shown := range []string{fmt.Sprint(k), fmt.Sprintf("%+v %#v", k, k), k.String()} {
		if strings.Contains(text, shown) || strings.Contains(shown, base32Text.EncodeToString(k.Secret)) || strings.Contains(shown, fmt.Sprintf("%x", []byte(k.Secret))) {
			t.Errorf("it prints: %s", shown)
		}
	}
	last := "A"
	if strings.HasSuffix(text, "A") {
		last = "B"
	}
	for what, bad := range map[string]string{"nothing": "", "another sort": "LT1-1234-ABCD-EFGH", "cut": text[:len(text)-2], "a slip": text[:10] + slip(text[10]) + text[11:], "no base 32": text[:len(text)-1] + "1", "last": text[:len(text)-2] + last + text[len(text)-1:]} {
		if bad == text {
			continue
		}
		if _, err := ParseToken(bad); !errors.Is(err, ErrToken) || strings.Contains(err.Error(), text[5:30]) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// slip is another character than the one given.
func slip(c byte) string {
	if c == 'A' {
		return "B"
	}
	return "A"
}

func FuzzParseToken(f *testing.F) {
	f.Add(newToken([32]byte{}).Text())
	f.Add("LN1-")
	f.Add("LN1-AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseToken(text)
		if err != nil {
			return
		}
		again, err := ParseToken(k.Text())
		if err != nil || again.ID != k.ID || !IsID(k.ID) || !bytes.Equal(again.Secret, k.Secret) || again.Pin != k.Pin {
			t.Errorf("%q: %v", text, err)
		}
	})
}

func FuzzMessages(f *testing.F) {
	g, _ := Grant{Cluster: "c", Node: "n2", ClusterKey: pki.Secret("k"), DSN: pki.Secret("d"), Bus: Bus{URLs: []string{"tls://x"}, CA: []byte("a"), Credentials: pki.Secret("s")}}.Encode()
	r, _ := Request{ID: "0011223344556677", Secret: pki.Secret("s"), Claim: pki.Secret("c"), Node: "n2"}.Encode()
	f.Add(g)
	f.Add(r)
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := DecodeGrant(b); err == nil {
			x, err := g.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if y, err := DecodeGrant(x); err != nil || fmt.Sprint(y) != fmt.Sprint(g) || !bytes.Equal(y.DSN, g.DSN) {
				t.Errorf("%v: %v", err, y)
			}
		}
		if r, err := DecodeRequest(b); err == nil {
			x, err := r.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if y, err := DecodeRequest(x); err != nil || y.ID != r.ID || !bytes.Equal(y.Secret, r.Secret) || y.Host != r.Host {
				t.Errorf("%v: %v", err, y)
			}
		}
	})
}

// What becomes of a token, step by step.
func TestRedeem(t *testing.T) {
	b, now := tokens(t)
	k, info, err := b.Create(t.Context(), "admin", "n2", time.Hour, [32]byte{9})
	if err != nil || !info.Expires.Equal(now.at.Add(time.Hour)) {
		t.Fatalf("%+v: %v", info, err)
	}
	doc, err := b.docs.Get(t.Context(), k.ID)
	if err != nil || bytes.Contains(doc.Value, k.Secret) || strings.Contains(string(doc.Value), base32Text.EncodeToString(k.Secret)) {
		t.Errorf("the record has the secret: %v", err)
	}
	wrong := k
	wrong.Secret = bytes.Repeat([]byte{7}, 32)
	steps := []struct {
		what string
		r    Request
		want error
	}{
		{"an unknown one", Request{ID: "0011223344556677", Secret: k.Secret, Claim: k.Secret}, ErrUnknown},
		{"a wrong secret", request(wrong, "n2", 1), ErrUnknown},
		{"another name", request(k, "n3", 1), ErrName},
		{"a short claim", Request{ID: k.ID, Secret: k.Secret, Node: "n2", Claim: pki.Secret("x")}, errClaim},
		{"right", request(k, "n2", 1), nil},
		{"the same again", request(k, "n2", 1), nil},
		{"the same without its name", request(k, "", 1), nil},
		{"somebody else", request(k, "n2", 2), ErrUsed},
	}
	for _, s := range steps {
		got, err := b.Redeem(t.Context(), s.r, nil)
		if !errors.Is(err, s.want) || err == nil && got.As != "n2" {
			t.Errorf("%s: %v, as %q", s.what, err, got.As)
		}
	}
	now.at = now.at.Add(time.Hour)
	if _, err := b.Redeem(t.Context(), request(k, "n2", 1), nil); !errors.Is(err, ErrExpired) {
		t.Errorf("expired: %v", err)
	}
}

// A name that is refused takes nothing; one that is left out is the machine's.
func TestRedeemAsksForTheName(t *testing.T) {
	b, _ := tokens(t)
	k, _, err := b.Create(t.Context(), "admin", "", 0, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	taken := func(_ Info, name string) error {
		if name == "n1" {
			return ErrName
		}
		return nil
	}
	if _, err := b.Redeem(t.Context(), request(k, "n1", 1), taken); !errors.Is(err, ErrName) {
		t.Errorf("a name that is taken: %v", err)
	}
	if _, err := b.Redeem(t.Context(), request(k, "-", 1), taken); !errors.Is(err, ErrName) {
		t.Errorf("no name: %v", err)
	}
	if got, err := b.Redeem(t.Context(), request(k, "", 2), taken); err != nil || got.As != "host" {
		t.Errorf("%q, %v", got.As, err)
	}
}

// Whoever guesses at a token ends it.
func TestGuessing(t *testing.T) {
	b, _ := tokens(t)
	k, _, err := b.Create(t.Context(), "admin", "", 0, [32]byte{})
	if err != nil {
		t.Fatal(err)
	}
	wrong := k
	for i := range maxWrong {
		wrong.Secret = bytes.Repeat([]byte{byte(i)}, 32)
		if _, err := b.Redeem(t.Context(), request(wrong, "n2", 1), nil); !errors.Is(err, ErrUnknown) {
			t.Fatal(err)
		}
	}
	if _, err := b.Redeem(t.Context(), request(k, "n2", 1), nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("still good after %d guesses: %v", maxWrong, err)
	}
}

func TestCreateIsBounded(t *testing.T) {
	b, now := tokens(t)
	for _, life := range []time.Duration{-time.Second, time.Second, MaxLife + time.Second} {
		if _, _, err := b.Create(t.Context(), "admin", "", life, [32]byte{}); err == nil {
			t.Errorf("good for %v", life)
		}
	}
	if _, _, err := b.Create(t.Context(), "admin", "n_2", 0, [32]byte{}); err == nil {
		t.Error("a name that stands in no host name")
	}
	for range maxTokens {
		if _, _, err := b.Create(t.Context(), "admin", "", 0, [32]byte{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := b.Create(t.Context(), "admin", "", 0, [32]byte{}); err == nil {
		t.Error("tokens without end")
	}
	now.at = now.at.Add(DefaultLife + keepExpired)
	if _, _, err := b.Create(t.Context(), "admin", "", 0, [32]byte{}); err != nil {
		t.Errorf("after the others expired: %v", err)
	}
}

// Of many that redeem a token at once one wins, on either engine.
func TestRedeemRaces(t *testing.T) {
	for engine, dsn := range map[string]func(*testing.T) string{
		"sqlite":     func(t *testing.T) string { return filepath.Join(t.TempDir(), "record.db") },
		"postgresql": func(t *testing.T) string { return postgres.Need(t).Database(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			at := dsn(t)
			stores := []*store.Store{openStore(t, at), openStore(t, at)}
			for range 10 {
				k, _, err := NewTokens(stores[0].Documents(Collection), nil).Create(t.Context(), "admin", "", 0, [32]byte{})
				if err != nil {
					t.Fatal(err)
				}
				var won, lost atomic.Int32
				var wg sync.WaitGroup
				for i := range 6 {
					wg.Go(func() {
						b := NewTokens(stores[i%2].Documents(Collection), nil)
						switch _, err := b.Redeem(t.Context(), request(k, fmt.Sprintf("n%d", i), byte(i)), nil); {
						case err == nil:
							won.Add(1)
						case errors.Is(err, ErrUsed):
							lost.Add(1)
						default:
							t.Error(err)
						}
					})
				}
				wg.Wait()
				if won.Load() != 1 || lost.Load() != 5 {
					t.Fatalf("%d won, %d lost", won.Load(), lost.Load())
				}
			}
		})
	}
}

// member is administration of a node, as far as a newcomer meets it.
type member struct {
	url   string
	roots []*x509.Certificate
	asked atomic.Int32 // times a secret was sent
}

func startMember(t *testing.T, names pki.ServiceSpec, show func(*pki.CA) []byte) *member {
	t.Helper()
	s := openStore(t, filepath.Join(t.TempDir(), "record.db"))
	keys, err := pki.OpenDir(filepath.Join(t.TempDir(), "pki"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pki.Open(t.Context(), pki.Config{Custody: keys, Register: s.Certificates(),
		Keys: func(pki.Algorithm) (pki.PrivateKey, error) { return pki.GenerateKey(pki.ECDSAP256) }}) // RSA takes seconds and is no matter here
	if err != nil {
		t.Fatal(err)
	}
	certs, err := ca.Service(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	trust, err := ca.Trust()
	if err != nil {
		t.Fatal(err)
	}
	id, err := pki.NewIdentity("admin", pki.Snapshot{Certificates: certs, Trust: trust}, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &member{roots: ca.Roots()}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(Welcome{Cluster: "lab", Node: "n1", Roots: string(show(ca))})
	})
	mux.HandleFunc("POST "+Path, func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		g, _ := Grant{Cluster: "lab", Node: "n2", ClusterKey: pki.Secret("key"), DSN: pki.Secret("dsn")}.Encode()
		_, _ = w.Write(g)
	})
	l, err := tls.Listen("tcp", "127.0.0.1:0", id.ServerConfig(pki.ServerPolicy{ClientAuth: pki.ClientAuthNone}))
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: mux, ErrorLog: log.New(io.Discard, "", 0)}
	go h.Serve(l) //nolint:errcheck // it ends with the test
	t.Cleanup(func() { h.Close() })
	m.url = "https://" + l.Addr().String()
	return m
}

func ownRoots(ca *pki.CA) []byte { return ca.RootsPEM() }

// The secret goes to nobody but the cluster that made the token.
func TestDialProvesTheMemberFirst(t *testing.T) {
	local := netip.MustParseAddr("127.0.0.1")
	good := startMember(t, pki.ServiceSpec{Name: "admin", Host: "admin.lab.test", IPs: []netip.Addr{local}}, ownRoots)
	other := startMember(t, pki.ServiceSpec{Name: "admin", Host: "admin.lab.test", IPs: []netip.Addr{local}}, ownRoots)
	// One that shows the right roots, which are no secret, and has no certificate of theirs.
	liar := startMember(t, pki.ServiceSpec{Name: "admin", Host: "admin.lab.test", IPs: []netip.Addr{local}}, func(*pki.CA) []byte {
		var b bytes.Buffer
		for _, c := range good.roots {
			b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
		}
		return b.Bytes()
	})
	elsewhere := startMember(t, pki.ServiceSpec{Name: "admin", Host: "admin.lab.test"}, ownRoots)
	k := newToken(Pin(good.roots))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if g, err := Dial(ctx, good.url, k, Request{Node: "n2"}); err != nil || g.Node != "n2" || string(g.DSN) != "dsn" {
		t.Errorf("%+v, %v", g, err)
	}
	for what, m := range map[string]*member{"another cluster": other, "a liar": liar} {
		if _, err := Dial(ctx, m.url, k, Request{Node: "n2"}); !errors.Is(err, ErrPin) || m.asked.Load() != 0 {
			t.Errorf("%s: %v, asked %d times", what, err, m.asked.Load())
		}
	}
	if _, err := Dial(ctx, elsewhere.url, newToken(Pin(elsewhere.roots)), Request{Node: "n2"}); !errors.Is(err, ErrPin) || elsewhere.asked.Load() != 0 {
		t.Errorf("a member under a name it does not have: %v", err)
	}
	for _, bad := range []string{"", "http://127.0.0.1:1", "127.0.0.1:8443", "https://", "https://u:p@h", "https://h/x"} {
		if _, err := Dial(ctx, bad, k, Request{}); err == nil || !strings.Contains(err.Error(), "not where a member answers") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := "https://" + l.Addr().String()
	l.Close()
	if _, err := Dial(ctx, at, k, Request{}); err == nil || !strings.Contains(err.Error(), "asking") {
		t.Errorf("nobody there: %v", err)
	}
}
