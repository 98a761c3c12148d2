package element

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/endpoint"
	"github.com/locktone/locktone/wire/sip/transport"
)

// A Peer is a system that calls come from and go to: a trunk of the engine. The zero value of everything but Name is strict: TLS both ways
// on 5061, nobody let in, SRTP required, REFER refused.
type Peer struct {
	Name         string
	Destinations []Destination
	// Network is how it is reached; zero is TLS. Anything else is a named exception.
	Network transport.Network
	// From are the transports it may come by; none: Network alone.
	From []transport.Network
	// Port of ours it comes to; zero: 5061 with TLS, 5060 without.
	Port int
	// Subjects are X.509 subject common names or subject alternative names, one of which its certificate must bear, compared whole and
	// without regard to case. Without any it is let in by nothing it shows, and reached where it proves the name that is dialled.
	Subjects []string
	// Domain is the host of our addresses that it is told; empty: Config.Domain.
	Domain string
	// Ping says how its state is found out; the zero value asks every minute.
	Ping config.OptionsPing
	// Leg is how the SIP driver deals with it: security, codecs and anchoring of media, session timer, timers, reliability, what of REFER
	// and Replaces is obeyed, whether its assertions are believed. Leg.Name is filled in.
	Leg sipleg.Profile
	// User is the user part of the Request-URI of calls to no number, which only URI parameters tell apart (RFC 5552, 2.1: dialog).
	User string
	// EarlyOffer sends an offer in every INVITE, also when the caller gave none.
	EarlyOffer bool
	// Trunk is what the engine must know besides: numbers, limits, search space. Name, Driver and Media are filled in where they are zero.
	Trunk call.Trunk
}

// A Destination is one address of a peer. Those of the lowest Priority are tried first, and among them each is first as often as its
// Weight says (RFC 2782); without weights the order is as configured.
type Destination struct {
	Address string // IP address, or a name to be looked up (RFC 3263 without a port)
	// Port and SecurePort: the latter is taken with TLS. Zero is 5060 and 5061.
	Port, SecurePort int
	Priority, Weight int
}

// pingOf is how OPTIONS are sent to the peer, whole.
func (p *Peer) pingOf() config.OptionsPing {
	return config.SIPProfile{OptionsPing: p.Ping}.WithDefaults().OptionsPing
}

// network is how the peer is reached.
func (p *Peer) network() transport.Network { return cmp.Or(p.Network, transport.TLS) }

// from are the transports it may come by.
func (p *Peer) from() []transport.Network {
	if len(p.From) > 0 {
		return p.From
	}
	return []transport.Network{p.network()}
}

// port is where it comes.
func (p *Peer) port() int {
	if p.Port != 0 {
		return p.Port
	}
	return int(p.from()[0].Port())
}

// reaches says whether the flow came the way the peer must: its transport and, inbound, our port.
func (p *Peer) reaches(f *transport.Flow) bool {
	if !slices.Contains(p.from(), f.Network()) {
		return false
	}
	l := f.Listener()
	return l == nil || !f.Inbound() || int(l.Addr().Port()) == p.port()
}

// trunk is the peer as the engine sees it.
func (p *Peer) trunk() call.Trunk {
	t := p.Trunk
	t.Name, t.Driver = p.Name, cmp.Or(t.Driver, DriverSIP)
	if t.Media == (call.MediaPolicy{}) {
		t.Media = call.MediaPolicy{SRTP: call.SRTP, Anchor: p.Leg.Media.Anchor, EarlyOffer: p.EarlyOffer}
		switch p.Leg.Media.Security {
		case desc.Optional:
			t.Media.SRTP = call.SRTPOrRTP
		case desc.Forbidden:
			t.Media.SRTP = call.RTP
		}
	}
	return t
}

// Contact is where the peer reaches us at an address of ours.
func (p *Peer) Contact(own netip.Addr) sip.URI {
	network := p.from()[0]
	if slices.Contains(p.from(), p.network()) {
		network = p.network()
	}
	u := sip.URI{Scheme: "sip", Host: own.String(), Port: p.port()}
	if network != transport.UDP {
		u.Params = sip.Params{{Name: "transport", Value: network.String()}}
	}
	return u
}

// destinations are those of the peer with their hops. A literal address becomes a hop; a name is left to the resolver.
func (p *Peer) destinations(domain string) (out []*destination) {
	network := p.network()
	for _, c := range p.Destinations {
		port := c.Port
		if network == transport.TLS {
			port = cmp.Or(c.SecurePort, port)
		}
		d := &destination{peer: p.Name, address: c.Address, domain: cmp.Or(p.Domain, domain), timers: p.Leg.Timers, ping: p.pingOf(),
			priority: c.Priority, weight: c.Weight}
		ip, err := netip.ParseAddr(c.Address)
		if err == nil {
			port = cmp.Or(port, int(network.Port()))
			d.hop = endpoint.Hop{Network: network, Addr: netip.AddrPortFrom(ip, uint16(port))}
		}
		if port != 0 {
			d.address = net.JoinHostPort(c.Address, strconv.Itoa(port))
		}
		d.uri = sip.URI{Scheme: "sip", Host: c.Address, Port: port, Params: sip.Params{{Name: "transport", Value: network.String()}}}
		d.row = bus.TrunkState{Trunk: p.Name, Destination: d.address, Mode: p.mode(), SRTP: p.Leg.Media.Security != desc.Forbidden}
		out = append(out, d)
	}
	return out
}

// mode is the protection of the peer in the field's words.
func (p *Peer) mode() string {
	switch {
	case p.network() != transport.TLS || slices.ContainsFunc(p.from(), func(n transport.Network) bool { return n != transport.TLS }):
		return "non-secure"
	case p.Leg.Media.Security == desc.Forbidden:
		return "authenticated"
	}
	return "encrypted"
}

// exceptions are what of the peer is weaker than the defaults.
func (p *Peer) exceptions(node string) (rows []bus.Exception) {
	add := func(setting, value, normal, risk string) {
		rows = append(rows, bus.Exception{Node: node, Kind: "peer", Name: p.Name, Setting: setting, Value: value, Default: normal, Risk: risk})
	}
	for _, n := range slices.Compact(append([]transport.Network{p.network()}, p.from()...)) {
		if n != transport.TLS {
			add("transport", n.String(), transport.TLS.String(), "neither the signalling nor keys in it are protected, and no certificate says who it is: its address is all that is known")
		}
	}
	switch p.Leg.Media.Security {
	case desc.Optional:
		add("srtp", "optional", "required", "media of the peer is plain RTP where it offers nothing better: whoever is on the way can listen")
	case desc.Forbidden:
		add("srtp", "never", "required", "media of the peer is plain RTP: whoever is on the way can listen")
	}
	return rows
}
