package qbe_test

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/locktone/locktone/lab/qbe"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// leg is the five numbers with which requests about a call begin, in their order.
type leg struct{ lineManager, line, manager, leg uint32 }

// callNamed is a call by its name: 1001.2.
func (s *stage) callNamed(name string) (leg, error) {
	number, _, _ := strings.Cut(name, ".")
	l, open := s.lines[number]
	m, id, ok := s.names.Call(name)
	if !open || !ok {
		return leg{}, fmt.Errorf("there is no call %s", name)
	}
	return leg{l.CallManager, l.ID, m, id}, nil
}

// handle is the handle of a call alone; NUMBER is who the newest conference of an open line has by that number.
func (s *stage) handle(name string) (ctiqbe.ClientCallHandle, error) {
	if !strings.Contains(name, ".") {
		return s.participant(name)
	}
	m, id, ok := s.names.Call(name)
	if !ok {
		return ctiqbe.ClientCallHandle{}, fmt.Errorf("there is no call %s", name)
	}
	return ctiqbe.ClientCallHandle{CallManagerID: m, CallLegID: id}, nil
}

func (s *stage) participant(number string) (h ctiqbe.ClientCallHandle, err error) {
	for _, m := range s.client.Said() {
		e, ok := m.(*ctiqbe.CallConferenceStateChangedEvent)
		if !ok {
			continue
		}
		for _, p := range append([]ctiqbe.ParticipantInfo{e.ChangedParticipantInfo, e.ControllerParticipantInfo}, e.OtherParticipantsInfo...) {
			if p.ParticipantNumber == number {
				h = ctiqbe.ClientCallHandle{CallManagerID: p.CallManagerID, CallLegID: p.CallLegID}
			}
		}
	}
	if h.CallLegID == 0 {
		err = fmt.Errorf("no conference has %s", number)
	}
	return h, err
}

// options are words like css=2.
type options map[string]string

func optionsOf(f []string) options {
	o := options{}
	for _, w := range f {
		k, v, _ := strings.Cut(w, "=")
		o[k] = v
	}
	return o
}

func (o options) number(name string) uint32 {
	n, _ := strconv.ParseUint(o[name], 10, 32)
	return uint32(n)
}

// request makes a message of the words of a script.
func (s *stage) request(f []string) (ctiqbe.Message, error) {
	switch f[0] {
	case "allocate":
		return &ctiqbe.ProviderAllocateGlobalCallHandleRequest{}, nil
	case "watch-group":
		return &ctiqbe.ProviderPickupNotificationRegisterRequest{PickupGroupNumber: f[1]}, nil
	case "unwatch-group":
		return &ctiqbe.ProviderPickupNotificationUnregisterRequest{PickupGroupNumber: f[1]}, nil
	}
	if len(f) < 2 {
		return nil, fmt.Errorf("of what?")
	}
	if l, ok := s.lines[f[1]]; ok {
		return s.lineRequest(f[0], l, f[2:])
	}
	c, err := s.callNamed(f[1])
	if err != nil {
		return nil, err
	}
	return s.callRequest(f[0], c, f[2:])
}

// lineRequest is a request about a line or its device.
func (s *stage) lineRequest(what string, l qbe.Line, f []string) (ctiqbe.Message, error) {
	o := optionsOf(f)
	tag := s.tags[o["gch"]]
	arg := ""
	if len(f) > 0 && !strings.Contains(f[0], "=") {
		arg = f[0]
	}
	switch what {
	case "make":
		return &ctiqbe.LineCallInitiateRequest{LineCallManagerID: l.CallManager, LineID: l.ID, GlobalCallManagerID: tag[0], GlobalCallID: tag[1], CallingAddress: o["calling"],
			DestAddress: arg, FeaturePriority: 1, UserData: []byte(o["data"])}, nil
	case "unpark":
		return &ctiqbe.LineCallUnparkRequest{LineCallManagerID: l.CallManager, LineID: l.ID, GlobalCallManagerID: tag[0], GlobalCallID: tag[1], CallingAddress: l.Number,
			ParkedAtAddress: arg}, nil
	case "pickup":
		return &ctiqbe.LineCallPickupRequest{LineCallManagerID: l.CallManager, LineID: l.ID, PickupType: ctiqbe.PickupType(o.number("type")), PickupGroupNumber: o["number"]}, nil
	case "forward":
		to := ctiqbe.CallForwardInfo{}
		if arg != "off" {
			to = ctiqbe.CallForwardInfo{ForwardType: ctiqbe.ForwardTypeAllOn, Destination: arg}
		}
		return &ctiqbe.LineSetForwardRequest{LineCallManagerID: l.CallManager, LineID: l.ID, ForwardInfo: []ctiqbe.CallForwardInfo{to}}, nil
	case "forwards":
		return &ctiqbe.LineGetForwardInfoRequest{LineCallManagerID: l.CallManager, LineID: l.ID}, nil
	case "messages":
		m := &ctiqbe.LineSetMessageWaitingRequest{LineCallManagerID: l.CallManager, LineID: l.ID, LineName: arg, LampMode: ctiqbe.LampMode(o.number("lamp")),
			VoiceCounts: o["new"] != "", TotalNewVoiceMsgs: o.number("new"), TotalOldVoiceMsgs: o.number("old"),
			HighPriorityVoiceCounts: o["urgent"] != "", NewHighPriorityVoiceMsgs: o.number("urgent")}
		return m, nil
	case "line-info":
		return &ctiqbe.LineGetInfoRequest{LineCallManagerID: l.CallManager, LineID: l.ID}, nil
	case "ringer":
		return &ctiqbe.LineSetRingerStatusRequest{LineCallManagerID: l.CallManager, LineID: l.ID, RingerStatus: ctiqbe.RingerStatusDisable}, nil
	}
	return s.deviceRequest(what, l, arg)
}

func (s *stage) deviceRequest(what string, l qbe.Line, arg string) (ctiqbe.Message, error) {
	switch what {
	case "dnd":
		return &ctiqbe.DeviceDNDSetRequest{CallManagerID: l.DeviceManager, DeviceID: l.DeviceID, DNDStatus: arg == "on"}, nil
	case "dnd-option":
		return &ctiqbe.DeviceGetDNDOptionRequest{CallManagerID: l.DeviceManager, DeviceID: l.DeviceID}, nil
	case "hunt":
		status := ctiqbe.HuntLogStatusLoggedOut
		if arg == "in" {
			status = ctiqbe.HuntLogStatusLoggedIn
		}
		return &ctiqbe.DeviceUpdateHuntLogStatusRequest{CallManagerID: l.DeviceManager, DeviceID: l.DeviceID, HuntLogStatus: status}, nil
	case "state":
		return &ctiqbe.DeviceGetDeviceStateRequest{CallManagerID: l.DeviceManager, DeviceID: l.DeviceID}, nil
	case "snapshot":
		return &ctiqbe.DeviceGetSnapshotRequest{CallManagerID: l.DeviceManager, DeviceID: l.DeviceID}, nil
	case "data":
		return &ctiqbe.DeviceDataPassThroughRequest{CallManagerID: l.DeviceManager, DeviceID: l.DeviceID, DeviceDataObj: []byte(arg)}, nil
	}
	return nil, fmt.Errorf("there is no request %s", what)
}

// callRequest is a request about a call.
func (s *stage) callRequest(what string, c leg, f []string) (ctiqbe.Message, error) {
	switch what {
	case "answer":
		return &ctiqbe.CallAnswerRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}, nil
	case "accept":
		return &ctiqbe.CallAcceptRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}, nil
	case "drop":
		return &ctiqbe.CallDisconnectRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}, nil
	case "hold":
		return &ctiqbe.CallHoldRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}, nil
	case "retrieve":
		return &ctiqbe.CallRetrieveRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}, nil
	case "call-info":
		return &ctiqbe.CallGetInfoRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}, nil
	case "park":
		m := &ctiqbe.CallParkRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}
		if len(f) > 0 {
			m.ParkAtAddress = f[0]
		}
		return m, nil
	case "record":
		return &ctiqbe.CallStartRecordingRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}, nil
	}
	if len(f) == 0 {
		return nil, fmt.Errorf("%s with what?", what)
	}
	return s.moveRequest(what, c, f)
}

// moveRequest is a request by which a call goes elsewhere, or meets another.
func (s *stage) moveRequest(what string, c leg, f []string) (ctiqbe.Message, error) {
	o := optionsOf(f[1:])
	tag := s.tags[o["gch"]]
	switch what {
	case "digits":
		m := &ctiqbe.CallPlayDTMFRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg}
		for _, d := range f[0] {
			m.DTMFDigits = append(m.DTMFDigits, ctiqbe.KeypadButton(strings.IndexRune("0123456789ABCD*#?", d)))
		}
		return m, nil
	case "redirect":
		return &ctiqbe.CallRedirectRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg, RedirectAddress: f[0],
			CallingSearchSpace: ctiqbe.RedirectSearchSpace(o.number("css")), CalledAddressOption: ctiqbe.RedirectCalled(o.number("option")),
			RedirectReason: ctiqbe.RedirectReason(o.number("reason")), PreferredOriginalCalledParty: o["preferred"], ModifiedCallingParty: o["calling"],
			ModifiedCallingPartyReason: ctiqbe.RedirectCalling(o.number("modify")), FACCode: o["fac"], CMCCode: o["cmc"], FeaturePriority: 1}, nil
	case "blind":
		return &ctiqbe.CallBlindTransferRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg, DestAddress: f[0]}, nil
	case "consult":
		return &ctiqbe.CallSetupTransferRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg, NewCallManagerID: tag[0],
			NewGlobalCallID: tag[1], DestAddress: f[0], UserData: []byte(o["data"])}, nil
	case "consult-conference":
		return &ctiqbe.CallSetupConferenceRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg, NewCallManagerID: tag[0],
			NewGlobalCallID: tag[1], DestAddress: f[0]}, nil
	}
	var with []ctiqbe.ClientCallHandle
	for _, name := range f {
		h, err := s.handle(name)
		if err != nil {
			return nil, err
		}
		with = append(with, h)
	}
	switch what {
	case "complete-transfer":
		return &ctiqbe.CallCompleteTransferRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg,
			ConsultCallManagerID: with[0].CallManagerID, ConsultCallLegID: with[0].CallLegID}, nil
	case "transfer":
		return &ctiqbe.CallDirectTransferRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg, OtherCallHandle: with[0]}, nil
	case "complete-conference":
		return &ctiqbe.CallCompleteConferenceRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg,
			ConsultCallManagerID: with[0].CallManagerID, ConsultCallLegID: with[0].CallLegID}, nil
	case "join":
		return &ctiqbe.CallJoinRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg, OtherCalls: with}, nil
	case "drop-party":
		return &ctiqbe.CallConferenceDropPartyRequest{LineCallManagerID: c.lineManager, LineID: c.line, CallLegCallManagerID: c.manager, CallLegID: c.leg,
			DropPartyCallManagerID: with[0].CallManagerID, DropPartyCallLegID: with[0].CallLegID}, nil
	}
	return nil, fmt.Errorf("there is no request %s", what)
}
