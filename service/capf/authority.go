package capf

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
)

// Authority has certificates issued for keys that others hold. CAPF clients send a bare public key, no certification
// request: what vouches for it is the session in which it came. An Authority's certificates are in the register, bound
// to their holder, before it returns them.
type Authority interface {
	// Issue returns a certificate. ErrQueued: an answer will come, ask again with the same key; ErrRejected: the
	// authority said no. Other errors are failures on the way.
	Issue(ctx context.Context, a Ask) (*x509.Certificate, error)
	// Name is what the status calls it: "own", "online", "offline".
	Name() string
}

// Ask is what an authority is asked.
type Ask struct {
	Owner     capfprofile.Owner
	PublicKey crypto.PublicKey
	SPKI      []byte // the same, DER
	Remote    string
}

// Errors of authorities.
var (
	ErrQueued   = errors.New("capf: the request waits for the offline authority")
	ErrRejected = errors.New("capf: the authority refused the request")
)

// cause is how a profile's status tells of an authority's failure.
func cause(err error) capfprofile.Cause {
	if errors.Is(err, ErrRejected) {
		return capfprofile.CauseCARejected
	}
	return capfprofile.CauseCA
}

// Own is the cluster's own CA.
func Own(ca CA) Authority { return own{ca} }

type own struct{ ca CA }

func (own) Name() string { return "own" }

// Issue lays the certificate out as the field's are: digital signature, for RSA keys also key encipherment (old TLS, and
// configuration files encrypted to the device), client authentication and IPsec end system. Server authentication is
// left out: a device's name is an operator's free choice, and could be that of one of our servers.
func (o own) Issue(ctx context.Context, a Ask) (*x509.Certificate, error) {
	issued, err := o.ca.Issue(ctx, pki.Request{Kind: a.Owner.Kind(), Name: a.Owner.CommonName(), PublicKey: a.PublicKey,
		KeyEncipherment: true, IPsec: a.Owner.Device != ""})
	var refused *pki.VerifyError
	switch {
	case errors.As(err, &refused):
		return nil, fmt.Errorf("%w: %w", ErrRejected, err)
	case err != nil:
		return nil, err
	}
	return issued.Credential.Leaf(), nil
}

// issuerEnds is when the issuer's certificate ends, the zero time when the issuer is not one of these.
func issuerEnds(c *x509.Certificate, issuers []*x509.Certificate) time.Time {
	for _, is := range issuers {
		if c.Issuer.String() == is.Subject.String() && c.CheckSignatureFrom(is) == nil {
			return is.NotAfter
		}
	}
	return time.Time{}
}

// smallPrimes finds moduli that nobody made an effort with.
var smallPrimes = [...]int64{3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127,
	131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251}

// soundKey refuses RSA moduli with a small factor; the codec has refused even ones, other sizes and silly exponents.
func soundKey(key crypto.PublicKey) error {
	k, ok := key.(*rsa.PublicKey)
	if !ok {
		return nil
	}
	for _, p := range smallPrimes {
		if divides(k, p) {
			return fmt.Errorf("%w: the RSA modulus is divisible by %d", ErrRejected, p)
		}
	}
	return nil
}
