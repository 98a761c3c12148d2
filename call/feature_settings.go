package call

import (
	"slices"
	"time"
)

// settings keeps what users change by themselves: forwards of a line, do not disturb, privacy and hunt login of a device. What is set
// overrides the configuration until it is set again. LineChanged and DeviceChanged carry all that is set now, so that whoever
// runs the engine can keep it and give it back by the same requests after a restart.
type settings struct{ abstain }

// lineState is what the engine knows of a line beside its configuration.
type lineState struct {
	set      [len(Forwards{})]bool // which kinds of forward a user has set
	forwards Forwards
	idle     time.Time // when its last call ended; zero when it never had one
}

func (settings) request(e *Engine, r Request, reply *Reply) bool {
	switch r := r.(type) {
	case SetForward:
		reply.Cause, reply.Why = e.setForward(r)
	case SetDoNotDisturb:
		reply.Cause, reply.Why = e.setDevice(r.Device, func(d *deviceState) { d.dnd = r.On })
	case SetPrivacy:
		reply.Cause, reply.Why = e.setDevice(r.Device, func(d *deviceState) { d.privateSet, d.private = true, r.On })
	case SetHuntLogin:
		reply.Cause, reply.Why = e.setDevice(r.Device, func(d *deviceState) { d.huntOut = !r.On })
	default:
		return false
	}
	return true
}

// setDevice changes a setting of a device, and reports it when that made a difference.
func (e *Engine) setDevice(name string, change func(*deviceState)) (Cause, string) {
	if e.config.devices[name] == nil {
		return InvalidNumberFormat, "there is no device " + name
	}
	before := e.deviceSettings(name)
	change(e.device(name))
	if now := e.deviceSettings(name); !now.equal(before) {
		e.report(Event{Kind: DeviceChanged, Device: name, Settings: &now})
	}
	return CauseNone, ""
}

// deviceSettings are the settings of a device as they are now.
func (e *Engine) deviceSettings(name string) Settings {
	d := e.device(name)
	return Settings{DoNotDisturb: d.dnd, Privacy: e.isPrivate(name), HuntOut: d.huntOut}
}

// isPrivate says whether the calls of a device are hidden from those it shares lines with.
func (e *Engine) isPrivate(name string) bool {
	if d := e.device(name); d.privateSet {
		return d.private
	}
	c := e.config.devices[name]
	return c != nil && c.Private
}

// setForward makes or ends a forward, if it may be made.
func (e *Engine) setForward(r SetForward) (Cause, string) {
	line := e.config.lines[r.Line]
	switch {
	case line == nil:
		return InvalidNumberFormat, "there is no line " + r.Line.String()
	case int(r.Kind) >= len(Forwards{}):
		return InvalidNumberFormat, "there is no forward of kind " + r.Kind.String()
	}
	if cause, why := e.mayForward(line, r.Forward); cause != CauseNone && !r.Kept {
		return cause, why
	}
	s := e.line(line.ID)
	if s.set[r.Kind] && s.forwards[r.Kind] == r.Forward {
		return CauseNone, ""
	}
	s.set[r.Kind], s.forwards[r.Kind] = true, r.Forward
	now := e.lineSettings(line.ID)
	e.report(Event{Kind: LineChanged, Line: line.ID, Settings: &now})
	return CauseNone, ""
}

// lineSettings are the forwards that were set for a line.
func (e *Engine) lineSettings(id LineID) (out Settings) {
	s := e.lines[id]
	if s == nil {
		return out
	}
	for k, set := range s.set {
		if set {
			out.Forwards = append(out.Forwards, SetForward{Line: id, Kind: ForwardKind(k), Forward: s.forwards[k]})
		}
	}
	return out
}

// line is the state of a configured line.
func (e *Engine) line(id LineID) *lineState {
	s := e.lines[id]
	if s == nil {
		s = &lineState{}
		e.lines[id] = s
	}
	return s
}

// configure takes another configuration. What was set for lines and devices that are not in it is gone for good.
func (e *Engine) configure(next *Config) {
	before := e.Settings()
	e.config = next
	for _, ev := range before {
		switch {
		case ev.Kind == LineChanged && next.lines[ev.Line] == nil:
			delete(e.lines, ev.Line)
		case ev.Kind == DeviceChanged && next.devices[ev.Device] == nil:
			d := e.device(ev.Device)
			d.dnd, d.huntOut, d.privateSet, d.private = false, false, false, false
		default:
			continue
		}
		ev.Settings = &Settings{}
		e.report(ev)
	}
}

// Settings are all lines and devices with something set, as the LineChanged or DeviceChanged that would report them: lines in the order
// of the configuration, then devices.
func (e *Engine) Settings() []Event {
	var out []Event
	for i := range e.config.site.Lines {
		id := e.config.site.Lines[i].ID
		if s := e.lineSettings(id); len(s.Forwards) > 0 {
			out = append(out, Event{Kind: LineChanged, Line: id, Settings: &s})
		}
	}
	for i := range e.config.site.Devices {
		d := &e.config.site.Devices[i]
		if s := e.deviceSettings(d.Name); !s.equal(Settings{Privacy: d.Private}) {
			out = append(out, Event{Kind: DeviceChanged, Device: d.Name, Settings: &s})
		}
	}
	return out
}

func (s Settings) equal(o Settings) bool {
	return s.DoNotDisturb == o.DoNotDisturb && s.Privacy == o.Privacy && s.HuntOut == o.HuntOut && slices.Equal(s.Forwards, o.Forwards)
}

// IsZero says whether nothing is set.
func (s Settings) IsZero() bool { return s.equal(Settings{}) }

// Requests are what gives the settings of an event back to an engine that has none.
func (s Settings) Requests(of Event) []Request {
	var out []Request
	for _, f := range s.Forwards {
		f.Kept = true
		out = append(out, f)
	}
	if of.Device == "" {
		return out
	}
	return append(out, SetDoNotDisturb{of.Device, s.DoNotDisturb}, SetPrivacy{of.Device, s.Privacy}, SetHuntLogin{of.Device, !s.HuntOut})
}

// report emits an event that is about no call.
func (e *Engine) report(ev Event) {
	e.lastEvent++
	ev.Seq, ev.At = e.lastEvent, e.now
	e.out.Events = append(e.out.Events, ev)
	if e.audit != nil {
		e.audit(nil, ev)
	}
}

// settingCode is the code of a feature of this file, nil for another's.
func settingCode(feature string) featureCode {
	switch feature {
	case FeatureForwardAll:
		return forwardCode(ForwardAll)
	case FeatureForwardBusy:
		return forwardCode(ForwardBusy)
	case FeatureForwardNoAnswer:
		return forwardCode(ForwardNoAnswer)
	case FeatureForwardUnregistered:
		return forwardCode(ForwardUnregistered)
	case FeatureForwardOff:
		return forwardOff
	case FeatureDoNotDisturb:
		return toggleDoNotDisturb
	case FeaturePrivacy:
		return togglePrivacy
	case FeatureHuntLogin:
		return toggleHuntLogin
	case FeatureVoicemail:
		return callMailbox
	}
	return nil
}

// forwardCode makes a forward of the line that dials to the number behind the code; without one it ends it.
func forwardCode(kind ForwardKind) featureCode {
	return func(e *Engine, l *Leg, arg string) (Done, Cause) {
		cause, why := e.setForward(SetForward{Line: l.party.line, Kind: kind, Forward: Forward{To: arg}})
		switch {
		case cause != CauseNone:
			return Done{Why: why}, cause
		case arg == "":
			return Done{Display: "Forward " + kind.String() + " off"}, CauseNone
		}
		return Done{Display: "Forwarded to " + arg}, CauseNone
	}
}

func forwardOff(e *Engine, l *Leg, _ string) (Done, Cause) {
	for kind := range ForwardKind(len(Forwards{})) {
		if cause, why := e.setForward(SetForward{Line: l.party.line, Kind: kind}); cause != CauseNone {
			return Done{Why: why}, cause
		}
	}
	return Done{Display: "Forward off"}, CauseNone
}

func toggleDoNotDisturb(e *Engine, l *Leg, _ string) (Done, Cause) {
	on := !e.device(l.device).dnd
	cause, why := e.setDevice(l.device, func(d *deviceState) { d.dnd = on })
	return Done{Display: onOff("Do not disturb ", on), Why: why}, cause
}

func togglePrivacy(e *Engine, l *Leg, _ string) (Done, Cause) {
	on := !e.isPrivate(l.device)
	cause, why := e.setDevice(l.device, func(d *deviceState) { d.privateSet, d.private = true, on })
	return Done{Display: onOff("Privacy ", on), Why: why}, cause
}

func toggleHuntLogin(e *Engine, l *Leg, _ string) (Done, Cause) {
	out := !e.device(l.device).huntOut
	cause, why := e.setDevice(l.device, func(d *deviceState) { d.huntOut = out })
	if out {
		return Done{Display: "Logged out of hunting", Why: why}, cause
	}
	return Done{Display: "Logged in to hunting", Why: why}, cause
}

func onOff(what string, on bool) string {
	if on {
		return what + "on"
	}
	return what + "off"
}

// callMailbox calls the mailbox system, which knows whose mailbox it is by who calls.
func callMailbox(e *Engine, l *Leg, _ string) (Done, Cause) {
	p, line := l.party, e.config.lines[l.party.line]
	if line == nil || line.Voicemail == "" {
		return Done{Why: "line " + p.line.Number + " has no mailbox"}, FacilityRejected
	}
	calling := p.identity
	calling.Number = orDefault(line.Mailbox, calling.Number)
	spaces := e.config.SearchSpaces(l.device, p.line, "")
	if line.VoicemailSpace != "" {
		spaces = []string{line.VoicemailSpace}
	}
	e.explainFeature("voicemail", "the mailbox system of line %s has the number %s, and is called by %s", p.line, line.Voicemail, calling.Number)
	cause := e.route(p.call, dialling{caller: p, spaces: spaces, called: line.Voicemail, calling: calling,
		mailbox: true, hops: e.config.site.Policy.maxHops()})
	return Done{Taken: true}, cause
}
