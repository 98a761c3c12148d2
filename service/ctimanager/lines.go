package ctimanager

import (
	"fmt"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/rights"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// An openLine is a line of a device that the client has opened.
type openLine struct {
	handle     lineHandle
	device     *openDevice
	line       call.LineID
	filter     ctiqbe.LineEventFilter
	autoAccept ctiqbe.AutoAcceptStatus
	// told says that the calls it had were told: events from before are not for the client.
	told bool
	// calls are the legs the client knows of, by handle.
	calls map[callHandle]*openCall
}

// An openCall is a leg that the client knows of.
type openCall struct {
	Node   string // whose engine it is on
	Engine string
	Call   call.CallID
	Leg    call.LegID
	State  ctiqbe.CallState
	Event  projection.Event // the last one
	// conference are those who can be dropped from the conference that the call is, controller is who made it one.
	conference []callHandle
	controller callHandle
}

// handleLineOpen answers LINE_OPEN_REQUEST. The calls the line has follow, each as an existing call.
func (p *provider) handleLineOpen(m *ctiqbe.LineOpenRequest) {
	p.remark(trace.Info, fmt.Sprintf("[CTI-APP] [CTIHandler::processIncomingMessage] CTI LineOpenRequest ( seq#=%d device name=%s line=%s partition=%s)", m.SequenceNumber,
		m.DeviceName, m.LineName, m.Partition))
	o := p.names[m.DeviceName]
	if o == nil {
		p.fail(m.SequenceNumber, ctiqbe.ErrDeviceNotOpen, "open the device first")
		return
	}
	a, no := p.appearance(o, m.LineName, m.Partition)
	if no != nil {
		p.fail(m.SequenceNumber, no.result, no.why)
		return
	}
	id := call.LineID{Number: a.Line.Number, Partition: a.Line.Partition}
	if slices.ContainsFunc(o.lines, func(l *openLine) bool { return l.line == id }) {
		p.fail(m.SequenceNumber, ctiqbe.ErrLineAlreadyOpened, "the line is open")
		return
	}
	l := &openLine{handle: lineHandle{o.handle.CallManagerID, p.number()}, device: o, line: id, filter: m.Filter, autoAccept: m.AutoAcceptStatus, calls: map[callHandle]*openCall{}}
	p.lines[l.handle] = l
	o.lines = append(o.lines, l)
	p.send(&ctiqbe.LineOpenResponse{SequenceNumber: m.SequenceNumber, LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, AutoAcceptStatus: m.AutoAcceptStatus})
	if o.in {
		p.lineInService(l)
	} else {
		p.send(&ctiqbe.LineOutOfServiceEvent{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, Reason: ctiqbe.LineOutOfServiceReasonDeviceUnregistered})
	}
	p.do(snapshot{o.name, l.line})
}

// appearance is a line of an open device by its number, or why the client may not have it. An empty partition finds the number in any.
func (p *provider) appearance(o *openDevice, number, partition string) (*directory.Appearance, *refusal) {
	d, ok := p.world.site().Device(o.name)
	if !ok {
		return nil, &refusal{result: ctiqbe.ErrInvalidDeviceName, why: fmt.Sprintf("there is no device %s", o.name)}
	}
	for _, a := range d.Appearances {
		if a.Line.Number != number || a.Line.Partition != partition && partition != "" {
			continue
		}
		f := facts(p.world.site(), p.user, p.who.secure)
		f.Device, f.Line = o.name, a.Line.Key()
		return a, unmet(f, rights.Line)
	}
	return nil, &refusal{result: ctiqbe.ErrUndefinedLine, why: fmt.Sprintf("device %s has no line %s in partition %q", o.name, number, partition)}
}

func (p *provider) lineInService(l *openLine) {
	p.send(&ctiqbe.LineInServiceEvent{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID})
}

// existing tells the calls of a line that was just opened, and that these are all. Later events go on from there.
func (p *provider) existing(e existing) {
	o := p.names[e.device]
	if o == nil {
		return
	}
	for _, l := range o.lines {
		if l.line != e.line || l.told {
			continue
		}
		for _, ev := range e.events {
			p.deliver(l, ev)
		}
		l.told = true
		// Clients wait for it whatever their filter says.
		p.send(&ctiqbe.LineExistingCallCompletedEvent{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID})
	}
}

// handleLineFilter answers LINE_CHANGE_EVENT_FILTER_REQUEST.
func (p *provider) handleLineFilter(m *ctiqbe.LineChangeEventFilterRequest) {
	l := p.line(m.LineCallManagerID, m.LineID)
	if l == nil {
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidLineHandle, "the line is not open")
		return
	}
	l.filter = m.Filter
	p.send(&ctiqbe.LineChangeEventFilterResponse{SequenceNumber: m.SequenceNumber, LineCallManagerID: m.LineCallManagerID, LineID: m.LineID})
}

// handleLineClose answers LINE_CLOSE_REQUEST.
func (p *provider) handleLineClose(m *ctiqbe.LineCloseRequest) {
	l := p.line(m.LineCallManagerID, m.LineID)
	if l == nil {
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidLineHandle, "the line is not open")
		return
	}
	p.closeLine(l)
	p.send(&ctiqbe.LineCloseResponse{SequenceNumber: m.SequenceNumber, LineCallManagerID: m.LineCallManagerID, LineID: m.LineID})
}

func (p *provider) closeLine(l *openLine) {
	delete(p.lines, l.handle)
	l.device.lines = slices.DeleteFunc(l.device.lines, func(x *openLine) bool { return x == l })
}

// event hands an event of an open device to the lines it is about.
func (p *provider) event(e projection.Event) {
	o := p.names[e.Device]
	if o == nil {
		return
	}
	if e.Line.IsZero() {
		p.deliverDevice(o, e)
		return
	}
	for _, l := range o.lines {
		if l.line == e.Line && l.told {
			p.deliver(l, e)
		}
	}
}

// call is a leg the client knows of on an open line.
func (l *openLine) call(callManagerID, callLegID uint32) *openCall {
	return l.calls[callHandle{callManagerID, callLegID}]
}

// handleAutoAccept answers LINE_AUTOACCEPT_CHANGE_REQUEST.
func (p *provider) handleAutoAccept(m *ctiqbe.LineAutoAcceptChangeRequest) {
	l := p.line(m.LineCallManagerID, m.LineID)
	if l == nil {
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidLineHandle, "the line is not open")
		return
	}
	l.autoAccept = m.AutoAcceptStatus
	p.send(&ctiqbe.LineAutoAcceptChangeResponse{SequenceNumber: m.SequenceNumber, LineCallManagerID: m.LineCallManagerID, LineID: m.LineID, AutoAcceptStatus: m.AutoAcceptStatus})
}
