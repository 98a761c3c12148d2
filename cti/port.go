package cti

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// Port is what an application does with the media of a CTI port, or of a route point, that it takes for itself. With the
// zero values each call's address is asked for, G.711 is spoken, and SRTP wherever the other end has it.
type Port struct {
	// Address is where the media of every call comes to. Zero: each call has an address of its own; when it is answered a
	// MediaWanted asks for it, and SetMedia names it.
	Address netip.AddrPort
	// Codecs are what can be received and sent; G.711 mu-law and A-law in packets of 20 ms when empty.
	Codecs []ctiqbe.MediaCapability
	// SRTP are the algorithms that can be done; when empty AES-CM with 80 and 32 bits and AES-GCM with 256 and 128.
	SRTP []ctiqbe.MediaEncryption
	// Plain does no SRTP at all: an encrypted phone is connected only where the site's policy allows it.
	Plain bool
}

func (t Port) request(device string) *ctiqbe.DeviceRegisterDeviceRequest {
	filter := deviceEvents()
	filter.OpenLogicalChannel = true
	q := &ctiqbe.DeviceRegisterDeviceRequest{DeviceName: device, MediaRegistrationType: ctiqbe.MediaRegistrationDynamic, MediaCaps: t.Codecs, AlgorithmIDs: t.SRTP, Filter: filter}
	if t.Address.IsValid() {
		q.MediaRegistrationType = ctiqbe.MediaRegistrationStatic
		q.IPAddr, q.RTPPortNumber, q.RTPDestV6 = mediaFields(t.Address)
	}
	if len(q.MediaCaps) == 0 {
		q.MediaCaps = []ctiqbe.MediaCapability{{PayloadCapability: ctiqbe.MediaPayloadG711MuLaw64K, MaxFramesPerPacket: 20},
			{PayloadCapability: ctiqbe.MediaPayloadG711ALaw64K, MaxFramesPerPacket: 20}}
	}
	switch {
	case t.Plain:
		q.AlgorithmIDs = nil
	case len(q.AlgorithmIDs) == 0:
		q.AlgorithmIDs = []ctiqbe.MediaEncryption{ctiqbe.MediaEncryptionAEAD256Counter, ctiqbe.MediaEncryptionAEAD128Counter,
			ctiqbe.MediaEncryptionAES128Counter80, ctiqbe.MediaEncryptionAES128Counter}
	}
	return q
}

// mediaFields is an address as the protocol has it: the four octets of version 4 as they stand on the wire, or version 6.
func mediaFields(at netip.AddrPort) (v4, port uint32, v6 ctiqbe.RTPDestinationV6) {
	a := at.Addr().Unmap()
	if !a.Is4() {
		return 0, 0, ctiqbe.RTPDestinationV6{IPAddrV6: a.AsSlice(), RTPPortV6: uint32(at.Port())}
	}
	b := a.As4()
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24, uint32(at.Port()), ctiqbe.RTPDestinationV6{}
}

// OpenPort registers a CTI port or a route point, so that its calls are this application's, and opens its lines. Calls are
// offered (NewCall): Accept lets them ring, Answer answers. Then come, in this order, two Keys (for users with the right
// to them, on the secure port) and two Medias, for each direction one; when media changes or ends, two Medias without
// Start. After a Gap the port is registered again.
func (p *Provider) OpenPort(ctx context.Context, device string, port Port) (err error) {
	leave := p.cfg.Trace.tspi("TSPI_lineOpen", "port %s", device)
	defer func() { leave(err) }()
	doing := "Registering " + device
	port.Codecs, port.SRTP = slices.Clone(port.Codecs), slices.Clone(port.SRTP)
	lines := slices.DeleteFunc(p.Lines(), func(l LineInfo) bool { return l.ID.Device != device })
	if len(lines) == 0 {
		return &Error{Doing: doing, Err: ErrNoDevice, Advice: "locktone tsp phones lists the devices that there are"}
	}
	p.opening.Lock()
	p.mu.Lock()
	_, open := p.model.handles[device]
	if !open {
		p.ports[device] = port
	}
	p.mu.Unlock()
	p.opening.Unlock()
	if open {
		return &Error{Doing: doing, Err: errors.New("the device is open"), Advice: "Close it first (CloseDevice)"}
	}
	for _, l := range lines {
		if err := p.OpenLine(ctx, l.ID); err != nil {
			return errors.Join(err, p.CloseDevice(ctx, device))
		}
	}
	return nil
}

// CloseDevice closes a device with its lines; calls of a port end.
func (p *Provider) CloseDevice(ctx context.Context, device string) error {
	p.opening.Lock()
	defer p.opening.Unlock()
	p.mu.Lock()
	delete(p.ports, device)
	p.wanted = slices.DeleteFunc(p.wanted, func(id LineID) bool { return id.Device == device })
	h, open := p.model.handles[device]
	p.mu.Unlock()
	if !open {
		return nil
	}
	s, err := p.link()
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, "Closing "+device, &ctiqbe.DeviceCloseRequest{CallManagerID: h.node, DeviceID: h.number})
	return err
}

// SetMedia says where the media of a port's call comes to, in answer to MediaWanted: within five seconds, or the call is
// released.
func (p *Provider) SetMedia(ctx context.Context, device string, call CallID, at netip.AddrPort) error {
	doing := fmt.Sprintf("Naming %s for the media of a call of %s", at, device)
	s, err := p.link()
	if err != nil {
		return &Error{Doing: doing, Err: err}
	}
	p.mu.Lock()
	h, open := p.model.handles[device]
	p.mu.Unlock()
	if !open {
		return &Error{Doing: doing, Err: ErrNotOpen}
	}
	q := &ctiqbe.DeviceSetRTPForCallRequest{CallManagerID: h.node, DeviceID: h.number, CallCallManagerID: call.Node, CallLegID: call.Leg}
	q.IPAddress, q.RTPPortNumber, q.RTPDestV6 = mediaFields(at)
	_, err = s.ask(ctx, doing, q)
	return err
}
