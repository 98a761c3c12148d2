package ctimanager

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// What a client is told of the devices and lines it may control: the newer way, one event for each device (282, 285), and the older ways
// by lists that are fetched in pieces (13, 24, 145).

// A list is an enumeration that is fetched in pieces.
type list struct {
	devices []*directory.Device
	lines   []ctiqbe.LineInfo
	numbers []ctiqbe.DNInfo
}

// maxLists bounds the enumerations a client has begun and not closed.
const maxLists = 64

// A listing is an answer to 282 or 285 that is still being told.
type listing struct {
	request uint32
	devices []*directory.Device
	single  bool
}

// newList keeps a list; 0: the client has too many.
func (p *provider) newList(seq uint32, l *list) uint32 {
	if len(p.lists) >= maxLists {
		p.fail(seq, ctiqbe.ErrTemporaryFailure, "close some of the enumerations first")
		return 0
	}
	h := p.number()
	p.lists[h] = l
	return h
}

// handleAllDevices answers PROVIDER_GET_ALL_DEVICES_AND_LINES_REQUEST: one event for each device follows, then one that says it is all.
func (p *provider) handleAllDevices(m *ctiqbe.ProviderGetAllDevicesAndLinesRequest) {
	devices := p.controlled()
	p.remark(trace.Info, fmt.Sprintf("CTI ProviderGetAllDevicesAndLinesRequest ( seq#=%d) %d devices", m.SequenceNumber, len(devices)))
	p.send(&ctiqbe.ProviderGetAllDevicesAndLinesResponse{SequenceNumber: m.SequenceNumber})
	p.listings = append(p.listings, &listing{request: m.SequenceNumber, devices: devices})
	p.tellMore()
}

// handleOneDevice answers PROVIDER_GET_SINGLE_DEVICE_AND_LINES_REQUEST.
func (p *provider) handleOneDevice(m *ctiqbe.ProviderGetSingleDeviceAndLinesRequest) {
	d, no := p.mayControl(m.DeviceName)
	if no != nil {
		p.fail(m.SequenceNumber, no.result, no.why)
		return
	}
	p.send(&ctiqbe.ProviderGetSingleDeviceAndLinesResponse{SequenceNumber: m.SequenceNumber})
	p.listings = append(p.listings, &listing{request: m.SequenceNumber, devices: []*directory.Device{d}, single: true})
	p.tellMore()
}

// atOnce is how many devices are told before the client has to take some: what waits for it stays small however many there are.
const atOnce = 64

// tellMore goes on with what is being told.
func (p *provider) tellMore() {
	for budget := atOnce; len(p.listings) > 0 && budget > 0; {
		l := p.listings[0]
		n := min(budget, len(l.devices))
		for _, d := range l.devices[:n] {
			p.tellDevice(l.request, d)
			p.told[d.Name] = true
		}
		l.devices = l.devices[n:]
		budget -= n
		if len(l.devices) > 0 {
			return
		}
		p.listings = p.listings[1:]
		if l.single {
			p.send(&ctiqbe.ProviderGetSingleDeviceAndLinesCompletedEvent{RequestID: l.request})
		} else {
			p.send(&ctiqbe.ProviderGetAllDevicesAndLinesCompletedEvent{RequestID: l.request})
		}
	}
}

// everything is what a device event contains.
const everything = ctiqbe.DeviceLineInfoContentDeviceInfoStatic | ctiqbe.DeviceLineInfoContentDeviceInfoDynamic |
	ctiqbe.DeviceLineInfoContentDeviceRegistrationInfo | ctiqbe.DeviceLineInfoContentLineInfo

// tellDevice tells of one device and its lines, in several events when it has many.
func (p *provider) tellDevice(request uint32, d *directory.Device) {
	lines := p.lineInfos(d)
	registration, status := p.registrationInfo(d)
	for first := true; first || len(lines) > 0; first = false {
		n := min(len(lines), p.who.limits.Lines)
		p.send(&ctiqbe.DeviceLineInfoEvent{RequestID: request, DeviceName: d.Name, DeviceRegistrationStatus: status, ControlModeBitMap: p.control(d), EventContent: everything,
			DeviceInfoStatic:  ctiqbe.DeviceInfoStatic{DeviceType: deviceType(d), DeviceTypeName: deviceTypeName(d), DeviceID: permanent(d.Name), Protocol: deviceProtocol(d)},
			DeviceInfoDynamic: p.dynamic(d), DeviceRegistrationInfo: registration, LineInfo: lines[:n], TotalLines: uint32(len(d.Appearances)), MoreLines: n < len(lines)})
		lines = lines[n:]
	}
}

// control says by what right a client has a device.
func (p *provider) control(d *directory.Device) ctiqbe.DeviceControl {
	if p.acquired[d.Name] {
		return ctiqbe.DeviceControlAcquired
	}
	return ctiqbe.DeviceControlControlled
}

func (p *provider) dynamic(d *directory.Device) ctiqbe.DeviceInfoDynamic {
	return ctiqbe.DeviceInfoDynamic{Locale: locale, DNDOption: dndOption(d), DeviceRestricted: d.AllowControlFromCTI == config.CTIControlRefused}
}

func (p *provider) registrationInfo(d *directory.Device) (ctiqbe.DeviceRegistrationInfo, ctiqbe.RegistrationStatus) {
	at, in := p.world.registration(d.Name)
	r := ctiqbe.DeviceRegistrationInfo{EncodingType: ctiqbe.EncodingTypeUCS2, CTIControllable: ctiqbe.ControllabilityYes}
	if d.AllowControlFromCTI == config.CTIControlRefused {
		r.CTIControllable = ctiqbe.ControllabilityNo
	}
	if !in {
		return r, ctiqbe.RegistrationStatusUnregistered
	}
	r.IPv4Addr, r.IPv6Addr, r.ActiveIPAddrMode = addresses(at.Remote)
	return r, ctiqbe.RegistrationStatusRegistered
}

// addresses is an address as the protocol has it: version 4 as its bytes stand on the wire.
func addresses(a netip.Addr) (v4 uint32, v6 []byte, mode ctiqbe.IPAddressingMode) {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24, nil, ctiqbe.IPAddressingModeIPv4
	case a.Is6():
		return 0, a.AsSlice(), ctiqbe.IPAddressingModeIPv6
	}
	return 0, nil, ctiqbe.IPAddressingModeIPv4
}

// lineInfos are the lines of a device.
func (p *provider) lineInfos(d *directory.Device) []ctiqbe.LineInfo {
	out := make([]ctiqbe.LineInfo, 0, len(d.Appearances))
	for _, a := range d.Appearances {
		out = append(out, ctiqbe.LineInfo{Name: a.Line.Number, DisplayName: a.Line.Display, UnicodeDisplayName: a.Line.Display,
			PermanentLineID: permanent(d.Name + " " + a.Line.Key()), MaxNumberOfCalls: uint32(a.MaxCalls), LineInstance: uint32(a.Index), BusyTrigger: uint32(a.BusyTrigger),
			Partition: a.Line.Partition, IsRestricted: a.AllowControlFromCTI == config.CTIControlRefused, ASCIILabel: a.Label, UnicodeLabel: a.Label,
			AutoAnswerStatus: autoAnswer(a)})
	}
	return out
}

func autoAnswer(a *directory.Appearance) ctiqbe.AutoAnswerType {
	if a.AutoAnswer || a.Line.AutoAnswer != 0 {
		return ctiqbe.AutoAnswerTypeWithSpeakerset
	}
	return ctiqbe.AutoAnswerTypeOff
}

// deviceInfo is a device in the older shape.
func (p *provider) deviceInfo(d *directory.Device) ctiqbe.DeviceInfo {
	return ctiqbe.DeviceInfo{Name: d.Name, Type: deviceType(d), AllowsRegistration: terminal(d), DeviceID: permanent(d.Name), Locale: locale, Protocol: deviceProtocol(d),
		IsRestricted: d.AllowControlFromCTI == config.CTIControlRefused, DevTypeName: deviceTypeName(d), DNDOption: dndOption(d)}
}

// permanent is a number by which a client remembers a device or line from one login to the next.
func permanent(name string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails
	return h.Sum32() & 0x7fffffff
}

// deviceType is the number of a device's model; desk phones by what people call them (8845 is 8845 in none of the lists, which end before).
func deviceType(d *directory.Device) ctiqbe.DeviceType {
	switch {
	case terminal(d):
		return terminalType(d)
	case strings.HasPrefix(d.Name, "SEP"):
		if n, ok := models[d.Model]; ok {
			return n
		}
		return models["7965"]
	}
	return ctiqbe.DeviceTypeClientServicesFramework
}

// models are the product numbers of desk phones, as the field's database and its clients have them.
var models = map[string]ctiqbe.DeviceType{"6901": 547, "6911": 548, "6921": 495, "6941": 496, "6945": 564, "6961": 497, "7906": 369, "7911": 307, "7921": 365, "7925": 484, "7926": 577,
	"7937": 431, "7941": 115, "7942": 434, "7945": 435, "7961": 30018, "7962": 404, "7965": 436, "7970": 30006, "7971": 119, "7975": 437, "8941": 586, "8945": 585, "8961": 540,
	"9951": 537, "9971": 493}

func deviceTypeName(d *directory.Device) string {
	if strings.HasPrefix(d.Name, "SEP") && !terminal(d) {
		return "Cisco " + d.Model
	}
	return d.Model
}

func deviceProtocol(d *directory.Device) ctiqbe.DeviceProtocol {
	switch {
	case terminal(d):
		return ctiqbe.DeviceProtocolNone
	case d.Protocol == config.ProtocolSCCP:
		return ctiqbe.DeviceProtocolSCCP
	}
	return ctiqbe.DeviceProtocolSIP
}

// handleDeviceList answers PROVIDER_GET_DEVICE_INFO_REQUEST, the older way to the devices.
func (p *provider) handleDeviceList(m *ctiqbe.ProviderGetDeviceInfoRequest) {
	devices := p.controlled()
	if m.DeviceGroup == ctiqbe.DeviceGroupRegisterable {
		var some []*directory.Device
		for _, d := range devices {
			if terminal(d) {
				some = append(some, d)
			}
		}
		devices = some
	}
	if h := p.newList(m.SequenceNumber, &list{devices: devices}); h != 0 {
		p.send(&ctiqbe.ProviderGetDeviceInfoResponse{SequenceNumber: m.SequenceNumber, EnumerationHandle: h})
	}
}

// handleLineList answers DEVICE_GET_LINE_INFO_REQUEST.
func (p *provider) handleLineList(m *ctiqbe.DeviceGetLineInfoRequest) {
	d, no := p.mayControl(m.DeviceName)
	if no != nil {
		p.fail(m.SequenceNumber, no.result, no.why)
		return
	}
	if h := p.newList(m.SequenceNumber, &list{lines: p.lineInfos(d)}); h != 0 {
		p.send(&ctiqbe.DeviceGetLineInfoResponse{SequenceNumber: m.SequenceNumber, EnumerationHandle: h})
	}
}

// handleParkNumbers answers PROVIDER_GET_MONITOR_DN_INFO_REQUEST: the numbers at which calls can be parked.
func (p *provider) handleParkNumbers(m *ctiqbe.ProviderGetMonitorDNInfoRequest) {
	l := &list{}
	if p.rights.ParkMonitoring {
		for _, n := range p.world.site().parks {
			l.numbers = append(l.numbers, dnInfo(n))
		}
	}
	if h := p.newList(m.SequenceNumber, l); h != 0 {
		p.send(&ctiqbe.ProviderGetMonitorDNInfoResponse{SequenceNumber: m.SequenceNumber, MonitorDNEnumerationHandle: h})
	}
}

func dnInfo(n call.LineID) ctiqbe.DNInfo {
	return ctiqbe.DNInfo{Name: n.Number, PermanentLineID: permanent(n.Number + "/" + n.Partition), Partition: n.Partition}
}

// listOf is an enumeration the client has begun.
func (p *provider) listOf(seq, handle uint32) *list {
	l := p.lists[handle]
	if l == nil {
		p.fail(seq, ctiqbe.ErrIllegalHandle, "there is no enumeration "+strconv.Itoa(int(handle)))
	}
	return l
}

// piece takes as many as were asked for; 0 is all.
func piece[T any](rest *[]T, count uint32) (out []T, more bool) {
	n := len(*rest)
	if count > 0 && uint64(count) < uint64(n) {
		n = int(count)
	}
	out, *rest = (*rest)[:n], (*rest)[n:]
	return out, len(*rest) > 0
}

func (p *provider) handleDeviceFetch(m *ctiqbe.GetDeviceInfoFetchRequest) {
	l := p.listOf(m.SequenceNumber, m.EnumerationHandle)
	if l == nil {
		return
	}
	r := &ctiqbe.GetDeviceInfoFetchResponse{SequenceNumber: m.SequenceNumber}
	devices, more := piece(&l.devices, m.Count)
	r.More = more
	for _, d := range devices {
		r.Info = append(r.Info, p.deviceInfo(d))
		r.DeviceControlFlagBitMask = append(r.DeviceControlFlagBitMask, p.control(d))
		p.told[d.Name] = true
	}
	p.send(r)
}

func (p *provider) handleDeviceFetched(m *ctiqbe.GetDeviceInfoCloseRequest) {
	if p.listOf(m.SequenceNumber, m.EnumerationHandle) != nil {
		delete(p.lists, m.EnumerationHandle)
		p.send(&ctiqbe.GetDeviceInfoCloseResponse{SequenceNumber: m.SequenceNumber})
	}
}

func (p *provider) handleLineFetch(m *ctiqbe.GetLineInfoFetchRequest) {
	l := p.listOf(m.SequenceNumber, m.EnumerationHandle)
	if l == nil {
		return
	}
	r := &ctiqbe.GetLineInfoFetchResponse{SequenceNumber: m.SequenceNumber}
	r.Info, r.More = piece(&l.lines, m.Count)
	p.send(r)
}

func (p *provider) handleLineFetched(m *ctiqbe.GetLineInfoCloseRequest) {
	if p.listOf(m.SequenceNumber, m.EnumerationHandle) != nil {
		delete(p.lists, m.EnumerationHandle)
		p.send(&ctiqbe.GetLineInfoCloseResponse{SequenceNumber: m.SequenceNumber})
	}
}

func (p *provider) handleParkFetch(m *ctiqbe.GetMonitorDNFetchRequest) {
	l := p.listOf(m.SequenceNumber, m.EnumerationHandle)
	if l == nil {
		return
	}
	r := &ctiqbe.GetMonitorDNFetchResponse{SequenceNumber: m.SequenceNumber}
	r.DNInfo, r.More = piece(&l.numbers, m.Count)
	p.send(r)
}

func (p *provider) handleParkFetched(m *ctiqbe.GetMonitorDNCloseRequest) {
	if p.listOf(m.SequenceNumber, m.EnumHandle) != nil {
		delete(p.lists, m.EnumHandle)
		p.send(&ctiqbe.GetMonitorDNCloseResponse{SequenceNumber: m.SequenceNumber, MonitorDNEnumerationHandle: m.EnumHandle})
	}
}

// handleSingleDevice answers GET_SINGLE_DEVICE_INFO_REQUEST.
func (p *provider) handleSingleDevice(m *ctiqbe.GetSingleDeviceInfoRequest) {
	d, no := p.mayControl(m.DeviceName)
	if no != nil {
		p.fail(m.SequenceNumber, no.result, no.why)
		return
	}
	p.told[d.Name] = true
	p.send(&ctiqbe.GetSingleDeviceInfoResponse{SequenceNumber: m.SequenceNumber, Info: p.deviceInfo(d), DeviceControlFlagBitMask: p.control(d)})
}
