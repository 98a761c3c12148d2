package call

import (
	"flag"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	walkSeed = flag.Int64("seed", 0, "walk this seed alone")
	walkLen  = flag.Int("steps", 120, "steps of a random walk")
)

// walkCount is how many seeds are walked: a thousand with LOCKTONE_ALL=1, LOCKTONE_WALKS=20000 for a night.
func walkCount(def int) int {
	if n, err := strconv.Atoi(os.Getenv("LOCKTONE_WALKS")); err == nil {
		return n
	}
	if os.Getenv("LOCKTONE_ALL") != "" {
		return 1000
	}
	return def
}

// move is one step of a walk: an input, or time that passes.
type move struct {
	in   Input
	wait time.Duration
}

func (m move) String() string {
	switch {
	case m.in.Signal != nil:
		return m.in.Driver + " " + Describe(m.in.Signal)
	case m.in.Request != nil:
		return "app " + Describe(m.in.Request)
	}
	return "wait " + m.wait.String()
}

// walker plays all drivers and applications of an office, legally or not.
type walker struct {
	k       *checker
	rnd     *rand.Rand
	now     time.Time
	legal   bool
	nextIn  LegID
	nextRef uint64
	moves   []move
	records []Recorded
}

var phones = []string{"alice", "bob", "carol", "plain", "mixed", "desk1", "desk2", "desk3"}

func newWalker(t testing.TB, seed int64, legal bool) *walker {
	w := &walker{k: newChecker(legal), rnd: rand.New(rand.NewSource(seed)), now: start, legal: legal, nextIn: 1, nextRef: 1000}
	w.apply(move{in: Input{Config: walkSite(seed).must(t)}})
	for _, p := range phones {
		w.apply(move{in: Input{Driver: "sip", Signal: DeviceState{Device: p, Up: true}}})
	}
	return w
}

// walkSite is the site of a walk: an office, with more or less of everything.
func walkSite(seed int64) Site {
	site := office()
	if seed%3 > 0 {
		forwards(&site)
	}
	if seed%3 > 1 || seed%5 == 0 {
		hunts(&site)
	}
	withConferences(&site)
	withParks(&site)
	site.Policy.Mixed = MixedPolicy(seed % 4 % 3)
	site.Policy.ConferenceEnds = ConferenceEnd(seed % 3)
	site.Trunks[0].MaxCalls = 2
	site.Devices[2].Terminal = seed%5 == 1
	if seed%2 == 0 { // the trunks take turns, and the list says itself what leads to the next one
		list := &site.RouteLists[0]
		list.Members[0].Turns, list.Members[1].Turns, list.Causes = "turns", "turns", []Cause{TemporaryFailure, NoCircuit, RecoveryOnTimerExpiry}
	}
	site.Policy.MaxDuration = 10 * time.Minute
	site.Policy.MediaInactivity = time.Duration(seed%3) * 10 * time.Second
	return site
}

// apply makes one move, and the ticks that fall due on the way.
func (w *walker) apply(m move) {
	w.moves = append(w.moves, m)
	end := w.now.Add(m.wait)
	for next := w.k.e.Deadline(); !next.IsZero() && !next.After(end); next = w.k.e.Deadline() {
		w.now = next
		w.step(Input{})
	}
	w.now = end
	if m.wait == 0 {
		w.step(m.in)
	}
}

func (w *walker) step(in Input) {
	line, err := MarshalInput(w.now, in)
	if err != nil {
		w.k.fault("an input cannot be written: %v", err)
	}
	out := w.k.step(w.now, in)
	rec, err := MarshalOutput(out)
	if err != nil {
		w.k.fault("an output cannot be written: %v", err)
	}
	w.records = append(w.records, Recorded{line, rec, AppendOutput(nil, out)})
}

// walk makes n random moves and then ends everything.
func (w *walker) walk(n int) {
	for i := 0; i < n && len(w.k.faults) == 0; i++ {
		if m := w.choose(); !w.legal || w.k.allows(m) {
			w.apply(m)
		}
	}
	w.end()
}

// end releases every leg and sees that nothing is left.
func (w *walker) end() {
	for len(w.k.wire) > 0 && len(w.k.faults) == 0 {
		ids := slices.Sorted(maps.Keys(w.k.wire))
		w.apply(move{in: Input{Driver: "sip", Signal: Released{Leg: ids[0], Cause: NormalClearing}}})
	}
	if len(w.k.faults) == 0 && len(w.k.open) > 0 {
		w.k.fault("12: all legs are over, and these have no record: %v", slices.Sorted(maps.Keys(w.k.open)))
	}
	calls, legs := w.k.e.Load()
	if len(w.k.faults) == 0 && (calls != 0 || legs != 0 || !w.k.e.Deadline().IsZero()) {
		w.k.fault("4: all legs are released and %d calls, %d legs, timer %v are left", calls, legs, w.k.e.Deadline())
	}
}

// choose makes up a move.
func (w *walker) choose() move {
	ids := slices.Sorted(maps.Keys(w.k.wire))
	switch r := w.rnd.Intn(100); {
	case r < 12 || len(ids) == 0:
		return w.setup(ids)
	case r < 17:
		return move{wait: time.Duration(1+w.rnd.Intn(8000)) * time.Millisecond}
	case r < 20:
		s := DeviceState{Device: pick(w.rnd, phones), Up: w.rnd.Intn(3) > 0}
		s.Plain = s.Up && s.Device == "mixed" && w.rnd.Intn(3) == 0
		return move{in: Input{Driver: "sip", Signal: s}}
	case r < 22:
		return move{in: Input{Driver: "trunk", Signal: TrunkState{Trunk: pick(w.rnd, []string{"north", "south"}), Up: w.rnd.Intn(3) > 0}}}
	case r < 26:
		return move{in: w.request(ids)}
	case r < 27 && w.rnd.Intn(10) == 0:
		return move{in: Input{Driver: "trunk", Signal: DriverLost{"trunk"}}}
	case r < 29 && w.rnd.Intn(3) == 0:
		return move{in: Input{RequestID: "r", Request: w.join()}}
	}
	id := pick(w.rnd, ids)
	if !w.legal && w.rnd.Intn(5) == 0 {
		id = LegID(w.rnd.Intn(30))
	}
	return move{in: Input{Driver: "sip", Signal: w.signal(id, ids)}}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.Intn(len(from))] }

func (w *walker) setup(ids []LegID) move {
	s := Setup{Leg: w.nextIn, Called: w.number(), Desc: w.offer()}
	w.nextIn += 2
	driver := "sip"
	if w.rnd.Intn(5) == 0 {
		s.Trunk, driver = pick(w.rnd, []string{"north", "south", "copper", "nowhere"}), "trunk"
	} else {
		s.Device = pick(w.rnd, phones)
	}
	if w.rnd.Intn(4) == 0 {
		s.Desc = Desc{}
	}
	if len(ids) > 0 && w.rnd.Intn(8) == 0 {
		s.Replaces = pick(w.rnd, ids)
	}
	if len(ids) > 0 && w.rnd.Intn(8) == 0 {
		s.Join = pick(w.rnd, ids)
	}
	if w.rnd.Intn(3) == 0 {
		s.Parameters = ";voicexml=http%3A//x"
	}
	if s.Trunk != "" && w.rnd.Intn(4) == 0 {
		s.Route = []RouteMember{{Trunk: pick(w.rnd, []string{"north", "copper", "nowhere"})}, {Originator: true}, {Trunk: "south"}}[w.rnd.Intn(3):]
		s.RouteCauses = pick(w.rnd, [][]Cause{nil, {UserBusy, TemporaryFailure}})
	}
	s.Trust = pick(w.rnd, []Trust{TrustMutual, TrustMutual, TrustMutual, TrustServer, TrustNone})
	s.NoHops = w.rnd.Intn(40) == 0
	return move{in: Input{Driver: driver, Signal: s}}
}

func (w *walker) request(ids []LegID) Input {
	in := Input{RequestID: "r"}
	leg := LegID(0)
	if len(ids) > 0 {
		leg = pick(w.rnd, ids)
	}
	if id := w.offered(0, ids); id != 0 && w.rnd.Intn(3) == 0 {
		in.Request = AcceptCall{id}
		return in
	}
	switch w.rnd.Intn(23) {
	case 19, 20, 21, 22:
		in.Request = w.center(leg, ids)
	case 11, 12:
		in.Request = Conference{Leg: leg, With: []LegID{w.another(leg, ids), w.another(leg, ids)}[:1+w.rnd.Intn(2)]}
	case 14:
		in.Request = AnswerCall{leg}
	case 15:
		in.Request = AcceptCall{leg}
	case 16:
		in.Request = SendDigits{Leg: leg, Digits: pick(w.rnd, []string{"12#", "5", "", "x"}), Millis: w.rnd.Intn(2) * 100}
	case 17:
		in.Request = Redirect{Leg: leg, To: w.number(), Original: OriginalCalled(w.rnd.Intn(3)), Preferred: "8888", CallerSpace: w.rnd.Intn(2) == 0,
			Transfer: w.rnd.Intn(2) == 0, Calling: pick(w.rnd, []string{"", "2999"})}
	case 18:
		in.Request = MakeCall{Device: w.deviceOf(leg), Called: w.number(), Auto: true, From: leg, Tag: uint64(w.rnd.Intn(2))}
	case 13:
		in.Request = Barge{Device: pick(w.rnd, phones)}
	case 5:
		to := pick(w.rnd, []string{"", "2001", "2002", "2003", "2005", "2100", "2500", "2503", "0301", "9999"})
		in.Request = SetForward{Line: LineID{pick(w.rnd, []string{"2001", "2002", "2003", "2005", "2100", "2999"}), "phones"},
			Kind: ForwardKind(w.rnd.Intn(4)), Forward: Forward{To: to, Voicemail: w.rnd.Intn(4) == 0}}
	case 6:
		in.Request = SetDoNotDisturb{pick(w.rnd, phones), w.rnd.Intn(2) == 0}
	case 7:
		in.Request = SetHuntLogin{pick(w.rnd, phones), w.rnd.Intn(3) > 0}
	case 8:
		in.Request = SetPrivacy{pick(w.rnd, phones), w.rnd.Intn(2) == 0}
	case 0:
		in.Request = MakeCall{Device: pick(w.rnd, phones), Called: w.number()}
	case 1:
		in.Request = Hold{leg}
	case 2:
		in.Request = Resume{leg}
	case 3:
		in.Request = Redirect{Leg: leg, To: pick(w.rnd, []string{"2002", "2100", "9999", "112"})}
	case 4:
		in.Request = Drop{Leg: leg}
		if w.rnd.Intn(2) == 0 {
			in.Request = Drop{Party: PartyID(1 + w.rnd.Intn(8))}
		}
	default:
		in.Request = w.service(leg, ids)
	}
	return in
}

// deviceOf is the device of a leg, where that is known, or any.
func (w *walker) deviceOf(leg LegID) string {
	if w.k != nil && w.k.wire[leg] != nil && w.k.wire[leg].device != "" {
		return w.k.wire[leg].device
	}
	return pick(w.rnd, phones)
}

// another is a leg: more often than not one of the same device as the first.
func (w *walker) another(leg LegID, ids []LegID) LegID {
	var own []LegID
	for _, id := range ids {
		if w.k == nil {
			break // a walk over several nodes
		}
		if a, b := w.k.wire[id], w.k.wire[leg]; id != leg && a != nil && b != nil && a.device == b.device {
			own = append(own, id)
		}
	}
	if len(own) > 0 && w.rnd.Intn(4) > 0 {
		return pick(w.rnd, own)
	}
	return pick(w.rnd, append(ids, 0))
}

// signal makes up something that happens to a leg; in a legal walk what does not fit is left out later.
func (w *walker) signal(id LegID, ids []LegID) Signal {
	l := w.k.wire[id]
	if l == nil {
		l = &wireLeg{}
	}
	if w.rnd.Intn(40) == 0 {
		return Heard{id, Proof(w.rnd.Intn(5)), pick(w.rnd, []string{"", "no key fits"})}
	}
	if w.rnd.Intn(40) == 0 {
		return Measured{id, Quality{By: "here", Codec: "PCMA", Received: uint64(w.rnd.Intn(100)), Lost: 1}}
	}
	answer := w.offer()
	answer.Kind = KindAnswer
	switch w.rnd.Intn(14) {
	case 0:
		return Alerting{Leg: id}
	case 1:
		return Progressing{id, pick(w.rnd, []Desc{{}, answer})}
	case 2, 3, 4:
		d := answer
		if l.invite == KindNone {
			d = w.offer()
		}
		if l.earlySent || !w.legal && w.rnd.Intn(4) == 0 {
			d = Desc{}
		}
		return Answered{Leg: id, Desc: d, Trust: pick(w.rnd, []Trust{TrustMutual, TrustMutual, TrustServer})}
	case 5:
		if w.rnd.Intn(10) == 0 {
			return Confirmed{id, Desc{}}
		}
		return Confirmed{id, answer}
	case 6:
		d := w.offer()
		if w.rnd.Intn(4) == 0 {
			d.Ref = l.ref
		}
		return Reoffered{id, pick(w.rnd, []Desc{d, d, d, {}})}
	case 7, 8, 9:
		d := answer
		if l.ourKind == KindNone {
			d = w.offer()
		}
		return ReofferAnswered{id, d}
	case 10:
		return ReofferRejected{id, pick(w.rnd, []Cause{RequestPending, NotAcceptable})}
	case 11:
		return pick(w.rnd, []Signal{Digit{id, "5", 100}, Digit{id, "#", 0}})
	case 12:
		t := TransferAsked{Leg: id, To: pick(w.rnd, []string{"2001", "2002", "2003", "2100", "9999", "*11", "7050", "7002", "112"})}
		if w.rnd.Intn(2) == 0 {
			t.Replaces = pick(w.rnd, append(ids, 0))
		}
		return t
	}
	r := Released{Leg: id, Cause: pick(w.rnd, []Cause{NormalClearing, UserBusy, TemporaryFailure, CallerCancelled, NoUserResponding, SubscriberAbsent})}
	if w.rnd.Intn(6) == 0 {
		r.ToNumber = pick(w.rnd, []string{"2001", "2003", "9999"})
	}
	return r
}

func (w *walker) offer() Desc {
	w.nextRef++
	return Desc{Ref: w.nextRef, Kind: KindOffer, Dir: pick(w.rnd, []Direction{SendRecv, SendRecv, SendRecv, SendOnly, Inactive, RecvOnly}),
		Security: pick(w.rnd, []Security{SRTP, SRTP, SRTP, SRTPOrRTP, RTP, SecurityUnknown}), NoEvents: w.rnd.Intn(8) == 0}
}

// allows says whether a driver that keeps its promises could make the move now.
func (k *checker) allows(m move) bool {
	s := m.in.Signal
	if s == nil {
		return true
	}
	id := s.SignalLeg()
	l := k.wire[id]
	switch s := s.(type) {
	case Setup:
		return l == nil
	case DeviceState, TrunkState, DriverLost:
		return true
	case Alerting:
		return l != nil && !l.incoming && !l.answered && !l.alerted
	case Progressing:
		return l != nil && !l.incoming && !l.answered && !l.earlySent
	case Answered:
		early := l != nil && l.earlySent
		return l != nil && !l.incoming && !l.answered && (s.Desc.Kind == KindNone) == early && (early || (s.Desc.Kind == KindAnswer) == (l.invite == KindOffer))
	case Confirmed:
		return l != nil && l.ack
	case Reoffered:
		return l != nil && l.answered && !l.theirs && !l.ack && !l.confirm
	case ReofferAnswered:
		return l != nil && l.ours && !l.theirs && (s.Desc.Kind == KindAnswer) == (l.ourKind == KindOffer)
	case ReofferRejected:
		return l != nil && l.ours
	case TransferAsked, Digit:
		return l != nil && l.answered
	}
	return l != nil
}

// TestWalk walks random but legal ways through the engine, all invariants checked after every Step, and replays each
// walk from its recording. A failure prints the seed and the shortest list of moves that still fails.
func TestWalk(t *testing.T) { walks(t, true, walkCount(220)) }

// TestChaos does the same with drivers that keep no promise.
func TestChaos(t *testing.T) { walks(t, false, walkCount(100)) }

func walks(t *testing.T, legal bool, n int) {
	first, last := int64(1), int64(n)
	if *walkSeed != 0 {
		first, last = *walkSeed, *walkSeed
	}
	for seed := first; seed <= last; seed++ {
		w := newWalker(t, seed, legal)
		w.walk(*walkLen)
		if len(w.k.faults) > 0 {
			moves, faults := minimise(t, seed, legal, w.moves, rule(w.k.faults[0]))
			t.Fatalf("seed %d (go test -run %s -seed %d): %s\n%s", seed, t.Name(), seed, strings.Join(faults, "\n"), moves)
		}
		if _, err := Replay(w.records); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// rule is the number of the invariant a fault is about.
func rule(fault string) string {
	n, _, _ := strings.Cut(fault, ":")
	return n
}

// minimise leaves out moves as long as the same invariant is still broken, in halves, quarters and so on to single moves.
func minimise(t *testing.T, seed int64, legal bool, moves []move, broken string) (string, []string) {
	run := func(list []move) *walker {
		w := newWalker(t, seed, legal)
		for _, m := range list {
			if (!legal || w.k.allows(m)) && len(w.k.faults) == 0 {
				w.apply(m)
			}
		}
		w.end()
		return w
	}
	fails := func(list []move) bool {
		w := run(list)
		return len(w.k.faults) > 0 && rule(w.k.faults[0]) == broken
	}
	moves = moves[1+len(phones):] // what newWalker does by itself
	for size := len(moves) / 2; size >= 1; size /= 2 {
		for at := 0; at+size <= len(moves); {
			if fewer := slices.Concat(moves[:at], moves[at+size:]); fails(fewer) {
				moves = fewer
			} else {
				at += size
			}
		}
	}
	w := run(moves)
	var b strings.Builder
	for _, m := range moves {
		fmt.Fprintln(&b, m)
	}
	for _, r := range w.records[max(0, len(w.records)-3):] {
		fmt.Fprintf(&b, "last: %s\n   -> %s\n", r.Input, r.Output)
	}
	return b.String(), w.k.faults
}

// TestWalkReachesEverything sees that the walks come to the places that matter; a walk that never transfers proves nothing about
// transfers.
func TestWalkReachesEverything(t *testing.T) {
	seen := map[string]bool{}
	outcomes := map[Outcome]bool{}
	for seed := int64(1); seed <= 80; seed++ {
		w := newWalker(t, seed, true)
		w.k.e.audit = func(c *Call, ev Event) {
			seen[ev.Kind.String()] = true
			w.k.event(c, ev)
		}
		w.walk(250)
		for o := range w.k.records {
			outcomes[o] = true
		}
		for _, r := range w.records {
			for _, name := range []string{"Ring", "Alert", "Progress", "Answer", "Confirm", "Reoffer", "AnswerReoffer", "RejectReoffer", "Identify", "SendDigit", "TransferResult", "Release", "ShowLock", "AnswerNow", "AcceptNow"} {
				if strings.Contains(string(r.Output), `"command":"`+name+`"`) {
					seen[name] = true
				}
			}
		}
	}
	if len(outcomes) != len(outcomeNames) {
		t.Errorf("the records of the walks have no outcomes but %v", outcomes)
	}
	later := []EventKind{EmergencyCallMade, PartyChanged} // see below; ties are walked by clusters
	for kind := CallCreated; int(kind) < len(eventNames); kind++ {
		if slices.Contains(later, kind) {
			continue
		}
		if !seen[kind.String()] {
			t.Errorf("no walk saw %s", kind)
		}
	}
	if !seen[EmergencyCallMade.String()] {
		t.Error("no walk made an emergency call")
	}
	for _, name := range []string{"Ring", "Alert", "Progress", "Answer", "Confirm", "Reoffer", "AnswerReoffer", "RejectReoffer", "Identify", "SendDigit", "TransferResult", "Release", "ShowLock", "AnswerNow", "AcceptNow"} {
		if !seen[name] {
			t.Errorf("no walk saw the command %s", name)
		}
	}
}
