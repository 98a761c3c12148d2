package tie

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/tieleg"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
	"github.com/prometheus/client_golang/prometheus"
)

// patience bounds what a test waits for.
const patience = 30 * time.Second

// site is the configuration: alice 1001, bob 1002, carol 1003, dave 1004; erin and frank share 1005.
func site(c *config.Site) {
	add := func(name, number string) {
		c.Devices = append(c.Devices, config.Device{Name: name, DevicePool: "default", PhoneSecurityProfile: "encrypted", SIPProfile: "standard",
			Lines: []config.Appearance{{Number: number, Partition: "internal"}}})
	}
	for _, number := range []string{"1003", "1004", "1005"} {
		c.Lines = append(c.Lines, config.Line{Number: number, Partition: "internal", CallingSearchSpace: "internal", PickupGroup: "everybody"})
	}
	add("carol", "1003")
	add("dave", "1004")
	add("erin", "1005")
	add("frank", "1005")
}

// stage is a cluster with phones: alice, carol and erin at the first node, bob, dave and frank at the second.
type stage struct {
	*lab.Cluster
	t                                    *testing.T
	alice, bob, carol, dave, erin, frank *phone.Phone
	heard                                *leaks
	at                                   map[string]string // node of each phone
}

// phonesAt says at which node each phone is; of three nodes the third has dave and frank.
func phonesAt(nodes int) map[string]string {
	last := fmt.Sprintf("n%d", max(nodes, 2))
	return map[string]string{"alice": "n1", "carol": "n1", "erin": "n1", "bob": "n2", "dave": last, "frank": last}
}

func start(t *testing.T, o lab.ClusterOptions) *stage {
	t.Helper()
	edit := o.Site
	o.Site = func(c *config.Site) {
		site(c)
		if edit != nil {
			edit(c)
		}
	}
	s := &stage{Cluster: lab.StartCluster(t, o), t: t, heard: &leaks{}, at: phonesAt(o.Nodes)}
	s.phones()
	t.Cleanup(func() { s.heard.check(t) })
	s.known(t)
	return s
}

func (s *stage) phones() {
	s.alice, s.bob, s.carol = s.phone("alice", "1001"), s.phone("bob", "1002"), s.phone("carol", "1003")
	s.dave, s.erin, s.frank = s.phone("dave", "1004"), s.phone("erin", "1005"), s.phone("frank", "1005")
}

func (s *stage) phone(name, number string) *phone.Phone {
	s.t.Helper()
	return s.Registered(s.at[name], name, number, func(c *phone.Config) { c.Observer = s.heard })
}

// known waits until every node knows where every phone is.
func (s *stage) known(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, n := range s.Nodes() {
		for name := range s.at {
			for len(n.Bus.Board().Of("registration", name)) == 0 {
				select {
				case <-ctx.Done():
					for _, n := range s.Nodes() {
						t.Logf("%s: connected %v, sees %+v", n.Name, n.Bus.Connected(), n.Bus.Board().Nodes())
					}
					t.Fatalf("node %s does not know where %s is; it sees %+v", n.Name, name, n.Bus.Board().Nodes())
				case <-time.After(10 * time.Millisecond):
				}
			}
		}
	}
}

// leaks looks for what nodes tell each other in what phones are sent.
type leaks struct {
	transport.Observer
	mu    sync.Mutex
	seen  int
	wrong []string
}

func (l *leaks) Received(_ *transport.Flow, _ time.Time, raw []byte, m *sip.Message, _ *sip.ParseError) {
	if m == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen++
	if m.Has(tieleg.Name) || strings.Contains(strings.ToLower(string(raw)), "locktone-tie") || strings.Contains(m.Header("Reason"), "locktone") {
		l.wrong = append(l.wrong, string(raw))
	}
}
func (l *leaks) Sent(*transport.Flow, time.Time, []byte, *sip.Message) {}
func (l *leaks) Opened(*transport.Flow, time.Time)                     {}
func (l *leaks) Closed(*transport.Flow, time.Time, error)              {}
func (l *leaks) Refused(transport.HandshakeFailure)                    {}

func (l *leaks) check(t *testing.T) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seen == 0 {
		t.Error("nobody looked at what phones are sent")
	}
	for _, m := range l.wrong {
		t.Errorf("a phone was sent what only nodes tell each other:\n%s", m)
	}
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dial calls a number and does not wait.
func dial(ctx context.Context, t testing.TB, p *phone.Phone, number string) *phone.Call {
	t.Helper()
	c, err := p.Dial(ctx, number)
	must(t, err)
	return c
}

// dialled calls a number that answers by itself.
func dialled(ctx context.Context, t testing.TB, p *phone.Phone, number string) *phone.Call {
	t.Helper()
	c := dial(ctx, t, p, number)
	must(t, c.WaitAnswered(ctx))
	return c
}

// incoming is the call that comes in at p.
func incoming(ctx context.Context, t testing.TB, p *phone.Phone) *phone.Call {
	t.Helper()
	select {
	case c := <-p.Incoming():
		return c
	case <-ctx.Done():
		t.Fatalf("no call arrives at %s", p.Name())
		return nil
	}
}

// connect calls from a to b's number, and b answers.
func connect(ctx context.Context, t testing.TB, a, b *phone.Phone) (*phone.Call, *phone.Call) {
	t.Helper()
	ca := dial(ctx, t, a, b.Number())
	cb := incoming(ctx, t, b)
	must(t, ca.WaitRinging(ctx))
	must(t, cb.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	return ca, cb
}

// late bounds the packets that were on their way when keys changed.
const late = 3

// both lets two phones of a call hear each other, over SRTP with keys that verify.
func both(ctx context.Context, t testing.TB, a, b *phone.Call) {
	t.Helper()
	a.Tone(1000)
	b.Tone(440)
	hears(ctx, t, b, 1000)
	hears(ctx, t, a, 440)
	for _, c := range []*phone.Call{a, b} {
		if e := c.Evidence(); e.Suite == "" || e.RxAuth == 0 || e.Failed > late || !e.Verified {
			t.Errorf("media is %+v", e)
		}
	}
}

func hears(ctx context.Context, t testing.TB, c *phone.Call, hz float64) {
	t.Helper()
	if got, err := c.WaitTone(ctx, hz); err != nil {
		t.Fatalf("wanted %v Hz, heard %v Hz: %v; %+v", hz, got, err, c.Evidence())
	}
}

func ended(ctx context.Context, t testing.TB, c *phone.Call, want int) {
	t.Helper()
	status, _, err := c.WaitEnded(ctx)
	if err != nil || status != want {
		t.Fatalf("call ended with %d, want %d (%v; %s)", status, want, err, c.Warning())
	}
}

// hears waits until a node knows what a device elsewhere, or a park number, has for those who ask: users are slower than the bus.
func (s *stage) hears(ctx context.Context, t testing.TB, node string, thing call.Thing, device string) {
	t.Helper()
	for {
		for _, f := range s.Node(node).Bus.Board().All("call") {
			if x, err := bus.Value[call.Elsewhere](f); err == nil && x.Thing == thing && x.Device == device {
				return
			}
		}
		select {
		case <-ctx.Done():
			t.Fatalf("node %s does not hear of %s at %q", node, thing, device)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// idle waits until no node has anything of a call: no leg, no end of a tie, and nothing that it offers to others.
func (s *stage) idle(t testing.TB) {
	t.Helper()
	ctx := within(t)
	for _, n := range s.Nodes() {
		if n.Site == nil {
			continue
		}
		for {
			left := fmt.Sprintf("%v calls, %v legs, %v ends of ties", figure(t, n, "locktone_callmanager_calls"), figure(t, n, "locktone_callmanager_legs"),
				figure(t, n, "locktone_callmanager_tie_legs"))
			board := n.Bus.Board()
			if left == "0 calls, 0 legs, 0 ends of ties" && len(board.All("call")) == 0 && len(board.All("lamps")) == 0 {
				break
			}
			select {
			case <-ctx.Done():
				t.Fatalf("node %s still has %s, and hears of %v, %v", n.Name, left, board.All("call"), board.All("lamps"))
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
}

// figure is a metric of a node's call manager, the sum where it has labels.
func figure(t testing.TB, n *lab.Node, name string) (sum float64) {
	t.Helper()
	r := prometheus.NewRegistry()
	must(t, r.Register(n.Calls.Metrics()))
	all, err := r.Gather()
	must(t, err)
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// told has a test that fails show what the nodes last said to each other and to phones.
func (s *stage) told(t *testing.T) {
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for _, n := range s.Nodes() {
			if n.Site == nil {
				continue
			}
			for _, info := range n.Trace.Calls(2) {
				t.Logf("%s:\n%s", n.Name, trace.NewLadder(s.records(t, info.Call), trace.LadderOptions{}).Text(200))
			}
		}
	})
}

// records are what the nodes have recorded of a call.
func (s *stage) records(t testing.TB, id string) (recs []trace.Record) {
	t.Helper()
	for _, n := range s.Nodes() {
		if n.Site != nil {
			own, err := n.Trace.Call(context.Background(), id)
			must(t, err)
			recs = append(recs, own...)
		}
	}
	return recs
}
