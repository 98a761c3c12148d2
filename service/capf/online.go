package capf

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/locktone/locktone/pki"
)

// OnlineConfig says where an online authority is and who we are to it.
//
// The protocol is CMP over HTTP (RFC 4210, 5; RFC 6712, 3), which EJBCA and its kin speak. EST and SCEP want a PKCS #10 request
// signed with the key to be certified, and CAPF clients send a bare key: with those, CAPF could not ask at all. CMP has
// the role that CAPF plays: a registration authority that vouches for what it has verified (raVerified).
type OnlineConfig struct {
	URL string // http or https
	CA  CA     // registers what the authority issued
	// Identity signs requests (its RSA certificate), and is the client of mutual TLS with an https URL.
	Identity *pki.Identity
	// Authorities are the certificates under which the authority's answers and the certificates it issues must verify.
	Authorities []*x509.Certificate
	// Organization is put beside the common name, where the authority wants a whole name; empty: the common name alone.
	Subject pkix.Name
	Timeout time.Duration // of one exchange; default 30s
	Now     func() time.Time
}

// Online is an online authority.
func Online(c OnlineConfig) (Authority, error) {
	if c.URL == "" || c.CA == nil || c.Identity == nil || len(c.Authorities) == 0 {
		return nil, errors.New("capf: an online authority needs a URL, its certificates, an identity and a register")
	}
	def(&c.Timeout, 30*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	o := &online{cfg: c, pool: x509.NewCertPool()}
	for _, a := range c.Authorities {
		o.pool.AddCert(a)
	}
	o.http = &http.Client{Timeout: c.Timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.pool,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				for _, cred := range c.Identity.Snapshot().Certificates.Client {
					if cred.Leaf().PublicKeyAlgorithm == x509.RSA {
						t := cred.TLS()
						return &t, nil
					}
				}
				return &tls.Certificate{}, nil
			}}}}
	return o, nil
}

type online struct {
	cfg  OnlineConfig
	pool *x509.CertPool
	http *http.Client
}

func (*online) Name() string { return "online" }

// Issue asks, confirms, checks what came and enters it in the register.
func (o *online) Issue(ctx context.Context, a Ask) (*x509.Certificate, error) {
	t, err := o.begin()
	if err != nil {
		return nil, err
	}
	name := o.cfg.Subject
	name.CommonName = a.Owner.CommonName()
	subject, err := asn1.Marshal(name.ToRDNSequence())
	if err != nil {
		return nil, err
	}
	content, err := certRequest(subject, a.SPKI)
	if err != nil {
		return nil, err
	}
	got, err := o.exchange(ctx, t, bodyCR, content)
	if err != nil {
		return nil, err
	}
	cert, err := got.certificate()
	if err != nil {
		return nil, err
	}
	if err := o.fits(cert, a, got.extra); err != nil {
		return nil, err
	}
	if err := o.trusted(cert, a); err != nil {
		return nil, err
	}
	if !got.implicit {
		if err := o.confirm(ctx, t, cert); err != nil {
			return nil, err
		}
	}
	if _, err := o.cfg.CA.Adopt(ctx, cert, a.Owner.Kind(), a.Owner.CommonName()); err != nil {
		return nil, err
	}
	return cert, nil
}

func (o *online) begin() (*transaction, error) {
	for _, cred := range o.cfg.Identity.Snapshot().Certificates.Client {
		if cred.Leaf().PublicKeyAlgorithm == x509.RSA {
			return newTransaction(cred.Leaf(), cred.Key, o.cfg.Authorities[0].RawSubject, o.pool), nil
		}
	}
	return nil, fmt.Errorf("capf: the identity %s has no RSA certificate to sign requests with", o.cfg.Identity.Name())
}

// fits checks that the certificate is what was asked for, from whom it was asked.
func (o *online) fits(c *x509.Certificate, a Ask, extra []*x509.Certificate) error {
	switch {
	case !bytes.Equal(c.RawSubjectPublicKeyInfo, a.SPKI):
		return fmt.Errorf("%w: it issued for another key", ErrRejected)
	case c.Subject.CommonName != a.Owner.CommonName():
		return fmt.Errorf("%w: it issued for %q, asked for was %q", ErrRejected, c.Subject.CommonName, a.Owner.CommonName())
	}
	between := x509.NewCertPool()
	for _, x := range extra {
		between.AddCert(x)
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: o.pool, Intermediates: between, CurrentTime: o.cfg.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fmt.Errorf("%w: its certificate does not verify: %w", ErrRejected, err)
	}
	return nil
}

// trusted checks that the owner would be let in with the certificate, which is all that it is given and will show: better
// no new one than one with which it is locked out.
func (o *online) trusted(c *x509.Certificate, a Ask) error {
	kind := a.Owner.Kind()
	report := o.cfg.Identity.Snapshot().Trust.Verify([]*x509.Certificate{c}, pki.PeerIsClient, pki.PeerPolicy{Peer: a.Owner.String(), Kinds: pki.KindsOf(kind)}, o.cfg.Now())
	if err := report.Err(); err != nil {
		return fmt.Errorf("capf: the online authority's certificate was not taken: %w (the authority must be trusted for holders of kind %s: upload the certificate of the one that signs to capf-trust)", err, kind)
	}
	return nil
}

func (o *online) confirm(ctx context.Context, t *transaction, c *x509.Certificate) error {
	content, err := certConfirm(c)
	if err != nil {
		return err
	}
	got, err := o.exchange(ctx, t, bodyCertConf, content)
	if err != nil {
		return err
	}
	if got.kind != bodyPKIConf {
		return fmt.Errorf("capf: the authority answers a confirmation with body %d", got.kind)
	}
	return nil
}

// maxAnswer bounds an answer.
const maxAnswer = 256 << 10

// exchange sends one message and opens the answer. RFC 6712, 3.
func (o *online) exchange(ctx context.Context, t *transaction, kind int, content []byte) (answer, error) {
	der, err := t.message(kind, content, o.cfg.Now())
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.cfg.URL, bytes.NewReader(der))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/pkixcmp")
	res, err := o.http.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("capf: the online authority: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("capf: the online authority: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("capf: the online authority answers %s", res.Status)
	}
	return t.open(b, o.cfg.Now())
}
