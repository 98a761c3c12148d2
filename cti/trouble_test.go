package cti

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/locktone/locktone/wire/ctiqbe"
	"github.com/locktone/locktone/wire/secret"
)

// TestCrash: a connection that ends is noticed at once, and a second loss before the Gap is part of the same gap.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newManager("10.0.0.1"), newManager("10.0.0.2")
		p := opened(t, config(a, b))
		openedLine(t, p, line1001)
		a.send(incoming("1001", 1, "2001"))
		next[NewCall](t, p)
		b.existing = []ctiqbe.LineExistingCallEvent{existing("1001", 1, "2001", ctiqbe.CallStateOffering)}
		b.mute[ctiqbe.PDULineOpenRequest] = true // it dies while the lines are being opened
		went := time.Now()
		a.crash()
		if e := next[LinkLost](t, p); !errors.Is(e.Err, net.ErrClosed) && e.Err.Error() != "EOF" && !e.At.Equal(went) {
			t.Errorf("%+v", e)
		}
		synctest.Wait()
		if b.logins != 1 {
			t.Fatalf("%d logins at the backup", b.logins)
		}
		a.set(func() { a.existing = b.existing })
		a.revive()
		b.crash()
		gap := next[Gap](t, p)
		if gap.Before != "10.0.0.1" || gap.Manager != "10.0.0.1" || !gap.From.Equal(went) {
			t.Errorf("%+v", gap)
		}
		synctest.Wait()
		p.mu.Lock()
		if len(p.queue) != 0 {
			t.Errorf("behind the gap: %+v", p.queue)
		}
		p.mu.Unlock()
	})
}

// TestNobody: without any manager the pauses grow, and the first one that is back is used.
func TestNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newManager("10.0.0.1"), newManager("10.0.0.2")
		var dials atomic.Int32
		c := config(a, b)
		dial := c.Dial
		c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, address)
		}
		p := opened(t, c)
		b.set(func() { b.down = true })
		a.crash()
		next[LinkLost](t, p)
		time.Sleep(10 * time.Minute)
		if n := dials.Load(); n < 30 || n > 60 {
			t.Errorf("%d dials in ten minutes", n)
		}
		a.revive()
		if gap := next[Gap](t, p); gap.To.Sub(gap.From) > 10*time.Minute+longestRetry {
			t.Errorf("%+v", gap)
		}
		_ = p.Close()
		next[Closed](t, p)
	})
}

func TestClosedByManager(t *testing.T) {
	for _, tt := range []struct {
		reason ctiqbe.ProviderCloseReason
		final  bool
	}{
		{ctiqbe.ProviderCloseReasonCertCompromised, true},
		{ctiqbe.ProviderCloseReasonUserDeleted, true},
		{ctiqbe.ProviderCloseReasonStandardCTIEnabledPermissionsRemoved, true},
		{ctiqbe.ProviderCloseReasonHeartbeatMissed, false},
		{ctiqbe.ProviderCloseReasonUnexpectedShutdown, false},
		{ctiqbe.ProviderCloseReasonDuplicateCertUsed, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newManager("10.0.0.1")
			p := opened(t, config(m))
			m.send(&ctiqbe.ProviderClosedEvent{Reason: tt.reason})
			lost := next[LinkLost](t, p)
			if !strings.Contains(lost.Err.Error(), tt.reason.String()) {
				t.Error(lost.Err)
			}
			if tt.final {
				if e := next[Closed](t, p); e.Err == nil || !strings.Contains(e.Err.Error(), tt.reason.String()) {
					t.Errorf("%v: %+v", tt.reason, e)
				}
				if _, err := p.Dial(t.Context(), line1001, "1"); !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
				return
			}
			gap := next[Gap](t, p)
			if took := gap.To.Sub(gap.From); tt.reason == ctiqbe.ProviderCloseReasonDuplicateCertUsed && took < 2*time.Second {
				t.Errorf("back after %v: two applications with one certificate would throw each other out without end", took)
			}
		})
	}
}

// TestRefusedLater: a login that is refused for good after a loss ends the provider.
func TestRefusedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newManager("10.0.0.1"), newManager("10.0.0.2")
		p := opened(t, config(a, b))
		b.open = ctiqbe.ErrLoginFailedAccountLocked
		a.crash()
		next[LinkLost](t, p)
		if e := next[Closed](t, p); !errors.Is(e.Err, ctiqbe.ErrLoginFailedAccountLocked) || !errors.Is(p.Status().Err, ctiqbe.ErrLoginFailedAccountLocked) {
			t.Errorf("%+v", e)
		}
	})
}

// TestLostLine: a line that the new manager does not give is told in the Gap, and its calls as ended.
func TestLostLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newManager("10.0.0.1"), newManager("10.0.0.2")
		p := opened(t, config(a, b))
		openedLine(t, p, line1001)
		a.send(incoming("1001", 1, "2001"))
		next[NewCall](t, p)
		b.refuse[ctiqbe.PDULineOpenRequest] = ctiqbe.ErrLineRestricted
		a.crash()
		next[LinkLost](t, p)
		gap := next[Gap](t, p)
		if len(gap.Lost) != 1 || gap.Lost[0].Line != line1001 || !errors.Is(gap.Lost[0].Err, ctiqbe.ErrLineRestricted) {
			t.Errorf("%+v", gap)
		}
		if e := next[CallEnded](t, p); e.Call.ID.Leg != 1 {
			t.Errorf("%+v", e)
		}
	})
}

// TestClosedLine: the manager may answer that a line is open and close it at once; opening it is then an error.
func TestClosedLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		m.before = []ctiqbe.Message{&ctiqbe.LineClosedEvent{LineCallManagerID: 1, LineID: 1001, Reason: ctiqbe.LineCloseReasonLineRestricted}}
		p := opened(t, config(m))
		if err := p.OpenLine(t.Context(), line1001); !errors.Is(err, ErrNotOpen) || !strings.Contains(err.Error(), "allow control") {
			t.Error(err)
		}
	})
}

// TestOpenTogether: lines opened at the same time open their device once, and none waits for another's picture.
func TestOpenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		p := opened(t, config(m))
		started := time.Now()
		errs := make(chan error)
		for _, l := range append(p.Lines(), p.Lines()...) {
			go func() { errs <- p.OpenLine(t.Context(), l.ID) }()
		}
		for range 6 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if d, l := len(m.received(ctiqbe.PDUDeviceOpenRequest)), len(m.received(ctiqbe.PDULineOpenRequest)); d != 2 || l != 3 || time.Since(started) != 0 {
			t.Errorf("%d devices and %d lines were opened in %v", d, l, time.Since(started))
		}
	})
}

// TestBothWrite: a manager that says much before it reads on does not come to a standstill with requests that wait to be read.
func TestBothWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		p := opened(t, config(m))
		openedLine(t, p, line1001)
		started := time.Now()
		asked := make(chan error)
		m.set(func() {
			for n := range uint32(200) {
				m.before = append(m.before, incoming("1001", n, "2001"))
			}
		})
		go func() { asked <- p.OpenLine(t.Context(), LineID{"SEP001122334455", "1002", "PT"}) }()
		for range 50 {
			go func() { asked <- p.Forward(t.Context(), line1001, "1") }()
		}
		for range 51 {
			if err := <-asked; err != nil {
				t.Error(err)
			}
		}
		if time.Since(started) != 0 {
			t.Errorf("it took %v", time.Since(started))
		}
	})
}

// TestOverflow: an application that does not read is told so by one Gap and a picture of what is.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		c := config(m)
		c.Queue = 20
		p := opened(t, c)
		openedLine(t, p, line1001)
		m.send(incoming("1001", 1, "2001"))
		for range 100 {
			m.send(state("1001", 1, ctiqbe.CallStateConnected, 0), state("1001", 1, ctiqbe.CallStateOnHold, 0))
		}
		synctest.Wait()
		if e := next[Gap](t, p); !errors.Is(e.Cause, ErrLagged) {
			t.Errorf("%+v", e)
		}
		if e := next[NewCall](t, p); !e.Snapshot || e.Call.ID.Leg != 1 {
			t.Errorf("%+v", e)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.queue); n > 20 {
			t.Errorf("%d events wait", n)
		}
	})
}

// TestStrangeManager: frames that cannot be read, that nobody asked for, and of numbers nobody knows harm nothing.
func TestStrangeManager(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newManager("10.0.0.1")
		p := opened(t, config(m))
		openedLine(t, p, line1001)
		broken := ctiqbe.Append(nil, ctiqbe.Newest, incoming("1001", 1, "2001"))
		for i := 40; i < 300; i += 4 {
			broken[i] = 0xff
		}
		unknown := ctiqbe.Append(nil, ctiqbe.Newest, &ctiqbe.Heartbeat{})
		unknown[16], unknown[17] = 0xff, 0xff
		for _, b := range [][]byte{broken, unknown} {
			_, _ = m.conn.Write(b)
		}
		m.send(&ctiqbe.CallHoldResponse{SequenceNumber: 4711}, state("1001", 99, ctiqbe.CallStateConnected, 0), state("7777", 1, ctiqbe.CallStateIdle, 0),
			&ctiqbe.LineClosedEvent{LineID: 5}, &ctiqbe.DeviceClosedEvent{DeviceID: 5}, &ctiqbe.CallToneChangedEvent{}, incoming("1001", 2, "2002"))
		for {
			e, err := p.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if c, ok := e.(NewCall); ok {
				if c.Call.ID.Leg != 2 {
					t.Errorf("%+v", c)
				}
				break
			}
		}
		// not CTIQBE at all
		_, _ = m.conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		if e := next[LinkLost](t, p); !strings.Contains(e.Err.Error(), "does not speak CTIQBE") {
			t.Errorf("%+v", e)
		}
	})
}

// TestModelFeatures: each message that has an event of its own.
func TestModelFeatures(t *testing.T) {
	m := newModel()
	m.openDevice("SEP1", handle{1, 38})
	m.openLine(LineID{"SEP1", "1001", "PT"}, handle{1, 144})
	id := LineID{"SEP1", "1001", "PT"}
	m.apply(&ctiqbe.LineNewCallEvent{LineCallManagerID: 1, LineID: 144, CallCallManagerID: 1, CallLegID: 7, GlobalCallManagerID: 1, CallID: 9})
	call := m.calls[0]
	merged := call
	merged.Global, merged.Reason = GlobalCallID{1, 10}, ctiqbe.CallReasonTransferredCall
	merged.Calling = Party{Number: "5"}
	for _, tt := range []struct {
		in   ctiqbe.Message
		want []Event
	}{
		{&ctiqbe.LineCallTransferStartedEvent{LineCallManagerID: 1, LineID: 144, SurvivingGCMID: 1, SurvivingGCCID: 9, OtherGCMID: 1, OtherGCCID: 10},
			[]Event{Transfer{Line: id, Surviving: GlobalCallID{1, 9}, Other: GlobalCallID{1, 10}}}},
		{&ctiqbe.LineCallTransferEndedEvent{LineCallManagerID: 1, LineID: 144, Success: true}, []Event{Transfer{Line: id, Ended: true, Success: true}}},
		{&ctiqbe.LineCallConferenceStartedEvent{LineCallManagerID: 1, LineID: 144, SurvivingGCMID: 1, SurvivingGCCID: 9}, []Event{Conference{Line: id, Surviving: GlobalCallID{1, 9}}}},
		{&ctiqbe.LineCallConferenceEndedEvent{LineCallManagerID: 1, LineID: 144, Success: true}, []Event{Conference{Line: id, Ended: true, Success: true}}},
		{&ctiqbe.CallConferenceStateChangedEvent{LineCallManagerID: 1, LineID: 144, CallCallManagerID: 1, CallLegID: 7, ModifyStatus: ctiqbe.ConferenceModifyStatusPartyAdded,
			ChangedParticipantInfo: ctiqbe.ParticipantInfo{ParticipantNumber: "3", CallManagerID: 1, CallLegID: 8},
			OtherParticipantsInfo:  []ctiqbe.ParticipantInfo{{ParticipantNumber: "2", CallManagerID: 1, CallLegID: 7}}},
			[]Event{ConferenceChanged{call, ctiqbe.ConferenceModifyStatusPartyAdded, Participant{Party{Number: "3"}, CallID{1, 8}}, []Participant{{Party{Number: "2"}, CallID{1, 7}}}}}},
		{&ctiqbe.LineParkStatusEvent{LineCallManagerID: 1, LineID: 144, GlobalCallManagerID: 1, CallID: 9, ParkState: ctiqbe.ParkStatusParked, ParkDN: "77", ParkedParty: "5"},
			[]Event{Parked{id, GlobalCallID{1, 9}, ctiqbe.ParkStatusParked, "77", Party{Number: "5"}}}},
		{&ctiqbe.LineForwardEvent{LineCallManagerID: 1, LineID: 144, ForwardInfo: []ctiqbe.CallForwardInfo{{ForwardType: 1, Destination: "6"}}}, []Event{ForwardChanged{id, "6"}}},
		{&ctiqbe.LineForwardEvent{LineCallManagerID: 1, LineID: 144, ForwardInfo: []ctiqbe.CallForwardInfo{{}}}, []Event{ForwardChanged{id, ""}}},
		{&ctiqbe.DeviceDNDStatusChangedEvent{DeviceCallManagerID: 1, DeviceID: 38, DNDStatus: true}, []Event{DoNotDisturb{"SEP1", true}}},
		{&ctiqbe.CallStartReceptionEvent{DeviceCallManagerID: 1, DeviceID: 38, CallCallManagerID: 1, CallLegID: 7, IPAddr: 0x0100007f, RTPPortNumber: 20000, MilliSecondPacketSize: 20, CompressionType: 4},
			[]Event{Media{"SEP1", CallID{1, 7}, true, true, netip.MustParseAddrPort("127.0.0.1:20000"), ctiqbe.MediaPayloadG711MuLaw64K, 20 * time.Millisecond}}},
		{&ctiqbe.CallStartTransmissionEvent{DeviceCallManagerID: 1, DeviceID: 38, CallCallManagerID: 1, CallLegID: 7, RTPPortNumber: 1,
			RTPDestV6: ctiqbe.RTPDestinationV6{IPAddrV6: netip.MustParseAddr("fd00::1").AsSlice()}},
			[]Event{Media{"SEP1", CallID{1, 7}, true, false, netip.MustParseAddrPort("[fd00::1]:1"), 0, 0}}},
		{&ctiqbe.CallStopReceptionEvent{DeviceCallManagerID: 1, DeviceID: 38, CallCallManagerID: 1, CallLegID: 7}, []Event{Media{Device: "SEP1", Call: CallID{1, 7}, Receive: true}}},
		{&ctiqbe.CallStopTransmissionEvent{DeviceCallManagerID: 1, DeviceID: 38, CallCallManagerID: 1, CallLegID: 7}, []Event{Media{Device: "SEP1", Call: CallID{1, 7}}}},
		{&ctiqbe.CallReceptionKeyEvent{DeviceCallManagerID: 1, DeviceID: 38, CallCallManagerID: 1, CallLegID: 7, KeyInfo: ctiqbe.MediaEncryptionKeyInfo{Key: []byte("key"), Salt: []byte("salt"), AlgorithmID: 2}},
			[]Event{Key{"SEP1", CallID{1, 7}, true, 0, 2, KeyMaterial{[]byte("key"), []byte("salt")}}}},
		{&ctiqbe.CallGlobalCallHandleChangedEvent{LineCallManagerID: 1, LineID: 144, CallCallManagerID: 1, CallLegID: 7, NewGlobalCallManagerID: 1, NewGlobalCallID: 10,
			Reason: ctiqbe.CallReasonTransferredCall, CallingParty: "5"}, []Event{GlobalChanged{merged, GlobalCallID{1, 9}}}},
		{&ctiqbe.LineOutOfServiceEvent{LineCallManagerID: 1, LineID: 144, Reason: ctiqbe.LineOutOfServiceReasonDeviceUnregistered},
			[]Event{ServiceChanged{"SEP1", id, false, "DEVICE_UNREGISTERED"}}},
		{&ctiqbe.LineOutOfServiceEvent{LineCallManagerID: 1, LineID: 144}, nil}, // it is already
		{&ctiqbe.CallClosedEvent{LineCallManagerID: 1, LineID: 144, CallCallManagerID: 1, CallLegID: 7}, []Event{CallEnded{Call: func() Call { c := merged; c.State = ctiqbe.CallStateIdle; return c }()}}},
		{&ctiqbe.ProviderUserChangedEvent{TypeOfNotification: ctiqbe.UserNotifyTypeDeviceRemove, DeviceInfo: ctiqbe.DeviceInfo{Name: "SEP1"}}, []Event{DeviceChanged{"SEP1", true}}},
		{&ctiqbe.LineClosedEvent{LineCallManagerID: 1, LineID: 144, Reason: ctiqbe.LineCloseReasonDeviceRemoved}, []Event{ServiceChanged{"SEP1", id, false, "DEVICE_REMOVED"}}},
	} {
		got := m.apply(tt.in)
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(KeyMaterial{}), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%s:\n%s", tt.in.PDU(), diff)
		}
	}
}

func TestKeysDoNotPrint(t *testing.T) {
	k := Key{Material: KeyMaterial{[]byte("topsecretkey"), []byte("salt")}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if text := fmt.Sprintf(verb, k); strings.Contains(text, "topsecret") || strings.Contains(text, "746f70") {
			t.Errorf("%s: %s", verb, text)
		}
	}
	if key, salt := k.Material.Reveal(); string(key) != "topsecretkey" || string(salt) != "salt" {
		t.Error("the key is lost")
	}
}

func TestAddresses(t *testing.T) {
	names := func(_ context.Context, host string) ([]netip.Addr, error) {
		if host != "cti.example" {
			return nil, errors.New("no such host")
		}
		return []netip.Addr{netip.MustParseAddr("fd00::5"), netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("fd00::6")}, nil
	}
	for _, tt := range []struct {
		text   string
		clear  bool
		prefer Family
		want   []string
	}{
		{"10.0.0.1", false, 0, []string{"10.0.0.1:2749"}},
		{"10.0.0.1:12749", false, 0, []string{"10.0.0.1:12749"}},
		{"fd00::1", true, 0, []string{"[fd00::1]:2748"}},
		{"[fd00::1]:99", true, 0, []string{"[fd00::1]:99"}},
		{"cti.example", false, PreferIPv4, []string{"10.0.0.5:2749", "[fd00::5]:2749", "[fd00::6]:2749"}},
		{"cti.example:1", false, PreferIPv6, []string{"[fd00::5]:1", "[fd00::6]:1", "10.0.0.5:1"}},
	} {
		m, err := ParseManager(tt.text)
		if err != nil || m.Check() != nil || m.String() != tt.text {
			t.Errorf("%s: %+v %v %v", tt.text, m, err, m.Check())
		}
		c := Config{Clear: tt.clear, Prefer: tt.prefer, Resolve: names}
		if got, err := c.addresses(t.Context(), m); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v %v", tt.text, got, err)
		}
	}
	for _, none := range []string{"", "none"} {
		if m, err := ParseManager(none); err != nil || !m.None() || m.String() != "none" {
			t.Errorf("%q: %+v %v", none, m, err)
		}
	}
	if _, err := ParseManager("http://x/"); err == nil {
		t.Error("a URL was taken")
	}
	if _, err := (&Config{Resolve: names}).addresses(t.Context(), Manager{Host: "x"}); err == nil {
		t.Error("a name that does not resolve")
	}
}

func TestSettings(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "tsp")
	s, err := LoadSettings(dir)
	if err != nil || s != DefaultSettings() || s.Security.Port != 3804 || s.Security.Retries != 2 || s.Security.Interval != 2*time.Second || s.Trace.Files != 10 {
		t.Fatalf("%+v %v", s, err)
	}
	s.User, s.Password, s.Authorization, s.Primary, s.Backup, s.Prefer = "tapi", secret.New("pässword"), secret.New("cisco"), Manager{Host: "a"}, Manager{IPv6: "::1"}, PreferIPv6
	s.Security.Instance, s.Trace.Level = "5", TraceDetailed
	if err := s.Save(dir); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(filepath.Join(dir, settingsFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Error(st, err)
	}
	if got, err := LoadSettings(dir); err != nil || got != s {
		t.Errorf("%+v %v", got, err)
	}
	if text := fmt.Sprintf("%+v %#v", s, s); strings.Contains(text, "pässword") || strings.Contains(text, "cisco") {
		t.Error(text)
	}
	for what, change := range map[string]func(*Settings){
		"same managers":  func(s *Settings) { s.Backup = s.Primary },
		"two kinds":      func(s *Settings) { s.Primary.IPv4 = "10.0.0.1" },
		"a bad string":   func(s *Settings) { s.Authorization = secret.New("!!") },
		"retries":        func(s *Settings) { s.Security.Retries = -1 },
		"interval":       func(s *Settings) { s.Security.Interval = 2 * time.Hour },
		"port":           func(s *Settings) { s.Security.Port = 70000 },
		"negative files": func(s *Settings) { s.Trace.Files = -1 },
	} {
		bad := s
		change(&bad)
		if bad.Save(dir) == nil {
			t.Errorf("%s was saved", what)
		}
	}
	if got, _ := LoadSettings(dir); got != s {
		t.Error("what is wrong was saved")
	}
	if st := s.CertificateStatus(dir); st.Available || st.String() != "Not Available: none was fetched yet" {
		t.Errorf("%+v", st)
	}
	if _, err := s.Config(dir, nil); err == nil || !strings.Contains(err.Error(), "CAPF server's address is missing") {
		t.Error(err)
	}
}

// TestTrace: three series of files of bounded size and number, in the field's form of a line, without secrets.
func TestTrace(t *testing.T) {
	dir := t.TempDir()
	at := time.Date(2018, 2, 13, 16, 31, 4, 75_000_000, time.UTC)
	trace, err := NewTracer(TraceConfig{Level: TraceDetailed, CTI: true, TSPI: true, Dir: dir, Files: 3}, func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	m := newManager("127.0.0.1")
	synctest.Test(t, func(t *testing.T) {
		c := config(m)
		c.Trace = trace
		p := opened(t, c)
		openedLine(t, p, line1001)
		if _, err := p.Dial(t.Context(), line1001, "1003"); err != nil {
			t.Fatal(err)
		}
		if err := p.Hold(t.Context(), Call{Line: line1001, ID: CallID{9, 9}}); err == nil {
			t.Error("held")
		}
		_ = p.Close()
	})
	if err := trace.Close(); err != nil {
		t.Fatal(err)
	}
	for kind, lines := range map[string][]string{
		"TSP":  {"16:31:04.075 |-->CTSPProvider::Open()", "16:31:04.075 | CTSPProvider::connect() connected to 127.0.0.1:2748", "16:31:04.075 |<--CTSPProvider::Open()"},
		"CTI":  {"16:31:04.075 | CQBE::sent PDU#=37 LineOpenRequest qbeMsgSize=0x108 seq#=", "16:31:04.075 | CQBE::received PDU#=126 ProviderOpenCompletedEvent"},
		"TSPI": {"16:31:04.075 |-->TSPI_lineMakeCall() 1001@SEP001122334455 1003", "*ERROR* TSPI_lineHold()", "16:31:04.075 |<--TSPI_lineHold()"},
	} {
		b, err := os.ReadFile(filepath.Join(dir, kind+"000001.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if !strings.Contains(string(b), l) {
				t.Errorf("%s lacks %q:\n%s", kind, l, b)
			}
		}
		for l := range strings.Lines(string(b)) {
			if !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} \|(-->|<--| )`).MatchString(l) {
				t.Errorf("%s: %q", kind, l)
			}
		}
		if strings.Contains(string(b), "secret12") {
			t.Errorf("the password is in %s", kind)
		}
	}
	// rotation: lines of 1 kB until there were five files
	trace, err = NewTracer(TraceConfig{Level: TraceDetailed, Dir: dir, Size: 1, Files: 3}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 4500 {
		trace.Detail("%s", strings.Repeat("x", 1000))
	}
	_ = trace.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "TSP0*.txt"))
	if len(files) != 3 || filepath.Base(files[2]) != "TSP000005.txt" {
		t.Errorf("%v", files)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err != nil || st.Size() > 1<<20 || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, st, err)
		}
	}
	if trace, err := NewTracer(TraceConfig{Dir: dir}, nil); trace != nil || err != nil {
		t.Error("a trace that is off")
	}
	var none *Tracer
	none.Detail("nothing")
	none.Fault("nothing")
	none.enter("x")()
	none.tspi("x", "")(nil)
	if none.Close() != nil {
		t.Error("closing nothing")
	}
	if _, err := NewTracer(TraceConfig{Level: TraceError}, nil); err == nil {
		t.Error("a trace without a folder")
	}
}
