package call

import (
	"slices"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// Emergency calls are no feature of the list: they are what every other rule makes way for. A call to a number of a pattern marked
// emergency is made
//
//   - from any device of the site, registered lines and search spaces or not (dialplan: Query.Emergency, basic.setup);
//   - whatever the limits on the calls of its line and of the trunks (callLimit, reachTrunk) and on their duration (activate);
//   - by trunks that are taken to be out of service too, after the others (callEmergency);
//   - by the next trunk of its list whatever the reason why one failed, but that the called party is busy (offering.reroutes);
//   - with media converted where the two ends do not agree on SRTP, whatever the policy for mixed calls (passOn), and also where the
//     far end answers plain RTP to an offer of SRTP: it is then made another one, through a relay (putUpWith);
//   - once more by the same trunk, with plain RTP, where it refuses SRTP (againPlain);
//   - though Max-Forwards is used up (hopLimit);
//   - with the number of the caller's place, never withheld (callEmergency);
//   - at any load of this node (live: Host asks Config.Emergency).
//
// What it cannot be is the target of a diversion: a line that forwards its calls there would send the emergency service people
// who never asked for it. A transfer is the deed of somebody who is on the phone, and works.

// callEmergency makes an emergency call; the query has found that it is one.
func (e *Engine) callEmergency(c *Call, d dialling, q dialplan.Query) Cause {
	if n := len(d.redirecting); n > 0 && d.redirecting[n-1].Reason != RedirectTransferred {
		e.say("emergency", "calls that were sent on do not reach an emergency number")
		return CallRejected
	}
	e.say("emergency", "nothing keeps this call from being made: no limit, no trunk that is down, no policy for mixed calls")
	if own := e.config.place(d.from()).EmergencyNumber; own != "" {
		q.Calling, q.ExternalMask = own, ""
		e.say("emergency", "the calling number is that of the caller's place, and is never withheld")
	}
	res := e.config.plan.Route(q)
	d.emergency, d.calling.Number, d.calling.Restricted = true, res.Calling, false
	c.emergency, c.view = true, nil
	e.stop(&c.duration)
	p := &Party{called: res.Called, offering: &offering{dialling: d}}
	p.offering.ring = timer{call: c, party: p}
	members := []RouteMember{{Trunk: res.Pattern.To}}
	if res.Pattern.Kind == dialplan.ToRouteList {
		members = e.inTurn(e.config.lists[res.Pattern.To].Members)
	}
	p.offering.choices = e.inServiceFirst(members)
	cause := e.reachTrunk(c, p)
	switch {
	case cause == CauseNone:
		e.emit(EmergencyCallMade, c, p, nil, CauseNone)
	case p.call != nil:
		e.dropParty(p, cause)
	}
	return cause
}

// againPlain offers plain RTP to a trunk that refused an emergency call because of its media, or whose answer to an offer of SRTP could not
// be used: by a relay, which has SRTP with the caller.
func (e *Engine) againPlain(p *Party) bool {
	o, t := p.offering, e.config.trunks[p.trunk]
	if !o.emergency || o.plain || o.exact || t == nil || len(p.legs) == 0 {
		return false
	}
	last := p.legs[len(p.legs)-1]
	if last.cause != NotAcceptable && last.cause != SecurityMismatch || last.told.Security != SRTP {
		return false
	}
	o.plain, o.cause = true, CauseNone
	e.ringTrunk(p.call, p, t, o.choice)
	return p.alive()
}

// inServiceFirst has the trunks that are full tried after the others, and those that are down last: what is known of them may be old.
func (e *Engine) inServiceFirst(members []RouteMember) []RouteMember {
	out := slices.Clone(members)
	worse := func(m RouteMember) int {
		switch t := e.config.trunks[m.Trunk]; {
		case t == nil || e.trunkOf(m.Trunk).down && len(e.trunkOf(m.Trunk).at) == 0:
			return 2
		case !e.inService(t):
			return 1
		}
		return 0
	}
	slices.SortStableFunc(out, func(a, b RouteMember) int { return worse(a) - worse(b) })
	return out
}

// Emergency says whether a call that comes in, as its driver says it, is to an emergency number that its caller may reach. It may be
// called at any time by anybody: a Config is immutable.
func (c *Config) Emergency(at time.Time, s Setup) bool {
	c.globalise(&s)
	return c.emergency(at, s)
}

// emergency is the same for numbers that have been made global already.
func (c *Config) emergency(at time.Time, s Setup) bool {
	if s.Node != "" {
		return s.At != nil && s.At.Emergency // the other node has found that it is
	}
	if c.devices[s.Device] == nil && c.trunks[s.Trunk] == nil || len(s.Redirecting) > 0 {
		return false
	}
	line := LineID{}
	if l := c.lineOf(s.Device, s.Line); l != nil {
		line = l.ID
	}
	res := c.plan.Route(dialplan.Query{SearchSpaces: c.SearchSpaces(s.Device, line, s.Trunk), Called: s.Called, Complete: true, Emergency: s.Device != "",
		At: at, Zone: c.place(s.Device, s.Trunk).Zone})
	return res.Outcome == dialplan.Match && res.Pattern.Emergency
}

// place is where a device or trunk stands.
func (c *Config) place(device, trunk string) Place {
	if d := c.devices[device]; d != nil {
		return d.Place
	}
	if t := c.trunks[trunk]; t != nil {
		return t.Place
	}
	return Place{}
}
