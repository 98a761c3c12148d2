package cti

import (
	"context"
	"fmt"
	"strings"

	"github.com/locktone/locktone/wire/ctiqbe"
)

// place is a line, or a call on it, as the connection in use calls it.
type place struct {
	s    *session
	line handle
	call CallID
}

// where finds an open line.
func (p *Provider) where(doing string, line LineID) (place, error) {
	s, err := p.link()
	if err != nil {
		return place{}, &Error{Doing: doing, Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.model.lines[line]
	if !ok {
		return place{}, &Error{Doing: doing, Err: fmt.Errorf("%w: %s", ErrNotOpen, line)}
	}
	return place{s: s, line: h}, nil
}

// whereCall finds a call on an open line.
func (p *Provider) whereCall(doing string, c Call) (place, error) {
	at, err := p.where(doing, c.Line)
	if err != nil {
		return at, err
	}
	if _, ok := p.Call(c.Line, c.ID); !ok {
		return at, &Error{Doing: doing, Err: fmt.Errorf("%w on line %s", ErrNoCall, c.Line)}
	}
	at.call = c.ID
	return at, nil
}

// allocate obtains the name of a call that is to be made.
func (s *session) allocate(ctx context.Context, doing string) (GlobalCallID, error) {
	a, err := s.ask(ctx, doing, &ctiqbe.ProviderAllocateGlobalCallHandleRequest{})
	if err != nil {
		return GlobalCallID{}, err
	}
	r, ok := a.(*ctiqbe.ProviderAllocateGlobalCallHandleResponse)
	if !ok {
		return GlobalCallID{}, odd(s, doing, a)
	}
	return GlobalCallID{r.CallManagerID, r.CallID}, nil
}

func odd(s *session, doing string, a ctiqbe.Message) error {
	return &Error{Doing: doing, Manager: s.address, Err: fmt.Errorf("the manager answered with %s", a.PDU())}
}

// Dial calls a number on a line. The call is the one that the events are about; it may not have appeared yet.
func (p *Provider) Dial(ctx context.Context, line LineID, number string) (id CallID, err error) {
	doing := fmt.Sprintf("Calling %s on %s", number, line)
	leave := p.cfg.Trace.tspi("TSPI_lineMakeCall", "%s %s", line, number)
	defer func() { leave(err) }()
	at, err := p.where(doing, line)
	if err != nil {
		return id, err
	}
	global, err := at.s.allocate(ctx, doing)
	if err != nil {
		return id, err
	}
	a, err := at.s.ask(ctx, doing, &ctiqbe.LineCallInitiateRequest{LineCallManagerID: at.line.node, LineID: at.line.number,
		GlobalCallManagerID: global.Node, GlobalCallID: global.Call, CallingAddress: line.Number, DestAddress: number,
		FeaturePriority: ctiqbe.FeaturePriorityNormal})
	if err != nil {
		return id, err
	}
	r, ok := a.(*ctiqbe.LineCallInitiateResponse)
	if !ok {
		return id, odd(at.s, doing, a)
	}
	return CallID{r.CallManagerID, r.CallLegID}, nil
}

// request does what needs a call and one request.
func (p *Provider) request(ctx context.Context, doing, function string, c Call, make func(place) ctiqbe.Message) (ctiqbe.Message, error) {
	leave := p.cfg.Trace.tspi(function, "%s %d|%d", c.Line, c.ID.Node, c.ID.Leg)
	at, err := p.whereCall(doing, c)
	if err != nil {
		leave(err)
		return nil, err
	}
	a, err := at.s.ask(ctx, doing, make(at))
	leave(err)
	return a, err
}

// Accept lets a call that is offered ring.
func (p *Provider) Accept(ctx context.Context, c Call) error {
	_, err := p.request(ctx, "Accepting the call", "TSPI_lineAccept", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallAcceptRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg}
	})
	return err
}

// Answer answers a call that rings.
func (p *Provider) Answer(ctx context.Context, c Call) error {
	_, err := p.request(ctx, "Answering the call", "TSPI_lineAnswer", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallAnswerRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg}
	})
	return err
}

// Drop ends a call on its line, or refuses it.
func (p *Provider) Drop(ctx context.Context, c Call) error {
	_, err := p.request(ctx, "Ending the call", "TSPI_lineDrop", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallDisconnectRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg}
	})
	return err
}

// Hold holds a call.
func (p *Provider) Hold(ctx context.Context, c Call) error {
	_, err := p.request(ctx, "Holding the call", "TSPI_lineHold", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallHoldRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg}
	})
	return err
}

// Retrieve takes a held call back.
func (p *Provider) Retrieve(ctx context.Context, c Call) error {
	_, err := p.request(ctx, "Retrieving the call", "TSPI_lineUnhold", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallRetrieveRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg}
	})
	return err
}

// Redirect sends a call somewhere else: one that rings, or the other party of one that is talking.
func (p *Provider) Redirect(ctx context.Context, c Call, number string) error {
	_, err := p.request(ctx, "Redirecting the call to "+number, "TSPI_lineRedirect", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallRedirectRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg,
			RedirectAddress: number, PreferredOriginalCalledParty: number, FeaturePriority: ctiqbe.FeaturePriorityNormal}
	})
	return err
}

// BlindTransfer hands a call to a number without asking there first.
func (p *Provider) BlindTransfer(ctx context.Context, c Call, number string) error {
	_, err := p.request(ctx, "Transferring the call to "+number, "TSPI_lineBlindTransfer", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallRedirectRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg,
			RedirectAddress: number, CallingSearchSpace: ctiqbe.RedirectSearchSpaceAddress, CalledAddressOption: ctiqbe.RedirectCalledDestination,
			RedirectReason: ctiqbe.RedirectReasonBlindTransfer, FeaturePriority: ctiqbe.FeaturePriorityNormal}
	})
	return err
}

// Consult holds a call and calls a number on the same line, to transfer the first call there afterwards.
func (p *Provider) Consult(ctx context.Context, c Call, number string) (id CallID, err error) {
	doing := "Asking " + number + " before a transfer"
	leave := p.cfg.Trace.tspi("TSPI_lineSetupTransfer", "%s %s", c.Line, number)
	defer func() { leave(err) }()
	at, err := p.whereCall(doing, c)
	if err != nil {
		return id, err
	}
	global, err := at.s.allocate(ctx, doing)
	if err != nil {
		return id, err
	}
	a, err := at.s.ask(ctx, doing, &ctiqbe.CallSetupTransferRequest{LineCallManagerID: at.line.node, LineID: at.line.number,
		CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg, NewCallManagerID: global.Node, NewGlobalCallID: global.Call, DestAddress: number})
	if err != nil {
		return id, err
	}
	r, ok := a.(*ctiqbe.CallSetupTransferResponse)
	if !ok {
		return id, odd(at.s, doing, a)
	}
	return CallID{r.ConsultCallManagerID, r.ConsultCallID}, nil
}

// Transfer ties the other parties of two calls of one line together; this line leaves both.
func (p *Provider) Transfer(ctx context.Context, first, second Call) error {
	_, err := p.request(ctx, "Transferring the call", "TSPI_lineCompleteTransfer", first, func(at place) ctiqbe.Message {
		return &ctiqbe.CallDirectTransferRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg,
			OtherCallHandle: ctiqbe.ClientCallHandle{CallManagerID: second.ID.Node, CallLegID: second.ID.Leg}}
	})
	return err
}

// Join makes one conference of calls of one line.
func (p *Provider) Join(ctx context.Context, first Call, others ...Call) error {
	_, err := p.request(ctx, "Joining the calls", "TSPI_lineAddToConference", first, func(at place) ctiqbe.Message {
		m := &ctiqbe.CallJoinRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg}
		for _, o := range others {
			m.OtherCalls = append(m.OtherCalls, ctiqbe.ClientCallHandle{CallManagerID: o.ID.Node, CallLegID: o.ID.Leg})
		}
		return m
	})
	return err
}

// DropParty takes a participant out of a conference.
func (p *Provider) DropParty(ctx context.Context, c Call, who Participant) error {
	_, err := p.request(ctx, "Taking "+who.Party.Number+" out of the conference", "TSPI_lineRemoveFromConference", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallConferenceDropPartyRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node,
			CallLegID: at.call.Leg, DropPartyCallManagerID: who.Call.Node, DropPartyCallLegID: who.Call.Leg}
	})
	return err
}

// Park parks a call; the number is where it can be retrieved.
func (p *Provider) Park(ctx context.Context, c Call) (number string, err error) {
	a, err := p.request(ctx, "Parking the call", "TSPI_linePark", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallParkRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg}
	})
	if r, ok := a.(*ctiqbe.CallParkResponse); ok {
		number = r.ParkedAt
	}
	return number, err
}

// Digits sends DTMF digits to the other side: 0 to 9, A to D, * and #.
func (p *Provider) Digits(ctx context.Context, c Call, digits string) error {
	var keys []ctiqbe.KeypadButton
	for _, d := range strings.ToUpper(digits) {
		k := strings.IndexRune(keypad, d)
		if k < 0 {
			return &Error{Doing: "Sending digits", Result: ctiqbe.ErrInvalidDTMFDigits, Text: fmt.Sprintf("%q is no digit", d)}
		}
		keys = append(keys, ctiqbe.KeypadButton(k))
	}
	_, err := p.request(ctx, "Sending digits", "TSPI_lineGenerateDigits", c, func(at place) ctiqbe.Message {
		return &ctiqbe.CallPlayDTMFRequest{LineCallManagerID: at.line.node, LineID: at.line.number, CallLegCallManagerID: at.call.Node, CallLegID: at.call.Leg, DTMFDigits: keys}
	})
	return err
}

// Pickup takes a call that rings in the pickup group of a line.
func (p *Provider) Pickup(ctx context.Context, line LineID) error {
	return p.onLine(ctx, "Picking up on "+line.String(), "TSPI_linePickup", line, func(at place) ctiqbe.Message {
		return &ctiqbe.LineCallPickupRequest{LineCallManagerID: at.line.node, LineID: at.line.number, PickupType: ctiqbe.PickupTypeNormal}
	})
}

func (p *Provider) onLine(ctx context.Context, doing, function string, line LineID, make func(place) ctiqbe.Message) error {
	leave := p.cfg.Trace.tspi(function, "%s", line)
	at, err := p.where(doing, line)
	if err == nil {
		_, err = at.s.ask(ctx, doing, make(at))
	}
	leave(err)
	return err
}

// Forward sets where all calls of a line go; "" clears it.
func (p *Provider) Forward(ctx context.Context, line LineID, to string) error {
	return p.onLine(ctx, "Forwarding "+line.String(), "TSPI_lineForward", line, func(at place) ctiqbe.Message {
		info := ctiqbe.CallForwardInfo{ForwardType: ctiqbe.ForwardTypeAllOn, Destination: to}
		if to == "" {
			info.ForwardType = ctiqbe.ForwardTypeAllOff
		}
		return &ctiqbe.LineSetForwardRequest{LineCallManagerID: at.line.node, LineID: at.line.number, ForwardInfo: []ctiqbe.CallForwardInfo{info}}
	})
}

// MessageWaiting switches the lamp of a line; number is the line it is for, "" this one.
func (p *Provider) MessageWaiting(ctx context.Context, line LineID, number string, on bool) error {
	return p.onLine(ctx, "Switching the lamp of "+line.String(), "TSPI_lineDevSpecific", line, func(at place) ctiqbe.Message {
		mode := ctiqbe.LampModeOff
		if on {
			mode = ctiqbe.LampModeOn
		}
		if number == "" {
			number = line.Number
		}
		return &ctiqbe.LineSetMessageWaitingRequest{LineCallManagerID: at.line.node, LineID: at.line.number, LineName: number, LampMode: mode}
	})
}

// SetDoNotDisturb switches do not disturb of a device of which a line is open.
func (p *Provider) SetDoNotDisturb(ctx context.Context, device string, on bool) error {
	doing := "Switching do not disturb of " + device
	s, err := p.link()
	if err != nil {
		return &Error{Doing: doing, Err: err}
	}
	p.mu.Lock()
	h, ok := p.model.handles[device]
	p.mu.Unlock()
	if !ok {
		return &Error{Doing: doing, Err: ErrNotOpen}
	}
	_, err = s.ask(ctx, doing, &ctiqbe.DeviceDNDSetRequest{CallManagerID: h.node, DeviceID: h.number, DNDStatus: on})
	return err
}
