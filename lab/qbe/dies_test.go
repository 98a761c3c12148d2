package qbe_test

import (
	"testing"
	"time"

	"github.com/locktone/locktone/lab/qbe"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// TestProviderDiesMidTransfer: an application that is cut off while it consults somebody leaves both calls as they are, and another one that
// watches the phone is told everything and completes the transfer.
func TestProviderDiesMidTransfer(t *testing.T) {
	t.Parallel()
	s := newStage(t, nil)
	for _, n := range []string{"1001", "1002", "1003"} {
		s.phone(n)
	}
	s.observe("1001")
	first, line := s.client, s.lines["1001"]
	s.play("phone 1002 dials 1001", []string{"state of the device", "call", "offered", "rings"})
	s.play("app answer 1001.1\nphone 1002 talks", []string{"response", "state of the device", "state"})
	s.observe("1001") // the second application: it finds the call there
	second, there := s.client, s.lines["1001"]
	began := len(second.Said())
	managers, leg := existingCall(t, second)

	s.must(first.Do(s.ctx, &ctiqbe.CallSetupTransferRequest{LineCallManagerID: line.CallManager, LineID: line.ID, CallLegCallManagerID: managers, CallLegID: leg, DestAddress: "1003"}))
	if err := s.person(s.phones["1003"], []string{"answers"}); err != nil {
		t.Fatal(err)
	}
	first.Close()

	m, err := second.Wait(s.ctx, began, func(m ctiqbe.Message) bool { return m.PDU() == ctiqbe.PDULineNewCallEvent })
	if err != nil {
		t.Fatal(err)
	}
	consulted := m.(*ctiqbe.LineNewCallEvent)
	state := func(leg uint32, want ctiqbe.CallState) {
		t.Helper()
		if _, err := second.Wait(s.ctx, began, func(m ctiqbe.Message) bool {
			e, ok := m.(*ctiqbe.CallStateChangedEventV2)
			return ok && e.CallLegID == leg && e.State == want
		}); err != nil {
			t.Fatalf("leg %d never came to %v: %v", leg, want, err)
		}
	}
	state(leg, ctiqbe.CallStateOnHold)
	state(consulted.CallLegID, ctiqbe.CallStateConnected)
	for deadline := time.Now().Add(5 * time.Second); ; { // the CTI manager has seen that the first is gone
		rows, err := s.site.CTI.Rows(s.ctx)
		if err == nil && len(rows) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d applications are still there: %v", len(rows), err)
		}
		time.Sleep(20 * time.Millisecond) // connections that end have no event of their own
	}
	s.must(second.Do(s.ctx, &ctiqbe.CallDirectTransferRequest{LineCallManagerID: there.CallManager, LineID: there.ID, CallLegCallManagerID: managers, CallLegID: leg,
		OtherCallHandle: ctiqbe.ClientCallHandle{CallManagerID: consulted.CallCallManagerID, CallLegID: consulted.CallLegID}}))
	state(leg, ctiqbe.CallStateIdle)
	bob, err := s.phones["1002"].call(s.ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := bob.WaitConnected(s.ctx, "1003"); err != nil {
		t.Error(err)
	}
}

// existingCall is the call that an application was told of when it opened its line.
func existingCall(t *testing.T, c *qbe.Client) (callManager, leg uint32) {
	t.Helper()
	for _, m := range c.Said() {
		if e, ok := m.(*ctiqbe.LineExistingCallEvent); ok {
			return e.CallCallManagerID, e.CallLegID
		}
	}
	t.Fatal("the second application was told of no call")
	return 0, 0
}

func (s *stage) must(_ ctiqbe.Message, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
