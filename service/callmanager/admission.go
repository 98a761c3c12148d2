package callmanager

import (
	"fmt"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/transport"
)

// deviceFor finds the device that may speak as user on the flow. When several devices show the number, the certificate
// decides; the refusal says which rule the first of them failed.
func (s *Service) deviceFor(f *transport.Flow, user string) (*directory.Device, *refusal) {
	st := s.site.Load()
	candidates := st.meant(user)
	if len(candidates) == 0 {
		return nil, &refusal{status: 404, why: fmt.Sprintf("no device or number %q is configured%s", user, element.Whose(f))}
	}
	var first *refusal
	for _, d := range candidates {
		refused := admits(d, f)
		if refused == nil {
			return d, nil
		}
		if first == nil {
			first = refused
		}
	}
	return nil, first
}

// admits checks one device against the way it came: its protocol, transport and port of its profile, and a certificate that
// names it. In a
// non-secure cluster a device may also still come as its profile says: one that has not heard of the change is not left outside.
func admits(d *directory.Device, f *transport.Flow) *refusal {
	if d.Protocol == config.ProtocolSCCP {
		return forbidden("device " + d.Name + " is configured for SCCP and came by SIP: give it the firmware for SCCP, or set its protocol to sip")
	}
	if d.Protocol.Terminal() {
		return forbidden("device " + d.Name + " is a " + d.Protocol.String() + ", which applications register by CTI, and came by SIP: set its protocol to sip, or give the phone another name")
	}
	p := d.Security
	if f.Network() == transport.TLS && d.Profile.Transport == config.TransportTLS {
		p = d.Profile
	}
	if !transportFits(p.Transport, f.Network()) {
		return forbidden(fmt.Sprintf("device %s must use %s on port %d (phone security profile %s, %s); it came over %s",
			d.Name, strings.ReplaceAll(p.Transport.String(), "+", " or "), p.IncomingPort, orDefault(d.PhoneSecurityProfile), p.DeviceSecurityMode, f.Network()))
	}
	if l := f.Listener(); l != nil && int(l.Addr().Port()) != p.IncomingPort {
		return forbidden(fmt.Sprintf("device %s must use port %d (phone security profile %s); it came to port %d",
			d.Name, p.IncomingPort, orDefault(d.PhoneSecurityProfile), l.Addr().Port()))
	}
	if f.Network() != transport.TLS {
		return nil
	}
	report := element.ReportOf(f)
	if report == nil {
		return forbidden("device " + d.Name + " showed no certificate")
	}
	if finding, ok := pki.AuthorizeDevice(report, d.Name); !ok {
		return forbidden(finding.Sentence("device " + d.Name))
	}
	if report.Entry == nil && p.Certificate == config.CertificateLSC {
		return forbidden(fmt.Sprintf("device %s showed the certificate of its maker, and it must show one of this cluster (phone security profile %s): enrol it, or set certificate to %s",
			d.Name, orDefault(d.PhoneSecurityProfile), config.CertificateLSCOrMIC))
	}
	return nil
}

func orDefault(profile string) string {
	if profile == "" {
		return "default"
	}
	return profile
}

func transportFits(t config.Transport, n transport.Network) bool {
	switch t {
	case config.TransportTCP:
		return n == transport.TCP
	case config.TransportUDP:
		return n == transport.UDP
	case config.TransportTCPUDP:
		return n == transport.TCP || n == transport.UDP
	}
	return n == transport.TLS
}

// Arrival implements sipleg.Directory: who opens a call, by certificate, and by digest credentials where the profile wants them.
func (s *Service) Arrival(f *transport.Flow, m *sip.Message) (sipleg.Origin, *sipleg.Refusal) {
	if o, tie := s.tieOrigin(f, m); tie {
		o.Called = s.dialled(m)
		return o, nil
	}
	who, refused := s.sender(f, m)
	switch {
	case refused != nil:
	case who.device != nil:
		refused = s.digest(m, who.device)
	default:
		refused = s.trunkDigest(m, who.trunk)
	}
	if refused == nil {
		refused = s.callTurnedAway(s.site.Load(), who)
	}
	if refused != nil {
		return sipleg.Origin{}, refused.leg()
	}
	s.el.SetOwner(f, who.name())
	o := s.origin(who, m)
	if who.trunk != nil {
		o.Back = s.el.Back(f, who.trunk.Name)
	}
	return o, nil
}

// Sender implements sipleg.Directory: who sends a request inside a call, by certificate. Credentials were shown when the call
// began; a request inside it is not challenged.
func (s *Service) Sender(f *transport.Flow, m *sip.Message) (sipleg.Origin, *sipleg.Refusal) {
	if o, tie := s.tieOrigin(f, m); tie {
		return o, nil
	}
	who, refused := s.sender(f, m)
	if refused != nil {
		return sipleg.Origin{}, refused.leg()
	}
	return s.origin(who, m), nil
}

// sender is who is at the other end of a flow: a device, with the user it speaks for, or a trunk.
type sender struct {
	device *directory.Device
	user   string
	trunk  *directory.Trunk
}

func (w sender) name() string {
	if w.device != nil {
		return w.device.Name
	}
	return w.trunk.Name
}

func (s *Service) sender(f *transport.Flow, m *sip.Message) (sender, *refusal) {
	d, user, refused := s.caller(f, m)
	if d != nil {
		return sender{device: d, user: user}, nil
	}
	if r := element.ReportOf(f); r != nil && r.Kinds.Has(pki.KindDevice) && !r.Kinds.Has(pki.KindPeer) && !r.Kinds.Has(pki.KindService) {
		return sender{}, refused
	}
	t, refused := s.trunkFor(f)
	return sender{trunk: t}, refused
}

func (s *Service) origin(who sender, m *sip.Message) sipleg.Origin {
	o := sipleg.Origin{Called: s.dialled(m)}
	if d := who.device; d != nil {
		o.Device, o.Line, o.Profile = d.Name, lineOf(d, who.user), s.site.Load().legs[d.Name]
		return o
	}
	o.Trunk, o.Domain, o.Profile = who.trunk.Name, who.trunk.LocalDomain, s.site.Load().trunks[who.trunk.Name]
	return o
}

// dialled is the number a Request-URI asks for: its user part, and for the name of a device the number of its first line,
// so that softphones can call each other by name. Class of service applies to the number.
func (s *Service) dialled(m *sip.Message) string {
	user, err := sip.Unescape(m.RequestURI().User)
	if err != nil {
		return m.RequestURI().User
	}
	if d := s.site.Load().device(user); d != nil && len(d.Lines) > 0 {
		return numbers(d)[0]
	}
	return user
}

// caller finds the device that calls: the one its From names, or, for a caller that withholds its number, the one that
// registered over this connection.
func (s *Service) caller(f *transport.Flow, m *sip.Message) (*directory.Device, string, *refusal) {
	user, err := sip.Unescape(m.From().URI.User)
	if err != nil {
		return nil, "", &refusal{status: 400, why: "the user part of From cannot be read: " + err.Error()}
	}
	d, refused := s.deviceFor(f, user)
	if d != nil {
		if f.Network() != transport.TLS && !s.bindings.from(d.Name, f.Remote().Addr()) && !d.Security.DigestAuthentication {
			return nil, user, forbidden(fmt.Sprintf("device %s is not registered from %s", d.Name, f.Remote().Addr()))
		}
		return d, user, nil
	}
	if owner := s.site.Load().device(s.el.Owner(f)); owner != nil && admits(owner, f) == nil && refused.status == 404 {
		return owner, "", nil
	}
	return nil, user, refused
}

// Ways implements sipleg.Directory.
func (s *Service) Ways(t call.Target) ([]sipleg.Way, *sipleg.Refusal) {
	st := s.site.Load()
	if t.Node != "" {
		return s.tieWays(st, t)
	}
	if t.Trunk != "" {
		return s.el.Ways(t)
	}
	d := st.device(t.Device)
	if d == nil {
		return nil, &sipleg.Refusal{Status: 404, Cause: call.UnallocatedNumber, Warning: "device " + t.Device + " is not configured any more"}
	}
	b, ok := s.bindings.reach(s.now(), d.Name, t.Line.Number)
	if !ok {
		return nil, &sipleg.Refusal{Status: 480, Cause: call.SubscriberAbsent, Warning: "device " + d.Name + " is not registered"}
	}
	way := sipleg.Way{URI: b.contact.URI, Domain: st.Cluster().Domain, Profile: st.legs[d.Name]}
	way.To.Flow = b.flow
	return []sipleg.Way{way}, nil
}

// leg turns a refusal into the driver's words.
func (r *refusal) leg() *sipleg.Refusal {
	return &sipleg.Refusal{Status: r.status, Warning: r.why, Header: r.header}
}
