package live

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
)

// world is an engine, its sessions, the wire to one follower, and the follower's tracker: all of it without a clock or a goroutine.
type world struct {
	t   *testing.T
	rnd *rand.Rand
	now time.Time

	config  *call.Config
	engine  *call.Engine
	life    string
	lives   int
	nextLeg call.LegID
	legs    []call.LegID // out on the driver, not answered
	calls   []call.CallID
	history map[string]map[uint64]string // what the filter's calls were as of an event, by the engine's life

	filter   Filter
	texts    *texts
	sessions map[string]*session
	lost     map[string]bool // sessions whose watcher is behind: a snapshot is due
	wire     []wireFrame
	asks     []trackAct

	tracker *tracker
	picture Picture
	ready   bool // the last note of all was no loss
	gone    bool // that the node is lost was told since the last snapshot
	log     []string
	told    map[Loss]int
	events  int
	snaps   int
}

type wireFrame struct {
	session string
	text    []byte
}

func newWorld(t *testing.T, seed int64, f Filter) *world {
	w := &world{t: t, rnd: rand.New(rand.NewSource(seed)), now: time.Unix(1700000000, 0), config: town(t), filter: f, history: map[string]map[uint64]string{},
		told: map[Loss]int{}}
	names := 0
	w.tracker = &tracker{node: "n1", filter: f, name: func() string { names++; return "s" + strconv.Itoa(names) }}
	w.start()
	return w
}

// start gives the engine a new life.
func (w *world) start() {
	w.lives++
	w.life = "life" + strconv.Itoa(w.lives)
	w.engine, w.texts, w.sessions, w.lost = call.New(), &texts{}, map[string]*session{}, map[string]bool{}
	w.nextLeg, w.legs, w.calls, w.history[w.life] = 1, nil, nil, map[uint64]string{}
	w.step(call.Input{Config: w.config})
	for _, d := range []string{"alice", "bob", "lost"} {
		w.step(call.Input{Driver: "sip", Signal: call.DeviceState{Device: d, Up: true}})
	}
}

func (w *world) step(in call.Input) {
	out := w.engine.Step(w.now, in)
	for _, o := range out.Commands {
		switch c := o.Command.(type) {
		case call.Ring:
			w.legs = append(w.legs, c.Leg)
		}
	}
	var notes []Note
	for _, ev := range out.Events {
		if ev.Kind == call.CallCreated {
			w.calls = append(w.calls, ev.Call)
		}
		notes = append(notes, Note{Event: ev})
	}
	w.history[w.life][w.engine.LastEvent()] = w.truth()
	for name, s := range w.sessions {
		switch {
		case w.lost[name]:
		case len(notes) > 0 && w.rnd.Intn(40) == 0:
			w.lost[name] = true // the watcher's queue was full
		default:
			s.tell(notes)
		}
	}
}

// truth is what the filter's calls and settings are now.
func (w *world) truth() string {
	var calls []*call.View
	for _, v := range w.engine.Calls() {
		if w.filter.Wants(v) {
			calls = append(calls, v)
		}
	}
	return asText(w.t, calls)
}

func asText(t *testing.T, calls []*call.View) string {
	text, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	if len(calls) == 0 {
		return "[]"
	}
	return string(text)
}

// play has something happen to the engine.
func (w *world) play() {
	pick := func(n int) int { return w.rnd.Intn(n) }
	switch pick(8) {
	case 0, 1:
		to := []string{"2002", "2002", "112", "2003", "9"}[pick(5)]
		w.step(call.Input{Driver: "sip", Signal: setup(w.nextLeg, to)})
		w.nextLeg += 2
	case 2, 3, 4:
		if len(w.legs) == 0 {
			return
		}
		leg := w.legs[pick(len(w.legs))]
		w.step(call.Input{Driver: "sip", Signal: []call.Signal{call.Alerting{Leg: leg}, answer(leg), answer(leg), call.Released{Leg: leg, Cause: call.UserBusy}}[pick(4)]})
	case 5:
		w.step(call.Input{Driver: "sip", Signal: call.Released{Leg: call.LegID(2*pick(int(w.nextLeg)) + 1), Cause: call.NormalClearing}})
	case 6:
		if len(w.calls) > 0 {
			w.step(call.Input{Request: call.Drop{Call: w.calls[pick(len(w.calls))]}})
		}
	case 7:
		w.step(call.Input{Request: call.SetDoNotDisturb{Device: []string{"alice", "bob"}[pick(2)], On: pick(2) == 0}})
	}
}

// serve is the port's side of an ask.
func (w *world) serve(a trackAct) error {
	s := w.sessions[a.session]
	switch {
	case a.verb == actEnd:
		delete(w.sessions, a.session)
	case a.verb == actBegin:
		s = newSession(w.life, FollowRequest{Session: a.session, Filter: w.filter}, w.texts, 600, func(text []byte) {
			w.wire = append(w.wire, wireFrame{a.session, append([]byte(nil), text...)})
		})
		w.sessions[a.session] = s
		s.tell([]Note{w.snapshot(false)})
	case s == nil:
		return &bus.Error{Code: bus.CodeNotFound, Message: "no such session"}
	default:
		if w.lost[a.session] {
			delete(w.lost, a.session)
			s.tell([]Note{w.snapshot(true)})
		}
		s.publish(nil)
	}
	return nil
}

func (w *world) snapshot(lagged bool) Note {
	return Note{Snapshot: true, Lagged: lagged, AsOf: w.engine.LastEvent(), Calls: w.engine.Calls(), Settings: w.engine.Settings()}
}

// collect takes what the tracker has to tell and to do, and checks it.
func (w *world) collect() {
	notes, acts := w.tracker.take()
	w.asks = append(w.asks, acts...)
	for _, n := range notes {
		w.check(n)
	}
}

func (w *world) check(n RemoteNote) {
	w.t.Helper()
	switch {
	case n.Lost != LossNone:
		w.told[n.Lost]++
		if !w.ready && w.snaps > 0 && (n.Lost != LossNode || w.gone) { // that the node is lost says more than another loss
			w.t.Fatalf("a loss was told twice: %+v", n)
		}
		w.ready, w.gone = false, w.gone || n.Lost == LossNode
	case n.Snapshot:
		w.snaps++
		w.ready, w.gone = true, false
	case !w.ready:
		w.t.Fatalf("an event behind a loss: %+v", n.Event)
	default:
		w.events++
	}
	if n.Snapshot && w.picture.Fresh && w.picture.Engine == n.Engine {
		w.t.Fatal("a snapshot without a loss before it")
	}
	w.picture.Apply(n)
	if !w.picture.Fresh {
		return
	}
	if truth, known := w.history[w.picture.Engine][w.picture.AsOf]; known && asText(w.t, w.picture.Calls()) != truth {
		w.t.Fatalf("as of event %d of %s the picture is\n%s\nand the engine had\n%s", w.picture.AsOf, w.picture.Engine, asText(w.t, w.picture.Calls()), truth)
	}
}

// turn is one step of the walk.
func (w *world) turn() {
	switch w.rnd.Intn(16) {
	case 0, 1, 2, 3, 4:
		w.play()
	case 5, 6, 7, 8:
		w.deliver()
	case 9, 10, 11:
		w.ask()
	case 12:
		w.now = w.now.Add(time.Duration(w.rnd.Intn(1500)) * time.Millisecond)
		w.tracker.tick(w.now)
	case 13:
		if w.rnd.Intn(6) == 0 && len(w.wire) > 0 { // a message is lost
			w.log = append(w.log, "lost a frame")
			w.wire = w.wire[1:]
		}
	case 14:
		switch w.rnd.Intn(24) {
		case 0:
			w.log = append(w.log, "the engine starts anew")
			w.start()
		case 1:
			w.tracker.hold(w.now, LossNode, "n1 is lost")
		case 2:
			w.tracker.hold(w.now, LossBus, "no bus")
		case 3, 4:
			w.tracker.release(w.now)
		}
	case 15:
		if len(w.wire) > 1 && w.rnd.Intn(6) == 0 { // a message comes twice
			w.wire = append(w.wire[:1], w.wire...)
		}
	}
	w.collect()
}

func (w *world) deliver() {
	if len(w.wire) == 0 {
		return
	}
	f := w.wire[0]
	w.wire = w.wire[1:]
	var frame Frame
	if err := json.Unmarshal(f.text, &frame); err != nil {
		w.t.Fatalf("%v in %s", err, f.text)
	}
	w.tracker.frame(w.now, f.session, frame)
}

func (w *world) ask() {
	if len(w.asks) == 0 {
		return
	}
	a := w.asks[0]
	w.asks = w.asks[1:]
	var err error
	if w.rnd.Intn(20) == 0 {
		err = &bus.Error{Code: bus.CodeTimeout, Message: "no answer"}
	} else {
		err = w.serve(a)
	}
	w.tracker.answered(w.now, a.verb, a.session, err)
}

// settle lets everything arrive, and time go by in which nothing happens to the engine.
func (w *world) settle() {
	w.tracker.release(w.now)
	for range 200 {
		w.collect()
		for len(w.asks) > 0 || len(w.wire) > 0 {
			for len(w.asks) > 0 {
				a := w.asks[0]
				w.asks = w.asks[1:]
				w.tracker.answered(w.now, a.verb, a.session, w.serve(a))
			}
			w.deliver()
			w.collect()
		}
		w.now = w.now.Add(250 * time.Millisecond)
		w.tracker.tick(w.now)
	}
}

// TestPictureAfterLosses: whatever is lost on the way, in whatever order, the picture made of the notes is the engine's own: at every step
// at which it says that it is fresh, and in the end.
func TestPictureAfterLosses(t *testing.T) {
	walks := 60
	if n, err := strconv.Atoi(os.Getenv("LOCKTONE_WALKS")); err == nil {
		walks = n
	}
	told, events, snaps := map[Loss]int{}, 0, 0
	for seed := range int64(walks) {
		for i, f := range []Filter{{}, {Devices: []string{"bob"}}, {Lines: []call.LineID{{Number: "2003"}}}} {
			t.Run(fmt.Sprintf("seed %d filter %d", seed, i), func(t *testing.T) {
				w := newWorld(t, seed, f)
				for range 400 {
					w.turn()
				}
				w.settle()
				if !w.picture.Fresh || w.picture.Engine != w.life {
					t.Fatalf("after all was mended the picture is not fresh: %v, of %s, the engine is %s", w.picture.Fresh, w.picture.Engine, w.life)
				}
				if got := asText(t, w.picture.Calls()); got != w.truth() {
					t.Fatalf("in the end the picture is\n%s\nand the engine has\n%s", got, w.truth())
				}
				for l, n := range w.told {
					told[l] += n
				}
				events, snaps = events+w.events, snaps+w.snaps
			})
		}
	}
	for _, l := range []Loss{LossGap, LossLagged, LossBus, LossNode, LossService} {
		if told[l] == 0 {
			t.Errorf("no walk came by a loss of kind %v", l)
		}
	}
	if events < 100 || snaps < 100 {
		t.Errorf("walks saw %d events and %d snapshots", events, snaps)
	}
	t.Logf("losses %v, %d events, %d snapshots", told, events, snaps)
}

// TestNodeLostBehindAnotherLoss: a killed node's engine does not answer some time before the node's lease is over. Both are told, each once: only
// the second says that the calls are gone.
func TestNodeLostBehindAnotherLoss(t *testing.T) {
	now := time.Unix(0, 0)
	tr := &tracker{node: "n1", name: func() string { return "s" }}
	tr.begin(now)
	tr.answered(now, actKeep, "s", &bus.Error{Code: bus.CodeNoResponder})
	tr.tick(now.Add(retryMost))
	tr.answered(now.Add(retryMost), actBegin, "s", &bus.Error{Code: bus.CodeNoResponder})
	tr.hold(now.Add(retryMost), LossNode, "n1 is lost")
	tr.hold(now.Add(retryMost), LossNode, "n1 is lost")
	var told []Loss
	notes, _ := tr.take()
	for _, n := range notes {
		told = append(told, n.Lost)
	}
	if !slices.Equal(told, []Loss{LossService, LossNode}) {
		t.Errorf("told are %v", told)
	}
}

// TestSilence: a session of which nothing is heard is lost, told once, and begun again under another name, at growing distance.
func TestSilence(t *testing.T) {
	tr := &tracker{node: "n1", name: func() string { return "s" }}
	now := time.Unix(0, 0)
	var begun []time.Duration
	losses := 0
	for i := range 200 {
		at := now.Add(time.Duration(i) * followerTick)
		tr.tick(at)
		notes, acts := tr.take()
		for _, n := range notes {
			if n.Lost != LossSilent || n.Why == "" {
				t.Fatalf("%+v", n)
			}
			losses++
		}
		for _, a := range acts {
			if a.verb == actBegin {
				begun = append(begun, at.Sub(now))
			}
		}
	}
	if losses != 1 || len(begun) < 4 || begun[1] < silentAfter || begun[1] > silentAfter+time.Second {
		t.Errorf("%d losses, begun at %v", losses, begun)
	}
}
