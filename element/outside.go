package element

import (
	"strings"
	"sync/atomic"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// Capabilities are what a SIP element of ours understands; the rest of a request is refused before anything is done with it.
// RFC 3261, 8.2.
func Capabilities() sip.Capabilities {
	return sip.Capabilities{
		Methods:    []sip.Method{sip.INVITE, sip.ACK, sip.CANCEL, sip.BYE, sip.OPTIONS, sip.REGISTER, sip.PRACK, sip.UPDATE, sip.REFER, sip.NOTIFY, sip.SUBSCRIBE, sip.INFO},
		Extensions: []string{"100rel", "timer", "replaces", "join", "norefersub"},
		Bodies: []string{"application/sdp", "multipart/mixed", "multipart/alternative", "application/dtmf-relay", "application/dtmf",
			"application/simple-message-summary", "message/sipfrag"},
	}
}

// front is the endpoint's user: it screens requests, and hands calls to the SIP driver.
type front struct{ e *Element }

var _ endpoint.User = front{}

// Onward implements endpoint.Relay: a message goes through shard, engine and shard on the goroutine that read it.
func (f front) Onward() { f.e.host.Carry() }

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
	if m.ToTag() != "" || m.Method() != sip.INVITE {
		f.e.received(tx.Flow(), m)
	}
	if m.Method() != sip.ACK {
		if reject := sip.Screen(m, f.e.screen); reject != nil {
			f.e.Respond(tx, reject.Response(m))
			return
		}
	}
	f.e.sip.Request(tx, m)
}

// Cancelled implements endpoint.User.
func (f front) Cancelled(tx *endpoint.ServerTx) { f.e.sip.Cancelled(tx) }

// Response implements endpoint.User.
func (f front) Response(tx *endpoint.ClientTx, m *sip.Message) {
	if f.e.cfg.Hooks.Received != nil && tx.Flow() != nil {
		f.e.received(tx.Flow(), m)
	}
	f.e.sip.Response(tx, m)
}

// received lets the service change what a peer has sent.
func (e *Element) received(f *transport.Flow, m *sip.Message) {
	if change := e.cfg.Hooks.Received; change != nil {
		if peer := e.owners.get(f); peer != "" {
			change(peer, m)
		}
	}
}

// sending lets the service change what a peer is sent; nil where it does not want to.
func (e *Element) sending() func(m *sip.Message, policy string, f *transport.Flow) {
	change := e.cfg.Hooks.Sending
	if change == nil {
		return nil
	}
	return func(m *sip.Message, policy string, f *transport.Flow) {
		if policy == "" && f != nil {
			policy = e.owners.get(f)
		}
		if policy != "" {
			change(policy, m)
		}
	}
}

// Failed implements endpoint.User.
func (f front) Failed(tx *endpoint.ClientTx, err error) { f.e.sip.Failed(tx, err) }

// Posted implements endpoint.User.
func (f front) Posted(callID string, v any) { f.e.sip.Posted(callID, v) }

// outside is what is no call: the SIP driver hands it over. What the element began it takes, the rest is the service's where it wants it.
type outside struct{ e *Element }

var _ endpoint.User = outside{}

// Request implements endpoint.User for requests outside of calls.
func (o outside) Request(tx *endpoint.ServerTx, m *sip.Message) {
	if next := o.e.cfg.Hooks.Outside; next != nil {
		next.Request(tx, m)
		return
	}
	if m.Method() == sip.OPTIONS {
		o.e.Options(tx, m)
		return
	}
	res := sip.NewResponse(m, 405, "")
	res.Set("Allow", o.e.screen.Allow())
	o.e.Respond(tx, res)
}

// Cancelled implements endpoint.User; only an INVITE can be cancelled, and those are calls.
func (outside) Cancelled(*endpoint.ServerTx) {}

// Response implements endpoint.User.
func (o outside) Response(tx *endpoint.ClientTx, m *sip.Message) {
	if p, ours := tx.Tag.(*ping); ours {
		if m.IsFinal() {
			if f := tx.Flow(); f != nil {
				o.e.owners.set(f, p.at.peer) // we dialled it, and it answers
			}
			o.e.pinged(p, m.Status(), nil)
		}
		return
	}
	if next := o.e.cfg.Hooks.Outside; next != nil {
		next.Response(tx, m)
	}
}

// Failed implements endpoint.User.
func (o outside) Failed(tx *endpoint.ClientTx, err error) {
	if p, ours := tx.Tag.(*ping); ours {
		o.e.pinged(p, 0, err)
		return
	}
	if next := o.e.cfg.Hooks.Outside; next != nil {
		next.Failed(tx, err)
	}
}

// Posted implements endpoint.User.
func (o outside) Posted(callID string, v any) {
	if due, ours := v.(pingDue); ours {
		o.e.ping(due)
		return
	}
	if next := o.e.cfg.Hooks.Outside; next != nil {
		next.Posted(callID, v)
	}
}

// Options answers OPTIONS as an INVITE would be: 503 while the element is being drained. RFC 3261, 11.2.
func (e *Element) Options(tx *endpoint.ServerTx, m *sip.Message) {
	if f := tx.Flow(); f.Network() == transport.TLS && e.owners.get(f) == "" {
		if name, refused := e.PeerOf(f); refused == nil {
			e.owners.set(f, name) // by its certificate
		}
	}
	if e.draining.Load() {
		res := sip.NewResponse(m, 503, "")
		res.Set("Retry-After", "10")
		e.Respond(tx, res)
		return
	}
	res := sip.NewResponse(m, 200, "")
	res.Set("Allow", e.screen.Allow())
	res.Set("Accept", "application/sdp")
	res.Set("Supported", strings.Join(e.screen.Extensions, ", "))
	if e.cfg.Hooks.AllowEvents != "" {
		res.Set("Allow-Events", e.cfg.Hooks.AllowEvents)
	}
	e.Respond(tx, res)
}

// Respond sends a response with our name on it.
func (e *Element) Respond(tx *endpoint.ServerTx, res *sip.Message) {
	res.Set("Server", e.Agent())
	if err := tx.Respond(res); err != nil {
		e.Note("", "response could not be sent: "+err.Error())
	}
}
