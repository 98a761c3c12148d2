package config

// RoutePattern sends dialled numbers to a trunk, a route list or an applet, or
// blocks them. Exactly one of trunk, routeList, applet and block is given.
//
// In a pattern 0-9, *, # and \+ stand for themselves, X for one digit, [2-9] and
// [^2-9] for one of a set, @ is not offered, ! for one digit or more, and a dot
// marks where discard pre-dot cuts.
type RoutePattern struct {
	// The pattern: 9.[2-9]XXX, \+!, 911.
	Pattern string `yaml:"pattern" json:"pattern"`
	// Partition of the pattern. Left out: everyone can reach it.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// SIP trunk to use.
	Trunk string `yaml:"trunk" json:"trunk,omitempty"`
	// Route list to use.
	RouteList string `yaml:"routeList" json:"routeList,omitempty"`
	// Applet to use.
	Applet string `yaml:"applet" json:"applet,omitempty"`
	// Refuse the call.
	Block bool `yaml:"block" json:"block,omitempty"`
	// Route at once when the pattern matches, although longer ones might still match. Takes effect where digits come one by
	// one; SIP phones of today send whole numbers.
	Urgent bool `yaml:"urgent" json:"urgent,omitempty"`
	// What becomes of the number and the caller's number.
	Transform `yaml:",inline"`
}

// TranslationPattern turns a dialled number into another one, which is looked
// up again in the pattern's calling search space.
type TranslationPattern struct {
	// The pattern, spelt as in route patterns.
	Pattern string `yaml:"pattern" json:"pattern"`
	// Partition of the pattern. Left out: everyone can reach it.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Calling search space of the second look-up. Left out: that of the caller.
	CallingSearchSpace string `yaml:"callingSearchSpace" json:"callingSearchSpace,omitempty"`
	// Refuse the call.
	Block bool `yaml:"block" json:"block,omitempty"`
	// Translate at once when the pattern matches, although longer ones might still match. Takes effect where digits come one
	// by one; SIP phones of today send whole numbers.
	Urgent bool `yaml:"urgent" json:"urgent,omitempty"`
	// What becomes of the number and the caller's number.
	Transform `yaml:",inline"`
}

// Transform rewrites the called and the calling number. The order is discard,
// mask, prefix, as in the field.
type Transform struct {
	// Digits to drop from the called number: those before the dot, a trailing #, both.
	Discard Discard `yaml:"discard" json:"discard,omitempty"`
	// Mask for the called number: X keeps a digit, others replace it, from the right.
	CalledMask string `yaml:"calledMask" json:"calledMask,omitempty"`
	// Digits put in front of the called number.
	Prefix string `yaml:"prefix" json:"prefix,omitempty"`
	// Mask for the caller's number.
	CallingMask string `yaml:"callingMask" json:"callingMask,omitempty"`
	// Digits put in front of the caller's number.
	CallingPrefix string `yaml:"callingPrefix" json:"callingPrefix,omitempty"`
	// Whether the other side may see the caller's number.
	CallingPresentation Presentation `yaml:"callingPresentation" json:"callingPresentation,omitempty"`
}

// RouteGroup is a set of trunks.
type RouteGroup struct {
	// Name of the group.
	Name string `yaml:"name" json:"name"`
	// Top-down: always from the first. Circular: each call starts one further.
	Distribution Distribution `yaml:"distribution" json:"distribution,omitempty"`
	// Names of trunks.
	Trunks []string `yaml:"trunks" json:"trunks"`
}

// RouteList is an ordered list of route groups: when a trunk fails with one of
// the failover causes the next is tried.
type RouteList struct {
	// Name of the list.
	Name string `yaml:"name" json:"name"`
	// Names of route groups.
	Groups []string `yaml:"groups" json:"groups"`
	// Q.850 causes that lead to the next trunk. Left out: 3, 27, 34, 38, 41, 42, 44, 47, 58 (no route, out of order, congestion). Busy (17), no answer (18, 19) and refusal (21) are the called party's word and best left alone.
	FailoverCauses []int `yaml:"failoverCauses" json:"failoverCauses,omitempty"`
}

// Applet is a built-in test number.
type Applet struct {
	// Name of the applet.
	Name string `yaml:"name" json:"name"`
	// What it does: echo the caller, play a tone, play music.
	Type AppletType `yaml:"type" json:"type,omitempty"`
	// Number to reach it. Left out: only by a route pattern.
	Number string `yaml:"number" json:"number,omitempty"`
	// Partition of the number. Left out: everyone can reach it.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// Frequency of the tone in hertz, 50 to 3400. Default: 1004.
	ToneHz int `yaml:"toneHz" json:"toneHz,omitempty"`
	// Source of the music. Left out: the one named default, else a built-in melody.
	MusicOnHold string `yaml:"musicOnHold" json:"musicOnHold,omitempty"`
}
