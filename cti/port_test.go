package cti

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/locktone/locktone/wire/ctiqbe"
)

const portName = "SEP001122334466"

// openedPort registers the scripted manager's second device as a port and reads the events of it.
func openedPort(t *testing.T, p *Provider, port Port) LineID {
	t.Helper()
	if err := p.OpenPort(t.Context(), portName, port); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if e := next[ServiceChanged](t, p); !e.InService || e.Device != portName {
			t.Fatalf("%+v", e)
		}
	}
	return LineID{portName, "1003", "PT"}
}

// TestPort: what a port registers with by default, that its media is asked for, named, and told with keys in the field's order.
func TestPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		p := opened(t, config(m))
		line := openedPort(t, p, Port{})
		q := m.received(ctiqbe.PDUDeviceRegisterDeviceRequest)[0].(*ctiqbe.DeviceRegisterDeviceRequest)
		if q.DeviceName != portName || q.MediaRegistrationType != ctiqbe.MediaRegistrationDynamic || len(q.MediaCaps) != 2 || q.IPAddr != 0 ||
			!reflect.DeepEqual(q.AlgorithmIDs, []ctiqbe.MediaEncryption{6, 5, 2, 1}) || !q.Filter.OpenLogicalChannel || !q.Filter.ReceptionKey || !q.Filter.StopTransmission {
			t.Errorf("%+v", q)
		}
		if n := len(m.received(ctiqbe.PDUDeviceOpenRequest)); n != 0 {
			t.Errorf("%d devices are opened beside", n)
		}
		if err := p.OpenPort(t.Context(), portName, Port{}); err == nil {
			t.Error("a port is opened twice")
		}
		var e *Error
		if err := p.OpenPort(t.Context(), "nobody", Port{}); !errors.As(err, &e) || !errors.Is(err, ErrNoDevice) {
			t.Error(err)
		}
		m.send(incoming("1003", 55, "2000"))
		c := next[NewCall](t, p).Call
		if err := p.Answer(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		m.send(&ctiqbe.DeviceCallOpenLogicalChannelEvent{DeviceCallManagerID: 1, DeviceID: 39, CallCallManagerID: 1, CallLegID: 55, MilliSecondPacketSize: 20,
			CompressionType: ctiqbe.MediaPayloadG711MuLaw64K, IsRTPRequired: true})
		if w := next[MediaWanted](t, p); w != (MediaWanted{portName, c.ID, ctiqbe.MediaPayloadG711MuLaw64K, 20 * time.Millisecond}) {
			t.Errorf("%+v", w)
		}
		for _, at := range []string{"192.0.2.7:4002", "[2001:db8::7]:4002"} {
			if err := p.SetMedia(t.Context(), portName, c.ID, netip.MustParseAddrPort(at)); err != nil {
				t.Fatal(err)
			}
		}
		for i, r := range m.received(ctiqbe.PDUDeviceSetRTPForCallRequest) {
			r := r.(*ctiqbe.DeviceSetRTPForCallRequest)
			if r.DeviceID != 39 || r.CallLegID != 55 || i == 0 && (r.IPAddress != 0x070200c0 || r.RTPPortNumber != 4002) ||
				i == 1 && (r.IPAddress != 0 || r.RTPDestV6.RTPPortV6 != 4002 || len(r.RTPDestV6.IPAddrV6) != 16) {
				t.Errorf("%+v", r)
			}
		}
		m.send(
			&ctiqbe.CallReceptionKeyEvent{DeviceCallManagerID: 1, DeviceID: 39, CallCallManagerID: 1, CallLegID: 55, KeyInfo: ctiqbe.MediaEncryptionKeyInfo{
				SecurityIndicator: ctiqbe.SecurityIndicatorEncryptKeysAvailable, AlgorithmID: 2, Key: []byte("sixteen-octets-k"), KeyLength: 16, Salt: []byte("fourteen-octet"), SaltLength: 14}},
			&ctiqbe.CallTransmissionKeyEvent{DeviceCallManagerID: 1, DeviceID: 39, CallCallManagerID: 1, CallLegID: 55, KeyInfo: ctiqbe.MediaEncryptionKeyInfo{
				SecurityIndicator: ctiqbe.SecurityIndicatorEncryptUserNotAuthorized}},
			&ctiqbe.CallStartReceptionEvent{DeviceCallManagerID: 1, DeviceID: 39, CallCallManagerID: 1, CallLegID: 55, IPAddr: 0x070200c0, RTPPortNumber: 4002,
				CompressionType: ctiqbe.MediaPayloadG711MuLaw64K, MilliSecondPacketSize: 20},
			&ctiqbe.CallStartTransmissionEvent{DeviceCallManagerID: 1, DeviceID: 39, CallCallManagerID: 1, CallLegID: 55, IPAddr: 0x0100007f, RTPPortNumber: 5004},
			&ctiqbe.CallStopReceptionEvent{DeviceCallManagerID: 1, DeviceID: 39, CallCallManagerID: 1, CallLegID: 55},
			&ctiqbe.CallStopTransmissionEvent{DeviceCallManagerID: 1, DeviceID: 39, CallCallManagerID: 1, CallLegID: 55})
		k := next[Key](t, p)
		key, salt := k.Material.Reveal()
		if k.Device != portName || k.Call != c.ID || !k.Receive || k.Algorithm != 2 || string(key) != "sixteen-octets-k" || string(salt) != "fourteen-octet" {
			t.Errorf("%+v", k)
		}
		if text := fmt.Appendf(nil, "%+v %#v %s %x", k, k, k.Material, k.Material); bytes.Contains(text, key) || bytes.Contains(text, fmt.Appendf(nil, "%x", key)) {
			t.Errorf("a key prints: %s", text)
		}
		if k := next[Key](t, p); k.Receive || k.Indicator != ctiqbe.SecurityIndicatorEncryptUserNotAuthorized {
			t.Errorf("%+v", k)
		}
		if r := next[Media](t, p); !r.Start || !r.Receive || r.Address != netip.MustParseAddrPort("192.0.2.7:4002") || r.Payload != ctiqbe.MediaPayloadG711MuLaw64K {
			t.Errorf("%+v", r)
		}
		if r := next[Media](t, p); !r.Start || r.Receive || r.Address != netip.MustParseAddrPort("127.0.0.1:5004") {
			t.Errorf("%+v", r)
		}
		if a, b := next[Media](t, p), next[Media](t, p); a.Start || !a.Receive || b.Start || b.Receive {
			t.Errorf("%+v %+v", a, b)
		}
		if err := p.CloseDevice(t.Context(), portName); err != nil {
			t.Fatal(err)
		}
		if got := m.received(ctiqbe.PDUDeviceCloseRequest); len(got) != 1 || got[0].(*ctiqbe.DeviceCloseRequest).DeviceID != 39 {
			t.Errorf("%+v", got)
		}
		if err := p.Answer(t.Context(), c); !errors.Is(err, ErrNotOpen) || len(p.Calls()) != 0 {
			t.Errorf("line %v is still open: %v, %v", line, err, p.Calls())
		}
	})
}

// TestPortComesBack: at the other manager a port is registered again, not only opened; static media and plain RTP are as they were asked for.
func TestPortComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := newManager("10.0.0.1"), newManager("10.0.0.2")
		p := opened(t, config(one, two))
		openedPort(t, p, Port{Address: netip.MustParseAddrPort("192.0.2.7:4002"), Plain: true})
		one.crash()
		next[LinkLost](t, p)
		if g := next[Gap](t, p); len(g.Lost) != 0 {
			t.Errorf("%+v", g)
		}
		for _, m := range []*manager{one, two} {
			all := m.received(ctiqbe.PDUDeviceRegisterDeviceRequest)
			if len(all) != 1 || len(m.received(ctiqbe.PDUDeviceOpenRequest)) != 0 {
				t.Fatalf("%s: %d registrations", m.name, len(all))
			}
			q := all[0].(*ctiqbe.DeviceRegisterDeviceRequest)
			if q.MediaRegistrationType != ctiqbe.MediaRegistrationStatic || q.IPAddr != 0x070200c0 || q.RTPPortNumber != 4002 || len(q.AlgorithmIDs) != 0 {
				t.Errorf("%s: %+v", m.name, q)
			}
		}
	})
}
