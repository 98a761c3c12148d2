package peers

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/trace"
)

// Tones the phones of these tests speak, in hertz.
const (
	callerTone = 1000
	calledTone = 600
)

// phoneSite is a site for baresip and linphonec. linphonec matches DNS names only, so the call manager is `localhost` on
// 127.0.0.1 too, on a port of its own: another site on this machine may have 5061 there.
func phoneSite(t *testing.T) (s *testSite, localhost string) {
	t.Helper()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	s = startSite(t, func(c *config.Site) {
		c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "localhost", IncomingPort: ports[0]})
		addPhone(c, "carol", "1003", "localhost")
		addPhone(c, "dave", "1004", "encrypted")
		c.SIPProfiles = append(c.SIPProfiles, config.SIPProfile{Name: "anchored", MediaAnchor: config.AnchorAlways})
		addPhone(c, "anne", "1005", "encrypted")
		addPhone(c, "bert", "1006", "encrypted")
		for i := range c.Devices {
			if d := &c.Devices[i]; d.Name == "anne" || d.Name == "bert" {
				d.SIPProfile = "anchored"
			}
		}
		addPhone(c, "eve", "1021", "encrypted")
	}, lab.Options{Tune: func(c *callmanager.Config) { c.Optional = append(c.Optional, netip.AddrFrom4([4]byte{127, 0, 0, 1})) }})
	return s, net.JoinHostPort("localhost", strconv.Itoa(ports[0]))
}

// baresip starts one with a certificate and waits until it is registered.
func (s *testSite) baresip(t *testing.T, ctx context.Context, name string, tone string, auto bool) *Baresip {
	t.Helper()
	return s.baresipAt(t, ctx, name, s.addr, tone, auto)
}

func (s *testSite) baresipAt(t *testing.T, ctx context.Context, name, proxy, tone string, auto bool) *Baresip {
	t.Helper()
	f := s.certificate(t, pki.KindDevice, name)
	b, err := StartBaresip(ctx, folder(t, name), BaresipConfig{User: name, Domain: "locktone.test", Proxy: proxy, Certificate: f.both, CA: f.ca, Tone: tone, AutoAnswer: auto})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	must(t, b.Registered(ctx))
	return b
}

func (s *testSite) linphone(t *testing.T, ctx context.Context, name, proxy, tone string, auto bool) *Linphone {
	t.Helper()
	f := s.certificate(t, pki.KindDevice, name)
	l, err := StartLinphone(folder(t, name), LinphoneConfig{User: name, Domain: "locktone.test", Proxy: proxy, Certificate: f.certificate, Key: f.key, CA: f.ca, Tone: tone, AutoAnswer: auto})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Stop)
	if err := l.Registered(ctx); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestBaresipBaresip is the main job with two phones nobody here wrote: registered over mutual TLS, SRTP, a tone each way,
// digits, hold, resume, and a hang-up from either side; once with media from phone to phone, once through the relay.
func TestBaresipBaresip(t *testing.T) {
	Need(t, baresip, sox)
	t.Parallel()
	s, _ := phoneSite(t)
	t.Run("direct", func(t *testing.T) {
		t.Parallel()
		pair := startPair(t, s, "alice", "1001", "bob", "1002")
		pair.callAndDigits(t)
		pair.hold(t)
		pair.hangUp(t, pair.a)
		pair.back(t)
	})
	t.Run("anchored", func(t *testing.T) {
		t.Parallel()
		pair := startPair(t, s, "anne", "1005", "bert", "1006")
		pair.callAndDigits(t)
		pair.hold(t)
		pair.hangUp(t, pair.b)
	})
}

// A pair is two baresips and the places in their events where the present call began.
type pair struct {
	s              *testSite
	ctx            context.Context
	a, b           *Baresip
	numberA        string
	numberB        string
	sinceA, sinceB int
}

func startPair(t *testing.T, s *testSite, a, numberA, b, numberB string) *pair {
	t.Helper()
	ctx := within(t, 25*time.Second)
	p := &pair{s: s, ctx: ctx, numberA: numberA, numberB: numberB}
	p.a = s.baresip(t, ctx, a, makeTone(t, callerTone, 50), false)
	p.b = s.baresip(t, ctx, b, makeTone(t, calledTone, 50), true)
	s.provenRegistered(t, a, b)
	return p
}

func (p *pair) mark() { p.sinceA, p.sinceB = p.a.EventMark(), p.b.EventMark() }

func (p *pair) callAndDigits(t *testing.T) {
	t.Helper()
	p.mark()
	must(t, p.a.Command("dial", p.numberB))
	p.up(t)
	digits(t, p.ctx, p.a, p.b, p.numberA, "1#")
	digits(t, p.ctx, p.b, p.a, p.numberB, "7")
}

// up waits until both phones are in the call and hear each other.
func (p *pair) up(t *testing.T) {
	t.Helper()
	event(t, p.ctx, p.a, p.sinceA, "CALL_ESTABLISHED")
	event(t, p.ctx, p.b, p.sinceB, "CALL_ESTABLISHED")
	a := waitTone(t, p.ctx, p.numberA, p.a.Heard, calledTone)
	b := waitTone(t, p.ctx, p.numberB, p.b.Heard, callerTone)
	t.Logf("%s hears %v, %s hears %v", p.numberA, a, p.numberB, b)
	for _, phone := range []*Baresip{p.a, p.b} {
		if !hasLine(phone.Process, "SRTP is Enabled") {
			t.Errorf("%s: SRTP is not in force:\n%s", phone.Dir, phone.Tail(30))
		}
	}
}

// hold: the caller holds and takes back. Two habits of Debian's baresip (1.0.0) limit what it can prove, with any call
// manager: its recorder loses the receiving side at the first re-INVITE (audio.c, aufilt_setup), and it never takes new keys
// into use (modules/srtp/srtp.c, start_srtp), so that it answers the offer of our music and cannot decrypt it. So what it
// receives and authenticates is read from its status line; music and tones around a hold are TestLinphoneBaresip's.
func (p *pair) hold(t *testing.T) {
	t.Helper()
	tail := p.s.Trace.Tail(trace.Filter{Kinds: []trace.Kind{trace.KindSIPIn}}, 64)
	defer tail.Close()
	must(t, p.a.Command("hold", ""))
	answeredHeld(t, p.ctx, tail)
	p.receiving(t, "on hold", false)
	must(t, p.a.Command("resume", ""))
	p.receiving(t, "after resume", true)
}

// receiving waits until the status lines of both phones say that they do, or do not, receive a voice codec's 64 kbit/s.
func (p *pair) receiving(t *testing.T, when string, want bool) {
	t.Helper()
	for _, phone := range []*Baresip{p.a, p.b} {
		for mark := phone.Mark(); ; mark = phone.Mark() {
			line := said(t, p.ctx, phone, mark, "audio=")
			_, rates, _ := strings.Cut(line, "audio=")
			var tx, rx int
			if _, err := fmt.Sscanf(rates, "%d/%d", &tx, &rx); err != nil {
				t.Fatalf("status line %q: %v", line, err)
			}
			if (rx > 56000) == want && (want || rx == 0) {
				t.Logf("%s %s receives and decrypts %d bit/s", when, filepath.Base(phone.Dir), rx)
				break
			}
		}
	}
}

// answeredHeld waits until the phone that is told that it is held has answered.
func answeredHeld(t *testing.T, ctx context.Context, tail *trace.Tail) {
	t.Helper()
	for {
		r, err := tail.Next(ctx)
		if err != nil {
			t.Fatalf("the held phone did not answer: %v", err)
		}
		if text := string(r.Body); strings.HasPrefix(text, "SIP/2.0 200") && strings.Contains(text, "a=recvonly") {
			return
		}
	}
}

func (p *pair) hangUp(t *testing.T, by *Baresip) {
	t.Helper()
	must(t, by.Command("hangup", ""))
	event(t, p.ctx, p.a, p.sinceA, "CALL_CLOSED")
	event(t, p.ctx, p.b, p.sinceB, "CALL_CLOSED")
}

// back calls the other way round, and the phone called hangs up.
func (p *pair) back(t *testing.T) {
	t.Helper()
	p.mark()
	must(t, p.b.Command("dial", p.numberA))
	event(t, p.ctx, p.a, p.sinceA, "CALL_INCOMING")
	must(t, p.a.Command("accept", ""))
	p.up(t)
	p.hangUp(t, p.a)
}

// digits sends telephone events one by one and sees each arrive.
func digits(t *testing.T, ctx context.Context, from, to *Baresip, who, digits string) {
	t.Helper()
	for _, d := range digits {
		mark := to.EventMark()
		if err := from.Command("sndcode", string(d)); err != nil {
			t.Fatal(err)
		}
		e, err := to.Event(ctx, mark, "CALL_DTMF_START")
		if err != nil {
			t.Fatal(err)
		}
		if e.Param != string(d) {
			t.Errorf("%s keyed %c, the other side heard %q", who, d, e.Param)
		}
		if _, err := to.Event(ctx, mark, "CALL_DTMF_END"); err != nil {
			t.Fatal(err)
		}
	}
}

// provenRegistered looks at what the call manager verified: `show registrations` and `show connections`.
func (s *testSite) provenRegistered(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		var found bool
		for _, r := range show[bus.Registration](t, s, bus.VerbRegistrations, name) {
			found = found || r.State == "registered" && strings.Contains(r.Subject, "CN="+name)
		}
		if !found {
			t.Errorf("%s is not registered with its certificate: %+v", name, show[bus.Registration](t, s, bus.VerbRegistrations, name))
		}
		found = false
		for _, c := range show[bus.Connection](t, s, bus.VerbConnections, name) {
			found = found || c.Verified && strings.HasPrefix(c.TLSVersion, "TLS 1.")
		}
		if !found {
			t.Errorf("no verified connection of %s is shown", name)
		}
	}
}

// noneLeft waits until the call manager has forgotten every call.
func (s *testSite) noneLeft(t *testing.T, ctx context.Context) {
	t.Helper()
	eventually(t, ctx, "no call is left", func() bool {
		for _, c := range s.Trace.Calls(50) {
			if c.End.IsZero() {
				return false
			}
		}
		return true
	})
}

// streaming is what linphonec logs when a call has media.
const streaming = "to LinphoneCallStreamsRunning"

// TestLinphoneBaresip calls both ways between linphonec, which verifies our server strictly, and baresip.
func TestLinphoneBaresip(t *testing.T) {
	Need(t, baresip, linphonec, sox)
	t.Parallel()
	s, localhost := phoneSite(t)
	ctx := within(t, 60*time.Second)
	carol := s.linphone(t, ctx, "carol", localhost, makeTone(t, callerTone, 50), false)
	dave := s.baresip(t, ctx, "dave", makeTone(t, calledTone, 50), false)
	s.provenRegistered(t, "carol", "dave")

	t.Run("linphonec calls", func(t *testing.T) {
		mark, events := carol.Mark(), dave.EventMark()
		must(t, carol.Call("sip:1004@locktone.test"))
		event(t, ctx, dave, events, "CALL_INCOMING")
		must(t, dave.Command("accept", ""))
		event(t, ctx, dave, events, "CALL_ESTABLISHED")
		said(t, ctx, carol, mark, streaming)
		must(t, carol.Speak())
		d := waitTone(t, ctx, "dave", dave.Heard, callerTone)
		c := waitTone(t, ctx, "carol", carolHears(t, ctx, carol, "first"), calledTone)
		t.Logf("carol (linphonec) hears %v, dave (baresip) hears %v", c, d)
		for _, digit := range "5#" {
			m := dave.EventMark()
			must(t, carol.Digits(string(digit)))
			if e := event(t, ctx, dave, m, "CALL_DTMF_START"); e.Param != string(digit) {
				t.Errorf("linphonec keyed %c, baresip heard %q", digit, e.Param)
			}
		}
		m := carol.Mark()
		must(t, dave.Command("sndcode", "9"))
		said(t, ctx, carol, m, "Receiving tone 9")
		m = carol.Mark()
		must(t, dave.Command("hold", "")) // baresip holds linphonec
		said(t, ctx, carol, m, "to LinphoneCallPausedByRemote")
		music := waitMusic(t, ctx, "carol", carolHears(t, ctx, carol, "held"), calledTone)
		m = carol.Mark()
		must(t, dave.Command("resume", ""))
		said(t, ctx, carol, m, streaming)
		again := waitTone(t, ctx, "carol after resume", carolHears(t, ctx, carol, "resumed"), calledTone)
		t.Logf("on hold carol hears %v, afterwards %v", music, again)
		events = dave.EventMark()
		must(t, carol.Say("terminate"))
		event(t, ctx, dave, events, "CALL_CLOSED")
	})
	t.Run("baresip calls", func(t *testing.T) {
		mark, events := carol.Mark(), dave.EventMark()
		must(t, dave.Command("dial", "1003"))
		said(t, ctx, carol, mark, "to LinphoneCallIncomingReceived")
		must(t, carol.Say("answer"))
		event(t, ctx, dave, events, "CALL_ESTABLISHED")
		said(t, ctx, carol, mark, streaming)
		must(t, carol.Speak())
		d := waitTone(t, ctx, "dave", dave.Heard, callerTone)
		c := waitTone(t, ctx, "carol", carolHears(t, ctx, carol, "second"), calledTone)
		t.Logf("carol hears %v, dave hears %v", c, d)
		m := carol.Mark()
		must(t, carol.Say("pause")) // linphonec holds baresip
		said(t, ctx, carol, m, "to LinphoneCallPaused")
		m = carol.Mark()
		must(t, carol.Say("resume"))
		said(t, ctx, carol, m, streaming)
		again := waitTone(t, ctx, "carol after resume", carolHears(t, ctx, carol, "unpaused"), calledTone)
		t.Logf("after linphonec's hold carol hears %v", again)
		m = carol.Mark()
		must(t, dave.Command("hangup", "")) // the caller
		said(t, ctx, carol, m, "to LinphoneCallReleased")
	})
	if !hasLine(dave.Process, "SRTP is Enabled") {
		t.Error("baresip says nothing of SRTP")
	}
	if n := countIn(t, filepath.Join(carol.Dir, "linphone-debug.log"), "Negotiated media encryption is LinphoneMediaEncryptionSRTP"); n < 2 {
		t.Error("linphonec's log says nothing of SRTP")
	}
	s.noneLeft(t, ctx)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func event(t *testing.T, ctx context.Context, b *Baresip, mark int, types ...string) BaresipEvent {
	t.Helper()
	e, err := b.Event(ctx, mark, types...)
	must(t, err)
	return e
}

func said(t *testing.T, ctx context.Context, p interface {
	Wait(context.Context, int, ...string) (string, error)
}, mark int, texts ...string) string {
	t.Helper()
	line, err := p.Wait(ctx, mark, texts...)
	must(t, err)
	return line
}

// carolHears records what linphonec hears now.
func carolHears(t *testing.T, ctx context.Context, l *Linphone, name string) recording {
	t.Helper()
	path, err := l.Heard(ctx, name)
	must(t, err)
	return func() (string, error) { return path, nil }
}

// TestRefusedCertificates shows a phone three certificates that are not its own.
func TestRefusedCertificates(t *testing.T) {
	Need(t, baresip, sox)
	t.Parallel()
	s, _ := phoneSite(t)
	quiet := makeTone(t, 400, 1)
	start := func(t *testing.T, ctx context.Context, f files) *Baresip {
		b, err := StartBaresip(ctx, folder(t, "eve"), BaresipConfig{User: "eve", Domain: "locktone.test", Proxy: s.addr, Certificate: f.both, CA: f.ca, Tone: quiet})
		must(t, err)
		t.Cleanup(b.Stop)
		return b
	}
	t.Run("another authority", func(t *testing.T) {
		ctx := within(t, 20*time.Second)
		b := start(t, ctx, rogue(t, pki.KindDevice, "eve", s.CA.RootsPEM()))
		var shown bus.Connection
		eventually(t, ctx, "the failure in show connections", func() bool {
			for _, c := range show[bus.Connection](t, s, bus.VerbConnections, "") {
				if c.Failures > 0 {
					shown = c
				}
			}
			return shown.Failures > 0
		})
		t.Logf("show connections: %d failures, %s", shown.Failures, shown.LastFailure)
		if hasLine(b.Process, " binding") {
			t.Error("baresip says that it is registered")
		}
		if !strings.Contains(shown.LastFailure, "authority") && !strings.Contains(shown.LastFailure, "CA") {
			t.Errorf("the reason does not speak of the authority: %q", shown.LastFailure)
		}
		if !strings.Contains(shown.Subject, "eve") {
			t.Errorf("the subject shown was %q", shown.Subject)
		}
		recs := s.Trace.Recent(trace.Filter{Kinds: []trace.Kind{trace.KindTLSFailed}}, 10)
		if len(recs) == 0 || !strings.Contains(recs[len(recs)-1].Summary, shown.LastFailure) {
			t.Errorf("the trace does not tell of the refused handshake: %v", recs)
		}
		s.unregistered(t, "eve")
	})
	t.Run("another device", func(t *testing.T) {
		ctx := within(t, 20*time.Second)
		b := start(t, ctx, s.certificate(t, pki.KindDevice, "bob"))
		if err := b.Registered(ctx); err == nil || !strings.Contains(err.Error(), "403 Forbidden") {
			t.Errorf("baresip heard %v, want 403", err)
		}
		warning := s.warning(t, "403")
		t.Log(warning)
		for _, word := range []string{"eve", "bob", "certificate"} {
			if !strings.Contains(warning, word) {
				t.Errorf("the Warning does not name %q: %s", word, warning)
			}
		}
		s.unregistered(t, "eve")
	})
	t.Run("a CTI application of the same name", func(t *testing.T) {
		ctx := within(t, 20*time.Second)
		before := s.refused(t)
		b := start(t, ctx, s.certificate(t, pki.KindCTI, "eve"))
		eventually(t, ctx, "the refusal", func() bool { return s.refused(t) > before })
		recs := s.Trace.Recent(trace.Filter{Kinds: []trace.Kind{trace.KindTLSFailed}}, 1)
		if len(recs) != 1 || !strings.Contains(recs[0].Summary, "cti") {
			t.Errorf("the trace does not say that the certificate belongs to a CTI application: %v", recs)
		} else {
			t.Log(recs[0].Summary)
		}
		if hasLine(b.Process, " binding") {
			t.Error("baresip says that it is registered")
		}
		s.unregistered(t, "eve")
	})
}

// refused counts the handshakes that failed.
func (s *testSite) refused(t *testing.T) (n int64) {
	t.Helper()
	for _, c := range show[bus.Connection](t, s, bus.VerbConnections, "") {
		n += c.Failures
	}
	return n
}

func (s *testSite) unregistered(t *testing.T, name string) {
	t.Helper()
	for _, r := range show[bus.Registration](t, s, bus.VerbRegistrations, name) {
		if r.State == "registered" {
			t.Errorf("%s is registered: %+v", name, r)
		}
	}
}

// warning finds the Warning header field of the newest response of that status in the trace.
func (s *testSite) warning(t *testing.T, status string) string {
	t.Helper()
	recs := s.Trace.Recent(trace.Filter{Kinds: []trace.Kind{trace.KindSIPOut}}, 100)
	for i := len(recs) - 1; i >= 0; i-- {
		text := string(recs[i].Body)
		if strings.HasPrefix(text, "SIP/2.0 "+status) {
			for _, line := range strings.Split(text, "\r\n") {
				if strings.HasPrefix(line, "Warning:") {
					return line
				}
			}
		}
	}
	return fmt.Sprintf("no %s with a Warning among %d messages", status, len(recs))
}
