package callmanager

import (
	"cmp"
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/directory"
)

// Names under which the drivers of this service are attached to the engine.
const (
	driverSIP    = "sip"
	driverApplet = "applet"
	driverCTI    = "cti"
)

// compile turns the operator's site into what the engine works with: numbers into patterns, profiles into policy.
func compile(st *site) call.Site {
	out := call.Site{Plan: plan(st.config), Policy: policy(st)}
	for _, l := range st.Lines() {
		out.Lines = append(out.Lines, line(st.config, l))
	}
	for _, d := range st.Devices() {
		out.Devices = append(out.Devices, asTerminal(d, call.Device{Name: d.Name, Driver: driverSIP, SearchSpace: d.CallingSearchSpace, Music: holdMusic(d.Pool),
			CallingSpace: cmp.Or(d.CallingTransformationSearchSpace, d.Pool.CallingTransformationSearchSpace), Place: place(d.Pool),
			Pickups: lampPickups(d.Buttons), DoNotDisturb: dndOption(d.DoNotDisturb), Private: d.Private,
			Media: mediaPolicy(d.Security.DeviceSecurityMode, d.SIP)}))
	}
	for _, t := range st.Trunks() {
		out.Trunks = append(out.Trunks, trunkOf(t))
	}
	for _, l := range st.config.RouteLists {
		out.RouteLists = append(out.RouteLists, routeList(st.config, l))
	}
	out.Hunts = hunts(st.config)
	out.Parks, out.PickupGroups = parks(st.config), pickupGroups(st.config)
	out.MeetMes = meetMes(st.config)
	for _, a := range st.config.Applets {
		out.Applets = append(out.Applets, call.Applet{Name: a.Name, Driver: driverApplet})
	}
	return out
}

// asTerminal is a device as the engine sees it where it belongs to an application: what its media can do is known when it is registered.
func asTerminal(d *directory.Device, out call.Device) call.Device {
	if d.Protocol.Terminal() {
		out.Driver, out.Terminal, out.Media = driverCTI, true, call.MediaPolicy{SRTP: call.SRTPOrRTP}
	}
	return out
}

func line(c *config.Site, l *directory.Line) call.Line {
	out := call.Line{ID: call.LineID{Number: plainNumber(l.Number), Partition: l.Partition}, Display: l.Display, Alerting: l.AlertingName, SearchSpace: l.CallingSearchSpace,
		NoAnswer: l.NoAnswerTimeout.D(), ExternalMask: l.ExternalMask, PickupGroup: l.PickupGroup, Music: musicNamed(l.MusicOnHold)}
	forwardsOf(&out, c, l)
	for _, a := range l.Appearances {
		out.Appearances = append(out.Appearances, call.Appearance{Device: a.Device.Name, Index: a.Index, BusyTrigger: a.BusyTrigger, MaxCalls: a.MaxCalls, AutoAnswer: a.AutoAnswer})
	}
	return out
}

// mediaPolicy: an encrypted device takes SRTP and nothing else, the others RTP and nothing else.
func mediaPolicy(mode config.DeviceSecurityMode, p config.SIPProfile) call.MediaPolicy {
	out := call.MediaPolicy{SRTP: call.SRTP, Anchor: p.MediaAnchor == config.AnchorAlways, EarlyOffer: p.EarlyOffer == config.EarlyOfferMandatory}
	if mode != config.Encrypted {
		out.SRTP = call.RTP
	}
	return out
}

// trunkOf: "SRTP allowed" lets keys travel to the peer; whether a call needs them is the other end's word.
func trunkOf(t *directory.Trunk) call.Trunk {
	media := mediaPolicy(t.Security.DeviceSecurityMode, t.SIP)
	if media.SRTP = call.RTP; t.SRTPAllowed && t.Security.DeviceSecurityMode == config.Encrypted {
		media.SRTP = call.SRTPOrRTP
	}
	return call.Trunk{Name: t.Name, Driver: driverSIP, SearchSpace: t.CallingSearchSpace, Media: media, MaxCalls: t.MaxCalls,
		NoAnswer: t.SIP.Timers.InviteExpires.D(), Music: holdMusic(t.Pool), Place: place(t.Pool), Incoming: incoming(t.Incoming),
		Called: calledChange(t.Outgoing.NumberChange), Calling: callingChange(t.Outgoing.NumberChange),
		CalledSpace: t.Outgoing.CalledTransformationSearchSpace, CallingSpace: t.Outgoing.CallingTransformationSearchSpace}
}

// routeList flattens groups into the order in which trunks are tried.
func routeList(c *config.Site, l config.RouteList) call.RouteList {
	out := call.RouteList{Name: l.Name}
	for _, cause := range l.WithDefaults().FailoverCauses {
		out.Causes = append(out.Causes, call.CauseFromQ850(cause))
	}
	for _, name := range l.Groups {
		at := slices.IndexFunc(c.RouteGroups, func(g config.RouteGroup) bool { return g.Name == name })
		if at < 0 {
			continue // the site was checked; a name that fits nothing cannot be here
		}
		turns := ""
		if c.RouteGroups[at].Distribution == config.Circular {
			turns = name
		}
		var change config.NumberChange
		for _, d := range l.Details {
			if d.Group == name {
				change = d.NumberChange
			}
		}
		for _, t := range c.RouteGroups[at].Trunks {
			out.Members = append(out.Members, call.RouteMember{Trunk: t, Turns: turns, Called: calledChange(change), Calling: callingChange(change)})
		}
	}
	return out
}

// plan lists every number and pattern that can be dialled.
func plan(c *config.Site) dialplan.Rules {
	out := timesAndNumbers(c)
	for _, s := range c.CallingSearchSpaces {
		out.SearchSpaces = append(out.SearchSpaces, dialplan.SearchSpace{Name: s.Name, Partitions: s.Partitions})
	}
	for _, l := range c.Lines {
		out.Patterns = append(out.Patterns, dialplan.Pattern{Digits: l.Number, Partition: l.Partition, Kind: dialplan.DirectoryNumber})
		for _, digits := range l.AlternateDigits() {
			out.Patterns = append(out.Patterns, dialplan.Pattern{Digits: digits, Partition: l.AlternatesIn(), Kind: dialplan.DirectoryNumber,
				To: l.Number, ToPartition: l.Partition})
		}
	}
	for _, a := range c.Applets {
		if a.Number != "" {
			out.Patterns = append(out.Patterns, dialplan.Pattern{Digits: a.Number, Partition: a.Partition, Kind: dialplan.ToApplet, To: a.Name})
		}
	}
	for _, p := range c.RoutePatterns {
		out.Patterns = append(out.Patterns, routePattern(p))
	}
	for _, p := range c.TranslationPatterns {
		t := dialplan.Pattern{Digits: p.Pattern, Partition: p.Partition, Kind: dialplan.Translation, Urgent: p.Urgent, SearchSpace: p.CallingSearchSpace}
		if p.Block {
			t.Kind = dialplan.Blocked
		}
		transform(&t, p.Transform)
		out.Patterns = append(out.Patterns, t)
	}
	out.Patterns = append(out.Patterns, featurePatterns(c)...)
	out.Patterns = append(out.Patterns, huntPatterns(c)...)
	return out
}

func routePattern(p config.RoutePattern) dialplan.Pattern {
	out := dialplan.Pattern{Digits: p.Pattern, Partition: p.Partition, Urgent: p.Urgent, Emergency: p.Emergency, KeepNumber: p.IgnoreExternalMask}
	switch {
	case p.Block:
		out.Kind = dialplan.Blocked
	case p.Trunk != "":
		out.Kind, out.To = dialplan.ToTrunk, p.Trunk
	case p.RouteList != "":
		out.Kind, out.To = dialplan.ToRouteList, p.RouteList
	case p.Applet != "":
		out.Kind, out.To = dialplan.ToApplet, p.Applet
	}
	transform(&out, p.Transform)
	return out
}

func transform(p *dialplan.Pattern, t config.Transform) {
	p.Called = dialplan.Transform{Discard: discard(t.Discard), Mask: t.CalledMask, Prefix: t.Prefix}
	p.Calling = dialplan.Transform{Mask: t.CallingMask, Prefix: t.CallingPrefix}
	p.Presentation = presentation(t.CallingPresentation)
}
