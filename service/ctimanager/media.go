package ctimanager

import (
	"net/netip"
	"slices"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/leg/ctileg"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
)

// Where media goes, for clients that ask for it by the filter of a device: 90 to 93, the keys 221 and 222, and, of terminals with dynamic
// media, that an address is wanted (276, 163). What call managers tell (call/live.FollowMedia) comes by another way than the events of
// calls, and keys by a third. Their order for the client is made here:
//
//	281 state 8  >  221, 222  >  90, 91          92, 93  >  281 state 14, 1
//
// Keys go to a client on the secure port alone, whose user is entitled; all others are told by the security indicator that they are not.

// flowing is what a call manager tells of the media of a device.
type flowing struct {
	node  string
	media live.LegMedia
}

// keyed are the SRTP keys of a leg, opened for this client. They do not print.
type keyed struct {
	node string
	leg  call.LegID
	n    uint64
	keys sealed.Keys
}

func (flowing) input() {}
func (keyed) input()   {}

// listen has what devices' media does delivered, or no more; keys says that the client is given keys besides.
type listen struct{ media, keys bool }

func (listen) output() {}

// A flow is the media of one leg of an open device.
type flow struct {
	now live.LegMedia
	// told are the directions that the client knows to be open, and with which keys.
	receive, transmit *live.MediaWay
	keysTold          uint64
	keysSaid          bool // something was said of the keys of these directions
	want              bool // it was told that an address is wanted

	have  uint64 // number of keys
	keys  sealed.Keys
	since time.Time // from when on keys are waited for; zero: they are not
}

// keysWait is how long the media of a call waits for its keys, which are on their way: then it is told that there are none.
const keysWait = 2 * time.Second

// wantsMedia says whether a filter asks for anything of media.
func wantsMedia(f *ctiqbe.DeviceEventFilter) bool {
	return f.StartTransmission || f.StopTransmission || f.StartReception || f.StopReception || f.OpenLogicalChannel || f.OpenMediaIPPortEvent || wantsKeys(f)
}

func wantsKeys(f *ctiqbe.DeviceEventFilter) bool { return f.ReceptionKey || f.TransmissionKey }

// entitled says whether the client may have keys.
func (p *provider) entitled() bool { return p.who.secure && p.rights.SRTPKeys }

// listenNow has media followed while a device that is open asks for it.
func (p *provider) listenNow() {
	p.relisten = false
	var now listen
	for _, o := range p.open {
		if now.media && now.keys {
			break
		}
		now.media = now.media || wantsMedia(&o.filter)
		now.keys = now.keys || wantsKeys(&o.filter) && p.entitled()
	}
	if now != p.listening {
		p.listening = now
		p.do(now)
	}
}

// mediaFlows takes what is told of the media of a leg.
func (p *provider) mediaFlows(in flowing) {
	o := p.names[in.media.Device]
	if o == nil {
		return
	}
	f := o.flowOf(p.handleOf(in.node, in.media.Leg))
	f.now = in.media
	p.flow(o, p.handleOf(in.node, in.media.Leg))
}

// keysCome takes keys.
func (p *provider) keysCome(in keyed) {
	h := p.handleOf(in.node, in.leg)
	for _, o := range p.open {
		if f := o.flows[h]; f != nil || o.legKnown(h) {
			f = o.flowOf(h)
			f.have, f.keys = in.n, in.keys
			p.flow(o, h)
		}
	}
}

func (p *provider) handleOf(node string, leg call.LegID) callHandle {
	return callHandle{p.world.site().nodes.of(node), legNumber(leg)}
}

func (o *openDevice) flowOf(h callHandle) *flow {
	if o.flows == nil {
		o.flows = map[callHandle]*flow{}
	}
	if o.flows[h] == nil {
		o.flows[h] = &flow{}
	}
	return o.flows[h]
}

// legKnown says whether the client knows of the leg on a line of the device.
func (o *openDevice) legKnown(h callHandle) bool {
	return slices.ContainsFunc(o.lines, func(l *openLine) bool { return l.calls[h] != nil })
}

// stateOf is the state of a leg as the client was told it, zero where it was not.
func (o *openDevice) stateOf(h callHandle) ctiqbe.CallState {
	for _, l := range o.lines {
		if c := l.calls[h]; c != nil {
			return c.State
		}
	}
	return 0
}

// flow tells the client what is other than it knows, as far as it is time for it.
func (p *provider) flow(o *openDevice, h callHandle) {
	f := o.flows[h]
	if f == nil {
		return
	}
	p.wanted(o, h, f)
	if f.receive != nil && !sameWay(f.receive, f.now.Receive) {
		p.stopReception(o, h, f)
	}
	if f.transmit != nil && !sameWay(f.transmit, f.now.Transmit) {
		p.stopTransmission(o, h, f)
	}
	switch o.stateOf(h) {
	case ctiqbe.CallStateConnected, ctiqbe.CallStateOnHold:
	default:
		if f.now.Receive == nil && f.now.Transmit == nil && f.now.Want == nil && !o.legKnown(h) {
			delete(o.flows, h)
		}
		return
	}
	if f.now.Receive == nil && f.now.Transmit == nil || !p.keysSettled(o, h, f) {
		return
	}
	p.start(o, h, f)
}

func sameWay(a, b *live.MediaWay) bool { return a == b || a != nil && b != nil && *a == *b }

// wanted asks the client for the address of a call.
func (p *provider) wanted(o *openDevice, h callHandle, f *flow) {
	if f.now.Want == nil {
		f.want = false
		return
	}
	if f.want || !o.registered || !o.legKnown(h) {
		return
	}
	f.want = true
	if o.filter.OpenMediaIPPortEvent {
		p.send(&ctiqbe.DeviceOpenMediaPortForCallEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, CallManagerID: h.CallManagerID, CallLegID: h.CallLegID})
	}
	if o.filter.OpenLogicalChannel {
		p.send(&ctiqbe.DeviceCallOpenLogicalChannelEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, CallCallManagerID: h.CallManagerID, CallLegID: h.CallLegID,
			MilliSecondPacketSize: uint32(f.now.Want.Packet), CompressionType: ctiqbe.MediaPayload(f.now.Want.Payload), IsRTPRequired: true})
	}
}

// keysSettled tells of the keys of what is open now, before it is told that it is; false while they are on their way.
func (p *provider) keysSettled(o *openDevice, h callHandle, f *flow) bool {
	if !wantsKeys(&o.filter) || f.keysSaid && f.keysTold == f.now.Keys {
		f.since = time.Time{}
		return true
	}
	indicator := ctiqbe.SecurityIndicatorEncryptKeysAvailable
	switch {
	case f.now.Keys == 0:
		indicator = ctiqbe.SecurityIndicatorNotEncrypted
	case !p.entitled():
		indicator = ctiqbe.SecurityIndicatorEncryptUserNotAuthorized
	case f.have == f.now.Keys:
	case f.since.IsZero():
		f.since, p.waiting = p.now, true
		return false
	case p.now.Before(f.since.Add(keysWait)):
		return false
	default:
		indicator = ctiqbe.SecurityIndicatorEncryptKeysUnavailable
	}
	f.keysSaid, f.keysTold, f.since = true, f.now.Keys, time.Time{}
	if indicator == ctiqbe.SecurityIndicatorEncryptKeysUnavailable {
		f.keysTold = 0 // they are told, if they come
	}
	p.tellKeys(o, h, f, indicator)
	return true
}

// tellKeys sends 221 and 222.
func (p *provider) tellKeys(o *openDevice, h callHandle, f *flow, indicator ctiqbe.SecurityIndicator) {
	info := func(c sdp.Crypto) ctiqbe.MediaEncryptionKeyInfo {
		i := ctiqbe.MediaEncryptionKeyInfo{SecurityIndicator: indicator}
		if indicator == ctiqbe.SecurityIndicatorEncryptKeysAvailable {
			key, salt, _ := c.Key.Reveal(c.Suite)
			i.AlgorithmID, i.Key, i.Salt, i.KeyLength, i.SaltLength = ctileg.AlgorithmOf(c.Suite), key, salt, uint32(len(key)), uint32(len(salt))
		}
		return i
	}
	if o.filter.ReceptionKey {
		p.send(&ctiqbe.CallReceptionKeyEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, CallCallManagerID: h.CallManagerID, CallLegID: h.CallLegID,
			KeyInfo: info(f.keys.Receive)})
	}
	if o.filter.TransmissionKey {
		p.send(&ctiqbe.CallTransmissionKeyEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, CallCallManagerID: h.CallManagerID, CallLegID: h.CallLegID,
			KeyInfo: info(f.keys.Transmit)})
	}
}

// start tells of directions that have opened: 90 and 91.
func (p *provider) start(o *openDevice, h callHandle, f *flow) {
	if w := f.now.Receive; w != nil && f.receive == nil {
		f.receive = w
		if o.filter.StartReception {
			v4, port, v6, mode := rtpAddress(w.Addr)
			p.send(&ctiqbe.CallStartReceptionEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, CallCallManagerID: h.CallManagerID, CallLegID: h.CallLegID,
				IPAddr: v4, RTPPortNumber: port, MilliSecondPacketSize: uint32(w.Packet), CompressionType: ctileg.PayloadOf(w.Codec, w.Rate),
				MediaConnectionMode: ctiqbe.MediaConnectionModeReceiveOnly, RTPDestV6: v6, ActiveIPAddressingMode: mode})
		}
	}
	if w := f.now.Transmit; w != nil && f.transmit == nil {
		f.transmit = w
		if o.filter.StartTransmission {
			v4, port, v6, mode := rtpAddress(w.Addr)
			p.send(&ctiqbe.CallStartTransmissionEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, CallCallManagerID: h.CallManagerID, CallLegID: h.CallLegID,
				IPAddr: v4, RTPPortNumber: port, MilliSecondPacketSize: uint32(w.Packet), CompressionType: ctileg.PayloadOf(w.Codec, w.Rate), MaxFramesPerPacket: uint32(w.Packet),
				MediaConnectionMode: ctiqbe.MediaConnectionModeTransmitOnly, RTPDestV6: v6, ActiveIPAddressingMode: mode})
		}
	}
}

// rtpAddress is an address as events carry it: the four octets of version 4 as they stand, or those of version 6.
func rtpAddress(a netip.AddrPort) (v4, port uint32, v6 ctiqbe.RTPDestinationV6, mode ctiqbe.IPAddressingMode) {
	ip := a.Addr().Unmap()
	if ip.Is4() {
		b := ip.As4()
		return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24, uint32(a.Port()), ctiqbe.RTPDestinationV6{}, ctiqbe.IPAddressingModeIPv4
	}
	return 0, 0, ctiqbe.RTPDestinationV6{IPAddrV6: ip.AsSlice(), RTPPortV6: uint32(a.Port())}, ctiqbe.IPAddressingModeIPv6
}

func (p *provider) stopReception(o *openDevice, h callHandle, f *flow) {
	f.receive, f.keysSaid = nil, false
	if o.filter.StopReception {
		p.send(&ctiqbe.CallStopReceptionEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, CallCallManagerID: h.CallManagerID, CallLegID: h.CallLegID})
	}
}

func (p *provider) stopTransmission(o *openDevice, h callHandle, f *flow) {
	f.transmit, f.keysSaid = nil, false
	if o.filter.StopTransmission {
		p.send(&ctiqbe.CallStopTransmissionEvent{DeviceCallManagerID: o.handle.CallManagerID, DeviceID: o.handle.DeviceID, CallCallManagerID: h.CallManagerID, CallLegID: h.CallLegID})
	}
}

// flowEnds tells that the media of a leg has stopped, before it is told that its call is over.
func (p *provider) flowEnds(l *openLine, h callHandle, e *projection.Event) {
	over := e.Kind == projection.CallClosed || e.Kind == projection.StateChanged && (e.State == ctiqbe.CallStateIdle || e.State == ctiqbe.CallStateDisconnected)
	f := l.device.flows[h]
	if f == nil || !over {
		return
	}
	if f.receive != nil {
		p.stopReception(l.device, h, f)
	}
	if f.transmit != nil {
		p.stopTransmission(l.device, h, f)
	}
	delete(l.device.flows, h)
}

// flowsLate goes on with what has waited for its keys for too long.
func (p *provider) flowsLate() {
	if !p.waiting {
		return
	}
	p.waiting = false
	for _, o := range p.open {
		for h, f := range o.flows { // the order does not matter: each is a call of its own
			if !f.since.IsZero() && !p.now.Before(f.since.Add(keysWait)) {
				p.flow(o, h)
			}
			p.waiting = p.waiting || !f.since.IsZero()
		}
	}
}

// flowsDue is when flowsLate has something to do, zero: never.
func (p *provider) flowsDue() (at time.Time) {
	if !p.waiting {
		return at
	}
	for _, o := range p.open {
		for _, f := range o.flows {
			if due := f.since.Add(keysWait); !f.since.IsZero() && (at.IsZero() || due.Before(at)) {
				at = due
			}
		}
	}
	return at
}

// acceptOffered accepts a call that was offered to a terminal whose line the client has opened with automatic acceptance.
func (p *provider) acceptOffered(l *openLine, c *openCall, e *projection.Event) {
	if e.Kind != projection.NewCall || e.State != ctiqbe.CallStateOffering || !l.device.registered || l.autoAccept != ctiqbe.AutoAcceptStatusOn {
		return
	}
	p.ask(acceptedItself{}, l.device.name, c.Node, call.AcceptCall{Leg: c.Leg})
}

// acceptedItself: nobody waits for it; what comes of it the events tell.
type acceptedItself struct{}

func (acceptedItself) finish(*provider, asked) {}
