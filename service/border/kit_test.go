package border

import (
	"context"
	"net/netip"
	"strings"
	"sync"
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
	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// record is a store of one site.
type record struct {
	mu      sync.Mutex
	now     store.Snapshot
	changes chan store.Snapshot
}

func (r *record) Site(context.Context) (store.Snapshot, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now, nil
}

func (r *record) Watch(context.Context) <-chan store.Snapshot { return r.changes }

// apply gives the border another configuration.
func (r *record) apply(t testing.TB, s *config.Site) {
	t.Helper()
	must(t, s.Check())
	r.mu.Lock()
	r.now = store.Snapshot{Revision: store.Revision{Number: r.now.Revision.Number + 1}, Site: s}
	next := r.now
	r.mu.Unlock()
	if r.changes != nil {
		r.changes <- next
	}
}

// world is a border with its neighbours.
type world struct {
	t      testing.TB
	ca     *elementtest.Authority
	store  *record
	border *Service
	addr   netip.Addr
	inside *neighbour
}

// neighbour is an element on the other side of the border: it answers every call with a tone, and remembers what it was sent.
type neighbour struct {
	*element.Element
	addr netip.Addr
	mu   sync.Mutex
	seen []string
	hz   int
}

// Arrival implements element.Policy.
func (n *neighbour) Arrival(in element.Incoming) (element.Arrival, *sipleg.Refusal) {
	n.remember("", in.Message)
	return element.Arrival{Peer: in.Peer}, in.Refused
}

// Program implements element.Policy.
func (n *neighbour) Program(string) applet.Program { return applet.ToneAt(float64(n.hz)) }

func (n *neighbour) remember(_ string, m *sip.Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, m.String())
}

func (n *neighbour) heard() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.seen, "\n")
}

// invites are the INVITEs it has seen.
func (n *neighbour) invites() (out []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.seen {
		if strings.HasPrefix(m, "INVITE ") {
			out = append(out, m)
		}
	}
	return out
}

// neighbour starts one that knows the border by the transport.
func (w *world) neighbour(name string, network transport.Network, hz int) *neighbour {
	w.t.Helper()
	n := &neighbour{addr: elementtest.Address(w.t), hz: hz}
	var err error
	n.Element, err = element.Start(w.t.Context(), element.Config{Service: name, Node: "n1", Version: name + "-product", Domain: name + ".test", Addresses: []netip.Addr{n.addr},
		Identity: w.ca.Identity(name, name+".test", []netip.Addr{n.addr}), Policy: n, Media: media.PlaneConfig{Bind: n.addr}, Hooks: element.Hooks{Received: n.remember}})
	must(w.t, err)
	w.t.Cleanup(func() { closing(n.Element.Close) })
	p := element.Peer{Name: "border", Network: network, Subjects: []string{"border.test"}, Destinations: []element.Destination{{Address: w.addr.String()}}, Trunk: call.Trunk{SearchSpace: "all"}}
	if network != transport.TLS {
		p.Leg.Media.Security = desc.Forbidden
	}
	must(w.t, n.Configure(call.Site{Plan: dialplan.Rules{SearchSpaces: []dialplan.SearchSpace{{Name: "all", Partitions: []string{"all"}}},
		Patterns: []dialplan.Pattern{{Digits: "!", Partition: "all", Kind: dialplan.ToApplet, To: "tone"}, {Digits: `\+!`, Partition: "all", Kind: dialplan.ToApplet, To: "tone"}}},
		Applets: []call.Applet{{Name: "tone", Driver: element.DriverApplet}}}, []element.Peer{p}))
	return n
}

func closing(f func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = f(ctx)
}

// newWorld is a border with a call server inside; edit completes the configuration and the service.
func newWorld(t testing.TB, edit func(w *world, s *config.Site, c *Config)) *world {
	t.Helper()
	w := &world{t: t, ca: elementtest.NewAuthority(t), store: &record{}, addr: elementtest.Address(t)}
	w.inside = w.neighbour("inside", transport.TLS, 1000)
	b, err := bus.Open(t.Context(), bus.Config{Node: "n1"})
	must(t, err)
	t.Cleanup(func() { b.Close() })
	cfg := Config{Node: "n1", Version: "test", Addresses: []netip.Addr{w.addr}, Store: w.store, Bus: b, Identity: w.ca.Identity("border", "border.test", []netip.Addr{w.addr}),
		Media: media.PlaneConfig{Bind: w.addr}}
	s := w.site()
	if edit != nil {
		edit(w, s, &cfg)
	}
	w.store.apply(t, s)
	w.store.changes = make(chan store.Snapshot)
	w.border, err = Start(t.Context(), cfg)
	must(t, err)
	t.Cleanup(func() { closing(w.border.Close) })
	return w
}

// site is a configuration with the call server as dial-peer 6000, and dial-peer 100 for callers outside over UDP from 127.0.0.1.
func (w *world) site() *config.Site {
	return &config.Site{
		Borders: []config.Border{{Name: "default", TrustedAddresses: []string{"127.0.0.1"}}},
		DialPeers: []config.DialPeer{
			{Tag: 100, IncomingCalledNumbers: []string{"."}},
			{Tag: 6000, DestinationPatterns: []string{"6..."}, SessionTargets: []config.SessionTarget{{Address: w.inside.addr.String()}}, AcceptedSubjects: []string{"inside.test"}},
		}}
}

// watcher sees what a phone is sent.
type watcher struct {
	transport.Observer
	mu   sync.Mutex
	seen []string
}

func (w *watcher) Received(_ *transport.Flow, _ time.Time, raw []byte, m *sip.Message, _ *sip.ParseError) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if m != nil {
		w.seen = append(w.seen, m.String())
	}
}

func (*watcher) Sent(*transport.Flow, time.Time, []byte, *sip.Message) {}
func (*watcher) Opened(*transport.Flow, time.Time)                     {}
func (*watcher) Closed(*transport.Flow, time.Time, error)              {}
func (*watcher) Refused(transport.HandshakeFailure)                    {}

func (w *watcher) heard() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.seen, "\n")
}

// caller is a telephone outside, over UDP with plain RTP unless edit says otherwise.
func (w *world) caller(edit func(*phone.Config)) *phone.Phone {
	w.t.Helper()
	cfg := phone.Config{Number: "+4930555", Server: netip.AddrPortFrom(w.addr, 5060).String(), Network: transport.UDP, Security: desc.Forbidden, NoRegister: true, Domain: "outside.test",
		Local: netip.MustParseAddr("127.0.0.1")}
	if edit != nil {
		edit(&cfg)
	}
	p, err := phone.Start(within(w.t), cfg)
	must(w.t, err)
	w.t.Cleanup(func() { closing(p.Close) })
	return p
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
