package ctimanager

import (
	"fmt"
	"strings"
	"testing"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// callKit is a provider with alice's line open and calls on it, in given states: legs 5, 7 and 9 of calls 105, 107, 109.
func callKit(states ...ctiqbe.CallState) (*kit, *openLine) {
	k := ready()
	k.at["bob"] = place{Node: "node1"}
	k.say(&ctiqbe.DeviceOpenRequest{DeviceName: "alice"})
	k.say(&ctiqbe.LineOpenRequest{DeviceName: "alice", LineName: "1001", Partition: "internal"})
	line := call.LineID{Number: "1001", Partition: "internal"}
	k.step(existing{device: "alice", line: line})
	for i, s := range states {
		n := uint32(5 + 2*i)
		k.step(happened{projection.Event{Kind: projection.NewCall, Device: "alice", Line: line, Node: "node1", Leg: call.LegID(n), Call: call.CallID(100 + n),
			Handle: projection.Handle{CallManager: 1, Leg: n}, GCH: projection.GCH{CallManager: 1, Call: 100 + n}, State: s}})
	}
	for _, l := range k.p.lines {
		return k, l
	}
	panic("no line is open")
}

// asks is what a request leads to: what an engine is asked, or what the client is told.
func (k *kit) asks(m ctiqbe.Message) string {
	k.seq++
	ctiqbe.SetSequence(m, k.seq)
	var out []string
	for _, o := range k.p.Step(k.now, received{message: m, header: ctiqbe.Header{PDU: m.PDU(), Version: ctiqbe.Newest}}) {
		switch o := o.(type) {
		case run:
			if e, ok := o.errand.(engineRequest); ok {
				out = append(out, e.node+" "+call.Describe(e.engine))
				continue
			}
			out = append(out, fmt.Sprintf("%T", o.errand))
		case frame:
			if f, ok := o.message.(*ctiqbe.FailureResponse); ok {
				out = append(out, f.Result.String())
				continue
			}
			out = append(out, o.message.PDU().String())
		}
	}
	return strings.Join(out, ", ")
}

// TestWhatIsAsked: each request is asked of the engine that has the call, as it is meant; a handle that is not this connection's, and a state
// that does not allow it, are refused with the field's value before anybody is asked.
func TestWhatIsAsked(t *testing.T) {
	const connected, held, offering, ringback = ctiqbe.CallStateConnected, ctiqbe.CallStateOnHold, ctiqbe.CallStateOffering, ctiqbe.CallStateRingback
	for _, c := range []struct {
		what    string
		states  []ctiqbe.CallState
		request func(line lineHandle) ctiqbe.Message
		want    string
	}{
		{"answer", []ctiqbe.CallState{offering}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallAnswerRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "node1 AnswerCall leg=l5"},
		{"answer what talks", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallAnswerRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "ILLEGAL_CALLSTATE"},
		{"answer at a line that is not open", []ctiqbe.CallState{offering}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallAnswerRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID + 1, CallLegCallManagerID: 1, CallLegID: 5}
		}, "INVALID_LINE_HANDLE"},
		{"answer somebody else's call", []ctiqbe.CallState{offering}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallAnswerRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 6}
		}, "CALLHANDLE_UNKNOWN_TO_LINECONTROL"},
		{"accept", []ctiqbe.CallState{offering}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallAcceptRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "node1 AcceptCall leg=l5"},
		{"reject", []ctiqbe.CallState{offering}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallDisconnectRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "node1 Drop leg=l5 cause=call-rejected"},
		{"disconnect", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallDisconnectRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "node1 Drop leg=l5"},
		{"hold", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallHoldRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "node1 Hold leg=l5"},
		{"retrieve", []ctiqbe.CallState{held}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallRetrieveRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "node1 Resume leg=l5"},
		{"retrieve what another device of the line holds", []ctiqbe.CallState{ctiqbe.CallStateRemoteInUse}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallRetrieveRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "node1 TakeOver device=alice line=1001@internal"},
		{"make", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineCallInitiateRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, DestAddress: "1002", CallingAddress: "1001"}
		}, "node1 MakeCall device=alice line=1001@internal called=1002 auto=true"},
		{"make with somebody else's number", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineCallInitiateRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, DestAddress: "1002", CallingAddress: "1002"}
		}, "ILLEGAL_CALLINGPARTY"},
		{"make under a handle that was never given", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineCallInitiateRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, DestAddress: "1002", GlobalCallManagerID: 0x101, GlobalCallID: 4711}
		}, "UNKNOWN_GLOBAL_CALL_HANDLE"},
		{"consult", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallSetupTransferRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, DestAddress: "1003"}
		}, "node1 MakeCall device=alice line=1001@internal called=1003 auto=true from=l5"},
		{"consult about what rings", []ctiqbe.CallState{offering}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallSetupConferenceRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, DestAddress: "1003"}
		}, "CTIERR_PRIMARY_CALL_STATE_INVALID"},
		{"complete a transfer", []ctiqbe.CallState{held, connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallCompleteTransferRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, ConsultCallManagerID: 1, ConsultCallLegID: 7}
		}, "node1 Transfer leg=l5 with=l7"},
		{"transfer to who rings", []ctiqbe.CallState{held, ringback}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallDirectTransferRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5,
				OtherCallHandle: ctiqbe.ClientCallHandle{CallManagerID: 1, CallLegID: 7}}
		}, "node1 Transfer leg=l5 with=l7"},
		{"transfer to itself", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallDirectTransferRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5,
				OtherCallHandle: ctiqbe.ClientCallHandle{CallManagerID: 1, CallLegID: 5}}
		}, "CTIERR_INVALID_PARAMETER"},
		{"join", []ctiqbe.CallState{held, connected, held}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallJoinRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5,
				OtherCalls: []ctiqbe.ClientCallHandle{{CallManagerID: 1, CallLegID: 7}, {CallManagerID: 1, CallLegID: 9}}}
		}, "node1 Conference leg=l5 with=l7 with=l9"},
		{"join who rings", []ctiqbe.CallState{held, ringback}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallCompleteConferenceRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, ConsultCallManagerID: 1, ConsultCallLegID: 7}
		}, "CONFERENCE_INVALID_PARTICIPANT"},
		{"drop a party of no conference", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallConferenceDropPartyRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, DropPartyCallManagerID: 1, DropPartyCallLegID: 6}
		}, "CONFERENCE_INACTIVE"},
		{"redirect", []ctiqbe.CallState{offering}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallRedirectRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, RedirectAddress: "1004",
				PreferredOriginalCalledParty: "1004"}
		}, "node1 Redirect leg=l5 to=1004 caller_space=true"},
		{"redirect with all options", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallRedirectRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, RedirectAddress: "4445",
				CallingSearchSpace: 2, CalledAddressOption: 2, PreferredOriginalCalledParty: "8888", FACCode: "9999", CMCCode: "123", FeaturePriority: 1}
		}, "node1 Redirect leg=l5 to=4445 original=preferred preferred=8888"},
		{"transfer in one step", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallRedirectRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, RedirectAddress: "1004",
				CallingSearchSpace: 2, CalledAddressOption: 1, RedirectReason: 1}
		}, "node1 Redirect leg=l5 to=1004 original=reset transfer=true"},
		{"redirect as somebody else", []ctiqbe.CallState{offering}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallRedirectRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, RedirectAddress: "1004",
				ModifiedCallingParty: "4711", ModifiedCallingPartyReason: 1}
		}, "CTIERR_REDIRECT_UNAUTHORIZED_COMMAND_USAGE"},
		{"redirect what is on hold", []ctiqbe.CallState{held}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallRedirectRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, RedirectAddress: "1004"}
		}, "REDIRECT_CALL_INCOMPATIBLE_STATE"},
		{"park", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallParkRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "node1 Park leg=l5"},
		{"unpark", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineCallUnparkRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, ParkedAtAddress: "7000"}
		}, "node1 Retrieve device=alice line=1001@internal slot=7000"},
		{"directed pickup", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineCallPickupRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, PickupType: ctiqbe.PickupTypeDirected, PickupGroupNumber: "1002"}
		}, "node1 Pickup device=alice line=1001@internal ringing=1002"},
		{"group pickup without a group", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineCallPickupRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, PickupType: ctiqbe.PickupTypeGroup}
		}, "CTIERR_INVALID_PICKUPGROUP"},
		{"digits", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallPlayDTMFRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, DTMFDigits: []ctiqbe.KeypadButton{1, 15, 14, 10}}
		}, "node1 SendDigits leg=l5 digits=1#*A"},
		{"digits on hold", []ctiqbe.CallState{held}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallPlayDTMFRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, DTMFDigits: []ctiqbe.KeypadButton{1}}
		}, "DIGIT_GENERATION_WRONG_CALL_STATE"},
		{"keys that no phone has", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallPlayDTMFRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5, DTMFDigits: []ctiqbe.KeypadButton{16}}
		}, "CTIERR_INVALID_DTMFDIGITS"},
		{"forward", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineSetForwardRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, ForwardInfo: []ctiqbe.CallForwardInfo{{ForwardType: 1, Destination: "1002"}}}
		}, "node1 SetForward line=1001@internal kind=all to=1002"},
		{"forward to nowhere", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineSetForwardRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, ForwardInfo: []ctiqbe.CallForwardInfo{{ForwardType: 1}}}
		}, "CFWDALL_DESTN_INVALID"},
		{"messages of a line that is not there", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineSetMessageWaitingRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, LineName: "4711", LampMode: ctiqbe.LampModeOn}
		}, "MSGWAITING_DESTN_INVALID"},
		{"more urgent messages than messages", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineSetMessageWaitingRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, LampMode: ctiqbe.LampModeOn, VoiceCounts: true, TotalNewVoiceMsgs: 1,
				HighPriorityVoiceCounts: true, NewHighPriorityVoiceMsgs: 2}
		}, "CTIERR_INVALID_HIGH_PRIORITY_VOICE_COUNTS"},
		{"messages", nil, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.LineSetMessageWaitingRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, LineName: "1002", LampMode: ctiqbe.LampModeOn}
		}, "ctimanager.setMessages"},
		{"record", []ctiqbe.CallState{connected}, func(l lineHandle) ctiqbe.Message {
			return &ctiqbe.CallStartRecordingRequest{LineCallManagerID: l.CallManagerID, LineID: l.LineID, CallLegCallManagerID: 1, CallLegID: 5}
		}, "CTIERR_START_RECORDING_FAILED"},
		{"pickup alerts of no group", nil, func(lineHandle) ctiqbe.Message {
			return &ctiqbe.ProviderPickupNotificationRegisterRequest{PickupGroupNumber: "99"}
		}, "CTIERR_INVALID_PICKUPGROUP"},
		{"pickup alerts", nil, func(lineHandle) ctiqbe.Message {
			return &ctiqbe.ProviderPickupNotificationRegisterRequest{PickupGroupNumber: "1"}
		}, "ProviderPickupNotificationRegisterResponse"},
	} {
		t.Run(c.what, func(t *testing.T) {
			k, l := callKit(c.states...)
			if got := k.asks(c.request(l.handle)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// TestWhatComesBack: what an engine says is the response, or the error value for its cause, or that nobody knows.
func TestWhatComesBack(t *testing.T) {
	redirect := func(l *openLine) ctiqbe.Message {
		return &ctiqbe.CallRedirectRequest{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, CallLegCallManagerID: 1, CallLegID: 5, RedirectAddress: "1004"}
	}
	consult := func(l *openLine) ctiqbe.Message {
		return &ctiqbe.CallSetupTransferRequest{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, CallLegCallManagerID: 1, CallLegID: 5, DestAddress: "1003"}
	}
	digits := func(l *openLine) ctiqbe.Message {
		return &ctiqbe.CallPlayDTMFRequest{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, CallLegCallManagerID: 1, CallLegID: 5, DTMFDigits: []ctiqbe.KeypadButton{1}}
	}
	park := func(l *openLine) ctiqbe.Message {
		return &ctiqbe.CallParkRequest{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, CallLegCallManagerID: 1, CallLegID: 5}
	}
	for _, c := range []struct {
		request func(*openLine) ctiqbe.Message
		reply   call.Reply
		err     error
		want    []string
	}{
		{redirect, call.Reply{}, nil, []string{"< CallRedirectResponse"}},
		{redirect, call.Reply{Cause: call.UserBusy}, nil, []string{"Result=REDIRECT_CALL_DESTINATION_BUSY"}},
		{redirect, call.Reply{Cause: call.UnallocatedNumber, Why: "nothing is there"}, nil, []string{`Result=REDIRECT_CALL_UNKNOWN_DESTINATION Description="nothing is there"`}},
		{redirect, call.Reply{Cause: call.Overloaded}, nil, []string{"Result=TEMPORARY_FAILURE"}},
		{redirect, call.Reply{}, &bus.Error{Code: bus.CodeTimeout, Message: "no answer"}, []string{"Result=TIMEOUT"}},
		{redirect, call.Reply{}, &bus.Error{Code: bus.CodeNoResponder, Message: "nobody is there"}, []string{"Result=CTIERR_CALL_MANAGER_NOT_AVAILABLE"}},
		{consult, call.Reply{Call: 200, Leg: 1<<31 + 8}, nil, []string{`ConsultCallManagerID=1 ConsultCallID=8 ConsultLine="1001" ConsultLinePartition="internal"`}},
		{consult, call.Reply{Cause: call.WrongCallState}, nil, []string{"Result=CTIERR_PRIMARY_CALL_STATE_INVALID"}},
		{digits, call.Reply{}, nil, []string{"< CallPlayDTMFResponse", "< CallPlayDTMFCompleteEvent"}},
		{digits, call.Reply{Cause: call.InvalidNumberFormat}, nil, []string{"Result=CTIERR_INVALID_DTMFDIGITS"}},
		{park, call.Reply{Slot: "7003"}, nil, []string{`ParkedAt="7003" ParkedAtPartition="features"`}},
		{park, call.Reply{Cause: call.UserBusy}, nil, []string{"Result=CTIERR_CALL_PARK_NO_DN"}},
	} {
		k, l := callKit(ctiqbe.CallStateConnected)
		k.asks(c.request(l))
		for id := range k.p.pendings {
			expect(t, fmt.Sprint(c.reply, c.err), k.step(asked{id: id, Reply: c.reply, Err: c.err}), c.want...)
		}
	}
}

// A name for a call is good for one call, and for who was given it.
func TestAllocatedOnce(t *testing.T) {
	k, l := callKit()
	k.asks(&ctiqbe.ProviderAllocateGlobalCallHandleRequest{})
	initiate := func() ctiqbe.Message {
		return &ctiqbe.LineCallInitiateRequest{LineCallManagerID: l.handle.CallManagerID, LineID: l.handle.LineID, GlobalCallManagerID: 0x101, GlobalCallID: 1, DestAddress: "1002"}
	}
	if got := k.asks(initiate()); !strings.Contains(got, "tag=t") {
		t.Fatal(got)
	}
	if got := k.asks(initiate()); got != "CALL_ALREADY_EXISTS" {
		t.Errorf("a second request with it, while the first is under way: %s", got)
	}
	for id := range k.p.pendings {
		k.step(asked{id: id, Reply: call.Reply{Cause: call.SubscriberAbsent}})
	}
	if got := k.asks(initiate()); !strings.Contains(got, "tag=t") {
		t.Errorf("again, after it was refused: %s", got)
	}
	for id := range k.p.pendings {
		k.step(asked{id: id, Reply: call.Reply{Call: 9, Leg: 12}})
	}
	if got := k.asks(initiate()); got != "UNKNOWN_GLOBAL_CALL_HANDLE" {
		t.Errorf("when it has its call: %s", got)
	}
	if most := maxMinted + 1; true {
		last := ""
		for range most {
			last = k.asks(&ctiqbe.ProviderAllocateGlobalCallHandleRequest{})
		}
		if last != "TEMPORARY_FAILURE" {
			t.Errorf("the %dth name without a call: %s", most, last)
		}
	}
}

// Every row of the table of refusals can be reached, and stands once.
func TestRefusals(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range refusals {
		key := fmt.Sprint(r.what, r.cause)
		if seen[key] {
			t.Errorf("%s stands twice", key)
		}
		seen[key] = true
		if got := r.what.result(r.cause); got != r.result {
			t.Errorf("operation %d, %v: %v, want %v", r.what, r.cause, got, r.result)
		}
	}
	if got := operation(200).result(call.Cause(999)); got != ctiqbe.ErrCTIFailure {
		t.Errorf("what nobody thought of: %v", got)
	}
}

// An application is told once of a call that rings in a group it watches, and of a group that is gone.
func TestPickupAlerts(t *testing.T) {
	k, _ := callKit()
	k.asks(&ctiqbe.ProviderPickupNotificationRegisterRequest{PickupGroupNumber: "1", PickupGroupPartition: "features"})
	ring := rings{"everybody", projection.Event{Kind: projection.NewCall, GCH: projection.GCH{CallManager: 1, Call: 9}, State: ctiqbe.CallStateOffering,
		Calling: projection.Party{Number: "1003", Partition: "internal"}, Called: projection.Party{Number: "1002", Partition: "internal"}}}
	expect(t, "rings", k.step(ring), `ProviderCallPickupAlertEvent TransactionID=9 PickupGroupNumber="1" PickupGroupPartition="features" GlobalCallManagerID=1 GlobalCallID=9 CallingParty="1003"`)
	expect(t, "at another phone", k.step(ring))
	k.change(func(c *config.Site) { c.PickupGroups = nil })
	expect(t, "the group is gone", k.step(revised{}), "unwatchGroup{group:everybody}", "ProviderPickupNotificationRegistrationClosedEvent")
	if got := k.asks(&ctiqbe.ProviderPickupNotificationUnregisterRequest{PickupGroupNumber: "1", PickupGroupPartition: "features"}); got != "CTIERR_REGISTRATION_NOT_FOUND" {
		t.Errorf("then it is registered no more: %s", got)
	}
}
