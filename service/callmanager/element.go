package callmanager

import (
	"github.com/locktone/locktone/applet"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip/transport"
)

// The call manager is an element whose peers are the trunks, with devices and the call managers of other nodes beside them.

// Element is what of the call manager every SIP service has.
func (s *Service) Element() *element.Element { return s.el }

// hooks are what it adds to one.
func (s *Service) hooks() element.Hooks {
	return element.Hooks{
		Directory: s, Outside: outside{s}, AllowEvents: allowEvents, Kinds: inboundKinds, Dialled: s.tieDialled, Program: s.program,
		Closed:      func(f *transport.Flow) { s.unreachable(s.bindings.flowClosed(s.now(), f.ID())) },
		Refused:     s.meters.refused,
		Stepped:     s.stepped,
		Ended:       s.legEnded,
		Device:      func(name string) bool { return s.site.Load().device(name) != nil },
		PeerChanged: s.publishTrunk,
	}
}

// inboundKinds are the holders that may connect; what each may do is decided by what it asks for.
var inboundKinds = pki.KindsOf(pki.KindDevice, pki.KindPeer, pki.KindService)

// stepped hears of every step of the engine, where the engine runs.
func (s *Service) stepped(r *live.Record) {
	s.meters.stepped(r)
	if m, ok := r.Input.Signal.(call.Measured); ok { // also what comes when the engine has let go of the leg
		s.ends.measured(r.At, m)
	}
}

// legEnded keeps how a leg went for its record.
func (s *Service) legEnded(leg call.LegID, m media.LegMedia, on *transport.Flow) {
	cipher := ""
	if on != nil {
		cipher = on.Cipher()
	}
	s.ends.add(s.now(), leg, cipher, m)
}

// program is what the configuration in force has under an applet's name; nil where it has none.
func (s *Service) program(name string) applet.Program {
	for _, a := range s.site.Load().config.Applets {
		if a.Name != name {
			continue
		}
		switch a.Type {
		case config.AppletTone:
			return applet.ToneAt(float64(a.WithDefaults().ToneHz))
		case config.AppletMusic:
			return applet.Playing(func() media.Source {
				if src := s.music(a.MusicOnHold); src != nil {
					return src
				}
				return tone.NewMusic()
			})
		}
		return applet.Echo
	}
	return nil
}

// peersOf are the trunks of a configuration. One that does not run on this node is let in, and has no destination here.
func (s *Service) peersOf(st *site) (out []element.Peer) {
	for _, t := range st.Trunks() {
		p := peerOf(t, st.trunks[t.Name])
		if !s.runs(st, t) {
			p.Destinations = nil
		}
		out = append(out, p)
	}
	return out
}

// peerOf is a trunk as the element sees it.
func peerOf(t *directory.Trunk, leg *sipleg.Profile) element.Peer {
	p := element.Peer{Name: t.Name, Network: outgoing(t.Security.OutgoingTransport), From: networksOf(t.Security.IncomingTransport), Port: t.Security.IncomingPort,
		Subjects: t.Security.AcceptedSubjects, Domain: t.LocalDomain, Ping: t.SIP.OptionsPing, Leg: *leg}
	for _, d := range t.Destinations {
		p.Destinations = append(p.Destinations, element.Destination{Address: d.Address, Port: d.Port})
	}
	return p
}

// outgoing is how a trunk's peer is reached.
func outgoing(t config.Transport) transport.Network {
	switch t {
	case config.TransportTLS:
		return transport.TLS
	case config.TransportUDP:
		return transport.UDP
	}
	return transport.TCP
}

// networksOf are the transports of a security profile.
func networksOf(t config.Transport) (out []transport.Network) {
	for _, n := range []transport.Network{transport.TLS, transport.TCP, transport.UDP} {
		if transportFits(t, n) {
			out = append(out, n)
		}
	}
	return out
}

// sockets are what the devices need beside what the trunks do.
func (st *site) sockets() (out []element.Socket) {
	for _, d := range st.Devices() {
		if d.Protocol.Terminal() {
			continue
		}
		for _, n := range networksOf(d.Security.Transport) {
			out = append(out, element.Socket{Network: n, Port: d.Security.IncomingPort})
		}
	}
	return out
}

// trunkFor finds the trunk whose peer is at the other end of the flow.
func (s *Service) trunkFor(f *transport.Flow) (*directory.Trunk, *refusal) {
	name, refused := s.el.PeerOf(f)
	if refused != nil {
		return nil, &refusal{status: refused.Status, why: refused.Warning}
	}
	t := s.site.Load().trunk(name)
	if t == nil {
		return nil, forbidden("trunk " + name + " is not configured any more")
	}
	return t, nil
}
