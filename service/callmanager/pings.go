package callmanager

import (
	"fmt"

	"github.com/locktone/locktone/wire/sip"
)

// startPings takes the destinations of a configuration into force and starts an OPTIONS cycle for each.
func (s *Service) startPings(st *site) {
	var all []*destination
	for _, t := range st.Trunks() {
		if !s.runs(st, t) {
			continue
		}
		all = append(all, destinationsOf(t)...)
	}
	epoch := s.trunks.configure(s.now(), all)
	for _, d := range all {
		if !d.ping.Disabled {
			s.ep.Post(pingCallID(s.cfg.Node, d), pingDue{epoch, d})
		}
	}
}

// ping sends one OPTIONS.
func (s *Service) ping(due pingDue) {
	if !s.trunks.current(due.epoch) || s.ctx.Err() != nil {
		return
	}
	d := due.at
	req := sip.NewRequest(sip.OPTIONS, d.uri)
	req.SetFrom(sip.Address{URI: sip.URI{Scheme: "sip", Host: d.domain}, Params: sip.Params{{Name: "tag", Value: s.token()}}})
	req.SetTo(sip.Address{URI: sip.URI{Scheme: "sip", Host: d.uri.Host, Port: d.uri.Port}})
	req.SetCallID(pingCallID(s.cfg.Node, d))
	req.SetCSeq(sip.CSeq{Seq: s.pingSeq.Add(1), Method: sip.OPTIONS})
	req.SetMaxForwards(0) // RFC 3261, 11: the next hop itself answers
	req.Set("Accept", "application/sdp")
	req.Set("User-Agent", s.agent())
	p := &ping{epoch: due.epoch, at: d, sent: s.now()}
	target := d.target(s.identity.Name())
	target.Timeout = pingTimeout
	if _, err := s.ep.RequestTag(req, target, p); err != nil {
		s.pinged(p, 0, err)
	}
}

// pinged takes the outcome of a ping and sets the next one.
func (s *Service) pinged(p *ping, status int, err error) {
	if !s.trunks.current(p.epoch) || s.ctx.Err() != nil {
		return
	}
	next, changed, up := s.trunks.heard(s.now(), p, status, err)
	if changed {
		s.publishTrunk(p.at.trunk, up)
		word := "out of service"
		if up {
			word = "in service"
		}
		s.note(p.at.trunk, fmt.Sprintf("trunk %s is %s", p.at.trunk, word))
	}
	s.ep.After(pingCallID(s.cfg.Node, p.at), next, pingDue{p.epoch, p.at})
}
