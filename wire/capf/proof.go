package capf

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1" // #nosec: the hash of SIGNED_DATA is the protocol's
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrProof is wrapped by the errors of VerifyProof and VerifySUDI.
var ErrProof = errors.New("capf: the proof of possession does not verify")

// SignProof makes both signatures of authentication by an existing certificate: over device name, NUL and the
// certificate's DER. RSA keys sign the bare hash in PKCS #1 v1.5 padding, without DigestInfo.
func SignProof(key crypto.Signer, device string, der []byte) (sha1 []byte, sha2 SignedData, err error) {
	if sha1, err = sign(key, crypto.SHA1, proofData(device, der)); err != nil {
		return nil, SignedData{}, err
	}
	sha512, err := sign(key, crypto.SHA512, proofData(device, der))
	return sha1, SignedData{DigestSHA512, sha512}, err
}

// VerifyProof verifies that the device of the response holds the key of the certificate. Every signature that is there must
// verify, and one of them must be there. It says nothing about the certificate's issuer, name or validity.
func VerifyProof(cert *x509.Certificate, r AuthResponse) error {
	if len(r.SHA1) == 0 && len(r.SHA2.Signature) == 0 {
		return fmt.Errorf("%w: the response has a certificate and no signature", ErrProof)
	}
	data := proofData(r.Device, cert.Raw)
	if len(r.SHA1) > 0 {
		if err := verify(cert.PublicKey, crypto.SHA1, data, r.SHA1); err != nil {
			return fmt.Errorf("%w: SIGNED_DATA: %v", ErrProof, err)
		}
	}
	if len(r.SHA2.Signature) > 0 {
		if err := verify(cert.PublicKey, r.SHA2.Digest.Hash(), data, r.SHA2.Signature); err != nil {
			return fmt.Errorf("%w: SHA2_SIGNED_DATA: %v", ErrProof, err)
		}
	}
	return nil
}

func proofData(device string, der []byte) []byte {
	return append(append(make([]byte, 0, len(device)+1+len(der)), withNUL(device)...), der...)
}

// SignSUDI makes the proof by a secure unique device identity: over the session id, little-endian, and the DER.
func SignSUDI(key crypto.Signer, session uint32, der []byte) (SUDI, error) {
	data := sudiData(session, der)
	sha1, err := sign(key, crypto.SHA1, data)
	if err != nil {
		return SUDI{}, err
	}
	sha512, err := sign(key, crypto.SHA512, data)
	return SUDI{Certificate: der, SHA1: sha1, SHA512: sha512}, err
}

// VerifySUDI verifies the proof for a session. cert is the one the proof names, parsed by the caller.
func VerifySUDI(cert *x509.Certificate, session uint32, s SUDI) error {
	if len(s.SHA1) == 0 && len(s.SHA512) == 0 {
		return fmt.Errorf("%w: SUDI_DATA has no signature", ErrProof)
	}
	if !cert.Equal(&x509.Certificate{Raw: s.Certificate}) {
		return fmt.Errorf("%w: SUDI_DATA is about another certificate", ErrProof)
	}
	data := sudiData(session, cert.Raw)
	for _, one := range []struct {
		hash      crypto.Hash
		signature []byte
	}{{crypto.SHA1, s.SHA1}, {crypto.SHA512, s.SHA512}} {
		if len(one.signature) == 0 {
			continue
		}
		if err := verify(cert.PublicKey, one.hash, data, one.signature); err != nil {
			return fmt.Errorf("%w: SUDI_DATA, %v: %v", ErrProof, one.hash, err)
		}
	}
	return nil
}

func sudiData(session uint32, der []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, session), der...)
}

func sign(key crypto.Signer, hash crypto.Hash, data []byte) ([]byte, error) {
	opts := crypto.SignerOpts(hash)
	if _, ok := key.Public().(*rsa.PublicKey); ok {
		opts = crypto.Hash(0) // the bare hash
	}
	signature, err := key.Sign(rand.Reader, sum(hash, data), opts)
	if err != nil {
		return nil, fmt.Errorf("capf: signing the proof of possession: %w", err)
	}
	return signature, nil
}

// verify checks all of the padding: with a public exponent of 3, a check of the hash alone can be forged.
func verify(key any, hash crypto.Hash, data, signature []byte) error {
	if hash == 0 {
		return errors.New("unknown digest")
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(key, 0, sum(hash, data), signature)
	case *ecdsa.PublicKey:
		if !ecdsa.VerifyASN1(key, sum(hash, data), signature) {
			return errors.New("ECDSA verification failed")
		}
		return nil
	}
	return fmt.Errorf("a key of type %T cannot prove possession here", key)
}

func sum(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

// ErrKey is wrapped by the errors of CheckKey.
var ErrKey = errors.New("capf: the public key is not what was ordered")

// CheckKey parses a PUBLIC_KEY and compares it with the order: the kind, at least the size, exactly the curve. RSA keys must
// have an odd modulus and an odd public exponent of at least 3 (JTAPI clients use 17).
func CheckKey(spki []byte, order KeygenRequest) (crypto.PublicKey, error) {
	parsed, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	switch key := parsed.(type) {
	case *rsa.PublicKey:
		if order.Type != KeyRSA {
			return nil, fmt.Errorf("%w: RSA where %s was ordered", ErrKey, order.Type)
		}
		return key, checkRSA(key, order.Size)
	case *ecdsa.PublicKey:
		if order.Type != KeyEC {
			return nil, fmt.Errorf("%w: EC where %s was ordered", ErrKey, order.Type)
		}
		if want := curveOf(order.Curve); want == nil || key.Curve != want {
			return nil, fmt.Errorf("%w: curve %s where %s was ordered", ErrKey, key.Curve.Params().Name, order.Curve)
		}
		return key, nil
	}
	return nil, fmt.Errorf("%w: a key of type %T", ErrKey, parsed)
}

func checkRSA(key *rsa.PublicKey, size int) error {
	switch {
	case key.N.BitLen() != size:
		return fmt.Errorf("%w: RSA with %d bits where %d were ordered", ErrKey, key.N.BitLen(), size)
	case key.N.Bit(0) == 0:
		return fmt.Errorf("%w: an even RSA modulus", ErrKey)
	case key.E < 3 || key.E%2 == 0:
		return fmt.Errorf("%w: the RSA public exponent is %d", ErrKey, key.E)
	}
	return nil
}

func curveOf(c Curve) elliptic.Curve {
	switch c {
	case CurveP256:
		return elliptic.P256()
	case CurveP384:
		return elliptic.P384()
	case CurveP521:
		return elliptic.P521()
	}
	return nil
}
