package ctimanager

import (
	"fmt"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// Call control: a request names a call by the handle of an open line and the handle of a leg. It is looked at here, by what this
// connection was told of the call, and then asked of the engine that has the leg. docs/cti-control.md lists all of them.

// A target is what a request about a call names.
type target struct {
	Sequence                        uint32
	LineCallManagerID, LineID       uint32
	CallLegCallManagerID, CallLegID uint32
}

// A namedCall is a call that a request has named, at its line.
type namedCall struct {
	*openCall
	line   *openLine
	handle callHandle
}

func (h callHandle) String() string { return fmt.Sprintf("%d|%d", h.CallManagerID, h.CallLegID) }

func (c *namedCall) in(states ...ctiqbe.CallState) bool { return slices.Contains(states, c.State) }

// openLineOf is the line that a request names, nil when it was refused because that line is not open.
func (p *provider) openLineOf(seq, callManagerID, lineID uint32) *openLine {
	l := p.line(callManagerID, lineID)
	if l == nil {
		p.fail(seq, ctiqbe.ErrInvalidLineHandle, fmt.Sprintf("line handle %d|%d is not open here", callManagerID, lineID))
	}
	return l
}

// openDeviceOf is the device that a request names, nil when it was refused because that device is not open.
func (p *provider) openDeviceOf(seq, callManagerID, deviceID uint32) *openDevice {
	o := p.device(callManagerID, deviceID)
	if o == nil {
		p.fail(seq, ctiqbe.ErrDeviceNotOpen, fmt.Sprintf("device handle %d|%d is not open here", callManagerID, deviceID))
	}
	return o
}

// callOf is the call that a request names, nil when it was refused: its line is not open, or the call is none of the line's, or it is in none
// of the states in which that can be asked for.
func (p *provider) callOf(t target, states ...ctiqbe.CallState) *namedCall {
	l := p.openLineOf(t.Sequence, t.LineCallManagerID, t.LineID)
	if l == nil {
		return nil
	}
	h := callHandle{t.CallLegCallManagerID, t.CallLegID}
	o := l.calls[h]
	if o == nil {
		p.fail(t.Sequence, ctiqbe.ErrCallHandleUnknownToLineControl, fmt.Sprintf("line %s of %s has no call %v", l.line, l.device.name, h))
		return nil
	}
	c := &namedCall{o, l, h}
	if len(states) > 0 && !c.in(states...) {
		p.fail(t.Sequence, ctiqbe.ErrIllegalCallState, fmt.Sprintf("call %v is in state %v: that can be asked for in %v", h, c.State, states))
		return nil
	}
	return c
}

// sisterCall is another call of the same device that a request names, nil when it was refused. It may be at another open line of the device
// (connected transfer and conference across lines).
func (p *provider) sisterCall(seq uint32, c *namedCall, h callHandle) *namedCall {
	if h == c.handle {
		p.fail(seq, ctiqbe.ErrInvalidParameter, "both handles name the same call")
		return nil
	}
	for _, l := range c.line.device.lines {
		o := l.calls[h]
		switch {
		case o == nil:
		case o.Node != c.Node:
			p.fail(seq, ctiqbe.ErrOperationNotAllowed, fmt.Sprintf("the calls are at different nodes, %s and %s", c.Node, o.Node))
			return nil
		default:
			return &namedCall{o, l, h}
		}
	}
	p.fail(seq, ctiqbe.ErrCallHandleUnknownToLineControl, fmt.Sprintf("device %s has no call %v", c.line.device.name, h))
	return nil
}

// nodeOf is the node where a device is registered; ok is false when the request was refused because it is nowhere.
func (p *provider) nodeOf(seq uint32, device string) (node string, ok bool) {
	at, ok := p.world.registration(device)
	if !ok {
		p.fail(seq, ctiqbe.ErrDeviceOutOfService, "device "+device+" is registered nowhere")
	}
	return at.Node, ok
}

// askAbout asks the engine that has a call.
func (p *provider) askAbout(c *namedCall, then pending, r call.Request) {
	p.ask(then, c.line.device.name, c.Node, r)
}

// refuseUnlessDone answers a request with what an engine said against it; done says that it said nothing against it.
func (p *provider) refuseUnlessDone(seq uint32, what operation, a asked) (done bool) {
	switch {
	case a.Err != nil:
		p.fail(seq, resultOfError(a.Err), a.Err.Error())
	case a.Reply.Cause != call.CauseNone:
		p.fail(seq, what.result(a.Reply.Cause), reasonText(a.Reply))
	default:
		return true
	}
	return false
}

// reasonText is the sentence beside an error value.
func reasonText(r call.Reply) string {
	if r.Why != "" {
		return r.Why
	}
	return r.Cause.String()
}

// taken answers a request when its engine has done it.
type taken struct {
	seq      uint32
	what     operation
	response ctiqbe.Message
}

func (x taken) finish(p *provider, a asked) {
	if p.refuseUnlessDone(x.seq, x.what, a) {
		p.send(x.response)
	}
}

// then is what is sent when the engine has done what a request wants: the response to it.
func (t target) then(what operation, response ctiqbe.Message) taken {
	ctiqbe.SetSequence(response, t.Sequence)
	return taken{t.Sequence, what, response}
}
