package sipleg

import (
	"cmp"
	"errors"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// How a leg begins: an INVITE comes in, or the engine rings a target.

// arrive is an INVITE outside of any dialog.
func (d *Driver) arrive(tx *endpoint.ServerTx, m *sip.Message) {
	flow := tx.Flow()
	origin, refusal := d.cfg.Directory.Arrival(flow, m)
	if refusal != nil {
		d.refuse(tx, m, *refusal)
		return
	}
	l := d.newLeg(d.cfg.Engine.NewLeg(), m.CallID())
	l.callID = cloneString(l.callID)
	l.open(origin.Profile)
	l.to, l.peer, l.node = origin.Back, peerKey(flow), origin.Node
	l.to.Flow, l.to.Timers = flow, l.profile.Timers
	l.domain = origin.Domain
	if len(origin.Route) > 0 {
		l.route = &route{origin.Route, origin.RouteCauses}
	}
	l.target = call.Target{Device: origin.Device, Line: origin.Line, Trunk: origin.Trunk}
	if origin.Called == "" {
		origin.Called = number(m.RequestURI())
	}
	l.target.Called = cloneString(origin.Called) // not a piece of the message, which would keep all of it
	contact := d.contact(sip.URI{}, flow, m.RequestURI().IsSecure(), origin.Called)
	l.step(dialog.Request{Tx: tx, Msg: m, Tag: tx.LocalTag(), Contact: contact})
}

// setup tells the engine of the INVITE that opened the session.
func (l *leg) setup(o dialog.Output) {
	m := o.Msg
	l.drv.index(l)
	l.note(m)
	s := call.Setup{
		Leg: l.id, Device: l.target.Device, Line: l.target.Line, Trunk: l.target.Trunk, Called: l.target.Called,
		Calling: l.calling(m), Redirecting: l.redirections(m), GlobalID: l.globalID,
	}
	if l.route != nil {
		s.Route, s.RouteCauses, l.route = l.route.members, l.route.causes, nil
	}
	if hops, ok := m.MaxForwards(); ok {
		s.Hops, s.NoHops = hops, hops == 0
	}
	s.Trust = trust(l.to.Flow)
	if l.target.Trunk != "" {
		var ok bool
		if s.Parameters, ok = parameters(m.RequestURI()); !ok {
			l.turnAway(call.InvalidNumberFormat, 414, l.warn(399, "the parameters of the Request-URI are more than "+itoa(call.MaxParameters)+" octets"))
			return
		}
		s.Parameters = cloneString(s.Parameters)
	}
	if l.profile.Dialect != nil {
		if refusal := l.profile.Dialect.Setup(m, &s); refusal != nil {
			l.turnAway(call.CallRejected, cmp.Or(refusal.Status, 403), l.warn(399, refusal.Warning))
			return
		}
		l.globalID = s.GlobalID
	}
	if r, ok := m.Join(); ok { // RFC 3911, 4; the engine refuses what names nothing, with a sentence
		if s.Join, s.Owner, ok = l.drv.meant(r); !ok || !l.profile.Replaces {
			l.turnAway(call.NoSuchCall, 481, l.warn(399, "Join names no call here"))
			return
		}
	}
	if r, ok := m.Replaces(); ok {
		if s.Replaces, s.Owner, ok = l.drv.meant(r); !ok || !l.profile.Replaces {
			l.turnAway(call.NoSuchCall, 481, l.warn(399, "Replaces names no call here"))
			return
		}
	}
	var err error
	if s.Desc, err = l.put(call.KindOffer, o.Body); err != nil {
		status, headers := l.refusal(err)
		l.turnAway(call.NotAcceptable, status, headers)
		return
	}
	l.observeOpened()
	if err = l.signal(s); err != nil {
		l.turnAway(call.Overloaded, 503, overloaded(err))
	}
}

// overloaded is the Retry-After of a call the engine refused at the door.
func overloaded(err error) []dialog.Header {
	var r *live.RefusedError
	after := 1
	if errors.As(err, &r) {
		after = max(1, int(r.RetryAfter.Seconds()))
	}
	return []dialog.Header{{Name: "Retry-After", Value: itoa(after)}}
}

// turnAway refuses an INVITE the engine has not heard of.
func (l *leg) turnAway(_ call.Cause, status int, headers []dialog.Header) {
	l.gone = true
	l.freeMedia()
	l.step(dialog.End{Status: status, Headers: headers})
}

func (l *leg) observeOpened() {
	if l.node != "" && !l.counted {
		l.counted = true
		l.drv.tied(l.node, 1)
	}
	if obs := l.drv.cfg.Observer; obs != nil {
		obs.LegOpened(l.id, l.callID, l.globalID, l.target.Device, l.target.Trunk)
	}
}

// dial rings a target.
func (l *leg) dial(c call.Ring) {
	l.state, l.target, l.ring, l.outgoing = legOutgoing, c.Target, &c, true
	l.globalID, l.said.Call = c.GlobalID, c.GlobalID
	l.node = c.Target.Node
	ways, refusal := l.drv.cfg.Directory.Ways(c.Target)
	if refusal != nil || len(ways) == 0 {
		cause := call.SubscriberAbsent
		if refusal != nil && refusal.Cause != call.CauseNone {
			cause = refusal.Cause
		} else if refusal != nil && refusal.Status != 0 {
			cause = call.CauseFromSIP(refusal.Status)
		}
		l.abandon(cause)
		return
	}
	l.ways = ways
	l.observeOpened()
	if !l.tryWay() {
		l.abandon(call.NotAcceptable)
	}
}

// abandon ends a leg that never had a dialog.
func (l *leg) abandon(c call.Cause) {
	l.released(c, "")
	l.drv.remove(l)
}

// nextWay tries the next way after one failed before anything rang.
func (l *leg) nextWay() bool {
	if l.ring == nil || len(l.ways) == 0 || l.gone || l.state != legOutgoing {
		return false
	}
	l.forgetAttempt()
	return l.tryWay()
}

// tryWay sends the INVITE on the first way that is left. Each attempt is a new session: own tag, same Call-ID.
func (l *leg) tryWay() bool {
	w := l.ways[0]
	l.ways, l.again = l.ways[1:], &attempt{l.ring, w}
	l.open(w.Profile)
	l.to, l.peer, l.domain = w.To, "", w.Domain
	l.to.Timers = l.profile.Timers
	if w.To.Flow != nil {
		l.peer = peerKey(w.To.Flow)
	}
	body, err := l.make(l.ring.Media)
	if err != nil {
		return false
	}
	l.lock = call.LockUnknown
	headers := l.inviteHeaders()
	if l.node == "" {
		headers = append(headers, l.lockInfo(promised(l.ring.Lock, trust(w.To.Flow)))...)
	}
	contact := l.drv.contact(w.Contact, w.To.Flow, w.URI.IsSecure(), l.ring.Calling.Number)
	l.focused = l.ring.Media.Focus
	uri, err := addressed(w.URI, l.ring.Parameters)
	if err != nil {
		return false
	}
	c := dialog.Call{
		URI: uri, CallID: l.callID, Body: body,
		From: l.from(w), To: l.toAddress(w),
		Contact: dialog.WithFocus(contact, l.focused),
		Headers: headers, Hops: cmp.Or(l.ring.Hops, dialog.NoHops),
	}
	l.step(c)
	l.drv.index(l)
	return true
}

// contact is our Contact towards a peer. RFC 3261, 8.1.1.8 and RFC 5630, 5: sips where the Request-URI is sips;
// otherwise the transport is named, so that a phone comes back over TLS.
func (d *Driver) contact(want sip.URI, flow *transport.Flow, secure bool, user string) sip.Address {
	u := want
	if u.IsZero() && flow != nil {
		u = flowURI(flow)
	}
	if u.IsZero() {
		u = d.cfg.Contact
	}
	if u.User == "" {
		u.User = sip.EscapeUser(user)
	}
	if secure {
		u.Scheme = "sips"
		u.Params = u.Params.Without("transport")
	}
	return sip.Address{URI: u}
}

// flowURI is the address of ours a flow belongs to.
func flowURI(flow *transport.Flow) sip.URI {
	addr := flow.SentBy()
	u := sip.URI{Scheme: "sip", Host: addr.Addr().String(), Port: int(addr.Port())}
	if n := flow.Network(); n != transport.UDP {
		u.Params = sip.Params{{Name: "transport", Value: n.String()}}
	}
	return u
}
