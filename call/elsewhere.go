package call

import "strconv"

// Elsewhere: what a call at another node has that calls here may ask for (Target.Ask), or has no more (Gone). The service publishes what Facts
// says of each call here as facts of kind "call", and tells the engine those of others. Nothing is decided by them that two nodes could
// decide differently: they say whom to ask, and the owner answers.
type Elsewhere struct {
	// Node is the owner.
	Node  string `json:"node"`
	Thing Thing  `json:"thing"`
	// Number is the park number, the number of the meet-me conference, or what was dialled to reach the line that rings; Range is the park
	// range or the conference by its name in the site.
	Number string `json:"number,omitempty"`
	Range  string `json:"range,omitempty"`
	// Line and Device are whose leg Leg is: an id of the owner's engine. Of ThingParked and ThingRoom they are empty.
	Line   LineID `json:"line,omitzero"`
	Device string `json:"device,omitempty"`
	Leg    LegID  `json:"leg,omitempty"`
	Gone   bool   `json:"gone,omitempty"`
}

// A Thing is a kind of what a call has.
type Thing uint8

// The things. All but the first two are legs of devices at their node: they say whom to ask, and that the line is in use.
const (
	ThingNone    Thing = iota
	ThingParked        // somebody waits at a park number
	ThingRoom          // a meet-me conference is open
	ThingCalling       // the device calls, and waits for an answer
	ThingRinging       // the device rings (pickup)
	ThingActive        // it talks (barge)
	ThingHeld          // it holds its call (take over)
)

var thingNames = [...]string{"", "parked", "room", "calling", "ringing", "active", "held"}

func (t Thing) String() string { return enumName(thingNames[:], int(t)) }

// MarshalText writes the name.
func (t Thing) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads the name.
func (t *Thing) UnmarshalText(b []byte) error {
	n, err := enumValue("thing", thingNames[:], b)
	*t = Thing(n)
	return err
}

// Key is the key of the fact: what is told again under the same key replaces what was told before.
func (x Elsewhere) Key() string {
	switch x.Thing {
	case ThingParked, ThingRoom:
		return x.Thing.String() + "/" + x.Range + "/" + x.Number
	}
	return "leg/" + strconv.FormatUint(uint64(x.Leg), 10)
}

// Facts are what a call offers to other nodes, as its picture shows it: who waits at a park number, that it is a meet-me conference, and
// every leg of a device that is at this node. Legs to other nodes are those nodes' to tell.
func Facts(v *View) []Elsewhere {
	if v == nil || v.Ended {
		return nil
	}
	var out []Elsewhere
	if r := v.Room; r != nil {
		out = append(out, Elsewhere{Thing: ThingRoom, Range: r.Range, Number: r.Number})
	}
	for _, p := range v.Parties {
		if at := p.Parked; at != nil {
			out = append(out, Elsewhere{Thing: ThingParked, Range: at.Range, Number: at.Number})
		}
		for i := range p.Legs {
			l := &p.Legs[i]
			if t := l.thing(p); t != ThingNone {
				out = append(out, Elsewhere{Thing: t, Number: p.Called, Line: p.Line, Device: l.Device, Leg: l.ID})
			}
		}
	}
	return out
}

// thing is what a leg of a party is to other nodes.
func (l *LegView) thing(p *PartyView) Thing {
	switch {
	case l.Device == "" || l.Node != "" || p.Line.IsZero():
		return ThingNone
	case l.State == LegWaiting:
		return ThingCalling
	case l.State == LegOffering || l.State == LegIsRinging:
		return ThingRinging
	case l.State != LegIsActive || p.Parked != nil:
		return ThingNone
	case p.Held:
		return ThingHeld
	}
	return ThingActive
}
