package ctimanager

import (
	"fmt"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// Calls that go elsewhere or come together: redirect, transfer, conference.

// handleRedirect sends a call to another number (76).
func (p *provider) handleRedirect(m *ctiqbe.CallRedirectRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t)
	if c == nil {
		return
	}
	r := call.Redirect{Leg: c.Leg, To: m.RedirectAddress, CallerSpace: m.CallingSearchSpace != ctiqbe.RedirectSearchSpaceAddress, Transfer: m.RedirectReason == ctiqbe.RedirectReasonBlindTransfer}
	switch {
	case !c.in(movableStates...):
		p.fail(m.SequenceNumber, ctiqbe.ErrRedirectCallIncompatibleState, fmt.Sprintf("call %v is in state %v: it cannot be redirected", c.handle, c.State))
		return
	case m.RedirectAddress == "":
		p.fail(m.SequenceNumber, ctiqbe.ErrRedirectCallUnknownDestination, "there is no number to redirect to")
		return
	case m.DeviceName != "":
		p.fail(m.SequenceNumber, ctiqbe.ErrRedirectCallInvalidDeviceName, "a call is redirected to a number, not to one device of it")
		return
	case m.ModifiedCallingPartyReason == ctiqbe.RedirectCallingModified && m.ModifiedCallingParty != "":
		if !p.rights.ModifyCalling {
			p.fail(m.SequenceNumber, ctiqbe.ErrRedirectUnauthorizedCommandUsage, "another calling number needs the group Standard CTI Allow Calling Number Modification")
			return
		}
		r.Calling = m.ModifiedCallingParty
	}
	switch {
	case m.CalledAddressOption == ctiqbe.RedirectCalledDestination:
		r.Original = call.OriginalReset
	case m.PreferredOriginalCalledParty != "" && (m.CalledAddressOption == ctiqbe.RedirectCalledPreferred || m.PreferredOriginalCalledParty != m.RedirectAddress):
		r.Original, r.Preferred = call.OriginalPreferred, m.PreferredOriginalCalledParty
	}
	p.askAbout(c, t.then(opRedirect, &ctiqbe.CallRedirectResponse{}), r)
}

// handleBlindTransfer sends the other party to a number (56).
func (p *provider) handleBlindTransfer(m *ctiqbe.CallBlindTransferRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t, talkingStates...)
	if c == nil {
		return
	}
	p.askAbout(c, t.then(opTransfer, &ctiqbe.CallBlindTransferResponse{}),
		call.Transfer{Leg: c.Leg, To: m.DestAddress})
}

// handleSetupTransfer calls somebody while the other party waits, so that it can be transferred (82).
func (p *provider) handleSetupTransfer(m *ctiqbe.CallSetupTransferRequest) {
	p.consult(target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID},
		m.NewCallManagerID, m.NewGlobalCallID, m.CallingAddress, m.DestAddress, m.UserData, consultsForTransfer)
}

// handleSetupConference calls somebody who is to come into the conference (80).
func (p *provider) handleSetupConference(m *ctiqbe.CallSetupConferenceRequest) {
	p.consult(target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID},
		m.NewCallManagerID, m.NewGlobalCallID, m.CallingAddress, m.DestAddress, m.UserData, consultsForConference)
}

func (p *provider) consult(t target, callManagerID, callID uint32, calling, dest string, data []byte, why consultation) {
	c := p.callOf(t)
	if c == nil || !p.callingFrom(t.Sequence, p.line(t.LineCallManagerID, t.LineID), calling) {
		return
	}
	switch {
	case !c.in(talkingStates...):
		p.fail(t.Sequence, ctiqbe.ErrPrimaryCallStateInvalid, fmt.Sprintf("call %v is in state %v: nobody can be consulted about it", c.handle, c.State))
		return
	case dest == "":
		p.fail(t.Sequence, ctiqbe.ErrDestinationUnknown, "a phone is rung to make a call only when the number is known")
		return
	}
	tag, ok := p.tagOf(t.Sequence, callManagerID, callID)
	if !ok {
		return
	}
	p.claim(tag)
	p.askAbout(c, made{seq: t.Sequence, line: lineHandle{t.LineCallManagerID, t.LineID}, tag: tag, node: c.Node, what: opConsult, consults: why},
		call.MakeCall{Device: c.line.device.name, Line: c.line.line, Called: dest, Auto: true, From: c.Leg, Confer: why == consultsForConference, Tag: tag, UserData: data})
}

// handleCompleteTransfer connects those of two calls (62): the call of the first handle is the one that stays.
func (p *provider) handleCompleteTransfer(m *ctiqbe.CallCompleteTransferRequest) {
	p.transfer(target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID},
		callHandle{m.ConsultCallManagerID, m.ConsultCallLegID}, &ctiqbe.CallCompleteTransferResponse{})
}

// handleDirectTransfer is the same of any two calls of a line (172).
func (p *provider) handleDirectTransfer(m *ctiqbe.CallDirectTransferRequest) {
	p.transfer(target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID},
		callHandle{m.OtherCallHandle.CallManagerID, m.OtherCallHandle.CallLegID}, &ctiqbe.CallDirectTransferResponse{})
}

func (p *provider) transfer(t target, with callHandle, response ctiqbe.Message) {
	c := p.callOf(t)
	if c == nil {
		return
	}
	o := p.sisterCall(t.Sequence, c, with)
	switch {
	case o == nil:
	case !c.in(talkingStates...) || !o.in(ctiqbe.CallStateConnected, ctiqbe.CallStateOnHold, ctiqbe.CallStateRingback):
		p.fail(t.Sequence, ctiqbe.ErrOperationNotAvailableInCurrentState, fmt.Sprintf("the calls are in states %v and %v: they cannot be transferred", c.State, o.State))
	default:
		p.askAbout(c, t.then(opTransfer, response), call.Transfer{Leg: c.Leg, With: o.Leg})
	}
}

// handleCompleteConference joins a consultation into the call (60).
func (p *provider) handleCompleteConference(m *ctiqbe.CallCompleteConferenceRequest) {
	p.conference(target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID},
		[]callHandle{{m.ConsultCallManagerID, m.ConsultCallLegID}}, &ctiqbe.CallCompleteConferenceResponse{})
}

// handleJoin joins any calls of a line into the first (174).
func (p *provider) handleJoin(m *ctiqbe.CallJoinRequest) {
	var with []callHandle
	for _, h := range m.OtherCalls {
		with = append(with, callHandle{h.CallManagerID, h.CallLegID})
	}
	p.conference(target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}, with,
		&ctiqbe.CallJoinResponse{})
}

func (p *provider) conference(t target, with []callHandle, response ctiqbe.Message) {
	c := p.callOf(t)
	if c == nil {
		return
	}
	if !c.in(talkingStates...) || len(with) == 0 {
		p.fail(t.Sequence, ctiqbe.ErrConferenceInactive, fmt.Sprintf("call %v is in state %v, with %d others: that makes no conference", c.handle, c.State, len(with)))
		return
	}
	q := call.Conference{Leg: c.Leg}
	for _, h := range with {
		o := p.sisterCall(t.Sequence, c, h)
		if o == nil {
			return
		}
		if !o.in(talkingStates...) {
			p.fail(t.Sequence, ctiqbe.ErrConferenceInvalidParticipant, fmt.Sprintf("call %v is in state %v: nobody there can come into a conference", o.handle, o.State))
			return
		}
		q.With = append(q.With, o.Leg)
	}
	p.askAbout(c, t.then(opConference, response), q)
}

// handleDropParty takes somebody out of a conference (252): whoever made it may drop others, everybody may leave.
func (p *provider) handleDropParty(m *ctiqbe.CallConferenceDropPartyRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t, talkingStates...)
	if c == nil {
		return
	}
	h := callHandle{m.DropPartyCallManagerID, m.DropPartyCallLegID}
	switch {
	case len(c.conference) == 0:
		p.fail(m.SequenceNumber, ctiqbe.ErrConferenceInactive, fmt.Sprintf("call %v is no conference", c.handle))
	case !slices.Contains(c.conference, h):
		p.fail(m.SequenceNumber, ctiqbe.ErrConferenceInvalidParticipant, fmt.Sprintf("nobody with handle %v is in the conference", h))
	case c.controller != c.handle && h != c.handle:
		p.fail(m.SequenceNumber, ctiqbe.ErrDropPartyFailed, "whoever has made a conference drops others from it")
	default: // all who are in a conference are legs of one engine, numbered alike
		leg := c.Leg&^call.LegID(legMask) | call.LegID(h.CallLegID)
		p.askAbout(c, t.then(opDropParty, &ctiqbe.CallConferenceDropPartyResponse{}), call.Drop{Leg: leg})
	}
}

// confer notes who is in the conference that a call is.
func (c *openCall) confer(f *projection.Conference) {
	c.controller, c.conference = callHandle{f.Controller.Handle.CallManager, f.Controller.Handle.Leg}, nil
	all := f.Others
	if f.Change != ctiqbe.ConferenceModifyStatusPartyRemoved {
		all = append([]projection.Participant{f.Changed}, all...)
	}
	for _, q := range append(all, f.Controller) {
		if h := (callHandle{q.Handle.CallManager, q.Handle.Leg}); h != (callHandle{}) && !slices.Contains(c.conference, h) {
			c.conference = append(c.conference, h)
		}
	}
	if len(all) < 2 && f.Change == ctiqbe.ConferenceModifyStatusPartyRemoved { // two are left
		c.conference = nil
	}
}
