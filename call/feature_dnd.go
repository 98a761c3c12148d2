package call

import "slices"

// Do not disturb and the busy trigger say which phones of a line ring, and how. A phone whose user wants no calls counts as busy, or is
// shown the call without a sound (Device.DoNotDisturb); other phones of a shared line ring. A phone whose user talks is
// offered further calls quietly (its own call waiting tone tells) until the busy trigger of the line is reached.

// A readiness is a phone that a call to a line may ring, and how.
type readiness struct {
	device *Device
	quiet  bool // shows the call without ringing aloud
	auto   bool // answers by itself
	// node is where the device is, empty for here: what it may be rung for is decided there.
	node string
}

// readyFor are the phones of a line that can ring for a call of caller. When there are none the cause says why: UserBusy if
// one could be reached but must not ring, SubscriberAbsent if none can be reached.
func (e *Engine) readyFor(caller *Party, line *Line) ([]readiness, Cause) {
	ready := make([]readiness, 0, len(line.Appearances))
	cause := SubscriberAbsent
	for i := range line.Appearances {
		a := &line.Appearances[i]
		state := e.device(a.Device)
		if a.Silent || !state.up || calls(caller, a.Device) {
			e.explainSilent(line, a, state)
			continue
		}
		if state.node != "" {
			ready = append(ready, readiness{device: e.config.devices[a.Device], node: state.node})
			continue
		}
		if r, ok := e.readyAt(caller, line, a); ok {
			ready = append(ready, r)
		} else {
			cause = UserBusy
		}
	}
	if len(ready) > 0 {
		cause = CauseNone
	}
	return ready, cause
}

// readyAt says how an appearance on a device that is here may ring; false when it counts as busy.
func (e *Engine) readyAt(caller *Party, line *Line, a *Appearance) (readiness, bool) {
	state, d, carries := e.device(a.Device), e.config.devices[a.Device], e.carries(a.Device, line.ID)
	if carries >= orDefault(a.BusyTrigger, 2) || state.dnd && d.DoNotDisturb == DNDReject {
		e.explainBusy(line, a, state, carries)
		return readiness{}, false
	}
	return readiness{device: d, quiet: state.talks() || state.dnd, auto: e.autoAnswers(caller, line, a, state)}, true
}

// talks says whether the device has a call that was answered.
func (d *deviceState) talks() bool { return slices.ContainsFunc(d.legs, (*Leg).active) }

// autoAnswers says whether a phone answers a call by itself: where the line or the appearance says so, for callers of this site (for all
// where the line says so), and never into another call or a wish for rest.
func (e *Engine) autoAnswers(caller *Party, line *Line, a *Appearance, state *deviceState) bool {
	wanted := line.AutoAnswer || a.AutoAnswer
	inside := !caller.line.IsZero() || caller.tied() && !caller.far || line.AutoAnswerOutside
	return wanted && inside && len(state.legs) == 0 && !state.dnd
}

// calls says whether the device is the one that calls: its own appearance of the line does not ring.
func calls(caller *Party, device string) bool {
	for _, l := range caller.legs {
		if l.device == device && l.onWire() && !l.left() {
			return true
		}
	}
	return false
}
