package resilience

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/locktone/locktone/lab"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/ctimanager"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// cut ends the connection of an application as a pulled plug does: no close_notify, a reset.
func cut(t testing.TB, a *lab.CTI) {
	t.Helper()
	raw := a.Conn.(*tls.Conn).NetConn().(*net.TCPConn)
	ok(t, raw.SetLinger(0))
	ok(t, raw.Close())
}

// existing are the calls a line was said to have when it was opened.
func existing(list []ctiqbe.Message) map[uint32]ctiqbe.CallState {
	out := map[uint32]ctiqbe.CallState{}
	for _, m := range list {
		if e, is := m.(*ctiqbe.LineExistingCallEvent); is {
			out[e.CallLegID] = e.State
		}
	}
	return out
}

// TestCTICutMidTransfer proves that an application that is cut off between consultation and transfer takes no call with it, that others on the
// same lines go on being told, and that it finds both calls when it comes back with the same certificate and can end what it began.
func TestCTICutMidTransfer(t *testing.T) {
	s := ctiSite(t, 0, nil)
	alice, bob, carol := telephone(t, s, "alice", "1001", nil), telephone(t, s, "bob", "1002", nil), telephone(t, s, "carol", "1003", nil)
	mine := enrolled(t, s, "app", "1")
	first := observe(t, application(t, s, mine, "app"), "alice", "1001")
	beside := observe(t, application(t, s, enrolled(t, s, "app", "2"), "app"), "alice", "1001")
	far := observe(t, application(t, s, enrolled(t, s, "other", "1"), "other"), "carol", "1003")
	p := connect(t, bob, alice)
	up := first.connected(t)
	must(first.Ask(within(t, step), &ctiqbe.CallSetupTransferRequest{LineCallManagerID: first.manager, LineID: first.line, CallLegCallManagerID: up.CallCallManagerID, CallLegID: up.CallLegID,
		DestAddress: "1003"}))(t)
	taken(t, alice) // the phone begins the consultation that the application asks for
	consulted := taken(t, carol)
	consult := first.connected(t)
	cut(t, first.CTI)
	providers(t, s, 2)
	beside.state(t, up.CallLegID, ctiqbe.CallStateOnHold)
	beside.state(t, consult.CallLegID, ctiqbe.CallStateConnected)
	consulted.Tone(700)

	back := observe(t, application(t, s, mine, "app"), "alice", "1001")
	found := existing(back.said(t))
	if len(found) != 2 || found[up.CallLegID] != ctiqbe.CallStateOnHold || found[consult.CallLegID] != ctiqbe.CallStateConnected {
		t.Fatalf("it finds %v when it comes back, want %d on hold and %d connected", found, up.CallLegID, consult.CallLegID)
	}
	for _, o := range []*observer{beside, far} {
		for _, m := range o.said(t) {
			if e, is := m.(*ctiqbe.CallStateChangedEventV2); is && e.State == ctiqbe.CallStateIdle {
				t.Errorf("a call has ended with the application: %+v", e)
			}
		}
	}
	must(back.Ask(within(t, step), &ctiqbe.CallDirectTransferRequest{LineCallManagerID: back.manager, LineID: back.line, CallLegCallManagerID: up.CallCallManagerID, CallLegID: up.CallLegID,
		OtherCallHandle: ctiqbe.ClientCallHandle{CallManagerID: consult.CallCallManagerID, CallLegID: consult.CallLegID}}))(t)
	for _, o := range []*observer{back, beside} {
		o.state(t, up.CallLegID, ctiqbe.CallStateIdle)
		o.state(t, consult.CallLegID, ctiqbe.CallStateIdle)
	}
	must(far.Until(within(t, step), func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDULineCallTransferEndedEvent }))(t)
	pair{caller: p.caller, called: consulted}.hear(t)
	ok(t, p.caller.Hangup(within(t, step)))
}

// TestCTITwoProviders proves that two applications with the same device open are told the same, each may end what the other began, and that one
// that closes the device leaves the other its own.
func TestCTITwoProviders(t *testing.T) {
	s := ctiSite(t, 0, nil)
	one := worker(t, s, application(t, s, enrolled(t, s, "app", "1"), "app"))
	two := observe(t, application(t, s, enrolled(t, s, "app", "2"), "app"), "alice", "1001")
	_, _ = one.said(t), two.said(t)
	p := connect(t, one.own, one.called)
	up, same := one.connected(t), two.connected(t)
	if up.CallLegID != same.CallLegID || up.CallCallManagerID != same.CallCallManagerID {
		t.Errorf("one call has two handles: %+v %+v", up, same)
	}
	must(one.Ask(within(t, step), &ctiqbe.CallHoldRequest{LineCallManagerID: one.manager, LineID: one.line, CallLegCallManagerID: up.CallCallManagerID, CallLegID: up.CallLegID}))(t)
	two.state(t, up.CallLegID, ctiqbe.CallStateOnHold)
	one.state(t, up.CallLegID, ctiqbe.CallStateOnHold)
	must(two.Ask(within(t, step), &ctiqbe.CallRetrieveRequest{LineCallManagerID: two.manager, LineID: two.line, CallLegCallManagerID: up.CallCallManagerID, CallLegID: up.CallLegID}))(t)
	one.state(t, up.CallLegID, ctiqbe.CallStateConnected)
	two.state(t, up.CallLegID, ctiqbe.CallStateConnected)
	must(one.Ask(within(t, step), &ctiqbe.DeviceCloseRequest{CallManagerID: one.manager, DeviceID: one.line - 1}))(t)
	_ = one.said(t)
	must(two.Ask(within(t, step), &ctiqbe.CallDisconnectRequest{LineCallManagerID: two.manager, LineID: two.line, CallLegCallManagerID: up.CallCallManagerID, CallLegID: up.CallLegID}))(t)
	two.state(t, up.CallLegID, ctiqbe.CallStateIdle)
	_, _, err := p.called.WaitEnded(within(t, step))
	ok(t, err)
	for _, m := range one.said(t) {
		t.Errorf("it has closed the device and is told %v", m.PDU())
	}
}

// stream opens the JSON event stream over TLS, with a certificate or without.
func stream(ctx context.Context, s *lab.Site, c *pki.Credential, query string, buffer int) (*websocket.Conn, int, error) {
	cfg := &tls.Config{RootCAs: s.Roots(), ServerName: s.CallManager().String(), NextProtos: []string{"http/1.1"}}
	if c != nil {
		cfg.Certificates = []tls.Certificate{c.TLS()}
	}
	client := &http.Client{Transport: &http.Transport{DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", s.CTIAddress())
		if err != nil {
			return nil, err
		}
		if buffer > 0 {
			_ = conn.(*net.TCPConn).SetReadBuffer(buffer) // a smaller window is all that it is for
		}
		tc := tls.Client(conn, cfg)
		return tc, tc.HandshakeContext(ctx)
	}}}
	ws, r, err := websocket.Dial(ctx, "https://"+s.CTIAddress()+ctimanager.StreamPath+query, &websocket.DialOptions{HTTPClient: client})
	if r != nil {
		return ws, r.StatusCode, err
	}
	return ws, 0, err
}

// word is what a test looks at of a message of the stream.
type word struct {
	Kind, Device, Epoch, State string
	Seq                        uint64
}

func nextWord(ctx context.Context, ws *websocket.Conn) (w word, err error) {
	_, b, err := ws.Read(ctx)
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	return w, err
}

// TestCTIStreamTLS proves that the JSON event stream is told over TLS to the application whose certificate is shown, about its devices alone; that
// nobody without a good certificate gets it, that it ends when the certificate is revoked, and that a reader that does not read is cut off
// while another misses nothing.
func TestCTIStreamTLS(t *testing.T) {
	s := ctiSite(t, 0, func(c *ctimanager.Config) { c.Limits.Write = time.Second })
	o := worker(t, s, application(t, s, enrolled(t, s, "app", "1"), "app"))
	theirs, others, slow := enrolled(t, s, "app", "2"), enrolled(t, s, "other", "1"), enrolled(t, s, "app", "3")
	if _, _, err := stream(within(t, step), s, nil, "", 0); err == nil {
		t.Error("the stream is told to somebody without a certificate")
	}
	phones := must(s.Issue(within(t, step), pki.KindDevice, "alice"))(t)
	if _, _, err := stream(within(t, step), s, &phones, "", 0); err == nil {
		t.Error("the stream is told to a phone")
	}
	stray := must(s.Issue(within(t, step), pki.KindCTI, "stray"))(t)
	if _, status, err := stream(within(t, step), s, &stray, "", 0); err == nil || status != http.StatusForbidden {
		t.Errorf("the stream and a certificate that no profile knows: %d %v", status, err)
	}
	ws, _, err := stream(within(t, step), s, &theirs, "", 0)
	ok(t, err)
	defer ws.CloseNow()
	hello := must(nextWord(within(t, step), ws))(t)
	blind, _, err := stream(within(t, step), s, &others, "", 0)
	ok(t, err)
	defer blind.CloseNow()
	o.works(t)
	var last word
	for last.Device != "alice" || last.State != "IDLE" {
		last = must(nextWord(within(t, step), ws))(t)
	}
	if hello.Kind != "hello" || hello.Epoch == "" {
		t.Errorf("the first message: %+v", hello)
	}
	deaf, _, err := stream(within(t, step), s, &slow, "", 2048)
	ok(t, err)
	defer deaf.CloseNow()
	floodEvents(t, s, o, ws)
	ok(t, s.CA.Revoke(within(t, step), pki.RefOf(theirs.Leaf()), "stolen"))
	for err == nil {
		_, err = nextWord(within(t, step), ws)
	}
	if isTimeout(err) || within(t, step).Err() != nil {
		t.Errorf("the stream goes on with a revoked certificate: %v", err)
	}
	if _, _, err := stream(within(t, step), s, &theirs, "", 0); err == nil {
		t.Error("the stream is told to somebody whose certificate is revoked")
	}
	ctx, stop := context.WithTimeout(t.Context(), 200*time.Millisecond) // what it was told is there already
	defer stop()
	for {
		w, err := nextWord(ctx, blind)
		if err != nil {
			break
		}
		if w.Device != "" {
			t.Errorf("an application is told of a device that is not its own: %+v", w)
		}
	}
}

// floodEvents makes events until a reader that does not read is gone; ws, which reads, has every one of them.
func floodEvents(t *testing.T, s *lab.Site, o *observer, ws *websocket.Conn) {
	t.Helper()
	open := ctiFigure(t, s, "connections")
	read := make(chan error, 1)
	ctx, stop := context.WithCancel(within(t, 2*step))
	const enough = 4000
	go func() {
		n := 0
		for {
			w, err := nextWord(ctx, ws)
			if err != nil {
				read <- err
				return
			}
			if w.Kind == "gap" {
				t.Error("a reader that reads has missed events")
			}
			if w.Kind == "do-not-disturb" {
				n++
			}
			if n == enough {
				read <- nil
				return
			}
		}
	}()
	defer stop()
	for i := range enough {
		must(o.Ask(ctx, &ctiqbe.DeviceDNDSetRequest{CallManagerID: o.manager, DeviceID: o.line - 1, DNDStatus: i%2 == 0}))(t)
	}
	ok(t, <-read)
	eventually(t, step, func() error {
		if now := ctiFigure(t, s, "connections"); now >= open {
			return net.ErrClosed
		}
		return nil
	})
}
