package ctimanager

import (
	"fmt"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// States in which requests are allowed, as the client was last told.
var (
	offeredStates = []ctiqbe.CallState{ctiqbe.CallStateOffering, ctiqbe.CallStateAccepted}
	talkingStates = []ctiqbe.CallState{ctiqbe.CallStateConnected, ctiqbe.CallStateOnHold}
	movableStates = []ctiqbe.CallState{ctiqbe.CallStateOffering, ctiqbe.CallStateAccepted, ctiqbe.CallStateConnected}
)

// handleAllocate gives a client the name of a call that it is going to make (11): callManagerID says which CTI manager made it, callID counts.
func (p *provider) handleAllocate(m *ctiqbe.ProviderAllocateGlobalCallHandleRequest) {
	if m.CallType != 0 {
		p.fail(m.SequenceNumber, ctiqbe.ErrFeatureNotAvailable, "persistent calls are not supported")
		return
	}
	if len(p.minted) >= maxMinted {
		p.fail(m.SequenceNumber, ctiqbe.ErrTemporaryFailure, fmt.Sprintf("%d global call handles were given and not used", maxMinted))
		return
	}
	tag := p.world.mint()
	p.minted[tag] = true
	p.send(&ctiqbe.ProviderAllocateGlobalCallHandleResponse{SequenceNumber: m.SequenceNumber, CallManagerID: uint32(tag >> 32), CallID: uint32(tag)})
}

// maxMinted bounds the global call handles that a client may have without using them.
const maxMinted = 4096

// tagOf is the name for a new call that a request carries: one that was given to this client and not used yet, or none. ok is false when
// the request was refused.
func (p *provider) tagOf(seq, callManagerID, callID uint32) (tag uint64, ok bool) {
	if callManagerID == 0 && callID == 0 {
		return 0, true
	}
	tag = uint64(callManagerID)<<32 | uint64(callID)
	unused, known := p.minted[tag]
	switch {
	case !known:
		p.fail(seq, ctiqbe.ErrUnknownGlobalCallHandle, fmt.Sprintf("global call handle %d|%d was not given to this application", callManagerID, callID))
		return 0, false
	case !unused:
		p.fail(seq, ctiqbe.ErrCallAlreadyExists, fmt.Sprintf("there is a call %d|%d already", callManagerID, callID))
		return 0, false
	}
	return tag, true
}

// claim notes that a request with a name is under way.
func (p *provider) claim(tag uint64) {
	if tag != 0 {
		p.minted[tag] = false
	}
}

// settle notes what has become of it: the name has its call, or may be used again.
func (p *provider) settle(tag uint64, made bool) {
	switch {
	case tag == 0:
	case made:
		delete(p.minted, tag)
	default:
		p.minted[tag] = true
	}
}

// callingFrom says whether the calling address of a request is the line's own; a number in its place needs a permission of its own.
func (p *provider) callingFrom(seq uint32, l *openLine, address string) bool {
	if address == "" || address == l.line.Number {
		return true
	}
	p.fail(seq, ctiqbe.ErrIllegalCallingParty, fmt.Sprintf("calls of line %s are made as %s, not as %s", l.line, l.line.Number, address))
	return false
}

// handleMakeCall makes a call from a line (43).
func (p *provider) handleMakeCall(m *ctiqbe.LineCallInitiateRequest) {
	l := p.openLineOf(m.SequenceNumber, m.LineCallManagerID, m.LineID)
	if l == nil || !p.callingFrom(m.SequenceNumber, l, m.CallingAddress) {
		return
	}
	if m.DestAddress == "" {
		p.fail(m.SequenceNumber, ctiqbe.ErrDestinationUnknown, "a phone is rung to make a call only when the number is known")
		return
	}
	tag, ok := p.tagOf(m.SequenceNumber, m.GlobalCallManagerID, m.GlobalCallID)
	if !ok {
		return
	}
	node, ok := p.nodeOf(m.SequenceNumber, l.device.name)
	if !ok {
		return
	}
	p.claim(tag)
	p.ask(made{seq: m.SequenceNumber, line: l.handle, tag: tag, node: node, what: opMake}, l.device.name, node,
		call.MakeCall{Device: l.device.name, Line: l.line, Called: m.DestAddress, Auto: true, Tag: tag, UserData: m.UserData})
}

// made is what is done when an engine has begun a call for a line: what 43, 80, 82 are answered with.
type made struct {
	seq  uint32
	line lineHandle
	tag  uint64
	node string
	what operation
	// consults says which of the two a consultation is for: what it is answered with.
	consults consultation
}

type consultation uint8

const (
	consultsNothing consultation = iota
	consultsForTransfer
	consultsForConference
)

func (x made) finish(p *provider, a asked) {
	done := p.refuseUnlessDone(x.seq, x.what, a)
	if p.settle(x.tag, done); !done {
		return
	}
	h := callHandle{p.world.site().nodes.of(x.node), legNumber(a.Reply.Leg)}
	l := p.lines[x.line]
	if l == nil { // closed meanwhile
		l = &openLine{}
	}
	switch x.consults {
	case consultsForTransfer:
		p.send(&ctiqbe.CallSetupTransferResponse{SequenceNumber: x.seq, ConsultCallManagerID: h.CallManagerID, ConsultCallID: h.CallLegID,
			ConsultLine: l.line.Number, ConsultLinePartition: l.line.Partition})
	case consultsForConference:
		p.send(&ctiqbe.CallSetupConferenceResponse{SequenceNumber: x.seq, ConsultCallManagerID: h.CallManagerID, ConsultCallID: h.CallLegID,
			ConsultLine: l.line.Number, ConsultLinePartition: l.line.Partition})
	default:
		p.send(&ctiqbe.LineCallInitiateResponse{SequenceNumber: x.seq, LineCallManagerID: x.line.CallManagerID, LineID: x.line.LineID,
			CallManagerID: h.CallManagerID, CallLegID: h.CallLegID})
	}
}

// legNumber is a leg as the protocol numbers it.
func legNumber(id call.LegID) uint32 { return uint32(id & legMask) }

// legMask is what the protocol has room for of the number of a leg.
const legMask = 0x7fffffff

// handleAnswer has a phone answer (52).
func (p *provider) handleAnswer(m *ctiqbe.CallAnswerRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t, offeredStates...)
	if c == nil {
		return
	}
	if o := c.line.device; o.registered && o.media == live.TerminalNoMedia {
		p.fail(m.SequenceNumber, ctiqbe.ErrOperationNotAllowed, fmt.Sprintf("%s is registered without media: its calls can be redirected, not answered", o.name))
		return
	}
	p.askAbout(c, t.then(opAnswer, &ctiqbe.CallAnswerResponse{}), call.AnswerCall{Leg: c.Leg})
}

// handleAccept has a call that was offered ring (50). One that rings by now, because the phone has said so meanwhile, is accepted.
func (p *provider) handleAccept(m *ctiqbe.CallAcceptRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t, offeredStates...)
	if c == nil {
		return
	}
	p.askAbout(c, t.then(opAnswer, &ctiqbe.CallAcceptResponse{}), call.AcceptCall{Leg: c.Leg})
}

// handleDisconnect ends a call at a line (66), or refuses one that rings.
func (p *provider) handleDisconnect(m *ctiqbe.CallDisconnectRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t)
	if c == nil {
		return
	}
	if c.Leg == 0 {
		p.fail(m.SequenceNumber, ctiqbe.ErrIllegalCallState, "the call is at another device that shares the line")
		return
	}
	drop := call.Drop{Leg: c.Leg}
	if c.in(offeredStates...) {
		drop.Cause = call.CallRejected
	}
	p.askAbout(c, t.then(opDrop, &ctiqbe.CallDisconnectResponse{}), drop)
}

// handleHold puts a call on hold (74).
func (p *provider) handleHold(m *ctiqbe.CallHoldRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t, ctiqbe.CallStateConnected)
	if c == nil {
		return
	}
	p.askAbout(c, t.then(opHold, &ctiqbe.CallHoldResponse{}), call.Hold{Leg: c.Leg})
}

// handleRetrieve takes a call back from hold (78): one of the device, or one that another device which shares the line holds.
func (p *provider) handleRetrieve(m *ctiqbe.CallRetrieveRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t, ctiqbe.CallStateOnHold, ctiqbe.CallStateRemoteInUse)
	if c == nil {
		return
	}
	then := t.then(opRetrieve, &ctiqbe.CallRetrieveResponse{})
	if c.State != ctiqbe.CallStateRemoteInUse {
		p.askAbout(c, then, call.Resume{Leg: c.Leg})
		return
	}
	if node, ok := p.nodeOf(m.SequenceNumber, c.line.device.name); ok {
		p.ask(then, c.line.device.name, node, call.TakeOver{Device: c.line.device.name, Line: c.line.line})
	}
}

// handleDigits sends digits in the place of a phone (68). They are on their way when the engine has taken them: the event that says so (106)
// follows the response.
func (p *provider) handleDigits(m *ctiqbe.CallPlayDTMFRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t)
	if c == nil {
		return
	}
	digits, ok := keypad(m.DTMFDigits)
	switch {
	case !c.in(ctiqbe.CallStateConnected):
		p.fail(m.SequenceNumber, ctiqbe.ErrDigitGenerationWrongCallState, fmt.Sprintf("call %v is in state %v: digits are sent when it is connected", c.handle, c.State))
	case !ok || digits == "":
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidDTMFDigits, "digits are the numbers 0 to 15: 0 to 9, A to D, * and #")
	default:
		p.askAbout(c, played{t}, call.SendDigits{Leg: c.Leg, Digits: digits})
	}
}

// keypad is the text of keys as the protocol numbers them.
func keypad(keys []ctiqbe.KeypadButton) (digits string, ok bool) {
	const names = "0123456789ABCD*#"
	var b strings.Builder
	for _, k := range keys {
		if int(k) >= len(names) {
			return "", false
		}
		b.WriteByte(names[k])
	}
	return b.String(), true
}

type played struct{ target }

func (x played) finish(p *provider, a asked) {
	if !p.refuseUnlessDone(x.Sequence, opDigits, a) {
		return
	}
	p.send(&ctiqbe.CallPlayDTMFResponse{SequenceNumber: x.Sequence})
	p.send(&ctiqbe.CallPlayDTMFCompleteEvent{LineCallManagerID: x.LineCallManagerID, LineID: x.LineID, CallCallManagerID: x.CallLegCallManagerID,
		CallLegID: x.CallLegID, SequenceNumber: x.Sequence})
}
