package call

import (
	"cmp"
	"slices"
	"time"
)

// A Call is a conversation or the attempt at one. The Engine owns it.
type Call struct {
	id       CallID
	globalID string
	named    *Named    // what an application calls it and says of it; nil for all others
	upstream *Upstream // the call at another node that it is a part of
	created  time.Time
	answered time.Time
	parties  []*Party     // in the order in which they joined
	left     []*PartyView // those that have left, as they were; maxLeft of them
	flight   flight
	tries    int    // failed attempts at an offer of our own in a row
	retry    *timer // until an offer of ours that failed is made again; nil until one was
	duration timer
	silent   *timer // runs while nothing is heard of any of its legs; nil until that was
	mix      []Edge
	view     *View // nil when the call has changed since it was made
	ended    bool
	// emergency: an emergency number was called, see feature_emergency.go.
	emergency bool

	mixed      bool    // its legs hear each other through the mixer
	focus      bool    // it is a conference, not a pair that is mixed by policy
	conferred  bool    // it has been a conference
	controller PartyID // who made it one
	room       *room   // the meet-me conference it is
	mixNames   *[3]string
	delivery   *delivery // what a Deliver has begun, nil for nothing
	protection Protection
	weakness   weakness // what protection says, without the sentence
}

// A Party is one line's part in a call: a line with its devices, or one call on a trunk or to an applet. The Call owns it.
type Party struct {
	id       PartyID
	call     *Call
	line     LineID
	trunk    string
	identity Identity
	called   string        // what was dialled to reach it
	dialled  string        // what it dialled
	came     []Redirection // how the call came to it, once it has answered: before that see offering
	held     bool          // its user has put everybody else on hold
	far      bool          // it is behind a tie, and of no line or trunk of this site: not one of us
	legs     []*Leg
	offering *offering // how it is being reached; nil for a party that came in, and once it has answered
	errand   *errand   // for what an application has had it rung; nil for everybody else
	stay     *stay     // why it may be alone in its call, nil for everybody else
	guard    *guard    // where it goes when it would be alone, nil for everybody else
	view     *PartyView
}

// lastLeg is the leg that the party has had last, nil for none.
func (p *Party) lastLeg() *Leg {
	if len(p.legs) == 0 {
		return nil
	}
	return p.legs[len(p.legs)-1]
}

// An errand is for what an application has a party's phone rung.
type errand struct {
	dial    string  // MakeCall: what to dial when the device has answered
	then    Request // what to do instead of dialling
	purpose Purpose
}

// dial is what the party is to dial when its device has answered, empty when it has or never was to.
func (p *Party) dial() string {
	if p.errand == nil {
		return ""
	}
	return p.errand.dial
}

// purpose is for what an application has had the party rung.
func (p *Party) purpose() Purpose {
	if p.errand == nil {
		return PurposeNone
	}
	return p.errand.purpose
}

// A Leg is one device's part in a party. The Party owns it. There are many, so what is small stands together, and what few have is in rare.
type Leg struct {
	id       LegID
	party    *Party
	driver   string
	device   string
	trunk    string
	applet   string
	tie      *tie // what makes it a tie to another node; nil for all others
	policy   MediaPolicy
	state    LegState
	incoming bool
	cause    Cause
	oa       oaState
	alerted  bool // the leg was told that the far end rings
	security Security
	trust    Trust
	proof    Proof
	troubled bool     // observers were told of trouble, and not yet that it is over
	shown    Lock     // the lock state its phone was told
	can      Security // what its far end has shown to have, where its policy takes either
	anchored bool
	quiet    bool // asked not to ring aloud
	auto     bool // asked to answer by itself

	desc     Desc    // the last description the far end sent
	told     Media   // the last description we sent
	hears    feed    // what told lets the far end hear
	gaveUp   *feed   // a feed the far end refused for good
	coming   feed    // what our open offer of a source lets the far end hear
	crossed  *Desc   // what the far end offered (or its wish for an offer) while our own was on its way to the driver; nil: nothing
	bridged  bridged // tries to carry digits to another leg
	retry    *retry  // of a source that was refused; nil until one was
	early    LegID   // the leg whose early answer went to this one
	proofWhy string
	silence  *timer   // runs while a leg that has just been answered may be silent
	replaces *Leg     // the leg whose place this one takes once it is answered
	why      string   // a sentence for its Release
	quality  *Quality // nil: not measured
	history  history
	rare     *rare
}

// rare is what plain calls have nothing of. The Leg owns it.
type rare struct {
	consults    LegID        // the leg that an application had held for this one
	redirecting *Redirection // the last diversion on the way to the leg
	joined      []CallRef    // the calls its party was in before
	digits      []SendDigit  // that wait until its media stands, in their order
	parameters  string       // that came with its Setup
}

// seldom is what a leg has that few have, to be changed.
func (l *Leg) seldom() *rare {
	if l.rare == nil {
		l.rare = &rare{}
	}
	return l.rare
}

// few is what a leg has that few have, to be read.
func (l *Leg) few() rare {
	if l.rare == nil {
		return rare{}
	}
	return *l.rare
}

// A retry is when a source of ours is offered to a leg again after a collision.
type retry struct {
	timer
	tries int // failed attempts in a row
}

func (r *retry) running() bool { return r != nil && r.timer.running() }

// onWire says whether a driver has the leg: commands may be sent to it.
func (l *Leg) onWire() bool { return l.state > LegNew && l.state < LegIsPassive }

func (l *Leg) active() bool { return l.state == LegIsActive }

// ringing says whether the leg was sent out and not answered yet.
func (l *Leg) ringing() bool { return l.state == LegOffering || l.state == LegIsRinging }

// wire is the leg by which the party can be spoken to: active, or waiting for our answer. Nil if there is none.
func (p *Party) wire() *Leg {
	for _, l := range p.legs {
		if l.state == LegIsActive || l.state == LegWaiting {
			return l
		}
	}
	return nil
}

// activeLeg is the party's active leg, nil if there is none.
func (p *Party) activeLeg() *Leg {
	for _, l := range p.legs {
		if l.active() {
			return l
		}
	}
	return nil
}

// alive says whether a leg of the party is on the wire.
func (p *Party) alive() bool {
	for _, l := range p.legs {
		if l.onWire() {
			return true
		}
	}
	return false
}

func (p *Party) ringing() bool {
	for _, l := range p.legs {
		if l.ringing() {
			return true
		}
	}
	return false
}

// talkers are the active legs of all parties but one; guests are nobody's other end.
func (c *Call) talkers(but *Party) []*Leg {
	var out []*Leg
	for _, p := range c.parties {
		if p == but || p.guest() {
			continue
		}
		if l := p.activeLeg(); l != nil {
			out = append(out, l)
		}
	}
	return out
}

// alone says whether nobody is left to talk to: at most one party is alive, and it waits for nobody (see stay).
func (c *Call) alone() bool {
	if c.room != nil {
		return !slices.ContainsFunc(c.parties, (*Party).alive)
	}
	alive := 0
	for _, p := range c.parties {
		if p.alive() && !p.comes() && !p.guest() {
			alive++
		}
		if p.dial() != "" {
			return !p.alive()
		}
		if (p.stay != nil || p.guard != nil && p.guard.timer.running()) && p.alive() {
			return false
		}
	}
	return alive <= 1
}

// comes says whether a party is about to come into its call: to join it, or to take the place of somebody who is there. It does not keep the
// call alive.
func (p *Party) comes() bool {
	if p.offering != nil {
		return p.offering.joins
	}
	w := p.wire()
	return w != nil && w.replaces != nil && w.replaces.onWire() && w.replaces.party.call == p.call
}

// changed forgets the cached pictures of the party and its call.
func (p *Party) changed() {
	p.view = nil
	p.call.view = nil
}

// picture is the call as it is now.
func (c *Call) picture() *View {
	if c.view != nil {
		return c.view
	}
	// One piece of memory for the usual size: an event costs one allocation here.
	block := &struct {
		View
		few [2]*PartyView
	}{View: View{ID: c.id, GlobalID: c.globalID, Named: c.named, Created: c.created, Answered: c.answered, Mix: c.mix, Protection: c.protection,
		Emergency: c.emergency, Upstream: c.upstream, Ended: c.ended}}
	v := &block.View
	if c.room != nil {
		v.Room = c.room.spot
	}
	if len(c.parties) > 0 {
		v.Parties = block.few[:0:len(block.few)]
	}
	for _, p := range c.parties {
		v.Parties = append(v.Parties, p.picture())
	}
	if c.ended {
		slices.SortFunc(c.left, func(a, b *PartyView) int { return cmp.Compare(a.ID, b.ID) })
		v.Left = c.left
	}
	c.view = v
	return v
}

func (p *Party) picture() *PartyView {
	if p.view != nil {
		return p.view
	}
	block := &struct {
		PartyView
		one [1]LegView
	}{PartyView: PartyView{ID: p.id, Line: p.line, Trunk: p.trunk, Identity: p.identity, Called: p.called, Dialled: p.dialled, Redirections: p.came, Held: p.held, Purpose: p.purpose()}}
	v := &block.PartyView
	if p.offering != nil {
		v.Redirections = p.offering.redirecting
	}
	if p.stay != nil && p.stay.park != nil {
		at := p.stay.park.slot
		v.Parked = &Spot{at.park, at.number}
		if k := p.stay.park; k.device != "" {
			v.Parker = &Parker{k.device, k.line}
		}
	}
	if v.Legs = block.one[:0]; len(p.legs) > len(block.one) {
		v.Legs = make([]LegView, 0, len(p.legs))
	}
	for _, l := range p.legs {
		v.Legs = append(v.Legs, l.view())
	}
	p.view = v
	return v
}

func (l *Leg) view() LegView {
	return LegView{ID: l.id, State: l.state, Incoming: l.incoming, Device: l.device, Trunk: l.trunk, Applet: l.applet, Node: l.node(), Far: l.farEnd(), Consults: l.few().consults,
		Security: l.security, Anchored: l.anchored, Trust: l.trust, Proof: l.proof, Lock: l.lock(), Quality: l.quality}
}
