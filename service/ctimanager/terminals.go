package ctimanager

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// CTI ports and route points: devices whose calls are an application's. It registers one with what its media can do, and is offered the
// calls; when it goes, so does the registration, and calls go where the lines' forwards say.

// terminal says that a device is one whose media an application terminates.
func terminal(d *directory.Device) bool { return d.Protocol.Terminal() }

func terminalType(d *directory.Device) ctiqbe.DeviceType {
	if d.Protocol == config.ProtocolCTIRoutePoint {
		return ctiqbe.DeviceTypeCTIRoutePoint
	}
	return ctiqbe.DeviceTypeCTIPort
}

// holder names a connection among those that register terminals for one user.
func (c caller) holder() string { return fmt.Sprintf("%s-%d", c.node, c.number) }

// handleRegister answers DEVICE_REGISTER_DEVICE_REQUEST: the terminal is opened and registered in one.
func (p *provider) handleRegister(m *ctiqbe.DeviceRegisterDeviceRequest) {
	d, no := p.mayControl(m.DeviceName)
	if no == nil && !terminal(d) {
		no = &refusal{result: ctiqbe.ErrIllegalDeviceType, why: fmt.Sprintf("%s is neither a CTI port nor a route point", m.DeviceName)}
	}
	if no == nil && p.names[m.DeviceName] != nil {
		no = &refusal{result: ctiqbe.ErrDeviceAlreadyOpened, why: "the device is open: close it first"}
	}
	var media string
	if no == nil {
		media, no = mediaOf(m.MediaRegistrationType)
	}
	if no != nil {
		p.fail(m.SequenceNumber, no.result, no.why)
		return
	}
	r := live.TerminalRegistration{Device: d.Name, Application: p.user, Holder: p.who.holder(), Media: media, SRTP: algorithms(m.AlgorithmIDs),
		Address: mediaAddress(m.IPAddr, m.RTPPortNumber, m.RTPDestV6), Patience: time.Duration(min(m.MediaSpecificationTimeout, 60)) * time.Second}
	for _, c := range m.MediaCaps {
		r.Codecs = append(r.Codecs, live.TerminalCodec{Payload: uint32(c.PayloadCapability), Packet: int(min(c.MaxFramesPerPacket, 1000))})
	}
	p.errand(registering{m.SequenceNumber, d.Name, m.Filter, media}, registerTerminal{d.Nodes, r})
}

// algorithms are the SRTP algorithms a client offers.
func algorithms(ids []ctiqbe.MediaEncryption) (out []uint32) {
	for _, id := range ids {
		out = append(out, uint32(id))
	}
	return out
}

// mediaOf is how the media of a terminal's calls is named.
func mediaOf(r ctiqbe.MediaRegistration) (string, *refusal) {
	switch r {
	case ctiqbe.MediaRegistrationNone:
		return live.TerminalNoMedia, nil
	case ctiqbe.MediaRegistrationStatic, ctiqbe.MediaRegistrationExclusive, ctiqbe.MediaRegistrationStaticForGetPortSupport:
		return live.TerminalStatic, nil
	case ctiqbe.MediaRegistrationDynamic, ctiqbe.MediaRegistrationDynamicForGetPortSupport:
		return live.TerminalDynamic, nil
	}
	return "", &refusal{result: ctiqbe.ErrMediaRegistrationTypeDoNotMatch, why: fmt.Sprintf("media of kind %v is not registered here", r)}
}

// mediaAddress is an address of media: version 4 as its bytes stand on the wire, or version 6.
func mediaAddress(v4, port uint32, v6 ctiqbe.RTPDestinationV6) netip.AddrPort {
	if a, ok := netip.AddrFromSlice(v6.IPAddrV6); ok && a.Is6() && !a.IsUnspecified() {
		return netip.AddrPortFrom(a, uint16(v6.RTPPortV6))
	}
	if v4 == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(v4), byte(v4 >> 8), byte(v4 >> 16), byte(v4 >> 24)}), uint16(port))
}

// registerTerminal is the errand of registering a terminal at a node of its group.
type registerTerminal struct {
	nodes []string
	reg   live.TerminalRegistration
}

func (e registerTerminal) queue() string { return "device " + e.reg.Device }

func (e registerTerminal) do(ctx context.Context, s *Service, _ *connection) asked {
	ctx, cancel := context.WithTimeout(ctx, s.site().params.Request)
	defer cancel()
	_, err := s.terminals.Register(ctx, e.nodes, e.reg)
	return asked{Err: err}
}

// registering goes on when a terminal is registered, or is not.
type registering struct {
	seq    uint32
	device string
	filter ctiqbe.DeviceEventFilter
	media  string
}

func (w registering) finish(p *provider, a asked) {
	d, ok := p.world.site().Device(w.device)
	if a.Err != nil || !ok || p.names[w.device] != nil {
		p.fail(w.seq, terminalResult(a.Err), fmt.Sprintf("%s could not be registered: %v", w.device, a.Err))
		return
	}
	o := p.openDevice(d, w.filter)
	o.registered, o.media = true, w.media
	p.send(&ctiqbe.DeviceRegisterDeviceResponse{SequenceNumber: w.seq, CallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, DeviceInfo: p.deviceInfo(d)})
	p.traceOpened(w.seq, o, d)
	if _, in := p.world.registration(o.name); in { // otherwise the board tells in a moment
		p.serviceOf(o, true)
	}
}

// terminalResult is the error value of a registration that was refused.
func terminalResult(err error) ctiqbe.Result {
	var refused *bus.Error
	if errors.As(err, &refused) {
		switch refused.Code {
		case bus.CodeConflict:
			return ctiqbe.ErrDeviceAlreadyRegistered
		case bus.CodeForbidden:
			return ctiqbe.ErrAccessToDeviceDenied
		case bus.CodeNotFound:
			return ctiqbe.ErrInvalidDeviceName
		case bus.CodeInvalid:
			return ctiqbe.ErrIncorrectMediaCapability
		case bus.CodeNoResponder, bus.CodeUnavailable, bus.CodeTimeout:
			return ctiqbe.ErrCallManagerNotAvailable
		}
	}
	return ctiqbe.ErrCannotOpenDevice
}

// unregisterTerminal is the errand of giving a terminal back.
type unregisterTerminal struct{ device, holder string }

func (e unregisterTerminal) queue() string { return "device " + e.device }

func (e unregisterTerminal) do(ctx context.Context, s *Service, _ *connection) asked {
	ctx, cancel := context.WithTimeout(ctx, s.site().params.Request)
	defer cancel()
	return asked{Err: s.terminals.Unregister(ctx, e.device, e.holder)}
}

// unregistered: nobody waits for it.
type unregistered struct{ device string }

func (w unregistered) finish(p *provider, a asked) {
	if a.Err != nil {
		p.remark(trace.Error, fmt.Sprintf("the registration of %s could not be ended, and ends with its lease: %v", w.device, a.Err))
	}
}

// terminalAddress is the errand of naming the address of a terminal's media.
type terminalAddress struct {
	device, holder string
	leg            uint64
	at             netip.AddrPort
}

func (e terminalAddress) queue() string { return "device " + e.device }

func (e terminalAddress) do(ctx context.Context, s *Service, _ *connection) asked {
	ctx, cancel := context.WithTimeout(ctx, s.site().params.Request)
	defer cancel()
	return asked{Err: s.terminals.Address(ctx, e.device, e.holder, e.leg, e.at)}
}

// addressed answers when an address was taken.
type addressed struct{ response ctiqbe.Message }

func (w addressed) finish(p *provider, a asked) {
	if a.Err == nil {
		p.send(w.response)
		return
	}
	n, _ := ctiqbe.Sequence(w.response)
	p.fail(n, ctiqbe.ErrInvalidMediaParameter, a.Err.Error())
}

// registeredTerminal is an open terminal that the client has registered.
func (p *provider) registeredTerminal(seq, callManagerID, deviceID uint32) *openDevice {
	o := p.device(callManagerID, deviceID)
	switch {
	case o == nil:
		p.fail(seq, ctiqbe.ErrIllegalHandle, "the device is not open")
		return nil
	case !o.registered:
		p.fail(seq, ctiqbe.ErrDeviceNotRegistered, fmt.Sprintf("%s was not registered by this application", o.name))
		return nil
	}
	return o
}

// handleMediaDefaults answers DEVICE_CHANGE_RTP_DEFAULTS_REQUEST: the address of calls to come.
func (p *provider) handleMediaDefaults(m *ctiqbe.DeviceChangeRTPDefaultsRequest) {
	if o := p.registeredTerminal(m.SequenceNumber, m.CallManagerID, m.DeviceID); o != nil {
		r, _ := ctiqbe.Respond(m, ctiqbe.OK)
		d := r.(*ctiqbe.DeviceChangeRTPDefaultsResponse)
		d.CallManagerID, d.DeviceID = m.CallManagerID, m.DeviceID
		p.errand(addressed{d}, terminalAddress{device: o.name, holder: p.who.holder(), at: mediaAddress(m.IPAddr, m.RTPPortNumber, ctiqbe.RTPDestinationV6{})})
	}
}

// handleMediaForCall answers DEVICE_SET_RTP_FOR_CALL_REQUEST: the address of one call.
func (p *provider) handleMediaForCall(m *ctiqbe.DeviceSetRTPForCallRequest) {
	o := p.registeredTerminal(m.SequenceNumber, m.CallManagerID, m.DeviceID)
	if o == nil {
		return
	}
	for _, l := range o.lines {
		if c := l.call(m.CallCallManagerID, m.CallLegID); c != nil {
			p.errand(addressed{&ctiqbe.DeviceSetRTPForCallResponse{SequenceNumber: m.SequenceNumber, CallManagerID: m.CallManagerID, DeviceID: m.DeviceID}},
				terminalAddress{device: o.name, holder: p.who.holder(), leg: uint64(c.Leg), at: mediaAddress(m.IPAddress, m.RTPPortNumber, m.RTPDestV6)})
			return
		}
	}
	p.fail(m.SequenceNumber, ctiqbe.ErrCallHandleUnknownToLineControl, fmt.Sprintf("%s has no such call", o.name))
}

// handleAcquire answers PROVIDER_DEVICE_ACQUIRE_REQUEST: who may control all devices asks for one that is not associated with it.
func (p *provider) handleAcquire(m *ctiqbe.ProviderDeviceAcquireRequest) {
	d, no := p.mayControl(m.DeviceName)
	if no == nil && !p.rights.AllDevices {
		no = &refusal{result: ctiqbe.ErrOperationNotAllowed, why: fmt.Sprintf("%s is not in the group Standard CTI Allow Control of All Devices", p.user)}
	}
	if no != nil {
		p.fail(m.SequenceNumber, no.result, no.why)
		return
	}
	p.send(&ctiqbe.ProviderDeviceAcquireResponse{SequenceNumber: m.SequenceNumber})
	if !p.told[d.Name] {
		p.acquired[d.Name], p.told[d.Name] = true, true
		p.send(&ctiqbe.ProviderUserChangedEvent{TypeOfNotification: ctiqbe.UserNotifyTypeDeviceAcquire, DeviceInfo: p.deviceInfo(d), ProviderCapabilitiesInfo: p.capabilities(),
			DeviceControlFlagBitMask: p.control(d)})
	}
}

// handleDeacquire answers PROVIDER_DEVICE_DEACQUIRE_REQUEST.
func (p *provider) handleDeacquire(m *ctiqbe.ProviderDeviceDeacquireRequest) {
	if !p.acquired[m.DeviceName] {
		p.fail(m.SequenceNumber, ctiqbe.ErrDeviceNotAcquired, fmt.Sprintf("%q was not acquired", m.DeviceName))
		return
	}
	delete(p.acquired, m.DeviceName)
	delete(p.told, m.DeviceName)
	if o := p.names[m.DeviceName]; o != nil {
		p.takeDevice(o, ctiqbe.DeviceCloseReasonDeviceRemoved, ctiqbe.LineCloseReasonDeviceRemoved)
	}
	p.send(&ctiqbe.ProviderDeviceDeacquireResponse{SequenceNumber: m.SequenceNumber})
}
