package cti

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

func TestOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		p := opened(t, config(m))
		s := p.Status()
		if !s.Up || s.Manager != "10.0.0.1" || s.ProviderID != 16777223 || s.Window != time.Minute || s.Heartbeat != 30*time.Second || !s.Capabilities.AllowCallMonitoring {
			t.Errorf("%+v", s)
		}
		want := []Device{
			{Name: "SEP001122334455", Type: ctiqbe.DeviceType7965, TypeName: "a phone", Protocol: ctiqbe.DeviceProtocolSIP, Registered: true,
				Address: netip.MustParseAddr("127.0.0.1"), Lines: []LineInfo{{ID: line1001, Label: "Line 1001", Button: 1},
					{ID: LineID{"SEP001122334455", "1002", "PT"}, Label: "Line 1002", Button: 2}}},
			{Name: "SEP001122334466", Type: ctiqbe.DeviceType7965, TypeName: "a phone", Protocol: ctiqbe.DeviceProtocolSIP, Registered: true,
				Address: netip.MustParseAddr("127.0.0.1"), Lines: []LineInfo{{ID: LineID{"SEP001122334466", "1003", "PT"}, Label: "Line 1003", Button: 1}}},
		}
		if diff := cmp.Diff(want, p.Devices(), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Error(diff)
		}
		if id, err := p.Find("", "1001"); err != nil || id != line1001 {
			t.Error(id, err)
		}
		if id, err := p.Find("SEP001122334455", ""); err != nil || id != line1001 {
			t.Error("not the first line of the device:", id, err)
		}
		if id, err := p.Find("", ""); err == nil {
			t.Error("one of three lines was chosen:", id)
		}
		if _, err := p.Find("", "9999"); !errors.Is(err, ErrNoDevice) {
			t.Error(err)
		}
		_ = p.Close()
		if e := next[Closed](t, p); e.Err != nil {
			t.Error(e.Err)
		}
		if _, err := p.Next(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if len(m.received(ctiqbe.PDUProviderCloseRequest)) != 1 {
			t.Error("the manager was not told")
		}
		if err := p.OpenLine(t.Context(), line1001); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestRefusedLogins(t *testing.T) {
	for _, tt := range []struct {
		what   string
		change func(*Config, *manager)
		result ctiqbe.Result
		says   string
	}{
		{"wrong password", func(c *Config, _ *manager) { c.Password = secret.New("wrong") }, ctiqbe.ErrDirectoryLoginFailed, "password is wrong"},
		{"no group", func(_ *Config, m *manager) { m.open = ctiqbe.ErrDirectoryLoginNotAllowed }, ctiqbe.ErrDirectoryLoginNotAllowed, "Standard CTI Enabled"},
		{"wrong port", func(_ *Config, m *manager) { m.open = ctiqbe.ErrConnectionOnInvalidPort }, ctiqbe.ErrConnectionOnInvalidPort, "2749"},
		{"single sign-on", func(c *Config, _ *manager) { c.SingleSignOn = true }, ctiqbe.ErrSSODisabled, "password"},
		{"no first step", func(_ *Config, m *manager) {
			m.refuse[ctiqbe.PDUProviderInitRequest] = ctiqbe.ErrIncompatibleProtocolVersion
		},
			ctiqbe.ErrIncompatibleProtocolVersion, "version"},
		{"a password certificate that is none", func(_ *Config, m *manager) { m.cert = []byte("x") }, 0, "certificate for the password"},
		{"short heartbeat", func(c *Config, _ *manager) { c.Heartbeat = time.Second }, 0, "5 s"},
		{"nobody there", func(c *Config, _ *manager) { c.Primary = Manager{IPv4: "10.9.9.9"} }, 0, "no route"},
		{"no manager", func(c *Config, _ *manager) { c.Primary = Manager{} }, 0, "neither"},
		{"no user", func(c *Config, _ *manager) { c.User = "" }, 0, "user name"},
		{"two addresses", func(c *Config, _ *manager) { c.Primary.Host = "x" }, 0, "one of"},
		{"a name as an address", func(c *Config, _ *manager) { c.Primary = Manager{IPv4: "cucm"} }, 0, "no IPv4"},
		{"IPv4 as IPv6", func(c *Config, _ *manager) { c.Primary = Manager{IPv6: "10.0.0.1"} }, 0, "no IPv6"},
		{"neither port", func(c *Config, _ *manager) { c.Clear = false }, 0, "certificate"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newManager("10.0.0.1")
			c := config(m)
			tt.change(&c, m)
			p, err := Open(t.Context(), c)
			if p != nil || err == nil || !strings.Contains(err.Error(), tt.says) || tt.result != 0 && !errors.Is(err, tt.result) {
				t.Errorf("%s: %v", tt.what, err)
			}
			if strings.Contains(fmt.Sprint(err), "secret12") {
				t.Error("the password is in the error")
			}
		})
	}
}

// TestFinalRefusal: a login that is refused for good is not tried at the other manager, which would count wrong passwords too.
func TestFinalRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newManager("10.0.0.1"), newManager("10.0.0.2")
		c := config(a, b)
		c.Password = secret.New("wrong")
		if _, err := Open(t.Context(), c); !errors.Is(err, ctiqbe.ErrDirectoryLoginFailed) {
			t.Error(err)
		}
		if a.logins != 1 || b.logins != 0 {
			t.Errorf("%d and %d logins", a.logins, b.logins)
		}
	})
}

func TestBackupAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newManager("10.0.0.1"), newManager("10.0.0.2")
		a.down = true
		if p := opened(t, config(a, b)); p.Status().Manager != "10.0.0.2" {
			t.Error(p.Status().Manager)
		}
		// one whose directory is down is left for the other, too
		c, d := newManager("10.0.0.1"), newManager("10.0.0.2")
		c.open = ctiqbe.ErrDirectoryLoginTimeout
		if p := opened(t, config(c, d)); p.Status().Manager != "10.0.0.2" || c.logins != 1 {
			t.Error(p.Status().Manager)
		}
	})
}

// TestCalls: what the manager is sent for each thing that an application can ask, and what the application hears.
func TestCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		p := opened(t, config(m))
		openedLine(t, p, line1001)
		ctx := t.Context()
		id, err := p.Dial(ctx, line1001, "1003")
		if err != nil || id != (CallID{1, 701}) {
			t.Fatal(id, err)
		}
		made := next[NewCall](t, p).Call
		if !made.Outgoing() || made.Peer().Number != "1003" || made.Global != (GlobalCallID{1, 101}) || made.Line != line1001 {
			t.Errorf("%+v", made)
		}
		m.send(state("1001", 701, ctiqbe.CallStateConnected, 0))
		if e := next[CallChanged](t, p); e.Call.State != ctiqbe.CallStateConnected || e.Before != ctiqbe.CallStateDialTone {
			t.Errorf("%+v", e)
		}
		m.send(incoming("1001", 710, "2000"))
		rings := next[NewCall](t, p).Call
		if rings.Outgoing() || rings.Peer() != (Party{"2000", "Zoë", "PT"}) {
			t.Errorf("%+v", rings)
		}
		for _, do := range []struct {
			name string
			err  error
			pdu  ctiqbe.PDU
		}{
			{"accept", p.Accept(ctx, rings), ctiqbe.PDUCallAcceptRequest},
			{"answer", p.Answer(ctx, rings), ctiqbe.PDUCallAnswerRequest},
			{"hold", p.Hold(ctx, rings), ctiqbe.PDUCallHoldRequest},
			{"retrieve", p.Retrieve(ctx, rings), ctiqbe.PDUCallRetrieveRequest},
			{"redirect", p.Redirect(ctx, rings, "1"), ctiqbe.PDUCallRedirectRequest},
			{"drop", p.Drop(ctx, rings), ctiqbe.PDUCallDisconnectRequest},
			{"digits", p.Digits(ctx, rings, "1#a"), ctiqbe.PDUCallPlayDTMFRequest},
			{"transfer", p.Transfer(ctx, rings, made), ctiqbe.PDUCallDirectTransferRequest},
			{"join", p.Join(ctx, rings, made), ctiqbe.PDUCallJoinRequest},
			{"drop party", p.DropParty(ctx, rings, Participant{Call: CallID{1, 5}}), ctiqbe.PDUCallConferenceDropPartyRequest},
			{"pickup", p.Pickup(ctx, line1001), ctiqbe.PDULineCallPickupRequest},
			{"forward", p.Forward(ctx, line1001, "3000"), ctiqbe.PDULineSetForwardRequest},
			{"lamp", p.MessageWaiting(ctx, line1001, "", true), ctiqbe.PDULineSetMessageWaitingRequest},
			{"do not disturb", p.SetDoNotDisturb(ctx, line1001.Device, true), ctiqbe.PDUDeviceDNDSetRequest},
		} {
			if do.err != nil || len(m.received(do.pdu)) != 1 {
				t.Errorf("%s: %v, %d requests", do.name, do.err, len(m.received(do.pdu)))
			}
		}
		if consult, err := p.Consult(ctx, rings, "1003"); err != nil || consult != (CallID{1, 702}) {
			t.Error(consult, err)
		}
		if number, err := p.Park(ctx, rings); err != nil || number != "7777" {
			t.Error(number, err)
		}
		digits := m.received(ctiqbe.PDUCallPlayDTMFRequest)[0].(*ctiqbe.CallPlayDTMFRequest)
		if diff := cmp.Diff(digits.DTMFDigits, []ctiqbe.KeypadButton{1, 15, 10}); diff != "" || digits.CallLegID != 710 || digits.LineID != 1001 {
			t.Errorf("%+v", digits)
		}
		join := m.received(ctiqbe.PDUCallJoinRequest)[0].(*ctiqbe.CallJoinRequest)
		if join.CallLegID != 710 || !cmp.Equal(join.OtherCalls, []ctiqbe.ClientCallHandle{{CallManagerID: 1, CallLegID: 701}}) {
			t.Errorf("%+v", join)
		}
		if err := p.BlindTransfer(ctx, rings, "4000"); err != nil {
			t.Error(err)
		}
		blind := m.received(ctiqbe.PDUCallRedirectRequest)[1].(*ctiqbe.CallRedirectRequest)
		if blind.RedirectAddress != "4000" || blind.CallingSearchSpace != 2 || blind.CalledAddressOption != 1 || blind.RedirectReason != 1 {
			t.Errorf("%+v", blind)
		}
		if err := p.Forward(ctx, line1001, ""); err != nil {
			t.Error(err)
		}
		if f := m.received(ctiqbe.PDULineSetForwardRequest)[1].(*ctiqbe.LineSetForwardRequest).ForwardInfo; len(f) != 1 || f[0].ForwardType != 0 || f[0].Destination != "" {
			t.Errorf("%+v", f)
		}
		// what cannot be asked is not sent
		if err := p.Digits(ctx, rings, "x"); !errors.Is(err, ctiqbe.ErrInvalidDTMFDigits) {
			t.Error(err)
		}
		if err := p.Hold(ctx, Call{Line: line1001, ID: CallID{1, 999}}); !errors.Is(err, ErrNoCall) {
			t.Error(err)
		}
		if _, err := p.Dial(ctx, LineID{"SEP001122334466", "1003", "PT"}, "1"); !errors.Is(err, ErrNotOpen) {
			t.Error(err)
		}
		m.refuse[ctiqbe.PDUCallHoldRequest] = ctiqbe.ErrIllegalCallState
		if err := p.Hold(ctx, rings); !errors.Is(err, ctiqbe.ErrIllegalCallState) || !strings.Contains(err.Error(), "by the script") {
			t.Error(err)
		}
		m.send(state("1001", 710, ctiqbe.CallStateDisconnected, ctiqbe.CauseNormalCallClearing), state("1001", 710, ctiqbe.CallStateIdle, 0))
		if e := next[CallChanged](t, p); e.Call.Cause != ctiqbe.CauseNormalCallClearing {
			t.Errorf("%+v", e)
		}
		if e := next[CallEnded](t, p); e.Call.ID != rings.ID || len(p.Calls()) != 1 {
			t.Errorf("%+v", e)
		}
		if err := p.CloseLine(ctx, line1001); err != nil || len(p.Calls()) != 0 {
			t.Error(err, p.Calls())
		}
	})
}

// TestSilentRequest: a manager that lives and does not answer costs one request, not the connection.
func TestSilentRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		p := opened(t, config(m))
		openedLine(t, p, line1001)
		m.mute[ctiqbe.PDUProviderAllocateGlobalCallHandleRequest] = true
		started := time.Now()
		if _, err := p.Dial(t.Context(), line1001, "1"); !errors.Is(err, ctiqbe.ErrTimeout) || time.Since(started) != requestTime {
			t.Error(err, time.Since(started))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := p.Dial(ctx, line1001, "1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if !p.Status().Up {
			t.Error("the connection was given up")
		}
	})
}

// TestFailover: a manager that goes silent is replaced within two windows, the application sees one Gap and then what
// changed, and nothing that the new manager told is missing.
func TestFailover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newManager("10.0.0.1"), newManager("10.0.0.2")
		p := opened(t, config(a, b))
		openedLine(t, p, line1001)
		a.send(incoming("1001", 1, "2001"), incoming("1001", 2, "2002"), incoming("1001", 3, "2003"))
		for range 3 {
			next[NewCall](t, p)
		}
		// 1 is as it was, 2 was answered meanwhile, 3 is over, 4 is new
		b.existing = []ctiqbe.LineExistingCallEvent{existing("1001", 1, "2001", ctiqbe.CallStateOffering),
			existing("1001", 2, "2002", ctiqbe.CallStateConnected), existing("1001", 4, "2004", ctiqbe.CallStateAccepted)}
		// 5 comes and goes before the picture is whole; 6 comes, and 2 is held, behind it
		b.before = []ctiqbe.Message{incoming("1001", 5, "2005"), state("1001", 5, ctiqbe.CallStateIdle, 0)}
		b.after = []ctiqbe.Message{incoming("1001", 6, "2006"), state("1001", 2, ctiqbe.CallStateOnHold, 0),
			&ctiqbe.CallDTMFEvent{LineCallManagerID: 1, LineID: 1001, CallCallManagerID: 1, CallLegID: 2, Digit: ctiqbe.KeypadButtonStar}}
		b.set(func() { b.down = true }) // for a moment, to look at the time without a manager
		a.mutter()
		went := time.Now()
		lost := next[LinkLost](t, p)
		if !errors.Is(lost.Err, ErrSilent) || lost.Manager != "10.0.0.1" {
			t.Errorf("%+v", lost)
		}
		if _, err := p.Dial(t.Context(), line1001, "1"); !errors.Is(err, ErrNoLink) {
			t.Error(err)
		}
		if len(p.Calls()) != 3 || len(p.Devices()) != 2 {
			t.Error("what was known is forgotten")
		}
		b.revive()
		gap := next[Gap](t, p)
		if gap.Before != "10.0.0.1" || gap.Manager != "10.0.0.2" || !errors.Is(gap.Cause, ErrSilent) || len(gap.Lost) != 0 {
			t.Errorf("%+v", gap)
		}
		if window := p.Status().Window; gap.To.Sub(went) >= 2*window {
			t.Errorf("it took %v, two windows are %v", gap.To.Sub(went), 2*window)
		}
		if e := next[CallChanged](t, p); e.Call.ID.Leg != 2 || e.Call.State != ctiqbe.CallStateConnected || !e.Snapshot || e.Before != ctiqbe.CallStateOffering {
			t.Errorf("%+v", e)
		}
		if e := next[CallEnded](t, p); e.Call.ID.Leg != 3 || !e.Snapshot {
			t.Errorf("%+v", e)
		}
		if e := next[NewCall](t, p); e.Call.ID.Leg != 4 || !e.Snapshot {
			t.Errorf("%+v", e)
		}
		if e := next[NewCall](t, p); e.Call.ID.Leg != 5 {
			t.Errorf("%+v", e)
		}
		if e := next[CallEnded](t, p); e.Call.ID.Leg != 5 {
			t.Errorf("%+v", e)
		}
		if e := next[NewCall](t, p); e.Call.ID.Leg != 6 || e.Snapshot {
			t.Errorf("%+v", e)
		}
		if e := next[CallChanged](t, p); e.Call.ID.Leg != 2 || e.Call.State != ctiqbe.CallStateOnHold || e.Snapshot {
			t.Errorf("%+v", e)
		}
		if e := next[Digit](t, p); e.Digit != '*' || e.Call.ID.Leg != 2 {
			t.Errorf("%+v", e)
		}
		// the sequence numbers go on, and no way back while the backup lives
		first := b.received(ctiqbe.PDUProviderInitRequest)[0].(*ctiqbe.ProviderInitRequest)
		if first.SequenceNumber < 5 {
			t.Errorf("the second login begins with number %d", first.SequenceNumber)
		}
		a.revive()
		time.Sleep(10 * time.Minute)
		if p.Status().Manager != "10.0.0.2" || a.logins != 1 {
			t.Error("it went back")
		}
	})
}
