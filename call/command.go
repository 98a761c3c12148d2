package call

// A Command is what the engine tells a driver to do to one leg. Commands for one leg arrive in order. After Release no
// command for that leg follows.
type Command interface {
	// CommandLeg is the leg the command is for.
	CommandLeg() LegID
	command()
}

// Ring starts a leg (sends INVITE).
type Ring struct {
	Leg         LegID         `json:"leg"`
	Call        CallID        `json:"call"`
	Target      Target        `json:"target"`
	Calling     Identity      `json:"calling,omitzero"`
	Called      Identity      `json:"called,omitzero"`
	Redirecting []Redirection `json:"redirecting,omitempty"`
	// Hops is the Max-Forwards to send.
	Hops int `json:"hops,omitempty"`
	// Media is the offer; KindNone sends an INVITE without SDP.
	Media    Media  `json:"media,omitzero"`
	GlobalID string `json:"global_id,omitempty"`
	// AutoAnswer asks the phone to answer by itself (Call-Info answer-after=0, RFC 5373 in spirit).
	AutoAnswer bool `json:"auto_answer,omitempty"`
	// Lock is how well the call will be protected if this leg answers, as far as that is up to the call: the driver may know that its way
	// to the phone is weaker, and then tells the phone that. LockUnknown where it is not settled.
	Lock Lock `json:"lock,omitempty"`
	// Quiet asks the phone not to ring aloud (call waiting tone, do not disturb with the ringer off): Alert-Info.
	Quiet bool `json:"quiet,omitempty"`
	// Inside tells another node that the caller is of this site. Lock is then how well the caller's side alone is protected.
	Inside bool `json:"inside,omitempty"`
	// Tag is, for a tie, the tag of Call (Named).
	Tag uint64 `json:"tag,omitempty"`
	// Parameters stand on the Request-URI, or are told the applet, see MaxParameters.
	Parameters string `json:"parameters,omitempty"`
}

// AcceptNow tells the driver of a terminal that its application takes the call it was offered: its time to accept it is over, and the driver
// says Alerting. Only legs of devices with Terminal get it.
type AcceptNow struct {
	Leg LegID `json:"leg"`
}

// AnswerNow has a leg that rings answer in the place of its user: by a word to the phone where it listens to one (NOTIFY, Event: talk), else by
// ringing it once more with AutoAnswer. For the engine it stays the same leg, and rings on until Answered or Released.
type AnswerNow struct {
	Leg LegID `json:"leg"`
}

// Alert tells an incoming leg that the far end rings (180).
type Alert struct {
	Leg       LegID    `json:"leg"`
	Connected Identity `json:"connected,omitzero"`
}

// Progress gives an incoming leg early media (183 with an answer), or mere progress.
type Progress struct {
	Leg   LegID `json:"leg"`
	Media Media `json:"media,omitzero"`
}

// Answer answers an incoming leg (200 to INVITE). Media is the answer; the offer when Setup brought none (Confirmed then
// brings the answer); or KindNone when Progress carried the answer already: the driver repeats that description where the
// protocol wants one.
type Answer struct {
	Leg       LegID    `json:"leg"`
	Connected Identity `json:"connected,omitzero"`
	Media     Media    `json:"media,omitzero"`
	// Lock is how well the call is protected with this answer; of a tie, how well all of it is but the tie.
	Lock Lock `json:"lock,omitempty"`
	// GlobalID tells another node in which call the tie is here; ties only.
	GlobalID string `json:"global_id,omitempty"`
}

// Confirm ends a three-step exchange (ACK with the answer) after Answered or ReofferAnswered brought an offer.
type Confirm struct {
	Leg   LegID `json:"leg"`
	Media Media `json:"media,omitzero"`
}

// Reoffer sends a new offer on an established leg (re-INVITE), or asks for one (KindNone).
type Reoffer struct {
	Leg   LegID `json:"leg"`
	Media Media `json:"media,omitzero"`
}

// AnswerReoffer answers Reoffered (200 to re-INVITE or UPDATE). Media is the answer, or the offer when Reoffered brought none.
type AnswerReoffer struct {
	Leg   LegID `json:"leg"`
	Media Media `json:"media,omitzero"`
}

// RejectReoffer refuses Reoffered; the session goes on as it was.
type RejectReoffer struct {
	Leg   LegID `json:"leg"`
	Cause Cause `json:"cause"`
}

// Identify tells a leg that its far end is somebody else now (UPDATE or re-INVITE with P-Asserted-Identity, RFC 4916).
type Identify struct {
	Leg       LegID    `json:"leg"`
	Connected Identity `json:"connected"`
	// Lock is the lock state to show with it, where that has changed too.
	Lock Lock `json:"lock,omitempty"`
	// Inside tells another node that whoever is connected is of this site, GlobalID in which call the tie is here; ties only.
	Inside   bool   `json:"inside,omitempty"`
	GlobalID string `json:"global_id,omitempty"`
}

// SendDigit passes a digit on (INFO, or RFC 4733 on a stream of ours).
type SendDigit struct {
	Leg    LegID  `json:"leg"`
	Digit  string `json:"digit"`
	Millis int    `json:"millis,omitempty"`
}

// TransferResult reports how a transfer that the leg asked for goes (NOTIFY with message/sipfrag, RFC 3515, 2.4.5).
type TransferResult struct {
	Leg LegID `json:"leg"`
	// Status is the SIP status of the transfer so far: 100, 180, 200, or the failure.
	Status int `json:"status"`
	// Final ends the implicit subscription.
	Final bool `json:"final,omitempty"`
	// Why is the reason phrase where the status alone says too little ("Parked at 7001").
	Why string `json:"why,omitempty"`
}

// ShowLock tells a leg's phone how well its call is protected (Call-Info: <urn:x-cisco-remotecc:callinfo>;security=...), in a message that
// goes anyway or in an UPDATE. A driver without such a sign drops it. A tie tells another node by it how well the call is protected but for
// the tie itself.
type ShowLock struct {
	Leg        LegID      `json:"leg"`
	Protection Protection `json:"protection"`
	// Via is, over a tie, by which calls the word of a weak leg has come.
	Via Via `json:"via,omitempty"`
}

// Release ends a leg, whatever its state: BYE, CANCEL, an error response to INVITE; if a 200 to the INVITE is on its way the driver
// acknowledges it and sends BYE; an ACK that was held back for Confirm is sent first. The engine forgets the leg with this command.
type Release struct {
	Leg   LegID `json:"leg"`
	Cause Cause `json:"cause"`
	// Why is a sentence for the Warning or Reason header, empty where the cause says it all.
	Why string `json:"why,omitempty"`
	// ToNumber is, for a tie that waits for its answer, where the phone that rang wants the call to go (302): the other node sees to that.
	ToNumber string `json:"to_number,omitempty"`
}

func (c Ring) CommandLeg() LegID           { return c.Leg }
func (c AnswerNow) CommandLeg() LegID      { return c.Leg }
func (c AcceptNow) CommandLeg() LegID      { return c.Leg }
func (c Alert) CommandLeg() LegID          { return c.Leg }
func (c Progress) CommandLeg() LegID       { return c.Leg }
func (c Answer) CommandLeg() LegID         { return c.Leg }
func (c Confirm) CommandLeg() LegID        { return c.Leg }
func (c Reoffer) CommandLeg() LegID        { return c.Leg }
func (c AnswerReoffer) CommandLeg() LegID  { return c.Leg }
func (c RejectReoffer) CommandLeg() LegID  { return c.Leg }
func (c Identify) CommandLeg() LegID       { return c.Leg }
func (c SendDigit) CommandLeg() LegID      { return c.Leg }
func (c TransferResult) CommandLeg() LegID { return c.Leg }
func (c Release) CommandLeg() LegID        { return c.Leg }
func (c ShowLock) CommandLeg() LegID       { return c.Leg }

func (Ring) command()           {}
func (AnswerNow) command()      {}
func (AcceptNow) command()      {}
func (Alert) command()          {}
func (Progress) command()       {}
func (Answer) command()         {}
func (Confirm) command()        {}
func (Reoffer) command()        {}
func (AnswerReoffer) command()  {}
func (RejectReoffer) command()  {}
func (Identify) command()       {}
func (SendDigit) command()      {}
func (TransferResult) command() {}
func (Release) command()        {}
func (ShowLock) command()       {}
