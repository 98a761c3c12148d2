package sip

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
)

// Credentials are what a client knows.
type Credentials struct {
	User     string
	Password Secret
	AllowMD5 bool // named exception: answer a server that offers nothing better than MD5
	// Realm binds the credentials: challenges of another realm are not answered. Empty = any realm, which needs Password.
	Realm string
	// Hashes are what HA1 made of the password for User and Realm, by algorithm, in the place of Password; only these algorithms are answered.
	Hashes map[Algorithm]Secret
}

// may says whether a challenge is one these credentials are for.
func (c *Credentials) may(ch Challenge) bool {
	_, known := c.Hashes[ch.Algorithm]
	return (ch.Algorithm != MD5 || c.AllowMD5) && (c.Realm == "" || c.Realm == ch.Realm) && (c.Hashes == nil || known && c.Realm != "")
}

func (c *Credentials) ha1(ch Challenge) Secret {
	if c.Hashes != nil {
		return c.Hashes[ch.Algorithm]
	}
	return HA1(ch.Algorithm, c.User, ch.Realm, c.Password)
}

// DigestClient answers the challenges of one peer and keeps its nonces, so that later requests need no round trip.
// It is owned by one goroutine.
type DigestClient struct {
	credentials Credentials
	known       []answered
}

// answered is the best challenge of one realm and how often its nonce was used.
type answered struct {
	header    string // the request field that carries the answer
	challenge Challenge
	count     uint32
}

// maxRealms bounds what one peer can make us remember.
const maxRealms = 8

// NewDigestClient makes a client for these credentials.
func NewDigestClient(c Credentials) *DigestClient { return &DigestClient{credentials: c} }

// Challenged takes the challenges of a 401 or 407 to req: of each realm the strongest we may answer (RFC 8760, 2.4). An error
// says why trying again is no use: nothing we may answer, or the credentials were refused (RFC 3261, 22.2). Otherwise
// Authorize the request and send it again.
func (d *DigestClient) Challenged(req, res *Message) error {
	asked, header := "WWW-Authenticate", "Authorization"
	if res.Status() == 407 {
		asked, header = "Proxy-Authenticate", "Proxy-Authorization"
	}
	var best []Challenge
	for _, c := range challenges(res.Headers(asked)) {
		if !d.credentials.may(c) {
			continue
		}
		i := slices.IndexFunc(best, func(b Challenge) bool { return b.Realm == c.Realm })
		switch {
		case i < 0 && len(best) < maxRealms:
			best = append(best, c)
		case i >= 0 && c.Algorithm.strength() > best[i].Algorithm.strength():
			best[i] = c
		}
	}
	if len(best) == 0 {
		return fmt.Errorf("sip: %d from the peer carries no %s these credentials are for (another realm, or an algorithm that is not allowed; MD5 needs AllowMD5)", res.Status(), asked)
	}
	for _, c := range best {
		if !c.Stale && usedFresh(req, header, c.Realm) {
			return fmt.Errorf("sip: realm %q refused user %q: wrong user name or password", c.Realm, d.credentials.User)
		}
		d.learn(header, c)
	}
	return nil
}

// challenges reads every Digest challenge that can be answered. RFC 3261, 7.3.1: one a field, never a comma list.
func challenges(values []string) []Challenge {
	var all []Challenge
	for _, text := range values {
		if c, err := ParseChallenge(text); err == nil && answerable(c) {
			all = append(all, c)
		}
	}
	return all
}

func answerable(c Challenge) bool {
	return len(c.QOP) == 0 || slices.Contains(c.QOP, "auth") || slices.Contains(c.QOP, "auth-int")
}

// usedFresh says whether req carried an answer with a nonce used for the first time. A nonce refused at its first use was not
// too old, so the password is wrong; one used before may have expired on a server that does not say stale.
func usedFresh(req *Message, header, realm string) bool {
	for _, text := range req.Headers(header) {
		a, err := ParseAuthorization(text)
		if err == nil && a.Realm == realm && (a.NC == "00000001" || a.QOP == "") {
			return true
		}
	}
	return false
}

func (d *DigestClient) learn(header string, c Challenge) {
	i := slices.IndexFunc(d.known, func(k answered) bool { return k.header == header && k.challenge.Realm == c.Realm })
	if i >= 0 {
		d.known[i] = answered{header: header, challenge: c}
	} else if len(d.known) < maxRealms {
		d.known = append(d.known, answered{header: header, challenge: c})
	}
}

// Authorize puts the answers into req, replacing older ones. Without a challenge it does nothing.
func (d *DigestClient) Authorize(req *Message) {
	req.Del("Authorization")
	req.Del("Proxy-Authorization")
	for i := range d.known {
		k := &d.known[i]
		k.count++
		req.Add(k.header, d.answer(k, req).String())
	}
}

func (d *DigestClient) answer(k *answered, req *Message) Authorization {
	c := k.challenge
	a := Authorization{User: d.credentials.User, Realm: c.Realm, Nonce: c.Nonce, URI: req.uri.String(), Opaque: c.Opaque,
		Algorithm: c.Algorithm, Session: c.Session}
	switch {
	case slices.Contains(c.QOP, "auth"):
		a.QOP = "auth"
	case slices.Contains(c.QOP, "auth-int"):
		a.QOP = "auth-int"
	}
	if a.QOP != "" || a.Session {
		var random [16]byte
		_, _ = rand.Read(random[:])
		a.CNonce, a.NC = hex.EncodeToString(random[:]), fmt.Sprintf("%08x", k.count)
	}
	a.Response = a.compute(d.credentials.ha1(c), req.method, req.body)
	return a
}
