package element

import (
	"fmt"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// pingTimeout is how long one OPTIONS waits: shorter than Timer F, so that a dead peer is known before the next call.
const pingTimeout = 5 * time.Second

// pingDue is posted when a destination's next OPTIONS is due.
type pingDue struct {
	epoch int
	at    *destination
}

// ping tags the client transaction of an OPTIONS.
type ping struct {
	epoch int
	at    *destination
	sent  time.Time
}

// pingCallID is the Call-ID under which everything about one destination happens.
func (e *Element) pingCallID(d *destination) string {
	return "options-" + d.peer + "-" + d.address + "@" + d.domain // the peer reads it: no name of ours that it is not told anyway
}

// startPings takes the destinations of a configuration into force and starts an OPTIONS cycle for each.
func (e *Element) startPings(peers *peers) {
	var all []*destination
	for _, p := range peers.list {
		all = append(all, p.destinations(e.cfg.Domain)...)
	}
	epoch := e.destinations.configure(e.now(), all)
	for _, d := range all {
		if !d.ping.Disabled {
			e.ep.Post(e.pingCallID(d), pingDue{epoch, d})
		}
	}
}

// PingAgain asks every peer now, as an operator's reset of a trunk does.
func (e *Element) PingAgain() { e.startPings(e.peers.Load()) }

// ping sends one OPTIONS.
func (e *Element) ping(due pingDue) {
	if !e.destinations.current(due.epoch) || e.ctx.Err() != nil {
		return
	}
	d := due.at
	req := sip.NewRequest(sip.OPTIONS, d.uri)
	req.SetFrom(sip.Address{URI: sip.URI{Scheme: "sip", Host: d.domain}, Params: sip.Params{{Name: "tag", Value: Token()}}})
	req.SetTo(sip.Address{URI: sip.URI{Scheme: "sip", Host: d.uri.Host, Port: d.uri.Port}})
	req.SetCallID(e.pingCallID(d))
	req.SetCSeq(sip.CSeq{Seq: e.pingSeq.Add(1), Method: sip.OPTIONS})
	req.SetMaxForwards(0) // RFC 3261, 11: the next hop itself answers
	req.Set("Accept", "application/sdp")
	req.Set("User-Agent", e.Agent())
	p := &ping{epoch: due.epoch, at: d, sent: e.now()}
	target := d.target(e.cfg.Identity.Name())
	target.Timeout = pingTimeout
	if _, err := e.ep.RequestTag(req, target, p); err != nil {
		e.pinged(p, 0, err)
	}
}

// pinged takes the outcome of a ping and sets the next one.
func (e *Element) pinged(p *ping, status int, err error) {
	if !e.destinations.current(p.epoch) || e.ctx.Err() != nil {
		return
	}
	next, changed, up := e.destinations.heard(e.now(), p, status, err)
	if changed {
		e.tell(p.at.peer, up)
		if e.cfg.Hooks.PeerChanged != nil {
			e.cfg.Hooks.PeerChanged(p.at.peer, up)
		}
		word := "out of service"
		if up {
			word = "in service"
		}
		e.Note(p.at.peer, fmt.Sprintf("trunk %s is %s", p.at.peer, word))
	}
	e.ep.After(e.pingCallID(p.at), next, pingDue{p.epoch, p.at})
}
