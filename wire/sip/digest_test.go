package sip

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestDigestVectors: RFC 7616, 3.9.1 for MD5 and SHA-256; SHA-512-256 has no vector without userhash there.
func TestDigestVectors(t *testing.T) {
	a := Authorization{User: "Mufasa", Realm: "http-auth@example.org", URI: "/dir/index.html", QOP: "auth", NC: "00000001",
		Nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", CNonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"}
	for alg, want := range map[Algorithm]string{
		MD5:    "8ca523f5e9506fed4657c9700eebdbec",
		SHA256: "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
	} {
		a.Algorithm = alg
		equal(t, string(alg), a.compute(HA1(alg, a.User, a.Realm, NewSecret("Circle of Life")), "GET", nil), want)
	}
}

type digestTest struct {
	t      *testing.T
	now    time.Time
	server *DigestServer
	client *DigestClient
	users  map[string]string
}

func newDigestTest(t *testing.T, c DigestConfig, who Credentials) *digestTest {
	c.Realm = "example.com"
	return &digestTest{t, time.Unix(1_800_000_000, 0), NewDigestServer(c), NewDigestClient(who), map[string]string{"alice": "secret"}}
}

func (d *digestTest) verify(req *Message) AuthResult {
	_, result := d.server.Verify(d.now, mustParse(d.t, req.String()), func(user string, a Algorithm) (Secret, bool) {
		password, ok := d.users[user]
		return HA1(a, user, "example.com", NewSecret(password)), ok
	})
	return result
}

func (d *digestTest) request() *Message { return mustParse(d.t, invite) }

// login goes through the challenge and returns the request with its answer.
func (d *digestTest) login(stale bool) *Message {
	d.t.Helper()
	req := d.request()
	if err := d.client.Challenged(req, mustParse(d.t, d.server.Unauthorized(d.now, req, stale).String())); err != nil {
		d.t.Fatal(err)
	}
	d.client.Authorize(req)
	return req
}

var alice = Credentials{User: "alice", Password: NewSecret("secret")}

func TestDigestRoundTrip(t *testing.T) {
	d := newDigestTest(t, DigestConfig{Algorithms: []Algorithm{SHA256, SHA512256}}, alice)
	equal(t, "without", d.verify(d.request()), AuthNone)
	req := d.login(false)
	if !strings.Contains(req.Header("Authorization"), "algorithm=SHA-512-256") {
		t.Errorf("the strongest algorithm was not chosen: %s", req.Header("Authorization"))
	}
	equal(t, "right", d.verify(req), AuthOK)
	equal(t, "replayed", d.verify(req), AuthReplay)

	next := d.request()
	d.client.Authorize(next)
	equal(t, "next count of the same nonce", d.verify(next), AuthOK)

	changed := d.request()
	d.client.Authorize(changed)
	changed.SetRequestURI(URI{Scheme: "sip", User: "other", Host: "x"})
	equal(t, "another URI", d.verify(changed), AuthMisplaced)

	d.now = d.now.Add(6 * time.Minute)
	late := d.request()
	d.client.Authorize(late)
	equal(t, "old nonce", d.verify(late), AuthStale)
	equal(t, "after stale=true", d.verify(d.login(true)), AuthOK)
}

func TestDigestRefuses(t *testing.T) {
	wrong := newDigestTest(t, DigestConfig{}, Credentials{User: "alice", Password: NewSecret("guess")})
	req := wrong.login(false)
	equal(t, "wrong password", wrong.verify(req), AuthWrong)
	if err := wrong.client.Challenged(req, wrong.server.Unauthorized(wrong.now, req, false)); err == nil {
		t.Error("the client would try the refused password again")
	}
	unknown := newDigestTest(t, DigestConfig{}, Credentials{User: "mallory", Password: NewSecret("secret")})
	equal(t, "unknown user", unknown.verify(unknown.login(false)), AuthWrong)

	d := newDigestTest(t, DigestConfig{}, alice)
	for name, change := range map[string]func(string) string{
		"another server's nonce": func(string) string {
			return newDigestTest(t, DigestConfig{}, alice).login(false).Header("Authorization")
		},
		"method of another request": func(s string) string { return s },
	} {
		req := d.login(false)
		req.Set("Authorization", change(req.Header("Authorization")))
		if name == "method of another request" {
			req = mustParse(t, strings.ReplaceAll(req.String(), "INVITE", "BYE"))
		}
		if got := d.verify(req); got != AuthStale && got != AuthWrong {
			t.Errorf("%s: got %s", name, got)
		}
	}
	for name, test := range map[string]struct {
		old, new string
		want     AuthResult
	}{
		"MD5":               {"algorithm=SHA-256", "algorithm=MD5", AuthWeak},
		"session variant":   {"algorithm=SHA-256", "algorithm=SHA-256-sess", AuthWeak},
		"no qop":            {"qop=auth", "x=auth", AuthWeak},
		"count 0":           {"nc=00000001", "nc=00000000", AuthWrong},
		"twice":             {"qop=auth", "qop=auth, qop=auth", AuthUnreadable},
		"another realm":     {`realm="example.com"`, `realm="example.org"`, AuthNone},
		"another scheme":    {"Digest ", "Basic ", AuthNone},
		"no response":       {"response=", "x=", AuthUnreadable},
		"unknown algorithm": {"algorithm=SHA-256", "algorithm=ROT13", AuthUnreadable},
	} {
		req := d.login(false)
		text := req.Header("Authorization")
		if !strings.Contains(text, test.old) {
			t.Fatalf("%s: nothing to change in %s", name, text)
		}
		req.Set("Authorization", strings.Replace(text, test.old, test.new, 1))
		equal(t, name, d.verify(req), test.want)
	}
}

// TestDigestPolicy: MD5 only where both sides were told so. RFC 8760, 2.3.
func TestDigestPolicy(t *testing.T) {
	strict := newDigestTest(t, DigestConfig{Algorithms: []Algorithm{MD5}}, alice)
	if err := strict.client.Challenged(strict.request(), strict.server.Unauthorized(strict.now, strict.request(), false)); err == nil {
		t.Error("a client without AllowMD5 accepted an MD5 challenge")
	}
	lax := alice
	lax.AllowMD5 = true
	old := newDigestTest(t, DigestConfig{Algorithms: []Algorithm{MD5}}, lax)
	equal(t, "MD5 by exception", old.verify(old.login(false)), AuthOK)
	both := newDigestTest(t, DigestConfig{Algorithms: []Algorithm{MD5, SHA256}}, lax)
	req := both.login(false)
	if !strings.Contains(req.Header("Authorization"), "SHA-256") {
		t.Error("MD5 was preferred to SHA-256")
	}
}

// TestNonceMemory: what is forgotten is refused, so nothing can be replayed by filling the memory.
func TestNonceMemory(t *testing.T) {
	d := newDigestTest(t, DigestConfig{Nonces: 4}, alice)
	first := d.login(false)
	equal(t, "first", d.verify(first), AuthOK)
	for range 8 {
		d.now = d.now.Add(time.Second)
		equal(t, "another", d.verify(d.login(false)), AuthOK)
	}
	if len(d.server.used) > 4 || len(d.server.order) > 4 {
		t.Errorf("%d nonces remembered, want at most 4", len(d.server.used))
	}
	equal(t, "replay after its use was forgotten", d.verify(first), AuthStale)
}

func TestNonceCounts(t *testing.T) {
	var u nonceUse
	for _, step := range []struct {
		n  uint32
		ok bool
	}{{1, true}, {1, false}, {3, true}, {2, true}, {2, false}, {100, true}, {36, false}, {37, true}, {37, false}, {1000, true}, {100, false}, {999, true}} {
		if got := u.take(step.n); got != step.ok {
			t.Errorf("count %d: got %v, want %v", step.n, got, step.ok)
		}
	}
}

func TestSharedKey(t *testing.T) {
	c := DigestConfig{Key: NewSecret("cluster key")}
	d, other := newDigestTest(t, c, alice), newDigestTest(t, c, alice)
	req := d.login(false)
	d.server = other.server
	equal(t, "nonce of another server with the same key", d.verify(req), AuthOK)
}

func TestSecretsPrintNothing(t *testing.T) {
	s := NewSecret("hunter2")
	c := Credentials{User: "a", Password: s}
	j, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "all", c)
	out := fmt.Sprintf("%v %+v %#v %s %q %x %v %+v %#v", s, s, s, s, s, s, c, c, c) + string(j) + log.String() +
		fmt.Sprintf("%v %#v", DigestConfig{Key: s}, DigestConfig{Key: s})
	if strings.Contains(out, "hunter2") || strings.Contains(out, "68756e746572") {
		t.Errorf("the secret was printed: %s", out)
	}
	equal(t, "revealed", s.Reveal(), "hunter2")
}

// TestDigestHashes: credentials kept as hashes are good for their realm and its algorithms alone.
func TestDigestHashes(t *testing.T) {
	who := Credentials{User: "alice", Realm: "example.com", AllowMD5: true, Hashes: map[Algorithm]Secret{
		SHA256: HA1(SHA256, "alice", "example.com", NewSecret("secret")), MD5: HA1(MD5, "alice", "example.com", NewSecret("secret"))}}
	for _, algorithms := range [][]Algorithm{{SHA256}, {MD5}, {MD5, SHA512256, SHA256}} {
		d := newDigestTest(t, DigestConfig{Algorithms: algorithms}, who)
		req := d.login(false)
		equal(t, "by hash", d.verify(req), AuthOK)
		if len(algorithms) > 1 && !strings.Contains(req.Header("Authorization"), "SHA-256") {
			t.Errorf("the strongest algorithm with a hash was not taken: %s", req.Header("Authorization"))
		}
	}
	for name, change := range map[string]func(*Credentials){
		"another realm": func(c *Credentials) { c.Realm = "example.org" }, "no realm": func(c *Credentials) { c.Realm = "" },
		"no hash": func(c *Credentials) { c.Hashes = map[Algorithm]Secret{MD5: c.Hashes[MD5]} },
	} {
		other := who
		change(&other)
		d := newDigestTest(t, DigestConfig{}, other)
		if err := d.client.Challenged(d.request(), d.server.Unauthorized(d.now, d.request(), false)); err == nil {
			t.Errorf("%s: the challenge was taken", name)
		}
	}
}
