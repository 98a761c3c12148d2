package admin

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/certfile"
	"github.com/locktone/locktone/pki/truststore"
	"github.com/locktone/locktone/wire/trustlist"
)

// TrustStores is what administration needs for certificates of others and for files that people carry between
// products. Where Store is nil, this node does not do that.
type TrustStores struct {
	Store *truststore.Store
	// Credentials are the certificates of a service of this node, for export; nil: none.
	Credentials func(service string) (pki.Certificates, bool)
}

// TrustedCertificate is one certificate for one purpose.
type TrustedCertificate struct {
	Purpose     string       `json:"purpose"`
	State       string       `json:"state" enum:"trusted,removed,revoked"`
	Fingerprint string       `json:"fingerprint" doc:"SHA-256 of the DER, lower-case hex"`
	Subject     string       `json:"subject"`
	Issuer      string       `json:"issuer"`
	Serial      string       `json:"serial"`
	NotBefore   time.Time    `json:"notBefore"`
	NotAfter    time.Time    `json:"notAfter"`
	CA          bool         `json:"ca"`
	Key         string       `json:"key" doc:"RSA-2048"`
	TrustedFor  []string     `json:"trustedFor,omitempty" doc:"whom certificates under it authenticate: device, peer"`
	Roles       []string     `json:"roles,omitempty" doc:"what the verification service tells phones of it"`
	Added       time.Time    `json:"added"`
	By          string       `json:"by"`
	From        string       `json:"from,omitempty" doc:"the file it came from"`
	Findings    pki.Findings `json:"findings,omitempty" doc:"what is worth knowing about it"`
	Ended       time.Time    `json:"ended,omitzero" doc:"when it was removed or revoked"`
	EndedBy     string       `json:"endedBy,omitempty"`
	Reason      string       `json:"reason,omitempty"`
}

func trustedCertificate(e truststore.Entry) TrustedCertificate {
	out := TrustedCertificate{Purpose: string(e.Purpose), State: string(e.State), Fingerprint: e.Fingerprint, Subject: e.Subject, Issuer: e.Issuer, Serial: e.Serial,
		NotBefore: e.NotBefore, NotAfter: e.NotAfter, CA: e.CA, Key: e.Key, Added: e.Added, By: e.By, From: e.From, Findings: e.Findings, Ended: e.Ended,
		EndedBy: e.EndedBy, Reason: e.Reason}
	for _, k := range e.Kinds {
		out.TrustedFor = append(out.TrustedFor, k.String())
	}
	for _, r := range e.Roles {
		name := r.String()
		if r == trustlist.RoleSAST {
			name = "SAST" // nobody says the whole of it
		}
		out.Roles = append(out.Roles, name)
	}
	return out
}

func trustedCertificates(list []truststore.Entry) *body[Rows[TrustedCertificate]] {
	out := Rows[TrustedCertificate]{Rows: []TrustedCertificate{}}
	for _, e := range list {
		out.Rows = append(out.Rows, trustedCertificate(e))
	}
	return &body[Rows[TrustedCertificate]]{out}
}

// TrustUpload is a file with certificates to be trusted: all of them or, when one is refused, none.
type TrustUpload struct {
	Data []byte   `json:"data" maxLength:"1048576" doc:"the file: PEM, DER or a PKCS #7 bundle; without a private key"`
	File string   `json:"file,omitempty" maxLength:"256" doc:"its name, for the list"`
	For  []string `json:"for,omitempty" maxItems:"4" doc:"whom certificates under it authenticate, where the purpose leaves a choice: peer, device"`
	Role []string `json:"role,omitempty" maxItems:"4" doc:"what phones are told of it, where the purpose leaves a choice: CCM, CCM+TFTP, TFTP, SAST"`
}

type trustListInput struct {
	Purpose string `query:"purpose" maxLength:"64" doc:"only this purpose"`
}

type trustUploadInput struct {
	Purpose string `path:"purpose" maxLength:"64"`
	Body    TrustUpload
}

func (i *trustUploadInput) object() string { return i.Purpose + " " + filepath.Base(i.Body.File) }

type trustRemoveInput struct {
	Purpose     string `path:"purpose" maxLength:"64"`
	Fingerprint string `path:"fingerprint" maxLength:"128" doc:"its first eight digits or more"`
	Reason      string `query:"reason" maxLength:"256"`
}

func (i *trustRemoveInput) object() string { return i.Purpose + " " + i.Fingerprint }

type trustRevokeInput struct {
	Body struct {
		Fingerprint string `json:"fingerprint" minLength:"8" maxLength:"128"`
		Reason      string `json:"reason" minLength:"1" maxLength:"256"`
	}
}

func (i *trustRevokeInput) object() string { return i.Body.Fingerprint }

func (s *Server) trustStoreOperations(api huma.API) {
	add(s, api, get("trust-stores", "/v1/trust/stores", RoleViewer, "Certificates of others that are trusted, by purpose"), s.storeList)
	add(s, api, operation{
		id: "trust-upload", method: http.MethodPost, path: "/v1/trust/stores/{purpose}", role: RoleAdministrator, action: "upload-trust",
		summary: "Trust the certificates of a file for a purpose, from the next handshake on",
	}, s.storeUpload)
	add(s, api, operation{
		id: "trust-remove", method: http.MethodDelete, path: "/v1/trust/stores/{purpose}/{fingerprint}", role: RoleAdministrator, action: "remove-trust",
		summary: "No longer trust a certificate for a purpose, from the next handshake on",
	}, s.storeRemove)
	add(s, api, operation{
		id: "trust-revoke", method: http.MethodPost, path: "/v1/trust/revoke", role: RoleAdministrator, action: "revoke-trust",
		summary: "Trust a certificate for nothing any more, and refuse it at uploads",
	}, s.storeRevoke)
	add(s, api, get("certificate-chain", "/v1/certificates/chain", RoleViewer, "The certificates of the roots, of a service of this node, or of a trust store, in PEM"), s.certificateChain)
	add(s, api, operation{
		id: "export-key", method: http.MethodPost, path: "/v1/certificates/export", role: RoleAdministrator, action: "export-key",
		summary: "A service's certificates with their private keys, as PKCS #12 under a password; on the unix socket only",
	}, s.exportKeys)
}

// stores is the trust store, or why there is none.
func (s *Server) stores() (*truststore.Store, error) {
	if s.cfg.TrustStores.Store == nil {
		return nil, problem(CodeNotSupported, "this node has no trust store")
	}
	return s.cfg.TrustStores.Store, nil
}

// trustProblem gives the errors of the trust store and of files their code.
func trustProblem(err error) error {
	var fe *certfile.FormatError
	switch fs := pki.FindingsOf(err); {
	case err == nil:
		return nil
	case fs != nil:
		var lines []string
		for _, f := range fs {
			lines = append(lines, f.Sentence(f.Subject))
		}
		return problem(bus.CodeInvalid, "the certificate is refused; nothing was changed", lines...)
	case errors.As(err, &fe), errors.Is(err, certfile.ErrPassword):
		return problem(bus.CodeInvalid, err.Error())
	}
	return notFoundIfMissing(err)
}

func purposeOf(text string) (truststore.Purpose, error) {
	p, err := truststore.ParsePurpose(text)
	if err != nil {
		return p, problem(bus.CodeNotFound, err.Error())
	}
	return p, nil
}

func (s *Server) storeList(ctx context.Context, in *trustListInput) (*body[Rows[TrustedCertificate]], error) {
	st, err := s.stores()
	if err != nil {
		return nil, err
	}
	var p truststore.Purpose
	if in.Purpose != "" {
		if p, err = purposeOf(in.Purpose); err != nil {
			return nil, err
		}
	}
	list, err := st.List(ctx, p)
	if err != nil {
		return nil, err
	}
	return trustedCertificates(list), nil
}

func (s *Server) storeUpload(ctx context.Context, in *trustUploadInput) (*body[Rows[TrustedCertificate]], error) {
	st, err := s.stores()
	if err != nil {
		return nil, err
	}
	uploads, err := in.uploads(who(ctx).name)
	if err != nil {
		return nil, trustProblem(err)
	}
	for _, u := range uploads { // all are looked at before the first is trusted
		if _, err := st.Check(ctx, u); err != nil {
			return nil, uploadProblem(err)
		}
	}
	var out []truststore.Entry
	for _, u := range uploads {
		e, err := st.Upload(ctx, u)
		if err != nil {
			return nil, uploadProblem(err)
		}
		out = append(out, e)
	}
	return trustedCertificates(out), nil
}

// uploadProblem is trustProblem for an upload, whose own mistakes are the caller's.
func uploadProblem(err error) error {
	if errors.Is(err, truststore.ErrGrant) {
		return problem(bus.CodeInvalid, err.Error())
	}
	return trustProblem(err)
}

// uploads are the certificates of the file, each as an upload.
func (i *trustUploadInput) uploads(by string) ([]truststore.Upload, error) {
	p, err := purposeOf(i.Purpose)
	if err != nil {
		return nil, err
	}
	c, err := certfile.Read(i.Body.Data, nil)
	if err != nil {
		return nil, err
	}
	if !c.Key.IsZero() {
		return nil, problem(bus.CodeInvalid, "the file holds a private key, which was not kept: send the certificate alone, and consider whether the key is still secret")
	}
	kinds, roles, err := i.Body.grants()
	if err != nil {
		return nil, problem(bus.CodeInvalid, err.Error())
	}
	var out []truststore.Upload
	for _, x := range c.Certificates {
		out = append(out, truststore.Upload{Purpose: p, Certificate: x, Kinds: kinds, Roles: roles, By: by, From: filepath.Base(i.Body.File)})
	}
	return out, nil
}

func (u TrustUpload) grants() (kinds pki.Kinds, roles []trustlist.Role, err error) {
	for _, text := range u.For {
		k, err := pki.ParseKind(text)
		if err != nil {
			return 0, nil, err
		}
		kinds |= pki.KindsOf(k)
	}
	for _, text := range u.Role {
		r, err := trustlist.ParseRole(text)
		if err != nil {
			return 0, nil, err
		}
		roles = append(roles, r)
	}
	return kinds, roles, nil
}

func (s *Server) storeRemove(ctx context.Context, in *trustRemoveInput) (*body[TrustedCertificate], error) {
	st, err := s.stores()
	if err != nil {
		return nil, err
	}
	p, err := purposeOf(in.Purpose)
	if err != nil {
		return nil, err
	}
	e, err := st.Remove(ctx, p, in.Fingerprint, who(ctx).name, in.Reason)
	if err != nil {
		return nil, fingerprintProblem(err)
	}
	return &body[TrustedCertificate]{trustedCertificate(e)}, nil
}

func fingerprintProblem(err error) error {
	if errors.Is(err, truststore.ErrFingerprint) {
		return problem(bus.CodeInvalid, err.Error())
	}
	return trustProblem(err)
}

func (s *Server) storeRevoke(ctx context.Context, in *trustRevokeInput) (*body[Rows[TrustedCertificate]], error) {
	st, err := s.stores()
	if err != nil {
		return nil, err
	}
	list, err := st.Revoke(ctx, in.Body.Fingerprint, who(ctx).name, in.Body.Reason)
	if err != nil {
		return nil, fingerprintProblem(err)
	}
	return trustedCertificates(list), nil
}

// ExportedCertificate is a certificate with what stands above it but for the root, in PEM.
type ExportedCertificate struct {
	Name string `json:"name" doc:"a name for its file, without an ending"`
	Use  string `json:"use" enum:"root,server,client,trusted" doc:"root of the cluster; presented by a service that is dialled, or that dials; in a trust store"`
	PEM  string `json:"pem"`
}

type chainInput struct {
	Name string `query:"name" required:"true" minLength:"1" maxLength:"128" doc:"roots, a service, or the fingerprint of a certificate in a trust store"`
}

func (s *Server) certificateChain(ctx context.Context, in *chainInput) (*body[Rows[ExportedCertificate]], error) {
	var rows []ExportedCertificate
	if in.Name == "roots" {
		roots, err := s.rootCertificates()
		if err != nil {
			return nil, err
		}
		for _, c := range roots {
			rows = append(rows, exported("root", c))
		}
	} else if own, ok := s.credentials(in.Name); ok {
		for _, c := range own.Server {
			rows = append(rows, exported("server", c.Chain...))
		}
		for _, c := range own.Client {
			rows = append(rows, exported("client", c.Chain...))
		}
	} else {
		st, err := s.stores()
		if err != nil {
			return nil, err
		}
		e, err := st.Find(ctx, "", in.Name)
		if err != nil {
			return nil, problem(bus.CodeNotFound, fmt.Sprintf("%s is neither roots, nor a service of this node, nor the fingerprint of a certificate in a trust store; "+
				"what was issued to a device or peer was handed out when it was issued, and is not kept", in.Name))
		}
		rows = append(rows, exported("trusted", e.Certificate()))
	}
	return &body[Rows[ExportedCertificate]]{Rows[ExportedCertificate]{Rows: rows}}, nil
}

// credentials are the certificates of a service that runs here.
func (s *Server) credentials(service string) (pki.Certificates, bool) {
	if s.cfg.TrustStores.Credentials == nil {
		return pki.Certificates{}, false
	}
	return s.cfg.TrustStores.Credentials(service)
}

func (s *Server) rootCertificates() ([]*x509.Certificate, error) {
	if s.cfg.CA == nil {
		return nil, problem(CodeNotSupported, "this node has no certificate authority")
	}
	return pki.ParseCertificates(s.cfg.CA.RootsPEM())
}

// exported names the file of a certificate by its common name, which differs among all that a service has.
func exported(use string, chain ...*x509.Certificate) ExportedCertificate {
	return ExportedCertificate{Name: fileName(chain[0]), Use: use, PEM: string(certfile.WritePEM(chain...))}
}

func fileName(c *x509.Certificate) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r) {
			return r
		}
		return '_'
	}, c.Subject.CommonName)
	if name = strings.TrimLeft(name, "."); name == "" {
		return pki.Fingerprint(c)[:16]
	}
	return name[:min(len(name), 100)]
}

// KeyExport asks for a service's private keys.
type KeyExport struct {
	Name     string `json:"name" minLength:"1" maxLength:"64" doc:"a service of this node"`
	Password string `json:"password" minLength:"8" maxLength:"1024" doc:"of the files"`
	Legacy   bool   `json:"legacy,omitempty" doc:"encrypt with triple DES under SHA-1, for products that read nothing else"`
}

type keyExportInput struct{ Body KeyExport }

func (i *keyExportInput) object() string { return i.Body.Name }

// exportKeys hands out private keys: to whoever is on this machine as the user that runs the node, and nobody else.
func (s *Server) exportKeys(ctx context.Context, in *keyExportInput) (*body[Rows[certfile.File]], error) {
	if who(ctx).source != "unix" {
		return nil, problem(bus.CodeForbidden, "private keys leave on the unix socket only: run locktone cert export on the node")
	}
	own, ok := s.credentials(in.Body.Name)
	if !ok {
		return nil, problem(bus.CodeNotFound, in.Body.Name+" is no service of this node; the key of a device or peer was handed out when its certificate was issued, and is not kept")
	}
	roots, err := s.rootCertificates()
	if err != nil {
		return nil, err
	}
	out := Rows[certfile.File]{Rows: []certfile.File{}}
	for _, c := range append(own.Server[:len(own.Server):len(own.Server)], own.Client...) {
		b, err := certfile.WritePKCS12(c, roots, certfile.PKCS12Options{Password: pki.Secret(in.Body.Password), Legacy: in.Body.Legacy})
		if err != nil {
			return nil, problem(bus.CodeInvalid, err.Error())
		}
		out.Rows = append(out.Rows, certfile.File{Name: fileName(c.Leaf()) + ".p12", Data: b, Secret: true})
	}
	return &body[Rows[certfile.File]]{out}, nil
}
