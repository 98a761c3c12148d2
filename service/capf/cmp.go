package capf

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// The certificate management protocol, as much of it as a registration authority needs: one request, one answer, one
// confirmation. RFC 4210, 5: messages; RFC 4211, 3: the request's form.
//
//	cr (key, subject, "the RA verified") --> cp (certificate)   --> certConf --> pkiConf
//
// Messages are protected by the signature of the registration authority's key and by that of the authority.

// The tags of PKIBody. RFC 4210, 5.1.2.
const (
	bodyCR       = 2
	bodyCP       = 3
	bodyPKIConf  = 19
	bodyError    = 23
	bodyCertConf = 24
)

var (
	oidRSASHA256     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	oidECDSASHA256   = asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}
	oidImplicitConf  = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 4, 13}
	nonceLength      = 16
	errNotProtected  = errors.New("capf: the authority's answer is not signed")
	errWrongExchange = errors.New("capf: the authority's answer is to another question")
)

// pkiMessage is RFC 4210, 5.1.
type pkiMessage struct {
	Header     asn1.RawValue
	Body       asn1.RawValue
	Protection asn1.BitString  `asn1:"optional,explicit,tag:0"`
	ExtraCerts []asn1.RawValue `asn1:"optional,explicit,tag:1"`
}

// pkiHeader is RFC 4210, 5.1.1.
type pkiHeader struct {
	Version       int
	Sender        asn1.RawValue
	Recipient     asn1.RawValue
	Time          time.Time       `asn1:"optional,explicit,tag:0,generalized"`
	ProtectionAlg algorithm       `asn1:"optional,explicit,tag:1"`
	SenderKID     []byte          `asn1:"optional,explicit,tag:2"`
	RecipKID      []byte          `asn1:"optional,explicit,tag:3"`
	Transaction   []byte          `asn1:"optional,explicit,tag:4"`
	SenderNonce   []byte          `asn1:"optional,explicit,tag:5"`
	RecipNonce    []byte          `asn1:"optional,explicit,tag:6"`
	FreeText      []asn1.RawValue `asn1:"optional,explicit,tag:7"`
	GeneralInfo   []infoType      `asn1:"optional,explicit,tag:8"`
}

type infoType struct {
	ID    asn1.ObjectIdentifier
	Value asn1.RawValue `asn1:"optional"`
}

type algorithm struct {
	ID         asn1.ObjectIdentifier
	Parameters asn1.RawValue `asn1:"optional"`
}

// protectedPart is what the signature is over. RFC 4210, 5.1.3.
type protectedPart struct{ Header, Body asn1.RawValue }

// certRepMessage is RFC 4210, 5.3.4.
type certRepMessage struct {
	CAPubs   []asn1.RawValue `asn1:"optional,explicit,tag:1"`
	Response []certResponse
}

type certResponse struct {
	ID     int
	Status statusInfo
	Pair   certifiedKeyPair `asn1:"optional"`
	Info   []byte           `asn1:"optional"`
}

type certifiedKeyPair struct{ Certificate asn1.RawValue }

// statusInfo is RFC 4210, 5.2.3.
type statusInfo struct {
	Status int
	Text   []asn1.RawValue `asn1:"optional"`
	Fail   asn1.BitString  `asn1:"optional"`
}

func (s statusInfo) String() string {
	text := fmt.Sprintf("status %d", s.Status)
	for _, t := range s.Text {
		text += ": " + fmt.Sprintf("%.200q", string(t.Bytes))
	}
	return text
}

// transaction is one exchange with an authority.
type transaction struct {
	id, nonce, peerNonce []byte
	signer               *x509.Certificate // of the registration authority
	key                  crypto.Signer
	recipient            []byte // its name, DER
	trust                *x509.CertPool
}

func newTransaction(signer *x509.Certificate, key crypto.Signer, recipient []byte, trust *x509.CertPool) *transaction {
	t := &transaction{id: make([]byte, nonceLength), signer: signer, key: key, recipient: recipient, trust: trust}
	_, _ = rand.Read(t.id) // never fails, crypto/rand says
	return t
}

// explicit wraps DER in a context tag.
func explicit(tag int, der []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: der}
}

// message makes a protected message with a body of the kind.
func (t *transaction) message(kind int, content []byte, now time.Time) ([]byte, error) {
	t.nonce = make([]byte, nonceLength)
	_, _ = rand.Read(t.nonce)
	alg, params := oidECDSASHA256, asn1.RawValue{}
	if _, ok := t.signer.PublicKey.(*rsa.PublicKey); ok {
		alg, params = oidRSASHA256, asn1.NullRawValue
	}
	header, err := asn1.Marshal(pkiHeader{Version: 2, Sender: explicit(4, t.signer.RawSubject), Recipient: explicit(4, t.recipient), Time: now.UTC().Truncate(time.Second),
		ProtectionAlg: algorithm{alg, params}, SenderKID: t.signer.SubjectKeyId, Transaction: t.id, SenderNonce: t.nonce, RecipNonce: t.peerNonce,
		GeneralInfo: []infoType{{oidImplicitConf, asn1.NullRawValue}}})
	if err != nil {
		return nil, err
	}
	body, err := asn1.Marshal(explicit(kind, content))
	if err != nil {
		return nil, err
	}
	signed, err := asn1.Marshal(protectedPart{asn1.RawValue{FullBytes: header}, asn1.RawValue{FullBytes: body}})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(signed)
	signature, err := t.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(pkiMessage{Header: asn1.RawValue{FullBytes: header}, Body: asn1.RawValue{FullBytes: body},
		Protection: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}, ExtraCerts: []asn1.RawValue{{FullBytes: t.signer.Raw}}})
}

// certRequest is the content of cr: one request for the key and the subject, with proof of possession "raVerified": the
// session in which the key came is what we know. RFC 4211, 4: raVerified; RFC 4211, 5: CertTemplate.
func certRequest(subject, spki []byte) ([]byte, error) {
	name, err := asn1.Marshal(explicit(5, subject))
	if err != nil {
		return nil, err
	}
	var key asn1.RawValue
	if _, err := asn1.Unmarshal(spki, &key); err != nil {
		return nil, err
	}
	public, err := asn1.Marshal(explicit(6, key.Bytes)) // implicit: the tag stands in for SEQUENCE
	if err != nil {
		return nil, err
	}
	template, err := asn1.Marshal(asn1.RawValue{Tag: asn1.TagSequence, IsCompound: true, Bytes: append(name, public...)})
	if err != nil {
		return nil, err
	}
	type request struct {
		ID       int
		Template asn1.RawValue
	}
	type msg struct {
		Request request
		Proof   asn1.RawValue
	}
	return asn1.Marshal([]msg{{request{0, asn1.RawValue{FullBytes: template}}, asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0}}})
}

// certConfirm is the content of certConf. RFC 4210, 5.3.18: the digest is of the certificate's signature algorithm.
func certConfirm(c *x509.Certificate) ([]byte, error) {
	h := crypto.SHA256
	switch c.SignatureAlgorithm {
	case x509.SHA384WithRSA, x509.ECDSAWithSHA384, x509.SHA384WithRSAPSS:
		h = crypto.SHA384
	case x509.SHA512WithRSA, x509.ECDSAWithSHA512, x509.SHA512WithRSAPSS, x509.PureEd25519:
		h = crypto.SHA512
	}
	d := h.New()
	d.Write(c.Raw)
	type status struct {
		Hash []byte
		ID   int
	}
	return asn1.Marshal([]status{{d.Sum(nil), 0}})
}

// answer is what an authority said, verified.
type answer struct {
	kind     int
	content  []byte
	implicit bool // no confirmation is wanted
	extra    []*x509.Certificate
}

// open parses and verifies an answer: its signature, by a certificate under an authority we trust, and that it is to what
// we asked.
func (t *transaction) open(der []byte, now time.Time) (answer, error) {
	var m pkiMessage
	if rest, err := asn1.Unmarshal(der, &m); err != nil || len(rest) > 0 {
		return answer{}, fmt.Errorf("capf: the authority's answer is no PKIMessage: %w", errors.Join(err, trailing(rest)))
	}
	var h pkiHeader
	if _, err := asn1.Unmarshal(m.Header.FullBytes, &h); err != nil {
		return answer{}, fmt.Errorf("capf: the header of the authority's answer: %w", err)
	}
	out := answer{kind: m.Body.Tag, content: m.Body.Bytes}
	for _, i := range h.GeneralInfo {
		out.implicit = out.implicit || i.ID.Equal(oidImplicitConf)
	}
	for _, raw := range m.ExtraCerts {
		if c, err := x509.ParseCertificate(raw.FullBytes); err == nil {
			out.extra = append(out.extra, c)
		}
	}
	if err := t.verify(m, h, out.extra, now); err != nil {
		return answer{}, err
	}
	if !bytes.Equal(h.Transaction, t.id) || !bytes.Equal(h.RecipNonce, t.nonce) {
		return answer{}, errWrongExchange
	}
	t.peerNonce = h.SenderNonce
	return out, nil
}

func trailing(rest []byte) error {
	if len(rest) == 0 {
		return nil
	}
	return fmt.Errorf("%d octets follow it", len(rest))
}

// verify checks the protection. RFC 4210, 5.1.3.3.
func (t *transaction) verify(m pkiMessage, h pkiHeader, extra []*x509.Certificate, now time.Time) error {
	alg := x509.UnknownSignatureAlgorithm
	switch {
	case h.ProtectionAlg.ID.Equal(oidRSASHA256):
		alg = x509.SHA256WithRSA
	case h.ProtectionAlg.ID.Equal(oidECDSASHA256):
		alg = x509.ECDSAWithSHA256
	}
	if alg == x509.UnknownSignatureAlgorithm || len(m.Protection.Bytes) == 0 || len(extra) == 0 {
		return fmt.Errorf("%w with SHA-256 by a certificate that came with it (algorithm %v)", errNotProtected, h.ProtectionAlg.ID)
	}
	signed, err := asn1.Marshal(protectedPart{m.Header, m.Body})
	if err != nil {
		return err
	}
	intermediates := x509.NewCertPool()
	for _, c := range extra {
		intermediates.AddCert(c)
	}
	signer := extra[0]
	if _, err := signer.Verify(x509.VerifyOptions{Roots: t.trust, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("capf: the authority's answer is signed by %s, who is not trusted: %w", signer.Subject, err)
	}
	if err := signer.CheckSignature(alg, signed, m.Protection.RightAlign()); err != nil {
		return fmt.Errorf("capf: the signature of the authority's answer: %w", err)
	}
	return nil
}

// certificate is what a cp brings.
func (a answer) certificate() (*x509.Certificate, error) {
	switch a.kind {
	case bodyError:
		var e struct {
			Status statusInfo
			Code   *big.Int        `asn1:"optional"`
			Text   []asn1.RawValue `asn1:"optional"`
		}
		if _, err := asn1.Unmarshal(a.content, &e); err != nil {
			return nil, fmt.Errorf("capf: the authority reports an error that cannot be read: %w", err)
		}
		return nil, fmt.Errorf("%w: %s", ErrRejected, e.Status)
	case bodyCP:
	default:
		return nil, fmt.Errorf("capf: the authority answers with body %d, not with a certificate", a.kind)
	}
	var rep certRepMessage
	if _, err := asn1.Unmarshal(a.content, &rep); err != nil {
		return nil, fmt.Errorf("capf: the authority's certificate response: %w", err)
	}
	if len(rep.Response) != 1 || rep.Response[0].ID != 0 {
		return nil, fmt.Errorf("capf: the authority sent %d responses where one was asked for", len(rep.Response))
	}
	r := rep.Response[0]
	if r.Status.Status > 1 { // accepted, grantedWithMods
		return nil, fmt.Errorf("%w: %s", ErrRejected, r.Status)
	}
	if raw := r.Pair.Certificate; raw.Class != asn1.ClassContextSpecific || raw.Tag != 0 {
		return nil, errors.New("capf: the authority sent no certificate in clear")
	}
	return x509.ParseCertificate(r.Pair.Certificate.Bytes)
}
