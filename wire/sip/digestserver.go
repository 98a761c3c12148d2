package sip

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DigestConfig sets up the server side of digest authentication. The zero value (with a Realm) is a good value.
type DigestConfig struct {
	Realm      string
	Algorithms []Algorithm   // offered, most wanted first (RFC 8760, 2.4); empty = SHA-256. MD5 here is a named exception
	Lifetime   time.Duration // how long a nonce may be used; 0 = 5 minutes
	Nonces     int           // nonces whose use is remembered; 0 = 16,384. Beyond it the oldest become stale
	Key        Secret        // signs nonces; servers that share it accept each other's. Empty = a random one
}

// DigestServer challenges and verifies. RFC 7616, 5.4: nonces are stateless (time, serial number and a MAC over them); what is
// remembered is which nonce counts were used, so that nothing captured can be used again. It is safe for concurrent use.
type DigestServer struct {
	config DigestConfig

	mu     sync.Mutex
	serial uint64
	used   map[uint64]*nonceUse
	order  []uint64  // serials in order of first use
	begun  time.Time // by this clock nonces are dated: see clock
	floor  int64     // nonces issued at or before this Unix time in nanoseconds are stale: their use was forgotten
}

// nonceUse remembers the nonce counts seen: the highest, and a bit for each of the 64 up to it.
type nonceUse struct {
	issued  int64
	highest uint32
	window  uint64
}

const nonceBytes = 8 + 8 + 16

// NewDigestServer makes the server side of one realm.
func NewDigestServer(c DigestConfig) *DigestServer {
	if len(c.Algorithms) == 0 {
		c.Algorithms = []Algorithm{SHA256}
	}
	if c.Lifetime <= 0 {
		c.Lifetime = 5 * time.Minute
	}
	if c.Nonces <= 0 {
		c.Nonces = 16384
	}
	var seed [40]byte
	_, _ = rand.Read(seed[:]) // never fails: crypto/rand ends the program instead
	if c.Key.IsZero() {
		c.Key = NewSecret(string(seed[8:]))
	}
	return &DigestServer{config: c, serial: binary.BigEndian.Uint64(seed[:8]), used: map[uint64]*nonceUse{}}
}

// Challenge are the values of WWW-Authenticate (or Proxy-Authenticate), one header field each, most wanted algorithm first.
func (s *DigestServer) Challenge(now time.Time, stale bool) []string {
	nonce := s.nonce(now)
	values := make([]string, 0, len(s.config.Algorithms))
	for _, a := range s.config.Algorithms {
		c := Challenge{Realm: s.config.Realm, Nonce: nonce, Algorithm: a, QOP: []string{"auth"}, Stale: stale}
		values = append(values, c.String())
	}
	return values
}

// Unauthorized is the 401 to req.
func (s *DigestServer) Unauthorized(now time.Time, req *Message, stale bool) *Message {
	res := NewResponse(req, 401, "")
	for _, v := range s.Challenge(now, stale) {
		res.Add("WWW-Authenticate", v)
	}
	return res
}

func (s *DigestServer) nonce(now time.Time) string {
	s.mu.Lock()
	s.serial++
	serial, issued := s.serial, s.clock(now)
	s.mu.Unlock()
	raw := make([]byte, 0, nonceBytes)
	raw = binary.BigEndian.AppendUint64(raw, uint64(issued))
	raw = binary.BigEndian.AppendUint64(raw, serial)
	return base64.RawURLEncoding.EncodeToString(append(raw, s.mac(raw)...))
}

// clock is the time in nanoseconds as nonces carry it: that of the wall when the server was asked first, and the monotonic one from there.
// When the machine's clock is set, no nonce ages by it, and none was issued in the future. The lock is held.
func (s *DigestServer) clock(now time.Time) int64 {
	if s.begun.IsZero() {
		s.begun = now
	}
	return s.begun.UnixNano() + int64(now.Sub(s.begun))
}

func (s *DigestServer) mac(raw []byte) []byte {
	h := hmac.New(sha256.New, []byte(s.config.Key.Reveal()))
	h.Write(raw)
	h.Write([]byte(s.config.Realm))
	return h.Sum(nil)[:16]
}

// openNonce checks the MAC and returns what the nonce says.
func (s *DigestServer) openNonce(nonce string) (issued int64, serial uint64, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(nonce)
	if err != nil || len(raw) != nonceBytes || !hmac.Equal(raw[16:], s.mac(raw[:16])) {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(raw)), binary.BigEndian.Uint64(raw[8:]), true
}

// AuthResult is what became of the credentials of a request. The zero value is "none": challenge.
type AuthResult uint8

// The results of DigestServer.Verify.
const (
	AuthNone       AuthResult = iota // no credentials for this realm: challenge
	AuthOK                           // right
	AuthStale                        // right password, nonce too old or forgotten: challenge with stale=true
	AuthReplay                       // the nonce count was used before: challenge with stale=true, and log it
	AuthWrong                        // wrong password, or a user nobody knows
	AuthWeak                         // an algorithm or qop this server does not offer
	AuthMisplaced                    // the digest URI is not the Request-URI: credentials of another request
	AuthUnreadable                   // credentials that do not parse: 400
)

// String is the result as logs show it.
func (r AuthResult) String() string {
	names := [...]string{"no credentials", "ok", "stale nonce", "replayed", "wrong user or password", "algorithm not allowed",
		"credentials for another URI", "unreadable credentials"}
	if int(r) < len(names) {
		return names[r]
	}
	return "AuthResult " + strconv.Itoa(int(r))
}

// Verify checks the Authorization of req for this realm. lookup gives HA1 for the user and algorithm (HA1 makes it from a
// password). The user is returned with every result that names one, for logs; it is authentic with AuthOK only.
func (s *DigestServer) Verify(now time.Time, req *Message, lookup func(user string, a Algorithm) (Secret, bool)) (string, AuthResult) {
	result, user := AuthNone, ""
	for _, text := range req.Headers("Authorization") {
		if scheme, _, _ := strings.Cut(text, " "); !strings.EqualFold(scheme, "Digest") {
			continue // RFC 4475, 3.3.7: a scheme nobody knows is as good as none
		}
		a, err := ParseAuthorization(text)
		if err != nil {
			result = AuthUnreadable
			continue
		}
		if a.Realm != s.config.Realm {
			continue
		}
		user = a.User
		if result = s.verify(now, req, a, lookup); result == AuthOK {
			return user, result
		}
	}
	return user, result
}

func (s *DigestServer) verify(now time.Time, req *Message, a Authorization, lookup func(string, Algorithm) (Secret, bool)) AuthResult {
	if !slices.Contains(s.config.Algorithms, a.Algorithm) || a.Session || a.QOP != "auth" {
		return AuthWeak
	}
	issued, serial, ok := s.openNonce(a.Nonce)
	if !ok {
		return AuthStale // another server's, or one from before a restart
	}
	if !sameURI(a.URI, req.uri) { // RFC 7616, 3.4.6
		return AuthMisplaced
	}
	ha1, known := lookup(a.User, a.Algorithm)
	if !known {
		ha1 = NewSecret(a.Nonce) // compute all the same, so that time does not tell who exists
	}
	want := a.compute(ha1, req.method, nil)
	if subtle.ConstantTimeCompare([]byte(want), []byte(strings.ToLower(a.Response))) != 1 || !known {
		return AuthWrong
	}
	return s.use(now, issued, serial, a.NC)
}

func sameURI(text string, u URI) bool {
	d, err := ParseURI(text)
	return err == nil && d.Equal(u)
}

// use takes one nonce count, which may be taken once. RFC 7616, 3.4.
func (s *DigestServer) use(now time.Time, issued int64, serial uint64, nc string) AuthResult {
	n, err := strconv.ParseUint(nc, 16, 32)
	if err != nil || len(nc) != 8 || n == 0 {
		return AuthUnreadable
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	age := time.Duration(s.clock(now) - issued)
	if age < 0 || age > s.config.Lifetime || issued <= s.floor {
		return AuthStale
	}
	u := s.used[serial]
	if u == nil {
		s.forget()
		u = &nonceUse{issued: issued}
		s.used[serial] = u
		s.order = append(s.order, serial)
	}
	if !u.take(uint32(n)) {
		return AuthReplay
	}
	return AuthOK
}

// forget makes room: what is not remembered any more must not be accepted any more.
func (s *DigestServer) forget() {
	for len(s.used) >= s.config.Nonces {
		oldest := s.order[0]
		s.order = s.order[1:]
		s.floor = max(s.floor, s.used[oldest].issued)
		delete(s.used, oldest)
	}
}

func (u *nonceUse) take(n uint32) bool {
	switch {
	case n > u.highest:
		if shift := n - u.highest; shift < 64 {
			u.window <<= shift
		} else {
			u.window = 0
		}
		u.highest = n
	case u.highest-n >= 64:
		return false
	}
	bit := uint64(1) << (u.highest - n)
	if u.window&bit != 0 {
		return false
	}
	u.window |= bit
	return true
}
