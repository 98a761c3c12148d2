package lab_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/address"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Settings of a site file and what people notice of them, on one running site. PORT is where the test's own peer listens.
const settings = `
cluster: {domain: pbx.example}
nodes: [{name: node1}]
callManagerGroups: [{name: g, nodes: [node1]}]
musicOnHold: [{name: default, file: music/default.wav}, {name: sea, file: music/sea.wav}]
devicePools: [{name: hall, callManagerGroup: g}, {name: beach, callManagerGroup: g, musicOnHold: sea}]
phoneSecurityProfiles:
  - {name: encrypted}
  - {name: digest, copyOf: encrypted, digestAuthentication: true, digestMD5: true}
sipProfiles:
  - {name: eager, earlyOffer: mandatory, optionsPing: {disabled: true}}
sipTrunkSecurityProfiles:
  - {name: asks, acceptedSubjects: [asked.example], digestAuthentication: true, digestUser: peer}
  - {name: gone, acceptedSubjects: [gone.example], digestAuthentication: true, digestUser: left}
  - {name: dialled, acceptedSubjects: [dialled.example]}
  - {name: shared, acceptedSubjects: [shared.example]}
  - {name: open, acceptedSubjects: [open.example], acceptUnsolicitedNotify: true, acceptOutOfDialogRefer: true}
sipTrunks:
  - {name: in, securityProfile: asks, sipProfile: eager, devicePool: hall, srtpAllowed: true, callingSearchSpace: all, destinations: [{address: 127.0.0.1, port: 9}]}
  - {name: former, securityProfile: gone, sipProfile: eager, devicePool: hall, srtpAllowed: true, callingSearchSpace: all, destinations: [{address: 127.0.0.1, port: 9}]}
  - {name: out, securityProfile: dialled, sipProfile: eager, devicePool: hall, srtpAllowed: true, localDomain: we.example, destinations: [{address: 127.0.0.1, port: PORT}]}
  - {name: east, securityProfile: shared, sipProfile: eager, devicePool: hall, destinations: [{address: 127.0.0.5}]}
  - {name: west, securityProfile: shared, sipProfile: eager, devicePool: hall, callingSearchSpace: all, destinations: [{address: 127.0.0.6}]}
  - {name: opened, securityProfile: open, sipProfile: eager, devicePool: hall, destinations: [{address: 127.0.0.1, port: 10}]}
partitions: [{name: p}]
callingSearchSpaces: [{name: all, partitions: [p]}]
lines:
  - {number: 2001, partition: p, callingSearchSpace: all, display: Alice}
  - {number: 2002, partition: p, callingSearchSpace: all, display: Bob, alertingName: 'Bob, upstairs'}
  - {number: 2003, partition: p, callingSearchSpace: all, display: Dora}
devices:
  - {name: alice, devicePool: beach, phoneSecurityProfile: encrypted, lines: [{number: 2001, partition: p}]}
  - {name: bob, devicePool: hall, phoneSecurityProfile: encrypted, lines: [{number: 2002, partition: p, busyTrigger: 1}]}
  - {name: dora, devicePool: hall, phoneSecurityProfile: digest, digestUser: dora, lines: [{number: 2003, partition: p}]}
users:
  - {name: peer, digestCredential: peers secret}
  - {name: dora, digestCredential: doras secret}
  - {name: left, digestCredential: lefts secret, disabled: true}
applets:
  - {name: waves, type: music, number: 9001, partition: p, musicOnHold: sea}
routePatterns:
  - {pattern: '8.XXXX', partition: p, trunk: out, discard: pre-dot, callingPrefix: '49'}
  - {pattern: 6XXX, partition: p, block: true}
  - {pattern: '7.XXXX', partition: p, trunk: out, discard: pre-dot, callingPresentation: restricted}
translationPatterns:
  - {pattern: '*67.XXXX', partition: p, discard: pre-dot, callingPresentation: restricted}
`

func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// startSite starts a site of a site file's text.
func startSite(t *testing.T, o lab.Options, text string) *lab.Site {
	t.Helper()
	o.Config = must(config.Parse("site.yaml", []byte(text), nil))(t)
	s := must(lab.Start(within(t, time.Minute), o))(t)
	t.Cleanup(func() {
		if err := s.Close(within(t, time.Minute)); err != nil {
			t.Errorf("the site did not stop cleanly: %v", err)
		}
	})
	return s
}

// writeTone makes a recording of a second.
func writeTone(t *testing.T, path string, hz float64) {
	t.Helper()
	pcm := make([]int16, wav.Rate)
	if _, err := tone.NewSine(hz, -10).ReadPCM(pcm); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, wav.Append(nil, pcm), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	writeTone(t, filepath.Join(home, "music", "default.wav"), 620)
	writeTone(t, filepath.Join(home, "music", "sea.wav"), 880)
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	t.Cleanup(func() { l.Close() })
	s := startSite(t, lab.Options{Home: home}, strings.ReplaceAll(settings, "PORT", fmt.Sprint(l.Addr().(*net.TCPAddr).Port)))
	domain := func(c *phone.Config) { c.Domain = "pbx.example" }
	phones := map[string]*phone.Phone{}
	for name, number := range map[string]string{"alice": "2001", "bob": "2002"} {
		p := must(s.Phone(within(t, time.Minute), name, number, domain))(t)
		t.Cleanup(func() { p.Close(within(t, time.Minute)) })
		if err := p.WaitRegistered(within(t, time.Minute)); err != nil {
			t.Fatal(err)
		}
		phones[name] = p
	}
	alice, bob := phones["alice"], phones["bob"]
	t.Run("names, busy trigger, music", func(t *testing.T) { callSettings(t, alice, bob) })
	t.Run("withheld number", func(t *testing.T) { withheld(t, alice, bob) })
	t.Run("music applet", func(t *testing.T) {
		ctx := within(t, time.Minute)
		c := must(alice.Dial(ctx, "9001"))(t)
		defer c.Hangup(ctx)
		if _, err := c.WaitTone(ctx, 880); err != nil {
			t.Error(err)
		}
	})
	t.Run("digest", func(t *testing.T) { digests(t, s) })
	t.Run("trunks of one profile", func(t *testing.T) {
		for from, want := range map[string]int{"127.0.0.5": 404, "127.0.0.6": 403} { // only west may reach the number, and it is blocked
			p := dial(t, s, from, pki.KindPeer, "shared.example")
			if res := p.final(request(sip.INVITE, "5551", "6000")); res.Status() != want {
				t.Errorf("from %s: %d, want %d", from, res.Status(), want)
			}
			p.conn.Close()
		}
	})
	t.Run("requests outside of calls", func(t *testing.T) { outside(t, s, alice) })
	t.Run("trunk out", func(t *testing.T) { trunkOut(t, s, l, alice) })
}

// callSettings: while it rings the caller sees the alerting name, then the display; the button that carries a call is busy; who
// holds decides what is heard.
func callSettings(t *testing.T, alice, bob *phone.Phone) {
	ctx := within(t, time.Minute)
	call := must(alice.Dial(ctx, "2002"))(t)
	ringing := <-bob.Incoming()
	if err := call.WaitRinging(ctx); err != nil {
		t.Fatal(err)
	}
	if got := call.Connected().Display; got != "Bob, upstairs" {
		t.Errorf("while it rings the caller sees %q", got)
	}
	if err := ringing.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := call.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	if got := call.Connected().Display; got != "Bob" {
		t.Errorf("after the answer the caller sees %q", got)
	}
	second := must(alice.Dial(ctx, "2002"))(t)
	if status, _, err := second.WaitEnded(ctx); err != nil || status != 486 {
		t.Errorf("the second call to a button with busyTrigger 1: %d, %v", status, err)
	}
	for _, h := range []struct {
		holder, held *phone.Call
		hz           float64
	}{{call, ringing, 880}, {ringing, call, 620}} {
		if err := h.holder.Hold(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := h.held.WaitTone(ctx, h.hz); err != nil {
			t.Errorf("music of %g Hz: %v", h.hz, err)
		}
		if err := h.holder.Resume(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := call.Hangup(ctx); err != nil {
		t.Error(err)
	}
}

// withheld: a pattern may withhold the caller's number.
func withheld(t *testing.T, alice, bob *phone.Phone) {
	ctx := within(t, time.Minute)
	for number, hidden := range map[string]bool{"*672002": true, "2002": false} {
		call := must(alice.Dial(ctx, number))(t)
		in := <-bob.Incoming()
		if from := in.From(); strings.Contains(from.String()+in.Connected().String(), "2001") == hidden || from.URI.Host == "anonymous.invalid" != hidden {
			t.Errorf("%s: the called phone sees %s and %s", number, from, in.Connected().String())
		}
		if err := call.Hangup(ctx); err != nil {
			t.Error(err)
		}
		if _, _, err := in.WaitEnded(ctx); err != nil {
			t.Error(err)
		}
	}
}

// A rawPeer speaks SIP over one TLS connection, one message at a time.
type rawPeer struct {
	t      testing.TB
	conn   net.Conn
	framer sip.Framer
}

// dial connects to the site with a certificate of its authority.
func dial(t testing.TB, s *lab.Site, from string, kind pki.Kind, name string) *rawPeer {
	t.Helper()
	credential := must(s.Issue(within(t, time.Minute), kind, name))(t)
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: time.Minute}
	conn := must(tls.DialWithDialer(d, "tcp", netip.AddrPortFrom(s.CallManager(), 5061).String(),
		&tls.Config{RootCAs: s.Roots(), ServerName: s.CallManager().String(), Certificates: []tls.Certificate{credential.TLS()}}))(t)
	return &rawPeer{t: t, conn: conn}
}

func (p *rawPeer) next() *sip.Message {
	p.t.Helper()
	if err := p.conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		p.t.Fatal(err)
	}
	for {
		if f, ok := p.framer.Next(); ok && f.Err != nil {
			p.t.Fatal(f.Err)
		} else if ok && f.Message != nil {
			return f.Message
		} else if ok {
			continue
		}
		if _, err := p.framer.Fill(p.conn); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *rawPeer) send(m *sip.Message) {
	p.t.Helper()
	if _, err := p.conn.Write(m.Append(nil)); err != nil {
		p.t.Fatal(err)
	}
}

// final sends a request and waits for its final response, which it acknowledges.
func (p *rawPeer) final(m *sip.Message) *sip.Message {
	p.t.Helper()
	p.send(m)
	for {
		res := p.next()
		if !res.IsResponse() || !res.IsFinal() {
			continue
		}
		if m.Method() == sip.INVITE {
			ack := sip.NewRequest(sip.ACK, m.RequestURI())
			ack.Set("Via", m.Header("Via"))
			ack.SetFrom(m.From())
			ack.SetTo(res.To())
			ack.SetCallID(m.CallID())
			ack.SetCSeq(sip.CSeq{Seq: m.CSeq().Seq, Method: sip.ACK})
			ack.SetMaxForwards(70)
			p.send(ack)
		}
		return res
	}
}

var (
	serialLock sync.Mutex
	serial     int
)

func unique() string {
	serialLock.Lock()
	defer serialLock.Unlock()
	serial++
	return fmt.Sprint("s", serial)
}

// request is a request from a user of a peer outside any dialog.
func request(method sip.Method, from, to string) *sip.Message {
	m := sip.NewRequest(method, sip.URI{Scheme: "sip", User: to, Host: "pbx.example"})
	m.Set("Via", "SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK"+unique())
	m.SetFrom(sip.Address{URI: sip.URI{Scheme: "sip", User: from, Host: "pbx.example"}, Params: sip.Params{{Name: "tag", Value: unique()}}})
	m.SetTo(sip.Address{URI: sip.URI{Scheme: "sip", User: to, Host: "pbx.example"}})
	m.SetCallID(unique())
	m.SetCSeq(sip.CSeq{Seq: 1, Method: method})
	m.SetMaxForwards(70)
	m.SetContact(sip.Address{URI: sip.URI{Scheme: "sip", User: from, Host: "127.0.0.1", Port: 9}})
	return m
}

// digests: who has to show credentials besides the certificate is challenged, for calls too.
func digests(t *testing.T, s *lab.Site) {
	for _, c := range []struct {
		kind           pki.Kind
		name, from     string
		user, password string
		want           int
	}{
		{pki.KindPeer, "asked.example", "5551", "peer", "peers secret", 404}, // let in, and nobody has the number
		{pki.KindPeer, "asked.example", "5551", "peer", "something else", 403},
		{pki.KindPeer, "asked.example", "5551", "dora", "doras secret", 403},
		{pki.KindPeer, "gone.example", "5551", "left", "lefts secret", 403},
		{pki.KindDevice, "dora", "2003", "dora", "doras secret", 404},
		{pki.KindDevice, "dora", "2003", "dora", "something else", 403},
	} {
		p := dial(t, s, "127.0.0.1", c.kind, c.name)
		invite := request(sip.INVITE, c.from, "5999")
		res := p.final(invite)
		if res.Status() != 401 {
			t.Errorf("%s: without credentials: %d %s", c.name, res.Status(), res.Header("Warning"))
			p.conn.Close()
			continue
		}
		if n := len(res.Headers("WWW-Authenticate")); c.kind == pki.KindPeer != (n == 1) || n < 1 || n > 2 {
			t.Errorf("%s: %d challenges; MD5 is for profiles with the exception only", c.name, n)
		}
		client := sip.NewDigestClient(sip.Credentials{User: c.user, Password: sip.NewSecret(c.password)})
		if err := client.Challenged(invite, res); err != nil {
			t.Fatalf("%s: the challenge cannot be answered: %v", c.name, err)
		}
		again := invite.Clone()
		again.Set("Via", "SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK"+unique())
		again.SetCSeq(sip.CSeq{Seq: 2, Method: sip.INVITE})
		client.Authorize(again)
		if res := p.final(again); res.Status() != c.want {
			t.Errorf("%s as %s: %d %s, want %d", c.name, c.user, res.Status(), res.Header("Warning"), c.want)
		}
		p.conn.Close()
	}
}

// outside: what a peer may ask outside of calls is up to its profile.
func outside(t *testing.T, s *lab.Site, alice *phone.Phone) {
	for name, accepted := range map[string]bool{"open.example": true, "shared.example": false} {
		p := dial(t, s, "127.0.0.1", pki.KindPeer, name)
		notify := request(sip.NOTIFY, "voicemail", "2002")
		notify.Set("Event", "message-summary")
		notify.Set("Subscription-State", "active")
		notify.SetBody("application/simple-message-summary", []byte("Messages-Waiting: yes\r\n"))
		refer := request(sip.REFER, "desktop", "2001")
		refer.Set("Refer-To", "<sip:2002@pbx.example>")
		refer.Set("Refer-Sub", "false")
		refer.Set("Supported", "norefersub")
		for _, x := range []struct {
			m    *sip.Message
			want int
		}{{notify, 200}, {refer, 202}} {
			if !accepted {
				x.want = 403
			}
			if res := p.final(x.m); res.Status() != x.want {
				t.Errorf("%s: %s is answered %d %s", name, x.m.Method(), res.Status(), res.Header("Warning"))
			}
		}
		if accepted {
			select {
			case c := <-alice.Incoming():
				c.Reject(486)
			case <-time.After(time.Minute):
				t.Error("nobody called on behalf of the peer")
			}
		}
		p.conn.Close()
	}
}

// trunkOut: what an INVITE to a peer looks like: a description although the caller gave none, our name for the peer in every
// address, transformed and withheld numbers.
func trunkOut(t *testing.T, s *lab.Site, l net.Listener, alice *phone.Phone) {
	ctx := within(t, time.Minute)
	credential := must(s.Issue(ctx, pki.KindPeer, "dialled.example"))(t)
	late := must(s.Phone(ctx, "alice", "2001", func(c *phone.Config) { c.Domain, c.LateOffer, c.NoRegister = "pbx.example", true, true }))(t)
	defer late.Close(ctx)
	calls := make(chan *phone.Call, 2)
	go func() {
		for _, x := range []struct {
			p      *phone.Phone
			number string
		}{{late, "84711"}, {alice, "74711"}} {
			c, err := x.p.Dial(ctx, x.number)
			if err != nil {
				t.Error(err)
				break
			}
			_, _, _ = c.WaitEnded(ctx)
			calls <- c
		}
		close(calls)
	}()
	conn := tls.Server(must(l.Accept())(t), &tls.Config{Certificates: []tls.Certificate{credential.TLS()}, ClientAuth: tls.RequireAnyClientCert})
	defer conn.Close()
	p := &rawPeer{t: t, conn: conn}
	invite := func() *sip.Message {
		m := p.next()
		for m.Method() != sip.INVITE || m.IsResponse() {
			m = p.next()
		}
		res := sip.NewResponse(m, 486, "")
		res.SetToTag("peer")
		p.send(res)
		return m
	}
	m := invite()
	if !strings.HasPrefix(string(m.Body()), "v=0") {
		t.Errorf("no description although the trunk needs one:\n%s", m.Append(nil))
	}
	if from := m.From().URI; from.Host != "we.example" || from.User != "492001" {
		t.Errorf("From is %s", from)
	}
	if asserted, _ := m.Address("P-Asserted-Identity"); asserted.URI.Host != "we.example" || asserted.URI.User != "492001" {
		t.Errorf("P-Asserted-Identity is %s", asserted)
	}
	if m.RequestURI().User != "4711" {
		t.Errorf("called is %s", m.RequestURI())
	}
	m = invite()
	if asserted, _ := m.Address("P-Asserted-Identity"); m.From().URI.Host != "anonymous.invalid" || m.Header("Privacy") != "id" || asserted.URI.User != "2001" {
		t.Errorf("withheld towards a trusted peer: From %s, P-Asserted-Identity %s, Privacy %s", m.From(), asserted, m.Header("Privacy"))
	}
	for range calls {
	}
}

// TestNonSecureCluster: a cluster without device security, and where the site puts its services. A phone comes over TCP although
// its profile says encrypted; with TLS it is refused.
func TestNonSecureCluster(t *testing.T) {
	t.Parallel()
	var places [2]netip.Addr
	for i := range places {
		a := must(address.Take())(t)
		t.Cleanup(func() { _ = a.Release() })
		places[i] = a.Addr
	}
	here, also := places[0], places[1]
	s := startSite(t, lab.Options{}, fmt.Sprintf(`
cluster: {name: plainlab, securityMode: non-secure}
nodes: [{name: only, address: %s, services: [{service: callmanager, alsoAddresses: [%s]}, {service: admin}]}]
callManagerGroups: [{name: g, nodes: [only]}]
musicOnHold: [{name: default, file: missing.wav}]
devicePools: [{name: d, callManagerGroup: g}]
phoneSecurityProfiles: [{name: encrypted}]
lines: [{number: 2001, display: Alice}]
devices: [{name: alice, devicePool: d, phoneSecurityProfile: encrypted, lines: [{number: 2001}]}]
`, here, also))
	if s.CallManager() != here {
		t.Fatalf("the call manager is on %s, the site says %s", s.CallManager(), here)
	}
	if st := s.Calls.Status(t.Context()); st.State != "degraded" || !strings.Contains(st.Problem, "missing.wav") {
		t.Errorf("a recording that is not there: %s, %s", st.State, st.Problem)
	}
	ctx := within(t, time.Minute)
	for _, server := range []netip.Addr{here, also} {
		p := must(s.Phone(ctx, "alice", "2001", func(c *phone.Config) {
			c.Network, c.Server, c.Security = transport.TCP, netip.AddrPortFrom(server, 5060).String(), desc.Forbidden
		}))(t)
		if err := p.WaitRegistered(ctx); err != nil {
			t.Errorf("over TCP at %s: %v", server, err)
		}
		p.Close(ctx)
	}
	// One that has not heard of the mode still comes as its profile says, with its certificate, and is let in.
	p := must(s.Phone(ctx, "alice", "2001", nil))(t)
	defer p.Close(ctx)
	if err := p.WaitRegistered(ctx); err != nil {
		t.Errorf("over TLS: %v", err)
	}
	stranger := must(s.Issue(ctx, pki.KindDevice, "mallory"))(t)
	q := must(s.Phone(ctx, "alice", "2001", func(c *phone.Config) { c.Certificate = stranger.TLS() }))(t)
	defer q.Close(ctx)
	if err := q.WaitRegistered(ctx); err == nil || !strings.Contains(err.Error(), "names mallory") {
		t.Errorf("over TLS with somebody else's certificate: %v", err)
	}
}

// TestNodeWithoutCallManager: a node runs what the site lists for it.
func TestNodeWithoutCallManager(t *testing.T) {
	t.Parallel()
	s := startSite(t, lab.Options{}, `
nodes: [{name: node1, services: [{service: admin}]}]
`)
	if s.Calls != nil {
		t.Error("the call manager runs although the site does not list it")
	}
	o := lab.Options{Config: config.Default("elsewhere"), Node: config.NodeConfig{Node: "node7"}}
	if s, err := lab.Start(within(t, time.Minute), o); err == nil || !strings.Contains(err.Error(), `no node "node7"`) {
		t.Errorf("a node the site does not know: %v", err)
		if err == nil {
			s.Close(within(t, time.Minute))
		}
	}
}
