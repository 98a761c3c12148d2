package ctimanager

import (
	"fmt"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// handlePark leaves the other party of a call at a park number (141): a free one, or the one that is named.
func (p *provider) handlePark(m *ctiqbe.CallParkRequest) {
	t := target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID}
	c := p.callOf(t, talkingStates...)
	if c == nil {
		return
	}
	what := opPark
	switch {
	case m.CallParkType > 1:
		p.fail(m.SequenceNumber, ctiqbe.ErrUnsupportedCallParkType, fmt.Sprintf("there is no way of parking %d", m.CallParkType))
		return
	case m.ParkAtAddress != "":
		what = opParkAt
	}
	p.askAbout(c, parked{m.SequenceNumber, what}, call.Park{Leg: c.Leg, Slot: m.ParkAtAddress})
}

type parked struct {
	seq  uint32
	what operation
}

func (x parked) finish(p *provider, a asked) {
	if !p.refuseUnlessDone(x.seq, x.what, a) {
		return
	}
	partition, _ := p.world.site().parkPartition(a.Reply.Slot)
	p.send(&ctiqbe.CallParkResponse{SequenceNumber: x.seq, ParkedAt: a.Reply.Slot, ParkedAtPartition: partition})
}

// handleUnpark has a phone fetch who waits at a park number (143).
func (p *provider) handleUnpark(m *ctiqbe.LineCallUnparkRequest) {
	l := p.openLineOf(m.SequenceNumber, m.LineCallManagerID, m.LineID)
	if l == nil || !p.callingFrom(m.SequenceNumber, l, m.CallingAddress) {
		return
	}
	if m.ParkedAtAddress == "" {
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidParkDN, "there is no park number to fetch from")
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
	p.ask(fetched{m.SequenceNumber, l.handle, tag}, l.device.name, node,
		call.Retrieve{Device: l.device.name, Line: l.line, Slot: m.ParkedAtAddress, Tag: tag})
}

type fetched struct {
	seq  uint32
	line lineHandle
	tag  uint64
}

func (x fetched) finish(p *provider, a asked) {
	done := p.refuseUnlessDone(x.seq, opUnpark, a)
	if p.settle(x.tag, done); done {
		p.send(&ctiqbe.LineCallUnparkResponse{SequenceNumber: x.seq, LineCallManagerID: x.line.CallManagerID, LineID: x.line.LineID})
	}
}
