package callmanager

import (
	"fmt"
	"sync"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/sip"
)

// nonces are the digest servers in use: one for each realm, choice of algorithms and lifetime. Guarded by its lock.
type nonces struct {
	mu      sync.Mutex
	servers map[nonceKey]*sip.DigestServer
}

type nonceKey struct {
	realm    string
	md5      bool
	lifetime time.Duration
}

func (n *nonces) server(k nonceKey) *sip.DigestServer {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.servers[k]; s != nil {
		return s
	}
	algorithms := []sip.Algorithm{sip.SHA256}
	if k.md5 {
		algorithms = append(algorithms, sip.MD5)
	}
	if n.servers == nil {
		n.servers = map[nonceKey]*sip.DigestServer{}
	}
	s := sip.NewDigestServer(sip.DigestConfig{Realm: k.realm, Algorithms: algorithms, Lifetime: k.lifetime})
	n.servers[k] = s
	return s
}

// credentials checks a request's digest credentials. RFC 8760, 2.4: the strongest algorithm is offered first; MD5 only
// where a profile makes the exception.
func (s *Service) credentials(m *sip.Message, user string, md5 bool, lifetime time.Duration) *refusal {
	st := s.site.Load()
	u, known := st.User(user)
	server := s.nonces.server(nonceKey{st.Cluster().Domain, md5, lifetime})
	_, result := server.Verify(s.now(), m, func(who string, a sip.Algorithm) (sip.Secret, bool) {
		if who != user || !known || u.Disabled {
			return sip.Secret{}, false
		}
		return ha1(u.User, a)
	})
	switch result {
	case sip.AuthOK:
		return nil
	case sip.AuthUnreadable:
		return &refusal{status: 400, why: "the Authorization header field cannot be read"}
	case sip.AuthMisplaced:
		return &refusal{status: 400, why: "the credentials are for another Request-URI"}
	case sip.AuthWrong, sip.AuthWeak:
		return forbidden(fmt.Sprintf("digest credentials of user %s: %s", user, result))
	}
	refused := &refusal{status: 401}
	for _, v := range server.Challenge(s.now(), result != sip.AuthNone) {
		refused.header = append(refused.header, sip.Field{Name: "WWW-Authenticate", Value: v})
	}
	return refused
}

// digest asks for the credentials of the device's digest user where its profile wants them besides the certificate.
func (s *Service) digest(m *sip.Message, d *directory.Device) *refusal {
	if !d.Security.DigestAuthentication {
		return nil
	}
	if d.DigestUser == nil {
		return forbidden(fmt.Sprintf("phone security profile %s asks device %s for digest credentials, and the device has no digest user", orDefault(d.PhoneSecurityProfile), d.Name))
	}
	return s.credentials(m, d.DigestUser.Name, d.Security.DigestMD5, d.Security.NonceValidity.D())
}

// trunkDigest asks a trunk's peer for the credentials of its profile's user.
func (s *Service) trunkDigest(m *sip.Message, t *directory.Trunk) *refusal {
	if !t.Security.DigestAuthentication {
		return nil
	}
	return s.credentials(m, t.Security.DigestUser, t.Security.DigestMD5, t.Security.NonceValidity.D())
}

// ha1 is the stored hash of a user's digest password.
func ha1(u config.User, a sip.Algorithm) (sip.Secret, bool) {
	_, _, sha, md := u.DigestCredential.HA1()
	switch {
	case a == sip.SHA256 && sha != "":
		return sip.NewSecret(sha), true
	case a == sip.MD5 && md != "":
		return sip.NewSecret(md), true
	}
	return sip.Secret{}, false
}
