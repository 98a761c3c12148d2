package callmanager

import (
	"cmp"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
	"github.com/locktone/locktone/directory"
)

// forwardsOf fills in what a line does with calls it does not take, and where its mailbox is.
func forwardsOf(out *call.Line, c *config.Site, l *directory.Line) {
	p := c.VoicemailOf(l.Line)
	if p.Pilot != "" {
		out.Voicemail, out.Mailbox = plainNumber(p.Pilot), p.Mailbox(l.Number)
	}
	for kind, f := range [...]config.Forward{call.ForwardAll: l.Forwards.All, call.ForwardBusy: l.Forwards.Busy,
		call.ForwardNoAnswer: l.Forwards.NoAnswer, call.ForwardUnregistered: l.Forwards.Unregistered} {
		out.Forwards[kind] = forwardTo(f, p)
	}
	out.VoicemailSpace = p.CallingSearchSpace
	out.AutoAnswer = l.AutoAnswer != config.AutoAnswerOff
	out.AutoAnswerOutside = l.AutoAnswer == config.AutoAnswerEveryone
}

func forwardTo(f config.Forward, p config.VoicemailProfile) call.Forward {
	out := call.Forward{To: plainNumber(f.To), Voicemail: f.Voicemail, SearchSpace: f.CallingSearchSpace}
	if f.Voicemail {
		out.SearchSpace = cmp.Or(f.CallingSearchSpace, p.CallingSearchSpace)
	}
	return out
}

func dndOption(o config.DNDOption) call.DNDOption {
	if o == config.RingerOff {
		return call.DNDSilence
	}
	return call.DNDReject
}

// hunts are the hunt pilots with their groups.
func hunts(c *config.Site) (out []call.Hunt) {
	voicemail := c.VoicemailOf(config.Line{})
	for _, p := range c.HuntPilots {
		h := call.Hunt{Name: p.Key(), Display: cmp.Or(p.Display, p.HuntList), Longest: p.MaximumHuntTimer.D(), Final: forwardTo(p.Forward, voicemail)}
		if p.Forward.Voicemail {
			h.Final.To = plainNumber(voicemail.Pilot)
		}
		for _, list := range c.HuntLists {
			if list.Name == p.HuntList {
				h.Groups = huntGroups(c, list)
			}
		}
		out = append(out, h)
	}
	return out
}

func huntGroups(c *config.Site, list config.HuntList) (out []call.HuntGroup) {
	for _, name := range list.LineGroups {
		for _, g := range c.LineGroups {
			if g.Name != name {
				continue
			}
			g = g.WithDefaults()
			group := call.HuntGroup{Name: g.Name, Order: call.HuntOrder(g.Distribution), NoAnswer: g.RingTimeout.D()}
			for _, m := range g.Members {
				group.Lines = append(group.Lines, call.LineID{Number: plainNumber(m.Number), Partition: m.Partition})
			}
			out = append(out, group)
		}
	}
	return out
}

// huntPatterns are the numbers of the hunt pilots.
func huntPatterns(c *config.Site) (out []dialplan.Pattern) {
	for _, p := range c.HuntPilots {
		out = append(out, dialplan.Pattern{Digits: p.Pattern, Partition: p.Partition, Kind: dialplan.ToHunt, To: p.Key()})
	}
	return out
}
