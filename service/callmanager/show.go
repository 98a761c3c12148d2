package callmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/element"
	"github.com/locktone/locktone/pki"
)

// serve answers what operators ask over the bus.
func (s *Service) serve() (err error) {
	s.responders, err = s.cfg.Bus.Answer(Name, bus.Answers{Status: s.Status, Registrations: s.showRegistrations, Trunks: s.showTrunks, Connections: s.showConnections,
		Exceptions: s.showExceptions, Reset: s.reset, Dial: s.dial, Lines: s.showLines, SetForward: s.setForward, SetDevice: s.setDevice,
		Levels: s.cfg.Trace, Messages: s.showMessages, Subscriptions: s.showSubscriptions, SetMessages: s.setMessages, Drain: s.Drain})
	if err != nil {
		return err
	}
	if s.remote, err = s.host.Connect(s.cfg.Bus, Name); err != nil {
		return err
	}
	answers, err := bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, live.VerbKeys), s.serveKeys)
	if err != nil {
		return err
	}
	s.responders = append(s.responders, answers)
	if answers, err = bus.Serve(s.cfg.Bus, s.cfg.Bus.Subject(Name, live.VerbMedia), s.serveMedia); err != nil {
		return err
	}
	s.responders = append(s.responders, answers)
	return s.serveTerminals()
}

// Status is how the service is, and where it listens.
func (s *Service) Status(context.Context) bus.ServiceStatus {
	open, taken := s.el.Listening()
	st := bus.ServiceStatus{Node: s.cfg.Node, Service: Name, State: "ready", Addresses: open, Since: s.started.UTC(), PID: os.Getpid(),
		Version: s.cfg.Version, Revision: s.site.Load().Revision()}
	if len(taken) > 0 {
		st.Problem = "not listening on " + strings.Join(taken, ", ") + ": another program has the address (another site on this machine?)"
	}
	if text := s.site.Load().recordings.trouble(s.site.Load().config); text != "" {
		st.State, st.Problem = "degraded", text
	}
	if text := s.troubles.text(); text != "" {
		st.State, st.Problem = "degraded", text
	}
	text := strings.Join(s.groupTroubles(s.site.Load()), "; ")
	if d := s.drain.get(); d.State != "" {
		st.State, text = d.State, drainText(d)
	}
	if text != "" && st.Problem != "" {
		text = st.Problem + "; " + text
	}
	st.Problem = cmp.Or(text, st.Problem)
	return st
}

func (s *Service) showRegistrations(context.Context) ([]bus.Registration, error) {
	rows := []bus.Registration{}
	st := s.site.Load()
	seen := map[string]bool{}
	for _, b := range s.bindings.all() {
		seen[b.device] = true
		if d := st.device(b.device); d != nil {
			rows = append(rows, s.registrationRow(d, &b))
		}
	}
	for _, d := range st.Devices() {
		if _, here := s.terminals.get(d.Name); d.Protocol.Terminal() {
			if here || s.registeredAt(d.Name) == "" && s.speaksFor(st, d.Pool.CallManagerGroup) {
				rows = append(rows, s.terminalRow(d))
			}
			continue
		}
		if !seen[d.Name] && s.registeredAt(d.Name) == "" && s.speaksFor(st, d.Pool.CallManagerGroup) {
			rows = append(rows, bus.Registration{Node: s.cfg.Node, Device: d.Name, Model: d.Model, Lines: numbers(d), Protocol: "SIP",
				Mode: d.Security.DeviceSecurityMode.String(), State: "unregistered", Group: d.Pool.CallManagerGroup})
		}
	}
	for _, x := range s.rejected.all() {
		rows = append(rows, bus.Registration{Node: s.cfg.Node, Device: x.name, Protocol: "SIP", Remote: x.remote, State: "rejected", Since: x.at.UTC(), Reason: x.why})
	}
	slices.SortStableFunc(rows, func(a, b bus.Registration) int { return strings.Compare(a.Device+a.State, b.Device+b.State) })
	return rows, nil
}

func (s *Service) registrationRow(d *directory.Device, b *binding) bus.Registration {
	row := bus.Registration{Node: s.cfg.Node, Device: d.Name, Model: d.Model, Lines: numbers(d), Contact: b.contact.URI.String(), Remote: b.remote.String(),
		Local: b.flow.Local().String(), Protocol: "SIP", Mode: d.Security.DeviceSecurityMode.String(), State: "registered",
		Since: b.since.UTC(), Expires: b.expires.UTC(), Agent: b.agent, Flow: element.FlowName(b.flow.ID()),
		Group: d.Pool.CallManagerGroup, Rank: s.rank(d)}
	if r := element.ReportOf(b.flow); r != nil {
		leaf := r.Leaf()
		row.Subject, row.Issuer, row.Serial, row.CertificateEnds = leaf.Subject.String(), leaf.Issuer.String(), pki.RefOf(leaf).Serial, leaf.NotAfter.UTC()
		if row.Certificate = "LSC"; r.Entry == nil {
			row.Certificate = "MIC"
		}
	}
	return row
}

func (s *Service) showTrunks(ctx context.Context) ([]bus.TrunkState, error) {
	rows := s.el.Peers(ctx)
	for i := range rows {
		if t := s.site.Load().trunk(rows[i].Trunk); t != nil {
			rows[i].Mode, rows[i].SRTP = t.Security.DeviceSecurityMode.String(), t.SRTPAllowed
		}
	}
	slices.SortStableFunc(rows, func(a, b bus.TrunkState) int { return strings.Compare(a.Trunk, b.Trunk) })
	return rows, nil
}

func (s *Service) showConnections(context.Context) ([]bus.Connection, error) {
	return s.el.Connections(), nil
}

func (s *Service) showExceptions(context.Context) ([]bus.Exception, error) {
	rows := append(exceptions(s.cfg.Node, s.site.Load()), s.plainTerminals()...)
	for _, text := range s.cfg.Trace.Status().Exceptions() {
		rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: "node", Name: s.cfg.Node, Setting: "trace", Risk: text})
	}
	for _, weakness := range s.el.TLSPolicy().Weaknesses() {
		rows = append(rows, bus.Exception{Node: s.cfg.Node, Kind: "node", Name: s.cfg.Node, Setting: "tls", Value: weakness, Risk: "whoever has the log can read everything that was recorded of these connections"})
	}
	return rows, nil
}

// reset applies, restarts or resets a device or trunk, as the field's three buttons do.
func (s *Service) reset(_ context.Context, r bus.ResetRequest) (bus.ResetResult, error) {
	var out bus.ResetResult
	st := s.site.Load()
	switch {
	case r.Object == bus.ObjectDevice && st.device(r.Name) == nil, r.Object == bus.ObjectTrunk && st.trunk(r.Name) == nil:
		return out, &bus.Error{Code: bus.CodeNotFound, Message: fmt.Sprintf("no %s is called %s", r.Object, r.Name)}
	case r.Object != bus.ObjectDevice && r.Object != bus.ObjectTrunk:
		return out, &bus.Error{Code: bus.CodeInvalid, Message: fmt.Sprintf("object %q: want device or trunk", r.Object)}
	}
	s.note(r.Name, fmt.Sprintf("%s of %s %s asked by %s", r.Action, r.Object, r.Name, r.Actor))
	if r.Action == bus.ActionApply {
		out.Note = fmt.Sprintf("revision %d is in force; calls were not touched", st.Revision())
		for _, b := range s.bindings.all() {
			if r.Object == bus.ObjectDevice && b.device == r.Name {
				s.tell(b, r.Action)
			}
		}
		if r.Object == bus.ObjectTrunk {
			s.el.PingAgain()
		}
		return out, nil
	}
	if r.Object == bus.ObjectTrunk {
		s.el.PingAgain()
		if r.Action == bus.ActionReset {
			out.Connections = s.el.CloseConnections(r.Name, errors.New("trunk "+r.Name+" was reset by "+r.Actor))
		}
		return out, nil
	}
	for _, b := range s.bindings.all() {
		if b.device == r.Name {
			out.Registrations++
			s.tell(b, r.Action)
		}
	}
	s.unreachable(s.bindings.drop(s.now(), func(b *binding) bool { return b.device == r.Name }))
	if r.Action == bus.ActionReset {
		out.Connections = s.el.CloseConnections(r.Name, errors.New("device "+r.Name+" was reset by "+r.Actor))
	}
	out.Note = "the device was told; it registers again when it has heard, or notices"
	return out, nil
}

// exceptions lists everything in a configuration that is weaker than the defaults, with the profile it comes from.
func exceptions(node string, st *site) []bus.Exception {
	rows := []bus.Exception{}
	add := func(kind, name, setting, value, normal, from, risk string) {
		rows = append(rows, bus.Exception{Node: node, Kind: kind, Name: name, Setting: setting, Value: value, Default: normal, From: from, Risk: risk})
	}
	if st.Cluster().SecurityMode != config.Mixed {
		add("cluster", st.Cluster().Name, "securityMode", st.Cluster().SecurityMode.String(), config.Mixed.String(), "cluster "+st.Cluster().Name, "no device of the cluster is offered encryption")
	}
	if m := st.Cluster().MixedCalls; m != config.MixedRefuse {
		risk := "an encrypted device may be connected with one that takes plain RTP: half of such a call can be listened to, and the lock icon alone tells"
		if m == config.MixedWarn {
			risk = "an encrypted device may be connected with one that takes plain RTP: half of such a call can be listened to; who is protected hears a tone"
		}
		add("cluster", st.Cluster().Name, "mixedCalls", m.String(), config.MixedRefuse.String(), "", risk)
	}
	if e := st.Cluster().ConferenceEndsWith; e == config.EndNobody {
		add("cluster", st.Cluster().Name, "conferenceEndsWith", e.String(), config.EndLastInternal.String(), "", "two outside parties may go on talking through this site, at its cost, when nobody of it is left")
	}
	for _, d := range st.Devices() {
		p := d.Security
		from := "phone-security-profile " + orDefault(d.PhoneSecurityProfile)
		if d.Protocol.Terminal() {
			continue // what is weaker of it depends on how it is registered
		}
		weakMode(add, "device", d.Name, from, p.DeviceSecurityMode)
		if p.Certificate == config.CertificateLSCOrMIC {
			add("device", d.Name, "certificate", p.Certificate.String(), config.CertificateLSC.String(), from, "whoever trusted authorities for devices certified under this name is let in, though this cluster never enrolled it")
		}
		if p.DigestMD5 {
			add("device", d.Name, "digestMD5", "true", "false", from, "digest credentials are hashed with MD5, which can be broken by who sees one answer")
		}
	}
	for _, u := range st.Users() {
		for _, g := range u.Groups {
			if risk := groupRisk(u, g); risk != "" {
				add("user", u.Name, "groups", g.String(), "", "", risk)
			}
		}
		weakPolicy(add, u)
	}
	for _, l := range st.Lines() {
		if l.AutoAnswer == config.AutoAnswerEveryone {
			add("line", l.Key(), "autoAnswer", l.AutoAnswer.String(), config.AutoAnswerOff.String(), "", "whoever can call the number, from outside too, is heard and hears the room without anybody touching the phone")
		}
	}
	for _, t := range st.Trunks() {
		p := t.Security
		from := "sip-trunk-security-profile " + orDefault(t.SecurityProfile)
		weakMode(add, "sip-trunk", t.Name, from, p.DeviceSecurityMode)
		if p.DeviceSecurityMode == config.Encrypted && !t.SRTPAllowed {
			add("sip-trunk", t.Name, "srtpAllowed", "false", "true", "", "media on the trunk is plain RTP: whoever is on the way can listen")
		}
		if p.DigestMD5 {
			add("sip-trunk", t.Name, "digestMD5", "true", "false", from, "digest credentials are hashed with MD5, which can be broken by who sees one answer")
		}
	}
	return rows
}

// groupRisk is what a user's access control group lets it do beyond the control of its own devices.
func groupRisk(u *directory.User, g config.Group) string {
	switch g {
	case config.GroupCTISRTPKeys:
		if u.In(config.GroupCTIAllDevices) {
			return "the application is given the SRTP keys of all devices: who controls it can listen to every call"
		}
		return fmt.Sprintf("the application is given the SRTP keys of %d devices: who controls it can listen to their calls", len(u.Controls))
	case config.GroupCTIAllDevices:
		return "the application controls every device of the cluster that is not exempt by allowControlFromCTI: no"
	case config.GroupCTICallMonitoring:
		return "the application can let somebody listen to calls of its devices"
	}
	return ""
}

// weakPolicy lists what the credential policy of a user leaves open, at the user it does so for.
func weakPolicy(add func(kind, name, setting, value, normal, from, risk string), u *directory.User) {
	p, from := u.Policy, "credential-policy "+u.Policy.Name
	if p.UnlimitedFailedLogins {
		add("user", u.Name, "unlimitedFailedLogins", "true", "false", from, "the password can be guessed for as long as it takes")
	}
	if p.AllowTrivialPasswords {
		add("user", u.Name, "allowTrivialPasswords", "true", "false", from, "the password may be one that is tried first")
	}
	if p.DirectoryGrace > 0 && u.Authentication == config.AuthenticateLDAP {
		add("user", u.Name, "directoryGrace", p.DirectoryGrace.String(), "0s", from, "while the LDAP directory is away, a password changed or an account locked there since the last login is not noticed")
	}
}

func weakMode(add func(kind, name, setting, value, normal, from, risk string), kind, name, from string, mode config.DeviceSecurityMode) {
	switch mode {
	case config.Authenticated:
		add(kind, name, "deviceSecurityMode", mode.String(), config.Encrypted.String(), from, "signalling is protected, media is plain RTP: whoever is on the way can listen")
	case config.NonSecure:
		add(kind, name, "deviceSecurityMode", mode.String(), config.Encrypted.String(), from, "neither signalling nor media is protected, and no certificate says who it is")
	}
}
