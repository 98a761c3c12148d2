package ctimanager

import (
	"fmt"
	"slices"

	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/directory/rights"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// What a client is told while it is logged in: that its user may something else, that a device came or went.

// revised looks at a new revision of the site.
func (p *provider) revised() {
	if p.state != stateReady {
		return
	}
	settings, no := mayLogIn(p.world.site(), p.user, p.who.secure)
	if no != nil {
		p.dismiss(no)
		return
	}
	p.rightsChanged(settings)
	p.devicesChanged()
	p.pickupsChanged()
}

// dismiss closes a provider whose user may not be logged in any more, with the reason the field has for it.
func (p *provider) dismiss(no *refusal) {
	reason := ctiqbe.ProviderCloseReasonAllOtherReason
	switch no.result {
	case ctiqbe.ErrDirectoryLoginFailed:
		p.send(&ctiqbe.ProviderUserChangedEvent{TypeOfNotification: ctiqbe.UserNotifyTypeUserDeleted, ProviderCapabilitiesInfo: p.capabilities()})
		reason = ctiqbe.ProviderCloseReasonUserDeleted
	case ctiqbe.ErrDirectoryLoginNotAllowed:
		reason = ctiqbe.ProviderCloseReasonStandardCTIEnabledPermissionsRemoved
	case ctiqbe.ErrConnectionOnInvalidPort:
		reason = ctiqbe.ProviderCloseReasonConnectionOnInvalidPort
	case ctiqbe.ErrUserNotAuthForSecurity:
		reason = ctiqbe.ProviderCloseReasonUnauthorizedForTLS
	}
	p.close(reason, no.why)
}

// rightsChanged tells which capabilities are others than before, each by its own event.
func (p *provider) rightsChanged(now rights.Settings) {
	was := p.rights
	p.rights = now
	for _, x := range []struct {
		changed bool
		kind    ctiqbe.UserNotifyType
	}{
		{was.AllDevices != now.AllDevices, ctiqbe.UserNotifyTypeSuperProviderChanged},
		{was.ModifyCalling != now.ModifyCalling, ctiqbe.UserNotifyTypeCallingNumberChanged},
		{was.ParkMonitoring != now.ParkMonitoring, ctiqbe.UserNotifyTypeParkDNMonitorChanged},
		{was.Recording != now.Recording, ctiqbe.UserNotifyTypeRecordingChanged},
		{was.Monitoring != now.Monitoring, ctiqbe.UserNotifyTypeMonitoringChanged},
	} {
		if x.changed {
			p.send(&ctiqbe.ProviderUserChangedEvent{TypeOfNotification: x.kind, ProviderCapabilitiesInfo: p.capabilities()})
		}
	}
	if was.AllDevices && !now.AllDevices {
		clear(p.acquired)
	}
}

// devicesChanged closes what the client may not have any more, and tells of devices that came and went.
func (p *provider) devicesChanged() {
	for _, o := range slices.Clone(p.open) {
		_, no := p.mayControl(o.name)
		if no != nil {
			p.withdraw(o, no)
			continue
		}
		for _, l := range slices.Clone(o.lines) {
			if _, no := p.appearance(o, l.line.Number, l.line.Partition); no != nil {
				p.withdrawLine(l, no)
			}
		}
	}
	p.tellControlled()
}

// withdraw takes an open device from the client.
func (p *provider) withdraw(o *openDevice, no *refusal) {
	p.remark(trace.Info, fmt.Sprintf("CTI DeviceClosedEvent ( DH=%d|%d ) %s", o.handle.CallManagerID, o.handle.DeviceID, no.why))
	if no.result == ctiqbe.ErrDeviceRestricted {
		p.takeDevice(o, ctiqbe.DeviceCloseReasonDeviceRestricted, ctiqbe.LineCloseReasonLineRestricted)
	} else {
		p.takeDevice(o, ctiqbe.DeviceCloseReasonDeviceRemoved, ctiqbe.LineCloseReasonDeviceRemoved)
	}
}

func (p *provider) withdrawLine(l *openLine, no *refusal) {
	reason := ctiqbe.LineCloseReasonUndefinedLine
	if no.result == ctiqbe.ErrLineRestricted {
		reason = ctiqbe.LineCloseReasonLineRestricted
	}
	p.remark(trace.Info, fmt.Sprintf("CTI LineClosedEvent ( LH=%d|%d reason=%v) %s", l.handle.CallManagerID, l.handle.LineID, reason, no.why))
	p.send(&ctiqbe.LineClosedEvent{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, Reason: reason})
	p.closeLine(l)
}

// tellControlled tells of devices that were associated with the user, and of those that are no more.
func (p *provider) tellControlled() {
	now := p.controlled()
	for _, d := range now {
		if !p.told[d.Name] {
			p.told[d.Name] = true
			p.send(&ctiqbe.ProviderUserChangedEvent{TypeOfNotification: ctiqbe.UserNotifyTypeDeviceAdd, DeviceInfo: p.deviceInfo(d), ProviderCapabilitiesInfo: p.capabilities(),
				DeviceControlFlagBitMask: p.control(d)})
		}
	}
	for _, name := range sortedNames(p.told) {
		if p.acquired[name] || slices.ContainsFunc(now, func(d *directory.Device) bool { return d.Name == name }) {
			continue
		}
		delete(p.told, name)
		m := &ctiqbe.ProviderUserChangedEvent{TypeOfNotification: ctiqbe.UserNotifyTypeDeviceRemove, ProviderCapabilitiesInfo: p.capabilities()}
		m.DeviceInfo.Name = name
		if d, ok := p.world.site().Device(name); ok {
			m.DeviceInfo = p.deviceInfo(d)
		} else {
			m.TypeOfNotification = ctiqbe.UserNotifyTypeDeviceDeletedFromDB
		}
		p.send(m)
	}
}

// tellRegistration tells that a device which the client may control has registered or unregistered, as its filter wants it.
func (p *provider) tellRegistration(name string) {
	d, ok := p.world.site().Device(name)
	if !ok || !p.told[name] {
		return
	}
	info, status := p.registrationInfo(d)
	switch in := status == ctiqbe.RegistrationStatusRegistered; {
	case in && !p.filter.DeviceRegistered, !in && !p.filter.DeviceUnregistered:
	case !in:
		p.send(&ctiqbe.DeviceUnregisteredEvent{DeviceInfo: p.deviceInfo(d), Controllable: true, DeviceControlFlagBitMask: p.control(d)})
	case p.application.Old:
		p.send(&ctiqbe.DeviceRegisteredEvent{DeviceInfo: p.deviceInfo(d), Controllable: true, UnicodeEnabled: 1, CTIControl: info.CTIControllable, IPv4Addr: info.IPv4Addr,
			IPv6Addr: info.IPv6Addr, ActiveIPAddrMode: info.ActiveIPAddrMode, DeviceControlFlagBitMask: p.control(d)})
	default:
		lines := p.lineInfos(d)
		p.send(&ctiqbe.DeviceRegisteredEventWithLineInfo{DeviceName: name, ControlModeBitMap: p.control(d), EventContent: everything &^ ctiqbe.DeviceLineInfoContentDeviceInfoStatic,
			DeviceInfoDynamic: p.dynamic(d), DeviceRegistrationInfo: info, LineInfo: lines, TotalLines: uint32(len(lines)), Protocol: deviceProtocol(d)})
	}
}
