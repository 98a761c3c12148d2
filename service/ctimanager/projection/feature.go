package projection

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// before takes from an event what its picture does not say: why somebody leaves, why somebody comes, that calls are being joined.
func (m *Machine) before(e *engine, ev *call.Event) why {
	x := e.extra(ev.Call)
	w := why{cause: causeOf(ev.Cause)}
	if g := e.merging; g != nil && !g.told && ev.Kind != call.Joined {
		m.begin(e, g)
	}
	switch ev.Kind {
	case call.Transferred:
		switch {
		case ev.Other != 0:
			x.reason = ctiqbe.CallReasonConsultTransfer
		case replaced(ev):
			x.reason = ctiqbe.CallReasonReplace
		default:
			x.reason = ctiqbe.CallReasonBlindTransfer
		}
		if ev.Other != 0 {
			m.announce(e, ev)
		}
		e.leaves(ev.View, ev.Leg, x.reason)
		e.leaves(e.calls[ev.Other], ev.OtherLeg, x.reason)
		e.leaves(e.calls[ev.Other], ev.Leg, x.reason)
		e.leaves(ev.View, ev.OtherLeg, x.reason)
	case call.Joined:
		x.reason = ctiqbe.CallReasonConference
		m.announce(e, ev)
		if x.controller == 0 {
			x.controller = ev.Leg
		}
		e.leaves(e.calls[ev.Other], ev.OtherLeg, x.reason)
	case call.Redirected, call.Forwarded:
		x.reason = reasonOfDiversion(ev.Reason)
		for _, a := range e.members[ev.Call] {
			if a.party == ev.Party {
				a.leaving = x.reason
			}
		}
	case call.PartyDropped:
		delete(e.going, ev.Party)
	case call.Parked:
		x.reason = ctiqbe.CallReasonPark
		for _, a := range e.members[ev.Call] {
			if a.party != ev.Party {
				a.leaving = x.reason
			}
		}
	case call.Retrieved:
		x.reason = ctiqbe.CallReasonUnpark
	case call.PartyMoved:
		if e.merging == nil {
			x.reason = reasonOfMove(x, ev)
		}
	case call.ConferenceStarted:
		x.conference, x.reason = true, ctiqbe.CallReasonConference
	case call.ConferenceEnded:
		x.conference = false
	case call.PartyHeld, call.PartyResumed, call.LegArrived, call.DigitHeard:
		x.reason = 0
	}
	if g := e.merging; g != nil && g.told && !g.departed {
		g.departed = true
		m.depart(e, g)
	}
	w.reason = x.reason
	return w
}

// leaves notes that the party of a leg is about to go for a reason: nothing can keep it any more, so that its observers are told at once.
func (e *engine) leaves(v *call.View, leg call.LegID, reason ctiqbe.CallReason) {
	if v == nil || leg == 0 {
		return
	}
	for _, p := range v.Parties {
		for i := range p.Legs {
			if p.Legs[i].ID != leg {
				continue
			}
			e.going[p.ID] = true
			for _, a := range e.members[v.ID] {
				if a.party == p.ID {
					a.leaving = reason
				}
			}
		}
	}
}

// replaced says whether who leaves a call does so because another phone of its line has taken it over.
func replaced(ev *call.Event) bool {
	var line call.LineID
	for _, p := range ev.View.Parties {
		if p.ID == ev.Party {
			line = p.Line
		}
	}
	for _, p := range ev.View.Parties {
		if p.ID != ev.Party && !line.IsZero() && p.Line == line {
			return true
		}
	}
	return false
}

// reasonOfMove is why a party has come into a call, where nothing has announced it: it has picked a call up that rings, come into a
// conference, or joined or taken over the call of another phone of its line.
func reasonOfMove(x *extra, ev *call.Event) ctiqbe.CallReason {
	switch v := ev.View; {
	case x.reason == ctiqbe.CallReasonUnpark:
		return x.reason
	case v.Room != nil:
		return ctiqbe.CallReasonMeetMeConference
	case v.Answered.IsZero():
		return ctiqbe.CallReasonCallPickup
	}
	for _, p := range ev.View.Parties {
		if p.ID != ev.Party {
			continue
		}
		for _, q := range ev.View.Parties {
			if q != p && !p.Line.IsZero() && q.Line == p.Line && q.Held {
				return ctiqbe.CallReasonReplace
			}
			if q != p && !p.Line.IsZero() && q.Line == p.Line {
				return ctiqbe.CallReasonBarge
			}
		}
	}
	return ctiqbe.CallReasonTransferredCall
}

// reasonOfDiversion is a diversion in the words of CTI. A line whose phones are not registered counts as one that does not answer.
func reasonOfDiversion(r call.RedirectReason) ctiqbe.CallReason {
	switch r {
	case call.RedirectAlways:
		return ctiqbe.CallReasonForwardAll
	case call.RedirectBusy:
		return ctiqbe.CallReasonForwardBusy
	case call.RedirectNoAnswer, call.RedirectUnavailable:
		return ctiqbe.CallReasonForwardNoAnswer
	case call.RedirectDeflected:
		return ctiqbe.CallReasonRedirect
	case call.RedirectTransferred:
		return ctiqbe.CallReasonBlindTransfer // transferred to a number; clients wait for the reason by which a number is called
	}
	return ctiqbe.CallReasonDirectCall
}

// after tells what is no difference of pictures.
func (m *Machine) after(e *engine, ev *call.Event) {
	switch ev.Kind {
	case call.DigitHeard:
		if a := e.legs[seat{leg: ev.Leg}]; a != nil {
			m.tell(a, Event{Kind: DigitHeard, Digit: ev.Digit})
		}
	case call.Barged:
		m.barged(e, ev)
	}
	m.park(e, ev.View)
	if e.merging == nil {
		m.membership(e, ev.View, nil, true)
	}
}

// redirections are who a call was for first, and who sent it on last, as the called party knows it.
func (m *Machine) redirections(p *call.PartyView, called Party) (original, last Party) {
	n := len(p.Redirections)
	if n == 0 {
		return called, Party{}
	}
	who, line := p.Original()
	original = m.numbered(who, line)
	return original, m.numbered(p.Redirections[n-1].From, p.Redirections[n-1].Line)
}

// originOf is where a call comes from, for a leg.
func originOf(e *engine, v *call.View, x *wanted) ctiqbe.CallOrigin {
	switch {
	case x.calls && x.party.Purpose == call.PurposeConference:
		return ctiqbe.CallOriginOutboundConference
	case x.calls && x.leg != nil && x.leg.Consults != 0:
		return ctiqbe.CallOriginOutboundTransfer
	case x.calls:
		return ctiqbe.CallOriginOutbound
	}
	if far := e.other(v, x.party); far != nil && far.Trunk != "" {
		return ctiqbe.CallOriginInboundExternal
	}
	return ctiqbe.CallOriginInboundInternal
}

// reasonOf is why a leg is in its call from the beginning.
func reasonOf(v *call.View, x *wanted) ctiqbe.CallReason {
	switch x.party.Purpose {
	case call.PurposeRetrieve:
		return ctiqbe.CallReasonUnpark
	case call.PurposePickup:
		return ctiqbe.CallReasonCallPickup
	case call.PurposeBarge:
		return ctiqbe.CallReasonBarge
	case call.PurposeTakeOver:
		return ctiqbe.CallReasonReplace
	case call.PurposeConference:
		return ctiqbe.CallReasonConference
	}
	if x.calls {
		if x.leg != nil && x.leg.Consults != 0 {
			return ctiqbe.CallReasonConsultTransfer
		}
		return ctiqbe.CallReasonDirectCall
	}
	n := len(x.party.Redirections)
	if n == 0 {
		return ctiqbe.CallReasonDirectCall
	}
	last := x.party.Redirections[n-1]
	for _, q := range v.Parties {
		if q.Parked != nil && q.Parked.Number == last.From.Number {
			return ctiqbe.CallReasonParkReminder
		}
	}
	return reasonOfDiversion(last.Reason)
}

// changeReason is why something of a leg changes: what happens in the call, or how it has come to who is called now.
func changeReason(a *appearance, w why, called *call.PartyView) ctiqbe.CallReason {
	if w.reason != 0 {
		return w.reason
	}
	if called != nil && len(called.Redirections) > 0 {
		return reasonOfDiversion(called.Redirections[len(called.Redirections)-1].Reason)
	}
	return a.reason
}

// barged tells that somebody who shares the line has come into a call.
func (m *Machine) barged(e *engine, ev *call.Event) {
	by := e.legs[seat{leg: ev.Leg}]
	if by == nil {
		return
	}
	m.merges++
	x := Merge{ID: m.merges, Controller: by.self, Surviving: by.gch, Final: by.handle}
	g := &merging{}
	for _, l := range m.body(e, ev.View) {
		g.watch(l.engine.of(l.view.ID))
	}
	for _, a := range g.spots {
		m.tellLine(a, Event{Kind: BargeStarted, Merge: &x, Reason: ctiqbe.CallReasonBarge, GCH: by.gch})
	}
	for _, a := range g.spots {
		m.tellLine(a, Event{Kind: BargeEnded, Merge: &x, Success: true, Reason: ctiqbe.CallReasonBarge, GCH: by.gch})
	}
}
