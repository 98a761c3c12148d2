package live

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/dialplan"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// town is two phones on driver "sip", and a third whose driver nobody attaches.
func town(t testing.TB) *call.Config {
	t.Helper()
	s := call.Site{Policy: call.Policy{NoAnswer: 20 * time.Second}}
	for name, number := range map[string]string{"alice": "2001", "bob": "2002", "lost": "2003"} {
		driver := "sip"
		if name == "lost" {
			driver = "sccp"
		}
		id := call.LineID{Number: number, Partition: ""}
		s.Devices = append(s.Devices, call.Device{Name: name, Driver: driver})
		s.Lines = append(s.Lines, call.Line{ID: id, Appearances: []call.Appearance{{Device: name, Index: 1, BusyTrigger: 1 << 20}}})
		s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: number, Kind: dialplan.DirectoryNumber})
	}
	s.Trunks = []call.Trunk{{Name: "pstn", Driver: "sip", Media: call.MediaPolicy{SRTP: call.SRTPOrRTP}}}
	s.Plan.Patterns = append(s.Plan.Patterns, dialplan.Pattern{Digits: "112", Kind: dialplan.ToTrunk, To: "pstn", Emergency: true})
	c, err := s.Compile()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

type rig struct {
	t *testing.T
	*Host
	sip *Driver
}

func open(t *testing.T, o Options) *rig {
	t.Helper()
	r := &rig{t: t, Host: Start(o)}
	t.Cleanup(r.Close)
	if err := r.Configure(town(t)); err != nil {
		t.Fatal(err)
	}
	r.sip = r.attach(0)
	for _, d := range []string{"alice", "bob", "lost"} {
		r.signal(call.DeviceState{Device: d, Up: true})
	}
	return r
}

func (r *rig) attach(queue int) *Driver {
	r.t.Helper()
	d, err := r.Attach("sip", queue)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

func (r *rig) signal(s call.Signal) {
	r.t.Helper()
	if err := r.sip.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// next is the driver's next command.
func (r *rig) next() call.Command {
	r.t.Helper()
	select {
	case c, ok := <-r.sip.Commands():
		if !ok {
			r.t.Fatal("the driver is disconnected")
		}
		return c
	case <-time.After(5 * time.Second):
		r.t.Fatal("no command")
	}
	return nil
}

func setup(leg call.LegID, to string) call.Setup {
	return call.Setup{Leg: leg, Device: "alice", Called: to, Desc: call.Desc{Ref: 1, Kind: call.KindOffer, Dir: call.SendRecv, Security: call.SRTP}}
}

func answer(leg call.LegID) call.Answered {
	return call.Answered{Leg: leg, Desc: call.Desc{Ref: 2, Kind: call.KindAnswer, Dir: call.SendRecv, Security: call.SRTP}}
}

func TestCallThroughDriver(t *testing.T) {
	r := open(t, Options{})
	leg := r.sip.NewLeg()
	if leg%2 != 1 || r.sip.NewLeg() == leg {
		t.Fatal("legs that come in have odd ids of their own")
	}
	r.signal(setup(leg, "2002"))
	ring := r.next().(call.Ring)
	r.signal(call.Alerting{Leg: ring.Leg})
	if _, ok := r.next().(call.Alert); !ok {
		t.Fatal("no Alert")
	}
	r.signal(answer(ring.Leg))
	if a, ok := r.next().(call.Answer); !ok || a.Media.Ref != 2 {
		t.Fatalf("%+v", a)
	}
	views, err := r.Calls(context.Background())
	if err != nil || len(views) != 1 || len(views[0].Mix) != 2 {
		t.Fatalf("%+v %v", views, err)
	}
	reply, err := r.Request(context.Background(), "alice", call.Drop{Call: views[0].ID})
	if err != nil || reply.Cause != call.CauseNone {
		t.Fatalf("%+v %v", reply, err)
	}
	r.next()
	if _, ok := r.next().(call.Release); !ok {
		t.Fatal("no Release")
	}
	if s := r.Stats(); s.Calls != 0 || s.Inputs < 7 {
		t.Errorf("%+v", s)
	}
}

// The engine's timers go off by themselves: nobody answers for 20 s.
func TestTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, Options{})
		began := time.Now()
		r.signal(setup(1, "2002"))
		r.next()
		for range 2 {
			if rel, ok := (<-r.sip.Commands()).(call.Release); !ok || rel.Cause != call.NoAnswer {
				t.Fatalf("%+v", rel)
			}
		}
		if d := time.Since(began); d != 20*time.Second {
			t.Errorf("after %v", d)
		}
	})
}

// A leg that is to ring on a driver that nobody attached fails at once, with a cause.
func TestNoDriver(t *testing.T) {
	r := open(t, Options{})
	r.signal(setup(1, "2003"))
	if rel, ok := r.next().(call.Release); !ok || rel.Cause != call.DriverGone {
		t.Fatalf("%+v", rel)
	}
}

// A driver that does not take its commands is disconnected; the engine goes on, its calls end, and it may come again.
func TestSlowDriver(t *testing.T) {
	r := open(t, Options{})
	r.sip.Detach()
	for range r.sip.Commands() { // until it is closed
	}
	slow := r.attach(3)
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		err = slow.Signal(setup(slow.NewLeg(), "2002"))
		if _, e := r.Calls(context.Background()); e != nil {
			t.Fatal(e)
		}
	}
	if !errors.Is(err, ErrDisconnected) {
		t.Fatalf("%v", err)
	}
	n := 0
	for range slow.Commands() {
		n++
	}
	if n != 3 {
		t.Errorf("%d commands were queued", n)
	}
	if s := r.Stats(); s.Disconnected != 2 || s.Calls != 0 || s.Legs != 0 {
		t.Errorf("%+v", s)
	}
	r.sip = r.attach(0)
	r.signal(setup(r.sip.NewLeg(), "2002"))
	r.next()
	if _, err := r.Attach("sip", 0); !errors.Is(err, ErrNameTaken) {
		t.Errorf("%v", err)
	}
}

// brake is a recorder that makes the engine's goroutine slow, by 30 ms for every new call.
type brake struct{}

func (brake) Record(r Record) {
	if _, ok := r.Input.Signal.(call.Setup); ok {
		time.Sleep(30 * time.Millisecond)
	}
}

// When the mailbox's oldest entry has waited 20 ms, new calls are refused with a cause, releases keep their place, and when the wait is
// under 8 ms new calls are taken again.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, Options{Recorder: brake{}})
		r.signal(setup(1, "2002"))
		ring := r.next().(call.Ring)
		time.Sleep(100 * time.Millisecond)

		for leg := call.LegID(3); leg < 9; leg += 2 { // three calls at once: the engine needs 90 ms
			r.signal(setup(leg, "2002"))
		}
		time.Sleep(25 * time.Millisecond)
		var refused *RefusedError
		if err := r.sip.Signal(setup(9, "2002")); !errors.As(err, &refused) || refused.Cause != call.Overloaded || refused.RetryAfter <= 0 {
			t.Fatalf("a new call was taken: %v", err)
		}
		if _, err := r.Request(context.Background(), "app", call.MakeCall{Device: "alice", Called: "2002"}); !errors.As(err, &refused) {
			t.Fatalf("a request for a new call was taken: %v", err)
		}
		r.signal(answer(ring.Leg)) // a call that exists goes on, ahead of the two that wait
		r.signal(setup(13, "112")) // an emergency call is not refused, and does not wait either
		if s := r.Stats(); s.Refused != 2 || !s.Refusing {
			t.Errorf("%+v", s)
		}
		var got []string
		for range 5 {
			c := r.next()
			got = append(got, fmt.Sprintf("%T", c))
			if ring, ok := c.(call.Ring); ok && ring.Target.Trunk != "" {
				got = append(got, "emergency")
			}
		}
		if fmt.Sprint(got) != "[call.Ring call.Answer call.Ring emergency call.Ring call.Ring]" {
			t.Errorf("%v", got)
		}
		time.Sleep(time.Second)
		if err := r.sip.Signal(setup(11, "2002")); err != nil {
			t.Errorf("still refused: %v", err)
		}
		synctest.Wait()
		if r.Stats().Refusing {
			t.Error("still refusing")
		}
	})
}

// Under a flood of urgent inputs a new call has every eighth turn.
func TestNewCallsAreNotStarved(t *testing.T) {
	b := newMailbox(Options{})
	for i := range 20 {
		_ = b.push(entry{in: call.Input{RequestID: fmt.Sprint(i)}})
	}
	_ = b.pushNew(entry{in: call.Input{RequestID: "new"}}, func(*entry) bool { return false })
	var got []string
	for e, ok := b.take(); ok; e, ok = b.take() {
		got = append(got, e.in.RequestID)
	}
	if len(got) != 21 || got[7] != "new" || got[8] != "7" {
		t.Errorf("%v", got)
	}
}

// A CANCEL never overtakes its INVITE: signals of a leg whose Setup waits in the second lane wait behind it.
func TestOrderWithinLeg(t *testing.T) {
	b := newMailbox(Options{})
	signal := func(s call.Signal) entry { return entry{in: call.Input{Signal: s}} }
	_ = b.pushNew(signal(call.Setup{Leg: 1}), func(*entry) bool { return false })
	_ = b.push(signal(call.Released{Leg: 1}))
	_ = b.push(signal(call.Digit{Leg: 3}))
	var got []string
	take := func() {
		e, ok := b.take()
		if !ok {
			t.Fatal("nothing is there")
		}
		got = append(got, fmt.Sprintf("%T %s", e.in.Signal, e.in.Signal.SignalLeg()))
	}
	take()
	take()                                 // the Setup
	_ = b.push(signal(call.Digit{Leg: 1})) // its Released still waits
	take()
	take()
	_ = b.push(signal(call.Digit{Leg: 1}))
	if want := "[call.Digit l3 call.Setup l1 call.Released l1 call.Digit l1]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if len(b.behind) != 0 || b.fresh.n != 0 || b.urgent.n != 1 {
		t.Errorf("%v %d %d", b.behind, b.fresh.n, b.urgent.n)
	}
}

// 10,000 pairs of INVITE and CANCEL, beside signals of other calls: no call is left.
func TestInviteCancelPairs(t *testing.T) {
	r := open(t, Options{RefuseAfter: time.Hour})
	go func() {
		for range r.sip.Commands() {
		}
	}()
	for range 10000 {
		leg := r.sip.NewLeg()
		r.signal(call.DeviceState{Device: "bob", Up: true})
		r.signal(setup(leg, "2002"))
		r.signal(call.Released{Leg: leg, Cause: call.CallerCancelled})
		if r.Stats().Disconnected > 0 {
			t.Fatal("the test's driver was too slow")
		}
	}
	r.Close() // what is in the mailbox is still dealt with
	if s := r.Stats(); s.Calls != 0 || s.Legs != 0 || s.Inputs < 30000 {
		t.Errorf("%+v", s)
	}
}

// A first lane that is full costs the driver its connection, not the engine its calls.
func TestFullMailbox(t *testing.T) {
	b := newMailbox(Options{Mailbox: 4})
	d := &Driver{}
	for range 4 {
		if err := b.push(entry{driver: d}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.push(entry{driver: d}); !errors.Is(err, ErrDisconnected) || !d.gone.Load() {
		t.Errorf("%v", err)
	}
	for range 4 {
		b.take()
	}
	if e, ok := b.take(); !ok || e.detach != d {
		t.Errorf("%+v", e)
	}
}

// A watcher sees a snapshot first, then every event in order; a slow one gets one Lagged snapshot and goes on from there.
func TestWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, Options{})
		fast, slow, ends := r.Watch(0), r.Watch(20), r.Watch(0, call.CallEnded)
		for i := range 10 {
			leg := call.LegID(2*i + 1)
			r.signal(setup(leg, "2002"))
			r.next()
			r.signal(call.Released{Leg: leg, Cause: call.CallerCancelled})
			r.next()
		}
		r.signal(setup(101, "2002"))
		r.next()
		synctest.Wait()
		if first := <-fast.Notes(); !first.Snapshot || len(first.Calls) != 0 {
			t.Fatalf("%+v", first)
		}
		last := drain(t, fast, 0)
		if last != 105 {
			t.Errorf("the fast watcher came to event %d", last)
		}
		lags, at := 0, uint64(0)
		for at < last {
			n := <-slow.Notes()
			switch {
			case n.Snapshot:
				if n.Lagged {
					lags++
					if len(n.Calls) != 1 {
						t.Errorf("the snapshot has %d calls", len(n.Calls))
					}
				}
				at = n.AsOf
			case n.Event.Seq != at+1:
				t.Fatalf("event %d after %d", n.Event.Seq, at)
			default:
				at = n.Event.Seq
			}
		}
		if lags != 1 || r.Stats().Lagged == 0 {
			t.Errorf("%d lags, %+v", lags, r.Stats())
		}
		r.signal(call.Released{Leg: 101, Cause: call.CallerCancelled})
		if n := <-slow.Notes(); n.Event.Seq != last+1 {
			t.Errorf("%+v", n)
		}
		if first := <-ends.Notes(); !first.Snapshot {
			t.Errorf("%+v", first)
		}
		for range 11 {
			if n := <-ends.Notes(); n.Event.Kind != call.CallEnded {
				t.Errorf("a watcher of ends was told of %v", n.Event.Kind)
			}
		}
		fast.Close()
		slow.Close()
		ends.Close()
	})
}

// drain reads the notes that are there and says the last event; they must have no gaps.
func drain(t *testing.T, w *Watcher, at uint64) uint64 {
	for {
		synctest.Wait()
		select {
		case n := <-w.Notes():
			if n.Event.Seq != at+1 {
				t.Fatalf("event %d after %d", n.Event.Seq, at)
			}
			at = n.Event.Seq
		default:
			return at
		}
	}
}

// tape keeps what a Recorder gets.
type tape struct{ records []call.Recorded }

func (tp *tape) Record(r Record) {
	in, err := call.MarshalInput(r.At, r.Input)
	if err != nil {
		panic(err)
	}
	out, _ := call.MarshalOutput(r.Output)
	tp.records = append(tp.records, call.Recorded{Input: in, Output: out})
}

// What the recorder got replays to the same outputs, byte for byte.
func TestRecordReplays(t *testing.T) {
	tp := &tape{}
	r := open(t, Options{Recorder: tp})
	for i := range 20 {
		leg := call.LegID(2*i + 1)
		r.signal(setup(leg, "2002"))
		ring := r.next().(call.Ring)
		r.signal(answer(ring.Leg))
		r.next()
		r.signal(call.Released{Leg: ring.Leg, Cause: call.NormalClearing})
		r.next()
	}
	r.Close()
	if len(tp.records) < 60 {
		t.Fatalf("%d records", len(tp.records))
	}
	if _, err := call.Replay(tp.records); err != nil {
		t.Error(err)
	}
	tp.records[10].Output = []byte(`{"events":[]}`)
	var re *call.ReplayError
	if _, err := call.Replay(tp.records); !errors.As(err, &re) || re.Index != 10 {
		t.Errorf("a recording that was changed replays: %v", err)
	}
}

func TestClosed(t *testing.T) {
	r := open(t, Options{})
	w := r.Watch(0)
	r.Close()
	for range w.Notes() {
	}
	for range r.sip.Commands() {
	}
	if err := r.sip.Signal(setup(1, "2002")); !errors.Is(err, ErrDisconnected) {
		t.Errorf("%v", err)
	}
	if _, err := r.Request(context.Background(), "", call.Drop{Call: 1}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := r.Attach("x", 0); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	w2 := r.Watch(0)
	for range w2.Notes() {
		t.Error("a note after the end")
	}
}

func BenchmarkCall(b *testing.B) {
	h := Start(Options{})
	defer h.Close()
	if err := h.Configure(town(b)); err != nil {
		b.Fatal(err)
	}
	d, err := h.Attach("sip", 0)
	if err != nil {
		b.Fatal(err)
	}
	_ = d.Signal(call.DeviceState{Device: "bob", Up: true})
	b.ReportAllocs()
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
}

// TestCollect: a watcher without a goroutine keeps its notes until they are taken, counts what it lost, and knows the end.
func TestCollect(t *testing.T) {
	r := open(t, Options{})
	w := r.Collect(100, call.CallEnded)
	for range 3 {
		r.callOnce()
	}
	if _, err := r.Calls(context.Background()); err != nil { // the engine has seen all of it
		t.Fatal(err)
	}
	notes := w.Take()
	if len(notes) != 4 || !notes[0].Snapshot || notes[3].Event.Kind != call.CallEnded {
		t.Fatalf("%d notes, want the snapshot and three ends: %+v", len(notes), notes)
	}
	if again := w.Take(); len(again) != 0 {
		t.Errorf("%d notes twice", len(again))
	}
	small := r.Collect(2, call.CallEnded)
	for range 3 {
		r.callOnce()
	}
	if _, err := r.Calls(context.Background()); err != nil {
		t.Fatal(err)
	}
	if lost := small.Take(); len(lost) != 0 {
		t.Errorf("%d notes, want none before the snapshot that was asked for", len(lost))
	}
	if _, err := r.Calls(context.Background()); err != nil {
		t.Fatal(err)
	}
	if notes := small.Take(); len(notes) != 1 || !notes[0].Lagged {
		t.Errorf("%+v, want one snapshot that says so", notes)
	}
	r.Close()
	<-w.Done()
}

// callOnce is a call that is set up and released before it rings.
func (r *rig) callOnce() {
	r.t.Helper()
	leg := r.sip.NewLeg()
	r.signal(setup(leg, "2002"))
	ring := r.next().(call.Ring)
	r.signal(call.Released{Leg: leg, Cause: call.NormalClearing})
	for c := r.next(); ; c = r.next() {
		if rel, ok := c.(call.Release); ok && rel.Leg == ring.Leg {
			break
		}
	}
	r.signal(call.Released{Leg: ring.Leg, Cause: call.NormalClearing})
}

// TestCarry: signals that are left wake nobody; whoever carries runs the engine, and the commands are noted by the time Carry returns.
func TestCarry(t *testing.T) {
	h := Start(Options{})
	t.Cleanup(h.Close)
	if err := h.Configure(town(t)); err != nil {
		t.Fatal(err)
	}
	n := &notebook{}
	d, err := h.AttachCarrier("sip", n)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"alice", "bob"} {
		_ = d.Leave(call.DeviceState{Device: name, Up: true})
	}
	leg := d.NewLeg()
	if err := d.Leave(setup(leg, "2002")); err != nil {
		t.Fatal(err)
	}
	if got := n.take(); len(got) != 0 {
		t.Fatalf("%v before anybody carried", got)
	}
	h.Carry()
	select { // at once, but where the host's own goroutine is still at what came before, and does this too
	case <-n.woken():
	case <-time.After(20 * time.Second):
		t.Fatal("nobody carried what was left")
	}
	ring, ok := n.take()[0].(call.Ring)
	if !ok {
		t.Fatal("no Ring")
	}
	if err := d.Signal(call.Alerting{Leg: ring.Leg}); err != nil { // the host's goroutine does this one, and says when
		t.Fatal(err)
	}
	<-n.woken()
	if _, ok := n.take()[0].(call.Alert); !ok {
		t.Fatal("no Alert")
	}
}

// notebook is a Carrier that keeps what it is told.
type notebook struct {
	mu       sync.Mutex
	commands []call.Command
	waker    chan struct{}
}

func (n *notebook) Command(c call.Command) {
	n.mu.Lock()
	n.commands = append(n.commands, c)
	n.mu.Unlock()
}

func (n *notebook) Wake() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waker != nil && len(n.commands) > 0 {
		close(n.waker)
		n.waker = nil
	}
}

// woken is closed at the next Wake with commands, or now when there are some.
func (n *notebook) woken() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := make(chan struct{})
	if len(n.commands) > 0 {
		close(c)
	} else {
		n.waker = c
	}
	return c
}

func (n *notebook) take() []call.Command {
	n.mu.Lock()
	defer n.mu.Unlock()
	out := n.commands
	n.commands = nil
	return out
}
