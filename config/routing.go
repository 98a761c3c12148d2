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
	// An emergency number: as soon as it matches it wins over every other pattern; every phone reaches it, whatever its calling search
	// space, schedules, limits and media policies; no line can forward its calls to it. With trunk or routeList. For callers on a trunk
	// the trunk's calling search space must have the partition.
	Emergency bool `yaml:"emergency" json:"emergency,omitempty"`
	// Show the other side the caller's number inside, though the line has an external mask.
	IgnoreExternalMask bool `yaml:"ignoreExternalMask" json:"ignoreExternalMask,omitempty"`
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
	// What becomes of numbers where a group of the list is used, after the route pattern's own transformation.
	Details []RouteListDetail `yaml:"details" json:"details,omitempty"`
	// Q.850 causes that lead to the next trunk. Left out: 3, 27, 34, 38, 41, 42, 44, 47, 58 (no route, out of order, congestion). Busy (17), no answer (18, 19) and refusal (21) are the called party's word and best left alone.
	FailoverCauses []int `yaml:"failoverCauses" json:"failoverCauses,omitempty"`
}

// RouteListDetail says what becomes of numbers in one group of a route list.
type RouteListDetail struct {
	// Name of the route group, one of the list's.
	Group string `yaml:"group" json:"group"`
	// What becomes of the number and the caller's number.
	NumberChange `yaml:",inline"`
}

// NumberChange rewrites the called and the calling number outside of
// patterns. The order is strip, mask, prefix.
type NumberChange struct {
	// How many digits to drop from the front of the called number.
	CalledStrip int `yaml:"calledStrip" json:"calledStrip,omitempty"`
	// Mask for the called number: X keeps a digit, others replace it, from the right; XXXX keeps the last four.
	CalledMask string `yaml:"calledMask" json:"calledMask,omitempty"`
	// Digits put in front of the called number.
	CalledPrefix string `yaml:"calledPrefix" json:"calledPrefix,omitempty"`
	// How many digits to drop from the front of the caller's number.
	CallingStrip int `yaml:"callingStrip" json:"callingStrip,omitempty"`
	// Mask for the caller's number.
	CallingMask string `yaml:"callingMask" json:"callingMask,omitempty"`
	// Digits put in front of the caller's number.
	CallingPrefix string `yaml:"callingPrefix" json:"callingPrefix,omitempty"`
}

// TrunkNumbers say what becomes of numbers on a trunk, in one direction.
type TrunkNumbers struct {
	// What becomes of every number; it comes first.
	NumberChange `yaml:",inline"`
	// Calling search space of the called transformations that apply. Left out: none.
	CalledTransformationSearchSpace string `yaml:"calledTransformationSearchSpace" json:"calledTransformationSearchSpace,omitempty"`
	// Calling search space of the calling transformations that apply. Left out: none.
	CallingTransformationSearchSpace string `yaml:"callingTransformationSearchSpace" json:"callingTransformationSearchSpace,omitempty"`
}

// NumberTransformation says what becomes of the numbers that match a pattern.
type NumberTransformation struct {
	// The pattern, spelt as in route patterns.
	Pattern string `yaml:"pattern" json:"pattern"`
	// Partition of the pattern. Left out: in every transformation search space.
	Partition string `yaml:"partition" json:"partition,omitempty"`
	// For people.
	Description string `yaml:"description" json:"description,omitempty"`
	// Digits to drop: those before the dot, a trailing #, both.
	Discard Discard `yaml:"discard" json:"discard,omitempty"`
	// Mask: X keeps a digit, others replace it, from the right.
	Mask string `yaml:"mask" json:"mask,omitempty"`
	// Digits put in front.
	Prefix string `yaml:"prefix" json:"prefix,omitempty"`
}

// CallingTransformation rewrites calling numbers for the trunks and phones
// whose transformation search space has its partition: +4930555 becomes 0555
// on the trunk to the city's own network.
type CallingTransformation struct {
	// The numbers meant, and what becomes of them.
	NumberTransformation `yaml:",inline"`
	// Whether the other side may see the number.
	Presentation Presentation `yaml:"presentation" json:"presentation,omitempty"`
}

// CalledTransformation rewrites called numbers for the trunks whose
// transformation search space has its partition.
type CalledTransformation struct {
	// The numbers meant, and what becomes of them.
	NumberTransformation `yaml:",inline"`
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
