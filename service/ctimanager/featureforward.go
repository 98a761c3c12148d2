package ctimanager

import (
	"fmt"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// handleSetForward sends every call of a line elsewhere, or ends that (121).
func (p *provider) handleSetForward(m *ctiqbe.LineSetForwardRequest) {
	l := p.openLineOf(m.SequenceNumber, m.LineCallManagerID, m.LineID)
	if l == nil {
		return
	}
	if len(m.ForwardInfo) != 1 {
		p.fail(m.SequenceNumber, ctiqbe.ErrUnsupportedCfwdType, fmt.Sprintf("a request with %d forwards: one is set at a time", len(m.ForwardInfo)))
		return
	}
	f := call.SetForward{Line: l.line, Kind: call.ForwardAll}
	switch in := m.ForwardInfo[0]; {
	case in.ForwardType > ctiqbe.ForwardTypeAllOn:
		p.fail(m.SequenceNumber, ctiqbe.ErrUnsupportedCfwdType, "the forward of all calls is the only one that an application sets")
		return
	case in.ForwardType == ctiqbe.ForwardTypeAllOn && in.Destination == "":
		p.fail(m.SequenceNumber, ctiqbe.ErrCfwdAllDestinationInvalid, "there is no number to forward to")
		return
	case in.ForwardType == ctiqbe.ForwardTypeAllOn:
		f.To = in.Destination
	}
	if node, ok := p.nodeOf(m.SequenceNumber, l.device.name); ok {
		p.ask(taken{m.SequenceNumber, opForward, &ctiqbe.LineSetForwardResponse{SequenceNumber: m.SequenceNumber, LineCallManagerID: m.LineCallManagerID,
			LineID: m.LineID}}, l.device.name, node, f)
	}
}

// handleGetForward says where all calls of a line go (124).
func (p *provider) handleGetForward(m *ctiqbe.LineGetForwardInfoRequest) {
	if l := p.openLineOf(m.SequenceNumber, m.LineCallManagerID, m.LineID); l != nil {
		p.send(&ctiqbe.LineGetForwardInfoResponse{SequenceNumber: m.SequenceNumber, LineCallManagerID: m.LineCallManagerID, LineID: m.LineID,
			ForwardInfo: forwardInfo(p.forwardAll(l.line))})
	}
}

// forwardAll is where all calls of a line go: what its user has set, else what is configured. Empty: nowhere.
func (p *provider) forwardAll(line call.LineID) string {
	for _, f := range p.world.settings(line, "").Forwards {
		if f.Kind == call.ForwardAll {
			return f.To
		}
	}
	return p.world.site().forwardAll(line)
}

// forwardInfo is how the protocol says where all calls of a line go.
func forwardInfo(to string) []ctiqbe.CallForwardInfo {
	if to == "" {
		return []ctiqbe.CallForwardInfo{{ForwardType: ctiqbe.ForwardTypeAllOff}}
	}
	return []ctiqbe.CallForwardInfo{{ForwardType: ctiqbe.ForwardTypeAllOn, Destination: to}}
}
