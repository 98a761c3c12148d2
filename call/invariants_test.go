package call

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// checker sees every Step of an engine and holds it against the invariants:
//
//	 1 a leg is in one party, a party in one call
//	 2 ids are never reused
//	 3 every leg that rang or arrived ends in exactly one of active, passive, dropped, and moves only forward
//	 4 every call ends with CallEnded as its last event, and then all its legs are dropped
//	 5 an event's view equals the state right after it, and is never changed later
//	 6 no command to a leg after its Release, or after it was released
//	 7 event numbers have no gaps
//	 8 the engine's books (legs, devices, trunks, timers, flights) agree with the calls
//	 9 a call ends when nobody is left to talk to
//	10 commands follow the offer/answer rules: no second offer while one is open, an answer where one is owed (strict only)
//	11 when no exchange is open, everybody hears what they should (strict only)
//	12 every leg there ever was has exactly one record, with its times in order, and none claims more than was verified
//	14 who listens is heard by nobody, and hears the mix or nothing; a call with a guest has two others who have been answered
//	13 digits wait only while an exchange is about to change what their leg hears, and are said while none is open (strict)
//
// The strict ones hold when the drivers keep their promises; the others always.
type checker struct {
	e       *Engine
	strict  bool
	faults  []string
	lastSeq uint64
	calls   map[CallID]bool // false once ended
	lastID  [3]uint64       // call, party, engine's legs
	states  map[LegID]LegState
	gone    map[LegID]bool
	seen    []seenView
	wire    map[LegID]*wireLeg
	open    map[LegID]bool // legs that have no record yet
	records map[Outcome]int
	told    func(*LegRecord) // nil, or hears of every record
}

type seenView struct {
	view *View
	json []byte
}

func newChecker(strict bool) *checker {
	k := &checker{e: New(), strict: strict, calls: map[CallID]bool{}, states: map[LegID]LegState{}, gone: map[LegID]bool{}, wire: map[LegID]*wireLeg{},
		open: map[LegID]bool{}, records: map[Outcome]int{}}
	k.e.audit = k.event
	return k
}

func (k *checker) fault(format string, args ...any) {
	k.faults = append(k.faults, fmt.Sprintf(format, args...))
}

// step runs one Step and all checks.
func (k *checker) step(now time.Time, in Input) Output {
	k.seen = k.seen[:0]
	if in.Signal != nil {
		k.hear(in.Signal)
	}
	out := k.e.Step(now, in)
	for _, o := range out.Commands {
		k.command(o.Command)
	}
	for _, s := range k.seen {
		if after, _ := json.Marshal(s.view); !bytes.Equal(after, s.json) {
			k.fault("5: a view was changed after its event: %s became %s", s.json, after)
		}
	}
	for _, ev := range out.Events {
		k.record(ev)
	}
	k.books()
	return out
}

// event checks one event at the moment it happens.
func (k *checker) event(c *Call, ev Event) {
	if ev.Seq != k.lastSeq+1 {
		k.fault("7: event %d after %d", ev.Seq, k.lastSeq)
	}
	k.lastSeq = ev.Seq
	if c == nil {
		return // about a line or a device
	}
	b, _ := json.Marshal(ev.View)
	k.seen = append(k.seen, seenView{ev.View, b})
	fresh := *c
	fresh.view = nil
	fresh.parties = nil
	for _, p := range c.parties {
		q := *p
		q.view = nil
		fresh.parties = append(fresh.parties, &q)
	}
	if now := fresh.picture(); !reflect.DeepEqual(now, ev.View) {
		f, _ := json.Marshal(now)
		k.fault("5: %s: the view is %s, the state %s", ev.Kind, b, f)
	}
	k.ids(ev)
	k.state(ev, c)
}

func (k *checker) ids(ev Event) {
	alive, known := k.calls[ev.Call]
	switch {
	case ev.Kind == CallCreated && (known || uint64(ev.Call) <= k.lastID[0]):
		k.fault("2: call id %s is used twice", ev.Call)
	case ev.Kind == CallCreated:
		k.calls[ev.Call], k.lastID[0] = true, uint64(ev.Call)
	case !alive:
		k.fault("4: %s of call %s after its end", ev.Kind, ev.Call)
	}
	if ev.Kind == PartyAdded {
		if uint64(ev.Party) <= k.lastID[1] {
			k.fault("2: party id %s is used twice", ev.Party)
		}
		k.lastID[1] = uint64(ev.Party)
	}
	if ev.Kind == CallEnded {
		k.calls[ev.Call] = false
	}
}

// state checks the life of a leg.
func (k *checker) state(ev Event, c *Call) {
	move := func(to LegState, from ...LegState) {
		if was := k.states[ev.Leg]; !slices.Contains(from, was) {
			k.fault("3: leg %s went from %s to %s", ev.Leg, was, to)
		}
		k.states[ev.Leg] = to
	}
	switch ev.Kind {
	case LegArrived:
		move(LegWaiting, LegNew)
	case LegRinging:
		move(LegOffering, LegNew)
	case LegAlerted:
		move(LegIsRinging, LegOffering)
	case LegActive:
		move(LegIsActive, LegWaiting, LegOffering, LegIsRinging)
	case LegPassive:
		move(LegIsPassive, LegOffering, LegIsRinging)
	case LegDropped:
		move(LegIsDropped, LegWaiting, LegOffering, LegIsRinging, LegIsActive, LegIsPassive)
	case PartyDropped, CallEnded:
		if ev.Kind == CallEnded && len(c.parties) > 0 {
			k.fault("4: call %s ended with parties", ev.Call)
		}
	}
}

// record checks that a leg gets its record when it is over, and only then.
func (k *checker) record(ev Event) {
	switch ev.Kind {
	case LegArrived, LegRinging:
		k.open[ev.Leg] = true
	case LegDropped:
		if ev.Record == nil || ev.Record.Leg != ev.Leg || ev.Record.Call != ev.Call || ev.Record.Party != ev.Party || !k.open[ev.Leg] {
			k.fault("12: leg %s has no record, a second one, or another's: %+v", ev.Leg, ev.Record)
			return
		}
		delete(k.open, ev.Leg)
		k.records[ev.Record.Outcome]++
		k.sound(ev.Record)
		if k.told != nil {
			k.told(ev.Record)
		}
	default:
		if ev.Record != nil {
			k.fault("12: %s carries a record", ev.Kind)
		}
	}
}

// sound checks that a record agrees with itself.
func (k *checker) sound(r *LegRecord) {
	at := r.Setup
	for _, t := range []time.Time{r.Alerted, r.Answered, r.End} {
		if t.IsZero() {
			continue
		}
		if t.Before(at) {
			k.fault("12: leg %s: times out of order: setup %v, alerted %v, answered %v, end %v", r.Leg, r.Setup, r.Alerted, r.Answered, r.End)
		}
		at = t
	}
	switch {
	case r.Setup.IsZero() || r.End.IsZero() || r.Cause == CauseNone:
		k.fault("12: leg %s has no setup, no end or no cause: %+v", r.Leg, r)
	case (r.Outcome == OutcomeAnswered) == r.Answered.IsZero():
		k.fault("12: leg %s is %s, answered at %v", r.Leg, r.Outcome, r.Answered)
	case r.Applet == "" && r.Lock == LockEncrypted && (r.Security != SRTP || r.Trust < TrustMutual || r.Proof == ProofPlain || r.Proof == ProofFailed),
		r.Lock == LockAuthenticated && r.Trust < TrustMutual, r.Lock != LockUnknown && r.Answered.IsZero():
		k.fault("12: leg %s claims %s with trust %s, media %s, proof %s", r.Leg, r.Lock, r.Trust, r.Security, r.Proof)
	case r.Lock < LockEncrypted && r.Lock > LockUnknown && r.Why == "":
		k.fault("12: leg %s is %s and the record does not say why", r.Leg, r.Lock)
	}
}

// books checks the engine's tables against its calls.
func (k *checker) books() {
	e := k.e
	inCall := map[LegID]int{}
	parties := map[PartyID]int{}
	device, trunk := map[string]int{}, map[string]int{}
	timers := 0
	for id, c := range e.calls {
		if c.id != id || c.ended || c.alone() {
			k.fault("9: call %s is in the books though it is over or nobody is left", id)
		}
		for _, t := range []*timer{c.retry, &c.duration, c.silent} {
			if t.running() {
				timers++
			}
		}
		k.flight(c)
		k.delivery(c)
		k.guests(c)
		for _, p := range c.parties {
			parties[p.id]++
			if p.call != c {
				k.fault("1: party %s does not know its call", p.id)
			}
			if p.offering != nil && p.offering.ring.running() {
				timers++
			}
			if p.guard != nil && p.guard.timer.running() {
				timers++
			}
			if s := p.stay; s != nil {
				if s.timer.running() {
					timers++
				}
				if s.park != nil && e.slots[s.park.slot] != p {
					k.fault("8: %s is parked at %v, and the books do not know it", p.id, s.park.slot)
				}
				if !s.timer.running() && len(c.parties) < 2 && (p.guard == nil || !p.guard.timer.running()) {
					k.fault("9: %s waits for nothing", p.id)
				}
			}
			if o := p.offering; o != nil && (!slices.Contains(c.parties, o.caller) || o.hunt != nil && o.hunt.caller != o.caller) {
				k.fault("8: party %s is reached for somebody who is not in the call", p.id)
			}
			if !p.alive() {
				k.fault("9: party %s has no leg on the wire", p.id)
			}
			for _, l := range p.legs {
				if l.party != p {
					k.fault("1: leg %s does not know its party", l.id)
				}
				if l.retry.running() {
					timers++
				}
				if len(l.few().digits) > 0 && l.active() && e.standing(l) {
					k.fault("13: digits wait for leg %s, and its media stands", l.id)
				}
				if l.silence != nil && l.silence.running() {
					timers++
				}
				if l.onWire() {
					inCall[l.id]++
					device[l.device]++
					if l.tie == nil {
						trunk[l.trunk]++
					}
				}
			}
		}
	}
	for at, p := range e.slots {
		if p.stay == nil || p.stay.park == nil || p.stay.park.slot != at || e.calls[p.call.id] != p.call {
			k.fault("8: %s is parked at %v, and does not know it", p.id, at)
		}
	}
	k.compare(inCall, parties, device, trunk)
	if timers != len(e.timers) {
		k.fault("8: %d timers run, the calls know %d", len(e.timers), timers)
	}
	for i := range e.timers {
		if e.timers[i].index != i+1 || i > 0 && e.timers.less(i, (i-1)/2) {
			k.fault("8: the timers are out of order")
		}
	}
}

func (k *checker) compare(inCall map[LegID]int, parties map[PartyID]int, device, trunk map[string]int) {
	e := k.e
	for id, n := range inCall {
		if n != 1 || e.legs[id] == nil || e.legs[id].id != id {
			k.fault("1: leg %s is in %d parties, or not in the books", id, n)
		}
	}
	if len(inCall) != len(e.legs) {
		k.fault("8: %d legs in the books, %d in calls", len(e.legs), len(inCall))
	}
	for id, n := range parties {
		if n != 1 {
			k.fault("1: party %s is in %d calls", id, n)
		}
	}
	for name, d := range e.devices {
		if len(d.legs) != device[name] {
			k.fault("8: device %s has %d legs in the books, %d in calls", name, len(d.legs), device[name])
		}
	}
	for name, t := range e.trunks {
		if t.legs != trunk[name] {
			k.fault("8: trunk %s has %d legs in the books, %d in calls", name, t.legs, trunk[name])
		}
	}
}

func (k *checker) flight(c *Call) {
	for _, l := range []*Leg{c.flight.from, c.flight.to} {
		if l != nil && (!l.onWire() || l.party.call != c) {
			k.fault("8: an exchange of call %s has leg %s in it, which is %s", c.id, l.id, l.state)
		}
	}
	if !k.strict || !c.flight.idle() || c.retry.running() {
		return
	}
	for _, p := range c.parties {
		for _, l := range p.legs {
			if l.active() && l.oa != stable && !k.waiting(c) {
				k.fault("11: leg %s is owed something (%d), and nothing is on its way", l.id, l.oa)
			}
			if !l.active() || l.oa != stable || l.retry.running() || k.waiting(c) {
				continue
			}
			if w := k.e.want(l); w.kind != feedNone && w != l.hears && !l.gaveUp.is(w) {
				k.fault("11: leg %s hears %v and should hear %v", l.id, l.hears, w)
			}
		}
	}
}

// delivery checks that a Deliver which is not over has somebody who rings, or who has answered and is being connected, and no other call has.
func (k *checker) delivery(c *Call) {
	rings := slices.ContainsFunc(c.parties, func(p *Party) bool { return p.offering != nil && p.offering.delivers })
	switch v := c.delivery; {
	case v == nil && rings:
		k.fault("8: somebody rings in call %s for a Deliver that is over", c.id)
	case v == nil:
	case v.by == nil && !rings:
		k.fault("8: nobody rings in call %s for its Deliver", c.id)
	case v.by != nil && (!v.by.active() || v.by.replaces == nil || rings):
		k.fault("8: leg %s has answered the Deliver of call %s, and is not being connected", v.by.id, c.id)
	}
}

// guests checks that who listens is heard by nobody, and that guests are where somebody talks with somebody.
func (k *checker) guests(c *Call) {
	others, some := 0, false
	for _, p := range c.parties {
		if some = some || p.guest(); p.talked() {
			others++
		}
		if l := p.activeLeg(); l != nil && p.listens() && (l.hears.kind == feedPeer || isMix(l.hears.source) && l.hears.source != c.listenName()) {
			k.fault("14: leg %s listens, and is heard: %v", l.id, l.hears)
		}
		for _, l := range p.legs {
			if o := k.e.legs[l.hears.peer]; o != nil && o.party.listens() {
				k.fault("14: leg %s hears %s, which listens", l.id, o.id)
			}
			if !p.listens() && (l.hears.source == c.listenName() || l.coming.source == c.listenName()) {
				k.fault("14: leg %s has the place of somebody who listens", l.id)
			}
		}
	}
	if some && others < 2 {
		k.fault("14: call %s has a guest, and %d who talk", c.id, others)
	}
}

// unheard checks that nothing a leg is told comes from somebody who listens, and that who listens is given a place where nobody hears it.
func (k *checker) unheard(c Command) {
	m := mediaOf(c)
	l := k.e.legs[c.CommandLeg()]
	if o := k.e.legs[m.Peer]; o != nil && o.party.listens() {
		k.fault("14: %s: that leg listens, and nobody is to hear it", Describe(c))
	}
	if l != nil && l.party.listens() && (m.Treatment != Source && m.Kind != KindNone || isMix(m.Source) && m.Source != l.party.call.listenName()) {
		k.fault("14: %s: who listens would be heard", Describe(c))
	}
}

// waiting says whether some leg of the call still has an exchange open with its far end, for which the rest waits.
func (k *checker) waiting(c *Call) bool {
	for _, p := range c.parties {
		for _, l := range p.legs {
			if l.active() && (l.oa == weOffered || l.oa == weAsked || l.oa == awaitConfirm) {
				return true
			}
		}
	}
	return false
}

// wireLeg is a leg as its driver sees it: the checker's own book of the offer/answer rules.
type wireLeg struct {
	incoming, answered, alerted bool
	earlySent                   bool // an early answer went to a leg that came in, or came from one that went out
	invite                      DescKind
	// theirs: an unanswered Reoffered; ours: an unanswered Reoffer (with the kind of what it carried).
	theirs, ours       bool
	theirKind, ourKind DescKind
	ack                bool // the far end owes an ACK with an answer (Confirmed)
	confirm            bool // we owe Confirm
	ref                uint64
	device             string
	target             Target
}

// hear notes a signal.
func (k *checker) hear(s Signal) {
	w := k.wire[s.SignalLeg()]
	switch s := s.(type) {
	case Setup:
		if k.e.legs[s.Leg] == nil && s.Leg != 0 {
			k.wire[s.Leg] = &wireLeg{incoming: true, invite: s.Desc.Kind, device: s.Device, ref: s.Desc.Ref}
			delete(k.states, s.Leg)
			delete(k.gone, s.Leg)
		}
	case Released:
		if w != nil {
			delete(k.wire, s.Leg)
			k.gone[s.Leg] = true
		}
	}
	if w == nil {
		return
	}
	switch s := s.(type) {
	case Alerting:
		w.alerted = true
	case Progressing:
		w.earlySent = w.earlySent || s.Desc.Kind == KindAnswer && w.invite == KindOffer
	case Answered:
		w.answered = true
		w.confirm = w.invite == KindNone
	case Confirmed:
		w.ack = false
	case Reoffered:
		w.theirs, w.theirKind = true, s.Desc.Kind
	case ReofferAnswered:
		w.ours = false
		w.confirm = w.ourKind == KindNone
	case ReofferRejected:
		w.ours = false
	}
}

// command checks and notes a command.
func (k *checker) command(c Command) {
	id := c.CommandLeg()
	k.unheard(c)
	if r, ok := c.(Ring); ok {
		if uint64(id) <= k.lastID[2] || id%2 != 0 {
			k.fault("2: leg id %s is used twice", id)
		}
		k.lastID[2] = uint64(id)
		k.wire[id] = &wireLeg{invite: r.Media.Kind, device: r.Target.Device, target: r.Target}
		return
	}
	if k.gone[id] {
		k.fault("6: %s after the end of leg %s", kindName(c), id)
	}
	w := k.wire[id]
	if w == nil {
		return
	}
	if _, ok := c.(Release); ok {
		delete(k.wire, id)
		k.gone[id] = true
		return
	}
	if k.strict {
		k.exchange(w, c)
	}
}

// exchange checks a command against the offer/answer rules.
func (k *checker) exchange(w *wireLeg, c Command) {
	bad := func(why string) { k.fault("10: %s: %s", Describe(c), why) }
	switch c := c.(type) {
	case Alert, Progress:
		if !w.incoming || w.answered {
			bad("the leg does not wait for an answer")
		}
		if p, ok := c.(Progress); ok && p.Media.Kind != KindNone {
			if w.earlySent || p.Media.Kind != KindAnswer || w.invite != KindOffer {
				bad("no answer is owed")
			}
			w.earlySent = true
		}
	case AnswerNow, AcceptNow:
		if w.incoming || w.answered {
			bad("the leg does not ring")
		}
	case Answer:
		want := KindAnswer
		if w.invite == KindNone {
			want = KindOffer
		}
		if w.earlySent {
			want = KindNone
		}
		if !w.incoming || w.answered || c.Media.Kind != want {
			bad("expected an answer with " + want.String())
		}
		w.answered, w.ack = true, want == KindOffer
	case Confirm:
		if !w.confirm || c.Media.Kind != KindAnswer {
			bad("no ACK is owed")
		}
		w.confirm = false
	case Reoffer:
		if !w.answered || w.ours || w.theirs || w.ack || w.confirm || c.Media.Kind == KindAnswer {
			bad("another exchange is open")
		}
		w.ours, w.ourKind = true, c.Media.Kind
	case AnswerReoffer:
		if !w.theirs || (c.Media.Kind == KindAnswer) != (w.theirKind == KindOffer) || c.Media.Kind == KindNone {
			bad("that is not what is owed")
		}
		w.theirs, w.ack = false, c.Media.Kind == KindOffer
	case SendDigit:
		if w.ours || w.theirs || w.ack || w.confirm {
			k.fault("13: %s: an exchange is open", Describe(c))
		}
	case RejectReoffer:
		if !w.theirs {
			bad("nothing was offered")
		}
		w.theirs = false
	}
}
