package projection

import (
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// A terminal is what is known of a device beside its calls.
type terminal struct {
	state ctiqbe.DeviceState
}

func (m *Machine) deviceState(string)                     {}
func (m *Machine) private(string) bool                    { return false }
func (m *Machine) setting(e *engine, ev call.Event)       {}
func (m *Machine) settingsOf(e *engine, evs []call.Event) {}
