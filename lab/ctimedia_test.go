package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/leg/ctileg"
	"github.com/locktone/locktone/trace"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/sdp"
)

// allDeviceEvents is the filter that lets everything of media through.
func allDeviceEvents() ctiqbe.DeviceEventFilter {
	return ctiqbe.DeviceEventFilter{StartTransmission: true, StopTransmission: true, StartReception: true, StopReception: true, OpenLogicalChannel: true,
		ReceptionKey: true, TransmissionKey: true, OpenMediaIPPortEvent: true}
}

// ctiTerminals is a site whose applications "app" (with keys) and "watcher" (without) control terminals and Alice.
func ctiTerminals(t *testing.T, ctx context.Context) *lab.Site {
	t.Helper()
	return ctiSite(t, ctx, func(c *config.Site) {
		x := terminalSite()
		c.Cluster.CTINewCallAcceptTimer = config.Duration(10 * time.Second)
		c.Lines = append(c.Lines, slices.DeleteFunc(x.Lines, func(l config.Line) bool { return l.Number < "5000" })...)
		c.Devices = append(c.Devices, slices.DeleteFunc(x.Devices, func(d config.Device) bool { return !d.Protocol.Terminal() })...)
		app := &c.Users[len(c.Users)-1]
		app.Devices = append(app.Devices, "ivr", "queue")
		watcher := *app
		watcher.Name, watcher.Groups = "watcher", slices.Clone(app.Groups)
		app.Groups = append(slices.Clone(app.Groups), config.GroupCTISRTPKeys)
		c.Users = append(c.Users, watcher)
	})
}

// ctiApp is an application in a test.
type ctiApp struct {
	*lab.CTI
	t   *testing.T
	ctx context.Context
}

func newCTIApp(t *testing.T, ctx context.Context, s *lab.Site, user, instance string) *ctiApp {
	t.Helper()
	a, err := s.DialCTI(ctx, enrolled(t, ctx, s, user, instance))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if _, err := a.Login(ctx, user, ctiPassword); err != nil {
		t.Fatal(err)
	}
	return &ctiApp{a, t, ctx}
}

func (a *ctiApp) ask(m ctiqbe.Message) ctiqbe.Message {
	a.t.Helper()
	r, err := a.Ask(a.ctx, m)
	if err != nil {
		a.t.Fatalf("%v: %v", m.PDU(), err)
	}
	return r
}

// openAll opens a line of a device that is open already.
func (a *ctiApp) openAll(device, number string) *ctiqbe.LineOpenResponse {
	a.t.Helper()
	r := a.ask(&ctiqbe.LineOpenRequest{DeviceName: device, LineName: number, Partition: "internal", Filter: lab.AllLineEvents()}).(*ctiqbe.LineOpenResponse)
	a.until("the calls of the line", func(m ctiqbe.Message) bool {
		e, ok := m.(*ctiqbe.LineExistingCallCompletedEvent)
		return ok && e.LineID == r.LineID
	})
	return r
}

func (a *ctiApp) until(what string, right func(ctiqbe.Message) bool) ctiqbe.Message {
	a.t.Helper()
	m, err := a.Until(a.ctx, right)
	if err != nil {
		a.t.Fatalf("%s: %v", what, err)
	}
	return m
}

// take takes every message up to the one that is right, and says of each in a word what it is.
func (a *ctiApp) take(right func(ctiqbe.Message) bool) (words []string, all []ctiqbe.Message) {
	a.t.Helper()
	for {
		m, err := a.Next(a.ctx)
		if err != nil {
			a.t.Fatalf("after %v: %v", words, err)
		}
		word := fmt.Sprint(uint32(m.PDU()))
		switch m := m.(type) {
		case *ctiqbe.CallStateChangedEventV2:
			word += fmt.Sprintf("/%d", m.State)
		case *ctiqbe.LineNewCallEvent:
			word += fmt.Sprintf("/%d", m.State)
		case *ctiqbe.CallReceptionKeyEvent:
			word += fmt.Sprintf("/%d", m.KeyInfo.SecurityIndicator)
		case *ctiqbe.CallTransmissionKeyEvent:
			word += fmt.Sprintf("/%d", m.KeyInfo.SecurityIndicator)
		case *ctiqbe.Heartbeat, *ctiqbe.CallPartyInfoChangedEvent:
			continue
		}
		words, all = append(words, word), append(all, m)
		if right(m) {
			return words, all
		}
	}
}

func isPDU(want ctiqbe.PDU) func(ctiqbe.Message) bool {
	return func(m ctiqbe.Message) bool { return m.PDU() == want }
}

func inState(s ctiqbe.CallState) func(ctiqbe.Message) bool {
	return func(m ctiqbe.Message) bool {
		e, ok := m.(*ctiqbe.CallStateChangedEventV2)
		return ok && e.State == s
	}
}

func find[M ctiqbe.Message](all []ctiqbe.Message) (m M) {
	for _, x := range all {
		if y, ok := x.(M); ok {
			return y
		}
	}
	return m
}

// cryptoOf is key information as RTP takes it.
func cryptoOf(t *testing.T, k ctiqbe.MediaEncryptionKeyInfo) sdp.Crypto {
	t.Helper()
	suite, ok := ctileg.SuiteOf(k.AlgorithmID)
	if !ok || int(k.KeyLength) != len(k.Key) || int(k.SaltLength) != len(k.Salt) {
		t.Fatalf("key of algorithm %d with %d and %d octets, said to be %d and %d", k.AlgorithmID, len(k.Key), len(k.Salt), k.KeyLength, k.SaltLength)
	}
	key, err := sdp.NewKey(suite, append(slices.Clone(k.Key), k.Salt...))
	if err != nil {
		t.Fatal(err)
	}
	return sdp.Crypto{Suite: suite, Key: key}
}

func ip4(v uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
}

func dialled(t *testing.T, ctx context.Context, p *phone.Phone, number string) *phone.Call {
	t.Helper()
	c, err := p.Dial(ctx, number)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCTIPort: an application registers a port over the protocol, as Cisco's client does (third-party first, then its own), takes the call of
// an encrypted phone, and both talk over SRTP with the keys of 221 and 222. Who is not entitled is told so, of the phone's leg too. The order
// is that of the field.
func TestCTIPort(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s := ctiTerminals(t, ctx)
	alice, err := s.Registered(ctx, "alice", "1001")
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close(ctx)
	end := newRTPEnd(t)
	app, watcher := newCTIApp(t, ctx, s, "app", "one"), newCTIApp(t, ctx, s, "watcher", "two")

	open := app.ask(&ctiqbe.DeviceOpenRequest{DeviceName: "ivr"}).(*ctiqbe.DeviceOpenResponse)
	line := app.openAll("ivr", "5001")
	app.ask(&ctiqbe.LineCloseRequest{LineCallManagerID: line.LineCallManagerID, LineID: line.LineID})
	app.ask(&ctiqbe.DeviceCloseRequest{CallManagerID: open.CallManagerID, DeviceID: open.DeviceID})
	four := end.at.Addr().As4()
	reg := app.ask(&ctiqbe.DeviceRegisterDeviceRequest{DeviceName: "ivr", IPAddr: uint32(four[0]) | uint32(four[1])<<8 | uint32(four[2])<<16 | uint32(four[3])<<24,
		RTPPortNumber: uint32(end.at.Port()), MediaCaps: []ctiqbe.MediaCapability{{PayloadCapability: ctiqbe.MediaPayloadG711MuLaw64K, MaxFramesPerPacket: 20}},
		MediaRegistrationType: ctiqbe.MediaRegistrationStatic, AlgorithmIDs: []ctiqbe.MediaEncryption{1, 2, 5, 6}, Filter: allDeviceEvents()}).(*ctiqbe.DeviceRegisterDeviceResponse)
	if reg.DeviceInfo.Type != ctiqbe.DeviceTypeCTIPort || !reg.DeviceInfo.AllowsRegistration {
		t.Errorf("%+v", reg.DeviceInfo)
	}
	line = app.openAll("ivr", "5001")
	app.until("in service", isPDU(ctiqbe.PDUDeviceInServiceEvent))
	watcher.ask(&ctiqbe.DeviceOpenRequest{DeviceName: "alice", Filter: allDeviceEvents()})
	watcher.openAll("alice", "1001")

	a := dialled(t, ctx, alice, "5001")
	a.Tone(440)
	m := app.until("the call", isPDU(ctiqbe.PDULineNewCallEvent)).(*ctiqbe.LineNewCallEvent)
	if m.State != ctiqbe.CallStateOffering || m.Origin == 0 {
		t.Errorf("%v", m.State)
	}
	app.until("the offer", inState(ctiqbe.CallStateOffering))
	app.ask(&ctiqbe.CallAcceptRequest{LineCallManagerID: line.LineCallManagerID, LineID: line.LineID, CallLegCallManagerID: m.CallCallManagerID, CallLegID: m.CallLegID})
	app.until("ringing", inState(ctiqbe.CallStateAccepted))
	if err := a.WaitRinging(ctx); err != nil {
		t.Fatal(err)
	}
	if err := app.Send(&ctiqbe.CallAnswerRequest{LineCallManagerID: line.LineCallManagerID, LineID: line.LineID, CallLegCallManagerID: m.CallCallManagerID, CallLegID: m.CallLegID}); err != nil {
		t.Fatal(err)
	}
	words, all := app.take(isPDU(ctiqbe.PDUCallStartTransmissionEvent))
	words = slices.DeleteFunc(words, func(w string) bool { return w == "53" })
	if got := strings.Join(words[max(0, len(words)-5):], " "); got != "281/8 221/0 222/0 90 91" {
		t.Errorf("the order is %v", words)
	}
	rx, tx := find[*ctiqbe.CallStartReceptionEvent](all), find[*ctiqbe.CallStartTransmissionEvent](all)
	if netip.AddrPortFrom(ip4(rx.IPAddr), uint16(rx.RTPPortNumber)) != end.at || rx.CompressionType != ctiqbe.MediaPayloadG711MuLaw64K || rx.MilliSecondPacketSize != 20 ||
		rx.CallLegID != m.CallLegID || rx.DeviceID != reg.DeviceID {
		t.Errorf("%+v", rx)
	}
	in, out := cryptoOf(t, find[*ctiqbe.CallReceptionKeyEvent](all).KeyInfo), cryptoOf(t, find[*ctiqbe.CallTransmissionKeyEvent](all).KeyInfo)
	end.speak(t, 620, netip.AddrPortFrom(ip4(tx.IPAddr), uint16(tx.RTPPortNumber)), out)
	end.hears(ctx, t, in)
	if _, err := a.WaitTone(ctx, 620); err != nil {
		t.Error(err)
	}
	words, _ = watcher.take(isPDU(ctiqbe.PDUCallStartTransmissionEvent))
	if got := strings.Join(words[max(0, len(words)-5):], " "); got != "281/8 221/1 222/1 90 91" {
		t.Errorf("who is not entitled hears %v", words)
	}

	if err := a.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	words, _ = app.take(inState(ctiqbe.CallStateIdle))
	if got := strings.Join(words, " "); !strings.HasPrefix(got, "92 93 281/14") || strings.Count(got, "92") != 1 {
		t.Errorf("the end is %v", words)
	}
	book := &keyBook{} // of the keys that went to the application: they are nowhere else
	for _, k := range []ctiqbe.MediaEncryptionKeyInfo{find[*ctiqbe.CallReceptionKeyEvent](all).KeyInfo, find[*ctiqbe.CallTransmissionKeyEvent](all).KeyInfo} {
		book.made = append(book.made, k.Key, append(slices.Clone(k.Key), k.Salt...))
	}
	for _, r := range s.Trace.Recent(trace.Filter{}, 100_000) {
		if found := book.in(fmt.Appendf(nil, "%+v", r)); len(found) > 0 {
			t.Errorf("the trace holds %v: %s", found, r.Summary)
		}
	}
	lookIntoFiles(t, s.Home(), book)
}

// TestCTIRoutePoint: a route point is registered without media; a call is offered (48 and 281 in state 2), redirected to a phone; another waits
// when the application's connection ends, and goes where the line's forward of failures leads.
func TestCTIRoutePoint(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	s := ctiTerminals(t, ctx)
	alice, err := s.Registered(ctx, "alice", "1001")
	if err != nil {
		t.Fatal(err)
	}
	defer alice.Close(ctx)
	bob, err := s.Registered(ctx, "bob", "1002")
	if err != nil {
		t.Fatal(err)
	}
	defer bob.Close(ctx)
	app := newCTIApp(t, ctx, s, "app", "one")
	app.ask(&ctiqbe.DeviceRegisterDeviceRequest{DeviceName: "queue", MediaRegistrationType: ctiqbe.MediaRegistrationNone})
	line := app.openAll("queue", "5002")
	app.until("in service", isPDU(ctiqbe.PDULineInServiceEvent))

	a := dialled(t, ctx, alice, "5002")
	words, all := app.take(inState(ctiqbe.CallStateOffering))
	if got := strings.Join(words, " "); !strings.HasSuffix(got, "48/2 281/2") {
		t.Errorf("the offer is %v", words)
	}
	m := find[*ctiqbe.LineNewCallEvent](all)
	named := ctiqbe.CallAnswerRequest{LineCallManagerID: line.LineCallManagerID, LineID: line.LineID, CallLegCallManagerID: m.CallCallManagerID, CallLegID: m.CallLegID}
	if _, err := app.Ask(ctx, &named); err == nil {
		t.Error("a route point without media has answered")
	}
	app.ask(&ctiqbe.CallRedirectRequest{LineCallManagerID: line.LineCallManagerID, LineID: line.LineID, CallLegCallManagerID: m.CallCallManagerID, CallLegID: m.CallLegID,
		RedirectAddress: "1002"})
	b := <-bob.Incoming()
	if err := b.Answer(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.WaitAnswered(ctx); err != nil {
		t.Fatal(err)
	}
	app.until("the end of the leg", inState(ctiqbe.CallStateIdle))
	if err := a.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.WaitEnded(ctx); err != nil {
		t.Fatal(err)
	}

	a = dialled(t, ctx, alice, "5002")
	m = app.until("the call", isPDU(ctiqbe.PDULineNewCallEvent)).(*ctiqbe.LineNewCallEvent)
	app.ask(&ctiqbe.CallAcceptRequest{LineCallManagerID: line.LineCallManagerID, LineID: line.LineID, CallLegCallManagerID: m.CallCallManagerID, CallLegID: m.CallLegID})
	app.Close()
	select {
	case <-bob.Incoming():
	case <-ctx.Done():
		t.Fatal("the application died, and its call does not go on")
	}
	if err := a.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	a = dialled(t, ctx, alice, "5002") // while it is registered by nobody: the tone
	if _, err := a.WaitTone(ctx, 1004); err != nil {
		t.Fatal(err)
	}
	if err := a.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
}
