package call

import "time"

// A Request is what an application (CTI, contact centre, administration) asks of the engine. The Output of the Step that
// takes it carries a Reply with the same ID.
type Request interface {
	request()
}

// MakeCall rings the caller's device first, then routes Called as if it had been dialled there.
type MakeCall struct {
	Device string `json:"device"`
	// Line is the appearance of Device that calls; zero takes the device's first line.
	Line   LineID `json:"line,omitzero"`
	Called string `json:"called"`
	// Auto asks the device to answer by itself where it can; it has asked for the call, so it does so though it has another one.
	Auto bool `json:"auto,omitempty"`
	// From makes it a consultation: that active leg of the same device is put on hold first, and the new leg says so (LegView.Consults).
	From LegID `json:"from,omitempty"`
	// Confer says that a consultation is for a conference, not for a transfer: it changes what observers are told.
	Confer bool `json:"confer,omitempty"`
	// Tag is a name an application has given the call, see Named.
	Tag uint64 `json:"tag,omitempty"`
	// UserData is what the application says of the call to others (Named): at most MaxUserData octets, of which nothing is understood here.
	UserData []byte `json:"user_data,omitempty"`
}

// MaxUserData bounds what an application can say of a call, in octets.
const MaxUserData = 256

// AnswerCall has a leg that rings answer in the place of its phone. The Reply says that the phone was told; LegActive that it has answered.
// The leg rings on where the phone cannot be told, or does not listen.
type AnswerCall struct {
	Leg LegID `json:"leg"`
}

// AcceptCall has a leg in LegOffering ring: an application takes the call it was offered and has not answered yet. A leg that rings already
// is left as it is.
type AcceptCall struct {
	Leg LegID `json:"leg"`
}

// SendDigits lets the others of the call hear digits as if the leg's own phone had sent them, in order.
type SendDigits struct {
	Leg LegID `json:"leg"`
	// Digits are 0 to 9, *, # and A to D; at most 128.
	Digits string `json:"digits"`
	// Millis is how long each is held down; zero leaves it to whoever plays them.
	Millis int `json:"millis,omitempty"`
}

// Drop ends a leg, a party or a whole call: the most specific id that is set counts.
type Drop struct {
	Call  CallID  `json:"call,omitempty"`
	Party PartyID `json:"party,omitempty"`
	Leg   LegID   `json:"leg,omitempty"`
	Cause Cause   `json:"cause,omitempty"`
}

// Hold puts the far side of a leg on hold, as if the device had done so.
type Hold struct {
	Leg LegID `json:"leg"`
}

// Resume takes the call back from hold.
type Resume struct {
	Leg LegID `json:"leg"`
}

// Redirect sends the call of a ringing leg to another number (deflection), or the other party of an active leg's call, and the leg leaves.
// Nobody is dropped before the number is known to lead somewhere: a Reply with a cause leaves the call as it was.
type Redirect struct {
	Leg LegID  `json:"leg"`
	To  string `json:"to"`
	// Calling is the number shown to whoever is reached instead of the caller's own.
	Calling string `json:"calling,omitempty"`
	// Original says whom the call counts as having been for first, Preferred who that is with OriginalPreferred.
	Original  OriginalCalled `json:"original,omitempty"`
	Preferred string         `json:"preferred,omitempty"`
	// CallerSpace looks To up with what the caller may reach; else what the line that redirects may reach counts.
	CallerSpace bool `json:"caller_space,omitempty"`
	// Transfer has the redirection count as a transfer in one step, not as a deflection.
	Transfer bool `json:"transfer,omitempty"`
	// Unsaid says nothing of it to whoever is reached: that a program of ours has found the way is no diversion. Such redirections of one
	// call have no number that is too many.
	Unsaid bool `json:"unsaid,omitempty"`
	// Parameters are told to whoever is reached, see MaxParameters.
	Parameters string `json:"parameters,omitempty"`
}

// MaxParameters bounds Parameters, in octets. Parameters are those of a SIP URI as they are written there, escaped, each behind a semicolon
// (";voicexml=https://cs.example/1;aai=%7B%7D", RFC 5552, 2.1): they stand on the Request-URI of an INVITE, nothing in them is understood here.
const MaxParameters = 4096

// Deliver rings To for the caller of a call that talks, who goes on hearing whom it hears: the music of a voice browser. Whoever rings is
// heard by nobody and hears nobody. When it answers, Instead is released and the caller is connected with it by a new offer, without a mixer
// (event Delivered). When nobody answers, the call is as it was (event DeliverFailed, with the cause). To is looked up with what the caller
// may reach. The Reply has the party that rings. While one Deliver is under way another one of the call supersedes it: the first is
// cancelled (DeliverFailed, CallerCancelled), if the number of the second is one at all.
type Deliver struct {
	Call CallID `json:"call"`
	// Instead is the leg whose party is released for To; zero where the caller is alone (see SetGuard).
	Instead LegID  `json:"instead,omitempty"`
	To      string `json:"to"`
	// Calling is the number shown to To instead of the caller's own.
	Calling string `json:"calling,omitempty"`
	// NoAnswer is how long To may ring; zero takes what counts for its line or trunk.
	NoAnswer   time.Duration `json:"no_answer,omitempty"`
	Parameters string        `json:"parameters,omitempty"`
}

// CancelDeliver ends a Deliver that rings; the call is as it was before.
type CancelDeliver struct {
	Call CallID `json:"call"`
}

// SetGuard keeps the party of Leg, the caller, from being released because all others have left, have failed or could not be reached: it
// goes to To then (event Guarded, with the cause and the leg of the last who left), and hears Policy.Music until somebody answers there.
// What cannot be reached is tried again until the caller gives up. The guard goes where its party goes, and stays until it is set
// again; an empty To ends it. The caller's own end, and what an application or the longest duration ends, ends the call as ever.
type SetGuard struct {
	Call CallID `json:"call"`
	Leg  LegID  `json:"leg"`
	To   string `json:"to,omitempty"`
}

// Join rings To as a guest of a call in which at least two talk. When it answers it hears all of them, and with JoinTalk they hear it too
// (event Monitored or Attended); with JoinListen nobody hears it, and nobody is told of it but observers. It goes when it likes, and the
// call is then as it was; it goes when any of those it was let in to leaves, and keeps no call alive. To is looked up with what the first
// of the call may reach, and neither forwards nor redirections send it elsewhere. The Reply has the party that rings; JoinFailed says that
// it could not be reached, or would hear the call by a leg that is less protected than those of the call.
type Join struct {
	Call CallID `json:"call"`
	To   string `json:"to"`
	// Calling is the number shown to To instead of the first party's own.
	Calling string   `json:"calling,omitempty"`
	Mode    JoinMode `json:"mode,omitempty"`
	// NoAnswer is how long To may ring; zero takes what counts for its line or trunk.
	NoAnswer   time.Duration `json:"no_answer,omitempty"`
	Parameters string        `json:"parameters,omitempty"`
}

// A JoinMode says what a guest of a call may.
type JoinMode uint8

// The modes; the zero disturbs nobody.
const (
	JoinListen JoinMode = iota // hear everybody, heard by nobody (silent monitoring)
	JoinTalk                   // hear everybody, heard by everybody (barge)
)

var joinModeNames = [...]string{"listen", "talk"}

func (m JoinMode) String() string { return enumName(joinModeNames[:], int(m)) }

// MarshalText writes the name.
func (m JoinMode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the name.
func (m *JoinMode) UnmarshalText(b []byte) error {
	n, err := enumValue("mode of joining", joinModeNames[:], b)
	*m = JoinMode(n)
	return err
}

// An OriginalCalled says whom a redirected call counts as having been for first.
type OriginalCalled uint8

// The choices.
const (
	OriginalKept      OriginalCalled = iota // whom it was for before
	OriginalReset                           // whom it is redirected to: what came before is forgotten
	OriginalPreferred                       // Redirect.Preferred
)

var originalNames = [...]string{"kept", "reset", "preferred"}

func (o OriginalCalled) String() string { return enumName(originalNames[:], int(o)) }

// MarshalText writes the name.
func (o OriginalCalled) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads the name.
func (o *OriginalCalled) UnmarshalText(b []byte) error {
	n, err := enumValue("original called party", originalNames[:], b)
	*o = OriginalCalled(n)
	return err
}

// Transfer sends the party at the other end of Leg elsewhere: to a number (To), or into the call of With, another leg of the same user.
type Transfer struct {
	Leg  LegID  `json:"leg"`
	To   string `json:"to,omitempty"`
	With LegID  `json:"with,omitempty"`
}

// Conference joins the calls of a user's legs into one; Leg's call is the one that stays.
type Conference struct {
	Leg  LegID   `json:"leg"`
	With []LegID `json:"with"`
}

// Barge has a device that shares Line join the call that another appearance of the line has.
type Barge struct {
	Device string `json:"device"`
	Line   LineID `json:"line,omitzero"`
}

// TakeOver continues on Device a call that another appearance of Line holds (resume elsewhere).
type TakeOver struct {
	Device string `json:"device"`
	Line   LineID `json:"line,omitzero"`
}

// Park leaves the party at the other end of Leg at a park number: Slot, or a free one of the ranges the device may use.
type Park struct {
	Leg  LegID  `json:"leg"`
	Slot string `json:"slot,omitempty"`
}

// Retrieve has Device fetch the call parked at Slot.
type Retrieve struct {
	Device string `json:"device"`
	Line   LineID `json:"line,omitzero"`
	Slot   string `json:"slot"`
	// Tag is a name an application has given the call, see Named. The call that was parked has it from then on.
	Tag uint64 `json:"tag,omitempty"`
}

// Pickup has Device answer a call that rings elsewhere: at the number Ringing, in the pickup group Group, or, with neither, in the group
// of its own line.
type Pickup struct {
	Device  string `json:"device"`
	Line    LineID `json:"line,omitzero"`
	Group   string `json:"group,omitempty"`
	Ringing string `json:"ringing,omitempty"`
}

// SetForward makes or, with an empty To, ends a forward of a line. It overrides the configuration until it is set again.
type SetForward struct {
	Line LineID      `json:"line"`
	Kind ForwardKind `json:"kind"`
	Forward
	// Kept says that it was set before and is given back after a restart: whether it still leads anywhere shows when a call comes.
	Kept bool `json:"kept,omitempty"`
}

// SetDoNotDisturb turns do not disturb of a device on or off.
type SetDoNotDisturb struct {
	Device string `json:"device"`
	On     bool   `json:"on,omitempty"`
}

// SetPrivacy hides the calls of a device from those it shares lines with, or shows them.
type SetPrivacy struct {
	Device string `json:"device"`
	On     bool   `json:"on,omitempty"`
}

// SetHuntLogin has the lines of a device take part in hunting, or not.
type SetHuntLogin struct {
	Device string `json:"device"`
	On     bool   `json:"on,omitempty"`
}

func (Transfer) request()        {}
func (Conference) request()      {}
func (Barge) request()           {}
func (TakeOver) request()        {}
func (Park) request()            {}
func (Retrieve) request()        {}
func (Pickup) request()          {}
func (SetForward) request()      {}
func (SetDoNotDisturb) request() {}
func (SetPrivacy) request()      {}
func (SetHuntLogin) request()    {}

func (MakeCall) request()   {}
func (AnswerCall) request() {}
func (AcceptCall) request() {}
func (SendDigits) request() {}
func (Drop) request()       {}
func (Hold) request()       {}
func (Resume) request()     {}
func (Redirect) request()   {}

func (Deliver) request()       {}
func (CancelDeliver) request() {}
func (SetGuard) request()      {}
func (Join) request()          {}

// A Reply answers a Request. Cause is CauseNone when it was taken.
type Reply struct {
	ID   string `json:"id,omitempty"`
	Call CallID `json:"call,omitempty"`
	Leg  LegID  `json:"leg,omitempty"`
	// Party is who Deliver or Join has had rung.
	Party PartyID `json:"party,omitempty"`
	Cause Cause   `json:"cause,omitempty"`
	// Slot is where Park has parked the call.
	Slot string `json:"slot,omitempty"`
	// Why says in a sentence what was wrong; empty when the request was taken.
	Why string `json:"why,omitempty"`
}
