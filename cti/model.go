package cti

import (
	"net/netip"
	"slices"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// Device is a device that the user controls.
type Device struct {
	Name       string
	Type       ctiqbe.DeviceType
	TypeName   string // the model as the manager calls it
	Protocol   ctiqbe.DeviceProtocol
	Registered bool
	Address    netip.Addr // zero where it is not registered
	Restricted bool       // it does not allow control from CTI
	Lines      []LineInfo
}

// LineInfo is a line of a device.
type LineInfo struct {
	ID         LineID
	Label      string
	Button     uint32 // its place on the device, from 1
	MaxCalls   uint32
	Restricted bool // it does not allow control from CTI
}

// handle is how a connection calls a device or a line.
type handle struct{ node, number uint32 }

// callKey is a call on a line: a shared line has one call at each device.
type callKey struct {
	line LineID
	call CallID
}

// model is what is known of devices, lines and calls. It is pure: messages go in, events come out. Handles are those of
// the connection in use; everything else outlives it.
type model struct {
	devices []Device
	handles map[string]handle // open devices
	names   map[handle]string
	lines   map[LineID]handle // open lines
	ids     map[handle]LineID
	calls   []Call
	service map[LineID]bool // in service; the whole device under LineID{Device: name}
	// whole are lines whose existing calls were all told.
	whole map[LineID]bool
}

func newModel() *model {
	m := &model{}
	m.connect()
	return m
}

// connect forgets what a connection gave names to. Devices are told again after a login.
func (m *model) connect() {
	m.devices, m.calls = nil, nil
	m.handles, m.names = map[string]handle{}, map[handle]string{}
	m.lines, m.ids = map[LineID]handle{}, map[handle]LineID{}
	m.service, m.whole = map[LineID]bool{}, map[LineID]bool{}
}

// answered notes what a request and its good answer opened or closed.
func (m *model) answered(request, answer ctiqbe.Message) {
	switch q := request.(type) {
	case *ctiqbe.DeviceOpenRequest:
		if a, ok := answer.(*ctiqbe.DeviceOpenResponse); ok {
			m.openDevice(q.DeviceName, handle{a.CallManagerID, a.DeviceID})
		}
	case *ctiqbe.DeviceRegisterDeviceRequest:
		if a, ok := answer.(*ctiqbe.DeviceRegisterDeviceResponse); ok {
			m.openDevice(q.DeviceName, handle{a.CallManagerID, a.DeviceID})
		}
	case *ctiqbe.DeviceCloseRequest:
		h := handle{q.CallManagerID, q.DeviceID}
		for id, l := range m.lines { // the order does not matter
			if id.Device == m.names[h] {
				m.closeLine(l)
			}
		}
		m.closeDevice(h)
	case *ctiqbe.LineOpenRequest:
		if a, ok := answer.(*ctiqbe.LineOpenResponse); ok {
			m.openLine(LineID{q.DeviceName, q.LineName, q.Partition}, handle{a.LineCallManagerID, a.LineID})
		}
	case *ctiqbe.LineCloseRequest:
		m.closeLine(handle{q.LineCallManagerID, q.LineID})
	}
}

func (m *model) openDevice(name string, h handle) {
	m.handles[name], m.names[h] = h, name
}

func (m *model) closeDevice(h handle) {
	name := m.names[h]
	delete(m.names, h)
	delete(m.handles, name)
	delete(m.service, LineID{Device: name})
}

func (m *model) openLine(id LineID, h handle) {
	m.lines[id], m.ids[h] = h, id
}

func (m *model) closeLine(h handle) {
	id, ok := m.ids[h]
	if !ok {
		return
	}
	delete(m.ids, h)
	delete(m.lines, id)
	delete(m.service, id)
	delete(m.whole, id)
	m.calls = slices.DeleteFunc(m.calls, func(c Call) bool { return c.Line == id })
}

// find is the place of a call in m.calls, or -1.
func (m *model) find(k callKey) int {
	return slices.IndexFunc(m.calls, func(c Call) bool { return c.Line == k.line && c.ID == k.call })
}

// on is the call that an event is about; false where the line is not open or the call not known.
func (m *model) on(lineNode, lineNumber, node, leg uint32) (at int, ok bool) {
	id, ok := m.ids[handle{lineNode, lineNumber}]
	if !ok {
		return 0, false
	}
	at = m.find(callKey{id, CallID{node, leg}})
	return at, at >= 0
}

// apply takes a message of the manager and is what an application hears of it.
func (m *model) apply(msg ctiqbe.Message) []Event {
	switch e := msg.(type) {
	case *ctiqbe.LineNewCallEvent:
		return m.newCall(e)
	case *ctiqbe.LineExistingCallEvent:
		return m.existingCall(e)
	case *ctiqbe.CallStateChangedEventV2:
		return m.stateChanged(e)
	case *ctiqbe.CallPartyInfoChangedEvent:
		return m.partiesChanged(e)
	case *ctiqbe.CallGlobalCallHandleChangedEvent:
		return m.globalChanged(e)
	case *ctiqbe.CallClosedEvent:
		return m.callClosed(e)
	case *ctiqbe.CallSecurityStatusUpdateEvent:
		if at, ok := m.on(e.LineCallManagerID, e.LineID, e.CallCallManagerID, e.CallLegID); ok && m.calls[at].Security != e.OverallCallSecurityStatus {
			m.calls[at].Security = e.OverallCallSecurityStatus
			return []Event{CallChanged{Call: m.calls[at], Before: m.calls[at].State}}
		}
		return nil
	case *ctiqbe.CallDTMFEvent:
		if at, ok := m.on(e.LineCallManagerID, e.LineID, e.CallCallManagerID, e.CallLegID); ok {
			return []Event{Digit{m.calls[at], digitOf(e.Digit)}}
		}
		return nil
	}
	if events, ok := m.applyMedia(msg); ok {
		return events
	}
	if events, ok := m.applyFeature(msg); ok {
		return events
	}
	return m.applyService(msg)
}

func named(number, name, unicode string, dn ctiqbe.PartyDNInfo) Party {
	if unicode != "" {
		name = unicode
	}
	return Party{Number: number, Name: name, Partition: dn.Partition}
}

func (m *model) newCall(e *ctiqbe.LineNewCallEvent) []Event {
	id, ok := m.ids[handle{e.LineCallManagerID, e.LineID}]
	if !ok {
		return nil
	}
	return m.appeared(Call{
		ID: CallID{e.CallCallManagerID, e.CallLegID}, Global: GlobalCallID{e.GlobalCallManagerID, e.CallID}, Line: id, State: e.State,
		Origin: e.Origin, Reason: e.Reason, Remote: e.RemoteInUse, UserData: e.UserData,
		Calling:        named(e.CallingParty, e.CallingPartyName, e.UnicodeCallingPartyName, e.CallingPartyDNInfo),
		Called:         named(e.CalledParty, e.CalledPartyName, e.UnicodeCalledPartyName, e.CalledPartyDNInfo),
		Original:       named(e.OriginalCalledParty, e.OriginalPartyName, e.UnicodeOriginalCalledPartyName, e.OriginalCalledPartyDNInfo),
		LastRedirected: named(e.LastRedirectingParty, e.LastRedirectingPartyName, e.UnicodeLastRedirectingPartyName, e.LastRedirectingPartyDNInfo),
	}, false)
}

func (m *model) existingCall(e *ctiqbe.LineExistingCallEvent) []Event {
	id, ok := m.ids[handle{e.LineCallManagerID, e.LineID}]
	if !ok {
		return nil
	}
	return m.appeared(Call{
		ID: CallID{e.CallCallManagerID, e.CallLegID}, Global: GlobalCallID{e.GlobalCallManagerID, e.CallID}, Line: id, State: e.State,
		Origin: e.Origin, Reason: e.Reason, Remote: e.RemoteInUse, UserData: e.UserData, Security: e.OverallCallSecurityStatus,
		Calling:        named(e.CallingParty, e.CallingPartyName, e.UnicodeCallingPartyName, e.CallingPartyDNInfo),
		Called:         named(e.CalledParty, e.CalledPartyName, e.UnicodeCalledPartyName, e.CalledPartyDNInfo),
		Original:       named(e.OriginalCalledParty, e.OriginalCalledPartyName, e.UnicodeOriginalCalledPartyName, e.OriginalCalledPartyDNInfo),
		LastRedirected: named(e.LastRedirectingParty, e.LastRedirectingPartyName, e.UnicodeLastRedirectingPartyName, e.LastRedirectingPartyDNInfo),
	}, true)
}

// appeared adds a call, or brings one that is known up to date.
func (m *model) appeared(c Call, snapshot bool) []Event {
	at := m.find(callKey{c.Line, c.ID})
	if at < 0 {
		m.calls = append(m.calls, c)
		return []Event{NewCall{c, snapshot}}
	}
	was := m.calls[at]
	m.calls[at] = c
	return difference(was, c, snapshot)
}

// difference tells what of a call changed between two looks at it.
func difference(was, is Call, snapshot bool) []Event {
	var events []Event
	if was.Global != is.Global {
		events = append(events, GlobalChanged{is, was.Global})
	}
	if was.Calling != is.Calling || was.Called != is.Called || was.Original != is.Original || was.LastRedirected != is.LastRedirected {
		events = append(events, PartiesChanged{is, snapshot})
	}
	if was.State != is.State || was.Remote != is.Remote {
		events = append(events, CallChanged{is, was.State, snapshot})
	}
	return events
}

func (m *model) stateChanged(e *ctiqbe.CallStateChangedEventV2) []Event {
	at, ok := m.on(e.LineCallManagerID, e.LineID, e.CallCallManagerID, e.CallLegID)
	if !ok {
		return nil
	}
	c := &m.calls[at]
	before := c.State
	c.State, c.Cause, c.Reason, c.Remote = e.State, e.Cause, e.Reason, e.RemoteInUse
	if e.OverallCallSecurityStatus != ctiqbe.CallSecurityStatusUnknown {
		c.Security = e.OverallCallSecurityStatus
	}
	if e.State == ctiqbe.CallStateIdle {
		return m.end(at)
	}
	return []Event{CallChanged{Call: *c, Before: before}}
}

func (m *model) end(at int) []Event {
	c := m.calls[at]
	c.State = ctiqbe.CallStateIdle
	m.calls = slices.Delete(m.calls, at, at+1)
	return []Event{CallEnded{Call: c}}
}

func (m *model) callClosed(e *ctiqbe.CallClosedEvent) []Event {
	at, ok := m.on(e.LineCallManagerID, e.LineID, e.CallCallManagerID, e.CallLegID)
	if !ok {
		return nil
	}
	return m.end(at)
}

func (m *model) partiesChanged(e *ctiqbe.CallPartyInfoChangedEvent) []Event {
	at, ok := m.on(e.LineCallManagerID, e.LineID, e.CallCallManagerID, e.CallLegID)
	if !ok {
		return nil
	}
	c := &m.calls[at]
	c.Reason, c.Remote = e.Reason, e.RemoteInUse
	c.Calling = named(e.CallingParty, e.CallingPartyName, e.UnicodeCallingPartyName, e.CallingPartyDNInfo)
	c.Called = named(e.CalledParty, e.CalledPartyName, e.UnicodeCalledPartyName, e.CalledPartyDNInfo)
	c.Original = named(e.OriginalCalledParty, e.OriginalCalledPartyName, e.UnicodeOriginalCalledPartyName, e.OriginalCalledPartyDNInfo)
	c.LastRedirected = named(e.LastRedirectingParty, e.LastRedirectingPartyName, e.UnicodeLastRedirectingPartyName, e.LastRedirectingPartyDNInfo)
	return []Event{PartiesChanged{Call: *c}}
}

func (m *model) globalChanged(e *ctiqbe.CallGlobalCallHandleChangedEvent) []Event {
	at, ok := m.on(e.LineCallManagerID, e.LineID, e.CallCallManagerID, e.CallLegID)
	if !ok {
		return nil
	}
	c := &m.calls[at]
	before := c.Global
	c.Global, c.Reason = GlobalCallID{e.NewGlobalCallManagerID, e.NewGlobalCallID}, e.Reason
	c.Calling = named(e.CallingParty, e.CallingPartyName, e.UnicodeCallingPartyName, e.CallingPartyDNInfo)
	c.Called = named(e.CalledParty, e.CalledPartyName, e.UnicodeCalledPartyName, e.CalledPartyDNInfo)
	return []Event{GlobalChanged{*c, before}}
}

// keypad are the digits by the number of KeypadButton.
const keypad = "0123456789ABCD*#"

func digitOf(b ctiqbe.KeypadButton) byte {
	if int(b) < len(keypad) {
		return keypad[b]
	}
	return '?'
}

// address makes an address of the wire's: the four octets of an IPv4 address as they are written, or a longer one.
func address(v4 uint32, v6 []byte) netip.Addr {
	if a, ok := netip.AddrFromSlice(v6); ok {
		return a.Unmap()
	}
	if v4 == 0 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte{byte(v4), byte(v4 >> 8), byte(v4 >> 16), byte(v4 >> 24)})
}

func (m *model) applyMedia(msg ctiqbe.Message) ([]Event, bool) {
	switch e := msg.(type) {
	case *ctiqbe.CallStartReceptionEvent:
		return []Event{Media{m.names[handle{e.DeviceCallManagerID, e.DeviceID}], CallID{e.CallCallManagerID, e.CallLegID}, true, true,
			netip.AddrPortFrom(address(e.IPAddr, e.RTPDestV6.IPAddrV6), uint16(e.RTPPortNumber)), e.CompressionType, packet(e.MilliSecondPacketSize)}}, true
	case *ctiqbe.CallStartTransmissionEvent:
		return []Event{Media{m.names[handle{e.DeviceCallManagerID, e.DeviceID}], CallID{e.CallCallManagerID, e.CallLegID}, true, false,
			netip.AddrPortFrom(address(e.IPAddr, e.RTPDestV6.IPAddrV6), uint16(e.RTPPortNumber)), e.CompressionType, packet(e.MilliSecondPacketSize)}}, true
	case *ctiqbe.DeviceCallOpenLogicalChannelEvent:
		return []Event{MediaWanted{m.names[handle{e.DeviceCallManagerID, e.DeviceID}], CallID{e.CallCallManagerID, e.CallLegID}, e.CompressionType,
			packet(e.MilliSecondPacketSize)}}, true
	case *ctiqbe.CallStopReceptionEvent:
		return []Event{Media{Device: m.names[handle{e.DeviceCallManagerID, e.DeviceID}], Call: CallID{e.CallCallManagerID, e.CallLegID}, Receive: true}}, true
	case *ctiqbe.CallStopTransmissionEvent:
		return []Event{Media{Device: m.names[handle{e.DeviceCallManagerID, e.DeviceID}], Call: CallID{e.CallCallManagerID, e.CallLegID}}}, true
	case *ctiqbe.CallReceptionKeyEvent:
		return []Event{keyEvent(m.names[handle{e.DeviceCallManagerID, e.DeviceID}], CallID{e.CallCallManagerID, e.CallLegID}, true, e.KeyInfo)}, true
	case *ctiqbe.CallTransmissionKeyEvent:
		return []Event{keyEvent(m.names[handle{e.DeviceCallManagerID, e.DeviceID}], CallID{e.CallCallManagerID, e.CallLegID}, false, e.KeyInfo)}, true
	}
	return nil, false
}

func packet(ms uint32) time.Duration { return time.Duration(ms) * time.Millisecond }

func keyEvent(device string, call CallID, receive bool, k ctiqbe.MediaEncryptionKeyInfo) Key {
	return Key{device, call, receive, k.SecurityIndicator, k.AlgorithmID, KeyMaterial{k.Key, k.Salt}}
}

func participant(p ctiqbe.ParticipantInfo) Participant {
	return Participant{named(p.ParticipantNumber, p.ParticipantName, p.UnmodifiedParticipantUnicodeDisplayName, p.ParticipantDNInfo),
		CallID{p.CallManagerID, p.CallLegID}}
}

func (m *model) applyFeature(msg ctiqbe.Message) ([]Event, bool) {
	switch e := msg.(type) {
	case *ctiqbe.LineCallTransferStartedEvent:
		return []Event{Transfer{Line: m.ids[handle{e.LineCallManagerID, e.LineID}], Surviving: GlobalCallID{e.SurvivingGCMID, e.SurvivingGCCID},
			Other: GlobalCallID{e.OtherGCMID, e.OtherGCCID}}}, true
	case *ctiqbe.LineCallTransferEndedEvent:
		return []Event{Transfer{Line: m.ids[handle{e.LineCallManagerID, e.LineID}], Ended: true, Success: e.Success}}, true
	case *ctiqbe.LineCallConferenceStartedEvent:
		return []Event{Conference{Line: m.ids[handle{e.LineCallManagerID, e.LineID}], Surviving: GlobalCallID{e.SurvivingGCMID, e.SurvivingGCCID}}}, true
	case *ctiqbe.LineCallConferenceEndedEvent:
		return []Event{Conference{Line: m.ids[handle{e.LineCallManagerID, e.LineID}], Ended: true, Success: e.Success}}, true
	case *ctiqbe.CallConferenceStateChangedEvent:
		at, ok := m.on(e.LineCallManagerID, e.LineID, e.CallCallManagerID, e.CallLegID)
		if !ok {
			return nil, true
		}
		c := ConferenceChanged{Call: m.calls[at], Status: e.ModifyStatus, Changed: participant(e.ChangedParticipantInfo)}
		for _, p := range e.OtherParticipantsInfo {
			c.Participants = append(c.Participants, participant(p))
		}
		return []Event{c}, true
	case *ctiqbe.LineParkStatusEvent:
		return []Event{Parked{m.ids[handle{e.LineCallManagerID, e.LineID}], GlobalCallID{e.GlobalCallManagerID, e.CallID}, e.ParkState, e.ParkDN,
			Party{Number: e.ParkedParty, Partition: e.ParkedPartyPartition}}}, true
	case *ctiqbe.LineForwardEvent:
		f := ForwardChanged{Line: m.ids[handle{e.LineCallManagerID, e.LineID}]}
		for _, i := range e.ForwardInfo {
			if i.ForwardType == ctiqbe.ForwardTypeAllOn {
				f.To = i.Destination
			}
		}
		return []Event{f}, true
	case *ctiqbe.DeviceDNDStatusChangedEvent:
		return []Event{DoNotDisturb{m.names[handle{e.DeviceCallManagerID, e.DeviceID}], e.DNDStatus}}, true
	}
	return nil, false
}

func (m *model) applyService(msg ctiqbe.Message) []Event {
	switch e := msg.(type) {
	case *ctiqbe.DeviceInServiceEvent:
		return m.inService(LineID{Device: m.names[handle{e.DeviceCallManagerID, e.DeviceID}]}, true, "")
	case *ctiqbe.DeviceOutOfServiceEvent:
		return m.inService(LineID{Device: m.names[handle{e.DeviceCallManagerID, e.DeviceID}]}, false, e.Reason.String())
	case *ctiqbe.LineInServiceEvent:
		return m.inService(m.ids[handle{e.LineCallManagerID, e.LineID}], true, "")
	case *ctiqbe.LineOutOfServiceEvent:
		return m.inService(m.ids[handle{e.LineCallManagerID, e.LineID}], false, e.Reason.String())
	case *ctiqbe.LineExistingCallCompletedEvent:
		if id, ok := m.ids[handle{e.LineCallManagerID, e.LineID}]; ok {
			m.whole[id] = true
		}
		return nil
	case *ctiqbe.DeviceClosedEvent:
		name := m.names[handle{e.DeviceCallManagerID, e.DeviceID}]
		m.closeDevice(handle{e.DeviceCallManagerID, e.DeviceID})
		return []Event{ServiceChanged{Device: name, Why: e.Reason.String()}}
	case *ctiqbe.LineClosedEvent:
		id := m.ids[handle{e.LineCallManagerID, e.LineID}]
		m.closeLine(handle{e.LineCallManagerID, e.LineID})
		return []Event{ServiceChanged{Device: id.Device, Line: id, Why: e.Reason.String()}}
	case *ctiqbe.DeviceLineInfoEvent:
		m.device(e)
		return nil
	}
	return m.applyDevices(msg)
}

func (m *model) inService(id LineID, in bool, why string) []Event {
	if id.Device == "" {
		return nil
	}
	was, known := m.service[id]
	m.service[id] = in
	if known && was == in {
		return nil
	}
	e := ServiceChanged{Device: id.Device, InService: in, Why: why}
	if id.Number != "" {
		e.Line = id
	}
	return []Event{e}
}

// device takes a device with its lines; a device of many lines comes in several pieces.
func (m *model) device(e *ctiqbe.DeviceLineInfoEvent) {
	at := slices.IndexFunc(m.devices, func(d Device) bool { return d.Name == e.DeviceName })
	if at < 0 {
		m.devices = append(m.devices, Device{Name: e.DeviceName})
		at = len(m.devices) - 1
	}
	d := &m.devices[at]
	d.Type, d.TypeName, d.Protocol = e.DeviceInfoStatic.DeviceType, e.DeviceInfoStatic.DeviceTypeName, e.DeviceInfoStatic.Protocol
	d.Registered, d.Restricted = e.DeviceRegistrationStatus == ctiqbe.RegistrationStatusRegistered, e.DeviceInfoDynamic.DeviceRestricted
	d.Address = address(e.DeviceRegistrationInfo.IPv4Addr, e.DeviceRegistrationInfo.IPv6Addr)
	for _, l := range e.LineInfo {
		d.addLine(l)
	}
}

func (d *Device) addLine(l ctiqbe.LineInfo) {
	info := LineInfo{ID: LineID{d.Name, l.Name, l.Partition}, Label: l.UnicodeLabel, Button: l.LineInstance, MaxCalls: l.MaxNumberOfCalls, Restricted: l.IsRestricted}
	for _, name := range []string{l.ASCIILabel, l.UnicodeDisplayName, l.DisplayName} {
		if info.Label == "" {
			info.Label = name
		}
	}
	if at := slices.IndexFunc(d.Lines, func(o LineInfo) bool { return o.ID == info.ID }); at >= 0 {
		d.Lines[at] = info
		return
	}
	d.Lines = append(d.Lines, info)
}

func (m *model) applyDevices(msg ctiqbe.Message) []Event {
	set := func(name string, registered, gone bool) []Event {
		at := slices.IndexFunc(m.devices, func(d Device) bool { return d.Name == name })
		switch {
		case at >= 0 && gone:
			m.devices = slices.Delete(m.devices, at, at+1)
		case at >= 0:
			m.devices[at].Registered = registered
		}
		return []Event{DeviceChanged{name, gone}}
	}
	switch e := msg.(type) {
	case *ctiqbe.DeviceRegisteredEvent:
		return set(e.DeviceInfo.Name, true, false)
	case *ctiqbe.DeviceRegisteredEventWithLineInfo:
		events := set(e.DeviceName, true, false)
		if at := slices.IndexFunc(m.devices, func(d Device) bool { return d.Name == e.DeviceName }); at >= 0 {
			m.devices[at].Address = address(e.DeviceRegistrationInfo.IPv4Addr, e.DeviceRegistrationInfo.IPv6Addr)
			for _, l := range e.LineInfo {
				m.devices[at].addLine(l)
			}
		}
		return events
	case *ctiqbe.DeviceUnregisteredEvent:
		return set(e.DeviceInfo.Name, false, false)
	case *ctiqbe.ProviderUserChangedEvent:
		if t := e.TypeOfNotification; t == ctiqbe.UserNotifyTypeDeviceRemove || t == ctiqbe.UserNotifyTypeDeviceDeletedFromDB {
			return set(e.DeviceInfo.Name, false, true)
		}
		return []Event{DeviceChanged{Device: e.DeviceInfo.Name}}
	case *ctiqbe.Heartbeat, *ctiqbe.FailureResponse, *ctiqbe.ProviderOpenCompletedEvent, *ctiqbe.ProviderClosedEvent,
		*ctiqbe.ProviderGetAllDevicesAndLinesCompletedEvent:
		return nil // the session's own affairs
	}
	if _, answer := ctiqbe.Sequence(msg); answer { // of a request that nobody waits for any more
		return nil
	}
	return []Event{Other{msg}}
}
