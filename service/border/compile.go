package border

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strconv"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/service/border/dialpeer"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transaction"
	"github.com/locktone/locktone/wire/sip/transport"
)

// plainSuffix names the twin of a dial-peer without targets that takes the calls which come without TLS: it gives no SRTP.
const plainSuffix = " plain"

// site is a configuration in force. It is immutable.
type site struct {
	revision int64
	border   config.Border
	peers    []*peer // by tag
	byTag    map[int]*peer
	byName   map[string]*peer // of elements: with and without the suffix
	table    *dialpeer.Table
	trusted  []netip.Prefix
}

// peer is a dial-peer with what follows from the rest of the site.
type peer struct {
	config.DialPeer
	name        string // of the element's peer
	subjects    []string
	authorities []string
	addresses   []netip.Addr // of its targets, as far as they are literal
	in, out     headerRules
	rate        *bucket
}

// own says whether the peer has somewhere calls of its own come from.
func (p *peer) own() bool { return len(p.SessionTargets) > 0 || len(p.AcceptedSubjects) > 0 }

func (p *peer) network() transport.Network {
	switch p.Transport {
	case config.TransportTCP:
		return transport.TCP
	case config.TransportUDP:
		return transport.UDP
	}
	return transport.TLS
}

// compile makes of a configuration what the border needs on this node.
func compile(revision int64, s *config.Site, node string) *site {
	out := &site{revision: revision, border: s.BorderOf(node), byTag: map[int]*peer{}, byName: map[string]*peer{}}
	for _, a := range out.border.TrustedAddresses {
		if p, err := config.Network(a); err == nil {
			out.trusted = append(out.trusted, p)
		}
	}
	for _, e := range s.DialPeers {
		out.add(s, e)
	}
	slices.SortFunc(out.peers, func(a, b *peer) int { return cmp.Compare(a.Tag, b.Tag) })
	out.table = out.makeTable(s)
	return out
}

func (out *site) add(s *config.Site, e config.DialPeer) {
	p := &peer{DialPeer: e.WithDefaults(), name: strconv.Itoa(e.Tag)}
	for _, t := range e.SessionTargets {
		if ip, err := netip.ParseAddr(t.Address); err == nil {
			p.addresses = append(p.addresses, ip.Unmap())
		}
	}
	tp := trustpointOf(s, p)
	p.authorities = tp.Authorities
	switch {
	case len(e.AcceptedSubjects) > 0:
		p.subjects = e.AcceptedSubjects
	case len(tp.AcceptedSubjects) > 0:
		p.subjects = tp.AcceptedSubjects
	default:
		for _, t := range e.SessionTargets {
			p.subjects = append(p.subjects, t.Address)
		}
	}
	for _, h := range s.HeaderRules {
		if h.Name == e.IncomingHeaders {
			p.in = compileHeaders(h)
		}
		if h.Name == e.OutgoingHeaders {
			p.out = compileHeaders(h)
		}
	}
	if e.CallsPerSecond > 0 {
		p.rate = newBucket(e.CallsPerSecond, e.CallsPerSecond)
	}
	out.peers = append(out.peers, p)
	out.byTag[e.Tag], out.byName[p.name] = p, p
	if !p.own() {
		out.byName[p.name+plainSuffix] = p
	}
}

// trustpointOf is the trustpoint of a peer: the one it names, that of its targets' addresses with the longest prefix, the default one.
func trustpointOf(s *config.Site, p *peer) (best config.Trustpoint) {
	bits := -2
	for _, t := range s.Trustpoints {
		if t.Name == p.Trustpoint && p.Trustpoint != "" {
			return t
		}
		if t.Default && bits < -1 {
			best, bits = t, -1
		}
		for _, a := range t.RemoteAddresses {
			n, err := config.Network(a)
			if err == nil && n.Bits() > bits && slices.ContainsFunc(p.addresses, n.Contains) {
				best, bits = t, n.Bits()
			}
		}
	}
	return best
}

func (out *site) makeTable(s *config.Site) *dialpeer.Table {
	translations := map[string]dialpeer.Translation{}
	for _, t := range s.NumberTranslations {
		translations[t.Name] = dialpeer.Translation{Name: t.Name, Called: rules(t.Called), Calling: rules(t.Calling)}
	}
	var peers []dialpeer.Peer
	for _, p := range out.peers {
		x := dialpeer.Peer{Tag: p.Tag, Shutdown: p.Shutdown, Own: p.own(), Via: uris(p.IncomingURI.Via), Request: uris(p.IncomingURI.Request), To: uris(p.IncomingURI.To), From: uris(p.IncomingURI.From),
			IncomingCalled: patterns(p.IncomingCalledNumbers), Answer: patterns(p.AnswerAddresses), Destination: patterns(p.DestinationPatterns), DestinationURI: uris(p.DestinationURIs),
			Preference: p.Preference, Huntstop: p.Huntstop, Outbound: len(p.SessionTargets) > 0, MaxCalls: p.MaxConnections, Hairpin: p.Hairpin, Clear: p.network() != transport.TLS,
			Incoming: translations[p.IncomingTranslation], Outgoing: translations[p.OutgoingTranslation]}
		for _, c := range p.DestinationPeers {
			x.Group = append(x.Group, dialpeer.Choice{Tag: c.Tag, Preference: c.Preference})
		}
		peers = append(peers, x)
	}
	return dialpeer.NewTable(peers)
}

// patterns compiles what the configuration has checked.
func patterns(all []string) (out []dialpeer.Pattern) {
	for _, text := range all {
		if p, err := dialpeer.ParsePattern(text); err == nil {
			out = append(out, p)
		}
	}
	return out
}

func uris(all []config.URIMatch) (out []dialpeer.URI) {
	expression := func(text string) *regexp.Regexp {
		if text == "" {
			return nil
		}
		re, err := regexp.Compile(text)
		if err != nil {
			return regexp.MustCompile(`$^`) // matches nothing that has a character
		}
		return re
	}
	for _, m := range all {
		out = append(out, dialpeer.URI{Name: cmp.Or(m.Pattern, m.User, first(m.Hosts)), Hosts: m.Hosts, User: expression(m.User), Text: expression(m.Pattern)})
	}
	return out
}

func first(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return all[0]
}

func rules(all []config.TranslationRule) (out []dialpeer.Rule) {
	for _, r := range all {
		if rule, err := dialpeer.NewRule(r.Match, r.Replace); err == nil {
			out = append(out, rule)
		}
	}
	return out
}

// elements are the peers as the element knows them.
func (out *site) elements(s *config.Site) (all []element.Peer) {
	codecs := map[string][]string{}
	for _, l := range s.CodecLists {
		codecs[l.Name] = l.Codecs
	}
	plain := len(out.trusted) > 0 || slices.ContainsFunc(out.peers, func(p *peer) bool { return p.own() && p.network() != transport.TLS })
	for _, p := range out.peers {
		if p.Shutdown {
			continue
		}
		e := out.element(p, codecs[p.CodecList])
		switch {
		case p.own():
			all = append(all, e)
		case p.DialPeer.Transport == config.TransportTLS:
			all = append(all, e)
			if plain {
				all = append(all, plainTwin(e, transport.UDP, transport.TCP))
			}
		default:
			all = append(all, plainTwin(e, out.from(p)...))
		}
	}
	return all
}

// plainTwin is a peer for calls that come without TLS.
func plainTwin(e element.Peer, from ...transport.Network) element.Peer {
	e.Name += plainSuffix
	e.Network, e.From, e.Leg.Media.Security = from[0], from, desc.Forbidden
	return e
}

func (out *site) from(p *peer) []transport.Network {
	if p.Transport == config.TransportTCPUDP {
		return []transport.Network{transport.UDP, transport.TCP}
	}
	return []transport.Network{p.network()}
}

func (out *site) element(p *peer, codecs []string) element.Peer {
	e := element.Peer{Name: p.name, Network: p.network(), From: out.from(p), Subjects: p.subjects, Domain: out.border.SIPUA.LocalDomain, Ping: p.OptionsKeepalive, EarlyOffer: p.EarlyOffer,
		Leg: sipleg.Profile{Media: media.Profile{Anchor: true, Codecs: codecs}, Timer: out.sessionTimer(p), Timers: out.timers(), Transfer: p.Refer == config.ReferConsume,
			TrustAsserts: p.AssertedIdentity, SendAsserts: p.AssertedIdentity, NoInfoDigits: p.DTMFRelay == config.DTMFInBand},
		Trunk: call.Trunk{MaxCalls: p.MaxConnections, NoAnswer: out.border.SIPUA.Timers.InviteExpires.D()}}
	if e.Network != transport.TLS {
		e.Subjects = nil
	}
	if e.Leg.Transfer {
		e.Trunk.SearchSpace = transferSpace
	}
	switch p.SRTP {
	case config.PeerSRTPFallback:
		e.Leg.Media.Security = desc.Optional
	case config.PeerSRTPNever:
		e.Leg.Media.Security = desc.Forbidden
	}
	switch p.Rel1xx {
	case config.Rel1xxSDP:
		e.Leg.Reliable = dialog.ReliableSDP
	case config.Rel1xxAll:
		e.Leg.Reliable = dialog.ReliablePreferred
	}
	for _, t := range p.SessionTargets {
		e.Destinations = append(e.Destinations, element.Destination{Address: t.Address, Port: t.Port, SecurePort: t.Port, Priority: t.Preference, Weight: t.Weight})
	}
	return e
}

func (out *site) sessionTimer(p *peer) dialog.TimerConfig {
	t := p.SessionTimer
	if t == (config.SessionTimer{}) {
		t = out.border.SIPUA.SessionTimer
	}
	t = config.SIPProfile{SessionTimer: t}.WithDefaults().SessionTimer
	c := dialog.TimerConfig{Off: t.Disabled, Interval: t.Expires.D(), Min: t.Min.D()}
	switch t.Refresher {
	case config.RefresherUAC:
		c.Prefer = dialog.RefresherUAC
	case config.RefresherUAS:
		c.Prefer = dialog.RefresherUAS
	}
	return c
}

// timers are the transaction timers, nil where they are the usual ones.
func (out *site) timers() *transaction.Timers {
	t, usual := out.border.SIPUA.Timers, config.SIPProfile{}.WithDefaults().Timers
	if t.T1 == usual.T1 && t.T2 == usual.T2 {
		return nil
	}
	return &transaction.Timers{T1: t.T1.D(), T2: t.T2.D()}
}
