package ctimanager

import (
	"github.com/locktone/locktone/wire/ctiqbe"
)

// handleLineInfo says what is going on at a line (45).
func (p *provider) handleLineInfo(m *ctiqbe.LineGetInfoRequest) {
	l := p.openLineOf(m.SequenceNumber, m.LineCallManagerID, m.LineID)
	if l == nil {
		return
	}
	r := &ctiqbe.LineGetInfoResponse{SequenceNumber: m.SequenceNumber, LineCallManagerID: m.LineCallManagerID, LineID: m.LineID, DeviceName: l.device.name,
		LineDir: l.line.Number, LinePartition: l.line.Partition, MaxActiveCalls: 1, MaxCallsOnHold: uint32(p.maxCalls(l)), CanTransfer: true, CanBlindTransfer: true, CanHold: true,
		CanPark: len(p.world.site().parks) > 0, CanConference: true, CanForward: true, MessageWaitingLampMode: ctiqbe.LampModeOff}
	for _, h := range l.handles() {
		switch l.calls[h].State {
		case ctiqbe.CallStateOnHold:
			r.NumCallsOnHold++
		case ctiqbe.CallStateRemoteInUse:
			continue
		default:
			r.NumActiveCalls++
		}
		r.Calls = append(r.Calls, ctiqbe.CallHandle{CallManagerID: h.CallManagerID, CallLegID: h.CallLegID})
	}
	if to := p.forwardAll(l.line); to != "" {
		r.ForwardInfo = []ctiqbe.ForwardInfo{{ForwardType: ctiqbe.ForwardTypeAllOn, Destination: to}}
	}
	p.send(r)
}

// handleCallInfo says who is in a call (72).
func (p *provider) handleCallInfo(m *ctiqbe.CallGetInfoRequest) {
	c := p.callOf(target{m.SequenceNumber, m.LineCallManagerID, m.LineID, m.CallLegCallManagerID, m.CallLegID})
	if c == nil {
		return
	}
	ev := &c.Event
	p.send(&ctiqbe.CallGetInfoResponse{SequenceNumber: m.SequenceNumber, DeviceName: c.line.device.name, LineDir: c.line.line.Number,
		OriginalParty: ev.Original.Number, OriginalPartyName: ascii(ev.Original.Name), CallingParty: ev.Calling.Number, CallingPartyName: ascii(ev.Calling.Name),
		CalledParty: ev.Called.Number, CalledPartyName: ascii(ev.Called.Name), Reason: ev.Reason, Origin: ev.Origin, UserData: ev.UserData, LastRedirectingParty: ev.LastRedirecting.Number,
		LastRedirectingPartyName: ascii(ev.LastRedirecting.Name), RemoteInUse: ev.RemoteInUse, Privacy: ev.Private,
		UnmodifiedCallingParty: ev.Calling.Number, UnmodifiedCalledParty: ev.Called.Number, UnmodifiedOriginalCalledParty: ev.Original.Number,
		UnmodifiedLastRedirectingParty: ev.LastRedirecting.Number, UnicodeCallingPartyName: ev.Calling.Name, UnicodeCalledPartyName: ev.Called.Name,
		UnicodeOriginalCalledPartyName: ev.Original.Name, UnicodeLastRedirectingPartyName: ev.LastRedirecting.Name,
		CallingPartyPI: !ev.Calling.Restricted, CallingPartyNamePI: !ev.Calling.Restricted, CalledPartyPI: !ev.Called.Restricted, CalledPartyNamePI: !ev.Called.Restricted,
		OriginalCalledPartyPI: !ev.Original.Restricted, OriginalCalledPartyNamePI: !ev.Original.Restricted, LastRedirectingPartyPI: !ev.LastRedirecting.Restricted,
		LastRedirectingPartyNamePI: !ev.LastRedirecting.Restricted, CallingPartyDNInfo: partyDN(ev.Calling), CalledPartyDNInfo: partyDN(ev.Called),
		OriginalCalledPartyDNInfo: partyDN(ev.Original), LastRedirectingPartyDNInfo: partyDN(ev.LastRedirecting)})
}

// maxCalls is how many calls a line may have on its device.
func (p *provider) maxCalls(l *openLine) int {
	if a, no := p.appearance(l.device, l.line.Number, l.line.Partition); no == nil {
		return a.MaxCalls
	}
	return 0
}
