package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/desk"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki/rotation"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/provisioning"
	"github.com/locktone/locktone/wire/capf"
)

// RunTrust plays the scenario "trust" and writes its report.
func RunTrust(ctx context.Context, out io.Writer, asJSON bool, progress func(string)) (proven bool, err error) {
	r, err := Trust(ctx, TrustChange{}, progress)
	if err != nil {
		return false, err
	}
	if asJSON {
		return r.Proven, r.WriteJSON(out)
	}
	return r.Proven, r.WriteText(out)
}

// TrustChange breaks the scenario on purpose, so that a test can see a claim fail.
type TrustChange struct {
	// Token alters the join token that a phone is given.
	Token func(phone string, t capf.JoinToken) capf.JoinToken
	// Rotate is what is rotated in place of everything.
	Rotate rotation.Target
}

// The phones of the scenario.
var desks = []struct{ name, number string }{{"SEP0A1B2C3D4E01", "1011"}, {"SEP0A1B2C3D4E02", "1012"}}

// Trust starts a site that is not secure, makes it secure with one command, lets two desk phones provision themselves, and
// replaces every certificate of the site and of the phones while they talk.
func Trust(ctx context.Context, change TrustChange, progress func(string)) (r *Report, err error) {
	start := time.Now()
	progress("starting a throw-away site")
	site, err := lab.Start(ctx, lab.Options{Progress: progress, Config: trustSite(), Patience: patience})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, site.Close(context.WithoutCancel(ctx))) }()
	dir, err := os.MkdirTemp("", "locktone-desks-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	api := admin.NewClient(site.Home())
	defer api.Close()
	if change.Rotate == "" {
		change.Rotate = rotation.All
	}
	s := &trustScenario{scenario: scenario{ctx: ctx, site: site, report: &Report{Claim: "trust provisioned itself, and every certificate was replaced under a call"}, progress: progress},
		api: api, dir: dir, change: change, tokens: map[string]capf.JoinToken{}, phones: map[string]*desk.Phone{}}
	s.play()
	s.report.Seconds = time.Since(start).Seconds()
	s.report.judge()
	return s.report, nil
}

// patience is how long a step of the rotation waits for phones that are awake: they look again within a second.
const patience = 20 * time.Second

// trustSite is the default site without security, and with two desk phones.
func trustSite() *config.Site {
	c := config.Default("node1")
	c.Cluster.SecurityMode = config.NonSecureCluster
	for _, d := range desks {
		c.Lines = append(c.Lines, config.Line{Number: d.number, Partition: "internal", CallingSearchSpace: "internal", Display: d.name})
		c.Devices = append(c.Devices, config.Device{Name: d.name, Model: "8845", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: d.number, Partition: "internal"}}})
	}
	return c.Canonical()
}

// trustScenario is the state of one run.
type trustScenario struct {
	scenario
	api    *admin.Client
	dir    string
	change TrustChange
	tokens map[string]capf.JoinToken
	phones map[string]*desk.Phone
	before map[string]string // who presents which serial number
}

// longStep is the time for what many small steps make up.
const longStep = 60 * time.Second

func (s *trustScenario) long(name string, do func(ctx context.Context) (string, error)) bool {
	return s.stepIn(longStep, name, do)
}

func (s *trustScenario) play() {
	defer s.closeDesks()
	_ = s.step("the site is made secure: trust mode mixed", s.mixed) &&
		s.step("enrolment is ordered, with join tokens", s.order) &&
		s.long("the phones fetch lists and files, and enrol", s.provision) &&
		s.step("one calls the other", s.call) &&
		s.step("a tone each way", s.tones) &&
		s.step("what is presented now is noted", s.note) &&
		s.long("everything is rotated under the call", s.rotate) &&
		s.step("the call is the same one, and both hear", s.same) &&
		s.step("every new handshake shows the new serial", s.renewed) &&
		s.step("evidence is collected", s.evidence) &&
		s.step("the call ends", s.hangup)
	s.ladder()
}

// mixed is the one command that the field's forty steps are.
func (s *trustScenario) mixed(ctx context.Context) (string, error) {
	var was, is admin.Mode
	if err := s.api.Do(ctx, http.MethodGet, "/v1/trust/mode", nil, &was); err != nil {
		return "", err
	}
	if err := s.api.Do(ctx, http.MethodPut, "/v1/trust/mode", map[string]string{"mode": "mixed"}, &is); err != nil {
		return "", err
	}
	if was.Code != 0 || is.Code != 1 || is.CTL <= was.CTL {
		return "", fmt.Errorf("mode %d with CTL %d became %d with CTL %d", was.Code, was.CTL, is.Code, is.CTL)
	}
	return fmt.Sprintf("0 became 1, CTL version %d was signed and is served", is.CTL), nil
}

func (s *trustScenario) order(ctx context.Context) (string, error) {
	for _, d := range desks {
		var created admin.CAPFCreated
		if err := s.api.Do(ctx, http.MethodPost, "/v1/capf/profiles", admin.CAPFOrder{Device: d.name, JoinToken: true}, &created); err != nil {
			return "", err
		}
		token, err := enroll.ParseAuthorization(created.JoinToken)
		if err != nil {
			return "", err
		}
		if s.change.Token != nil {
			token = s.change.Token(d.name, token)
		}
		s.tokens[d.name] = token
	}
	return "each good once, each naming the signers of the trust list", nil
}

func (s *trustScenario) provision(ctx context.Context) (string, error) {
	for _, d := range desks {
		p, err := desk.Start(ctx, desk.Config{Name: d.name, Dir: filepath.Join(s.dir, d.name), Source: enroll.TFTP{Server: s.site.Provisioning.TFTP().String()}, Domain: "locktone.test", Authorization: s.tokens[d.name],
			Observe: func(e enroll.Event) { s.progress(d.name + ": " + e.Text) }})
		if err != nil {
			return "", fmt.Errorf("%s: %w", d.name, err)
		}
		s.phones[d.name] = p
		if !p.First.Pinned || p.First.Serial == "" {
			return "", fmt.Errorf("%s: enrolled without pinning: %+v", d.name, p.First)
		}
	}
	for _, d := range desks {
		if err := s.phones[d.name].WaitRegistered(ctx); err != nil { // it may have been told to look again meanwhile
			return "", err
		}
		row, err := s.registration(ctx, d.name)
		if err != nil {
			return "", err
		}
		if row.Mode != "encrypted" || row.Certificate != "LSC" || !strings.EqualFold(row.Serial, s.phones[d.name].LSC()) {
			return "", fmt.Errorf("%s is registered as %+v, and shows %s", d.name, row, s.phones[d.name].LSC())
		}
	}
	return "by TFTP, pinned by the token; registered encrypted with the LSC they enrolled for", nil
}

func (s *trustScenario) registration(ctx context.Context, device string) (bus.Registration, error) {
	rows, err := bus.Ask[bus.Query, []bus.Registration](ctx, s.site.Bus, s.site.Bus.Subject(callmanager.Name, bus.VerbRegistrations), bus.Query{Name: device})
	if err == nil && (len(rows) != 1 || rows[0].State != "registered") {
		err = fmt.Errorf("%s is not registered", device)
	}
	if err != nil {
		return bus.Registration{}, err
	}
	return rows[0], nil
}

func (s *trustScenario) call(ctx context.Context) (_ string, err error) {
	from, to := s.phones[desks[0].name], s.phones[desks[1].name]
	if s.calling, err = from.Dial(ctx, desks[1].number); err != nil {
		return "", err
	}
	select {
	case s.called = <-to.Incoming():
	case <-ctx.Done():
		return "", errors.New("the other phone did not ring")
	}
	s.calling.Tone(aliceTone)
	s.called.Tone(bobTone)
	if err := s.called.Answer(ctx); err != nil {
		return "", err
	}
	return "answered", s.calling.WaitAnswered(ctx)
}

// note asks every TLS port which certificate it presents, and the phones which they show.
func (s *trustScenario) note(ctx context.Context) (_ string, err error) {
	if s.before, err = s.presented(ctx); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d certificates", len(s.before)), nil
}

func (s *trustScenario) presented(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	at := s.site.CallManager()
	for service, port := range map[string]uint16{callmanager.Name: 5061, "capf": 3804, "tvs": 2445, provisioning.Name: s.site.Provisioning.HTTPS().Port()} {
		serial, err := serverSerial(ctx, netip.AddrPortFrom(at, port).String())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", service, err)
		}
		out[service] = serial
	}
	for _, x := range s.site.Signers.All() {
		if x.State.String() == "active" {
			out[x.Name] = x.Certificate.SerialNumber.Text(16)
		}
	}
	for _, d := range desks {
		out["LSC of "+d.name] = s.phones[d.name].LSC()
	}
	out["client certificate of "+callmanager.Name] = s.site.Identity(callmanager.Name).Snapshot().Certificates.Client[0].Leaf().SerialNumber.Text(16)
	roots := s.site.CA.Roots()
	out["root"] = roots[len(roots)-1].SerialNumber.Text(16)
	return out, nil
}

// serverSerial is the serial number of what a port presents; it is looked at, not trusted.
func serverSerial(ctx context.Context, addr string) (serial string, err error) {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(cs tls.ConnectionState) error { //nolint:gosec // only read
		serial = cs.PeerCertificates[0].SerialNumber.Text(16)
		return nil
	}}}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = conn.Close()
	}
	if serial != "" { // it may refuse us for having no certificate; what it showed is what counts
		return serial, nil
	}
	return "", err
}

// rotate begins the rotation and waits until it is over.
func (s *trustScenario) rotate(ctx context.Context) (string, error) {
	packets := s.called.Evidence().RxAuth
	var st rotation.Status
	if err := s.api.Do(ctx, http.MethodPost, "/v1/trust/rotation", admin.RotationRequest{Target: s.change.Rotate}, &st); err != nil {
		return "", err
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for st.Running() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("at step %d of %d, waiting for %d: %v %s%s", st.Done+1, len(st.Steps), st.Waiting, st.Waits, st.Problem, s.lookedAgain())
		}
		if err := s.api.Do(ctx, http.MethodGet, "/v1/trust/rotation", nil, &st); err != nil {
			return "", err
		}
		if st.Running() {
			s.progress(fmt.Sprintf("rotation: step %d of %d", st.Done+1, len(st.Steps)))
		}
	}
	return fmt.Sprintf("%d steps in %.1f s, %d packets authenticated meanwhile", len(st.Steps), st.Ended.Sub(st.Started).Seconds(), s.called.Evidence().RxAuth-packets), nil
}

// lookedAgain says how the phones' last look went.
func (s *trustScenario) lookedAgain() (text string) {
	for name, p := range s.phones {
		n, err := p.Rounds()
		text += fmt.Sprintf("; %s has looked again %d times", name, n)
		if err != nil {
			text += " (" + err.Error() + ")"
		}
	}
	return text
}

// same makes sure that the call was not dropped and set up again.
func (s *trustScenario) same(ctx context.Context) (string, error) {
	for who, c := range map[string]*phone.Call{"caller": s.calling, "called": s.called} {
		if !c.Talking() {
			return "", fmt.Errorf("the call of the %s has ended: %s %s", who, c.Reason(), c.Warning())
		}
	}
	a, b := s.called.Evidence().RxAuth, s.calling.Evidence().RxAuth
	if err := s.called.WaitPackets(ctx, a+musicPackets); err != nil {
		return "", err
	}
	if err := s.calling.WaitPackets(ctx, b+musicPackets); err != nil {
		return "", err
	}
	return s.tones(ctx)
}

// renewed compares what is presented now with what was.
func (s *trustScenario) renewed(ctx context.Context) (string, error) {
	now, err := s.presented(ctx)
	if err != nil {
		return "", err
	}
	var same []string
	for who, serial := range s.before {
		s.report.Serials = append(s.report.Serials, Serial{Who: who, Before: serial, After: now[who]})
		if now[who] == serial || now[who] == "" {
			same = append(same, who)
		}
	}
	s.report.sortSerials()
	if same != nil {
		return "", fmt.Errorf("not replaced: %s", strings.Join(same, ", "))
	}
	return fmt.Sprintf("%d of %d", len(now), len(s.before)), nil
}

// evidence makes the table of the call.
func (s *trustScenario) evidence(ctx context.Context) (string, error) {
	verified, err := s.verifiedByServer(ctx)
	if err != nil {
		return "", err
	}
	a, b := s.calling.Evidence(), s.called.Evidence()
	s.report.Legs = []Leg{
		leg(desks[0].name, callmanager.Name, a, b, bobTone, verified[desks[0].name]),
		leg(callmanager.Name, desks[1].name, b, a, aliceTone, verified[desks[1].name]),
	}
	for i := range s.report.Legs {
		s.report.Legs[i].Listed = true // verified by the trust list: the certificate stands for itself
	}
	return "", nil
}

func (s *trustScenario) closeDesks() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), stepTime)
	defer cancel()
	for _, p := range s.phones {
		_ = p.Close(ctx)
	}
}
