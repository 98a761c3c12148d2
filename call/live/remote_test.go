package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
)

// openBus opens one end of a bus, of this machine alone or of a NATS server.
func openBus(t testing.TB, node, url string) *bus.Bus {
	t.Helper()
	c := bus.Config{Node: node}
	if url != "" {
		c.URLs = []string{url}
	}
	b, err := bus.Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// natsServer is a NATS server that nodes share.
func natsServer(t *testing.T) (*server.Server, string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, MaxPayload: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the NATS server is not ready")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s, s.ClientURL()
}

// places runs a test with follower and engine on one node, on one bus, and on two nodes.
func places(t *testing.T, test func(t *testing.T, engine, follower *bus.Bus)) {
	t.Run("one process", func(t *testing.T) {
		b := openBus(t, "n1", "")
		test(t, b, b)
	})
	t.Run("two nodes", func(t *testing.T) {
		_, url := natsServer(t)
		at, from := openBus(t, "n1", url), openBus(t, "n2", url)
		heard(t, from, at.Node())
		test(t, at, from)
	})
}

// heard waits until a node is alive for an end of the bus.
func heard(t *testing.T, b *bus.Bus, node string) {
	t.Helper()
	w := b.Board().Watch()
	defer w.Close()
	deadline := time.After(20 * time.Second)
	for !b.Board().Alive(node) {
		select {
		case <-w.C():
		case <-deadline:
			t.Fatalf("%s does not hear %s", b.Node(), node)
		}
	}
}

func (r *rig) connect(b *bus.Bus) *BusPort {
	r.t.Helper()
	p, err := r.Connect(b, "callmanager")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(p.Close)
	return p
}

// within waits for a note that is what is wanted, and applies every one to the picture.
func within(t *testing.T, w *Follower, p *Picture, what string, wanted func(RemoteNote) bool) RemoteNote {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case n, open := <-w.Notes():
			if !open {
				t.Fatal("the follower has ended while waiting for " + what)
			}
			p.Apply(n)
			if wanted(n) {
				return n
			}
		case <-deadline:
			t.Fatal("no " + what)
		}
	}
}

func isKind(k call.EventKind) func(RemoteNote) bool {
	return func(n RemoteNote) bool { return n.Lost == LossNone && !n.Snapshot && n.Event.Kind == k }
}

func isSnapshot(n RemoteNote) bool { return n.Snapshot }

func isLoss(l Loss) func(RemoteNote) bool { return func(n RemoteNote) bool { return n.Lost == l } }

// Requests go to an engine and events come from it as values, wherever it is.
func TestRemote(t *testing.T) {
	places(t, func(t *testing.T, at, from *bus.Bus) {
		r := open(t, Options{})
		p := r.connect(at)
		remote := NewRemote(from, "callmanager")
		w := remote.Follow(Filter{}, "n1")
		defer w.Close()
		var pic Picture
		first := within(t, w, &pic, "snapshot", func(RemoteNote) bool { return true })
		if !first.Snapshot || first.Node != "n1" || first.Engine == "" || p.Followers() != 1 {
			t.Fatalf("%+v, %d followers", first, p.Followers())
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		reply, err := remote.At("n1").Request(ctx, "app", call.MakeCall{Device: "alice", Called: "2002"})
		if err != nil || reply.Call != 1 || reply.Cause != call.CauseNone {
			t.Fatalf("%+v %v", reply, err)
		}
		r.next()
		n := within(t, w, &pic, "ringing", isKind(call.LegRinging))
		if n.Event.View == nil || n.Engine != first.Engine || len(pic.Calls()) != 1 {
			t.Errorf("%+v", n)
		}
		if reply, err = remote.At("n1").Request(ctx, "app", call.Drop{Call: 77}); err != nil || reply.Cause == call.CauseNone || reply.Why == "" {
			t.Errorf("a request that cannot be taken: %+v %v", reply, err)
		}
		if _, err = remote.At("n1").Request(ctx, "app", call.Drop{Call: 1}); err != nil {
			t.Error(err)
		}
		within(t, w, &pic, "end", isKind(call.CallEnded))
		if len(pic.Calls()) != 0 || !pic.Fresh {
			t.Errorf("%+v", pic)
		}
		var e *bus.Error
		if _, err = remote.At("n9").Request(ctx, "app", call.Drop{Call: 1}); !errors.As(err, &e) || e.Code != bus.CodeNoResponder {
			t.Errorf("a node that is not there: %v", err)
		}
		if _, err := remote.Owner("alice"); !errors.Is(err, ErrNotRegistered) {
			t.Error(err)
		}
		bus.Put(at.Board(), FactRegistration, "alice", struct{}{})
		if at == from {
			if o, err := remote.Owner("alice"); err != nil || o.Node() != "n1" {
				t.Errorf("%v %v", o, err)
			}
		}
	})
}

// A request whose answer was lost is asked again under its ID, and done once.
func TestRequestOnce(t *testing.T) {
	b := openBus(t, "n1", "")
	r := open(t, Options{})
	r.connect(b)
	m, err := NewBusRequest("app", call.MakeCall{Device: "alice", Called: "2002"})
	if err != nil {
		t.Fatal(err)
	}
	m.ID = "once"
	var replies []call.Reply
	for range 3 {
		reply, err := bus.Ask[BusRequest, call.Reply](context.Background(), b, b.Subject("callmanager", VerbRequests), m)
		if err != nil {
			t.Fatal(err)
		}
		replies = append(replies, reply)
	}
	if replies[0].Call != 1 || replies[1] != replies[0] || replies[2] != replies[0] {
		t.Errorf("%+v", replies)
	}
	if views, err := r.Calls(context.Background()); err != nil || len(views) != 1 {
		t.Errorf("%d calls, %v", len(views), err)
	}
	m.ID, m.Request = "other", "Explode"
	if _, err := bus.Ask[BusRequest, call.Reply](context.Background(), b, b.Subject("callmanager", VerbRequests), m); err == nil {
		t.Error("a request nobody knows was answered")
	}
}

// An engine that ends is told, and so is the one that comes after it: its ids are others'.
func TestEngineReturns(t *testing.T) {
	places(t, func(t *testing.T, at, from *bus.Bus) {
		first := open(t, Options{})
		p := first.connect(at)
		w := NewRemote(from, "callmanager").Follow(Filter{}, "n1")
		defer w.Close()
		var pic Picture
		within(t, w, &pic, "snapshot", isSnapshot)
		first.signal(setup(first.sip.NewLeg(), "2002"))
		within(t, w, &pic, "ringing", isKind(call.LegRinging))
		life := pic.Engine
		first.Host.Close()
		within(t, w, &pic, "loss", isLoss(LossService))
		if pic.Fresh {
			t.Error("fresh without an engine")
		}
		p.Close()
		open(t, Options{}).connect(at)
		within(t, w, &pic, "snapshot", isSnapshot)
		if pic.Engine == life || len(pic.Calls()) != 0 || !pic.Fresh {
			t.Errorf("%+v", pic)
		}
	})
}

// A bus that goes away and comes back: told, and mended by a snapshot that has what happened meanwhile.
func TestBusReturns(t *testing.T) {
	s, url := natsServer(t)
	var again *server.Server
	t.Cleanup(func() { // after everybody has left
		if again != nil {
			again.Shutdown()
			again.WaitForShutdown()
		}
	})
	r := open(t, Options{})
	r.connect(openBus(t, "n1", url))
	w := NewRemote(openBus(t, "n2", url), "callmanager").Follow(Filter{}, "n1")
	defer w.Close()
	var pic Picture
	within(t, w, &pic, "snapshot", isSnapshot)
	port := s.Addr().String()
	s.Shutdown()
	s.WaitForShutdown()
	n := within(t, w, &pic, "loss", func(n RemoteNote) bool { return n.Lost != LossNone })
	if n.Lost != LossBus {
		t.Errorf("%+v", n)
	}
	r.signal(setup(r.sip.NewLeg(), "2002"))
	r.next()
	var number int
	if _, err := fmt.Sscanf(port[strings.LastIndexByte(port, ':')+1:], "%d", &number); err != nil {
		t.Fatal(err)
	}
	var err error
	again, err = server.NewServer(&server.Options{Host: "127.0.0.1", Port: number, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	again.Start()
	within(t, w, &pic, "snapshot", isSnapshot)
	if len(pic.Calls()) != 1 || !pic.Fresh {
		t.Errorf("%+v", pic.Calls())
	}
}

// A reader that reads too slowly is told so, loses nothing but the way it came about, and holds nobody up.
func TestSlowReader(t *testing.T) {
	b := openBus(t, "n1", "")
	r := open(t, Options{})
	r.connect(b)
	w := NewRemote(b, "callmanager").follow(Filter{}, 8, []string{"n1"})
	defer w.Close()
	var pic Picture
	within(t, w, &pic, "snapshot", isSnapshot)
	for range 50 {
		leg := r.sip.NewLeg()
		r.signal(setup(leg, "2002"))
		r.next()
	}
	within(t, w, &pic, "loss", isLoss(LossReader))
	within(t, w, &pic, "snapshot", isSnapshot)
	for len(pic.Calls()) != 50 { // the snapshot may have been before the last
		within(t, w, &pic, "more", func(RemoteNote) bool { return true })
	}
}

// A snapshot that is larger than the bus carries comes in pieces; so does a single picture.
func TestLargeSnapshot(t *testing.T) {
	_, url := natsServer(t) // 64 KiB a message
	r := open(t, Options{Mailbox: 1 << 20, RefuseAfter: time.Hour})
	r.connect(openBus(t, "n1", url))
	for range 600 {
		r.signal(setup(r.sip.NewLeg(), "112"))
		r.next()
	}
	w := NewRemote(openBus(t, "n2", url), "callmanager").Follow(Filter{}, "n1")
	defer w.Close()
	var pic Picture
	if n := within(t, w, &pic, "note", func(RemoteNote) bool { return true }); !n.Snapshot || len(n.Calls) != 600 {
		t.Errorf("%d calls, %+v", len(n.Calls), n.Why)
	}
	// One note larger than a message.
	var frames []Frame
	s := newSession("e", FollowRequest{Session: "s"}, &texts{}, 1024, func(text []byte) {
		if len(text) > 2048 {
			t.Errorf("a message of %d bytes", len(text))
		}
		f, err := decode[Frame](text)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	})
	s.tell([]Note{{Snapshot: true}, {Event: call.Event{Seq: 1, Kind: call.MediaTrouble, Why: strings.Repeat("long ", 2000), View: &call.View{ID: 1}}}, {Event: call.Event{Seq: 2, Kind: call.MediaGood, View: &call.View{ID: 1}}}})
	tr := &tracker{node: "n1", name: func() string { return "s" }}
	tr.tick(time.Now())
	for _, f := range frames {
		tr.frame(time.Now(), "s", f)
	}
	if notes, _ := tr.take(); len(notes) != 3 || len(notes[1].Event.Why) != 10000 || notes[2].Event.Seq != 2 || len(frames) < 10 {
		t.Errorf("%d notes of %d frames", len(notes), len(frames))
	}
}

// With a filter come the calls of its devices and lines alone, from the moment they have to do with one to the moment they do not.
func TestFilter(t *testing.T) {
	b := openBus(t, "n1", "")
	r := open(t, Options{})
	r.connect(b)
	w := NewRemote(b, "callmanager").Follow(Filter{Devices: []string{"bob"}}, "n1")
	defer w.Close()
	var pic Picture
	within(t, w, &pic, "snapshot", isSnapshot)
	other := r.sip.NewLeg()
	r.signal(setup(other, "112"))
	r.next()
	leg := r.sip.NewLeg()
	r.signal(setup(leg, "2002"))
	ring := r.next().(call.Ring)
	n := within(t, w, &pic, "ringing", isKind(call.LegRinging))
	if n.Event.Call == 1 || len(pic.Calls()) != 1 {
		t.Errorf("%+v", pic.Calls())
	}
	r.signal(call.Released{Leg: ring.Leg, Cause: call.UserBusy})
	for len(pic.Calls()) != 0 {
		within(t, w, &pic, "end for bob", func(n RemoteNote) bool { return n.Left || n.Event.Kind == call.CallEnded })
	}
	if _, err := r.Request(context.Background(), "app", call.SetDoNotDisturb{Device: "alice", On: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Request(context.Background(), "app", call.SetDoNotDisturb{Device: "bob", On: true}); err != nil {
		t.Fatal(err)
	}
	if n := within(t, w, &pic, "setting", func(RemoteNote) bool { return true }); n.Event.Device != "bob" {
		t.Errorf("%+v", n.Event)
	}
	if s, ok := pic.Setting(call.LineID{}, "bob"); !ok || !s.Settings.DoNotDisturb {
		t.Errorf("%+v", s)
	}
}

// BenchmarkEvents is a call through the engine as BenchmarkCall makes it, with nobody who follows and with some who do: what an event
// costs the engine's goroutine and the node.
func BenchmarkEvents(b *testing.B) {
	for _, followers := range []int{0, 1, 4} {
		b.Run(fmt.Sprintf("%d followers", followers), func(b *testing.B) {
			h := Start(Options{})
			defer h.Close()
			if err := h.Configure(town(b)); err != nil {
				b.Fatal(err)
			}
			d, err := h.Attach("sip", 0)
			if err != nil {
				b.Fatal(err)
			}
			wire := openBus(b, "n1", "")
			p, err := h.Connect(wire, "callmanager")
			if err != nil {
				b.Fatal(err)
			}
			defer p.Close()
			for range followers {
				w := NewRemote(wire, "callmanager").Follow(Filter{}, "n1")
				defer w.Close()
				<-w.Notes()
				go func() {
					for range w.Notes() {
					}
				}()
			}
			_ = d.Signal(call.DeviceState{Device: "bob", Up: true})
			b.ReportAllocs()
			var first, last uint64
			seq := func() uint64 {
				c, _ := h.Copy(context.Background())
				return c.LastEvent()
			}
			first = seq()
			for b.Loop() {
				leg := d.NewLeg()
				_ = d.Signal(setup(leg, "2002"))
				ring := (<-d.Commands()).(call.Ring)
				_ = d.Signal(call.Alerting{Leg: ring.Leg})
				<-d.Commands()
				_ = d.Signal(answer(ring.Leg))
				<-d.Commands()
				_ = d.Signal(call.Released{Leg: leg, Cause: call.NormalClearing})
				<-d.Commands()
			}
			last = seq()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(last-first), "ns/event")
		})
	}
}

// decode reads a value.
func decode[T any](text []byte) (v T, err error) {
	err = json.Unmarshal(text, &v)
	return v, err
}
