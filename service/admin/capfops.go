package admin

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/wire/capf"
)

// Enrolment is what administration needs for enrolment profiles and the requests to an offline authority. Where
// Profiles is nil, this node does not do that.
type Enrolment struct {
	Profiles *capfprofile.Book
	Requests *capfprofile.Queue
	// Adopt binds a certificate of a foreign issuer to its holder; (*pki.CA).Adopt.
	Adopt func(ctx context.Context, c *x509.Certificate, kind pki.Kind, name string) (pki.Entry, error)
	// Trust is the trust in force, under which an imported certificate has to verify.
	Trust func() *pki.Trust
	// Signers are the SHA-256 of the certificates that may sign the first trust list, for join tokens.
	Signers func(ctx context.Context) ([][32]byte, error)
}

// CAPFProfile is an enrolment profile as the form of the field shows it. The authorization string is not part of it.
type CAPFProfile struct {
	Owner       string `json:"owner" doc:"device name, or user/instance id"`
	Device      string `json:"device,omitempty"`
	User        string `json:"user,omitempty"`
	Instance    string `json:"instanceId,omitempty"`
	EndUser     bool   `json:"endUser,omitempty"`
	Operation   string `json:"certificateOperation"`
	Mode        string `json:"authenticationMode"`
	KeyOrder    string `json:"keyOrder"`
	RSAKeySize  int    `json:"rsaKeySize"`
	ECKeySize   int    `json:"ecKeySize"`
	CompletesBy string `json:"operationCompletesBy,omitempty" doc:"YYYY:MM:DD:HH, UTC"`
	Status      string `json:"certificateOperationStatus"`
	StatusAt    string `json:"statusAt,omitempty"`

	HasString   bool              `json:"authenticationStringSet,omitempty"`
	JoinToken   bool              `json:"joinToken,omitempty" doc:"the string was given out inside a join token"`
	Unpinned    bool              `json:"enrolledWithoutPinning,omitempty" doc:"its first trust list was trusted on first use"`
	Failures    int               `json:"wrongStrings,omitempty"`
	LockedUntil time.Time         `json:"lockedUntil,omitzero"`
	Lockouts    int               `json:"lockouts,omitempty"`
	LSC         *CAPFCertificate  `json:"lsc,omitempty"`
	Unconfirmed *CAPFCertificate  `json:"unconfirmed,omitempty" doc:"sent, and not known to be stored"`
	Superseded  int               `json:"superseded,omitempty" doc:"replaced certificates that are not revoked yet"`
	Fetched     []CAPFCertificate `json:"fetched,omitempty" doc:"what the last Troubleshoot brought"`
	LastRemote  string            `json:"lastAddress,omitempty"`
	LastContact time.Time         `json:"lastContact,omitzero"`
	Waiting     string            `json:"request,omitempty" doc:"id of its request to the offline authority"`
}

// CAPFCertificate is a certificate of a profile.
type CAPFCertificate struct {
	Issuer      string    `json:"issuer"`
	Serial      string    `json:"serial"`
	Subject     string    `json:"subject"`
	Fingerprint string    `json:"fingerprint"`
	Expires     time.Time `json:"expires" doc:"LSC Expires"`
	IssuerEnds  time.Time `json:"issuerExpires,omitzero" doc:"LSC Issuer Expires"`
	Seen        bool      `json:"seen,omitempty" doc:"in a handshake"`
}

func capfCertificate(c capfprofile.Certificate) CAPFCertificate {
	return CAPFCertificate{Issuer: c.Issuer, Serial: c.Serial, Subject: c.Subject, Fingerprint: c.Fingerprint, Expires: c.NotAfter, IssuerEnds: c.IssuerEnds, Seen: c.Seen}
}

func capfRow(p capfprofile.Profile, now time.Time) CAPFProfile {
	r := CAPFProfile{Owner: p.Owner.String(), Device: p.Device, User: p.User, Instance: p.Instance, EndUser: p.EndUser, Operation: p.Operation.String(), Mode: p.Mode.String(),
		KeyOrder: p.Order.String(), RSAKeySize: p.RSAKeySize, ECKeySize: p.ECKeySize, CompletesBy: capfprofile.FormatCompletesBy(p.CompletesBy), Status: string(p.Status),
		HasString: p.HasString, JoinToken: p.Pins, Unpinned: p.Unpinned, Failures: p.Failures, Lockouts: p.Lockouts, Superseded: len(p.Superseded),
		LastRemote: p.LastRemote, LastContact: p.LastContact, Waiting: p.Waiting}
	if !p.StatusAt.IsZero() {
		r.StatusAt = p.StatusAt.UTC().Format(time.RFC3339)
	}
	if p.Locked(now) {
		r.LockedUntil = p.LockedUntil
	}
	for from, to := range map[*capfprofile.Certificate]**CAPFCertificate{p.LSC: &r.LSC, p.Unconfirmed: &r.Unconfirmed} {
		if from != nil {
			c := capfCertificate(*from)
			*to = &c
		}
	}
	for _, c := range p.Fetched {
		r.Fetched = append(r.Fetched, capfCertificate(c))
	}
	return r
}

// CAPFOrder makes a profile, or gives an existing one its next operation.
type CAPFOrder struct {
	Device      string `json:"device,omitempty" maxLength:"64"`
	User        string `json:"user,omitempty" maxLength:"128" doc:"with instanceId: an application or end user"`
	Instance    string `json:"instanceId,omitempty" maxLength:"128"`
	EndUser     bool   `json:"endUser,omitempty"`
	Operation   string `json:"certificateOperation,omitempty" doc:"install (Install/Upgrade), delete, troubleshoot, none; default install"`
	Mode        string `json:"authenticationMode,omitempty" doc:"authentication-string, null-string, existing-certificate-lsc, existing-certificate-mic; default: the device's phone security profile"`
	String      string `json:"authenticationString,omitempty" maxLength:"16" doc:"4 to 16 digits; empty: one is generated"`
	JoinToken   bool   `json:"joinToken,omitempty" doc:"answer with a join token that pins the signers of the trust list"`
	KeyOrder    string `json:"keyOrder,omitempty" doc:"ec-preferred-rsa-backup, ec-only, rsa-only"`
	RSAKeySize  int    `json:"rsaKeySize,omitempty"`
	ECKeySize   int    `json:"ecKeySize,omitempty"`
	CompletesBy string `json:"operationCompletesBy,omitempty" doc:"YYYY:MM:DD:HH, UTC"`
	Replace     bool   `json:"replace,omitempty" doc:"give up an operation that is pending"`
}

// CAPFCreated is the profile with its string or token: the only answer that shows it.
type CAPFCreated struct {
	Profile   CAPFProfile `json:"profile"`
	String    string      `json:"authenticationString,omitempty"`
	JoinToken string      `json:"joinToken,omitempty"`
}

type capfOrderInput struct{ Body CAPFOrder }

func (i *capfOrderInput) object() string {
	if i.Body.Device != "" {
		return i.Body.Device
	}
	return i.Body.User + "/" + i.Body.Instance
}

// CAPFOwner names a profile.
type CAPFOwner struct {
	Owner string `json:"owner" minLength:"1" maxLength:"260" doc:"device name, or user/instance id"`
	// Cancel, of a reset, gives up a pending operation; Revoke, of a delete, revokes the certificates.
	Cancel bool `json:"cancel,omitempty" doc:"reset: give up the pending operation and its string, too"`
	Revoke bool `json:"revoke,omitempty" doc:"delete: revoke the certificates, too"`
}

type capfOwnerInput struct{ Body CAPFOwner }

func (i *capfOwnerInput) object() string { return i.Body.Owner }

// CAPFRequest is a certificate that the offline authority is asked for.
type CAPFRequest struct {
	ID         string    `json:"id"`
	Owner      string    `json:"owner"`
	CommonName string    `json:"commonName"`
	State      string    `json:"state" enum:"waiting,answered,rejected"`
	Asked      time.Time `json:"asked"`
	Exported   time.Time `json:"exported,omitzero"`
	Address    string    `json:"address,omitempty"`
	Key        string    `json:"keyPem,omitempty" doc:"the public key to be certified"`
	CSR        string    `json:"csrPem,omitempty" doc:"subject and extensions; signed by the registration key unless signedByOwner"`
	Signed     bool      `json:"signedByOwner,omitempty"`
	Reason     string    `json:"reason,omitempty"`
}

func capfRequest(r capfprofile.Request, whole bool) CAPFRequest {
	out := CAPFRequest{ID: r.ID, Owner: r.Owner.String(), CommonName: r.CommonName, State: r.State, Asked: r.Asked, Exported: r.Exported, Address: r.Remote, Signed: r.Signed, Reason: r.Reason}
	if whole {
		out.Key, out.CSR = r.Key, r.CSR
	}
	return out
}

type capfExportInput struct {
	Body struct {
		IDs []string `json:"ids,omitempty" maxItems:"10000" doc:"none: all that wait"`
	}
}

func (i *capfExportInput) object() string { return strings.Join(i.Body.IDs, " ") }

type capfImportInput struct {
	Body struct {
		PEM string `json:"pem" minLength:"1" maxLength:"1048576" doc:"certificates; those of authorities that stand between them and a trusted root may be among them"`
	}
}

func (i *capfImportInput) object() string { return fmt.Sprintf("%d bytes", len(i.Body.PEM)) }

type capfRejectInput struct {
	Body struct {
		ID     string `json:"id" minLength:"1" maxLength:"64"`
		Reason string `json:"reason" minLength:"1" maxLength:"256"`
	}
}

func (i *capfRejectInput) object() string { return i.Body.ID }

// capfByOwner selects one profile.
type capfByOwner struct {
	Name string `query:"name" maxLength:"260" doc:"only this device, or user/instance id"`
}

// capfOperations registers the operations on enrolment.
func (s *Server) capfOperations(api huma.API) {
	change := func(id, path, action, summary string) operation {
		return operation{id: id, method: http.MethodPost, path: path, role: RoleAdministrator, action: action, summary: summary}
	}
	add(s, api, get("capf-profiles", "/v1/capf/profiles", RoleViewer, "Enrolment profiles, all or one owner's"), s.capfProfiles)
	add(s, api, change("capf-profile-create", "/v1/capf/profiles", "create-capf-profile", "Make an enrolment profile, or give one its next operation; its string is in this answer and nowhere else"), s.capfCreate)
	add(s, api, change("capf-profile-reset", "/v1/capf/profiles/reset", "reset-capf-profile", "Lift a profile's lock-out"), s.capfReset)
	add(s, api, change("capf-profile-delete", "/v1/capf/profiles/delete", "delete-capf-profile", "Forget a profile"), s.capfDelete)
	add(s, api, get("capf-requests", "/v1/capf/requests", RoleViewer, "Requests to the offline authority"), s.capfRequests)
	add(s, api, change("capf-requests-export", "/v1/capf/requests/export", "export-capf-requests", "What an offline authority needs to issue"), s.capfExport)
	add(s, api, change("capf-requests-import", "/v1/capf/requests/import", "import-capf-certificates", "Take in certificates that the offline authority issued"), s.capfImport)
	add(s, api, change("capf-requests-reject", "/v1/capf/requests/reject", "reject-capf-request", "Say that the authority will not issue"), s.capfReject)
}

func (s *Server) enrolment() (*Enrolment, error) {
	if s.cfg.Enrolment.Profiles == nil {
		return nil, problem(CodeNotSupported, "this node keeps no enrolment profiles")
	}
	return &s.cfg.Enrolment, nil
}

// plainly is an error without the names of packages, for people.
func plainly(err error) string { return strings.ReplaceAll(err.Error(), "capfprofile: ", "") }

// capfProblem gives errors of package capfprofile their code.
func capfProblem(err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []struct {
		err    error
		code   Code
		advice string // empty: the code's
	}{
		{capfprofile.ErrRequestGone, bus.CodeNotFound, "locktone capf requests list shows those there are"},
		{capfprofile.ErrNoRequest, bus.CodeNotFound, "locktone capf requests list shows those there are"},
		{capfprofile.ErrNotFound, bus.CodeNotFound, "locktone capf profile list shows those there are"},
		{capfprofile.ErrPending, bus.CodeConflict, "locktone capf profile create --replace gives up the pending one, locktone capf profile reset --cancel only that"},
		{capfprofile.ErrTaken, bus.CodeConflict, "leave out --string, and one is made up"},
		{capfprofile.ErrInvalid, bus.CodeInvalid, ""},
	} {
		if errors.Is(err, known.err) {
			p := problem(known.code, plainly(err))
			if known.advice != "" {
				p.Advice = known.advice
			}
			return p
		}
	}
	return err
}

func (s *Server) capfProfiles(ctx context.Context, in *capfByOwner) (*body[Rows[CAPFProfile]], error) {
	e, err := s.enrolment()
	if err != nil {
		return nil, err
	}
	out := Rows[CAPFProfile]{Rows: []CAPFProfile{}}
	if in.Name != "" {
		o, err := capfprofile.ParseOwner(in.Name)
		if err != nil {
			return nil, problem(bus.CodeInvalid, plainly(err))
		}
		p, err := e.Profiles.Get(ctx, o)
		if err != nil {
			return nil, capfProblem(err)
		}
		out.Rows = append(out.Rows, capfRow(p, s.cfg.Now()))
		return &body[Rows[CAPFProfile]]{out}, nil
	}
	all, err := e.Profiles.List(ctx)
	for _, p := range all {
		out.Rows = append(out.Rows, capfRow(p, s.cfg.Now()))
	}
	return &body[Rows[CAPFProfile]]{out}, err
}

// order turns the API's form into a profile's order. What the form leaves out is as the device's phone security profile
// says.
func (c CAPFOrder) order(site *config.Site) (capfprofile.Order, error) {
	o := capfprofile.Order{Owner: capfprofile.Owner{Device: c.Device, User: c.User, Instance: c.Instance, EndUser: c.EndUser}, Operation: capfprofile.InstallUpgrade,
		String: capfprofile.String(c.String), Pins: c.JoinToken, Replace: c.Replace}
	if err := o.Check(); err != nil {
		return o, err
	}
	if err := c.known(site, &o); err != nil {
		return o, err
	}
	for _, f := range []struct {
		text string
		to   interface{ UnmarshalText([]byte) error }
	}{{c.Operation, &o.Operation}, {c.Mode, &o.Mode}, {c.KeyOrder, &o.Order}} {
		if f.text == "" {
			continue
		}
		if err := f.to.UnmarshalText([]byte(f.text)); err != nil {
			return o, err
		}
	}
	if c.RSAKeySize != 0 {
		o.RSAKeySize = c.RSAKeySize
	}
	if c.ECKeySize != 0 {
		o.ECKeySize = c.ECKeySize
	}
	if c.CompletesBy == "" {
		return o, nil
	}
	var err error
	o.CompletesBy, err = capfprofile.ParseCompletesBy(c.CompletesBy)
	return o, err
}

// known checks that the site has the device or user, and takes the defaults of the device's profile.
func (c CAPFOrder) known(site *config.Site, o *capfprofile.Order) error {
	if c.Device == "" {
		if !slices.ContainsFunc(site.Users, func(u config.User) bool { return u.Name == c.User }) {
			return fmt.Errorf("the site has no user %q: add it under users", c.User)
		}
		return nil
	}
	at := slices.IndexFunc(site.Devices, func(d config.Device) bool { return d.Name == c.Device })
	if at < 0 {
		return fmt.Errorf("the site has no device %q: add it under devices", c.Device)
	}
	settings := config.PhoneSecurityProfile{}
	for _, p := range site.PhoneSecurityProfiles {
		if p.Name == site.Devices[at].PhoneSecurityProfile {
			settings = p
		}
	}
	o.Mode, o.Order, o.RSAKeySize, o.ECKeySize = capfprofile.Settings(settings.CAPF)
	return nil
}

func (s *Server) capfCreate(ctx context.Context, in *capfOrderInput) (*body[CAPFCreated], error) {
	e, err := s.enrolment()
	if err != nil {
		return nil, err
	}
	site, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, err
	}
	o, err := in.Body.order(site.Site)
	if err != nil {
		return nil, problem(bus.CodeInvalid, plainly(err))
	}
	o.Author = who(ctx).name
	token := capf.JoinToken{}
	if o.Pins {
		if token.Signers, err = e.signers(ctx); err != nil {
			return nil, err
		}
	}
	made, err := e.Profiles.Create(ctx, o)
	if err != nil {
		return nil, capfProblem(err)
	}
	out := CAPFCreated{Profile: capfRow(made.Profile, s.cfg.Now()), String: made.String.Reveal()}
	if o.Pins && made.String != "" {
		token.Password = capf.NewSecret(made.String.Reveal())
		out.JoinToken, out.String = token.Text(), ""
	}
	return &body[CAPFCreated]{out}, nil
}

func (e *Enrolment) signers(ctx context.Context) ([][32]byte, error) {
	if e.Signers == nil {
		return nil, problem(CodeNotSupported, "this node knows no signers of trust lists, so there is nothing that a join token could pin")
	}
	list, err := e.Signers(ctx)
	if err == nil && len(list) == 0 {
		err = problem(bus.CodeUnavailable, "no trust list has been published yet, so there is no signer that a join token could pin")
	}
	return list[:min(len(list), capf.MaxTokenSigners)], err
}

func (s *Server) capfReset(ctx context.Context, in *capfOwnerInput) (*body[CAPFProfile], error) {
	e, err := s.enrolment()
	if err != nil {
		return nil, err
	}
	o, err := capfprofile.ParseOwner(in.Body.Owner)
	if err != nil {
		return nil, problem(bus.CodeInvalid, plainly(err))
	}
	p, err := e.Profiles.Reset(ctx, o, in.Body.Cancel)
	if err != nil {
		return nil, capfProblem(err)
	}
	return &body[CAPFProfile]{capfRow(p, s.cfg.Now())}, nil
}

func (s *Server) capfDelete(ctx context.Context, in *capfOwnerInput) (*body[CAPFProfile], error) {
	e, err := s.enrolment()
	if err != nil {
		return nil, err
	}
	o, err := capfprofile.ParseOwner(in.Body.Owner)
	if err != nil {
		return nil, problem(bus.CodeInvalid, plainly(err))
	}
	if in.Body.Revoke && s.cfg.CA == nil {
		return nil, problem(CodeNotSupported, "this node has no certificate authority, so it cannot revoke")
	}
	p, err := e.Profiles.Delete(ctx, o)
	if err != nil {
		return nil, capfProblem(err)
	}
	if in.Body.Revoke {
		for _, ref := range p.Refs() {
			if err := s.cfg.CA.Revoke(ctx, ref, "its enrolment profile was deleted"); err != nil {
				return nil, fmt.Errorf("the profile is deleted; its certificate %s is not revoked: %w", ref.Serial, err)
			}
		}
	}
	return &body[CAPFProfile]{capfRow(p, s.cfg.Now())}, nil
}

func (s *Server) capfRequests(ctx context.Context, _ *none) (*body[Rows[CAPFRequest]], error) {
	e, err := s.enrolment()
	if err != nil {
		return nil, err
	}
	all, err := e.Requests.List(ctx)
	out := Rows[CAPFRequest]{Rows: []CAPFRequest{}}
	for _, r := range all {
		out.Rows = append(out.Rows, capfRequest(r, false))
	}
	return &body[Rows[CAPFRequest]]{out}, err
}

func (s *Server) capfExport(ctx context.Context, in *capfExportInput) (*body[Rows[CAPFRequest]], error) {
	e, err := s.enrolment()
	if err != nil {
		return nil, err
	}
	all, err := e.Requests.Export(ctx, in.Body.IDs...)
	out := Rows[CAPFRequest]{Rows: []CAPFRequest{}}
	for _, r := range all {
		out.Rows = append(out.Rows, capfRequest(r, true))
	}
	return &body[Rows[CAPFRequest]]{out}, capfProblem(err)
}

// capfImport takes certificates one by one: what is wrong with one does not keep the others out.
func (s *Server) capfImport(ctx context.Context, in *capfImportInput) (*body[Rows[CAPFRequest]], error) {
	e, err := s.enrolment()
	if err != nil {
		return nil, err
	}
	if e.Adopt == nil || e.Trust == nil {
		return nil, problem(CodeNotSupported, "this node has no certificate authority")
	}
	list, err := pki.ParseCertificates([]byte(in.Body.PEM))
	if err != nil {
		return nil, problem(bus.CodeInvalid, err.Error())
	}
	out := Rows[CAPFRequest]{Rows: []CAPFRequest{}}
	for _, c := range list {
		if c.IsCA { // one of those that stand in between
			continue
		}
		r, err := e.importOne(ctx, c, list, s.cfg.Now())
		if err != nil {
			out.Problems = append(out.Problems, plainly(err))
			continue
		}
		out.Rows = append(out.Rows, capfRequest(r, false))
	}
	if len(out.Rows) == 0 {
		if out.Problems == nil {
			out.Problems = []string{"there are only certificates of authorities in it"}
		}
		return nil, problem(bus.CodeInvalid, "no certificate was taken in", out.Problems...)
	}
	return &body[Rows[CAPFRequest]]{out}, nil
}

// importOne checks key, name and chain, binds the certificate to its holder, and answers the request.
func (e *Enrolment) importOne(ctx context.Context, c *x509.Certificate, with []*x509.Certificate, now time.Time) (capfprofile.Request, error) {
	r, err := e.Requests.Match(ctx, c)
	if err != nil {
		return r, err
	}
	kind := r.Owner.Kind()
	report := e.Trust().Verify(chainOf(c, with), pki.PeerIsClient, pki.PeerPolicy{Peer: r.Owner.String(), Kinds: pki.KindsOf(kind)}, now)
	if err := report.Err(); err != nil {
		return r, fmt.Errorf("%w (its authority must be trusted for holders of kind %s before its certificates are imported)", err, kind)
	}
	if _, err := e.Adopt(ctx, c, kind, r.CommonName); err != nil {
		return r, err
	}
	if err := e.Requests.Answer(ctx, r, c); err != nil {
		return r, err
	}
	r.State = capfprofile.RequestAnswered
	return r, nil
}

// chainOf is the certificate with the authorities' certificates that came with it.
func chainOf(c *x509.Certificate, with []*x509.Certificate) []*x509.Certificate {
	chain := []*x509.Certificate{c}
	for _, other := range with {
		if other.IsCA && len(chain) < pki.MaxChain {
			chain = append(chain, other)
		}
	}
	return chain
}

func (s *Server) capfReject(ctx context.Context, in *capfRejectInput) (*body[CAPFRequest], error) {
	e, err := s.enrolment()
	if err != nil {
		return nil, err
	}
	r, err := e.Requests.Reject(ctx, in.Body.ID, in.Body.Reason)
	if err != nil {
		return nil, capfProblem(err)
	}
	return &body[CAPFRequest]{capfRequest(r, false)}, nil
}
