package call

import (
	"time"

	"github.com/locktone/locktone/dialplan"
)

// codes are numbers that lead to a feature instead of to somebody (dial plan kind "feature"). A device that dials one is answered, hears a
// short confirmation tone, reads on its display what has happened, and is released; or it is refused with a sentence that says
// why. Some features go on with the call of whoever dialled (pickup: the call is now the one that rang elsewhere).
type codes struct{ abstain }

// A featureCode does what the code of a feature asks for; arg is what was dialled behind the code's dot. l waits for its answer
// (a call that came in) or is active (MakeCall). The cause is CauseNone when it was done.
type featureCode func(e *Engine, l *Leg, arg string) (Done, Cause)

// Done is what a feature says when it was dialled.
type Done struct {
	// Display is what the phone shows: "Parked at 7001".
	Display string
	// Why says in a sentence why the feature refused.
	Why string
	// Taken says that the leg goes on: the feature has connected it with somebody, or has routed it on.
	Taken bool
}

// codeOf is the code of a feature by its name in the dial plan; nil for one that has none (yet).
func codeOf(feature string) featureCode {
	switch feature {
	case FeaturePark:
		return parkCode
	case FeaturePickup:
		return func(e *Engine, l *Leg, arg string) (Done, Cause) { return e.pickup(l, Pickup{Ringing: arg}) }
	case FeatureGroupPickup:
		return groupPickupCode
	case FeatureTakeOver:
		return func(e *Engine, l *Leg, _ string) (Done, Cause) { return e.takeOver(l) }
	case FeatureConference:
		return conferenceCode
	case FeatureBarge:
		return bargeCode
	}
	return settingCode(feature)
}

// A stay is why a party may be alone in its call: it hears that a feature was done, or waits at a park number.
type stay struct {
	source string   // what it hears
	shows  Identity // who its display says it is connected with
	timer  timer
	park   *parking // it waits at a park number
}

// confirmationTime is how long whoever dialled a feature hears that it was done.
const confirmationTime = 1500 * time.Millisecond

// dialledCode obeys a feature code. Only a device may do that, for itself: neither trunks nor calls that were sent on.
func (e *Engine) dialledCode(d dialling, res dialplan.Result) Cause {
	l := d.caller.wire()
	switch {
	case d.transferor != nil && res.Pattern.To == FeaturePark:
		return e.parkTransferred(d, res.Rest)
	case d.transferor != nil:
		return e.refused(d.transferor, FacilityRejected, "a call cannot be transferred to the feature "+res.Pattern.To)
	case l == nil || l.device == "":
		return e.refused(l, CallRejected, "feature codes are for the phones of this site")
	case len(d.redirecting) > 0:
		return e.refused(l, CallRejected, "calls cannot be forwarded to a feature code")
	}
	code := codeOf(res.Pattern.To)
	if code == nil {
		return e.refused(l, ServiceNotImplemented, "this system does not know the feature "+res.Pattern.To)
	}
	done, cause := code(e, l, res.Rest)
	switch {
	case cause != CauseNone:
		return e.refused(l, cause, done.Why)
	case !done.Taken:
		e.confirm(l, Identity{Number: d.called, Display: done.Display})
	}
	return CauseNone
}

// refused notes why a leg is refused what it asked for.
func (e *Engine) refused(l *Leg, cause Cause, why string) Cause {
	if l != nil {
		l.why = why
	}
	if cause != CauseNone {
		e.say("feature", why)
	}
	return cause
}

// confirm answers a leg with the confirmation tone.
func (e *Engine) confirm(l *Leg, shows Identity) {
	p := l.party
	e.stayAlone(p, &stay{source: SourceConfirmation, shows: shows}, confirmationTime)
	if l.active() {
		e.tell(l, Identify{Leg: l.id, Connected: shows})
	}
}

// stayAlone lets a party be alone in its call for a time.
func (e *Engine) stayAlone(p *Party, s *stay, longest time.Duration) {
	e.endStay(p)
	p.stay = s
	s.timer = timer{kind: timerStay, call: p.call, party: p}
	e.start(&s.timer, longest)
	p.changed()
}

// endStay ends what let the party be alone, if anything did.
func (e *Engine) endStay(p *Party) {
	if p.stay == nil {
		return
	}
	e.stop(&p.stay.timer)
	if k := p.stay.park; k != nil {
		delete(e.slots, k.slot)
	}
	p.stay = nil
	p.changed()
}

func (codes) expired(e *Engine, t *timer) bool {
	if t.kind != timerStay {
		return false
	}
	e.leave(t.party, NormalClearing)
	return true
}
