package call

import (
	"cmp"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

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
	// Gone takes back what was said last; all else is as it was then.
	Gone bool `json:"gone,omitempty"`
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

// Offers are what the calls of an engine offer to other nodes. The zero value is ready.
type Offers struct {
	calls map[CallID][]Elsewhere
	now   map[offerKey]offer
	was   [][]Elsewhere // scratch space of Take
}

// An offerKey is what Key says, without a text to be made for it.
type offerKey struct {
	thing Thing // none for a leg
	at    Spot
	leg   LegID
}

func (x *Elsewhere) offerKey() offerKey {
	if x.Thing == ThingParked || x.Thing == ThingRoom {
		return offerKey{thing: x.Thing, at: Spot{x.Range, x.Number}}
	}
	return offerKey{leg: x.Leg}
}

// offer is what is offered under a key, and by which call: a leg moves from call to call.
type offer struct {
	thing Elsewhere
	call  CallID
}

// Note takes the events of a Step, in order, and returns what has changed by them: things that are new or other than before, and, with Gone
// set, those that are no more. To be told to the other nodes in that order.
func (o *Offers) Note(events []Event) (changes []Elsewhere) {
	for i := range events {
		if v := events[i].View; v != nil {
			changes = append(changes, o.Take(v)...)
		}
	}
	return changes
}

// Take takes pictures of calls, one for each, and returns what has changed by them, as Note does: first what is new, then what is no more,
// so that what has gone from one of the calls to another was never gone.
func (o *Offers) Take(views ...*View) (changes []Elsewhere) {
	if o.calls == nil {
		o.calls, o.now = map[CallID][]Elsewhere{}, map[offerKey]offer{}
	}
	o.was = o.was[:0]
	for _, v := range views {
		was, things := o.calls[v.ID], Facts(v)
		o.was = append(o.was, was)
		switch {
		case slices.Equal(was, things):
		case len(things) == 0:
			delete(o.calls, v.ID)
		default:
			o.calls[v.ID] = things
		}
		for i := range things {
			x := &things[i]
			switch old := o.now[x.offerKey()]; {
			case old.thing != *x:
				changes = append(changes, *x)
				fallthrough
			case old.call != v.ID:
				o.now[x.offerKey()] = offer{*x, v.ID}
			}
		}
	}
	for i, v := range views {
		things := o.calls[v.ID]
		for _, x := range o.was[i] {
			key := x.offerKey()
			if o.now[key].call == v.ID && !slices.ContainsFunc(things, func(y Elsewhere) bool { return y.offerKey() == key }) {
				delete(o.now, key)
				x.Gone = true
				changes = append(changes, x)
			}
		}
	}
	clear(o.was)
	return changes
}

// Only takes pictures of all calls there are: what others have offered is no more.
func (o *Offers) Only(views []*View) []Elsewhere {
	views = slices.Clone(views)
	for _, id := range slices.Sorted(maps.Keys(o.calls)) {
		if !slices.ContainsFunc(views, func(v *View) bool { return v.ID == id }) {
			views = append(views, &View{ID: id, Ended: true})
		}
	}
	return o.Take(views...)
}

// All are the things offered now, in the order of their keys.
func (o *Offers) All() []Elsewhere {
	out := make([]Elsewhere, 0, len(o.now))
	for _, x := range o.now {
		out = append(out, x.thing)
	}
	slices.SortFunc(out, func(a, b Elsewhere) int { return strings.Compare(a.Key(), b.Key()) })
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

// heard is a thing of another node, and when this engine heard of it first.
type heard struct {
	Elsewhere
	at time.Time
}

// afar are the things of other nodes.
type afar struct {
	lines map[LineID][]heard // legs of devices
	spots map[Spot][]heard   // who is parked, and conferences; the kind is looked at besides
}

// hear notes what another node says of a thing of its own.
func (e *Engine) hear(x Elsewhere) {
	now := heard{x, e.now}
	if x.Thing == ThingParked || x.Thing == ThingRoom {
		at := Spot{x.Range, x.Number}
		keep(e.afar.spots, at, now)
		return
	}
	was, known := keep(e.afar.lines, x.Line, now)
	if known && x.Gone && (was.Thing == ThingActive || was.Thing == ThingHeld) && e.config.members[x.Line] {
		e.line(x.Line).idle = e.now
	}
}

// keep enters a thing under a key, in the place of what was said of it before, or takes that out.
func keep[K comparable](all map[K][]heard, k K, x heard) (was heard, known bool) {
	list := all[k]
	i := slices.IndexFunc(list, func(o heard) bool { return o.Node == x.Node && o.Key() == x.Key() })
	if known = i >= 0; known {
		was = list[i]
		list = slices.Delete(list, i, i+1)
		if was.Thing == x.Thing {
			x.at = was.at
		}
	}
	if !x.Gone {
		list = append(list, x)
	}
	if all[k] = list; len(list) == 0 {
		delete(all, k)
	}
	return was, known
}

// forgetNode takes out what a node has said.
func (e *Engine) forgetNode(node string) {
	gone := func(x heard) bool { return x.Node == node }
	for id, list := range e.afar.lines {
		n := len(list)
		if list = slices.DeleteFunc(list, gone); len(list) == 0 {
			delete(e.afar.lines, id)
		} else {
			e.afar.lines[id] = list
		}
		if n != len(list) && e.config.members[id] {
			e.line(id).idle = e.now
		}
	}
	for at, list := range e.afar.spots {
		if list = slices.DeleteFunc(list, gone); len(list) == 0 {
			delete(e.afar.spots, at)
		} else {
			e.afar.spots[at] = list
		}
	}
}

// afarSpot is who is parked, or the conference, at a number of another node that lives; nil if there is none.
func (e *Engine) afarSpot(t Thing, at Spot) *heard {
	for i := range e.afar.spots[at] {
		if x := &e.afar.spots[at][i]; x.Thing == t && e.nodes[x.Node] {
			return x
		}
	}
	return nil
}

// afarLeg is the leg of a line on another device, at another node that lives, that is one of the things: the newest that was heard of.
func (e *Engine) afarLeg(line LineID, but string, things ...Thing) (found *heard) {
	for i := range e.afar.lines[line] {
		if x := &e.afar.lines[line][i]; x.Device != but && e.nodes[x.Node] && slices.Contains(things, x.Thing) {
			found = x
		}
	}
	return found
}

// afarOwned is a leg of another node by its id; nil if that node has not told of it.
func (e *Engine) afarOwned(node string, id LegID) *heard {
	for _, list := range e.afar.lines {
		for i := range list {
			if list[i].Node == node && list[i].Leg == id {
				return &list[i]
			}
		}
	}
	return nil
}

// afarRinging is the leg of another node that has rung longest, as far as is known here, of those that fit.
func (e *Engine) afarRinging(l *Leg, fits func(LineID, string) bool) (found *heard) {
	for id, list := range e.afar.lines {
		for i := range list {
			x := &list[i]
			if x.Thing == ThingRinging && x.Device != l.device && e.nodes[x.Node] && fits(id, x.Number) && (found == nil || x.before(found)) {
				found = x
			}
		}
	}
	return found
}

// before orders things by when they were heard of, and those of one moment by whose they are: the same everywhere, whatever the map's order.
func (x *heard) before(o *heard) bool {
	if !x.at.Equal(o.at) {
		return x.at.Before(o.at)
	}
	return cmp.Or(cmp.Compare(x.Node, o.Node), cmp.Compare(x.Leg, o.Leg)) < 0
}

// owner is the node that keeps the n-th of a list of spots: the configured nodes in turn. Free park numbers are taken by their owner alone,
// so that no two nodes can take the same one, whatever they know of each other.
func (c *Config) owner(n int) string {
	if len(c.site.Nodes) == 0 {
		return c.site.Node
	}
	return c.site.Nodes[n%len(c.site.Nodes)]
}

// slotOwner is the node that keeps a park number.
func (c *Config) slotOwner(at slot) string {
	if r := c.parks[at.park]; r != nil {
		return c.owner(max(slices.Index(r.Slots, at.number), 0))
	}
	return c.site.Node
}

// roomOwner is the node that opens a meet-me conference: the configured nodes by a sum of its name, the next one that lives where that is lost.
func (e *Engine) roomOwner(key string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	first := int(h.Sum32() >> 1)
	for i := range max(len(e.config.site.Nodes), 1) {
		if node := e.config.owner(first + i); node == e.config.site.Node || e.nodes[node] {
			return node
		}
	}
	return e.config.site.Node
}
