package enroll

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/locktone/locktone/wire/capf"
	"github.com/locktone/locktone/wire/trustlist"
)

// Limits of a connection.
const (
	handshakeTime = 20 * time.Second
	writeTime     = 20 * time.Second
)

// serverTLS is the configuration for CAPF. The server is known by its certificate standing in the list under the role CAPF,
// not by a name and not by an issuer: in many sites the CAPF certificate is the one that issues the LSCs, and then every
// phone holds a certificate issued by it. asked becomes true when the server wants a certificate of ours.
func serverTLS(lists []*trustlist.List, legacy bool, host string, asked *bool) *tls.Config {
	c := &tls.Config{
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			*asked = true
			return &tls.Certificate{}, nil
		},
		MinVersion:         tls.VersionTLS12,
		ServerName:         host,
		InsecureSkipVerify: true, // #nosec: verified below, against the trust list
		VerifyConnection: func(cs tls.ConnectionState) error {
			return listed(cs.PeerCertificates[0], lists, trustlist.RoleCAPF)
		},
	}
	if legacy { // the exception capf-legacy-rsa
		c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA}
	}
	return c
}

// listed says whether the certificate itself stands in a list in one of the roles.
func listed(cert *x509.Certificate, lists []*trustlist.List, roles ...trustlist.Role) error {
	wrong := &CertificateError{Subject: subjectOf(cert), Issuer: issuerOf(cert), Fingerprint: fingerprint(cert.Raw)}
	sum := sha1.Sum(cert.Raw) // what an ITL holds to stay short
	for _, list := range lists {
		if list == nil {
			continue
		}
		for _, r := range list.ByRole(roles...) {
			switch {
			case r.Certificate != nil && string(r.Certificate) == string(cert.Raw), r.Certificate == nil && string(r.Hash) == string(sum[:]):
				return nil
			case r.Certificate != nil:
				wrong.Listed = append(wrong.Listed, fmt.Sprintf("%q (SHA-256 %s)", r.Subject, fingerprint(r.Certificate)))
			}
		}
	}
	return wrong
}

// worker does what the dialogue's machine asks of this side: keys, signatures, the disk.
type worker interface {
	generate(order capf.KeygenRequest) (spki []byte, err error)
	store(c capf.Certificate) error
	erase() error
	prove(p capf.Prove) capf.Proved
}

// converse runs a session on a connection and closes it. The machine runs here; one goroutine reads, and one at a time
// works, so that REQUEST_IN_PROGRESS goes out while a key is made.
func converse(ctx context.Context, conn net.Conn, machine *capf.Client, now func() time.Time, w worker) capf.Result {
	inputs := make(chan capf.Input)
	ended := make(chan struct{})
	readerDone := make(chan struct{})
	go func() {
		defer close(readerDone)
		read(conn, inputs, ended)
	}()
	defer func() {
		close(ended)
		_ = conn.Close()
		<-readerDone
	}()
	deadline := time.NewTimer(0)
	defer deadline.Stop()
	for {
		deadline.Reset(machine.Deadline().Sub(now()))
		var in capf.Input
		select {
		case in = <-inputs:
		case <-deadline.C:
		case <-ctx.Done():
			return capf.Result{Err: context.Cause(ctx)}
		}
		outs := machine.Step(now(), in)
		for len(outs) > 0 {
			switch out := outs[0].(type) {
			case capf.Send:
				_ = conn.SetWriteDeadline(now().Add(writeTime))
				if err := capf.Write(conn, out.Message); err != nil {
					outs = append(outs[:1:1], machine.Step(now(), capf.Closed{Err: err})...)
				}
			case capf.Done:
				return out.Result
			default:
				go work(w, out, inputs, ended)
			}
			outs = outs[1:]
		}
	}
}

// read turns what the server sends into inputs until the connection or the session ends.
func read(conn net.Conn, inputs chan<- capf.Input, ended <-chan struct{}) {
	for {
		m, err := capf.Read(conn, 0)
		var in capf.Input = capf.Received{Message: m}
		if err != nil {
			in = capf.Closed{Err: err}
		}
		select {
		case inputs <- in:
		case <-ended:
			return
		}
		if err != nil {
			return
		}
	}
}

// work does one thing and reports it.
func work(w worker, out capf.Output, inputs chan<- capf.Input, ended <-chan struct{}) {
	var in capf.Input
	switch out := out.(type) {
	case capf.Generate:
		spki, err := w.generate(out.Order)
		in = capf.Generated{PublicKey: spki, Err: err}
	case capf.Store:
		in = capf.Stored{Err: w.store(out.Certificate)}
	case capf.Delete:
		in = capf.Deleted{Err: w.erase()}
	case capf.Prove:
		in = w.prove(out)
	}
	select {
	case inputs <- in:
	case <-ended:
	}
}

// identity is the worker on a store.
type identity struct {
	device  string
	store_  *Store
	key     crypto.Signer                // of the enrolment under way
	present map[string]crypto.PrivateKey // of the certificates held, by DER
	now     func() time.Time
	got     *x509.Certificate // stored in this session
	erased  bool
}

// generate makes a key, or takes the one for which an earlier session brought no certificate.
func (i *identity) generate(order capf.KeygenRequest) ([]byte, error) {
	if i.key == nil || !fits(i.key, order) {
		key, err := newKey(order)
		if err != nil {
			return nil, err
		}
		if err := i.store_.keep(key); err != nil {
			return nil, err
		}
		i.key = key
	}
	return x509.MarshalPKIXPublicKey(i.key.Public())
}

func fits(key crypto.Signer, order capf.KeygenRequest) bool {
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return false
	}
	_, err = capf.CheckKey(spki, order)
	return err == nil
}

func newKey(order capf.KeygenRequest) (crypto.Signer, error) {
	if order.Type == capf.KeyRSA {
		return rsa.GenerateKey(rand.Reader, order.Size)
	}
	curves := map[capf.Curve]elliptic.Curve{capf.CurveP256: elliptic.P256(), capf.CurveP384: elliptic.P384(), capf.CurveP521: elliptic.P521()}
	curve, ok := curves[order.Curve]
	if !ok {
		return nil, fmt.Errorf("unknown %v", order.Curve)
	}
	return ecdsa.GenerateKey(curve, rand.Reader)
}

// store checks what the field's clients do not: a certificate for another key, or one that is over, is refused while the
// server still listens. Which name it has is the server's to say.
func (i *identity) store(c capf.Certificate) error {
	cert, err := x509.ParseCertificate(c.DER)
	switch {
	case err != nil:
		return fmt.Errorf("the server sent no X.509 certificate: %w", err)
	case i.key == nil || !matches(c.DER, i.key):
		return fmt.Errorf("the certificate %q is for another key than ours", subjectOf(cert))
	case !i.now().Before(cert.NotAfter):
		return fmt.Errorf("the certificate %q ended at %s; is this machine's clock right?", subjectOf(cert), cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if err := i.store_.install(c.DER); err != nil {
		return err
	}
	i.got = cert
	return nil
}

func (i *identity) erase() error {
	err := i.store_.erase()
	i.erased = err == nil
	return err
}

// holds lists certificates for the dialogue and remembers their keys.
func (i *identity) holds(list []held) []capf.Certificate {
	out := []capf.Certificate{} // not nil: holding nothing is an answer
	for _, h := range list {
		i.present[string(h.Certificate.Certificate[0])] = h.PrivateKey
		out = append(out, capf.Certificate{Type: h.kind, DER: h.Certificate.Certificate[0]})
	}
	return out
}

func (i *identity) prove(p capf.Prove) (out capf.Proved) {
	key, ok := i.present[string(p.Certificate.DER)].(crypto.Signer)
	if !ok {
		out.Err = errors.New("the certificate's key cannot sign")
		return out
	}
	out.SHA1, out.SHA2, out.Err = capf.SignProof(key, i.device, p.Certificate.DER)
	if out.Err != nil {
		return out
	}
	// The proof that is good for this session only: with it our server lets an LSC renew itself, without an order.
	fresh, err := capf.SignSUDI(key, p.Session, p.Certificate.DER)
	out.SUDI, out.Err = &fresh, err
	return out
}
