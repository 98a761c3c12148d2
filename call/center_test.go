package call

import (
	"time"

	"github.com/locktone/locktone/dialplan"
)

// center is the site of a call server, as the golden scripts have it: trunks to a border element, to a voice browser, to a call manager with
// the agents' phones (95XX), to one that needs early offers (96XX), to one without SRTP (97XX), and a program of the call server's own, 9000,
// that is asked where calls go. 9800 is the browser, 9900 sends the call back to where it came from.
func center() Site {
	trunk := func(name string, media MediaPolicy) Trunk {
		return Trunk{Name: name, Driver: "trunk", SearchSpace: "all", Media: media}
	}
	secure := MediaPolicy{SRTP: SRTP}
	pattern := func(digits string, kind dialplan.Kind, to string) dialplan.Pattern {
		return dialplan.Pattern{Digits: digits, Partition: "out", Kind: kind, To: to}
	}
	return Site{
		Trunks: []Trunk{trunk("border", MediaPolicy{SRTP: SRTPOrRTP}), trunk("browser", secure), trunk("spare", secure), trunk("manager", secure),
			trunk("eager", MediaPolicy{SRTP: SRTP, EarlyOffer: true}), trunk("copper", MediaPolicy{SRTP: RTP})},
		Applets: []Applet{{Name: "router", Driver: "router"}},
		RouteLists: []RouteList{{Name: "browsers", Members: []RouteMember{{Trunk: "browser", Parameters: ";locale=en"}, {Trunk: "spare"}}},
			{Name: "back", Members: []RouteMember{{Originator: true, Called: dialplan.Transform{Prefix: "1"}}}}},
		Plan: dialplan.Rules{
			SearchSpaces: []dialplan.SearchSpace{{Name: "all", Partitions: []string{"out"}}},
			Patterns: []dialplan.Pattern{pattern("9000", dialplan.ToApplet, "router"), pattern("95XX", dialplan.ToTrunk, "manager"),
				pattern("96XX", dialplan.ToTrunk, "eager"), pattern("97XX", dialplan.ToTrunk, "copper"), pattern("9800", dialplan.ToRouteList, "browsers"),
				pattern("9900", dialplan.ToRouteList, "back")},
		},
		Policy: Policy{NoAnswer: 20 * time.Second},
	}
}
