package call

// A Signal is what a driver tells the engine. One Signal is about one leg, except DeviceState, TrunkState, DriverLost, NodeState
// and Elsewhere.
//
// A driver's promises: Setup is the first signal of a leg that comes in; Released is the last signal of any leg, and is
// sent exactly once, also after the engine's Release (there it may be missing, the engine has forgotten the leg already);
// every Ring is followed by Released or Answered, and every Reoffer by ReofferAnswered, ReofferRejected or Released
// (the protocol's own timers see to it).
type Signal interface {
	// SignalLeg is the leg the signal is about, zero where it is about none.
	SignalLeg() LegID
	signal()
}

// Setup: a leg comes in (INVITE). Exactly one of Device and Trunk is set.
type Setup struct {
	Leg    LegID  `json:"leg"`
	Device string `json:"device,omitempty"`
	// Line is the appearance of Device that calls; zero takes the device's first line.
	Line  LineID `json:"line,omitzero"`
	Trunk string `json:"trunk,omitempty"`
	// Called is what was dialled, en bloc, after URI unescaping: digits, *, #, + and A to D.
	Called string `json:"called"`
	// Calling is the verified identity where there is one. For a Device the engine uses the line's own number.
	Calling     Identity      `json:"calling,omitzero"`
	Redirecting []Redirection `json:"redirecting,omitempty"`
	// Desc is the offer, or KindNone for a late offer (INVITE without SDP).
	Desc Desc `json:"desc,omitzero"`
	// Replaces is the leg that this one takes the place of (RFC 3891), resolved by the driver from Call-ID and tags.
	Replaces LegID `json:"replaces,omitempty"`
	// Hops is Max-Forwards as received; a driver without such a field leaves it zero and the engine's maximum counts.
	Hops int `json:"hops,omitempty"`
	// NoHops says Max-Forwards was received as 0.
	NoHops bool `json:"no_hops,omitempty"`
	// GlobalID follows the call across nodes and services (RFC 7989 Session-ID); empty if the peer sent none.
	GlobalID string `json:"global_id,omitempty"`
	// Join is the leg whose call this one wants to join (RFC 3911), resolved by the driver like Replaces.
	Join LegID `json:"join,omitempty"`
	// Trust is how the peer proved who it is.
	Trust Trust `json:"trust,omitempty"`
	// Node is the node over whose tie the leg comes; empty for all others. At is then the Target of the Ring that was told there, without
	// its Node, and counts instead of Device, Line, Trunk, Called, Replaces and Join.
	Node string  `json:"node,omitempty"`
	At   *Target `json:"at,omitempty"`
	// Inside says of a tie that the caller is of this site, Lock how well what lies behind the tie is protected.
	Inside bool `json:"inside,omitempty"`
	Lock   Lock `json:"lock,omitempty"`
	// Owner is the node that has the leg of Replaces or Join; empty for this one.
	Owner string `json:"owner,omitempty"`
	// Far is the leg of a tie at Node, FarCall the call that was in when the tie began, and Tag that call's tag; zero where it is not known.
	Far     LegID  `json:"far,omitempty"`
	FarCall CallID `json:"far_call,omitempty"`
	Tag     uint64 `json:"tag,omitempty"`
	// Route is where the call goes, in this order, where the driver decides that and not the dial plan; RouteCauses lead to the next member,
	// none are those that say the network failed (Cause.Reroutes). Of calls on trunks only.
	Route       []RouteMember `json:"route,omitempty"`
	RouteCauses []Cause       `json:"route_causes,omitempty"`
	// Parameters are those of the Request-URI that mean nothing to SIP (RFC 5552), see MaxParameters. An applet that is reached is told them.
	Parameters string `json:"parameters,omitempty"`
}

// Alerting: the far end of an outgoing leg rings (180).
type Alerting struct {
	Leg       LegID    `json:"leg"`
	Connected Identity `json:"connected,omitzero"`
}

// Progressing: an outgoing leg has early media or makes progress without ringing (183). Desc is an early answer, an early
// offer is not supported (KindOffer is treated as KindNone).
type Progressing struct {
	Leg  LegID `json:"leg"`
	Desc Desc  `json:"desc,omitzero"`
}

// Answered: an outgoing leg was answered (200 to INVITE). Desc is the answer; or the offer, where Ring went out without
// one: the driver then holds the ACK back until Confirm brings the answer; or KindNone when an answer came before (100rel).
type Answered struct {
	Leg       LegID    `json:"leg"`
	Desc      Desc     `json:"desc,omitzero"`
	Connected Identity `json:"connected,omitzero"`
	// Trust is how the peer proved who it is.
	Trust Trust `json:"trust,omitempty"`
	// Lock is, for a tie, how well what lies behind it is protected, GlobalID the call in which the other node has the tie.
	Lock     Lock   `json:"lock,omitempty"`
	GlobalID string `json:"global_id,omitempty"`
}

// Confirmed: the ACK came for an Answer or AnswerReoffer that carried an offer; Desc is the answer. A driver sends it only then.
type Confirmed struct {
	Leg  LegID `json:"leg"`
	Desc Desc  `json:"desc,omitzero"`
}

// Reoffered: an established leg sends a new offer (re-INVITE or UPDATE with SDP), or asks for one (re-INVITE without SDP,
// KindNone). The driver keeps the transaction open until AnswerReoffer or RejectReoffer. A session refresh without SDP
// (UPDATE, RFC 4028) is answered by the driver alone.
type Reoffered struct {
	Leg  LegID `json:"leg"`
	Desc Desc  `json:"desc,omitzero"`
}

// ReofferAnswered: the Reoffer was accepted. Desc is the answer, or the offer where Reoffer carried none: the driver then
// holds the ACK back until Confirm brings the answer.
type ReofferAnswered struct {
	Leg  LegID `json:"leg"`
	Desc Desc  `json:"desc,omitzero"`
}

// ReofferRejected: the Reoffer was refused and the session goes on as it was (RFC 3261, 14.1). Cause RequestPending is a
// collision (491), also when the driver finds an unanswered Reoffered of its own on that leg: then the engine serves that one at once.
type ReofferRejected struct {
	Leg   LegID `json:"leg"`
	Cause Cause `json:"cause"`
}

// Digit: a DTMF digit was heard in signalling (INFO, KPML) or in a stream of ours. Direct media passes RFC 4733 events
// past the engine.
type Digit struct {
	Leg   LegID  `json:"leg"`
	Digit string `json:"digit"`
	// Millis is how long it was pressed, zero if not known.
	Millis int `json:"millis,omitempty"`
}

// TransferAsked: an established leg asks that the party at the other end be sent elsewhere (REFER). The driver has answered
// 202 and opened the implicit subscription; TransferResult brings its notifications.
type TransferAsked struct {
	Leg LegID `json:"leg"`
	// To is the number of Refer-To.
	To string `json:"to"`
	// Replaces is the leg of Refer-To's Replaces parameter (attended transfer); zero for a blind one.
	Replaces LegID `json:"replaces,omitempty"`
	// Unresolved says that Refer-To had a Replaces parameter that names no leg of this node.
	Unresolved bool `json:"unresolved,omitempty"`
}

// Released: the leg is over: BYE, CANCEL, an error response, a time-out, a lost connection.
type Released struct {
	Leg   LegID `json:"leg"`
	Cause Cause `json:"cause"`
	// ToNumber is where a 3xx answer wants the call to go; it is tried like a dialled number of the called line.
	ToNumber string `json:"to_number,omitempty"`
	// Why is the sentence of the other node's Release, for a tie.
	Why string `json:"why,omitempty"`
}

// Identified: at the far end of a tie is somebody else now; the other node's Identify.
type Identified struct {
	Leg       LegID    `json:"leg"`
	Connected Identity `json:"connected,omitzero"`
	// Inside says that it is somebody of this site, GlobalID in which call the other node has the tie now.
	Inside   bool   `json:"inside,omitempty"`
	GlobalID string `json:"global_id,omitempty"`
}

// LockShown: what lies behind a tie is protected otherwise than was said before; the other node's ShowLock.
type LockShown struct {
	Leg  LegID  `json:"leg"`
	Lock Lock   `json:"lock,omitempty"`
	Why  string `json:"why,omitempty"`
	// Via is by which calls that has come.
	Via Via `json:"via,omitempty"`
}

// Heard: what the last packets of a leg's media show has changed. The media plane says so, within two seconds, for media that comes
// by here.
type Heard struct {
	Leg   LegID  `json:"leg"`
	Proof Proof  `json:"proof,omitempty"`
	Why   string `json:"why,omitempty"`
}

// Measured: what the media of a leg was like; once at most, before its Released or the engine's Release is done.
type Measured struct {
	Leg     LegID   `json:"leg"`
	Quality Quality `json:"quality"`
}

// DeviceState: a device became reachable (registered) or unreachable. Devices start unreachable. A device is at one node at most: the
// last one that said it is up; another's word that it is not there counts for nothing.
type DeviceState struct {
	Device string `json:"device"`
	Up     bool   `json:"up"`
	// Node is where it is (or was) registered, empty for this node.
	Node string `json:"node,omitempty"`
	// Plain says, of a device that is here, that it has come without SRTP, whatever its policy: an application names with each registration
	// of a terminal what its media can do.
	Plain bool `json:"plain,omitempty"`
}

// TrunkState: a trunk came into or went out of service (OPTIONS). Trunks start in service here, and nowhere else.
type TrunkState struct {
	Trunk string `json:"trunk"`
	Up    bool   `json:"up"`
	// Node is where it is in service or not, empty for this node. A trunk may be in service at several nodes.
	Node string `json:"node,omitempty"`
}

// NodeState: another node of the cluster lives, or is lost. Nodes start lost. What a lost node had is gone: its devices and trunks cannot be
// reached, what it kept cannot be asked for, legs to it that ring or wait have failed. Legs that are active stay: media goes from phone
// to phone, and the driver says Released when the far end turns out to be gone.
type NodeState struct {
	Node string `json:"node"`
	Up   bool   `json:"up"`
}

// DriverLost: a driver is gone; all its legs are over. call/live sends it.
type DriverLost struct {
	Driver string `json:"driver"`
}

func (s Setup) SignalLeg() LegID           { return s.Leg }
func (s Alerting) SignalLeg() LegID        { return s.Leg }
func (s Progressing) SignalLeg() LegID     { return s.Leg }
func (s Answered) SignalLeg() LegID        { return s.Leg }
func (s Confirmed) SignalLeg() LegID       { return s.Leg }
func (s Reoffered) SignalLeg() LegID       { return s.Leg }
func (s ReofferAnswered) SignalLeg() LegID { return s.Leg }
func (s ReofferRejected) SignalLeg() LegID { return s.Leg }
func (s Digit) SignalLeg() LegID           { return s.Leg }
func (s TransferAsked) SignalLeg() LegID   { return s.Leg }
func (s Released) SignalLeg() LegID        { return s.Leg }
func (s Heard) SignalLeg() LegID           { return s.Leg }
func (s Measured) SignalLeg() LegID        { return s.Leg }
func (s DeviceState) SignalLeg() LegID     { return 0 }
func (s TrunkState) SignalLeg() LegID      { return 0 }
func (s DriverLost) SignalLeg() LegID      { return 0 }
func (s NodeState) SignalLeg() LegID       { return 0 }
func (s Elsewhere) SignalLeg() LegID       { return 0 }
func (s Identified) SignalLeg() LegID      { return s.Leg }
func (s LockShown) SignalLeg() LegID       { return s.Leg }

func (Setup) signal()           {}
func (Alerting) signal()        {}
func (Progressing) signal()     {}
func (Answered) signal()        {}
func (Confirmed) signal()       {}
func (Reoffered) signal()       {}
func (ReofferAnswered) signal() {}
func (ReofferRejected) signal() {}
func (Digit) signal()           {}
func (TransferAsked) signal()   {}
func (Released) signal()        {}
func (Heard) signal()           {}
func (Measured) signal()        {}
func (DeviceState) signal()     {}
func (TrunkState) signal()      {}
func (DriverLost) signal()      {}
func (NodeState) signal()       {}
func (Elsewhere) signal()       {}
func (Identified) signal()      {}
func (LockShown) signal()       {}
