package ctileg

import (
	"cmp"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/leg/describe"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sdp"
)

// ring offers a call to a terminal: its application hears of that by the engine's events.
func (d *Driver) ring(r call.Ring) {
	t, known := d.cfg.Terminal(r.Target.Device)
	if !known {
		d.signal(call.Released{Leg: r.Leg, Cause: call.SubscriberAbsent})
		return
	}
	s := &session{leg: r.Leg, device: r.Target.Device, terminal: t}
	d.cfg.Plane.AddLeg(media.LegID(r.Leg), t.profile())
	if t.Media != NoMedia { // who can only redirect need not be able to speak
		offer, err := d.make(s, r.Media)
		if err != nil {
			d.cfg.Plane.RemoveLeg(media.LegID(r.Leg))
			d.signal(call.Released{Leg: r.Leg, Cause: call.NotAcceptable})
			return
		}
		s.offer = offer
	}
	d.sessions[r.Leg] = s
	if r.AutoAnswer && t.Media != NoMedia {
		d.answer(s)
	} else {
		d.after(s, d.cfg.AcceptTimer(), askAcceptLate)
	}
	d.changed(s.leg)
}

// profile is what the media plane must know of a terminal.
func (t *Terminal) profile() media.Profile {
	p := media.Profile{Security: desc.Forbidden}
	if len(t.Suites) > 0 || t.Media == NoMedia {
		p.Security, p.Suites = desc.Optional, t.Suites
	}
	for _, c := range t.codecs() {
		p.Codecs = append(p.Codecs, c.Name)
	}
	return p
}

// make has the plane make a description for the terminal; nil where the command has none.
func (d *Driver) make(s *session, m call.Media) (*sdp.Session, error) {
	text, err := describe.Make(d.cfg.Plane, s.leg, m)
	if err != nil || text == nil {
		return nil, err
	}
	return sdp.Parse(text)
}

// accept has the caller hear ringing: the application will answer, or redirect, or refuse.
func (d *Driver) accept(s *session) {
	if s.accepted || s.answered {
		return
	}
	s.accepted = true
	if !s.answering {
		d.stop(s)
	}
	d.signal(call.Alerting{Leg: s.leg})
}

// answer answers, or asks for the address first. A terminal without media cannot: it goes on ringing.
func (d *Driver) answer(s *session) {
	switch {
	case s.answered || s.answering || s.terminal.Media == NoMedia:
	case s.terminal.Media == Dynamic:
		s.answering = true
		w := s.wish()
		d.want(s, &w)
		d.after(s, cmp.Or(s.terminal.Patience, DefaultPatience), askAddressLate)
		d.changed(s.leg)
	default:
		d.complete(s)
	}
}

// wish is what the caller would like to speak, of what the terminal can.
func (s *session) wish() Want {
	w := Want{Packet: 20}
	if len(s.terminal.Codecs) > 0 {
		w.Payload, w.Packet = s.terminal.Codecs[0].Payload, cmp.Or(s.terminal.Codecs[0].Packet, 20)
	}
	if s.offer == nil {
		return w
	}
	m := desc.Audio(s.offer)
	if m == nil {
		return w
	}
	for i := range m.Codecs {
		p := PayloadOf(m.Codecs[i].Name, m.Codecs[i].Rate)
		if at := slices.IndexFunc(s.terminal.Codecs, func(c Codec) bool { return c.Payload == p }); p != 0 && at >= 0 {
			return Want{p, cmp.Or(m.Ptime, s.terminal.Codecs[at].Packet, 20)}
		}
	}
	return w
}

// complete answers with the terminal's address.
func (d *Driver) complete(s *session) {
	d.stop(s)
	d.want(s, nil)
	s.answering = false
	s.end = desc.NewEndpoint(s.terminal.caps(), uint64(s.leg)<<16|1, d.cfg.Keys)
	dsc, err := d.describe(s, s.offer)
	if err != nil {
		d.release(s, call.NotAcceptable)
		return
	}
	s.answered, s.offer = true, nil
	d.signal(call.Answered{Leg: s.leg, Desc: dsc})
	d.changed(s.leg)
}

// caps is what descriptions of the terminal say.
func (t *Terminal) caps() desc.Caps {
	c := desc.Caps{Codecs: t.codecs(), Suites: t.Suites, Security: desc.Forbidden, Conn: sdp.ConnOf(t.Address.Addr()), Port: t.Address.Port()}
	if len(t.Suites) > 0 {
		c.Security = desc.Optional
	}
	if len(t.Codecs) > 0 {
		c.Ptime = t.Codecs[0].Packet
	}
	return c
}

// describe answers an offer for the terminal, or makes one where there is none, and gives it to the plane.
func (d *Driver) describe(s *session, offer *sdp.Session) (call.Desc, error) {
	kind, out, err := call.KindAnswer, (*sdp.Session)(nil), error(nil)
	if offer != nil {
		out, err = s.end.Answer(offer)
	} else {
		kind = call.KindOffer
		out, err = s.end.Offer()
	}
	if err != nil {
		return call.Desc{}, err
	}
	return describe.Put(d.cfg.Plane, s.leg, kind, out.Bytes())
}

// confirm takes the answer to an offer of the terminal's. One that cannot be taken ends the leg.
func (d *Driver) confirm(s *session, c call.Confirm) {
	answer, err := d.make(s, c.Media)
	if err == nil && s.end != nil && answer != nil {
		err = s.end.Accept(answer)
	}
	if err != nil {
		d.release(s, call.NotAcceptable)
		return
	}
	d.changed(s.leg)
}

// reoffer answers a new offer, or makes one where it is asked for.
func (d *Driver) reoffer(s *session, c call.Reoffer) {
	if s.end == nil {
		d.signal(call.ReofferRejected{Leg: s.leg, Cause: call.RequestPending}) // it has not been answered
		return
	}
	offer, err := d.make(s, c.Media)
	var dsc call.Desc
	if err == nil {
		dsc, err = d.describe(s, offer)
	}
	if err != nil {
		d.signal(call.ReofferRejected{Leg: s.leg, Cause: call.NotAcceptable})
		return
	}
	d.signal(call.ReofferAnswered{Leg: s.leg, Desc: dsc})
	d.changed(s.leg)
}
