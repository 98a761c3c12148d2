package callmanager

import (
	"context"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// clickToDial obeys a REFER outside a dialog (RFC 3515, 2.4.2): the number of the Request-URI calls the one in Refer-To. The
// phone rings first, and the peer is told how it began.
func (s *Service) clickToDial(tx *endpoint.ServerTx, m *sip.Message, _ *directory.Trunk) {
	to, ok := m.ReferTo()
	if !ok || to.Method != sip.INVITE || !to.Address.URI.IsSIP() {
		s.answer(tx, m, &refusal{status: 400, why: "Refer-To must hold one SIP address to call"})
		return
	}
	who, err1 := sip.Unescape(m.RequestURI().User)
	called, err2 := sip.Unescape(to.Address.URI.User)
	devices := s.site.Load().meant(who)
	if err1 != nil || err2 != nil || len(devices) == 0 || called == "" {
		s.answer(tx, m, &refusal{status: 404, why: "no device or number \"" + who + "\" is configured"})
		return
	}
	d, err := dialog.NewUAS(m, tx.LocalTag())
	if err != nil {
		s.answer(tx, m, &refusal{status: 400, why: err.Error()})
		return
	}
	res := sip.NewResponse(m, 202, "")
	res.SetContact(sip.Address{URI: s.contact(tx.Flow())})
	s.respond(tx, res)
	quiet := dialog.Quiet(m)
	request := call.MakeCall{Device: devices[0].Name, Line: lineOf(devices[0], who), Called: called}
	flow := tx.Flow()
	s.run(func() { // the engine may be busy; a shard must not wait for it
		ctx, cancel := context.WithTimeout(s.ctx, 5*time.Second)
		defer cancel()
		status := 200
		if reply, err := s.host.Request(ctx, "REFER of "+m.From().URI.String(), request); err != nil {
			status = 503
		} else if reply.Cause != call.CauseNone {
			status = reply.Cause.SIP()
		}
		if quiet {
			return
		}
		notify := d.Request(sip.NOTIFY)
		notify.Set("Event", "refer")
		notify.Set("Subscription-State", sip.SubscriptionState{State: "terminated", Reason: "noresource", Expires: -1, RetryAfter: -1}.String())
		notify.SetContact(sip.Address{URI: s.contact(flow)})
		notify.SetBody("message/sipfrag;version=2.0", dialog.Sipfrag(status, ""))
		if _, err := s.ep.Request(notify, endpoint.Target{Flow: flow}); err != nil {
			s.note(d.CallID, "NOTIFY of a REFER could not be sent: "+err.Error())
		}
	})
}
