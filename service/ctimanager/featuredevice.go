package ctimanager

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// What a device has and its user sets: do not disturb, hunt login, its state, how well its calls are protected.

// handleSetDND turns do not disturb on or off (242).
func (p *provider) handleSetDND(m *ctiqbe.DeviceDNDSetRequest) {
	o := p.openDeviceOf(m.SequenceNumber, m.CallManagerID, m.DeviceID)
	if o == nil {
		return
	}
	if node, ok := p.nodeOf(m.SequenceNumber, o.name); ok {
		p.ask(taken{m.SequenceNumber, opAny, &ctiqbe.DeviceDNDSetResponse{SequenceNumber: m.SequenceNumber, CallManagerID: m.CallManagerID,
			DeviceID: m.DeviceID}}, o.name, node, call.SetDoNotDisturb{Device: o.name, On: m.DNDStatus})
	}
}

// handleGetDNDOption says what do not disturb does at a device (247).
func (p *provider) handleGetDNDOption(m *ctiqbe.DeviceGetDNDOptionRequest) {
	o := p.openDeviceOf(m.SequenceNumber, m.CallManagerID, m.DeviceID)
	if o == nil {
		return
	}
	r := &ctiqbe.DeviceGetDNDOptionResponse{SequenceNumber: m.SequenceNumber, CallManagerID: m.CallManagerID, DeviceID: m.DeviceID}
	if d, ok := p.world.site().Device(o.name); ok {
		r.DNDOption = dndOption(d)
	}
	p.send(r)
}

// handleHuntLog has the lines of a device take part in hunting, or not (314).
func (p *provider) handleHuntLog(m *ctiqbe.DeviceUpdateHuntLogStatusRequest) {
	o := p.openDeviceOf(m.SequenceNumber, m.CallManagerID, m.DeviceID)
	if o == nil {
		return
	}
	if m.HuntLogStatus != ctiqbe.HuntLogStatusLoggedIn && m.HuntLogStatus != ctiqbe.HuntLogStatusLoggedOut {
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidParameter, fmt.Sprintf("a device is logged in to hunting or out of it, not %v", m.HuntLogStatus))
		return
	}
	if node, ok := p.nodeOf(m.SequenceNumber, o.name); ok {
		p.ask(taken{m.SequenceNumber, opAny, &ctiqbe.DeviceUpdateHuntLogStatusResponse{SequenceNumber: m.SequenceNumber, CallManagerID: m.CallManagerID,
			DeviceID: m.DeviceID}}, o.name, node, call.SetHuntLogin{Device: o.name, On: m.HuntLogStatus == ctiqbe.HuntLogStatusLoggedIn})
	}
}

// handleDeviceState says what a device is doing (210), as far as its open lines tell.
func (p *provider) handleDeviceState(m *ctiqbe.DeviceGetDeviceStateRequest) {
	if o := p.openDeviceOf(m.SequenceNumber, m.CallManagerID, m.DeviceID); o != nil {
		p.send(&ctiqbe.DeviceGetDeviceStateResponse{SequenceNumber: m.SequenceNumber, CallManagerID: m.CallManagerID, DeviceID: m.DeviceID, DeviceState: o.doing()})
	}
}

// doing is the state of a device: a call that talks, or is being made, counts more than one that rings, and that more than one on hold.
func (o *openDevice) doing() ctiqbe.DeviceState {
	state := ctiqbe.DeviceStateIdle
	if !o.in {
		return ctiqbe.DeviceStateUnknown
	}
	for _, l := range o.lines {
		for _, c := range l.calls {
			switch c.State {
			case ctiqbe.CallStateConnected, ctiqbe.CallStateDialTone, ctiqbe.CallStateDialing, ctiqbe.CallStateProceeding, ctiqbe.CallStateRingback, ctiqbe.CallStateBusy:
				return ctiqbe.DeviceStateActive
			case ctiqbe.CallStateOffering, ctiqbe.CallStateAccepted:
				state = ctiqbe.DeviceStateAlerting
			case ctiqbe.CallStateOnHold:
				if state == ctiqbe.DeviceStateIdle {
					state = ctiqbe.DeviceStateHeld
				}
			}
		}
	}
	return state
}

// handleSnapshot says how well the calls of a device are protected (217): for applications that come late, and get no keys.
func (p *provider) handleSnapshot(m *ctiqbe.DeviceGetSnapshotRequest) {
	o := p.openDeviceOf(m.SequenceNumber, m.CallManagerID, m.DeviceID)
	if o == nil {
		return
	}
	p.send(&ctiqbe.DeviceGetSnapshotResponse{SequenceNumber: m.SequenceNumber, CallManagerID: m.CallManagerID, DeviceID: m.DeviceID})
	ev := &ctiqbe.DeviceSnapshotEvent{DeviceCallManagerID: m.CallManagerID, DeviceID: m.DeviceID}
	for _, l := range o.lines {
		for _, h := range l.handles() {
			ev.SecurityInfo = append(ev.SecurityInfo, ctiqbe.DeviceSecurityInfo{CallCallManagerID: h.CallManagerID, CallLegID: h.CallLegID,
				SecurityIndicator: p.indicator(l.calls[h])})
		}
	}
	p.send(ev)
	p.send(&ctiqbe.DeviceSnapshotCompletedEvent{DeviceCallManagerID: m.CallManagerID, DeviceID: m.DeviceID})
}

// indicator says whether the media of a call is encrypted, and whether the client could have its keys.
func (p *provider) indicator(c *openCall) ctiqbe.SecurityIndicator {
	switch {
	case c.Event.Security != ctiqbe.CallSecurityStatusEncrypted:
		return ctiqbe.SecurityIndicatorNotEncrypted
	case !p.entitled():
		return ctiqbe.SecurityIndicatorEncryptUserNotAuthorized
	}
	return ctiqbe.SecurityIndicatorEncryptKeysUnavailable
}

// handles are those of the calls of a line, in the order of their numbers.
func (l *openLine) handles() []callHandle {
	out := make([]callHandle, 0, len(l.calls))
	for h := range l.calls {
		out = append(out, h)
	}
	slices.SortFunc(out, callHandle.compare)
	return out
}

func (h callHandle) compare(o callHandle) int {
	return cmp.Or(cmp.Compare(h.CallManagerID, o.CallManagerID), cmp.Compare(h.CallLegID, o.CallLegID))
}
