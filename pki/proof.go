package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
)

// A Proof shows, outside a handshake, that whoever made it has the private key of a certificate.
type Proof struct {
	Chain     [][]byte `json:"chain"` // DER, leaf first
	Signature []byte   `json:"signature"`
}

// proofDigest is what is signed. RFC 8446, 4.4.3: 64 blanks and a text that says what for keep a signature from being used for anything
// else, a handshake included.
func proofDigest(purpose string, message []byte) []byte {
	h := sha256.New()
	h.Write([]byte(strings.Repeat(" ", 64) + "locktone " + purpose + "\x00"))
	h.Write(message)
	return h.Sum(nil)
}

// Prove signs a message with the key of the identity's client certificate. purpose says what for; the message must have something in it
// that the verifier has just made up.
func (id *Identity) Prove(purpose string, message []byte) (Proof, error) {
	all := id.Snapshot().Certificates.Client
	if len(all) == 0 {
		return Proof{}, fmt.Errorf("pki: identity %s has no client certificate", id.name)
	}
	c := all[0]
	var opts crypto.SignerOpts = crypto.SHA256
	if _, isRSA := c.Key.Public().(*rsa.PublicKey); isRSA {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := c.Key.Sign(rand.Reader, proofDigest(purpose, message), opts)
	if err != nil {
		return Proof{}, fmt.Errorf("pki: identity %s: %w", id.name, err)
	}
	p := Proof{Signature: signature}
	for _, x := range c.Chain {
		p.Chain = append(p.Chain, x.Raw)
	}
	return p, nil
}

// Check verifies a proof by the identity's trust as a handshake with a client would: the chain, its kind, revocation. Report.Entry says
// whose it is.
func (id *Identity) Check(p Proof, policy PeerPolicy, purpose string, message []byte) (*Report, error) {
	if len(p.Chain) == 0 || len(p.Chain) > MaxChain {
		return nil, errors.New("pki: a proof without a certificate chain, or with too long a one")
	}
	var chain []*x509.Certificate
	for _, der := range p.Chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("pki: a proof with a certificate that cannot be read: %w", err)
		}
		chain = append(chain, c)
	}
	r := id.Snapshot().Trust.Verify(chain, PeerIsClient, policy, id.now())
	if err := r.Err(); err != nil {
		return r, err
	}
	digest := proofDigest(purpose, message)
	switch key := chain[0].PublicKey.(type) {
	case *ecdsa.PublicKey:
		if ecdsa.VerifyASN1(key, digest, p.Signature) {
			return r, nil
		}
	case *rsa.PublicKey:
		if rsa.VerifyPSS(key, crypto.SHA256, digest, p.Signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}) == nil {
			return r, nil
		}
	}
	return r, fmt.Errorf("pki: the signature of %s does not verify", subject(chain[0]))
}
