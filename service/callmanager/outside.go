package callmanager

import (
	"fmt"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/wire/mwi"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// outside is what is no call: the SIP driver hands it over.
type outside struct{ s *Service }

var _ endpoint.User = outside{}

// Request implements endpoint.User for requests outside of calls.
func (o outside) Request(tx *endpoint.ServerTx, m *sip.Message) {
	switch m.Method() {
	case sip.REGISTER:
		o.s.register(tx, m)
	case sip.OPTIONS:
		o.s.options(tx, m)
	case sip.NOTIFY:
		o.s.trunkAsks(tx, m, "NOTIFY without a subscription", "acceptUnsolicitedNotify",
			func(p config.SIPTrunkSecurityProfile) bool { return p.AcceptUnsolicitedNotify }, o.s.relayNotify)
	case sip.REFER:
		o.s.trunkAsks(tx, m, "REFER outside a call", "acceptOutOfDialogRefer",
			func(p config.SIPTrunkSecurityProfile) bool { return p.AcceptOutOfDialogRefer }, o.s.clickToDial)
	case sip.SUBSCRIBE:
		o.s.subscribe(tx, m)
	default:
		o.s.answer(tx, m, &refusal{status: 405, header: []sip.Field{{Name: "Allow", Value: o.s.el.Screen().Allow()}}})
	}
}

// Cancelled implements endpoint.User; only an INVITE can be cancelled, and those are calls.
func (outside) Cancelled(*endpoint.ServerTx) {}

// Response implements endpoint.User.
func (o outside) Response(tx *endpoint.ClientTx, m *sip.Message) {
	if !m.IsFinal() {
		return
	}
	switch t := tx.Tag.(type) {
	case tidings:
		if m.IsSuccess() {
			o.s.news.arrived(t.device)
		}
	case notified:
		t.answered(m)
	case mailboxMail:
		o.s.heardMailbox(t, m.Status())
	}
}

// Failed implements endpoint.User.
func (o outside) Failed(tx *endpoint.ClientTx, err error) {
	switch t := tx.Tag.(type) {
	case notified:
		t.failed(err)
	case mailboxMail:
		o.s.heardMailbox(t, 0)
	}
}

// Posted implements endpoint.User.
func (o outside) Posted(_ string, v any) { o.s.subscriptionPosted(v) }

// options answers as an INVITE would be: a node that is being drained names another. RFC 3261, 11.2.
func (s *Service) options(tx *endpoint.ServerTx, m *sip.Message) {
	if st := s.site.Load(); s.drain.on() {
		if others := s.others(st, nil); len(others) > 0 {
			s.answer(tx, m, s.unavailable("ask "+others[0]))
			return
		}
	}
	s.el.Options(tx, m)
}

// trunkAsks lets a trunk's peer ask for something outside of calls that its profile may allow; allowed names the setting.
func (s *Service) trunkAsks(tx *endpoint.ServerTx, m *sip.Message, what, setting string, allowed func(config.SIPTrunkSecurityProfile) bool, do func(*endpoint.ServerTx, *sip.Message, *directory.Trunk)) {
	t, refused := s.trunkFor(tx.Flow())
	if refused == nil {
		refused = s.trunkDigest(m, t)
	}
	switch {
	case refused != nil:
		s.answer(tx, m, refused)
	case !allowed(t.Security):
		s.answer(tx, m, forbidden(fmt.Sprintf("trunk %s does not accept %s (SIP trunk security profile %s, %s)", t.Name, what, orDefault(t.SecurityProfile), setting)))
	default:
		do(tx, m, t)
	}
}

// relayNotify passes a NOTIFY on to every phone that shows the number it is for, as a NOTIFY of our own.
// What it says of messages is kept, and told them from there.
func (s *Service) relayNotify(tx *endpoint.ServerTx, m *sip.Message, t *directory.Trunk) {
	if event, _ := m.Event(); event.Package == mwi.Event {
		s.messageNotify(tx, m, t)
		return
	}
	user, err := sip.Unescape(m.RequestURI().User)
	devices := s.site.Load().meant(user)
	if err != nil || len(devices) == 0 {
		s.answer(tx, m, &refusal{status: 404, why: "no device or number \"" + user + "\" is configured"})
		return
	}
	for _, b := range s.showing(devices, user) {
		s.notify(b, relayed(m))
	}
	s.respond(tx, sip.NewResponse(m, 200, ""))
}

// answer refuses a request.
func (s *Service) answer(tx *endpoint.ServerTx, m *sip.Message, r *refusal) {
	s.respond(tx, r.answer(m, s.warner()))
}

// respond sends a response with our name on it.
func (s *Service) respond(tx *endpoint.ServerTx, res *sip.Message) { s.el.Respond(tx, res) }
