package projection

import (
	"strconv"
	"strings"
)

// String says an event in one line, for traces and golden scripts: where, what, and what the kind has to say.
func (ev Event) String() string {
	b := &line{}
	where := ev.Device
	if ev.Line.Number != "" {
		where += "/" + ev.Line.Number
	}
	if where != "" {
		b.word(where)
	}
	if ev.Handle != (Handle{}) {
		b.word(ev.Handle.String())
	}
	b.word(ev.Kind.String())
	switch ev.Kind {
	case NewCall, ExistingCall:
		b.word(ev.State.String())
		b.add("origin", ev.Origin.String()).add("reason", ev.Reason.String()).add("gch", ev.GCH.String()).parties(&ev)
		if ev.Parent != (GCH{}) {
			b.add("parent", ev.Parent.String())
		}
	case StateChanged, CallClosed:
		b.word(ev.State.String())
		if ev.Cause != 0 {
			b.add("cause", ev.Cause.String())
		}
		b.add("reason", ev.Reason.String())
	case PartiesChanged:
		b.parties(&ev).add("reason", ev.Reason.String())
	case GCHChanged:
		b.add("gch", ev.GCH.String()).add("was", ev.OldGCH.String()).parties(&ev).add("reason", ev.Reason.String())
	case SecurityChanged:
		b.word(ev.Security.String())
	case DigitHeard:
		b.word(ev.Digit)
	case Gap:
		b.word(ev.Node).quoted("why", ev.Why)
	default:
		b.rest(&ev)
	}
	if ev.RemoteInUse && ev.Kind <= StateChanged {
		b.word("remote")
	}
	if ev.Private {
		b.word("private")
	}
	return b.String()
}

type line struct{ strings.Builder }

func (b *line) word(s string) *line {
	if b.Len() > 0 {
		b.WriteByte(' ')
	}
	b.WriteString(s)
	return b
}

func (b *line) add(key, value string) *line { return b.word(key + "=" + value) }

func (b *line) quoted(key, value string) *line {
	if value != "" {
		b.add(key, strconv.Quote(value))
	}
	return b
}

func (b *line) party(key string, p Party) *line {
	if p != (Party{}) {
		b.add(key, p.String())
	}
	return b
}

func (b *line) parties(ev *Event) *line {
	b.party("calling", ev.Calling).party("called", ev.Called)
	if ev.Original != ev.Called {
		b.party("original", ev.Original)
	}
	return b.party("last", ev.LastRedirecting)
}

// rest says what the rarer kinds have.
func (b *line) rest(ev *Event) {
	if m := ev.Merge; m != nil {
		b.add("id", strconv.Itoa(int(m.ID))).add("surviving", m.Surviving.String())
		for _, g := range m.Others {
			b.add("other", g.String())
		}
		b.party("controller", m.Controller)
		if m.Final != (Handle{}) {
			b.add("final", m.Final.String())
		}
		if m.Other != (Handle{}) {
			b.add("ends", m.Other.String())
		}
		b.idle(m.Idle)
	}
	if c := ev.Conference; c != nil {
		b.add("id", strconv.Itoa(int(c.ID))).add(c.Change.String(), c.Changed.String())
		for _, p := range c.Others {
			b.add("with", p.String())
		}
		if c.Controller != (Participant{}) {
			b.add("controller", c.Controller.String())
		}
		b.idle(c.Idle)
	}
	if p := ev.Park; p != nil {
		b.word(p.Status.String()).party("at", p.At).party("parked", p.Parked)
	}
	if ev.Kind == TransferEnded || ev.Kind == ConferenceEnded || ev.Kind == BargeEnded {
		b.add("success", strconv.FormatBool(ev.Success))
	}
	switch ev.Kind {
	case DeviceStateChanged:
		b.word(ev.DeviceState.String())
	case DNDChanged, HuntLoginChanged:
		b.word(map[bool]string{true: "on", false: "off"}[ev.On])
	case ForwardChanged:
		for _, f := range ev.Forwards {
			b.add(f.Kind.String(), f.To)
		}
	}
}

func (b *line) idle(handles []Handle) {
	for _, h := range handles {
		b.add("idle", h.String())
	}
}

// String is callManagerID|callLegID, as the field's traces write it.
func (h Handle) String() string { return pairText(h.CallManager, h.Leg) }

// String is callManagerID|callID.
func (g GCH) String() string { return pairText(g.CallManager, g.Call) }

func pairText(a, b uint32) string {
	return strconv.FormatUint(uint64(a), 10) + "|" + strconv.FormatUint(uint64(b), 10)
}

// String is the number with its partition, and the device.
func (p Party) String() string {
	out := p.Number
	if p.Partition != "" {
		out += "@" + p.Partition
	}
	if p.Device != "" {
		out += "(" + p.Device + ")"
	}
	return out
}

// String is the party and its handle.
func (p Participant) String() string { return p.Party.String() + "/" + p.Handle.String() }
