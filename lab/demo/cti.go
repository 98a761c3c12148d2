package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/cti"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/ldapserver"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// RunCTI plays the scenario "cti" and writes its report.
func RunCTI(ctx context.Context, out io.Writer, asJSON bool, progress func(string)) (proven bool, err error) {
	r, err := CTI(ctx, CTIChange{}, progress)
	if err != nil {
		return false, err
	}
	if asJSON {
		return r.Proven, r.WriteJSON(out)
	}
	return r.Proven, r.WriteText(out)
}

// CTIChange breaks the scenario on purpose, so that a test can see a claim fail.
type CTIChange struct {
	Password string                  // what the application shows in place of its password
	Site     func(*config.Site)      // alters the site before it starts
	Phone    func(*phone.Config)     // alters the phone that is controlled
	Entry    func(*ldapserver.Entry) // alters the user's entry in the directory
}

// Who and what takes part in the scenario: the names are those of the document whose stages it shows.
const (
	ctiUser     = "wwhite"
	ctiPassword = "Heisenberg"
	ctiInstance = "demo1"
	ctiBase     = "OU=Breaking Bad,DC=joshlab,DC=net"
	ctiDN       = "CN=Walter White," + ctiBase
	ctiAdmin    = "CN=Administrator,DC=joshlab,DC=net"
	ctiService  = "of the service account"
	ctiDesk     = "SEP001794625DE5"
	ctiNumber   = "1011"
)

// CTI starts a site, an LDAP directory beside it, a desk phone and two others. An application that the directory knows fetches its
// certificate, logs in over mutual TLS, opens the desk phone, and makes, holds, transfers and ends a call by it.
func CTI(ctx context.Context, change CTIChange, progress func(string)) (r *Report, err error) {
	start := time.Now()
	port, err := net.Listen("tcp", "127.0.0.1:0") // of the directory, which has no certificate before the site is there
	if err != nil {
		return nil, err
	}
	defer port.Close()
	progress("starting a throw-away site")
	site, err := lab.Start(ctx, lab.Options{Progress: progress, Config: ctiSite(port.Addr().(*net.TCPAddr).Port, change)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, site.Close(context.WithoutCancel(ctx))) }()
	dir, err := os.MkdirTemp("", "locktone-application-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &ctiScenario{scenario: scenario{ctx: ctx, site: site, report: &Report{Claim: "an application controlled a desk phone, and every hop of it was proved"}, progress: progress},
		port: port, dir: dir, change: change}
	s.play()
	s.report.Seconds = time.Since(start).Seconds()
	s.report.judge()
	return s.report, nil
}

// ctiSite is the default site with the directory, the application's user and its desk phone.
func ctiSite(port int, change CTIChange) *config.Site {
	c := config.Default("node1")
	c.Lines = append(c.Lines, config.Line{Number: ctiNumber, Partition: "internal", CallingSearchSpace: "internal", Display: "Walter White"})
	c.Devices = append(c.Devices, config.Device{Name: ctiDesk, Model: "8845", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
		Lines: []config.Appearance{{Number: ctiNumber, Partition: "internal"}}})
	c.LDAPDirectories = append(c.LDAPDirectories, config.LDAPDirectory{Name: "joshlab", Servers: []config.LDAPServer{{Host: "localhost", Port: port}}, Base: ctiBase,
		BindDN: ctiAdmin, BindPassword: config.NewPassword(ctiService)})
	c.Users = append(c.Users, config.User{Name: ctiUser, DisplayName: "Walter White", Authentication: config.AuthenticateLDAP, LDAPDirectory: "joshlab",
		Devices: []string{ctiDesk}, Groups: []config.Group{config.GroupCTIEnabled, config.GroupCTISecureConnection}})
	if change.Site != nil {
		change.Site(c)
	}
	return c.Canonical()
}

// ctiScenario is the state of one run.
type ctiScenario struct {
	scenario
	port      net.Listener
	dir       string
	change    CTIChange
	directory *ldapserver.Server
	desk      *phone.Phone
	third     *phone.Phone // to whom the call is transferred
	enrolment *cti.Enrolment
	provider  *cti.Provider
	line      cti.LineID
	since     time.Time // what the trace of the login begins with
}

func (s *ctiScenario) play() {
	defer s.closeAll()
	_ = s.step("a directory knows the user, over LDAPS", s.serveDirectory) &&
		s.step("three phones register", s.phones) &&
		s.stepIn(longStep, "the application fetches its certificate", s.fetch) &&
		s.stepIn(longStep, "it logs in on 2749, through the directory", s.login) &&
		s.step("it opens the desk phone", s.open) &&
		s.step("it makes a call from it", s.dial) &&
		s.step("a tone each way", s.tones) &&
		s.step("it holds the call and takes it back", s.holdAndRetrieve) &&
		s.step("evidence is collected", s.collect) &&
		s.step("it transfers the call to a third", s.transfer) &&
		s.step("it makes and ends another", s.makeAndEnd)
	s.step("every stage of the login is in the trace", s.stages)
	s.ladder()
}

// serveDirectory starts a directory whose certificate is of the site's authority.
func (s *ctiScenario) serveDirectory(ctx context.Context) (string, error) {
	issued, err := s.site.CA.Issue(ctx, pki.Request{Kind: pki.KindPeer, Name: "localhost", DNSNames: []string{"localhost"}})
	if err != nil {
		return "", err
	}
	user := ldapserver.Entry{DN: ctiDN, Password: ctiPassword, Attributes: map[string][]string{"objectClass": {"top", "person", "organizationalPerson", "user"},
		"cn": {"Walter White"}, "displayName": {"Walter White"}, "sAMAccountName": {ctiUser}, "userAccountControl": {"512"}}}
	if s.change.Entry != nil {
		s.change.Entry(&user)
	}
	s.directory, err = ldapserver.Start(s.port, &tls.Config{Certificates: []tls.Certificate{issued.Credential.TLS()}},
		ldapserver.Entry{DN: ctiBase, Attributes: map[string][]string{"objectClass": {"organizationalUnit"}}},
		ldapserver.Entry{DN: ctiAdmin, Password: ctiService, Attributes: map[string][]string{"objectClass": {"person"}}}, user)
	return "at " + s.port.Addr().String(), err
}

func (s *ctiScenario) phones(ctx context.Context) (_ string, err error) {
	take := func(c *phone.Config) { // a desk phone that takes the speaker when its call manager asks for that
		c.Intercom = true
		if s.change.Phone != nil {
			s.change.Phone(c)
		}
	}
	if s.desk, _, err = s.register(ctx, ctiDesk, ctiNumber, take); err != nil {
		return "", err
	}
	if s.bob, _, err = s.register(ctx, "alice", "1001", nil); err != nil {
		return "", err
	}
	s.third, _, err = s.register(ctx, "bob", "1002", nil)
	return ctiDesk + " and two softphones, over mutual TLS", err
}

// fetch orders a certificate for the application's instance and lets it come for it: trust list by TFTP, certificate by CAPF.
func (s *ctiScenario) fetch(ctx context.Context) (_ string, err error) {
	api := admin.NewClient(s.site.Home())
	defer api.Close()
	var created admin.CAPFCreated
	if err := api.Do(ctx, http.MethodPost, "/v1/capf/profiles", admin.CAPFOrder{User: ctiUser, Instance: ctiInstance, EndUser: true, JoinToken: true}, &created); err != nil {
		return "", err
	}
	host := s.site.CallManager().String()
	s.enrolment, err = cti.NewEnrolment(filepath.Join(s.dir, "certificates"), cti.Security{Instance: ctiInstance, CAPF: host, Retries: 2, Interval: 2 * time.Second,
		TFTP: s.site.Provisioning.TFTP().String()}, created.JoinToken, nil, nil)
	if err != nil {
		return "", err
	}
	got, err := s.enrolment.Fetch(ctx)
	if err != nil {
		return "", err
	}
	if !got.Pinned {
		return "", errors.New("the trust list was trusted on first use, not by the token")
	}
	return "CN=CTI-" + ctiInstance + ", pinned by the join token", nil
}

func (s *ctiScenario) login(ctx context.Context) (_ string, err error) {
	password := ctiPassword
	if s.change.Password != "" {
		password = s.change.Password
	}
	s.since = time.Now()
	s.provider, err = cti.Open(ctx, cti.Config{User: ctiUser, Password: secret.New(password), Primary: cti.Manager{Host: s.site.CallManager().String()}, TLS: s.enrolment.TLS,
		Application: "locktone demo"})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d device that it may control", len(s.provider.Devices())), nil
}

func (s *ctiScenario) open(ctx context.Context) (_ string, err error) {
	if s.line, err = s.provider.Find(ctiDesk, ctiNumber); err != nil {
		return "", err
	}
	if err := s.provider.OpenLine(ctx, s.line); err != nil {
		return "", err
	}
	return ctiDesk + ", line " + ctiNumber + ", in service", s.until(ctx, "in service", func(cti.Event) bool { return s.provider.InService(s.line) })
}

// until takes events until one will do; ok is asked once before.
func (s *ctiScenario) until(ctx context.Context, what string, ok func(cti.Event) bool) error {
	if ok(nil) {
		return nil
	}
	for {
		e, err := s.provider.Next(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if ok(e) {
			return nil
		}
	}
}

// reaches waits until a call of the application is in a state.
func (s *ctiScenario) reaches(ctx context.Context, id cti.CallID, want ctiqbe.CallState) error {
	return s.until(ctx, "the call is "+want.String(), func(cti.Event) bool {
		c, ok := s.provider.Call(s.line, id)
		return ok && c.State == want || !ok && want == ctiqbe.CallStateIdle
	})
}

// make has the desk phone call a number, whose phone answers.
func (s *ctiScenario) make(ctx context.Context, number string, at *phone.Phone) (id cti.CallID, called *phone.Call, err error) {
	if id, err = s.provider.Dial(ctx, s.line, number); err != nil {
		return id, nil, err
	}
	select {
	case called = <-at.Incoming():
	case <-ctx.Done():
		return id, nil, fmt.Errorf("the phone of %s did not ring", number)
	}
	called.Tone(bobTone)
	if err := called.Answer(ctx); err != nil {
		return id, nil, err
	}
	return id, called, s.reaches(ctx, id, ctiqbe.CallStateConnected)
}

func (s *ctiScenario) dial(ctx context.Context) (_ string, err error) {
	if _, s.called, err = s.make(ctx, "1001", s.bob); err != nil {
		return "", err
	}
	select {
	case s.calling = <-s.desk.Incoming(): // what the call manager rang it for
	case <-ctx.Done():
		return "", errors.New("the desk phone had no part in it")
	}
	s.calling.Tone(aliceTone)
	return "the desk phone took its speaker, 1001 answered", nil
}

// first is the application's oldest call.
func (s *ctiScenario) first() (cti.Call, error) {
	calls := s.provider.Calls()
	if len(calls) == 0 {
		return cti.Call{}, errors.New("the application knows of no call")
	}
	slices.SortFunc(calls, func(a, b cti.Call) int { return int(a.ID.Leg) - int(b.ID.Leg) })
	return calls[0], nil
}

func (s *ctiScenario) holdAndRetrieve(ctx context.Context) (string, error) {
	c, err := s.first()
	if err != nil {
		return "", err
	}
	if err := s.provider.Hold(ctx, c); err != nil {
		return "", err
	}
	if err := errors.Join(s.reaches(ctx, c.ID, ctiqbe.CallStateOnHold), s.called.WaitNoTone(ctx, aliceTone)); err != nil {
		return "", err
	}
	if err := s.provider.Retrieve(ctx, c); err != nil {
		return "", err
	}
	if err := s.reaches(ctx, c.ID, ctiqbe.CallStateConnected); err != nil {
		return "", err
	}
	return s.tones(ctx)
}

// collect is of the two legs that talk: the desk phone and the one it called.
func (s *ctiScenario) collect(ctx context.Context) (string, error) {
	verified, err := s.verifiedByServer(ctx)
	if err != nil {
		return "", err
	}
	a, b := s.calling.Evidence(), s.called.Evidence()
	s.report.Legs = []Leg{leg(ctiDesk, callmanager.Name, a, b, bobTone, verified[ctiDesk]), leg(callmanager.Name, "alice", b, a, aliceTone, verified["alice"])}
	return "", nil
}

// transfer consults a third phone and joins the two.
func (s *ctiScenario) transfer(ctx context.Context) (string, error) {
	first, err := s.first()
	if err != nil {
		return "", err
	}
	id, err := s.provider.Consult(ctx, first, "1002")
	if err != nil {
		return "", err
	}
	var third *phone.Call
	select {
	case third = <-s.third.Incoming():
	case <-ctx.Done():
		return "", errors.New("the third phone did not ring")
	}
	third.Tone(aliceTone)
	if err := errors.Join(third.Answer(ctx), s.reaches(ctx, id, ctiqbe.CallStateConnected)); err != nil {
		return "", err
	}
	second, ok := s.provider.Call(s.line, id)
	if !ok {
		return "", errors.New("the consultation is gone")
	}
	if err := s.provider.Transfer(ctx, first, second); err != nil {
		return "", err
	}
	if err := errors.Join(s.reaches(ctx, first.ID, ctiqbe.CallStateIdle), s.reaches(ctx, id, ctiqbe.CallStateIdle)); err != nil {
		return "", err
	}
	if _, err := s.called.WaitTone(ctx, aliceTone); err != nil {
		return "", fmt.Errorf("1001 does not hear 1002: %w", err)
	}
	if _, err := third.WaitTone(ctx, bobTone); err != nil {
		return "", fmt.Errorf("1002 does not hear 1001: %w", err)
	}
	if err := third.Hangup(ctx); err != nil {
		return "", err
	}
	_, _, err = s.called.WaitEnded(ctx)
	return "1001 and 1002 hear each other, the desk phone is free", err
}

func (s *ctiScenario) makeAndEnd(ctx context.Context) (string, error) {
	id, called, err := s.make(ctx, "1001", s.bob)
	if err != nil {
		return "", err
	}
	c, ok := s.provider.Call(s.line, id)
	if !ok {
		return "", errors.New("the call is gone")
	}
	if err := errors.Join(s.provider.Drop(ctx, c), s.reaches(ctx, id, ctiqbe.CallStateIdle)); err != nil {
		return "", err
	}
	_, _, err = called.WaitEnded(ctx)
	return "both phones are free", err
}

// ctiStages are the stages of a login by the directory, in the order of Cisco's document 212107 (its step, and the words its traces have), as
// far as they are of a system other than the one it shows.
var ctiStages = []struct{ stage, words string }{
	{"1 the request to open a provider", "CTI ProviderOpenRequest"},
	{"2 the answer", "CTI ProviderOpenResponse"},
	{"3 authentication begins", "CtiLoginCheckReq"},
	{"4 the key is decrypted", "Decrypted Key Status success"},
	{"4 the nonce is validated", "Nonce validation success"},
	{"4 the password is decrypted", "Decrypted Password Status success"},
	{"5 the user's name", "userid is " + ctiUser},
	{"7 authentication goes on with LDAP", "Authenticating using LDAP"},
	{"7 the name is escaped", "After Escaping for LDAP special Characters for Filter"},
	{"8 the directory is connected", "ldaps://"},
	{"10 the service account binds", "LDAP authentication bind SUCCESS for " + ctiAdmin},
	{"11 the user's entry is searched", "Retrieve the specified user entry"},
	{"11 the search is complete", "LDAP Search complete"},
	{"11 its name is found", "Got DN: " + ctiDN},
	{"12 the user binds", "LDAP authentication bind SUCCESS for " + ctiDN},
	{"13 the login is checked", "CtiLoginCheckRes"},
	{"13 the user's settings are read", "CtiUserSettingsReq"},
	{"14 the permissions are confirmed", "CtiUserSettingsRes"},
	{"15 the device is opened", "CTI DeviceOpenRequest"},
	{"16 the answer", "CTI DeviceOpenResponse"},
	{"17 the device is in service", "CTI DeviceInServiceEvent"},
	{"17 the line is opened", "CTI LineOpenRequest"},
}

// stages looks the stages up in the trace, in their order, and sees to it that the password is nowhere in it.
func (s *ctiScenario) stages(context.Context) (string, error) {
	recs := s.site.Trace.Recent(trace.Filter{Service: ctimanager.Name}, 10_000)
	at := 0
	for _, want := range ctiStages {
		i := slices.IndexFunc(recs[at:], func(r trace.Record) bool {
			return !r.Time.Before(s.since.Truncate(time.Microsecond)) && strings.Contains(r.Summary, want.words)
		})
		if i < 0 {
			return "", fmt.Errorf("stage %s: no record says %q", want.stage, want.words)
		}
		at += i
		s.report.Stages = append(s.report.Stages, Stage{Name: want.stage, Said: recs[at].Summary})
	}
	for _, r := range recs {
		for _, text := range []string{r.Summary, string(r.Body)} {
			if strings.Contains(text, ctiPassword) || strings.Contains(text, ctiService) {
				return "", errors.New("a password is in the trace")
			}
		}
	}
	return fmt.Sprintf("%d of them, no password", len(ctiStages)), nil
}

func (s *ctiScenario) closeAll() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), stepTime)
	defer cancel()
	if s.provider != nil {
		_ = s.provider.Close() // the report is what counts; the site goes away anyhow
	}
	for _, p := range []*phone.Phone{s.desk, s.third} {
		if p != nil {
			_ = p.Close(ctx)
		}
	}
	s.close()
	if s.directory != nil {
		_ = s.directory.Close(ctx)
	}
}
