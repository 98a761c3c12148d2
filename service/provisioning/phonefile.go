package provisioning

import (
	"cmp"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/pki/capfprofile"
	"github.com/locktone/locktone/pki/lists"
	"github.com/locktone/locktone/wire/phonexml"
)

// surroundings are what a phone's configuration says besides the phone itself.
type surroundings struct {
	site    *config.Site
	members []lists.Member
	profile *capfprofile.Profile // of the phone; nil: it never had one
	now     time.Time
}

// Names of the services as members announce them; each is its package's Name.
const (
	callManager = "callmanager"
	capf        = "capf"
	tvs         = "tvs"
)

// standardPorts of the services whose port a site can choose.
var standardPorts = map[string]int{capf: 3804, tvs: 2445}

// member is the announcement of a service on a node.
func (s *surroundings) member(service, node string) (lists.Member, bool) {
	at := slices.IndexFunc(s.members, func(m lists.Member) bool { return m.Service == service && m.Node == node })
	if at < 0 {
		return lists.Member{}, false
	}
	return s.members[at], true
}

// host is how a phone is told to reach a member: its address, since a phone may have no name server; else its name.
func host(m lists.Member) string {
	for _, a := range m.Addresses {
		if a.IsValid() {
			return a.Unmap().String()
		}
	}
	return m.Host
}

// port is the port of capf or tvs on a node.
func (s *surroundings) port(service, node string) int {
	for _, n := range s.site.Nodes {
		for _, x := range n.Services {
			if n.Name == node && x.Service.String() == service && x.Port != 0 {
				return x.Port
			}
		}
	}
	return standardPorts[service]
}

// servers are the nodes that run a service, those of the phone's call-manager group first and in its order.
func (s *surroundings) servers(service string, group []string) []phonexml.Server {
	var out []phonexml.Server
	add := func(m lists.Member) {
		if x := (phonexml.Server{Host: host(m), Port: s.port(service, m.Node)}); len(out) < phonexml.MaxServers && !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	for _, node := range group {
		if m, ok := s.member(service, node); ok {
			add(m)
		}
	}
	for _, m := range s.members {
		if m.Service == service {
			add(m)
		}
	}
	return out
}

// callManagers are the members of a call-manager group, with the ports of a phone's profile.
func (s *surroundings) callManagers(group []string, p config.PhoneSecurityProfile, protocol config.Protocol) []phonexml.Member {
	var out []phonexml.Member
	for _, node := range group {
		m, ok := s.member(callManager, node)
		if !ok || len(out) == phonexml.MaxServers {
			continue
		}
		x := phonexml.Member{Host: host(m), SIPPort: 5060, SecureSIPPort: 5061}
		switch {
		case protocol == config.ProtocolSCCP:
			x = phonexml.Member{Host: x.Host, SCCPPort: phonexml.SCCPPort, SecureSCCPPort: phonexml.SecureSCCPPort}
		case p.Transport == config.TransportTLS:
			x.SecureSIPPort = p.IncomingPort
		default:
			x.SIPPort = p.IncomingPort
		}
		out = append(out, x)
	}
	return out
}

// phoneFile is the full configuration of a device. trouble says what the phone will miss, one sentence each.
func phoneFile(d *directory.Device, s *surroundings) (out *phonexml.Device, trouble []string, err error) {
	protocol := phonexml.SIPProtocol
	if d.Protocol == config.ProtocolSCCP {
		protocol = phonexml.SCCPProtocol
	}
	out = phonexml.New(protocol)
	out.Pool.GroupName = d.Pool.CallManagerGroup
	out.Pool.Members = s.callManagers(d.Nodes, d.Security, d.Protocol)
	out.Family = family(out.Pool.Members)
	zone, exact, _ := phonexml.TimeZone(cmp.Or(d.Pool.TimeZone, "UTC"), s.now.Year())
	out.Pool.TimeZone = zone
	if !exact {
		trouble = append(trouble, fmt.Sprintf("phones have no name for the time zone %s of device pool %s; they are told %s", d.Pool.TimeZone, d.Pool.Name, zone))
	}
	out.TVS = s.servers(tvs, d.Nodes)
	out.CAPF = s.servers(capf, d.Nodes)
	if s.profile != nil {
		out.CAPFAuthMode = phonexml.CAPFAuthMode(s.profile.AuthModeCode(s.now))
	}
	out.SecurityMode, out.Transport = securityMode(d.Security.DeviceSecurityMode), transport(d.Security.Transport, d.Protocol)
	out.OwnerID = d.Device.Owner
	out.MissedCalls = strings.Repeat("1", len(d.Appearances))
	if len(out.Pool.Members) == 0 {
		trouble = append(trouble, fmt.Sprintf("no node of call-manager group %s has a call manager that runs: the phone has nowhere to register", d.Pool.CallManagerGroup))
	}
	if protocol == phonexml.SIPProtocol {
		trouble = append(trouble, sipProfile(out.SIP, d)...)
	} else {
		out.Lines = sccpLines(d)
	}
	out.Version, err = phonexml.Stamp(out)
	return out, trouble, err
}

func family(members []phonexml.Member) phonexml.Family {
	var four, six bool
	for _, m := range members {
		if a, err := netip.ParseAddr(m.Host); err == nil && a.Is6() {
			six = true
		} else {
			four = true
		}
	}
	switch {
	case six && four:
		return phonexml.Both
	case six:
		return phonexml.IPv6
	}
	return phonexml.IPv4
}

func securityMode(m config.DeviceSecurityMode) phonexml.SecurityMode {
	switch m {
	case config.NonSecure:
		return phonexml.NonSecure
	case config.Authenticated:
		return phonexml.Authenticated
	}
	return phonexml.Encrypted
}

// transport is the number of a transport. A SIP phone that may use TCP and UDP is told TCP: requests grow beyond a datagram.
func transport(t config.Transport, p config.Protocol) phonexml.Transport {
	switch {
	case t == config.TransportTLS:
		return phonexml.TLS
	case t == config.TransportUDP:
		return phonexml.UDP
	case t == config.TransportTCPUDP && p == config.ProtocolSCCP:
		return phonexml.TCPAndUDP
	}
	return phonexml.TCP
}

func sipProfile(sip *phonexml.SIP, d *directory.Device) (trouble []string) {
	seconds := func(t config.Duration) string { return fmt.Sprint(int(time.Duration(t) / time.Second)) }
	millis := func(t config.Duration) string { return fmt.Sprint(int(time.Duration(t) / time.Millisecond)) }
	sip.Stack = sip.Stack.With("timerInviteExpires", seconds(d.SIP.Timers.InviteExpires)).With("timerRegisterExpires", seconds(d.SIP.RegisterExpires)).
		With("timerT1", millis(d.SIP.Timers.T1)).With("timerT2", millis(d.SIP.Timers.T2))
	sip.VoIPControlPort = 5060
	if d.Security.Transport == config.TransportTLS {
		sip.VoIPControlPort = 5061
	}
	label := d.Description
	for _, a := range d.Appearances {
		label = cmp.Or(label, a.Label)
		l := phonexml.NewLine(a.Index)
		l.Label, l.Name, l.Contact, l.DisplayName = cut(a.Label, phonexml.MaxLineText), a.Number, a.Number, cut(a.Line.Display, phonexml.MaxLineText)
		l.Port, l.Shared, l.MaxCalls, l.BusyTrigger, l.CallWaiting = d.Security.IncomingPort, a.Line.Shared(), a.MaxCalls, a.BusyTrigger, "0"
		if a.BusyTrigger > 1 {
			l.CallWaiting = "1"
		}
		if d.Security.DigestAuthentication && d.DigestUser != nil {
			l.AuthName = d.DigestUser.Name
		}
		policy := "3" // lamp and prompt
		if a.Line.MessageLamp == config.MessageLampNone {
			policy = "6" // neither
		}
		l.Settings = l.Settings.With("messageWaitingLampPolicy", policy)
		sip.Lines = append(sip.Lines, l)
	}
	for _, b := range d.Buttons {
		feature := phonexml.FeatureSpeedDial
		if b.Type == config.BusyLamp {
			feature = phonexml.FeatureBusyLamp
		}
		sip.Lines = append(sip.Lines, phonexml.NewButton(b.Index, feature, cut(b.Label, phonexml.MaxLineText), b.Number, b.Pickup))
	}
	sip.PhoneLabel = cut(label, phonexml.MaxPhoneLabel)
	if d.Security.DigestAuthentication {
		trouble = append(trouble, fmt.Sprintf("the profile of device %s asks for digest authentication, and the site keeps only hashes of passwords: the file names the user, the password must be keyed in on the phone", d.Name))
	}
	return trouble
}

func sccpLines(d *directory.Device) (out []phonexml.Line) {
	for _, a := range d.Appearances {
		out = append(out, phonexml.Line{Button: a.Index, Feature: phonexml.FeatureLine, Label: cut(a.Label, phonexml.MaxLineText),
			Name: a.Number, DisplayName: cut(a.Line.Display, phonexml.MaxLineText)})
	}
	return out
}

// cut shortens a text to n characters.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n])
	}
	return s
}

// protection is what is done with a phone's file besides signing it.
type protection uint8

const (
	signedOnly protection = iota
	encrypted             // to the phone's certificate
	enrolFirst            // the phone gets nothing but the way to CAPF
)

// protect decides how a device's file is protected. key and der are of the certificate it is encrypted to. why says in a sentence why
// a file that should be encrypted is not.
func protect(d *directory.Device, cluster config.SecurityMode, p *capfprofile.Profile, revoked bool) (how protection, key *rsa.PublicKey, der []byte, why string) {
	want := d.Security.TFTPEncryptedConfig
	if cluster == config.NonSecureCluster || want == config.EncryptOff {
		return signedOnly, nil, nil, ""
	}
	switch {
	case p == nil || p.LSC == nil:
	case revoked:
		why = fmt.Sprintf("the certificate of device %s was revoked: it must enrol again before anything is encrypted to it", d.Name)
	case len(p.LSC.DER) == 0:
		why = fmt.Sprintf("the certificate of device %s is known by its fingerprint only; it is known whole once the device has enrolled again", d.Name)
	default:
		c, err := x509.ParseCertificate(p.LSC.DER)
		if err != nil {
			why = fmt.Sprintf("the certificate of device %s cannot be read: %v", d.Name, err)
			break
		}
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok {
			return encrypted, key, c.Raw, ""
		}
		why = fmt.Sprintf("the certificate of device %s has an EC key, and files can be encrypted to RSA keys only: order an RSA key (keyOrder rsa-only)", d.Name)
	}
	if want == config.EncryptRequired {
		return enrolFirst, nil, nil, why
	}
	return signedOnly, nil, nil, why
}

// defaultFile is XMLDefault.cnf.xml: the call managers of the group called default, else of the first by name.
func defaultFile(s *surroundings) *phonexml.Default {
	var group config.CallManagerGroup
	for _, g := range s.site.CallManagerGroups {
		if g.Name == "default" || group.Name == "" || g.Name < group.Name && group.Name != "default" {
			group = g
		}
	}
	return &phonexml.Default{GroupName: group.Name, Members: both(s.callManagers(group.Nodes, config.PhoneSecurityProfile{}.WithDefaults(), config.ProtocolSIP))}
}

// both adds the ports of SCCP: who asks for this file has not said what it speaks.
func both(members []phonexml.Member) []phonexml.Member {
	for i := range members {
		members[i].SCCPPort, members[i].SecureSCCPPort = phonexml.SCCPPort, phonexml.SecureSCCPPort
	}
	return members
}
