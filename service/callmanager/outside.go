package callmanager

import (
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/wire/mwi"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// allowed is what this user agent understands; the rest of a request is refused before anything is done with it.
// RFC 3261, 8.2.
var allowed = []sip.Method{sip.INVITE, sip.ACK, sip.CANCEL, sip.BYE, sip.OPTIONS, sip.REGISTER, sip.PRACK, sip.UPDATE, sip.REFER, sip.NOTIFY, sip.SUBSCRIBE, sip.INFO}

// extensions are the option tags supported, bodies the media types read.
var (
	extensions = []string{"100rel", "timer", "replaces", "join", "norefersub"}
	bodies     = []string{"application/sdp", "multipart/mixed", "multipart/alternative", "application/dtmf-relay", "application/dtmf", "application/simple-message-summary", "message/sipfrag"}
)

// front is the endpoint's user: it screens requests, and hands calls to the SIP driver.
type front struct{ s *Service }

var _ endpoint.User = front{}

// Onward implements endpoint.Relay: a message goes through shard, engine and shard on the goroutine that read it.
func (f front) Onward() { f.s.host.Carry() }

// carrier takes the engine's commands for the SIP driver, which is made after the engine: until then there is no leg to command.
type carrier struct{ to atomic.Pointer[sipleg.Driver] }

var _ live.Carrier = (*carrier)(nil)

// Command implements live.Carrier.
func (c *carrier) Command(cmd call.Command) {
	if d := c.to.Load(); d != nil {
		d.Command(cmd)
	}
}

// Wake implements live.Carrier.
func (c *carrier) Wake() {
	if d := c.to.Load(); d != nil {
		d.Wake()
	}
}

// carried is the engine's side for the SIP driver, whose callbacks are followed by front.Onward.
type carried struct{ *live.Driver }

// Signal implements sipleg.Engine.
func (c carried) Signal(s call.Signal) error { return c.Leave(s) }

// Request implements endpoint.User.
func (f front) Request(tx *endpoint.ServerTx, m *sip.Message) {
	if m.Method() != sip.ACK {
		if reject := sip.Screen(m, f.s.screen); reject != nil {
			f.s.respond(tx, reject.Response(m))
			return
		}
	}
	f.s.sip.Request(tx, m)
}

// Cancelled implements endpoint.User.
func (f front) Cancelled(tx *endpoint.ServerTx) { f.s.sip.Cancelled(tx) }

// Response implements endpoint.User.
func (f front) Response(tx *endpoint.ClientTx, m *sip.Message) { f.s.sip.Response(tx, m) }

// Failed implements endpoint.User.
func (f front) Failed(tx *endpoint.ClientTx, err error) { f.s.sip.Failed(tx, err) }

// Posted implements endpoint.User.
func (f front) Posted(callID string, v any) { f.s.sip.Posted(callID, v) }

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
		o.s.answer(tx, m, &refusal{status: 405, header: []sip.Field{{Name: "Allow", Value: o.s.screen.Allow()}}})
	}
}

// Cancelled implements endpoint.User; only an INVITE can be cancelled, and those are calls.
func (outside) Cancelled(*endpoint.ServerTx) {}

// Response implements endpoint.User.
func (o outside) Response(tx *endpoint.ClientTx, m *sip.Message) {
	if p, ours := tx.Tag.(*ping); ours && m.IsFinal() {
		if f := tx.Flow(); f != nil {
			o.s.owners.set(f, p.at.trunk) // we dialled it, and it answers
		}
		o.s.pinged(p, m.Status(), nil)
	}
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
	case *ping:
		o.s.pinged(t, 0, err)
	case notified:
		t.failed(err)
	case mailboxMail:
		o.s.heardMailbox(t, 0)
	}
}

// Posted implements endpoint.User.
func (o outside) Posted(_ string, v any) {
	if o.s.subscriptionPosted(v) {
		return
	}
	if due, ours := v.(pingDue); ours {
		o.s.ping(due)
	}
}

// options answers as an INVITE would be. RFC 3261, 11.2.
func (s *Service) options(tx *endpoint.ServerTx, m *sip.Message) {
	if f := tx.Flow(); f.Network() == transport.TLS && s.owners.get(f) == "" {
		if t, refused := s.trunkFor(f); refused == nil {
			s.owners.set(f, t.Name) // by its certificate
		}
	}
	if st := s.site.Load(); s.drain.on() {
		if others := s.others(st, nil); len(others) > 0 {
			s.answer(tx, m, s.unavailable("ask "+others[0]))
			return
		}
	}
	res := sip.NewResponse(m, 200, "")
	res.Set("Allow", s.screen.Allow())
	res.Set("Accept", "application/sdp")
	res.Set("Supported", strings.Join(extensions, ", "))
	res.Set("Allow-Events", allowEvents)
	s.respond(tx, res)
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
func (s *Service) respond(tx *endpoint.ServerTx, res *sip.Message) {
	res.Set("Server", s.agent())
	if err := tx.Respond(res); err != nil {
		s.note("", "response could not be sent: "+err.Error())
	}
}
