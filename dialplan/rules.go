package dialplan

import (
	"fmt"
	"strconv"
	"time"
)

// Rules are a dial plan as plain data. Compile makes a Plan of them.
type Rules struct {
	SearchSpaces []SearchSpace `json:"search_spaces,omitempty"`
	Patterns     []Pattern     `json:"patterns,omitempty"`
	// Schedules, and the partitions that have one: such a partition is searched only while its schedule is open.
	Schedules  []Schedule  `json:"schedules,omitempty"`
	Partitions []Partition `json:"partitions,omitempty"`
	// CallingNumbers and CalledNumbers are transformations, see Plan.CallingNumber.
	CallingNumbers []Transformation `json:"calling_numbers,omitempty"`
	CalledNumbers  []Transformation `json:"called_numbers,omitempty"`
}

// A SearchSpace is an ordered list of partitions.
type SearchSpace struct {
	Name       string   `json:"name"`
	Partitions []string `json:"partitions"`
}

// A Pattern says where matching digits lead.
type Pattern struct {
	// Digits is the pattern's text, see the package comment.
	Digits    string `json:"digits"`
	Partition string `json:"partition,omitempty"`
	Kind      Kind   `json:"kind"`
	// To is the name of what the pattern leads to (for ToFeature that of the feature: "pickup"). A directory number leads to the line
	// of its own Digits and Partition and leaves both fields empty; an alternate number of a line has the line's number here and
	// its partition in ToPartition.
	To          string `json:"to,omitempty"`
	ToPartition string `json:"to_partition,omitempty"`
	// Urgent ends digit collection on a match though longer strings could match.
	Urgent bool `json:"urgent,omitempty"`
	// Emergency makes the pattern win over everything else as soon as it matches: whatever other patterns say, whether or not its
	// partition's schedule is open and, for a Query that says so, whatever the search spaces. Trunk and route list patterns only.
	Emergency bool `json:"emergency,omitempty"`
	// KeepNumber leaves the caller's external mask (Query.ExternalMask) unused.
	KeepNumber bool `json:"keep_number,omitempty"`
	// SearchSpace is where a translation goes on; empty keeps the caller's.
	SearchSpace string `json:"search_space,omitempty"`
	// Called and Calling rewrite the numbers on the way through.
	Called  Transform `json:"called,omitzero"`
	Calling Transform `json:"calling,omitzero"`
	// Presentation says whether the other side may see the caller's number.
	Presentation Presentation `json:"presentation,omitempty"`
}

// A Presentation says whether the other side of a call may see the caller's number (RFC 3323, and Q.951.4, calling line
// identification restriction).
type Presentation uint8

// The default leaves it as the caller, or an earlier pattern, wants it.
const (
	PresentationDefault Presentation = iota
	PresentationAllowed
	PresentationRestricted
)

// A Kind says what a pattern leads to.
type Kind uint8

// Blocked is the zero: a pattern nobody thought about lets nothing through.
const (
	Blocked Kind = iota
	DirectoryNumber
	Translation
	ToTrunk
	ToRouteList
	ToApplet
	ToHunt    // a hunt pilot
	ToPark    // a park slot, or a range of them
	ToMeetMe  // a conference people dial into
	ToFeature // a feature access code: what stands behind the dot (Result.Rest) is its argument
)

// A Transform rewrites a number: first Discard, then Mask, then Prefix.
type Transform struct {
	// Discard cuts digits off the front: "" none, "predot" what the pattern matched before its dot, "all", or a count ("3"). "pound"
	// cuts a trailing # off the end, "predot pound" does both.
	Discard string `json:"discard,omitempty"`
	// Mask is laid over the number from the right: X keeps the digit, anything else replaces it; digits beyond the mask go.
	Mask string `json:"mask,omitempty"`
	// Prefix is put in front.
	Prefix string `json:"prefix,omitempty"`
}

// A Query asks where a number leads.
type Query struct {
	// SearchSpaces are looked through in order (line first, then device).
	SearchSpaces []string
	Called       string
	Calling      string
	// Complete says that no more digits will come (en bloc dialling).
	Complete bool
	// ExternalMask makes the number the caller shows outside: trunk and route list patterns lay it over Calling before their own
	// transformation.
	ExternalMask string
	// Emergency says that the caller reaches every emergency pattern, whatever the search spaces: a device of ours. Who comes in
	// on a trunk reaches those its search space leads to.
	Emergency bool
	// At is when the call is made, for partitions with a schedule, and Zone where the caller is.
	At   time.Time
	Zone Zone
}

// An Outcome says how a query ended.
type Outcome uint8

// The outcomes.
const (
	NoMatch    Outcome = iota // nothing matches, and nothing will
	MoreDigits                // more digits could match; when they do not come, ask again with Complete
	Match
	Rejected // a Blocked pattern won
	Loop     // translations went in a circle
)

// A Result is the answer to a Query.
type Result struct {
	Outcome Outcome
	// Pattern is the one that won last, nil for NoMatch and MoreDigits. It belongs to the plan.
	Pattern *Pattern
	// Called and Calling are the numbers after all transformations.
	Called  string
	Calling string
	// Rest is what the winning pattern matched behind its dot, before any transformation: the argument of a feature code. Empty
	// when the pattern has no dot.
	Rest string
	// Presentation is what the last pattern on the way said that said anything.
	Presentation Presentation
}

var kindNames = [...]string{"blocked", "directory-number", "translation", "trunk", "route-list", "applet",
	"hunt", "park", "meet-me", "feature"}

func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// MarshalText writes the name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *Kind) UnmarshalText(b []byte) error {
	for i, n := range kindNames {
		if n == string(b) {
			*k = Kind(i)
			return nil
		}
	}
	return fmt.Errorf("dialplan: %q is no kind of pattern; expected one of %q", b, kindNames)
}

var outcomeNames = [...]string{"no match", "more digits", "match", "rejected", "loop"}

func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "outcome " + strconv.Itoa(int(o))
}
