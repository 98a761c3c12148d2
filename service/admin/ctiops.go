package admin

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/rights"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/wire/trustlist"
)

// ctiManager is the name of the service on the bus.
const ctiManager = "ctimanager"

// CTIWhy is the walk over all conditions of controlling a device.
type CTIWhy struct {
	User     string       `json:"user"`
	Device   string       `json:"device"`
	Port     int          `json:"port"`
	OK       bool         `json:"ok"`
	Verdicts []CTIVerdict `json:"verdicts"`
	First    *CTIVerdict  `json:"first,omitempty" doc:"the first condition that is not met"`
	Problems []string     `json:"problems,omitempty" doc:"what could not be asked"`
}

// CTIVerdict is what became of one condition.
type CTIVerdict struct {
	Step      string `json:"step"`
	Condition string `json:"condition"`
	Finding   string `json:"finding" enum:"ok,failed,not-needed,unknown"`
	Found     string `json:"found"`
	Fix       string `json:"fix,omitempty" doc:"what to do"`
	Value     string `json:"value,omitempty" doc:"what the CTI manager answers: name (number)"`
}

type ctiQuery struct {
	User     string `query:"user" maxLength:"128"`
	Device   string `query:"device" maxLength:"128"`
	Line     string `query:"line" maxLength:"64" doc:"only this line of the device"`
	Port     int    `query:"port" doc:"where the application comes to: 2749, or 2748 without TLS; left out: 2749"`
	Instance string `query:"instance" maxLength:"128" doc:"only this instance of the user's application"`
	Keys     bool   `query:"keys" doc:"also what it takes to be given SRTP keys"`
}

// CTIPardon names an instance whose certificate is trusted again.
type CTIPardon struct {
	Owner string `json:"owner" minLength:"1" maxLength:"260" doc:"user/instance id"`
}

type ctiPardonInput struct{ Body CTIPardon }

func (i *ctiPardonInput) object() string { return i.Body.Owner }

func (s *Server) ctiOperations(api huma.API) {
	add(s, api, get("cti-why", "/v1/cti/why", RoleOperator, "Whether a user may control a device through CTI: every condition in order, the first that is not met, and what to do"), s.ctiWhy)
	add(s, api, operation{id: "cti-pardon", method: http.MethodPost, path: "/v1/cti/pardon", role: RoleAdministrator, action: "pardon-cti-certificate",
		summary: "Lift the mark that an instance's certificate is compromised"}, s.ctiPardon)
}

func (s *Server) ctiWhy(ctx context.Context, in *ctiQuery) (*body[CTIWhy], error) {
	switch {
	case in.User == "" || in.Device == "":
		return nil, problem(bus.CodeInvalid, "a user and a device are needed")
	case in.Port == 0:
		in.Port = rights.SecurePort
	case in.Port != rights.SecurePort && in.Port != rights.ClearPort:
		return nil, problem(bus.CodeInvalid, fmt.Sprintf("applications come to port %d or %d, not to %d", rights.SecurePort, rights.ClearPort, in.Port))
	}
	f, problems, err := s.ctiFacts(ctx, in)
	if err != nil {
		return nil, err
	}
	last := rights.State
	if in.Keys {
		last = rights.Keys
	}
	all := rights.Walk(f, last)
	out := CTIWhy{User: in.User, Device: in.Device, Port: in.Port, OK: true, Problems: problems}
	for _, v := range all {
		out.Verdicts = append(out.Verdicts, ctiVerdict(v))
	}
	if v, failed := rights.First(all); failed {
		first := ctiVerdict(v)
		out.OK, out.First = false, &first
	}
	return &body[CTIWhy]{out}, nil
}

func ctiVerdict(v rights.Verdict) CTIVerdict {
	out := CTIVerdict{Step: v.Step.String(), Condition: v.Condition, Finding: v.Finding.String(), Found: v.Found, Fix: v.Fix}
	if v.Result != 0 {
		out.Value = v.Result.Error()
	}
	return out
}

// ctiFacts gathers what the conditions are asked of. What cannot be asked is left out, and said.
func (s *Server) ctiFacts(ctx context.Context, in *ctiQuery) (f *rights.Facts, problems []string, err error) {
	snap, err := s.cfg.Store.Site(ctx)
	if err != nil {
		return nil, nil, err
	}
	f = &rights.Facts{Now: s.cfg.Now(), Site: directory.Compile(snap.Revision.Number, snap.Site), Nodes: snap.Site.Nodes, User: in.User, Device: in.Device, Line: in.Line,
		Port: in.Port, Instance: in.Instance}
	note := func(err error) {
		if err != nil {
			problems = append(problems, err.Error())
		}
	}
	f.Managers, err = s.servicesOf(ctx, ctiManager, nodesRunning(snap.Site, config.ServiceCTIManager, nil))
	note(err)
	f.CTL, err = s.ctlFacts(ctx, f)
	note(err)
	if u, ok := f.Site.User(in.User); ok {
		note(s.userFacts(ctx, f, u))
	}
	if d, ok := f.Site.Device(in.Device); ok {
		f.CallManagers, err = s.servicesOf(ctx, callManager, nodesRunning(snap.Site, config.ServiceCallManager, d.Nodes))
		note(err)
		f.Registration, err = s.registrationFacts(ctx, d)
		note(err)
	}
	return f, problems, nil
}

// nodesRunning are the nodes that run a service by the configuration; among, where it is not nil.
func nodesRunning(site *config.Site, service config.ServiceName, among []string) (names []string) {
	for _, n := range site.Nodes {
		if n.Runs(service) && (among == nil || slices.Contains(among, n.Name)) {
			names = append(names, n.Name)
		}
	}
	return names
}

// servicesOf asks a service on nodes how it is. A node that does not answer is in the list too.
func (s *Server) servicesOf(ctx context.Context, service string, nodes []string) ([]rights.Service, error) {
	out := []rights.Service{}
	if len(nodes) == 0 {
		return out, nil
	}
	ctx, cancel := context.WithTimeout(ctx, busWait)
	defer cancel()
	answers, err := bus.AskAll[bus.StatusRequest, bus.ServiceStatus](ctx, s.cfg.Bus, s.cfg.Bus.AllNodes(service, bus.VerbStatus), bus.StatusRequest{}, nodes...)
	if err != nil {
		return nil, err
	}
	for _, a := range answers {
		x := rights.Service{Node: a.Node}
		if a.Err == nil {
			x.State, x.Problem, x.Addresses = a.Value.State, a.Value.Problem, a.Value.Addresses
		}
		out = append(out, x)
	}
	return out, nil
}

// ctlFacts looks whether the CTL in force has the certificates of the CTI managers that answer.
func (s *Server) ctlFacts(ctx context.Context, f *rights.Facts) (*rights.CTL, error) {
	if s.cfg.Lists == nil {
		return nil, nil
	}
	v, err := s.cfg.Lists.Current(ctx, trustlist.CTL)
	if errors.Is(err, fs.ErrNotExist) {
		return &rights.CTL{}, nil
	}
	if err != nil {
		return nil, err
	}
	out := &rights.CTL{Version: v.Number}
	for _, m := range f.Managers {
		listed, inTime := false, false
		for _, r := range v.Records {
			if r.Service == ctiManager && r.Node == m.Node && r.State == pki.StateActive && !r.Client && !r.NotAfter.IsZero() { // a reduced record has no certificate
				listed, inTime = true, inTime || f.Now.Before(r.NotAfter)
			}
		}
		switch {
		case !listed:
			out.Missing = append(out.Missing, m.Node)
		case !inTime:
			out.Expired = append(out.Expired, m.Node)
		}
	}
	return out, nil
}

// userFacts are what is remembered of the user's logins, what its directory says, and its instances.
func (s *Server) userFacts(ctx context.Context, f *rights.Facts, u *directory.User) error {
	var errs []error
	if s.cfg.Logins.Accounts != nil {
		account, err := s.cfg.Logins.Accounts.Get(ctx, u.Name)
		if err == nil {
			f.Account = &account
		}
		errs = append(errs, err)
	}
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	f.Source = s.source(asking, u)
	if s.cfg.Enrolment.Profiles == nil {
		return errors.Join(errs...)
	}
	all, err := s.cfg.Enrolment.Profiles.List(ctx)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	marked := map[string]string{}
	if s.cfg.Logins.Compromised != nil {
		marks, err := s.cfg.Logins.Compromised(ctx)
		errs = append(errs, err)
		for _, m := range marks {
			marked[m.Issuer+"/"+m.Serial] = m.Why
		}
	}
	f.Enrolment = &rights.Enrolment{}
	for _, p := range all {
		if p.User == u.Name {
			f.Enrolment.Instances = append(f.Enrolment.Instances, s.instance(p, marked, f.Now))
		}
	}
	return errors.Join(errs...)
}

// instance is what is known of one instance: its newest certificate, as the CTI manager would verify it.
func (s *Server) instance(p capfprofile.Profile, marked map[string]string, now time.Time) rights.Instance {
	out := rights.Instance{ID: p.Instance, Operation: p.Operation.String(), Status: string(p.Status), Locked: p.Locked(now)}
	c := p.LSC
	if c == nil {
		c = p.Unconfirmed
	}
	if c == nil {
		return out
	}
	out.Issued, out.NotBefore, out.NotAfter = true, c.NotBefore, c.NotAfter
	out.Compromised = marked[c.Issuer+"/"+c.Serial]
	leaf, err := x509.ParseCertificate(c.DER)
	if err != nil || s.cfg.Enrolment.Trust == nil {
		return out
	}
	report := s.cfg.Enrolment.Trust().Verify([]*x509.Certificate{leaf}, pki.PeerIsClient, pki.PeerPolicy{Peer: "instance " + p.Instance, Kinds: pki.KindsOf(pki.KindCTI)}, now)
	for _, finding := range report.Findings {
		switch {
		case finding.Severity != pki.Refusal || finding.Rule == pki.RuleExpired || finding.Rule == pki.RuleNotYetValid:
		case finding.Rule == pki.RuleIssuerMissing: // the application sends what stands between its certificate and a root; the profile does not have it
		case finding.Rule == pki.RuleRevoked:
			out.Revoked = finding.What
		case out.Unverified == "":
			out.Unverified = finding.What
		}
	}
	return out
}

// registrationFacts are how the device is there, and why not.
func (s *Server) registrationFacts(ctx context.Context, d *directory.Device) (*rights.Registration, error) {
	rows := gather[bus.Registration](ctx, s, bus.VerbRegistrations, d.Name)
	out := &rights.Registration{}
	for _, r := range rows.Rows {
		if r.Device == d.Name && r.State == "registered" {
			return &rights.Registration{Registered: true, Node: r.Node}, nil
		}
	}
	newest := time.Time{}
	for _, c := range gather[bus.Connection](ctx, s, bus.VerbConnections, "").Rows { // failures are known by address: their text names the certificate
		its := c.Peer == d.Name || strings.Contains(c.LastFailure, "CN="+d.Name) || c.State == "failed" && c.Subject == "CN="+d.Name
		if its && c.LastFailure != "" && c.LastFailureAt.After(newest) {
			out.Failure, newest = c.LastFailure, c.LastFailureAt
		}
	}
	if len(rows.Problems) > 0 {
		return out, errors.New(strings.Join(rows.Problems, "; "))
	}
	return out, nil
}

func (s *Server) ctiPardon(ctx context.Context, in *ctiPardonInput) (*body[CTIPardon], error) {
	if s.cfg.Logins.Pardon == nil {
		return nil, problem(CodeNotSupported, "this node runs no CTI manager: ask one that does")
	}
	owner, err := capfprofile.ParseOwner(in.Body.Owner)
	if err != nil || owner.User == "" {
		return nil, problem(bus.CodeInvalid, fmt.Sprintf("%q is no instance: expected user/instance id", in.Body.Owner))
	}
	err = s.cfg.Logins.Pardon(ctx, owner.User, owner.Instance)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, problem(bus.CodeNotFound, fmt.Sprintf("no certificate of %s is marked as compromised", owner))
	}
	if err != nil {
		return nil, err
	}
	return &body[CTIPardon]{in.Body}, nil
}
