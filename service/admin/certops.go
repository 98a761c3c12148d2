package admin

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/pki"
)

// issueInput asks for a certificate.
type issueInput struct{ Body CertRequest }

func (i *issueInput) object() string { return i.Body.Kind + " " + i.Body.Name }

// revokeInput names a certificate.
type revokeInput struct {
	Body struct {
		Issuer string `json:"issuer" minLength:"1" maxLength:"1024" doc:"as the list shows it"`
		Serial string `json:"serial" minLength:"1" maxLength:"64" doc:"lower-case hex"`
		Reason string `json:"reason" minLength:"1" maxLength:"256"`
	}
}

func (r *revokeInput) object() string { return r.Body.Serial + " of " + r.Body.Issuer }

func (s *Server) certOperations(api huma.API) {
	add(s, api, get("certificates", "/v1/certificates", RoleViewer, "Every certificate the cluster issued"), s.certificates)
	add(s, api, get("roots", "/v1/certificates/roots", RoleViewer, "The cluster's roots in PEM: what peers and phones trust"), s.roots)
	add(s, api, operation{
		id: "issue", method: http.MethodPost, path: "/v1/certificates", role: RoleAdministrator, action: "issue-certificate",
		summary: "Issue a certificate; a private key made for it is in the answer and nowhere else",
	}, s.issue)
	add(s, api, operation{
		id: "revoke", method: http.MethodPost, path: "/v1/certificates/revoke", role: RoleAdministrator, action: "revoke-certificate",
		summary: "Revoke a certificate; the next handshake refuses it",
	}, s.revoke)
}

func (s *Server) certificates(ctx context.Context, _ *none) (*body[Rows[pki.Entry]], error) {
	if s.cfg.Issued == nil {
		return nil, problem(CodeNotSupported, "this node has no register of certificates")
	}
	list, err := s.cfg.Issued.Entries(ctx)
	if err != nil {
		return nil, err
	}
	if list == nil {
		list = []pki.Entry{}
	}
	return &body[Rows[pki.Entry]]{Rows[pki.Entry]{Rows: list}}, nil
}

// PEM is text in PEM form.
type PEM struct {
	PEM string `json:"pem"`
}

func (s *Server) roots(context.Context, *none) (*body[PEM], error) {
	if s.cfg.CA == nil {
		return nil, problem(CodeNotSupported, "this node has no certificate authority")
	}
	return &body[PEM]{PEM{string(s.cfg.CA.RootsPEM())}}, nil
}

// request turns the API's form into the authority's.
func (c CertRequest) request() (pki.Request, error) {
	var r pki.Request
	if c.CSR != "" {
		var err error
		if r, err = pki.RequestFromCSR([]byte(c.CSR)); err != nil {
			return r, problem(bus.CodeInvalid, err.Error())
		}
	}
	kind, err := pki.ParseKind(c.Kind)
	if err != nil {
		return r, problem(bus.CodeInvalid, err.Error())
	}
	r.Kind, r.Name = kind, c.Name
	r.DNSNames = append(r.DNSNames, c.DNSNames...)
	for _, text := range c.IPs {
		a, err := netip.ParseAddr(text)
		if err != nil {
			return r, problem(bus.CodeInvalid, err.Error())
		}
		r.IPs = append(r.IPs, a)
	}
	for _, text := range c.URIs {
		u, err := url.Parse(text)
		if err != nil {
			return r, problem(bus.CodeInvalid, err.Error())
		}
		r.URIs = append(r.URIs, u)
	}
	if c.RSA {
		r.Algorithm = pki.RSA2048
	}
	r.Validity = time.Duration(c.Days) * 24 * time.Hour
	return r, nil
}

func (s *Server) issue(ctx context.Context, in *issueInput) (*body[CertIssued], error) {
	if s.cfg.CA == nil {
		return nil, problem(CodeNotSupported, "this node has no certificate authority")
	}
	req, err := in.Body.request()
	if err != nil {
		return nil, err
	}
	issued, err := s.cfg.CA.Issue(ctx, req)
	if fs := pki.FindingsOf(err); fs != nil {
		return nil, problem(bus.CodeInvalid, err.Error())
	} else if err != nil {
		return nil, err
	}
	out := CertIssued{Entry: issued.Entry, Certificate: string(issued.Credential.CertificatePEM()), CA: string(s.cfg.CA.RootsPEM())}
	if !issued.Credential.Key.IsZero() {
		key, err := issued.Credential.KeyPEM()
		if err != nil {
			return nil, err
		}
		out.Key = string(key)
	}
	return &body[CertIssued]{out}, nil
}

func (s *Server) revoke(ctx context.Context, in *revokeInput) (*body[none], error) {
	if s.cfg.CA == nil {
		return nil, problem(CodeNotSupported, "this node has no certificate authority")
	}
	err := s.cfg.CA.Revoke(ctx, pki.Ref{Issuer: in.Body.Issuer, Serial: in.Body.Serial}, in.Body.Reason)
	if err != nil {
		return nil, notFoundIfMissing(err)
	}
	return &body[none]{}, nil
}
