package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/trace"
)

// A scenario is one of the 38 files and what the site does while it runs. The files were written for the test applications
// of another project: why says, where one expects something that is that application's own, why a registrar and B2BUA does
// not do it.
type scenario struct {
	file    string
	service string                                       // what a calling scenario dials
	play    func(d *drachtio, ctx context.Context) error // the part of the phone at our end; nil where there is none
	way     string                                       // "tls" unless set; "udp" where the point is retransmission, "ping" for OPTIONS
	why     string                                       // it cannot apply: one sentence
	amend   func(text string) string                     // what the copy says in another way; note says why
	note    string
}

const (
	noRegistering = "the call manager is the registrar; it does not register anywhere itself"
)

var scenarios = []scenario{
	{file: "uac", service: "9197"},
	{file: "uac-displayname-from", service: "9197"},
	{file: "uac-nosdp", service: "9197"},
	{file: "uac-pcap", service: "9197"},
	{file: "uac-proxy", service: "9197"},
	{file: "uac-drop-one-200", service: "9197", way: "udp"},
	{file: "uac-drop-one-503", service: "9999", way: "udp"},
	{file: "uac-drop-all-200", service: "9197", way: "udp"},
	{file: "uac-expect-400-no-contact-header", service: "9197"},
	{file: "uac-expect-404", service: "5555"},
	{file: "uac-expect-480", service: "1702"},
	{file: "uac-expect-503", service: "9999"},
	{file: "uac-cancel", service: "1700", play: (*drachtio).ring},
	{file: "uac-prack", service: "1700", play: (*drachtio).answerAfterPrack},
	{file: "uac-delayed-ack", service: "1700", play: (*drachtio).answerAndHold},
	{file: "uac-recv-reinvite", service: "1700", play: (*drachtio).answerHoldHangUp},
	{file: "uac-send-reinvite-no-sdp", service: "1703", play: (*drachtio).answerHangUpLater, amend: replacing("CSeq: 2 ACK", "CSeq: 2 ACK\n      Content-Type: application/sdp"),
		note: "the answer in the ACK says what it is (RFC 3261, 20.15)"},
	{file: "uac-drop-200-then-cancel", service: "1700", play: (*drachtio).answerUntilEnd, amend: replacing(`<recv response="481"`, `<recv response="200"`),
		note: "481 is that application's bug, as it says: RFC 3261, 9.2 answers a CANCEL after the 200 with 200 and no effect, and the BYE ends the call (15.1.1)"},
	{file: "uac-spammer-expect-603", why: "603 for a User-Agent of sip-cli is a rule of that application; here the certificate says who may call"},
	{file: "uac-success-green", why: "X-Color is a header field of that application"},
	{file: "uac-subscribe", why: "no presence service is offered: SUBSCRIBE to the package presence is 489"},

	{file: "uas", play: (*drachtio).call},
	{file: "uas-refer", play: (*drachtio).call},
	{file: "uas-404", play: (*drachtio).callRefused},
	{file: "uas-302", play: (*drachtio).callRefused},
	{file: "uas-cancel", play: (*drachtio).callCancel},
	{file: "uas-prack", play: (*drachtio).call},
	{file: "uas-reinvite", play: (*drachtio).callReinvited, amend: ackOfReinvite, note: "its ACK has the CSeq method and the URI of an ACK (RFC 3261, 17.1.1.3)"},
	{file: "uas-update-with-sdp", play: (*drachtio).callReinvited},
	{file: "uas-reinvite-overlap", play: (*drachtio).callHoldThrice},
	{file: "uas-options-expect-200", way: "ping"},
	{file: "uas-200-ok-no-contact-cancel", play: (*drachtio).callRefused, amend: upTo(`<recv request="CANCEL">`),
		note: "ends after the 200 without tag and Contact, which is refused: RFC 3261, 9.1 cancels only what has no final response"},
	{file: "uas-407-no-auth-header", why: "it wants the INVITE again after a 407 that says nothing to answer"},
	{file: "uas-auth", play: (*drachtio).call},
	{file: "uas-bye-with-auth", play: (*drachtio).call},
	{file: "uas-reinvite-with-auth", play: (*drachtio).callHeld},
	{file: "uas-auth-register", why: noRegistering},
	{file: "uas-auth-register-no-realm", why: noRegistering},
}

// drachtio is the stage: a site with a trunk to SIPp behind stunnel, and a phone of the lab at our end.
type drachtio struct {
	s       *testSite
	phone   *phone.Phone
	quiet   *phone.Phone // the same without a 180
	left    *phone.Call  // to be hung up after the scenario
	in      string       // where a calling SIPp connects: stunnel with the trunk's certificate
	uas     string       // where an answering SIPp listens
	pingUAS string
}

// TestDrachtioScenarios plays SIPp scenarios that nobody here wrote. Debian's SIPp has no TLS: stunnel shows the trunk's
// certificate for it. The copies that run differ from the originals in what TLS needs (Via and Contact name it), in
// pauses, and in that a 100 may be left out (RFC 3261, 17.2.1).
// LOCKTONE_SCENARIO=name plays one alone.
func TestDrachtioScenarios(t *testing.T) {
	Need(t, sipp, stunnel)
	t.Parallel()
	source := Shared(t, "vectors", "sipp-drachtio")
	files, err := filepath.Glob(filepath.Join(source, "*.xml"))
	must(t, err)
	if len(files) != len(scenarios) {
		t.Errorf("%d files, %d scenarios in the table", len(files), len(scenarios))
	}
	d := newDrachtio(t)
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	passed := 0
	for _, sc := range scenarios {
		if only := os.Getenv("LOCKTONE_SCENARIO"); only != "" && sc.file != only {
			continue
		}
		result := "cannot apply: " + sc.why
		if sc.why == "" {
			began := time.Now()
			if err := d.run(t, source, sc); err != nil {
				t.Errorf("%s: %v", sc.file, err)
				result = "FAILED"
			} else {
				passed++
				result = strings.TrimSuffix(fmt.Sprintf("pass (%.1f s); amended: %s", time.Since(began).Seconds(), sc.note), "; amended: ")
			}
		}
		fmt.Fprintf(w, "%s\t%s\n", sc.file, result)
	}
	w.Flush()
	t.Logf("%d of %d pass\n%s", passed, len(scenarios), b.String())
}

func newDrachtio(t *testing.T) *drachtio {
	t.Helper()
	d := &drachtio{}
	out, outPort := freeAddr(t)
	pingOut, pingPort := freeAddr(t)
	_, deadPort := freeAddr(t)
	d.in, _ = freeAddr(t)
	d.uas, _ = freeAddr(t)
	d.pingUAS, _ = freeAddr(t)
	d.s = startSite(t, func(c *config.Site) { drachtioSite(c, outPort, pingPort, deadPort) }, lab.Options{Tune: func(c *callmanager.Config) {
		c.Timers.T1 = 100 * time.Millisecond // the last retransmission comes after 64 of them
		c.Timers.T2 = 400 * time.Millisecond
	}})
	f := d.s.issue(t, pki.Request{Kind: pki.KindPeer, Name: "sipp.far.test", DNSNames: []string{"sipp.far.test"}})
	ctx := within(t, 20*time.Second)
	for _, c := range []StunnelConfig{
		{Client: true, Accept: d.in, Connect: d.s.addr}, {Accept: out, Connect: d.uas}, {Accept: pingOut, Connect: d.pingUAS},
	} {
		c.Certificate, c.Key, c.CA = f.certificate, f.key, f.ca
		p, err := StartStunnel(ctx, folder(t, "stunnel"), c)
		must(t, err)
		t.Cleanup(p.Stop)
	}
	d.phone = d.start(t, ctx, "ringer", "1700", func(*phone.Config) {})
	d.quiet = d.start(t, ctx, "quiet", "1703", func(c *phone.Config) { c.NoRinging = true })
	return d
}

// start registers a phone of the lab that takes plain RTP, as SIPp's descriptions offer it.
func (d *drachtio) start(t *testing.T, ctx context.Context, name, number string, change func(*phone.Config)) *phone.Phone {
	t.Helper()
	p, err := d.s.Phone(ctx, name, number, func(c *phone.Config) {
		c.Security = desc.Forbidden
		change(c)
	})
	must(t, err)
	t.Cleanup(func() { _ = p.Close(context.Background()) })
	must(t, p.WaitRegistered(ctx))
	return p
}

func drachtioSite(c *config.Site, out, ping, dead int) {
	c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "authenticated", DeviceSecurityMode: config.Authenticated})
	addPhone(c, "ringer", "1700", "authenticated")
	addPhone(c, "quiet", "1703", "authenticated")
	addPhone(c, "absent", "1702", "authenticated")
	c.SIPProfiles = append(c.SIPProfiles, quickPings("quick"),
		config.SIPProfile{Name: "silent", OptionsPing: config.OptionsPing{Disabled: true}, Rel1xx: config.Rel1xxAll, SessionTimer: config.SessionTimer{Disabled: true}})
	c.SIPTrunkSecurityProfiles = append(c.SIPTrunkSecurityProfiles,
		config.SIPTrunkSecurityProfile{Name: "sipp", AcceptedSubjects: []string{"sipp.far.test"}, AcceptTransfer: true, DigestMD5: true},
		config.SIPTrunkSecurityProfile{Name: "plain", DeviceSecurityMode: config.NonSecure, OutgoingTransport: config.TransportUDP, AcceptTransfer: true})
	trunk := func(name, security, profile string, port int) {
		c.SIPTrunks = append(c.SIPTrunks, config.SIPTrunk{Name: name, Destinations: []config.Destination{{Address: "127.0.0.1", Port: port}},
			CallingSearchSpace: "internal", SecurityProfile: security, SIPProfile: profile, DevicePool: "default"})
	}
	trunk("sipp", "sipp", "silent", out)
	answers := &c.SIPTrunks[len(c.SIPTrunks)-1] // the challenges of the scenarios, which know no better than MD5
	answers.DigestUser, answers.DigestRealm, answers.DigestPassword = "locktone", "local", config.NewDigestVerifier("locktone", "local", "secret of ours")
	trunk("sipp-ping", "sipp", "quick", ping)
	trunk("sipp-udp", "plain", "silent", 5060)
	c.SIPTrunkSecurityProfiles = append(c.SIPTrunkSecurityProfiles, config.SIPTrunkSecurityProfile{Name: "dead", AcceptedSubjects: []string{"dead.far.test"}})
	trunk("dead", "dead", "silent", dead)
	c.RoutePatterns = append(c.RoutePatterns, config.RoutePattern{Pattern: "8.XXXX", Partition: "internal", Trunk: "sipp", Transform: config.Transform{Discard: config.DiscardPreDot}},
		config.RoutePattern{Pattern: "9999", Partition: "internal", Trunk: "dead"})
}

var (
	bareContact = regexp.MustCompile(`Contact: (sip:sipp@\[local_ip\]:\[local_port\])`)
	trying      = regexp.MustCompile(`<recv response="100"(\s+optional="true")?`)
	anyPause    = regexp.MustCompile(`(<pause milliseconds|<timewait milliseconds)="\d{4,}"`)
)

// sippSounds is where Debian's package has the captures that scenarios play.
const sippSounds = "/usr/share/sip-tester"

// replacing amends one text.
func replacing(old, with string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, old, with) }
}

// upTo ends the scenario before a message. SIPp wants every variable that is set to be read: 1 and 2 were, by what is cut off.
func upTo(message string) func(string) string {
	return func(s string) string {
		head, _, _ := strings.Cut(s, message)
		return head + `<Reference variables="1,2"/></scenario>`
	}
}

func ackOfReinvite(s string) string {
	head, ack, _ := strings.Cut(s, "ACK sip:sip:")
	return head + "ACK sip:" + strings.Replace(ack, "[last_CSeq:]", "CSeq: [cseq] ACK", 1)
}

// adapted writes the copy that runs.
func adapted(source, dir string, sc scenario) (string, error) {
	text, err := os.ReadFile(filepath.Join(source, sc.file+".xml"))
	if err != nil {
		return "", err
	}
	s := string(text)
	transport := "tls"
	if sc.way == "udp" {
		transport = "udp"
	}
	s = strings.NewReplacer("SIP/2.0/[transport]", "SIP/2.0/"+strings.ToUpper(transport), "RAck: [$1] [$2] INVITE", "RAck: [$1] [$2]", // $2 is "1 INVITE" already
		"transport=[transport]", "transport="+transport,
		`regexp="<sip:`, `regexp="&lt;sip:`, // as XML wants it
		"<sip:172.29.0.13>", "<sip:nobody@127.0.0.1:9>").Replace(s) // no packet leaves this machine
	s = bareContact.ReplaceAllString(s, "Contact: <$1;transport="+transport+">")
	s = trying.ReplaceAllString(s, `<recv response="100" optional="true"`)
	s = anyPause.ReplaceAllString(s, `$1="40"`) // less than T1
	if sc.amend != nil {
		before := s
		if s = sc.amend(s); s == before {
			return "", fmt.Errorf("%s has nothing to amend", sc.file)
		}
	}
	if _, err := os.Stat(sippSounds); err == nil { // Debian keeps them elsewhere than beside the scenario
		if err := os.Symlink(sippSounds, filepath.Join(dir, "pcap")); err != nil {
			return "", err
		}
	}
	path := filepath.Join(dir, sc.file+".xml")
	return path, os.WriteFile(path, []byte(s), 0o600)
}

// run plays one scenario to its end.
func (d *drachtio) run(t *testing.T, source string, sc scenario) error {
	dir := folder(t, "sipp")
	path, err := adapted(source, dir, sc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 15*time.Second, fmt.Errorf("not within 15 s"))
	defer cancel()
	r := SIPpRun{Scenario: path, Service: sc.service, Local: "127.0.0.1:0", Remote: d.in, Args: []string{"-timeout", "14s", "-timeout_error", "-mp", freePort(), "-recv_timeout", "12000"}}
	switch {
	case sc.way == "udp":
		r.UDP, r.Remote = true, netip.AddrPortFrom(d.s.CallManager(), 5060).String()
	case sc.way == "ping":
		r.Local, r.Remote = d.pingUAS, ""
	case strings.HasPrefix(sc.file, "uas"):
		r.Local, r.Remote = d.uas, ""
	}
	p, err := StartSIPp(dir, r)
	if err != nil {
		return err
	}
	defer p.Stop()
	if strings.HasPrefix(sc.file, "uas") {
		if err := waitBound(ctx, p, r.Local); err != nil {
			return err
		}
	}
	played := make(chan error, 1)
	go func() {
		if sc.play == nil {
			played <- nil
			return
		}
		played <- sc.play(d, ctx)
	}()
	if err := p.Exit(ctx); err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, SIPpLog(dir), p.Tail(3))
	}
	err = <-played
	if c := d.left; c != nil {
		d.left = nil
		return errors.Join(err, c.Hangup(ctx))
	}
	return err
}

func freePort() string {
	ports, err := freePorts(1)
	if err != nil {
		return "6000"
	}
	return fmt.Sprint(ports[0] &^ 1)
}

// waitBound returns when SIPp has its port: it answers no test connection, because that would be its first call.
func waitBound(ctx context.Context, p *Process, addr string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil
		}
		l.Close()
		select {
		case <-tick.C:
		case <-p.ended:
			return fmt.Errorf("sipp ended: %s", p.Tail(10))
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// incoming waits for SIPp's call at the phone.
func (d *drachtio) incoming(ctx context.Context) (*phone.Call, error) {
	select {
	case c := <-d.phone.Incoming():
		return c, nil
	case c := <-d.quiet.Incoming():
		return c, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("the phone did not ring: %w", context.Cause(ctx))
	}
}

func (d *drachtio) ring(ctx context.Context) error {
	c, err := d.incoming(ctx)
	if err != nil {
		return err
	}
	_, _, err = c.WaitEnded(ctx)
	return err
}

// answerAfterPrack answers once the reliable 180 was acknowledged.
func (d *drachtio) answerAfterPrack(ctx context.Context) error {
	tail := d.s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSIPIn}}, 100)
	defer tail.Close()
	c, err := d.incoming(ctx)
	if err != nil {
		return err
	}
	for {
		r, err := tail.Next(ctx)
		if err != nil {
			return fmt.Errorf("no PRACK came: %w", err)
		}
		if strings.HasPrefix(string(r.Body), "PRACK ") {
			break
		}
	}
	if err := c.Answer(ctx); err != nil {
		return err
	}
	_, _, err = c.WaitEnded(ctx)
	return err
}

func (d *drachtio) answer(ctx context.Context) (*phone.Call, error) {
	c, err := d.incoming(ctx)
	if err != nil {
		return nil, err
	}
	return c, c.Answer(ctx)
}

func (d *drachtio) answerUntilEnd(ctx context.Context) error {
	c, err := d.answer(ctx)
	if err == nil {
		_, _, err = c.WaitEnded(ctx)
	}
	return err
}

func (d *drachtio) answerAndHold(ctx context.Context) error {
	c, err := d.answer(ctx)
	if err == nil {
		err = c.Hold(ctx)
	}
	if err == nil {
		_, _, err = c.WaitEnded(ctx)
	}
	return err
}

func (d *drachtio) answerHoldHangUp(ctx context.Context) error {
	c, err := d.answer(ctx)
	if err != nil {
		return err
	}
	tail := d.s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSIPOut}}, 100)
	defer tail.Close()
	if err := c.Hold(ctx); err != nil {
		return err
	}
	if err := acknowledged(ctx, tail); err != nil {
		return err
	}
	return c.Hangup(ctx)
}

// acknowledged waits until the call manager has sent an ACK: a re-INVITE of ours was answered.
func acknowledged(ctx context.Context, tail *trace.Tail) error {
	for {
		r, err := tail.Next(ctx)
		if err != nil {
			return fmt.Errorf("no re-INVITE of ours was answered: %w", err)
		}
		if strings.HasPrefix(string(r.Body), "ACK ") && r.Device == "" { // to SIPp, not to the phone
			return nil
		}
	}
}

// answerHangUpLater hangs up when SIPp's second INVITE was acknowledged.
func (d *drachtio) answerHangUpLater(ctx context.Context) error {
	tail := d.s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSIPIn}}, 100)
	defer tail.Close()
	c, err := d.answer(ctx)
	if err != nil {
		return err
	}
	for {
		r, err := tail.Next(ctx)
		if err != nil {
			return fmt.Errorf("no ACK of the second INVITE came: %w", err)
		}
		if text := string(r.Body); r.Device == "" && strings.HasPrefix(text, "ACK ") && strings.Contains(text, "CSeq: 2 ACK") {
			return c.Hangup(ctx)
		}
	}
}

// dial calls SIPp and waits until it is up.
func (d *drachtio) dial(ctx context.Context) (*phone.Call, error) {
	c, err := d.phone.Dial(ctx, "85555")
	if err != nil {
		return nil, err
	}
	return c, c.WaitAnswered(ctx)
}

func (d *drachtio) call(ctx context.Context) error {
	c, err := d.dial(ctx)
	if err != nil {
		return err
	}
	return c.Hangup(ctx)
}

func (d *drachtio) callRefused(ctx context.Context) error {
	c, err := d.phone.Dial(ctx, "85555")
	if err != nil {
		return err
	}
	status, _, err := c.WaitEnded(ctx)
	if err == nil && status < 300 {
		return fmt.Errorf("the call was not refused: %d", status)
	}
	return err
}

func (d *drachtio) callCancel(ctx context.Context) error {
	c, err := d.phone.Dial(ctx, "85555")
	if err != nil {
		return err
	}
	if err := c.WaitRinging(ctx); err != nil {
		return err
	}
	return c.Hangup(ctx)
}

// callReinvited waits for the offer that SIPp makes in the call.
func (d *drachtio) callReinvited(ctx context.Context) error {
	tail := d.s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSIPOut}}, 100)
	defer tail.Close()
	c, err := d.dial(ctx)
	if err != nil {
		return err
	}
	for {
		r, err := tail.Next(ctx)
		if err != nil {
			return fmt.Errorf("SIPp's offer was not answered: %w", err)
		}
		text := string(r.Body)
		if r.Device == "" && strings.HasPrefix(text, "SIP/2.0 200") { // to SIPp, which makes the only requests there
			return c.Hangup(ctx)
		}
	}
}

// callHeld holds, which SIPp challenges as it does the call. The phone is told at once that it holds: the call ends when SIPp has heard of
// it too, with credentials, which the ACK repeats (RFC 3261, 22.1).
func (d *drachtio) callHeld(ctx context.Context) error {
	tail := d.s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSIPOut}}, 100)
	defer tail.Close()
	c, err := d.dial(ctx)
	if err != nil {
		return err
	}
	if err := c.Hold(ctx); err != nil {
		return err
	}
	for acks := 0; acks < 2; {
		r, err := tail.Next(ctx)
		if err != nil {
			return fmt.Errorf("%d of 2 INVITEs went out with credentials and were answered: %w", acks, err)
		}
		if text := string(r.Body); strings.HasPrefix(text, "ACK ") && strings.Contains(text, "Proxy-Authorization:") {
			acks++
		}
	}
	return c.Hangup(ctx)
}

func (d *drachtio) callHoldThrice(ctx context.Context) error {
	c, err := d.dial(ctx)
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{c.Hold, c.Resume, c.Hold} {
		tail := d.s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSIPOut}}, 100)
		if err := step(ctx); err != nil {
			return err
		}
		err := acknowledged(ctx, tail)
		tail.Close()
		if err != nil {
			return err
		}
	}
	d.left = c // the scenario ends without a BYE
	return nil
}
