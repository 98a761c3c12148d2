package ctimanager

import (
	"strconv"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// Events of package projection as messages of CTIQBE: one event, at most one message. What the client has not asked for by its filter is
// left out. docs/cti-events.md has the table.

// lineMessages are the messages that tell a client of an event of a line that it has opened, by the line's handle and through its filter.
func lineMessages(l *openLine, e *projection.Event) []ctiqbe.Message {
	if !wantsLine(&l.filter, e) {
		return nil
	}
	return one(lineMessage(l.handle, e))
}

// deviceMessages are those of an event of a device.
func deviceMessages(o *openDevice, e *projection.Event) []ctiqbe.Message {
	if !wantsDevice(&o.filter, e) {
		return nil
	}
	return one(deviceMessage(o.handle, e))
}

func one(m ctiqbe.Message) []ctiqbe.Message {
	if m == nil {
		return nil
	}
	return []ctiqbe.Message{m}
}

// wantsLine says whether a filter lets an event of a line through.
func wantsLine(f *ctiqbe.LineEventFilter, ev *projection.Event) bool {
	switch ev.Kind {
	case projection.NewCall:
		return f.NewCallEvent
	case projection.ExistingCall:
		return f.ExistingCallEvent || f.NewCallEvent
	case projection.StateChanged, projection.CallClosed:
		return f.CallStateChanged
	case projection.PartiesChanged:
		return f.PartyInfoChanged
	case projection.GCHChanged:
		return f.GlobalCallHandleChanged
	case projection.TransferStarted:
		return f.TransferStarted
	case projection.TransferEnded:
		return f.TransferEnded
	case projection.ConferenceStarted:
		return f.ConferenceStarted
	case projection.ConferenceEnded, projection.ConferenceChanged:
		return f.ConferenceEnded
	case projection.ParkChanged:
		return f.ParkStatusEvent
	case projection.SecurityChanged:
		return f.CallSecurityStatusUpdate
	case projection.DigitHeard:
		return f.DTMF
	case projection.PrivacyChanged:
		return f.PrivacyChanged
	case projection.BargeStarted:
		return f.BargeStarted
	case projection.BargeEnded:
		return f.BargeEnded
	case projection.ForwardChanged:
		return f.LineCfwdAllStatus
	}
	return false
}

// lineMessage is the message about an event of an open line; nil where CTIQBE has none.
func lineMessage(h lineHandle, ev *projection.Event) ctiqbe.Message {
	switch ev.Kind {
	case projection.NewCall:
		return newCall(h, ev)
	case projection.ExistingCall:
		return existingCall(h, ev)
	case projection.StateChanged:
		return &ctiqbe.CallStateChangedEventV2{LineCallManagerID: h.CallManagerID, LineID: h.LineID, CallCallManagerID: ev.Handle.CallManager,
			CallLegID: ev.Handle.Leg, State: ev.State, Cause: ev.Cause, Reason: ev.Reason, RemoteInUse: ev.RemoteInUse,
			OverallCallSecurityStatus: ev.Security}
	case projection.CallClosed:
		return &ctiqbe.CallClosedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, CallCallManagerID: ev.Handle.CallManager,
			CallLegID: ev.Handle.Leg, Reason: ctiqbe.CallCloseReasonCallManagerFailure}
	case projection.PartiesChanged:
		return partyInfo(h, ev)
	case projection.GCHChanged:
		return gchChanged(h, ev)
	case projection.SecurityChanged:
		return &ctiqbe.CallSecurityStatusUpdateEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, CallCallManagerID: ev.Handle.CallManager,
			CallLegID: ev.Handle.Leg, OverallCallSecurityStatus: ev.Security}
	case projection.DigitHeard:
		b, ok := buttonOf(ev.Digit)
		if !ok {
			return nil
		}
		return &ctiqbe.CallDTMFEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, CallCallManagerID: ev.Handle.CallManager, CallLegID: ev.Handle.Leg, Digit: b}
	case projection.PrivacyChanged:
		return privacyChanged(h, ev)
	case projection.ForwardChanged:
		return forwarded(h, ev.Forwards)
	case projection.ParkChanged:
		return parkStatus(h, ev)
	}
	return mergeMessage(h, ev)
}

// mergeMessage is about calls that are joined.
func mergeMessage(h lineHandle, ev *projection.Event) ctiqbe.Message {
	if c := ev.Conference; c != nil {
		return conferenceChanged(h, ev, c)
	}
	m := ev.Merge
	if m == nil {
		return nil
	}
	name := ascii(m.Controller.Name)
	switch ev.Kind {
	case projection.TransferStarted:
		out := &ctiqbe.LineCallTransferStartedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, TransactionID: m.ID,
			ControllerNumber: m.Controller.Number, ControllerName: name, UnicodeControllerName: m.Controller.Name,
			SurvivingGCMID: m.Surviving.CallManager, SurvivingGCCID: m.Surviving.Call, RemoteInUse: ev.RemoteInUse, ControllerPartyDNInfo: partyDN(m.Controller),
			ControllerDeviceName: m.Controller.Device, FinalControllerCallManagerID: m.Final.CallManager, FinalControllerCallLegID: m.Final.Leg,
			OtherControllerCallManagerID: m.Other.CallManager, OtherControllerCallLegID: m.Other.Leg}
		if len(m.Others) > 0 {
			out.OtherGCMID, out.OtherGCCID = m.Others[0].CallManager, m.Others[0].Call
		}
		return out
	case projection.TransferEnded:
		return &ctiqbe.LineCallTransferEndedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, TransactionID: m.ID, Success: ev.Success,
			RemoteInUse: ev.RemoteInUse, IdleCalls: handles(m.Idle)}
	case projection.ConferenceStarted:
		out := &ctiqbe.LineCallConferenceStartedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, TransactionID: m.ID,
			ControllerNumber: m.Controller.Number, ControllerName: name, UnicodeControllerName: m.Controller.Name, ControllerPartyDNInfo: partyDN(m.Controller),
			ControllerDeviceName: m.Controller.Device, SurvivingGCMID: m.Surviving.CallManager, SurvivingGCCID: m.Surviving.Call, RemoteInUse: ev.RemoteInUse,
			RequestorNumber: m.Controller.Number, RequestorName: name, UnicodeRequestorName: m.Controller.Name, RequestorPartyDNInfo: partyDN(m.Controller),
			RequestorDeviceName: m.Controller.Device}
		for _, g := range m.Others {
			out.OtherGCIDs = append(out.OtherGCIDs, ctiqbe.GlobalCallHandle{CallManagerID: g.CallManager, CallID: g.Call})
			out.SecondaryCallTypes = append(out.SecondaryCallTypes, ctiqbe.CallTypeRegularCall)
		}
		return out
	case projection.ConferenceEnded:
		return &ctiqbe.LineCallConferenceEndedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, TransactionID: m.ID, Success: ev.Success,
			RemoteInUse: ev.RemoteInUse, IdleCalls: handles(m.Idle), ControllerNumber: m.Controller.Number, ControllerName: name,
			UnicodeControllerName: m.Controller.Name, ControllerPartyDNInfo: partyDN(m.Controller), ControllerDeviceName: m.Controller.Device,
			RequestorNumber: m.Controller.Number, RequestorName: name, UnicodeRequestorName: m.Controller.Name, RequestorPartyDNInfo: partyDN(m.Controller),
			RequestorDeviceName: m.Controller.Device}
	case projection.BargeStarted:
		return &ctiqbe.LineBargeStartedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, TransactionID: m.ID, ControllerNumber: m.Controller.Number,
			ControllerName: name, UnicodeControllerName: m.Controller.Name, SurvivingGCMID: m.Surviving.CallManager, SurvivingGCCID: m.Surviving.Call,
			RemoteInUse: ev.RemoteInUse, ControllerPartyDNInfo: partyDN(m.Controller)}
	case projection.BargeEnded:
		return &ctiqbe.LineBargeEndedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, TransactionID: m.ID, Success: ev.Success, RemoteInUse: ev.RemoteInUse}
	}
	return nil
}

func newCall(h lineHandle, ev *projection.Event) *ctiqbe.LineNewCallEvent {
	calling, called, original, last := ev.Calling, ev.Called, ev.Original, ev.LastRedirecting
	return &ctiqbe.LineNewCallEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, LineHandleSpecified: true, DeviceName: ev.Device,
		CallCallManagerID: ev.Handle.CallManager, CallLegID: ev.Handle.Leg, GlobalCallManagerID: ev.GCH.CallManager, CallID: ev.GCH.Call,
		CallingParty: calling.Number, CalledParty: called.Number, OriginalCalledParty: original.Number, State: ev.State, Origin: ev.Origin, UserData: ev.UserData,
		FarEndpointType: farEnd(ev), Reason: ev.Reason, CallingPartyName: ascii(calling.Name), CalledPartyName: ascii(called.Name),
		OriginalPartyName: ascii(original.Name), LastRedirectingParty: last.Number, LastRedirectingPartyName: ascii(last.Name),
		CallingPartyDeviceName: calling.Device, RemoteInUse: ev.RemoteInUse, ParentCallManagerID: ev.Parent.CallManager, ParentCallID: ev.Parent.Call,
		Privacy: ev.Private, UnmodifiedCallingParty: calling.Number, UnmodifiedCalledParty: called.Number, UnmodifiedOriginalCalledParty: original.Number,
		UnmodifiedLastRedirectingParty: last.Number, CallingPartyPI: !calling.Restricted, CallingPartyNamePI: !calling.Restricted,
		CalledPartyPI: !called.Restricted, CalledPartyNamePI: !called.Restricted, OriginalCalledPartyPI: !original.Restricted,
		OriginalCalledPartyNamePI: !original.Restricted, LastRedirectingPartyPI: !last.Restricted, LastRedirectingPartyNamePI: !last.Restricted,
		UnicodeCallingPartyName: calling.Name, UnicodeCalledPartyName: called.Name, UnicodeOriginalCalledPartyName: original.Name,
		UnicodeLastRedirectingPartyName: last.Name, CallingPartyDNInfo: partyDN(calling), CalledPartyDNInfo: partyDN(called),
		OriginalCalledPartyDNInfo: partyDN(original), LastRedirectingPartyDNInfo: partyDN(last), CallPresentable: true,
		FeaturePriority: ctiqbe.FeaturePriorityNormal, FarEndLineIDDN: far(ev).Number, FarEndLineIDPartition: far(ev).Partition}
}

func existingCall(h lineHandle, ev *projection.Event) *ctiqbe.LineExistingCallEvent {
	calling, called, original, last := ev.Calling, ev.Called, ev.Original, ev.LastRedirecting
	talks := ev.State == ctiqbe.CallStateConnected
	out := &ctiqbe.LineExistingCallEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, LineHandleSpecified: true, DeviceName: ev.Device,
		CallCallManagerID: ev.Handle.CallManager, CallLegID: ev.Handle.Leg, GlobalCallManagerID: ev.GCH.CallManager, CallID: ev.GCH.Call,
		CallingParty: calling.Number, CalledParty: called.Number, OriginalCalledParty: original.Number, LastRedirectingParty: last.Number, State: ev.State,
		Origin: ev.Origin, UserData: ev.UserData, FarEndpointType: farEnd(ev), Reason: ev.Reason, Cause: ev.Cause, CallingPartyName: ascii(calling.Name),
		CalledPartyName: ascii(called.Name), OriginalCalledPartyName: ascii(original.Name), LastRedirectingPartyName: ascii(last.Name),
		CallingPartyDeviceName: calling.Device, CalledPartyDeviceName: called.Device, MediaTransmitActive: talks, MediaReceiveActive: talks,
		RemoteInUse: ev.RemoteInUse, ParentCallManagerID: ev.Parent.CallManager, ParentCallID: ev.Parent.Call, Privacy: ev.Private,
		UnmodifiedCallingParty: calling.Number, UnmodifiedCalledParty: called.Number, UnmodifiedOriginalCalledParty: original.Number,
		UnmodifiedLastRedirectingParty: last.Number, CallingPartyPI: !calling.Restricted, CallingPartyNamePI: !calling.Restricted,
		CalledPartyPI: !called.Restricted, CalledPartyNamePI: !called.Restricted, OriginalCalledPartyPI: !original.Restricted,
		OriginalCalledPartyNamePI: !original.Restricted, LastRedirectingPartyPI: !last.Restricted, LastRedirectingPartyNamePI: !last.Restricted,
		UnicodeCallingPartyName: calling.Name, UnicodeCalledPartyName: called.Name, UnicodeOriginalCalledPartyName: original.Name,
		UnicodeLastRedirectingPartyName: last.Name, CallingPartyDNInfo: partyDN(calling), CalledPartyDNInfo: partyDN(called),
		OriginalCalledPartyDNInfo: partyDN(original), LastRedirectingPartyDNInfo: partyDN(last), OverallCallSecurityStatus: ev.Security,
		FarEndLineIDDN: far(ev).Number, FarEndLineIDPartition: far(ev).Partition, CallPresentable: true, FeaturePriority: ctiqbe.FeaturePriorityNormal}
	if c := ev.Conference; c != nil {
		out.ParticipantsInfo, out.ControllerParticipant = participants(c.Others), participant(c.Controller)
	}
	return out
}

func partyInfo(h lineHandle, ev *projection.Event) *ctiqbe.CallPartyInfoChangedEvent {
	calling, called, original, last := ev.Calling, ev.Called, ev.Original, ev.LastRedirecting
	return &ctiqbe.CallPartyInfoChangedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, CallCallManagerID: ev.Handle.CallManager,
		CallLegID: ev.Handle.Leg, CallingPartyChanged: ev.CallingChanged, CallingParty: calling.Number, CallingPartyName: ascii(calling.Name),
		CalledPartyChanged: ev.CalledChanged, CalledParty: called.Number, CalledPartyName: ascii(called.Name), OriginalCalledParty: original.Number,
		OriginalCalledPartyName: ascii(original.Name), LastRedirectingParty: last.Number, LastRedirectingPartyName: ascii(last.Name),
		FarEndpointType: farEnd(ev), Reason: ev.Reason, RemoteInUse: ev.RemoteInUse, Privacy: ev.Private, UnmodifiedCallingParty: calling.Number,
		UnmodifiedCalledParty: called.Number, UnmodifiedOriginalCalledParty: original.Number, UnmodifiedLastRedirectingParty: last.Number,
		CallingPartyPI: !calling.Restricted, CallingPartyNamePI: !calling.Restricted, CalledPartyPI: !called.Restricted, CalledPartyNamePI: !called.Restricted,
		OriginalCalledPartyPI: !original.Restricted, OriginalCalledPartyNamePI: !original.Restricted, LastRedirectingPartyPI: !last.Restricted,
		LastRedirectingPartyNamePI: !last.Restricted, UnicodeCallingPartyName: calling.Name, UnicodeCalledPartyName: called.Name,
		UnicodeOriginalCalledPartyName: original.Name, UnicodeLastRedirectingPartyName: last.Name, CallingPartyDNInfo: partyDN(calling),
		CalledPartyDNInfo: partyDN(called), OriginalCalledPartyDNInfo: partyDN(original), LastRedirectingPartyDNInfo: partyDN(last),
		FarEndLineIDDN: far(ev).Number, FarEndLineIDPartition: far(ev).Partition, CurrentCallingPartyDeviceName: calling.Device,
		CurrentCalledPartyDeviceName: called.Device}
}

func gchChanged(h lineHandle, ev *projection.Event) *ctiqbe.CallGlobalCallHandleChangedEvent {
	calling, called, original, last := ev.Calling, ev.Called, ev.Original, ev.LastRedirecting
	return &ctiqbe.CallGlobalCallHandleChangedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, CallCallManagerID: ev.Handle.CallManager,
		CallLegID: ev.Handle.Leg, NewGlobalCallManagerID: ev.GCH.CallManager, NewGlobalCallID: ev.GCH.Call, Reason: ev.Reason,
		CallingParty: calling.Number, CallingPartyName: ascii(calling.Name), CalledParty: called.Number, CalledPartyName: ascii(called.Name),
		OriginalParty: original.Number, OriginalPartyName: ascii(original.Name), LastRedirectingParty: last.Number, LastRedirectingPartyName: ascii(last.Name),
		RemoteInUse: ev.RemoteInUse, Privacy: ev.Private, UnmodifiedCallingParty: calling.Number, UnmodifiedCalledParty: called.Number,
		UnmodifiedOriginalCalledParty: original.Number, UnmodifiedLastRedirectingParty: last.Number, CallingPartyPI: !calling.Restricted,
		CallingPartyNamePI: !calling.Restricted, CalledPartyPI: !called.Restricted, CalledPartyNamePI: !called.Restricted,
		OriginalCalledPartyPI: !original.Restricted, OriginalCalledPartyNamePI: !original.Restricted, LastRedirectingPartyPI: !last.Restricted,
		LastRedirectingPartyNamePI: !last.Restricted, UnicodeCallingPartyName: calling.Name, UnicodeCalledPartyName: called.Name,
		UnicodeOriginalCalledPartyName: original.Name, UnicodeLastRedirectingPartyName: last.Name, CallingPartyDNInfo: partyDN(calling),
		CalledPartyDNInfo: partyDN(called), OriginalCalledPartyDNInfo: partyDN(original), LastRedirectingPartyDNInfo: partyDN(last)}
}

func privacyChanged(h lineHandle, ev *projection.Event) *ctiqbe.CallPrivacyChangedEvent {
	calling, called := ev.Calling, ev.Called
	return &ctiqbe.CallPrivacyChangedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, CallCallManagerID: ev.Handle.CallManager, CallLegID: ev.Handle.Leg,
		CallingParty: calling.Number, CallingPartyName: ascii(calling.Name), CalledParty: called.Number, CalledPartyName: ascii(called.Name), Reason: ev.Reason,
		Privacy: ev.Private, RemoteInUse: ev.RemoteInUse, UnmodifiedCallingParty: calling.Number, UnmodifiedCalledParty: called.Number,
		CallingPartyPI: !calling.Restricted, CallingPartyNamePI: !calling.Restricted, CalledPartyPI: !called.Restricted, CalledPartyNamePI: !called.Restricted,
		UnicodeCallingPartyName: calling.Name, UnicodeCalledPartyName: called.Name, CallingPartyDNInfo: partyDN(calling), CalledPartyDNInfo: partyDN(called)}
}

func parkStatus(h lineHandle, ev *projection.Event) *ctiqbe.LineParkStatusEvent {
	p := ev.Park
	return &ctiqbe.LineParkStatusEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, GlobalCallManagerID: ev.GCH.CallManager, CallID: ev.GCH.Call,
		TransactionID: p.Transaction, ParkState: p.Status, ParkDN: p.At.Number, ParkDNPartition: p.At.Partition, ParkedParty: p.Parked.Number,
		ParkedPartyPartition: p.Parked.Partition}
}

// conferenceChanged is who is in a conference now. The requestor is the controller: nobody else may change one.
func conferenceChanged(h lineHandle, ev *projection.Event, c *projection.Conference) *ctiqbe.CallConferenceStateChangedEvent {
	controller := participant(c.Controller)
	return &ctiqbe.CallConferenceStateChangedEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, CallCallManagerID: ev.Handle.CallManager,
		CallLegID: ev.Handle.Leg, ConferenceStateChangedID: c.ID, GlobalCallManagerID: ev.GCH.CallManager, GlobalCallID: ev.GCH.Call, ModifyStatus: c.Change,
		ChangedParticipantInfo: participant(c.Changed), OtherParticipantsInfo: participants(c.Others), ControllerParticipantInfo: controller,
		Reason: ev.Reason, RemoteInUse: ev.RemoteInUse, Privacy: ev.Private, ControllerDeviceName: c.Controller.Party.Device, IdleCalls: handles(c.Idle),
		RequestorParticipantInfo: controller, RequestorDeviceName: c.Controller.Party.Device,
		LocalConferenceBridgeID: bridge(ev.GCH), LocalConferenceBridgeName: bridge(ev.GCH)}
}

// bridge names the mixer of a conference: there is one for each.
func bridge(g projection.GCH) string { return "b" + g.String() }

func participants(in []projection.Participant) []ctiqbe.ParticipantInfo {
	var out []ctiqbe.ParticipantInfo
	for _, p := range in {
		out = append(out, participant(p))
	}
	return out
}

func participant(p projection.Participant) ctiqbe.ParticipantInfo {
	x := p.Party
	return ctiqbe.ParticipantInfo{ParticipantNumber: x.Number, UnmodifiedParticipantNumber: x.Number, ParticipantName: ascii(x.Name), NumberPI: !x.Restricted,
		NamePI: !x.Restricted, EndpointType: destination(x), State: p.State, UnmodifiedParticipantUnicodeDisplayName: x.Name,
		ParticipantLocale: ctiqbe.UserLocaleEnglishUnitedStates, ParticipantDNInfo: partyDN(x), CallManagerID: p.Handle.CallManager, CallLegID: p.Handle.Leg}
}

func handles(in []projection.Handle) []ctiqbe.CallHandle {
	var out []ctiqbe.CallHandle
	for _, h := range in {
		out = append(out, ctiqbe.CallHandle{CallManagerID: h.CallManager, CallLegID: h.Leg})
	}
	return out
}

// forwarded says whether all calls of a line are forwarded; of the other forwards CTIQBE tells nothing.
func forwarded(h lineHandle, list []call.SetForward) *ctiqbe.LineForwardEvent {
	info := ctiqbe.CallForwardInfo{ForwardType: ctiqbe.ForwardTypeAllOff}
	for _, f := range list {
		if f.Kind == call.ForwardAll && f.To != "" {
			info = ctiqbe.CallForwardInfo{ForwardType: ctiqbe.ForwardTypeAllOn, Destination: f.To}
		}
	}
	return &ctiqbe.LineForwardEvent{LineCallManagerID: h.CallManagerID, LineID: h.LineID, ForwardInfo: []ctiqbe.CallForwardInfo{info}}
}

// partyDN is the part of a party that tells equal numbers in different partitions apart. It is never left empty for a party of this site:
// a client takes a number with a partition and without for two parties.
func partyDN(p projection.Party) ctiqbe.PartyDNInfo {
	return ctiqbe.PartyDNInfo{Partition: p.Partition}
}

// far is the party at the other end: of the two the one that is not of the event's line.
func far(ev *projection.Event) projection.Party {
	if ev.Calling.Number == ev.Line.Number && ev.Calling.Partition == ev.Line.Partition {
		return ev.Called
	}
	return ev.Calling
}

func farEnd(ev *projection.Event) ctiqbe.DestinationType { return destination(far(ev)) }

func destination(p projection.Party) ctiqbe.DestinationType {
	if p.External {
		return ctiqbe.DestinationTypeExternal
	}
	return ctiqbe.DestinationTypeInCluster
}

// ascii is a name for those fields that have no more: the unicode field beside has it whole.
func ascii(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, name)
}

// buttonOf is the button of a digit.
func buttonOf(digit string) (ctiqbe.KeypadButton, bool) {
	switch {
	case digit == "*":
		return ctiqbe.KeypadButtonStar, true
	case digit == "#":
		return ctiqbe.KeypadButtonPound, true
	case len(digit) == 1:
		n, err := strconv.ParseUint(digit, 16, 8) // A to D follow 9
		return ctiqbe.KeypadButton(n), err == nil && n <= uint64(ctiqbe.KeypadButtonCharD)
	}
	return 0, false
}

// wantsDevice says whether a filter lets an event of a device through.
func wantsDevice(f *ctiqbe.DeviceEventFilter, ev *projection.Event) bool {
	switch ev.Kind {
	case projection.DNDChanged:
		return f.DNDChanged
	case projection.HuntLoginChanged:
		return f.HuntLogStatusChanged
	case projection.DeviceStateChanged:
		switch ev.DeviceState {
		case ctiqbe.DeviceStateIdle:
			return f.DeviceIdleState
		case ctiqbe.DeviceStateActive:
			return f.DeviceActiveState
		case ctiqbe.DeviceStateAlerting:
			return f.DeviceAlertingState
		case ctiqbe.DeviceStateHeld:
			return f.DeviceHoldState
		}
	}
	return false
}

// deviceMessage is the message about an event of an open device; nil where CTIQBE has none.
func deviceMessage(h deviceHandle, ev *projection.Event) ctiqbe.Message {
	switch ev.Kind {
	case projection.DNDChanged:
		return &ctiqbe.DeviceDNDStatusChangedEvent{DeviceCallManagerID: h.CallManagerID, DeviceID: h.DeviceID, DNDStatus: ev.On}
	case projection.HuntLoginChanged:
		status := ctiqbe.HuntLogStatusLoggedOut
		if ev.On {
			status = ctiqbe.HuntLogStatusLoggedIn
		}
		return &ctiqbe.DeviceHuntLogStatusChangedEvent{DeviceCallManagerID: h.CallManagerID, DeviceID: h.DeviceID, HuntLogStatus: status}
	case projection.DeviceStateChanged:
		switch ev.DeviceState {
		case ctiqbe.DeviceStateIdle:
			return &ctiqbe.DeviceStateIdleEvent{DeviceCallManagerID: h.CallManagerID, DeviceID: h.DeviceID}
		case ctiqbe.DeviceStateActive:
			return &ctiqbe.DeviceStateActiveEvent{DeviceCallManagerID: h.CallManagerID, DeviceID: h.DeviceID}
		case ctiqbe.DeviceStateAlerting:
			return &ctiqbe.DeviceStateAlertingEvent{DeviceCallManagerID: h.CallManagerID, DeviceID: h.DeviceID}
		case ctiqbe.DeviceStateHeld:
			return &ctiqbe.DeviceStateHeldEvent{DeviceCallManagerID: h.CallManagerID, DeviceID: h.DeviceID}
		}
	}
	return nil
}
