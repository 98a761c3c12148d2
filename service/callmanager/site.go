package callmanager

import (
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/directory"
	"github.com/locktone/locktone/leg/sipleg"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/transaction"
)

// A site is the operator's configuration as this service looks things up in it, immutable and replaced whole.
type site struct {
	*directory.Directory
	config   *config.Site
	byNumber map[string][]*directory.Device // by the number of a line they show, as it is dialled
	legs     map[string]*sipleg.Profile     // by device name
	trunks   map[string]*sipleg.Profile     // by trunk name

	recordings recordings

	byLine   map[call.LineID]*directory.Line
	compiled *call.Config             // what the engine works with
	accounts map[string][]call.LineID // lines by the number their voicemail system knows them by, where that is not their own
	private  map[string]bool          // devices that hide their calls, unless their users say otherwise
}

// take completes the site with what the engine works with.
func (s *site) take(c *call.Config) {
	s.compiled, s.private, s.accounts = c, map[string]bool{}, map[string][]call.LineID{}
	for _, l := range c.Site().Lines {
		if l.Mailbox != "" && l.Mailbox != l.ID.Number {
			s.accounts[l.Mailbox] = append(s.accounts[l.Mailbox], l.ID)
		}
	}
	for _, d := range c.Site().Devices {
		if d.Private {
			s.private[d.Name] = true
		}
	}
}

// lineID is how the engine calls a line.
func lineID(l *directory.Line) call.LineID {
	return call.LineID{Number: plainNumber(l.Number), Partition: l.Partition}
}

// shows says whether a device has the line.
func shows(d *directory.Device, id call.LineID) bool {
	return slices.ContainsFunc(d.Appearances, func(a *directory.Appearance) bool { return lineID(a.Line) == id })
}

func newSite(revision int64, c *config.Site) *site {
	s := &site{Directory: directory.Compile(revision, c), config: c, byNumber: map[string][]*directory.Device{},
		legs: map[string]*sipleg.Profile{}, trunks: map[string]*sipleg.Profile{}, byLine: map[call.LineID]*directory.Line{}}
	for _, d := range s.Devices() {
		leg := legProfile(d.Name, d.Security.DeviceSecurityMode, false, d.SIP)
		leg.Transfer, leg.Replaces, leg.SendAsserts = true, true, true
		s.legs[d.Name] = leg
		for _, n := range numbers(d) {
			s.byNumber[n] = append(s.byNumber[n], d)
		}
	}
	for _, l := range s.Lines() {
		s.byLine[lineID(l)] = l
	}
	for _, t := range s.Trunks() {
		leg := legProfile(t.Name, t.Security.DeviceSecurityMode, true, t.SIP)
		if !t.SRTPAllowed {
			leg.Media.Security = desc.Forbidden
		}
		leg.Transfer, leg.Replaces = t.Security.AcceptTransfer, t.Security.AcceptReplaces
		leg.TrustAsserts, leg.SendAsserts = t.Security.DeviceSecurityMode != config.NonSecure, true
		leg.Redirections, leg.Authorize = redirections(t), answersTo(t)
		leg.AuthorizeInClear = t.Security.DeviceSecurityMode == config.NonSecure
		s.trunks[t.Name] = leg
	}
	return s
}

// answersTo answers the digest challenges of a trunk's peer with the credentials it has given us; nil where there are none. Every challenge is
// answered for itself, so that nothing is shared between calls. The hashes are of one realm: no other has any use of them.
func answersTo(t *directory.Trunk) func(challenge, next *sip.Message) bool {
	user, realm, sha, md := t.DigestPassword.HA1()
	if user == "" {
		return nil
	}
	known := sip.Credentials{User: user, Realm: realm, AllowMD5: t.Security.DigestMD5,
		Hashes: map[sip.Algorithm]sip.Secret{sip.SHA256: sip.NewSecret(sha), sip.MD5: sip.NewSecret(md)}}
	return func(challenge, next *sip.Message) bool {
		d := sip.NewDigestClient(known)
		if d.Challenged(next, challenge) != nil {
			return false
		}
		d.Authorize(next)
		return true
	}
}

// redirections say how a trunk's peer is told which way calls came, and whether it is believed.
func redirections(t *directory.Trunk) sipleg.Redirections {
	how := t.SIP.RedirectingNumbers
	return sipleg.Redirections{Trusted: t.AcceptRedirectingNumbers, Party: sipleg.RedirectingParty(t.RedirectingParty),
		NoDiversion: how == config.RedirectingNone || how == config.RedirectingHistoryInfo,
		History:     how == config.RedirectingBoth || how == config.RedirectingHistoryInfo}
}

// legProfile is what the SIP driver must know. Keys in SDP need a signalling path that nobody else can read: only an
// encrypted device or trunk gets them; for a trunk they are allowed, for a device demanded.
func legProfile(name string, mode config.DeviceSecurityMode, trunk bool, p config.SIPProfile) *sipleg.Profile {
	out := &sipleg.Profile{Name: name, Timers: timersOf(p), Media: media.Profile{Anchor: p.MediaAnchor == config.AnchorAlways},
		Timer: dialog.TimerConfig{Off: p.SessionTimer.Disabled, Interval: p.SessionTimer.Expires.D(), Min: p.SessionTimer.Min.D()}}
	switch {
	case mode != config.Encrypted:
		out.Media.Security = desc.Forbidden
	case trunk:
		out.Media.Security = desc.Optional
	}
	switch p.SessionTimer.Refresher {
	case config.RefresherUAC:
		out.Timer.Prefer = dialog.RefresherUAC
	case config.RefresherUAS:
		out.Timer.Prefer = dialog.RefresherUAS
	}
	switch p.Rel1xx {
	case config.Rel1xxSDP:
		out.Reliable = dialog.ReliableSDP
	case config.Rel1xxAll:
		out.Reliable = dialog.ReliablePreferred
	}
	return out
}

// timersOf are the transaction timers of a SIP profile, nil where it has the usual ones: the endpoint's apply.
func timersOf(p config.SIPProfile) *transaction.Timers {
	usual := config.SIPProfile{}.WithDefaults().Timers
	if p.Timers.T1 == usual.T1 && p.Timers.T2 == usual.T2 {
		return nil
	}
	return &transaction.Timers{T1: p.Timers.T1.D(), T2: p.Timers.T2.D()}
}

// device finds a device by name; nil when there is none.
func (s *site) device(name string) *directory.Device {
	d, _ := s.Device(name)
	return d
}

// trunk finds a trunk by name; nil when there is none.
func (s *site) trunk(name string) *directory.Trunk {
	t, _ := s.Trunk(name)
	return t
}

// meant finds the devices a user part can mean: the device of that name, or those that show the number.
func (s *site) meant(user string) []*directory.Device {
	if d := s.device(user); d != nil {
		return []*directory.Device{d}
	}
	return s.byNumber[user]
}

// plainNumber is a directory number as it is dialled: without the backslash that a pattern needs before a plus sign.
func plainNumber(n string) string { return strings.ReplaceAll(n, `\`, "") }

// lineOf is the appearance of the device that a user part names; zero, which means the first, when it is the device's name.
func lineOf(d *directory.Device, user string) call.LineID {
	for _, a := range d.Lines {
		if plainNumber(a.Number) == user {
			return call.LineID{Number: user, Partition: a.Partition}
		}
	}
	return call.LineID{}
}

// numbers are the numbers of the device's lines.
func numbers(d *directory.Device) []string {
	var out []string
	for _, a := range d.Lines {
		out = append(out, plainNumber(a.Number))
	}
	return out
}

// lifetimesOf are the bounds of the device's registration.
func lifetimesOf(d *directory.Device) lifetimes {
	return lifetimes{least: min(d.SIP.RegisterMinExpires.D(), d.SIP.RegisterExpires.D()), most: max(d.SIP.RegisterExpires.D(), time.Second)}
}
