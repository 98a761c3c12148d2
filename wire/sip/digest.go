package sip

import (
	"crypto/md5" //nolint:gosec // RFC 8760, 2: only where a named exception allows it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"
)

// Algorithm is a digest algorithm. RFC 8760, 2.2; RFC 7616, 3.3. A "-sess" variant is another algorithm.
type Algorithm string

// The digest algorithms, strongest last. The empty Algorithm on the wire means MD5 (RFC 7616, 3.3).
const (
	MD5       Algorithm = "MD5"
	SHA256    Algorithm = "SHA-256"
	SHA512256 Algorithm = "SHA-512-256"
)

const sessSuffix = "-sess"

// parseAlgorithm reads the algorithm parameter; ok is false for one we do not know.
func parseAlgorithm(s string) (a Algorithm, sess, ok bool) {
	name := s
	if n := len(s) - len(sessSuffix); n > 0 && strings.EqualFold(s[n:], sessSuffix) {
		name, sess = s[:n], true
	}
	if name == "" {
		return MD5, false, true
	}
	for _, a := range [...]Algorithm{SHA512256, SHA256, MD5} {
		if strings.EqualFold(name, string(a)) {
			return a, sess, true
		}
	}
	return "", sess, false
}

// strength orders the algorithms; 0 is unknown.
func (a Algorithm) strength() int {
	switch a {
	case MD5:
		return 1
	case SHA256:
		return 2
	case SHA512256:
		return 3
	}
	return 0
}

func (a Algorithm) hash() hash.Hash {
	switch a {
	case SHA512256:
		return sha512.New512_256()
	case SHA256:
		return sha256.New()
	}
	return md5.New()
}

// digest is H of the parts joined by ":", in lower case hex.
func (a Algorithm) digest(parts ...string) string {
	h := a.hash()
	for i, p := range parts {
		if i > 0 {
			h.Write([]byte{':'})
		}
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// HA1 is the part of a digest that stands for user and password; a store may keep it instead of the password.
// RFC 7616, 3.4.2: H(username ":" realm ":" password). It is as secret as the password is for this realm.
func HA1(a Algorithm, user, realm string, password Secret) Secret {
	return NewSecret(a.digest(user, realm, password.Reveal()))
}

// Challenge is one WWW-Authenticate or Proxy-Authenticate value. RFC 7616, 3.3.
type Challenge struct {
	Realm, Nonce, Opaque string
	Algorithm            Algorithm
	Session              bool     // a "-sess" algorithm
	QOP                  []string // "auth", "auth-int"; empty = none, as RFC 2617, 3.2.2.1 still allowed
	Stale                bool     // the nonce was too old, the password right: try again without asking
}

// ParseChallenge reads one value. A scheme other than Digest and an unknown algorithm are errors: go on with the next value.
func ParseChallenge(s string) (Challenge, error) {
	p, err := digestParams("challenge", s)
	if err != nil {
		return Challenge{}, err
	}
	c := Challenge{Realm: p["realm"], Nonce: p["nonce"], Opaque: p["opaque"], Stale: strings.EqualFold(p["stale"], "true")}
	var ok bool
	if c.Algorithm, c.Session, ok = parseAlgorithm(p["algorithm"]); !ok {
		return Challenge{}, digestError("challenge", 0, "unknown digest algorithm")
	}
	for q := range listElements(p["qop"]) {
		if q != "" {
			c.QOP = append(c.QOP, strings.ToLower(q))
		}
	}
	if c.Nonce == "" {
		return Challenge{}, digestError("challenge", 0, "a Digest challenge needs a nonce")
	}
	return c, nil
}

// String is the header field value.
func (c Challenge) String() string {
	b := append([]byte("Digest realm="), Quote(c.Realm)...)
	b = appendQuoted(append(b, ", nonce="...), c.Nonce)
	b = append(b, ", algorithm="...)
	b = append(b, c.Algorithm...)
	if c.Session {
		b = append(b, sessSuffix...)
	}
	if len(c.QOP) > 0 {
		b = appendQuoted(append(b, ", qop="...), strings.Join(c.QOP, ","))
	}
	if c.Opaque != "" {
		b = appendQuoted(append(b, ", opaque="...), c.Opaque)
	}
	if c.Stale {
		b = append(b, ", stale=true"...)
	}
	return string(b)
}

// Authorization is one Authorization or Proxy-Authorization value. RFC 7616, 3.4.
type Authorization struct {
	User, Realm, Nonce, URI, Response, CNonce, Opaque, QOP string
	NC                                                     string // eight hex digits as sent
	Algorithm                                              Algorithm
	Session                                                bool
}

// ParseAuthorization reads one value; a scheme other than Digest is an error.
func ParseAuthorization(s string) (Authorization, error) {
	p, err := digestParams("Authorization", s)
	if err != nil {
		return Authorization{}, err
	}
	a := Authorization{User: p["username"], Realm: p["realm"], Nonce: p["nonce"], URI: p["uri"], Response: p["response"],
		CNonce: p["cnonce"], Opaque: p["opaque"], QOP: strings.ToLower(p["qop"]), NC: p["nc"]}
	var ok bool
	if a.Algorithm, a.Session, ok = parseAlgorithm(p["algorithm"]); !ok {
		return Authorization{}, digestError("Authorization", 0, "unknown digest algorithm")
	}
	for _, must := range [...]string{"username", "realm", "nonce", "uri", "response"} {
		if _, ok := p[must]; !ok {
			return Authorization{}, digestError("Authorization", 0, "Digest credentials need "+must)
		}
	}
	return a, nil
}

// String is the header field value.
func (a Authorization) String() string {
	b := append([]byte("Digest username="), Quote(a.User)...)
	for _, p := range [...]Param{{"realm", a.Realm}, {"nonce", a.Nonce}, {"uri", a.URI}, {"response", a.Response}} {
		b = append(b, ", "+p.Name+"="...)
		b = appendQuoted(b, p.Value)
	}
	b = append(b, ", algorithm="...)
	b = append(b, a.Algorithm...)
	if a.Session {
		b = append(b, sessSuffix...)
	}
	if a.CNonce != "" {
		b = appendQuoted(append(b, ", cnonce="...), a.CNonce)
	}
	if a.QOP != "" {
		b = append(b, ", qop="+a.QOP+", nc="+a.NC...)
	}
	if a.Opaque != "" {
		b = appendQuoted(append(b, ", opaque="...), a.Opaque)
	}
	return string(b)
}

// compute is the response these credentials should carry. RFC 7616, 3.4.1.
func (a Authorization) compute(ha1 Secret, method Method, body []byte) string {
	first := ha1.Reveal()
	if a.Session {
		first = a.Algorithm.digest(first, a.Nonce, a.CNonce)
	}
	second := a.Algorithm.digest(string(method), a.URI)
	switch a.QOP {
	case "":
		return a.Algorithm.digest(first, a.Nonce, second)
	case "auth-int":
		second = a.Algorithm.digest(string(method), a.URI, a.Algorithm.digest(string(body)))
	}
	return a.Algorithm.digest(first, a.Nonce, a.NC, a.CNonce, a.QOP, second)
}

func digestError(header string, at int, what string) error {
	return &ParseError{Offset: at, Header: header, What: what, Status: 400}
}

// maxDigestParams bounds the parameters of one value: the RFCs define a dozen.
const maxDigestParams = 32

// digestParams reads "Digest" LWS name=value *( COMMA name=value ), names in lower case. RFC 7616, 3.4: no name occurs twice.
func digestParams(header, s string) (map[string]string, error) {
	scheme, rest, _ := strings.Cut(strings.TrimLeft(s, " \t"), " ")
	if !strings.EqualFold(scheme, "Digest") {
		return nil, digestError(header, 0, "the authentication scheme is not Digest")
	}
	params := make(map[string]string, 10)
	at := len(s) - len(rest)
	for element := range listElements(rest) {
		v := value{s: element}
		p, ok := v.authParam()
		if !ok {
			return nil, digestError(header, at+v.at, v.what)
		}
		name := strings.ToLower(p.Name)
		if _, twice := params[name]; twice || len(params) == maxDigestParams {
			return nil, digestError(header, at, "a digest parameter occurs twice, or there are too many")
		}
		params[name] = Unquote(p.Value)
		at += len(element) + 1
	}
	return params, nil
}

// authParam is auth-param-name EQUAL ( token / quoted-string ); an empty quoted string is legal.
func (v *value) authParam() (p Param, ok bool) {
	if p.Name = v.span(ctoken); p.Name == "" || !v.literal('=') {
		return p, v.fail("digest parameters are name=value, separated by commas")
	}
	if p.Value = v.parameterValue(); p.Value == "" {
		return p, v.fail("a digest parameter value is a token or a quoted string")
	}
	return p, v.end()
}
