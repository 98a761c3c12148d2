package callmanager

import (
	"strconv"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/dialplan"
)

// timesAndNumbers are the rules of a dial plan that lead nowhere themselves: schedules, and transformations of numbers.
func timesAndNumbers(c *config.Site) (out dialplan.Rules) {
	for _, s := range c.Schedules {
		out.Schedules = append(out.Schedules, schedule(s))
	}
	for _, p := range c.Partitions {
		if p.Schedule != "" {
			out.Partitions = append(out.Partitions, dialplan.Partition{Name: p.Name, Schedule: p.Schedule, Zone: zone(p.TimeZone)})
		}
	}
	for _, t := range c.CallingTransformations {
		n := transformation(t.NumberTransformation)
		n.Presentation = presentation(t.Presentation)
		out.CallingNumbers = append(out.CallingNumbers, n)
	}
	for _, t := range c.CalledTransformations {
		out.CalledNumbers = append(out.CalledNumbers, transformation(t.NumberTransformation))
	}
	return out
}

// schedule reads the spellings of a site, which was checked: none of them is at fault here.
func schedule(s config.Schedule) dialplan.Schedule {
	out := dialplan.Schedule{Name: s.Name}
	for _, p := range s.Periods {
		period := dialplan.Period{Closed: p.Closed}
		days, _ := p.WeekDays()
		first, last, _ := p.Range()
		period.Days, period.First, period.Last = dialplan.Days(days), dialplan.Date(first), dialplan.Date(last)
		period.From, period.To, _ = p.Minutes()
		out.Periods = append(out.Periods, period)
	}
	return out
}

// zone is a time zone of a site that was checked; none stays none.
func zone(name string) (z dialplan.Zone) {
	_ = z.UnmarshalText([]byte(name))
	return z
}

func place(p config.DevicePool) call.Place {
	return call.Place{Zone: zone(p.TimeZone), EmergencyNumber: p.EmergencyCallerNumber}
}

func transformation(t config.NumberTransformation) dialplan.Transformation {
	return dialplan.Transformation{Digits: t.Pattern, Partition: t.Partition, Change: dialplan.Transform{Discard: discard(t.Discard), Mask: t.Mask, Prefix: t.Prefix}}
}

func incoming(n config.TrunkNumbers) call.IncomingNumbers {
	return call.IncomingNumbers{Called: calledChange(n.NumberChange), Calling: callingChange(n.NumberChange),
		CalledSpace: n.CalledTransformationSearchSpace, CallingSpace: n.CallingTransformationSearchSpace}
}

func calledChange(n config.NumberChange) dialplan.Transform {
	return dialplan.Transform{Discard: strip(n.CalledStrip), Mask: n.CalledMask, Prefix: n.CalledPrefix}
}

func callingChange(n config.NumberChange) dialplan.Transform {
	return dialplan.Transform{Discard: strip(n.CallingStrip), Mask: n.CallingMask, Prefix: n.CallingPrefix}
}

func strip(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func discard(d config.Discard) string {
	switch d {
	case config.DiscardPreDot:
		return "predot"
	case config.DiscardTrailingPound:
		return "pound"
	case config.DiscardPreDotTrailingPound:
		return "predot pound"
	}
	return ""
}

func presentation(p config.Presentation) dialplan.Presentation {
	switch p {
	case config.PresentationAllowed:
		return dialplan.PresentationAllowed
	case config.PresentationRestricted:
		return dialplan.PresentationRestricted
	}
	return dialplan.PresentationDefault
}
