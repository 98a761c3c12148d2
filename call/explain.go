package call

import (
	"fmt"
	"strings"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// A Question asks what would happen if somebody dialled a number.
type Question struct {
	// Device with its Line (zero: its first), or Trunk with the number that calls.
	Device  string `json:"device,omitempty"`
	Line    LineID `json:"line,omitzero"`
	Trunk   string `json:"trunk,omitempty"`
	Calling string `json:"calling,omitempty"`
	Called  string `json:"called"`
	// Now is the time of the engine; At is the time at which the dial plan is asked, zero for the same.
	Now time.Time `json:"now"`
	At  time.Time `json:"at,omitzero"`
	// Trust says how the signalling of a device or trunk proves its peer, as far as its profile can say.
	Trust func(device, trunk string) Trust `json:"-"`
}

// An Explanation says what would happen and why: a Stage for what happens at once, then one for each time somebody else is tried
// because nobody has answered.
type Explanation struct {
	Question  Question `json:"question"`
	Caller    string   `json:"caller"`
	Emergency bool     `json:"emergency,omitempty"`
	Stages    []Stage  `json:"stages"`
	// Notes are what whoever asked knows besides: the profiles that media security comes from.
	Notes []Reason `json:"notes,omitempty"`
}

// A Stage is what happens at one time.
type Stage struct {
	// When says when: "at once", "after 20s without an answer".
	When    string   `json:"when"`
	Reasons []Reason `json:"reasons,omitempty"`
	// Rings are the legs that begin to ring.
	Rings []Ringing `json:"rings,omitempty"`
	// Unsuited are devices and trunks that are not rung because they and the caller cannot agree on how media is protected.
	Unsuited []string `json:"unsuited,omitempty"`
	// Answered says that the caller is answered by the system itself, and what its display shows.
	Answered string `json:"answered,omitempty"`
	// Ends is why the caller is released, CauseNone if it is not.
	Ends Cause  `json:"ends,omitempty"`
	Why  string `json:"why,omitempty"`
}

// A Reason is one sentence, with the part of the system that it is from.
type Reason struct {
	Topic string `json:"topic"`
	Text  string `json:"text"`
}

// A Ringing is a leg that would ring.
type Ringing struct {
	Target    Target    `json:"target"`
	Calling   Identity  `json:"calling,omitzero"`
	Offer     Security  `json:"offer,omitempty"`
	Treatment Treatment `json:"treatment"`
	// Legs are both ends as they would be once this leg has answered, and Protection that of the whole call. Fails is why the call
	// would end then.
	Legs       []LegView  `json:"legs,omitempty"`
	Protection Protection `json:"protection,omitzero"`
	Fails      Cause      `json:"fails,omitempty"`
}

// teller collects reasons.
type teller struct {
	reasons  []Reason
	unsuited []string
}

// say notes a reason while the engine explains.
func (e *Engine) say(topic, text string) {
	if e.teller != nil {
		e.teller.reasons = append(e.teller.reasons, Reason{topic, text})
	}
}

// explainFeature notes what a feature does for whoever has reached it.
func (e *Engine) explainFeature(topic, format string, args ...any) {
	if e.teller != nil {
		e.say(topic, fmt.Sprintf(format, args...))
	}
}

// explainTalkers names those at the other end of a leg.
func (e *Engine) explainTalkers(l *Leg) string {
	if e.teller == nil {
		return ""
	}
	var names []string
	for _, o := range l.party.call.talkers(l.party) {
		names = append(names, o.end())
	}
	return orDefault(strings.Join(names, " and "), "nobody")
}

// clock is the time at which the dial plan is asked.
func (e *Engine) clock() time.Time { return e.now.Add(e.ahead) }

// Bounds of an explanation.
const (
	mostStages  = 12
	mostTicks   = 400 // timers of this and other calls that go off meanwhile
	mostAnswers = 16  // legs whose answer is tried out
	explained   = ^LegID(0)
)

// Explain says what would happen if the question's call came in now. It is the call itself that is made, with all that the engine does for a
// call, in copies of e: e is not touched, and no command leaves.
func (e *Engine) Explain(q Question) Explanation {
	x := &explanation{Explanation: Explanation{Question: q}, e: e.Clone(), leg: explained, answers: mostAnswers}
	x.e.teller = &teller{}
	if !q.At.IsZero() {
		x.e.ahead = q.At.Sub(q.Now)
	}
	x.now = q.Now
	x.begin()
	for len(x.Stages) < mostStages && x.on() {
	}
	return x.Explanation
}

// explanation follows one call in a copy of the engine.
type explanation struct {
	Explanation
	e       *Engine
	now     time.Time
	leg     LegID // the caller's
	call    CallID
	over    bool
	answers int
}

// begin makes the call, and tries what happens when who is called is busy.
func (x *explanation) begin() {
	q := x.Question
	s := Setup{Leg: x.leg, Device: q.Device, Line: q.Line, Trunk: q.Trunk, Called: q.Called, Calling: Identity{Number: q.Calling}}
	driver, policy := "", MediaPolicy{}
	if d := x.e.config.devices[q.Device]; d != nil {
		driver, policy = d.Driver, x.e.mediaOf(d)
		x.Caller = "device " + d.Name
		if l := x.e.config.lineOf(q.Device, q.Line); l != nil {
			x.Caller += ", line " + l.ID.String()
		}
		if !x.e.device(d.Name).up {
			x.e.say("caller", "device "+d.Name+" is not registered now")
		}
	}
	if t := x.e.config.trunks[q.Trunk]; t != nil {
		driver, policy = t.Driver, t.Media
		x.Caller = "trunk " + t.Name
	}
	s.Trust = x.trust(q.Device, q.Trunk)
	s.Desc = Desc{Ref: 1, Kind: KindOffer, Dir: SendRecv, Security: offers(policy.security())}
	if x.Caller != "" {
		x.e.say("media", "the caller is taken to offer "+s.Desc.Security.String())
	}
	out := x.e.Step(x.now, Input{Driver: driver, Signal: s})
	for _, ev := range out.Events {
		if ev.Kind == LegArrived && ev.Leg == x.leg {
			x.call = ev.Call
		}
	}
	if reasons := x.e.teller.reasons; !x.stage("at once", out) {
		x.Stages = append(x.Stages, Stage{When: "at once", Reasons: reasons})
	}
	x.busy()
}

// offers is what a device or trunk of the kind is taken to offer.
func offers(s Security) Security {
	if s == SRTPOrRTP {
		return SRTP
	}
	return s
}

func (x *explanation) trust(device, trunk string) Trust {
	if x.Question.Trust == nil {
		return TrustNone
	}
	return x.Question.Trust(device, trunk)
}

// stage notes what the call has done in a Step; false when that was nothing.
func (x *explanation) stage(when string, out Output) bool {
	st := Stage{When: when, Reasons: x.e.teller.reasons, Unsuited: x.e.teller.unsuited}
	*x.e.teller = teller{}
	for _, ev := range out.Events {
		x.Emergency = x.Emergency || ev.Kind == EmergencyCallMade && ev.Call == x.call
	}
	for _, o := range out.Commands {
		switch c := o.Command.(type) {
		case Ring:
			if c.Call == x.call {
				st.Rings = append(st.Rings, x.ringing(o.Driver, c))
			}
		case Answer:
			if c.Leg == x.leg {
				st.Answered = orDefault(strings.TrimSpace(c.Connected.Display+" "+c.Connected.Number), "by the system")
			}
		case Release:
			if c.Leg == x.leg {
				st.Ends, st.Why, x.over = c.Cause, c.Why, true
			}
		}
	}
	x.over = x.over || x.e.legs[x.leg] == nil
	if len(st.Rings) == 0 && st.Ends == CauseNone && st.Answered == "" {
		return false
	}
	x.Stages = append(x.Stages, st)
	return true
}

// ringing tries out what the call is like when the leg answers.
func (x *explanation) ringing(driver string, c Ring) Ringing {
	r := Ringing{Target: c.Target, Calling: c.Calling, Offer: c.Media.Security, Treatment: c.Media.Treatment}
	if x.answers--; x.answers < 0 {
		return r
	}
	e := x.e.Clone()
	e.teller = nil
	l := e.legs[c.Leg]
	if l == nil {
		return r
	}
	d := Desc{Ref: 2, Kind: KindAnswer, Dir: SendRecv, Security: offers(orDefault(c.Media.Security, l.policy.security()))}
	if c.Media.Kind == KindNone {
		d.Kind = KindOffer
	}
	trust := x.trust(c.Target.Device, c.Target.Trunk)
	if c.Target.Applet != "" {
		trust = TrustLocal
	}
	out := e.Step(x.now, Input{Driver: driver, Signal: Answered{Leg: c.Leg, Desc: d, Trust: trust}})
	for _, o := range out.Commands {
		if rel, ok := o.Command.(Release); ok && (rel.Leg == x.leg || rel.Leg == c.Leg) {
			r.Fails = rel.Cause
		}
	}
	for _, v := range e.Calls() {
		if v.ID != x.call {
			continue
		}
		r.Protection = v.Protection
		for _, p := range v.Parties {
			for _, leg := range p.Legs {
				if leg.State == LegIsActive {
					r.Legs = append(r.Legs, leg)
				}
			}
		}
	}
	return r
}

// busy tries what happens when all phones that ring at first are busy.
func (x *explanation) busy() {
	was, now := x.e, x.Explanation.Stages
	x.e = was.Clone()
	over := x.over
	for _, l := range x.ringingLegs() {
		if l.device == "" {
			continue
		}
		out := x.e.Step(x.now, Input{Driver: l.driver, Signal: Released{Leg: l.id, Cause: UserBusy}})
		x.stage("if the phone that rings is busy", out)
	}
	if last := len(x.Stages) - 1; last >= len(now) && x.Stages[last].Ends == UserBusy && len(x.Stages[last].Rings) == 0 {
		x.Stages = now // as one would think
	}
	x.e, x.over = was, over
}

// ringingLegs are the legs of the call that ring.
func (x *explanation) ringingLegs() (out []*Leg) {
	c := x.e.calls[x.call]
	if c == nil {
		return nil
	}
	for _, p := range c.parties {
		for _, l := range p.legs {
			if l.ringing() {
				out = append(out, l)
			}
		}
	}
	return out
}

// on lets time pass until something happens to the call; false when nothing does any more.
func (x *explanation) on() bool {
	legs := x.ringingLegs()
	if x.over || len(legs) == 0 {
		return false
	}
	began, silent := x.now, true
	for _, l := range legs {
		silent = silent && l.trunk != "" && l.state == LegOffering
	}
	for range mostTicks {
		next := x.e.Deadline()
		if next.IsZero() {
			return false
		}
		x.now = next
		out := x.e.Step(x.now, Input{})
		when := fmt.Sprintf("after %s without an answer", x.now.Sub(began).Round(time.Millisecond))
		if silent {
			when = fmt.Sprintf("if the trunk fails, or is silent for %s", x.now.Sub(began).Round(time.Millisecond))
		}
		if x.stage(when, out) {
			return true
		}
	}
	return false
}

// What the engine's parts say. Each looks for the teller first: a call that is not explained pays for nothing.

// lookUp asks the dial plan, and tells what it says.
func (e *Engine) lookUp(q dialplan.Query) dialplan.Result {
	if e.teller == nil {
		return e.config.plan.Route(q)
	}
	res, steps := e.config.plan.Explain(q)
	for _, s := range steps {
		e.say("dial plan", s.Sentence)
	}
	return res
}

func (e *Engine) explainForward(line *Line, kind ForwardKind, f Forward, text string) {
	if e.teller != nil {
		e.say("forward", fmt.Sprintf("line %s forwards calls (%s) to %s: that %s", line.ID, kind, f.To, text))
	}
}

func (e *Engine) explainSilent(line *Line, a *Appearance, state *deviceState) {
	switch {
	case e.teller == nil:
	case a.Silent:
		e.say("line", fmt.Sprintf("%s shows line %s and does not ring", a.Device, line.ID))
	case !state.up:
		e.say("line", fmt.Sprintf("%s does not ring for line %s: it is not registered", a.Device, line.ID))
	default:
		e.say("line", fmt.Sprintf("%s does not ring for line %s: it is the one that calls", a.Device, line.ID))
	}
}

func (e *Engine) explainBusy(line *Line, a *Appearance, state *deviceState, carries int) {
	switch {
	case e.teller == nil:
	case carries >= orDefault(a.BusyTrigger, 2):
		e.say("line", fmt.Sprintf("%s is busy: line %s has %d calls there, and %d are the busy trigger", a.Device, line.ID, carries, orDefault(a.BusyTrigger, 2)))
	case state.dnd:
		e.say("line", fmt.Sprintf("%s counts as busy: its user wants no calls (do not disturb)", a.Device))
	}
}

func (e *Engine) explainMember(h *hunt, g *HuntGroup, id LineID, cause Cause) {
	if e.teller == nil {
		return
	}
	what := "rings"
	if cause != CauseNone {
		what = "is passed over: " + cause.String()
	}
	e.say("hunt", fmt.Sprintf("pilot %s, group %s (%s): member %s %s", h.pilot.Name, g.Name, g.Order, id, what))
}

func (e *Engine) explainSkipped(t *Trunk, m RouteMember) {
	switch {
	case e.teller == nil:
	case t == nil && m.Originator:
		e.say("trunk", "the call did not come in on a trunk, to which it could go back")
	case t == nil:
		e.say("trunk", fmt.Sprintf("trunk %s is not there any more", m.Trunk))
	case e.trunkOf(t.Name).down:
		e.say("trunk", fmt.Sprintf("trunk %s is passed over: it is out of service", t.Name))
	default:
		e.say("trunk", fmt.Sprintf("trunk %s is passed over: it has %d calls and may carry %d", t.Name, e.trunkOf(t.Name).legs, t.MaxCalls))
	}
}

func (e *Engine) explainTrunk(t *Trunk, before, called, callingBefore string, calling Identity) {
	text := fmt.Sprintf("trunk %s is next (in service, %d calls", t.Name, e.trunkOf(t.Name).legs)
	if e.trunkOf(t.Name).down {
		text = fmt.Sprintf("trunk %s is next (out of service, %d calls", t.Name, e.trunkOf(t.Name).legs)
	}
	if t.MaxCalls > 0 {
		text += fmt.Sprintf(" of %d", t.MaxCalls)
	}
	e.say("trunk", text+")")
	if before != called {
		e.say("trunk", fmt.Sprintf("called number %q becomes %q for the trunk", before, called))
	}
	if callingBefore != calling.Number {
		e.say("trunk", fmt.Sprintf("calling number %q becomes %q for the trunk", callingBefore, calling.Number))
	}
}

func (e *Engine) explainDiversions(o *offering) {
	for i := range o.outside {
		if a, b := o.redirecting[i].From.Number, o.outside[i].From.Number; a != b {
			e.say("trunk", fmt.Sprintf("number %q, which has sent the call on, becomes %q for the trunk", a, b))
		}
	}
}

func (e *Engine) explainUnsuited(caller *Party, l *Leg, cause Cause) {
	from := caller.wire()
	if e.teller == nil || from == nil {
		return
	}
	have, _ := offered(from)
	e.teller.unsuited = append(e.teller.unsuited, l.end())
	e.say("media", fmt.Sprintf("%s is not rung: %s. %s has %s, %s takes %s, and the policy for mixed calls is %s", l.end(), cause, from.end(), have, l.end(),
		l.policy.security(), e.config.site.Policy.Mixed))
}

// end names what is at the other end of a leg.
func (l *Leg) end() string { return l.device + l.trunk + l.applet }
