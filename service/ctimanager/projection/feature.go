package projection

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A feature is what is going on in a call beside its picture.
type feature struct{}

// before takes from an event what its picture does not say.
func (m *Machine) before(_ *engine, ev *call.Event) why {
	return why{cause: causeOf(ev.Cause)}
}

// after tells what is no difference of pictures.
func (m *Machine) after(e *engine, ev *call.Event) {
	if ev.Kind != call.DigitHeard {
		return
	}
	for _, a := range e.of(ev.Call) {
		if a.leg == ev.Leg {
			m.tell(a, Event{Kind: DigitHeard, Digit: ev.Digit})
		}
	}
}

// gch is the global call handle of a call.
func (m *Machine) gch(e *engine, v *call.View) GCH {
	return GCH{m.numbers.CallManager(e.node), low31(uint64(v.ID))}
}

// redirections are who a call was for first, and who sent it on last.
func (m *Machine) redirections(_ *call.PartyView, called Party) (original, last Party) {
	return called, Party{}
}

// originOf is where a call comes from, for a leg.
func (m *Machine) originOf(_ *engine, v *call.View, x *wanted) ctiqbe.CallOrigin {
	if x.calls {
		return ctiqbe.CallOriginOutbound
	}
	if far := other(v, x.party); far != nil && far.Trunk != "" {
		return ctiqbe.CallOriginInboundExternal
	}
	return ctiqbe.CallOriginInboundInternal
}

// reasonOf is why a leg is in its call.
func (m *Machine) reasonOf(*engine, *call.View, *wanted) ctiqbe.CallReason {
	return ctiqbe.CallReasonDirectCall
}

// changeReason is why something of a leg changes.
func (m *Machine) changeReason(_ *engine, _ *call.View, a *appearance, w why) ctiqbe.CallReason {
	if w.reason != 0 {
		return w.reason
	}
	return a.reason
}
