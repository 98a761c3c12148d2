package call

import (
	"slices"
	"time"

	"github.com/locktone/locktone/dialplan"
)

// A Site is everything an engine needs to know about the world, as plain data: the dial plan, lines, devices, trunks, route
// lists, policy. It becomes a Config by Compile and reaches the engine as an Input; calls that exist keep what they have.
type Site struct {
	// Node is the name of the node the engine runs at, and Nodes are those with a call manager, this one too, in the configured order, which
	// says who owns which park number and meet-me conference. Both are empty where there is one node.
	Node  string   `json:"node,omitempty"`
	Nodes []string `json:"nodes,omitempty"`
	// Incarnation is another text for every life of the node: global ids are made of it. Without one only calls with ties get any that their
	// caller did not bring.
	Incarnation string         `json:"incarnation,omitempty"`
	Plan        dialplan.Rules `json:"plan,omitzero"`
	Lines       []Line         `json:"lines,omitempty"`
	Devices     []Device       `json:"devices,omitempty"`
	Trunks      []Trunk        `json:"trunks,omitempty"`
	RouteLists  []RouteList    `json:"route_lists,omitempty"`
	Applets     []Applet       `json:"applets,omitempty"`
	Hunts       []Hunt         `json:"hunts,omitempty"`
	Parks       []ParkRange    `json:"parks,omitempty"`
	MeetMes     []MeetMe       `json:"meet_mes,omitempty"`
	// PickupGroups are those that lines may be in.
	PickupGroups []PickupGroup `json:"pickup_groups,omitempty"`
	Policy       Policy        `json:"policy,omitzero"`
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
	// Forwards are where the line's calls go instead, as configured; SetForward overrides them. The order is that of ForwardKind.
	Forwards Forwards `json:"forwards,omitzero"`
	// Voicemail is the number that reaches the line's mailbox system; empty is none.
	Voicemail string `json:"voicemail,omitempty"`
	// VoicemailSpace is the search space in which the mailbox system is looked up for a forward that names none; empty is the line's own.
	VoicemailSpace string `json:"voicemail_space,omitempty"`
	// Mailbox is the number the mailbox system knows the line by; empty is the line's own.
	Mailbox string `json:"mailbox,omitempty"`
	// PickupGroup is the name of the group that may answer the line's calls; empty is none. A number where groups are dialled.
	PickupGroup string `json:"pickup_group,omitempty"`
	// Music is the source that a party held by this line hears; empty takes the device's.
	Music string `json:"music,omitempty"`
	// AutoAnswer has the line's phones answer by themselves when somebody of this site calls.
	AutoAnswer bool `json:"auto_answer,omitempty"`
	// AutoAnswerOutside has them do so for callers on trunks too: whoever has the number can listen in.
	AutoAnswerOutside bool `json:"auto_answer_outside,omitempty"`
}

// identity is the line as others see it.
func (l *Line) identity() Identity { return Identity{Number: l.ID.Number, Display: l.Display} }

// appearance is the line's on a device, nil if it has none there.
func (l *Line) appearance(device string) *Appearance {
	for i := range l.Appearances {
		if l.Appearances[i].Device == device {
			return &l.Appearances[i]
		}
	}
	return nil
}

// A ForwardKind says which calls a forward is for.
type ForwardKind uint8

// The kinds, the most general first.
const (
	ForwardAll          ForwardKind = iota // every call, at once
	ForwardBusy                            // at the busy trigger, or the phone says it is busy
	ForwardNoAnswer                        // after the no-answer time
	ForwardUnregistered                    // no phone of the line can be reached
)

var forwardNames = [...]string{"all", "busy", "no-answer", "unregistered"}

func (k ForwardKind) String() string { return enumName(forwardNames[:], int(k)) }

// MarshalText writes the name.
func (k ForwardKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the name.
func (k *ForwardKind) UnmarshalText(b []byte) error {
	n, err := enumValue("kind of forward", forwardNames[:], b)
	*k = ForwardKind(n)
	return err
}

// A Forward says where calls go instead. The zero value forwards nothing.
type Forward struct {
	To string `json:"to,omitempty"`
	// Voicemail sends them to the line's mailbox, whatever To says.
	Voicemail bool `json:"voicemail,omitempty"`
	// SearchSpace decides what the forward may reach; empty takes the line's own.
	SearchSpace string `json:"search_space,omitempty"`
}

// Forwards are the forwards of a line by kind.
type Forwards [4]Forward

// A Hunt is a hunt pilot's list: groups of lines, one group after the other until somebody answers.
type Hunt struct {
	Name    string      `json:"name"`
	Display string      `json:"display,omitempty"`
	Groups  []HuntGroup `json:"groups"`
	// Longest is how long a caller is hunted for altogether; zero is as long as there are members.
	Longest time.Duration `json:"longest,omitempty"`
	// Final is where the call goes when nobody takes it; the zero value ends it with the last member's cause.
	Final Forward `json:"final,omitzero"`
}

// A HuntGroup is a line group.
type HuntGroup struct {
	Name  string    `json:"name"`
	Order HuntOrder `json:"order,omitempty"`
	Lines []LineID  `json:"lines"`
	// NoAnswer is how long one member rings (all of them, in a broadcast); zero takes 10 s.
	NoAnswer time.Duration `json:"no_answer,omitempty"`
}

// A HuntOrder says which member of a group rings first.
type HuntOrder uint8

// The orders.
const (
	HuntTopDown     HuntOrder = iota // always from the first
	HuntCircular                     // from the one after the member that had the last call
	HuntLongestIdle                  // who has been idle longest
	HuntBroadcast                    // all at once
)

var huntNames = [...]string{"top-down", "circular", "longest-idle", "broadcast"}

func (o HuntOrder) String() string { return enumName(huntNames[:], int(o)) }

// MarshalText writes the name.
func (o HuntOrder) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name.
func (o *HuntOrder) UnmarshalText(b []byte) error {
	n, err := enumValue("order of a hunt group", huntNames[:], b)
	*o = HuntOrder(n)
	return err
}

// A ParkRange is a set of park numbers. The dial plan leads to it by name (kind park): a call to one of its numbers fetches who is parked
// there, a transfer to one parks there.
type ParkRange struct {
	Name string `json:"name"`
	// Slots are the numbers, in the order in which free ones are taken.
	Slots []string `json:"slots"`
	// Reminder is how long a call waits before it rings its parker again; zero means 60 s.
	Reminder time.Duration `json:"reminder,omitempty"`
	// Reversion is where it rings instead of the parker.
	Reversion Forward `json:"reversion,omitzero"`
	// Directed says that calls are parked here only by number, never because it was free.
	Directed bool `json:"directed,omitempty"`
}

// A PickupGroup is a set of lines that may answer each other's calls; Line.PickupGroup says which lines.
type PickupGroup struct {
	Name string `json:"name"`
	// Number is the argument by which any phone that may dial the code of group-pickup answers this group's calls; empty keeps others out.
	Number string `json:"number,omitempty"`
	// Associated are the groups whose calls this one's lines may answer as well, in this order.
	Associated []string `json:"associated,omitempty"`
}

// A MeetMe is a conference that people dial into. The number dialled names the conference: one MeetMe may stand for a whole range.
type MeetMe struct {
	Name    string `json:"name"`
	Display string `json:"display,omitempty"`
	// Most is how many may take part; zero takes Policy.MaxParties.
	Most int `json:"most,omitempty"`
	// Least is the weakest lock state a participant's leg may have; zero is no limit.
	Least Lock `json:"least,omitempty"`
}

// Names of features that a number of the dial plan may lead to (kind feature). What the pattern matches behind its dot is the argument.
const (
	FeatureConference          = "conference"   // joins the calls the device has, held and active
	FeaturePark                = "park"         // parks the call the device holds
	FeaturePickup              = "pickup"       // answers what rings in the line's pickup group; argument: the line that rings
	FeatureGroupPickup         = "group-pickup" // argument: the group
	FeatureBarge               = "barge"
	FeatureTakeOver            = "take-over"   // resumes here what another appearance of the line holds
	FeatureForwardAll          = "forward-all" // argument: the number; none ends it
	FeatureForwardBusy         = "forward-busy"
	FeatureForwardNoAnswer     = "forward-no-answer"
	FeatureForwardUnregistered = "forward-unregistered"
	FeatureForwardOff          = "forward-off"    // ends all forwards
	FeatureDoNotDisturb        = "do-not-disturb" // toggles
	FeaturePrivacy             = "privacy"        // toggles
	FeatureHuntLogin           = "hunt-login"     // toggles
	FeatureVoicemail           = "voicemail"      // calls the line's mailbox
)

// featureNames are the names of the features that numbers may lead to.
var featureNames = [...]string{FeatureConference, FeaturePark, FeaturePickup, FeatureGroupPickup, FeatureBarge, FeatureTakeOver, FeatureForwardAll,
	FeatureForwardBusy, FeatureForwardNoAnswer, FeatureForwardUnregistered, FeatureForwardOff, FeatureDoNotDisturb, FeaturePrivacy, FeatureHuntLogin,
	FeatureVoicemail}

// FeatureNames are the names of the features that numbers of the dial plan may lead to.
func FeatureNames() []string { return slices.Clone(featureNames[:]) }

func isFeature(name string) bool { return slices.Contains(featureNames[:], name) }

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
	// AutoAnswer has this phone answer the line's calls by itself.
	AutoAnswer bool `json:"auto_answer,omitempty"`
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
	// DoNotDisturb says what a device does with calls while its user wants none.
	DoNotDisturb DNDOption `json:"do_not_disturb,omitempty"`
	// Pickups are the numbers whose ringing calls its busy lamps may take, whatever pickup groups say.
	Pickups []string `json:"pickups,omitempty"`
	// Private hides its calls from those it shares lines with until SetPrivacy says otherwise.
	Private bool `json:"private,omitempty"`
	// CallingSpace is the transformation search space of the calling numbers that the device is shown; empty shows them as they are.
	CallingSpace string `json:"calling_space,omitempty"`
	Place        Place  `json:"place,omitzero"`
	// Terminal says that it is no phone but belongs to an application: a CTI port or route point.
	Terminal bool `json:"terminal,omitempty"`
}

// A Place is what matters of where a device or trunk stands.
type Place struct {
	// Zone is the time zone of its clock, for partitions whose schedule has none of its own; none is UTC.
	Zone dialplan.Zone `json:"zone,omitzero"`
	// EmergencyNumber is the calling number of emergency calls from there: one that the emergency service can call back and knows the
	// address of (emergency location identification number). Empty leaves the caller's own.
	EmergencyNumber string `json:"emergency_number,omitempty"`
}

// A DNDOption is what do not disturb does.
type DNDOption uint8

// The options.
const (
	DNDReject  DNDOption = iota // callers hear busy (and busy forwards act)
	DNDSilence                  // calls are shown and do not ring
)

var dndNames = [...]string{"reject", "silence"}

func (o DNDOption) String() string { return enumName(dndNames[:], int(o)) }

// MarshalText writes the name.
func (o DNDOption) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name.
func (o *DNDOption) UnmarshalText(b []byte) error {
	n, err := enumValue("do-not-disturb option", dndNames[:], b)
	*o = DNDOption(n)
	return err
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
	// CalledSpace and CallingSpace are transformation search spaces of calls that go out; they act after all other transformations.
	CalledSpace  string `json:"called_space,omitempty"`
	CallingSpace string `json:"calling_space,omitempty"`
	// Incoming transforms the numbers of calls that come in, before anything else is done with them.
	Incoming IncomingNumbers `json:"incoming,omitzero"`
	Place    Place           `json:"place,omitzero"`
	// MaxCalls limits concurrent calls in both directions, zero is no limit. Emergency calls go out nevertheless.
	MaxCalls int `json:"max_calls,omitempty"`
	// NoAnswer is how long a call may ring at the far end; zero takes Policy.NoAnswer.
	NoAnswer time.Duration `json:"no_answer,omitempty"`
	// Music is the source that a party held by the far end hears; empty takes Policy.Music.
	Music string `json:"music,omitempty"`
}

// IncomingNumbers make what a peer sends into numbers of ours, by rule +E.164: first the transform, then the search space. The calling
// one is also applied to the connected number of calls that go out.
type IncomingNumbers struct {
	Called       dialplan.Transform `json:"called,omitzero"`
	Calling      dialplan.Transform `json:"calling,omitzero"`
	CalledSpace  string             `json:"called_space,omitempty"`
	CallingSpace string             `json:"calling_space,omitempty"`
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
	Trunk   string             `json:"trunk,omitempty"`
	Called  dialplan.Transform `json:"called,omitzero"`
	Calling dialplan.Transform `json:"calling,omitzero"`
	// Originator sends the call back out on the trunk on which its caller came in; Trunk is empty then.
	Originator bool `json:"originator,omitempty"`
	// Parameters are told to the far end, see MaxParameters.
	Parameters string `json:"parameters,omitempty"`
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
	// Mixed says what becomes of calls where one side must have SRTP and the other RTP. Anything but MixedRefuse is a named exception,
	// see `locktone show exceptions`.
	Mixed MixedPolicy `json:"mixed,omitempty"`
	// MaxParties limits conferences; zero means 64.
	MaxParties int `json:"max_parties,omitempty"`
	// ConferenceEnds says whose leaving ends a conference.
	ConferenceEnds ConferenceEnd `json:"conference_ends,omitempty"`
	// NoAnswer is how long a line rings; zero means 180 s (T301 of Q.931).
	NoAnswer time.Duration `json:"no_answer,omitempty"`
	// RouteTimeout is how long a trunk may stay silent (no ringing, no progress) before the next one of the list is tried; zero means 6 s.
	RouteTimeout time.Duration `json:"route_timeout,omitempty"`
	// MaxHops is the Max-Forwards of calls that start here; zero means 70 (RFC 3261, 8.1.1.6).
	MaxHops int `json:"max_hops,omitempty"`
	// MaxRedirections limits diversions and transfers behind one another; zero means 12.
	MaxRedirections int `json:"max_redirections,omitempty"`
	// BlockOffnetToOffnet refuses transfers that would connect two trunks.
	BlockOffnetToOffnet bool `json:"block_offnet_to_offnet,omitempty"`
	// NoRecall ends a call whose transfer has failed after the transferor was gone; else the transferor's line rings once more.
	NoRecall bool `json:"no_recall,omitempty"`
	// MaxReminders is how often somebody is reminded of a parked call before it is released; zero means 10.
	MaxReminders int `json:"max_reminders,omitempty"`
	// Music is the source a held party hears; empty means SourceMusic.
	Music string `json:"music,omitempty"`
	// MaxDuration ends a call that long after its first answer; zero means never.
	MaxDuration time.Duration `json:"max_duration,omitempty"`
	// MediaInactivity ends an answered call when no packet has come by here from any of its legs for that long, though all their media does and
	// should be heard; zero means never. The plane needs two seconds to notice, which come on top.
	MediaInactivity time.Duration `json:"media_inactivity,omitempty"`
}

// A MixedPolicy says what becomes of a call whose one side insists on SRTP and whose other side has none.
type MixedPolicy uint8

// The policies; the zero is the safe one.
const (
	MixedRefuse MixedPolicy = iota // the call fails with SecurityMismatch
	MixedWarn                      // it is converted here, and the protected side hears a warning tone
	MixedAnchor                    // it is converted here without a tone; the lock icon alone tells
)

var mixedNames = [...]string{"refuse", "warn", "anchor"}

func (p MixedPolicy) String() string { return enumName(mixedNames[:], int(p)) }

// MarshalText writes the name.
func (p MixedPolicy) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads the name.
func (p *MixedPolicy) UnmarshalText(b []byte) error {
	n, err := enumValue("policy for mixed calls", mixedNames[:], b)
	*p = MixedPolicy(n)
	return err
}
