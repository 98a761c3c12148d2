package call

import (
	"maps"
	"slices"
)

// Clone is a copy of the engine as it is now. It shares with e only what nobody changes once it is made: the configuration, pictures (View,
// PartyView), and lists that are replaced as a whole. Nobody audits it. It must not be called while a Step runs.
//
// Calls, parties, legs and hunts lead to each other in circles, so the cloner remembers which copy stands for which original. Every method
// copies the struct and then mends what in it leads to something that changes; a new field of that kind needs a line here, and
// TestCloneIsACopy names the one that was forgotten.
func (e *Engine) Clone() *Engine {
	n := new(Engine)
	*n = *e
	c := cloner{timers: make(timers, len(e.timers)), calls: make(map[*Call]*Call, len(e.calls)), parties: make(map[*Party]*Party, len(e.legs)),
		legs: make(map[*Leg]*Leg, len(e.legs)), hunts: map[*hunt]*hunt{}}
	n.calls = values(e.calls, c.call)
	n.rooms = values(e.rooms, c.call)
	n.slots = values(e.slots, c.party)
	n.legs = values(e.legs, c.leg)
	n.devices = values(e.devices, c.device)
	n.lines = values(e.lines, (*lineState).clone)
	n.trunks = values(e.trunks, (*trunkState).clone)
	n.hunted, n.turns = maps.Clone(e.hunted), maps.Clone(e.turns)
	n.timers = c.timers
	n.nodes = maps.Clone(e.nodes)
	n.afar = e.afar.clone()
	n.touched, n.out, n.audit = nil, Output{}, nil
	n.teller = e.teller.clone()
	return n
}

// cloner makes one copy of an engine.
type cloner struct {
	timers  timers // the copy's heap
	calls   map[*Call]*Call
	parties map[*Party]*Party
	legs    map[*Leg]*Leg
	hunts   map[*hunt]*hunt
}

// values is a map with copies of the values; their order does not matter, since each is copied once.
func values[K comparable, V any](from map[K]*V, copied func(*V) *V) map[K]*V {
	to := make(map[K]*V, len(from))
	for k, v := range from {
		to[k] = copied(v)
	}
	return to
}

// each is a list with copies of the items.
func each[T any](from []*T, copied func(*T) *T) []*T {
	if from == nil {
		return nil
	}
	to := make([]*T, len(from))
	for i, v := range from {
		to[i] = copied(v)
	}
	return to
}

func (c *cloner) call(o *Call) *Call {
	if o == nil {
		return nil
	}
	if n := c.calls[o]; n != nil {
		return n
	}
	n := new(Call)
	*n = *o
	c.calls[o] = n
	n.parties = each(o.parties, c.party)
	n.left = slices.Clone(o.left)
	n.flight.from, n.flight.to = c.leg(o.flight.from), c.leg(o.flight.to)
	n.retry, n.silent = c.ownTimer(o.retry), c.ownTimer(o.silent)
	c.timer(&n.duration)
	n.room = o.room.clone()
	if o.delivery != nil {
		n.delivery = &delivery{o.delivery.party, c.leg(o.delivery.instead), c.leg(o.delivery.by)}
	}
	return n
}

func (c *cloner) party(o *Party) *Party {
	if o == nil {
		return nil
	}
	if n := c.parties[o]; n != nil {
		return n
	}
	n := new(Party)
	*n = *o
	c.parties[o] = n
	n.call = c.call(o.call)
	n.legs = each(o.legs, c.leg)
	n.offering = c.offering(o.offering)
	n.stay = c.stay(o.stay)
	n.errand = o.errand.clone()
	n.guard = c.guard(o.guard)
	return n
}

func (c *cloner) leg(o *Leg) *Leg {
	if o == nil {
		return nil
	}
	if n := c.legs[o]; n != nil {
		return n
	}
	n := new(Leg)
	*n = *o
	c.legs[o] = n
	n.party = c.party(o.party)
	n.replaces = c.leg(o.replaces)
	n.retry = c.retry(o.retry)
	n.tie = o.tie.clone()
	n.silence = c.ownTimer(o.silence)
	n.rare = o.rare.clone()
	return n
}

// timer mends a timer that was copied with what it is part of, and puts it into its place in the heap.
func (c *cloner) timer(t *timer) {
	t.call, t.party = c.call(t.call), c.party(t.party)
	if t.running() {
		c.timers[t.index-1] = t
	}
}

// ownTimer is the copy of a timer that is part of nothing else.
func (c *cloner) ownTimer(o *timer) *timer {
	if o == nil {
		return nil
	}
	n := *o
	c.timer(&n)
	return &n
}

func (c *cloner) retry(o *retry) *retry {
	if o == nil {
		return nil
	}
	n := *o
	c.timer(&n.timer)
	return &n
}

func (c *cloner) stay(o *stay) *stay {
	if o == nil {
		return nil
	}
	n := *o
	c.timer(&n.timer)
	if o.park != nil {
		park := *o.park
		n.park = &park
	}
	return &n
}

func (c *cloner) guard(o *guard) *guard {
	if o == nil {
		return nil
	}
	n := *o
	c.timer(&n.timer)
	return &n
}

func (c *cloner) offering(o *offering) *offering {
	if o == nil {
		return nil
	}
	n := *o
	c.dialling(&n.dialling)
	c.timer(&n.ring)
	n.hunt = c.hunt(o.hunt)
	return &n
}

// dialling mends a dialling that was copied with what it is part of. Its lists are never changed: who adds to one makes a new one.
func (c *cloner) dialling(d *dialling) {
	d.caller, d.transferor = c.party(d.caller), c.leg(d.transferor)
}

func (c *cloner) hunt(o *hunt) *hunt {
	if o == nil {
		return nil
	}
	if n := c.hunts[o]; n != nil {
		return n
	}
	n := new(hunt)
	*n = *o
	c.hunts[o] = n
	c.dialling(&n.dialling)
	return n
}

func (c *cloner) device(o *deviceState) *deviceState {
	n := *o
	n.legs = each(o.legs, c.leg)
	return &n
}

func (s *lineState) clone() *lineState {
	n := *s
	return &n
}

func (t *trunkState) clone() *trunkState {
	n := *t
	return &n
}

func (r *room) clone() *room {
	if r == nil {
		return nil
	}
	n := *r
	return &n
}

func (a afar) clone() afar { return afar{lines: lists(a.lines), spots: lists(a.spots)} }

// lists is a map with copies of the lists.
func lists[K comparable, V any](from map[K][]V) map[K][]V {
	to := make(map[K][]V, len(from))
	for k, v := range from {
		to[k] = slices.Clone(v)
	}
	return to
}

func (t *tie) clone() *tie {
	if t == nil {
		return nil
	}
	n := *t
	return &n
}

func (r *rare) clone() *rare {
	if r == nil {
		return nil
	}
	n := *r
	n.joined, n.digits = slices.Clone(r.joined), slices.Clone(r.digits)
	return &n
}

func (x *errand) clone() *errand {
	if x == nil {
		return nil
	}
	n := *x
	return &n
}

func (t *teller) clone() *teller {
	if t == nil {
		return nil
	}
	return &teller{reasons: slices.Clone(t.reasons), unsuited: slices.Clone(t.unsuited)}
}
