package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/enroll"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/desk"
	"github.com/locktone/locktone/lab/desktop"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
	agents "github.com/locktone/locktone/service/contactcenter/desk"
	"github.com/locktone/locktone/service/contactcenter/phones"
	"github.com/locktone/locktone/trace/pcapng"
	"github.com/locktone/locktone/wire/sip/transport"
)

// ContactCenterOptions are what `locktone demo contact-centre` can be asked for besides.
type ContactCenterOptions struct {
	// Capture is the file that the signalling is written to; empty is a new one in the folder for temporary files, which the report names.
	Capture string
	// Show is what a command says of the site in a home folder: show sip-ua connections tcp tls detail. The report has it before and during
	// the call; nil leaves it out.
	Show func(ctx context.Context, home string, words ...string) (string, error)
	// Keep leaves everything running after the report, until the context ends.
	Keep bool
}

// RunContactCenter plays the scenario "contact-centre" and writes its report.
func RunContactCenter(ctx context.Context, out io.Writer, asJSON bool, progress func(string), o ContactCenterOptions) (proven bool, err error) {
	r, err := ContactCenter(ctx, ContactCenterChange{}, o, progress, func(r *Report) error {
		if asJSON {
			return r.WriteJSON(out)
		}
		return r.WriteText(out)
	})
	return err == nil && r.Proven, err
}

// ContactCenterChange breaks the scenario on purpose, so that a test can see a claim fail.
type ContactCenterChange struct {
	Site  func(*config.Site)  // alters the site before it starts
	Agent func(*phone.Config) // alters the agent's phone
	Call  func(*phone.Config) // alters the caller
}

// Who takes part in the scenario.
const (
	ccAgent    = "jesse"
	ccPassword = "capncook-and-more"
	ccDesk     = "SEP0A1B2C3D4E11"
	ccLine     = "1011"
	ccContact  = "6000"
	// Tones: what the callers hear of the greeting and of the queue, so that each can be told apart from everything else.
	greetingTone = 700
	queueTone    = 620
)

// ContactCenter plays the document whose subject is the protected contact-centre call: a caller comes in through the border, the call server takes
// the call, the voice browser greets and plays music, an agent becomes ready, is reserved and answers, and every hop is TLS with both ends
// verified. Each of the document's questions is answered with what was measured. told gets the report before everything is stopped.
func ContactCenter(ctx context.Context, change ContactCenterChange, o ContactCenterOptions, progress func(string), told func(*Report) error) (r *Report, err error) {
	start := time.Now()
	dir, err := os.MkdirTemp("", "locktone-contact-centre-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file, err := captureFile(o.Capture)
	if err != nil {
		return nil, err
	}
	o.Capture = file.Name()
	defer func() { err = errors.Join(err, file.Close()) }()
	capture, err := pcapng.NewWriter(file, "locktone demo contact-centre")
	if err != nil {
		return nil, err
	}
	progress("starting a throw-away site: call manager, border, call server, voice browser, contact centre")
	network := element.Network{Listen: func(at netip.AddrPort) (net.Listener, error) {
		l, err := net.Listen("tcp", at.String())
		if err != nil {
			return nil, err
		}
		return capture.Listener(l), nil
	}}
	s := &ccScenario{dir: dir, file: o.Capture, capture: capture, change: change, show: o.Show}
	site, err := lab.Start(ctx, lab.Options{Progress: progress, ConfigAt: s.config,
		Tune: func(c *callmanager.Config) {
			c.Network, c.KeyLog = network, pki.KeyLogWriter(capture.KeyLog())
		}, Laboratory: siteLaboratory(network, capture)})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, site.Close(context.WithoutCancel(ctx))) }()
	if err := sounds(filepath.Join(site.Home(), "callserver", "audio")); err != nil {
		return nil, err
	}
	s.scenario = scenario{ctx: ctx, site: site, report: &Report{Claim: "a caller was greeted, waited and talked to an agent, and every hop was protected"}, progress: progress}
	s.api = admin.NewClient(site.Home())
	defer s.api.Close()
	defer s.closeAll()
	s.play()
	s.report.Seconds = time.Since(start).Seconds()
	s.report.judge()
	if told != nil {
		err = told(s.report)
	}
	if o.Keep && err == nil {
		s.keep()
	}
	return s.report, err
}

// captureFile is the file named, or a new one in the folder for temporary files, which stays.
func captureFile(name string) (*os.File, error) {
	if name == "" {
		return os.CreateTemp("", "locktone-contact-centre-*.pcapng")
	}
	return os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
}

// sounds are the greeting and the music of the queue: files that the call server hands to the voice browser.
func sounds(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name    string
		hz      float64
		seconds int
	}{{"greeting.wav", greetingTone, 1}, {"waiting.wav", queueTone, 10}} {
		pcm := make([]int16, f.seconds*8000)
		if _, err := tone.NewSine(f.hz, -12).ReadPCM(pcm); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.name), wav.Append(nil, pcm), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ccScenario is the state of one run.
type ccScenario struct {
	scenario
	api     *admin.Client
	dir     string
	file    string
	capture *pcapng.Writer
	change  ContactCenterChange
	show    func(ctx context.Context, home string, words ...string) (string, error)
	at      netip.Addr // of the call manager
	agent   *desk.Phone
	caller  *phone.Phone
	desktop *desktop.Desktop
	contact string // the contact's id
}

// config is the site: the default one with a contact centre, and with an agent at a desk phone.
func (s *ccScenario) config(at netip.Addr) *config.Site {
	s.at = at
	c := config.Default("node1").WithContactCenter(at)
	c.Lines = append(c.Lines, config.Line{Number: ccLine, Partition: "internal", CallingSearchSpace: "internal", Display: "Jesse"})
	c.Devices = append(c.Devices, config.Device{Name: ccDesk, Model: "8845", DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
		Lines: []config.Appearance{{Number: ccLine, Partition: "internal"}}})
	c.Users = append(c.Users, config.User{Name: ccAgent, DisplayName: "Jesse", Password: config.NewVerifier(ccPassword)})
	for i := range c.Users {
		if c.Users[i].Name == "contactcenter" {
			c.Users[i].Devices = []string{ccDesk}
		}
	}
	c.Agents = []config.Agent{{Name: ccAgent, Team: "service", Device: ccDesk, Number: ccLine, Skills: []config.AgentSkill{{Skill: "service", Level: 8}}}}
	c.Queues[0].Music = "waiting.wav"
	for i := range c.RoutingScripts[0].Nodes {
		if n := &c.RoutingScripts[0].Nodes[i]; n.Name == "greeting" {
			n.Prompts = append([]config.FlowPrompt{{Audio: "greeting.wav"}}, n.Prompts...)
		}
	}
	if s.change.Site != nil {
		s.change.Site(c)
	}
	return c.Canonical()
}

// beside is the address of a role.
func (s *ccScenario) beside(last byte) netip.Addr {
	b := s.at.As4()
	b[3] = last
	return netip.AddrFrom4(b)
}

func (s *ccScenario) callServer() netip.Addr   { return s.beside(20) }
func (s *ccScenario) voiceBrowser() netip.Addr { return s.beside(30) }
func (s *ccScenario) border() netip.Addr       { return s.beside(40) }

func (s *ccScenario) play() {
	_ = s.step("each role has its own certificate and address", s.roles) &&
		s.stepIn(longStep, "the agent's phone enrols an LSC and registers", s.registerAgent) &&
		s.stepIn(longStep, "the contact centre controls it, through CTI", s.controlled) &&
		s.step("the agent logs in, and is not ready", s.logIn) &&
		s.question("show sip-ua connections: is there no TLS connection with the call server yet?", s.notYet) &&
		s.stepIn(longStep, "a caller calls "+ccContact, s.call) &&
		s.step("the greeting is heard", s.greeting) &&
		s.question("while no agent is ready: is music heard, and is the call up?", s.music) &&
		s.question("call server and border: is SIP over TLS established (capture)?", s.captured("border", s.border)) &&
		s.question("call server and voice browser: is SIP over TLS established (capture)?", s.captured("voice browser", s.voiceBrowser)) &&
		s.question("show sip-ua connections: is there a TLS connection with the call server now?", s.shown) &&
		s.step("the agent becomes ready", s.ready) &&
		s.question("is the agent reserved, and is the call routed to the agent?", s.reserved) &&
		s.question("the agent answers: does the call connect?", s.answer) &&
		s.step("both hear each other", s.tones) &&
		s.question("call server and call manager: is all of SIP over TLS (capture)?", s.captured("call manager", func() netip.Addr { return s.at })) &&
		s.step("evidence is collected", s.collect) &&
		s.step("the caller hangs up, the agent wraps up", s.wrapUp)
	s.ladderOf(s.globalID())
}

// ccTone is what the caller sends, in hertz.
const ccTone = 500

// poll is how often the CTI Manager's connections are looked at.
const poll = 50 * time.Millisecond

func (s *ccScenario) roles(ctx context.Context) (string, error) {
	seen := map[string]string{}
	for _, x := range []struct {
		name string
		at   netip.Addr
	}{{"callmanager", s.at}, {"callserver", s.callServer()}, {"voicebrowser", s.voiceBrowser()}, {"border", s.border()}} {
		var d tls.Dialer
		d.Config = &tls.Config{RootCAs: s.site.Roots(), ServerName: x.at.String(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &tls.Certificate{}, nil }}
		c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(x.at, 5061).String())
		if err != nil {
			return "", fmt.Errorf("%s at %s: %w", x.name, x.at, err)
		}
		leaf := c.(*tls.Conn).ConnectionState().PeerCertificates[0]
		c.Close()
		if other, dup := seen[leaf.SerialNumber.String()]; dup {
			return "", fmt.Errorf("%s and %s show the same certificate", other, x.name)
		}
		seen[leaf.SerialNumber.String()] = x.name
	}
	return fmt.Sprintf("border %s, call server %s, voice browser %s, call manager %s", s.border(), s.callServer(), s.voiceBrowser(), s.at), nil
}

// registerAgent is what the document needs twelve steps for: the phone gets its LSC, and registers encrypted with it.
func (s *ccScenario) registerAgent(ctx context.Context) (string, error) {
	var created admin.CAPFCreated
	if err := s.api.Do(ctx, http.MethodPost, "/v1/capf/profiles", admin.CAPFOrder{Device: ccDesk, JoinToken: true}, &created); err != nil {
		return "", err
	}
	token, err := enroll.ParseAuthorization(created.JoinToken)
	if err != nil {
		return "", err
	}
	s.agent, err = desk.Start(ctx, desk.Config{Name: ccDesk, Dir: filepath.Join(s.dir, ccDesk), Source: enroll.TFTP{Server: s.site.Provisioning.TFTP().String()}, Domain: "locktone.test",
		Authorization: token, Observe: func(e enroll.Event) { s.progress(ccDesk + ": " + e.Text) }, Change: func(c *phone.Config) {
			c.Intercom = true // a phone that takes the speaker when its agent presses answer on the desktop
			if s.change.Agent != nil {
				s.change.Agent(c)
			}
		}})
	if err != nil {
		return "", err
	}
	var status admin.Rows[admin.CAPFProfile]
	if err := s.api.Do(ctx, http.MethodGet, "/v1/capf/profiles", nil, &status); err != nil {
		return "", err
	}
	for _, p := range status.Rows {
		if p.Device == ccDesk {
			return fmt.Sprintf("Certificate Operation Status: %s; registered encrypted with it", p.Status), nil
		}
	}
	return "", errors.New("CAPF knows nothing of the phone")
}

func (s *ccScenario) controlled(ctx context.Context) (string, error) {
	for {
		at, err := s.connections(ctx, "ctimanager")
		if err != nil {
			return "", err
		}
		for _, c := range at {
			if c.Peer == "contactcenter" && c.Verified {
				return "logged in on 2749 as " + c.Subject, nil
			}
		}
		select {
		case <-time.After(poll):
		case <-ctx.Done():
			return "", errors.New("the contact centre is not logged in to the CTI Manager")
		}
	}
}

func (s *ccScenario) logIn(ctx context.Context) (_ string, err error) {
	if s.desktop, err = desktop.LogIn(ctx, s.beside(50), s.site.Roots(), ccAgent, ccPassword); err != nil {
		return "", err
	}
	a, err := s.desktop.Until(ctx, "not ready, with the phone in service", func(a agents.Agent) bool { return a.State == "not-ready" && a.Phone != nil && a.Phone.InService })
	return "over HTTPS; " + a.State + " (" + a.Reason + "), phone in service", err
}

func (s *ccScenario) call(ctx context.Context) (_ string, err error) {
	issued, err := s.site.CA.Issue(ctx, pki.Request{Kind: pki.KindPeer, Name: "caller.locktone.test", DNSNames: []string{"caller.locktone.test"}})
	if err != nil {
		return "", err
	}
	cfg := phone.Config{Name: "caller", Number: "4930123456", Domain: "caller.locktone.test", Server: netip.AddrPortFrom(s.border(), 5061).String(), NoRegister: true,
		Certificate: issued.Credential.TLS(), Roots: s.site.Roots(), Network: transport.TLS}
	if s.change.Call != nil {
		s.change.Call(&cfg)
	}
	if s.caller, err = phone.Start(ctx, cfg); err != nil {
		return "", err
	}
	if s.calling, err = s.caller.Dial(ctx, ccContact); err != nil {
		return "", err
	}
	if err := s.calling.WaitAnswered(ctx); err != nil {
		return "", err
	}
	s.calling.Tone(ccTone)
	return "from outside, over TLS with a certificate, at the border; it is answered", nil
}

func (s *ccScenario) greeting(ctx context.Context) (string, error) {
	hz, err := s.calling.WaitTone(ctx, greetingTone)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%.0f Hz, then words; SRTP %s", hz, s.calling.Evidence().Suite), nil
}

func (s *ccScenario) music(ctx context.Context) (string, error) {
	hz, err := s.calling.WaitTone(ctx, queueTone)
	if err != nil {
		return "", err
	}
	a, err := s.desktop.Until(ctx, "still not ready", func(a agents.Agent) bool { return a.State == "not-ready" })
	return fmt.Sprintf("yes: %.0f Hz is heard, %d packets authenticated; the agent is %s", hz, s.calling.Evidence().RxAuth, a.State), err
}

func (s *ccScenario) ready(ctx context.Context) (string, error) {
	return "by the agents' API", s.desktop.State(ctx, "ready")
}

func (s *ccScenario) reserved(ctx context.Context) (string, error) {
	select {
	case s.called = <-s.agent.Incoming():
	case <-ctx.Done():
		return "", errors.New("the agent's phone did not ring")
	}
	a, err := s.desktop.Until(ctx, "reserved, and the phone rings", func(a agents.Agent) bool {
		return a.State == "reserved" && a.Phone != nil && len(a.Phone.Calls) == 1 && a.Phone.Calls[0].State == phones.Ringing
	})
	if err != nil {
		return "", err
	}
	s.contact = a.Contact
	if _, err := s.calling.WaitTone(ctx, queueTone); err != nil {
		return "", fmt.Errorf("the caller hears no music while the agent's phone rings: %w", err)
	}
	return "yes: " + a.State + ", the phone rings with a call of " + a.Phone.Calls[0].Number + ", the caller hears music", nil
}

func (s *ccScenario) answer(ctx context.Context) (string, error) {
	if err := s.desktop.Press(ctx, "answer"); err != nil {
		return "", err
	}
	select {
	case s.called = <-s.agent.Incoming(): // this phone does not listen to "talk": it is rung again, and asked to answer by itself
	case <-ctx.Done():
		return "", errors.New("the agent's phone was not asked to answer")
	}
	s.called.Tone(aliceTone)
	if err := s.called.WaitAnswered(ctx); err != nil {
		return "", err
	}
	a, err := s.desktop.Until(ctx, "talking", func(a agents.Agent) bool { return a.State == "talking" })
	return "yes: answered from the desktop, through CTI; the agent is " + a.State, err
}

func (s *ccScenario) tones(ctx context.Context) (string, error) {
	b, err := s.called.WaitTone(ctx, ccTone)
	if err != nil {
		return "", fmt.Errorf("the agent did not hear the caller's %d Hz: %w", ccTone, err)
	}
	a, err := s.calling.WaitTone(ctx, aliceTone)
	if err != nil {
		return "", fmt.Errorf("the caller did not hear the agent's %d Hz: %w", aliceTone, err)
	}
	return fmt.Sprintf("the agent hears %.0f Hz, the caller hears %.0f Hz", b, a), nil
}

func (s *ccScenario) wrapUp(ctx context.Context) (string, error) {
	if err := s.calling.Hangup(ctx); err != nil {
		return "", err
	}
	if _, _, err := s.called.WaitEnded(ctx); err != nil {
		return "", fmt.Errorf("the agent's call did not end: %w", err)
	}
	a, err := s.desktop.Until(ctx, "work", func(a agents.Agent) bool { return a.State == "work" })
	return "the agent is in state " + a.State, err
}

func (s *ccScenario) closeAll() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), stepTime)
	defer cancel()
	if s.caller != nil {
		s.caller.Close(ctx)
	}
	if s.agent != nil {
		s.agent.Close(ctx)
	}
}

// keep leaves everything running, and says how to look at it.
func (s *ccScenario) keep() {
	s.progress(fmt.Sprintf("it is left running until Ctrl-C: locktone --home %s show sip-ua connections tcp tls detail; call sip:%s@%s:5061 with a certificate for caller.locktone.test", s.site.Home(), ccContact, s.border()))
	<-s.ctx.Done()
}
