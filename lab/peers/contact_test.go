package peers

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/desktop"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/border"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/service/contactcenter/desk"
	"github.com/locktone/locktone/trace"
)

// What callers of a contact centre hear before they hear an agent, in hertz.
const (
	greetingTone = 700
	queueTone    = 850
)

const agentPassword = "an agent's password"

// A contactSite is a whole site with border, call server, voice browser, call manager and contact centre, each at an address of its own. Every
// agent has a contact number and a queue that nobody else has: agent n answers 60nn at phone 11nn.
type contactSite struct {
	*testSite
	at netip.Addr // of the call manager
}

// agentNames are those of a site, in the order of their numbers.
type agentNames []string

func (a agentNames) contact(name string) string { return fmt.Sprintf("60%02d", slices.Index(a, name)) }
func (a agentNames) line(name string) string    { return fmt.Sprintf("11%02d", slices.Index(a, name)) }

// beside is an address in the network of the call manager: .20 call server, .30 voice browser, .40 border, .50 contact centre.
func beside(at netip.Addr, last byte) string {
	b := at.As4()
	b[3] = last
	return netip.AddrFrom4(b).String()
}

func (s *contactSite) borderAt() string { return beside(s.at, 40) }

// startContactSite starts one. change, where not nil, alters the configuration.
func startContactSite(t *testing.T, agents agentNames, change func(at netip.Addr, c *config.Site), o lab.Options) *contactSite {
	t.Helper()
	s := &contactSite{}
	home := filepath.Join(folder(t, "contact"), "home")
	sounds(t, filepath.Join(home, "callserver", "audio"))
	o.Home = home
	o.ConfigAt = func(at netip.Addr) *config.Site {
		s.at = at
		c := config.Default("node1").WithContactCenter(at)
		agents.configure(c)
		if change != nil {
			change(at, c)
		}
		return c.Canonical()
	}
	s.testSite = openSite(t, o)
	return s
}

// configure makes the agents of a site these.
func (a agentNames) configure(c *config.Site) {
	c.Agents, c.Queues, c.ContactNumbers, c.RoutingScripts, c.Skills = nil, nil, nil, nil, nil
	c.ContactCenters[0].SessionGrace, c.ContactCenters[0].RingTime = config.Duration(10*time.Minute), config.Duration(time.Minute)
	for i := range c.DialPeers {
		if c.DialPeers[i].Tag == 6000 {
			c.DialPeers[i].DestinationPatterns = []string{"60.."}
		}
	}
	var phones []string
	for _, name := range a {
		addPhone(c, name, a.line(name), "encrypted")
		phones = append(phones, name)
		skill := strings.ReplaceAll(name, "-", "_")
		c.Users = append(c.Users, config.User{Name: name, DisplayName: name, Password: config.NewVerifier(agentPassword)})
		c.Skills = append(c.Skills, config.Skill{Name: skill})
		c.Agents = append(c.Agents, config.Agent{Name: name, Team: "service", Device: name, Number: a.line(name), Skills: []config.AgentSkill{{Skill: skill, Level: 5}}})
		c.Queues = append(c.Queues, config.Queue{Name: name, Steps: []config.QueueStep{{Where: skill + " >= 1"}}, Music: "waiting.wav"})
		c.ContactNumbers = append(c.ContactNumbers, config.ContactNumber{Number: a.contact(name), Script: name})
		c.RoutingScripts = append(c.RoutingScripts, config.RoutingScript{Name: name, Nodes: []config.FlowNode{
			{Name: "greeting", Do: config.FlowSay, Prompts: []config.FlowPrompt{{Audio: "greeting.wav"}}, Next: "wait"},
			{Name: "wait", Do: config.FlowQueue, Queue: name},
		}})
	}
	for i := range c.Users {
		if c.Users[i].Name == "contactcenter" {
			c.Users[i].Devices = phones
		}
	}
}

// sounds are what the call server hands to the voice browser: two seconds of greeting, and music.
func sounds(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	for name, what := range map[string]struct {
		hz      float64
		seconds int
	}{"greeting.wav": {greetingTone, 2}, "waiting.wav": {queueTone, 10}} {
		pcm := make([]int16, what.seconds*tone.Rate)
		_, err := tone.NewSine(what.hz, -12).ReadPCM(pcm)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), wav.Append(nil, pcm), 0o600))
	}
}

// outside are callers from 127.0.0.1 who have no TLS, by name: `show exceptions` lists both.
func outside(c *config.Site) {
	c.Borders = append(c.Borders, config.Border{Name: "default", TrustedAddresses: []string{"127.0.0.1"}})
	c.DialPeers = append(c.DialPeers, config.DialPeer{Tag: 2, Description: "callers without TLS", Transport: config.TransportUDP, IncomingCalledNumbers: []string{"."}})
}

// agent logs an agent in at the desktop; the agent is not ready.
func (s *contactSite) agent(t *testing.T, ctx context.Context, name string) *desktop.Desktop {
	t.Helper()
	var d *desktop.Desktop
	var err error
	eventually(t, ctx, name+" logs in", func() bool {
		at, parsed := netip.ParseAddr(beside(s.at, 50))
		must(t, parsed)
		d, err = desktop.LogIn(ctx, at, s.Roots(), name, agentPassword)
		return err == nil || ctx.Err() != nil
	})
	must(t, err)
	_, err = d.Until(ctx, "not ready, with the phone in service", func(a desk.Agent) bool { return a.State == "not-ready" && a.Phone != nil && a.Phone.InService })
	must(t, err)
	return d
}

// elements are the SIP elements of the site, by name.
func (s *contactSite) elements() map[string]*element.Element {
	return map[string]*element.Element{"border": s.Border.Element(), "callserver": s.CallServer.Element(), "voicebrowser": s.VoiceBrowser.Element()}
}

// nothingLeft waits until no element has a call, and no call has a fact on the board.
func (s *contactSite) nothingLeft(t *testing.T, ctx context.Context) {
	t.Helper()
	for name, e := range s.elements() {
		eventually(t, ctx, "no call at the "+name, func() bool { n := e.Host().Stats(); return n.Calls == 0 && n.Legs == 0 })
	}
	eventually(t, ctx, "no call in a trace", func() bool {
		return !slices.ContainsFunc(s.Trace.Calls(200), func(c trace.CallInfo) bool { return c.End.IsZero() })
	})
	eventually(t, ctx, "no call on the board", func() bool { return len(s.Bus.Board().All(contact.FactCall)) == 0 })
}

// oneCall checks that a call from a number has one name at every element: its Session-ID.
func (s *contactSite) oneCall(t *testing.T, from string, services ...string) trace.CallInfo {
	t.Helper()
	for _, c := range s.Trace.Calls(200) {
		if !strings.Contains(c.From, from) {
			continue
		}
		for _, want := range services {
			if !slices.Contains(c.Services, want) {
				t.Errorf("call %s of %s was seen by %v, not by %s as the same call", c.Call, from, c.Services, want)
			}
		}
		return c
	}
	t.Errorf("no call of %s is in the trace", from)
	return trace.CallInfo{}
}

// wholeWay is every service that a contact-centre call goes through.
var wholeWay = []string{"border", "callserver", "voicebrowser", "callmanager"}

// A contactStage is a contact centre on which scenes are played at once, each with an agent of its own.
type contactStage struct {
	*contactSite
	cast           agentNames
	localhost      string // for linphonec: see phoneSite
	carrier, plain string // Kamailio outside: with TLS, without
	between        string // Kamailio between border and call server
	certificate    files  // of callers
}

// TestContactCall: callers and agents' phones that nobody here wrote, through the whole site.
func TestContactCall(t *testing.T) {
	Need(t, baresip, linphonec, kamailio, sox)
	t.Parallel()
	st := &contactStage{cast: agentNames{"udp", "tls", "linphone", "carrier", "carrier-plain", "between"}}
	ports, err := freePorts(4)
	must(t, err)
	st.localhost = fmt.Sprintf("localhost:%d", ports[0])
	st.carrier, st.plain, st.between = loopback(ports[1]), loopback(ports[2]), loopback(ports[3])
	st.contactSite = startContactSite(t, st.cast, func(at netip.Addr, c *config.Site) {
		outside(c)
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "localhost", IncomingPort: ports[0]})
		for i := range c.Devices {
			if c.Devices[i].Name == "linphone" {
				c.Devices[i].PhoneSecurityProfile = "localhost"
			}
		}
		st.trunks(c, ports[1], ports[2], ports[3])
	}, lab.Options{Tune: func(c *callmanager.Config) { c.Optional = append(c.Optional, netip.AddrFrom4([4]byte{127, 0, 0, 1})) }})
	st.certificate = st.issue(t, pki.Request{Kind: pki.KindPeer, Name: "caller.locktone.test", DNSNames: []string{"caller.locktone.test"}})
	t.Run("exceptions", st.exceptions)
	t.Run("scenes", func(t *testing.T) {
		for name, play := range map[string]func(*testing.T, context.Context){
			"baresip calls over UDP":                         st.callsUDP,
			"baresip calls over TLS":                         st.callsTLS,
			"linphonec is the agent's phone":                 st.agentLinphone,
			"Kamailio is the carrier":                        st.carriers,
			"Kamailio stands between border and call server": st.stranger,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				play(t, within(t, 90*time.Second))
			})
		}
	})
	if !t.Failed() {
		st.nothingLeft(t, within(t, 30*time.Second))
	}
}

// trunks are the ways to and from Kamailio: outside as carrier for 71nn (TLS) and 72nn (UDP), and inside for the contact number of "between".
func (st *contactStage) trunks(c *config.Site, tls, udp, between int) {
	target := func(port int) []config.SessionTarget {
		return []config.SessionTarget{{Address: "127.0.0.1", Port: port}}
	}
	c.DialPeers = append(c.DialPeers,
		config.DialPeer{Tag: 71, DestinationPatterns: []string{"71.."}, SessionTargets: target(tls), AcceptedSubjects: []string{"pbx.far.test"}},
		config.DialPeer{Tag: 72, DestinationPatterns: []string{"72.."}, SessionTargets: target(udp), Transport: config.TransportUDP},
		config.DialPeer{Tag: 73, DestinationPatterns: []string{st.cast.contact("between")}, SessionTargets: target(between), AcceptedSubjects: []string{"between.far.test"}})
	c.SIPServerGroups = append(c.SIPServerGroups, config.SIPServerGroup{Name: "between", AcceptedSubjects: []string{"between.far.test"},
		Members: []config.ServerGroupMember{{Address: "127.0.0.1", SecurePort: between}}})
	c.RoutePatterns = append(c.RoutePatterns, config.RoutePattern{Pattern: "7XXX", Partition: "internal", Trunk: "border"})
}

func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func (st *contactStage) exceptions(t *testing.T) {
	rows, err := bus.Ask[bus.Query, []bus.Exception](within(t, 10*time.Second), st.Bus, st.Bus.Subject(border.Name, bus.VerbExceptions), bus.Query{})
	must(t, err)
	for _, want := range []string{"trustedAddresses 127.0.0.1", "transport udp"} {
		if !slices.ContainsFunc(rows, func(e bus.Exception) bool {
			return strings.EqualFold(e.Setting+" "+strings.TrimSuffix(e.Value, "/32"), want)
		}) {
			t.Errorf("show exceptions has no %q: %+v", want, rows)
		}
	}
}

// caller starts a baresip outside, which registers nowhere.
func (st *contactStage) caller(t *testing.T, ctx context.Context, user, transport string) *Baresip {
	t.Helper()
	c := BaresipConfig{User: user, Domain: st.borderAt(), NoRegister: true, Transport: transport}
	if transport == "udp" {
		c.Encryption = "none"
	}
	return st.outsider(t, ctx, c)
}

// outsider starts a baresip with a certificate for a caller.
func (st *contactStage) outsider(t *testing.T, ctx context.Context, c BaresipConfig) *Baresip {
	t.Helper()
	c.Certificate, c.CA, c.Tone = st.certificate.both, st.certificate.ca, makeTone(t, callerTone, 120)
	b, err := StartBaresip(ctx, folder(t, "caller"), c)
	must(t, err)
	t.Cleanup(b.Stop)
	return b
}

// desk starts an agent's phone of the lab and logs the agent in.
func (st *contactStage) desk(t *testing.T, ctx context.Context, name string) (*desktop.Desktop, *phone.Phone) {
	t.Helper()
	p, err := st.Registered(ctx, name, st.cast.line(name))
	must(t, err)
	t.Cleanup(func() { hangUpPhone(p) })
	return st.agent(t, ctx, name), p
}

// number is the contact number of an agent at the border, as a caller outside dials it.
func (st *contactStage) number(name, transport string) string {
	port := 5061
	if transport == "udp" {
		port = 5060
	}
	return fmt.Sprintf("sip:%s@%s:%d;transport=%s", st.cast.contact(name), st.borderAt(), port, transport)
}

func (st *contactStage) callsUDP(t *testing.T, ctx context.Context) {
	caller := st.caller(t, ctx, "4930001", "udp")
	d, p := st.desk(t, ctx, "udp")
	st.contactCall(t, ctx, caller, st.number("udp", "udp"), d, p)
	if hasLine(caller.Process, "SRTP is Enabled") {
		t.Error("baresip says that it has SRTP")
	}
	st.oneCall(t, "4930001", wholeWay...)
}

func (st *contactStage) callsTLS(t *testing.T, ctx context.Context) {
	caller := st.caller(t, ctx, "4930002", "tls")
	d, p := st.desk(t, ctx, "tls")
	st.contactCall(t, ctx, caller, st.number("tls", "tls"), d, p)
	if !hasLine(caller.Process, "SRTP is Enabled") {
		t.Error("baresip does not say that it has SRTP")
	}
	st.oneCall(t, "4930002", wholeWay...)
}

// agentLinphone: the agent answers at the phone, since linphonec obeys no call's wish to be answered.
func (st *contactStage) agentLinphone(t *testing.T, ctx context.Context) {
	l := st.linphone(t, ctx, "linphone", st.localhost, makeTone(t, calledTone, 120), false)
	caller := st.caller(t, ctx, "4930003", "tls")
	d := st.agent(t, ctx, "linphone")
	mark := caller.EventMark()
	must(t, caller.Dial(st.number("linphone", "tls")))
	event(t, ctx, caller, mark, "CALL_ESTABLISHED")
	waitTone(t, ctx, "the caller", caller.Heard, queueTone)
	at := l.Mark()
	must(t, d.State(ctx, "ready"))
	said(t, ctx, l, at, "to LinphoneCallIncomingReceived")
	must(t, d.Is(ctx, "reserved"))
	must(t, l.Say("answer"))
	said(t, ctx, l, at, streaming)
	must(t, l.Speak())
	must(t, d.Is(ctx, "talking"))
	agent := waitTone(t, ctx, "linphonec", carolHears(t, ctx, l, "caller"), callerTone)
	heard := waitTone(t, ctx, "the caller", caller.Heard, calledTone)
	t.Logf("linphonec hears %v, the caller hears %v", agent, heard)
	at = l.Mark()
	must(t, caller.Command("hangup", ""))
	said(t, ctx, l, at, "to LinphoneCallReleased")
	must(t, d.Is(ctx, "work"))
	st.oneCall(t, "4930003", wholeWay...)
}

// carriers: a Kamailio outside brings callers to contact numbers, and takes calls of the site's phones, with mutual TLS and over UDP.
func (st *contactStage) carriers(t *testing.T, ctx context.Context) {
	f := st.issue(t, pki.Request{Kind: pki.KindPeer, Name: "pbx.far.test", DNSNames: []string{"pbx.far.test"}})
	k, err := StartKamailio(ctx, folder(t, "kam"), KamailioConfig{Listen: st.carrier, UDP: st.plain, Name: "pbx.far.test", Register: true, Certificate: f.certificate, Key: f.key, CA: f.ca,
		Routes: []KamailioRoute{{st.cast.contact("carrier-plain"), "sip:" + st.borderAt() + ":5060"}, {st.cast.contact("carrier"), "sip:" + st.borderAt() + ":5061;transport=tls"}}})
	must(t, err)
	t.Cleanup(k.Stop)
	for _, way := range []struct{ agent, user, transport, at string }{{"carrier", "7101", "tls", st.carrier}, {"carrier-plain", "7201", "udp", st.plain}} {
		c := BaresipConfig{User: way.user, Domain: way.at, Transport: way.transport}
		if way.transport == "udp" {
			c.Encryption = "none"
		}
		zoe := st.outsider(t, ctx, c)
		must(t, zoe.Registered(ctx))
		d, p := st.desk(t, ctx, way.agent)
		st.contactCall(t, ctx, zoe, fmt.Sprintf("sip:%s@%s;transport=%s", st.cast.contact(way.agent), way.at, way.transport), d, p)
		st.oneCall(t, way.user, wholeWay...)

		mark := zoe.EventMark()
		eventually(t, ctx, "the border knows that the carrier answers", func() bool {
			return slices.ContainsFunc(st.Border.Element().Peers(ctx), func(s bus.TrunkState) bool {
				return strings.HasPrefix(s.Trunk, way.user[:2]) && s.State == "in-service"
			})
		})
		out, err := p.Dial(ctx, way.user)
		must(t, err)
		event(t, ctx, zoe, mark, "CALL_INCOMING")
		must(t, zoe.Command("accept", ""))
		must(t, out.WaitAnswered(ctx))
		out.Tone(calledTone)
		hears(t, ctx, out, []float64{callerTone})
		waitTone(t, ctx, way.user, zoe.Heard, calledTone)
		must(t, out.Hangup(ctx))
		event(t, ctx, zoe, mark, "CALL_CLOSED")
	}
}

// stranger: a proxy that is none of ours stands between border and call server, with mutual TLS on both sides. It records its route, so that the
// whole dialog goes through it.
func (st *contactStage) stranger(t *testing.T, ctx context.Context) {
	f := st.issue(t, pki.Request{Kind: pki.KindPeer, Name: "between.far.test", DNSNames: []string{"between.far.test"}})
	k, err := StartKamailio(ctx, folder(t, "between"), KamailioConfig{Listen: st.between, Name: "between.far.test", Certificate: f.certificate, Key: f.key, CA: f.ca,
		Routes: []KamailioRoute{{st.cast.contact("between"), "sip:" + beside(st.at, 20) + ":5061;transport=tls"}}})
	must(t, err)
	t.Cleanup(k.Stop)
	caller := st.caller(t, ctx, "4930004", "tls")
	d, p := st.desk(t, ctx, "between")
	eventually(t, ctx, "the border knows that the proxy answers", func() bool {
		return slices.ContainsFunc(st.Border.Element().Peers(ctx), func(s bus.TrunkState) bool { return strings.HasPrefix(s.Trunk, "73") && s.State == "in-service" })
	})
	st.contactCall(t, ctx, caller, st.number("between", "tls"), d, p)
	c := st.oneCall(t, "4930004", wholeWay...)
	records, err := st.Trace.Call(ctx, c.Call)
	must(t, err)
	through := 0
	for _, r := range records {
		if r.Kind.SIP() && r.Service == "callserver" && strings.Contains(string(r.Body), st.between+";") && strings.Contains(string(r.Body), "Session-ID: ") {
			through++
		}
	}
	if through == 0 {
		t.Errorf("no message at the call server with a Session-ID came by the proxy:\n%s", ladder(ctx, st.testSite, c.Call))
	}
}

// hangUpPhone stops a phone of the lab, in little time.
func hangUpPhone(p *phone.Phone) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = p.Close(ctx)
}

// contactCall is the whole of it: the caller is greeted and hears music, the agent becomes ready, the phone rings and is answered, both hear each other,
// the caller hangs up, the agent is at work after it.
func (s *contactSite) contactCall(t *testing.T, ctx context.Context, caller *Baresip, uri string, d *desktop.Desktop, p *phone.Phone) {
	t.Helper()
	mark := caller.EventMark()
	must(t, caller.Dial(uri))
	event(t, ctx, caller, mark, "CALL_ESTABLISHED")
	greeting := waitTone(t, ctx, "the caller", caller.Heard, greetingTone)
	music := waitTone(t, ctx, "the caller", caller.Heard, queueTone)
	must(t, d.State(ctx, "ready"))
	in := rings(t, ctx, p)
	must(t, d.Is(ctx, "reserved"))
	must(t, in.Answer(ctx))
	in.Tone(calledTone)
	must(t, d.Is(ctx, "talking"))
	hears(t, ctx, in, []float64{callerTone})
	agent := waitTone(t, ctx, "the caller", caller.Heard, calledTone)
	if e := in.Evidence(); e.Suite == "" {
		t.Errorf("the agent's phone has no SRTP: %+v", e)
	}
	t.Logf("the caller hears %v, then %v, then the agent: %v", greeting, music, agent)
	must(t, caller.Command("hangup", ""))
	event(t, ctx, caller, mark, "CALL_CLOSED")
	_, _, err := in.WaitEnded(ctx)
	must(t, err)
	must(t, d.Is(ctx, "work"))
}
