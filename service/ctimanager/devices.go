package ctimanager

import (
	"fmt"
	"slices"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// An openDevice is a device that the client has opened.
type openDevice struct {
	handle deviceHandle
	name   string
	filter ctiqbe.DeviceEventFilter
	lines  []*openLine
	// in says that it is in service, at where.
	in    bool
	where place
	// flows is the media of its calls, by leg.
	flows map[callHandle]*flow
	// media is what it was registered with.
	media string
	// registered is set for a terminal whose media the client has taken over (DEVICE_REGISTER_DEVICE).
	registered bool
}

// handleDeviceOpen answers DEVICE_OPEN_REQUEST: the client hears of the device from here on.
func (p *provider) handleDeviceOpen(m *ctiqbe.DeviceOpenRequest) {
	p.remark(trace.Info, fmt.Sprintf("[CTI-APP] [CTIHandler::processIncomingMessage] CTI DeviceOpenRequest ( seq#=%d device name=%s softkeys AppID=%d)", m.SequenceNumber,
		m.DeviceName, m.SoftKeysApplicationID))
	d, no := p.mayControl(m.DeviceName)
	switch {
	case no != nil:
		p.fail(m.SequenceNumber, no.result, no.why)
		return
	case p.names[m.DeviceName] != nil:
		p.fail(m.SequenceNumber, ctiqbe.ErrDeviceAlreadyOpened, "the device is open")
		return
	}
	o := p.openDevice(d, m.Filter)
	p.send(&ctiqbe.DeviceOpenResponse{SequenceNumber: m.SequenceNumber, CallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID})
	p.traceOpened(m.SequenceNumber, o, d)
	p.serviceOf(o, true)
}

// openDevice puts a device among the open ones and has its events delivered.
func (p *provider) openDevice(d *directory.Device, f ctiqbe.DeviceEventFilter) *openDevice {
	o := &openDevice{handle: deviceHandle{p.world.site().nodes.of(p.who.node), p.number()}, name: d.Name, filter: f}
	p.devices[o.handle], p.names[d.Name] = o, o
	p.open = append(p.open, o)
	p.do(watch{d.Name})
	p.relisten = true
	if most := p.world.site().params.Devices; len(p.open) == most+1 {
		p.remark(trace.Error, fmt.Sprintf("MaxDevicesPerProviderExceeded: %s has more than %d devices open: spread them over several instances", p.user, most))
	}
	return o
}

func (p *provider) traceOpened(seq uint32, o *openDevice, d *directory.Device) {
	i := p.deviceInfo(d)
	p.remark(trace.Info, fmt.Sprintf("[CTI-APP] [CTIHandler::OutputCtiMessage] CTI DeviceOpenResponse ( seq#=%d result=0 DH=%d|%d deviceName=%s deviceType=%d deviceId=%d "+
		"registrationAllowed=%d deviceLocale=%d protocol=%d deviceRestricted=%d DNDOption=%d)", seq, o.handle.CallManagerID, o.handle.DeviceID, d.Name, i.Type, i.DeviceID,
		bit(i.AllowsRegistration), i.Locale, i.Protocol, bit(i.IsRestricted), i.DNDOption))
}

// handleDeviceFilter answers DEVICE_CHANGE_EVENT_FILTER_REQUEST.
func (p *provider) handleDeviceFilter(m *ctiqbe.DeviceChangeEventFilterRequest) {
	o := p.device(m.CallManagerID, m.DeviceID)
	if o == nil {
		p.fail(m.SequenceNumber, ctiqbe.ErrIllegalHandle, "the device is not open")
		return
	}
	o.filter, p.relisten = m.Filter, true
	p.send(&ctiqbe.DeviceChangeEventFilterResponse{SequenceNumber: m.SequenceNumber, CallManagerID: m.CallManagerID, DeviceID: m.DeviceID})
}

// handleDeviceClose answers DEVICE_CLOSE_REQUEST; the lines of the device are closed with it.
func (p *provider) handleDeviceClose(m *ctiqbe.DeviceCloseRequest) {
	o := p.device(m.CallManagerID, m.DeviceID)
	if o == nil {
		p.fail(m.SequenceNumber, ctiqbe.ErrIllegalHandle, "the device is not open")
		return
	}
	p.closeDevice(o)
	p.send(&ctiqbe.DeviceCloseResponse{SequenceNumber: m.SequenceNumber, CallManagerID: m.CallManagerID, DeviceID: m.DeviceID})
}

// closeDevice forgets an open device and its lines.
func (p *provider) closeDevice(o *openDevice) {
	for _, l := range slices.Clone(o.lines) {
		p.closeLine(l)
	}
	delete(p.devices, o.handle)
	delete(p.names, o.name)
	p.open = slices.DeleteFunc(p.open, func(x *openDevice) bool { return x == o })
	p.do(unwatch{o.name})
	p.relisten = true
	if o.registered {
		p.errand(unregistered{o.name}, unregisterTerminal{o.name, p.who.holder()})
	}
}

// takeDevice closes a device that the client may have no longer, and says so.
func (p *provider) takeDevice(o *openDevice, device ctiqbe.DeviceCloseReason, line ctiqbe.LineCloseReason) {
	for _, l := range slices.Clone(o.lines) {
		p.send(&ctiqbe.LineClosedEvent{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, Reason: line})
	}
	p.send(&ctiqbe.DeviceClosedEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, Reason: device})
	p.closeDevice(o)
}

// serviceOf tells whether the device and its lines are in service, where that has changed; always when it was just opened.
func (p *provider) serviceOf(o *openDevice, always bool) {
	at, in := p.world.registration(o.name)
	if in && o.in && at.Node != o.where.Node && !always { // it has moved: what was there is gone
		p.outOfService(o, ctiqbe.DeviceOutOfServiceReasonRehomeToHigherPriorityCM)
	}
	if in == o.in && !always {
		o.where = at
		return
	}
	o.in, o.where = in, at
	if !in {
		p.outOfService(o, ctiqbe.DeviceOutOfServiceReasonDeviceUnregistered)
		return
	}
	p.inService(o)
	for _, l := range o.lines {
		p.lineInService(l)
	}
}

func (p *provider) inService(o *openDevice) {
	o.in = true
	m := &ctiqbe.DeviceInServiceEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, Locale: locale,
		SupportedEncoding: ctiqbe.EncodingTypeUCS2}
	if d, ok := p.world.site().Device(o.name); ok {
		m.DNDOption = dndOption(d)
	}
	p.send(m)
	p.remark(trace.Info, fmt.Sprintf("[CTI-APP] [CTIHandler::OutputCtiMessage ] CTI DeviceInServiceEvent ( DH=%d|%d ) Encoding Type=%d Device locale=%d Alt Script= DNDStatus=%d DNDOption=%d)",
		o.handle.CallManagerID, o.handle.DeviceID, m.SupportedEncoding, m.Locale, bit(m.DNDStatus), m.DNDOption))
}

// outOfService tells of lines first, as they go with their device.
func (p *provider) outOfService(o *openDevice, why ctiqbe.DeviceOutOfServiceReason) {
	o.in = false
	for _, l := range o.lines {
		p.send(&ctiqbe.LineOutOfServiceEvent{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, Reason: ctiqbe.LineOutOfServiceReason(why)})
	}
	p.send(&ctiqbe.DeviceOutOfServiceEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, Reason: why})
}

// locale of devices: English, United States. It decides how names in one-byte strings are read; names are sent in UTF-16 besides.
const locale = 1

func dndOption(d *directory.Device) ctiqbe.DNDOption {
	if d.DoNotDisturb == config.RingerOff {
		return ctiqbe.DNDOptionRingerOff
	}
	return ctiqbe.DNDOptionCallReject
}

// registrations looks at what has changed about where devices are; empty: at all of them.
func (p *provider) registrations(name string) {
	if p.state != stateReady {
		return
	}
	if name != "" {
		if o := p.names[name]; o != nil {
			p.serviceOf(o, false)
		}
		p.tellRegistration(name)
		return
	}
	for _, o := range slices.Clone(p.open) {
		p.serviceOf(o, false)
	}
}

// handleDeviceConfig answers DEVICE_GET_CONFIG_INFO_REQUEST: a device's type; ports of media resources there are none.
func (p *provider) handleDeviceConfig(m *ctiqbe.DeviceGetConfigInfoRequest) {
	d, no := p.mayControl(m.DeviceName)
	if no != nil {
		p.fail(m.SequenceNumber, no.result, no.why)
		return
	}
	p.send(&ctiqbe.DeviceGetConfigInfoResponse{SequenceNumber: m.SequenceNumber, DeviceType: deviceType(d)})
}
