package call

import (
	"time"

	"github.com/locktone/locktone/dialplan"
)

// A Site is everything an engine needs to know about the world, as plain data: the dial plan, lines, devices, trunks, route
// lists, policy. It becomes a Config by Compile and reaches the engine as an Input; calls that exist keep what they have.
type Site struct {
	Plan       dialplan.Rules `json:"plan,omitzero"`
	Lines      []Line         `json:"lines,omitempty"`
	Devices    []Device       `json:"devices,omitempty"`
	Trunks     []Trunk        `json:"trunks,omitempty"`
	RouteLists []RouteList    `json:"route_lists,omitempty"`
	Applets    []Applet       `json:"applets,omitempty"`
	Policy     Policy         `json:"policy,omitzero"`
}

// A Line is a directory number in a partition, with its appearances on devices.
type Line struct {
	ID      LineID `json:"id"`
	Display string `json:"display,omitempty"`
	// Alerting is the name a caller sees while the line rings; empty takes Display.
	Alerting string `json:"alerting,omitempty"`
	// SearchSpace is the line's calling search space; the device's comes after it.
	SearchSpace string `json:"search_space,omitempty"`
	// Appearances are the devices that ring, in order.
	Appearances []Appearance `json:"appearances,omitempty"`
	// NoAnswer is how long the line rings; zero takes Policy.NoAnswer.
	NoAnswer time.Duration `json:"no_answer,omitempty"`
	// ExternalMask makes the calling number for trunks out of the line's number ("+4930555XXXX").
	ExternalMask string `json:"external_mask,omitempty"`
}

// An Appearance puts a line on a device.
type Appearance struct {
	Device string `json:"device"`
	// Index is the button, counted from 1.
	Index int `json:"index,omitempty"`
	// Silent appearances do not ring (they show the line's state).
	Silent bool `json:"silent,omitempty"`
	// BusyTrigger is how many calls the appearance carries before the next one hears busy; zero means 2.
	BusyTrigger int `json:"busy_trigger,omitempty"`
	// MaxCalls is how many calls the appearance carries before it may begin no other; zero is no limit.
	MaxCalls int `json:"max_calls,omitempty"`
}

// A Device is a phone or port as the engine sees it.
type Device struct {
	Name string `json:"name"`
	// Driver carries the device's legs: the name a driver was attached with in call/live.
	Driver      string      `json:"driver"`
	SearchSpace string      `json:"search_space,omitempty"`
	Media       MediaPolicy `json:"media,omitzero"`
	// Music is the source that a party held by this device hears; empty takes Policy.Music.
	Music string `json:"music,omitempty"`
}

// A Trunk leads to another system.
type Trunk struct {
	Name   string `json:"name"`
	Driver string `json:"driver"`
	// SearchSpace decides what a call that comes in on the trunk may reach.
	SearchSpace string      `json:"search_space,omitempty"`
	Media       MediaPolicy `json:"media,omitzero"`
	// Called and Calling transform the numbers of calls that go out.
	Called  dialplan.Transform `json:"called,omitzero"`
	Calling dialplan.Transform `json:"calling,omitzero"`
	// MaxCalls limits concurrent calls in both directions, zero is no limit.
	MaxCalls int `json:"max_calls,omitempty"`
	// NoAnswer is how long a call may ring at the far end; zero takes Policy.NoAnswer.
	NoAnswer time.Duration `json:"no_answer,omitempty"`
	// Music is the source that a party held by the far end hears; empty takes Policy.Music.
	Music string `json:"music,omitempty"`
}

// MediaPolicy says what media a device or trunk can and must do.
type MediaPolicy struct {
	// SRTP: RTP means it must get plain RTP, SRTP that it accepts nothing else, SRTPOrRTP either, the zero counts as SRTP (an
	// encrypted device): the safe end.
	SRTP Security `json:"srtp,omitempty"`
	// Anchor always takes media through our relay (NAT, recording by policy).
	Anchor bool `json:"anchor,omitempty"`
	// EarlyOffer sends an offer in every INVITE, also when the caller gave none: the call is answered from a relay of ours.
	EarlyOffer bool `json:"early_offer,omitempty"`
}

// A RouteList names targets that are tried in order while causes say that the network failed.
type RouteList struct {
	Name    string        `json:"name"`
	Members []RouteMember `json:"members"`
	// Causes lead to the next member; empty means those that say the network failed (Cause.Reroutes).
	Causes []Cause `json:"causes,omitempty"`
}

// A RouteMember is one choice of a route list.
type RouteMember struct {
	Trunk   string             `json:"trunk"`
	Called  dialplan.Transform `json:"called,omitzero"`
	Calling dialplan.Transform `json:"calling,omitzero"`
	// Turns names a group of neighbouring members that take turns at being first, call by call; empty keeps the order.
	Turns string `json:"turns,omitempty"`
}

// An Applet is a program of ours that can be called.
type Applet struct {
	Name   string `json:"name"`
	Driver string `json:"driver"`
}

// Policy holds what is the same for all calls. The zero value is a good value.
type Policy struct {
	// AllowConversion lets a relay of ours convert between SRTP and RTP where the two sides of a call insist on different
	// ones. Off: such a call is refused with SecurityMismatch. A named exception, see `locktone show exceptions`.
	AllowConversion bool `json:"allow_conversion,omitempty"`
	// NoAnswer is how long a line rings; zero means 180 s (T301 of Q.931).
	NoAnswer time.Duration `json:"no_answer,omitempty"`
	// RouteTimeout is how long a trunk may stay silent (no ringing, no progress) before the next one of the list is tried; zero means 6 s.
	RouteTimeout time.Duration `json:"route_timeout,omitempty"`
	// MaxHops is the Max-Forwards of calls that start here; zero means 70 (RFC 3261, 8.1.1.6).
	MaxHops int `json:"max_hops,omitempty"`
	// MaxRedirections limits diversions and transfers behind one another; zero means 12.
	MaxRedirections int `json:"max_redirections,omitempty"`
	// Music is the source a held party hears; empty means SourceMusic.
	Music string `json:"music,omitempty"`
	// MaxDuration ends a call that long after its first answer; zero means never.
	MaxDuration time.Duration `json:"max_duration,omitempty"`
}
