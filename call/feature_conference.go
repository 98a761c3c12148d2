package call

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/locktone/locktone/dialplan"
)

// conference joins calls into one in which more than two talk. Nobody is asked to do the mixing: as soon as a third party is in a call,
// the settling feeds every leg from the mixer (SourceMix), each with its own keys, and takes the mixer away again when two are left. What
// is left to this feature is who may be brought together, and when a conference is over.
type conference struct{ abstain }

// A room is a meet-me conference: a call that people dial into. It lasts as long as somebody is in it.
type room struct {
	key    string
	number string // what was dialled
	meet   *MeetMe
	spot   *Spot // for pictures
}

// A ConferenceEnd says whose leaving ends a conference.
type ConferenceEnd uint8

// The choices; the zero is the safe one: nobody outside talks to somebody else outside at this site's cost.
const (
	EndWithLastInternal ConferenceEnd = iota // when only trunks are left
	EndWithNobody                            // when at most one party is left
	EndWithController                        // when who made the conference leaves, and when only trunks are left
)

var conferenceEndNames = [...]string{"last-internal", "nobody", "controller"}

func (k ConferenceEnd) String() string { return enumName(conferenceEndNames[:], int(k)) }

// MarshalText writes the name.
func (k ConferenceEnd) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *ConferenceEnd) UnmarshalText(b []byte) error {
	n, err := enumValue("end of conferences", conferenceEndNames[:], b)
	*k = ConferenceEnd(n)
	return err
}

func isMix(source string) bool {
	return len(source) > len(SourceMix) && source[len(SourceMix)] == ':' && strings.HasPrefix(source, SourceMix)
}

// mixName is the source of a leg that is mixed.
func (c *Call) mixName(warn bool) string {
	c.nameMix()
	if warn {
		return c.mixNames[1]
	}
	return c.mixNames[0]
}

// nameMix makes the names of the call's mix, once.
func (c *Call) nameMix() {
	if c.mixNames == nil {
		name := SourceMix + ":" + c.id.String()
		c.mixNames = &[3]string{name, name + ":warn", name + ":listen"}
	}
}

// listenName is the source of a leg that hears the mix and is not heard.
func (c *Call) listenName() string {
	c.nameMix()
	return c.mixNames[2]
}

// mixFor is what a leg of a mixed call hears: everybody else, and a warning tone where it is protected, somebody else is not, and policy
// wants it told.
func (e *Engine) mixFor(l *Leg) feed {
	c, warn := l.party.call, false
	if l.party.listens() {
		return feed{kind: feedSource, source: c.listenName()}
	}
	if e.config.site.Policy.Mixed == MixedWarn && !l.plain() {
		for _, p := range c.parties {
			if o := p.wire(); o != nil && o != l && o.plain() && !p.listens() {
				warn = true
			}
		}
	}
	return feed{kind: feedSource, source: c.mixName(warn)}
}

// warned is the offer to a leg that is going to be mixed with the caller because only one of them has SRTP.
func (e *Engine) warned(c *Call, to *Leg) Media {
	s := to.takes()
	return Media{Kind: KindOffer, Treatment: Source, Source: c.mixName(s == SRTP), Dir: SendRecv, Security: s}
}

// noteConference sees whether the call is mixed now: three or more are in it, or two that policy lets meet only in the mixer or that a guest
// hears, or it is a meet-me conference with company. Who only listens makes no conference of it.
func (e *Engine) noteConference(c *Call) {
	var few [2]*Leg
	n, listen, talk := 0, false, false
	for _, p := range c.parties {
		l := p.wire()
		if l == nil || l.replaces != nil || p.stay != nil {
			continue
		}
		if p.guest() {
			listen, talk = listen || p.listens(), talk || !p.listens()
			continue
		}
		l.noteCan()
		if n < len(few) {
			few[n] = l
		}
		n++
	}
	three := n > 2 || c.room != nil && n == 2
	focus := three || n == 2 && talk
	c.mixed = focus || n == 2 && (listen || e.config.site.Policy.Mixed == MixedWarn && converts(few[0].takes(), few[1].takes()))
	if focus == c.focus {
		return
	}
	c.focus = focus
	c.conferred = c.conferred || three
	kind := ConferenceEnded
	if focus {
		kind = ConferenceStarted
	}
	e.emit(kind, c, nil, nil, CauseNone)
	if c.room != nil {
		return // everybody knows where they are
	}
	for _, p := range c.parties {
		if l := p.activeLeg(); l != nil && l.replaces == nil {
			e.tell(l, Identify{Leg: l.id, Connected: e.connected(l)})
		}
	}
}

// conferenceIdentity is who a leg in a conference is told it talks to.
func (c *Call) conferenceIdentity() Identity {
	if c.room == nil {
		return Identity{Display: "Conference"}
	}
	return Identity{Number: c.room.number, Display: orDefault(c.room.meet.Display, "Conference")}
}

// ends says whether a conference ends because a party has left it.
func (e *Engine) ends(c *Call, gone *Party) bool {
	if !c.conferred || gone.guest() {
		return false
	}
	end := e.config.site.Policy.ConferenceEnds
	if end == EndWithController && gone.id == c.controller {
		return true
	}
	return end != EndWithNobody && !gone.outside() && !slices.ContainsFunc(c.parties, func(p *Party) bool { return !p.outside() && p.alive() && !p.guest() })
}

func (conference) request(e *Engine, r Request, reply *Reply) bool {
	q, ok := r.(Conference)
	if !ok {
		return false
	}
	l := e.legs[q.Leg]
	var with []*Leg
	for _, id := range q.With {
		with = append(with, e.legs[id])
	}
	if l == nil || !l.active() || l.party.stay != nil || len(with) == 0 || slices.ContainsFunc(with, func(o *Leg) bool { return !sameUser(l, o) }) {
		reply.Cause, reply.Why = NoSuchCall, "a conference needs an active leg, and others of the same device or line in other calls"
		return true
	}
	reply.Call, reply.Leg = l.party.call.id, l.id
	if reply.Cause, reply.Why = e.mayConfer(l.party.call, l, with); reply.Cause == CauseNone {
		e.confer(l.party.call, l, with)
	}
	return true
}

// sameUser says whether o is another active call of the user of l.
func sameUser(l, o *Leg) bool {
	return o != nil && o.active() && o.party.call != l.party.call && o.party.stay == nil && !o.party.guest() &&
		(o.device != "" && o.device == l.device || !o.party.line.IsZero() && o.party.line == l.party.line)
}

// conferenceCode joins the calls that the device has: the leg that dialled is its leg in the one that stays, which is the oldest.
func conferenceCode(e *Engine, l *Leg, _ string) (Done, Cause) {
	var with []*Leg
	for _, o := range e.device(l.device).legs {
		if sameUser(l, o) && len(o.party.call.talkers(o.party)) > 0 {
			with = append(with, o)
		}
	}
	slices.SortFunc(with, func(a, b *Leg) int { return cmp.Compare(a.party.call.id, b.party.call.id) })
	others := 0
	for _, o := range with {
		others += len(o.party.call.talkers(o.party))
	}
	if others < 2 {
		return Done{Why: "there is nothing to join: hold a call, call or answer somebody else, hold that too, and dial the code"}, FacilityRejected
	}
	home := with[0].party.call
	if cause, why := e.mayConfer(home, l, with); cause != CauseNone {
		return Done{Why: why}, cause
	}
	for _, o := range with {
		e.explainFeature("conference", "the call with %s is joined", e.explainTalkers(o))
	}
	e.explainFeature("conference", "the caller is in a conference with %d others", others)
	old := l.party.call
	e.move(l.party, home)
	e.hangUp(old, NormalClearing)
	e.confer(home, l, with)
	return Done{Taken: true}, CauseNone
}

// mayConfer says whether the calls of the legs may be joined in home, with keep as their user's leg, and if not, why. Nothing has been
// changed when they may not.
func (e *Engine) mayConfer(home *Call, keep *Leg, with []*Leg) (Cause, string) {
	legs := []*Leg{keep}
	for i, o := range with {
		c := o.party.call
		if c.meets() || home.meets() {
			return FacilityRejected, "a meet-me conference is not joined with other calls: the others may dial its number"
		}
		if slices.ContainsFunc(with[:i], func(b *Leg) bool { return b.party.call == c }) {
			return FacilityRejected, "two of the legs are in one call"
		}
		legs = append(legs, c.talkers(o.party)...)
	}
	if keep.party.call == home {
		legs = append(legs, home.talkers(keep.party)...)
	}
	if most := e.config.site.Policy.maxParties(); len(legs) > most {
		return ResourceUnavailable, "the conference would have " + strconv.Itoa(len(legs)) + " parties, and the most is " + strconv.Itoa(most)
	}
	for i, a := range legs {
		for _, b := range legs[:i] {
			if oneCall(a, b) {
				return FacilityRejected, circle
			}
			if cause := e.suits(a, b); cause != CauseNone {
				return cause, mismatch(a, b)
			}
		}
	}
	return CauseNone, ""
}

// confer brings the far ends of the legs into home, where keep is their user's leg; the legs are released.
func (e *Engine) confer(home *Call, keep *Leg, with []*Leg) {
	for _, o := range with {
		if c := o.party.call; c != home {
			ev := e.emit(Joined, home, keep.party, keep, CauseNone)
			ev.Other, ev.OtherLeg = c.id, o.id
		}
	}
	for _, o := range with {
		c := o.party.call
		if c != home {
			for _, far := range c.talkers(o.party) {
				e.move(far.party, home)
			}
		}
		e.dropParty(o.party, NormalClearing)
		if c != home {
			e.hangUp(c, NormalClearing)
		}
	}
	e.setHeld(keep, false)
	if home.controller == 0 {
		home.controller = keep.party.id
	}
}

// enterRoom brings a caller into the meet-me conference it has dialled: here, or at the node that keeps it.
func (e *Engine) enterRoom(d dialling, res dialplan.Result) Cause {
	m := e.config.meets[res.Pattern.To]
	key := roomKey(m, res.Called)
	node := e.roomOwner(key)
	if x := e.afarSpot(ThingRoom, Spot{m.Name, res.Called}); x != nil {
		node = x.Node // it is open
	}
	if e.rooms[key] == nil && node != e.config.site.Node {
		e.explainFeature("meet-me", "conference %s (%s) is kept at node %s, which is asked to let the caller in", res.Called, m.Name, node)
		d.calling = d.caller.identity
		called := Identity{Number: res.Called, Display: orDefault(m.Display, "Conference")}
		return e.askNode(d, node, called, Ask{Thing: ThingRoom, Range: m.Name})
	}
	return e.enter(d, m, res.Called)
}

// roomKey is the key of a meet-me conference in the engine's books.
func roomKey(m *MeetMe, number string) string { return m.Name + "/" + number }

// enter brings a caller into a meet-me conference that is here; the first one opens it.
func (e *Engine) enter(d dialling, m *MeetMe, number string) Cause {
	p, key := d.caller, roomKey(m, number)
	l := p.wire()
	c := e.rooms[key]
	if cause, why := e.mayEnter(l, m, c, number); cause != CauseNone {
		if d.transferor != nil {
			return e.refused(d.transferor, cause, why)
		}
		return e.refused(l, cause, why)
	}
	if c == nil {
		e.explainFeature("meet-me", "nobody is in conference %s (%s): the caller opens it", number, m.Name)
	} else {
		e.explainFeature("meet-me", "the caller enters conference %s (%s), with %d in it", number, m.Name, len(c.parties))
	}
	old, by := p.call, d.transferor
	if c == nil && len(old.parties) > 1 {
		c = e.newCall("", wish{})
	} else if c == nil {
		c = old
	}
	if c.room == nil {
		c.room = &room{key: key, number: number, meet: m, spot: &Spot{m.Name, number}}
		e.rooms[key], c.view = c, nil
	}
	if c == old {
		return CauseNone
	}
	if by != nil && by.onWire() {
		e.transferred(c, by, old, nil)
	}
	e.move(p, c)
	if by != nil && by.onWire() {
		e.tell(by, TransferResult{Leg: by.id, Status: 200, Final: true})
	}
	e.hangUp(old, NormalClearing)
	if l.active() {
		e.tell(l, Identify{Leg: l.id, Connected: c.conferenceIdentity()})
	}
	return CauseNone
}

// mayEnter says whether a leg may enter a meet-me conference, and if not, why.
func (e *Engine) mayEnter(l *Leg, m *MeetMe, c *Call, number string) (Cause, string) {
	if l == nil {
		return CallRejected, ""
	}
	if can := l.potential(); can < m.Least {
		return BearerNotAuthorized, "conference " + number + " is for " + m.Least.String() + " calls only: " + l.couldBe(can)
	}
	if c == nil {
		return CauseNone, ""
	}
	for _, p := range c.parties {
		if o := p.wire(); o != nil && oneCall(l, o) {
			return FacilityRejected, circle
		}
	}
	if most := orDefault(m.Most, e.config.site.Policy.maxParties()); len(c.parties) >= most {
		return ResourceUnavailable, "conference " + number + " is full: it has " + strconv.Itoa(most) + " parties"
	}
	return e.mayMeet(l, c)
}

// mayMerge says whether those who talk in a call that is about to end may go on in another one, and if not, why.
func (e *Engine) mayMerge(home, gone *Call, moving, staying []*Leg) (Cause, string) {
	if gone.room != nil {
		return FacilityRejected, "a meet-me conference is not joined with other calls: the others may dial its number"
	}
	if most := e.config.site.Policy.maxParties(); len(moving)+len(staying) > most {
		return ResourceUnavailable, "the conference would have " + strconv.Itoa(len(moving)+len(staying)) + " parties, and the most is " + strconv.Itoa(most)
	}
	for _, a := range moving {
		if home.room != nil {
			if cause, why := e.mayEnter(a, home.room.meet, home, home.room.number); cause != CauseNone {
				return cause, why
			}
		}
		for _, b := range staying {
			if cause := e.suits(a, b); cause != CauseNone {
				return cause, mismatch(a, b)
			}
		}
	}
	return CauseNone, ""
}

func mismatch(a, b *Leg) string {
	return a.name() + " and " + b.name() + " cannot be in one call: one must have SRTP, the other has none, and this site refuses mixed calls"
}

// mayMeet says whether a leg may be mixed with those in a call, and if not, why.
func (e *Engine) mayMeet(l *Leg, c *Call) (Cause, string) {
	for _, p := range c.parties {
		if o := p.wire(); o != nil && o != l && e.suits(l, o) != CauseNone {
			return SecurityMismatch, mismatch(l, o)
		}
	}
	return CauseNone, ""
}

// guardRoom sends a leg whose media has turned out, or has become, weaker than a meet-me conference allows out of it; it says whether
// there was one.
func (e *Engine) guardRoom(c *Call) bool {
	if c.room == nil || c.room.meet.Least == LockUnknown {
		return false
	}
	for _, p := range c.parties {
		l := p.activeLeg()
		if l == nil || l.lock() == LockUnknown || l.lock() >= c.room.meet.Least {
			continue
		}
		l.why = "conference " + c.room.number + " is for " + c.room.meet.Least.String() + " calls only: " + l.lockWhy()
		e.leave(p, BearerNotAuthorized)
		return true
	}
	return false
}

// mixEarly lets a caller hear the early media of a leg it can only meet in the mixer.
func (e *Engine) mixEarly(from, l *Leg) {
	security, cause := offered(from)
	if cause != CauseNone {
		e.tell(from, Progress{Leg: from.id})
		return
	}
	if security == SRTPOrRTP {
		security = SRTP
	}
	l.hears = feed{kind: feedSource, source: l.told.Source}
	l.protect(l.desc.Security, false)
	from.protect(security, false)
	w := feed{kind: feedSource, source: from.party.call.mixName(!from.plain() && l.plain())}
	from.early, from.hears = l.id, w
	from.told = Media{Kind: KindAnswer, Treatment: Source, Ref: from.desc.Ref, Source: w.source, Dir: SendRecv, Security: security}
	e.tell(from, Progress{from.id, from.told})
}
