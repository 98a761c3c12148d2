package call

import (
	"strings"
	"time"
)

// A LegRecord is everything a call record says of one leg: the event LegDropped carries it, once for every leg there ever was, when the
// leg is over for good. Nothing about a leg that is over stays in the engine, so that a conference people join and leave all day
// loses none of them.
type LegRecord struct {
	Call     CallID  `json:"call"` // the call in which it ended
	GlobalID string  `json:"global_id,omitempty"`
	Party    PartyID `json:"party"`
	Leg      LegID   `json:"leg"`
	Line     LineID  `json:"line,omitzero"`
	Device   string  `json:"device,omitempty"`
	Trunk    string  `json:"trunk,omitempty"`
	Applet   string  `json:"applet,omitempty"`
	Incoming bool    `json:"incoming,omitempty"`
	Features Mark    `json:"features,omitempty"`

	// Calling is the number shown to who was called, Called the number reached, Dialled the number before any translation, Connected
	// the number the leg was told last that it talks to.
	Calling   string `json:"calling,omitempty"`
	Called    string `json:"called,omitempty"`
	Dialled   string `json:"dialled,omitempty"`
	Connected string `json:"connected,omitempty"`
	// Redirecting is the last diversion on the way to the leg.
	Redirecting Redirection `json:"redirecting,omitzero"`
	// Joined are the calls its party was in before, the oldest first, at most maxJoined.
	Joined []CallRef `json:"joined,omitempty"`

	Setup    time.Time `json:"setup"`
	Alerted  time.Time `json:"alerted,omitzero"`  // zero: it never rang
	Answered time.Time `json:"answered,omitzero"` // zero: it was never active
	End      time.Time `json:"end"`
	Outcome  Outcome   `json:"outcome"`
	Cause    Cause     `json:"cause,omitempty"`
	By       Releaser  `json:"by,omitempty"`

	Security Security `json:"security,omitempty"` // what was negotiated last
	Path     Path     `json:"path,omitempty"`
	Trust    Trust    `json:"trust,omitempty"`
	Proof    Proof    `json:"proof,omitempty"`
	// Lock is the weakest the leg's protection was while it was active, LockUnknown when nothing was settled; Why is what was missing.
	Lock    Lock     `json:"lock,omitempty"`
	Why     string   `json:"why,omitempty"`
	Quality *Quality `json:"quality,omitempty"` // nil: nobody has measured
}

// A CallRef names a call for good: by its number here and its global id.
type CallRef struct {
	ID       CallID `json:"id"`
	GlobalID string `json:"global_id,omitempty"`
}

// maxJoined bounds the calls a party is remembered to have been in.
const maxJoined = 8

// An Outcome says what became of a leg.
type Outcome uint8

// The zero: it was never answered, for the reason the cause gives.
const (
	OutcomeFailed    Outcome = iota
	OutcomeAnswered          // it was active
	OutcomeCancelled         // whoever called gave up first
	OutcomeElsewhere         // another device took the call
)

var outcomeNames = [...]string{"failed", "answered", "cancelled", "elsewhere"}

func (o Outcome) String() string { return enumName(outcomeNames[:], int(o)) }

// MarshalText writes the name.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name.
func (o *Outcome) UnmarshalText(b []byte) error {
	n, err := enumValue("outcome", outcomeNames[:], b)
	*o = Outcome(n)
	return err
}

// A Releaser says who ended a leg.
type Releaser uint8

// The zero: a rule of ours, a timer, or what a feature did with the leg.
const (
	ReleasedBySystem      Releaser = iota
	ReleasedByLeg                  // its own far end: hung up, refused, gave up
	ReleasedByOther                // another leg of the call ended, and so did this one
	ReleasedByApplication          // a request
	ReleasedByDriver               // the connection to its far end, or whoever keeps it, was lost
)

var releaserNames = [...]string{"system", "leg", "other", "application", "driver"}

func (r Releaser) String() string { return enumName(releaserNames[:], int(r)) }

// MarshalText writes the name.
func (r Releaser) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name.
func (r *Releaser) UnmarshalText(b []byte) error {
	n, err := enumValue("releaser", releaserNames[:], b)
	*r = Releaser(n)
	return err
}

// A Path says how a leg's media went, the most this node had to do with it over the leg's life.
type Path uint8

// The zero: there was no media.
const (
	PathNone     Path = iota
	PathSource        // a source of ours only: music, announcements, applets
	PathDirect        // between the endpoints
	PathAnchored      // over a relay of ours
	PathMixed         // over a mixer of ours
)

var pathNames = [...]string{"", "source", "direct", "anchored", "mixed"}

func (p Path) String() string { return enumName(pathNames[:], int(p)) }

// MarshalText writes the name.
func (p Path) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name.
func (p *Path) UnmarshalText(b []byte) error {
	n, err := enumValue("media path", pathNames[:], b)
	*p = Path(n)
	return err
}

// A Mark is a feature a leg took part in; a leg has a set of them.
type Mark uint16

// The marks, in the order in which a record lists them.
const (
	MarkHold Mark = 1 << iota
	MarkForward
	MarkTransfer
	MarkConference
	MarkPark
	MarkPickup
	MarkBarge
	MarkEmergency
	MarkHunt // a member of a hunt group was asked; no event tells that apart
	MarkDeliver
	MarkListen
	MarkJoin
)

var markNames = [...]string{"hold", "forward", "transfer", "conference", "park", "pickup", "barge", "emergency", "hunt", "deliver", "listen", "join"}

// Names lists the features of the set, in the order of the constants.
func (m Mark) Names() []string {
	var out []string
	for i, name := range markNames {
		if m&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// String is the names, comma separated.
func (m Mark) String() string { return strings.Join(m.Names(), ",") }

// MarshalText writes the names.
func (m Mark) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (m *Mark) UnmarshalText(b []byte) error {
	*m = 0
	for name := range strings.SplitSeq(string(b), ",") {
		if name == "" {
			continue
		}
		n, err := enumValue("feature", markNames[:], []byte(name))
		if err != nil {
			return err
		}
		*m |= 1 << n
	}
	return nil
}

// MarkOf is the feature an event is the sign of, zero for none.
func MarkOf(k EventKind) Mark {
	switch k {
	case PartyHeld:
		return MarkHold
	case Forwarded:
		return MarkForward
	case Transferred:
		return MarkTransfer
	case ConferenceStarted:
		return MarkConference
	case Parked, Retrieved:
		return MarkPark
	case PickedUp:
		return MarkPickup
	case Barged:
		return MarkBarge
	case EmergencyCallMade:
		return MarkEmergency
	case Delivered:
		return MarkDeliver
	case Monitored:
		return MarkListen
	case Attended:
		return MarkJoin
	}
	return 0
}

// mark notes a feature with the legs it is about: the one leg, those of the party, or those of the whole call, as a transfer, an
// emergency and a delivery are.
func (m Mark) mark(c *Call, p *Party, l *Leg) {
	whole := m == MarkTransfer || m == MarkEmergency || m == MarkDeliver
	switch {
	case m == 0:
	case l != nil && !whole:
		l.history.marks |= m
	case p != nil && !whole:
		for _, l := range p.legs {
			l.history.marks |= m
		}
	default:
		for _, p := range c.parties {
			for _, l := range p.legs {
				l.history.marks |= m
			}
		}
	}
}

// history is what a leg's record needs and nothing else does. The Leg owns it.
type history struct {
	setup                    time.Time
	alerted, answered, ended lapse // since setup
	calling, called, dialled string
	connected                string
	cause                    Cause
	by                       Releaser
	security                 Security // what was agreed last
	path                     Path
	marks                    Mark
	lock                     Lock
	trust                    Trust // with negotiated and proof, what lock stands on
	negotiated               Security
	proof                    Proof
	weakest                  *evidence // the same where it is more than these three
}

// A lapse is the time from a leg's beginning to something that happened to it, plus one nanosecond: zero until it has happened. It
// takes a third of the room of a time.Time, and there are many legs.
type lapse time.Duration

// at is when it happened.
func (d lapse) at(begin time.Time) time.Time {
	if d == 0 {
		return time.Time{}
	}
	return begin.Add(time.Duration(d) - 1)
}

// A trigger is who or what made a Step end legs.
type trigger struct {
	by  Releaser
	leg LegID // whose far end it was, for ReleasedByLeg and ReleasedByDriver
}

// lapse is how old a leg is now.
//
// It is by the wall, since a replay has no other clock, unless somebody has set the wall clock meanwhile: then the monotonic one tells
// how long it was, so that no record has a call of an hour that lasted a minute.
func (e *Engine) lapse(l *Leg) lapse {
	setup := l.history.setup
	wall, real := e.now.Round(0).Sub(setup.Round(0)), e.now.Sub(setup)
	if off := wall - real; off.Abs() < clockSet {
		return lapse(max(0, wall) + 1)
	}
	return lapse(max(0, real) + 1)
}

// clockSet is by how much the wall clock must move against the monotonic one to have been set: NTP's slewing stays far below in a call.
const clockSet = time.Second

// markOfRedirection is the feature that sends a call elsewhere for a reason.
func markOfRedirection(r RedirectReason) Mark {
	switch r {
	case RedirectUnknown:
		return 0
	case RedirectTransferred:
		return MarkTransfer
	}
	return MarkForward
}

// begin notes when and for whom a leg came to be.
func (e *Engine) begin(l *Leg) {
	h, p := &l.history, l.party
	h.setup = e.now
	h.calling, h.called = p.identity.Number, p.called
	if o := p.offering; o != nil {
		h.calling, h.dialled = o.calling.Number, o.called
		if o.hunt != nil {
			h.marks |= MarkHunt
		}
		if n := len(o.redirecting); n > 0 {
			l.seldom().redirecting = &o.redirecting[n-1]
			h.marks |= markOfRedirection(o.redirecting[n-1].Reason)
		}
	}
}

// noted keeps what a command tells a leg and its record wants to know.
func (l *Leg) noted(c Command) {
	switch c := c.(type) {
	case Ring:
		l.history.calling, l.history.called = c.Calling.Number, orDefault(c.Target.Called, l.history.called)
	case Answer:
		l.history.connected = c.Connected.Number
	case Identify:
		l.history.connected = c.Connected.Number
	}
}

// took notes the way the leg's media goes now.
func (l *Leg) took(anchored bool) {
	path := PathNone
	switch {
	case l.hears.kind == feedPeer && anchored:
		path = PathAnchored
	case l.hears.kind == feedPeer:
		path = PathDirect
	case l.hears.kind == feedSource && isMix(l.hears.source):
		path = PathMixed
	case l.hears.kind == feedSource && l.hears.source != SourceSilence:
		path = PathSource
	}
	l.history.path = max(l.history.path, path)
}

// evidence is what a lock state stands on.
type evidence struct {
	trust    Trust
	security Security
	proof    Proof
	proofWhy string
	tie      *tie // as it was
}

func (l *Leg) evidence() evidence { return evidence{l.trust, l.security, l.proof, l.proofWhy, l.tie} }

func (l *Leg) assume(x evidence) {
	l.trust, l.security, l.proof, l.proofWhy, l.tie = x.trust, x.security, x.proof, x.proofWhy, x.tie
}

// locked notes how well an active leg is protected now, and which way its media goes; its record says the weakest, and why. A description that says nothing about
// media takes nothing back: what was agreed before it counts. The sentence waits until somebody reads it.
func (l *Leg) locked() {
	h, now := &l.history, l.evidence()
	l.security = orDefault(l.security, h.security)
	if k := l.lock(); k != LockUnknown && (h.lock == LockUnknown || k < h.lock) {
		h.lock, h.trust, h.negotiated, h.proof, h.weakest = k, l.trust, l.security, l.proof, nil
		if l.tie != nil || l.proofWhy != "" {
			x := l.evidence()
			x.tie = l.tie.clone()
			h.weakest = &x
		}
	}
	l.assume(now)
	l.took(l.anchored)
}

// lockedWhy is why the leg was no better protected than its record says.
func (l *Leg) lockedWhy() string {
	if l.history.lock == LockUnknown {
		return ""
	}
	now := l.evidence()
	defer l.assume(now)
	if h := &l.history; h.weakest != nil {
		l.assume(*h.weakest)
	} else {
		l.assume(evidence{trust: h.trust, security: h.negotiated, proof: h.proof})
	}
	return l.lockWhy()
}

// joinedFrom notes that the legs of a party were in another call before.
func (p *Party) joinedFrom(c *Call) {
	for _, l := range p.legs {
		if r := l.seldom(); len(r.joined) < maxJoined {
			r.joined = append(r.joined, CallRef{c.id, c.globalID})
		}
	}
}

// over notes why a leg has left the wire, and by whom; the first time counts.
func (e *Engine) over(l *Leg, cause Cause) {
	h := &l.history
	if h.ended != 0 {
		return
	}
	h.ended, h.cause, h.by = e.lapse(l), cause, e.trigger.by
	if e.trigger.leg != 0 && e.trigger.leg != l.id {
		h.by = ReleasedByOther
	}
}

// outcome is what became of the leg.
func (h *history) outcome(incoming bool) Outcome {
	switch {
	case h.answered != 0:
		return OutcomeAnswered
	case h.cause == PickedUpElsewhere:
		return OutcomeElsewhere
	case h.cause == CallerCancelled || incoming && h.by == ReleasedByLeg:
		return OutcomeCancelled
	}
	return OutcomeFailed
}

// record makes the record of a leg that is over; was is how it was before.
func (l *Leg) record(was LegView) *LegRecord {
	h, p := &l.history, l.party
	setup := h.setup.Round(0) // a record is of the wall
	r := &LegRecord{Call: p.call.id, GlobalID: p.call.globalID, Party: p.id, Leg: l.id, Line: p.line, Device: l.device, Trunk: l.trunk, Applet: l.applet,
		Incoming: l.incoming, Features: h.marks, Calling: h.calling, Called: h.called, Dialled: h.dialled, Connected: h.connected, Joined: l.few().joined,
		Setup: setup, Alerted: h.alerted.at(setup), Answered: h.answered.at(setup), End: h.ended.at(setup), Outcome: h.outcome(l.incoming), Cause: h.cause, By: h.by,
		Security: orDefault(was.Security, h.security), Path: h.path, Trust: was.Trust, Proof: was.Proof, Lock: h.lock, Why: l.lockedWhy(), Quality: was.Quality}
	if by := l.few().redirecting; by != nil {
		r.Redirecting = *by
	}
	return r
}

// measuring keeps what a driver has measured of a leg's media for the leg's picture and its record.
type measuring struct{ abstain }

func (measuring) signal(_ *Engine, l *Leg, s Signal) bool {
	m, ok := s.(Measured)
	if ok {
		q := m.Quality // a copy: only what was measured goes to the heap
		l.quality = &q
		l.party.changed()
	}
	return ok
}
