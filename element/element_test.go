package element_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/element/elementtest"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// voice is the policy of an element that answers itself: its applet "tone".
type voice struct{}

func (voice) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	return element.Arrival{Peer: in.Peer}, in.Refused
}

func (voice) Program(name string) applet.Program {
	if name == "tone" {
		return applet.ToneAt(1000)
	}
	return nil
}

func patient() endpoint.Limits { return endpoint.Limits{} }

// start starts an element that ends with the test.
func start(t testing.TB, a *elementtest.Authority, service string, edit func(*element.Config)) (*element.Element, netip.Addr) {
	t.Helper()
	addr := elementtest.Address(t)
	cfg := element.Config{Service: service, Node: "n1", Version: "test", Domain: service + ".test", Addresses: []netip.Addr{addr},
		Identity: a.Identity(service, service+".test", []netip.Addr{addr}), Limits: patient()}
	if edit != nil {
		edit(&cfg)
	}
	e, err := element.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = e.Close(ctx)
	})
	return e, addr
}

// plan leads every number to one place.
func plan(digits string, kind dialplan.Kind, to string) dialplan.Rules {
	return dialplan.Rules{SearchSpaces: []dialplan.SearchSpace{{Name: "all", Partitions: []string{"all"}}},
		Patterns: []dialplan.Pattern{{Digits: digits, Partition: "all", Kind: kind, To: to}}}
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair are two elements: what comes to the first from peer "outside" goes to the second, which answers it itself.
type pair struct {
	front, back         *element.Element
	frontAddr, backAddr netip.Addr
	ca                  *elementtest.Authority
}

func newPair(t testing.TB) *pair {
	p := &pair{ca: elementtest.NewAuthority(t)}
	p.front, p.frontAddr = start(t, p.ca, "front", nil)
	p.back, p.backAddr = start(t, p.ca, "back", func(c *element.Config) { c.Policy = voice{} })
	must(t, p.back.Configure(call.Site{Plan: plan("XXXX", dialplan.ToApplet, "tone"), Applets: []call.Applet{{Name: "tone", Driver: element.DriverApplet}}},
		[]element.Peer{{Name: "front", Subjects: []string{"front.test"}, Destinations: []element.Destination{{Address: p.frontAddr.String()}}, Trunk: call.Trunk{SearchSpace: "all"}}}))
	must(t, p.front.Configure(call.Site{Plan: plan("XXXX", dialplan.ToTrunk, "back")}, []element.Peer{
		{Name: "outside", Subjects: []string{"caller.test"}, Trunk: call.Trunk{SearchSpace: "all"}},
		{Name: "back", Subjects: []string{"back.test"}, Destinations: []element.Destination{{Address: p.backAddr.String()}}, Leg: sipleg.Profile{SendAsserts: true}},
	}))
	return p
}

// caller is a system outside that calls under the certificate given.
func (p *pair) caller(t testing.TB, subject string) *phone.Phone {
	t.Helper()
	c, err := phone.Start(within(t), phone.Config{Number: "4711", Server: netip.AddrPortFrom(p.frontAddr, 5061).String(), ServerName: p.frontAddr.String(),
		Certificate: p.ca.Peer(subject), Roots: p.ca.Roots(), NoRegister: true})
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx)
	})
	return c
}

// TestCallThroughTwoElements: a caller outside calls through the first element to the second over mutual TLS, hears what it plays over
// SRTP, and the tables say who talks with whom under which certificate.
func TestCallThroughTwoElements(t *testing.T) {
	p := newPair(t)
	ctx := within(t)
	c, err := p.caller(t, "caller.test").Dial(ctx, "2000")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	if got, err := c.WaitTone(ctx, 1000); err != nil {
		t.Fatalf("wanted 1000 Hz, heard %v Hz: %v; %+v", got, err, c.Evidence())
	}
	if ev := c.Evidence(); ev.Suite == "" || ev.RxAuth == 0 || ev.Failed != 0 {
		t.Errorf("media not proven: %+v", ev)
	}
	rows := p.front.Connections()
	in, out := row(rows, "outside"), row(rows, "back")
	if in.Direction != "inbound" || in.TLSVersion != tls.VersionName(tls.VersionTLS13) || in.Subject != "CN=caller.test" || in.Curve == "" || !in.Verified || in.MessagesIn < 2 {
		t.Errorf("row of the caller: %+v", in)
	}
	if out.State != "established" || !strings.HasPrefix(out.Subject, "CN=back.test") || out.Cipher == "" || out.Remote != netip.AddrPortFrom(p.backAddr, 5061).String() && out.Direction == "outbound" {
		t.Errorf("row of the second element: %+v", out)
	}
	// RFC 7989: one id through both, by which a trace draws one ladder.
	ids := map[string]bool{}
	for _, e := range []*element.Element{p.front, p.back} {
		views, err := e.Host().Calls(ctx)
		must(t, err)
		for _, v := range views {
			ids[v.GlobalID] = true
		}
	}
	if len(ids) != 1 || ids[""] {
		t.Errorf("one call has the ids %v", ids)
	}
	must(t, c.Hangup(ctx))
	for _, e := range []*element.Element{p.front, p.back} {
		must(t, e.Drain(ctx))
	}
}

func row(rows []bus.Connection, peer string) bus.Connection {
	for _, r := range rows {
		if r.Peer == peer {
			return r
		}
	}
	return bus.Connection{}
}

// TestStrangersAreTurnedAway: a certificate of the authority that no peer may bear opens no call, and one of nobody no connection.
func TestStrangersAreTurnedAway(t *testing.T) {
	p := newPair(t)
	ctx := within(t)
	c, err := p.caller(t, "stranger.test").Dial(ctx, "2000")
	must(t, err)
	if status, _, err := c.WaitEnded(ctx); err != nil || status != 403 || !strings.Contains(c.Warning(), "stranger.test") {
		t.Errorf("ended with %d (%v): %q", status, err, c.Warning())
	}
	other := elementtest.NewAuthority(t)
	conn, err := tls.Dial("tcp", netip.AddrPortFrom(p.frontAddr, 5061).String(), &tls.Config{RootCAs: p.ca.Roots(), ServerName: p.frontAddr.String(),
		Certificates: []tls.Certificate{other.Peer("caller.test")}})
	if err == nil { // in TLS 1.3 the client's handshake is over before the server has seen its certificate
		_, err = conn.Read(make([]byte, 1))
		_ = conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "tls") {
		t.Errorf("a certificate of nobody: %v", err)
	}
	await(t, ctx, "the failed handshake is in the table", func() bool {
		for _, r := range p.front.Connections() {
			if r.State == "failed" && r.Failures > 0 || r.Failures > 0 && r.LastFailure != "" {
				return true
			}
		}
		return false
	})
}

// TestPeersAreAskedForTheirState: OPTIONS find out who answers.
func TestPeersAreAskedForTheirState(t *testing.T) {
	p := newPair(t)
	ctx := within(t)
	await(t, ctx, "both ask each other", func() bool { return state(p.front, "back") == "in-service" && state(p.back, "front") == "in-service" })
	if p.front.InService("outside") {
		t.Error("a peer without a destination is in service")
	}
}

func state(e *element.Element, peer string) string {
	for _, r := range e.Peers(context.Background()) {
		if r.Trunk == peer {
			return r.State
		}
	}
	return ""
}

// await waits for what has no event of its own.
func await(t testing.TB, ctx context.Context, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal("does not happen: ", what)
		}
	}
}

// TestPlainPeer: a peer without TLS is known by its address, its plain media is made SRTP towards the peer behind, and both are exceptions;
// nobody else is let in over UDP.
func TestPlainPeer(t *testing.T) {
	p := newPair(t)
	old := elementtest.Address(t)
	must(t, p.front.Configure(call.Site{Plan: plan("XXXX", dialplan.ToTrunk, "back"), Policy: call.Policy{Mixed: call.MixedAnchor}}, []element.Peer{
		{Name: "old", Network: transport.UDP, Destinations: []element.Destination{{Address: old.String(), Port: 5070}}, Ping: config.OptionsPing{Disabled: true},
			Leg: sipleg.Profile{Media: media.Profile{Security: desc.Forbidden, Anchor: true}}, Trunk: call.Trunk{SearchSpace: "all"}},
		{Name: "back", Subjects: []string{"back.test"}, Destinations: []element.Destination{{Address: p.backAddr.String()}}},
	}))
	ctx := within(t)
	plain := func(local netip.Addr) *phone.Phone {
		c, err := phone.Start(ctx, phone.Config{Number: "4711", Server: netip.AddrPortFrom(p.frontAddr, 5060).String(), Network: transport.UDP, Local: local,
			NoRegister: true, Security: desc.Forbidden})
		must(t, err)
		t.Cleanup(func() { _ = c.Close(ctx) })
		return c
	}
	c, err := plain(old).Dial(ctx, "2000")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	if got, err := c.WaitTone(ctx, 1000); err != nil {
		t.Fatalf("wanted 1000 Hz, heard %v Hz: %v; %+v", got, err, c.Evidence())
	}
	if ev := c.Evidence(); ev.Suite != "" {
		t.Errorf("the old peer was given SRTP: %+v", ev)
	}
	if r := row(p.front.Connections(), "back"); r.TLSVersion == "" {
		t.Errorf("the peer behind was not reached over TLS: %+v", r)
	}
	if x := p.front.Exceptions(); len(x) != 2 || x[0].Setting != "transport" || x[1].Setting != "srtp" {
		t.Errorf("exceptions: %+v", x)
	}
	stranger, err := plain(elementtest.Address(t)).Dial(ctx, "2000")
	must(t, err)
	if status, _, err := stranger.WaitEnded(ctx); err != nil || status != 403 {
		t.Errorf("a stranger over UDP ended with %d (%v)", status, err)
	}
	must(t, c.Hangup(ctx))
	must(t, p.back.Drain(ctx))
}

// TestCallOutlivesItsConnection: a call that came in over a connection that is lost afterwards is ended over a new one, to the peer's destination.
func TestCallOutlivesItsConnection(t *testing.T) {
	p := newPair(t)
	ctx := within(t)
	c, err := p.caller(t, "caller.test").Dial(ctx, "2000")
	must(t, err)
	must(t, c.WaitAnswered(ctx))
	views, err := p.back.Host().Calls(ctx)
	must(t, err)
	if n := p.back.CloseConnections("front", errors.New("cut by the test")); n == 0 || len(views) != 1 {
		t.Fatalf("%d connections were closed, with calls %+v", n, views)
	}
	_, err = p.back.Host().Request(ctx, "test", call.Drop{Call: views[0].ID, Cause: call.NormalClearing})
	must(t, err)
	if status, byPeer, err := c.WaitEnded(ctx); err != nil || !byPeer {
		t.Errorf("ended with %d, by the peer: %v (%v)", status, byPeer, err)
	}
}

// TestListenersFollowPeers: UDP and TCP are open while a peer needs them, which is an exception, and closed afterwards.
func TestListenersFollowPeers(t *testing.T) {
	e, addr := start(t, elementtest.NewAuthority(t), "one", nil)
	must(t, e.Configure(call.Site{}, []element.Peer{{Name: "old", Network: transport.UDP, Destinations: []element.Destination{{Address: addr.String(), Port: 5070}}}}))
	open, _ := e.Listening()
	if got, want := strings.Join(open, " "), "tls "+addr.String()+":5061 udp "+addr.String()+":5060"; got != want {
		t.Errorf("listening on %s, want %s", got, want)
	}
	if x := e.Exceptions(); len(x) != 1 || x[0].Name != "old" || x[0].Setting != "transport" || x[0].Value != "udp" {
		t.Errorf("exceptions: %+v", x)
	}
	must(t, e.Configure(call.Site{}, nil))
	if open, _ = e.Listening(); len(open) != 1 {
		t.Errorf("listening on %v still", open)
	}
}
