package call

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

// Redirect sends a ringing leg's call to another number (deflection).
type Redirect struct {
	Leg LegID  `json:"leg"`
	To  string `json:"to"`
}

func (MakeCall) request() {}
func (Drop) request()     {}
func (Hold) request()     {}
func (Resume) request()   {}
func (Redirect) request() {}

// A Reply answers a Request. Cause is CauseNone when it was taken.
type Reply struct {
	ID    string `json:"id,omitempty"`
	Call  CallID `json:"call,omitempty"`
	Leg   LegID  `json:"leg,omitempty"`
	Cause Cause  `json:"cause,omitempty"`
	// Why says in a sentence what was wrong; empty when the request was taken.
	Why string `json:"why,omitempty"`
}
