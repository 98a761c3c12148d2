package ctimanager

import (
	"context"
	"fmt"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// handleMessageWaiting says how many messages wait for a line (102): the open one, or another that the request names.
func (p *provider) handleMessageWaiting(m *ctiqbe.LineSetMessageWaitingRequest) {
	l := p.openLineOf(m.SequenceNumber, m.LineCallManagerID, m.LineID)
	if l == nil {
		return
	}
	line, ok := p.world.site().mailboxLine(l.line, m.LineName)
	if !ok {
		p.fail(m.SequenceNumber, ctiqbe.ErrMsgWaitingDestinationInvalid, fmt.Sprintf("there is no line %s, or more than one", m.LineName))
		return
	}
	r := bus.MessagesRequest{Number: line.Number, Partition: line.Partition, Source: "cti " + p.user, Waiting: m.LampMode != ctiqbe.LampModeOff}
	if m.VoiceCounts {
		r.New, r.Old = m.TotalNewVoiceMsgs, m.TotalOldVoiceMsgs
	}
	if m.HighPriorityVoiceCounts {
		r.UrgentNew, r.UrgentOld = m.NewHighPriorityVoiceMsgs, m.OldHighPriorityVoiceMsgs
	}
	if m.FaxCounts {
		r.FaxNew, r.FaxOld = m.TotalNewFaxMsgs, m.TotalOldFaxMsgs
	}
	if m.HighPriorityFaxCounts {
		r.FaxUrgentNew, r.FaxUrgentOld = m.NewHighPriorityFaxMsgs, m.OldHighPriorityFaxMsgs
	}
	switch {
	case m.LampMode < ctiqbe.LampModeOff || m.LampMode > ctiqbe.LampModeBlink:
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidParameter, fmt.Sprintf("there is no lamp mode %d", m.LampMode))
	case r.UrgentNew > r.New || r.UrgentOld > r.Old:
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidHighPriorityVoiceCounts, "more voice messages are urgent than there are")
	case r.FaxUrgentNew > r.FaxNew || r.FaxUrgentOld > r.FaxOld:
		p.fail(m.SequenceNumber, ctiqbe.ErrInvalidHighPriorityFaxCounts, "more fax messages are urgent than there are")
	default:
		p.errand(taken{m.SequenceNumber, opMessages, &ctiqbe.LineSetMessageWaitingResponse{SequenceNumber: m.SequenceNumber, LineCallManagerID: m.LineCallManagerID,
			LineID: m.LineID}}, setMessages{r, line})
	}
}

// setMessages tells a call manager of messages.
type setMessages struct {
	request bus.MessagesRequest
	line    call.LineID
}

func (e setMessages) queue() string { return "mailbox " + e.line.String() }

func (e setMessages) do(ctx context.Context, s *Service, _ *connection) asked {
	ctx, cancel := context.WithTimeout(ctx, s.site().params.Request)
	defer cancel()
	_, err := bus.Ask[bus.MessagesRequest, bus.MessagesResult](ctx, s.cfg.Bus, s.cfg.Bus.Subject(s.cfg.Engines, bus.VerbSetMessages), e.request)
	return asked{Err: err}
}
