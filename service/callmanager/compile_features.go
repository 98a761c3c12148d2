package callmanager

import (
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
)

// featurePatterns are the numbers that lead to features and park numbers. A code whose feature takes an argument stands for two
// patterns: the code alone, and the code with something behind it.
func featurePatterns(c *config.Site) (out []dialplan.Pattern) {
	for _, f := range c.FeatureCodes {
		p := dialplan.Pattern{Digits: f.Code, Partition: f.Partition, Kind: dialplan.ToFeature, To: f.Feature.String()}
		out = append(out, p)
		if f.Feature.TakesArgument() && !strings.ContainsAny(f.Code, ".!") {
			p.Digits += ".!"
			out = append(out, p)
		}
	}
	for _, p := range c.ParkNumbers {
		out = append(out, dialplan.Pattern{Digits: p.Pattern, Partition: p.Partition, Kind: dialplan.ToPark, To: p.Key()})
	}
	for _, m := range c.MeetMeNumbers {
		out = append(out, dialplan.Pattern{Digits: m.Pattern, Partition: m.Partition, Kind: dialplan.ToMeetMe, To: m.Key()})
	}
	return out
}

// policy is what holds for all calls of the cluster.
func policy(st *site) call.Policy {
	c := st.Cluster()
	out := call.Policy{MaxParties: c.ConferenceParties, BlockOffnetToOffnet: c.BlockOffnetToOffnet, NoRecall: c.NoTransferRecall, MaxReminders: c.ParkReminders}
	switch st.Cluster().MixedCalls {
	case config.MixedWarn:
		out.Mixed = call.MixedWarn
	case config.MixedAnchor:
		out.Mixed = call.MixedAnchor
	}
	switch st.Cluster().ConferenceEndsWith {
	case config.EndNobody:
		out.ConferenceEnds = call.EndWithNobody
	case config.EndController:
		out.ConferenceEnds = call.EndWithController
	}
	return out
}

func meetMes(c *config.Site) (out []call.MeetMe) {
	for _, m := range c.MeetMeNumbers {
		room := call.MeetMe{Name: m.Key(), Display: m.Display, Most: m.Most}
		switch m.MinimumSecurity {
		case config.MinimumAuthenticated:
			room.Least = call.LockAuthenticated
		case config.MinimumEncrypted:
			room.Least = call.LockEncrypted
		}
		out = append(out, room)
	}
	return out
}

func parks(c *config.Site) (out []call.ParkRange) {
	for _, p := range c.ParkNumbers {
		p = p.WithDefaults()
		out = append(out, call.ParkRange{Name: p.Key(), Slots: p.Numbers(), Reminder: p.Reminder.D(), Directed: p.Directed,
			Reversion: call.Forward{To: plainNumber(p.Reversion), SearchSpace: p.CallingSearchSpace}})
	}
	return out
}

func pickupGroups(c *config.Site) (out []call.PickupGroup) {
	for _, g := range c.PickupGroups {
		out = append(out, call.PickupGroup{Name: g.Name, Number: plainNumber(g.Number), Associated: g.Associated})
	}
	return out
}

// lampPickups are the numbers whose calls a device's busy lamps may take.
func lampPickups(buttons []config.Button) (out []string) {
	for _, b := range buttons {
		if b.Type == config.BusyLamp && b.Pickup {
			out = append(out, plainNumber(b.Number))
		}
	}
	return out
}
