package tie

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/service/admin"
	"github.com/locktone/locktone/service/callmanager"
	"github.com/locktone/locktone/store"
)

// TestThreeNodes: alice, carol and erin are at the first node, bob at the second, dave and frank at the third.
func TestThreeNodes(t *testing.T) {
	s := start(t, lab.ClusterOptions{Nodes: 3})
	for _, c := range []struct {
		name string
		run  func(context.Context, *testing.T, *stage)
	}{
		{"one ladder, one id", oneLadder},
		{"conference", conference},
		{"meet-me", threeMeet},
		{"transfer on and on", transferOn},
		{"what users set", userSettings},
		{"lamps", farLamps},
		{"messages", farMessages},
		{"hung up behind a cut", cutHangup},
		{"answered on both sides of a cut", cutAnswers},
		{"a phone moves", moves},
	} {
		if !t.Run(c.name, func(t *testing.T) { s.told(t); c.run(within(t), t, s); s.idle(t) }) {
			s.clear(t)
		}
	}
}

// until waits for something that nobody announces.
func until(ctx context.Context, t testing.TB, what string, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, ctx.Err())
		}
	}
}

// A call over a tie is one ladder at whichever node it is asked for, text and SVG, a message between nodes is one arrow in it; and the records
// of both nodes' calls have one id.
func oneLadder(ctx context.Context, t *testing.T, s *stage) {
	ca, cb := connect(ctx, t, s.alice, s.bob)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
	s.idle(t)
	id := s.Node("n1").Trace.Calls(1)[0].Call
	for _, n := range s.Nodes() {
		api := admin.NewClient(n.Home)
		var out admin.LadderAnswer
		until(ctx, t, "both BYEs in the ladder", func() bool {
			must(t, api.Do(ctx, http.MethodGet, "/v1/calls/"+id+"/ladder?width=160", nil, &out))
			return strings.Count(out.Text, "200 OK (BYE)") == 3
		})
		var columns []string
		for _, c := range out.Ladder.Columns {
			columns = append(columns, c.Name)
		}
		if want := []string{"alice", "callmanager@n1", "callmanager@n2", "bob"}; !slices.Equal(columns, want) {
			t.Errorf("at %s the columns are %v, want %v", n.Name, columns, want)
		}
		between := map[string]int{}
		for _, r := range out.Ladder.Rows {
			if r.From != r.To && r.From+r.To == 3 && r.From > 0 && r.From < 3 {
				if !r.Secure {
					t.Errorf("%s between the nodes is not inside TLS", r.Label)
				}
				between[strings.Fields(r.Title)[0]+" "+strings.Fields(r.Label)[0]]++
			}
		}
		for what, n := range between {
			if n > 1 && !strings.Contains(what, "UPDATE") && !strings.HasPrefix(what, "SIP/2.0 200") {
				t.Errorf("between the nodes there are %d arrows for %s", n, what)
			}
		}
		if between["INVITE INVITE"] != 1 || between["ACK ACK"] != 1 || between["BYE BYE"] != 1 {
			t.Errorf("between the nodes: %v\n%s", between, out.Text)
		}
		var svg bytes.Buffer
		_, err := api.Download(ctx, http.MethodGet, "/v1/calls/"+id+"/ladder.svg", &svg)
		must(t, err)
		for _, want := range []string{"<svg", "callmanager@n1", "callmanager@n2", "alice", "bob"} {
			if !strings.Contains(svg.String(), want) {
				t.Errorf("the picture at %s lacks %q", n.Name, want)
			}
		}
		var page admin.Page[store.CallRecord]
		until(ctx, t, "the records of both calls", func() bool {
			must(t, api.Do(ctx, http.MethodGet, "/v1/history/calls?call="+id, nil, &page))
			return len(page.Rows) == 2
		})
		if a, b := page.Rows[0], page.Rows[1]; a.Call != id || b.Call != id || a.Node == b.Node {
			t.Errorf("records %+v and %+v of one call", a, b)
		}
		api.Close()
	}
}

func threeMeet(ctx context.Context, t *testing.T, s *stage) {
	for _, number := range []string{"8000", "8001", "8002"} {
		ca, cb, cd := dialled(ctx, t, s.alice, number), dialled(ctx, t, s.bob, number), dialled(ctx, t, s.dave, number)
		hearing(ctx, t, []float64{440, 1000, 1700}, ca, cb, cd)
		for _, c := range []*phone.Call{ca, cb, cd} {
			must(t, c.Hangup(ctx))
		}
	}
}

// Alice of n1 is sent by Bob of n2 to Dave of n3, and by him to Carol of n1, blind and asked first.
func transferOn(ctx context.Context, t *testing.T, s *stage) {
	for _, asked := range []bool{false, true} {
		ca, at := connect(ctx, t, s.alice, s.bob)
		for _, p := range [][2]*phone.Phone{{s.bob, s.dave}, {s.dave, s.carol}} {
			next := s.sends(ctx, t, p[0], at, p[1], asked)
			must(t, ca.WaitConnected(ctx, p[1].Number()))
			must(t, next.WaitConnected(ctx, "1001"))
			both(ctx, t, ca, next)
			at = next
		}
		must(t, ca.Hangup(ctx))
		ended(ctx, t, at, 200)
	}
}

// sends has a phone transfer its call to another one, which answers.
func (s *stage) sends(ctx context.Context, t *testing.T, by *phone.Phone, c *phone.Call, to *phone.Phone, asked bool) *phone.Call {
	t.Helper()
	if !asked {
		go func() { _, _ = c.Transfer(ctx, to.Number()) }()
		next := incoming(ctx, t, to)
		must(t, next.Answer(ctx))
		return next
	}
	must(t, c.Hold(ctx))
	consult, next := connect(ctx, t, by, to)
	if status, err := c.TransferTo(ctx, consult); err != nil || status != 200 {
		t.Fatalf("the transfer ended with %d, %v", status, err)
	}
	return next
}

// What a user sets at one node holds at all: a forward is followed at the caller's, calls are not wanted at any.
func userSettings(ctx context.Context, t *testing.T, s *stage) {
	set := func(p *phone.Phone, code string) { ended(ctx, t, dialled(ctx, t, p, code), 200) }
	set(s.bob, "*721004")
	for _, p := range []*phone.Phone{s.alice, s.dave} {
		to := s.dave
		if p == s.dave {
			set(s.bob, "*721003")
			to = s.carol
		}
		c := dial(ctx, t, p, "1002")
		at := incoming(ctx, t, to)
		must(t, at.Answer(ctx))
		must(t, c.WaitAnswered(ctx))
		must(t, c.Hangup(ctx))
		ended(ctx, t, at, 200)
	}
	set(s.bob, "*72")
	set(s.bob, "*78")
	for _, p := range []*phone.Phone{s.alice, s.dave} {
		c := dial(ctx, t, p, "1002")
		if status, _, err := c.WaitEnded(ctx); err != nil || status < 400 {
			t.Errorf("%s reaches who wants no calls: %d, %v", p.Name(), status, err)
		}
	}
	set(s.bob, "*78")
	ca, cb := connect(ctx, t, s.alice, s.bob)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, cb, 200)
}

// Who watches a line is told at its own node what the line does at others: by the lamp, and presence.
func farLamps(ctx context.Context, t *testing.T, s *stage) {
	watch := func(event, number string) *phone.Subscription {
		w, err := s.alice.Subscribe(ctx, event, number)
		must(t, err)
		return w
	}
	bob, dave, there := watch("dialog", "1002"), watch("dialog", "1004"), watch("presence", "1002")
	must(t, bob.WaitLamp(ctx, phone.LampIdle))
	cd := dial(ctx, t, s.dave, "1002")
	cb := incoming(ctx, t, s.bob)
	must(t, bob.WaitLamp(ctx, phone.LampRinging))
	must(t, cb.Answer(ctx))
	must(t, cd.WaitAnswered(ctx))
	for _, w := range []*phone.Subscription{bob, dave, there} {
		must(t, w.WaitLamp(ctx, phone.LampBusy))
	}
	must(t, cb.Hold(ctx))
	must(t, bob.WaitLamp(ctx, phone.LampHeld))
	must(t, cb.Resume(ctx))
	must(t, bob.WaitLamp(ctx, phone.LampBusy))
	must(t, cb.Hangup(ctx))
	ended(ctx, t, cd, 200)
	for _, w := range []*phone.Subscription{bob, dave, there} {
		must(t, w.WaitLamp(ctx, phone.LampIdle))
		must(t, w.Unsubscribe(ctx))
	}
}

// Messages that are told to one node light the lamps of the line's phones at all; the list has the line once.
func farMessages(ctx context.Context, t *testing.T, s *stage) {
	for i, fresh := range []uint32{2, 0} {
		n := s.Node([]string{"n2", "n3"}[i])
		r, err := bus.Ask[bus.MessagesRequest, bus.MessagesResult](ctx, n.Bus, n.Bus.Subject(callmanager.Name, bus.VerbSetMessages),
			bus.MessagesRequest{Number: "1005", Partition: "internal", New: fresh, Source: "test", Version: uint64(i + 1)})
		must(t, err)
		if !r.Applied {
			t.Error("the messages were not taken")
		}
		for _, p := range []*phone.Phone{s.erin, s.frank} {
			must(t, p.WaitMessages(ctx, fresh > 0, fresh, 0))
		}
	}
	for _, n := range s.Nodes() {
		api := admin.NewClient(n.Home)
		var list admin.Rows[bus.MessageState]
		must(t, api.Do(ctx, http.MethodGet, "/v1/message-waiting?name=1005", nil, &list))
		if len(list.Rows) != 1 {
			t.Errorf("%s lists the line's messages %d times: %+v", n.Name, len(list.Rows), list.Rows)
		}
		api.Close()
	}
}

// Who hangs up while the nodes cannot reach each other is free at once; the other side is told when they can. LOCKTONE_ALL=1 cuts for so
// long that the BYE itself has failed and is tried again.
func cutHangup(ctx context.Context, t *testing.T, s *stage) {
	ca, cb := connect(ctx, t, s.alice, s.bob)
	both(ctx, t, ca, cb)
	s.Cut("n1", "n2")
	defer s.Heal("n1", "n2")
	must(t, ca.Hangup(ctx))
	until(ctx, t, "the caller's node to have no call", func() bool { return figure(t, s.Node("n1"), "locktone_callmanager_calls") == 0 })
	if os.Getenv("LOCKTONE_ALL") == "1" {
		until(context.Background(), t, "the BYE to fail", func() bool { return figure(t, s.Node("n1"), "locktone_callmanager_timeouts_total") > 0 })
		ctx = within(t)
	}
	if !cb.Talking() {
		t.Error("the cut ended the other side")
	}
	s.Heal("n1", "n2")
	ended(ctx, t, cb, 200)
}

// The line rings at both sides when they are cut off from each other, and a phone of each answers: who calls talks to the one that its own
// node has heard of, and when they can the other is told. (Until then that one sends to the caller's phone what the caller cannot decrypt.)
func cutAnswers(ctx context.Context, t *testing.T, s *stage) {
	ca := dial(ctx, t, s.alice, "1005")
	ce, cf := incoming(ctx, t, s.erin), incoming(ctx, t, s.frank)
	must(t, ca.WaitRinging(ctx))
	s.Cut("n1", "n3")
	defer s.Heal("n1", "n3")
	cf.StartAnswer()
	must(t, ce.Answer(ctx))
	must(t, ca.WaitAnswered(ctx))
	ca.Tone(1000)
	ce.Tone(440)
	hears(ctx, t, ca, 440)
	s.Heal("n1", "n3")
	_, _, err := cf.WaitEnded(ctx)
	must(t, err)
	hears(ctx, t, ca, 440)
	hears(ctx, t, ce, 1000)
	must(t, ca.Hangup(ctx))
	ended(ctx, t, ce, 200)
}

// A phone that registers at another node is there, and nowhere else, for every node.
func moves(ctx context.Context, t *testing.T, s *stage) {
	until(ctx, t, "bob at n2", func() bool { return slices.Equal(s.registered(ctx, t, "bob"), []string{"n2"}) })
	s.bob.Cut() // and it does not say goodbye
	must(t, s.bob.Close(ctx))
	s.at["bob"] = "n3"
	s.bob = s.phone("bob", "1002")
	until(ctx, t, "bob at n3", func() bool { return slices.Equal(s.registered(ctx, t, "bob"), []string{"n3"}) })
	for _, n := range s.Nodes() {
		until(ctx, t, "one fact at "+n.Name, func() bool {
			f := n.Bus.Board().Of("registration", "bob")
			return len(f) == 1 && f[0].Owner == "n3"
		})
	}
	for _, p := range []*phone.Phone{s.alice, s.dave} {
		c, at := connect(ctx, t, p, s.bob)
		both(ctx, t, c, at)
		must(t, c.Hangup(ctx))
		ended(ctx, t, at, 200)
	}
}

// registered are the nodes that list a device as registered there.
func (s *stage) registered(ctx context.Context, t *testing.T, device string) (nodes []string) {
	t.Helper()
	api := admin.NewClient(s.Node("n1").Home)
	defer api.Close()
	var list admin.Rows[bus.Registration]
	must(t, api.Do(ctx, http.MethodGet, "/v1/registrations", nil, &list))
	for _, r := range list.Rows {
		if r.Device == device {
			nodes = append(nodes, r.Node)
		}
	}
	return nodes
}
