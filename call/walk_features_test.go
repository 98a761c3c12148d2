package call

import (
	"maps"
	"slices"
	"time"
)

// number is a number of the walks' site: lines, trunks, an applet, feature codes, park numbers, meet-me conferences, an emergency number, nothing.
func (w *walker) number() string {
	if w.rnd.Intn(5) > 0 {
		return pick(w.rnd, []string{"2001", "2002", "2003", "2004", "2005", "2100", "2100", "0301", "0302", "7301", "8301", "*1", "9999", "112",
			"2500", "2501", "2502", "2503", "2504", "7999"})
	}
	return pick(w.rnd, []string{"*11", "*11", "*117002", "*12", "*12", "*122100", "*122002", "*131", "*15", "7001", "7001", "7002", "7050", "7090",
		"8001", "8001", "8002", "8101",
		"*162002", "*162003", "*182100", "*20", "*21", "*23", "*24"})
}

// service makes up a request of a supplementary service.
func (w *walker) service(leg LegID, ids []LegID) Request {
	switch w.rnd.Intn(6) {
	case 0:
		return Park{leg, pick(w.rnd, []string{"", "7002", "7090", "2001"})}
	case 1:
		return Retrieve{Device: pick(w.rnd, phones), Slot: pick(w.rnd, []string{"7001", "7002", "7090"})}
	case 2:
		return Pickup{Device: pick(w.rnd, phones), Group: pick(w.rnd, []string{"", "", "sales"}), Ringing: pick(w.rnd, []string{"", "", "2001", "2100"})}
	case 3:
		return TakeOver{Device: pick(w.rnd, phones)}
	case 4:
		return Transfer{Leg: leg, To: w.number()}
	}
	return Transfer{Leg: leg, With: w.another(leg, ids)}
}

// offered is a leg that a terminal is offered, or any.
func (w *walker) offered(leg LegID, ids []LegID) LegID {
	for _, id := range ids {
		if w.k == nil {
			break
		}
		if l := w.k.e.legs[id]; l != nil && l.state == LegOffering && w.k.e.terminal(l) {
			return id
		}
	}
	return leg
}

// center makes up a request of a call server: about the call of a leg, to be delivered in the place of that leg or another one, or guarded.
func (w *walker) center(leg LegID, ids []LegID) Request {
	call := CallID(1 + w.rnd.Intn(8))
	var incoming LegID
	if w.k != nil {
		if l := w.k.e.legs[leg]; l != nil {
			call = l.party.call.id
			for _, p := range l.party.call.parties {
				if o := p.wire(); o != nil && o.incoming {
					incoming = o.id
				}
			}
		}
	}
	switch w.rnd.Intn(8) {
	case 0:
		return CancelDeliver{call}
	case 1, 2:
		return SetGuard{Call: call, Leg: pick(w.rnd, []LegID{incoming, incoming, leg}), To: pick(w.rnd, []string{"*1", "*1", "*1", "2001", "0301", "9999", ""})}
	}
	d := Deliver{Call: call, Instead: pick(w.rnd, []LegID{leg, leg, leg, 0, w.another(leg, ids)}), To: w.number(), Calling: pick(w.rnd, []string{"", "0800"})}
	d.NoAnswer = time.Duration(w.rnd.Intn(2)) * 5 * time.Second
	return d
}

// join lets somebody into a call in which somebody talks, where the walk has one, or into any.
func (w *walker) join() Request {
	j := Join{Call: CallID(1 + w.rnd.Intn(8)), To: w.number(), Calling: pick(w.rnd, []string{"", "0800"}), Mode: JoinMode(w.rnd.Intn(2)),
		NoAnswer: time.Duration(w.rnd.Intn(2)) * 5 * time.Second}
	if w.k == nil {
		return j // a walk over several nodes
	}
	for _, id := range slices.Sorted(maps.Keys(w.k.e.calls)) {
		if len(w.k.e.calls[id].talkers(nil)) > 1 {
			j.Call = id
			break
		}
	}
	if w.rnd.Intn(4) > 0 {
		j.To = pick(w.rnd, []string{"2001", "2002", "2003", "2005", "2100", "0301"})
	}
	return j
}
