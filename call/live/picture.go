package live

import (
	"slices"

	"github.com/locktone/locktone/call"
)

// A Picture is what is known of one engine by the notes of a Follower: the engine's calls as of the newest note, those of the follower's
// filter. Between a loss and the next snapshot it shows what was known last, and Fresh is false. The zero value knows nothing.
type Picture struct {
	// Fresh says that nothing is missing.
	Fresh  bool
	Engine string
	// AsOf is the number of the last event in the picture.
	AsOf  uint64
	calls map[call.CallID]*call.View
	// settings by line and device.
	settings map[settingKey]call.Event
}

type settingKey struct {
	line   call.LineID
	device string
}

// Apply takes a note in. Views are shared with the note and must not be changed.
func (p *Picture) Apply(n RemoteNote) {
	switch {
	case n.Lost != LossNone:
		p.Fresh = false
	case n.Snapshot:
		*p = Picture{Fresh: true, Engine: n.Engine, AsOf: n.AsOf, calls: make(map[call.CallID]*call.View, len(n.Calls)), settings: map[settingKey]call.Event{}}
		for _, v := range n.Calls {
			p.calls[v.ID] = v
		}
		for _, s := range n.Settings {
			p.settings[settingKey{s.Line, s.Device}] = s
		}
	default:
		p.event(&n.Event, n.Left)
	}
}

func (p *Picture) event(ev *call.Event, left bool) {
	p.AsOf = ev.Seq
	switch {
	case ev.View != nil && (left || ev.Kind == call.CallEnded):
		delete(p.calls, ev.Call)
	case ev.View != nil:
		p.calls[ev.Call] = ev.View
	case ev.Settings != nil:
		p.settings[settingKey{ev.Line, ev.Device}] = *ev
	}
}

// Call is a call of the picture, nil if it is not there.
func (p *Picture) Call(id call.CallID) *call.View { return p.calls[id] }

// Calls are all calls by id.
func (p *Picture) Calls() []*call.View {
	out := make([]*call.View, 0, len(p.calls))
	for _, v := range p.calls {
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b *call.View) int { return int(a.ID) - int(b.ID) })
	return out
}

// Setting is the newest event about what users have set at a line or a device; ok is false when nothing is.
func (p *Picture) Setting(line call.LineID, device string) (call.Event, bool) {
	ev, ok := p.settings[settingKey{line, device}]
	return ev, ok
}
