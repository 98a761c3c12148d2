package ctimanager

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media/sealed"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
)

// mediaKit is a provider with alice's line open, all of whose media it asks for, and a call in a state.
func mediaKit(entitled, secure bool, s ctiqbe.CallState) *kit {
	k, l := callKit(s)
	k.p.rights.SRTPKeys, k.p.who.secure = entitled, secure
	k.say(&ctiqbe.DeviceChangeEventFilterRequest{CallManagerID: l.device.handle.CallManagerID, DeviceID: l.device.handle.DeviceID, Filter: ctiqbe.DeviceEventFilter{StartTransmission: true,
		StopTransmission: true, StartReception: true, StopReception: true, ReceptionKey: true, TransmissionKey: true, OpenLogicalChannel: true, OpenMediaIPPortEvent: true}})
	k.say(&ctiqbe.LineChangeEventFilterRequest{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, Filter: ctiqbe.LineEventFilter{CallStateChanged: true}})
	return k
}

// words are the numbers of the messages, with states and indicators.
func words(lines []string) string {
	var out []string
	for _, l := range lines {
		w, said := strings.CutPrefix(l, "< ")
		if !said {
			continue
		}
		name := strings.Fields(w)[0]
		short := map[string]string{"CallStartReceptionEvent": "90", "CallStartTransmissionEvent": "91", "CallStopReceptionEvent": "92", "CallStopTransmissionEvent": "93",
			"CallReceptionKeyEvent": "221", "CallTransmissionKeyEvent": "222", "CallStateChangedEventV2": "281", "DeviceCallOpenLogicalChannelEvent": "163", "DeviceOpenMediaPortForCallEvent": "276"}[name]
		if short == "" {
			short = name
		}
		for _, f := range strings.FieldsFunc(w, func(r rune) bool { return r == ' ' || r == '{' || r == '}' }) {
			if v, ok := strings.CutPrefix(f, "SecurityIndicator="); ok {
				short += "/" + v
			}
		}
		out = append(out, short)
	}
	return strings.Join(out, " ")
}

func (k *kit) media(keys uint64, open bool) string {
	m := live.LegMedia{Call: 105, Leg: 5, Device: "alice", Keys: keys}
	if open {
		m.Receive = &live.MediaWay{Addr: netip.MustParseAddrPort("192.0.2.1:4000"), Codec: "PCMU", Rate: 8000, Packet: 20}
		m.Transmit = &live.MediaWay{Addr: netip.MustParseAddrPort("192.0.2.2:5000"), Codec: "G722", Rate: 8000, Packet: 30}
	}
	return words(k.step(flowing{"node1", m}))
}

func (k *kit) state(s ctiqbe.CallState) string {
	return words(k.step(happened{projection.Event{Kind: projection.StateChanged, Device: "alice", Line: call.LineID{Number: "1001", Partition: "internal"}, Node: "node1", Leg: 5, Call: 105,
		Handle: projection.Handle{CallManager: 1, Leg: 5}, GCH: projection.GCH{CallManager: 1, Call: 105}, State: s}}))
}

func (k *kit) key(n uint64) string {
	c := sdp.Crypto{Suite: sdp.AES_CM_128_HMAC_SHA1_80}
	c.Key, _ = sdp.NewKey(c.Suite, bytes.Repeat([]byte{byte(n)}, 30))
	return words(k.step(keyed{"node1", 5, n, sealed.Keys{Receive: c, Transmit: c}}))
}

// TestOrderOfMedia: whatever comes first of the call's state, where its media goes and its keys, the client hears of them in the field's order.
func TestOrderOfMedia(t *testing.T) {
	const connected, ringing = ctiqbe.CallStateConnected, ctiqbe.CallStateAccepted
	same := func(t *testing.T, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	none, unavailable, not := "/MEDIA_NOT_ENCRYPTED", "/MEDIA_ENCRYPT_KEYS_UNAVAILABLE", "/MEDIA_ENCRYPT_USER_NOT_AUTHORIZED" // of keys that are there the indicator is 0, which is not printed
	t.Run("media, keys, state", func(t *testing.T) {
		k := mediaKit(true, true, ringing)
		same(t, k.media(1, true)+k.key(1), "")
		same(t, k.state(connected), "281 221 222 90 91")
	})
	t.Run("keys, state, media", func(t *testing.T) {
		k := mediaKit(true, true, ringing)
		same(t, k.key(1)+k.state(connected), "281")
		same(t, k.media(1, true), "221 222 90 91")
	})
	t.Run("state, media, keys", func(t *testing.T) {
		k := mediaKit(true, true, connected)
		same(t, k.media(1, true), "")
		same(t, k.key(1), "221 222 90 91")
	})
	t.Run("old keys do not count", func(t *testing.T) {
		k := mediaKit(true, true, connected)
		same(t, k.key(1)+k.media(2, true), "")
		same(t, k.key(2), "221 222 90 91")
	})
	t.Run("keys late", func(t *testing.T) {
		k := mediaKit(true, true, connected)
		same(t, k.media(1, true), "")
		same(t, words(k.wait(keysWait-time.Millisecond)), "")
		same(t, words(cutTimes(k.wait(time.Second))), "221"+unavailable+" 222"+unavailable+" 90 91")
		same(t, k.key(1), "221 222")
	})
	t.Run("plain RTP", func(t *testing.T) {
		k := mediaKit(true, true, connected)
		same(t, k.media(0, true), "221"+none+" 222"+none+" 90 91")
	})
	t.Run("not entitled", func(t *testing.T) {
		k := mediaKit(false, true, connected)
		same(t, k.media(1, true), "221"+not+" 222"+not+" 90 91")
		same(t, k.key(1), "") // that nobody sends
	})
	t.Run("in the clear", func(t *testing.T) {
		k := mediaKit(true, false, connected)
		same(t, k.media(1, true), "221"+not+" 222"+not+" 90 91")
	})
	t.Run("hold and end", func(t *testing.T) {
		k := mediaKit(true, true, connected)
		k.key(1)
		same(t, k.media(1, true), "221 222 90 91")
		same(t, k.media(1, true), "")
		same(t, k.media(1, false), "92 93")
		k.key(2)
		same(t, k.media(2, true), "221 222 90 91")
		same(t, k.state(ctiqbe.CallStateDisconnected), "92 93 281")
		same(t, k.media(2, false)+k.state(ctiqbe.CallStateIdle), "281")
		if o := k.p.names["alice"]; len(o.flows) != 0 {
			t.Errorf("%d flows are left", len(o.flows))
		}
	})
	t.Run("a call of nobody", func(t *testing.T) {
		k := mediaKit(true, true, connected)
		m := live.LegMedia{Call: 300, Leg: 31, Device: "bob", Receive: &live.MediaWay{}}
		same(t, words(k.step(flowing{"node1", m})), "")
	})
	t.Run("an address is wanted", func(t *testing.T) {
		k := mediaKit(true, true, ringing)
		want := live.LegMedia{Call: 105, Leg: 5, Device: "alice", Want: &live.MediaWant{Payload: 4, Packet: 20}}
		same(t, words(k.step(flowing{"node1", want})), "") // of a phone nobody wants any
		k.p.names["alice"].registered = true
		same(t, words(k.step(flowing{"node1", want})), "276 163")
		same(t, words(k.step(flowing{"node1", want})), "")
	})
}

// cutTimes takes the times from what wait returns.
func cutTimes(lines []string) (out []string) {
	for _, l := range lines {
		_, rest, _ := strings.Cut(l, " ")
		out = append(out, rest)
	}
	return out
}

// TestListening: media is followed while somebody asks for it, and keys by who is entitled.
func TestListening(t *testing.T) {
	k, l := callKit()
	filter := func(f ctiqbe.DeviceEventFilter) string {
		return strings.Join(k.say(&ctiqbe.DeviceChangeEventFilterRequest{CallManagerID: l.device.handle.CallManagerID, DeviceID: l.device.handle.DeviceID, Filter: f}), " ")
	}
	if got := filter(ctiqbe.DeviceEventFilter{DNDChanged: true}); strings.Contains(got, "listen") {
		t.Error(got)
	}
	if got := filter(ctiqbe.DeviceEventFilter{ReceptionKey: true}); !strings.Contains(got, "listen{media:true keys:false}") {
		t.Error(got)
	}
	k.p.rights.SRTPKeys = true
	if got := filter(ctiqbe.DeviceEventFilter{ReceptionKey: true}); !strings.Contains(got, "listen{media:true keys:true}") {
		t.Error(got)
	}
	if got := strings.Join(k.say(&ctiqbe.DeviceCloseRequest{CallManagerID: l.device.handle.CallManagerID, DeviceID: l.device.handle.DeviceID}), " "); !strings.Contains(got, "listen{media:false keys:false}") {
		t.Error(got)
	}
}
