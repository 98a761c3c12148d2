package projection

import (
	"slices"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A terminal is what is known of a device beside its calls.
type terminal struct {
	state   ctiqbe.DeviceState // as told last
	legs    map[*appearance]struct{}
	dnd     bool
	private bool
	huntOut bool
}

func (m *Machine) terminal(device string) *terminal {
	t := m.devices[device]
	if t == nil {
		t = &terminal{legs: map[*appearance]struct{}{}}
		m.devices[device] = t
	}
	return t
}

// deviceState tells what a device does where that has changed: active before alerting before held, by its own legs.
func (m *Machine) deviceState(device string) {
	t := m.terminal(device)
	state := ctiqbe.DeviceStateIdle
	for a := range t.legs {
		if s := doing(a); rank(s) > rank(state) {
			state = s
		}
	}
	if state == t.state {
		return
	}
	t.state = state
	m.emit(Event{Kind: DeviceStateChanged, Device: device, DeviceState: state})
}

// sorted are the legs of a device, in the order of their handles.
func (t *terminal) sorted() []*appearance {
	out := make([]*appearance, 0, len(t.legs))
	for a := range t.legs {
		out = append(out, a)
	}
	slices.SortFunc(out, byHandle)
	return out
}

func doing(a *appearance) ctiqbe.DeviceState {
	switch {
	case a.remote:
		return ctiqbe.DeviceStateIdle
	case a.state == ctiqbe.CallStateOffering || a.state == ctiqbe.CallStateAccepted:
		return ctiqbe.DeviceStateAlerting
	case a.state == ctiqbe.CallStateOnHold:
		return ctiqbe.DeviceStateHeld
	case a.state == ctiqbe.CallStateIdle || a.state == ctiqbe.CallStateDisconnected:
		return ctiqbe.DeviceStateIdle
	}
	return ctiqbe.DeviceStateActive
}

func rank(s ctiqbe.DeviceState) int {
	return slices.Index([]ctiqbe.DeviceState{ctiqbe.DeviceStateIdle, ctiqbe.DeviceStateHeld, ctiqbe.DeviceStateAlerting, ctiqbe.DeviceStateActive}, s)
}

func (m *Machine) private(device string) bool {
	t := m.devices[device]
	return t != nil && t.private
}

// setting takes what users have set. Every engine knows the settings of the whole site and says so: what was told is not told again.
func (m *Machine) setting(ev *call.Event) {
	if ev.Settings == nil {
		return
	}
	if ev.Device == "" {
		if list := ev.Settings.Forwards; !slices.Equal(list, m.forwards[ev.Line]) {
			m.forwards[ev.Line] = list
			m.emit(Event{Kind: ForwardChanged, Line: ev.Line, Forwards: list})
		}
		return
	}
	t, s := m.terminal(ev.Device), ev.Settings
	if t.dnd != s.DoNotDisturb {
		t.dnd = s.DoNotDisturb
		m.emit(Event{Kind: DNDChanged, Device: ev.Device, On: t.dnd})
	}
	if t.huntOut != s.HuntOut {
		t.huntOut = s.HuntOut
		m.emit(Event{Kind: HuntLoginChanged, Device: ev.Device, On: !t.huntOut})
	}
	if t.private != s.Privacy {
		t.private = s.Privacy
		m.showPrivacy(ev.Device)
	}
}

// showPrivacy tells those who share a line with a device whether they may see its calls.
func (m *Machine) showPrivacy(device string) {
	for _, a := range m.terminal(device).sorted() {
		if v := a.engine.calls[a.call]; v != nil {
			m.look(a.engine, v, why{})
		}
	}
}
